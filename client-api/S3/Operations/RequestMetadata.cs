using System.Collections.Immutable;
using System.Text;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Tiers;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>What the headers of a write say of the object, checked against S3's limits.</summary>
internal static class RequestMetadata
{
    private const string UserPrefix = "x-amz-meta-";
    public static string StandardClass => Tier.Hot.StorageClass;

    /// <summary>Bytes of all user metadata, names without their prefix and values together, as S3 limits them.</summary>
    private const int UserBytesMax = 2 << 10;

    private const int RedirectLengthMax = 2 << 10;

    private static readonly string[] RedirectPrefixes = ["/", "http://", "https://"];

    /// <exception cref="S3Exception"><c>MetadataTooLarge</c>; <c>InvalidRedirectLocation</c>; <c>InvalidArgument</c>: a value that no answer could repeat.</exception>
    public static ObjectMetadata Read(IHeaderDictionary headers) => new(
        ContentType: Text(headers, "Content-Type") ?? ObjectMetadata.Default.ContentType,
        CacheControl: Text(headers, "Cache-Control"),
        ContentDisposition: Text(headers, "Content-Disposition"),
        ContentEncoding: WithoutTransferCoding(Text(headers, "Content-Encoding")),
        ContentLanguage: Text(headers, "Content-Language"),
        Expires: Text(headers, "Expires"),
        WebsiteRedirectLocation: RedirectLocation(headers),
        UserMetadata: ReadUser(headers));

    /// <exception cref="S3Exception"><c>InvalidStorageClass</c>.</exception>
    public static string ReadStorageClass(S3Request s3, BucketRecord bucket)
    {
        var wanted = Text(s3.Headers, "x-amz-storage-class");
        if (wanted is null) return BucketRules.Of(bucket).Tiering?.EntryOf(s3.Key)?.DefaultClass ?? StandardClass;
        return Array.Find(TierRules.StorageClasses, c => c == wanted) ?? throw new S3Exception(S3Error.InvalidStorageClass).With("StorageClassRequested", wanted);
    }

    /// <summary>A path of the same site, or a page of another.</summary>
    public static bool IsRedirectLocation(string text) => Array.Exists(RedirectPrefixes, p => text.StartsWith(p, StringComparison.Ordinal));

    private static string? RedirectLocation(IHeaderDictionary headers)
    {
        if (Text(headers, "x-amz-website-redirect-location") is not { } location) return null;
        if (!IsRedirectLocation(location)) throw new S3Exception(S3Error.InvalidRedirectLocation);
        return location.Length <= RedirectLengthMax ? location : throw new S3Exception(S3Error.InvalidRedirectLocation, $"The length of website redirect location cannot exceed {RedirectLengthMax} characters.");
    }

    private static string? Text(IHeaderDictionary headers, string name) =>
        headers.TryGetValue(name, out var values) && values.ToString() is { Length: > 0 } text ? ObjectHeaders.Sendable(name, text) : null;

    /// <summary>aws-chunked is how the body came, not what it is.</summary>
    private static string? WithoutTransferCoding(string? encoding)
    {
        if (encoding is null || !encoding.Contains("aws-chunked", StringComparison.OrdinalIgnoreCase)) return encoding;
        var kept = encoding.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)
            .Where(e => !e.Equals("aws-chunked", StringComparison.OrdinalIgnoreCase));
        return string.Join(',', kept) is { Length: > 0 } rest ? rest : null;
    }

    private static ImmutableArray<KeyValuePair<string, string>> ReadUser(IHeaderDictionary headers)
    {
        ImmutableArray<KeyValuePair<string, string>>.Builder? user = null;
        var bytes = 0;
        foreach (var (name, values) in headers)
        {
            if (!name.StartsWith(UserPrefix, StringComparison.OrdinalIgnoreCase)) continue;
            var (shortName, value) = (name[UserPrefix.Length..].ToLowerInvariant(), ObjectHeaders.Sendable(name, values.ToString()));
            bytes += Encoding.UTF8.GetByteCount(shortName) + Encoding.UTF8.GetByteCount(value);
            if (bytes > UserBytesMax) throw new S3Exception(S3Error.MetadataTooLarge).With("MaxSizeAllowed", "2048");
            (user ??= ImmutableArray.CreateBuilder<KeyValuePair<string, string>>()).Add(new(shortName, value));
        }
        if (user is null) return [];
        user.Sort(static (a, b) => string.CompareOrdinal(a.Key, b.Key));
        return user.ToImmutable();
    }
}
