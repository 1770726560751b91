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
internal sealed partial class ClusterGrain(IClusterIndex index, IClusterReader reader, IClusterMembershipService membership, IOptions<ClusterOptions> options, TimeProvider clock, ILogger<ClusterGrain> log) : Grain, IClusterGrain
{
    public async Task<string?> AdmitAsync(NodeId node, CancellationToken ct)
    {
        while (true)
        {
            var nodes = await index.ListNodesAsync(ct);
            if (nodes.FirstOrDefault(n => NodeIds.Of(n.Store) == node) is not { Weight: > 0 } joined) return "The node has not joined, or has no drive.";
            var (layout, revision) = await ReadAsync(ct);
            LayoutDecision decision;
            LayoutChange? change = null;
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
                // The node that had the name has no row, or this one could not have joined: it is not running, and an operator has said that it lost its drive.
                var lost = layout.Nodes.FirstOrDefault(n => n.Name == joined.Name && n.State != NodeState.Gone && nodes.All(known => NodeIds.Of(known.Store) != n.Id));
                change = lost is null ? new AddNode(node, joined.Name, joined.Zone, joined.Weight) : new ReplaceNode(lost.Id, node, joined.Zone, joined.Weight);
                decision = Layouts.Next(layout, change);
            }
            if (decision is LayoutRefused refused) return refused.Reason;
            // Whether or not another was first: look again.
            await TryWriteAsync((LayoutChanged)decision, revision, change is null ? null : JobOf(layout!, change, (LayoutChanged)decision), null, ct);
        }
    }

    public Task<string?> ChangeAsync(LayoutChange change, CancellationToken ct) => ApplyAsync(change, null, ct);

    public async Task<string?> CancelAsync(long job, CancellationToken ct)
    {
        var jobs = await index.ListLayoutJobsAsync(ct);
        if (jobs.FirstOrDefault(j => j.Id == job) is not { } known) return $"There is no job {job}.";
        if (known.Ended is not null) return $"Job {job} has ended.";
        if (known.Undo is null) return $"What {known.Node} held is being made anew, and that can't be taken back: start the node again, and it joins.";
        if (jobs.FirstOrDefault(j => j.Id > job && j.Node == known.Node) is { } later) return $"Job {later.Id} changed the same after it: cancel that one.";
        return await ApplyAsync(LayoutChanges.Read(known.Undo), job, ct);
    }

    public async Task<string?> ReplaceAsync(NodeId node, CancellationToken ct)
    {
        var (layout, _) = await ReadAsync(ct);
        if (layout?.Nodes.FirstOrDefault(n => n.Id == node && n.State != NodeState.Gone) is not { } lost) return "It holds nothing by the layout, so there is no place to take.";
        return await ForgetAsync(lost.Id, ct);
    }

    public async Task SetHealRateAsync(int? mibPerSecond, CancellationToken ct)
    {
        var rate = HealRate.Write(mibPerSecond);
        while (!await index.TryReplaceDocumentAsync(ClusterDocuments.HealRate, rate, (await index.ReadDocumentAsync(ClusterDocuments.HealRate, ct))?.Revision ?? 0, ct))
        {
            // Another one was first: the last word counts.
        }
    }

    private async Task<string?> ApplyAsync(LayoutChange change, long? cancels, CancellationToken ct)
    {
        while (true)
        {
            var (layout, revision) = await ReadAsync(ct);
            if (change is RemoveNode { Id: var id } && layout?.Nodes.Any(n => n.Id == id) != true) return await ForgetAsync(id, ct);
            if (layout is null) return "The cluster has no layout yet.";
            // What is stored is not known here; shards in the last columns would be out of reach.
            if (change is ChangeReplication { Replication.Width: var width } && width < layout.Replication.Width)
                return $"Partitions have {layout.Replication.Width} nodes, and objects may be cut into as many shards: they can't have {width} any more.";
            if (change is RemoveNode remove && layout.Nodes.FirstOrDefault(n => n.Id == remove.Id) is { } leaving && IsLive(leaving.Name)) return RefusalOfLive(leaving.Name, "drain it, or stop it,");
            var decision = Layouts.Next(layout, change, cancels);
            if (decision is LayoutRefused refused) return refused.Reason;
            if (change is ChangeReplication && await RefusalByOlderAsync(ct) is { } byOlder) return byOlder;
            var changed = (LayoutChanged)decision;
            if (!await TryWriteAsync(changed, revision, JobOf(layout, change, changed), cancels, ct)) continue;
            await ForgetGoneAsync(layout, changed.Layout, ct);
            return null;
        }
    }

    public async Task<string?> AllowAsync(int? copies, int? data, int? parity, CancellationToken ct)
    {
        var (layout, _) = await ReadAsync(ct);
        if (layout is null) return "The cluster has no layout yet.";
        var refusal = copies is { } count ? Layouts.RefusalOf(layout, count) : Layouts.RefusalOf(layout, data ?? 0, parity ?? 0);
        return refusal ?? await RefusalByOlderAsync(ct);
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
            if (!await TryWriteAsync(new LayoutChanged(next, []), revision, null, null, ct)) continue;
            await ForgetGoneAsync(layout, next, ct);
            return;
        }
    }

    public Task<ClusterDescription> DescribeAsync(CancellationToken ct) => reader.DescribeAsync(ct);

    /// <summary>Takes a node off the list, and leaves it in the layout where it is there. One that is running would enter itself again.</summary>
    private async Task<string?> ForgetAsync(NodeId node, CancellationToken ct)
    {
        var store = NodeIds.ToStore(node);
        if ((await index.ListNodesAsync(ct)).FirstOrDefault(n => n.Store == store) is { } known && IsLive(known.Name)) return RefusalOfLive(known.Name, "stop it");
        await index.RemoveNodeAsync(store, ct);
        return null;
    }

    private static string RefusalOfLive(string name, string what) => $"{name} is running, and would join again: {what} before it is taken out.";

    /// <summary>Takes the nodes off the list that the layout names no more. One that is running, and was taken for gone, enters itself again.</summary>
    private async Task ForgetGoneAsync(Layout before, Layout after, CancellationToken ct)
    {
        foreach (var gone in before.Nodes.Where(n => after.Nodes.All(o => o.Id != n.Id))) await index.RemoveNodeAsync(NodeIds.ToStore(gone.Id), ct);
    }

    /// <returns>Null where every node's program knows of blobs that are not kept as the others are; then no older one joins any more.</returns>
    private async Task<string?> RefusalByOlderAsync(CancellationToken ct) =>
        await index.TryUseLevelAsync(ClusterLevels.Redundancy, ct) is { } older ? ClusterLevels.RefusalBy(older) : null;

    private bool IsLive(string name) => membership.CurrentSnapshot.Members.Values.Any(m => m.Status == SiloStatus.Active && m.Name == name);

    private async Task<(Layout? Layout, long Revision)> ReadAsync(CancellationToken ct)
    {
        if (await index.ReadDocumentAsync(ClusterDocuments.Layout, ct) is not { } document) return (null, 0);
        return (LayoutCodec.Decode(document.Content), document.Revision);
    }

    private LayoutJobRecord JobOf(Layout before, LayoutChange change, LayoutChanged changed)
    {
        var node = LayoutChanges.NodeOf(change) is { } id ? before.Nodes.Concat(changed.Layout.Nodes).First(n => n.Id == id).Name : null;
        var undo = LayoutChanges.Undo(before, change);
        return new(changed.Layout.Version, LayoutChanges.KindOf(change), node, LayoutChanges.Write(change), undo is null ? null : LayoutChanges.Write(undo), clock.GetUtcNow());
    }

    private async Task<bool> TryWriteAsync(LayoutChanged changed, long revision, LayoutJobRecord? job, long? cancels, CancellationToken ct)
    {
        var settled = changed.Layout.Partitions.All(p => p.IsSettled) ? changed.Layout.Version : (long?)null;
        if (!await index.TryReplaceLayoutAsync(new(LayoutCodec.Encode(changed.Layout), revision, job, cancels, settled, clock.GetUtcNow()), ct)) return false;
        LogChanged(log, changed.Layout.Version, changed.Layout.Nodes.Length, changed.Movements.Length);
        return true;
    }

    [LoggerMessage(LogLevel.Information, "The layout is at version {Version}: {Nodes} nodes, {Movements} partitions to move")]
    private static partial void LogChanged(ILogger log, long version, int nodes, int movements);
}
