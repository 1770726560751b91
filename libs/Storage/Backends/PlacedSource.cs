using System.Buffers;
using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Backends;

/// <summary>A version's bytes as they are to be outside, read from where they are now.</summary>
/// <param name="blob">What it is to be called there.</param>
/// <param name="read">Begins to read the chunks from a part on.</param>
internal sealed class PlacedSource(ImmutableArray<ManifestPart> parts, BlobId blob, Func<ChunkReader> read) : BlobSource
{
    public override long Length { get; } = PlacedFormat.BytesOf(parts);

    public override ValueTask<Stream> OpenAsync(long offset, CancellationToken ct) => new(new Frames(parts, blob, Length, read(), offset));

    private sealed class Frames : ReadOnlyStream
    {
        private const int StretchBlocks = 4;

        private readonly BlobId _blob;
        private readonly ChunkReader _reader;
        private readonly PlacedFrames _frames;
        private readonly byte[] _stored = ArrayPool<byte>.Shared.Rent(StretchBlocks * PackFormat.Block);
        private readonly byte[] _ready = ArrayPool<byte>.Shared.Rent(StretchBlocks * PlacedFormat.FrameBytes);
        private int _from;
        private int _to;
        private int _users = 1;
        private bool _isDisposed;

        public Frames(ImmutableArray<ManifestPart> parts, BlobId blob, long length, ChunkReader reader, long offset)
        {
            (_blob, _reader, _frames) = (blob, reader, new(parts));
            _frames.Seek(Math.Max(offset, PlacedFormat.HeaderBytes));
            if (offset >= PlacedFormat.HeaderBytes)
            {
                Skip = (int)(offset - (_frames.IsAtEnd ? offset : _frames.Offset));
                return;
            }
            PlacedFormat.WriteHeader(_ready, blob, length);
            (_from, _to) = ((int)offset, PlacedFormat.HeaderBytes);
        }

        /// <summary>Bytes of the first frame that are not wanted.</summary>
        private int Skip { get; set; }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (buffer.IsEmpty) return 0;
            if (Interlocked.Increment(ref _users) < 2)
            {
                Interlocked.Decrement(ref _users);
                throw new ObjectDisposedException(nameof(PlacedSource));
            }
            try
            {
                if (_from == _to && !await FillAsync(cancellationToken)) return 0;
                var count = Math.Min(buffer.Length, _to - _from);
                _ready.AsSpan(_from, count).CopyTo(buffer.Span);
                _from += count;
                return count;
            }
            finally
            {
                await LeaveAsync();
            }
        }

        public override async ValueTask DisposeAsync()
        {
            if (!Interlocked.Exchange(ref _isDisposed, true)) await LeaveAsync();
            await base.DisposeAsync();
        }

        /// <summary>The last one to leave gives back what there is: an HTTP client that has its answer early disposes a body beside a read of it.</summary>
        private async ValueTask LeaveAsync()
        {
            if (Interlocked.Decrement(ref _users) > 0) return;
            await _reader.DisposeAsync();
            ArrayPool<byte>.Shared.Return(_stored);
            ArrayPool<byte>.Shared.Return(_ready);
        }

        protected override void Dispose(bool disposing)
        {
            if (disposing && !_isDisposed) DisposeAsync().AsTask().GetAwaiter().GetResult();
            base.Dispose(disposing);
        }

        /// <returns>False at the end.</returns>
        private async ValueTask<bool> FillAsync(CancellationToken ct)
        {
            if (_frames.IsAtEnd) return false;
            var read = await _reader.ReadBlocksAsync(_frames.Blob, _frames.Index, _frames.ChunkLength, _frames.Block, _stored, ct);
            var (taken, made) = (0, 0);
            while (taken < read)
            {
                var length = _frames.Length;
                var frame = _ready.AsSpan(made, length + PlacedFormat.ChecksumBytes);
                _stored.AsSpan(taken, length).CopyTo(frame);
                PlacedFormat.SealFrame(frame, _blob, _frames.Offset);
                taken += length;
                made += frame.Length;
                _frames.Next();
            }
            (_from, _to, Skip) = (Skip, made, 0);
            return true;
        }
    }
}
