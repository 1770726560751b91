using System.Text.Json.Nodes;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.Filecoin;

/// <summary>Places in what stands in for Lighthouse, with small pages.</summary>
public sealed class FilecoinBackendTests(ITestOutputHelper output) : BackendConformance(output), IAsyncLifetime
{
    private const int Long = 3_000_000;

    private static readonly ConnectorType Type = FilecoinConnector.Connector.Type;

    private readonly ITestOutputHelper _output = output;
    private readonly LighthouseServer _lighthouse = new() { PageFiles = 40 };
    private TimeProvider _clock = TimeProvider.System;

    protected override IEnumerable<string> HardNames => [.. base.HardNames, "%2F/%2f/%00", "a\u2028b", "é/e\u0301", "CASE", "case", "a~b~c", new string('k', 1024), "blob", "blob/blob"];

    protected override int ManyBlobs => 90;

    public ValueTask InitializeAsync() => _lighthouse.InitializeAsync();

    public ValueTask DisposeAsync() => _lighthouse.DisposeAsync();

    private protected override Task<IBackend> NewAsync() => Task.FromResult(Open());

    private IBackend Open(params (string Name, string Value)[] more)
    {
        var given = new Dictionary<string, string> { ["api-key"] = LighthouseServer.Key, ["upload-endpoint"] = $"{_lighthouse.Url}/up", ["api-endpoint"] = _lighthouse.Url, ["gateway"] = _lighthouse.Url };
        foreach (var (name, value) in more) given[name] = value;
        return FilecoinConnector.Connector.Open(Type.Complete("lighthouse", given), _clock);
    }

    private async Task<IBackend> ReadyHereAsync(params (string Name, string Value)[] more)
    {
        var backend = Open(more);
        await backend.PrepareAsync(Ct);
        return backend;
    }

    [Fact]
    public async Task An_account_can_have_several_places_and_other_files()
    {
        foreach (var name in new[] { "holiday.jpg", "one", "one~~~~", "one~20261122T143037123Z-0123456789abcdef~5~short~YQ", $"one~20261122T143037123Z-0123456789abcdef~-5~{new string('s', 43)}~YQ", $"one~now~5~{new string('s', 43)}~YQ", $"one~20261122T143037123Z-0123456789abcdef~5~{new string('s', 43)}~Li4" })
            _lighthouse.Add(name, Content(10));
        await using var one = await ReadyHereAsync(("place", "one"));
        await using var two = await ReadyHereAsync(("place", "two"));
        await AssertApartAsync(one, two);
        Assert.Empty(await ListAsync(one, ""));
    }

    [Fact]
    public async Task What_is_put_is_a_file_whose_name_says_what_it_is_and_whose_content_is_like_no_other()
    {
        await using var backend = await ReadyHereAsync(("place", "tests"));
        var content = "Hello, Filecoin."u8.ToArray();
        var put = await backend.PutAsync(BlobName.Parse("a/b c.txt"), BlobSource.Of(content), Ct);
        await backend.PutAsync(BlobName.Parse("again"), BlobSource.Of(content), Ct);
        var file = _lighthouse.Files[1];
        // printf 'Hello, Filecoin.' | openssl dgst -sha256 -binary | basenc --base64url; printf 'a/b c.txt' | basenc --base64url
        Assert.Matches(@"^tests~\d{8}T\d{9}Z-[0-9a-f]{16}~16~D_pFUsf4s2hQ6cl7AAelM7eDPXoWdLrq6WLOmwHF13w~YS9iIGMudHh0$", file.Name);
        Assert.Equal(content, file.Content[..^16]);
        Assert.NotEqual(file.Content, _lighthouse.Files[2].Content);
        Assert.NotNull(put.ContentId);
        Assert.Equal(put, await backend.StatAsync(BlobName.Parse("a/b c.txt"), Ct));
    }

