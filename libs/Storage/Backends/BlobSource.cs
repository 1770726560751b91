namespace DarkStorage.Storage.Backends;

/// <summary>Content that is going to a backend. It can be read more than once and from any place, so a put can be tried again, in parts too, and nothing is held in memory for it.</summary>
public abstract class BlobSource
{
    /// <summary>Bytes.</summary>
    public abstract long Length { get; }

    /// <param name="offset">0 to <see cref="Length"/>.</param>
    /// <returns>The content from there to its end. The caller disposes the stream.</returns>
    public abstract ValueTask<Stream> OpenAsync(long offset, CancellationToken ct);

    /// <summary>The same bytes, to be looked at and not sent: a place that wants to be told a checksum before the content. They do not count as sent.</summary>
    public virtual ValueTask<Stream> PeekAsync(long offset, CancellationToken ct) => OpenAsync(offset, ct);

    public static BlobSource Of(ReadOnlyMemory<byte> content) => new InMemory(content);

    private sealed class InMemory(ReadOnlyMemory<byte> content) : BlobSource
    {
        public override long Length => content.Length;

        public override ValueTask<Stream> OpenAsync(long offset, CancellationToken ct) =>
            new(System.Runtime.InteropServices.MemoryMarshal.TryGetArray(content[(int)offset..], out var bytes)
                ? new MemoryStream(bytes.Array!, bytes.Offset, bytes.Count, writable: false)
                : new MemoryStream(content[(int)offset..].ToArray(), writable: false));
    }
}
