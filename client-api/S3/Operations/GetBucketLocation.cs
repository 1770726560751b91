namespace DarkStorage.ClientApi.S3.Operations;

internal static class GetBucketLocation
{
    /// <summary>The region that S3 names by not naming it.</summary>
    public const string UnnamedRegion = "us-east-1";

    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.GetBucketLocation, ct);
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("LocationConstraint"u8);
            if (bucket.Region != UnnamedRegion) xml.Text(bucket.Region);
            xml.End("LocationConstraint"u8);
        }, ct);
    }
}
