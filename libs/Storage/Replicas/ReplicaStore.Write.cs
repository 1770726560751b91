using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.ErasureCoding;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Replicas;

internal sealed partial class ReplicaStore
{
    /// <summary>One blob on its way to all its replicas, each chunk from the one memory that it was filled in; or cut into shards, each to the node that is to have it.</summary>
    /// <remarks>Invariants: a replica that failed once gets nothing more of this blob and does not count. Each replica holds a chunk's memory, or its shard's, until it is done with it.
    /// Below a node with a shard counts as a replica: what differs is only what is handed to it.</remarks>
    private sealed class ReplicaWrite : ChunkWrite
    {
        private readonly ReplicaStore _store;
        private readonly BlobId _blob;
        private readonly WriteLease _lease;
        private readonly ErasureCode? _code;        // null where each replica gets all
        private readonly int _quorum;
        private readonly Replica[] _replicas;
        private readonly Lock _lock = new();
        private readonly long _began;
        private TimeSpan _waited;       // for replicas that the quorum had no need of
        private long _lagBytes;
        private bool _acknowledged;
        private bool _unwanted;

        private sealed class Replica(WritePlace place, ChunkWrite? write)
        {
            public readonly ChunkStore Store = place.Store;
            public readonly int Shard = place.Shard;
            public readonly ChunkWrite? Write = write;      // null where it was not tried
            public readonly TaskCompletionSource GivenUp = new(TaskCreationOptions.RunContinuationsAsynchronously);
            public StorageException? Failure;
            public Task Last = Task.CompletedTask;      // ends when all chunks that were handed to it have
        }

        /// <summary>One chunk on its way.</summary>
        private sealed class Handed(long bytes)
        {
            public readonly long Bytes = bytes;     // of memory that is held for it
            public readonly TaskCompletionSource Quorum = new(TaskCreationOptions.RunContinuationsAsynchronously);
            public readonly TaskCompletionSource All = new(TaskCreationOptions.RunContinuationsAsynchronously);
            public readonly HashSet<Replica> UnderWay = [];
            public int Done;
            public long Charged;
        }

        public ReplicaWrite(ReplicaStore store, BlobId blob)
        {
            var lease = store._placement.BeginWrite(blob);
            var (places, quorum) = lease.Places;
            (_store, _blob, _lease, _quorum, _began) = (store, blob, lease, quorum, store._clock.GetTimestamp());
            if (blob.IsStriped) _code = ErasureCode.Create(blob.Redundancy.Data, blob.Redundancy.Parity);
            if (_quorum < 1 || _quorum > places.Length)
            {
                lease.Dispose();
                throw new StorageException(StorageError.Unavailable, $"There are {places.Length} places for blob {blob}, and {_quorum} must have a blob.");
            }
            // One that fails again and again is left out, unless it is needed.
            var trusted = places.Count(static place => !place.Store.IsSuspect);
            _replicas = [.. places.Select(place => trusted >= _quorum && place.Store.IsSuspect
                ? new Replica(place, null) { Failure = new(StorageError.Unavailable, "It failed a moment ago.") }
                : new Replica(place, BeginWrite(place)))];

            ChunkWrite BeginWrite(WritePlace place) => place.Store is PackStore drive
                ? drive.BeginWrite(blob.OfShard(place.Shard), mayUseCaller: places.Length == 1)
                : place.Store.BeginWrite(blob.OfShard(place.Shard));
        }

