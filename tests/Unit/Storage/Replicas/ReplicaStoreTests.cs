using System.IO.Pipelines;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Replicas;
using DarkStorage.TestKit;
using DarkStorage.Unit.Storage.Peers;
using Xunit;

namespace DarkStorage.Unit.Storage.Replicas;

/// <summary>Blobs on several nodes, over real sockets and TLS: what a write needs, where a read goes, what is repaired.</summary>
public sealed partial class ReplicaStoreTests
{
    private static BlobWriteOptions Write(int place = 5) => new() { Owner = new(new(place), "key") };

    [Theory, InlineData(false, 5_000), InlineData(false, 700_000), InlineData(true, 5_000), InlineData(true, 700_000)]
    public async Task A_blob_is_on_every_replica_and_any_one_of_them_is_enough_to_read_it(bool alone, int size)
    {
        await using var cluster = new ReplicaCluster(alone: alone);
        var content = BlobStoreSteps.Bytes(1, size);
        var manifest = await cluster.Front.PutAsync(content, Write(), pieces: 1);
        await cluster.Front.SettledAsync();
        Assert.Equal(5, manifest.Parts[0].Blob.Place);
        Assert.Empty(cluster.Queue.Entries);
        foreach (var survivor in cluster.Stores)
        {
            cluster.Placement.Order = [survivor];
            Assert.Equal(content, await cluster.Front.GetAsync(manifest));
            Assert.Equal(content[4321..4999], await cluster.Front.GetAsync(manifest, new(4321, 4998)));
        }
    }

    [Theory, InlineData(0), InlineData(1), InlineData(715), InlineData(ushort.MaxValue)]
    public void The_place_is_in_the_id_beside_the_time_and_ids_differ(ushort place)
    {
        var before = DateTimeOffset.UtcNow;
        var ids = Enumerable.Range(0, 1000).Select(_ => BlobId.New(TimeProvider.System, place, Redundancy.Default)).ToList();
        Assert.All(ids, id => Assert.Equal(place, id.Place));
        Assert.All(ids, id => Assert.InRange(id.Minted, before.AddMilliseconds(-1), DateTimeOffset.UtcNow));
        Assert.Equal(1000, ids.Distinct().Count());
    }

