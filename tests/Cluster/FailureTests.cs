using System.Diagnostics;
using System.Globalization;
using DarkStorage.Cluster.History;

namespace DarkStorage.Cluster;

/// <summary>Five nodes that are killed and frozen under load, while a checker looks on: what clients saw must be what one register could have shown them.</summary>
public sealed partial class FailureTests
{

    /// <summary>What the product promises: for so long requests through live nodes may fail after another is gone.</summary>
    private static readonly TimeSpan OutWithin = TimeSpan.FromSeconds(10);

    /// <summary>How often each node fails. Five minutes are about four. Where <c>DARKSTORAGE_TEST_ROUNDS</c> does not say, some fail once, under a small load.</summary>
    private static readonly int Rounds = int.TryParse(Environment.GetEnvironmentVariable("DARKSTORAGE_TEST_ROUNDS"), CultureInfo.InvariantCulture, out var rounds) ? rounds : 0;

    /// <summary>Requests under way at one time.</summary>
    private static readonly int Clients = Rounds > 0 ? 64 : 16;

    private static readonly int[] Victims = Rounds > 0 ? [0, 1, 2, 3, 4] : [1, 3];

    [Fact]
    public async Task A_cluster_whose_nodes_are_killed_and_frozen_in_turn_answers_as_one_register_for_each_key()
    {
        await using var cluster = await TestCluster.StartAsync(5);
        await using var load = await Load.StartAsync(cluster.Nodes, Clients);
        var began = Stopwatch.StartNew();
        var down = new List<(NodeProcess Node, long From, long To)>();
        for (var round = 0; round < Math.Max(Rounds, 1); round++)
        {
            foreach (var victim in Victims)
            {
                await load.ProgressAsync(400);
                var node = cluster.Nodes[victim];
                var from = Recorder.Now;
                if (victim == 3)
                {
                    // Frozen for longer than its lease: when it goes on it is out, and must not serve what it knew.
                    node.Freeze();
                    await MembersAsync(cluster, 4, victim);
                    await load.ProgressAsync(200, from: Rounds > 0 ? from + (30 * Stopwatch.Frequency) : Recorder.Now);
                    node.Thaw();
                    await load.ProgressAsync(100, from: Recorder.Now);
                }
                else
                {
                    await node.KillAsync();
                    await load.ProgressAsync(200, from: Recorder.Now);
                    await node.RestartAsync();
                }
                await cluster.ReadyAsync(node);
                down.Add((node, from, Recorder.Now));
            }
        }
        await load.StopAsync();
        var time = began.Elapsed;
        await cluster.SettledAsync();

        await load.VerifyAsync(cluster.Nodes, () => Errors(cluster));
        var longest = load.FailuresEndWithin(OutWithin, [.. down.Select(d => d.From)], f => !down.Any(d => d.Node == f.Node && d.From <= f.End && f.Start <= d.To), () => Errors(cluster));
        TestContext.Current.TestOutputHelper?.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{down.Count} failures of nodes in {time.TotalSeconds:F0} s: {load}; through live nodes for {longest.TotalSeconds:F1} s at the most."));
    }

    /// <summary>What the nodes logged of failures, each with the lines behind it.</summary>
    private static string Errors(TestCluster cluster) => string.Join('\n', cluster.Nodes.SelectMany(n =>
    {
        var lines = n.Output.Split('\n');
        return lines.SelectMany((line, i) => line.Contains(" ERR ", StringComparison.Ordinal) ? lines.Skip(i).Take(6) : []);
    }).Take(120));

    /// <summary>Waits until the others have seen that a node is out: by what one of them logs.</summary>
    private static Task MembersAsync(TestCluster cluster, int active, int except) => TestCluster.UntilAsync(() =>
        Task.FromResult(cluster.Nodes.Where((_, i) => i != except).Any(n => n.Output.LastIndexOf($": {active} active silos", StringComparison.Ordinal) > n.Output.LastIndexOf($": {active + 1} active silos", StringComparison.Ordinal))));
}
