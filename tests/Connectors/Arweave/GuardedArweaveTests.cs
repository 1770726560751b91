using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>A place as the store uses it: through the catalog and with the guard around it.</summary>
public sealed class GuardedArweaveTests(ITestOutputHelper output) : BackendConformance(output), IAsyncLifetime
{
    private readonly ArweaveServer _arweave = new();

    protected override int ManyBlobs => 30;

    public ValueTask InitializeAsync() => _arweave.InitializeAsync();

    public ValueTask DisposeAsync() => _arweave.DisposeAsync();

    private protected override Task<IBackend> NewAsync() => Task.FromResult<IBackend>(Open());

    private IMeteredBackend Open()
    {
        var catalog = new ConnectorCatalog(TimeProvider.System);
        var settings = catalog.Types.Single(t => t.Name == "arweave").Complete("turbo", new Dictionary<string, string>
        {
            ["wallet"] = Wallets.First, ["upload-endpoint"] = $"{_arweave.Url}/v1/tx", ["gateway"] = "http://127.0.0.1:9", ["graphql"] = $"{_arweave.Url}/graphql", ["place"] = "guarded",
            ["calls-max"] = "5", ["mebibytes-per-second-max"] = "1000", ["timeout-seconds"] = "20",
        });
        return catalog.Open("guarded", "arweave", settings.SetItem("gateway", _arweave.Url + "/"));
    }

    [Fact]
    public async Task What_is_read_for_its_checksum_does_not_count_as_sent()
    {
        await using var backend = Open();
        await backend.PrepareAsync(Ct);
        await backend.PutAsync(BlobName.Parse("counted"), BlobSource.Of(Content(300_000)), Ct);
        Assert.Equal(300_000, backend.TakeUsage().BytesWritten);
    }

    [Fact]
    public async Task A_place_passes_the_test_of_an_integration()
    {
        await using var backend = Open();
        await backend.PrepareAsync(Ct);
        Assert.All((await BackendProbe.RunAsync(backend, TimeProvider.System, Ct)).Steps, step => Assert.Null(step.Failure));
    }

    [Fact]
    public async Task A_long_blob_goes_through_services_that_fail_now_and_then_and_is_paid_for_once()
    {
        await using var backend = Open();
        await backend.PrepareAsync(Ct);
        var (name, source) = (BlobName.Parse("long"), new PatternSource((20L << 20) + 5));
        _arweave.LosesAnswer = true;
        var requests = 0;
        _arweave.Answers = http => ++requests % 5 == 2 ? ArweaveServer.SayAsync(http, requests % 2 == 0 ? 503 : 429, "Later.") : Task.FromResult(false);
        Assert.Equal(source.Length, (await backend.PutAsync(name, source, Ct)).Length);
        Assert.Equal(2, _arweave.Taken.Count);
        (_arweave.CutsReads, _arweave.CutsReadsAfter) = (5, 3 << 20);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(source.Length), Ct);
        await source.AssertSameAsync(stream, Ct);
    }
}
