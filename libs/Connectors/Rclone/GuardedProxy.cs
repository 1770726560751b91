using System.Net;
using System.Net.Http;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using DarkStorage.Connectors.Http;

namespace DarkStorage.Connectors.Rclone;

/// <summary>The proxy that rclone's HTTP goes through: to the addresses that this program itself would connect to, wherever a server may lead it.</summary>
/// <remarks>Each connection serves one request to one host: over one that stays, rclone would send the next host's request, with that one's credentials, to the first.</remarks>
internal sealed class GuardedProxy : LoopbackListener
{
    private const int BufferBytes = 64 << 10;

    /// <summary>Of a connection to a host.</summary>
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(30);

    private readonly string _password = RandomNumberGenerator.GetHexString(64, lowercase: true);

    /// <summary>For rclone's environment: nobody else may use it.</summary>
    public string Address => $"http://rclone:{_password}@127.0.0.1:{Port}";

    protected override async Task AnswerAsync(Socket socket, NetworkStream stream, string head, CancellationToken ct)
    {
        var lines = head.Split("\r\n");
        var request = lines[0].Split(' ');
        var expected = $"Proxy-Authorization: Basic {Convert.ToBase64String(Encoding.ASCII.GetBytes($"rclone:{_password}"))}";
        if (request.Length != 3 || !lines.Any(l => CryptographicOperations.FixedTimeEquals(Encoding.Latin1.GetBytes(l), Encoding.Latin1.GetBytes(expected))))
        {
            await RefuseAsync(socket, stream, "407 Proxy Authentication Required", ct);
            return;
        }
        if (Target(request) is not { } target)
        {
            await RefuseAsync(socket, stream, "400 Bad Request", ct);
            return;
        }
        Stream server;
        try
        {
            server = await ConnectAsync(target, ct);
        }
        catch (ForbiddenAddressException)
        {
            await RefuseAsync(socket, stream, $"403 {ForbiddenWord}", ct);
            return;
        }
        catch (Exception e) when (e is SocketException or IOException or OperationCanceledException)
        {
            await RefuseAsync(socket, stream, "502 no connection", ct);
            return;
        }
        await using (server)
        {
            socket.LingerState = new(enable: false, seconds: 0);
            if (request[0] == "CONNECT") await WriteHeadAsync(stream, "HTTP/1.1 200 OK\r\n\r\n", ct);
            else await WriteHeadAsync(server, OwnHead(request, lines), ct);
            await PassAsync(stream, (NetworkStream)server, isTunnel: request[0] == "CONNECT", ct);
        }
    }

    /// <summary>Stands in the status line, which rclone's errors repeat.</summary>
    internal const string ForbiddenWord = "link-local addresses are not allowed";

    private static DnsEndPoint? Target(string[] request)
    {
        if (!Uri.TryCreate(request[0] == "CONNECT" ? $"https://{request[1]}" : request[1], UriKind.Absolute, out var url)) return null;
        if (url.Scheme is not ("http" or "https") || (request[0] != "CONNECT" && url.Scheme != "http")) return null;
        return new(url.DnsSafeHost, url.Port);
    }

    private static async Task<Stream> ConnectAsync(DnsEndPoint target, CancellationToken ct)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(ct);
        patience.CancelAfter(ConnectTimeout);
        return await OutboundConnections.ConnectAsync(target, patience.Token);
    }

    private static async Task RefuseAsync(Socket socket, NetworkStream stream, string status, CancellationToken ct)
    {
        socket.LingerState = new(enable: false, seconds: 0);
        await WriteHeadAsync(stream, $"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", ct);
    }

    /// <summary>As a client without a proxy would send it.</summary>
    private static string OwnHead(string[] request, string[] lines)
    {
        var target = new Uri(request[1], new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true });
        return string.Join("\r\n", lines.Skip(1).Where(l => l.Length > 0 && !IsOfConnection(l)).Prepend($"{request[0]} {target.PathAndQuery} HTTP/1.1").Append("Connection: close")) + "\r\n\r\n";
    }

    private static bool IsOfConnection(string line) =>
        line.StartsWith("Proxy-", StringComparison.OrdinalIgnoreCase) || line.StartsWith("Connection:", StringComparison.OrdinalIgnoreCase) || line.StartsWith("Keep-Alive:", StringComparison.OrdinalIgnoreCase);

    /// <summary>Until the server is through, or rclone has left: it never ends its side while it waits for an answer.</summary>
    private static async Task PassAsync(NetworkStream client, NetworkStream server, bool isTunnel, CancellationToken ct)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var sending = SendAsync(client, server, ending.Token);
        var receiving = ReceiveAsync(client, server, isTunnel, ending.Token);
        try
        {
            await await Task.WhenAny(sending, receiving);
        }
        finally
        {
            await ending.CancelAsync();
            await Task.WhenAll(sending, receiving).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Until rclone has left: a server that does not listen any more may still have an answer.</summary>
    private static async Task SendAsync(NetworkStream client, NetworkStream server, CancellationToken ct)
    {
        var buffer = new byte[BufferBytes];
        for (var isHeard = true; await client.ReadAsync(buffer, ct) is > 0 and var count;)
        {
            if (!isHeard) continue;
            try
            {
                await server.WriteAsync(buffer.AsMemory(0, count), ct);
            }
            catch (IOException)
            {
                isHeard = false;
            }
        }
    }

    private static async Task ReceiveAsync(NetworkStream client, NetworkStream server, bool isTunnel, CancellationToken ct)
    {
        // rclone is told of an answer's head that the connection ends with it, whatever the server says.
        if (!isTunnel) await PassHeadsAsync(server, client, ct);
        await server.CopyToAsync(client, BufferBytes, ct);
        client.Socket.Shutdown(SocketShutdown.Send);
    }

    private static async Task PassHeadsAsync(NetworkStream server, NetworkStream client, CancellationToken ct)
    {
        while (true)
        {
            if (await ReadHeadAsync(server, ct) is not { } head) throw new IOException("The server's answer has no head.");
            // An interim answer (RFC 9110, section 15.2) has another behind it.
            var isInterim = head.Split(' ', 3) is [_, ['1', ..], ..];
            await WriteHeadAsync(client, isInterim ? head : string.Join("\r\n", head.Split("\r\n").Where(l => l.Length > 0 && !IsOfConnection(l)).Append("Connection: close")) + "\r\n\r\n", ct);
            if (!isInterim) return;
        }
    }
}
