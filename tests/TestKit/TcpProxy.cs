using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;

namespace DarkStorage.TestKit;

/// <summary>A wire between two programs that can be bad: it holds bytes back, loses one direction, flips bits, breaks. What it does changes for what comes next,
/// connections that are open included.</summary>
public sealed class TcpProxy : IAsyncDisposable
{
    /// <summary>What is on a slow wire at one time: more is not read, as a full window has it.</summary>
    private const int OnTheWayMax = 64;

    private readonly TcpListener _listener;
    private readonly Func<IPEndPoint> _target;
    private readonly ConcurrentDictionary<Socket, bool> _sockets = new();
    private readonly Task _accepting;
    private volatile TaskCompletionSource? _held;
    private long _resetAfter = long.MaxValue;
    private long _toServer;
    private int _flips, _flipsToServer;

    /// <param name="target">Asked for each connection: a program that starts again may have another port.</param>
    /// <param name="at">The address to listen on; null for loopback.</param>
    public TcpProxy(Func<IPEndPoint> target, IPAddress? at = null)
    {
        _target = target;
        _listener = new(at ?? IPAddress.Loopback, 0);
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

    /// <summary>How long each byte is on its way, in either direction.</summary>
    public TimeSpan Latency { get; set; }

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

    /// <summary>Flips a bit in each of the next stretches that go to the server.</summary>
    public void FlipRequests(int stretches) => Interlocked.Exchange(ref _flipsToServer, stretches);

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
        var slow = Channel.CreateBounded<(byte[] Bytes, long Sent)>(new BoundedChannelOptions(OnTheWayMax) { SingleReader = true, SingleWriter = true });
        var arriving = Task.CompletedTask;
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
                ref var flips = ref toServer ? ref _flipsToServer : ref _flips;
                if (Volatile.Read(ref flips) > 0 && Interlocked.Decrement(ref flips) >= 0) buffer[read / 2] ^= 1;
                // A connection that was slow once keeps to the slow way: bytes do not overtake each other.
                if (Latency > TimeSpan.Zero && arriving == Task.CompletedTask) arriving = ArriveAsync(slow.Reader, to);
                if (arriving == Task.CompletedTask) await SendAsync(to, buffer.AsMemory(0, read));
                else await slow.Writer.WriteAsync((buffer[..read], Stopwatch.GetTimestamp()));
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
        }
        finally
        {
            slow.Writer.TryComplete();
            await arriving;
        }
    }

    private async Task ArriveAsync(ChannelReader<(byte[] Bytes, long Sent)> slow, Socket to)
    {
        try
        {
            await foreach (var (bytes, sent) in slow.ReadAllAsync())
            {
                var left = Latency - Stopwatch.GetElapsedTime(sent);
                if (left > TimeSpan.Zero) await Task.Delay(left);
                await SendAsync(to, bytes);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // What is read from now on has nowhere to go: the reader finds its own end.
            await foreach (var _ in slow.ReadAllAsync()) { }
        }
    }

    private static async Task SendAsync(Socket to, ReadOnlyMemory<byte> bytes)
    {
        for (var sent = 0; sent < bytes.Length;) sent += await to.SendAsync(bytes[sent..]);
    }
}
