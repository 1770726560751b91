using System.Collections.Immutable;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Events;

namespace DarkStorage.Metadata.Sqlite;

public sealed partial class SqliteIndex
{
    public ValueTask<IReadOnlyList<WaitingEvent>> ListEventsAsync(string target, long after, int max, CancellationToken ct) =>
        ReadAsync((target, after, max), static (connection, q) =>
        {
            var query = connection.Prepare("SELECT sequence, bucket, key, occurred, document, checksum FROM events WHERE target = ?1 AND ended IS NULL AND sequence > ?2 ORDER BY sequence LIMIT ?3")
                .BindText(1, q.target).Bind(2, q.after).Bind(3, q.max);
            var events = new List<WaitingEvent>();
            while (query.Step())
            {
                var (bucket, occurred) = (query.Long(1), query.Long(3));
                var isWhole = query.Long(5) == DetailCodec.EventChecksum(q.target, bucket, query.Bytes(2), occurred, query.Bytes(4));
                events.Add(new(query.Long(0), new(bucket), Encoding.UTF8.GetString(query.Bytes(2)), DateTimeOffset.FromUnixTimeMilliseconds(occurred), isWhole ? query.Bytes(4).ToArray() : default));
            }
            return (IReadOnlyList<WaitingEvent>)events;
        }, ct);

    // An event that ended is one that can be forgotten: so this may use the reserve of a full drive, and none is sent again for want of room.
    public Task EndEventsAsync(IReadOnlyList<long> sequences, EventEnd end, DateTimeOffset now, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            foreach (var sequence in sequences)
            {
                session.Connection.Prepare("UPDATE events SET ended = ?2, outcome = ?3 WHERE sequence = ?1 AND ended IS NULL")
                    .Bind(1, sequence).Bind(2, now.ToUnixTimeMilliseconds()).Bind(3, (long)end).Run();
            }
            return true;
        }, ct);

    public Task<long> ReplayEventsAsync(string target, DateTimeOffset since, CancellationToken ct) =>
        _writer.WriteAsync(session =>
        {
            session.Connection.Prepare("UPDATE events SET ended = NULL, outcome = NULL WHERE target = ?1 AND ended IS NOT NULL AND occurred >= ?2")
                .BindText(1, target).Bind(2, since.ToUnixTimeMilliseconds()).Run();
            return (long)session.Connection.Changes;
        }, ct);

    public ValueTask<EventCounts> CountEventsAsync(string target, CancellationToken ct) =>
        ReadAsync(target, static (connection, target) =>
        {
            var query = connection.Prepare("SELECT outcome, count(*), min(occurred) FROM events WHERE target = ?1 GROUP BY outcome").BindText(1, target);
            var counts = new EventCounts(0, null, 0, 0);
            while (query.Step())
            {
                counts = query.IsNull(0) ? counts with { Waiting = query.Long(1), Oldest = DateTimeOffset.FromUnixTimeMilliseconds(query.Long(2)) }
                    : query.Long(0) == (long)EventEnd.Delivered ? counts with { Delivered = query.Long(1) }
                    : counts with { GivenUp = query.Long(1) };
            }
            return counts;
        }, ct);

    public Task<long> ForgetEventsAsync(string target, DateTimeOffset? endedBefore, int max, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            var delete = endedBefore is { } before
                ? session.Connection.Prepare("DELETE FROM events WHERE sequence IN (SELECT sequence FROM events WHERE target = ?1 AND ended < ?3 LIMIT ?2)").Bind(3, before.ToUnixTimeMilliseconds())
                : session.Connection.Prepare("DELETE FROM events WHERE sequence IN (SELECT sequence FROM events WHERE target = ?1 LIMIT ?2)");
            delete.BindText(1, target).Bind(2, max).Run();
            return (long)session.Connection.Changes;
        }, ct);

    private static void AddEvents(SqliteConnection connection, BucketId bucket, string key, ImmutableArray<ObjectEvent> events, DateTimeOffset now)
    {
        foreach (var (target, document) in events)
        {
            var occurred = now.ToUnixTimeMilliseconds();
            connection.Prepare("INSERT INTO events (target, bucket, key, occurred, document, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
                .BindText(1, target).Bind(2, bucket.Value).BindKey(3, key).Bind(4, occurred).Bind(5, document.Span)
                .Bind(6, DetailCodec.EventChecksum(target, bucket.Value, Encoding.UTF8.GetBytes(key), occurred, document.Span)).Run();
        }
    }
}
