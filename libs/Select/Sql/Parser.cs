using System.Globalization;
using System.Text;
using DarkStorage.Select.Evaluation;

namespace DarkStorage.Select.Sql;

/// <summary>Reads an expression of S3 Select into a tree. The grammar is in docs/SELECT.md.</summary>
/// <remarks>The tree is bounded: in nesting, in the length of chains such as <c>a + b + c</c>, and by the number of tokens.</remarks>
internal sealed partial class Parser
{
    public const int ExpressionBytesMax = 256 << 10;

    /// <summary>Parentheses, calls and CASEs within one another.</summary>
    private const int NestingMax = 64;

    /// <summary>Operators that follow another of their kind, in the whole expression: each makes the tree one deeper, and SQLite's own bound is 1,000.
    /// AND, OR and || are not counted: their operands are laid out as a balanced tree.</summary>
    private const int ChainedMax = 400;

    public const int ItemsMax = 1_000;
    private const int StepsMax = 100;
    private const int AggregatesMax = 100;

    private static readonly HashSet<string> Reserved = new(StringComparer.OrdinalIgnoreCase)
    {
        "SELECT", "FROM", "WHERE", "LIMIT", "AS", "AND", "OR", "NOT", "BETWEEN", "IN", "LIKE", "ESCAPE", "IS", "NULL", "MISSING", "CASE", "WHEN", "THEN", "ELSE", "END",
        "CAST", "TRUE", "FALSE", "GROUP", "ORDER", "HAVING", "BY", "JOIN", "INNER", "LEFT", "RIGHT", "OUTER", "CROSS", "ON", "UNION", "INTERSECT", "EXCEPT", "DISTINCT", "ALL",
        "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "WITH", "VALUES", "SET", "INTO", "EXISTS", "OFFSET", "PIVOT", "UNPIVOT", "AT",
    };

    private readonly List<Token> _tokens;
    private readonly List<SelectItem> _items = [];
    private string? _alias;
    private bool _aliasQuoted;
    private int _at;
    private int _nesting;
    private int _chained;
    private int _aggregates;
    private AggregateScope _scope;

    private Parser(List<Token> tokens) => _tokens = tokens;

    private enum AggregateScope
    {
        Allowed,
        InWhere,
        InAggregate,
    }

    private Token Current => _tokens[_at];

    /// <exception cref="SelectException">The expression is too long, malformed, or not supported; it says where.</exception>
    public static SelectStatement Parse(string sql)
    {
        if (Encoding.UTF8.GetByteCount(sql) > ExpressionBytesMax) throw new SelectException("ExpressionTooLong", "The SQL expression is too long: the maximum is 256 KB.");
        return new Parser(Lexer.Read(sql)).Statement();
    }

    private SelectStatement Statement()
    {
        if (Current.Kind == TokenKind.End) throw Error("ParseEmptySelect", "The SQL expression is empty.");
        if (!Current.IsWord("SELECT")) throw Error("ParseExpectedKeyword", "Did not find SELECT, with which the SQL expression begins.");
        // Paths in the select list may begin with the alias, which stands after it: FROM is read first.
        var list = _at + 1;
        _at = FindFrom();
        var from = From();
        var rest = _at;
        _at = list;
        var star = SelectList();
        if (!Current.IsWord("FROM")) throw Unexpected();
        _at = rest;
        Expr? where = null;
        if (TakeWord("WHERE"))
        {
            _scope = AggregateScope.InWhere;
            where = Expression();
        }
        long? limit = TakeWord("LIMIT") ? Limit() : null;
        Take(";");
        if (Current.Kind != TokenKind.End) throw Unexpected();
        if (_aggregates > 0) RequireAggregatesAlone();
        return new(star ? [] : _items, from, where, limit) { HasAggregates = _aggregates > 0 };
    }

    /// <summary>The FROM that ends the select list: there is none inside parentheses but those of functions.</summary>
    private int FindFrom()
    {
        var depth = 0;
        for (var i = _at + 1; i < _tokens.Count; i++)
        {
            if (_tokens[i].Is("(")) depth++;
            else if (_tokens[i].Is(")")) depth--;
            else if (depth <= 0 && _tokens[i].IsWord("FROM") && !_tokens[i - 1].Is("."))
            {
                if (i == _at + 1) throw new SelectException("ParseEmptySelect", "The SELECT list is empty.", _tokens[i].Position);
                return i + 1;
            }
        }
        throw new SelectException("ParseSelectMissingFrom", "The SQL expression has no FROM after its SELECT list.", _tokens[^1].Position);
    }

