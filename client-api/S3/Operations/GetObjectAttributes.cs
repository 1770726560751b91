using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class GetObjectAttributes
{
    private const string Header = "x-amz-object-attributes";
    private const int PageMax = 1_000;

    private static readonly string[] Known = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var wanted = Wanted(s3);
        var (bucket, version) = await s3.AuthorizeObjectAsync(s3.Query.Has("versionId") ? S3Action.GetObjectVersionAttributes : S3Action.GetObjectAttributes, ct);
        RequestEncryption.RefuseOfRead(s3);
        RequestEncryption.RequireCustomerKey(s3, version.Encryption);
        switch (RequestConditions.OfRead(s3.Headers).Evaluate(version.Manifest.ETag, version.Modified))
        {
            case ConditionOutcome.PreconditionFailed: throw new S3Exception(S3Error.PreconditionFailed);
            case ConditionOutcome.NotModified: throw new S3Exception(S3Error.NotModified);
        }
        s3.WriteVersionId(bucket, version.Name);
        s3.Response.Headers.LastModified = version.Modified.ToString("r", System.Globalization.CultureInfo.InvariantCulture);
        var (max, after) = (Math.Min(HeaderInt32(s3, "x-amz-max-parts", PageMax), PageMax), HeaderInt32(s3, "x-amz-part-number-marker", 0));
        var manifest = version.Manifest;
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("GetObjectAttributesResponse"u8);
            // Without quotes, in this one answer.
            if (wanted.Contains("ETag")) xml.Element("ETag"u8, manifest.ETag);
            if (wanted.Contains("Checksum") && manifest.Checksum is { } checksum)
            {
                xml.Start("Checksum"u8);
                WriteChecksum(xml, checksum);
                xml.Element("ChecksumType"u8, ChecksumHeaders.NameOf(checksum.Type));
                xml.End("Checksum"u8);
            }
            if (wanted.Contains("ObjectParts") && manifest.IsMultipart) WriteParts(xml, manifest, max, after);
            if (wanted.Contains("StorageClass")) xml.Element("StorageClass"u8, version.StorageClass);
            if (wanted.Contains("ObjectSize")) xml.Element("ObjectSize"u8, manifest.Length);
            xml.End("GetObjectAttributesResponse"u8);
        }, ct);
    }

    /// <summary>Parts are numbered as the object has them. S3 tells of each only where it has a checksum.</summary>
    private static void WriteParts(S3XmlWriter xml, Manifest manifest, int max, int after)
    {
        var page = manifest.Parts.Select((part, i) => (Number: i + 1, Part: part)).Where(p => p.Number > after).Take(max).ToList();
        xml.Start("ObjectParts"u8);
        // TotalPartsCount is what SDKs call it; on the wire its name is this.
        xml.Element("PartsCount"u8, manifest.Parts.Length);
        if (manifest.Checksum is not null)
        {
            xml.Element("PartNumberMarker"u8, after);
            if (page.Count > 0) xml.Element("NextPartNumberMarker"u8, page[^1].Number);
            xml.Element("MaxParts"u8, max);
            xml.Element("IsTruncated"u8, page.Count > 0 && page[^1].Number < manifest.Parts.Length);
            foreach (var (number, part) in page)
            {
                xml.Start("Part"u8);
                xml.Element("PartNumber"u8, number);
                xml.Element("Size"u8, part.Length);
                if (part.Checksum is { } checksum) WriteChecksum(xml, checksum);
                xml.End("Part"u8);
            }
        }
        xml.End("ObjectParts"u8);
    }

    /// <summary>Of a composite checksum the number of parts is left out here.</summary>
    private static void WriteChecksum(S3XmlWriter xml, Checksum checksum) =>
        xml.Element(ChecksumHeaders.ElementOf(checksum.Algorithm), Convert.ToBase64String(checksum.Value.AsSpan()));

    private static HashSet<string> Wanted(S3Request s3)
    {
        var names = s3.Headers[Header].ToString().Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).ToHashSet(StringComparer.Ordinal);
        if (names.Count == 0) throw S3Exception.InvalidArgument("The x-amz-object-attributes header specifying the attributes to be retrieved is either missing or empty", Header, "");
        return names.IsSubsetOf(Known) ? names : throw S3Exception.InvalidArgument("Invalid attribute name specified.", Header, s3.Headers[Header].ToString());
    }

    private static int HeaderInt32(S3Request s3, string header, int otherwise)
    {
        if ((string?)s3.Headers[header] is not { } text) return otherwise;
        return int.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var value) ? value : throw S3Exception.InvalidArgument($"{header} is not a number.", header, text);
    }
}
