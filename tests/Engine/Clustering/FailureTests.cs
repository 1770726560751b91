#if EMBEDDED_ENGINE
using DarkStorage.TestKit;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Configuration;

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
        var (life, address) = (cut.Services.GetRequiredService<SiloHost>().Current, cut.Address);

        proxy.Cut();
        await silos[0].Sees(view => view.GetSiloStatus(address) == SiloStatus.Dead);
        // However late this looks: by the time that others are told, it has stopped.
        Assert.False(life.Cluster!.MayServe);
        await Assert.ThrowsAsync<SiloUnavailableException>(() => cut.Grain(key).Add());
        Assert.NotEqual(address.ToString(), await silos[0].Grain(key).Where());
        Assert.Equal(1, await silos[1].Grain(key).Add());
        Assert.DoesNotContain(key, PlacedGrain.Doubles);

        // And when it reaches the database again it comes back by itself, as another run that knows nothing of the first.
        var grain = cut.Grain(key);
        proxy.Mend();
        await silos[0].SeesActive(3);
        await cut.SeesActive(3);
        Assert.NotEqual(address, cut.Address);
        Assert.Equal(SiloStatus.Dead, silos[0].StatusOf(address));
        await Eventually.HoldsAsync("the grain is at its old home, by its name", async () => await silos[0].Grain(key).Where() == cut.Address.ToString());
        Assert.Equal(1, await grain.Add());
        Assert.DoesNotContain(key, PlacedGrain.Doubles);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(5)]
    public async Task Silos_whose_database_was_away_for_longer_than_a_lease_go_on_by_themselves(int count)
    {
        await using var server = await PostgresServer.StartAsync();
        var database = $"Host=127.0.0.1;Port={server.Port};Username=postgres;Database=postgres";
        var reminders = new KeptReminderTable();
        await using var silos = await TestSilos.StartAsync(count, silo => silo.Configure<ReminderOptions>(options => options.MinimumReminderPeriod = TimeSpan.Zero).AddReminders().Services.AddSingleton<IReminderTable>(reminders), database);
        var lives = Enumerable.Range(0, count).Select(i => (Silo: silos[i], silos[i].Address, Life: silos[i].Services.GetRequiredService<SiloHost>().Current)).ToList();
        var grains = Enumerable.Range(0, 40).Select(i => (Key: $"{silos.ClusterId} {i}", Grain: silos[i % count].Grain($"{silos.ClusterId} {i}"))).ToList();
        foreach (var (_, grain) in grains) Assert.Equal(1, await grain.Add());
        var reminded = $"{silos.ClusterId} reminded";
        await silos[0].Grains.GetGrain<IReminderGrain>(reminded).Remind("tick", TimeSpan.Zero, TimeSpan.FromMilliseconds(300));
        await Journal.Of(reminded).Count("tick", 2);
        var gate = Gate.New();
        var atWork = silos[0].Grain($"{silos.ClusterId} at work").WaitAt(gate.Name);
        await gate.Reached;

        await server.CrashAsync();
        // Who waits is told, at once, and so is who comes now; nobody is ended.
        await Assert.ThrowsAsync<SiloUnavailableException>(() => atWork);
        foreach (var (_, _, life) in lives) await life.Lost.WaitAsync(Cluster.Patience);
        foreach (var (_, grain) in grains) await Assert.ThrowsAsync<SiloUnavailableException>(() => grain.Add());
        gate.Open();
        foreach (var (silo, _, _) in lives) Assert.False(silo.Stopping.IsCancellationRequested);
        foreach (var (_, _, life) in lives) await life.Replaced.WaitAsync(Cluster.Patience);
        var ticked = Journal.Of(reminded).Now.Count(entry => entry == "tick");
        await server.StartAgainAsync();

        // The references that were held go to the next life.
        foreach (var (silo, address, _) in lives)
        {
            await silo.Sees(view => view.Members.Values.Count(member => member.Status == SiloStatus.Active) == count && view.GetSiloStatus(silo.Address) == SiloStatus.Active);
            Assert.NotEqual(address, silo.Address);
        }

        foreach (var (key, grain) in grains)
        {
            Assert.Equal(1, await grain.Add());     // what the earlier life remembered is gone with it
            Assert.Equal(2, await silos[0].Grain(key).Add());
            Assert.DoesNotContain(key, PlacedGrain.Doubles);
        }

        await Journal.Of(reminded).Count("tick", ticked + 3);
        Assert.Single(Enumerable.Range(0, count), i => silos[i].Services.GetRequiredService<SiloHost>().Current.Reminders.Ticks(GrainId.Create("remembering", reminded)));
    }

    [Fact]
    public async Task What_a_grain_of_an_earlier_life_still_calls_is_refused()
    {
        await using var silos = await TestSilos.StartAsync(1);
        var (old, gate) = (silos[0].Services.GetRequiredService<SiloHost>().Current, Gate.New());
        var calling = silos[0].Grain($"{silos.ClusterId} caller").CallAfter(gate.Name, $"{silos.ClusterId} called");
        await gate.Reached;
        old.Cluster!.Lease.Lose();
        await Assert.ThrowsAsync<SiloUnavailableException>(() => calling);
        await silos[0].Sees(view => view.GetSiloStatus(silos[0].Address) == SiloStatus.Active && silos[0].Address != old.Address);
        gate.Open();

        Assert.StartsWith(nameof(SiloUnavailableException), await PlacedGrain.Outcomes.Reader.ReadAsync().AsTask().WaitAsync(Cluster.Patience), StringComparison.Ordinal);
        Assert.Equal(1, await silos[0].Grain($"{silos.ClusterId} called").Add());
    }

    [Fact]
    public async Task A_silo_that_can_not_join_again_for_good_ends_its_program()
    {
        await using var server = await PostgresServer.StartAsync();
        await using var silos = await TestSilos.StartAsync(1, database: $"Host=127.0.0.1;Port={server.Port};Username=postgres;Database=postgres");
        var stopping = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = silos[0].Stopping.Register(stopping.SetResult);
        // As if the database were replaced by one in which another service has the cluster's name.
        await server.ExecuteAsync("postgres", "UPDATE darkstorage_engine.cluster SET service_id = 'another'");
        await server.ExecuteAsync("postgres", "UPDATE darkstorage_engine.member SET status = 6");
        await stopping.Task.WaitAsync(TimeSpan.FromSeconds(30));
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
        await silos[0].SeesActive(2);
        Assert.Contains("has lost its lease", frozen.Output);
        Assert.Equal(SiloStatus.Dead, silos[0].StatusOf(frozen.Address));
        foreach (var back in grains) await back.Append(file, "back", TimeSpan.Zero);
        Assert.Contains(frozen.Id, await Task.WhenAll(grains.Select(g => g.ProcessId())));
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
        silos[0].Services.GetRequiredService<SiloHost>().Current.Cluster!.Lease.Lose();   // as when the process stands still: no timer has fired yet
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
