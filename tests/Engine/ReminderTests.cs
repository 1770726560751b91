using System.Globalization;
using Microsoft.Extensions.DependencyInjection;

namespace DarkStorage.Engine.Tests;

public interface IReminderGrain : IGrainWithStringKey
{
    Task Remind(string name, TimeSpan due, TimeSpan period);

    Task Forget(string name);

    Task<List<string>> Names();

    Task<string?> Find(string name);

    Task FailTicks();
}

[GrainType("remembering")]
public sealed class ReminderGrain : Grain, IReminderGrain, IRemindable
{
    private bool _fails;

    private string Key => this.GetPrimaryKeyString();

    public Task Remind(string name, TimeSpan due, TimeSpan period) => this.RegisterOrUpdateReminder(name, due, period);

    public async Task Forget(string name) => await this.UnregisterReminder((await this.GetReminder(name))!);

    public async Task<List<string>> Names() => [.. (await this.GetReminders()).Select(r => r.ReminderName).Order()];

    public async Task<string?> Find(string name) => (await this.GetReminder(name))?.ReminderName;

    public Task FailTicks()
    {
        _fails = true;
        return Task.CompletedTask;
    }

    public Task ReceiveReminder(string reminderName, TickStatus status)
    {
        Journal.Add(Key, reminderName);
        Journal.Add(Key, $"{reminderName} every {status.Period}");
        return _fails ? Task.FromException(new InvalidOperationException("this tick fails")) : Task.CompletedTask;
    }
}

public interface IForgetfulGrain : IGrainWithStringKey
{
    Task Remind();
}

public sealed class ForgetfulGrain : Grain, IForgetfulGrain
{
    public Task Remind() => this.RegisterOrUpdateReminder("x", TimeSpan.FromHours(1), TimeSpan.FromHours(1));
}

/// <summary>A table that outlives hosts, as the one in the node's index does.</summary>
public sealed class KeptReminderTable : IReminderTable
{
    private readonly Dictionary<(GrainId, string), ReminderEntry> _rows = [];
    private int _lastTag;

    private int _failures;

    public int Count
    {
        get
        {
            lock (_rows) return _rows.Count;
        }
    }

    /// <summary>So many of the next readings of ranges fail.</summary>
    public int Failures
    {
        get => Volatile.Read(ref _failures);
        set => Volatile.Write(ref _failures, value);
    }

    public Task<ReminderTableData> ReadRows(GrainId grainId) => Rows(entry => entry.GrainId == grainId);

    public Task<ReminderTableData> ReadRows(uint begin, uint end) => Interlocked.Decrement(ref _failures) >= 0 ? Task.FromException<ReminderTableData>(new IOException("The table is away.")) : Rows(entry =>
    {
        var hash = entry.GrainId.GetUniformHashCode();
        return begin < end ? begin < hash && hash <= end : begin < hash || hash <= end;
    });

    public Task<ReminderEntry> ReadRow(GrainId grainId, string reminderName)
    {
        lock (_rows) return Task.FromResult(_rows.TryGetValue((grainId, reminderName), out var row) ? Copy(row) : null!);
    }

    public Task<string> UpsertRow(ReminderEntry entry)
    {
        lock (_rows)
        {
            var row = Copy(entry);
            row.ETag = (++_lastTag).ToString(CultureInfo.InvariantCulture);
            _rows[(entry.GrainId, entry.ReminderName)] = row;
            return Task.FromResult(row.ETag);
        }
    }

    public Task<bool> RemoveRow(GrainId grainId, string reminderName, string eTag)
    {
        lock (_rows)
        {
            return Task.FromResult(_rows.TryGetValue((grainId, reminderName), out var row) && row.ETag == eTag
                && _rows.Remove((grainId, reminderName)));
        }
    }

    public Task TestOnlyClearTable()
    {
        lock (_rows) _rows.Clear();
        return Task.CompletedTask;
    }

    private Task<ReminderTableData> Rows(Func<ReminderEntry, bool> wanted)
    {
        lock (_rows) return Task.FromResult(new ReminderTableData(_rows.Values.Where(wanted).Select(Copy)));
    }

    private static ReminderEntry Copy(ReminderEntry row) => new()
    {
        GrainId = row.GrainId,
        ReminderName = row.ReminderName,
        StartAt = row.StartAt,
        Period = row.Period,
        ETag = row.ETag,
    };
}

public sealed class ReminderTests
{
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(100);

    [Fact]
    public async Task A_reminder_ticks_and_tells_its_period()
    {
        await using var cluster = await StartAsync();
        var key = Guid.NewGuid().ToString();
        await cluster.Grain<IReminderGrain>(key).Remind("backup", TimeSpan.Zero, Soon);
        await Journal.Of(key).Count("backup", 3);
        Assert.Contains($"backup every {Soon}", Journal.Of(key).Now);
    }

