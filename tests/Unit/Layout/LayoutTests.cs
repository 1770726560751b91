using System.Diagnostics;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Rules.Cluster;
using Xunit;

namespace DarkStorage.Unit.Cluster;

public sealed class LayoutTests(ITestOutputHelper output)
{
    /// <summary>With 223245630 a node is alone in its zone, with 75 the copies leave no way to deal out the columns behind them fairly: both failed once.</summary>
    private static readonly int[] KnownSeeds = [1, 2, 3, 4, 75, 223245630];

    public static TheoryData<int> Seeds => [.. KnownSeeds, Random.Shared.Next()];

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(3, 3, 3)]
    [InlineData(4, 4, 3)]
    [InlineData(5, 5, 5)]
    [InlineData(7, 3, 2)]
    [InlineData(12, 3, 3)]
    [InlineData(50, 5, 3)]
    [InlineData(200, 20, 3)]
    public void The_first_layout_gives_equal_nodes_equal_shares_in_distinct_zones(int nodes, int zones, int factor)
    {
        var layout = Clusters.First(Clusters.Nodes(nodes, zones), factor);
        Clusters.Check(layout);
        Assert.All(layout.Partitions, partition => Assert.True(partition.IsSettled));
        Assert.Equal(1, layout.Version);
        output.WriteLine($"{layout.Partitions.Length} partitions, {string.Join(" ", Clusters.Slots(layout, 0, factor).Order().Chunk(Math.Max(1, nodes / 4)).Select(slots => slots[0]))}");
    }

    [Fact]
    public void Copies_of_a_lost_node_are_on_many_others()
    {
        var layout = Clusters.First(Clusters.Nodes(60, 10), 3);
        var partners = layout.Partitions.Where(partition => partition.Nodes.Contains((ushort)0)).SelectMany(partition => partition.Nodes).Distinct().Count() - 1;
        Assert.InRange(partners, 50, 54);   // there are 54 in other zones
    }

    [Fact]
    public void Buckets_with_fewer_copies_are_spread_as_evenly()
    {
        var layout = Clusters.First(Clusters.Nodes(40, 8), 3);
        for (var copies = 1; copies <= 3; copies++)
        {
            var slots = Clusters.Slots(layout, 0, copies);
            var fair = (double)copies * layout.Partitions.Length / 40;
            output.WriteLine($"{copies} copies: {slots.Min() / fair:P1} to {slots.Max() / fair:P1} of what is fair");
            Assert.All(slots, count => Assert.InRange(count, fair - 2, fair + 2));
        }
    }

    [Fact]
    public void Weights_are_kept_to_within_five_percent()
    {
        var random = new Random(11);
        var nodes = Enumerable.Range(1, 60).Select(number => Clusters.Node(number, $"z{number % 6}", random.Next(40, 400))).ToList();
        var layout = Clusters.First(nodes, 3);
        Clusters.Check(layout);
        var slots = Clusters.Slots(layout, 0, 3);
        var total = (double)nodes.Sum(node => node.Weight);
        for (var i = 0; i < nodes.Count; i++) Assert.InRange(slots[i] / (3d * layout.Partitions.Length), 0.95 * nodes[i].Weight / total, 1.05 * nodes[i].Weight / total);
    }

    [Fact]
    public void A_zone_that_is_too_heavy_is_filled_and_the_others_share_what_is_left()
    {
        // Zone a has 70 % of the weight, and can hold one copy of three at the most.
        LayoutNode[] nodes = [Clusters.Node(1, "a", 500), Clusters.Node(2, "a", 200), Clusters.Node(3, "b"), Clusters.Node(4, "c"), Clusters.Node(5, "d"), Clusters.Node(6, "e", 50)];
        Assert.Equal([5 / 7d, 2 / 7d, 4 / 7d, 4 / 7d, 4 / 7d, 2 / 7d], FairShares.Of(nodes, 3).Select(share => Math.Round(share, 9)), (a, b) => Math.Abs(a - b) < 1e-8);
        var layout = Clusters.First(nodes, 3);
        Clusters.Check(layout);
        Assert.InRange(layout.Partitions.Count(partition => partition.Nodes.Count(node => layout.Nodes[node].Zone == "a") == 1), layout.Partitions.Length - 2, layout.Partitions.Length);
    }

    [Fact]
    public void What_a_node_must_hold_of_the_copies_is_a_part_of_its_share_of_all_columns()
    {
        // Node 1 is alone in its zone, so it has a copy of everything, however light it is.
        LayoutNode[] nodes = [Clusters.Node(1, "a", 50), .. Enumerable.Range(2, 8).Select(number => Clusters.Node(number, number % 2 == 0 ? "b" : "c"))];
        var copies = FairShares.Of(nodes, 3);
        Assert.Equal(1, copies[0], 9);
        Assert.True(FairShares.Of(nodes, 6)[0] < 0.5);
        var shares = FairShares.Of(nodes, 6, given: copies);
        Assert.Equal(1, shares[0], 9);
        Assert.All(shares[1..], static share => Assert.Equal(5 / 8d, share, 9));
        Clusters.Check(Clusters.First(nodes, new Replication(3, 6, true)));
    }

    [Fact]
    public void A_node_that_joins_takes_its_share_and_nothing_else_moves()
    {
        var layout = Clusters.First(Clusters.Nodes(30, 5), 3);
        var changed = layout.Next(Clusters.Adding(Clusters.Node(31, "z1")));
        Clusters.Check(changed.Layout);
        Assert.All(changed.Movements, movement => Assert.Equal(new NodeId(0, 31), movement.To));
        Assert.InRange(Clusters.Moved(changed), 0.95 / 31, 1.05 / 31);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Of_a_node_that_leaves_only_what_it_held_moves(bool drained)
    {
        var layout = Clusters.First(Clusters.Nodes(30, 5), 3);
        var id = layout.Nodes[7].Id;
        var changed = layout.Next(drained ? new DrainNode(id) : new RemoveNode(id));
        Clusters.Check(changed.Layout);
        Assert.All(changed.Movements, movement => Assert.Equal(id, movement.From));
        Assert.Equal(Clusters.Slots(layout, 0, 3)[7], changed.Movements.Length);

        // The node is named until all is settled; then one that was removed is forgotten, and one that drained can be removed for nothing.
        Assert.Contains(changed.Layout.Nodes, node => node.Id == id);
        var settled = changed.Layout.SettleAll();
        Assert.Equal(drained, settled.Nodes.Any(node => node.Id == id));
        Clusters.Check(settled);
        if (drained) Assert.Empty(settled.Next(new RemoveNode(id)).Movements);
    }

    [Theory]
    [InlineData(4, 4)]
    [InlineData(6, 3)]
    [InlineData(8, 4)]
    [InlineData(12, 6)]
    [InlineData(15, 5)]
    [InlineData(24, 4)]
    [InlineData(60, 4)]
    public void Among_equal_nodes_nothing_moves_but_to_the_node_that_comes_or_from_the_one_that_goes(int nodes, int zones)
    {
        var layout = Clusters.First(Clusters.Nodes(nodes, zones), 3);
        foreach (var zone in (string[])["z1", "new"])
        {
            var joined = layout.Next(Clusters.Adding(Clusters.Node(nodes + 1, zone)));
            Clusters.Check(joined.Layout);
            Assert.All(joined.Movements, movement => Assert.Equal(new NodeId(0, (ulong)nodes + 1), movement.To));
        }
        var left = layout.Next(new DrainNode(layout.Nodes[1].Id));
        Clusters.Check(left.Layout);
        Assert.All(left.Movements, movement => Assert.Equal(layout.Nodes[1].Id, movement.From));
    }

    [Fact]
    public void A_change_of_weight_moves_the_difference()
    {
        var layout = Clusters.First(Clusters.Nodes(30, 5), 3);
        var heavier = layout.Next(new ReweighNode(layout.Nodes[3].Id, 200));
        Clusters.Check(heavier.Layout);
        Assert.All(heavier.Movements, movement => Assert.Equal(layout.Nodes[3].Id, movement.To));
        var back = heavier.Layout.Next(new ReweighNode(layout.Nodes[3].Id, 100));
        Clusters.Check(back.Layout);
        Assert.All(back.Movements, movement => Assert.Equal(layout.Nodes[3].Id, movement.From));
        Assert.InRange(Clusters.Moved(heavier), 0.9 / 31, 1.1 / 31);
    }

    [Fact]
    public void Partitions_split_when_nodes_would_have_too_few_and_a_split_moves_nothing()
    {
        var layout = Clusters.First(Clusters.Nodes(48, 6), 3);
        Assert.Equal(1024, layout.Partitions.Length);
        var changed = layout.Next(Clusters.Adding(Clusters.Node(49, "z0")));
        Clusters.Check(changed.Layout);
        Assert.Equal(2048, changed.Layout.Partitions.Length);
        Assert.InRange(Clusters.Moved(changed), 0.9 / 49, 1.2 / 49);
        for (var key = 0; key < 1000; key++)
        {
            var whole = layout.PartitionOf(new(7), $"key-{key}");
            Assert.Equal(whole, changed.Layout.PartitionOf(new(7), $"key-{key}") / 2);
        }
        var moved = changed.Movements.Select(movement => movement.Partition).ToHashSet();
        for (var partition = 0; partition < 2048; partition++)
        {
            if (!moved.Contains(partition)) Assert.Equal(layout.Partitions[partition / 2].Nodes.AsEnumerable(), changed.Layout.Partitions[partition].Nodes);
        }
    }

    [Fact]
    public void Wider_partitions_have_nodes_for_stripes_behind_their_copies()
    {
        var layout = Clusters.First(Clusters.Nodes(24, 3), new Replication(3, 6, false));
        Clusters.Check(layout);   // two of six in each of three zones, and the copies in distinct ones
        Assert.Equal(6, layout.Partitions[5].Nodes.Length);
        Assert.Equal(layout.ReplicasOf(5), layout.HoldersOf(5, 6).Take(3));

        var narrow = Clusters.First(Clusters.Nodes(24, 3), 3);
        var wider = narrow.Next(new ChangeReplication(new(3, 6, false)));
        Clusters.Check(wider.Layout);
        Assert.Equal(3 * 1024, wider.Movements.Length);
        Assert.All(wider.Movements, movement => Assert.Null(movement.From));
        var narrower = wider.Layout.SettleAll().Next(new ChangeReplication(Replication.Of(3)));
        Assert.Empty(narrower.Movements);
        Assert.All(narrower.Layout.Partitions, partition => Assert.True(partition.IsSettled));
    }

    [Fact]
    public void More_copies_leave_those_that_are_there_where_they_are()
    {
        var layout = Clusters.First(Clusters.Nodes(20, 5), 2);
        var changed = layout.Next(new ChangeReplication(Replication.Of(3)));
        Clusters.Check(changed.Layout);
        Assert.InRange(changed.Movements.Count(movement => movement.From is not null), 0, changed.Layout.Partitions.Length / 50);
    }

    [Fact]
    public void What_a_partition_was_is_kept_until_its_movement_is_settled()
    {
        var first = Clusters.First(Clusters.Nodes(6, 3), 3);
        var joined = first.Next(Clusters.Adding(Clusters.Node(7, "z0"))).Layout;
        var partition = joined.Partitions.IndexOf(joined.Partitions.First(partition => !partition.IsSettled));
        Assert.Equal(first.Partitions[partition].Nodes.AsEnumerable(), Assert.Single(joined.Partitions[partition].Former));
        Assert.Equal(joined.ReplicasOf(partition), joined.HoldersOf(partition, 3).Take(3));
        Assert.Equal(4, joined.HoldersOf(partition, 3).Length);

        // The new node drains before anything moved: the first placement is still the whole one, and comes last in the order of reading.
        var drained = joined.Next(new DrainNode(new(0, 7))).Layout;
        Assert.Equal(2, drained.Partitions[partition].Former.Length);
        Assert.Equal(joined.Version + 1, drained.Partitions[partition].Since);

        // Who moved bytes by an older layout can't settle what a newer one changed.
        Assert.Same(drained, Layouts.Settle(drained, joined, [partition]));
        var settled = Layouts.Settle(drained, drained, [partition]);
        Assert.True(settled.Partitions[partition].IsSettled);
        Assert.Equal(drained.Version + 1, settled.Version);
        Assert.Equal(drained.Partitions.Count(p => !p.IsSettled) - 1, settled.Partitions.Count(p => !p.IsSettled));
    }

    [Fact]
    public void Settling_a_partition_that_has_been_split_since_settles_both_halves()
    {
        var before = Clusters.First(Clusters.Nodes(47, 6), 3).Next(Clusters.Adding(Clusters.Node(48, "z0"))).Layout;
        var after = before.Next(Clusters.Adding(Clusters.Node(49, "z1"))).Layout;
        Assert.Equal(2 * before.Partitions.Length, after.Partitions.Length);
        var settled = Layouts.Settle(after, before, Enumerable.Range(0, before.Partitions.Length));
        for (var partition = 0; partition < after.Partitions.Length; partition++)
            Assert.Equal(after.Partitions[partition].Since <= before.Version, settled.Partitions[partition].IsSettled);
        Assert.Contains(settled.Partitions, partition => !partition.IsSettled);
    }

    [Fact]
    public void Who_takes_the_place_of_a_lost_node_gets_what_that_one_held_and_nothing_else_moves()
    {
        var first = Clusters.First(Clusters.Nodes(5, 5), 3).Next(Clusters.Adding(Clusters.Node(6, "z0"))).Layout;
        var (lost, anew) = (new NodeId(0, 2), new NodeId(7, 7));
        var changed = first.Next(new ReplaceNode(lost, anew, "z2", 100));
        Clusters.Check(changed.Layout);
        var held = Enumerable.Range(0, first.Partitions.Length).Where(p => first.ReplicasOf(p).Any(n => n.Id == lost)).ToList();
        Assert.Equal(held, changed.Movements.Select(m => m.Partition));
        Assert.All(changed.Movements, m => Assert.Equal((lost, anew), (m.From!.Value, m.To)));
        foreach (var partition in held)
        {
            Assert.Equal(first.ReplicasOf(partition).Select(n => n.Id == lost ? anew : n.Id), changed.Layout.ReplicasOf(partition).Select(n => n.Id));
            Assert.DoesNotContain(changed.Layout.HoldersOf(partition, 3), n => n.Id == lost);
            Assert.False(changed.Layout.Partitions[partition].IsSettled);
        }
        // What was not settled before is where it was.
        Assert.All(Enumerable.Range(0, first.Partitions.Length).Except(held), p => Assert.Equal(first.HoldersOf(p, 3).Where(n => n.Id != lost), changed.Layout.HoldersOf(p, 3)));
        var settled = changed.Layout.SettleAll();
        Assert.Equal(["n1", "n2", "n3", "n4", "n5", "n6"], settled.Nodes.Select(n => n.Name).Order());
        Assert.Equal(settled.Nodes, LayoutCodec.Decode(LayoutCodec.Encode(settled)).Nodes);

        Assert.Contains("zone z2", first.Refusal(new ReplaceNode(lost, anew, "z1", 100)), StringComparison.Ordinal);
        Assert.Contains("no node", first.Refusal(new ReplaceNode(anew, lost, "z1", 100)), StringComparison.Ordinal);
        Assert.Contains("in the layout", first.Refusal(new ReplaceNode(lost, new(0, 3), "z2", 100)), StringComparison.Ordinal);
    }

    [Fact]
    public void More_copies_in_a_layout_that_is_wide_enough_are_movements_too()
    {
        var wide = Clusters.First(Clusters.Nodes(6, 6), new Replication(3, 6, false));
        var changed = wide.Next(new ChangeReplication(new(5, 6, false)));
        Clusters.Check(changed.Layout);
        Assert.All(changed.Layout.Partitions, p => Assert.False(p.IsSettled));
        Assert.All(Enumerable.Range(0, wide.Partitions.Length), p => Assert.Equal([3, 4], changed.Movements.Where(m => m.Partition == p && m.Position is 3 or 4).Select(m => m.Position)));
    }

    [Fact]
    public void A_node_that_was_away_in_between_gets_what_it_missed()
    {
        var first = Clusters.First(Clusters.Nodes(3, 3), Replication.Of(2));
        var drained = first.Next(new DrainNode(first.Nodes[0].Id)).Layout;
        var back = drained.Next(Clusters.Adding(first.Nodes[0]));
        Clusters.Check(back.Layout);
        var missed = Enumerable.Range(0, first.Partitions.Length)
            .Where(p => first.Partitions[p].Nodes.SequenceEqual(back.Layout.Partitions[p].Nodes) && !first.Partitions[p].Nodes.SequenceEqual(drained.Partitions[p].Nodes)).ToList();
        Assert.NotEmpty(missed);
        Assert.All(missed, p => Assert.False(back.Layout.Partitions[p].IsSettled));
    }

    [Fact]
    public void What_cannot_be_satisfied_is_refused_in_one_sentence()
    {
        Assert.Equal("3 copies need 3 nodes, and 2 would be active.", First([Clusters.Node(1, "a"), Clusters.Node(2, "b")], Replication.Of(3)));
        Assert.Equal("3 copies need nodes in 3 zones, and the active ones would be in 2 (a, b): add nodes elsewhere, or say that zones may be shared.",
            First([Clusters.Node(1, "a"), Clusters.Node(2, "b"), Clusters.Node(3, "a")], Replication.Of(3)));
        Assert.Equal("A cluster keeps 1, 2, 3 or 5 copies, not 4.", First(Clusters.Nodes(8, 8), Replication.Of(4)));
        Assert.Equal("Partitions of 6 nodes need 6 nodes, and 5 would be active.", First(Clusters.Nodes(5, 5), new(3, 6, false)));
        Assert.Equal("With 3 copies a partition has 3 to 48 nodes, not 2.", First(Clusters.Nodes(5, 5), new(3, 2, false)));
        Assert.Equal("With 3 copies a partition has 3 to 48 nodes, not 49.", First(Clusters.Nodes(60, 5), new(3, 49, false)));
        Assert.Equal("A node's weight is 1 to 1000000, not 0.", First([Clusters.Node(1, "a", 0)], Replication.Of(1)));
        Assert.Equal("A node's name has 1 to 63 letters, digits, dashes, dots and underscores.", First([Clusters.Node(1, "a") with { Name = "a b" }], Replication.Of(1)));
        Assert.Equal("A zone's name has 1 to 63 letters, digits, dashes, dots and underscores.", First([Clusters.Node(1, new('z', 64))], Replication.Of(1)));
        Assert.Equal("n1 and n2 have the same id, 00000000000000000000000000000001.", First([Clusters.Node(1, "a"), Clusters.Node(2, "a") with { Id = new(0, 1) }], Replication.Of(1)));

        var layout = Clusters.First(Clusters.Nodes(3, 3), 3);
        Assert.Equal("3 copies need 3 nodes, and 2 would be active.", layout.Refusal(new DrainNode(new(0, 1))));
        Assert.Equal("3 copies need 3 nodes, and 2 would be active.", layout.Refusal(new RemoveNode(new(0, 1))));
        Assert.Equal("n1 is in the layout.", layout.Refusal(Clusters.Adding(Clusters.Node(1, "z1"))));
        Assert.Equal("There is a node n1 in the layout.", layout.Refusal(new AddNode(new(0, 9), "n1", "a", 1)));
        Assert.Equal("There is no node 00000000000000000000000000000009 in the layout.", layout.Refusal(new DrainNode(new(0, 9))));
        Assert.Equal("A node's weight is 1 to 1000000, not 1000001.", layout.Refusal(new ReweighNode(new(0, 1), 1_000_001)));

        var four = Clusters.First(Clusters.Nodes(4, 4), 3).Next(new DrainNode(new(0, 1))).Layout;
        Assert.Equal("n1 is draining already.", four.Refusal(new DrainNode(new(0, 1))));
        Assert.Equal("n1 is draining, so its weight means nothing.", four.Refusal(new ReweighNode(new(0, 1), 5)));
        Assert.Equal("n1 is in zone z1: to be in elsewhere it has to be removed and come back empty, as another node.", four.Refusal(new AddNode(new(0, 1), "n1", "elsewhere", 5)));
        var removed = four.Next(new RemoveNode(new(0, 1))).Layout;
        Assert.Equal("n1 is gone already.", removed.Refusal(new RemoveNode(new(0, 1))));
        Assert.Equal("n1 was removed, and what it held has not been made anew yet.", removed.Refusal(Clusters.Adding(Clusters.Node(1, "z1"))));

        static string First(IReadOnlyList<LayoutNode> nodes, Replication replication) => Assert.IsType<LayoutRefused>(Layouts.First(nodes, replication, Clusters.Key)).Reason;
    }

    [Fact]
    public void Zones_are_shared_as_evenly_as_can_be_where_that_is_allowed()
    {
        var layout = Clusters.First(Clusters.Nodes(8, 2), new Replication(3, 3, ZonesMayBeShared: true));
        Clusters.Check(layout);
        Assert.All(layout.Partitions, partition => Assert.Equal(2, partition.Nodes.Select(node => layout.Nodes[node].Zone).Distinct().Count()));
        // A third zone comes: from now on the copies are apart.
        var apart = layout.Next(Clusters.Adding(Clusters.Node(9, "z9"))).Layout;
        Clusters.Check(apart);
    }

    [Fact]
    public void Buckets_ask_for_no_more_than_the_cluster_has()
    {
        var layout = Clusters.First(Clusters.Nodes(12, 4), new Replication(3, 6, false));
        Assert.Null(Layouts.RefusalOf(layout, 1));
        Assert.Null(Layouts.RefusalOf(layout, 3));
        Assert.Equal("The bucket asks for 5 copies, and the cluster keeps 3.", Layouts.RefusalOf(layout, 5));
        Assert.Equal("A bucket keeps 1, 2, 3 or 5 copies, not 4.", Layouts.RefusalOf(layout, 4));
        Assert.Null(Layouts.RefusalOf(layout, data: 4, parity: 2));
        Assert.Equal("A stripe of 5+2 needs partitions of 7 nodes, and the cluster's have 6: make the layout wider first.", Layouts.RefusalOf(layout, data: 5, parity: 2));
    }

    [Fact]
    public void A_partition_that_changes_again_and_again_without_being_settled_is_refused_at_last()
    {
        var layout = Clusters.First(Clusters.Nodes(4, 4), 3);
        var changes = 0;
        while (Layouts.Next(layout, changes % 2 == 0 ? new DrainNode(new(0, 1)) : Clusters.Adding(Clusters.Node(1, "z1"))) is LayoutChanged changed)
        {
            layout = changed.Layout;
            changes++;
        }
        Assert.True(changes >= Layouts.FormerMax);
        Assert.Contains("let the movements end first", layout.Refusal(changes % 2 == 0 ? new DrainNode(new(0, 1)) : Clusters.Adding(Clusters.Node(1, "z1"))), StringComparison.Ordinal);
        Assert.IsType<LayoutChanged>(Layouts.Next(layout.SettleAll(), changes % 2 == 0 ? new DrainNode(new(0, 1)) : Clusters.Adding(Clusters.Node(1, "z1"))));
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Random_histories_keep_all_invariants_and_move_no_more_than_they_must(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var zones = random.Next(3, 8);
        var factor = new[] { 1, 2, 3 }[random.Next(3)];
        var width = random.Next(4) == 0 ? 6 : factor;
        var nodes = Enumerable.Range(1, random.Next(8, 40)).Select(number => Clusters.Node(number, $"z{number % zones}", random.Next(50, 200))).ToList();
        var layout = Clusters.First(nodes, new Replication(factor, width, true));
        var (number, worst) = (nodes.Count, 0d);
        for (var step = 0; step < 25; step++)
        {
            var active = layout.Nodes.Where(node => node.State == NodeState.Active).ToList();
            var one = active[random.Next(active.Count)];
            LayoutChange change = random.Next(5) switch
            {
                0 or 1 => Clusters.Adding(Clusters.Node(++number, $"z{random.Next(zones)}", random.Next(50, 200))),
                2 => new DrainNode(one.Id),
                3 => new RemoveNode(one.Id),
                _ => new ReweighNode(one.Id, random.Next(50, 200)),
            };
            if (Layouts.Next(layout, change) is not LayoutChanged changed) continue;
            Assert.Equal(LayoutCodec.Encode(changed.Layout), LayoutCodec.Encode(Clusters.Accepted(Layouts.Next(layout, change)).Layout));
            Clusters.Check(changed.Layout);

            // What moves between nodes that the change is not about, as a part of all copies.
            var about = change switch
            {
                AddNode add => add.Id,
                DrainNode drain => drain.Id,
                RemoveNode remove => remove.Id,
                ReweighNode reweigh => reweigh.Id,
                _ => throw new UnreachableException(),
            };
            var others = changed.Movements.Count(movement => movement.To != about && movement.From != about);
            var excess = (double)others / (changed.Layout.Partitions.Length * width);
            var heaviest = Math.Max(HeaviestZone(layout), HeaviestZone(changed.Layout));
            // A cluster whose zones come to be enough is put apart as a whole.
            if (FairShares.PerZone(layout.Nodes, width) == FairShares.PerZone(changed.Layout.Nodes, width))
            {
                worst = Math.Max(worst, excess);
                // Where zones leave a choice, nothing; where a zone is in nearly all partitions, or stripes have to be kept apart from copies, docs/adr/0009-layout.md says why some must.
                // In 4,000 histories two changes moved more than is known of these seeds.
                var rare = KnownSeeds.Contains(seed) ? 1 : 2;
                var most = width > factor ? 0.12 * rare : heaviest > 0.6 ? 0.08 * rare : 0.002;
                Assert.True(excess <= most, $"step {step}: {change} moved {excess:P2} of all copies between others; a zone holds {heaviest:P1} of the partitions, {active.Count} nodes.");
            }
            layout = random.Next(3) == 0 ? changed.Layout : changed.Layout.SettleAll();
        }
        output.WriteLine($"{factor} copies, width {width}, {zones} zones: at worst {worst:P2} of all copies moved between nodes that the change was not about");
    }

    [Theory, MemberData(nameof(Seeds))]
    public void A_layout_survives_being_written_and_read(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var layout = Clusters.First(Clusters.Nodes(random.Next(6, 300), 6), new Replication(3, random.Next(3, 7), random.Next(2) == 0));
        for (var i = 0; i < 3; i++) layout = layout.Next(new DrainNode(layout.Nodes.Where(node => node.State == NodeState.Active).ElementAt(0).Id) is var drain && layout.Nodes.Length > 12 ? drain : Clusters.Adding(Clusters.Node(1000 + i, "z0"))).Layout;
        var bytes = LayoutCodec.Encode(layout);
        var read = LayoutCodec.Decode(bytes);
        output.WriteLine($"{layout.Nodes.Length} nodes, {layout.Partitions.Length} partitions: {bytes.Length} bytes");
        AssertSame(layout, read);

        for (var i = 0; i < 200; i++)
        {
            var damaged = bytes.ToArray();
            damaged[random.Next(damaged.Length)] ^= (byte)(1 << random.Next(8));
            Refuses(damaged);
            Refuses(bytes[..random.Next(bytes.Length)]);
        }
        Refuses([.. bytes, 0]);
        Refuses([]);

        static void Refuses(byte[] bytes) => Assert.Equal(StorageError.DataDamaged, Assert.Throws<StorageException>(() => LayoutCodec.Decode(bytes)).Error);
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Bytes_that_are_wrong_in_spite_of_their_checksum_are_refused_or_read_within_bounds(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var bytes = LayoutCodec.Encode(Clusters.First(Clusters.Nodes(9, 3), 3).Next(Clusters.Adding(Clusters.Node(10, "z0"))).Layout);
        for (var i = 0; i < 500; i++)
        {
            var forged = bytes.ToArray();
            for (var change = random.Next(1, 4); change > 0; change--) forged[random.Next(8, random.Next(2) == 0 ? 300 : forged.Length - 4)] = (byte)random.Next(256);
            BitConverter.TryWriteBytes(forged.AsSpan(forged.Length - 4), DarkStorage.Storage.Crc32C.Append(0, forged.AsSpan(0, forged.Length - 4)));
            try
            {
                var read = LayoutCodec.Decode(forged);
                Assert.All(read.Partitions, partition => Assert.All(partition.Nodes, node => Assert.True(node < read.Nodes.Length)));
            }
            catch (StorageException damaged)
            {
                Assert.Equal(StorageError.DataDamaged, damaged.Error);
            }
        }
    }

    [Fact]
    public void Keys_are_hashed_by_SipHash_2_4()
    {
        // Of the reference implementation's vectors (vectors.h): the key is the bytes 0 to 15, the message the first n of 0, 1, 2, …
        Assert.Equal(0x726FDB47DD0E0E31ul, Clusters.Key.Hash([]));
        Assert.Equal(0xA129CA6149BE45E5ul, Clusters.Key.Hash([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]));   // the paper's own
        // The bucket's id stands before the key as 8 bytes.
        Assert.Equal(0xA129CA6149BE45E5ul, Clusters.Key.Hash(new BucketId(0x0706050403020100), [8, 9, 10, 11, 12, 13, 14]));
        var longKey = new string('é', 700);
        Assert.Equal(Clusters.Key.Hash(new BucketId(1), Encoding.UTF8.GetBytes(longKey)), Clusters.Key.Hash(new BucketId(1), longKey));
    }


    /// <summary>The part of all partitions that have a copy in the zone that has most.</summary>
    private static double HeaviestZone(Layout layout) =>
        layout.Nodes.Zip(FairShares.Of(layout.Nodes, layout.Replication.Factor)).GroupBy(node => node.First.Zone).Max(zone => zone.Sum(node => node.Second));

    private static void AssertSame(Layout expected, Layout actual)
    {
        Assert.Equal((expected.Version, expected.Placement, expected.Replication), (actual.Version, actual.Placement, actual.Replication));
        Assert.Equal(expected.Nodes.AsEnumerable(), actual.Nodes);
        Assert.Equal(expected.Partitions.Length, actual.Partitions.Length);
        foreach (var (a, b) in expected.Partitions.Zip(actual.Partitions))
        {
            Assert.True(a.Nodes.SequenceEqual(b.Nodes));
            Assert.Equal(a.Since, b.Since);
            Assert.Equal(a.Former.Length, b.Former.Length);
            foreach (var (x, y) in a.Former.Zip(b.Former)) Assert.True(x.SequenceEqual(y));
        }
    }
}
