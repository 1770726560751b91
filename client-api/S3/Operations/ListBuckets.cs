namespace DarkStorage.ClientApi.S3.Operations;

internal static class ListBuckets
{
    private const int BucketsMax = 10_000;

    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        s3.AuthorizeService(S3Action.ListAllMyBuckets);
        var max = s3.QueryInt32("max-buckets", BucketsMax, 1, BucketsMax);
        var prefix = s3.Query.Find("prefix") ?? "";
        var after = ContinuationToken.Decode(s3.Query.Find("continuation-token"));
        var owner = s3.Caller.IsRoot ? null : s3.Caller.Account;
        var found = await s3.Index.ListBucketsAsync(owner, prefix, after, max + 1, ct);
        var page = found.Take(max).ToList();
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("ListAllMyBucketsResult"u8);
            xml.Account("Owner"u8, s3.Caller.Account);
            xml.Start("Buckets"u8);
            foreach (var bucket in page)
            {
                xml.Start("Bucket"u8);
                xml.Element("Name"u8, bucket.Name);
                xml.Element("CreationDate"u8, bucket.Created);
                xml.Element("BucketRegion"u8, bucket.Region);
                xml.End("Bucket"u8);
            }
            xml.End("Buckets"u8);
            if (found.Count > max) xml.Element("ContinuationToken"u8, ContinuationToken.Encode(page[^1].Name));
            if (prefix.Length > 0) xml.Element("Prefix"u8, prefix);
            xml.End("ListAllMyBucketsResult"u8);
        }, ct);
    }
}
