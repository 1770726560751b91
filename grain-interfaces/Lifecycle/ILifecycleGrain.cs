using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
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

    /// <summary>As <see cref="PreviewPageAsync"/> of the first versions, which programs from before ask for.</summary>
    [Alias("preview")]
    Task<LifecycleReport> PreviewAsync(int versionsMax, CancellationToken ct);

    /// <summary>As <see cref="PreviewPageAsync"/> of the first versions, which programs from before ask for.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: the text is no policy.</exception>
    [Alias("preview-policy")]
    Task<LifecycleReport> PreviewPolicyAsync(string policy, int versionsMax, CancellationToken ct);

    /// <summary>What a run would do now, without doing it.</summary>
    /// <param name="policy">Stands in the place of the bucket's policies; null for those.</param>
    /// <param name="after">Where another page ended; null for the first.</param>
    /// <param name="versionsMax">Versions looked at, at the most. There may be fewer: of many, ten seconds' worth.</param>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: the text is no policy.</exception>
    [Alias("preview-page")]
    Task<LifecyclePreview> PreviewPageAsync(string? policy, LifecyclePlace? after, int versionsMax, CancellationToken ct);

    /// <summary>What the versions that are there would have been stored as, month by month, had a text stood in the place of the bucket's policies since they were made; as the bucket's lifecycle is now; and in the tier where they were written alone.</summary>
    /// <param name="from">The first month that is told of, as <see cref="UsageMonth.Number"/>.</param>
    /// <param name="versionsMax">Versions looked at, at the most.</param>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: the text is no policy.</exception>
    [Alias("estimate")]
    Task<LifecycleEstimate> EstimateAsync(string policy, int from, int versionsMax, CancellationToken ct);

    /// <returns>Why a version is where it is, what the next run does with it, and what comes later, in sentences; null where there is no such version.</returns>
    /// <param name="version">Null for the current one.</param>
    [Alias("explain")]
    Task<ImmutableArray<string>?> ExplainAsync(string key, VersionName? version, CancellationToken ct);
}

/// <param name="Running">What the run under way did so far; null where none is.</param>
/// <param name="Last">The last run that came to its end; null before the first.</param>
/// <param name="Before">The runs before that one, the newest first; runs that found nothing to do are not among them.</param>
/// <param name="Problem">What keeps versions from being moved, or runs from doing anything, as a sentence; null where nothing does.</param>
[GenerateSerializer, Immutable, Alias("lifecycle-status")]
public sealed record LifecycleStatus(LifecycleReport? Running, LifecycleReport? Last, ImmutableArray<LifecycleReport> Before, string? Problem = null);

/// <summary>What a run would do with some of a bucket's versions.</summary>
/// <param name="Next">Where the next page goes on; null where there are no more.</param>
[GenerateSerializer, Immutable, Alias("lifecycle-preview")]
public sealed record LifecyclePreview(LifecycleReport Report, LifecyclePlace? Next);

/// <summary>A version that was looked at, and what those behind it turn on.</summary>
/// <param name="Above">When it was made.</param>
/// <param name="Noncurrent">Noncurrent versions of its key up to it.</param>
[GenerateSerializer, Immutable, Alias("lifecycle-place")]
public sealed record LifecyclePlace(string Key, VersionName? Version, long Revision, DateTimeOffset Above, int Noncurrent);

/// <summary>What a run did, or would do.</summary>
/// <param name="Ended">Null while it goes on, or where it was cut short.</param>
/// <param name="Expired">Objects deleted as a client would.</param>
/// <param name="Removed">Versions and delete markers removed for good.</param>
/// <param name="Bytes">Of those versions and objects.</param>
/// <param name="Locked">Kept by object lock though a rule would have removed them.</param>
/// <param name="Failed">Tried and not done: the next run tries again.</param>
/// <param name="Transitioned">Moves that it asked for, which workers do; and changes of a class that is no tier's.</param>
/// <param name="Moves">The same, by where from and where to.</param>
/// <param name="Waiting">Versions that are to move, and were to before: by a run that came earlier, or an operator.</param>
[GenerateSerializer, Immutable, Alias("lifecycle-report")]
public sealed record LifecycleReport(
    DateTimeOffset Begun, DateTimeOffset? Ended, long Looked, long Expired, long Removed, long Transitioned, long UploadsAborted, long Bytes, long Locked, long Failed, ImmutableArray<LifecycleMoves> Moves, long Waiting = 0)
{
    public static LifecycleReport At(DateTimeOffset begun) => new(begun, null, 0, 0, 0, 0, 0, 0, 0, 0, []);

    /// <summary>One that an older program made has no moves.</summary>
    public static LifecycleReport? Whole(LifecycleReport? report) => report is { Moves.IsDefault: true } ? report with { Moves = [] } : report;
}

/// <summary>Transitions of a run from one storage class to another.</summary>
/// <param name="Bytes">Of the versions.</param>
[GenerateSerializer, Immutable, Alias("lifecycle-moves")]
public sealed record LifecycleMoves(string From, string To, long Versions, long Bytes);

/// <summary>What versions would have been stored as.</summary>
/// <param name="IsWhole">All versions were looked at.</param>
/// <param name="With">The text in the place of the bucket's policies.</param>
/// <param name="AsItIs">The bucket's lifecycle as it is now.</param>
/// <param name="Unmoved">Where they were written.</param>
[GenerateSerializer, Immutable, Alias("lifecycle-estimate")]
public sealed record LifecycleEstimate(bool IsWhole, long Looked, ImmutableArray<EstimatedUsage> With, ImmutableArray<EstimatedUsage> AsItIs, ImmutableArray<EstimatedUsage> Unmoved);
