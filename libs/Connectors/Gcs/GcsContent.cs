using System.Buffers.Binary;
using System.Net;
using System.Net.Http.Headers;
using DarkStorage.Connectors.Google;
using DarkStorage.Connectors.Http;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>One generation of an object: the one that the first answer is of.</summary>
/// <remarks>Where the range is the whole object, its last bytes are handed out when the CRC32C that the server says matches.</remarks>
/// <param name="target">The object's path.</param>
/// <param name="isThere">Asks whether there is an object of the name, in a bucket that is there.</param>
internal sealed class GcsContent(GoogleClient client, string target, BlobName name, ByteRange range, Func<CancellationToken, Task<bool>> isThere) : RangedContent(name, range)
{
    private long? _generation;
    private uint? _expected;
    private uint _crc;

    /// <summary>Without a generation it can't be known whether the rest is of the same content.</summary>
    public override bool CanGoOn => _generation is not null;

    public override async Task<HttpResponseMessage> RequestAsync(ByteRange rest, CancellationToken ct)
    {
        var pinned = _generation is { } known ? $"&generation={known}" : "";
        var answer = await client.SendAsync(HttpMethod.Get, $"{target}?alt=media{pinned}", Name.Value, request => request.Headers.Range = new(rest.First, rest.Last), ct);
        try
        {
            if (answer.StatusCode == HttpStatusCode.NotFound) throw await MissingAsync(ct);
            // The last byte of another length is past its end.
            if (answer.StatusCode is not (HttpStatusCode.OK or HttpStatusCode.PartialContent)) throw await client.FailureOfAsync(answer, Name.Value, ct);
            var length = answer.Content.Headers.ContentLength;
            if (length != rest.Length || !IsRange(answer, rest, null)) throw BackendException.WrongLength(Name, rest.Length, length ?? -1);
            Pin(answer);
            return answer;
        }
        catch
        {
            answer.Dispose();
            throw;
        }
    }

    public override void Take(ReadOnlySpan<byte> bytes, bool isLast)
    {
        if (_expected is not { } expected) return;
        _crc = Crc32C.Append(_crc, bytes);
        if (isLast && _crc != expected) throw Damaged();
    }

    /// <summary>Remembers of what the first answer is, or compares.</summary>
    private void Pin(HttpResponseMessage answer)
    {
        long? generation = HeaderOf(answer.Headers, "x-goog-generation") is { } text && long.TryParse(text, out var number) ? number : null;
        if (_generation is null)
        {
            _generation = generation;
            var isWhole = Range.First == 0 && (answer.StatusCode == HttpStatusCode.OK || answer.Content.Headers.ContentRange?.Length == Range.Length);
            if (isWhole) _expected = ChecksumOf(answer.Headers);
        }
        else if (generation != _generation)
        {
            throw Replaced();
        }
    }

    private async Task<BackendException> MissingAsync(CancellationToken ct) => await isThere(ct) && _generation is not null ? Replaced() : BackendException.NotFound(Name);

    /// <summary><c>x-goog-hash: crc32c=AAAAAA==,md5=…</c>, in one header or several.</summary>
    private static uint? ChecksumOf(HttpResponseHeaders headers)
    {
        const string Crc = "crc32c=";
        var text = HeaderOf(headers, "x-goog-hash")?.Split(',').Select(h => h.Trim()).FirstOrDefault(h => h.StartsWith(Crc, StringComparison.Ordinal));
        Span<byte> bytes = stackalloc byte[8];
        return text is not null && Convert.TryFromBase64String(text[Crc.Length..], bytes, out var length) && length == sizeof(uint) ? BinaryPrimitives.ReadUInt32BigEndian(bytes) : null;
    }

    private static string? HeaderOf(HttpResponseHeaders headers, string name) => headers.TryGetValues(name, out var values) ? string.Join(',', values) : null;
}
