using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace DarkStorage.Simulation.Crash;

/// <summary>A content, known by its length and MD5: nothing but the run's seed and a number has to be kept to make or recognise its bytes.</summary>
internal readonly record struct Content(long Length, string Md5)
{
    /// <summary>No object at all.</summary>
    public static readonly Content None = new(-1, "none");

    public static Content Of(ReadOnlySpan<byte> bytes) => new(bytes.Length, Convert.ToHexStringLower(MD5.HashData(bytes)));

    /// <summary>The bytes of a number in a run.</summary>
    public static byte[] Bytes(int seed, long number, int length)
    {
        var bytes = GC.AllocateUninitializedArray<byte>(length);
        var state = Seeds.Mix((ulong)(uint)seed << 32 ^ (ulong)number);
        var words = MemoryMarshal.Cast<byte, ulong>(bytes.AsSpan());
        for (var i = 0; i < words.Length; i++) words[i] = Seeds.Mix(state + (ulong)i);
        for (var i = words.Length * sizeof(ulong); i < length; i++) bytes[i] = (byte)Seeds.Mix(state + (ulong)i);
        return bytes;
    }

    public override string ToString() => Length < 0 ? "nothing" : $"{Length} bytes {Md5[..8]}";
}
