using System.Security.Cryptography;
using System.Text.Json.Nodes;
using DarkStorage.Connectors.Google;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>A user's own drive in what stands in for Google Drive, with chunks and pages that are small.</summary>
public sealed partial class DriveBackendTests(ITestOutputHelper output) : BackendConformance(output), IAsyncLifetime
{
    private const int Chunk = 1 << 20;

    private static readonly ConnectorType Type = DriveConnector.Connector.Type;

    private readonly ITestOutputHelper _output = output;
    private readonly DriveServer _drive = new();
    private TimeProvider _clock = TimeProvider.System;

    protected override IEnumerable<string> HardNames => [.. base.HardNames, "%2F/%2f/%00", "a\u2028b", "é/e\u0301", "e\u0301/é", "CASE", "case", "blob", "blob/blob", "'or'1'='1", "' or name != '", new string('k', 1024)];

    protected override int ManyBlobs => 700;

    public ValueTask InitializeAsync() => _drive.InitializeAsync();

    public ValueTask DisposeAsync() => _drive.DisposeAsync();

    private protected override Task<IBackend> NewAsync() => Task.FromResult<IBackend>(Open());

    private DriveBackend Open(params (string Name, string Value)[] more) => Open(new UserTokens(DriveServer.UserToken), more);

    private DriveBackend Open(IAccessTokens tokens, params (string Name, string Value)[] more)
    {
        var given = new Dictionary<string, string> { ["endpoint"] = _drive.Url, ["client-id"] = "app", ["client-secret"] = "secret" };
        foreach (var (name, value) in more) given[name] = value;
        var settings = Type.Complete("google-drive", given);
        return DriveConnector.Open(settings, DriveConnector.PlaceOf(settings) with { AtOnceBytesMax = 500_000, ChunkBytes = Chunk, PageFilesMax = 150 }, tokens, _clock);
    }

    private async Task<DriveBackend> ReadyHereAsync(params (string Name, string Value)[] more)
    {
        var backend = Open(more);
        await backend.PrepareAsync(Ct);
        return backend;
    }

    private int Count(string method, string part) => _drive.Requests.Count(r => r.StartsWith(method + " ", StringComparison.Ordinal) && r.Contains(part, StringComparison.Ordinal));

    private int Uploads => Count("POST", "/upload/");

    [Fact]
    public async Task A_drive_can_have_several_places_and_other_files()
    {
        _drive.Add("DarkStorage", null);
        foreach (var name in new[] { "blob", "holiday.jpg" }) _drive.Add(name, Content(10));
        await using var one = await ReadyHereAsync(("folder", "one"));
        await using var two = await ReadyHereAsync(("folder", "t'w\\o ünï"));
        await AssertApartAsync(one, two);
        Assert.Empty(await ListAsync(one, ""));
        Assert.Equal(["blob", "blob", "holiday.jpg"], _drive.Files.Select(f => f.Name).Order());
    }

