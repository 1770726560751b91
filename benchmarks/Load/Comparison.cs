using System.Globalization;

namespace DarkStorage.Load;

/// <summary>One row of the comparison.</summary>
/// <param name="First">What the figures are held against: the yardstick, or one silo.</param>
/// <param name="Second">The node, or the cluster.</param>
/// <param name="Wanted">The least share of the first.</param>
internal sealed record Row(string Name, string Unit, double First, double Second, double Ratio, double Wanted)
{
    public bool Reached => Ratio >= Wanted;
}

/// <summary>Measures one endpoint against another as the project promises it: row by row, each a ratio taken in one run.</summary>
internal static class Comparison
{
    private const string Bucket = "comparison";
    private const int Listed = 100_000;
    private const long MiB = 1 << 20;

    /// <param name="Prepare">Objects of that size that must be there first.</param>
    internal sealed record Plan(string Name, int Connections, long Size, string Mix, int Objects, bool Prepare, double Wanted, bool Bytes, string? Delimiter = null);

    /// <summary>A node against the yardstick.</summary>
    public static readonly Plan[] OfNode =
    [
        new("PUT 4 KiB", 64, 4 << 10, "put", 1_000_000, false, .40, false),
        new("GET 4 KiB", 64, 4 << 10, "get", 10_000, true, .35, false),
        new("PUT 1 MiB", 16, MiB, "put", 2_000, false, .85, true),
        new("GET 1 MiB", 16, MiB, "get", 500, true, .70, true),
        new("PUT 1 GiB", 1, 1 << 30, "put", 2, false, .90, true),
        new("GET 1 GiB", 1, 1 << 30, "get", 1, true, .45, true),
        new("LIST 1,000", 16, 16, "list", Listed, true, .50, false),
        new("LIST folded", 16, 16, "list", Listed, true, .50, false, "/"),
    ];

    /// <summary>A cluster of three silos that keeps three copies against one silo, on one machine: three times the bytes on one disk, and all silos on the processors of one.</summary>
    public static readonly Plan[] OfCluster =
    [
        new("PUT 4 KiB", 64, 4 << 10, "put", 1_000_000, false, .40, false),
        new("PUT 1 MiB", 16, MiB, "put", 1_000, false, .30, true),
        new("GET 1 MiB", 16, MiB, "get", 500, true, .80, true),
    ];

    public static async Task<IReadOnlyList<Row>> RunAsync(IEnumerable<Plan> plans, Endpoint first, Endpoint second, int rounds, TimeSpan time, TimeSpan warmUp, string? only, TextWriter output)
    {
        var rows = new List<Row>();
        foreach (var endpoint in (Endpoint[])[first, second]) await Runner.EnsureBucketAsync(endpoint, Bucket);
        foreach (var plan in plans)
        {
            if (only is not null && !plan.Name.Contains(only, StringComparison.OrdinalIgnoreCase)) continue;
            var prefix = plan.Name.ToLowerInvariant().Replace(" ", "", StringComparison.Ordinal).Replace(",", "", StringComparison.Ordinal) + "/";
            // Folded: 100 common prefixes of 1,000 keys each.
            var work = new Workload(Bucket, prefix, plan.Connections, plan.Size, Mix.Parse(plan.Mix), plan.Objects, time, plan.Delimiter, plan.Delimiter is null ? 0 : 100);
            if (plan.Prepare)
            {
                foreach (var endpoint in (Endpoint[])[first, second]) await Runner.PrepareAsync(endpoint, work);
            }
            if (warmUp > TimeSpan.Zero)
            {
                foreach (var endpoint in (Endpoint[])[first, second]) await Runner.RunAsync(endpoint, work with { Time = warmUp });
            }
            var (a, b) = (new List<double>(), new List<double>());
            for (var round = 0; round < rounds; round++)
            {
                a.Add(Figure(plan, await Runner.RunAsync(first, work)));
                b.Add(Figure(plan, await Runner.RunAsync(second, work)));
            }
            var row = new Row(plan.Name, plan.Bytes ? "MB/s" : "requests/s", Median(a), Median(b), Median([.. b.Zip(a, (x, y) => x / y)]), plan.Wanted);
            rows.Add(row);
            await output.WriteLineAsync(string.Create(CultureInfo.InvariantCulture,
                $"{row.Name,-12} {first.Name} {row.First,10:n0} {second.Name} {row.Second,10:n0} {row.Unit,-10} ratio {row.Ratio,6:p0} wanted {row.Wanted:p0} {(row.Reached ? "reached" : "MISSED")}"));
        }
        return rows;
    }

    private static double Figure(Plan plan, Result result)
    {
        if (result.Errors > 0) throw new InvalidOperationException($"{result.Endpoint}: {plan.Name} had {result.Errors} errors.");
        return plan.Bytes ? result.MegabytesPerSecond : result.RequestsPerSecond;
    }

    private static double Median(List<double> values)
    {
        values.Sort();
        return values[values.Count / 2];
    }
}
