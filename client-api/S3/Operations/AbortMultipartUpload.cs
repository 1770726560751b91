using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class AbortMultipartUpload
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var bucket = await s3.AuthorizeAsync(S3Action.AbortMultipartUpload, ct);
        await UploadPart.UploadGrain(s3).AbortAsync(bucket.Id, s3.Key, ct);
        s3.Response.StatusCode = StatusCodes.Status204NoContent;
    }
}
