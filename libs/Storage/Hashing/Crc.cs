using System.Numerics;

namespace DarkStorage.Storage;

/// <summary>CRC-32C (Castagnoli), reflected: what guards each stored block.</summary>
public static class Crc32C
{
    /// <summary>Continues a checksum over more bytes. Start with 0.</summary>
    public static uint Append(uint checksum, ReadOnlySpan<byte> bytes)
    {
        var crc = ~checksum;
        while (bytes.Length >= 8)
        {
            crc = BitOperations.Crc32C(crc, BitConverter.ToUInt64(bytes));
            bytes = bytes[8..];
        }
        foreach (var b in bytes) crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }
}

/// <summary>CRC-32 (ISO-HDLC, the one of zip), reflected.</summary>
public static class Crc32
{
    private static readonly uint[] Table = MakeTable();

    /// <summary>Continues a checksum over more bytes. Start with 0.</summary>
    public static uint Append(uint checksum, ReadOnlySpan<byte> bytes)
    {
        var crc = ~checksum;
        foreach (var b in bytes) crc = crc >> 8 ^ Table[(byte)(crc ^ b)];
        return ~crc;
    }

    private static uint[] MakeTable()
    {
        var table = new uint[256];
        for (var i = 0u; i < 256; i++)
        {
            var value = i;
            for (var bit = 0; bit < 8; bit++) value = (value & 1) != 0 ? value >> 1 ^ 0xEDB88320u : value >> 1;
            table[i] = value;
        }
        return table;
    }
}

/// <summary>CRC-64/NVME, reflected: S3's default checksum.</summary>
public static class Crc64Nvme
{
    private static readonly ulong[] Table = MakeTable();

    /// <summary>Continues a checksum over more bytes. Start with 0.</summary>
    public static ulong Append(ulong checksum, ReadOnlySpan<byte> bytes)
    {
        var crc = ~checksum;
        foreach (var b in bytes) crc = crc >> 8 ^ Table[(byte)(crc ^ b)];
        return ~crc;
    }

    private static ulong[] MakeTable()
    {
        var table = new ulong[256];
        for (var i = 0u; i < 256; i++)
        {
            ulong value = i;
            for (var bit = 0; bit < 8; bit++) value = (value & 1) != 0 ? value >> 1 ^ 0x9A6C9329AC4BC9B5ul : value >> 1;
            table[i] = value;
        }
        return table;
    }
}
