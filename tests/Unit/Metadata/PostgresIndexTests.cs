using System.Globalization;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.GrainInterfaces.Uploads;
using DarkStorage.Metadata;
using DarkStorage.Metadata.Postgres;
using DarkStorage.TestKit;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Xunit;

namespace DarkStorage.Unit.Metadata;

public sealed partial class PostgresIndexTests(PostgresFixture postgres) : MetadataIndexContract
{
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;

    private PostgresServer _server = null!;
    private string _url = null!;

    private string Database => _url[(_url.LastIndexOf('/') + 1)..];

    protected override async Task<IMetadataIndex> OpenAsync()
    {
        _server = await postgres.ServerAsync();
        _url = await _server.NewDatabaseAsync();
        return await OpenAsync(_url);
    }

    [Fact]
    public async Task A_character_that_PostgreSQL_has_not_is_a_wrong_argument_and_no_index_that_is_away()
    {
        await using var index = await OpenAsync(_url);
        Assert.Null(await index.FindBucketAsync("a\0", Ct));
        Assert.Equal(StorageError.InvalidArgument, (await Assert.ThrowsAsync<StorageException>(async () => await index.ListBucketsAsync(null, "", "a\0", 10, Ct))).Error);
    }

    [Fact]
    public async Task What_is_needed_is_what_is_known_and_not_freed_and_is_listed_in_the_order_of_ids()
    {
        await using var index = await OpenAsync(_url);
        var bucket = await NewBucketAsync(index);
        var blobs = Enumerable.Range(0, 5).Select(i => BlobId.New(TimeProvider.System, 7, i == 2 ? Redundancy.OfStripe(4, 2)!.Value : Redundancy.Default)).Order().ToList();
        foreach (var blob in blobs) await index.SaveObjectAsync(new(bucket, $"k{blob}", 0, WithBlob(blob)), Ct);
        await index.RemoveVersionAsync(new(bucket, $"k{blobs[1]}", VersionName.Null, 1, 0), DateTimeOffset.UtcNow, Ct);
        var wanted = blobs.Where(b => b != blobs[1]).ToList();

        Assert.Equal(wanted, await index.FindNeededBlobsAsync([.. blobs, BlobId.New(TimeProvider.System)], Ct));
        var listed = new List<BlobId>();
        while (await index.ListNeededBlobsAsync(listed.LastOrDefault(), 3, Ct) is { Count: > 0 } page) listed.AddRange(page);
        Assert.Equal(wanted, listed.Where(blobs.Contains));
        Assert.Equal(listed.Order(), listed);
    }

    [Fact]
    public async Task What_one_node_changes_of_a_bucket_another_hears_and_until_then_commits_nothing_on_what_it_remembers()
    {
        await using var here = await OpenAsync(_url);
        await using var there = await OpenAsync(_url);
        var bucket = await NewBucketAsync(here);
        var name = (await here.ListBucketsAsync(null, "", "", 1, Ct))[0].Name;
        Assert.Equal(BucketVersioning.Off, (await there.FindBucketAsync(name, Ct))!.Versioning);

        await here.UpdateBucketAsync(new(bucket, 0, BucketVersioning.Enabled, null), Ct);
        var late = await Assert.ThrowsAsync<StorageException>(() => there.SaveObjectAsync(new(bucket, "k", 0, Numbered(1, 1)) { BucketRevision = 0 }, Ct));

        Assert.Equal(StorageError.Conflict, late.Error);
        Assert.Equal(BucketVersioning.Enabled, (await there.FindBucketAsync(name, Ct))!.Versioning);
        // And without a commit that finds out: by the message.
        await here.UpdateBucketAsync(new(bucket, 1, BucketVersioning.Suspended, null), Ct);
        await Eventually.HoldsAsync("the index has heard, or is back", async () => (await there.FindBucketAsync(name, Ct))!.Versioning == BucketVersioning.Suspended);
        await here.DeleteBucketAsync(bucket, DateTimeOffset.UtcNow, Ct);
        await Eventually.HoldsAsync("the index has heard, or is back", async () => await there.FindBucketAsync(name, Ct) is null);
    }

