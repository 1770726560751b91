using System.Globalization;
using System.Net.Sockets;

namespace DarkStorage.Conformance.Drives;

/// <summary>A request over a connection that the test holds in its hands: sent in pieces, its answer read in pieces.</summary>
internal sealed class UnfinishedRequest : IDisposable
{
    private static readonly TimeSpan HangsAfter = TimeSpan.FromSeconds(60);

    private readonly Socket _socket;
    private readonly NetworkStream _stream;

    private UnfinishedRequest(Socket socket) => (_socket, _stream) = (socket, new(socket, ownsSocket: false) { ReadTimeout = (int)HangsAfter.TotalMilliseconds });

    /// <summary>Sends the head, which carries its signature in the query.</summary>
    /// <param name="length">What Content-Length says; null for a request without a body.</param>
    public static async Task<UnfinishedRequest> BeginAsync(NodeProcess node, string method, string target, long? length = null)
    {
        // A small window, so that the node can't send far ahead of who reads.
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveBufferSize = 64 << 10 };
        await socket.ConnectAsync(node.S3Url.Host, node.S3Url.Port);
        var request = new UnfinishedRequest(socket);
        var presigned = node.Raw().Presign(method, target, TimeSpan.FromMinutes(5));
        var contentLength = length is null ? "" : string.Create(CultureInfo.InvariantCulture, $"Content-Length: {length}\r\n");
        await request.SendAsync(Encoding.ASCII.GetBytes($"{method} {presigned} HTTP/1.1\r\nHost: {node.S3Url.Authority}\r\n{contentLength}Connection: close\r\n\r\n"));
        return request;
    }

    public async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        using var hang = new CancellationTokenSource(HangsAfter);
        await _stream.WriteAsync(bytes, hang.Token);
    }

    /// <summary>Reads the answer's head and not a byte more.</summary>
    public async Task<int> ReadStatusAsync()
    {
        using var hang = new CancellationTokenSource(HangsAfter);
        var head = new List<byte>();
        var one = new byte[1];
        while (head.Count < 4 || !head[^4..].SequenceEqual("\r\n\r\n"u8.ToArray()))
        {
            if (await _stream.ReadAsync(one, hang.Token) == 0) throw new EndOfStreamException("The connection ended within the answer's head.");
            head.Add(one[0]);
        }
        return int.Parse(Encoding.ASCII.GetString([.. head]).Split(' ')[1], CultureInfo.InvariantCulture);
    }

    /// <summary>Reads the next bytes of the answer's body.</summary>
    /// <exception cref="EndOfStreamException">The connection ended before.</exception>
    public async Task<byte[]> ReadAsync(int count)
    {
        using var hang = new CancellationTokenSource(HangsAfter);
        var bytes = new byte[count];
        await _stream.ReadExactlyAsync(bytes, hang.Token);
        return bytes;
    }

    public void Dispose()
    {
        _stream.Dispose();
        _socket.Dispose();
    }
}
