using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Storage.Packs;

/// <summary>The bytes of a pack file: see docs/FORMATS.md, "Packs". All integers are little-endian, blob ids as <see cref="BlobId.Write"/> has them.</summary>
/// <remarks>Invariants: a place of a pack is written once. Every frame names its pack's secret salt and its own place, so neither bytes left over
/// from another file, nor a write that went astray, nor content that a client shaped like a frame can pass for one.</remarks>
internal static class PackFormat
{
    public const int Version = 1;
    public const int Page = 4096;
    public const int Block = 64 << 10;

    /// <summary>The header page, twice: one damaged page must not cost a gibibyte.</summary>
    public const int HeaderBytes = 2 * Page;

    public const int FrameFixedBytes = 64;
    private const int HeaderUnit = 64;

    private static ReadOnlySpan<byte> PackMagic => "DSPACK\r\n"u8;
    private static ReadOnlySpan<byte> FrameMagic => "DSFR"u8;

    public static long AlignUp(long bytes) => (bytes + Page - 1) & ~(long)(Page - 1);

    public static int Blocks(int payload) => (payload + Block - 1) / Block;

    /// <summary>Where the payload begins in a frame that has room for so many bytes: behind the header and one checksum a block.</summary>
    public static int PayloadOffset(int payloadMax) =>
        (FrameFixedBytes + sizeof(uint) * Math.Max(1, Blocks(payloadMax)) + HeaderUnit - 1) / HeaderUnit * HeaderUnit;

    public static long FrameBytes(int payloadOffset, int payload) => AlignUp((long)payloadOffset + payload);

    /// <summary>The header page of a pack.</summary>
    public static void WritePackHeader(Span<byte> page, in PackHeader header)
    {
        page.Clear();
        PackMagic.CopyTo(page);
        BinaryPrimitives.WriteInt32LittleEndian(page[8..], Version);
        header.Store.TryWriteBytes(page[16..]);
        BinaryPrimitives.WriteUInt32LittleEndian(page[32..], header.Number);
        BinaryPrimitives.WriteInt64LittleEndian(page[40..], header.Created.ToUnixTimeMilliseconds());
        BinaryPrimitives.WriteUInt64LittleEndian(page[48..], header.Salt);
        BinaryPrimitives.WriteUInt32LittleEndian(page[(Page - 4)..], Crc32C.Append(0, page[..(Page - 4)]));
    }

    public static bool TryReadPackHeader(ReadOnlySpan<byte> page, out PackHeader header)
    {
        header = default;
        if (page.Length < Page || !page.StartsWith(PackMagic)) return false;
        if (BinaryPrimitives.ReadUInt32LittleEndian(page[(Page - 4)..]) != Crc32C.Append(0, page[..(Page - 4)])) return false;
        var milliseconds = BinaryPrimitives.ReadInt64LittleEndian(page[40..]);
        header = new(
            BinaryPrimitives.ReadInt32LittleEndian(page[8..]),
            new Guid(page.Slice(16, 16)),
            BinaryPrimitives.ReadUInt32LittleEndian(page[32..]),
            DateTimeOffset.FromUnixTimeMilliseconds(Math.Clamp(milliseconds, 0, DateTimeOffset.MaxValue.ToUnixTimeMilliseconds())),
            BinaryPrimitives.ReadUInt64LittleEndian(page[48..]));
        return true;
    }

