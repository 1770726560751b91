using System.Collections.Immutable;
using Orleans;

namespace DarkStorage.GrainInterfaces.Tiers;

/// <summary>A class of places that bytes may be in.</summary>
/// <param name="Name">What operators call it: <c>hot</c>, <c>warm</c>, <c>cold</c> …</param>
/// <param name="StorageClass">What S3 calls it. No two tiers have the same, so a version's class says its tier.</param>
/// <param name="Integration">Where the bytes are; null is the cluster's own drives.</param>
/// <param name="Cost">What a gigabyte (10^9 bytes) costs there for a month, in the one currency that the operator counts in; null where that is not known, as of the next three.</param>
/// <param name="ReadCost">What a thousand requests cost that read.</param>
/// <param name="WriteCost">What a thousand requests cost that write or list.</param>
/// <param name="EgressCost">What a gigabyte costs that goes to clients.</param>
[GenerateSerializer, Immutable, Alias("tier")]
public sealed record Tier(string Name, string StorageClass, string? Integration, decimal? Cost = null, decimal? ReadCost = null, decimal? WriteCost = null, decimal? EgressCost = null)
{
    /// <summary>The tier that every version is in which no other was wanted for: the cluster's own drives. It is always there.</summary>
    public static readonly Tier Hot = new("hot", "STANDARD", null);

    /// <summary>The storage classes of archives: what is in a tier of one of these has to be restored before it is read (Amazon S3 API, RestoreObject).</summary>
    public static readonly ImmutableArray<string> Archives = ["GLACIER", "DEEP_ARCHIVE"];
}

/// <summary>What is said of a tier's costs. What is null stays as it is.</summary>
/// <param name="Storage">See <see cref="Tier.Cost"/>, <see cref="Tier.ReadCost"/>, <see cref="Tier.WriteCost"/> and <see cref="Tier.EgressCost"/>.</param>
[GenerateSerializer, Immutable, Alias("tier-costs")]
public sealed record TierCosts(decimal? Storage, decimal? Reads, decimal? Writes, decimal? Egress)
{
    /// <summary>Nothing is said.</summary>
    public static readonly TierCosts None = new(null, null, null, null);

    public Tier Of(Tier tier) => tier with { Cost = Storage ?? tier.Cost, ReadCost = Reads ?? tier.ReadCost, WriteCost = Writes ?? tier.WriteCost, EgressCost = Egress ?? tier.EgressCost };

    public static TierCosts From(Tier? tier) => tier is null ? None : new(tier.Cost, tier.ReadCost, tier.WriteCost, tier.EgressCost);
}
