using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Replicas;
using DarkStorage.TestKit;
using Xunit;

namespace DarkStorage.Unit.Storage.Replicas;

/// <summary>Drives that hang.</summary>
public sealed partial class ReplicaStoreTests
{
    [Fact]
    public async Task A_drive_of_this_node_that_hangs_keeps_no_small_write_from_its_quorum()
    {
        await using var cluster = new ReplicaCluster();
        await cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, 5000), Write());
        await cluster.Front.SettledAsync();
        using var release = new ManualResetEventSlim();
        cluster.Nodes[0].Disk.BeforeSync = release.Wait;
        try
        {
            var content = BlobStoreSteps.Bytes(2, 5000);
            var manifest = await Task.Run(() => cluster.Front.PutAsync(content, Write())).WaitAsync(Eventually.HangsAfter);
            cluster.Placement.Order = [cluster.Stores[1]];
            Assert.Equal(content, await cluster.Front.GetAsync(manifest));
        }
        finally
        {
            cluster.Nodes[0].Disk.BeforeSync = null;
            release.Set();
        }
    }

    [Fact]
    public async Task A_drive_of_this_node_that_hangs_is_given_up_noted_and_holds_neither_memory_nor_layouts()
    {
        await using var cluster = new ReplicaCluster(options: new() { LagPatience = TimeSpan.FromMinutes(1), DriveTimeout = TimeSpan.FromMilliseconds(20) });
        await cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, 5000), Write());
        await cluster.Front.SettledAsync();
        var leases = new List<Counted>();
        cluster.Placement.Lease = places =>
        {
            leases.Add(new(places));
            return leases[^1];
        };
        using var release = new ManualResetEventSlim();
        var hangs = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        cluster.Nodes[0].Disk.BeforeSync = () =>
        {
            hangs.TrySetResult();
            release.Wait();
        };
        try
        {
            var blobs = new List<BlobId>();
            for (var i = 0; i < 40; i++)
            {
                blobs.Add((await Task.Run(() => cluster.Front.PutAsync(BlobStoreSteps.Bytes(i, 5000), Write())).WaitAsync(Eventually.HangsAfter)).Parts[0].Blob);
                await hangs.Task.WaitAsync(Eventually.HangsAfter); // with the first, before it could take the next ones along
            }
            await Eventually.HoldsAsync("what the drive lacks is in the queue of repairs", () => blobs.All(blob => cluster.Queue.Entries.Contains(new(blob, cluster.Nodes[0].Id, RepairReason.Missed))));
            await Eventually.HoldsAsync("no write holds the layout", () => leases.All(static lease => lease.IsDisposed));
            // One chunk is with the drive, and that memory nobody can take from it.
            await Eventually.HoldsAsync("the memory is given back", () => cluster.Nodes[0].Packs.GetStatistics().WriteMemoryBytes <= ChunkMemory.Small);
            Assert.True(cluster.Nodes[0].Packs.IsBeingWritten(blobs[0]));
        }
        finally
        {
            cluster.Nodes[0].Disk.BeforeSync = null;
            release.Set();
        }
        Assert.All(await cluster.RepairAllAsync(), static report => Assert.Equal(RepairOutcome.Done, report.Outcome));
        Assert.Equal(41, cluster.Nodes[0].Packs.GetStatistics().Blobs);
        Assert.Equal(0, cluster.Nodes[0].Packs.GetStatistics().WriteMemoryBytes);
        Assert.False(cluster.Nodes[0].Packs.IsSuspect);
    }

    [Theory, InlineData(5_000), InlineData(600_000)]
    public async Task A_write_that_needs_a_drive_that_hangs_ends_unavailable(int size)
    {
        await using var cluster = new ReplicaCluster(options: new() { LagPatience = TimeSpan.FromMinutes(1), DriveTimeout = TimeSpan.FromMilliseconds(20) });
        foreach (var node in cluster.Nodes.Skip(1)) await node.StopAsync();
        cluster.Nodes[1].Start();
        using var release = new ManualResetEventSlim();
        cluster.Nodes[0].Disk.BeforeSync = release.Wait;
        try
        {
            Assert.Equal(StorageError.Unavailable, await ErrorOf(() => Task.Run(() => cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, size), Write())).WaitAsync(Eventually.HangsAfter)));
        }
        finally
        {
            cluster.Nodes[0].Disk.BeforeSync = null;
            release.Set();
        }
        await cluster.Front.SettledAsync();
        Assert.All(cluster.Nodes, static node => Assert.Equal(0, node.Packs.GetStatistics().Blobs));
        Assert.Equal(0, cluster.Nodes[0].Packs.GetStatistics().WriteMemoryBytes);
    }

    private sealed class Counted(WritePlaces places) : WriteLease(places)
    {
        public bool IsDisposed { get; private set; }

        protected override void Dispose(bool disposing)
        {
            IsDisposed = true;
            base.Dispose(disposing);
        }
    }
}
