using System.Buffers;
using System.Collections.Immutable;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage;

/// <remarks>Moving content between the drives and places outside, as it is stored: sealed content stays sealed, and nobody's key is asked for. Invariant: the bytes that were moved were verified where they were read, and
/// again where they are now, before anybody is told of the new place.</remarks>
public sealed partial class BlobStore
{
    /// <inheritdoc/>
    public async Task<ContentMove> SendAsync(Manifest manifest, ContentPlace place, bool mayBeCold, CancellationToken ct)
    {
        if (manifest.Parts.IsDefaultOrEmpty) throw new ArgumentException("The content is in the index, or there is none.", nameof(manifest));
        var from = await OpenPlaceOfAsync(manifest, ct);
        var to = await OpenPlaceForWritingAsync(place.Integration, ct);
        if (to.Traits.IsCold && !mayBeCold) throw new StorageException(StorageError.BackendFailed, $"{place.Integration} keeps cold what it gets, and only a tier of the class GLACIER or DEEP_ARCHIVE may be there.");
        try
        {
            var name = PlacedFormat.NameOf(place.Blob);
            await to.PutAsync(name, new PlacedSource(manifest.Parts, place.Blob, () => BeginRead(manifest, from)), ct);
            await VerifyAsync(to, name, place, manifest.Parts, ct);
            await to.SettleAsync(name, ct);
        }
        catch (BackendException e) when (e.Error is BackendError.Cold)
        {
            throw new StorageException(StorageError.BackendFailed, $"{place.Integration} keeps what it gets where it can't be read at once, so it could not be verified: {e.Message}", e);
        }
        catch (BackendException e)
        {
            throw new StorageException(StorageError.BackendFailed, e.Message, e);
        }
        return new(manifest.Place, place, manifest.Parts);
    }

    /// <inheritdoc/>
    public async Task<IContentFetch> FetchAsync(Manifest manifest, BlobOwner owner, Redundancy redundancy, CancellationToken ct)
    {
        if (manifest.Place is not { } place) throw new ArgumentException("The content is on the drives.", nameof(manifest));
        var from = await OpenPlaceAsync(place.Integration, anew: false, ct);
        var fetch = new ContentFetch(_routes, _clock);
        using var came = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        try
        {
            var parts = ImmutableArray.CreateBuilder<ManifestPart>(manifest.Parts.Length);
            for (var part = 0; part < manifest.Parts.Length; part++) parts.Add(await FetchAsync(manifest, from, part, owner, redundancy, fetch, came, ct));
            var move = new ContentMove(place, null, parts.MoveToImmutable());
            await VerifyAsync(move, came.GetHashAndReset(), ct);
            fetch.Move = move;
            return fetch;
        }
        catch
        {
            await fetch.DisposeAsync();
            throw;
        }
    }

    /// <inheritdoc/>
    public async Task<bool> WarmUpAsync(ContentPlace place, WarmUpSpeed speed, TimeSpan keep, CancellationToken ct)
    {
        var (backend, name) = (await OpenPlaceAsync(place.Integration, anew: false, ct), PlacedFormat.NameOf(place.Blob));
        return await ToldAsync(async () =>
        {
            await backend.WarmUpAsync(name, speed, keep, ct);
            return await backend.StatAsync(name, ct) is { Warmth: BlobWarmth.Readable };
        });
    }

    /// <inheritdoc/>
    public async Task CoolDownAsync(ContentPlace place, CancellationToken ct)
    {
        // Some places copy it.
        var backend = await OpenPlaceForWritingAsync(place.Integration, ct);
        await ToldAsync(async () =>
        {
            await backend.SettleAsync(PlacedFormat.NameOf(place.Blob), ct);
            return true;
        });
    }

    /// <inheritdoc/>
    public Task DeleteAsync(IBackend place, BlobId blob, CancellationToken ct) => ToldAsync(async () =>
    {
        await place.DeleteAsync(PlacedFormat.NameOf(blob), ct);
        return true;
    });

    private static async Task<T> ToldAsync<T>(Func<Task<T>> ask)
    {
        try
        {
            return await ask();
        }
        catch (BackendException e)
        {
            throw new StorageException(StorageError.BackendFailed, e.Message, e);
        }
    }

