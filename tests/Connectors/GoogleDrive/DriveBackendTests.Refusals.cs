using System.Security.Cryptography;
using DarkStorage.Connectors.Google;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>What is not taken, and servers that make no sense.</summary>
public sealed partial class DriveBackendTests
{
    [Fact]
    public async Task A_place_that_does_not_answer_or_a_token_that_is_not_taken_is_said()
    {
        await using var away = Open(("endpoint", "http://127.0.0.1:1/"));
        await AssertAllFailAsync(away, BackendError.Unavailable);
        await using var wrong = Open(new UserTokens("ya29.SECRET-of-nobody-0123456789-0123456789-0123456789"));
        Assert.Contains("the access token is not taken", (await AssertAllFailAsync(wrong, BackendError.AccessDenied)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_is_sent_to_an_address_that_hands_out_credentials()
    {
        await using var backend = Open(("endpoint", "https://169.254.169.254/"));
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct));
        Assert.Equal(BackendError.Unavailable, error.Error);
        Assert.Contains("link-local, which is not allowed", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_drive_or_a_folder_without_room_is_full()
    {
        await using var backend = await ReadyHereAsync();
        await backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(Content(1000)), Ct);
        _drive.Room = 2000;
        foreach (var length in new[] { 1001, 3_000_000 }) Assert.Equal(BackendError.Full, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("b"), BlobSource.Of(Content(length)), Ct))).Error);
        Assert.Equal(BackendError.Full, (await Assert.ThrowsAsync<BackendException>(async () =>
        {
            await backend.CopyAsync(BlobName.Parse("a"), BlobName.Parse("copy"), Ct);
            await backend.CopyAsync(BlobName.Parse("a"), BlobName.Parse("another"), Ct);
        })).Error);
        (_drive.Room, _drive.ChildrenMax) = (long.MaxValue, 2);
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("b"), BlobSource.Of(Content(10)), Ct));
        Assert.Equal(BackendError.Full, error.Error);
        Assert.Contains("500,000 files", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_Google_takes_for_harmful_is_read_by_its_owner()
    {
        await using var backend = await ReadyHereAsync();
        var (name, content) = (BlobName.Parse("harmful"), Content(1000));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        _drive.TakesForHarmful = true;
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(1000)));
        _drive.Answers = http => http.Request.Query["alt"] == "media" ? GoogleServer.FailAsync(http, 403, "cannotDownloadAbusiveFile") : Task.FromResult(false);
        var error = await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, new(0, 0)));
        Assert.Equal(BackendError.AccessDenied, error.Error);
        Assert.Contains("takes it for harmful", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_server_repeats_of_a_request_is_in_no_message()
    {
        await using var backend = Open();
        _drive.Answers = async http =>
        {
            await http.Request.Body.CopyToAsync(Stream.Null);
            return await GoogleServer.FailAsync(http, 400, "invalid", $"There is something wrong with {http.Request.Headers.Authorization}, really: {http.Request.Headers.Authorization}");
        };
        await AssertAllFailAsync(backend, BackendError.Refused);
    }

    [Fact]
    public async Task Nothing_goes_where_a_server_leads_to()
    {
        await using var elsewhere = new DriveServer();
        await elsewhere.InitializeAsync();
        await using var backend = await ReadyHereAsync();
        _drive.Answers = http =>
        {
            http.Response.OnStarting(() =>
            {
                if (http.Response.Headers.Location.ToString() is { Length: > 0 } location) http.Response.Headers.Location = location.Replace(_drive.Url, elsewhere.Url, StringComparison.Ordinal);
                return Task.CompletedTask;
            });
            return Task.FromResult(false);
        };
        await backend.PutAsync(BlobName.Parse("long"), new PatternSource(3 << 20), Ct);
        _drive.Answers = http =>
        {
            (http.Response.StatusCode, http.Response.Headers.Location) = (307, elsewhere.Url + http.Request.Path);
            return Task.FromResult(true);
        };
        await AssertAllFailAsync(backend, BackendError.Unavailable);
        Assert.Empty(elsewhere.Requests);
    }

    [Theory]
    [InlineData(200, "<html><body>Welcome to the hotel.")]
    [InlineData(200, "")]
    [InlineData(200, "null")]
    [InlineData(200, "[]")]
    [InlineData(200, """{"files":[{"id":17}]}""")]
    [InlineData(200, """{"files":[],"incompleteSearch":true}""")]
    [InlineData(201, "{}")]
    [InlineData(204, "")]
    [InlineData(403, "{")]
    [InlineData(502, "<html>")]
    public async Task A_server_that_makes_no_sense_is_an_error_of_a_kind(int status, string text)
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync();
        _drive.Answers = async http =>
        {
            await http.Request.Body.CopyToAsync(Stream.Null);
            http.Response.StatusCode = status;
            if (status is not 204) await http.Response.WriteAsync(text);
            return true;
        };
        await AssertAllFailAsync(backend, status == 403 ? BackendError.AccessDenied : BackendError.Unavailable);
    }

    [Theory]
    [InlineData("""{"files":[],"nextPageToken":"again"}""")]
    [InlineData("""{"files":[null,{"id":"a/b"},{"id":"../about"},{"id":""},{}],"nextPageToken":"again"}""")]
    [InlineData("""{"files":[{"id":"same"}],"nextPageToken":"again"}""")]
    [InlineData("""{"nextPageToken":"again"}""")]
    public async Task A_list_that_never_ends_is_left(string page)
    {
        await using var backend = await ReadyHereAsync();
        _drive.Answers = async http =>
        {
            if (!http.Request.Query.ContainsKey("q")) return false;
            await http.Response.WriteAsync(page);
            return true;
        };
        // It says nothing of what is there: another machine of theirs may know more.
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => ListAsync(backend, ""))).Error);
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct))).Error);
        Assert.InRange(_drive.Requests.Count, 1, 150);
    }

    [Theory]
    [InlineData("\"size\":\"-1\"")]
    [InlineData("\"size\":null")]
    [InlineData("\"size\":\"10\",\"mimeType\":\"application/vnd.google-apps.folder\"")]
    [InlineData("\"size\":\"10\",\"trashed\":true")]
    [InlineData("\"size\":\"10\",\"properties\":null")]
    [InlineData("\"size\":\"10\",\"properties\":{\"darkstorage-place\":null}")]
    [InlineData("\"size\":\"10\",\"id\":\"../../../about\"")]
    public async Task What_a_server_lists_and_can_not_be_is_nothing(string part)
    {
        await using var backend = await ReadyHereAsync();
        await backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(Content(10)), Ct);
        var file = _drive.Files.Single();
        var properties = System.Text.Json.JsonSerializer.Serialize(file.Properties);
        _drive.Answers = async http =>
        {
            if (!http.Request.Query.ContainsKey("q") || http.Request.Query["q"].ToString().StartsWith("mimeType =", StringComparison.Ordinal)) return false;
            // Of several members of one name the last counts.
            await http.Response.WriteAsync($$"""{"files":[{"id":"abc","name":"a","mimeType":"application/octet-stream","properties":{{properties}},{{part}}}]}""");
            return true;
        };
        await using var other = Open();
        Assert.Null(await other.StatAsync(BlobName.Parse("a"), Ct));
        Assert.Empty(await ListAsync(other, ""));
        Assert.DoesNotContain(_drive.Requests, r => r.Contains("about", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("""{"ids":["../about"]}""")]
    [InlineData("""{"ids":[null]}""")]
    [InlineData("""{"ids":[]}""")]
    [InlineData("""{}""")]
    public async Task Ids_that_can_not_be_are_none(string ids)
    {
        await using var backend = await ReadyHereAsync();
        _drive.Answers = async http =>
        {
            if (!http.Request.Path.Value!.EndsWith("/generateIds", StringComparison.Ordinal)) return false;
            await http.Response.WriteAsync(ids);
            return true;
        };
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[1]), Ct))).Error);
        Assert.Equal(0, Uploads);
    }

    [Fact]
    public async Task A_server_that_says_that_it_has_made_something_else_is_found_out()
    {
        await using var backend = await ReadyHereAsync();
        _drive.Answers = async http =>
        {
            if (!http.Request.Path.StartsWithSegments("/upload")) return false;
            await http.Request.Body.CopyToAsync(Stream.Null);
            await http.Response.WriteAsync("""{"id":"abc","name":"a","mimeType":"application/octet-stream","size":"1"}""");
            return true;
        };
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[1]), Ct))).Error);
        Assert.Equal(0, Count("DELETE", ""));
    }

    [Fact]
    public async Task A_server_that_is_asked_too_often_says_when_to_come_back()
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync();
        foreach (var (status, reason, expected) in new[] { (403, "userRateLimitExceeded", BackendError.Throttled), (429, "rateLimitExceeded", BackendError.Throttled), (503, "backendError", BackendError.Unavailable) })
        {
            _drive.Answers = http =>
            {
                http.Response.Headers.RetryAfter = "7";
                return GoogleServer.FailAsync(http, status, reason);
            };
            var error = await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct));
            Assert.Equal((expected, TimeSpan.FromSeconds(7)), (error.Error, error.RetryAfter));
        }
    }

    [Fact]
    public async Task A_blob_of_more_than_a_file_may_have_is_refused_before_anybody_is_asked()
    {
        await using var backend = Open();
        Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("a"), new PatternSource((5L << 40) + 1), Ct))).Error);
        Assert.Empty(_drive.Requests);
    }

    /// <summary>All that can be asked of a place, and that no secret is in what comes of it.</summary>
    private async Task<BackendException> AssertAllFailAsync(IBackend backend, BackendError expected, bool prepares = true)
    {
        var name = BlobName.Parse("a");
        BackendException? last = null;
        foreach (var call in new Func<Task>[]
        {
            () => prepares ? backend.PrepareAsync(Ct) : backend.StatAsync(name, Ct), () => backend.PutAsync(name, BlobSource.Of(new byte[1]), Ct), () => backend.PutAsync(name, new PatternSource(3 << 20), Ct), () => ReadAsync(backend, name, new(0, 0)),
            () => backend.StatAsync(name, Ct), () => backend.DeleteAsync(name, Ct), () => ListAsync(backend, ""), () => backend.CopyAsync(name, name, Ct),
        })
        {
            last = await Assert.ThrowsAsync<BackendException>(call);
            Assert.Equal(expected, last.Error);
            foreach (var secret in _drive.TokensGiven.Append(DriveServer.UserToken).Append("SECRET").Append("PRIVATE KEY").Append("eyJ").Append("upload_id")) Assert.DoesNotContain(secret, last.ToString(), StringComparison.Ordinal);
        }
        return last!;
    }
}
