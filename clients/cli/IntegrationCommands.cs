using System.CommandLine;
using System.Text.Json.Nodes;

namespace DarkStorage.Cli;

/// <summary>Places outside: <c>integrations types|add|authorize|list|test|change|enable|disable|remove</c>. What a place has to be told is asked of the cluster, so that a newer one needs no newer program.</summary>
internal static class IntegrationCommands
{
    private const string Api = "integrations";

    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);

    private static readonly Argument<string> Type = new("TYPE") { Description = "As integrations types lists them" };
    private static readonly Argument<string?> OneType = new("TYPE") { Description = "One, with all that it has to be told", Arity = ArgumentArity.ZeroOrOne };
    private static readonly Argument<string> Name = NameArgument.Of("The integration");
    private static readonly Option<string> NewName = new("--name") { Description = "What it is to be called", Required = true };
    private static readonly Option<string?> Preset = new("--preset") { Description = "A well-known place that its settings begin with" };
    private static readonly Option<bool> Device = new("--device") { Description = "By a code that is entered at the service, wherever one is, and not by a browser that reaches the cluster" };
    private static readonly Option<bool> Wait = new("--wait") { Description = "Waits until somebody has, and says how it ended" };
    private static readonly Option<bool> Json = new("--json") { Description = "What the cluster answered, as it is" };

    public static void AddTo(RootCommand root)
    {
        const string fields = " More flags are the type's own fields: --FIELD VALUE. For a secret @FILE reads it from a file, and @- from the input.";
        root.Subcommands.Add(new("integrations", "Places outside that bytes may be kept in.")
        {
            Command(new("types", "Lists the kinds of places, or says what one has to be told.") { OneType, Json }, TypesAsync),
            Command(new("add", "Adds a place, after it was asked." + fields) { Type, NewName, Preset }, AddAsync, takesFields: true),
            Command(new("authorize", "Asks somebody who may for access to a place, where it has an OAuth client and no other credentials.") { Name, Device, Wait, Json }, AuthorizeAsync),
            Command(new("list", "Lists the places there are, and how they are.") { Json }, ListAsync),
            Command(new("test", "Writes, reads, lists and deletes a small blob there.") { Name, Json }, TestAsync),
            Command(new("change", "Changes some settings, after the place was asked." + fields) { Name }, ChangeAsync, takesFields: true),
            Command(new("enable", "Lets it be used again.") { Name }, (parsed, ct) => SwitchAsync(parsed, "enable", ct)),
            Command(new("disable", "Nothing is put there or deleted there; what is there is read.") { Name }, (parsed, ct) => SwitchAsync(parsed, "disable", ct)),
            Command(new("remove", "Forgets it. What is there stays there.") { Name }, RemoveAsync),
        });
    }

    private static Command Command(Command command, Func<ParseResult, CancellationToken, Task<int>> action, bool takesFields = false)
    {
        command.TreatUnmatchedTokensAsErrors = !takesFields;
        command.SetAction(action);
        return command;
    }

    private static async Task<int> TypesAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var types = await cluster.ListAsync($"{Api}/types", ct);
        if (parsed.GetValue(OneType) is { } wanted)
        {
            var type = Find(types, wanted);
            if (parsed.GetValue(Json)) return Output.Json(type);
            Console.WriteLine($"{type["title"]}. {type["help"]}\n");
            Output.Table(["FIELD", "", "WHAT"], type["fields"]!.AsArray().Select(f => new[] { $"--{f!["name"]}", (bool)f["required"]! ? "required" : f["default"] is { } fallback ? $"[{fallback}]" : "", Help(f) }));
            if (type["presets"]!.AsArray() is not { Count: > 0 } presets) return ExitCodes.Done;
            Console.WriteLine();
            Output.Table(["PRESET", "", "WHAT"], presets.Select(p => new[] { $"{p!["name"]}", $"{p["title"]}", $"{p["help"]}" }));
            return ExitCodes.Done;
        }
        if (parsed.GetValue(Json)) return Output.Json(types);
        Output.Table(["TYPE", "TITLE", "FOR"], types.Select(t => new[] { $"{t!["name"]}", $"{t["title"]}", $"{t["help"]}" }));
        return ExitCodes.Done;
    }

    private static async Task<int> AddAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var type = Find(await cluster.ListAsync($"{Api}/types", ct), parsed.GetRequiredValue(Type));
        var name = parsed.GetRequiredValue(NewName);
        var settings = await SettingsAsync(type, parsed.UnmatchedTokens, ct);
        await cluster.AskAsync(HttpMethod.Post, Api, new { name, type = (string?)type["name"], preset = parsed.GetValue(Preset), settings }, ct);
        Console.WriteLine($"Added {name}");
        var added = await cluster.AskAsync(HttpMethod.Get, PathOf(name), null, ct);
        if (added["authorization"] is not null) Console.WriteLine($"It is not authorized yet: darkstorage integrations authorize {name}");
        return ExitCodes.Done;
    }

    private static async Task<int> AuthorizeAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var name = parsed.GetRequiredValue(Name);
        var start = await cluster.AskAsync(HttpMethod.Post, PathOf(name) + "/authorize", new { flow = parsed.GetValue(Device) ? "device" : "code" }, ct);
        if (parsed.GetValue(Json)) Output.Json(start);
        else if (start["userCode"] is { } code) Console.WriteLine($"Open {start["url"]} and enter {code}, until {start["until"]}.{(start["completeUrl"] is { } complete ? $"\nOr open {complete}" : "")}");
        else Console.WriteLine($"Open this address with a browser and give access, until {start["until"]}:\n{start["url"]}");
        return parsed.GetValue(Wait) ? await WaitAsync(cluster, name, parsed.GetValue(Json), ct) : ExitCodes.Done;
    }

    /// <summary>Until the flow is over, and then until the place has been asked.</summary>
    private static async Task<int> WaitAsync(Cluster cluster, string name, bool json, CancellationToken ct)
    {
        for (; ; await Task.Delay(LookEvery, ct))
        {
            var status = await cluster.AskAsync(HttpMethod.Get, PathOf(name), null, ct);
            if (status["authorization"] is not { } access) throw new CommandFailedException($"{name} has other credentials now.");
            if (access["pendingUntil"] is not null) continue;
            if (access["flowFailure"] is { } failure) throw new CommandFailedException($"{name} was not authorized: {failure}");
            if (access["granted"] is null) throw new CommandFailedException($"{name} was not authorized: what was begun has been forgotten.");
            // Asked again just now, unless nothing is.
            if ((bool)status["integration"]!["isEnabled"]! && (status["health"] is not { } health || (DateTimeOffset)health["checked"]! < (DateTimeOffset)access["granted"]!)) continue;
            if (json) Output.Json(status);
            else Console.WriteLine($"{name} is authorized, and {State(status)}");
            return status["health"] is { } asked && !(bool)asked["healthy"]! ? ExitCodes.Failed : ExitCodes.Done;
        }
    }

    private static async Task<int> ChangeAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var name = parsed.GetRequiredValue(Name);
        // What "types" names is no integration, but the list of them.
        if (await cluster.AskAsync(HttpMethod.Get, PathOf(name), null, ct) is not JsonObject known) throw new CommandFailedException($"There is no integration {name}.");
        var settings = await SettingsAsync(Find(await cluster.ListAsync($"{Api}/types", ct), (string)known["integration"]!["type"]!), parsed.UnmatchedTokens, ct);
        if (settings.Count == 0) throw new UsageException("There is nothing to change: --FIELD VALUE says what.");
        await cluster.AskAsync(HttpMethod.Put, PathOf(name), new { settings }, ct);
        Console.WriteLine($"Changed {name}");
        return ExitCodes.Done;
    }

    private static async Task<int> ListAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var all = await cluster.ListAsync(Api, ct);
        if (parsed.GetValue(Json)) return Output.Json(all);
        Output.Table(["NAME", "TYPE", "STATE", "CALLS", "FAILED", "MEAN MS", "SENT", "READ"], all.Select(i => new[]
        {
            $"{i!["integration"]!["name"]}", $"{i["integration"]!["type"]}", State(i), $"{i["usage"]!["calls"]}", $"{i["usage"]!["failures"]}", MeanOf(i["usage"]!), Output.Bytes((long)i["usage"]!["bytesWritten"]!), Output.Bytes((long)i["usage"]!["bytesRead"]!),
        }));
        return ExitCodes.Done;
    }

    private static async Task<int> TestAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var test = await cluster.AskAsync(HttpMethod.Post, PathOf(parsed.GetRequiredValue(Name)) + "/test", null, ct);
        var exitCode = (bool)test["passed"]! ? ExitCodes.Done : ExitCodes.Failed;
        if (parsed.GetValue(Json)) return Output.Json(test, exitCode);
        Output.Table(["STEP", "", "MS"], test["steps"]!.AsArray().Select(s => new[] { $"{s!["name"]}", (bool)s["passed"]! ? "ok" : $"{s["failure"]}", $"{s["milliseconds"]}" }));
        return exitCode;
    }

    private static async Task<int> SwitchAsync(ParseResult parsed, string verb, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var name = parsed.GetRequiredValue(Name);
        await cluster.AskAsync(HttpMethod.Post, $"{PathOf(name)}/{verb}", null, ct);
        Console.WriteLine($"{name} is {verb}d");
        return ExitCodes.Done;
    }

    private static async Task<int> RemoveAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        var name = parsed.GetRequiredValue(Name);
        await cluster.AskAsync(HttpMethod.Delete, PathOf(name), null, ct);
        Console.WriteLine($"Removed {name}; what is there stays there");
        return ExitCodes.Done;
    }

    /// <summary>Time of a call to its place. Of none there is no mean.</summary>
    private static string MeanOf(JsonNode usage) => (long)usage["calls"]! == 0 ? "" : $"{usage["meanMilliseconds"]}";

    private static string PathOf(string name) => $"{Api}/{Uri.EscapeDataString(name)}";

    private static JsonNode Find(JsonArray types, string name) => types.FirstOrDefault(t => (string?)t!["name"] == name)
        ?? throw new UsageException($"There is no type '{name}'; there are: {string.Join(", ", types.Select(t => t!["name"]))}.");

    /// <summary>Flags as the type's fields: <c>--FIELD VALUE</c>, <c>--FIELD=VALUE</c>, and <c>--FLAG</c> alone for what is true or false.</summary>
    private static async Task<Dictionary<string, string>> SettingsAsync(JsonNode type, IReadOnlyList<string> tokens, CancellationToken ct)
    {
        var (settings, last) = (new Dictionary<string, string>(), "the name");
        for (var i = 0; i < tokens.Count; i++)
        {
            if (!tokens[i].StartsWith("--", StringComparison.Ordinal)) throw new UsageException($"After {last} there is something that is no flag.");
            var equals = tokens[i].IndexOf('=', StringComparison.Ordinal);
            var name = equals < 0 ? tokens[i][2..] : tokens[i][2..equals];
            var field = type["fields"]!.AsArray().FirstOrDefault(f => (string?)f!["name"] == name)
                ?? throw new UsageException($"{type["name"]} has no --{name}; there are: {string.Join(", ", type["fields"]!.AsArray().Select(f => $"--{f!["name"]}"))}.");
            // Never its value, which may be a part of a secret that nobody quoted.
            last = $"--{name}";
            var kind = (string?)field["kind"];
            var value = equals >= 0 ? tokens[i][(equals + 1)..]
                : i + 1 < tokens.Count && !tokens[i + 1].StartsWith("--", StringComparison.Ordinal) ? tokens[++i]
                : kind == "flag" ? "true"
                : throw new UsageException($"--{name} wants a value.");
            settings[name] = kind switch
            {
                // On this machine it can be meant from here.
                "path" when value.Length > 0 && Cluster.IsHere => Path.GetFullPath(value),
                "secret" => await SecretAsync(value, ct),
                _ => value,
            };
        }
        return settings;
    }

    private static async Task<string> SecretAsync(string value, CancellationToken ct) => value switch
    {
        "@-" => (await Console.In.ReadToEndAsync(ct)).TrimEnd('\r', '\n'),
        ['@', .. var file] => (await File.ReadAllTextAsync(file, ct)).TrimEnd('\r', '\n'),
        _ => value,
    };

    private static string Help(JsonNode field) => field["choices"]!.AsArray() is { Count: > 0 } choices ? $"{field["help"]} One of {string.Join(", ", choices.Select(c => c!.ToString()))}." : $"{field["help"]}";

    private static string State(JsonNode status) =>
        !(bool)status["integration"]!["isEnabled"]! ? "disabled"
        : status["health"] is not { } health ? "not asked yet"
        : (bool)health["healthy"]! ? "healthy"
        : $"failing since {health["since"]}: {health["failure"]}";
}
