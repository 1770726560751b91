using System.Diagnostics.Metrics;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Grains.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Silo.Workers;
using DarkStorage.Storage;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Replicas;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Silo.Cluster;

/// <summary>Keeps this node's drive as the layout has it: mends what is in the queue of repairs, fetches what a new layout gives it, and frees what it took away.</summary>
/// <remarks>
/// Invariants. A node says that it has moved to a layout only when it has gone through all that the former holders of its partitions had, after every live node worked by that
/// layout: a write that began by an older one is in what was gone through, or enters its own repair when it ends. Nothing is freed of a partition that is not settled.
/// Everything here can be cut short at any point and begins anew: what is there and whole is not copied again.
/// </remarks>
internal sealed partial class ReplicaCare(
    IClusterIndex index, IMetadataIndex objects, ClusterLayout layouts, PackStore drive, ReplicaRepair repair, HealPace pace, IGrainFactory grains, IClusterMembershipService membership, ILocalSiloDetails silo,
    IOptions<ClusterOptions> options, IOptions<GarbageOptions> garbage, TimeProvider clock, ILogger<ReplicaCare> log) : BackgroundService
{
    private const int RepairsMax = 256;

    /// <summary>For how long repairs may keep movements waiting. One may wait for a node that does not answer.</summary>
    private static readonly TimeSpan RepairsTurn = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan RepairsEvery = TimeSpan.FromSeconds(10);

    private static readonly Meter Meter = new("DarkStorage.Silo");
    private static readonly Counter<long> Mended = Meter.CreateCounter<long>("darkstorage.cluster.repairs", "{blob}", "Repairs that were tried, by how they ended.");
    private static readonly Counter<long> Copied = Meter.CreateCounter<long>("darkstorage.cluster.copied", "By", "Bytes copied to this node's drive from others, by why: to mend it, or to move what a new layout gives it.");
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan HopeAgainAfter = TimeSpan.FromHours(1);
    private static readonly TimeSpan TidyEvery = TimeSpan.FromHours(1);

    private readonly WakeUp _wake = new();
    private string? _told;
    private string? _putOff;
    private Movement? _movement;
    private long _moved = -1;
    private long _tidied = -1;
    private DateTimeOffset _tidyAfter;
    private DateTimeOffset _fetchAfter;

    // With it the counters are there from the start, and not from the first repair on.
    static ReplicaCare()
    {
    }

    private NodeId Me => NodeIds.Of(drive.Id);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        layouts.Changed += _wake.Wake;
        try
        {
            while (true)
            {
                try
                {
                    await AdmitAsync(stoppingToken);
                    await RepairAsync(stoppingToken);
                    await FollowAsync(stoppingToken);
                    _putOff = null;
                }
                catch (Exception e) when (e is not OperationCanceledException || !stoppingToken.IsCancellationRequested)
                {
                    // The index or a peer is away: the next round tries again, and says so again only if it is something else.
                    if (e.Message != _putOff) LogPutOff(log, e.Message);
                    _putOff = e.Message;
                }
                await _wake.WaitAsync(options.Value.Interval, stoppingToken);
            }
        }
        finally
        {
            layouts.Changed -= _wake.Wake;
        }
    }

    public override void Dispose()
    {
        base.Dispose();
        _wake.Dispose();
    }

    private async Task AdmitAsync(CancellationToken ct)
    {
        if (layouts.Current is { } layout && layout.Nodes.Any(n => n.Id == Me && n.State != NodeState.Gone)) return;
        var waits = await grains.GetGrain<IClusterGrain>(IClusterGrain.Key).AdmitAsync(Me, ct);
        if (waits is null) await layouts.RefreshAsync(ct);
        else if (waits != _told) LogWaits(log, waits);
        _told = waits;
    }

    /// <summary>Works off what is due, until nothing is or its turn has ended. What could not be mended goes behind the others.</summary>
    private async Task RepairAsync(CancellationToken ct)
    {
        for (var begun = clock.GetTimestamp(); layouts.Current is not null && clock.GetElapsedTime(begun) < RepairsTurn;)
        {
            var due = await index.ListRepairsAsync(drive.Id, clock.GetUtcNow(), RepairsMax, ct);
            if (due.Count == 0) return;
            var (done, later, hopeless) = (new List<ReplicaRepairRecord>(), new List<ReplicaRepairRecord>(), new List<ReplicaRepairRecord>());
            foreach (var entry in due.TakeWhile(_ => clock.GetElapsedTime(begun) < RepairsTurn))
            {
                try
                {
                    (await RepairAsync(entry, ct) switch { RepairOutcome.Incomplete => later, RepairOutcome.Hopeless => hopeless, _ => done }).Add(entry);
                }
                catch (Exception e) when (e is not (OperationCanceledException or StorageException { Error: StorageError.IndexAway }))
                {
                    LogDefect(log, entry.Blob, e); // one entry that can't be worked off is not to keep the others
                    later.Add(entry);
                }
            }
            if (done.Count > 0) await index.EndRepairsAsync(drive.Id, done, ct);
            if (later.Count > 0) await index.DelayRepairsAsync(drive.Id, later, clock.GetUtcNow() + RetryAfter, ct);
            if (hopeless.Count > 0) await index.DelayRepairsAsync(drive.Id, hopeless, clock.GetUtcNow() + HopeAgainAfter, ct);
        }
    }

    private async Task<RepairOutcome> RepairAsync(ReplicaRepairRecord entry, CancellationToken ct)
    {
        if (await IsNeededByNobodyAsync(entry.Blob, ct)) return RepairOutcome.Done;
        var report = await repair.RepairAsync(new(entry.Blob, entry.Store, (RepairReason)entry.Reason), pace.SpendAsync, ct);
        if (report.Chunks > 0) LogRepaired(log, entry.Blob, report.Bytes);
        if (report.Outcome == RepairOutcome.Incomplete) LogIncomplete(log, entry.Blob, report.Why ?? "");
        var isLost = report.Outcome == RepairOutcome.Hopeless && await IsLostAsync(entry.Blob, report, ct);
        // What is nowhere and needed by nobody was deleted, though it be too young to be called an orphan: there is nothing to wait for.
        var outcome = report.Outcome != RepairOutcome.Hopeless || isLost ? report.Outcome : report.IsNowhere ? RepairOutcome.Done : RepairOutcome.Incomplete;
        Mended.Add(1, new KeyValuePair<string, object?>("outcome", isLost ? "lost" : outcome == RepairOutcome.Incomplete ? "incomplete" : "done"));
        Copied.Add(report.Bytes, new KeyValuePair<string, object?>("reason", "repair"));
        return outcome;
    }

    private async Task FollowAsync(CancellationToken ct)
    {
        if (layouts.Current is not { } layout) return;
        if (_moved < layout.Version)
        {
            if (clock.GetUtcNow() < _fetchAfter || !await AllWorkByAsync(layout.Version, ct)) return;
            _fetchAfter = clock.GetUtcNow() + RetryAfter;
            if (!await FetchAsync(layout, ct)) return;
            _fetchAfter = default;
            if (layouts.Current?.Version != layout.Version) return;
            if (!await index.ReportLayoutAsync(drive.Id, layout.Version, layout.Version, ct)) return;
            _moved = layout.Version;
        }
        if (layout.Partitions.Any(p => !p.IsSettled)) await SettleAsync(layout, ct);
        else if (_tidied < layout.Version || clock.GetUtcNow() >= _tidyAfter)
        {
            (_tidied, _tidyAfter) = (layout.Version, clock.GetUtcNow() + RetryAfter);
            // Again after a while: what was being written was passed over.
            if (await TidyAsync(layout, ct)) _tidyAfter = clock.GetUtcNow() + TidyEvery;
        }
    }

    /// <summary>Whether every live node has taken the layout over, and ended its writes by older ones. One that the index does not list has not.</summary>
    private async Task<bool> AllWorkByAsync(long version, CancellationToken ct)
    {
        if (membership.CurrentSnapshot.GetSiloStatus(silo.SiloAddress) != SiloStatus.Active) return false; // who is not of the cluster himself does not know who else is
        var seen = (await index.ListNodesAsync(ct)).ToDictionary(n => n.Name, n => n.LayoutSeen, StringComparer.Ordinal);
        // Those that join or leave are among them: who leaves still ends its uploads.
        return membership.CurrentSnapshot.Members.Values.Where(m => m.Status is > SiloStatus.Created and < SiloStatus.Dead).All(m => seen.GetValueOrDefault(m.Name, -1) >= version);
    }

    /// <summary>Goes through what the former holders have of the partitions that are new here.</summary>
    private async Task<bool> FetchAsync(Layout layout, CancellationToken ct)
    {
        var wanted = Enumerable.Range(0, layout.Partitions.Length)
            .Where(p => !layout.Partitions[p].IsSettled && layout.Partitions[p].Nodes.Any(node => layout.Nodes[node].Id == Me)).ToHashSet();
        if (wanted.Count == 0) return true;
        var sources = wanted.SelectMany(layouts.HoldersOf).Where(s => s.Id != drive.Id).Distinct().ToList();
        if (_movement?.Version != layout.Version) _movement = new(index, drive.Id, layout.Version, clock);
        var blobs = 0L;
        await foreach (var blob in BlobsOfAllAsync(sources, ct))
        {
            if (wanted.Contains(layouts.PartitionOf(blob))) blobs++;
        }
        await _movement.BeginAsync(blobs, ct);
        var (whole, repairedAt) = (true, clock.GetTimestamp());
        await foreach (var blob in BlobsOfAllAsync(sources, ct))
        {
            if (layouts.Current?.Version != layout.Version) return false;
            if (!wanted.Contains(layouts.PartitionOf(blob))) continue;
            if (clock.GetElapsedTime(repairedAt) >= RepairsEvery)
            {
                await RepairAsync(ct);
                repairedAt = clock.GetTimestamp();
            }
            var report = await repair.RepairAsync(new(blob, drive.Id, RepairReason.Missed), pace.SpendAsync, ct);
            if (report.Outcome == RepairOutcome.Incomplete)
            {
                if (!await IsNeededByNobodyAsync(blob, ct)) whole = false;
                LogIncomplete(log, blob, report.Why ?? "");
            }
            // It is as lost after the movement as before; what is left of it stays where it is.
            if (report.Outcome == RepairOutcome.Hopeless) await IsLostAsync(blob, report, ct);
            Copied.Add(report.Bytes, new KeyValuePair<string, object?>("reason", "move"));
            await _movement.PassAsync(report, ct);
        }
        await _movement.TellAsync(ct);
        if (_movement.Copied > 0) LogFetched(log, _movement.Copied, _movement.Bytes, layout.Version);
        return whole;
    }

    /// <summary>Freed, deleted, or left by a crash. Of what is young the commit may be on its way still, so that the index does not know it says nothing; and by a clock that is wrong everything may be.</summary>
    private async Task<bool> IsNeededByNobodyAsync(BlobId blob, CancellationToken ct)
    {
        if ((await objects.FindUnknownBlobsAsync([blob], ct)).Count > 0)
        {
            var now = clock.GetUtcNow();
            return blob.Minted < now - garbage.Value.OrphanAge && await objects.CheckClockAsync(now, ct) is null;
        }
        return (await index.FindNeededBlobsAsync([blob], ct)).Count == 0; // asked second: what was committed meanwhile is known, and needed
    }

    /// <returns>Whether something needs the blob. Then data is lost, and an operator is told. What the index does not know was never acknowledged: a crash left it, or its write is under way.</returns>
    private async Task<bool> IsLostAsync(BlobId blob, RepairReport report, CancellationToken ct)
    {
        var isNeeded = (await index.FindNeededBlobsAsync([blob], ct)).Count > 0;
        if (isNeeded) LogHopeless(log, blob, report.Why ?? "");
        else LogIncomplete(log, blob, report.Why ?? "");
        return isNeeded;
    }

    private async Task SettleAsync(Layout layout, CancellationToken ct)
    {
        var nodes = (await index.ListNodesAsync(ct)).ToDictionary(n => NodeIds.Of(n.Store));
        if (layout.Nodes.All(n => n.State != NodeState.Active || (nodes.TryGetValue(n.Id, out var known) && known.LayoutMoved >= layout.Version)))
            await grains.GetGrain<IClusterGrain>(IClusterGrain.Key).SettleAsync(layout.Version, ct);
    }

    /// <summary>Frees what belongs to others, once they show that they have it: a settled layout says that they should, and nothing is freed on its word alone. Who lacks something gets it
    /// from here: so a node that was taken out while it was away brings back what the others could not make anew.</summary>
    private async Task<bool> TidyAsync(Layout layout, CancellationToken ct)
    {
        var (freed, brought, kept) = (0, 0, 0);
        await foreach (var blob in BlobsOfAsync(drive, ct))
        {
            if (layouts.Current?.Version != layout.Version) return false;
            if (layouts.ForRead(blob).Any(place => place.Store.Id == drive.Id && place.ShouldHold && place.Shard == blob.Shard)) continue;
            var lacking = new List<ChunkStore>();
            if (!await repair.IsElsewhereAsync(drive, blob, store =>
            {
                lacking.Add(store);
                return Task.CompletedTask;
            }, ct) && !await IsNeededByNobodyAsync(blob.Whole, ct))
            {
                foreach (var store in lacking)
                {
                    var report = await repair.RepairAsync(new(blob.Whole, store.Id, RepairReason.Missing), pace.SpendAsync, ct, also: drive);
                    if (report.Chunks > 0) brought++;
                }
                kept++;
                continue;
            }
            await drive.DeleteAsync(blob, ct);
            freed++;
        }
        if (brought > 0) LogBrought(log, brought);
        if (freed > 0) LogFreed(log, freed);
        return kept == 0;
    }

    /// <summary>The blobs of several stores, each once, whether they are there as they are or in shards: the lists are in the order of ids, so the least of what comes next is next.</summary>
    private static async IAsyncEnumerable<BlobId> BlobsOfAllAsync(IReadOnlyList<ChunkStore> stores, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken ct)
    {
        var lists = stores.Select(s => BlobsOfAsync(s, ct).GetAsyncEnumerator(ct)).ToList();
        try
        {
            var (open, due, last) = (lists.ToList(), lists.ToList(), default(BlobId));
            while (true)
            {
                foreach (var list in due)
                {
                    if (!await list.MoveNextAsync()) open.Remove(list);
                }
                if (open.Count == 0) yield break;
                var next = open.Min(l => l.Current.Whole);
                if (next != last) yield return last = next;
                due = [.. open.Where(l => l.Current.Whole == next)];
            }
        }
        finally
        {
            foreach (var list in lists) await list.DisposeAsync();
        }
    }

    private static async IAsyncEnumerable<BlobId> BlobsOfAsync(ChunkStore store, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken ct)
    {
        for (var after = default(BlobId); ;)
        {
            var page = await store.ListBlobsAsync(after, DateTimeOffset.MaxValue, ChunkStore.ListMax, ct);
            if (page.Count == 0) yield break;
            foreach (var blob in page) yield return blob;
            after = page[^1];
        }
    }

    [LoggerMessage(LogLevel.Information, "This node is not in the layout yet: {Why}")]
    private static partial void LogWaits(ILogger log, string why);

    [LoggerMessage(LogLevel.Warning, "The care of this node's replicas is put off: {Why}")]
    private static partial void LogPutOff(ILogger log, string why);

    [LoggerMessage(LogLevel.Information, "Mended blob {Blob}: {Bytes} bytes")]
    private static partial void LogRepaired(ILogger log, BlobId blob, long bytes);

    [LoggerMessage(LogLevel.Debug, "Blob {Blob} is not whole here yet: {Why}")]
    private static partial void LogIncomplete(ILogger log, BlobId blob, string why);

    [LoggerMessage(LogLevel.Error, "Blob {Blob} is lost unless a node that is away brings it back: {Why}")]
    private static partial void LogHopeless(ILogger log, BlobId blob, string why);

    [LoggerMessage(LogLevel.Error, "The repair of blob {Blob} failed; it will be tried again")]
    private static partial void LogDefect(ILogger log, BlobId blob, Exception exception);

    [LoggerMessage(LogLevel.Warning, "Brought {Blobs} blobs to nodes that they belong to, and that lacked them")]
    private static partial void LogBrought(ILogger log, int blobs);

    [LoggerMessage(LogLevel.Information, "Fetched {Blobs} blobs, {Bytes} bytes, for version {Version} of the layout")]
    private static partial void LogFetched(ILogger log, long blobs, long bytes, long version);

    [LoggerMessage(LogLevel.Information, "Freed {Blobs} blobs that belong to other nodes now")]
    private static partial void LogFreed(ILogger log, int blobs);
}
