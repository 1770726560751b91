using DarkStorage.Rules.Lifecycle.Language;
using Xunit;

namespace DarkStorage.Unit.Lifecycle.Language;

public sealed class LifecyclePolicyDecisionTests(ITestOutputHelper output)
{
    private static readonly DateTimeOffset Now = LifecyclePolicyArbitrary.Now;
    private static readonly LifecyclePolicySubject Subject = new("logs/App/1.LOG", 1_000, Now.AddDays(-30), "hot", "STANDARD", null, [new("project", "x")],
        new(12, Now.AddDays(-3), [new(new(2026, 8, 20), 1), new(new(2026, 8, 14), 2), new(new(2026, 8, 13), 4)]));

    [Theory]
    [InlineData("age >= 30d", true)]
    [InlineData("age > 30d", false)]
    [InlineData("age == 30d AND age <= 30d AND NOT age < 30d", true)]
    [InlineData("access == 3d", true)]
    [InlineData("access < 3d", false)]
    [InlineData("access_count == 12", true)]
    [InlineData("access_count_1d == 1", true)]   // today alone
    [InlineData("access_count_6d == 1", true)]
    [InlineData("access_count_7d == 3", true)]   // today and the six days before
    [InlineData("access_count_8d == 7", true)]
    [InlineData("access_count_90d IN (6, 8)", false)]
    [InlineData("access_count_90d NOT IN (6, 8)", true)]
    [InlineData("size == 1KB", true)]
    [InlineData("size < 1KiB AND size > 999", true)]
    [InlineData("file_extension == .log", true)]
    [InlineData("file_extension IN (.txt, .Log)", true)]
    [InlineData("file_extension != .LOG", false)]
    [InlineData("file_extension LIKE \".l*\"", true)]
    [InlineData("name == \"logs/App/1.LOG\"", true)]
    [InlineData("name == \"logs/app/1.log\"", false)]
    [InlineData("name LIKE \"logs/*\"", true)]       // over slashes
    [InlineData("name LIKE \"logs/?/1.LOG\"", false)]
    [InlineData("name NOT LIKE \"*.log\"", true)]
    [InlineData("tag.project == \"x\"", true)]
    [InlineData("tag.project == \"X\"", false)]
    [InlineData("tag.Project == \"x\"", false)]
    [InlineData("tag.none == \"x\" OR tag.none IN (\"x\") OR tag.none LIKE \"*\"", false)] // there is no such tag: it is unequal to all
    [InlineData("tag.none != \"x\" AND tag.none NOT IN (\"x\") AND tag.none NOT LIKE \"*\"", true)]
    [InlineData("tier == hot AND tier IN (warm, hot) AND storage_class != GLACIER", true)]
    [InlineData("noncurrent OR noncurrent_age >= 0s OR noncurrent_age < 1d", false)]
    [InlineData("noncurrent_age != 1d AND NOT noncurrent", true)]
    [InlineData("size > 2KB OR size > 1KB AND age > 1d", false)]
    [InlineData("(size > 1KB OR size > 1B) AND age > 1d", true)]
    [InlineData("NOT size > 1KB AND age > 1d", true)]
    public void A_condition_holds_or_not(string condition, bool holds) =>
        Assert.Equal(holds ? new("warm", 1, LifecycleNeeds.None) : default, LifecyclePolicy.Parse($"{condition} -> warm").Decide(Subject, Now));

    [Theory]
    [InlineData("a.b.log", ".log")]
    [InlineData("dir.d/file", "\"\"")]
    [InlineData(".profile", "\"\"")]
    [InlineData("x/.profile", "\"\"")]
    [InlineData("x/.profile.d", ".d")]
    [InlineData("ends.", "\"\"")]
    [InlineData("a.log/", "\"\"")]
    [InlineData("", "\"\"")]
    public void The_extension_is_that_of_the_last_part_of_the_key(string key, string extension) =>
        Assert.Equal("warm", LifecyclePolicy.Parse($"file_extension == {extension} -> warm").Decide(Subject with { Key = key }, Now).Tier);

