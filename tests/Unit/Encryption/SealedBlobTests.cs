using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Packs;
using DarkStorage.Unit.Storage;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DarkStorage.Unit.Encryption;

/// <summary>Sealed content in the blob store, on real files.</summary>
public sealed class SealedBlobTests : IDisposable
{
    private const int Frame = FrameCipher.ContentBytes;
    private const int Chunk = 256 << 10;
    private const int ChunkContent = Chunk / FrameCipher.FrameBytes * Frame;
    private static readonly BlobStoreOptions Options = new() { ChunkBytesMax = Chunk, PackBytes = 16 << 20, ReservedBytes = 0, ReadAheadBytes = 128 << 10 };

    private readonly ScratchDirectory _directory = new();
    private readonly DataKey _key = DataKey.Create();

    public void Dispose()
    {
        _key.Dispose();
        _directory.Dispose();
    }

    private BlobStore Open(BlobStoreOptions? options = null) =>
        BlobStore.Open(_directory.Path, options ?? Options, TimeProvider.System, NullLogger<BlobStore>.Instance);

    public static TheoryData<int> Sizes()
    {
        var sizes = new SortedSet<int> { 0, 1, 2, 100 };
        foreach (var edge in new[]
        {
            4096, 16 << 10, Frame, FrameCipher.FrameBytes, 2 * Frame, 72 << 10, ChunkContent, Chunk, 2 * ChunkContent, 5 * ChunkContent, 3 << 20,
        })
        {
            foreach (var off in new[] { -17, -16, -15, -1, 0, 1, 15, 16, 17 }) sizes.Add(edge + off);
        }
        return [.. sizes];
    }

    [Theory, MemberData(nameof(Sizes))]
    public async Task A_sealed_content_of_any_size_reads_back_the_same(int size)
    {
        var content = BlobStoreSteps.Bytes(size, size);
        await using var store = Open();
        foreach (var options in new BlobWriteOptions[] { new() { ExpectedLength = size }, new(), new() { ExpectedLength = 10 }, new() { InlineMax = 4096 } })
        {
            var manifest = await store.PutAsync(content, options with { Key = _key }, pieces: size);
            Assert.Equal(size, manifest.Length);
            Assert.Equal(Convert.ToHexStringLower(MD5.HashData(content)), manifest.ETag);
            Assert.Equal(size is > 0 && size <= options.InlineMax, !manifest.Inline.IsEmpty);
            Assert.Equal(content, await store.GetAsync(manifest, key: _key));
        }
        Assert.Empty(store.Drive!.Damaged);
    }

    [Fact]
    public async Task Digests_are_of_the_content_and_runs_of_what_lies_on_the_disk()
    {
        var content = BlobStoreSteps.Bytes(1, 3 * ChunkContent + 10);
        await using var store = Open();
        await using var write = store.BeginWrite(new() { Key = _key, Digests = DigestSet.Sha256 });
        var stored = await write.CopyFromAsync(BlobStoreSteps.Reader(content), CancellationToken.None);
        Assert.True(stored.IsSealed);
        Assert.Equal(SHA256.HashData(content), stored.Digests.Sha256);
        Assert.Equal(content.Length, stored.Length);
        Assert.Equal([new ChunkRun(3, Chunk), new ChunkRun(1, 26)], stored.Chunks);
    }

    [Fact]
    public async Task Every_range_at_a_border_is_that_range()
    {
        var content = BlobStoreSteps.Bytes(7, 2 * ChunkContent + Frame + 100);
        await using var store = Open();
        var manifest = await store.PutAsync(content, new() { Key = _key });
        var borders = new[] { 0, Frame, 2 * Frame, FrameCipher.FrameBytes, ChunkContent, Chunk, 2 * ChunkContent, 2 * ChunkContent + Frame, content.Length };
        var places = borders.SelectMany(b => new[] { b - 1, b, b + 1 }).Where(p => p >= 0 && p < content.Length).Distinct().ToList();
        foreach (var first in places)
        {
            foreach (var last in places.Where(p => p >= first))
                Assert.Equal(content[first..(last + 1)], await store.GetAsync(manifest, new(first, last), _key));
        }
    }

