using System.Collections.Immutable;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Grains.Integrations;
using DarkStorage.Metadata;
using DarkStorage.Rules.Tiers;
using Microsoft.Extensions.Logging;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Grains.Tiers;

/// <summary>The tiers that were configured; the one that is always there is not among them.</summary>
[GenerateSerializer, Alias("tiers-state")]
public sealed class TiersState
{
    [Id(0)]
    public ImmutableArray<Tier> Tiers { get; set; } = [];

    /// <summary>Of the tier that is always there, as programs from before said it.</summary>
    [Id(1)]
    public decimal? HotCost { get; set; }

    /// <summary>The tier that is always there, with its costs; null where nothing was said of them, or by programs from before.</summary>
    [Id(2)]
    public Tier? Hot { get; set; }
}

internal sealed partial class TiersGrain(IMetadataIndex index, TimeProvider clock, [PersistentState("tiers", StorageNames.Index)] IPersistentState<TiersState> state, ILogger<TiersGrain> log) : Grain, ITiersGrain
{
    private const int EndedAtOnceMax = 10_000;

    /// <summary>Every node knows what a restore is; that stays so.</summary>
    private bool _knowsRestores;

    public Task<ImmutableArray<Tier>> ListAsync(CancellationToken ct) => Task.FromResult(state.State.Tiers.Insert(0, Hot).Select(WithUsual).ToImmutableArray());

    /// <summary>As it was said, without what is usual.</summary>
    private Tier Hot => state.State.Hot ?? Tier.Hot with { Cost = state.State.HotCost };

    private Tier WithUsual(Tier tier) => TierRules.WithUsual(tier, Hot.Cost);

    public async Task<Tier> ConfigureAsync(Tier said, CancellationToken ct)
    {
        if (TierRules.WhyNot(said, state.State.Tiers) is { } reason) throw new StorageException(StorageError.InvalidArgument, reason);
        await RequireWorkingAsync(said, ct);
        var before = state.State.Tiers.FirstOrDefault(t => t.Name == said.Name) ?? new(said.Name, "", null);
        var tier = before with { StorageClass = said.StorageClass, Integration = said.Integration, Latency = said.Latency == TierLatency.Unknown ? before.Latency : said.Latency };
        await RequireLevelAsync(said.Latency == TierLatency.Unknown ? ClusterLevels.Restores : ClusterLevels.TierTraits, ct);
        // The integration looks here before it leaves its place: it sees the tier, or is seen to leave.
        await KeepAsync([.. state.State.Tiers.Where(t => t.Name != tier.Name).Append(tier).OrderBy(t => t.Name, StringComparer.Ordinal)], state.State.Hot, () => RequireUsableAsync(tier, ct), ct);
        LogConfigured(log, tier.Name, tier.StorageClass, tier.Integration!);
        return WithUsual(tier);
    }

    public async Task<Tier> SetCostsAsync(string name, TierCosts costs, CancellationToken ct)
    {
        var tier = costs.Of(Find(name));
        if (TierRules.WhyNotCosts(name, costs) is { } reason) throw new StorageException(StorageError.InvalidArgument, reason);
        await RequireLevelAsync(costs.Multiplier is null ? ClusterLevels.Usage : ClusterLevels.TierTraits, ct);
        await KeepAsync([.. state.State.Tiers.Select(t => t.Name == name ? tier : t)], name == Tier.Hot.Name ? tier : state.State.Hot, static () => Task.CompletedTask, ct);
        return WithUsual(tier);
    }

    public async Task<Tier> SetLatencyAsync(string name, TierLatency latency, CancellationToken ct)
    {
        var tier = Find(name) with { Latency = latency };
        if (name == Tier.Hot.Name) throw new StorageException(StorageError.InvalidArgument, $"The tier {name} is the cluster's own drives, which answer in milliseconds.");
        await RequireLevelAsync(ClusterLevels.TierTraits, ct);
        await KeepAsync([.. state.State.Tiers.Select(t => t.Name == name ? tier : t)], state.State.Hot, static () => Task.CompletedTask, ct);
        return WithUsual(tier);
    }

    public Task<Tier> SetCostAsync(string name, decimal cost, CancellationToken ct) => SetCostsAsync(name, TierCosts.None with { Storage = cost }, ct);

    public async Task<bool> RemoveAsync(string name, CancellationToken ct)
    {
        if (state.State.Tiers.FirstOrDefault(t => t.Name == name) is not { } tier) return false;
        await KeepAsync([.. state.State.Tiers.Where(t => t.Name != name)], state.State.Hot, static () => Task.CompletedTask, ct);
        var moves = 0L;
        for (var ended = (long)EndedAtOnceMax; ended == EndedAtOnceMax; moves += ended) ended = await index.EndMovesAsync(tier.StorageClass, EndedAtOnceMax, ct);
        LogRemoved(log, name, moves);
        return true;
    }