    private List<PathStep> From()
    {
        if (Current.Kind is not (TokenKind.Word or TokenKind.QuotedName) || !Current.Text.Equals("S3Object", StringComparison.OrdinalIgnoreCase))
            throw Error("InvalidDataSource", "FROM names the table S3Object, and no other.");
        _at++;
        var steps = Steps(wildcards: true);
        // S3Object and S3Object[*] are one: the object's records.
        if (steps.Count > 0 && steps[0].IsWildcard) steps.RemoveAt(0);
        var named = TakeWord("AS");
        if (Current.Kind == TokenKind.QuotedName || (Current.Kind == TokenKind.Word && !Reserved.Contains(Current.Text)))
        {
            (_alias, _aliasQuoted) = (Current.Text, Current.Kind == TokenKind.QuotedName);
            _at++;
        }
        else if (named)
        {
            throw Error("ParseExpectedIdentForAlias", "Did not find the name that AS announces.");
        }
        if (Current.Is(",")) throw Error("MultipleDataSourcesUnsupported", "FROM names one table alone.");
        foreach (var word in (ReadOnlySpan<string>)["JOIN", "INNER", "LEFT", "RIGHT", "CROSS"])
            if (Current.IsWord(word)) throw Error("MultipleDataSourcesUnsupported", "Joins are not supported.");
        foreach (var word in (ReadOnlySpan<string>)["GROUP", "ORDER", "HAVING", "UNION", "INTERSECT", "EXCEPT", "OFFSET", "AT"])
            if (Current.IsWord(word)) throw Error("UnsupportedSqlStructure", $"{word} is not supported.");
        return steps;
    }

    /// <returns>Whether it is <c>*</c>.</returns>
    private bool SelectList()
    {
        if (Current.IsWord("DISTINCT") || Current.IsWord("ALL")) throw Error("ParseUnsupportedSelect", $"SELECT {Current.Text.ToUpperInvariant()} is not supported.");
        if (TakeStar())
        {
            if (!Current.IsWord("FROM")) throw Error("ParseAsteriskIsNotAloneInSelectList", "Other expressions are not allowed in the SELECT list when '*' is used without dot notation.");
            return true;
        }
        do
        {
            if (Current.IsWord("FROM")) throw Error("ParseExpectedExpression", "Did not find an expression after the comma.");
            if (TakeStar(peek: true)) throw Error("ParseAsteriskIsNotAloneInSelectList", "Other expressions are not allowed in the SELECT list when '*' is used without dot notation.");
            if (_items.Count == ItemsMax) throw Error("OverMaxColumn", "The SELECT list has too many expressions: the maximum is 1,000.");
            var value = Expression();
            string? alias = null;
            if (TakeWord("AS")) alias = Name("ParseExpectedIdentForAlias");
            else if (Current.Kind == TokenKind.QuotedName || (Current.Kind == TokenKind.Word && !Reserved.Contains(Current.Text))) alias = Name("ParseExpectedIdentForAlias");
            _items.Add(new(value, alias));
        }
        while (Take(","));
        return false;
    }

    /// <summary><c>*</c>, or <c>alias.*</c>.</summary>
    private bool TakeStar(bool peek = false)
    {
        var length = Current.Is("*") ? 1
            : Current.Kind is TokenKind.Word or TokenKind.QuotedName && _tokens[_at + 1].Is(".") && _tokens[_at + 2].Is("*") && IsTable(Current) ? 3
            : 0;
        if (!peek) _at += length;
        return length > 0;
    }

    private long Limit()
    {
        var negative = Take("-");
        if (Current.Kind != TokenKind.Number || Current.Value.Kind != ValueKind.Integer) throw Error("ParseExpectedNumber", "Did not find the whole number that LIMIT needs.");
        var limit = Current.Value.Integer;
        if (negative && limit > 0) throw Error("EvaluatorNegativeLimit", "LIMIT must not be negative.");
        _at++;
        return limit;
    }

    /// <summary>There is no GROUP BY: beside an aggregate a field of a record would be of no record.</summary>
    private void RequireAggregatesAlone()
    {
        foreach (var item in _items)
            if (FindPath(item.Value) is { } path) throw new SelectException("UnsupportedSqlStructure", "A field beside an aggregate is not supported, as there is no GROUP BY.", path.Position);
    }

