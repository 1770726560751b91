using System.CommandLine;
using System.Text.Json.Nodes;

namespace DarkStorage.Cli;

/// <summary>What becomes of objects with time: <c>lifecycle add|list|enable|disable|remove|preview|cost|explain|runs|accesses</c>.</summary>
internal static class LifecycleCommands
{
    private const string Api = "lifecycle";

    private static readonly Argument<string> Bucket = BucketArguments.Bucket("The bucket");
    private static readonly Argument<string> Name = NameArgument.Of("The policy; policies are tried in the order of their names");
    private static readonly Argument<string> Address = new("ADDRESS") { Description = "darkstorage://BUCKET/KEY" };
    private static readonly Option<string[]> Rule = new("--rule") { Description = "A rule: 'age > 30d AND size > 1GB -> cold'. Several are tried in their order; docs/LIFECYCLE.md has the language" };
    private static readonly Option<string?> File = new("--file") { Description = "A file with the rules; - is the input" };
    private static readonly Option<bool> Disabled = new("--disabled") { Description = "It is kept, and does nothing until it is enabled" };
    private static readonly Option<string?> Count = new("--count") { Description = "on or off" };
    private static readonly Option<string?> Version = new("--version-id") { Description = "Another version than the current one" };
    private static readonly Option<string?> From = new("--from") { Description = "The first month, as 2026-01  [eleven months before this one]" };
    private static readonly Option<bool> Json = new("--json") { Description = "What the cluster answered, as it is" };

    public static void AddTo(RootCommand root) => root.Subcommands.Add(new("lifecycle", "Policies that say which tier objects belong in.")
    {
        Command(new("add", "Adds a policy to a bucket, or changes one, which stays disabled where it is.") { Bucket, Name, Rule, File, Disabled }, AddAsync),
        Command(new("list", "Lists the policies of a bucket.") { Bucket, Json }, ListAsync),
        Command(new("enable", "Lets a policy move objects.") { Bucket, Name }, (parsed, ct) => SwitchAsync(parsed, "enable", ct)),
        Command(new("disable", "Keeps a policy, which asks for no more moves.") { Bucket, Name }, (parsed, ct) => SwitchAsync(parsed, "disable", ct)),
        Command(new("remove", "Forgets a policy.") { Bucket, Name }, RemoveAsync),
        Command(new("preview", "Says what the next run would do; with rules, what it would do if they were the bucket's only policy.") { Bucket, Rule, File, Json }, PreviewAsync),
        Command(new("cost", "Estimates what a bucket's objects would have cost, had rules stood in the place of its policies since they were made.") { Bucket, Rule, File, From, Json }, CostAsync),
        Command(new("explain", "Says why an object is where it is, and what happens to it next and when.") { Address, Version, Json }, ExplainAsync),
        Command(new("accesses", "Says whether accesses of a bucket's objects are counted; with --count on or off, has it so.") { Bucket, Count, Json }, AccessesAsync),
        Command(new("runs", "Says what the runs did, the newest first.") { Bucket, Json }, RunsAsync),
    });

    private static Command Command(Command command, Func<ParseResult, CancellationToken, Task<int>> action)
    {
        command.SetAction(action);
        return command;
    }

