using DarkStorage.Metadata;
using DarkStorage.Silo.Cluster;

namespace DarkStorage.Silo.Workers;

/// <summary>Puts what the index knows of usage in order every hour, on one node.</summary>
internal sealed partial class UsageCare(IMetadataIndex index, TimeProvider clock, ILogger<UsageCare> log, IClusterIndex? cluster = null, NodeIdentity? self = null) : BackgroundService
{
    /// <summary>By then all that a program from before had begun in the index is over.</summary>
    private static readonly TimeSpan FirstAfter = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan Every = TimeSpan.FromHours(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        for (var wait = FirstAfter; ; wait = Every)
        {
            await Task.Delay(wait, clock, stoppingToken);
            try
            {
                // Where it takes longer than a turn another begins, and finds what is done already.
                if (cluster is null || await cluster.TryTakeTurnAsync("usage", self!.Store, Every, stoppingToken)) await index.SortUsageAsync(clock.GetUtcNow(), stoppingToken);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailed(log, e);
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "What is known of usage could not be put in order; it is tried again in an hour")]
    private static partial void LogFailed(ILogger log, Exception e);
}
