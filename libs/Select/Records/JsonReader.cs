using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using DarkStorage.Select.Evaluation;
using DarkStorage.Select.Sql;

namespace DarkStorage.Select.Records;

/// <summary>JSON: one value a line, or values one after the other, each of which FROM may have several records in.</summary>
internal sealed class JsonReader(InputBuffer input, JsonInput format, IReadOnlyList<PathStep> from, IReadOnlyList<PathExpr> columns) : RecordReader(input)
{
    private const int DepthMax = 64;

    /// <summary>A document with many records in it is held whole, so its bound is that of what one request may hold.</summary>
    private const int DocumentBytesMax = 16 << 20;

    private static readonly JsonDocumentOptions DocumentOptions = new() { MaxDepth = DepthMax };

    /// <summary>What a record is called that is no object: the last name on the way to it.</summary>
    private readonly PathStep? _name = from is [.., { Name: not null } last] ? last : null;

    private JsonDocument? _document;
    private IEnumerator<JsonElement?>? _records;

    /// <summary>Null where the way led to nothing.</summary>
    private JsonElement? _record;

    /// <summary>Goes on to the next line, as the one that is begun belongs to a record before.</summary>
    public async ValueTask SkipPartAsync(CancellationToken ct)
    {
        while (true)
        {
            var found = Input.Unread.Span.IndexOf((byte)'\n');
            if (found >= 0 || Input.IsCompleted)
            {
                Input.Take(found >= 0 ? found + 1 : Input.Unread.Length);
                return;
            }
            if (Input.Unread.Length > RecordBytesMax) throw TooLong();
            await FillAsync(ct);
        }
    }

    public override async ValueTask<bool> ReadAsync(CancellationToken ct)
    {
        while (true)
        {
            if (_records is not null && _records.MoveNext())
            {
                _record = _records.Current;
                return true;
            }
            _records = null;
            _document?.Dispose();
            _document = null;
            if (await NextAsync(ct) is not { } value) return false;
            try
            {
                _document = JsonDocument.Parse(value, DocumentOptions);
            }
            catch (JsonException e)
            {
                throw Malformed(e);
            }
            _records = Records(_document.RootElement, 0).GetEnumerator();
        }
    }

    public override void Fill(SelectValue[] values)
    {
        for (var i = 0; i < columns.Count; i++) values[i] = Find(columns[i]) is { } found ? ValueOf(found) : SelectValue.Missing;
    }

    public override void WriteAll(RecordWriter output)
    {
        if (_record is not { } record) return;
        if (record.ValueKind != JsonValueKind.Object)
        {
            output.Write(_name?.Name ?? "_1", ValueOf(record));
            return;
        }
        foreach (var property in record.EnumerateObject()) output.Write(NameOf(property), ValueOf(property.Value));
    }

    public override void Dispose()
    {
        _document?.Dispose();
        base.Dispose();
    }

