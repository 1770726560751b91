using System.Buffers;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>A blob's content on its way to a node: the one file of a form (multipart/form-data), whose CID is worked out from what is sent.</summary>
internal sealed class AddedFile : HttpContent
{
    private const int BufferBytes = 64 << 10;

    private readonly BlobSource _source;
    private readonly byte[] _head, _tail;
    public AddedFile(BlobSource source, int chunkBytes)
    {
        (_source, ChunkBytes) = (source, chunkBytes);
        // By chance, so that no content has it.
        var boundary = Guid.NewGuid().ToString("N");
        _head = Encoding.ASCII.GetBytes($"--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"blob\"\r\nContent-Type: application/octet-stream\r\n\r\n");
        _tail = Encoding.ASCII.GetBytes($"\r\n--{boundary}--\r\n");
        Headers.ContentType = MediaTypeHeaderValue.Parse($"multipart/form-data; boundary={boundary}");
    }

    public int ChunkBytes { get; }

    /// <summary>What the content is called that was sent; null unless it was to its end.</summary>
    public Cid? Sent { get; private set; }

    protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
    {
        Sent = null;
        using var tree = new FileTree(ChunkBytes);
        await stream.WriteAsync(_head, cancellationToken);
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            await using var content = new SourceStream(_source, 0, _source.Length);
            while (await content.ReadAsync(buffer, cancellationToken) is > 0 and var read)
            {
                tree.Append(buffer.AsSpan(0, read));
                await stream.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        await stream.WriteAsync(_tail, cancellationToken);
        Sent = tree.End();
    }

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

    protected override bool TryComputeLength(out long length)
    {
        length = _head.Length + _source.Length + _tail.Length;
        return true;
    }
}
