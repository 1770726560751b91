using System.Globalization;
using DarkStorage.TestKit;
using Xunit;

namespace DarkStorage.Simulation.Crash;

/// <summary>A node that is killed again and again under its writers. <c>DARKSTORAGE_TEST_SEED</c> repeats a mix, <c>DARKSTORAGE_TEST_KILLS</c> sets how often it dies.</summary>
public sealed class CrashTests(ITestOutputHelper output)
{
    private static readonly TimeSpan CollectedWithin = TimeSpan.FromSeconds(60);

    private static readonly int Kills = Seeds.Count("DARKSTORAGE_TEST_KILLS", 20);

    /// <summary>The collector looks ten times a second, and everything is old enough for it.</summary>
    private static readonly Dictionary<string, string> EagerCollector = new()
    {
        ["DARKSTORAGE_Garbage__GracePeriod"] = "00:00:00",
        ["DARKSTORAGE_Garbage__OrphanAge"] = "00:00:00",
        ["DARKSTORAGE_Garbage__Interval"] = "00:00:00.100",
        ["DARKSTORAGE_Garbage__OrphanInterval"] = "00:00:00.100",
    };

    /// <summary>Eager too. But who found a manifest just before its object was overwritten still has a moment to open it.</summary>
    private static readonly Dictionary<string, string> EagerCollectorBesideReaders = new(EagerCollector) { ["DARKSTORAGE_Garbage__GracePeriod"] = "00:00:02" };

    [Fact]
    public Task Every_acknowledged_write_survives_kill_9_and_nothing_else_shows() => CrashAsync(Kills, []);

    [Fact]
    public Task The_collector_takes_nothing_that_a_write_under_way_or_an_acknowledged_one_needs() => CrashAsync((Kills + 1) / 2, EagerCollectorBesideReaders);

    private async Task CrashAsync(int kills, Dictionary<string, string> environment)
    {
        var seed = Seeds.Next();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"DARKSTORAGE_TEST_SEED={seed} DARKSTORAGE_TEST_KILLS={Kills}"));
        var data = Directory.CreateTempSubdirectory("darkstorage-crash-");
        try
        {
            await CrashAsync(data.FullName, seed, kills, environment);
        }
        finally
        {
            data.Delete(recursive: true);
        }
    }

    private async Task CrashAsync(string data, int seed, int kills, Dictionary<string, string> environment)
    {
        await using var node = await NodeProcess.StartAsync(new() { DataDirectory = data, Environment = environment });
        using var world = await CrashWorld.CreateAsync(node, seed);
        var random = Seeds.Fork(seed);
        for (var kill = 1; kill <= kills; kill++)
        {
            // Now and then at once, when the start is hardly over.
            var operations = random.Next(5) == 0 ? random.Next(1, 20) : random.Next(20, 500);
            await world.WorkUntilKilledAsync(kill, operations);
            await node.RestartAsync();
            await world.VerifyAsync();
            RequireNone(world, seed, kill, node);
        }
        var before = await BlobsAsync(node);
        await node.KillAsync();

        // Now all that the crashes left goes, and nothing else.
        await using var collecting = await NodeProcess.StartAsync(new() { DataDirectory = data, Environment = EagerCollector });
        world.MoveTo(collecting);
        await world.VerifyAsync();
        using var timeout = new CancellationTokenSource(CollectedWithin);
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        while (await BlobsAsync(collecting) is var blobs && blobs != world.BlobsNeeded)
        {
            if (timeout.IsCancellationRequested) Assert.Fail($"seed {seed}: {world.BlobsNeeded} blobs are needed, and {CollectedWithin} after the start the store has {blobs}");
            await poll.WaitForNextTickAsync(CancellationToken.None);
        }
        await world.VerifyAsync();
        RequireNone(world, seed, kills, collecting);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"{kills} kills, {world.Operations} answered operations, {world.Objects} objects and {world.Versions} versions at the end in {world.BlobsNeeded} blobs; before the last collection {before}"));
    }

    private static void RequireNone(CrashWorld world, int seed, int kill, NodeProcess node)
    {
        var complaints = world.Complaints.ToList();
        if (complaints.Count == 0) return;
        Assert.Fail(string.Create(CultureInfo.InvariantCulture,
            $"DARKSTORAGE_TEST_SEED={seed}, kill {kill}: {complaints.Count} complaints\n{string.Join('\n', complaints.Take(10))}\n{Tail(node.Output)}"));
    }

    private static string Tail(string output) => output.Length <= 8_000 ? output : output[^8_000..];

    private static async Task<long> BlobsAsync(NodeProcess node) => (long)await node.MetricAsync("darkstorage_storage_blobs");
}
