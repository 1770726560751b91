using System.Globalization;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Metadata.Postgres;
using DarkStorage.TestKit;
using Npgsql;
using Xunit;

namespace DarkStorage.Unit.Metadata;

/// <remarks>A database that crashes, hangs, is followed by another one, or keeps its locks.</remarks>
public sealed partial class PostgresIndexTests
{
    [Fact]
    public async Task When_the_server_crashes_everything_is_refused_at_once_and_goes_on_by_itself_when_it_is_back()
    {
        await using var server = await PostgresServer.StartAsync();
        await using var index = await OpenAsync(await server.NewDatabaseAsync());
        var bucket = await NewBucketAsync(index);
        var acknowledged = 0;
        var writing = Task.Run(async () =>
        {
            for (var i = 0; ; i++)
            {
                if (await OutcomeAsync(index.SaveObjectAsync(new(bucket, $"k{i}", 0, Numbered(1, i)), Ct)) is { } refusal)
                {
                    Assert.True(refusal is StorageError.Unavailable or StorageError.IndexAway);
                    return i;
                }
                Volatile.Write(ref acknowledged, i + 1);
            }
        }, Ct);
        await Eventually.HoldsAsync("some were acknowledged", () => Volatile.Read(ref acknowledged) > 20);
        await server.CrashAsync();
        var unknown = await writing;

        Assert.Equal(StorageError.IndexAway, await OutcomeAsync(index.SaveObjectAsync(new(bucket, "away", 0, Numbered(1, 1)), Ct)));
        Assert.Equal(StorageError.IndexAway, await OutcomeAsync(index.FindObjectAsync(bucket, "k0", Ct).AsTask()));
        await server.StartAgainAsync();

        await Eventually.HoldsAsync("the index has heard, or is back", async () => await OutcomeAsync(index.SaveObjectAsync(new(bucket, "back", 0, Numbered(1, 1)), Ct)) is null or StorageError.Conflict);
        for (var i = 0; i < unknown; i++) Assert.Equal(i, await NumberOfAsync(index, bucket, $"k{i}"));
        Assert.Null(await index.FindObjectAsync(bucket, "away", Ct));
        // By any of the connections that write: none is from before.
        for (var i = 0; i < 40; i++) await index.SaveObjectAsync(new(bucket, $"later{i}", 0, Numbered(1, i)), Ct);
    }

    [Fact]
    public async Task A_standby_that_is_promoted_takes_over_with_all_that_was_acknowledged()
    {
        await using var primary = await PostgresServer.StartAsync();
        var url = await primary.NewDatabaseAsync();
        await using var standby = await primary.StartStandbyAsync();
        var both = url.Replace($"127.0.0.1:{primary.Port}", $"127.0.0.1:{primary.Port},127.0.0.1:{standby.Port}", StringComparison.Ordinal);
        await using var index = await OpenAsync(both);
        var bucket = await NewBucketAsync(index);
        for (var i = 0; i < 50; i++) await index.SaveObjectAsync(new(bucket, $"k{i}", 0, Numbered(1, i)), Ct);

        await primary.CrashAsync();
        await standby.PromoteAsync();

        await Eventually.HoldsAsync("the index has heard, or is back", async () => await OutcomeAsync(index.SaveObjectAsync(new(bucket, "after", 0, Numbered(1, 1)), Ct)) is null or StorageError.Conflict);
        for (var i = 0; i < 50; i++) Assert.Equal(i, await NumberOfAsync(index, bucket, $"k{i}"));
    }

    [Fact]
    public async Task What_a_synchronous_standby_has_not_got_is_not_acknowledged_and_not_seen()
    {
        await using var primary = await PostgresServer.StartAsync();
        var url = await primary.NewDatabaseAsync();
        await using var standby = await primary.StartStandbyAsync();
        await using var index = await OpenAsync(url, new() { Timeout = TimeSpan.FromSeconds(1) });
        var bucket = await NewBucketAsync(index);
        await index.SaveObjectAsync(new(bucket, "deleted", 0, Numbered(1, 7)), Ct);
        standby.Freeze();

        Assert.Equal(StorageError.Unavailable, await OutcomeAsync(index.SaveObjectAsync(new(bucket, "k", 0, Numbered(1, 1)), Ct)));
        Assert.Equal(StorageError.Unavailable, await OutcomeAsync(index.RemoveVersionAsync(new(bucket, "deleted", VersionName.Null, 1, 0), DateTimeOffset.UtcNow, Ct)));
        // Again, as a client does: had the first one become visible, this one would be refused, or have nothing to do.
        Assert.Equal(StorageError.Unavailable, await OutcomeAsync(index.SaveObjectAsync(new(bucket, "k", 0, Numbered(1, 1)), Ct)));
        Assert.Null(await index.FindObjectAsync(bucket, "k", Ct));
        Assert.Equal(7, await NumberOfAsync(index, bucket, "deleted"));

        standby.Thaw();
        await Eventually.HoldsAsync("the index has heard, or is back", async () => await OutcomeAsync(index.SaveObjectAsync(new(bucket, "after", 0, Numbered(1, 2)), Ct)) is null or StorageError.Conflict);
        await Eventually.HoldsAsync("what was waited for was committed", async () => await index.FindObjectAsync(bucket, "deleted", Ct) is null && await index.FindObjectAsync(bucket, "k", Ct) is not null);
        Assert.Equal(1, await NumberOfAsync(index, bucket, "k"));
    }

