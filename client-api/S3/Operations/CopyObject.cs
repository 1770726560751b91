using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Buckets;
using DarkStorage.Storage;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class CopyObject
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.PutObject, ct);
        var replace = Replaces(s3, "x-amz-metadata-directive");
        var replaceTags = Replaces(s3, "x-amz-tagging-directive");
        var (attributes, owner) = await RequestAttributes.ReadAsync(s3, bucket, ct);
        var source = await CopySource.FindAsync(s3, ct);
        var storageClass = RequestMetadata.ReadStorageClass(s3, bucket);
        if (!replaceTags)
        {
            await RequireTagsAsync(s3, source, ct);
            attributes = attributes with { Tags = source.Version.Attributes.Tags };
        }
        // An older version put on top of itself is how S3 restores it.
        var toItself = source.Bucket.Id == bucket.Id && source.Key == s3.Key && await IsCurrentAsync(s3, source, ct);
        if (toItself && !replace && storageClass == source.Version.StorageClass && s3.Headers["x-amz-website-redirect-location"].Count == 0 && !RequestEncryption.IsNamed(s3))
        {
            throw new S3Exception(S3Error.InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.");
        }
        if (source.Version.Manifest.Length > PutObject.LengthMax)
            throw new S3Exception(S3Error.InvalidRequest, $"The specified copy source is larger than the maximum allowable size for a copy source: {PutObject.LengthMax}");
        s3.CountAs(storageClass);
        var condition = RequestConditions.OfWrite(s3.Headers);
        var algorithm = ChecksumOf(s3, source.Version);

        using var sourceKey = await RequestEncryption.OpenAsync(s3, source.Version.Encryption, CustomerKeyHeaders.OfCopySource, ct);
        using var seal = await RequestEncryption.SealAsync(s3, bucket, ct);
        await using var write = s3.Blobs.BeginWrite(new()
        {
            Owner = new(bucket.Id, s3.Key),
            Redundancy = BucketRules.Of(bucket).Redundancy,
            InlineMax = s3.Options.InlineBytesMax,
            ExpectedLength = source.Version.Manifest.Length,
            Digests = algorithm.ToDigest(),
            Key = seal.Key,
        });
        var content = await source.CopyToAsync(s3, write, ByteRange.All(source.Version.Manifest.Length), sourceKey, ct);
        var checksum = content.ChecksumOf(algorithm);
        var metadata = replace
            ? RequestMetadata.Read(s3.Headers)
            // A redirect is not copied: it belongs to the place, not to the content.
            : source.Version.Metadata with { WebsiteRedirectLocation = RequestMetadata.Read(s3.Headers).WebsiteRedirectLocation };
        var version = await write.CommitAsync(commit =>
            s3.ObjectGrain.CommitAsync(new(bucket.Id, content.ToManifest(checksum, seal.Encryption), metadata, storageClass, owner, attributes, condition, null, seal.Encryption, s3.OriginOf(ChangeMeans.Copy)), commit));
        s3.WriteVersionId(bucket, version.Name);
        s3.Log?.ObjectSize = version.Manifest.Length;
        RequestEncryption.WriteHeaders(s3, version.Encryption);
        await WriteResultAsync(s3, "CopyObjectResult"u8.ToArray(), version.Manifest.ETag, version.Modified, checksum, ct);
    }

    /// <summary>To copy tags is to read them there and to put them here.</summary>
    private static async ValueTask RequireTagsAsync(S3Request s3, CopySource source, CancellationToken ct)
    {
        if (source.Version.Attributes.Tags.Length == 0) return;
        var read = source.Named is null ? S3Action.GetObjectTagging : S3Action.GetObjectVersionTagging;
        if (!s3.IsAllowed(read, source.Bucket, source.Key, source.Named, source.Version)) throw new S3Exception(S3Error.AccessDenied);
        await s3.AuthorizeAsync(S3Action.PutObjectTagging, ct);
    }

    private static async ValueTask<bool> IsCurrentAsync(S3Request s3, CopySource source, CancellationToken ct) =>
        await s3.Index.FindObjectAsync(source.Bucket.Id, source.Key, ct) is { } current && current.Revision == source.Version.Revision;

    /// <summary>The answer of both copies: the new entity tag and the time.</summary>
    public static Task WriteResultAsync(S3Request s3, byte[] element, string etag, DateTimeOffset modified, Checksum? checksum, CancellationToken ct) => s3.WriteXmlAsync(200, xml =>
    {
        xml.StartDocument(element);
        xml.ETag(etag);
        xml.Element("LastModified"u8, modified);
        if (checksum is not null)
        {
            xml.Element(ChecksumHeaders.ElementOf(checksum.Algorithm), checksum.ToString());
            xml.Element("ChecksumType"u8, ChecksumHeaders.NameOf(checksum.Type));
        }
        xml.End(element);
    }, ct);

    /// <summary>What the request asks for; else what the source has.</summary>
    private static ChecksumAlgorithm ChecksumOf(S3Request s3, ObjectVersion source)
    {
        if (s3.Headers["x-amz-checksum-algorithm"] is not { Count: > 0 } header) return source.Manifest.Checksum?.Algorithm ?? ChecksumAlgorithm.Crc64Nvme;
        var named = ChecksumHeaders.AlgorithmNamed(header.ToString());
        return named != ChecksumAlgorithm.None ? named : throw new S3Exception(S3Error.InvalidRequest, "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
    }

    private static bool Replaces(S3Request s3, string header) => s3.Headers[header].ToString() switch
    {
        "" or "COPY" => false,
        "REPLACE" => true,
        var other => throw S3Exception.InvalidArgument($"Unknown {(header.Contains("metadata", StringComparison.Ordinal) ? "metadata" : "tagging")} directive.", header, other),
    };
}
