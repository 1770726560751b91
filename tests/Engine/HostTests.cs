using Microsoft.Extensions.DependencyInjection;
using Orleans.Configuration;

namespace DarkStorage.Engine.Tests;

public interface IIntegerGrain : IGrainWithIntegerKey
{
    Task<long> Key();
}

public sealed class IntegerGrain : Grain, IIntegerGrain
{
    public Task<long> Key() => Task.FromResult(this.GetPrimaryKeyLong());
}

public interface IGuidGrain : IGrainWithGuidKey
{
    Task<Guid> Key();
}

public sealed class GuidGrain : Grain, IGuidGrain
{
    public Task<Guid> Key() => Task.FromResult(this.GetPrimaryKey());
}

public interface ICompoundGrain : IGrainWithGuidCompoundKey
{
    Task<string> Key();
}

public sealed class CompoundGrain : Grain, ICompoundGrain
{
    public Task<string> Key()
    {
        var key = this.GetPrimaryKey(out var extension);
        return Task.FromResult($"{key}|{extension}");
    }
}

public interface IIntegerCompoundGrain : IGrainWithIntegerCompoundKey
{
    Task<string> Key();
}

public sealed class IntegerCompoundGrain : Grain, IIntegerCompoundGrain
{
    public Task<string> Key()
    {
        var key = this.GetPrimaryKeyLong(out var extension);
        return Task.FromResult($"{key}|{extension}");
    }
}

internal interface IInternalGrain : IGrainWithStringKey
{
    Task<InternalThing> Echo(InternalThing thing);
}

[GenerateSerializer]
internal sealed record InternalThing(string Name);

internal sealed class InternalGrain : Grain, IInternalGrain
{
    public Task<InternalThing> Echo(InternalThing thing) => Task.FromResult(thing);
}

public interface ITwoFacedGrain : IGrainWithStringKey
{
    Task<string> Front();
}

public interface IOtherFace : IGrainWithStringKey
{
    Task<string> Back();
}

public sealed class TwoFacedGrain : Grain, ITwoFacedGrain, IOtherFace
{
    private readonly Guid _id = Guid.NewGuid();

    public Task<string> Front() => Task.FromResult(_id.ToString());

    public Task<string> Back() => Task.FromResult(_id.ToString());
}

public sealed class IdentityTests(ClusterFixture fixture) : IClassFixture<ClusterFixture>
{
    private readonly IGrainFactory _grains = fixture.Cluster.Grains;

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(long.MaxValue)]
    [InlineData(long.MinValue)]
    public async Task An_integer_key_comes_back(long key) => Assert.Equal(key, await _grains.GetGrain<IIntegerGrain>(key).Key());

    [Fact]
    public async Task Guid_and_compound_keys_come_back()
    {
        var key = Guid.NewGuid();
        Assert.Equal(key, await _grains.GetGrain<IGuidGrain>(key).Key());
        Assert.Equal($"{key}|a+b/c", await _grains.GetGrain<ICompoundGrain>(key, "a+b/c").Key());
        Assert.Equal("-7|ext", await _grains.GetGrain<IIntegerCompoundGrain>(-7, "ext").Key());
    }

    [Fact]
    public void A_grain_id_reads_back_what_it_writes()
    {
        var id = _grains.GetGrain<IReminderGrain>("photos/2026/ä b").GetGrainId();
        Assert.Equal("remembering/photos/2026/ä b", id.ToString());
        Assert.Equal(id, GrainId.Parse(id.ToString()));
        Assert.Equal(id.GetUniformHashCode(), GrainId.Parse(id.ToString()).GetUniformHashCode());
        Assert.NotEqual(id, _grains.GetGrain<IReminderGrain>("photos").GetGrainId());
        Assert.False(GrainId.TryParse("nothing", out _));
    }

    [Fact]
    public async Task References_to_one_grain_are_equal_and_reach_it_by_its_id_too()
    {
        var key = Guid.NewGuid().ToString();
        var grain = _grains.GetGrain<ITwoFacedGrain>(key);
        Assert.Equal(grain, _grains.GetGrain<ITwoFacedGrain>(key));
        Assert.Equal(await grain.Front(), await _grains.GetGrain<ITwoFacedGrain>(grain.GetGrainId()).Front());
        Assert.Equal(await grain.Front(), await grain.AsReference<IOtherFace>().Back());
    }

    [Fact]
    public async Task Internal_interfaces_and_types_work() =>
        Assert.Equal(new("x"), await _grains.GetGrain<IInternalGrain>("a").Echo(new("x")));

    [Fact]
    public void A_silo_address_reads_back_what_it_writes()
    {
        var address = SiloAddress.New(System.Net.IPAddress.Parse("10.1.2.3"), 11111, 77);
        Assert.Equal(address, SiloAddress.FromParsableString(address.ToParsableString()));
        Assert.NotEqual(address, SiloAddress.New(address.Endpoint, 78));
    }

    [Fact]
    public void Stable_hashes_are_stable()
    {
        // Rows in a reminder table are found by this hash, so it may never change. Known values of xxHash32.
        Assert.Equal(0x02CC5D05u, StableHash.ComputeHash(""));
        Assert.Equal(0x550D7456u, StableHash.ComputeHash("a"));
        Assert.Equal(0x32D153FFu, StableHash.ComputeHash("abc"));
    }
}

