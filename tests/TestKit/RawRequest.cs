using System.Globalization;
using System.Text;

namespace DarkStorage.TestKit;

/// <summary>A request exactly as it will stand on the wire. <see cref="RawS3"/> adds what is missing (host, signature, length), and nothing that was given.</summary>
/// <param name="method">Anything: it is not checked.</param>
/// <param name="target">As on the request line, escapes and query included.</param>
public sealed class RawRequest(string method, string target)
{
    public string Method { get; set; } = method;

    public string Target { get; set; } = target;

    /// <summary>In the order they are sent; values are sent as UTF-8.</summary>
    public List<KeyValuePair<string, string>> Headers { get; } = [];

    /// <summary>The bytes of the body as they are sent, after whatever encoding.</summary>
    public byte[] Body { get; set; } = [];

    /// <summary>What <c>x-amz-content-sha256</c> says. Null for the SHA-256 of the body.</summary>
    public string? PayloadHash { get; set; }

    /// <summary>False for an anonymous or a presigned request.</summary>
    public bool Sign { get; set; } = true;

    /// <summary>The time that the signature names. Null for now.</summary>
    public DateTimeOffset? Time { get; set; }

    /// <summary>The region that the signature names. Null for the client's.</summary>
    public string? Region { get; set; }

    /// <summary>The service that the signature names.</summary>
    public string Service { get; set; } = "s3";

    /// <summary>What Content-Length says. Null for the body's length.</summary>
    public long? StatedLength { get; set; }

    /// <summary>The body goes in HTTP's own chunks, and Content-Length is not sent.</summary>
    public bool TransferChunked { get; set; }

    /// <summary>Only so many bytes of the body are sent, then the sending half of the connection is closed.</summary>
    public int? CutAfter { get; set; }

    /// <summary>Called with the request line and headers as they are about to be sent: the last chance to break them.</summary>
    public Func<string, string>? BreakHead { get; set; }

    public RawRequest With(string header, string value)
    {
        Headers.Add(new(header, value));
        return this;
    }

    public RawRequest WithBody(byte[] body)
    {
        Body = body;
        return this;
    }

    public RawRequest WithBody(string body) => WithBody(Encoding.UTF8.GetBytes(body));

    public string? Header(string name)
    {
        foreach (var (key, value) in Headers)
            if (key.Equals(name, StringComparison.OrdinalIgnoreCase)) return value;
        return null;
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Method} {Target} ({Body.Length} bytes)");
}
