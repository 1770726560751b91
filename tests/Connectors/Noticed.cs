using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors;

/// <summary>Content that says when it is being sent, once, a little after its beginning.</summary>
internal sealed class NoticedSource(byte[] content, Action sending) : BlobSource
{
    private const int Beginning = 20_000;

    private Action? _sending = sending;

    public override long Length => content.Length;

    public override async ValueTask<Stream> OpenAsync(long offset, CancellationToken ct) =>
        new NoticedStream(await PeekAsync(offset, ct), Beginning, () => Interlocked.Exchange(ref _sending, null)?.Invoke());

    public override ValueTask<Stream> PeekAsync(long offset, CancellationToken ct) => Of(content).OpenAsync(offset, ct);
}

/// <summary>A stream on which something happens, once, when it was read to a place.</summary>
internal sealed class NoticedStream(Stream inner, long at, Action happens) : ReadOnlyStream
{
    private long _position;
    private bool _happened;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_position >= at && !_happened)
        {
            _happened = true;
            happens();
        }
        var read = await inner.ReadAsync(_happened ? buffer : buffer[..(int)Math.Min(buffer.Length, at - _position)], cancellationToken);
        _position += read;
        return read;
    }
}
