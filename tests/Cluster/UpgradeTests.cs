using System.Diagnostics;
using System.Text.Json.Nodes;
using DarkStorage.GrainInterfaces.Cluster;

namespace DarkStorage.Cluster;

/// <summary>A cluster of an earlier version that is upgraded node by node while clients work. Whoever runs it says which one that is; eng/upgrade-test.sh builds it from the history.</summary>
public sealed class UpgradeTests : IDisposable
{
    private const string Variable = "DARKSTORAGE_TEST_PREVIOUS";

    /// <summary>After a node began to stop, and again after it is back.</summary>
    private static readonly TimeSpan FailuresMax = TimeSpan.FromSeconds(10);

    private readonly Dictionary<string, byte[]> _kept = new(StringComparer.Ordinal);
    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-upgrade-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_cluster_of_an_earlier_version_is_upgraded_node_by_node_under_load_and_one_node_goes_back_in_between()
    {
        var previous = Environment.GetEnvironmentVariable(Variable);
        Assert.SkipWhen(string.IsNullOrEmpty(previous), $"{Variable} names no program of an earlier version: there is none where there is no history to build one of (eng/upgrade-test.sh).");
        Assert.True(File.Exists(previous), $"{Variable}: there is no {previous}.");
        await using var cluster = await TestCluster.StartAsync(3, new() { Program = previous });
        var nodes = cluster.Nodes;
        var bucket = await nodes[0].S3().NewBucketAsync();
        await using var load = await Load.StartAsync(nodes, clients: 4);
        await WorksThroughAllAsync(nodes, bucket, "before");

        var away = new List<(NodeProcess Node, long From, long To)>();
        (int Node, string Program)[] steps = [(0, NodeProcess.ProgramPath), (1, NodeProcess.ProgramPath), (0, previous), (0, NodeProcess.ProgramPath), (2, NodeProcess.ProgramPath)];
        int? levelBefore = null;
        foreach (var (step, (index, program)) in steps.Index())
        {
            var node = nodes[index];
            await load.ProgressAsync(50);
            var from = Stopwatch.GetTimestamp();
            Assert.Equal(0, await node.TerminateAsync());
            node.Program = program;
            await node.RestartAsync();
            await cluster.ReadyAsync(node);
            away.Add((node, from, Stopwatch.GetTimestamp()));
            await load.ProgressAsync(50, away[^1].To);

            var upgraded = nodes.First(n => n.Program != previous);
            await FollowAsync(cluster, upgraded);
            var levels = await LevelsAsync(cluster, upgraded);
            levelBefore ??= nodes.Where(n => n.Program == previous).Select(n => levels[n]).First();
            var level = levels[upgraded];
            Assert.All(nodes, n => Assert.Equal(n.Program == previous ? levelBefore : level, levels[n]));
            if (levels.Values.Any(l => l < level)) await NothingNewAsync(cluster, upgraded, levelBefore.Value, bucket, nodes.Where(n => n.Program == previous));
            await WorksThroughAllAsync(nodes, bucket, $"step-{step}");
            if (step == 1) await ReadsAsync(nodes, bucket, "");
        }
        await load.StopAsync();
        await cluster.SettledAsync();
        if (levelBefore < ClusterLevels.Accesses) await NoWayBackAsync(cluster, previous, bucket);

        await WorksThroughAllAsync(nodes, bucket, "after");
        await ReadsAsync(nodes, bucket, "");
        await load.VerifyAsync(nodes, Explain);
        var longest = load.FailuresEndWithin(FailuresMax, [.. away.SelectMany(a => (long[])[a.From, a.To])],
            f => !away.Any(a => a.Node == f.Node && f.End >= a.From && f.Start <= a.To), Explain);
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{load}; through the other nodes for {longest.TotalSeconds:0.0} s at most; away {string.Join(", ", away.Select(a => $"{Stopwatch.GetElapsedTime(a.From, a.To).TotalSeconds:0.0} s"))}.");

        string Explain() => string.Join('\n', nodes.Select(n => $"== {TestCluster.NameOf(n)}\n{n.Output}"));
    }

    /// <summary>Every node has told by which layout it works, and that is the newest; and nothing waits for repair at those that run this program. When an earlier one is through with an entry is its own affair: there is
    /// one that keeps what was never committed for a day.</summary>
    private static async Task FollowAsync(TestCluster cluster, NodeProcess at)
    {
        JsonNode? seen = null;
        await TestCluster.UntilAsync(async () =>
        {
            seen = await cluster.DescribeAsync(at);
            var version = seen["layout"]!["version"]!.GetValue<long>();
            return seen["nodes"]!.AsArray().All(n => n!["layoutSeen"]!.GetValue<long>() == version && n["layoutMoved"]!.GetValue<long>() == version)
                && seen["layout"]!["moving"]!.GetValue<int>() == 0
                && cluster.Nodes.Where(n => n.Program == NodeProcess.ProgramPath).All(n => seen["nodes"]!.AsArray().Single(d => d!["name"]!.GetValue<string>() == TestCluster.NameOf(n))!["repairs"]!.GetValue<long>() == 0);
        }, () => $"{seen}");
    }

    private static async Task<Dictionary<NodeProcess, int>> LevelsAsync(TestCluster cluster, NodeProcess at)
    {
        var described = (await cluster.DescribeAsync(at))["nodes"]!.AsArray();
        return cluster.Nodes.ToDictionary(n => n, n => described.Single(d => d!["name"]!.GetValue<string>() == TestCluster.NameOf(n))!["level"]!.GetValue<int>());
    }

