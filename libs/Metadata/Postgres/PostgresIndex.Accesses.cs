using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;

namespace DarkStorage.Metadata.Postgres;

public sealed partial class PostgresIndex
{
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

    public async ValueTask<IReadOnlyList<VersionAccesses>> ListAccessesAsync(BucketId bucket, IReadOnlyList<VersionAddress> versions, CancellationToken ct)
    {
        var rows = await ReadRowsAsync("""
            SELECT a.key, a.version, a.day, a.count, a.last FROM unnest($2, $3) AS v (key, version)
            JOIN accesses a ON a.bucket = $1 AND a.key = v.key AND a.version = v.version ORDER BY a.key, a.version, a.day
            """, p => p.Long(bucket.Value).BytesOfMany([.. versions.Select(v => Parameters.KeyBytes(v.Key))]).Uuids([.. versions.Select(v => v.Version.ToGuid())]),
            static row => new AccessRow(Encoding.UTF8.GetString(row.GetFieldValue<byte[]>(0)), row.GetGuid(1).ToVersion(), row.GetInt32(2), row.GetInt64(3), row.GetInt64(4)), ct);
        return AccessRow.Gather(rows);
    }

    // Rows that are counted just now are left to the next look.
    public Task<AccessPlace?> ForgetAccessesAsync(AccessPlace? after, DateOnly before, int max, CancellationToken ct) =>
        ChangeAloneAsync("accesses", $"""
            WITH looked AS (
                SELECT bucket, key, version, day FROM accesses WHERE (bucket, key, version, day) > ($1, $2, $3, $4) ORDER BY bucket, key, version, day LIMIT $5),
            stale AS (
                SELECT a.bucket, a.key, a.version, a.day FROM looked l JOIN accesses a ON a.bucket = l.bucket AND a.key = l.key AND a.version = l.version AND a.day = l.day
                WHERE {AccessRow.IsStale("$6")} ORDER BY a.bucket, a.key, a.version, a.day FOR UPDATE OF a SKIP LOCKED),
            forgotten AS (
                DELETE FROM accesses a USING stale s WHERE a.bucket = s.bucket AND a.key = s.key AND a.version = s.version AND a.day = s.day RETURNING 1),
            ended AS (
                SELECT bucket, key, version, day FROM looked ORDER BY bucket DESC, key DESC, version DESC, day DESC LIMIT 1)
            SELECT (SELECT count(*) FROM looked), (SELECT count(*) FROM forgotten), (SELECT bucket FROM ended), (SELECT key FROM ended), (SELECT version FROM ended), (SELECT day FROM ended)
            """, p => p.Long(after?.Bucket.Value ?? 0).Bytes(Parameters.KeyBytes(after?.Key ?? "")).Uuid(after?.Version.ToGuid() ?? Guid.Empty).Int(after?.Day ?? -1).Long(max).Int(before.DayNumber),
            row => row.GetInt64(0) < max ? null : new AccessPlace(new(row.GetInt64(2)), Encoding.UTF8.GetString(row.GetFieldValue<byte[]>(3)), row.GetGuid(4).ToVersion(), row.GetInt32(5)), ct);
}
