using System.Collections.Immutable;
using Orleans;
using Orleans.Concurrency;

namespace DarkStorage.GrainInterfaces.Events;

/// <summary>One target of bucket notifications and the delivery of its events: at least once, of each key in the order of its changes. The grain's key is the target's name.</summary>
[Alias("event-target")]
public interface IEventTargetGrain : IGrainWithStringKey
{
    /// <summary>Makes the target or changes it. Events that wait go to the new address.</summary>
    /// <param name="secret">What messages are signed with; null leaves the one there is, empty takes it away.</param>
    [Alias("save")]
    Task<EventTarget> SaveAsync(Uri url, string? secret, CancellationToken ct);

    /// <returns>Null where there is no such target.</returns>
    [Alias("find"), AlwaysInterleave]
    Task<EventTarget?> FindAsync(CancellationToken ct);

    /// <summary>Ends the target, and with it the events that wait for it.</summary>
    /// <returns>Whether there was one.</returns>
    [Alias("remove")]
    Task<bool> RemoveAsync(CancellationToken ct);

    /// <summary>Seals the secret under the newest key of the silo that has the grain, where there is one that is sealed under another.</summary>
    /// <returns>Whether it was.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: no key opens it.</exception>
    [Alias("seal-anew")]
    Task<bool> SealAnewAsync(CancellationToken ct);

    /// <summary>Events were written for this target.</summary>
    [Alias("wake"), OneWay, AlwaysInterleave]
    Task WakeAsync();

    /// <summary>Sends a message once, and does not keep it.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchEventTarget"/>.</exception>
    [Alias("test"), AlwaysInterleave]
    Task<EventAnswer> TestAsync(ImmutableArray<byte> document, CancellationToken ct);

    /// <exception cref="StorageException"><see cref="StorageError.NoSuchEventTarget"/>.</exception>
    [Alias("get-status"), AlwaysInterleave]
    Task<EventTargetStatus> GetStatusAsync(CancellationToken ct);

    /// <summary>Sends events again that were delivered or given up and are still kept, in their order, before what comes next.</summary>
    /// <param name="since">Only those that occurred then or later.</param>
    /// <returns>How many.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchEventTarget"/>.</exception>
    [Alias("replay"), AlwaysInterleave]
    Task<long> ReplayAsync(DateTimeOffset since, CancellationToken ct);
}

/// <summary>Where events go.</summary>
/// <param name="IsSigned">Messages carry a signature. The secret is shown to nobody.</param>
[GenerateSerializer, Immutable, Alias("event-target-record")]
public sealed record EventTarget(string Name, Uri Url, bool IsSigned);

/// <param name="LastFailure">Why the last attempt that failed did; null since one succeeded.</param>
/// <param name="NextAttempt">When it is tried again; null where nothing waits, or is under way.</param>
[GenerateSerializer, Immutable, Alias("event-target-status")]
public sealed record EventTargetStatus(EventTarget Target, EventCounts Events, string? LastFailure, DateTimeOffset? NextAttempt);

/// <summary>The names of all targets. There is one such grain.</summary>
[Alias("event-targets")]
public interface IEventTargetsGrain : IGrainWithStringKey
{
    /// <summary>The key of the one grain.</summary>
    const string Key = "all";

    /// <exception cref="StorageException"><see cref="StorageError.TooManySettings"/>.</exception>
    [Alias("add")]
    Task AddAsync(string name, CancellationToken ct);

    [Alias("remove")]
    Task RemoveAsync(string name, CancellationToken ct);

    /// <returns>In their order.</returns>
    [Alias("list"), ReadOnly]
    Task<ImmutableArray<string>> ListAsync(CancellationToken ct);
}
