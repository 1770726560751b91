namespace DarkStorage.Storage;

/// <summary>CRC-32 (ISO-HDLC, the one of zip), reflected.</summary>
public static class Crc32
{
    internal static readonly CrcPolynomial Polynomial = new(32, 0xEDB88320);

    /// <summary>Continues a checksum over more bytes. Start with 0.</summary>
    public static uint Append(uint checksum, ReadOnlySpan<byte> bytes) => ~(uint)Polynomial.Update(~checksum, bytes);

    /// <summary>The checksum of A followed by B, without their bytes.</summary>
    /// <param name="lengthB">Bytes of B.</param>
    public static uint Combine(uint crcA, uint crcB, long lengthB) => (uint)Polynomial.Combine(crcA, crcB, lengthB);
}
