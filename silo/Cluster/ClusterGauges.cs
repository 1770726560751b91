using System.Diagnostics.Metrics;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Grains.Cluster;
using DarkStorage.Metadata;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Silo.Cluster;

/// <summary>What a node of a cluster says of it in metrics: the layout as this node works by it, who of it is away, and what this node's own drive still lacks.</summary>
/// <remarks>What only the index knows is asked for now and then, and not for each scrape: whoever may read metrics must not be able to load the database. While the index is away the
/// last answer stands, and <c>darkstorage.index.away</c> says so.</remarks>
internal sealed class ClusterGauges : BackgroundService
{
    /// <summary>Rounds of <see cref="ClusterOptions.Interval"/> between two looks.</summary>
    private const int LookEvery = 5;

    private readonly IClusterIndex _index;
    private readonly ClusterLayout _layouts;
    private readonly NodeIdentity _self;
    private readonly IClusterMembershipService _membership;
    private readonly ILocalSiloDetails _silo;
    private readonly TimeSpan _interval;
    private readonly TimeProvider _clock;
    private readonly Meter _meter = new("DarkStorage.Silo");
    private volatile Seen? _seen;

    private sealed record Seen(long Repairs, long Moved, Dictionary<NodeId, string> Names);

    public ClusterGauges(
        IClusterIndex index, ClusterLayout layouts, NodeIdentity self, IClusterMembershipService membership, ILocalSiloDetails silo, IOptions<ClusterOptions> options, TimeProvider clock)
    {
        (_index, _layouts, _self, _membership, _silo, _interval, _clock) = (index, layouts, self, membership, silo, LookEvery * options.Value.Interval, clock);
        _meter.CreateObservableGauge("darkstorage.cluster.live", () => IsLive ? 1 : 0, "{node}", "1 while this node is a live member, by the membership as it knows it.");
        _meter.CreateObservableGauge("darkstorage.cluster.members", () => LiveNames().Count, "{node}", "Live members, this node among them.");
        _meter.CreateObservableGauge("darkstorage.cluster.nodes", CountNodes, "{node}", "Nodes of the layout, by their state in it.");
        _meter.CreateObservableGauge("darkstorage.cluster.nodes_away", CountAway, "{node}", "Nodes of the layout that are no live members: what they hold has a copy less.");
        _meter.CreateObservableGauge("darkstorage.cluster.copies", () => OfLayout(static l => l.Replication.Factor), "{copy}", "Copies of everything, by the layout.");
        _meter.CreateObservableGauge("darkstorage.cluster.partitions", () => OfLayout(static l => l.Partitions.Length), "{partition}", "Partitions of the layout.");
        _meter.CreateObservableGauge("darkstorage.cluster.partitions_moving", () => OfLayout(static l => l.Partitions.Count(p => !p.IsSettled)), "{partition}", "Partitions whose former places are still needed.");
        _meter.CreateObservableGauge("darkstorage.cluster.layout.version", () => OfLayout(static l => l.Version), "{version}", "Version of the layout that this node works by.");
        _meter.CreateObservableGauge("darkstorage.cluster.layout.moved", () => Of(static s => s.Moved), "{version}", "Newest version of the layout of which this node has all that it should hold.");
        _meter.CreateObservableGauge("darkstorage.cluster.repairs.waiting", () => Of(static s => s.Repairs), "{blob}", "Blobs that this node's drive lacks something of, and that wait to be mended.");
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(_interval, _clock);
        do
        {
            try
            {
                var nodes = await _index.ListNodesAsync(stoppingToken);
                _seen = new(
                    (await _index.CountRepairsAsync(_self.Store, stoppingToken)).GetValueOrDefault(_self.Store),
                    nodes.FirstOrDefault(n => n.Store == _self.Store)?.LayoutMoved ?? 0,
                    nodes.ToDictionary(n => NodeIds.Of(n.Store), n => n.Name));
            }
            catch (StorageException)
            {
                // The index is away.
            }
        }
        while (await timer.WaitForNextTickAsync(stoppingToken));
    }

    public override void Dispose()
    {
        base.Dispose();
        _meter.Dispose();
    }

    private bool IsLive => _membership.CurrentSnapshot.Members.TryGetValue(_silo.SiloAddress, out var self) && self.Status == SiloStatus.Active;

    private HashSet<string> LiveNames() => _membership.CurrentSnapshot.Members.Values.Where(m => m.Status == SiloStatus.Active).Select(m => m.Name).ToHashSet(StringComparer.Ordinal);

    /// <summary>Each state each time, those of no node too: a series that comes and goes can't be asked about.</summary>
    private IEnumerable<Measurement<int>> CountNodes() => OfLayout<IEnumerable<Measurement<int>>>(
        static layout => Enum.GetValues<NodeState>().Select(s => new Measurement<int>(layout.Nodes.Count(n => n.State == s), new KeyValuePair<string, object?>("state", s.ToString().ToLowerInvariant()))),
        static () => []);

    private IEnumerable<Measurement<int>> CountAway()
    {
        if (_layouts.Current is not { } layout || _seen is not { } seen) return [];
        var live = LiveNames();
        return [new(layout.Nodes.Count(n => n.State != NodeState.Gone && !(seen.Names.TryGetValue(n.Id, out var name) && live.Contains(name))))];
    }

    /// <summary>Nothing before there is a layout.</summary>
    private IEnumerable<Measurement<long>> OfLayout(Func<Layout, long> value) => OfLayout<IEnumerable<Measurement<long>>>(layout => [new(value(layout))], static () => []);

    private T OfLayout<T>(Func<Layout, T> value, Func<T> otherwise) => _layouts.Current is { } layout ? value(layout) : otherwise();

    private IEnumerable<Measurement<long>> Of(Func<Seen, long> value) => _seen is { } seen ? [new(value(seen))] : [];
}
