using DarkStorage.GrainInterfaces;
using DarkStorage.Metadata.Postgres;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Silo.Cluster;

/// <summary>What the silo of a cluster makes sure of each time that it joins, before it takes calls: that the database is still the one that the node belongs to, by which layout the others work,
/// and that nothing goes on here that they did not wait for.</summary>
internal sealed class JoiningSilo(PostgresIndex index, ClusterLayout layouts) : ILifecycleParticipant<ISiloLifecycle>
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromMilliseconds(200);

    // The others know of it already, and wait for it with the next layout; and nothing is acknowledged through it yet.
    public void Participate(ISiloLifecycle lifecycle) => lifecycle.Subscribe("index", ServiceLifecycleStage.RuntimeServices, PrepareAsync);

    private async Task PrepareAsync(CancellationToken ct)
    {
        while (true)
        {
            try
            {
                await index.EnsureSameAsync(ct);
                await layouts.RefreshAsync(ct);
                await layouts.EndWritesAsync(ct);
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
