using System.Text.Json.Nodes;

namespace DarkStorage.Conformance;

/// <summary>A node that asks places outside for their health as often as it can be told to.</summary>
public sealed class IntegrationNodeFixture : NodeFixture
{
    protected override NodeSettings Settings => new() { Environment = new Dictionary<string, string> { ["DARKSTORAGE_Integrations__HealthPeriod"] = "00:00:01" } };
}

/// <summary>Places outside: added, asked, changed and removed over the management API.</summary>
public sealed class IntegrationTests(IntegrationNodeFixture fixture) : IClassFixture<IntegrationNodeFixture>, IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-integration-").FullName;

    private NodeProcess Node => fixture.Node;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task The_types_say_all_that_a_form_needs()
    {
        var types = (await JsonAsync(HttpMethod.Get, "/types", null, HttpStatusCode.OK)).AsArray();
        Assert.Equal(["arweave", "azure", "filecoin", "filesystem", "gcs", "google-drive", "ipfs", "rclone", "s3"], types.Select(t => (string?)t!["name"]));
        var s3 = types.Single(t => (string?)t!["name"] == "s3")!;
        var fields = s3["fields"]!.AsArray();
        Assert.Equal(("secret", false), ((string?)Field("secret-key")["kind"], (bool)Field("secret-key")["required"]!));
        Assert.Equal(("text", true), ((string?)Field("bucket")["kind"], (bool)Field("bucket")["required"]!));
        Assert.Equal("30", (string?)Field("timeout-seconds")["default"]);
        Assert.Equal("https://s3.{region}.backblazeb2.com", (string?)s3["presets"]!.AsArray().Single(p => (string?)p!["name"] == "backblaze")!["values"]!["endpoint"]);
        foreach (var type in types)
        {
            Assert.NotEqual("", (string?)type!["title"]);
            Assert.All(type["fields"]!.AsArray(), f => Assert.EndsWith(".", (string?)f!["help"], StringComparison.Ordinal));
        }

        JsonNode Field(string name) => fields.Single(f => (string?)f!["name"] == name)!;
    }

    [Fact]
    public async Task A_folder_is_added_tested_disabled_and_removed_and_what_is_in_it_stays()
    {
        var (name, path) = (NewName(), Path.Combine(_folder, "nas"));
        var added = await JsonAsync(HttpMethod.Post, "", new { name, type = "filesystem", settings = new { path } }, HttpStatusCode.Created);
        Assert.Equal((name, "filesystem", path, true), ((string?)added["name"], (string?)added["type"], (string?)added["settings"]!["path"], (bool)added["isEnabled"]!));
        Assert.True(Directory.Exists(Path.Combine(path, ".darkstorage")));
        await File.WriteAllTextAsync(Path.Combine(path, "theirs"), "theirs");

        var test = await JsonAsync(HttpMethod.Post, $"/{name}/test", null, HttpStatusCode.OK);
        Assert.True((bool)test["passed"]!);
        Assert.Equal(["write", "find", "read", "read a range", "list", "settle", "delete"], test["steps"]!.AsArray().Select(s => (string?)s!["name"]));
        Assert.Equal([".darkstorage/id", "theirs"], Directory.EnumerateFiles(path, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(path, f)).Order(StringComparer.Ordinal));

        var status = (await JsonAsync(HttpMethod.Get, "", null, HttpStatusCode.OK)).AsArray().Single(i => (string?)i!["integration"]!["name"] == name)!;
        Assert.True((long)status["usage"]!["calls"]! >= 7);
        Assert.Equal((70_000L, 135_001L), ((long)status["usage"]!["bytesWritten"]!, (long)status["usage"]!["bytesRead"]!));

        Assert.False((bool)(await JsonAsync(HttpMethod.Post, $"/{name}/disable", null, HttpStatusCode.OK))["isEnabled"]!);
        Assert.True((bool)(await JsonAsync(HttpMethod.Post, $"/{name}/enable", null, HttpStatusCode.OK))["isEnabled"]!);
        Assert.Equal($"There is an integration {name}.", await ErrorAsync(HttpMethod.Post, "", new { name, type = "filesystem", settings = new { path = _folder } }, HttpStatusCode.Conflict));
        await JsonAsync(HttpMethod.Delete, $"/{name}", null, HttpStatusCode.OK);
        Assert.True(File.Exists(Path.Combine(path, "theirs")));
        foreach (var (method, what) in new[] { (HttpMethod.Get, ""), (HttpMethod.Delete, ""), (HttpMethod.Post, "/test"), (HttpMethod.Post, "/enable"), (HttpMethod.Post, "/disable") })
            Assert.Equal($"There is no integration {name}.", await ErrorAsync(method, $"/{name}{what}", null, HttpStatusCode.NotFound));
    }

    [Fact]
    public async Task Credentials_are_kept_over_a_restart_and_shown_to_nobody()
    {
        await using var other = await NodeProcess.StartAsync(new() { SecretKey = "the-secret-of-the-other-place" });
        await using var node = await NodeProcess.StartAsync(new());
        using var s3 = other.S3();
        var bucket = await s3.NewBucketAsync();
        var endpoint = other.S3Url.GetLeftPart(UriPartial.Authority);
        var shown = new StringBuilder();
        object Settings(string secret) => new Dictionary<string, string> { ["endpoint"] = endpoint, ["bucket"] = bucket, ["prefix"] = "here/", ["access-key"] = other.Settings.AccessKey, ["secret-key"] = secret };

        var refused = await AskAsync(HttpMethod.Post, "", new { name = "cloud", type = "s3", preset = "darkstorage", settings = Settings("a-wrong-secret-that-is-long") });
        Assert.Equal(HttpStatusCode.BadGateway, refused.Status);
        Assert.Contains("SignatureDoesNotMatch", refused.Text, StringComparison.Ordinal);
        Assert.Equal(HttpStatusCode.NotFound, (await AskAsync(HttpMethod.Get, "/cloud", null)).Status);

        Assert.Equal(HttpStatusCode.Created, (await AskAsync(HttpMethod.Post, "", new { name = "cloud", type = "s3", preset = "darkstorage", settings = Settings(other.Settings.SecretKey) })).Status);
        Assert.Contains("\"secrets\":[\"secret-key\"]", (await AskAsync(HttpMethod.Get, "/cloud", null)).Text, StringComparison.Ordinal);
        Assert.Contains("\"passed\":true", (await AskAsync(HttpMethod.Post, "/cloud/test", null)).Text, StringComparison.Ordinal);

        // One that is wrong is not taken; another setting leaves the secret.
        Assert.Equal(HttpStatusCode.BadGateway, (await AskAsync(HttpMethod.Put, "/cloud", new { settings = new Dictionary<string, string> { ["secret-key"] = "a-wrong-secret-that-is-long" } })).Status);
        Assert.Equal(HttpStatusCode.OK, (await AskAsync(HttpMethod.Put, "/cloud", new { settings = new Dictionary<string, string> { ["prefix"] = "there/", ["timeout-seconds"] = "7" } })).Status);
        await node.RestartAsync();
        Assert.Contains("\"passed\":true", (await AskAsync(HttpMethod.Post, "/cloud/test", null)).Text, StringComparison.Ordinal);
        var after = (await AskAsync(HttpMethod.Get, "/cloud", null)).Text;
        Assert.Contains("\"prefix\":\"there/\"", after, StringComparison.Ordinal);
        Assert.Contains("\"timeout-seconds\":\"7\"", after, StringComparison.Ordinal);
        await AskAsync(HttpMethod.Get, "", null);

        foreach (var secret in new[] { other.Settings.SecretKey, "a-wrong-secret-that-is-long" })
        {
            Assert.DoesNotContain(secret, shown.ToString(), StringComparison.Ordinal);
            Assert.DoesNotContain(secret, node.Output, StringComparison.Ordinal);
        }
        Assert.DoesNotContain(Directory.EnumerateFiles(node.DataDirectory, "*", SearchOption.AllDirectories).Where(f => !f.EndsWith("lock", StringComparison.Ordinal)), f => ReadShared(f).AsSpan().IndexOf(Encoding.UTF8.GetBytes(other.Settings.SecretKey)) >= 0);

        async Task<(HttpStatusCode Status, string Text)> AskAsync(HttpMethod method, string path, object? body)
        {
            using var answer = await node.AdminAsync(method, "v1/integrations" + path, body);
            var text = await answer.Content.ReadAsStringAsync();
            shown.AppendLine(text);
            return (answer.StatusCode, text);
        }
    }

    [Fact]
    public async Task Health_follows_the_place_and_says_since_when_and_why()
    {
        var (name, path) = (NewName(), Path.Combine(_folder, "share"));
        await JsonAsync(HttpMethod.Post, "", new { name, type = "filesystem", settings = new { path } }, HttpStatusCode.Created);
        var healthy = await HealthAsync(h => (bool)h["healthy"]!);
        Directory.Move(path, path + "-away");
        Directory.CreateDirectory(path);
        var failing = await HealthAsync(h => !(bool)h["healthy"]!);
        Assert.Contains("Is it mounted?", (string?)failing["failure"], StringComparison.Ordinal);
        Assert.True((DateTimeOffset)failing["since"]! > (DateTimeOffset)healthy["since"]!);
        Assert.Equal(["write"], (await JsonAsync(HttpMethod.Post, $"/{name}/test", null, HttpStatusCode.OK))["steps"]!.AsArray().Where(s => !(bool)s!["passed"]!).Select(s => (string?)s!["name"]));
        Assert.Contains("Is it mounted?", await ErrorAsync(HttpMethod.Put, $"/{name}", new { settings = new Dictionary<string, string> { ["calls-max"] = "5" } }, HttpStatusCode.BadGateway), StringComparison.Ordinal);
        Directory.Delete(path);
        Directory.Move(path + "-away", path);
        Assert.Null((await HealthAsync(h => (bool)h["healthy"]!))["failure"]);
        await Eventually.HoldsAsync("the log tells of both", () => Node.Output.Contains($"The integration {name} does not work", StringComparison.Ordinal) && Node.Output.Contains($"The integration {name} works again", StringComparison.Ordinal));

        async Task<JsonNode> HealthAsync(Func<JsonNode, bool> isWanted)
        {
            JsonNode? health = null;
            await Eventually.HoldsAsync("the health is as the place", async () => (health = (await JsonAsync(HttpMethod.Get, $"/{name}", null, HttpStatusCode.OK))["health"]) is not null && isWanted(health));
            return health!;
        }
    }

    [Fact]
    public async Task Metrics_tell_the_health_of_what_is_enabled_and_of_nothing_else()
    {
        var (name, path) = (NewName(), Path.Combine(_folder, "measured"));
        await JsonAsync(HttpMethod.Post, "", new { name, type = "filesystem", settings = new { path } }, HttpStatusCode.Created);
        await TellsAsync("it is well", s => s is { Healthy: 1 });
        var (_, checkedAt, changedAt) = (await ToldAsync())!.Value;
        Assert.InRange(changedAt, DateTimeOffset.UtcNow.AddMinutes(-1).ToUnixTimeSeconds(), checkedAt);
        await TellsAsync("it is asked again, and is as it was", s => s is { Healthy: 1 } && s.Value.Checked > checkedAt && s.Value.Changed == changedAt);

        Directory.Move(path, path + "-away");
        Directory.CreateDirectory(path);
        await TellsAsync("it is not well", s => s is { Healthy: 0 } && s.Value.Changed > changedAt);
        var health = (await JsonAsync(HttpMethod.Get, $"/{name}", null, HttpStatusCode.OK))["health"]!;
        Assert.Equal(((DateTimeOffset)health["since"]!).ToUnixTimeMilliseconds() / 1e3, (await ToldAsync())!.Value.Changed);

        await JsonAsync(HttpMethod.Post, $"/{name}/disable", null, HttpStatusCode.OK);
        Assert.Null(await ToldAsync());
        await JsonAsync(HttpMethod.Post, $"/{name}/enable", null, HttpStatusCode.OK);
        await TellsAsync("it is still not well", s => s is { Healthy: 0 });
        // Woken by its reminder or by whoever asks, before it has asked its place again.
        await Node.RestartAsync();
        await JsonAsync(HttpMethod.Get, $"/{name}", null, HttpStatusCode.OK);
        Assert.Equal<double?>(0, (await ToldAsync())?.Healthy);
        Directory.Delete(path);
        Directory.Move(path + "-away", path);
        await TellsAsync("it is well again", s => s is { Healthy: 1 });
        await JsonAsync(HttpMethod.Delete, $"/{name}", null, HttpStatusCode.OK);
        await TellsAsync("nothing is told of one that is gone", s => s is null);

        Task TellsAsync(string what, Func<(double Healthy, double Checked, double Changed)?, bool> isWanted) => Eventually.HoldsAsync(what, async () => isWanted(await ToldAsync()));

        // All three, or none.
        async Task<(double Healthy, double Checked, double Changed)?> ToldAsync()
        {
            using var http = new HttpClient();
            var lines = (await http.GetStringAsync(new Uri(Node.ManagementUrl, "/metrics"))).Split('\n').Where(l => l.Contains($"{{integration=\"{name}\"}}", StringComparison.Ordinal) && l.StartsWith("darkstorage_integration_", StringComparison.Ordinal))
                .ToDictionary(l => l[..l.IndexOf('{', StringComparison.Ordinal)], l => double.Parse(l[(l.LastIndexOf(' ') + 1)..], System.Globalization.CultureInfo.InvariantCulture));
            if (lines.Count == 0) return null;
            Assert.Equal(3, lines.Count);
            return (lines["darkstorage_integration_healthy"], lines["darkstorage_integration_checked_timestamp_seconds"], lines["darkstorage_integration_health_changed_timestamp_seconds"]);
        }
    }

    public static TheoryData<string, string> BadInput => new()
    {
        { """{"name":"bad","type":"tape","settings":{}}""", "There is no connector tape; there are: arweave, azure, filecoin, filesystem, gcs, google-drive, ipfs, rclone, s3." },
        { """{"name":"bad","settings":{}}""", "type: one of arweave, azure, filecoin, filesystem, gcs, google-drive, ipfs, rclone, s3." },
        { """{"name":"b","type":"s3"}""", "name: 3 to 128 letters, digits, '-', '_' or '.', and not 'types'." },
        { """{"name":"types","type":"s3"}""", "name: 3 to 128 letters, digits, '-', '_' or '.', and not 'types'." },
        { """{"name":"bad","type":"filesystem","settings":{}}""", "filesystem needs path: The folder's absolute path. It is made where it is missing." },
        { """{"name":"bad","type":"filesystem","settings":{"path":"relative/path"}}""", "path: An absolute path." },
        { """{"name":"bad","type":"filesystem","settings":{"path":"/x\u0000"}}""", "path: No control characters." },
        { """{"name":"bad","type":"filesystem","settings":{"path":"/x","speed":"1"}}""", "filesystem has no field speed; there are: path, timeout-seconds, calls-max, mebibytes-per-second-max." },
        { """{"name":"bad","type":"filesystem","settings":{"path":"/x","calls-max":"0"}}""", "calls-max: A whole number from 1 to 4096." },
        { """{"name":"bad","type":"filesystem","preset":"nas","settings":{"path":"/x"}}""", "filesystem has no preset nas; there are none." },
        { """{"name":"bad","type":"s3","preset":"amazon","settings":{}}""", "s3 has no preset amazon; there are: aws, backblaze, ceph, cloudflare, darkstorage, digitalocean, hetzner, minio, sia, storj, wasabi." },
        { """{"name":"bad","type":"s3","settings":{"bucket":"b","endpoint":"ftp://host"}}""", "endpoint: http:// or https://, without a user's name, a query or a fragment." },
        { """{"name":"bad","type":"s3","settings":{"bucket":"b","endpoint":"http://user:secret@host"}}""", "endpoint: http:// or https://, without a user's name, a query or a fragment." },
        { """{"name":"bad","type":"s3","settings":{"bucket":"b","path-style":"yes"}}""", "path-style: true or false." },
        { """{"name":"bad","type":"s3","settings":{"bucket":"b","access-key":"k"}}""", "access-key and secret-key go together: both, or neither for the machine's own role." },
    };

    [Theory, MemberData(nameof(BadInput))]
    public async Task What_can_not_be_right_is_refused_with_the_reason_and_nothing_is_made(string body, string reason)
    {
        Assert.Equal(reason, await ErrorAsync(HttpMethod.Post, "", body, HttpStatusCode.BadRequest));
        Assert.DoesNotContain("bad", (await JsonAsync(HttpMethod.Get, "", null, HttpStatusCode.OK)).AsArray().Select(i => (string?)i!["integration"]!["name"]));
    }

    [Fact]
    public async Task A_place_that_can_not_be_made_ready_is_not_added()
    {
        var file = Path.Combine(_folder, "file");
        await File.WriteAllTextAsync(file, "a file");
        var name = NewName();
        Assert.Contains(file, await ErrorAsync(HttpMethod.Post, "", new { name, type = "filesystem", settings = new { path = file } }, HttpStatusCode.BadGateway), StringComparison.Ordinal);
        await ErrorAsync(HttpMethod.Get, $"/{name}", null, HttpStatusCode.NotFound);
        Assert.Equal("a file", await File.ReadAllTextAsync(file));
    }

    [Fact]
    public async Task Only_administrators_may()
    {
        var user = await Node.NewUserAsync(null, "readwrite");
        foreach (var (method, path) in new[] { (HttpMethod.Get, ""), (HttpMethod.Get, "/types"), (HttpMethod.Post, ""), (HttpMethod.Post, "/any/test"), (HttpMethod.Delete, "/any") })
        {
            using var answer = await Node.AdminAsync(method, "v1/integrations" + path, "{}", user);
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        }
    }

    private static string NewName() => "place-" + Guid.NewGuid().ToString("N")[..12];

    private static byte[] ReadShared(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var content = new byte[Math.Min(file.Length, 64 << 20)];
        var read = file.ReadAtLeast(content, content.Length, throwOnEndOfStream: false);
        return content[..read];
    }

    private async Task<string?> ErrorAsync(HttpMethod method, string path, object? body, HttpStatusCode status) => (string?)(await JsonAsync(method, path, body, status))["error"];

    private async Task<JsonNode> JsonAsync(HttpMethod method, string path, object? body, HttpStatusCode status)
    {
        using var answer = await Node.AdminAsync(method, "v1/integrations" + path, body);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.StatusCode == status, $"{method} {path}: {(int)answer.StatusCode} {text}");
        return JsonNode.Parse(text)!;
    }
}
