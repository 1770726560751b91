using Orleans;

namespace DarkStorage.GrainInterfaces.Buckets;

/// <summary>One bucket and its settings. The grain's key is the bucket's name.</summary>
[Alias("bucket")]
public interface IBucketGrain : IGrainWithStringKey
{
    /// <exception cref="StorageException"><see cref="StorageError.BucketAlreadyOwnedByYou"/>, <see cref="StorageError.BucketAlreadyExists"/>,
    /// <see cref="StorageError.TooManyBuckets"/>.</exception>
    [Alias("create")]
    Task<BucketRecord> CreateAsync(string owner, string region, CancellationToken ct);

    /// <returns>Null where there is none.</returns>
    [Alias("find")]
    Task<BucketRecord?> FindAsync(CancellationToken ct);

    /// <summary>Ends the bucket, and with it the uploads under way in it.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchBucket"/>, <see cref="StorageError.BucketNotEmpty"/>: an object or a version is in it.</exception>
    [Alias("delete")]
    Task DeleteAsync(CancellationToken ct);
}

/// <summary>A bucket's settings.</summary>
/// <param name="Owner">The account it belongs to.</param>
/// <param name="Region">What <c>GetBucketLocation</c> answers.</param>
[GenerateSerializer, Immutable, Alias("bucket-record")]
public sealed record BucketRecord(BucketId Id, string Name, string Owner, string Region, DateTimeOffset Created, BucketVersioning Versioning);

/// <summary>S3's three states; once enabled, a bucket is never "off" again.</summary>
public enum BucketVersioning : byte
{
    Off = 0,
    Enabled = 1,
    Suspended = 2,
}
