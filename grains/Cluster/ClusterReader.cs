using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Rules.Cluster;
using Microsoft.Extensions.Options;

namespace DarkStorage.Grains.Cluster;

/// <summary>Puts together what the shared index says of the cluster: the nodes, the layout, and what waits for repair.</summary>
public sealed class ClusterReader(IClusterIndex index, IOptions<ClusterOptions> options) : IClusterReader
{
    public async Task<ClusterDescription> DescribeAsync(CancellationToken ct)
    {
        var layout = await index.ReadDocumentAsync(ClusterDocuments.Layout, ct) is { } document ? LayoutCodec.Decode(document.Content) : null;
        var nodes = ImmutableArray.CreateBuilder<ClusterNodeDescription>();
        foreach (var node in await index.ListNodesAsync(ct))
        {
            var id = NodeIds.Of(node.Store);
            var place = layout is null ? -1 : IndexOf(layout.Nodes, id);
            var state = node.Weight == 0 ? "gateway" : place < 0 ? "waiting" : layout!.Nodes[place].State.ToString().ToLowerInvariant();
            var partitions = place < 0 ? 0 : layout!.Partitions.Count(p => p.Nodes.Contains((ushort)place));
            nodes.Add(new(id, node.Name, node.Zone, node.Address, node.Weight, state, partitions, node.LayoutSeen, node.LayoutMoved, await index.CountRepairsAsync(node.Store, ct), node.Level));
        }
        var replication = layout?.Replication ?? Replication.Of(options.Value.Copies);
        return new(index.ClusterId, layout?.Version ?? 0, replication.Factor, layout?.Partitions.Length ?? 0, layout?.Partitions.Count(p => !p.IsSettled) ?? 0, nodes.ToImmutable(), replication);
    }

    private static int IndexOf(ImmutableArray<LayoutNode> nodes, NodeId id)
    {
        for (var i = 0; i < nodes.Length; i++)
        {
            if (nodes[i].Id == id) return i;
        }
        return -1;
    }
}