    [Fact]
    public async Task Nodes_that_write_the_same_keys_lose_no_change()
    {
        await using var here = await OpenAsync(_url);
        await using var there = await OpenAsync(_url);
        var bucket = await NewBucketAsync(here);
        const int writers = 8, rounds = 40, keys = 3;
        await Task.WhenAll(Enumerable.Range(0, writers).Select(w => Task.Run(async () =>
        {
            var (index, random) = (w % 2 == 0 ? here : there, new Random(w));
            for (var round = 0; round < rounds; round++)
            {
                var key = $"k{random.Next(keys)}";
                while (!await TryAddOneAsync(index, bucket, key))
                {
                }
            }
        }, Ct)));

        var counts = await Task.WhenAll(Enumerable.Range(0, keys).Select(async k => await NumberOfAsync(here, bucket, $"k{k}")));
        Assert.Equal(writers * rounds, counts.Sum());
        // Each change but the first of a key freed one blob.
        Assert.Equal((writers * rounds) - keys, (await there.ListGarbageAsync(DateTimeOffset.MaxValue, 1_000, Ct)).Count);
        Assert.Equal(new(keys, keys), await there.GetUsageAsync(bucket, Ct));
    }

    [Fact]
    public async Task A_bucket_that_one_node_deletes_takes_no_object_from_another()
    {
        await using var here = await OpenAsync(_url);
        await using var there = await OpenAsync(_url);
        for (var round = 0; round < 30; round++)
        {
            var bucket = await NewBucketAsync(here);
            var saves = Enumerable.Range(0, 4).Select(i => OutcomeAsync(there.SaveObjectAsync(new(bucket, $"k{i}", 0, Numbered(1, i)), Ct))).ToArray();
            var delete = await OutcomeAsync(here.DeleteBucketAsync(bucket, DateTimeOffset.UtcNow, Ct));
            var saved = await Task.WhenAll(saves);
            // Either it was deleted and nothing is in it, or it stays with all that was saved.
            if (delete is null) Assert.Equal(0, (await here.GetUsageAsync(bucket, Ct)).Objects);
            else Assert.Equal(StorageError.BucketNotEmpty, delete);
            Assert.Equal(saved.Count(s => s is null), (await here.GetUsageAsync(bucket, Ct)).Objects);
            Assert.All(saved, s => Assert.True(s is null or StorageError.NoSuchBucket));
        }
    }

    [Fact]
    public async Task A_change_that_fails_takes_none_of_its_batch_with_it()
    {
        // A blob that is known already breaks a constraint in the middle of a change; whatever shares its transaction must not notice.
        await using var index = await OpenAsync(_url, new() { WriteConnections = 1 });
        var bucket = await NewBucketAsync(index);
        var known = Numbered(1, 1);
        await index.SaveObjectAsync(new(bucket, "first", 0, known), Ct);

        var changes = Enumerable.Range(0, 50).Select(i => index.SaveObjectAsync(new(bucket, $"k{i}", 0, i == 25 ? known : Numbered(1, i)), Ct)).ToArray();
        Assert.NotNull(await Record.ExceptionAsync(() => Task.WhenAll(changes)));

        Assert.Equal([25], Enumerable.Range(0, 50).Where(i => changes[i].IsFaulted));
        Assert.Null(await index.FindObjectAsync(bucket, "k25", Ct));
        Assert.Equal(50, (await index.GetUsageAsync(bucket, Ct)).Objects);
    }

    [Fact]
    public async Task Few_changes_at_once_share_transactions_and_one_that_waits_for_a_lock_holds_up_nobody_else()
    {
        await using var index = await OpenAsync(_url, new() { WriteConnections = 3, Timeout = TimeSpan.FromMinutes(1) });
        var (first, objects) = (await NewBucketAsync(index), await NewBucketAsync(index));
        await using var holder = await _server.OpenAsync(Database);
        await using var transaction = await holder.BeginTransactionAsync(Ct);
        await using (var take = new NpgsqlCommand($"SELECT pg_advisory_xact_lock(x'446B0001'::integer, {first})", holder, transaction)) await take.ExecuteNonQueryAsync(Ct);
        var held = index.SaveObjectAsync(new(first, "k", 0, Numbered(1, 0)), Ct);

        // One connection waits for the lock; few changes wait a moment for others, and then go by another one. The last of so many is a second batch.
        await Task.WhenAll(Enumerable.Range(1, 8).Select(i => index.SaveObjectAsync(new(objects, $"few{i}", 0, Numbered(1, i)), Ct)));
        await Task.WhenAll(Enumerable.Range(1, 65).Select(i => index.SaveObjectAsync(new(objects, $"many{i}", 0, Numbered(2, i)), Ct)));
        Assert.False(held.IsCompleted);
        await transaction.RollbackAsync(Ct);
        await held;

        await using var made = new NpgsqlCommand($"SELECT count(DISTINCT xmin::text) FILTER (WHERE key < 'many'), count(DISTINCT xmin::text), count(*) FROM darkstorage.objects WHERE bucket = {objects}", holder);
        await using var row = await made.ExecuteReaderAsync(Ct);
        await row.ReadAsync(Ct);
        Assert.Equal(73, row.GetInt64(2));
        Assert.InRange(row.GetInt64(0), 1, 6);
        Assert.InRange(row.GetInt64(1), 3, 40);
    }

