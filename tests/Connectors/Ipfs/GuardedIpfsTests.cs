using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>A node as the store uses it: through the catalog and with the guard around it.</summary>
public sealed class GuardedIpfsTests(IpfsServer ipfs, ITestOutputHelper output) : BackendConformance(output), IClassFixture<IpfsServer>
{
    protected override int ManyBlobs => 15;

    private protected override Task<IBackend> NewAsync()
    {
        var catalog = new ConnectorCatalog(TimeProvider.System);
        var settings = catalog.Types.Single(t => t.Name == "ipfs").Complete("kubo", new Dictionary<string, string>
        {
            ["endpoint"] = ipfs.Url + "/api/v0/", ["path"] = IpfsServer.NewPath(), ["authorization"] = "bearer:secret", ["calls-max"] = "5", ["mebibytes-per-second-max"] = "1000", ["timeout-seconds"] = "20",
        });
        return Task.FromResult<IBackend>(catalog.Open("guarded", "ipfs", settings));
    }
}
