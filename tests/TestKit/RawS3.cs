using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace DarkStorage.TestKit;

/// <summary>Makes S3 requests by hand, over a connection of their own: correct ones, and what no SDK would send.</summary>
/// <param name="sessionToken">Of temporary credentials: sent and signed with each request that is signed in its header.</param>
public sealed class RawS3(Uri endpoint, string accessKey, string secretKey, string region = "us-east-1", string? sessionToken = null)
{
    /// <summary>Past this an answer is not coming.</summary>
    private static readonly TimeSpan HangsAfter = TimeSpan.FromSeconds(60);

    public string Host => endpoint.Authority;

    /// <summary>The same requester with another key.</summary>
    public RawS3 As(string otherAccessKey, string otherSecretKey, string? otherSessionToken = null) => new(endpoint, otherAccessKey, otherSecretKey, region, otherSessionToken);

    public Task<RawAnswer> GetAsync(string target) => SendAsync(new("GET", target));

    public Task<RawAnswer> HeadAsync(string target) => SendAsync(new("HEAD", target));

    public Task<RawAnswer> DeleteAsync(string target) => SendAsync(new("DELETE", target));

    public Task<RawAnswer> PutAsync(string target, byte[] body) => SendAsync(new RawRequest("PUT", target).WithBody(body));

    public Task<RawAnswer> PutAsync(string target, string body) => PutAsync(target, Encoding.UTF8.GetBytes(body));

    public Task<RawAnswer> PostAsync(string target, string body) => SendAsync(new RawRequest("POST", target).WithBody(body));

    /// <summary>Signs where the request wants it, sends, and reads the answer.</summary>
    /// <exception cref="IOException">The node closed the connection without an answer.</exception>
    public async Task<RawAnswer> SendAsync(RawRequest request)
    {
        using var hang = new CancellationTokenSource(HangsAfter);
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(endpoint.Host, endpoint.Port, hang.Token);
        await using var stream = new NetworkStream(socket, ownsSocket: false);
        var sending = WriteAsync(stream, socket, request, hang.Token);
        var answer = await RawAnswer.ReadAsync(stream, request.Method != "HEAD", hang.Token);
        try
        {
            await sending;
        }
        catch (IOException)
        {
            // The node answered and closed without reading all: its right, when it refuses.
        }
        return answer;
    }

    /// <summary>Bytes straight to the node, and what comes back.</summary>
    public async Task<RawAnswer> SendBytesAsync(byte[] bytes)
    {
        using var hang = new CancellationTokenSource(HangsAfter);
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(endpoint.Host, endpoint.Port, hang.Token);
        await using var stream = new NetworkStream(socket, ownsSocket: false);
        await stream.WriteAsync(bytes, hang.Token);
        return await RawAnswer.ReadAsync(stream, hasBody: true, hang.Token);
    }

    /// <summary>Gives the request the headers that it lacks, the last of them its signature.</summary>
    /// <returns>The signer, whose signature that of a chunked body goes on from.</returns>
    internal (RawSigner Signer, string Signature) Prepare(RawRequest request)
    {
        var signer = Signer(request);
        if (request.Header("Host") is null) request.Headers.Insert(0, new("Host", Host));
        if (!request.Sign) return (signer, "");
        request.PayloadHash ??= RawSigner.Hash(request.Body);
        if (request.Header("x-amz-date") is null) request.With("x-amz-date", signer.Timestamp);
        if (request.Header("x-amz-content-sha256") is null) request.With("x-amz-content-sha256", request.PayloadHash);
        if (sessionToken is not null && request.Header("x-amz-security-token") is null) request.With("x-amz-security-token", sessionToken);
        var signed = request.Headers.Where(h => IsSigned(h.Key));
        var signature = signer.Sign(request.Method, request.Target, signed, request.PayloadHash, out var names);
        if (request.Header("Authorization") is null) request.With("Authorization", signer.Authorization(names, signature));
        return (signer, signature);
    }

    /// <summary>A target that carries its own signature.</summary>
    /// <param name="target">Path and query without one.</param>
    /// <param name="headers">Signed too, and so to be sent.</param>
    public string Presign(string method, string target, TimeSpan life, DateTimeOffset? time = null, string? inRegion = null, params KeyValuePair<string, string>[] headers)
    {
        var signer = new RawSigner(accessKey, secretKey, inRegion ?? region, time ?? DateTimeOffset.UtcNow);
        KeyValuePair<string, string>[] signed = [new("host", Host), .. headers];
        var names = string.Join(';', signed.Select(h => h.Key.ToLowerInvariant()).Order(StringComparer.Ordinal));
        target += (target.Contains('?', StringComparison.Ordinal) ? "&" : "?")
            + $"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={Uri.EscapeDataString(signer.Credential)}&X-Amz-Date={signer.Timestamp}"
            + string.Create(CultureInfo.InvariantCulture, $"&X-Amz-Expires={(long)life.TotalSeconds}&X-Amz-SignedHeaders={Uri.EscapeDataString(names)}");
        return $"{target}&X-Amz-Signature={signer.Sign(method, target, signed, "UNSIGNED-PAYLOAD", out _)}";
    }