    [Fact]
    public async Task A_change_that_takes_a_bucket_alone_shares_no_transaction()
    {
        await using var index = await OpenAsync(_url, new() { WriteConnections = 1, Timeout = TimeSpan.FromMinutes(1) });
        var (first, objects, settings) = (await NewBucketAsync(index), await NewBucketAsync(index), await NewBucketAsync(index));
        await using var holder = await _server.OpenAsync(Database);
        await using var transaction = await holder.BeginTransactionAsync(Ct);
        await using (var take = new NpgsqlCommand($"SELECT pg_advisory_xact_lock(x'446B0001'::integer, {first})", holder, transaction)) await take.ExecuteNonQueryAsync(Ct);
        var changes = new List<Task> { index.SaveObjectAsync(new(first, "k", 0, Numbered(1, 0)), Ct) };
        await Eventually.HoldsAsync("the first change waits", async () =>
        {
            await using var waiting = new NpgsqlCommand("SELECT count(*) FROM pg_locks WHERE NOT granted", holder, transaction);
            return (long)(await waiting.ExecuteScalarAsync(Ct))! > 0;
        });

        // They wait together for the one connection.
        changes.Add(index.SaveObjectAsync(new(objects, "a", 0, Numbered(1, 1)), Ct));
        changes.Add(index.SaveObjectAsync(new(objects, "b", 0, Numbered(1, 2)), Ct));
        changes.Add(index.UpdateBucketAsync(new(settings, 0, BucketVersioning.Enabled, null), Ct));
        changes.Add(index.SaveObjectAsync(new(objects, "c", 0, Numbered(1, 3)), Ct));
        await transaction.RollbackAsync(Ct);
        await Task.WhenAll(changes);

        await using var made = new NpgsqlCommand($"""
            SELECT count(DISTINCT xmin::text) FILTER (WHERE name IN ('a', 'b')), count(DISTINCT xmin::text)
            FROM (SELECT xmin, convert_from(key, 'UTF8') AS name FROM darkstorage.objects WHERE bucket = {objects} UNION ALL SELECT xmin, '' FROM darkstorage.buckets WHERE id = {settings}) AS made
            """, holder);
        await using var row = await made.ExecuteReaderAsync(Ct);
        await row.ReadAsync(Ct);
        Assert.Equal((1L, 3L), (row.GetInt64(0), row.GetInt64(1)));
    }

    [Theory, InlineData("content"), InlineData("detail"), InlineData("etag"), InlineData("length"), InlineData("revision"), InlineData("owner")]
    public async Task A_row_that_rotted_is_answered_as_damaged(string column)
    {
        await using var index = await OpenAsync(_url);
        var bucket = await NewBucketAsync(index);
        var version = Numbered(1, 1);
        await index.SaveObjectAsync(new(bucket, "k", 0, version with { Manifest = version.Manifest with { Parts = [], Inline = [1, 2, 3] } }), Ct);
        await _server.ExecuteAsync(Database, column switch
        {
            "length" or "revision" => $"UPDATE darkstorage.objects SET {column} = {column} + 1",
            "etag" or "owner" => $"UPDATE darkstorage.objects SET {column} = {column} || 'x'",
            _ => $"UPDATE darkstorage.objects SET {column} = set_byte({column}, 1, get_byte({column}, 1) # 1)",
        });
        Assert.Equal(StorageError.DataDamaged, await OutcomeAsync(index.FindObjectAsync(bucket, "k", Ct).AsTask()));
    }

