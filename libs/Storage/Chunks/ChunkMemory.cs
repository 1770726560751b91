using System.Buffers;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Chunks;

/// <summary>The memory in which chunks are filled: page-aligned, pooled, and bounded over all writes together.</summary>
/// <remarks>Invariants: a write never waits for memory that another holds. It always gets one small piece to go on with, and more while there is more;
/// so what all hold stays within <c>WriteMemoryBytesMax</c> as long as that many small pieces fit into it (some 340 writes at once by default).</remarks>
internal sealed unsafe class ChunkMemory(int bytesMax, int chunkBytesMax) : IDisposable
{
    /// <summary>Each piece has a little more than its name says, because a frame's header stands before the payload.</summary>
    public const int Tiny = (16 << 10) + PackFormat.Page;
    public const int Small = PackFormat.Block + 2 * PackFormat.Page;
    public const int Large = (1 << 20) + 2 * PackFormat.Page;

    /// <summary>Free memory kept once no write has been under way: enough for the next few.</summary>
    private const int IdleBytes = 8 << 20;

    private readonly Lock _lock = new();
    private readonly Stack<nint>[] _free = [new(), new(), new()];
    private long _used;
    private long _pooled;
    private int _writes;
    private bool _disposed;

    /// <summary>Bytes that writes hold now.</summary>
    public long Used => Interlocked.Read(ref _used);

    /// <summary>The most that was held at once.</summary>
    public long Peak { get; private set; }

    /// <summary>What a chunk may grow to while so many write: two chunks each fit, one being filled while the other is written.</summary>
    public int ChunkTarget => TargetOf(bytesMax);

    /// <summary>The same for a chunk of one blob: one that is cut into shards needs memory for these too.</summary>
    public int ChunkTargetOf(BlobId blob)
    {
        if (!blob.IsStriped) return ChunkTarget;
        var stripe = blob.Redundancy;
        return TargetOf((long)bytesMax * stripe.Data / (stripe.Data + stripe.Width));
    }

    private int TargetOf(long bytes)
    {
        var share = Math.Clamp(bytes / (2L * Math.Max(1, Volatile.Read(ref _writes))), PackFormat.Block, chunkBytesMax);
        return (int)Math.Max(PackFormat.Block, share / PackFormat.Block * PackFormat.Block);
    }

    public void BeginWrite() => Interlocked.Increment(ref _writes);

    public void EndWrite()
    {
        if (Interlocked.Decrement(ref _writes) == 0) Trim(IdleBytes);
    }

    /// <summary>A piece of <see cref="Tiny"/>, <see cref="Small"/> or <see cref="Large"/> bytes. Only a small one is given without fail.</summary>
    public Piece? TryRent(int size, bool must)
    {
        lock (_lock)
        {
            if (!must)
            {
                // An eighth stays for the first pieces of those who come, and what all would need at the least.
                var reserve = Math.Max(bytesMax / 8L, Math.Min(2L * Small * Volatile.Read(ref _writes), bytesMax / 2L));
                if (_used + size > bytesMax - reserve) return null;
            }
            _used += size;
            if (_used > Peak) Peak = _used;
            var free = _free[Class(size)];
            if (free.TryPop(out var address))
            {
                _pooled -= size;
                return new((byte*)address, size);
            }
        }
        return new((byte*)NativeMemory.AlignedAlloc((nuint)size, PackFormat.Page), size);
    }

    public void Return(Piece piece)
    {
        lock (_lock)
        {
            _used -= piece.Size;
            if (!_disposed && _used + _pooled + piece.Size <= bytesMax)
            {
                _free[Class(piece.Size)].Push((nint)piece.Address);
                _pooled += piece.Size;
                return;
            }
        }
        NativeMemory.AlignedFree(piece.Address);
    }

    public void Dispose()
    {
        lock (_lock) _disposed = true;
        Trim(0);
    }

    private void Trim(long keep)
    {
        lock (_lock)
        {
            for (var c = _free.Length - 1; c >= 0; c--)
            {
                while (_pooled > keep && _free[c].TryPop(out var address))
                {
                    NativeMemory.AlignedFree((void*)address);
                    _pooled -= Size(c);
                }
            }
        }
    }

