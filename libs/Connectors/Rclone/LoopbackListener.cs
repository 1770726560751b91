using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace DarkStorage.Connectors.Rclone;

/// <summary>Listens on a port of loopback for what one program on this machine asks, over HTTP/1.1, one request for each connection.</summary>
internal abstract class LoopbackListener : IDisposable
{
    /// <summary>Bytes of a request's or an answer's head.</summary>
    protected const int HeadBytesMax = 64 << 10;

    /// <summary>Others on the machine can connect too: they are not to hold what is here for long.</summary>
    private static readonly TimeSpan HeadTimeout = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan AcceptDelay = TimeSpan.FromMilliseconds(10);

    private const int ConnectionsMax = 4096;

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _ending = new();
    private readonly ConcurrentDictionary<Socket, bool> _open = new();

    protected LoopbackListener()
    {
        _listener.Start();
        _ = AcceptAsync();
    }

    /// <summary>Connections that are open now.</summary>
    internal int OpenCount => _open.Count;

    protected int Port { get; private set; }

    public void Dispose()
    {
        _ending.Cancel();
        _listener.Dispose();
        foreach (var socket in _open.Keys) socket.Dispose();
    }

    /// <param name="head">With its empty line, as Latin-1.</param>
    protected abstract Task AnswerAsync(Socket socket, NetworkStream stream, string head, CancellationToken ct);

    /// <returns>Null where there is no whole one within its bounds. Not a byte behind it is taken.</returns>
    protected static async Task<string?> ReadHeadAsync(NetworkStream stream, CancellationToken ct)
    {
        var head = new byte[HeadBytesMax];
        for (var length = 0; length < head.Length;)
        {
            var peeked = await stream.Socket.ReceiveAsync(head.AsMemory(length), SocketFlags.Peek, ct);
            if (peeked == 0) return null;
            // The end may have begun in what came before.
            var from = Math.Max(0, length - 3);
            var end = head.AsSpan(from, length + peeked - from).IndexOf("\r\n\r\n"u8);
            var taken = end < 0 ? peeked : from + end + 4 - length;
            await stream.ReadExactlyAsync(head.AsMemory(length, taken), ct);
            length += taken;
            if (end >= 0) return Encoding.Latin1.GetString(head, 0, length);
        }
        return null;
    }

    protected static ValueTask WriteHeadAsync(Stream stream, string head, CancellationToken ct) => stream.WriteAsync(Encoding.Latin1.GetBytes(head), ct);

    private async Task AcceptAsync()
    {
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
        while (!_ending.IsCancellationRequested)
        {
            try
            {
                var socket = await _listener.AcceptSocketAsync(_ending.Token);
                if (_open.Count < ConnectionsMax) _ = AnswerAsync(socket);
                else socket.Dispose();
            }
            catch (SocketException)
            {
                // One that left before it was taken; or there are no file descriptors, which is not over at once.
                await Task.Delay(AcceptDelay, _ending.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
            catch (Exception e) when (e is ObjectDisposedException or OperationCanceledException)
            {
                // The end.
            }
        }
    }

    private async Task AnswerAsync(Socket socket)
    {
        _open[socket] = true;
        // What is cut off is to be seen as such at once, and not as an end: it is reset.
        socket.LingerState = new(enable: true, seconds: 0);
        try
        {
            await using var stream = new NetworkStream(socket, ownsSocket: false);
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(_ending.Token);
            patience.CancelAfter(HeadTimeout);
            if (await ReadHeadAsync(stream, patience.Token) is { } head) await AnswerAsync(socket, stream, head, _ending.Token);
        }
        catch (Exception e) when (e is IOException or SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // The connection is over, whoever ended it.
        }
        finally
        {
            _open.TryRemove(socket, out _);
            socket.Dispose();
        }
    }
}
