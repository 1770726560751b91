using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.ClientApi.S3.Settings;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class GetObjectTagging
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (bucket, version) = await s3.AuthorizeObjectAsync(s3.Query.Has("versionId") ? S3Action.GetObjectVersionTagging : S3Action.GetObjectTagging, ct);
        s3.WriteVersionId(bucket, version.Name);
        await s3.WriteXmlAsync(200, xml =>
        {
            xml.StartDocument("Tagging"u8);
            Tags.Write(xml, version.Attributes.Tags);
            xml.End("Tagging"u8);
        }, ct);
    }
}

internal static class PutObjectTagging
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (bucket, version) = await s3.AuthorizeObjectAsync(s3.Query.Has("versionId") ? S3Action.PutObjectVersionTagging : S3Action.PutObjectTagging, ct);
        var tags = Tags.Read(S3Element.Parse(await s3.ReadDocumentAsync(Tags.BytesMax, ct), "Tagging"), Tags.OfObjectMax);
        await s3.ObjectGrain.UpdateAsync(new(bucket.Id, version.Name, new(version.Revision), s3.OriginOf(ChangeMeans.Request), Tags: tags), ct);
        s3.WriteVersionId(bucket, version.Name);
    }
}

internal static class DeleteObjectTagging
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (bucket, version) = await s3.AuthorizeObjectAsync(s3.Query.Has("versionId") ? S3Action.DeleteObjectVersionTagging : S3Action.DeleteObjectTagging, ct);
        await s3.ObjectGrain.UpdateAsync(new(bucket.Id, version.Name, new(version.Revision), s3.OriginOf(ChangeMeans.Request), Tags: []), ct);
        s3.WriteVersionId(bucket, version.Name);
        s3.Response.StatusCode = StatusCodes.Status204NoContent;
    }
}
