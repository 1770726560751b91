using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Metadata;
using Xunit;

namespace DarkStorage.Unit.Metadata;

public abstract partial class MetadataIndexContract
{
    private static DateOnly Today => DateOnly.FromDateTime(Now.UtcDateTime);
    private static readonly VersionId One = new(1, 1), Two = new(1, 2);

    [Fact]
    public async Task Accesses_add_up_by_day_and_in_all_and_are_found_by_version()
    {
        var (bucket, other) = (await NewBucketAsync(), await NewBucketAsync());
        await _index.CountAccessesAsync(Today, [new(bucket, "b", One, 3, Now), new(bucket, "ü", Two, 1, Later), new(other, "b", One, 9, Now)], Ct);
        await _index.CountAccessesAsync(Today, [new(bucket, "b", One, 4, Later), new(bucket, "b", Two, 1, Now)], Ct);
        await _index.CountAccessesAsync(Today.AddDays(-1), [new(bucket, "b", One, 5, Now.AddDays(-1)), new(bucket, "a", One, 1, Now)], Ct);

        Assert.Equal(["a 1 1", "b 1 12", "b 2 1", "ü 2 1"], await ShownAsync(bucket, ("ü", Two), ("b", Two), ("b", One), ("a", One), ("a", Two), ("c", One)));
        Assert.Equal(["b 2 1"], await ShownAsync(bucket, ("b", Two)));
        Assert.Empty(await ShownAsync(bucket));
        var accesses = Assert.Single(await _index.ListAccessesAsync(bucket, [new("b", One)], Ct));
        Assert.Equal((12L, Later), (accesses.Total, accesses.Last));
        Assert.Equal([new(Today.AddDays(-1), 5), new(Today, 7)], accesses.Days);
    }

    [Fact]
    public async Task Many_count_at_once_and_each_access_once()
    {
        var bucket = await NewBucketAsync();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(n => _index.CountAccessesAsync(Today,
            [.. Enumerable.Range(0, 200).Select(i => (n % 2 == 0 ? i : 199 - i)).Select(i => new AccessCount(bucket, $"k{i}", One, 1 + n, Now))], Ct)));
        var accesses = await _index.ListAccessesAsync(bucket, [.. Enumerable.Range(0, 200).Select(i => new VersionAddress($"k{i}", One))], Ct);
        Assert.Equal((200, 36L, 36L), (accesses.Count, accesses.Min(a => a.Total), accesses.Max(a => a.Total)));
    }

    [Theory, InlineData(1), InlineData(3), InlineData(100)]
    public async Task What_nothing_can_turn_on_any_more_is_forgotten_look_by_look(int max)
    {
        var counting = (await _index.CreateBucketAsync("counting", new("owner", "", BucketVersioning.Enabled, [new(BucketSettings.AccessCounting, "", "{}")]), Now, Ct)).Id;
        var (old, top) = (Version(1, "old") with { IsNull = false }, Version(2, "top") with { IsNull = false });
        await _index.SaveObjectAsync(new(counting, "k", 0, old), Ct);
        await _index.SaveObjectAsync(new(counting, "k", 1, top), Ct);
        var (other, deleted) = (await NewBucketAsync(), await NewBucketAsync());
        (string, VersionId)[] kept = [("k", old.Manifest.Version), ("k", top.Manifest.Version)];
        (string, VersionId)[] gone = [("k", One), ("l", One)];
        await _index.CountAccessesAsync(Today, [.. kept.Concat(gone).Select(v => new AccessCount(counting, v.Item1, v.Item2, 1, Now)), new(other, "k", One, 1, Now), new(deleted, "k", One, 1, Now)], Ct);
        await _index.CountAccessesAsync(Today.AddDays(-90), [new(counting, "k", top.Manifest.Version, 2, Now.AddDays(-90))], Ct);
        await _index.DeleteBucketAsync(deleted, Now, Ct);

        var looks = 0;
        for (var after = await ForgetAsync(null); after is not null; after = await ForgetAsync(after)) looks++;

        Assert.Equal(13 / max, looks);
        Assert.Equal([$"k {old.Manifest.Version.Low} 1", $"k {top.Manifest.Version.Low} 3"], (await ShownAsync(counting, [.. kept, .. gone])).Order());
        Assert.Equal([new(Today, 1)], (await _index.ListAccessesAsync(counting, [new("k", top.Manifest.Version)], Ct)).Single().Days);
        Assert.Empty(await ShownAsync(other, ("k", One)));
        Assert.Empty(await ShownAsync(deleted, ("k", One)));

        Task<AccessPlace?> ForgetAsync(AccessPlace? after) => _index.ForgetAccessesAsync(after, Today.AddDays(-89), max, Ct);
    }

    private async Task<IEnumerable<string>> ShownAsync(BucketId bucket, params (string Key, VersionId Version)[] versions) =>
        (await _index.ListAccessesAsync(bucket, [.. versions.Select(v => new VersionAddress(v.Key, v.Version))], Ct)).OrderBy(a => a.Key, StringComparer.Ordinal).ThenBy(a => a.Version.Low).Select(a => $"{a.Key} {a.Version.Low} {a.Total}");
}