    [Fact]
    public async Task A_page_reads_what_it_shows_and_not_the_bucket()
    {
        await using var index = await OpenAsync(_url);
        var bucket = await NewBucketAsync(index);
        // Past the program: 40 folders of 500 keys, and as many old versions.
        foreach (var table in (string[])["objects", "versions"])
        {
            await _server.ExecuteAsync(Database, $"""
                INSERT INTO darkstorage.{table} (bucket, key, revision, version, modified, length, etag, flags, owner, change, blobs, detail)
                SELECT {bucket}, convert_to(format('folder-%s/%s', lpad((i / 500)::text, 4, '0'), i), 'UTF8'), {(table == "objects" ? 2 : 1)}, gen_random_uuid(), 0, 0, '', 0, '', 0, ARRAY[]::uuid[], ''
                FROM generate_series(0, 19999) i
                """);
        }
        var folded = await BuffersOfAsync($"SELECT * FROM list_objects({bucket}, '', '', '', '/', 1000)");
        var flat = await BuffersOfAsync($"SELECT * FROM list_objects({bucket}, 'folder-0020/', '', '', NULL, 10)");
        var versions = await BuffersOfAsync($"SELECT * FROM list_versions({bucket}, '', '', NULL, '', '/', 1000)");
        // All of it would be several hundred pages of 8 KiB; a seek is four or so.
        Assert.InRange(flat, 1, 60);
        Assert.InRange(folded, 40, 600);
        Assert.InRange(versions, 40, 1_200);
        var page = new Page();
        await index.ListObjectsAsync(new(bucket, "", "/", "", 1_000), page, Ct);
        Assert.Equal(40, page.Entries.Count);
    }

    [Fact]
    public async Task A_page_that_goes_on_behind_a_key_does_not_read_that_key_again()
    {
        await using var index = await OpenAsync(_url);
        var bucket = await NewBucketAsync(index);
        // Past the program: a key with 20,000 old versions and as many uploads, and a few keys behind it.
        await _server.ExecuteAsync(Database, $"""
            INSERT INTO darkstorage.versions (bucket, key, revision, version, modified, length, etag, flags, owner, change, blobs, detail)
            SELECT {bucket}, convert_to(CASE WHEN i < 20000 THEN 'many' ELSE format('next-%s', i) END, 'UTF8'), i + 1, gen_random_uuid(), 0, 0, '', 0, '', 0, ARRAY[]::uuid[], ''
            FROM generate_series(0, 20004) i;
            INSERT INTO darkstorage.uploads (upload, bucket, key, detail)
            SELECT gen_random_uuid(), {bucket}, convert_to(CASE WHEN i < 20000 THEN 'many' ELSE format('next-%s', i) END, 'UTF8'), '' FROM generate_series(0, 20004) i;
            """);
        // All of it would be several hundred pages of 8 KiB.
        foreach (var (query, rows) in ((string, int)[])
        [
            ($"SELECT * FROM list_versions({bucket}, 'many', 'many', 3, '', NULL, 10)", 7),
            ($"SELECT * FROM list_versions({bucket}, 'many', 'many', NULL, '', NULL, 10)", 5),
            ($"SELECT * FROM list_versions({bucket}, 'many', 'many', 10000, '', NULL, 10)", 11),
            ($"SELECT * FROM list_uploads({bucket}, 'many', 'many', NULL, '', NULL, 10)", 5),
            ($"SELECT * FROM list_uploads({bucket}, 'many', 'many', 'ffffffff-ffff-ffff-ffff-fffffffffff0', '', NULL, 10)", 5),
        ])
        {
            Assert.InRange(await BuffersOfAsync(query), 1, 100);
            await using var connection = await _server.OpenAsync(Database);
            await using var count = new NpgsqlCommand($"SET search_path = darkstorage; SELECT count(*) FROM ({query}) page", connection);
            Assert.Equal((long)rows, await count.ExecuteScalarAsync(Ct));
        }
    }

