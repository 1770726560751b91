using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.Tiers;
using static DarkStorage.ClientApi.S3.Settings.XmlShape;

namespace DarkStorage.ClientApi.S3.Settings;

/// <summary>Settings that are kept and checked, and that nothing acts on: their shapes as AWS's API reference has them.</summary>
internal static class StoredSettings
{
    /// <summary>Replication: kept for the engine that is to come.</summary>
    public static readonly StoredSetting Replication = new()
    {
        Kind = BucketSettings.Replication,
        Missing = S3Error.ReplicationConfigurationNotFound,
        GetAction = S3Action.GetReplicationConfiguration,
        PutAction = S3Action.PutReplicationConfiguration,
        Shape = Holds("ReplicationConfiguration", Text("Role").Optional, Holds("Rule",
            Text("ID", 255).Optional, Number("Priority", 0, int.MaxValue).Optional, Text("Prefix").Optional, Filter("Filter").Optional, Status(),
            Holds("SourceSelectionCriteria", Holds("SseKmsEncryptedObjects", Status()).Optional, Holds("ReplicaModifications", Status()).Optional).Optional,
            Holds("ExistingObjectReplication", Status()).Optional,
            Holds("DeleteMarkerReplication", Status().Optional).Optional,
            Holds("Destination",
                BucketArn("Bucket"), Text("Account", 12).Optional, StorageClass().Optional,
                Holds("AccessControlTranslation", OneOf("Owner", "Destination")).Optional,
                Holds("EncryptionConfiguration", Text("ReplicaKmsKeyID").Optional).Optional,
                Holds("ReplicationTime", Status(), Holds("Time", Number("Minutes", 15, 15))).Optional,
                Holds("Metrics", Status(), Holds("EventThreshold", Number("Minutes", 15, 15)).Optional).Optional)).Many(1_000)),
        Check = (bucket, document) =>
        {
            if (bucket.Versioning != BucketVersioning.Enabled)
                throw new S3Exception(S3Error.InvalidRequest, "Versioning must be 'Enabled' on the bucket to apply a replication configuration");
            var rules = document.All("Rule").ToList();
            // A rule is of the first form of the document, with a prefix, or of the second, with a filter and a priority.
            if (rules.Any(r => r.Find("Prefix") is not null && r.Find("Filter") is not null)) throw S3Element.Malformed();
            var ids = rules.Select(r => r.TextOf("ID")).Where(id => !string.IsNullOrEmpty(id)).ToList();
            if (ids.Distinct(StringComparer.Ordinal).Count() != ids.Count) throw new S3Exception(S3Error.InvalidArgument, "Rule Id must be unique. Found same Id for more than one rule");
            var priorities = rules.Select(r => r.Int32Of("Priority")).Where(p => p is not null).ToList();
            if (priorities.Distinct().Count() != priorities.Count) throw new S3Exception(S3Error.InvalidRequest, "Found multiple rules with the same priority");
        },
    };

    public static readonly StoredSetting Analytics = new()
    {
        Kind = BucketSettings.Analytics,
        Missing = S3Error.NoSuchConfiguration,
        GetAction = S3Action.GetAnalyticsConfiguration,
        PutAction = S3Action.PutAnalyticsConfiguration,
        ListRoot = "ListBucketAnalyticsConfigurationResult",
        Shape = Holds("AnalyticsConfiguration", Named("Id", 64), Filter("Filter").Optional, Holds("StorageClassAnalysis",
            Holds("DataExport", OneOf("OutputSchemaVersion", "V_1"), Holds("Destination",
                Holds("S3BucketDestination", OneOf("Format", "CSV"), Text("BucketAccountId", 12).Optional, BucketArn("Bucket"), Text("Prefix").Optional))).Optional)),
    };

