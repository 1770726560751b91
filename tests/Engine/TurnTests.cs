using System.Collections.Immutable;

namespace DarkStorage.Engine.Tests;

public interface ITurnGrain : IGrainWithStringKey
{
    Task<int> IncrementSlowly();

    Task<int> Append(int number);

    Task<ImmutableArray<int>> Numbers();

    Task<bool> ComesBackAfterAwait();

    Task Wait(string gate);

    Task<int> LeaveWorkBehind(string gate);
}

public sealed class TurnGrain : Grain, ITurnGrain
{
    private readonly List<int> _numbers = [];
    private int _count;

    public async Task<int> IncrementSlowly()
    {
        var before = _count;
        await Task.Yield();
        await Task.Run(() => Thread.SpinWait(50));
        return _count = before + 1;
    }

    public async Task<int> Append(int number)
    {
        await Task.Yield();
        _numbers.Add(number);
        return _numbers.Count;
    }

    public Task<ImmutableArray<int>> Numbers() => Task.FromResult(_numbers.ToImmutableArray());

    public async Task<bool> ComesBackAfterAwait()
    {
        var scheduler = TaskScheduler.Current;
        await Task.Yield();
        var afterYield = TaskScheduler.Current == scheduler;
        await Task.Run(() => Assert.Same(TaskScheduler.Default, TaskScheduler.Current));
        var afterRun = TaskScheduler.Current == scheduler;
        var started = await Task.Factory.StartNew(() => TaskScheduler.Current == scheduler, default, default, TaskScheduler.Current);
        return scheduler != TaskScheduler.Default && afterYield && afterRun && started;
    }

    public Task Wait(string gate) => Gate.Named(gate).PassAsync();

    // A task that outlives its call still runs in turns of the grain, so the plain field is safe.
    public Task<int> LeaveWorkBehind(string gate)
    {
        _ = Later();
        return Task.FromResult(_count);

        async Task Later()
        {
            await Gate.Named(gate).PassAsync();
            for (var i = 0; i < 100; i++)
            {
                var before = _count;
                Thread.SpinWait(100);
                _count = before + 1;
                await Task.Yield();
            }
        }
    }
}

public sealed class TurnTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    private readonly Cluster _cluster = fixture.Cluster;

    [Fact]
    public async Task Calls_of_many_callers_never_interleave()
    {
        var grain = _cluster.Grain<ITurnGrain>();
        var results = await Task.WhenAll(Enumerable.Range(0, 500).Select(_ => Task.Run(() => grain.IncrementSlowly())));
        Assert.Equal(Enumerable.Range(1, 500), results.Order());
    }

    [Fact]
    public async Task Calls_of_one_caller_run_in_the_order_in_which_they_were_made()
    {
        var grain = _cluster.Grain<ITurnGrain>();
        await Task.WhenAll(Enumerable.Range(0, 1000).Select(grain.Append));
        Assert.Equal(Enumerable.Range(0, 1000), await grain.Numbers());
    }

    [Fact]
    public async Task A_continuation_comes_back_to_the_scheduler_of_its_grain() =>
        Assert.True(await _cluster.Grain<ITurnGrain>().ComesBackAfterAwait());

    [Fact]
    public async Task A_grain_that_waits_holds_no_other_grain_up()
    {
        var gate = Gate.New();
        var waiting = _cluster.Grain<ITurnGrain>().Wait(gate.Name);
        await gate.Reached;
        Assert.Equal(1, await _cluster.Grain<ITurnGrain>().IncrementSlowly());
        Assert.False(waiting.IsCompleted);
        gate.Open();
        await waiting;
    }

    [Fact]
    public async Task A_call_waits_until_the_one_before_it_has_finished()
    {
        var grain = _cluster.Grain<ITurnGrain>();
        var gate = Gate.New();
        var first = grain.Wait(gate.Name);
        await gate.Reached;
        var second = grain.Append(1);
        await _cluster.Grain<ITurnGrain>().Append(1);   // time for a wrong engine to go on
        Assert.False(second.IsCompleted);
        gate.Open();
        await first;
        Assert.Equal(1, await second);
    }

    [Fact]
    public async Task Work_that_outlives_its_call_runs_in_turns_too()
    {
        var grain = _cluster.Grain<ITurnGrain>();
        var gate = Gate.New();
        await grain.LeaveWorkBehind(gate.Name);
        await gate.Reached;
        gate.Open();
        await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => grain.Append(0)));
        Assert.Equal(100, (await grain.Numbers()).Length);
    }

    [Fact]
    public async Task Ten_grains_that_call_each_other_all_finish()
    {
        var hops = await _cluster.Grain<IChainGrain>("0").Hop(10);
        Assert.Equal(10, hops);
    }
}

public interface IChainGrain : IGrainWithStringKey
{
    Task<int> Hop(int left);
}

public sealed class ChainGrain : Grain, IChainGrain
{
    public async Task<int> Hop(int left) =>
        left == 0 ? 0 : 1 + await GrainFactory.GetGrain<IChainGrain>($"{this.GetPrimaryKeyString()}.{left}").Hop(left - 1);
}
