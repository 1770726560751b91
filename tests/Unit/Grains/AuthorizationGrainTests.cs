using System.Buffers.Text;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Web;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Integrations;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Grains.Integrations;
using DarkStorage.Metadata;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Secrets;
using DarkStorage.TestKit;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Orleans;
using Xunit;

namespace DarkStorage.Unit.Grains;

/// <summary>Flows and tokens of OAuth, against a service that takes each refresh token once and holds a second use for a theft, and a clock that is set forward.</summary>
public sealed class AuthorizationGrainTests : IAsyncLifetime
{
    private const string Name = "drive";

    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;

    private readonly LaterTime _clock = new();
    private readonly Service _service = new();
    private readonly Places _places = new();
    private readonly byte[] _key = RandomNumberGenerator.GetBytes(MasterKeyBox.KeyLength);
    private readonly ChangingBox _box = new();
    private GrainHost _host = null!;

    public async ValueTask InitializeAsync()
    {
        _box.Inner = new(_key);
        _host = await GrainHost.StartAsync(services => services
            .AddSingleton<TimeProvider>(_clock)
            .AddSingleton<ISecretBox>(_box)
            .AddSingleton<IOAuthClient>(_service)
            .AddSingleton<IConnectors>(_places)
            .AddSingleton(Options.Create(new IntegrationOptions { HealthPeriod = TimeSpan.FromDays(1), CallbackAddress = new("https://storage.example:9001") })));
        await Integration.AddAsync("drive", null, Settings(("client-id", "app"), ("client-secret", "secret-of-the-application"), ("account", "a")), Ct);
    }

    public ValueTask DisposeAsync() => _host.DisposeAsync();

