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
    /// <returns>For each node a number from 0 to 1, 0 where it is not active; all together make <paramref name="copies"/>.</returns>
    public static double[] Of(IReadOnlyList<LayoutNode> nodes, int copies)
    {
        var perZone = PerZone(nodes, copies) ?? throw new ArgumentException($"{copies} copies do not fit on fewer nodes.", nameof(copies));
        var zones = Active(nodes).GroupBy(node => node.Zone, node => node.Weight, StringComparer.Ordinal)
            .ToDictionary(zone => zone.Key, zone => (Weights: zone.ToArray(), Most: (double)Math.Min(perZone, zone.Count())), StringComparer.Ordinal);
        var common = Scale(copies, scale => zones.Values.Sum(zone => Math.Min(zone.Most, Held(zone.Weights, scale))));
        var scales = zones.ToDictionary(
            zone => zone.Key,
            zone => Held(zone.Value.Weights, common) <= zone.Value.Most ? common : Scale(zone.Value.Most, scale => Held(zone.Value.Weights, scale)),
            StringComparer.Ordinal);
        return [.. nodes.Select(node => node.State == NodeState.Active ? Math.Min(1, node.Weight * scales[node.Zone]) : 0)];
    }

    private static IEnumerable<LayoutNode> Active(IReadOnlyList<LayoutNode> nodes) => nodes.Where(node => node.State == NodeState.Active);

    private static double Held(int[] weights, double scale) => weights.Sum(weight => Math.Min(1, weight * scale));

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
}
