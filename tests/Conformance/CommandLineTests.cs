using System.Globalization;
using System.Text.Json.Nodes;

namespace DarkStorage.Conformance;

/// <summary>The command line <c>darkstorage</c>, as a program, against a node.</summary>
[Trait("index", "none")]
public sealed class CommandLineTests(NodeFixture fixture) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-cli-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Files_become_objects_and_objects_files()
    {
        var bucket = S3Clients.NewBucketName();
        Assert.Equal($"Made darkstorage://{bucket}\n", await DoneAsync("mb", $"darkstorage://{bucket}"));
        Assert.Contains($"darkstorage://{bucket}\n", await DoneAsync("ls"), StringComparison.Ordinal);

        // In parts, where the SDK sends parts.
        var content = new byte[20_000_000];
        Random.Shared.NextBytes(content);
        var (file, back) = (Path.Combine(_folder, "a file"), Path.Combine(_folder, "back"));
        await File.WriteAllBytesAsync(file, content);
        Assert.Equal($"{file} -> darkstorage://{bucket}/folder/a file\n", await DoneAsync("cp", file, $"darkstorage://{bucket}/folder/"));
        await DoneAsync("cp", $"darkstorage://{bucket}/folder/a file", $"s3://{bucket}/copy");
        await DoneAsync("cp", $"darkstorage://{bucket}/copy", back);
        Assert.Equal(content, await File.ReadAllBytesAsync(back));
        Assert.Equal(["a file", "back"], Directory.EnumerateFiles(_folder).Select(Path.GetFileName).Order());

        Assert.Equal([$"darkstorage://{bucket}/folder/", $"darkstorage://{bucket}/copy"], Addresses(await DoneAsync("ls", $"darkstorage://{bucket}")));
        Assert.Equal([$"darkstorage://{bucket}/copy", $"darkstorage://{bucket}/folder/a file"], Addresses(await DoneAsync("ls", "-r", $"darkstorage://{bucket}")));
        Assert.Contains(" 20000000  darkstorage://", await DoneAsync("ls", $"darkstorage://{bucket}/folder/"), StringComparison.Ordinal);
    }

    [Theory, InlineData(""), InlineData("darkstorage://"), InlineData("s3://")]
    public async Task A_bucket_is_named_by_its_name_or_its_address_in_every_command(string scheme)
    {
        var bucket = S3Clients.NewBucketName();
        var named = scheme + bucket;
        Assert.Equal($"Made darkstorage://{bucket}\n", await DoneAsync("mb", named));
        await fixture.Client.PutTextAsync(bucket, "a/key", "content");
        Assert.Equal([$"darkstorage://{bucket}/a/"], Addresses(await DoneAsync("ls", named)));
        Assert.Equal([$"darkstorage://{bucket}/a/key"], Addresses(await DoneAsync("ls", named + "/a/")));
        Assert.Equal($"{bucket} has the policy keep\n", await DoneAsync("lifecycle", "add", named, "keep", "--rule", "age > 1d -> hot"));
        Assert.Equal("keep\n  age > 1d -> hot\n", await DoneAsync("lifecycle", "list", named));
        Assert.Equal("keep is disabled\n", await DoneAsync("lifecycle", "disable", named, "keep"));
        Assert.Equal("keep is enabled\n", await DoneAsync("lifecycle", "enable", named, "keep"));
        Assert.StartsWith("Of 1 versions 0 move", await DoneAsync("lifecycle", "preview", named), StringComparison.Ordinal);
        Assert.Contains("Of the 1 versions that are there", await DoneAsync("lifecycle", "cost", named, "--rule", "-> hot"), StringComparison.Ordinal);
        Assert.Equal($"Accesses of {bucket} are not counted\n", await DoneAsync("lifecycle", "accesses", named));
        Assert.StartsWith("BEGUN", await DoneAsync("lifecycle", "runs", named), StringComparison.Ordinal);
        Assert.StartsWith("Removed keep", await DoneAsync("lifecycle", "remove", named, "keep"), StringComparison.Ordinal);
        Assert.StartsWith($"darkstorage://{bucket}/: hot", await DoneAsync("tiers", "set", named, "--default", "hot"), StringComparison.Ordinal);
        Assert.Contains($"darkstorage://{bucket}/ ", await DoneAsync("tiers", "get", named), StringComparison.Ordinal);
        Assert.EndsWith("1 version, 7 B\n", await DoneAsync("tiers", "files", named + "/a/"), StringComparison.Ordinal);
        foreach (var command in (string[])["stats", "cost"]) Assert.StartsWith("MONTH", await DoneAsync("tiers", command, named), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_download_that_fails_leaves_the_file_that_was_there()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        var file = Path.Combine(_folder, "kept");
        await File.WriteAllTextAsync(file, "kept");
        await RefusedAsync(1, "NoSuchKey", null, "cp", $"darkstorage://{bucket}/none", file);
        Assert.Equal("kept", await File.ReadAllTextAsync(file));
        Assert.Single(Directory.EnumerateFiles(_folder));
    }

    [Fact]
    public async Task A_download_goes_through_a_link_and_leaves_the_files_mode()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        await fixture.Client.PutTextAsync(bucket, "key", "new");
        var (file, link) = (Path.Combine(_folder, "file"), Path.Combine(_folder, "link"));
        await File.WriteAllTextAsync(file, "old");
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.CreateSymbolicLink(link, file);
        await DoneAsync("cp", $"darkstorage://{bucket}/key", link);
        Assert.Equal(("new", file, UnixFileMode.UserRead | UnixFileMode.UserWrite), (await File.ReadAllTextAsync(file), new FileInfo(link).LinkTarget, File.GetUnixFileMode(file)));
        await DoneAsync("cp", $"darkstorage://{bucket}/key", "/dev/null");
        Assert.Equal(0, new FileInfo("/dev/null").Length);
    }

    [Fact]
    public async Task A_place_is_added_tested_changed_and_removed()
    {
        var name = "cli-" + Guid.NewGuid().ToString("N")[..8];
        var secret = Path.Combine(_folder, "secret");
        var bucket = await fixture.Client.NewBucketAsync();
        await File.WriteAllTextAsync(secret, fixture.Node.Settings.SecretKey + "\n");
        Assert.Equal($"Added {name}\n", await DoneAsync("integrations", "add", "s3", "--name", name, "--preset", "darkstorage", $"--endpoint={fixture.Node.S3Url.GetLeftPart(UriPartial.Authority)}", "--bucket", bucket,
            "--access-key", fixture.Node.Settings.AccessKey, "--secret-key", $"@{secret}", "--path-style"));
        var test = await DoneAsync("integrations", "test", name);
        Assert.Equal(["write", "find", "read", "read a range", "list", "settle", "delete"], test.Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(l => l[..12].TrimEnd()));
        Assert.Contains("healthy", (await DoneAsync("integrations", "list")).Split('\n').Single(l => l.StartsWith(name, StringComparison.Ordinal)), StringComparison.Ordinal);
        var (head, row) = (await DoneAsync("integrations", "list")).Split('\n') is var lines ? (lines[0], lines.Single(l => l.StartsWith(name, StringComparison.Ordinal))) : default;
        var columns = new[] { "CALLS", "FAILED", "MEAN MS", "SENT", "READ" }.ToDictionary(c => c, c => row[head.IndexOf(c, StringComparison.Ordinal)..].Split("  ")[0].TrimEnd());
        Assert.Equal("0", columns["FAILED"]);
        await DoneAsync("integrations", "change", name, "--calls-max", "9");
        var shown = JsonNode.Parse(await DoneAsync("integrations", "list", "--json"))!.AsArray().Single(i => (string?)i!["integration"]!["name"] == name)!;
        Assert.Equal("9", (string?)shown["integration"]!["settings"]!["calls-max"]);
        await RefusedAsync(2, "There is nothing to change: --FIELD VALUE says what.", null, "integrations", "change", name);
        await RefusedAsync(1, "There is no integration types.", null, "integrations", "change", "types", "--calls-max", "9");
        await RefusedAsync(2, "'' is no name.", null, "integrations", "test", "");
        // No part of what may be a secret is said.
        await RefusedAsync(2, "After --secret-key there is something that is no flag.", null, "integrations", "change", name, "--secret-key", "my", "secret");
        // Between the two it may have been asked for its health, and was for its new setting.
        Assert.InRange(long.Parse(columns["CALLS"], CultureInfo.InvariantCulture), 7, (long)shown["usage"]!["calls"]!);
        Assert.True(double.Parse(columns["MEAN MS"], CultureInfo.InvariantCulture) > 0);
        await DoneAsync("integrations", "disable", name);
        Assert.Contains("disabled", (await DoneAsync("integrations", "list")).Split('\n').Single(l => l.StartsWith(name, StringComparison.Ordinal)), StringComparison.Ordinal);
        await DoneAsync("integrations", "enable", name);
        await fixture.Client.DeleteBucketAsync(bucket);
        Assert.Contains("PlaceMissing", (await fixture.Node.CommandLineAsync(["integrations", "test", name])) is { ExitCode: 1 } failed ? failed.Output : "", StringComparison.Ordinal);
        await DoneAsync("integrations", "remove", name);
        await RefusedAsync(1, $"There is no integration {name}.", null, "integrations", "remove", name);
    }

    [Theory, InlineData("@"), InlineData("="), InlineData("-")]
    public async Task A_secret_is_taken_as_it_is(string way)
    {
        const string secret = "-a \"quoted\" #secret with = and blanks";
        await using var other = await NodeProcess.StartAsync(new() { SecretKey = secret });
        using var s3 = other.S3();
        var (bucket, name, file) = (await s3.NewBucketAsync(), "cli-" + Guid.NewGuid().ToString("N")[..8], Path.Combine(_folder, "secret"));
        await File.WriteAllTextAsync(file, secret + "\n");
        string[] flags = way switch { "@" => ["--secret-key", $"@{file}"], "=" => [$"--secret-key={secret}"], _ => ["--secret-key", secret] };
        await DoneAsync(["integrations", "add", "s3", "--name", name, "--preset", "darkstorage", "--endpoint", other.S3Url.GetLeftPart(UriPartial.Authority), "--bucket", bucket, "--access-key", other.Settings.AccessKey, .. flags]);
        await DoneAsync("integrations", "remove", name);
    }

    [Fact]
    public async Task The_types_are_the_clusters_own()
    {
        Assert.Contains("\ns3 ", await DoneAsync("integrations", "types"), StringComparison.Ordinal);
        var s3 = await DoneAsync("integrations", "types", "s3");
        foreach (var shown in new[] { "--secret-key", "required", "[us-east-1]", "backblaze" }) Assert.Contains(shown, s3, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("There is no type 'tape'", "integrations", "add", "tape", "--name", "any")]
    [InlineData("filesystem has no --speed", "integrations", "add", "filesystem", "--name", "any", "--speed", "1")]
    [InlineData("--path wants a value", "integrations", "add", "filesystem", "--name", "any", "--path")]
    [InlineData("there is something that is no flag", "integrations", "add", "filesystem", "--name", "any", "extra")]
    [InlineData("--name", "integrations", "add", "filesystem")]
    [InlineData("There is no file", "cp", "/no/such/file", "darkstorage://bucket/key")]
    [InlineData("One of the two is an object", "cp", "/tmp/a", "/tmp/b")]
    [InlineData("names no bucket", "mb", "darkstorage://")]
    [InlineData("names no bucket", "mb", "")]
    [InlineData("is no darkstorage://BUCKET/KEY", "tiers", "show", "bucket")]
    [InlineData("'darkstorage://bucket/key' is not a whole bucket; that is darkstorage://bucket.", "mb", "darkstorage://bucket/key")]
    [InlineData("is not a whole bucket", "mb", "bucket/key")]
    [InlineData("is not a whole bucket", "lifecycle", "list", "darkstorage://bucket/key")]
    [InlineData("is not a whole bucket", "lifecycle", "remove", "s3://bucket/key", "policy")]
    [InlineData("is not a whole bucket", "tiers", "stats", "darkstorage://bucket/key")]
    [InlineData("is not a whole bucket", "tiers", "cost", "bucket/key")]
    public Task What_can_not_be_right_is_said_and_nothing_is_done(string reason, params string[] arguments) => RefusedAsync(2, reason, null, arguments);

    [Fact]
    public async Task Where_the_cluster_is_not_or_does_not_know_the_key_is_one_sentence()
    {
        await RefusedAsync(1, "InvalidAccessKeyId", new() { ["DARKSTORAGE_ACCESS_KEY"] = "nobody" }, "ls");
        await RefusedAsync(1, "administrator", new() { ["DARKSTORAGE_SECRET_KEY"] = "a-wrong-secret" }, "integrations", "list");
        await RefusedAsync(1, "refused", new() { ["DARKSTORAGE_URL"] = "http://127.0.0.1:1" }, "integrations", "list");
        await RefusedAsync(2, "DARKSTORAGE_S3_URL", new() { ["DARKSTORAGE_S3_URL"] = "nowhere" }, "ls");
        await RefusedAsync(2, "DARKSTORAGE_SECRET_KEY is not set.", new() { ["DARKSTORAGE_SECRET_KEY"] = "" }, "ls");
    }

    private static IEnumerable<string> Addresses(string list) => list.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l[l.IndexOf("darkstorage://", StringComparison.Ordinal)..]);

    private async Task<string> DoneAsync(params string[] arguments)
    {
        var run = await fixture.Node.CommandLineAsync(arguments);
        Assert.True(run is { ExitCode: 0, Error: "" }, $"{string.Join(' ', arguments)}: {run.ExitCode} {run.Output} {run.Error}");
        return run.Output;
    }

    private async Task RefusedAsync(int exitCode, string reason, Dictionary<string, string>? environment, params string[] arguments)
    {
        var run = await fixture.Node.CommandLineAsync(arguments, environment);
        Assert.True(run.ExitCode == exitCode && run.Output.Length == 0, $"{string.Join(' ', arguments)}: {run.ExitCode} {run.Output} {run.Error}");
        Assert.Contains(reason, run.Error, StringComparison.Ordinal);
        Assert.Single(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.DoesNotContain(fixture.Node.Settings.SecretKey, run.Error, StringComparison.Ordinal);
    }
}
