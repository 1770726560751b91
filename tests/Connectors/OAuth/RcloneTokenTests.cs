using System.Collections.Concurrent;
using System.Net;
using DarkStorage.Connectors.Rclone;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Connectors.OAuth;

/// <summary>rclone as it is, before a drive of which no more is there than its door: which token it comes with, and what becomes of one that is not taken.</summary>
public sealed class RcloneTokenTests : IAsyncLifetime
{
    private readonly ConcurrentQueue<string> _shown = new();
    private readonly Tokens _tokens = new();
    private readonly RcloneProgram _program = new("rclone", TimeProvider.System);
    private WebApplication _drive = null!;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0));
        _drive = builder.Build();
        _drive.Run(async http =>
        {
            _shown.Enqueue(http.Request.Headers.Authorization.ToString());
            http.Response.ContentType = "application/json";
            if (http.Request.Headers.Authorization != $"Bearer {_tokens.Taken}")
            {
                http.Response.StatusCode = 401;
                await http.Response.WriteAsync("""{"msg":"Unauthorized","code":"401"}""");
            }
            // HiDrive's API: the root is there, and in it the file that shows that it is the place.
            else if (http.Request.Query["path"] == "/")
            {
                await http.Response.WriteAsync("""{"id":"b1","name":"root","type":"dir","path":"/"}""");
            }
            else if (http.Request.Query["path"].ToString().EndsWith("/.darkstorage/place", StringComparison.Ordinal))
            {
                await http.Response.WriteAsync("""{"id":"b2","name":"place","type":"file","path":"/.darkstorage/place","size":12,"mtime":1700000000}""");
            }
            else
            {
                http.Response.StatusCode = 404;
                await http.Response.WriteAsync("""{"msg":"Not Found","code":"404"}""");
            }
        });
        await _drive.StartAsync(Ct);
    }

    public async ValueTask DisposeAsync()
    {
        _program.Dispose();
        await _drive.DisposeAsync();
    }

    [Fact]
    public async Task It_comes_with_the_newest_one_and_renews_none_by_itself()
    {
        _tokens.Give("first-access-token", DateTimeOffset.UtcNow.AddHours(1));
        await using var backend = Open();
        Assert.Null(await backend.StatAsync(BlobName.Parse("a"), Ct));
        Assert.Equal(["Bearer first-access-token"], _shown.Distinct());
        var process = await _program.RunningAsync(Ct);

        _shown.Clear();
        _tokens.Give("second-access-token", DateTimeOffset.UtcNow.AddHours(1));
        Assert.Null(await backend.StatAsync(BlobName.Parse("b"), Ct));
        Assert.Equal(["Bearer second-access-token"], _shown.Distinct());
        Assert.Same(process, await _program.RunningAsync(Ct));

        // One that it holds for over, it can't renew: it has nothing to do so.
        var known = (await process.CallAsync("config/dump", [], Ct)).GetRawText();
        Assert.Contains("second-access-token", known, StringComparison.Ordinal);
        Assert.DoesNotContain("refresh", known, StringComparison.Ordinal);
        Assert.DoesNotContain("the-secret", known, StringComparison.Ordinal);
        _tokens.Give("third-access-token", DateTimeOffset.UtcNow.AddHours(-1));
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("c"), Ct))).Error);
    }

    [Fact]
    public async Task One_that_is_not_taken_is_rejected_and_another_is_used()
    {
        _tokens.Give("first-access-token", DateTimeOffset.UtcNow.AddHours(1));
        await using var backend = Open();
        await backend.StatAsync(BlobName.Parse("a"), Ct);
        _tokens.Taken = "second-access-token";
        var refused = await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("b"), Ct));
        Assert.Equal(BackendError.Unavailable, refused.Error); // and is tried again
        Assert.DoesNotContain("access-token", refused.Message, StringComparison.Ordinal);
        Assert.Equal("first-access-token", Assert.Single(_tokens.Rejected));
        _tokens.Give("second-access-token", DateTimeOffset.UtcNow.AddHours(1));
        Assert.Null(await backend.StatAsync(BlobName.Parse("c"), Ct));
        _tokens.Failure = new(BackendError.AccessDenied, "Authorize it again.");
        Assert.Equal(BackendError.AccessDenied, (await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("d"), Ct))).Error);
    }

    [Fact]
    public void Fields_of_access_are_for_those_that_have_it()
    {
        var remote = RcloneConnector.RemoteOf(new Dictionary<string, string> { ["remote-type"] = "box", ["client-id"] = "app", ["client-secret"] = "the-secret", ["token-url"] = "https://service.example/" });
        Assert.Empty(remote.Parameters);
        Assert.StartsWith("token-url: sftp", Assert.Throws<GrainInterfaces.StorageException>(() =>
            RcloneConnector.RemoteOf(new Dictionary<string, string> { ["remote-type"] = "sftp", ["host"] = "h", ["user"] = "u", ["token-url"] = "https://service.example/" })).Message, StringComparison.Ordinal);
        var pasted = RcloneConnector.RemoteOf(new Dictionary<string, string> { ["remote-type"] = "box", ["client-id"] = "app", ["client-secret"] = "the-secret", ["token"] = "{}" });
        Assert.Equal(["client_id", "client_secret", "token"], pasted.Parameters.Keys);
    }

    private RcloneBackend Open() => new(_program,
        RcloneConnector.RemoteOf(new Dictionary<string, string> { ["remote-type"] = "hidrive", ["client-id"] = "app", ["client-secret"] = "the-secret", ["options"] = $"endpoint={_drive.Urls.Single()}/2.1" }), TimeProvider.System, _tokens);

    private sealed class Tokens : IAccessTokens
    {
        private AccessToken? _token;

        /// <summary>By the drive.</summary>
        public string? Taken { get; set; }

        public BackendException? Failure { get; set; }

        public ConcurrentQueue<string> Rejected { get; } = new();

        public void Give(string text, DateTimeOffset ends) => (_token, Taken) = (new(text, ends), text);

        public ValueTask<AccessToken> GetAsync(CancellationToken ct) => Failure is null ? new(_token!) : ValueTask.FromException<AccessToken>(Failure);

        public void Reject(AccessToken token) => Rejected.Enqueue(token.Text);
    }
}
