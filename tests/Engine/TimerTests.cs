namespace DarkStorage.Engine.Tests;

public interface ITimerGrain : IGrainWithStringKey
{
    Task Start(TimeSpan due, TimeSpan period, bool interleave = false);

    Task StartWaiting(string gate, TimeSpan period, bool interleave);

    Task StartFailing(TimeSpan period);

    Task Change(TimeSpan due, TimeSpan period);

    Task Stop();

    Task Hold(string gate);

    Task Touch();

    Task End();
}

public sealed class TimerGrain : Grain, ITimerGrain
{
    private IGrainTimer? _timer;
    private int _ticks;

    private string Key => this.GetPrimaryKeyString();

    public Task Start(TimeSpan due, TimeSpan period, bool interleave)
    {
        _timer = this.RegisterGrainTimer(
            static (self, ct) =>
            {
                Journal.Add(self.Key, "tick");
                return Task.CompletedTask;
            },
            this,
            new GrainTimerCreationOptions(due, period) { Interleave = interleave });
        return Task.CompletedTask;
    }

    public Task StartWaiting(string gate, TimeSpan period, bool interleave)
    {
        _timer = this.RegisterGrainTimer(
            async ct =>
            {
                Journal.Add(Key, "begin");
                try
                {
                    await Gate.Named(gate).PassAsync(ct);
                }
                catch (OperationCanceledException)
                {
                    Journal.Add(Key, "cancelled");
                    throw;
                }

                Journal.Add(Key, "end");
            },
            new GrainTimerCreationOptions(TimeSpan.Zero, period) { Interleave = interleave });
        return Task.CompletedTask;
    }

    public Task StartFailing(TimeSpan period)
    {
        _timer = this.RegisterGrainTimer(
            () =>
            {
                Journal.Add(Key, "tick");
                throw new InvalidOperationException($"tick {++_ticks} fails");
            },
            TimeSpan.Zero,
            period);
        return Task.CompletedTask;
    }

    public Task Change(TimeSpan due, TimeSpan period)
    {
        _timer!.Change(due, period);
        return Task.CompletedTask;
    }

    public Task Stop()
    {
        _timer!.Dispose();
        Journal.Add(Key, "stopped");
        return Task.CompletedTask;
    }

    public Task Hold(string gate) => Gate.Named(gate).PassAsync();

    public Task Touch() => Task.CompletedTask;

    public Task End()
    {
        DeactivateOnIdle();
        return Task.CompletedTask;
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        Journal.Add(Key, "deactivated");
        return Task.CompletedTask;
    }
}

