namespace DarkStorage.ClientApi.S3.Operations;

internal static class ListObjectsV2
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        if (s3.Query.Find("list-type") is { } type && type != "2") throw S3Exception.InvalidArgument("Invalid List Type specified in Request", "list-type", type);
        var bucket = await s3.AuthorizeAsync(S3Action.ListBucket, ct);
        var query = ListingQuery.Read(s3);
        var token = s3.Query.Find("continuation-token");
        if (token is { Length: 0 }) throw S3Exception.InvalidArgument("The continuation token provided is incorrect", "continuation-token", token);
        var startAfter = s3.Query.Find("start-after") ?? "";
        var owner = s3.Query.Find("fetch-owner") == "true" ? bucket.Owner : null;
        using var page = new ListingPage(query, owner);
        var end = await s3.Index.ListObjectsAsync(query.ToListing(bucket.Id, token is null ? startAfter : ContinuationToken.Decode(token)), page, ct);
        await page.ReadRestoresAsync(s3.Index, bucket.Id, ct);
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("ListBucketResult"u8);
            xml.Element("Name"u8, bucket.Name);
            xml.Key("Prefix"u8, query.Prefix, query.UrlEncoded);
            if (token is not null) xml.Element("ContinuationToken"u8, token);
            if (end.Next is not null) xml.Element("NextContinuationToken"u8, ContinuationToken.Encode(end.Next));
            if (startAfter.Length > 0) xml.Key("StartAfter"u8, startAfter, query.UrlEncoded);
            xml.Element("KeyCount"u8, page.Count);
            xml.Element("MaxKeys"u8, query.Max);
            if (query.Delimiter is not null) xml.Key("Delimiter"u8, query.Delimiter, query.UrlEncoded);
            if (query.UrlEncoded) xml.Element("EncodingType"u8, "url");
            xml.Element("IsTruncated"u8, end.Next is not null);
            page.WriteTo(xml, s3.Clock.GetUtcNow());
            xml.End("ListBucketResult"u8);
        }, ct);
    }
}
