using DarkStorage.GrainInterfaces.Cluster;

namespace DarkStorage.Simulation.Cluster;

/// <summary>Plain weighted rendezvous hashing, what the layout is measured against: a partition is on the nodes with the best scores, of each zone the best one.</summary>
internal static class Rendezvous
{
    /// <returns>For each partition, the indices of its nodes.</returns>
    public static int[][] Assign(IReadOnlyList<LayoutNode> nodes, int partitions, int copies)
    {
        var ids = nodes.Select(node => Seeds.Mix(node.Id.Low)).ToArray();
        var zones = nodes.Select(node => node.Zone).Distinct().ToList();
        var zoneOf = nodes.Select(node => zones.IndexOf(node.Zone)).ToArray();
        var assigned = new int[partitions][];
        var (best, bestScore) = (new int[zones.Count], new double[zones.Count]);
        for (var partition = 0; partition < partitions; partition++)
        {
            Array.Fill(bestScore, double.NegativeInfinity);
            var salt = Seeds.Mix((ulong)partition + 1);
            for (var node = 0; node < ids.Length; node++)
            {
                var uniform = ((Seeds.Mix(ids[node] ^ salt) >> 11) + 0.5) / (1ul << 53);
                var score = Math.Log(uniform) / nodes[node].Weight;
                if (score > bestScore[zoneOf[node]]) (best[zoneOf[node]], bestScore[zoneOf[node]]) = (node, score);
            }
            assigned[partition] = [.. Enumerable.Range(0, zones.Count).OrderByDescending(zone => bestScore[zone]).Take(copies).Select(zone => best[zone])];
        }
        return assigned;
    }
}
