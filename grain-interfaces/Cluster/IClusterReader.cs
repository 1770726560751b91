using System.Collections.Immutable;

namespace DarkStorage.GrainInterfaces.Cluster;

/// <summary>The cluster as the shared index has it: read past the grain that decides, so that a node answers in its own words while others run another version of the program.</summary>
public interface IClusterReader
{
    Task<ClusterDescription> DescribeAsync(CancellationToken ct);

    /// <summary>Changes of the layout: all that have not ended, and the last that have, the newest first.</summary>
    Task<ImmutableArray<ClusterJob>> ListJobsAsync(CancellationToken ct);

    /// <returns>MiB per second that each node spends on repairs and movements; null where each does as it is configured.</returns>
    Task<int?> ReadHealRateAsync(CancellationToken ct);
}

/// <summary>A change of the layout as the long work that it is.</summary>
/// <param name="Id">The version of the layout that it made.</param>
/// <param name="Kind">add, drain, reweigh, remove or replication.</param>
/// <param name="Node">The name of the node that it is about; null where it is about all.</param>
/// <param name="Change">A JSON document: what was asked for.</param>
/// <param name="State">waiting, moving, done or cancelled.</param>
/// <param name="WaitsFor">Names of running nodes that work by the layout before still: they have writes under way.</param>
/// <param name="Nodes">Those that have something to fetch for it, or had.</param>
public sealed record ClusterJob(
    long Id, string Kind, string? Node, string Change, string State, bool CanBeCancelled, DateTimeOffset Begun, DateTimeOffset? Ended, ImmutableArray<string> WaitsFor, ImmutableArray<ClusterJobNode> Nodes);

/// <param name="IsDone">It has all that it should.</param>
/// <param name="Blobs">That it has to look at.</param>
/// <param name="Passed">That it has looked at.</param>
/// <param name="Copied">Of which something was to be copied.</param>
/// <param name="Bytes">That were copied.</param>
/// <param name="Time">That it has taken so far.</param>
public sealed record ClusterJobNode(string Name, bool IsDone, long Blobs, long Passed, long Copied, long Bytes, TimeSpan Time);