        public override Task Submit(ChunkBuffer chunk, int index, bool sync, bool isLarge)
        {
            List<Replica> to;
            lock (_lock)
            {
                to = [.. _replicas.Where(static replica => replica.Failure is null)];
                if (to.Count < _quorum) return Task.FromException(TooFew());
            }
            var shards = _code is null ? null : Stripe.Cut(chunk, _code, _store._memory);
            var handed = new Handed(shards is null ? chunk.FrameBytes : shards.Sum(static shard => shard.FrameBytes));
            lock (_lock) handed.UnderWay.UnionWith(to);
            foreach (var replica in to)
            {
                var part = chunk;
                if (shards is null) chunk.Hold();
                else part = shards[replica.Shard - 1];
                Task done;
                try
                {
                    done = replica.Write!.Submit(part, index, sync, isLarge);
                }
                catch (StorageException e)
                {
                    done = Task.FromException(e);
                }
                replica.Last = FollowAsync(replica, part, done, handed, sync);
            }
            if (shards is not null)
            {
                foreach (var left in _replicas.Except(to)) shards[left.Shard - 1].Dispose();
            }
            return WaitAsync(handed, sync);
        }

        public override async ValueTask CompleteAsync()
        {
            if (!_lease.TryComplete()) throw new StorageException(StorageError.Unavailable, $"The cluster's layout changed while blob {_blob} was written, and waited for it for as long as it could.");
            List<Replica> missed;
            lock (_lock)
            {
                _acknowledged = true;       // whoever fails from now on is noted where it fails
                missed = [.. _replicas.Where(static replica => replica.Failure is not null)];
            }
            foreach (var replica in missed)
            {
                Missed(replica);
                await _store._repairs.EnqueueAsync(new(_blob, replica.Store.Id, RepairReason.Missed), CancellationToken.None);
            }
            // The layout may have changed since the write began: whoever is to have the blob now and was not written to is told to fetch it.
            foreach (var place in _store._placement.ForWrite(_blob).Places.Where(p => _replicas.All(r => r.Store.Id != p.Store.Id || r.Shard != p.Shard)))
                await _store._repairs.EnqueueAsync(new(_blob, place.Store.Id, RepairReason.Missed), CancellationToken.None);
        }

        public override ValueTask FreeAsync()
        {
            lock (_lock) (_acknowledged, _unwanted) = (false, true);     // freed when it ends, replica by replica
            return ValueTask.CompletedTask;
        }

        public override ValueTask DisposeAsync()
        {
            _store.InBackground(EndAsync());
            return ValueTask.CompletedTask;
        }

        private async Task WaitAsync(Handed handed, bool sync)
        {
            await handed.Quorum.Task;
            while (true)
            {
                TimeSpan patience;
                lock (_lock)
                {
                    if (handed.UnderWay.Count == 0 || handed.Charged > 0) return;
                    var bytes = handed.Bytes;
                    // The last chunk is followed by none, so the write's own bound means nothing there; and its writer waits for the quorum only.
                    if ((sync || _lagBytes == 0 || _lagBytes + bytes <= _store._options.LagBytesMax / 4) && _store._lag.TryTake(bytes))
                    {
                        (handed.Charged, _lagBytes) = (bytes, _lagBytes + bytes);
                        return;
                    }
                    patience = sync ? TimeSpan.Zero : _store._options.LagPatience + (_store._clock.GetElapsedTime(_began) / 4) - _waited;
                    if (patience <= TimeSpan.Zero)
                    {
                        foreach (var laggard in handed.UnderWay.ToList()) Drop(laggard);
                        return;
                    }
                }
                var began = _store._clock.GetTimestamp();
                using var timer = new CancellationTokenSource();
                await Task.WhenAny(handed.All.Task, Task.Delay(patience, _store._clock, timer.Token));
                await timer.CancelAsync();
                lock (_lock) _waited += _store._clock.GetElapsedTime(began) * 1.25;
            }
        }

        /// <summary>Goes on without a replica.</summary>
        private void Drop(Replica replica)
        {
            if (replica.Failure is null) Failed(replica, new(StorageError.Unavailable, "It was too slow for this write."));
            replica.Write!.Abort();
        }

