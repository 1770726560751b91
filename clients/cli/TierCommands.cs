using System.CommandLine;
using System.Globalization;
using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Amazon.S3;
using Amazon.S3.Model;

namespace DarkStorage.Cli;

/// <summary>Tiers, and what is in which: <c>tiers list|configure|remove|set|get|assign|restore|show|files|moves|stats|cost</c>.</summary>
internal static class TierCommands
{
    private const string Api = "tiers";

    /// <summary>Between two looks at a move that is waited for.</summary>
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(250);

    /// <summary>Of rules that others of the bucket are saved beside.</summary>
    private const int SaveAttempts = 8;

    /// <summary>Requests under way for everything below an address.</summary>
    private const int RestoresAtOnce = 8;

    private static readonly Argument<string> Name = NameArgument.Of("The tier");
    private static readonly Argument<string> Address = new("ADDRESS") { Description = "darkstorage://BUCKET/KEY" };
    private static readonly Option<string?> Backend = new("--backend") { Description = "The integration that has its bytes" };
    private static readonly Option<decimal?> Cost = CostOption("--cost", "What a gigabyte (10^9 bytes) costs there for a month, in the currency that you count in; of hot too");
    private static readonly Option<decimal?> CostMultiplier = CostOption("--cost-multiplier", "Instead of --cost: by what the cost of hot is multiplied; each class has a usual one");
    private static readonly Option<string?> Latency = new("--latency") { Description = "How long a read takes until its first byte: milliseconds, seconds, minutes or hours; each class has a usual one" };
    private static readonly Option<decimal?> ReadCost = CostOption("--read-cost", "What a thousand requests cost that read");
    private static readonly Option<decimal?> WriteCost = CostOption("--write-cost", "What a thousand requests cost that write or list");
    private static readonly Option<decimal?> EgressCost = CostOption("--egress-cost", "What a gigabyte costs that goes to clients");
    private static readonly Option<string?> Class = new("--class") { Description = "The storage class that S3 calls it; warm, cold, archive and offsite have one of their own" };
    private static readonly Option<string> Tier = new("--tier") { Description = "The tier it is to be in; hot is the cluster's own drives", Required = true };
    private static readonly Option<string?> Version = new("--version-id") { Description = "Another version than the current one" };
    private static readonly Option<bool> Recursive = new("--recursive", "-r") { Description = "Everything below the address" };
    private static readonly Option<bool> AllVersions = new("--all-versions") { Description = "With -r, also those that are not current" };
    private static readonly Option<string?> InTier = new("--tier") { Description = "Only what is in this tier" };
    private static readonly Option<bool> EveryVersion = new("--all-versions") { Description = "Also those that are not current" };
    private static readonly Option<bool> Wait = new("--wait") { Description = "Until it is there, or an attempt has failed" };
    private static readonly Argument<ObjectAddress> Scope = BucketArguments.Scope("BUCKET");
    private static readonly Option<string?> Default = new("--default") { Description = "The tier of what is written without a storage class  [hot]" };
    private static readonly Option<string[]> Transition = new("--transition") { Description = "A tier, and the age at which objects go there: --transition warm 30d --transition cold 90d", Arity = new(2, 16), AllowMultipleArgumentsPerToken = true };
    private static readonly Option<bool> Clear = new("--clear") { Description = "Takes away what was set" };
    private static readonly Option<int> Days = new("--days") { Description = "For how many days it is to be readable", DefaultValueFactory = static _ => 7 };
    private static readonly Option<string> Speed = new("--speed") { Description = "How soon, where the place makes a difference: standard, expedited or bulk", DefaultValueFactory = static _ => "standard" };
    private static readonly Option<bool> WaitReadable = new("--wait") { Description = "Until it can be read, or an attempt has failed" };
    private static readonly Option<bool> Json = new("--json") { Description = "What the cluster answered, as it is" };

    private static Option<decimal?> CostOption(string name, string description) => new(name)
    {
        Description = description,
        // Nothing between thousands, or 0,02 would be 2.
        CustomParser = static result =>
        {
            if (decimal.TryParse(result.Tokens[0].Value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var cost)) return cost;
            result.AddError($"'{result.Tokens[0].Value}' is no cost: 0.02.");
            return null;
        },
    };

