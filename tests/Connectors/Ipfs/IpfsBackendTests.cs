using System.Text;
using System.Text.Json;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>Places in a node of js-ipfs.</summary>
public sealed class IpfsBackendTests(IpfsServer ipfs, ITestOutputHelper output) : BackendConformance(output), IClassFixture<IpfsServer>
{
    private const string Secret = "c2VjcmV0";

    /// <summary>js-ipfs takes a tenth of a second for each, and has no pages.</summary>
    protected override int ManyBlobs => 40;

    private protected override Task<IBackend> NewAsync() => Task.FromResult<IBackend>(Open(IpfsServer.NewPath()));

    private IpfsBackend Open(string path, string? url = null, int chunkBytes = 1 << 20) => new(new(url ?? ipfs.Url, new("Bearer", Secret)), new(path) { ChunkBytes = chunkBytes }, TimeProvider.System);

    private async Task<IpfsBackend> ReadyAsync(string path, string? url = null, int chunkBytes = 1 << 20)
    {
        await using (var backend = Open(path)) await backend.PrepareAsync(Ct);
        return Open(path, url, chunkBytes);
    }

    [Fact]
    public async Task A_blob_is_the_content_that_the_node_calls_so_and_an_operator_finds_it()
    {
        var path = IpfsServer.NewPath();
        await using var backend = await ReadyAsync(path);
        var (name, content) = (BlobName.Parse("objects/3f/3fa9"), Content(3_000_000));
        var put = await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(put, await backend.StatAsync(name, Ct));
        Assert.Equal(put, Assert.Single(await ListAsync(backend, "")));
        Assert.Equal(await ipfs.AddAsync(content, "size-1048576", isPinned: false, Ct), put.ContentId);
        Assert.True(await ipfs.IsPinnedAsync(put.ContentId!, Ct));
        var entry = Assert.Single(await EntriesAsync($"{path}/blobs/objects/3f/3fa9.blob"));
        Assert.Contains($"-3000000-{put.ContentId}-", entry, StringComparison.Ordinal);
        Assert.Empty(await EntriesAsync($"{path}/partial"));
    }

    [Fact]
    public async Task A_long_blob_is_a_tree_of_which_any_range_is_read()
    {
        var seed = Random.Shared.Next();
        TestContext.Current.TestOutputHelper!.WriteLine($"seed {seed}");
        var random = new Random(seed);
        await using var backend = await ReadyAsync(IpfsServer.NewPath(), chunkBytes: 1000);
        var (name, content) = (BlobName.Parse("tree"), Content(400_123));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        var ranges = new List<ByteRange> { ByteRange.All(content.Length), new(0, 0), new(174_000, 174_000), new(173_999, 174_000), new(400_000, 400_122), new(999, 1000) };
        for (var i = 0; i < 5; i++)
        {
            var first = random.Next(content.Length);
            ranges.Add(new(first, Math.Min(content.Length - 1, first + random.Next(20_000))));
        }
        foreach (var range in ranges) Assert.Equal(content[(int)range.First..((int)range.Last + 1)], await ReadAsync(backend, name, range));
    }

