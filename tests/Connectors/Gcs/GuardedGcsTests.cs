using DarkStorage.Connectors.Google;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>A bucket as the store uses it: through the catalog and with the guard around it.</summary>
public sealed class GuardedGcsTests(ITestOutputHelper output) : BackendConformance(output), IAsyncLifetime
{
    private readonly GcsServer _gcs = new();

    public ValueTask InitializeAsync() => _gcs.InitializeAsync();

    public ValueTask DisposeAsync() => _gcs.DisposeAsync();

    private protected override Task<IBackend> NewAsync() => Task.FromResult<IBackend>(Open());

    private IMeteredBackend Open()
    {
        var catalog = new ConnectorCatalog(TimeProvider.System);
        var settings = catalog.Types.Single(t => t.Name == "gcs").Complete("google", new Dictionary<string, string>
        {
            ["endpoint"] = _gcs.Url, ["bucket"] = _gcs.NewBucket(), ["prefix"] = "a prefix/", ["service-account-key"] = _gcs.NewKey(), ["storage-class"] = "NEARLINE",
            ["calls-max"] = "5", ["mebibytes-per-second-max"] = "1000", ["timeout-seconds"] = "20",
        });
        return catalog.Open("guarded", "gcs", settings);
    }

    [Fact]
    public async Task What_is_read_for_its_checksum_does_not_count_as_sent()
    {
        await using var backend = Open();
        await backend.PutAsync(BlobName.Parse("counted"), BlobSource.Of(Content(300_000)), Ct);
        Assert.Equal(300_000, backend.TakeUsage().BytesWritten);
    }

    [Fact]
    public async Task A_blob_of_more_than_a_chunk_goes_through_a_server_that_fails_now_and_then()
    {
        await using var backend = Open();
        var (name, source) = (BlobName.Parse("long"), new PatternSource((130L << 20) + 5));
        _gcs.ChunkFaults.Enqueue(new(ChunkFaultKind.Cut, 40 << 20));
        _gcs.ChunkFaults.Enqueue(new(ChunkFaultKind.Fails, 3 << 20));
        var fails = 0;
        _gcs.Answers = http => http.Request.Path != "/token" && fails++ is 0 or 6 ? GcsServer.FailAfterReadingAsync(http, 429, "rateLimitExceeded") : Task.FromResult(false);
        Assert.Equal(source.Length, (await backend.PutAsync(name, source, Ct)).Length);
        _gcs.Answers = _ => Task.FromResult(false);
        (_gcs.CutsReads, _gcs.CutsReadsAfter) = (5, 20 << 20);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(source.Length), Ct);
        await source.AssertSameAsync(stream, Ct);
    }
}
