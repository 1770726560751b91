using System.Buffers.Binary;
using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Backends;

/// <summary>The bytes of a blob outside that has a version's content: docs/FORMATS.md, "Content outside". Integers are little-endian.</summary>
/// <remarks>Invariants: each block is followed by a checksum of itself, its blob and its place in that, so whatever a backend gives back in its place, another blob or another stretch of this one, does not pass for it; and
/// any range can be read, and verified, by one request. What was sealed stays so: no key is needed to move it, and none leaves the cluster.</remarks>
internal static class PlacedFormat
{
    private const int Version = 1;

    public const int HeaderBytes = 32;
    public const int ChecksumBytes = sizeof(uint);

    /// <summary>Bytes of a full block with its checksum.</summary>
    public const int FrameBytes = PackFormat.Block + ChecksumBytes;

    private static ReadOnlySpan<byte> Magic => "DSPLACED"u8;

    /// <summary>What a blob is called in its backend. Spread over folders, which not every backend has many entries of one in.</summary>
    public static BlobName NameOf(BlobId blob)
    {
        var text = blob.ToString();
        return BlobName.Parse($"objects/{text[^2..]}/{text}");
    }

    /// <summary>Bytes of a chunk outside.</summary>
    public static long BytesOf(int chunk) => chunk + ((long)ChecksumBytes * PackFormat.Blocks(chunk));

    /// <summary>Bytes of a whole version outside.</summary>
    public static long BytesOf(ImmutableArray<ManifestPart> parts)
    {
        var sum = (long)HeaderBytes;
        foreach (var part in parts) sum += BytesOf(part);
        return sum;
    }

    public static long BytesOf(ManifestPart part)
    {
        var sum = 0L;
        foreach (var (count, length) in part.Chunks) sum += count * BytesOf(length);
        return sum;
    }

    /// <summary>Where the frame ends that has the byte before this one.</summary>
    /// <param name="end">Bytes of the version's content, more than 0.</param>
    public static long EndOf(ImmutableArray<ManifestPart> parts, long end, bool isSealed)
    {
        var offset = (long)HeaderBytes;
        foreach (var part in parts)
        {
            if (end > part.Length)
            {
                end -= part.Length;
                offset += BytesOf(part);
                continue;
            }
            foreach (var (count, stored) in part.Chunks)
            {
                var content = isSealed ? FrameCipher.ContentOf(stored) : stored;
                if (end > (long)count * content)
                {
                    end -= (long)count * content;
                    offset += count * BytesOf(stored);
                    continue;
                }
                var chunk = (end - 1) / content;
                var block = isSealed ? FrameCipher.ContentBytes : PackFormat.Block;
                var blocks = (end - (chunk * content) + block - 1) / block;
                return offset + (chunk * BytesOf(stored)) + Math.Min(BytesOf(stored), blocks * FrameBytes);
            }
        }
        return offset;
    }

    public static void WriteHeader(Span<byte> header, BlobId blob, long length)
    {
        header.Clear();
        Magic.CopyTo(header);
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], Version);
        BinaryPrimitives.WriteInt64LittleEndian(header[12..], length);
        BinaryPrimitives.WriteUInt32LittleEndian(header[28..], Checksum(blob, 0, header[..28]));
    }

    /// <param name="length">Bytes that the blob should have.</param>
    public static bool HeaderMatches(ReadOnlySpan<byte> header, BlobId blob, long length)
    {
        Span<byte> expected = stackalloc byte[HeaderBytes];
        WriteHeader(expected, blob, length);
        return header.SequenceEqual(expected);
    }

    /// <summary>Writes a block's checksum behind it.</summary>
    /// <param name="frame">The block, and room for the checksum.</param>
    public static void SealFrame(Span<byte> frame, BlobId blob, long offset) =>
        BinaryPrimitives.WriteUInt32LittleEndian(frame[^ChecksumBytes..], Checksum(blob, offset, frame[..^ChecksumBytes]));

    public static bool FrameMatches(ReadOnlySpan<byte> frame, BlobId blob, long offset) =>
        BinaryPrimitives.ReadUInt32LittleEndian(frame[^ChecksumBytes..]) == Checksum(blob, offset, frame[..^ChecksumBytes]);

    private static uint Checksum(BlobId blob, long offset, ReadOnlySpan<byte> bytes)
    {
        Span<byte> place = stackalloc byte[BlobId.ByteLength + sizeof(long)];
        blob.Write(place);
        BinaryPrimitives.WriteInt64LittleEndian(place[BlobId.ByteLength..], offset);
        return Crc32C.Append(Crc32C.Append(0, place), bytes);
    }
}

