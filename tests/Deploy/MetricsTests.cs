using System.Globalization;

namespace DarkStorage.Deploy;

/// <summary>What the nodes of a cluster say of it at <c>/metrics</c>.</summary>
public sealed class MetricsTests(RunningCluster running)
{
    [Fact]
    public async Task A_node_of_a_settled_cluster_says_so_in_its_metrics()
    {
        await running.Cluster.SettledAsync();
        foreach (var node in running.Cluster.Nodes)
        {
            var name = DarkStorage.Cluster.TestCluster.NameOf(node);
            await SaysAsync(node, "darkstorage_node_ready", 1);
            await SaysAsync(node, $"darkstorage_node_info{{node=\"{name}\",zone=\"{name}\",role=\"storage\",", 1);
            await SaysAsync(node, "darkstorage_cluster_live", 1);
            await SaysAsync(node, "darkstorage_cluster_members", 3);
            await SaysAsync(node, "darkstorage_cluster_nodes{state=\"active\"}", 3);
            await SaysAsync(node, "darkstorage_cluster_nodes{state=\"draining\"}", 0);
            await SaysAsync(node, "darkstorage_cluster_nodes{state=\"gone\"}", 0);
            await SaysAsync(node, "darkstorage_cluster_nodes_away", 0);
            await SaysAsync(node, "darkstorage_cluster_copies", 3);
            await SaysAsync(node, "darkstorage_cluster_partitions_moving", 0);
            await SaysAsync(node, "darkstorage_cluster_repairs_waiting", 0);
            await SaysAsync(node, "darkstorage_index_away", 0);
            var version = await node.MetricAsync("darkstorage_cluster_layout_version");
            Assert.True(version > 0);
            await SaysAsync(node, "darkstorage_cluster_layout_moved", version);
            await Eventually.HoldsAsync("a scrub began", async () => await node.MetricAsync("darkstorage_scrub_pass_begun_timestamp_seconds") > 0);
        }
        await Eventually.HoldsAsync("one node collects the garbage of all", async () =>
            (await Task.WhenAll(running.Cluster.Nodes.Select(n => n.MetricAsync("darkstorage_garbage_collected_timestamp_seconds")))).Max() > 0);
    }

    [Fact]
    public async Task One_node_speaks_of_an_integration()
    {
        var tellers = Array.Empty<string>();
        await Eventually.HoldsAsync(async () =>
        {
            // A grain may be on its way from one to another.
            var texts = await Task.WhenAll(running.Cluster.Nodes.Select(running.TextAsync));
            tellers = [.. texts.Select(t => string.Join(' ', t.Split('\n').Where(l => l.StartsWith($"darkstorage_integration_healthy{{integration=\"{RunningCluster.Place}\"}}", StringComparison.Ordinal)))).Where(t => t.Length > 0)];
            return tellers is [var one] && one.EndsWith(" 1", StringComparison.Ordinal);
        }, () => $"{tellers.Length} nodes say: {string.Join(", ", tellers)}");
    }

    [Fact]
    public async Task What_Prometheus_reads_is_as_it_wants_it()
    {
        // Its linter knows rules that the format does not have; the runtime's own names are not ours to choose.
        var text = string.Join('\n', (await running.TextAsync(running.Cluster.Nodes[0])).Split('\n').Where(l => !l.Contains("dotnet_", StringComparison.Ordinal)));
        var run = await Tool.RunAsync("promtool", ["check", "metrics"], input: text);
        Assert.True(run.ExitCode == 0, run.Output);
    }

    [Fact]
    public void The_documentation_lists_every_metric_of_ours_and_no_other()
    {
        var listed = System.Text.RegularExpressions.Regex.Matches(Tool.Read("docs/OPERATIONS.md"), "darkstorage_[a-z0-9_]+").Select(m => m.Value).ToHashSet(StringComparer.Ordinal);
        var exported = running.Metrics.Where(m => m.StartsWith("darkstorage_", StringComparison.Ordinal)).Select(WithoutSuffix).ToHashSet(StringComparer.Ordinal);
        exported.Add("darkstorage_index_reserve_releases_total"); // of SQLite's index alone
        var (missing, extra) = (exported.Except(listed).Order(StringComparer.Ordinal).ToList(), listed.Except(exported).Order(StringComparer.Ordinal).ToList());
        Assert.True(missing.Count + extra.Count == 0, $"Not in docs/OPERATIONS.md: {string.Join(' ', missing)}\nNot exported: {string.Join(' ', extra)}");
    }

    private static string WithoutSuffix(string name)
    {
        foreach (var suffix in (string[])["_bucket", "_sum", "_count"])
        {
            if (name.EndsWith(suffix, StringComparison.Ordinal)) return name[..^suffix.Length];
        }
        return name;
    }

    private async Task SaysAsync(NodeProcess node, string series, double value)
    {
        var seen = "";
        await Eventually.HoldsAsync(async () =>
        {
            seen = await running.TextAsync(node);
            return seen.Split('\n').Any(l => l.StartsWith(series, StringComparison.Ordinal) && double.Parse(l[(l.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture) == value);
        }, () => $"{series} is not {value}:\n{seen}");
    }
}
