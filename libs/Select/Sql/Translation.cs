using System.Globalization;
using System.Text;
using DarkStorage.Select.Evaluation;

namespace DarkStorage.Select.Sql;

/// <summary>A statement as SQLite evaluates it: once for each record, its fields being parameters, so that no record is kept and none is copied into a table.</summary>
/// <remarks>Nothing of the expression's text is in the SQL. Paths are parameters <c>@c0</c>, <c>@c1</c> …, literals <c>@v0</c>, <c>@v1</c> …, results of aggregates
/// <c>@a0</c>, <c>@a1</c> …; <c>@m0</c> is 1 where the field of <c>@c0</c> is missing.</remarks>
/// <param name="RowSql">Yields one row where the record is wanted, with what is to be computed of it; null where all are wanted and nothing is.</param>
/// <param name="FinalSql">Computes the answer from the aggregates; null where there is nothing to compute.</param>
/// <param name="Outputs">The fields of an answer's record, in order; empty for <c>*</c>.</param>
/// <param name="Arguments">Where each aggregate's argument comes from; null for COUNT(*).</param>
internal sealed record Translation(
    string? RowSql, string? FinalSql, IReadOnlyList<PathExpr> Columns, IReadOnlySet<int> MissingAsked, IReadOnlyList<SelectValue> Literals, IReadOnlyList<ValueSet> Sets,
    IReadOnlyList<OutputField> Outputs, IReadOnlyList<AggregateKind> Aggregates, IReadOnlyList<ValueRef?> Arguments);

/// <param name="Name">What JSON calls it.</param>
internal readonly record struct OutputField(string Name, ValueRef Source);

/// <summary>Where a value is found: among the record's fields or the aggregates' results as they are, or in the row that SQLite yields.</summary>
internal readonly record struct ValueRef(ValueSource Source, int Index);

internal enum ValueSource
{
    Column,
    Row,
    Aggregate,
}

/// <summary>Writes a tree as SQL of SQLite.</summary>
/// <remarks>SQLite has no booleans: a condition (0, 1, NULL) becomes a value by <c>s3_boolean</c>, a value a condition by <c>s3_truth</c>. Where the kinds of both sides
/// are known to be one, SQLite compares; elsewhere <c>s3_compare</c> does, which reads a text as what it is compared with.</remarks>
internal sealed class Translator
{
    private readonly bool _isCsv;
    private readonly DateTimeOffset _now;
    private readonly List<PathExpr> _columns = [];
    private readonly Dictionary<string, int> _columnsByPath = new(StringComparer.Ordinal);
    private readonly HashSet<int> _missingAsked = [];
    private readonly List<SelectValue> _literals = [];
    private readonly List<ValueSet> _sets = [];
    private readonly List<Aggregate> _aggregates = [];
    private StringBuilder _sql = new();

    private Translator(bool isCsv, DateTimeOffset now) => (_isCsv, _now) = (isCsv, now);

    /// <summary>What is known of an expression's values before there are any.</summary>
    private enum Known
    {
        Nothing,
        Text,
        Number,

        /// <summary>0, 1 or NULL: not a value of S3 Select.</summary>
        Condition,
    }

    /// <param name="isCsv">All fields are texts.</param>
    /// <param name="now">What UTCNOW() answers for all records.</param>
    public static Translation Translate(SelectStatement statement, bool isCsv, DateTimeOffset now) => new Translator(isCsv, now).Write(statement);

