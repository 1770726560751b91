using DarkStorage.GrainInterfaces;
using DarkStorage.Metadata;

namespace DarkStorage.Silo.Cluster;

/// <summary>Tells the others by which version of the layout this node works, the oldest that a write of it is still under way by: before all live nodes work by a new one, nobody relies on
/// what it took away being written to no more.</summary>
/// <remarks>A node that was taken out while it was away, and came back before that was through, finds that the others have forgotten it: it enters itself again.</remarks>
internal sealed partial class LayoutReports(IClusterIndex index, ClusterLayout layouts, NodeIdentity self, TimeProvider clock, ILogger<LayoutReports> log) : BackgroundService
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);

    private readonly WakeUp _wake = new();
    private ClusterNode? _me;
    private volatile bool _isKnown;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        layouts.Changed += _wake.Wake;
        index.Changed += NodesChanged;
        try
        {
            for (var told = 0L; ;)
            {
                try
                {
                    if (!_isKnown)
                    {
                        _isKnown = true; // before it is asked: what is heard meanwhile counts
                        told = await BeKnownAsync(told, stoppingToken);
                    }
                    if (layouts.WorksBy is var version && version > told)
                    {
                        if (await index.ReportLayoutAsync(self.Store, version, 0, stoppingToken)) told = version;
                        else _isKnown = false;
                    }
                }
                catch (Exception e) when (e is StorageException or InvalidDataException)
                {
                    _isKnown = false; // the index is away, or says no: tried again
                }
                await _wake.WaitAsync(LookEvery, stoppingToken);
            }
        }
        finally
        {
            index.Changed -= NodesChanged;
            layouts.Changed -= _wake.Wake;
        }
    }

    public override void Dispose()
    {
        base.Dispose();
        _wake.Dispose();
    }

    private void NodesChanged(string? what)
    {
        if (what is null or IClusterIndex.NodesChanged) _isKnown = false;
    }

    /// <returns>What was told, or 0 where it has to be told again.</returns>
    private async Task<long> BeKnownAsync(long told, CancellationToken ct)
    {
        var me = (await index.ListNodesAsync(ct)).FirstOrDefault(n => n.Store == self.Store);
        if (me is null && _me is not null)
        {
            await index.JoinAsync(_me, clock.GetUtcNow(), ct);
            LogJoinedAgain(log, _me.Name);
            return 0;
        }
        _me = me ?? _me;
        return told;
    }

    [LoggerMessage(LogLevel.Warning, "The others had taken node {Name} out: it enters itself again")]
    private static partial void LogJoinedAgain(ILogger log, string name);
}
