using DarkStorage.Select.Evaluation;

namespace DarkStorage.Select.Sql;

// From the loosest binding to the tightest: OR, AND, NOT, comparisons and their kin, ||, + and -, * / and %, signs, primaries.
internal sealed partial class Parser
{
    /// <summary>SQLite's functions take 127 arguments at the most on some systems, 100 on others.</summary>
    public const int ArgumentsMax = 99;

    private static readonly string[] DateParts = ["year", "month", "day", "hour", "minute", "second"];
    private static readonly string[] ExtractParts = [.. DateParts, "timezone_hour", "timezone_minute"];

    private Expr Expression()
    {
        if (++_nesting > NestingMax) throw Error("UnsupportedSyntax", "The SQL expression is nested too deeply.");
        var expr = Chain("OR", isAnd: false, () => Chain("AND", isAnd: true, Negation));
        _nesting--;
        return expr;
    }

    private Expr Chain(string keyword, bool isAnd, Func<Expr> operand)
    {
        var first = operand();
        if (!Current.IsWord(keyword)) return first;
        var operands = new List<Expr> { first };
        while (TakeWord(keyword)) operands.Add(operand());
        return new Logical(isAnd, operands, first.Position);
    }

    private Expr Negation()
    {
        var (position, count) = (Current.Position, 0);
        while (TakeWord("NOT")) count++;
        var operand = Compared();
        return count % 2 == 1 ? new Not(operand, position) : count > 0 ? new Not(new Not(operand, position), position) : operand;
    }

    private Expr Compared()
    {
        var left = Concatenated();
        for (var length = 0; ; length++)
        {
            if (length > 1 && ++_chained > ChainedMax) throw TooLongAChain();
            var (position, token) = (Current.Position, Current);
            if (token.Kind == TokenKind.Mark && token.Text is "=" or "<>" or "!=" or "<" or "<=" or ">" or ">=")
            {
                _at++;
                left = new Comparison(token.Text == "!=" ? "<>" : token.Text, left, Concatenated(), position);
                continue;
            }
            if (TakeWord("IS"))
            {
                var isNot = TakeWord("NOT");
                IsWhat what;
                if (TakeWord("NULL")) what = IsWhat.Null;
                else if (Current.IsWord("MISSING"))
                {
                    if (left is not PathExpr) throw Error("UnsupportedSyntax", "IS MISSING is asked of a path alone.");
                    _at++;
                    what = IsWhat.Missing;
                }
                else if (TakeWord("TRUE")) what = IsWhat.True;
                else if (TakeWord("FALSE")) what = IsWhat.False;
                else throw Error("ParseExpectedKeyword", "Did not find NULL, MISSING, TRUE or FALSE after IS.");
                left = new Is(left, what, isNot, position);
                continue;
            }
            var negated = Current.IsWord("NOT") && (_tokens[_at + 1].IsWord("BETWEEN") || _tokens[_at + 1].IsWord("IN") || _tokens[_at + 1].IsWord("LIKE"));
            if (negated) _at++;
            if (TakeWord("BETWEEN"))
            {
                var low = Concatenated();
                ExpectWord("AND");
                left = new Between(left, low, Concatenated(), negated, position);
            }
            else if (TakeWord("IN"))
            {
                Expect("(", "ParseExpectedLeftParenValueConstructor");
                var items = new List<Expr>();
                do items.Add(Expression());
                while (Take(","));
                Expect(")", "ParseExpectedTokenType");
                if (items.Count > ArgumentsMax && items.Exists(i => i is not Literal)) throw new SelectException("UnsupportedSyntax", "A list of more than 99 values holds literals alone.", position);
                left = new In(left, items, negated, position);
            }
            else if (TakeWord("LIKE"))
            {
                var pattern = Concatenated();
                left = new Like(left, pattern, TakeWord("ESCAPE") ? Concatenated() : null, negated, position);
            }
            else
            {
                return left;
            }
        }
    }

    private Expr Concatenated()
    {
        var first = Sum();
        if (!Current.Is("||")) return first;
        var operands = new List<Expr> { first };
        while (Take("||")) operands.Add(Sum());
        return new Concat(operands, first.Position);
    }