/// <summary>Walks the blocks of a version in the order they stand in outside.</summary>
internal sealed class PlacedFrames(ImmutableArray<ManifestPart> parts)
{
    private int _part;
    private int _run;
    private int _chunkInRun;
    private (int Part, long Offset) _asked = (0, PlacedFormat.HeaderBytes);

    public bool IsAtEnd { get; private set; } = true;

    public BlobId Blob => parts[_part].Blob;

    /// <summary>Of the chunk, in its blob.</summary>
    public int Index { get; private set; }

    public int ChunkLength { get; private set; }

    /// <summary>Of the chunk.</summary>
    public int Block { get; private set; }

    /// <summary>Where the frame begins.</summary>
    public long Offset { get; private set; }

    /// <summary>Bytes of the block, without its checksum.</summary>
    public int Length => Math.Min(PackFormat.Block, ChunkLength - (Block * PackFormat.Block));

    /// <summary>Goes to the frame that has a byte; or to the end.</summary>
    /// <param name="offset">In the blob outside, behind its header.</param>
    public void Seek(long offset)
    {
        IsAtEnd = false;
        Offset = PlacedFormat.HeaderBytes;
        for (_part = 0; _part < parts.Length; _part++)
        {
            Index = 0;
            for (_run = 0; _run < parts[_part].Chunks.Length; _run++)
            {
                var (count, length) = parts[_part].Chunks[_run];
                var chunk = PlacedFormat.BytesOf(length);
                if (offset >= Offset + (count * chunk))
                {
                    Offset += count * chunk;
                    Index += count;
                    continue;
                }
                _chunkInRun = (int)((offset - Offset) / chunk);
                Index += _chunkInRun;
                Offset += _chunkInRun * chunk;
                ChunkLength = length;
                Block = (int)((offset - Offset) / PlacedFormat.FrameBytes);
                Offset += (long)Block * PlacedFormat.FrameBytes;
                return;
            }
        }
        IsAtEnd = true;
    }

    /// <summary>The place of a chunk's first frame. Quick for chunks that are asked for in their order.</summary>
    public long OffsetOf(BlobId blob, int index)
    {
        if (_asked.Part == parts.Length || parts[_asked.Part].Blob != blob)
        {
            var next = _asked.Part + 1;
            if (next < parts.Length && parts[next].Blob == blob) _asked = (next, _asked.Offset + PlacedFormat.BytesOf(parts[_asked.Part]));
            else for (_asked = (0, PlacedFormat.HeaderBytes); _asked.Part < parts.Length && parts[_asked.Part].Blob != blob; _asked.Part++) _asked.Offset += PlacedFormat.BytesOf(parts[_asked.Part]);
        }
        var offset = _asked.Offset;
        if (_asked.Part < parts.Length)
        {
            foreach (var (count, length) in parts[_asked.Part].Chunks)
            {
                if (index < count) return offset + (index * PlacedFormat.BytesOf(length));
                index -= count;
                offset += count * PlacedFormat.BytesOf(length);
            }
        }
        throw new ArgumentOutOfRangeException(nameof(index), $"The manifest has no chunk {index} of blob {blob}.");
    }

    public void Next()
    {
        Offset += Length + PlacedFormat.ChecksumBytes;
        if (++Block < PackFormat.Blocks(ChunkLength)) return;
        Block = 0;
        Index++;
        if (++_chunkInRun < parts[_part].Chunks[_run].Count) return;
        _chunkInRun = 0;
        _run++;
        while (_run == parts[_part].Chunks.Length)
        {
            (_part, _run, Index) = (_part + 1, 0, 0);
            if (_part < parts.Length) continue;
            IsAtEnd = true;
            return;
        }
        ChunkLength = parts[_part].Chunks[_run].Length;
    }
}
