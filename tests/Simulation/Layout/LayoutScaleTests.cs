using System.Diagnostics;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Rules.Cluster;
using Xunit;

namespace DarkStorage.Simulation.Cluster;

/// <summary>A large cluster and what is in it, counted: nothing runs but the layout.</summary>
public sealed class LayoutScaleTests(ITestOutputHelper output)
{
    private const int NodeCount = 1000;
    private const int ZoneCount = 20;
    private const int Objects = 10_000_000;
    private const int Buckets = 100;
    private const int Copies = 3;

    [Fact]
    public void A_thousand_nodes_hold_ten_million_objects_evenly_and_one_more_node_moves_its_share_alone()
    {
        var seed = Seeds.Next();
        output.WriteLine($"seed {seed}");
        var watch = Stopwatch.StartNew();
        var nodes = Enumerable.Range(1, NodeCount).Select(Node).ToList();
        var before = Accepted(Layouts.First(nodes, Replication.Of(Copies), new(Seeds.Mix((ulong)seed), (ulong)seed))).Layout;
        output.WriteLine($"First layout: {before.Partitions.Length} partitions, {watch.Elapsed.TotalSeconds:F2} s, {LayoutCodec.Encode(before).Length} bytes");

        watch.Restart();
        var joined = Accepted(Layouts.Next(before, Adding(Node(NodeCount + 1))));
        output.WriteLine($"Next layout: {watch.Elapsed.TotalSeconds:F2} s");
        Assert.Equal(before.Partitions.Length, joined.Layout.Partitions.Length);

        watch.Restart();
        var contents = Fill(before, seed);
        output.WriteLine($"{Objects} objects: {watch.Elapsed.TotalSeconds:F2} s, {contents.Bytes.Sum() / 1e12:F1} TB");

        var imbalance = Imbalance(before, contents.Objects);
        output.WriteLine($"Imbalance (fullest node against the mean): {imbalance:P2} by objects, {Imbalance(before, contents.Bytes):P2} by bytes, {Imbalance(before, Ones(before)):P2} by slots");
        var imbalanceJoined = Imbalance(joined.Layout, contents.Objects);
        output.WriteLine($"After the join: {imbalanceJoined:P2} by objects, {Imbalance(joined.Layout, Ones(before)):P2} by slots");
        var moved = Moved(joined, contents.Objects);
        output.WriteLine($"One join moves {moved:P4} of the objects' copies and {Moved(joined, contents.Bytes):P4} of the bytes; 1/N is {1d / NodeCount:P4}");
        var drained = Accepted(Layouts.Next(before, new DrainNode(before.Nodes[17].Id)));
        output.WriteLine($"One drain moves {Moved(drained, contents.Objects):P4}");

        Assert.InRange(imbalance, 0, 0.05);
        Assert.InRange(imbalanceJoined, 0, 0.05);
        Assert.InRange(moved, 0.8 / NodeCount, 1.2 / NodeCount);
        Assert.InRange(Moved(drained, contents.Objects), 0.8 / NodeCount, 1.2 / NodeCount);
        Assert.All(joined.Movements, movement => Assert.Equal(Node(NodeCount + 1).Id, movement.To));
        Assert.All(drained.Movements, movement => Assert.Equal(before.Nodes[17].Id, movement.From));
        AssertApart(before);
        AssertApart(joined.Layout);
        AssertApart(drained.Layout);

        foreach (var partitions in new[] { 1024, before.Partitions.Length })
        {
            var plain = Rendezvous.Assign(nodes, partitions, Copies);
            var plainJoined = Rendezvous.Assign([.. nodes, Node(NodeCount + 1)], partitions, Copies);
            var slots = new int[NodeCount];
            foreach (var node in plain.SelectMany(node => node)) slots[node]++;
            var mean = (double)Copies * partitions / NodeCount;
            var changed = plain.Zip(plainJoined).Sum(pair => pair.Second.Except(pair.First).Count());
            output.WriteLine($"Plain weighted rendezvous, {partitions} partitions: fullest {(slots.Max() / mean) - 1:P1} over the mean, emptiest {1 - (slots.Min() / mean):P1} under it, one join moves {(double)changed / (Copies * partitions):P4}");
        }
    }