    /// <summary>The bytes of the next value; null after the last.</summary>
    private async ValueTask<ReadOnlyMemory<byte>?> NextAsync(CancellationToken ct)
    {
        while (true)
        {
            var space = Input.Unread.Span.IndexOfAnyExcept(" \t\r\n"u8);
            Input.Take(space < 0 ? Input.Unread.Length : space);
            var unread = Input.Unread;
            if (!unread.IsEmpty)
            {
                if (Input.Position > LastStart) return null;
                if (Input.Position == 0 && unread.Span.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]))
                {
                    Input.Take(3);
                    continue;
                }
                var length = format.Lines ? LineLength(unread.Span) : ValueLength(unread.Span);
                if (length > (format.Lines ? RecordBytesMax : DocumentBytesMax) || (length < 0 && unread.Length > (format.Lines ? RecordBytesMax : DocumentBytesMax))) throw TooLong();
                if (length >= 0)
                {
                    Input.Take(length);
                    if (!Utf8.IsValid(unread.Span[..length])) throw new SelectException("InvalidTextEncoding", "Invalid encoding type. Only UTF-8 encoding is supported.");
                    return unread[..length];
                }
            }
            else if (Input.IsCompleted)
            {
                return null;
            }
            await FillAsync(ct);
        }
    }

    private int LineLength(ReadOnlySpan<byte> data)
    {
        var end = data.IndexOf((byte)'\n');
        return end >= 0 ? end : Input.IsCompleted ? data.Length : -1;
    }

    private int ValueLength(ReadOnlySpan<byte> data)
    {
        var reader = new Utf8JsonReader(data, Input.IsCompleted, new(new() { MaxDepth = DepthMax, AllowMultipleValues = true }));
        try
        {
            return reader.Read() && reader.TrySkip() ? (int)reader.BytesConsumed : -1;
        }
        catch (JsonException e)
        {
            throw Malformed(e);
        }
    }

    /// <summary>The records of a document, along the way of FROM.</summary>
    private IEnumerable<JsonElement?> Records(JsonElement element, int step)
    {
        if (step == from.Count)
        {
            yield return element;
            yield break;
        }
        if (from[step].IsWildcard)
        {
            // What is no array is as an array of it alone.
            if (element.ValueKind != JsonValueKind.Array)
            {
                foreach (var record in Records(element, step + 1)) yield return record;
                yield break;
            }
            foreach (var item in element.EnumerateArray())
            {
                foreach (var record in Records(item, step + 1)) yield return record;
            }
            yield break;
        }
        if (Step(element, from[step], null) is { } next)
        {
            foreach (var record in Records(next, step + 1)) yield return record;
        }
        else if (!from.Skip(step).Any(s => s.IsWildcard))
        {
            yield return null;
        }
    }

    private JsonElement? Find(PathExpr path)
    {
        var element = _record;
        var steps = path.Steps;
        var first = 0;
        if (steps.Count > 0 && element is { } whole && Step(whole, steps[0], path) is null
            && (steps[0].Name == "_1" || (whole.ValueKind != JsonValueKind.Object && _name is { } name && steps[0].Matches(name.Name!)))) first = 1;
        for (var i = first; i < steps.Count; i++)
        {
            if (element is not { } current) return null;
            element = Step(current, steps[i], path);
        }
        return element;
    }

    /// <param name="path">For the message about a name that is there twice; null: the first is taken.</param>
    private static JsonElement? Step(JsonElement element, in PathStep step, PathExpr? path)
    {
        if (step.Name is null) return element.ValueKind == JsonValueKind.Array && step.Index < element.GetArrayLength() ? element[step.Index] : null;
        if (element.ValueKind != JsonValueKind.Object) return null;
        JsonElement? found = null;
        foreach (var property in element.EnumerateObject())
        {
            if (!step.Matches(NameOf(property))) continue;
            if (found is not null && path is not null) throw Ambiguous(path);
            found ??= property.Value;
        }
        return found;
    }

    private static string NameOf(JsonProperty property)
    {
        try
        {
            return property.Name;
        }
        catch (InvalidOperationException e)
        {
            throw Malformed(e);
        }
    }

    private static SelectValue ValueOf(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.String:
                try
                {
                    return SelectValue.OfText(Encoding.UTF8.GetBytes(element.GetString()!));
                }
                catch (InvalidOperationException e)
                {
                    throw Malformed(e); // half of a surrogate pair, which is no character
                }
            case JsonValueKind.Number:
                var written = JsonMarshal.GetRawUtf8Value(element);
                return SelectValue.TryParseNumber(written, written.ToArray(), out var number) ? number : throw new SelectException("NumberFormatError", "An error occurred while parsing a number of the input: it is out of range.");
            case JsonValueKind.True or JsonValueKind.False: return SelectValue.OfBoolean(element.ValueKind == JsonValueKind.True);
            case JsonValueKind.Null: return SelectValue.Null;
            default:
                var compact = new ArrayBufferWriter<byte>();
                using (var writer = new Utf8JsonWriter(compact, RecordWriter.JsonOptions))
                {
                    try
                    {
                        element.WriteTo(writer);
                    }
                    catch (InvalidOperationException e)
                    {
                        throw Malformed(e);
                    }
                }
                return SelectValue.OfJson(compact.WrittenMemory);
        }
    }

    private static SelectException Malformed(Exception inner) => new("JSONParsingError", "Encountered an error parsing the JSON file. Check the file and try again.", inner: inner);
}