    [Fact]
    public async Task While_the_database_answers_no_change_few_connections_wait_for_it_and_everything_else_is_refused_at_once()
    {
        await using var primary = await PostgresServer.StartAsync();
        var url = await primary.NewDatabaseAsync();
        await using var standby = await primary.StartStandbyAsync();
        await using var index = await OpenAsync(url, new() { Timeout = TimeSpan.FromSeconds(1), WriteConnections = 1, ReadConnectionsMax = 2 });
        var bucket = await NewBucketAsync(index);
        standby.Freeze();

        foreach (var key in (string[])["a", "b"]) Assert.Equal(StorageError.Unavailable, await OutcomeAsync(index.SaveObjectAsync(new(bucket, key, 0, Numbered(1, 1)), Ct)));
        for (var i = 0; i < 20; i++) Assert.Equal(StorageError.IndexAway, await OutcomeAsync(index.SaveObjectAsync(new(bucket, $"c{i}", 0, Numbered(1, 1)), Ct)));
        Assert.Null(await index.FindObjectAsync(bucket, "a", Ct));

        standby.Thaw();
        await Eventually.HoldsAsync("changes are made again", async () => await OutcomeAsync(index.SaveObjectAsync(new(bucket, "d", 0, Numbered(1, 2)), Ct)) is null or StorageError.Conflict);
        Assert.Equal(3, (await index.GetUsageAsync(bucket, Ct)).Objects);
    }

    [Fact]
    public async Task A_read_that_takes_too_long_is_refused_and_does_not_make_the_database_away()
    {
        await using var index = await OpenAsync(_url, new() { Timeout = TimeSpan.FromSeconds(1) });
        var bucket = await NewBucketAsync(index);
        await _server.ExecuteAsync(Database, """
            CREATE OR REPLACE FUNCTION darkstorage.list_objects(p_bucket bigint, p_start bytea, p_excluded bytea, p_prefix bytea, p_delimiter bytea, p_max integer)
            RETURNS TABLE (key bytea, is_prefix boolean, length bigint, modified bigint, etag text, flags integer, storage_class text) LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); END $$
            """);

        Assert.Equal(StorageError.Unavailable, await OutcomeAsync(index.ListObjectsAsync(new(bucket, "", null, "", 10), new Page(), Ct).AsTask()));

        Assert.False(index.IsAway);
        Assert.Null(await index.FindObjectAsync(bucket, "k", Ct));
    }

    [Fact]
    public async Task A_reader_that_gives_up_does_not_make_the_database_away()
    {
        await using var index = await OpenAsync(_url);
        var bucket = await NewBucketAsync(index);
        await using var holder = await _server.OpenAsync(Database);
        await using var transaction = await holder.BeginTransactionAsync(Ct);
        await using (var take = new NpgsqlCommand("LOCK TABLE darkstorage.objects IN ACCESS EXCLUSIVE MODE", holder, transaction)) await take.ExecuteNonQueryAsync(Ct);
        using var gaveUp = new CancellationTokenSource();
        var reading = index.FindObjectAsync(bucket, "k", gaveUp.Token).AsTask();
        await Eventually.HoldsAsync("the index has heard, or is back", async () =>
        {
            await using var waiting = new NpgsqlCommand("SELECT count(*) FROM pg_locks WHERE NOT granted", holder, transaction);
            return (long)(await waiting.ExecuteScalarAsync(Ct))! > 0;
        });
        await gaveUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading);
        await transaction.RollbackAsync(Ct);
        Assert.Null(await index.FindObjectAsync(bucket, "k", Ct));
    }

    [Theory]
    [InlineData("SELECT pg_advisory_xact_lock_shared(x'446B0001'::integer, {0})", "of the bucket")]
    [InlineData("LOCK TABLE darkstorage.objects IN ACCESS EXCLUSIVE MODE", "of a table")]
    public async Task A_lock_that_another_session_keeps_fails_what_wants_it_and_does_not_make_the_database_away(string keep, string which)
    {
        Assert.NotEmpty(which);
        await using var index = await OpenAsync(_url, new() { Timeout = TimeSpan.FromSeconds(2), WriteConnections = 1 });
        var (bucket, other) = (await NewBucketAsync(index), await NewBucketAsync(index));
        await using var holder = await _server.OpenAsync(Database);
        await using var transaction = await holder.BeginTransactionAsync(Ct);
        await using (var take = new NpgsqlCommand(string.Format(CultureInfo.InvariantCulture, keep, bucket), holder, transaction)) await take.ExecuteNonQueryAsync(Ct);

        // What takes the bucket alone, or any object's row.
        Func<Task> change = which == "of the bucket" ? () => index.UpdateBucketAsync(new(bucket, 0, BucketVersioning.Enabled, null), Ct) : () => index.SaveObjectAsync(new(bucket, "k", 0, Numbered(1, 1)), Ct);
        var changes = Enumerable.Range(0, 5).Select(_ => OutcomeAsync(change())).ToArray();
        Assert.All(await Task.WhenAll(changes), outcome => Assert.Equal(StorageError.Unavailable, outcome));

        Assert.False(index.IsAway);
        await index.CreateBucketAsync($"b-{Guid.NewGuid():n}", new("owner", "us-east-1", BucketVersioning.Off, []), DateTimeOffset.UtcNow, Ct);
        if (which == "of the bucket") await index.SaveObjectAsync(new(other, "k", 0, Numbered(1, 1)), Ct);
        await transaction.RollbackAsync(Ct);
        await change();
    }
}
