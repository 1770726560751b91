using System.Collections.Concurrent;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Replicas;
using DarkStorage.Unit.Storage.Peers;
using Xunit;

namespace DarkStorage.Unit.Storage.Replicas;

/// <summary>Nodes go down, lose power, fill up, hang and come back while blobs are written, deleted and read. Whatever was acknowledged reads back whole while as many
/// nodes are down as may be: all but the quorum at any time, all but one once repairs are through. A failure names its seed, and
/// <see cref="One_history"/> plays it again: the same contents and faults, though which of two writers comes first is the scheduler's.</summary>
public sealed class ReplicaHistoryTests
{
    public static TheoryData<int> Batches() => [.. Enumerable.Range(0, 6)];

    [Theory, MemberData(nameof(Batches))]
    public async Task Whatever_was_acknowledged_reads_back_whole_whichever_nodes_are_down(int batch)
    {
        for (var seed = batch * 5; seed < (batch * 5) + 5; seed++)
        {
            try
            {
                await PlayAsync(seed);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"Seed {seed}: {e.Message}", e);
            }
        }
    }

    [Theory, InlineData(0)]
    public Task One_history(int seed) => PlayAsync(seed);

    private static Redundancy Stripe(int data, int parity) => Redundancy.OfStripe(data, parity)!.Value;

    private sealed record Stored(Manifest Manifest, byte[] Content);

    private static async Task PlayAsync(int seed)
    {
        var random = new Random(seed);
        var (nodes, quorum, redundancy) = random.Next(5) switch { 0 => (5, 3, default), 1 => (2, 2, default), 2 => (5, 4, Stripe(3, 2)), 3 => (6, 5, Stripe(4, 2)), _ => (3, 2, Redundancy.Default) };
        await using var cluster = new ReplicaCluster(nodes, quorum, alone: true, options: new() { LagPatience = TimeSpan.FromMilliseconds(5), HedgeFloor = TimeSpan.FromMilliseconds(5), StripedBytesMin = 0 });
        var stored = new ConcurrentDictionary<BlobId, Stored>();
        var down = new HashSet<int>();
        for (var step = 0; step < 14; step++)
        {
            switch (random.Next(9))
            {
                case 0 when down.Count < nodes - quorum:
                    var victim = Enumerable.Range(0, nodes).Where(i => !down.Contains(i)).ElementAt(random.Next(nodes - down.Count));
                    down.Add(victim);
                    await cluster.Nodes[victim].StopAsync();
                    break;
                case 1 when down.Count > 0:
                    await RaiseAsync(cluster, down, down.First());
                    break;
                case 2 when down.Count == 0:
                    // One at a time may lose power: what the quorum has, it has durably.
                    var unlucky = random.Next(nodes);
                    await cluster.Front.SettledAsync();
                    await cluster.Nodes[unlucky].LosePowerAsync();
                    cluster.Nodes[unlucky].Start();
                    break;
                case 3 when !stored.IsEmpty:
                    var gone = stored.Keys.ElementAt(random.Next(stored.Count));
                    stored.TryRemove(gone, out _);
                    await cluster.Front.DeleteAsync(gone, CancellationToken.None);
                    break;
                case 4 when down.Count == 0:
                    await RepairAsync(cluster);
                    await DamageOneAsync(cluster, random, stored.Values);
                    break;
                case 5 when down.Count == 0 && quorum < nodes:
                    var broken = random.Next(nodes);
                    cluster.Wires[broken].ResetAfter(random.Next(1, 400_000));
                    await PutSomeAsync(cluster, random, redundancy, stored);
                    cluster.Wires[broken].ResetAfter(long.MaxValue / 2);
                    break;
                default:
                    await PutSomeAsync(cluster, random, redundancy, stored);
                    break;
            }
            if (random.Next(3) == 0) await CheckAsync(cluster, stored.Values);
        }
        foreach (var node in down.ToList()) await RaiseAsync(cluster, down, node);
        await CheckAsync(cluster, stored.Values);
        await RepairAsync(cluster);
        // All are as they should be: any one is enough now, or any as many as there are data shards.
        for (var survivor = 0; survivor < nodes; survivor++)
        {
            cluster.Placement.Order = [.. Enumerable.Range(survivor, redundancy.IsStriped ? redundancy.Data : 1).Select(i => cluster.Stores[i % nodes])];
            await CheckAsync(cluster, stored.Values);
            Assert.Equal(0, cluster.Nodes[survivor].Packs.GetStatistics().WriteMemoryBytes);
        }
    }

    private static async Task RaiseAsync(ReplicaCluster cluster, HashSet<int> down, int node)
    {
        cluster.Nodes[node].Start();
        down.Remove(node);
        await cluster.Stores[node].PingAsync(CancellationToken.None);
    }

    private static async Task PutSomeAsync(ReplicaCluster cluster, Random random, Redundancy redundancy, ConcurrentDictionary<BlobId, Stored> stored)
    {
        var puts = Enumerable.Range(0, random.Next(1, 4)).Select(_ => (Seed: random.Next(), Size: random.Next(4) == 0 ? random.Next(1, 500_000) : random.Next(1, 20_000), Place: random.Next(1024))).ToList();
        await Task.WhenAll(puts.Select(put => Task.Run(async () =>
        {
            var content = BlobStoreSteps.Bytes(put.Seed, put.Size);
            try
            {
                var manifest = await cluster.Front.PutAsync(content, new() { Owner = new(new(put.Place), "key"), Redundancy = redundancy }, pieces: put.Seed);
                stored[manifest.Parts[0].Blob] = new(manifest, content);
            }
            catch (StorageException e)
            {
                Assert.Equal(StorageError.Unavailable, e.Error);
            }
        })));
    }

    private static async Task DamageOneAsync(ReplicaCluster cluster, Random random, ICollection<Stored> stored)
    {
        var node = cluster.Nodes[random.Next(cluster.Nodes.Count)];
        if (node.Disk.Packs.Count == 0) return;
        node.Disk.FlipBit(node.Disk.Packs[random.Next(node.Disk.Packs.Count)], 8192 + random.Next(200_000));
        await CheckAsync(cluster, stored);
        await node.Packs.ScrubAsync(default, new() { ReadMiBPerSecondMax = 4096 }, null, CancellationToken.None);
        foreach (var damaged in node.Packs.Damaged) await cluster.Queue.EnqueueAsync(new(damaged.Blob.Whole, node.Id, RepairReason.Damaged), CancellationToken.None);
        await RepairAsync(cluster);
        var again = await node.Packs.ScrubAsync(default, new() { ReadMiBPerSecondMax = 4096 }, null, CancellationToken.None);
        Assert.Equal(0, again.Damaged);
    }

    private static async Task RepairAsync(ReplicaCluster cluster)
    {
        var reports = await cluster.RepairAllAsync();
        Assert.True(cluster.Queue.Entries.Count == 0, string.Join(" ", reports.Select(static report => report.Why)));
    }

    private static async Task CheckAsync(ReplicaCluster cluster, IEnumerable<Stored> stored)
    {
        foreach (var (manifest, content) in stored)
        {
            var read = await cluster.Front.GetAsync(manifest);
            Assert.True(content.AsSpan().SequenceEqual(read), $"Blob {manifest.Parts[0].Blob} reads back otherwise.");
        }
    }
}
