using System.Net;
using System.Net.Http.Headers;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>A range of one generation of an object. Where the connection breaks it goes on by itself, a few times: only here is it known of which generation the beginning was, and a guard that opens the name again would not see that it was replaced.</summary>
/// <remarks>Where the range is the whole object, its last bytes are handed out when the CRC32C that the server says matches.</remarks>
internal sealed class GcsStream : ReadOnlyStream
{
    /// <summary>Within <see cref="ForgivenAfter"/> bytes.</summary>
    private const int BreaksMax = 3;

    /// <summary>Bytes after which earlier breaks are forgiven.</summary>
    private const long ForgivenAfter = 64L << 20;

    /// <summary>Wait before the second attempt to go on; the first is at once, since servers end connections that are old.</summary>
    private static readonly TimeSpan Delay = TimeSpan.FromMilliseconds(200);

    /// <summary>The longest wait, whatever the server asks for.</summary>
    private static readonly TimeSpan DelayMax = TimeSpan.FromSeconds(10);

    private readonly GcsClient _client;
    private readonly string _target;
    private readonly BlobName _name;
    private readonly ByteRange _range;
    private readonly Func<CancellationToken, Task<bool>> _isThere;
    private readonly TimeProvider _clock;
    private HttpResponseMessage? _answer;
    private Stream? _body;
    private long? _generation;
    private uint? _expected;
    private uint _crc;
    private long _position;
    private long _brokeAt;
    private int _breaks;

    private GcsStream(GcsClient client, string target, BlobName name, ByteRange range, Func<CancellationToken, Task<bool>> isThere, TimeProvider clock) =>
        (_client, _target, _name, _range, _isThere, _clock) = (client, target, name, range, isThere, clock);

    /// <param name="target">The object's path.</param>
    /// <param name="isThere">Asks whether there is an object of the name, in a bucket that is there.</param>
    public static async Task<Stream> OpenAsync(GcsClient client, string target, BlobName name, ByteRange range, Func<CancellationToken, Task<bool>> isThere, TimeProvider clock, CancellationToken ct)
    {
        var stream = new GcsStream(client, target, name, range, isThere, clock);
        await stream.RequestAsync(ct);
        return stream;
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (buffer.IsEmpty || _position == _range.Length) return 0;
        while (true)
        {
            try
            {
                if (_body is null) await RequestAsync(cancellationToken);
                var read = await _body!.ReadAsync(buffer[..(int)Math.Min(buffer.Length, _range.Length - _position)], cancellationToken);
                if (read == 0) throw BackendException.WrongLength(_name, _range.Length, _position);
                Take(buffer.Span[..read]);
                return read;
            }
            catch (Exception e) when (e is IOException or HttpRequestException && e is not BackendException { IsTransient: false })
            {
                Leave();
                await BrokeAsync(e, cancellationToken);
            }
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) Leave();
        base.Dispose(disposing);
    }

    private void Take(ReadOnlySpan<byte> bytes)
    {
        if (_expected is { } expected)
        {
            var crc = Crc32C.Append(_crc, bytes);
            if (_position + bytes.Length == _range.Length && crc != expected) throw new BackendException(BackendError.Damaged, $"{_name} does not match its checksum.");
            _crc = crc;
        }
        _position += bytes.Length;
    }

    /// <summary>Waits to go on, or throws where it broke too often.</summary>
    private async Task BrokeAsync(Exception e, CancellationToken ct)
    {
        if (_position - _brokeAt >= ForgivenAfter) _breaks = 0;
        _brokeAt = _position;
        // Without a generation it can't be known whether the rest is of the same content.
        if (_generation is null || ++_breaks > BreaksMax) throw e as BackendException ?? new BackendException(BackendError.Unavailable, $"Reading {_name} broke after {_position} of {_range.Length} bytes: {GcsFailures.Plain(e.Message)}", e);
        var wait = (e as BackendException)?.RetryAfter ?? Delay * (_breaks - 1);
        await Task.Delay(wait < DelayMax ? wait : DelayMax, _clock, ct);
    }

    private async Task RequestAsync(CancellationToken ct)
    {
        var (first, wanted) = (_range.First + _position, _range.Length - _position);
        var pinned = _generation is { } known ? $"&generation={known}" : "";
        var answer = await _client.SendAsync(HttpMethod.Get, $"{_target}?alt=media{pinned}", _name.Value, request => request.Headers.Range = new(first, _range.Last), ct);
        try
        {
            if (answer.StatusCode == HttpStatusCode.NotFound) throw await MissingAsync(ct);
            // The last byte of another length is past its end.
            if (answer.StatusCode is not (HttpStatusCode.OK or HttpStatusCode.PartialContent)) throw await GcsFailures.OfAsync(answer, _name.Value, ct);
            var length = answer.Content.Headers.ContentLength;
            if (length != wanted || !IsRange(answer, first)) throw BackendException.WrongLength(_name, wanted, length ?? -1);
            Pin(answer);
            _body = await answer.Content.ReadAsStreamAsync(ct);
            _answer = answer;
        }
        catch
        {
            answer.Dispose();
            throw;
        }
    }

    /// <summary>An answer without a part is of the whole.</summary>
    private bool IsRange(HttpResponseMessage answer, long first) => answer.StatusCode == HttpStatusCode.OK ? first == 0
        : answer.Content.Headers.ContentRange is { Unit: "bytes" } range && range.From == first && range.To == _range.Last;

    /// <summary>Remembers of what the first answer is, or compares.</summary>
    private void Pin(HttpResponseMessage answer)
    {
        long? generation = HeaderOf(answer.Headers, "x-goog-generation") is { } text && long.TryParse(text, out var number) ? number : null;
        if (_generation is null)
        {
            _generation = generation;
            var isWhole = _range.First == 0 && (answer.StatusCode == HttpStatusCode.OK || answer.Content.Headers.ContentRange?.Length == _range.Length);
            if (isWhole) _expected = ChecksumOf(answer.Headers);
        }
        else if (generation != _generation)
        {
            throw Replaced();
        }
    }

    private async Task<BackendException> MissingAsync(CancellationToken ct) => await _isThere(ct) && _generation is not null ? Replaced() : BackendException.NotFound(_name);

    private BackendException Replaced() => new(BackendError.Damaged, $"{_name} was replaced while it was read.");

    private void Leave()
    {
        _body?.Dispose();
        _answer?.Dispose();
        (_body, _answer) = (null, null);
    }

    /// <summary><c>x-goog-hash: crc32c=AAAAAA==,md5=…</c>, in one header or several.</summary>
    private static uint? ChecksumOf(HttpResponseHeaders headers)
    {
        const string Name = "crc32c=";
        var text = HeaderOf(headers, "x-goog-hash")?.Split(',').Select(h => h.Trim()).FirstOrDefault(h => h.StartsWith(Name, StringComparison.Ordinal));
        Span<byte> bytes = stackalloc byte[8];
        return text is not null && Convert.TryFromBase64String(text[Name.Length..], bytes, out var length) && length == sizeof(uint) ? System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(bytes) : null;
    }

    private static string? HeaderOf(HttpResponseHeaders headers, string name) => headers.TryGetValues(name, out var values) ? string.Join(',', values) : null;
}
