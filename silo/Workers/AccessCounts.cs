using System.ComponentModel.DataAnnotations;
using System.Diagnostics.Metrics;
using System.Runtime.InteropServices;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Metadata;
using DarkStorage.Rules.Lifecycle.Language;
using DarkStorage.Silo.Cluster;
using Microsoft.Extensions.Options;

namespace DarkStorage.Silo.Workers;

/// <summary>How accesses are counted.</summary>
internal sealed record AccessCountOptions
{
    /// <summary>Time between two writes of what was counted: what a crash may take. Default 20 seconds, so that an object that is read often is written of seldom.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:01:00")]
    public TimeSpan FlushInterval { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Versions that are remembered between two writes; half as many begin the next write. Accesses of others are not counted. Default 200,000: some 40 MB where keys are short.</summary>
    [Range(1_000, 10_000_000)]
    public int VersionsMax { get; init; } = 200_000;
}

/// <summary>Counts accesses in memory, and writes them to the index every now and then.</summary>
/// <remarks>A write that fails is tried again; where it was done all the same its accesses count twice, which keeps a version where it is rather than sending it away.</remarks>
internal sealed partial class AccessCounts : BackgroundService, IAccessCounter
{
    /// <summary>So many requests can count at one time without waiting for each other.</summary>
    private const int Shards = 16;

    private const int BatchMax = 1_000;

    /// <summary>Rows that are looked at at one time for what can be forgotten, and how often at the most after each write.</summary>
    private const int LookedAtMax = 5_000, LooksMax = 10;

    /// <summary>Between two walks through all rows.</summary>
    private static readonly TimeSpan ForgetEvery = TimeSpan.FromHours(1);

    private static readonly Meter Meter = new("DarkStorage.Silo");
    private static readonly Counter<long> Written = Meter.CreateCounter<long>("darkstorage.accesses.counted", "{access}", "Accesses of versions that were counted and written to the index.");
    private static readonly Counter<long> Dropped = Meter.CreateCounter<long>("darkstorage.accesses.dropped", "{access}", "Accesses that found no room to be counted.");

    // With it the counters are there from the start.
    static AccessCounts()
    {
    }

    private readonly IMetadataIndex _index;
    private readonly IClusterIndex? _cluster;
    private readonly NodeIdentity? _self;
    private readonly AccessCountOptions _options;
    private readonly TimeProvider _clock;
    private readonly ILogger<AccessCounts> _log;
    private readonly Lock[] _locks = [.. Enumerable.Range(0, Shards).Select(static _ => new Lock())];
    private readonly Dictionary<Counted, (long Count, long Last)>[] _shards = [.. Enumerable.Range(0, Shards).Select(static _ => new Dictionary<Counted, (long, long)>())];
    private readonly SemaphoreSlim _halfFull = new(0, 1);

    /// <summary>How far the walk through all rows is, and when the next one begins.</summary>
    private AccessPlace? _forgotten;
    private DateTimeOffset _forgetFrom;

    public AccessCounts(IMetadataIndex index, IOptions<AccessCountOptions> options, TimeProvider clock, ILogger<AccessCounts> log, IClusterIndex? cluster = null, NodeIdentity? self = null) =>
        (_index, _options, _clock, _log, _cluster, _self) = (index, options.Value, clock, log, cluster, self);

    /// <param name="Day">In UTC, as <see cref="DateOnly.DayNumber"/>.</param>
    private readonly record struct Counted(BucketId Bucket, string Key, VersionId Version, int Day);

    public void Count(BucketId bucket, string key, VersionId version)
    {
        var now = _clock.GetUtcNow().UtcTicks;
        Add(new(bucket, key, version, (int)(now / TimeSpan.TicksPerDay)), 1, now);
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            await _halfFull.WaitAsync(_options.FlushInterval, stoppingToken);
            try
            {
                await WriteAsync(stoppingToken);
                await ForgetAsync(stoppingToken);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailed(_log, e); // what was counted is still there
            }
        }
    }

    /// <summary>Goes on through all that is known of accesses, and forgets what nothing can turn on any more.</summary>
    private async Task ForgetAsync(CancellationToken ct)
    {
        var now = _clock.GetUtcNow();
        if (now < _forgetFrom) return;
        var before = DateOnly.FromDateTime(now.UtcDateTime).AddDays(1 - AccessHistory.DaysMax);
        for (var look = 0; look < LooksMax; look++)
        {
            if (_cluster is not null && !await _cluster.TryTakeTurnAsync("accesses", _self!.Store, 3 * _options.FlushInterval, ct)) return;
            _forgotten = await _index.ForgetAccessesAsync(_forgotten, before, LookedAtMax, ct);
            if (_forgotten is not null) continue;
            _forgetFrom = now + ForgetEvery;
            return;
        }
    }

    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        try
        {
            await WriteAsync(cancellationToken);
        }
        catch (Exception e) when (e is StorageException or OperationCanceledException)
        {
            LogFailed(_log, e);
        }
    }

    public override void Dispose()
    {
        _halfFull.Dispose();
        base.Dispose();
    }

    private void Add(Counted counted, long count, long last, bool isAgain = false)
    {
        var shard = (counted.GetHashCode() & int.MaxValue) % Shards;
        var counts = _shards[shard];
        lock (_locks[shard])
        {
            if (counts.Count >= _options.VersionsMax / Shards && !counts.ContainsKey(counted))
            {
                Dropped.Add(count);
                return;
            }
            ref var entry = ref CollectionsMarshal.GetValueRefOrAddDefault(counts, counted, out var isKnown);
            entry = (entry.Count + count, Math.Max(entry.Last, last));
            // What could not be written is tried again when it is time, and not at once.
            if (isAgain || isKnown || counts.Count != _options.VersionsMax / Shards / 2) return;
        }
        lock (_halfFull)
        {
            if (_halfFull.CurrentCount == 0) _halfFull.Release();
        }
    }

    /// <summary>Writes what was counted until now. What could not be written is counted on.</summary>
    private async Task WriteAsync(CancellationToken ct)
    {
        for (var shard = 0; shard < Shards; shard++)
        {
            var waiting = new Queue<(int Day, KeyValuePair<Counted, (long Count, long Last)>[] Counts)>(Take(shard).GroupBy(static c => c.Key.Day).SelectMany(static d => d.Chunk(BatchMax).Select(b => (d.Key, b))));
            try
            {
                for (; waiting.TryPeek(out var batch); waiting.Dequeue())
                {
                    await _index.CountAccessesAsync(DateOnly.FromDayNumber(batch.Day),
                        [.. batch.Counts.Select(static c => new AccessCount(c.Key.Bucket, c.Key.Key, c.Key.Version, c.Value.Count, new(c.Value.Last, TimeSpan.Zero)))], ct);
                    Written.Add(batch.Counts.Sum(static c => c.Value.Count));
                }
            }
            finally
            {
                foreach (var (counted, (count, last)) in waiting.SelectMany(static b => b.Counts)) Add(counted, count, last, isAgain: true);
            }
        }
    }

    private KeyValuePair<Counted, (long Count, long Last)>[] Take(int shard)
    {
        lock (_locks[shard])
        {
            var taken = _shards[shard].ToArray();
            _shards[shard].Clear();
            return taken;
        }
    }

    [LoggerMessage(LogLevel.Warning, "Accesses that were counted could not be written; they are tried again")]
    private static partial void LogFailed(ILogger log, Exception e);
}
