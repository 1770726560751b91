using System.Collections.Concurrent;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Silo.Workers;

/// <remarks>What was left at places outside. Beside what is on the drives, which no place that is away may keep waiting.</remarks>
internal sealed partial class GarbageCollector
{
    /// <summary>Deletes under way at one place: few, since nobody waits for them.</summary>
    private const int OutsideParallelMax = 4;

    /// <summary>Deletes that failed after which a place is left alone until the next look.</summary>
    private const int OutsideFailuresMax = 8;

    private async Task CollectOutsideAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(options.Value.Interval, clock);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                foreach (var integration in await grains.GetGrain<IIntegrationsGrain>(IIntegrationsGrain.Key).ListAsync(stoppingToken)) await TryCollectAtAsync(integration, stoppingToken);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogFailed(log, e);
            }
        }
    }

    /// <summary>One place that can't be asked keeps nobody from the others.</summary>
    private async Task TryCollectAtAsync(string integration, CancellationToken ct)
    {
        try
        {
            await CollectAtAsync(integration, ct);
        }
        catch (Exception e) when (!ct.IsCancellationRequested)
        {
            LogOutside(log, integration, e.Message);
        }
    }

    /// <summary>What can't be deleted now is taken again when as much time has gone by as before the first try, behind what was not tried yet.</summary>
    private async Task CollectAtAsync(string integration, CancellationToken ct)
    {
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = OutsideParallelMax, CancellationToken = ct };
        while (await IsMyTurnAsync("garbage-outside", ct))
        {
            await places.OpenAsync(integration, anew: true, ct); // nothing is to be deleted, and forgotten, at a place from before
            var now = clock.GetUtcNow();
            var garbage = await index.TakePlacedGarbageAsync(integration, now - options.Value.GracePeriod, now, BatchMax, ct);
            if (garbage.Count == 0) return;
            var (gone, failures) = (new ConcurrentBag<BlobId>(), new ConcurrentBag<string>());
            await Parallel.ForEachAsync(garbage, parallel, async (blob, ct) =>
            {
                if (failures.Count >= OutsideFailuresMax) return;
                try
                {
                    await blobs.DeleteAsync(new ContentPlace(integration, blob), ct);
                    gone.Add(blob);
                }
                catch (Exception e) when (!ct.IsCancellationRequested)
                {
                    failures.Add(e.Message);
                }
            });
            await index.ForgetGarbageAsync([.. gone], ct);
            Freed.Add(gone.Count, new KeyValuePair<string, object?>("reason", "freed"));
            LogCollected(log, gone.Count);
            if (!failures.TryPeek(out var why)) continue;
            LogOutside(log, integration, $"{garbage.Count - gone.Count} of {garbage.Count} were left: {why}");
            return;
        }
    }

    [LoggerMessage(LogLevel.Warning, "What no object needs any more could not be deleted at {Integration}, and will be later: {Why}")]
    private static partial void LogOutside(ILogger log, string integration, string why);
}
