using System.Security.Cryptography;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.Gcs;

/// <summary>Places, keys and tokens that are not taken, and servers that make no sense.</summary>
public sealed partial class GcsBackendTests
{
    [Theory]
    [InlineData("bucket", "no-such-bucket-anywhere", BackendError.PlaceMissing)]
    [InlineData("endpoint", "http://127.0.0.1:1/", BackendError.Unavailable)]
    public async Task A_place_that_is_wrong_says_of_what_kind_it_is(string field, string value, BackendError expected)
    {
        await using var backend = OpenSmall((field, value));
        await AssertAllFailAsync(backend, expected);
    }

    [Fact]
    public async Task A_bucket_that_goes_away_is_a_place_that_is_missing_and_not_an_empty_one()
    {
        await using var backend = OpenSmall();
        Assert.Null(await backend.StatAsync(BlobName.Parse("a"), Ct));
        _gcs.RemoveBucket(_bucket);
        await AssertAllFailAsync(backend, BackendError.PlaceMissing);
    }

    [Fact]
    public async Task An_account_that_may_not_is_denied()
    {
        await using var backend = OpenSmall();
        _gcs.Denied[_account] = true;
        await AssertAllFailAsync(backend, BackendError.AccessDenied);
    }

    [Fact]
    public async Task A_key_that_was_deleted_or_is_another_accounts_is_denied()
    {
        await using var deleted = OpenSmall();
        _gcs.Forget(_account);
        await AssertAllFailAsync(deleted, BackendError.AccessDenied);
        _gcs.NewKey(out var other);
        using var wrong = RSA.Create(2048);
        await using var forged = OpenSmall(("service-account-key", GcsServer.KeyFile(other, wrong, $"{_gcs.Url}/token")));
        Assert.Contains("Invalid JWT Signature.", (await AssertAllFailAsync(forged, BackendError.AccessDenied)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_is_sent_to_an_address_that_hands_out_credentials()
    {
        using var key = RSA.Create(2048);
        await using var endpoint = OpenSmall(("endpoint", "https://169.254.169.254/"));
        await using var tokens = OpenSmall(("service-account-key", GcsServer.KeyFile(_account, key, "https://169.254.169.254/token")));
        foreach (var backend in new[] { endpoint, tokens })
        {
            var error = await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct));
            Assert.Equal(BackendError.Unavailable, error.Error);
            Assert.Contains("link-local, which is not allowed", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task What_a_server_repeats_of_a_request_is_in_no_message()
    {
        await using var backend = OpenSmall();
        _gcs.Answers = async http =>
        {
            if (!http.Request.Path.StartsWithSegments("/storage") && !http.Request.Path.StartsWithSegments("/upload")) return false;
            await http.Request.Body.CopyToAsync(Stream.Null);
            return await GcsServer.FailAsync(http, 400, "invalid", $"There is something wrong with {http.Request.Headers.Authorization}, really: {http.Request.Headers.Authorization}");
        };
        await AssertAllFailAsync(backend, BackendError.Refused);
        _gcs.Answers = async http =>
        {
            var form = await http.Request.ReadFormAsync();
            http.Response.StatusCode = 400;
            await http.Response.WriteAsJsonAsync(new { error = "invalid_grant", error_description = $"I don't like {form["assertion"]}" });
            return true;
        };
        await using var other = OpenSmall();
        Assert.EndsWith("I don't like …", (await AssertAllFailAsync(other, BackendError.AccessDenied)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_goes_where_a_server_leads_to()
    {
        await using var elsewhere = new GcsServer();
        await elsewhere.InitializeAsync();
        await using var backend = OpenSmall();
        _gcs.Answers = http =>
        {
            http.Response.OnStarting(() =>
            {
                if (http.Response.Headers.Location.ToString() is { Length: > 0 } location) http.Response.Headers.Location = location.Replace(_gcs.Url, elsewhere.Url, StringComparison.Ordinal);
                return Task.CompletedTask;
            });
            return Task.FromResult(false);
        };
        await backend.PutAsync(BlobName.Parse("long"), new PatternSource(3 << 20), Ct);
        _gcs.Answers = http =>
        {
            if (http.Request.Path == "/token") return Task.FromResult(false);
            (http.Response.StatusCode, http.Response.Headers.Location) = (307, elsewhere.Url + http.Request.Path);
            return Task.FromResult(true);
        };
        await AssertAllFailAsync(backend, BackendError.Unavailable);
        Assert.Empty(elsewhere.Requests);
    }

    [Theory]
    [InlineData(200, "text/html", "<html><body>Welcome to the hotel.")]
    [InlineData(200, "application/json", "")]
    [InlineData(200, "application/json", "null")]
    [InlineData(200, "application/json", "[]")]
    [InlineData(200, "application/json", """{"items":[{"name":"a"}],"size":"-1","generation":"x"}""")]
    [InlineData(201, "application/json", "{}")]
    [InlineData(204, "application/json", "")]
    [InlineData(403, "application/json", "{")]
    [InlineData(502, "text/html", "<html>")]
    [InlineData(308, "application/json", "")]
    public async Task A_server_that_makes_no_sense_is_an_error_of_a_kind(int status, string type, string text)
    {
        await using var backend = OpenSmall();
        _gcs.Answers = async http =>
        {
            if (http.Request.Path == "/token") return false;
            await http.Request.Body.CopyToAsync(Stream.Null);
            http.Response.StatusCode = status;
            http.Response.ContentType = type;
            if (status is not (204 or 308)) await http.Response.WriteAsync(text);
            return true;
        };
        var name = BlobName.Parse("a");
        foreach (var call in new Func<Task>[] { () => backend.PutAsync(name, BlobSource.Of(new byte[1]), Ct), () => backend.PutAsync(name, new PatternSource(3 << 20), Ct), () => ReadAsync(backend, name, new(0, 0)), () => backend.StatAsync(name, Ct), () => backend.CopyAsync(name, name, Ct) })
        {
            var error = (await Assert.ThrowsAsync<BackendException>(call)).Error;
            Assert.True(error is BackendError.Unavailable or BackendError.WrongLength || (status == 403 && error == BackendError.AccessDenied), error.ToString());
        }
    }

    [Theory]
    [InlineData("bytes=0-99999999")]
    [InlineData("bytes=5-10")]
    [InlineData("bytes=0-10,20-30")]
    [InlineData("pages=0-10")]
    [InlineData("everything")]
    public async Task A_server_that_says_nonsense_of_an_upload_is_left(string range)
    {
        await using var backend = OpenSmall();
        _gcs.Answers = async http =>
        {
            if (!HttpMethods.IsPut(http.Request.Method)) return false;
            await http.Request.Body.CopyToAsync(Stream.Null);
            (http.Response.StatusCode, http.Response.Headers.Range) = (308, range);
            return true;
        };
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("long"), new PatternSource(3 << 20), Ct))).Error);
        Assert.InRange(Count("PUT", ""), 1, 6);
        Assert.Equal((0, 1), (_gcs.OpenUploads, _gcs.CancelledUploads));
    }

    [Fact]
    public async Task An_answer_that_does_not_end_is_not_read_to_its_end()
    {
        await using var backend = OpenSmall();
        _gcs.Answers = async http =>
        {
            if (http.Request.Path == "/token") return false;
            var spaces = new byte[1 << 20];
            spaces.AsSpan().Fill((byte)' ');
            for (var i = 0; i < 64 && !http.RequestAborted.IsCancellationRequested; i++) await http.Response.Body.WriteAsync(spaces);
            return true;
        };
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct));
        Assert.Contains("more than 16777216 bytes", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_is_asked_too_often_says_when_to_come_back()
    {
        await using var backend = OpenSmall();
        var asked = 0;
        foreach (var (status, reason, expected) in new[] { (429, "rateLimitExceeded", BackendError.Throttled), (503, "backendError", BackendError.Unavailable) })
        {
            _gcs.Answers = http =>
            {
                if (http.Request.Path == "/token") return Task.FromResult(false);
                asked++;
                http.Response.Headers.RetryAfter = "7";
                return GcsServer.FailAsync(http, status, reason);
            };
            var error = await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct));
            Assert.Equal((expected, TimeSpan.FromSeconds(7)), (error.Error, error.RetryAfter));
        }
        // To ask again is the guard's.
        Assert.Equal(2, asked);
    }

    [Fact]
    public async Task A_token_that_ends_in_the_middle_of_an_upload_and_of_a_read_is_replaced()
    {
        await using var backend = OpenSmall();
        var (name, content) = (BlobName.Parse("long"), Content(5 << 20));
        _gcs.Answers = http =>
        {
            if (Count("PUT", "upload_id=") == 3 && HttpMethods.IsPut(http.Request.Method)) _gcs.ExpireTokens();
            return Task.FromResult(false);
        };
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(2, _gcs.TokensGiven.Count);
        (_gcs.CutsReads, _gcs.CutsReadsAfter) = (1, 700_000);
        await using var stream = await backend.OpenAsync(name, new(0, content.Length - 1), Ct);
        _gcs.ExpireTokens();
        var read = new byte[content.Length];
        await stream.ReadExactlyAsync(read, Ct);
        Assert.Equal(content, read);
        Assert.Equal(3, _gcs.TokensGiven.Count);
    }

    /// <summary>All that can be asked of a place, and that no secret is in what comes of it.</summary>
    private async Task<BackendException> AssertAllFailAsync(IBackend backend, BackendError expected)
    {
        var name = BlobName.Parse("a");
        BackendException? last = null;
        foreach (var call in new Func<Task>[]
        {
            () => backend.PrepareAsync(Ct), () => backend.PutAsync(name, BlobSource.Of(new byte[1]), Ct), () => backend.PutAsync(name, new PatternSource(3 << 20), Ct), () => ReadAsync(backend, name, new(0, 0)), () => backend.StatAsync(name, Ct),
            () => backend.DeleteAsync(name, Ct), () => ListAsync(backend, ""), () => backend.CopyAsync(name, name, Ct),
        })
        {
            last = await Assert.ThrowsAsync<BackendException>(call);
            Assert.Equal(expected, last.Error);
            foreach (var secret in _gcs.TokensGiven.Append("PRIVATE KEY").Append("eyJ").Append("upload_id")) Assert.DoesNotContain(secret, last.ToString(), StringComparison.Ordinal);
        }
        return last!;
    }
}
