#if EMBEDDED_ENGINE
using System.Reflection;
using System.Reflection.Emit;
using DarkStorage.TestKit;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Configuration;

namespace DarkStorage.Engine.Tests;

[Collection(ClusterTests.Name)]
public sealed class MovingTests
{
    [Theory]
    [InlineData(3)]
    [InlineData(5)]
    public async Task Every_silo_finds_a_grain_in_one_place_and_grains_are_on_all_silos(int count)
    {
        await using var silos = await TestSilos.StartAsync(count);
        var places = new HashSet<string>();
        for (var i = 0; i < 100; i++)
        {
            var key = $"{silos.ClusterId} {i}";
            var seen = new HashSet<string>();
            for (var caller = 0; caller < count; caller++) seen.Add(await silos[caller].Grain(key).Where());
            places.Add(Assert.Single(seen));
        }

        Assert.Equal(count, places.Count);
        Assert.True(await silos[0].Grains.GetGrain<IManagementGrain>(0).GetTotalActivationCount() >= 100);
        var somewhere = silos[0].Grain($"{silos.ClusterId} 1");
        Assert.Equal(await somewhere.Where(), (await silos[1].Grains.GetGrain<IManagementGrain>(0).GetActivationAddress(somewhere))!.ToString());
    }

    [Fact]
    public async Task Grains_move_to_a_silo_that_joins_and_are_never_awake_twice_while_calls_go_on()
    {
        await using var silos = await TestSilos.StartAsync(2);
        var keys = Enumerable.Range(0, 150).Select(i => $"{silos.ClusterId} {i}").ToArray();
        using var load = new Load(silos, keys);
        await load.EachCalledAsync();
        var third = await silos.AddAsync();
        var fourth = await silos.AddAsync();
        foreach (var key in keys) await third.Grain(key).Add();
        await load.EachCalledAsync();
        await load.StopAsync();

        Assert.Empty(load.Failures);
        Assert.DoesNotContain(PlacedGrain.Doubles, key => key.StartsWith(silos.ClusterId, StringComparison.Ordinal));
        var places = new HashSet<string>();
        foreach (var key in keys) places.Add(await fourth.Grain(key).Where());
        Assert.Equal(4, places.Count);
    }

    [Fact]
    public async Task A_grain_that_prefers_to_be_local_wakes_at_its_first_caller_and_stays_there_for_all()
    {
        await using var silos = await TestSilos.StartAsync(3);
        for (var i = 0; i < 30; i++)
        {
            var (key, first) = ($"{silos.ClusterId} local {i}", silos[i % 3]);
            Assert.Equal(first.Address.ToString(), await first.Grains.GetGrain<ILocalGrain>(key).Where());
            for (var caller = 0; caller < 3; caller++) Assert.Equal(first.Address.ToString(), await silos[caller].Grains.GetGrain<ILocalGrain>(key).Where());
        }

        // Homes change, and what they knew is asked for again; of what was on the silo that leaves, the next caller has it.
        await silos.AddAsync();
        await silos[0].StopAsync();
        await silos[1].SeesActive(3);
        for (var i = 0; i < 30; i++)
        {
            var key = $"{silos.ClusterId} local {i}";
            var expected = i % 3 == 0 ? silos[2] : silos[i % 3];
            Assert.Equal(expected.Address.ToString(), await silos[2].Grains.GetGrain<ILocalGrain>(key).Where());
        }
    }

    [Fact]
    public async Task Grains_placed_at_random_are_everywhere_and_each_in_one_place_also_when_all_call_at_once()
    {
        await using var silos = await TestSilos.StartAsync(3);
        var places = new HashSet<string>();
        for (var i = 0; i < 40; i++)
        {
            var key = $"{silos.ClusterId} random {i}";
            var seen = await Task.WhenAll(Enumerable.Range(0, 30).Select(n => silos[n % 3].Grains.GetGrain<IRandomGrain>(key).Where()));
            places.Add(Assert.Single(seen.Distinct()));
        }

        Assert.Equal(3, places.Count);
    }

