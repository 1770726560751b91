using DarkStorage.Connectors.Filesystem;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Encryption;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DarkStorage.Unit.Storage;

/// <summary>Content that goes from the drive to a folder outside, is read there, and comes back.</summary>
public sealed class PlacedTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const int Block = 64 << 10;
    private const int Chunk = 4 * Block;
    private static readonly BlobOwner Owner = new(new(1), "key");
    private static readonly BlobStoreOptions Options = new() { ChunkBytesMax = Chunk, PackBytes = 16 << 20, ReservedBytes = 0, ReadAheadBytes = 2 * Block };
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;

    private readonly ScratchDirectory _drive = new();
    private readonly ScratchDirectory _outside = new();
    private readonly DataKey _key = DataKey.Create();
    private readonly Places _places = new();
    private BlobStore _store = null!;

    public async ValueTask InitializeAsync()
    {
        _places.Backend = new FilesystemBackend(_outside.Path, TimeProvider.System);
        await _places.Backend.PrepareAsync(Ct);
        var packs = DarkStorage.Storage.Packs.PackStore.Open(_drive.Path, Options, TimeProvider.System, NullLogger<BlobStore>.Instance);
        _store = BlobStore.Over(packs, Options, TimeProvider.System, _places);
    }

    public async ValueTask DisposeAsync()
    {
        await _store.DisposeAsync();
        await _places.Backend.DisposeAsync();
        _key.Dispose();
        _drive.Dispose();
        _outside.Dispose();
    }

    public static TheoryData<int, bool> Sizes()
    {
        var data = new TheoryData<int, bool>();
        foreach (var edge in new[] { Block, Block - 28, Chunk, 4 * (Block - 28), 3 * Chunk, 40 * Block })
        {
            for (var off = -1; off <= 1; off++)
            {
                data.Add(edge + off, false);
                data.Add(edge + off, true);
            }
        }
        foreach (var few in new[] { 1, 2, 100 })
        {
            data.Add(few, false);
            data.Add(few, true);
        }
        return data;
    }

    [Theory, MemberData(nameof(Sizes))]
    public async Task A_content_of_any_size_is_the_same_outside_and_when_it_is_back(int size, bool isSealed)
    {
        var (content, key) = (BlobStoreSteps.Bytes(size, size), isSealed ? _key : null);
        var there = await SendAsync(await _store.PutAsync(content, new() { ExpectedLength = size, Key = key }));
        Assert.Equal(content, await _store.GetAsync(there, key: key));
        var back = await FetchAsync(there);
        Assert.Null(back.Place);
        Assert.NotEqual(there.Parts[0].Blob, back.Parts[0].Blob);
        Assert.Equal(content, await _store.GetAsync(back, key: key));
        var again = await SendAsync(back);
        Assert.Equal(content, await _store.GetAsync(again, key: key));
        Assert.Equal(content, await _store.GetAsync(await FetchAsync(again), key: key));
    }

    [Theory, InlineData(1, false), InlineData(2, true), InlineData(3, false), InlineData(4, true)]
    public async Task Any_range_of_an_object_of_several_parts_is_that_range(int seed, bool isSealed)
    {
        output.WriteLine($"seed {seed}");
        var (random, key) = (new Random(seed), isSealed ? _key : null);
        var (manifest, all) = await PutPartsAsync(random, key);
        var there = await SendAsync(manifest);
        var back = await FetchAsync(there);
        for (var i = 0; i < 200; i++)
        {
            var first = random.Next(all.Length);
            var last = random.Next(2) == 0 ? Math.Min(all.Length - 1, first + random.Next(100)) : random.Next(first, all.Length);
            Assert.Equal(all[first..(last + 1)], await _store.GetAsync(there, new(first, last), key));
            if (i % 10 == 0) Assert.Equal(all[first..(last + 1)], await _store.GetAsync(back, new(first, last), key));
        }
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task Content_goes_from_one_place_outside_to_another(bool isSealed)
    {
        var key = isSealed ? _key : null;
        var (manifest, all) = await PutPartsAsync(new(9), key);
        var second = await SendAsync(await SendAsync(manifest));
        Assert.Equal(all, await _store.GetAsync(second, key: key));
    }

    [Theory, InlineData(1), InlineData(2), InlineData(3), InlineData(4)]
    public async Task A_byte_that_changed_outside_never_leaves_as_content(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var (manifest, all) = await PutPartsAsync(random, null);
        var there = await SendAsync(manifest);
        var file = FileOf(there);
        var whole = await File.ReadAllBytesAsync(file, Ct);
        for (var i = 0; i < 40; i++)
        {
            var at = random.Next(PlacedFormat.HeaderBytes, whole.Length);
            var changed = whole.ToArray();
            changed[at] ^= (byte)(1 << random.Next(8));
            await File.WriteAllBytesAsync(file, changed, Ct);
            var damaged = await Assert.ThrowsAsync<StorageException>(() => _store.GetAsync(there));
            Assert.Equal(StorageError.DataDamaged, damaged.Error);
            Assert.Equal(StorageError.DataDamaged, (await Assert.ThrowsAsync<StorageException>(() => FetchAsync(there))).Error);
            var first = random.Next(all.Length);
            var last = Math.Min(all.Length - 1, first + random.Next(Block));
            try
            {
                Assert.Equal(all[first..(last + 1)], await _store.GetAsync(there, new(first, last)));
            }
            catch (StorageException e) when (e.Error is StorageError.DataDamaged)
            {
                // The range needs the block that changed.
            }
        }
    }

    [Fact]
    public async Task A_copy_that_is_cut_off_gone_or_another_is_damage()
    {
        var there = await SendAsync(await _store.PutAsync(BlobStoreSteps.Bytes(1, 5 * Block)));
        var other = await SendAsync(await _store.PutAsync(BlobStoreSteps.Bytes(2, 5 * Block)));
        var whole = await File.ReadAllBytesAsync(FileOf(there), Ct);
        await File.WriteAllBytesAsync(FileOf(there), whole[..^1], Ct);
        Assert.Equal(StorageError.DataDamaged, (await Assert.ThrowsAsync<StorageException>(() => _store.GetAsync(there))).Error);
        File.Copy(FileOf(other), FileOf(there), overwrite: true);
        Assert.Equal(StorageError.DataDamaged, (await Assert.ThrowsAsync<StorageException>(() => _store.GetAsync(there))).Error);
        File.Delete(FileOf(there));
        Assert.Equal(StorageError.DataDamaged, (await Assert.ThrowsAsync<StorageException>(() => _store.GetAsync(there))).Error);
    }

    [Theory, InlineData(1), InlineData(2), InlineData(3)]
    public async Task A_place_that_keeps_other_bytes_than_it_was_given_is_found_out_before_anything_is_freed(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var (manifest, all) = await PutPartsAsync(random, null);
        var honest = _places.Backend;
        for (var i = 0; i < 20; i++)
        {
            var length = PlacedFormat.BytesOf(manifest.Parts);
            var (change, reason) = random.Next(3) switch
            {
                0 => ((Func<byte[], byte[]>)(bytes => Flipped(bytes, random.NextInt64(length))), "Other bytes came back"),
                1 => (bytes => bytes[..random.Next(bytes.Length)], "bytes"),
                _ => (bytes => new byte[bytes.Length], "Other bytes came back"),
            };
            _places.Backend = new LyingBackend(honest, change);
            var refused = await Assert.ThrowsAsync<StorageException>(() => SendAsync(manifest));
            Assert.Equal(StorageError.BackendFailed, refused.Error);
            Assert.Contains(reason, refused.Message, StringComparison.Ordinal);
        }
        _places.Backend = honest;
        Assert.Equal(all, await _store.GetAsync(manifest));
    }

    [Theory, InlineData("loses"), InlineData("misdirects"), InlineData("flips")]
    public async Task What_a_drive_has_acknowledged_and_not_kept_of_what_was_fetched_fails_the_move(string lie)
    {
        var disk = new FaultyChunkDisk(new Random(1));
        await using var store = BlobStore.Open(disk, Guid.NewGuid(), Options, TimeProvider.System, NullLogger.Instance, _places);
        var content = BlobStoreSteps.Bytes(1, 5 * Chunk);
        var here = await store.PutAsync(content);
        var move = await store.SendAsync(here, new("nas", BlobId.New(TimeProvider.System)), mayBeCold: false, Ct);
        var there = here with { Place = move.To, Parts = move.Parts };
        var before = store.Drive!.GetStatistics().Blobs;
        if (lie == "loses") disk.LoseWrites = 1;
        else if (lie == "misdirects") disk.MisdirectWrites = 1;
        else disk.BeforeSync = () =>
        {
            disk.BeforeSync = null;
            disk.FlipBit(disk.Packs[0], DarkStorage.Storage.Packs.PackFormat.HeaderBytes + (7 * Chunk)); // behind what was there before
        };
        var refused = await Assert.ThrowsAsync<StorageException>(() => store.FetchAsync(there, Owner, default, Ct));
        Assert.Equal(StorageError.DataDamaged, refused.Error);
        Assert.Contains("does not read back from the drives", refused.Message, StringComparison.Ordinal);
        Assert.Equal((before, 0), (store.Drive.GetStatistics().Blobs, store.Drive.GetStatistics().WriteMemoryBytes));
        Assert.Equal(content, await store.GetAsync(there));
        await using var fetch = await store.FetchAsync(there, Owner, default, Ct);
        Assert.Equal(content, await store.GetAsync(there with { Place = null, Parts = fetch.Move.Parts }));
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task A_bit_that_flips_in_memory_between_the_check_of_what_came_and_the_checksum_of_what_is_stored_fails_the_move(bool isSealed)
    {
        var (content, key) = (BlobStoreSteps.Bytes(1, 5 * Chunk), isSealed ? _key : null);
        var there = await SendAsync(await _store.PutAsync(content, new() { ExpectedLength = content.Length, Key = key }));
        var (honest, before) = (_places.Backend, _store.Drive!.GetStatistics().Blobs);
        _places.Backend = new ForgetfulMemory(honest);
        var refused = await Assert.ThrowsAsync<StorageException>(() => FetchAsync(there));
        Assert.Equal(StorageError.DataDamaged, refused.Error);
        Assert.Contains("Other bytes came back from the drives", refused.Message, StringComparison.Ordinal);
        Assert.Equal((before, 0), (_store.Drive.GetStatistics().Blobs, _store.Drive.GetStatistics().WriteMemoryBytes));
        _places.Backend = honest;
        Assert.Equal(content, await _store.GetAsync(await FetchAsync(there), key: key));
    }

    [Fact]
    public async Task What_was_fetched_counts_as_orphaned_from_half_of_the_age_on_by_the_clock_also_where_no_time_passed_for_this_machine_and_where_the_clock_was_set_back()
    {
        var clock = new SuspendedTime();
        await using var store = BlobStore.Open(new FaultyChunkDisk(new Random(1)), Guid.NewGuid(), Options, clock, NullLogger.Instance, _places);
        var here = await store.PutAsync(BlobStoreSteps.Bytes(1, Chunk));
        var move = await store.SendAsync(here, new("nas", BlobId.New(clock)), mayBeCold: false, Ct);
        await using var fetch = await store.FetchAsync(here with { Place = move.To, Parts = move.Parts }, Owner, default, Ct);
        var (day, second) = (TimeSpan.FromDays(1), TimeSpan.FromSeconds(1));
        Assert.False(fetch.MayCountAsOrphaned(day));
        clock.Ahead = (day / 2) - second;
        Assert.False(fetch.MayCountAsOrphaned(day));
        clock.Ahead = day / 2;
        Assert.True(fetch.MayCountAsOrphaned(day));
        clock.Ahead = -second;
        Assert.True(fetch.MayCountAsOrphaned(day));
    }

    [Fact]
    public async Task What_was_fetched_and_not_kept_is_freed_and_takes_no_memory()
    {
        var there = await SendAsync(await _store.PutAsync(BlobStoreSteps.Bytes(1, 5 * Chunk)));
        var before = _store.Drive!.GetStatistics().Blobs;
        await using (await _store.FetchAsync(there, Owner, default, Ct)) Assert.Equal(before + 1, _store.Drive.GetStatistics().Blobs);
        Assert.Equal((before, 0), (_store.Drive.GetStatistics().Blobs, _store.Drive.GetStatistics().WriteMemoryBytes));
    }

    [Fact]
    public async Task Content_that_was_deleted_outside_is_gone_and_deleting_it_again_succeeds()
    {
        var there = await SendAsync(await _store.PutAsync(BlobStoreSteps.Bytes(1, Chunk)));
        for (var i = 0; i < 2; i++) await _store.DeleteAsync(_places.Backend, there.Place!.Blob, Ct);
        Assert.False(File.Exists(FileOf(there)));
    }

    private string FileOf(Manifest manifest) => Path.Combine(_outside.Path, PlacedFormat.NameOf(manifest.Place!.Blob).ToString());

    private async Task<Manifest> SendAsync(Manifest manifest)
    {
        var move = await _store.SendAsync(manifest, new("nas", BlobId.New(TimeProvider.System)), mayBeCold: false, Ct);
        Assert.Equal(manifest.Place, move.From);
        return manifest with { Place = move.To, Parts = move.Parts };
    }

    private async Task<Manifest> FetchAsync(Manifest manifest)
    {
        await using var fetch = await _store.FetchAsync(manifest, Owner, default, Ct);
        fetch.Keep();
        Assert.Equal((manifest.Place, null), (fetch.Move.From, fetch.Move.To));
        return manifest with { Place = null, Parts = fetch.Move.Parts };
    }

    private async Task<(Manifest Manifest, byte[] Content)> PutPartsAsync(Random random, DataKey? key)
    {
        var (parts, whole) = (new List<BlobContent>(), new List<byte>());
        foreach (var length in new[] { random.Next(1, 3 * Chunk), 1, random.Next(1, 3 * Chunk), Chunk, random.Next(1, 12 * Chunk) })
        {
            var content = BlobStoreSteps.Bytes(random.Next(), length);
            await using var write = _store.BeginWrite(new() { Key = key });
            parts.Add(await write.CopyFromAsync(BlobStoreSteps.Reader(content), Ct));
            write.Keep();
            whole.AddRange(content);
        }
        return (BlobStoreSteps.ManifestOf([.. parts]), [.. whole]);
    }

    /// <summary>A clock that goes on while timers and time stamps stand still, as on a machine that was suspended.</summary>
    private sealed class SuspendedTime : TimeProvider
    {
        private readonly DateTimeOffset _start = new(2026, 3, 1, 0, 0, 0, TimeSpan.Zero);

        public TimeSpan Ahead { get; set; }

        public override DateTimeOffset GetUtcNow() => _start + Ahead;
    }

    private sealed class Places : IPlaces
    {
        public IBackend Backend { get; set; } = null!;

        public ValueTask<IBackend> OpenAsync(string integration, bool anew, CancellationToken ct) => new(Backend);

        public ValueTask<IBackend> OpenForWritingAsync(string integration, CancellationToken ct) => new(Backend);
    }

    private static byte[] Flipped(byte[] bytes, long at)
    {
        bytes[at] ^= 1;
        return bytes;
    }

    /// <summary>A real folder, but that it keeps something else than was put there, and says nothing.</summary>
    private sealed class LyingBackend(IBackend inner, Func<byte[], byte[]> change) : OtherBackend(inner)
    {
        public override async Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct)
        {
            await using var stream = await content.OpenAsync(0, ct);
            var bytes = new byte[content.Length];
            await stream.ReadExactlyAsync(bytes, ct);
            return await base.PutAsync(name, BlobSource.Of(change(bytes)), ct);
        }
    }

    /// <summary>A real folder, and memory in which a bit of each first block flips when the next one comes.</summary>
    private sealed class ForgetfulMemory(IBackend inner) : OtherBackend(inner)
    {
        public override async Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct) => new Flipping(await base.OpenAsync(name, range, ct));

        private sealed class Flipping(Stream inner) : ReadOnlyStream
        {
            private Memory<byte> _first;
            private int _reads;

            public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
            {
                var read = await inner.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken);
                if (_reads++ == 0) _first = buffer;
                else if (_reads == 2) _first.Span[100] ^= 1;
                return read;
            }

            public override async ValueTask DisposeAsync()
            {
                await inner.DisposeAsync();
                await base.DisposeAsync();
            }
        }
    }

    private abstract class OtherBackend(IBackend inner) : IBackend
    {
        public BackendTraits Traits => inner.Traits;

        public Task PrepareAsync(CancellationToken ct) => inner.PrepareAsync(ct);

        public virtual Task<BackendBlob> PutAsync(BlobName name, BlobSource content, CancellationToken ct) => inner.PutAsync(name, content, ct);

        public virtual Task<Stream> OpenAsync(BlobName name, ByteRange range, CancellationToken ct) => inner.OpenAsync(name, range, ct);

        public Task<BackendBlob?> StatAsync(BlobName name, CancellationToken ct) => inner.StatAsync(name, ct);

        public Task DeleteAsync(BlobName name, CancellationToken ct) => inner.DeleteAsync(name, ct);

        public IAsyncEnumerable<BackendBlob> ListAsync(string prefix, CancellationToken ct) => inner.ListAsync(prefix, ct);

        public Task<BackendBlob> CopyAsync(BlobName from, BlobName to, CancellationToken ct) => inner.CopyAsync(from, to, ct);

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }
}