public sealed class HostTests
{
    [Fact]
    public async Task A_host_that_stops_deactivates_every_grain_after_its_calls_have_finished()
    {
        var (idle, busy, gate) = (Guid.NewGuid().ToString(), Guid.NewGuid().ToString(), Gate.New());
        var cluster = await Cluster.StartAsync();
        await cluster.Grain<ILifeGrain>(idle).Touch();
        var call = cluster.Grain<ILifeGrain>(busy).Hold(gate.Name);
        await gate.Reached;
        var stop = cluster.StopAsync();
        await Journal.Of(idle).Count("deactivated", 1);
        Assert.Equal(["activated"], Journal.Of(busy).Now);
        Assert.False(stop.IsCompleted);
        gate.Open();
        await stop.WaitAsync(Cluster.Patience);
        Assert.Equal(["activated", "deactivating ShuttingDown", "deactivated", "disposed"], Journal.Of(busy).Now);
        await call;
        await cluster.DisposeAsync();
    }

    [Fact]
    public async Task A_host_that_has_stopped_takes_no_calls()
    {
        var cluster = await Cluster.StartAsync();
        var grain = cluster.Grain<ILifeGrain>();
        await grain.Touch();
        await cluster.StopAsync();
        await Assert.ThrowsAnyAsync<Exception>(grain.Touch);
        await cluster.DisposeAsync();
    }

    [Fact]
    public async Task A_host_stops_in_its_time_even_if_a_grain_never_ends()
    {
        var (key, gate) = (Guid.NewGuid().ToString(), Gate.New());
        var cluster = await Cluster.StartAsync();
        var call = cluster.Grain<ILifeGrain>(key).Hold(gate.Name);
        await gate.Reached;
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        try
        {
            await cluster.StopAsync(patience.Token).WaitAsync(Cluster.Patience);
        }
        catch (OperationCanceledException)
        {
            // Either engine may say that it was cut short.
        }

        gate.Open();
        await Task.WhenAny(call).WaitAsync(Cluster.Patience);   // the caller is not left waiting
        await cluster.DisposeAsync();
    }

    [Fact]
    public async Task Startup_tasks_can_call_grains_and_a_failing_one_fails_the_start()
    {
        var key = Guid.NewGuid().ToString();
        await using (await Cluster.StartAsync(silo => silo.AddStartupTask(async (services, ct) =>
            await services.GetRequiredService<IGrainFactory>().GetGrain<ILifeGrain>(key).Touch())))
        {
            Assert.Equal(["activated"], Journal.Of(key).Now);
        }

        await Assert.ThrowsAnyAsync<Exception>(() => Cluster.StartAsync(silo =>
            silo.AddStartupTask((_, _) => throw new InvalidOperationException("cannot start"))));
    }

    [Fact]
    public async Task Participants_of_the_lifecycle_start_in_the_order_of_their_stages_and_stop_in_reverse()
    {
        var log = new List<string>();
        await using (await Cluster.StartAsync(silo =>
        {
            silo.Services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>>(new Participant(log, "late", ServiceLifecycleStage.Active + 1));
            silo.Services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>>(new Participant(log, "early", ServiceLifecycleStage.ApplicationServices));
        }))
        {
            Assert.Equal(["start early", "start late"], log);
        }

        Assert.Equal(["start early", "start late", "stop late", "stop early"], log);
    }

    [Fact]
    public async Task The_silo_says_who_it_is_and_what_it_runs()
    {
        await using var cluster = await Cluster.StartAsync(silo => silo.Configure<SiloOptions>(options => options.SiloName = "one"));
        var details = cluster.Services.GetRequiredService<ILocalSiloDetails>();
        Assert.Equal(("one", "dev"), (details.Name, details.ClusterId));
        var grain = cluster.Grain<ILifeGrain>();
        var management = cluster.Grains.GetGrain<IManagementGrain>(0);
        Assert.Null(await management.GetActivationAddress(grain));
        await grain.Touch();
        Assert.Equal(details.SiloAddress, await management.GetActivationAddress(grain));
        Assert.True(await management.GetTotalActivationCount() > 0);
    }

    private sealed class Participant(List<string> log, string name, int stage) : ILifecycleParticipant<ISiloLifecycle>
    {
        public void Participate(ISiloLifecycle lifecycle) => lifecycle.Subscribe(name, stage, _ => Log("start"), _ => Log("stop"));

        private Task Log(string what)
        {
            lock (log) log.Add($"{what} {name}");
            return Task.CompletedTask;
        }
    }
}
