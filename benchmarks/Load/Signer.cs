using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace DarkStorage.Load;

/// <summary>Signs requests with Signature Version 4 in a header, body unsigned, as clients over TLS do. Written apart from the node's verifier, so that neither can excuse the other.</summary>
internal sealed class Signer(string host, string accessKey, string secretKey, string region)
{
    private const string UnsignedPayload = "UNSIGNED-PAYLOAD";

    private byte[] _key = [];
    private string _day = "";

    /// <summary>The three headers that carry the signature.</summary>
    /// <param name="path">Encoded as it is sent.</param>
    /// <param name="query">Encoded, its parameters sorted; empty for none.</param>
    public string Sign(string method, string path, string query, DateTimeOffset now)
    {
        var stamp = now.UtcDateTime.ToString("yyyyMMdd'T'HHmmss'Z'", CultureInfo.InvariantCulture);
        var day = stamp[..8];
        if (day != _day) (_key, _day) = (DeriveKey(day), day);
        var canonical = $"{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{UnsignedPayload}\nx-amz-date:{stamp}\n\nhost;x-amz-content-sha256;x-amz-date\n{UnsignedPayload}";
        var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(canonical)));
        var toSign = $"AWS4-HMAC-SHA256\n{stamp}\n{day}/{region}/s3/aws4_request\n{hash}";
        var signature = Convert.ToHexStringLower(HMACSHA256.HashData(_key, Encoding.UTF8.GetBytes(toSign)));
        return $"x-amz-date: {stamp}\r\nx-amz-content-sha256: {UnsignedPayload}\r\nAuthorization: AWS4-HMAC-SHA256 Credential={accessKey}/{day}/{region}/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}\r\n";
    }

    private byte[] DeriveKey(string day)
    {
        var key = HMACSHA256.HashData(Encoding.UTF8.GetBytes("AWS4" + secretKey), Encoding.UTF8.GetBytes(day));
        foreach (var step in (string[])[region, "s3", "aws4_request"]) key = HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(step));
        return key;
    }
}
