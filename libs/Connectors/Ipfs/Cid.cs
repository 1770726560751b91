using System.Buffers.Binary;
using System.Security.Cryptography;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>What IPFS calls content: a CID of version 1, of a SHA-256. What a block is called follows from its bytes, so whoever has the CID can tell whether they are the right ones.</summary>
/// <remarks>Its bytes are 01 for the version, one for the codec, 12 20 for 32 bytes of SHA-256, and those (https://github.com/multiformats/cid). Its text is those in base32 of RFC 4648, in lower case and without padding, which multibase marks with a b in front.</remarks>
/// <param name="IsRaw">The block is bytes of a file, and nothing else; if not, it is a node that names others.</param>
internal readonly record struct Cid(bool IsRaw, UInt128 High, UInt128 Low)
{
    public const int BytesLength = 36;

    private const int TextLength = 1 + (((BytesLength * 8) + 4) / 5);
    private const byte RawCodec = 0x55;
    private const byte DagPbCodec = 0x70;
    private const string Digits = "abcdefghijklmnopqrstuvwxyz234567";

    /// <param name="sha256">Of the block.</param>
    public static Cid OfRaw(ReadOnlySpan<byte> sha256) => Of(isRaw: true, sha256);

    public static Cid OfNode(ReadOnlySpan<byte> block) => Of(isRaw: false, SHA256.HashData(block));

    /// <summary>Whether these are the bytes that are called so.</summary>
    public bool IsOf(ReadOnlySpan<byte> block) => this == Of(IsRaw, SHA256.HashData(block));

    /// <returns>Null where it is no CID of the kind that is made here.</returns>
    public static Cid? Find(ReadOnlySpan<byte> bytes) =>
        bytes.Length == BytesLength && bytes is [0x01, RawCodec or DagPbCodec, 0x12, 0x20, ..] ? Of(bytes[1] == RawCodec, bytes[4..]) : null;

    /// <returns>Null where it is no CID of the kind that is made here.</returns>
    public static Cid? Find(ReadOnlySpan<char> text)
    {
        if (text.Length != TextLength || text[0] != 'b') return null;
        Span<byte> bytes = stackalloc byte[BytesLength];
        var (bits, value, at) = (0, 0, 0);
        foreach (var digit in text[1..])
        {
            var index = Digits.AsSpan().IndexOf(digit);
            if (index < 0) return null;
            value = (value << 5) | index;
            bits += 5;
            if (bits < 8) continue;
            bits -= 8;
            bytes[at++] = (byte)(value >> bits);
            value &= (1 << bits) - 1;
        }
        // Of one content there is one text: bits that are left over are none.
        return value == 0 ? Find(bytes) : null;
    }

    public void Write(Span<byte> bytes)
    {
        bytes[0] = 0x01;
        bytes[1] = IsRaw ? RawCodec : DagPbCodec;
        bytes[2] = 0x12;
        bytes[3] = 0x20;
        BinaryPrimitives.WriteUInt128BigEndian(bytes[4..], High);
        BinaryPrimitives.WriteUInt128BigEndian(bytes[20..], Low);
    }

    public override string ToString() => string.Create(TextLength, this, static (text, cid) =>
    {
        Span<byte> bytes = stackalloc byte[BytesLength];
        cid.Write(bytes);
        text[0] = 'b';
        var (bits, value, at) = (0, 0, 1);
        foreach (var one in bytes)
        {
            value = (value << 8) | one;
            for (bits += 8; bits >= 5;)
            {
                bits -= 5;
                text[at++] = Digits[(value >> bits) & 31];
            }
            value &= (1 << bits) - 1;
        }
        if (bits > 0) text[at] = Digits[(value << (5 - bits)) & 31];
    });

    private static Cid Of(bool isRaw, ReadOnlySpan<byte> sha256) => new(isRaw, BinaryPrimitives.ReadUInt128BigEndian(sha256), BinaryPrimitives.ReadUInt128BigEndian(sha256[16..]));
}