    [Theory, InlineData(1), InlineData(2), InlineData(3)]
    public async Task Any_range_of_a_sealed_object_of_several_parts_is_that_range(int seed)
    {
        var random = new Random(seed);
        await using var store = Open();
        var whole = new List<byte>();
        var parts = new List<BlobContent>();
        for (var part = 0; part < 5; part++)
        {
            var content = BlobStoreSteps.Bytes(random.Next(), part == 2 ? 1 : random.Next(1, 3 * Chunk));
            await using var write = store.BeginWrite(new() { Key = _key });
            parts.Add(await write.CopyFromAsync(BlobStoreSteps.Reader(content, seed), CancellationToken.None));
            write.Keep();
            whole.AddRange(content);
        }
        var manifest = BlobStoreSteps.ManifestOf([.. parts]);
        var all = whole.ToArray();
        for (var i = 0; i < 300; i++)
        {
            var first = random.Next(all.Length);
            var last = random.Next(2) == 0 ? Math.Min(all.Length - 1, first + random.Next(100)) : random.Next(first, all.Length);
            var read = await store.GetAsync(manifest, new(first, last), _key);
            Assert.True(all.AsSpan(first, last - first + 1).SequenceEqual(read), $"seed {seed}: {first} to {last}");
        }
    }

    [Fact]
    public async Task Many_sealed_writers_with_little_memory_each_get_their_own_content_back()
    {
        // Chunks end early where memory is scarce, so there are short frames amid a blob.
        await using var store = Open(Options with { WriteMemoryBytesMax = 8 << 20, ChunkBytesMax = 4 << 20, PackBytes = 64 << 20 });
        var manifests = await Task.WhenAll(Enumerable.Range(0, 80).Select(i =>
            Task.Run(() => store.PutAsync(BlobStoreSteps.Bytes(i, 1 + (i * 79190 % 2_900_000)), new() { Key = _key }, pieces: i))));
        Assert.Contains(manifests, m => m.Parts.Any(p => p.Chunks.SkipLast(1).Any(run => run.Length % FrameCipher.FrameBytes != 0)));
        for (var i = 0; i < manifests.Length; i++)
            Assert.Equal(BlobStoreSteps.Bytes(i, 1 + (i * 79190 % 2_900_000)), await store.GetAsync(manifests[i], key: _key));
        Assert.Equal(0, store.Drive!.GetStatistics().WriteMemoryBytes);
    }

    [Theory, InlineData(1000), InlineData(100_000), InlineData(2 * ChunkContent)]
    public async Task A_sealed_content_does_not_open_without_its_key_or_under_another(int size)
    {
        var content = BlobStoreSteps.Bytes(size, size);
        await using var store = Open();
        using var other = DataKey.Create();
        foreach (var inlineMax in new[] { 0, 4096 })
        {
            var manifest = await store.PutAsync(content, new() { Key = _key, InlineMax = inlineMax });
            var refused = await Assert.ThrowsAsync<StorageException>(() => store.GetAsync(manifest));
            Assert.Equal(StorageError.EncryptionKeyRequired, refused.Error);
            refused = await Assert.ThrowsAsync<StorageException>(() => store.GetAsync(manifest, key: other));
            Assert.Equal(StorageError.DataDamaged, refused.Error);

            // Whoever can write the index must not get other bytes served under the name of sealed ones.
            var plain = await store.PutAsync(content, new() { InlineMax = inlineMax });
            refused = await Assert.ThrowsAsync<StorageException>(() => store.GetAsync(plain, key: _key));
            Assert.Equal(StorageError.DataDamaged, refused.Error);
        }
    }

