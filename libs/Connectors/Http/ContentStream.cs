using System.Buffers.Text;
using System.Security.Cryptography;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Http;

/// <summary>A range of a content. Where the connection breaks it goes on by itself, a few times: here it is known which content it is, and a guard that looks the name up again would not see that it was replaced.</summary>
/// <remarks>Where the range is the whole, its last bytes are handed out when its SHA-256 is the one that was put.</remarks>
internal sealed class ContentStream : ReadOnlyStream
{
    /// <summary>Within <see cref="ForgivenAfter"/> bytes.</summary>
    private const int BreaksMax = 3;

    /// <summary>Bytes after which earlier breaks are forgiven.</summary>
    private const long ForgivenAfter = 64L << 20;

    /// <summary>Wait before the second attempt to go on; the first is at once.</summary>
    private static readonly TimeSpan Delay = TimeSpan.FromMilliseconds(200);

    /// <summary>The longest wait, whatever the gateway asks for.</summary>
    private static readonly TimeSpan DelayMax = TimeSpan.FromSeconds(10);

    private readonly ContentGateway _gateway;
    private readonly BlobName _name;
    private readonly GatewayContent _content;
    private readonly ByteRange _range;
    private readonly TimeProvider _clock;
    private readonly IncrementalHash? _hash;
    private HttpResponseMessage? _answer;
    private Stream? _body;
    private long _position;
    private long _brokeAt;
    private int _breaks;

    private ContentStream(ContentGateway gateway, BlobName name, GatewayContent content, ByteRange range, TimeProvider clock)
    {
        (_gateway, _name, _content, _range, _clock) = (gateway, name, content, range, clock);
        if (range.Length == content.Length) _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    }

    /// <param name="range">Within the content.</param>
    public static async Task<Stream> OpenAsync(ContentGateway gateway, BlobName name, GatewayContent content, ByteRange range, TimeProvider clock, CancellationToken ct)
    {
        var stream = new ContentStream(gateway, name, content, range, clock);
        try
        {
            await stream.RequestAsync(ct);
            return stream;
        }
        catch
        {
            await stream.DisposeAsync();
            throw;
        }
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
        if (disposing)
        {
            Leave();
            _hash?.Dispose();
        }
        base.Dispose(disposing);
    }

    private void Take(ReadOnlySpan<byte> bytes)
    {
        _hash?.AppendData(bytes);
        if (_hash is not null && _position + bytes.Length == _range.Length && Base64Url.EncodeToString(_hash.GetHashAndReset()) != _content.Sha256)
            throw new BackendException(BackendError.Damaged, $"{_name} does not match its checksum.");
        _position += bytes.Length;
    }

    private async Task RequestAsync(CancellationToken ct)
    {
        _answer = await _gateway.OpenAsync(_name, _content.Id, _range with { First = _range.First + _position }, _content.FileLength, ct);
        _body = await _answer.Content.ReadAsStreamAsync(ct);
    }

    /// <summary>Waits to go on, or throws where it broke too often.</summary>
    private async Task BrokeAsync(Exception e, CancellationToken ct)
    {
        if (_position - _brokeAt >= ForgivenAfter) _breaks = 0;
        _brokeAt = _position;
        if (++_breaks > BreaksMax) throw e as BackendException ?? new BackendException(BackendError.Unavailable, $"Reading {_name} broke after {_position} of {_range.Length} bytes: {HttpFailures.Plain(e.Message)}", e);
        var wait = (e as BackendException)?.RetryAfter ?? Delay * (_breaks - 1);
        await Task.Delay(wait < DelayMax ? wait : DelayMax, _clock, ct);
    }

    private void Leave()
    {
        _body?.Dispose();
        _answer?.Dispose();
        (_body, _answer) = (null, null);
    }
}

/// <param name="Id">What the gateway calls it.</param>
/// <param name="Length">Of the blob.</param>
/// <param name="FileLength">Of what is there, which begins with the blob.</param>
/// <param name="Sha256">Of the blob, in Base64 for URLs.</param>
internal sealed record GatewayContent(string Id, long Length, long FileLength, string Sha256);
