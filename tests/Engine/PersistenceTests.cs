using Orleans.Runtime.Hosting;
using Orleans.Storage;

namespace DarkStorage.Engine.Tests;

[GenerateSerializer, Alias("counted")]
public sealed class Counted
{
    [Id(0)]
    public int Count { get; set; }

    [Id(1)]
    public List<string> Notes { get; set; } = [];
}

public interface ICountedGrain : IGrainWithStringKey
{
    Task<int> Increment();

    Task<int> Get();

    Task<bool> Exists();

    Task Clear();

    Task ChangeWithoutWriting();

    Task Reload();

    Task<Guid> Activation();

    Task<bool> CatchStaleWrite();
}

public sealed class CountedGrain([PersistentState("counted", "kept")] IPersistentState<Counted> state) : Grain, ICountedGrain
{
    private readonly Guid _activation = Guid.NewGuid();

    public async Task<int> Increment()
    {
        state.State.Count++;
        await state.WriteStateAsync();
        return state.State.Count;
    }

    public Task<int> Get() => Task.FromResult(state.State.Count);

    public Task<bool> Exists() => Task.FromResult(state.RecordExists);

    public Task Clear() => state.ClearStateAsync();

    public Task ChangeWithoutWriting()
    {
        state.State.Count += 100;
        return Task.CompletedTask;
    }

    public Task Reload() => state.ReadStateAsync();

    public Task<Guid> Activation() => Task.FromResult(_activation);

    public async Task<bool> CatchStaleWrite()
    {
        try
        {
            await state.WriteStateAsync();
            return false;
        }
        catch (InconsistentStateException)
        {
            return true;
        }
    }
}

public interface IOldStyleGrain : IGrainWithStringKey
{
    Task<int> Increment();
}

public sealed class OldStyleGrain : Grain<Counted>, IOldStyleGrain
{
    public async Task<int> Increment()
    {
        State.Count++;
        await WriteStateAsync();
        return State.Count;
    }
}

public interface IHomelessGrain : IGrainWithStringKey
{
    Task Touch();
}

public sealed class HomelessGrain([PersistentState("x", "nowhere")] IPersistentState<Counted> state) : Grain, IHomelessGrain
{
    public Task Touch() => Task.FromResult(state.RecordExists);
}

/// <summary>Keeps state across hosts, as the node's index does, and can be told to fail.</summary>
public sealed class KeptStorage : IGrainStorage
{
    private readonly Dictionary<(GrainId, string), (int Count, int Tag)> _rows = [];

    public Exception? Failure { get; set; }

    public void WriteBehindTheGrainsBack(GrainId id, int count)
    {
        lock (_rows) _rows[(id, "counted")] = (count, _rows.GetValueOrDefault((id, "counted")).Tag + 1);
    }

    public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        if (Failure is { } failure) return Task.FromException(failure);
        lock (_rows)
        {
            grainState.RecordExists = _rows.TryGetValue((grainId, stateName), out var row);
            grainState.ETag = grainState.RecordExists ? $"{row.Tag}" : null!;
            grainState.State = (T)(object)new Counted { Count = row.Count };
        }

        return Task.CompletedTask;
    }

    public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        if (Failure is { } failure) return Task.FromException(failure);
        lock (_rows)
        {
            var found = _rows.TryGetValue((grainId, stateName), out var row);
            if (grainState.ETag != (found ? $"{row.Tag}" : null))
                return Task.FromException(new InconsistentStateException("stale", $"{row.Tag}", grainState.ETag ?? ""));
            _rows[(grainId, stateName)] = (((Counted)(object)grainState.State!).Count, row.Tag + 1);
            grainState.ETag = $"{row.Tag + 1}";
            grainState.RecordExists = true;
        }

        return Task.CompletedTask;
    }

    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        lock (_rows) _rows.Remove((grainId, stateName));
        grainState.ETag = null!;
        grainState.RecordExists = false;
        grainState.State = (T)(object)new Counted();
        return Task.CompletedTask;
    }
}

public sealed class PersistenceTests
{
    private readonly KeptStorage _storage = new();

    [Fact]
    public async Task State_survives_the_activation_and_the_host()
    {
        await using (var first = await StartAsync())
        {
            var grain = first.Grain<ICountedGrain>("a");
            Assert.False(await grain.Exists());
            Assert.Equal(1, await grain.Increment());
            Assert.True(await grain.Exists());
            await grain.ChangeWithoutWriting();
            Assert.Equal(101, await grain.Get());
            await first.CollectAsync();
            Assert.Equal(1, await grain.Get());
        }

        await using var second = await StartAsync();
        Assert.Equal(1, await second.Grain<ICountedGrain>("a").Get());
        Assert.Equal(0, await second.Grain<ICountedGrain>("b").Get());
    }

    [Fact]
    public async Task A_stale_write_fails_and_the_next_call_finds_a_fresh_activation()
    {
        await using var cluster = await StartAsync();
        var grain = cluster.Grain<ICountedGrain>("a");
        await grain.Increment();
        var activation = await grain.Activation();
        _storage.WriteBehindTheGrainsBack(grain.GetGrainId(), 40);

        await Assert.ThrowsAsync<InconsistentStateException>(grain.Increment);
        Assert.Equal(41, await grain.Increment());
        Assert.NotEqual(activation, await grain.Activation());
    }

    [Fact]
    public async Task A_stale_write_that_the_grain_catches_leaves_it_active()
    {
        await using var cluster = await StartAsync();
        var grain = cluster.Grain<ICountedGrain>("a");
        await grain.Increment();
        var activation = await grain.Activation();
        _storage.WriteBehindTheGrainsBack(grain.GetGrainId(), 40);
        Assert.True(await grain.CatchStaleWrite());
        Assert.Equal(activation, await grain.Activation());
        await grain.Reload();
        Assert.Equal(41, await grain.Increment());
    }

    [Fact]
    public async Task A_state_that_is_cleared_starts_anew()
    {
        await using var cluster = await StartAsync();
        var grain = cluster.Grain<ICountedGrain>("a");
        await grain.Increment();
        await grain.Clear();
        Assert.False(await grain.Exists());
        Assert.Equal(1, await grain.Increment());
    }

    [Fact]
    public async Task A_failure_of_the_storage_reaches_the_caller_and_the_grain_recovers()
    {
        await using var cluster = await StartAsync();
        var grain = cluster.Grain<ICountedGrain>("a");
        _storage.Failure = new IOException("the disk is gone");
        var error = await Assert.ThrowsAnyAsync<Exception>(grain.Get);
        Assert.Contains("the disk is gone", error.ToString(), StringComparison.Ordinal);
        _storage.Failure = null;
        Assert.Equal(0, await grain.Get());
    }

    [Fact]
    public async Task A_grain_with_a_state_of_its_own_class_keeps_it_in_the_default_storage()
    {
        await using var cluster = await StartAsync();
        var grain = cluster.Grain<IOldStyleGrain>();
        await grain.Increment();
        await cluster.CollectAsync();
        Assert.Equal(2, await grain.Increment());
    }

    [Fact]
    public async Task A_storage_that_nobody_added_is_a_clear_error()
    {
        await using var cluster = await StartAsync();
        var error = await Assert.ThrowsAnyAsync<Exception>(() => cluster.Grain<IHomelessGrain>().Touch());
        Assert.Contains("nowhere", error.ToString(), StringComparison.Ordinal);
    }

    private Task<Cluster> StartAsync() => Cluster.StartAsync(silo => silo.Services.AddGrainStorage("kept", (_, _) => _storage));
}
