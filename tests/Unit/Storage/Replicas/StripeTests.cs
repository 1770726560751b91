using System.IO.Pipelines;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Replicas;
using DarkStorage.Unit.Storage.Peers;
using Xunit;

namespace DarkStorage.Unit.Storage.Replicas;

/// <summary>Blobs cut into shards, a node for each, over real sockets and TLS.</summary>
public sealed class StripeTests
{
    private static readonly Redundancy FourAndTwo = Redundancy.OfStripe(4, 2)!.Value;

    /// <summary>So that short contents are cut as well.</summary>
    private static readonly ReplicaOptions All = new() { LagPatience = TimeSpan.FromMinutes(1), StripedBytesMin = 0 };

    public static TheoryData<int, int, int> Shapes()
    {
        var shapes = new TheoryData<int, int, int>();
        foreach (var (data, parity) in ((int, int)[])[(2, 1), (3, 2), (4, 2)])
        {
            foreach (var size in (int[])[1, 3, 5_000, 65_536, 100_003, 131_072, 700_001]) shapes.Add(data, parity, size);
        }
        return shapes;
    }

    [Theory, MemberData(nameof(Shapes))]
    public async Task Each_node_has_a_shard_and_any_as_many_as_there_are_data_shards_give_the_content(int data, int parity, int size)
    {
        await using var cluster = new ReplicaCluster(data + parity, alone: true, options: All);
        var content = BlobStoreSteps.Bytes(size, size);
        var manifest = await cluster.Front.PutAsync(content, Write(Redundancy.OfStripe(data, parity)!.Value), pieces: size);
        await cluster.Front.SettledAsync();
        Assert.Empty(cluster.Queue.Entries);
        var blob = manifest.Parts[0].Blob;
        for (var i = 0; i < cluster.Nodes.Count; i++) Assert.Equal(blob.OfShard(i + 1), Assert.Single(cluster.Nodes[i].Packs.ListBlobs(default, DateTimeOffset.MaxValue, 10)));
        // A shard's length is a chunk's through the data shards, rounded up: that is what is saved against copies.
        var stored = (await Task.WhenAll(cluster.Stores.Select((store, i) => store.ListChunksAsync(blob.OfShard(i + 1), 0, 100, default).AsTask()))).SelectMany(static c => c).Sum(static c => (long)c.Length);
        Assert.Equal(manifest.Parts[0].Chunks.Sum(run => (long)run.Count * ((run.Length + data - 1) / data) * (data + parity)), stored);
        var random = new Random(size);
        for (var i = 0; i < 4; i++)
        {
            var away = Enumerable.Range(0, data + parity).OrderBy(_ => random.Next()).Take(parity).ToList();
            foreach (var node in away) cluster.Wires[node].IsBroken = true;
            Assert.True(Same(content, await cluster.Front.GetAsync(manifest)), $"without {string.Join(", ", away)}");
            var (first, last) = (random.Next(size), random.Next(size));
            if (first > last) (first, last) = (last, first);
            Assert.True(Same(content[first..(last + 1)], await cluster.Front.GetAsync(manifest, new(first, last))), $"{first} to {last} without {string.Join(", ", away)}");
            foreach (var node in away)
            {
                cluster.Wires[node].IsBroken = false;
                await cluster.Stores[node].PingAsync(default);
            }
        }
    }

    [Theory, InlineData(0, 3), InlineData(2, 3), InlineData(1, 2), InlineData(0, 1)]
    public async Task Large_chunks_are_read_in_many_stretches_from_whoever_is_left_this_nodes_own_drive_among_them(int gone, int alsoGone)
    {
        await using var cluster = new ReplicaCluster(4, options: All, blobs: new() { PackBytes = 64 << 20, ReservedBytes = 0 });
        foreach (var size in (int[])[100_000, 700_001, 9_000_000])
        {
            var content = BlobStoreSteps.Bytes(size, size);
            var manifest = await cluster.Front.PutAsync(content, Write(Redundancy.OfStripe(2, 2)!.Value));
            await cluster.Front.SettledAsync();
            foreach (var node in (int[])[gone, alsoGone])
            {
                // The drive of the node itself can't be cut off: its shard is taken away.
                if (node == 0) await cluster.Nodes[0].Packs.DeleteAsync(manifest.Parts[0].Blob, default);
                else cluster.Wires[node].IsBroken = true;
            }
            Assert.True(Same(content, await cluster.Front.GetAsync(manifest)), $"{size}");
            foreach (var node in (int[])[gone, alsoGone])
            {
                cluster.Wires[node].IsBroken = false;
                if (node != 0) await cluster.Stores[node].PingAsync(default);
            }
        }
    }

