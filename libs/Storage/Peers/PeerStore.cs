using System.Buffers.Binary;
using System.Collections.Immutable;
using System.ComponentModel.DataAnnotations;
using System.Net;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;

namespace DarkStorage.Storage.Peers;

/// <summary>The chunks of a peer, over its private port.</summary>
/// <remarks>A pool of connections, each for one exchange at a time: a write and a read have one each from their first chunk to their last. So TCP's own flow
/// control is what keeps a fast side from flooding a slow one, no exchange stands behind another's megabytes, and giving one up is closing a socket.
/// Invariants: bytes that arrive are compared with their checksums before they are handed on; a connection on which anything went wrong is closed.</remarks>
public sealed partial class PeerStore : ChunkStore, IAsyncDisposable
{
    private readonly EndPoint _at;
    private readonly Guid _cluster;
    private readonly ClusterIdentity _identity;
    private readonly PeerOptions _options;
    private readonly TimeProvider _clock;
    private readonly (ushort Low, ushort High) _versions;
    private readonly SemaphoreSlim _places;
    private readonly Lock _lock = new();
    private readonly Stack<PeerChannel> _idle = new();
    private readonly ITimer _tidying;
    private readonly Suspicion _suspicion;
    private bool _disposed;

    /// <param name="store">The store that is to be there: another one is refused.</param>
    /// <param name="at">The address of the peer's private port.</param>
    /// <param name="cluster">The cluster that both are of.</param>
    public PeerStore(Guid store, EndPoint at, Guid cluster, ClusterIdentity identity, PeerOptions options, TimeProvider clock)
        : this(store, at, cluster, identity, options, clock, (PeerProtocol.VersionMin, PeerProtocol.Version)) { }

    /// <summary>The same, speaking other versions: for tests.</summary>
    internal PeerStore(Guid store, EndPoint at, Guid cluster, ClusterIdentity identity, PeerOptions options, TimeProvider clock, (ushort, ushort) versions)
    {
        Validator.ValidateObject(options, new ValidationContext(options), validateAllProperties: true);
        (Id, _at, _cluster, _identity, _options, _clock, _versions) = (store, at, cluster, identity, options, clock, versions);
        _places = new(options.ConnectionsMax);
        _suspicion = new(clock);
        _tidying = clock.CreateTimer(static me => ((PeerStore)me!).CloseIdle(all: false), this, options.IdleTime, options.IdleTime);
    }

    /// <inheritdoc/>
    public override Guid Id { get; }

    /// <inheritdoc/>
    public override bool IsSuspect => _suspicion.Is;

    /// <inheritdoc/>
    public override async ValueTask DeleteAsync(BlobId blob, CancellationToken ct)
    {
        var body = new byte[BlobId.ByteLength];
        blob.Write(body);
        await AskAsync(PeerMessageKind.Delete, body, static _ => true, ct);
    }

    /// <inheritdoc/>
    public override async ValueTask<IReadOnlyList<BlobId>> ListBlobsAsync(BlobId after, DateTimeOffset mintedBefore, int max, CancellationToken ct)
    {
        var body = new byte[28];
        after.Write(body);
        BinaryPrimitives.WriteInt64LittleEndian(body.AsSpan(16), mintedBefore.ToUnixTimeMilliseconds());
        BinaryPrimitives.WriteInt32LittleEndian(body.AsSpan(24), max);
        return await AskAsync(PeerMessageKind.ListBlobs, body, static answer =>
        {
            var blobs = new List<BlobId>(answer.Length / BlobId.ByteLength);
            for (; answer.Length >= BlobId.ByteLength; answer = answer[BlobId.ByteLength..]) blobs.Add(BlobId.Read(answer.Span));
            return blobs;
        }, ct);
    }

    /// <inheritdoc/>
    public override async ValueTask<IReadOnlyList<StoredChunk>> ListChunksAsync(BlobId blob, int from, int max, CancellationToken ct)
    {
        var body = new byte[24];
        blob.Write(body);
        BinaryPrimitives.WriteInt32LittleEndian(body.AsSpan(16), from);
        BinaryPrimitives.WriteInt32LittleEndian(body.AsSpan(20), max);
        return await AskAsync(PeerMessageKind.ListChunks, body, static answer =>
        {
            var chunks = new List<StoredChunk>(answer.Length / 8);
            for (; answer.Length >= 8; answer = answer[8..])
                chunks.Add(new(BinaryPrimitives.ReadInt32LittleEndian(answer.Span), BinaryPrimitives.ReadInt32LittleEndian(answer.Span[4..])));
            return chunks;
        }, ct);
    }

    /// <summary>Closes what is not in use. Exchanges that are under way go on, and their users close what they use; who begins one is told that the peer can't be asked.</summary>
    public async ValueTask DisposeAsync()
    {
        List<PeerChannel> idle;
        lock (_lock)
        {
            if (_disposed) return;
            _disposed = true;
            idle = [.. _idle];
            _idle.Clear();
        }
        foreach (var channel in idle) channel.Dispose();
        await _tidying.DisposeAsync();
    }

