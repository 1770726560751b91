using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Objects;
using Orleans;
using Orleans.Concurrency;

namespace DarkStorage.GrainInterfaces.Uploads;

/// <summary>One multipart upload from its begin to its end. The grain's key is the upload's id. Forgotten uploads are aborted by its reminder.</summary>
[Alias("upload")]
public interface IUploadGrain : IGrainWithStringKey
{
    [Alias("begin")]
    Task BeginAsync(UploadRecord upload, CancellationToken ct);

    /// <returns>The upload that a part is to be written to.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchUpload"/>: never begun, completed, aborted, or of another key.</exception>
    [Alias("get"), AlwaysInterleave]
    Task<UploadRecord> GetAsync(BucketId bucket, string key, CancellationToken ct);

    /// <summary>Makes the part count: sent again with the same number it takes the place of the earlier one.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchUpload"/>.</exception>
    [Alias("commit-part"), AlwaysInterleave]
    Task CommitPartAsync(BucketId bucket, string key, ManifestPart part, CancellationToken ct);

    /// <summary>Puts the named parts together and makes them the current version of the key. Sent again after it succeeded it answers the same.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchUpload"/>, <see cref="StorageError.InvalidPart"/>, <see cref="StorageError.InvalidPartOrder"/>,
    /// <see cref="StorageError.EntityTooSmall"/>, <see cref="StorageError.PreconditionFailed"/>, <see cref="StorageError.ChecksumMismatch"/>.</exception>
    [Alias("complete")]
    Task<ObjectVersion> CompleteAsync(UploadCompletion completion, CancellationToken ct);

    /// <exception cref="StorageException"><see cref="StorageError.NoSuchUpload"/>.</exception>
    [Alias("abort")]
    Task AbortAsync(BucketId bucket, string key, CancellationToken ct);
}

/// <summary>What was said when the upload began.</summary>
/// <param name="Initiator">The account that began it.</param>
/// <param name="Owner">The account that will own the object.</param>
/// <param name="ChecksumAlgorithm">The algorithm that each part must have; none where the client left that open.</param>
/// <param name="Attributes">Of the object to be.</param>
/// <param name="Encryption">How all parts are sealed, under one data key; null where they are not.</param>
[GenerateSerializer, Immutable, Alias("upload-record")]
public sealed record UploadRecord(
    UploadId Id,
    BucketId Bucket,
    string BucketName,
    string Key,
    string Initiator,
    string Owner,
    DateTimeOffset Initiated,
    ObjectMetadata Metadata,
    string StorageClass,
    ChecksumAlgorithm ChecksumAlgorithm,
    ChecksumType ChecksumType,
    ObjectAttributes Attributes,
    ContentEncryption? Encryption = null)
{
    /// <summary>What the object's checksum is made with, whatever the client says of its parts: AWS's default where it left that open.</summary>
    public ChecksumAlgorithm ObjectChecksum => ChecksumAlgorithm == ChecksumAlgorithm.None ? ChecksumAlgorithm.Crc64Nvme : ChecksumAlgorithm;
}

/// <summary>A stored part.</summary>
[GenerateSerializer, Immutable, Alias("upload-part")]
public sealed record UploadPart(ManifestPart Part, DateTimeOffset Modified);

/// <summary>What CompleteMultipartUpload asks for.</summary>
/// <param name="Parts">In the order of the request.</param>
/// <param name="Checksum">The object's checksum as the client states it, to be checked; null where it states none.</param>
/// <param name="ObjectSize">The object's size as the client states it (<c>x-amz-mp-object-size</c>), or null.</param>
[GenerateSerializer, Immutable, Alias("upload-completion")]
public sealed record UploadCompletion(
    BucketId Bucket,
    string Key,
    ImmutableArray<CompletedPart> Parts,
    WriteCondition Condition,
    Checksum? Checksum,
    long? ObjectSize,
    ChangeOrigin Origin);

/// <summary>A part as the client names it: its number, its entity tag without quotes, and its checksum where it states one.</summary>
[GenerateSerializer, Immutable, Alias("completed-part")]
public sealed record CompletedPart(int Number, string ETag, Checksum? Checksum);
