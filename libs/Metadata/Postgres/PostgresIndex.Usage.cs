using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Tiers;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

public sealed partial class PostgresIndex
{
    /// <summary>Rows that become few at one time: each may be of another bucket, which is locked, and a server has room for some thousands of locks.</summary>
    private const int FoldedMax = 500;

    /// <summary>Buckets that are looked at at one time.</summary>
    private const int BucketsMax = 1_000;

    /// <summary>Steps in a row for which the database was not to be had, after which no other is begun.</summary>
    private const int UnavailableMax = 10;

    /// <summary>For what adds up all there is.</summary>
    private static readonly TimeSpan SumTimeout = TimeSpan.FromSeconds(30);

    public async ValueTask<IReadOnlyList<UsageChange>> ListUsageAsync(BucketId? bucket, CancellationToken ct)
    {
        var sum = $"""
            SELECT month, storage_class, sum(objects)::bigint, sum(bytes)::bigint, sum(moment), sum(reads)::bigint, sum(writes)::bigint, sum(deletes)::bigint, sum(received)::bigint, sum(sent)::bigint
            FROM (
                SELECT month, storage_class, objects, bytes, moment, reads, writes, deletes, received, sent FROM usage {(bucket is null ? "" : "WHERE bucket = $1")}
                UNION ALL SELECT month, '', objects, bytes, 0, 0, 0, 0, 0, 0 FROM bucket_usage CROSS JOIN usage_since {(bucket is null ? "" : "WHERE bucket = $1")}) u
            GROUP BY month, storage_class ORDER BY month, storage_class
            """;
        return bucket is { } one ? await ReadRowsAsync(sum, p => p.Long(one.Value), Read, ct) : await ReadLongAsync(sum, static _ => { }, Read, SumTimeout, ct) ?? [];

        static UsageChange Read(NpgsqlDataReader row) => new(
            new(row.GetInt32(0)), row.GetString(1), row.GetInt64(2), row.GetInt64(3), row.GetDecimal(4), new(row.GetInt64(5), row.GetInt64(6), row.GetInt64(7), row.GetInt64(8), row.GetInt64(9)));
    }

    // In the order of the rows, which all lock them in: last what is of all buckets that are gone.
    public Task CountTrafficAsync(IReadOnlyList<TrafficCount> counts, CancellationToken ct) =>
        ChangeAloneAsync("traffic", """
            WITH counted AS (
                INSERT INTO usage AS u (bucket, month, storage_class, writer, reads, writes, deletes, received, sent)
                SELECT coalesce(b.id, 0), t.month, t.class COLLATE "C", -1, sum(t.reads), sum(t.writes), sum(t.deletes), sum(t.received), sum(t.sent)
                FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS t (bucket, month, class, reads, writes, deletes, received, sent) LEFT JOIN buckets b ON b.id = t.bucket
                GROUP BY b.id, t.month, t.class COLLATE "C" ORDER BY b.id NULLS LAST, t.month, t.class COLLATE "C"
                ON CONFLICT (bucket, month, storage_class, writer) DO UPDATE SET reads = u.reads + excluded.reads, writes = u.writes + excluded.writes, deletes = u.deletes + excluded.deletes,
                    received = u.received + excluded.received, sent = u.sent + excluded.sent
                RETURNING 1)
            SELECT count(*) FROM counted
            """, p => p.Longs([.. counts.Select(c => c.Bucket.Value)]).Longs([.. counts.Select(c => (long)c.Month.Number)]).Texts([.. counts.Select(c => c.StorageClass)])
                .Longs([.. counts.Select(c => c.Traffic.Reads)]).Longs([.. counts.Select(c => c.Traffic.Writes)]).Longs([.. counts.Select(c => c.Traffic.Deletes)])
                .Longs([.. counts.Select(c => c.Traffic.Received)]).Longs([.. counts.Select(c => c.Traffic.Sent)]), static row => row.GetInt64(0), ct);

    public async Task SortUsageAsync(DateTimeOffset now, CancellationToken ct)
    {
        var (first, failures, inARow) = ((StorageException?)null, 0, 0);
        foreach (var bucket in await ReadRowsAsync("SELECT bucket FROM bucket_usage UNION SELECT bucket FROM usage WHERE storage_class = '' ORDER BY bucket", static _ => { }, static row => row.GetInt64(0), ct))
            await TryAsync(() => SortUsageAsync(bucket, ct));
        await TryAsync(() => LeaveUsageAsync(ct));
        // Of the month before some may still be under way.
        var before = UsageMonth.Of(now).Number - 1;
        await TryAsync(async () =>
        {
            while (await ChangeAloneAsync("usage", "SELECT fold_usage($1, $2)", p => p.Int(before).Int(FoldedMax), static row => row.GetInt64(0), ct) == FoldedMax) { }
        });
        if (first is not null) throw Failed();

        // What fails is done the next time, and nothing else waits for it; but where the database is gone there are as many steps as buckets, and each would wait for it.
        async Task TryAsync(Func<Task> step)
        {
            try
            {
                await step();
                inARow = 0;
            }
            catch (StorageException e)
            {
                first ??= e;
                failures++;
                inARow = e.Error is StorageError.Unavailable or StorageError.IndexAway ? inARow + 1 : 0;
                if (inARow == UnavailableMax) throw Failed();
            }
        }

        StorageException Failed() => new(first!.Error, $"{failures} of the steps by which usage is put in order failed, the first with: {first.Message}", first);
    }

