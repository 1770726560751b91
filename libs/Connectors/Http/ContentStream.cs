using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Http;

/// <summary>A range of one content. Where the connection breaks it goes on by itself, a few times: only here is it known which content the beginning was of, and a guard that opens the name again would not see that it was replaced.</summary>
internal sealed class ContentStream : ReadOnlyStream
{
    /// <summary>Within <see cref="ForgivenAfter"/> bytes.</summary>
    private const int BreaksMax = 3;

    /// <summary>Bytes after which earlier breaks are forgiven.</summary>
    private const long ForgivenAfter = 64L << 20;

    /// <summary>Wait before the second attempt to go on; the first is at once, since servers end connections that are old.</summary>
    private static readonly TimeSpan Delay = TimeSpan.FromMilliseconds(200);

    /// <summary>The longest wait, whatever the server asks for.</summary>
    private static readonly TimeSpan DelayMax = TimeSpan.FromSeconds(10);

    private readonly RangedContent _content;
    private readonly TimeProvider _clock;
    private HttpResponseMessage? _answer;
    private Stream? _body;
    private long _position;
    private long _brokeAt;
    private int _breaks;

    private ContentStream(RangedContent content, TimeProvider clock) => (_content, _clock) = (content, clock);

    private BlobName Name => _content.Name;

    private long RangeLength => _content.Range.Length;

    /// <param name="content">Is the stream's from now on.</param>
    public static async Task<Stream> OpenAsync(RangedContent content, TimeProvider clock, CancellationToken ct)
    {
        var stream = new ContentStream(content, clock);
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
        if (buffer.IsEmpty || _position == RangeLength) return 0;
        while (true)
        {
            try
            {
                if (_body is null) await RequestAsync(cancellationToken);
                var read = await _body!.ReadAsync(buffer[..(int)Math.Min(buffer.Length, RangeLength - _position)], cancellationToken);
                if (read == 0) throw BackendException.WrongLength(Name, RangeLength, _position);
                _content.Take(buffer.Span[..read], isLast: _position + read == RangeLength);
                _position += read;
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
            _content.Dispose();
        }
        base.Dispose(disposing);
    }

    private async Task RequestAsync(CancellationToken ct)
    {
        _answer = await _content.RequestAsync(_content.Range with { First = _content.Range.First + _position }, ct);
        _body = await _answer.Content.ReadAsStreamAsync(ct);
    }

    /// <summary>Waits to go on, or throws where it broke too often.</summary>
    private async Task BrokeAsync(Exception e, CancellationToken ct)
    {
        if (_position - _brokeAt >= ForgivenAfter) _breaks = 0;
        _brokeAt = _position;
        if (!_content.CanGoOn || ++_breaks > BreaksMax) throw e as BackendException ?? new BackendException(BackendError.Unavailable, $"Reading {Name} broke after {_position} of {RangeLength} bytes: {HttpFailures.Plain(e.Message)}", e);
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
