using System.Collections.Immutable;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>What a node of a file names: a stretch of the file.</summary>
/// <param name="Length">Bytes of the file below it.</param>
/// <param name="TreeBytes">Bytes of the block and of all below it.</param>
internal readonly record struct FileLink(Cid Cid, long Length, long TreeBytes);

/// <summary>A block that puts stretches of a file together: UnixFS in DAG-PB, in the one way that all implementations write it (https://specs.ipfs.tech/unixfs/, https://ipld.io/specs/codecs/dag-pb/spec/).</summary>
/// <remarks>Both are Protocol Buffers. Links come before the data, have an empty name, and the data says the length of the file and of each stretch.</remarks>
internal static class FileNode
{
    // Tags: a field's number, and 0 for a number or 2 for bytes.
    private const byte NodeLinks = (2 << 3) | 2, NodeData = (1 << 3) | 2;
    private const byte LinkHash = (1 << 3) | 2, LinkName = (2 << 3) | 2, LinkSize = 3 << 3;
    private const byte DataType = 1 << 3, DataBytes = (2 << 3) | 2, DataFileSize = 3 << 3, DataBlockSizes = 4 << 3;

    private const int FileType = 2;

    public static byte[] Encode(IReadOnlyList<FileLink> links)
    {
        using var node = new MemoryStream();
        Span<byte> cid = stackalloc byte[Cid.BytesLength];
        foreach (var link in links)
        {
            node.WriteByte(NodeLinks);
            Write(node, 2 + Cid.BytesLength + 2 + 1 + LengthOf(link.TreeBytes));
            node.WriteByte(LinkHash);
            Write(node, Cid.BytesLength);
            link.Cid.Write(cid);
            node.Write(cid);
            node.WriteByte(LinkName);
            Write(node, 0);
            node.WriteByte(LinkSize);
            Write(node, link.TreeBytes);
        }
        var length = links.Sum(l => l.Length);
        node.WriteByte(NodeData);
        Write(node, 2 + 1 + LengthOf(length) + links.Sum(l => 1 + LengthOf(l.Length)));
        node.WriteByte(DataType);
        Write(node, FileType);
        node.WriteByte(DataFileSize);
        Write(node, length);
        foreach (var link in links)
        {
            node.WriteByte(DataBlockSizes);
            Write(node, link.Length);
        }
        return node.ToArray();
    }

    /// <returns>Null where it is no node of a file as it is made here. What a link says of the bytes of its tree is not looked at.</returns>
    public static ImmutableArray<FileLink>? Decode(ReadOnlySpan<byte> node)
    {
        var cids = new List<Cid>();
        var sizes = new List<long>();
        var length = -1L;
        while (!node.IsEmpty)
        {
            if (!TryReadField(ref node, out var tag, out _, out var bytes)) return null;
            if (tag == NodeLinks && DecodeLink(bytes) is { } cid) cids.Add(cid);
            else if (tag != NodeData || length >= 0 || !TryDecodeData(bytes, sizes, out length)) return null;
        }
        if (cids.Count == 0 || cids.Count != sizes.Count) return null;
        var links = ImmutableArray.CreateBuilder<FileLink>(cids.Count);
        foreach (var (cid, size) in cids.Zip(sizes))
        {
            // A stretch of nothing would let what is read go on for ever.
            if (size <= 0 || size > length) return null;
            length -= size;
            links.Add(new(cid, size, 0));
        }
        return length == 0 ? links.MoveToImmutable() : null;
    }

    private static Cid? DecodeLink(ReadOnlySpan<byte> link)
    {
        Cid? cid = null;
        while (!link.IsEmpty)
        {
            if (!TryReadField(ref link, out var tag, out _, out var bytes)) return null;
            if (tag == LinkHash) cid = Cid.Find(bytes);
            else if (tag is not (LinkName or LinkSize) || !bytes.IsEmpty) return null;
        }
        return cid;
    }

    private static bool TryDecodeData(ReadOnlySpan<byte> data, List<long> sizes, out long length)
    {
        length = -1;
        var isFile = false;
        while (!data.IsEmpty)
        {
            if (!TryReadField(ref data, out var tag, out var number, out var bytes)) return false;
            switch (tag)
            {
                case DataType when number == FileType:
                    isFile = true;
                    break;
                case DataBytes when bytes.IsEmpty:
                    break;
                case DataFileSize:
                    length = number;
                    break;
                case DataBlockSizes:
                    sizes.Add(number);
                    break;
                default:
                    return false;
            }
        }
        return isFile && length >= 0;
    }

    /// <param name="number">Of a field that is one.</param>
    /// <param name="bytes">Of a field that has some.</param>
    private static bool TryReadField(ref ReadOnlySpan<byte> from, out byte tag, out long number, out ReadOnlySpan<byte> bytes)
    {
        tag = from[0];
        bytes = default;
        from = from[1..];
        if (!TryRead(ref from, out number) || (tag & 7) is not (0 or 2)) return false;
        if ((tag & 7) == 0) return true;
        if (number > from.Length) return false;
        bytes = from[..(int)number];
        from = from[(int)number..];
        return true;
    }

    private static bool TryRead(ref ReadOnlySpan<byte> from, out long number)
    {
        number = 0;
        for (var (i, shift) = (0, 0); i < from.Length && shift < 63; i++, shift += 7)
        {
            number |= (long)(from[i] & 0x7F) << shift;
            if (from[i] >= 0x80) continue;
            from = from[(i + 1)..];
            return true;
        }
        return false;
    }

    private static void Write(MemoryStream to, long number)
    {
        for (; number >= 0x80; number >>= 7) to.WriteByte((byte)(number | 0x80));
        to.WriteByte((byte)number);
    }

    private static int LengthOf(long number)
    {
        var length = 1;
        for (; number >= 0x80; number >>= 7) length++;
        return length;
    }
}
