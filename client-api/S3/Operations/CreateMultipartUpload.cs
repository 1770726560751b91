using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Uploads;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class CreateMultipartUpload
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.PutObject, ct);
        var (algorithm, type) = UploadChecksums.OfNewUpload(s3.Headers);
        var (attributes, owner) = await RequestAttributes.ReadAsync(s3, bucket, ct);
        using var seal = await RequestEncryption.SealAsync(s3, bucket, ct); // only what is kept of the key: each part opens it anew
        var now = s3.Clock.GetUtcNow();
        var upload = new UploadRecord(UploadId.New(s3.Clock), bucket.Id, bucket.Name, s3.Key, s3.Caller.Account, owner, now,
            RequestMetadata.Read(s3.Headers), RequestMetadata.ReadStorageClass(s3, bucket), algorithm, type, attributes, seal.Encryption);
        s3.CountAs(upload.StorageClass);
        await s3.Grains.GetGrain<IUploadGrain>(upload.Id.ToString()).BeginAsync(upload, ct);

        RequestEncryption.WriteHeaders(s3, upload.Encryption);
        // Named only to who asked for one: a client that did not may take it for a demand.
        if (s3.Headers.ContainsKey("x-amz-checksum-algorithm"))
        {
            s3.Response.Headers["x-amz-checksum-algorithm"] = ChecksumHeaders.NameOf(algorithm);
            s3.Response.Headers["x-amz-checksum-type"] = ChecksumHeaders.NameOf(type);
        }
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("InitiateMultipartUploadResult"u8);
            xml.Element("Bucket"u8, bucket.Name);
            xml.Element("Key"u8, s3.Key);
            xml.Element("UploadId"u8, upload.Id.ToString());
            xml.End("InitiateMultipartUploadResult"u8);
        }, ct);
    }
}
