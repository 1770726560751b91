using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class CreateBucket
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        RequestMetadata.RefuseWhatIsNotThere(s3.Headers);
        if (s3.Headers["x-amz-bucket-object-lock-enabled"] == "true") throw new S3Exception(S3Error.NotImplemented).With("Header", "x-amz-bucket-object-lock-enabled");
        var region = CreateBucketRequest.ParseLocationConstraint(await s3.ReadDocumentAsync(CreateBucketRequest.BytesMax, ct)) ?? s3.Options.Region;
        if (region == "EU") region = "eu-west-1"; // S3's oldest name of it
        if (region != s3.Options.Region) throw new S3Exception(S3Error.InvalidLocationConstraint).With("LocationConstraint", region);
        await RequirePlaceAsync(s3, ct);
        try
        {
            await s3.Grains.GetGrain<IBucketGrain>(s3.BucketName).CreateAsync(s3.Caller.Account, region, ct);
        }
        catch (StorageException e) when (e.Error is StorageError.BucketAlreadyOwnedByYou && region == GetBucketLocation.UnnamedRegion)
        {
            // In that one region S3 answers that all is well, and tools that make a bucket just in case rely on it.
        }
        s3.Response.Headers.Location = "/" + s3.BucketName;
    }

    private static async Task RequirePlaceAsync(S3Request s3, CancellationToken ct)
    {
        var owned = await s3.Index.ListBucketsAsync(s3.Caller.Account, "", "", s3.Options.BucketsMax, ct);
        if (owned.Count >= s3.Options.BucketsMax && !owned.Any(b => b.Name == s3.BucketName)) throw new S3Exception(S3Error.TooManyBuckets);
    }
}
