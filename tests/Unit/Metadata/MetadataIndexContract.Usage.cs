using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Metadata;
using DarkStorage.Rules.Tiers;
using Xunit;

namespace DarkStorage.Unit.Metadata;

public abstract partial class MetadataIndexContract
{
    private static readonly string[] UsedClasses = ["STANDARD", "STANDARD_IA", "GLACIER"];

    /// <summary>Saves, replaces, moves and removes as it comes, for months; and says of each month and class what a look at every moment between two changes would have seen.</summary>
    [Theory, InlineData(1), InlineData(2)]
    public async Task Usage_by_class_and_month_is_what_was_there_at_every_moment(int seed)
    {
        var random = new Random(seed);
        var bucket = (await _index.CreateBucketAsync("usage", new("owner", "", BucketVersioning.Enabled, []), Now, Ct)).Id;
        var time = Now;
        var there = new List<(string Key, ObjectVersion Version)>();
        var seen = new Dictionary<(UsageMonth, string), (long Objects, long Bytes, decimal ByteMilliseconds)>();
        for (var (step, revision) = (0, 1L); step < 300; step++, revision++)
        {
            Pass(TimeSpan.FromMilliseconds(random.NextInt64((long)TimeSpan.FromDays(2).TotalMilliseconds)));
            var key = $"k{random.Next(8)}";
            var mine = there.FindIndex(v => v.Key == key);
            switch (random.Next(4))
            {
                case 0 when mine >= 0:
                    var removed = there[mine].Version;
                    Assert.True(await _index.RemoveVersionAsync(new(bucket, key, removed.Name, removed.Revision, removed.Attributes.Change), time, Ct));
                    there.RemoveAt(mine);
                    break;
                case 1 when mine >= 0:
                    var before = there[mine].Version;
                    if (before.IsDeleteMarker) break;
                    var moved = before with { StorageClass = UsedClasses[random.Next(UsedClasses.Length)], Attributes = before.Attributes with { Change = before.Attributes.Change + 1 } };
                    await _index.UpdateVersionAsync(bucket, key, moved, time, [], WishChange.None, Ct);
                    there[mine] = (key, moved);
                    break;
                default:
                    var isNull = random.Next(2) == 0;
                    var next = random.Next(8) == 0 ? Marker(revision) : Version(revision, new string('x', random.Next(3_000))) with { StorageClass = UsedClasses[random.Next(UsedClasses.Length)] };
                    next = next with { IsNull = isNull, Modified = time };
                    await _index.SaveObjectAsync(new(bucket, key, null, next), Ct);
                    if (isNull) there.RemoveAll(v => v.Key == key && v.Version.IsNull);
                    there.Add((key, next));
                    break;
            }
        }
        Pass(TimeSpan.FromDays(40));

        var (first, last) = (UsageMonth.Of(Now), UsageMonth.Of(time));
        var months = UsageReport.Months(await _index.ListUsageAsync(bucket, Ct), first, last, time);

        Assert.Equal(seen.Where(s => s.Value != default).OrderBy(s => s.Key.Item1.Number).ThenBy(s => s.Key.Item2, StringComparer.Ordinal).Select(s => $"{s.Key.Item1} {s.Key.Item2} {s.Value.Objects} {s.Value.Bytes} {s.Value.ByteMilliseconds}"),
            months.Select(m => $"{m.Month} {m.StorageClass} {m.Objects} {m.Bytes} {decimal.Round(m.ByteMonths * m.Month.Length, 3):0.###}"));
        Assert.Equal((there.Count(v => !v.Version.IsDeleteMarker), there.Sum(v => v.Version.Manifest.Length)), await _index.GetUsageAsync(bucket, Ct));

        // Stops at each begin of a month, as nothing but time goes by.
        void Pass(TimeSpan by)
        {
            for (var until = time + by; time < until;)
            {
                var month = UsageMonth.Of(time);
                var stop = until < month.End ? until : month.End;
                foreach (var storageClass in UsedClasses)
                {
                    var held = there.Where(v => !v.Version.IsDeleteMarker && v.Version.StorageClass == storageClass).ToList();
                    var bytes = held.Sum(v => v.Version.Manifest.Length);
                    seen.TryGetValue((month, storageClass), out var sum);
                    seen[(month, storageClass)] = (held.Count, bytes, sum.ByteMilliseconds + (bytes * (decimal)(stop - time).TotalMilliseconds));
                }
                time = stop;
            }
        }
    }