    [Fact]
    public async Task A_put_and_a_delete_are_done_when_the_list_shows_them()
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync();
        await using var other = Open();
        _lighthouse.Lag = (5, 3);
        var (name, content) = (BlobName.Parse("late"), Content(50_000));
        await backend.PutAsync(name, BlobSource.Of(Content(10)), Ct);
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(content, await ReadAsync(other, name, ByteRange.All(content.Length)));
        await backend.DeleteAsync(name, Ct);
        Assert.Null(await other.StatAsync(name, Ct));
        Assert.Single(_lighthouse.Files);
    }

    [Fact]
    public async Task A_put_that_another_replaces_before_the_gateway_has_it_ends_with_the_other()
    {
        await using var backend = await ReadyHereAsync();
        var (name, asked, first) = (BlobName.Parse("raced"), new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously), (string?)null);
        _lighthouse.Answers = async http =>
        {
            if (!HttpMethods.IsHead(http.Request.Method)) return false;
            Interlocked.CompareExchange(ref first, http.Request.Path.Value, null);
            if (http.Request.Path.Value != first) return false;
            asked.TrySetResult();
            return await LighthouseServer.SayAsync(http, 404, null);
        };
        var replaced = backend.PutAsync(name, BlobSource.Of(Content(100)), Ct);
        await asked.Task.WaitAsync(Eventually.HangsAfter, Ct);
        await backend.PutAsync(name, BlobSource.Of(Content(200)), Ct);
        Assert.Equal(200, (await replaced.WaitAsync(Eventually.HangsAfter, Ct)).Length);
        Assert.Equal(2, _lighthouse.Files.Count);
    }

    [Fact]
    public async Task A_put_whose_answer_was_lost_is_found_when_it_is_made_again()
    {
        await using var backend = await ReadyHereAsync();
        var (name, content) = (BlobName.Parse("lost"), Content(1000));
        _lighthouse.LosesAnswer = true;
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct))).Error);
        Assert.Equal(1000, (await backend.PutAsync(name, BlobSource.Of(content), Ct)).Length);
        Assert.Equal(2, _lighthouse.Uploads);
    }

    [Fact]
    public async Task What_does_not_show_in_time_has_failed_is_not_sent_again_and_can_not_be_deleted_yet()
    {
        var clock = new HurriedTime();
        _clock = clock;
        await using var backend = await ReadyHereAsync(("visible-within-seconds", "60"));
        _lighthouse.Lag = (60, 0);
        var (name, content) = (BlobName.Parse("slow"), Content(1000));
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct));
        Assert.Equal((BackendError.Unavailable, "slow: the service has taken it, and does not list it yet."), (error.Error, error.Message));
        Assert.Null(await backend.StatAsync(name, Ct));
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.DeleteAsync(name, Ct))).Error);
        for (var attempt = 0; attempt < 3; attempt++) await Record.ExceptionAsync(() => backend.PutAsync(name, BlobSource.Of(content), Ct));
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(1000)));
        Assert.Equal(2, _lighthouse.Uploads);
        // What came to light is no hindrance any more, whoever saw it first.
        (_lighthouse.Lag, var seen) = ((60, 0), BlobName.Parse("seen"));
        await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(seen, BlobSource.Of(content), Ct));
        while (await backend.StatAsync(seen, Ct) is null) Assert.InRange(_lighthouse.Requests.Count, 1, 2000);
        _lighthouse.Lag = (0, 0);
        await backend.DeleteAsync(seen, Ct);
        // What never shows is sent anew.
        (_lighthouse.Lag, var never) = ((int.MaxValue, 0), BlobName.Parse("never"));
        for (var attempt = 0; attempt < 2; attempt++) await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(never, BlobSource.Of(content), Ct));
        Assert.Equal(4, _lighthouse.Uploads);
        _lighthouse.Lag = (0, 0);
        clock.Pass(TimeSpan.FromHours(1));
        await backend.PutAsync(never, BlobSource.Of(content), Ct);
        Assert.Equal(5, _lighthouse.Uploads);
    }

    [Fact]
    public async Task Files_that_were_replaced_go_with_the_put_or_with_the_next_cleaning()
    {
        var clock = new HurriedTime();
        _clock = clock;
        await using var backend = await ReadyHereAsync();
        var (name, content) = (BlobName.Parse("a"), Content(300));
        await backend.PutAsync(name, BlobSource.Of(Content(100)), Ct);
        _lighthouse.Answers = http => HttpMethods.IsDelete(http.Request.Method) ? LighthouseServer.SayAsync(http, 503, null) : Task.FromResult(false);
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct))).Error);
        _lighthouse.Answers = _ => Task.FromResult(false);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(300)));
        await backend.CleanAsync(Ct);
        Assert.Equal(3, _lighthouse.Files.Count);
        clock.Pass(TimeSpan.FromDays(2));
        // Not what can't be read for what can.
        _lighthouse.Answers = http => HttpMethods.IsHead(http.Request.Method) ? LighthouseServer.SayAsync(http, 404, null) : Task.FromResult(false);
        await backend.CleanAsync(Ct);
        Assert.Equal(3, _lighthouse.Files.Count);
        (_lighthouse.Answers, _lighthouse.ListsTwice) = (_ => Task.FromResult(false), true);
        await backend.CleanAsync(Ct);
        Assert.Equal(2, _lighthouse.Files.Count);
        Assert.Single(await ListAsync(backend, ""));
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(300)));
        await backend.PutAsync(name, BlobSource.Of(Content(50)), Ct);
        Assert.Equal(2, _lighthouse.Files.Count);
    }

    [Fact]
    public async Task A_list_that_does_not_show_the_place_says_nothing_of_what_is_missing()
    {
        await using var backend = Open();
        var name = BlobName.Parse("a");
        foreach (var call in new Func<Task>[] { () => backend.StatAsync(name, Ct), () => backend.PutAsync(name, BlobSource.Of(new byte[1]), Ct), () => backend.DeleteAsync(name, Ct), () => ReadAsync(backend, name, new(0, 0)), () => backend.CopyAsync(name, name, Ct), () => ListAsync(backend, "") })
            Assert.Equal(BackendError.PlaceMissing, (await Assert.ThrowsAsync<BackendException>(call)).Error);
        await backend.PrepareAsync(Ct);
        await backend.PrepareAsync(Ct);
        Assert.Null(await backend.StatAsync(name, Ct));
        Assert.Equal(1, _lighthouse.Uploads);
    }

    [Fact]
    public async Task A_put_that_is_refused_for_want_of_room_is_full()
    {
        await using var backend = await ReadyHereAsync();
        _lighthouse.Room = 10_000;
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("large"), BlobSource.Of(Content(10_000)), Ct));
        Assert.Equal(BackendError.Full, error.Error);
        // There is room for this one, so it was refused for something else.
        _lighthouse.Answers = http => HttpMethods.IsPost(http.Request.Method) ? LighthouseServer.SayAsync(http, 403, null) : Task.FromResult(false);
        Assert.Equal(BackendError.AccessDenied, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("small"), BlobSource.Of(Content(10)), Ct))).Error);
    }

    [Fact]
    public async Task A_key_that_is_not_taken_is_said_and_not_shown()
    {
        await using var backend = Open(("api-key", "SECRET.key"));
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PrepareAsync(Ct));
        Assert.Equal((BackendError.AccessDenied, "The account: the service answered 401: the key is not taken. {\"error\":\"Unauthorized\"}"), (error.Error, error.Message));
        // Where it is repeated too.
        _lighthouse.Answers = http => LighthouseServer.SayAsync(http, 403, http.Request.Headers.Authorization.ToString());
        error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[1]), Ct));
        Assert.Contains("Bearer …", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("SECRET", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bytes_that_changed_on_their_way_are_damage_when_the_whole_is_read()
    {
        await using var backend = await ReadyHereAsync();
        foreach (var length in new[] { 1, 1000, Long })
        {
            var name = BlobName.Parse($"damaged-{length}");
            _lighthouse.CorruptsUpload = true;
            await backend.PutAsync(name, BlobSource.Of(Content(length)), Ct);
            Assert.Equal(BackendError.Damaged, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, ByteRange.All(length)))).Error);
            // And not copied for something else.
            Assert.Equal(BackendError.Damaged, (await Assert.ThrowsAsync<BackendException>(() => backend.CopyAsync(name, BlobName.Parse("copy"), Ct))).Error);
            Assert.Null(await backend.StatAsync(BlobName.Parse("copy"), Ct));
        }
    }

    [Fact]
    public async Task A_read_and_a_copy_whose_connections_break_go_on()
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync();
        var (name, content) = (BlobName.Parse("broken"), Content(Long));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        (_lighthouse.CutsReads, _lighthouse.CutsReadsAfter) = (3, 700_000);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(Long)));
        _lighthouse.CutsReads = 3;
        await backend.CopyAsync(name, BlobName.Parse("copy"), Ct);
        Assert.Equal(content, await ReadAsync(backend, BlobName.Parse("copy"), ByteRange.All(Long)));
        _lighthouse.CutsReads = 4;
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, ByteRange.All(Long)))).Error);
    }

    [Theory]
    [InlineData("""{"fileList":[{"id":"same"}]}""", BackendError.Damaged)]
    [InlineData("""{"fileList":[null]}""", BackendError.Damaged)]
    [InlineData("""{"fileList":[{}]}""", BackendError.Damaged)]
    [InlineData("""{"fileList":null}""", BackendError.Unavailable)]
    [InlineData("{}", BackendError.Unavailable)]
    [InlineData("null", BackendError.Unavailable)]
    [InlineData("[]", BackendError.Unavailable)]
    [InlineData("\"<html>\"", BackendError.Unavailable)]
    public async Task A_list_of_nonsense_is_an_error_and_ends(string list, BackendError expected)
    {
        await using var backend = await ReadyHereAsync();
        _lighthouse.Answers = http => http.Request.Path == "/api/user/files_uploaded" ? LighthouseServer.SayAsync(http, 200, JsonNode.Parse(list)) : Task.FromResult(false);
        Assert.Equal(expected, (await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct))).Error);
    }

    [Theory]
    [InlineData("""{"Name":"a","Hash":"../api","Size":"1"}""")]
    [InlineData("""{"Name":"a"}""")]
    [InlineData("null")]
    public async Task An_answer_without_a_CID_is_none(string answer)
    {
        await using var backend = await ReadyHereAsync();
        _lighthouse.Answers = http => HttpMethods.IsPost(http.Request.Method) ? LighthouseServer.SayAsync(http, 200, JsonNode.Parse(answer)) : Task.FromResult(false);
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[1]), Ct))).Error);
    }

    [Fact]
    public async Task Another_CID_in_the_list_than_in_the_answer_is_found_out()
    {
        await using var backend = await ReadyHereAsync();
        _lighthouse.Answers = async http =>
        {
            if (!HttpMethods.IsPost(http.Request.Method)) return false;
            _lighthouse.Answers = _ => Task.FromResult(false);
            using var body = new MemoryStream();
            await http.Request.Body.CopyToAsync(body);
            var head = System.Text.Encoding.Latin1.GetString(body.ToArray());
            _lighthouse.Add(head.Split("filename=\"")[1].Split('"')[0], Content(26));
            return await LighthouseServer.SayAsync(http, 200, new JsonObject { ["Hash"] = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku" });
        };
        Assert.Equal(BackendError.Damaged, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[10]), Ct))).Error);
    }

    [Fact]
    public async Task Two_nodes_agree_with_a_list_of_names_whatever_lags_and_answers_are_lost()
    {
        var seed = Random.Shared.Next();
        _output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        _clock = new HurriedTime();
        await using var one = await ReadyHereAsync();
        await using var two = Open();
        var model = new SortedDictionary<string, byte[]>(StringComparer.Ordinal);
        for (var step = 0; step < 120; step++)
        {
            var node = random.Next(2) == 0 ? one : two;
            var (name, other) = (BlobName.Parse($"n/{random.Next(4)}"), BlobName.Parse($"n/{random.Next(4)}"));
            _lighthouse.Lag = (random.Next(4), random.Next(3));
            switch (random.Next(5))
            {
                case 0 or 1:
                    var content = new byte[random.Next(1, 3000)];
                    random.NextBytes(content);
                    await node.PutAsync(name, BlobSource.Of(content), Ct);
                    model[name.Value] = content;
                    break;
                case 2:
                    await node.DeleteAsync(name, Ct);
                    model.Remove(name.Value);
                    break;
                case 3 when model.TryGetValue(name.Value, out var source):
                    await node.CopyAsync(name, other, Ct);
                    model[other.Value] = source;
                    break;
                default:
                    Assert.Equal(model.Select(m => (m.Key, (long)m.Value.Length)), (await ListAsync(node, "n/")).Select(b => (b.Name.Value, b.Length)).Order());
                    if (model.TryGetValue(name.Value, out var there)) Assert.Equal(there, await ReadAsync(node, name, ByteRange.All(there.Length)));
                    else Assert.Null(await node.StatAsync(name, Ct));
                    break;
            }
        }
    }
}
