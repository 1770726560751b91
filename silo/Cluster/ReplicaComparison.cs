using System.Diagnostics.Metrics;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Grains.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Silo.Workers;
using DarkStorage.Storage;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Replicas;
using Microsoft.Extensions.Options;

namespace DarkStorage.Silo.Cluster;

/// <summary>The scrub across replicas: goes through all blobs that the index needs, and enters for repair what this drive should have and lacks. A drive's own scrub
/// re-reads what is there; it can't know of what is not, such as a pack file that went.</summary>
/// <remarks>
/// Every node looks for what it lacks itself, so together they find what is missing anywhere, and what nobody has any more. What is younger than the garbage's grace period is left out: a slow replica may just be taking
/// it, and the writer enters what it then lacks. Partitions that move are left to the movement. Who can't be asked is left out of this pass.
/// </remarks>
internal sealed partial class ReplicaComparison(
    IClusterIndex index, ClusterLayout layouts, PackStore drive, IOptions<ClusterOptions> options, IOptions<GarbageOptions> garbage, TimeProvider clock, ILogger<ReplicaComparison> log) : BackgroundService
{
    private const int PageMax = 1_000;
    private static readonly TimeSpan RetryAfter = TimeSpan.FromMinutes(1);

    private static readonly Meter Meter = new("DarkStorage.Silo");
    private static readonly Counter<long> Compared = Meter.CreateCounter<long>("darkstorage.replicas.compared", "{blob}", "Blobs that the index needs and that were looked for on this node's drive.");
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
        var (compared, lacking, silent) = (0L, 0L, new HashSet<ChunkStore>());
        var mintedBefore = clock.GetUtcNow() - garbage.Value.GracePeriod;
        for (var after = default(BlobId); ;)
        {
            var page = await index.ListNeededBlobsAsync(after, PageMax, ct);
            if (page.Count == 0) break;
            after = page[^1];
            foreach (var blob in page)
            {
                if (blob.Minted >= mintedBefore || PlaceHere(blob) is not { } here) continue;
                await _pace.SpendAsync(1, ct);
                compared++;
                if (await HasAllAsync(blob, here, silent, ct)) continue;
                lacking++;
                await index.EnqueueRepairAsync(new(blob, drive.Id, (int)RepairReason.Missing), clock.GetUtcNow(), ct);
            }
        }
        Compared.Add(compared);
        Lacking.Add(lacking);
        if (lacking > 0) LogLacking(log, lacking, compared);
        else LogComplete(log, compared);
        if (silent.Count > 0) LogSilent(log, silent.Count);
    }

    /// <returns>What of a blob belongs on this drive by the layout as it is now; null where nothing does, or is just about to.</returns>
    private ReadPlace? PlaceHere(BlobId blob)
    {
        if (layouts.Current is not { } layout || layouts.PartitionOf(blob) is var partition && !layout.Partitions[partition].IsSettled) return null;
        foreach (var place in layouts.ForRead(blob))
        {
            if (place.Store == drive && place.ShouldHold) return place;
        }
        return null;
    }

    /// <summary>Whether this drive has something of the blob, and each chunk that another has.</summary>
    private async Task<bool> HasAllAsync(BlobId blob, ReadPlace here, HashSet<ChunkStore> silent, CancellationToken ct)
    {
        if ((await drive.ListChunksAsync(blob.OfShard(here.Shard), 0, 1, ct)).Count == 0) return false;
        foreach (var other in layouts.ForRead(blob).Where(place => place.Store != drive && place.ShouldHold && !silent.Contains(place.Store)))
        {
            try
            {
                if (!await HasAllOfAsync(blob, here, other, ct)) return false;
            }
            catch (StorageException)
            {
                silent.Add(other.Store);
            }
        }
        return true;
    }

    /// <summary>Of a striped blob all shards of a chunk have one length.</summary>
    private async Task<bool> HasAllOfAsync(BlobId blob, ReadPlace here, ReadPlace other, CancellationToken ct)
    {
        for (var from = 0; ;)
        {
            var theirs = await other.Store.ListChunksAsync(blob.OfShard(other.Shard), from, ChunkStore.ListMax, ct);
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

    [LoggerMessage(LogLevel.Information, "{Stores} nodes could not be asked what they have; the next comparison asks them")]
    private static partial void LogSilent(ILogger log, int stores);

    [LoggerMessage(LogLevel.Information, "The comparison with the other replicas is put off: {Why}")]
    private static partial void LogPutOff(ILogger log, string why);
}
