using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Uploads;
using DarkStorage.Rules.Buckets;
using DarkStorage.Storage;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class UploadPart
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.PutObject, ct);
        var number = PartNumber(s3);
        var (grain, upload) = await RequireUploadAsync(s3, bucket.Id, ct);
        var expected = ExpectedChecksums.Parse(s3.Headers, s3.Signing.Payload, upload.ChecksumAlgorithm);
        if (upload.ChecksumAlgorithm != ChecksumAlgorithm.None && expected.Algorithm != upload.ChecksumAlgorithm && s3.Headers.Keys.Any(h => ChecksumHeaders.AlgorithmOfHeader(h) != default))
        {
            throw new S3Exception(S3Error.InvalidRequest,
                $"Checksum Type mismatch occurred, expected checksum Type: {ChecksumHeaders.NameOf(upload.ChecksumAlgorithm).ToLowerInvariant()}, actual checksum Type: {ChecksumHeaders.NameOf(expected.Algorithm).ToLowerInvariant()}");
        }
        var body = s3.OpenContent(PutObject.LengthMax);

        using var seal = await RequestEncryption.SealPartAsync(s3, upload.Encryption, ct);
        await using var write = s3.Blobs.BeginWrite(new()
        {
            Owner = new(upload.Bucket, upload.Key),
            Redundancy = BucketRules.Of(bucket).Redundancy,
            LengthMax = PutObject.LengthMax,
            ExpectedLength = body.Length,
            Digests = expected.Digests | upload.ObjectChecksum.ToDigest(),
            Key = seal.Key,
        });
        var content = await write.CopyFromAsync(body.Reader, ct);
        s3.Log?.TakenIn();
        var stated = expected.Verify(content.Digests, body.Trailers);
        var checksum = content.ChecksumOf(upload.ObjectChecksum);
        var part = content.ToPart(number, RequestEncryption.ETagOf(content, upload.Encryption), checksum);
        await write.CommitAsync(async commit =>
        {
            await grain.CommitPartAsync(bucket.Id, s3.Key, part, commit);
            return true;
        });
        s3.Log?.ObjectSize = part.Length;
        s3.Response.Headers.ETag = ObjectHeaders.Quoted(part.ETag);
        RequestEncryption.WriteHeaders(s3, upload.Encryption);
        if ((stated ?? checksum) is { } kept) s3.Response.Headers[ChecksumHeaders.HeaderOf(kept.Algorithm)] = kept.ToString();
    }

    /// <exception cref="S3Exception"><c>InvalidArgument</c>.</exception>
    public static int PartNumber(S3Request s3)
    {
        var text = s3.Query.Find("partNumber") ?? "";
        if (int.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var number) && number is >= 1 and <= MultipartChecksums.PartsMax) return number;
        throw S3Exception.InvalidArgument($"Part number must be an integer between 1 and {MultipartChecksums.PartsMax}, inclusive", "partNumber", text);
    }

    /// <exception cref="S3Exception"><c>NoSuchUpload</c>.</exception>
    public static IUploadGrain UploadGrain(S3Request s3)
    {
        var text = s3.Query.Find("uploadId") ?? "";
        if (!DarkStorage.GrainInterfaces.UploadId.TryParse(text, out var id)) throw new S3Exception(S3Error.NoSuchUpload).With("UploadId", text.Length <= 256 ? text : text[..256]);
        return s3.Grains.GetGrain<IUploadGrain>(id.ToString());
    }

    public static async Task<(IUploadGrain Grain, UploadRecord Upload)> RequireUploadAsync(S3Request s3, GrainInterfaces.BucketId bucket, CancellationToken ct)
    {
        var grain = UploadGrain(s3);
        var upload = await grain.GetAsync(bucket, s3.Key, ct);
        s3.CountAs(upload.StorageClass);
        return (grain, upload);
    }
}
