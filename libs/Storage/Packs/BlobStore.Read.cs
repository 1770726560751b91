using System.Buffers;
using System.Collections.Immutable;
using System.IO.Pipelines;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Storage.Packs;

/// <remarks>Reading. Invariants: bytes are handed out only after their whole block matched, in the very memory that is handed out.
/// A blob that is open is not freed under its reader. Finding a place costs a look at the parts and runs, never at the chunks.</remarks>
public sealed partial class BlobStore
{
    /// <summary>Bytes read in one go into the destination: few enough to stay in a processor's cache between disk, checksum and socket.</summary>
    private const int StepBytes = 256 << 10;

    /// <inheritdoc/>
    public async ValueTask<IBlobRead> OpenAsync(Manifest manifest, ByteRange range, CancellationToken ct)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        if (range.First < 0 || range.Length < 0 || range.Last >= manifest.Length || (range.Length == 0 && manifest.Length != 0))
            throw new ArgumentOutOfRangeException(nameof(range), $"{range} of {manifest.Length} bytes.");
        if (manifest.Length == 0) return new InlineRead(default);
        if (manifest.Parts.IsDefaultOrEmpty)
        {
            if (manifest.Inline.Length != manifest.Length)
                throw new StorageException(StorageError.DataDamaged, $"The inline content has {manifest.Inline.Length} of {manifest.Length} bytes.");
            return new InlineRead(manifest.Inline.AsMemory().Slice((int)range.First, (int)range.Length));
        }
        var read = new BlobRead(this, manifest.Parts, range);
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

    private sealed class InlineRead(ReadOnlyMemory<byte> content) : IBlobRead
    {
        public long Length => content.Length;

