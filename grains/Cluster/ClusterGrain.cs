using System.Collections.Immutable;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Rules.Cluster;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Placement;
using Orleans.Runtime;

namespace DarkStorage.Grains.Cluster;

/// <summary>Decides on layouts. The truth is a document of the shared index, replaced on the revision that was decided on: so two activations cannot lose a change.</summary>
[HashBasedPlacement]
internal sealed partial class ClusterGrain(IClusterIndex index, IClusterMembershipService membership, IOptions<ClusterOptions> options, ILogger<ClusterGrain> log) : Grain, IClusterGrain
{
    public async Task<string?> AdmitAsync(NodeId node, CancellationToken ct)
    {
        while (true)
        {
            var nodes = await index.ListNodesAsync(ct);
            if (nodes.FirstOrDefault(n => NodeIds.Of(n.Store) == node) is not { Weight: > 0 } joined) return "The node has not joined, or has no drive.";
            var (layout, revision) = await ReadAsync(ct);
            LayoutDecision decision;
            if (layout is null)
            {
                var holders = nodes.Where(n => n.Weight > 0).Select(n => new LayoutNode(NodeIds.Of(n.Store), n.Name, n.Zone, n.Weight)).ToList();
                var missing = options.Value.Copies - holders.Count;
                if (missing > 0) return $"{options.Value.Copies} copies are wanted of everything: the cluster waits for {missing} more {(missing == 1 ? "node" : "nodes")}.";
                decision = Layouts.First(holders, Replication.Of(options.Value.Copies), PlacementKey.New());
            }
            else
            {
                if (layout.Nodes.Any(n => n.Id == node && n.State != NodeState.Gone)) return null;
                decision = Layouts.Next(layout, new AddNode(node, joined.Name, joined.Zone, joined.Weight));
            }
            if (decision is LayoutRefused refused) return refused.Reason;
            await TryWriteAsync((LayoutChanged)decision, revision, ct); // whether or not another was first: look again
        }
    }

    public async Task<string?> ChangeAsync(LayoutChange change, CancellationToken ct)
    {
        while (true)
        {
            var (layout, revision) = await ReadAsync(ct);
            if (layout is null) return "The cluster has no layout yet.";
            // What is stored is not known here; shards in the last columns would be out of reach.
            if (change is ChangeReplication { Replication.Width: var width } && width < layout.Replication.Width)
                return $"Partitions have {layout.Replication.Width} nodes, and objects may be cut into as many shards: they can't have {width} any more.";
            if (change is RemoveNode remove && layout.Nodes.FirstOrDefault(n => n.Id == remove.Id) is { } leaving && IsLive(leaving.Name))
                return $"{leaving.Name} is running, and would join again: drain it, or stop it, before it is taken out.";
            var decision = Layouts.Next(layout, change);
            if (decision is LayoutRefused refused) return refused.Reason;
            if (!await TryWriteAsync((LayoutChanged)decision, revision, ct)) continue;
            await ForgetGoneAsync(layout, ((LayoutChanged)decision).Layout, ct);
            return null;
        }
    }

    public async Task<string?> RefusalOfAsync(int? copies, int? data, int? parity, CancellationToken ct)
    {
        var (layout, _) = await ReadAsync(ct);
        if (layout is null) return "The cluster has no layout yet.";
        return copies is { } count ? Layouts.RefusalOf(layout, count) : Layouts.RefusalOf(layout, data ?? 0, parity ?? 0);
    }

    public async Task SettleAsync(long version, CancellationToken ct)
    {
        while (true)
        {
            var (layout, revision) = await ReadAsync(ct);
            // Who saw an older layout moved by that; what is unsettled since is not known to be moved.
            if (layout is null || layout.Version != version) return;
            var next = Layouts.Settle(layout, layout, Enumerable.Range(0, layout.Partitions.Length));
            if (next.Version == layout.Version) return;
            if (!await TryWriteAsync(new LayoutChanged(next, []), revision, ct)) continue;
            await ForgetGoneAsync(layout, next, ct);
            return;
        }
    }

    public async Task<ClusterDescription> DescribeAsync(CancellationToken ct)
    {
        var (layout, _) = await ReadAsync(ct);
        var nodes = ImmutableArray.CreateBuilder<ClusterNodeDescription>();
        foreach (var node in await index.ListNodesAsync(ct))
        {
            var id = NodeIds.Of(node.Store);
            var place = layout is null ? -1 : IndexOf(layout.Nodes, id);
            var state = node.Weight == 0 ? "gateway" : place < 0 ? "waiting" : layout!.Nodes[place].State.ToString().ToLowerInvariant();
            var partitions = place < 0 ? 0 : layout!.Partitions.Count(p => p.Nodes.Contains((ushort)place));
            nodes.Add(new(id, node.Name, node.Zone, node.Address, node.Weight, state, partitions, node.LayoutSeen, node.LayoutMoved, await index.CountRepairsAsync(node.Store, ct)));
        }
        return new(index.ClusterId, layout?.Version ?? 0, layout?.Replication ?? Replication.Of(options.Value.Copies), layout?.Partitions.Length ?? 0,
            layout?.Partitions.Count(p => !p.IsSettled) ?? 0, nodes.ToImmutable());
    }

    /// <summary>Takes the nodes off the list that the layout names no more. One that is running, and was taken for gone, enters itself again.</summary>
    private async Task ForgetGoneAsync(Layout before, Layout after, CancellationToken ct)
    {
        foreach (var gone in before.Nodes.Where(n => after.Nodes.All(o => o.Id != n.Id))) await index.RemoveNodeAsync(NodeIds.ToStore(gone.Id), ct);
    }

    private bool IsLive(string name) => membership.CurrentSnapshot.Members.Values.Any(m => m.Status == SiloStatus.Active && m.Name == name);

    private static int IndexOf(ImmutableArray<LayoutNode> nodes, NodeId id)
    {
        for (var i = 0; i < nodes.Length; i++)
        {
            if (nodes[i].Id == id) return i;
        }
        return -1;
    }

    private async Task<(Layout? Layout, long Revision)> ReadAsync(CancellationToken ct)
    {
        if (await index.ReadDocumentAsync(ClusterDocuments.Layout, ct) is not { } document) return (null, 0);
        return (LayoutCodec.Decode(document.Content), document.Revision);
    }

    private async Task<bool> TryWriteAsync(LayoutChanged changed, long revision, CancellationToken ct)
    {
        if (!await index.TryReplaceDocumentAsync(ClusterDocuments.Layout, LayoutCodec.Encode(changed.Layout), revision, ct)) return false;
        LogChanged(log, changed.Layout.Version, changed.Layout.Nodes.Length, changed.Movements.Length);
        return true;
    }

    [LoggerMessage(LogLevel.Information, "The layout is at version {Version}: {Nodes} nodes, {Movements} partitions to move")]
    private static partial void LogChanged(ILogger log, long version, int nodes, int movements);
}
