using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Lifecycle;
using DarkStorage.Rules.Lifecycle.Language;
using DarkStorage.Rules.Tiers;
using Xunit;

namespace DarkStorage.Unit.Lifecycle;

/// <summary>The policies of a bucket, as one.</summary>
public sealed class BucketPoliciesTests
{
    private static readonly DateTimeOffset Now = new(2026, 3, 1, 10, 0, 0, TimeSpan.Zero);
    private static readonly Tier[] Tiers = [Tier.Hot, new("warm", "STANDARD_IA", "nas"), new("cold", "GLACIER_IR", "nas")];

    [Fact]
    public void The_first_rule_of_all_that_are_enabled_decides()
    {
        var policies = BucketPolicies.Of([Setting("a", "size > 10B -> warm # no end of line"), Setting("b", "-> nowhere", isEnabled: false), Setting("c", "size > 5B -> cold;\n size > 1B -> warm")]);
        Assert.Equal(("warm", "cold", "warm", null), (TierOf(11), TierOf(6), TierOf(2), TierOf(1)));
        // One that says it stays keeps those behind it from being asked.
        Assert.Equal("hot", new BucketPolicies([("a", LifecyclePolicy.Parse("tier == hot -> hot")), ("b", LifecyclePolicy.Parse("-> cold"))]).Decide(Subject(1), Now).Tier);

        string? TierOf(long size) => policies.Decide(Subject(size), Now).Tier;
    }

    [Fact]
    public void None_says_nothing()
    {
        Assert.True(BucketPolicies.Of([Setting("b", "-> cold", isEnabled: false)]).IsEmpty);
        Assert.Equal((true, null), (BucketPolicies.None.Decide(Subject(1), Now).IsKnown, BucketPolicies.None.Decide(Subject(1), Now).Tier));
        Assert.Empty(BucketPolicies.None.FindMistakes([]));
        Assert.Empty(BucketPolicies.None.FindCircles(LifecycleConfiguration.None, null, []));
        Assert.Equal(["No policy of the bucket is enabled."], BucketPolicies.None.Explain(Subject(1), Now));
    }

    [Fact]
    public void What_two_policies_say_that_does_not_go_together_is_found()
    {
        Assert.Equal("Of all enabled policies of the bucket, one after another: Rule 1 (tier == hot -> cold) begins a circle: a version in hot goes to cold (rule 1) to hot (rule 2), and so on for ever. Here rule 1 is of the policy a and rule 2 is of the policy b.",
            Assert.Single(Of("tier == hot -> cold", "tier == cold -> hot").FindMistakes(Tiers)).Sentence);
        Assert.Equal("Of all enabled policies of the bucket, one after another: Rule 3 (age > 365d -> cold) contradicts rule 1 (age > 30d -> warm), which decides on all that it matches and comes first. Put it in front, or take it out. Here rule 1 is of the policy a and rule 3 is of the policy b.",
            Assert.Single(Of("age > 30d -> warm\nsize > 1B -> hot", "age > 365d -> cold").FindMistakes(Tiers)).Sentence);
        // Said twice does no harm, and what one leaves another may decide on.
        Assert.Empty(Of("age > 30d -> warm", "age > 365d -> warm").FindMistakes(Tiers));
        Assert.Empty(Of("age > 365d -> cold", "age > 30d -> warm").FindMistakes(Tiers));
    }

    [Fact]
    public void A_transition_to_where_a_policy_takes_it_away_again_is_a_circle()
    {
        var policies = Of("tier == warm AND size < 1MB -> hot");
        var rule = new LifecycleRule("old", true, new("logs/", [new("a", "b")], 10, 1_000), null, null, null, [new(30, null, "STANDARD_IA")], [], false);
        Assert.Equal("Of all enabled policies of the bucket and its transitions, one after another: Rule 1 (tier == warm AND size < 1MB -> hot) begins a circle: a version in warm goes to hot (rule 1) to warm (rule 2), and so on for ever; for example one with size: it is 0B; age: it is 30d. "
            + "Here rule 1 is of the policy p0 and rule 2 is one of the bucket's own.", Assert.Single(policies.FindCircles(LifecycleConfiguration.None, Own(new TieringEntry("", null, [new("STANDARD_IA", 30)])), Tiers)).Sentence);
        Assert.EndsWith(" Here rule 1 is of the policy p0 and rule 2 is one of rule old of its lifecycle document.", Assert.Single(policies.FindCircles(new([rule]), null, Tiers)).Sentence, StringComparison.Ordinal);
        foreach (var other in (LifecycleRule[])
        [
            rule with { IsEnabled = false },
            rule with { Filter = rule.Filter with { SizeGreaterThan = 1_000_000, SizeLessThan = null } },
            rule with { Transitions = [new(30, null, "GLACIER_IR")] }, // to where the policy lets it be
            rule with { Transitions = [new(30, null, "ONEZONE_IA")] }, // no tier's
        ]) Assert.Empty(policies.FindCircles(new([other]), null, Tiers));
        // What a policy brings back while it is accessed goes to warm again when it is not: that is no circle.
        Assert.Empty(Of("access_count_7d > 10 -> hot").FindCircles(new([rule]), null, Tiers));
        Assert.Empty(Of("tier == warm AND access_count_7d > 10 -> hot\naccess_count_7d > 10 -> hot").FindCircles(new([rule]), null, Tiers));
        // The longest prefix decides: below logs/ nothing goes to warm.
        var (all, logs) = (new TieringEntry("", null, [new("STANDARD_IA", 30)]), new TieringEntry("logs/", null, [new("GLACIER_IR", 30)]));
        Assert.Empty(Of("tier == warm AND name LIKE \"logs/*\" -> hot").FindCircles(LifecycleConfiguration.None, Own(all, logs), Tiers));
        Assert.Single(Of("tier == warm AND name LIKE \"logs/*\" -> hot").FindCircles(LifecycleConfiguration.None, Own(all), Tiers));
        Assert.Single(Of("tier == cold AND name LIKE \"logs/a/*\" -> hot").FindCircles(LifecycleConfiguration.None, Own(all, logs), Tiers));
        // Of those that are due, the last: it is in cold before a policy could take it from warm.
        Assert.Empty(Of("tier == warm AND age > 60d -> hot").FindCircles(LifecycleConfiguration.None, Own(new TieringEntry("", null, [new("STANDARD_IA", 30), new("GLACIER_IR", 60)])), Tiers));

        // Days that no date has, and very many rules with long prefixes that begin alike.
        foreach (var days in (int[])[1_000_000, int.MaxValue]) Assert.Empty(policies.FindCircles(new([rule with { Transitions = [new(days, null, "STANDARD_IA")] }]), null, Tiers));
        var many = Enumerable.Range(0, 200).Select(i => rule with { Id = $"{i}", Filter = new(new string('a', 900) + i, [], null, null), Transitions = [new(30, null, "STANDARD_IA")] });
        Assert.EndsWith(" is one of rule 0 of its lifecycle document.", Assert.Single(policies.FindCircles(new([.. many]), null, Tiers)).Sentence, StringComparison.Ordinal);

        static BucketTiering Own(params TieringEntry[] entries) => new([.. entries]);
    }

