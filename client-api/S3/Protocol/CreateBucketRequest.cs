namespace DarkStorage.ClientApi.S3;

/// <summary>The body of CreateBucket, which may be empty.</summary>
internal static class CreateBucketRequest
{
    public const int BytesMax = 64 << 10;

    /// <returns>The region asked for; null where none is.</returns>
    /// <exception cref="S3Exception"><c>MalformedXML</c>; <c>NotImplemented</c> for what only directory buckets have, and for tags.</exception>
    public static string? ParseLocationConstraint(byte[] document)
    {
        if (document.Length == 0) return null;
        using var xml = S3XmlReader.Open(document, "CreateBucketConfiguration");
        string? location = null;
        while (xml.TryEnterChild(out var name))
        {
            if (name is "Location" or "Bucket" or "Tags") throw new S3Exception(S3Error.NotImplemented).With("Header", name);
            if (name != "LocationConstraint" || location is not null) throw S3XmlReader.Malformed();
            location = xml.ReadText().Trim();
        }
        xml.Finish();
        return string.IsNullOrEmpty(location) ? null : location;
    }
}
