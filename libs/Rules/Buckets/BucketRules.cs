using System.Runtime.CompilerServices;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.ObjectLock;

namespace DarkStorage.Rules.Buckets;

/// <summary>A bucket's settings, read. Made once for each record, since every request asks.</summary>
public sealed class BucketRules
{
    private static readonly ConditionalWeakTable<BucketRecord, BucketRules> Known = [];

    private readonly Lazy<ObjectLockConfiguration?> _objectLock;

    private BucketRules(BucketRecord bucket) => _objectLock = Setting<ObjectLockConfiguration>(bucket, BucketSettings.ObjectLock);

    public static BucketRules Of(BucketRecord bucket) => Known.GetValue(bucket, static b => new(b));

    /// <summary>Null where the bucket has no object lock.</summary>
    public ObjectLockConfiguration? ObjectLock => _objectLock.Value;

    private static Lazy<T?> Setting<T>(BucketRecord bucket, string kind) where T : class =>
        new(() => bucket.Find(kind) is { } document ? SettingJson.Read<T>(document) : null, LazyThreadSafetyMode.PublicationOnly);
}