    private Expr Sum() => Operators(["+", "-"], () => Operators(["*", "/", "%"], Signed));

    private Expr Operators(string[] marks, Func<Expr> operand)
    {
        var left = operand();
        for (var length = 0; Current.Kind == TokenKind.Mark && marks.Contains(Current.Text); length++)
        {
            if (length > 0 && ++_chained > ChainedMax) throw TooLongAChain();
            var mark = _tokens[_at++];
            left = new Arithmetic(mark.Text, left, operand(), mark.Position);
        }
        return left;
    }

    private Expr Signed()
    {
        var (position, negative, signed) = (Current.Position, false, false);
        for (; Current.Is("-") || Current.Is("+"); _at++, signed = true) negative ^= Current.Is("-");
        var operand = Primary();
        return negative ? operand is Literal { Value.Kind: ValueKind.Integer } whole ? new Literal(SelectValue.OfInteger(-whole.Value.Integer), position)
            : operand is Literal { Value.Kind: ValueKind.Real } real ? new Literal(SelectValue.OfReal(-real.Value.Real), position)
            : new Negate(operand, position)
            : signed ? new Negate(new Negate(operand, position), position) : operand;
    }

    private Expr Primary()
    {
        var token = Current;
        switch (token.Kind)
        {
            case TokenKind.Number or TokenKind.Timestamp:
                _at++;
                return new Literal(token.Value, token.Position);
            case TokenKind.Text:
                _at++;
                return new Literal(SelectValue.OfText(token.Text), token.Position);
            case TokenKind.Mark when token.Text == "(":
                _at++;
                if (Current.IsWord("SELECT")) throw Error("UnsupportedSqlStructure", "A query inside a query is not supported.");
                var inner = Expression();
                if (Current.Is(",")) throw Error("ParseUnsupportedSyntax", "A list stands after IN alone.");
                Expect(")", "ParseExpectedTokenType");
                return inner;
            case TokenKind.QuotedName:
                return Path();
            case TokenKind.Word when _tokens[_at + 1].Is("("):
                return Invocation();
            case TokenKind.Word:
                if (TakeWord("TRUE")) return new Literal(SelectValue.OfBoolean(true), token.Position);
                if (TakeWord("FALSE")) return new Literal(SelectValue.OfBoolean(false), token.Position);
                if (TakeWord("NULL") || TakeWord("MISSING")) return new Literal(SelectValue.Null, token.Position);
                if (TakeWord("CASE")) return CaseOf(token.Position);
                if (token.IsWord("CAST")) throw new SelectException("ParseExpectedLeftParenAfterCast", "Did not find '(' after CAST.", token.Position);
                if (token.Text.ToUpperInvariant() is "COUNT" or "SUM" or "AVG" or "MIN" or "MAX" or "SUBSTRING" or "COALESCE" or "NULLIF" or "EXTRACT" or "DATE_ADD" or "DATE_DIFF"
                    && _tokens[_at + 1].Kind is TokenKind.Number or TokenKind.Text)
                    throw new SelectException("ParseExpectedLeftParenBuiltinFunctionCall", "Did not find '(' after the name of a function.", _tokens[_at + 1].Position);
                return Reserved.Contains(token.Text) ? throw Unexpected() : Path();
            case TokenKind.End:
                throw Error("ParseExpectedExpression", "The SQL expression ends where an expression is to follow.");
            default:
                throw Unexpected();
        }
    }

    private PathExpr Path()
    {
        var token = _tokens[_at++];
        var steps = Steps(wildcards: false);
        if (!IsTable(token)) steps.Insert(0, new(token.Text, token.Kind == TokenKind.QuotedName));
        if (steps.Count > 0 && steps[0].Name == "_0") throw new SelectException("InvalidColumnIndex", "Columns are counted from _1.", token.Position);
        return new(steps, token.Position);
    }

    private Case CaseOf(int position)
    {
        var operand = Current.IsWord("WHEN") ? null : Expression();
        var branches = new List<(Expr, Expr)>();
        while (TakeWord("WHEN"))
        {
            var when = Expression();
            ExpectWord("THEN");
            branches.Add((when, Expression()));
            if (branches.Count > ArgumentsMax) throw Error("ParseUnsupportedCase", "CASE has more than 99 branches.");
        }
        if (branches.Count == 0) throw Error("ParseExpectedWhenClause", "Did not find WHEN in CASE.");
        var otherwise = TakeWord("ELSE") ? Expression() : null;
        ExpectWord("END");
        return new(operand, branches, otherwise, position);
    }

