using Azure.Storage.Sas;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Azure;

/// <summary>A container as the store uses it: through the catalog and with the guard around it, by a shared access signature.</summary>
public sealed class GuardedAzureTests(AzuriteServer azurite, ITestOutputHelper output) : BackendConformance(output), IClassFixture<AzuriteServer>
{
    private protected override async Task<IBackend> NewAsync() => await OpenAsync();

    private async Task<IMeteredBackend> OpenAsync()
    {
        var catalog = new ConnectorCatalog(TimeProvider.System);
        var container = (await azurite.NewContainerAsync()).Name;
        var settings = catalog.Types.Single(t => t.Name == "azure").Complete("azurite", new Dictionary<string, string>
        {
            ["endpoint"] = azurite.Url, ["account"] = AzuriteServer.Account, ["container"] = container, ["prefix"] = "a prefix/", ["sas"] = "?" + azurite.Sign(container, BlobContainerSasPermissions.All),
            ["calls-max"] = "5", ["mebibytes-per-second-max"] = "1000", ["timeout-seconds"] = "20",
        });
        return catalog.Open("guarded", "azure", settings);
    }

    [Fact]
    public async Task What_is_read_for_its_checksum_does_not_count_as_sent()
    {
        await using var backend = await OpenAsync();
        await backend.PutAsync(BlobName.Parse("counted"), BlobSource.Of(Content(300_000)), Ct);
        Assert.Equal(300_000, backend.TakeUsage().BytesWritten);
    }
}
