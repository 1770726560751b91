using DarkStorage.GrainInterfaces.Cluster;

namespace DarkStorage.Grains.Cluster;

/// <summary>A node of the layout is known by its store.</summary>
public static class NodeIds
{
    public static NodeId Of(Guid store)
    {
        Span<byte> bytes = stackalloc byte[NodeId.ByteLength];
        store.TryWriteBytes(bytes, bigEndian: true, out _);
        return NodeId.Read(bytes);
    }

    public static Guid ToStore(NodeId node)
    {
        Span<byte> bytes = stackalloc byte[NodeId.ByteLength];
        node.Write(bytes);
        return new(bytes, bigEndian: true);
    }
}