    [Fact]
    public async Task A_write_that_was_not_kept_is_freed_on_every_replica_and_so_is_a_blob_that_is_deleted()
    {
        await using var cluster = new ReplicaCluster();
        var manifest = await cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, 300_000), Write());
        await using (var write = cluster.Front.BeginWrite(Write()))
        {
            await write.CopyFromAsync(BlobStoreSteps.Reader(BlobStoreSteps.Bytes(2, 300_000)), CancellationToken.None);
        }
        await cluster.Front.SettledAsync();
        var blob = manifest.Parts[0].Blob;
        Assert.All(cluster.Nodes, node => Assert.Equal(1, node.Packs.GetStatistics().Blobs));
        foreach (var store in cluster.Stores) Assert.NotEmpty(await store.ListChunksAsync(blob, 0, 10, CancellationToken.None));
        await cluster.Front.DeleteAsync(blob, CancellationToken.None);
        Assert.All(cluster.Nodes, node => Assert.Equal(0, node.Packs.GetStatistics().Blobs));
    }

    [Theory, InlineData(5_000), InlineData(900_000)]
    public async Task A_replica_that_is_down_does_not_keep_a_write_from_its_quorum_and_gets_the_blob_later(int size)
    {
        await using var cluster = new ReplicaCluster();
        await cluster.Nodes[2].StopAsync();
        var content = BlobStoreSteps.Bytes(1, size);
        var manifest = await cluster.Front.PutAsync(content, Write());
        Assert.Equal([new RepairEntry(manifest.Parts[0].Blob, cluster.Nodes[2].Id, RepairReason.Missed)], (await Settled(cluster)).Entries);
        Assert.Equal(RepairOutcome.Incomplete, (await cluster.RepairAllAsync())[0].Outcome);
        cluster.Nodes[2].Start();
        var report = Assert.Single(await cluster.RepairAllAsync());
        Assert.Equal((RepairOutcome.Done, (long)size), (report.Outcome, report.Bytes));
        Assert.Empty(cluster.Queue.Entries);
        cluster.Placement.Order = [cluster.Stores[2]];
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
    }

    [Fact]
    public async Task Without_a_quorum_a_write_is_unavailable_and_leaves_nothing_behind()
    {
        await using var cluster = new ReplicaCluster();
        await cluster.Nodes[1].StopAsync();
        await cluster.Nodes[2].StopAsync();
        Assert.Equal(StorageError.Unavailable, await ErrorOf(() => cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, 500_000), Write())));
        await cluster.Front.SettledAsync();
        Assert.Equal(0, cluster.Nodes[0].Packs.GetStatistics().Chunks);
        Assert.Equal(0, cluster.Nodes[0].Packs.GetStatistics().WriteMemoryBytes);
        Assert.Empty(cluster.Queue.Entries);
    }

    [Fact]
    public async Task A_full_drive_is_one_replica_less_and_full_drives_everywhere_are_no_room()
    {
        await using var cluster = new ReplicaCluster();
        cluster.Nodes[1].Disk.Capacity = 1;
        var content = BlobStoreSteps.Bytes(1, 500_000);
        var manifest = await cluster.Front.PutAsync(content, Write());
        await cluster.Front.SettledAsync();
        Assert.Equal(cluster.Nodes[1].Id, Assert.Single(cluster.Queue.Entries).Store);
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
        foreach (var node in cluster.Nodes) node.Disk.Capacity = 1;
        await using var full = new ReplicaCluster();
        foreach (var node in full.Nodes) node.Disk.Capacity = 1;
        Assert.Equal(StorageError.InsufficientStorage, await ErrorOf(() => full.Front.PutAsync(content, Write())));
    }

    [Theory, InlineData(50_000), InlineData(200_000), InlineData(1_000_000)]
    public async Task A_peer_that_dies_amid_a_chunk_is_left_out_and_repaired_and_no_half_of_a_chunk_is_seen(int after)
    {
        await using var cluster = new ReplicaCluster();
        cluster.Wires[1].ResetAfter(after);
        var content = BlobStoreSteps.Bytes(1, 1_500_000);
        var manifest = await cluster.Front.PutAsync(content, Write(), pieces: 3);
        await cluster.Front.SettledAsync();
        Assert.Equal(cluster.Nodes[1].Id, Assert.Single(cluster.Queue.Entries).Store);
        Assert.True(cluster.Nodes[1].Packs.GetStatistics().Chunks < cluster.Nodes[0].Packs.GetStatistics().Chunks);
        var report = Assert.Single(await cluster.RepairAllAsync());
        Assert.Equal(RepairOutcome.Done, report.Outcome);
        Assert.Equal(cluster.Nodes[0].Packs.GetStatistics().Chunks, cluster.Nodes[1].Packs.GetStatistics().Chunks);
        cluster.Placement.Order = [cluster.Stores[1]];
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
    }

    [Fact]
    public async Task A_replica_that_hangs_holds_up_no_write_and_no_more_memory_than_it_may()
    {
        await using var cluster = new ReplicaCluster(options: new() { LagBytesMax = 1 << 20, LagPatience = TimeSpan.FromMilliseconds(10) });
        var content = BlobStoreSteps.Bytes(1, 6_000_000);
        await cluster.Front.PutAsync(BlobStoreSteps.Bytes(2, 5000), Write());
        await cluster.Front.SettledAsync();
        cluster.Wires[2].IsHeld = true;
        var manifest = await cluster.Front.PutAsync(content, Write());
        Assert.True(cluster.Nodes[0].Packs.GetStatistics().WriteMemoryPeakBytes <= 8 << 20);
        cluster.Wires[2].IsHeld = false;
        cluster.Wires[2].Reset();
        await cluster.Front.SettledAsync();
        Assert.Equal(0, cluster.Nodes[0].Packs.GetStatistics().WriteMemoryBytes);
        Assert.Equal(new RepairEntry(manifest.Parts[0].Blob, cluster.Nodes[2].Id, RepairReason.Missed), Assert.Single(cluster.Queue.Entries));
        Assert.Equal(RepairOutcome.Done, Assert.Single(await cluster.RepairAllAsync()).Outcome);
        cluster.Placement.Order = [cluster.Stores[2]];
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
    }

    [Fact]
    public async Task A_small_write_is_acknowledged_though_the_answers_of_a_replica_are_lost_and_that_is_noted_when_its_time_is_up()
    {
        await using var cluster = new ReplicaCluster(limits: new() { StepTimeout = TimeSpan.FromSeconds(3) });
        await cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, 5000), Write());
        await cluster.Front.SettledAsync();
        cluster.Wires[1].LosesAnswers = true;
        var manifest = await cluster.Front.PutAsync(BlobStoreSteps.Bytes(2, 5000), Write());
        await cluster.Front.SettledAsync();
        Assert.Equal([new RepairEntry(manifest.Parts[0].Blob, cluster.Nodes[1].Id, RepairReason.Missed)], cluster.Queue.Entries);
        cluster.Wires[1].LosesAnswers = false;
        var report = Assert.Single(await cluster.RepairAllAsync());     // it did get the chunk: there is nothing to copy
        Assert.Equal((RepairOutcome.Done, 0), (report.Outcome, report.Chunks));
    }

    [Theory, InlineData(5_000), InlineData(700_000)]
    public async Task A_damaged_chunk_is_read_elsewhere_and_mended(int size)
    {
        await using var cluster = new ReplicaCluster();
        var content = BlobStoreSteps.Bytes(1, size);
        var manifest = await cluster.Front.PutAsync(content, Write());
        await cluster.Front.SettledAsync();
        cluster.Nodes[0].Disk.FlipBit(cluster.Nodes[0].Disk.Packs[^1], 8192 + 4000);
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
        Assert.Single(cluster.Nodes[0].Packs.Damaged);
        var report = Assert.Single(await cluster.RepairAllAsync());
        Assert.Equal((RepairOutcome.Done, 1), (report.Outcome, report.Chunks));
        Assert.Empty(cluster.Nodes[0].Packs.Damaged);
        cluster.Placement.Order = [cluster.Stores[0]];
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
    }

    [Fact]
    public async Task Damage_on_a_peer_is_read_elsewhere_and_mended_too()
    {
        await using var cluster = new ReplicaCluster(alone: true);
        var content = BlobStoreSteps.Bytes(1, 700_000);
        var manifest = await cluster.Front.PutAsync(content, Write());
        await cluster.Front.SettledAsync();
        cluster.Nodes[0].Disk.FlipBit(cluster.Nodes[0].Disk.Packs[^1], 8192 + 4000);
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
        Assert.Equal(RepairReason.Damaged, Assert.Single((await Settled(cluster)).Entries).Reason);
        Assert.Equal((RepairOutcome.Done, 1), (await cluster.RepairAllAsync()) is [var report] ? (report.Outcome, report.Chunks) : default);
        Assert.Empty(cluster.Nodes[0].Packs.Damaged);
    }

    [Fact]
    public async Task What_scrub_finds_is_mended_from_another_replica()
    {
        await using var cluster = new ReplicaCluster();
        var content = BlobStoreSteps.Bytes(1, 700_000);
        var manifest = await cluster.Front.PutAsync(content, Write());
        await cluster.Front.SettledAsync();
        cluster.Nodes[0].Disk.FlipBit(cluster.Nodes[0].Disk.Packs[^1], 8192 + 4000);
        Assert.Equal(1, (await cluster.Nodes[0].Packs.ScrubAsync(default, new() { ReadMiBPerSecondMax = 4096 }, null, CancellationToken.None)).Damaged);
        Assert.Equal(RepairOutcome.Done, Assert.Single(await cluster.RepairAllAsync()).Outcome);
        Assert.Equal(0, (await cluster.Nodes[0].Packs.ScrubAsync(default, new() { ReadMiBPerSecondMax = 4096 }, null, CancellationToken.None)).Damaged);
        cluster.Placement.Order = [cluster.Stores[0]];
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
    }

    [Fact]
    public async Task A_blob_that_a_replica_should_hold_and_lacks_is_noted_and_one_that_a_former_place_lacks_is_not()
    {
        await using var cluster = new ReplicaCluster();
        var manifest = await cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, 300_000), Write());
        await cluster.Front.SettledAsync();
        await cluster.Nodes[0].Packs.DeleteAsync(manifest.Parts[0].Blob, CancellationToken.None);
        cluster.Placement.Left.Add(cluster.Nodes[0].Id);
        await cluster.Front.GetAsync(manifest);
        Assert.Empty((await Settled(cluster)).Entries);
        cluster.Placement.Left.Clear();
        await cluster.Front.GetAsync(manifest);
        Assert.Equal([new RepairEntry(manifest.Parts[0].Blob, cluster.Nodes[0].Id, RepairReason.Missing)], (await Settled(cluster)).Entries);
        Assert.Equal(RepairOutcome.Done, Assert.Single(await cluster.RepairAllAsync()).Outcome);
    }

    [Fact]
    public async Task A_first_replica_that_hangs_is_overtaken_by_the_second_and_whole_bytes_come()
    {
        // With so long a time for each step nothing but the second replica can end the read.
        await using var cluster = new ReplicaCluster(alone: true, options: new() { HedgeFloor = TimeSpan.FromMilliseconds(5) }, limits: new() { StepTimeout = TimeSpan.FromMinutes(10) });
        var content = BlobStoreSteps.Bytes(1, 2_000_000);
        var manifest = await cluster.Front.PutAsync(content, Write());
        await cluster.Front.SettledAsync();
        cluster.Wires[0].IsHeld = true;
        Assert.Equal(content, await cluster.Front.GetAsync(manifest).WaitAsync(TimeSpan.FromMinutes(2)));
        cluster.Wires[0].IsHeld = false;
        Assert.Empty((await Settled(cluster)).Entries);
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
    }

    [Fact]
    public async Task A_connection_that_breaks_or_garbles_amid_a_read_is_gone_on_from_elsewhere()
    {
        await using var cluster = new ReplicaCluster(alone: true, blobs: new() { ChunkBytesMax = 4 << 20, PackBytes = 64 << 20, ReservedBytes = 0, WriteMemoryBytesMax = 32 << 20 });
        var content = BlobStoreSteps.Bytes(1, 9_000_000);
        var manifest = await cluster.Front.PutAsync(content, Write());
        await cluster.Front.SettledAsync();
        foreach (var harm in (Action[])[() => cluster.Wires[0].Reset(), () => cluster.Wires[0].FlipAnswers(1)])
        {
            await using var read = await cluster.Front.OpenAsync(manifest, ByteRange.All(manifest.Length), null, CancellationToken.None);
            harm();
            using var into = new MemoryStream();
            var writer = PipeWriter.Create(into, new(leaveOpen: true));
            await read.CopyToAsync(writer, CancellationToken.None);
            await writer.CompleteAsync();
            Assert.True(content.AsSpan().SequenceEqual(into.GetBuffer().AsSpan(0, (int)into.Length)));
        }
        Assert.Empty((await Settled(cluster)).Entries);     // nothing is wrong with what is stored
    }

    [Fact]
    public async Task Only_when_every_replica_was_asked_is_content_called_damaged()
    {
        await using var cluster = new ReplicaCluster();
        var manifest = await cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, 5_000), Write());
        await cluster.Front.SettledAsync();
        foreach (var node in cluster.Nodes) node.Disk.FlipBit(node.Disk.Packs[^1], 8192 + 4000);
        Assert.Equal(StorageError.DataDamaged, await ErrorOf(() => cluster.Front.GetAsync(manifest)));
        await cluster.Nodes[1].StopAsync();
        Assert.Equal(StorageError.Unavailable, await ErrorOf(() => cluster.Front.GetAsync(manifest)));
        await Settled(cluster);
        Assert.All(await cluster.RepairAllAsync(), report => Assert.Equal(RepairOutcome.Incomplete, report.Outcome));
    }

    [Fact]
    public async Task Sealed_content_is_opened_from_whichever_replica_is_whole()
    {
        await using var cluster = new ReplicaCluster();
        using var key = DataKey.Create();
        var content = BlobStoreSteps.Bytes(1, 1_000_000);
        var manifest = await cluster.Front.PutAsync(content, Write() with { Key = key }, pieces: 4);
        await cluster.Front.SettledAsync();
        Assert.Equal(content, await cluster.Front.GetAsync(manifest, key: key));
        cluster.Nodes[0].Disk.FlipBit(cluster.Nodes[0].Disk.Packs[^1], 8192 + 70_000);
        Assert.Equal(content, await cluster.Front.GetAsync(manifest, key: key));
        Assert.Equal(content[300_000..600_000], await cluster.Front.GetAsync(manifest, new(300_000, 599_999), key));
        using var wrong = DataKey.Create();
        Assert.Equal(StorageError.DataDamaged, await ErrorOf(() => cluster.Front.GetAsync(manifest, key: wrong)));
    }

    [Fact]
    public async Task A_repair_is_not_over_while_a_replica_that_may_have_more_could_not_be_asked()
    {
        await using var cluster = new ReplicaCluster();
        await cluster.Nodes[2].StopAsync();
        await cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, 300_000), Write());
        cluster.Nodes[2].Start();
        await cluster.Nodes[1].StopAsync();
        var report = Assert.Single(await cluster.RepairAllAsync());
        Assert.Equal((RepairOutcome.Incomplete, 300_000), (report.Outcome, report.Bytes));
        cluster.Nodes[1].Start();
        report = Assert.Single(await cluster.RepairAllAsync());
        Assert.Equal((RepairOutcome.Done, 0), (report.Outcome, report.Bytes));
    }

    [Fact]
    public async Task A_repair_goes_on_where_it_was_cut_short()
    {
        await using var cluster = new ReplicaCluster();
        await cluster.Nodes[2].StopAsync();
        var manifest = await cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, 1_000_000), Write());
        cluster.Nodes[2].Start();
        using var cancel = new CancellationTokenSource();
        var copied = 0;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cluster.Repairs.RepairAsync(cluster.Queue.Entries[0], (_, _) =>
        {
            if (++copied == 3) cancel.Cancel();
            return ValueTask.CompletedTask;
        }, cancel.Token));
        var all = manifest.Parts[0].Chunks.Sum(static run => run.Count);
        Assert.Equal((RepairOutcome.Done, all - 3), (await cluster.RepairAllAsync()) is [var report] ? (report.Outcome, report.Chunks) : default);
    }

    [Fact]
    public async Task Many_writes_and_reads_at_once_keep_to_the_memory_that_all_may_have()
    {
        await using var cluster = new ReplicaCluster();
        var manifests = await Task.WhenAll(Enumerable.Range(0, 24).Select(i => Task.Run(() => cluster.Front.PutAsync(BlobStoreSteps.Bytes(i, 1 + (i * 51_111)), Write(i)))));
        await cluster.Front.SettledAsync();
        cluster.Placement.Order = [cluster.Stores[1], cluster.Stores[2]];
        await Task.WhenAll(manifests.Select((manifest, i) => Task.Run(async () => Assert.Equal(BlobStoreSteps.Bytes(i, 1 + (i * 51_111)), await cluster.Front.GetAsync(manifest)))));
        foreach (var node in cluster.Nodes)
        {
            Assert.Equal(0, node.Packs.GetStatistics().WriteMemoryBytes);
            Assert.Equal(0, (await node.Packs.ScrubAsync(default, new() { ReadMiBPerSecondMax = 4096 }, null, CancellationToken.None)).Damaged);
        }
        Assert.Empty(cluster.Queue.Entries);
    }

    [Fact]
    public async Task A_write_that_the_layout_could_not_wait_for_is_not_acknowledged_and_leaves_nothing_behind()
    {
        await using var cluster = new ReplicaCluster();
        var leases = new List<GivenUp>();
        cluster.Placement.Lease = places =>
        {
            leases.Add(new(places));
            return leases[^1];
        };
        Assert.Equal(StorageError.Unavailable, await ErrorOf(() => cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, 300_000), Write())));
        await cluster.Front.SettledAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal(0, node.Packs.GetStatistics().Blobs));
        Assert.True(Assert.Single(leases).IsDisposed);
        Assert.Empty(cluster.Queue.Entries);
    }

    [Fact]
    public async Task A_lease_is_held_until_the_blob_is_to_be_seen_in_listings()
    {
        await using var cluster = new ReplicaCluster();
        Held? lease = null;
        cluster.Placement.Lease = places => lease = new(places, () => cluster.Nodes.Count(node => node.Packs.ListBlobs(default, DateTimeOffset.MaxValue, 10).Count == 1));
        await using (var write = cluster.Front.BeginWrite(Write()))
        {
            await write.CopyFromAsync(BlobStoreSteps.Reader(BlobStoreSteps.Bytes(1, 300_000)), CancellationToken.None);
            Assert.Null(lease!.Listed);
            write.Keep();
        }
        await cluster.Front.SettledAsync();
        Assert.Equal(1, lease.Listed);      // of this node at least, whose own drive is asked without a wire; the peers follow when they have read that the write ended
    }

    [Fact]
    public async Task What_is_nowhere_is_no_success_of_a_repair_and_a_store_that_should_not_have_it_can_bring_it()
    {
        await using var cluster = new ReplicaCluster(4, alone: true);
        cluster.Placement.Left.Add(cluster.Nodes[3].Id);
        var content = BlobStoreSteps.Bytes(1, 300_000);
        var manifest = await cluster.Front.PutAsync(content, Write());
        var blob = manifest.Parts[0].Blob;
        await cluster.Front.SettledAsync();
        // A node that was taken out has the only copy.
        cluster.Placement.Left.Clear();
        Assert.Equal(RepairOutcome.Done, (await cluster.Repairs.RepairAsync(new(blob, cluster.Nodes[3].Id, RepairReason.Missing), null, default)).Outcome);
        cluster.Placement.Order = [.. cluster.Stores.Take(3)];
        foreach (var store in cluster.Stores.Take(3)) await store.DeleteAsync(blob, default);
        Assert.Equal((RepairOutcome.Hopeless, 0, true), await cluster.Repairs.RepairAsync(new(blob, cluster.Nodes[0].Id, RepairReason.Missing), null, default) is var none ? (none.Outcome, none.Chunks, none.IsNowhere) : default);
        await cluster.Nodes[1].StopAsync();
        Assert.Equal(RepairOutcome.Incomplete, (await cluster.Repairs.RepairAsync(new(blob, cluster.Nodes[0].Id, RepairReason.Missing), null, default)).Outcome);
        cluster.Nodes[1].Start();
        var lacking = new List<Guid>();
        Assert.False(await cluster.Repairs.IsElsewhereAsync(cluster.Stores[3], blob, store =>
        {
            lacking.Add(store.Id);
            return Task.CompletedTask;
        }, default));
        Assert.Equal(cluster.Nodes.Take(3).Select(n => n.Id), lacking);
        Assert.Equal(RepairOutcome.Done, (await cluster.Repairs.RepairAsync(new(blob, cluster.Nodes[0].Id, RepairReason.Missing), null, default, also: cluster.Stores[3])).Outcome);
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
    }

    [Fact]
    public async Task What_the_repair_queue_could_not_take_is_offered_again_until_it_does()
    {
        await using var cluster = new ReplicaCluster();
        var manifest = await cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, 5_000), Write());
        await cluster.Front.SettledAsync();
        cluster.Queue.Refusals = 2;
        cluster.Nodes[0].Disk.FlipBit(cluster.Nodes[0].Disk.Packs[^1], 8192 + 4000);
        await cluster.Front.GetAsync(manifest);
        Assert.Equal(cluster.Nodes[0].Id, Assert.Single((await Settled(cluster)).Entries).Store);
        Assert.Equal(0, cluster.Queue.Refusals);
    }

    [Fact]
    public async Task A_blob_that_nobody_can_be_asked_to_free_keeps_nobody_from_freeing_others()
    {
        await using var cluster = new ReplicaCluster(alone: true);
        var manifest = await cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, 5_000), Write());
        await cluster.Front.SettledAsync();
        foreach (var node in cluster.Nodes) await node.StopAsync();
        await cluster.Front.DeleteAsync(manifest.Parts[0].Blob, default);
        Assert.All(cluster.Nodes, node => Assert.Equal(1, node.Packs.GetStatistics().Blobs));
    }

    [Theory, InlineData(1), InlineData(2)]
    public async Task A_read_that_outlives_a_movement_goes_on_where_the_bytes_are_now(int parts)
    {
        await using var cluster = new ReplicaCluster(4, alone: true, blobs: PeerNode.Options with { ReadAheadBytes = 64 << 10 });
        cluster.Placement.Left.Add(cluster.Nodes[3].Id);
        cluster.Placement.Order = [.. cluster.Stores.Take(2)];
        var content = BlobStoreSteps.Bytes(1, 700_000 * parts);
        var blobs = new List<BlobContent>();
        foreach (var part in content.Chunk(700_000)) blobs.Add(await PutPartAsync(cluster, part));
        var manifest = BlobStoreSteps.ManifestOf([.. blobs]);
        await cluster.Front.SettledAsync();
        await using var read = await cluster.Front.OpenAsync(manifest, ByteRange.All(manifest.Length), null, CancellationToken.None);
        // The partition moves to the last node while the first part is on its way to a client.
        var last = blobs[^1].Blob;
        cluster.Placement.Left.Clear();
        cluster.Placement.Order = cluster.Stores;
        Assert.Equal(RepairOutcome.Done, (await cluster.Repairs.RepairAsync(new(last, cluster.Nodes[3].Id, RepairReason.Missed), null, default)).Outcome);
        cluster.Placement.Order = [cluster.Stores[3]];
        foreach (var store in cluster.Stores.Take(3)) await store.DeleteAsync(last, default);
        if (parts == 1) cluster.Wires[0].Reset();       // else what is freed is there for its reader still
        using var into = new MemoryStream();
        var writer = PipeWriter.Create(into, new(leaveOpen: true));
        await read.CopyToAsync(writer, CancellationToken.None);
        await writer.CompleteAsync();
        Assert.Equal(content, into.ToArray());
    }

    [Fact]
    public async Task A_replica_that_could_not_be_reached_for_one_chunk_is_asked_for_a_later_one()
    {
        await using var cluster = new ReplicaCluster(2, alone: true, blobs: PeerNode.Options with { ReadAheadBytes = 64 << 10 });
        var content = BlobStoreSteps.Bytes(1, 3_000_000);
        var manifest = await cluster.Front.PutAsync(content, Write());
        await cluster.Front.SettledAsync();
        await using var read = await cluster.Front.OpenAsync(manifest, ByteRange.All(manifest.Length), null, CancellationToken.None);
        using var into = new Watched(length =>
        {
            cluster.Wires[0].IsBroken = length is > 500_000 and < 1_500_000;
            cluster.Wires[1].IsBroken = length > 1_500_000;
        });
        var writer = PipeWriter.Create(into, new(leaveOpen: true));
        await read.CopyToAsync(writer, CancellationToken.None);
        await writer.CompleteAsync();
        Assert.Equal(content, into.ToArray());
    }

    /// <summary>Says how much it has, after each write.</summary>
    private sealed class Watched(Action<long> written) : MemoryStream
    {
        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await base.WriteAsync(buffer, cancellationToken);
            written(Length);
        }
    }

    private static async Task<BlobContent> PutPartAsync(ReplicaCluster cluster, byte[] content)
    {
        await using var write = cluster.Front.BeginWrite(Write());
        var stored = await write.CopyFromAsync(BlobStoreSteps.Reader(content), CancellationToken.None);
        write.Keep();
        return stored;
    }

    private sealed class GivenUp(WritePlaces places) : WriteLease(places)
    {
        public bool IsDisposed { get; private set; }

        public override bool TryComplete() => false;

        protected override void Dispose(bool disposing)
        {
            IsDisposed = true;
            base.Dispose(disposing);
        }
    }

    /// <summary>Looks at what listings say when it ends.</summary>
    private sealed class Held(WritePlaces places, Func<int> listed) : WriteLease(places)
    {
        public int? Listed { get; private set; }

        protected override void Dispose(bool disposing)
        {
            Listed = Math.Min(1, listed());
            base.Dispose(disposing);
        }
    }

    private static async Task<MemoryQueue> Settled(ReplicaCluster cluster)
    {
        await cluster.Front.SettledAsync();
        return cluster.Queue;
    }

    private static async Task<StorageError> ErrorOf(Func<Task> work) => (await Assert.ThrowsAsync<StorageException>(work)).Error;
}
