using System.ComponentModel.DataAnnotations;
using System.Diagnostics.Metrics;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Grains.Integrations;
using DarkStorage.Metadata;
using DarkStorage.Silo.Cluster;
using DarkStorage.Storage;
using Microsoft.Extensions.Options;
using Orleans;

namespace DarkStorage.Silo.Workers;

/// <summary>When bytes that no object needs go.</summary>
internal sealed record GarbageOptions
{
    /// <summary>Time between the freeing of a blob and the freeing of its bytes: a reader that found it before may still be reading. Default 5 minutes.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "30.00:00:00")]
    public TimeSpan GracePeriod { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Age from which bytes that the index has never heard of count as left by a crash. Default 1 day: far longer than a commit can
    /// be on its way after its caller gave up. A write under way is never taken, however long it takes; what is fetched from a place outside has to be committed within half of it.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "365.00:00:00")]
    public TimeSpan OrphanAge { get; init; } = TimeSpan.FromDays(1);

    /// <summary>Time between two looks. Default 10 seconds.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "1.00:00:00")]
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Time between two searches for orphans. Default 1 hour.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "30.00:00:00")]
    public TimeSpan OrphanInterval { get; init; } = TimeSpan.FromHours(1);
}

/// <summary>Frees the bytes of what was overwritten, deleted or aborted, and of what a crash left between bytes and facts.</summary>
/// <remarks>The index says what is garbage; bytes go first and the index forgets afterwards, so a crash in between only repeats work.
/// An orphan is a blob that is old and unknown to the index: it is freed only if the index says so, never on a guess.</remarks>
internal sealed partial class GarbageCollector(
    IMetadataIndex index, IBlobStore blobs, NodePlaces places, IGrainFactory grains, IOptions<GarbageOptions> options, IOptions<IntegrationOptions> integrations, TimeProvider clock, ILogger<GarbageCollector> log,
    IClusterIndex? cluster = null, NodeIdentity? self = null) : BackgroundService
{
    private const int BatchMax = 1_000;

    /// <summary>Blobs that are freed at one time: each may wait for a node that does not answer.</summary>
    private const int ParallelMax = 16;

    private static readonly Meter Meter = new("DarkStorage.Silo");
    private static readonly Counter<long> Freed = Meter.CreateCounter<long>("darkstorage.garbage.blobs_freed", "{blob}", "Blobs whose bytes were freed, by what made them garbage.");

    private static readonly Counter<long> OrphanSearches = Meter.CreateCounter<long>("darkstorage.garbage.orphan_searches", "{search}", "Searches for bytes that no object needs, finished.");

    private static long _collected;

    // In a cluster it is the newest of all nodes that counts: they take turns.
    static GarbageCollector() => Meter.CreateObservableGauge("darkstorage.garbage.collected.timestamp", () => TimestampOf(Interlocked.Read(ref _collected)), "s", "When this node last freed all that was garbage.");

    private static IEnumerable<Measurement<long>> TimestampOf(long seconds) => seconds > 0 ? [new(seconds)] : [];

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.WhenAll(CollectHereAsync(stoppingToken), CollectOutsideAsync(stoppingToken));

    private async Task CollectHereAsync(CancellationToken stoppingToken)
    {
        var searched = clock.GetTimestamp();
        using var timer = new PeriodicTimer(options.Value.Interval, clock);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                // In a cluster one node at a time collects what the index says, and each searches its own drive for what it does not.
                await CollectAsync(stoppingToken);
                if (clock.GetElapsedTime(searched) < options.Value.OrphanInterval) continue;
                if (await CollectOrphansAsync(stoppingToken)) OrphanSearches.Add(1);
                searched = clock.GetTimestamp(); // not by the time of day, which may be a year ahead and be set right
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailed(log, e); // garbage keeps: the next look tries again
            }
        }
    }

    private async Task CollectAsync(CancellationToken ct)
    {
        while (await IsMyTurnAsync("garbage", ct))
        {
            var garbage = await index.ListGarbageAsync(clock.GetUtcNow() - options.Value.GracePeriod, BatchMax, ct);
            if (garbage.Count == 0)
            {
                Interlocked.Exchange(ref _collected, clock.GetUtcNow().ToUnixTimeSeconds());
                return;
            }
            await DeleteAsync(garbage, ct);
            await index.ForgetGarbageAsync(garbage, ct);
            Freed.Add(garbage.Count, new KeyValuePair<string, object?>("reason", "freed"));
            LogCollected(log, garbage.Count);
        }
    }

    /// <summary>Asked before each batch: a turn ends where a batch takes longer than it.</summary>
    private async ValueTask<bool> IsMyTurnAsync(string work, CancellationToken ct) => cluster is null || await cluster.TryTakeTurnAsync(work, self!.Store, 3 * options.Value.Interval, ct);

    private Task DeleteAsync(IReadOnlyList<BlobId> garbage, CancellationToken ct) =>
        Parallel.ForEachAsync(garbage, new ParallelOptions { MaxDegreeOfParallelism = ParallelMax, CancellationToken = ct }, async (blob, ct) => await blobs.DeleteAsync(blob, ct));

    /// <summary>By a clock that is wrong, what another node has fetched from outside and not committed yet would be old.</summary>
    /// <returns>Whether it came to its end.</returns>
    private async Task<bool> CollectOrphansAsync(CancellationToken ct)
    {
        var after = default(BlobId);
        while (true)
        {
            var now = clock.GetUtcNow();
            if (await index.CheckClockAsync(now, ct) is { } wrong)
            {
                LogWrongClock(log, wrong);
                return false;
            }
            var stored = blobs.ListBlobs(after, now - options.Value.OrphanAge, BatchMax);
            if (stored.Count == 0) return true;
            after = stored[^1];
            var orphans = await index.FindUnknownBlobsAsync([.. stored.Select(static blob => blob.Whole).Distinct()], ct);
            await DeleteAsync(orphans, ct);
            if (orphans.Count == 0) continue;
            Freed.Add(orphans.Count, new KeyValuePair<string, object?>("reason", "orphaned"));
            LogOrphans(log, orphans.Count);
        }
    }

    [LoggerMessage(LogLevel.Debug, "Freed the bytes of {Count} blobs")]
    private static partial void LogCollected(ILogger log, int count);

    [LoggerMessage(LogLevel.Information, "Freed the bytes of {Count} blobs that a crash had left behind")]
    private static partial void LogOrphans(ILogger log, int count);

    [LoggerMessage(LogLevel.Warning, "What crashes left behind is not searched for: {Why}")]
    private static partial void LogWrongClock(ILogger log, string why);

    [LoggerMessage(LogLevel.Warning, "Collecting garbage failed; it will be tried again")]
    private static partial void LogFailed(ILogger log, Exception exception);
}
