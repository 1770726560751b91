using System.Buffers;
using System.Collections.Immutable;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.ErasureCoding;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Replicas;

internal sealed partial class ReplicaStore
{
    /// <summary>Reads content of which some parts are striped: each by the reader that its blob wants.</summary>
    private sealed class PartsReader(ReplicaStore store, ImmutableArray<ManifestPart> parts, int firstPart, int endPart) : ChunkReader
    {
        private ReplicaReader? _copies;
        private StripeReader? _stripes;
        private ChunkReader? _current;

        public override bool Fetches => true;

        public override bool IsOpen => _current is { IsOpen: true };

        public override void Open(BlobId blob, int index, int length, int end)
        {
            _current = blob.IsStriped ? _stripes ??= new(store) : _copies ??= new(store, parts, firstPart, endPart);
            _current.Open(blob, index, length, end);
        }

        public override int Read(int block, Span<byte> destination, bool mayBlock, bool verify) => _current!.Read(block, destination, mayBlock, verify);

        public override bool Matches(int block, ReadOnlySpan<byte> stored) => _current!.Matches(block, stored);

        public override void Fail(string problem, int attempt) => _current!.Fail(problem, attempt);

        public override ValueTask FetchAsync(CancellationToken ct) => _current!.FetchAsync(ct);

        public override void Ahead(int offset, long bytes) => _current?.Ahead(offset, bytes);

        public override void Close() => _current?.Close();

        public override async ValueTask DisposeAsync()
        {
            if (_copies is not null) await _copies.DisposeAsync();
            if (_stripes is not null) await _stripes.DisposeAsync();
        }
    }

    /// <summary>Reads chunks that were cut into shards: a stretch from the data shard that has it, and where that can't be had in time, made again out of others.</summary>
    /// <remarks>Invariants: what is computed with matched its checksums. A place that failed for a chunk is not asked for it again. What a place is still busy with is
    /// left alone until it has answered: its memory is its own.</remarks>
    private sealed class StripeReader(ReplicaStore store) : ChunkReader
    {
        private const int WindowBytes = 256 << 10;

        private ImmutableArray<ReadPlace> _layout = [];     // what the sources were made of
        private Source[] _sources = [];
        private ErasureCode? _code;
        private BlobId _blob;
        private int _index;
        private int _length;
        private int _end;
        private int _shardBytes;
        private bool _isOpen;
        private int _wanted;        // where the read is that could not be answered
        private byte[]? _window;
        private int _windowFrom;
        private int _windowEnd;

        /// <summary>One shard at one place.</summary>
        private sealed class Source(ReadPlace place, BlobId id)
        {
            public readonly ChunkStore Store = place.Store;
            public readonly int Shard = place.Shard - 1;
            public readonly bool ShouldHold = place.ShouldHold;
            public readonly BlobId Id = id;
            public ChunkReader? Reader;
            public StorageException? Failure;
            public Task? Busy;              // with a read that was not waited for
            public byte[]? Bytes;           // what was read last, from the beginning of a block on
            public int From;
            public int To;
            public int OpenIndex = -1;
            public int OpenEnd;

            public Memory<byte> Read(int from, int count) => from >= From && from + count <= To
                ? Bytes.AsMemory(from - From, count)
                : throw new InvalidOperationException($"Bytes {From} to {To} of a shard were read, and {count} from {from} are asked for.");
        }

        public override bool Fetches => true;

        public override bool IsOpen => _isOpen;

        public override void Open(BlobId blob, int index, int length, int end)
        {
            if (blob != _blob) TrySettle(blob);
            foreach (var source in _sources)
            {
                // Damage is of one chunk, and who could not be reached may be there again, unless it failed again and again: each is asked for its own shard. A place that lacks the shard is left
                // alone while this blob is read.
                if (source.Failure is { Error: StorageError.DataDamaged or StorageError.ChecksumMismatch } or { Error: not StorageError.NoSuchKey } && !source.Store.IsSuspect) source.Failure = null;
            }
            (_index, _length, _end, _shardBytes, _isOpen) = (index, length, end, Stripe.ShardBytes(length, _code!.Data), true);
            (_windowFrom, _windowEnd) = (0, 0);
        }

