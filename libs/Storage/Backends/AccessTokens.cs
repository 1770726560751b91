namespace DarkStorage.Storage.Backends;

/// <summary>What shows a place that whoever asks may (RFC 6750). Whoever sees it can do as much.</summary>
/// <param name="Ends">By this machine's clock; null where nobody has said.</param>
public sealed record AccessToken(string Text, DateTimeOffset? Ends)
{
    /// <summary>Not the text: a record says all that it has.</summary>
    public override string ToString() => $"an access token that ends {Ends:u}";
}

/// <summary>The access tokens of one place, which somebody renews.</summary>
public interface IAccessTokens
{
    /// <returns>One that is good now.</returns>
    /// <exception cref="BackendException"><see cref="BackendError.AccessDenied"/>: somebody has to give access first, or again. <see cref="BackendError.Unavailable"/> and <see cref="BackendError.Throttled"/>: none can be had now.</exception>
    ValueTask<AccessToken> GetAsync(CancellationToken ct);

    /// <summary>The place does not take it, whatever was said of its life: the next call gets another, or is told that there is none.</summary>
    void Reject(AccessToken token);
}

/// <summary>The access token there is: asked for when it is needed first, and anew well before it ends, by one call at a time. The others go on with the one there is while it is good, and wait where there is none.</summary>
#pragma warning disable CA1001 // a semaphore that nobody asks for its handle has nothing to free
public sealed class HeldToken(TimeProvider clock)
#pragma warning restore CA1001
{
    /// <summary>Between two attempts to renew one that is good still.</summary>
    private static readonly TimeSpan RenewPause = TimeSpan.FromSeconds(30);

    private readonly SemaphoreSlim _renewing = new(1);
    private FetchedToken? _current;

    /// <param name="fetch">Asks for one.</param>
    public async ValueTask<AccessToken> GetAsync(Func<CancellationToken, Task<FetchedToken>> fetch, CancellationToken ct)
    {
        if (_current is { } known && IsFresh(known)) return known.Token;
        if (_current is not { } good || IsOver(good)) await _renewing.WaitAsync(ct);
        else if (!_renewing.Wait(0, CancellationToken.None)) return good.Token;
        try
        {
            if (_current is { } renewed && IsFresh(renewed)) return renewed.Token;
            return (_current = await fetch(ct)).Token;
        }
        catch (BackendException) when (_current is { } last && !IsOver(last))
        {
            _current = last with { RenewAfter = clock.GetElapsedTime(last.Asked) + RenewPause };
            return last.Token;
        }
        finally
        {
            _renewing.Release();
        }
    }

    public void Reject(AccessToken token)
    {
        if (_current is { } current && current.Token.Text == token.Text) Interlocked.CompareExchange(ref _current, null, current);
    }

    private bool IsFresh(FetchedToken token) => clock.GetElapsedTime(token.Asked) < token.RenewAfter;

    private bool IsOver(FetchedToken token) => clock.GetElapsedTime(token.Asked) >= token.UseFor;
}

/// <param name="Asked">When it was asked for, a timestamp, of which its times are counted.</param>
/// <param name="RenewAfter">When another is to be asked for.</param>
/// <param name="UseFor">When it is not used any more.</param>
public sealed record FetchedToken(AccessToken Token, long Asked, TimeSpan RenewAfter, TimeSpan UseFor);

/// <summary>When a token is renewed, and how long it is used: the same for all that have a life.</summary>
public static class TokenLife
{
    private static readonly TimeSpan RenewBefore = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan UseBefore = TimeSpan.FromSeconds(30);

    /// <summary>A new one is asked for when five minutes are left of the one there is: a quarter of its life, where that is less.</summary>
    public static TimeSpan RenewAfter(TimeSpan life) => life - Least(RenewBefore, life / 4);

    /// <summary>Not used any more when half a minute is left, or a sixteenth of its life, where that is less: a request is on its way for a while.</summary>
    public static TimeSpan UseFor(TimeSpan life) => life - Least(UseBefore, life / 16);

    private static TimeSpan Least(TimeSpan one, TimeSpan other) => one < other ? one : other;
}
