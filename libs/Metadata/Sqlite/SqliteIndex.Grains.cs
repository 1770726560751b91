namespace DarkStorage.Metadata.Sqlite;

public sealed partial class SqliteIndex
{
    public ValueTask<GrainStateRecord?> ReadGrainStateAsync(string stateName, string grain, CancellationToken ct) =>
        ReadAsync((stateName, grain), static (connection, q) =>
        {
            var query = connection.Prepare("SELECT state, etag FROM grain_state WHERE name = ?1 AND grain = ?2").BindText(1, q.stateName).BindText(2, q.grain);
            if (!query.Step()) return null;
            var record = new GrainStateRecord([.. query.Bytes(0)], ETagColumn.Text(query.Long(1)));
            query.Reset();
            return record;
        }, ct);

    public ValueTask<IReadOnlyList<string>> ListGrainStatesAsync(string stateName, string after, int max, CancellationToken ct) =>
        ReadAsync((stateName, after, max), static (connection, q) =>
        {
            var query = connection.Prepare("SELECT grain FROM grain_state WHERE name = ?1 AND grain > ?2 ORDER BY grain LIMIT ?3").BindText(1, q.stateName).BindText(2, q.after).Bind(3, q.max);
            var grains = new List<string>();
            while (query.Step()) grains.Add(query.Text(0));
            return (IReadOnlyList<string>)grains;
        }, ct);

    public Task<string?> WriteGrainStateAsync(string stateName, string grain, ReadOnlyMemory<byte> state, string? expectedETag, CancellationToken ct) =>
        _writer.WriteAsync(session =>
        {
            if (ReadETag(session, stateName, grain) != ETagColumn.Parse(expectedETag)) return null;
            var next = ETagColumn.New();
            session.Connection.Prepare("INSERT OR REPLACE INTO grain_state (name, grain, etag, state) VALUES (?1, ?2, ?3, ?4)")
                .BindText(1, stateName).BindText(2, grain).Bind(3, next).Bind(4, state.Span).Run();
            return ETagColumn.Text(next);
        }, ct);

    public Task<bool> ClearGrainStateAsync(string stateName, string grain, string? expectedETag, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            if (ReadETag(session, stateName, grain) != ETagColumn.Parse(expectedETag)) return false;
            session.Connection.Prepare("DELETE FROM grain_state WHERE name = ?1 AND grain = ?2").BindText(1, stateName).BindText(2, grain).Run();
            return true;
        }, ct);

    public ValueTask<IReadOnlyList<ReminderRecord>> ReadRemindersAsync(string grain, CancellationToken ct) =>
        ReadAsync(grain, static (connection, grain) =>
            ReadReminders(connection.Prepare("SELECT grain, hash, name, start, period, etag FROM reminders WHERE grain = ?1").BindText(1, grain)), ct);

    public ValueTask<IReadOnlyList<ReminderRecord>> ReadRemindersAsync(uint begin, uint end, CancellationToken ct) =>
        ReadAsync((begin, end), static (connection, q) =>
            ReadReminders(connection.Prepare(q.begin < q.end
                ? "SELECT grain, hash, name, start, period, etag FROM reminders WHERE hash > ?1 AND hash <= ?2"
                : "SELECT grain, hash, name, start, period, etag FROM reminders WHERE hash > ?1 OR hash <= ?2").Bind(1, q.begin).Bind(2, q.end)), ct);

    public Task<string> SaveReminderAsync(ReminderRecord reminder, CancellationToken ct) =>
        _writer.WriteAsync(session =>
        {
            var next = ETagColumn.New();
            session.Connection.Prepare("INSERT OR REPLACE INTO reminders (grain, name, hash, start, period, etag) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
                .BindText(1, reminder.Grain).BindText(2, reminder.Name).Bind(3, reminder.GrainHash)
                .Bind(4, reminder.Start.Ticks).Bind(5, reminder.Period.Ticks).Bind(6, next).Run();
            return ETagColumn.Text(next);
        }, ct);

    public Task<bool> DeleteReminderAsync(string grain, string name, string etag, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            session.Connection.Prepare("DELETE FROM reminders WHERE grain = ?1 AND name = ?2 AND etag = ?3")
                .BindText(1, grain).BindText(2, name).Bind(3, ETagColumn.Parse(etag) ?? -1).Run();
            return session.Connection.Changes > 0;
        }, ct);

    public Task ClearRemindersAsync(CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            session.Connection.Execute("DELETE FROM reminders");
            return true;
        }, ct);

    private static IReadOnlyList<ReminderRecord> ReadReminders(SqliteStatement query)
    {
        var reminders = new List<ReminderRecord>();
        while (query.Step())
        {
            reminders.Add(new(
                query.Text(0), (uint)query.Long(1), query.Text(2), new DateTime(query.Long(3), DateTimeKind.Utc), new TimeSpan(query.Long(4)), ETagColumn.Text(query.Long(5))));
        }
        return reminders;
    }

    private static long? ReadETag(WriteSession session, string stateName, string grain)
    {
        var query = session.Connection.Prepare("SELECT etag FROM grain_state WHERE name = ?1 AND grain = ?2").BindText(1, stateName).BindText(2, grain);
        if (!query.Step()) return null;
        var etag = query.Long(0);
        query.Reset();
        return etag;
    }
}