    /// <summary>A function that was under way when the script came goes on as it was.</summary>
    [Fact]
    public async Task What_was_there_before_usage_was_counted_by_class_is_sorted_and_so_is_what_a_function_from_before_adds()
    {
        const int before = 9;
        var url = await _server.NewDatabaseAsync();
        var database = url[(url.LastIndexOf('/') + 1)..];
        await _server.ExecuteAsync(database, $"""
            CREATE SCHEMA darkstorage; SET search_path = darkstorage;
            CREATE TABLE format (only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one), version integer NOT NULL, readable_from integer NOT NULL);
            INSERT INTO format (version, readable_from) VALUES ({before}, {before});
            {string.Join(';', MigrationScripts.Load("Postgres").Take(before))};
            INSERT INTO buckets (name, owner, region, created, versioning) VALUES ('b', 'o', 'r', 0, 0);
            INSERT INTO buckets (name, owner, region, created, versioning) VALUES ('gone', 'o', 'r', 0, 0);
            {Save(0, "k", 7, "'GLACIER'", bucket: 2)}; {Save(0, "warm", 100, "'STANDARD_IA'")}; {Save(1, "hot", 20, "NULL")}; {Save(1, "gone", 3, "NULL")};
            """);
        await using var holder = await _server.OpenAsync(database);
        await using var locked = await holder.BeginTransactionAsync(Ct);
        await using (var hold = new NpgsqlCommand("SELECT pg_advisory_xact_lock(x'446B0001'::integer, 1)", holder)) await hold.ExecuteNonQueryAsync(Ct);
        var late = _server.ExecuteAsync(database, $"SET search_path = darkstorage; {Save(2, "late", 5_000, "'GLACIER'")}");
        await using (var looker = await _server.OpenAsync(database))
        {
            await using var waits = new NpgsqlCommand("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = x'446B0001'::integer::oid AND NOT granted", looker);
            await Eventually.HoldsAsync(async () => (long)(await waits.ExecuteScalarAsync(Ct))! == 1, () => "nobody waits");
        }

        await using var index = await OpenAsync(url);
        await locked.CommitAsync(Ct);
        await late;
        BucketId? bucket = (await index.FindBucketAsync("b", Ct))!.Id;
        Assert.True(await index.RemoveVersionAsync(new(bucket.Value, "gone", VersionName.Null, 1, 0), DateTimeOffset.UtcNow, Ct));
        Assert.Equal((3, 5_120), await index.GetUsageAsync(bucket.Value, Ct));
        Assert.Equal([("", 4, 5_123), ("STANDARD", -1, -3)], await ShownAsync());

        // One that goes before it is sorted.
        var gone = (await index.FindBucketAsync("gone", Ct))!.Id;
        Assert.True(await index.RemoveVersionAsync(new(gone, "k", VersionName.Null, 1, 0), DateTimeOffset.UtcNow, Ct));
        await index.DeleteBucketAsync(gone, DateTimeOffset.UtcNow, Ct);
        // What somebody is amid is sorted when it is there.
        await using var adding = await holder.BeginTransactionAsync(Ct);
        await using (var add = new NpgsqlCommand("SET LOCAL search_path = darkstorage; UPDATE bucket_usage SET objects = objects + 1, bytes = bytes + 9 WHERE bucket = 1 AND slot = 2", holder)) await add.ExecuteNonQueryAsync(Ct);

        await index.SortUsageAsync(DateTimeOffset.UtcNow, Ct);
        Assert.Equal([("", 0, 0), ("GLACIER", 1, 5_000), ("STANDARD", 1, 20), ("STANDARD_IA", 1, 100)], await ShownAsync());
        await adding.CommitAsync(Ct);
        Assert.Equal(("", 1, 9), (await ShownAsync()).First());
        await _server.ExecuteAsync(database, "UPDATE darkstorage.bucket_usage SET objects = objects - 1, bytes = bytes - 9 WHERE bucket = 1 AND slot = 2");
        await index.SortUsageAsync(DateTimeOffset.UtcNow, Ct);

        Assert.Equal([("GLACIER", 1, 5_000), ("STANDARD", 1, 20), ("STANDARD_IA", 1, 100)], await ShownAsync());
        bucket = null;
        Assert.Equal([("GLACIER", 1, 5_000), ("STANDARD", 1, 20), ("STANDARD_IA", 1, 100)], await ShownAsync());

        async Task<IEnumerable<(string, long, long)>> ShownAsync() => (await index.ListUsageAsync(bucket, Ct)).GroupBy(u => u.StorageClass).Select(c => (c.Key, c.Sum(u => u.Objects), c.Sum(u => u.Bytes)));

        static string Save(int slot, string key, int length, string storageClass, int bucket = 1) =>
            $"SELECT save_object({slot}, 1, {bucket}, 0, '{key}', 0, NULL, 1, gen_random_uuid(), 0, {length}, 'e', 1, {storageClass}, 'o', 0, '{{}}', '', NULL, '{{}}', '{{}}', '{{}}')";
    }

