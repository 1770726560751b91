using System.Collections.Concurrent;
using System.Collections.Immutable;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Peers;
using DarkStorage.Storage.Replicas;
using DarkStorage.TestKit;
using DarkStorage.Unit.Storage.Peers;
using Microsoft.Extensions.Logging.Abstractions;

namespace DarkStorage.Unit.Storage.Replicas;

/// <summary>Some nodes in one process, each behind a wire of its own, and a front end: on the first node, or alone.</summary>
internal sealed class ReplicaCluster : IAsyncDisposable
{
    /// <summary>On a busy machine a healthy replica may look slow: where a test is not about that, it is waited for.</summary>
    private static readonly ReplicaOptions Patient = new() { LagPatience = TimeSpan.FromMinutes(1) };

    private readonly ClusterIdentity _identity = ClusterIdentity.FromSecret(PeerNode.Secret);
    private readonly List<PeerStore> _peers = [];

    /// <param name="alone">The front end has no drive.</param>
    public ReplicaCluster(int nodes = 3, int quorum = 2, bool alone = false, ReplicaOptions? options = null, PeerOptions? limits = null, BlobStoreOptions? blobs = null)
    {
        for (var i = 0; i < nodes; i++)
        {
            var node = new PeerNode(_identity, new(new Random(i)), blobs);
            Nodes.Add(node);
            Wires.Add(new(() => node.EndPoint));
            _peers.Add(Nodes[i].Client(Wires[i].EndPoint, limits));
        }
        var drive = alone ? null : Nodes[0].Packs;
        Stores = [.. _peers.Select((peer, i) => i == 0 && !alone ? (ChunkStore)Nodes[0].Packs : peer)];
        Placement = new(Stores, quorum);
        Front = BlobStore.OverReplicas(drive, Placement, Queue, options ?? Patient, blobs ?? PeerNode.Options, TimeProvider.System, NullLogger<BlobStore>.Instance);
        Repairs = new(Placement, drive, blobs ?? PeerNode.Options);
    }

    public List<PeerNode> Nodes { get; } = [];
    public List<TcpProxy> Wires { get; } = [];
    public ImmutableArray<ChunkStore> Stores { get; }
    public FixedPlacement Placement { get; }
    public MemoryQueue Queue { get; } = new();
    public BlobStore Front { get; }
    public ReplicaRepair Repairs { get; }

    /// <summary>Takes entries until none is left, or those that are left can't be worked off.</summary>
    public async Task<List<RepairReport>> RepairAllAsync()
    {
        await Front.SettledAsync();
        var reports = new List<RepairReport>();
        foreach (var entry in Queue.Entries)
        {
            var report = await Repairs.RepairAsync(entry, null, CancellationToken.None);
            reports.Add(report);
            if (report.Outcome != RepairOutcome.Incomplete) Queue.Remove(entry);
        }
        return reports;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var wire in Wires) wire.IsBroken = true;
        await Front.DisposeAsync();
        Repairs.Dispose();
        foreach (var peer in _peers) await peer.DisposeAsync();
        foreach (var wire in Wires) await wire.DisposeAsync();
        foreach (var node in Nodes) await node.DisposeAsync();
        _identity.Dispose();
    }
}

/// <summary>The same stores for every partition.</summary>
internal sealed class FixedPlacement(ImmutableArray<ChunkStore> all, int quorum) : IChunkPlacement
{
    private readonly ImmutableArray<ChunkStore> _all = all;

    /// <summary>Stores that the partition is leaving.</summary>
    public HashSet<Guid> Left { get; } = [];

    public ImmutableArray<ChunkStore> Order { get; set; } = all;

    /// <summary>The bucket's number: what tests can choose.</summary>
    public ushort PlaceOf(BucketId bucket, string key) => (ushort)bucket.Value;

    public WritePlaces ForWrite(BlobId blob)
    {
        if (blob.IsStriped) return new([.. Columns.Take(blob.Redundancy.Width).Select((store, i) => new WritePlace(store, i + 1)).Where(place => !Left.Contains(place.Store.Id))], blob.Redundancy.Quorum);
        var stores = _all.Where(store => !Left.Contains(store.Id)).Take(blob.Redundancy.IsDefault ? _all.Length : blob.Redundancy.Copies);
        return new([.. stores.Select(store => new WritePlace(store, 0))], blob.Redundancy.IsDefault ? quorum : blob.Redundancy.Quorum);
    }

    public WriteLease BeginWrite(BlobId blob) => Lease?.Invoke(ForWrite(blob)) ?? new(ForWrite(blob));

    /// <summary>Makes the leases of writes.</summary>
    public Func<WritePlaces, WriteLease>? Lease { get; set; }

    public ImmutableArray<ReadPlace> ForRead(BlobId blob) => blob.IsStriped
        ? [.. Order.SelectMany(store => ShardsOf(store, blob)), .. FormerColumns.Take(blob.Redundancy.Width).Select((store, i) => new ReadPlace(store, i + 1, false))]
        : [.. Order.Select(store => new ReadPlace(store, 0, !Left.Contains(store.Id)))];

    /// <summary>Which store has which shard.</summary>
    public ImmutableArray<ChunkStore> Columns { get; set; } = all;

    public ImmutableArray<ChunkStore> FormerColumns { get; set; } = [];

    private IEnumerable<ReadPlace> ShardsOf(ChunkStore store, BlobId blob)
    {
        var column = Columns.IndexOf(store);
        if (column >= 0 && column < blob.Redundancy.Width) yield return new(store, column + 1, !Left.Contains(store.Id));
    }
}

internal sealed class MemoryQueue : IRepairQueue
{
    private readonly ConcurrentDictionary<(BlobId, Guid), RepairReason> _entries = new();

    public IReadOnlyList<RepairEntry> Entries => [.. _entries.Select(static e => new RepairEntry(e.Key.Item1, e.Key.Item2, e.Value))];

    /// <summary>How often it is away yet.</summary>
    public int Refusals { get; set; }

    public ValueTask EnqueueAsync(RepairEntry entry, CancellationToken ct)
    {
        if (Refusals > 0)
        {
            Refusals--;
            throw new StorageException(StorageError.IndexAway, "The queue is away.");
        }
        _entries.AddOrUpdate((entry.Blob, entry.Store), entry.Reason, (_, old) => entry.Reason == RepairReason.Damaged ? entry.Reason : old);
        return ValueTask.CompletedTask;
    }

    public void Remove(RepairEntry entry) => _entries.TryRemove((entry.Blob, entry.Store), out _);
}
