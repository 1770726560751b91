using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Net;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Grains.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Rules.Cluster;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Peers;
using DarkStorage.Storage.Replicas;

namespace DarkStorage.Silo.Cluster;

/// <summary>The layout as this node works by it, and the stores that it names: this node's own drive, and its peers.</summary>
/// <remarks>Read anew when the index says that it was replaced, and now and then in case a message was lost. Readers and writers take one state for one blob; what a writer began by an
/// older layout than it ended by is entered for repair by the replica store.</remarks>
internal sealed partial class ClusterLayout : IChunkPlacement, IAsyncDisposable
{
    private static readonly TimeSpan ReadEvery = TimeSpan.FromSeconds(5);

    /// <summary>For how long a new layout waits for writes that began by an older one. Then they fail, and clients try again: 5 GiB in one piece come within it at 9 MB/s.</summary>
    private static readonly TimeSpan PatienceWithWrites = TimeSpan.FromMinutes(10);

    private static readonly TimeSpan CommitLook = TimeSpan.FromMilliseconds(50);

    private readonly IClusterIndex _index;
    private readonly ClusterIdentity _identity;
    private readonly PeerOptions _peerOptions;
    private readonly PackStore? _drive;
    private readonly string _zone;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;
    private readonly SemaphoreSlim _reading = new(1);
    private readonly WakeUp _wake = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly Dictionary<Guid, (string Address, PeerStore Store)> _peers = [];
    private readonly Task _running;
    private readonly Lock _lock = new();        // over the state as it changes, and the leases
    private readonly HashSet<Lease> _leases = [];
    private long _changedAt;
    private volatile State? _state;

    /// <param name="zone">This node's.</param>
    /// <param name="drive">Null for a front end alone.</param>
    public ClusterLayout(IClusterIndex index, ClusterIdentity identity, PeerOptions peers, PackStore? drive, string zone, TimeProvider clock, ILogger<ClusterLayout> log)
    {
        (_index, _identity, _peerOptions, _drive, _zone, _clock, _log) = (index, identity, peers, drive, zone, clock, log);
        _index.Changed += Wake;
        _running = Task.Run(RunAsync);
    }

    /// <summary>Raised after a change was taken over, on a thread of its own. Handlers must not wait.</summary>
    public event Action? Changed;

    /// <summary>Null until the cluster has one.</summary>
    public Layout? Current => _state?.Layout;

    public ushort PlaceOf(BucketId bucket, string key) => (ushort)(Known.Layout.Placement.Hash(bucket, key) >> 48);

    public WritePlaces ForWrite(BlobId blob) => Known.PlacesOf(blob).Write;

    public WriteLease BeginWrite(BlobId blob)
    {
        lock (_lock)
        {
            var state = Known;
            var lease = new Lease(this, state.PlacesOf(blob).Write, state.Layout.Version);
            _leases.Add(lease);
            return lease;
        }
    }

    /// <summary>The oldest version that this node still works by: that of its oldest write under way, as long as a new layout can wait for it; else the current one. 0 where there is none.</summary>
    public long WorksBy
    {
        get
        {
            lock (_lock)
            {
                if (_state is not { } state) return 0;
                var oldest = state.Layout.Version;
                var isPatient = _clock.GetElapsedTime(_changedAt) < PatienceWithWrites;
                foreach (var lease in _leases.Where(l => l.Version < state.Layout.Version).ToList())
                {
                    if (isPatient || !lease.TryGiveUp()) oldest = Math.Min(oldest, lease.Version);
                    else _leases.Remove(lease);
                }
                return oldest;
            }
        }
    }

    /// <summary>Ends the writes that are under way, when the others no longer waited for them: this node had no lease. They fail, and clients try again; where a commit is on its way already it is waited for.</summary>
    public async Task EndWritesAsync(CancellationToken ct)
    {
        List<Lease> committing;
        lock (_lock)
        {
            committing = [.. _leases.Where(l => !l.TryGiveUp())];
            _leases.IntersectWith(committing);
        }
        while (true)
        {
            lock (_lock)
            {
                if (!committing.Exists(_leases.Contains)) return;
            }
            await Task.Delay(CommitLook, _clock, ct);
        }
    }

    public ImmutableArray<ReadPlace> ForRead(BlobId blob) => Known.PlacesOf(blob).Read;

    /// <summary>The stores of the other nodes that the layout names.</summary>
    public IEnumerable<ChunkStore> Peers => _state?.Peers ?? [];

