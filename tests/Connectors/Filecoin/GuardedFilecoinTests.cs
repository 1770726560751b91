using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Filecoin;

/// <summary>A place as the store uses it: through the catalog and with the guard around it.</summary>
public sealed class GuardedFilecoinTests(ITestOutputHelper output) : BackendConformance(output), IAsyncLifetime
{
    private readonly LighthouseServer _lighthouse = new();

    protected override int ManyBlobs => 30;

    public ValueTask InitializeAsync() => _lighthouse.InitializeAsync();

    public ValueTask DisposeAsync() => _lighthouse.DisposeAsync();

    private protected override Task<IBackend> NewAsync() => Task.FromResult<IBackend>(Open());

    private IMeteredBackend Open()
    {
        var catalog = new ConnectorCatalog(TimeProvider.System);
        var settings = catalog.Types.Single(t => t.Name == "filecoin").Complete("lighthouse", new Dictionary<string, string>
        {
            ["api-key"] = LighthouseServer.Key + "\n", ["upload-endpoint"] = $"{_lighthouse.Url}/up/", ["api-endpoint"] = _lighthouse.Url, ["gateway"] = _lighthouse.Url, ["place"] = "guarded",
            ["calls-max"] = "5", ["mebibytes-per-second-max"] = "1000", ["timeout-seconds"] = "20",
        });
        return catalog.Open("guarded", "filecoin", settings);
    }

    [Fact]
    public async Task A_place_passes_the_test_of_an_integration()
    {
        await using var backend = Open();
        await backend.PrepareAsync(Ct);
        Assert.All((await BackendProbe.RunAsync(backend, TimeProvider.System, Ct)).Steps, step => Assert.Null(step.Failure));
    }

    [Fact]
    public async Task A_long_blob_goes_through_a_service_that_fails_now_and_then()
    {
        await using var backend = Open();
        await backend.PrepareAsync(Ct);
        var (name, source) = (BlobName.Parse("long"), new PatternSource((20L << 20) + 5));
        _lighthouse.LosesAnswer = true;
        var requests = 0;
        _lighthouse.Answers = http => ++requests % 5 == 2 ? LighthouseServer.SayAsync(http, requests % 2 == 0 ? 503 : 429, null) : Task.FromResult(false);
        Assert.Equal(source.Length, (await backend.PutAsync(name, source, Ct)).Length);
        Assert.Equal(2, _lighthouse.Files.Count);
        (_lighthouse.CutsReads, _lighthouse.CutsReadsAfter) = (5, 3 << 20);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(source.Length), Ct);
        await source.AssertSameAsync(stream, Ct);
    }
}
