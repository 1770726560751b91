using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Cluster;

namespace DarkStorage.Rules.Cluster;

/// <summary>What comes of a change that was asked for.</summary>
public abstract record LayoutDecision;

/// <param name="Layout">The next version.</param>
/// <param name="Movements">What this change moves, besides what was unsettled before.</param>
public sealed record LayoutChanged(Layout Layout, ImmutableArray<Movement> Movements) : LayoutDecision;

/// <param name="Reason">One sentence for the operator. Nothing is changed.</param>
public sealed record LayoutRefused(string Reason) : LayoutDecision;
