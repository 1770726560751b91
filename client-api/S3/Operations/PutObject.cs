using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Buckets;
using DarkStorage.Storage;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class PutObject
{
    /// <summary>S3's largest object written in one piece.</summary>
    public const long LengthMax = 5L << 30;

    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.PutObject, ct);
        var metadata = RequestMetadata.Read(s3.Headers);
        var storageClass = RequestMetadata.ReadStorageClass(s3, bucket);
        s3.CountAs(storageClass);
        var (attributes, owner) = await RequestAttributes.ReadAsync(s3, bucket, ct);
        var condition = RequestConditions.OfWrite(s3.Headers);
        var expected = ExpectedChecksums.Parse(s3.Headers, s3.Signing.Payload);
        var body = s3.OpenContent(LengthMax);

        using var seal = await RequestEncryption.SealAsync(s3, bucket, ct);
        await using var write = s3.Blobs.BeginWrite(new()
        {
            Owner = new(bucket.Id, s3.Key),
            Redundancy = BucketRules.Of(bucket).Redundancy,
            InlineMax = s3.Options.InlineBytesMax,
            LengthMax = LengthMax,
            ExpectedLength = body.Length < 0 ? null : body.Length,
            Digests = expected.Digests,
            Key = seal.Key,
        });
        var content = await write.CopyFromAsync(body.Reader, ct);
        s3.Log?.TakenIn();
        var manifest = content.ToManifest(expected.Verify(content.Digests, body.Trailers), seal.Encryption);
        var version = await write.CommitAsync(commit => s3.ObjectGrain.CommitAsync(
            new(bucket.Id, manifest, metadata, storageClass, owner, attributes, condition, null, seal.Encryption, s3.OriginOf(ChangeMeans.Request)), commit));

        s3.WriteVersionId(bucket, version.Name);
        s3.WriteExpiration(bucket, version);
        s3.Log?.ObjectSize = version.Manifest.Length;
        s3.Response.Headers.ETag = ObjectHeaders.Quoted(version.Manifest.ETag);
        ChecksumHeaders.Write(s3.Response.Headers, version.Manifest.Checksum);
        RequestEncryption.WriteHeaders(s3, version.Encryption);
    }

    /// <summary>The manifest of a content that was written in one piece.</summary>
    public static Manifest ToManifest(this BlobContent content, Checksum? checksum, ContentEncryption? encryption)
    {
        var etag = RequestEncryption.ETagOf(content, encryption);
        return new(VersionId.Of(content.Blob), content.Length, etag, checksum, content.Chunks.IsEmpty ? [] : [content.ToPart(1, etag, checksum: null)], content.Inline);
    }

    /// <param name="number">1 to 10,000.</param>
    /// <param name="etag">See <see cref="RequestEncryption.ETagOf"/>.</param>
    public static ManifestPart ToPart(this BlobContent content, int number, string etag, Checksum? checksum) =>
        new(number, content.Blob, content.Length, etag, checksum, content.Chunks);

    /// <returns>Null where that digest was not taken.</returns>
    public static Checksum? ChecksumOf(this BlobContent content, ChecksumAlgorithm algorithm) =>
        content.Digests.Of(algorithm) is { } digest ? new(algorithm, ChecksumType.FullObject, [.. digest]) : null;
}
