using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Lifecycle;
using DarkStorage.Metadata;
using DarkStorage.Rules.Buckets;
using Microsoft.Extensions.Logging;
using Orleans;

namespace DarkStorage.Grains.Buckets;

/// <summary>One bucket: its making, its settings, its end. The truth is the index's row; the grain puts changes in turn.</summary>
internal sealed partial class BucketGrain(IMetadataIndex index, TimeProvider clock, ILogger<BucketGrain> log) : Grain, IBucketGrain
{
    private const int DecisionsMax = 4;

    private string Name => this.GetPrimaryKeyString();

    public async Task<BucketRecord> CreateAsync(BucketCreation creation, CancellationToken ct)
    {
        if (await index.FindBucketAsync(Name, ct) is { } existing) throw Exists(existing, creation.Owner);
        try
        {
            var bucket = await index.CreateBucketAsync(Name, creation, clock.GetUtcNow(), ct);
            LogCreated(log, Name, creation.Owner);
            return bucket;
        }
        catch (StorageException e) when (e.Error is StorageError.BucketAlreadyExists)
        {
            // Another activation made it between the question and the write.
            if (await index.FindBucketAsync(Name, ct) is { } other) throw Exists(other, creation.Owner);
            throw;
        }
    }

    public async Task<BucketRecord?> FindAsync(CancellationToken ct) => await index.FindBucketAsync(Name, ct);

    public Task<BucketRecord> SetVersioningAsync(BucketId bucket, BucketVersioning versioning, CancellationToken ct) =>
        UpdateAsync(bucket, current =>
        {
            if (versioning == BucketVersioning.Off) throw new StorageException(StorageError.InvalidArgument, "Versioning is suspended, never turned off.");
            if (versioning == BucketVersioning.Suspended && BucketRules.Of(current).ObjectLock is not null)
                throw new StorageException(StorageError.InvalidBucketState, "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed.");
            return (versioning, null);
        }, ct);

    public async Task<BucketRecord> SetAsync(BucketId bucket, BucketSettingChange change, CancellationToken ct)
    {
        if (change is { Kind: BucketSettings.AccessCounting, Document: not null } && index is IClusterIndex cluster && await cluster.TryUseLevelAsync(ClusterLevels.Accesses, ct) is { } older)
            throw new StorageException(StorageError.Conflict, ClusterLevels.RefusalBy(older));
        // First, so that no crash leaves a lifecycle that never runs: one that finds nothing to do ends by itself.
        if (change is { Kind: BucketSettings.Lifecycle or BucketSettings.Tiering or BucketSettings.TierPolicies or BucketSettings.AccessCounting, Document: not null }) await GrainFactory.GetGrain<ILifecycleGrain>(Name).WakeAsync(ct);
        return await UpdateAsync(bucket, current =>
        {
            if (change.Revision is { } decidedOn && decidedOn != current.Revision) throw new StorageException(StorageError.Conflict, $"Settings of {Name} were changed meanwhile.");
            if (change.Kind == BucketSettings.ObjectLock)
            {
                if (change.Document is null) throw new StorageException(StorageError.InvalidBucketState, "Object Lock can't be turned off.");
                if (current.Versioning != BucketVersioning.Enabled)
                    throw new StorageException(StorageError.InvalidBucketState, "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration");
            }
            return (null, change);
        }, ct);
    }

    public async Task DeleteAsync(CancellationToken ct)
    {
        var bucket = await index.FindBucketAsync(Name, ct) ?? throw new StorageException(StorageError.NoSuchBucket, $"There is no bucket {Name}.");
        await index.DeleteBucketAsync(bucket.Id, clock.GetUtcNow(), ct);
        LogDeleted(log, Name);
    }

    /// <summary>Decides on the record as it is, anew where another activation changed it first.</summary>
    private async Task<BucketRecord> UpdateAsync(BucketId bucket, Func<BucketRecord, (BucketVersioning? Versioning, BucketSettingChange? Setting)> decide, CancellationToken ct)
    {
        for (var decision = 1; ; decision++)
        {
            var current = await index.FindBucketAsync(Name, ct);
            if (current?.Id != bucket) throw new StorageException(StorageError.NoSuchBucket, $"There is no bucket {Name}.");
            var (versioning, setting) = decide(current);
            try
            {
                var next = await index.UpdateBucketAsync(new(bucket, current.Revision, versioning, setting), ct);
                LogChanged(log, Name, setting?.Kind ?? "versioning");
                return next;
            }
            catch (StorageException e) when (e.Error is StorageError.Conflict && decision < DecisionsMax)
            {
                // somebody else wrote: read again, decide again
            }
        }
    }

    private static StorageException Exists(BucketRecord bucket, string owner) => bucket.Owner == owner
        ? new(StorageError.BucketAlreadyOwnedByYou, $"Bucket {bucket.Name} is yours already.")
        : new(StorageError.BucketAlreadyExists, $"Bucket {bucket.Name} belongs to another account.");

    [LoggerMessage(LogLevel.Information, "Bucket {Bucket} was made by {Owner}")]
    private static partial void LogCreated(ILogger log, string bucket, string owner);

    [LoggerMessage(LogLevel.Information, "Bucket {Bucket}: {Setting} was changed")]
    private static partial void LogChanged(ILogger log, string bucket, string setting);

    [LoggerMessage(LogLevel.Information, "Bucket {Bucket} was deleted")]
    private static partial void LogDeleted(ILogger log, string bucket);
}
