using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Metadata;
using Xunit;

namespace DarkStorage.Unit.Metadata;

public abstract partial class MetadataIndexContract
{
    /// <summary>Random changes of a few keys against a list of versions in memory.</summary>
    [Theory, MemberData(nameof(Seeds))]
    public async Task Versions_are_what_a_list_of_them_would_be(int seed)
    {
        var random = new Random(seed);
        var bucket = await NewBucketAsync();
        string[] keys = ["a", "a/", "a/b", "a/b/c", "b", "é", "😀"];
        // Newest first, as S3 shows them.
        var model = keys.ToDictionary(k => k, _ => new List<ObjectVersion>());
        var (freed, freedOutside) = (new HashSet<BlobId>(), new HashSet<BlobId>());
        void Free(ObjectVersion version) => (version.Manifest.Place is null ? freed : freedOutside).UnionWith(version.Manifest.Blobs);
        var revision = 0L;
        for (var step = 0; step < 150; step++)
        {
            var key = keys[random.Next(keys.Length)];
            var versions = model[key];
            switch (random.Next(10))
            {
                case < 6:
                    var next = random.Next(4) == 0 ? Marker(++revision) : Stored(++revision);
                    next = next with { IsNull = random.Next(3) == 0 };
                    await _index.SaveObjectAsync(new(bucket, key, versions.FirstOrDefault()?.Revision ?? 0, next), Ct);
                    if (next.IsNull) versions.Where(v => v.IsNull).ToList().ForEach(Free);
                    if (next.IsNull) versions.RemoveAll(v => v.IsNull);
                    versions.Insert(0, next);
                    break;
                case < 8 when versions.Count > 0:
                    var removed = versions[random.Next(versions.Count)];
                    Assert.True(await _index.RemoveVersionAsync(new(bucket, key, removed.Name, removed.Revision, removed.Attributes.Change), Now, Ct));
                    Free(removed);
                    versions.Remove(removed);
                    break;
                case 8 when versions.Count > 0:
                    var at = random.Next(versions.Count);
                    var changed = versions[at] with { Attributes = versions[at].Attributes with { Change = versions[at].Attributes.Change + 1, LegalHold = !versions[at].Attributes.LegalHold } };
                    if (!changed.IsDeleteMarker && random.Next(3) > 0)
                    {
                        changed = await MoveAsync(versions[at]);
                        Free(versions[at]);
                    }
                    await _index.UpdateVersionAsync(bucket, key, changed, Now, [], WishChange.None, Ct);
                    versions[at] = changed;
                    break;
                default:
                    Assert.False(await _index.RemoveVersionAsync(new(bucket, key, new(new VersionId(99, 99)), 1, 0), Now, Ct));
                    break;
            }
            await AssertKeyAsync(bucket, key, versions);
        }

        var all = model.Values.SelectMany(v => v).Where(v => !v.IsDeleteMarker).ToList();
        Assert.Equal(new(all.Count, all.Sum(v => v.Manifest.Length)), await _index.GetUsageAsync(bucket, Ct));
        Assert.Equal(freed.Order(), (await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 1_000, Ct)).Order());
        Assert.Equal(freedOutside.Order(), (await _index.TakePlacedGarbageAsync("nas", Now.AddMinutes(1), Later, 1_000, Ct)).Order());
        var current = new Page();
        await _index.ListObjectsAsync(new(bucket, "", null, "", 1_000), current, Ct);
        Assert.Equal(keys.Where(k => model[k].FirstOrDefault() is { IsDeleteMarker: false }), current.Entries);
        foreach (var prefix in (string[])["", "a", "a/"])
        {
            foreach (var delimiter in (string?[])[null, "/"]) await AssertListingAsync(bucket, prefix, delimiter, model, random);
        }
    }

    [Fact]
    public async Task A_version_that_was_changed_since_it_was_decided_on_is_neither_changed_nor_removed()
    {
        var bucket = await NewBucketAsync();
        var version = Stored(1);
        await _index.SaveObjectAsync(new(bucket, "k", 0, version), Ct);
        var held = version with { Attributes = version.Attributes with { Change = 1, LegalHold = true } };
        await _index.UpdateVersionAsync(bucket, "k", held, Now, [], WishChange.None, Ct);

        var remove = await Assert.ThrowsAsync<StorageException>(() => _index.RemoveVersionAsync(new(bucket, "k", version.Name, 1, 0), Now, Ct));
        var change = await Assert.ThrowsAsync<StorageException>(() => _index.UpdateVersionAsync(bucket, "k", held with { Attributes = ObjectAttributes.None with { Change = 1 } }, Now, [], WishChange.None, Ct));

        Assert.Equal((StorageError.Conflict, StorageError.Conflict), (remove.Error, change.Error));
        Assert.True((await _index.FindObjectAsync(bucket, "k", Ct))!.Attributes.LegalHold);
    }

    [Fact]
    public async Task A_version_is_removed_only_if_it_is_on_top_or_not_as_was_decided_on()
    {
        var bucket = await NewBucketAsync();
        var (first, second) = (Stored(1) with { IsNull = false }, Marker(2));
        await _index.SaveObjectAsync(new(bucket, "k", 0, first), Ct);
        await _index.SaveObjectAsync(new(bucket, "k", 1, second), Ct);
        var removal = new VersionRemoval(bucket, "k", first.Name, 1, 0);
        var top = new VersionRemoval(bucket, "k", second.Name, 2, 0);

        var notOnTop = await Assert.ThrowsAsync<StorageException>(() => _index.RemoveVersionAsync(removal with { ExpectedLatest = true }, Now, Ct));
        var onTop = await Assert.ThrowsAsync<StorageException>(() => _index.RemoveVersionAsync(top with { ExpectedLatest = false }, Now, Ct));

        Assert.Equal((StorageError.Conflict, StorageError.Conflict), (notOnTop.Error, onTop.Error));
        Assert.True(await _index.RemoveVersionAsync(top with { ExpectedLatest = true }, Now, Ct));
        Assert.Equal(StorageError.Conflict, (await Assert.ThrowsAsync<StorageException>(() => _index.RemoveVersionAsync(removal with { ExpectedLatest = false }, Now, Ct))).Error);
        Assert.NotNull(await _index.FindObjectAsync(bucket, "k", Ct));
        Assert.Empty(await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, Ct));
    }

    [Fact]
    public async Task A_change_that_was_decided_on_other_settings_of_the_bucket_is_refused()
    {
        var bucket = await NewBucketAsync();
        var version = Stored(1);
        await _index.SaveObjectAsync(new(bucket, "k", 0, version) { BucketRevision = 0 }, Ct);
        await _index.UpdateBucketAsync(new(bucket, 0, BucketVersioning.Enabled, null), Ct);

        var save = await Assert.ThrowsAsync<StorageException>(() => _index.SaveObjectAsync(new(bucket, "k", 1, Stored(2)) { BucketRevision = 0 }, Ct));
        var removal = await Assert.ThrowsAsync<StorageException>(() => _index.RemoveVersionAsync(new(bucket, "k", version.Name, 1, 0) { BucketRevision = 0 }, Now, Ct));

        Assert.Equal((StorageError.Conflict, StorageError.Conflict), (save.Error, removal.Error));
        Assert.Equal(1, (await _index.FindObjectAsync(bucket, "k", Ct))!.Revision);
        await _index.SaveObjectAsync(new(bucket, "k", 1, Stored(2) with { IsNull = false }) { BucketRevision = 1 }, Ct);
        Assert.True(await _index.RemoveVersionAsync(new(bucket, "k", version.Name, 1, 0) { BucketRevision = 1 }, Now, Ct));
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task A_change_that_was_decided_on_nothing_goes_on_top_of_any_other_version_that_is_older(bool isNull)
    {
        var bucket = await NewBucketAsync();
        ObjectVersion Next(long revision) => Stored(revision) with { IsNull = isNull };
        var (first, second) = (Next(10), Next(20));
        await _index.SaveObjectAsync(new(bucket, "k", null, first), Ct);
        await _index.SaveObjectAsync(new(bucket, "k", null, second), Ct);
        await _index.SaveObjectAsync(new(bucket, "marked", 0, Marker(30) with { IsNull = isNull }), Ct);

        ObjectVersion[] refused = [Next(20), Next(19), second with { Revision = 21 }];
        foreach (var late in refused) Assert.Equal(StorageError.Conflict, (await Assert.ThrowsAsync<StorageException>(() => _index.SaveObjectAsync(new(bucket, "k", null, late), Ct))).Error);
        Assert.Equal(StorageError.Conflict, (await Assert.ThrowsAsync<StorageException>(() => _index.SaveObjectAsync(new(bucket, "marked", null, Next(29)), Ct))).Error);
        Assert.Null(await _index.FindObjectAsync(bucket, "marked", Ct));
        await _index.SaveObjectAsync(new(bucket, "marked", null, Next(31)), Ct);

        Assert.Equal((20, 31), ((await _index.FindObjectAsync(bucket, "k", Ct))!.Revision, (await _index.FindObjectAsync(bucket, "marked", Ct))!.Revision));
        Assert.Equal(isNull ? [Blob(first)] : [], await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, Ct));
        Assert.Equal(isNull ? 2 : 3, (await _index.GetUsageAsync(bucket, Ct)).Objects);
        Assert.Equal(!isNull, await _index.FindVersionAsync(bucket, "k", isNull ? new(first.Manifest.Version) : first.Name, Ct) is not null);
    }

    [Fact]
    public async Task The_null_version_is_found_by_no_id_wherever_it_is()
    {
        var bucket = await NewBucketAsync();
        var unversioned = Stored(1) with { IsNull = true };
        await _index.SaveObjectAsync(new(bucket, "k", 0, unversioned), Ct);
        Assert.Null(await _index.FindVersionAsync(bucket, "k", new(unversioned.Manifest.Version), Ct));
        await _index.SaveObjectAsync(new(bucket, "k", 1, Stored(2) with { IsNull = false }), Ct);
        Assert.Null(await _index.FindVersionAsync(bucket, "k", new(unversioned.Manifest.Version), Ct));
        Assert.Equal(1, (await _index.FindVersionAsync(bucket, "k", VersionName.Null, Ct))!.Revision);
    }

    [Fact]
    public async Task A_listing_goes_on_behind_a_version_that_was_removed_between_two_pages()
    {
        var bucket = await NewBucketAsync();
        ObjectVersion[] versions = [Stored(1) with { IsNull = false }, Stored(2) with { IsNull = false }, Stored(3) with { IsNull = false }];
        foreach (var version in versions) await _index.SaveObjectAsync(new(bucket, "k", version.Revision - 1, version), Ct);
        var model = new Dictionary<string, List<ObjectVersion>> { ["k"] = [.. versions] };
        var (first, second) = (new VersionsPage(model), new VersionsPage(model));
        var end = await _index.ListVersionsAsync(new(bucket, "", null, new("", null, 0), 2), first, Ct);
        await _index.RemoveVersionAsync(new(bucket, "k", versions[1].Name, 2, 0), Now, Ct);
        await _index.ListVersionsAsync(new(bucket, "", null, end.Next!.Value, 2), second, Ct);
        Assert.Equal((2, 1), (first.Entries.Count, second.Entries.Count));
    }

    [Fact]
    public async Task Moving_a_versions_bytes_frees_the_old_ones_and_keeps_its_place()
    {
        var bucket = await NewBucketAsync();
        var (first, second) = (Stored(1) with { IsNull = false }, Stored(2) with { IsNull = false });
        await _index.SaveObjectAsync(new(bucket, "k", 0, first), Ct);
        await _index.SaveObjectAsync(new(bucket, "k", 1, second), Ct);
        var moved = first with { StorageClass = "GLACIER", Manifest = first.Manifest with { Parts = [Part(1)] }, Attributes = first.Attributes with { Change = 1 } };

        await _index.UpdateVersionAsync(bucket, "k", moved, Now, [], WishChange.None, Ct);

        var found = await _index.FindVersionAsync(bucket, "k", first.Name, Ct);
        Assert.Equal(("GLACIER", Blob(moved)), (found!.StorageClass, Blob(found)));
        Assert.Equal([Blob(first)], await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, Ct));
        Assert.Equal(second.Name, (await _index.FindLatestAsync(bucket, "k", Ct))!.Name);
    }

    [Fact]
    public async Task A_bucket_reads_as_it_was_last_left_whatever_was_asked_before()
    {
        var names = Enumerable.Range(0, 20).Select(i => $"many-{Guid.NewGuid():n}").ToList();
        // Settings that together are more than any cache keeps.
        var document = new string('x', 1 << 20);
        foreach (var name in names)
        {
            var bucket = await _index.CreateBucketAsync(name, new("owner", "us-east-1", BucketVersioning.Off, [new("lifecycle", "", document)]), Now, Ct);
            Assert.Equal(document, (await _index.FindBucketAsync(name, Ct))!.Find("lifecycle"));
            await _index.UpdateBucketAsync(new(bucket.Id, 0, null, new("cors", "", name)), Ct);
            Assert.Equal(name, (await _index.FindBucketAsync(name, Ct))!.Find("cors"));
        }
        foreach (var name in names) Assert.Equal(name, (await _index.FindBucketAsync(name, Ct))!.Find("cors"));
        await _index.DeleteBucketAsync((await _index.FindBucketAsync(names[0], Ct))!.Id, Now, Ct);
        Assert.Null(await _index.FindBucketAsync(names[0], Ct));
        Assert.NotNull(await _index.FindBucketAsync(names[1], Ct));
    }

    [Fact]
    public async Task A_buckets_settings_change_only_on_the_revision_they_were_decided_on()
    {
        var name = $"b-{Guid.NewGuid():n}";
        var bucket = await _index.CreateBucketAsync(name, new("owner", "us-east-1", BucketVersioning.Off, [new("acl", "", "{}")]), Now, Ct);
        Assert.Equal(bucket.Settings, (await _index.FindBucketAsync(name, Ct))!.Settings);

        var next = await _index.UpdateBucketAsync(new(bucket.Id, 0, BucketVersioning.Enabled, new("cors", "", "[]")), Ct);
        var late = await Assert.ThrowsAsync<StorageException>(() => _index.UpdateBucketAsync(new(bucket.Id, 0, null, new("cors", "", null)), Ct));

        Assert.Equal((StorageError.Conflict, 1L, BucketVersioning.Enabled), (late.Error, next.Revision, next.Versioning));
        var found = await _index.FindBucketAsync(name, Ct);
        Assert.Equal(("{}", "[]", null), (found!.Find("acl"), found.Find("cors"), found.Find("policy")));
        await _index.UpdateBucketAsync(new(bucket.Id, 1, null, new("cors", "", null)), Ct);
        Assert.Null((await _index.FindBucketAsync(name, Ct))!.Find("cors"));
        for (var i = 0; i < 3; i++) await _index.UpdateBucketAsync(new(bucket.Id, 2 + i, null, new("metrics", $"id{i}", "<x/>")), Ct);
        Assert.Equal(["id1", "id2"], (await _index.ListSettingsAsync(bucket.Id, "metrics", "id0", 10, Ct)).Select(s => s.Id));
    }

    private async Task AssertKeyAsync(BucketId bucket, string key, List<ObjectVersion> versions)
    {
        Assert.Equal(versions.FirstOrDefault()?.Revision, (await _index.FindLatestAsync(bucket, key, Ct))?.Revision);
        Assert.Equal(versions is [{ IsDeleteMarker: false } current, ..] ? current.Revision : null, (await _index.FindObjectAsync(bucket, key, Ct))?.Revision);
        foreach (var version in versions)
        {
            var found = await _index.FindVersionAsync(bucket, key, version.Name, Ct);
            Assert.Equal((version.Revision, version.IsDeleteMarker, version.Attributes.Change, version.Attributes.LegalHold, version.Manifest.Place),
                (found!.Revision, found.IsDeleteMarker, found.Attributes.Change, found.Attributes.LegalHold, found.Manifest.Place));
            Assert.Equal(version.Manifest.Blobs, found.Manifest.Blobs);
        }
        Assert.Equal(versions.Any(v => v.IsNull), await _index.FindVersionAsync(bucket, key, VersionName.Null, Ct) is not null);
    }

    private async Task AssertListingAsync(BucketId bucket, string prefix, string? delimiter, Dictionary<string, List<ObjectVersion>> model, Random random)
    {
        var expected = new List<string>();
        foreach (var key in model.Keys.Order(Utf8Order.Instance).Where(k => k.StartsWith(prefix, StringComparison.Ordinal) && model[k].Count > 0))
        {
            var cut = delimiter is null ? -1 : key.IndexOf(delimiter, prefix.Length, StringComparison.Ordinal);
            if (cut < 0) expected.AddRange(model[key].Select((v, i) => $"{key} {v.Revision} {(i == 0 ? "latest" : "")} {(v.IsDeleteMarker ? "marker" : "")} {v.Name}"));
            else if (!expected.Contains(key[..(cut + 1)] + "*")) expected.Add(key[..(cut + 1)] + "*");
        }
        var (seen, place) = (new List<string>(), default(VersionPlace));
        place = place with { Key = "" };
        while (true)
        {
            var page = new VersionsPage(model);
            var end = await _index.ListVersionsAsync(new(bucket, prefix, delimiter, place, random.Next(1, 6)), page, Ct);
            seen.AddRange(page.Entries);
            if (end.Next is not { } next) break;
            // Clients may send the version alone.
            place = random.Next(2) == 0 ? next : next with { Revision = 0 };
        }
        Assert.Equal(expected, seen);
    }

    private static ObjectVersion Marker(long revision) => new(
        new(new((ulong)revision, 9), 0, "", null, [], []), ObjectMetadata.Default, Now, revision, false, "STANDARD", null, "owner", ObjectAttributes.None, IsDeleteMarker: true);

    private sealed class VersionsPage(Dictionary<string, List<ObjectVersion>> model) : IVersionListingSink
    {
        public List<string> Entries { get; } = [];

        public void Version(in ListedObject entry)
        {
            var (key, name) = (Encoding.UTF8.GetString(entry.Key), entry.Version);
            var revision = model[key].Single(v => v.Name == name).Revision;
            Entries.Add($"{key} {revision} {(entry.IsLatest ? "latest" : "")} {(entry.IsDeleteMarker ? "marker" : "")} {name}");
        }

        public void CommonPrefix(ReadOnlySpan<byte> prefix) => Entries.Add(Encoding.UTF8.GetString(prefix) + "*");
    }
}
