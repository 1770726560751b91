using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.Wasm;
using System.Runtime.Intrinsics.X86;

namespace DarkStorage.Storage.ErasureCoding;

/// <summary>What a <see cref="VectorKernel{TLanes, TVector}"/> needs of the processor.</summary>
internal unsafe interface ILanes<TVector> where TVector : unmanaged
{
    static abstract bool IsSupported { get; }

    /// <inheritdoc cref="ErasureKernel.FactorBytes"/>
    static abstract int FactorBytes { get; }

    /// <inheritdoc cref="ErasureKernel.WriteFactor"/>
    static abstract void WriteFactor(byte factor, Span<byte> destination);

    /// <summary>The first half of a factor, brought into a register.</summary>
    static abstract TVector Low(byte* factor);

    /// <summary>The other half, where there is one.</summary>
    static abstract TVector High(byte* factor);

    static abstract TVector Load(byte* source);

    static abstract void Store(TVector vector, byte* destination);

    /// <summary>Each byte of the sum plus that of the vector times the factor.</summary>
    static abstract TVector MultiplyAdd(TVector sum, TVector vector, TVector low, TVector high);
}

/// <summary>Multiplying by a constant is linear over the bits of a byte, so it is a matrix of 8 by 8 bits, and GFNI multiplies bytes by such a matrix.</summary>
internal static class BitMatrix
{
    public const int Bytes = 8;

    /// <summary>The instruction takes the row that makes bit 0 from the highest byte (Intel's manual, GF2P8AFFINEQB).</summary>
    public static void Write(byte factor, Span<byte> destination)
    {
        var matrix = 0ul;
        for (var bit = 0; bit < 8; bit++)
        {
            var column = GaloisField.Multiply(factor, (byte)(1 << bit));
            for (var row = 0; row < 8; row++) matrix |= (ulong)(column >> row & 1) << ((7 - row) * 8) + bit;
        }
        BinaryPrimitives.WriteUInt64LittleEndian(destination, matrix);
    }
}

/// <summary>The products of a factor with the sixteen low and with the sixteen high halves of a byte: a shuffle looks up as many at once as the vector has bytes.</summary>
internal static class HalfTables
{
    public const int Bytes = 2 * HighAt;
    public const int HighAt = 16;
    public const byte LowBits = 0x0F;
    public const int HighShift = 4;

    public static void Write(byte factor, Span<byte> destination)
    {
        for (var half = 0; half < HighAt; half++)
        {
            destination[half] = GaloisField.Multiply(factor, (byte)half);
            destination[HighAt + half] = GaloisField.Multiply(factor, (byte)(half << HighShift));
        }
    }
}

internal readonly unsafe struct Gfni512 : ILanes<Vector512<byte>>
{
    public static bool IsSupported => Gfni.V512.IsSupported && Vector512.IsHardwareAccelerated;
    public static int FactorBytes => BitMatrix.Bytes;
    public static void WriteFactor(byte factor, Span<byte> destination) => BitMatrix.Write(factor, destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Low(byte* factor) => Vector512.Create(*(ulong*)factor).AsByte();
    public static Vector512<byte> High(byte* factor) => default;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Load(byte* source) => Vector512.Load(source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<byte> vector, byte* destination) => vector.Store(destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> MultiplyAdd(Vector512<byte> sum, Vector512<byte> vector, Vector512<byte> low, Vector512<byte> high) =>
        sum ^ Gfni.V512.GaloisFieldAffineTransform(vector, low, 0);
}

internal readonly unsafe struct Gfni256 : ILanes<Vector256<byte>>
{
    public static bool IsSupported => Gfni.V256.IsSupported && Avx2.IsSupported;
    public static int FactorBytes => BitMatrix.Bytes;
    public static void WriteFactor(byte factor, Span<byte> destination) => BitMatrix.Write(factor, destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Low(byte* factor) => Vector256.Create(*(ulong*)factor).AsByte();
    public static Vector256<byte> High(byte* factor) => default;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Load(byte* source) => Vector256.Load(source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector256<byte> vector, byte* destination) => vector.Store(destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> MultiplyAdd(Vector256<byte> sum, Vector256<byte> vector, Vector256<byte> low, Vector256<byte> high) =>
        sum ^ Gfni.V256.GaloisFieldAffineTransform(vector, low, 0);
}

internal readonly unsafe struct Shuffle512 : ILanes<Vector512<byte>>
{
    public static bool IsSupported => Avx512BW.IsSupported && Vector512.IsHardwareAccelerated;
    public static int FactorBytes => HalfTables.Bytes;
    public static void WriteFactor(byte factor, Span<byte> destination) => HalfTables.Write(factor, destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Low(byte* factor) => Avx512F.BroadcastVector128ToVector512((uint*)factor).AsByte();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> High(byte* factor) => Avx512F.BroadcastVector128ToVector512((uint*)(factor + HalfTables.HighAt)).AsByte();
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> Load(byte* source) => Vector512.Load(source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector512<byte> vector, byte* destination) => vector.Store(destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<byte> MultiplyAdd(Vector512<byte> sum, Vector512<byte> vector, Vector512<byte> low, Vector512<byte> high)
    {
        var bits = Vector512.Create(HalfTables.LowBits);
        return sum ^ Avx512BW.Shuffle(low, vector & bits) ^ Avx512BW.Shuffle(high, (vector.AsUInt16() >> HalfTables.HighShift).AsByte() & bits);
    }
}

internal readonly unsafe struct Shuffle256 : ILanes<Vector256<byte>>
{
    public static bool IsSupported => Avx2.IsSupported;
    public static int FactorBytes => HalfTables.Bytes;
    public static void WriteFactor(byte factor, Span<byte> destination) => HalfTables.Write(factor, destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Low(byte* factor) => Avx2.BroadcastVector128ToVector256(factor);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> High(byte* factor) => Avx2.BroadcastVector128ToVector256(factor + HalfTables.HighAt);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> Load(byte* source) => Vector256.Load(source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector256<byte> vector, byte* destination) => vector.Store(destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<byte> MultiplyAdd(Vector256<byte> sum, Vector256<byte> vector, Vector256<byte> low, Vector256<byte> high)
    {
        var bits = Vector256.Create(HalfTables.LowBits);
        return sum ^ Avx2.Shuffle(low, vector & bits) ^ Avx2.Shuffle(high, (vector.AsUInt16() >> HalfTables.HighShift).AsByte() & bits);
    }
}

/// <summary>SSSE3, ARM's AdvSimd, WebAssembly. The indices are below 16, where the shuffles of all processors agree.</summary>
internal readonly unsafe struct Shuffle128 : ILanes<Vector128<byte>>
{
    public static bool IsSupported => Ssse3.IsSupported || AdvSimd.Arm64.IsSupported || PackedSimd.IsSupported;
    public static int FactorBytes => HalfTables.Bytes;
    public static void WriteFactor(byte factor, Span<byte> destination) => HalfTables.Write(factor, destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Low(byte* factor) => Vector128.Load(factor);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> High(byte* factor) => Vector128.Load(factor + HalfTables.HighAt);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> Load(byte* source) => Vector128.Load(source);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Vector128<byte> vector, byte* destination) => vector.Store(destination);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector128<byte> MultiplyAdd(Vector128<byte> sum, Vector128<byte> vector, Vector128<byte> low, Vector128<byte> high)
    {
        var bits = Vector128.Create(HalfTables.LowBits);
        return sum ^ Vector128.ShuffleNative(low, vector & bits) ^ Vector128.ShuffleNative(high, vector >>> HalfTables.HighShift & bits);
    }
}
