using DarkStorage.Rules.Buckets;
using DarkStorage.Storage;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class UploadPartCopy
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.PutObject, ct);
        var number = UploadPart.PartNumber(s3);
        var (grain, upload) = await UploadPart.RequireUploadAsync(s3, bucket.Id, ct);
        var source = await CopySource.FindAsync(s3, ct);
        s3.CountAs(upload.StorageClass); // not as the source, which may be of the same key
        var length = source.Version.Manifest.Length;
        var range = s3.Headers["x-amz-copy-source-range"] is { Count: > 0 } header ? RangeHeader.ParseCopySource(header.ToString(), length) : ByteRange.All(length);
        if (range.Length > PutObject.LengthMax)
            throw new S3Exception(S3Error.InvalidRequest, $"The specified copy source is larger than the maximum allowable size for a copy source: {PutObject.LengthMax}");

        using var sourceKey = await RequestEncryption.OpenAsync(s3, source.Version.Encryption, CustomerKeyHeaders.OfCopySource, ct);
        using var seal = await RequestEncryption.SealPartAsync(s3, upload.Encryption, ct);
        await using var write = s3.Blobs.BeginWrite(new()
        {
            Owner = new(upload.Bucket, upload.Key),
            Redundancy = BucketRules.Of(bucket).Redundancy,
            ExpectedLength = range.Length,
            Digests = upload.ObjectChecksum.ToDigest(),
            Key = seal.Key,
        });
        var content = await source.CopyToAsync(s3, write, range, sourceKey, ct);
        var checksum = content.ChecksumOf(upload.ObjectChecksum);
        var part = content.ToPart(number, RequestEncryption.ETagOf(content, upload.Encryption), checksum);
        await write.CommitAsync(async commit =>
        {
            await grain.CommitPartAsync(bucket.Id, s3.Key, part, commit);
            return true;
        });
        s3.Log?.ObjectSize = part.Length;
        RequestEncryption.WriteHeaders(s3, upload.Encryption);
        await CopyObject.WriteResultAsync(s3, "CopyPartResult"u8.ToArray(), part.ETag, s3.Clock.GetUtcNow(), checksum, ct);
    }
}
