using System.Text.Json;
using System.Text.Json.Serialization;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>The access tokens of a service account.</summary>
internal sealed class AccessTokens(ServiceAccountKey key, HttpClient http, TimeProvider clock) : IAccessTokens, IDisposable
{
    private const string GrantType = "urn:ietf:params:oauth:grant-type:jwt-bearer";

    private const int AnswerBytesMax = 64 << 10;

    /// <summary>Characters. Google says that its tokens have up to 2,048 bytes.</summary>
    private const int TokenLengthMax = 16 << 10;

    /// <summary>Whatever a server says. Google's tokens are good for an hour.</summary>
    private const int LifeSecondsMax = 24 * 3600;

    /// <summary>For an answer: a token endpoint that hangs must not keep those who have a good token still.</summary>
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(10);

    private readonly HeldToken _held = new(clock);

    public ValueTask<AccessToken> GetAsync(CancellationToken ct) => _held.GetAsync(FetchAsync, ct);

    public void Reject(AccessToken token) => _held.Reject(token);

    public void Dispose() => key.Dispose();

    private async Task<FetchedToken> FetchAsync(CancellationToken ct)
    {
        var (asked, now) = (clock.GetTimestamp(), clock.GetUtcNow());
        var what = $"The token endpoint {key.TokenUri.Authority}";
        using var over = new CancellationTokenSource(AnswerWithin, clock);
        using var bounded = CancellationTokenSource.CreateLinkedTokenSource(ct, over.Token);
        try
        {
            using var form = new FormUrlEncodedContent([new("grant_type", GrantType), new("assertion", key.Assert(now))]);
            using var request = new HttpRequestMessage(HttpMethod.Post, key.TokenUri) { Content = form };
            using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, bounded.Token);
            var body = await BoundedBody.ReadAsync(answer, AnswerBytesMax, bounded.Token);
            if (!answer.IsSuccessStatusCode) throw GcsFailures.OfTokens(answer, body, what);
            var token = JsonSerializer.Deserialize<Answer>(body.Span);
            if (token?.Text is not { Length: > 0 and <= TokenLengthMax } text || text.Any(c => c is <= ' ' or > '~') || token.Seconds is not (> 0 and <= LifeSecondsMax) || !"Bearer".Equals(token.Type, StringComparison.OrdinalIgnoreCase))
                throw new BackendException(BackendError.Unavailable, $"{what} answered with no access token.");
            var life = TimeSpan.FromSeconds(token.Seconds);
            return new(new(text, now + life), asked, TokenLife.RenewAfter(life), TokenLife.UseFor(life));
        }
        catch (BackendException)
        {
            throw;
        }
        catch (Exception e) when (e is HttpRequestException or IOException or JsonException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            throw new BackendException(BackendError.Unavailable, $"{what}: no answer. {GcsFailures.Plain(e.Message)}", e);
        }
    }

    private sealed record Answer(
        [property: JsonPropertyName("access_token")] string? Text,
        [property: JsonPropertyName("token_type")] string? Type,
        [property: JsonPropertyName("expires_in")] int Seconds);
}
