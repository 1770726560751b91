namespace DarkStorage.Storage;

/// <summary>CRC-64/NVME, reflected: S3's default checksum.</summary>
public static class Crc64Nvme
{
    internal static readonly CrcPolynomial Polynomial = new(64, 0x9A6C9329AC4BC9B5);

    /// <summary>Continues a checksum over more bytes. Start with 0.</summary>
    public static ulong Append(ulong checksum, ReadOnlySpan<byte> bytes) => ~Polynomial.Update(~checksum, bytes);

    /// <summary>The checksum of A followed by B, without their bytes.</summary>
    /// <param name="lengthB">Bytes of B.</param>
    public static ulong Combine(ulong crcA, ulong crcB, long lengthB) => Polynomial.Combine(crcA, crcB, lengthB);
}
