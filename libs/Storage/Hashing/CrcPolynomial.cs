using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using ArmAes = System.Runtime.Intrinsics.Arm.Aes;

namespace DarkStorage.Storage;

/// <summary>The arithmetic of one reflected CRC of 32 or 64 bits, whose register starts as all ones and is inverted at the end.</summary>
/// <remarks>
/// A message is a polynomial over GF(2) and its CRC the remainder modulo P. Reflected: the lowest bit of the first byte is the highest power.
/// Fast path: 64 bytes are kept as four remainders of 128 bits; each step multiplies them by x^512 (two carry-less multiplications by a constant
/// each) and adds the next 64 bytes. What is left at the end, 16 bytes with the same remainder as the whole, goes through the tables like any tail.
/// All constants are computed from P at start, so there is no list of magic numbers that could be wrong.
/// </remarks>
internal sealed class CrcPolynomial
{
    /// <summary>Below this the set-up of the fast path costs more than it saves.</summary>
    private const int FoldBytesMin = 128;

    private readonly int _width;
    private readonly ulong _polynomial;
    private readonly ulong[] _tables;           // 8 tables of 256: a byte's effect 0 to 7 bytes later
    private readonly ulong[] _powersOfTwo;      // x^(2^k) mod P
    private readonly Vector128<ulong> _by512;
    private readonly Vector128<ulong> _by128;

    /// <param name="width">32 or 64.</param>
    /// <param name="reflected">P without its highest power, the lowest bit being the highest power left.</param>
    public CrcPolynomial(int width, ulong reflected)
    {
        _width = width;
        _polynomial = reflected;
        _tables = MakeTables();
        _powersOfTwo = MakePowers();
        _by512 = FoldBy(512);
        _by128 = FoldBy(128);
    }

    private static bool HasCarrylessMultiply => BitConverter.IsLittleEndian && (Pclmulqdq.IsSupported || ArmAes.IsSupported);

    /// <summary>Moves the register, neither inverted before nor after, past some bytes.</summary>
    public ulong Update(ulong register, ReadOnlySpan<byte> bytes) =>
        HasCarrylessMultiply && bytes.Length >= FoldBytesMin ? UpdateFolding(register, bytes) : UpdateByTable(register, bytes);

    public ulong UpdateByTable(ulong register, ReadOnlySpan<byte> bytes)
    {
        ref var table = ref MemoryMarshal.GetArrayDataReference(_tables);
        while (bytes.Length >= 8)
        {
            var x = register ^ BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            register = Unsafe.Add(ref table, 7 * 256 + (int)(x & 255))
                ^ Unsafe.Add(ref table, 6 * 256 + (int)(x >> 8 & 255))
                ^ Unsafe.Add(ref table, 5 * 256 + (int)(x >> 16 & 255))
                ^ Unsafe.Add(ref table, 4 * 256 + (int)(x >> 24 & 255))
                ^ Unsafe.Add(ref table, 3 * 256 + (int)(x >> 32 & 255))
                ^ Unsafe.Add(ref table, 2 * 256 + (int)(x >> 40 & 255))
                ^ Unsafe.Add(ref table, 256 + (int)(x >> 48 & 255))
                ^ Unsafe.Add(ref table, (int)(x >> 56));
            bytes = bytes[8..];
        }
        foreach (var b in bytes) register = register >> 8 ^ Unsafe.Add(ref table, (int)((register ^ b) & 255));
        return register;
    }

    /// <summary>The same by carry-less multiplication, for at least 64 bytes and a processor that has it.</summary>
    public ulong UpdateFolding(ulong register, ReadOnlySpan<byte> bytes)
    {
        ref var source = ref MemoryMarshal.GetReference(bytes);
        var x0 = Load(ref source, 0) ^ Vector128.CreateScalar(register);    // the register is the message's first bits
        var x1 = Load(ref source, 16);
        var x2 = Load(ref source, 32);
        var x3 = Load(ref source, 48);
        var offset = 64;
        var by512 = _by512;
        for (; offset <= bytes.Length - 64; offset += 64)
        {
            x0 = Fold(x0, by512) ^ Load(ref source, offset);
            x1 = Fold(x1, by512) ^ Load(ref source, offset + 16);
            x2 = Fold(x2, by512) ^ Load(ref source, offset + 32);
            x3 = Fold(x3, by512) ^ Load(ref source, offset + 48);
        }
        var by128 = _by128;
        x0 = Fold(Fold(Fold(x0, by128) ^ x1, by128) ^ x2, by128) ^ x3;
        for (; offset <= bytes.Length - 16; offset += 16) x0 = Fold(x0, by128) ^ Load(ref source, offset);

        Span<byte> rest = stackalloc byte[16];
        x0.AsByte().CopyTo(rest);
        return UpdateByTable(UpdateByTable(0, rest), bytes[offset..]);
    }

    /// <summary>The CRC of A followed by B, from the CRCs of A and of B: A's times x^(8·length of B), plus B's.</summary>
    public ulong Combine(ulong crcA, ulong crcB, long lengthB)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(lengthB);
        var bytes = (ulong)lengthB;
        for (var k = 3; bytes != 0; k++, bytes >>= 1)   // 8·length, so from x^(2^3) on
            if ((bytes & 1) != 0) crcA = Multiply(crcA, _powersOfTwo[k]);
        return crcA ^ crcB;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ulong> Load(ref byte source, int offset) =>
        Vector128.LoadUnsafe(ref source, (nuint)offset).AsUInt64();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<ulong> Fold(Vector128<ulong> x, Vector128<ulong> by) => Pclmulqdq.IsSupported
        ? Pclmulqdq.CarrylessMultiply(x, by, 0x00) ^ Pclmulqdq.CarrylessMultiply(x, by, 0x11)
        : ArmAes.PolynomialMultiplyWideningLower(x.GetLower(), by.GetLower()) ^ ArmAes.PolynomialMultiplyWideningUpper(x, by);

    /// <summary>The pair of constants that multiplies 128 bits by x^bits. The reflected product of two 64-bit factors comes out one power too
    /// high, hence the minus one; the lower half of a vector holds its 64 higher powers, hence the plus 64.</summary>
    private Vector128<ulong> FoldBy(int bits) => Vector128.Create(PowerOfX(bits + 64 - 1) << (64 - _width), PowerOfX(bits - 1) << (64 - _width));

    private ulong PowerOfX(int exponent)
    {
        var value = 1ul << (_width - 1);
        for (var i = 0; i < exponent; i++) value = TimesX(value);
        return value;
    }

    private ulong TimesX(ulong value) => (value & 1) != 0 ? value >> 1 ^ _polynomial : value >> 1;

    private ulong Multiply(ulong a, ulong b)
    {
        var product = 0ul;
        for (var bit = 1ul << (_width - 1); bit != 0; bit >>= 1)
        {
            if ((a & bit) != 0) product ^= b;
            b = TimesX(b);
        }
        return product;
    }

    private ulong[] MakePowers()
    {
        var powers = new ulong[3 + 63];
        powers[0] = PowerOfX(1);
        for (var k = 1; k < powers.Length; k++) powers[k] = Multiply(powers[k - 1], powers[k - 1]);
        return powers;
    }

    private ulong[] MakeTables()
    {
        var tables = new ulong[8 * 256];
        for (var i = 0; i < 256; i++)
        {
            var value = (ulong)i;
            for (var bit = 0; bit < 8; bit++) value = TimesX(value);
            tables[i] = value;
        }
        for (var i = 256; i < tables.Length; i++) tables[i] = tables[i - 256] >> 8 ^ tables[(int)(tables[i - 256] & 255)];
        return tables;
    }
}
