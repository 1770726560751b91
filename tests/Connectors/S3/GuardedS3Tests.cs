using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;

namespace DarkStorage.Connectors.S3;

/// <summary>A bucket as the store uses it: through the catalog and with the guard around it, and without AWS's checksums.</summary>
public sealed class GuardedS3Tests(NodeFixture fixture, ITestOutputHelper output) : BackendConformance(output), IClassFixture<NodeFixture>
{
    private protected override async Task<IBackend> NewAsync()
    {
        var catalog = new ConnectorCatalog(TimeProvider.System);
        var settings = catalog.Types.Single(t => t.Name == "s3").Complete("ceph", new Dictionary<string, string>
        {
            ["endpoint"] = fixture.Node.S3Url.GetLeftPart(UriPartial.Authority), ["bucket"] = await fixture.Client.NewBucketAsync(), ["prefix"] = "a prefix/", ["access-key"] = fixture.Node.Settings.AccessKey,
            ["secret-key"] = fixture.Node.Settings.SecretKey, ["calls-max"] = "5", ["mebibytes-per-second-max"] = "1000", ["timeout-seconds"] = "20",
        });
        return catalog.Open("guarded", "s3", settings);
    }
}
