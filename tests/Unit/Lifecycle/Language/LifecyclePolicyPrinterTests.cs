using System.Globalization;
using DarkStorage.Rules.Lifecycle.Language;
using Xunit;

namespace DarkStorage.Unit.Lifecycle.Language;

public sealed class LifecyclePolicyPrinterTests(ITestOutputHelper output)
{
    [Theory, InlineData(1), InlineData(2), InlineData(3), InlineData(4), InlineData(5), InlineData(6)]
    public void What_is_printed_is_read_as_what_it_was(int seed)
    {
        output.WriteLine($"seed {seed}");
        var arbitrary = new LifecyclePolicyArbitrary(new Random(seed));
        for (var i = 0; i < 2_000; i++)
        {
            var rules = Enumerable.Range(0, 1 + i % 5).Select(_ => arbitrary.Rule(depth: 1 + i % 6).Rule).ToList();
            var text = LifecyclePolicy.Print(rules);
            var policy = LifecyclePolicy.Parse(text);
            Assert.Equal(rules, policy.Rules);
            Assert.Equal(text, policy.ToString());
            Assert.Equal(policy, LifecyclePolicy.Parse(policy.ToString()));
            Assert.Equal(policy.GetHashCode(), LifecyclePolicy.Parse(policy.ToString()).GetHashCode());
        }
    }

    [Theory, InlineData(1), InlineData(2)]
    public void No_parenthesis_can_be_left_out(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var arbitrary = new LifecyclePolicyArbitrary(random);
        var tried = 0;
        while (tried < 300)
        {
            // Without texts and lists, so that every parenthesis is one of a condition.
            var policy = LifecyclePolicy.Parse(LifecyclePolicy.Print([arbitrary.Rule(k => k is LifecycleAttributeKind.Age or LifecycleAttributeKind.Size or LifecycleAttributeKind.Noncurrent).Rule]));
            var text = policy.ToString();
            if (text.Contains("IN (", StringComparison.Ordinal) || !text.Contains('(')) continue;
            tried++;
            for (var open = text.IndexOf('('); open >= 0; open = text.IndexOf('(', open + 1))
            {
                var (close, depth) = (open, 0);
                do depth += text[close] switch { '(' => 1, ')' => -1, _ => 0 };
                while (depth > 0 && ++close > 0);
                Assert.NotEqual(policy, LifecyclePolicy.Parse(text.Remove(close, 1).Remove(open, 1)));
            }
        }
    }

    [Theory]
    [InlineData("age", "0d", "0s")]
    [InlineData("age", "90s", "90s")]
    [InlineData("age", "60s", "1min")]
    [InlineData("age", "48h", "2d")]
    [InlineData("age", "14d", "2w")]
    [InlineData("age", "30d", "30d")]
    [InlineData("age", "365D", "365d")]
    [InlineData("size", "0", "0B")]
    [InlineData("size", "1000", "1KB")]
    [InlineData("size", "1024", "1KiB")]
    [InlineData("size", "1000000KB", "1GB")]
    [InlineData("size", "1024gib", "1TiB")]
    [InlineData("size", "1001", "1001B")]
    [InlineData("access_count", "007", "7")]
    public void A_value_is_printed_in_the_largest_unit_that_is_exact(string attribute, string text, string printed) =>
        Assert.Equal($"{attribute} > {printed} -> warm\n", LifecyclePolicy.Parse($"{attribute} > {text} -> warm").ToString());

    [Theory, InlineData(1)]
    public void Every_value_is_printed_exactly(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (var i = 0; i < 5_000; i++)
        {
            var value = random.NextInt64(1L << random.Next(1, 49));
            var size = new NumberComparison(new(LifecycleAttributeKind.Size), LifecycleRelation.AtLeast, value);
            Assert.Equal(size, LifecyclePolicy.Parse($"{size} -> warm").Rules[0].Condition);
            var age = new NumberComparison(new(LifecycleAttributeKind.Age), LifecycleRelation.AtLeast, value % (36_500 * 86_400L) * TimeSpan.TicksPerSecond);
            Assert.Equal(age, LifecyclePolicy.Parse($"{age} -> warm").Rules[0].Condition);
            var bytes = LifecyclePolicy.Parse(string.Create(CultureInfo.InvariantCulture, $"size >= {value}B -> warm")).Rules[0].Condition;
            Assert.Equal(size, bytes);
        }
    }
}
