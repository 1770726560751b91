using DarkStorage.Select.Sql;
using DarkStorage.Sqlite;
using SQLitePCL;

namespace DarkStorage.Select.Evaluation;

/// <summary>A translated statement in a SQLite of its own, in memory and without tables: a record's fields go in as parameters, a row comes out where it is wanted.</summary>
/// <remarks>Used by one thread at a time. What is made of one record, all values together, is bounded by <see cref="MadeBytesMax"/>: only functions of ours make texts. Its time is
/// bounded by its cancellation: SQLite asks after each few thousand steps, and no function of ours takes long.</remarks>
internal sealed class SqliteProgram : IDisposable
{
    /// <summary>A record may be joined with itself a few times, and no more.</summary>
    public const int MadeBytesMax = 16 << 20;
    private const int StepsBetweenChecks = 5_000;

    /// <summary>Comparisons of characters that all LIKEs may make of one record: a hundred times those that a record of the largest size needs where the pattern is no trap. Under a second.</summary>
    private const long LikeStepsMax = 100 << 20;

    private readonly Translation _translation;
    private readonly CancellationToken _ct;
    private readonly sqlite3 _database;
    private readonly sqlite3_stmt? _row;
    private readonly sqlite3_stmt? _final;
    private readonly int[] _columns = [];
    private readonly int[] _missing = [];
    private Exception? _failure;
    private long _made;
    private long _likeSteps;

