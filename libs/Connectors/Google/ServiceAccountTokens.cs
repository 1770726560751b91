using System.Text.Json;
using System.Text.Json.Serialization;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Google;

/// <summary>The access tokens of a service account.</summary>
internal sealed class ServiceAccountTokens(ServiceAccountKey key, HttpClient http, TimeProvider clock) : IAccessTokens, IDisposable
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
            if (!answer.IsSuccessStatusCode) throw FailureOf(answer, body, what);
            var token = JsonSerializer.Deserialize<Answer>(body.Span);
            if (token?.Text is not { Length: > 0 and <= TokenLengthMax } text || text.Any(c => c is <= ' ' or > '~') || token.Seconds is not (> 0 and <= LifeSecondsMax) || !"Bearer".Equals(token.Type, StringComparison.OrdinalIgnoreCase))
                throw new BackendException(BackendError.Unavailable, $"{what} answered with no access token.");
            var life = TimeSpan.FromSeconds(token.Seconds);
            return new(new(text, now + life), asked, TokenLife.RenewAfter(life), TokenLife.UseFor(life));
        }
        catch (Exception e) when (HttpFailures.IsBroken(e, ct))
        {
            throw HttpFailures.NoAnswer(what, e);
        }
    }

    /// <summary>An error of OAuth (RFC 6749, section 5.2), which Google words so too.</summary>
    private static BackendException FailureOf(HttpResponseMessage answer, ReadOnlyMemory<byte> body, string what)
    {
        OAuthError? said = null;
        try
        {
            said = JsonSerializer.Deserialize<OAuthError>(body.Span);
        }
        catch (JsonException)
        {
            // From a proxy on the way: the status has to do.
        }
        var status = (int)answer.StatusCode;
        var error = status switch
        {
            429 => BackendError.Throttled,
            < 400 or 408 or >= 500 => BackendError.Unavailable,
            // The key was deleted, the account disabled, or the clocks differ by more than Google bears.
            _ => BackendError.AccessDenied,
        };
        var code = string.IsNullOrEmpty(said?.Error) ? $"{status}" : $"{HttpFailures.Plain(said.Error)} ({status})";
        var hint = error == BackendError.AccessDenied ? ": the service account's key is not taken, or the clocks differ" : "";
        return new(error, $"{what} answered {code}{hint}. {HttpFailures.Plain(said?.Description)}") { RetryAfter = HttpFailures.RetryAfterOf(answer.Headers) };
    }

    private sealed record Answer(
        [property: JsonPropertyName("access_token")] string? Text,
        [property: JsonPropertyName("token_type")] string? Type,
        [property: JsonPropertyName("expires_in")] int Seconds);

    private sealed record OAuthError([property: JsonPropertyName("error")] string? Error, [property: JsonPropertyName("error_description")] string? Description);
}
