using System.Collections.Immutable;
using System.IO.Pipelines;
using System.Runtime.InteropServices;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage;

/// <remarks>Writing. Invariants: a write holds two chunks at most, one that fills while the other is hashed and written. A chunk's memory is
/// given back only when the stores, the hasher and the cipher are done with it, however the write ends. Where there is a key no chunk reaches a store before
/// all of it is sealed.</remarks>
public sealed partial class BlobStore
{
    /// <summary>Largest content that may be asked back inline: it must fit the least memory that a write is sure to get.</summary>
    private const int InlineBytesMax = 16 << 10;

    private sealed class BlobWrite : IBlobWrite
    {
        private readonly BlobStore _store;
        private readonly BlobWriteOptions _options;
        private readonly BlobId _blob;
        private readonly ImmutableArray<ChunkRun>.Builder _runs = ImmutableArray.CreateBuilder<ChunkRun>();
        private readonly FrameCipher? _cipher;
        private ContentHasher? _hasher;
        private Task _hashing = Task.CompletedTask;
        private Task _sealing = Task.CompletedTask;
        private ChunkBuffer? _chunk;
        private Flight? _older;     // to be settled before another chunk may be filled
        private Flight? _newest;
        private ChunkWrite? _write;
        private long _length;
        private int _chunks;
        private long _frames;       // sealed frames of the chunks that were prepared
        private bool _kept;
        private bool _began;

        /// <summary>A chunk on its way to the disk.</summary>
        /// <param name="Done">Ends when the store needs the memory no more.</param>
        /// <param name="Hashing">Done when the hasher has seen all of it.</param>
        private sealed record Flight(ChunkBuffer Chunk, Task Done, Task Hashing);

        public BlobWrite(BlobStore store, BlobWriteOptions options)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan(options.InlineMax, InlineBytesMax);
            ArgumentOutOfRangeException.ThrowIfNegative(options.InlineMax);
            (_store, _options, _blob) = (store, options, store._routes.NewId(options.Owner, options.Redundancy, options.ExpectedLength));
            if (options.Key is not null) _cipher = new(options.Key, _blob);
        }

        private long? Expected => _options.ExpectedLength - _length is > 0 and var rest ? rest : null;

        private bool IsLarge => _length > PackStore.SmallBytes || _options.ExpectedLength > PackStore.SmallBytes;

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
                    if (flight is not null) await flight.Done.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                }
                await _hashing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                await _sealing.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                _older?.Chunk.Dispose();
                _newest?.Chunk.Dispose();
                _chunk?.Dispose();
                _hasher.Dispose();
                _store._memory.EndWrite();
            }
        }

        public void Keep() => _kept = true;

        public async ValueTask DisposeAsync()
        {
            if (_write is not null)
            {
                if (!_kept) await _write.FreeAsync();
                await _write.DisposeAsync();
            }
            _kept = true;
            _cipher?.Dispose();
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
            return new(_store._memory, expected, _store._memory.ChunkTargetOf(_blob), cipher: _cipher, firstFrame: _frames);
        }

        /// <summary>Small content is hashed and sealed as it comes; large content beside the receiving of what follows.</summary>
        private void Hash(ChunkBuffer chunk)
        {
            var end = chunk.Hashable;
            if (!IsLarge) HashAndSeal(chunk, end);
            else if (end - chunk.Hashed >= PackStore.SmallBytes && _hashing.IsCompleted)
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
            var (chunk, index) = Prepare(last: false);
            Task done;
            if (_cipher is null)
            {
                _hashing = HashAfterAsync(_hashing, chunk, _hasher!, chunk.Hashable);
                done = _write!.Submit(chunk, index, sync: false, IsLarge);
            }
            else if (IsLarge)
            {
                _hashing = HashAfterAsync(_hashing, chunk, _hasher!, chunk.Hashable);
                var sealing = SubmitSealedAsync(_sealing, _hashing, chunk, index, _write!);
                _sealing = sealing;
                done = sealing.Unwrap();
            }
            else
            {
                HashAndSeal(chunk, chunk.Hashable);       // what follows is hashed on this thread too, and comes after
                done = _write!.Submit(chunk, index, sync: false, IsLarge);
            }
            Sent(chunk, done);
            await SettleOlderAsync();
        }

        /// <summary>Seals all that is hashed, and only then hands over, beside the receiving of what follows.</summary>
        private static async Task<Task> SubmitSealedAsync(Task previous, Task hashing, ChunkBuffer chunk, int index, ChunkWrite write)
        {
            await SealAfterAsync(previous, hashing, chunk, chunk.Hashable);
            return write.Submit(chunk, index, sync: false, isLarge: true);
        }

        private async ValueTask SettleOlderAsync()
        {
            if (_older is not var (chunk, done, hashing)) return;
            await hashing;
            await done;
            _older = null;
            chunk.Dispose();
        }

        /// <summary>It is with the store, or will be: from now on it is waited for.</summary>
        private void Sent(ChunkBuffer chunk, Task done) => (_older, _newest, _chunk) = (_newest, new(chunk, done, _hashing), null);

        private (ChunkBuffer Chunk, int Index) Prepare(bool last)
        {
            var chunk = _chunk!;
            chunk.Finish(last);
            _frames += FrameCipher.Frames(chunk.Filled);
            if (_runs.Count > 0 && _runs[^1].Length == chunk.Filled) _runs[^1] = _runs[^1] with { Count = _runs[^1].Count + 1 };
            else _runs.Add(new(1, chunk.Filled));
            _write ??= _store._routes.BeginWrite(_blob);
            return (chunk, _chunks++);
        }

        private async Task<BlobContent> FinishAsync()
        {
            if (_chunk is null || _length <= _options.InlineMax)
            {
                if (_chunk is null) return new(_blob, _length, _hasher!.Finish(), [], [], IsSealed: false);
                _store._routes.RequireRoom();
                _chunk.Finish(last: true);
                HashAndSeal(_chunk, _chunk.Hashable);
                return new(_blob, _length, _hasher!.Finish(), [], ImmutableCollectionsMarshal.AsImmutableArray(_chunk.ToArray()), _cipher is not null);
            }
            var (chunk, index) = Prepare(last: true);
            if (_cipher is not null)
            {
                await _hashing;
                await _sealing;
                HashAndSeal(chunk, chunk.Hashable);
            }
            Sent(chunk, _write!.Submit(chunk, index, sync: true, IsLarge));
            await _hashing;
            chunk.HashThrough(_hasher!, chunk.Hashable);
            await SettleOlderAsync();
            (_older, _newest) = (_newest, null);
            await SettleOlderAsync();
            await _write.CompleteAsync();
            return new(_blob, _length, _hasher!.Finish(), _runs.ToImmutable(), [], _cipher is not null);
        }

        private StorageException TooLarge() =>
            new(StorageError.EntityTooLarge, $"The content is longer than {_options.LengthMax} bytes.");
    }
}
