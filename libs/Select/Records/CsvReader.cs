using System.Globalization;
using System.Text;
using System.Text.Unicode;
using DarkStorage.Select.Evaluation;
using DarkStorage.Select.Sql;

namespace DarkStorage.Select.Records;

/// <summary>CSV: RFC 4180 with other characters, comments and escapes. Blank lines are no records.</summary>
internal sealed class CsvReader : RecordReader
{
    private const int FieldsMax = 10_000;

    private readonly CsvInput _format;
    private readonly byte[] _record;
    private readonly byte[] _field;
    private readonly byte[]? _quote;
    private readonly byte[]? _escape;
    private readonly byte[]? _comment;
    private readonly IReadOnlyList<PathExpr> _columns;
    private readonly int[] _indexes;
    private readonly List<(int First, int Length, bool Unquoted)> _fields = [];

    /// <summary>Quoted fields without what quotes them: those of one record after one another.</summary>
    private readonly List<byte> _unescaped = [];
    private byte[] _unescapedBytes = [];
    private ReadOnlyMemory<byte> _current;
    private string[] _names = [];

    public CsvReader(InputBuffer input, CsvInput format, IReadOnlyList<PathExpr> columns) : base(input)
    {
        (_format, _columns) = (format, columns);
        _record = Encoding.UTF8.GetBytes(format.RecordDelimiter);
        _field = Encoding.UTF8.GetBytes([format.FieldDelimiter]);
        _quote = Bytes(format.Quote);
        _escape = Bytes(format.Escape) ?? _quote;
        _comment = Bytes(format.Comment);
        _indexes = new int[columns.Count];
        for (var i = 0; i < columns.Count; i++) _indexes[i] = PositionOf(columns[i]) ?? (format.Header == FileHeader.Use ? -1 : throw NoSuchColumn(columns[i]));

        static byte[]? Bytes(char? character) => character is { } c ? Encoding.UTF8.GetBytes([c]) : null;
    }

    /// <summary>Reads the record that names the columns, or leaves it out, as the format says.</summary>
    public async ValueTask ReadHeaderAsync(CancellationToken ct)
    {
        if (_format.Header == FileHeader.None) return;
        if (!await ReadAsync(ct))
        {
            if (_format.Header == FileHeader.Use && _indexes.Contains(-1)) throw MissingHeaders();
            return;
        }
        if (_format.Header == FileHeader.Use) UseHeader([.. Enumerable.Range(0, _fields.Count).Select(i => Encoding.UTF8.GetString(Field(i).Span))]);
    }

    /// <summary>The columns' names, from this input or from where the object begins.</summary>
    public void UseHeader(string[] names)
    {
        _names = names;
        for (var i = 0; i < _indexes.Length; i++)
        {
            var step = _columns[i].Steps[0];
            var found = -1;
            for (var n = 0; n < names.Length; n++)
            {
                if (!step.Matches(names[n])) continue;
                if (found >= 0) throw Ambiguous(_columns[i]);
                found = n;
            }
            if (found >= 0) _indexes[i] = found;
            else if (_indexes[i] < 0) throw MissingHeaders();
        }
    }

    public IReadOnlyList<string> Names => _names;

