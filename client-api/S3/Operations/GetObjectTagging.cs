namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>Objects have no tags yet, and this says so: the AWS CLI asks before it copies an object that was uploaded in parts.</summary>
internal static class GetObjectTagging
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.RequireBucketAsync(ct);
        await s3.RequireObjectAsync(bucket, ct);
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("Tagging"u8);
            xml.Start("TagSet"u8);
            xml.End("TagSet"u8);
            xml.End("Tagging"u8);
        }, ct);
    }
}
