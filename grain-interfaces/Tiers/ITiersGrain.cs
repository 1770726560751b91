using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using Orleans;
using Orleans.Concurrency;

namespace DarkStorage.GrainInterfaces.Tiers;

/// <summary>The tiers of the cluster, and the moves between them that are wanted. There is one such grain: no two tiers may have the same storage class, which takes one who decides.</summary>
[Alias("tiers")]
public interface ITiersGrain : IGrainWithStringKey
{
    /// <summary>The key of the one grain.</summary>
    const string Key = "all";

    /// <returns>In the order of their names, but that <see cref="Tier.Hot"/> is the first; with what is usual where nothing was said.</returns>
    [Alias("list"), AlwaysInterleave]
    Task<ImmutableArray<Tier>> ListAsync(CancellationToken ct);

    /// <summary>Adds a tier, or changes the one of that name, whose costs stay, as its latency does where none is said. What lies in one that is changed stays where it is, and can be read.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: why it can't be; <see cref="StorageError.NoSuchIntegration"/>; <see cref="StorageError.Conflict"/>: a node runs an older program.</exception>
    [Alias("configure")]
    Task<Tier> ConfigureAsync(Tier said, CancellationToken ct);

    /// <summary>Says what a tier costs, that which is always there too.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchTier"/>; <see cref="StorageError.InvalidArgument"/>: it can't be that; <see cref="StorageError.Conflict"/>: a node runs an older program.</exception>
    [Alias("set-costs")]
    Task<Tier> SetCostsAsync(string name, TierCosts costs, CancellationToken ct);

    /// <summary>Says how soon a read of a tier that was configured begins. Its place is not asked.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchTier"/>; <see cref="StorageError.InvalidArgument"/>: it is the one that is always there; <see cref="StorageError.Conflict"/>: a node runs an older program.</exception>
    [Alias("set-latency")]
    Task<Tier> SetLatencyAsync(string name, TierLatency latency, CancellationToken ct);

    /// <summary>As <see cref="SetCostsAsync"/>: what nodes of level 9 call.</summary>
    [Alias("set-cost")]
    Task<Tier> SetCostAsync(string name, decimal cost, CancellationToken ct);

    /// <summary>Forgets a tier: nothing more goes there. What lies there stays, and can be read.</summary>
    /// <returns>Whether there was one.</returns>
    [Alias("remove")]
    Task<bool> RemoveAsync(string name, CancellationToken ct);

    /// <returns>The tiers of some names, in their order. New content may go to them.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchTier"/>; <see cref="StorageError.InvalidArgument"/>: a tier's integration is disabled; <see cref="StorageError.NoSuchIntegration"/>: it is gone.</exception>
    [Alias("find-usable"), AlwaysInterleave]
    Task<ImmutableArray<Tier>> FindUsableAsync(ImmutableArray<string> names, CancellationToken ct);

    /// <summary>Wants versions of a bucket moved to a tier. It is done by the nodes soon, again and again until it is done.</summary>
    /// <param name="versions">At most <see cref="MovesMax"/>.</param>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchTier"/>; <see cref="StorageError.InvalidArgument"/>: the tier's integration is disabled, or gone.</exception>
    [Alias("assign"), AlwaysInterleave]
    Task AssignAsync(BucketId bucket, ImmutableArray<VersionAddress> versions, string tier, CancellationToken ct);

    /// <summary>Makes sure that every node knows what a restore is, from now on.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>: a node runs an older program.</exception>
    [Alias("require-restores"), AlwaysInterleave]
    Task RequireRestoresAsync(CancellationToken ct);

    /// <returns>The move that is wanted of a version and not done; null where there is none.</returns>
    [Alias("find-move"), AlwaysInterleave]
    Task<Move?> FindMoveAsync(BucketId bucket, string key, VersionId version, CancellationToken ct);

    /// <returns>Moves that are wanted and not done, the longest due first.</returns>
    /// <param name="max">1 to <see cref="MovesMax"/>.</param>
    [Alias("list-moves"), AlwaysInterleave]
    Task<ImmutableArray<Move>> ListMovesAsync(int max, CancellationToken ct);

    /// <summary>Moves in one call.</summary>
    const int MovesMax = 1_000;
}
