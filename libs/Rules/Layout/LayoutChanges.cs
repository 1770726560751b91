using System.Globalization;
using System.Text.Json;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Rules.Buckets;

namespace DarkStorage.Rules.Cluster;

/// <summary>Changes of a layout as work that is remembered: what each is called, what takes it back, and how it is written down.</summary>
public static class LayoutChanges
{
    private sealed record Document(string Kind, string? Node, string? Name, string? Zone, int? Weight, int? Copies, int? Width, bool? ZonesMayBeShared, string? By = null);

    public static string KindOf(LayoutChange change) => change switch
    {
        AddNode => "add",
        DrainNode => "drain",
        ReweighNode => "reweigh",
        RemoveNode => "remove",
        ReplaceNode => "replace",
        ChangeReplication => "replication",
        _ => throw Unknown(change),
    };

    /// <summary>The node that a change is about; null where it is about all.</summary>
    public static NodeId? NodeOf(LayoutChange change) => change switch
    {
        AddNode add => add.Id,
        DrainNode drain => drain.Id,
        ReweighNode reweigh => reweigh.Id,
        RemoveNode remove => remove.Id,
        ReplaceNode replace => replace.Id,
        _ => null,
    };

    /// <summary>What takes a change back.</summary>
    /// <param name="before">The layout that it was asked of, and that allowed it.</param>
    /// <returns>Null where nothing does: what a node held that was taken out, or replaced, is made anew, whatever becomes of the node.</returns>
    public static LayoutChange? Undo(Layout before, LayoutChange change)
    {
        var known = NodeOf(change) is { } id ? before.Nodes.FirstOrDefault(n => n.Id == id) : null;
        return change switch
        {
            AddNode add => new DrainNode(add.Id),
            DrainNode => new AddNode(known!.Id, known.Name, known.Zone, known.Weight),
            ReweighNode => new ReweighNode(known!.Id, known.Weight),
            ChangeReplication => new ChangeReplication(before.Replication),
            RemoveNode or ReplaceNode => null,
            _ => throw Unknown(change),
        };
    }

    /// <summary>A JSON document.</summary>
    public static string Write(LayoutChange change)
    {
        var kind = KindOf(change);
        return SettingJson.Write(change switch
        {
            AddNode add => new Document(kind, add.Id.ToString(), add.Name, add.Zone, add.Weight, null, null, null),
            ReweighNode reweigh => new Document(kind, reweigh.Id.ToString(), null, null, reweigh.Weight, null, null, null),
            ReplaceNode replace => new Document(kind, replace.Id.ToString(), null, replace.Zone, replace.Weight, null, null, null, replace.By.ToString()),
            ChangeReplication { Replication: var to } => new Document(kind, null, null, null, null, to.Factor, to.Width, to.ZonesMayBeShared),
            _ => new Document(kind, NodeOf(change).ToString(), null, null, null, null, null, null),
        });
    }

    /// <exception cref="JsonException">The document is not what <see cref="Write"/> makes.</exception>
    public static LayoutChange Read(string document) => SettingJson.Read<Document>(document) switch
    {
        { Kind: "add", Node: { } node, Name: { } name, Zone: { } zone, Weight: { } weight } => new AddNode(ParseId(node), name, zone, weight),
        { Kind: "drain", Node: { } node } => new DrainNode(ParseId(node)),
        { Kind: "reweigh", Node: { } node, Weight: { } weight } => new ReweighNode(ParseId(node), weight),
        { Kind: "replace", Node: { } node, By: { } by, Zone: { } zone, Weight: { } weight } => new ReplaceNode(ParseId(node), ParseId(by), zone, weight),
        { Kind: "remove", Node: { } node } => new RemoveNode(ParseId(node)),
        { Kind: "replication", Copies: { } copies, Width: { } width, ZonesMayBeShared: { } shared } => new ChangeReplication(new(copies, width, shared)),
        var other => throw new JsonException($"{other.Kind} is no change of a layout, or lacks something."),
    };

    private static NodeId ParseId(string text) =>
        text.Length == 2 * NodeId.ByteLength && UInt128.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var id)
            ? new((ulong)(id >> 64), (ulong)id)
            : throw new JsonException($"{text} is no id of a node.");

    private static ArgumentException Unknown(LayoutChange change) => new($"{change.GetType().Name} is no change of a layout.", nameof(change));
}
