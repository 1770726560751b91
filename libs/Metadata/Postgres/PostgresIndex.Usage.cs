using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Tiers;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

public sealed partial class PostgresIndex
{
    /// <summary>Rows that become few at one time.</summary>
    private const int FoldedMax = 10_000;

    public async ValueTask<IReadOnlyList<UsageChange>> ListUsageAsync(BucketId? bucket, CancellationToken ct)
    {
        var which = bucket is null ? "" : "WHERE bucket = $1";
        return await ReadRowsAsync($"""
            SELECT month, storage_class, sum(objects)::bigint, sum(bytes)::bigint, sum(moment), sum(reads)::bigint, sum(writes)::bigint, sum(deletes)::bigint, sum(received)::bigint, sum(sent)::bigint
            FROM (
                SELECT month, storage_class, objects, bytes, moment, reads, writes, deletes, received, sent FROM usage {which}
                UNION ALL SELECT month, '', objects, bytes, 0, 0, 0, 0, 0, 0 FROM bucket_usage CROSS JOIN usage_since {which}) u
            GROUP BY month, storage_class ORDER BY month, storage_class
            """, p =>
            {
                if (bucket is { } one) p.Long(one.Value);
            }, static row => new UsageChange(
                new(row.GetInt32(0)), row.GetString(1), row.GetInt64(2), row.GetInt64(3), row.GetDecimal(4), new(row.GetInt64(5), row.GetInt64(6), row.GetInt64(7), row.GetInt64(8), row.GetInt64(9))), ct);
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
        foreach (var bucket in await ListBucketsOfUsageAsync("SELECT bucket FROM bucket_usage UNION SELECT bucket FROM usage WHERE storage_class = '' ORDER BY bucket", ct)) await SortUsageAsync(bucket, ct);
        // Requests that were counted while their bucket went.
        foreach (var bucket in await ListBucketsOfUsageAsync("SELECT DISTINCT bucket FROM usage u WHERE bucket <> 0 AND NOT EXISTS (SELECT FROM buckets b WHERE b.id = u.bucket) ORDER BY bucket", ct))
            await ChangeAloneAsync("usage", "SELECT leave_usage($1)::text", p => p.Long(bucket), static _ => true, ct);
        // Of the month before some may still be under way.
        var before = UsageMonth.Of(now).Number - 1;
        while (await ChangeAloneAsync("usage", "SELECT fold_usage($1, $2)", p => p.Int(before).Int(FoldedMax), static row => row.GetInt64(0), ct) == FoldedMax) { }
    }

    private ValueTask<List<long>> ListBucketsOfUsageAsync(string sql, CancellationToken ct) => ReadRowsAsync(sql, static _ => { }, static row => row.GetInt64(0), ct);

    private async Task SortUsageAsync(long bucket, CancellationToken ct)
    {
        var (objects, bytes, classes) = await FindUnsortedAsync(bucket, ct);
        await ChangeAloneAsync("usage", "SELECT sort_usage($1, $2, $3, $4, $5, $6)::text", p => p.Long(bucket).Long(objects).Long(bytes)
            .Texts([.. classes.Select(c => c.Name)]).Longs([.. classes.Select(c => c.Objects)]).Longs([.. classes.Select(c => c.Bytes)]), static _ => true, ct);
    }

    /// <summary>Looks at all versions of a bucket, which may take longer than any other statement may.</summary>
    private async Task<(long Objects, long Bytes, List<(string Name, long Objects, long Bytes)> Classes)> FindUnsortedAsync(long bucket, CancellationToken ct)
    {
        try
        {
            await using var connection = await _database.OpenAsync(ct);
            await using var transaction = await connection.BeginTransactionAsync(ct);
            await using (var patience = new NpgsqlCommand("SELECT CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN set_config('transaction_timeout', '0', true) END", connection, transaction))
            {
                await patience.ExecuteNonQueryAsync(ct);
            }
            await using var find = new NpgsqlCommand("SELECT objects, bytes, class, class_objects, class_bytes FROM unsorted_usage($1)", connection, transaction) { CommandTimeout = 0 };
            find.Parameters.Long(bucket);
            await using var rows = await find.ExecuteReaderAsync(ct);
            var (objects, bytes, classes) = (0L, 0L, new List<(string, long, long)>());
            while (await rows.ReadAsync(ct))
            {
                (objects, bytes) = (rows.GetInt64(0), rows.GetInt64(1));
                if (!rows.IsDBNull(2)) classes.Add((rows.GetString(2), rows.GetInt64(3), rows.GetInt64(4)));
            }
            return (objects, bytes, classes);
        }
        catch (Exception e) when (e is not (OperationCanceledException or StorageException))
        {
            throw _database.Report(e);
        }
    }
}
