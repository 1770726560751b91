// Invariants of every layout that is made here:
// - A partition names Width nodes, none twice and all active; its copies are in different zones wherever there are as many zones as copies.
// - Each node's slots are its fair share (FairShares), but for rounding and a little slack (Assignment).
// - What a partition was before is kept until its movement is settled by someone who saw the layout that caused it.
using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Cluster;

namespace DarkStorage.Rules.Cluster;

/// <summary>Makes layouts: the first one, and each next one out of the one before, with as little movement as can be. docs/adr/0009-layout.md has the reasons and figures.</summary>
public static partial class Layouts
{
    public const int PartitionsMin = 1024;
    /// <summary>Sixteen bits of a key's hash are in the ids of its blobs.</summary>
    public const int PartitionsMax = 1 << 16;
    public const int NodesMax = 4096;
    public const int WidthMax = 48;
    public const int WeightMax = 1_000_000;
    public const int NameLengthMax = 63;

    /// <summary>Slots of a node: so many that one more or less is 1.6 % of them.</summary>
    public const int SlotsWanted = 64;

    /// <summary>A node that is lighter than the average by more than this has fewer slots, so that one small node does not multiply everybody's partitions.</summary>
    public const int LightestPart = 16;

    /// <summary>Unsettled placements of one partition: as many changes without any movement having ended are a cluster that needs something else than another change.</summary>
    public const int FormerMax = 16;

    private static readonly int[] Factors = [1, 2, 3, 5];

    /// <summary>The layout of a new cluster. There is nothing to move.</summary>
    public static LayoutDecision First(IReadOnlyList<LayoutNode> nodes, Replication replication, PlacementKey placement)
    {
        var known = new List<LayoutNode>();
        foreach (var node in nodes)
        {
            if (Refuse(known, node) is { } refusal) return new LayoutRefused(refusal);
            known.Add(node with { State = NodeState.Active });
        }
        var none = new Layout(0, placement, replication, [], []);
        return Decide(none, [.. known], replication, none);
    }

    /// <summary>The layout after a change, and what has to move for it; or why there is none.</summary>
    /// <param name="takesBack">The version whose change is taken back: what moves for it stays where it was before, as far as the others allow.</param>
    public static LayoutDecision Next(Layout current, LayoutChange change, long? takesBack = null)
    {
        var nodes = current.Nodes;
        var replication = current.Replication;
        switch (change)
        {
            case AddNode add when Find(nodes, add.Id) is var at and >= 0:
            {
                var node = nodes[at];
                if (node.State == NodeState.Active) return new LayoutRefused($"{node.Name} is in the layout.");
                if (node.State == NodeState.Gone) return new LayoutRefused($"{node.Name} was removed, and what it held has not been made anew yet.");
                if (node.Zone != add.Zone) return new LayoutRefused($"{node.Name} is in zone {node.Zone}: to be in {add.Zone} it has to be removed and come back empty, as another node.");
                if (RefuseWeight(add.Weight) is { } refusal) return new LayoutRefused(refusal);
                nodes = nodes.SetItem(at, node with { Weight = add.Weight, State = NodeState.Active });
                break;
            }
            case AddNode add:
            {
                var node = new LayoutNode(add.Id, add.Name, add.Zone, add.Weight);
                if (Refuse(nodes, node) is { } refusal) return new LayoutRefused(refusal);
                nodes = nodes.Add(node);
                break;
            }
            case DrainNode drain:
            {
                var at = Find(nodes, drain.Id);
                if (at < 0) return Unknown(drain.Id);
                if (nodes[at].State != NodeState.Active) return new LayoutRefused($"{nodes[at].Name} is {Word(nodes[at].State)} already.");
                nodes = nodes.SetItem(at, nodes[at] with { State = NodeState.Draining });
                break;
            }
            case ReweighNode reweigh:
            {
                var at = Find(nodes, reweigh.Id);
                if (at < 0) return Unknown(reweigh.Id);
                if (nodes[at].State != NodeState.Active) return new LayoutRefused($"{nodes[at].Name} is {Word(nodes[at].State)}, so its weight means nothing.");
                if (RefuseWeight(reweigh.Weight) is { } refusal) return new LayoutRefused(refusal);
                nodes = nodes.SetItem(at, nodes[at] with { Weight = reweigh.Weight });
                break;
            }
            case RemoveNode remove:
            {
                var at = Find(nodes, remove.Id);
                if (at < 0) return Unknown(remove.Id);
                if (nodes[at].State == NodeState.Gone) return new LayoutRefused($"{nodes[at].Name} is {Word(NodeState.Gone)} already.");
                nodes = nodes.SetItem(at, nodes[at] with { State = NodeState.Gone });
                break;
            }
            case ReplaceNode replace:
            {
                var at = Find(nodes, replace.Id);
                if (at < 0) return Unknown(replace.Id);
                var lost = nodes[at];
                if (lost.State == NodeState.Gone) return new LayoutRefused($"{lost.Name} is {Word(NodeState.Gone)} already.");
                if (lost.Zone != replace.Zone) return new LayoutRefused($"{lost.Name} is in zone {lost.Zone}: who takes its place is too.");
                if (nodes.Length >= NodesMax) return new LayoutRefused($"A layout has {NodesMax} nodes at the most.");
                if (Find(nodes, replace.By) >= 0) return new LayoutRefused($"{replace.By} is in the layout.");
                if (RefuseWeight(replace.Weight) is { } refusal) return new LayoutRefused(refusal);
                // Where partitions name the lost node they name the new one; what they were before names the lost one, at the end of the list.
                nodes = nodes.SetItem(at, new(replace.By, lost.Name, lost.Zone, replace.Weight)).Add(lost with { State = NodeState.Gone });
                return Decide(Renumbered(current with { Nodes = nodes }, (ushort)at, (ushort)(nodes.Length - 1)), nodes, replication, current);
            }
            case ChangeReplication to:
                replication = to.Replication;
                break;
            default:
                throw new ArgumentException($"{change.GetType().Name} is no change of a layout.", nameof(change));
        }
        return Decide(current, nodes, replication, current, takesBack);
    }

