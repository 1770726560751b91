using System.Diagnostics;
using DarkStorage.Rules.Lifecycle.Language;
using Xunit;

namespace DarkStorage.Unit.Lifecycle.Language;

public sealed class LifecyclePolicyMistakesTests(ITestOutputHelper output)
{
    private static readonly DateTimeOffset Now = LifecyclePolicyArbitrary.Now;

    [Theory]
    [InlineData("age > 30d AND age < 7d -> warm", "Rule 1 (age > 30d AND age < 1w -> warm) never holds: no version is all that at once.")]
    [InlineData("access > 60d AND age < 30d -> warm", "Rule 1 (access > 60d AND age < 30d -> warm) never holds: no version is all that at once.")]
    [InlineData("access_count_7d > 3 AND access_count_30d <= 3 -> warm", "Rule 1 (access_count_7d > 3 AND access_count_30d <= 3 -> warm) never holds: no version is all that at once.")]
    [InlineData("access_count_90d > 3 AND access_count == 1 -> warm", "Rule 1 (access_count_90d > 3 AND access_count == 1 -> warm) never holds: no version is all that at once.")]
    [InlineData("noncurrent_age > 8d AND age <= 8d -> warm", "Rule 1 (noncurrent_age > 8d AND age <= 8d -> warm) never holds: no version is all that at once.")]
    [InlineData("NOT noncurrent AND noncurrent_age > 1d -> warm", "Rule 1 (NOT noncurrent AND noncurrent_age > 1d -> warm) never holds: no version is all that at once.")]
    [InlineData("size < 0 -> warm", "Rule 1 (size < 0B -> warm) never holds: no version is all that at once.")]
    [InlineData("tag.a == \"x\" AND tag.a IN (\"y\", \"z\") -> warm", "Rule 1 (tag.a == \"x\" AND tag.a IN (\"y\", \"z\") -> warm) never holds: no version is all that at once.")]
    [InlineData("name LIKE \"a/*\" AND name LIKE \"b/*\" -> warm", "Rule 1 (name LIKE \"a/*\" AND name LIKE \"b/*\" -> warm) never holds: no version is all that at once.")]
    [InlineData("name LIKE \"*.log\" AND name LIKE \"*.txt\" -> warm", "Rule 1 (name LIKE \"*.log\" AND name LIKE \"*.txt\" -> warm) never holds: no version is all that at once.")]
    [InlineData("name NOT LIKE \"*\" -> warm", "Rule 1 (name NOT LIKE \"*\" -> warm) never holds: no version is all that at once.")]
    [InlineData("name == \"a\" AND name LIKE \"b*\" -> warm", "Rule 1 (name == \"a\" AND name LIKE \"b*\" -> warm) never holds: no version is all that at once.")]
    [InlineData("NOT (tier != hot) AND tier == warm -> cold", "Rule 1 (NOT tier != hot AND tier == warm -> cold) never holds: no version is all that at once.")]
    [InlineData("-> warm\nage > 3d -> cold", "Rule 2 (age > 3d -> cold) contradicts rule 1 (-> warm), which decides on all that it matches and comes first. Put it in front, or take it out.")]
    [InlineData("age > 30d -> warm\nage > 365d -> archive", "Rule 2 (age > 365d -> archive) contradicts rule 1 (age > 30d -> warm), which decides on all that it matches and comes first. Put it in front, or take it out.")]
    [InlineData("age > 30d -> warm\nage > 365d -> warm", "Rule 2 (age > 365d -> warm) is redundant: rule 1 (age > 30d -> warm) decides on all that it matches, for the same tier. Take it out.")]
    [InlineData("access > 30d -> warm\naccess < 3d -> hot\nage > 1d AND access >= 30d AND access != 30d -> cold", "Rule 3 (age > 1d AND access >= 30d AND access != 30d -> cold) contradicts rule 1 (access > 30d -> warm), which decides on all that it matches and comes first. Put it in front, or take it out.")]
    [InlineData("size > 5 -> warm\nage > 1d -> cold\nsize <= 10 -> hot\n-> archive", "Rule 4 (-> archive) contradicts rules 1 and 3 together, which decide on all that it matches and come first. Put it in front, or take it out.")]
    [InlineData("name LIKE \"logs/*\" -> warm\nname LIKE \"logs/app?/*.log\" AND size > 1 -> cold", "Rule 2 (name LIKE \"logs/app?/*.log\" AND size > 1B -> cold) contradicts rule 1 (name LIKE \"logs/*\" -> warm), which decides on all that it matches and comes first. Put it in front, or take it out.")]
    [InlineData("file_extension NOT IN (.a, .b) -> warm\nfile_extension == .C -> cold", "Rule 2 (file_extension == .c -> cold) contradicts rule 1 (file_extension NOT IN (.a, .b) -> warm), which decides on all that it matches and comes first. Put it in front, or take it out.")]
    [InlineData("tier == hot -> warm\ntier == warm -> hot", "Rule 1 (tier == hot -> warm) begins a circle: a version in hot goes to warm (rule 1) to hot (rule 2), and so on for ever.")]
    [InlineData("tier == hot AND age > 3d -> warm\ntier == warm AND size > 1KB -> cold\ntier == cold -> hot", "a version in hot goes to warm (rule 1) to cold (rule 2) to hot (rule 3), and so on for ever; for example one with age: it is just over 3d; size: it is 1KB (1001B).")]
    [InlineData("tier != warm -> warm\n-> cold", "Rule 1 (tier != warm -> warm) begins a circle")]
    [InlineData("storage_class == STANDARD -> warm\nstorage_class == STANDARD_IA -> hot", "begins a circle: a version in hot goes to warm (rule 1) to hot (rule 2), and so on for ever.")]
    [InlineData("tier == hot AND name LIKE \"logs/*\" AND tag.a != \"x\" -> warm\ntier == warm AND file_extension == .gz AND noncurrent_age > 3d AND access_count_7d > 2 -> hot", "for example one with name: it is \"logs/x.gz\"")]
    public void What_cannot_be_meant_is_found(string text, string sentence)
    {
        var findings = Find(text);
        Assert.Contains(sentence, Assert.Single(findings).Sentence);
    }

