using System.Buffers.Binary;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Packs;

namespace DarkStorage.Storage.Peers;

/// <summary>The bytes between peers: docs/FORMATS.md, "Peers". All integers are little-endian, blob ids as everywhere.</summary>
internal static class PeerProtocol
{
    /// <summary>The newest version that this program speaks, and the oldest: always the one before, where there is one.</summary>
    public const ushort Version = 1;
    public const ushort VersionMin = 1;

    public const int GreetingBytes = 64;
    public const int SentenceBytesMax = 512;
    public const int HeaderBytes = 16;
    public const int RequestBodyMax = 8 << 10;
    public const int AnswerBodyMax = 256 << 10;

    /// <summary>Largest chunk that is taken: the largest that options allow.</summary>
    public const int ChunkBytesMax = 64 << 20;

    /// <summary>Bytes of one stretch of a read.</summary>
    public const int StretchBytes = 256 << 10;

    private static ReadOnlySpan<byte> Magic => "DSPEER\r\n"u8;

    /// <summary>The first words of either side.</summary>
    /// <param name="Low">Oldest version the caller speaks; of the answer, the version that is spoken, 0 where the caller is refused.</param>
    /// <param name="High">Newest version the caller speaks; of the answer, the length of the sentence that says why it is refused.</param>
    /// <param name="Store">The store that the caller looks for; of the answer, the one that is here.</param>
    public readonly record struct Greeting(ushort Low, ushort High, Guid Cluster, Guid Store)
    {
        public void Write(Span<byte> bytes)
        {
            bytes[..GreetingBytes].Clear();
            Magic.CopyTo(bytes);
            BinaryPrimitives.WriteUInt16LittleEndian(bytes[8..], Low);
            BinaryPrimitives.WriteUInt16LittleEndian(bytes[10..], High);
            Cluster.TryWriteBytes(bytes[16..]);
            Store.TryWriteBytes(bytes[32..]);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[60..], Crc32C.Append(0, bytes[..60]));
        }

        public static bool TryRead(ReadOnlySpan<byte> bytes, out Greeting greeting)
        {
            greeting = default;
            if (!bytes.StartsWith(Magic) || BinaryPrimitives.ReadUInt32LittleEndian(bytes[60..]) != Crc32C.Append(0, bytes[..60])) return false;
            greeting = new(
                BinaryPrimitives.ReadUInt16LittleEndian(bytes[8..]), BinaryPrimitives.ReadUInt16LittleEndian(bytes[10..]), new(bytes.Slice(16, 16)), new(bytes.Slice(32, 16)));
            return true;
        }
    }

    /// <summary>The newest version that both speak; 0 where there is none.</summary>
    public static ushort Agree(ushort lowA, ushort highA, ushort lowB, ushort highB)
    {
        var version = Math.Min(highA, highB);
        return version >= Math.Max(lowA, lowB) ? version : (ushort)0;
    }

    public static void WriteHeader(Span<byte> message, PeerMessageKind kind, bool flag, int body, int payload)
    {
        message[0] = (byte)kind;
        message[1] = flag ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt16LittleEndian(message[2..], 0);
        BinaryPrimitives.WriteInt32LittleEndian(message[4..], body);
        BinaryPrimitives.WriteInt32LittleEndian(message[8..], payload);
        BinaryPrimitives.WriteUInt32LittleEndian(message[12..], Checksum(message, message.Slice(HeaderBytes, body)));
    }

    public static uint Checksum(ReadOnlySpan<byte> header, ReadOnlySpan<byte> body) => Crc32C.Append(Crc32C.Append(0, header[..12]), body);

    /// <summary>Whether each block of some payload matches a table of checksums.</summary>
    public static bool BlocksMatch(ReadOnlySpan<byte> table, ReadOnlySpan<byte> payload)
    {
        for (var at = 0; !payload.IsEmpty; at += sizeof(uint))
        {
            var block = payload[..Math.Min(PackFormat.Block, payload.Length)];
            if (Crc32C.Append(0, block) != BinaryPrimitives.ReadUInt32LittleEndian(table[at..])) return false;
            payload = payload[block.Length..];
        }
        return true;
    }

    /// <summary>What goes over the wire of an error.</summary>
    public static ushort CodeOf(StorageError error) => error switch
    {
        StorageError.InsufficientStorage => 2,
        StorageError.DataDamaged => 3,
        StorageError.ChecksumMismatch => 4,
        StorageError.NoSuchKey => 5,
        StorageError.InvalidArgument => 6,
        _ => 1,
    };

    public static StorageError ErrorOf(ushort code) => code switch
    {
        2 => StorageError.InsufficientStorage,
        3 => StorageError.DataDamaged,
        4 => StorageError.ChecksumMismatch,
        5 => StorageError.NoSuchKey,
        6 => StorageError.InvalidArgument,
        _ => StorageError.Unavailable,
    };
}

/// <summary>What a message is. Numbers stay.</summary>
internal enum PeerMessageKind : byte
{
    /// <summary>A chunk. Flag: it and all before it are to be durable.</summary>
    Append = 1,
    /// <summary>The write or the read of this connection is over. Flag: an answer is wanted.</summary>
    End = 2,
    Read = 3,
    Delete = 4,
    ListBlobs = 5,
    ListChunks = 6,

    /// <summary>What was asked for is done; the body is the answer.</summary>
    Done = 64,
    /// <summary>Blocks of a chunk. Flag: there are no more.</summary>
    Data = 65,
    Error = 66,
}

/// <summary>A message as it was received; its payload, if it has one, is still to be read.</summary>
/// <param name="Body">Valid until the next message is received.</param>
internal readonly record struct PeerMessage(PeerMessageKind Kind, bool Flag, ReadOnlyMemory<byte> Body, int Payload);

/// <summary>The other side does not keep to the protocol.</summary>
internal sealed class PeerProtocolException : IOException
{
    public PeerProtocolException() { }
    public PeerProtocolException(string message) : base(message) { }
    public PeerProtocolException(string message, Exception inner) : base(message, inner) { }
}
