using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Metadata.Sqlite;

public sealed partial class SqliteIndex
{
    public Task CountAccessesAsync(DateOnly day, IReadOnlyList<AccessCount> counts, CancellationToken ct) =>
        _writer.WriteAsync(session =>
        {
            Span<byte> version = stackalloc byte[VersionId.ByteLength];
            foreach (var count in counts)
            {
                count.Version.Write(version);
                foreach (var row in (ReadOnlySpan<int>)[0, day.DayNumber])
                {
                    session.Connection.Prepare("""
                        INSERT INTO accesses (bucket, key, version, day, count, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                        ON CONFLICT (bucket, key, version, day) DO UPDATE SET count = count + excluded.count, last = max(last, excluded.last)
                        """).Bind(1, count.Bucket.Value).BindKey(2, count.Key).Bind(3, version).Bind(4, row).Bind(5, count.Count).Bind(6, count.Last.ToUnixTimeMilliseconds()).Run();
                }
            }
            return true;
        }, ct);

    public ValueTask<IReadOnlyList<VersionAccesses>> ListAccessesAsync(BucketId bucket, string from, string? to, CancellationToken ct) =>
        ReadAsync((bucket, from, to), static (connection, range) =>
        {
            var query = OfRange(connection, $"SELECT a.key, a.version, a.day, a.count, a.last FROM accesses a WHERE {InRange(range.to)} ORDER BY a.key, a.version, a.day", range.bucket, range.from, range.to);
            var rows = new List<AccessRow>();
            while (query.Step()) rows.Add(new(Encoding.UTF8.GetString(query.Bytes(0)), VersionId.Read(query.Bytes(1)), (int)query.Long(2), query.Long(3), query.Long(4)));
            return (IReadOnlyList<VersionAccesses>)AccessRow.Gather(rows);
        }, ct);

    public Task<long> ForgetAccessesAsync(BucketId bucket, string from, string? to, DateOnly before, int max, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            OfRange(session.Connection, $"""
                DELETE FROM accesses WHERE (bucket, key, version, day) IN (
                    SELECT a.bucket, a.key, a.version, a.day FROM accesses a
                    WHERE {InRange(to)} AND (a.day > 0 AND a.day < ?4
                        OR NOT EXISTS (SELECT 1 FROM objects o WHERE o.bucket = a.bucket AND o.key = a.key AND o.version = a.version)
                        AND NOT EXISTS (SELECT 1 FROM versions v WHERE v.bucket = a.bucket AND v.key = a.key AND v.version = a.version))
                    LIMIT ?5)
                """, bucket, from, to).Bind(4, before.DayNumber).Bind(5, max).Run();
            return (long)session.Connection.Changes;
        }, ct);

    public Task<long> ForgetUncountedAccessesAsync(int max, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            session.Connection.Prepare($"""
                WITH RECURSIVE {AccessRow.Buckets}
                DELETE FROM accesses WHERE (bucket, key, version, day) IN (SELECT a.bucket, a.key, a.version, a.day FROM accesses a WHERE a.bucket = ({AccessRow.UncountedBucket}) LIMIT ?1)
                """).Bind(1, max).Run();
            return (long)session.Connection.Changes;
        }, ct);

    private static string InRange(string? to) => $"a.bucket = ?1 AND a.key >= ?2{(to is null ? "" : " AND a.key <= ?3")}";

    private static SqliteStatement OfRange(SqliteConnection connection, string sql, BucketId bucket, string from, string? to)
    {
        var statement = connection.Prepare(sql).Bind(1, bucket.Value).BindKey(2, from);
        return to is null ? statement : statement.BindKey(3, to);
    }
}
