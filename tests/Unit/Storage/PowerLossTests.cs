using System.Collections.Concurrent;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Packs;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DarkStorage.Unit.Storage;

/// <summary>The power goes, or the process is killed, at any moment: what was acknowledged is there, whole; what was not is never half there.
/// Each seed plays one world of several lives; a failure names its seed, and <see cref="One_world"/> plays it again: the same contents, faults and
/// steps, though which of several writers that begin at once comes first is the scheduler's, so run a seed a few times.</summary>
public sealed class PowerLossTests
{
    private static readonly BlobStoreOptions Options = new()
    {
        ChunkBytesMax = 64 << 10,
        PackBytes = 8 << 20,
        ReservedBytes = 0,
        WriteMemoryBytesMax = 8 << 20,
    };

    public static TheoryData<int> Batches() => [.. Enumerable.Range(0, 10)];

    [Theory, MemberData(nameof(Batches))]
    public async Task Whatever_was_acknowledged_survives_the_loss_of_power_at_any_moment(int batch)
    {
        for (var seed = batch * 100; seed < batch * 100 + 100; seed++)
        {
            try
            {
                await LiveAsync(seed);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"Seed {seed}: {e.Message}", e);
            }
        }
    }

    [Theory, InlineData(0)]
    public Task One_world(int seed) => LiveAsync(seed);

    private static async Task LiveAsync(int seed)
    {
        var random = new Random(seed);
        var disk = new FaultyChunkDisk(new Random(seed)) { PunchesHoles = seed % 7 != 0 };
        var id = Guid.NewGuid();
        var acknowledged = new ConcurrentDictionary<BlobId, (Manifest Manifest, byte[] Content)>();
        var mayBeGone = new HashSet<BlobId>();
        for (var life = 0; life < 3; life++)
        {
            disk.CrashAfter = random.Next(5) == 0 ? 100_000 : random.Next(1, 120);
            disk.FailSyncChance = random.Next(3) == 0 ? 0.1 : 0;
            BlobStore store;
            try
            {
                store = BlobStore.Open(disk, id, Options, TimeProvider.System, NullLogger.Instance);
            }
            catch (IOException) when (disk.Crashed)
            {
                disk = disk.PowerLoss();
                continue;
            }
            await CheckAsync(store, acknowledged, mayBeGone);
            await UseAsync(store, random, acknowledged, mayBeGone);
            var orderly = !disk.Crashed && random.Next(2) == 0;
            if (orderly) await store.DisposeAsync();
            var next = random.Next(3) == 0 && !disk.Crashed ? disk.Kill() : disk.PowerLoss();
            disk.CrashAfter = 0;
            await store.DisposeAsync();
            disk = next;
        }
        disk.CrashAfter = null;
        await using var last = BlobStore.Open(disk, id, Options, TimeProvider.System, NullLogger.Instance);
        await CheckAsync(last, acknowledged, mayBeGone);
    }

    private static async Task CheckAsync(
        BlobStore store, ConcurrentDictionary<BlobId, (Manifest Manifest, byte[] Content)> acknowledged, HashSet<BlobId> mayBeGone)
    {
        foreach (var (blob, (manifest, content)) in acknowledged)
        {
            if (mayBeGone.Contains(blob)) continue;
            var stored = await store.GetAsync(manifest);
            Assert.True(content.AsSpan().SequenceEqual(stored), $"Blob {blob} reads back otherwise.");
        }
        // Nothing that the table has is less than whole, acknowledged or not.
        var scrub = await store.Drive!.ScrubAsync(default, new() { ReadMiBPerSecondMax = 4096 }, null, CancellationToken.None);
        Assert.Equal(0, scrub.Damaged);
        Assert.Empty(store.Drive!.Damaged);
    }

    private static async Task UseAsync(
        BlobStore store, Random random, ConcurrentDictionary<BlobId, (Manifest Manifest, byte[] Content)> acknowledged, HashSet<BlobId> mayBeGone)
    {
        for (var step = random.Next(1, 12); step > 0; step--)
        {
            switch (random.Next(8))
            {
                case 0 when !acknowledged.IsEmpty:
                    var victim = acknowledged.Keys.ElementAt(random.Next(acknowledged.Count));
                    mayBeGone.Add(victim);
                    await store.DeleteAsync(victim, CancellationToken.None);
                    break;
                case 1:
                    try
                    {
                        await store.Drive!.CompactAsync(new() { SmallPacksMax = 2, ReadMiBPerSecondMax = 4096 }, CancellationToken.None);
                    }
                    catch (StorageException)
                    {
                    }
                    break;
                default:
                    var sizes = Enumerable.Range(0, random.Next(1, 6)).Select(_ => random.Next(6) == 0 ? random.Next(1, 200_000) : random.Next(1, 9000)).ToArray();
                    var seed = random.Next();
                    await Task.WhenAll(sizes.Select((size, i) => Task.Run(() => TryPutAsync(store, BlobStoreSteps.Bytes(seed + i, size), acknowledged))));
                    break;
            }
        }
    }

    private static async Task TryPutAsync(
        BlobStore store, byte[] content, ConcurrentDictionary<BlobId, (Manifest Manifest, byte[] Content)> acknowledged)
    {
        try
        {
            var manifest = await store.PutAsync(content, new());
            acknowledged[manifest.Parts[0].Blob] = (manifest, content);
        }
        catch (StorageException e)
        {
            Assert.Equal(StorageError.Unavailable, e.Error);
        }
    }
}
