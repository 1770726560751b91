using Orleans;

namespace DarkStorage.Grains.Integrations;

/// <summary>What is kept of how the cluster was let into a place. Tokens, and what a flow under way must not tell, are sealed.</summary>
[GenerateSerializer, Alias("authorization-state")]
public sealed record AuthorizationState
{
    /// <summary>The name of the state in the index.</summary>
    public const string Name = "authorization";

    /// <summary>The application that the tokens were given to. They are sent to no other's endpoint.</summary>
    [Id(0)]
    public string? Application { get; init; }

    /// <summary>When somebody gave access; null where nobody has.</summary>
    [Id(1)]
    public DateTimeOffset? Granted { get; init; }

    [Id(2)]
    public byte[]? SealedAccessToken { get; init; }

    /// <summary>Null where the service gave none, or takes it no more.</summary>
    [Id(3)]
    public byte[]? SealedRefreshToken { get; init; }

    /// <summary>When the access token was asked for.</summary>
    [Id(4)]
    public DateTimeOffset Obtained { get; init; }

    /// <summary>Of the access token from then on; null where the service has not said.</summary>
    [Id(5)]
    public TimeSpan? Life { get; init; }

    /// <summary>When a renewal was begun of which no tokens have come yet.</summary>
    [Id(6)]
    public DateTimeOffset? Renewing { get; init; }

    /// <summary>Why somebody has to give access again.</summary>
    [Id(7)]
    public string? Failure { get; init; }

    /// <summary>A <see cref="PendingFlow"/>.</summary>
    [Id(8)]
    public byte[]? SealedFlow { get; init; }

    [Id(9)]
    public DateTimeOffset? FlowUntil { get; init; }

    /// <summary>The service is to be asked what has become of it.</summary>
    [Id(10)]
    public bool FlowIsDevice { get; init; }

    /// <summary>How the last flow ended, where it did not end well.</summary>
    [Id(11)]
    public string? FlowFailure { get; init; }
}

/// <summary>A flow under way.</summary>
/// <param name="Application">That began it.</param>
/// <param name="State">256 random bits that come back with the code, as is the rest of a code's; null for a device's.</param>
/// <param name="Verifier">Of PKCE; null for none.</param>
/// <param name="DeviceCode">What is asked with, of a device's; null for a code's.</param>
internal sealed record PendingFlow(string Application, string? State, string? Verifier, Uri? Redirect, string? DeviceCode, TimeSpan Interval)
{
    /// <summary>Not what it holds: a record says all that it has.</summary>
    public override string ToString() => "a flow";
}