    /// <summary>More buckets than a server has room for locks on, of some of which nobody can sort what is there.</summary>
    [Fact]
    public async Task Usage_of_very_many_buckets_is_put_in_order_under_few_locks_and_what_fails_keeps_nothing_else_waiting()
    {
        await using var index = await OpenAsync(_url);
        const int buckets = 2_500;
        var now = DateTimeOffset.UtcNow;
        var old = UsageMonth.Of(now).Number - 3;
        await _server.ExecuteAsync(Database, $"""
            SET search_path = darkstorage;
            INSERT INTO buckets (name, owner, region, created, versioning) SELECT 'b' || i, 'o', 'r', 0, 0 FROM generate_series(1, {buckets}) i;
            INSERT INTO usage (bucket, month, storage_class, writer, objects, bytes) SELECT id, {old}, 'STANDARD', writer, 1, 5 FROM buckets CROSS JOIN generate_series(0, 1) writer;
            INSERT INTO usage (bucket, month, storage_class, writer, reads) SELECT max(id) + i, {old}, 'STANDARD', -1, 1 FROM buckets CROSS JOIN generate_series(1, {buckets}) i GROUP BY i;
            INSERT INTO usage (bucket, month, storage_class, writer, objects, bytes) SELECT id, {old}, '', -1, 1, 1 FROM buckets WHERE name IN ('b1', 'b2');
            CREATE TABLE locks (held bigint);
            CREATE FUNCTION watch_usage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF TG_OP = 'DELETE' THEN INSERT INTO locks SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid(); RETURN NULL; END IF;
                IF NEW.storage_class = '' AND NEW.objects < 0 AND NEW.bucket = (SELECT id FROM buckets WHERE name = 'b1') THEN RAISE EXCEPTION 'not this one'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER watch_folded AFTER DELETE ON usage FOR EACH STATEMENT EXECUTE FUNCTION watch_usage();
            CREATE TRIGGER watch_sorted BEFORE INSERT ON usage FOR EACH ROW EXECUTE FUNCTION watch_usage();
            """);

        var error = await Assert.ThrowsAsync<StorageException>(() => index.SortUsageAsync(now, Ct));

        Assert.StartsWith("1 of the steps by which usage is put in order failed", error.Message, StringComparison.Ordinal);
        await using var connection = await _server.OpenAsync(Database);
        await using var left = new NpgsqlCommand("SET search_path = darkstorage; SELECT format('%s %s %s', (SELECT count(*) FROM usage WHERE writer >= 0), (SELECT count(*) FROM usage u WHERE bucket <> 0 AND NOT EXISTS (SELECT FROM buckets b WHERE b.id = u.bucket)), (SELECT count(*) FROM usage WHERE bucket = (SELECT id FROM buckets WHERE name = 'b2') AND storage_class = ''))", connection);
        Assert.Equal("0 0 0", await left.ExecuteScalarAsync(Ct));
        await using var most = new NpgsqlCommand("SELECT max(held) FROM darkstorage.locks", connection);
        Assert.InRange((long)(await most.ExecuteScalarAsync(Ct))!, 1, 600);
        // Of what is sorted it is known that nothing is there; of the other it is not.
        Assert.Equal((2L * (buckets - 1)) + 1, (await index.ListUsageAsync(null, Ct)).Sum(u => u.Objects));
        Assert.Equal(buckets, (await index.ListUsageAsync(null, Ct)).Sum(u => u.Traffic.Reads));
    }

