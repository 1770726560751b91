using DarkStorage.Rules.Lifecycle;
using Xunit;

namespace DarkStorage.Unit.Lifecycle;

public sealed class LifecycleRulesTests
{
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);
    private static readonly DateTimeOffset Made = new(2026, 3, 1, 10, 30, 0, TimeSpan.Zero);
    private static readonly LifecycleRule Rule = new("rule", true, LifecycleFilter.Everything, null, null, null, [], [], false);

    [Theory]
    [InlineData("2026-03-01T10:30:00Z", 1, "2026-03-03T00:00:00Z")] // a day later, and on to the next midnight
    [InlineData("2026-03-01T00:00:00Z", 1, "2026-03-02T00:00:00Z")]
    [InlineData("2026-02-28T23:59:59Z", 1, "2026-03-02T00:00:00Z")]
    public void Days_end_at_midnight(string from, int days, string due) =>
        Assert.Equal(DateTimeOffset.Parse(due, System.Globalization.CultureInfo.InvariantCulture), LifecycleRules.Due(DateTimeOffset.Parse(from, System.Globalization.CultureInfo.InvariantCulture), days, null, Day));

    [Fact]
    public void An_object_expires_when_its_days_are_over_and_not_before()
    {
        var rules = Of(Rule with { Expiration = new(3, null, null) });
        var due = new DateTimeOffset(2026, 3, 5, 0, 0, 0, TimeSpan.Zero);
        Assert.Equal(LifecycleAct.Keep, rules.Decide(Current(), due - TimeSpan.FromTicks(1), Day).Act);
        Assert.Equal(LifecycleAct.Expire, rules.Decide(Current(), due, Day).Act);
        Assert.Equal((due, "rule"), rules.NextExpiration("a/key", 100, Made, [], Day) is var (when, rule) ? (when, rule.Id) : default);
    }

    [Fact]
    public void A_filter_holds_only_where_all_of_it_does()
    {
        var rule = Rule with { Expiration = new(1, null, null), Filter = new("a/", [new("k", "v")], 50, 200) };
        var (rules, later) = (Of(rule), Made.AddDays(100));
        var subject = Current() with { Tags = [new("k", "v"), new("other", "x")] };
        Assert.Equal(LifecycleAct.Expire, rules.Decide(subject, later, Day).Act);
        foreach (var other in (LifecycleSubject[])[subject with { Key = "b/key" }, subject with { Tags = [new("k", "w")] }, subject with { Tags = [] }, subject with { Length = 50 }, subject with { Length = 200 }])
            Assert.Equal(LifecycleAct.Keep, rules.Decide(other, later, Day).Act);
        Assert.Equal(LifecycleAct.Keep, Of(rule with { IsEnabled = false }).Decide(subject, later, Day).Act);
    }

    [Fact]
    public void Noncurrent_versions_go_by_the_time_they_were_replaced_and_the_newest_are_kept()
    {
        var rules = Of(Rule with { NoncurrentExpiration = new(2, 3) });
        var old = Current() with { NoncurrentSince = Made.AddDays(10), NewerNoncurrent = 3 };
        Assert.Equal(LifecycleAct.Keep, rules.Decide(old, Made.AddDays(11), Day).Act);
        Assert.Equal(LifecycleAct.Remove, rules.Decide(old, Made.AddDays(13), Day).Act);
        Assert.Equal(LifecycleAct.Keep, rules.Decide(old with { NewerNoncurrent = 2 }, Made.AddDays(1_000), Day).Act);
        Assert.Equal(LifecycleAct.Keep, rules.Decide(Current(), Made.AddDays(1_000), Day).Act);
        Assert.Equal(LifecycleAct.Remove, rules.Decide(old with { IsDeleteMarker = true }, Made.AddDays(13), Day).Act);
    }

    [Fact]
    public void A_delete_marker_goes_only_when_nothing_is_under_it()
    {
        var rules = Of(Rule with { Expiration = new(null, null, true) });
        var marker = Current() with { IsDeleteMarker = true, IsAlone = true };
        Assert.Equal(LifecycleAct.Remove, rules.Decide(marker, Made, Day).Act);
        Assert.Equal(LifecycleAct.Keep, rules.Decide(marker with { IsAlone = false }, Made, Day).Act);
        Assert.Equal(LifecycleAct.Keep, Of(Rule with { Expiration = new(1, null, null) }).Decide(marker, Made.AddDays(100), Day).Act);
    }

    [Fact]
    public void Of_several_transitions_the_one_due_latest_counts_and_each_is_taken_once()
    {
        var rules = Of(Rule with { Transitions = [new(30, null, "STANDARD_IA"), new(90, null, "GLACIER"), new(365, null, "DEEP_ARCHIVE")] });
        Assert.Equal(LifecycleAct.Keep, rules.Decide(Current(), Made.AddDays(29), Day).Act);
        Assert.Equal("STANDARD_IA", rules.Decide(Current(), Made.AddDays(40), Day).StorageClass);
        Assert.Equal("GLACIER", rules.Decide(Current(), Made.AddDays(100), Day).StorageClass);
        Assert.Equal("DEEP_ARCHIVE", rules.Decide(Current() with { StorageClass = "STANDARD_IA" }, Made.AddDays(400), Day).StorageClass);
        Assert.Equal(LifecycleAct.Keep, rules.Decide(Current() with { StorageClass = "GLACIER" }, Made.AddDays(100), Day).Act);
    }

    [Fact]
    public void A_noncurrent_version_goes_when_its_days_are_over_and_not_before()
    {
        var rules = Of(Rule with { NoncurrentExpiration = new(2, null) });
        var old = Current() with { NoncurrentSince = Made.AddDays(10) };
        var due = new DateTimeOffset(2026, 3, 14, 0, 0, 0, TimeSpan.Zero);
        Assert.Equal(LifecycleAct.Keep, rules.Decide(old, due - TimeSpan.FromTicks(1), Day).Act);
        Assert.Equal(LifecycleAct.Remove, rules.Decide(old, due, Day).Act);
    }

    [Fact]
    public void Noncurrent_versions_move_but_for_the_newest_that_a_rule_keeps_and_for_delete_markers()
    {
        var rules = Of(Rule with { NoncurrentTransitions = [new(2, 3, "GLACIER")] });
        var old = Current() with { NoncurrentSince = Made, NewerNoncurrent = 3 };
        Assert.Equal((LifecycleAct.Transition, "GLACIER"), rules.Decide(old, Made.AddDays(10), Day) is var moved ? (moved.Act, moved.StorageClass) : default);
        Assert.Equal(LifecycleAct.Keep, rules.Decide(old, Made.AddDays(1), Day).Act);
        Assert.Equal(LifecycleAct.Keep, rules.Decide(old with { NewerNoncurrent = 2 }, Made.AddDays(10), Day).Act);
        Assert.Equal(LifecycleAct.Keep, rules.Decide(old with { IsDeleteMarker = true }, Made.AddDays(10), Day).Act);
    }

    [Fact]
    public void Of_several_rules_the_first_to_expire_an_object_is_told()
    {
        LifecycleRule[] rules = [Rule with { Id = "late", Expiration = new(9, null, null) }, Rule with { Id = "early", Expiration = new(3, null, null) }, Rule with { Id = "later", Expiration = new(20, null, null) }];
        foreach (var order in (LifecycleRule[][])[rules, [.. rules.Reverse()]])
            Assert.Equal("early", Of(order).NextExpiration("a/key", 100, Made, [], Day)?.Rule.Id);
    }

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 200)];

    [Theory, MemberData(nameof(Seeds))]
    public void What_is_removed_today_is_removed_tomorrow_and_the_order_of_rules_does_not_matter_for_removal(int seed)
    {
        var random = new Random(seed);
        var rules = Enumerable.Range(0, random.Next(1, 6)).Select(i => Rule with
        {
            Id = $"{i}",
            IsEnabled = random.Next(5) > 0,
            Filter = new(random.Next(2) == 0 ? null : "a/", random.Next(3) == 0 ? [new("k", "v")] : [], random.Next(3) == 0 ? random.Next(200) : null, null),
            Expiration = random.Next(3) switch { 0 => new(random.Next(1, 50), null, null), 1 => new(null, Made.AddDays(random.Next(50)), null), _ => null },
            NoncurrentExpiration = random.Next(2) == 0 ? new(random.Next(1, 50), random.Next(3) == 0 ? random.Next(1, 5) : null) : null,
        }).ToArray();
        var subject = Current() with { Tags = random.Next(2) == 0 ? [new("k", "v")] : [], Length = random.Next(300), NewerNoncurrent = random.Next(5), NoncurrentSince = random.Next(2) == 0 ? Made.AddDays(5) : null };
        var now = Made.AddDays(random.Next(100));
        var act = Of(rules).Decide(subject, now, Day).Act;
        if (act != LifecycleAct.Keep) Assert.Equal(act, Of(rules).Decide(subject, now.AddDays(1), Day).Act);
        Assert.Equal(act, Of([.. rules.Reverse()]).Decide(subject, now, Day).Act);
    }

    private static LifecycleConfiguration Of(params LifecycleRule[] rules) => new([.. rules]);

    private static LifecycleSubject Current() => new("a/key", 100, Made, "STANDARD", [], false, null, 0, false);
}
