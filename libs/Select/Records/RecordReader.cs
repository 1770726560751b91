using DarkStorage.Select.Evaluation;
using DarkStorage.Select.Sql;

namespace DarkStorage.Select.Records;

/// <summary>The records of an object, one after the other. What a record hands out is good until the next.</summary>
internal abstract class RecordReader(InputBuffer input) : IDisposable
{
    /// <summary>Bytes of a record, and of a record of the answer, as AWS has it.</summary>
    public const int RecordBytesMax = 1 << 20;

    protected InputBuffer Input => input;

    /// <summary>Called after each read of the input.</summary>
    public Func<ValueTask>? Progressed { get; init; }

    /// <summary>The last byte in which a record may start.</summary>
    public long LastStart { get; init; } = long.MaxValue;

    /// <summary>Goes on to the next record.</summary>
    /// <returns>False where there is none.</returns>
    /// <exception cref="SelectException">The record is malformed or too long.</exception>
    public abstract ValueTask<bool> ReadAsync(CancellationToken ct);

    /// <summary>The fields of the record that the query names.</summary>
    public abstract void Fill(SelectValue[] columns);

    /// <summary>Writes the whole record.</summary>
    public abstract void WriteAll(RecordWriter output);

    public virtual void Dispose()
    {
    }

    protected async ValueTask FillAsync(CancellationToken ct)
    {
        await input.FillAsync(ct);
        if (Progressed is { } progressed) await progressed();
    }

    protected static SelectException TooLong() => new("OverMaxRecordSize", "The length of a record in the input or result is greater than the maximum of 1 MB.");

    protected static SelectException Ambiguous(PathExpr path) => new("AmbiguousFieldName", "A field name matches multiple fields: quote it to tell them apart by case.", path.Position);
}