    [Theory]
    [InlineData("access < 30d -> warm")]
    [InlineData("age > 365d AND access_count == 0 -> archive\nage > 30d -> warm")]
    [InlineData("access_count_7d > 10 -> hot\nfile_extension IN (.log, .txt) AND age > 7d -> warm\nsize > 1GB -> cold\ntag.project == \"x\" -> archive")]
    [InlineData("access > 60d AND age >= 60d AND age <= 61d -> warm")]
    [InlineData("access_count_30d > 3 AND access_count_7d == 0 -> warm")]
    [InlineData("tag.a != \"x\" AND tag.a != \"y\" -> warm\ntag.a == \"x\" -> cold\ntag.b NOT LIKE \"*\" -> hot")]
    [InlineData("tier == hot AND age > 30d -> warm\ntier == warm AND age > 90d -> cold\ntier == cold AND age > 365d -> archive")]
    [InlineData("tier == hot AND age > 30d -> warm\ntier == warm AND age <= 30d -> hot")]
    [InlineData("tier == warm -> warm\nage > 3d -> cold")]                       // what is in warm is left there
    [InlineData("tier == cold AND access < 1d -> hot\naccess > 30d -> cold")]
    [InlineData("name LIKE \"a*\" AND name LIKE \"*a\" -> warm")]
    [InlineData("name LIKE \"logs/*\" -> warm\nname LIKE \"*.log\" -> cold")]
    [InlineData("name LIKE \"a?\" -> warm\nname LIKE \"a*\" -> cold")]
    [InlineData("name LIKE \"?\" AND name LIKE \"??\" AND tier == hot -> warm\ntier == warm -> hot")] // no name is both, and that is not seen; no circle is claimed on it
    [InlineData("file_extension LIKE \".L*\" AND file_extension == .log -> warm")]
    [InlineData("storage_class == STANDARD -> unknown\nstorage_class == GLACIER -> hot")]
    public void What_can_be_meant_is_let_pass(string text) => Assert.Empty(Find(text));

    [Fact]
    public void Every_mistake_is_told_with_its_rule()
    {
        var findings = Find("size < 0 -> warm\nage > 30d -> warm\nage > 60d -> cold\nage > 70d -> warm\ntier == hot -> cold\ntier == cold -> hot");
        Assert.Equal([(LifecycleFindingKind.NeverHolds, 1), (LifecycleFindingKind.Contradiction, 3), (LifecycleFindingKind.Redundant, 4), (LifecycleFindingKind.Circular, 5)], findings.Select(f => (f.Kind, f.Rule)));
    }