    /// <summary>From three nodes to what a thousand need, with whatever splits of the partitions come on the way.</summary>
    [Fact]
    public void A_cluster_that_grows_node_by_node_moves_about_what_each_node_takes()
    {
        const int Last = 200;
        var watch = Stopwatch.StartNew();
        var layout = Accepted(Layouts.First([.. Enumerable.Range(1, 6).Select(Node)], Replication.Of(Copies), new(1, 2))).Layout;
        var (worst, between, splits) = (0d, 0, 0);
        for (var number = 7; number <= Last; number++)
        {
            var changed = Accepted(Layouts.Next(layout, Adding(Node(number))));
            if (changed.Layout.Partitions.Length > layout.Partitions.Length) splits++;
            var active = changed.Layout.Nodes.Length;
            var moved = (double)changed.Movements.Length / (Copies * changed.Layout.Partitions.Length);
            worst = Math.Max(worst, moved * active);
            between += changed.Movements.Count(movement => movement.To != Node(number).Id);
            Assert.True(moved <= 1.2 / active, $"Node {number}: {moved:P3} moved, and 1/N is {1d / active:P3}.");
            layout = Layouts.Settle(changed.Layout, changed.Layout, Enumerable.Range(0, changed.Layout.Partitions.Length));
            AssertApart(layout);
        }
        var slots = Imbalance(layout, Ones(layout));
        output.WriteLine($"6 to {Last} nodes, {splits} splits: a join moved {worst:F3}/N at most, {between} slots in all between old nodes; fullest node at the end {slots:P2} over the mean by slots; {watch.Elapsed.TotalSeconds:F1} s");
        Assert.InRange(slots, 0, 0.032);
    }

    private static LayoutNode Node(int number) => new(new(1, (ulong)number), $"node-{number}", $"zone-{number % ZoneCount}", 100);

    private static AddNode Adding(LayoutNode node) => new(node.Id, node.Name, node.Zone, node.Weight);

    private static LayoutChanged Accepted(LayoutDecision decision) => decision is LayoutRefused refused ? throw new InvalidOperationException(refused.Reason) : (LayoutChanged)decision;

    private static long[] Ones(Layout layout) => [.. Enumerable.Repeat(1L, layout.Partitions.Length)];

    /// <summary>Objects and bytes in each partition. Sizes have a long tail: their logarithm is normal, the median 1 MiB, the mean 3.1 MiB, and one in a thousand has more than 100 MiB.</summary>
    private static (long[] Objects, long[] Bytes) Fill(Layout layout, int seed)
    {
        const double Median = 1 << 20, Spread = 1.5;
        var (objects, bytes) = (new long[layout.Partitions.Length], new long[layout.Partitions.Length]);
        var sizes = new Random(seed);
        // Keys as people name them: a folder, a number that counts up.
        Span<byte> key = stackalloc byte[24];
        "photos/2026/"u8.CopyTo(key);
        for (var i = 0; i < Objects; i++)
        {
            var rest = i / Buckets;
            for (var digit = 23; digit >= 12; digit--, rest /= 10) key[digit] = (byte)('0' + (rest % 10));
            var partition = layout.PartitionOf(new BucketId(i % Buckets), key);
            objects[partition]++;
            var normal = Math.Sqrt(-2 * Math.Log(1 - sizes.NextDouble())) * Math.Cos(2 * Math.PI * sizes.NextDouble());
            bytes[partition] += (long)(Median * Math.Exp(Spread * normal));
        }
        return (objects, bytes);
    }

    /// <summary>What the fullest node holds over the mean of the active ones.</summary>
    private static double Imbalance(Layout layout, long[] contents)
    {
        var held = new long[layout.Nodes.Length];
        for (var partition = 0; partition < contents.Length; partition++)
        {
            foreach (var node in layout.Partitions[partition].Nodes) held[node] += contents[partition];
        }
        return held.Max() / held.Average() - 1;
    }

    private static double Moved(LayoutChanged changed, long[] contents) =>
        (double)changed.Movements.Sum(movement => contents[movement.Partition]) / (Copies * contents.Sum());

    private static void AssertApart(Layout layout)
    {
        foreach (var partition in layout.Partitions)
            Assert.Equal(Copies, partition.Nodes.Select(node => layout.Nodes[node].Zone).Distinct().Count());
    }
}
