using System.IO.Pipelines;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Packs;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DarkStorage.Unit.Storage;

/// <summary>The blob store on real files.</summary>
public sealed class BlobStoreTests : IDisposable
{
    private const int Chunk = 256 << 10;
    private static readonly BlobStoreOptions Options = new() { ChunkBytesMax = Chunk, PackBytes = 16 << 20, ReservedBytes = 0, ReadAheadBytes = 128 << 10 };

    private readonly ScratchDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private BlobStore Open(BlobStoreOptions? options = null) =>
        BlobStore.Open(_directory.Path, options ?? Options, TimeProvider.System, NullLogger<BlobStore>.Instance);

    public static TheoryData<int> Sizes()
    {
        var sizes = new SortedSet<int> { 0, 1, 2, 100 };
        foreach (var edge in new[] { 4096, 8192 - 128, 16 << 10, 64 << 10, 72 << 10, 128 << 10, Chunk, 2 * Chunk, 5 * Chunk, 3 << 20 })
        {
            for (var off = -1; off <= 1; off++) sizes.Add(edge + off);
        }
        return [.. sizes];
    }

    [Theory, MemberData(nameof(Sizes))]
    public async Task A_content_of_any_size_reads_back_the_same(int size)
    {
        var content = BlobStoreSteps.Bytes(size, size);
        await using var store = Open();
        foreach (var options in new BlobWriteOptions[] { new() { ExpectedLength = size }, new(), new() { ExpectedLength = 10 }, new() { InlineMax = 4096 } })
        {
            var manifest = await store.PutAsync(content, options, pieces: size);
            Assert.Equal(size, manifest.Length);
            Assert.Equal(Convert.ToHexStringLower(MD5.HashData(content)), manifest.ETag);
            Assert.Equal(size is > 0 && size <= options.InlineMax, !manifest.Inline.IsEmpty);
            Assert.Equal(content, await store.GetAsync(manifest));
        }
    }

    [Theory, InlineData(1), InlineData(2), InlineData(3)]
    public async Task Any_range_of_an_object_of_several_parts_is_that_range(int seed)
    {
        var random = new Random(seed);
        await using var store = Open();
        var whole = new List<byte>();
        var parts = new List<BlobContent>();
        for (var part = 0; part < 5; part++)
        {
            var content = BlobStoreSteps.Bytes(random.Next(), part == 2 ? 1 : random.Next(1, 3 * Chunk));
            var write = store.BeginWrite(new());
            parts.Add(await write.CopyFromAsync(BlobStoreSteps.Reader(content, seed), CancellationToken.None));
            write.Keep();
            await write.DisposeAsync();
            whole.AddRange(content);
        }
        var manifest = BlobStoreSteps.ManifestOf([.. parts]);
        var all = whole.ToArray();
        for (var i = 0; i < 300; i++)
        {
            var first = random.Next(all.Length);
            var last = random.Next(2) == 0 ? Math.Min(all.Length - 1, first + random.Next(100)) : random.Next(first, all.Length);
            Assert.Equal(all[first..(last + 1)], await store.GetAsync(manifest, new(first, last)));
        }
    }

