using DarkStorage.GrainInterfaces.Tiers;

namespace DarkStorage.Rules.Tiers;

/// <summary>What a tier may be, and which one a version is in.</summary>
public static class TierRules
{
    private const int NameLengthMax = 32;

    /// <summary>A part of paths of the management API, and so no tier's name.</summary>
    private const string ReservedName = "buckets";

    private const decimal CostMax = 1_000_000;

    private const decimal CostMultiplierMax = 1_000;

    /// <summary>S3's storage classes, which a version has one of (Amazon S3 API, PutObject).</summary>
    public static readonly string[] StorageClasses =
        [Tier.Hot.StorageClass, "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", "EXPRESS_ONEZONE"];

    /// <summary>The tiers that there usually are besides <see cref="Tier.Hot"/>, from the nearest to the farthest, and the storage class that each has if no other is said.</summary>
    private static readonly (string Name, string StorageClass)[] Usual = [("warm", "STANDARD_IA"), ("cold", "GLACIER_IR"), ("archive", "GLACIER"), ("offsite", "DEEP_ARCHIVE")];

    /// <summary>What Amazon's classes are like: how soon they answer (the user guide, "Understanding and managing storage classes"; of archives a standard retrieval), and what they cost in relation to STANDARD (list prices of 2025, us-east-1, the first 50 TB: 0.023 USD).</summary>
    private static readonly Dictionary<string, (TierLatency Latency, decimal? CostMultiplier)> UsualTraits = new(StringComparer.Ordinal)
    {
        ["REDUCED_REDUNDANCY"] = (TierLatency.Milliseconds, 1.04m),
        ["STANDARD_IA"] = (TierLatency.Milliseconds, 0.54m),
        ["ONEZONE_IA"] = (TierLatency.Milliseconds, 0.43m),
        ["INTELLIGENT_TIERING"] = (TierLatency.Milliseconds, null), // depends on what is read
        ["GLACIER"] = (TierLatency.Hours, 0.16m),
        ["DEEP_ARCHIVE"] = (TierLatency.Hours, 0.043m),
        ["GLACIER_IR"] = (TierLatency.Milliseconds, 0.17m),
        ["EXPRESS_ONEZONE"] = (TierLatency.Milliseconds, 4.8m),
    };

    /// <returns>The storage class that a tier of a usual name has if none is given; null for other names.</returns>
    public static string? UsualClassOf(string name) => Usual.FirstOrDefault(u => u.Name == name).StorageClass;

    /// <returns>The storage class of a tier by its name; null where there is none of it.</returns>
    public static Func<string, string?> ClassIn(IReadOnlyList<Tier> tiers) => name => tiers.FirstOrDefault(t => t.Name == name)?.StorageClass;

    /// <returns>That there is no tier of a name, as a sentence.</returns>
    public static string MissingOf(string name) => UsualClassOf(name) is null ? $"There is no tier {name}." : $"There is no tier {name} yet: it has to be configured, with the integration where its bytes are to be.";

    /// <returns>The tiers that there usually are and that could still be configured: no tier has the name or the class. They have no place yet.</returns>
    public static IEnumerable<Tier> Unconfigured(IReadOnlyCollection<Tier> tiers) =>
        Usual.Where(u => tiers.All(t => t.Name != u.Name && t.StorageClass != u.StorageClass)).Select(u => WithUsual(new(u.Name, u.StorageClass, null), null));

    /// <summary>Fills in what nobody has said of a tier: what is usual for its class, and the cost that follows from that of <see cref="Tier.Hot"/>.</summary>
    /// <param name="hotCost">See <see cref="Tier.Cost"/>; null where it is not known.</param>
    public static Tier WithUsual(Tier tier, decimal? hotCost)
    {
        if (tier.Name == Tier.Hot.Name) return tier with { Latency = TierLatency.Milliseconds };
        var usual = UsualTraits.GetValueOrDefault(tier.StorageClass);
        var multiplier = tier.Cost is null ? tier.CostMultiplier ?? usual.CostMultiplier : null;
        return tier with { Latency = tier.Latency == TierLatency.Unknown ? usual.Latency : tier.Latency, CostMultiplier = multiplier, Cost = tier.Cost ?? (hotCost * multiplier) };
    }

    /// <returns>What it saves in a month that bytes are in one tier and not in another; null where that is not known. More is paid where it is negative.</returns>
    public static decimal? Saves(long bytes, Tier? from, Tier? to) => bytes / 1e9m * (from?.Cost - to?.Cost);

    /// <returns>Why a tier can't have these costs, as a sentence; null where it can.</returns>
    public static string? WhyNotCosts(string name, TierCosts costs)
    {
        if (costs is { Storage: not null, Multiplier: not null }) return "cost and costMultiplier: one or the other.";
        if (costs.Multiplier is < 0 or > CostMultiplierMax) return "costMultiplier: 0 to 1,000.";
        if (costs.Multiplier is not null && name == Tier.Hot.Name) return $"The tier {name} is what the costs of others are multiples of: say its cost.";
        (string Name, decimal? Cost)[] all = [("cost", costs.Storage), ("readCost", costs.Reads), ("writeCost", costs.Writes), ("egressCost", costs.Egress)];
        return all.FirstOrDefault(static c => c.Cost is < 0 or > CostMax).Name is { } wrong ? $"{wrong}: 0 to 1,000,000." : null;
    }

    /// <returns>Why a tier can't be configured beside the others, as a sentence; null where it can.</returns>
    public static string? WhyNot(Tier tier, IEnumerable<Tier> others)
    {
        if (tier.Name.Length is 0 or > NameLengthMax || !tier.Name.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-'))
            return $"A tier's name has 1 to {NameLengthMax} lower-case letters, digits and dashes.";
        if (tier.Name == ReservedName) return $"A tier can't be called {ReservedName}.";
        if (tier.Name == Tier.Hot.Name) return $"The tier {tier.Name} is the cluster's own drives, and always there: no more than its cost can be said.";
        if (string.IsNullOrEmpty(tier.Integration)) return $"The tier {tier.Name} wants an integration: where its bytes are to be.";
        if (tier.StorageClass == Tier.Hot.StorageClass) return $"The storage class {tier.StorageClass} is that of the tier {Tier.Hot.Name}.";
        if (!StorageClasses.Contains(tier.StorageClass)) return $"storageClass: one of {string.Join(", ", StorageClasses.Skip(1))}.";
        return others.FirstOrDefault(o => o.Name != tier.Name && o.StorageClass == tier.StorageClass) is { } other
            ? $"The storage class {tier.StorageClass} is that of the tier {other.Name}: a version's class says its tier, so no two have the same."
            : null;
    }
}
