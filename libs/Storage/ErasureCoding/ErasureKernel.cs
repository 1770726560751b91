using System.Runtime.Intrinsics;

namespace DarkStorage.Storage.ErasureCoding;

/// <summary>One way of multiplying shards with a matrix. All ways give the same bytes; they differ in what they ask of the processor.</summary>
internal abstract unsafe class ErasureKernel
{
    /// <summary>Outputs that are made in one pass over the inputs. Their sums stay in registers: four, two vectors each, with the factors fill the 16 of AVX2.</summary>
    public const int OutputsAtOnce = 4;

    /// <summary>All kernels, the fastest first. The last one runs everywhere.</summary>
    public static readonly IReadOnlyList<ErasureKernel> All =
    [
        new VectorKernel<Gfni512, Vector512<byte>>("GFNI, 512 bits"),
        new VectorKernel<Gfni256, Vector256<byte>>("GFNI, 256 bits"),
        new VectorKernel<Shuffle512, Vector512<byte>>("AVX-512 shuffle"),
        new VectorKernel<Shuffle256, Vector256<byte>>("AVX2 shuffle"),
        new VectorKernel<Shuffle128, Vector128<byte>>("128-bit shuffle"),
        new ScalarKernel(),
    ];

    /// <summary>What this processor does best; asked once.</summary>
    public static readonly ErasureKernel Best = All.First(kernel => kernel.IsSupported);

    public abstract string Name { get; }

    public abstract bool IsSupported { get; }

    /// <summary>Bytes of what the kernel keeps of one factor.</summary>
    public abstract int FactorBytes { get; }

    /// <summary>Brings a factor into the form that the kernel multiplies by.</summary>
    public abstract void WriteFactor(byte factor, Span<byte> destination);

    /// <summary>Each output is the sum of all inputs, each times its factor. No output may overlap anything else.</summary>
    /// <param name="length">Bytes of each input and output.</param>
    public abstract void Multiply(CodingMatrix matrix, byte** inputs, byte** outputs, nint length);

    public override string ToString() => Name;
}

/// <summary>A matrix in the form that a kernel multiplies by: for each group of outputs that are made in one pass, for each input, the factor of each output.</summary>
internal sealed class CodingMatrix
{
    private readonly GaloisMatrix _cells;

    /// <param name="cells">A row for each output, a column for each input.</param>
    public CodingMatrix(GaloisMatrix cells, ErasureKernel kernel)
    {
        _cells = cells;
        Factors = GC.AllocateUninitializedArray<byte>(cells.Rows * cells.Columns * kernel.FactorBytes, pinned: true);
        var at = 0;
        for (var group = 0; group < cells.Rows; group += ErasureKernel.OutputsAtOnce)
        {
            for (var input = 0; input < cells.Columns; input++)
            {
                for (var output = group; output < Math.Min(group + ErasureKernel.OutputsAtOnce, cells.Rows); output++, at += kernel.FactorBytes)
                    kernel.WriteFactor(cells[output, input], Factors.AsSpan(at, kernel.FactorBytes));
            }
        }
    }

    public int Inputs => _cells.Columns;

    public int Outputs => _cells.Rows;

    /// <summary>In pinned memory.</summary>
    public byte[] Factors { get; }

    public byte this[int output, int input] => _cells[output, input];
}
