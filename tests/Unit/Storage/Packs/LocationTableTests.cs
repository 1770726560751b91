using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Packs;
using Xunit;

namespace DarkStorage.Unit.Storage.Packs;

/// <summary>Rounds through the blobs of a drive, several at once and some given up: none may miss what was there when it began.</summary>
public sealed class LocationTableTests
{
    private static readonly DateTimeOffset Always = DateTimeOffset.MaxValue;

    [Fact]
    public void A_round_sees_what_was_entered_after_another_that_was_given_up()
    {
        var table = new LocationTable();
        var random = new Random(1);
        for (var i = 0; i < 20; i++) Enter(table, random);
        Assert.Equal(5, table.List(default, Always, 5).Count);
        var late = Enter(table, random);
        Assert.Contains(late, All(table, Always, 7));
    }

    [Theory, InlineData(1), InlineData(2), InlineData(3), InlineData(4)]
    public void Rounds_side_by_side_miss_nothing_that_was_there_when_they_began(int seed)
    {
        var random = new Random(seed);
        var table = new LocationTable();
        var entered = new List<BlobId>();
        for (var i = 0; i < 70_000; i++) entered.Add(Enter(table, random));     // more than one pass collects
        var later = DateTimeOffset.UtcNow.AddHours(1);
        var rounds = new List<Round>();
        var ended = 0;
        for (var step = 0; step < 120 || ended == 0; step++)
        {
            for (var i = random.Next(3); i > 0; i--) entered.Add(Enter(table, random));
            if (rounds.Count < 6 && random.Next(3) == 0) rounds.Add(new(random.Next(2) == 0 ? Always : later, [.. entered]));
            if (rounds.Count == 0) continue;
            var round = rounds[random.Next(rounds.Count)];
            var page = table.List(round.After, round.Before, random.Next(1, 10_000));
            round.Seen.UnionWith(page);
            if (page.Count > 0) round.After = page[^1];
            if (page.Count > 0 && random.Next(40) > 0) continue;
            rounds.Remove(round);
            if (page.Count > 0) continue;       // or given up
            ended++;
            Assert.True(round.Seen.IsSupersetOf(round.There), $"Seed {seed}, step {step}");
        }
    }

    private sealed class Round(DateTimeOffset before, List<BlobId> there)
    {
        public readonly DateTimeOffset Before = before;
        public readonly List<BlobId> There = there;
        public readonly HashSet<BlobId> Seen = [];
        public BlobId After;
    }

    private static List<BlobId> All(LocationTable table, DateTimeOffset before, int max)
    {
        var all = new List<BlobId>();
        while (table.List(all.LastOrDefault(), before, max) is { Count: > 0 } page) all.AddRange(page);
        return all;
    }

    /// <summary>Anywhere in the order of ids, as what a repair brings.</summary>
    private static BlobId Enter(LocationTable table, Random random)
    {
        var blob = BlobId.New(new Earlier(TimeSpan.FromSeconds(random.Next(100_000))), 7, Redundancy.Default);
        table.Add(blob, 0, new(1, 8192, 4096, 100));
        return blob;
    }

    private sealed class Earlier(TimeSpan by) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() - by;
    }
}