    [Fact]
    public async Task The_parity_shards_are_those_that_the_code_makes_of_the_content()
    {
        await using var cluster = new ReplicaCluster(6, alone: true, options: All);
        var content = BlobStoreSteps.Bytes(1, 100_001);
        var manifest = await cluster.Front.PutAsync(content, Write(FourAndTwo));
        await cluster.Front.SettledAsync();
        var length = (100_001 + 3) / 4;
        var padded = content.Concat(new byte[(4 * length) - content.Length]).ToArray();
        var expected = new Memory<byte>[6];
        for (var i = 0; i < 4; i++) expected[i] = padded.AsMemory(i * length, length);
        for (var i = 4; i < 6; i++) expected[i] = new byte[length];
        DarkStorage.Storage.ErasureCoding.ErasureCode.Create(4, 2).Encode([expected[0], expected[1], expected[2], expected[3]], expected.AsSpan(4));
        for (var i = 0; i < 6; i++)
            Assert.True(Same(expected[i].ToArray(), await Peers.ChunkSteps.ReadChunkAsync(cluster.Stores[i], manifest.Parts[0].Blob.OfShard(i + 1), 0, length)), $"shard {i + 1}");
    }

    [Fact]
    public async Task One_node_less_takes_writes_and_gets_its_shard_later_and_two_less_take_none()
    {
        await using var cluster = new ReplicaCluster(6, alone: true, options: All);
        await cluster.Nodes[1].StopAsync();
        var content = BlobStoreSteps.Bytes(1, 500_000);
        var manifest = await cluster.Front.PutAsync(content, Write(FourAndTwo));
        var blob = manifest.Parts[0].Blob;
        await cluster.Front.SettledAsync();
        Assert.Equal([new RepairEntry(blob, cluster.Nodes[1].Id, RepairReason.Missed)], cluster.Queue.Entries);
        await cluster.Nodes[4].StopAsync();
        Assert.Equal(StorageError.Unavailable, await ErrorOf(() => cluster.Front.PutAsync(content, Write(FourAndTwo))));
        await cluster.Front.SettledAsync();
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
        cluster.Nodes[1].Start();
        cluster.Nodes[4].Start();
        Assert.Equal(RepairOutcome.Done, Assert.Single(await cluster.RepairAllAsync()).Outcome);
        // Right to the byte: the two that were not needed before are needed now.
        foreach (var node in (int[])[0, 2]) await cluster.Nodes[node].StopAsync();
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
        Assert.All(cluster.Nodes, node => Assert.Equal(0, node.Packs.GetStatistics().WriteMemoryBytes));
        Assert.Single(cluster.Nodes[3].Packs.ListBlobs(default, DateTimeOffset.MaxValue, 10));     // of the write that failed nothing is left
    }

