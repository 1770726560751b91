using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Rclone;

/// <summary>A place behind rclone as the store uses it: through the catalog, with the guard around it.</summary>
public abstract class RcloneConformance(LocalServer server, ITestOutputHelper output) : BackendConformance(output)
{
    private protected override Task<IBackend> NewAsync() => Task.FromResult<IBackend>(Open(server.NewPlace(out _)));

    private protected IMeteredBackend Open(Dictionary<string, string> settings) => server.Catalog.Open("tested", "rclone", server.Catalog.Types.Single(t => t.Name == "rclone").Complete(null, settings));
}

public sealed class SftpConformanceTests(SftpServer server, ITestOutputHelper output) : RcloneConformance(server, output), IClassFixture<SftpServer>;

public sealed class FtpConformanceTests(FtpServer server, ITestOutputHelper output) : RcloneConformance(server, output), IClassFixture<FtpServer>;

public sealed class WebDavConformanceTests(WebDavServer server, ITestOutputHelper output) : RcloneConformance(server, output), IClassFixture<WebDavServer>;
