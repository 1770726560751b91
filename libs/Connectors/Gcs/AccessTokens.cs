using System.Text.Json;
using System.Text.Json.Serialization;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>The access token of a service account: asked for when it is needed first, and anew well before it ends, by one call at a time. The others go on with the one there is while it is good, and wait where there is none.</summary>
internal sealed class AccessTokens(ServiceAccountKey key, HttpClient http, TimeProvider clock) : IDisposable
{
    private const string GrantType = "urn:ietf:params:oauth:grant-type:jwt-bearer";

    private const int AnswerBytesMax = 64 << 10;

    /// <summary>Characters. Google says that its tokens have up to 2,048 bytes.</summary>
    private const int TokenLengthMax = 16 << 10;

    /// <summary>Whatever a server says. Google's tokens are good for an hour.</summary>
    private const int LifeSecondsMax = 24 * 3600;

    /// <summary>A new one is asked for when so much is left of the one there is: a quarter of its life, where that is less.</summary>
    private static readonly TimeSpan RenewBefore = TimeSpan.FromMinutes(5);

    /// <summary>Not used any more when so much is left, or a sixteenth of its life, where that is less: a request is on its way for a while.</summary>
    private static readonly TimeSpan UseBefore = TimeSpan.FromSeconds(30);

    /// <summary>Between two attempts to renew one that is good still.</summary>
    private static readonly TimeSpan RenewPause = TimeSpan.FromSeconds(30);

    /// <summary>For an answer: a token endpoint that hangs must not keep those who have a good token still.</summary>
    private static readonly TimeSpan AnswerWithin = TimeSpan.FromSeconds(10);

    private readonly SemaphoreSlim _renewing = new(1);
    private Token? _current;

    public async ValueTask<string> GetAsync(CancellationToken ct)
    {
        if (_current is { } known && IsFresh(known)) return known.Text;
        if (_current is not { } good || IsOver(good)) await _renewing.WaitAsync(ct);
        else if (!_renewing.Wait(0, CancellationToken.None)) return good.Text;
        try
        {
            if (_current is { } renewed && IsFresh(renewed)) return renewed.Text;
            return (_current = await FetchAsync(ct)).Text;
        }
        catch (BackendException) when (_current is { } last && !IsOver(last))
        {
            _current = last with { RenewFrom = clock.GetElapsedTime(last.Asked) + RenewPause };
            return last.Text;
        }
        finally
        {
            _renewing.Release();
        }
    }

    /// <summary>The server does not take it, whatever was said of its life: the next call gets another.</summary>
    public void Reject(string text)
    {
        if (_current is { } current && current.Text == text) Interlocked.CompareExchange(ref _current, null, current);
    }

    public void Dispose() => key.Dispose();

    private bool IsFresh(Token token) => clock.GetElapsedTime(token.Asked) < token.RenewFrom;

    private bool IsOver(Token token) => clock.GetElapsedTime(token.Asked) >= token.UseUntil;

    private async Task<Token> FetchAsync(CancellationToken ct)
    {
        var asked = clock.GetTimestamp();
        var what = $"The token endpoint {key.TokenUri.Authority}";
        using var over = new CancellationTokenSource(AnswerWithin, clock);
        using var bounded = CancellationTokenSource.CreateLinkedTokenSource(ct, over.Token);
        try
        {
            using var form = new FormUrlEncodedContent([new("grant_type", GrantType), new("assertion", key.Assert(clock.GetUtcNow()))]);
            using var request = new HttpRequestMessage(HttpMethod.Post, key.TokenUri) { Content = form };
            using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, bounded.Token);
            var body = await BoundedBody.ReadAsync(answer, AnswerBytesMax, bounded.Token);
            if (!answer.IsSuccessStatusCode) throw GcsFailures.OfTokens(answer, body, what);
            var token = JsonSerializer.Deserialize<Answer>(body.Span);
            if (token?.Text is not { Length: > 0 and <= TokenLengthMax } text || text.Any(c => c is <= ' ' or > '~') || token.Seconds is not (> 0 and <= LifeSecondsMax) || !"Bearer".Equals(token.Type, StringComparison.OrdinalIgnoreCase))
                throw new BackendException(BackendError.Unavailable, $"{what} answered with no access token.");
            var life = TimeSpan.FromSeconds(token.Seconds);
            return new(text, asked, life - Least(RenewBefore, life / 4), life - Least(UseBefore, life / 16));
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

    private static TimeSpan Least(TimeSpan one, TimeSpan other) => one < other ? one : other;

    /// <param name="Asked">When it was asked for, of which its times are counted.</param>
    private sealed record Token(string Text, long Asked, TimeSpan RenewFrom, TimeSpan UseUntil);

    private sealed record Answer(
        [property: JsonPropertyName("access_token")] string? Text,
        [property: JsonPropertyName("token_type")] string? Type,
        [property: JsonPropertyName("expires_in")] int Seconds);
}
