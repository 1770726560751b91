using DarkStorage.GrainInterfaces.Cluster;

namespace DarkStorage.Rules.Cluster;

/// <summary>What part of the data each node should hold: as its weight is, as far as nodes and zones allow.</summary>
/// <remarks>A node holds a partition once at most, and a zone only so many of its copies. Where a weight asks for more, the node or the zone is full, and the others share what is left by
/// their weights. In fractions of a partition's copies, so a node with share <c>s</c> is in <c>s</c> of all partitions.</remarks>
public static class FairShares
{
    /// <summary>Halving an interval of doubles so often leaves neighbours.</summary>
    private const int Halvings = 200;

    /// <summary>How many of so many copies one zone must take: one, where there are zones enough, else as few as the nodes of all zones leave.</summary>
    /// <returns>Null where there are fewer active nodes than copies.</returns>
    public static int? PerZone(IReadOnlyList<LayoutNode> nodes, int copies)
    {
        var zones = Active(nodes).GroupBy(node => node.Zone, StringComparer.Ordinal).Select(zone => zone.Count()).ToList();
        if (zones.Sum() < copies) return null;
        var perZone = 1;
        while (zones.Sum(count => Math.Min(count, perZone)) < copies) perZone++;
        return perZone;
    }

    /// <param name="copies">No more than there are active nodes.</param>
    /// <param name="given">For each node what it holds of some of the copies, which stay where they are, or null where there are none: its share is no less. So a node that is alone in its
    /// zone, and therefore in every partition, is not light with all copies only because its weight is.</param>
    /// <returns>For each node a number from 0 to 1, 0 where it is not active; all together make <paramref name="copies"/>.</returns>
    public static double[] Of(IReadOnlyList<LayoutNode> nodes, int copies, IReadOnlyList<double>? given = null)
    {
        var perZone = PerZone(nodes, copies) ?? throw new ArgumentException($"{copies} copies do not fit on fewer nodes.", nameof(copies));
        var asked = nodes.Select((node, i) => new Asked(node.Weight, given?[i] ?? 0)).ToList();
        var zones = Enumerable.Range(0, nodes.Count).Where(i => nodes[i].State == NodeState.Active).GroupBy(i => nodes[i].Zone, i => asked[i], StringComparer.Ordinal)
            .ToDictionary(zone => zone.Key, zone => (Nodes: zone.ToArray(), Most: (double)Math.Min(perZone, zone.Count())), StringComparer.Ordinal);
        var common = Scale(copies, scale => zones.Values.Sum(zone => Math.Min(zone.Most, Held(zone.Nodes, scale))));
        var scales = zones.ToDictionary(
            zone => zone.Key,
            zone => Held(zone.Value.Nodes, common) <= zone.Value.Most ? common : Scale(zone.Value.Most, scale => Held(zone.Value.Nodes, scale)),
            StringComparer.Ordinal);
        return [.. nodes.Select((node, i) => node.State == NodeState.Active ? asked[i].ShareAt(scales[node.Zone]) : 0)];
    }

    private static IEnumerable<LayoutNode> Active(IReadOnlyList<LayoutNode> nodes) => nodes.Where(node => node.State == NodeState.Active);

    private static double Held(Asked[] nodes, double scale) => nodes.Sum(node => node.ShareAt(scale));

    /// <summary>The least scale by which enough is held. Nothing but sums, products and comparisons of doubles goes into it: every machine finds the same.</summary>
    private static double Scale(double wanted, Func<double, double> held)
    {
        var (low, high) = (0d, 1d);   // a weight is 1 at least, so everything is full at a scale of 1
        for (var i = 0; i < Halvings; i++)
        {
            var middle = low + ((high - low) / 2);
            if (held(middle) < wanted) low = middle;
            else high = middle;
        }
        return high;
    }

    /// <summary>What goes into a node's share.</summary>
    private readonly record struct Asked(int Weight, double Given)
    {
        public double ShareAt(double scale) => Math.Clamp(Weight * scale, Given, 1);
    }
}
