namespace DarkStorage.GrainInterfaces.Cluster;

/// <summary>How new the programs of a cluster's nodes have to be for what is stored in it. A level is the number of the newest migration of the shared index that a program knows, so whatever older
/// programs would not understand comes with a migration, if only an empty one; docs/adr/0014-upgrades.md.</summary>
public static class ClusterLevels
{
    /// <summary>The level of programs that do not say one.</summary>
    public const int First = 1;

    /// <summary>Blob ids say how a blob is kept: stripes, and buckets with copies of their own number.</summary>
    public const int Redundancy = 2;

    /// <summary>Changes of the layout are jobs, and what nodes spend on them is told to all at once.</summary>
    public const int Jobs = 3;

    /// <summary>There may be integrations, whose credentials are sealed under the cluster's secret.</summary>
    public const int Integrations = 6;

    /// <summary>The bytes of a version may be outside.</summary>
    public const int Places = 7;

    /// <summary>What is archived may be readable for a time.</summary>
    public const int Restores = 8;

    /// <summary>Accesses are counted, and tiers have costs.</summary>
    public const int Accesses = 9;

    /// <summary>Requests are counted, and tiers have costs of those.</summary>
    public const int Usage = 10;

    /// <summary>Integrations may be authorized by OAuth, whose tokens a grain renews.</summary>
    public const int Authorizations = 11;

    /// <summary>Tiers have a latency, and a cost that is a multiple of another.</summary>
    public const int TierTraits = 12;

    /// <summary>Of this program.</summary>
    public const int Newest = TierTraits;

    /// <param name="older">Names of nodes.</param>
    public static string RefusalBy(string older) => $"This takes a newer version of DarkStorage on every node, and these run an older one: {older}. Upgrade them first, or take those out that do not come back.";
}