    /// <summary>Forgets what partitions were before, because all their bytes are where they should be.</summary>
    /// <param name="seen">The layout by which the bytes were moved. What was changed after it stays unsettled.</param>
    /// <param name="partitions">As they are numbered in <paramref name="seen"/>.</param>
    /// <returns>The next version, or the current one where nothing was to settle.</returns>
    public static Layout Settle(Layout current, Layout seen, IEnumerable<int> partitions)
    {
        var halves = current.Partitions.Length / seen.Partitions.Length;
        var settled = current.Partitions.ToBuilder();
        var any = false;
        foreach (var partition in partitions.SelectMany(partition => Enumerable.Range(partition * halves, halves)))
        {
            if (settled[partition].IsSettled || settled[partition].Since > seen.Version) continue;
            settled[partition] = settled[partition] with { Former = [], Since = 0 };
            any = true;
        }
        return any ? WithoutTheGone(current with { Version = current.Version + 1, Partitions = settled.MoveToImmutable() }) : current;
    }

    /// <summary>Why a bucket can't have so many copies of its objects, or null where it can.</summary>
    public static string? RefusalOf(Layout layout, int copies) =>
        !Factors.Contains(copies) ? $"A bucket keeps {FactorsText} copies, not {copies}."
        : copies > layout.Replication.Factor ? $"The bucket asks for {copies} copies, and the cluster keeps {layout.Replication.Factor}."
        : null;

    /// <summary>Why a bucket's objects can't be cut into such stripes, or null where they can.</summary>
    public static string? RefusalOf(Layout layout, int data, int parity) =>
        data < 1 || parity < 1 ? "A stripe has data shards and parity shards."
        : data + parity > layout.Replication.Width
            ? $"A stripe of {data}+{parity} needs partitions of {data + parity} nodes, and the cluster's have {layout.Replication.Width}: make the layout wider first."
        : null;

    private static string FactorsText => $"{string.Join(", ", Factors.SkipLast(1))} or {Factors[^1]}";

    /// <param name="from">Whose partitions the next ones begin from.</param>
    private static LayoutDecision Decide(Layout current, ImmutableArray<LayoutNode> nodes, Replication replication, Layout from, long? takesBack = null)
    {
        if (Refuse(nodes, replication) is { } refusal) return new LayoutRefused(refusal);
        var copies = FairShares.Of(nodes, replication.Factor);
        var count = Math.Max(PartitionsFor(copies.Where((_, i) => nodes[i].State == NodeState.Active)), current.Partitions.Length);
        var slots = Slots(from, count, replication.Width, takesBack);
        var version = current.Version + 1;
        var assignment = new Assignment(nodes, slots, replication.Width, current.Placement.First ^ (ulong)version << 32);
        assignment.Balance(0, replication.Factor, copies, FairShares.PerZone(nodes, replication.Factor)!.Value);
        if (replication.Width > replication.Factor)
            assignment.Balance(replication.Factor, replication.Width, FairShares.Of(nodes, replication.Width, given: copies), FairShares.PerZone(nodes, replication.Width)!.Value);
        return Compare(current, new(version, current.Placement, replication, nodes, []), slots);
    }

