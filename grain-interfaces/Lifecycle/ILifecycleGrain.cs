using Orleans;

namespace DarkStorage.GrainInterfaces.Lifecycle;

/// <summary>Runs a bucket's lifecycle, again and again, for as long as it has one. The grain's key is the bucket's name.</summary>
[Alias("lifecycle")]
public interface ILifecycleGrain : IGrainWithStringKey
{
    /// <summary>The bucket has a lifecycle now, or another one: the next run begins soon. Called again it changes nothing.</summary>
    [Alias("wake")]
    Task WakeAsync(CancellationToken ct);

    /// <returns>What the last run did, and the one under way, if any.</returns>
    [Alias("get-status")]
    Task<LifecycleStatus> GetStatusAsync(CancellationToken ct);

    /// <summary>What a run would do now, without doing it.</summary>
    /// <param name="versionsMax">Versions looked at, at the most.</param>
    [Alias("preview")]
    Task<LifecycleReport> PreviewAsync(int versionsMax, CancellationToken ct);
}

/// <param name="Running">What the run under way did so far; null where none is.</param>
/// <param name="Last">The last run that came to its end; null before the first.</param>
[GenerateSerializer, Immutable, Alias("lifecycle-status")]
public sealed record LifecycleStatus(LifecycleReport? Running, LifecycleReport? Last);

/// <summary>What a run did, or would do.</summary>
/// <param name="Ended">Null while it goes on, or where it was cut short.</param>
/// <param name="Expired">Objects deleted as a client would.</param>
/// <param name="Removed">Versions and delete markers removed for good.</param>
/// <param name="Bytes">Of those versions and objects.</param>
/// <param name="Locked">Kept by object lock though a rule would have removed them.</param>
/// <param name="Failed">Tried and not done: the next run tries again.</param>
[GenerateSerializer, Immutable, Alias("lifecycle-report")]
public sealed record LifecycleReport(
    DateTimeOffset Begun, DateTimeOffset? Ended, long Looked, long Expired, long Removed, long Transitioned, long UploadsAborted, long Bytes, long Locked, long Failed)
{
    public static LifecycleReport At(DateTimeOffset begun) => new(begun, null, 0, 0, 0, 0, 0, 0, 0, 0);
}
