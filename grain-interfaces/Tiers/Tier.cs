using System.Collections.Immutable;
using Orleans;

namespace DarkStorage.GrainInterfaces.Tiers;

/// <summary>A class of places that bytes may be in.</summary>
/// <param name="Name">What operators call it: <c>hot</c>, <c>warm</c>, <c>cold</c> …</param>
/// <param name="StorageClass">What S3 calls it. No two tiers have the same, so a version's class says its tier.</param>
/// <param name="Integration">Where the bytes are; null is the cluster's own drives.</param>
/// <param name="Cost">What a gigabyte (10^9 bytes) costs there for a month, in the one currency that the operator counts in; null where that is not known.</param>
[GenerateSerializer, Immutable, Alias("tier")]
public sealed record Tier(string Name, string StorageClass, string? Integration, decimal? Cost = null)
{
    /// <summary>The tier that every version is in which no other was wanted for: the cluster's own drives. It is always there.</summary>
    public static readonly Tier Hot = new("hot", "STANDARD", null);

    /// <summary>The storage classes of archives: what is in a tier of one of these has to be restored before it is read (Amazon S3 API, RestoreObject).</summary>
    public static readonly ImmutableArray<string> Archives = ["GLACIER", "DEEP_ARCHIVE"];
}
