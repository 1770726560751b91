using System.Runtime.CompilerServices;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.Cors;
using DarkStorage.Rules.ObjectLock;
using DarkStorage.Rules.Website;

namespace DarkStorage.Rules.Buckets;

/// <summary>A bucket's settings, read. Made once for each record, since every request asks.</summary>
public sealed class BucketRules
{
    private static readonly ConditionalWeakTable<BucketRecord, BucketRules> Known = [];

    private readonly Lazy<CorsConfiguration?> _cors;
    private readonly Lazy<ObjectLockConfiguration?> _objectLock;
    private readonly Lazy<RequestPayment?> _requestPayment;
    private readonly Lazy<WebsiteConfiguration?> _website;

    private BucketRules(BucketRecord bucket)
    {
        _cors = Setting<CorsConfiguration>(bucket, BucketSettings.Cors);
        _objectLock = Setting<ObjectLockConfiguration>(bucket, BucketSettings.ObjectLock);
        _requestPayment = Setting<RequestPayment>(bucket, BucketSettings.RequestPayment);
        _website = Setting<WebsiteConfiguration>(bucket, BucketSettings.Website);
    }

    public static BucketRules Of(BucketRecord bucket) => Known.GetValue(bucket, static b => new(b));

    /// <summary>Null where no page of another origin may use the bucket.</summary>
    public CorsConfiguration? Cors => _cors.Value;

    /// <summary>Null where the bucket has no object lock.</summary>
    public ObjectLockConfiguration? ObjectLock => _objectLock.Value;

    public Payer Payer => _requestPayment.Value?.Payer ?? Payer.BucketOwner;

    /// <summary>Null where the bucket is no website.</summary>
    public WebsiteConfiguration? Website => _website.Value;

    private static Lazy<T?> Setting<T>(BucketRecord bucket, string kind) where T : class =>
        new(() => bucket.Find(kind) is { } document ? SettingJson.Read<T>(document) : null, LazyThreadSafetyMode.PublicationOnly);
}
