using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using System.Web;
using DarkStorage.Connectors.Gcs;
using DarkStorage.Connectors.GoogleDrive;
using DarkStorage.TestKit;

namespace DarkStorage.Connectors.OAuth;

/// <summary>A node, an authorization server of others, and a bucket that takes what that has given: from the first request to a token that was renewed.</summary>
public sealed class AuthorizationTests(OidcProvider provider) : IClassFixture<OidcProvider>, IAsyncLifetime
{
    private readonly GcsServer _gcs = new();
    private readonly StringBuilder _shown = new();
    private NodeProcess _node = null!;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await provider.ControlAsync("accessSeconds=3600&deviceSeconds=600&denies=false");
        _gcs.TakesOfUsers = async token => await provider.TakesAsync(token);
        await _gcs.InitializeAsync();
        _node = await NodeProcess.StartAsync(new() { Environment = new Dictionary<string, string> { ["DARKSTORAGE_Integrations__HealthPeriod"] = "00:00:01" } });
    }

    public async ValueTask DisposeAsync()
    {
        await _node.DisposeAsync();
        await _gcs.DisposeAsync();
    }

    [Fact]
    public async Task Somebody_gives_access_with_a_browser_and_what_is_secret_is_shown_to_nobody()
    {
        await AddAsync();
        Assert.Equal("It is not authorized yet: darkstorage integrations authorize bucket", (string?)(await StatusAsync())["health"]!["failure"]);
        Assert.Contains("not authorized yet", (string?)(await AskAsync(HttpMethod.Put, "tiers/warm", new { integration = "bucket" }, HttpStatusCode.BadRequest))["error"], StringComparison.Ordinal);

        var callback = await OidcProvider.GiveAccessAsync(new((string)(await BeginAsync("code"))["url"]!));
        Assert.Equal(_node.ManagementUrl.Port, callback.Port);
        var query = HttpUtility.ParseQueryString(callback.Query);
        // Somebody with another state, and who asks to be shown what they sent.
        foreach (var state in new[] { $"{new string('A', 43)}.bucket", "x", "a.b.c", $"{query["state"]}x", "<script>.bucket" })
        {
            var (status, text) = await ComeBackAsync($"state={Uri.EscapeDataString(state)}&code=<script>");
            Assert.Equal(HttpStatusCode.BadRequest, status);
            Assert.DoesNotContain("script", text, StringComparison.Ordinal);
        }
        Assert.Equal((HttpStatusCode.OK, "The integration bucket is authorized. This page can be closed.\n"), await ComeBackAsync(callback.Query[1..]));
        Assert.Equal(HttpStatusCode.BadRequest, (await ComeBackAsync(callback.Query[1..])).Status);

        await Eventually.HoldsAsync("it is healthy", async () => (bool?)(await StatusAsync())["health"]!["healthy"] == true);
        Assert.True((bool)(await AskAsync(HttpMethod.Post, "integrations/bucket/test", null, HttpStatusCode.OK))["passed"]!);
        await _node.RestartAsync();
        Assert.True((bool)(await AskAsync(HttpMethod.Post, "integrations/bucket/test", null, HttpStatusCode.OK))["passed"]!);
        await AskAsync(HttpMethod.Get, "integrations", null, HttpStatusCode.OK);

        var begun = await BeginAsync("code");
        foreach (var secret in new[] { OidcProvider.ClientSecret, query["code"]!, query["state"]!.Split('.')[0] })
        {
            Assert.DoesNotContain(secret, _node.Output, StringComparison.Ordinal);
            Assert.DoesNotContain(Directory.EnumerateFiles(_node.DataDirectory, "*", SearchOption.AllDirectories).Where(f => !f.EndsWith("lock", StringComparison.Ordinal)), f => ReadShared(f).AsSpan().IndexOf(Encoding.UTF8.GetBytes(secret)) >= 0);
        }
        Assert.DoesNotContain(OidcProvider.ClientSecret, _shown.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain(query["code"]!, _shown.ToString(), StringComparison.Ordinal);
        Assert.NotNull(begun["url"]);
    }

    [Fact]
    public async Task A_flow_goes_on_when_the_node_was_killed_in_its_middle()
    {
        await AddAsync();
        var callback = await OidcProvider.GiveAccessAsync(new((string)(await BeginAsync("code"))["url"]!));
        await _node.RestartAsync();
        Assert.Equal(HttpStatusCode.OK, (await ComeBackAsync(callback.Query[1..])).Status);
        Assert.True((bool)(await AskAsync(HttpMethod.Post, "integrations/bucket/test", null, HttpStatusCode.OK))["passed"]!);

        var device = await BeginAsync("device");
        await _node.RestartAsync();
        var before = (DateTimeOffset)(await StatusAsync())["authorization"]!["granted"]!;
        await OidcProvider.EnterAsync(new((string)device["url"]!), (string)device["userCode"]!);
        await Eventually.HoldsAsync("the device has access", async () => (DateTimeOffset)(await StatusAsync())["authorization"]!["granted"]! > before);
        Assert.True((bool)(await AskAsync(HttpMethod.Post, "integrations/bucket/test", null, HttpStatusCode.OK))["passed"]!);
    }

    [Fact]
    public async Task Access_is_renewed_again_and_again_before_it_ends_and_over_a_restart()
    {
        // Each refresh token is taken once, and a second use would end it all.
        await provider.ControlAsync("accessSeconds=4");
        await AuthorizeAsync();
        var before = await provider.ControlAsync("");
        await RenewedAsync(2);
        await _node.RestartAsync();
        await RenewedAsync(2);
        Assert.True((bool)(await AskAsync(HttpMethod.Post, "integrations/bucket/test", null, HttpStatusCode.OK))["passed"]!);
        var after = await provider.ControlAsync("");
        Assert.Equal((true, (int)before["failed"]!), ((int)after["refreshes"]! >= (int)before["refreshes"]! + 4, (int)after["failed"]!));

        // What is written down, lest the node is killed between that and the answer.
        async Task RenewedAsync(int times)
        {
            for (var time = 0; time < times; time++)
            {
                var known = (DateTimeOffset)(await StatusAsync())["authorization"]!["renewed"]!;
                await Eventually.HoldsAsync("it was renewed", async () => (bool)(await StatusAsync())["authorization"]!["authorized"]! && (DateTimeOffset)(await StatusAsync())["authorization"]!["renewed"]! > known);
            }
        }
    }

    [Fact]
    public async Task Access_that_was_taken_back_has_somebody_give_it_again()
    {
        await provider.ControlAsync("accessSeconds=4");
        await AuthorizeAsync();
        var failed = (int)(await provider.ControlAsync(""))["failed"]!;
        await provider.ControlAsync("revoke=true");
        await Eventually.HoldsAsync("the health says so", async () => ((string?)(await StatusAsync())["health"]!["failure"])?.Contains("authorize", StringComparison.OrdinalIgnoreCase) == true && (bool)(await StatusAsync())["authorization"]!["authorized"]! == false);
        Assert.Contains("invalid_grant", (string?)(await StatusAsync())["authorization"]!["failure"], StringComparison.Ordinal);
        Assert.Equal(failed + 1, (int)(await provider.ControlAsync(""))["failed"]!);
        await AuthorizeAsync(isNew: false);
        Assert.True((bool)(await AskAsync(HttpMethod.Post, "integrations/bucket/test", null, HttpStatusCode.OK))["passed"]!);
    }

    [Fact]
    public async Task The_command_line_asks_and_waits()
    {
        var settings = SettingsOf(_gcs.NewBucket());
        var added = await _node.CommandLineAsync(["integrations", "add", "gcs", "--name", "bucket", .. settings.SelectMany(s => new[] { $"--{s.Key}", s.Value })]);
        Assert.Equal((0, "Added bucket\nIt is not authorized yet: darkstorage integrations authorize bucket\n"), (added.ExitCode, added.Output));
        // It prints what to open, which only its end hands over here; what it has begun is seen when it is under way, and somebody enters the code of another device's flow.
        await provider.ControlAsync("denies=true");
        var waiting = _node.CommandLineAsync(["integrations", "authorize", "bucket", "--device", "--wait"]);
        await Eventually.HoldsAsync("it is under way", async () => (await StatusAsync())["authorization"]!["pendingUntil"] is not null);
        var device = await BeginAsync("device");
        await OidcProvider.EnterAsync(new((string)device["url"]!), (string)device["userCode"]!);
        var refused = await waiting;
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains($"Open {provider.Url}/device and enter ", refused.Output, StringComparison.Ordinal);
        Assert.Contains("bucket was not authorized: Access was refused.", refused.Error, StringComparison.Ordinal);

        await provider.ControlAsync("denies=false");
        waiting = _node.CommandLineAsync(["integrations", "authorize", "bucket", "--wait"]);
        await Eventually.HoldsAsync("it is under way", async () => (await StatusAsync())["authorization"]!["pendingUntil"] is not null);
        await AuthorizeAsync(isNew: false);
        var done = await waiting;
        Assert.Equal((0, ""), (done.ExitCode, done.Error));
        Assert.EndsWith("bucket is authorized, and healthy\n", done.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_device_whose_code_nobody_enters_is_told_so()
    {
        await provider.ControlAsync("deviceSeconds=3");
        await AddAsync();
        await BeginAsync("device");
        await Eventually.HoldsAsync("it is over", async () => (string?)(await StatusAsync())["authorization"]!["flowFailure"] == "Nobody gave access in time.");
        Assert.Null((await StatusAsync())["authorization"]!["pendingUntil"]);
    }

    [Fact]
    public async Task What_can_not_be_right_is_refused()
    {
        await AddAsync();
        Assert.Equal("flow: code or device.", (string?)(await AskAsync(HttpMethod.Post, "integrations/bucket/authorize", new { flow = "password" }, HttpStatusCode.BadRequest))["error"]);
        Assert.Equal("There is no integration other.", (string?)(await AskAsync(HttpMethod.Post, "integrations/other/authorize", new { flow = "code" }, HttpStatusCode.NotFound))["error"]);
        var settings = SettingsOf(_gcs.NewBucket());
        settings["service-account-key"] = _gcs.NewKey();
        await AskAsync(HttpMethod.Post, "integrations", new { name = "both", type = "gcs", settings }, HttpStatusCode.BadRequest);
        settings.Remove("client-id");
        settings["token-url"] = "http://token.example/";
        await AskAsync(HttpMethod.Post, "integrations", new { name = "account", type = "gcs", settings }, HttpStatusCode.Created);
        Assert.Contains("has other credentials", (string?)(await AskAsync(HttpMethod.Post, "integrations/account/authorize", new { flow = "code" }, HttpStatusCode.BadRequest))["error"], StringComparison.Ordinal);
        settings.Remove("service-account-key");
        settings["client-id"] = "cluster";
        Assert.Contains("token-url: https", (string?)(await AskAsync(HttpMethod.Post, "integrations", new { name = "unsafe", type = "gcs", settings }, HttpStatusCode.BadRequest))["error"], StringComparison.Ordinal);
        using var anonymous = new HttpClient();
        using var body = new StringContent("""{"flow":"code"}""");
        using var answer = await anonymous.PostAsync(new Uri(_node.ManagementUrl, "/v1/integrations/bucket/authorize"), body, Ct);
        Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
    }

    [Fact]
    public async Task A_drive_gets_its_folder_when_somebody_has_given_access_and_no_other_when_that_is_gone()
    {
        await using var drive = new DriveServer { TakesOfUsers = async token => await provider.TakesAsync(token) };
        await drive.InitializeAsync();
        var settings = new Dictionary<string, string>(provider.Settings) { ["endpoint"] = drive.Url, ["folder"] = "of a test" };
        await AskAsync(HttpMethod.Post, "integrations", new { name = "bucket", type = "google-drive", settings }, HttpStatusCode.Created);
        Assert.Empty(drive.Items);
        await AuthorizeAsync(isNew: false);
        await Eventually.HoldsAsync("it is healthy", async () => (bool?)(await StatusAsync())["health"]!["healthy"] == true);
        var folder = Assert.Single(drive.Items);
        Assert.Equal(("of a test", true), (folder.Name, folder.IsFolder));
        Assert.True((bool)(await AskAsync(HttpMethod.Post, "integrations/bucket/test", null, HttpStatusCode.OK))["passed"]!);
        drive.Trash(folder.Id);
        await Eventually.HoldsAsync("it is said to be missing", async () => ((string?)(await StatusAsync())["health"]!["failure"])?.Contains("The folder of a test is not there", StringComparison.Ordinal) == true);
        drive.Trash(folder.Id, isIn: false);
        await Eventually.HoldsAsync("it is healthy again", async () => (bool?)(await StatusAsync())["health"]!["healthy"] == true);
        Assert.Single(drive.Items);
    }

    private Dictionary<string, string> SettingsOf(string bucket) => new(provider.Settings) { ["endpoint"] = _gcs.Url, ["bucket"] = bucket };

    private Task AddAsync() => AskAsync(HttpMethod.Post, "integrations", new { name = "bucket", type = "gcs", settings = SettingsOf(_gcs.NewBucket()) }, HttpStatusCode.Created);

    private Task<JsonNode> BeginAsync(string flow) => AskAsync(HttpMethod.Post, "integrations/bucket/authorize", new { flow }, HttpStatusCode.OK);

    private Task<JsonNode> StatusAsync() => AskAsync(HttpMethod.Get, "integrations/bucket", null, HttpStatusCode.OK);

    private async Task AuthorizeAsync(bool isNew = true)
    {
        if (isNew) await AddAsync();
        var callback = await OidcProvider.GiveAccessAsync(new((string)(await BeginAsync("code"))["url"]!));
        Assert.Equal(HttpStatusCode.OK, (await ComeBackAsync(callback.Query[1..])).Status);
    }

    private async Task<(HttpStatusCode Status, string Text)> ComeBackAsync(string query)
    {
        using var browser = new HttpClient();
        using var answer = await browser.GetAsync(new Uri(_node.ManagementUrl, $"/v1/integrations/oauth/callback?{query}"), Ct);
        Assert.Equal(("no-store", "no-referrer"), (answer.Headers.CacheControl?.ToString(), answer.Headers.GetValues("Referrer-Policy").Single()));
        return (answer.StatusCode, await answer.Content.ReadAsStringAsync(Ct));
    }

    private async Task<JsonNode> AskAsync(HttpMethod method, string path, object? body, HttpStatusCode expected)
    {
        using var answer = await _node.AdminAsync(method, $"v1/{path}", body);
        var text = await answer.Content.ReadAsStringAsync(Ct);
        _shown.AppendLine(text);
        Assert.True(answer.StatusCode == expected, $"{method} {path}: {(int)answer.StatusCode} {text}");
        return JsonNode.Parse(text)!;
    }

    private static byte[] ReadShared(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        var content = new byte[Math.Min(file.Length, 64 << 20)];
        var read = file.ReadAtLeast(content, content.Length, throwOnEndOfStream: false);
        return content[..read];
    }
}
