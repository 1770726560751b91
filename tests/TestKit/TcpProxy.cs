using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace DarkStorage.TestKit;

/// <summary>A wire between two programs that can be bad: it holds bytes back, loses one direction, flips bits, breaks. What it does changes for what comes next,
/// connections that are open included.</summary>
public sealed class TcpProxy : IAsyncDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly Func<IPEndPoint> _target;
    private readonly ConcurrentDictionary<Socket, bool> _sockets = new();
    private readonly Task _accepting;
    private volatile TaskCompletionSource? _held;
    private long _resetAfter = long.MaxValue;
    private long _toServer;
    private int _flips;

    /// <param name="target">Asked for each connection: a program that starts again may have another port.</param>
    public TcpProxy(Func<IPEndPoint> target)
    {
        _target = target;
        _listener.Start();
        _accepting = Task.Run(AcceptAsync);
    }

    public IPEndPoint EndPoint => (IPEndPoint)_listener.LocalEndpoint;

    /// <summary>Takes connections and bytes, and passes nothing on, until it is false again.</summary>
    public bool IsHeld
    {
        get => _held is not null;
        set
        {
            var held = _held;
            _held = value ? held ?? new(TaskCreationOptions.RunContinuationsAsynchronously) : null;
            if (!value) held?.TrySetResult();
        }
    }

    /// <summary>What the server says is lost.</summary>
    public bool LosesAnswers { get; set; }

    /// <summary>Ends connections as soon as they are made, and those that are open.</summary>
    public bool IsBroken
    {
        get;
        set
        {
            field = value;
            if (value) Reset();
        }
    }

    /// <summary>Breaks all connections once so many more bytes went to the server.</summary>
    public void ResetAfter(long bytes) => Interlocked.Exchange(ref _resetAfter, Interlocked.Read(ref _toServer) + bytes);

    /// <summary>Flips a bit in each of the next stretches that come from the server.</summary>
    public void FlipAnswers(int stretches) => Interlocked.Exchange(ref _flips, stretches);

    /// <summary>Breaks all connections.</summary>
    public void Reset()
    {
        foreach (var socket in _sockets.Keys)
        {
            try
            {
                socket.LingerState = new(true, 0);
                socket.Dispose();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                // it ended by itself a moment ago
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        _listener.Stop();
        IsHeld = false;
        foreach (var socket in _sockets.Keys) socket.Dispose();
        await _accepting;
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            Socket client;
            try
            {
                client = await _listener.AcceptSocketAsync();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
            {
                return;
            }
            if (IsBroken) client.Dispose();
            else _ = ServeAsync(client);
        }
    }

    private async Task ServeAsync(Socket client)
    {
        using var server = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        client.NoDelay = true;
        _sockets[client] = _sockets[server] = true;
        try
        {
            await server.ConnectAsync(_target());
            await Task.WhenAny(PumpAsync(client, server, toServer: true), PumpAsync(server, client, toServer: false));
        }
        catch (SocketException)
        {
        }
        finally
        {
            _sockets.TryRemove(client, out _);
            _sockets.TryRemove(server, out _);
            client.Dispose();
        }
    }

    private async Task PumpAsync(Socket from, Socket to, bool toServer)
    {
        var buffer = new byte[64 << 10];
        try
        {
            while (true)
            {
                var read = await from.ReceiveAsync(buffer);
                if (read == 0) return;
                while (_held is { } held) await held.Task;
                if (toServer && Interlocked.Add(ref _toServer, read) >= Interlocked.Read(ref _resetAfter))
                {
                    Interlocked.Exchange(ref _resetAfter, long.MaxValue);
                    Reset();
                    return;
                }
                if (!toServer && LosesAnswers) continue;
                if (!toServer && Volatile.Read(ref _flips) > 0 && Interlocked.Decrement(ref _flips) >= 0) buffer[read / 2] ^= 1;
                for (var sent = 0; sent < read;) sent += await to.SendAsync(buffer.AsMemory(sent, read - sent));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
        }
    }
}
