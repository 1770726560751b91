using DarkStorage.GrainInterfaces;
using DarkStorage.Metadata.Postgres;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Silo.Cluster;

/// <summary>What the silo of a cluster makes sure of each time that it joins, before it takes calls: that the database is still the one that the node belongs to, and by which layout the others work.</summary>
internal sealed class JoiningSilo(PostgresIndex index, ClusterLayout layouts) : ILifecycleParticipant<ISiloLifecycle>
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromMilliseconds(200);

    public void Participate(ISiloLifecycle lifecycle)
    {
        lifecycle.Subscribe("index", ServiceLifecycleStage.RuntimeServices, PrepareAsync);
        // And when the others see this node: what they decided just before that was without it.
        lifecycle.Subscribe("layout", ServiceLifecycleStage.Active, layouts.RefreshAsync);
    }

    private async Task PrepareAsync(CancellationToken ct)
    {
        while (true)
        {
            try
            {
                await index.EnsureSameAsync(ct);
                await layouts.RefreshAsync(ct);
                return;
            }
            catch (StorageException e) when (e.Error is StorageError.IndexAway or StorageError.Unavailable)
            {
                // It was there for the membership a moment ago.
                await Task.Delay(RetryAfter, ct);
            }
            catch (InvalidDataException e)
            {
                throw new OrleansConfigurationException(e.Message, e);
            }
        }
    }
}
