using System.Text;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>Places in what stands in for Arweave, with pages that are small, and a clock on which nobody waits.</summary>
public sealed partial class ArweaveBackendTests(ITestOutputHelper output) : BackendConformance(output), IAsyncLifetime
{
    private static readonly ConnectorType Type = ArweaveConnector.Connector.Type;

    private readonly ITestOutputHelper _output = output;
    private readonly ArweaveServer _arweave = new() { PageItemsMax = 20 };
    private TimeProvider _clock = TimeProvider.System;

    protected override IEnumerable<string> HardNames =>
    [
        .. base.HardNames, "%2F/%2f/%00", "a\u2028b", "é/e\u0301", "CASE", "case", new string('k', 1024), "blob", "blob/blob",
        // The longest tags that there are: each byte of the name becomes three, below more folders than are told.
        string.Join('/', Enumerable.Repeat(new string('é', 51), 9)) + "/" + new string('é', 48),
    ];

    protected override int ManyBlobs => 90;

    public ValueTask InitializeAsync() => _arweave.InitializeAsync();

    public ValueTask DisposeAsync() => _arweave.DisposeAsync();

    private protected override Task<IBackend> NewAsync() => Task.FromResult<IBackend>(Open());

    private ArweaveBackend Open(params (string Name, string Value)[] more)
    {
        var given = new Dictionary<string, string> { ["wallet"] = Wallets.First, ["upload-endpoint"] = $"{_arweave.Url}/v1/tx", ["gateway"] = _arweave.Url };
        foreach (var (name, value) in more) given[name] = value;
        return ArweaveConnector.Open(Type.Complete("turbo", given), _clock, place => place with { PageItemsMax = 25 });
    }

    private async Task<ArweaveBackend> ReadyHereAsync(params (string Name, string Value)[] more)
    {
        var backend = Open(more);
        await backend.PrepareAsync(Ct);
        return backend;
    }

    private int Queries => _arweave.Requests.Count(r => r == "POST /graphql");

    private static string? Tag((string Id, IReadOnlyList<(string Name, string Value)> Tags, byte[] Data) item, string name) => item.Tags.FirstOrDefault(t => t.Name == name).Value;

    [Fact]
    public async Task A_wallet_can_have_several_places_and_two_wallets_one_place()
    {
        await using var one = await ReadyHereAsync(("place", "one"));
        await using var two = await ReadyHereAsync(("place", "two"));
        await AssertApartAsync(one, two);
        await using var others = await ReadyHereAsync(("wallet", Wallets.Second), ("place", "two"));
        Assert.Null(await others.StatAsync(BlobName.Parse("blob"), Ct));
        Assert.Empty(await ListAsync(others, ""));
    }