    /// <summary>What the older nodes would not understand is refused, with their names.</summary>
    private async Task NothingNewAsync(TestCluster cluster, NodeProcess at, int levelBefore, string bucket, IEnumerable<NodeProcess> older)
    {
        (int Level, HttpMethod Method, string Api, string Path, string Body)[] all =
        [
            (ClusterLevels.Redundancy, HttpMethod.Put, "cluster", $"/buckets/{bucket}", """{"copies":2}"""), (ClusterLevels.Redundancy, HttpMethod.Put, "cluster", "/replication", """{"width":3}"""),
            (ClusterLevels.Integrations, HttpMethod.Post, "integrations", "", NewIntegration), (ClusterLevels.Authorizations, HttpMethod.Post, "integrations", "", Authorized), (ClusterLevels.Places, HttpMethod.Put, "tiers", "/cold", NewTier),
            (ClusterLevels.Accesses, HttpMethod.Put, "lifecycle", $"/{bucket}/accesses", CountedAccesses), (ClusterLevels.Usage, HttpMethod.Put, "tiers", "/hot", """{"readCost":1}"""),
            (ClusterLevels.TierTraits, HttpMethod.Put, "tiers", "/cold", """{"latency":"seconds"}"""),
        ];
        foreach (var (_, method, api, path, body) in all.Where(n => n.Level > levelBefore))
        {
            var refusal = (await cluster.SendAsync(at, method, path, body, api))["error"]?.GetValue<string>();
            Assert.Contains("an older one", refusal, StringComparison.Ordinal);
            Assert.All(older, n => Assert.Contains(TestCluster.NameOf(n), refusal, StringComparison.Ordinal));
        }
    }

    /// <summary>Once something is kept that the older program would not understand, that does not start any more.</summary>
    private async Task NoWayBackAsync(TestCluster cluster, string previous, string bucket)
    {
        var answer = await cluster.SendAsync(cluster.Nodes[0], HttpMethod.Post, "", NewIntegration, "integrations");
        Assert.Equal("nas", answer["name"]?.GetValue<string>());
        Assert.Equal("cold", (await cluster.SendAsync(cluster.Nodes[1], HttpMethod.Put, "/cold", NewTier, "tiers"))["name"]?.GetValue<string>());
        Assert.True((await cluster.SendAsync(cluster.Nodes[1], HttpMethod.Put, $"/{bucket}/accesses", CountedAccesses, "lifecycle"))["counted"]?.GetValue<bool>());
        var node = cluster.Nodes[2];
        Assert.Equal(0, await node.TerminateAsync());
        node.Program = previous;
        Assert.Contains("newer version of DarkStorage", (await Assert.ThrowsAsync<InvalidOperationException>(node.RestartAsync)).Message, StringComparison.Ordinal);
        node.Program = NodeProcess.ProgramPath;
        await node.RestartAsync();
        await cluster.ReadyAsync(node);
    }

    private const string CountedAccesses = """{"counted":true}""";

    private const string Authorized = """{"name":"cloud","type":"gcs","settings":{"bucket":"photos","client-id":"app"}}""";

    private const string NewTier = """{"integration":"nas"}""";

    private string NewIntegration => $$$"""{"name":"nas","type":"filesystem","settings":{"path":"{{{_folder}}}"}}""";

    /// <summary>Each node writes, puts parts together, and deletes; each node then reads what was written, and lists what there is.</summary>
    private async Task WorksThroughAllAsync(IReadOnlyList<NodeProcess> nodes, string bucket, string when)
    {
        foreach (var (i, node) in nodes.Index())
        {
            using var s3 = node.S3();
            foreach (var length in (int[])[100, 300_000])
            {
                var content = S3Clients.Content(length, _kept.Count);
                await s3.PutBytesAsync(bucket, $"{when}/{i}-{length}", content);
                _kept.Add($"{when}/{i}-{length}", content);
            }
            // Of a class that could be a tier's: where an earlier program would have to be asked, there are none.
            var labelled = S3Clients.Content(200_000, _kept.Count);
            await s3.PutObjectAsync(new() { BucketName = bucket, Key = $"{when}/{i}-labelled", InputStream = new MemoryStream(labelled), StorageClass = S3StorageClass.StandardInfrequentAccess });
            _kept.Add($"{when}/{i}-labelled", labelled);
            byte[][] parts = [S3Clients.Content(Multipart.PartBytesMin, i), S3Clients.Content(100_000, i)];
            await s3.PutMultipartAsync(bucket, $"{when}/{i}-parts", parts);
            _kept.Add($"{when}/{i}-parts", [.. parts[0], .. parts[1]]);
            // Of an earlier step, but for the first.
            var old = _kept.Keys.First();
            await s3.DeleteObjectAsync(bucket, old);
            _kept.Remove(old);
        }
        await ReadsAsync(nodes, bucket, $"{when}/");
    }

    /// <param name="prefix">Of the keys that are read; all are listed.</param>
    private async Task ReadsAsync(IReadOnlyList<NodeProcess> nodes, string bucket, string prefix)
    {
        foreach (var node in nodes)
        {
            using var s3 = node.S3();
            foreach (var (key, content) in _kept.Where(k => k.Key.StartsWith(prefix, StringComparison.Ordinal))) Assert.True((await s3.GetBytesAsync(bucket, key)).Same(content), $"{key} reads otherwise at {TestCluster.NameOf(node)}.");
            var listed = (await s3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects.Select(o => o.Key);
            Assert.Equal(_kept.Keys.Order(StringComparer.Ordinal), listed);
        }
    }
}
