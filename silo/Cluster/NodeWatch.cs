using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Grains.Cluster;
using DarkStorage.Metadata;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Silo.Cluster;

/// <summary>Takes nodes that have been away for longer than the grace period out of the layout, so that what they held is made anew elsewhere, and front ends off the list. One node at a time does this.</summary>
/// <remarks>How long a node has been away is counted by the one who watches, from when he first missed it: another watcher begins anew, which is late and never early.</remarks>
internal sealed partial class NodeWatch(
    IClusterIndex index, NodeIdentity self, ClusterLayout layouts, IGrainFactory grains, IClusterMembershipService membership, ILocalSiloDetails silo, IOptions<ClusterOptions> options, TimeProvider clock, ILogger<NodeWatch> log)
    : BackgroundService
{
    private readonly Dictionary<NodeId, long> _missedSince = [];

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(options.Value.Interval, clock);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                if (await index.TryTakeTurnAsync("node-watch", self.Store, 3 * options.Value.Interval, stoppingToken)) await LookAsync(stoppingToken);
                else _missedSince.Clear();
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                _missedSince.Clear(); // who could not look does not know who was away meanwhile
                LogPutOff(log, e.Message);
            }
        }
    }

    private async Task LookAsync(CancellationToken ct)
    {
        // Who is not of the cluster himself does not know who else is.
        if (membership.CurrentSnapshot.GetSiloStatus(silo.SiloAddress) != SiloStatus.Active) return;
        var live = membership.CurrentSnapshot.Members.Values.Where(m => m.Status == SiloStatus.Active).Select(m => m.Name).ToHashSet(StringComparer.Ordinal);
        var nodes = await index.ListNodesAsync(ct);
        var names = nodes.ToDictionary(n => NodeIds.Of(n.Store), n => n.Name);
        // Front ends come and go, in some places with a new name each time: there is nothing to make anew, and one that is back enters itself again.
        foreach (var node in nodes.Where(n => n.Weight == 0))
        {
            var id = NodeIds.Of(node.Store);
            if (live.Contains(node.Name)) _missedSince.Remove(id);
            else if (IsOverdue(id) && await RemoveAsync(id, node.Name, ct)) LogForgotten(log, node.Name);
        }
        // Of one copy nothing can be made anew: the layout keeps its node, so that what it has is missed and not forgotten.
        if (layouts.Current is not { Replication.Factor: > 1 } layout) return;
        foreach (var node in layout.Nodes.Where(n => n.State != NodeState.Gone))
        {
            if (names.TryGetValue(node.Id, out var name) && live.Contains(name))
            {
                if (_missedSince.Remove(node.Id)) LogBack(log, name);
                continue;
            }
            if (!_missedSince.ContainsKey(node.Id)) LogMissed(log, node.Name, options.Value.GracePeriod);
            if (IsOverdue(node.Id) && await RemoveAsync(node.Id, node.Name, ct)) LogRemoved(log, node.Name);
        }
    }

    /// <summary>Whether a node that is not there has been away for too long; asked again after another period.</summary>
    private bool IsOverdue(NodeId node)
    {
        _missedSince.TryAdd(node, clock.GetTimestamp());
        if (clock.GetElapsedTime(_missedSince[node]) < options.Value.GracePeriod) return false;
        _missedSince[node] = clock.GetTimestamp();
        return true;
    }

    private async Task<bool> RemoveAsync(NodeId node, string name, CancellationToken ct)
    {
        if (await grains.GetGrain<IClusterGrain>(IClusterGrain.Key).ChangeAsync(new RemoveNode(node), ct) is not { } refusal) return true;
        LogKept(log, name, refusal);
        return false;
    }

    [LoggerMessage(LogLevel.Warning, "Node {Name} is away. If it is not back within {Grace} what it holds is made anew on the others")]
    private static partial void LogMissed(ILogger log, string name, TimeSpan grace);

    [LoggerMessage(LogLevel.Information, "Node {Name} is back")]
    private static partial void LogBack(ILogger log, string name);

    [LoggerMessage(LogLevel.Warning, "Node {Name} was taken out of the layout: what it held is made anew on the others")]
    private static partial void LogRemoved(ILogger log, string name);

    [LoggerMessage(LogLevel.Information, "Node {Name}, which has no drive, is away: it is taken off the list")]
    private static partial void LogForgotten(ILogger log, string name);

    [LoggerMessage(LogLevel.Warning, "Node {Name} is away and can't be taken out of the layout: {Why}")]
    private static partial void LogKept(ILogger log, string name, string why);

    [LoggerMessage(LogLevel.Warning, "The watch over the nodes is put off: {Why}")]
    private static partial void LogPutOff(ILogger log, string why);
}

/// <summary>What this node is known by in the shared index.</summary>
/// <param name="Store">Of its drive, or, where it has none, of its data folder.</param>
internal sealed record NodeIdentity(Guid Store);
