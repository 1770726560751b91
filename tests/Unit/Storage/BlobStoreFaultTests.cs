using System.IO.Pipelines;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Packs;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DarkStorage.Unit.Storage;

/// <summary>The blob store on a disk that fails, fills up, rots and lies.</summary>
public sealed class BlobStoreFaultTests
{
    private static readonly BlobStoreOptions Options = new()
    {
        ChunkBytesMax = 128 << 10,
        PackBytes = 8 << 20,
        ReservedBytes = 0,
        WriteMemoryBytesMax = 8 << 20,
    };

    private static readonly ScrubOptions Fast = new() { ReadMiBPerSecondMax = 4096 };
    private readonly Guid _id = Guid.NewGuid();

    private BlobStore Open(FaultyChunkDisk disk) => BlobStore.Open(disk, _id, Options, TimeProvider.System, NullLogger.Instance);

    private static FaultyChunkDisk Disk(long capacity = long.MaxValue) => new(new Random(1), capacity);

    private static async Task<StorageError> ErrorOf(Func<Task> work) => (await Assert.ThrowsAsync<StorageException>(work)).Error;

    [Theory, InlineData(5_000), InlineData(700_000)]
    public async Task After_a_failed_sync_the_write_fails_and_the_pack_is_never_trusted_again(int size)
    {
        var disk = Disk();
        var before = BlobStoreSteps.Bytes(1, size);
        var after = BlobStoreSteps.Bytes(2, size);
        Manifest first, last;
        await using (var store = Open(disk))
        {
            first = await store.PutAsync(before);
            var packs = disk.Packs.Count;
            disk.FailSyncs = 1;
            Assert.Equal(StorageError.Unavailable, await ErrorOf(() => store.PutAsync(BlobStoreSteps.Bytes(3, size))));
            last = await store.PutAsync(after);     // a second sync of the same file would have said that all is well
            Assert.Equal(packs + 1, disk.Packs.Count);
            Assert.Equal(1, store.Drive!.GetStatistics().PackFailures);
            Assert.Equal(before, await store.GetAsync(first));
        }
        await using var again = Open(disk.PowerLoss());
        Assert.Equal(before, await again.GetAsync(first));
        Assert.Equal(after, await again.GetAsync(last));
    }

    [Fact]
    public async Task A_long_write_fails_where_the_sync_of_a_pack_it_left_behind_failed()
    {
        var disk = Disk();
        await using var store = Open(disk);
        var content = BlobStoreSteps.Bytes(1, 12 << 20);    // begins in one pack, ends in the next
        await using var write = store.BeginWrite(new() { ExpectedLength = content.Length });
        disk.BeforeSync = () =>
        {
            // The first sync is of the first pack's header; the second, when that pack is full, fails.
            disk.BeforeSync = () =>
            {
                disk.BeforeSync = null;
                disk.FailSyncs = 1;
            };
        };
        Assert.Equal(StorageError.Unavailable, await ErrorOf(() => write.CopyFromAsync(BlobStoreSteps.Reader(content), CancellationToken.None)));
    }

    [Fact]
    public async Task A_failed_write_to_the_disk_fails_the_write_and_the_next_goes_to_another_pack()
    {
        var disk = Disk();
        await using var store = Open(disk);
        var first = await store.PutAsync(BlobStoreSteps.Bytes(1, 5000));
        disk.FailWrites = 1;
        Assert.Equal(StorageError.Unavailable, await ErrorOf(() => store.PutAsync(BlobStoreSteps.Bytes(2, 5000))));
        var last = await store.PutAsync(BlobStoreSteps.Bytes(3, 5000));
        Assert.Equal(BlobStoreSteps.Bytes(1, 5000), await store.GetAsync(first));
        Assert.Equal(BlobStoreSteps.Bytes(3, 5000), await store.GetAsync(last));
    }

    [Fact]
    public async Task A_full_disk_refuses_writes_lets_reads_go_on_and_takes_writes_when_there_is_room_again()
    {
        var disk = Disk(capacity: 24 << 20);
        await using var store = Open(disk);
        var kept = new List<Manifest>();
        StorageException? refused = null;
        for (var i = 0; i < 100 && refused is null; i++)
        {
            try
            {
                kept.Add(await store.PutAsync(BlobStoreSteps.Bytes(i, 700_000)));
            }
            catch (StorageException e)
            {
                refused = e;
            }
        }
        Assert.Equal(StorageError.InsufficientStorage, refused?.Error);
        Assert.NotEmpty(kept);
        for (var i = 0; i < kept.Count; i++) Assert.Equal(BlobStoreSteps.Bytes(i, 700_000), await store.GetAsync(kept[i]));
        Assert.Equal(StorageError.InsufficientStorage, await ErrorOf(() => store.PutAsync(BlobStoreSteps.Bytes(1, 700_000))));
        disk.Capacity += 24 << 20;
        var more = await store.PutAsync(BlobStoreSteps.Bytes(1000, 700_000));
        Assert.Equal(BlobStoreSteps.Bytes(1000, 700_000), await store.GetAsync(more));
        Assert.Equal(0, store.Drive!.GetStatistics().PackFailures);
    }

