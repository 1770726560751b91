using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Rules.Cluster;
using Xunit;

namespace DarkStorage.Unit.Cluster;

/// <summary>Clusters for tests, and what must be true of each of their layouts.</summary>
internal static class Clusters
{
    public static readonly PlacementKey Key = new(0x0706050403020100, 0x0F0E0D0C0B0A0908);

    public static LayoutNode Node(int number, string zone, int weight = 100) => new(new(0, (ulong)number), $"n{number}", zone, weight);

    /// <summary>Equal nodes, dealt out to the zones in turn.</summary>
    public static List<LayoutNode> Nodes(int count, int zones) => [.. Enumerable.Range(1, count).Select(number => Node(number, $"z{number % zones}"))];

    public static Layout First(IReadOnlyList<LayoutNode> nodes, int factor) => First(nodes, Replication.Of(factor));

    public static Layout First(IReadOnlyList<LayoutNode> nodes, Replication replication) => Accepted(Layouts.First(nodes, replication, Key)).Layout;

    public static LayoutChanged Next(this Layout layout, LayoutChange change) => Accepted(Layouts.Next(layout, change));

    public static string Refusal(this Layout layout, LayoutChange change) => Assert.IsType<LayoutRefused>(Layouts.Next(layout, change)).Reason;

    public static AddNode Adding(LayoutNode node) => new(node.Id, node.Name, node.Zone, node.Weight);

    public static Layout SettleAll(this Layout layout) => Layouts.Settle(layout, layout, Enumerable.Range(0, layout.Partitions.Length));

    public static LayoutChanged Accepted(LayoutDecision decision) =>
        decision is LayoutRefused refused ? throw new InvalidOperationException(refused.Reason) : (LayoutChanged)decision;

    /// <summary>Slots of each node in the first columns.</summary>
    public static int[] Slots(Layout layout, int from, int to)
    {
        var slots = new int[layout.Nodes.Length];
        foreach (var partition in layout.Partitions)
        {
            for (var column = from; column < to; column++) slots[partition.Nodes[column]]++;
        }
        return slots;
    }

    /// <summary>The invariants of any layout; of balance, what docs/adr/0009-layout.md promises.</summary>
    public static void Check(Layout layout)
    {
        var (factor, width, _) = layout.Replication;
        Assert.True(int.IsPow2(layout.Partitions.Length));
        Assert.InRange(layout.Partitions.Length, Layouts.PartitionsMin, Layouts.PartitionsMax);
        var perZoneCopies = FairShares.PerZone(layout.Nodes, factor)!.Value;
        var perZone = FairShares.PerZone(layout.Nodes, width)!.Value;
        if (layout.Nodes.Where(node => node.State == NodeState.Active).Select(node => node.Zone).Distinct().Count() >= factor) Assert.Equal(1, perZoneCopies);
        foreach (var partition in layout.Partitions)
        {
            Assert.Equal(width, partition.Nodes.Length);
            var nodes = partition.Nodes.Select(index => layout.Nodes[index]).ToList();
            Assert.Equal(width, nodes.Distinct().Count());
            Assert.All(nodes, node => Assert.Equal(NodeState.Active, node.State));
            Assert.True(nodes.Take(factor).GroupBy(node => node.Zone).Max(zone => zone.Count()) <= perZoneCopies);
            Assert.True(nodes.GroupBy(node => node.Zone).Max(zone => zone.Count()) <= perZone);
            Assert.Equal(partition.IsSettled, partition.Since == 0);
            Assert.True(partition.Since <= layout.Version);
        }
        CheckBalance(layout, factor);
        CheckBalance(layout, width);
    }

    private static void CheckBalance(Layout layout, int columns)
    {
        var slots = Slots(layout, 0, columns);
        var copies = FairShares.Of(layout.Nodes, layout.Replication.Factor);
        var shares = columns == layout.Replication.Factor ? copies : FairShares.Of(layout.Nodes, columns, given: copies);
        for (var node = 0; node < slots.Length; node++)
        {
            var fair = shares[node] * layout.Partitions.Length;
            // The columns behind the copies have to fit around them.
            var most = 1 + Math.Floor(fair / (columns == layout.Replication.Factor ? 64 : 20)) + 1e-6;
            Assert.True(Math.Abs(slots[node] - fair) <= most, $"{layout.Nodes[node]} has {slots[node]} slots of {columns} columns, and {fair:F2} are fair; {layout.Partitions.Length} partitions.");
        }
    }

    /// <summary>Part of all copies that a change moves.</summary>
    public static double Moved(LayoutChanged changed) => (double)changed.Movements.Length / (changed.Layout.Partitions.Length * changed.Layout.Replication.Width);
}
