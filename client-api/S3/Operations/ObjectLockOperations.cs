using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Buckets;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class GetObjectRetention
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (bucket, version) = await s3.AuthorizeObjectAsync(S3Action.GetObjectRetention, ct);
        bucket.RequireObjectLock();
        if (version.Attributes.Retention is not { } retention) throw new S3Exception(S3Error.NoSuchObjectLockConfiguration);
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("Retention"u8);
            xml.Element("Mode"u8, S3Words.Of(retention.Mode));
            xml.Element("RetainUntilDate"u8, retention.Until);
            xml.End("Retention"u8);
        }, ct);
    }
}

internal static class PutObjectRetention
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (bucket, version) = await s3.AuthorizeObjectAsync(S3Action.PutObjectRetention, ct);
        bucket.RequireObjectLock();
        var document = S3Element.Parse(await s3.ReadDocumentAsync(bytesMax: 16 << 10, ct), "Retention").Allow("Mode", "RetainUntilDate");
        var (mode, until) = (document.EnumOf<RetentionMode>("Mode"), document.TimeOf("RetainUntilDate"));
        if (mode is null != until is null) throw S3Element.Malformed();
        if (until <= s3.Clock.GetUtcNow()) throw S3Exception.InvalidArgument("The retain until date must be in the future!", "RetainUntilDate", document.TextOf("RetainUntilDate")!);
        var retention = mode is { } kept ? new ObjectRetention(kept, until!.Value) : null;
        await s3.ObjectGrain.UpdateAsync(new(bucket.Id, version.Name, new(version.Revision), s3.OriginOf(ChangeMeans.Request), Retention: new(retention, await s3.BypassesGovernanceAsync(s3.Key, s3.Version, ct))), ct);
    }
}

internal static class GetObjectLegalHold
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (bucket, version) = await s3.AuthorizeObjectAsync(S3Action.GetObjectLegalHold, ct);
        bucket.RequireObjectLock();
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("LegalHold"u8);
            xml.Element("Status"u8, version.Attributes.LegalHold ? "ON" : "OFF");
            xml.End("LegalHold"u8);
        }, ct);
    }
}

internal static class PutObjectLegalHold
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (bucket, version) = await s3.AuthorizeObjectAsync(S3Action.PutObjectLegalHold, ct);
        bucket.RequireObjectLock();
        var document = S3Element.Parse(await s3.ReadDocumentAsync(bytesMax: 16 << 10, ct), "LegalHold").Allow("Status");
        var hold = document.RequireText("Status") switch
        {
            "ON" => true,
            "OFF" => false,
            _ => throw S3Element.Malformed(),
        };
        await s3.ObjectGrain.UpdateAsync(new(bucket.Id, version.Name, new(version.Revision), s3.OriginOf(ChangeMeans.Request), LegalHold: hold), ct);
    }
}

internal static class ObjectLockRequests
{
    /// <exception cref="S3Exception"><c>InvalidRequest</c>: the bucket was made without object lock.</exception>
    public static void RequireObjectLock(this BucketRecord bucket)
    {
        if (BucketRules.Of(bucket).ObjectLock is null) throw new S3Exception(S3Error.InvalidRequest, "Bucket is missing Object Lock Configuration");
    }

    /// <summary>The caller says that governance is to be bypassed, and may.</summary>
    /// <exception cref="S3Exception"><c>AccessDenied</c>: says so, and may not.</exception>
    /// <param name="key">What is about to be changed.</param>
    /// <param name="named">The version that the client named.</param>
    public static async ValueTask<bool> BypassesGovernanceAsync(this S3Request s3, string key, VersionName? named, CancellationToken ct)
    {
        if (!string.Equals(s3.Headers["x-amz-bypass-governance-retention"], "true", StringComparison.OrdinalIgnoreCase)) return false;
        await s3.AuthorizeAsync(S3Action.BypassGovernanceRetention, s3.BucketName, key, named, ct);
        return true;
    }
}