    [Fact]
    public async Task A_flipped_bit_anywhere_is_never_served_and_costs_nobody_else()
    {
        var disk = Disk();
        var random = new Random(5);
        await using var store = Open(disk);
        var manifests = new List<Manifest>();
        for (var i = 0; i < 20; i++) manifests.Add(await store.PutAsync(BlobStoreSteps.Bytes(i, 200_000)));
        var pack = disk.Packs[0];
        for (var round = 0; round < 60; round++)
        {
            var at = PackFormat.HeaderBytes + random.NextInt64(20 * 208_896L);
            disk.FlipBit(pack, at);
            var damaged = 0;
            for (var i = 0; i < manifests.Count; i++)
            {
                try
                {
                    Assert.Equal(BlobStoreSteps.Bytes(i, 200_000).AsMemory(), (await store.GetAsync(manifests[i])).AsMemory());
                }
                catch (StorageException e)
                {
                    Assert.Equal(StorageError.DataDamaged, e.Error);
                    damaged++;
                }
            }
            Assert.InRange(damaged, 0, 1);      // none where it hit padding
            disk.FlipBit(pack, at);
        }
    }

    [Fact]
    public async Task A_range_that_does_not_touch_the_damaged_block_is_still_served()
    {
        var disk = Disk();
        await using var store = Open(disk);
        var content = BlobStoreSteps.Bytes(1, 128 << 10);
        var manifest = await store.PutAsync(content);
        disk.FlipBit(disk.Packs[0], PackFormat.HeaderBytes + (100 << 10));
        Assert.Equal(content[..1000], await store.GetAsync(manifest, new(0, 999)));
        Assert.Equal(StorageError.DataDamaged, await ErrorOf(() => store.GetAsync(manifest)));
        Assert.Equal(1, store.Drive!.GetStatistics().DamagedChunks);
    }

    [Fact]
    public async Task Scrub_names_what_rotted_and_nothing_else()
    {
        var disk = Disk();
        await using var store = Open(disk);
        var manifests = new List<Manifest>();
        for (var i = 0; i < 30; i++) manifests.Add(await store.PutAsync(BlobStoreSteps.Bytes(i, 10_000)));
        Assert.Equal(new(default, 30, 30 * 12_288, 0, true), await store.Drive!.ScrubAsync(default, Fast, null, CancellationToken.None));
        disk.FlipBit(disk.Packs[0], PackFormat.HeaderBytes + 7 * 12_288 + 5000);
        disk.Unreadable.Add((disk.Packs[0], 2 + 11 * 3));
        var scrub = await store.Drive!.ScrubAsync(default, Fast, null, CancellationToken.None);
        Assert.True(scrub.Finished);
        Assert.Contains(manifests[7].Parts[0].Blob, store.Drive!.Damaged.Select(static chunk => chunk.Blob));
        Assert.Contains(manifests[11].Parts[0].Blob, store.Drive!.Damaged.Select(static chunk => chunk.Blob));
    }

