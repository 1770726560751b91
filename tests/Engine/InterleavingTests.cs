using Orleans.Configuration;
using Orleans.Serialization.Invocation;

namespace DarkStorage.Engine.Tests;

public interface IPlainGrain : IGrainWithStringKey
{
    Task Wait(string gate);

    [AlwaysInterleave]
    Task Interleave();

    [ReadOnly]
    Task Read(string gate);

    Task Touch();

    /// <summary>Calls a grain which calls back.</summary>
    Task<string> CallAround(string other, bool allowed);
}

public interface IReentrantGrain : IGrainWithStringKey
{
    Task Wait(string gate);

    Task Touch();

    Task<string> CallAround(string other, bool allowed);
}

public interface IPredicateGrain : IGrainWithStringKey
{
    Task Wait(string gate);

    Task Touch(string name);
}

public interface IBackCallGrain : IGrainWithStringKey
{
    Task<string> CallBack(IAddressable caller);
}

public sealed class PlainGrain : Grain, IPlainGrain
{
    public Task Wait(string gate) => Gate.Named(gate).PassAsync();

    public Task Interleave() => Task.CompletedTask;

    public Task Read(string gate) => Gate.Named(gate).PassAsync();

    public Task Touch() => Task.CompletedTask;

    public async Task<string> CallAround(string other, bool allowed)
    {
        using var section = allowed ? RequestContext.AllowCallChainReentrancy() : default(IDisposable);
        return await GrainFactory.GetGrain<IBackCallGrain>(other).CallBack(this.AsReference<IPlainGrain>());
    }
}

[Reentrant]
public sealed class ReentrantGrain : Grain, IReentrantGrain
{
    public Task Wait(string gate) => Gate.Named(gate).PassAsync();

    public Task Touch() => Task.CompletedTask;

    public async Task<string> CallAround(string other, bool allowed) =>
        await GrainFactory.GetGrain<IBackCallGrain>(other).CallBack(this.AsReference<IReentrantGrain>());
}

[MayInterleave(nameof(IsHarmless))]
public sealed class PredicateGrain : Grain, IPredicateGrain
{
    public static bool IsHarmless(IInvokable request) =>
        request.GetMethodName() == nameof(Touch) && (string?)request.GetArgument(0) == "harmless";

    public Task Wait(string gate) => Gate.Named(gate).PassAsync();

    public Task Touch(string name) => Task.CompletedTask;
}

public sealed class BackCallGrain : Grain, IBackCallGrain
{
    public async Task<string> CallBack(IAddressable caller)
    {
        if (caller is IReentrantGrain reentrant) await reentrant.Touch();
        else await caller.AsReference<IPlainGrain>().Touch();
        return "called back";
    }
}

public sealed class InterleavingTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    private readonly Cluster _cluster = fixture.Cluster;

    [Fact]
    public async Task A_reentrant_grain_takes_a_call_while_another_waits()
    {
        var grain = _cluster.Grain<IReentrantGrain>();
        var gate = Gate.New();
        var waiting = grain.Wait(gate.Name);
        await gate.Reached;
        await grain.Touch().WaitAsync(Cluster.Patience);
        Assert.False(waiting.IsCompleted);
        gate.Open();
        await waiting;
    }

    [Fact]
    public async Task A_method_that_always_interleaves_runs_while_another_waits_and_others_do_not()
    {
        var grain = _cluster.Grain<IPlainGrain>();
        var gate = Gate.New();
        var waiting = grain.Wait(gate.Name);
        await gate.Reached;
        var touch = grain.Touch();
        await grain.Interleave().WaitAsync(Cluster.Patience);
        Assert.False(touch.IsCompleted);
        gate.Open();
        await Task.WhenAll(waiting, touch);
    }

    [Fact]
    public async Task Methods_that_only_read_run_together_and_a_write_waits_for_the_last_of_them()
    {
        var grain = _cluster.Grain<IPlainGrain>();
        var (first, second) = (Gate.New(), Gate.New());
        var reads = new[] { grain.Read(first.Name), grain.Read(second.Name) };
        await first.Reached;
        await second.Reached;
        var write = grain.Touch();
        await grain.Interleave();   // time for a wrong engine to let the write in
        Assert.False(write.IsCompleted);
        first.Open();
        await reads[0];
#if EMBEDDED_ENGINE
        await grain.Interleave();
        Assert.False(write.IsCompleted);   // Orleans promises this only while the first of the reads runs
#endif
        second.Open();
        await Task.WhenAll(reads[1], write);
    }

    [Fact]
    public async Task A_read_waits_for_a_write_that_runs()
    {
        var grain = _cluster.Grain<IPlainGrain>();
        var (writing, reading) = (Gate.New(), Gate.New());
        reading.Open();
        var write = grain.Wait(writing.Name);
        await writing.Reached;
        var read = grain.Read(reading.Name);
        await grain.Interleave();
        Assert.False(reading.IsReached);
        writing.Open();
        await Task.WhenAll(write, read);
    }

    [Fact]
    public async Task A_grain_may_say_by_the_request_itself_what_interleaves()
    {
        var grain = _cluster.Grain<IPredicateGrain>();
        var gate = Gate.New();
        var waiting = grain.Wait(gate.Name);
        await gate.Reached;
        var held = grain.Touch("other");
        await grain.Touch("harmless").WaitAsync(Cluster.Patience);
        Assert.False(held.IsCompleted);
        gate.Open();
        await Task.WhenAll(waiting, held);
    }

    [Fact]
    public async Task A_call_in_a_circle_ends_with_a_timeout()
    {
        await using var impatient = await Cluster.StartAsync(silo =>
            silo.Configure<SiloMessagingOptions>(options => options.ResponseTimeout = TimeSpan.FromSeconds(1)));
        await Assert.ThrowsAsync<TimeoutException>(() => impatient.Grain<IPlainGrain>().CallAround("a", allowed: false));
    }

    [Fact]
    public async Task A_call_in_a_circle_is_let_in_where_the_chain_was_allowed_to()
    {
        var answer = await _cluster.Grain<IPlainGrain>().CallAround("b", allowed: true).WaitAsync(Cluster.Patience);
        Assert.Equal("called back", answer);
    }

    [Fact]
    public async Task A_reentrant_grain_can_be_called_back() =>
        Assert.Equal("called back", await _cluster.Grain<IReentrantGrain>().CallAround("c", allowed: false).WaitAsync(Cluster.Patience));
}