    public static void AddTo(RootCommand root) => root.Subcommands.Add(new("tiers", "Classes of places that bytes may be in.")
    {
        Command(new("list", "Lists the tiers.") { Json }, ListAsync),
        Command(new("configure", "Adds a tier, or changes one. What lies in one that is changed stays where it is, and can be read.") { Name, Backend, Class, Latency, Cost, CostMultiplier, ReadCost, WriteCost, EgressCost }, ConfigureAsync),
        Command(new("remove", "Forgets a tier. What lies there stays, and can be read.") { Name }, RemoveAsync),
        Command(new("set", "Says where what is written to a bucket, or below an address, goes, and where to with its age. What is there already follows.") { Scope, Default, Transition, Clear }, SetAsync),
        Command(new("get", "Says what was set for a bucket.") { Scope, Json }, GetAsync),
        Command(new("assign", "Moves an object, a version, or everything below an address to a tier.") { Address, Tier, Version, Recursive, AllVersions, Wait }, AssignAsync),
        Command(new("restore", "Makes what is archived readable for some days.") { Address, Days, Speed, Version, Recursive, WaitReadable }, RestoreAsync),
        Command(new("show", "Says which tier an object is in, where its bytes are, and where they are to go.") { Address, Version, Json }, ShowAsync),
        Command(new("files", "Lists what is in a tier, or what is in which, in a bucket or below an address.") { Scope, InTier, EveryVersion, Json }, FilesAsync),
        UsageCommands.Stats,
        UsageCommands.Cost,
        Command(new("moves", "Lists moves that are wanted and not done, and why not.") { Json }, MovesAsync),
    });

    private static Command Command(Command command, Func<ParseResult, CancellationToken, Task<int>> action)
    {
        command.SetAction(action);
        return command;
    }