        public override int Read(int block, Span<byte> destination, bool mayBlock, bool verify)
        {
            _wanted = block * PackFormat.Block;
            if (_wanted < _windowFrom || _wanted >= _windowEnd) return -1;
            var count = Math.Min(destination.Length, _windowEnd - _wanted);
            _window.AsSpan(_wanted - _windowFrom, count).CopyTo(destination);
            return count;
        }

        public override bool Matches(int block, ReadOnlySpan<byte> stored) => true;     // what is in the window did

        public override void Fail(string problem, int attempt)
        {
            Close();
            throw Damaged(_blob, _index, problem);
        }

        public override async ValueTask FetchAsync(CancellationToken ct)
        {
            _window ??= ArrayPool<byte>.Shared.Rent(WindowBytes);
            (_windowFrom, _windowEnd) = (0, 0);
            var count = Math.Min(WindowBytes, Math.Max(_end, Math.Min(_length, _wanted + PackFormat.Block)) - _wanted);
            // One stretch lies in one shard, but for those that cross a border, and chunks so short that they are read whole.
            var stretches = new List<(int Shard, int From, int Count, int At)>(2);
            for (var at = 0; at < count;)
            {
                var (shard, from) = Math.DivRem(_wanted + at, _shardBytes);
                var bytes = Math.Min(_shardBytes - from, count - at);
                stretches.Add((shard, from, bytes, at));
                at += bytes;
            }
            var direct = await Task.WhenAll(stretches.Select(s => FromShardAsync(s.Shard, s.From, s.Count, ct)));
            // First what is there: to make the rest, the same places read other stretches into the same memory.
            for (var i = 0; i < direct.Length; i++) direct[i]?.Read(stretches[i].From, stretches[i].Count).CopyTo(_window.AsMemory(stretches[i].At));
            for (var i = 0; i < direct.Length; i++)
            {
                if (direct[i] is null) await RebuildAsync(stretches[i].Shard, stretches[i].From, _window.AsMemory(stretches[i].At, stretches[i].Count), ct);
            }
            (_windowFrom, _windowEnd) = (_wanted, _wanted + count);
        }

        public override void Close()
        {
            _isOpen = false;
            foreach (var source in _sources)
            {
                if (source.Busy is null) source.Reader?.Close();
                source.OpenIndex = -1;
            }
        }

        public override async ValueTask DisposeAsync()
        {
            _isOpen = false;
            foreach (var source in _sources) await LeaveAsync(source);
            _sources = [];
            if (_window is not null) ArrayPool<byte>.Shared.Return(_window);
            _window = null;
        }

        /// <returns>A place that has read the stretch; null where none has in time.</returns>
        private async Task<Source?> FromShardAsync(int shard, int from, int count, CancellationToken ct)
        {
            foreach (var source in _sources)
            {
                if (source.Shard == shard && IsUsable(source) && (await AskAsync([source], from, count, EndOf(shard), ct)).Count > 0) return source;
            }
            return null;
        }

