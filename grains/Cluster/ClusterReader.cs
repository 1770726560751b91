using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Rules.Cluster;
using Microsoft.Extensions.Options;
using Orleans.Runtime;

namespace DarkStorage.Grains.Cluster;

/// <summary>Puts together what the shared index says of the cluster: the nodes, the layout and its changes, and what waits for repair.</summary>
public sealed class ClusterReader(IClusterIndex index, IClusterMembershipService membership, IOptions<ClusterOptions> options) : IClusterReader
{
    public async Task<ClusterDescription> DescribeAsync(CancellationToken ct)
    {
        var layout = await index.ReadDocumentAsync(ClusterDocuments.Layout, ct) is { } document ? LayoutCodec.Decode(document.Content) : null;
        var repairs = await index.CountRepairsAsync(null, ct);
        var nodes = ImmutableArray.CreateBuilder<ClusterNodeDescription>();
        foreach (var node in await index.ListNodesAsync(ct))
        {
            var id = NodeIds.Of(node.Store);
            var place = layout is null ? -1 : IndexOf(layout.Nodes, id);
            var state = node.Weight == 0 ? "gateway" : place < 0 ? "waiting" : layout!.Nodes[place].State.ToString().ToLowerInvariant();
            var partitions = place < 0 ? 0 : layout!.Partitions.Count(p => p.Nodes.Contains((ushort)place));
            nodes.Add(new(id, node.Name, node.Zone, node.Address, node.Weight, state, partitions, node.LayoutSeen, node.LayoutMoved, repairs.GetValueOrDefault(node.Store), node.Level));
        }
        var replication = layout?.Replication ?? Replication.Of(options.Value.Copies);
        return new(index.ClusterId, layout?.Version ?? 0, replication.Factor, layout?.Partitions.Length ?? 0, layout?.Partitions.Count(p => !p.IsSettled) ?? 0, nodes.ToImmutable(), replication);
    }

    public async Task<ImmutableArray<ClusterJob>> ListJobsAsync(CancellationToken ct)
    {
        // In this order: what ends meanwhile is told as ended, and never as begun and gone.
        var nodes = await index.ListNodesAsync(ct);
        var progress = (await index.ListProgressAsync(ct)).ToLookup(p => p.Job);
        var layout = await index.ReadDocumentAsync(ClusterDocuments.Layout, ct) is { } document ? LayoutCodec.Decode(document.Content) : null;
        var jobs = await index.ListLayoutJobsAsync(ct);
        var newest = jobs.Count == 0 ? 0 : jobs[0].Id;
        var live = membership.CurrentSnapshot.Members.Values.Where(m => m.Status is > SiloStatus.Created and < SiloStatus.Dead).Select(m => m.Name).ToHashSet(StringComparer.Ordinal);
        // All that is unsettled moves by the newest change, whichever made it so.
        var waitsFor = nodes.Where(n => live.Contains(n.Name) && n.LayoutSeen < newest).Select(n => n.Name).ToImmutableArray();
        var fetching = layout is null ? [] : nodes.Where(n => n.LayoutMoved < newest && layout.Nodes.Any(o => o.Id == NodeIds.Of(n.Store) && o.State == NodeState.Active)).Select(n => n.Store).ToHashSet();
        return [.. jobs.Select(Described)];

        ClusterJob Described(LayoutJobRecord job)
        {
            // An older program settled the layout, and knew nothing of jobs.
            var isOpen = job.Ended is null && layout?.Partitions.All(p => p.IsSettled) == false;
            var state = isOpen ? waitsFor.Length > 0 ? "waiting" : "moving" : job.Outcome ?? "done";
            var told = progress[isOpen ? newest : job.Id].ToDictionary(p => p.Store);
            var shown = nodes.Where(n => told.ContainsKey(n.Store) || (isOpen && fetching.Contains(n.Store))).Select(n =>
            {
                var isDone = !isOpen || !fetching.Contains(n.Store);
                return told.TryGetValue(n.Store, out var p) ? new ClusterJobNode(n.Name, isDone, p.Blobs, p.Passed, p.Copied, p.Bytes, p.Told - p.Begun) : new(n.Name, isDone, 0, 0, 0, 0, TimeSpan.Zero);
            });
            return new(job.Id, job.Kind, job.Node, job.Change, state, isOpen && job.Undo is not null, job.Begun, job.Ended, isOpen ? waitsFor : [], [.. shown]);
        }
    }

    public Task<int?> ReadHealRateAsync(CancellationToken ct) => HealRate.ReadAsync(index, ct);

    private static int IndexOf(ImmutableArray<LayoutNode> nodes, NodeId id)
    {
        for (var i = 0; i < nodes.Length; i++)
        {
            if (nodes[i].Id == id) return i;
        }
        return -1;
    }
}
