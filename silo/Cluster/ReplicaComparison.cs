using System.Diagnostics.Metrics;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Grains.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Silo.Workers;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Replicas;
using Microsoft.Extensions.Options;

namespace DarkStorage.Silo.Cluster;

/// <summary>The scrub across replicas: goes through what the other replicas of this node's partitions hold, and enters for repair what this drive lacks of it. A drive's own scrub
/// re-reads what is there; it can't know of what is not, such as a pack file that went.</summary>
/// <remarks>
/// Every node looks for what it lacks itself, so together they find what is missing anywhere. Only what the index needs counts: what it has freed is not brought back, and what
/// it does not know is being written, or is an orphan. Nor does what is younger than the garbage's grace period: a slow replica may just be taking it, and the writer enters what it then lacks.
/// Partitions that move are left to the movement.
/// </remarks>
internal sealed partial class ReplicaComparison(
    IClusterIndex index, ClusterLayout layouts, PackStore drive, IOptions<ClusterOptions> options, IOptions<GarbageOptions> garbage, TimeProvider clock, ILogger<ReplicaComparison> log) : BackgroundService
{
    private const int PageMax = 1_000;
    private static readonly TimeSpan RetryAfter = TimeSpan.FromMinutes(1);

    private static readonly Meter Meter = new("DarkStorage.Silo");
    private static readonly Counter<long> Compared = Meter.CreateCounter<long>("darkstorage.replicas.compared", "{blob}", "Blobs of other replicas that were looked for on this node's drive.");
    private static readonly Counter<long> Lacking = Meter.CreateCounter<long>("darkstorage.replicas.lacking", "{blob}", "Blobs that this node's drive was found to lack, or to have in part, and that were entered for repair.");

    private readonly Pace _pace = new(options.Value.CompareBlobsPerSecondMax, clock);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // Once after each start, for what went while the node was not there to see it.
        while (true)
        {
            var wait = options.Value.ComparePeriod;
            try
            {
                if (layouts.Current is null) wait = options.Value.Interval;
                else await CompareAsync(stoppingToken);
            }
            catch (Exception e) when (e is not OperationCanceledException || !stoppingToken.IsCancellationRequested)
            {
                LogPutOff(log, e.Message);
                wait = wait < RetryAfter ? wait : RetryAfter;
            }
            await Task.Delay(wait, clock, stoppingToken);
        }
    }

    private async Task CompareAsync(CancellationToken ct)
    {
        var (compared, lacking) = (0L, 0L);
        var others = Enumerable.Range(0, layouts.Current!.Partitions.Length).Where(IsMine)
            .SelectMany(layouts.HoldersOf).Where(s => s.Id != drive.Id).Distinct().ToList();
        var mintedBefore = clock.GetUtcNow() - garbage.Value.GracePeriod;
        foreach (var other in others)
        {
            for (var after = default(BlobId); ;)
            {
                var page = await other.ListBlobsAsync(after, mintedBefore, PageMax, ct);
                if (page.Count == 0) break;
                after = page[^1];
                var mine = page.Where(b => IsMine(layouts.PartitionOf(b))).Select(static b => b.Whole).Distinct().ToList();
                await _pace.SpendAsync(mine.Count, ct);
                foreach (var blob in await index.FindNeededBlobsAsync(mine, ct))
                {
                    compared++;
                    if (await HasAllOfAsync(blob, other, ct)) continue;
                    lacking++;
                    await index.EnqueueRepairAsync(new(blob, drive.Id, (int)RepairReason.Missing), clock.GetUtcNow(), ct);
                }
            }
        }
        Compared.Add(compared);
        Lacking.Add(lacking);
        if (lacking > 0) LogLacking(log, lacking, compared);
        else LogComplete(log, compared);
    }

    /// <summary>By the layout as it is now this drive holds the partition, and is not just about to.</summary>
    private bool IsMine(int partition) =>
        layouts.Current is { } layout && partition < layout.Partitions.Length && layout.Partitions[partition].IsSettled && layouts.HoldersOf(partition).Contains(drive);

    /// <summary>Whether this drive has each chunk that another has: of a striped blob its own shard of it. True where nothing of the blob belongs here.</summary>
    private async Task<bool> HasAllOfAsync(BlobId blob, ChunkStore other, CancellationToken ct)
    {
        var places = layouts.ForRead(blob);
        var (here, there) = (places.FirstOrDefault(p => p.Store == drive && p.ShouldHold), places.FirstOrDefault(p => p.Store == other));
        if (here.Store is null || there.Store is null) return true;
        for (var from = 0; ;)
        {
            var theirs = await other.ListChunksAsync(blob.OfShard(there.Shard), from, ChunkStore.ListMax, ct);
            var own = (await drive.ListChunksAsync(blob.OfShard(here.Shard), from, ChunkStore.ListMax, ct)).ToHashSet();
            if (!theirs.All(own.Contains)) return false;
            if (theirs.Count < ChunkStore.ListMax) return true;
            from = theirs[^1].Index + 1;
        }
    }

    [LoggerMessage(LogLevel.Warning, "This node's drive lacks {Lacking} of {Compared} blobs that other replicas have: they are brought to it")]
    private static partial void LogLacking(ILogger log, long lacking, long compared);

    [LoggerMessage(LogLevel.Information, "Compared {Compared} blobs with the other replicas: this node's drive has all of them")]
    private static partial void LogComplete(ILogger log, long compared);

    [LoggerMessage(LogLevel.Information, "The comparison with the other replicas is put off: {Why}")]
    private static partial void LogPutOff(ILogger log, string why);
}
