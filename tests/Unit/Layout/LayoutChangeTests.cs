using System.Text.Json;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Rules.Cluster;
using Xunit;

namespace DarkStorage.Unit.Cluster;

public sealed class LayoutChangeTests
{
    private static readonly LayoutNode Joining = Clusters.Node(9, "z1", 70);

    public static TheoryData<LayoutChange> Changes() =>
    [
        Clusters.Adding(Joining), new DrainNode(new(0, 1)), new ReweighNode(new(0, 2), 30), new RemoveNode(new(0, 3)), new ReplaceNode(new(0, 3), NodeId.New(), "z0", 50), new ChangeReplication(new(2, 4, true)), new DrainNode(NodeId.New()),
    ];

    [Theory, MemberData(nameof(Changes))]
    public void What_is_written_down_is_read_back(LayoutChange change) => Assert.Equal(change, LayoutChanges.Read(LayoutChanges.Write(change)));

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"kind":"drain"}""")]
    [InlineData("""{"kind":"drain","node":"12"}""")]
    [InlineData("""{"kind":"reweigh","node":"00000000000000000000000000000001"}""")]
    [InlineData("""{"kind":"melt","node":"00000000000000000000000000000001"}""")]
    [InlineData("null")]
    public void What_is_no_change_is_refused(string document) => Assert.Throws<JsonException>(() => LayoutChanges.Read(document));

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void What_takes_a_change_back_leaves_everything_where_it_was(int which)
    {
        var before = Clusters.First(Clusters.Nodes(6, 3), 3);
        LayoutChange change = which switch { 1 => Clusters.Adding(Joining), 2 => new DrainNode(new(0, 2)), _ => new ReweighNode(new(0, 2), 20) };
        var changed = before.Next(change).Layout;
        var after = Clusters.Accepted(Layouts.Next(changed, LayoutChanges.Undo(before, change)!, changed.Version)).Layout;
        Clusters.Check(after);
        Assert.NotEqual(Clusters.Slots(before, 0, 3), Clusters.Slots(changed, 0, 3)[..6]);
        Assert.Equal(before.Nodes, after.Nodes.Where(n => n.State == NodeState.Active && n.Id != Joining.Id));
        Assert.Equal(before.Partitions.Select(p => p.Nodes.AsEnumerable()), after.Partitions.Select(p => p.Nodes.AsEnumerable()));
        // What was written meanwhile is where the change had it go.
        Assert.All(before.Partitions.Zip(changed.Partitions, after.Partitions), p => Assert.Equal(p.First.Nodes.SequenceEqual(p.Second.Nodes), p.Third.IsSettled));
    }

    [Fact]
    public void A_change_of_replication_is_taken_back_to_what_was_before_and_a_removal_stays()
    {
        var before = Clusters.First(Clusters.Nodes(6, 3), 2);
        Assert.Equal(new ChangeReplication(before.Replication), LayoutChanges.Undo(before, new ChangeReplication(new(3, 3, false))));
        Assert.Null(LayoutChanges.Undo(before, new RemoveNode(new(0, 2))));
    }
}
