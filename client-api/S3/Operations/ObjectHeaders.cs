using System.Buffers;
using System.Globalization;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Tiers;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>The headers that GetObject and HeadObject answer with.</summary>
internal static class ObjectHeaders
{
    /// <summary>Control characters, of which a header may have the tab alone. A line break would be a second header, of the client's making, in an answer of ours.</summary>
    private static readonly SearchValues<char> Unsendable =
        SearchValues.Create([.. Enumerable.Range(0, ' ').Where(c => c != '\t').Append('\u007f').Select(c => (char)c)]);

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
        Set(headers, "x-amz-restore", version.Restore.Describe(s3.Clock.GetUtcNow()));
        RequestEncryption.WriteHeaders(s3, version.Encryption);
        WriteAttributes(headers, version.Attributes);
        foreach (var (name, value) in metadata.UserMetadata) Set(headers, "x-amz-meta-" + name, value);
    }

    private static void WriteAttributes(IHeaderDictionary headers, ObjectAttributes attributes)
    {
        if (attributes.Tags.Length > 0) headers["x-amz-tagging-count"] = attributes.Tags.Length.ToString(CultureInfo.InvariantCulture);
        if (attributes.Retention is { } retention)
        {
            headers["x-amz-object-lock-mode"] = S3Words.Of(retention.Mode);
            headers["x-amz-object-lock-retain-until-date"] = retention.Until.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);
        }
        if (attributes.LegalHold) headers["x-amz-object-lock-legal-hold"] = "ON";
    }

    /// <summary>What a conditional request compares with: sent with 304 too.</summary>
    public static void WriteValidators(IHeaderDictionary headers, ObjectVersion version)
    {
        headers.ETag = Quoted(version.Manifest.ETag);
        headers.LastModified = version.Modified.ToString("r", CultureInfo.InvariantCulture);
    }

    public static string Quoted(string etag) => $"\"{etag}\"";

    private static string? Override(S3Request s3, string parameter, string? otherwise) => s3.Query.TryGet(parameter, out var value) ? value : otherwise;

    /// <summary>Makes sure that a value can stand in a header of ours: asked when it is stored too, or an object could be put and never be got.</summary>
    /// <exception cref="S3Exception"><c>InvalidArgument</c>.</exception>
    public static string Sendable(string name, string value) =>
        value.AsSpan().ContainsAny(Unsendable) ? throw S3Exception.InvalidArgument("Header value cannot be represented.", name, "") : value;

    private static void Set(IHeaderDictionary headers, string name, string? value)
    {
        if (value is null) return;
        headers[name] = Sendable(name, value);
    }
}
