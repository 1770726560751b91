using System.Collections.Concurrent;
using System.ComponentModel.DataAnnotations;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Metadata;
using Microsoft.Extensions.Options;

namespace DarkStorage.Silo.Workers;

/// <summary>How requests are counted.</summary>
internal sealed record UsageCountOptions
{
    /// <summary>Time between two writes of what was counted: what a crash may take. Default 20 seconds.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "00:01:00")]
    public TimeSpan FlushInterval { get; init; } = TimeSpan.FromSeconds(20);
}

/// <summary>Counts requests in memory, and writes them to the index every now and then.</summary>
/// <remarks>There are no more sums than buckets that are asked for something, times their storage classes. A write that fails is tried again; where it was done all the same its requests count twice.</remarks>
internal sealed partial class UsageCounts(IMetadataIndex index, IOptions<UsageCountOptions> options, TimeProvider clock, ILogger<UsageCounts> log) : BackgroundService, ITrafficCounter
{
    private const int BatchMax = 1_000;

    private readonly ConcurrentDictionary<Counted, Sum> _sums = new();

    private readonly record struct Counted(BucketId Bucket, UsageMonth Month, string StorageClass);

    private sealed class Sum
    {
        public Traffic Traffic;

        /// <summary>It was taken to be written: who still has it counts in another.</summary>
        public bool IsTaken;
    }

    public void Count(BucketId bucket, string storageClass, Traffic traffic) => Add(new(bucket, UsageMonth.Of(clock.GetUtcNow()), storageClass), traffic);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(options.Value.FlushInterval, clock);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await WriteAsync(stoppingToken);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailed(log, e); // what was counted is still there
            }
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
            LogFailed(log, e);
        }
    }

    private void Add(Counted counted, Traffic traffic)
    {
        while (true)
        {
            var sum = _sums.GetOrAdd(counted, static _ => new());
            lock (sum)
            {
                if (sum.IsTaken) continue;
                sum.Traffic += traffic;
                return;
            }
        }
    }

    /// <summary>Writes what was counted until now. What could not be written is counted on.</summary>
    private async Task WriteAsync(CancellationToken ct)
    {
        var waiting = new Queue<TrafficCount[]>(Take().Chunk(BatchMax));
        try
        {
            for (; waiting.TryPeek(out var batch); waiting.Dequeue()) await index.CountTrafficAsync(batch, ct);
        }
        finally
        {
            foreach (var (bucket, month, storageClass, traffic) in waiting.SelectMany(static b => b)) Add(new(bucket, month, storageClass), traffic);
        }
    }

    private List<TrafficCount> Take()
    {
        var taken = new List<TrafficCount>();
        foreach (var (bucket, month, storageClass) in _sums.Keys)
        {
            if (!_sums.TryRemove(new(bucket, month, storageClass), out var sum)) continue;
            lock (sum)
            {
                sum.IsTaken = true;
                taken.Add(new(bucket, month, storageClass, sum.Traffic));
            }
        }
        return taken;
    }

    [LoggerMessage(LogLevel.Warning, "Requests that were counted could not be written; they are tried again")]
    private static partial void LogFailed(ILogger log, Exception e);
}
