namespace DarkStorage.Select;

/// <summary>What is asked of one object: an expression, and how its records are written and are to be answered.</summary>
/// <param name="Expression">SQL of S3 Select, at most 256 KiB in UTF-8.</param>
/// <param name="Range">The bytes in which records must start; null for all.</param>
public sealed record SelectQuery(string Expression, InputFormat Input, Compression Compression, OutputFormat Output, ScanRange? Range = null);

public enum Compression
{
    None,
    Gzip,
    Bzip2,
}

public enum FileHeader
{
    /// <summary>The first record is data; columns are <c>_1</c>, <c>_2</c> and so on.</summary>
    None,

    /// <summary>The first record is left out.</summary>
    Ignore,

    /// <summary>The first record names the columns.</summary>
    Use,
}

/// <summary>How the object's records are written.</summary>
public abstract record InputFormat;

/// <param name="RecordDelimiter">One or two characters. The line feed takes a carriage return before it along.</param>
/// <param name="Quote">Null: nothing is quoted.</param>
/// <param name="Escape">What stands before a quote character inside quotes; may be the quote character itself.</param>
/// <param name="Comment">A record that starts with it is left out; null for none.</param>
/// <param name="QuotedRecordDelimiter">A record delimiter inside quotes belongs to the field.</param>
public sealed record CsvInput(
    FileHeader Header = FileHeader.None, string RecordDelimiter = "\n", char FieldDelimiter = ',', char? Quote = '"', char? Escape = '"', char? Comment = null,
    bool QuotedRecordDelimiter = false) : InputFormat;

/// <param name="Lines">A record ends with its line; otherwise values follow one another with any white space, and each may be up to 16 MiB.</param>
public sealed record JsonInput(bool Lines) : InputFormat;

/// <summary>How results are written.</summary>
public abstract record OutputFormat(string RecordDelimiter);

/// <param name="AlwaysQuote">Otherwise a field is quoted where it has to be.</param>
public sealed record CsvOutput(string RecordDelimiter = "\n", string FieldDelimiter = ",", string Quote = "\"", string Escape = "\"", bool AlwaysQuote = false) : OutputFormat(RecordDelimiter);

public sealed record JsonOutput(string RecordDelimiter = "\n") : OutputFormat(RecordDelimiter);

/// <summary>The records that start in these bytes, both ends inclusive.</summary>
/// <param name="Start">Null: the last <paramref name="End"/> bytes of the object.</param>
/// <param name="End">Null: to the object's end.</param>
public sealed record ScanRange(long? Start, long? End);

/// <summary>What a query has done so far.</summary>
/// <param name="Scanned">Bytes of the object as stored,</param>
/// <param name="Processed">after decompression,</param>
/// <param name="Returned">and of the answer's records.</param>
public readonly record struct SelectProgress(long Scanned, long Processed, long Returned);

/// <summary>Where the object's bytes come from.</summary>
public interface ISelectSource
{
    /// <summary>Bytes of the object.</summary>
    long Length { get; }

    /// <summary>The content from a byte on to its end. The caller disposes it.</summary>
    ValueTask<Stream> OpenAsync(long first, CancellationToken ct);
}

/// <summary>Where the answer goes.</summary>
public interface ISelectSink
{
    /// <summary>A stretch of the answer: whole records, up to some 2 MiB of them.</summary>
    ValueTask WriteRecordsAsync(ReadOnlyMemory<byte> records, CancellationToken ct);

    /// <summary>Called after each stretch of the object, whether or not it gave records: the time to say that the query still runs.</summary>
    ValueTask ReportAsync(SelectProgress progress, CancellationToken ct);
}
