using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace DarkStorage.Storage.ErasureCoding;

/// <summary>A byte at a time, by a table of products: what the others are held against, and what they leave over.</summary>
internal sealed unsafe class ScalarKernel : ErasureKernel
{
    /// <summary>Bytes of an output that stay in the first cache while all inputs are added to them.</summary>
    private const int BlockBytes = 8 << 10;

    public override string Name => "scalar";

    public override bool IsSupported => true;

    public override int FactorBytes => 1;

    public override void WriteFactor(byte factor, Span<byte> destination) => destination[0] = factor;

    public override void Multiply(CodingMatrix matrix, byte** inputs, byte** outputs, nint length)
    {
        for (nint block = 0; block < length; block += BlockBytes) Multiply(matrix, inputs, outputs, block, (int)Math.Min(BlockBytes, length - block));
    }

    /// <summary>The bytes from <paramref name="from"/> on alone.</summary>
    public static void Multiply(CodingMatrix matrix, byte** inputs, byte** outputs, nint from, int length)
    {
        for (var output = 0; output < matrix.Outputs; output++)
        {
            var sum = outputs[output] + from;
            Unsafe.InitBlockUnaligned(sum, 0, (uint)length);
            for (var input = 0; input < matrix.Inputs; input++)
            {
                ref var products = ref MemoryMarshal.GetReference(GaloisField.ProductsOf(matrix[output, input]));
                var source = inputs[input] + from;
                for (var i = 0; i < length; i++) sum[i] ^= Unsafe.Add(ref products, (nint)source[i]);
            }
        }
    }
}