    private Expr Invocation()
    {
        var name = _tokens[_at];
        _at += 2;
        switch (name.Text.ToUpperInvariant())
        {
            case "COUNT": return AggregateOf(AggregateKind.Count, name);
            case "SUM": return AggregateOf(AggregateKind.Sum, name);
            case "AVG": return AggregateOf(AggregateKind.Avg, name);
            case "MIN": return AggregateOf(AggregateKind.Min, name);
            case "MAX": return AggregateOf(AggregateKind.Max, name);
            case "CAST": return CastOf(name);
            case "COALESCE": return Plain(Function.Coalesce, name, 1, ArgumentsMax);
            case "NULLIF": return Plain(Function.NullIf, name, 2, 2);
            case "UPPER": return Plain(Function.Upper, name, 1, 1);
            case "LOWER": return Plain(Function.Lower, name, 1, 1);
            case "CHAR_LENGTH" or "CHARACTER_LENGTH": return Plain(Function.CharLength, name, 1, 1);
            case "TO_STRING": return Plain(Function.ToText, name, 2, 2);
            case "TO_TIMESTAMP": return Plain(Function.ToTimestamp, name, 1, 1);
            case "UTCNOW": return Plain(Function.UtcNow, name, 0, 0);
            case "SUBSTRING": return SubstringOf(name);
            case "TRIM": return TrimOf(name);
            case "DATE_ADD": return OfDatePart(Function.DateAdd, name);
            case "DATE_DIFF": return OfDatePart(Function.DateDiff, name);
            case "EXTRACT":
                var part = DatePart(ExtractParts);
                ExpectWord("FROM");
                var from = Expression();
                Close();
                return new Call(Function.Extract, [part, from], name.Position);
            default:
                if (Reserved.Contains(name.Text))
                {
                    _at -= 2;
                    throw Unexpected();
                }
                throw new SelectException("UnsupportedFunction", "The SQL expression contains a function that is not supported.", name.Position);
        }
    }

    private Aggregate AggregateOf(AggregateKind kind, in Token name)
    {
        if (_scope != AggregateScope.Allowed) throw new SelectException("UnsupportedSqlStructure", "An aggregate stands in the SELECT list alone, and not inside another.", name.Position);
        if (_aggregates == AggregatesMax) throw new SelectException("UnsupportedSqlStructure", "The SELECT list has more than 100 aggregates.", name.Position);
        var index = _aggregates++;
        Expr? argument = null;
        if (Current.Is("*"))
        {
            if (kind != AggregateKind.Count) throw Error("ParseUnsupportedCallWithStar", "Only COUNT is called with '*'.");
            _at++;
        }
        else
        {
            if (Current.IsWord("DISTINCT") || Current.IsWord("ALL")) throw Error("ParseUnsupportedSyntax", $"{Current.Text.ToUpperInvariant()} in an aggregate is not supported.");
            if (Current.Is(")")) throw Error("ParseNonUnaryAgregateFunctionCall", "An aggregate takes one argument.");
            _scope = AggregateScope.InAggregate;
            argument = Expression();
            _scope = AggregateScope.Allowed;
            if (Current.Is(",")) throw Error("ParseNonUnaryAgregateFunctionCall", "An aggregate takes one argument.");
        }
        Close();
        return new(kind, argument, index, name.Position);
    }