    [Fact]
    public async Task A_scrub_goes_on_where_it_was_cancelled()
    {
        await using var store = Open(Disk());
        for (var i = 0; i < 10; i++) await store.PutAsync(BlobStoreSteps.Bytes(i, 10_000));
        var whole = await store.Drive!.ScrubAsync(default, Fast, null, CancellationToken.None);
        var rest = await store.Drive!.ScrubAsync(new(1, PackFormat.HeaderBytes + 4 * 12_288), Fast, null, CancellationToken.None);
        Assert.Equal((10, 6), (whole.Chunks, rest.Chunks));
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task A_write_that_the_disk_put_elsewhere_or_dropped_is_noticed(bool misdirected)
    {
        var disk = Disk();
        await using var store = Open(disk);
        await store.PutAsync(BlobStoreSteps.Bytes(0, 5000));
        if (misdirected) disk.MisdirectWrites = 1;
        else disk.LoseWrites = 1;
        var lied = await store.PutAsync(BlobStoreSteps.Bytes(1, 5000));
        var last = await store.PutAsync(BlobStoreSteps.Bytes(2, 5000));
        Assert.Equal(StorageError.DataDamaged, await ErrorOf(() => store.GetAsync(lied)));
        Assert.Equal(BlobStoreSteps.Bytes(2, 5000), await store.GetAsync(last));
    }

    [Theory, InlineData(0), InlineData(PackFormat.Page)]
    public async Task One_damaged_header_page_costs_nothing(int page)
    {
        var disk = Disk();
        Manifest manifest;
        await using (var store = Open(disk)) manifest = await store.PutAsync(BlobStoreSteps.Bytes(1, 5000));
        disk.FlipBit(disk.Packs[0], page + 20);
        await using var again = Open(disk);
        Assert.Equal(BlobStoreSteps.Bytes(1, 5000), await again.GetAsync(manifest));
    }

    [Fact]
    public async Task A_pack_without_a_readable_header_is_left_alone_and_the_others_serve()
    {
        var disk = Disk();
        Manifest lost, kept;
        await using (var store = Open(disk)) lost = await store.PutAsync(BlobStoreSteps.Bytes(1, 5000));
        var damaged = Assert.Single(disk.Packs);
        await using (var store = Open(disk)) kept = await store.PutAsync(BlobStoreSteps.Bytes(2, 5000));
        disk.FlipBit(damaged, 20);
        disk.FlipBit(damaged, PackFormat.Page + 20);
        await using var again = Open(disk);
        Assert.Equal(1, again.Drive!.GetStatistics().DamagedPacks);
        Assert.Equal(BlobStoreSteps.Bytes(2, 5000), await again.GetAsync(kept));
        Assert.Equal(StorageError.DataDamaged, await ErrorOf(() => again.GetAsync(lost)));
        Assert.Contains(damaged, disk.Packs);
    }

    [Fact]
    public async Task A_pack_that_can_not_be_read_at_start_is_not_taken_for_empty()
    {
        var disk = Disk();
        Manifest manifest;
        await using (var store = Open(disk)) manifest = await store.PutAsync(BlobStoreSteps.Bytes(1, 5000));
        var pack = Assert.Single(disk.Packs);
        disk.Delete(Pack.IndexNameOf(1));
        disk.Unreadable.Add((pack, 2));
        await using (var store = Open(disk)) Assert.Equal(0, store.Drive!.GetStatistics().Blobs);
        disk.Unreadable.Clear();
        await using var again = Open(disk);
        Assert.Equal(BlobStoreSteps.Bytes(1, 5000), await again.GetAsync(manifest));
    }

    [Fact]
    public async Task Writers_that_wait_together_share_one_sync()
    {
        var disk = Disk();
        await using var store = Open(disk);
        await store.PutAsync(BlobStoreSteps.Bytes(0, 100));
        using var held = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        disk.BeforeSync = () =>
        {
            disk.BeforeSync = null;
            held.Set();
            release.Wait();
        };
        var before = store.Drive!.GetStatistics().Syncs;
        var first = Task.Run(() => store.PutAsync(BlobStoreSteps.Bytes(1, 100)));
        held.Wait(TestContext.Current.CancellationToken);
        var others = Enumerable.Range(2, 50).Select(i => store.PutAsync(BlobStoreSteps.Bytes(i, 100))).ToArray();
        Assert.DoesNotContain(others, static other => other.IsCompleted);      // nobody is told before the disk was
        release.Set();
        await first;
        await Task.WhenAll(others);
        Assert.Equal(2, store.Drive!.GetStatistics().Syncs - before);
    }

    [Fact]
    public async Task Compaction_moves_what_lives_and_removes_the_pack_while_readers_read()
    {
        var disk = Disk();
        var manifests = new List<Manifest>();
        await using (var writing = Open(disk))
        {
            for (var i = 0; i < 300; i++) manifests.Add(await writing.PutAsync(BlobStoreSteps.Bytes(i, 100_000), new() { ExpectedLength = 100_000 }));
            for (var i = 0; i < 300; i++)
            {
                if (i % 5 != 0) await writing.DeleteAsync(manifests[i].Parts[0].Blob, CancellationToken.None);
            }
        }
        // Packs are sealed in the background, and one that is not sealed yet is rightly passed over; closing waits for all of them.
        await using var store = Open(disk);
        var packs = store.Drive!.GetStatistics().Packs;
        var opened = await store.OpenAsync(manifests[5], ByteRange.All(100_000), key: null, CancellationToken.None);
        using var stop = new CancellationTokenSource();
        var readers = Enumerable.Range(0, 3).Select(reader => Task.Run(async () =>
        {
            for (var i = 0; !stop.IsCancellationRequested; i = (i + 5) % 300)
            {
                var differs = (await store.GetAsync(manifests[i])).AsSpan().CommonPrefixLength(BlobStoreSteps.Bytes(i, 100_000));
                Assert.True(differs == 100_000, $"Blob {i} was read wrong from byte {differs} on.");
            }
        })).ToArray();
        var report = await store.Drive!.CompactAsync(new() { ReadMiBPerSecondMax = 4096 }, CancellationToken.None);
        await stop.CancelAsync();
        await Task.WhenAll(readers);
        Assert.Equal((packs, 0), (report.Packs, report.Left));
        Assert.InRange(store.Drive!.GetStatistics().Packs, 1, packs - 1);
        Assert.Equal(60, store.Drive!.GetStatistics().Blobs);
        var into = new MemoryStream();
        await opened.CopyToAsync(PipeWriter.Create(into), CancellationToken.None);
        await opened.DisposeAsync();
        Assert.Equal(BlobStoreSteps.Bytes(5, 100_000), into.ToArray());
        for (var i = 0; i < 300; i += 5) Assert.Equal(BlobStoreSteps.Bytes(i, 100_000), await store.GetAsync(manifests[i]));
    }

    [Fact]
    public async Task Compaction_survives_a_loss_of_power_at_every_step()
    {
        for (var step = 1; ; step++)
        {
            var disk = new FaultyChunkDisk(new Random(step));
            var manifests = new List<Manifest>();
            await using (var store = Open(disk))
            {
                for (var i = 0; i < 12; i++) manifests.Add(await store.PutAsync(BlobStoreSteps.Bytes(i, 20_000)));
                for (var i = 0; i < 12; i++)
                {
                    if (i % 3 != 0) await store.DeleteAsync(manifests[i].Parts[0].Blob, CancellationToken.None);
                }
            }
            disk.CrashAfter = disk.Operations + step;
            var finished = false;
            var compacting = Open(disk);
            try
            {
                await compacting.Drive!.CompactAsync(new() { LivePercentMax = 90 }, CancellationToken.None);
                finished = !disk.Crashed;
            }
            catch (StorageException e)
            {
                Assert.Equal(StorageError.Unavailable, e.Error);
            }
            var after = disk.PowerLoss();
            disk.CrashAfter = 0;
            await compacting.DisposeAsync();
            await using var store2 = Open(after);
            for (var i = 0; i < 12; i += 3) Assert.Equal(BlobStoreSteps.Bytes(i, 20_000), await store2.GetAsync(manifests[i]));
            if (finished) break;
            Assert.InRange(step, 1, 100);
        }
    }

    [Fact]
    public async Task A_damaged_chunk_keeps_its_pack_and_the_others_move()
    {
        var disk = Disk();
        var manifests = new List<Manifest>();
        await using (var store = Open(disk))
        {
            for (var i = 0; i < 10; i++) manifests.Add(await store.PutAsync(BlobStoreSteps.Bytes(i, 10_000)));
            for (var i = 5; i < 10; i++) await store.DeleteAsync(manifests[i].Parts[0].Blob, CancellationToken.None);
        }
        disk.FlipBit(disk.Packs[0], PackFormat.HeaderBytes + 2 * 12_288 + 5000);
        await using var again = Open(disk);
        var report = await again.Drive!.CompactAsync(new() { LivePercentMax = 90 }, CancellationToken.None);
        Assert.Equal((0, 1), (report.Packs, report.Left));
        for (var i = 0; i < 5; i++)
        {
            if (i != 2) Assert.Equal(BlobStoreSteps.Bytes(i, 10_000), await again.GetAsync(manifests[i]));
            else Assert.Equal(StorageError.DataDamaged, await ErrorOf(() => again.GetAsync(manifests[2])));
        }
    }

    [Fact]
    public async Task Content_made_to_look_like_frames_is_not_taken_for_frames()
    {
        var disk = Disk();
        // A client knows the format and guesses where its content will lie; what it can't know is the pack's salt.
        var forged = new byte[60 << 10];
        var shift = PackFormat.Page - PackFormat.PayloadOffset(forged.Length);
        for (var at = shift; at + PackFormat.Page <= forged.Length; at += PackFormat.Page)
        {
            var frame = forged.AsSpan(at, PackFormat.Page);
            PackFormat.SetBlockChecksum(frame, 0, Crc32C.Append(0, frame.Slice(128, 100)));
            PackFormat.WriteFrameHeader(frame, new(PackFormat.HeaderBytes + PackFormat.Page + at - shift, new(7, 7), at, 100, 128, 0), salt: 0);
        }
        Manifest kept;
        await using (var store = Open(disk))
        {
            await store.PutAsync(forged);
            kept = await store.PutAsync(BlobStoreSteps.Bytes(1, 5000));
        }
        disk.Delete(Pack.IndexNameOf(1));
        disk.FlipBit(disk.Packs[0], PackFormat.HeaderBytes + 1);
        await using var again = Open(disk);
        Assert.Equal([kept.Parts[0].Blob], again.ListBlobs(default, DateTimeOffset.MaxValue, 10));
    }
}