    [Fact]
    public void What_was_never_accessed_counts_from_when_it_was_made_and_no_clock_makes_it_older()
    {
        var policy = LifecyclePolicy.Parse("access == 30d AND age == 30d AND access_count == 0 -> warm");
        Assert.Equal("warm", policy.Decide(Subject with { Access = AccessHistory.None }, Now).Tier);
        Assert.Equal("warm", policy.Decide(Subject with { Access = new(0, Now.AddDays(-31), []) }, Now).Tier);
        Assert.Equal("warm", LifecyclePolicy.Parse("age == 0s AND access == 0s -> warm").Decide(Subject with { Modified = Now.AddHours(1) }, Now).Tier);
        Assert.Equal("warm", LifecyclePolicy.Parse("noncurrent_age == 30d -> warm").Decide(Subject with { NoncurrentSince = Now.AddDays(-40) }, Now).Tier);
        Assert.Equal("warm", LifecyclePolicy.Parse("access_count == 5 AND access_count_7d == 5 -> warm").Decide(Subject with { Access = new(1, null, [new(new(2026, 8, 19), 5)]) }, Now).Tier);
    }

    [Theory]
    [InlineData("access == 3d", true)]             // it may have been accessed until somebody counted
    [InlineData("access_count == 4", null)]
    [InlineData("access_count >= 4", true)]
    [InlineData("access_count_3d == 4", true)]     // today, and the two days that are counted whole
    [InlineData("access_count_4d == 4", null)]
    [InlineData("access_count_4d > 3", true)]      // there may be more, and never fewer
    [InlineData("access_count_90d < 4", false)]
    [InlineData("access_count_90d < 5", null)]
    public void Of_the_time_before_accesses_were_counted_nothing_is_taken_for_known(string condition, bool? holds)
    {
        var subject = Subject with { Access = new(0, Now.AddDays(-5), [new(DateOnly.FromDateTime(Now.UtcDateTime), 4)], Now.AddDays(-3)) };
        var policy = LifecyclePolicy.Parse($"{condition} -> warm");
        Assert.Equal((holds == true ? "warm" : null, holds is null ? LifecycleNeeds.Access : LifecycleNeeds.None), policy.Decide(subject, Now) is var decision ? (decision.Tier, decision.Missing) : default);
        // What was made since then is known from its beginning.
        Assert.True(policy.Decide(subject with { Modified = Now.AddDays(-2) }, Now).IsKnown);
    }

    [Fact]
    public void What_was_not_counted_long_enough_is_known_from_a_midnight_on()
    {
        var subject = Subject with { Access = new(0, null, [], new(2026, 8, 19, 10, 0, 0, TimeSpan.Zero)) };
        var midnight = new DateTimeOffset(2026, 8, 26, 0, 0, 0, TimeSpan.Zero);
        foreach (var (condition, from) in ((string, DateTimeOffset)[])[("access_count_7d == 0", midnight), ("access_count == 0", midnight.AddDays(83))])
        {
            var policy = LifecyclePolicy.Parse($"{condition} -> warm");
            Assert.Equal((false, "warm"), (policy.Decide(subject, from.AddTicks(-1)).IsKnown, policy.Decide(subject, from).Tier));
        }
    }

    [Fact]
    public void The_first_rule_that_holds_decides_and_where_none_does_it_stays()
    {
        var policy = LifecyclePolicy.Parse("size > 1GB -> archive\nage > 7d -> warm\nage > 1d -> cold");
        var decision = policy.Decide(Subject, Now);
        Assert.Equal(new("warm", 2, LifecycleNeeds.None), decision);
        Assert.True(decision.Moves(Subject));
        Assert.False(decision.Moves(Subject with { Tier = "warm" }));
        Assert.Equal(("cold", 3), (policy.Decide(Subject, Now.AddDays(-25)).Tier, policy.Decide(Subject, Now.AddDays(-25)).Rule));
        Assert.Equal(default, policy.Decide(Subject, Now.AddDays(-29)));
        Assert.False(default(LifecyclePolicyDecision).Moves(Subject));
    }

    [Theory]
    [InlineData("size > 1 -> warm", LifecycleNeeds.None)]
    [InlineData("size > 1 -> warm; tag.a == \"x\" -> cold", LifecycleNeeds.Tags)]
    [InlineData("NOT access > 1d -> warm", LifecycleNeeds.Access)]
    [InlineData("access_count == 1 OR access_count_7d == 1 AND tag.a == \"x\" -> warm", LifecycleNeeds.Tags | LifecycleNeeds.Access)]
    public void A_policy_says_what_it_may_turn_on(string text, LifecycleNeeds needs) => Assert.Equal(needs, LifecyclePolicy.Parse(text).Needs);