    /// <summary>The stores on which bytes of a partition may be.</summary>
    public IEnumerable<ChunkStore> HoldersOf(int partition) => Known.HoldersOf(partition);

    /// <summary>The partition of a blob, by the layout as it is now.</summary>
    public int PartitionOf(BlobId blob) => Known.PartitionOf(blob.Place);

    /// <summary>Reads what there is. Called once before the node serves, so that it does not begin with less than it could know.</summary>
    public async Task RefreshAsync(CancellationToken ct)
    {
        await _reading.WaitAsync(ct);
        try
        {
            var nodes = await _index.ListNodesAsync(ct);
            var document = await _index.ReadDocumentAsync(ClusterDocuments.Layout, ct);
            if (document is null) return;
            var known = _state;
            if (known is not null && known.Revision == document.Revision && known.Nodes.SequenceEqual(nodes.Select(Located))) return;
            var layout = known?.Revision == document.Revision ? known.Layout : LayoutCodec.Decode(document.Content);
            var moved = new List<PeerStore>();
            var state = new State(this, layout, document.Revision, [.. nodes.Select(Located)], StoresOf(layout, nodes, moved));
            lock (_lock)
            {
                if (known?.Layout.Version != layout.Version) _changedAt = _clock.GetTimestamp();
                _state = state;
            }
            // Exchanges with the old address end by themselves; who begins one goes elsewhere, as he would if he found nobody there.
            foreach (var peer in moved) await peer.DisposeAsync();
            if (known?.Layout.Version != layout.Version) LogLayout(_log, layout.Version, layout.Nodes.Length);
        }
        finally
        {
            _reading.Release();
        }
        Changed?.Invoke();
    }

    public async ValueTask DisposeAsync()
    {
        _index.Changed -= Wake;
        await _closing.CancelAsync();
        await _running;
        foreach (var (_, peer) in _peers.Values) await peer.DisposeAsync();
        _closing.Dispose();
        _reading.Dispose();
        _wake.Dispose();
    }

    private State Known => _state ?? throw new StorageException(StorageError.Unavailable, "The cluster has no layout yet: it waits for its nodes.");

    private static (Guid, string?) Located(ClusterNode node) => (node.Store, node.Address);

    private void Wake(string? document)
    {
        if (document is null or ClusterDocuments.Layout or IClusterIndex.NodesChanged) _wake.Wake();
    }

    private async Task RunAsync()
    {
        while (!_closing.IsCancellationRequested)
        {
            try
            {
                await _wake.WaitAsync(ReadEvery, _closing.Token);
                await RefreshAsync(_closing.Token);
            }
            catch (OperationCanceledException) when (_closing.IsCancellationRequested)
            {
                return;
            }
            catch (StorageException e)
            {
                LogUnread(_log, e.Message); // the index is away: what was known last goes on
            }
            catch (Exception e)
            {
                LogNotTaken(_log, e); // whatever it is, the next one may be better
            }
        }
    }

    /// <param name="moved">Gets those of peers that have another address now.</param>
    private Dictionary<NodeId, ChunkStore> StoresOf(Layout layout, IReadOnlyList<ClusterNode> nodes, List<PeerStore> moved)
    {
        var stores = new Dictionary<NodeId, ChunkStore>();
        foreach (var node in layout.Nodes)
        {
            var store = NodeIds.ToStore(node.Id);
            if (_drive?.Id == store)
            {
                stores[node.Id] = _drive;
                continue;
            }
            var address = nodes.FirstOrDefault(n => n.Store == store)?.Address;
            if (_peers.TryGetValue(store, out var peer) && (address is null || peer.Address == address))
            {
                stores[node.Id] = peer.Store;
                continue;
            }
            if (address is null) continue; // taken out, and the layout is about to follow
            if (peer.Store is not null) moved.Add(peer.Store);
            var made = new PeerStore(store, PeerAddress.ToEndPoint(address), _index.ClusterId, _identity, _peerOptions, _clock);
            _peers[store] = (address, made);
            stores[node.Id] = made;
        }
        return stores;
    }

    /// <summary>A write under way.</summary>
    private sealed class Lease(ClusterLayout owner, WritePlaces places, long version) : WriteLease(places)
    {
        private const int Open = 0;
        private const int Complete = 1;
        private const int GivenUp = 2;

        private int _state = Open;

        public long Version { get; } = version;

        public override bool TryComplete() => Interlocked.CompareExchange(ref _state, Complete, Open) != GivenUp;