    public async Task<ImmutableArray<Tier>> FindUsableAsync(ImmutableArray<string> names, CancellationToken ct)
    {
        var found = ImmutableArray.CreateBuilder<Tier>(names.Length);
        foreach (var name in names) found.Add(await FindUsableAsync(name, ct));
        return found.MoveToImmutable();
    }

    public async Task AssignAsync(BucketId bucket, ImmutableArray<VersionAddress> versions, string tier, CancellationToken ct)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(versions.Length, ITiersGrain.MovesMax);
        var wanted = await FindUsableAsync(tier, ct);
        await index.WishMovesAsync([.. versions.Select(v => new MoveWish(bucket, v.Key, v.Version, wanted.StorageClass, MoveOrigin.Operator))], clock.GetUtcNow(), ct);
    }

    public async Task RequireRestoresAsync(CancellationToken ct)
    {
        if (_knowsRestores) return;
        if (index is IClusterIndex cluster && await cluster.TryUseLevelAsync(ClusterLevels.Restores, ct) is { } older) throw new StorageException(StorageError.Unavailable, ClusterLevels.RefusalBy(older));
        _knowsRestores = true;
    }

    public async Task<Move?> FindMoveAsync(BucketId bucket, string key, VersionId version, CancellationToken ct) => await index.FindMoveAsync(bucket, key, version, ct);

    public async Task<ImmutableArray<Move>> ListMovesAsync(int max, CancellationToken ct) => [.. await index.ListMovesAsync(Math.Clamp(max, 1, ITiersGrain.MovesMax), ct)];

    private async Task RequireLevelAsync(int level, CancellationToken ct)
    {
        if (index is IClusterIndex cluster && await cluster.TryUseLevelAsync(level, ct) is { } older) throw new StorageException(StorageError.Conflict, ClusterLevels.RefusalBy(older));
    }

    private async Task<Tier> FindUsableAsync(string name, CancellationToken ct)
    {
        var found = Find(name);
        await RequireUsableAsync(found, ct);
        return found;
    }

    /// <exception cref="StorageException"><see cref="StorageError.NoSuchTier"/>.</exception>
    private Tier Find(string name) => state.State.Tiers.Append(Hot).FirstOrDefault(t => t.Name == name) ?? throw new StorageException(StorageError.NoSuchTier, TierRules.MissingOf(name));

    private async Task RequireUsableAsync(Tier tier, CancellationToken ct)
    {
        if (tier.Integration is not { } name) return;
        var settings = await GrainFactory.FindSettingsForWritingAsync(name, ct) ?? throw new StorageException(StorageError.NoSuchIntegration, $"There is no integration {name}.");
        if (!settings.IsEnabled) throw new StorageException(StorageError.InvalidArgument, $"The tier {tier.Name} is at the integration {name}, which is disabled.");
    }

    /// <summary>Writes to the place, and reads back: bytes that can't be read at once could not be verified when they are moved there.</summary>
    private async Task RequireWorkingAsync(Tier tier, CancellationToken ct)
    {
        await RequireUsableAsync(tier, ct);
        if ((await GrainFactory.GetGrain<IIntegrationGrain>(tier.Integration!).TestAsync(ct)).Steps.FirstOrDefault(s => s.Failure is not null) is { } failed)
            throw new StorageException(StorageError.InvalidArgument, $"The integration {tier.Integration} does not pass its test, at \"{failed.Name}\": {failed.Failure}");
    }

    /// <param name="check">The last look, when whoever asks for the tiers sees the new ones.</param>
    private async Task KeepAsync(ImmutableArray<Tier> tiers, Tier? hot, Func<Task> check, CancellationToken ct)
    {
        var before = (state.State.Tiers, state.State.Hot);
        try
        {
            (state.State.Tiers, state.State.Hot) = (tiers, hot);
            await check();
            await state.WriteStateAsync(ct);
        }
        catch
        {
            (state.State.Tiers, state.State.Hot) = before;
            DeactivateOnIdle(); // it may have been written: what the index has is loaded anew
            throw;
        }
    }

    [LoggerMessage(LogLevel.Information, "The tier {Tier} has the storage class {StorageClass} and is at {Integration}")]
    private static partial void LogConfigured(ILogger log, string tier, string storageClass, string integration);

    [LoggerMessage(LogLevel.Information, "The tier {Tier} was removed, and with it {Moves} moves that were wanted")]
    private static partial void LogRemoved(ILogger log, string tier, long moves);
}
