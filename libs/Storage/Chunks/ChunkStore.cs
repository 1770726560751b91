using System.Collections.Immutable;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Chunks;

/// <summary>The chunks that one node keeps: those of its own drive, or those of a peer.</summary>
/// <remarks>Invariants: a chunk whose append was acknowledged is on the medium; no byte is handed out whose block did not match its checksum.</remarks>
public abstract class ChunkStore
{
    /// <summary>Identity of the store, made with its directory.</summary>
    public abstract Guid Id { get; }

    /// <summary>It failed a moment ago, or was too slow, and not for the first time: another replica is the better choice where there is one.</summary>
    public abstract bool IsSuspect { get; }

    /// <summary>Frees the chunks of a blob, of one that is striped all its shards that are here, or the one shard that is named. Freeing one that is not there succeeds. Not durable by itself:
    /// ask again after a crash.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>: the store could not be asked.</exception>
    public abstract ValueTask DeleteAsync(BlobId blob, CancellationToken ct);

    /// <summary>Blobs, and shards of blobs, that have chunks here and were minted before a time, in the order of their ids. Those with a write under way are left out.</summary>
    /// <param name="after">Only ids greater than this one; default for the first page.</param>
    /// <param name="max">1 to <see cref="ListMax"/>.</param>
    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>: the store could not be asked.</exception>
    public abstract ValueTask<IReadOnlyList<BlobId>> ListBlobsAsync(BlobId after, DateTimeOffset mintedBefore, int max, CancellationToken ct);

    /// <summary>Which chunks of a blob are here, in the order of their indices.</summary>
    /// <param name="from">The least index.</param>
    /// <param name="max">1 to <see cref="ListMax"/>.</param>
    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>: the store could not be asked.</exception>
    public abstract ValueTask<IReadOnlyList<StoredChunk>> ListChunksAsync(BlobId blob, int from, int max, CancellationToken ct);

    /// <summary>The most that one page of a listing has.</summary>
    public const int ListMax = 10_000;

    /// <summary>Begins to append chunks of one blob. The blob counts as being written until the answer is disposed.</summary>
    internal abstract ChunkWrite BeginWrite(BlobId blob);

    /// <summary>Begins to read chunks of some blobs, which are not freed before the answer is disposed.</summary>
    internal abstract ChunkReader BeginRead(ImmutableArray<ManifestPart> parts, int first, int end);

    /// <summary>Begins to read chunks of one blob, or of a shard of one.</summary>
    internal ChunkReader BeginRead(BlobId blob) => BeginRead([new(1, blob, 0, "", null, [])], 0, 1);
}

/// <summary>One chunk of a blob in one store.</summary>
/// <param name="Length">Bytes as stored.</param>
public readonly record struct StoredChunk(int Index, int Length);

/// <summary>One blob on its way into a store, or into several.</summary>
/// <remarks>Invariant: a chunk's memory is not touched any more once its task has ended, however it ended.</remarks>
internal abstract class ChunkWrite : IAsyncDisposable
{
    /// <summary>Hands a chunk over; its header is the store's to fill.</summary>
    /// <param name="sync">Whether this chunk and all before it are to be durable; otherwise only the memory is to be free again.</param>
    /// <param name="isLarge">Whether the blob is known to be large: then the caller's thread is not used.</param>
    /// <returns>Ends when the caller's hold on the memory may go, and with <paramref name="sync"/> when the chunks are durable as far as the write can see
    /// (<see cref="CompleteAsync"/> says it for certain). At most two are under way at once.</returns>
    public abstract Task Submit(ChunkBuffer chunk, int index, bool sync, bool isLarge);

    /// <summary>Asked when the tasks of all chunks have ended and the last was to be durable.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>: not all that was handed over is durable.</exception>
    public abstract ValueTask CompleteAsync();

    /// <summary>Frees all that was stored of the blob.</summary>
    public abstract ValueTask FreeAsync();

    /// <summary>Gives the write up because it was too slow: its tasks fail, but for those of what is with a disk already, which take their time.</summary>
    public virtual void Abort() { }

    /// <summary>The blob is no longer being written.</summary>
    public abstract ValueTask DisposeAsync();
}

/// <summary>Reads chunks, one at a time, block by block. Not for use by two threads at once.</summary>
internal abstract class ChunkReader : IAsyncDisposable
{
    /// <summary>Stands for a read of a block that did not match its checksum, or whose frame is not the right one.</summary>
    public const int Mismatch = -2;

    /// <summary>Whether what a read would have to wait for is fetched by <see cref="FetchAsync"/>; otherwise the read itself waits when it may.</summary>
    public virtual bool Fetches => false;

