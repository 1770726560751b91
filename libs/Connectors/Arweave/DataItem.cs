using System.Buffers.Binary;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace DarkStorage.Connectors.Arweave;

/// <summary>A signed data item of ANS-104 but for its data, which comes behind the head: https://github.com/ArweaveTeam/arweave-standards/blob/master/ans/ANS-104.md.</summary>
/// <param name="Id">SHA-256 of the signature. Known before anybody is sent anything.</param>
/// <param name="Head">Type and bytes of the signature, owner, no target, no anchor, and the tags.</param>
internal sealed record DataItem(string Id, ReadOnlyMemory<byte> Head, long DataLength)
{
    /// <summary>Characters.</summary>
    public const int IdLength = 43;

    /// <summary>Of all of them, as they are written. Those who take items take no more, though the standard says nothing of the kind.</summary>
    public const int TagBytesMax = 4096;

    /// <summary>In front of the tags there is as much as this.</summary>
    private const int SignatureOffset = 2;
    private const int OwnerOffset = SignatureOffset + ArweaveWallet.OwnerBytes;
    private const int FlagsOffset = OwnerOffset + ArweaveWallet.OwnerBytes;
    private const int TagsOffset = FlagsOffset + 2 + 8 + 8;

    /// <summary>Bytes of the longest head.</summary>
    public const int HeadBytesMax = TagsOffset + TagBytesMax;

    public long Length => Head.Length + DataLength;

    /// <param name="dataLength">Not 0: what becomes of items without data is said nowhere.</param>
    /// <remarks>The standard's text has the tags in the hash as a list of pairs, and no type of signature. All that is deployed hashes the type, and the tags as the bytes that are written, and takes nothing else.</remarks>
    public static DataItem Sign(ArweaveWallet wallet, IReadOnlyList<(string Name, string Value)> tags, long dataLength, ReadOnlySpan<byte> dataSha384)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(dataLength, 1);
        var encoded = Encode(tags);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(encoded.Length, TagBytesMax, nameof(tags));
        var message = new DeepHash(8).Add("dataitem"u8).Add("1"u8).Add("1"u8).Add(wallet.Owner.Span).Add([]).Add([]).Add(encoded).Add(dataLength, dataSha384).End();
        var signature = wallet.Sign(message);
        var head = new byte[TagsOffset + encoded.Length];
        BinaryPrimitives.WriteInt16LittleEndian(head, 1);
        signature.CopyTo(head, SignatureOffset);
        wallet.Owner.Span.CopyTo(head.AsSpan(OwnerOffset));
        BinaryPrimitives.WriteInt64LittleEndian(head.AsSpan(FlagsOffset + 2), tags.Count);
        BinaryPrimitives.WriteInt64LittleEndian(head.AsSpan(FlagsOffset + 10), encoded.Length);
        encoded.CopyTo(head, TagsOffset);
        return new(Base64Url.EncodeToString(SHA256.HashData(signature)), head, dataLength);
    }

    public static bool IsId(string? text) => text?.Length == IdLength && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_');

    /// <summary>An array of Avro, in one block.</summary>
    private static byte[] Encode(IReadOnlyList<(string Name, string Value)> tags)
    {
        var bytes = new MemoryStream();
        Write(tags.Count);
        foreach (var (name, value) in tags)
        {
            WriteText(name);
            WriteText(value);
        }
        Write(0);
        return bytes.ToArray();

        void WriteText(string text)
        {
            var utf8 = Encoding.UTF8.GetBytes(text);
            Write(utf8.Length);
            bytes.Write(utf8);
        }

        // Avro's long: zigzag, then seven bits a byte, the low ones first.
        void Write(int number)
        {
            var rest = (uint)number << 1;
            for (; rest >= 0x80; rest >>= 7) bytes.WriteByte((byte)(rest | 0x80));
            bytes.WriteByte((byte)rest);
        }
    }
}
