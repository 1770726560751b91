using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace DarkStorage.TestKit;

/// <summary>Signature Version 4, the sending side, written from its specification and sharing nothing with the product.</summary>
internal sealed class RawSigner(string accessKey, string secretKey, string region, DateTimeOffset time, string service = "s3")
{
    private const string Algorithm = "AWS4-HMAC-SHA256";
    public static readonly string EmptyHash = Hash([]);

    public string Timestamp { get; } = time.UtcDateTime.ToString("yyyyMMdd'T'HHmmss'Z'", CultureInfo.InvariantCulture);

    private string Date => Timestamp[..8];

    public string Scope => $"{Date}/{region}/{service}/aws4_request";

    public string Credential => $"{accessKey}/{Scope}";

    /// <summary>The signature of a request.</summary>
    /// <param name="headers">Those that are signed; the host is among them.</param>
    public string Sign(string method, string target, IEnumerable<KeyValuePair<string, string>> headers, string payloadHash, out string signedHeaders)
    {
        var canonical = headers.GroupBy(h => h.Key.ToLowerInvariant(), h => Squeeze(h.Value)).OrderBy(g => g.Key, StringComparer.Ordinal).ToList();
        signedHeaders = string.Join(';', canonical.Select(h => h.Key));
        var question = target.IndexOf('?', StringComparison.Ordinal);
        var (path, query) = question < 0 ? (target, "") : (target[..question], target[(question + 1)..]);
        var text = $"{method}\n{path}\n{CanonicalQuery(query)}\n{string.Concat(canonical.Select(h => $"{h.Key}:{string.Join(',', h)}\n"))}\n{signedHeaders}\n{payloadHash}";
        return SignText($"{Algorithm}\n{Timestamp}\n{Scope}\n{Hash(Encoding.UTF8.GetBytes(text))}");
    }

    public string SignChunk(string previous, ReadOnlySpan<byte> chunk) =>
        SignText($"AWS4-HMAC-SHA256-PAYLOAD\n{Timestamp}\n{Scope}\n{previous}\n{EmptyHash}\n{Hash(chunk)}");

    public string SignTrailer(string previous, string trailers) =>
        SignText($"AWS4-HMAC-SHA256-TRAILER\n{Timestamp}\n{Scope}\n{previous}\n{Hash(Encoding.UTF8.GetBytes(trailers))}");

    public string Authorization(string signedHeaders, string signature) =>
        $"{Algorithm} Credential={Credential},SignedHeaders={signedHeaders},Signature={signature}";

    /// <summary>Of a form: its policy, in Base64, is all there is to sign.</summary>
    public string SignPolicy(string policy) => SignText(policy);

    /// <summary>Of version 2: a request as that writes it, or the policy of a form.</summary>
    public static string SignVersion2(string secret, string text) => Convert.ToBase64String(HMACSHA1.HashData(Encoding.UTF8.GetBytes(secret), Encoding.UTF8.GetBytes(text)));

    public static string Hash(ReadOnlySpan<byte> content) => Convert.ToHexStringLower(SHA256.HashData(content));

    private string SignText(string text)
    {
        var key = HMACSHA256.HashData(Encoding.UTF8.GetBytes("AWS4" + secretKey), Encoding.UTF8.GetBytes(Date));
        foreach (var part in (string[])[region, service, "aws4_request"]) key = HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(part));
        return Convert.ToHexStringLower(HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(text)));
    }

    /// <summary>Each name and value decoded and encoded anew, sorted by the encoded name, then value.</summary>
    private static string CanonicalQuery(string query) => string.Join('&', query.Split('&', StringSplitOptions.RemoveEmptyEntries)
        .Select(p => p.Split('=', 2))
        .Select(p => (Name: Reencode(p[0]), Value: p.Length > 1 ? Reencode(p[1]) : ""))
        .OrderBy(p => p.Name, StringComparer.Ordinal).ThenBy(p => p.Value, StringComparer.Ordinal)
        .Select(p => $"{p.Name}={p.Value}"));

    private static string Reencode(string text) => Uri.EscapeDataString(Uri.UnescapeDataString(text));

    private static string Squeeze(string value) => string.Join(' ', value.Split(' ', StringSplitOptions.RemoveEmptyEntries));
}