    [Fact]
    public async Task A_manifest_that_promises_more_than_its_parts_hold_is_damage_not_a_crash()
    {
        await using var store = Open();
        var manifest = await store.PutAsync(BlobStoreSteps.Bytes(1, 1000)) with { Length = 2000 };
        var refused = await Assert.ThrowsAsync<StorageException>(() => store.GetAsync(manifest));
        Assert.Equal(StorageError.DataDamaged, refused.Error);
        refused = await Assert.ThrowsAsync<StorageException>(() => store.GetAsync(manifest, new(1500, 1600)));
        Assert.Equal(StorageError.DataDamaged, refused.Error);
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task What_was_written_is_there_after_a_restart(bool indexes)
    {
        var contents = Enumerable.Range(0, 60).Select(static i => BlobStoreSteps.Bytes(i, i * i * 300 + 1)).ToArray();
        var manifests = new List<Manifest>();
        await using (var store = Open())
        {
            foreach (var content in contents) manifests.Add(await store.PutAsync(content));
        }
        Assert.True(Directory.GetFiles(_directory.Packs, "*.pack").Length > 1);
        foreach (var index in Directory.GetFiles(_directory.Packs, "*.idx"))
        {
            if (!indexes) File.Delete(index);
        }
        for (var round = 0; round < 2; round++)
        {
            await using var store = Open();
            for (var i = 0; i < contents.Length; i++) Assert.Equal(contents[i], await store.GetAsync(manifests[i]));
            Assert.Equal(60, store.Drive!.GetStatistics().Blobs);
        }
    }

    [Fact]
    public async Task A_damaged_index_is_made_again_from_the_frames()
    {
        Manifest manifest;
        var content = BlobStoreSteps.Bytes(1, 100_000);
        await using (var store = Open()) manifest = await store.PutAsync(content);
        var index = Assert.Single(Directory.GetFiles(_directory.Packs, "*.idx"));
        var bytes = File.ReadAllBytes(index);
        bytes[70] ^= 1;
        File.WriteAllBytes(index, bytes);
        await using var again = Open();
        Assert.Equal(content, await again.GetAsync(manifest));
    }

    [Fact]
    public async Task Many_writers_at_once_each_get_their_own_content_back()
    {
        await using var store = Open();
        var manifests = await Task.WhenAll(Enumerable.Range(0, 100).Select(i =>
            Task.Run(() => store.PutAsync(BlobStoreSteps.Bytes(i, 1 + i * 7919 % 900_000), new(), pieces: i))));
        for (var i = 0; i < manifests.Length; i++)
            Assert.Equal(BlobStoreSteps.Bytes(i, 1 + i * 7919 % 900_000), await store.GetAsync(manifests[i]));
        Assert.Equal(0, store.Drive!.GetStatistics().WriteMemoryBytes);
    }

    [Fact]
    public async Task Writers_stay_within_their_memory_however_many_and_slow_they_are()
    {
        await using var store = Open(Options with { WriteMemoryBytesMax = 16 << 20, ChunkBytesMax = 4 << 20, PackBytes = 64 << 20 });
        var pipes = Enumerable.Range(0, 64).Select(static _ => new Pipe(new(pauseWriterThreshold: 0))).ToArray();
        var content = BlobStoreSteps.Bytes(1, 2 << 20);
        var writes = pipes.Select(async pipe =>
        {
            await using var write = store.BeginWrite(new() { ExpectedLength = 2 * content.Length });
            var stored = await write.CopyFromAsync(pipe.Reader, CancellationToken.None);
            write.Keep();
            return BlobStoreSteps.ManifestOf(stored);
        }).ToArray();
        for (var half = 0; half < 2; half++)
        {
            foreach (var pipe in pipes) await pipe.Writer.WriteAsync(content);
        }
        foreach (var pipe in pipes) await pipe.Writer.CompleteAsync();
        byte[] twice = [.. content, .. content];
        foreach (var manifest in await Task.WhenAll(writes)) Assert.Equal(twice, await store.GetAsync(manifest));
        Assert.InRange(store.Drive!.GetStatistics().WriteMemoryPeakBytes, 1, 16 << 20);
    }

    [Fact]
    public async Task A_stalled_client_holds_nobody_else_up()
    {
        await using var store = Open(Options with { WriteMemoryBytesMax = 8 << 20 });
        var stalled = Enumerable.Range(0, 40).Select(static _ => new Pipe(new(pauseWriterThreshold: 0))).ToArray();
        foreach (var pipe in stalled) await pipe.Writer.WriteAsync(new byte[1 << 20]);
        var writes = stalled.Select(pipe => store.BeginWrite(new()).CopyFromAsync(pipe.Reader, CancellationToken.None)).ToArray();
        var content = BlobStoreSteps.Bytes(1, 3 << 20);
        Assert.Equal(content, await store.GetAsync(await store.PutAsync(content)));
        foreach (var pipe in stalled) await pipe.Writer.CompleteAsync();
        await Task.WhenAll(writes);
    }

    [Fact]
    public async Task An_unfinished_or_unkept_write_leaves_nothing()
    {
        await using var store = Open();
        await using (var write = store.BeginWrite(new()))
            await write.CopyFromAsync(BlobStoreSteps.Reader(new byte[3 * Chunk]), CancellationToken.None);
        await using (var write = store.BeginWrite(new()))
        {
            var pipe = new Pipe();
            await pipe.Writer.WriteAsync(new byte[40_000]);
            await pipe.Writer.CompleteAsync(new IOException("the client is gone"));
            await Assert.ThrowsAsync<IOException>(() => write.CopyFromAsync(pipe.Reader, CancellationToken.None));
        }
        await using (var write = store.BeginWrite(new() { LengthMax = 2 * Chunk }))
        {
            var refused = await Assert.ThrowsAsync<StorageException>(() =>
                write.CopyFromAsync(BlobStoreSteps.Reader(new byte[3 * Chunk], 1), CancellationToken.None));
            Assert.Equal(StorageError.EntityTooLarge, refused.Error);
        }
        Assert.Equal(0, store.Drive!.GetStatistics().Blobs);
        Assert.Equal(0, store.Drive!.GetStatistics().LiveBytes);
    }

    [Fact]
    public async Task A_deleted_blob_returns_its_space_and_stays_deleted()
    {
        BlobId deleted;
        var content = BlobStoreSteps.Bytes(3, 1000);
        Manifest kept;
        await using (var store = Open())
        {
            var large = await store.PutAsync(BlobStoreSteps.Bytes(1, 8 << 20));
            kept = await store.PutAsync(content, new() { ExpectedLength = 1 << 20 });      // in the same pack
            var before = AllocatedBytes();
            deleted = large.Parts[0].Blob;
            await store.DeleteAsync(deleted, CancellationToken.None);
            await store.DeleteAsync(deleted, CancellationToken.None);
            if (OperatingSystem.IsLinux()) Assert.True(before - AllocatedBytes() >= 8 << 20);
            var gone = await Assert.ThrowsAsync<StorageException>(() => store.GetAsync(large));
            Assert.Equal(StorageError.DataDamaged, gone.Error);
        }
        for (var round = 0; round < 2; round++)
        {
            await using var store = Open();
            Assert.Equal([kept.Parts[0].Blob], store.ListBlobs(default, DateTimeOffset.MaxValue, 10));
            Assert.Equal(content, await store.GetAsync(kept));
            foreach (var index in Directory.GetFiles(_directory.Packs, "*.idx")) File.Delete(index);
        }

        long AllocatedBytes()
        {
            using var du = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("du", ["-s", "-B1", _directory.Packs]) { RedirectStandardOutput = true })!;
            return long.Parse(du.StandardOutput.ReadToEnd().Split('\t')[0], System.Globalization.CultureInfo.InvariantCulture);
        }
    }

