using System.IO.Compression;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Metadata;
using DarkStorage.Metadata.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DarkStorage.Unit.Metadata;

public sealed class SqliteIndexTests : MetadataIndexContract
{
    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-index-").FullName;

    private string File => Path.Combine(_folder, "index.db");

    protected override Task<IMetadataIndex> OpenAsync() => Task.FromResult<IMetadataIndex>(SqliteIndex.Open(File, NullLogger<SqliteIndex>.Instance));

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    [Fact]
    public async Task A_newer_index_is_refused_and_left_as_it_is()
    {
        var file = Path.Combine(_folder, "newer.db");
        await using (SqliteIndex.Open(file, NullLogger<SqliteIndex>.Instance))
        {
        }
        using (var connection = new SqliteConnection(file, readOnly: false)) connection.ExecuteScript("PRAGMA user_version = 99");

        var refusal = Assert.Throws<InvalidDataException>(() => SqliteIndex.Open(file, NullLogger<SqliteIndex>.Instance));

        Assert.Contains("newer version", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_database_of_something_else_is_refused()
    {
        var file = Path.Combine(_folder, "other.db");
        using (var connection = new SqliteConnection(file, readOnly: false)) connection.ExecuteScript("PRAGMA user_version = 1");
        Assert.Throws<InvalidDataException>(() => SqliteIndex.Open(file, NullLogger<SqliteIndex>.Instance));
    }

    [Fact]
    public async Task A_change_that_fails_takes_none_of_its_batch_with_it()
    {
        // A blob that is known already breaks a constraint in the middle of a change; whatever shares its transaction must not notice.
        await using var index = SqliteIndex.Open(Path.Combine(_folder, "batch.db"), NullLogger<SqliteIndex>.Instance);
        var bucket = (await index.CreateBucketAsync("bucket", new("o", "r", BucketVersioning.Off, []), DateTimeOffset.UnixEpoch, default)).Id;
        var blob = BlobId.New(TimeProvider.System);
        await index.SaveObjectAsync(new(bucket, "first", 0, WithBlob(blob)), default);

        var changes = Enumerable.Range(0, 50).Select(i =>
            index.SaveObjectAsync(new(bucket, $"k{i}", 0, WithBlob(i == 25 ? blob : BlobId.New(TimeProvider.System))), default)).ToArray();
        Assert.NotNull(await Record.ExceptionAsync(() => Task.WhenAll(changes)));

        Assert.Equal([25], Enumerable.Range(0, 50).Where(i => changes[i].IsFaulted));
        Assert.Null(await index.FindObjectAsync(bucket, "k25", default));
        Assert.NotNull(await index.FindObjectAsync(bucket, "k49", default));
        Assert.Equal(50, (await index.GetUsageAsync(bucket, default)).Objects);
    }

    [Fact]
    public async Task An_index_of_format_1_is_migrated_with_all_that_is_in_it()
    {
        // Made by the program as it was before versions: a bucket, a small and a large object, an upload under way.
        var file = Path.Combine(_folder, "format-1.db");
        await using (var packed = new GZipStream(System.IO.File.OpenRead(Path.Combine(AppContext.BaseDirectory, "Metadata", "index-format-1.db.gz")), CompressionMode.Decompress))
        await using (var unpacked = System.IO.File.Create(file)) await packed.CopyToAsync(unpacked);

        await using var index = SqliteIndex.Open(file, NullLogger<SqliteIndex>.Instance);

        var bucket = await index.FindBucketAsync("format-one", default);
        Assert.Equal(("root", BucketVersioning.Off, 0L), (bucket!.Owner, bucket.Versioning, bucket.Revision));
        var small = await index.FindObjectAsync(bucket.Id, "small", default);
        Assert.Equal(("hello", "text/plain", "root", ObjectAttributes.None),
            (System.Text.Encoding.UTF8.GetString(small!.Manifest.Inline.AsSpan()), small.Metadata.ContentType, small.Owner, small.Attributes));
        Assert.Equal([new("a", "b")], small.Metadata.UserMetadata);
        var large = await index.FindObjectAsync(bucket.Id, "large", default);
        Assert.Equal((10_000, "STANDARD_IA", 1), (large!.Manifest.Length, large.StorageClass, large.Manifest.Parts.Length));
        Assert.Equal("upload", Assert.Single((await index.ListUploadsAsync(bucket.Id, "", null, "", null, 10, default)).Uploads).Key);
        Assert.Equal([("STANDARD", 1, 5), ("STANDARD_IA", 1, 10_000)], (await index.ListUsageAsync(bucket.Id, default)).Select(u => (u.StorageClass, u.Objects, u.Bytes)));

        // What was written before can be changed and replaced.
        await index.UpdateVersionAsync(bucket.Id, "small", small with { Attributes = small.Attributes with { Change = 1, LegalHold = true } }, DateTimeOffset.UtcNow, [], WishChange.None, default);
        Assert.True((await index.FindObjectAsync(bucket.Id, "small", default))!.Attributes.LegalHold);
        await index.SaveObjectAsync(new(bucket.Id, "large", large.Revision, WithBlob(BlobId.New(TimeProvider.System)) with { Revision = large.Revision + 1 }), default);
        Assert.Equal([large.Manifest.Parts[0].Blob], await index.ListGarbageAsync(DateTimeOffset.MaxValue, 10, default));
    }

    [Theory, InlineData("document = 'x'"), InlineData("key = x'77'"), InlineData("bucket = bucket + 1"), InlineData("occurred = occurred + 1")]
    public async Task An_event_that_rotted_is_listed_without_its_document(string damage)
    {
        var file = Path.Combine(_folder, "rotten-event.db");
        await using (var index = SqliteIndex.Open(file, NullLogger<SqliteIndex>.Instance))
        {
            var bucket = (await index.CreateBucketAsync("bucket", new("o", "r", BucketVersioning.Off, []), DateTimeOffset.UnixEpoch, default)).Id;
            await index.SaveObjectAsync(new(bucket, "k", 0, WithBlob(BlobId.New(TimeProvider.System))) { Events = [new("target", new byte[] { 1, 2, 3 })] }, default);
            Assert.Equal(3, Assert.Single(await index.ListEventsAsync("target", 0, 10, default)).Document.Length);
        }
        using (var connection = new SqliteConnection(file, readOnly: false)) connection.ExecuteScript($"UPDATE events SET {damage}");
        await using var rotten = SqliteIndex.Open(file, NullLogger<SqliteIndex>.Instance);
        Assert.True(Assert.Single(await rotten.ListEventsAsync("target", 0, 10, default)).Document.IsEmpty);
    }

    [Theory, InlineData("content"), InlineData("detail"), InlineData("etag"), InlineData("length"), InlineData("revision"), InlineData("owner")]
    public async Task A_row_that_rotted_is_answered_as_damaged(string column)
    {
        var file = Path.Combine(_folder, "rot.db");
        await using (var index = SqliteIndex.Open(file, NullLogger<SqliteIndex>.Instance))
        {
            var bucket = (await index.CreateBucketAsync("bucket", new("o", "r", BucketVersioning.Off, []), DateTimeOffset.UnixEpoch, default)).Id;
            var version = WithBlob(BlobId.New(TimeProvider.System));
            await index.SaveObjectAsync(new(bucket, "k", 0, version with { Manifest = version.Manifest with { Parts = [], Inline = [1, 2, 3] } }), default);
        }
        using (var connection = new SqliteConnection(file, readOnly: false))
        {
            connection.ExecuteScript(column is "length" or "revision"
                ? $"UPDATE objects SET {column} = {column} + 1"
                : $"UPDATE objects SET {column} = substr({column}, 1, length({column}) - 1) || {(column == "etag" ? "'x'" : "x'77'")}");
        }
        await using var damaged = SqliteIndex.Open(file, NullLogger<SqliteIndex>.Instance);
        var bucketId = (await damaged.FindBucketAsync("bucket", default))!.Id;

        var answer = await Assert.ThrowsAsync<StorageException>(async () => await damaged.FindObjectAsync(bucketId, "k", default));

        Assert.Equal(StorageError.DataDamaged, answer.Error);
    }

    private static ObjectVersion WithBlob(BlobId blob) => new(
        new(new(1, 1), 1, new string('0', 32), null, [new(1, blob, 1, new string('0', 32), null, [new(1, 1)])], []),
        ObjectMetadata.Default, DateTimeOffset.UnixEpoch, 1, true, "STANDARD", null, "owner", ObjectAttributes.None);
}