    /// <param name="came">Gets the checksum of each block as it came from outside.</param>
    private async Task<ManifestPart> FetchAsync(Manifest manifest, IBackend from, int number, BlobOwner owner, Redundancy redundancy, ContentFetch fetch, IncrementalHash came, CancellationToken ct)
    {
        var part = manifest.Parts[number];
        var chunks = part.Chunks.Sum(run => run.Count);
        var stored = part.Chunks.Sum(run => (long)run.Count * run.Length);
        var blob = _routes.NewId(owner, redundancy, part.Length);
        var moved = part with { Blob = blob, SealedAs = stored == part.Length ? null : part.SealId };
        if (chunks == 0) return moved;
        // Ended before the next part begins: who is about to change the layout waits for writes under way. From then on the blob is one that nobody knows, and is an orphan's age away from being freed.
        await using var write = _routes.BeginWrite(blob);
        fetch.Add(blob);
        await using var reader = new PlacedReader(from, manifest.Place!, manifest.Parts, PlacedFormat.BytesOf(manifest.Parts[..(number + 1)]), came);
        var index = 0;
        var bytes = ArrayPool<byte>.Shared.Rent(StepBytes);
        _memory.BeginWrite();
        try
        {
            foreach (var length in part.Chunks.SelectMany(run => Enumerable.Repeat(run.Length, run.Count)))
            {
                // Chunks keep their bounds: the frames of sealed content end where they do.
                using var chunk = new ChunkBuffer(_memory, length, length, whole: true);
                for (var at = 0; at < length;)
                {
                    var read = await reader.ReadBlocksAsync(part.Blob, index, length, at / PackFormat.Block, bytes, ct);
                    chunk.Append(bytes.AsSpan(0, read), length - at - read);
                    at += read;
                }
                var isLast = index == chunks - 1;
                chunk.Finish(isLast);
                await write.Submit(chunk, index, sync: isLast, isLarge: true);
                index++;
            }
            await write.CompleteAsync();
            return moved;
        }
        finally
        {
            _memory.EndWrite();
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    /// <summary>Reads back all that was put, block by block.</summary>
    private static async Task VerifyAsync(IBackend backend, BlobName name, ContentPlace place, ImmutableArray<ManifestPart> parts, CancellationToken ct)
    {
        var length = PlacedFormat.BytesOf(parts);
        var frames = new PlacedFrames(parts);
        frames.Seek(PlacedFormat.HeaderBytes);
        var bytes = ArrayPool<byte>.Shared.Rent(PlacedFormat.FrameBytes);
        try
        {
            await using var stream = await backend.OpenAsync(name, ByteRange.All(length), ct);
            var header = bytes.AsMemory(0, PlacedFormat.HeaderBytes);
            await stream.ReadExactlyAsync(header, ct);
            if (!PlacedFormat.HeaderMatches(header.Span, place.Blob, length)) throw Other(place, 0);
            for (; !frames.IsAtEnd; frames.Next())
            {
                var frame = bytes.AsMemory(0, frames.Length + PlacedFormat.ChecksumBytes);
                await stream.ReadExactlyAsync(frame, ct);
                if (!PlacedFormat.FrameMatches(frame.Span, place.Blob, frames.Offset)) throw Other(place, frames.Offset);
            }
        }
        catch (EndOfStreamException e)
        {
            throw BackendException.WrongLength(name, length, frames.Offset, e);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    /// <summary>Reads back all that was fetched, as any reader would get it, block by block, and compares the checksums that it would have outside with those that came from there: whatever changed between the two, on the drive or
    /// in memory, does not pass.</summary>
    /// <param name="came">Digest of the checksums that came.</param>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: it is not on the drives as it came. <see cref="StorageError.Unavailable"/>: it could not be read.</exception>
    private async Task VerifyAsync(ContentMove move, byte[] came, CancellationToken ct)
    {
        var (from, parts) = (move.From!, move.Parts);
        var frames = new PlacedFrames(parts);
        frames.Seek(PlacedFormat.HeaderBytes);
        using var kept = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var bytes = ArrayPool<byte>.Shared.Rent(PlacedFormat.FrameBytes);
        try
        {
            await using var stream = await new PlacedSource(parts, from.Blob, () => _routes.BeginRead(parts, 0, parts.Length)).OpenAsync(PlacedFormat.HeaderBytes, ct);
            for (; !frames.IsAtEnd; frames.Next())
            {
                var frame = bytes.AsMemory(0, frames.Length + PlacedFormat.ChecksumBytes);
                await stream.ReadExactlyAsync(frame, ct);
                kept.AppendData(frame.Span[^PlacedFormat.ChecksumBytes..]);
            }
        }
        catch (StorageException e) when (e.Error is StorageError.DataDamaged)
        {
            throw new StorageException(StorageError.DataDamaged, $"What came from {from.Integration}, blob {from.Blob}, does not read back from the drives, and stays there: {e.Message}", e);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
        if (!kept.GetHashAndReset().AsSpan().SequenceEqual(came)) throw new StorageException(StorageError.DataDamaged, $"Other bytes came back from the drives than came from {from.Integration}, blob {from.Blob}, which stays there.");
    }

    private static BackendException Other(ContentPlace place, long offset) => new(BackendError.Damaged, $"Other bytes came back from {place.Integration} than were put there, at byte {offset} of blob {place.Blob}.");

    private async ValueTask<IBackend?> OpenPlaceOfAsync(Manifest manifest, CancellationToken ct) => manifest.Place is { } place ? await OpenPlaceAsync(place.Integration, anew: false, ct) : null;

    private ValueTask<IBackend> OpenPlaceAsync(string integration, bool anew, CancellationToken ct) => _places?.OpenAsync(integration, anew, ct) ?? throw NoPlaces(integration);

    private ValueTask<IBackend> OpenPlaceForWritingAsync(string integration, CancellationToken ct) => _places?.OpenForWritingAsync(integration, ct) ?? throw NoPlaces(integration);

    private static StorageException NoPlaces(string integration) => new(StorageError.Unavailable, $"Content is at {integration}, and this store knows no places outside.");

    /// <param name="outside">The backend that has the bytes; null where they lie on the cluster's own drives.</param>
    private ChunkReader BeginRead(Manifest manifest, IBackend? outside) => outside is null
        ? _routes.BeginRead(manifest.Parts, 0, manifest.Parts.Length)
        : new PlacedReader(outside, manifest.Place!, manifest.Parts, PlacedFormat.BytesOf(manifest.Parts));

    private sealed class ContentFetch(IChunkRoutes routes, TimeProvider clock) : IContentFetch
    {
        private readonly List<BlobId> _blobs = [];
        private bool _isKept;

        public ContentMove Move { get; set; } = null!;

        public void Add(BlobId blob) => _blobs.Add(blob);

        public bool MayCountAsOrphaned(TimeSpan orphanAge)
        {
            var now = clock.GetUtcNow();
            return _blobs.Exists(blob => now - blob.Minted >= orphanAge / 2 || blob.Minted > now);
        }

        public void Keep() => _isKept = true;

        public async ValueTask DisposeAsync()
        {
            if (_isKept) return;
            foreach (var blob in _blobs) await routes.DeleteAsync(blob, CancellationToken.None);
            _blobs.Clear();
        }
    }
}
