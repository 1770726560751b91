using DarkStorage.GrainInterfaces;
using DarkStorage.Metadata;

namespace DarkStorage.Silo.Cluster;

/// <summary>Tells the others by which version of the layout this node works: before all live nodes do, nobody relies on what it took away being written to no more.</summary>
internal sealed class LayoutReports(IClusterIndex index, ClusterLayout layouts, NodeIdentity self) : BackgroundService
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);

    private readonly WakeUp _wake = new();

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        layouts.Changed += _wake.Wake;
        try
        {
            for (var told = 0L; ;)
            {
                if (layouts.Current?.Version is { } version && version > told)
                {
                    try
                    {
                        await index.ReportLayoutAsync(self.Store, version, 0, stoppingToken);
                        told = version;
                    }
                    catch (StorageException)
                    {
                        // The index is away: told when it is back.
                    }
                }
                await _wake.WaitAsync(RetryAfter, stoppingToken);
            }
        }
        finally
        {
            layouts.Changed -= _wake.Wake;
        }
    }

    public override void Dispose()
    {
        base.Dispose();
        _wake.Dispose();
    }
}
