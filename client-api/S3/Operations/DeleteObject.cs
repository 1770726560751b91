using DarkStorage.GrainInterfaces.Objects;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class DeleteObject
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.RequireBucketAsync(ct);
        S3Request.RequireNullVersion(s3.Query, s3.Key);
        var condition = new WriteCondition(RequestConditions.OfWrite(s3.Headers).IfMatch, null);
        await s3.ObjectGrain.DeleteAsync(bucket.Id, condition, ct);
        s3.Response.StatusCode = StatusCodes.Status204NoContent;
    }
}