    private Translation Write(SelectStatement statement)
    {
        var outputs = new List<OutputField>();
        var (row, rowCount) = (_sql, 0);
        var (final, finalCount) = (new StringBuilder(), 0);
        foreach (var (item, i) in statement.Items.Select((item, i) => (item, i)))
        {
            var name = item.Alias ?? (item.Value is PathExpr { Steps: [.., { Name: { } last }] } ? last : "_" + (i + 1).ToString(CultureInfo.InvariantCulture));
            if (item.Value is PathExpr path)
            {
                outputs.Add(new(name, new(ValueSource.Column, Column(path))));
            }
            else if (item.Value is Aggregate aggregate)
            {
                _aggregates.Add(aggregate);
                outputs.Add(new(name, new(ValueSource.Aggregate, aggregate.Index)));
            }
            else
            {
                _sql = statement.HasAggregates ? final : row;
                ref var count = ref statement.HasAggregates ? ref finalCount : ref rowCount;
                if (count > 0) _sql.Append(", ");
                Value(item.Value);
                outputs.Add(new(name, new(ValueSource.Row, count++)));
            }
        }
        _sql = row;
        var arguments = new List<ValueRef?>();
        foreach (var aggregate in _aggregates)
        {
            if (aggregate.Argument is null)
            {
                arguments.Add(null);
                continue;
            }
            if (aggregate.Argument is PathExpr path)
            {
                arguments.Add(new(ValueSource.Column, Column(path)));
                continue;
            }
            if (rowCount > 0) _sql.Append(", ");
            Value(aggregate.Argument);
            arguments.Add(new(ValueSource.Row, rowCount++));
        }
        if (rowCount == 0) row.Append('1');
        if (statement.Where is { } where)
        {
            // IS TRUE around the whole keeps the order of an AND's sides, which SQLite is free to change at the top of WHERE: the first may guard a CAST in the second.
            _sql.Append(" WHERE (");
            Condition(where);
            _sql.Append(") IS TRUE");
        }
        var rowSql = rowCount > 0 || statement.Where is not null ? $"SELECT {row}" : null;
        return new(rowSql, finalCount > 0 ? $"SELECT {final}" : null, _columns, _missingAsked, _literals, _sets, outputs, [.. _aggregates.Select(a => a.Kind)], arguments);
    }

    private Known KnownOf(Expr expr) => expr switch
    {
        Literal { Value.Kind: ValueKind.Text } => Known.Text,
        Literal { Value.IsNumber: true } => Known.Number,
        PathExpr => _isCsv ? Known.Text : Known.Nothing,
        Negate or Arithmetic => Known.Number,
        Concat => Known.Text,
        Cast { Type: CastType.Integer or CastType.Float or CastType.Decimal } => Known.Number,
        Cast { Type: CastType.String } => Known.Text,
        Call { Function: Function.CharLength or Function.DateDiff or Function.Extract } => Known.Number,
        Call { Function: Function.Upper or Function.Lower or Function.Substring or Function.TrimBoth or Function.TrimLeading or Function.TrimTrailing or Function.ToText } => Known.Text,
        Not or Logical or Comparison or Between or In or Like or Is => Known.Condition,
        _ => Known.Nothing,
    };