    [Fact]
    public void What_is_there_already_hides_nothing_that_comes_to_it()
    {
        var circle = Of("tier == hot AND size > 1GB -> warm", "tier == warm -> hot");
        var (before, rules) = (new BucketLifecycle(circle, LifecycleConfiguration.None, null), "tier == hot AND size > 1GB -> warm");
        // The same rules, with others before and behind them, are the same mistake.
        Assert.Null(Find("name == \"a\" -> cold", rules, "tier == warm -> hot", "tier == cold AND name == \"b\" -> cold"));
        Assert.StartsWith("Of all enabled policies of the bucket, one after another: Rule 3 (tier == hot AND size > 2GB -> cold) contradicts rule 1", Find(rules, "tier == warm -> hot", "tier == hot AND size > 2GB -> cold"), StringComparison.Ordinal);
        // A second circle, that begins at the same tier and is found behind the first.
        Assert.Contains("a version in hot goes to cold (rule 3) to hot (rule 4), and so on for ever", Find(rules, "tier == warm -> hot", "tier == hot AND size < 1MB -> cold", "tier == cold -> hot"), StringComparison.Ordinal);
        // Of two that are there, and begin at one tier, neither is new.
        var two = before with { Policies = Of(rules, "tier == warm -> hot", "tier == hot AND size < 1MB -> cold", "tier == cold -> hot") };
        Assert.Null((two with { Policies = Of(rules, "tier == warm -> hot", "tier == hot AND size < 1MB -> cold", "tier == cold -> hot", "name == \"a\" -> hot") }).FindNewMistake(two, Tiers));
        // A transition makes one with a policy, beside that of policies alone.
        var transition = before with { Tiering = new([new("logs/", null, [new("STANDARD_IA", 30)])]) };
        Assert.EndsWith("is one of those below logs/.", transition.FindNewMistake(before, Tiers)!.TrimEnd(), StringComparison.Ordinal);
        Assert.Null(transition.FindNewMistake(transition, Tiers));

        string? Find(params string[] texts) => (before with { Policies = Of(texts) }).FindNewMistake(before, Tiers);
    }

    [Fact]
    public void An_explanation_says_whose_rules_they_are()
    {
        var policies = new BucketPolicies([("a", LifecyclePolicy.Parse("size > 10B -> warm")), ("b", LifecyclePolicy.Parse("size > 5B -> cold\nsize > 1B -> warm"))]);
        Assert.Equal(["Rule 1 is of the policy a.", "Rules 2 to 3 are of the policy b.", "It is in hot and belongs in cold: rule 2 decides."], policies.Explain(Subject(6), Now).Take(3));
    }

    [Theory, InlineData("a", true), InlineData("10-logs_x.y", true), InlineData("", false), InlineData("A", false), InlineData("a/b", false), InlineData("ä", false)]
    public void A_name_is_of_plain_letters(string name, bool isOne)
    {
        Assert.Equal(isOne, BucketPolicySetting.IsName(name));
        Assert.True(BucketPolicySetting.IsName(new('a', 64)));
        Assert.False(BucketPolicySetting.IsName(new('a', 65)));
    }

    private static BucketPolicies Of(params string[] texts) => new(texts.Select((t, i) => (texts.Length == 1 ? "p0" : $"{(char)('a' + i)}", LifecyclePolicy.Parse(t))));

    private static BucketSetting Setting(string name, string text, bool isEnabled = true) => new(BucketSettings.TierPolicies, name, SettingJson.Write(new BucketPolicySetting(text, isEnabled)));

    private static LifecyclePolicySubject Subject(long size) => new("key", size, Now.AddDays(-1), "hot", "STANDARD");
}