    [Fact]
    public void What_takes_too_long_to_check_is_refused_in_time()
    {
        // Twelve pigeons in eleven holes, one in each: there is no way, and finding that out means trying nearly all.
        var conditions = Enumerable.Range(0, 12).Select(pigeon => "(" + string.Join(" OR ", Enumerable.Range(0, 11).Select(hole => $"tag.hole{hole} == \"{pigeon}\"")) + ")");
        var began = Stopwatch.StartNew();
        var finding = Assert.Single(Find(string.Join(" AND ", conditions) + " -> warm"));
        output.WriteLine($"{began.ElapsedMilliseconds} ms");
        Assert.Equal((LifecycleFindingKind.TooComplicated, 1), (finding.Kind, finding.Rule));
        Assert.Contains("is too complicated to check beside the others: that took more than 500000 steps.", finding.Sentence);
    }

    [Fact]
    public void A_policy_as_large_as_may_be_is_checked()
    {
        var rules = Enumerable.Range(0, 99).Select(i => $"tag.project == \"p{i}\" AND (age > {i + 1}d OR size > {i + 1}GB) AND tier != archive AND NOT (name LIKE \"logs/{i}/*\" OR access_count_{i % 90 + 1}d > {i}) -> {LifecyclePolicyArbitrary.Tiers[i % 4]}");
        var began = Stopwatch.StartNew();
        Assert.Empty(Find(string.Join('\n', rules)));
        output.WriteLine($"{began.ElapsedMilliseconds} ms");
        // Choices in choices as deep as the bounds let them be: no stack ends.
        Find(string.Join(" AND ", Enumerable.Range(0, 500).Select(i => $"(size != {i} OR age != {i}s)")) + " -> warm");
        Find(string.Concat(Enumerable.Range(0, 100).Select(i => $"tier == t{i} AND ({string.Join(" OR ", Enumerable.Range(0, 8).Select(n => $"size == {i * n}"))}) -> t{(i + 1) % 100}\n")));
    }

    [Theory, InlineData(1), InlineData(2), InlineData(3), InlineData(4)]
    public void Of_numbers_exactly_what_no_version_is_decided_by_is_found_and_exactly_what_goes_in_circles(int seed)
    {
        output.WriteLine($"seed {seed}");
        var arbitrary = new NumbersAlone(new Random(seed));
        var versions = NumbersAlone.Versions().ToList();
        var counts = new int[5];
        for (var i = 0; i < 80; i++)
        {
            var text = arbitrary.Policy(1 + i % 4);
            var policy = LifecyclePolicy.Parse(text);
            var findings = policy.FindMistakes(ClassOf);
            foreach (var finding in findings) counts[(int)finding.Kind]++;
            var found = findings.Where(f => f.Kind is not LifecycleFindingKind.Circular).Select(f => (f.Rule, f.Kind == LifecycleFindingKind.NeverHolds)).ToHashSet();
            var alone = policy.Rules.Select(r => LifecyclePolicy.Parse($"{r}")).ToList();
            var everywhere = versions.SelectMany(v => NumbersAlone.Tiers.Append("archive").Select(t => v with { Tier = t })).ToList();
            var deciding = everywhere.Select(v => policy.Decide(v, Now).Rule).ToHashSet();
            var dead = Enumerable.Range(1, alone.Count).Where(r => !deciding.Contains(r)).Select(r => (r, !everywhere.Exists(v => alone[r - 1].Decide(v, Now).Rule == 1))).ToHashSet();
            Assert.True(found.SetEquals(dead), $"{policy}found {string.Join(", ", found)}, but {string.Join(", ", dead)}");
            var circle = everywhere.Exists(v => GoesRound(policy, v));
            Assert.True(circle == findings.Any(f => f.Kind == LifecycleFindingKind.Circular), $"{policy}a circle: {circle}, found {string.Join(", ", findings)}");
        }
        output.WriteLine(string.Join(", ", counts));
        Assert.All(counts[..4], c => Assert.True(c > 1));
    }

