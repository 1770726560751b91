using System.IO.Compression;
using DarkStorage.Select.Evaluation;
using DarkStorage.Select.Records;
using DarkStorage.Select.Sql;
using ICSharpCode.SharpZipLib;
using ICSharpCode.SharpZipLib.BZip2;

namespace DarkStorage.Select;

/// <summary>Runs a query over one object.</summary>
/// <remarks>One record is looked at after the other, and what is kept of it is what the answer needs. Memory is bounded by the longest record (1 MiB; a JSON
/// document 16 MiB), by one stretch of the answer, and by the expression; not by the object.</remarks>
public sealed class SelectRun
{
    /// <summary>Records are handed on when there is this much of them.</summary>
    private const int StretchBytes = 128 << 10;

    /// <summary>Or when the oldest has waited this long.</summary>
    private static readonly TimeSpan StretchTime = TimeSpan.FromSeconds(1);

    private readonly SelectQuery _query;
    private readonly TimeProvider _clock;
    private readonly SelectStatement _statement;
    private readonly Translation _translation;

    private SelectRun(SelectQuery query, TimeProvider clock, SelectStatement statement, Translation translation) =>
        (_query, _clock, _statement, _translation) = (query, clock, statement, translation);

    /// <summary>Reads the expression.</summary>
    /// <exception cref="SelectException">It is malformed, or not supported with this input.</exception>
    public static SelectRun Prepare(SelectQuery query, TimeProvider clock)
    {
        var statement = Parser.Parse(query.Expression);
        if (query.Input is CsvInput && statement.From.Count > 0) throw new SelectException("InvalidKeyPath", "A path in FROM is for JSON alone.");
        if (query.Range is not null && (query.Compression != Compression.None || query.Input is CsvInput { QuotedRecordDelimiter: true } or JsonInput { Lines: false }))
            throw new SelectException("UnsupportedScanRangeInput", "ScanRange is for uncompressed CSV without quoted record delimiters and for JSON lines.");
        return new(query, clock, statement, Translator.Translate(statement, query.Input is CsvInput, clock.GetUtcNow()));
    }

    /// <returns>What the whole query has done.</returns>
    /// <exception cref="SelectException">What the input or the evaluation answers. Whatever source and sink throw passes through.</exception>
    public async Task<SelectProgress> ExecuteAsync(ISelectSource source, ISelectSink sink, CancellationToken ct)
    {
        using var program = new SqliteProgram(_translation, ct);
        var (first, last) = Bounds(source.Length);
        // A record starts where a delimiter ends: that one is looked for too.
        var delimiter = _query.Input is CsvInput csv ? System.Text.Encoding.UTF8.GetByteCount(csv.RecordDelimiter) : 1;
        var from = first == 0 ? 0 : Math.Max(0, first - delimiter);
        await using var content = new CountingStream(await source.OpenAsync(from, ct));
        using var output = RecordWriter.Create(_query.Output);
        var lastWrite = _clock.GetTimestamp();
        try
        {
            await using var unpacked = Decompress(content);
            var input = new InputBuffer(unpacked ?? content, from);
            using var reader = OpenReader(input, last, () => ProgressedAsync(input));
            if (from > 0) await SkipPartAsync(reader, source, from, ct);
            else if (first > 0) await SkipToAsync(reader, input, first, ct);
            else if (reader is CsvReader header) await header.ReadHeaderAsync(ct);
            await ReadRecordsAsync(program, reader, output, sink, ct);
            if (output.Buffer.WrittenCount > 0) await sink.WriteRecordsAsync(output.Buffer.WrittenMemory, ct);
            return Progress(input);
        }
        catch (Exception e) when (_query.Compression != Compression.None && e is InvalidDataException or SharpZipBaseException or EndOfStreamException or IndexOutOfRangeException)
        {
            throw new SelectException("TruncatedInput", "Object decompression failed. Check that the object is properly compressed using the format specified in the request.", inner: e);
        }

        SelectProgress Progress(InputBuffer input) => new(content.Count, input.Read, output.Written);

        async ValueTask ProgressedAsync(InputBuffer input)
        {
            ct.ThrowIfCancellationRequested();
            if (output.Buffer.WrittenCount > 0 && _clock.GetElapsedTime(lastWrite) >= StretchTime)
            {
                await sink.WriteRecordsAsync(output.Buffer.WrittenMemory, ct);
                output.Buffer.ResetWrittenCount();
                lastWrite = _clock.GetTimestamp();
            }
            await sink.ReportAsync(Progress(input), ct);
        }
    }

