using System.Collections.Concurrent;
using System.ComponentModel.DataAnnotations;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Storage.Packs;

/// <summary>The chunks of one drive, as checksummed frames in append-only pack files (docs/FORMATS.md, "Packs").</summary>
/// <remarks>Invariants: a write that was acknowledged lies before <see cref="Pack.DurableThrough"/> of every pack it touched.
/// No byte leaves whose block did not match, in a frame that names this blob, this chunk and this place.
/// A pack an earlier process wrote is never appended to. The table of locations is a cache; the frames are the truth.</remarks>
public sealed partial class PackStore : ChunkStore, IChunkRoutes, IAsyncDisposable
{
    internal const string PacksFolder = "packs";

    private readonly IChunkDisk _disk;
    private readonly StoreDirectory? _directory;
    private readonly Guid _id;
    private readonly BlobStoreOptions _options;
    private readonly TimeProvider _clock;
    private readonly ILogger _log;
    private readonly LocationTable _table = new();
    private readonly ConcurrentDictionary<uint, Pack> _packs = new();
    private readonly ConcurrentDictionary<Task, bool> _background = new();
    private readonly ChunkMemory _memory;
    private readonly int _chunkBytesMax;
    private readonly Suspicion _suspicion;
    private readonly AppendLane[] _lanes;
    private uint _lastPack;
    private int _nextLane;
    private int _disposed;

    private PackStore(IChunkDisk disk, StoreDirectory? directory, Guid id, BlobStoreOptions options, TimeProvider clock, ILogger log)
    {
        Validator.ValidateObject(options, new ValidationContext(options), validateAllProperties: true);
        (_disk, _directory, _id, _options, _clock, _log) = (disk, directory, id, options, clock, log);
        // A chunk must fit into the smallest pack there can be.
        _chunkBytesMax = (int)Math.Min(options.ChunkBytesMax, PackBytesMin / 2) / PackFormat.Block * PackFormat.Block;
        if (options.PackBytes >= 4L * options.ChunkBytesMax) _chunkBytesMax = options.ChunkBytesMax / PackFormat.Block * PackFormat.Block;
        _memory = new(options.WriteMemoryBytesMax, _chunkBytesMax);
        _suspicion = new(clock);
        _meter = CreateMeter();
        try
        {
            Recover();
        }
        catch
        {
            _meter.Dispose();
            throw;
        }
        _lanes = new AppendLane[1 + options.LargeLanes];
        for (var i = 0; i < _lanes.Length; i++) _lanes[i] = new(this, $"packs-{(i == 0 ? "small" : $"large-{i}")}");
    }

    /// <summary>Smallest pack that is made when the drive is nearly full.</summary>
    private const long PackBytesMin = 8L << 20;

    /// <summary>Identity of the store, made with its directory.</summary>
    public override Guid Id => _id;

    /// <inheritdoc/>
    public override bool IsSuspect => _suspicion.Is;

    /// <summary>The memory in which chunks are filled that are to be written here.</summary>
    internal ChunkMemory Memory => _memory;

    /// <summary>Opens the store in a directory, or makes one there, and reads where everything is. Takes about a second for a full terabyte of large chunks.</summary>
    /// <param name="directory">Held by this process until the store is disposed.</param>
    /// <exception cref="StorageStartupException">The directory is in use, of a newer format, or damaged.</exception>
    public static PackStore Open(string directory, BlobStoreOptions options, TimeProvider clock, ILogger log)
    {
        ArgumentNullException.ThrowIfNull(options);
        var held = StoreDirectory.Open(directory);
        FileChunkDisk? disk = null;
        try
        {
            disk = new(Path.Combine(directory, PacksFolder));
            return new(disk, held, held.Store, options, clock, log);
        }
        catch (Exception e)
        {
            disk?.Dispose();
            held.Dispose();
            if (e is IOException or UnauthorizedAccessException)
                throw new StorageStartupException($"The packs in {directory} can't be read: {e.Message}", e);
            throw;
        }
    }

    /// <summary>The same over another disk: what tests use.</summary>
    internal static PackStore Open(IChunkDisk disk, Guid id, BlobStoreOptions options, TimeProvider clock, ILogger log) =>
        new(disk, null, id, options, clock, log);

    /// <inheritdoc/>
    public override ValueTask<IReadOnlyList<BlobId>> ListBlobsAsync(BlobId after, DateTimeOffset mintedBefore, int max, CancellationToken ct) =>
        new(ListBlobs(after, mintedBefore, max));

    /// <inheritdoc/>
    public override ValueTask<IReadOnlyList<StoredChunk>> ListChunksAsync(BlobId blob, int from, int max, CancellationToken ct) =>
        new(_table.ListChunks(blob, from, max));

    /// <summary>As <see cref="ListBlobsAsync"/>.</summary>
    public IReadOnlyList<BlobId> ListBlobs(BlobId after, DateTimeOffset mintedBefore, int max)
    {
        while (true)
        {
            var page = _table.List(after, mintedBefore, max);
            // Asked after the table: a write that is not under way any more was committed or freed before, so the index knows which.
            var settled = page.Where(b => !IsBeingWritten(b)).ToList();
            if (settled.Count > 0 || page.Count == 0) return settled;
            after = page[^1];
        }
    }

