using System.Security.Cryptography;
using DarkStorage.Connectors.Google;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace DarkStorage.Connectors.Gcs;

/// <summary>Buckets of what stands in for Cloud Storage, with chunks, pages and steps of copies that are small.</summary>
public sealed partial class GcsBackendTests(ITestOutputHelper output) : BackendConformance(output), IAsyncLifetime
{
    private const int Chunk = 1 << 20;

    private static readonly ConnectorType Type = GcsConnector.Connector.Type;

    private readonly GcsServer _gcs = new() { RewriteBytesMax = 3 << 20 };
    private string _account = "";
    private string _key = "";
    private string _bucket = "";

    protected override IEnumerable<string> HardNames => [.. base.HardNames, "%2F/%2f/%00", "a\u2028b", "tab.\u00a0", "é/e\u0301", new string('k', 1024)];

    public async ValueTask InitializeAsync()
    {
        await _gcs.InitializeAsync();
        (_key, _bucket) = (_gcs.NewKey(out _account), _gcs.NewBucket());
    }

    public ValueTask DisposeAsync() => _gcs.DisposeAsync();

    private protected override Task<IBackend> NewAsync() => Task.FromResult<IBackend>(OpenSmall());

    private GcsBackend OpenSmall(params (string Name, string Value)[] more) => OpenSmall(TimeProvider.System, more);

    private GcsBackend OpenSmall(TimeProvider clock, params (string Name, string Value)[] more)
    {
        var given = new Dictionary<string, string> { ["endpoint"] = _gcs.Url, ["bucket"] = _bucket, ["service-account-key"] = _key };
        foreach (var (name, value) in more) given[name] = value;
        var settings = Type.Complete("google", given);
        return GcsConnector.Open(settings, new(settings["bucket"], settings.GetValueOrDefault("prefix", ""), settings.GetValueOrDefault("storage-class")) { ChunkBytes = Chunk, PageObjectsMax = 300 }, clock);
    }

    private int Count(string method, string part) => _gcs.Requests.Count(r => r.StartsWith(method + " ", StringComparison.Ordinal) && r.Contains(part, StringComparison.Ordinal));

    [Fact]
    public async Task A_prefix_keeps_places_of_one_bucket_apart()
    {
        await using var one = OpenSmall(("prefix", "one/"));
        await using var two = OpenSmall(("prefix", "two/"));
        await AssertApartAsync(one, two);
    }

    [Fact]
    public async Task A_long_blob_goes_in_chunks_and_is_copied_in_steps_and_read_whole()
    {
        await using var backend = OpenSmall();
        var (name, copy) = (BlobName.Parse("long"), BlobName.Parse("copy of it"));
        var source = new PatternSource((33L << 20) + 12_345);
        Assert.Equal(source.Length, (await backend.PutAsync(name, source, Ct)).Length);
        Assert.Equal(34, Count("PUT", "upload_id="));
        Assert.Equal(source.Length, (await backend.CopyAsync(name, copy, Ct)).Length);
        Assert.Equal(12, Count("POST", "/rewriteTo/"));
        foreach (var blob in new[] { name, copy })
        {
            await using var stream = await backend.OpenAsync(blob, ByteRange.All(source.Length), Ct);
            await source.AssertSameAsync(stream, Ct);
        }
    }

    [Fact]
    public async Task What_is_put_and_copied_has_the_storage_class_and_is_in_no_cache()
    {
        await using var backend = OpenSmall(("storage-class", "ARCHIVE"));
        _gcs.Put(_bucket, "theirs", [1, 2, 3]);
        await backend.PutAsync(BlobName.Parse("short"), BlobSource.Of(new byte[10]), Ct);
        await backend.PutAsync(BlobName.Parse("long"), new PatternSource(3 << 20), Ct);
        await backend.CopyAsync(BlobName.Parse("theirs"), BlobName.Parse("copy"), Ct);
        foreach (var name in new[] { "short", "long", "copy" }) Assert.Equal(("ARCHIVE", "application/octet-stream", "no-store, no-transform"), _gcs.Describe(_bucket, name) is var o ? (o.Class, o.Type, o.Cache) : default);
        Assert.Equal(3, (await ReadAsync(backend, BlobName.Parse("copy"), ByteRange.All(3))).Length);
    }