        /// <summary>Makes a stretch of a shard out of the same stretch of others.</summary>
        private async Task RebuildAsync(int shard, int from, Memory<byte> into, CancellationToken ct)
        {
            store._elsewhere.Add(1);
            var have = new Dictionary<int, Source>();
            while (have.Count < _code!.Data)
            {
                var others = _sources.Where(s => s.Shard != shard && !have.ContainsKey(s.Shard) && IsUsable(s)).OrderBy(static s => s.Store.IsSuspect).DistinctBy(static s => s.Shard)
                    .Take(_code.Data - have.Count).ToList();
                if (others.Count > 0)
                {
                    foreach (var source in await AskAsync(others, from, into.Length, EndOf(shard), ct)) have[source.Shard] = source;
                    continue;
                }
                // Nobody else is left: those that were slow, then, the shard's own place among them.
                if (await FromShardAsync(shard, from, into.Length, ct) is { } late)
                {
                    late.Read(from, into.Length).CopyTo(into);
                    return;
                }
                var busy = _sources.Where(static s => s.Busy is not null).ToList();
                if (busy.Count == 0)
                {
                    // A layout that settled while this blob is read may have freed it where it was.
                    if (!TrySettle(_blob)) throw NoneLeft();
                    have.Clear();
                    continue;
                }
                await Task.WhenAny(busy.Select(static s => s.Busy!)).WaitAsync(ct);
            }
            var memory = new Memory<byte>[_code.Shards];
            var present = ShardSet.None;
            foreach (var (number, source) in have) (memory[number], present) = (source.Read(from, into.Length), present.With(number));
            memory[shard] = into;
            _code.Reconstruct(memory, present, ShardSet.Of(shard));
        }

