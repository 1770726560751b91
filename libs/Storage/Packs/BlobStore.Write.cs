using System.Collections.Immutable;
using System.IO.Pipelines;
using System.Runtime.InteropServices;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.Storage.Packs;

/// <remarks>Writing. Invariants: a write holds two chunks at most, one that fills while the other is hashed and written. A chunk's memory is
/// given back only when the disk, the hasher and the cipher are done with it, however the write ends. The last chunk waits for a sync; that every earlier
/// one is durable too is checked, not assumed. Where there is a key no chunk reaches a lane before all of it is sealed.</remarks>
public sealed partial class BlobStore
{
    /// <summary>Content up to this size is hashed and written on the thread that received it, in the lane of the small.</summary>
    private const int SmallBytes = 256 << 10;

    /// <summary>Largest content that may be asked back inline: it must fit the least memory that a write is sure to get.</summary>
    private const int InlineBytesMax = 16 << 10;

    /// <summary>For how long an answer about the drive's room holds.</summary>
    private static readonly TimeSpan RoomLifetime = TimeSpan.FromMilliseconds(50);

    private long _roomAskedAt;
    private volatile bool _hasRoom = true;

    private sealed class BlobWrite : IBlobWrite
    {
        private readonly BlobStore _store;
        private readonly BlobWriteOptions _options;
        private readonly BlobId _blob;
        private readonly ImmutableArray<ChunkRun>.Builder _runs = ImmutableArray.CreateBuilder<ChunkRun>();
        private readonly List<(Pack Pack, long End)> _touched = [];
        private readonly FrameCipher? _cipher;
        private ContentHasher? _hasher;
        private Task _hashing = Task.CompletedTask;
        private Task _sealing = Task.CompletedTask;
        private ChunkBuffer? _chunk;
        private Flight? _older;     // to be settled before another chunk may be filled
        private Flight? _newest;
        private AppendLane? _lane;
        private long _length;
        private int _chunks;
        private long _frames;       // sealed frames of the chunks that were prepared
        private bool _kept;
        private bool _began;

        /// <summary>A chunk on its way to the disk.</summary>
        /// <param name="Hashing">Done when the hasher has seen all of it.</param>
        private sealed record Flight(Append Append, Task Hashing);

        public BlobWrite(BlobStore store, BlobWriteOptions options)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(options.InlineMax, InlineBytesMax);
            ArgumentOutOfRangeException.ThrowIfNegative(options.InlineMax);
            (_store, _options, _blob) = (store, options, BlobId.New(store._clock));
            if (options.Key is not null) _cipher = new(options.Key, _blob);
            store._writing[_blob] = true;
        }

        private long? Expected => _options.ExpectedLength - _length is > 0 and var rest ? rest : null;

        private bool IsLarge => _length > SmallBytes || _options.ExpectedLength > SmallBytes;

        public async Task<BlobContent> CopyFromAsync(PipeReader content, CancellationToken ct)
        {
            if (_began) throw new InvalidOperationException("The write has its content already.");
            _began = true;
            if (_options.ExpectedLength > _options.LengthMax) throw TooLarge();
            _store._memory.BeginWrite();
            _hasher = new(_options.Digests);
            try
            {
                while (true)
                {
                    var read = await content.ReadAsync(ct);
                    if (read.IsCanceled) throw new OperationCanceledException("Reading the content was cancelled.");
                    try
                    {
                        foreach (var memory in read.Buffer) await TakeAsync(memory);
                    }
                    finally
                    {
                        content.AdvanceTo(read.Buffer.End);
                    }
                    if (read.IsCompleted) break;
                }
                return await FinishAsync();
            }
            finally
            {
                // However it ends: nobody may be writing, hashing or sealing this memory when it goes back.
                foreach (var flight in (Flight?[])[_older, _newest])
                {
                    if (flight is not null) await flight.Append.Done.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                }
                await _hashing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                await _sealing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                _older?.Append.Chunk.Dispose();
                _newest?.Append.Chunk.Dispose();
                _chunk?.Dispose();
                _hasher.Dispose();
                _store._memory.EndWrite();
            }
        }

        public void Keep() => _kept = true;

        public async ValueTask DisposeAsync()
        {
            if (!_kept && _chunks > 0) await _store.DeleteAsync(_blob, CancellationToken.None);
            _kept = true;
            _cipher?.Dispose();
            _store._writing.TryRemove(_blob, out _);
        }

        private async ValueTask TakeAsync(ReadOnlyMemory<byte> bytes)
        {
            if (_length + bytes.Length > _options.LengthMax) throw TooLarge();
            while (!bytes.IsEmpty)
            {
                // A full chunk waits for the next byte: without one it is the last.
                if (_chunk is { IsFull: true }) await SubmitAsync();
                _chunk ??= NewChunk();
                var taken = _chunk.Append(bytes.Span, Expected);
                _length += taken;
                bytes = bytes[taken..];
                Hash(_chunk);
            }
        }

        private ChunkBuffer NewChunk()
        {
            var expected = Expected;
            // The hint may be wrong: what may have to be returned inline must stay in one chunk.
            if (_length == 0 && expected < _options.InlineMax) expected = _options.InlineMax;
            return new(_store._memory, expected, _store._memory.ChunkTarget, cipher: _cipher, firstFrame: _frames);
        }

        /// <summary>Small content is hashed and sealed as it comes; large content beside the receiving of what follows.</summary>
        private void Hash(ChunkBuffer chunk)
        {
            var end = chunk.Hashable;
            if (!IsLarge) HashAndSeal(chunk, end);
            else if (end - chunk.Hashed >= SmallBytes && _hashing.IsCompleted)
            {
                _hashing = HashAfterAsync(_hashing, chunk, _hasher!, end);
                if (_cipher is not null) _sealing = SealAfterAsync(_sealing, _hashing, chunk, end);
            }
        }

