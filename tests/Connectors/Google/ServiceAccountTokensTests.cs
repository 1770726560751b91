using DarkStorage.Connectors.Gcs;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.Google;

/// <summary>Access tokens of a service account, from an endpoint that verifies what it is asked with.</summary>
public sealed class ServiceAccountTokensTests : IAsyncLifetime
{
    private readonly GcsServer _gcs = new();
    private readonly ManualTime _clock = new();
    private readonly HttpClient _http = new();
    private ServiceAccountTokens _tokens = null!;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _gcs.Clock = _clock;
        await _gcs.InitializeAsync();
        _tokens = new(ServiceAccountKey.Parse("key", _gcs.NewKey(), "https://www.googleapis.com/auth/devstorage.read_write"), _http, _clock);
    }

    public async ValueTask DisposeAsync()
    {
        _tokens.Dispose();
        _http.Dispose();
        await _gcs.DisposeAsync();
    }

    [Fact]
    public async Task Many_that_need_one_at_one_time_get_one_that_was_asked_for_once()
    {
        var given = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => Task.Run(async () => await _tokens.GetAsync(Ct))));
        Assert.Single(given.Distinct());
        Assert.Single(_gcs.Requests);
    }

    [Fact]
    public async Task One_is_renewed_well_before_it_ends()
    {
        var first = await _tokens.GetAsync(Ct);
        _clock.Advance(TimeSpan.FromMinutes(54));
        Assert.Equal(first, await _tokens.GetAsync(Ct));
        _clock.Advance(TimeSpan.FromMinutes(2));
        Assert.NotEqual(first, await _tokens.GetAsync(Ct));
        Assert.Equal(2, _gcs.TokensGiven.Count);
    }

    [Fact]
    public async Task One_that_lives_briefly_is_used_for_most_of_that()
    {
        _gcs.TokenSeconds = 100;
        var first = await _tokens.GetAsync(Ct);
        _clock.Advance(TimeSpan.FromSeconds(74));
        Assert.Equal(first, await _tokens.GetAsync(Ct));
        _clock.Advance(TimeSpan.FromSeconds(2));
        Assert.NotEqual(first, await _tokens.GetAsync(Ct));
    }

    [Fact]
    public async Task While_one_call_renews_it_the_others_go_on_with_the_one_there_is()
    {
        var first = await _tokens.GetAsync(Ct);
        _clock.Advance(TimeSpan.FromMinutes(56));
        var (asked, mayAnswer) = (new TaskCompletionSource(), new TaskCompletionSource());
        _gcs.Answers = async _ =>
        {
            asked.TrySetResult();
            await mayAnswer.Task;
            return false;
        };
        var renewing = _tokens.GetAsync(Ct).AsTask();
        await asked.Task.WaitAsync(Eventually.HangsAfter, Ct);
        Assert.Equal(first, await _tokens.GetAsync(Ct).AsTask().WaitAsync(Eventually.HangsAfter, Ct));
        mayAnswer.SetResult();
        Assert.NotEqual(first, await renewing);
    }

    [Fact]
    public async Task One_that_is_good_is_used_while_no_other_can_be_had_and_not_after()
    {
        var first = await _tokens.GetAsync(Ct);
        _gcs.Answers = http => GcsServer.FailAsync(http, 503, "backendError");
        _clock.Advance(TimeSpan.FromMinutes(56));
        Assert.Equal(first, await _tokens.GetAsync(Ct));
        Assert.Equal(first, await _tokens.GetAsync(Ct));
        Assert.Equal(2, _gcs.Requests.Count); // not again at once
        _clock.Advance(TimeSpan.FromSeconds(31));
        Assert.Equal(first, await _tokens.GetAsync(Ct));
        Assert.Equal(3, _gcs.Requests.Count);
        _clock.Advance(TimeSpan.FromMinutes(4));
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(async () => await _tokens.GetAsync(Ct))).Error);
        _gcs.Answers = _ => Task.FromResult(false);
        Assert.NotEqual(first, await _tokens.GetAsync(Ct));
    }

    [Fact]
    public async Task A_token_endpoint_that_hangs_is_left_and_a_good_token_used()
    {
        var first = await _tokens.GetAsync(Ct);
        _clock.Advance(TimeSpan.FromMinutes(56));
        var asked = new TaskCompletionSource();
        _gcs.Answers = async http =>
        {
            asked.TrySetResult();
            await Task.Delay(Timeout.Infinite, http.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            return true;
        };
        var renewing = _tokens.GetAsync(Ct).AsTask();
        await asked.Task.WaitAsync(Eventually.HangsAfter, Ct);
        _clock.Advance(TimeSpan.FromSeconds(11));
        Assert.Equal(first, await renewing.WaitAsync(Eventually.HangsAfter, Ct));
    }

    [Fact]
    public async Task One_that_was_rejected_is_replaced_once()
    {
        var first = await _tokens.GetAsync(Ct);
        _tokens.Reject(first);
        var second = await _tokens.GetAsync(Ct);
        Assert.NotEqual(first, second);
        _tokens.Reject(first); // by a call that was sent with it before
        Assert.Equal(second, await _tokens.GetAsync(Ct));
    }

    [Fact]
    public async Task Whoever_asks_and_leaves_leaves_the_others_to_ask()
    {
        var (asked, mayAnswer) = (new TaskCompletionSource(), new TaskCompletionSource());
        _gcs.Answers = async _ =>
        {
            asked.TrySetResult();
            await mayAnswer.Task;
            return false;
        };
        using var leaving = new CancellationTokenSource();
        var first = _tokens.GetAsync(leaving.Token).AsTask();
        await asked.Task;
        var second = _tokens.GetAsync(Ct).AsTask();
        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        mayAnswer.SetResult();
        Assert.NotEmpty((await second).Text);
    }

    [Theory]
    [InlineData(200, "{}", BackendError.Unavailable)]
    [InlineData(200, "<html>", BackendError.Unavailable)]
    [InlineData(200, """{"access_token":"a b","expires_in":3599,"token_type":"Bearer"}""", BackendError.Unavailable)]
    [InlineData(200, """{"access_token":"a\r\nX: y","expires_in":3599,"token_type":"Bearer"}""", BackendError.Unavailable)]
    [InlineData(200, """{"access_token":"abc","expires_in":0,"token_type":"Bearer"}""", BackendError.Unavailable)]
    [InlineData(200, """{"access_token":"abc","expires_in":99999999999999,"token_type":"Bearer"}""", BackendError.Unavailable)]
    [InlineData(200, """{"access_token":"abc","expires_in":3599,"token_type":"MAC"}""", BackendError.Unavailable)]
    [InlineData(302, "", BackendError.Unavailable)]
    [InlineData(400, """{"error":"invalid_grant","error_description":"Invalid JWT Signature."}""", BackendError.AccessDenied)]
    [InlineData(401, """{"error":"unauthorized_client"}""", BackendError.AccessDenied)]
    [InlineData(404, "<html>", BackendError.AccessDenied)]
    [InlineData(429, "{}", BackendError.Throttled)]
    [InlineData(503, "", BackendError.Unavailable)]
    public async Task An_answer_without_a_token_is_an_error_of_a_kind(int status, string text, BackendError expected)
    {
        _gcs.Answers = async http =>
        {
            http.Response.StatusCode = status;
            await http.Response.WriteAsync(text);
            return true;
        };
        Assert.Equal(expected, (await Assert.ThrowsAsync<BackendException>(async () => await _tokens.GetAsync(Ct))).Error);
    }
}