    private async Task ReadRecordsAsync(SqliteProgram program, RecordReader reader, RecordWriter output, ISelectSink sink, CancellationToken ct)
    {
        var columns = new SelectValue[_translation.Columns.Count];
        var row = new List<SelectValue>();
        var aggregates = _translation.Aggregates.Select(kind => new AggregateState(kind)).ToArray();
        var results = new SelectValue[aggregates.Length];
        var kept = 0L;
        for (var returned = 0L; (_statement.Limit is not { } limit || returned < limit) && await reader.ReadAsync(ct);)
        {
            reader.Fill(columns);
            if (!program.Evaluate(columns, row)) continue;
            if (_statement.HasAggregates)
            {
                for (var i = 0; i < aggregates.Length; i++)
                {
                    if (_translation.Arguments[i] is not { } argument) aggregates[i].AddRecord();
                    else kept += aggregates[i].Add(argument.Source == ValueSource.Column ? columns[argument.Index] : row[argument.Index]);
                }
                if (kept > SqliteProgram.MadeBytesMax) throw new SelectException("OverMaxRecordSize", "The aggregates of the SQL expression keep more than 16 MB.");
                continue;
            }
            Write(reader, output, columns, row, results);
            returned++;
            if (output.Buffer.WrittenCount < StretchBytes) continue;
            await sink.WriteRecordsAsync(output.Buffer.WrittenMemory, ct);
            output.Buffer.ResetWrittenCount();
        }
        if (!_statement.HasAggregates || _statement.Limit == 0) return;
        for (var i = 0; i < aggregates.Length; i++) results[i] = aggregates[i].Result();
        program.Finish(results, row);
        Write(reader, output, columns, row, results);
    }

    private void Write(RecordReader reader, RecordWriter output, SelectValue[] columns, List<SelectValue> row, SelectValue[] aggregates)
    {
        output.Begin();
        if (_statement.IsStar) reader.WriteAll(output);
        foreach (var field in _translation.Outputs)
        {
            output.Write(field.Name, field.Source switch
            {
                { Source: ValueSource.Column, Index: var i } => columns[i],
                { Source: ValueSource.Aggregate, Index: var i } => aggregates[i],
                { Index: var i } => row[i],
            });
        }
        output.End();
    }

    /// <summary>The bytes in which records are to start.</summary>
    /// <exception cref="SelectException"><c>InvalidScanRange</c>.</exception>
    private (long First, long Last) Bounds(long length)
    {
        if (_query.Range is not { } range) return (0, long.MaxValue);
        if (range is { Start: null, End: null } or { Start: < 0 } or { End: < 0 } || range.Start > range.End) throw Invalid();
        if (range.Start is not { } start) return (Math.Max(0, length - range.End!.Value), long.MaxValue);
        return start == 0 || start < length ? (start, range.End ?? long.MaxValue) : throw Invalid();

        static SelectException Invalid() => new("InvalidScanRange", "The provided scan range is invalid.");
    }

    private RecordReader OpenReader(InputBuffer input, long last, Func<ValueTask> progressed) => _query.Input is CsvInput csv
        ? new CsvReader(input, csv, _translation.Columns) { LastStart = last, Progressed = progressed }
        : new JsonReader(input, (JsonInput)_query.Input, _statement.From, _translation.Columns) { LastStart = last, Progressed = progressed };

    /// <summary>Goes on to the first record that starts in the range; the names of columns stand where the object begins.</summary>
    private async ValueTask SkipPartAsync(RecordReader reader, ISelectSource source, long from, CancellationToken ct)
    {
        if (reader is JsonReader json)
        {
            await json.SkipPartAsync(ct);
            return;
        }
        var csv = (CsvReader)reader;
        if (_query.Input is CsvInput { Header: FileHeader.Use } format)
        {
            await using var begin = await source.OpenAsync(0, ct);
            using var header = new CsvReader(new(begin, 0), format, []);
            await header.ReadHeaderAsync(ct);
            csv.UseHeader([.. header.Names]);
        }
        await csv.SkipPartAsync(ct);
    }

    /// <summary>The range begins within the first delimiter's length of the object.</summary>
    private static async ValueTask SkipToAsync(RecordReader reader, InputBuffer input, long first, CancellationToken ct)
    {
        if (reader is CsvReader csv) await csv.ReadHeaderAsync(ct);
        while (input.Position < first && await reader.ReadAsync(ct))
        {
        }
    }

    /// <returns>Null where the content is as it is.</returns>
    private Stream? Decompress(Stream content) => _query.Compression switch
    {
        Compression.Gzip => new GZipStream(content, CompressionMode.Decompress, leaveOpen: true),
        Compression.Bzip2 => new BZip2InputStream(content) { IsStreamOwner = false },
        _ => null,
    };
}