        private async Task FollowAsync(Replica replica, ChunkBuffer part, Task done, Handed handed, bool sync)
        {
            var before = replica.Last;
            StorageException? failure = null;
            try
            {
                if (replica.Store is PackStore && _replicas.Length > 1) await WaitForDriveAsync(replica, done, handed);
                await done;
                if (sync)
                {
                    await before;
                    await replica.Write!.CompleteAsync();
                }
            }
            catch (StorageException e)
            {
                failure = e;
            }
            catch (Exception e)     // a defect of one replica's way is not to hang the write
            {
                failure = new(StorageError.Unavailable, e.Message, e);
            }
            part.Dispose();
            lock (_lock)
            {
                if (failure is not null && replica.Failure is null) Failed(replica, failure);
                handed.UnderWay.Remove(replica);
                if (replica.Failure is null && ++handed.Done == _quorum) handed.Quorum.TrySetResult();
                EndIfTooFew(handed);
                if (handed.UnderWay.Count == 0)
                {
                    handed.All.TrySetResult();
                    if (handed.Charged > 0) _store._lag.Return(handed.Charged);
                    _lagBytes -= handed.Charged;
                }
            }
            await before;       // which a drive may have in hand still, though this one was taken back from it
        }

        /// <summary>A drive that hangs says nothing, and what it has in hand nobody can take from it: past its time the write goes on without it. A peer has such a time for itself.</summary>
        private async Task WaitForDriveAsync(Replica replica, Task done, Handed handed)
        {
            if (done.IsCompleted) return;
            await done.WaitAsync(_store._options.DriveTimeout, _store._clock).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (done.IsCompleted) return;
            lock (_lock)
            {
                Drop(replica);
                EndIfTooFew(handed);
            }
        }

        /// <summary>Under the lock.</summary>
        private void EndIfTooFew(Handed handed)
        {
            if (handed.Done + handed.UnderWay.Count(static replica => replica.Failure is null) < _quorum) handed.Quorum.TrySetException(TooFew());
        }

        /// <summary>Under the lock.</summary>
        private void Failed(Replica replica, StorageException e)
        {
            replica.Failure = e;
            replica.GivenUp.TrySetResult();
            if (!_acknowledged) return;
            Missed(replica);
            _store.Note(_blob, replica.Store, RepairReason.Missed);
        }

        private void Missed(Replica replica)
        {
            _store._missed.Add(1);
            LogMissed(_store._log, _blob, replica.Store.Id, replica.Failure!.Message);
        }

        private StorageException TooFew()
        {
            var failures = _replicas.Select(static replica => replica.Failure).OfType<StorageException>().ToList();
            var error = failures.Count > 0 && failures.All(static e => e.Error == StorageError.InsufficientStorage) ? StorageError.InsufficientStorage : StorageError.Unavailable;
            return new(error, $"{_replicas.Length - failures.Count} of {_replicas.Length} replicas could be written, {_quorum} must be: {failures.FirstOrDefault()?.Message}", failures.FirstOrDefault());
        }

        /// <summary>Ends the write, and what it holds of the layout once all replicas but those that failed are to be seen in listings. One that failed is in the repair queue; what it was given before
        /// may arrive at any time, or never, and no layout waits for that: a movement finds the blob with the others, and what turns up where it no longer belongs is freed there.</summary>
        private async Task EndAsync()
        {
            var ending = _replicas.Where(static replica => replica.Write is not null).Select(replica => (Replica: replica, Task: EndAsync(replica))).ToList();
            await Task.WhenAll(ending.Select(static end => Task.WhenAny(end.Task, end.Replica.GivenUp.Task)));
            _lease.Dispose();
            await Task.WhenAll(ending.Select(static end => end.Task));
        }

        /// <summary>Ends the write on a replica once that has answered for its chunks: not before, lest one is entered there after the blob was freed.</summary>
        private async Task EndAsync(Replica replica)
        {
            await replica.Last;
            try
            {
                if (_unwanted) await replica.Write!.FreeAsync();
                await replica.Write!.DisposeAsync();
            }
            catch (StorageException e)
            {
                LogNotFreed(_store._log, _blob, replica.Store.Id, e.Message);
            }
        }
    }
}
