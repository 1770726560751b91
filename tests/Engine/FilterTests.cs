namespace DarkStorage.Engine.Tests;

public interface IFilteredGrain : IGrainWithStringKey
{
    Task<string> Say(string text);

    Task Quiet();

    Task<string> Ask(string other, string text);
}

public sealed class FilteredGrain : Grain, IFilteredGrain, IIncomingGrainCallFilter
{
    public async Task Invoke(IIncomingGrainCallContext context)
    {
        Journal.Add(this.GetPrimaryKeyString(), $"grain before {context.MethodName}");
        await context.Invoke();
        Journal.Add(this.GetPrimaryKeyString(), $"grain after {context.Result}");
    }

    public Task<string> Say(string text) => Task.FromResult(text + "!");

    public Task Quiet() => Task.CompletedTask;

    public Task<string> Ask(string other, string text) => GrainFactory.GetGrain<IFilteredGrain>(other).Say(text);
}

public interface IContextGrain : IGrainWithStringKey
{
    Task<string?> Read(string key);

    Task<string?> ReadThrough(string key);

    Task Change(string key, string value);

    Task<string?> ReadAfterAwait(string key);
}

public sealed class ContextGrain : Grain, IContextGrain
{
    public Task<string?> Read(string key) => Task.FromResult((string?)RequestContext.Get(key));

    public Task<string?> ReadThrough(string key) =>
        GrainFactory.GetGrain<IContextGrain>(this.GetPrimaryKeyString() + "2").Read(key);

    public Task Change(string key, string value)
    {
        RequestContext.Set(key, value);
        return Task.CompletedTask;
    }

    public async Task<string?> ReadAfterAwait(string key)
    {
        await Task.Yield();
        await Task.Run(() => { });
        return (string?)RequestContext.Get(key);
    }
}

public sealed class FilterTests
{
    [Fact]
    public async Task Filters_run_in_the_order_in_which_they_were_added_and_the_grains_own_runs_last()
    {
        var key = Guid.NewGuid().ToString();
        await using var cluster = await Cluster.StartAsync(silo =>
        {
            silo.AddOutgoingGrainCallFilter(context => Around(context, "out"));
            silo.AddIncomingGrainCallFilter(context => Around(context, "in 1"));
            silo.AddIncomingGrainCallFilter(context => Around(context, "in 2"));
        });
        Assert.Equal("hello!", await cluster.Grain<IFilteredGrain>(key).Say("hello"));
        Assert.Equal(
            [
                "out before", "in 1 before", "in 2 before", "grain before Say",
                "grain after hello!", "in 2 after hello!", "in 1 after hello!", "out after hello!",
            ],
            Journal.Of(key).Now);
    }

    [Fact]
    public async Task A_filter_may_answer_in_place_of_the_grain()
    {
        var key = Guid.NewGuid().ToString();
        await using var cluster = await Cluster.StartAsync(silo => silo.AddIncomingGrainCallFilter(context =>
        {
            if (context.Grain is not FilteredGrain) return context.Invoke();
            context.Result = "no";
            return Task.CompletedTask;
        }));
        Assert.Equal("no", await cluster.Grain<IFilteredGrain>(key).Say("hello"));
        Assert.Empty(Journal.Of(key).Now);
    }

    [Fact]
    public async Task A_filter_may_change_arguments_and_the_result()
    {
        await using var cluster = await Cluster.StartAsync(silo => silo.AddIncomingGrainCallFilter(async context =>
        {
            if (context.Grain is FilteredGrain && context.MethodName == nameof(IFilteredGrain.Say))
                context.Request.SetArgument(0, "good day");
            await context.Invoke();
            if (context.Result is string text) context.Result = text + "?";
        }));
        Assert.Equal("good day!?", await cluster.Grain<IFilteredGrain>().Say("hello"));
    }

    [Fact]
    public async Task A_filter_that_throws_fails_the_call()
    {
        await using var cluster = await Cluster.StartAsync(silo => silo.AddIncomingGrainCallFilter(context =>
            context.MethodName == nameof(IFilteredGrain.Quiet) ? throw new UnauthorizedAccessException("not you") : context.Invoke()));
        var grain = cluster.Grain<IFilteredGrain>();
        await Assert.ThrowsAsync<UnauthorizedAccessException>(grain.Quiet);
        Assert.Equal("a!", await grain.Say("a"));
    }

    [Fact]
    public async Task A_filter_knows_the_call()
    {
        var seen = new TaskCompletionSource<string>();
        var key = Guid.NewGuid().ToString();
        await using var cluster = await Cluster.StartAsync(silo => silo.AddIncomingGrainCallFilter(context =>
        {
            if (context.MethodName == nameof(IFilteredGrain.Say))
            {
                seen.TrySetResult(
                    $"{context.InterfaceMethod.Name} {context.ImplementationMethod.DeclaringType!.Name} {context.Request.GetArgument(0)} "
                    + $"{context.TargetId.Key} {context.SourceId?.Key} {context.Request.GetArgumentCount()}");
            }

            return context.Invoke();
        }));
        await cluster.Grain<IFilteredGrain>("caller").Ask(key, "hi");
        Assert.Equal($"Say FilteredGrain hi {key} caller 1", await seen.Task);
    }

    private static async Task Around(IGrainCallContext context, string name)
    {
        var journal = context.TargetId.Key.ToString()!;
        Journal.Add(journal, $"{name} before");
        await context.Invoke();
        Journal.Add(journal, $"{name} after {context.Result}");
    }
}

public sealed class RequestContextTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    private readonly Cluster _cluster = fixture.Cluster;

    [Fact]
    public async Task A_value_travels_with_the_call_and_on_to_the_calls_that_it_makes()
    {
        RequestContext.Set("user", "ada");
        var grain = _cluster.Grain<IContextGrain>();
        Assert.Equal("ada", await grain.Read("user"));
        Assert.Equal("ada", await grain.ReadThrough("user"));
        Assert.Equal("ada", await grain.ReadAfterAwait("user"));
        RequestContext.Clear();
    }

    [Fact]
    public async Task A_value_that_the_grain_sets_does_not_come_back()
    {
        RequestContext.Set("user", "ada");
        await _cluster.Grain<IContextGrain>().Change("user", "eve");
        Assert.Equal("ada", RequestContext.Get("user"));
        RequestContext.Clear();
    }

    [Fact]
    public async Task A_call_without_values_does_not_see_those_of_the_call_before()
    {
        var grain = _cluster.Grain<IContextGrain>();
        RequestContext.Set("user", "ada");
        Assert.Equal("ada", await grain.ReadAfterAwait("user"));
        RequestContext.Clear();
        Assert.Null(await grain.ReadAfterAwait("user"));
    }
}
