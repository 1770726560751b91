using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Metadata.Grains;

/// <summary>Reminders as rows of the object index.</summary>
public sealed class IndexReminderTable(IMetadataIndex index) : IReminderTable
{
    public Task StartAsync(CancellationToken cancellationToken = default) => Task.CompletedTask;

    public async Task<ReminderTableData> ReadRows(GrainId grainId) =>
        new((await index.ReadRemindersAsync(grainId.ToString(), CancellationToken.None)).Select(ToEntry));

    public async Task<ReminderTableData> ReadRows(uint begin, uint end) =>
        new((await index.ReadRemindersAsync(begin, end, CancellationToken.None)).Select(ToEntry));

    public async Task<ReminderEntry?> ReadRow(GrainId grainId, string reminderName)
    {
        var found = (await index.ReadRemindersAsync(grainId.ToString(), CancellationToken.None)).FirstOrDefault(r => r.Name == reminderName);
        return found is null ? null : ToEntry(found);
    }

    public async Task<string?> UpsertRow(ReminderEntry entry) =>
        entry.ETag = await index.SaveReminderAsync(
            new(entry.GrainId.ToString(), entry.GrainId.GetUniformHashCode(), entry.ReminderName, entry.StartAt.ToUniversalTime(), entry.Period, entry.ETag ?? ""), CancellationToken.None);

    public Task<bool> RemoveRow(GrainId grainId, string reminderName, string eTag) =>
        index.DeleteReminderAsync(grainId.ToString(), reminderName, eTag, CancellationToken.None);

    public Task TestOnlyClearTable() => index.ClearRemindersAsync(CancellationToken.None);

    private static ReminderEntry ToEntry(ReminderRecord record) => new()
    {
        GrainId = GrainId.Parse(record.Grain),
        ReminderName = record.Name,
        StartAt = record.Start,
        Period = record.Period,
        ETag = record.ETag,
    };
}
