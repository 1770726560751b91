using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Tiers;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

public sealed partial class PostgresIndex
{
    /// <summary>Rows that become few at one time.</summary>
    private const int FoldedMax = 10_000;

    public async ValueTask<IReadOnlyList<UsageChange>> ListUsageAsync(BucketId? bucket, CancellationToken ct) =>
        await ReadRowsAsync($"""
            SELECT month, storage_class, sum(objects)::bigint, sum(bytes)::bigint, sum(moment), sum(reads)::bigint, sum(writes)::bigint, sum(deletes)::bigint, sum(received)::bigint, sum(sent)::bigint
            FROM bucket_usage {(bucket is null ? "" : "WHERE bucket = $1")} GROUP BY month, storage_class ORDER BY month, storage_class
            """, p =>
            {
                if (bucket is { } one) p.Long(one.Value);
            }, static row => new UsageChange(
                new(row.GetInt32(0)), row.GetString(1), row.GetInt64(2), row.GetInt64(3), row.GetDecimal(4), new(row.GetInt64(5), row.GetInt64(6), row.GetInt64(7), row.GetInt64(8), row.GetInt64(9))), ct);

    // In the order of the rows, which all lock them in. A bucket that is gone counts as all that are.
    public Task CountTrafficAsync(IReadOnlyList<TrafficCount> counts, CancellationToken ct) =>
        ChangeAloneAsync("traffic", """
            WITH counted AS (
                INSERT INTO bucket_usage AS u (bucket, month, storage_class, writer, reads, writes, deletes, received, sent)
                SELECT coalesce(b.id, 0), t.month, t.class, -1, sum(t.reads), sum(t.writes), sum(t.deletes), sum(t.received), sum(t.sent)
                FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS t (bucket, month, class, reads, writes, deletes, received, sent) LEFT JOIN buckets b ON b.id = t.bucket
                GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
                ON CONFLICT (bucket, month, storage_class, writer) DO UPDATE SET reads = u.reads + excluded.reads, writes = u.writes + excluded.writes, deletes = u.deletes + excluded.deletes,
                    received = u.received + excluded.received, sent = u.sent + excluded.sent
                RETURNING 1)
            SELECT count(*) FROM counted
            """, p => p.Longs([.. counts.Select(c => c.Bucket.Value)]).Longs([.. counts.Select(c => (long)c.Month.Number)]).Texts([.. counts.Select(c => c.StorageClass)])
                .Longs([.. counts.Select(c => c.Traffic.Reads)]).Longs([.. counts.Select(c => c.Traffic.Writes)]).Longs([.. counts.Select(c => c.Traffic.Deletes)])
                .Longs([.. counts.Select(c => c.Traffic.Received)]).Longs([.. counts.Select(c => c.Traffic.Sent)]), static row => row.GetInt64(0), ct);

    public async Task SortUsageAsync(DateTimeOffset now, CancellationToken ct)
    {
        var unsorted = await ReadRowsAsync("SELECT bucket FROM bucket_usage WHERE storage_class = '' GROUP BY bucket HAVING sum(objects) <> 0 OR sum(bytes) <> 0 ORDER BY bucket", static _ => { }, static row => row.GetInt64(0), ct);
        foreach (var bucket in unsorted) await SortUsageAsync(bucket, ct);
        // Of the month before some may still be under way.
        var before = UsageMonth.Of(now).Number - 1;
        while (await ChangeAloneAsync("usage", "SELECT fold_usage($1, $2)", p => p.Int(before).Int(FoldedMax), static row => row.GetInt64(0), ct) == FoldedMax) { }
    }

    /// <summary>Looks at all versions of a bucket, which may take longer than any other statement may.</summary>
    private async Task SortUsageAsync(long bucket, CancellationToken ct)
    {
        try
        {
            await using var connection = await _database.OpenAsync(ct);
            await using var transaction = await connection.BeginTransactionAsync(ct);
            await using (var patience = new NpgsqlCommand("SELECT set_config('lock_timeout', '0', true), CASE WHEN current_setting('server_version_num')::integer >= 170000 THEN set_config('transaction_timeout', '0', true) END", connection, transaction))
            {
                await patience.ExecuteNonQueryAsync(ct);
            }
            await using var sort = new NpgsqlCommand("SELECT sort_usage($1)", connection, transaction) { CommandTimeout = 0 };
            sort.Parameters.Long(bucket);
            await sort.ExecuteNonQueryAsync(ct);
            await transaction.CommitAsync(ct);
        }
        catch (Exception e) when (e is not (OperationCanceledException or StorageException))
        {
            throw _database.Report(e);
        }
    }
}
