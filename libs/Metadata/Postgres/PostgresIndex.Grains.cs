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
        var etag = expectedETag is null
            ? await WriteAsync(LockOf(stateName, grain), """
                WITH made AS (INSERT INTO grain_state (name, grain, etag, state) VALUES ($1, $2, 1, $3) ON CONFLICT (name, grain) DO NOTHING RETURNING etag) SELECT max(etag) FROM made
                """, (p, _) => p.Text(stateName).Text(grain).Bytes(state), ETagOrNull, ct)
            : await WriteAsync(LockOf(stateName, grain), """
                WITH changed AS (UPDATE grain_state SET etag = etag + 1, state = $3 WHERE name = $1 AND grain = $2 AND etag = $4 RETURNING etag) SELECT max(etag) FROM changed
                """, (p, _) => p.Text(stateName).Text(grain).Bytes(state).Long(ETagColumn.Parse(expectedETag)), ETagOrNull, ct);
        return etag is { } next ? ETagColumn.Text(next) : null;

        static long? ETagOrNull(NpgsqlDataReader row) => row.IsDBNull(0) ? null : row.GetInt64(0);
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

    public Task<string> SaveReminderAsync(ReminderRecord reminder, CancellationToken ct) =>
        WriteAsync(LockOf("reminder", reminder.Grain), """
            INSERT INTO reminders AS r (grain, name, hash, start, period, etag) VALUES ($1, $2, $3, $4, $5, 1)
            ON CONFLICT (grain, name) DO UPDATE SET hash = excluded.hash, start = excluded.start, period = excluded.period, etag = r.etag + 1 RETURNING etag
            """,
            (p, _) => p.Text(reminder.Grain).Text(reminder.Name).Long(reminder.GrainHash).Long(reminder.Start.Ticks).Long(reminder.Period.Ticks), static row => ETagColumn.Text(row.GetInt64(0)), ct);

    public async Task<bool> DeleteReminderAsync(string grain, string name, string etag, CancellationToken ct) =>
        await WriteCountedAsync("reminder", grain, "DELETE FROM reminders WHERE grain = $1 AND name = $2 AND etag = $3", p => p.Text(grain).Text(name).Long(ETagColumn.Parse(etag)), ct) > 0;

    public Task ClearRemindersAsync(CancellationToken ct) => WriteCountedAsync("reminder", "", "DELETE FROM reminders", static _ => { }, ct);

    private static ReminderRecord ReadReminder(NpgsqlDataReader row) =>
        new(row.GetString(0), (uint)row.GetInt64(1), row.GetString(2), new DateTime(row.GetInt64(3), DateTimeKind.Utc), new TimeSpan(row.GetInt64(4)), ETagColumn.Text(row.GetInt64(5)));
}
