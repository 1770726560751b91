using System.Globalization;
using DarkStorage.GrainInterfaces.Objects;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class DeleteObject
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var version = s3.Version;
        var bucket = await s3.AuthorizeAsync(version is null ? S3Action.DeleteObject : S3Action.DeleteObjectVersion, ct);
        var condition = new WriteCondition(RequestConditions.OfWrite(s3.Headers).IfMatch, null, IfModified(s3), IfSize(s3));
        var deleted = await s3.ObjectGrain.DeleteAsync(
            new(bucket.Id, version, NewMarker(s3), s3.Caller.Account, condition, await s3.BypassesGovernanceAsync(s3.Key, version, ct), s3.OriginOf(ChangeMeans.Request)), ct);
        if (deleted.Version is { } name) s3.WriteVersionId(bucket, name);
        if (deleted.IsDeleteMarker) s3.Response.Headers["x-amz-delete-marker"] = "true";
        s3.Response.StatusCode = StatusCodes.Status204NoContent;
    }

    /// <summary>The id of a delete marker, should one be made.</summary>
    public static VersionId NewMarker(S3Request s3) => VersionId.Of(BlobId.New(s3.Clock));

    private static DateTimeOffset? IfModified(S3Request s3)
    {
        const string header = "x-amz-if-match-last-modified-time";
        if ((string?)s3.Headers[header] is not { } text) return null;
        return DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time) ? time : throw S3Exception.InvalidArgument("Invalid time", header, text);
    }

    private static long? IfSize(S3Request s3)
    {
        const string header = "x-amz-if-match-size";
        if ((string?)s3.Headers[header] is not { } text) return null;
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var size) ? size : throw S3Exception.InvalidArgument("Invalid size", header, text);
    }
}
