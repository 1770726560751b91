using System.Collections.Immutable;
using Orleans;
using Orleans.Concurrency;

namespace DarkStorage.GrainInterfaces.Integrations;

/// <summary>How the cluster was let into a place by somebody who may (OAuth 2.0): the flow by which that happens, the tokens, and their renewal. The grain's key is the integration's name.</summary>
[Alias("authorization")]
public interface IAuthorizationGrain : IGrainWithStringKey
{
    /// <summary>Where people come back to with a code: below the management API's address.</summary>
    const string CallbackPath = "/v1/integrations/oauth/callback";

    /// <summary>Begins a flow. One that was under way is forgotten; tokens that there are stay until it has ended well.</summary>
    /// <param name="localAddress">The management API's address for who is on the machine, for where none was configured.</param>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchIntegration"/>; <see cref="StorageError.InvalidArgument"/>: it is not authorized so, or the service has no such flow; <see cref="StorageError.BackendFailed"/>: what the service said.</exception>
    [Alias("begin")]
    Task<AuthorizationStart> BeginAsync(AuthorizationFlow flow, Uri localAddress, CancellationToken ct);

    /// <summary>Somebody came back. The first who does with the right state ends the flow, however that goes.</summary>
    /// <param name="random">What of the state is in front of the integration's name.</param>
    /// <param name="code">Null where the service gave none.</param>
    /// <param name="error">What it said instead.</param>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: no key opens what was begun.</exception>
    [Alias("complete")]
    Task<AuthorizationOutcome> CompleteAsync(string random, string? code, string? error, CancellationToken ct);

    [Alias("find"), AlwaysInterleave]
    Task<IntegrationAuthorization> FindAsync(CancellationToken ct);

    /// <summary>An access token for a node. It waits for a renewal only where there is no good one.</summary>
    /// <param name="rejected">SHA-256 of a token that the place did not take; empty for none.</param>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: no key opens the tokens.</exception>
    [Alias("get-access"), AlwaysInterleave]
    Task<AccessGrant> GetAccessAsync(ImmutableArray<byte> rejected, CancellationToken ct);

    /// <summary>Sees to what is to be done later, after the silo that had the grain has ended.</summary>
    /// <param name="isChanged">The application's settings are new: what failed may be tried at once.</param>
    [Alias("wake"), AlwaysInterleave]
    Task WakeAsync(bool isChanged, CancellationToken ct);

    /// <summary>Forgets the tokens and a flow under way.</summary>
    [Alias("forget")]
    Task ForgetAsync(CancellationToken ct);

    /// <summary>Seals all under the newest key of the silo that has the grain, where something is sealed under another.</summary>
    /// <returns>Whether something was.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: no key opens it.</exception>
    [Alias("seal-anew")]
    Task<bool> SealAnewAsync(CancellationToken ct);
}

public enum AuthorizationFlow : byte
{
    /// <summary>Somebody opens an address in a browser that reaches the management API, which the service sends them back to (RFC 6749, section 4.1).</summary>
    Code,

    /// <summary>Somebody enters a code at the service, wherever they are (RFC 8628).</summary>
    Device,
}

/// <summary>What somebody has to do.</summary>
/// <param name="Address">To be opened. That of a code holds the secret state, and is for the administrator who asked alone.</param>
/// <param name="UserCode">To be entered there; null where it is in the address.</param>
/// <param name="CompleteAddress">With the code already in it; null for none.</param>
[GenerateSerializer, Immutable, Alias("authorization-start")]
public sealed record AuthorizationStart(AuthorizationFlow Flow, Uri Address, string? UserCode, Uri? CompleteAddress, DateTimeOffset Until);

/// <param name="Message">For whoever came back.</param>
[GenerateSerializer, Immutable, Alias("authorization-outcome")]
public sealed record AuthorizationOutcome(bool IsAuthorized, string Message);

/// <summary>How an integration's access is.</summary>
/// <param name="Granted">When somebody gave it; null where nobody has.</param>
/// <param name="Renewed">When the access token that there is was asked for; null where there is none.</param>
/// <param name="Failure">Why somebody has to give it, or to give it again; null where all is well.</param>
/// <param name="PendingUntil">When a flow under way is over; null for none.</param>
/// <param name="FlowFailure">How the last flow ended, where it did not end well.</param>
[GenerateSerializer, Immutable, Alias("integration-authorization")]
public sealed record IntegrationAuthorization(DateTimeOffset? Granted, DateTimeOffset? Renewed, string? Failure, DateTimeOffset? PendingUntil, string? FlowFailure)
{
    public bool IsAuthorized => Granted is not null && Failure is null;
}

/// <summary>An access token, or why there is none.</summary>
/// <param name="SealedToken">Sealed under the cluster's secret, so that it crosses no wire open; empty where there is none.</param>
/// <param name="GoodFor">From now on; null where the service has not said.</param>
/// <param name="AskAfter">When to ask again.</param>
/// <param name="Failure">Null where there is one.</param>
/// <param name="IsTransient">It may be there in a moment; else somebody has to do something.</param>
[GenerateSerializer, Immutable, Alias("access-grant")]
public sealed record AccessGrant(ImmutableArray<byte> SealedToken, TimeSpan? GoodFor, TimeSpan AskAfter, string? Failure, bool IsTransient)
{
    public static AccessGrant None(string failure, bool isTransient) => new([], null, TimeSpan.Zero, failure, isTransient);
}