    [Fact]
    public async Task What_is_put_is_a_data_item_that_says_what_it_is()
    {
        await using var backend = await ReadyHereAsync(("place", "tests/one"));
        var content = Encoding.ASCII.GetBytes("Hello, weave.");
        await backend.PutAsync(BlobName.Parse("a/b c.txt"), BlobSource.Of(content), Ct);
        var item = _arweave.Taken[^1];
        Assert.Equal(content, item.Data);
        var expected = new Dictionary<string, string>
        {
            ["Content-Type"] = "application/octet-stream", ["App-Name"] = "DarkStorage", ["Blob-Place"] = "tests/one", ["Blob-Kind"] = "put", ["Blob-Name"] = "a/b%20c.txt", ["Blob-Length"] = "13",
            // printf 'Hello, weave.' | openssl dgst -sha256 -binary | basenc --base64url
            ["Blob-SHA256"] = "WNoY_kMN_Fieh46vntMaxIgis1S5MU_sZwGhAmDZl-E",
        };
        foreach (var (name, value) in expected) Assert.Equal(value, Tag(item, name));
        Assert.Equal(["Blob-Folder-0", "Blob-Folder-1", "Blob-Key", "Blob-Seal", "Blob-Version"], item.Tags.Select(t => t.Name).Except(expected.Keys).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_put_is_done_when_everybody_finds_it_and_its_content()
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync();
        await using var other = Open();
        _arweave.Lag = (5, 3);
        var (name, content) = (BlobName.Parse("late"), Content(50_000));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(50_000, (await other.StatAsync(name, Ct))!.Length);
        Assert.Equal(content, await ReadAsync(other, name, ByteRange.All(content.Length)));
        await backend.DeleteAsync(name, Ct);
        Assert.Null(await other.StatAsync(name, Ct));
        Assert.Empty(await ListAsync(other, ""));
        Assert.Equal(3, _arweave.Uploads);
    }

    [Theory, InlineData(0), InlineData(1), InlineData(100_000)]
    public async Task A_put_whose_answer_was_lost_sends_the_same_item_again_and_is_there_once(int length)
    {
        await using var backend = await ReadyHereAsync();
        var (name, content) = (BlobName.Parse("lost"), Content(length));
        (_arweave.LosesAnswer, _arweave.Lag) = (true, (2, 0));
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct))).Error);
        Assert.Equal(length, (await backend.PutAsync(name, BlobSource.Of(content), Ct)).Length);
        // With the one that marks the place.
        Assert.Equal((2, 3), (_arweave.Taken.Count, _arweave.Uploads));
        Assert.Equal(length, (await backend.PutAsync(name, BlobSource.Of(content), Ct)).Length);
        Assert.Equal((2, 3), (_arweave.Taken.Count, _arweave.Uploads));
    }

    [Fact]
    public async Task Another_node_finds_a_put_whose_answer_was_lost_and_does_not_pay_for_it_again()
    {
        await using var backend = await ReadyHereAsync();
        await using var other = Open();
        var (name, content) = (BlobName.Parse("lost"), Content(1000));
        _arweave.LosesAnswer = true;
        await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct));
        Assert.Equal(1000, (await other.PutAsync(name, BlobSource.Of(content), Ct)).Length);
        Assert.Equal(2, _arweave.Taken.Count);
    }

    [Fact]
    public async Task What_does_not_show_in_time_has_failed_and_is_not_sent_again_when_there_is_a_receipt()
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync(("visible-within-seconds", "60"));
        _arweave.Lag = (40, 0);
        var (name, content) = (BlobName.Parse("slow"), Content(1000));
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct));
        Assert.Equal((BackendError.Unavailable, "slow: the bundler has taken it, and the index does not show it yet."), (error.Error, error.Message));
        Assert.Null(await backend.StatAsync(name, Ct));
        for (var isThere = false; !isThere;)
        {
            try
            {
                await backend.PutAsync(name, BlobSource.Of(content), Ct);
                isThere = true;
            }
            catch (BackendException e) when (e.IsTransient)
            {
                Assert.InRange(Queries, 1, 100);
            }
        }
        Assert.Equal((2, 2), (_arweave.Taken.Count, _arweave.Uploads));
        // Without its data it is not there either.
        _arweave.Lag = (0, 1000);
        error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("no data"), BlobSource.Of(content), Ct));
        Assert.Equal((BackendError.Unavailable, "no data: the index shows it, and the gateway does not have its content yet."), (error.Error, error.Message));
    }

    [Fact]
    public async Task What_a_bundler_took_and_never_brought_is_made_anew_after_a_while()
    {
        var clock = new HurriedTime();
        _clock = clock;
        await using var backend = await ReadyHereAsync(("visible-within-seconds", "60"));
        _arweave.Lag = (int.MaxValue, 0);
        var (name, content) = (BlobName.Parse("never"), Content(1000));
        for (var attempt = 0; attempt < 2; attempt++) await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(content), Ct));
        Assert.Equal(2, _arweave.Uploads);
        _arweave.Lag = (0, 0);
        clock.Pass(TimeSpan.FromHours(1));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal((3, 3), (_arweave.Taken.Count, _arweave.Uploads));
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(1000)));
    }

    [Fact]
    public async Task Of_what_is_written_in_one_instant_the_last_is_true_in_whatever_order_blocks_are_made_of_it()
    {
        // It stands still where nobody waits.
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync();
        var (kept, deleted) = (BlobName.Parse("kept"), BlobName.Parse("deleted"));
        var content = Content(300);
        await backend.PutAsync(kept, BlobSource.Of(Content(100)), Ct);
        await backend.DeleteAsync(kept, Ct);
        await backend.PutAsync(kept, BlobSource.Of(content), Ct);
        await backend.PutAsync(deleted, BlobSource.Of(Content(200)), Ct);
        await backend.PutAsync(deleted, BlobSource.Of(Content(201)), Ct);
        await backend.DeleteAsync(deleted, Ct);
        for (var blocks = 0; blocks < 2; blocks++)
        {
            await using var other = Open();
            Assert.Equal(content, await ReadAsync(other, kept, ByteRange.All(300)));
            Assert.Null(await other.StatAsync(deleted, Ct));
            Assert.Equal(["kept"], (await ListAsync(other, "")).Select(b => b.Name.Value));
            _arweave.MineBackwards();
        }
    }

    [Fact]
    public async Task A_put_that_comes_to_light_after_the_delete_stays_deleted()
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync(("visible-within-seconds", "60"));
        await using var other = Open();
        var (own, others) = (BlobName.Parse("own"), BlobName.Parse("others"));
        _arweave.Lag = (200, 0);
        foreach (var name in new[] { own, others }) await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(Content(1000)), Ct));
        _arweave.Lag = (0, 0);
        Assert.Null(await backend.StatAsync(own, Ct));
        await backend.DeleteAsync(own, Ct);
        await other.DeleteAsync(others, Ct);
        // It deletes once.
        var uploads = _arweave.Uploads;
        await backend.DeleteAsync(own, Ct);
        Assert.Equal(uploads, _arweave.Uploads);
        while (Queries < 300) await backend.StatAsync(own, Ct);
        Assert.Null(await other.StatAsync(own, Ct));
        Assert.Null(await backend.StatAsync(others, Ct));
        Assert.Empty(await ListAsync(other, ""));
    }

    [Fact]
    public async Task What_an_index_forgets_until_it_is_in_a_block_is_not_missing_for_who_wrote_it()
    {
        await using var backend = await ReadyHereAsync();
        var (name, gone, content) = (BlobName.Parse("a/kept"), BlobName.Parse("a/gone"), Content(1000));
        await backend.PutAsync(gone, BlobSource.Of(content), Ct);
        _arweave.MineBackwards();
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        await backend.DeleteAsync(gone, Ct);
        _arweave.ForgetPending();
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(1000)));
        Assert.Null(await backend.StatAsync(gone, Ct));
        Assert.Equal(["a/kept"], (await ListAsync(backend, "a/")).Select(b => b.Name.Value));
        Assert.Empty(await ListAsync(backend, "b/"));
    }

    [Fact]
    public async Task An_index_that_does_not_show_the_place_says_nothing_of_what_is_missing()
    {
        await using var backend = Open();
        var name = BlobName.Parse("a");
        await AssertMissingAsync(backend);
        await backend.PrepareAsync(Ct);
        Assert.Null(await backend.StatAsync(name, Ct));
        await backend.PrepareAsync(Ct);
        Assert.Equal(1, _arweave.Uploads);
        // Not yet in a block, and forgotten.
        _arweave.ForgetPending();
        await using var other = Open();
        foreach (var each in new[] { other, backend }) await AssertMissingAsync(each);
        _arweave.ForgetPending(isForgotten: false);
        Assert.Null(await other.StatAsync(name, Ct));

        async Task AssertMissingAsync(ArweaveBackend place)
        {
            foreach (var call in new Func<Task>[] { () => place.StatAsync(name, Ct), () => place.PutAsync(name, BlobSource.Of(new byte[1]), Ct), () => place.DeleteAsync(name, Ct), () => ReadAsync(place, name, new(0, 0)), () => place.CopyAsync(name, name, Ct), () => ListAsync(place, "") })
                Assert.Equal(BackendError.PlaceMissing, (await Assert.ThrowsAsync<BackendException>(call)).Error);
        }
    }

    [Fact]
    public async Task A_copy_says_where_the_content_is_and_takes_none_along()
    {
        await using var backend = await ReadyHereAsync();
        var (from, to, further, content) = (BlobName.Parse("from"), BlobName.Parse("to"), BlobName.Parse("further"), Content(100_000));
        await backend.PutAsync(from, BlobSource.Of(content), Ct);
        var original = _arweave.Taken[^1].Id;
        await backend.CopyAsync(from, to, Ct);
        await backend.DeleteAsync(from, Ct);
        await backend.CopyAsync(to, further, Ct);
        Assert.Equal((original, 1), (Tag(_arweave.Taken[^1], "Blob-Copy-Of"), _arweave.Taken[^1].Data.Length));
        Assert.Equal(content, await ReadAsync(backend, further, ByteRange.All(content.Length)));
        Assert.Null(await backend.StatAsync(from, Ct));
        var uploads = _arweave.Uploads;
        await backend.CopyAsync(to, further, Ct);
        Assert.Equal(uploads, _arweave.Uploads);
    }

    [Fact]
    public async Task A_list_of_a_folder_asks_for_that_folder_alone()
    {
        await using var backend = await ReadyHereAsync();
        for (var i = 0; i < 60; i++) await backend.PutAsync(BlobName.Parse($"many/{i}"), BlobSource.Of(new byte[1]), Ct);
        await backend.PutAsync(BlobName.Parse("few/one/blob"), BlobSource.Of(new byte[1]), Ct);
        await using var other = Open();
        var before = Queries;
        Assert.Equal(["few/one/blob"], (await ListAsync(other, "few/one/b")).Select(b => b.Name.Value));
        // The place, a page, and what was found there.
        Assert.Equal(3, Queries - before);
    }

    [Fact]
    public async Task A_list_has_what_is_replaced_and_what_gets_into_a_block_meanwhile_once()
    {
        await using var backend = await ReadyHereAsync();
        for (var i = 0; i < 45; i++) await backend.PutAsync(BlobName.Parse($"blob-{i}"), BlobSource.Of(new byte[i]), Ct);
        await using var other = Open();
        var listed = new List<(string, long)>();
        await foreach (var blob in other.ListAsync("", Ct))
        {
            if (listed.Count == 5)
            {
                await backend.PutAsync(BlobName.Parse("blob-0"), BlobSource.Of(new byte[1000]), Ct);
                _arweave.MineBackwards();
            }
            listed.Add((blob.Name.Value, blob.Length));
        }
        Assert.Equal(Enumerable.Range(1, 44).Select(i => ($"blob-{i}", (long)i)).Append(("blob-0", 1000)).Order(), listed.Order());
    }

    [Fact]
    public async Task Two_nodes_agree_with_a_list_of_names_whatever_the_order_of_blocks_and_answers_that_are_lost()
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
            _arweave.Lag = (random.Next(4), random.Next(3));
            if (random.Next(10) == 0) _arweave.MineBackwards();
            _arweave.LosesAnswer = random.Next(6) == 0;
            switch (random.Next(5))
            {
                case 0 or 1:
                    var content = new byte[random.Next(1, 3000)];
                    random.NextBytes(content);
                    await AgainAsync(() => node.PutAsync(name, BlobSource.Of(content), Ct));
                    model[name.Value] = content;
                    break;
                case 2:
                    await AgainAsync(() => node.DeleteAsync(name, Ct));
                    model.Remove(name.Value);
                    break;
                case 3 when model.TryGetValue(name.Value, out var source):
                    await AgainAsync(() => node.CopyAsync(name, other, Ct));
                    model[other.Value] = source;
                    break;
                default:
                    Assert.Equal(model.Select(m => (m.Key, (long)m.Value.Length)), (await ListAsync(node, "n/")).Select(b => (b.Name.Value, b.Length)).Order());
                    if (model.TryGetValue(name.Value, out var there)) Assert.Equal(there, await ReadAsync(node, name, ByteRange.All(there.Length)));
                    else Assert.Null(await node.StatAsync(name, Ct));
                    break;
            }
        }

        static async Task AgainAsync(Func<Task> call)
        {
            try
            {
                await call();
            }
            catch (BackendException e) when (e.IsTransient)
            {
                await call();
            }
        }
    }
}
