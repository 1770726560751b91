using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.ObjectLock;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class CreateBucket
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        RequestMetadata.RefuseWhatIsNotThere(s3.Headers);
        var region = CreateBucketRequest.ParseLocationConstraint(await s3.ReadDocumentAsync(CreateBucketRequest.BytesMax, ct)) ?? s3.Options.Region;
        if (region == "EU") region = "eu-west-1"; // S3's oldest name of it
        if (region != s3.Options.Region) throw new S3Exception(S3Error.InvalidLocationConstraint).With("LocationConstraint", region);
        await RequirePlaceAsync(s3, ct);
        try
        {
            // Object lock brings versioning with it: it protects versions.
            var locked = string.Equals(s3.Headers["x-amz-bucket-object-lock-enabled"], "true", StringComparison.OrdinalIgnoreCase);
            await s3.BucketGrain.CreateAsync(new(s3.Caller.Account, region, locked ? BucketVersioning.Enabled : BucketVersioning.Off,
                locked ? [new(BucketSettings.ObjectLock, "", SettingJson.Write(new ObjectLockConfiguration(null)))] : []), ct);
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
