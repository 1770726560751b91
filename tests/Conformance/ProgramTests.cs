using System.Buffers.Binary;
using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace DarkStorage.Conformance;

/// <summary>The program as an operator meets it: flags, refusals, signals, health, metrics, logs.</summary>
public sealed partial class ProgramTests(NodeFixture shared)
{
    private const int Usage = 2;
    private static readonly TimeSpan StopsWithin = TimeSpan.FromSeconds(10);

    [Theory]
    [InlineData("--no-such-flag")]
    [InlineData("stray")]
    [InlineData("--data")]
    [InlineData("--s3-url", "not a url")]
    [InlineData("--s3-url", "https://127.0.0.1:9000")]
    [InlineData("--s3-url", "http://127.0.0.1:9000/path")]
    [InlineData("--management-url", "ftp://127.0.0.1")]
    [InlineData("--index", "mysql://somewhere")]
    [InlineData("--peer-url", "http://127.0.0.1:9002")]
    [InlineData("--peer-url", "https://0.0.0.0:9002")]
    [InlineData("--peer-url", "https://127.0.0.1")]
    [InlineData("--roles", "everything")]
    [InlineData("--roles", "gateway")]
    [InlineData("--log-level", "Loud")]
    [InlineData("--log-level", "3")]
    [InlineData("--log-format", "xml")]
    public async Task A_wrong_flag_is_one_line_that_names_it_and_exit_code_2(params string[] flags)
    {
        var run = await NodeProcess.RunAsync(flags);
        Assert.Equal((Usage, ""), (run.ExitCode, run.Output));
        var line = Assert.Single(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith("darkstorage-silo: ", line, StringComparison.Ordinal);
        Assert.Contains(flags[0], line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_wrong_environment_variable_is_refused_as_its_flag_is()
    {
        var run = await NodeProcess.RunAsync([], new Dictionary<string, string> { ["DARKSTORAGE_S3_URL"] = "nonsense" });
        Assert.Equal(Usage, run.ExitCode);
        Assert.Contains("--s3-url is 'nonsense'", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_setting_out_of_bounds_is_refused_by_its_name()
    {
        var data = Directory.CreateTempSubdirectory("darkstorage-refused-");
        try
        {
            foreach (var (name, value) in ((string, string)[])[("S3__InlineBytesMax", "-1"), ("Garbage__Interval", "00:00:00"), ("Uploads__NoSuch", "")])
            {
                if (value.Length == 0) continue;
                var run = await NodeProcess.RunAsync(["--data", data.FullName, "--s3-url", "http://127.0.0.1:0", "--management-url", "http://127.0.0.1:0"],
                    new Dictionary<string, string> { [$"DARKSTORAGE_{name}"] = value });
                Assert.NotEqual(0, run.ExitCode);
                Assert.Contains(name.Split('_')[^1], run.Error, StringComparison.Ordinal);
                Assert.DoesNotContain("   at ", run.Error, StringComparison.Ordinal);
            }
        }
        finally
        {
            data.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task Help_and_version_are_told_and_start_nothing()
    {
        var help = await NodeProcess.RunAsync(["--help"]);
        Assert.Equal(0, help.ExitCode);
        foreach (var flag in (string[])["--data", "--s3-url", "--management-url", "--index", "--node", "--peer-url", "--zone", "--roles", "--region", "--domain", "--website-domain", "--log-format", "--log-level"])
            Assert.Contains(flag, help.Output, StringComparison.Ordinal);
        var version = await NodeProcess.RunAsync(["--version"]);
        Assert.Equal(0, version.ExitCode);
        Assert.Matches(@"^\d+\.\d+\.\d+", version.Output);
    }

    [Fact]
    public async Task Half_a_pair_of_root_credentials_is_refused()
    {
        var data = Directory.CreateTempSubdirectory("darkstorage-refused-");
        try
        {
            var run = await NodeProcess.RunAsync(["--data", data.FullName], new Dictionary<string, string> { ["DARKSTORAGE_ROOT_ACCESS_KEY"] = "somebody" });
            Assert.Equal(1, run.ExitCode);
            Assert.Contains("DARKSTORAGE_ROOT_SECRET_KEY", Assert.Single(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        }
        finally
        {
            data.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task A_data_folder_in_use_is_refused_and_its_user_goes_on()
    {
        var run = await RunOnAsync(shared.Node.DataDirectory);
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("in use by another process", Assert.Single(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        var bucket = await shared.Client.NewBucketAsync();
        await shared.Client.PutBytesAsync(bucket, "key", S3Clients.Content(100_000));
        Assert.Equal(S3Clients.Content(100_000), await shared.Client.GetBytesAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_port_in_use_is_refused_in_one_line()
    {
        var data = Directory.CreateTempSubdirectory("darkstorage-refused-");
        try
        {
            var run = await NodeProcess.RunAsync(["--data", data.FullName, "--s3-url", shared.Node.S3Url.GetLeftPart(UriPartial.Authority), "--management-url", "http://127.0.0.1:0"]);
            Assert.Equal(1, run.ExitCode);
            Assert.Contains($":{shared.Node.S3Url.Port}", run.Error, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", run.Error, StringComparison.Ordinal);
        }
        finally
        {
            data.Delete(recursive: true);
        }
    }

    [Trait("index", "sqlite")]
    [Theory]
    [InlineData("blobs")]
    [InlineData("index")]
    public async Task Data_of_a_newer_program_is_refused_and_left_as_it_is(string part)
    {
        await using var node = await NodeProcess.StartAsync();
        Assert.Equal(0, await node.TerminateAsync());
        var file = part == "index" ? Path.Combine(node.DataDirectory, "index.db") : Directory.EnumerateFiles(Path.Combine(node.DataDirectory, "blobs"), "format").Single();
        if (part == "index")
        {
            // SQLite keeps the user's version in its header, big-endian, at byte 60.
            await using var stream = new FileStream(file, FileMode.Open, FileAccess.ReadWrite);
            stream.Position = 60;
            var version = new byte[4];
            BinaryPrimitives.WriteInt32BigEndian(version, 999);
            stream.Write(version);
        }
        else
        {
            var words = (await File.ReadAllTextAsync(file)).Split(' ');
            words[1] = "999";
            await File.WriteAllTextAsync(file, string.Join(' ', words));
        }
        var before = await File.ReadAllBytesAsync(file);
        var run = await RunOnAsync(node.DataDirectory);
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("format 999", Assert.Single(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        Assert.Equal(before, await File.ReadAllBytesAsync(file));
    }

    [Fact]
    public async Task SIGTERM_of_an_idle_node_ends_it_with_0()
    {
        await using var node = await NodeProcess.StartAsync();
        var clock = Stopwatch.StartNew();
        Assert.Equal(0, await node.TerminateAsync());
        Assert.True(clock.Elapsed < StopsWithin, $"It took {clock.Elapsed}.");
    }

    [Fact]
    public async Task SIGTERM_during_traffic_ends_the_node_with_0_in_10_s_and_what_it_acknowledged_stays()
    {
        await using var node = await NodeProcess.StartAsync();
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        var acknowledged = new System.Collections.Concurrent.ConcurrentDictionary<string, int>();
        var busy = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var writers = Enumerable.Range(0, 4).Select(async writer =>
        {
            for (var i = 0; ; i++)
            {
                var key = $"{writer}-{i}";
                try
                {
                    await s3.PutBytesAsync(bucket, key, S3Clients.Content(50_000, seed: writer * 1_000_000 + i));
                }
                catch (Exception e) when (e is AmazonS3Exception or HttpRequestException or IOException or Amazon.Runtime.AmazonServiceException)
                {
                    return;
                }
                acknowledged[key] = writer * 1_000_000 + i;
                if (acknowledged.Count >= 40) busy.TrySetResult();
            }
        }).ToList();
        // And one who never sends the rest of his body.
        var stalled = node.Raw().SendAsync(new RawRequest("PUT", $"/{bucket}/stalled") { StatedLength = 1000, PayloadHash = "UNSIGNED-PAYLOAD" }.WithBody("only this"));
        await busy.Task.WaitAsync(TimeSpan.FromMinutes(1));

        var clock = Stopwatch.StartNew();
        Assert.Equal(0, await node.TerminateAsync());
        Assert.True(clock.Elapsed < StopsWithin, $"It took {clock.Elapsed}.");
        await Task.WhenAll(writers);
        await Assert.ThrowsAnyAsync<Exception>(async () => Assert.Equal(200, (await stalled).Status));

        await node.RestartAsync();
        foreach (var (key, seed) in acknowledged)
            Assert.True(S3Clients.Content(50_000, seed).Same(await s3.GetBytesAsync(bucket, key)), key);
        Assert.Equal(404, (await node.Raw().HeadAsync($"/{bucket}/stalled")).Status);
    }

    [Fact]
    public async Task What_was_acknowledged_is_there_after_kill_9_and_nothing_else_in_part()
    {
        await using var node = await NodeProcess.StartAsync();
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        for (var round = 0; round < 3; round++)
        {
            var acknowledged = new System.Collections.Concurrent.ConcurrentDictionary<string, int>();
            var begun = new System.Collections.Concurrent.ConcurrentDictionary<string, int>();
            var enough = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            var writers = Enumerable.Range(0, 6).Select(async writer =>
            {
                for (var i = 0; ; i++)
                {
                    var (key, seed) = ($"{round}-{writer}-{i}", (round * 100 + writer) * 100_000 + i);
                    begun[key] = seed;
                    try
                    {
                        await s3.PutBytesAsync(bucket, key, Sized(seed));
                    }
                    catch (Exception e) when (e is AmazonS3Exception or HttpRequestException or IOException or Amazon.Runtime.AmazonServiceException)
                    {
                        return;
                    }
                    acknowledged[key] = seed;
                    if (acknowledged.Count >= 60) enough.TrySetResult();
                }
            }).ToList();
            await enough.Task.WaitAsync(TimeSpan.FromMinutes(1));
            await node.KillAsync();
            await Task.WhenAll(writers);
            await node.RestartAsync();
            foreach (var (key, seed) in acknowledged)
                Assert.True(Sized(seed).Same(await s3.GetBytesAsync(bucket, key)), $"{key} was acknowledged");
            foreach (var (key, seed) in begun.Where(b => !acknowledged.ContainsKey(b.Key)))
            {
                var answer = await node.Raw().GetAsync($"/{bucket}/{key}");
                Assert.True(answer.Status == 404 || (answer.Status == 200 && Sized(seed).Same(answer.Body)), $"{key} is there in part: {answer.Status}");
            }
        }

        // Inline, one chunk, and now and then several.
        static byte[] Sized(int seed) => S3Clients.Content((seed % 4) switch { 0 => 100, 1 => 5_000, 2 => 70_000, _ => seed % 16 == 3 ? 5 << 20 : 20_000 }, seed);
    }

    [Trait("index", "sqlite")]
    [Fact]
    public async Task Health_says_live_and_ready_and_what_the_node_runs_on()
    {
        using var http = new HttpClient { BaseAddress = shared.Node.ManagementUrl };
        Assert.Equal("live", JsonDocument.Parse(await http.GetStringAsync("/health/live")).RootElement.GetProperty("status").GetString());
        Assert.Equal("ready", JsonDocument.Parse(await http.GetStringAsync("/health/ready")).RootElement.GetProperty("status").GetString());
        var health = JsonDocument.Parse(await http.GetStringAsync("/health")).RootElement;
        Assert.Contains(health.GetProperty("engine").GetString(), (string[])["Orleans", "Embedded"]);
        Assert.StartsWith("SQLite ", health.GetProperty("index").GetString(), StringComparison.Ordinal);
        Assert.NotEmpty(health.GetProperty("version").GetString()!);
        Assert.NotEmpty(health.GetProperty("node").GetString()!);
        using var missing = await http.GetAsync("/nothing");
        Assert.Equal(HttpStatusCode.NotFound, missing.StatusCode);
        using var posted = await http.PostAsync("/health/live", null);
        Assert.Equal(HttpStatusCode.MethodNotAllowed, posted.StatusCode);
    }

    [Fact]
    public async Task The_APIs_stay_on_their_own_ports()
    {
        using var http = new HttpClient();
        using var health = await http.GetAsync(new Uri(shared.Node.S3Url, "/health/live"));
        Assert.NotEqual(HttpStatusCode.OK, health.StatusCode);
        var s3 = new RawS3(shared.Node.ManagementUrl, shared.Node.Settings.AccessKey, shared.Node.Settings.SecretKey);
        Assert.Equal(404, (await s3.GetAsync("/")).Status);
    }

    [Fact]
    public async Task Metrics_are_Prometheus_text_and_count_requests_by_operation_and_status()
    {
        await using var node = await NodeProcess.StartAsync();
        using var s3 = node.S3();
        using var http = new HttpClient();
        var bucket = await s3.NewBucketAsync();
        for (var i = 0; i < 3; i++) await s3.PutBytesAsync(bucket, $"{i}", new byte[10_000]);
        await node.Raw().GetAsync($"/{bucket}/none");
        await s3.GetBytesAsync(bucket, "0");

        using var answer = await http.GetAsync(new Uri(node.ManagementUrl, "/metrics"));
        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", answer.Content.Headers.ContentType!.ToString());
        var text = await answer.Content.ReadAsStringAsync();
        Assert.All(text.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.Matches(PrometheusLine(), line));
        Assert.Contains("darkstorage_s3_requests_total{operation=\"PutObject\",status=\"200\"} 3\n", text, StringComparison.Ordinal);
        Assert.Contains("darkstorage_s3_requests_total{operation=\"GetObject\",status=\"404\"} 1\n", text, StringComparison.Ordinal);
        Assert.Contains("darkstorage_s3_request_duration_seconds_count{operation=\"PutObject\"} 3\n", text, StringComparison.Ordinal);
        Assert.Contains("darkstorage_s3_request_duration_seconds_bucket{operation=\"PutObject\",le=\"+Inf\"} 3\n", text, StringComparison.Ordinal);
        Assert.Contains("darkstorage_s3_active_requests 0\n", text, StringComparison.Ordinal);
        Assert.Contains("# TYPE darkstorage_s3_requests_total counter\n", text, StringComparison.Ordinal);
        Assert.Matches("(?m)^darkstorage_s3_sent_bytes_total\\{operation=\"GetObject\"\\} [1-9]", text);
    }

    [Theory]
    [InlineData("Trace", "text")]
    [InlineData("Debug", "json")]
    public async Task No_secret_is_ever_in_the_output(string level, string format)
    {
        await using var node = await NodeProcess.StartAsync(new() { Flags = ["--log-level", level, "--log-format", format] });
        var raw = node.Raw();
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        await s3.PutTextAsync(bucket, "key", "the-content-itself");
        var presigned = raw.Presign("GET", $"/{bucket}/key", TimeSpan.FromMinutes(5));
        Assert.Equal(200, (await raw.SendAsync(new("GET", presigned) { Sign = false })).Status);
        Assert.Equal(403, (await raw.SendAsync(new("GET", presigned + "&x=1") { Sign = false })).Status);
        Assert.Equal(403, (await raw.As(node.Settings.AccessKey, "a-wrong-secret-key").GetAsync($"/{bucket}")).Status);
        Assert.Equal(403, (await raw.As("unknown", "an-unknown-secret-key").GetAsync($"/{bucket}")).Status);
        var signed = new RawRequest("GET", $"/{bucket}/key").With("x-amz-security-token", "a-session-token");
        await raw.SendAsync(signed);
        await raw.SendAsync(new RawRequest("PUT", $"/{bucket}/ssec").With("x-amz-server-side-encryption-customer-key", "a-customers-own-key").WithBody("x"));
        await raw.SendAsync(raw.PutChunked($"/{bucket}/chunked", S3Clients.Content(100), ChunkForm.Signed, breakBody: b => b[..^1]));
        Assert.Equal(0, await node.TerminateAsync());

        Assert.Contains(bucket, node.Output, StringComparison.Ordinal); // or nothing of the requests was logged, and the test proves nothing
        var authorization = signed.Header("Authorization")!;
        foreach (var secret in (string[])[node.Settings.SecretKey, "a-wrong-secret-key", "an-unknown-secret-key", "a-session-token", "a-customers-own-key", "the-content-itself",
            presigned[(presigned.IndexOf("X-Amz-Signature=", StringComparison.Ordinal) + 16)..], authorization[^64..], "X-Amz-Signature=", "Signature="])
            Assert.DoesNotContain(secret, node.Output, StringComparison.Ordinal);
        foreach (var file in Directory.EnumerateFiles(node.DataDirectory, "*", SearchOption.AllDirectories).Where(f => Path.GetFileName(f) is not "root.credentials"))
            Assert.True((await File.ReadAllBytesAsync(file)).AsSpan().IndexOf(Encoding.UTF8.GetBytes(node.Settings.SecretKey)) < 0, $"{file} holds the secret key.");
    }

    [Fact]
    public async Task Made_root_keys_are_shown_once_kept_for_the_owner_alone_and_work_after_a_restart()
    {
        await using var node = await NodeProcess.StartAsync(new() { AccessKey = "", SecretKey = "", Environment = new Dictionary<string, string>() });
        var file = Path.Combine(node.DataDirectory, "keys", "root.credentials");
        var keys = await File.ReadAllLinesAsync(file);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        Assert.Equal(2, node.Output.Split(keys[1]).Length);
        await node.RestartAsync();
        Assert.Equal(2, node.Output.Split(keys[1]).Length);
        using var s3 = node.S3(accessKey: keys[0], secretKey: keys[1]);
        await s3.NewBucketAsync();
    }

    private static Task<ProgramRun> RunOnAsync(string data) =>
        NodeProcess.RunAsync(["--data", data, "--s3-url", "http://127.0.0.1:0", "--management-url", "http://127.0.0.1:0"]);

    [GeneratedRegex("""^(# (HELP|TYPE) [a-zA-Z_:][a-zA-Z0-9_:]* .+|[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*",?)*\})? (-?[0-9.eE+-]+|NaN|[+-]Inf))$""")]
    private static partial Regex PrometheusLine();
}