    /// <summary>The partitions that give each node slots enough. A power of two; more nodes make it more, fewer never make it less.</summary>
    private static int PartitionsFor(IEnumerable<double> shares)
    {
        var all = shares.ToList();
        var lightest = Math.Max(all.Min(), all.Average() / LightestPart);
        var wanted = PartitionsMin;
        while (wanted < PartitionsMax && wanted * lightest < SlotsWanted) wanted *= 2;
        return wanted;
    }

    private static int[] Slots(Layout current, int count, int width, long? takesBack)
    {
        var slots = new int[count * width];
        Array.Fill(slots, -1);
        for (var partition = 0; partition < count && current.Partitions.Length > 0; partition++)
        {
            var before = current.Partitions[Before(current, partition, count)];
            var nodes = !before.IsSettled && before.Since == takesBack ? before.Former[^1] : before.Nodes;
            for (var column = 0; column < Math.Min(width, nodes.Length); column++) slots[(partition * width) + column] = nodes[column];
        }
        return slots;
    }

    /// <summary>Which partition this one was a part of, before all were split.</summary>
    private static int Before(Layout current, int partition, int count) => (int)((long)partition * current.Partitions.Length / count);

    private static LayoutDecision Compare(Layout current, Layout next, int[] slots)
    {
        var width = next.Replication.Width;
        var count = slots.Length / width;
        var partitions = ImmutableArray.CreateBuilder<Partition>(count);
        var movements = ImmutableArray.CreateBuilder<Movement>();
        for (var partition = 0; partition < count; partition++)
        {
            ImmutableArray<ushort> nodes = [.. slots.AsSpan(partition * width, width).ToArray().Select(node => (ushort)node)];
            if (current.Partitions.IsEmpty)
            {
                partitions.Add(new(nodes, [], 0));
                continue;
            }
            var before = current.Partitions[Before(current, partition, count)];
            var moved = movements.Count;
            for (var position = 0; position < width; position++)
            {
                var from = position < before.Nodes.Length ? before.Nodes[position] : (ushort?)null;
                // A column that gets copies now is to have of everything what it may have had of stripes alone.
                var isNewCopy = position >= current.Replication.Factor && position < next.Replication.Factor;
                if (from == nodes[position] && !isNewCopy) continue;
                movements.Add(new(partition, position, from is { } index ? next.Nodes[index].Id : null, next.Nodes[nodes[position]].Id));
            }
            if (movements.Count == moved)
            {
                // Unchanged, or the last positions are no longer asked for: then nobody has to move anything.
                partitions.Add(before.Nodes.Length == width ? before : before with { Nodes = nodes });
                continue;
            }
            if (before.Former.Length == FormerMax)
                return new LayoutRefused($"Partition {partition} has {FormerMax} changes that are not settled: let the movements end first.");
            partitions.Add(new(nodes, before.Former.Add(before.Nodes), next.Version));
        }
        return new LayoutChanged(WithoutTheGone(next with { Partitions = partitions.MoveToImmutable() }), movements.ToImmutable());
    }

    /// <summary>With another number for one node in all that partitions name.</summary>
    private static Layout Renumbered(Layout layout, ushort node, ushort number)
    {
        return layout with { Partitions = [.. layout.Partitions.Select(p => p with { Nodes = Of(p.Nodes), Former = [.. p.Former.Select(Of)] })] };

        ImmutableArray<ushort> Of(ImmutableArray<ushort> nodes) => nodes.Contains(node) ? nodes.Replace(node, number) : nodes;
    }

    /// <summary>Takes the nodes that are gone off the list once no partition names them.</summary>
    private static Layout WithoutTheGone(Layout layout)
    {
        var named = new bool[layout.Nodes.Length];
        foreach (var (nodes, former, _) in layout.Partitions)
        {
            foreach (var node in nodes) named[node] = true;
            foreach (var placement in former)
            {
                foreach (var node in placement) named[node] = true;
            }
        }
        var index = new ushort[layout.Nodes.Length];
        var kept = ImmutableArray.CreateBuilder<LayoutNode>();
        for (var i = 0; i < index.Length; i++)
        {
            index[i] = (ushort)kept.Count;
            if (named[i] || layout.Nodes[i].State != NodeState.Gone) kept.Add(layout.Nodes[i]);
        }
        if (kept.Count == layout.Nodes.Length) return layout;
        return layout with
        {
            Nodes = kept.ToImmutable(),
            Partitions = [.. layout.Partitions.Select(partition => partition with { Nodes = Renamed(partition.Nodes), Former = [.. partition.Former.Select(Renamed)] })],
        };

        ImmutableArray<ushort> Renamed(ImmutableArray<ushort> nodes) => [.. nodes.Select(node => index[node])];
    }
}
