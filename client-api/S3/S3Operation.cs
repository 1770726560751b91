using DarkStorage.ClientApi.S3.Operations;
using DarkStorage.ClientApi.S3.Settings;
using DarkStorage.Rules.Logging;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3;

/// <summary>One operation of S3, by its name. Where nothing handles it, it answers <c>NotImplemented</c>.</summary>
internal sealed record S3Operation(string Name, Func<S3Request, CancellationToken, Task>? Handle = null)
{
    /// <summary>What a request is counted as: lists are charged for as writes are, and a query reads (Amazon S3 pricing, "Requests and data retrievals").</summary>
    public RequestKind CountedAs(string method)
    {
        if (HttpMethods.IsDelete(method) || Name == nameof(DeleteObjects)) return RequestKind.Delete;
        if (HttpMethods.IsGet(method) || HttpMethods.IsHead(method)) return Name.StartsWith("List", StringComparison.Ordinal) ? RequestKind.Write : RequestKind.Read;
        return Name == nameof(SelectObjectContent) ? RequestKind.Read : RequestKind.Write;
    }
}

/// <summary>The table of S3's operations: what a request's method, level and parameters mean.</summary>
/// <remarks>An operation is told from its siblings by a query parameter or, for copies, a header. A parameter that names none is not looked at,
/// as in S3 (<c>x-id</c>, <c>response-content-type</c>).</remarks>
internal static class S3Operations
{
    private const string CopySource = "x-amz-copy-source";

    private enum Level
    {
        Service,
        Bucket,
        Object,
    }

    /// <param name="Query">The parameters that must all be there.</param>
    private sealed record Route(string Method, Level Level, string[] Query, string? Header, S3Operation Operation);

