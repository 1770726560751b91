using System.Buffers.Binary;
using System.Numerics;

namespace DarkStorage.Storage;

/// <summary>CRC-32C (Castagnoli), reflected: what guards each stored block.</summary>
public static class Crc32C
{
    internal static readonly CrcPolynomial Polynomial = new(32, 0x82F63B78);

    /// <summary>From here on folding beats the processor's own instruction, which waits three cycles for each 8 bytes.</summary>
    private const int FoldBytesMin = 256;

    /// <summary>Continues a checksum over more bytes. Start with 0.</summary>
    public static uint Append(uint checksum, ReadOnlySpan<byte> bytes)
    {
        var crc = ~checksum;
        if (bytes.Length >= FoldBytesMin) return ~(uint)Polynomial.Update(crc, bytes);
        while (bytes.Length >= 8)
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[8..];
        }
        foreach (var b in bytes) crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }

    /// <summary>The checksum of A followed by B, without their bytes.</summary>
    /// <param name="lengthB">Bytes of B.</param>
    public static uint Combine(uint crcA, uint crcB, long lengthB) => (uint)Polynomial.Combine(crcA, crcB, lengthB);
}
