using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using Orleans;

namespace DarkStorage.GrainInterfaces.Cluster;

/// <summary>A storage node for life: a machine that comes back without its data is another node, whatever its name.</summary>
[GenerateSerializer, Immutable, Alias("node-id")]
public readonly record struct NodeId(ulong High, ulong Low)
{
    public const int ByteLength = 16;

    /// <summary>128 random bits.</summary>
    public static NodeId New() => Read(RandomNumberGenerator.GetBytes(ByteLength));

    public static NodeId Read(ReadOnlySpan<byte> source) => new(BinaryPrimitives.ReadUInt64BigEndian(source), BinaryPrimitives.ReadUInt64BigEndian(source[8..]));

    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, High);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], Low);
    }

    /// <summary>32 lower-case hexadecimal digits.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{High:x16}{Low:x16}");
}

/// <summary>What a layout may ask of a node.</summary>
public enum NodeState
{
    /// <summary>It holds its share.</summary>
    Active,
    /// <summary>It gets nothing new, and is read from until what it held has moved.</summary>
    Draining,
    /// <summary>It is not coming back, and what it held is made anew from other copies.</summary>
    Gone,
}

/// <summary>One storage node of a layout.</summary>
/// <param name="Name">What operators call it.</param>
/// <param name="Zone">What fails together with it: a rack, a room, a site. Copies of one partition are in different zones.</param>
/// <param name="Weight">Its share of the data, against the weights of the others: its capacity in any unit that all share.</param>
[GenerateSerializer, Immutable, Alias("layout-node")]
public sealed record LayoutNode(NodeId Id, string Name, string Zone, int Weight, NodeState State = NodeState.Active);
