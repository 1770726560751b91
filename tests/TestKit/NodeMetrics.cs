using System.Globalization;

namespace DarkStorage.TestKit;

/// <summary>What a node says of itself at <c>/metrics</c>.</summary>
public static class NodeMetrics
{
    private static readonly HttpClient Http = new();

    /// <summary>The value of a metric now, the sum of its series; 0 where there is none yet.</summary>
    /// <param name="name">As Prometheus has it, without labels.</param>
    public static async Task<double> MetricAsync(this NodeProcess node, string name)
    {
        var text = await Http.GetStringAsync(new Uri(node.ManagementUrl, "/metrics"));
        return text.Split('\n')
            .Where(l => l.StartsWith(name, StringComparison.Ordinal) && l.Length > name.Length && l[name.Length] is ' ' or '{')
            .Sum(l => double.Parse(l[(l.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture));
    }
}
