using System.Collections.Concurrent;
using System.ComponentModel.DataAnnotations;
using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Sockets;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Storage.Peers;

/// <summary>Serves the chunks of this node's drive to its peers, on a port of their own (docs/FORMATS.md, "Peers").</summary>
/// <remarks>Invariants: whoever has not proved himself gets nothing but the end of the connection, and costs one of a few places and no chunk's memory.
/// What arrives is compared with its checksums before it is appended. Bytes that are received and not yet written are bounded over all peers together.</remarks>
public sealed partial class PeerServer : IAsyncDisposable
{
    private readonly Socket _listener;
    private readonly PackStore _store;
    private readonly Guid _cluster;
    private readonly ClusterIdentity _identity;
    private readonly PeerOptions _options;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;
    private readonly (ushort Low, ushort High) _versions;
    private readonly CancellationTokenSource _stopping = new();
    private readonly ConcurrentDictionary<Task, bool> _connections = new();
    private readonly ConcurrentDictionary<PeerChannel, bool> _channels = new();
    private readonly ByteBudget _receiving;
    private readonly Meter _meter = new(PackStore.MeterName);
    private readonly Counter<long> _refused;
    private readonly Task _accepting;
    private int _accepted;
    private int _handshakes;

    private PeerServer(
        Socket listener, PackStore store, Guid cluster, ClusterIdentity identity, PeerOptions options, TimeProvider clock, ILogger log, (ushort, ushort) versions)
    {
        (_listener, _store, _cluster, _identity, _options, _clock, _log, _versions) = (listener, store, cluster, identity, options, clock, log, versions);
        _receiving = new(options.ReceiveBytesMax);
        _refused = _meter.CreateCounter<long>("darkstorage.peers.refused", "{connection}", "Connections to the port of peers that were not let in");
        _meter.CreateObservableGauge("darkstorage.peers.accepted", () => Volatile.Read(ref _accepted), "{connection}", "Connections from peers");
        _meter.CreateObservableGauge("darkstorage.peers.receiving", () => _receiving.Used, "By", "Bytes of chunks received and not written yet");
        _accepting = Task.Run(AcceptAsync);
    }

    /// <summary>Where it listens: with the port that the system chose where 0 was asked for.</summary>
    public EndPoint EndPoint => _listener.LocalEndPoint!;

    /// <summary>Begins to listen.</summary>
    /// <param name="cluster">The cluster that this node is of.</param>
    /// <exception cref="StorageStartupException">The address is in use, or is none of this machine.</exception>
    public static PeerServer Start(IPEndPoint at, PackStore store, Guid cluster, ClusterIdentity identity, PeerOptions options, TimeProvider clock, ILogger log) =>
        Start(at, store, cluster, identity, options, clock, log, (PeerProtocol.VersionMin, PeerProtocol.Version));

    /// <summary>The same, speaking other versions: for tests.</summary>
    internal static PeerServer Start(
        IPEndPoint at, PackStore store, Guid cluster, ClusterIdentity identity, PeerOptions options, TimeProvider clock, ILogger log, (ushort, ushort) versions)
    {
        Validator.ValidateObject(options, new ValidationContext(options), validateAllProperties: true);
        var listener = new Socket(at.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            listener.Bind(at);
            listener.Listen();
            return new(listener, store, cluster, identity, options, clock, log, versions);
        }
        catch (SocketException e)
        {
            listener.Dispose();
            throw new StorageStartupException($"The port of peers {at} can't be opened: {e.Message}", e);
        }
    }

    /// <summary>Lets nobody in any more, and closes what is open.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_stopping.IsCancellationRequested) return;
        await _stopping.CancelAsync();
        _listener.Dispose();
        await _accepting;
        foreach (var channel in _channels.Keys) channel.Abort("is closing");
        while (!_connections.IsEmpty) await Task.WhenAll(_connections.Keys);
        _meter.Dispose();
        _stopping.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stopping.IsCancellationRequested)
        {
            Socket socket;
            try
            {
                socket = await _listener.AcceptAsync(_stopping.Token);
            }
            catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e)       // the caller is gone already, or the system is out of files: neither ends the listening
            {
                LogAcceptFailed(_log, e);
                await Task.Delay(TimeSpan.FromMilliseconds(10), _clock);
                continue;
            }
            if (Volatile.Read(ref _accepted) >= _options.AcceptedMax || Volatile.Read(ref _handshakes) >= _options.HandshakesMax)
            {
                _refused.Add(1);
                socket.Dispose();
                continue;
            }
            Interlocked.Increment(ref _accepted);
            Interlocked.Increment(ref _handshakes);
            var serving = ServeAsync(socket);
            _connections[serving] = true;
            _ = serving.ContinueWith(static (done, me) =>
            {
                var server = (PeerServer)me!;
                Interlocked.Decrement(ref server._accepted);
                server._connections.TryRemove(done, out _);
            }, this, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        PeerChannel? channel = null;
        try
        {
            channel = await PeerChannel.AcceptAsync(socket, _cluster, _store.Id, _identity, _options, _clock, _versions, sentence => LogRefused(_log, sentence), _stopping.Token);
        }
        catch (Exception e) when (e is not OutOfMemoryException)     // whatever an unknown caller made of it: it is out
        {
            LogNoPeer(_log, e.Message);
        }
        finally
        {
            Interlocked.Decrement(ref _handshakes);
        }
        if (channel is null)
        {
            _refused.Add(1);
            socket.Dispose();
            return;
        }
        _channels[channel] = true;
        var session = new PeerSession(this, channel);
        try
        {
            if (!_stopping.IsCancellationRequested) await session.RunAsync();
        }
        catch (Exception e) when (e is IOException or StorageException or ObjectDisposedException or OperationCanceledException)
        {
            LogEnded(_log, e.Message);
        }
        catch (Exception e)
        {
            LogFailed(_log, e);
        }
        finally
        {
            _channels.TryRemove(channel, out _);
            channel.Abort("is closing");
            await session.DisposeAsync();
            channel.Dispose();
        }
    }

    [LoggerMessage(LogLevel.Warning, "A peer was refused: {Why}")]
    private static partial void LogRefused(ILogger log, string why);

    [LoggerMessage(LogLevel.Debug, "A connection to the port of peers came to nothing: {Why}")]
    private static partial void LogNoPeer(ILogger log, string why);

    [LoggerMessage(LogLevel.Debug, "A peer's connection ended: {Why}")]
    private static partial void LogEnded(ILogger log, string why);

    [LoggerMessage(LogLevel.Error, "A peer's request failed for a reason that is a defect")]
    private static partial void LogFailed(ILogger log, Exception e);

    [LoggerMessage(LogLevel.Warning, "Accepting a connection failed")]
    private static partial void LogAcceptFailed(ILogger log, Exception e);

    internal PackStore Store => _store;
    internal PeerOptions Options => _options;
    internal ByteBudget Receiving => _receiving;
}
