using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Numerics;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;

namespace DarkStorage.Rules.Cluster;

/// <summary>A layout as bytes: docs/FORMATS.md, "Layouts".</summary>
public static class LayoutCodec
{
    private const byte Format = 1;

    /// <summary>Bytes that no layout within the limits exceeds: all partitions, each of 48 nodes, and some of them in movement.</summary>
    private const int BytesMax = 64 << 20;

    private const int VarintBytesMax = 10;

    private static ReadOnlySpan<byte> Magic => "DSLAYOUT"u8;

    public static byte[] Encode(Layout layout)
    {
        var output = new ArrayBufferWriter<byte>(layout.Partitions.Length * layout.Replication.Width + 4096);
        output.Write(Magic);
        output.Write([Format]);
        WriteVarint(output, (ulong)layout.Version);
        WriteUInt64(output, layout.Placement.First);
        WriteUInt64(output, layout.Placement.Second);
        output.Write([(byte)layout.Replication.Factor, (byte)layout.Replication.Width, (byte)(layout.Replication.ZonesMayBeShared ? 1 : 0)]);
        WriteVarint(output, (ulong)layout.Nodes.Length);
        foreach (var node in layout.Nodes)
        {
            node.Id.Write(output.GetSpan(NodeId.ByteLength));
            output.Advance(NodeId.ByteLength);
            WriteText(output, node.Name);
            WriteText(output, node.Zone);
            WriteVarint(output, (ulong)node.Weight);
            output.Write([(byte)node.State]);
        }
        output.Write([(byte)int.Log2(layout.Partitions.Length)]);
        foreach (var partition in layout.Partitions) WriteNodes(output, partition.Nodes);
        var unsettled = layout.Partitions.Index().Where(partition => !partition.Item.IsSettled).ToList();
        WriteVarint(output, (ulong)unsettled.Count);
        foreach (var (index, partition) in unsettled)
        {
            WriteVarint(output, (ulong)index);
            WriteVarint(output, (ulong)partition.Since);
            output.Write([(byte)partition.Former.Length]);
            foreach (var placement in partition.Former)
            {
                output.Write([(byte)placement.Length]);
                WriteNodes(output, placement);
            }
        }
        Span<byte> checksum = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(checksum, Crc32C(output.WrittenSpan));
        output.Write(checksum);
        return output.WrittenSpan.ToArray();
    }

    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: these are not the bytes of a layout, or of a newer format.</exception>
    public static Layout Decode(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length is < 32 or > BytesMax || !bytes.StartsWith(Magic)) throw Damaged("it does not begin as one");
        var body = bytes[..^sizeof(uint)];
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[^sizeof(uint)..]) != Crc32C(body)) throw Damaged("its checksum does not match");
        var reader = new Reader(body[Magic.Length..]);
        if (reader.Byte() is var format && format != Format) throw Damaged($"its format is {format}, and this program knows {Format}");
        var version = (long)reader.Varint(long.MaxValue);
        var placement = new PlacementKey(reader.UInt64(), reader.UInt64());
        var replication = new Replication(reader.Byte(), reader.Byte(), reader.Byte() != 0);
        if (replication.Width is < 1 or > Layouts.WidthMax || replication.Factor < 1 || replication.Factor > replication.Width) throw Damaged("its replication is out of bounds");
        var nodes = ImmutableArray.CreateBuilder<LayoutNode>();
        for (var left = reader.Varint(ushort.MaxValue); left > 0; left--)
        {
            var id = NodeId.Read(reader.Bytes(NodeId.ByteLength));
            var node = new LayoutNode(id, reader.Text(), reader.Text(), (int)reader.Varint(Layouts.WeightMax), (NodeState)reader.Byte());
            if (!Enum.IsDefined(node.State)) throw Damaged("a node is in a state that there is not");
            nodes.Add(node);
        }
        var bits = reader.Byte();
        if (bits < int.Log2(Layouts.PartitionsMin) || bits > int.Log2(Layouts.PartitionsMax)) throw Damaged($"it has 2^{bits} partitions");
        var partitions = ImmutableArray.CreateBuilder<Partition>(1 << bits);
        for (var i = 0; i < 1 << bits; i++) partitions.Add(new(reader.Nodes(replication.Width, nodes.Count), [], 0));
        for (var left = reader.Varint((ulong)partitions.Count); left > 0; left--)
        {
            var index = (int)reader.Varint((ulong)partitions.Count - 1);
            var since = (long)reader.Varint(long.MaxValue);
            var former = new ImmutableArray<ushort>[reader.Byte()];
            for (var i = 0; i < former.Length; i++) former[i] = reader.Nodes(reader.Byte(), nodes.Count);
            partitions[index] = partitions[index] with { Former = [.. former], Since = since };
        }
        reader.End();
        return new(version, placement, replication, nodes.ToImmutable(), partitions.MoveToImmutable());
    }

    private static uint Crc32C(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..]) crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        foreach (var b in bytes) crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }

    private static void WriteNodes(ArrayBufferWriter<byte> output, ImmutableArray<ushort> nodes)
    {
        foreach (var node in nodes) WriteVarint(output, node);
    }

    private static void WriteText(ArrayBufferWriter<byte> output, string text)
    {
        var utf8 = Encoding.UTF8.GetBytes(text);
        WriteVarint(output, (ulong)utf8.Length);
        output.Write(utf8);
    }

    private static void WriteUInt64(ArrayBufferWriter<byte> output, ulong value)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(output.GetSpan(sizeof(ulong)), value);
        output.Advance(sizeof(ulong));
    }

    private static void WriteVarint(ArrayBufferWriter<byte> output, ulong value)
    {
        var bytes = output.GetSpan(VarintBytesMax);
        var length = 0;
        for (; value >= 0x80; value >>= 7) bytes[length++] = (byte)(value | 0x80);
        bytes[length++] = (byte)value;
        output.Advance(length);
    }

    private static StorageException Damaged(string why) => new(StorageError.DataDamaged, $"A stored layout can't be read: {why}.");

    private ref struct Reader(ReadOnlySpan<byte> bytes)
    {
        private ReadOnlySpan<byte> _bytes = bytes;

        public byte Byte() => Bytes(1)[0];

        public ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Bytes(sizeof(ulong)));

        public ReadOnlySpan<byte> Bytes(int count)
        {
            if (count > _bytes.Length) throw Damaged("it ends too early");
            var bytes = _bytes[..count];
            _bytes = _bytes[count..];
            return bytes;
        }

        public ulong Varint(ulong most)
        {
            var value = 0ul;
            for (var shift = 0; shift < VarintBytesMax * 7; shift += 7)
            {
                var b = Byte();
                value |= (ulong)(b & 0x7F) << shift;
                if (b >= 0x80) continue;
                return value <= most ? value : throw Damaged($"a number is {value}, and {most} at the most");
            }
            throw Damaged("a number does not end");
        }

        public string Text() => Encoding.UTF8.GetString(Bytes((int)Varint(Layouts.NameLengthMax)));

        public ImmutableArray<ushort> Nodes(int count, int known)
        {
            var nodes = new ushort[count];
            for (var i = 0; i < count; i++)
            {
                var node = Varint(ushort.MaxValue);
                if (node >= (ulong)known) throw Damaged($"a partition names node {node} of {known}");
                nodes[i] = (ushort)node;
            }
            return [.. nodes];
        }

        public readonly void End()
        {
            if (!_bytes.IsEmpty) throw Damaged("something follows it");
        }
    }
}
