using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>Places in a node of js-ipfs.</summary>
public sealed class IpfsBackendTests(IpfsServer ipfs, ITestOutputHelper output) : BackendConformance(output), IClassFixture<IpfsServer>
{
    /// <summary>js-ipfs takes a tenth of a second for each, and has no pages.</summary>
    protected override int ManyBlobs => 60;

    private protected override Task<IBackend> NewAsync() => Task.FromResult<IBackend>(Open(IpfsServer.NewPath()));

    private IpfsBackend Open(string path, string? url = null, int chunkBytes = 1 << 20) => new(new(url ?? ipfs.Url, null), new(path) { ChunkBytes = chunkBytes }, TimeProvider.System);
}