    private static readonly Route[] Routes =
    [
        Service("GET", new("ListBuckets", ListBuckets.HandleAsync)),

        Bucket("GET", "list-type", new("ListObjectsV2", ListObjectsV2.HandleAsync)),
        Bucket("GET", "location", new("GetBucketLocation", GetBucketLocation.HandleAsync)),
        Bucket("GET", "uploads", new("ListMultipartUploads", ListMultipartUploads.HandleAsync)),
        Bucket("GET", "versions", new("ListObjectVersions", ListObjectVersions.HandleAsync)),
        Bucket("GET", "accelerate", new("GetBucketAccelerateConfiguration", StoredSettings.Accelerate.GetAsync)),
        Bucket("GET", "acl", new("GetBucketAcl", GetBucketAcl.HandleAsync)),
        Bucket("GET", "analytics", "id", new("GetBucketAnalyticsConfiguration", StoredSettings.Analytics.GetAsync)),
        Bucket("GET", "analytics", new("ListBucketAnalyticsConfigurations", StoredSettings.Analytics.ListAsync)),
        Bucket("GET", "cors", new("GetBucketCors", CorsSetting.Setting.GetAsync)),
        Bucket("GET", "encryption", new("GetBucketEncryption", EncryptionSetting.Setting.GetAsync)),
        Bucket("GET", "intelligent-tiering", "id", new("GetBucketIntelligentTieringConfiguration", StoredSettings.IntelligentTiering.GetAsync)),
        Bucket("GET", "intelligent-tiering", new("ListBucketIntelligentTieringConfigurations", StoredSettings.IntelligentTiering.ListAsync)),
        Bucket("GET", "inventory", "id", new("GetBucketInventoryConfiguration", StoredSettings.Inventory.GetAsync)),
        Bucket("GET", "inventory", new("ListBucketInventoryConfigurations", StoredSettings.Inventory.ListAsync)),
        Bucket("GET", "lifecycle", new("GetBucketLifecycleConfiguration", LifecycleSetting.Setting.GetAsync)),
        Bucket("GET", "logging", new("GetBucketLogging", LoggingSetting.Setting.GetAsync)),
        Bucket("GET", "metadataConfiguration", new("GetBucketMetadataConfiguration")),
        Bucket("GET", "metadataTable", new("GetBucketMetadataTableConfiguration")),
        Bucket("GET", "metrics", "id", new("GetBucketMetricsConfiguration", StoredSettings.Metrics.GetAsync)),
        Bucket("GET", "metrics", new("ListBucketMetricsConfigurations", StoredSettings.Metrics.ListAsync)),
        Bucket("GET", "notification", new("GetBucketNotificationConfiguration", NotificationSetting.Setting.GetAsync)),
        Bucket("GET", "object-lock", new("GetObjectLockConfiguration", ObjectLockSetting.Setting.GetAsync)),
        Bucket("GET", "ownershipControls", new("GetBucketOwnershipControls", OwnershipSetting.Setting.GetAsync)),
        Bucket("GET", "policy", new("GetBucketPolicy", PolicySetting.GetAsync)),
        Bucket("GET", "policyStatus", new("GetBucketPolicyStatus", PolicySetting.GetStatusAsync)),
        Bucket("GET", "publicAccessBlock", new("GetPublicAccessBlock", PublicAccessBlockSetting.Setting.GetAsync)),
        Bucket("GET", "replication", new("GetBucketReplication", StoredSettings.Replication.GetAsync)),
        Bucket("GET", "requestPayment", new("GetBucketRequestPayment", RequestPaymentSetting.Setting.GetAsync)),
        Bucket("GET", "session", new("CreateSession")),
        Bucket("GET", "tagging", new("GetBucketTagging", BucketTagging.Setting.GetAsync)),
        Bucket("GET", "versioning", new("GetBucketVersioning", GetBucketVersioning.HandleAsync)),
        Bucket("GET", "website", new("GetBucketWebsite", WebsiteSetting.Setting.GetAsync)),
        Bucket("GET", new("ListObjects", ListObjects.HandleAsync)),

        Bucket("HEAD", new("HeadBucket", HeadBucket.HandleAsync)),

        Bucket("PUT", "accelerate", new("PutBucketAccelerateConfiguration", StoredSettings.Accelerate.PutAsync)),
        Bucket("PUT", "acl", new("PutBucketAcl", PutBucketAcl.HandleAsync)),
        Bucket("PUT", "analytics", new("PutBucketAnalyticsConfiguration", StoredSettings.Analytics.PutAsync)),
        Bucket("PUT", "cors", new("PutBucketCors", CorsSetting.Setting.PutAsync)),
        Bucket("PUT", "encryption", new("PutBucketEncryption", EncryptionSetting.Setting.PutAsync)),
        Bucket("PUT", "intelligent-tiering", new("PutBucketIntelligentTieringConfiguration", StoredSettings.IntelligentTiering.PutAsync)),
        Bucket("PUT", "inventory", new("PutBucketInventoryConfiguration", StoredSettings.Inventory.PutAsync)),
        Bucket("PUT", "lifecycle", new("PutBucketLifecycleConfiguration", LifecycleSetting.Setting.PutAsync)),
        Bucket("PUT", "logging", new("PutBucketLogging", LoggingSetting.Setting.PutAsync)),
        Bucket("PUT", "metadataInventoryTable", new("UpdateBucketMetadataInventoryTableConfiguration")),
        Bucket("PUT", "metadataJournalTable", new("UpdateBucketMetadataJournalTableConfiguration")),
        Bucket("PUT", "metrics", new("PutBucketMetricsConfiguration", StoredSettings.Metrics.PutAsync)),
        Bucket("PUT", "notification", new("PutBucketNotificationConfiguration", NotificationSetting.Setting.PutAsync)),
        Bucket("PUT", "object-lock", new("PutObjectLockConfiguration", ObjectLockSetting.Setting.PutAsync)),
        Bucket("PUT", "ownershipControls", new("PutBucketOwnershipControls", OwnershipSetting.Setting.PutAsync)),
        Bucket("PUT", "policy", new("PutBucketPolicy", PolicySetting.PutAsync)),
        Bucket("PUT", "publicAccessBlock", new("PutPublicAccessBlock", PublicAccessBlockSetting.Setting.PutAsync)),
        Bucket("PUT", "replication", new("PutBucketReplication", StoredSettings.Replication.PutAsync)),
        Bucket("PUT", "requestPayment", new("PutBucketRequestPayment", RequestPaymentSetting.Setting.PutAsync)),
        Bucket("PUT", "tagging", new("PutBucketTagging", BucketTagging.Setting.PutAsync)),
        Bucket("PUT", "versioning", new("PutBucketVersioning", PutBucketVersioning.HandleAsync)),
        Bucket("PUT", "website", new("PutBucketWebsite", WebsiteSetting.Setting.PutAsync)),
        Bucket("PUT", new("CreateBucket", CreateBucket.HandleAsync)),

        Bucket("POST", "delete", new("DeleteObjects", DeleteObjects.HandleAsync)),
        Bucket("POST", "metadataConfiguration", new("CreateBucketMetadataConfiguration")),
        Bucket("POST", "metadataTable", new("CreateBucketMetadataTableConfiguration")),
        Bucket("POST", new("PostObject", PostObject.HandleAsync)),

        Bucket("DELETE", "analytics", new("DeleteBucketAnalyticsConfiguration", StoredSettings.Analytics.DeleteAsync)),
        Bucket("DELETE", "cors", new("DeleteBucketCors", CorsSetting.Setting.DeleteAsync)),
        Bucket("DELETE", "encryption", new("DeleteBucketEncryption", EncryptionSetting.Setting.DeleteAsync)),
        Bucket("DELETE", "intelligent-tiering", new("DeleteBucketIntelligentTieringConfiguration", StoredSettings.IntelligentTiering.DeleteAsync)),
        Bucket("DELETE", "inventory", new("DeleteBucketInventoryConfiguration", StoredSettings.Inventory.DeleteAsync)),
        Bucket("DELETE", "lifecycle", new("DeleteBucketLifecycle", LifecycleSetting.Setting.DeleteAsync)),
        Bucket("DELETE", "metadataConfiguration", new("DeleteBucketMetadataConfiguration")),
        Bucket("DELETE", "metadataTable", new("DeleteBucketMetadataTableConfiguration")),
        Bucket("DELETE", "metrics", new("DeleteBucketMetricsConfiguration", StoredSettings.Metrics.DeleteAsync)),
        Bucket("DELETE", "ownershipControls", new("DeleteBucketOwnershipControls", OwnershipSetting.Setting.DeleteAsync)),
        Bucket("DELETE", "policy", new("DeleteBucketPolicy", PolicySetting.DeleteAsync)),
        Bucket("DELETE", "publicAccessBlock", new("DeletePublicAccessBlock", PublicAccessBlockSetting.Setting.DeleteAsync)),
        Bucket("DELETE", "replication", new("DeleteBucketReplication", StoredSettings.Replication.DeleteAsync)),
        Bucket("DELETE", "tagging", new("DeleteBucketTagging", BucketTagging.Setting.DeleteAsync)),
        Bucket("DELETE", "website", new("DeleteBucketWebsite", WebsiteSetting.Setting.DeleteAsync)),
        Bucket("DELETE", new("DeleteBucket", DeleteBucket.HandleAsync)),

        Object("GET", "uploadId", new("ListParts", ListParts.HandleAsync)),
        Object("GET", "acl", new("GetObjectAcl", GetObjectAcl.HandleAsync)),
        Object("GET", "attributes", new("GetObjectAttributes", GetObjectAttributes.HandleAsync)),
        Object("GET", "legal-hold", new("GetObjectLegalHold", GetObjectLegalHold.HandleAsync)),
        Object("GET", "retention", new("GetObjectRetention", GetObjectRetention.HandleAsync)),
        Object("GET", "tagging", new("GetObjectTagging", GetObjectTagging.HandleAsync)),
        Object("GET", "torrent", new("GetObjectTorrent")),
        Object("GET", new("GetObject", GetObject.HandleAsync)),

        Object("HEAD", new("HeadObject", HeadObject.HandleAsync)),

        new("PUT", Level.Object, ["uploadId", "partNumber"], CopySource, new("UploadPartCopy", UploadPartCopy.HandleAsync)),
        Object("PUT", "uploadId", "partNumber", new("UploadPart", UploadPart.HandleAsync)),
        Object("PUT", "acl", new("PutObjectAcl", PutObjectAcl.HandleAsync)),
        Object("PUT", "encryption", new("UpdateObjectEncryption")),
        Object("PUT", "legal-hold", new("PutObjectLegalHold", PutObjectLegalHold.HandleAsync)),
        Object("PUT", "renameObject", new("RenameObject")),
        Object("PUT", "retention", new("PutObjectRetention", PutObjectRetention.HandleAsync)),
        Object("PUT", "tagging", new("PutObjectTagging", PutObjectTagging.HandleAsync)),
        new("PUT", Level.Object, [], CopySource, new("CopyObject", CopyObject.HandleAsync)),
        Object("PUT", new("PutObject", PutObject.HandleAsync)),

        Object("POST", "uploads", new("CreateMultipartUpload", CreateMultipartUpload.HandleAsync)),
        Object("POST", "uploadId", new("CompleteMultipartUpload", CompleteMultipartUpload.HandleAsync)),
        Object("POST", "restore", new("RestoreObject", RestoreObject.HandleAsync)),
        Object("POST", "select", new("SelectObjectContent", SelectObjectContent.HandleAsync)),

        Object("DELETE", "uploadId", new("AbortMultipartUpload", AbortMultipartUpload.HandleAsync)),
        Object("DELETE", "tagging", new("DeleteObjectTagging", DeleteObjectTagging.HandleAsync)),
        Object("DELETE", new("DeleteObject", DeleteObject.HandleAsync)),

        Bucket("OPTIONS", new("OptionsObject")),
        Object("OPTIONS", new("OptionsObject")),
    ];

