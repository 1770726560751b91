using Orleans;

namespace DarkStorage.GrainInterfaces.Objects;

/// <summary>One writer per key: every change of an object's versions passes here, in turn. Readers go to the index.</summary>
[Alias("object")]
public interface IObjectGrain : IGrainWithStringKey
{
    /// <summary>Makes <see cref="ObjectCommit.Manifest"/> the current version. Durable when it returns. Sent again with the same version it answers as the first time.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.PreconditionFailed"/>, <see cref="StorageError.NoSuchKey"/> (If-Match on nothing),
    /// <see cref="StorageError.NoSuchBucket"/>, <see cref="StorageError.NoSuchUpload"/>, <see cref="StorageError.Unavailable"/>.</exception>
    [Alias("commit")]
    Task<ObjectVersion> CommitAsync(ObjectCommit commit, CancellationToken ct);

    /// <summary>Removes the current version. Removing what is not there succeeds.</summary>
    /// <returns>Whether there was anything to remove.</returns>
    [Alias("delete")]
    Task<bool> DeleteAsync(BucketId bucket, WriteCondition condition, CancellationToken ct);
}

/// <summary>A change of a key, ready to be decided on.</summary>
/// <param name="Bucket">The bucket the caller authorised against: a bucket made anew under the same name is another one.</param>
/// <param name="Upload">Set when it completes a multipart upload: the upload and the parts that the manifest does not use go in the same transaction.</param>
[GenerateSerializer, Immutable, Alias("object-commit")]
public sealed record ObjectCommit(BucketId Bucket, Manifest Manifest, ObjectMetadata Metadata, string StorageClass, WriteCondition Condition, UploadId? Upload);

/// <summary>What must hold of the current version for a write to happen (RFC 9110, section 13.1). Entity tags without quotes; <c>*</c> is any.</summary>
[GenerateSerializer, Immutable, Alias("write-condition")]
public sealed record WriteCondition(string? IfMatch, string? IfNoneMatch)
{
    public const string Any = "*";
    public static readonly WriteCondition None = new(null, null);
}
