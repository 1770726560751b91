namespace DarkStorage.Engine.Tests;

public interface ILifeGrain : IGrainWithStringKey
{
    Task<int> Touch();

    Task<int> End();

    Task<int> HoldAndEnd(string gate);

    Task Hold(string gate);

    Task SlowGoodbye(string gate);

    Task Delay(TimeSpan time);
}

public sealed class LifeGrain : Grain, ILifeGrain, IDisposable
{
    private Gate? _goodbye;
    private int _calls;

    private string Key => this.GetPrimaryKeyString();

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        Journal.Add(Key, "activated");
        return Task.CompletedTask;
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        Journal.Add(Key, $"deactivating {reason.ReasonCode}");
        if (_goodbye is { } gate) await gate.PassAsync(cancellationToken);
        Journal.Add(Key, "deactivated");
    }

    public void Dispose() => Journal.Add(Key, "disposed");

    public Task<int> Touch() => Task.FromResult(++_calls);

    public Task<int> End()
    {
        DeactivateOnIdle();
        return Task.FromResult(++_calls);
    }

    public async Task<int> HoldAndEnd(string gate)
    {
        DeactivateOnIdle();
        await Gate.Named(gate).PassAsync();
        return ++_calls;
    }

    public Task Hold(string gate) => Gate.Named(gate).PassAsync();

    public Task SlowGoodbye(string gate)
    {
        _goodbye = Gate.Named(gate);
        return Task.CompletedTask;
    }

    public Task Delay(TimeSpan time)
    {
        DelayDeactivation(time);
        return Task.CompletedTask;
    }
}

public interface IFailingGrain : IGrainWithStringKey
{
    Task Touch();
}

public sealed class FailingGrain : Grain, IFailingGrain
{
    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        await Task.Yield();
        Journal.Add(this.GetPrimaryKeyString(), "activating");
        if (Journal.Of(this.GetPrimaryKeyString()).Now.Length == 1) throw new InvalidDataException("the first activation fails");
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        Journal.Add(this.GetPrimaryKeyString(), "deactivated");
        return Task.CompletedTask;
    }

    public Task Touch() => Task.CompletedTask;
}

public interface IUnbuildableGrain : IGrainWithStringKey
{
    Task Touch();
}

public sealed class UnbuildableGrain : Grain, IUnbuildableGrain
{
    public UnbuildableGrain() => throw new InvalidDataException("the constructor fails");

    public Task Touch() => Task.CompletedTask;
}

[KeepAlive]
public sealed class ImmortalGrain : Grain, IImmortalGrain
{
    private int _calls;

    public Task<int> Touch() => Task.FromResult(++_calls);
}

public interface IImmortalGrain : IGrainWithStringKey
{
    Task<int> Touch();
}

/// <summary>No base class: the context comes by the constructor.</summary>
public sealed class BareGrain(IGrainContext context, IGrainFactory grains) : IGrainBase, IBareGrain
{
    public IGrainContext GrainContext => context;

    public Task OnActivateAsync(CancellationToken token)
    {
        Journal.Add(context.GrainId.Key.ToString()!, "activated");
        return Task.CompletedTask;
    }

    public Task<string> Who() => Task.FromResult($"{context.GrainId} {grains is not null}");
}

public interface IBareGrain : IGrainWithStringKey
{
    Task<string> Who();
}

