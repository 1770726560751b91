using System.CommandLine;
using System.Text.Json.Nodes;

namespace DarkStorage.Cli;

/// <summary>What was there, what was asked of it, and what that costs: <c>tiers stats</c> and <c>tiers cost</c>.</summary>
internal static class UsageCommands
{
    private const string Api = "usage";

    private static readonly Argument<string?> Bucket = BucketArguments.OptionalBucket("Of one bucket, and not of all with those that are gone among them");
    private static readonly Option<string?> From = new("--from") { Description = "The first month, as 2026-01  [eleven months before the last]" };
    private static readonly Option<string?> To = new("--to") { Description = "The last month  [this one]" };
    private static readonly Option<bool> ByBucket = new("--by-bucket") { Description = "Each bucket that is there for itself, of the last month alone" };
    private static readonly Option<bool> Json = new("--json") { Description = "What the cluster answered, as it is" };

    public static Command Stats { get; } = New("stats", "Says what was in each tier, month by month, and what was asked of it.",
        ["VERSIONS", "SIZE", "GB-MONTHS", "READS", "WRITES", "DELETES", "RECEIVED", "SENT"], static u =>
        [
            $"{u["objects"]}", Output.Bytes((long)u["bytes"]!), Output.Gigabytes(u["byteMonths"]!), $"{u["reads"]}", $"{u["writes"]}", $"{u["deletes"]}", Output.Bytes((long)u["received"]!), Output.Bytes((long)u["sent"]!),
        ], totals: false);

    public static Command Cost { get; } = New("cost", "Estimates what each tier costs, month by month, by what was said of the tiers' costs.",
        ["GB-MONTHS", "STORAGE", "READS", "WRITES", "EGRESS", "TOTAL"], static u =>
        [
            Output.Gigabytes(u["byteMonths"]!), Output.Money(u["cost"]!["storage"]), Output.Money(u["cost"]!["reads"]), Output.Money(u["cost"]!["writes"]), Output.Money(u["cost"]!["egress"]), Output.Money(u["cost"]!["total"]),
        ], totals: true);

    private static Command New(string name, string description, string[] head, Func<JsonNode, string[]> row, bool totals)
    {
        var command = new Command(name, description) { Bucket, From, To, ByBucket, Json };
        command.SetAction((parsed, ct) => ShowAsync(parsed, head, row, totals, ct));
        return command;
    }

    private static async Task<int> ShowAsync(ParseResult parsed, string[] head, Func<JsonNode, string[]> row, bool totals, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        if (parsed.GetValue(ByBucket)) return await ShowBucketsAsync(cluster, parsed, head, row, ct);
        var usage = await cluster.AskAsync(HttpMethod.Get, $"{Api}?bucket={Uri.EscapeDataString(parsed.GetValue(Bucket) ?? "")}&from={Text(parsed, From)}&to={Text(parsed, To)}", null, ct);
        if (parsed.GetValue(Json)) return Output.Json(usage);
        var entries = usage["entries"]!.AsArray();
        var rows = entries.Select(u => (string[])[$"{u!["month"]}", TierOf(u), .. row(u)]);
        if (totals && entries.Count > 0) rows = rows.Append(["all", "", .. Enumerable.Repeat("", head.Length - 1), Output.Money(TotalOf(entries))]);
        Output.Table(["MONTH", "TIER", .. head], rows);
        var unknown = entries.Where(static u => u!["cost"]!["storage"] is null && (decimal)u["byteMonths"]! > 0).Select(static u => TierOf(u!)).Distinct(StringComparer.Ordinal).ToList();
        if (totals && unknown.Count > 0) Console.WriteLine($"Not in the sum, as its cost is not known: what is stored in {string.Join(", ", unknown)}");
        return ExitCodes.Done;
    }

    private static async Task<int> ShowBucketsAsync(Cluster cluster, ParseResult parsed, string[] head, Func<JsonNode, string[]> row, CancellationToken ct)
    {
        if (parsed.GetValue(Bucket) is not null || parsed.GetValue(From) is not null) throw new UsageException("--by-bucket is of all buckets, and of the one month that --to says.");
        var (all, after) = (new JsonArray(), "");
        do
        {
            var page = await cluster.AskAsync(HttpMethod.Get, $"{Api}/buckets?month={Text(parsed, To)}&after={Uri.EscapeDataString(after)}", null, ct);
            foreach (var entry in page["entries"]!.AsArray()) all.Add(entry!.DeepClone());
            after = (string?)page["next"];
        }
        while (after is not null);
        if (parsed.GetValue(Json)) return Output.Json(all);
        Output.Table(["BUCKET", "MONTH", "TIER", .. head], all.Select(e => (string[])[$"{e!["bucket"]}", $"{e["usage"]!["month"]}", TierOf(e["usage"]!), .. row(e["usage"]!)]));
        return ExitCodes.Done;
    }

    private static string Text(ParseResult parsed, Option<string?> option) => Uri.EscapeDataString(parsed.GetValue(option) ?? "");

    /// <summary>A class that is no tier's has its own name; what was there before classes were counted has none until it is sorted.</summary>
    private static string TierOf(JsonNode usage) => $"{usage["tier"] ?? usage["storageClass"] ?? "?"}";

    private static JsonNode? TotalOf(JsonArray entries)
    {
        var known = entries.Select(static e => (decimal?)e!["cost"]!["total"]).OfType<decimal>().ToList();
        return known.Count == 0 ? null : JsonValue.Create(known.Sum());
    }
}
