using DarkStorage.GrainInterfaces.Tiers;

namespace DarkStorage.Rules.Tiers;

/// <summary>What a tier may be, and which one a version is in.</summary>
public static class TierRules
{
    private const int NameLengthMax = 32;

    private const decimal CostMax = 1_000_000;

    /// <summary>S3's storage classes, which a version has one of (Amazon S3 API, PutObject).</summary>
    public static readonly string[] StorageClasses =
        [Tier.Hot.StorageClass, "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE", "GLACIER_IR", "EXPRESS_ONEZONE"];

    private static readonly Dictionary<string, string> UsualClasses = new(StringComparer.Ordinal)
    {
        ["warm"] = "STANDARD_IA",
        ["cold"] = "GLACIER_IR",
        ["archive"] = "GLACIER",
        ["offsite"] = "DEEP_ARCHIVE",
    };

    /// <returns>The storage class that a tier of a usual name has if none is given; null for other names.</returns>
    public static string? UsualClassOf(string name) => UsualClasses.GetValueOrDefault(name);

    /// <returns>What it saves in a month that bytes are in one tier and not in another; null where that is not known. More is paid where it is negative.</returns>
    public static decimal? Saves(long bytes, Tier? from, Tier? to) => bytes / 1e9m * (from?.Cost - to?.Cost);

    /// <returns>Why a tier can't have these costs, as a sentence; null where it can.</returns>
    public static string? WhyNotCosts(TierCosts costs)
    {
        (string Name, decimal? Cost)[] all = [("cost", costs.Storage), ("readCost", costs.Reads), ("writeCost", costs.Writes), ("egressCost", costs.Egress)];
        return all.FirstOrDefault(static c => c.Cost is < 0 or > CostMax).Name is { } wrong ? $"{wrong}: 0 to 1,000,000." : null;
    }

    /// <returns>Why a tier can't be configured beside the others, as a sentence; null where it can.</returns>
    public static string? WhyNot(Tier tier, IEnumerable<Tier> others)
    {
        if (tier.Name.Length is 0 or > NameLengthMax || !tier.Name.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-'))
            return $"A tier's name has 1 to {NameLengthMax} lower-case letters, digits and dashes.";
        if (tier.Name == Tier.Hot.Name) return $"The tier {tier.Name} is the cluster's own drives, and always there: no more than its cost can be said.";
        if (string.IsNullOrEmpty(tier.Integration)) return $"The tier {tier.Name} wants an integration: where its bytes are to be.";
        if (tier.StorageClass == Tier.Hot.StorageClass) return $"The storage class {tier.StorageClass} is that of the tier {Tier.Hot.Name}.";
        if (!StorageClasses.Contains(tier.StorageClass)) return $"storageClass: one of {string.Join(", ", StorageClasses.Skip(1))}.";
        return others.FirstOrDefault(o => o.Name != tier.Name && o.StorageClass == tier.StorageClass) is { } other
            ? $"The storage class {tier.StorageClass} is that of the tier {other.Name}: a version's class says its tier, so no two have the same."
            : null;
    }
}
