using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Rclone;

/// <summary>A place behind rclone as the store uses it: through the catalog, with the guard around it.</summary>
public abstract class RcloneConformance(LocalServer server, ITestOutputHelper output) : BackendConformance(output)
{
    /// <summary>rclone has no pages: a folder is listed whole.</summary>
    protected override int ManyBlobs => 300;

    private protected override Task<IBackend> NewAsync() => Task.FromResult<IBackend>(Open(server.NewPlace(out _)));

    private protected IMeteredBackend Open(Dictionary<string, string> settings) => server.Catalog.Open("tested", "rclone", server.Catalog.Types.Single(t => t.Name == "rclone").Complete(null, settings));
}

public sealed class SftpConformanceTests(ShelllessSftpServer server, ITestOutputHelper output) : RcloneConformance(server, output), IClassFixture<ShelllessSftpServer>;

public sealed class FtpConformanceTests(FtpServer server, ITestOutputHelper output) : RcloneConformance(server, output), IClassFixture<FtpServer>;

public sealed class WebDavConformanceTests(WebDavServer server, ITestOutputHelper output) : RcloneConformance(server, output), IClassFixture<WebDavServer>
{
    /// <summary>nginx does not list what begins with a dot.</summary>
    protected override IEnumerable<string> HardNames => base.HardNames.Where(n => !n.Contains("/.", StringComparison.Ordinal));

    /// <summary>rclone makes a hundred requests of WebDAV a second and no more.</summary>
    protected override int ManyBlobs => 60;
}
