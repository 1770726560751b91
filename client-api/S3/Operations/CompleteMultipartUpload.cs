using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class CompleteMultipartUpload
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.PutObject, ct);
        var grain = UploadPart.UploadGrain(s3);
        var condition = RequestConditions.OfWrite(s3.Headers);
        // The checksum headers are about the object, not about this document.
        var stated = UploadChecksums.OfCompletion(s3.Headers);
        var document = await S3XmlReader.ReadBodyAsync(RequestContent.Open(s3.Http, s3.Signing, lengthRequired: false).Reader, CompleteMultipartUploadRequest.BytesMax, ct);
        s3.Log?.TakenIn();
        RequireSignedDocument(s3, document);
        var parts = CompleteMultipartUploadRequest.Parse(document);
        var version = await grain.CompleteAsync(new(bucket.Id, s3.Key, parts, condition, stated, ObjectSize(s3), s3.OriginOf(ChangeMeans.Multipart)), ct);

        s3.CountAs(version.StorageClass);
        s3.WriteVersionId(bucket, version.Name);
        s3.Log?.ObjectSize = version.Manifest.Length;
        // Nothing is opened here, so nothing is said of a customer's key that may have come.
        if (version.Encryption?.Mode != EncryptionMode.SseC) RequestEncryption.WriteHeaders(s3, version.Encryption);
        var (etag, checksum) = (version.Manifest.ETag, version.Manifest.Checksum);
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("CompleteMultipartUploadResult"u8);
            xml.Element("Location"u8, $"{s3.Http.Request.Scheme}://{s3.Http.Request.Host}{s3.RawPath}");
            xml.Element("Bucket"u8, bucket.Name);
            xml.Element("Key"u8, s3.Key);
            xml.ETag(etag);
            if (checksum is not null)
            {
                xml.Element(ChecksumHeaders.ElementOf(checksum.Algorithm), checksum.ToString());
                xml.Element("ChecksumType"u8, ChecksumHeaders.NameOf(checksum.Type));
            }
            xml.End("CompleteMultipartUploadResult"u8);
        }, ct);
    }

    private static void RequireSignedDocument(S3Request s3, byte[] document)
    {
        if (s3.Signing.Payload.Sha256 is { } signed && !System.Security.Cryptography.SHA256.HashData(document).AsSpan().SequenceEqual(signed))
            throw new S3Exception(S3Error.ContentSha256Mismatch);
    }

    private static long? ObjectSize(S3Request s3)
    {
        const string header = "x-amz-mp-object-size";
        if (s3.Headers[header] is not { Count: > 0 } text) return null;
        if (long.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var size)) return size;
        throw S3Exception.InvalidArgument($"Value for {header} header is invalid.", header, text.ToString());
    }
}
