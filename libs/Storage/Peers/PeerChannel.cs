using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Chunks;

namespace DarkStorage.Storage.Peers;

/// <summary>One connection between two peers that proved themselves to each other. One side may send and receive at once, each from one thread at a time.</summary>
/// <remarks>Invariants: no step of an exchange waits for ever: past its time the connection is closed, and what waits fails. What is longer than its limit
/// is not read. A connection that failed is never used again.</remarks>
internal sealed class PeerChannel : IDisposable
{
    /// <summary>Payload up to this size goes into one write with its header.</summary>
    private const int CopyBytesMax = 16 << 10;

    private readonly Socket _socket;
    private readonly SslStream _stream;
    private readonly TimeSpan _step;
    private readonly ITimer _sendTimer;
    private readonly ITimer _receiveTimer;
    private readonly CancellationTokenSource _ended = new();
    private byte[] _in = new byte[512];
    private byte[] _out = new byte[512];
    private string? _aborted;

    private PeerChannel(Socket socket, SslStream stream, TimeSpan step, TimeProvider clock)
    {
        (_socket, _stream, _step) = (socket, stream, step);
        _sendTimer = clock.CreateTimer(static me => ((PeerChannel)me!).Abort("took nothing for too long"), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _receiveTimer = clock.CreateTimer(static me => ((PeerChannel)me!).Abort("did not answer in time"), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>It was put aside once: it may have died there.</summary>
    public bool WasIdle { get; set; }

    /// <summary>The version that both speak.</summary>
    public ushort Version { get; private set; }

    /// <summary>When it was last put aside; for who keeps it.</summary>
    public long IdleSince { get; set; }

    /// <summary>Calls a peer.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>: it can't be reached, or one refuses the other; the message says why.</exception>
    public static async Task<PeerChannel> ConnectAsync(
        EndPoint at, Guid cluster, Guid store, ClusterIdentity identity, PeerOptions options, TimeProvider clock, (ushort Low, ushort High) versions, CancellationToken ct)
    {
        using var limit = new CancellationTokenSource(options.ConnectTimeout, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, ct);
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        SslStream? stream = null;
        try
        {
            await socket.ConnectAsync(at, either.Token);
            Tune(socket);
            stream = new(new NetworkStream(socket, ownsSocket: true));
            await stream.AuthenticateAsClientAsync(identity.ClientOptions(), either.Token);
            var greeting = new byte[PeerProtocol.GreetingBytes];
            new PeerProtocol.Greeting(versions.Low, versions.High, cluster, store).Write(greeting);
            await stream.WriteAsync(greeting, either.Token);
            try
            {
                await stream.ReadExactlyAsync(greeting, either.Token);
            }
            catch (IOException e)       // with TLS 1.3 a server looks at the certificate only after the client believes that all is well
            {
                throw Unavailable(at, "closed the connection before it said anything: its cluster secret or certificates are others", e);
            }
            if (!PeerProtocol.Greeting.TryRead(greeting, out var answer)) throw Unavailable(at, "does not speak the protocol of peers", null);
            if (answer.Low == 0)
            {
                var sentence = new byte[Math.Min(answer.High, (ushort)PeerProtocol.SentenceBytesMax)];
                await stream.ReadExactlyAsync(sentence, either.Token);
                throw new StorageException(StorageError.Unavailable, Encoding.UTF8.GetString(sentence));
            }
            if (answer.Cluster != cluster) throw new StorageException(StorageError.Unavailable, WrongCluster(answer.Cluster, cluster));
            if (answer.Store != store) throw new StorageException(StorageError.Unavailable, WrongStore(answer.Store, store));
            if (answer.Low < versions.Low || answer.Low > versions.High) throw Unavailable(at, $"chose version {answer.Low} of the protocol, which was not offered", null);
            return new(socket, stream, options.StepTimeout, clock) { Version = answer.Low };
        }
        catch (Exception e)
        {
            if (stream is not null) await stream.DisposeAsync();
            socket.Dispose();
            ct.ThrowIfCancellationRequested();
            throw e switch
            {
                OperationCanceledException => Unavailable(at, "did not answer in time", e),
                AuthenticationException => Unavailable(at, "is not of this cluster: its cluster secret or certificate is another", e),
                StorageException => e,
                _ when e is IOException or SocketException => Unavailable(at, $"can't be reached ({e.Message})", e),
                _ => e,
            };
        }
    }

    /// <summary>Receives a caller that has connected.</summary>
    /// <returns>Null where it was refused; <paramref name="refused"/> got why, unless it did not even prove itself.</returns>
    /// <exception cref="Exception">The caller is no peer, or is too slow.</exception>
    public static async Task<PeerChannel?> AcceptAsync(
        Socket socket, Guid cluster, Guid store, ClusterIdentity identity, PeerOptions options, TimeProvider clock, (ushort Low, ushort High) versions, Action<string> refused, CancellationToken ct)
    {
        using var limit = new CancellationTokenSource(options.ConnectTimeout, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, ct);
        Tune(socket);
        var stream = new SslStream(new NetworkStream(socket, ownsSocket: true));
        try
        {
            await stream.AuthenticateAsServerAsync(identity.ServerOptions(), either.Token);
            var greeting = new byte[PeerProtocol.GreetingBytes];
            await stream.ReadExactlyAsync(greeting, either.Token);
            if (!PeerProtocol.Greeting.TryRead(greeting, out var caller)) throw new PeerProtocolException("The caller does not speak the protocol of peers.");
            var version = PeerProtocol.Agree(caller.Low, caller.High, versions.Low, versions.High);
            var sentence = caller.Cluster != cluster ? WrongCluster(cluster, caller.Cluster)
                : caller.Store != Guid.Empty && caller.Store != store ? WrongStore(store, caller.Store)
                : version == 0 ? $"This node speaks versions {versions.Low} to {versions.High} of the protocol of peers, the caller {caller.Low} to {caller.High}: update the older one."
                : null;
            if (sentence is not null)
            {
                refused(sentence);
                var text = Encoding.UTF8.GetBytes(sentence);
                new PeerProtocol.Greeting(0, (ushort)text.Length, cluster, store).Write(greeting);
                await stream.WriteAsync((byte[])[.. greeting, .. text], either.Token);
                await stream.ShutdownAsync();
                await stream.DisposeAsync();
                return null;
            }
            new PeerProtocol.Greeting(version, 0, cluster, store).Write(greeting);
            await stream.WriteAsync(greeting, either.Token);
            return new(socket, stream, options.StepTimeout, clock) { Version = version };
        }
        catch
        {
            await stream.DisposeAsync();
            throw;
        }
    }

    /// <summary>Where the body of the next message is to be written, before <see cref="SendAsync(PeerMessageKind, bool, int)"/>.</summary>
    public Span<byte> Body(int length)
    {
        if (_out.Length < PeerProtocol.HeaderBytes + length) _out = new byte[PeerProtocol.HeaderBytes + length];
        return _out.AsSpan(PeerProtocol.HeaderBytes, length);
    }

    /// <summary>Sends a message whose body was written to <see cref="Body"/>.</summary>
    public ValueTask SendAsync(PeerMessageKind kind, bool flag, int body) => SendAsync(kind, flag, body, ReadOnlyMemory<byte>.Empty);

    /// <summary>The same, and some payload behind.</summary>
    /// <param name="limit">Time in which each of the two must be taken; null for as long as a step takes.</param>
    public async ValueTask SendAsync(PeerMessageKind kind, bool flag, int body, ReadOnlyMemory<byte> payload, TimeSpan? limit = null)
    {
        _ = Body(body);
        PeerProtocol.WriteHeader(_out, kind, flag, body, payload.Length);
        var head = PeerProtocol.HeaderBytes + body;
        if (payload.Length is > 0 and <= CopyBytesMax)
        {
            if (_out.Length < head + payload.Length) Array.Resize(ref _out, head + CopyBytesMax);
            payload.CopyTo(_out.AsMemory(head));
            head += payload.Length;
            payload = default;
        }
        await WriteAsync(_out.AsMemory(0, head), limit);
        if (!payload.IsEmpty) await WriteAsync(payload, limit);
    }

    /// <summary>Sends a message with a chunk's payload, from the memory that the chunk has.</summary>
    public async ValueTask SendAsync(PeerMessageKind kind, bool flag, int body, ChunkBuffer chunk)
    {
        if (chunk.Filled <= CopyBytesMax)
        {
            await SendAsync(kind, flag, body, chunk.Payload(0));    // the first piece has at least so much
            return;
        }
        _ = Body(body);
        PeerProtocol.WriteHeader(_out, kind, flag, body, chunk.Filled);
        await WriteAsync(_out.AsMemory(0, PeerProtocol.HeaderBytes + body));
        for (var sent = 0; sent < chunk.Filled;)
        {
            var payload = chunk.Payload(sent);
            if (payload.Length > PeerProtocol.StretchBytes) payload = payload[..PeerProtocol.StretchBytes];
            await WriteAsync(payload);
            sent += payload.Length;
        }
    }

    /// <summary>Receives the next message, but for its payload.</summary>
    /// <param name="bodyMax">A longer body is not read: the connection is broken.</param>
    /// <param name="limit">Time until it must have begun; null for as long as a step takes.</param>
    /// <exception cref="IOException">The connection ended or broke, or the peer does not keep to the protocol.</exception>
    public async ValueTask<PeerMessage> ReceiveAsync(int bodyMax, TimeSpan? limit = null)
    {
        var waits = limit ?? _step;
        if (waits > _step || waits == Timeout.InfiniteTimeSpan)
        {
            _receiveTimer.Change(waits, Timeout.InfiniteTimeSpan);
            try
            {
                _ = await _stream.ReadAsync(Memory<byte>.Empty);        // holds no buffer while nothing comes
            }
            catch (Exception e) when (IsEnd(e))
            {
                throw Broken(e);
            }
        }
        await ReadAsync(_in.AsMemory(0, PeerProtocol.HeaderBytes));
        var body = BinaryPrimitives.ReadInt32LittleEndian(_in.AsSpan(4));
        var payload = BinaryPrimitives.ReadInt32LittleEndian(_in.AsSpan(8));
        if (body < 0 || body > bodyMax || payload < 0 || payload > PeerProtocol.ChunkBytesMax) throw new PeerProtocolException("A message is longer than it may be.");
        if (_in.Length < PeerProtocol.HeaderBytes + body) Array.Resize(ref _in, PeerProtocol.HeaderBytes + body);
        if (body > 0) await ReadAsync(_in.AsMemory(PeerProtocol.HeaderBytes, body));
        if (BinaryPrimitives.ReadUInt32LittleEndian(_in.AsSpan(12)) != PeerProtocol.Checksum(_in, _in.AsSpan(PeerProtocol.HeaderBytes, body)))
            throw new PeerProtocolException("A message does not match its checksum.");
        return new((PeerMessageKind)_in[0], (_in[1] & 1) != 0, _in.AsMemory(PeerProtocol.HeaderBytes, body), payload);
    }

    /// <summary>Fills some memory from the payload.</summary>
    /// <exception cref="IOException">The connection ended or broke.</exception>
    public async ValueTask ReadAsync(Memory<byte> into)
    {
        try
        {
            while (!into.IsEmpty)
            {
                _receiveTimer.Change(_step, Timeout.InfiniteTimeSpan);
                var read = await _stream.ReadAsync(into);
                if (read == 0) throw new EndOfStreamException("The connection ended.");
                into = into[read..];
            }
        }
        catch (Exception e) when (IsEnd(e))
        {
            throw Broken(e);
        }
        finally
        {
            _receiveTimer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Whether the other side is still there, as far as can be seen without asking it: nothing may have come while nothing was asked.</summary>
    public bool IsQuiet
    {
        get
        {
            try
            {
                return _aborted is null && !_socket.Poll(0, SelectMode.SelectRead);
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException)
            {
                return false;
            }
        }
    }

    /// <summary>Cancelled when this side closes the connection, for who waits for something else meanwhile.</summary>
    public CancellationToken Ended => _ended.Token;

    /// <summary>This side closed it: the other one was too slow, or was no longer wanted.</summary>
    public bool IsAborted => _aborted is not null;

    /// <summary>Closes the connection under whoever uses it: what waits fails.</summary>
    public void Abort(string because)
    {
        Interlocked.CompareExchange(ref _aborted, because, null);
        _socket.Dispose();
        _ended.Cancel();
    }

    public void Dispose()
    {
        _sendTimer.Dispose();
        _receiveTimer.Dispose();
        Abort("is no longer needed");
        _stream.Dispose();
    }

    public override string ToString()
    {
        try
        {
            return _socket.RemoteEndPoint?.ToString() ?? "nowhere";
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return "a closed connection";
        }
    }

    internal static StorageException Unavailable(EndPoint at, string what, Exception? inner) => new(StorageError.Unavailable, $"The peer at {at} {what}.", inner);

    private async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, TimeSpan? limit = null)
    {
        _sendTimer.Change(limit ?? _step, Timeout.InfiniteTimeSpan);
        try
        {
            await _stream.WriteAsync(bytes);
        }
        catch (Exception e) when (IsEnd(e))
        {
            throw Broken(e);
        }
        finally
        {
            _sendTimer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>What streams throw when the connection under them goes, in whatever state they are.</summary>
    private static bool IsEnd(Exception e) => e is IOException or SocketException or ObjectDisposedException or InvalidOperationException or NullReferenceException or OperationCanceledException;

    private IOException Broken(Exception e) => _aborted is { } why ? new IOException($"The peer {why}.", e) : e as IOException ?? new IOException(e.Message, e);

    private static void Tune(Socket socket)
    {
        socket.NoDelay = true;
        // A peer whose machine died says nothing: without this a connection that waits for the next chunk of a slow client would wait for ever.
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, 15);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, 5);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, 3);
    }

    private static string WrongCluster(Guid server, Guid caller) => $"The node belongs to cluster {server}, its caller to cluster {caller}: they are not of one cluster.";

    private static string WrongStore(Guid server, Guid wanted) => $"The node has the store {server} where the store {wanted} was looked for: its data directory is another one's.";
}
