using DarkStorage.GrainInterfaces;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class ListMultipartUploads
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.ListBucketMultipartUploads, ct);
        var query = ListingQuery.Read(s3, "max-uploads");
        var keyMarker = s3.Query.Find("key-marker") ?? "";
        var uploadMarker = UploadMarker(s3, keyMarker);
        var page = await s3.Index.ListUploadsAsync(bucket.Id, query.Prefix, query.Delimiter, keyMarker, uploadMarker, query.Max, ct);
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("ListMultipartUploadsResult"u8);
            xml.Element("Bucket"u8, bucket.Name);
            xml.Key("KeyMarker"u8, keyMarker, query.UrlEncoded);
            xml.Element("UploadIdMarker"u8, uploadMarker?.ToString());
            xml.Key("Prefix"u8, query.Prefix, query.UrlEncoded);
            if (query.Delimiter is not null) xml.Key("Delimiter"u8, query.Delimiter, query.UrlEncoded);
            if (page.NextKey is not null)
            {
                xml.Key("NextKeyMarker"u8, page.NextKey, query.UrlEncoded);
                xml.Element("NextUploadIdMarker"u8, page.NextUpload?.ToString());
            }
            if (query.UrlEncoded) xml.Element("EncodingType"u8, "url");
            xml.Element("MaxUploads"u8, query.Max);
            xml.Element("IsTruncated"u8, page.NextKey is not null);
            foreach (var upload in page.Uploads)
            {
                xml.Start("Upload"u8);
                xml.Key("Key"u8, upload.Key, query.UrlEncoded);
                xml.Element("UploadId"u8, upload.Id.ToString());
                xml.Account("Initiator"u8, upload.Initiator);
                xml.Account("Owner"u8, upload.Owner);
                xml.Element("StorageClass"u8, upload.StorageClass);
                xml.Element("Initiated"u8, upload.Initiated);
                xml.Element("ChecksumAlgorithm"u8, ChecksumHeaders.NameOf(upload.ObjectChecksum));
                xml.Element("ChecksumType"u8, ChecksumHeaders.NameOf(upload.ChecksumType));
                xml.End("Upload"u8);
            }
            foreach (var prefix in page.CommonPrefixes)
            {
                xml.Start("CommonPrefixes"u8);
                xml.Key("Prefix"u8, prefix, query.UrlEncoded);
                xml.End("CommonPrefixes"u8);
            }
            xml.End("ListMultipartUploadsResult"u8);
        }, ct);
    }

    /// <summary>S3 ignores the upload where no key goes with it.</summary>
    private static UploadId? UploadMarker(S3Request s3, string keyMarker)
    {
        if (keyMarker.Length == 0 || s3.Query.Find("upload-id-marker") is not { Length: > 0 } text) return null;
        return UploadId.TryParse(text, out var id) ? id : throw S3Exception.InvalidArgument("Invalid uploadId marker", "upload-id-marker", text.Length <= 256 ? text : text[..256]);
    }
}
