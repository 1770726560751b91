using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Chunks;

namespace DarkStorage.Silo.Cluster;

/// <summary>Asks peers that failed whether they answer again.</summary>
/// <remarks>Writes leave a suspect out as long as a quorum is without it. Was it only cut off for a while, and another one dies right after, then that quorum hangs on the one that died: so a peer that
/// is back is to be trusted at once, and not when the time of its suspicion is over. And one that stays away is found out by this, and not by every write once that time is over.</remarks>
internal sealed class SuspectPeers(ClusterLayout layouts, TimeProvider clock) : BackgroundService
{
    private static readonly TimeSpan AskEvery = TimeSpan.FromMilliseconds(500);

    private readonly Dictionary<ChunkStore, Task> _asked = [];

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(AskEvery, clock);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                foreach (var (peer, asked) in _asked)
                {
                    if (asked.IsCompleted) _asked.Remove(peer);
                }
                foreach (var peer in layouts.Peers.Where(p => p.IsSuspect && !_asked.ContainsKey(p))) _asked.Add(peer, AskAsync(peer, stoppingToken));
            }
        }
        finally
        {
            await Task.WhenAll(_asked.Values);
        }
    }

    /// <summary>What it answers, or that it does not, the store remembers of itself.</summary>
    private static async Task AskAsync(ChunkStore peer, CancellationToken ct)
    {
        try
        {
            await peer.ListBlobsAsync(default, DateTimeOffset.UnixEpoch, 1, ct);
        }
        catch (Exception e) when (e is StorageException or OperationCanceledException)
        {
            // It is away still.
        }
    }
}