    [Fact]
    public async Task A_blob_deleted_while_it_is_read_is_read_to_its_end()
    {
        await using var store = Open();
        var content = BlobStoreSteps.Bytes(1, 2 << 20);
        var manifest = await store.PutAsync(content);
        var into = new MemoryStream();
        await using (var read = await store.OpenAsync(manifest, ByteRange.All(manifest.Length), key: null, CancellationToken.None))
        {
            await store.DeleteAsync(manifest.Parts[0].Blob, CancellationToken.None);
            await read.CopyToAsync(PipeWriter.Create(into), CancellationToken.None);
        }
        Assert.Equal(content, into.ToArray());
        Assert.Equal(0, store.Drive!.GetStatistics().Blobs);
    }

    [Fact]
    public async Task Blobs_are_listed_in_order_page_by_page()
    {
        await using var store = Open();
        var blobs = new List<BlobId>();
        for (var i = 0; i < 50; i++) blobs.Add((await store.PutAsync(BlobStoreSteps.Bytes(i, 10))).Parts[0].Blob);
        blobs.Sort();
        var listed = new List<BlobId>();
        while (store.ListBlobs(listed.LastOrDefault(), DateTimeOffset.MaxValue, 7) is { Count: > 0 } page) listed.AddRange(page);
        Assert.Equal(blobs, listed);
        Assert.Empty(store.ListBlobs(default, blobs[0].Minted, 7));
    }

    [Fact]
    public async Task A_directory_in_use_is_refused()
    {
        await using var store = Open();
        var refused = Assert.Throws<StorageStartupException>(() => Open());
        Assert.Contains("in use by another process", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_directory_of_a_newer_format_is_refused()
    {
        await Open().DisposeAsync();
        var path = Path.Combine(_directory.Path, "format");
        File.WriteAllText(path, File.ReadAllText(path).Replace("packs 1 ", "packs 2 ", StringComparison.Ordinal));
        var refused = Assert.Throws<StorageStartupException>(() => Open());
        Assert.Contains("format 2", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Packs_without_their_format_file_are_not_taken_for_a_new_directory()
    {
        await using (var store = Open()) await store.PutAsync(new byte[10]);
        File.Delete(Path.Combine(_directory.Path, "format"));
        Assert.Throws<StorageStartupException>(() => Open());
    }
}
