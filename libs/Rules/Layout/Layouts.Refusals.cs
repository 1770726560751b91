using System.Buffers;
using DarkStorage.GrainInterfaces.Cluster;

namespace DarkStorage.Rules.Cluster;

public static partial class Layouts
{
    private static readonly SearchValues<char> NameCharacters = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.");

    private static string? Refuse(IReadOnlyList<LayoutNode> known, LayoutNode node)
    {
        if (!IsName(node.Name)) return $"A node's name has 1 to {NameLengthMax} letters, digits, dashes, dots and underscores.";
        if (!IsName(node.Zone)) return $"A zone's name has 1 to {NameLengthMax} letters, digits, dashes, dots and underscores.";
        if (RefuseWeight(node.Weight) is { } refusal) return refusal;
        if (known.Count >= NodesMax) return $"A layout has {NodesMax} nodes at the most.";
        foreach (var other in known)
        {
            if (other.Id == node.Id) return $"{other.Name} and {node.Name} have the same id, {node.Id}.";
            if (other.Name == node.Name && other.State != NodeState.Gone) return $"There is a node {node.Name} in the layout.";
        }
        return null;
    }

    private static string? RefuseWeight(int weight) => weight is >= 1 and <= WeightMax ? null : $"A node's weight is 1 to {WeightMax}, not {weight}.";

    private static string? Refuse(IReadOnlyList<LayoutNode> nodes, Replication replication)
    {
        var (factor, width, shared) = replication;
        if (!Factors.Contains(factor)) return $"A cluster keeps {FactorsText} copies, not {factor}.";
        if (width < factor || width > WidthMax) return $"With {factor} copies a partition has {factor} to {WidthMax} nodes, not {width}.";
        var active = nodes.Where(node => node.State == NodeState.Active).ToList();
        if (active.Count < factor) return $"{factor} copies need {factor} nodes, and {active.Count} would be active.";
        if (active.Count < width) return $"Partitions of {width} nodes need {width} nodes, and {active.Count} would be active.";
        var zones = active.Select(node => node.Zone).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToList();
        if (zones.Count < factor && !shared)
        {
            return $"{factor} copies need nodes in {factor} zones, and the active ones would be in {zones.Count} ({string.Join(", ", zones)}): add nodes elsewhere, or say that zones may be shared.";
        }
        return null;
    }

    private static LayoutRefused Unknown(NodeId id) => new($"There is no node {id} in the layout.");

    private static int Find(IReadOnlyList<LayoutNode> nodes, NodeId id)
    {
        for (var i = 0; i < nodes.Count; i++)
        {
            if (nodes[i].Id == id) return i;
        }
        return -1;
    }

    private static bool IsName(string name) => name.Length is > 0 and <= NameLengthMax && !name.AsSpan().ContainsAnyExcept(NameCharacters);

    private static string Word(NodeState state) => state switch
    {
        NodeState.Active => "active",
        NodeState.Draining => "draining",
        _ => "gone",
    };
}
