using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Connectors.OAuth;

/// <summary>Token endpoints that answer badly, late, too much or not at all.</summary>
public sealed class OAuthClientTests : IAsyncLifetime
{
    private const string Code = "the-code-0123456789";
    private const string Refresh = "the-refresh-token-0123456789";
    private const string Secret = "the/secret+of=the application";

    private readonly ManualTime _clock = new();
    private WebApplication _server = null!;
    private OAuthClient _client = null!;
    private string _form = "";
    private Func<HttpContext, Task> _answers = static _ => Task.CompletedTask;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0));
        _server = builder.Build();
        _server.Run(async http =>
        {
            using var reader = new StreamReader(http.Request.Body);
            _form = await reader.ReadToEndAsync();
            await _answers(http);
        });
        await _server.StartAsync(Ct);
        _client = new(_clock);
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _server.DisposeAsync();
    }

    [Fact]
    public async Task A_code_is_sent_with_all_that_belongs_to_it_and_in_the_body_alone()
    {
        Says(200, """{"access_token":"A","token_type":"bearer","expires_in":"3600","refresh_token":"R","scope":"x"}""");
        Assert.Equal(new("A", TimeSpan.FromHours(1), "R"), await _client.ExchangeAsync(Application(), Code, new("http://127.0.0.1:9001/callback"), "verifier", Ct));
        Assert.Equal($"grant_type=authorization_code&code={Code}&redirect_uri=http%3A%2F%2F127.0.0.1%3A9001%2Fcallback&code_verifier=verifier&client_id=app&client_secret=the%2Fsecret%2Bof%3Dthe+application", _form);
        Says(200, """{"access_token":"A","token_type":"Bearer"}""");
        Assert.Equal(new("A", null, null), await _client.RenewAsync(Application(), Refresh, Ct));
        Assert.Equal($"grant_type=refresh_token&refresh_token={Refresh}&client_id=app&client_secret=the%2Fsecret%2Bof%3Dthe+application", _form);
    }

    [Theory]
    [InlineData(400, """{"error":"invalid_grant"}""", OAuthError.InvalidGrant)]
    [InlineData(200, """{"error":"invalid_grant"}""", OAuthError.InvalidGrant)]
    [InlineData(401, """{"error":"invalid_client"}""", OAuthError.InvalidClient)]
    [InlineData(401, "<html>", OAuthError.InvalidClient)]
    [InlineData(400, """{"error":"unauthorized_client"}""", OAuthError.InvalidClient)]
    [InlineData(400, """{"error":"invalid_scope"}""", OAuthError.Refused)]
    [InlineData(400, """{"error":7}""", OAuthError.Refused)]
    [InlineData(404, "", OAuthError.Refused)]
    [InlineData(400, """{"error":"authorization_pending"}""", OAuthError.Pending)]
    [InlineData(400, """{"error":"slow_down"}""", OAuthError.SlowDown)]
    [InlineData(400, """{"error":"expired_token"}""", OAuthError.Expired)]
    [InlineData(400, """{"error":"access_denied"}""", OAuthError.Denied)]
    [InlineData(400, """{"error":"temporarily_unavailable"}""", OAuthError.Unavailable)]
    [InlineData(500, """{"error":"invalid_grant"}""", OAuthError.Unavailable)]
    [InlineData(429, """{"error":"invalid_grant"}""", OAuthError.Unavailable)]
    [InlineData(302, "", OAuthError.Unavailable)]
    [InlineData(200, "", OAuthError.Unavailable)]
    [InlineData(200, "[]", OAuthError.Unavailable)]
    [InlineData(200, "{}", OAuthError.Unavailable)]
    [InlineData(200, """{"access_token":"a b","token_type":"Bearer"}""", OAuthError.Unavailable)]
    [InlineData(200, """{"access_token":"a\r\nX: y","token_type":"Bearer"}""", OAuthError.Unavailable)]
    [InlineData(200, """{"access_token":"abc","token_type":"MAC"}""", OAuthError.Unavailable)]
    [InlineData(200, """{"access_token":"\ud800","token_type":"Bearer"}""", OAuthError.Unavailable)]
    [InlineData(200, """{"access_token":"abc","token_type":"Bearer","refresh_token":"r r"}""", OAuthError.Unavailable)]
    public async Task Each_answer_is_of_a_kind(int status, string text, OAuthError expected)
    {
        Says(status, text);
        Assert.Equal(expected, (await Assert.ThrowsAsync<OAuthException>(() => _client.RenewAsync(Application(), Refresh, Ct))).Error);
    }

    [Fact]
    public async Task What_a_service_says_is_told_and_nothing_secret_of_it()
    {
        Says(400, new JsonObject { ["error"] = "invalid_grant", ["error_description"] = "AADSTS70008: it has\u001b[2J expired. Trace eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9\nMore" }.ToJsonString());
        var told = await Assert.ThrowsAsync<OAuthException>(() => _client.RenewAsync(Application(), Refresh, Ct));
        Assert.Equal($"Service ({new Uri(Url).Authority}) answered invalid_grant (400). AADSTS70008: it has[2J expired. Trace …", told.Message);
        foreach (var secret in new[] { Refresh, Secret, Uri.EscapeDataString(Secret), Refresh.ToUpperInvariant() })
        {
            Says(400, new JsonObject { ["error"] = "invalid_grant", ["error_description"] = $"Not {secret}!" }.ToJsonString());
            var refused = await Assert.ThrowsAsync<OAuthException>(() => _client.RenewAsync(Application(), Refresh, Ct));
            Assert.DoesNotContain(secret, refused.ToString(), StringComparison.OrdinalIgnoreCase);
        }
        Says(400, new JsonObject { ["error"] = Code, ["error_description"] = Code }.ToJsonString());
        Assert.DoesNotContain(Code, (await Assert.ThrowsAsync<OAuthException>(() => _client.ExchangeAsync(Application(), Code, new("http://127.0.0.1/"), null, Ct))).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_answer_that_has_no_end_is_not_read_to_it()
    {
        _answers = async http =>
        {
            var much = new byte[64 << 10];
            try
            {
                while (true) await http.Response.Body.WriteAsync(much, http.RequestAborted);
            }
            catch (Exception e) when (e is IOException or OperationCanceledException)
            {
                // It was left.
            }
        };
        Assert.Equal(OAuthError.Unavailable, (await Assert.ThrowsAsync<OAuthException>(() => _client.RenewAsync(Application(), Refresh, Ct))).Error);
    }

    [Fact]
    public async Task A_token_endpoint_that_hangs_is_left_after_ten_seconds_and_whoever_leaves_does_at_once()
    {
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _answers = async http =>
        {
            asked.TrySetResult();
            await Task.Delay(Timeout.Infinite, http.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        };
        var waiting = _client.RenewAsync(Application(), Refresh, Ct);
        await asked.Task.WaitAsync(Eventually.HangsAfter, Ct);
        _clock.Advance(TimeSpan.FromSeconds(9));
        Assert.False(waiting.IsCompleted);
        _clock.Advance(TimeSpan.FromSeconds(2));
        var late = await Assert.ThrowsAsync<OAuthException>(() => waiting.WaitAsync(Eventually.HangsAfter, Ct));
        Assert.Equal((OAuthError.Unavailable, $"Service ({new Uri(Url).Authority}) did not answer within 10 s."), (late.Error, late.Message));

        asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using var leaving = new CancellationTokenSource();
        var left = _client.RenewAsync(Application(), Refresh, leaving.Token);
        await asked.Task.WaitAsync(Eventually.HangsAfter, Ct);
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left.WaitAsync(Eventually.HangsAfter, Ct));
    }

    [Fact]
    public async Task What_does_not_listen_or_may_not_be_asked_is_away()
    {
        using var taken = new Socket(SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        Assert.Equal(OAuthError.Unavailable, (await Assert.ThrowsAsync<OAuthException>(() => _client.RenewAsync(Application($"http://{taken.LocalEndPoint}/"), Refresh, Ct))).Error);
        var forbidden = await Assert.ThrowsAsync<OAuthException>(() => _client.RenewAsync(Application("https://169.254.169.254/token"), Refresh, Ct));
        Assert.Contains("link-local", forbidden.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task When_to_ask_again_is_heard()
    {
        _answers = http =>
        {
            http.Response.StatusCode = 503;
            http.Response.Headers.RetryAfter = "77";
            return Task.CompletedTask;
        };
        Assert.Equal(TimeSpan.FromSeconds(77), (await Assert.ThrowsAsync<OAuthException>(() => _client.RenewAsync(Application(), Refresh, Ct))).RetryAfter);
    }

    [Fact]
    public async Task A_device_is_told_what_to_show()
    {
        Says(200, """{"device_code":"D","user_code":"AB-CD","verification_url":"https://service.example/device","expires_in":1800}""");
        Assert.Equal(new("D", "AB-CD", new("https://service.example/device"), null, TimeSpan.FromMinutes(30), TimeSpan.FromSeconds(5)), await _client.BeginDeviceAsync(Application(), Ct));
        Assert.Equal("scope=files+more&client_id=app&client_secret=the%2Fsecret%2Bof%3Dthe+application", _form);
    }

    [Theory]
    [InlineData("verification_uri", "javascript:alert(1)")]
    [InlineData("verification_uri", "http://service.example/")]
    [InlineData("user_code", "\u001b[2J")]
    [InlineData("user_code", "")]
    [InlineData("device_code", "")]
    [InlineData("expires_in", -1)]
    [InlineData("interval", 100_000)]
    public async Task A_device_is_not_told_what_nobody_should_see(string name, object value)
    {
        var good = new JsonObject { ["device_code"] = "D", ["user_code"] = "AB-CD", ["verification_uri"] = "https://service.example/device", ["expires_in"] = 1800, ["interval"] = 5 };
        Says(200, good.ToJsonString());
        await _client.BeginDeviceAsync(Application(), Ct);
        good[name] = JsonValue.Create(value);
        Says(200, good.ToJsonString());
        Assert.Equal(OAuthError.Unavailable, (await Assert.ThrowsAsync<OAuthException>(() => _client.BeginDeviceAsync(Application(), Ct))).Error);
    }

    [Fact]
    public void The_address_to_open_escapes_what_is_in_it()
    {
        var address = Application().AddressFor(new("http://127.0.0.1:9001/callback?a=b"), "s&t", "c h").AbsoluteUri;
        Assert.EndsWith("/authorize?response_type=code&client_id=app&redirect_uri=http%3A%2F%2F127.0.0.1%3A9001%2Fcallback%3Fa%3Db&state=s%26t&scope=files%20more&code_challenge=c%20h&code_challenge_method=S256&access_type=offline", address, StringComparison.Ordinal);
    }

    public static TheoryData<string, string> Kinds
    {
        get
        {
            using var catalog = new ConnectorCatalog(TimeProvider.System);
            return [.. catalog.Types.SelectMany(t => t.OAuth.Select(s => (t.Name, s.Title)))];
        }
    }

    [Theory, MemberData(nameof(Kinds))]
    public void Each_service_has_addresses_that_are_safe_or_wants_them(string type, string title)
    {
        using var catalog = new ConnectorCatalog(TimeProvider.System);
        var kind = catalog.Types.Single(t => t.Name == type);
        var service = kind.OAuth.Single(s => s.Title == title);
        var settings = service.When.Add("client-id", "app");
        if (service.AuthorizationUrl is null)
        {
            Assert.Contains("needs authorization-url", Assert.Throws<StorageException>(() => kind.ApplicationOf(settings)).Message, StringComparison.Ordinal);
            settings = settings.Add("authorization-url", "https://service.example/a").Add("token-url", "https://service.example/t");
        }
        var application = kind.ApplicationOf(settings)!;
        Assert.All(new[] { application.AuthorizationUrl, application.TokenUrl, application.DeviceUrl }.OfType<Uri>(), u => Assert.Equal("https", u.Scheme));
        Assert.DoesNotContain("the-secret", kind.ApplicationOf(settings.Add("client-secret", "the-secret"))!.ToString(), StringComparison.Ordinal);
        foreach (var other in service.InsteadOf) Assert.Null(kind.ApplicationOf(settings.Add(other, "x")));
        Assert.Null(kind.ApplicationOf(settings.Remove("client-id")));
        Assert.All(new[] { "authorization-url", "token-url", "device-url", "client-id", "client-secret", "scope" }, name => Assert.Contains(kind.Fields, f => f.Name == name && !f.IsPlace));
    }

    private string Url => _server.Urls.Single();

    private OAuthApplication Application(string? tokenUrl = null) => new(
        new("Service", ImmutableSortedDictionary<string, string>.Empty, []) { Parameters = ImmutableSortedDictionary.CreateRange([KeyValuePair.Create("access_type", "offline")]) },
        "app", Secret, new("https://service.example/authorize"), new(tokenUrl ?? $"{Url}/token"), new($"{Url}/device"), "files more");

    private void Says(int status, string text) => _answers = async http =>
    {
        http.Response.StatusCode = status;
        await http.Response.Body.WriteAsync(Encoding.UTF8.GetBytes(text));
    };
}