    /// <summary>Finishes the writes that were handed over, seals the open packs, and lets the directory go.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        await Task.Run(() =>
        {
            foreach (var lane in _lanes) lane.Dispose();
        });
        while (!_background.IsEmpty) await Task.WhenAll(_background.Keys);
        _meter.Dispose();
        foreach (var pack in _packs.Values) pack.Release();
        _memory.Dispose();
        _disk.Dispose();
        _directory?.Dispose();
    }

    /// <summary>Makes a pack that takes at least one frame of this size. Its header is durable when it returns.</summary>
    /// <exception cref="DiskFullException">There is no room, or only what the options reserve.</exception>
    internal unsafe Pack CreatePack(long frameBytes)
    {
        var smallest = Math.Max(PackBytesMin, PackFormat.AlignUp(PackFormat.HeaderBytes + frameBytes));
        var free = _disk.FreeBytes - _options.ReservedBytes;
        if (free < smallest) throw new DiskFullException();
        // Near the end each lane takes half of what is left, so that none takes it all.
        var bytes = Math.Max(smallest, Math.Min(_options.PackBytes, free / 2) & ~(long)(PackFormat.Page - 1));
        var number = Interlocked.Increment(ref _lastPack);
        var salt = MemoryMarshal.Read<ulong>(RandomNumberGenerator.GetBytes(sizeof(ulong)));
        IPackFile? file = null;
        var header = (byte*)NativeMemory.AlignedAlloc(PackFormat.HeaderBytes, PackFormat.Page);
        try
        {
            file = _disk.Create(Pack.NameOf(number), bytes);
            var pages = new Span<byte>(header, PackFormat.HeaderBytes);
            PackFormat.WritePackHeader(pages[..PackFormat.Page], new(PackFormat.Version, _id, number, _clock.GetUtcNow(), salt));
            pages[..PackFormat.Page].CopyTo(pages[PackFormat.Page..]);
            file.Write(0, [new(header, PackFormat.HeaderBytes)]);
            file.Sync();
            _disk.SyncDirectory();
            var pack = new Pack(number, salt, file, bytes) { DurableThrough = PackFormat.HeaderBytes, Entries = [] };
            _packs[number] = pack;
            LogPackCreated(_log, number, bytes);
            return pack;
        }
        catch (IOException)
        {
            if (file is not null)
            {
                file.Dispose();
                TryDelete(Pack.NameOf(number));
            }
            throw;
        }
        finally
        {
            NativeMemory.AlignedFree(header);
        }
    }

    /// <summary>Enters a chunk that was written: it can be read from now on, and counts as live.</summary>
    internal void Enter(Append append)
    {
        var pack = append.Pack!;
        pack.AddLive(append.Location.FrameBytes);
        append.Written = true;
        var entries = pack.Entries!;
        lock (entries) entries.Add(new(append.Blob, append.Index, append.Location));
        if (!append.Entered) return;
        // A repair may have brought the chunk while its own writer was still on the way here: one place stays, the other is dead.
        var lost = _table.Add(append.Blob, append.Index, append.Location);
        if (lost.Length > 0 && _packs.TryGetValue(lost.Pack, out var other)) other.AddLive(-lost.FrameBytes);
    }

    /// <summary>A lane is done with a pack: cuts what was preallocated and not used, and writes its index, beside the lane's own work.</summary>
    internal void SealPack(Pack pack)
    {
        pack.State = PackState.Sealing;
        InBackground(() => FinishSealing(pack));
    }

    private void FinishSealing(Pack pack)
    {
        try
        {
            pack.File.EndWriting();
            pack.File.Truncate(pack.Position);
            if (!pack.Failed) WriteIndex(pack, pack.Entries!);
        }
        catch (IOException e)
        {
            LogSealFailed(_log, pack.Number, e);     // the next start reads the frames instead
        }
        pack.Entries = null;
        pack.State = PackState.Sealed;
        RetireIfDead(pack);
    }

    private void WriteIndex(Pack pack, List<PackEntry> entries)
    {
        // The index lists every frame; which were deleted since, a start sees from the holes. Where there are none it must read the frames.
        // (Leaving out what the table does not point to would lose a copy that compaction has written but not switched to yet.)
        if (!_disk.PunchesHoles) return;
        _disk.WriteWhole(pack.IndexName, PackIndex.Write(pack.Number, pack.Salt, pack.Position, entries));
    }

    private void InBackground(Action work)
    {
        var task = new Task(work);
        _background[task] = true;
        _ = task.ContinueWith(static (done, state) => ((ConcurrentDictionary<Task, bool>)state!).TryRemove(done, out _),
            _background, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        task.Start(TaskScheduler.Default);
    }

    private bool TryAcquire(uint number, out Pack pack) => _packs.TryGetValue(number, out pack!) && pack.TryAcquire();

    private void TryDelete(string name)
    {
        try
        {
            _disk.Delete(name);
        }
        catch (IOException e)
        {
            LogDeleteFailed(_log, name, e);
        }
    }
}
