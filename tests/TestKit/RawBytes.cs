using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace DarkStorage.TestKit;

/// <summary>Requests as bytes, for who wants to break them, and all that comes back.</summary>
public static class RawBytes
{
    /// <summary>The request as <see cref="RawS3.SendAsync"/> would send it: signed where it wants that, and asking for the connection's end.</summary>
    public static byte[] ToBytes(this RawS3 s3, RawRequest request)
    {
        s3.Prepare(request);
        var head = new StringBuilder().Append(CultureInfo.InvariantCulture, $"{request.Method} {request.Target} HTTP/1.1\r\n");
        foreach (var (name, value) in request.Headers) head.Append(CultureInfo.InvariantCulture, $"{name}: {value}\r\n");
        if (request.TransferChunked) head.Append("Transfer-Encoding: chunked\r\n");
        else if (request.StatedLength is not null || request.Body.Length > 0 || request.Method is "PUT" or "POST")
            head.Append(CultureInfo.InvariantCulture, $"Content-Length: {request.StatedLength ?? request.Body.Length}\r\n");
        var bytes = Encoding.UTF8.GetBytes(head.Append("Connection: close\r\n\r\n").ToString());
        if (!request.TransferChunked) return [.. bytes, .. request.Body];
        var size = request.Body.Length > 0 ? Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{request.Body.Length:x}\r\n")) : [];
        return [.. bytes, .. size, .. request.Body, .. size.Length > 0 ? "\r\n"u8 : [], .. "0\r\n\r\n"u8];
    }

    /// <summary>Sends bytes and reads whatever comes until the node ends the connection.</summary>
    /// <param name="patience">Where it says nothing for so long, the sending half is ended: it may be waiting for the rest of what has none. Not done at once,
    /// because to Kestrel a client that has ended its half is gone.</param>
    /// <exception cref="OperationCanceledException">The connection did not end in time.</exception>
    public static async Task<byte[]> ExchangeAsync(Uri endpoint, byte[] bytes, TimeSpan patience, CancellationToken ct)
    {
        using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(endpoint.Host, endpoint.Port, ct);
        await using var stream = new NetworkStream(socket, ownsSocket: false);
        using var received = new MemoryStream();
        var receiving = ReceiveAsync();
        try
        {
            await stream.WriteAsync(bytes, ct);
            await Task.WhenAny(receiving, Task.Delay(patience, ct));
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is IOException or SocketException)
        {
            // The node refused before it had read all, and closed: what it said is still to be read.
        }
        await receiving;
        return received.ToArray();

        async Task ReceiveAsync()
        {
            try
            {
                await stream.CopyToAsync(received, ct);
            }
            catch (IOException)
            {
                // Reset, because bytes were left that nobody would read.
            }
        }
    }
}
