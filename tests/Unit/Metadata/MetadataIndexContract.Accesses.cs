using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Metadata;
using Xunit;

namespace DarkStorage.Unit.Metadata;

public abstract partial class MetadataIndexContract
{
    private static DateOnly Today => DateOnly.FromDateTime(Now.UtcDateTime);
    private static readonly VersionId One = new(1, 1), Two = new(1, 2);

    [Fact]
    public async Task Accesses_add_up_by_day_and_in_all_and_are_found_by_range_of_keys()
    {
        var (bucket, other) = (await NewBucketAsync(), await NewBucketAsync());
        await _index.CountAccessesAsync(Today, [new(bucket, "b", One, 3, Now), new(bucket, "ü", Two, 1, Later), new(other, "b", One, 9, Now)], Ct);
        await _index.CountAccessesAsync(Today, [new(bucket, "b", One, 4, Later), new(bucket, "b", Two, 1, Now)], Ct);
        await _index.CountAccessesAsync(Today.AddDays(-1), [new(bucket, "b", One, 5, Now.AddDays(-1)), new(bucket, "a", One, 1, Now)], Ct);

        Assert.Equal(["a 1 1", "b 1 12", "b 2 1", "ü 2 1"], Shown(await _index.ListAccessesAsync(bucket, "", null, Ct)));
        Assert.Equal(["b 1 12", "b 2 1"], Shown(await _index.ListAccessesAsync(bucket, "b", "b", Ct)));
        Assert.Equal(["ü 2 1"], Shown(await _index.ListAccessesAsync(bucket, "c", null, Ct)));
        var accesses = (await _index.ListAccessesAsync(bucket, "b", "b", Ct)).Single(a => a.Version == One);
        Assert.Equal((12L, Later), (accesses.Total, accesses.Last));
        Assert.Equal([new(Today.AddDays(-1), 5), new(Today, 7)], accesses.Days);
    }

    [Fact]
    public async Task Many_count_at_once_and_each_access_once()
    {
        var bucket = await NewBucketAsync();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(n => _index.CountAccessesAsync(Today,
            [.. Enumerable.Range(0, 200).Select(i => (n % 2 == 0 ? i : 199 - i)).Select(i => new AccessCount(bucket, $"k{i}", One, 1 + n, Now))], Ct)));
        var accesses = await _index.ListAccessesAsync(bucket, "", null, Ct);
        Assert.Equal((200, 36L, 36L), (accesses.Count, accesses.Min(a => a.Total), accesses.Max(a => a.Total)));
    }

    [Fact]
    public async Task Accesses_of_versions_that_are_gone_and_on_days_long_ago_are_forgotten()
    {
        var (bucket, stored) = await StoredAsync("k");
        var id = stored.Manifest.Version;
        await _index.CountAccessesAsync(Today, [new(bucket, "k", id, 1, Now), new(bucket, "k", One, 1, Now), new(bucket, "gone", One, 1, Now), new(bucket, "later", One, 1, Now)], Ct);
        await _index.CountAccessesAsync(Today.AddDays(-90), [new(bucket, "k", id, 2, Now.AddDays(-90))], Ct);

        // In turns of a row: what is left of one is none that counts.
        while (await _index.ForgetAccessesAsync(bucket, "a", "k", Today.AddDays(-89), 1, Ct) > 0) Assert.Equal(id, Assert.Single(await _index.ListAccessesAsync(bucket, "k", "k", Ct), a => a.Version != One).Version);

        Assert.Equal([$"k {id.Low} 3", "later 1 1"], Shown(await _index.ListAccessesAsync(bucket, "", null, Ct)));
        Assert.Equal([new(Today, 1)], (await _index.ListAccessesAsync(bucket, "k", "k", Ct)).Single().Days);
        Assert.Equal(2, await _index.ForgetAccessesAsync(bucket, "l", null, Today, 10, Ct));
    }

    [Fact]
    public async Task Accesses_of_buckets_that_do_not_count_them_are_forgotten_one_bucket_after_the_other()
    {
        var counting = await _index.CreateBucketAsync("counting", new("owner", "", BucketVersioning.Off, [new(BucketSettings.AccessCounting, "", "{}")]), Now, Ct);
        var (other, another) = (await NewBucketAsync(), await NewBucketAsync());
        foreach (var bucket in (BucketId[])[counting.Id, other, another]) await _index.CountAccessesAsync(Today, [new(bucket, "k", One, 1, Now), new(bucket, "l", One, 1, Now)], Ct);
        await _index.DeleteBucketAsync(other, Now, Ct);

        foreach (var (max, forgotten) in ((int, long)[])[(1, 1), (9, 3), (9, 4), (9, 0)]) Assert.Equal(forgotten, await _index.ForgetUncountedAccessesAsync(max, Ct));
        Assert.Equal(["k 1 1", "l 1 1"], Shown(await _index.ListAccessesAsync(counting.Id, "", null, Ct)));
        Assert.Empty(await _index.ListAccessesAsync(another, "", null, Ct));
    }

    private static IEnumerable<string> Shown(IEnumerable<VersionAccesses> accesses) => accesses.OrderBy(a => a.Key, StringComparer.Ordinal).ThenBy(a => a.Version.Low).Select(a => $"{a.Key} {a.Version.Low} {a.Total}");
}
