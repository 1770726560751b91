#if EMBEDDED_ENGINE
using System.Diagnostics;
using DarkStorage.TestKit;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Configuration;

namespace DarkStorage.Engine.Tests;

/// <summary>
/// The embedded engine takes all its time from the host's TimeProvider, so these tests own the clock. Not for Orleans, whose membership
/// would see the jumps.
/// </summary>
public sealed class VirtualTimeTests
{
    private readonly ManualTime _time = new();

    [Fact]
    public async Task A_timer_ticks_when_its_time_has_come_and_not_before()
    {
        await using var cluster = await StartAsync();
        var key = Guid.NewGuid().ToString();
        await cluster.Grain<ITimerGrain>(key).Start(TimeSpan.FromMinutes(10), TimeSpan.FromMinutes(5));
        _time.Advance(TimeSpan.FromMinutes(9));
        await cluster.Grain<ITimerGrain>(key).Touch();
        Assert.Empty(Journal.Of(key).Now);
        _time.Advance(TimeSpan.FromMinutes(1));
        await Journal.Of(key).Count("tick", 1);
        await cluster.Grain<ITimerGrain>(key).Touch();   // the tick's turn is over, so the next one is set
        _time.Advance(TimeSpan.FromMinutes(5));
        await Journal.Of(key).Count("tick", 2);
    }

    [Fact]
    public async Task A_reminder_ticks_at_the_multiples_of_its_period_after_a_restart()
    {
        var table = new KeptReminderTable();
        var key = Guid.NewGuid().ToString();
        await using (var first = await StartAsync(table))
            await first.Grain<IReminderGrain>(key).Remind("nightly", TimeSpan.FromHours(1), TimeSpan.FromHours(24));

        _time.Advance(TimeSpan.FromHours(60));   // two ticks fell into the night that the host was down; they are not made up for
        await using var second = await StartAsync(table);
        _time.Advance(TimeSpan.FromHours(12));
        Assert.Empty(Journal.Of(key).Now);
        _time.Advance(TimeSpan.FromHours(1));
        await Journal.Of(key).Count("nightly", 1);
    }

    [Fact]
    public async Task An_idle_grain_is_collected_when_its_age_has_come_and_a_timer_does_not_keep_it()
    {
        await using var cluster = await StartAsync();
        var (idle, busy) = (Guid.NewGuid().ToString(), Guid.NewGuid().ToString());
        await cluster.Grain<ITimerGrain>(idle).Start(TimeSpan.FromSeconds(70), TimeSpan.FromSeconds(70));
        await cluster.Grain<ITimerGrain>(busy).Touch();
        for (var minute = 0; minute < 14; minute++)
        {
            _time.Advance(TimeSpan.FromMinutes(1));
            await cluster.Grain<ITimerGrain>(busy).Touch();
        }

        Assert.DoesNotContain("deactivated", Journal.Of(idle).Now);
        // A tick that is still at work when the collector looks puts the collection off to its next look: only the machine's own pace decides that. A thousand minutes may be over before it has looked again.
        for (var since = Stopwatch.StartNew(); since.Elapsed < Cluster.Patience && !Journal.Of(idle).Now.Contains("deactivated");)
        {
            await cluster.Grain<ITimerGrain>(busy).Touch();
            _time.Advance(TimeSpan.FromMinutes(1));
        }

        await Journal.Of(idle).Count("deactivated", 1);
        Assert.DoesNotContain("deactivated", Journal.Of(busy).Now);
    }

    [Fact]
    public async Task A_caller_waits_for_its_answer_as_long_as_the_options_say()
    {
        await using var cluster = await StartAsync();
        var gate = Gate.New();
        var call = cluster.Grain<ITurnGrain>().Wait(gate.Name);
        await gate.Reached;
        _time.Advance(TimeSpan.FromSeconds(29));
        Assert.False(call.IsCompleted);
        _time.Advance(TimeSpan.FromSeconds(2));
        await Assert.ThrowsAsync<TimeoutException>(() => call);
        gate.Open();
    }

    [Fact]
    public async Task A_queue_that_is_full_refuses_calls()
    {
        await using var cluster = await Cluster.StartAsync(silo =>
            silo.Configure<SiloMessagingOptions>(options => options.MaxEnqueuedRequestsHardLimit = 2));
        var (grain, gate) = (cluster.Grain<ITurnGrain>(), Gate.New());
        var running = grain.Wait(gate.Name);
        await gate.Reached;
        var waiting = new[] { grain.Append(1), grain.Append(2) };
        await Assert.ThrowsAsync<LimitExceededException>(() => grain.Append(3));
        gate.Open();
        await running;
        Assert.Equal(Enumerable.Range(1, 2), await Task.WhenAll(waiting));
    }

    [Fact]
    public async Task A_grain_that_ends_before_it_runs_a_call_does_not_send_calls_round_for_ever()
    {
        await using var cluster = await Cluster.StartAsync();
        await Assert.ThrowsAnyAsync<OrleansException>(() => cluster.Grain<IRestlessGrain>().Touch().WaitAsync(Cluster.Patience));
    }

    [Fact]
    public async Task An_enumeration_ends_with_its_activation()
    {
        var cluster = await Cluster.StartAsync();
        var gate = Gate.New();
        await using var watch = cluster.Grain<ICallGrain>().Watch(gate.Name).GetAsyncEnumerator();
        Assert.True(await watch.MoveNextAsync());
        var next = watch.MoveNextAsync().AsTask();
        await gate.Reached;
        await cluster.StopAsync().WaitAsync(Cluster.Patience);
        await Assert.ThrowsAnyAsync<Exception>(() => next);
        await Journal.Of(gate.Name).Count("ended", 1);
        await cluster.DisposeAsync();
    }

    private Task<Cluster> StartAsync(IReminderTable? table = null) => Cluster.StartAsync(silo =>
    {
        silo.Services.AddSingleton<TimeProvider>(_time);
        if (table is not null) silo.Services.AddSingleton(table);
    });
}

public interface IRestlessGrain : IGrainWithStringKey
{
    Task Touch();
}

public sealed class RestlessGrain : Grain, IRestlessGrain
{
    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        DeactivateOnIdle();
        return Task.CompletedTask;
    }

    public Task Touch() => Task.CompletedTask;
}
#endif