    private static int Class(int size) => size switch { Tiny => 0, Small => 1, _ => 2 };

    private static int Size(int of) => of switch { 0 => Tiny, 1 => Small, _ => Large };

    internal readonly record struct Piece(nint Start, int Size)
    {
        public Piece(byte* address, int size) : this((nint)address, size) { }
        public byte* Address => (byte*)Start;
        public Span<byte> Span => new(Address, Size);
    }
}

/// <summary>One chunk being filled and then written: a frame in the making, in a few pieces of memory that are taken as bytes come.</summary>
/// <remarks>Invariants: what was appended never changes, so a plain chunk can be hashed and written at the same time. A sealed one is hashed, then sealed
/// where it lies, then checksummed, block by block, before it is written; a block is sealed once, and only when it is known whether it is the blob's last.
/// One thread may fill, one hash behind it and one seal behind that.</remarks>
internal sealed unsafe class ChunkBuffer : IDisposable
{
    private readonly ChunkMemory _memory;
    private readonly List<ChunkMemory.Piece> _pieces = new(4);
    private readonly bool _whole;
    private readonly FrameCipher? _cipher;
    private readonly long _firstFrame;
    private int _capacity;      // bytes of payload that the pieces can hold
    private int _open;          // bytes of content in the sealed block that is being filled
    private bool _last;
    private bool _finished;
    private uint _blockChecksum;
    private int _holds = 1;

    /// <param name="expected">Bytes of content that are still to come, where that is known.</param>
    /// <param name="chunkMax">The most that the chunk may hold, tags included.</param>
    /// <param name="whole">It must hold that much, however scarce memory is.</param>
    /// <param name="cipher">Seals each block; null for a plain chunk.</param>
    /// <param name="firstFrame">The number in the blob of the first block.</param>
    public ChunkBuffer(ChunkMemory memory, long? expected, int chunkMax, bool whole = false, FrameCipher? cipher = null, long firstFrame = 0)
    {
        (_memory, _whole, _cipher, _firstFrame) = (memory, whole, cipher, firstFrame);
        var payload = cipher is not null && expected is { } content ? FrameCipher.StoredOf(content) : expected;
        Limit = payload is > 0 && payload < chunkMax ? (int)payload : chunkMax;
        PayloadOffset = PackFormat.PayloadOffset(Limit);
        Grow(expected, first: true);
        _pieces[0].Span[..PayloadOffset].Clear();
        _capacity -= PayloadOffset;
    }

    public int PayloadOffset { get; }

    /// <summary>Bytes that the chunk may hold at most.</summary>
    public int Limit { get; private set; }

    /// <summary>Bytes of payload so far: content, and the tags of the blocks that are full.</summary>
    public int Filled { get; private set; }

    /// <summary>Bytes of payload that may be hashed, and are sealed then. Of a sealed chunk that is being filled the last block is left out: it may be the
    /// blob's last. To be asked by the filling side.</summary>
    public int Hashable => _cipher is null || _finished ? Filled : (Filled - 1) / PackFormat.Block * PackFormat.Block;

    /// <summary>Bytes of payload that the hasher has seen.</summary>
    public int Hashed { get; private set; }

    /// <summary>Bytes of payload that are sealed. Not of a plain chunk.</summary>
    public int Sealed { get; private set; }

    public bool IsFull => Filled == Limit;

    public long FrameBytes => PackFormat.FrameBytes(PayloadOffset, Filled);

    /// <summary>What must stay free behind the content for its tag.</summary>
    private int TagBytes => _cipher is null ? 0 : FrameCipher.TagBytes;

