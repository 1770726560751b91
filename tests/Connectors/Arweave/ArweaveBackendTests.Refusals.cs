using System.Globalization;
using System.Text.Json.Nodes;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.Arweave;

/// <summary>What goes wrong on the way, and servers that lie.</summary>
public sealed partial class ArweaveBackendTests
{
    private const int Long = 3_000_000;

    [Fact]
    public async Task What_is_changed_on_its_way_to_the_bundler_is_not_taken()
    {
        await using var backend = await ReadyHereAsync();
        var (name, content) = (BlobName.Parse("changed"), Content(100_000));
        _arweave.CorruptsUpload = true;
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct));
        Assert.Equal(BackendError.Unavailable, error.Error);
        Assert.Contains("Invalid Data Item!", error.Message, StringComparison.Ordinal);
        Assert.Null(await backend.StatAsync(name, Ct));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(content.Length)));
    }

    [Theory, InlineData(20_000, 200_000), InlineData(2_000_000, 3_000_000)]
    public async Task Content_that_breaks_when_it_is_sent_leaves_nothing(int breaksAt, int length)
    {
        await using var backend = await ReadyHereAsync();
        var name = BlobName.Parse("broken");
        var error = await Assert.ThrowsAnyAsync<Exception>(() => backend.PutAsync(name, new BreaksSecondTime(length, breaksAt), Ct));
        Assert.IsType<InvalidDataException>(error);
        Assert.Null(await backend.StatAsync(name, Ct));
        Assert.Single(_arweave.Taken);
    }

    [Fact]
    public async Task A_put_without_credit_is_full_and_one_that_is_too_large_is_refused()
    {
        await using var backend = await ReadyHereAsync(("item-mebibytes-max", "4"));
        (_arweave.Credit, _arweave.ItemBytesMax) = (200_000, 2 << 20);
        await backend.PutAsync(BlobName.Parse("paid"), BlobSource.Of(new byte[150_000]), Ct);
        await backend.PutAsync(BlobName.Parse("free"), BlobSource.Of(new byte[50_000]), Ct);
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("dear"), BlobSource.Of(new byte[150_000]), Ct));
        Assert.Equal((BackendError.Full, "dear: the bundler answered 402: the wallet has no credit left there. Insufficient balance"), (error.Error, error.Message));
        Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("large"), BlobSource.Of(new byte[Long]), Ct))).Error);
        var requests = _arweave.Requests.Count;
        Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("larger"), new PatternSource(backend.Traits.BlobBytesMax + 1), Ct))).Error);
        Assert.Equal(requests, _arweave.Requests.Count);
        _arweave.ItemBytesMax = 4 << 20;
        _arweave.Credit = 5 << 20;
        // The largest that fits has the longest tags.
        await backend.PutAsync(BlobName.Parse(HardNames.Last()), new PatternSource(backend.Traits.BlobBytesMax), Ct);
    }

    [Theory]
    [InlineData("""{"id":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}""")]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("It is done.")]
    public async Task A_receipt_that_is_not_for_the_item_is_none(string receipt)
    {
        await using var backend = await ReadyHereAsync();
        _arweave.Answers = http => http.Request.Path == "/v1/tx" ? ArweaveServer.SayAsync(http, 200, receipt) : Task.FromResult(false);
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[10]), Ct))).Error);
    }

    [Fact]
    public async Task An_item_that_the_bundler_was_sent_before_and_did_not_keep_is_sent_again()
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync(("visible-within-seconds", "10"));
        var (name, content) = (BlobName.Parse("again"), Content(1000));
        _arweave.Answers = http => http.Request.Path == "/v1/tx" ? ArweaveServer.SayAsync(http, 202, "Data Item Exists") : Task.FromResult(false);
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct))).Error);
        _arweave.Answers = _ => Task.FromResult(false);
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(content.Length)));
    }

    [Fact]
    public async Task What_the_index_says_otherwise_than_it_was_sealed_is_damage_and_not_believed()
    {
        await using var backend = await ReadyHereAsync();
        var name = BlobName.Parse("sealed");
        await backend.PutAsync(name, BlobSource.Of(Content(1000)), Ct);
        await backend.PutAsync(BlobName.Parse("other"), BlobSource.Of(Content(2000)), Ct);
        await backend.CopyAsync(name, BlobName.Parse("copy"), Ct);
        var (item, copy) = (_arweave.Taken[1], _arweave.Taken[3]);
        foreach (var (id, tag, value) in new[]
        {
            (item.Id, "Blob-Length", "999"), (item.Id, "Blob-Length", "-1"), (item.Id, "Blob-SHA256", Tag(_arweave.Taken[2], "Blob-SHA256")!), (item.Id, "Blob-Name", "other"), (item.Id, "Blob-Kind", "deleted"), (item.Id, "Blob-Kind", "gone"),
            (item.Id, "Blob-Version", "20991122T143037123Z-0123456789abcdef"), (item.Id, "Blob-Version", "now"), (item.Id, "Blob-Seal", ""), (copy.Id, "Blob-Copy-Of", _arweave.Taken[2].Id), (copy.Id, "Blob-Copy-Of", "../../etc/passwd"),
        })
        {
            _arweave.AltersAnswer = Alter(node => (string)node["id"]! == id, node => node["tags"]!.AsArray().Single(t => (string)t!["name"]! == tag)!["value"] = value);
            Assert.Equal(BackendError.Damaged, (await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(id == item.Id ? name : BlobName.Parse("copy"), Ct))).Error);
            await using var fresh = Open();
            Assert.Equal(BackendError.Damaged, (await Assert.ThrowsAsync<BackendException>(() => ListAsync(fresh, ""))).Error);
        }
        _arweave.AltersAnswer = Alter(_ => true, node => node["id"] = "..");
        Assert.Equal(BackendError.Damaged, (await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(name, Ct))).Error);
    }

    [Fact]
    public async Task What_others_signed_or_what_is_of_another_program_is_nothing()
    {
        await using var backend = await ReadyHereAsync();
        await backend.PutAsync(BlobName.Parse("own"), BlobSource.Of(Content(1000)), Ct);
        await using var fresh = Open();
        _arweave.AltersAnswer = answer =>
        {
            var edges = answer["data"]!["transactions"]!["edges"]!.AsArray();
            foreach (var text in new[]
            {
                """{"cursor":"c","node":{"id":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","owner":{"address":"theirs"},"tags":[{"name":"App-Name","value":"DarkStorage"},{"name":"Blob-Place","value":"darkstorage"}]}}""",
                """{"cursor":"c","node":null}""", "null",
            }) edges.Insert(0, JsonNode.Parse(text));
            var own = edges[^1]!.DeepClone();
            own["node"]!["tags"] = new JsonArray(new JsonObject { ["name"] = "App-Name", ["value"] = "Other" }, null);
            edges.Insert(0, own);
        };
        Assert.Equal(["own"], (await ListAsync(fresh, "")).Select(b => b.Name.Value));
        Assert.Null(await fresh.StatAsync(BlobName.Parse("theirs"), Ct));
    }

    [Theory]
    [InlineData("""{"data":{"transactions":{"pageInfo":{"hasNextPage":true},"edges":[]}}}""", BackendError.Damaged)]
    [InlineData("""{"data":{"transactions":{"pageInfo":{"hasNextPage":true},"edges":[{"cursor":"same"}]}}}""", BackendError.Damaged)]
    [InlineData("""{"data":{"transactions":{"pageInfo":{"hasNextPage":true},"edges":[{"cursor":""}]}}}""", BackendError.Damaged)]
    [InlineData("""{"data":{"transactions":{"edges":[]}},"errors":[{"message":"It took too long."}]}""", BackendError.Unavailable)]
    [InlineData("""{"data":{"transactions":null}}""", BackendError.Unavailable)]
    [InlineData("""{"data":null}""", BackendError.Unavailable)]
    [InlineData("null", BackendError.Unavailable)]
    [InlineData("<html>", BackendError.Unavailable)]
    [InlineData("""{"data":{"transactions":{"edges":{}}}}""", BackendError.Unavailable)]
    public async Task An_index_that_answers_with_nonsense_is_an_error_and_ends(string answer, BackendError expected)
    {
        await using var backend = await ReadyHereAsync();
        _arweave.Answers = http => http.Request.Path == "/graphql" ? ArweaveServer.SayAsync(http, 200, answer) : Task.FromResult(false);
        Assert.Equal(expected, (await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct))).Error);
    }

    [Fact]
    public async Task An_index_that_never_comes_to_an_end_is_left()
    {
        await using var backend = await ReadyHereAsync();
        var pages = 0;
        _arweave.Answers = http => http.Request.Path == "/graphql"
            ? ArweaveServer.SayAsync(http, 200, """{"data":{"transactions":{"pageInfo":{"hasNextPage":true},"edges":[{"cursor":"NUMBER"}]}}}""".Replace("NUMBER", pages++.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal)) : Task.FromResult(false);
        Assert.Equal(BackendError.Damaged, (await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct))).Error);
        Assert.Equal(100, pages);
        _arweave.Answers = http => http.Request.Path == "/graphql" ? ArweaveServer.SayAsync(http, 200, new string(' ', 9 << 20)) : Task.FromResult(false);
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse("a"), Ct));
        Assert.Equal(BackendError.Unavailable, error.Error);
        Assert.Contains("more than 8388608 bytes", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_length_that_the_index_or_the_gateway_says_otherwise_is_found_out_after_a_put()
    {
        await using var backend = await ReadyHereAsync();
        _arweave.AltersAnswer = Alter(_ => true, node => node["data"]!["size"] = "7");
        Assert.Equal(BackendError.WrongLength, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(Content(10)), Ct))).Error);
        // What is in no block may have no length yet.
        _arweave.AltersAnswer = Alter(_ => true, node => node["data"]!["size"] = "0");
        await backend.PutAsync(BlobName.Parse("b"), BlobSource.Of(Content(10)), Ct);
        _arweave.AltersAnswer = _ => { };
        _arweave.LiesAboutLength = 1;
        Assert.Equal(BackendError.WrongLength, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("c"), BlobSource.Of(Content(10)), Ct))).Error);
        _arweave.LiesAboutLength = 0;
        _arweave.Answers = http =>
        {
            if (HttpMethods.IsHead(http.Request.Method)) http.Response.OnStarting(() => Task.FromResult(http.Response.Headers["X-AR-IO-Digest"] = "another"));
            return Task.FromResult(false);
        };
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("d"), BlobSource.Of(Content(10)), Ct));
        Assert.Equal((BackendError.Unavailable, "d has another content at the gateway than was sent."), (error.Error, error.Message));
        (_arweave.Answers, _arweave.SaysNoDigest) = (_ => Task.FromResult(false), true);
        await backend.PutAsync(BlobName.Parse("d"), BlobSource.Of(Content(10)), Ct);
    }

    [Fact]
    public async Task A_read_whose_connection_breaks_goes_on_of_the_same_content()
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync();
        var (name, content) = (BlobName.Parse("broken"), Content(Long));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        (_arweave.CutsReads, _arweave.CutsReadsAfter) = (3, 700_000);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(Long)));
        _arweave.CutsReads = 2;
        Assert.Equal(content[100..^100], await ReadAsync(backend, name, new(100, Long - 101)));
        _arweave.CutsReads = 1;
        await using (var stream = await backend.OpenAsync(name, ByteRange.All(Long), Ct))
        {
            var head = new byte[1000];
            await stream.ReadExactlyAsync(head, Ct);
            await backend.PutAsync(name, BlobSource.Of(Content(Long)), Ct);
            using var rest = new MemoryStream();
            await stream.CopyToAsync(rest, Ct);
            Assert.Equal(content, (byte[])[.. head, .. rest.ToArray()]);
        }
        _arweave.CutsReads = 4;
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, ByteRange.All(Long)))).Error);
    }

    [Theory, InlineData(1), InlineData(1000), InlineData(Long)]
    public async Task Bytes_that_changed_are_damage_when_the_whole_is_read(int length)
    {
        await using var backend = await ReadyHereAsync();
        var name = BlobName.Parse("damaged");
        await backend.PutAsync(name, BlobSource.Of(Content(length)), Ct);
        await backend.CopyAsync(name, BlobName.Parse("copy"), Ct);
        _arweave.CorruptsReads = true;
        foreach (var blob in new[] { name, BlobName.Parse("copy") }) Assert.Equal(BackendError.Damaged, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, blob, ByteRange.All(length)))).Error);
    }

    [Theory]
    [InlineData(200, "bytes 10-19/100", 10, BackendError.WrongLength)]
    [InlineData(206, "bytes 11-20/100", 10, BackendError.WrongLength)]
    [InlineData(206, "bytes 10-19/99", 10, BackendError.WrongLength)]
    [InlineData(206, "bytes 10-19/100", 9, BackendError.WrongLength)]
    [InlineData(206, null, 10, BackendError.WrongLength)]
    [InlineData(416, "bytes */5", 0, BackendError.WrongLength)]
    [InlineData(302, null, 0, BackendError.Unavailable)]
    [InlineData(404, null, 0, BackendError.Unavailable)]
    [InlineData(451, null, 0, BackendError.AccessDenied)]
    [InlineData(429, null, 0, BackendError.Throttled)]
    [InlineData(402, null, 0, BackendError.Throttled)]
    [InlineData(500, null, 0, BackendError.Unavailable)]
    public async Task An_answer_that_is_not_the_range_is_an_error_and_not_read(int status, string? range, int length, BackendError expected)
    {
        await using var backend = await ReadyHereAsync();
        await backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(Content(100)), Ct);
        _arweave.Answers = async http =>
        {
            if (!http.Request.Path.StartsWithSegments("/raw")) return false;
            http.Response.StatusCode = status;
            if (range is not null) http.Response.Headers.ContentRange = range;
            http.Response.ContentLength = length;
            await http.Response.Body.WriteAsync(new byte[length]);
            return true;
        };
        Assert.Equal(expected, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, BlobName.Parse("a"), new(10, 19)))).Error);
    }

    /// <summary>Changes the nodes of an answer.</summary>
    private static Action<JsonObject> Alter(Func<JsonNode, bool> which, Action<JsonNode> alter) => answer =>
    {
        foreach (var edge in answer["data"]!["transactions"]!["edges"]!.AsArray())
        {
            if (which(edge!["node"]!)) alter(edge["node"]!);
        }
    };

    /// <summary>Content that can be looked at, and breaks where it is sent.</summary>
    private sealed class BreaksSecondTime(int length, int breaksAt) : BlobSource
    {
        public override long Length => length;

        public override ValueTask<Stream> OpenAsync(long offset, CancellationToken ct) => new PatternSource(length) { BreaksAt = breaksAt }.OpenAsync(offset, ct);

        public override ValueTask<Stream> PeekAsync(long offset, CancellationToken ct) => new PatternSource(length).OpenAsync(offset, ct);
    }
}
