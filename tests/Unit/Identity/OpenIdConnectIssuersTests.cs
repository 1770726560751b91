using System.ComponentModel.DataAnnotations;
using System.Text;
using DarkStorage.Connectors.Identity;
using DarkStorage.GrainInterfaces;
using DarkStorage.TestKit;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace DarkStorage.Unit.Identity;

/// <summary>Where keys come from: fetched, remembered, bounded, and not asked for too often.</summary>
public sealed class OpenIdConnectIssuersTests
{
    private sealed class Clock : TimeProvider
    {
        public TimeSpan Elapsed { get; set; } = TimeSpan.FromDays(1);

        public override long GetTimestamp() => Elapsed.Ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;
    }

    [Fact]
    public async Task Keys_are_fetched_once_and_anew_after_their_life_or_for_a_new_key_after_a_pause()
    {
        await using var issuer = await OidcIssuer.StartAsync();
        issuer.AddRsa("one");
        var clock = new Clock();
        using var issuers = Issuers(issuer, clock);
        var provider = issuers.Find(issuer.Url)!;
        var first = await issuers.GetKeySetAsync(provider, anew: false, default);
        Assert.Equal(issuer.KeySetJson(), Encoding.UTF8.GetString(first));
        for (var i = 0; i < 10; i++) Assert.Same(first, await issuers.GetKeySetAsync(provider, anew: true, default));
        Assert.Equal(2, issuer.Requests.Count);

        issuer.AddRsa("two");
        clock.Elapsed += TimeSpan.FromSeconds(30);
        Assert.Same(first, await issuers.GetKeySetAsync(provider, anew: false, default));
        var second = await issuers.GetKeySetAsync(provider, anew: true, default);
        Assert.Equal(issuer.KeySetJson(), Encoding.UTF8.GetString(second));
        Assert.Equal(4, issuer.Requests.Count);

        clock.Elapsed += TimeSpan.FromMinutes(10);
        Assert.NotSame(second, await issuers.GetKeySetAsync(provider, anew: false, default));
        Assert.Equal(6, issuer.Requests.Count);
    }

    [Fact]
    public async Task Many_that_wait_cost_one_fetch_and_an_issuer_that_fails_is_left_alone_for_a_pause()
    {
        await using var issuer = await OidcIssuer.StartAsync();
        var clock = new Clock();
        using var issuers = Issuers(issuer, clock);
        var provider = issuers.Find(issuer.Url)!;
        issuer.KeySet = http =>
        {
            http.Response.StatusCode = StatusCodes.Status500InternalServerError;
            return Task.CompletedTask;
        };
        var waiting = Enumerable.Range(0, 20).Select(_ => Assert.ThrowsAsync<StorageException>(async () => await issuers.GetKeySetAsync(provider, anew: false, default)));
        Assert.All(await Task.WhenAll(waiting), e => Assert.Equal(StorageError.Unavailable, e.Error));
        Assert.Equal(2, issuer.Requests.Count);
        issuer.KeySet = null;
        clock.Elapsed += TimeSpan.FromSeconds(30);
        Assert.NotEmpty(await issuers.GetKeySetAsync(provider, anew: false, default));
    }

    [Fact]
    public async Task Who_hangs_up_while_the_keys_are_fetched_keeps_them_from_nobody()
    {
        await using var issuer = await OidcIssuer.StartAsync();
        issuer.AddRsa("one");
        var (asked, answer) = (new TaskCompletionSource(), new TaskCompletionSource());
        issuer.KeySet = async http =>
        {
            asked.SetResult();
            await answer.Task;
            await http.Response.WriteAsync(issuer.KeySetJson());
        };
        using var issuers = Issuers(issuer, new Clock());
        var provider = issuers.Find(issuer.Url)!;
        using var stranger = new CancellationTokenSource();
        var left = issuers.GetKeySetAsync(provider, anew: false, stranger.Token).AsTask();
        await asked.Task;
        var waiting = issuers.GetKeySetAsync(provider, anew: false, default);
        await stranger.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        answer.SetResult();
        Assert.Equal(issuer.KeySetJson(), Encoding.UTF8.GetString(await waiting));
        Assert.Equal(2, issuer.Requests.Count);
    }

    [Fact]
    public async Task What_is_too_long_redirected_too_slow_or_of_another_issuer_is_not_taken()
    {
        await using var issuer = await OidcIssuer.StartAsync();
        var stalled = new TaskCompletionSource();
        Func<HttpContext, Task>[] strange =
        [
            http => http.Response.WriteAsync(new string(' ', (256 << 10) + 1)),
            http => { http.Response.Redirect(issuer.Url + "/keys"); return Task.CompletedTask; },
            _ => stalled.Task,
        ];
        foreach (var answer in strange)
        {
            issuer.KeySet = answer;
            await RefusedAsync();
            (issuer.KeySet, issuer.Discovery) = (null, answer);
            await RefusedAsync();
            issuer.Discovery = null;
        }
        stalled.SetResult();
        foreach (var document in (string[])["", "[]", "{}", """{"issuer":"https://other.example","jwks_uri":"KEYS"}""", """{"issuer":"ISSUER"}""", """{"issuer":"ISSUER","jwks_uri":1}""",
            """{"issuer":"ISSUER","jwks_uri":"file:///etc/passwd"}""", """{"issuer":"ISSUER","jwks_uri":"http://keys.example/"}"""])
        {
            issuer.Discovery = http => http.Response.WriteAsync(document.Replace("ISSUER", issuer.Url, StringComparison.Ordinal).Replace("KEYS", issuer.Url + "/keys", StringComparison.Ordinal));
            await RefusedAsync();
        }

        async Task RefusedAsync()
        {
            using var issuers = Issuers(issuer, new Clock(), TimeSpan.FromSeconds(0.5));
            var e = await Assert.ThrowsAsync<StorageException>(async () => await issuers.GetKeySetAsync(issuers.Find(issuer.Url)!, anew: false, default));
            Assert.Equal(StorageError.Unavailable, e.Error);
        }
    }

    [Theory]
    [InlineData("http://issuer.example", "client")]
    [InlineData("https://issuer.example#x", "client")]
    [InlineData("https://user@issuer.example", "client")]
    [InlineData("", "client")]
    [InlineData("https://issuer.example", "")]
    [InlineData("https://issuer.example", null)]
    public void What_is_not_an_issuer_to_trust_is_refused(string url, string? client) => Assert.Throws<ValidationException>(() =>
        new OpenIdConnectIssuers(new() { Issuers = [new() { Url = url, ClientIds = client is null ? [] : [client] }] }, TimeProvider.System).Dispose());

    private static OpenIdConnectIssuers Issuers(OidcIssuer issuer, TimeProvider clock, TimeSpan? timeout = null) =>
        new(new() { Issuers = [new() { Url = issuer.Url, ClientIds = ["client"] }], Timeout = timeout ?? TimeSpan.FromSeconds(30) }, clock);
}
