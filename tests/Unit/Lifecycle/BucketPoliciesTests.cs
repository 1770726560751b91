using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Lifecycle;
using DarkStorage.Rules.Lifecycle.Language;
using Xunit;

namespace DarkStorage.Unit.Lifecycle;

/// <summary>The policies of a bucket, as one.</summary>
public sealed class BucketPoliciesTests
{
    private static readonly DateTimeOffset Now = new(2026, 3, 1, 10, 0, 0, TimeSpan.Zero);

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
        Assert.Empty(BucketPolicies.None.FindMistakes(static _ => null));
        Assert.Equal(["No policy of the bucket is enabled."], BucketPolicies.None.Explain(Subject(1), Now));
    }

    [Fact]
    public void A_circle_of_two_policies_is_found_and_what_one_says_before_another_is_none()
    {
        Assert.Single(new BucketPolicies([("a", LifecyclePolicy.Parse("tier == hot -> cold")), ("b", LifecyclePolicy.Parse("tier == cold -> hot"))]).FindMistakes(static t => t));
        Assert.Empty(new BucketPolicies([("a", LifecyclePolicy.Parse("-> cold")), ("b", LifecyclePolicy.Parse("size > 1B -> hot"))]).FindMistakes(static t => t));
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

    private static BucketSetting Setting(string name, string text, bool isEnabled = true) => new(BucketSettings.TierPolicies, name, SettingJson.Write(new BucketPolicySetting(text, isEnabled)));

    private static LifecyclePolicySubject Subject(long size) => new("key", size, Now.AddDays(-1), "hot", "STANDARD");
}
