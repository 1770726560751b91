using System.Runtime.InteropServices;

namespace DarkStorage.ClientApi.S3.Operations;

internal static class GetObject
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (bucket, version) = await s3.AuthorizeObjectAsync(ReadAction(s3), ct);
        s3.WriteVersionId(bucket, version.Name);
        s3.WriteExpiration(bucket, version);
        RequestEncryption.RefuseOfRead(s3);
        using var key = await RequestEncryption.OpenAsync(s3, version.Encryption, CustomerKeyHeaders.OfRequest, ct);
        if (ObjectSelection.Answer(s3, version) is not { } range) return; // 304 has no body

        var manifest = version.Manifest;
        if (range.Length == 0) return;
        if (key is null && !manifest.Inline.IsDefaultOrEmpty)
        {
            var content = ImmutableCollectionsMarshal.AsArray(manifest.Inline).AsMemory((int)range.First, (int)range.Length);
            await s3.Response.BodyWriter.WriteAsync(content, ct);
            return;
        }
        // The first stretch is read and verified before the status goes out, so that damage there is an error and not a broken answer.
        await using var read = await s3.Blobs.OpenAsync(manifest, range, key, ct);
        await read.CopyToAsync(s3.Response.BodyWriter, ct);
    }

    public static string ReadAction(S3Request s3) => s3.Query.Has("versionId") ? S3Action.GetObjectVersion : S3Action.GetObject;
}

internal static class HeadObject
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var (bucket, version) = await s3.AuthorizeObjectAsync(GetObject.ReadAction(s3), ct);
        s3.WriteVersionId(bucket, version.Name);
        s3.WriteExpiration(bucket, version);
        RequestEncryption.RefuseOfRead(s3);
        RequestEncryption.RequireCustomerKey(s3, version.Encryption);
        ObjectSelection.Answer(s3, version);
    }
}
