namespace DarkStorage.Storage.Backends;

/// <summary>A stream that gives so many bytes or throws a <see cref="BackendException"/>: for connectors, since what comes over a network can end early, and what a server says of lengths need not be true.</summary>
/// <param name="owner">Disposed with the stream, such as the response that it is of; or null.</param>
public sealed class ExactStream(Stream inner, BlobName name, long length, IDisposable? owner = null) : ReadOnlyStream
{
    private long _read;

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (buffer.IsEmpty || _read == length) return 0;
        var read = await ReadInnerAsync(buffer[..(int)Math.Min(buffer.Length, length - _read)], cancellationToken);
        _read += read;
        return read > 0 ? read : throw BackendException.WrongLength(name, length, _read);
    }

    public override async ValueTask DisposeAsync()
    {
        await inner.DisposeAsync();
        owner?.Dispose();
        await base.DisposeAsync();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            inner.Dispose();
            owner?.Dispose();
        }
        base.Dispose(disposing);
    }

    private async ValueTask<int> ReadInnerAsync(Memory<byte> buffer, CancellationToken ct)
    {
        try
        {
            return await inner.ReadAsync(buffer, ct);
        }
        catch (IOException e) when (e is not BackendException)
        {
            throw new BackendException(BackendError.Unavailable, $"Reading {name} broke after {_read} of {length} bytes: {e.Message}", e);
        }
    }
}
