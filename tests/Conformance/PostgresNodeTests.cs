using System.Globalization;

namespace DarkStorage.Conformance;

/// <summary>A node whose index is in PostgreSQL, as its operator meets it: what it says, what it refuses, and what happens while the database is away.</summary>
[Trait("index", "none")]
public sealed class PostgresNodeTests
{
    [Fact]
    public async Task A_node_says_where_its_index_is_and_keeps_its_data_over_kill_9()
    {
        var (server, url) = await NewIndexAsync();
        await using var node = await NodeProcess.StartAsync(Settings(url));
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"index       PostgreSQL 15"), node.Output, StringComparison.Ordinal);
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{server.Port}/"), node.Output, StringComparison.Ordinal);
        var bucket = await node.S3().NewBucketAsync();
        await node.S3().PutTextAsync(bucket, "small", "in the index");
        await node.S3().PutBytesAsync(bucket, "large", S3Clients.Content(300_000));

        await node.KillAsync();
        await node.RestartAsync();

        Assert.Equal("in the index", await node.S3().GetTextAsync(bucket, "small"));
        Assert.Equal(S3Clients.Content(300_000), await node.S3().GetBytesAsync(bucket, "large"));
    }

    [Fact]
    public async Task A_folder_and_an_index_that_do_not_belong_together_are_refused_and_nothing_is_changed()
    {
        var (_, url) = await NewIndexAsync();
        var (_, other) = await NewIndexAsync();
        await using var node = await NodeProcess.StartAsync(Settings(url));
        await using var alone = await NodeProcess.StartAsync(new() { Flags = ["--index", "sqlite"] });
        Assert.Equal((0, 0), (await node.TerminateAsync(), await alone.TerminateAsync()));
        using var empty = new TemporaryFolder();

        await AssertRefusedAsync(node.DataDirectory, other, "belongs to the cluster");
        await AssertRefusedAsync(node.DataDirectory, "sqlite", "belongs to the cluster");
        await AssertRefusedAsync(alone.DataDirectory, url, "has an index of its own");
        await AssertRefusedAsync(empty.Path, url, "is the index of the node");

        await node.RestartAsync();
        await node.S3().NewBucketAsync();
    }

    [Theory]
    [InlineData("postgres://postgres:geheim@127.0.0.1:1/none", "can't be opened")]
    [InlineData("postgres://postgres:geheim@127.0.0.1", "no database")]
    public async Task A_database_that_can_not_be_used_is_one_line_without_the_password(string url, string said)
    {
        using var empty = new TemporaryFolder();
        var error = await AssertRefusedAsync(empty.Path, url, said);
        Assert.DoesNotContain("geheim", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task While_the_database_is_away_requests_are_answered_503_and_afterwards_all_goes_on()
    {
        await using var server = await PostgresServer.StartAsync();
        await using var node = await NodeProcess.StartAsync(Settings(await server.NewDatabaseAsync()));
        var s3 = node.S3(configure: c => c.MaxErrorRetry = 0);
        var bucket = await s3.NewBucketAsync();
        await s3.PutTextAsync(bucket, "before", "kept");
        var back = node.NextLineAsync("database of the index is back");

        await server.CrashAsync();
        // Of requests that meet a dying connection nobody knows what became of them; then the node knows that the database is away.
        var refused = await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => s3.PutTextAsync(bucket, "away", "refused"));
        for (var more = 0; refused.ErrorCode != "SlowDown" && more < 20; more++)
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, refused.StatusCode);
            refused = await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => s3.PutTextAsync(bucket, "away", "refused"));
        }
        Assert.Equal("SlowDown", refused.ErrorCode);
        await Refused.WithAsync("SlowDown", HttpStatusCode.ServiceUnavailable, () => s3.GetTextAsync(bucket, "before"));
        using (var http = new HttpClient())
        {
            Assert.Equal(HttpStatusCode.OK, (await http.GetAsync(new Uri(node.ManagementUrl, "/health/live"))).StatusCode);
        }
        await server.StartAgainAsync();
        await back;

        Assert.Equal("kept", await s3.GetTextAsync(bucket, "before"));
        await s3.PutTextAsync(bucket, "after", "taken");
        Assert.Equal(["after", "before"], (await s3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects.Select(o => o.Key));
    }

    private static async Task<(PostgresServer Server, string Url)> NewIndexAsync()
    {
        var server = await SharedPostgres.ServerAsync();
        return (server, await server.NewDatabaseAsync());
    }

    private static NodeSettings Settings(string index) => new() { Flags = ["--index", index] };

    private static async Task<string> AssertRefusedAsync(string data, string index, string said)
    {
        var run = await NodeProcess.RunAsync(["--data", data, "--index", index, "--s3-url", "http://127.0.0.1:0", "--management-url", "http://127.0.0.1:0"]);
        Assert.NotEqual(0, run.ExitCode);
        var line = Assert.Single(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains(said, line, StringComparison.Ordinal);
        return line;
    }

    private sealed class TemporaryFolder : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory("darkstorage-refused-").FullName;

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
