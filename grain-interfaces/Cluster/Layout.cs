using System.Collections.Immutable;
using Orleans;

namespace DarkStorage.GrainInterfaces.Cluster;

/// <summary>Which nodes hold which part of the data. A version is never changed: a change makes the next one.</summary>
/// <param name="Version">Counted from 1.</param>
/// <param name="Placement">Which partition a key belongs to depends on it; the same in all versions.</param>
/// <param name="Nodes">A partition names nodes by their index here.</param>
/// <param name="Partitions">Their number is a power of two, so that all can be split in two: partition <c>p</c> becomes <c>2p</c> and <c>2p + 1</c>.</param>
[GenerateSerializer, Immutable, Alias("layout")]
public sealed record Layout(long Version, PlacementKey Placement, Replication Replication, ImmutableArray<LayoutNode> Nodes, ImmutableArray<Partition> Partitions)
{
    /// <summary>The partition of a key: the leading bits of its hash.</summary>
    public int PartitionOf(BucketId bucket, string key) => PartitionOf(Placement.Hash(bucket, key));

    /// <param name="key">In UTF-8.</param>
    public int PartitionOf(BucketId bucket, ReadOnlySpan<byte> key) => PartitionOf(Placement.Hash(bucket, key));

    /// <summary>The nodes that hold all copies of a partition, in order.</summary>
    public ImmutableArray<LayoutNode> ReplicasOf(int partition) => [.. Partitions[partition].Nodes.Take(Replication.Factor).Select(index => Nodes[index])];

    /// <summary>The nodes on which the bytes of a partition may be, those first that have them once all movements have ended. None twice, and none that is gone.</summary>
    /// <param name="count">Of the copies or shards that are looked for.</param>
    public ImmutableArray<LayoutNode> HoldersOf(int partition, int count)
    {
        var (nodes, former, _) = Partitions[partition];
        var holders = ImmutableArray.CreateBuilder<LayoutNode>();
        Add(nodes);
        for (var i = former.Length - 1; i >= 0; i--) Add(former[i]);
        return holders.ToImmutable();

        void Add(ImmutableArray<ushort> indices)
        {
            foreach (var index in indices.AsSpan(0, Math.Min(count, indices.Length)))
            {
                var node = Nodes[index];
                if (node.State != NodeState.Gone && !holders.Contains(node)) holders.Add(node);
            }
        }
    }

    private int PartitionOf(ulong hash) => (int)(hash >> (64 - int.Log2(Partitions.Length)));
}

/// <summary>The placement of one partition.</summary>
/// <param name="Nodes">Where its bytes are written: as many nodes as the layout is wide, none twice, as indices. The first are those of the copies, in different zones.</param>
/// <param name="Former">Where they may still be, until the movements of the partition are settled: earlier placements, the oldest first. The oldest is the
/// only one that is known to be whole.</param>
/// <param name="Since">The version of the layout that made this placement; 0 where nothing is unsettled.</param>
[GenerateSerializer, Immutable, Alias("partition")]
public sealed record Partition(ImmutableArray<ushort> Nodes, ImmutableArray<ImmutableArray<ushort>> Former, long Since)
{
    public bool IsSettled => Former.IsEmpty;
}

/// <summary>How much is kept of everything.</summary>
/// <param name="Factor">Copies: 1, 2, 3 or 5. A bucket may have fewer.</param>
/// <param name="Width">Nodes of a partition: the factor, or the data and parity shards of the widest stripe where that is more.</param>
/// <param name="ZonesMayBeShared">Whether copies may be in one zone where there are fewer zones than copies.</param>
[GenerateSerializer, Immutable, Alias("replication")]
public readonly record struct Replication(int Factor, int Width, bool ZonesMayBeShared)
{
    public static Replication Of(int factor) => new(factor, factor, ZonesMayBeShared: false);
}

/// <summary>Bytes that go from one node to another for one partition.</summary>
/// <param name="Position">In the partition's nodes: the number of the shard, for a bucket with erasure coding; of no meaning to a bucket whose factor it exceeds.</param>
/// <param name="From">The node that held this position; null where there was none. It may be gone: then another of the partition's nodes is read.</param>
[GenerateSerializer, Immutable, Alias("movement")]
public readonly record struct Movement(int Partition, int Position, NodeId? From, NodeId To);
