using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Replicas;

internal sealed partial class ReplicaStore
{
    /// <summary>Reads chunks from the nearest replica that has them.</summary>
    /// <remarks>Invariants: a place that failed for a chunk is not asked for it again; only when none is left, by the layout as it is then, does the read fail. What a slow place sends after
    /// another was quicker is thrown away with its reader.</remarks>
    private sealed class ReplicaReader : ChunkReader
    {
        private readonly ReplicaStore _store;
        private readonly ImmutableArray<ManifestPart> _parts;
        private readonly int _firstPart;
        private readonly int _endPart;
        private ImmutableArray<ReadPlace> _layout = [];     // what the places were made of
        private Place[] _places = [];
        private Place? _current;
        private bool _served;       // the current place gave something of this chunk
        private BlobId _blob;
        private int _index;
        private int _length;
        private int _end;
        private int _block;         // of the read that could not be answered
        private bool _isOpen;

        private sealed class Place(ReadPlace place)
        {
            public readonly ChunkStore Store = place.Store;
            public readonly bool ShouldHold = place.ShouldHold;
            public ChunkReader? Reader;
            public StorageException? Failure;
        }

        public ReplicaReader(ReplicaStore store, ImmutableArray<ManifestPart> parts, int first, int end) =>
            (_store, _parts, _firstPart, _endPart) = (store, parts, first, end);

        public override bool Fetches => true;

        public override bool IsOpen => _isOpen;

        public override void Open(BlobId blob, int index, int length, int end)
        {
            if (blob == _blob || !TrySettle(blob))
            {
                // Damage is of one chunk, and who could not be reached may be there again; a place that lacks the blob is left alone while this blob is read.
                foreach (var place in _places)
                {
                    if (blob != _blob || place.Failure is not { Error: StorageError.NoSuchKey }) place.Failure = null;
                }
            }
            (_blob, _index, _length, _end, _isOpen, _served) = (blob, index, length, end, true, false);
            // Whoever served the chunk before serves this one, unless this node's own drive can again.
            if (_current is null || _current.Failure is not null || _places is [{ Store: PackStore, Failure: null }, ..]) _current = Next();
            if (_current is not null) OpenAt(_current);
        }

        public override int Read(int block, Span<byte> destination, bool mayBlock, bool verify)
        {
            _block = block;
            if (_current is null) return -1;
            var read = _current.Reader!.Read(block, destination, mayBlock: false, verify);
            if (read > 0) _served = true;
            return read;
        }

        public override bool Matches(int block, ReadOnlySpan<byte> stored) => _current?.Reader?.Matches(block, stored) ?? true;

        public override void Fail(string problem, int attempt)
        {
            if (_current is null) throw Damaged(_blob, _index, problem);
            try
            {
                _current.Reader!.Fail(problem, attempt);
            }
            catch (StorageException e)
            {
                GiveUp(_current, e);
                Turn();
            }
        }

        public override async ValueTask FetchAsync(CancellationToken ct)
        {
            while (true)
            {
                ct.ThrowIfCancellationRequested();
                if (_current is null) Turn();
                if (!_served)
                {
                    await FetchFirstAsync(ct);
                    if (_current is not null) return;
                    continue;
                }
                try
                {
                    await _current.Reader!.FetchAsync(ct);
                    return;
                }
                catch (StorageException e)
                {
                    GiveUp(_current, e);
                    _current = null;
                }
            }
        }

        public override void Ahead(int offset, long bytes) => _current?.Reader?.Ahead(offset, bytes);

        public override void Close()
        {
            _isOpen = false;
            foreach (var place in _places) place.Reader?.Close();
        }

        public override async ValueTask DisposeAsync()
        {
            _isOpen = false;
            foreach (var place in _places)
            {
                if (place.Reader is not null) await place.Reader.DisposeAsync();
                place.Reader = null;
            }
            _places = [];
        }

        /// <summary>Gets the first stretch from the current place, or from another where that takes too long. There is no current place when both failed.</summary>
        private async ValueTask FetchFirstAsync(CancellationToken ct)
        {
            var first = _current!;
            using var firstCancel = CancellationTokenSource.CreateLinkedTokenSource(ct);
            var fetching = TimedFetchAsync(first, firstCancel.Token);
            if (!fetching.IsCompleted)
            {
                using var timer = new CancellationTokenSource();
                await Task.WhenAny(fetching, Task.Delay(_store.HedgeAfter(first.Store), _store._clock, timer.Token));
                await timer.CancelAsync();
            }
            if (fetching.IsCompleted || Next(not: first) is not { } second)
            {
                _current = await EndAsync(first, fetching, ct) ? first : null;
                return;
            }
            _store._hedges.Add(1);
            OpenAt(second);
            using var secondCancel = CancellationTokenSource.CreateLinkedTokenSource(ct);
            var other = TimedFetchAsync(second, secondCancel.Token);
            try
            {
                var otherWon = await Task.WhenAny(fetching, other) == other && !fetching.IsCompletedSuccessfully;
                var (winner, won, loser, lost, lostCancel) = otherWon ? (second, other, first, fetching, firstCancel) : (first, fetching, second, other, secondCancel);
                if (won.IsCompletedSuccessfully)
                {
                    _current = winner;
                    await lostCancel.CancelAsync();
                    LeaveBehind(loser, lost);
                    return;
                }
                await EndAsync(winner, won, ct);
                _current = await EndAsync(loser, lost, ct) ? loser : null;
            }
            catch
            {
                // Cancelled, or a defect: nobody may be fetching when the readers go.
                await firstCancel.CancelAsync();
                await secondCancel.CancelAsync();
                await fetching.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                await other.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                throw;
            }
        }