    /// <summary>Takes as many bytes as fit, checksumming the blocks of a plain chunk on the way.</summary>
    /// <param name="expected">Bytes that are still to come, where that is known.</param>
    /// <returns>Bytes taken. Fewer than were offered when the chunk is full, which it also is when there is no more memory to be had.</returns>
    public int Append(ReadOnlySpan<byte> bytes, long? expected)
    {
        var taken = 0;
        while (taken < bytes.Length && !IsFull)
        {
            if (Filled + TagBytes >= _capacity && !Grow(expected - taken, first: false))
            {
                CloseBlock();
                Limit = Filled;
                break;
            }
            var inBlock = Filled % PackFormat.Block;
            var room = Math.Min(_capacity, Math.Min(Limit, Filled - inBlock + PackFormat.Block)) - TagBytes - Filled;
            var destination = Contiguous(Filled, Math.Min(bytes.Length - taken, room));
            bytes.Slice(taken, destination.Length).CopyTo(destination);
            Filled += destination.Length;
            taken += destination.Length;
            if (_cipher is not null)
            {
                _open += destination.Length;
                if (inBlock + destination.Length + TagBytes == PackFormat.Block || Filled + TagBytes == Limit) CloseBlock();
                continue;
            }
            // Over the copy, so that a byte that changes on its way here is noticed by the digests, and one that changes here by the checksum.
            _blockChecksum = Crc32C.Append(inBlock == 0 ? 0 : _blockChecksum, destination);
            if (inBlock + destination.Length == PackFormat.Block || Filled == Limit) SetChecksum();
        }
        return taken;
    }

    /// <summary>Nothing more comes: the frame is complete but for its header, and for what a sealed chunk has yet to seal.</summary>
    /// <param name="last">It is the blob's last chunk.</param>
    public void Finish(bool last)
    {
        _last = last;
        CloseBlock();
        Limit = Filled;
        if (_cipher is null && Filled % PackFormat.Block != 0) SetChecksum();
        var padding = (int)(FrameBytes - PayloadOffset - Filled);
        if (padding > 0) Contiguous(Filled, padding).Clear();      // pieces are whole pages, so the frame's end lies in the last one
        _finished = true;
    }

    /// <summary>Shows the hasher what it has not seen yet.</summary>
    /// <param name="end">What <see cref="Hashable"/> said.</param>
    public void HashThrough(ContentHasher hasher, int end)
    {
        while (Hashed < end)
        {
            // The hasher sees the content alone: of a sealed chunk each block without the room for its tag.
            var part = _cipher is null ? end : Math.Min(end, (Hashed / PackFormat.Block * PackFormat.Block) + PackFormat.Block);
            for (var content = part - TagBytes; Hashed < content;)
            {
                var span = Contiguous(Hashed, content - Hashed);
                hasher.Append(span);
                Hashed += span.Length;
            }
            Hashed = part;
        }
    }

    /// <summary>Fills the frame's header for its place and lays out the frame for writing.</summary>
    public void Prepare(in FrameHeader header, ulong salt, List<IoVector> vectors)
    {
        PackFormat.WriteFrameHeader(_pieces[0].Span, header, salt);
        var left = FrameBytes;
        foreach (var piece in _pieces)
        {
            var length = Math.Min(left, piece.Size);
            if (length <= 0) break;
            vectors.Add(new(piece.Address, (nuint)length));
            left -= length;
        }
    }

    /// <summary>The payload, copied: for content so short that it is not stored here.</summary>
    public byte[] ToArray()
    {
        var bytes = new byte[Filled];
        Copy(0, bytes);
        return bytes;
    }

    /// <summary>One more needs the memory: <see cref="Dispose"/> is to be called once more.</summary>
    public void Hold() => Interlocked.Increment(ref _holds);

    /// <summary>The checksums of the payload's blocks, as a frame's table has them. Of a chunk that is finished, and sealed where it is to be.</summary>
    public ReadOnlySpan<byte> Table => _pieces[0].Span.Slice(PackFormat.FrameFixedBytes, sizeof(uint) * PackFormat.Blocks(Filled));

    /// <summary>The payload from a place on, as far as one piece has it. Of a chunk that is finished.</summary>
    public ReadOnlyMemory<byte> Payload(int from)
    {
        var place = from + PayloadOffset;
        foreach (var piece in _pieces)
        {
            if (place < piece.Size) return new PieceMemory(piece).Memory.Slice(place, Math.Min(Filled - from, piece.Size - place));
            place -= piece.Size;
        }
        throw new ArgumentOutOfRangeException(nameof(from));
    }