    /// <summary>Completes a frame's header, whose table of block checksums is already in place.</summary>
    public static void WriteFrameHeader(Span<byte> frame, in FrameHeader header, ulong salt)
    {
        FrameMagic.CopyTo(frame);
        frame[4] = Version;
        frame[5] = 0;
        BinaryPrimitives.WriteUInt16LittleEndian(frame[6..], checked((ushort)(header.PayloadOffset / HeaderUnit)));
        BinaryPrimitives.WriteUInt64LittleEndian(frame[8..], salt);
        BinaryPrimitives.WriteInt64LittleEndian(frame[16..], header.Offset);
        header.Blob.Write(frame[24..]);
        BinaryPrimitives.WriteInt32LittleEndian(frame[40..], header.Index);
        BinaryPrimitives.WriteInt32LittleEndian(frame[44..], header.Length);
        BinaryPrimitives.WriteInt64LittleEndian(frame[48..], header.DurableThrough);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[56..], 0);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[60..], HeaderChecksum(frame, header.Length));
    }

    /// <summary>Reads a frame's header. False unless all of it, the table included, is whole and belongs to this very place of this very pack.</summary>
    public static bool TryReadFrameHeader(ReadOnlySpan<byte> frame, ulong salt, long offset, out FrameHeader header)
    {
        header = default;
        if (frame.Length < FrameFixedBytes || !frame.StartsWith(FrameMagic) || frame[4] != Version) return false;
        if (BinaryPrimitives.ReadUInt64LittleEndian(frame[8..]) != salt || BinaryPrimitives.ReadInt64LittleEndian(frame[16..]) != offset) return false;
        var payloadOffset = BinaryPrimitives.ReadUInt16LittleEndian(frame[6..]) * HeaderUnit;
        var length = BinaryPrimitives.ReadInt32LittleEndian(frame[44..]);
        if (length <= 0 || FrameFixedBytes + sizeof(uint) * (long)Blocks(length) > Math.Min(payloadOffset, frame.Length)) return false;
        if (BinaryPrimitives.ReadUInt32LittleEndian(frame[60..]) != HeaderChecksum(frame, length)) return false;
        header = new(
            offset,
            BlobId.Read(frame[24..]),
            BinaryPrimitives.ReadInt32LittleEndian(frame[40..]),
            length,
            payloadOffset,
            BinaryPrimitives.ReadInt64LittleEndian(frame[48..]));
        return header.Index >= 0;
    }

    public static uint BlockChecksum(ReadOnlySpan<byte> frame, int block) =>
        BinaryPrimitives.ReadUInt32LittleEndian(frame[(FrameFixedBytes + sizeof(uint) * block)..]);

    public static void SetBlockChecksum(Span<byte> frame, int block, uint checksum) =>
        BinaryPrimitives.WriteUInt32LittleEndian(frame[(FrameFixedBytes + sizeof(uint) * block)..], checksum);

    /// <summary>Whether each block of a payload, or of a stretch of it that begins at a block, matches the frame's table.</summary>
    public static bool BlocksMatch(ReadOnlySpan<byte> frame, int firstBlock, ReadOnlySpan<byte> payload)
    {
        for (var block = firstBlock; !payload.IsEmpty; block++)
        {
            var bytes = payload[..Math.Min(Block, payload.Length)];
            if (Crc32C.Append(0, bytes) != BlockChecksum(frame, block)) return false;
            payload = payload[bytes.Length..];
        }
        return true;
    }

    private static uint HeaderChecksum(ReadOnlySpan<byte> frame, int length) =>
        Crc32C.Append(Crc32C.Append(0, frame[..60]), frame.Slice(FrameFixedBytes, sizeof(uint) * Blocks(length)));
}

/// <summary>What a pack says about itself.</summary>
internal readonly record struct PackHeader(int Version, Guid Store, uint Number, DateTimeOffset Created, ulong Salt);

/// <summary>What a frame says about itself.</summary>
/// <param name="Offset">Its place in the pack.</param>
/// <param name="DurableThrough">Everything in the pack before this place was known to be on the disk when the frame was written.</param>
internal readonly record struct FrameHeader(long Offset, BlobId Blob, int Index, int Length, int PayloadOffset, long DurableThrough)
{
    public long FrameBytes => PackFormat.FrameBytes(PayloadOffset, Length);
}

/// <summary>Where a chunk is: 12 bytes, because there is one in memory for each chunk on the drive.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
[SuppressMessage("Performance", "CA1815:Override equals and operator equals on value types", Justification = "It is a record struct.")]
internal readonly record struct Location
{
    private readonly uint _place;

    public Location(uint pack, long offset, int payloadOffset, int length)
    {
        (Pack, Length) = (pack, length);
        _place = (uint)(offset / PackFormat.Page) << 8 | (uint)(payloadOffset / 64);
    }

    private Location(uint pack, uint place, int length) => (Pack, _place, Length) = (pack, place, length);

    public uint Pack { get; }

    /// <summary>Bytes of the chunk; 0 says that there is none.</summary>
    public int Length { get; }

    /// <summary>Page and header size in one number, as the index file keeps them.</summary>
    public uint Place => _place;
    public long Offset => (long)(_place >> 8) * PackFormat.Page;
    public int PayloadOffset => (int)(_place & 0xFF) * 64;
    public long FrameBytes => PackFormat.FrameBytes(PayloadOffset, Length);

    public static Location FromPlace(uint pack, uint place, int length) => new(pack, place, length);
}
