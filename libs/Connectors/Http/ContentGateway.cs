using System.Net;
using System.Net.Http.Headers;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Http;

/// <summary>Gives out content of a network in which each has a name of its own and never changes, as gateways of Arweave and IPFS do.</summary>
/// <param name="address">With a slash behind it: what is in front of the name of a content.</param>
internal sealed class ContentGateway(Uri address, HttpClient http)
{
    /// <summary>Asks whether a content can be had, and is as long as it is to be.</summary>
    /// <param name="sha256">As the gateway is to say it, where it says one; null where it would say one of something else.</param>
    /// <returns>False where it is not there.</returns>
    public async Task<bool> HasAsync(string what, string id, long length, string? sha256, CancellationToken ct)
    {
        using var answer = await SendAsync(HttpMethod.Head, what, id, null, ct);
        if (answer.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.Accepted) return false;
        if (answer.StatusCode != HttpStatusCode.OK) throw await FailureOfAsync(answer, what, ct);
        if (answer.Content.Headers.ContentLength is { } there && there != length) throw new BackendException(BackendError.WrongLength, $"{what} has {length} bytes, and {there} at the gateway.");
        // A header of AR.IO's gateways.
        if (sha256 is not null && answer.Headers.TryGetValues("X-AR-IO-Digest", out var digests) && string.Join(',', digests) != sha256) throw new BackendException(BackendError.Unavailable, $"{what} has another content at the gateway than was sent.");
        return true;
    }

    /// <param name="range">Within the content.</param>
    public Task<Stream> OpenAsync(BlobName name, GatewayContent content, ByteRange range, TimeProvider clock, CancellationToken ct) => ContentStream.OpenAsync(new Ranged(this, name, content, range), clock, ct);

    public static BackendError ErrorOf(int status) => status switch
    {
        // They would let who pays go on.
        402 => BackendError.Throttled,
        // It is there, as was said elsewhere, and the gateway does not find it.
        400 or 404 or 410 => BackendError.Unavailable,
        416 => BackendError.WrongLength,
        _ => HttpFailures.Of(status),
    };

    /// <param name="range">Of a content with <paramref name="length"/> bytes.</param>
    /// <returns>The answer, which has exactly that range. The caller disposes it.</returns>
    private async Task<HttpResponseMessage> RequestAsync(BlobName name, string id, ByteRange range, long length, CancellationToken ct)
    {
        var answer = await SendAsync(HttpMethod.Get, name.Value, id, new RangeHeaderValue(range.First, range.Last), ct);
        try
        {
            if (answer.StatusCode is not (HttpStatusCode.OK or HttpStatusCode.PartialContent)) throw await FailureOfAsync(answer, name.Value, ct);
            // Some do not say the length of what they are still getting themselves; the reader counts.
            if (!RangedContent.IsRange(answer, range, length) || (answer.Content.Headers.ContentLength ?? range.Length) != range.Length)
                throw BackendException.WrongLength(name, range.Length, answer.Content.Headers.ContentLength ?? -1);
            return answer;
        }
        catch
        {
            answer.Dispose();
            throw;
        }
    }

    private static Task<BackendException> FailureOfAsync(HttpResponseMessage answer, string what, CancellationToken ct) =>
        HttpFailures.OfAsync(answer, what, "the gateway", (status, _) => ErrorOf(status), (_, status) => status == 451 ? ": it does not give that out" : "", ct);

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string what, string id, RangeHeaderValue? range, CancellationToken ct)
    {
        try
        {
            using var request = new HttpRequestMessage(method, new Uri(address, id)) { Headers = { Range = range } };
            return await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, ct);
        }
        catch (Exception e) when (HttpFailures.IsBroken(e, ct))
        {
            throw HttpFailures.NoAnswer(what, e);
        }
    }

    private sealed class Ranged(ContentGateway gateway, BlobName name, GatewayContent content, ByteRange range) : HashedContent(name, range, content.Length, content.Sha256)
    {
        public override Task<HttpResponseMessage> RequestAsync(ByteRange rest, CancellationToken ct) => gateway.RequestAsync(Name, content.Id, rest, content.FileLength, ct);
    }
}

/// <param name="Id">What the gateway calls it.</param>
/// <param name="Length">Of the blob.</param>
/// <param name="FileLength">Of what is there, which begins with the blob.</param>
/// <param name="Sha256">Of the blob, in Base64 for URLs.</param>
internal sealed record GatewayContent(string Id, long Length, long FileLength, string Sha256);
