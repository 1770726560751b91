using System.Buffers.Binary;
using System.Security.Cryptography;

namespace DarkStorage.TestKit;

/// <summary>S3's five checksums, bit by bit from their definitions: slow, plain, and sharing nothing with the product.</summary>
public static class Checksums
{
    public static readonly string[] Algorithms = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"];

    /// <summary>The header or trailer of an algorithm.</summary>
    public static string Header(string algorithm) => $"x-amz-checksum-{algorithm.ToLowerInvariant()}";

    /// <summary>The digest as headers carry it.</summary>
    public static string Base64(string algorithm, ReadOnlySpan<byte> content) => Convert.ToBase64String(Digest(algorithm, content));

    public static byte[] Digest(string algorithm, ReadOnlySpan<byte> content) => algorithm switch
    {
        "CRC32" => BigEndian((uint)Crc(content, 0xEDB88320, uint.MaxValue)),
        "CRC32C" => BigEndian((uint)Crc(content, 0x82F63B78, uint.MaxValue)),
        "CRC64NVME" => BigEndian(Crc(content, 0x9A6C9329AC4BC9B5, ulong.MaxValue)),
        "SHA1" => SHA1.HashData(content),
        "SHA256" => SHA256.HashData(content),
        _ => throw new ArgumentOutOfRangeException(nameof(algorithm), algorithm, null),
    };

    /// <summary>A reflected CRC whose start and final inversion are all ones.</summary>
    private static ulong Crc(ReadOnlySpan<byte> content, ulong polynomial, ulong ones)
    {
        var crc = ones;
        foreach (var b in content)
        {
            crc ^= b;
            for (var bit = 0; bit < 8; bit++) crc = (crc & 1) != 0 ? crc >> 1 ^ polynomial : crc >> 1;
        }
        return crc ^ ones;
    }

    private static byte[] BigEndian(uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, value);
        return bytes;
    }

    private static byte[] BigEndian(ulong value)
    {
        var bytes = new byte[8];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, value);
        return bytes;
    }
}