    [Fact]
    public async Task A_code_is_exchanged_once_with_the_verifier_of_its_challenge()
    {
        Assert.Equal("It is not authorized yet: darkstorage integrations authorize drive", (await Integration.FindAsync(Ct))!.Health!.Failure);
        var (random, query) = await BeginAsync();
        Assert.Equal(("code", "app", "S256", "https://storage.example:9001/v1/integrations/oauth/callback", "files"), (query["response_type"], query["client_id"], query["code_challenge_method"], query["redirect_uri"], query["scope"]));
        Assert.Equal(32, Base64Url.DecodeFromChars(random).Length);
        Assert.False((await Authorization.CompleteAsync(Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32)), "the-code", null, Ct)).IsAuthorized);
        Assert.Empty(_service.Exchanged);

        Assert.True((await Authorization.CompleteAsync(random, "the-code", null, Ct)).IsAuthorized);
        Assert.False((await Authorization.CompleteAsync(random, "the-code", null, Ct)).IsAuthorized);
        var (code, verifier) = Assert.Single(_service.Exchanged);
        Assert.Equal(("the-code", query["code_challenge"]), (code, Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(verifier!)))));
        Assert.True((await Authorization.FindAsync(Ct)).IsAuthorized);
        await NewestAsync();
        // Made ready at once, and not when its health is next asked for.
        await Eventually.HoldsAsync("its place was asked", async () => (await Integration.FindAsync(Ct))!.Health is { IsHealthy: true });
        Assert.Equal(["prepare"], _places.Calls.Distinct());
    }

    [Fact]
    public async Task What_is_secret_is_sealed_and_in_no_text()
    {
        var (random, _) = await BeginAsync();
        Assert.False(Kept().Contains(random, StringComparison.Ordinal));
        await Authorization.CompleteAsync(random, "the-code", null, Ct);
        foreach (var secret in new[] { _service.Newest, _service.Refresh!, "secret-of-the-application" }) Assert.False(Kept().Contains(secret, StringComparison.Ordinal));
        Assert.DoesNotContain(_service.Newest, new AccessToken(_service.Newest, null).ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("refresh", new OAuthTokens("access", null, "refresh").ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_flow_is_over_after_ten_minutes_and_another_takes_its_place()
    {
        var (random, _) = await BeginAsync();
        _clock.Later += TimeSpan.FromMinutes(10);
        Assert.False((await Authorization.CompleteAsync(random, "the-code", null, Ct)).IsAuthorized);
        Assert.Equal((null, "Nobody gave access in time."), ((await Authorization.FindAsync(Ct)).PendingUntil, (await Authorization.FindAsync(Ct)).FlowFailure));
        var (first, _) = await BeginAsync();
        var (second, _) = await BeginAsync();
        Assert.False((await Authorization.CompleteAsync(first, "the-code", null, Ct)).IsAuthorized);
        Assert.True((await Authorization.CompleteAsync(second, "the-code", null, Ct)).IsAuthorized);
    }

    [Theory]
    [InlineData("access_denied", "Access was refused.")]
    [InlineData("server_error", "The service gave no code: server_error.")]
    [InlineData("<script>", "The service gave no code.")]
    public async Task Whoever_comes_back_without_a_code_ends_the_flow(string error, string said)
    {
        var (random, _) = await BeginAsync();
        Assert.Equal(new(false, said), await Authorization.CompleteAsync(random, null, error, Ct));
        Assert.Equal(said, (await Authorization.FindAsync(Ct)).FlowFailure);
        Assert.False((await Authorization.CompleteAsync(random, "the-code", null, Ct)).IsAuthorized);
    }

    [Fact]
    public async Task Access_that_can_not_be_renewed_is_not_taken()
    {
        _service.GivesRefresh = false;
        var (random, _) = await BeginAsync();
        var outcome = await Authorization.CompleteAsync(random, "the-code", null, Ct);
        Assert.False(outcome.IsAuthorized);
        Assert.Contains("nothing to renew it by", outcome.Message, StringComparison.Ordinal);
        Assert.False((await Authorization.FindAsync(Ct)).IsAuthorized);
    }

    [Fact]
    public async Task Whoever_comes_while_it_is_renewed_waits_for_that_one_renewal()
    {
        await AuthorizeAsync();
        var hour = TimeSpan.FromHours(1);
        for (var i = 1; i <= 3; i++)
        {
            _clock.Later += hour;
            var got = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => Task.Run(TokenAsync)));
            Assert.Equal(_service.Newest, Assert.Single(got.Distinct()));
            Assert.Equal(i, _service.Renewals);
        }
    }

    [Fact]
    public async Task Before_it_ends_it_is_renewed_while_the_one_there_is_is_used()
    {
        await AuthorizeAsync();
        var first = await TokenAsync();
        var (asked, mayAnswer) = _service.Hold();
        _clock.Later += TimeSpan.FromMinutes(54);
        Assert.Equal(first, await TokenAsync());
        Assert.False(asked.IsCompleted);
        _clock.Later += TimeSpan.FromMinutes(2);
        Assert.Equal(first, await TokenAsync());
        await asked.WaitAsync(Eventually.HangsAfter, Ct);
        Assert.Equal(first, await TokenAsync());
        mayAnswer.SetResult();
        await Eventually.HoldsAsync("there is another", async () => await TokenAsync() != first);
        Assert.Equal(1, _service.Renewals);
    }

    [Fact]
    public async Task Whoever_leaves_takes_no_renewal_with_them()
    {
        await AuthorizeAsync();
        _clock.Later += TimeSpan.FromHours(1);
        var (asked, mayAnswer) = _service.Hold();
        using var leaving = new CancellationTokenSource();
        var waiting = Authorization.GetAccessAsync([], leaving.Token);
        await asked.WaitAsync(Eventually.HangsAfter, Ct);
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
        mayAnswer.SetResult();
        await NewestAsync();
        Assert.Equal(1, _service.Renewals);
    }

    [Fact]
    public async Task Nothing_is_renewed_while_the_index_takes_no_writes()
    {
        await AuthorizeAsync();
        _clock.Later += TimeSpan.FromMinutes(56);
        var first = await TokenAsync();
        _host.RefusesWrites = true;
        _clock.Later += TimeSpan.FromMinutes(5);
        var none = await Authorization.GetAccessAsync([], Ct);
        Assert.True(none.IsTransient);
        Assert.Contains("can't be written down now", none.Failure, StringComparison.Ordinal);
        Assert.True(_service.Renewals <= 1); // the one at 56 minutes may have been in time
        var before = _service.Renewals;
        _host.RefusesWrites = false;
        _clock.Later += TimeSpan.FromMinutes(5);
        Assert.NotEqual(first, await TokenAsync());
        Assert.Equal(before + 1, _service.Renewals);
    }

    [Fact]
    public async Task What_can_not_be_written_is_given_to_nobody_and_written_as_soon_as_that_can_be()
    {
        await AuthorizeAsync();
        _service.Renewed = () => _host.RefusesWrites = true;
        _clock.Later += TimeSpan.FromHours(1);
        var none = await Authorization.GetAccessAsync([], Ct);
        Assert.Equal((true, 0), (none.IsTransient, none.SealedToken.Length));
        _clock.Later += TimeSpan.FromSeconds(2);
        Assert.NotNull((await Authorization.GetAccessAsync([], Ct)).Failure);
        _host.RefusesWrites = false;
        await Eventually.HoldsAsync("it is written", async () => (await Authorization.GetAccessAsync([], Ct)).Failure is null);
        await NewestAsync();
        Assert.Equal(1, _service.Renewals);
        _service.Renewed = null;
        _clock.Later += TimeSpan.FromHours(1);
        await NewestAsync();
        Assert.Equal(2, _service.Renewals);
    }

    [Fact]
    public async Task Tokens_that_were_written_and_whose_answer_was_lost_are_not_lost()
    {
        await AuthorizeAsync();
        _service.Renewed = () => _host.LosesAnswerTo = nameof(IMetadataIndex.WriteGrainStateAsync);
        _clock.Later += TimeSpan.FromHours(1);
        await Authorization.GetAccessAsync([], Ct);
        _service.Renewed = null;
        await Eventually.HoldsAsync("it is known", async () => (await Authorization.GetAccessAsync([], Ct)).Failure is null);
        await NewestAsync();
        _clock.Later += TimeSpan.FromHours(1);
        await NewestAsync();
        Assert.Equal(2, _service.Renewals);
    }

    [Fact]
    public async Task What_another_activation_is_renewing_is_left_to_it()
    {
        await AuthorizeAsync();
        _clock.Later += TimeSpan.FromHours(1);
        // As one does that has lost its place, and does not know it yet.
        await WriteAsync(s => s with { Renewing = _clock.GetUtcNow() });
        Assert.True((await Authorization.GetAccessAsync([], Ct)).IsTransient);
        _clock.Later += TimeSpan.FromSeconds(10);
        Assert.Equal((true, "It is being renewed elsewhere."), ((await Authorization.GetAccessAsync([], Ct)).IsTransient, (await Authorization.GetAccessAsync([], Ct)).Failure));
        Assert.Equal(0, _service.Attempts);
        // It has ended without having done it.
        _clock.Later += TimeSpan.FromSeconds(30);
        await NewestAsync();
        Assert.Equal(1, _service.Attempts);

        // And one that has done it.
        _clock.Later += TimeSpan.FromHours(1);
        var others = await _service.RenewAsync(null!, _service.Refresh!, Ct);
        await WriteAsync(s => s with
        {
            SealedAccessToken = ((ISecretBox)_box).Seal(others.AccessToken, "integration/drive/access-token"), SealedRefreshToken = ((ISecretBox)_box).Seal(others.RefreshToken!, "integration/drive/refresh-token"),
            Obtained = _clock.GetUtcNow(), Renewing = null,
        });
        Assert.True((await Authorization.GetAccessAsync([], Ct)).IsTransient);
        _clock.Later += TimeSpan.FromSeconds(10);
        await NewestAsync();
        Assert.Equal(2, _service.Attempts);
        Assert.Equal(0, _service.Refusals);
    }

    [Fact]
    public async Task A_refresh_token_that_is_taken_no_more_has_somebody_authorize_it_again()
    {
        await AuthorizeAsync();
        var first = await TokenAsync();
        _service.Refresh = "another";
        _clock.Later += TimeSpan.FromMinutes(56);
        Assert.Equal(first, await TokenAsync());
        await Eventually.HoldsAsync("it says so", async () => !(await Authorization.FindAsync(Ct)).IsAuthorized);
        Assert.Equal(first, await TokenAsync()); // as long as that is good
        var rejected = await Authorization.GetAccessAsync([.. SHA256.HashData(Encoding.UTF8.GetBytes(first))], Ct);
        Assert.Equal((false, true), (rejected.IsTransient, rejected.Failure!.Contains("Authorize it again", StringComparison.Ordinal)));
        Assert.EndsWith("Authorize it again: darkstorage integrations authorize drive", (await Authorization.FindAsync(Ct)).Failure, StringComparison.Ordinal);
        await Integration.CheckSoonAsync(Ct);
        await Eventually.HoldsAsync("its health says so", async () => (await Integration.FindAsync(Ct))!.Health is { Failure: { } failure } && failure.Contains("Authorize it again", StringComparison.Ordinal));
        _clock.Later += TimeSpan.FromMinutes(5);
        Assert.False((await Authorization.GetAccessAsync([], Ct)).IsTransient);
        Assert.Equal(1, _service.Attempts);
        await AuthorizeAsync();
        Assert.True((await Authorization.FindAsync(Ct)).IsAuthorized);
        await NewestAsync();
    }

    [Fact]
    public async Task Access_that_is_given_again_while_the_old_is_refused_stays()
    {
        await AuthorizeAsync();
        var (random, _) = await BeginAsync();
        _clock.Later += TimeSpan.FromMinutes(9);
        var (asked, mayAnswer) = _service.Hold();
        _clock.Later += TimeSpan.FromMinutes(50);
        var (again, _) = await BeginAsync();
        Assert.NotEqual(random, again);
        await Authorization.GetAccessAsync([], Ct);
        await asked.WaitAsync(Eventually.HangsAfter, Ct);
        Assert.True((await Authorization.CompleteAsync(again, "the-code", null, Ct)).IsAuthorized);
        var given = _service.Refresh;
        // The old one, which is sent already, is not the one that it takes now.
        mayAnswer.SetResult();
        await Eventually.HoldsAsync("it was refused", () => _service.Refusals == 1);
        await NewestAsync();
        _clock.Later += TimeSpan.FromHours(1);
        await NewestAsync();
        Assert.True((await Authorization.FindAsync(Ct)).IsAuthorized);
        Assert.NotEqual(given, _service.Refresh);
    }

    [Fact]
    public async Task A_service_that_is_away_is_asked_later_and_later_and_a_good_token_used()
    {
        await AuthorizeAsync();
        var first = await TokenAsync();
        _service.Fails = new OAuthException(OAuthError.Unavailable, "It is away.");
        _clock.Later += TimeSpan.FromMinutes(56);
        Assert.Equal(first, await TokenAsync());
        await Eventually.HoldsAsync("it was asked", () => _service.Attempts >= 1);
        Assert.True((await Authorization.FindAsync(Ct)).IsAuthorized);
        _clock.Later += TimeSpan.FromMinutes(5);
        await Eventually.HoldsAsync("it was asked again, in vain", async () => await Authorization.GetAccessAsync([], Ct) is { IsTransient: true, Failure: "It is away." });
        _clock.Later += TimeSpan.FromMinutes(6);
        _service.Fails = new OAuthException(OAuthError.Unavailable, "Not now.") { RetryAfter = TimeSpan.FromMinutes(20) };
        Assert.Equal("Not now.", (await Authorization.GetAccessAsync([], Ct)).Failure);
        var attempts = _service.Attempts;
        _service.Fails = null;
        _clock.Later += TimeSpan.FromMinutes(15);
        Assert.Equal("Not now.", (await Authorization.GetAccessAsync([], Ct)).Failure);
        Assert.Equal(attempts, _service.Attempts);
        _clock.Later += TimeSpan.FromMinutes(6);
        await NewestAsync();
    }

    [Fact]
    public async Task A_token_that_the_place_does_not_take_is_renewed_unless_it_is_young()
    {
        await AuthorizeAsync();
        var tokens = new GrainAccessTokens(Name, _host.Grains, _box, _clock);
        var first = await tokens.GetAsync(Ct);
        tokens.Reject(first);
        Assert.Equal(BackendError.AccessDenied, (await Assert.ThrowsAsync<BackendException>(async () => await tokens.GetAsync(Ct))).Error);
        Assert.Equal(0, _service.Attempts);
        _clock.Later += TimeSpan.FromMinutes(2);
        var second = await tokens.GetAsync(Ct);
        Assert.NotEqual(first.Text, second.Text);
        tokens.Reject(first); // by a call that was sent with it before
        Assert.Equal(second, await tokens.GetAsync(Ct));
        Assert.Equal(1, _service.Renewals);
    }

    [Fact]
    public async Task Two_nodes_get_the_same_token_and_neither_renews_it()
    {
        await AuthorizeAsync();
        var nodes = new[] { new GrainAccessTokens(Name, _host.Grains, _box, _clock), new GrainAccessTokens(Name, _host.Grains, _box, _clock) };
        for (var i = 0; i < 5; i++)
        {
            var got = await Task.WhenAll(nodes.Select(n => Task.Run(async () => (await n.GetAsync(Ct)).Text)));
            Assert.Equal(_service.Newest, Assert.Single(got.Distinct()));
            _clock.Later += TimeSpan.FromHours(1);
        }
        Assert.Equal(4, _service.Renewals);
    }

    [Fact]
    public async Task Tokens_are_sent_to_no_other_application()
    {
        await AuthorizeAsync();
        await Integration.ChangeAsync(Settings(("client-secret", "a-new-secret-of-the-application")), Ct);
        Assert.True((await Authorization.FindAsync(Ct)).IsAuthorized);
        await Integration.ChangeAsync(Settings(("token-url", "https://thief.example/token")), Ct);
        Assert.False((await Authorization.FindAsync(Ct)).IsAuthorized);
        Assert.Contains("not authorized yet", (await Integration.FindAsync(Ct))!.Health!.Failure, StringComparison.Ordinal);
        _clock.Later += TimeSpan.FromHours(1);
        Assert.False((await Authorization.GetAccessAsync([], Ct)).IsTransient);
        Assert.Equal(0, _service.Attempts);
    }

    [Fact]
    public async Task A_new_secret_of_the_application_mends_what_the_old_one_could_not()
    {
        await AuthorizeAsync();
        _clock.Later += TimeSpan.FromHours(1);
        _service.Fails = new OAuthException(OAuthError.InvalidClient, "The secret is not taken.");
        Assert.Equal((true, "The secret is not taken."), ((await Authorization.GetAccessAsync([], Ct)).IsTransient, (await Authorization.GetAccessAsync([], Ct)).Failure));
        await Integration.ChangeAsync(Settings(("client-secret", "a-new-secret-of-the-application")), Ct);
        _service.Fails = null;
        await Integration.ChangeAsync(Settings(("client-secret", "the-newest-secret-of-the-application")), Ct);
        await Eventually.HoldsAsync("it is renewed", async () => (await Authorization.GetAccessAsync([], Ct)).Failure is null);
        await NewestAsync();
    }

    [Fact]
    public async Task What_is_removed_leaves_no_tokens()
    {
        await AuthorizeAsync();
        Assert.Single(await _host.Index.ListGrainStatesAsync(AuthorizationState.Name, "", 10, Ct));
        Assert.True(await Integration.RemoveAsync(Ct));
        Assert.Empty(await _host.Index.ListGrainStatesAsync(AuthorizationState.Name, "", 10, Ct));
        await Assert.ThrowsAsync<StorageException>(() => Authorization.BeginAsync(AuthorizationFlow.Code, new("http://127.0.0.1:9001"), Ct));
    }

    [Fact]
    public async Task A_device_is_asked_for_as_often_as_the_service_says()
    {
        foreach (var error in new[] { OAuthError.Pending, OAuthError.Unavailable, OAuthError.Pending }) _service.Polls.Enqueue(error);
        var start = await Authorization.BeginAsync(AuthorizationFlow.Device, new("http://127.0.0.1:9001"), Ct);
        Assert.Equal((AuthorizationFlow.Device, "ABCD-EFGH", "https://service.example/device"), (start.Flow, start.UserCode, start.Address.AbsoluteUri));
        Assert.NotNull((await Authorization.FindAsync(Ct)).PendingUntil);
        await Eventually.HoldsAsync("it is authorized", async () => (await Authorization.FindAsync(Ct)).IsAuthorized);
        await NewestAsync();
        Assert.Empty(_service.Polls);
        Assert.Null((await Authorization.FindAsync(Ct)).PendingUntil);
    }

    [Theory]
    [InlineData(OAuthError.Denied, "Access was refused.")]
    [InlineData(OAuthError.Expired, "Nobody gave access in time.")]
    [InlineData(OAuthError.InvalidClient, "It said InvalidClient.")]
    public async Task A_device_that_gets_no_access_is_asked_for_no_more(OAuthError error, string said)
    {
        _service.Polls.Enqueue(error);
        await Authorization.BeginAsync(AuthorizationFlow.Device, new("http://127.0.0.1:9001"), Ct);
        await Eventually.HoldsAsync("it is over", async () => (await Authorization.FindAsync(Ct)).FlowFailure == said);
        Assert.Null((await Authorization.FindAsync(Ct)).PendingUntil);
    }

    [Fact]
    public async Task All_is_sealed_anew_under_a_new_key_and_works_as_before()
    {
        await AuthorizeAsync();
        var (random, _) = await BeginAsync();
        Assert.False(await Authorization.SealAnewAsync(Ct));
        var @new = RandomNumberGenerator.GetBytes(MasterKeyBox.KeyLength);
        _box.Inner = new([.. @new, .. _key]);
        Assert.True(await Authorization.SealAnewAsync(Ct));
        Assert.True(await Integration.SealAnewAsync(Ct));
        _box.Inner = new(@new);
        _clock.Later += TimeSpan.FromMinutes(9);
        await NewestAsync();
        Assert.True((await Authorization.CompleteAsync(random, "the-code", null, Ct)).IsAuthorized);
        _clock.Later += TimeSpan.FromHours(1);
        await NewestAsync();
        Assert.Equal(1, _service.Renewals);
    }

    [Fact]
    public async Task A_clock_that_was_ahead_when_access_was_given_keeps_nobody_waiting()
    {
        _clock.Later = TimeSpan.FromHours(2);
        await AuthorizeAsync();
        var first = await TokenAsync();
        _clock.Later = TimeSpan.Zero;
        await NewestAsync();
        Assert.NotEqual(first, await TokenAsync());
        Assert.Equal(1, _service.Renewals);
    }

    [Fact]
    public async Task A_code_that_is_being_exchanged_has_not_failed()
    {
        var (random, _) = await BeginAsync();
        var (asked, mayAnswer) = (new TaskCompletionSource(), new TaskCompletionSource());
        _service.Exchanging = () =>
        {
            asked.SetResult();
            return mayAnswer.Task;
        };
        var completing = Authorization.CompleteAsync(random, "the-code", null, Ct);
        await asked.Task.WaitAsync(Eventually.HangsAfter, Ct);
        var meanwhile = await Authorization.FindAsync(Ct);
        Assert.Equal((false, null), (meanwhile.IsAuthorized, meanwhile.FlowFailure));
        Assert.NotNull(meanwhile.PendingUntil);
        mayAnswer.SetResult();
        Assert.True((await completing).IsAuthorized);
        Assert.Null((await Authorization.FindAsync(Ct)).PendingUntil);
    }

    [Fact]
    public async Task A_devices_code_that_was_good_for_tokens_is_not_shown_again_while_they_wait_to_be_written()
    {
        var refused = 0;
        _host.WriteRefused = () => Interlocked.Increment(ref refused);
        _service.Polled = () => _host.RefusesWrites = true;
        await Authorization.BeginAsync(AuthorizationFlow.Device, new("http://127.0.0.1:9001"), Ct);
        await Eventually.HoldsAsync("it was tried to write them, and again", () => Volatile.Read(ref refused) >= 3);
        Assert.NotNull((await Authorization.FindAsync(Ct)).PendingUntil);
        _service.Polled = () => throw new OAuthException(OAuthError.InvalidGrant, "The code was shown twice.");
        _host.RefusesWrites = false;
        await Eventually.HoldsAsync("it is authorized", async () => (await Authorization.FindAsync(Ct)).IsAuthorized);
        await NewestAsync();
        Assert.Equal(1, _service.DeviceTokens);
    }

    private IIntegrationGrain Integration => _host.Grains.GetGrain<IIntegrationGrain>(Name);

    private IAuthorizationGrain Authorization => _host.Grains.GetGrain<IAuthorizationGrain>(Name);

    private async Task<(string Random, System.Collections.Specialized.NameValueCollection Query)> BeginAsync()
    {
        var start = await Authorization.BeginAsync(AuthorizationFlow.Code, new("http://127.0.0.1:9001"), Ct);
        var query = HttpUtility.ParseQueryString(start.Address.Query);
        Assert.EndsWith($".{Name}", query["state"], StringComparison.Ordinal);
        return (query["state"]!.Split('.')[0], query);
    }

    private async Task AuthorizeAsync()
    {
        var (random, _) = await BeginAsync();
        Assert.True((await Authorization.CompleteAsync(random, "the-code", null, Ct)).IsAuthorized);
        // Whoever is told of it asks the place at once: not when the clock is later.
        await Eventually.HoldsAsync("its place was asked", async () => (await Integration.FindAsync(Ct))!.Health is { IsHealthy: true });
    }

    /// <summary>Behind the grain's back.</summary>
    private async Task WriteAsync(Func<AuthorizationState, AuthorizationState> change)
    {
        var grain = Assert.Single(await _host.Index.ListGrainStatesAsync(AuthorizationState.Name, "", 10, Ct));
        var record = (await _host.Index.ReadGrainStateAsync(AuthorizationState.Name, grain, Ct))!;
        var state = JsonSerializer.SerializeToUtf8Bytes(change(JsonSerializer.Deserialize<AuthorizationState>(record.State.AsSpan())!));
        Assert.NotNull(await _host.Index.WriteGrainStateAsync(AuthorizationState.Name, grain, state, record.ETag, Ct));
    }

    /// <summary>What is handed out is what the service gave last, and takes still.</summary>
    private async Task NewestAsync()
    {
        var token = await TokenAsync();
        Assert.Equal(_service.Newest, token);
    }

    private async Task<string> TokenAsync()
    {
        var grant = await Authorization.GetAccessAsync([], Ct);
        Assert.Null(grant.Failure);
        return _box.Inner.Open(grant.SealedToken);
    }

    /// <summary>All that the index keeps of grains.</summary>
    private string Kept()
    {
        var text = new StringBuilder();
        foreach (var name in new[] { AuthorizationState.Name, IntegrationState.Name })
        {
            foreach (var grain in _host.Index.ListGrainStatesAsync(name, "", 10, Ct).AsTask().GetAwaiter().GetResult())
                text.Append(Encoding.UTF8.GetString(_host.Index.ReadGrainStateAsync(name, grain, Ct).AsTask().GetAwaiter().GetResult()!.State.AsSpan()));
        }
        return text.ToString();
    }

    private static ImmutableDictionary<string, string> Settings(params (string Name, string Value)[] settings) => settings.ToImmutableDictionary(s => s.Name, s => s.Value);

    private sealed class LaterTime : TimeProvider
    {
        public TimeSpan Later { get; set; }

        public override DateTimeOffset GetUtcNow() => base.GetUtcNow() + Later;

        public override long GetTimestamp() => base.GetTimestamp() + (long)(Later.TotalSeconds * TimestampFrequency);
    }

    private sealed class ChangingBox : ISecretBox
    {
        public OpeningBox Inner { get; set; } = null!;

        public byte[] Seal(ReadOnlySpan<byte> secret, string purpose) => Inner.Box.Seal(secret, purpose);

        public byte[] OpenBytes(ReadOnlySpan<byte> box, string purpose) => Inner.Box.OpenBytes(box, purpose);

        public bool IsCurrent(ReadOnlySpan<byte> box) => Inner.Box.IsCurrent(box);
    }

    private sealed class OpeningBox(byte[] keys)
    {
        public MasterKeyBox Box { get; } = new(keys);

        public string Open(ImmutableArray<byte> box) => ((ISecretBox)Box).Open(box.AsSpan(), $"integration/{Name}/access-token");
    }

    /// <summary>Takes each refresh token once.</summary>
    private sealed class Service : IOAuthClient
    {
        private Func<Task> _before = static () => Task.CompletedTask;
        private int _attempts, _renewals, _refusals;

        public string? Refresh { get; set; }

        public bool GivesRefresh { get; set; } = true;

        public OAuthException? Fails { get; set; }

        /// <summary>Called when it has given new tokens.</summary>
        public Action? Renewed { get; set; }

        public int Attempts => Volatile.Read(ref _attempts);

        public int Renewals => Volatile.Read(ref _renewals);

        public int Refusals => Volatile.Read(ref _refusals);

        /// <summary>The access token that it gave last.</summary>
        public string Newest { get; private set; } = "";

        public List<(string Code, string? Verifier)> Exchanged { get; } = [];

        /// <summary>Called before a code is exchanged.</summary>
        public Func<Task>? Exchanging { get; set; }

        /// <summary>Called when a device's code is good for tokens.</summary>
        public Action? Polled { get; set; }

        /// <summary>How often that was.</summary>
        public int DeviceTokens { get; private set; }

        /// <summary>What it says before it gives tokens.</summary>
        public System.Collections.Concurrent.ConcurrentQueue<OAuthError> Polls { get; } = new();

        public (Task Asked, TaskCompletionSource MayAnswer) Hold()
        {
            var (asked, mayAnswer) = (new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously), new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
            _before = async () =>
            {
                asked.TrySetResult();
                await mayAnswer.Task;
            };
            return (asked.Task, mayAnswer);
        }

        public async Task<OAuthTokens> ExchangeAsync(OAuthApplication application, string code, Uri redirect, string? verifier, CancellationToken ct)
        {
            Exchanged.Add((code, verifier));
            if (Exchanging is { } before) await before();
            return Next();
        }

        public async Task<OAuthTokens> RenewAsync(OAuthApplication application, string refreshToken, CancellationToken ct)
        {
            Interlocked.Increment(ref _attempts);
            await _before();
            if (Fails is { } failure) throw failure;
            if (refreshToken != Refresh)
            {
                Interlocked.Increment(ref _refusals);
                throw new OAuthException(OAuthError.InvalidGrant, "The refresh token is not taken.");
            }
            Interlocked.Increment(ref _renewals);
            var tokens = Next();
            Renewed?.Invoke();
            return tokens;
        }

        public Task<DeviceCode> BeginDeviceAsync(OAuthApplication application, CancellationToken ct) =>
            Task.FromResult(new DeviceCode("the-device-code", "ABCD-EFGH", new("https://service.example/device"), null, TimeSpan.FromMinutes(10), TimeSpan.FromSeconds(1)));

        public Task<OAuthTokens> PollAsync(OAuthApplication application, string deviceCode, CancellationToken ct) =>
            Polls.TryDequeue(out var error) ? Task.FromException<OAuthTokens>(new OAuthException(error, $"It said {error}.")) : Task.FromResult(NextOfDevice());

        private OAuthTokens NextOfDevice()
        {
            DeviceTokens++;
            Polled?.Invoke();
            return Next();
        }

        private OAuthTokens Next()
        {
            var token = $"access-{Guid.NewGuid():N}";
            Newest = token;
            Refresh = GivesRefresh ? $"refresh-{Guid.NewGuid():N}" : null;
            return new(token, TimeSpan.FromHours(1), Refresh);
        }
    }

    private sealed class Places : IConnectors
    {
        private readonly System.Collections.Concurrent.ConcurrentQueue<string> _calls = new();

        public ImmutableArray<ConnectorType> Types { get; } =
        [
            new("drive", "A drive", "For tests.",
            [
                new(OAuthService.ClientId, "It."), new(OAuthService.ClientSecret, "It.", ConnectorFieldKind.Secret), new(OAuthService.TokenUrlField, "It.", ConnectorFieldKind.Url), new("account", "It.", IsPlace: true),
            ], [])
            {
                OAuth =
                [
                    new("Service", ImmutableSortedDictionary<string, string>.Empty, [])
                    {
                        AuthorizationUrl = "https://service.example/authorize", TokenUrl = "https://service.example/token", DeviceUrl = "https://service.example/code", Scope = "files",
                    },
                ],
            },
        ];

        public IEnumerable<string> Calls => _calls;

        public IMeteredBackend Open(string name, string type, IReadOnlyDictionary<string, string> settings, IAccessTokens? tokens = null) => new Place(_calls, tokens!);

        private sealed class Place(System.Collections.Concurrent.ConcurrentQueue<string> calls, IAccessTokens tokens) : IMeteredBackend
        {
            public BackendTraits Traits => throw new NotSupportedException();

            public BackendUsage TakeUsage() => BackendUsage.None;

            public async Task PrepareAsync(CancellationToken ct)
            {
                await tokens.GetAsync(ct);
                calls.Enqueue("prepare");
            }

            public async Task<BackendBlob?> StatAsync(BlobName blob, CancellationToken ct)
            {
                await tokens.GetAsync(ct);
                calls.Enqueue("stat");
                return null;
            }

            public Task<BackendBlob> PutAsync(BlobName blob, BlobSource content, CancellationToken ct) => throw new NotSupportedException();

            public Task<Stream> OpenAsync(BlobName blob, ByteRange range, CancellationToken ct) => throw new NotSupportedException();

            public Task DeleteAsync(BlobName blob, CancellationToken ct) => throw new NotSupportedException();

            public IAsyncEnumerable<BackendBlob> ListAsync(string prefix, CancellationToken ct) => throw new NotSupportedException();

            public Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct) => throw new NotSupportedException();

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
