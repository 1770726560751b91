using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Unit.S3;

/// <summary>A client's side of Signature V4, written from AWS's description, as plainly as possible and without a line of the server's.</summary>
internal sealed record TestSigner(string AccessKeyId, string Secret, string Region = "us-east-1")
{
    public static readonly TestSigner Example = new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");

    /// <summary>Signs all headers that are there and adds the Authorization header.</summary>
    /// <param name="path">Decoded.</param>
    /// <param name="query">Decoded, in any order.</param>
    public string SignHeaders(string method, string path, (string Name, string Value)[] query, HeaderDictionary headers, DateTimeOffset time)
    {
        var timestamp = time.ToString("yyyyMMdd'T'HHmmss'Z'", CultureInfo.InvariantCulture);
        headers["x-amz-date"] = timestamp;
        if (!headers.ContainsKey("x-amz-content-sha256")) headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
        var names = headers.Select(h => h.Key.ToLowerInvariant()).Order(StringComparer.Ordinal).ToArray();
        var signature = Signature(method, path, query, headers, names, timestamp, headers["x-amz-content-sha256"].ToString());
        headers["Authorization"] = $"AWS4-HMAC-SHA256 Credential={AccessKeyId}/{Scope(timestamp)},SignedHeaders={string.Join(';', names)},Signature={signature}";
        return signature;
    }

    /// <summary>The query of a presigned URL, encoded.</summary>
    public string Presign(string method, string path, (string Name, string Value)[] query, HeaderDictionary headers, DateTimeOffset time, int seconds)
    {
        var timestamp = time.ToString("yyyyMMdd'T'HHmmss'Z'", CultureInfo.InvariantCulture);
        var names = headers.Select(h => h.Key.ToLowerInvariant()).Order(StringComparer.Ordinal).ToArray();
        (string Name, string Value)[] all = [.. query, ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Credential", $"{AccessKeyId}/{Scope(timestamp)}"),
            ("X-Amz-Date", timestamp), ("X-Amz-Expires", seconds.ToString(CultureInfo.InvariantCulture)), ("X-Amz-SignedHeaders", string.Join(';', names))];
        var signature = Signature(method, path, all, headers, names, timestamp, "UNSIGNED-PAYLOAD");
        return string.Join('&', all.Select(p => $"{Encode(p.Name)}={Encode(p.Value)}")) + "&X-Amz-Signature=" + signature;
    }

    public string ChunkSignature(string timestamp, string previous, byte[] chunk) => Hex(Hmac(Key(timestamp), string.Join('\n',
        "AWS4-HMAC-SHA256-PAYLOAD", timestamp, Scope(timestamp), previous, Hex(SHA256.HashData([])), Hex(SHA256.HashData(chunk)))));

    public string TrailerSignature(string timestamp, string previous, string canonicalTrailers) => Hex(Hmac(Key(timestamp), string.Join('\n',
        "AWS4-HMAC-SHA256-TRAILER", timestamp, Scope(timestamp), previous, Hex(SHA256.HashData(Encoding.UTF8.GetBytes(canonicalTrailers))))));

    public string Scope(string timestamp) => $"{timestamp[..8]}/{Region}/s3/aws4_request";

    public byte[] Key(string timestamp) =>
        Hmac(Hmac(Hmac(Hmac(Encoding.UTF8.GetBytes("AWS4" + Secret), timestamp[..8]), Region), "s3"), "aws4_request");

    public static string EncodePath(string path) => string.Join('/', path.Split('/').Select(Encode));

    public static string Encode(string text)
    {
        var encoded = new StringBuilder();
        foreach (var b in Encoding.UTF8.GetBytes(text))
        {
            if (char.IsAsciiLetterOrDigit((char)b) || "-._~".Contains((char)b, StringComparison.Ordinal)) encoded.Append((char)b);
            else encoded.Append(CultureInfo.InvariantCulture, $"%{b:X2}");
        }
        return encoded.ToString();
    }

    private string Signature(string method, string path, (string Name, string Value)[] query, HeaderDictionary headers, string[] names, string timestamp, string payload)
    {
        var canonicalQuery = string.Join('&', query
            .Select(p => (Name: Encode(p.Name), Value: Encode(p.Value)))
            .OrderBy(p => p.Name, StringComparer.Ordinal).ThenBy(p => p.Value, StringComparer.Ordinal)
            .Select(p => $"{p.Name}={p.Value}"));
        var canonicalHeaders = string.Concat(names.Select(n => $"{n}:{string.Join(',', headers[n].Select(v => Collapse(v!)))}\n"));
        var canonical = string.Join('\n', method, EncodePath(path), canonicalQuery, canonicalHeaders, string.Join(';', names), payload);
        var toSign = string.Join('\n', "AWS4-HMAC-SHA256", timestamp, Scope(timestamp), Hex(SHA256.HashData(Encoding.UTF8.GetBytes(canonical))));
        return Hex(Hmac(Key(timestamp), toSign));
    }

    private static string Collapse(string value) => string.Join(' ', value.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries));

    private static byte[] Hmac(byte[] key, string text) => HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(text));

    private static string Hex(byte[] bytes) => Convert.ToHexStringLower(bytes);
}
