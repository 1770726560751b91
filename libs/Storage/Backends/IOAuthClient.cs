namespace DarkStorage.Storage.Backends;

/// <summary>Asks services for tokens. Each call is one attempt, bounded in time. What goes wrong is an <see cref="OAuthException"/>.</summary>
public interface IOAuthClient
{
    /// <summary>Tokens for a code that somebody came back with (RFC 6749, section 4.1.3).</summary>
    /// <param name="redirect">What it was asked for with.</param>
    /// <param name="verifier">Of PKCE; null for none.</param>
    Task<OAuthTokens> ExchangeAsync(OAuthApplication application, string code, Uri redirect, string? verifier, CancellationToken ct);

    /// <summary>Another access token (RFC 6749, section 6). Where there is another refresh token in the answer the one before is mostly taken no more.</summary>
    Task<OAuthTokens> RenewAsync(OAuthApplication application, string refreshToken, CancellationToken ct);

    /// <summary>Begins a flow for devices (RFC 8628, section 3.1).</summary>
    /// <param name="application">With a <see cref="OAuthApplication.DeviceUrl"/>.</param>
    Task<DeviceCode> BeginDeviceAsync(OAuthApplication application, CancellationToken ct);

    /// <summary>Tokens, once somebody has entered the code (RFC 8628, section 3.4).</summary>
    /// <exception cref="OAuthException"><see cref="OAuthError.Pending"/> and <see cref="OAuthError.SlowDown"/> too.</exception>
    Task<OAuthTokens> PollAsync(OAuthApplication application, string deviceCode, CancellationToken ct);
}

/// <param name="Life">From when it was asked for; null where the service does not say.</param>
/// <param name="RefreshToken">Null for none.</param>
public sealed record OAuthTokens(string AccessToken, TimeSpan? Life, string? RefreshToken)
{
    /// <summary>Not the texts: a record says all that it has.</summary>
    public override string ToString() => "tokens";
}

/// <param name="Code">The secret one, which is asked with.</param>
/// <param name="UserCode">What somebody is to enter.</param>
/// <param name="Address">Where.</param>
/// <param name="CompleteAddress">Where, with the code already in it; null for none.</param>
/// <param name="Interval">Between two questions, at the least.</param>
public sealed record DeviceCode(string Code, string UserCode, Uri Address, Uri? CompleteAddress, TimeSpan Life, TimeSpan Interval)
{
    /// <summary>Not the code.</summary>
    public override string ToString() => UserCode;
}

/// <summary>Why there are no tokens, as far as somebody can act on it.</summary>
public enum OAuthError : byte
{
    /// <summary>It does not answer, or says that it can't now.</summary>
    Unavailable,

    /// <summary>The code, or the refresh token, is not taken, or no more.</summary>
    InvalidGrant,

    /// <summary>The application is not known, its secret is wrong, or it may not ask so.</summary>
    InvalidClient,

    /// <summary>Anything else that is wrong with what was asked.</summary>
    Refused,

    /// <summary>Nobody has entered the code yet.</summary>
    Pending,

    /// <summary>As <see cref="Pending"/>, and it was asked too often.</summary>
    SlowDown,

    /// <summary>Nobody has entered the code in time.</summary>
    Expired,

    /// <summary>Somebody did, and gave no access.</summary>
    Denied,
}

/// <summary>What a service said, or why it said nothing. The message is for an operator, and holds no token, code or secret.</summary>
public sealed class OAuthException(OAuthError error, string message) : IOException(message)
{
    public OAuthError Error { get; } = error;

    /// <summary>When the service wants to be asked again, where it says so.</summary>
    public TimeSpan? RetryAfter { get; init; }
}
