using System.ComponentModel.DataAnnotations;

namespace DarkStorage.Connectors.Identity;

/// <summary>Whose tokens AssumeRoleWithWebIdentity takes. None by default.</summary>
public sealed record OpenIdConnectOptions
{
    public IReadOnlyList<OpenIdConnectIssuer> Issuers { get; init; } = [];

    /// <summary>How long an issuer's keys are remembered: a key that the issuer takes back is believed that much longer. Default 10 minutes.</summary>
    [Range(typeof(TimeSpan), "00:00:10", "1.00:00:00")]
    public TimeSpan KeysLife { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>The least time between two fetches from one issuer, whatever tokens say. Default 30 seconds: a new key is known within that, and strangers
    /// with made-up keys cost the issuer two requests a minute.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:10:00")]
    public TimeSpan FetchPause { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>For each of the two requests of a fetch.</summary>
    [Range(typeof(TimeSpan), "00:00:00.1", "00:01:00")]
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(5);
}

/// <summary>An identity provider.</summary>
public sealed record OpenIdConnectIssuer
{
    /// <summary>Exactly as its tokens' claim <c>iss</c> has it: <c>https://…</c>, or <c>http://</c> on this machine.</summary>
    public string Url { get; init; } = "";

    /// <summary>Client ids (audiences) whose tokens are taken. At least one: a token for somebody else is not for us.</summary>
    public IReadOnlyList<string> ClientIds { get; init; } = [];

    /// <summary>PEM file of the authorities that alone are trusted for its certificate; empty for those of the system.</summary>
    public string CaFile { get; init; } = "";
}
