using System.Text.Json.Nodes;

namespace DarkStorage.Cluster;

/// <summary>Nodes whose time of day is set wrong while they run, as the database tells: what is brought back to the drives, and nobody knows of until it is committed, is lost to nobody.</summary>
public sealed class ClockTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-clock-").FullName;
    private readonly OutsideClock _clock;
    private string? _wrong;

    public ClockTests() => _clock = new(_folder);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_node_two_days_ahead_frees_nothing_of_what_another_is_bringing_back()
    {
        // It searches each second for what crashes left, and moves nothing itself.
        await using var cluster = await StartAsync(2, new() { ["DARKSTORAGE_Garbage__OrphanInterval"] = "00:00:01", ["DARKSTORAGE_Transitions__Interval"] = "00:10:00" });
        var (wrong, right) = (cluster.Nodes.Single(n => TestCluster.NameOf(n) == _wrong), cluster.Nodes.Single(n => TestCluster.NameOf(n) != _wrong));
        var (bucket, content) = await PutOutsideAsync(cluster, right);

        var before = await wrong.MetricAsync("darkstorage_storage_blobs");
        var warned = wrong.NextLineAsync("What crashes left behind is not searched for");
        await AssignAsync(cluster, right, bucket, "hot");
        await TestCluster.UntilAsync(async () => await wrong.MetricAsync("darkstorage_storage_blobs") > before);
        await _clock.SetAsync("+2d");

        await MovedAsync(cluster, right, bucket, "drives", static failure => Assert.Null(failure));
        Assert.True(content.Same(await right.S3().GetBytesAsync(bucket, "key")));
        Assert.Contains("s ahead of that of", await warned, StringComparison.Ordinal);
        var searches = await wrong.MetricAsync("darkstorage_garbage_orphan_searches_total");
        await _clock.SetAsync("+0d");
        await TestCluster.UntilAsync(async () => await wrong.MetricAsync("darkstorage_garbage_orphan_searches_total") > searches);
        foreach (var node in cluster.Nodes) Assert.True(content.Same(await node.S3().GetBytesAsync(bucket, "key")));
    }

    [Fact]
    public async Task A_node_two_days_behind_does_not_commit_what_it_brought_back_until_its_clock_is_right()
    {
        await using var cluster = await StartAsync(1, []);
        var node = cluster.Nodes[0];
        var (bucket, content) = await PutOutsideAsync(cluster, node);

        await _clock.SetAsync("-2d");
        using var http = new HttpClient();
        await TestCluster.UntilAsync(async () =>
        {
            using var answer = await http.GetAsync(node.S3Url);
            return answer.Headers.Date < DateTimeOffset.UtcNow.AddDays(-1);
        });
        await AssignAsync(cluster, node, bucket, "hot");
        JsonNode? shown = null;
        await TestCluster.UntilAsync(async () => (shown = await ShowAsync(cluster, node, bucket))["move"] is not { } move || move["failure"] is not null, () => $"{shown}");
        Assert.Contains("s behind that of", (string?)shown!["move"]?["failure"], StringComparison.Ordinal);
        Assert.Equal("nas", (string?)shown["place"]);

        await _clock.SetAsync("+0d");
        await MovedAsync(cluster, node, bucket, "drives");
        Assert.True(content.Same(await node.S3().GetBytesAsync(bucket, "key")));
    }

    /// <param name="settings">Of the node whose clock is set.</param>
    private Task<TestCluster> StartAsync(int nodes, Dictionary<string, string> settings) => TestCluster.StartAsync(nodes, new()
    {
        Copies = nodes,
        Environment = new Dictionary<string, string> { ["DARKSTORAGE_Transitions__Interval"] = "00:00:00.050", ["DARKSTORAGE_Transitions__RetryDelay"] = "00:00:00.100" },
        EnvironmentOf = name => (_wrong ??= name) == name ? settings.Concat(_clock.Environment).ToDictionary() : new Dictionary<string, string>(),
    });

    /// <summary>Three parts, at a place that takes seconds for each.</summary>
    private async Task<(string Bucket, byte[] Content)> PutOutsideAsync(TestCluster cluster, NodeProcess node)
    {
        var s3 = node.S3();
        var (bucket, content) = (await s3.NewBucketAsync(), S3Clients.Content(3 * Multipart.PartBytesMin, 7));
        await s3.PutMultipartAsync(bucket, "key", [.. content.Chunk(Multipart.PartBytesMin)]);
        await cluster.SendAsync(node, HttpMethod.Post, "", $$"""{"name":"nas","type":"filesystem","settings":{"path":"{{_folder}}/nas","mebibytes-per-second-max":"2"} }""", "integrations");
        await cluster.SendAsync(node, HttpMethod.Put, "/cold", """{"integration":"nas"}""", "tiers");
        await AssignAsync(cluster, node, bucket, "cold");
        await MovedAsync(cluster, node, bucket, "nas");
        return (bucket, content);
    }

    private static async Task AssignAsync(TestCluster cluster, NodeProcess node, string bucket, string tier) =>
        Assert.Null((string?)(await cluster.SendAsync(node, HttpMethod.Post, $"/{tier}/assign", $$"""{"bucket":"{{bucket}}","key":"key"}""", "tiers"))["error"]);

    private static Task<JsonNode> ShowAsync(TestCluster cluster, NodeProcess node, string bucket) => cluster.SendAsync(node, HttpMethod.Get, $"/object?bucket={bucket}&key=key", null, "tiers");

    /// <param name="look">At what became of an attempt.</param>
    private static async Task MovedAsync(TestCluster cluster, NodeProcess node, string bucket, string place, Action<string?>? look = null)
    {
        JsonNode? shown = null;
        await TestCluster.UntilAsync(async () =>
        {
            shown = await ShowAsync(cluster, node, bucket);
            look?.Invoke((string?)shown["move"]?["failure"]);
            return shown["move"] is null && (string?)shown["place"] == place;
        }, () => $"{shown}");
    }
}
