using System.Text;
using DarkStorage.GrainInterfaces;

namespace DarkStorage.Metadata.Postgres;

public sealed partial class PostgresIndex
{
    private const string InRange = "a.bucket = $1 AND a.key >= $2 AND ($3::bytea IS NULL OR a.key <= $3)";

    // In the order of the rows, which all lock them in.
    public Task CountAccessesAsync(DateOnly day, IReadOnlyList<AccessCount> counts, CancellationToken ct) =>
        ChangeAloneAsync("accesses", """
            WITH counted AS (
                INSERT INTO accesses (bucket, key, version, day, count, last)
                SELECT a.bucket, a.key, a.version, d.day, a.count, a.last
                FROM unnest($2, $3, $4, $5, $6) AS a (bucket, key, version, count, last) CROSS JOIN (VALUES (0), ($1)) AS d (day) ORDER BY 1, 2, 3, 4
                ON CONFLICT (bucket, key, version, day) DO UPDATE SET count = accesses.count + excluded.count, last = greatest(accesses.last, excluded.last)
                RETURNING 1)
            SELECT count(*) FROM counted
            """, p => p.Int(day.DayNumber).Longs([.. counts.Select(c => c.Bucket.Value)]).BytesOfMany([.. counts.Select(c => Parameters.KeyBytes(c.Key))]).Uuids([.. counts.Select(c => c.Version.ToGuid())])
                .Longs([.. counts.Select(c => c.Count)]).Longs([.. counts.Select(c => c.Last.ToUnixTimeMilliseconds())]), static row => row.GetInt64(0), ct);

    public async ValueTask<IReadOnlyList<VersionAccesses>> ListAccessesAsync(BucketId bucket, string from, string? to, CancellationToken ct)
    {
        var rows = await ReadRowsAsync($"SELECT a.key, a.version, a.day, a.count, a.last FROM accesses a WHERE {InRange} ORDER BY a.key, a.version, a.day",
            p => p.Long(bucket.Value).Key(from).Bytes(to is null ? null : Parameters.KeyBytes(to)),
            static row => new AccessRow(Encoding.UTF8.GetString(row.GetFieldValue<byte[]>(0)), row.GetGuid(1).ToVersion(), row.GetInt32(2), row.GetInt64(3), row.GetInt64(4)), ct);
        return AccessRow.Gather(rows);
    }

    public Task<long> ForgetAccessesAsync(BucketId bucket, string from, string? to, DateOnly before, int max, CancellationToken ct) =>
        ChangeAloneAsync("accesses", $"""
            WITH found AS (
                SELECT a.bucket, a.key, a.version, a.day FROM accesses a
                WHERE {InRange} AND (a.day > 0 AND a.day < $4
                    OR NOT EXISTS (SELECT 1 FROM objects o WHERE o.bucket = a.bucket AND o.key = a.key AND o.version = a.version)
                    AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.bucket = a.bucket AND v.key = a.key AND v.version = a.version))
                ORDER BY a.bucket, a.key, a.version, a.day LIMIT $5 FOR UPDATE),
            forgotten AS ({DeleteFound})
            SELECT count(*) FROM forgotten
            """, p => p.Long(bucket.Value).Key(from).Bytes(to is null ? null : Parameters.KeyBytes(to)).Int(before.DayNumber).Long(max), static row => row.GetInt64(0), ct);

    public Task<long> ForgetUncountedAccessesAsync(int max, CancellationToken ct) =>
        ChangeAloneAsync("accesses", $"""
            WITH RECURSIVE {AccessRow.Buckets},
            found AS (
                SELECT a.bucket, a.key, a.version, a.day FROM accesses a WHERE a.bucket = ({AccessRow.UncountedBucket})
                ORDER BY a.bucket, a.key, a.version, a.day LIMIT $1 FOR UPDATE SKIP LOCKED),
            forgotten AS ({DeleteFound})
            SELECT count(*) FROM forgotten
            """, p => p.Long(max), static row => row.GetInt64(0), ct);

    private const string DeleteFound =
        "DELETE FROM accesses a USING found f WHERE a.bucket = f.bucket AND a.key = f.key AND a.version = f.version AND a.day = f.day RETURNING 1";
}