    [Fact]
    public async Task Damaged_shards_are_computed_with_never_and_made_again()
    {
        await using var cluster = new ReplicaCluster(6, alone: true, options: All);
        var content = BlobStoreSteps.Bytes(1, 400_000);
        var manifest = await cluster.Front.PutAsync(content, Write(FourAndTwo));
        await cluster.Front.SettledAsync();
        foreach (var node in (int[])[0, 3]) cluster.Nodes[node].Disk.FlipBit(cluster.Nodes[node].Disk.Packs[^1], 8192 + 10_000);
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
        await cluster.Front.SettledAsync();
        Assert.Equal([cluster.Nodes[0].Id, cluster.Nodes[3].Id], cluster.Queue.Entries.Where(e => e.Reason == RepairReason.Damaged).Select(e => e.Store).Order(Comparer<Guid>.Create((a, b) => Place(a) - Place(b))));
        Assert.All(await cluster.RepairAllAsync(), report => Assert.Equal(RepairOutcome.Done, report.Outcome));
        foreach (var node in cluster.Nodes) Assert.Equal(0, (await node.Packs.ScrubAsync(default, new() { ReadMiBPerSecondMax = 4096 }, null, default)).Damaged);
        foreach (var node in (int[])[1, 2]) await cluster.Nodes[node].StopAsync();
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));

        int Place(Guid id) => cluster.Nodes.FindIndex(n => n.Id == id);
    }

    [Fact]
    public async Task Three_damaged_shards_of_a_4_2_stripe_are_damage_and_one_that_is_away_may_still_help()
    {
        await using var cluster = new ReplicaCluster(6, alone: true, options: All);
        var manifest = await cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, 400_000), Write(FourAndTwo));
        await cluster.Front.SettledAsync();
        foreach (var node in (int[])[0, 3, 5]) cluster.Nodes[node].Disk.FlipBit(cluster.Nodes[node].Disk.Packs[^1], 8192 + 10_000);
        Assert.Equal(StorageError.DataDamaged, await ErrorOf(() => cluster.Front.GetAsync(manifest)));
        await cluster.Nodes[1].StopAsync();
        Assert.Equal(StorageError.Unavailable, await ErrorOf(() => cluster.Front.GetAsync(manifest)));
        await cluster.Front.SettledAsync();
        Assert.All(await cluster.RepairAllAsync(), report => Assert.Equal(RepairOutcome.Incomplete, report.Outcome));
        cluster.Nodes[1].Start();
        Assert.All(await cluster.RepairAllAsync(), report => Assert.Equal((RepairOutcome.Hopeless, false), (report.Outcome, report.IsNowhere))); // there are shards, too few
    }

    [Fact]
    public async Task A_node_that_lost_everything_gets_its_shards_again_and_one_that_takes_its_column_over_gets_them_too()
    {
        await using var cluster = new ReplicaCluster(7, alone: true, options: All);
        cluster.Placement.Columns = [.. cluster.Stores.Take(6)];
        var contents = Enumerable.Range(0, 5).Select(i => BlobStoreSteps.Bytes(i, 1 + (i * 90_000))).ToList();
        var manifests = new List<Manifest>();
        foreach (var content in contents) manifests.Add(await cluster.Front.PutAsync(content, Write(FourAndTwo)));
        await cluster.Front.SettledAsync();
        // Node 2's column is node 6's now, and nodes 0 and 1 change places.
        cluster.Placement.FormerColumns = cluster.Placement.Columns;
        cluster.Placement.Columns = [cluster.Stores[1], cluster.Stores[0], cluster.Stores[6], cluster.Stores[3], cluster.Stores[4], cluster.Stores[5]];
        for (var i = 0; i < 5; i++) Assert.Equal(contents[i], await cluster.Front.GetAsync(manifests[i]));
        await cluster.Nodes[2].StopAsync();     // nobody has its shard to copy: it is computed
        foreach (var manifest in manifests)
        {
            foreach (var node in (int[])[0, 1, 6])
            {
                var report = await cluster.Repairs.RepairAsync(new(manifest.Parts[0].Blob, cluster.Nodes[node].Id, RepairReason.Missed), null, default);
                Assert.Equal(RepairOutcome.Incomplete, report.Outcome);     // one could not be asked
                Assert.True(report.Chunks > 0);
            }
        }
        cluster.Placement.FormerColumns = [];
        foreach (var node in (int[])[3, 4]) await cluster.Nodes[node].StopAsync();
        for (var i = 0; i < 5; i++) Assert.Equal(contents[i], await cluster.Front.GetAsync(manifests[i]));
        // What is of another column now is elsewhere, and may go; what is of this one is to stay.
        foreach (var manifest in manifests)
        {
            var blob = manifest.Parts[0].Blob;
            Assert.True(await cluster.Repairs.IsElsewhereAsync(cluster.Stores[0], blob.OfShard(1), Unexpected, default));
            Assert.False(await cluster.Repairs.IsElsewhereAsync(cluster.Stores[0], blob.OfShard(2), Unexpected, default));
            await cluster.Stores[0].DeleteAsync(blob.OfShard(1), default);
        }
        for (var i = 0; i < 5; i++) Assert.Equal(contents[i], await cluster.Front.GetAsync(manifests[i]));
        await cluster.Stores[6].DeleteAsync(manifests[0].Parts[0].Blob, default);
        var told = new List<Guid>();
        cluster.Nodes[2].Start();
        Assert.False(await cluster.Repairs.IsElsewhereAsync(cluster.Stores[2], manifests[0].Parts[0].Blob.OfShard(3), store =>
        {
            told.Add(store.Id);
            return Task.CompletedTask;
        }, default));
        Assert.Equal([cluster.Nodes[6].Id], told);

        static Task Unexpected(DarkStorage.Storage.Chunks.ChunkStore store) => throw new InvalidOperationException($"{store.Id} lacks something.");
    }

    [Fact]
    public async Task What_is_deleted_or_was_not_kept_is_gone_from_every_node()
    {
        await using var cluster = new ReplicaCluster(6, alone: true, options: All);
        var manifest = await cluster.Front.PutAsync(BlobStoreSteps.Bytes(1, 300_000), Write(FourAndTwo));
        await using (var write = cluster.Front.BeginWrite(Write(FourAndTwo))) await write.CopyFromAsync(BlobStoreSteps.Reader(BlobStoreSteps.Bytes(2, 300_000)), default);
        await cluster.Front.SettledAsync();
        Assert.All(cluster.Nodes, node => Assert.Equal(1, node.Packs.GetStatistics().Blobs));
        await cluster.Front.DeleteAsync(manifest.Parts[0].Blob, default);
        Assert.All(cluster.Nodes, node => Assert.Equal(0, node.Packs.GetStatistics().Blobs));
    }

    [Theory, InlineData(0), InlineData(2), InlineData(3)]
    public async Task A_node_that_hangs_holds_a_read_up_no_longer_than_others_take_to_make_up_for_it(int node)
    {
        await using var cluster = new ReplicaCluster(6, alone: true, options: All with { HedgeFloor = TimeSpan.FromMilliseconds(5) }, limits: new() { StepTimeout = TimeSpan.FromMinutes(10) });
        var content = BlobStoreSteps.Bytes(1, 2_000_000);
        var manifest = await cluster.Front.PutAsync(content, Write(FourAndTwo));
        await cluster.Front.SettledAsync();
        cluster.Wires[node].IsHeld = true;
        Assert.Equal(content, await cluster.Front.GetAsync(manifest).WaitAsync(TimeSpan.FromMinutes(2)));
        cluster.Wires[node].IsHeld = false;
        await cluster.Front.SettledAsync();
        Assert.Empty(cluster.Queue.Entries);
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
    }

    [Fact]
    public async Task Sealed_content_is_cut_as_it_is_stored()
    {
        await using var cluster = new ReplicaCluster(6, options: All);
        using var key = DataKey.Create();
        var content = BlobStoreSteps.Bytes(1, 1_000_000);
        var manifest = await cluster.Front.PutAsync(content, Write(FourAndTwo) with { Key = key }, pieces: 4);
        await cluster.Front.SettledAsync();
        foreach (var node in (int[])[2, 3]) await cluster.Nodes[node].StopAsync();
        Assert.Equal(content, await cluster.Front.GetAsync(manifest, key: key));
        Assert.Equal(content[300_000..600_000], await cluster.Front.GetAsync(manifest, new(300_000, 599_999), key));
        using var wrong = DataKey.Create();
        Assert.Equal(StorageError.DataDamaged, await ErrorOf(() => cluster.Front.GetAsync(manifest, key: wrong)));
    }

    [Fact]
    public async Task Short_content_is_kept_in_copies_and_an_object_may_have_parts_of_both_kinds()
    {
        await using var cluster = new ReplicaCluster(6);
        byte[][] parts = [BlobStoreSteps.Bytes(1, 300_000), BlobStoreSteps.Bytes(2, 20_000), BlobStoreSteps.Bytes(3, 250_000), BlobStoreSteps.Bytes(4, 10)];
        var stored = new List<BlobContent>();
        foreach (var part in parts)
        {
            await using var write = cluster.Front.BeginWrite(Write(FourAndTwo) with { ExpectedLength = part.Length });
            stored.Add(await write.CopyFromAsync(BlobStoreSteps.Reader(part), default));
            write.Keep();
        }
        await cluster.Front.SettledAsync();
        Assert.Equal(["4+2", "3 copies", "4+2", "3 copies"], stored.Select(s => s.Blob.Redundancy.ToString()));
        var (manifest, content) = (BlobStoreSteps.ManifestOf([.. stored]), parts.SelectMany(static p => p).ToArray());
        foreach (var node in (int[])[1, 2]) await cluster.Nodes[node].StopAsync();
        Assert.Equal(content, await cluster.Front.GetAsync(manifest));
        Assert.Equal(content[299_990..320_010], await cluster.Front.GetAsync(manifest, new(299_990, 320_009)));
    }

    [Fact]
    public async Task A_read_that_outlives_a_movement_goes_on_where_the_shards_are_now()
    {
        await using var cluster = new ReplicaCluster(6, alone: true, options: All, blobs: PeerNode.Options with { ReadAheadBytes = 64 << 10 });
        cluster.Placement.Columns = [.. cluster.Stores.Take(3)];
        var content = BlobStoreSteps.Bytes(1, 1_400_000);
        var manifest = await cluster.Front.PutAsync(content, Write(Redundancy.OfStripe(2, 1)!.Value));
        var blob = manifest.Parts[0].Blob;
        await cluster.Front.SettledAsync();
        await using var read = await cluster.Front.OpenAsync(manifest, ByteRange.All(manifest.Length), null, CancellationToken.None);
        cluster.Placement.FormerColumns = cluster.Placement.Columns;
        cluster.Placement.Columns = [.. cluster.Stores.Skip(3)];
        foreach (var node in cluster.Nodes.Skip(3)) Assert.Equal(RepairOutcome.Done, (await cluster.Repairs.RepairAsync(new(blob, node.Id, RepairReason.Missed), null, default)).Outcome);
        cluster.Placement.FormerColumns = [];
        foreach (var store in cluster.Stores.Take(3)) await store.DeleteAsync(blob, default);
        foreach (var wire in cluster.Wires.Take(3)) wire.Reset();       // else what is freed is there for its reader still
        using var into = new MemoryStream();
        var writer = PipeWriter.Create(into, new(leaveOpen: true));
        await read.CopyToAsync(writer, CancellationToken.None);
        await writer.CompleteAsync();
        Assert.True(Same(content, into.ToArray()));
    }

    [Fact]
    public void An_id_says_how_its_blob_is_kept_and_names_its_shards()
    {
        var before = DateTimeOffset.UtcNow.AddMilliseconds(-1);
        foreach (var redundancy in Redundancy.AllStripes)
        {
            var blob = BlobId.New(TimeProvider.System, 0xABCD, redundancy);
            Assert.Equal((redundancy, (ushort)0xABCD, 0, true), (blob.Redundancy, blob.Place, blob.Shard, blob.IsStriped));
            Assert.InRange(blob.Minted, before, DateTimeOffset.UtcNow);
            Assert.Equal(redundancy, Redundancy.OfStripe(redundancy.Data, redundancy.Parity));
            for (var shard = 1; shard <= redundancy.Width; shard++) Assert.Equal((shard, blob), (blob.OfShard(shard).Shard, blob.OfShard(shard).Whole));
            Assert.True(redundancy.Quorum > redundancy.Data && redundancy.Quorum <= redundancy.Width);
            Assert.True(redundancy.ForShort.Parity >= redundancy.Parity, $"Short content of {redundancy} survives the loss of {redundancy.ForShort.Parity}");
            Assert.Equal(redundancy.Parity > 4, redundancy.ForShort.IsStriped);
        }
        Assert.Equal(Redundancy.AllStripes.Count(), Redundancy.AllStripes.Distinct().Count());
        Assert.All((int[])[1, 2, 3, 5], copies => Assert.Equal((copies, copies), (BlobId.New(TimeProvider.System, 1, Redundancy.OfCopies(copies)).Redundancy.Copies, Redundancy.OfCopies(copies).Width)));
        Assert.Throws<ArgumentException>(() => Redundancy.OfCopies(4));
        Assert.Null(Redundancy.OfStripe(1, 9));
        var unknown = new BlobId(63ul << 58 | 1, 1);
        Assert.Equal(StorageError.DataDamaged, Assert.Throws<StorageException>(() => unknown.Redundancy).Error);
    }

    private static bool Same(byte[] expected, byte[] actual) => expected.AsSpan().SequenceEqual(actual);

    private static BlobWriteOptions Write(Redundancy redundancy) => new() { Owner = new(new(5), "key"), Redundancy = redundancy };

    private static async Task<StorageError> ErrorOf(Func<Task> work) => (await Assert.ThrowsAsync<StorageException>(work)).Error;
}