    /// <summary>Requests that were counted while their bucket went. From bucket to bucket: each has rows without number.</summary>
    private async Task LeaveUsageAsync(CancellationToken ct)
    {
        for (var page = new List<(long Bucket, bool IsGone)> { (0, false) }; page.Count > 0;)
        {
            var after = page[^1].Bucket;
            page = await ReadRowsAsync($"""
                WITH RECURSIVE found AS (
                    SELECT min(bucket) AS bucket, 1 AS place FROM usage WHERE bucket > $1
                    UNION ALL SELECT (SELECT min(u.bucket) FROM usage u WHERE u.bucket > f.bucket), f.place + 1 FROM found f WHERE f.bucket IS NOT NULL AND f.place < {BucketsMax})
                SELECT f.bucket, NOT EXISTS (SELECT FROM buckets b WHERE b.id = f.bucket) FROM found f WHERE f.bucket IS NOT NULL ORDER BY f.bucket
                """, p => p.Long(after), static row => (row.GetInt64(0), row.GetBoolean(1)), ct);
            foreach (var (bucket, _) in page.Where(static b => b.IsGone)) await ChangeAloneAsync("usage", "SELECT leave_usage($1)::text", p => p.Long(bucket), static _ => true, ct);
        }
    }

    private async Task SortUsageAsync(long bucket, CancellationToken ct)
    {
        // Nobody else looks at the same bucket meanwhile: two would keep each other's drives busy for the same answer.
        var found = await ReadLongAsync("SELECT objects, bytes, class, class_objects, class_bytes FROM unsorted_usage($1)", p => p.Long(bucket),
            static row => (Objects: row.GetInt64(0), Bytes: row.GetInt64(1), Class: row.IsDBNull(2) ? null : row.GetString(2), ClassObjects: row.GetInt64(3), ClassBytes: row.GetInt64(4)), TimeSpan.Zero, ct, aloneOn: bucket);
        if (found is null) return;
        var classes = found.Where(static f => f.Class is not null).ToList();
        await ChangeAloneAsync("usage", "SELECT sort_usage($1, $2, $3, $4, $5, $6)::text", p => p.Long(bucket).Long(found.Count > 0 ? found[0].Objects : 0).Long(found.Count > 0 ? found[0].Bytes : 0)
            .Texts([.. classes.Select(c => c.Class!)]).Longs([.. classes.Select(c => c.ClassObjects)]).Longs([.. classes.Select(c => c.ClassBytes)]), static _ => true, ct);
    }

    /// <summary>Reads what may take longer than any other statement, as the server thinks best: it is not held to the indexes.</summary>
    /// <param name="timeout">Zero for none.</param>
    /// <param name="aloneOn">The bucket that nobody else may look at so meanwhile; null where others may.</param>
    /// <returns>Null where somebody else does.</returns>
    private async Task<List<T>?> ReadLongAsync<T>(string sql, Action<NpgsqlParameterCollection> bind, Func<NpgsqlDataReader, T> read, TimeSpan timeout, CancellationToken ct, long? aloneOn = null)
    {
        try
        {
            await using var connection = await _database.OpenAsync(ct);
            await using var transaction = await connection.BeginTransactionAsync(ct);
            await using (var begin = new NpgsqlCommand("""
                SELECT $1 IS NULL OR pg_try_advisory_xact_lock(x'446B0005'::integer, ($1 & x'7FFFFFFF'::bigint)::integer), set_config('enable_seqscan', 'on', true), set_config('enable_bitmapscan', 'on', true),
                    set_config('max_parallel_workers_per_gather', '2', true), set_config('plan_cache_mode', 'force_custom_plan', true),
                    CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN set_config('transaction_timeout', '0', true) END
                """, connection, transaction))
            {
                begin.Parameters.Long(aloneOn);
                if (await begin.ExecuteScalarAsync(ct) is not true) return null;
            }
            await using var find = new NpgsqlCommand(sql, connection, transaction) { CommandTimeout = (int)timeout.TotalSeconds };
            bind(find.Parameters);
            await using var rows = await find.ExecuteReaderAsync(ct);
            var found = new List<T>();
            while (await rows.ReadAsync(ct)) found.Add(read(rows));
            return found;
        }
        catch (Exception e) when (e is not (OperationCanceledException or StorageException))
        {
            throw _database.Report(e);
        }
    }
}
