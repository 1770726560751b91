using System.Collections.Immutable;
using Orleans;

namespace DarkStorage.GrainInterfaces.Objects;

/// <summary>One writer per key: every change of an object's versions passes here, in turn. Readers go to the index.</summary>
[Alias("object")]
public interface IObjectGrain : IGrainWithStringKey
{
    /// <summary>Makes <see cref="ObjectCommit.Manifest"/> the latest version. What becomes of the one before is the bucket's versioning's to say.
    /// Durable when it returns. Sent again with the same version it answers as the first time.</summary>
    /// <returns>The version; its content is left out where that is in the manifest.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.PreconditionFailed"/>, <see cref="StorageError.NoSuchKey"/> (If-Match on nothing),
    /// <see cref="StorageError.NoSuchBucket"/>, <see cref="StorageError.NoSuchUpload"/>, <see cref="StorageError.Unavailable"/>.</exception>
    [Alias("commit")]
    Task<ObjectVersion> CommitAsync(ObjectCommit commit, CancellationToken ct);

    /// <summary>Without a version: removes the object, or in a bucket with versioning puts a delete marker on top. With one: removes that version for good.
    /// Removing what is not there succeeds.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.PreconditionFailed"/>; <see cref="StorageError.NoSuchKey"/> (If-Match on nothing);
    /// <see cref="StorageError.VersionChanged"/>: not as <see cref="ObjectDeletion.Expected"/>; <see cref="StorageError.ObjectLocked"/>: retention or a legal hold keeps the version; <see cref="StorageError.NoSuchBucket"/>, <see cref="StorageError.Unavailable"/>.</exception>
    [Alias("delete")]
    Task<ObjectDeleted> DeleteAsync(ObjectDeletion deletion, CancellationToken ct);

    /// <summary>Changes attributes of one version, or where its bytes are.</summary>
    /// <returns>The version as it is now; its content is left out where that is in the manifest.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchKey"/>, <see cref="StorageError.NoSuchVersion"/>; <see cref="StorageError.IsDeleteMarker"/>;
    /// <see cref="StorageError.VersionChanged"/>: not as <see cref="ObjectUpdate.Expected"/>;
    /// <see cref="StorageError.ObjectLocked"/>: a retention would be shortened; of a restore <see cref="StorageError.ObjectNotArchived"/>, <see cref="StorageError.RestoreInProgress"/>, <see cref="StorageError.InvalidArgument"/>; <see cref="StorageError.NoSuchBucket"/>, <see cref="StorageError.Unavailable"/>.</exception>
    [Alias("update")]
    Task<ObjectVersion> UpdateAsync(ObjectUpdate update, CancellationToken ct);
}

/// <summary>A change of a key, ready to be decided on.</summary>
/// <param name="Bucket">The bucket the caller authorised against: a bucket made anew under the same name is another one.</param>
/// <param name="Owner">The account that writes.</param>
/// <param name="Upload">Set when it completes a multipart upload: the upload and the parts that the manifest does not use go in the same transaction.</param>
/// <param name="Encryption">How the content is sealed; null where it is not.</param>
[GenerateSerializer, Immutable, Alias("object-commit")]
public sealed record ObjectCommit(
    BucketId Bucket,
    Manifest Manifest,
    ObjectMetadata Metadata,
    string StorageClass,
    string Owner,
    ObjectAttributes Attributes,
    WriteCondition Condition,
    UploadId? Upload,
    ContentEncryption? Encryption,
    ChangeOrigin Origin);

/// <summary>What is to be removed.</summary>
/// <param name="Version">One version for good; null for the object, as its bucket's versioning has it.</param>
/// <param name="Marker">The id of the delete marker, should one be made: minted by who asks, so that a question asked twice makes one.</param>
/// <param name="Owner">The account that deletes, which will own the marker.</param>
/// <param name="BypassGovernance">The caller has the right to end a retention in governance mode, and says so.</param>
/// <param name="Expected">What the deletion was decided on; null where whatever is there may go.</param>
[GenerateSerializer, Immutable, Alias("object-deletion")]
public sealed record ObjectDeletion(
    BucketId Bucket, VersionName? Version, VersionId Marker, string Owner, WriteCondition Condition, bool BypassGovernance, ChangeOrigin Origin, VersionState? Expected = null);