    /// <summary>A chunk is open.</summary>
    public abstract bool IsOpen { get; }

    /// <summary>Opens a chunk.</summary>
    /// <param name="length">Bytes that it has at rest.</param>
    /// <param name="end">Its bytes before this place are going to be wanted.</param>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: it is missing, or has another length.</exception>
    public abstract void Open(BlobId blob, int index, int length, int end);

    /// <summary>Reads whole blocks; the last one of the chunk may be shorter.</summary>
    /// <param name="mayBlock">Whether the disk may be waited for.</param>
    /// <param name="verify">Whether the caller wants the checksums looked at here, and does not prove the bytes in another way.</param>
    /// <returns>Bytes read, a part of what was asked for or all; -1 where it would have to be waited for; <see cref="Mismatch"/>.</returns>
    /// <exception cref="IOException">The disk can't read it.</exception>
    public abstract int Read(int block, Span<byte> destination, bool mayBlock, bool verify);

    /// <summary>Whether a block that was read without verifying matches its checksum.</summary>
    public abstract bool Matches(int block, ReadOnlySpan<byte> stored);

    /// <summary>What the last <see cref="Read"/> gave is not what was stored: closes the chunk, to be opened again if this returns.</summary>
    /// <param name="problem">What is wrong, as a predicate.</param>
    /// <param name="attempt">How often this was said before of the same bytes.</param>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: there is nowhere else to read it.</exception>
    public abstract void Fail(string problem, int attempt);

    /// <summary>Gets what the last <see cref="Read"/> would have had to wait for.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>, <see cref="StorageError.Unavailable"/>.</exception>
    public virtual ValueTask FetchAsync(CancellationToken ct) => ValueTask.CompletedTask;

    /// <summary>A hint that these bytes of the open chunk are read next.</summary>
    public virtual void Ahead(int offset, long bytes) { }

    /// <summary>Done with the chunk.</summary>
    public abstract void Close();

    public abstract ValueTask DisposeAsync();

    /// <summary>Reads and verifies whole blocks of one chunk, waiting for them where it has to. The chunk is opened where it is not, and closed behind its end.</summary>
    /// <param name="into">Room for one block at least.</param>
    /// <returns>Bytes read: some blocks, or all that fit.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>, <see cref="StorageError.Unavailable"/>.</exception>
    internal async ValueTask<int> ReadBlocksAsync(BlobId blob, int index, int length, int block, Memory<byte> into, CancellationToken ct)
    {
        into = into[..Math.Min(into.Length, length - (block * PackFormat.Block))];
        if (into.Length < length - (block * PackFormat.Block)) into = into[..(into.Length / PackFormat.Block * PackFormat.Block)];
        var mayBlock = false;
        for (var attempt = 0; ;)
        {
            ct.ThrowIfCancellationRequested();
            if (!IsOpen) Open(blob, index, length, length);
            string problem;
            try
            {
                var read = Read(block, into.Span, mayBlock, verify: true);
                if (read > 0)
                {
                    if ((block * PackFormat.Block) + read == length) Close();
                    return read;
                }
                if (read == -1)
                {
                    if (Fetches) await FetchAsync(ct);
                    else await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                    mayBlock = !Fetches;
                    continue;
                }
                problem = "does not match its checksum";
            }
            catch (IOException e)
            {
                problem = $"can't be read ({e.Message})";
            }
            Fail(problem, attempt++);
        }
    }

    protected static StorageException Damaged(BlobId blob, int index, string problem) =>
        new(StorageError.DataDamaged, $"Chunk {index} of blob {blob} {problem}.");
}

/// <summary>Where the blob store's chunks go to and come from: one drive, or the replicas of a cluster.</summary>
internal interface IChunkRoutes
{
    /// <summary>The id of a blob that is about to be written.</summary>
    /// <param name="owner">Null where nothing is going to be stored.</param>
    /// <param name="length">Bytes of its content, where that is known.</param>
    BlobId NewId(BlobOwner? owner, Redundancy wanted, long? length);

    ChunkWrite BeginWrite(BlobId blob);

    ChunkReader BeginRead(ImmutableArray<ManifestPart> parts, int first, int end);

    ValueTask DeleteAsync(BlobId blob, CancellationToken ct);

    /// <summary>Of this node's own drive.</summary>
    IReadOnlyList<BlobId> ListBlobs(BlobId after, DateTimeOffset mintedBefore, int max);

    /// <summary>Asked before content goes into an index that may lie on the same drive.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.InsufficientStorage"/>.</exception>
    void RequireRoom();
}
