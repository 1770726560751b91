using System.Buffers;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Mime;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors;

/// <summary>A stretch of a source as what a request brings. It tells its own failures from those of the connection, which the one who sends could go on after.</summary>
internal sealed class SourceContent : HttpContent
{
    private const int BufferBytes = 128 << 10;

    private readonly BlobSource _source;
    private readonly long _offset;
    private readonly long _length;

    public SourceContent(BlobSource source, long offset, long length)
    {
        (_source, _offset, _length) = (source, offset, length);
        Headers.ContentType = new MediaTypeHeaderValue(MediaTypeNames.Application.Octet);
    }

    /// <returns>What the source itself threw; null where it was not the source.</returns>
    public static Exception? FailureOf(Exception? e)
    {
        for (; e is not null; e = e.InnerException)
        {
            if (e is SourceException) return e.InnerException;
        }
        return null;
    }

    protected override bool TryComputeLength(out long length)
    {
        length = _length;
        return true;
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            await using var content = new SourceStream(_source, _offset, _length);
            while (await ReadAsync(content, buffer, cancellationToken) is > 0 and var read) await stream.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static async ValueTask<int> ReadAsync(Stream content, byte[] buffer, CancellationToken ct)
    {
        try
        {
            return await content.ReadAsync(buffer, ct);
        }
        catch (Exception e) when (e is not OperationCanceledException || !ct.IsCancellationRequested)
        {
            throw new SourceException(e);
        }
    }

    private sealed class SourceException(Exception failure) : Exception(failure.Message, failure);
}
