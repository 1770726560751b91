using System.Collections.Concurrent;

namespace DarkStorage.Engine.Tests;

public interface IStressGrain : IGrainWithStringKey
{
    Task<long> Step(int kind, string? next);
}

public sealed class StressGrain : Grain, IStressGrain
{
    /// <summary>Of each key, the activations alive at this moment. More than one is the failure that is looked for.</summary>
    private static readonly ConcurrentDictionary<string, int> Alive = new();

    private long _steps;
    private int _inside;

    public static ConcurrentQueue<string> Violations { get; } = [];

    private string Key => this.GetPrimaryKeyString();

    public override async Task OnActivateAsync(CancellationToken cancellationToken)
    {
        if (Alive.AddOrUpdate(Key, 1, (_, n) => n + 1) > 1) Violations.Enqueue($"{Key}: two activations at once");
        await Task.Yield();
    }

    public override async Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        await Task.Yield();
        if (_inside != 0) Violations.Enqueue($"{Key}: deactivated while a call ran");
        Alive.AddOrUpdate(Key, 0, (_, n) => n - 1);
    }

    public async Task<long> Step(int kind, string? next)
    {
        if (++_inside > 1) Violations.Enqueue($"{Key}: two calls at once");
        try
        {
            switch (kind % 6)
            {
                case 0:
                    await Task.Yield();
                    break;
                case 1:
                    await Task.Run(() => Thread.SpinWait(200));
                    break;
                case 2:
                    DeactivateOnIdle();
                    break;
                case 3 when next is not null:
                    await GrainFactory.GetGrain<IStressGrain>(next).Step(0, null);
                    break;
                case 4:
                    throw new InvalidOperationException("expected");
            }

            return ++_steps;
        }
        finally
        {
            _inside--;
        }
    }
}

public sealed class StressTests(ClusterFixture fixture, ITestOutputHelper output) : IClassFixture<ClusterFixture>
{
    [Fact]
    public async Task Ten_thousand_grains_come_and_go_under_concurrent_calls()
    {
        var keys = Enumerable.Range(0, 10_000).Select(i => $"churn-{i}").ToArray();
        for (var round = 0; round < 2; round++)
        {
            var answers = await Task.WhenAll(keys.Select(key => Task.Run(() => fixture.Cluster.Grain<ILifeGrain>(key).Touch())));
            Assert.All(answers, answer => Assert.Equal(1, answer));
            await fixture.Cluster.CollectAsync();
        }

        foreach (var key in keys)
        {
            var expected = new[] { "activated", "deactivating ActivationIdle", "deactivated", "disposed" };
            Assert.Equal([.. expected, .. expected], Journal.Of(key).Now);
        }
    }

    [Fact]
    public async Task Random_calls_never_find_two_activations_or_two_calls_at_once()
    {
        var seed = Environment.TickCount;
        output.WriteLine($"seed {seed}");
        var answered = 0;
        await Task.WhenAll(Enumerable.Range(0, 16).Select(caller => Task.Run(async () =>
        {
            var random = new Random(seed + caller);
            for (var i = 0; i < 400; i++)
            {
                // A call goes on only to a key above its own: no circles.
                var key = random.Next(12);
                var next = key < 11 ? $"{seed}-{random.Next(key + 1, 12)}" : null;
                var calls = Enumerable.Range(0, random.Next(1, 4))
                    .Select(_ => fixture.Cluster.Grain<IStressGrain>($"{seed}-{key}").Step(random.Next(6), next)).ToArray();
                foreach (var call in calls)
                {
                    try
                    {
                        Assert.True(await call.WaitAsync(Cluster.Patience) > 0);
                    }
                    catch (InvalidOperationException error) when (error.Message == "expected")
                    {
                        // One kind of step throws.
                    }

                    Interlocked.Increment(ref answered);
                }

                if (caller == 0 && i % 20 == 0) await fixture.Cluster.CollectAsync();
            }
        })));
        Assert.True(StressGrain.Violations.IsEmpty, $"seed {seed}: {string.Join("; ", StressGrain.Violations.Take(5))}");
        Assert.True(answered > 16 * 400, $"{answered} answers");
    }
}