    [Theory]
    [InlineData(ChunkFaultKind.Cut, 300_000, 0)]
    [InlineData(ChunkFaultKind.Cut, 100, 0)]
    [InlineData(ChunkFaultKind.Fails, 0, 503)]
    [InlineData(ChunkFaultKind.Fails, 600_000, 500)]
    [InlineData(ChunkFaultKind.Fails, 300_000, 429)]
    [InlineData(ChunkFaultKind.KeepsLess, 300_000, 0)]
    [InlineData(ChunkFaultKind.KeepsLess, 0, 0)]
    [InlineData(ChunkFaultKind.LosesAnswer, 0, 0)]
    public async Task An_upload_that_breaks_goes_on_where_the_server_says(ChunkFaultKind kind, int bytes, int status)
    {
        await using var backend = OpenSmall();
        var (name, content) = (BlobName.Parse("long"), Content((3 << 20) + 77));
        _gcs.ChunkFaults.Enqueue(new(ChunkFaultKind.KeepsLess, Chunk));
        _gcs.ChunkFaults.Enqueue(new(kind, bytes, status));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(content.Length)));
        Assert.Equal(1, Count("POST", "uploadType=resumable"));
        Assert.Equal(0, _gcs.OpenUploads);
    }

    [Fact]
    public async Task Of_faults_in_a_random_order_an_upload_makes_the_content_or_nothing()
    {
        var seed = Random.Shared.Next();
        TestContext.Current.TestOutputHelper!.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var content = Content((4 << 20) + 12_345);
        await Parallel.ForEachAsync(Enumerable.Range(0, 6).Select(_ => random.Next()).ToList(), Ct, async (each, ct) =>
        {
            await using var gcs = new GcsServer();
            await gcs.InitializeAsync();
            var own = new Random(each);
            for (var i = own.Next(8); i >= 0; i--) gcs.ChunkFaults.Enqueue(new((ChunkFaultKind)own.Next(4), own.Next(Chunk), own.Next(2) == 0 ? 503 : 429));
            gcs.LosesAnswer = own.Next(2) == 0;
            await using var backend = OpenSmall(("endpoint", gcs.Url), ("bucket", gcs.NewBucket()), ("service-account-key", gcs.NewKey()));
            var name = BlobName.Parse("long");
            try
            {
                await backend.PutAsync(name, BlobSource.Of(content), ct);
                Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(content.Length)));
            }
            catch (BackendException e) when (e.IsTransient)
            {
                // An answer that was lost may have been that it is there: then it is there whole.
                if (await backend.StatAsync(name, ct) is not null) Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(content.Length)));
            }
        });
    }

    [Fact]
    public async Task An_upload_to_a_server_that_takes_nothing_more_ends_and_is_cancelled()
    {
        await using var backend = OpenSmall();
        for (var i = 0; i < 20; i++) _gcs.ChunkFaults.Enqueue(new(ChunkFaultKind.KeepsLess, 0));
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("long"), new PatternSource(3 << 20), Ct))).Error);
        Assert.Equal((0, 1), (_gcs.OpenUploads, _gcs.CancelledUploads));
        Assert.Empty(await ListAsync(backend, ""));
    }

    [Fact]
    public async Task An_upload_whose_session_is_gone_is_begun_again_by_who_asked()
    {
        await using var backend = OpenSmall();
        var chunks = 0;
        _gcs.Answers = _ =>
        {
            if (Count("PUT", "upload_id=") == 2 && chunks++ == 0) _gcs.ForgetUploads();
            return Task.FromResult(false);
        };
        var (name, source) = (BlobName.Parse("long"), new PatternSource(3 << 20));
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, source, Ct));
        Assert.Equal((BackendError.Unavailable, true), (error.Error, error.IsTransient));
        Assert.Equal(2, Count("PUT", "upload_id="));
        Assert.Equal(source.Length, (await backend.PutAsync(name, source, Ct)).Length);
    }

    [Fact]
    public async Task An_upload_whose_content_breaks_or_that_is_cancelled_is_cancelled_there()
    {
        await using var backend = OpenSmall();
        await Assert.ThrowsAsync<InvalidDataException>(() => backend.PutAsync(BlobName.Parse("broken"), new PatternSource(5 << 20) { BreaksAt = (2 << 20) + 5 }, Ct));
        Assert.Equal((0, 1), (_gcs.OpenUploads, _gcs.CancelledUploads));
        using var leaving = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        _gcs.Answers = async _ =>
        {
            if (Count("PUT", "upload_id=") == 5) await leaving.CancelAsync();
            return false;
        };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => backend.PutAsync(BlobName.Parse("left"), new PatternSource(9 << 20), leaving.Token));
        Assert.Equal((0, 2), (_gcs.OpenUploads, _gcs.CancelledUploads));
        Assert.Empty(await ListAsync(backend, ""));
    }

    [Theory, InlineData(100_000), InlineData(3_000_000)]
    public async Task A_put_whose_answer_was_lost_is_not_made_again(int length)
    {
        await using var backend = OpenSmall();
        var (name, content) = (BlobName.Parse("lost"), Content(length));
        _gcs.LosesAnswer = true;
        var isLong = length > Chunk;
        // A long one asks what became of it, unless the server has forgotten.
        if (isLong) _gcs.Answers = http => { if (http.Request.Headers.ContentRange.ToString().StartsWith("bytes */", StringComparison.Ordinal)) _gcs.ForgetUploads(); return Task.FromResult(false); };
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct))).Error);
        var generation = _gcs.Describe(_bucket, name.Value).Generation;
        Assert.Equal(length, (await backend.PutAsync(name, BlobSource.Of(content), Ct)).Length);
        Assert.Equal(generation, _gcs.Describe(_bucket, name.Value).Generation);
        if (isLong) Assert.Equal(1, Count("POST", "uploadType=resumable"));
    }

    [Fact]
    public async Task A_long_put_whose_last_answer_was_lost_asks_and_is_done()
    {
        await using var backend = OpenSmall();
        _gcs.LosesAnswer = true;
        Assert.Equal(3 << 20, (await backend.PutAsync(BlobName.Parse("lost"), new PatternSource(3 << 20), Ct)).Length);
        Assert.Equal(4, Count("PUT", "upload_id="));
    }

    [Theory, InlineData(100), InlineData(3_000_000)]
    public async Task A_put_that_others_were_quicker_than_looks_again_and_replaces_theirs(int length)
    {
        await using var backend = OpenSmall();
        var (name, content) = (BlobName.Parse("race"), Content(length));
        var quicker = 0;
        _gcs.Answers = http =>
        {
            if (http.Request.Path.StartsWithSegments("/upload") && quicker++ == 0) _gcs.Put(_bucket, name.Value, [7]);
            return Task.FromResult(false);
        };
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(length)));
        Assert.Equal(1, Count("POST", "ifGenerationMatch=0"));
        Assert.Equal(1, Count("POST", "ifGenerationMatch=17"));
        Assert.Equal(0, _gcs.OpenUploads);
    }

    [Theory, InlineData(100_000), InlineData(3_000_000)]
    public async Task What_is_changed_on_its_way_to_the_server_is_not_taken(int length)
    {
        await using var backend = OpenSmall();
        var (name, content) = (BlobName.Parse("changed"), Content(length));
        _gcs.CorruptsUpload = true;
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct))).Error);
        Assert.Null(await backend.StatAsync(name, Ct));
        Assert.Equal(0, Count("DELETE", "?generation="));
        // By a server that looks at no checksum it is taken back.
        (_gcs.CorruptsUpload, _gcs.IgnoresChecksums) = (true, true);
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct))).Error);
        Assert.Null(await backend.StatAsync(name, Ct));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(length)));
    }

    [Theory, InlineData(100), InlineData(3_000_000)]
    public async Task A_server_that_has_not_what_it_says_it_has_taken_is_found_out(int length)
    {
        await using var backend = OpenSmall();
        var content = Content(length);
        foreach (var old in new[] { "long", "same length" }) _gcs.Put(_bucket, old, old == "long" ? new byte[7] : new byte[length]);
        _gcs.Answers = async http =>
        {
            if (!http.Request.Path.StartsWithSegments("/upload")) return false;
            await http.Request.Body.CopyToAsync(Stream.Null);
            if (http.Request.Query["uploadType"] == "resumable" && HttpMethods.IsPost(http.Request.Method)) http.Response.Headers.Location = "/upload/storage/v1/b/x/o?upload_id=1";
            else if (ContentRangeHeaderValue.TryParse(http.Request.Headers.ContentRange.ToString(), out var range) && range.To + 1 < range.Length) (http.Response.StatusCode, http.Response.Headers.Range) = (308, $"bytes=0-{range.To}");
            else await http.Response.WriteAsync($$"""{"name":"x","size":"{{length}}","generation":"1900000000000000","crc32c":"{{Crc(content)}}","md5Hash":"{{Convert.ToBase64String(MD5.HashData(content))}}"}""");
            return true;
        };
        foreach (var (name, expected) in new[] { ("fresh", BackendError.Unavailable), ("long", BackendError.WrongLength), ("same length", BackendError.Unavailable) })
            Assert.Equal(expected, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse(name), BlobSource.Of(content), Ct))).Error);
    }

    [Fact]
    public async Task A_server_that_is_done_before_it_was_sent_all_is_found_out()
    {
        await using var backend = OpenSmall();
        _gcs.Answers = async http =>
        {
            if (!HttpMethods.IsPut(http.Request.Method)) return false;
            await http.Request.Body.CopyToAsync(Stream.Null);
            await http.Response.WriteAsync($$"""{"name":"early","size":"{{Chunk}}","generation":"1900000000000000","crc32c":"{{Crc(new byte[Chunk])}}"}""");
            return true;
        };
        Assert.Equal(BackendError.WrongLength, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("early"), BlobSource.Of(new byte[3 << 20]), Ct))).Error);
        Assert.Equal(1, Count("DELETE", "/o/early?generation=1900000000000000"));
    }

    [Theory, InlineData(100), InlineData(3_000_000)]
    public async Task A_server_that_says_another_length_is_found_out(int length)
    {
        await using var backend = OpenSmall();
        _gcs.LiesAboutLength = 5;
        Assert.Equal(BackendError.WrongLength, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("lie"), BlobSource.Of(new byte[length]), Ct))).Error);
        Assert.Empty(await ListAsync(backend, ""));
    }

    [Fact]
    public async Task What_is_held_can_be_neither_deleted_nor_replaced_but_is_there_when_it_is_put_again()
    {
        await using var backend = OpenSmall();
        var (name, content) = (BlobName.Parse("held"), Content(1000));
        foreach (var reason in new[] { "retentionPolicyNotMet", "objectUnderActiveHold" })
        {
            _gcs.Put(_bucket, name.Value, content);
            _gcs.Hold(_bucket, name.Value, reason);
            foreach (var call in new Func<Task>[] { () => backend.DeleteAsync(name, Ct), () => backend.PutAsync(name, BlobSource.Of(new byte[10]), Ct), () => backend.PutAsync(name, new PatternSource(3 << 20), Ct) })
            {
                var error = await Assert.ThrowsAsync<BackendException>(call);
                Assert.Equal(BackendError.AccessDenied, error.Error);
                Assert.Contains("it is held", error.Message, StringComparison.Ordinal);
            }
            Assert.Equal(1000, (await backend.PutAsync(name, BlobSource.Of(content), Ct)).Length);
            Assert.Equal(0, _gcs.OpenUploads);
            _gcs.Hold(_bucket, name.Value, null);
        }
        // Where the server looks at holds before conditions.
        _gcs.Answers = http => http.Request.Path.StartsWithSegments("/upload") ? GcsServer.FailAfterReadingAsync(http, 403, "retentionPolicyNotMet") : Task.FromResult(false);
        Assert.Equal(1000, (await backend.PutAsync(name, BlobSource.Of(content), Ct)).Length);
        Assert.Equal(BackendError.AccessDenied, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(new byte[1000]), Ct))).Error);
    }

    [Fact]
    public async Task A_name_that_can_not_be_there_is_refused_before_anybody_is_asked()
    {
        await using var backend = OpenSmall(("prefix", ".well-known/"));
        foreach (var name in new[] { "acme-challenge/token", new string('n', 1013) })
        {
            var blob = BlobName.Parse(name);
            foreach (var call in new Func<Task>[] { () => backend.PutAsync(blob, BlobSource.Of(new byte[1]), Ct), () => ReadAsync(backend, blob, new(0, 0)), () => backend.StatAsync(blob, Ct), () => backend.DeleteAsync(blob, Ct), () => backend.CopyAsync(blob, blob, Ct) })
                Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(call)).Error);
        }
        Assert.Empty(_gcs.Requests);
        await backend.PutAsync(BlobName.Parse(new string('n', 1012)), BlobSource.Of(new byte[1]), Ct);
    }

    [Fact]
    public async Task A_list_has_what_it_was_asked_for_and_ends()
    {
        await using var backend = OpenSmall(("prefix", "mine/"));
        var pages = 0;
        _gcs.Answers = async http =>
        {
            if (!http.Request.Path.Value!.EndsWith("/o", StringComparison.Ordinal)) return false;
            // Others' objects, folders, and names that no blob has.
            await http.Response.WriteAsync($$"""{"items":[{"name":"theirs/a","size":"1","generation":"1"},{"name":"mine/folder/","size":"0","generation":"1"},{"name":"mine/a//b","size":"0","generation":"1"},null,{"name":"mine/{{pages++}}","size":"3","generation":"9"}],"nextPageToken":"{{Math.Min(pages, 3)}}"}""");
            return true;
        };
        var seen = new List<string>();
        var error = await Assert.ThrowsAsync<BackendException>(async () =>
        {
            await foreach (var blob in backend.ListAsync("", Ct)) seen.Add(blob.Name.Value);
        });
        Assert.Equal(BackendError.Damaged, error.Error);
        Assert.Equal(["0", "1", "2", "3"], seen);
    }

    [Fact]
    public async Task A_page_of_a_list_that_fails_is_asked_for_again()
    {
        await using var backend = OpenSmall();
        for (var i = 0; i < 25; i++) _gcs.Put(_bucket, $"blob-{i}", new byte[i]);
        (_gcs.PageObjectsMax, var fails) = (10, 0);
        _gcs.Answers = http => http.Request.Query.ContainsKey("pageToken") && fails++ == 0 ? GcsServer.FailAsync(http, 503, "backendError") : Task.FromResult(false);
        Assert.Equal(Enumerable.Range(0, 25).Select(i => (long)i), (await ListAsync(backend, "blob-")).Select(b => b.Length).Order());
    }

    private static string Crc(byte[] content)
    {
        var crc = BitConverter.GetBytes(Crc32C.Append(0, content));
        Array.Reverse(crc);
        return Convert.ToBase64String(crc);
    }
}
