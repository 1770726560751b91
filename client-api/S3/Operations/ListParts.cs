
namespace DarkStorage.ClientApi.S3.Operations;

internal static class ListParts
{
    private const int PageMax = 1_000;

    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.ListMultipartUploadParts, ct);
        var (_, upload) = await UploadPart.RequireUploadAsync(s3, bucket.Id, ct);
        var max = Math.Min(s3.QueryInt32("max-parts", PageMax, 0, int.MaxValue), PageMax);
        var after = s3.QueryInt32("part-number-marker", 0, 0, int.MaxValue);
        var found = await s3.Index.ListPartsAsync(upload.Id, after, max + 1, ct);
        var page = found.Take(max).ToList();
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("ListPartsResult"u8);
            xml.Element("Bucket"u8, bucket.Name);
            xml.Element("Key"u8, s3.Key);
            xml.Element("UploadId"u8, upload.Id.ToString());
            xml.Account("Initiator"u8, upload.Initiator);
            xml.Account("Owner"u8, upload.Owner);
            xml.Element("StorageClass"u8, upload.StorageClass);
            xml.Element("PartNumberMarker"u8, after);
            if (page.Count > 0) xml.Element("NextPartNumberMarker"u8, page[^1].Part.Number);
            xml.Element("MaxParts"u8, max);
            xml.Element("IsTruncated"u8, found.Count > max);
            xml.Element("ChecksumAlgorithm"u8, ChecksumHeaders.NameOf(upload.ObjectChecksum));
            xml.Element("ChecksumType"u8, ChecksumHeaders.NameOf(upload.ChecksumType));
            foreach (var part in page)
            {
                xml.Start("Part"u8);
                xml.Element("PartNumber"u8, part.Part.Number);
                xml.Element("LastModified"u8, part.Modified);
                xml.ETag(part.Part.ETag);
                xml.Element("Size"u8, part.Part.Length);
                if (part.Part.Checksum is { } checksum) xml.Element(ChecksumHeaders.ElementOf(checksum.Algorithm), checksum.ToString());
                xml.End("Part"u8);
            }
            xml.End("ListPartsResult"u8);
        }, ct);
    }
}
