using DarkStorage.GrainInterfaces;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class ListObjects
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.ListBucket, ct);
        var query = ListingQuery.Read(s3);
        var marker = s3.Query.Find("marker") ?? "";
        using var page = new ListingPage(query);
        var end = await s3.Index.ListObjectsAsync(query.ToListing(bucket.Id, marker), page, ct);
        await page.ReadRestoresAsync(s3.Index, bucket.Id, ct);
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("ListBucketResult"u8);
            xml.Element("Name"u8, bucket.Name);
            xml.Key("Prefix"u8, query.Prefix, query.UrlEncoded);
            xml.Key("Marker"u8, marker, query.UrlEncoded);
            xml.Element("MaxKeys"u8, query.Max);
            if (query.Delimiter is not null) xml.Key("Delimiter"u8, query.Delimiter, query.UrlEncoded);
            if (query.UrlEncoded) xml.Element("EncodingType"u8, "url");
            xml.Element("IsTruncated"u8, end.Next is not null);
            // S3 names the next marker only where a delimiter is given; clients otherwise take the last key. Naming it always harms none.
            if (end.Next is not null) xml.Key("NextMarker"u8, end.Next, query.UrlEncoded);
            page.WriteTo(xml, s3.Clock.GetUtcNow());
            xml.End("ListBucketResult"u8);
        }, ct);
    }
}

/// <summary>The parameters that all listings of a bucket share.</summary>
/// <param name="TellsRestores">Whether each archived entry is to say how it stands with its restore.</param>
internal readonly record struct ListingQuery(string Prefix, string? Delimiter, int Max, bool UrlEncoded, bool TellsRestores)
{
    private const string OptionalAttributes = "x-amz-optional-object-attributes";

    /// <summary>Entries of a page; asking for more gets as many.</summary>
    public const int EntriesMax = 1_000;

    /// <exception cref="S3Exception"><c>InvalidArgument</c>.</exception>
    public static ListingQuery Read(S3Request s3, string maxName = "max-keys")
    {
        var encoding = s3.Query.Find("encoding-type");
        if (!string.IsNullOrEmpty(encoding) && encoding != "url") throw S3Exception.InvalidArgument("Invalid Encoding Method specified in Request", "encoding-type", encoding);
        var attributes = s3.Headers[OptionalAttributes].ToString().Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (attributes.Any(static a => a != "RestoreStatus")) throw S3Exception.InvalidArgument("Invalid attribute name specified.", OptionalAttributes, s3.Headers[OptionalAttributes].ToString());
        return new(
            s3.Query.Find("prefix") ?? "",
            s3.Query.Find("delimiter") is { Length: > 0 } delimiter ? delimiter : null,
            Math.Min(s3.QueryInt32(maxName, EntriesMax, 0, int.MaxValue), EntriesMax),
            encoding == "url",
            attributes.Length > 0);
    }

    public ObjectListing ToListing(BucketId bucket, string after) => new(bucket, Prefix, Delimiter, after, Max);
}