    private void Value(Expr expr)
    {
        switch (expr)
        {
            case Literal e:
                Literal(e.Value);
                break;
            case PathExpr e:
                _sql.Append(CultureInfo.InvariantCulture, $"@c{Column(e)}");
                break;
            case Aggregate e:
                _aggregates.Add(e);
                _sql.Append(CultureInfo.InvariantCulture, $"@a{e.Index}");
                break;
            case Negate e:
                _sql.Append("(-");
                Number(e.Operand);
                _sql.Append(')');
                break;
            case Arithmetic { Operator: "%" } e:
                _sql.Append("s3_modulo(");
                Number(e.Left);
                _sql.Append(", ");
                Number(e.Right);
                _sql.Append(')');
                break;
            case Arithmetic e:
                _sql.Append('(');
                Number(e.Left);
                _sql.Append(e.Operator);
                Number(e.Right);
                _sql.Append(')');
                break;
            case Concat e:
                Joined(e.Operands, 0, e.Operands.Count);
                break;
            case Case { Operand: { } operand } e:
                _sql.Append("CASE ");
                Invoke("s3_match", [operand, .. e.Branches.Select(b => b.When)]);
                foreach (var (branch, i) in e.Branches.Select((b, i) => (b, i)))
                {
                    _sql.Append(CultureInfo.InvariantCulture, $" WHEN {i + 1} THEN ");
                    Value(branch.Then);
                }
                EndCase(e);
                break;
            case Case e:
                _sql.Append("CASE");
                foreach (var (when, then) in e.Branches)
                {
                    _sql.Append(" WHEN ");
                    Condition(when);
                    _sql.Append(" THEN ");
                    Value(then);
                }
                EndCase(e);
                break;
            case Cast e:
                Invoke("s3_cast_" + e.Type.ToString().ToLowerInvariant(), [e.Operand]);
                break;
            case Call { Function: Function.UtcNow }:
                Literal(SelectValue.OfTimestamp(new(new DateTime(_now.UtcTicks / TimeSpan.TicksPerMillisecond * TimeSpan.TicksPerMillisecond, DateTimeKind.Utc), 0, TimestampPrecision.Fraction)));
                break;
            case Call { Function: Function.Coalesce, Arguments: [var only] }:
                Value(only);
                break;
            case Call e:
                Invoke(NameOf(e.Function), e.Arguments);
                break;
            default:
                _sql.Append("s3_boolean(");
                Condition(expr);
                _sql.Append(')');
                break;
        }
    }

    private void EndCase(Case e)
    {
        if (e.Else is not null)
        {
            _sql.Append(" ELSE ");
            Value(e.Else);
        }
        _sql.Append(" END");
    }

    private void Condition(Expr expr)
    {
        switch (expr)
        {
            case Not e:
                _sql.Append("(NOT ");
                Condition(e.Operand);
                _sql.Append(')');
                break;
            case Logical e:
                Balanced(e.Operands, 0, e.Operands.Count, e.IsAnd ? " AND " : " OR ", Condition);
                break;
            case Comparison e when KnownOf(e.Left) == KnownOf(e.Right) && KnownOf(e.Left) is Known.Text or Known.Number:
                _sql.Append('(');
                Value(e.Left);
                _sql.Append(e.Operator);
                Value(e.Right);
                _sql.Append(')');
                break;
            case Comparison e:
                _sql.Append('(');
                Invoke("s3_compare", [e.Left, e.Right]);
                _sql.Append(e.Operator).Append("0)");
                break;
            case Between e:
                Negated(e.Negated, () => Invoke("s3_between", [e.Operand, e.Low, e.High]));
                break;
            case In e when e.Items.All(i => i is Literal):
                Negated(e.Negated, () =>
                {
                    _sql.Append("s3_in_set(");
                    Value(e.Operand);
                    _sql.Append(CultureInfo.InvariantCulture, $", {_sets.Count})");
                    _sets.Add(new(e.Items.Select(i => ((Literal)i).Value)));
                });
                break;
            case In e:
                Negated(e.Negated, () => Invoke("s3_in", [e.Operand, .. e.Items]));
                break;
            case Like e:
                Negated(e.Negated, () => Invoke("s3_like", e.Escape is null ? [e.Operand, e.Pattern] : [e.Operand, e.Pattern, e.Escape]));
                break;
            case Is { What: IsWhat.Missing, Operand: PathExpr path } e:
                var column = Column(path);
                _missingAsked.Add(column);
                _sql.Append(CultureInfo.InvariantCulture, $"(@m{column}{(e.Negated ? "=0" : "=1")})");
                break;
            case Is e:
                _sql.Append('(');
                if (e.What == IsWhat.Null) Value(e.Operand);
                else Condition(e.Operand);
                _sql.Append(e.Negated ? " IS NOT " : " IS ").Append(e.What switch { IsWhat.Null => "NULL", IsWhat.True => "1", _ => "0" }).Append(')');
                break;
            default:
                Invoke("s3_truth", [expr]);
                break;
        }
    }