        /// <summary>Reads the same stretch from some places at once. One that is slow is not waited for, unless all are.</summary>
        /// <returns>Those that have read it.</returns>
        private async Task<List<Source>> AskAsync(List<Source> asked, int from, int count, int end, CancellationToken ct)
        {
            var reading = asked.Select(source => (Source: source, Task: TimedReadAsync(source, from, count, end, ct))).ToList();
            var all = Task.WhenAll(reading.Select(static r => r.Task));
            if (!all.IsCompleted && _sources.Any(s => !asked.Contains(s) && s is { Failure: null, Busy: null or { IsCompleted: true } }))
            {
                using var timer = new CancellationTokenSource();
                await Task.WhenAny(all, Task.Delay(asked.Max(s => store.HedgeAfter(s.Store)), store._clock, timer.Token));
                await timer.CancelAsync();
                if (!all.IsCompleted) store._hedges.Add(1);
            }
            else
            {
                await all.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
            var (ended, done) = (new List<Source>(asked.Count), new List<Source>(asked.Count));
            foreach (var (source, task) in reading)
            {
                // Whoever is still at it is marked before anything can throw.
                if (task.IsCompleted) ended.Add(source);
                else source.Busy = task;
            }
            foreach (var (source, task) in reading)
            {
                if (ended.Contains(source) && await HasReadAsync(source, task, ct)) done.Add(source);
            }
            return done;
        }

        private async Task TimedReadAsync(Source source, int from, int count, int end, CancellationToken ct)
        {
            var began = store._clock.GetTimestamp();
            await ReadAsync(source, from, count, end, ct);
            store.TimesOf(source.Store).Add(store._clock.GetElapsedTime(began));
        }

        private async Task ReadAsync(Source source, int from, int count, int end, CancellationToken ct)
        {
            source.Reader ??= BeginRead(source.Store, source.Id);
            source.Bytes ??= ArrayPool<byte>.Shared.Rent(WindowBytes + (2 * PackFormat.Block));
            source.From = source.To = from / PackFormat.Block * PackFormat.Block;
            var (index, shardBytes) = (_index, _shardBytes);    // another chunk may be open before this ends
            if (source.OpenIndex != index || source.OpenEnd < end)
            {
                source.Reader.Close();
                source.Reader.Open(source.Id, index, shardBytes, end);
                (source.OpenIndex, source.OpenEnd) = (index, end);
            }
            for (var at = source.From; at < from + count;)
            {
                var into = source.Bytes.AsMemory(at - source.From, Math.Min(shardBytes, AlignUp(from + count)) - at);
                var read = source.Reader.Read(at / PackFormat.Block, into.Span, mayBlock: false, verify: true);
                if (read < 0)
                {
                    await source.Reader.FetchAsync(ct);
                    read = source.Reader.Read(at / PackFormat.Block, into.Span, mayBlock: false, verify: true);
                    if (read <= 0) throw Damaged(source.Id, index, "does not match its checksum");
                }
                at += read;
                source.To = at;
            }
        }

        /// <returns>Whether the place gave what was wanted. If not it was given up.</returns>
        private async ValueTask<bool> HasReadAsync(Source source, Task reading, CancellationToken ct)
        {
            try
            {
                await reading;
                return true;
            }
            catch (StorageException e)
            {
                ct.ThrowIfCancellationRequested();
                GiveUp(source, e);
                return false;
            }
        }

        /// <summary>Nothing is known against it, and it is not busy. What it was busy with, and has ended, is looked at here.</summary>
        private bool IsUsable(Source source)
        {
            if (source.Busy is { IsCompleted: true } ended)
            {
                source.Busy = null;
                source.OpenIndex = -1;
                if (ended.Exception?.InnerException is { } e) GiveUp(source, e as StorageException ?? new(StorageError.Unavailable, e.Message, e));
            }
            return source.Busy is null && source.Failure is null;
        }

        private void GiveUp(Source source, StorageException e)
        {
            source.Failure = e;
            source.Reader?.Close();
            source.OpenIndex = -1;
            LogElsewhere(store._log, _index, source.Id, source.Store.Id, e.Message);
            if (e.Error == StorageError.DataDamaged && source.Store != store._local) store.Note(_blob, source.Store, RepairReason.Damaged);
            if (e.Error == StorageError.NoSuchKey && source.ShouldHold) store.Note(_blob, source.Store, RepairReason.Missing);
        }

        private StorageException NoneLeft()
        {
            var asked = _sources.All(static source => source.Failure is null or { Error: StorageError.DataDamaged or StorageError.NoSuchKey });
            var all = string.Join(" ", _sources.Select(static source => source.Failure?.Message).OfType<string>());
            return asked && _sources.Length > 0
                ? new(StorageError.DataDamaged, $"Too few shards of chunk {_index} of blob {_blob} are whole. {all}")
                : new(StorageError.Unavailable, $"Chunk {_index} of blob {_blob} could not be read: too few of its shards could be reached. {all}");
        }

        /// <summary>How far into a shard the reader is going to read.</summary>
        private int EndOf(int shard) => Math.Clamp(AlignUp(Math.Max(_end, _wanted + PackFormat.Block) - (shard * _shardBytes)), 1, _shardBytes);

        private static int AlignUp(int bytes) => (bytes + PackFormat.Block - 1) / PackFormat.Block * PackFormat.Block;

        /// <summary>Takes the places of a blob by the layout as it is now.</summary>
        /// <returns>False where they are those that there are already.</returns>
        private bool TrySettle(BlobId blob)
        {
            var layout = store._placement.ForRead(blob);
            if (blob == _blob && layout.SequenceEqual(_layout)) return false;
            foreach (var source in _sources) store.InBackground(LeaveAsync(source).AsTask());
            (_blob, _layout, _code) = (blob, layout, ErasureCode.Create(blob.Redundancy.Data, blob.Redundancy.Parity));
            _sources = [.. layout.Select(place => new Source(place, blob.OfShard(place.Shard)))];
            return true;
        }

        /// <summary>Done with a place: at once, or when it has answered.</summary>
        private async ValueTask LeaveAsync(Source source)
        {
            if (source.Busy is { IsCompleted: false } busy)
            {
                store.InBackground(EndAsync());
                return;
            }
            await ReleaseAsync(source);

            async Task EndAsync()
            {
                await busy.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                await ReleaseAsync(source);
            }
        }

        private static async ValueTask ReleaseAsync(Source source)
        {
            if (source.Reader is not null) await source.Reader.DisposeAsync();
            if (source.Bytes is not null) ArrayPool<byte>.Shared.Return(source.Bytes);
            (source.Reader, source.Bytes) = (null, null);
        }
    }

    /// <summary>Begins to read what is stored under one id at one store: never on the caller's time where a disk has to be waited for.</summary>
    internal static ChunkReader BeginRead(ChunkStore store, BlobId id)
    {
        var reader = store.BeginRead(id);
        return reader is PackStore.PackReader pack ? new LocalReader(pack) : reader;
    }
}
