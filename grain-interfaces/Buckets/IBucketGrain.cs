using System.Collections.Immutable;
using Orleans;

namespace DarkStorage.GrainInterfaces.Buckets;

/// <summary>One bucket and its settings. The grain's key is the bucket's name.</summary>
[Alias("bucket")]
public interface IBucketGrain : IGrainWithStringKey
{
    /// <exception cref="StorageException"><see cref="StorageError.BucketAlreadyOwnedByYou"/>, <see cref="StorageError.BucketAlreadyExists"/>,
    /// <see cref="StorageError.TooManyBuckets"/>.</exception>
    [Alias("create")]
    Task<BucketRecord> CreateAsync(BucketCreation creation, CancellationToken ct);

    /// <returns>Null where there is none.</returns>
    [Alias("find")]
    Task<BucketRecord?> FindAsync(CancellationToken ct);

    /// <summary>Turns versioning on, or suspends it. It never goes back to off.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchBucket"/>; <see cref="StorageError.InvalidBucketState"/>: with object lock it stays on.</exception>
    [Alias("set-versioning")]
    Task<BucketRecord> SetVersioningAsync(BucketId bucket, BucketVersioning versioning, CancellationToken ct);

    /// <summary>Puts a setting, or takes it away. The document was checked by who sends it.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchBucket"/>; <see cref="StorageError.InvalidBucketState"/>: object lock needs versioning;
    /// <see cref="StorageError.TooManySettings"/>; <see cref="StorageError.Conflict"/>: it was decided on a bucket that is another by now, or a node runs an older program.</exception>
    [Alias("set")]
    Task<BucketRecord> SetAsync(BucketId bucket, BucketSettingChange change, CancellationToken ct);

    /// <summary>Ends the bucket, and with it the uploads under way in it.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.NoSuchBucket"/>, <see cref="StorageError.BucketNotEmpty"/>: an object or a version is in it.</exception>
    [Alias("delete")]
    Task DeleteAsync(CancellationToken ct);
}

/// <summary>A bucket and its settings.</summary>
/// <param name="Owner">The account it belongs to.</param>
/// <param name="Region">What <c>GetBucketLocation</c> answers.</param>
/// <param name="Revision">Grows with each change of the record; a change names the one it was decided on.</param>
/// <param name="Settings">Those that every request may need: all that have no id.</param>
[GenerateSerializer, Immutable, Alias("bucket-record")]
public sealed record BucketRecord(
    BucketId Id, string Name, string Owner, string Region, DateTimeOffset Created, BucketVersioning Versioning, long Revision, ImmutableArray<BucketSetting> Settings)
{
    /// <returns>The document, or null where the setting was never made.</returns>
    public string? Find(string kind)
    {
        foreach (var setting in Settings)
        {
            if (setting.Kind == kind) return setting.Document;
        }
        return null;
    }
}

/// <summary>What a new bucket is to be.</summary>
[GenerateSerializer, Immutable, Alias("bucket-creation")]
public sealed record BucketCreation(string Owner, string Region, BucketVersioning Versioning, ImmutableArray<BucketSetting> Settings);

/// <summary>One setting of a bucket.</summary>
/// <param name="Kind">One of <see cref="BucketSettings"/>.</param>
/// <param name="Id">Of one of several of a kind; empty where there can be only one.</param>
/// <param name="Document">JSON, or for what is kept and not acted on the XML; docs/FORMATS.md says which.</param>
[GenerateSerializer, Immutable, Alias("bucket-setting")]
public sealed record BucketSetting(string Kind, string Id, string Document);

/// <param name="Document">Null takes the setting away.</param>
/// <param name="Revision">Of the <see cref="BucketRecord"/> that this was decided on; null where it turns on nothing that may have changed since.</param>
[GenerateSerializer, Immutable, Alias("bucket-setting-change")]
public sealed record BucketSettingChange(string Kind, string Id, string? Document, long? Revision = null);

/// <summary>The kinds of settings: the names of S3's subresources.</summary>
public static class BucketSettings
{
    public const string Accelerate = "accelerate";
    public const string AccessCounting = "access-counting";
    public const string Acl = "acl";
    public const string Analytics = "analytics";
    public const string Cors = "cors";
    public const string Encryption = "encryption";
    public const string IntelligentTiering = "intelligent-tiering";
    public const string Inventory = "inventory";
    public const string Lifecycle = "lifecycle";
    public const string Logging = "logging";
    public const string Metrics = "metrics";
    public const string Notification = "notification";
    public const string ObjectLock = "object-lock";
    public const string OwnershipControls = "ownershipControls";
    public const string Policy = "policy";
    public const string PublicAccessBlock = "publicAccessBlock";
    public const string Redundancy = "redundancy";
    public const string Tiering = "tiering";

    /// <summary>Has ids: the names of lifecycle policies.</summary>
    public const string TierPolicies = "tier-policies";
    public const string Replication = "replication";
    public const string RequestPayment = "requestPayment";
    public const string Tagging = "tagging";
    public const string Website = "website";

    /// <summary>Settings of one kind that have ids, at the most: S3's bound.</summary>
    public const int WithIdMax = 1_000;
}

/// <summary>S3's three states; once enabled, a bucket is never "off" again.</summary>
public enum BucketVersioning : byte
{
    Off = 0,
    Enabled = 1,
    Suspended = 2,
}