    private Cast CastOf(in Token name)
    {
        var operand = Expression();
        if (!TakeWord("AS")) throw Error(Current.Is(",") ? "ParseCastArity" : "ParseExpectedKeyword", "Did not find AS in CAST.");
        if (Current.Kind != TokenKind.Word) throw Error("ParseExpectedTypeName", "Did not find the name of a type in CAST.");
        CastType? type = Current.Text.ToUpperInvariant() switch
        {
            "BOOL" or "BOOLEAN" => CastType.Boolean,
            "INT" or "INTEGER" or "SMALLINT" or "BIGINT" => CastType.Integer,
            "STRING" or "VARCHAR" or "CHAR" or "CHARACTER" => CastType.String,
            "FLOAT" or "REAL" or "DOUBLE" => CastType.Float,
            "DECIMAL" or "NUMERIC" => CastType.Decimal,
            "TIMESTAMP" => CastType.Timestamp,
            _ => null,
        };
        if (type is null) throw Error("ParseExpectedTypeName", "CAST names a type that is not supported.");
        _at++;
        // DECIMAL(10, 2), CHAR(20): read, and not acted on.
        if (Take("("))
        {
            do
            {
                if (Current.Kind != TokenKind.Number) throw Error("ParseInvalidTypeParam", "The parameter of a type is a number.");
                _at++;
            }
            while (Take(","));
            Expect(")", "ParseExpectedTokenType");
        }
        Close();
        return new(operand, type.Value, name.Position);
    }

    private Call SubstringOf(in Token name)
    {
        var arguments = new List<Expr> { Expression() };
        if (TakeWord("FROM"))
        {
            arguments.Add(Expression());
            if (TakeWord("FOR")) arguments.Add(Expression());
        }
        else
        {
            Expect(",", "ParseExpectedArgumentDelimiter");
            arguments.Add(Expression());
            if (Take(",")) arguments.Add(Expression());
        }
        Close();
        return new(Function.Substring, arguments, name.Position);
    }

    /// <summary><c>TRIM(text)</c>, <c>TRIM(LEADING FROM text)</c>, <c>TRIM(BOTH 'xy' FROM text)</c>, <c>TRIM('xy' FROM text)</c>.</summary>
    private Call TrimOf(in Token name)
    {
        var function = Function.TrimBoth;
        var sided = true;
        // A field may have such a name: then what follows it is no operand.
        if (Current.IsWord("LEADING") && !Ends(_tokens[_at + 1])) function = Function.TrimLeading;
        else if (Current.IsWord("TRAILING") && !Ends(_tokens[_at + 1])) function = Function.TrimTrailing;
        else if (!Current.IsWord("BOTH") || Ends(_tokens[_at + 1])) sided = false;
        if (sided) _at++;
        Expr? characters = null;
        Expr text;
        if (sided && TakeWord("FROM"))
        {
            text = Expression();
        }
        else
        {
            text = Expression();
            if (TakeWord("FROM")) (characters, text) = (text, Expression());
            else if (sided) throw Error("ParseExpectedKeyword", "Did not find FROM in TRIM.");
        }
        Close();
        return new(function, characters is null ? [text] : [text, characters], name.Position);

        static bool Ends(in Token token) => token.Is(")") || token.Is(".") || token.Is("[") || token.Is("||");
    }

    private Call OfDatePart(Function function, in Token name)
    {
        var arguments = new List<Expr> { DatePart(DateParts) };
        for (var i = 0; i < 2; i++)
        {
            Expect(",", "ParseExpectedArgumentDelimiter");
            arguments.Add(Expression());
        }
        Close();
        return new(function, arguments, name.Position);
    }

    private Literal DatePart(string[] parts)
    {
        var token = Current;
        if (token.Kind != TokenKind.Word || !parts.Contains(token.Text, StringComparer.OrdinalIgnoreCase)) throw Error("ParseExpectedDatePart", "Did not find a part of a date.");
        _at++;
        return new(SelectValue.OfText(token.Text.ToLowerInvariant()), token.Position);
    }

    private Call Plain(Function function, in Token name, int min, int max)
    {
        var arguments = new List<Expr>();
        if (!Current.Is(")"))
        {
            do arguments.Add(Expression());
            while (Take(","));
        }
        Close();
        if (arguments.Count < min || arguments.Count > max) throw new SelectException("EvaluatorInvalidArguments", "A function is called with too few or too many arguments.", name.Position);
        return new(function, arguments, name.Position);
    }

    private void Close()
    {
        if (Take(")")) return;
        throw Error(Current.Is(",") ? "EvaluatorInvalidArguments" : "ParseExpectedRightParenBuiltinFunctionCall", "Did not find the ')' that ends a function's call.");
    }

    private SelectException TooLongAChain() => Error("UnsupportedSyntax", "The SQL expression has too many operators in a row.");
}