        private async Task TimedFetchAsync(Place place, CancellationToken ct)
        {
            var began = _store._clock.GetTimestamp();
            await place.Reader!.FetchAsync(ct);
            _store.TimesOf(place.Store).Add(_store._clock.GetElapsedTime(began));
        }

        /// <returns>Whether the place gave what was wanted. If not it was given up.</returns>
        private async ValueTask<bool> EndAsync(Place place, Task fetching, CancellationToken ct)
        {
            try
            {
                await fetching;
                return true;
            }
            catch (StorageException e)
            {
                ct.ThrowIfCancellationRequested();
                GiveUp(place, e);
                return false;
            }
        }

        /// <summary>Takes the reader from a place that was too slow. It ends by itself; should the place be needed again it gets another.</summary>
        private void LeaveBehind(Place place, Task fetching)
        {
            var reader = place.Reader!;
            place.Reader = null;
            _store.InBackground(EndOfReaderAsync());

            async Task EndOfReaderAsync()
            {
                await fetching.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                await reader.DisposeAsync();
            }
        }

        private void GiveUp(Place place, StorageException e)
        {
            place.Failure = e;
            place.Reader?.Close();
            _store._elsewhere.Add(1);
            LogElsewhere(_store._log, _index, _blob, place.Store.Id, e.Message);
            if (e.Error == StorageError.DataDamaged && place.Store != _store._local) _store.Note(_blob, place.Store, RepairReason.Damaged);
            if (e.Error == StorageError.NoSuchKey && place.ShouldHold) _store.Note(_blob, place.Store, RepairReason.Missing);
        }

        private StorageException NoneLeft()
        {
            var asked = _places.All(static place => place.Failure is { Error: StorageError.DataDamaged or StorageError.NoSuchKey });
            var all = string.Join(" ", _places.Select(static place => place.Failure?.Message));
            return asked && _places.Length > 0
                ? new(StorageError.DataDamaged, $"Chunk {_index} of blob {_blob} is whole on no replica. {all}")
                : new(StorageError.Unavailable, $"Chunk {_index} of blob {_blob} could not be read, and not all replicas could be asked. {all}");
        }

        /// <summary>Goes on with the next place.</summary>
        /// <exception cref="StorageException">There is none.</exception>
        [MemberNotNull(nameof(_current))]
        private void Turn()
        {
            // A layout that settled while this blob is read may have freed it where it was.
            _current = Next() ?? (TrySettle(_blob) ? Next() : null) ?? throw NoneLeft();
            OpenAt(_current);
            _served = false;
        }

        private Place? Next(Place? not = null) =>
            _places.FirstOrDefault(place => place != not && place.Failure is null && !place.Store.IsSuspect)
            ?? _places.FirstOrDefault(place => place != not && place.Failure is null);

        private void OpenAt(Place place)
        {
            place.Reader ??= place.Store is PackStore packs
                ? new LocalReader((PackStore.PackReader)packs.BeginRead(_parts, _firstPart, _endPart))
                : place.Store.BeginRead(_parts, _firstPart, _endPart);
            place.Reader.Open(_blob, _index, _length, _end);
            _ = place.Reader.Read(_block, default, mayBlock: false, verify: true);
        }

        /// <summary>Takes the places of a blob by the layout as it is now. Readers of places that are the same are kept.</summary>
        /// <returns>False where they are those that there are already.</returns>
        private bool TrySettle(BlobId blob)
        {
            var layout = _store._placement.ForRead(blob);
            if (layout.SequenceEqual(_layout)) return false;
            var before = _places;
            _layout = layout;
            _places = [.. layout.Select(static p => new Place(p))];
            foreach (var left in before)
            {
                if (left.Reader is null) continue;
                var same = _places.FirstOrDefault(p => p.Store == left.Store);
                if (same is not null) same.Reader = left.Reader;
                else LeaveBehind(left, Task.CompletedTask);
            }
            _current = null;
            return true;
        }
    }
}
