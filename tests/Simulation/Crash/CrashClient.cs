using System.Buffers;
using System.Net;
using System.Security.Cryptography;
using System.Xml.Linq;
using DarkStorage.TestKit;

namespace DarkStorage.Simulation.Crash;

/// <param name="Content">Of a GET of an object: what came, by length and MD5.</param>
internal sealed record Answer(HttpStatusCode Status, string? ETag, string Text, Content Content)
{
    /// <summary>The version that the answer is about, where it names one.</summary>
    public string? VersionId { get; init; }

    public bool Ok => (int)Status is >= 200 and < 300;

    public XElement Xml => XDocument.Parse(Text).Root!;

    public IEnumerable<XElement> Elements(string name) => Xml.Descendants().Where(e => e.Name.LocalName == name);

    public override string ToString() => $"{(int)Status} {Text}";
}

/// <summary>Presigned requests over connections that stay open.</summary>
internal sealed class CrashClient(NodeProcess node) : IDisposable
{
    private readonly RawS3 _signer = node.Raw();
    private readonly HttpClient _http = new() { Timeout = TimeSpan.FromSeconds(60) };

    public void Dispose() => _http.Dispose();

    /// <param name="headers">Those of Amazon's are signed.</param>
    /// <exception cref="HttpRequestException">The node is gone. <see cref="IOException"/> and, from a socket that dies while it is set up, SocketException say the same.</exception>
    public async Task<Answer> SendAsync(HttpMethod method, string target, byte[]? body = null, params KeyValuePair<string, string>[] headers)
    {
        var signed = headers.Where(h => h.Key.StartsWith("x-amz-", StringComparison.Ordinal)).ToArray();
        using var request = new HttpRequestMessage(method, new Uri(node.S3Url, _signer.Presign(method.Method, target, TimeSpan.FromMinutes(10), headers: signed)));
        foreach (var (name, value) in headers) request.Headers.TryAddWithoutValidation(name, value);
        if (body is not null) request.Content = new ByteArrayContent(body);
        using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        var isXml = response.Content.Headers.ContentType?.MediaType == "application/xml";
        var text = isXml ? await response.Content.ReadAsStringAsync() : "";
        var content = isXml ? Content.None : await ReadAsync(response);
        return new(response.StatusCode, response.Headers.ETag?.Tag.Trim('"'), text, content)
        {
            VersionId = response.Headers.TryGetValues("x-amz-version-id", out var ids) ? ids.Single() : null,
        };
    }

    private static async Task<Content> ReadAsync(HttpResponseMessage response)
    {
        using var md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        await using var stream = await response.Content.ReadAsStreamAsync();
        var buffer = ArrayPool<byte>.Shared.Rent(256 << 10);
        var length = 0L;
        while (await stream.ReadAsync(buffer) is var count and > 0)
        {
            md5.AppendData(buffer, 0, count);
            length += count;
        }
        ArrayPool<byte>.Shared.Return(buffer);
        return new(length, Convert.ToHexStringLower(md5.GetHashAndReset()));
    }
}
