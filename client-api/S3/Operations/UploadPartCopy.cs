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
        var length = source.Version.Manifest.Length;
        var range = s3.Headers["x-amz-copy-source-range"] is { Count: > 0 } header ? RangeHeader.ParseCopySource(header.ToString(), length) : ByteRange.All(length);
        if (range.Length > PutObject.LengthMax)
            throw new S3Exception(S3Error.InvalidRequest, $"The specified copy source is larger than the maximum allowable size for a copy source: {PutObject.LengthMax}");

        await using var write = s3.Blobs.BeginWrite(new() { ExpectedLength = range.Length, Digests = upload.ChecksumAlgorithm.ToDigest() });
        var content = await source.CopyToAsync(s3.Blobs, write, range, ct);
        var checksum = content.ChecksumOf(upload.ChecksumAlgorithm);
        await write.CommitAsync(async commit =>
        {
            await grain.CommitPartAsync(bucket.Id, s3.Key, content.ToPart(number, checksum), commit);
            return true;
        });
        await CopyObject.WriteResultAsync(s3, "CopyPartResult"u8.ToArray(), content.Digests.ETag, s3.Clock.GetUtcNow(), checksum, ct);
    }
}