    [Fact]
    public async Task A_grain_at_work_finishes_where_it_is_and_what_waits_goes_to_its_new_home()
    {
        await using var silos = await TestSilos.StartAsync(1);
        var gates = Enumerable.Range(0, 40).Select(_ => Gate.New()).ToArray();
        var working = gates.Select((gate, i) => silos[0].Grain($"{silos.ClusterId} {i}").WaitAt(gate.Name)).ToArray();
        foreach (var gate in gates) await gate.Reached;
        var second = await silos.AddAsync();
        await silos[0].SeesActive(2);
        var waiting = gates.Select((_, i) => second.Grain($"{silos.ClusterId} {i}").Where()).ToArray();
        foreach (var gate in gates) gate.Open();

        Assert.All(await Task.WhenAll(working), place => Assert.Equal(silos[0].Address.ToString(), place));
        var places = await Task.WhenAll(waiting);
        Assert.Contains(second.Address.ToString(), places);
        Assert.DoesNotContain(PlacedGrain.Doubles, key => key.StartsWith(silos.ClusterId, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(5)]
    public async Task A_silo_that_is_told_to_stop_loses_no_call(int count)
    {
        await using var silos = await TestSilos.StartAsync(count);
        var keys = Enumerable.Range(0, 100).Select(i => $"{silos.ClusterId} {i}").ToArray();
        using var load = new Load(silos, keys, callers: count - 1);
        await load.EachCalledAsync();
        await silos[count - 1].StopAsync();
        await load.EachCalledAsync();
        await load.StopAsync();

        Assert.Empty(load.Failures);
        await silos[0].Sees(view => view.GetSiloStatus(silos[count - 1].Address) == SiloStatus.Dead);
        Assert.DoesNotContain(PlacedGrain.Doubles, key => key.StartsWith(silos.ClusterId, StringComparison.Ordinal));
    }

    [Fact]
    public async Task More_than_may_wait_for_a_silo_fails_at_once_and_says_so()
    {
        await using var silos = await TestSilos.StartAsync(2, silo => silo.Configure<SiloConnectionOptions>(options => options.QueuedBytesMax = 1_000_000));
        var key = await silos.KeyAtAsync(silos[1]);
        var bytes = new byte[900_000];
        var calls = Enumerable.Range(0, 50).Select(_ => silos[0].Grain(key).Echo(bytes)).ToArray();
        var refused = 0;
        foreach (var call in calls)
        {
            try
            {
                await call;
            }
            catch (GatewayTooBusyException error)
            {
                Assert.Contains("wait to be sent", error.Message);
                refused++;
            }
        }

        Assert.InRange(refused, 1, 49);
        Assert.Equal(bytes.Length, (await silos[0].Grain(key).Echo(bytes)).Length);
    }

    [Fact]
    public async Task More_calls_than_a_silo_works_on_for_another_are_refused()
    {
        await using var silos = await TestSilos.StartAsync(2, silo => silo.Configure<SiloConnectionOptions>(options => options.CallsMax = 10));
        var key = await silos.KeyAtAsync(silos[1]);
        var gate = Gate.New();
        var working = silos[0].Grain(key).WaitAt(gate.Name);
        await gate.Reached;
        var calls = Enumerable.Range(0, 30).Select(_ => silos[0].Grain(key).Add()).ToArray();
        await Assert.ThrowsAsync<GatewayTooBusyException>(() => calls[^1]);
        gate.Open();
        await working;
        await Task.WhenAny(Task.WhenAll(calls));
        Assert.Contains(calls, call => call.IsCompletedSuccessfully);
        Assert.All(calls.Where(call => call.IsFaulted), call => Assert.IsType<GatewayTooBusyException>(call.Exception!.InnerException));
    }

    [Fact]
    public async Task A_message_larger_than_one_may_be_fails_its_own_call_only()
    {
        await using var silos = await TestSilos.StartAsync(2, silo => silo.Configure<SiloMessagingOptions>(options => options.MaxMessageBodySize = 100_000));
        var grain = silos[0].Grain(await silos.KeyAtAsync(silos[1]));
        await Assert.ThrowsAsync<Orleans.Serialization.SerializerException>(() => grain.Echo(new byte[200_000]));
        Assert.Equal(90_000, (await grain.Echo(new byte[90_000])).Length);
    }

    [Fact]
    public async Task A_call_that_cannot_be_served_there_fails_alone_and_leaves_the_connection_to_the_others()
    {
        await using var silos = await TestSilos.StartAsync(2);
        var gate = Gate.New();
        var waiting = silos[0].Grain(await silos.KeyAtAsync(silos[1])).WaitAt(gate.Name);
        await gate.Reached;
        // Of a type that no silo knows; silo 0 would refuse it itself, so the call is sent by hand.
        var call = Proxies.NewCall(typeof(IPlacedGrain), nameof(IPlacedGrain.Add));
        var silo = silos[0].Services.GetRequiredService<SiloHost>().Current;
        call.Target = new(silo, GrainId.Create("nobody-knows", "x"));
        var peer = silo.Cluster!.RouteOf(new EndCall(Guid.NewGuid()) { Target = new(silo, GrainId.Create("x", "y")) { Destination = silos[1].Address } })!;
        peer.Send(call);
        var answer = await Assert.ThrowsAsync<ArgumentException>(() => ((Call<int>)call).Answered.WaitAsync(Cluster.Patience));
        Assert.Contains("nobody-knows", answer.Message);
        gate.Open();
        Assert.Equal(silos[1].Address.ToString(), await waiting);
    }

    [Theory]
    [InlineData("DarkStorage.Engine.Tests.IPlacedGrain", "OfALaterVersion", "has no method OfALaterVersion")]
    [InlineData("DarkStorage.Engine.Tests.IGrainOfALaterVersion", "Add", "No type \"DarkStorage.Engine.Tests.IGrainOfALaterVersion\"")]
    public async Task A_method_or_an_interface_that_only_a_later_version_of_the_program_has_is_answered_with_an_error_that_says_so(string grainInterface, string method, string said)
    {
        await using var silos = await TestSilos.StartAsync(2);
        var call = Proxies.NewCall(typeof(IPlacedGrain), nameof(IPlacedGrain.Add));
        // The names alone cross, and the other silo has not heard of them.
        var later = AssemblyBuilder.DefineDynamicAssembly(new("LaterVersion"), AssemblyBuilderAccess.Run).DefineDynamicModule("LaterVersion")
            .DefineType(grainInterface, TypeAttributes.Public | TypeAttributes.Interface | TypeAttributes.Abstract);
        later.DefineMethod(method, MethodAttributes.Public | MethodAttributes.Abstract | MethodAttributes.Virtual | MethodAttributes.NewSlot, typeof(Task<int>), []);
        var asked = later.CreateType();
        call.Method = new(asked, asked.GetMethod(method)!);
        var silo = silos[0].Services.GetRequiredService<SiloHost>().Current;
        call.Target = new(silo, GrainId.Create("placed", await silos.KeyAtAsync(silos[1])));
        silo.Cluster!.RouteOf(new EndCall(Guid.NewGuid()) { Target = new(silo, GrainId.Create("x", "y")) { Destination = silos[1].Address } })!.Send(call);
        var answer = await Assert.ThrowsAsync<Orleans.Serialization.SerializerException>(() => ((Call<int>)call).Answered.WaitAsync(Cluster.Patience));
        Assert.Contains(said, answer.Message);
    }

    [Fact]
    public async Task A_call_that_is_cancelled_while_it_waits_on_another_silo_never_runs_and_one_that_runs_is_told()
    {
        await using var silos = await TestSilos.StartAsync(2);
        var grain = silos[0].Grain(await silos.KeyAtAsync(silos[1]));
        var (first, second) = (Gate.New(), Gate.New());
        using var cancellation = new CancellationTokenSource();
        using var other = new CancellationTokenSource();
        var running = grain.WaitAt(first.Name, other.Token);
        await first.Reached;
        var waiting = grain.WaitAt(second.Name, cancellation.Token);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        // What is asked of the same silo after the cancellation is answered after it.
        await silos[0].Grains.GetGrain<IManagementGrain>(0).GetTotalActivationCount();
        await other.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        await grain.Add();   // behind the one that was told, which has ended though its gate is closed
        Assert.False(second.IsReached);
    }

    [Fact]
    public async Task A_one_way_call_reaches_a_grain_on_another_silo()
    {
        await using var silos = await TestSilos.StartAsync(2);
        var key = await silos.KeyAtAsync(silos[1]);
        await silos[0].Grain(key).Note(key, "heard");
        await Journal.Of(key).Count("heard", 1);
    }

    [Fact]
    public async Task One_way_calls_that_a_silo_can_not_keep_up_with_are_dropped_and_later_ones_are_heard()
    {
        await using var silos = await TestSilos.StartAsync(2, silo => silo.Configure<SiloConnectionOptions>(options => options.CallsMax = 3));
        var key = await silos.KeyAtAsync(silos[1]);
        var (grain, gate) = (silos[0].Grain(key), Gate.New());
        var waiting = grain.WaitAt(gate.Name);
        await gate.Reached;
        for (var i = 0; i < 50; i++) await grain.Note(key, "early");
        // Behind them on the same connection, so they have come when this is refused.
        await Assert.ThrowsAsync<GatewayTooBusyException>(grain.Add);
        gate.Open();
        await waiting;

        await Eventually.HoldsAsync("the places are free again", async () =>
        {
            await grain.Note(key, "later");
            return Journal.Of(key).Now.Contains("later");
        });
        Assert.InRange(Journal.Of(key).Now.Count(entry => entry == "early"), 0, 2);
    }

    [Fact]
    public async Task A_table_of_reminders_that_can_not_be_read_when_silos_change_is_read_again_soon()
    {
        var table = new KeptReminderTable();
        await using var silos = await TestSilos.StartAsync(0);
        await silos.AddAsync(configure: silo =>
        {
            silo.AddReminders();
            silo.Configure<ReminderOptions>(options => options.MinimumReminderPeriod = TimeSpan.FromMilliseconds(10));
            silo.Services.AddSingleton<IReminderTable>(table);
        });
        await silos.AddAsync();
        foreach (var silo in new[] { silos[0], silos[1] }) await silo.SeesActive(2);
        // The first silo has nothing to do with it until the other one goes.
        var view = silos[0].Services.GetRequiredService<SiloHost>().Current.Membership.View;
        var key = Enumerable.Range(0, 1_000).Select(i => $"{silos.ClusterId} {i}").First(key => view.HomeOf(GrainId.Create("remembering", key)) == silos[1].Address);
        await table.UpsertRow(new() { GrainId = GrainId.Create("remembering", key), ReminderName = "tick", StartAt = DateTime.UtcNow, Period = TimeSpan.FromMilliseconds(50) });

        table.Failures = 5;
        await silos[1].StopAsync();
        await Journal.Of(key).Count("tick", 1);
    }

    [Fact]
    public async Task A_reminder_fires_on_one_silo_and_goes_on_when_that_silo_is_gone()
    {
        var table = new KeptReminderTable();
        await using var silos = await TestSilos.StartAsync(3, silo =>
        {
            silo.AddReminders();
            silo.Configure<ReminderOptions>(options => options.MinimumReminderPeriod = TimeSpan.FromMilliseconds(10));
            silo.Services.AddSingleton<IReminderTable>(table);
        });
        var keys = Enumerable.Range(0, 12).Select(i => $"{silos.ClusterId} {i}").ToArray();
        // From a silo that is not always the grain's home: whose reminder it is follows the grain's hash.
        foreach (var key in keys) await silos[0].Grains.GetGrain<IReminderGrain>(key).Remind("tick", TimeSpan.Zero, TimeSpan.FromMilliseconds(50));
        foreach (var key in keys) await Journal.Of(key).Count("tick", 3);

        var owners = silos[0].Membership.CurrentSnapshot.Members.Count;
        Assert.Equal(3, owners);
        await silos[2].StopAsync();
        foreach (var key in keys) await Journal.Of(key).Count("tick", Journal.Of(key).Now.Count(entry => entry == "tick") + 3);
        foreach (var key in keys) await silos[1].Grains.GetGrain<IReminderGrain>(key).Forget("tick");
        Assert.Equal(0, table.Count);
    }

    /// <summary>Calls grains without a pause, from some of the silos, until it is stopped.</summary>
    private sealed class Load : IDisposable
    {
        private readonly CancellationTokenSource _ending = new();
        private readonly Task[] _callers;
        private readonly int _keys;
        private int _calls;
        private TaskCompletionSource<int>? _reached;
        private int _goal = int.MaxValue;

        public Load(TestSilos silos, string[] keys, int? callers = null)
        {
            _keys = keys.Length;
            _callers = [.. Enumerable.Range(0, 8).Select(i => Task.Run(() => RunAsync(silos[i % (callers ?? silos.Count)], keys, i)))];
        }

        public System.Collections.Concurrent.ConcurrentQueue<Exception> Failures { get; } = new();

        /// <summary>As many more calls as there are grains, and some.</summary>
        public Task EachCalledAsync()
        {
            var reached = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
            _reached = reached;
            Volatile.Write(ref _goal, Volatile.Read(ref _calls) + (_keys * 4));
            return reached.Task.WaitAsync(Cluster.Patience);
        }

        public async Task StopAsync()
        {
            await _ending.CancelAsync();
            await Task.WhenAll(_callers).WaitAsync(Cluster.Patience);
        }

        public void Dispose()
        {
            _ending.Cancel();
            _ending.Dispose();
        }

        private async Task RunAsync(TestSilo silo, string[] keys, int seed)
        {
            var random = new Random(seed);
            while (!_ending.IsCancellationRequested)
            {
                try
                {
                    await silo.Grain(keys[random.Next(keys.Length)]).Add();
                }
                catch (Exception error)
                {
                    // Whatever it is, the test wants to see it.
                    Failures.Enqueue(error);
                }

                if (Interlocked.Increment(ref _calls) >= Volatile.Read(ref _goal)) _reached?.TrySetResult(0);
            }
        }
    }
}
#endif