    [Fact]
    public async Task A_blob_may_be_named_as_the_folder_of_another_and_as_long_as_names_are()
    {
        await using var backend = await ReadyAsync(IpfsServer.NewPath());
        var names = new[] { "a", "a/b", "a.blob", "a/b/c.blob", new string('n', BlobName.BytesMax), "\u00fc" + new string('\u65e5', 340) };
        foreach (var name in names) await backend.PutAsync(BlobName.Parse(name), BlobSource.Of(Encoding.UTF8.GetBytes(name)), Ct);
        Assert.Equal(names.Order(StringComparer.Ordinal), (await ListAsync(backend, "")).Select(b => b.Name.Value).Order(StringComparer.Ordinal));
        await backend.DeleteAsync(BlobName.Parse("a"), Ct);
        foreach (var name in names[1..]) Assert.Equal(Encoding.UTF8.GetBytes(name), await ReadAsync(backend, BlobName.Parse(name), ByteRange.All(Encoding.UTF8.GetByteCount(name))));
        foreach (var name in new[] { "a.blob/b", "x/.blob/y", "x/y.blob/z/w" })
        {
            Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse(name), BlobSource.Of(new byte[1]), Ct))).Error);
            Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse(name), Ct))).Error);
        }
        Assert.Empty(await ListAsync(backend, "a.blob/"));
        Assert.Empty(await ListAsync(backend, "../"));
    }

    [Fact]
    public async Task A_blob_that_is_replaced_is_the_old_one_or_the_new_one_to_all_who_look_meanwhile()
    {
        var path = IpfsServer.NewPath();
        await using var backend = await ReadyAsync(path);
        var name = BlobName.Parse("replaced");
        await backend.PutAsync(name, BlobSource.Of(new byte[1]), Ct);
        var old = (await backend.StatAsync(name, Ct))!;
        using var done = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        var looking = Task.Run(async () =>
        {
            var seen = new List<long>();
            while (!done.IsCancellationRequested) seen.Add((await backend.StatAsync(name, Ct))?.Length ?? -1);
            return seen;
        }, Ct);
        for (var length = 2; length <= 8; length++) await backend.PutAsync(name, BlobSource.Of(new byte[length]), Ct);
        await done.CancelAsync();
        var lengths = await looking;
        Assert.DoesNotContain(-1, lengths);
        Assert.Equal(lengths.Order(), lengths);
        Assert.Equal(8, (await backend.StatAsync(name, Ct))!.Length);
        Assert.Single(await EntriesAsync($"{path}/blobs/replaced.blob"));
        Assert.False(await ipfs.IsPinnedAsync(old.ContentId!, Ct));
    }

    [Fact]
    public async Task A_put_that_is_made_again_gets_its_first_answer()
    {
        var path = IpfsServer.NewPath();
        await using var backend = await ReadyAsync(path);
        var (name, content) = (BlobName.Parse("again"), Content(1000));
        var first = await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(first, await backend.PutAsync(name, BlobSource.Of(content), Ct));
        Assert.True(await ipfs.IsPinnedAsync(first.ContentId!, Ct));
        Assert.Empty(await EntriesAsync($"{path}/partial"));
    }

    [Fact]
    public async Task What_puts_that_were_cut_off_have_left_goes_after_a_while()
    {
        var path = IpfsServer.NewPath();
        await using var backend = await ReadyAsync(path);
        var cid = Cid.Find(await ipfs.AddAsync("cut off"u8.ToArray(), "size-1048576", isPinned: true, Ct))!.Value;
        var (old, fresh) = (BlobVersion.New(DateTimeOffset.UtcNow.AddDays(-8), null, 7, cid), BlobVersion.New(DateTimeOffset.UtcNow.AddDays(-6), null, 7, cid));
        foreach (var entry in new[] { fresh.Entry, "somebody's" }) await ipfs.CallAsync($"files/cp?arg=/ipfs/{cid}&arg={path}/partial/{entry}", Ct);
        await backend.CleanAsync(Ct);
        Assert.True(await ipfs.IsPinnedAsync(cid.ToString(), Ct));
        await ipfs.CallAsync($"files/cp?arg=/ipfs/{cid}&arg={path}/partial/{old.Entry}", Ct);
        await backend.CleanAsync(Ct);
        Assert.False(await ipfs.IsPinnedAsync(cid.ToString(), Ct));
        Assert.Equal(new[] { fresh.Entry, "somebody's" }.Order(StringComparer.Ordinal), (await EntriesAsync($"{path}/partial")).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task What_others_put_there_is_no_blob()
    {
        var path = IpfsServer.NewPath();
        await using var backend = await ReadyAsync(path);
        await backend.PutAsync(BlobName.Parse("mine/blob"), BlobSource.Of(new byte[3]), Ct);
        var cid = await ipfs.AddAsync("theirs"u8.ToArray(), "size-1048576", isPinned: false, Ct);
        foreach (var theirs in new[] { "readme", "mine/readme.blob", "mine/blob.blob/notes", "empty.blob/deeper/notes" }) await ipfs.CallAsync($"files/cp?arg=/ipfs/{cid}&arg={path}/blobs/{theirs}&parents=true", Ct);
        Assert.Equal("mine/blob", Assert.Single(await ListAsync(backend, "")).Name.Value);
        Assert.Null(await backend.StatAsync(BlobName.Parse("empty"), Ct));
        Assert.Null(await backend.StatAsync(BlobName.Parse("readme"), Ct));
        Assert.Null(await backend.StatAsync(BlobName.Parse("readme/more"), Ct));
        Assert.Equal(3, (await backend.StatAsync(BlobName.Parse("mine/blob"), Ct))!.Length);
    }

    [Fact]
    public async Task A_node_whose_files_are_gone_is_a_place_that_is_gone()
    {
        await using var never = Open(IpfsServer.NewPath());
        await AssertAllFailAsync(never, BackendError.PlaceMissing, withPrepare: false);
        var path = IpfsServer.NewPath();
        await using var backend = await ReadyAsync(path);
        await backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[1]), Ct);
        await ipfs.CallAsync($"files/rm?arg={path}&recursive=true", Ct);
        await AssertAllFailAsync(backend, BackendError.PlaceMissing, withPrepare: false);
    }

    [Theory, InlineData("http://127.0.0.1:1", "no answer"), InlineData("http://169.254.169.254", "link-local, which is not allowed")]
    public async Task A_node_that_is_not_there_is_away(string url, string expected)
    {
        await using var backend = Open("/a", url);
        await AssertAllFailAsync(backend, BackendError.Unavailable);
        Assert.Contains(expected, (await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(403, "Kubo RPC Access Denied: Bearer " + Secret + " is not a valid authorization token.", BackendError.AccessDenied)]
    [InlineData(500, """{"Message":"write /data/blocks/put-1: no space left on device","Code":0,"Type":"error"}""", BackendError.Full)]
    [InlineData(500, """{"Message":"I was shown c2VjcmV0","Code":0,"Type":"error"}""", BackendError.Unavailable)]
    [InlineData(404, "404 page not found", BackendError.PlaceMissing)]
    [InlineData(302, "", BackendError.Refused)]
    [InlineData(502, "<html>Bad Gateway", BackendError.Unavailable)]
    public async Task A_node_that_refuses_says_of_what_kind_it_is_and_a_secret_is_not_repeated(int status, string text, BackendError expected)
    {
        await using var proxy = await LyingProxy.StartAsync(ipfs.EndPoint);
        proxy.Answers = async http =>
        {
            Assert.Equal($"Bearer {Secret}", http.Request.Headers.Authorization);
            http.Response.StatusCode = status;
            await http.Response.WriteAsync(text);
            return true;
        };
        await using var backend = Open("/a", $"http://{proxy.EndPoint}");
        await AssertAllFailAsync(backend, expected);
    }

    [Fact]
    public async Task A_node_that_is_asked_too_often_says_when_to_come_back()
    {
        await using var proxy = await LyingProxy.StartAsync(ipfs.EndPoint);
        var asked = 0;
        proxy.Answers = http =>
        {
            asked++;
            (http.Response.StatusCode, http.Response.Headers.RetryAfter) = (429, "7");
            return Task.FromResult(true);
        };
        await using var backend = Open("/a", $"http://{proxy.EndPoint}");
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct));
        Assert.Equal((BackendError.Throttled, TimeSpan.FromSeconds(7)), (error.Error, error.RetryAfter));
        // To ask again is the guard's.
        Assert.Equal(1, asked);
    }

    [Theory]
    [InlineData("<html><body>Welcome to the hotel.")]
    [InlineData("""{"Entries":[null]}""")]
    [InlineData("""{"Entries":[{"Name":null}]}""")]
    [InlineData("""{"Entries":{}}""")]
    [InlineData("""{"Hash":7}""")]
    [InlineData("[]")]
    public async Task A_node_that_makes_no_sense_is_an_error_of_a_kind(string text)
    {
        await using var proxy = await LyingProxy.StartAsync(ipfs.EndPoint);
        proxy.Answers = async http =>
        {
            await http.Request.Body.CopyToAsync(Stream.Null);
            await http.Response.WriteAsync(text);
            return true;
        };
        await using var backend = Open("/a", $"http://{proxy.EndPoint}");
        var name = BlobName.Parse("a");
        foreach (var call in new Func<Task>[] { () => backend.PutAsync(name, BlobSource.Of(new byte[100]), Ct), () => ReadAsync(backend, name, new(0, 99)), () => backend.CopyAsync(name, BlobName.Parse("b"), Ct) })
            Assert.IsType<BackendException>(await Record.ExceptionAsync(call));
    }

    [Theory, InlineData("add", 65 << 10), InlineData("files/ls", 65 << 20), InlineData("block/get", (2 << 20) + 1)]
    public async Task An_answer_without_an_end_is_not_read_to_it(string command, int bytes)
    {
        await using var proxy = await LyingProxy.StartAsync(ipfs.EndPoint);
        await using var backend = await ReadyAsync(IpfsServer.NewPath(), $"http://{proxy.EndPoint}");
        var name = BlobName.Parse("a");
        await backend.PutAsync(name, BlobSource.Of(new byte[100]), Ct);
        proxy.Answers = async http =>
        {
            if (http.Request.Path != $"/api/v0/{command}") return false;
            await http.Request.Body.CopyToAsync(Stream.Null);
            var some = new byte[1 << 10];
            try
            {
                for (var sent = 0; sent <= bytes || command == "add"; sent += some.Length) await http.Response.Body.WriteAsync(some, http.RequestAborted);
            }
            catch (OperationCanceledException)
            {
                // Who asked has heard enough.
            }
            return true;
        };
        var error = await Assert.ThrowsAsync<BackendException>(() => command == "add" ? backend.PutAsync(BlobName.Parse("b"), BlobSource.Of(new byte[100]), Ct) : ReadAsync(backend, name, new(0, 99)));
        Assert.Equal(BackendError.Damaged, error.Error);
        Assert.Contains("has more than", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_goes_wrong_behind_an_answer_that_had_begun_is_an_error()
    {
        // As Go's server ends an answer that broke: what it said is whole, and the reason stands behind.
        await using var node = new RawServer("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: X-Stream-Error\r\n\r\n11\r\n{\"Entries\":null}\n\r\n0\r\nX-Stream-Error: no space left on device\r\n\r\n");
        await using var backend = Open("/a", $"http://{node.EndPoint}");
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct));
        Assert.Equal(BackendError.Full, error.Error);
        Assert.Contains("no space left on device", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_name_that_is_gone_already_when_it_is_deleted_is_no_error_though_kubo_says_it_behind_its_answer()
    {
        await using var node = new RawServer("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: X-Stream-Error\r\n\r\n1c\r\n\"/a/b: file does not exist\"\n\r\n0\r\nX-Stream-Error: can't remove some files\r\n\r\n");
        using var rpc = new KuboRpc($"http://{node.EndPoint}", null);
        await rpc.UnnameAsync("b", "/a/b", Ct);
    }

    [Theory, InlineData(100_000), InlineData(3_000_000)]
    public async Task What_is_changed_on_its_way_to_the_node_is_not_taken(int length)
    {
        var path = IpfsServer.NewPath();
        await using var proxy = new TcpProxy(() => ipfs.EndPoint);
        await using var backend = await ReadyAsync(path, $"http://{proxy.EndPoint}");
        var (name, content) = (BlobName.Parse("changed"), Content(length));
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, new NoticedSource(content, () => proxy.FlipRequests(1)), Ct));
        Assert.Equal(BackendError.Unavailable, error.Error);
        Assert.Contains("the bytes were changed on their way", error.Message, StringComparison.Ordinal);
        Assert.Null(await backend.StatAsync(name, Ct));
        Assert.Empty(await EntriesAsync($"{path}/partial"));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(length)));
    }

    /// <summary>Which of the blocks is bad: the root, a node below it, the first leaf, or one in the middle.</summary>
    [Theory]
    [InlineData("root", "flip"), InlineData("node", "flip"), InlineData("leaf", "flip"), InlineData("middle", "flip")]
    [InlineData("root", "cut"), InlineData("node", "empty"), InlineData("leaf", "cut"), InlineData("middle", "more"), InlineData("leaf", "other"), InlineData("middle", "empty")]
    public async Task Bytes_that_come_back_wrong_are_found_out(string which, string how)
    {
        var asked = 0;
        await using var proxy = await LyingProxy.StartAsync(ipfs.EndPoint);
        await using var backend = await ReadyAsync(IpfsServer.NewPath(), $"http://{proxy.EndPoint}", chunkBytes: 1000);
        var (name, content) = (BlobName.Parse("damaged"), Content(200_000));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        // The root, the first of its two nodes, and that node's leaves.
        var bad = which switch { "root" => 1, "node" => 2, "leaf" => 3, _ => 60 };
        proxy.AltersBody = (http, body) => http.Request.Path != "/api/v0/block/get" || Interlocked.Increment(ref asked) != bad ? body : how switch
        {
            "flip" => [.. body[..(body.Length / 2)], (byte)(body[body.Length / 2] ^ 1), .. body[((body.Length / 2) + 1)..]],
            "cut" => body[..^1],
            "more" => [.. body, 0],
            "other" => content[5000..6000],
            _ => [],
        };
        var got = new MemoryStream();
        var error = await Assert.ThrowsAsync<BackendException>(async () =>
        {
            await using var stream = await backend.OpenAsync(name, ByteRange.All(content.Length), Ct);
            await stream.CopyToAsync(got, Ct);
        });
        Assert.Equal(BackendError.Damaged, error.Error);
        Assert.Contains("gave other bytes for the block", error.Message, StringComparison.Ordinal);
        // What was given before is right: of the bad block there is not a byte.
        Assert.Equal(content[..(int)got.Length], got.ToArray());
        if (which == "middle") Assert.InRange(got.Length, 1000, 60_000);
        else if (which == "leaf") Assert.InRange(got.Length, 0, 3_000); // of the first four, which are asked for at one time
        else Assert.Equal(0, got.Length);
    }

    [Fact]
    public async Task A_range_needs_the_blocks_that_it_is_in_and_no_others()
    {
        var asked = new List<string>();
        await using var proxy = await LyingProxy.StartAsync(ipfs.EndPoint);
        await using var backend = await ReadyAsync(IpfsServer.NewPath(), $"http://{proxy.EndPoint}", chunkBytes: 1000);
        var (name, content) = (BlobName.Parse("range"), Content(400_000));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        proxy.Answers = http =>
        {
            lock (asked) if (http.Request.Path == "/api/v0/block/get") asked.Add(http.Request.Query["arg"]!);
            return Task.FromResult(false);
        };
        Assert.Equal(content[200_500..201_500], await ReadAsync(backend, name, new(200_500, 201_499)));
        // The root, the second node, and two leaves.
        Assert.Equal(4, asked.Distinct().Count());
        Assert.Equal(4, asked.Count);
    }

    [Fact]
    public async Task A_node_that_has_no_room_any_more_and_hangs_up_is_asked_why()
    {
        await using var proxy = await LyingProxy.StartAsync(ipfs.EndPoint);
        await using var backend = await ReadyAsync(IpfsServer.NewPath(), $"http://{proxy.EndPoint}");
        // As Go's server does when it is done and more than 256 KiB of the request are still to come.
        proxy.Answers = async http =>
        {
            if (http.Request.ContentLength < 256 << 10)
            {
                await http.Request.Body.CopyToAsync(Stream.Null);
                return await FailAsync(http, "add", "write /data/blocks/put-1: no space left on device");
            }
            await http.Request.Body.ReadAtLeastAsync(new byte[100_000], 100_000);
            http.Abort();
            return true;
        };
        Assert.Equal(BackendError.Full, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("long"), new PatternSource(20 << 20), Ct))).Error);
    }

    [Fact]
    public async Task A_block_that_the_node_has_lost_is_damage_and_no_missing_blob()
    {
        await using var proxy = await LyingProxy.StartAsync(ipfs.EndPoint);
        await using var backend = await ReadyAsync(IpfsServer.NewPath(), $"http://{proxy.EndPoint}");
        var name = BlobName.Parse("lost");
        await backend.PutAsync(name, BlobSource.Of(Content(1000)), Ct);
        proxy.Answers = http => FailAsync(http, "block/get", $"block was not found locally (offline): ipld: could not find {http.Request.Query["arg"]}");
        Assert.Equal(BackendError.Damaged, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, new(0, 9)))).Error);
    }

    /// <summary>A node that collected garbage between taking the content and giving it a name; in an old Kubo, while it gives it one.</summary>
    [Theory, InlineData("files/cp", "cp: cannot get node from path /ipfs/b: block was not found locally (offline): ipld: could not find b"), InlineData("pin/add", "block was not found locally (offline): ipld: could not find b")]
    public async Task Content_that_is_gone_before_it_has_a_name_is_put_again(string command, string says)
    {
        var path = IpfsServer.NewPath();
        await using var proxy = await LyingProxy.StartAsync(ipfs.EndPoint);
        await using var backend = await ReadyAsync(path, $"http://{proxy.EndPoint}");
        proxy.Answers = http => FailAsync(http, command, says);
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("gone"), BlobSource.Of(new byte[100]), Ct));
        Assert.Equal(BackendError.Unavailable, error.Error);
        Assert.Null(await backend.StatAsync(BlobName.Parse("gone"), Ct));
        Assert.Empty(await EntriesAsync($"{path}/partial"));
    }

    [Fact]
    public async Task A_node_that_has_not_named_what_it_says_it_has_is_found_out()
    {
        await using var proxy = await LyingProxy.StartAsync(ipfs.EndPoint);
        await using var backend = await ReadyAsync(IpfsServer.NewPath(), $"http://{proxy.EndPoint}");
        proxy.Answers = http => Task.FromResult(http.Request.Path == "/api/v0/files/cp" && http.Request.Query["parents"] == "true");
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("unnamed"), BlobSource.Of(new byte[100]), Ct));
        Assert.Equal(BackendError.Unavailable, error.Error);
        Assert.Contains("said that it has named unnamed, and has not", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"Size\":100", "\"Size\":99", BackendError.WrongLength)]
    [InlineData("\"Hash\":\"bafk", "\"Hash\":\"bafy", BackendError.Damaged)]
    [InlineData("\"Hash\":\"bafk", "\"None\":\"bafk", BackendError.Damaged)]
    public async Task A_node_that_has_named_something_else_is_found_out(string says, string instead, BackendError expected)
    {
        await using var proxy = await LyingProxy.StartAsync(ipfs.EndPoint);
        await using var backend = await ReadyAsync(IpfsServer.NewPath(), $"http://{proxy.EndPoint}");
        proxy.AltersBody = (http, body) => http.Request.Path != "/api/v0/files/ls" ? body : Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(body).Replace(says, instead, StringComparison.Ordinal));
        Assert.Equal(expected == BackendError.Damaged ? BackendError.Unavailable : expected, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("other"), BlobSource.Of(new byte[100]), Ct))).Error);
    }

    [Fact]
    public async Task An_answer_that_is_lost_is_an_error_and_the_put_may_have_happened()
    {
        await using var proxy = await LyingProxy.StartAsync(ipfs.EndPoint);
        var path = IpfsServer.NewPath();
        await using var backend = await ReadyAsync(path, $"http://{proxy.EndPoint}");
        var (name, content) = (BlobName.Parse("lost answer"), Content(100));
        proxy.Alters = http =>
        {
            if (http.Request.Path == "/api/v0/files/cp" && http.Request.Query["parents"] == "true") http.Abort();
        };
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct))).Error);
        proxy.Alters = _ => { };
        // What stays of it until it is cleaned keeps its content from being collected.
        Assert.Single(await EntriesAsync($"{path}/partial"));
        var there = (await backend.StatAsync(name, Ct))!;
        Assert.Equal(there, await backend.PutAsync(name, BlobSource.Of(content), Ct));
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(100)));
    }

    [Fact]
    public async Task A_read_whose_connection_breaks_is_an_error_of_a_kind()
    {
        await using var proxy = new TcpProxy(() => ipfs.EndPoint);
        await using var backend = await ReadyAsync(IpfsServer.NewPath(), $"http://{proxy.EndPoint}", chunkBytes: 100_000);
        var (name, source) = (BlobName.Parse("broken"), new PatternSource(3 << 20));
        await backend.PutAsync(name, source, Ct);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(source.Length), Ct);
        proxy.IsBroken = true;
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => stream.CopyToAsync(Stream.Null, Ct))).Error);
    }

    [Fact]
    public async Task A_read_that_is_left_ends_what_it_asked_for()
    {
        await using var proxy = await LyingProxy.StartAsync(ipfs.EndPoint);
        await using var backend = await ReadyAsync(IpfsServer.NewPath(), $"http://{proxy.EndPoint}", chunkBytes: 1000);
        var name = BlobName.Parse("left");
        await backend.PutAsync(name, BlobSource.Of(Content(100_000)), Ct);
        var (asked, hung, left) = (0, 0, 0);
        proxy.Answers = async http =>
        {
            if (http.Request.Path != "/api/v0/block/get" || Interlocked.Increment(ref asked) < 4) return false;
            Interlocked.Increment(ref hung);
            await Task.Delay(Timeout.Infinite, http.RequestAborted).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            Interlocked.Increment(ref left);
            return true;
        };
        await using (var stream = await backend.OpenAsync(name, ByteRange.All(100_000), Ct))
        {
            Assert.Equal(1000, await stream.ReadAsync(new byte[5000], Ct));
            using var cancelled = CancellationTokenSource.CreateLinkedTokenSource(Ct);
            var reading = Assert.ThrowsAnyAsync<OperationCanceledException>(() => stream.CopyToAsync(Stream.Null, cancelled.Token));
            await Eventually.HoldsAsync("the node hangs", () => Volatile.Read(ref hung) > 0);
            await cancelled.CancelAsync();
            await reading;
        }
        await Eventually.HoldsAsync("the node is rid of it", () => Volatile.Read(ref left) == Volatile.Read(ref hung));
    }

    private static async Task<bool> FailAsync(HttpContext http, string command, string message)
    {
        if (http.Request.Path != $"/api/v0/{command}") return false;
        http.Response.StatusCode = 500;
        await http.Response.WriteAsJsonAsync(new { Message = message, Code = 0, Type = "error" });
        return true;
    }

    private async Task<List<string>> EntriesAsync(string path)
    {
        using var json = JsonDocument.Parse(await ipfs.CallAsync($"files/ls?arg={path}", Ct));
        return json.RootElement.GetProperty("Entries") is { ValueKind: JsonValueKind.Array } entries ? [.. entries.EnumerateArray().Select(e => e.GetProperty("Name").GetString()!)] : [];
    }

    private static async Task AssertAllFailAsync(IBackend backend, BackendError expected, bool withPrepare = true)
    {
        var name = BlobName.Parse("a");
        foreach (var call in new Func<Task>[]
        {
            () => withPrepare ? backend.PrepareAsync(Ct) : backend.CleanAsync(Ct), () => backend.PutAsync(name, BlobSource.Of(new byte[1]), Ct), () => ReadAsync(backend, name, new(0, 0)), () => backend.StatAsync(name, Ct),
            () => backend.DeleteAsync(name, Ct), () => ListAsync(backend, ""), () => backend.CopyAsync(name, BlobName.Parse("b"), Ct), () => backend.CleanAsync(Ct),
        })
        {
            var error = await Assert.ThrowsAsync<BackendException>(call);
            Assert.Equal(expected, error.Error);
            Assert.DoesNotContain(Secret, error.ToString(), StringComparison.Ordinal);
        }
    }
}
