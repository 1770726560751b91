using System.Collections.Concurrent;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Silo.Workers;

/// <remarks>What was left at places outside. Beside what is on the drives, which no place that is away may keep waiting.</remarks>
internal sealed partial class GarbageCollector
{
    /// <summary>Places that are asked at one time.</summary>
    private const int OutsidePlacesMax = 8;

    /// <summary>Blobs that a place is asked to delete before it is the others' turn, where more than <see cref="OutsidePlacesMax"/> have something.</summary>
    private const int OutsideBatchMax = 100;

    /// <summary>Deletes under way at one place: few, since nobody waits for them.</summary>
    private const int OutsideParallelMax = 4;

    /// <summary>Deletes that failed after which a place is left alone until the next look.</summary>
    private const int OutsideFailuresMax = 8;

    /// <summary>The longest time until what was taken without a try is tried: a grace period may be days.</summary>
    private static readonly TimeSpan RestAgainMax = TimeSpan.FromMinutes(5);

    /// <summary>Each place beside the others, batch by batch: one that is slow, or can't be asked, keeps nobody from them.</summary>
    private async Task CollectOutsideAsync(CancellationToken stoppingToken)
    {
        if (integrations.Value.ReadOnly)
        {
            LogReadOnly(log);
            return;
        }
        var running = new Dictionary<string, Task>(StringComparer.Ordinal);
        using var turns = new SemaphoreSlim(OutsidePlacesMax);
        using var timer = new PeriodicTimer(options.Value.Interval, clock);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                foreach (var (ended, _) in running.Where(static r => r.Value.IsCompleted).ToList()) running.Remove(ended);
                try
                {
                    foreach (var integration in await grains.GetGrain<IIntegrationsGrain>(IIntegrationsGrain.Key).ListAsync(stoppingToken))
                    {
                        if (!running.ContainsKey(integration)) running.Add(integration, TryCollectAtAsync(integration, turns, stoppingToken));
                    }
                }
                catch (Exception e) when (!stoppingToken.IsCancellationRequested)
                {
                    LogFailed(log, e);
                }
            }
        }
        finally
        {
            await Task.WhenAll(running.Values);
        }
    }

    /// <summary>Never throws.</summary>
    private async Task TryCollectAtAsync(string integration, SemaphoreSlim turns, CancellationToken ct)
    {
        try
        {
            for (var mayBeMore = true; mayBeMore;)
            {
                await turns.WaitAsync(ct);
                try
                {
                    mayBeMore = await IsMyTurnAsync("garbage-outside", ct) && await CollectBatchAtAsync(integration, ct);
                }
                finally
                {
                    turns.Release();
                }
            }
        }
        catch (Exception e)
        {
            if (!ct.IsCancellationRequested) LogOutside(log, integration, e.Message);
        }
    }

    /// <summary>What can't be deleted now is taken again when as much time has gone by as before the first try, behind what was not tried yet. Where nothing can be, all is taken at once: an integration whose place is gone for good is not to
    /// wait for its removal until each was tried.</summary>
    /// <returns>Whether there may be more that can be deleted now.</returns>
    private async Task<bool> CollectBatchAtAsync(string integration, CancellationToken ct)
    {
        var (now, grace) = (clock.GetUtcNow(), options.Value.GracePeriod);
        // Also where nothing may be deleted: once it was taken no version comes to name it, and the integration may be removed.
        var garbage = await index.TakePlacedGarbageAsync(integration, now - grace, now, OutsideBatchMax, ct);
        if (garbage.Count == 0) return false;
        // Only now, and once for all of it: as long as it is known the integration does not become another place, where it would be deleted, and forgotten here.
        if (await places.FindEnabledAsync(integration, ct) is not { } place)
        {
            await TakeRestAsync();
            return false;
        }
        var (gone, failures) = (new ConcurrentBag<BlobId>(), new ConcurrentBag<string>());
        await Parallel.ForEachAsync(garbage, new ParallelOptions { MaxDegreeOfParallelism = OutsideParallelMax, CancellationToken = ct }, async (blob, ct) =>
        {
            if (failures.Count >= OutsideFailuresMax) return;
            try
            {
                await blobs.DeleteAsync(place, blob, ct);
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
        if (!failures.TryPeek(out var why)) return true;
        LogOutside(log, integration, $"{garbage.Count - gone.Count} of {garbage.Count} were left: {why}");
        // Where a place deletes some of it, the next look goes on with the rest.
        if (gone.IsEmpty) await TakeRestAsync();
        return false;

        // In the index alone. As if it had been taken a while ago, to be tried before what was tried now: some that never go would else come first each time, and the others never.
        // Never as long ago as what is looked for, so that it ends, without a grace period too.
        async Task TakeRestAsync()
        {
            var (before, again) = (now - grace, TimeSpan.FromTicks(Math.Min(grace.Ticks / 2, RestAgainMax.Ticks)));
            while ((await index.TakePlacedGarbageAsync(integration, before, before + again, BatchMax, ct)).Count == BatchMax)
            {
                // Until there is none left.
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "Integrations:ReadOnly is set: what no object needs any more is not deleted at places outside")]
    private static partial void LogReadOnly(ILogger log);

    [LoggerMessage(LogLevel.Warning, "What no object needs any more could not be deleted at {Integration}, and will be later: {Why}")]
    private static partial void LogOutside(ILogger log, string integration, string why);
}