/// <summary>The state of a version that something was decided on. A name does not tell: whatever is written next without versioning is "null" again.</summary>
/// <param name="Revision">The version's.</param>
/// <param name="IsLatest">Whether it was on top; null where the decision did not turn on that. A noncurrent version comes up again when those above it are deleted.</param>
/// <param name="Change">Of its attributes; null where the decision did not turn on them.</param>
[GenerateSerializer, Immutable, Alias("version-state")]
public sealed record VersionState(long Revision, bool? IsLatest = null, long? Change = null);

/// <summary>What a deletion came to.</summary>
/// <param name="Version">The version that was removed, or the marker that was made. Null where the bucket never had versioning, or nothing was there.</param>
/// <param name="IsDeleteMarker">A marker was made, or a marker was removed.</param>
/// <param name="MarkerMade">A marker was made.</param>
[GenerateSerializer, Immutable, Alias("object-deleted")]
public sealed record ObjectDeleted(VersionName? Version, bool IsDeleteMarker, bool MarkerMade);

/// <summary>New attributes of a version; what is null stays as it is.</summary>
/// <param name="Version">Null for the current one.</param>
/// <param name="Expected">What the change was decided on; whoever was authorised for one version has no right to change the one that took its place.</param>
/// <param name="Retention">The new retention; with <see cref="RetentionChange.To"/> null it ends.</param>
/// <param name="Move">Where its bytes are now; they were copied there before.</param>
/// <param name="FulfilsWish">It does what was wished for: that the version has the storage class. The wish goes with the change, which is refused where nobody wishes it any more.</param>
/// <param name="Restore">What happens to an archived version. A change of its class or its place ends what there is.</param>
[GenerateSerializer, Immutable, Alias("object-update")]
public sealed record ObjectUpdate(
    BucketId Bucket,
    VersionName? Version,
    VersionState Expected,
    ChangeOrigin Origin,
    ImmutableArray<KeyValuePair<string, string>>? Tags = null,
    string? Acl = null,
    RetentionChange? Retention = null,
    bool? LegalHold = null,
    string? StorageClass = null,
    ContentMove? Move = null,
    bool FulfilsWish = false,
    RestoreChange? Restore = null);

/// <summary>A version's bytes were copied to another place, which is to be theirs.</summary>
/// <param name="From">Where they were when they were copied; null is the cluster's own drives. Elsewhere by now, the move is off.</param>
/// <param name="Parts">As they are there.</param>
[GenerateSerializer, Immutable, Alias("content-move")]
public sealed record ContentMove(ContentPlace? From, ContentPlace? To, ImmutableArray<ManifestPart> Parts)
{
    /// <summary>The content with its new place.</summary>
    public Manifest Of(Manifest manifest) => manifest with { Place = To, Parts = Parts };

    /// <summary>Whether the content has that place: ids are minted for each try, so no other move can have given it.</summary>
    public bool IsDone(Manifest manifest) => Of(manifest).Blobs.SequenceEqual(manifest.Blobs);
}

/// <param name="Days">Of what is asked for.</param>
/// <param name="Speed">Of what is asked for.</param>
[GenerateSerializer, Immutable, Alias("restore-change")]
public sealed record RestoreChange(RestoreStep Step, int Days = 0, WarmUpSpeed Speed = default);

/// <summary>What happens to an archived version.</summary>
public enum RestoreStep : byte
{
    /// <summary>Somebody asks for it to be readable for some days.</summary>
    Asked = 1,

    /// <summary>It is.</summary>
    Done = 2,

    /// <summary>It is no longer.</summary>
    Over = 3,
}

/// <param name="To">Null ends the retention.</param>
/// <param name="BypassGovernance">The caller has the right to shorten a retention in governance mode, and says so.</param>
[GenerateSerializer, Immutable, Alias("retention-change")]
public sealed record RetentionChange(ObjectRetention? To, bool BypassGovernance);

/// <summary>What must hold of the current version for a write to happen (RFC 9110, section 13.1). Entity tags without quotes; <c>*</c> is any.</summary>
/// <param name="IfModified">The time of the current version, to the second; DeleteObjects has it.</param>
/// <param name="IfSize">The length of the current version; DeleteObjects has it.</param>
[GenerateSerializer, Immutable, Alias("write-condition")]
public sealed record WriteCondition(string? IfMatch, string? IfNoneMatch, DateTimeOffset? IfModified = null, long? IfSize = null)
{
    public const string Any = "*";
    public static readonly WriteCondition None = new(null, null);
}
