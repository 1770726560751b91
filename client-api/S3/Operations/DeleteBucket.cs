using DarkStorage.GrainInterfaces.Buckets;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class DeleteBucket
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        await s3.AuthorizeAsync(S3Action.DeleteBucket, ct);
        await s3.Grains.GetGrain<IBucketGrain>(s3.BucketName).DeleteAsync(ct);
        s3.Response.StatusCode = StatusCodes.Status204NoContent;
    }
}
