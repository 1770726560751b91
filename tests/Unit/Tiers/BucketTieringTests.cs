using DarkStorage.Rules.Lifecycle;
using DarkStorage.Rules.Tiers;
using Xunit;

namespace DarkStorage.Unit.Tiers;

/// <summary>Where a bucket's own transitions take versions, and which of them are refused.</summary>
public sealed class BucketTieringTests
{
    private static readonly DateTimeOffset Made = new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);

    private static TieringEntry Entry(string prefix, string? defaultClass, params (string Class, int Days)[] steps) => new(prefix, defaultClass, [.. steps.Select(s => new TieringStep(s.Class, s.Days))]);

    [Fact]
    public void Of_the_prefixes_that_a_key_has_the_longest_decides_alone()
    {
        var tiering = new BucketTiering([Entry("", null, ("warm", 30)), Entry("logs/", "cold"), Entry("logs/old/", null, ("archive", 1))]);
        Assert.Equal(("", "logs/", "logs/old/"), (tiering.EntryOf("log")!.Prefix, tiering.EntryOf("logs/x")!.Prefix, tiering.EntryOf("logs/old/x")!.Prefix));
        Assert.Null(new BucketTiering([Entry("logs/", "cold")]).EntryOf("other"));
    }

    [Theory]
    [InlineData("k", "STANDARD", 29, null)]
    [InlineData("k", "STANDARD", 30, "warm")]
    [InlineData("k", "STANDARD", 400, "cold")]
    [InlineData("k", "warm", 89, null)]
    [InlineData("k", "cold", 400, null)]
    [InlineData("logs/k", "STANDARD", 400, null)]
    public void A_version_goes_to_the_last_tier_that_is_due(string key, string storageClass, int days, string? expected)
    {
        var tiering = new BucketTiering([Entry("", null, ("warm", 30), ("cold", 90)), Entry("logs/", "hot")]);
        foreach (var noncurrent in (DateTimeOffset?[])[null, Made.AddDays(days)])
        {
            var subject = new LifecycleSubject(key, 1, Made, storageClass, [], false, noncurrent, 0, false);
            var decision = LifecycleConfiguration.None.Decide(subject, Made.AddDays(days), Day, tiering);
            Assert.Equal((expected is null ? LifecycleAct.Keep : LifecycleAct.Transition, expected), (decision.Act, decision.StorageClass));
            Assert.Equal(LifecycleAct.Keep, LifecycleConfiguration.None.Decide(subject with { IsDeleteMarker = true }, Made.AddDays(days), Day, tiering).Act);
        }
    }

    [Theory, InlineData(1), InlineData(2), InlineData(3), InlineData(4), InlineData(5)]
    public void With_rules_of_S3_beside_it_a_version_rests_where_it_was_taken(int seed)
    {
        var random = new Random(seed);
        string[] classes = ["a", "b", "c", "d"];
        for (var i = 0; i < 500; i++)
        {
            var tiering = new BucketTiering([Entry("", null, [.. Steps().Select(s => (s.Class, s.Days))])]);
            var rule = new LifecycleRule("r", true, LifecycleFilter.Everything, null, null, null, [.. Steps().Select(s => new LifecycleTransition(s.Days, null, s.Class))], [], false);
            var (rules, now) = (new LifecycleConfiguration([rule]), Made.AddDays(random.Next(200)));
            var subject = new LifecycleSubject("k", 1, Made, "STANDARD", [], false, null, 0, false);
            var first = rules.Decide(subject, now, Day, tiering);
            if (first.Act != LifecycleAct.Transition) continue;
            Assert.Equal(LifecycleAct.Keep, rules.Decide(subject with { StorageClass = first.StorageClass! }, now, Day, tiering).Act);
        }

        IEnumerable<(string Class, int Days)> Steps() => classes.OrderBy(_ => random.Next()).Take(random.Next(1, 4)).Zip(Enumerable.Range(0, 4).Select(_ => random.Next(1, 150)).Order()).Select(p => (p.First, p.Second));
    }

    public static TheoryData<string, TieringEntry[]> Wrong => new()
    {
        { "There are 1 to 100 entries.", [] },
        { "The prefix a/: there are two such entries.", [Entry("a/", "warm"), Entry("a/", "cold")] },
        { "The bucket: it says neither a default nor a transition.", [Entry("", null)] },
        { "The bucket: the transition to WARM is after 1 to 36500 days, not 0.", [Entry("", null, ("warm", 0))] },
        { "The bucket: the transition to COLD after 30 days is not later than the one before it.", [Entry("", null, ("warm", 30), ("cold", 30))] },
        { "The prefix a/: the transition to WARM goes back to where the object was before.", [Entry("a/", null, ("warm", 30), ("cold", 60), ("warm", 90))] },
        { "The prefix a/: the transition to WARM goes back to where the object was before.", [Entry("a/", "warm", ("warm", 30))] },
        { "The bucket: the transition to STANDARD goes back to where the object was before.", [Entry("", "cold", ("STANDARD", 30))] },
        { "The bucket: there are at most 8 transitions.", [Entry("", null, [.. Enumerable.Range(1, 9).Select(i => ($"c{i}", i))])] },
    };

    [Theory, MemberData(nameof(Wrong))]
    public void What_can_not_be_is_refused_with_the_entry_and_the_reason(string reason, TieringEntry[] entries) => Assert.Equal(reason, new BucketTiering([.. entries]).WhyNot(c => c.ToUpperInvariant()));

    [Fact]
    public void A_prefix_that_is_too_long_is_refused() => Assert.EndsWith("a prefix has at most 1024 bytes.", new BucketTiering([Entry(new('ä', 513), "warm")]).WhyNot(c => c), StringComparison.Ordinal);
}