    private static PathExpr? FindPath(Expr expr) => expr is PathExpr path ? path : expr is Aggregate ? null : Children(expr).Select(FindPath).FirstOrDefault(p => p is not null);

    private static IEnumerable<Expr> Children(Expr expr) => expr switch
    {
        Negate e => [e.Operand],
        Not e => [e.Operand],
        Logical e => e.Operands,
        Comparison e => [e.Left, e.Right],
        Arithmetic e => [e.Left, e.Right],
        Concat e => e.Operands,
        Between e => [e.Operand, e.Low, e.High],
        In e => [e.Operand, .. e.Items],
        Like e => e.Escape is null ? [e.Operand, e.Pattern] : [e.Operand, e.Pattern, e.Escape],
        Is e => [e.Operand],
        Case e => [.. e.Operand is null ? [] : (Expr[])[e.Operand], .. e.Branches.SelectMany(b => (Expr[])[b.When, b.Then]), .. e.Else is null ? [] : (Expr[])[e.Else]],
        Cast e => [e.Operand],
        Call e => e.Arguments,
        _ => [],
    };

    /// <summary><c>.name</c>, <c>[3]</c>, <c>['name']</c> and, in FROM, <c>[*]</c> and <c>.*</c>.</summary>
    private List<PathStep> Steps(bool wildcards)
    {
        var steps = new List<PathStep>();
        while (true)
        {
            if (steps.Count > StepsMax) throw Error("ParseInvalidPathComponent", "The path has too many steps.");
            if (Take("."))
            {
                if (Current.Kind is TokenKind.Word or TokenKind.QuotedName) steps.Add(new(Current.Text, Current.Kind == TokenKind.QuotedName));
                else throw Error("ParseInvalidPathComponent", "The path has something after its dot that is no name.");
                _at++;
            }
            else if (Take("["))
            {
                if (Current.Is("*") && wildcards) steps.Add(new(null));
                else if (Current.Is("*")) throw Error("ParseInvalidContextForWildcardInSelectList", "A wildcard stands in FROM alone.");
                else if (Current.Kind == TokenKind.Text) steps.Add(new(Current.Text, Quoted: true));
                else if (Current.Kind == TokenKind.Number && Current.Value.Kind == ValueKind.Integer && Current.Value.Integer <= int.MaxValue) steps.Add(new(null, Index: (int)Current.Value.Integer));
                else throw Error("ParseInvalidPathComponent", "The path has something in brackets that is no index, name or wildcard.");
                _at++;
                Expect("]", "ParseExpectedTokenType");
            }
            else
            {
                return steps;
            }
        }
    }

    private bool IsTable(in Token token)
    {
        if (token.Text.Equals("S3Object", StringComparison.OrdinalIgnoreCase)) return true;
        return _alias is not null && token.Text.Equals(_alias, _aliasQuoted || token.Kind == TokenKind.QuotedName ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase);
    }

    private string Name(string code)
    {
        if (Current.Kind != TokenKind.QuotedName && (Current.Kind != TokenKind.Word || Reserved.Contains(Current.Text))) throw Error(code, "Did not find a name.");
        return _tokens[_at++].Text;
    }

    private bool Take(string mark)
    {
        if (!Current.Is(mark)) return false;
        _at++;
        return true;
    }

    private bool TakeWord(string keyword)
    {
        if (!Current.IsWord(keyword)) return false;
        _at++;
        return true;
    }

    private void Expect(string mark, string code)
    {
        if (!Take(mark)) throw Error(code, $"Did not find '{mark}'.");
    }

    private void ExpectWord(string keyword)
    {
        if (!TakeWord(keyword)) throw Error("ParseExpectedKeyword", $"Did not find {keyword}.");
    }

    private SelectException Error(string code, string message) => new(code, message, Current.Position);

    private SelectException Unexpected() => Current.Kind switch
    {
        TokenKind.End => Error("ParseUnexpectedToken", "The SQL expression ends too early."),
        TokenKind.Word when Reserved.Contains(Current.Text) => Error("ParseUnExpectedKeyword", string.Create(CultureInfo.InvariantCulture, $"The SQL expression contains the keyword {Current.Text.ToUpperInvariant()} where it can't stand.")),
        TokenKind.Mark when Current.Text is not ("(" or ")" or "[" or "]" or "," or "." or ";") => Error("ParseUnexpectedOperator", "The SQL expression contains an operator where it can't stand."),
        _ => Error("ParseUnexpectedToken", "The SQL expression contains a token where it can't stand."),
    };
}
