using System.Buffers.Binary;
using System.Numerics;
using System.Text;

namespace Orleans;

/// <summary>A 32-bit hash that never changes between processes, versions or machines (xxHash32 with seed 0).</summary>
public static class StableHash
{
    private const uint Prime1 = 2654435761, Prime2 = 2246822519, Prime3 = 3266489917, Prime4 = 668265263, Prime5 = 374761393;

    public static uint ComputeHash(string data)
    {
        ArgumentNullException.ThrowIfNull(data);
        return ComputeHash(Encoding.UTF8.GetBytes(data));
    }

    public static uint ComputeHash(ReadOnlySpan<byte> data)
    {
        var length = (uint)data.Length;
        uint hash;
        if (data.Length >= 16)
        {
            uint a = unchecked(Prime1 + Prime2), b = Prime2, c = 0, d = unchecked(0 - Prime1);
            for (; data.Length >= 16; data = data[16..])
            {
                a = Round(a, data);
                b = Round(b, data[4..]);
                c = Round(c, data[8..]);
                d = Round(d, data[12..]);
            }

            hash = BitOperations.RotateLeft(a, 1) + BitOperations.RotateLeft(b, 7)
                + BitOperations.RotateLeft(c, 12) + BitOperations.RotateLeft(d, 18);
        }
        else
        {
            hash = Prime5;
        }

        hash += length;
        for (; data.Length >= 4; data = data[4..])
            hash = BitOperations.RotateLeft(hash + (BinaryPrimitives.ReadUInt32LittleEndian(data) * Prime3), 17) * Prime4;
        foreach (var value in data)
            hash = BitOperations.RotateLeft(hash + (value * Prime5), 11) * Prime1;

        hash = (hash ^ (hash >> 15)) * Prime2;
        hash = (hash ^ (hash >> 13)) * Prime3;
        return hash ^ (hash >> 16);
    }

    private static uint Round(uint lane, ReadOnlySpan<byte> data) =>
        BitOperations.RotateLeft(lane + (BinaryPrimitives.ReadUInt32LittleEndian(data) * Prime2), 13) * Prime1;
}
