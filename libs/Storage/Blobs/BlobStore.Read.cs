using System.Buffers;
using System.Collections.Immutable;
using System.IO.Pipelines;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage;

/// <remarks>Reading. Invariants: bytes are handed out only after their whole block matched, in the very memory that is handed out; of sealed content only
/// what opened under its key, which is the stronger proof and spares the other. A blob that is open is not freed under its reader. Finding a place costs a look at the parts and runs, never at the chunks.</remarks>
public sealed partial class BlobStore
{
    /// <summary>Bytes read in one go into the destination: few enough to stay in a processor's cache between disk, checksum and socket.</summary>
    private const int StepBytes = 256 << 10;

    private int _sealedReads;

    /// <inheritdoc/>
    public async ValueTask<IBlobRead> OpenAsync(Manifest manifest, ByteRange range, DataKey? key, CancellationToken ct)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        if (range.First < 0 || range.Length < 0 || range.Last >= manifest.Length || (range.Length == 0 && manifest.Length != 0))
            throw new ArgumentOutOfRangeException(nameof(range), $"{range} of {manifest.Length} bytes.");
        if (manifest.Length == 0) return new InlineRead(default, wipe: false);
        if (manifest.Parts.IsDefaultOrEmpty)
            return new InlineRead(OpenInline(manifest, key).Slice((int)range.First, (int)range.Length), wipe: key is not null);
        var outside = await OpenPlaceOfAsync(manifest, ct);
        try
        {
            return await BeginReadAsync(manifest, outside, range, key, ct);
        }
        catch (StorageException e) when (outside is not null && e.Error is StorageError.DataDamaged)
        {
            // The place may have become another since its integration was asked, before the content came there.
            var now = await OpenPlaceAsync(manifest.Place!.Integration, anew: true, ct);
            if (ReferenceEquals(now, outside)) throw;
            return await BeginReadAsync(manifest, now, range, key, ct);
        }
    }

    private async ValueTask<IBlobRead> BeginReadAsync(Manifest manifest, IBackend? outside, ByteRange range, DataKey? key, CancellationToken ct)
    {
        var read = new BlobRead(this, manifest, outside, range, key);
        try
        {
            await read.ReadFirstAsync(ct);
            return read;
        }
        catch
        {
            await read.DisposeAsync();
            throw;
        }
    }

    /// <summary>The whole inline content: what the manifest holds, or a copy that was opened.</summary>
    private static Memory<byte> OpenInline(Manifest manifest, DataKey? key)
    {
        var stored = ImmutableCollectionsMarshal.AsArray(manifest.Inline) ?? [];
        var isSealed = stored.Length == manifest.Length + FrameCipher.TagBytes;
        if (!isSealed && stored.Length != manifest.Length)
            throw new StorageException(StorageError.DataDamaged, $"The inline content has {stored.Length} of {manifest.Length} bytes.");
        if (isSealed != key is not null) throw WrongSealing($"The inline content of version {manifest.Version}", isSealed);
        if (key is null) return stored;
        var content = new byte[manifest.Length];
        using var cipher = new FrameCipher(key, new(manifest.Version.High, manifest.Version.Low));
        return cipher.TryOpen(0, last: true, stored, content)
            ? content
            : throw new StorageException(StorageError.DataDamaged, $"The inline content of version {manifest.Version} does not open under its key.");
    }

    /// <summary>Sealed and no key, or a key and not sealed: serving what someone put in place of a sealed content is worse than an error.</summary>
    private static StorageException WrongSealing(string what, bool isSealed) => isSealed
        ? new(StorageError.EncryptionKeyRequired, $"{what} is sealed, and there is no key.")
        : new(StorageError.DataDamaged, $"{what} is not sealed, and there is a key.");

    /// <summary>Whether a part is sealed shows in its chunks: they hold a tag for each frame more than the content has bytes.</summary>
    private static void RequireSealing(ManifestPart part, DataKey? key)
    {
        var (stored, content) = (0L, 0L);
        foreach (var (count, length) in part.Chunks)
        {
            stored += (long)count * length;
            content += (long)count * FrameCipher.ContentOf(length);
            if (key is not null && FrameCipher.ContentOf(length) <= 0)
                throw new StorageException(StorageError.DataDamaged, $"A chunk of blob {part.Blob} has no room for content.");
        }
        if (key is null ? content == part.Length && part.Length > 0 : stored == part.Length && part.Length > 0)
            throw WrongSealing($"Blob {part.Blob}", isSealed: key is null);
        if (key is not null && content != part.Length)
            throw new StorageException(StorageError.DataDamaged, $"The chunks of blob {part.Blob} hold {content} of {part.Length} bytes.");
    }

    /// <summary>Writes verified bytes in pieces that sockets like, not in the pipe's own small ones.</summary>
    private static void Write(PipeWriter destination, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            var memory = destination.GetSpan(Math.Min(bytes.Length, PackFormat.Block));
            var count = Math.Min(memory.Length, bytes.Length);
            bytes[..count].CopyTo(memory);
            destination.Advance(count);
            bytes = bytes[count..];
        }
    }

    /// <returns>False where the destination wants no more.</returns>
    private static async ValueTask<bool> FlushAsync(PipeWriter destination, CancellationToken ct)
    {
        var flushed = await destination.FlushAsync(ct);
        if (flushed.IsCanceled) throw new OperationCanceledException("Sending was cancelled.", ct);
        return !flushed.IsCompleted;
    }

    /// <param name="wipe">The content was opened for this read alone.</param>
    private sealed class InlineRead(Memory<byte> content, bool wipe) : IBlobRead
    {
        public long Length => content.Length;

        public long Written { get; private set; }

        public async ValueTask CopyToAsync(PipeWriter destination, CancellationToken ct)
        {
            Write(destination, content.Span);
            Written = Length;
            await FlushAsync(destination, ct);
        }

        public ValueTask DisposeAsync()
        {
            if (wipe) CryptographicOperations.ZeroMemory(content.Span);
            return ValueTask.CompletedTask;
        }
    }

    private sealed class BlobRead : IBlobRead
    {
        private readonly BlobStore _store;
        private readonly ImmutableArray<ManifestPart> _parts;
        private readonly ChunkReader _chunks;
        private readonly DataKey? _key;
        private readonly int _blockContent;     // bytes of content in a full block
        private byte[]? _first;
        private int _firstLength;
        private byte[]? _next;      // opened while the destination was busy
        private int _nextLength;
        private long _left;         // bytes of the range not read yet

        // Where the next byte is: the part, the run in it, the chunk in that, the byte of content in that.
        private int _part;
        private int _run;
        private int _chunkInRun;
        private int _index;
        private int _offset;
        private long _frame;        // number in the blob of the chunk's first sealed frame

        // The chunk that is open.
        private int _storedLength;
        private int _contentLength;
        private byte[]? _block;     // for a block of which only some bytes are wanted
        private int _blockHeld = -1;
        private byte[]? _stored;    // sealed blocks on their way from the disk
        private FrameCipher? _cipher;
        private int _cipherPart = -1;
        private bool _disposed;

        /// <param name="outside">The backend that has the bytes; null where they lie on the cluster's own drives.</param>
        public BlobRead(BlobStore store, Manifest manifest, IBackend? outside, ByteRange range, DataKey? key)
        {
            var parts = manifest.Parts;
            (_store, _parts, Length, _left, _key) = (store, parts, range.Length, range.Length, key);
            _blockContent = key is null ? PackFormat.Block : FrameCipher.ContentBytes;
            var start = range.First;
            while (_part < parts.Length && start >= parts[_part].Length) start -= parts[_part++].Length;
            var firstPart = _part;
            var endPart = firstPart;
            var end = start + range.Length;
            for (; end > 0 && endPart < parts.Length; endPart++) end -= parts[endPart].Length;
            if (end > 0) throw new StorageException(StorageError.DataDamaged, "The manifest's parts are shorter than the object.");
            for (var part = firstPart; part < endPart; part++) RequireSealing(parts[part], key);
            SeekInPart(start);
            _chunks = outside is null
                ? store._routes.BeginRead(parts, firstPart, endPart)
                : new PlacedReader(outside, manifest.Place!, parts, PlacedFormat.EndOf(parts, range.Last + 1, isSealed: key is not null));
            if (key is not null) Interlocked.Increment(ref store._sealedReads);
        }

        public long Length { get; }

        public long Written => Length - _left - (_first is null ? 0 : _firstLength) - _nextLength;

        public async ValueTask ReadFirstAsync(CancellationToken ct)
        {
            _firstLength = (int)Math.Min(_left, _store._options.ReadAheadBytes);
            _first = ArrayPool<byte>.Shared.Rent(_firstLength);
            for (var done = 0; done < _firstLength;)
            {
                var read = Step(_first.AsSpan(done, _firstLength - done), mayBlock: false);
                while (read < 0)
                {
                    if (_chunks.Fetches) await _chunks.FetchAsync(ct);
                    else await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                    ct.ThrowIfCancellationRequested();
                    read = Step(_first.AsSpan(done, _firstLength - done), mayBlock: true);
                }
                done += read;
            }
        }

        public async ValueTask CopyToAsync(PipeWriter destination, CancellationToken ct)
        {
            if (_first is null) throw new InvalidOperationException("The range was read already.");
            Write(destination, _first.AsSpan(0, _firstLength));
            Return(ref _first, _firstLength);
            if (_left > 0) Ahead();
            if (!await FlushAndOpenNextAsync(destination, ct)) return;
            while (_left > 0 || _nextLength > 0)
            {
                if (_nextLength > 0)
                {
                    Write(destination, _next.AsSpan(0, _nextLength));
                    _nextLength = 0;
                }
                else
                {
                    var memory = destination.GetMemory((int)Math.Min(_left, StepBytes));
                    if (memory.Length > _left) memory = memory[..(int)_left];
                    var read = Step(memory.Span, mayBlock: false);
                    while (read < 0)
                    {
                        if (_chunks.Fetches) await _chunks.FetchAsync(ct);
                        else await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                        ct.ThrowIfCancellationRequested();
                        read = Step(memory.Span, mayBlock: true);
                    }
                    destination.Advance(read);
                }
                if (!await FlushAndOpenNextAsync(destination, ct)) return;
            }
        }

        /// <summary>Hands over what was written. Opening costs as much as sending, so sealed content that is cached is opened while the destination is busy; but for that it is copied
        /// once more, so only where a processor has nothing better to do.</summary>
        /// <returns>False where the destination wants no more.</returns>
        private async ValueTask<bool> FlushAndOpenNextAsync(PipeWriter destination, CancellationToken ct)
        {
            var flushing = FlushAsync(destination, ct);
            if (_key is null || _left == 0 || flushing.IsCompleted || Volatile.Read(ref _store._sealedReads) >= Environment.ProcessorCount) return await flushing;
            try
            {
                _next ??= ArrayPool<byte>.Shared.Rent(StepBytes);
                _nextLength = Math.Max(0, Step(_next.AsSpan(0, (int)Math.Min(_left, StepBytes)), mayBlock: false));
            }
            catch
            {
                await flushing;     // nobody may leave while the destination is still in use
                throw;
            }
            return await flushing;
        }

        public async ValueTask DisposeAsync()
        {
            if (_disposed) return;
            _disposed = true;
            if (_key is not null) Interlocked.Decrement(ref _store._sealedReads);
            Return(ref _first, _firstLength);
            Return(ref _next, StepBytes);
            Return(ref _block, PackFormat.Block);
            Return(ref _stored, 0);
            _cipher?.Dispose();
            await _chunks.DisposeAsync();
        }

        /// <param name="content">Bytes in it that are wiped where the content was sealed.</param>
        private void Return(ref byte[]? buffer, int content)
        {
            if (buffer is null) return;
            if (_key is not null) CryptographicOperations.ZeroMemory(buffer.AsSpan(0, content));
            ArrayPool<byte>.Shared.Return(buffer);
            buffer = null;
        }

        /// <summary>Reads and verifies the next bytes of the range, some or all that fit.</summary>
        /// <returns>How many; -1 where the disk would have to be waited for and that is not allowed.</returns>
        private int Step(Span<byte> destination, bool mayBlock)
        {
            for (var attempt = 0; ; attempt++)
            {
                OpenChunk();
                string problem;
                try
                {
                    var read = StepInChunk(destination, mayBlock);
                    if (read > ChunkReader.Mismatch)
                    {
                        if (read > 0) Advance(read);
                        return read;
                    }
                    problem = read == ChunkReader.Mismatch ? "does not match its checksum" : "does not open under its key";
                }
                catch (IOException e)
                {
                    problem = $"can't be read ({e.Message})";
                }
                _chunks.Fail(problem, attempt);
                mayBlock = true;
            }
        }

        private const int Unopened = -3;

        private int StepInChunk(Span<byte> destination, bool mayBlock)
        {
            var block = _offset / _blockContent;
            var blockStart = block * _blockContent;
            var wanted = (int)Math.Min(Math.Min(destination.Length, _left), _contentLength - _offset);
            var blockContent = Math.Min(_blockContent, _contentLength - blockStart);
            if (_offset == blockStart && wanted >= blockContent)
            {
                if (wanted < _contentLength - _offset) wanted = wanted / _blockContent * _blockContent;
                return ReadContent(block, destination[..wanted], mayBlock);
            }
            _block ??= ArrayPool<byte>.Shared.Rent(PackFormat.Block);
            if (_blockHeld != block)
            {
                _blockHeld = -1;
                var read = ReadContent(block, _block.AsSpan(0, blockContent), mayBlock);
                if (read < 0) return read;
                _blockHeld = block;
            }
            wanted = Math.Min(wanted, blockStart + blockContent - _offset);
            _block.AsSpan(_offset - blockStart, wanted).CopyTo(destination);
            return wanted;
        }

        /// <summary>Reads whole blocks, and opens them where they are sealed, as many as fit into the memory that those have on their way.</summary>
        private int ReadContent(int block, Span<byte> destination, bool mayBlock)
        {
            if (_cipher is null) return _chunks.Read(block, destination, mayBlock, verify: true);
            _stored ??= ArrayPool<byte>.Shared.Rent((int)Math.Clamp(FrameCipher.StoredOf(_left), PackFormat.Block, StepBytes));
            var blocks = Math.Min((destination.Length + _blockContent - 1) / _blockContent, _stored.Length / PackFormat.Block);
            var stored = _stored.AsSpan(0, Math.Min(blocks * PackFormat.Block, _storedLength - (block * PackFormat.Block)));
            var read = _chunks.Read(block, stored, mayBlock, verify: false);
            if (read < 0) return read;
            stored = stored[..read];
            var opened = 0;
            for (; !stored.IsEmpty; block++)
            {
                var frame = stored[..Math.Min(PackFormat.Block, stored.Length)];
                var content = destination.Slice(opened, frame.Length - FrameCipher.TagBytes);
                var last = IsLastChunk && block == PackFormat.Blocks(_storedLength) - 1;
                if (!_cipher.TryOpen(_frame + block, last, frame, content)) return _chunks.Matches(block, frame) ? Unopened : ChunkReader.Mismatch;
                opened += content.Length;
                stored = stored[frame.Length..];
            }
            return opened;
        }

        private bool IsLastChunk => _run == _parts[_part].Chunks.Length - 1 && _chunkInRun == _parts[_part].Chunks[_run].Count - 1;

        private void OpenChunk()
        {
            if (_chunks.IsOpen) return;
            var part = _parts[_part];
            _storedLength = part.Chunks[_run].Length;
            _contentLength = ContentOf(_storedLength);
            var blocks = (Math.Min(_contentLength, _offset + _left) + _blockContent - 1) / _blockContent;
            _chunks.Open(part.Blob, _index, _storedLength, (int)Math.Min(_storedLength, blocks * PackFormat.Block));
            if (_key is not null && _cipherPart != _part)
            {
                _cipher?.Dispose();
                (_cipher, _cipherPart) = (new(_key, part.SealId), _part);
            }
            _blockHeld = -1;
        }

        private void Advance(int bytes)
        {
            _left -= bytes;
            _offset += bytes;
            if (_offset < _contentLength)
            {
                if (_left > 0 && _offset % _store._options.ReadAheadBytes < bytes) Ahead();
                return;
            }
            _chunks.Close();
            if (_left == 0) return;
            _frame += PackFormat.Blocks(_storedLength);
            (_offset, _index) = (0, _index + 1);
            var part = _parts[_part];
            if (++_chunkInRun < part.Chunks[_run].Count) return;
            _chunkInRun = 0;
            if (++_run < part.Chunks.Length) return;
            _part++;
            SeekInPart(0);
        }

        /// <summary>Asks for the next stretch to be fetched while this one is being sent.</summary>
        private void Ahead() => _chunks.Ahead(_offset, Math.Min(_left, _store._options.ReadAheadBytes));

        private void SeekInPart(long offset)
        {
            while (_part < _parts.Length && _parts[_part].Length == 0) _part++;
            (_run, _chunkInRun, _index, _frame) = (0, 0, 0, 0);
            var runs = _part < _parts.Length ? _parts[_part].Chunks : [];
            for (; _run < runs.Length; _run++)
            {
                var (count, stored) = runs[_run];
                var length = ContentOf(stored);
                if (offset < (long)count * length)
                {
                    _chunkInRun = (int)(offset / length);
                    _index += _chunkInRun;
                    _frame += (long)_chunkInRun * PackFormat.Blocks(stored);
                    _offset = (int)(offset % length);
                    return;
                }
                offset -= (long)count * length;
                _index += count;
                _frame += (long)count * PackFormat.Blocks(stored);
            }
            throw new StorageException(StorageError.DataDamaged, "The manifest's chunks are fewer than its bytes.");
        }

        private int ContentOf(int stored) => _key is null ? stored : FrameCipher.ContentOf(stored);
    }
}
