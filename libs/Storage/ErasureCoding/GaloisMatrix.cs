using System.Diagnostics;

namespace DarkStorage.Storage.ErasureCoding;

/// <summary>A matrix over <see cref="GaloisField"/>, no larger than 48 by 32.</summary>
internal sealed class GaloisMatrix(int rows, int columns)
{
    private readonly byte[] _cells = new byte[rows * columns];

    public int Rows => rows;

    public int Columns => columns;

    public byte this[int row, int column]
    {
        get => _cells[(row * columns) + column];
        set => _cells[(row * columns) + column] = value;
    }

    /// <summary>Row <c>r</c> is 1, r, r^2, …: any <paramref name="columns"/> of its rows are independent, since their <c>r</c> differ.</summary>
    public static GaloisMatrix Vandermonde(int rows, int columns)
    {
        var matrix = new GaloisMatrix(rows, columns);
        for (var row = 0; row < rows; row++)
        {
            for (var column = 0; column < columns; column++) matrix[row, column] = GaloisField.Power((byte)row, column);
        }
        return matrix;
    }

    /// <summary>The rows that are named, in that order.</summary>
    public GaloisMatrix Select(ReadOnlySpan<int> chosen)
    {
        var matrix = new GaloisMatrix(chosen.Length, columns);
        for (var row = 0; row < chosen.Length; row++) _cells.AsSpan(chosen[row] * columns, columns).CopyTo(matrix._cells.AsSpan(row * columns));
        return matrix;
    }

    public GaloisMatrix Times(GaloisMatrix right)
    {
        var product = new GaloisMatrix(rows, right.Columns);
        for (var row = 0; row < rows; row++)
        {
            for (var column = 0; column < right.Columns; column++)
            {
                byte sum = 0;
                for (var i = 0; i < columns; i++) sum ^= GaloisField.Multiply(this[row, i], right[i, column]);
                product[row, column] = sum;
            }
        }
        return product;
    }

    /// <summary>The inverse of a square matrix, by Gauss and Jordan.</summary>
    /// <exception cref="UnreachableException">It has none: no matrix of a code of ours is such.</exception>
    public GaloisMatrix Inverse()
    {
        var left = Select([.. Enumerable.Range(0, rows)]);
        var inverse = new GaloisMatrix(rows, rows);
        for (var i = 0; i < rows; i++) inverse[i, i] = 1;
        for (var pivot = 0; pivot < rows; pivot++)
        {
            var found = pivot;
            while (found < rows && left[found, pivot] == 0) found++;
            if (found == rows) throw new UnreachableException("The matrix is singular.");
            left.Swap(pivot, found);
            inverse.Swap(pivot, found);
            var scale = GaloisField.Inverse(left[pivot, pivot]);
            left.Scale(pivot, scale);
            inverse.Scale(pivot, scale);
            for (var row = 0; row < rows; row++)
            {
                var factor = left[row, pivot];
                if (row == pivot || factor == 0) continue;
                left.AddScaled(row, pivot, factor);
                inverse.AddScaled(row, pivot, factor);
            }
        }
        return inverse;
    }

    private void Swap(int a, int b)
    {
        for (var column = 0; column < columns; column++) (this[a, column], this[b, column]) = (this[b, column], this[a, column]);
    }

    private void Scale(int row, byte factor)
    {
        for (var column = 0; column < columns; column++) this[row, column] = GaloisField.Multiply(this[row, column], factor);
    }

    private void AddScaled(int row, int source, byte factor)
    {
        for (var column = 0; column < columns; column++) this[row, column] ^= GaloisField.Multiply(this[source, column], factor);
    }
}
