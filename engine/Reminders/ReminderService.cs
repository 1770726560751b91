using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Hosting;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>
/// Wakes grains by the rows of the reminder table. Ticks that fell into a time when the silo was down are not made up for: the next
/// is at the next multiple of the period. One timer serves all reminders; a reminder whose tick still runs is not due again.
/// </summary>
internal sealed class ReminderService(Silo silo) : IDisposable
{
    /// <summary>Entries of reminders that are gone and lie in the queue until they are due: more than those of the living, and these, are taken out.</summary>
    private const int GoneMax = 64;

    private static readonly TimeSpan RefreshAgain = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly Dictionary<(GrainId Grain, string Name), Reminder> _reminders = [];
    private readonly PriorityQueue<Reminder, long> _due = new();   // by UTC ticks; entries of reminders changed since are skipped
    private IReminderTable? _table;
    private ReminderOptions _options = new();
    private ITimer? _wake, _refresh;
    private bool _isStopped;
    private long _refreshes, _newest;   // begun, and the last of those that have read
    private int _turns;

    private DateTime Now => silo.Clock.GetUtcNow().UtcDateTime;

    private IReminderTable Table => _table
        ?? throw new OrleansConfigurationException("No reminder table: call AddReminders and register an IReminderTable, or UseInMemoryReminderService");

    public async Task StartAsync(CancellationToken ct)
    {
        _table = silo.Services.GetService<IReminderTable>();
        if (_table is null) return;
        _options = silo.Services.GetRequiredService<IOptions<ReminderOptions>>().Value;
        await _table.StartAsync(ct);
        _wake = silo.Clock.CreateTimer(static self => ((ReminderService)self!).TickDue(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        if (silo.Cluster is { } cluster) await cluster.SeenByAllAsync();
        await RefreshAsync();
        var period = _options.RefreshReminderListPeriod;
        _refresh = silo.Clock.CreateTimer(static self => _ = ((ReminderService)self!).RefreshQuietlyAsync(), this, period, period);
    }

    public async Task StopAsync(CancellationToken ct)
    {
        Dispose();
        if (_table is not null) await _table.StopAsync(ct);
    }

    /// <summary>Times that are kept, of reminders that are gone too.</summary>
    public int TimesKept
    {
        get
        {
            lock (_gate) return _due.Count;
        }
    }

    /// <summary>Whether a reminder of this grain is woken by this silo.</summary>
    public bool Ticks(GrainId grain)
    {
        lock (_gate) return !_isStopped && IsMine(grain) && _reminders.Keys.Any(key => key.Grain == grain);
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _isStopped = true;
            _wake?.Dispose();
            _refresh?.Dispose();
        }
    }

    public async Task<IGrainReminder> RegisterOrUpdate(GrainId grain, string name, TimeSpan dueTime, TimeSpan period)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(dueTime, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(period, TimeSpan.Zero);
        if (period < _options.MinimumReminderPeriod)
        {
            throw new ArgumentException(
                $"Cannot register reminder {name}: its period {period} is below the minimum of {_options.MinimumReminderPeriod}", nameof(period));
        }

        var entry = new ReminderEntry { GrainId = grain, ReminderName = name, StartAt = Now + dueTime, Period = period };
        entry.ETag = await Table.UpsertRow(entry)
            ?? throw new ReminderException($"The table did not take reminder {name} of {grain}: it was changed meanwhile");
        lock (_gate)
            if (IsMine(grain)) Schedule(entry);
        await TellOwnerAsync(grain);
        return new Handle(grain, name, entry.ETag);
    }

    public async Task Unregister(IGrainReminder reminder)
    {
        if (reminder is not Handle handle) throw new ArgumentException("Not a reminder of this silo", nameof(reminder));
        if (!await Table.RemoveRow(handle.Grain, handle.ReminderName, handle.ETag))
            throw new ReminderException($"Reminder {handle.ReminderName} of {handle.Grain} was changed or removed meanwhile");
        lock (_gate)
        {
            _reminders.Remove((handle.Grain, handle.ReminderName));
            Prune();
        }

        await TellOwnerAsync(handle.Grain);
    }

    public async Task<IGrainReminder?> Get(GrainId grain, string name) =>
        await Table.ReadRow(grain, name) is { } entry ? new Handle(entry.GrainId, entry.ReminderName, entry.ETag!) : null;

    public async Task<List<IGrainReminder>> GetAll(GrainId grain) =>
        [.. (await Table.ReadRows(grain)).Reminders.Select(entry => new Handle(entry.GrainId, entry.ReminderName, entry.ETag!))];

    /// <summary>The rows of one grain were changed on another silo.</summary>
    public async Task ReadAsync(GrainId grain)
    {
        if (_table is null) return;
        var rows = (await Table.ReadRows(grain)).Reminders;
        lock (_gate)
        {
            if (!IsMine(grain)) return;
            foreach (var gone in _reminders.Keys.Where(key => key.Grain == grain && !rows.Any(row => row.ReminderName == key.Name)).ToArray())
                _reminders.Remove(gone);
            foreach (var entry in rows)
                if (_reminders.GetValueOrDefault((grain, entry.ReminderName))?.Entry.ETag != entry.ETag) Schedule(entry);
            Prune();
        }
    }

    /// <summary>
    /// Reminders follow the homes of their grains. What is not this silo's any more stops at once, by the view; what has become this
    /// silo's starts when every live silo has seen the view, and so has stopped.
    /// </summary>
    public async Task OnMembersChangedAsync(ClusterView view)
    {
        if (_wake is null || silo.Cluster is not { } cluster) return;
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);   // off the thread that renews the lease
        await cluster.SeenByAllAsync();
        if (silo.Membership.View == view) await RefreshQuietlyAsync();
    }

