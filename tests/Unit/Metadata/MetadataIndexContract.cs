using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Uploads;
using DarkStorage.Metadata;
using Xunit;

namespace DarkStorage.Unit.Metadata;

/// <summary>What every object index must do, whatever database is underneath.</summary>
public abstract partial class MetadataIndexContract : IAsyncLifetime
{
    private static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;

    private IMetadataIndex _index = null!;

    protected abstract Task<IMetadataIndex> OpenAsync();

    public async ValueTask InitializeAsync() => _index = await OpenAsync();

    public virtual async ValueTask DisposeAsync()
    {
        await _index.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task A_version_reads_back_with_everything_it_was_saved_with()
    {
        var bucket = await NewBucketAsync();
        var part = new ManifestPart(7, BlobId.New(TimeProvider.System), 5_000_000, "0123456789abcdef0123456789abcdef",
            new Checksum(ChecksumAlgorithm.Crc32, ChecksumType.FullObject, [1, 2, 3, 4]), [new(1, 4 << 20), new(1, 805_696)]);
        var metadata = new ObjectMetadata("text/plain", "no-cache", "inline", "gzip", "de", "never", "/there", [new("a", "b"), new("ünï", "cödé")]);
        var saved = new ObjectVersion(
            new(new(1, 2), 5_000_000, "feedfacefeedfacefeedfacefeedface-1", new(ChecksumAlgorithm.Sha256, ChecksumType.Composite, [.. new byte[32]], 1), [part], []),
            metadata, Now, 42, IsNull: true, "GLACIER", null, "writer",
            new(3, [new("tag", "välue"), new("empty", "")], "{}", new(RetentionMode.Compliance, Now.AddDays(1)), LegalHold: true));
        await _index.SaveObjectAsync(new(bucket, "k", 0, saved), Ct);

        var found = await _index.FindObjectAsync(bucket, "k", Ct);

        Assert.NotNull(found);
        Assert.Equal(saved.Manifest with { Parts = [], Inline = [] }, found.Manifest with { Parts = [], Inline = [] });
        Assert.Equal(part with { Chunks = [] }, found.Manifest.Parts.Single() with { Chunks = [] });
        Assert.Equal<ChunkRun>(part.Chunks, found.Manifest.Parts[0].Chunks);
        Assert.Equal(metadata with { UserMetadata = [] }, found.Metadata with { UserMetadata = [] });
        Assert.Equal<KeyValuePair<string, string>>(metadata.UserMetadata, found.Metadata.UserMetadata);
        Assert.Equal((saved.Modified, saved.Revision, saved.IsNull, saved.StorageClass, saved.Owner), (found.Modified, found.Revision, found.IsNull, found.StorageClass, found.Owner));
        Assert.Equal(saved.Attributes with { Tags = [] }, found.Attributes with { Tags = [] });
        Assert.Equal<KeyValuePair<string, string>>(saved.Attributes.Tags, found.Attributes.Tags);
    }

    [Fact]
    public async Task A_clock_that_is_right_is_nothing_to_speak_of() => Assert.Null(await _index.CheckClockAsync(DateTimeOffset.UtcNow, Ct));

    [Fact]
    public async Task A_change_decided_on_another_revision_is_refused_and_changes_nothing()
    {
        var bucket = await NewBucketAsync();
        await _index.SaveObjectAsync(new(bucket, "k", 0, Version(1, "first")), Ct);

        var late = await Assert.ThrowsAsync<StorageException>(() => _index.SaveObjectAsync(new(bucket, "k", 0, Version(2, "second")), Ct));
        var lateDelete = await Assert.ThrowsAsync<StorageException>(() => _index.RemoveVersionAsync(new(bucket, "k", VersionName.Null, 99, 0), Now, Ct));

        Assert.Equal((StorageError.Conflict, StorageError.Conflict), (late.Error, lateDelete.Error));
        Assert.Equal("first", Text(await _index.FindObjectAsync(bucket, "k", Ct)));
        Assert.Equal(new(1, 5), await _index.GetUsageAsync(bucket, Ct));
    }

    [Fact]
    public async Task Of_many_writers_that_decided_on_one_revision_one_wins()
    {
        var bucket = await NewBucketAsync();
        var writers = Enumerable.Range(1, 64).Select(async i =>
        {
            try
            {
                await _index.SaveObjectAsync(new(bucket, "k", 0, Version(i, $"writer {i}")), Ct);
                return 1;
            }
            catch (StorageException e) when (e.Error is StorageError.Conflict)
            {
                return 0;
            }
        });
        Assert.Equal(1, (await Task.WhenAll(writers)).Sum());
    }

    [Fact]
    public async Task A_bucket_with_an_object_in_it_is_not_deleted_and_an_empty_one_is_with_its_uploads()
    {
        var bucket = await NewBucketAsync();
        await _index.SaveObjectAsync(new(bucket, "k", 0, Version(1, "x")), Ct);
        Assert.Equal(StorageError.BucketNotEmpty, (await Assert.ThrowsAsync<StorageException>(() => _index.DeleteBucketAsync(bucket, Now, Ct))).Error);
        await _index.RemoveVersionAsync(new(bucket, "k", VersionName.Null, 1, 0), Now, Ct);
        var upload = NewUpload(bucket, "k");
        var part = Part(1);
        await _index.BeginUploadAsync(upload, Ct);
        await _index.SavePartAsync(upload.Id, new(part, Now), Ct);

        await _index.DeleteBucketAsync(bucket, Now, Ct);

        var write = await Assert.ThrowsAsync<StorageException>(() => _index.SaveObjectAsync(new(bucket, "k", 0, Version(2, "y")), Ct));
        Assert.Equal(StorageError.NoSuchBucket, write.Error);
        Assert.Null(await _index.FindUploadAsync(upload.Id, Ct));
        Assert.Equal([part.Blob], await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, Ct));
        Assert.NotEqual(bucket, await NewBucketAsync());
    }

