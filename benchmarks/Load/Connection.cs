using System.Buffers.Text;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace DarkStorage.Load;

/// <summary>One HTTP/1.1 connection, one request at a time, as lean as it can be: what the client burns, the server under test does not get.</summary>
internal sealed class Connection(Uri url, Signer signer) : IDisposable
{
    private const int ReceiveBytes = 256 << 10;
    private const int HeaderBytesMax = 32 << 10;

    private readonly byte[] _receive = new byte[ReceiveBytes];
    private Socket? _socket;
    private int _start;
    private int _end;

    /// <summary>Sends a request and hands the answer's body to <paramref name="take"/> piece by piece.</summary>
    /// <returns>The status, and the body's bytes.</returns>
    public async Task<(int Status, long Length)> SendAsync(string method, string path, string query, ReadOnlyMemory<byte> content, long contentLength, Payload? payload, BodyTaker? take)
    {
        var socket = _socket ??= await ConnectAsync();
        try
        {
            var length = method is "PUT" or "POST" ? $"Content-Length: {contentLength}\r\n" : "";
            var target = query.Length == 0 ? path : $"{path}?{query}";
            var head = Encoding.ASCII.GetBytes($"{method} {target} HTTP/1.1\r\nHost: {url.Authority}\r\n{length}{signer.Sign(method, path, query, DateTimeOffset.UtcNow)}\r\n");
            if (contentLength <= ReceiveBytes && contentLength > 0)
            {
                var whole = new byte[head.Length + contentLength];
                head.CopyTo(whole, 0);
                content.Span.CopyTo(whole.AsSpan(head.Length));
                await SendAllAsync(socket, whole);
            }
            else
            {
                await SendAllAsync(socket, head);
                for (var sent = 0L; sent < contentLength;)
                {
                    var piece = payload!.Value.Slice(sent, contentLength - sent);
                    await SendAllAsync(socket, piece);
                    sent += piece.Length;
                }
            }
            return await ReceiveAsync(socket, method == "HEAD", take);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _socket?.Dispose();
        _socket = null;
        (_start, _end) = (0, 0);
    }

    private async Task<Socket> ConnectAsync()
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(new IPEndPoint(IPAddress.Parse(url.Host), url.Port));
        return socket;
    }

    private static async Task SendAllAsync(Socket socket, ReadOnlyMemory<byte> bytes)
    {
        while (bytes.Length > 0) bytes = bytes[await socket.SendAsync(bytes, SocketFlags.None)..];
    }

    private async Task<(int Status, long Length)> ReceiveAsync(Socket socket, bool noBody, BodyTaker? take)
    {
        int headEnd;
        while ((headEnd = _receive.AsSpan(_start, _end - _start).IndexOf("\r\n\r\n"u8)) < 0)
        {
            if (_end - _start > HeaderBytesMax) throw new InvalidDataException("The answer's headers are too long.");
            await FillAsync(socket);
        }
        var head = _receive.AsSpan(_start, headEnd + 2);
        if (!Utf8Parser.TryParse(head[9..12], out int status, out _)) throw new InvalidDataException("The answer has no status.");
        var length = ContentLength(head);
        _start += headEnd + 4;
        if (noBody || status is 204 or 304) length = 0;
        if (length < 0) throw new InvalidDataException("The answer has no Content-Length.");
        for (var at = 0L; at < length;)
        {
            if (_start == _end) await FillAsync(socket);
            var piece = (int)Math.Min(_end - _start, length - at);
            if (status < 300) take?.Invoke(at, _receive.AsSpan(_start, piece));
            _start += piece;
            at += piece;
        }
        return (status, length);
    }

    private async Task FillAsync(Socket socket)
    {
        if (_start == _end) (_start, _end) = (0, 0);
        else if (_end == _receive.Length)
        {
            _receive.AsSpan(_start, _end - _start).CopyTo(_receive);
            (_start, _end) = (0, _end - _start);
        }
        var received = await socket.ReceiveAsync(_receive.AsMemory(_end), SocketFlags.None);
        if (received == 0) throw new EndOfStreamException("The server closed the connection.");
        _end += received;
    }

    private static long ContentLength(ReadOnlySpan<byte> head)
    {
        foreach (var range in head.Split("\r\n"u8))
        {
            var line = head[range];
            const int nameLength = 15;
            if (line.Length > nameLength && Ascii.EqualsIgnoreCase(line[..nameLength], "content-length:"u8) && Utf8Parser.TryParse(line[nameLength..].TrimStart((byte)' '), out long length, out _)) return length;
        }
        return -1;
    }
}

/// <summary>Takes a piece of an answer's body.</summary>
internal delegate void BodyTaker(long offset, ReadOnlySpan<byte> piece);