    [Theory]
    [InlineData("size > 1GB AND tag.a == \"x\" -> warm", "", LifecycleNeeds.None)]            // false whatever the tag
    [InlineData("tag.a == \"x\" AND size > 1GB -> warm", "", LifecycleNeeds.None)]
    [InlineData("tag.a == \"x\" OR size > 1 -> warm", "warm", LifecycleNeeds.None)]
    [InlineData("tag.a == \"x\" AND access > 1d -> warm", "", LifecycleNeeds.Tags | LifecycleNeeds.Access)]
    [InlineData("tag.a == \"x\" AND size > 1 -> warm", "", LifecycleNeeds.Tags)]
    [InlineData("tag.a == \"x\" AND size > 1GB OR access > 29d -> warm", "", LifecycleNeeds.Access)]
    [InlineData("(tag.a == \"x\" OR size > 1) AND access > 29d -> warm", "", LifecycleNeeds.Access)]
    [InlineData("tag.a == \"x\" -> warm; -> warm", "warm", LifecycleNeeds.None)]               // either rule says the same
    [InlineData("tag.a == \"x\" -> cold; -> warm", "", LifecycleNeeds.Tags)]
    [InlineData("-> warm; tag.a == \"x\" -> cold", "warm", LifecycleNeeds.None)]
    [InlineData("tag.a == \"x\" -> hot", "", LifecycleNeeds.None)]                             // it is there
    [InlineData("access > 31d -> warm", "", LifecycleNeeds.None)]                              // it is younger than that
    [InlineData("access <= 30d -> warm", "warm", LifecycleNeeds.None)]
    [InlineData("access > 29d -> warm", "", LifecycleNeeds.Access)]
    [InlineData("access_count >= 0 -> warm", "warm", LifecycleNeeds.None)]
    [InlineData("access_count_7d < 0 -> warm", "", LifecycleNeeds.None)]
    [InlineData("access_count > 0 -> warm", "", LifecycleNeeds.Access)]
    public void Only_what_the_answer_turns_on_has_to_be_fetched(string text, string tier, LifecycleNeeds missing)
    {
        var decision = LifecyclePolicy.Parse(text).Decide(Subject with { Tags = null, Access = null }, Now);
        Assert.Equal((tier, missing), (decision.Tier ?? "", decision.Missing));
    }

    [Theory, InlineData(1), InlineData(2), InlineData(3), InlineData(4), InlineData(5), InlineData(6)]
    public void A_decision_is_the_one_that_other_words_for_the_rules_give_and_the_same_from_part_of_the_facts(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var arbitrary = new LifecyclePolicyArbitrary(random);
        var (decided, early) = (0, 0);
        for (var i = 0; i < 2_000; i++)
        {
            var rules = Enumerable.Range(0, 1 + i % 4).Select(_ => arbitrary.Rule()).ToList();
            var policy = LifecyclePolicy.Parse(LifecyclePolicy.Print(rules.Select(r => r.Rule)));
            for (var n = 0; n < 5; n++)
            {
                var subject = arbitrary.Subject();
                var first = rules.FindIndex(r => r.Holds(subject));
                var decision = policy.Decide(subject, Now);
                Assert.True(first < 0 ? decision == default : decision == new LifecyclePolicyDecision(rules[first].Rule.Tier, first + 1, LifecycleNeeds.None), $"{policy}{subject}: {decision}");
                if (first >= 0) decided++;

                var part = subject with { Tags = random.Next(2) == 0 ? null : subject.Tags, Access = random.Next(2) == 0 ? null : subject.Access };
                var partly = policy.Decide(part, Now);
                Assert.Equal(LifecycleNeeds.None, partly.Missing & ~((part.Tags is null ? LifecycleNeeds.Tags : 0) | (part.Access is null ? LifecycleNeeds.Access : 0)));
                if (!partly.IsKnown) continue;
                Assert.True((partly.Tier ?? part.Tier) == (decision.Tier ?? part.Tier) && (partly.Rule is null || partly.Rule == decision.Rule), $"{policy}{subject}: {decision}, but {partly}");
                if (part != subject) early++;
            }
        }
        Assert.True(decided > 1_000 && early > 1_000);
    }

    [Fact]
    public void A_decision_allocates_nothing()
    {
        var policy = LifecyclePolicy.Parse("file_extension IN (.txt, .gz) AND age > 1d -> cold\nname LIKE \"*x*\" -> cold\ntag.none == \"x\" OR access_count_30d > 100 -> cold\naccess < 1d OR noncurrent_age > 3d -> cold\nage > 20d -> warm");
        for (var i = 0; i < 100; i++) policy.Decide(Subject, Now);
        var before = GC.GetAllocatedBytesForCurrentThread();
        for (var i = 0; i < 1_000; i++) policy.Decide(Subject, Now);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 999);
    }
}
