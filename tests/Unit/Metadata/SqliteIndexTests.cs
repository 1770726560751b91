using DarkStorage.GrainInterfaces;
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

    protected override IMetadataIndex Open() => SqliteIndex.Open(File, NullLogger<SqliteIndex>.Instance);

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
        var bucket = (await index.CreateBucketAsync("bucket", "o", "r", DateTimeOffset.UnixEpoch, default)).Id;
        var blob = BlobId.New(TimeProvider.System);
        await index.SaveObjectAsync(new(bucket, "first", 0, WithBlob(blob), false), default);

        var changes = Enumerable.Range(0, 50).Select(i =>
            index.SaveObjectAsync(new(bucket, $"k{i}", 0, WithBlob(i == 25 ? blob : BlobId.New(TimeProvider.System)), false), default)).ToArray();
        await Task.WhenAny(Task.WhenAll(changes), Task.Delay(Timeout.Infinite, TestContext.Current.CancellationToken));

        Assert.Equal([25], Enumerable.Range(0, 50).Where(i => changes[i].IsFaulted));
        Assert.Null(await index.FindObjectAsync(bucket, "k25", default));
        Assert.NotNull(await index.FindObjectAsync(bucket, "k49", default));
        Assert.Equal(50, (await index.GetUsageAsync(bucket, default)).Objects);
    }

    [Theory, InlineData("content"), InlineData("detail"), InlineData("etag"), InlineData("length"), InlineData("revision")]
    public async Task A_row_that_rotted_is_answered_as_damaged(string column)
    {
        var file = Path.Combine(_folder, "rot.db");
        await using (var index = SqliteIndex.Open(file, NullLogger<SqliteIndex>.Instance))
        {
            var bucket = (await index.CreateBucketAsync("bucket", "o", "r", DateTimeOffset.UnixEpoch, default)).Id;
            var version = WithBlob(BlobId.New(TimeProvider.System));
            await index.SaveObjectAsync(new(bucket, "k", 0, version with { Manifest = version.Manifest with { Parts = [], Inline = [1, 2, 3] } }, false), default);
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
        ObjectMetadata.Default, DateTimeOffset.UnixEpoch, 1, true, "STANDARD", null);
}