    [Fact]
    public async Task A_reminder_wakes_a_grain_that_was_deactivated()
    {
        await using var cluster = await StartAsync();
        var key = Guid.NewGuid().ToString();
        await cluster.Grain<IReminderGrain>(key).Remind("backup", TimeSpan.Zero, Soon);
        await cluster.CollectAsync();
        await Journal.Of(key).Count("backup", 2);
    }

    [Fact]
    public async Task A_reminder_survives_the_host()
    {
        var table = new KeptReminderTable();
        var key = Guid.NewGuid().ToString();
        await using (var first = await StartAsync(table))
        {
            await first.Grain<IReminderGrain>(key).Remind("backup", TimeSpan.FromHours(1), Soon);
            await first.Grain<IReminderGrain>(key).Remind("backup", Soon, Soon);
        }

        Assert.Equal(1, table.Count);
        var before = Journal.Of(key).Now.Count(entry => entry == "backup");
        await using var second = await StartAsync(table);
        await Journal.Of(key).Count("backup", before + 2);
        Assert.Equal(["backup"], await second.Grain<IReminderGrain>(key).Names());
    }

    [Fact]
    public async Task A_reminder_that_is_unregistered_is_gone_from_the_table_and_ticks_no_more()
    {
        var table = new KeptReminderTable();
        await using var cluster = await StartAsync(table);
        var (key, other) = (Guid.NewGuid().ToString(), Guid.NewGuid().ToString());
        var grain = cluster.Grain<IReminderGrain>(key);
        await grain.Remind("backup", TimeSpan.Zero, Soon);
        await Journal.Of(key).Count("backup", 1);
        await grain.Forget("backup");
        Assert.Equal(0, table.Count);
        var ticks = Journal.Of(key).Now.Length;
        await cluster.Grain<IReminderGrain>(other).Remind("other", TimeSpan.Zero, Soon);
        await Journal.Of(other).Count("other", 4);
        Assert.InRange(Journal.Of(key).Now.Length, ticks, ticks + 2);   // one tick may have been on its way
    }

    [Fact]
    public async Task Reminders_are_found_by_name_and_listed()
    {
        await using var cluster = await StartAsync();
        var grain = cluster.Grain<IReminderGrain>();
        await grain.Remind("b", TimeSpan.FromHours(1), TimeSpan.FromHours(1));
        await grain.Remind("a", TimeSpan.FromHours(1), TimeSpan.FromHours(1));
        Assert.Equal(["a", "b"], await grain.Names());
        Assert.Equal("a", await grain.Find("a"));
        Assert.Null(await grain.Find("c"));
    }

    [Fact]
    public async Task A_tick_that_throws_does_not_end_the_reminder()
    {
        await using var cluster = await StartAsync();
        var key = Guid.NewGuid().ToString();
        var grain = cluster.Grain<IReminderGrain>(key);
        await grain.FailTicks();
        await grain.Remind("backup", TimeSpan.Zero, Soon);
        await Journal.Of(key).Count("backup", 3);
    }

    [Fact]
    public async Task A_period_below_the_minimum_is_refused()
    {
        await using var cluster = await Cluster.StartAsync();
        var error = await Assert.ThrowsAsync<ArgumentException>(() =>
            cluster.Grain<IReminderGrain>().Remind("hasty", TimeSpan.Zero, TimeSpan.FromSeconds(1)));
        Assert.Contains("hasty", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_grain_that_cannot_be_reminded_is_refused()
    {
        await using var cluster = await StartAsync();
        await Assert.ThrowsAnyAsync<Exception>(() => cluster.Grain<IForgetfulGrain>().Remind());
    }

#if EMBEDDED_ENGINE
    [Fact]
    public async Task Reminders_that_are_gone_take_no_memory_until_they_would_have_been_due()
    {
        await using var cluster = await StartAsync();
        var silo = cluster.Services.GetRequiredService<DarkStorage.Engine.SiloHost>().Current;
        for (var i = 0; i < 500; i++)
        {
            var grain = cluster.Grain<IReminderGrain>();
            await grain.Remind("expire", TimeSpan.FromDays(7), TimeSpan.FromDays(1));
            await grain.Forget("expire");
        }

        Assert.InRange(silo.Reminders.TimesKept, 0, 200);
        // And of one that lives nothing is lost by it.
        var key = Guid.NewGuid().ToString();
        await cluster.Grain<IReminderGrain>(key).Remind("backup", Soon, Soon);
        await Journal.Of(key).Count("backup", 3);
    }
#endif

    private static Task<Cluster> StartAsync(IReminderTable? table = null) => Cluster.StartAsync(silo =>
    {
        silo.Configure<ReminderOptions>(options => options.MinimumReminderPeriod = TimeSpan.FromMilliseconds(10));
        if (table is not null) silo.Services.AddSingleton(table);
    });
}
