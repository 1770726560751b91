using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Metadata;
using Microsoft.Extensions.Logging;
using Orleans;

namespace DarkStorage.Grains.Buckets;

/// <summary>One bucket: its making, its settings, its end. The truth is the index's row; the grain puts changes in turn.</summary>
internal sealed partial class BucketGrain(IMetadataIndex index, TimeProvider clock, ILogger<BucketGrain> log) : Grain, IBucketGrain
{
    private string Name => this.GetPrimaryKeyString();

    public async Task<BucketRecord> CreateAsync(string owner, string region, CancellationToken ct)
    {
        if (await index.FindBucketAsync(Name, ct) is { } existing) throw Exists(existing, owner);
        try
        {
            var bucket = await index.CreateBucketAsync(Name, owner, region, clock.GetUtcNow(), ct);
            LogCreated(log, Name, owner);
            return bucket;
        }
        catch (StorageException e) when (e.Error is StorageError.BucketAlreadyExists)
        {
            // Another activation made it between the question and the write.
            if (await index.FindBucketAsync(Name, ct) is { } other) throw Exists(other, owner);
            throw;
        }
    }

    public async Task<BucketRecord?> FindAsync(CancellationToken ct) => await index.FindBucketAsync(Name, ct);

    public async Task DeleteAsync(CancellationToken ct)
    {
        var bucket = await index.FindBucketAsync(Name, ct) ?? throw new StorageException(StorageError.NoSuchBucket, $"There is no bucket {Name}.");
        await index.DeleteBucketAsync(bucket.Id, clock.GetUtcNow(), ct);
        LogDeleted(log, Name);
    }

    private static StorageException Exists(BucketRecord bucket, string owner) => bucket.Owner == owner
        ? new(StorageError.BucketAlreadyOwnedByYou, $"Bucket {bucket.Name} is yours already.")
        : new(StorageError.BucketAlreadyExists, $"Bucket {bucket.Name} belongs to another account.");

    [LoggerMessage(LogLevel.Information, "Bucket {Bucket} was made by {Owner}")]
    private static partial void LogCreated(ILogger log, string bucket, string owner);

    [LoggerMessage(LogLevel.Information, "Bucket {Bucket} was deleted")]
    private static partial void LogDeleted(ILogger log, string bucket);
}
