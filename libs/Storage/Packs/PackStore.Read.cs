using System.Buffers;
using System.Collections.Immutable;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;

namespace DarkStorage.Storage.Packs;

/// <remarks>Reading. Invariants: bytes are handed out only after their whole block matched, in the very memory that is handed out, unless the reader proves them
/// in a stronger way. A blob that is open is not freed under its reader.</remarks>
public sealed partial class PackStore
{
    /// <inheritdoc/>
    internal override ChunkReader BeginRead(ImmutableArray<ManifestPart> parts, int first, int end)
    {
        ObjectDisposedException.ThrowIf(_disposed != 0, this);
        return new PackReader(this, parts, first, end);
    }

    internal sealed class PackReader : ChunkReader
    {
        private readonly PackStore _store;
        private readonly ImmutableArray<ManifestPart> _parts;
        private readonly int _firstPart;
        private readonly int _endPart;
        private BlobId _blob;
        private int _index;
        private Pack? _pack;
        private Location _location;
        private byte[]? _header;
        private bool _headerRead;
        private bool _disposed;

        public PackReader(PackStore store, ImmutableArray<ManifestPart> parts, int first, int end)
        {
            (_store, _parts, _firstPart, _endPart) = (store, parts, first, end);
            for (var part = first; part < end; part++) store._table.Pin(parts[part].Blob);
        }

        public override bool IsOpen => _pack is not null;

        /// <summary>The header of the open chunk's frame, with the checksums of its blocks, once a read gave something.</summary>
        public ReadOnlySpan<byte> Header => _header.AsSpan(0, _location.PayloadOffset);

        public override void Open(BlobId blob, int index, int length, int end)
        {
            if (TryOpen(blob, index, length) is not { } problem) return;
            _store.ReportDamage(new(blob, index, 0, 0, problem));
            throw Damaged(blob, index, problem);
        }

        /// <summary>Opens a chunk where it is here.</summary>
        /// <returns>What is wrong, as a predicate: it is missing. Null where it is open.</returns>
        /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: it has another length.</exception>
        public string? TryOpen(BlobId blob, int index, int length)
        {
            (_blob, _index) = (blob, index);
            for (var attempt = 0; attempt < 8; attempt++)
            {
                if (!_store._table.TryGetPinned(blob, index, out _location)) break;
                if (_location.Length != length) throw Damaged(blob, index, $"has {_location.Length} bytes where the manifest says {length}");
                if (!_store.TryAcquire(_location.Pack, out var pack)) continue;     // compacted between the two looks
                _pack = pack;
                _headerRead = false;
                if (_header is null || _header.Length < _location.PayloadOffset)
                {
                    if (_header is not null) ArrayPool<byte>.Shared.Return(_header);
                    _header = ArrayPool<byte>.Shared.Rent(_location.PayloadOffset);
                }
                return null;
            }
            return "is missing";
        }

        /// <summary>Reads whole blocks, with the frame's header before them where that is not known yet.</summary>
        public override int Read(int block, Span<byte> destination, bool mayBlock, bool verify)
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
            if (verify && !PackFormat.BlocksMatch(header, block, destination)) return Mismatch;
            _store.CountRead(destination.Length);
            return destination.Length;
        }

        /// <summary>Reads and verifies a stretch of a chunk, waiting for the disk beside the caller's thread.</summary>
        /// <param name="from">Where a block begins.</param>
        /// <exception cref="StorageException"><see cref="StorageError.NoSuchKey"/>: the chunk is not here. <see cref="StorageError.DataDamaged"/>: it is, and was reported.</exception>
        public async ValueTask FillAsync(BlobId blob, int index, int length, int from, Memory<byte> into)
        {
            var mayBlock = false;
            for (var attempt = 0; ;)
            {
                if (!IsOpen && TryOpen(blob, index, length) is { } missing) throw new StorageException(StorageError.NoSuchKey, $"Chunk {index} of blob {blob} {missing}.");
                string problem;
                try
                {
                    var got = Read(from / PackFormat.Block, into.Span, mayBlock, verify: true);
                    if (got > 0) return;
                    if (got == -1)
                    {
                        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
                        mayBlock = true;
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

        public override bool Matches(int block, ReadOnlySpan<byte> stored) => PackFormat.BlocksMatch(_header, block, stored);

        public override void Fail(string problem, int attempt)
        {
            var (pack, location) = (_pack!, _location);
            Close();
            // The chunk may have moved, or the error may have been one of the way from the disk: once more before it is called damage.
            if (attempt > 0 && _store._table.TryGetPinned(_blob, _index, out var now) && now == location)
            {
                _store.ReportDamage(new(_blob, _index, pack.Number, location.Offset, problem));
                throw Damaged(_blob, _index, problem);
            }
            if (attempt > 4) throw Damaged(_blob, _index, problem);
        }

        public override void Ahead(int offset, long bytes)
        {
            if (_pack is null) return;
            bytes = Math.Min(bytes, _location.Length - offset);
            if (bytes > 0) _pack.File.WillNeed(_location.Offset + _location.PayloadOffset + offset, bytes);
        }

        public override void Close()
        {
            _pack?.Release();
            _pack = null;
        }

        public override async ValueTask DisposeAsync()
        {
            if (_disposed) return;
            _disposed = true;
            Close();
            if (_header is not null) ArrayPool<byte>.Shared.Return(_header);
            _header = null;
            for (var part = _firstPart; part < _endPart; part++) await _store.FreeAsync(_store._table.Unpin(_parts[part].Blob));
        }

        private bool HeaderMatches(ReadOnlySpan<byte> header) =>
            PackFormat.TryReadFrameHeader(header, _pack!.Salt, _location.Offset, out var frame)
            && frame.Blob == _blob && frame.Index == _index && frame.Length == _location.Length && frame.PayloadOffset == _location.PayloadOffset;
    }
}