    /// <summary>The routes of one method and level, the more particular first, as they stand in the table.</summary>
    private static readonly Dictionary<(string, Level), Route[]> ByMethod =
        Routes.GroupBy(r => (r.Method, r.Level)).ToDictionary(g => g.Key, g => g.ToArray());

    private static readonly Dictionary<S3Operation, string> LogNames = Routes.DistinctBy(r => r.Operation)
        .ToDictionary(r => r.Operation, r => AccessLogOperations.NameOf(r.Operation.Name, r.Method, r.Query.FirstOrDefault(), r.Level == Level.Object));

    /// <summary>What access logs call an operation.</summary>
    /// <param name="operation">Null where S3 has none such.</param>
    public static string LogNameOf(S3Operation? operation, string method) =>
        operation is not null && LogNames.TryGetValue(operation, out var name) ? name : AccessLogOperations.NameOf(operation?.Name ?? "", method, null, isOnObject: true);

    /// <summary>Every operation there is, for tests and documentation.</summary>
    public static IEnumerable<S3Operation> All => Routes.Select(r => r.Operation);

    /// <summary>The parameters that tell operations from each other.</summary>
    public static IEnumerable<string> Parameters => Routes.SelectMany(r => r.Query).Distinct(StringComparer.Ordinal);

    /// <exception cref="S3Exception"><c>MethodNotAllowed</c>: S3 has no such operation.</exception>
    public static S3Operation Find(string method, S3Target target, IHeaderDictionary headers)
    {
        var level = target.Key is not null ? Level.Object : target.Bucket is not null ? Level.Bucket : Level.Service;
        if (ByMethod.TryGetValue((method, level), out var routes))
        {
            foreach (var route in routes)
            {
                if (Matches(route, target.Query, headers)) return route.Operation;
            }
        }
        throw new S3Exception(S3Error.MethodNotAllowed).With("Method", method).With("ResourceType", level switch
        {
            Level.Service => "SERVICE",
            Level.Bucket => "BUCKET",
            _ => "OBJECT",
        });
    }

    private static bool Matches(Route route, in S3Query query, IHeaderDictionary headers)
    {
        foreach (var name in route.Query)
        {
            if (!query.Has(name)) return false;
        }
        return route.Header is null || headers.ContainsKey(route.Header);
    }

    private static Route Service(string method, S3Operation operation) => new(method, Level.Service, [], null, operation);
    private static Route Bucket(string method, S3Operation operation) => new(method, Level.Bucket, [], null, operation);
    private static Route Bucket(string method, string query, S3Operation operation) => new(method, Level.Bucket, [query], null, operation);
    private static Route Bucket(string method, string query, string second, S3Operation operation) => new(method, Level.Bucket, [query, second], null, operation);
    private static Route Object(string method, S3Operation operation) => new(method, Level.Object, [], null, operation);
    private static Route Object(string method, string query, S3Operation operation) => new(method, Level.Object, [query], null, operation);
    private static Route Object(string method, string query, string second, S3Operation operation) => new(method, Level.Object, [query, second], null, operation);
}