    /// <summary>A target that carries its own signature of version 2.</summary>
    /// <param name="path">Without a query.</param>
    public string PresignVersion2(string method, string path, TimeSpan life)
    {
        var expires = (DateTimeOffset.UtcNow + life).ToUnixTimeSeconds();
        return $"{path}?AWSAccessKeyId={accessKey}&Expires={expires}&Signature={Uri.EscapeDataString(RawSigner.SignVersion2(secretKey, $"{method}\n\n\n{expires}\n{path}"))}";
    }

    /// <summary>Signs a form with a policy document as it stands, however wrong.</summary>
    /// <param name="form">Given the fields of policy and signature.</param>
    public void SignPolicy(RawForm form, string document, DateTimeOffset? time = null, string? inRegion = null)
    {
        var signer = new RawSigner(accessKey, secretKey, inRegion ?? region, time ?? DateTimeOffset.UtcNow);
        var policy = Convert.ToBase64String(Encoding.UTF8.GetBytes(document));
        foreach (var (name, value) in Identity(signer)) form.With(name, value);
        form.With("policy", policy).With("x-amz-signature", signer.SignPolicy(policy));
    }

    /// <summary>Signs a form with a policy for one bucket.</summary>
    /// <param name="conditions">As JSON, besides those of the bucket and of the signature itself.</param>
    internal void SignForm(RawForm form, string bucket, string expiration, IEnumerable<string> conditions, DateTimeOffset? signed = null)
    {
        var time = signed ?? DateTimeOffset.UtcNow;
        var all = conditions.Append($$"""{"bucket": "{{bucket}}"}""").Concat(Identity(new(accessKey, secretKey, region, time)).Select(RawForm.Equal));
        SignPolicy(form, $$"""{"expiration": "{{expiration}}", "conditions": [{{string.Join(", ", all)}}]}""", time);
    }

    private static KeyValuePair<string, string>[] Identity(RawSigner signer) =>
        [new("x-amz-algorithm", "AWS4-HMAC-SHA256"), new("x-amz-credential", signer.Credential), new("x-amz-date", signer.Timestamp)];

    private RawSigner Signer(RawRequest request) => new(accessKey, secretKey, request.Region ?? region, request.Time ?? DateTimeOffset.UtcNow, request.Service);

    private static bool IsSigned(string header) =>
        header.Equals("host", StringComparison.OrdinalIgnoreCase)
        || header.Equals("content-md5", StringComparison.OrdinalIgnoreCase)
        || header.Equals("content-type", StringComparison.OrdinalIgnoreCase)
        || header.StartsWith("x-amz-", StringComparison.OrdinalIgnoreCase);

    private async Task WriteAsync(NetworkStream stream, Socket socket, RawRequest request, CancellationToken ct)
    {
        Prepare(request);
        var head = new StringBuilder().Append(CultureInfo.InvariantCulture, $"{request.Method} {request.Target} HTTP/1.1\r\n");
        foreach (var (name, value) in request.Headers) head.Append(CultureInfo.InvariantCulture, $"{name}: {value}\r\n");
        if (request.TransferChunked) head.Append("Transfer-Encoding: chunked\r\n");
        else if (request.StatedLength is not null || request.Body.Length > 0 || request.Method is "PUT" or "POST")
            head.Append(CultureInfo.InvariantCulture, $"Content-Length: {request.StatedLength ?? request.Body.Length}\r\n");
        head.Append("Connection: close\r\n\r\n");
        var text = head.ToString();
        await stream.WriteAsync(Encoding.UTF8.GetBytes(request.BreakHead?.Invoke(text) ?? text), ct);
        var body = request.TransferChunked ? InTransferChunks(request.Body) : request.Body;
        await stream.WriteAsync(body.AsMemory(0, Math.Min(body.Length, request.CutAfter ?? body.Length)), ct);
        if (request.CutAfter is not null) socket.Shutdown(SocketShutdown.Send);
    }

    /// <summary>HTTP's chunks, of an odd size, so that their borders are nobody else's.</summary>
    private static byte[] InTransferChunks(byte[] body)
    {
        const int Size = 1_777;
        using var memory = new MemoryStream();
        for (var i = 0; i < body.Length; i += Size)
        {
            var count = Math.Min(Size, body.Length - i);
            memory.Write(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{count:x}\r\n")));
            memory.Write(body, i, count);
            memory.Write("\r\n"u8);
        }
        memory.Write("0\r\n\r\n"u8);
        return memory.ToArray();
    }
}