    [Fact]
    public async Task What_is_overwritten_or_deleted_becomes_garbage_and_nothing_else_does()
    {
        var bucket = await NewBucketAsync();
        var (first, second, other) = (Stored(1), Stored(2), Stored(3));
        await _index.SaveObjectAsync(new(bucket, "k", 0, first), Ct);
        await _index.SaveObjectAsync(new(bucket, "other", 0, other), Ct);
        Assert.Empty(await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, Ct));

        await _index.SaveObjectAsync(new(bucket, "k", 1, second), Ct);
        Assert.Equal([Blob(first)], await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, Ct));
        Assert.Empty(await _index.ListGarbageAsync(Now, 10, Ct));

        await _index.RemoveVersionAsync(new(bucket, "k", VersionName.Null, 2, 0), Now, Ct);
        await _index.ForgetGarbageAsync([Blob(first), Blob(second), Blob(other)], Ct);

        Assert.Empty(await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, Ct));
        Assert.Equal([Blob(first), Blob(second)], await _index.FindUnknownBlobsAsync([Blob(first), Blob(second), Blob(other)], Ct));
    }

    [Fact]
    public async Task A_kept_version_is_found_by_its_id_and_its_bytes_stay()
    {
        var bucket = await NewBucketAsync();
        var (first, second) = (Stored(1) with { IsNull = false }, Stored(2));
        await _index.SaveObjectAsync(new(bucket, "k", 0, first), Ct);
        await _index.SaveObjectAsync(new(bucket, "k", 1, second), Ct);

        Assert.Equal(first.Manifest.Version, (await _index.FindVersionAsync(bucket, "k", first.Name, Ct))?.Manifest.Version);
        Assert.Empty(await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, Ct));
        Assert.Equal(new(2, 2_000_000), await _index.GetUsageAsync(bucket, Ct));
    }

    [Fact]
    public async Task Completing_an_upload_keeps_the_parts_it_uses_and_frees_the_others_at_once()
    {
        var bucket = await NewBucketAsync();
        var upload = NewUpload(bucket, "k");
        await _index.BeginUploadAsync(upload, Ct);
        var (used, unused, replaced) = (Part(1), Part(2), Part(1));
        await _index.SavePartAsync(upload.Id, new(replaced, Now), Ct);
        await _index.SavePartAsync(upload.Id, new(used, Now), Ct);
        await _index.SavePartAsync(upload.Id, new(unused, Now), Ct);
        Assert.Equal([1, 2], (await _index.ListPartsAsync(upload.Id, 0, 10, Ct)).Select(p => p.Part.Number));

        var made = new ObjectVersion(new(new(9, 9), used.Length, "00-1", null, [used], []), ObjectMetadata.Default, Now, 1, true, "STANDARD", upload.Id, "owner", ObjectAttributes.None);
        await _index.SaveObjectAsync(new(bucket, "k", 0, made), Ct);

        Assert.Equal(new[] { replaced.Blob, unused.Blob }.Order(), (await _index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, Ct)).Order());
        Assert.Null(await _index.FindUploadAsync(upload.Id, Ct));
        var again = await Assert.ThrowsAsync<StorageException>(() => _index.SaveObjectAsync(new(bucket, "k", 1, made with { Revision = 2 }), Ct));
        Assert.Equal(StorageError.NoSuchUpload, again.Error);
        var late = await Assert.ThrowsAsync<StorageException>(() => _index.SavePartAsync(upload.Id, new(Part(3), Now), Ct));
        Assert.Equal(StorageError.NoSuchUpload, late.Error);
    }

    [Fact]
    public async Task Uploads_are_listed_by_key_and_then_by_the_time_they_began_page_by_page()
    {
        var bucket = await NewBucketAsync();
        var uploads = new List<UploadRecord>();
        foreach (var key in (string[])["a", "b/1", "b/2", "c", "c", "c"])
        {
            uploads.Add(NewUpload(bucket, key));
            await _index.BeginUploadAsync(uploads[^1], Ct);
        }
        var expected = uploads.OrderBy(u => u.Key, StringComparer.Ordinal).ThenBy(u => u.Id.ToString(), StringComparer.Ordinal).Select(u => u.Id).ToList();

        var (seen, key1, upload1) = (new List<UploadId>(), "", (UploadId?)null);
        while (true)
        {
            var page = await _index.ListUploadsAsync(bucket, "", null, key1, upload1, 2, Ct);
            seen.AddRange(page.Uploads.Select(u => u.Id));
            if (page.NextKey is null) break;
            (key1, upload1) = (page.NextKey, page.NextUpload);
        }

        Assert.Equal(expected, seen);
        var folded = await _index.ListUploadsAsync(bucket, "", "/", "", null, 10, Ct);
        Assert.Equal(["b/"], folded.CommonPrefixes);
        Assert.Equal(["a", "c", "c", "c"], folded.Uploads.Select(u => u.Key));
    }

    [Fact]
    public async Task A_reader_never_goes_back_in_time_while_a_key_is_overwritten()
    {
        const int last = 2_000;
        var bucket = await NewBucketAsync();
        await _index.SaveObjectAsync(new(bucket, "k", 0, Version(1, "1")), Ct);
        var acknowledged = 1;
        var readers = Enumerable.Range(0, 3).Select(_ => Task.Run(async () =>
        {
            for (var seen = 0; seen < last;)
            {
                var least = Math.Max(seen, Volatile.Read(ref acknowledged));
                seen = int.Parse(Text(await _index.FindObjectAsync(bucket, "k", Ct)), System.Globalization.CultureInfo.InvariantCulture);
                Assert.True(seen >= least, $"read {seen} after {least} was acknowledged or seen");
            }
        })).ToArray();
        for (var i = 2; i <= last; i++)
        {
            await _index.SaveObjectAsync(new(bucket, "k", i - 1, Version(i, i.ToString(System.Globalization.CultureInfo.InvariantCulture))), Ct);
            Volatile.Write(ref acknowledged, i);
        }
        await Task.WhenAll(readers);
    }

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 20)];

    [Theory, MemberData(nameof(Seeds))]
    public async Task A_listing_is_what_a_sorted_set_would_answer(int seed)
    {
        var random = new Random(seed);
        var bucket = await NewBucketAsync();
        var alphabet = (string[])["a", "b", "/", "//", "\u0001", "é", "😀", "z", "-", "\U0010FFFF"];
        var keys = new SortedSet<string>(Utf8Order.Instance);
        var count = random.Next(1, 200);
        while (keys.Count < count) keys.Add(Word(random, alphabet, 1, 5));
        await Task.WhenAll(keys.Select((k, i) => _index.SaveObjectAsync(new(bucket, k, 0, Version(i + 1, "")), Ct)));

        for (var round = 0; round < 30; round++)
        {
            var prefix = random.Next(2) == 0 ? "" : Word(random, alphabet, 1, 2);
            var delimiter = random.Next(3) switch { 0 => null, 1 => "/", _ => Word(random, alphabet, 1, 2) };
            var (seen, after) = (new List<string>(), "");
            while (true)
            {
                var page = new Page();
                var end = await _index.ListObjectsAsync(new(bucket, prefix, delimiter, after, random.Next(1, 20)), page, Ct);
                seen.AddRange(page.Entries);
                if (end.Next is null) break;
                Assert.NotEmpty(page.Entries);
                after = end.Next;
            }
            Assert.Equal(Expected(keys, prefix, delimiter), seen);
        }
    }

    [Fact]
    public async Task Grain_state_is_written_only_over_the_etag_that_was_read()
    {
        Assert.Null(await _index.ReadGrainStateAsync("s", "g", Ct));
        var etag = await _index.WriteGrainStateAsync("s", "g", new byte[] { 1 }, null, Ct);
        Assert.NotNull(etag);
        Assert.Null(await _index.WriteGrainStateAsync("s", "g", new byte[] { 2 }, null, Ct));
        Assert.Null(await _index.WriteGrainStateAsync("s", "g", new byte[] { 2 }, "77", Ct));
        var second = await _index.WriteGrainStateAsync("s", "g", new byte[] { 3 }, etag, Ct);
        var read = await _index.ReadGrainStateAsync("s", "g", Ct);
        Assert.Equal((3, second), (read!.State[0], read.ETag));
        Assert.False(await _index.ClearGrainStateAsync("s", "g", etag, Ct));
        Assert.True(await _index.ClearGrainStateAsync("s", "g", second, Ct));
        Assert.Null(await _index.ReadGrainStateAsync("s", "g", Ct));
    }

    [Fact]
    public async Task An_etag_from_before_a_record_was_deleted_fits_no_later_one()
    {
        async Task<List<string?>> WriteTwiceAsync()
        {
            var first = await _index.WriteGrainStateAsync("s", "again", new byte[] { 1 }, null, Ct);
            return [first, await _index.WriteGrainStateAsync("s", "again", new byte[] { 2 }, first, Ct)];
        }

        async Task<List<string?>> RemindTwiceAsync()
        {
            var reminder = new ReminderRecord("again", 7, "r", Now.UtcDateTime, TimeSpan.FromMinutes(1), "");
            return [await _index.SaveReminderAsync(reminder, Ct), await _index.SaveReminderAsync(reminder, Ct)];
        }

        var states = await WriteTwiceAsync();
        Assert.True(await _index.ClearGrainStateAsync("s", "again", states[^1], Ct));
        states.AddRange(await WriteTwiceAsync());
        foreach (var earlier in states.SkipLast(1)) Assert.Null(await _index.WriteGrainStateAsync("s", "again", new byte[] { 3 }, earlier, Ct));
        Assert.Equal([2], (await _index.ReadGrainStateAsync("s", "again", Ct))!.State);

        var reminders = await RemindTwiceAsync();
        Assert.True(await _index.DeleteReminderAsync("again", "r", reminders[^1]!, Ct));
        reminders.AddRange(await RemindTwiceAsync());
        foreach (var earlier in reminders.SkipLast(1)) Assert.False(await _index.DeleteReminderAsync("again", "r", earlier!, Ct));
        Assert.Equal(reminders[^1], (await _index.ReadRemindersAsync("again", Ct)).Single().ETag);
    }

    [Fact]
    public async Task Grains_that_have_a_state_are_listed_by_pages_in_their_order()
    {
        string[] grains = ["t/Z", "t/a", "t/ab", "t/é"];
        foreach (var grain in grains.Reverse()) await _index.WriteGrainStateAsync("listed", grain, new byte[] { 1 }, null, Ct);
        await _index.WriteGrainStateAsync("listed-too", "t/b", new byte[] { 1 }, null, Ct);
        var seen = new List<string>();
        while (await _index.ListGrainStatesAsync("listed", seen.LastOrDefault() ?? "", 3, Ct) is { Count: > 0 } page) seen.AddRange(page);
        Assert.Equal(grains, seen);
        Assert.Empty(await _index.ListGrainStatesAsync("unlisted", "", 3, Ct));
    }

    [Fact]
    public async Task Reminders_are_found_by_grain_and_by_the_ring()
    {
        var reminders = (uint[])[0, 5, uint.MaxValue];
        foreach (var hash in reminders) await _index.SaveReminderAsync(new($"g{hash}", hash, "r", Now.UtcDateTime, TimeSpan.FromMinutes(1), ""), Ct);

        Assert.Equal([5u], (await _index.ReadRemindersAsync(0, 10, Ct)).Select(r => r.GrainHash));
        Assert.Equal([0u, uint.MaxValue], (await _index.ReadRemindersAsync(5, 0, Ct)).Select(r => r.GrainHash).Order());
        Assert.Equal(3, (await _index.ReadRemindersAsync(7, 7, Ct)).Count);
        var one = (await _index.ReadRemindersAsync("g5", Ct)).Single();
        Assert.Equal((Now.UtcDateTime, TimeSpan.FromMinutes(1)), (one.Start, one.Period));
        Assert.False(await _index.DeleteReminderAsync("g5", "r", "99", Ct));
        Assert.True(await _index.DeleteReminderAsync("g5", "r", one.ETag, Ct));
        Assert.Empty(await _index.ReadRemindersAsync("g5", Ct));
    }

    private static IEnumerable<string> Expected(IEnumerable<string> keys, string prefix, string? delimiter)
    {
        string? last = null;
        foreach (var key in keys.Where(k => k.StartsWith(prefix, StringComparison.Ordinal)))
        {
            var at = delimiter is null ? -1 : key.IndexOf(delimiter, prefix.Length, StringComparison.Ordinal);
            var entry = at < 0 ? key : key[..(at + delimiter!.Length)] + "*";
            if (entry != last) yield return entry;
            last = entry;
        }
    }

    private static string Word(Random random, string[] alphabet, int min, int max) =>
        string.Concat(Enumerable.Range(0, random.Next(min, max + 1)).Select(_ => alphabet[random.Next(alphabet.Length)]));

    private async Task<BucketId> NewBucketAsync() =>
        (await _index.CreateBucketAsync($"b-{Guid.NewGuid():n}", new("owner", "us-east-1", BucketVersioning.Off, []), Now, Ct)).Id;

    private static UploadRecord NewUpload(BucketId bucket, string key) =>
        new(UploadId.New(TimeProvider.System), bucket, "name", key, "me", "owner", Now, ObjectMetadata.Default, "STANDARD", ChecksumAlgorithm.Crc32, ChecksumType.Composite, ObjectAttributes.None);

    private static ManifestPart Part(int number) => new(number, BlobId.New(TimeProvider.System), 1_000_000, new string('0', 32), null, [new(1, 1_000_000)]);

    private static ObjectVersion Stored(long revision) => new(
        new(new((ulong)revision, 7), 1_000_000, new string('0', 32), null, [Part(1)], []), ObjectMetadata.Default, Now, revision, true, "STANDARD", null, "owner", ObjectAttributes.None);

    private static ObjectVersion Version(long revision, string text) => new(
        new(new((ulong)revision, 8), text.Length, new string('0', 32), null, [], [.. Encoding.UTF8.GetBytes(text)]), ObjectMetadata.Default, Now, revision, true, "STANDARD", null, "owner", ObjectAttributes.None);

    private static BlobId Blob(ObjectVersion version) => version.Manifest.Parts[0].Blob;

    private static string Text(ObjectVersion? version) => Encoding.UTF8.GetString(version!.Manifest.Inline.AsSpan());

    private sealed class Page : IObjectListingSink
    {
        public List<string> Entries { get; } = [];

        public void Object(in ListedObject entry) => Entries.Add(Encoding.UTF8.GetString(entry.Key));

        public void CommonPrefix(ReadOnlySpan<byte> prefix) => Entries.Add(Encoding.UTF8.GetString(prefix) + "*");
    }

    private sealed class Utf8Order : IComparer<string>
    {
        public static readonly Utf8Order Instance = new();

        public int Compare(string? x, string? y) => Encoding.UTF8.GetBytes(x!).AsSpan().SequenceCompareTo(Encoding.UTF8.GetBytes(y!));
    }
}
