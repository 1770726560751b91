using System.Runtime.InteropServices;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class GetObject
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (bucket, version) = await s3.AuthorizeObjectAsync(ReadAction(s3), ct);
        await AnswerAsync(s3, bucket, version, ct);
    }

    /// <summary>Answers with a version that its reader may have.</summary>
    public static async Task AnswerAsync(S3Request s3, BucketRecord bucket, ObjectVersion version, CancellationToken ct)
    {
        s3.WriteVersionId(bucket, version.Name);
        s3.WriteExpiration(bucket, version);
        RequestEncryption.RefuseOfRead(s3);
        using var key = await RequestEncryption.OpenAsync(s3, version.Encryption, CustomerKeyHeaders.OfRequest, ct);
        if (ObjectSelection.Answer(s3, version) is not { } range) return; // 304 has no body

        var manifest = version.Manifest;
        var isInline = key is null && !manifest.Inline.IsDefaultOrEmpty;
        // The first stretch is read and verified before the status goes out, so that damage there is an error and not a broken answer.
        await using var read = isInline || range.Length == 0 ? null : await ObjectContent.OpenAsync(s3, bucket.Id, s3.Key, version, range, key, ct);
        s3.CountAccess(bucket, s3.Key, version);
        if (read is not null) await read.CopyToAsync(s3.Response.BodyWriter, ct);
        else if (range.Length > 0) await s3.Response.BodyWriter.WriteAsync(ImmutableCollectionsMarshal.AsArray(manifest.Inline).AsMemory((int)range.First, (int)range.Length), ct);
    }

    public static string ReadAction(S3Request s3) => s3.Query.Has("versionId") ? S3Action.GetObjectVersion : S3Action.GetObject;
}

internal static class HeadObject
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (bucket, version) = await s3.AuthorizeObjectAsync(GetObject.ReadAction(s3), ct);
        Answer(s3, bucket, version);
    }

    /// <summary>Answers with the headers of a version that its reader may have.</summary>
    public static void Answer(S3Request s3, BucketRecord bucket, ObjectVersion version)
    {
        s3.WriteVersionId(bucket, version.Name);
        s3.WriteExpiration(bucket, version);
        RequestEncryption.RefuseOfRead(s3);
        RequestEncryption.RequireCustomerKey(s3, version.Encryption);
        ObjectSelection.Answer(s3, version);
    }
}
