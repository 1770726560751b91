using DarkStorage.Metadata;
using DarkStorage.Storage.Replicas;

namespace DarkStorage.Silo.Cluster;

/// <summary>How far this node is with what one version of the layout has it fetch, told to the index now and then.</summary>
/// <param name="version">Of the layout. It is entered where the change that made it is a job: others of the cluster may run a program that knows none.</param>
internal sealed class Movement(IClusterIndex index, Guid store, long version, TimeProvider clock)
{
    private static readonly TimeSpan TellEvery = TimeSpan.FromSeconds(2);

    private readonly DateTimeOffset _begun = clock.GetUtcNow();
    private long _toldAt;
    private long _blobs;
    private long _passed;

    public long Version => version;

    public long Copied { get; private set; }

    public long Bytes { get; private set; }

    /// <summary>Begins, or begins anew: what was copied already is not copied again.</summary>
    /// <param name="blobs">To be looked at.</param>
    public Task BeginAsync(long blobs, CancellationToken ct)
    {
        (_blobs, _passed) = (blobs, 0);
        return TellAsync(ct);
    }

    public async ValueTask PassAsync(RepairReport report, CancellationToken ct)
    {
        _passed++;
        _blobs = Math.Max(_blobs, _passed); // what came since they were counted
        if (report.Chunks > 0) (Copied, Bytes) = (Copied + 1, Bytes + report.Bytes);
        if (clock.GetElapsedTime(_toldAt) >= TellEvery) await TellAsync(ct);
    }

    public async Task TellAsync(CancellationToken ct)
    {
        _toldAt = clock.GetTimestamp();
        await index.ReportProgressAsync(new(version, store, _blobs, _passed, Copied, Bytes, _begun, clock.GetUtcNow()), ct);
    }
}