    private static async Task<int> AddAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var text = await TextOfAsync(parsed, ct) ?? throw new UsageException("--rule or --file says what is wanted.");
        // One that was disabled is not to move anything because its text was mended.
        var policy = await cluster.AskAsync(HttpMethod.Put, PathOf(parsed), new { text, enabled = parsed.GetValue(Disabled) ? false : (bool?)null }, ct);
        Warn(policy);
        Console.WriteLine($"{parsed.GetRequiredValue(Bucket)} has the policy {policy["name"]}{((bool)policy["enabled"]! ? "" : ", which is disabled")}");
        return ExitCodes.Done;
    }

    private static async Task<int> ListAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var policies = await cluster.ListAsync($"{PathOf(parsed.GetRequiredValue(Bucket))}/policies", ct);
        if (parsed.GetValue(Json)) return Output.Json(policies);
        foreach (var policy in policies)
        {
            Console.WriteLine($"{policy!["name"]}{((bool)policy["enabled"]! ? "" : " (disabled)")}");
            foreach (var line in $"{policy["text"]}".TrimEnd().Split('\n')) Console.WriteLine($"  {line}");
        }
        return ExitCodes.Done;
    }

    private static async Task<int> SwitchAsync(ParseResult parsed, string word, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        Warn(await cluster.AskAsync(HttpMethod.Post, $"{PathOf(parsed)}/{word}", null, ct));
        Console.WriteLine($"{parsed.GetRequiredValue(Name)} is {word}d");
        return ExitCodes.Done;
    }

    private static async Task<int> RemoveAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        Warn(await cluster.AskAsync(HttpMethod.Delete, PathOf(parsed), null, ct));
        Console.WriteLine($"Removed {parsed.GetRequiredValue(Name)}; what it has moved stays where it is");
        return ExitCodes.Done;
    }

    /// <summary>Of rules that do not go together any more, which is done all the same.</summary>
    private static void Warn(JsonNode answer)
    {
        if (answer["warning"] is { } warning) Console.Error.WriteLine($"darkstorage: warning: {warning}");
    }

    private static async Task<int> PreviewAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var (path, text) = ($"{PathOf(parsed.GetRequiredValue(Bucket))}/preview", await TextOfAsync(parsed, ct));
        JsonObject? sum = null;
        do
        {
            var after = sum?["next"]?.DeepClone();
            var page = text is not null ? await cluster.AskAsync(HttpMethod.Post, path, new { text, after }, ct)
                : await cluster.AskAsync(HttpMethod.Get, after is null ? path : $"{path}?after={Uri.EscapeDataString(after.ToJsonString())}", null, ct);
            sum = Add(sum, page.AsObject());
        }
        while (sum["next"] is not null);
        if (parsed.GetValue(Json)) return Output.Json(sum);
        Print(sum);
        if (sum["ended"] is null) Console.WriteLine("There are more, which were not looked at.");
        return ExitCodes.Done;
    }

    /// <summary>Pages of a preview as one.</summary>
    private static JsonObject Add(JsonObject? sum, JsonObject page)
    {
        if (sum is null) return page;
        foreach (var name in (string[])["looked", "expired", "removed", "transitioned", "bytes"]) sum[name] = (long)sum[name]! + (long)page[name]!;
        foreach (var move in page["moves"]!.AsArray().Select(m => m!.DeepClone().AsObject()))
        {
            if (sum["moves"]!.AsArray().FirstOrDefault(m => (string?)m!["from"] == (string?)move["from"] && (string?)m["to"] == (string?)move["to"]) is not { } same)
            {
                sum["moves"]!.AsArray().Add(move);
                continue;
            }
            foreach (var name in (string[])["versions", "bytes"]) same[name] = (long)same[name]! + (long)move[name]!;
            same["savedPerMonth"] = Sum(same["savedPerMonth"], move["savedPerMonth"]);
        }
        sum["savedPerMonth"] = Sum(sum["savedPerMonth"], page["savedPerMonth"]);
        (sum["ended"], sum["next"]) = (page["ended"]?.DeepClone(), page["next"]?.DeepClone());
        return sum;

        // Of two of which one is not known the sum is not either.
        static JsonNode? Sum(JsonNode? a, JsonNode? b) => a is null || b is null ? null : (decimal)a + (decimal)b;
    }

    private static async Task<int> CostAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var text = await TextOfAsync(parsed, ct) ?? throw new UsageException("--rule or --file says what is asked about.");
        var estimate = await cluster.AskAsync(HttpMethod.Post, $"{PathOf(parsed.GetRequiredValue(Bucket))}/cost", new { text, from = parsed.GetValue(From) }, ct);
        if (parsed.GetValue(Json)) return Output.Json(estimate);
        Output.Table(["MONTH", "TIER", "GB-MONTHS", "MOVES THERE", "STORAGE", "MOVES", "TOTAL"], estimate["with"]!["months"]!.AsArray().Select(m => new[]
        {
            $"{m!["month"]}", $"{m["tier"] ?? m["storageClass"]}", Output.Gigabytes(m["byteMonths"]!), $"{m["moves"]}", Output.Money(m["cost"]!["storage"]), Output.Money(m["cost"]!["moves"]), Output.Money(m["cost"]!["total"]),
        }));
        Console.WriteLine($"Of the {estimate["looked"]} versions that are there, since {estimate["from"]}: {TotalOf("with")} with these rules, {TotalOf("asItIs")} as the bucket's lifecycle is now, {TotalOf("unmoved")} had nothing been moved.");
        string[] all = ["with", "asItIs", "unmoved"];
        if (all.Any(w => estimate[w]!["total"] is null)) Console.WriteLine("Where it is ?, the cost of a tier is not known: tiers configure NAME --cost COST says it.");
        if (all.Any(w => (bool?)estimate[w]!["hasAllMoves"] == false)) Console.WriteLine("What moves cost is not known of each tier, and not in it: tiers configure NAME --write-cost COST says it.");
        if (!(bool)estimate["isWhole"]!) Console.WriteLine("There are more, which were not looked at.");
        return ExitCodes.Done;

        string TotalOf(string which) => Output.Money(estimate[which]!["total"]);
    }

    private static async Task<int> ExplainAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var address = ObjectAddress.Parse(parsed.GetRequiredValue(Address));
        if (address.Key.Length == 0) throw new UsageException($"'{address}' is no object.");
        var explained = await cluster.AskAsync(HttpMethod.Get, $"{PathOf(address.Bucket)}/explain?key={Uri.EscapeDataString(address.Key)}&versionId={Uri.EscapeDataString(parsed.GetValue(Version) ?? "")}", null, ct);
        if (parsed.GetValue(Json)) return Output.Json(explained);
        foreach (var line in explained["lines"]!.AsArray()) Console.WriteLine($"{line}");
        return ExitCodes.Done;
    }

    private static async Task<int> AccessesAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var (bucket, wanted) = (parsed.GetRequiredValue(Bucket), parsed.GetValue(Count));
        if (wanted is not (null or "on" or "off")) throw new UsageException("--count is on or off.");
        var path = $"{PathOf(bucket)}/accesses";
        var counting = wanted is null ? await cluster.AskAsync(HttpMethod.Get, path, null, ct) : await cluster.AskAsync(HttpMethod.Put, path, new { counted = wanted == "on" }, ct);
        if (parsed.GetValue(Json)) return Output.Json(counting);
        Console.WriteLine((bool)counting["counted"]! ? $"Accesses of {bucket} are counted since {counting["since"]}" : $"Accesses of {bucket} are not counted");
        return ExitCodes.Done;
    }

    private static async Task<int> RunsAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var status = await cluster.AskAsync(HttpMethod.Get, PathOf(parsed.GetRequiredValue(Bucket)), null, ct);
        if (parsed.GetValue(Json)) return Output.Json(status);
        if (status["problem"] is { } problem) Console.WriteLine(problem);
        var reports = new[] { status["running"], status["last"] }.Concat(status["before"]!.AsArray()).OfType<JsonNode>();
        Output.Table(["BEGUN", "ENDED", "LOOKED AT", "MOVES ASKED FOR", "STILL WAITING", "EXPIRED", "REMOVED", "LOCKED", "FAILED"], reports.Select(r => new[]
        {
            $"{r["begun"]}", r["ended"]?.ToString() ?? "running", $"{r["looked"]}", $"{r["transitioned"]}", $"{r["waiting"] ?? 0}", $"{r["expired"]}", $"{r["removed"]}", $"{r["locked"]}", $"{r["failed"]}",
        }));
        return ExitCodes.Done;
    }

    private static void Print(JsonNode report)
    {
        Console.WriteLine($"Of {report["looked"]} versions {report["transitioned"]} move, {report["expired"]} expire and {report["removed"]} are removed for good");
        if (report["moves"]!.AsArray() is not { Count: > 0 } moves) return;
        Output.Table(["FROM", "TO", "FIRST BYTE IN", "VERSIONS", "BYTES", "SAVES A MONTH"], moves.Select(m => new[] { $"{m!["from"]}", $"{m["to"]}", $"{m["latency"]}", $"{m["versions"]}", Output.Bytes((long)m["bytes"]!), Output.Money(m["savedPerMonth"]) }));
        Console.WriteLine(report["savedPerMonth"] is { } saved ? $"That saves {Output.Money(saved)} a month." : "What that saves is not known: tiers configure NAME --cost COST says what a tier costs.");
    }

    /// <returns>Null where neither was given.</returns>
    private static async Task<string?> TextOfAsync(ParseResult parsed, CancellationToken ct)
    {
        var (rules, file) = (parsed.GetValue(Rule) ?? [], parsed.GetValue(File));
        if (rules.Length > 0 && file is not null) throw new UsageException("--rule or --file, and not both.");
        if (rules.Length > 0) return string.Join('\n', rules);
        if (file is null) return null;
        if (file == "-") return await Console.In.ReadToEndAsync(ct);
        return System.IO.File.Exists(file) ? await System.IO.File.ReadAllTextAsync(file, ct) : throw new UsageException($"There is no file '{file}'.");
    }

    private static string PathOf(string bucket) => $"{Api}/{Uri.EscapeDataString(bucket)}";

    private static string PathOf(ParseResult parsed) => $"{PathOf(parsed.GetRequiredValue(Bucket))}/policies/{Uri.EscapeDataString(parsed.GetRequiredValue(Name))}";
}