    public void Dispose()
    {
        if (Interlocked.Decrement(ref _holds) > 0) return;
        // What a write that failed did not come to seal.
        if (_cipher is not null)
        {
            while (Sealed < Filled)
            {
                var open = Contiguous(Sealed, Filled - Sealed);
                CryptographicOperations.ZeroMemory(open);
                Sealed += open.Length;
            }
        }
        foreach (var piece in _pieces) _memory.Return(piece);
        _pieces.Clear();
        _capacity = 0;
    }

    /// <summary>Seals and checksums what is not sealed yet.</summary>
    /// <param name="end">Not more than was hashed.</param>
    public void SealThrough(int end)
    {
        byte[]? gathered = null;
        while (Sealed < end)
        {
            var length = Math.Min(PackFormat.Block, end - Sealed);
            var frame = Contiguous(Sealed, length);
            var torn = frame.Length < length;       // it lies across two pieces, as one in sixteen does
            if (torn)
            {
                gathered ??= ArrayPool<byte>.Shared.Rent(PackFormat.Block);
                frame = gathered.AsSpan(0, length);
                Copy(Sealed, frame);
            }
            var block = Sealed / PackFormat.Block;
            _cipher!.Seal(_firstFrame + block, last: _last && Sealed + length == Filled, frame);
            PackFormat.SetBlockChecksum(_pieces[0].Span, block, Crc32C.Append(0, frame));
            for (var done = 0; torn && done < length;)
            {
                var into = Contiguous(Sealed + done, length - done);
                frame.Slice(done, into.Length).CopyTo(into);
                done += into.Length;
            }
            Sealed += length;
        }
        if (gathered is not null) ArrayPool<byte>.Shared.Return(gathered);      // holds what was sealed, nothing plain
    }

    /// <summary>Counts the tag of a sealed block that has content.</summary>
    private void CloseBlock()
    {
        if (_open == 0) return;
        Filled += FrameCipher.TagBytes;
        _open = 0;
    }

    private void Copy(int from, Span<byte> into)
    {
        while (!into.IsEmpty)
        {
            var span = Contiguous(from, into.Length);
            span.CopyTo(into);
            from += span.Length;
            into = into[span.Length..];
        }
    }

    /// <summary>The payload from a place on, as far as one piece has it.</summary>
    private Span<byte> Contiguous(int from, int max)
    {
        var place = from + PayloadOffset;
        for (var i = 0; ; i++)      // not foreach: the filling side may be adding pieces behind
        {
            var piece = _pieces[i];
            if (place < piece.Size) return piece.Span.Slice(place, Math.Min(max, piece.Size - place));
            place -= piece.Size;
        }
    }

    private void SetChecksum() => PackFormat.SetBlockChecksum(_pieces[0].Span, (Filled - 1) / PackFormat.Block, _blockChecksum);

    private bool Grow(long? expected, bool first)
    {
        var rest = Limit - Filled;
        var size = expected is { } known && known <= 16 << 10 && rest <= (16 << 10) + TagBytes ? ChunkMemory.Tiny
            : rest > PackFormat.Block && (expected >= 512 << 10 || Filled >= 512 << 10) ? ChunkMemory.Large
            : ChunkMemory.Small;
        // Others may have begun to write since this chunk did: then it ends here, at its fair share.
        if (!first && !_whole && Filled >= _memory.ChunkTarget) return false;
        var piece = _memory.TryRent(size, must: false)
            ?? (size == ChunkMemory.Large ? _memory.TryRent(ChunkMemory.Small, must: false) : null)
            ?? (first || _whole ? _memory.TryRent(Math.Min(size, ChunkMemory.Small), must: true) : null);
        if (piece is null) return false;
        _pieces.Add(piece.Value);
        _capacity += piece.Value.Size;
        return true;
    }
}

/// <summary>A piece as the memory that streams take. It is the holder's to see that the piece is not returned meanwhile.</summary>
internal sealed unsafe class PieceMemory(ChunkMemory.Piece piece) : MemoryManager<byte>
{
    public override Span<byte> GetSpan() => piece.Span;

    public override MemoryHandle Pin(int elementIndex = 0) => new(piece.Address + elementIndex);

    public override void Unpin() { }

    protected override void Dispose(bool disposing) { }
}
