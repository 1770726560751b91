using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Lifecycle;
using DarkStorage.Rules.Lifecycle.Language;
using DarkStorage.Rules.Tiers;
using DarkStorage.Unit.Lifecycle.Language;
using Xunit;

namespace DarkStorage.Unit.Lifecycle;

public sealed class LifecycleHistoryTests
{
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);
    private static readonly DateTimeOffset Made = new(2026, 1, 10, 6, 0, 0, TimeSpan.Zero);
    private static readonly Tier[] Tiers = [Tier.Hot, new("warm", "STANDARD_IA", "nas"), new("cold", "GLACIER_IR", "nas"), new("archive", "GLACIER", "nas")];
    private static readonly LifecycleRule Rule = new("rule", true, LifecycleFilter.Everything, null, null, null, [], [], false);

    [Fact]
    public void A_version_goes_from_tier_to_tier_as_it_gets_older()
    {
        var stays = StaysOf("age > 60d -> cold\nage > 30d -> warm", Version(), Made.AddDays(100));
        Assert.Equal([$"STANDARD {Made:s}", $"STANDARD_IA {Made.AddDays(30):s}", $"GLACIER_IR {Made.AddDays(60):s}", $"end {Made.AddDays(100):s}"], stays);
        Assert.Equal([$"STANDARD {Made:s}", $"end {Made.AddDays(30):s}"], StaysOf("age > 30d -> warm", Version(), Made.AddDays(30)));
        Assert.Equal([$"STANDARD_IA {Made:s}", $"end {Made.AddDays(1):s}"], StaysOf("-> warm", Version(), Made.AddDays(1)));
        Assert.Empty(StaysOf("-> warm", Version(), Made));
    }

    [Fact]
    public void What_was_read_and_when_counts_as_it_was_known_then()
    {
        var accesses = new AccessHistory(9, Made.AddDays(50), [new(DateOnly.FromDateTime(Made.AddDays(20).UtcDateTime), 5), new(DateOnly.FromDateTime(Made.AddDays(50).UtcDateTime), 4)], Made.AddDays(-1));
        var (first, second) = (Made.AddDays(21).UtcDateTime.Date, Made.AddDays(51).UtcDateTime.Date);
        Assert.Equal([$"STANDARD {Made:s}", $"STANDARD_IA {Made.AddDays(10):s}", $"STANDARD {first:s}", $"STANDARD_IA {first.AddDays(10):s}", $"STANDARD {second:s}", $"STANDARD_IA {Made.AddDays(60):s}", $"end {Made.AddDays(100):s}"],
            StaysOf("access > 10d -> warm\n-> hot", Version() with { Access = accesses }, Made.AddDays(100)));
        Assert.Equal([$"STANDARD {Made:s}", $"GLACIER {second:s}", $"end {Made.AddDays(100):s}"], StaysOf("access_count >= 9 -> archive", Version() with { Access = accesses }, Made.AddDays(100)));
        // Of the time before they were counted nobody knows.
        Assert.Equal([$"STANDARD {Made:s}", $"end {Made.AddDays(100):s}"], StaysOf("access > 10d -> warm", Version() with { Access = new(0, null, [], Made.AddDays(95)) }, Made.AddDays(100)));
    }

    [Fact]
    public void The_document_and_the_buckets_own_transitions_count_beside_and_a_policy_outranks_them()
    {
        var midnight = Made.UtcDateTime.Date;
        var document = new LifecycleConfiguration([Rule with { Transitions = [new(20, null, "GLACIER_IR")], NoncurrentTransitions = [new(5, null, "GLACIER")] }]);
        var tiering = new BucketTiering([new("a/", "STANDARD_IA", [new("GLACIER", 50)])]);
        Assert.Equal([$"STANDARD_IA {Made:s}", $"GLACIER_IR {midnight.AddDays(21):s}", $"GLACIER {midnight.AddDays(51):s}", $"end {Made.AddDays(100):s}"], StaysOf(null, Version(), Made.AddDays(100), document, tiering));
        Assert.Equal([$"STANDARD {Made:s}", $"end {Made.AddDays(100):s}"], StaysOf("-> hot", Version() with { Key = "b" }, Made.AddDays(100), document, tiering));
        Assert.Equal([$"STANDARD {Made:s}", $"GLACIER {midnight.AddDays(16):s}", $"end {Made.AddDays(100):s}"], StaysOf(null, Version() with { Key = "b", NoncurrentSince = Made.AddDays(10) }, Made.AddDays(100), document, tiering));
        // The bucket's own transition to a tier that is gone, and, from there on, what was due before it.
        Assert.Equal([$"STANDARD {Made:s}", $"STANDARD_IA {midnight.AddDays(11):s}", $"end {Made.AddDays(100):s}"], StaysOf(null, Version(), Made.AddDays(100), tiering: new([new("", null, [new("STANDARD_IA", 10), new("ONEZONE_IA", 20)])])));
        // A class that is no tier's, and a tier that is gone.
        Assert.Equal([$"STANDARD {Made:s}", $"ONEZONE_IA {midnight.AddDays(21):s}", $"end {Made.AddDays(100):s}"],
            StaysOf("age > 30d -> gone", Version(), Made.AddDays(100), new([Rule with { Transitions = [new(20, null, "ONEZONE_IA")] }])));
    }

    [Fact]
    public void A_circle_and_a_policy_that_never_rests_come_to_an_end()
    {
        Assert.Equal([$"STANDARD {Made:s}", $"end {Made.AddDays(100):s}"], StaysOf("tier == hot -> warm\ntier == warm -> hot", Version(), Made.AddDays(100)));
        Assert.InRange(StaysOf(string.Join('\n', Enumerable.Range(1, 60).Reverse().Select(n => $"age > {n}d -> {(n % 2 == 0 ? "hot" : "cold")}")), Version(), Made.AddDays(100)).Count, 60, 62);
    }

    [Fact]
    public void So_many_newer_versions_stay_as_there_were_at_the_time()
    {
        var midnight = Made.UtcDateTime.Date;
        var document = new LifecycleConfiguration([Rule with { NoncurrentTransitions = [new(1, 2, "GLACIER")] }]);
        var version = Version() with { NoncurrentSince = Made.AddDays(10) };
        // Replaced after 10 days; those that replaced it after 20, 40 and 60.
        foreach (var (newer, moved) in new (int[], DateTime?)[] { ([], null), ([20], null), ([20, 40], Made.AddDays(40).UtcDateTime), ([20, 40, 60], Made.AddDays(40).UtcDateTime), ([11, 11], midnight.AddDays(12)) })
        {
            var stays = new LifecycleHistory(document, null, null, Tiers, Day).StaysOf(version, [.. newer.Select(n => Made.AddDays(n))], Made.AddDays(100)).ToList();
            Assert.Equal(moved is { } at ? [("STANDARD", Made), ("GLACIER", new(at, TimeSpan.Zero))] : [("STANDARD", Made)], stays.Select(s => (s.StorageClass, s.From)));
        }
    }

    [Fact]
    public void It_begins_with_the_class_that_it_was_written_with()
    {
        var tiering = new BucketTiering([new("a/", "STANDARD_IA", [])]);
        foreach (var (begun, first) in new[] { ((string?)null, "STANDARD_IA"), ("GLACIER_IR", "GLACIER_IR") })
            Assert.Equal([first, "GLACIER"], new LifecycleHistory(LifecycleConfiguration.None, tiering, LifecyclePolicy.Parse("age > 30d -> archive"), Tiers, Day).StaysOf(Version(), [], Made.AddDays(100), begun).Select(s => s.StorageClass));
    }

    [Fact]
    public void What_a_policy_would_take_back_from_there_no_transition_moves()
    {
        var document = new LifecycleConfiguration([Rule with { Transitions = [new(20, null, "GLACIER_IR")] }]);
        Assert.Equal([$"STANDARD {Made:s}", $"end {Made.AddDays(100):s}"], StaysOf("tier == cold -> warm", Version(), Made.AddDays(100), document));
        Assert.Equal([$"STANDARD {Made:s}", $"GLACIER_IR {Made.UtcDateTime.Date.AddDays(21):s}", $"end {Made.AddDays(100):s}"], StaysOf("tier == warm -> cold", Version(), Made.AddDays(100), document));
    }

    /// <summary>Against a look at each hour.</summary>
    [Theory, InlineData(1), InlineData(2), InlineData(3)]
    public void Every_hour_it_is_where_a_look_at_each_hour_says(int seed)
    {
        var (random, circles) = (new Random(seed), 0);
        for (var round = 0; round < 60; round++)
        {
            var text = string.Join('\n', Enumerable.Range(0, random.Next(1, 5)).Select(_ => RandomRule(random)));
            var policy = LifecyclePolicy.Parse(text);
            var now = Made.AddDays(random.Next(1, 120)).AddHours(random.Next(24));
            var days = Enumerable.Range(0, random.Next(5)).Select(_ => DateOnly.FromDateTime(Made.AddDays(random.Next(100)).UtcDateTime)).Distinct().Where(d => After(d) <= now).Select(d => KeyValuePair.Create(d, (long)random.Next(1, 5))).ToList();
            var version = Version() with
            {
                NoncurrentSince = random.Next(3) == 0 ? Made.AddHours(random.Next(1, 2_000)) : null,
                Access = new(days.Sum(d => d.Value) + random.Next(2), days.Count == 0 ? null : After(days.Max(d => d.Key)), days, Made.AddHours(random.Next(-50, 500))),
            };
            var document = random.Next(2) == 0 ? LifecycleConfiguration.None : new([Rule with { Transitions = [new(random.Next(1, 80), null, RandomClass(random))], NoncurrentTransitions = [new(random.Next(1, 40), random.Next(3) == 0 ? random.Next(1, 4) : null, RandomClass(random))] }]);
            var newer = Enumerable.Range(0, version.NoncurrentSince is null ? 0 : random.Next(5)).Select(_ => version.NoncurrentSince!.Value.AddHours(random.Next(1_000))).ToList();
            var tiering = random.Next(2) == 0 ? null : new BucketTiering([new("", random.Next(2) == 0 ? null : RandomClass(random), [new(RandomClass(random), random.Next(1, 60))])]);

            var stays = new LifecycleHistory(document, tiering, policy, Tiers, Day).StaysOf(version, newer, now).ToList();

            var current = tiering?.Entries[0].DefaultClass ?? "STANDARD";
            for (var at = Made; at < now; at = at.AddHours(1))
            {
                for (var hop = 0; hop < 8; hop++) current = Look(at, current);
                var stay = Assert.Single(stays, s => s.From <= at && at < s.To);
                Assert.True(current == stay.StorageClass, $"Seed {seed}, round {round}, {at:s}: {current} and not {stay.StorageClass}\n{text}\n{string.Join('\n', stays)}");
            }
            Assert.Equal((Made, now), (stays[0].From, stays[^1].To));
            Assert.All(stays.Zip(stays.Skip(1)), p => Assert.True(p.First.To == p.Second.From && p.First.From < p.First.To && p.First.StorageClass != p.Second.StorageClass));

            string Look(DateTimeOffset at, string storageClass)
            {
                var known = days.Where(d => After(d.Key) <= at).ToList();
                DateTimeOffset? noncurrent = version.NoncurrentSince is { } since && since <= at ? since : null;
                var then = version with
                {
                    StorageClass = storageClass, Tier = Tiers.Single(t => t.StorageClass == storageClass).Name, NoncurrentSince = noncurrent,
                    Access = new(version.Access!.Total - days.Where(d => After(d.Key) > at).Sum(d => d.Value), known.Count == 0 ? null : After(known.Max(d => d.Key)), known, version.Access.Since),
                };
                if (policy.Decide(then, at) is not { IsKnown: true } decided) return storageClass;
                if (decided.Tier is { } tier) return IsInCircle(then, at) ? storageClass : Tiers.Single(t => t.Name == tier).StorageClass;
                var decision = document.Decide(new(version.Key, version.Size, Made, storageClass, [], false, noncurrent, newer.Count(n => n <= at), false), at, Day, tiering);
                if (decision is not { Act: LifecycleAct.Transition, StorageClass: { } wanted }) return storageClass;
                // As a run decides: not to where a policy takes it away from again.
                var there = then with { StorageClass = wanted, Tier = Tiers.Single(t => t.StorageClass == wanted).Name };
                return policy.Decide(there, at) is { IsKnown: true } back && (back.Tier is null || back.Tier == there.Tier) ? wanted : storageClass;
            }

            // Policies that go round move nothing there: those that were not saved together can.
            bool IsInCircle(LifecyclePolicySubject version, DateTimeOffset at)
            {
                var tier = version.Tier;
                for (var hop = 0; hop < Tiers.Length && policy.Decide(version, at) is { IsKnown: true, Tier: { } next } && next != version.Tier; hop++)
                {
                    if (next == tier) return ++circles > 0;
                    version = version with { Tier = next, StorageClass = Tiers.Single(t => t.Name == next).StorageClass };
                }
                return false;
            }
        }
    }

    [Fact]
    public void What_comes_by_time_alone_comes_to_the_tick()
    {
        var now = new DateTimeOffset(2026, 8, 20, 15, 30, 0, TimeSpan.Zero);
        var made = now.AddDays(-30);
        var version = Version() with { Modified = made, Access = new(3, now, [new(new(2026, 8, 20), 1), new(new(2026, 8, 14), 2)]) };
        // Today it had one access, six days ago two, which no longer count from midnight on.
        Assert.Equal([("STANDARD", now), ("STANDARD_IA", new(2026, 8, 21, 0, 0, 0, TimeSpan.Zero)), ("GLACIER", made.AddDays(365).AddTicks(1))], From("access_count_7d > 2 -> hot\nage > 365d -> archive\nage >= 30d -> warm"));
        Assert.Equal([("STANDARD_IA", now)], From("age >= 30d -> warm"));
        Assert.Equal([("STANDARD", now)], From("age < 7d -> cold; size > 1GB -> warm"));
        // One move after another: what is between is told too.
        Assert.Equal([("STANDARD_IA", now), ("GLACIER_IR", now), ("GLACIER", made.AddDays(60).AddTicks(1))], From("tier == hot AND age >= 30d -> warm\ntier == warm AND age > 20d -> cold\nage > 60d -> archive"));
        // Where it turns on what nobody knows, it stays.
        Assert.Equal([("STANDARD", now)], From("access > 60d -> warm", version with { Access = null }));
        // Of S3's document, of noncurrent versions, and of the bucket's own, each when it is due.
        var document = new LifecycleConfiguration([Rule with { Transitions = [new(40, null, "GLACIER_IR")], NoncurrentTransitions = [new(10, 2, "GLACIER")] }]);
        var tiering = new BucketTiering([new("", null, [new("STANDARD_IA", 35)])]);
        var midnight = new DateTimeOffset(2026, 8, 21, 0, 0, 0, TimeSpan.Zero);
        Assert.Equal([("STANDARD", now), ("STANDARD_IA", midnight.AddDays(5)), ("GLACIER_IR", midnight.AddDays(10))], From(null, document: document, tiering: tiering));
        Assert.Equal([("STANDARD", now), ("STANDARD_IA", midnight.AddDays(5)), ("GLACIER", midnight.AddDays(9))], From(null, version with { NoncurrentSince = now.AddDays(-1) }, 2, document, tiering));
        Assert.Equal([("STANDARD", now), ("STANDARD_IA", midnight.AddDays(5))], From(null, version with { NoncurrentSince = now.AddDays(-1) }, 1, document, tiering));

        // Without an archive, nothing that is outside is called archived.
        var archives = new LifecycleConfiguration([Rule with { Transitions = [new(40, null, "GLACIER")] }]);
        foreach (var (storageClass, classes) in new[] { ("STANDARD", (string[])["STANDARD", "GLACIER"]), ("GLACIER_IR", ["GLACIER_IR"]) })
            Assert.Equal(classes, new LifecycleHistory(archives, null, null, Tiers[..3], Day).StaysFrom(version with { StorageClass = storageClass }, 0, now).Select(s => s.StorageClass));

        List<(string, DateTimeOffset)> From(string? policy, LifecyclePolicySubject? other = null, int newer = 0, LifecycleConfiguration? document = null, BucketTiering? tiering = null)
        {
            var stays = new LifecycleHistory(document ?? LifecycleConfiguration.None, tiering, policy is null ? null : LifecyclePolicy.Parse(policy), Tiers, Day).StaysFrom(other ?? version, newer, now).ToList();
            Assert.Equal(DateTimeOffset.MaxValue, stays[^1].To);
            return stays.ConvertAll(s => (s.StorageClass, s.From));
        }
    }

    /// <summary>Against the policy at all instants at which anything could turn.</summary>
    [Theory, InlineData(1), InlineData(2), InlineData(3), InlineData(4)]
    public void Where_it_is_to_be_no_policy_takes_it_away_and_where_it_was_one_does(int seed)
    {
        var (random, now, turns) = (new Random(seed), LifecyclePolicyArbitrary.Now, 0);
        var arbitrary = new LifecyclePolicyArbitrary(random);
        for (var round = 0; round < 1_000; round++)
        {
            var policy = LifecyclePolicy.Parse(LifecyclePolicy.Print(Enumerable.Range(0, 1 + round % 4).Select(_ => arbitrary.Rule().Rule)));
            if (policy.FindMistakes(n => Tiers.Single(t => t.Name == n).StorageClass).Any(static m => m.Kind == LifecycleFindingKind.Circular)) continue;
            var version = arbitrary.Subject();
            if (random.Next(4) == 0) version = version with { Access = null };
            var stays = new LifecycleHistory(LifecycleConfiguration.None, null, policy, Tiers, Day).StaysFrom(version, 0, now).ToList();
            Assert.Equal((now, DateTimeOffset.MaxValue), (stays[0].From, stays[^1].To));
            foreach (var at in Steps(random, version, now).Concat(stays.Skip(1).Select(static s => s.From.AddTicks(-1))).Where(t => t >= now))
            {
                var stay = Assert.Single(stays, s => s.From <= at && at < s.To);
                Assert.False(IsMoved(stay.StorageClass, at), $"Seed {seed}, round {round}, {at:O}: it is not to be {stay.StorageClass}\n{policy}{version}");
            }
            foreach (var (before, stay) in stays.Zip(stays.Skip(1)))
            {
                turns++;
                Assert.True(IsMoved(before.StorageClass, stay.From), $"Seed {seed}, round {round}, {stay.From:O}: nothing moves it from {before.StorageClass}\n{policy}{version}");
            }

            bool IsMoved(string storageClass, DateTimeOffset at)
            {
                var there = version with { StorageClass = storageClass, Tier = Tiers.Single(t => t.StorageClass == storageClass).Name };
                return policy.Decide(there, at) is { IsKnown: true } decided && decided.Moves(there);
            }
        }
        Assert.InRange(turns, 50, int.MaxValue);
    }

    private static IEnumerable<DateTimeOffset> Steps(Random random, LifecyclePolicySubject version, DateTimeOffset now)
    {
        foreach (var from in (DateTimeOffset?[])[version.Modified, version.Access?.Last, version.NoncurrentSince])
        {
            foreach (var seconds in (int[])[0, 1, 5_400, 86_400, 129_600, 604_800, 2_592_000])
            {
                for (var tick = -1; tick <= 1 && from is not null; tick++) yield return from.Value.AddSeconds(seconds).AddTicks(tick);
            }
        }
        for (var day = 0; day <= 91; day++)
        {
            for (var tick = -1; tick <= 1; tick++) yield return new DateTimeOffset(now.Date, TimeSpan.Zero).AddDays(day).AddTicks(tick);
        }
        for (var i = 0; i < 20; i++) yield return now.AddSeconds(random.Next(10_000_000));
    }

    [Fact]
    public void Sums_are_of_months_and_classes_and_each_move_counts_where_it_goes()
    {
        Assert.True(UsageMonth.TryParse("2026-02", out var february));
        var estimate = new UsageEstimate(february);
        var (january, march) = (new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero), new DateTimeOffset(2026, 3, 1, 0, 0, 0, TimeSpan.Zero));
        estimate.Add([new(january, january.AddDays(10), "STANDARD"), new(january.AddDays(10), march.AddDays(-14), "STANDARD_IA"), new(march.AddDays(-14), march.AddDays(31), "GLACIER")], 1_000);
        estimate.Add([new(march, march.AddDays(31), "GLACIER")], 5_000_000_000_000_000);
        Assert.Equal([(february.Number, "GLACIER", 500m, 1L), (february.Number, "STANDARD_IA", 500, 0), (february.Number + 1, "GLACIER", 5_000_000_000_001_000, 0)], estimate.Months().Select(m => (m.Month, m.StorageClass, m.ByteMonths, m.Moves)));
    }

    private static LifecyclePolicySubject Version() => new("a/key", 1_000, Made, "hot", "STANDARD", Tags: []);

    private static string RandomClass(Random random) => Tiers[random.Next(Tiers.Length)].StorageClass;

    private static string RandomRule(Random random)
    {
        string[] conditions =
        [
            $"age > {random.Next(90)}d", $"age < {random.Next(1, 90)}d", $"access > {random.Next(60)}d", $"access_count_{random.Next(1, 30)}d >= {random.Next(1, 4)}", $"access_count < {random.Next(1, 6)}", "noncurrent",
            $"tier == {Tiers[random.Next(Tiers.Length)].Name}", "size > 10",
        ];
        return $"{string.Join(random.Next(3) == 0 ? " OR " : " AND ", Enumerable.Range(0, random.Next(1, 3)).Select(_ => conditions[random.Next(conditions.Length)]))} -> {Tiers[random.Next(Tiers.Length)].Name}";
    }

    private static DateTimeOffset After(DateOnly day) => new(day.AddDays(1).ToDateTime(TimeOnly.MinValue), TimeSpan.Zero);

    /// <summary>To the second: what is more than 30 days old is so a tick later.</summary>
    private static List<string> StaysOf(string? policy, LifecyclePolicySubject version, DateTimeOffset now, LifecycleConfiguration? document = null, BucketTiering? tiering = null)
    {
        var stays = new LifecycleHistory(document ?? LifecycleConfiguration.None, tiering, policy is null ? null : LifecyclePolicy.Parse(policy), Tiers, Day).StaysOf(version, [], now).ToList();
        return stays.Count == 0 ? [] : [.. stays.Select(s => $"{s.StorageClass} {s.From:s}"), $"end {stays[^1].To:s}"];
    }
}
