using System.Collections.Immutable;
using Orleans;

namespace DarkStorage.GrainInterfaces.Cluster;

/// <summary>The cluster's layout: who is in it, and what becomes of the data when that changes. There is one, with the key <see cref="Key"/>.</summary>
[Alias("cluster")]
public interface IClusterGrain : IGrainWithStringKey
{
    const string Key = "cluster";

    /// <summary>The least that a node may be told to spend on repairs and movements, in MiB per second.</summary>
    const int HealMiBPerSecondLeast = 1;
    /// <summary>The most: more than any drive takes.</summary>
    const int HealMiBPerSecondMost = 16_384;

    /// <summary>Brings a node that joined into the layout, unless it is there. The first layout is made when there are as many nodes as copies are wanted.</summary>
    /// <returns>Null where it is in the layout; otherwise one sentence that says what it waits for.</returns>
    [Alias("admit")]
    Task<string?> AdmitAsync(NodeId node, CancellationToken ct);

    /// <summary>Changes the layout as an operator asks.</summary>
    /// <returns>Null where it was changed; otherwise one sentence that says why not, and nothing is changed.</returns>
    [Alias("change")]
    Task<string?> ChangeAsync(LayoutChange change, CancellationToken ct);

    /// <summary>Takes back a change of the layout that has not ended: by the change that undoes it, which moves back what was moved.</summary>
    /// <param name="job">The version of the layout that the change made.</param>
    /// <returns>Null where it was taken back; otherwise one sentence that says why not.</returns>
    [Alias("cancel")]
    Task<string?> CancelAsync(long job, CancellationToken ct);

    /// <summary>Lets the next node that joins with a node's name take its place: the drive of the one that had it is lost. If it is back before that, with its drive, it stays.</summary>
    /// <returns>Null where one may; otherwise one sentence that says why not.</returns>
    [Alias("replace")]
    Task<string?> ReplaceAsync(NodeId node, CancellationToken ct);

    /// <summary>Tells every node what to spend on repairs and movements from now on.</summary>
    /// <param name="mibPerSecond">From <see cref="HealMiBPerSecondLeast"/> to <see cref="HealMiBPerSecondMost"/>; null: as each is configured.</param>
    [Alias("set-heal-rate")]
    Task SetHealRateAsync(int? mibPerSecond, CancellationToken ct);

    /// <summary>Asks that a bucket's objects may be kept so from now on. Where they may, programs that do not know of it can't join any more.</summary>
    /// <param name="copies">Null where stripes are asked for, of <paramref name="data"/> and <paramref name="parity"/> shards.</param>
    /// <returns>Null where they may; otherwise one sentence that says why not.</returns>
    [Alias("refusal-of")]
    Task<string?> AllowAsync(int? copies, int? data, int? parity, CancellationToken ct);

    /// <summary>Forgets what partitions were before the given version of the layout: all that they held is where it should be now.</summary>
    [Alias("settle")]
    Task SettleAsync(long version, CancellationToken ct);

    /// <summary>Asked by programs of level 1 alone; the others ask <see cref="IClusterReader"/>.</summary>
    [Alias("describe")]
    Task<ClusterDescription> DescribeAsync(CancellationToken ct);
}

/// <summary>The cluster as an operator sees it.</summary>
/// <param name="LayoutVersion">0 where there is none yet.</param>
/// <param name="Copies">Of everything, by default.</param>
/// <param name="PartitionsMoving">Whose bytes are not all where they should be, of <paramref name="Partitions"/>.</param>
/// <param name="Replication">The same copies, and how wide stripes may be.</param>
[GenerateSerializer, Immutable, Alias("cluster-description")]
public sealed record ClusterDescription(
    Guid Id, long LayoutVersion, int Copies, int Partitions, int PartitionsMoving, ImmutableArray<ClusterNodeDescription> Nodes, Replication Replication)
{
    /// <summary>To be asked before a grain is, which may be at a node that runs an older program, and then knows nothing of it.</summary>
    /// <returns>Null where every node's program is of a level; else the sentence that says which are not.</returns>
    public string? RefusalByOlder(int level)
    {
        var older = string.Join(", ", Nodes.Where(n => n.Level < level).Select(n => n.Name));
        return older.Length > 0 ? ClusterLevels.RefusalBy(older) : null;
    }
}

/// <param name="State">As the layout has it: waiting, active, draining or gone; gateway for one without a drive.</param>
/// <param name="Partitions">That it holds.</param>
/// <param name="LayoutSeen">The newest version of the layout that the node works by.</param>
/// <param name="LayoutMoved">The newest version of which it has all that it should hold.</param>
/// <param name="Repairs">Blobs that wait to be put right there.</param>
/// <param name="Level">What its program knows of: see <see cref="ClusterLevels"/>.</param>
[GenerateSerializer, Immutable, Alias("cluster-node-description")]
public sealed record ClusterNodeDescription(
    NodeId Id, string Name, string Zone, string? Address, int Weight, string State, int Partitions, long LayoutSeen, long LayoutMoved, long Repairs, int Level);