    /// <summary>Goes on to behind the next record delimiter: what stands before it belongs to a record that began earlier.</summary>
    public async ValueTask SkipPartAsync(CancellationToken ct)
    {
        while (true)
        {
            var found = Input.Unread.Span.IndexOf(_record);
            if (found >= 0)
            {
                Input.Take(found + _record.Length);
                return;
            }
            if (Input.IsCompleted)
            {
                Input.Take(Input.Unread.Length);
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
            if (Input.Position > LastStart) return false;
            var unread = Input.Unread;
            if (unread.IsEmpty && Input.IsCompleted) return false;
            if (!unread.IsEmpty)
            {
                if (Input.Position == 0)
                {
                    // A byte order mark says nothing that is not known.
                    if (unread.Span.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]))
                    {
                        Input.Take(3);
                        continue;
                    }
                    if (unread.Length < 3 && !Input.IsCompleted)
                    {
                        await FillAsync(ct);
                        continue;
                    }
                }
                var length = Parse(unread.Span);
                if (length >= 0)
                {
                    if (length > RecordBytesMax + _record.Length) throw TooLong();
                    Input.Take(length);
                    if (_fields.Count == 0) continue;
                    if (!Utf8.IsValid(unread.Span[..length])) throw new SelectException("InvalidTextEncoding", "Invalid encoding type. Only UTF-8 encoding is supported.");
                    _current = unread;
                    if (_unescapedBytes.Length < _unescaped.Count) _unescapedBytes = new byte[Math.Max(_unescaped.Count, 2 * _unescapedBytes.Length)];
                    _unescaped.CopyTo(_unescapedBytes);
                    return true;
                }
                if (unread.Length > RecordBytesMax + _record.Length) throw TooLong();
            }
            await FillAsync(ct);
        }
    }

    public override void Fill(SelectValue[] columns)
    {
        for (var i = 0; i < _indexes.Length; i++)
            columns[i] = _indexes[i] >= 0 && _indexes[i] < _fields.Count ? SelectValue.OfText(Field(_indexes[i])) : SelectValue.Missing;
    }

    public override void WriteAll(RecordWriter output)
    {
        for (var i = 0; i < _fields.Count; i++)
            output.Write(i < _names.Length ? _names[i] : "_" + (i + 1).ToString(CultureInfo.InvariantCulture), SelectValue.OfText(Field(i)));
    }

    private ReadOnlyMemory<byte> Field(int index)
    {
        var (first, length, unquoted) = _fields[index];
        return unquoted ? _unescapedBytes.AsMemory(first, length) : _current.Slice(first, length);
    }

    /// <summary>Finds the fields of the record that begins here; none for a comment or a blank line.</summary>
    /// <returns>Bytes up to behind its delimiter; -1 where its end is not there yet.</returns>
    private int Parse(ReadOnlySpan<byte> data)
    {
        _fields.Clear();
        _unescaped.Clear();
        if (_comment is not null && data.StartsWith(_comment))
        {
            var end = data.IndexOf(_record);
            return end >= 0 ? end + _record.Length : Input.IsCompleted ? data.Length : -1;
        }
        if (data.StartsWith(_record)) return _record.Length;
        if (IsLineFeed && data is [(byte)'\r', (byte)'\n', ..]) return 2;
        for (var at = 0; ;)
        {
            if (_fields.Count == FieldsMax) throw new SelectException("OverMaxColumn", "A record has more than 10,000 fields.");
            int end;
            if (_quote is not null && data[at..].StartsWith(_quote))
            {
                end = Quoted(data, at + _quote.Length);
                if (end < 0) return -1;
            }
            else
            {
                end = Plain(data, at);
                if (end < 0) return -1;
            }
            if (end == data.Length) return Input.IsCompleted ? end : -1;
            if (data[end..].StartsWith(_record)) return end + _record.Length;
            if (IsLineFeed && data[end..] is [(byte)'\r', (byte)'\n', ..]) return end + 2;
            at = end + _field.Length;
            if (at == data.Length && Input.IsCompleted)
            {
                _fields.Add((at, 0, false));
                return at;
            }
        }
    }

    /// <returns>Where the field's delimiter, or the record's, stands; -1 where none is there yet.</returns>
    private int Plain(ReadOnlySpan<byte> data, int first)
    {
        for (var at = first; ;)
        {
            var found = data[at..].IndexOfAny(_field[0], _record[0]);
            if (found < 0)
            {
                if (!Input.IsCompleted) return -1;
                _fields.Add((first, data.Length - first, false));
                return data.Length;
            }
            at += found;
            if (data[at..].StartsWith(_field) || data[at..].StartsWith(_record))
            {
                var isEnd = IsLineFeed && data[at] == '\n' && at > first && data[at - 1] == '\r';
                _fields.Add((first, at - first - (isEnd ? 1 : 0), false));
                return at;
            }
            // Half of a delimiter may be all that is there.
            if (!Input.IsCompleted && data.Length - at < Math.Max(_field.Length, _record.Length)) return -1;
            at++;
        }
    }

    private int Quoted(ReadOnlySpan<byte> data, int first)
    {
        var (start, from) = (_unescaped.Count, first);
        for (var at = first; ;)
        {
            var found = _format.QuotedRecordDelimiter ? data[at..].IndexOfAny(_quote![0], _escape![0]) : data[at..].IndexOfAny(_quote![0], _escape![0], _record[0]);
            if (found < 0) return NotYet();
            at += found;
            var rest = data[at..];
            // Whether a quote ends the field, what follows it says.
            if (!Input.IsCompleted && rest.Length < _quote.Length + Math.Max(Math.Max(_escape.Length, _quote.Length), Math.Max(_field.Length, Math.Max(_record.Length, 2)))) return -1;
            if (rest.StartsWith(_escape) && (!_escape.AsSpan().SequenceEqual(_quote) || rest[_escape.Length..].StartsWith(_quote)))
            {
                // What is escaped is taken as it is: the byte that begins it can't be looked at again.
                if (rest.Length == _escape.Length) return NotYet();
                _unescaped.AddRange(data[from..at]);
                from = at + _escape.Length;
                at = from + 1;
                continue;
            }
            if (rest.StartsWith(_quote))
            {
                _unescaped.AddRange(data[from..at]);
                _fields.Add((start, _unescaped.Count - start, true));
                var after = rest[_quote.Length..];
                if (after.IsEmpty || after.StartsWith(_field) || after.StartsWith(_record) || (IsLineFeed && after is [(byte)'\r', (byte)'\n', ..])) return at + _quote.Length;
                throw new SelectException("CSVParsingError", "A field of the CSV input goes on behind its closing quote.");
            }
            if (!_format.QuotedRecordDelimiter && rest.StartsWith(_record))
                throw new SelectException("CSVParsingError", "A record of the CSV input ends inside quotes, which AllowQuotedRecordDelimiter does not allow.");
            at++;
        }
    }

    private int NotYet() => Input.IsCompleted ? throw new SelectException("CSVParsingError", "The CSV input ends inside quotes.") : -1;

    private bool IsLineFeed => _record is [(byte)'\n'];

    private static int? PositionOf(PathExpr path) =>
        path.Steps[0].Name is ['_', .. var digits] && int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var position) && position > 0 ? position - 1 : null;

    private static SelectException NoSuchColumn(PathExpr path) =>
        new("MissingHeaders", "The columns of the file have no names: they are called _1, _2 and so on, unless FileHeaderInfo is USE.", path.Position);

    private static SelectException MissingHeaders() => new("MissingHeaders", "Some headers in the query are missing from the file. Check the file and try again.");
}
