using System.Text;
using System.Text.Unicode;

namespace DarkStorage.ClientApi.S3;

/// <summary>What a request is about: a bucket, or a key in it, or neither; and its query.</summary>
/// <remarks>
/// Taken from the raw request target, because a key is exactly the bytes that its escapes stand for: <c>..</c>, <c>//</c>, a trailing slash,
/// <c>%2F</c> and control characters are all parts of a name to S3, and a web server's idea of a path would lose them.
/// Path style: <c>/bucket/key</c>. Virtual-host style: <c>Host: bucket.domain</c> and <c>/key</c>, for the configured domains.
/// </remarks>
internal sealed class S3Target
{
    /// <summary>Bytes of UTF-8 in a key at most.</summary>
    public const int KeyBytesMax = 1024;

    /// <summary>Characters of the whole target: room for a key and a prefix of escapes only, and a presigned query.</summary>
    public const int LengthMax = 16 << 10;

    private S3Target(string? bucket, string? key, S3Query query, string rawPath, bool isVirtualHosted = false)
    {
        ResourcePath = isVirtualHosted ? $"/{bucket}{rawPath}" : rawPath;
        Bucket = bucket;
        Key = key;
        Query = query;
        RawPath = rawPath;
    }

    /// <summary>Null where the request is about the service: <c>GET /</c> lists buckets. Checked against <see cref="BucketName"/>.</summary>
    public string? Bucket { get; }

    /// <summary>Null where the request is about the bucket. Never empty.</summary>
    public string? Key { get; }

    public S3Query Query { get; }

    /// <summary>The path as sent, escapes and all: what was signed.</summary>
    public string RawPath { get; }

    /// <summary>The same with the bucket before it where the host names that.</summary>
    public string ResourcePath { get; }

    /// <param name="rawTarget">As on the request line: origin form (<c>/a?b</c>) or absolute form (<c>http://host/a?b</c>).</param>
    /// <param name="host">The Host header, with or without a port.</param>
    /// <param name="domains">Base domains whose subdomains are buckets: <c>s3.example.com</c>.</param>
    /// <exception cref="S3Exception"><c>InvalidURI</c>, <c>InvalidBucketName</c>, <c>KeyTooLongError</c>.</exception>
    public static S3Target Parse(string rawTarget, string? host, IReadOnlyList<string> domains)
    {
        if (rawTarget.Length > LengthMax) throw new S3Exception(S3Error.InvalidUri, "The request target is too long.");
        var (path, query) = Split(rawTarget);
        if (BucketOfHost(host, domains) is { } virtualBucket)
        {
            BucketName.ThrowIfInvalid(virtualBucket);
            return new(virtualBucket, ParseKey(path.AsSpan(1)), query, path, isVirtualHosted: true);
        }

        var rest = path.AsSpan(1);
        if (rest.IsEmpty) return new(null, null, query, path);
        var slash = rest.IndexOf('/');
        var bucket = ParseBucket(slash < 0 ? rest : rest[..slash]);
        return new(bucket, slash < 0 ? null : ParseKey(rest[(slash + 1)..]), query, path);
    }

    /// <summary>Reads <c>x-amz-copy-source</c>: <c>bucket/key</c>, with or without a leading slash, percent-encoded, perhaps with <c>?versionId=</c>.</summary>
    /// <exception cref="S3Exception"><c>InvalidArgument</c> where it does not name a key; else as <see cref="Parse"/>.</exception>
    public static S3Target ParseCopySource(string header)
    {
        if (header.Length > LengthMax) throw new S3Exception(S3Error.InvalidUri, "The copy source is too long.");
        var start = header.StartsWith('/') ? 1 : 0;
        // SDKs of old send keys with characters unescaped, even '?': only the last "?versionId=" begins a query.
        var question = header.LastIndexOf("?versionId=", StringComparison.Ordinal);
        var path = question < 0 ? header[start..] : header[start..question];
        var query = question < 0 ? S3Query.Empty : S3Query.Parse(header.AsSpan(question + 1));
        // Some clients escape the slash after the bucket as well.
        var slash = path.IndexOf('/', StringComparison.Ordinal);
        if (slash < 0 && path.IndexOf("%2F", StringComparison.OrdinalIgnoreCase) is var escaped and > 0)
            (slash, path) = (escaped, string.Concat(path.AsSpan(0, escaped), "/", path.AsSpan(escaped + 3)));
        if (slash <= 0 || slash == path.Length - 1)
            throw S3Exception.InvalidArgument("Copy Source must mention the source bucket and key: sourcebucket/sourcekey", "x-amz-copy-source", header);
        return new(ParseBucket(path.AsSpan(0, slash)), ParseKey(path.AsSpan(slash + 1), tolerateUnicode: true), query, "/" + path);
    }

