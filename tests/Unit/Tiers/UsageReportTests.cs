using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Tiers;
using Xunit;

namespace DarkStorage.Unit.Tiers;

public sealed class UsageReportTests
{
    private static readonly UsageMonth January = Month("2026-01"), February = Month("2026-02"), March = Month("2026-03");

    [Fact]
    public void What_stays_counts_in_each_month_until_it_goes()
    {
        // 100 bytes from the middle of January on, 60 less from the end of a week of March on.
        UsageChange[] changes =
        [
            Change(January, 2, 100, TimeSpan.FromDays(15.5)),
            Change(March, -1, -60, TimeSpan.FromDays(7)),
        ];

        var months = UsageReport.Months(changes, January, March, March.End);

        Assert.Equal([(January, 2L, 100L, 50m), (February, 2, 100, 100), (March, 1, 40, ((100m * 7) + (40 * 24)) / 31)], months.Select(m => (m.Month, m.Objects, m.Bytes, m.ByteMonths)));
    }

    [Fact]
    public void The_month_that_is_not_over_counts_until_now_and_none_after_it()
    {
        var now = February.Begin.AddDays(7);
        var months = UsageReport.Months([Change(January, 1, 100, TimeSpan.Zero)], January, Month("2027-01"), now);
        Assert.Equal([(January, 100m), (February, 25m)], months.Select(m => (m.Month, m.ByteMonths)));
    }

    [Fact]
    public void Months_before_the_first_that_is_wanted_count_for_what_is_there_alone()
    {
        var traffic = new Traffic(1, 2, 3, 4, 5);
        UsageChange[] changes = [Change(January, 1, 100, TimeSpan.Zero) with { Traffic = traffic }, Change(January, 9, 9, TimeSpan.Zero) with { StorageClass = "GLACIER" }, Change(February, -9, -9, TimeSpan.Zero) with { StorageClass = "GLACIER" }];
        var months = UsageReport.Months(changes, February, March, March.End);
        Assert.Equal([(February, "STANDARD", 100m, default(Traffic)), (March, "STANDARD", 100, default)], months.Select(m => (m.Month, m.StorageClass, m.ByteMonths, m.Traffic)));
        Assert.Empty(UsageReport.Months([], January, March, March.End));
    }

    [Fact]
    public void A_change_by_a_clock_that_is_ahead_takes_nothing_away()
    {
        var months = UsageReport.Months([Change(January, 1, 100, TimeSpan.FromMinutes(2))], January, January, January.Begin.AddMinutes(1));
        Assert.Equal((1L, 0m), (Assert.Single(months).Objects, months[0].ByteMonths));
    }

    [Fact]
    public void Costs_are_of_what_is_known()
    {
        var usage = new ClassUsage(January, "STANDARD", 1, 1, 2_500_000_000, new(2_000, 500, 7, 9, 3_000_000_000));
        var tier = Tier.Hot with { Cost = 0.02m, ReadCost = 0.5m, WriteCost = 4, EgressCost = 0.1m };
        Assert.Equal(new(0.05m, 1, 2, 0.3m), UsageReport.CostOf(usage, tier));
        Assert.Equal(3.35m, UsageReport.CostOf(usage, tier).Total);
        Assert.Equal(new(null, 1m, null, null), UsageReport.CostOf(usage, Tier.Hot with { ReadCost = 0.5m }));
        foreach (var unknown in (Tier?[])[Tier.Hot, null]) Assert.Null(UsageReport.CostOf(usage, unknown).Total);
    }

    [Theory, InlineData("2026-13"), InlineData("2026-1"), InlineData("26-01"), InlineData("2026-01-01"), InlineData("9999-12"), InlineData("0000-01"), InlineData(""), InlineData(null)]
    public void What_is_no_month_is_not_taken_for_one(string? text) => Assert.False(UsageMonth.TryParse(text, out _));

    [Fact]
    public void Months_are_of_UTC_and_follow_each_other()
    {
        Assert.Equal("2026-12", UsageMonth.Of(new(2027, 1, 1, 1, 0, 0, TimeSpan.FromHours(2))).ToString());
        Assert.Equal(Month("2027-01").Begin, Month("2026-12").End);
        Assert.Equal(31 * 86_400_000L, Month("2026-12").Length);
        Assert.Equal(29 * 86_400_000L, Month("2028-02").Length);
    }

    private static UsageMonth Month(string text)
    {
        Assert.True(UsageMonth.TryParse(text, out var month));
        return month;
    }

    private static UsageChange Change(UsageMonth month, long objects, long bytes, TimeSpan at) => new(month, "STANDARD", objects, bytes, bytes * (decimal)at.TotalMilliseconds, default);
}
