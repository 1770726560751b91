using System.Collections.Concurrent;
using System.ComponentModel.DataAnnotations;
using System.Diagnostics.Metrics;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Grains.Integrations;
using DarkStorage.Metadata;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Tiers;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
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

/// <summary>Moves the bytes of versions to the tiers that are wanted for them, and has archives give back for a time what was asked for.</summary>
/// <remarks>
/// Invariants. The new copy is whole, read back and verified before the index is told of it; the index frees the old one in the transaction that names the new one. A blob outside is entered in the index before it is put, so what a
/// crash leaves is known, and goes. Whatever fails leaves the version where it was, and the failure with the wish. Two that move one version do no harm: the second is refused, and its copy goes.
/// </remarks>
internal sealed partial class Transitions(
    IMetadataIndex index, IBlobStore blobs, NodePlaces places, IGrainFactory grains, IOptions<TransitionOptions> options, IOptions<GarbageOptions> garbage, IOptions<IntegrationOptions> integrations, TimeProvider clock,
    ILogger<Transitions> log) : BackgroundService
{
    private static readonly Meter Meter = new("DarkStorage.Silo");
    private static readonly Counter<long> Moves = Meter.CreateCounter<long>("darkstorage.transitions", "{version}", "Moves of versions between tiers that were tried, by tier and by how they ended.");
    private static readonly Counter<long> MovedBytes = Meter.CreateCounter<long>("darkstorage.transitions.bytes", "By", "Content of versions that were moved, by tier.");

    /// <summary>Between two reports of what went through each place.</summary>
    private static readonly TimeSpan ReportEvery = TimeSpan.FromSeconds(30);

    /// <summary>Time for the deletion of what was put in vain.</summary>
    private static readonly TimeSpan CleaningMax = TimeSpan.FromSeconds(5);

    /// <summary>The longest time between two questions whether a place has made something readable.</summary>
    private static readonly TimeSpan WarmUpDelayMax = TimeSpan.FromMinutes(15);

    /// <summary>For how much longer than is told a place is to keep what was restored.</summary>
    private static readonly TimeSpan RestoreMargin = TimeSpan.FromDays(1);

    /// <summary>The longest time between two looks at a restore that holds.</summary>
    private static readonly TimeSpan RestoreLookEvery = TimeSpan.FromDays(1);

    /// <summary>For how long a place is to keep readable what is to be copied from it.</summary>
    private static readonly TimeSpan WarmForMove = TimeSpan.FromDays(3);

    /// <summary>The longest pause of a tier whose place failed.</summary>
    private static readonly TimeSpan PauseMax = TimeSpan.FromMinutes(1);

    /// <summary>Tiers whose places failed, by their storage classes.</summary>
    private readonly ConcurrentDictionary<string, (int Failures, DateTimeOffset Until)> _paused = new(StringComparer.Ordinal);

    /// <summary>The index was not changed, and a later look at it tells what is to be done, if anything.</summary>
    private static bool IsRefusal(StorageException e) =>
        e.Error is StorageError.VersionChanged or StorageError.Conflict or StorageError.NoSuchKey or StorageError.NoSuchVersion or StorageError.NoSuchBucket or StorageError.IsDeleteMarker;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var running = new List<Task>();
        var reported = clock.GetTimestamp();
        var isReadOnly = integrations.Value.ReadOnly;
        if (isReadOnly) LogReadOnly(log);
        while (!stoppingToken.IsCancellationRequested)
        {
            running.RemoveAll(static move => move.IsCompleted);
            var mayBeMore = false;
            try
            {
                if (clock.GetElapsedTime(reported) >= ReportEvery)
                {
                    reported = clock.GetTimestamp();
                    await places.ReportAsync(stoppingToken);
                }
                var moves = await TakeAsync(isReadOnly ? 0 : options.Value.ParallelMax - running.Count, stoppingToken);
                running.AddRange(moves);
                mayBeMore = moves.Count > 0 && running.Count < options.Value.ParallelMax;
            }
            catch (Exception e)
            {
                if (!stoppingToken.IsCancellationRequested) LogLater(log, e.Message);
            }
            if (!mayBeMore) await PauseAsync(running, stoppingToken);
        }
        await Task.WhenAll(running);
    }

    /// <returns>Moves that were taken, under way.</returns>
    private async Task<List<Task>> TakeAsync(int max, CancellationToken ct)
    {
        if (max == 0) return [];
        var grain = grains.GetGrain<ITiersGrain>(ITiersGrain.Key);
        await grain.ListAsync(ct); // who can't ask takes nothing: others may be able to
        var now = clock.GetUtcNow();
        var moves = await index.TakeMovesAsync(now, now + options.Value.Lease, [.. TierRules.StorageClasses.Where(c => !_paused.TryGetValue(c, out var pause) || pause.Until <= now)], max, ct);
        // Asked after the wishes were there: a tier that was just configured is known, and a wish for one that is not is nobody's.
        var tiers = moves.Count == 0 ? [] : await grain.ListAsync(ct);
        return [.. moves.Select(move => MoveAsync(move, [.. tiers], ct))];
    }

    /// <summary>Until a move ends, or it is time to look again.</summary>
    private async Task PauseAsync(List<Task> running, CancellationToken ct)
    {
        using var waiting = CancellationTokenSource.CreateLinkedTokenSource(ct);
        await Task.WhenAny([.. running, Task.Delay(options.Value.Interval, clock, waiting.Token)]); // never throws
        await waiting.CancelAsync();
    }

    /// <summary>Never throws.</summary>
    private async Task MoveAsync(Move move, Tier[] tiers, CancellationToken ct)
    {
        var wish = move.Wish;
        var tier = Array.Find(tiers, t => t.StorageClass == wish.StorageClass);
        try
        {
            Count(tier, await MoveAsync(move, tier, ct));
        }
        catch (Exception e)
        {
            if (!ct.IsCancellationRequested) await KeepFailureAsync(move, tier, e, ct); // else the node stops, and whatever it says then
        }
    }

    /// <summary>Never throws.</summary>
    private async Task KeepFailureAsync(Move move, Tier? tier, Exception failure, CancellationToken ct)
    {
        var delay = DelayOf(move.Attempts);
        if (failure is StorageException { Error: StorageError.BackendFailed } && !IsOfOneBlob(failure) && tier?.Integration is not null) Pause(move.Wish.StorageClass);
        LogFailed(log, move.BucketName, move.Wish.Key, tier?.Name ?? move.Wish.StorageClass, delay, failure.Message);
        Count(tier, "failed");
        try
        {
            await index.PutOffMoveAsync(move, clock.GetUtcNow() + delay, failure.Message, ct);
        }
        catch (Exception e)
        {
            if (!ct.IsCancellationRequested) LogLater(log, e.Message); // due again when its lease ends
        }
    }

    /// <summary>The place is well, and says no to this.</summary>
    private static bool IsOfOneBlob(Exception failure) => failure.InnerException is BackendException { Error: BackendError.NotFound or BackendError.Refused or BackendError.Damaged };

    private TimeSpan DelayOf(int attempts)
    {
        var seconds = options.Value.RetryDelay.TotalSeconds * Math.Pow(2, Math.Min(attempts - 1, 30));
        return seconds < options.Value.RetryDelayMax.TotalSeconds ? TimeSpan.FromSeconds(seconds) : options.Value.RetryDelayMax;
    }

    private TimeSpan WarmUpDelayOf(int attempts) => TimeSpan.FromTicks(Math.Min(DelayOf(attempts).Ticks, WarmUpDelayMax.Ticks));

    /// <summary>A place that failed is not asked for the next version at once, and the next one, however many are to go there: those that go elsewhere are not to wait behind them.</summary>
    private void Pause(string storageClass) =>
        _paused.AddOrUpdate(storageClass, _ => (1, clock.GetUtcNow() + DelayOf(1)), (_, before) =>
            before.Until > clock.GetUtcNow() ? before : (before.Failures + 1, clock.GetUtcNow() + TimeSpan.FromTicks(Math.Min(DelayOf(before.Failures + 1).Ticks, PauseMax.Ticks))));

    /// <returns>What became of it: it was moved, or was not to be any more.</returns>
    private async Task<string> MoveAsync(Move move, Tier? tier, CancellationToken ct)
    {
        var wish = move.Wish;
        var version = move.BucketName is null ? null : await FindAsync(wish, ct);
        var isRestore = wish.Origin == MoveOrigin.Restore && version?.Restore is not null;
        var why = version is null ? "The version is gone."
            : isRestore ? null
            : wish.Origin == MoveOrigin.Restore && (version.Manifest.Place is not null || version.StorageClass != wish.StorageClass) ? "The restore is over."
            : tier is null ? $"There is no tier of the storage class {wish.StorageClass}."
            : null;
        if (why is not null)
        {
            LogOff(log, move.BucketName, wish.Key, why);
            if (wish.Origin == MoveOrigin.Restore && version?.Manifest.Place is { } place)
            {
                if (await places.FindEnabledAsync(place.Integration, ct) is null)
                {
                    // Nothing that failed: the tier of this class may be at another place by now, and what goes there is not to wait.
                    await index.PutOffMoveAsync(move, clock.GetUtcNow() + DelayOf(move.Attempts), $"{why} What was restored is let go at {place.Integration} when that integration is enabled again.", ct);
                    return "disabled";
                }
                await CoolDownAsync(move, place, ct);
            }
            await EndAsync(move, version, ct);
            return "gone";
        }
        // Before anything is copied that could not be committed.
        if (wish.Origin is MoveOrigin.Lifecycle or MoveOrigin.Writer && version!.Restore.IsActive(clock.GetUtcNow()))
        {
            await EndAsync(move, version, ct);
            return "restoring";
        }
        var grain = grains.GetGrain<IObjectGrain>(new ObjectId(move.BucketName!, wish.Key).ToString());
        try
        {
            return isRestore ? await RestoreAsync(move, grain, version!, ct) : await MoveAsync(move, tier!, grain, version!, ct);
        }
        catch (StorageException e) when (IsRefusal(e))
        {
            // Deleted, changed, or wished elsewhere meanwhile. Where the wish is still the same it is tried again, with what is there now.
            LogOff(log, move.BucketName, wish.Key, e.Message);
            await index.PutOffMoveAsync(move, clock.GetUtcNow() + DelayOf(move.Attempts), failure: null, ct);
            return "overtaken";
        }
        catch (StorageException e) when (e.Error is StorageError.ObjectArchived && version!.Manifest.Place is { } cold)
        {
            // It can't be copied from where it is. Asked again with each attempt, which does no harm.
            LogOff(log, move.BucketName, wish.Key, $"{cold.Integration} is asked for its bytes.");
            await blobs.WarmUpAsync(cold, WarmUpSpeed.Standard, WarmForMove, ct);
            await index.PutOffMoveAsync(move, clock.GetUtcNow() + WarmUpDelayOf(move.Attempts), failure: "", ct);
            return "warming";
        }
    }

    /// <summary>One step of a restore: asks the place for the bytes, until they can be read; then nothing, until that is over.</summary>
    private async Task<string> RestoreAsync(Move move, IObjectGrain grain, ObjectVersion version, CancellationToken ct)
    {
        var (wish, restore, now) = (move.Wish, version.Restore!, clock.GetUtcNow());
        if (restore.Until <= now)
        {
            // What is still on the drives, as its writer's wish to bring it to its tier gave way to this one, goes there now.
            await TellAsync(RestoreStep.Over);
            await index.PutOffMoveAsync(move, now, failure: "", ct);
            return "restore-over";
        }
        // For a little longer than is told: whoever reads at the last moment reads to the end.
        var keep = (restore.Until is { } until ? until - now : TimeSpan.FromDays(restore.Days)) + RestoreMargin;
        if (version.Manifest.Place is { } place && !await blobs.WarmUpAsync(place, restore.Speed, keep, ct))
        {
            await index.PutOffMoveAsync(move, now + WarmUpDelayOf(move.Attempts), failure: "", ct);
            return "restoring";
        }
        _paused.TryRemove(wish.StorageClass, out _);
        if (restore.Until is null)
        {
            restore = (await TellAsync(RestoreStep.Done)).Restore ?? restore;
            LogRestored(log, move.BucketName, wish.Key, restore.Until);
        }
        // Looked at now and then before its end: the version may be gone long before.
        await index.PutOffMoveAsync(move, restore.Until is { } end && end < now + RestoreLookEvery ? end : now + RestoreLookEvery, failure: "", ct);
        return "restored";

        Task<ObjectVersion> TellAsync(RestoreStep step) =>
            grain.UpdateAsync(new(wish.Bucket, version.Name, new(version.Revision, Change: version.Attributes.Change), ChangeOrigin.Lifecycle, Restore: new(step)), ct);
    }

    /// <summary>Some places keep warm for good what was asked for once.</summary>
    private async Task CoolDownAsync(Move move, ContentPlace place, CancellationToken ct)
    {
        await blobs.CoolDownAsync(place, ct);
        // Asked for again meanwhile, it is to be warm.
        if (await FindAsync(move.Wish, ct) is { Restore: { } restore } version && version.Manifest.Place == place) await blobs.WarmUpAsync(place, restore.Speed, TimeSpan.FromDays(restore.Days) + RestoreMargin, ct);
    }

    /// <summary>Ends a wish that there is nothing to do for. One that took the place of a restore's, or came beside it, becomes that again.</summary>
    private Task EndAsync(Move move, ObjectVersion? version, CancellationToken ct)
    {
        var now = clock.GetUtcNow();
        return move.Wish.Origin != MoveOrigin.Restore && version is not null && version.Restore.IsActive(now)
            ? index.ReplaceMoveAsync(move, move.Wish with { StorageClass = version.StorageClass, Origin = MoveOrigin.Restore }, now, ct)
            : index.EndMoveAsync(move, ct);
    }

    /// <returns>What became of it.</returns>
    private async Task<string> MoveAsync(Move move, Tier tier, IObjectGrain grain, ObjectVersion version, CancellationToken ct)
    {
        var wish = move.Wish;
        // What is in the index stays there: it is less than its place in a tier would be.
        // What is to be read at once is put anew, in the same place too: what was archived there may be cold.
        var isThere = version.Manifest.Parts.IsDefaultOrEmpty
            || (version.Manifest.Place?.Integration == tier.Integration && (version.Manifest.Place is null || !ArchiveRules.IsArchive(version.StorageClass) || ArchiveRules.IsArchive(tier.StorageClass)));
        if (isThere && version.StorageClass == tier.StorageClass) await EndAsync(move, version, ct);
        else if (isThere) await CommitAsync(grain, wish, version, null, ct);
        else if (tier.Integration is not null) await SendAsync(move, tier, grain, version, ct);
        else await BringBackAsync(move, grain, version, ct);
        if (!isThere) MovedBytes.Add(version.Manifest.Length, new KeyValuePair<string, object?>("tier", tier.Name));
        LogMoved(log, move.BucketName, wish.Key, tier.Name);
        return "moved";
    }

    private async Task SendAsync(Move move, Tier tier, IObjectGrain grain, ObjectVersion version, CancellationToken ct)
    {
        var (wish, integration) = (move.Wish, tier.Integration!);
        var place = new ContentPlace(integration, BlobId.New(clock));
        await index.EnterPlacedBlobAsync(place.Blob, place.Integration, clock.GetUtcNow() + options.Value.Lease, ct);
        try
        {
            // Only now: whoever leaves the place has that written down before they look whether something was entered.
            await places.OpenForWritingAsync(integration, ct);
        }
        catch
        {
            await index.ForgetGarbageAsync([place.Blob], ct);
            throw;
        }
        try
        {
            await using var lease = Lease(move, place, Timeout.InfiniteTimeSpan, ct);
            var moved = await lease.HoldAsync(held => blobs.SendAsync(version.Manifest, place, ArchiveRules.IsArchive(tier.StorageClass), held));
            _paused.TryRemove(wish.StorageClass, out _);
            await CommitAsync(grain, wish, version, moved, ct);
        }
        catch (StorageException e) when (IsRefusal(e) || e.Error is StorageError.BackendFailed)
        {
            // It was not committed. The collector knows of the blob too, but where the lease was lost it may have looked before it was there.
            await TryDeleteAsync(place);
            throw;
        }
    }

    private async Task TryDeleteAsync(ContentPlace place)
    {
        using var bounded = new CancellationTokenSource(CleaningMax, clock);
        try
        {
            await blobs.DeleteAsync(await places.OpenForWritingAsync(place.Integration, bounded.Token), place.Blob, bounded.Token);
        }
        catch (Exception e) when (e is StorageException or OperationCanceledException)
        {
            LogLeft(log, place.Blob, place.Integration, e.Message);
        }
    }

    private async Task BringBackAsync(Move move, IObjectGrain grain, ObjectVersion version, CancellationToken ct)
    {
        var bucket = await index.FindBucketAsync(move.BucketName!, ct);
        if (bucket?.Id != move.Wish.Bucket) throw new StorageException(StorageError.NoSuchBucket, $"Bucket {move.BucketName} is gone.");
        // Until the index is told, what was fetched is nobody's: it has to be told before that would count as left by a crash.
        var orphanAge = garbage.Value.OrphanAge;
        await using var lease = Lease(move, null, orphanAge / 2, ct);
        await using var fetch = await lease.HoldAsync(held => blobs.FetchAsync(version.Manifest, new(bucket.Id, move.Wish.Key), BucketRules.Of(bucket).Redundancy, held));
        // By a clock that is behind, what was fetched is old from the first on, for the collectors of other nodes.
        if (await index.CheckClockAsync(clock.GetUtcNow(), ct) is { } wrong) throw new StorageException(StorageError.BackendFailed, $"What was fetched may have been freed as left by a crash. {wrong}");
        // Last thing before: the lease counts the time that this machine was awake, and the collector counts all of it.
        if (fetch.MayCountAsOrphaned(orphanAge)) throw new StorageException(StorageError.BackendFailed, $"It was fetched more than {orphanAge / 2} ago by the clock, half of Garbage:OrphanAge, or the clock was set back meanwhile: some of it may have been freed as left by a crash. Raise Garbage:OrphanAge where fetching takes so long.");
        try
        {
            await CommitAsync(grain, move.Wish, version, fetch.Move, ct);
            fetch.Keep();
        }
        catch (Exception e) when (e is not StorageException refused || !IsRefusal(refused))
        {
            fetch.Keep(); // it may have been done; if it was not, the collector finds the copy
            throw;
        }
    }

    private static async Task CommitAsync(IObjectGrain grain, MoveWish wish, ObjectVersion version, ContentMove? moved, CancellationToken ct) =>
        await grain.UpdateAsync(new(wish.Bucket, version.Name, new(version.Revision), ChangeOrigin.Lifecycle, StorageClass: wish.StorageClass, Move: moved, FulfilsWish: true), ct);

    private async ValueTask<ObjectVersion?> FindAsync(MoveWish wish, CancellationToken ct)
    {
        if (await index.FindVersionAsync(wish.Bucket, wish.Key, new(wish.Version), ct) is { } named) return named;
        return await index.FindVersionAsync(wish.Bucket, wish.Key, VersionName.Null, ct) is { } unnamed && unnamed.Manifest.Version == wish.Version ? unnamed : null;
    }

    /// <summary>Keeps a move, and the blob that it puts, for as long as it is under way.</summary>
    /// <param name="place">Null where nothing is put outside.</param>
    /// <param name="max">It ends by itself after this time.</param>
    private MoveLease Lease(Move move, ContentPlace? place, TimeSpan max, CancellationToken ct) => new(options.Value.Lease, max, async () =>
    {
        var until = clock.GetUtcNow() + options.Value.Lease;
        if (!await index.PutOffMoveAsync(move, until, failure: null, ct)) throw new StorageException(StorageError.VersionChanged, "It is not wanted there any more.");
        return place is null || await index.RenewPlacedBlobAsync(place.Blob, until, ct);
    }, clock, ct);

    private static void Count(Tier? tier, string outcome) => Moves.Add(1, new("tier", tier?.Name ?? "none"), new KeyValuePair<string, object?>("outcome", outcome));

    /// <summary>Is renewed until it is disposed, or can't be because others have what it was for.</summary>
    private sealed class MoveLease : IAsyncDisposable
    {
        private readonly TimeSpan _length;
        private readonly TimeSpan _max;
        private readonly Func<Task<bool>> _renew;
        private readonly TimeProvider _clock;
        private readonly long _begun;
        private readonly CancellationTokenSource _ended;
        private readonly Task _renewing;
        private volatile StorageException? _lost;

        public MoveLease(TimeSpan length, TimeSpan max, Func<Task<bool>> renew, TimeProvider clock, CancellationToken ct)
        {
            (_length, _max, _renew, _clock, _begun) = (length, max, renew, clock, clock.GetTimestamp());
            _ended = CancellationTokenSource.CreateLinkedTokenSource(ct);
            _renewing = RenewAsync();
        }

        /// <summary>Does something as long as the lease holds.</summary>
        /// <exception cref="StorageException"><see cref="StorageError.BackendFailed"/>: it ended before that did. <see cref="StorageError.VersionChanged"/>: nobody wants it any more.</exception>
        public async Task<T> HoldAsync<T>(Func<CancellationToken, Task<T>> work)
        {
            try
            {
                var done = await work(_ended.Token);
                RequireTime();
                if (_lost is null) return done;
                if (done is IAsyncDisposable disposable) await disposable.DisposeAsync();
            }
            catch (OperationCanceledException) when (_lost is not null)
            {
                // As below.
            }
            throw _lost!;
        }

        public async ValueTask DisposeAsync()
        {
            await _ended.CancelAsync();
            await _renewing;
            _ended.Dispose();
        }

        private static StorageException Ended(string why) => new(StorageError.BackendFailed, why);

        private void RequireTime()
        {
            if (_max != Timeout.InfiniteTimeSpan && _clock.GetElapsedTime(_begun) >= _max) _lost ??= Ended($"It took longer than {_max}, half of Garbage:OrphanAge: raise that where fetching takes so long.");
        }

        /// <summary>Never throws.</summary>
        private async Task RenewAsync()
        {
            const string outdated = "The index could not be told for longer than Transitions:Lease that it goes on.";
            var renewed = _begun;
            while (_lost is null)
            {
                await Task.Delay(_length / 3, _clock, _ended.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                if (_ended.IsCancellationRequested) return;
                RequireTime();
                var asked = _clock.GetTimestamp();
                try
                {
                    if (_lost is null && !await _renew()) _lost = Ended(outdated);
                    renewed = asked;
                }
                catch (StorageException e) when (e.Error is StorageError.VersionChanged)
                {
                    _lost = e;
                }
                catch (Exception)
                {
                    // The next time may find the index.
                    if (_clock.GetElapsedTime(renewed) >= _length) _lost ??= Ended(outdated);
                }
            }
            await _ended.CancelAsync();
        }
    }

    [LoggerMessage(LogLevel.Debug, "Moved {Bucket}/{Key} to the tier {Tier}")]
    private static partial void LogMoved(ILogger log, string? bucket, string key, string tier);

    [LoggerMessage(LogLevel.Debug, "Restored {Bucket}/{Key}, until {Until}")]
    private static partial void LogRestored(ILogger log, string? bucket, string key, DateTimeOffset? until);

    [LoggerMessage(LogLevel.Debug, "Blob {Blob} was left at {Integration}: {Why}")]
    private static partial void LogLeft(ILogger log, BlobId blob, string integration, string why);

    [LoggerMessage(LogLevel.Debug, "The move of {Bucket}/{Key} is off: {Why}")]
    private static partial void LogOff(ILogger log, string? bucket, string key, string why);

    [LoggerMessage(LogLevel.Warning, "{Bucket}/{Key} was not moved to the tier {Tier}, and stays where it is; it will be tried again in {Delay}: {Why}")]
    private static partial void LogFailed(ILogger log, string? bucket, string key, string tier, TimeSpan delay, string why);

    [LoggerMessage(LogLevel.Warning, "Integrations:ReadOnly is set: nothing is moved between tiers, in either direction, and nothing that is archived is restored")]
    private static partial void LogReadOnly(ILogger log);

    [LoggerMessage(LogLevel.Warning, "Moves between tiers are put off: {Why}")]
    private static partial void LogLater(ILogger log, string why);
}
