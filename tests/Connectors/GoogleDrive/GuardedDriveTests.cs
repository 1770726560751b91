using DarkStorage.Connectors.Google;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>A shared drive as the store uses it: through the catalog, by a service account, and with the guard around it.</summary>
public sealed class GuardedDriveTests(ITestOutputHelper output) : BackendConformance(output), IAsyncLifetime
{
    private readonly DriveServer _drive = new() { GivesEmptyPages = true };

    protected override int ManyBlobs => 150;

    public ValueTask InitializeAsync() => _drive.InitializeAsync();

    public ValueTask DisposeAsync() => _drive.DisposeAsync();

    private protected override Task<IBackend> NewAsync() => Task.FromResult<IBackend>(Open());

    private IMeteredBackend Open()
    {
        var catalog = new ConnectorCatalog(TimeProvider.System);
        var settings = catalog.Types.Single(t => t.Name == "google-drive").Complete("google-shared-drive", new Dictionary<string, string>
        {
            ["endpoint"] = _drive.Url, ["drive-id"] = _drive.NewDrive(), ["folder"] = "a folder", ["service-account-key"] = _drive.NewKey(), ["calls-max"] = "5", ["mebibytes-per-second-max"] = "1000", ["timeout-seconds"] = "20",
        });
        return catalog.Open("guarded", "google-drive", settings);
    }

    [Fact]
    public async Task A_place_passes_the_test_of_an_integration()
    {
        await using var backend = Open();
        await backend.PrepareAsync(Ct);
        Assert.All((await BackendProbe.RunAsync(backend, TimeProvider.System, Ct)).Steps, step => Assert.Null(step.Failure));
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
    public async Task A_blob_of_more_than_a_chunk_goes_through_a_server_that_fails_now_and_then()
    {
        await using var backend = Open();
        await backend.PrepareAsync(Ct);
        var (name, source) = (BlobName.Parse("long"), new PatternSource((70L << 20) + 5));
        _drive.ChunkFaults.Enqueue(new(ChunkFaultKind.Cut, 40 << 20));
        _drive.LosesAnswer = true;
        var asked = 0;
        _drive.Answers = http => http.Request.Path != "/token" && asked++ is 0 or 4 ? GoogleServer.FailAfterReadingAsync(http, 403, "userRateLimitExceeded") : Task.FromResult(false);
        Assert.Equal(source.Length, (await backend.PutAsync(name, source, Ct)).Length);
        Assert.Single(_drive.Files);
        (_drive.CutsReads, _drive.CutsReadsAfter) = (5, 12 << 20);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(source.Length), Ct);
        await source.AssertSameAsync(stream, Ct);
    }
}
