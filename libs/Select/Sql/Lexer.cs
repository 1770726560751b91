using System.Text;
using DarkStorage.Select.Evaluation;

namespace DarkStorage.Select.Sql;

internal enum TokenKind
{
    End,

    /// <summary>A bare word, as it is written; a keyword is one too.</summary>
    Word,
    QuotedName,
    Text,
    Number,
    Timestamp,

    /// <summary>An operator or a mark.</summary>
    Mark,
}

/// <param name="Text">Without quotes.</param>
internal readonly record struct Token(TokenKind Kind, string Text, int Position, SelectValue Value = default)
{
    public bool Is(string mark) => Kind == TokenKind.Mark && Text == mark;

    public bool IsWord(string keyword) => Kind == TokenKind.Word && Text.Equals(keyword, StringComparison.OrdinalIgnoreCase);
}

/// <summary>Cuts an expression into tokens.</summary>
internal static class Lexer
{
    /// <summary>More than any query that people or programs write; the parse tree of this many fits into some MiB.</summary>
    public const int TokensMax = 60_000;

    private static readonly string[] Marks = ["<>", "!=", "<=", ">=", "||", "+", "-", "*", "/", "%", "=", "<", ">", "(", ")", "[", "]", ",", ".", ";"];

    /// <exception cref="SelectException"><c>LexerInvalidChar</c>, <c>LexerInvalidLiteral</c>, <c>LexerInvalidIONLiteral</c>, <c>LexerInvalidOperator</c>, <c>ExpressionTooLong</c>.</exception>
    public static List<Token> Read(string sql)
    {
        var tokens = new List<Token>();
        for (var at = 0; ;)
        {
            while (at < sql.Length && char.IsWhiteSpace(sql[at])) at++;
            if (tokens.Count >= TokensMax) throw new SelectException("ExpressionTooLong", "The SQL expression has too many tokens.", at);
            if (at == sql.Length)
            {
                tokens.Add(new(TokenKind.End, "", at));
                return tokens;
            }
            tokens.Add(Next(sql, ref at));
        }
    }

    private static Token Next(string sql, ref int at)
    {
        var (start, first) = (at, sql[at]);
        if (char.IsLetter(first) || first == '_')
        {
            while (at < sql.Length && (char.IsLetterOrDigit(sql[at]) || sql[at] is '_' or '$')) at++;
            return new(TokenKind.Word, sql[start..at], start);
        }
        if (char.IsAsciiDigit(first) || (first == '.' && at + 1 < sql.Length && char.IsAsciiDigit(sql[at + 1]))) return Number(sql, ref at);
        switch (first)
        {
            case '\'': return new(TokenKind.Text, Quoted(sql, ref at), start);
            case '"': return new(TokenKind.QuotedName, Quoted(sql, ref at), start);
            case '`':
                var ion = Quoted(sql, ref at);
                if (!Timestamp.TryParse(ion, out var time)) throw new SelectException("LexerInvalidIONLiteral", "The SQL expression contains an invalid Ion literal: only timestamps are read.", start);
                return new(TokenKind.Timestamp, ion, start, SelectValue.OfTimestamp(time));
        }
        foreach (var mark in Marks)
        {
            if (string.CompareOrdinal(sql, at, mark, 0, mark.Length) != 0) continue;
            at += mark.Length;
            return new(TokenKind.Mark, mark, start);
        }
        if (first is '!' or '|' or '&' or '^' or '~') throw new SelectException("LexerInvalidOperator", "The SQL expression contains an invalid operator.", start);
        throw new SelectException("LexerInvalidChar", "The SQL expression contains an invalid character.", start);
    }

    /// <summary>A quote inside is written twice.</summary>
    private static string Quoted(string sql, ref int at)
    {
        var (start, quote, text) = (at, sql[at], new StringBuilder());
        for (at++; at < sql.Length; at++)
        {
            if (sql[at] == quote)
            {
                at++;
                if (at == sql.Length || sql[at] != quote) return text.ToString();
            }
            text.Append(sql[at]);
        }
        throw new SelectException("LexerInvalidLiteral", "The SQL expression contains a literal that does not end.", start);
    }

    private static Token Number(string sql, ref int at)
    {
        var start = at;
        while (at < sql.Length && char.IsAsciiDigit(sql[at])) at++;
        if (at < sql.Length && sql[at] == '.')
        {
            at++;
            while (at < sql.Length && char.IsAsciiDigit(sql[at])) at++;
        }
        if (at < sql.Length && sql[at] is 'e' or 'E')
        {
            at++;
            if (at < sql.Length && sql[at] is '+' or '-') at++;
            while (at < sql.Length && char.IsAsciiDigit(sql[at])) at++;
        }
        var text = sql[start..at];
        if ((at < sql.Length && (char.IsLetter(sql[at]) || sql[at] == '_')) || !SelectValue.TryParseNumber(Encoding.ASCII.GetBytes(text), default, out var value))
            throw new SelectException("LexerInvalidLiteral", "The SQL expression contains an invalid number.", start);
        return new(TokenKind.Number, text, start, value);
    }
}