public sealed class LifeTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    private readonly Cluster _cluster = fixture.Cluster;

    [Fact]
    public async Task A_grain_is_activated_once_by_its_first_call()
    {
        var key = Guid.NewGuid().ToString();
        var grain = _cluster.Grain<ILifeGrain>(key);
        Assert.Empty(Journal.Of(key).Now);   // a reference alone wakes nobody
        Assert.Equal(1, await grain.Touch());
        Assert.Equal(2, await grain.Touch());
        Assert.Equal(["activated"], Journal.Of(key).Now);
    }

    [Fact]
    public async Task A_grain_that_deactivates_itself_comes_back_fresh()
    {
        var key = Guid.NewGuid().ToString();
        var grain = _cluster.Grain<ILifeGrain>(key);
        await grain.Touch();
        Assert.Equal(2, await grain.End());
        await Journal.Of(key).Count("deactivated", 1);
        Assert.Equal(1, await grain.Touch());
        Assert.Equal(
            ["activated", "deactivating ApplicationRequested", "deactivated", "disposed", "activated"], Journal.Of(key).Now);
    }

    [Fact]
    public async Task Calls_that_wait_when_a_grain_deactivates_itself_go_to_the_next_activation_in_order()
    {
        var (key, gate) = (Guid.NewGuid().ToString(), Gate.New());
        var grain = _cluster.Grain<ILifeGrain>(key);
        var last = grain.HoldAndEnd(gate.Name);
        await gate.Reached;
        var waiting = Enumerable.Range(0, 10).Select(_ => grain.Touch()).ToArray();
        gate.Open();
        Assert.Equal(1, await last);
        Assert.Equal(Enumerable.Range(1, 10), await Task.WhenAll(waiting));
    }

    [Fact]
    public async Task No_activation_begins_before_the_last_one_has_said_goodbye()
    {
        var (key, gate) = (Guid.NewGuid().ToString(), Gate.New());
        var grain = _cluster.Grain<ILifeGrain>(key);
        await grain.SlowGoodbye(gate.Name);
        await grain.End();
        await gate.Reached;
        var next = grain.Touch();
        await _cluster.Grain<ILifeGrain>().Touch();
        Assert.False(next.IsCompleted);
        Assert.Equal("deactivating ApplicationRequested", Journal.Of(key).Now[^1]);
        gate.Open();
        Assert.Equal(1, await next);
        Assert.Equal(["deactivated", "disposed", "activated"], Journal.Of(key).Now[^3..]);
    }

    [Fact]
    public async Task A_failed_activation_fails_the_calls_that_wait_and_leaves_nothing_behind()
    {
        var key = Guid.NewGuid().ToString();
        var grain = _cluster.Grain<IFailingGrain>(key);
        var calls = new[] { grain.Touch(), grain.Touch() };
        var error = await Assert.ThrowsAsync<InvalidDataException>(() => calls[0]);
        Assert.Equal("the first activation fails", error.Message);
        await grain.Touch();
        Assert.Equal(["activating", "activating"], Journal.Of(key).Now);
    }

    [Fact]
    public async Task A_constructor_that_throws_fails_the_call() =>
        await Assert.ThrowsAnyAsync<Exception>(() => _cluster.Grain<IUnbuildableGrain>().Touch());

    [Fact]
    public async Task An_idle_grain_is_collected_and_one_that_works_is_not()
    {
        var (idle, busy, gate) = (Guid.NewGuid().ToString(), Guid.NewGuid().ToString(), Gate.New());
        await _cluster.Grain<ILifeGrain>(idle).Touch();
        var work = _cluster.Grain<ILifeGrain>(busy).Hold(gate.Name);
        await gate.Reached;
        await _cluster.CollectAsync();
        await Journal.Of(idle).Count("deactivated", 1);
        Assert.Equal(["activated"], Journal.Of(busy).Now);
        gate.Open();
        await work;
    }

    [Fact]
    public async Task A_grain_that_delays_its_deactivation_is_not_collected()
    {
        var (delayed, other) = (Guid.NewGuid().ToString(), Guid.NewGuid().ToString());
        await _cluster.Grain<ILifeGrain>(delayed).Delay(TimeSpan.FromHours(1));
        await _cluster.Grain<ILifeGrain>(other).Touch();
        await _cluster.CollectAsync();
        await Journal.Of(other).Count("deactivated", 1);
        Assert.Equal(["activated"], Journal.Of(delayed).Now);
    }

    [Fact]
    public async Task A_grain_class_that_is_kept_alive_is_not_collected()
    {
        var grain = _cluster.Grain<IImmortalGrain>();
        await grain.Touch();
        await _cluster.CollectAsync();
        Assert.Equal(2, await grain.Touch());
    }

    [Fact]
    public async Task A_class_without_a_base_is_a_grain_too()
    {
        var key = Guid.NewGuid().ToString();
        Assert.EndsWith($"/{key} True", await _cluster.Grain<IBareGrain>(key).Who(), StringComparison.Ordinal);
        Assert.Equal(["activated"], Journal.Of(key).Now);
    }
}