    [Fact]
    public async Task More_byte_milliseconds_than_64_bits_hold_are_counted_to_the_last_one()
    {
        var bucket = await NewBucketAsync();
        var end = UsageMonth.Of(Now).End;
        const long petabytes = 5_000_000_000_000_007;
        var (saved, removed) = (end.AddMilliseconds(-3), end.AddMilliseconds(-1));
        for (var i = 0; i < 20; i++) await _index.SaveObjectAsync(new(bucket, $"k{i}", 0, Large(i + 1)), Ct);
        for (var i = 0; i < 19; i++) await _index.RemoveVersionAsync(new(bucket, $"k{i}", VersionName.Null, i + 1, 0), removed, Ct);

        var month = Assert.Single(UsageReport.Months(await _index.ListUsageAsync(bucket, Ct), UsageMonth.Of(Now), UsageMonth.Of(Now), end));

        Assert.Equal((20 * 2m * petabytes) + petabytes, decimal.Round(month.ByteMonths * month.Month.Length, 3));
        Assert.Equal((1, petabytes), (month.Objects, month.Bytes));

        ObjectVersion Large(long revision)
        {
            var version = Version(revision, "x");
            return version with { Modified = saved, Manifest = version.Manifest with { Length = petabytes } };
        }
    }

    [Fact]
    public async Task Requests_add_up_and_what_was_in_a_bucket_that_is_gone_is_still_there_of_all()
    {
        var (bucket, other) = (await NewBucketAsync(), await NewBucketAsync());
        var month = UsageMonth.Of(Now);
        await _index.SaveObjectAsync(new(bucket, "k", 0, Version(1, "12345") with { StorageClass = "GLACIER" }), Ct);
        await _index.SaveObjectAsync(new(other, "k", 0, Version(1, "123")), Ct);
        var traffic = new Traffic(1, 2, 3, 4, 5);
        await _index.CountTrafficAsync([new(bucket, month, "GLACIER", traffic), new(bucket, month, "STANDARD", traffic), new(other, month, "STANDARD", traffic)], Ct);
        await _index.CountTrafficAsync([new(bucket, month, "GLACIER", traffic)], Ct);

        var of = await _index.ListUsageAsync(bucket, Ct);
        Assert.Equal([("GLACIER", 1L, 5L, traffic + traffic), ("STANDARD", 0, 0, traffic)], of.Select(u => (u.StorageClass, u.Objects, u.Bytes, u.Traffic)));

        await _index.RemoveVersionAsync(new(bucket, "k", VersionName.Null, 1, 0), Later, Ct);
        await _index.DeleteBucketAsync(bucket, Later, Ct);
        await _index.CountTrafficAsync([new(bucket, month, "GLACIER", traffic)], Ct);

        Assert.Empty(await _index.ListUsageAsync(bucket, Ct));
        var all = await _index.ListUsageAsync(null, Ct);
        Assert.Equal([("GLACIER", 0L, 0L, traffic + traffic + traffic), ("STANDARD", 1, 3, traffic + traffic)], all.Select(u => (u.StorageClass, u.Objects, u.Bytes, u.Traffic)));
        Assert.Equal(5 * (Later - Now).TotalMilliseconds, (double)(UsageReport.Months(all, month, month, month.End)[0].ByteMonths * month.Length), 3);
    }

    [Fact]
    public async Task Many_change_and_count_while_usage_is_put_in_order_and_nothing_is_lost()
    {
        var bucket = await NewBucketAsync();
        using var done = new CancellationTokenSource();
        var sorting = Task.Run(async () =>
        {
            while (!done.IsCancellationRequested) await _index.SortUsageAsync(Now.AddMonths(3), Ct);
        }, Ct);
        await Task.WhenAll(Enumerable.Range(0, 200).Select(async i =>
        {
            await _index.SaveObjectAsync(new(bucket, $"k{i}", 0, Version(1, "1234567")), Ct);
            await _index.CountTrafficAsync([new(bucket, UsageMonth.Of(Now), "STANDARD", new(1, 1, 1, 1, 1))], Ct);
            if (i % 2 == 0) await _index.RemoveVersionAsync(new(bucket, $"k{i}", VersionName.Null, 1, 0), Now, Ct);
        }));
        await done.CancelAsync();
        await sorting;
        await _index.SortUsageAsync(Now.AddMonths(3), Ct);

        var usage = Assert.Single(await _index.ListUsageAsync(bucket, Ct));
        Assert.Equal(new(UsageMonth.Of(Now), "STANDARD", 100, 700, 700 * (decimal)(Now - UsageMonth.Of(Now).Begin).TotalMilliseconds, new(200, 200, 200, 200, 200)), usage);
    }
}