    internal override ChunkWrite BeginWrite(BlobId blob) => new PeerWrite(this, blob);

    internal override ChunkReader BeginRead(ImmutableArray<ManifestPart> parts, int first, int end) => new PeerReader(this);

    /// <summary>Connections made and not closed, in use or not.</summary>
    internal int Idle
    {
        get
        {
            lock (_lock) return _idle.Count;
        }
    }

    /// <summary>A connection for one exchange, to be given back by <see cref="GiveBack"/>.</summary>
    /// <param name="fresh">One that was put aside had died there: so may have the others. A new one, then.</param>
    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>.</exception>
    private async ValueTask<PeerChannel> RentAsync(bool fresh, CancellationToken ct)
    {
        if (fresh) CloseIdle(all: true);
        if (!await _places.WaitAsync(_options.ConnectTimeout, ct)) throw PeerChannel.Unavailable(_at, $"has {_options.ConnectionsMax} exchanges under way already", null);
        try
        {
            while (true)
            {
                PeerChannel? idle;
                lock (_lock)
                {
                    if (_disposed) throw PeerChannel.Unavailable(_at, "is no longer asked", null);
                    if (!_idle.TryPop(out idle)) break;
                }
                if (idle.IsQuiet) return idle;
                idle.Dispose();
            }
            return await PeerChannel.ConnectAsync(_at, _cluster, Id, _identity, _options, _clock, _versions, ct);
        }
        catch (Exception e)
        {
            _places.Release();
            if (e is StorageException) _suspicion.Failed();
            throw;
        }
    }

    /// <param name="isWhole">The exchange ended as it should: the connection may be used again.</param>
    private void GiveBack(PeerChannel channel, bool isWhole)
    {
        if (isWhole)
        {
            _suspicion.Succeeded();
            channel.IdleSince = _clock.GetTimestamp();
            channel.WasIdle = true;
            lock (_lock)
            {
                if (!_disposed)
                {
                    _idle.Push(channel);
                    _places.Release();
                    return;
                }
            }
        }
        channel.Dispose();
        _places.Release();
    }

    private void CloseIdle(bool all)
    {
        List<PeerChannel> old = [];
        lock (_lock)
        {
            var kept = _idle.Where(channel => !all && _clock.GetElapsedTime(channel.IdleSince) < _options.IdleTime && channel.IsQuiet).Reverse().ToList();
            old.AddRange(_idle.Except(kept));
            _idle.Clear();
            foreach (var channel in kept) _idle.Push(channel);
        }
        foreach (var channel in old) channel.Dispose();
    }

    private async ValueTask<T> AskAsync<T>(PeerMessageKind kind, byte[] body, Func<ReadOnlyMemory<byte>, T> read, CancellationToken ct)
    {
        var channel = await RentAsync(fresh: false, ct);
        try
        {
            return await AskAsync(channel, kind, body, read, ct);
        }
        catch (IOException) when (channel.WasIdle && !ct.IsCancellationRequested)
        {
            // Perhaps nothing but a connection that died while nobody used it, as all do when the peer starts anew. Everything that is asked so may be asked twice.
        }
        catch (IOException e)
        {
            ct.ThrowIfCancellationRequested();
            throw Failed(e);
        }
        try
        {
            return await AskAsync(await RentAsync(fresh: true, ct), kind, body, read, ct);
        }
        catch (IOException e)
        {
            ct.ThrowIfCancellationRequested();
            throw Failed(e);
        }
    }

    private async ValueTask<T> AskAsync<T>(PeerChannel channel, PeerMessageKind kind, byte[] body, Func<ReadOnlyMemory<byte>, T> read, CancellationToken ct)
    {
        var isWhole = false;
        using var registration = ct.UnsafeRegister(static c => ((PeerChannel)c!).Abort("is no longer asked"), channel);
        try
        {
            body.CopyTo(channel.Body(body.Length));
            await channel.SendAsync(kind, false, body.Length);
            var answer = await channel.ReceiveAsync(PeerProtocol.AnswerBodyMax);
            if (answer.Kind == PeerMessageKind.Error)
            {
                isWhole = true;
                throw ErrorOf(answer);
            }
            if (answer.Kind != PeerMessageKind.Done || answer.Payload != 0) throw new PeerProtocolException($"An answer of kind {answer.Kind} was not asked for.");
            var result = read(answer.Body);
            isWhole = true;
            return result;
        }
        finally
        {
            // A cancellation that comes now finds the connection given back: it is not to close what another uses.
            await registration.DisposeAsync();
            GiveBack(channel, isWhole && !ct.IsCancellationRequested);
        }
    }

    private StorageException Failed(IOException e)
    {
        _suspicion.Failed();
        return PeerChannel.Unavailable(_at, $"failed amid an exchange ({e.Message})", e);
    }

    private static StorageException ErrorOf(PeerMessage message) => message.Body.Length < 2
        ? new(StorageError.Unavailable, "The peer failed and did not say why.")
        : new(PeerProtocol.ErrorOf(BinaryPrimitives.ReadUInt16LittleEndian(message.Body.Span)), Encoding.UTF8.GetString(message.Body.Span[2..]));
}
