using System.Buffers.Binary;
using System.Runtime.InteropServices;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Storage.Packs;

/// <summary>One chunk of a pack, as the index beside the pack lists it.</summary>
internal readonly record struct PackEntry(BlobId Blob, int Index, Location Location);

/// <summary>The file beside a sealed pack that lists its frames, so that a start need not read them. It is a cache:
/// damaged, missing or of another length it is made again from the frames.</summary>
internal static class PackIndex
{
    private const int HeaderBytes = 64;
    private const int EntryBytes = 28;

    private static ReadOnlySpan<byte> Magic => "DSPIDX\r\n"u8;

    public static byte[] Write(uint pack, ulong salt, long packLength, List<PackEntry> entries)
    {
        var bytes = new byte[HeaderBytes + (long)EntryBytes * entries.Count];
        var span = bytes.AsSpan();
        Magic.CopyTo(span);
        BinaryPrimitives.WriteInt32LittleEndian(span[8..], PackFormat.Version);
        BinaryPrimitives.WriteUInt32LittleEndian(span[12..], pack);
        BinaryPrimitives.WriteUInt64LittleEndian(span[16..], salt);
        BinaryPrimitives.WriteInt64LittleEndian(span[24..], packLength);
        BinaryPrimitives.WriteInt32LittleEndian(span[32..], entries.Count);
        var at = HeaderBytes;
        foreach (ref readonly var entry in CollectionsMarshal.AsSpan(entries))
        {
            entry.Blob.Write(span[at..]);
            BinaryPrimitives.WriteInt32LittleEndian(span[(at + 16)..], entry.Index);
            BinaryPrimitives.WriteUInt32LittleEndian(span[(at + 20)..], entry.Location.Place);
            BinaryPrimitives.WriteInt32LittleEndian(span[(at + 24)..], entry.Location.Length);
            at += EntryBytes;
        }
        BinaryPrimitives.WriteUInt32LittleEndian(span[60..], Checksum(span));
        return bytes;
    }

    /// <returns>Null unless the file is whole and speaks of this pack in its present length.</returns>
    public static List<PackEntry>? Read(ReadOnlySpan<byte> bytes, uint pack, ulong salt, long packLength)
    {
        if (bytes.Length < HeaderBytes || !bytes.StartsWith(Magic)
            || BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]) != PackFormat.Version
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes[12..]) != pack
            || BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]) != salt
            || BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]) != packLength
            || bytes.Length != HeaderBytes + (long)EntryBytes * BinaryPrimitives.ReadInt32LittleEndian(bytes[32..])
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes[60..]) != Checksum(bytes)) return null;
        var entries = new List<PackEntry>((bytes.Length - HeaderBytes) / EntryBytes);
        for (var at = HeaderBytes; at < bytes.Length; at += EntryBytes)
        {
            var location = Location.FromPlace(
                pack, BinaryPrimitives.ReadUInt32LittleEndian(bytes[(at + 20)..]), BinaryPrimitives.ReadInt32LittleEndian(bytes[(at + 24)..]));
            var index = BinaryPrimitives.ReadInt32LittleEndian(bytes[(at + 16)..]);
            if (location.Length <= 0 || index < 0 || location.Offset + location.FrameBytes > packLength) return null;
            entries.Add(new(BlobId.Read(bytes[at..]), index, location));
        }
        return entries;
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes) => Crc32C.Append(Crc32C.Append(0, bytes[..60]), bytes[HeaderBytes..]);
}