    [Fact]
    public async Task A_key_that_was_zeroed_seals_and_opens_nothing()
    {
        await using var store = Open();
        var manifest = await store.PutAsync(new byte[1000], new() { Key = _key });
        _key.Dispose();
        Assert.Throws<ObjectDisposedException>(() => store.BeginWrite(new() { Key = _key }));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => store.GetAsync(manifest, key: _key));
        Assert.Equal("DataKey", _key.ToString());
    }

    [Fact]
    public async Task The_same_content_twice_under_one_key_gives_different_bytes()
    {
        var content = new byte[3000];
        await using var store = Open();
        var first = await store.PutAsync(content, new() { Key = _key, InlineMax = 4096 });
        var second = await store.PutAsync(content, new() { Key = _key, InlineMax = 4096 });
        Assert.Equal(3016, first.Inline.Length);
        Assert.NotEqual(first.Inline.AsSpan().ToArray(), second.Inline.AsSpan().ToArray());
        var (one, two) = (await store.PutAsync(content, new() { Key = _key }), await store.PutAsync(content, new() { Key = _key }));
        await store.DisposeAsync();
        var disk = new SealedDisk(_directory.Packs);
        Assert.NotEqual(disk.Payload(one.Parts[0], 0), disk.Payload(two.Parts[0], 0));
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task Nothing_of_a_sealed_content_lies_readable_on_the_disk(bool isSealed)
    {
        var marker = "this is what a thief of the disk looks for"u8.ToArray();
        var content = BlobStoreSteps.Bytes(1, 900_000);
        for (var place = 0; place + marker.Length < content.Length; place += 10_007) marker.CopyTo(content, place);
        await using (var store = Open())
        {
            await store.PutAsync(content, new() { Key = isSealed ? _key : null });
            await store.PutAsync(content[..5000], new() { Key = isSealed ? _key : null });
            await using var cut = store.BeginWrite(new() { Key = isSealed ? _key : null });
            var pipe = new Pipe(new(pauseWriterThreshold: 0));
            await pipe.Writer.WriteAsync(content);
            await pipe.Writer.CompleteAsync(new IOException("the client is gone"));
            await Assert.ThrowsAsync<IOException>(() => cut.CopyFromAsync(pipe.Reader, CancellationToken.None));
        }
        var found = Directory.GetFiles(_directory.Path, "*", SearchOption.AllDirectories).Any(file => File.ReadAllBytes(file).AsSpan().IndexOf(marker) >= 0);
        Assert.Equal(!isSealed, found);
    }

    [Theory, InlineData(0), InlineData(Frame), InlineData(FrameCipher.FrameBytes - 1), InlineData(FrameCipher.FrameBytes), InlineData(Chunk - 1)]
    public async Task A_bit_that_was_changed_by_someone_who_can_compute_checksums_is_damage(int at)
    {
        var content = BlobStoreSteps.Bytes(1, 3 * ChunkContent + 500);
        Manifest manifest;
        await using (var store = Open()) manifest = await store.PutAsync(content, new() { Key = _key });
        var disk = new SealedDisk(_directory.Packs);
        var payload = disk.Payload(manifest.Parts[0], 1);
        payload[at] ^= 0x10;
        disk.Replace(manifest.Parts[0], 1, payload);
        await using var again = Open();
        Assert.Equal(0, (await again.Drive!.ScrubAsync(default, new(), null, CancellationToken.None)).Damaged);
        var refused = await Assert.ThrowsAsync<StorageException>(() => again.GetAsync(manifest, key: _key));
        Assert.Equal(StorageError.DataDamaged, refused.Error);
        Assert.Contains("does not open", refused.Message, StringComparison.Ordinal);

        // The frames before it are not concerned.
        Assert.Equal(content[..ChunkContent], await again.GetAsync(manifest, new(0, ChunkContent - 1), _key));
        Assert.Equal("does not open under its key", Assert.Single(again.Drive!.Damaged).Problem);
    }

    [Fact]
    public async Task Frames_that_changed_places_are_damage()
    {
        var content = BlobStoreSteps.Bytes(1, 2 * ChunkContent + 500);
        Manifest manifest, other;
        await using (var store = Open())
        {
            manifest = await store.PutAsync(content, new() { Key = _key });
            other = await store.PutAsync(content, new() { Key = _key });
        }
        var disk = new SealedDisk(_directory.Packs);
        var (first, second) = (disk.Payload(manifest.Parts[0], 0), disk.Payload(manifest.Parts[0], 1));
        var swappedFrames = (byte[])[.. first[FrameCipher.FrameBytes..(2 * FrameCipher.FrameBytes)], .. first[..FrameCipher.FrameBytes], .. first[(2 * FrameCipher.FrameBytes)..]];
        foreach (var forged in new[] { second, swappedFrames, disk.Payload(other.Parts[0], 0) })
        {
            disk.Replace(manifest.Parts[0], 0, forged);
            await using var again = Open();
            var refused = await Assert.ThrowsAsync<StorageException>(() => again.GetAsync(manifest, key: _key));
            Assert.Equal(StorageError.DataDamaged, refused.Error);
        }
        disk.Replace(manifest.Parts[0], 0, first);
        await using var whole = Open();
        Assert.Equal(content, await whole.GetAsync(manifest, key: _key));
    }

    [Fact]
    public async Task A_content_that_was_cut_at_a_border_of_frames_is_damage_even_where_the_index_agrees()
    {
        var content = BlobStoreSteps.Bytes(1, 3 * ChunkContent);
        await using var store = Open();
        var manifest = await store.PutAsync(content, new() { Key = _key });
        var part = manifest.Parts[0];
        Assert.Equal([new ChunkRun(3, Chunk)], part.Chunks);
        var cut = manifest with { Length = 2 * ChunkContent, Parts = [part with { Length = 2 * ChunkContent, Chunks = [new(2, Chunk)] }] };
        var refused = await Assert.ThrowsAsync<StorageException>(() => store.GetAsync(cut, key: _key));
        Assert.Equal(StorageError.DataDamaged, refused.Error);
        Assert.Equal(content[..Frame], await store.GetAsync(cut, new(0, Frame - 1), _key));
    }

    [Fact]
    public async Task A_part_that_was_exchanged_for_a_plain_one_is_damage()
    {
        await using var store = Open();
        var manifest = await store.PutAsync(BlobStoreSteps.Bytes(1, 100_000), new() { Key = _key });
        var plain = await store.PutAsync(BlobStoreSteps.Bytes(2, 100_000));
        var mixed = manifest with { Length = 200_000, Parts = [manifest.Parts[0], plain.Parts[0] with { Number = 2 }] };
        var refused = await Assert.ThrowsAsync<StorageException>(() => store.GetAsync(mixed, key: _key));
        Assert.Equal(StorageError.DataDamaged, refused.Error);
        refused = await Assert.ThrowsAsync<StorageException>(() => store.GetAsync(mixed));
        Assert.Equal(StorageError.EncryptionKeyRequired, refused.Error);
    }

    [Fact]
    public async Task Scrub_and_compaction_need_no_key()
    {
        await using var store = Open(Options with { PackBytes = 8 << 20, ChunkBytesMax = 1 << 20 });
        var contents = Enumerable.Range(0, 20).Select(i => BlobStoreSteps.Bytes(i, 1_500_000)).ToArray();
        var manifests = new List<Manifest>();
        foreach (var content in contents) manifests.Add(await store.PutAsync(content, new() { Key = _key }));
        for (var i = 0; i < 20; i += 2) await store.DeleteAsync(manifests[i].Parts[0].Blob, CancellationToken.None);
        Assert.Equal(0, (await store.Drive!.ScrubAsync(default, new(), null, CancellationToken.None)).Damaged);
        Assert.True((await store.Drive!.CompactAsync(new() { LivePercentMax = 90 }, CancellationToken.None)).Packs > 0);
        for (var i = 1; i < 20; i += 2) Assert.Equal(contents[i], await store.GetAsync(manifests[i], key: _key));
    }

    /// <summary>Changes frames of closed packs as one can who knows the format: the checksums are right again afterwards.</summary>
    private sealed class SealedDisk(string folder)
    {
        public byte[] Payload(ManifestPart part, int index)
        {
            var (file, place, header) = Find(part.Blob, index);
            return File.ReadAllBytes(file)[(place + header.PayloadOffset)..(place + header.PayloadOffset + header.Length)];
        }

        public void Replace(ManifestPart part, int index, byte[] payload)
        {
            var (path, place, header) = Find(part.Blob, index);
            Assert.Equal(header.Length, payload.Length);
            var bytes = File.ReadAllBytes(path);
            var frame = bytes.AsSpan(place);
            payload.CopyTo(frame[header.PayloadOffset..]);
            for (var block = 0; block < PackFormat.Blocks(payload.Length); block++)
            {
                var from = block * PackFormat.Block;
                PackFormat.SetBlockChecksum(frame, block, Crc32C.Append(0, payload.AsSpan(from, Math.Min(PackFormat.Block, payload.Length - from))));
            }
            PackFormat.WriteFrameHeader(frame, header, BinaryPrimitives.ReadUInt64LittleEndian(frame[8..]));
            File.WriteAllBytes(path, bytes);
        }

        private (string File, int Place, FrameHeader Header) Find(BlobId blob, int index)
        {
            foreach (var path in Directory.GetFiles(folder, "*.pack"))
            {
                var bytes = File.ReadAllBytes(path);
                Assert.True(PackFormat.TryReadPackHeader(bytes, out var pack));
                for (var place = PackFormat.HeaderBytes; place < bytes.Length; place += PackFormat.Page)
                {
                    if (PackFormat.TryReadFrameHeader(bytes.AsSpan(place), pack.Salt, place, out var header) && header.Blob == blob && header.Index == index)
                        return (path, place, header);
                }
            }
            throw new InvalidOperationException($"There is no chunk {index} of {blob}.");
        }
    }
}
