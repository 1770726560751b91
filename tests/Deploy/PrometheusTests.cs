using System.Text.RegularExpressions;

namespace DarkStorage.Deploy;

/// <summary>The alerts: what Prometheus itself says of them, and whether they ask for what nodes export.</summary>
public sealed partial class PrometheusTests(RunningCluster running)
{
    private const string Folder = "deploy/prometheus";

    public static IEnumerable<Yaml> Alerts => Yaml.Parse(Tool.Read($"{Folder}/alerts.yaml"), "alerts.yaml")["groups"].Items.SelectMany(g => g["rules"].Items);

    [Theory, InlineData("check", "config", "prometheus.yaml"), InlineData("check", "rules", "alerts.yaml"), InlineData("test", "rules", "alerts.test.yaml")]
    public async Task Prometheus_takes_the_files_and_the_alerts_fire_when_they_should(params string[] arguments)
    {
        var run = await Tool.RunAsync("promtool", arguments, Tool.PathOf(Folder));
        Assert.True(run.ExitCode == 0, run.Output);
    }

    [Fact]
    public void Every_alert_is_shown_to_fire_and_what_it_asks_for_is_there_while_all_is_well()
    {
        var tests = Yaml.Parse(Tool.Read($"{Folder}/alerts.test.yaml"))["tests"].Items.ToList();
        var firing = tests.SelectMany(t => t["promql_expr_test"].Items).SelectMany(t => t["exp_samples"].Items).Select(s => s["labels"].Text).ToHashSet(StringComparer.Ordinal);
        var quiet = tests[0]["input_series"].Items.Select(s => s["series"].Text.Split('{')[0]).ToHashSet(StringComparer.Ordinal);
        foreach (var alert in Alerts)
        {
            Assert.Contains($"{{alertname=\"{alert["alert"].Text}\"}}", firing);
            Assert.Equal("", string.Join(' ', MetricsOf(alert["expr"].Text).Except(quiet)));
        }
    }

    [Fact]
    public void Alerts_ask_only_for_metrics_that_nodes_export()
    {
        foreach (var alert in Alerts)
        {
            var asked = MetricsOf(alert["expr"].Text).ToList();
            Assert.NotEmpty(asked);
            Assert.Equal("", string.Join(' ', asked.Except(running.Metrics).Except(["up"])));
        }
    }

    [Fact]
    public void Every_alert_says_how_bad_it_is_and_what_to_do()
    {
        foreach (var alert in Alerts)
        {
            Assert.Contains(alert["labels"]["severity"].Text, (string[])["critical", "warning"]);
            Assert.NotEmpty(alert["annotations"]["summary"].Text);
            Assert.NotEmpty(alert["annotations"]["description"].Text);
        }
    }

    /// <summary>The metrics that a query asks for: words that are no function, no label and no operator.</summary>
    public static IEnumerable<string> MetricsOf(string query) => Metric().Matches(Labels().Replace(query, "")).Select(m => m.Value).Distinct();

    [GeneratedRegex(@"\{[^}]*\}|\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")]
    private static partial Regex Labels();

    [GeneratedRegex(@"(?<![\w.$])(?!(and|or|unless|offset|bool|group_left|group_right)\b)[a-zA-Z_:][\w:]*\b(?!\s*\()(?=[^""']*([""'][^""']*[""'][^""']*)*$)")]
    private static partial Regex Metric();
}
