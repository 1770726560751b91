using Orleans.Runtime;

namespace Orleans
{
    /// <summary>A grain that reminders can wake.</summary>
    public interface IRemindable : IGrain
    {
        Task ReceiveReminder(string reminderName, TickStatus status);
    }

    /// <summary>One row of the reminder table.</summary>
    public sealed class ReminderEntry
    {
        public GrainId GrainId { get; set; }

        public string ReminderName { get; set; } = "";

        /// <summary>The first tick, UTC.</summary>
        public DateTime StartAt { get; set; }

        public TimeSpan Period { get; set; }

        public string? ETag { get; set; }

        public override string ToString() => $"<{GrainId} {ReminderName} from {StartAt:O} every {Period}, etag {ETag}>";
    }

    public sealed class ReminderTableData
    {
        public ReminderTableData() : this([])
        {
        }

        public ReminderTableData(ReminderEntry entry) : this([entry])
        {
        }

        public ReminderTableData(IEnumerable<ReminderEntry> list) => Reminders = [.. list];

        public IList<ReminderEntry> Reminders { get; }

        public override string ToString() => $"[{Reminders.Count} reminders: {string.Join(", ", Reminders)}]";
    }

#nullable disable annotations // A table may then say of its results what it likes, and still fit Orleans' own interface.
    /// <summary>Where reminders are kept. A host registers its own in DI; what it keeps survives restarts.</summary>
    public interface IReminderTable
    {
        Task StartAsync(CancellationToken cancellationToken = default) => Task.CompletedTask;

        Task<ReminderTableData> ReadRows(GrainId grainId);

        /// <summary>The rows whose grains' uniform hash is in (<paramref name="begin"/>, <paramref name="end"/>], around zero if begin is not below end.</summary>
        Task<ReminderTableData> ReadRows(uint begin, uint end);

        /// <returns>Null when there is no such row.</returns>
        Task<ReminderEntry> ReadRow(GrainId grainId, string reminderName);

        /// <returns>The new etag.</returns>
        Task<string> UpsertRow(ReminderEntry entry);

        /// <returns>False when no row has that etag any more.</returns>
        Task<bool> RemoveRow(GrainId grainId, string reminderName, string eTag);

        Task TestOnlyClearTable();

        Task StopAsync(CancellationToken cancellationToken = default) => Task.CompletedTask;
    }
#nullable restore annotations

    /// <summary>A grain's own reminders. Each is durable before the task completes.</summary>
    public static class GrainReminderExtensions
    {
        /// <param name="dueTime">Time to the first tick.</param>
        /// <param name="period">From tick to tick, at least <see cref="Hosting.ReminderOptions.MinimumReminderPeriod"/>.</param>
        public static Task<IGrainReminder> RegisterOrUpdateReminder(this Grain grain, string reminderName, TimeSpan dueTime, TimeSpan period) =>
            ((IGrainBase)grain).RegisterOrUpdateReminder(reminderName, dueTime, period);

        public static Task<IGrainReminder> RegisterOrUpdateReminder(this IGrainBase grain, string reminderName, TimeSpan dueTime, TimeSpan period)
        {
            ArgumentException.ThrowIfNullOrWhiteSpace(reminderName);
            if (grain is not IRemindable)
                throw new InvalidOperationException($"Cannot register reminder {reminderName}: {grain.GetType()} is no IRemindable");
            return Service(grain).RegisterOrUpdate(grain.GrainContext.GrainId, reminderName, dueTime, period);
        }

        public static Task UnregisterReminder(this Grain grain, IGrainReminder reminder) => ((IGrainBase)grain).UnregisterReminder(reminder);

        public static Task UnregisterReminder(this IGrainBase grain, IGrainReminder reminder) => Service(grain).Unregister(reminder);

        /// <returns>Null when there is none of that name.</returns>
        public static Task<IGrainReminder?> GetReminder(this Grain grain, string reminderName) => ((IGrainBase)grain).GetReminder(reminderName);

        public static Task<IGrainReminder?> GetReminder(this IGrainBase grain, string reminderName)
        {
            ArgumentException.ThrowIfNullOrWhiteSpace(reminderName);
            return Service(grain).Get(grain.GrainContext.GrainId, reminderName);
        }

        public static Task<List<IGrainReminder>> GetReminders(this Grain grain) => ((IGrainBase)grain).GetReminders();

        public static Task<List<IGrainReminder>> GetReminders(this IGrainBase grain) => Service(grain).GetAll(grain.GrainContext.GrainId);

        private static DarkStorage.Engine.ReminderService Service(IGrainBase grain) =>
            ((DarkStorage.Engine.Activation)grain.GrainContext).Silo.Reminders;
    }
}

namespace Orleans.Runtime
{
    public interface IGrainReminder
    {
        string ReminderName { get; }
    }

    /// <summary>Which tick this is. Times are UTC.</summary>
    public readonly struct TickStatus
    {
        public TickStatus(DateTime firstTickTime, TimeSpan period, DateTime timeStamp)
        {
            FirstTickTime = firstTickTime;
            Period = period;
            CurrentTickTime = timeStamp;
        }

        public DateTime FirstTickTime { get; }

        public TimeSpan Period { get; }

        public DateTime CurrentTickTime { get; }

        public override string ToString() => $"<{FirstTickTime:O}, {Period}, {CurrentTickTime:O}>";
    }
}

namespace Orleans.Hosting
{
    public sealed class ReminderOptions
    {
        /// <summary>A shorter period is refused. Default 1 minute.</summary>
        public TimeSpan MinimumReminderPeriod { get; set; } = TimeSpan.FromMinutes(1);

        /// <summary>How often the table is read for what others changed. Default 5 minutes.</summary>
        public TimeSpan RefreshReminderListPeriod { get; set; } = TimeSpan.FromMinutes(5);
    }
}