    [Fact]
    public async Task What_is_put_is_a_file_in_the_folder_whose_name_is_the_blobs_and_whose_properties_say_what_it_is()
    {
        await using var backend = await ReadyHereAsync();
        var content = "Hello, Drive."u8.ToArray();
        await backend.PutAsync(BlobName.Parse("a/b c.txt"), BlobSource.Of(content), Ct);
        var folder = Assert.Single(_drive.Items, i => i.IsFolder);
        var file = Assert.Single(_drive.Files);
        Assert.Equal(("DarkStorage", "root", "a/b c.txt", folder.Id), (folder.Name, folder.Parent, file.Name, file.Parent));
        Assert.Equal(content, file.Content);
        Assert.Equal("DarkStorage", folder.Properties["darkstorage-place"]);
        Assert.Equal("DarkStorage", file.Properties["darkstorage-place"]);
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(content)), file.Properties["darkstorage-sha256"]);
        Assert.Equal(Convert.ToHexStringLower(MD5.HashData(content)), file.Properties["darkstorage-md5"]);
        Assert.Matches("^[A-Za-z0-9_-]{43}$", file.Properties["darkstorage-blob"]);
        Assert.Matches(@"^\d{8}T\d{9}Z-[0-9a-f]{16}$", file.Properties["darkstorage-version"]);
    }

    [Fact]
    public async Task A_long_blob_goes_in_chunks_and_is_copied_by_the_server()
    {
        await using var backend = await ReadyHereAsync();
        var (name, copy) = (BlobName.Parse("long"), BlobName.Parse("copy of it"));
        var source = new PatternSource((9L << 20) + 12_345);
        Assert.Equal(source.Length, (await backend.PutAsync(name, source, Ct)).Length);
        Assert.Equal(10, Count("PUT", "upload_id="));
        Assert.Equal(source.Length, (await backend.CopyAsync(name, copy, Ct)).Length);
        Assert.Equal((1, 0), (Count("POST", "/copy?"), Count("GET", "alt=media")));
        foreach (var blob in new[] { name, copy })
        {
            await using var stream = await backend.OpenAsync(blob, ByteRange.All(source.Length), Ct);
            await source.AssertSameAsync(stream, Ct);
        }
    }

    [Theory]
    [InlineData(ChunkFaultKind.Cut, 300_000, 0)]
    [InlineData(ChunkFaultKind.Fails, 600_000, 500)]
    [InlineData(ChunkFaultKind.Fails, 300_000, 429)]
    [InlineData(ChunkFaultKind.KeepsLess, 0, 0)]
    [InlineData(ChunkFaultKind.LosesAnswer, 0, 0)]
    public async Task An_upload_that_breaks_goes_on_where_the_server_says(ChunkFaultKind kind, int bytes, int status)
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync();
        var (name, content) = (BlobName.Parse("long"), Content((3 << 20) + 77));
        _drive.ChunkFaults.Enqueue(new(ChunkFaultKind.KeepsLess, Chunk));
        _drive.ChunkFaults.Enqueue(new(kind, bytes, status));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(content.Length)));
        Assert.Equal((1, 0), (Count("POST", "uploadType=resumable"), _drive.OpenUploads));
    }

    [Fact]
    public async Task An_upload_whose_content_breaks_or_that_is_cancelled_is_cancelled_there()
    {
        await using var backend = await ReadyHereAsync();
        await Assert.ThrowsAsync<InvalidDataException>(() => backend.PutAsync(BlobName.Parse("broken"), new BreaksOnceRead(new PatternSource(5 << 20) { BreaksAt = (2 << 20) + 5 }, new PatternSource(5 << 20)), Ct));
        Assert.Equal((0, 1), (_drive.OpenUploads, _drive.CancelledUploads));
        using var leaving = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        _drive.Answers = async _ =>
        {
            if (Count("PUT", "upload_id=") == 5) await leaving.CancelAsync();
            return false;
        };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => backend.PutAsync(BlobName.Parse("left"), new PatternSource(9 << 20), leaving.Token));
        Assert.Equal((0, 2), (_drive.OpenUploads, _drive.CancelledUploads));
        Assert.Empty(await ListAsync(backend, ""));
    }

    [Theory, InlineData(100_000), InlineData(3_000_000)]
    public async Task A_put_whose_answer_was_lost_is_made_once(int length)
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync();
        var (name, content) = (BlobName.Parse("lost"), Content(length));
        // A long one asks what became of it, unless the server has forgotten.
        if (length > Chunk) _drive.Answers = http => { if (http.Request.Headers.ContentRange.ToString().StartsWith("bytes */", StringComparison.Ordinal)) _drive.ForgetUploads(); return Task.FromResult(false); };
        (_drive.LosesAnswer, _drive.Lag) = (true, (7, 0));
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct))).Error);
        Assert.Single(_drive.Files);
        Assert.Equal(length, (await backend.PutAsync(name, BlobSource.Of(content), Ct)).Length);
        Assert.Equal((1, 1), (_drive.Files.Count, Uploads));
        // A node that was started again knows no ids: it finds the content when the list shows it.
        await using var other = Open();
        Assert.Equal(length, (await other.PutAsync(name, BlobSource.Of(content), Ct)).Length);
        Assert.Equal((1, 1), (_drive.Files.Count, Uploads));
    }

    [Fact]
    public async Task A_put_whose_file_was_not_seen_when_it_is_made_again_is_made_once_by_its_id()
    {
        await using var backend = await ReadyHereAsync();
        var (name, content) = (BlobName.Parse("lost"), Content(1000));
        _drive.LosesAnswer = true;
        await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct));
        // As when the server is still at it: it is neither listed nor found.
        var id = _drive.Files.Single().Id;
        var asked = 0;
        _drive.Answers = http => http.Request.Path == $"/drive/v3/files/{id}" && asked++ == 0 ? GoogleServer.FailAsync(http, 404, "notFound") : http.Request.Query.ContainsKey("q") && asked == 0 ? EmptyAsync(http) : Task.FromResult(false);
        Assert.Equal(1000, (await backend.PutAsync(name, BlobSource.Of(content), Ct)).Length);
        Assert.Equal((1, 2), (_drive.Files.Count, Uploads));
        Assert.Equal(id, _drive.Files.Single().Id);
    }

    [Fact]
    public async Task An_id_that_is_somebody_elses_is_not_used_again()
    {
        await using var backend = await ReadyHereAsync();
        _drive.Answers = http => http.Request.Path.StartsWithSegments("/upload") ? GoogleServer.FailAfterReadingAsync(http, 409, "fileIdInUse") : Task.FromResult(false);
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[1]), Ct))).Error);
        _drive.Answers = _ => Task.FromResult(false);
        await backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[1]), Ct);
        Assert.Single(_drive.Files);
    }

    [Theory, InlineData(100_000), InlineData(3_000_000)]
    public async Task What_is_changed_on_its_way_to_the_server_is_no_blob_and_is_taken_back(int length)
    {
        await using var backend = await ReadyHereAsync();
        var (name, content, old) = (BlobName.Parse("changed"), Content(length), Content(77));
        await backend.PutAsync(name, BlobSource.Of(old), Ct);
        _drive.CorruptsUpload = true;
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct))).Error);
        Assert.Single(_drive.Files);
        // Where it can't be taken back it is none either, for nobody.
        (_drive.CorruptsUpload, _drive.Answers) = (true, http => HttpMethods.IsDelete(http.Request.Method) ? GoogleServer.FailAsync(http, 503, "backendError") : Task.FromResult(false));
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct))).Error);
        _drive.Answers = _ => Task.FromResult(false);
        Assert.Equal(2, _drive.Files.Count);
        await using var other = Open();
        foreach (var node in new[] { backend, other })
        {
            Assert.Equal(old, await ReadAsync(node, name, ByteRange.All(77)));
            Assert.Equal(77, Assert.Single(await ListAsync(node, "")).Length);
        }
        // It goes with what replaces it, or with the name.
        await other.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Single(_drive.Files);
        Assert.Equal(content, await ReadAsync(other, name, ByteRange.All(length)));
    }

    [Fact]
    public async Task What_somebody_has_changed_is_not_cleaned_away_but_where_it_was_replaced()
    {
        var clock = new HurriedTime();
        _clock = clock;
        await using var backend = await ReadyHereAsync();
        var (name, content) = (BlobName.Parse("changed"), Content(500));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        var id = _drive.Files.Single().Id;
        _drive.Overwrite(id, Content(499));
        clock.Pass(TimeSpan.FromDays(9));
        await backend.CleanAsync(Ct);
        Assert.Null(await backend.StatAsync(name, Ct));
        _drive.Overwrite(id, content);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(500)));
        _drive.Overwrite(id, Content(499));
        _drive.Answers = http => HttpMethods.IsDelete(http.Request.Method) ? GoogleServer.FailAsync(http, 503, "backendError") : Task.FromResult(false);
        await Record.ExceptionAsync(() => backend.PutAsync(name, BlobSource.Of(Content(7)), Ct));
        _drive.Answers = _ => Task.FromResult(false);
        Assert.Equal(2, _drive.Files.Count);
        clock.Pass(TimeSpan.FromDays(9));
        await backend.CleanAsync(Ct);
        Assert.Equal(7, Assert.Single(_drive.Files).Content.Length);
    }

    [Fact]
    public async Task A_put_that_another_was_later_than_leaves_nothing_though_no_list_shows_its_own_file()
    {
        _clock = new HurriedTime();
        await using var one = await ReadyHereAsync();
        await using var two = Open();
        var (name, content) = (BlobName.Parse("race"), Content(500));
        _drive.Answers = async http =>
        {
            if (!http.Request.Path.StartsWithSegments("/upload")) return false;
            _drive.Answers = _ => Task.FromResult(false);
            (_clock as HurriedTime)!.Pass(TimeSpan.FromSeconds(1));
            await two.PutAsync(name, BlobSource.Of(content), Ct);
            _drive.Lag = (int.MaxValue, 0);
            return false;
        };
        Assert.Equal(500, (await one.PutAsync(name, BlobSource.Of(Content(100)), Ct)).Length);
        Assert.Equal(content, Assert.Single(_drive.Files).Content);
        Assert.Equal(content, await ReadAsync(one, name, ByteRange.All(500)));
    }

    [Fact]
    public async Task What_another_node_has_deleted_can_be_put_again_at_once()
    {
        await using var one = await ReadyHereAsync();
        await using var two = Open();
        var (name, content) = (BlobName.Parse("again"), Content(500));
        await one.PutAsync(name, BlobSource.Of(content), Ct);
        await two.DeleteAsync(name, Ct);
        await one.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(content, await ReadAsync(two, name, ByteRange.All(500)));
        Assert.Equal(2, Uploads);
    }

    [Theory, InlineData(100), InlineData(3_000_000)]
    public async Task A_server_that_says_another_length_is_found_out(int length)
    {
        await using var backend = await ReadyHereAsync();
        _drive.LiesAboutLength = 5;
        Assert.Equal(BackendError.WrongLength, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("lie"), BlobSource.Of(new byte[length]), Ct))).Error);
        Assert.Empty(_drive.Files);
    }

    [Fact]
    public async Task One_checksum_is_enough_and_none_is_not()
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync();
        _drive.Untold["sha256Checksum"] = true;
        await backend.PutAsync(BlobName.Parse("md5"), BlobSource.Of(Content(1000)), Ct);
        _drive.Untold["md5Checksum"] = true;
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("none"), BlobSource.Of(Content(1000)), Ct))).Error);
    }

    [Fact]
    public async Task A_put_and_a_delete_are_done_when_lists_show_them()
    {
        _clock = new HurriedTime();
        _drive.Lag = (3, 0);
        await using var backend = await ReadyHereAsync();
        await using var other = Open();
        _drive.Lag = (5, 3);
        var (name, content) = (BlobName.Parse("late"), Content(50_000));
        await backend.PutAsync(name, BlobSource.Of(Content(10)), Ct);
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(content, await ReadAsync(other, name, ByteRange.All(content.Length)));
        await backend.DeleteAsync(name, Ct);
        Assert.Null(await other.StatAsync(name, Ct));
        Assert.Empty(_drive.Files);
    }

    [Fact]
    public async Task What_this_node_did_it_knows_whatever_lists_show()
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync(("visible-within-seconds", "10"));
        _drive.Lag = (int.MaxValue, int.MaxValue);
        var (name, content) = (BlobName.Parse("unseen"), Content(1000));
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct));
        Assert.Equal((BackendError.Unavailable, "unseen: the server has taken it, and does not list it yet."), (error.Error, error.Message));
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(1000)));
        Assert.Equal("unseen", Assert.Single(await ListAsync(backend, "un")).Name.Value);
        await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct));
        Assert.Equal(1, Uploads);
        // It can be deleted, though no list shows it.
        await backend.DeleteAsync(name, Ct);
        Assert.Empty(_drive.Files);
        Assert.Null(await backend.StatAsync(name, Ct));
        // One that lists show still is not there either, and the delete has not been done.
        (_drive.Lag, var second) = ((0, int.MaxValue), BlobName.Parse("second"));
        await backend.PutAsync(second, BlobSource.Of(content), Ct);
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.DeleteAsync(second, Ct))).Error);
        Assert.Null(await backend.StatAsync(second, Ct));
        Assert.Empty(await ListAsync(backend, ""));
        await using var other = Open();
        Assert.Equal(BackendError.NotFound, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(other, second, new(0, 0)))).Error);
    }

    [Fact]
    public async Task Files_that_were_replaced_go_with_the_put_or_with_a_later_cleaning()
    {
        var clock = new HurriedTime();
        _clock = clock;
        await using var backend = await ReadyHereAsync();
        var (name, content) = (BlobName.Parse("a"), Content(300));
        await backend.PutAsync(name, BlobSource.Of(Content(100)), Ct);
        _drive.Answers = http => HttpMethods.IsDelete(http.Request.Method) ? GoogleServer.FailAsync(http, 503, "backendError") : Task.FromResult(false);
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct))).Error);
        _drive.Answers = _ => Task.FromResult(false);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(300)));
        Assert.Equal(300, Assert.Single(await ListAsync(backend, "")).Length);
        await backend.CleanAsync(Ct);
        Assert.Equal(2, _drive.Files.Count);
        clock.Pass(TimeSpan.FromDays(2));
        // Not for what lists show and is not there.
        var last = _drive.Files[1].Id;
        _drive.Answers = http => http.Request.Path == $"/drive/v3/files/{last}" ? GoogleServer.FailAsync(http, 404, "notFound") : Task.FromResult(false);
        await backend.CleanAsync(Ct);
        Assert.Equal(2, _drive.Files.Count);
        _drive.Answers = _ => Task.FromResult(false);
        await backend.CleanAsync(Ct);
        Assert.Single(_drive.Files);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(300)));
        // The same content again, and what it replaces is found.
        _drive.Add(name.Value, Content(5), _drive.Files[0].Properties.ToDictionary(p => p.Key, p => p.Key == "darkstorage-version" ? "20200101T000000000Z-0000000000000000" : p.Value));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Single(_drive.Files);
    }

    [Fact]
    public async Task A_file_that_somebody_renames_or_moves_is_read_and_one_in_the_trash_is_not_there_until_it_comes_back()
    {
        await using var backend = await ReadyHereAsync();
        var (name, content) = (BlobName.Parse("a/b"), Content(300));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        var file = _drive.Files.Single();
        _drive.Rename(file.Id, "holiday");
        await using var other = Open();
        Assert.Equal(content, await ReadAsync(other, name, ByteRange.All(300)));
        Assert.Empty(await ListAsync(other, ""));
        _drive.Rename(file.Id, "a/b");
        _drive.Trash(file.Id);
        Assert.Null(await backend.StatAsync(name, Ct));
        _drive.Trash(file.Id, isIn: false);
        Assert.Single(await ListAsync(other, ""));
    }

    [Fact]
    public async Task What_others_share_or_say_of_their_files_is_nothing_here()
    {
        await using var backend = await ReadyHereAsync();
        var name = BlobName.Parse("mine");
        await backend.PutAsync(name, BlobSource.Of(Content(10)), Ct);
        var properties = _drive.Files.Single().Properties;
        await backend.DeleteAsync(name, Ct);
        _drive.Add("mine", Content(10), properties, owner: "them");
        foreach (var (part, value) in new[] { ("darkstorage-version", "soon"), ("darkstorage-version", new string('9', 100)), ("darkstorage-sha256", "../.."), ("darkstorage-sha256", new string('Z', 64)), ("darkstorage-place", "another"), ("darkstorage-blob", "x") })
            _drive.Add("mine", Content(10), properties.ToDictionary(p => p.Key, p => p.Key == part ? value : p.Value));
        foreach (var part in properties.Keys) _drive.Add("mine", Content(10), properties.Where(p => p.Key != part).ToDictionary(p => p.Key, p => p.Value));
        Assert.Null(await backend.StatAsync(name, Ct));
        Assert.Empty(await ListAsync(backend, ""));
        await backend.DeleteAsync(name, Ct);
        await backend.CleanAsync(Ct);
        Assert.Equal(7 + properties.Count, _drive.Files.Count);
    }

    [Fact]
    public async Task Nodes_agree_with_a_list_of_names_whatever_lags_and_answers_are_lost()
    {
        var seed = Random.Shared.Next();
        _output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        _clock = new HurriedTime();
        await using var one = await ReadyHereAsync();
        await using var two = Open();
        var model = new SortedDictionary<string, byte[]>(StringComparer.Ordinal);
        for (var step = 0; step < 150; step++)
        {
            var node = random.Next(2) == 0 ? one : two;
            var (name, other) = (BlobName.Parse($"n/{random.Next(4)}"), BlobName.Parse($"n/{random.Next(4)}"));
            (_drive.Lag, _drive.GivesEmptyPages) = ((random.Next(4), random.Next(3)), random.Next(2) == 0);
            switch (random.Next(5))
            {
                case 0 or 1:
                    var content = new byte[random.Next(1, 3000)];
                    random.NextBytes(content);
                    if (_drive.LosesAnswer = random.Next(3) == 0) await Assert.ThrowsAsync<BackendException>(() => node.PutAsync(name, BlobSource.Of(content), Ct));
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
        Assert.Equal(model.Count, _drive.Files.Count);
    }

    private static async Task<bool> EmptyAsync(HttpContext http)
    {
        await http.Response.WriteAsync(new JsonObject { ["files"] = new JsonArray() }.ToJsonString());
        return true;
    }

    /// <summary>Whose content is whole when it is looked at, and breaks when it is sent.</summary>
    private sealed class BreaksOnceRead(BlobSource sent, BlobSource peeked) : BlobSource
    {
        public override long Length => sent.Length;

        public override ValueTask<Stream> OpenAsync(long offset, CancellationToken ct) => sent.OpenAsync(offset, ct);

        public override ValueTask<Stream> PeekAsync(long offset, CancellationToken ct) => peeked.OpenAsync(offset, ct);
    }
}

/// <summary>A user's token, as somebody else renews it.</summary>
internal sealed class UserTokens(string text) : IAccessTokens
{
    public ValueTask<AccessToken> GetAsync(CancellationToken ct) => new(new AccessToken(text, null));

    public void Reject(AccessToken token)
    {
    }
}
