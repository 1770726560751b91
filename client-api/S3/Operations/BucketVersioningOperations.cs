using DarkStorage.GrainInterfaces.Buckets;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class GetBucketVersioning
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.GetBucketVersioning, ct);
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("VersioningConfiguration"u8);
            if (bucket.Versioning != BucketVersioning.Off) xml.Element("Status"u8, S3Words.Of(bucket.Versioning));
            xml.End("VersioningConfiguration"u8);
        }, ct);
    }
}

internal static class PutBucketVersioning
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.PutBucketVersioning, ct);
        var document = S3Element.Parse(await s3.ReadDocumentAsync(bytesMax: 16 << 10, ct), "VersioningConfiguration").Allow("Status", "MfaDelete", "MFADelete");
        if ((document.TextOf("MfaDelete") ?? document.TextOf("MFADelete")) == "Enabled") throw new S3Exception(S3Error.NotImplemented).With("Header", "MfaDelete");
        var status = document.EnumOf<BucketVersioning>("Status");
        if (status is null or BucketVersioning.Off)
            throw new S3Exception(S3Error.IllegalVersioningConfiguration, "The Versioning element must be specified");
        await s3.BucketGrain.SetVersioningAsync(bucket.Id, status.Value, ct);
    }
}
