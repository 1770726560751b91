using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;
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
    private readonly IAsyncDisposable _owned;
    private int _disposed;

    /// <param name="memory">Where chunks are filled: the drive's own where there is one, so that one bound holds for all.</param>
    /// <param name="owned">Disposed with this store.</param>
    internal BlobStore(IChunkRoutes routes, PackStore? packs, ChunkMemory memory, BlobStoreOptions options, TimeProvider clock, IAsyncDisposable owned) =>
        (_routes, Drive, _memory, _options, _clock, _owned) = (routes, packs, memory, options, clock, owned);

    /// <summary>The chunks of this node's own drive; null where it has none.</summary>
    public PackStore? Drive { get; }

    /// <summary>Opens the store of a node that stands alone, as <see cref="PackStore.Open(string, BlobStoreOptions, TimeProvider, ILogger)"/> does.</summary>
    /// <exception cref="StorageStartupException">The directory is in use, of a newer format, or damaged.</exception>
    public static BlobStore Open(string directory, BlobStoreOptions options, TimeProvider clock, ILogger<BlobStore> log) =>
        Over(PackStore.Open(directory, options, clock, log), options, clock);

    /// <summary>The same over another disk: what tests use.</summary>
    internal static BlobStore Open(IChunkDisk disk, Guid id, BlobStoreOptions options, TimeProvider clock, ILogger log) =>
        Over(PackStore.Open(disk, id, options, clock, log), options, clock);

    private static BlobStore Over(PackStore packs, BlobStoreOptions options, TimeProvider clock) => new(packs, packs, packs.Memory, options, clock, packs);

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
        await _owned.DisposeAsync();
    }
}
