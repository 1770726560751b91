namespace DarkStorage.Rules.Identity;

/// <summary>Why a token is not believed.</summary>
public enum WebIdentityProblem
{
    /// <summary>Not a token of that issuer for us: malformed, signed by nobody we trust, for another audience.</summary>
    Invalid,
    Expired,

    /// <summary>Signed as it should be, and it says what can't be.</summary>
    RejectedClaim,

    /// <summary>It names a key that the issuer's set has not: the set may be old.</summary>
    UnknownKey,
}

/// <summary>A token that is not believed. The message holds nothing of the token but names.</summary>
public sealed class WebIdentityException(WebIdentityProblem problem, string message, Exception? inner = null) : Exception(message, inner)
{
    public WebIdentityProblem Problem => problem;
}
