using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace DarkStorage.Storage.ErasureCoding;

/// <summary>Many bytes at a time. A pass makes up to four outputs: it reads each input once and keeps the sums in registers.</summary>
/// <remarks>Static members of a type parameter that is a struct are bound when the method is compiled, so each kernel is straight code of its own.</remarks>
internal sealed unsafe class VectorKernel<TLanes, TVector>(string name) : ErasureKernel
    where TLanes : struct, ILanes<TVector>
    where TVector : unmanaged
{
    /// <summary>Bytes of all inputs together that are gone through for one group of outputs before the next group reads them again: they are in the second cache then.</summary>
    private const int CachedBytes = 256 << 10;

    private const int BlockAlignment = 4 << 10;

    private static int Width => sizeof(TVector);

    public override string Name => name;

    public override bool IsSupported => TLanes.IsSupported;

    public override int FactorBytes => TLanes.FactorBytes;

    public override void WriteFactor(byte factor, Span<byte> destination) => TLanes.WriteFactor(factor, destination);

    public override void Multiply(CodingMatrix matrix, byte** inputs, byte** outputs, nint length)
    {
        if (length < Width)
        {
            ScalarKernel.Multiply(matrix, inputs, outputs, 0, (int)length);
            return;
        }
        var blockBytes = Math.Max(BlockAlignment, CachedBytes / matrix.Inputs / BlockAlignment * BlockAlignment);
        fixed (byte* factors = matrix.Factors)
        {
            for (nint from = 0; from < length; from += blockBytes)
            {
                var end = nint.Min(from + blockBytes, length);
                var factor = factors;
                for (var group = 0; group < matrix.Outputs; group += OutputsAtOnce)
                {
                    var count = Math.Min(OutputsAtOnce, matrix.Outputs - group);
                    switch (count)
                    {
                        case 1: Pass<One>(factor, matrix.Inputs, inputs, outputs + group, from, end); break;
                        case 2: Pass<Two>(factor, matrix.Inputs, inputs, outputs + group, from, end); break;
                        case 3: Pass<Three>(factor, matrix.Inputs, inputs, outputs + group, from, end); break;
                        case 4: Pass<Four>(factor, matrix.Inputs, inputs, outputs + group, from, end); break;
                        default: throw new UnreachableException();
                    }
                    factor += matrix.Inputs * count * FactorBytes;
                }
            }
        }
    }

    /// <summary>Makes the bytes from <paramref name="from"/> to <paramref name="end"/>, which is at least one vector behind the beginning of the shards.</summary>
    private static void Pass<TCount>(byte* factors, int inputs, byte** input, byte** output, nint from, nint end) where TCount : struct, ICount
    {
        var at = from;
        for (; at <= end - (2 * Width); at += 2 * Width) TwoVectors<TCount>(factors, inputs, input, output, at, at + Width);
        // What is left is less than two vectors. The last one ends with the bytes, and may make some of them again: they come out the same.
        if (at < end) TwoVectors<TCount>(factors, inputs, input, output, nint.Min(at, end - Width), end - Width);
    }

    /// <summary>Makes one vector at each of two places.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void TwoVectors<TCount>(byte* factors, int inputs, byte** input, byte** output, nint first, nint second) where TCount : struct, ICount
    {
        TVector a0 = default, a1 = default, a2 = default, a3 = default;
        TVector b0 = default, b1 = default, b2 = default, b3 = default;
        for (var i = 0; i < inputs; i++)
        {
            var a = TLanes.Load(input[i] + first);
            var b = TLanes.Load(input[i] + second);
            var low = TLanes.Low(factors);
            var high = TLanes.High(factors);
            a0 = TLanes.MultiplyAdd(a0, a, low, high);
            b0 = TLanes.MultiplyAdd(b0, b, low, high);
            factors += TLanes.FactorBytes;
            if (TCount.Value > 1)
            {
                low = TLanes.Low(factors);
                high = TLanes.High(factors);
                a1 = TLanes.MultiplyAdd(a1, a, low, high);
                b1 = TLanes.MultiplyAdd(b1, b, low, high);
                factors += TLanes.FactorBytes;
            }
            if (TCount.Value > 2)
            {
                low = TLanes.Low(factors);
                high = TLanes.High(factors);
                a2 = TLanes.MultiplyAdd(a2, a, low, high);
                b2 = TLanes.MultiplyAdd(b2, b, low, high);
                factors += TLanes.FactorBytes;
            }
            if (TCount.Value > 3)
            {
                low = TLanes.Low(factors);
                high = TLanes.High(factors);
                a3 = TLanes.MultiplyAdd(a3, a, low, high);
                b3 = TLanes.MultiplyAdd(b3, b, low, high);
                factors += TLanes.FactorBytes;
            }
        }
        Store(output[0], first, a0, second, b0);
        if (TCount.Value > 1) Store(output[1], first, a1, second, b1);
        if (TCount.Value > 2) Store(output[2], first, a2, second, b2);
        if (TCount.Value > 3) Store(output[3], first, a3, second, b3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(byte* output, nint first, TVector a, nint second, TVector b)
    {
        TLanes.Store(a, output + first);
        TLanes.Store(b, output + second);
    }

    private interface ICount
    {
        static abstract int Value { get; }
    }

    private readonly struct One : ICount
    {
        public static int Value => 1;
    }

    private readonly struct Two : ICount
    {
        public static int Value => 2;
    }

    private readonly struct Three : ICount
    {
        public static int Value => 3;
    }

    private readonly struct Four : ICount
    {
        public static int Value => 4;
    }
}
