using DarkStorage.Rules.Lifecycle.Language;
using Xunit;

namespace DarkStorage.Unit.Lifecycle.Language;

public sealed class LifecyclePolicyExplanationTests
{
    private static readonly DateTimeOffset Now = LifecyclePolicyArbitrary.Now;
    private static readonly LifecyclePolicySubject Subject = new("logs/1.log", 1_234_567_890, Now.AddDays(-12).AddHours(-3), "hot", "STANDARD", null, [new("project", "x")], AccessHistory.None);

    [Fact]
    public void Why_it_is_where_it_is_is_told_in_sentences()
    {
        var policy = LifecyclePolicy.Parse("age > 365d AND access_count == 0 -> archive\ntag.project == \"x\" AND (size > 1GB OR tag.other == \"y\") -> warm\nnoncurrent_age > 1d OR access < 1h -> cold\n-> hot");
        Assert.Equal(
            """
            It is in hot and belongs in warm: rule 2 decides.
            Rule 1, age > 365d AND access_count == 0 -> archive, does not hold.
              age > 365d: no, it is 12d 3h
              access_count == 0: yes, it is 0
            Rule 2, tag.project == "x" AND (size > 1GB OR tag.other == "y") -> warm, decides.
              tag.project == "x": yes, it is "x"
              size > 1GB: yes, it is 1.23GB (1234567890B)
              tag.other == "y": no, it has no such tag
            Rule 3, noncurrent_age > 1d OR access < 1h -> cold, does not hold.
              noncurrent_age > 1d: no, it is the version on top
              access < 1h: no, it is 12d 3h, as it was never accessed
            Rule 4, -> hot, holds, but one before it decided.
            """.ReplaceLineEndings("\n"), string.Join('\n', policy.Explain(Subject, Now).Lines()));
    }

    [Theory]
    [InlineData("size > 2GB -> warm", "It stays in hot: no rule holds.")]
    [InlineData("-> hot", "It stays in hot: rule 1 decides.")]
    [InlineData("age < 13d -> warm", "It is in hot and belongs in warm: rule 1 decides.")]
    public void The_first_line_says_what_is(string text, string line) => Assert.Equal(line, LifecyclePolicy.Parse(text).Explain(Subject, Now).Lines().First());

    [Theory]
    [InlineData("tag.a == \"x\" OR access_count == 1 -> warm", "Where it belongs turns on tags and accesses, of which too little is known.", "Rule 1, tag.a == \"x\" OR access_count == 1 -> warm, turns on what is not known.", "  tag.a == \"x\": unknown, tags were not looked up", "  access_count == 1: unknown, accesses were not looked up")]
    [InlineData("tag.a == \"x\" -> warm; -> warm", "It belongs in warm, whichever of several rules decides.", "Rule 1, tag.a == \"x\" -> warm, turns on what is not known.")]
    [InlineData("access > 13d -> warm", "It stays in hot: no rule holds.", "Rule 1, access > 13d -> warm, does not hold.")]
    public void What_nobody_looked_up_is_told_as_that(string text, params string[] lines) =>
        Assert.Equal(lines, LifecyclePolicy.Parse(text).Explain(Subject with { Tags = null, Access = null }, Now).Lines().Take(lines.Length));

    [Fact]
    public void Each_comparison_says_what_the_version_has()
    {
        var policy = LifecyclePolicy.Parse("name LIKE \"*.txt\" OR file_extension == .txt OR tier == cold OR storage_class == GLACIER OR noncurrent OR access > 1d OR access_count_7d > 1 OR age < 1s OR size < 1 OR tag.a == \"x\" -> warm");
        var subject = Subject with { Key = "a\u0001b", Size = 999, Modified = Now.AddTicks(-1), NoncurrentSince = Now, Access = new(3, Now, [new(new(2026, 8, 20), 2)]) };
        Assert.Equal(["it is \"a\\u{1}b\"", "it has none", "it is hot", "it is STANDARD", "a newer version took its place", "it is less than 1s", "it is 2", "it is less than 1s", "it is 999B", "it has no such tag"],
            policy.Explain(subject, Now).Rules[0].Comparisons.Select(c => c.Actual));
        Assert.Equal([false, false, false, false, true, false, true, true, false, false], policy.Explain(subject, Now).Rules[0].Comparisons.Select(c => c.Held!.Value));
    }

    [Theory, InlineData(1), InlineData(2)]
    public void The_rule_that_is_said_to_decide_is_the_one_that_does(int seed)
    {
        var arbitrary = new LifecyclePolicyArbitrary(new Random(seed));
        for (var i = 0; i < 500; i++)
        {
            var policy = LifecyclePolicy.Parse(LifecyclePolicy.Print(Enumerable.Range(0, 1 + i % 5).Select(_ => arbitrary.Rule().Rule)));
            var subject = arbitrary.Subject();
            if (i % 3 == 0) subject = subject with { Tags = null };
            var (decision, explanation) = (policy.Decide(subject, Now), policy.Explain(subject, Now));
            Assert.Equal(decision, explanation.Decision);
            Assert.Equal(decision.Rule, explanation.Rules.FirstOrDefault(r => r.Outcome == LifecycleRuleOutcome.Decides)?.Number ?? (decision is { IsKnown: true, Rule: { } rule } ? rule : null));
            Assert.All(explanation.Lines(), line => Assert.DoesNotContain('\n', line));
        }
    }
}
