using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Replicas;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Storage;

/// <summary>The blob store: cuts content into chunks, hashes and seals it on its way into the chunk stores, and reads it back by its manifest. Where the chunks go
/// is another's business: the packs of this node's drive, or the replicas of a cluster.</summary>
public sealed partial class BlobStore : IBlobStore, IAsyncDisposable
{
    private readonly IChunkRoutes _routes;
    private readonly BlobStoreOptions _options;
    private readonly TimeProvider _clock;
    private readonly ChunkMemory _memory;
    private readonly Func<ValueTask> _close;
    private readonly IPlaces? _places;
    private int _disposed;

    private BlobStore(IChunkRoutes routes, PackStore? packs, ChunkMemory memory, BlobStoreOptions options, TimeProvider clock, IPlaces? places, Func<ValueTask> close) =>
        (_routes, Drive, _memory, _options, _clock, _places, _close) = (routes, packs, memory, options, clock, places, close);

    /// <summary>The chunks of this node's own drive; null where it has none.</summary>
    public PackStore? Drive { get; }

    /// <summary>Opens the store of a node that stands alone, as <see cref="PackStore.Open(string, BlobStoreOptions, TimeProvider, ILogger)"/> does.</summary>
    /// <exception cref="StorageStartupException">The directory is in use, of a newer format, or damaged.</exception>
    public static BlobStore Open(string directory, BlobStoreOptions options, TimeProvider clock, ILogger<BlobStore> log) =>
        Over(PackStore.Open(directory, options, clock, log), options, clock);

    /// <summary>The same over another disk: what tests use.</summary>
    internal static BlobStore Open(IChunkDisk disk, Guid id, BlobStoreOptions options, TimeProvider clock, ILogger log, IPlaces? places = null) =>
        Over(PackStore.Open(disk, id, options, clock, log), options, clock, places);

    /// <summary>The store of a cluster's node.</summary>
    /// <param name="drive">The node's own drive, which stays its opener's to dispose, after this store; null for a front end alone. Its memory is the store's then,
    /// so that one bound holds for all.</param>
    /// <param name="options">Those that the drive was opened with.</param>
    /// <param name="places">Where content may be outside; null where none is.</param>
    public static BlobStore OverReplicas(
        PackStore? drive, IChunkPlacement placement, IRepairQueue repairs, ReplicaOptions replicas, BlobStoreOptions options, TimeProvider clock, ILogger<BlobStore> log, IPlaces? places = null)
    {
        var memory = drive?.Memory ?? new ChunkMemory(options.WriteMemoryBytesMax, options.ChunkBytesMax / PackFormat.Block * PackFormat.Block);
        var store = new ReplicaStore(drive, placement, repairs, memory, replicas, clock, log);
        return new(store, drive, memory, options, clock, places, async () =>
        {
            await store.DisposeAsync();
            if (drive is null) memory.Dispose();
        });
    }

    /// <summary>Returns when nothing is under way any more that acknowledged writes did not wait for.</summary>
    internal Task SettledAsync() => ((ReplicaStore)_routes).SettledAsync();

    /// <summary>The store of a node that stands alone, over its drive, which is disposed with it.</summary>
    /// <param name="places">Where content may be outside; null where none is.</param>
    public static BlobStore Over(PackStore packs, BlobStoreOptions options, TimeProvider clock, IPlaces? places = null) => new(packs, packs, packs.Memory, options, clock, places, packs.DisposeAsync);

    /// <inheritdoc/>
    public IBlobWrite BeginWrite(BlobWriteOptions options)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        return new BlobWrite(this, options);
    }

    /// <inheritdoc/>
    public ValueTask DeleteAsync(BlobId blob, CancellationToken ct) => _routes.DeleteAsync(blob, ct);

    /// <inheritdoc/>
    public IReadOnlyList<BlobId> ListBlobs(BlobId after, DateTimeOffset mintedBefore, int max) => _routes.ListBlobs(after, mintedBefore, max);

    /// <summary>Finishes the writes that were handed over, and closes what was opened with this store.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        await _close();
    }
}
