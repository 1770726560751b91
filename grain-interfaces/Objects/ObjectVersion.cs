using System.Collections.Immutable;
using Orleans;

namespace DarkStorage.GrainInterfaces.Objects;

/// <summary>What the client said about the content and wants back with it.</summary>
/// <param name="ContentType">As sent; <c>binary/octet-stream</c> where nothing was sent, as AWS has it.</param>
/// <param name="UserMetadata">The <c>x-amz-meta-*</c> headers without that prefix, names in lower case, in the order of their names.</param>
[GenerateSerializer, Immutable, Alias("object-metadata")]
public sealed record ObjectMetadata(
    string ContentType,
    string? CacheControl,
    string? ContentDisposition,
    string? ContentEncoding,
    string? ContentLanguage,
    string? Expires,
    string? WebsiteRedirectLocation,
    ImmutableArray<KeyValuePair<string, string>> UserMetadata)
{
    public static readonly ObjectMetadata Default = new("binary/octet-stream", null, null, null, null, null, null, []);
}

/// <summary>One version of an object as the index keeps it.</summary>
/// <param name="Revision">Orders the versions of a key, and grows with each new one; every commit names the one it was decided on.</param>
/// <param name="IsNull">Written while the bucket's versioning was off or suspended: S3 calls it "null". A key has one such version at the most.</param>
/// <param name="StorageClass">S3's name of it, <c>STANDARD</c> by default.</param>
/// <param name="Upload">The multipart upload that made it, so that a repeated Complete is recognised.</param>
/// <param name="Owner">The account that wrote it.</param>
/// <param name="IsDeleteMarker">There is no content: while it is the latest version, the key has no current one.</param>
/// <param name="Encryption">How the content is sealed; null where it is not.</param>
/// <param name="Restore">Of an archived version that was asked to be readable for a time; one that is over may still be here.</param>
[GenerateSerializer, Immutable, Alias("object-version")]
public sealed record ObjectVersion(
    Manifest Manifest,
    ObjectMetadata Metadata,
    DateTimeOffset Modified,
    long Revision,
    bool IsNull,
    string StorageClass,
    UploadId? Upload,
    string Owner,
    ObjectAttributes Attributes,
    bool IsDeleteMarker = false,
    ContentEncryption? Encryption = null,
    ArchiveRestore? Restore = null)
{
    /// <summary>What S3 calls this version: its id, or "null".</summary>
    public VersionName Name => IsNull ? VersionName.Null : new(Manifest.Version);
}

/// <summary>What can be changed of a version while its content stays.</summary>
/// <param name="Change">Counts the changes, from 0: one names the count it was decided on.</param>
/// <param name="Tags">In the order they were given; ten at the most.</param>
/// <param name="Acl">The access control list as JSON; null is the default: its owner may do everything and nobody else anything.</param>
/// <param name="Retention">Until when the version can't be removed, or null.</param>
/// <param name="LegalHold">Can't be removed for as long as it is set.</param>
[GenerateSerializer, Immutable, Alias("object-attributes")]
public sealed record ObjectAttributes(
    long Change,
    ImmutableArray<KeyValuePair<string, string>> Tags,
    string? Acl,
    ObjectRetention? Retention,
    bool LegalHold)
{
    public static readonly ObjectAttributes None = new(0, [], null, null, false);
}

/// <summary>Object lock's hold on a version.</summary>
[GenerateSerializer, Immutable, Alias("object-retention")]
public sealed record ObjectRetention(RetentionMode Mode, DateTimeOffset Until);

/// <summary>Who may end a retention early.</summary>
public enum RetentionMode : byte
{
    /// <summary>Who has the right to bypass it, and says so.</summary>
    Governance = 1,

    /// <summary>Nobody.</summary>
    Compliance = 2,
}

/// <summary>An archived version was asked to be readable for a time (Amazon S3 API, RestoreObject).</summary>
/// <param name="Days">For how many, from when it is.</param>
/// <param name="Until">Until when it is; null as long as it is being brought back.</param>
[GenerateSerializer, Immutable, Alias("archive-restore")]
public sealed record ArchiveRestore(int Days, WarmUpSpeed Speed, DateTimeOffset? Until = null);

/// <summary>How much a wait is worth: S3's retrieval tiers.</summary>
public enum WarmUpSpeed : byte
{
    Standard,
    Expedited,
    Bulk,
}