    /// <summary>Of the whole path's key in a bucket that the host names. What a website is asked has no query.</summary>
    /// <exception cref="S3Exception"><c>InvalidURI</c>, <c>KeyTooLongError</c>.</exception>
    public static S3Target ParseWebsite(string rawTarget, string bucket)
    {
        if (rawTarget.Length > LengthMax) throw new S3Exception(S3Error.InvalidUri, "The request target is too long.");
        var (path, _) = Split(rawTarget);
        return new(bucket, ParseKey(path.AsSpan(1)), S3Query.Empty, path);
    }

    public static S3Target OfBucket(string bucket) => new(bucket, null, S3Query.Empty, "/");

    /// <summary>The same request about a key of its bucket that stands elsewhere than in its path.</summary>
    /// <exception cref="S3Exception"><c>KeyTooLongError</c>; <c>InvalidArgument</c>: it is empty, or has the character NUL.</exception>
    public S3Target WithKey(string key)
    {
        if (key.Length == 0) throw S3Exception.InvalidArgument("User key must have a length greater than 0.", "key", "");
        // The web server lets no path with it in, so the object could never be asked for again.
        if (key.Contains('\0', StringComparison.Ordinal)) throw S3Exception.InvalidArgument("User key must not have the character NUL.", "key", "");
        var bytes = Encoding.UTF8.GetByteCount(key);
        return bytes <= KeyBytesMax ? new(Bucket, key, Query, RawPath) : throw TooLong(bytes);
    }

    private static (string Path, S3Query Query) Split(string target)
    {
        var start = 0;
        if (!target.StartsWith('/'))
        {
            var scheme = target.IndexOf("://", StringComparison.Ordinal);
            if (scheme is < 0 or > 5) throw new S3Exception(S3Error.InvalidUri);
            start = target.AsSpan(scheme + 3).IndexOfAny('/', '?') is var authority and >= 0 ? scheme + 3 + authority : target.Length;
        }
        var question = target.IndexOf('?', start);
        var path = question < 0 ? target[start..] : target[start..question];
        if (path.Length == 0) path = "/";
        return (path, question < 0 ? S3Query.Empty : S3Query.Parse(target.AsSpan(question + 1)));
    }

    /// <returns>Null where the host is none of ours with a label before it.</returns>
    public static string? BucketOfHost(string? host, IReadOnlyList<string> domains)
    {
        if (string.IsNullOrEmpty(host) || domains.Count == 0) return null;
        var name = WithoutPort(host);
        for (var i = 0; i < domains.Count; i++)
        {
            var domain = domains[i].AsSpan();
            var bucketLength = name.Length - domain.Length - 1;
            if (bucketLength > 0 && name[bucketLength] == '.' && name[(bucketLength + 1)..].Equals(domain, StringComparison.OrdinalIgnoreCase))
                return name[..bucketLength].ToString().ToLowerInvariant();   // host names have no case
        }
        return null;
    }

    /// <summary>The name in a Host header.</summary>
    public static ReadOnlySpan<char> WithoutPort(ReadOnlySpan<char> host)
    {
        var colon = host.LastIndexOf(':');
        return colon >= 0 && host[0] != '[' ? host[..colon] : host;
    }

    private static string ParseBucket(ReadOnlySpan<char> raw)
    {
        Span<byte> bytes = stackalloc byte[256];
        if (raw.Length > bytes.Length) throw new S3Exception(S3Error.InvalidBucketName);
        var length = S3UrlEncoding.Decode(raw, bytes, plusIsSpace: false);
        if (length < 0 || !Utf8.IsValid(bytes[..length])) throw new S3Exception(S3Error.InvalidUri);
        var bucket = Encoding.UTF8.GetString(bytes[..length]);
        BucketName.ThrowIfInvalid(bucket);
        return bucket;
    }

    /// <param name="tolerateUnicode">In a header, unlike in a request line, clients leave characters unescaped.</param>
    private static string? ParseKey(ReadOnlySpan<char> raw, bool tolerateUnicode = false)
    {
        if (raw.IsEmpty) return null;
        if (raw.Length > 3 * KeyBytesMax) throw TooLong(raw.Length / 3);
        if (tolerateUnicode && !Ascii.IsValid(raw)) raw = S3UrlEncoding.EscapeUnicode(raw);
        Span<byte> bytes = stackalloc byte[9 * KeyBytesMax];
        var length = S3UrlEncoding.Decode(raw, bytes, plusIsSpace: false);
        if (length < 0 || !Utf8.IsValid(bytes[..length])) throw new S3Exception(S3Error.InvalidUri);
        if (length > KeyBytesMax) throw TooLong(length);
        return Encoding.UTF8.GetString(bytes[..length]);
    }

    private static S3Exception TooLong(int bytes) => new S3Exception(S3Error.KeyTooLong)
        .With("Size", bytes.ToString(System.Globalization.CultureInfo.InvariantCulture))
        .With("MaxSizeAllowed", KeyBytesMax.ToString(System.Globalization.CultureInfo.InvariantCulture));
}
