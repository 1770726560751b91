using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.GrainInterfaces.Uploads;

namespace DarkStorage.GrainInterfaces;

/// <summary>What readers ask of the object index: always true, also while a grain is moving. Every answer includes every change acknowledged before the question.</summary>
public interface IIndexReader
{
    /// <summary>It does not answer, and refuses everything until it does.</summary>
    bool IsAway => false;

    /// <returns>Null where there is no bucket of that name.</returns>
    ValueTask<BucketRecord?> FindBucketAsync(string name, CancellationToken ct);

    /// <summary>Buckets in the order of their names.</summary>
    /// <param name="owner">Only this account's, or null for all.</param>
    /// <param name="after">Only names greater than this one.</param>
    ValueTask<IReadOnlyList<BucketRecord>> ListBucketsAsync(string? owner, string prefix, string after, int max, CancellationToken ct);

    /// <returns>The current version, or null where there is none.</returns>
    ValueTask<ObjectVersion?> FindObjectAsync(BucketId bucket, string key, CancellationToken ct);

    /// <returns>The version on top, which may be a delete marker, or null where the key has none.</returns>
    ValueTask<ObjectVersion?> FindLatestAsync(BucketId bucket, string key, CancellationToken ct);

    /// <returns>That version, current or not, which may be a delete marker; or null.</returns>
    ValueTask<ObjectVersion?> FindVersionAsync(BucketId bucket, string key, VersionName version, CancellationToken ct);

    /// <summary>Walks one page of all versions of a bucket: keys in the order of their UTF-8 bytes, the versions of each from the newest to the oldest.</summary>
    ValueTask<VersionListingEnd> ListVersionsAsync(VersionListing listing, IVersionListingSink sink, CancellationToken ct);

    /// <summary>Settings of a kind that has ids, in the order of these.</summary>
    ValueTask<IReadOnlyList<BucketSetting>> ListSettingsAsync(BucketId bucket, string kind, string afterId, int max, CancellationToken ct);

    /// <summary>Walks one page of a bucket in the order of the keys' UTF-8 bytes. Its cost follows the page, never the bucket.</summary>
    ValueTask<ListingEnd> ListObjectsAsync(ObjectListing listing, IObjectListingSink sink, CancellationToken ct);

    /// <summary>Uploads under way, by key and then by the time they began.</summary>
    /// <param name="afterUpload">With <paramref name="afterKey"/>: uploads of that very key that began after this one are included too.</param>
    ValueTask<UploadPage> ListUploadsAsync(BucketId bucket, string prefix, string? delimiter, string afterKey, UploadId? afterUpload, int max, CancellationToken ct);

    /// <returns>What each month changed, and of which storage class, in the order of both: counted in the same transactions as the changes themselves; requests within a minute.</returns>
    /// <param name="bucket">Null for all buckets together, those that are gone among them.</param>
    ValueTask<IReadOnlyList<UsageChange>> ListUsageAsync(BucketId? bucket, CancellationToken ct);

    /// <returns>Null where there is none.</returns>
    ValueTask<UploadRecord?> FindUploadAsync(UploadId upload, CancellationToken ct);

    /// <summary>The parts of an upload with numbers greater than <paramref name="afterNumber"/>, in their order.</summary>
    ValueTask<IReadOnlyList<UploadPart>> ListPartsAsync(UploadId upload, int afterNumber, int max, CancellationToken ct);
}

/// <summary>What a page of a bucket is to hold.</summary>
/// <param name="Prefix">Only keys that begin so.</param>
/// <param name="Delimiter">Keys that hold it behind the prefix are folded into one entry that ends with it; null folds nothing.</param>
/// <param name="After">Only entries greater than this one; empty for the first page.</param>
/// <param name="Max">Entries in the page at the most, keys and folded prefixes together.</param>
public sealed record ObjectListing(BucketId Bucket, string Prefix, string? Delimiter, string After, int Max);

/// <summary>Takes a page as it is read, in order, without a copy. What is handed over is valid only during the call.</summary>
public interface IObjectListingSink
{
    void Object(in ListedObject entry);

    /// <param name="prefix">UTF-8.</param>
    void CommonPrefix(ReadOnlySpan<byte> prefix);
}

/// <summary>What a page of versions is to hold.</summary>
/// <param name="After">Only entries behind this place; default for the first page.</param>
/// <param name="Max">Versions, delete markers and folded prefixes together, at the most.</param>
public sealed record VersionListing(BucketId Bucket, string Prefix, string? Delimiter, VersionPlace After, int Max);

/// <summary>A place in a listing of versions.</summary>
/// <param name="Key">A key, or a folded prefix; empty for the beginning.</param>
/// <param name="Version">Of that key the last one that was listed; null is behind all of its versions.</param>
/// <param name="Revision">That version's: holds the place should the version be gone by now. 0 where it is not known.</param>
public readonly record struct VersionPlace(string Key, VersionName? Version, long Revision);

/// <param name="Next">Where more follows: what to give as <see cref="VersionListing.After"/> for the next page. Otherwise null.</param>
public readonly record struct VersionListingEnd(VersionPlace? Next);

/// <summary>Takes a page of versions as it is read. What is handed over is valid only during the call.</summary>
public interface IVersionListingSink
{
    void Version(in ListedObject entry);

    /// <param name="prefix">UTF-8.</param>
    void CommonPrefix(ReadOnlySpan<byte> prefix);
}

/// <summary>What a listing tells of an object. Text is UTF-8.</summary>
public readonly ref struct ListedObject
{
    public ReadOnlySpan<byte> Key { get; init; }
    public ReadOnlySpan<byte> ETag { get; init; }
    public ReadOnlySpan<byte> StorageClass { get; init; }
    public long Length { get; init; }
    public DateTimeOffset Modified { get; init; }
    public ChecksumAlgorithm ChecksumAlgorithm { get; init; }
    public ChecksumType ChecksumType { get; init; }

    /// <summary>In a listing of versions alone, as are the next four.</summary>
    public VersionName Version { get; init; }

    /// <summary>Its id, which the null version has too.</summary>
    public VersionId Id { get; init; }
    public long Revision { get; init; }
    public bool IsLatest { get; init; }
    public bool IsDeleteMarker { get; init; }

    /// <summary>The account that wrote it.</summary>
    public ReadOnlySpan<byte> Owner { get; init; }
}

/// <param name="Next">Where more follows: what to give as <see cref="ObjectListing.After"/> for the next page. Otherwise null.</param>
public readonly record struct ListingEnd(string? Next);

/// <summary>One page of the uploads under way.</summary>
/// <param name="NextKey">Null where nothing follows.</param>
/// <param name="NextUpload">Null also where the page ends with a folded prefix.</param>
public sealed record UploadPage(IReadOnlyList<UploadRecord> Uploads, IReadOnlyList<string> CommonPrefixes, string? NextKey, UploadId? NextUpload);
