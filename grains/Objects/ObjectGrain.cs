using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Grains.Lifecycle;
using DarkStorage.Grains.Tiers;
using DarkStorage.Metadata;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Conditions;
using DarkStorage.Rules.Notifications;
using DarkStorage.Rules.ObjectLock;
using DarkStorage.Rules.Tiers;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Placement;

namespace DarkStorage.Grains.Objects;

/// <summary>The writer of one key. It decides on the version it remembers; the index refuses what was decided on an older one,
/// so even two activations of the key cannot lose a write.</summary>
[CollectionAgeLimit(Minutes = 1), HashBasedPlacement]
internal sealed partial class ObjectGrain(IMetadataIndex index, ObjectGrainPopulation population, TimeProvider clock, IOptions<LifecycleOptions> lifecycle, ILogger<ObjectGrain> log)
    : Grain, IObjectGrain
{
    /// <summary>How often a change is decided anew after another writer came first. That needs a second activation, so once is already rare.</summary>
    private const int DecisionsMax = 4;

    private const string StandardClass = "STANDARD";

    private ObjectId _id;
    /// <summary>Of what <see cref="_latest"/> is remembered. Null: nothing is known of the key.</summary>
    private BucketId? _bucket;

    /// <summary>The version on top, which may be a delete marker.</summary>
    private ObjectVersion? _latest;

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        _id = ObjectId.Parse(this.GetPrimaryKeyString());
        population.Woke();
        return Task.CompletedTask;
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        population.Left();
        return Task.CompletedTask;
    }

    public Task<ObjectVersion> CommitAsync(ObjectCommit commit, CancellationToken ct) =>
        DecideAsync(commit.Bucket, async bucket =>
        {
            if (_latest?.Manifest.Version == commit.Manifest.Version) return _latest; // a retried call gets its first answer
            commit.Condition.ThrowIfUnmet(Current);
            var now = clock.GetUtcNow();
            var attributes = commit.Attributes.Retention is null && BucketRules.Of(bucket).ObjectLock?.Default is { } retention
                ? commit.Attributes with { Retention = retention.From(now) }
                : commit.Attributes;
            var next = new ObjectVersion(commit.Manifest, commit.Metadata, now, NextRevision(now), bucket.Versioning != BucketVersioning.Enabled,
                commit.StorageClass, commit.Upload, commit.Owner, attributes, Encryption: commit.Encryption);
            await SaveAsync(bucket, next, BucketEvents.OfCommit(bucket, _id.Key, next, commit.Origin), await HasTierAsync(next, ct), ct);
            LogCommitted(log, _id, next.Manifest.Version, next.Manifest.Length);
            return WithoutContent(next);
        }, ct, unseen: commit.Condition == WriteCondition.None);

    public Task<ObjectDeleted> DeleteAsync(ObjectDeletion deletion, CancellationToken ct) =>
        DecideAsync(deletion.Bucket, bucket => (deletion.Version, bucket.Versioning) switch
        {
            ({ } version, _) => RemoveVersionAsync(bucket, version, deletion, ct),
            (null, BucketVersioning.Off) => RemoveAsync(bucket, deletion, ct),
            _ => MarkDeletedAsync(bucket, deletion, ct),
        }, ct);

    public Task<ObjectVersion> UpdateAsync(ObjectUpdate update, CancellationToken ct) =>
        DecideAsync(update.Bucket, async bucket =>
        {
            // With its content, which memory does not have: the whole row is written anew.
            var version = await (update.Version is { } wanted ? index.FindVersionAsync(update.Bucket, _id.Key, wanted, ct) : index.FindLatestAsync(update.Bucket, _id.Key, ct)) ?? throw (update.Version is { } name
                ? new StorageException(StorageError.NoSuchVersion, $"There is no version {name}.")
                : new StorageException(StorageError.NoSuchKey, "There is no object."));
            ThrowIfOther(update.Expected, version);
            if (version.IsDeleteMarker) throw new StorageException(update.Version is null ? StorageError.NoSuchKey : StorageError.IsDeleteMarker, $"Version {version.Name} is a delete marker.");
            if (update.Move?.IsDone(version.Manifest) == true) return WithoutContent(version); // a retried call gets its first answer: refused, its mover would delete what the version names
            if (update.Move is { } move && version.Manifest.Place != move.From) throw new StorageException(StorageError.VersionChanged, $"The bytes were at {move.From?.Integration ?? "the drives"} when they were copied, and are at {version.Manifest.Place?.Integration ?? "the drives"}.");
            var now = clock.GetUtcNow();
            if (update.Retention is { } change)
            {
                change.ThrowIfRefused(version.Attributes.Retention, now);
                await RequireTimeAsync(version.Attributes.Retention, now, ct);
            }
            if (update.Move is not null || update.StorageClass is not null) await RequireFreeToGoAsync(update, version, now, ct);
            var restore = await RestoreOfAsync(update, version, now, ct);
            if (update.Restore is not null && restore == version.Restore && restore is null or { Until: not null }) return WithoutContent(version); // as it is: asked for twice on one day, as it is told to the day
            var next = version with
            {
                Manifest = update.Move?.Of(version.Manifest) ?? version.Manifest,
                StorageClass = update.StorageClass ?? version.StorageClass,
                Restore = restore,
                Attributes = new(
                    version.Attributes.Change + 1,
                    update.Tags ?? version.Attributes.Tags,
                    update.Acl ?? version.Attributes.Acl,
                    update.Retention is { } retention ? retention.To : version.Attributes.Retention,
                    update.LegalHold ?? version.Attributes.LegalHold),
            };
            var events = BucketEvents.OfUpdate(bucket, _id.Key, update, next, now);
            await index.UpdateVersionAsync(update.Bucket, _id.Key, next, now, events, WishOf(update), ct);
            Tell(events);
            next = WithoutContent(next);
            if (_latest?.Revision == next.Revision) _latest = next; // memory follows the index, never leads it
            return next;
        }, ct);

    private static WishChange WishOf(ObjectUpdate update) =>
        update.FulfilsWish ? WishChange.Fulfils : update.Restore is { Step: RestoreStep.Asked } ? WishChange.Restores : WishChange.None;

    /// <summary>What is restored, or being restored, is taken elsewhere by an operator's word alone. And by another class alone, nothing that is in an archive's place is made readable at once, as it may be cold there, and nothing that is outside and readable is taken from its readers: no tier's move has put it in an archive.</summary>
    private async ValueTask RequireFreeToGoAsync(ObjectUpdate update, ObjectVersion version, DateTimeOffset now, CancellationToken ct)
    {
        if (version.Restore.IsActive(now) && await FindWishAsync(update.Bucket, version, ct) is not { Origin: MoveOrigin.Operator })
            throw new StorageException(StorageError.VersionChanged, $"Version {version.Name} was asked to be restored: until that is over it stays.");
        if (update.Move is not null || version.Manifest.Place is not { } place) return;
        var (isArchived, archives) = (ArchiveRules.IsArchive(version.StorageClass), ArchiveRules.IsArchive(update.StorageClass!));
        if (isArchived && !archives) throw new StorageException(StorageError.VersionChanged, $"The bytes of version {version.Name} are in an archive: they have to be moved to become {update.StorageClass}.");
        if (archives && !isArchived && !update.FulfilsWish)
            throw new StorageException(StorageError.VersionChanged, $"The bytes of version {version.Name} are at {place.Integration}, where they can be read: they have to be moved to become {update.StorageClass}.");
    }

    private async ValueTask<MoveWish?> FindWishAsync(BucketId bucket, ObjectVersion version, CancellationToken ct) => (await index.FindMoveAsync(bucket, _id.Key, version.Manifest.Version, ct))?.Wish;

    private async ValueTask<ArchiveRestore?> RestoreOfAsync(ObjectUpdate update, ObjectVersion version, DateTimeOffset now, CancellationToken ct)
    {
        var day = lifecycle.Value.DayLength;
        switch (update.Restore?.Step)
        {
            case null:
                // Restored is what was archived there: elsewhere, or as something else, it begins anew.
                return update.Move is null && update.StorageClass is null ? version.Restore : null;
            case RestoreStep.Asked:
                // A wish that took the place of the one for this, and came to nothing, has left nobody who is at it.
                var isUnderWay = version.Restore is { Until: null };
                var wish = isUnderWay ? await FindWishAsync(update.Bucket, version, ct) : null;
                var isLost = isUnderWay && (wish is null || (wish.Origin != MoveOrigin.Restore && ArchiveRules.IsArchive(wish.StorageClass)));
                return (isLost ? version with { Restore = null } : version).Ask(update.Restore!.Days, update.Restore.Speed, now, day);
            case RestoreStep.Done:
                return version.Restore is { Until: null } asked ? asked with { Until = ArchiveRules.UntilOf(asked.Days, now, day) } : version.Restore;
            default:
                return null;
        }
    }

    /// <summary>The object of a bucket that never had versioning.</summary>
    private async Task<ObjectDeleted> RemoveAsync(BucketRecord bucket, ObjectDeletion deletion, CancellationToken ct)
    {
        if (_latest is null) await LoadAsync(bucket.Id, ct); // that nothing is there is no commit that would show memory to be behind
        ThrowIfOther(deletion.Expected, _latest);
        deletion.Condition.ThrowIfUnmet(Current);
        if (_latest is not { } version) return new(null, IsDeleteMarker: false, MarkerMade: false);
        await RemoveAsync(bucket, version, deletion, ct);
        return new(null, IsDeleteMarker: false, MarkerMade: false);
    }

    private async Task<ObjectDeleted> RemoveVersionAsync(BucketRecord bucket, VersionName name, ObjectDeletion deletion, CancellationToken ct)
    {
        var version = await FindAsync(name, ct);
        ThrowIfOther(deletion.Expected, version);
        deletion.Condition.ThrowIfUnmet(version is { IsDeleteMarker: false } ? version : null);
        if (version is null) return new(name, IsDeleteMarker: false, MarkerMade: false);
        await RemoveAsync(bucket, version, deletion, ct);
        return new(name, version.IsDeleteMarker, MarkerMade: false);
    }

    private async Task RemoveAsync(BucketRecord bucket, ObjectVersion version, ObjectDeletion deletion, CancellationToken ct)
    {
        var now = clock.GetUtcNow();
        await RequireNotKeptAsync(version, now, deletion.BypassGovernance, ct);
        var events = BucketEvents.OfRemoval(bucket, _id.Key, version, deletion.Origin, now);
        var removal = new VersionRemoval(bucket.Id, _id.Key, version.Name, version.Revision, version.Attributes.Change)
        {
            ExpectedLatest = deletion.Expected?.IsLatest,
            BucketRevision = bucket.Revision,
            Events = events,
        };
        if (!await index.RemoveVersionAsync(removal, now, ct)) throw new StorageException(StorageError.Conflict, $"Version {version.Name} is gone.");
        Tell(events);
        LogDeleted(log, _id, version.Manifest.Version);
        if (version.Revision == _latest?.Revision) _latest = WithoutContent(await index.FindLatestAsync(deletion.Bucket, _id.Key, ct));
    }

    private async ValueTask RequireNotKeptAsync(ObjectVersion version, DateTimeOffset now, bool bypassGovernance, CancellationToken ct)
    {
        version.ThrowIfKept(now, bypassGovernance);
        await RequireTimeAsync(version.Attributes.Retention, now, ct);
    }

    /// <summary>That a retention is over lets its version go for good: it is not for a clock to say that is wrong. What has no retention, or an active one, does not turn on that, and costs no question.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>: this node's clock is wrong.</exception>
    private async ValueTask RequireTimeAsync(ObjectRetention? retention, DateTimeOffset now, CancellationToken ct)
    {
        if (retention is null || retention.IsActive(now) || await index.CheckClockAsync(now, ct) is not { } wrong) return;
        LogWrongClock(log, _id, retention.Until, wrong);
        throw new StorageException(StorageError.Unavailable, $"Whether the retention until {retention.Until:O} is over is not known. {wrong}");
    }

    private async Task<ObjectDeleted> MarkDeletedAsync(BucketRecord bucket, ObjectDeletion deletion, CancellationToken ct)
    {
        if (_latest is { IsDeleteMarker: true } made && made.Manifest.Version == deletion.Marker) return new(made.Name, IsDeleteMarker: true, MarkerMade: true);
        ThrowIfOther(deletion.Expected, _latest);
        deletion.Condition.ThrowIfUnmet(Current);
        var now = clock.GetUtcNow();
        var isNull = bucket.Versioning != BucketVersioning.Enabled;
        // A null marker takes the place of the null version, wherever that is: so it must be free to go.
        if (isNull && await FindAsync(VersionName.Null, ct) is { } replaced) await RequireNotKeptAsync(replaced, now, deletion.BypassGovernance, ct);
        var marker = new ObjectVersion(new(deletion.Marker, 0, "", null, [], []), ObjectMetadata.Default, now, NextRevision(now), isNull, StandardClass,
            null, deletion.Owner, ObjectAttributes.None, IsDeleteMarker: true);
        await SaveAsync(bucket, marker, BucketEvents.OfCommit(bucket, _id.Key, marker, deletion.Origin), wishesMove: false, ct);
        LogDeleted(log, _id, deletion.Marker);
        return new(marker.Name, IsDeleteMarker: true, MarkerMade: true);
    }

    private async Task SaveAsync(BucketRecord bucket, ObjectVersion next, ImmutableArray<ObjectEvent> events, bool wishesMove, CancellationToken ct)
    {
        await index.SaveObjectAsync(new(bucket.Id, _id.Key, _bucket is null ? null : Revision, next) { BucketRevision = bucket.Revision, Events = events, WishesMove = wishesMove }, ct);
        (_bucket, _latest) = (bucket.Id, WithoutContent(next)); // memory follows the index, never leads it
        Tell(events);
    }

    /// <summary>Whether a version's bytes are to go to the tier of its class.</summary>
    private async ValueTask<bool> HasTierAsync(ObjectVersion version, CancellationToken ct) =>
        !version.Manifest.Parts.IsDefaultOrEmpty && version.StorageClass != Tier.Hot.StorageClass
        && (await GrainFactory.ListTiersAsync(ct)).Any(t => t.StorageClass == version.StorageClass);

    /// <summary>The events are in the index; this only spares their targets the wait until they look.</summary>
    private void Tell(ImmutableArray<ObjectEvent> events)
    {
        foreach (var told in events) _ = GrainFactory.GetGrain<IEventTargetGrain>(told.Target).WakeAsync();
    }

    /// <param name="version">Null for the one on top.</param>
    private async ValueTask<ObjectVersion?> FindAsync(VersionName? version, CancellationToken ct) =>
        version is not { } name || name == _latest?.Name ? _latest : await index.FindVersionAsync(_bucket!.Value, _id.Key, name, ct);

    private void ThrowIfOther(VersionState? expected, ObjectVersion? version)
    {
        if (expected is null) return;
        if (version is null || version.Revision != expected.Revision) throw new StorageException(StorageError.VersionChanged, $"Revision {expected.Revision} was decided on; {version?.Revision ?? 0} is there.");
        if (expected.Change is { } change && version.Attributes.Change != change) throw new StorageException(StorageError.VersionChanged, $"Attributes {change} were decided on; {version.Attributes.Change} are there.");
        if (expected.IsLatest is { } latest && version.Revision == Revision != latest) throw new StorageException(StorageError.VersionChanged, $"A version that {(latest ? "was" : "was not")} on top was decided on.");
    }

    /// <summary>Runs a decision on the current version, anew where another writer came first.</summary>
    /// <param name="unseen">It turns on nothing of that version, whose revision is likely to be lower than the time: then it need not be read first, only where the index refuses.</param>
    private async Task<T> DecideAsync<T>(BucketId bucket, Func<BucketRecord, Task<T>> decide, CancellationToken ct, bool unseen = false)
    {
        for (var decision = 1; ; decision++)
        {
            var record = await index.FindBucketAsync(_id.Bucket, ct);
            if (record?.Id != bucket) throw new StorageException(StorageError.NoSuchBucket, $"Bucket {_id.Bucket} is gone.");
            var isRemembered = _bucket == bucket;
            if (!isRemembered && unseen && decision == 1) (_bucket, _latest) = (null, null);
            else if (!isRemembered) await LoadAsync(bucket, ct);
            try
            {
                var result = await decide(record);
                if (population.IsCrowded) DeactivateOnIdle();
                return result;
            }
            catch (StorageException e) when (e.Error is StorageError.Conflict && decision < DecisionsMax)
            {
                _bucket = null; // somebody else wrote: read again, decide again
            }
            catch (StorageException e) when (IsRefusal(e) && isRemembered)
            {
                _bucket = null; // nothing was committed, so nothing has shown that memory is not behind: only what was just read may refuse
            }
            catch (Exception e)
            {
                // A refusal is an answer. After anything else memory may be wrong: forget it.
                if (e is not StorageException refused || !IsRefusal(refused)) _bucket = null;
                throw;
            }
        }
    }

    private static bool IsRefusal(StorageException e) => e.Error is StorageError.PreconditionFailed or StorageError.NoSuchKey or StorageError.NoSuchVersion
        or StorageError.ObjectLocked or StorageError.IsDeleteMarker or StorageError.VersionChanged;

    private async Task LoadAsync(BucketId bucket, CancellationToken ct)
    {
        _latest = WithoutContent(await index.FindLatestAsync(bucket, _id.Key, ct));
        _bucket = bucket;
    }

    /// <summary>No decision looks at the bytes, and thousands of grains would each hold theirs. So what is written back is read anew, and whoever wrote them does not get them back.</summary>
    [return: NotNullIfNotNull(nameof(version))]
    private static ObjectVersion? WithoutContent(ObjectVersion? version) =>
        version is null || version.Manifest.Inline.IsDefaultOrEmpty ? version : version with { Manifest = version.Manifest with { Inline = [] } };

    /// <summary>What readers get; null where a delete marker is on top.</summary>
    private ObjectVersion? Current => _latest is { IsDeleteMarker: false } ? _latest : null;

    private long Revision => _latest?.Revision ?? 0;

    /// <summary>Microseconds since 1970, and in any case more than the revision before: a clock that goes back does no harm.</summary>
    private long NextRevision(DateTimeOffset now) => Math.Max(Revision + 1, (now.UtcTicks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond);

    [LoggerMessage(LogLevel.Debug, "Committed {Object} version {Version}, {Length} bytes")]
    private static partial void LogCommitted(ILogger log, ObjectId @object, VersionId version, long length);

    [LoggerMessage(LogLevel.Warning, "A version of {Object} stays retained, though {Until} has passed by this node's clock: {Why}")]
    private static partial void LogWrongClock(ILogger log, ObjectId @object, DateTimeOffset until, string why);

    [LoggerMessage(LogLevel.Debug, "Deleted {Object} version {Version}")]
    private static partial void LogDeleted(ILogger log, ObjectId @object, VersionId version);
}