    [Fact]
    public async Task Usage_is_left_for_the_next_time_where_step_after_step_has_no_answer()
    {
        await using var index = await OpenAsync(_url);
        await _server.ExecuteAsync(Database, """
            SET search_path = darkstorage;
            INSERT INTO buckets (name, owner, region, created, versioning) SELECT 'b' || i, 'o', 'r', 0, 0 FROM generate_series(1, 50) i;
            INSERT INTO usage (bucket, month, storage_class, writer, objects, bytes) SELECT id, 24310, '', -1, 1, 1 FROM buckets;
            CREATE SEQUENCE refused;
            CREATE FUNCTION refuse_usage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'number %', nextval('refused'); END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON usage FOR EACH ROW EXECUTE FUNCTION refuse_usage();
            """);

        var error = await Assert.ThrowsAsync<StorageException>(() => index.SortUsageAsync(DateTimeOffset.UtcNow, Ct));

        Assert.Equal(StorageError.Unavailable, error.Error);
        Assert.StartsWith("10 of the steps by which usage is put in order failed, the first with: ", error.Message, StringComparison.Ordinal);
        Assert.Contains("number 1", error.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("number 10", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Many_events_are_counted_and_replayed_in_pieces()
    {
        await using var index = await OpenAsync(_url);
        const int events = 22_000;
        await _server.ExecuteAsync(Database, $"""
            INSERT INTO darkstorage.events (target, bucket, key, occurred, document, checksum, ended, outcome)
            SELECT CASE WHEN i % 2 = 0 THEN 'here' ELSE 'there' END, 1, '', i, '', 0, CASE WHEN i % 4 < 2 THEN i END, CASE WHEN i % 4 < 2 THEN 1 + i % 8 / 4 END FROM generate_series(1, {events}) i;
            CREATE SEQUENCE darkstorage.statements;
            CREATE FUNCTION darkstorage.count_statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('darkstorage.statements'); RETURN NULL; END $$;
            CREATE TRIGGER count_statement AFTER UPDATE ON darkstorage.events FOR EACH STATEMENT EXECUTE FUNCTION darkstorage.count_statement();
            """);

        Assert.Equal(new(events / 4, DateTimeOffset.FromUnixTimeMilliseconds(2), events / 8, events / 8), await index.CountEventsAsync("here", Ct));
        Assert.Equal(events / 8, await index.ReplayEventsAsync("here", DateTimeOffset.FromUnixTimeMilliseconds((events / 2) + 1), Ct));
        Assert.Equal((events / 4) + (events / 8), (await index.CountEventsAsync("here", Ct)).Waiting);
        Assert.Equal(events / 4, (await index.CountEventsAsync("there", Ct)).Waiting);
        await using var connection = await _server.OpenAsync(Database);
        await using var statements = new NpgsqlCommand("SELECT last_value FROM darkstorage.statements", connection);
        Assert.InRange((long)(await statements.ExecuteScalarAsync(Ct))!, 5, 10);
    }

    [Fact]
    public async Task An_upload_of_many_parts_keeps_what_is_named_and_frees_the_rest()
    {
        await using var index = await OpenAsync(_url);
        var bucket = await NewBucketAsync(index);
        const int parts = 10_000;
        var uploads = Enumerable.Range(0, 2).Select(_ => UploadId.New(TimeProvider.System)).ToArray();
        foreach (var upload in uploads) await index.BeginUploadAsync(new(upload, bucket, "b", "k", "me", "owner", DateTimeOffset.UnixEpoch, ObjectMetadata.Default, "STANDARD", ChecksumAlgorithm.None, ChecksumType.FullObject, ObjectAttributes.None), Ct);
        await _server.ExecuteAsync(Database, $"""
            INSERT INTO darkstorage.parts SELECT upload, number, 0, gen_random_uuid(), '' FROM darkstorage.uploads, generate_series(1, {parts}) number;
            INSERT INTO darkstorage.blobs (blob) SELECT blob FROM darkstorage.parts;
            """);
        await using var connection = await _server.OpenAsync(Database);

        Assert.Equal(("InvalidPart", 0L), await EndAsync(uploads[0], "array_agg(CASE number WHEN 1 THEN gen_random_uuid() ELSE blob END)"));
        Assert.Equal(("", 1L), await EndAsync(uploads[0], $"array_agg(blob) FILTER (WHERE number <> {parts / 2})"));
        Assert.Equal(("NoSuchUpload", 1L), await EndAsync(uploads[0], "array_agg(blob)"));
        Assert.Equal(("", 1L + parts), await EndAsync(uploads[1], "array_agg(blob) FILTER (WHERE false)"));

        async Task<(string, long)> EndAsync(UploadId upload, string kept)
        {
            await using var end = new NpgsqlCommand($"""
                SET search_path = darkstorage;
                SELECT end_upload('{upload.ToGuid()}', (SELECT coalesce({kept}, ARRAY[]::uuid[]) FROM parts WHERE upload = '{upload.ToGuid()}'), 1);
                """, connection);
            var outcome = (string)(await end.ExecuteScalarAsync(Ct))!;
            await using var freed = new NpgsqlCommand("SELECT count(*) FROM blobs WHERE freed = 1", connection);
            return (outcome, (long)(await freed.ExecuteScalarAsync(Ct))!);
        }
    }

    private static async Task<PostgresIndex> OpenAsync(string url, PostgresOptions? options = null, TimeProvider? clock = null) =>
        await PostgresIndex.OpenAsync(PostgresUrl.Parse(url), options ?? new() { ReadConnectionsMax = 4 }, clock ?? TimeProvider.System, NullLogger<PostgresIndex>.Instance, TestContext.Current.CancellationToken);

    private static async Task<BucketId> NewBucketAsync(PostgresIndex index) =>
        (await index.CreateBucketAsync($"b-{Guid.NewGuid():n}", new("owner", "us-east-1", BucketVersioning.Off, []), DateTimeOffset.UtcNow, Ct)).Id;

    /// <summary>A version of one byte whose ETag is a number.</summary>
    private static ObjectVersion Numbered(long revision, int number) => new(
        new(new((ulong)revision, (ulong)number), 1, number.ToString(CultureInfo.InvariantCulture), null, [new(1, BlobId.New(TimeProvider.System), 1, "", null, [new(1, 1)])], []),
        ObjectMetadata.Default, DateTimeOffset.UnixEpoch, revision, true, "STANDARD", null, "owner", ObjectAttributes.None);

    private static async Task<int> NumberOfAsync(PostgresIndex index, BucketId bucket, string key) =>
        int.Parse((await index.FindObjectAsync(bucket, key, Ct))!.Manifest.ETag, CultureInfo.InvariantCulture);

    /// <summary>Reads a number, adds one and writes it, unless another writer came in between.</summary>
    private static async Task<bool> TryAddOneAsync(PostgresIndex index, BucketId bucket, string key)
    {
        var found = await index.FindLatestAsync(bucket, key, Ct);
        var number = found is null ? 0 : int.Parse(found.Manifest.ETag, CultureInfo.InvariantCulture);
        return await OutcomeAsync(index.SaveObjectAsync(new(bucket, key, found?.Revision ?? 0, Numbered((found?.Revision ?? 0) + 1, number + 1)), Ct)) switch
        {
            null => true,
            StorageError.Conflict => false,
            var other => throw new InvalidOperationException($"{other}"),
        };
    }

    private static async Task<StorageError?> OutcomeAsync(Task call)
    {
        try
        {
            await call;
            return null;
        }
        catch (StorageException e)
        {
            return e.Error;
        }
    }

    private static ObjectVersion WithBlob(BlobId blob) => new(
        new(VersionId.Of(blob), 1, new string('0', 32), null, [new(1, blob, 1, new string('0', 32), null, [new(1, 1)])], []),
        ObjectMetadata.Default, DateTimeOffset.UnixEpoch, 1, true, "STANDARD", null, "owner", ObjectAttributes.None);

    private async Task<bool> HasSchemaAsync(string database)
    {
        await using var connection = await _server.OpenAsync(database);
        await using var command = new NpgsqlCommand("SELECT to_regnamespace('darkstorage') IS NOT NULL", connection);
        return (bool)(await command.ExecuteScalarAsync(Ct))!;
    }

    /// <summary>Pages of the database that a query touched.</summary>
    private async Task<int> BuffersOfAsync(string query)
    {
        await using var connection = await _server.OpenAsync(Database);
        await using var settings = new NpgsqlCommand("SET search_path = darkstorage; SET enable_seqscan = off; SET enable_bitmapscan = off; SET plan_cache_mode = force_generic_plan", connection);
        await settings.ExecuteNonQueryAsync(Ct);
        await using var explain = new NpgsqlCommand($"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF) {query}", connection);
        // Twice: the first time the session reads the catalogue.
        for (var i = 0; ; i++)
        {
            await using var lines = await explain.ExecuteReaderAsync(Ct);
            var text = new StringBuilder();
            while (await lines.ReadAsync(Ct)) text.AppendLine(lines.GetString(0));
            if (i == 0) continue;
            var hit = System.Text.RegularExpressions.Regex.Match(text.ToString(), @"Buffers: shared hit=(\d+)(?: read=(\d+))?");
            return int.Parse(hit.Groups[1].Value, CultureInfo.InvariantCulture) + (hit.Groups[2].Success ? int.Parse(hit.Groups[2].Value, CultureInfo.InvariantCulture) : 0);
        }
    }

    private sealed class Page : IObjectListingSink
    {
        public List<string> Entries { get; } = [];

        public void Object(in ListedObject entry) => Entries.Add(Encoding.UTF8.GetString(entry.Key));

        public void CommonPrefix(ReadOnlySpan<byte> prefix) => Entries.Add(Encoding.UTF8.GetString(prefix) + "*");
    }
}
