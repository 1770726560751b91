using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using DarkStorage.Connectors.Http;
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
            ConnectCallback = OutboundConnections.ConnectAsync,
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
}
