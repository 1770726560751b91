using System.Globalization;
using DarkStorage.GrainInterfaces.Objects;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>The headers that GetObject and HeadObject answer with.</summary>
internal static class ObjectHeaders
{
    public static void Write(S3Request s3, ObjectVersion version)
    {
        var (headers, metadata) = (s3.Response.Headers, version.Metadata);
        WriteValidators(headers, version);
        headers.AcceptRanges = "bytes";
        Set(headers, "Content-Type", Override(s3, "response-content-type", metadata.ContentType));
        Set(headers, "Cache-Control", Override(s3, "response-cache-control", metadata.CacheControl));
        Set(headers, "Content-Disposition", Override(s3, "response-content-disposition", metadata.ContentDisposition));
        Set(headers, "Content-Encoding", Override(s3, "response-content-encoding", metadata.ContentEncoding));
        Set(headers, "Content-Language", Override(s3, "response-content-language", metadata.ContentLanguage));
        Set(headers, "Expires", Override(s3, "response-expires", metadata.Expires));
        Set(headers, "x-amz-website-redirect-location", metadata.WebsiteRedirectLocation);
        if (version.StorageClass != "STANDARD") headers["x-amz-storage-class"] = version.StorageClass;
        foreach (var (name, value) in metadata.UserMetadata) headers["x-amz-meta-" + name] = value;
    }

    /// <summary>What a conditional request compares with: sent with 304 too.</summary>
    public static void WriteValidators(IHeaderDictionary headers, ObjectVersion version)
    {
        headers.ETag = Quoted(version.Manifest.ETag);
        headers.LastModified = version.Modified.ToString("r", CultureInfo.InvariantCulture);
    }

    public static string Quoted(string etag) => $"\"{etag}\"";

    private static string? Override(S3Request s3, string parameter, string? otherwise) => s3.Query.TryGet(parameter, out var value) ? value : otherwise;

    private static void Set(IHeaderDictionary headers, string name, string? value)
    {
        if (value is null) return;
        // A line break in a header would be a second header: of the client's making, in an answer of ours.
        if (value.AsSpan().ContainsAnyInRange('\0', '\u001f') || value.Contains('\u007f', StringComparison.Ordinal)) throw S3Exception.InvalidArgument("Header value cannot be represented.", name, "");
        headers[name] = value;
    }
}
