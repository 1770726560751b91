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
/// <param name="CostMultiplier">By what <paramref name="Cost"/> is that of <see cref="Hot"/> multiplied, where it was not said itself; null where it was, or nothing is usual for the class.</param>
/// <param name="Latency">How long it takes there until the first byte of what is read has come; <see cref="TierLatency.Unknown"/> where nobody has said, and nothing is usual for the class.</param>
[GenerateSerializer, Immutable, Alias("tier")]
public sealed record Tier(
    string Name, string StorageClass, string? Integration, decimal? Cost = null, decimal? ReadCost = null, decimal? WriteCost = null, decimal? EgressCost = null, decimal? CostMultiplier = null, TierLatency Latency = TierLatency.Unknown)
{
    /// <summary>The tier that every version is in which no other was wanted for: the cluster's own drives. It is always there.</summary>
    public static readonly Tier Hot = new("hot", "STANDARD", null);

    /// <summary>The storage classes of archives: what is in a tier of one of these has to be restored before it is read (Amazon S3 API, RestoreObject).</summary>
    public static readonly ImmutableArray<string> Archives = ["GLACIER", "DEEP_ARCHIVE"];
}

/// <summary>The unit that one would tell the time in which it takes until the first byte of a read has come.</summary>
public enum TierLatency : byte
{
    Unknown,
    Milliseconds,
    Seconds,
    Minutes,
    Hours,
}

/// <summary>What is said of a tier's costs. What is null stays as it is.</summary>
/// <param name="Storage">See <see cref="Tier.Cost"/>, <see cref="Tier.ReadCost"/>, <see cref="Tier.WriteCost"/> and <see cref="Tier.EgressCost"/>.</param>
/// <param name="Multiplier">Instead of <paramref name="Storage"/>: see <see cref="Tier.CostMultiplier"/>. Whichever was said last holds.</param>
[GenerateSerializer, Immutable, Alias("tier-costs")]
public sealed record TierCosts(decimal? Storage, decimal? Reads, decimal? Writes, decimal? Egress, decimal? Multiplier = null)
{
    /// <summary>Nothing is said.</summary>
    public static readonly TierCosts None = new(null, null, null, null);

    public Tier Of(Tier tier) => tier with
    {
        Cost = Storage ?? (Multiplier is null ? tier.Cost : null),
        CostMultiplier = Multiplier ?? (Storage is null ? tier.CostMultiplier : null),
        ReadCost = Reads ?? tier.ReadCost,
        WriteCost = Writes ?? tier.WriteCost,
        EgressCost = Egress ?? tier.EgressCost,
    };
}