        private void HashAndSeal(ChunkBuffer chunk, int end)
        {
            chunk.HashThrough(_hasher!, end);
            if (_cipher is not null) chunk.SealThrough(end);
        }

        private static async Task HashAfterAsync(Task previous, ChunkBuffer chunk, ContentHasher hasher, int end)
        {
            await previous.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            chunk.HashThrough(hasher, end);
        }

        /// <summary>One stretch is sealed while the next is hashed.</summary>
        private static async Task SealAfterAsync(Task previous, Task hashing, ChunkBuffer chunk, int end)
        {
            await previous;
            await hashing;
            chunk.SealThrough(end);
        }

        /// <summary>Sends a chunk that is not the last on its way, and waits until the one before is through.</summary>
        private async ValueTask SubmitAsync()
        {
            var append = Prepare(last: false);
            if (_cipher is null)
            {
                _hashing = HashAfterAsync(_hashing, append.Chunk, _hasher!, append.Chunk.Hashable);
                _lane!.Submit(append, inline: false);
            }
            else if (IsLarge)
            {
                _hashing = HashAfterAsync(_hashing, append.Chunk, _hasher!, append.Chunk.Hashable);
                _sealing = SubmitSealedAsync(_sealing, _hashing, append, _lane!);
            }
            else
            {
                HashAndSeal(append.Chunk, append.Chunk.Hashable);       // what follows is hashed on this thread too, and comes after
                _lane!.Submit(append, inline: false);
            }
            Sent(append);
            await SettleOlderAsync();
        }

        /// <summary>Seals all that is hashed, and only then hands over, beside the receiving of what follows.</summary>
        private static async Task SubmitSealedAsync(Task previous, Task hashing, Append append, AppendLane lane)
        {
            try
            {
                await SealAfterAsync(previous, hashing, append.Chunk, append.Chunk.Hashable);
                lane.Submit(append, inline: false);
            }
            catch (Exception e)     // whoever waits for the append would wait for ever
            {
                append.Fail(e);
                throw;
            }
        }

        private async ValueTask SettleOlderAsync()
        {
            if (_older is not var (append, hashing)) return;
            await hashing;
            await append.Done;
            _touched.Add((append.Pack!, append.Location.Offset + append.Location.FrameBytes));
            if (_touched.Count > 1 && _touched[^2].Pack == _touched[^1].Pack) _touched.RemoveAt(_touched.Count - 2);
            _older = null;
            append.Chunk.Dispose();
        }

        /// <summary>Somebody will complete it, however it goes: from now on it is waited for.</summary>
        private void Sent(Append append) => (_older, _newest, _chunk) = (_newest, new(append, _hashing), null);

        private Append Prepare(bool last)
        {
            var chunk = _chunk!;
            chunk.Finish(last);
            _frames += FrameCipher.Frames(chunk.Filled);
            if (_runs.Count > 0 && _runs[^1].Length == chunk.Filled) _runs[^1] = _runs[^1] with { Count = _runs[^1].Count + 1 };
            else _runs.Add(new(1, chunk.Filled));
            _lane ??= IsLarge ? _store.NextLargeLane() : _store._lanes[0];
            return new(_blob, _chunks++, chunk, sync: last);
        }

        private async Task<BlobContent> FinishAsync()
        {
            if (_chunk is null || _length <= _options.InlineMax)
            {
                if (_chunk is null) return new(_blob, _length, _hasher!.Finish(), [], [], IsSealed: false);
                _store.RequireRoom();
                _chunk.Finish(last: true);
                HashAndSeal(_chunk, _chunk.Hashable);
                return new(_blob, _length, _hasher!.Finish(), [], ImmutableCollectionsMarshal.AsImmutableArray(_chunk.ToArray()), _cipher is not null);
            }
            var append = Prepare(last: true);
            if (_cipher is not null)
            {
                await _hashing;
                await _sealing;
                HashAndSeal(append.Chunk, append.Chunk.Hashable);
            }
            _lane!.Submit(append, inline: !IsLarge);
            Sent(append);
            await _hashing;
            append.Chunk.HashThrough(_hasher!, append.Chunk.Hashable);
            await SettleOlderAsync();
            (_older, _newest) = (_newest, null);
            await SettleOlderAsync();
            foreach (var (pack, end) in _touched)
            {
                if (pack.DurableThrough < end)
                    throw new StorageException(StorageError.Unavailable, $"Pack {pack.Number:x} failed before the write was durable.");
            }
            return new(_blob, _length, _hasher!.Finish(), _runs.ToImmutable(), [], _cipher is not null);
        }

        private StorageException TooLarge() =>
            new(StorageError.EntityTooLarge, $"The content is longer than {_options.LengthMax} bytes.");
    }

    /// <summary>Content that goes into the index takes the drive's room too: without this, small objects alone would eat the reserve that deletes need.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.InsufficientStorage"/>.</exception>
    private void RequireRoom()
    {
        if (_clock.GetElapsedTime(Interlocked.Read(ref _roomAskedAt)) > RoomLifetime)
        {
            Interlocked.Exchange(ref _roomAskedAt, _clock.GetTimestamp());
            _hasRoom = FreeBytes > 0;
        }
        if (!_hasRoom) throw new StorageException(StorageError.InsufficientStorage, "The drive has no room but what is kept for deletes.");
    }

    private AppendLane NextLargeLane() => _lanes[1 + (int)((uint)Interlocked.Increment(ref _nextLane) % (uint)(_lanes.Length - 1))];
}