    /// <param name="ct">Ends what runs; the program is of no use after that.</param>
    /// <exception cref="SelectException"><c>UnsupportedSyntax</c>: the statement is more than SQLite takes.</exception>
    public SqliteProgram(Translation translation, CancellationToken ct)
    {
        (_translation, _ct) = (translation, ct);
        SqliteLibrary.EnsureLoaded();
        var opened = raw.sqlite3_open_v2(":memory:", out _database, raw.SQLITE_OPEN_READWRITE | raw.SQLITE_OPEN_MEMORY | raw.SQLITE_OPEN_NOMUTEX, null);
        if (opened != raw.SQLITE_OK) throw new InvalidOperationException($"SQLite did not open: error {opened}.");
        try
        {
            raw.sqlite3_limit(_database, raw.SQLITE_LIMIT_LENGTH, MadeBytesMax);
            raw.sqlite3_progress_handler(_database, StepsBetweenChecks, _ => ct.IsCancellationRequested ? 1 : 0, null);
            AddFunctions();
            _row = Prepare(translation.RowSql);
            _final = Prepare(translation.FinalSql);
            if (_row is null) return;
            _columns = [.. translation.Columns.Select((_, i) => raw.sqlite3_bind_parameter_index(_row, $"@c{i}"))];
            _missing = [.. translation.Columns.Select((_, i) => translation.MissingAsked.Contains(i) ? raw.sqlite3_bind_parameter_index(_row, $"@m{i}") : 0)];
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Whether a record is wanted.</summary>
    /// <param name="columns">Its fields, in the order of <see cref="Translation.Columns"/>.</param>
    /// <param name="row">Takes what was computed.</param>
    /// <exception cref="SelectException">What the expression's evaluation answers.</exception>
    public bool Evaluate(ReadOnlySpan<SelectValue> columns, List<SelectValue> row)
    {
        if (_row is null) return true;
        for (var i = 0; i < _columns.Length; i++)
        {
            if (_columns[i] > 0) Bind(_row, _columns[i], columns[i]);
            if (_missing[i] > 0) Check(raw.sqlite3_bind_int(_row, _missing[i], columns[i].Kind == ValueKind.Missing ? 1 : 0));
        }
        return Step(_row, row);
    }

    /// <summary>The answer of a statement with aggregates.</summary>
    public void Finish(ReadOnlySpan<SelectValue> aggregates, List<SelectValue> row)
    {
        if (_final is null) return;
        for (var i = 0; i < aggregates.Length; i++)
        {
            if (raw.sqlite3_bind_parameter_index(_final, $"@a{i}") is > 0 and var parameter) Bind(_final, parameter, aggregates[i]);
        }
        Step(_final, row);
    }

    public void Dispose()
    {
        _row?.Dispose();
        _final?.Dispose();
        _database.Dispose();
    }

    private sqlite3_stmt? Prepare(string? sql)
    {
        if (sql is null) return null;
        // The text is ours, and all of its names are known: what SQLite refuses it refuses for its size.
        var prepared = raw.sqlite3_prepare_v2(_database, sql, out var statement);
        if (prepared != raw.SQLITE_OK)
        {
            statement?.Dispose();
            throw new SelectException("UnsupportedSyntax", "The SQL expression is too large or too deep.", inner: new InvalidOperationException(raw.sqlite3_errmsg(_database).utf8_to_string()));
        }
        for (var i = 0; i < _translation.Literals.Count; i++)
        {
            if (raw.sqlite3_bind_parameter_index(statement, $"@v{i}") is > 0 and var parameter) Bind(statement, parameter, _translation.Literals[i]);
        }
        return statement;
    }

    private bool Step(sqlite3_stmt statement, List<SelectValue> row)
    {
        row.Clear();
        (_failure, _made, _likeSteps) = (null, 0, LikeStepsMax);
        try
        {
            var result = raw.sqlite3_step(statement);
            if (result == raw.SQLITE_ROW) Read(statement, row);
            if (result is raw.SQLITE_ROW or raw.SQLITE_DONE) return result == raw.SQLITE_ROW;
            _ct.ThrowIfCancellationRequested();
            if (_failure is { } failure) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
            Check(result);
            return false;
        }
        finally
        {
            raw.sqlite3_reset(statement);
        }
    }

    private static void Read(sqlite3_stmt statement, List<SelectValue> row)
    {
        var (count, bytes) = (raw.sqlite3_column_count(statement), 0L);
        for (var i = 0; i < count; i++)
        {
            var type = raw.sqlite3_column_type(statement, i);
            // One value may stand in the row many times.
            if (type is raw.SQLITE_TEXT or raw.SQLITE_BLOB && (bytes += raw.sqlite3_column_bytes(statement, i)) > MadeBytesMax) throw TooLong();
            row.Add(type switch
            {
                raw.SQLITE_INTEGER => SelectValue.OfInteger(raw.sqlite3_column_int64(statement, i)),
                raw.SQLITE_FLOAT => SelectValue.OfReal(raw.sqlite3_column_double(statement, i)),
                raw.SQLITE_TEXT => SelectValue.OfText(raw.sqlite3_column_blob(statement, i).ToArray()),
                raw.SQLITE_BLOB => SelectValue.OfBlob(raw.sqlite3_column_blob(statement, i)),
                _ => SelectValue.Null,
            });
        }
    }

    private static SelectException TooLong() => new("OverMaxRecordSize", "The SQL expression makes values of more than 16 MB of one record.");

    private void Check(int result)
    {
        switch (result)
        {
            case raw.SQLITE_OK: return;
            case raw.SQLITE_TOOBIG: throw TooLong();
            case raw.SQLITE_NOMEM: throw new SelectException("Busy", "There is no memory for the SQL expression's evaluation.");
            default: throw new InvalidOperationException($"SQLite error {result}: {raw.sqlite3_errmsg(_database).utf8_to_string()}");
        }
    }

    private void Bind(sqlite3_stmt statement, int parameter, in SelectValue value) => Check(value.Kind switch
    {
        ValueKind.Missing or ValueKind.Null => raw.sqlite3_bind_null(statement, parameter),
        // An empty span has no address, which SQLite takes for NULL.
        ValueKind.Text when value.Bytes.IsEmpty => raw.sqlite3_bind_text(statement, parameter, ""),
        ValueKind.Text => raw.sqlite3_bind_text(statement, parameter, value.Bytes.Span),
        ValueKind.Integer => raw.sqlite3_bind_int64(statement, parameter, value.Integer),
        ValueKind.Real => raw.sqlite3_bind_double(statement, parameter, value.Real),
        _ => raw.sqlite3_bind_blob(statement, parameter, value.ToBlob()),
    });

    private void AddFunctions()
    {
        Add("s3_boolean", 1, a => SelectFunctions.Boolean(a[0]));
        Add("s3_truth", 1, a => SelectFunctions.Truth(a[0]));
        Add("s3_compare", 2, a => SelectFunctions.Compare(a[0], a[1]));
        Add("s3_between", 3, a => SelectFunctions.Between(a[0], a[1], a[2]));
        Add("s3_in", -1, a => SelectFunctions.In(a));
        Add("s3_in_set", 2, a => _translation.Sets[(int)a[1].Integer].Contains(a[0]) is { } found ? SelectValue.OfInteger(found ? 1 : 0) : SelectValue.Null);
        Add("s3_match", -1, a => SelectFunctions.Match(a));
        Add("s3_concat", -1, a => SelectFunctions.Concat(a));
        Add("s3_nullif", 2, a => SelectFunctions.NullIf(a[0], a[1]));
        Add("s3_number", 1, a => SelectFunctions.Number(a[0]));
        Add("s3_modulo", 2, a => SelectFunctions.Modulo(a[0], a[1]));
        foreach (var type in Enum.GetValues<CastType>()) Add("s3_cast_" + type.ToString().ToLowerInvariant(), 1, a => SelectFunctions.Cast(type, a[0]));
        Add("s3_substring", -1, a => SelectFunctions.Substring(a));
        Add("s3_trim", -1, a => SelectFunctions.Trim(a, leading: true, trailing: true));
        Add("s3_trim_leading", -1, a => SelectFunctions.Trim(a, leading: true, trailing: false));
        Add("s3_trim_trailing", -1, a => SelectFunctions.Trim(a, leading: false, trailing: true));
        Add("s3_upper", 1, a => SelectFunctions.Upper(a[0]));
        Add("s3_lower", 1, a => SelectFunctions.Lower(a[0]));
        Add("s3_char_length", 1, a => SelectFunctions.CharLength(a[0]));
        Add("s3_like", -1, a => SelectFunctions.Like(a, ref _likeSteps, _ct));
        Add("s3_date_add", 3, a => SelectFunctions.DateAdd(a[0], a[1], a[2]));
        Add("s3_date_diff", 3, a => SelectFunctions.DateDiff(a[0], a[1], a[2]));
        Add("s3_extract", 2, a => SelectFunctions.Extract(a[0], a[1]));
        Add("s3_to_string", 2, a => SelectFunctions.ToText(a[0], a[1]));
        Add("s3_to_timestamp", 1, a => SelectFunctions.ToTimestamp(a[0]));
    }

    private delegate SelectValue Implementation(ReadOnlySpan<SelectValue> arguments);

    /// <summary>An exception must not cross SQLite: it waits in <see cref="_failure"/> until the step is over.</summary>
    private void Add(string name, int arguments, Implementation function) => raw.sqlite3_create_function(_database, name, arguments, null, (context, _, values) =>
    {
        try
        {
            var (read, bytes) = (new SelectValue[values.Length], 0L);
            for (var i = 0; i < values.Length; i++)
            {
                if (raw.sqlite3_value_type(values[i]) is raw.SQLITE_TEXT or raw.SQLITE_BLOB && (bytes += raw.sqlite3_value_bytes(values[i])) > MadeBytesMax) throw TooLong();
                read[i] = raw.sqlite3_value_type(values[i]) switch
                {
                    raw.SQLITE_INTEGER => SelectValue.OfInteger(raw.sqlite3_value_int64(values[i])),
                    raw.SQLITE_FLOAT => SelectValue.OfReal(raw.sqlite3_value_double(values[i])),
                    raw.SQLITE_TEXT => SelectValue.OfText(raw.sqlite3_value_blob(values[i]).ToArray()),
                    raw.SQLITE_BLOB => SelectValue.OfBlob(raw.sqlite3_value_blob(values[i])),
                    _ => SelectValue.Null,
                };
            }
            var value = function(read);
            if ((_made += value.Bytes.Length) > MadeBytesMax) throw TooLong();
            Return(context, value);
        }
        catch (Exception e)
        {
            _failure = e;
            raw.sqlite3_result_error(context, "failed");
        }
    });

    private static void Return(sqlite3_context context, in SelectValue value)
    {
        switch (value.Kind)
        {
            case ValueKind.Missing or ValueKind.Null:
                raw.sqlite3_result_null(context);
                break;
            case ValueKind.Integer:
                raw.sqlite3_result_int64(context, value.Integer);
                break;
            case ValueKind.Real:
                raw.sqlite3_result_double(context, value.Real);
                break;
            case ValueKind.Text when value.Bytes.IsEmpty:
                raw.sqlite3_result_text(context, "");
                break;
            case ValueKind.Text:
                raw.sqlite3_result_text(context, value.Bytes.Span);
                break;
            default:
                raw.sqlite3_result_blob(context, value.ToBlob());
                break;
        }
    }
}
