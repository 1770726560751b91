using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Events;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

// Sequences of different keys may become visible out of their order, since their transactions do. Those of one key do not: its lock is held from the number to the commit.
public sealed partial class PostgresIndex
{
    /// <summary>Sequences that one statement looks at where all events of a target are meant: a week's of them would take longer than a statement may.</summary>
    private const int EventsAtATime = 5_000;

    /// <summary>By the sequence: the target's own index would lead to all that it has.</summary>
    private const string OfRange = "sequence > $2 AND sequence <= $3 AND target || '' = $1";

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

    public async Task<long> ReplayEventsAsync(string target, DateTimeOffset since, CancellationToken ct)
    {
        var count = 0L;
        await foreach (var (after, last) in EventRangesAsync(ct))
        {
            count += await WriteCountedAsync("events", target, $"UPDATE events SET ended = NULL, outcome = NULL WHERE {OfRange} AND ended IS NOT NULL AND occurred >= $4",
                p => p.Text(target).Long(after).Long(last).Time(since), ct);
        }
        return count;
    }

    public async ValueTask<EventCounts> CountEventsAsync(string target, CancellationToken ct)
    {
        var counts = new EventCounts(0, null, 0, 0);
        await foreach (var (after, last) in EventRangesAsync(ct))
        {
            var before = counts;
            counts = await ReadAsync($"SELECT outcome, count(*), min(occurred) FROM events WHERE {OfRange} GROUP BY outcome", p => p.Text(target).Long(after).Long(last), async (rows, ct) =>
            {
                var sum = before;
                while (await rows.ReadAsync(ct))
                {
                    var (count, oldest) = (rows.GetInt64(1), DateTimeOffset.FromUnixTimeMilliseconds(rows.GetInt64(2)));
                    sum = rows.IsDBNull(0) ? sum with { Waiting = sum.Waiting + count, Oldest = sum.Oldest < oldest ? sum.Oldest : oldest }
                        : rows.GetInt32(0) == (int)EventEnd.Delivered ? sum with { Delivered = sum.Delivered + count }
                        : sum with { GivenUp = sum.GivenUp + count };
                }
                return sum;
            }, ct);
        }
        return counts;
    }

    public Task<long> ForgetEventsAsync(string target, DateTimeOffset? endedBefore, int max, CancellationToken ct) => endedBefore is { } before
        ? WriteCountedAsync("events", target, "DELETE FROM events WHERE sequence = ANY (ARRAY (SELECT sequence FROM events WHERE target = $1 AND ended < $3 LIMIT $2))",
            p => p.Text(target).Long(max).Time(before), ct)
        : WriteCountedAsync("events", target, "DELETE FROM events WHERE sequence = ANY (ARRAY (SELECT sequence FROM events WHERE target = $1 LIMIT $2))", p => p.Text(target).Long(max), ct);

    /// <summary>All sequences that there are now, in pieces: behind the first number, up to the second.</summary>
    private async IAsyncEnumerable<(long After, long Last)> EventRangesAsync([EnumeratorCancellation] CancellationToken ct)
    {
        var (next, end) = await ReadAsync("SELECT coalesce(min(sequence), 1) - 1, coalesce(max(sequence), 0) FROM events", static _ => { }, static async (rows, ct) =>
        {
            await rows.ReadAsync(ct);
            return (rows.GetInt64(0), rows.GetInt64(1));
        }, ct);
        for (; next < end; next += EventsAtATime) yield return (next, next + EventsAtATime);
    }

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