        public async ValueTask CopyToAsync(PipeWriter destination, CancellationToken ct)
        {
            Write(destination, content.Span);
            await FlushAsync(destination, ct);
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    private sealed class BlobRead : IBlobRead
    {
        private readonly BlobStore _store;
        private readonly ImmutableArray<ManifestPart> _parts;
        private readonly int _firstPart;
        private readonly int _endPart;
        private byte[]? _first;
        private int _firstLength;
        private long _left;         // bytes of the range not read yet

        // Where the next byte is: the part, the run in it, the chunk in that, the byte in that.
        private int _part;
        private int _run;
        private int _chunkInRun;
        private int _index;
        private int _offset;

        // The chunk that is open: its pack, place, and the header with the checksums.
        private Pack? _pack;
        private Location _location;
        private byte[]? _header;
        private bool _headerRead;
        private byte[]? _block;     // for a block of which only some bytes are wanted
        private int _blockHeld = -1;
        private bool _disposed;

        public BlobRead(BlobStore store, ImmutableArray<ManifestPart> parts, ByteRange range)
        {
            (_store, _parts, Length, _left) = (store, parts, range.Length, range.Length);
            var start = range.First;
            while (_part < parts.Length && start >= parts[_part].Length) start -= parts[_part++].Length;
            _firstPart = _part;
            var end = start + range.Length;
            for (_endPart = _part; end > 0 && _endPart < parts.Length; _endPart++) end -= parts[_endPart].Length;
            if (end > 0) throw new StorageException(StorageError.DataDamaged, "The manifest's parts are shorter than the object.");
            SeekInPart(start);
            for (var part = _firstPart; part < _endPart; part++) store._table.Pin(parts[part].Blob);
        }

        public long Length { get; }

        public async ValueTask ReadFirstAsync(CancellationToken ct)
        {
            _firstLength = (int)Math.Min(_left, _store._options.ReadAheadBytes);
            _first = ArrayPool<byte>.Shared.Rent(_firstLength);
            for (var done = 0; done < _firstLength;)
            {
                var read = Step(_first.AsSpan(done, _firstLength - done), mayBlock: false);
                if (read < 0)
                {
                    await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
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
            ArrayPool<byte>.Shared.Return(_first);
            _first = null;
            if (_left > 0) Ahead();
            if (!await FlushAsync(destination, ct)) return;
            while (_left > 0)
            {
                var memory = destination.GetMemory((int)Math.Min(_left, StepBytes));
                if (memory.Length > _left) memory = memory[..(int)_left];
                var read = Step(memory.Span, mayBlock: false);
                if (read < 0)
                {
                    await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                    ct.ThrowIfCancellationRequested();
                    read = Step(memory.Span, mayBlock: true);
                }
                destination.Advance(read);
                if (!await FlushAsync(destination, ct)) return;
            }
        }

        public async ValueTask DisposeAsync()
        {
            if (_disposed) return;
            _disposed = true;
            CloseChunk();
            if (_first is not null) ArrayPool<byte>.Shared.Return(_first);
            if (_header is not null) ArrayPool<byte>.Shared.Return(_header);
            if (_block is not null) ArrayPool<byte>.Shared.Return(_block);
            _first = _header = _block = null;
            for (var part = _firstPart; part < _endPart; part++) await _store.FreeAsync(_store._table.Unpin(_parts[part].Blob));
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
                    if (read != Mismatch)
                    {
                        if (read > 0) Advance(read);
                        return read;
                    }
                    problem = "does not match its checksum";
                }
                catch (IOException e)
                {
                    problem = $"can't be read ({e.Message})";
                }
                var (pack, location) = (_pack!, _location);
                CloseChunk();
                mayBlock = true;
                // The chunk may have moved, or the error may have been one of the way from the disk: once more before it is called damage.
                if (attempt > 0 && _store._table.TryGet(_parts[_part].Blob, _index, out var now) && now == location)
                {
                    _store.ReportDamage(new(_parts[_part].Blob, _index, pack.Number, location.Offset, problem));
                    throw Damaged(problem);
                }
                if (attempt > 4) throw Damaged(problem);
            }
        }

        private const int Mismatch = -2;

        private int StepInChunk(Span<byte> destination, bool mayBlock)
        {
            var block = _offset / PackFormat.Block;
            var blockStart = block * PackFormat.Block;
            var length = _location.Length;
            var wanted = (int)Math.Min(Math.Min(destination.Length, _left), length - _offset);
            var blockBytes = Math.Min(PackFormat.Block, length - blockStart);
            if (_offset == blockStart && wanted >= blockBytes)
            {
                if (wanted < length - _offset) wanted = wanted / PackFormat.Block * PackFormat.Block;
                return ReadBlocks(block, destination[..wanted], mayBlock);
            }
            _block ??= ArrayPool<byte>.Shared.Rent(PackFormat.Block);
            if (_blockHeld != block)
            {
                _blockHeld = -1;
                var read = ReadBlocks(block, _block.AsSpan(0, blockBytes), mayBlock);
                if (read < 0) return read;
                _blockHeld = block;
            }
            wanted = Math.Min(wanted, blockStart + blockBytes - _offset);
            _block.AsSpan(_offset - blockStart, wanted).CopyTo(destination);
            return wanted;
        }

        /// <summary>Reads whole blocks, with the frame's header before them where that is not known yet.</summary>
        private int ReadBlocks(int block, Span<byte> destination, bool mayBlock)
        {
            var header = _header.AsSpan(0, _location.PayloadOffset);
            var payload = _location.Offset + _location.PayloadOffset;
            if (_headerRead || block > 0)
            {
                if (!_headerRead)
                {
                    var got = _pack!.File.Read(_location.Offset, header, default, mayBlock);
                    if (got < 0) return got;
                    if (got < header.Length || !HeaderMatches(header)) return Mismatch;
                    _headerRead = true;
                }
                var read = _pack!.File.Read(payload + (long)block * PackFormat.Block, destination, default, mayBlock);
                if (read < 0) return read;
                if (read < destination.Length) return Mismatch;
            }
            else
            {
                var read = _pack!.File.Read(_location.Offset, header, destination, mayBlock);
                if (read < 0) return read;
                if (read < header.Length + destination.Length || !HeaderMatches(header)) return Mismatch;
                _headerRead = true;
            }
            if (!PackFormat.BlocksMatch(header, block, destination)) return Mismatch;
            _store.CountRead(destination.Length);
            return destination.Length;
        }

        private bool HeaderMatches(ReadOnlySpan<byte> header) =>
            PackFormat.TryReadFrameHeader(header, _pack!.Salt, _location.Offset, out var frame)
            && frame.Blob == _parts[_part].Blob && frame.Index == _index && frame.Length == _location.Length && frame.PayloadOffset == _location.PayloadOffset;

        private void OpenChunk()
        {
            if (_pack is not null) return;
            var part = _parts[_part];
            for (var attempt = 0; attempt < 8; attempt++)
            {
                if (!_store._table.TryGet(part.Blob, _index, out _location)) break;
                if (_location.Length != part.Chunks[_run].Length)
                    throw Damaged($"has {_location.Length} bytes where the manifest says {part.Chunks[_run].Length}");
                if (!_store.TryAcquire(_location.Pack, out var pack)) continue;     // compacted between the two looks
                _pack = pack;
                _headerRead = false;
                _blockHeld = -1;
                if (_header is null || _header.Length < _location.PayloadOffset)
                {
                    if (_header is not null) ArrayPool<byte>.Shared.Return(_header);
                    _header = ArrayPool<byte>.Shared.Rent(_location.PayloadOffset);
                }
                return;
            }
            _store.ReportDamage(new(part.Blob, _index, 0, 0, "is missing"));
            throw Damaged("is missing");
        }

        private void CloseChunk()
        {
            _pack?.Release();
            _pack = null;
        }

        private void Advance(int bytes)
        {
            _left -= bytes;
            _offset += bytes;
            if (_offset < _location.Length)
            {
                if (_left > 0 && _offset % _store._options.ReadAheadBytes < bytes) Ahead();
                return;
            }
            CloseChunk();
            if (_left == 0) return;
            (_offset, _index) = (0, _index + 1);
            var part = _parts[_part];
            if (++_chunkInRun < part.Chunks[_run].Count) return;
            _chunkInRun = 0;
            if (++_run < part.Chunks.Length) return;
            _part++;
            SeekInPart(0);
        }

        /// <summary>Asks the system to fetch the next stretch while this one is being sent.</summary>
        private void Ahead()
        {
            if (_pack is null) return;
            var bytes = Math.Min(Math.Min(_left, _store._options.ReadAheadBytes), _location.Length - _offset);
            _pack.File.WillNeed(_location.Offset + _location.PayloadOffset + _offset, bytes);
        }

        private void SeekInPart(long offset)
        {
            while (_part < _parts.Length && _parts[_part].Length == 0) _part++;
            (_run, _chunkInRun, _index) = (0, 0, 0);
            var runs = _part < _parts.Length ? _parts[_part].Chunks : [];
            for (; _run < runs.Length; _run++)
            {
                var (count, length) = runs[_run];
                if (offset < (long)count * length)
                {
                    _chunkInRun = (int)(offset / length);
                    _index += _chunkInRun;
                    _offset = (int)(offset % length);
                    return;
                }
                offset -= (long)count * length;
                _index += count;
            }
            throw new StorageException(StorageError.DataDamaged, "The manifest's chunks are fewer than its bytes.");
        }

        private StorageException Damaged(string problem) =>
            new(StorageError.DataDamaged, $"Chunk {_index} of blob {_parts[_part].Blob} {problem}.");
    }
}