        /// <returns>False where the write is complete, and its commit on its way.</returns>
        public bool TryGiveUp() => Interlocked.CompareExchange(ref _state, GivenUp, Open) != Complete;

        protected override void Dispose(bool disposing)
        {
            lock (owner._lock) owner._leases.Remove(this);
            base.Dispose(disposing);
        }
    }

    /// <summary>One version, made ready for questions that every request asks.</summary>
    private sealed class State
    {
        private readonly ClusterLayout _owner;
        private readonly Dictionary<NodeId, ChunkStore> _stores;
        private readonly int _shift;
        private readonly ImmutableArray<Places> _usual;       // of what is kept by default
        private readonly ConcurrentDictionary<(int Partition, Redundancy Redundancy), Places> _others = new();

        public State(ClusterLayout owner, Layout layout, long revision, ImmutableArray<(Guid, string?)> nodes, Dictionary<NodeId, ChunkStore> stores)
        {
            (_owner, Layout, Revision, Nodes, _stores) = (owner, layout, revision, nodes, stores);
            _shift = 16 - int.Log2(layout.Partitions.Length);
            var copies = Redundancy.OfCopies(layout.Replication.Factor);
            _usual = [.. Enumerable.Range(0, layout.Partitions.Length).Select(p => MakePlaces(p, copies))];
        }

        public sealed record Places(WritePlaces Write, ImmutableArray<ReadPlace> Read);

        public Layout Layout { get; }
        public long Revision { get; }
        public IEnumerable<ChunkStore> Peers => _stores.Values.Where(s => !ReferenceEquals(s, _owner._drive));
        public ImmutableArray<(Guid, string?)> Nodes { get; }

        public int PartitionOf(ushort place) => place >> _shift;

        public Places PlacesOf(BlobId blob)
        {
            var (partition, redundancy) = (PartitionOf(blob.Place), blob.Redundancy);
            return redundancy.IsDefault ? _usual[partition] : _others.GetOrAdd((partition, redundancy), static (key, state) => state.MakePlaces(key.Partition, key.Redundancy), this);
        }

        public IEnumerable<ChunkStore> HoldersOf(int partition) =>
            Layout.HoldersOf(partition, Layout.Replication.Width).Select(n => _stores.GetValueOrDefault(n.Id)).OfType<ChunkStore>();

        private Places MakePlaces(int partition, Redundancy redundancy)
        {
            var (nodes, former, _) = Layout.Partitions[partition];
            var read = new List<(LayoutNode Node, ReadPlace Place)>();
            for (var column = 0; column < Math.Min(redundancy.Width, nodes.Length); column++) Add(nodes[column], column, shouldHold: true);
            var write = read.Select(static r => new WritePlace(r.Place.Store, r.Place.Shard)).ToImmutableArray();
            // Of copies any node that has been in the partition may have one; of stripes the one that was in the shard's column.
            for (var column = redundancy.Width; column < nodes.Length && !redundancy.IsStriped; column++) Add(nodes[column], column, shouldHold: false);
            foreach (var earlier in former.Reverse())
            {
                for (var column = 0; column < (redundancy.IsStriped ? Math.Min(redundancy.Width, earlier.Length) : earlier.Length); column++) Add(earlier[column], column, shouldHold: false);
            }
            // This node's own drive first, then those of its zone, then the others.
            return new(new(write, redundancy.Quorum), [.. read.OrderBy(r => ReferenceEquals(r.Place.Store, _owner._drive) ? 0 : r.Node.Zone == _owner._zone ? 1 : 2).Select(static r => r.Place)]);

            void Add(ushort index, int column, bool shouldHold)
            {
                var node = Layout.Nodes[index];
                if (node.State == NodeState.Gone || !_stores.TryGetValue(node.Id, out var store)) return;
                var shard = redundancy.IsStriped ? column + 1 : 0;
                if (!read.Any(r => r.Place.Store == store && r.Place.Shard == shard)) read.Add((node, new(store, shard, shouldHold)));
            }
        }
    }

    [LoggerMessage(LogLevel.Information, "Works by version {Version} of the layout, of {Nodes} nodes")]
    private static partial void LogLayout(ILogger log, long version, int nodes);

    [LoggerMessage(LogLevel.Debug, "The layout could not be read: {Why}")]
    private static partial void LogUnread(ILogger log, string why);

    [LoggerMessage(LogLevel.Error, "The layout in the index can't be taken over: the one before goes on")]
    private static partial void LogNotTaken(ILogger log, Exception exception);
}