public sealed class TimerTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    private static readonly TimeSpan Soon = TimeSpan.FromMilliseconds(20);

    private readonly Cluster _cluster = fixture.Cluster;

    [Fact]
    public async Task A_timer_ticks_again_and_again()
    {
        var key = Guid.NewGuid().ToString();
        await _cluster.Grain<ITimerGrain>(key).Start(TimeSpan.Zero, Soon);
        await Journal.Of(key).Count("tick", 5);
    }

    [Fact]
    public async Task A_timer_without_a_period_ticks_once_and_again_after_a_change()
    {
        var key = Guid.NewGuid().ToString();
        var grain = _cluster.Grain<ITimerGrain>(key);
        await grain.Start(TimeSpan.Zero, Timeout.InfiniteTimeSpan);
        await Journal.Of(key).Count("tick", 1);
        var other = Guid.NewGuid().ToString();
        await _cluster.Grain<ITimerGrain>(other).Start(TimeSpan.Zero, Soon);
        await Journal.Of(other).Count("tick", 5);   // meanwhile a second tick would have come
        Assert.Single(Journal.Of(key).Now);
        await grain.Change(TimeSpan.Zero, Soon);
        await Journal.Of(key).Count("tick", 3);
    }

    [Fact]
    public async Task A_timer_that_is_disposed_ticks_no_more()
    {
        var (key, other) = (Guid.NewGuid().ToString(), Guid.NewGuid().ToString());
        var grain = _cluster.Grain<ITimerGrain>(key);
        await grain.Start(TimeSpan.Zero, Soon);
        await Journal.Of(key).Count("tick", 2);
        await grain.Stop();
        await _cluster.Grain<ITimerGrain>(other).Start(TimeSpan.Zero, Soon);
        await Journal.Of(other).Count("tick", 5);
        Assert.Equal("stopped", Journal.Of(key).Now[^1]);
    }

    [Fact]
    public async Task A_tick_does_not_run_while_a_call_runs()
    {
        var key = Guid.NewGuid().ToString();
        var (grain, gate) = (_cluster.Grain<ITimerGrain>(key), Gate.New());
        await grain.Start(TimeSpan.FromDays(1), Soon);
        var call = grain.Hold(gate.Name);
        await gate.Reached;
        var change = grain.Change(TimeSpan.Zero, Soon);
        await TicksElsewhere();
        Assert.Empty(Journal.Of(key).Now);
        gate.Open();
        await Task.WhenAll(call, change);
        await Journal.Of(key).Count("tick", 2);
    }

    [Fact]
    public async Task An_interleaving_tick_runs_while_a_call_waits()
    {
        var key = Guid.NewGuid().ToString();
        var (grain, gate) = (_cluster.Grain<ITimerGrain>(key), Gate.New());
        await grain.Start(Soon, Soon, interleave: true);
        var call = grain.Hold(gate.Name);
        await gate.Reached;
        var seen = Journal.Of(key).Now.Length;
        await Journal.Of(key).Until(entries => entries.Count >= seen + 2);
        gate.Open();
        await call;
    }

    [Fact]
    public async Task A_call_waits_for_a_tick_that_runs_and_ticks_never_overlap()
    {
        var key = Guid.NewGuid().ToString();
        var (grain, gate) = (_cluster.Grain<ITimerGrain>(key), Gate.New());
        await grain.StartWaiting(gate.Name, Soon, interleave: false);
        await gate.Reached;
        var call = grain.Touch();
        await TicksElsewhere();
        Assert.False(call.IsCompleted);
        Assert.Equal(["begin"], Journal.Of(key).Now);
        gate.Open();
        await call;
        await Journal.Of(key).Count("end", 3);
        var entries = Journal.Of(key).Now;
        for (var i = 0; i + 1 < entries.Length; i += 2) Assert.Equal(("begin", "end"), (entries[i], entries[i + 1]));
    }

    [Fact]
    public async Task A_tick_that_throws_does_not_end_the_timer()
    {
        var key = Guid.NewGuid().ToString();
        await _cluster.Grain<ITimerGrain>(key).StartFailing(Soon);
        await Journal.Of(key).Count("tick", 3);
    }

    [Fact]
    public async Task A_timer_ends_with_its_activation()
    {
        var key = Guid.NewGuid().ToString();
        var grain = _cluster.Grain<ITimerGrain>(key);
        await grain.Start(TimeSpan.Zero, Soon);
        await Journal.Of(key).Count("tick", 2);
        await grain.End();
        await Journal.Of(key).Count("deactivated", 1);
        await TicksElsewhere();
        Assert.Equal("deactivated", Journal.Of(key).Now[^1]);
    }

    [Fact]
    public async Task The_token_of_a_tick_is_cancelled_when_its_timer_is_disposed()
    {
        var key = Guid.NewGuid().ToString();
        var (grain, gate) = (_cluster.Grain<ITimerGrain>(key), Gate.New());
        await grain.StartWaiting(gate.Name, Soon, interleave: true);
        await gate.Reached;
        await grain.Stop();
        await Journal.Of(key).Count("cancelled", 1);
    }

    [Fact]
    public async Task A_negative_period_is_refused() =>
        await Assert.ThrowsAnyAsync<ArgumentException>(() => _cluster.Grain<ITimerGrain>().Start(TimeSpan.Zero, TimeSpan.FromSeconds(-5)));

    /// <summary>Lets the time of a few ticks pass, by the ticks of another grain's timer.</summary>
    private async Task TicksElsewhere()
    {
        var key = Guid.NewGuid().ToString();
        var grain = _cluster.Grain<ITimerGrain>(key);
        await grain.Start(TimeSpan.Zero, Soon);
        await Journal.Of(key).Count("tick", 5);
        await grain.Stop();
    }
}
