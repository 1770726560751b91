using System.Collections.Concurrent;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;

namespace DarkStorage.Storage.Packs;

/// <remarks>Appending. Invariants: the last chunk waits for a sync; that every earlier one is durable too is checked, not assumed.
/// A chunk that is here already is put right as compaction moves one: the copy is durable before the table points to it, and only then is the old place freed.</remarks>
public sealed partial class PackStore
{
    /// <summary>Content up to this size is hashed and written on the thread that received it, in the lane of the small.</summary>
    internal const int SmallBytes = 256 << 10;

    /// <summary>For how long an answer about the drive's room holds.</summary>
    private static readonly TimeSpan RoomLifetime = TimeSpan.FromMilliseconds(50);

    private readonly ConcurrentDictionary<BlobId, int> _writing = new();
    private long _roomAskedAt;
    private volatile bool _hasRoom = true;

    /// <inheritdoc/>
    internal override ChunkWrite BeginWrite(BlobId blob) => BeginWrite(blob, mayUseCaller: true);

    /// <param name="mayUseCaller">Whether small chunks may be written on the thread that hands them over. Not where that thread has others to look after than this drive, which may hang.</param>
    internal ChunkWrite BeginWrite(BlobId blob, bool mayUseCaller)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        return new PackWrite(this, blob, isNew: false, mayUseCaller);
    }

    BlobId IChunkRoutes.NewId(BlobOwner? owner, Redundancy wanted, long? length) => BlobId.New(_clock);

    ChunkWrite IChunkRoutes.BeginWrite(BlobId blob)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        return new PackWrite(this, blob, isNew: true, mayUseCaller: true);
    }

    ChunkReader IChunkRoutes.BeginRead(System.Collections.Immutable.ImmutableArray<ManifestPart> parts, int first, int end) => BeginRead(parts, first, end);

    /// <summary>Content that goes into the index takes the drive's room too: without this, small objects alone would eat the reserve that deletes need.</summary>
    void IChunkRoutes.RequireRoom()
    {
        if (_clock.GetElapsedTime(Interlocked.Read(ref _roomAskedAt)) > RoomLifetime)
        {
            Interlocked.Exchange(ref _roomAskedAt, _clock.GetTimestamp());
            _hasRoom = FreeBytes > 0;
        }
        if (!_hasRoom) throw new StorageException(StorageError.InsufficientStorage, "The drive has no room but what is kept for deletes.");
    }

    /// <summary>Somebody has begun to write the blob here, or a shard of it, and not ended.</summary>
    internal bool IsBeingWritten(BlobId blob)
    {
        if (!blob.IsStriped || blob.Shard > 0) return _writing.ContainsKey(blob);
        for (var shard = 1; shard <= blob.Redundancy.Width; shard++)
        {
            if (_writing.ContainsKey(blob.OfShard(shard))) return true;
        }
        return false;
    }

    private AppendLane NextLargeLane() => _lanes[1 + (int)((uint)Interlocked.Increment(ref _nextLane) % (uint)(_lanes.Length - 1))];

    private sealed class PackWrite : ChunkWrite
    {
        private readonly PackStore _store;
        private readonly BlobId _blob;
        private readonly List<(Pack Pack, long End)> _touched = [];
        private readonly bool _isNew;
        private readonly bool _mayUseCaller;
        private readonly Queue<Append> _underWay = new(2);
        private List<(Location Old, Append New)>? _replaced;
        private AppendLane? _lane;
        private StorageException? _aborted;
        private bool _disposed;

        /// <param name="isNew">The blob was minted for this write: nothing of it can be here yet.</param>
        public PackWrite(PackStore store, BlobId blob, bool isNew, bool mayUseCaller)
        {
            (_store, _blob, _isNew, _mayUseCaller) = (store, blob, isNew, mayUseCaller);
            store._writing.AddOrUpdate(blob, 1, static (_, writes) => writes + 1);
        }

        public override Task Submit(ChunkBuffer chunk, int index, bool sync, bool isLarge)
        {
            Location old = default;
            var isThere = !_isNew && _store._table.TryGet(_blob, index, out old);
            var append = new Append(_blob, index, chunk, sync) { Entered = !isThere };
            _lane ??= isLarge ? _store.NextLargeLane() : _store._lanes[0];
            _lane.Submit(append, inline: sync && !isLarge && _mayUseCaller);
            lock (_underWay)
            {
                while (_underWay.TryPeek(out var first) && first.Done.IsCompletedSuccessfully) Settle(_underWay.Dequeue());
                _underWay.Enqueue(append);
                if (_aborted is not null) _lane.Withdraw(append, _aborted);
            }
            if (isThere) (_replaced ??= []).Add((old, append));
            return append.Done;
        }

        public override ValueTask CompleteAsync()
        {
            lock (_underWay)
            {
                while (_underWay.TryDequeue(out var append)) Settle(append);
            }
            foreach (var (pack, end) in _touched)
            {
                if (pack.DurableThrough < end)
                    throw new StorageException(StorageError.Unavailable, $"Pack {pack.Number:x} failed before the write was durable.");
            }
            _store._suspicion.Succeeded();
            foreach (var (old, copy) in _replaced ?? [])
            {
                // Where it is no longer at its old place, a compaction or another repair was quicker: one copy is enough.
                _store.Free(_store._table.TryMove(_blob, copy.Index, old, copy.Location) ? old : copy.Location);
                _store.Mended(_blob, copy.Index);
            }
            _replaced = null;
            return ValueTask.CompletedTask;
        }

        public override ValueTask FreeAsync() => _store.DeleteAsync(_blob, CancellationToken.None);

        public override void Abort()
        {
            lock (_underWay)
            {
                if (_aborted is null) _store._suspicion.Failed();     // lest every other write finds out for itself
                _aborted ??= new(StorageError.Unavailable, "The drive was too slow for this write.");
                foreach (var append in _underWay) _lane!.Withdraw(append, _aborted);
            }
        }

        public override ValueTask DisposeAsync()
        {
            if (_disposed) return ValueTask.CompletedTask;
            _disposed = true;
            foreach (var (_, append) in _replaced ?? [])
            {
                if (append.Written) _store.Free(append.Location);
            }
            if (_store._writing.AddOrUpdate(_blob, 0, static (_, writes) => writes - 1) <= 0) _store._writing.TryRemove(new(_blob, 0));
            return ValueTask.CompletedTask;
        }

        private void Settle(Append append)
        {
            if (append.Pack is null) throw new InvalidOperationException("A chunk is still on its way.");
            _touched.Add((append.Pack, append.Location.Offset + append.Location.FrameBytes));
            if (_touched.Count > 1 && _touched[^2].Pack == _touched[^1].Pack) _touched.RemoveAt(_touched.Count - 2);
        }
    }
}
