using System.ComponentModel.DataAnnotations;
using System.Diagnostics.Metrics;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Metadata;
using DarkStorage.Rules.Buckets;
using DarkStorage.Storage;
using Microsoft.Extensions.Options;
using Orleans;

namespace DarkStorage.Silo.Workers;

/// <summary>How bytes move between tiers.</summary>
internal sealed record TransitionOptions
{
    /// <summary>Time between two looks for moves that are wanted, where there was none. Default 2 seconds.</summary>
    [Range(typeof(TimeSpan), "00:00:00.050", "00:10:00")]
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Moves under way on this node at one time. Default 8: each holds a few chunks, and most of its time waits for the place outside.</summary>
    [Range(1, 256)]
    public int ParallelMax { get; init; } = 8;

    /// <summary>For how long a move is left to the node that took it, and a blob outside to the move that puts it, without a sign of life. Default 5 minutes.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00")]
    public TimeSpan Lease { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>Time before the second attempt of a move that failed; doubled for each further one. Default 10 seconds.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "01:00:00")]
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The longest time between two attempts. Default 1 hour.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "7.00:00:00")]
    public TimeSpan RetryDelayMax { get; init; } = TimeSpan.FromHours(1);
}

/// <summary>Moves the bytes of versions to the tiers that are wanted for them.</summary>
/// <remarks>
/// Invariants. The new copy is whole, read back and verified before the index is told of it; the index frees the old one in the transaction that names the new one. A blob outside is entered in the index before it is put, so what a
/// crash leaves is known, and goes. Whatever fails leaves the version where it was, and the failure with the wish. Two that move one version do no harm: the second is refused, and its copy goes.
/// </remarks>
internal sealed partial class Transitions(
    IMetadataIndex index, IBlobStore blobs, NodePlaces places, IGrainFactory grains, IOptions<TransitionOptions> options, TimeProvider clock, ILogger<Transitions> log) : BackgroundService
{
    private static readonly Meter Meter = new("DarkStorage.Silo");
    private static readonly Counter<long> Moves = Meter.CreateCounter<long>("darkstorage.transitions", "{version}", "Moves of versions between tiers that were tried, by tier and by how they ended.");
    private static readonly Counter<long> MovedBytes = Meter.CreateCounter<long>("darkstorage.transitions.bytes", "By", "Content of versions that were moved, by tier.");

    /// <summary>Between two reports of what went through each place.</summary>
    private static readonly TimeSpan ReportEvery = TimeSpan.FromSeconds(30);

    /// <summary>A version that is not as it was decided on, or gone: whatever is to become of what is there now is wished anew.</summary>
    private static bool IsOvertaken(StorageException e) =>
        e.Error is StorageError.VersionChanged or StorageError.NoSuchKey or StorageError.NoSuchVersion or StorageError.NoSuchBucket or StorageError.IsDeleteMarker;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var running = new List<Task>();
        var report = clock.GetTimestamp();
        while (!stoppingToken.IsCancellationRequested)
        {
            running.RemoveAll(static move => move.IsCompleted);
            var taken = 0;
            try
            {
                if (clock.GetElapsedTime(report) >= ReportEvery)
                {
                    report = clock.GetTimestamp();
                    await places.ReportAsync(stoppingToken);
                }
                var free = options.Value.ParallelMax - running.Count;
                var now = clock.GetUtcNow();
                var moves = free == 0 ? [] : await index.TakeMovesAsync(now, now + options.Value.Lease, free, stoppingToken);
                taken = moves.Count;
                var tiers = taken == 0 ? [] : await grains.GetGrain<ITiersGrain>(ITiersGrain.Key).ListAsync(stoppingToken);
                running.AddRange(moves.Select(move => MoveAsync(move, [.. tiers], stoppingToken)));
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                LogLater(log, e.Message); // what was taken is due again when its lease ends
                taken = 0;
            }
            var pause = taken > 0 ? Timeout.InfiniteTimeSpan : options.Value.Interval;
            if (running.Count > 0) await Task.WhenAny([.. running, Task.Delay(pause, clock, stoppingToken)]);
            else await Task.Delay(options.Value.Interval, clock, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        await Task.WhenAll(running);
    }

    /// <summary>Never throws.</summary>
    private async Task MoveAsync(Move move, Tier[] tiers, CancellationToken ct)
    {
        var wish = move.Wish;
        var tier = Array.Find(tiers, t => t.StorageClass == wish.StorageClass);
        try
        {
            try
            {
                await MoveAsync(move, tier, ct);
                await index.EndMoveAsync(wish, ct);
                return;
            }
            catch (StorageException e) when (IsOvertaken(e))
            {
                LogOvertaken(log, move.BucketName, wish.Key, e.Message);
                await index.EndMoveAsync(wish, ct);
                Count(tier, "overtaken");
                return;
            }
            catch (StorageException e)
            {
                var delay = options.Value.RetryDelay * Math.Pow(2, Math.Min(move.Attempts - 1, 30));
                if (delay > options.Value.RetryDelayMax) delay = options.Value.RetryDelayMax;
                LogFailed(log, move.BucketName, wish.Key, tier?.Name ?? wish.StorageClass, delay, e.Message);
                await index.PutOffMoveAsync(wish, clock.GetUtcNow() + delay, e.Message, ct);
                Count(tier, "failed");
            }
        }
        catch (Exception e) when (e is not OperationCanceledException || !ct.IsCancellationRequested)
        {
            LogLater(log, e.Message); // due again when its lease ends
        }
        catch (OperationCanceledException)
        {
            // The node stops.
        }
    }

    private async Task MoveAsync(Move move, Tier? tier, CancellationToken ct)
    {
        var wish = move.Wish;
        if (move.BucketName is null || await FindAsync(wish, ct) is not { } version) throw new StorageException(StorageError.NoSuchVersion, "The version is gone.");
        if (tier is null) throw new StorageException(StorageError.NoSuchTier, $"There is no tier of the storage class {wish.StorageClass}.");
        var grain = grains.GetGrain<IObjectGrain>(new ObjectId(move.BucketName, wish.Key).ToString());
        var isThere = version.Manifest.Parts.IsDefaultOrEmpty || version.Manifest.Place?.Integration == tier.Integration;
        if (isThere)
        {
            // What is in the index stays there: it is less than its place in a tier would be.
            if (version.StorageClass != tier.StorageClass) await CommitAsync(grain, wish, version, null, ct);
        }
        else if (tier.Integration is null)
        {
            await BringBackAsync(move, grain, version, ct);
        }
        else
        {
            await SendAsync(wish, grain, version, tier.Integration, ct);
        }
        Count(tier, "moved");
        if (!isThere) MovedBytes.Add(version.Manifest.Length, new KeyValuePair<string, object?>("tier", tier.Name));
        LogMoved(log, move.BucketName, wish.Key, tier.Name);
    }

    private async Task SendAsync(MoveWish wish, IObjectGrain grain, ObjectVersion version, string integration, CancellationToken ct)
    {
        if (!await places.IsEnabledAsync(integration, ct)) throw new StorageException(StorageError.BackendFailed, $"The integration {integration} is disabled.");
        var place = new ContentPlace(integration, BlobId.New(clock));
        await using var lease = await LeaseAsync(wish, place, ct);
        var moved = await blobs.SendAsync(version.Manifest, place, lease.Token);
        await CommitAsync(grain, wish, version, moved, ct);
    }

    private async Task BringBackAsync(Move move, IObjectGrain grain, ObjectVersion version, CancellationToken ct)
    {
        var bucket = await index.FindBucketAsync(move.BucketName!, ct);
        if (bucket?.Id != move.Wish.Bucket) throw new StorageException(StorageError.NoSuchBucket, $"Bucket {move.BucketName} is gone.");
        await using var lease = await LeaseAsync(move.Wish, null, ct);
        await using var fetch = await blobs.FetchAsync(version.Manifest, new(bucket.Id, move.Wish.Key), BucketRules.Of(bucket).Redundancy, lease.Token);
        try
        {
            await CommitAsync(grain, move.Wish, version, fetch.Move, ct);
            fetch.Keep();
        }
        catch (Exception e) when (e is not StorageException { Error: not (StorageError.Unavailable or StorageError.IndexAway or StorageError.Internal) })
        {
            fetch.Keep(); // it may have been done; if it was not, the collector finds the copy
            throw;
        }
    }

    private static async Task CommitAsync(IObjectGrain grain, MoveWish wish, ObjectVersion version, ContentMove? moved, CancellationToken ct) =>
        await grain.UpdateAsync(new(wish.Bucket, version.Name, new(version.Revision), ChangeOrigin.Lifecycle, StorageClass: wish.StorageClass, Move: moved), ct);

    private async ValueTask<ObjectVersion?> FindAsync(MoveWish wish, CancellationToken ct)
    {
        if (await index.FindVersionAsync(wish.Bucket, wish.Key, new(wish.Version), ct) is { } named) return named;
        return await index.FindVersionAsync(wish.Bucket, wish.Key, VersionName.Null, ct) is { } unnamed && unnamed.Manifest.Version == wish.Version ? unnamed : null;
    }

    /// <summary>Keeps a move, and the blob that it puts, for as long as it is under way.</summary>
    /// <param name="place">Null where nothing is put outside.</param>
    private async Task<Lease> LeaseAsync(MoveWish wish, ContentPlace? place, CancellationToken ct)
    {
        var lease = new Lease(options.Value.Lease / 3, RenewAsync, clock, ct);
        try
        {
            if (!await RenewAsync()) throw new StorageException(StorageError.Conflict, "The blob is taken.");
            lease.Begin();
            return lease;
        }
        catch
        {
            await lease.DisposeAsync();
            throw;
        }

        async Task<bool> RenewAsync()
        {
            var until = clock.GetUtcNow() + options.Value.Lease;
            await index.PutOffMoveAsync(wish, until, failure: null, ct);
            return place is null || await index.EnterPlacedBlobAsync(place.Blob, place.Integration, until, ct);
        }
    }

    private static void Count(Tier? tier, string outcome) => Moves.Add(1, new("tier", tier?.Name ?? "none"), new KeyValuePair<string, object?>("outcome", outcome));

    /// <summary>Is renewed until it is disposed. <see cref="Token"/> ends with it, or when it could not be renewed.</summary>
    private sealed class Lease(TimeSpan period, Func<Task<bool>> renew, TimeProvider clock, CancellationToken ct) : IAsyncDisposable
    {
        private readonly CancellationTokenSource _ended = CancellationTokenSource.CreateLinkedTokenSource(ct);
        private Task _renewing = Task.CompletedTask;

        public CancellationToken Token => _ended.Token;

        public void Begin() => _renewing = RenewAsync();

        public async ValueTask DisposeAsync()
        {
            await _ended.CancelAsync();
            await _renewing;
            _ended.Dispose();
        }

        /// <summary>Never throws.</summary>
        private async Task RenewAsync()
        {
            try
            {
                using var timer = new PeriodicTimer(period, clock);
                while (await timer.WaitForNextTickAsync(_ended.Token))
                {
                    if (await renew()) continue;
                    await _ended.CancelAsync();
                }
            }
            catch (StorageException)
            {
                // The index is away: the next tick may find it, and if none does the commit is refused.
                if (!_ended.IsCancellationRequested) await RenewAsync();
            }
            catch (OperationCanceledException)
            {
                // Ended.
            }
        }
    }

    [LoggerMessage(LogLevel.Debug, "Moved {Bucket}/{Key} to the tier {Tier}")]
    private static partial void LogMoved(ILogger log, string? bucket, string key, string tier);

    [LoggerMessage(LogLevel.Debug, "The move of {Bucket}/{Key} is off: {Why}")]
    private static partial void LogOvertaken(ILogger log, string? bucket, string key, string why);

    [LoggerMessage(LogLevel.Warning, "{Bucket}/{Key} was not moved to the tier {Tier}, and stays where it is; it will be tried again in {Delay}: {Why}")]
    private static partial void LogFailed(ILogger log, string? bucket, string key, string tier, TimeSpan delay, string why);

    [LoggerMessage(LogLevel.Warning, "Moves between tiers are put off: {Why}")]
    private static partial void LogLater(ILogger log, string why);
}
