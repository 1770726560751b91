using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using DarkStorage.GrainInterfaces.Events;

namespace DarkStorage.Connectors.Events;

/// <summary>Posts events to web addresses. docs/EVENTS.md has the headers.</summary>
/// <remarks>An administrator names the addresses, so private networks are fine. Link-local ones never are: what answers there hands out the machine's own
/// credentials. Nothing is followed, no proxy is asked, and what comes back is not kept.</remarks>
public sealed class WebhookSender : IEventSender, IDisposable
{
    /// <summary>The name of the header with the event's sequence.</summary>
    public const string EventHeader = "DarkStorage-Event";

    /// <summary>The name of the header with the signature: <c>t=SECONDS,v1=HEX</c>.</summary>
    public const string SignatureHeader = "DarkStorage-Signature";

    private const int ConnectionsMax = 16;

    /// <summary>Of an answer read at the most, so that its connection can be used again.</summary>
    private const int AnswerBytesMax = 64 << 10;

    private static readonly TimeSpan AttemptMax = TimeSpan.FromSeconds(10);

    private readonly HttpClient _http;
    private readonly TimeProvider _clock;

    public WebhookSender(TimeProvider clock)
    {
        _clock = clock;
        _http = new(new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseProxy = false,
            UseCookies = false,
            MaxConnectionsPerServer = ConnectionsMax,
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            MaxResponseDrainSize = AnswerBytesMax,
            ConnectCallback = ConnectAsync,
        })
        {
            Timeout = AttemptMax,
        };
    }

    public async Task<EventAnswer> SendAsync(Uri url, string? secret, long sequence, ReadOnlyMemory<byte> document, CancellationToken ct)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = new ReadOnlyMemoryContent(document) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        request.Headers.TryAddWithoutValidation("User-Agent", "DarkStorage");
        request.Headers.TryAddWithoutValidation(EventHeader, sequence.ToString(CultureInfo.InvariantCulture));
        if (secret is not null) request.Headers.TryAddWithoutValidation(SignatureHeader, Sign(secret, _clock.GetUtcNow(), document.Span));
        try
        {
            using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct);
            var status = $"it answered {(int)response.StatusCode}";
            if (response.IsSuccessStatusCode) return new(EventOutcome.Delivered, status);
            var canNot = (int)response.StatusCode >= 500 || response.StatusCode is HttpStatusCode.RequestTimeout or HttpStatusCode.TooManyRequests or HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden;
            return new(canNot ? EventOutcome.Unavailable : EventOutcome.Refused, status);
        }
        catch (HttpRequestException e)
        {
            // What went wrong by kind: the text may hold the address, and an address may hold a token.
            return new(EventOutcome.Unavailable, e.InnerException is ForbiddenAddressException ? "its address is link-local, which is not allowed" : $"no connection ({e.HttpRequestError})");
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return new(EventOutcome.Unavailable, $"no answer within {AttemptMax.TotalSeconds} s");
        }
    }

    public void Dispose() => _http.Dispose();

    /// <summary>HMAC-SHA256 of the time, a full stop and the document, so that a message that was caught can't be sent again later.</summary>
    public static string Sign(string secret, DateTimeOffset now, ReadOnlySpan<byte> document)
    {
        var time = now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
        using var hmac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, Encoding.UTF8.GetBytes(secret));
        hmac.AppendData(Encoding.ASCII.GetBytes($"{time}."));
        hmac.AppendData(document);
        return $"t={time},v1={Convert.ToHexStringLower(hmac.GetHashAndReset())}";
    }

    /// <summary>The name is looked up here, once, so that what was checked is what is connected to.</summary>
    private static async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken ct)
    {
        var addresses = await Dns.GetHostAddressesAsync(context.DnsEndPoint.Host, ct);
        var allowed = Array.FindAll(addresses, a => !IsForbidden(a));
        if (allowed.Length == 0) throw addresses.Length == 0 ? new SocketException((int)SocketError.HostNotFound) : new ForbiddenAddressException();
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(allowed, context.DnsEndPoint.Port, ct);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private static bool IsForbidden(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        var bytes = address.GetAddressBytes();
        if (address.AddressFamily == AddressFamily.InterNetworkV6)
        {
            if (address.IsIPv6LinkLocal || address.IsIPv6Multicast || address.Equals(IPAddress.IPv6Any) || address.Equals(IPAddress.Parse("fd00:ec2::254"))) return true;
            if (address.Equals(IPAddress.IPv6Loopback)) return false;
            // Gateways turn these into the address of IPv4 that they hold: 64:ff9b::/96 (RFC 6052), ::/96 and 2002::/16 (RFC 4291 and 3056).
            if (bytes is [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, ..] or [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ..]) bytes = bytes[12..];
            else if (bytes is [0x20, 0x02, ..]) bytes = bytes[2..6];
            else return false;
        }
        return bytes is [169, 254, ..] or [0, ..] or [>= 224, ..];
    }

    private sealed class ForbiddenAddressException : IOException;
}
