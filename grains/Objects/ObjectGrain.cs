using System.Diagnostics.CodeAnalysis;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Metadata;
using DarkStorage.Rules.Conditions;
using Microsoft.Extensions.Logging;
using Orleans;

namespace DarkStorage.Grains.Objects;

/// <summary>The writer of one key. It decides on the version it remembers; the index refuses what was decided on an older one,
/// so even two activations of the key cannot lose a write.</summary>
[CollectionAgeLimit(Minutes = 1)]
internal sealed partial class ObjectGrain(IMetadataIndex index, ObjectGrainPopulation population, TimeProvider clock, ILogger<ObjectGrain> log)
    : Grain, IObjectGrain
{
    /// <summary>How often a change is decided anew after another writer came first. That needs a second activation, so once is already rare.</summary>
    private const int DecisionsMax = 4;

    private ObjectId _id;
    private BucketId? _bucket;
    private ObjectVersion? _current;

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
        DecideAsync(commit.Bucket, async () =>
        {
            if (_current?.Manifest.Version == commit.Manifest.Version) return _current; // a retried call gets its first answer
            commit.Condition.ThrowIfUnmet(_current);
            var now = clock.GetUtcNow();
            var next = new ObjectVersion(commit.Manifest, commit.Metadata, now, NextRevision(now), IsNull: true, commit.StorageClass, commit.Upload);
            await index.SaveObjectAsync(new(commit.Bucket, _id.Key, Revision, next, KeepCurrent: false), ct);
            _current = WithoutContent(next); // memory follows the index, never leads it
            LogCommitted(log, _id, next.Manifest.Version, next.Manifest.Length);
            return next;
        }, ct);

    public Task<bool> DeleteAsync(BucketId bucket, WriteCondition condition, CancellationToken ct) =>
        DecideAsync(bucket, async () =>
        {
            condition.ThrowIfUnmet(_current);
            if (_current is null) return false;
            await index.DeleteObjectAsync(bucket, _id.Key, Revision, clock.GetUtcNow(), ct);
            LogDeleted(log, _id, _current.Manifest.Version);
            _current = null;
            return true;
        }, ct);

    /// <summary>Runs a decision on the current version, anew where another writer came first.</summary>
    private async Task<T> DecideAsync<T>(BucketId bucket, Func<Task<T>> decide, CancellationToken ct)
    {
        for (var decision = 1; ; decision++)
        {
            if (_bucket != bucket) await LoadAsync(bucket, ct);
            try
            {
                var result = await decide();
                if (population.IsCrowded) DeactivateOnIdle();
                return result;
            }
            catch (StorageException e) when (e.Error is StorageError.Conflict && decision < DecisionsMax)
            {
                _bucket = null; // somebody else wrote: read again, decide again
            }
            catch (Exception e)
            {
                // A condition that does not hold is an answer. After anything else memory may be wrong: forget it.
                if (e is not StorageException { Error: StorageError.PreconditionFailed or StorageError.NoSuchKey }) _bucket = null;
                throw;
            }
        }
    }

    private async Task LoadAsync(BucketId bucket, CancellationToken ct)
    {
        _current = WithoutContent(await index.FindObjectAsync(bucket, _id.Key, ct));
        _bucket = bucket;
    }

    /// <summary>No decision looks at the bytes, and thousands of grains would each hold theirs.</summary>
    [return: NotNullIfNotNull(nameof(version))]
    private static ObjectVersion? WithoutContent(ObjectVersion? version) =>
        version is null || version.Manifest.Inline.IsDefaultOrEmpty ? version : version with { Manifest = version.Manifest with { Inline = [] } };

    private long Revision => _current?.Revision ?? 0;

    /// <summary>Microseconds since 1970, and in any case more than the revision before: a clock that goes back does no harm.</summary>
    private long NextRevision(DateTimeOffset now) => Math.Max(Revision + 1, (now.UtcTicks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMicrosecond);

    [LoggerMessage(LogLevel.Debug, "Committed {Object} version {Version}, {Length} bytes")]
    private static partial void LogCommitted(ILogger log, ObjectId @object, VersionId version, long length);

    [LoggerMessage(LogLevel.Debug, "Deleted {Object} version {Version}")]
    private static partial void LogDeleted(ILogger log, ObjectId @object, VersionId version);
}