    public static readonly StoredSetting Inventory = new()
    {
        Kind = BucketSettings.Inventory,
        Missing = S3Error.NoSuchConfiguration,
        GetAction = S3Action.GetInventoryConfiguration,
        PutAction = S3Action.PutInventoryConfiguration,
        ListRoot = "ListInventoryConfigurationsResult",
        PutStatus = Microsoft.AspNetCore.Http.StatusCodes.Status204NoContent,
        Shape = Holds("InventoryConfiguration", Named("Id", 64), OneOf("IsEnabled", "true", "false"), OneOf("IncludedObjectVersions", "All", "Current"),
            Holds("Filter", Text("Prefix").Optional).Optional,
            Holds("Schedule", OneOf("Frequency", "Daily", "Weekly")),
            Holds("OptionalFields", OneOf("Field", "Size", "LastModifiedDate", "StorageClass", "ETag", "IsMultipartUploaded", "ReplicationStatus", "EncryptionStatus",
                "ObjectLockRetainUntilDate", "ObjectLockMode", "ObjectLockLegalHoldStatus", "IntelligentTieringAccessTier", "BucketKeyStatus", "ChecksumAlgorithm",
                "ObjectAccessControlList", "ObjectOwner", "LifecycleExpirationDate").Optional.Many(32)).Optional,
            Holds("Destination", Holds("S3BucketDestination", Text("AccountId", 12).Optional, BucketArn("Bucket"), OneOf("Format", "CSV", "ORC", "Parquet"), Text("Prefix").Optional,
                Holds("Encryption", Holds("SSE-S3").Optional, Holds("SSE-KMS", Named("KeyId", 2048)).Optional).Optional))),
    };

    public static readonly StoredSetting Metrics = new()
    {
        Kind = BucketSettings.Metrics,
        Missing = S3Error.NoSuchConfiguration,
        GetAction = S3Action.GetMetricsConfiguration,
        PutAction = S3Action.PutMetricsConfiguration,
        ListRoot = "ListMetricsConfigurationsResult",
        PutStatus = Microsoft.AspNetCore.Http.StatusCodes.Status204NoContent,
        Shape = Holds("MetricsConfiguration", Named("Id", 64), Holds("Filter", Text("Prefix").Optional, Tag().Optional, Text("AccessPointArn").Optional,
            Holds("And", Text("Prefix").Optional, Tag().Optional.Many(10), Text("AccessPointArn").Optional).Optional).Optional),
    };

    public static readonly StoredSetting IntelligentTiering = new()
    {
        Kind = BucketSettings.IntelligentTiering,
        Missing = S3Error.NoSuchConfiguration,
        GetAction = S3Action.GetIntelligentTieringConfiguration,
        PutAction = S3Action.PutIntelligentTieringConfiguration,
        ListRoot = "ListBucketIntelligentTieringConfigurationsOutput",
        Shape = Holds("IntelligentTieringConfiguration", Named("Id", 64), Filter("Filter").Optional, Status(),
            Holds("Tiering", OneOf("AccessTier", "ARCHIVE_ACCESS", "DEEP_ARCHIVE_ACCESS"), Number("Days", 90, 730)).Many(2)),
    };

    public static readonly StoredSetting Accelerate = new()
    {
        Kind = BucketSettings.Accelerate,
        Missing = null,
        GetAction = S3Action.GetAccelerateConfiguration,
        PutAction = S3Action.PutAccelerateConfiguration,
        Shape = Holds("AccelerateConfiguration", OneOf("Status", "Enabled", "Suspended")),
    };

    private static XmlShape Status() => OneOf("Status", "Enabled", "Disabled");

    private static XmlShape Tag() => Holds("Tag", Named("Key", 128), Text("Value", 256));

    private static XmlShape Filter(string name) =>
        Holds(name, Text("Prefix").Optional, Tag().Optional, Holds("And", Text("Prefix").Optional, Tag().Optional.Many(10)).Optional);

    private static XmlShape StorageClass() => OneOf("StorageClass", [.. TierRules.StorageClasses]);
}
