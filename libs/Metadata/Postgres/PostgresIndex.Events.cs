using System.Collections.Immutable;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Events;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

// Sequences of different keys may become visible out of their order, since their transactions do. Those of one key do not: its lock is held from the number to the commit.
public sealed partial class PostgresIndex
{
    public async ValueTask<IReadOnlyList<WaitingEvent>> ListEventsAsync(string target, long after, int max, CancellationToken ct) =>
        await ReadRowsAsync(
            "SELECT sequence, bucket, key, occurred, document, checksum FROM events WHERE target = $1 AND ended IS NULL AND sequence > $2 ORDER BY sequence LIMIT $3",
            p => p.Text(target).Long(after).Long(max), row =>
            {
                var (bucket, occurred) = (row.GetInt64(1), row.GetInt64(3));
                var (key, document) = (row.GetFieldValue<byte[]>(2), row.GetFieldValue<byte[]>(4));
                var isWhole = row.GetInt64(5) == DetailCodec.EventChecksum(target, bucket, key, occurred, document);
                return new WaitingEvent(row.GetInt64(0), new(bucket), Encoding.UTF8.GetString(key), DateTimeOffset.FromUnixTimeMilliseconds(occurred), isWhole ? document : default);
            }, ct);

    public Task EndEventsAsync(IReadOnlyList<long> sequences, EventEnd end, DateTimeOffset now, CancellationToken ct) =>
        WriteCountedAsync("events", "", "UPDATE events SET ended = $2, outcome = $3 WHERE sequence = ANY ($1) AND ended IS NULL",
            p => p.Longs([.. sequences.Order()]).Time(now).Int((int)end), ct);

    public Task<long> ReplayEventsAsync(string target, DateTimeOffset since, CancellationToken ct) =>
        WriteCountedAsync("events", target, "UPDATE events SET ended = NULL, outcome = NULL WHERE target = $1 AND ended IS NOT NULL AND occurred >= $2", p => p.Text(target).Time(since), ct);

    public ValueTask<EventCounts> CountEventsAsync(string target, CancellationToken ct) =>
        ReadAsync("SELECT outcome, count(*), min(occurred) FROM events WHERE target = $1 GROUP BY outcome", p => p.Text(target), async (rows, ct) =>
        {
            var counts = new EventCounts(0, null, 0, 0);
            while (await rows.ReadAsync(ct))
            {
                counts = rows.IsDBNull(0) ? counts with { Waiting = rows.GetInt64(1), Oldest = DateTimeOffset.FromUnixTimeMilliseconds(rows.GetInt64(2)) }
                    : rows.GetInt32(0) == (int)EventEnd.Delivered ? counts with { Delivered = rows.GetInt64(1) }
                    : counts with { GivenUp = rows.GetInt64(1) };
            }
            return counts;
        }, ct);

    public Task<long> ForgetEventsAsync(string target, DateTimeOffset? endedBefore, int max, CancellationToken ct) => endedBefore is { } before
        ? WriteCountedAsync("events", target, "DELETE FROM events WHERE sequence = ANY (ARRAY (SELECT sequence FROM events WHERE target = $1 AND ended < $3 LIMIT $2))",
            p => p.Text(target).Long(max).Time(before), ct)
        : WriteCountedAsync("events", target, "DELETE FROM events WHERE sequence = ANY (ARRAY (SELECT sequence FROM events WHERE target = $1 LIMIT $2))", p => p.Text(target).Long(max), ct);

    /// <summary>Runs a change that is one statement.</summary>
    /// <returns>How many rows it changed.</returns>
    private Task<long> WriteCountedAsync(string kind, string name, string change, Action<NpgsqlParameterCollection> bind, CancellationToken ct) =>
        WriteAsync(LockOf(kind, name), $"WITH changed AS ({change} RETURNING 1) SELECT count(*) FROM changed", (p, _) => bind(p), static row => row.GetInt64(0), ct);

    /// <summary>The events of a change as the arrays that the functions take.</summary>
    private readonly struct EventColumns
    {
        private readonly string[] _targets;
        private readonly byte[][] _documents;
        private readonly long[] _checksums;

        public EventColumns(BucketId bucket, byte[] key, DateTimeOffset now, ImmutableArray<ObjectEvent> events)
        {
            _targets = [.. events.Select(e => e.Target)];
            _documents = [.. events.Select(e => e.Document.ToArray())];
            _checksums = [.. events.Select(e => DetailCodec.EventChecksum(e.Target, bucket.Value, key, now.ToUnixTimeMilliseconds(), e.Document.Span))];
        }

        public void Add(NpgsqlParameterCollection parameters) => parameters.Texts(_targets).BytesOfMany(_documents).Longs(_checksums);
    }
}
