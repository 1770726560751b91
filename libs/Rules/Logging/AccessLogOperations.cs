using System.Collections.Frozen;

namespace DarkStorage.Rules.Logging;

/// <summary>The names that access logs have for operations: <c>REST.</c>, the method, and what it is about.</summary>
public static class AccessLogOperations
{
    public const string BatchDelete = "BATCH.DELETE.OBJECT";
    public const string CopySource = "REST.COPY.OBJECT_GET";
    public const string CopyPartSource = "REST.COPY.PART_GET";
    public const string Expire = "S3.EXPIRE.OBJECT";
    public const string ExpireByMarker = "S3.CREATE.DELETEMARKER";

    private static readonly FrozenDictionary<string, string> Names = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["ListBuckets"] = "REST.GET.SERVICE",
        ["ListObjects"] = "REST.GET.BUCKET",
        ["ListObjectsV2"] = "REST.GET.BUCKET",
        ["ListObjectVersions"] = "REST.GET.BUCKETVERSIONS",
        ["ListMultipartUploads"] = "REST.GET.UPLOADS",
        ["HeadBucket"] = "REST.HEAD.BUCKET",
        ["CreateBucket"] = "REST.PUT.BUCKET",
        ["DeleteBucket"] = "REST.DELETE.BUCKET",
        ["CreateSession"] = "REST.GET.SESSION",
        ["GetObject"] = "REST.GET.OBJECT",
        ["HeadObject"] = "REST.HEAD.OBJECT",
        ["PutObject"] = "REST.PUT.OBJECT",
        ["PostObject"] = "REST.POST.OBJECT",
        ["CopyObject"] = "REST.COPY.OBJECT",
        ["DeleteObject"] = "REST.DELETE.OBJECT",
        ["DeleteObjects"] = "REST.POST.MULTI_OBJECT_DELETE",
        ["RenameObject"] = "REST.PUT.OBJECT_RENAME",
        ["RestoreObject"] = "REST.POST.RESTORE",
        ["SelectObjectContent"] = "REST.SELECT.OBJECT",
        ["OptionsObject"] = "REST.OPTIONS.PREFLIGHT",
        ["CreateMultipartUpload"] = "REST.POST.UPLOADS",
        ["UploadPart"] = "REST.PUT.PART",
        ["UploadPartCopy"] = "REST.COPY.PART",
        ["ListParts"] = "REST.GET.UPLOAD",
        ["CompleteMultipartUpload"] = "REST.POST.UPLOAD",
        ["AbortMultipartUpload"] = "REST.DELETE.UPLOAD",
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>What a query parameter is about, where that is not just its name in capitals.</summary>
    private static readonly FrozenDictionary<string, string> Subresources = new Dictionary<string, string>(StringComparer.Ordinal)
    {
        ["intelligent-tiering"] = "INTELLIGENT_TIERING",
        ["legal-hold"] = "OBJECT_LOCK_LEGALHOLD",
        ["logging"] = "LOGGING_STATUS",
        ["object-lock"] = "BUCKET_OBJECT_LOCK_CONFIGURATION",
        ["ownershipControls"] = "OWNERSHIP_CONTROLS",
        ["policy"] = "BUCKETPOLICY",
        ["policyStatus"] = "BUCKETPOLICYSTATUS",
        ["publicAccessBlock"] = "PUBLIC_ACCESS_BLOCK",
        ["requestPayment"] = "REQUEST_PAYMENT",
        ["retention"] = "OBJECT_LOCK_RETENTION",
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <param name="operation">As S3's API names it: <c>PutObject</c>.</param>
    /// <param name="method">Of the request.</param>
    /// <param name="subresource">The query parameter that tells the operation from its siblings, or null.</param>
    /// <param name="isOnObject">The request names a key.</param>
    public static string NameOf(string operation, string method, string? subresource, bool isOnObject)
    {
        if (Names.TryGetValue(operation, out var name)) return name;
        if (operation == "Website") return $"WEBSITE.{method}.OBJECT";
        if (subresource is null) return $"REST.{method}.{(isOnObject ? "OBJECT" : "BUCKET")}";
        if (subresource == "tagging" && isOnObject) return $"REST.{method}.OBJECT_TAGGING";
        return $"REST.{method}.{Subresources.GetValueOrDefault(subresource) ?? subresource.ToUpperInvariant()}";
    }
}
