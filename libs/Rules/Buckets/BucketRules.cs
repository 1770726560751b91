using System.Runtime.CompilerServices;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Rules.Acls;
using DarkStorage.Rules.Cors;
using DarkStorage.Rules.Lifecycle;
using DarkStorage.Rules.Logging;
using DarkStorage.Rules.Notifications;
using DarkStorage.Rules.ObjectLock;
using DarkStorage.Rules.Policies;
using DarkStorage.Rules.Tiers;
using DarkStorage.Rules.Website;

namespace DarkStorage.Rules.Buckets;

/// <summary>A bucket's settings, read. Made once for each record, since every request asks.</summary>
public sealed class BucketRules
{
    private static readonly ConditionalWeakTable<BucketRecord, BucketRules> Known = [];

    private readonly Lazy<BucketAccess> _access;
    private readonly Lazy<AccessCounting?> _accessCounting;
    private readonly Lazy<CorsConfiguration?> _cors;
    private readonly Lazy<BucketEncryption?> _encryption;
    private readonly Lazy<LifecycleConfiguration?> _lifecycle;
    private readonly Lazy<LoggingConfiguration?> _logging;
    private readonly Lazy<NotificationConfiguration?> _notifications;
    private readonly Lazy<ObjectLockConfiguration?> _objectLock;
    private readonly Lazy<BucketRedundancy?> _redundancy;
    private readonly Lazy<RequestPayment?> _requestPayment;
    private readonly Lazy<TagSet?> _tags;
    private readonly Lazy<BucketTiering?> _tiering;
    private readonly Lazy<WebsiteConfiguration?> _website;

    private BucketRules(BucketRecord bucket)
    {
        _access = new(() => ReadAccess(bucket), LazyThreadSafetyMode.PublicationOnly);
        _accessCounting = Setting<AccessCounting>(bucket, BucketSettings.AccessCounting);
        _cors = Setting<CorsConfiguration>(bucket, BucketSettings.Cors);
        _encryption = Setting<BucketEncryption>(bucket, BucketSettings.Encryption);
        _lifecycle = Setting<LifecycleConfiguration>(bucket, BucketSettings.Lifecycle);
        _logging = Setting<LoggingConfiguration>(bucket, BucketSettings.Logging);
        _notifications = Setting<NotificationConfiguration>(bucket, BucketSettings.Notification);
        _objectLock = Setting<ObjectLockConfiguration>(bucket, BucketSettings.ObjectLock);
        _redundancy = Setting<BucketRedundancy>(bucket, BucketSettings.Redundancy);
        _requestPayment = Setting<RequestPayment>(bucket, BucketSettings.RequestPayment);
        _tags = Setting<TagSet>(bucket, BucketSettings.Tagging);
        _tiering = Setting<BucketTiering>(bucket, BucketSettings.Tiering);
        _website = Setting<WebsiteConfiguration>(bucket, BucketSettings.Website);
    }

    public static BucketRules Of(BucketRecord bucket) => Known.GetValue(bucket, static b => new(b));

    /// <summary>What decides who may do what.</summary>
    public BucketAccess Access => _access.Value;

    /// <summary>Null where accesses are not counted.</summary>
    public AccessCounting? AccessCounting => _accessCounting.Value;

    /// <summary>Null where no page of another origin may use the bucket.</summary>
    public CorsConfiguration? Cors => _cors.Value;

    /// <summary>Null where objects lie open unless their writers say otherwise.</summary>
    public BucketEncryption? Encryption => _encryption.Value;

    /// <summary>Null where time changes nothing.</summary>
    public LifecycleConfiguration? Lifecycle => _lifecycle.Value;

    /// <summary>Where the log of the bucket's requests goes. Null where none is kept.</summary>
    public LogTarget? Logging => _logging.Value?.Enabled;

    /// <summary>Null where nobody is told of anything.</summary>
    public NotificationConfiguration? Notifications => _notifications.Value;

    /// <summary>Null where the bucket has no object lock.</summary>
    public ObjectLockConfiguration? ObjectLock => _objectLock.Value;

    /// <summary>How what is written now is kept in a cluster.</summary>
    public Redundancy Redundancy => _redundancy.Value?.ToRedundancy() ?? Redundancy.Default;

    public IReadOnlyList<KeyValuePair<string, string>> Tags => _tags.Value?.Tags ?? [];

    /// <summary>Null where everything is written to the tier <c>hot</c>, and nothing but a lifecycle takes it elsewhere.</summary>
    public BucketTiering? Tiering => _tiering.Value;

    /// <summary>Null where the bucket is no website.</summary>
    public WebsiteConfiguration? Website => _website.Value;

    public Payer Payer => _requestPayment.Value?.Payer ?? Payer.BucketOwner;

    private static BucketAccess ReadAccess(BucketRecord bucket) => new(
        bucket.Owner,
        bucket.Find(BucketSettings.Policy) is { } policy ? ReadPolicy(bucket.Name, policy) : null,
        bucket.Find(BucketSettings.Acl) is { } acl ? SettingJson.Read<AccessControlList>(acl) : null,
        // As in AWS before a bucket is given the setting: lists count, and whoever writes an object owns it.
        bucket.Find(BucketSettings.OwnershipControls) is { } ownership ? SettingJson.Read<OwnershipControls>(ownership).Ownership : ObjectOwnership.ObjectWriter,
        bucket.Find(BucketSettings.PublicAccessBlock) is { } block ? SettingJson.Read<PublicAccessBlock>(block) : PublicAccessBlock.None);

    private static BucketPolicy ReadPolicy(string bucket, string document)
    {
        try
        {
            return BucketPolicy.Parse(bucket, document);
        }
        catch (PolicyFormatException)
        {
            return BucketPolicy.Unreadable; // nobody can tell what it forbade, so it forbids everything
        }
    }

    private static Lazy<T?> Setting<T>(BucketRecord bucket, string kind) where T : class =>
        new(() => bucket.Find(kind) is { } document ? SettingJson.Read<T>(document) : null, LazyThreadSafetyMode.PublicationOnly);
}
