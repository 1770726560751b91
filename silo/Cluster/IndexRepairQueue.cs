using DarkStorage.Metadata;
using DarkStorage.Storage.Replicas;

namespace DarkStorage.Silo.Cluster;

/// <summary>The queue of repairs in the shared index: it survives the node that found them.</summary>
internal sealed class IndexRepairQueue(IClusterIndex index, TimeProvider clock) : IRepairQueue
{
    public async ValueTask EnqueueAsync(RepairEntry entry, CancellationToken ct) =>
        await index.EnqueueRepairAsync(new(entry.Blob, entry.Store, (int)entry.Reason), clock.GetUtcNow(), ct);
}