    private void Number(Expr expr)
    {
        if (KnownOf(expr) == Known.Number) Value(expr);
        else Invoke("s3_number", [expr]);
    }

    private void Text(Expr expr)
    {
        if (KnownOf(expr) == Known.Text) Value(expr);
        else Invoke("s3_cast_string", [expr]);
    }

    private void Invoke(string function, IReadOnlyList<Expr> arguments)
    {
        _sql.Append(function).Append('(');
        for (var i = 0; i < arguments.Count; i++)
        {
            if (i > 0) _sql.Append(", ");
            Value(arguments[i]);
        }
        _sql.Append(')');
    }

    private void Negated(bool negated, Action condition)
    {
        if (negated) _sql.Append("(NOT ");
        condition();
        if (negated) _sql.Append(')');
    }

    /// <summary>A chain as a balanced tree: SQLite bounds how deep an expression is.</summary>
    private void Balanced(IReadOnlyList<Expr> operands, int first, int count, string mark, Action<Expr> write)
    {
        if (count == 1)
        {
            write(operands[first]);
            return;
        }
        _sql.Append('(');
        Balanced(operands, first, count / 2, mark, write);
        _sql.Append(mark);
        Balanced(operands, first + (count / 2), count - (count / 2), mark, write);
        _sql.Append(')');
    }

    /// <summary>SQLite's own || is not counted in what a record may make.</summary>
    private void Joined(IReadOnlyList<Expr> operands, int first, int count)
    {
        _sql.Append("s3_concat(");
        var arguments = Math.Min(count, Parser.ArgumentsMax);
        for (var i = 0; i < arguments; i++)
        {
            if (i > 0) _sql.Append(", ");
            var (from, to) = (count * i / arguments, count * (i + 1) / arguments);
            if (to - from == 1) Text(operands[first + from]);
            else Joined(operands, first + from, to - from);
        }
        _sql.Append(')');
    }

    private void Literal(in SelectValue value)
    {
        if (value.IsNull)
        {
            _sql.Append("NULL");
            return;
        }
        _sql.Append(CultureInfo.InvariantCulture, $"@v{_literals.Count}");
        _literals.Add(value);
    }

    private int Column(PathExpr path)
    {
        // Names are free text: their length in front tells where each ends.
        var key = string.Concat(path.Steps.Select(s => string.Create(CultureInfo.InvariantCulture, $"{(s.Name is null ? '#' : s.Quoted ? 'q' : 'n')}{s.Name?.Length ?? s.Index}:{s.Name}")));
        if (_columnsByPath.TryGetValue(key, out var known)) return known;
        if (_isCsv && path.Steps is not [{ Name: not null }]) throw new SelectException("InvalidKeyPath", "A record of CSV has fields, and nothing below them.", path.Position);
        if (_columns.Count == Parser.ItemsMax) throw new SelectException("OverMaxColumn", "The SQL expression names more than 1,000 fields.", path.Position);
        _columns.Add(path);
        return _columnsByPath[key] = _columns.Count - 1;
    }

    private static string NameOf(Function function) => function switch
    {
        Function.Coalesce => "coalesce",
        Function.NullIf => "s3_nullif",
        Function.Substring => "s3_substring",
        Function.TrimBoth => "s3_trim",
        Function.TrimLeading => "s3_trim_leading",
        Function.TrimTrailing => "s3_trim_trailing",
        Function.Upper => "s3_upper",
        Function.Lower => "s3_lower",
        Function.CharLength => "s3_char_length",
        Function.DateAdd => "s3_date_add",
        Function.DateDiff => "s3_date_diff",
        Function.Extract => "s3_extract",
        Function.ToText => "s3_to_string",
        Function.ToTimestamp => "s3_to_timestamp",
        _ => throw new System.Diagnostics.UnreachableException($"{function} has no function in SQLite."),
    };
}
