using System.Buffers.Binary;

namespace DarkStorage.Conformance.Drives;

/// <summary>One chunk as it lies in a pack, found by docs/FORMATS.md and sharing nothing with the product.</summary>
internal sealed record PackFrame(string Pack, long Offset, int PayloadOffset, string Blob, int Index, int Length)
{
    private const int Page = 4096;

    public long Payload => Offset + PayloadOffset;

    public long End => (Payload + Length + Page - 1) / Page * Page;

    /// <summary>All chunks of an object in their order.</summary>
    public static List<PackFrame> Of(NodeProcess node, byte[] content)
    {
        var all = Directory.EnumerateFiles(node.Packs(), "*.pack").Order(StringComparer.Ordinal).SelectMany(Read).ToList();
        var first = all.Single(f => f.Frame.Index == 0 && f.Head.AsSpan().SequenceEqual(content.AsSpan(0, f.Head.Length))).Frame;
        return [.. all.Select(f => f.Frame).Where(f => f.Blob == first.Blob).OrderBy(f => f.Index)];
    }

    /// <summary>Changes one bit of the chunk's content.</summary>
    public void FlipContent(long at) => Flip(Payload + at);

    /// <summary>Changes one bit of the chunk's header: in the blob's id.</summary>
    public void FlipHeader() => Flip(Offset + 24);

    private static IEnumerable<(PackFrame Frame, byte[] Head)> Read(string pack)
    {
        var bytes = File.ReadAllBytes(pack);
        for (var at = 2 * Page; at + Page <= bytes.Length; at += Page)
        {
            var header = bytes.AsSpan(at);
            if (!header.StartsWith("DSFR"u8) || BinaryPrimitives.ReadInt64LittleEndian(header[16..]) != at) continue;
            var payload = BinaryPrimitives.ReadUInt16LittleEndian(header[6..]) * 64;
            var length = BinaryPrimitives.ReadInt32LittleEndian(header[44..]);
            var frame = new PackFrame(pack, at, payload, Convert.ToHexStringLower(header[24..40]), BinaryPrimitives.ReadInt32LittleEndian(header[40..]), length);
            yield return (frame, bytes.AsSpan(at + payload, Math.Min(64, length)).ToArray());
        }
    }

    private void Flip(long position)
    {
        using var file = File.OpenHandle(Pack, FileMode.Open, FileAccess.ReadWrite);
        var one = new byte[1];
        Assert.Equal(1, RandomAccess.Read(file, one, position));
        one[0] ^= 0x10;
        RandomAccess.Write(file, one, position);
    }
}