    private static async Task<int> ListAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var tiers = await cluster.ListAsync($"{Api}?all=true", ct);
        if (parsed.GetValue(Json)) return Output.Json(tiers);
        Output.Table(["NAME", "CLASS", "FIRST BYTE IN", "COST", "PLACE"], tiers.Select(t => new[] { $"{t!["name"]}", $"{t["storageClass"]}", $"{t["latency"]}", CostOf(t), PlaceOf(t) }));
        return ExitCodes.Done;
    }

    private static string CostOf(JsonNode tier) => (tier["cost"], tier["costMultiplier"]) switch
    {
        (null, null) => "",
        (null, { } multiplier) => $"{multiplier} of hot's",
        ({ } cost, null) => $"{cost}",
        ({ } cost, { } multiplier) => $"{Output.Money(cost)} ({multiplier} of hot's)",
    };

    private static string PlaceOf(JsonNode tier) => (bool?)tier["isConfigured"] == false ? "not configured" : tier["integration"]?.ToString() ?? "the cluster's own drives";

    private static async Task<int> ConfigureAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var tier = await cluster.AskAsync(HttpMethod.Put, PathOf(parsed.GetRequiredValue(Name)), new
        {
            storageClass = parsed.GetValue(Class), integration = parsed.GetValue(Backend), latency = parsed.GetValue(Latency), cost = parsed.GetValue(Cost), costMultiplier = parsed.GetValue(CostMultiplier),
            readCost = parsed.GetValue(ReadCost), writeCost = parsed.GetValue(WriteCost), egressCost = parsed.GetValue(EgressCost),
        }, ct);
        Console.WriteLine($"{tier["name"]} is at {PlaceOf(tier)}, and S3 calls it {tier["storageClass"]}{TraitsOf(tier)}");
        return ExitCodes.Done;
    }

    private static string TraitsOf(JsonNode tier)
    {
        (string Value, string Words)[] traits =
        [
            ($"{tier["latency"]}", "reads begin in {0}"), (CostOf(tier), "a gigabyte costs {0} a month"),
            ($"{tier["readCost"]}", "a thousand reads {0}"), ($"{tier["writeCost"]}", "a thousand writes {0}"), ($"{tier["egressCost"]}", "a gigabyte to clients {0}"),
        ];
        return string.Concat(traits.Where(static t => t.Value.Length > 0).Select(static t => "; " + t.Words.Replace("{0}", t.Value, StringComparison.Ordinal)));
    }

    private static async Task<int> RemoveAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var name = parsed.GetRequiredValue(Name);
        await cluster.AskAsync(HttpMethod.Delete, PathOf(name), null, ct);
        Console.WriteLine($"Removed {name}; what lies there stays there, and can be read");
        return ExitCodes.Done;
    }

    private static async Task<int> AssignAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var (address, tier) = (ObjectAddress.Parse(parsed.GetRequiredValue(Address)), parsed.GetRequiredValue(Tier));
        if (parsed.GetValue(Recursive)) return await AssignAllAsync(cluster, parsed, address, tier, ct);
        if (parsed.GetValue(AllVersions)) throw new UsageException("--all-versions is for everything below an address: -r.");
        if (address.Key.Length == 0) throw new UsageException($"'{address}' is no object; -r is for all of a bucket.");
        var now = await cluster.AskAsync(HttpMethod.Post, $"{PathOf(tier)}/assign", new { bucket = address.Bucket, key = address.Key, versionId = parsed.GetValue(Version) }, ct);
        if (!parsed.GetValue(Wait))
        {
            Console.WriteLine($"{address} goes to {tier}");
            return ExitCodes.Done;
        }
        while (now["move"] is { } move)
        {
            if (move["failure"] is { } failure) throw new CommandFailedException($"{address} is not in {tier} yet, and it will be tried again: {failure}");
            await Task.Delay(LookEvery, ct);
            now = await cluster.AskAsync(HttpMethod.Get, PathOf(address, (string?)now["versionId"]), null, ct);
        }
        if ((string?)now["tier"] != tier) throw new CommandFailedException($"{address} was changed meanwhile, and is in {now["tier"] ?? "no tier"}.");
        Console.WriteLine($"{address} is in {tier}");
        return ExitCodes.Done;
    }

    private static async Task<int> AssignAllAsync(Cluster cluster, ParseResult parsed, ObjectAddress below, string tier, CancellationToken ct)
    {
        if (parsed.GetValue(Wait) || parsed.GetValue(Version) is not null) throw new UsageException("--wait and --version-id are for one object.");
        var (wanted, after) = (0L, (JsonNode?)null);
        do
        {
            var page = await cluster.AskAsync(HttpMethod.Post, $"{PathOf(tier)}/assign", new { bucket = below.Bucket, prefix = below.Key, allVersions = parsed.GetValue(AllVersions), after }, ct);
            wanted += (long)page["wanted"]!;
            after = page["next"]?.DeepClone();
        }
        while (after is not null);
        Console.WriteLine($"{wanted} go to {tier}");
        return ExitCodes.Done;
    }

    private static async Task<int> RestoreAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var address = ObjectAddress.Parse(parsed.GetRequiredValue(Address));
        var speed = parsed.GetValue(Speed) switch
        {
            "standard" => GlacierJobTier.Standard,
            "expedited" => GlacierJobTier.Expedited,
            "bulk" => GlacierJobTier.Bulk,
            var other => throw new UsageException($"'{other}' is no speed: standard, expedited or bulk."),
        };
        if (parsed.GetValue(Days) < 1) throw new UsageException("--days is 1 or more.");
        if (parsed.GetValue(Recursive)) return await RestoreAllAsync(cluster, parsed, address, speed, ct);
        if (address.Key.Length == 0) throw new UsageException($"'{address}' is no object; -r is for all of a bucket.");
        var version = parsed.GetValue(Version);
        await AskForAsync(cluster.S3, address, version, parsed.GetValue(Days), speed, ct);
        if (!parsed.GetValue(WaitReadable))
        {
            Console.WriteLine($"{address} is being restored");
            return ExitCodes.Done;
        }
        while (true)
        {
            var restore = (await cluster.AskAsync(HttpMethod.Get, PathOf(address, version), null, ct))["restore"] ?? throw new CommandFailedException($"{address} was changed meanwhile, and is not being restored.");
            if (restore["until"] is { } until)
            {
                Console.WriteLine($"{address} can be read until {until}");
                return ExitCodes.Done;
            }
            if (restore["failure"] is { } failure) throw new CommandFailedException($"{address} can't be read yet, and it will be tried again: {failure}");
            await Task.Delay(LookEvery, ct);
        }
    }

    private static async Task<int> RestoreAllAsync(Cluster cluster, ParseResult parsed, ObjectAddress below, GlacierJobTier speed, CancellationToken ct)
    {
        if (parsed.GetValue(WaitReadable) || parsed.GetValue(Version) is not null) throw new UsageException("--wait and --version-id are for one object.");
        var asked = 0L;
        for (var page = new ListObjectsV2Request { BucketName = below.Bucket, Prefix = below.Key }; ;)
        {
            var answer = await cluster.S3.ListObjectsV2Async(page, ct);
            var archived = (answer.S3Objects ?? []).Where(o => o.StorageClass == S3StorageClass.Glacier || o.StorageClass == S3StorageClass.DeepArchive);
            await Parallel.ForEachAsync(archived, new ParallelOptions { MaxDegreeOfParallelism = RestoresAtOnce, CancellationToken = ct }, async (found, ct) =>
            {
                await AskForAsync(cluster.S3, below with { Key = found.Key }, null, parsed.GetValue(Days), speed, ct);
                Interlocked.Increment(ref asked);
            });
            if (answer.IsTruncated != true) break;
            page.ContinuationToken = answer.NextContinuationToken;
        }
        Console.WriteLine($"{asked} are being restored");
        return ExitCodes.Done;
    }

    /// <summary>One that is being restored already is left to that.</summary>
    private static async Task AskForAsync(IAmazonS3 s3, ObjectAddress address, string? version, int days, GlacierJobTier speed, CancellationToken ct)
    {
        try
        {
            await s3.RestoreObjectAsync(new() { BucketName = address.Bucket, Key = address.Key, VersionId = version, Days = days, RetrievalTier = speed }, ct);
        }
        catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.Conflict && e.ErrorCode == "RestoreAlreadyInProgress")
        {
            // As it is wanted.
        }
    }

    private static async Task<int> SetAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var scope = parsed.GetRequiredValue(Scope);
        var (wanted, words, clear) = (parsed.GetValue(Default), parsed.GetValue(Transition) ?? [], parsed.GetValue(Clear));
        if (clear == (wanted is not null || words.Length > 0)) throw new UsageException("Either --default and --transition say what is wanted, or --clear takes it away.");
        if (words.Length % 2 != 0) throw new UsageException("--transition wants a tier and an age: --transition warm 30d.");
        var transitions = words.Chunk(2).Select(w => new { tier = w[0], days = DaysOf(w[1]) }).ToList();
        for (var attempt = 1; ; attempt++)
        {
            var before = await cluster.AskAsync(HttpMethod.Get, PathOf(scope), null, ct);
            var entries = before["entries"]!.AsArray().Where(e => (string?)e!["prefix"] != scope.Key).Select(e => e!.DeepClone()).ToList();
            if (!clear) entries.Add(JsonSerializer.SerializeToNode(new { prefix = scope.Key, @default = wanted, transitions })!);
            // Somebody else may say something of another prefix at the same time.
            HttpStatusCode? again = attempt < SaveAttempts ? HttpStatusCode.Conflict : null;
            if (await cluster.TryAskAsync(HttpMethod.Put, PathOf(scope), new { entries, revision = before["revision"]?.DeepClone() }, again, ct) is not null) break;
        }
        Console.WriteLine(clear ? $"{scope}: nothing is set" : $"{scope}: {wanted ?? "hot"}{string.Concat(words.Chunk(2).Select(w => $", {w[0]} after {w[1]}"))}");
        return ExitCodes.Done;
    }

    private static async Task<int> GetAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var scope = parsed.GetRequiredValue(Scope);
        var set = await cluster.AskAsync(HttpMethod.Get, PathOf(scope), null, ct);
        if (parsed.GetValue(Json)) return Output.Json(set);
        Output.Table(["BELOW", "DEFAULT", "TRANSITIONS"], set["entries"]!.AsArray().Select(e => new[]
        {
            $"{scope with { Key = (string)e!["prefix"]! }}", $"{e["default"]}", string.Join(", ", e["transitions"]!.AsArray().Select(t => $"{t!["tier"]} {t["days"]}d")),
        }));
        return ExitCodes.Done;
    }

    private static int DaysOf(string age) => age is [.. var number, 'd'] && int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var days)
        ? days
        : throw new UsageException($"'{age}' is no age in days: 30d.");

    private static async Task<int> ShowAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var shown = await cluster.AskAsync(HttpMethod.Get, PathOf(ObjectAddress.Parse(parsed.GetRequiredValue(Address)), parsed.GetValue(Version)), null, ct);
        if (parsed.GetValue(Json)) return Output.Json(shown);
        Output.Table(["TIER", "CLASS", "PLACE", "SIZE", "GOES TO", "ATTEMPTS", "FAILURE", "READABLE UNTIL"],
        [
            [$"{shown["tier"]}", $"{shown["storageClass"]}", $"{shown["place"]}", Output.Bytes((long)shown["length"]!), $"{shown["move"]?["tier"]}", $"{shown["move"]?["attempts"]}", $"{shown["move"]?["failure"] ?? shown["restore"]?["failure"]}",
                shown["restore"] is { } restore ? $"{restore["until"] ?? "being restored"}" : ""],
        ]);
        return ExitCodes.Done;
    }

    private static async Task<int> FilesAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var scope = parsed.GetRequiredValue(Scope);
        var (tier, isJson) = (parsed.GetValue(InTier), parsed.GetValue(Json));
        var path = $"{Api}/files?bucket={Uri.EscapeDataString(scope.Bucket)}&prefix={Uri.EscapeDataString(scope.Key)}&allVersions={parsed.GetValue(EveryVersion)}{(tier is null ? "" : $"&tier={Uri.EscapeDataString(tier)}")}";
        var (count, bytes, all, after) = (0L, 0L, new JsonArray(), (JsonNode?)null);
        do
        {
            var page = await cluster.AskAsync(HttpMethod.Get, after is null ? path : $"{path}&after={Uri.EscapeDataString(after.ToJsonString())}", null, ct);
            foreach (var file in page["files"]!.AsArray())
            {
                (count, bytes) = (count + 1, bytes + (long)file!["length"]!);
                if (isJson) all.Add(file.DeepClone());
                // Of very many each is told when it is known.
                else Console.WriteLine($"{Output.Bytes((long)file["length"]!),10}  {file["tier"] ?? file["storageClass"],-8}  {file["key"]}{((bool)file["isLatest"]! ? "" : $"  (version {file["versionId"]})")}");
            }
            after = page["next"];
        }
        while (after is not null);
        if (isJson) return Output.Json(all);
        Console.WriteLine($"{count} version{(count == 1 ? "" : "s")}, {Output.Bytes(bytes)}");
        return ExitCodes.Done;
    }

    private static async Task<int> MovesAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var moves = await cluster.ListAsync($"{Api}/moves", ct);
        if (parsed.GetValue(Json)) return Output.Json(moves);
        Output.Table(["OBJECT", "TO", "WANTED BY", "SINCE", "ATTEMPTS", "FAILURE"], moves.Select(m => new[]
        {
            $"{new ObjectAddress((string?)m!["bucket"] ?? "?", $"{m["key"]}")}", $"{m["tier"] ?? m["storageClass"]}", $"{m["wantedBy"]}", $"{m["asked"]}", $"{m["attempts"]}", $"{m["failure"]}",
        }));
        return ExitCodes.Done;
    }

    private static string PathOf(string tier) => $"{Api}/{Uri.EscapeDataString(tier)}";

    private static string PathOf(ObjectAddress scope) => $"{Api}/buckets/{Uri.EscapeDataString(scope.Bucket)}";

    private static string PathOf(ObjectAddress address, string? version) =>
        $"{Api}/object?bucket={Uri.EscapeDataString(address.Bucket)}&key={Uri.EscapeDataString(address.Key)}&versionId={Uri.EscapeDataString(version ?? "")}";
}
