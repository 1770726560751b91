using DarkStorage.GrainInterfaces.Tiers;

namespace DarkStorage.Rules.Tiers;

/// <summary>What was there of a storage class in a month, and what was asked of it.</summary>
/// <param name="Objects">Versions at the end of the month, or now.</param>
/// <param name="Bytes">The same of bytes.</param>
/// <param name="ByteMonths">Bytes times the part of the month for which they were there: what a month's storage is charged by. Of the month that is not over yet, until now.</param>
public sealed record ClassUsage(UsageMonth Month, string StorageClass, long Objects, long Bytes, decimal ByteMonths, Traffic Traffic);

/// <summary>What usage costs, in the currency of the tiers' costs. What no cost is known of is null.</summary>
public sealed record UsageCost(decimal? Storage, decimal? Reads, decimal? Writes, decimal? Egress)
{
    /// <summary>Of all that is known; null where nothing is.</summary>
    public decimal? Total => (Storage, Reads, Writes, Egress) is (null, null, null, null) ? null : (Storage ?? 0) + (Reads ?? 0) + (Writes ?? 0) + (Egress ?? 0);
}

/// <summary>Makes months of changes.</summary>
public static class UsageReport
{
    /// <param name="changes">All there were, from the first one on, in the order of their months.</param>
    /// <param name="from">The first month that is wanted, and</param>
    /// <param name="to">the last one.</param>
    /// <returns>In the order of months and classes; those without anything are not among them.</returns>
    public static IReadOnlyList<ClassUsage> Months(IEnumerable<UsageChange> changes, UsageMonth from, UsageMonth to, DateTimeOffset now)
    {
        var last = new UsageMonth(Math.Min(to.Number, UsageMonth.Of(now).Number));
        return [.. changes.GroupBy(static c => c.StorageClass, StringComparer.Ordinal).SelectMany(c => Months(c.Key, c, from, last, now)).OrderBy(static u => u.Month.Number).ThenBy(static u => u.StorageClass, StringComparer.Ordinal)];
    }

    /// <param name="tier">The tier of the class; null where there is none.</param>
    public static UsageCost CostOf(ClassUsage usage, Tier? tier) => new(
        Storage: usage.ByteMonths / 1e9m * tier?.Cost,
        Reads: usage.Traffic.Reads / 1000m * tier?.ReadCost,
        Writes: usage.Traffic.Writes / 1000m * tier?.WriteCost,
        Egress: usage.Traffic.Sent / 1e9m * tier?.EgressCost);

    /// <summary>By months, and in each the tiers as they are listed, and then what is no tier's.</summary>
    public static IEnumerable<(T Usage, Tier? Tier)> InOrder<T>(IEnumerable<T> usage, IReadOnlyList<Tier> tiers, Func<T, (int Month, string StorageClass)> which)
    {
        var places = tiers.Select(static (tier, place) => (tier, place)).ToDictionary(static t => t.tier.StorageClass, StringComparer.Ordinal);
        return usage.Select(u => (Usage: u, which(u).Month, Place: places.TryGetValue(which(u).StorageClass, out var found) ? found : (tier: null, place: int.MaxValue)))
            .OrderBy(static u => u.Month).ThenBy(static u => u.Place.place).Select(static u => (u.Usage, u.Place.tier));
    }

    /// <summary>Each move is a write of the tier.</summary>
    public static UsageCost CostOf(EstimatedUsage usage, Tier? tier) => new(usage.ByteMonths / 1e9m * tier?.Cost, Reads: null, usage.Moves / 1000m * tier?.WriteCost, Egress: null);

    private static IEnumerable<ClassUsage> Months(string storageClass, IEnumerable<UsageChange> changes, UsageMonth from, UsageMonth last, DateTimeOffset now)
    {
        var byMonth = changes.ToDictionary(static c => c.Month);
        if (byMonth.Count == 0) yield break;
        var (objects, bytes) = (0L, 0L);
        for (var month = new UsageMonth(byMonth.Keys.Min(static m => m.Number)); month.Number <= last.Number; month = new(month.Number + 1))
        {
            var change = byMonth.GetValueOrDefault(month);
            var until = Math.Min(now.ToUnixTimeMilliseconds(), month.End.ToUnixTimeMilliseconds()) - month.Begin.ToUnixTimeMilliseconds();
            // A clock that is ahead of this one says of changes that they are still to come.
            var byteMilliseconds = Math.Max(0, ((decimal)(bytes + change.Bytes) * until) - change.Moment);
            (objects, bytes) = (objects + change.Objects, bytes + change.Bytes);
            if (month.Number >= from.Number && (objects, byteMilliseconds, change.Traffic) != (0, 0, default)) yield return new(month, storageClass, objects, bytes, byteMilliseconds / month.Length, change.Traffic);
        }
    }
}
