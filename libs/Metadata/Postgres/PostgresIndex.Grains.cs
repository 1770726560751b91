using DarkStorage.GrainInterfaces;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

public sealed partial class PostgresIndex
{
    private const string ReminderColumns = "grain, hash, name, start, period, etag";

    public ValueTask<GrainStateRecord?> ReadGrainStateAsync(string stateName, string grain, CancellationToken ct) =>
        ReadFirstAsync("SELECT state, etag FROM grain_state WHERE name = $1 AND grain = $2", p => p.Text(stateName).Text(grain),
            static row => new GrainStateRecord([.. row.GetFieldValue<byte[]>(0)], ETagColumn.Text(row.GetInt64(1))), ct);

    public async ValueTask<IReadOnlyList<string>> ListGrainStatesAsync(string stateName, string after, int max, CancellationToken ct) =>
        await ReadRowsAsync("SELECT grain FROM grain_state WHERE name = $1 AND grain > $2 ORDER BY grain LIMIT $3", p => p.Text(stateName).Text(after).Long(max), static row => row.GetString(0), ct);

    public async Task<string?> WriteGrainStateAsync(string stateName, string grain, ReadOnlyMemory<byte> state, string? expectedETag, CancellationToken ct)
    {
        // In one statement each, so the etag is checked where it is changed.
        var next = ETagColumn.New();
        var isWritten = expectedETag is null
            ? await WriteAsync(LockOf(stateName, grain), """
                WITH made AS (INSERT INTO grain_state (name, grain, etag, state) VALUES ($1, $2, $4, $3) ON CONFLICT (name, grain) DO NOTHING RETURNING 1) SELECT EXISTS (SELECT FROM made)
                """, (p, _) => p.Text(stateName).Text(grain).Bytes(state).Long(next), static row => row.GetBoolean(0), ct)
            : await WriteAsync(LockOf(stateName, grain), """
                WITH changed AS (UPDATE grain_state SET etag = $4, state = $3 WHERE name = $1 AND grain = $2 AND etag = $5 RETURNING 1) SELECT EXISTS (SELECT FROM changed)
                """, (p, _) => p.Text(stateName).Text(grain).Bytes(state).Long(next).Long(ETagColumn.Parse(expectedETag)), static row => row.GetBoolean(0), ct);
        return isWritten ? ETagColumn.Text(next) : null;
    }

    public async Task<bool> ClearGrainStateAsync(string stateName, string grain, string? expectedETag, CancellationToken ct)
    {
        if (expectedETag is null) return await ReadGrainStateAsync(stateName, grain, ct) is null;
        return await WriteCountedAsync(stateName, grain, "DELETE FROM grain_state WHERE name = $1 AND grain = $2 AND etag = $3",
            p => p.Text(stateName).Text(grain).Long(ETagColumn.Parse(expectedETag)), ct) > 0;
    }

    public async ValueTask<IReadOnlyList<ReminderRecord>> ReadRemindersAsync(string grain, CancellationToken ct) =>
        await ReadRowsAsync($"SELECT {ReminderColumns} FROM reminders WHERE grain = $1", p => p.Text(grain), ReadReminder, ct);

    public async ValueTask<IReadOnlyList<ReminderRecord>> ReadRemindersAsync(uint begin, uint end, CancellationToken ct) =>
        await ReadRowsAsync(begin < end
            ? $"SELECT {ReminderColumns} FROM reminders WHERE hash > $1 AND hash <= $2"
            : $"SELECT {ReminderColumns} FROM reminders WHERE hash > $1 UNION ALL SELECT {ReminderColumns} FROM reminders WHERE hash <= $2 AND hash <= $1",
            p => p.Long(begin).Long(end), ReadReminder, ct);

    public Task<string> SaveReminderAsync(ReminderRecord reminder, CancellationToken ct)
    {
        var next = ETagColumn.New();
        return WriteAsync(LockOf("reminder", reminder.Grain), """
            INSERT INTO reminders (grain, name, hash, start, period, etag) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (grain, name) DO UPDATE SET hash = excluded.hash, start = excluded.start, period = excluded.period, etag = excluded.etag RETURNING etag
            """,
            (p, _) => p.Text(reminder.Grain).Text(reminder.Name).Long(reminder.GrainHash).Long(reminder.Start.Ticks).Long(reminder.Period.Ticks).Long(next),
            static row => ETagColumn.Text(row.GetInt64(0)), ct);
    }

    public async Task<bool> DeleteReminderAsync(string grain, string name, string etag, CancellationToken ct) =>
        await WriteCountedAsync("reminder", grain, "DELETE FROM reminders WHERE grain = $1 AND name = $2 AND etag = $3", p => p.Text(grain).Text(name).Long(ETagColumn.Parse(etag)), ct) > 0;

    public Task ClearRemindersAsync(CancellationToken ct) => WriteCountedAsync("reminder", "", "DELETE FROM reminders", static _ => { }, ct);

    private static ReminderRecord ReadReminder(NpgsqlDataReader row) =>
        new(row.GetString(0), (uint)row.GetInt64(1), row.GetString(2), new DateTime(row.GetInt64(3), DateTimeKind.Utc), new TimeSpan(row.GetInt64(4)), ETagColumn.Text(row.GetInt64(5)));
}
