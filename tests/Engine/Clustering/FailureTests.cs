#if EMBEDDED_ENGINE
using Microsoft.Extensions.DependencyInjection;

namespace DarkStorage.Engine.Tests;

[Collection(ClusterTests.Name)]
public sealed class FailureTests
{
    [Fact]
    public async Task A_silo_that_is_cut_from_the_database_stops_serving_before_others_take_over()
    {
        var server = await Postgres.GetAsync();
        using var proxy = new CutProxy(server.Port);
        await using var silos = await TestSilos.StartAsync(2);
        var cut = await silos.AddAsync(server.ConnectionTo("postgres", proxy.Port));
        await silos[0].SeesActive(3);
        var key = await silos.KeyAtAsync(cut);
        Assert.Equal(1, await silos[0].Grain(key).Add());
        var stopping = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = cut.Stopping.Register(stopping.SetResult);

        proxy.Cut();
        await silos[0].Sees(view => view.GetSiloStatus(cut.Address) == SiloStatus.Dead);
        // However late this looks: by the time that others are told, it has stopped.
        Assert.False(cut.Services.GetRequiredService<Silo>().Cluster!.MayServe);
        await Assert.ThrowsAsync<SiloUnavailableException>(() => cut.Grain(key).Add());
        await stopping.Task.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.NotEqual(cut.Address.ToString(), await silos[0].Grain(key).Where());
        Assert.Equal(1, await silos[1].Grain(key).Add());
        Assert.DoesNotContain(key, PlacedGrain.Doubles);
    }

    [Fact]
    public async Task A_silo_that_was_stopped_for_longer_than_its_lease_serves_nothing_when_it_goes_on()
    {
        await using var silos = await TestSilos.StartAsync(1);
        await using var frozen = await SiloProcess.StartAsync(silos.ClusterId, "frozen", silos.Database);
        await silos[0].SeesActive(2);
        var grains = new List<IPlacedGrain>();
        for (var i = 0; grains.Count < 50; i++)
            if (await silos[0].Grain($"{silos.ClusterId} {i}").ProcessId() == frozen.Id) grains.Add(silos[0].Grain($"{silos.ClusterId} {i}"));

        // One call at work and many behind it, and others that arrive while the process stands still: when it goes on, they would be next.
        var file = Path.GetTempFileName();
        var grain = grains[0];
        await grain.Append(file, "before", TimeSpan.Zero);
        // Long enough that it is at work when the process is stopped, however late that comes.
        var atWork = grain.Append(file, "at work", TimeSpan.FromSeconds(10));
        var behind = Enumerable.Range(0, 50).Select(i => grain.Append(file, $"behind {i}", TimeSpan.Zero)).ToList();
        frozen.Freeze();
        for (var i = 0; i < 1000; i++) behind.Add(grains[1 + (i % 49)].Append(file, $"behind {i}", TimeSpan.Zero));
        await silos[0].Sees(view => view.GetSiloStatus(frozen.Address) == SiloStatus.Dead);
        await Assert.ThrowsAsync<SiloUnavailableException>(() => atWork);
        foreach (var call in behind) await Assert.ThrowsAsync<SiloUnavailableException>(() => call);
        Assert.NotEqual(frozen.Id, await grain.ProcessId());

        frozen.Thaw();
        Assert.Equal(3, await frozen.EndedAsync());
        Assert.Contains("has lost its lease", frozen.Output);
        // What was in the middle of a call may end it; nothing that had not begun did.
        var lines = await File.ReadAllLinesAsync(file);
        Assert.DoesNotContain(lines, line => line.StartsWith("behind", StringComparison.Ordinal));
        File.Delete(file);
    }

    [Fact]
    public async Task A_call_that_was_let_in_before_the_lease_ended_neither_begins_nor_is_answered_after_it()
    {
        await using var silos = await TestSilos.StartAsync(1);
        var (first, second) = (Gate.New(), Gate.New());
        var grain = silos[0].Grain(silos.ClusterId);
        var atWork = grain.WaitAt(first.Name);
        await first.Reached;
        var behind = grain.WaitAt(second.Name);
        silos[0].Services.GetRequiredService<Silo>().Cluster!.Lease.Lose();   // as when the process stands still: no timer has fired yet
        first.Open();
        await Assert.ThrowsAsync<SiloUnavailableException>(() => atWork);
        await Assert.ThrowsAsync<SiloUnavailableException>(() => behind);
        await Assert.ThrowsAsync<SiloUnavailableException>(() => grain.Add());
        Assert.False(second.IsReached);
    }

    [Fact]
    public async Task A_crashed_silo_comes_back_under_its_name_as_another_run()
    {
        await using var silos = await TestSilos.StartAsync(1);
        await using var first = await SiloProcess.StartAsync(silos.ClusterId, "again", silos.Database);
        await silos[0].SeesActive(2);
        first.KillNow();
        await first.EndedAsync();
        await using var second = await SiloProcess.StartAsync(silos.ClusterId, "again", silos.Database);
        await silos[0].SeesActive(2);
        Assert.Equal(SiloStatus.Dead, silos[0].StatusOf(first.Address));
        Assert.Equal(SiloStatus.Active, silos[0].StatusOf(second.Address));
    }
}

/// <summary>In a class of its own, since most of it is waiting for a lease to end.</summary>
[Collection(ClusterTests.Name)]
public sealed class KillTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(5)]
    public async Task A_silo_that_is_killed_under_load_is_replaced_and_every_call_is_answered(int processes)
    {
        await using var silos = await TestSilos.StartAsync(1);
        var caller = silos[0];
        var others = await Task.WhenAll(Enumerable.Range(0, processes).Select(i => SiloProcess.StartAsync(silos.ClusterId, $"process-{i}", silos.Database)));
        try
        {
            await caller.SeesActive(processes + 1);
            var keys = Enumerable.Range(0, 120).Select(i => $"{silos.ClusterId} {i}").ToArray();
            var places = await Task.WhenAll(keys.Select(key => caller.Grain(key).ProcessId()));
            Assert.Equal(processes + 1, places.Distinct().Count());

            var victim = others[0];
            var isOver = false;
            var (answered, unavailable) = (0, 0);
            var load = Enumerable.Range(0, 8).Select(seed => Task.Run(async () =>
            {
                var random = new Random(seed);
                while (!Volatile.Read(ref isOver))
                {
                    try
                    {
                        await caller.Grain(keys[random.Next(keys.Length)]).Add();
                        Interlocked.Increment(ref answered);
                    }
                    catch (SiloUnavailableException)
                    {
                        // The one failure that there may be; anything else ends the test.
                        Interlocked.Increment(ref unavailable);
                        await Task.Yield();
                    }
                }
            })).ToArray();

            victim.KillNow();
            await caller.Sees(view => view.GetSiloStatus(victim.Address) == SiloStatus.Dead);
            var after = await Task.WhenAll(keys.Select(key => caller.Grain(key).ProcessId()));
            Volatile.Write(ref isOver, true);
            await Task.WhenAll(load).WaitAsync(Cluster.Patience);

            Assert.DoesNotContain(victim.Id, after);
            Assert.Equal(processes, after.Distinct().Count());
            Assert.True(answered > 0 && unavailable > 0, $"{answered} answered, {unavailable} unavailable");
        }
        finally
        {
            foreach (var other in others) await other.DisposeAsync();
        }
    }
}
#endif
