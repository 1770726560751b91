using System.Text.Json.Nodes;

namespace DarkStorage.Deploy;

/// <summary>The dashboard: its queries, read by Prometheus, ask for what nodes export; its panels lie beside each other. No Grafana has shown it here.</summary>
public sealed class GrafanaTests(RunningCluster running)
{
    private static readonly JsonNode Dashboard = JsonNode.Parse(Tool.Read("deploy/grafana/darkstorage.json"))!;

    private static IEnumerable<JsonNode> Panels => Dashboard["panels"]!.AsArray().Select(p => p!);

    private static IEnumerable<string> Queries => Panels.SelectMany(p => p["targets"]?.AsArray() ?? []).Select(t => (string)t!["expr"]!);

    [Fact]
    public void Queries_ask_only_for_metrics_that_nodes_export()
    {
        var variables = Dashboard["templating"]!["list"]!.AsArray().Select(v => (string?)v!["definition"]).OfType<string>().Select(d => d[(d.IndexOf('(', StringComparison.Ordinal) + 1)..d.LastIndexOf(',')]);
        Assert.True(Queries.Count() > 40);
        foreach (var query in Queries.Concat(variables))
        {
            var asked = PrometheusTests.MetricsOf(WithoutVariables(query)).ToList();
            Assert.NotEmpty(asked);
            Assert.True(asked.All(running.Metrics.Contains), $"{query} asks for {string.Join(' ', asked.Except(running.Metrics))}");
        }
    }

    [Fact]
    public async Task Prometheus_can_read_every_query()
    {
        var file = Path.GetTempFileName();
        try
        {
            var rules = Queries.Select((q, i) => new JsonObject { ["record"] = $"query:{i}", ["expr"] = WithoutVariables(q) });
            // JSON is YAML.
            await File.WriteAllTextAsync(file, new JsonObject { ["groups"] = new JsonArray(new JsonObject { ["name"] = "dashboard", ["rules"] = new JsonArray([.. rules]) }) }.ToJsonString());
            var run = await Tool.RunAsync("promtool", ["check", "rules", file]);
            Assert.True(run.ExitCode == 0, run.Output);
            Assert.Contains($"{Queries.Count()} rules found", run.Output, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void Every_query_is_held_to_one_cluster_and_to_the_nodes_that_were_chosen()
    {
        foreach (var query in Queries) Assert.Contains("{job=\"$job\"", query, StringComparison.Ordinal);
        Assert.All(Panels.Where(p => (string?)p["type"] == "timeseries"), p => Assert.Equal("${datasource}", (string?)p["datasource"]!["uid"]));
    }

    [Fact]
    public void Panels_have_ids_of_their_own_and_do_not_cover_each_other()
    {
        Assert.Equal(Panels.Count(), Panels.Select(p => (int)p["id"]!).Distinct().Count());
        var taken = new HashSet<(int, int)>();
        foreach (var panel in Panels)
        {
            var (x, y, w, h) = ((int)panel["gridPos"]!["x"]!, (int)panel["gridPos"]!["y"]!, (int)panel["gridPos"]!["w"]!, (int)panel["gridPos"]!["h"]!);
            Assert.True(x + w <= 24, (string?)panel["title"]);
            for (var i = x; i < x + w; i++)
            {
                for (var j = y; j < y + h; j++) Assert.True(taken.Add((i, j)), (string?)panel["title"]);
            }
        }
    }

    private static string WithoutVariables(string query) =>
        query.Replace("$__rate_interval", "1m", StringComparison.Ordinal).Replace("$job", "darkstorage", StringComparison.Ordinal).Replace("$instance", ".*", StringComparison.Ordinal);
}