    private bool IsMine(GrainId grain) => silo.Cluster is not { } cluster || cluster.IsHome(grain);

    private async Task TellOwnerAsync(GrainId grain)
    {
        if (IsMine(grain) || silo.Cluster is not { } cluster || cluster.View.HomeOf(grain) is not { } owner) return;
        try
        {
            await cluster.Control(owner).ReadReminders(grain);
        }
        catch (Exception error) when (error is OrleansException or TimeoutException)
        {
            // The row is there: the owner finds it when it next reads the table.
            silo.Log.ReminderRefreshFailed(error);
        }
    }

    /// <summary>Until it has been read, or a later refresh sees to that.</summary>
    private async Task RefreshQuietlyAsync()
    {
        var turn = Interlocked.Increment(ref _turns);
        for (var isSaid = false; !_isStopped && turn == Volatile.Read(ref _turns); await Task.Delay(RefreshAgain, silo.Clock))
        {
            try
            {
                await RefreshAsync();
                return;
            }
            catch (Exception error)
            {
                // The table may be away for a while; what is known keeps ticking.
                if (!isSaid) silo.Log.ReminderRefreshFailed(error);
                isSaid = true;
            }
        }
    }

    private async Task RefreshAsync()
    {
        HashSet<Reminder> before;
        long refresh;
        lock (_gate)
        {
            before = [.. _reminders.Values];
            refresh = ++_refreshes;
        }

        var rows = new List<ReminderEntry>();
        var ranges = silo.Cluster is null ? [(0u, 0u)] : silo.Membership.View.RangesOf(silo.Address);
        foreach (var (begin, end) in ranges) rows.AddRange((await Table.ReadRows(begin, end)).Reminders);
        lock (_gate)
        {
            if (refresh < _newest) return;   // a later one has read what is later
            _newest = refresh;
            var found = new HashSet<(GrainId, string)>();
            foreach (var entry in rows)
            {
                found.Add((entry.GrainId, entry.ReminderName));
                var known = _reminders.GetValueOrDefault((entry.GrainId, entry.ReminderName));
                if (known?.Entry.ETag == entry.ETag) continue;
                if (known is not null && !before.Contains(known)) continue;   // registered since the rows were read
                Schedule(entry);
            }

            foreach (var gone in before)
                if (!found.Contains(gone.Key) && _reminders.GetValueOrDefault(gone.Key) == gone) _reminders.Remove(gone.Key);
            Prune();
        }
    }

    private void Schedule(ReminderEntry entry)
    {
        var reminder = new Reminder(entry);
        _reminders[reminder.Key] = reminder;
        SetNext(reminder);
        Prune();
    }

    /// <summary>A reminder that is gone may not have been due for days: every multipart upload that was completed leaves one.</summary>
    private void Prune()
    {
        if (_due.Count <= (2 * _reminders.Count) + GoneMax) return;
        var living = _due.UnorderedItems.Where(item => IsCurrent(item.Element)).ToArray();
        _due.Clear();
        _due.TrimExcess();
        _due.EnqueueRange(living);
    }

    private void SetNext(Reminder reminder)
    {
        var (now, start, period) = (Now, reminder.Entry.StartAt, reminder.Entry.Period);
        var next = start > now ? start
            : period <= TimeSpan.Zero ? now
            : start + (period * (Math.Floor((now - start) / period) + 1));
        _due.Enqueue(reminder, next.Ticks);
        SetTimer();
    }

    private void SetTimer()
    {
        if (_isStopped || !_due.TryPeek(out _, out var ticks)) return;
        var wait = new TimeSpan(Math.Max(0, ticks - Now.Ticks));
        var longest = TimeSpan.FromDays(1);   // a timer cannot wait for years
        _wake!.Change(wait < longest ? wait : longest, Timeout.InfiniteTimeSpan);
    }

    private void TickDue()
    {
        lock (_gate)
        {
            var now = Now.Ticks;
            while (!_isStopped && _due.TryPeek(out var reminder, out var ticks) && ticks <= now)
            {
                _due.Dequeue();
                if (!IsCurrent(reminder)) continue;
                if (IsMine(reminder.Key.Grain)) _ = TickAsync(reminder);
                else _reminders.Remove(reminder.Key);   // if it comes back to this silo, the table has it
            }

            SetTimer();
        }
    }

    private async Task TickAsync(Reminder reminder)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);   // out of the lock
        var entry = reminder.Entry;
        try
        {
            var grain = (IRemindable)silo.References.Create(typeof(IRemindable), entry.GrainId);
            await grain.ReceiveReminder(entry.ReminderName, new(entry.StartAt, entry.Period, Now));
        }
        catch (Exception error)
        {
            // The next tick tries again.
            silo.Log.ReminderFailed(error, entry.ReminderName, entry.GrainId);
        }

        lock (_gate)
        {
            if (!IsCurrent(reminder)) return;
            if (IsMine(reminder.Key.Grain)) SetNext(reminder);
            else _reminders.Remove(reminder.Key);
        }
    }

    private bool IsCurrent(Reminder reminder) => !_isStopped && _reminders.GetValueOrDefault(reminder.Key) == reminder;

    private sealed class Reminder(ReminderEntry entry)
    {
        public ReminderEntry Entry => entry;

        public (GrainId Grain, string Name) Key { get; } = (entry.GrainId, entry.ReminderName);
    }

    private sealed record Handle(GrainId Grain, string ReminderName, string ETag) : IGrainReminder;
}
