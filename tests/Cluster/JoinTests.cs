namespace DarkStorage.Cluster;

/// <summary>Who may join a cluster, and what is said to who may not.</summary>
public sealed class JoinTests : IAsyncLifetime
{
    private TestCluster _cluster = null!;

    public async ValueTask InitializeAsync() => _cluster = await TestCluster.StartAsync(1, new() { Copies = 1 });

    public ValueTask DisposeAsync() => _cluster.DisposeAsync();

    [Fact]
    public async Task A_node_with_another_secret_is_refused()
    {
        var refusal = await RefusedAsync(_cluster.SettingsOf("stranger", secret: "another secret, which is long enough too"));
        Assert.Contains("cluster secret", refusal, StringComparison.Ordinal);
        Assert.Single((await _cluster.DescribeAsync())["nodes"]!.AsArray());
    }

    [Fact]
    public async Task A_secret_that_is_too_short_is_refused() =>
        Assert.Contains("32", await RefusedAsync(_cluster.SettingsOf("stranger", secret: "short")), StringComparison.Ordinal);

    [Fact]
    public async Task A_node_without_the_secret_can_not_share_the_index()
    {
        var settings = _cluster.SettingsOf("stranger");
        Assert.Contains("cluster secret", await RefusedAsync(settings with { Environment = new Dictionary<string, string>() }), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_name_that_another_node_has_is_refused() =>
        Assert.Contains("a name of its own", await RefusedAsync(_cluster.SettingsOf(TestCluster.NameOf(_cluster.Nodes[0]))), StringComparison.Ordinal);

    [Fact]
    public async Task A_node_that_can_not_take_its_port_leaves_nothing_behind()
    {
        var settings = _cluster.SettingsOf("stranger");
        var url = new Uri(settings.Flags[settings.Flags.ToList().IndexOf("--peer-url") + 1]);
        using var taken = new System.Net.Sockets.TcpListener(IPAddress.Loopback, url.Port);
        taken.Start();
        Assert.Contains($"{url.Port}", await RefusedAsync(settings), StringComparison.Ordinal);
        Assert.Single((await _cluster.DescribeAsync())["nodes"]!.AsArray());
    }

    [Fact]
    public async Task A_folder_of_another_cluster_is_refused()
    {
        await using var other = await TestCluster.StartAsync(1, new() { Copies = 1 });
        Assert.Equal(0, await other.Nodes[0].TerminateAsync());
        Assert.Contains("belongs to the cluster", await RefusedAsync(_cluster.SettingsOf("stranger"), other.Nodes[0].DataDirectory), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_change_of_the_layout_that_can_not_be_is_refused_with_a_sentence()
    {
        var name = TestCluster.NameOf(_cluster.Nodes[0]);
        var version = (await _cluster.DescribeAsync())["layout"]!["version"]!.GetValue<long>();
        foreach (var (method, path, body) in ((HttpMethod, string, string?)[])[(HttpMethod.Post, $"/nodes/{name}/drain", null), (HttpMethod.Delete, $"/nodes/{name}", null), (HttpMethod.Put, $"/nodes/{name}", "{\"weight\":0}"),
            (HttpMethod.Put, $"/nodes/{name}", "{}"), (HttpMethod.Post, "/nodes/none/drain", null), (HttpMethod.Post, "/nodes", null)])
        {
            var answer = await _cluster.SendAsync(_cluster.Nodes[0], method, path, body);
            Assert.NotEmpty(answer["error"]!.GetValue<string>());
        }
        Assert.Equal(version, (await _cluster.DescribeAsync())["layout"]!["version"]!.GetValue<long>());
    }

    internal static async Task<string> RefusedAsync(NodeSettings settings, string? data = null)
    {
        var folder = data ?? Directory.CreateTempSubdirectory("darkstorage-refused-").FullName;
        try
        {
            var run = await NodeProcess.RunAsync([.. settings.Flags, "--data", folder, "--s3-url", "http://127.0.0.1:0", "--management-url", "http://127.0.0.1:0"], settings.Environment);
            Assert.NotEqual(0, run.ExitCode);
            return Assert.Single(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        }
        finally
        {
            if (data is null) Directory.Delete(folder, recursive: true);
        }
    }
}
