namespace DarkStorage.ClientApi.S3.Operations;

internal static class HeadBucket
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.ListBucket, ct);
        s3.Response.Headers["x-amz-bucket-region"] = bucket.Region;
        s3.Response.Headers["x-amz-access-point-alias"] = "false";
        s3.Response.ContentType = "application/xml";
    }
}
