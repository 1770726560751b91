using Orleans;

namespace DarkStorage.GrainInterfaces.Cluster;

/// <summary>What an operator asks of a layout.</summary>
[GenerateSerializer, Immutable, Alias("layout-change")]
public abstract record LayoutChange;

/// <summary>A node comes, or one that drains stays after all.</summary>
[GenerateSerializer, Immutable, Alias("layout-add-node")]
public sealed record AddNode(NodeId Id, string Name, string Zone, int Weight) : LayoutChange;

/// <summary>All that a node holds is moved off it, while it is still read from.</summary>
[GenerateSerializer, Immutable, Alias("layout-drain-node")]
public sealed record DrainNode(NodeId Id) : LayoutChange;

[GenerateSerializer, Immutable, Alias("layout-reweigh-node")]
public sealed record ReweighNode(NodeId Id, int Weight) : LayoutChange;

/// <summary>A node is not coming back, or has been drained and is taken off.</summary>
[GenerateSerializer, Immutable, Alias("layout-remove-node")]
public sealed record RemoveNode(NodeId Id) : LayoutChange;

/// <summary>A node whose drive is lost is back with an empty one, which is another node: it takes the places of the one that it was, and nothing else moves for it.</summary>
/// <param name="Id">That it was.</param>
/// <param name="By">That it is.</param>
[GenerateSerializer, Immutable, Alias("layout-replace-node")]
public sealed record ReplaceNode(NodeId Id, NodeId By, string Zone, int Weight) : LayoutChange;

[GenerateSerializer, Immutable, Alias("layout-change-replication")]
public sealed record ChangeReplication(Replication Replication) : LayoutChange;
