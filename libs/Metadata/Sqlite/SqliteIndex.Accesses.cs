using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;

namespace DarkStorage.Metadata.Sqlite;

public sealed partial class SqliteIndex
{
    public Task CountAccessesAsync(DateOnly day, IReadOnlyList<AccessCount> counts, CancellationToken ct) =>
        _writer.WriteAsync(session =>
        {
            foreach (var count in counts)
            {
                foreach (var row in (ReadOnlySpan<int>)[0, day.DayNumber])
                {
                    OfAccessed(session.Connection, """
                        INSERT INTO accesses (bucket, key, version, day, count, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                        ON CONFLICT (bucket, key, version, day) DO UPDATE SET count = count + excluded.count, last = max(last, excluded.last)
                        """, count.Bucket, count.Key, count.Version).Bind(4, row).Bind(5, count.Count).Bind(6, count.Last.ToUnixTimeMilliseconds()).Run();
                }
            }
            return true;
        }, ct);

    public ValueTask<IReadOnlyList<VersionAccesses>> ListAccessesAsync(BucketId bucket, IReadOnlyList<VersionAddress> versions, CancellationToken ct) =>
        ReadAsync((bucket, versions), static (connection, asked) =>
        {
            var rows = new List<AccessRow>();
            foreach (var address in asked.versions)
            {
                var query = OfAccessed(connection, "SELECT day, count, last FROM accesses WHERE bucket = ?1 AND key = ?2 AND version = ?3 ORDER BY day", asked.bucket, address.Key, address.Version);
                while (query.Step()) rows.Add(new(address.Key, address.Version, (int)query.Long(0), query.Long(1), query.Long(2)));
            }
            return (IReadOnlyList<VersionAccesses>)AccessRow.Gather(rows);
        }, ct);

    public async Task<AccessPlace?> ForgetAccessesAsync(AccessPlace? after, DateOnly before, int max, CancellationToken ct)
    {
        // Found by a reader, so that the writer is not kept from others: what is stale once stays so.
        var (next, stale) = await ReadAsync((after, before, max), static (connection, asked) =>
        {
            var (from, stale, last, looked) = (asked.after, new List<AccessPlace>(), (AccessPlace?)null, 0);
            var query = OfAccessed(connection, $"""
                SELECT a.bucket, a.key, a.version, a.day, {AccessRow.IsStale("?6")} FROM accesses a
                WHERE (a.bucket, a.key, a.version, a.day) > (?1, ?2, ?3, ?4) ORDER BY a.bucket, a.key, a.version, a.day LIMIT ?5
                """, from?.Bucket ?? default, from?.Key ?? "", from?.Version ?? default).Bind(4, from?.Day ?? -1).Bind(5, asked.max).Bind(6, asked.before.DayNumber);
            for (; query.Step(); looked++)
            {
                last = new(new(query.Long(0)), Encoding.UTF8.GetString(query.Bytes(1)), VersionId.Read(query.Bytes(2)), (int)query.Long(3));
                if (query.Long(4) != 0) stale.Add(last);
            }
            return (looked < asked.max ? null : last, stale);
        }, ct);
        if (stale.Count > 0)
        {
            await _writer.RemoveAsync(session =>
            {
                foreach (var row in stale) OfAccessed(session.Connection, "DELETE FROM accesses WHERE bucket = ?1 AND key = ?2 AND version = ?3 AND day = ?4", row.Bucket, row.Key, row.Version).Bind(4, row.Day).Run();
                return true;
            }, ct);
        }
        return next;
    }

    private static SqliteStatement OfAccessed(SqliteConnection connection, string sql, BucketId bucket, string key, VersionId version)
    {
        Span<byte> id = stackalloc byte[VersionId.ByteLength];
        version.Write(id);
        return connection.Prepare(sql).Bind(1, bucket.Value).BindKey(2, key).Bind(3, id);
    }
}