    [Theory, InlineData(1), InlineData(2), InlineData(3), InlineData(4)]
    public void Nothing_is_refused_that_any_version_is_decided_by(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var arbitrary = new LifecyclePolicyArbitrary(random);
        var subjects = Enumerable.Range(0, 2_000).Select(_ => arbitrary.Subject()).ToList();
        var dead = 0;
        for (var i = 0; i < 200; i++)
        {
            // Each of a few kinds of attribute, so that rules are about the same things.
            var kinds = Enum.GetValues<LifecycleAttributeKind>().Where(_ => random.Next(4) == 0).ToHashSet();
            if (kinds.Count == 0) continue;
            var policy = LifecyclePolicy.Parse(LifecyclePolicy.Print(Enumerable.Range(0, 1 + i % 4).Select(_ => arbitrary.Rule(kinds.Contains).Rule)));
            var findings = policy.FindMistakes(ClassOf);
            var deciding = subjects.Select(s => policy.Decide(s, Now).Rule).ToHashSet();
            foreach (var finding in findings.Where(f => f.Kind is LifecycleFindingKind.NeverHolds or LifecycleFindingKind.Contradiction or LifecycleFindingKind.Redundant))
            {
                dead++;
                Assert.False(deciding.Contains(finding.Rule), $"{policy}{finding}");
                if (finding.Kind == LifecycleFindingKind.NeverHolds) Assert.DoesNotContain(subjects, s => LifecyclePolicy.Parse($"{policy.Rules[finding.Rule - 1]}").Decide(s, Now).Rule == 1);
            }
        }
        output.WriteLine($"{dead} rules are dead");
        Assert.True(dead > 100);
    }

    private static IReadOnlyList<LifecycleFinding> Find(string text) => LifecyclePolicy.Parse(text).FindMistakes(ClassOf);

    private static string? ClassOf(string tier) => tier switch
    {
        "hot" => "STANDARD",
        "warm" => "STANDARD_IA",
        "cold" => "GLACIER_IR",
        "archive" => "GLACIER",
        _ => null,
    };

    private static bool GoesRound(LifecyclePolicy policy, LifecyclePolicySubject version)
    {
        for (var move = 0; move <= NumbersAlone.Tiers.Length; move++)
        {
            var decision = policy.Decide(version, Now);
            if (!decision.Moves(version)) return false;
            version = version with { Tier = decision.Tier!, StorageClass = ClassOf(decision.Tier!)! };
        }
        return true;
    }

    /// <summary>Policies whose comparisons have so few values that all versions which differ for them can be listed.</summary>
    private sealed class NumbersAlone(Random random)
    {
        public static readonly string[] Tiers = ["hot", "warm", "cold"];
        private static readonly string[] Operators = ["<", "<=", ">", ">=", "==", "!="];

        public string Policy(int rules) => string.Concat(Enumerable.Range(0, rules).Select(_ => $"{(random.Next(10) == 0 ? "" : Condition(2))} -> {Tiers[random.Next(3)]}\n"));

        private string Condition(int depth)
        {
            if (depth > 0 && random.Next(4) > 0) return $"({Condition(depth - 1)} {(random.Next(2) == 0 ? "AND" : "OR")} {Condition(depth - 1)})";
            if (random.Next(5) == 0) return $"NOT ({Condition(depth - 1)})";
            var (relation, value) = (Operators[random.Next(6)], random.Next(3));
            return random.Next(8) switch
            {
                0 => $"age {relation} {value}d",
                1 => $"access {relation} {value}d",
                2 => $"access_count_7d {relation} {value}",
                3 => $"access_count_30d NOT IN ({value}, {value + 2})",
                4 => $"access_count {relation} {value}",
                5 => random.Next(2) == 0 ? "noncurrent" : $"noncurrent_age {relation} {value}d",
                _ => $"tier {Operators[random.Next(4, 6)]} {Tiers[random.Next(3)]}",
            };
        }

        public static IEnumerable<LifecyclePolicySubject> Versions()
        {
            var (day, today) = (TimeSpan.TicksPerDay, DateOnly.FromDateTime(Now.UtcDateTime));
            long[] times = [0, 1, day, day + 1, 2 * day, 2 * day + 1];
            var histories = from month in Enumerable.Range(0, 6) from week in Enumerable.Range(0, Math.Min(month, 3) + 1) from total in Enumerable.Range(month, Math.Max(1, 4 - month))
                            select (week, month, total);
            return from age in times
                   from access in times.Where(t => t <= age)
                   from noncurrent in times.Where(t => t <= age).Select(t => (long?)t).Append(null)
                   from h in histories
                   select new LifecyclePolicySubject("x", 1, Now.AddTicks(-age), "hot", "STANDARD", noncurrent is { } n ? Now.AddTicks(-n) : null, [],
                       new(h.total, Now.AddTicks(-access), [new(today, h.week), new(today.AddDays(-20), h.month - h.week)]));
        }
    }
}
