using System.Collections.Immutable;
using System.Globalization;
using System.Text;

namespace DarkStorage.Rules.Lifecycle.Language;

/// <summary>Reads a policy, from left to right and once. What it can't read it refuses, with the place and what was expected there.</summary>
internal sealed class LifecyclePolicyParser
{
    public const int TextLengthMax = 32 * 1024;
    public const int RulesMax = 100;
    public const int ComparisonsMax = 1_000;

    /// <summary>Of parentheses and NOTs in one another: as deep as this calls itself.</summary>
    public const int DepthMax = 32;

    public const int ListMax = 100;

    /// <summary>UTF-8 bytes; a key has no more.</summary>
    public const int LiteralBytesMax = 1_024;

    private static readonly string[] Keywords = ["AND", "OR", "NOT", "IN", "LIKE"];

    /// <summary>What people write who know another language. Of two that begin alike the longer one is first.</summary>
    private static readonly (string Found, string Meant)[] OtherSymbols =
    [
        ("<>", "!="), ("=>", "->"), ("=", "=="), ("!", "NOT"), ("&&", "AND"), ("||", "OR"), ("&", "AND"), ("|", "OR"), ("→", "->"), ("≤", "<="), ("≥", ">="), ("≠", "!="),
        ("'", "\""), ("`", "\""), ("“", "\""), ("”", "\""), ("„", "\""), ("‘", "\""), ("’", "\""), ("*", "name LIKE \"*\""),
    ];

    private readonly string _text;
    private readonly ImmutableArray<LifecyclePolicyRule>.Builder _rules = ImmutableArray.CreateBuilder<LifecyclePolicyRule>();
    private readonly ImmutableArray<TierMention>.Builder _tiers = ImmutableArray.CreateBuilder<TierMention>();
    private Token _token;
    private int _at;
    private int _lastEnd;
    private int _comparisons;
    private int _depth;

    private enum TokenKind
    {
        End,
        /// <summary>Letters, digits, <c>_</c>, <c>.</c> and <c>-</c>: names, keywords, numbers with units.</summary>
        Word,
        /// <summary>What stood in quotation marks.</summary>
        Text,
        Symbol,
    }

    /// <param name="Value">A text's is what it means.</param>
    /// <param name="IsOnNewLine">The line was ended between the token before and this one.</param>
    private readonly record struct Token(TokenKind Kind, string Value, int Start, bool IsOnNewLine)
    {
        public bool Is(string symbol) => Kind == TokenKind.Symbol && Value == symbol;

        public bool IsKeyword(string word) => Kind == TokenKind.Word && Value.Equals(word, StringComparison.OrdinalIgnoreCase);
    }

    private LifecyclePolicyParser(string text) => _text = text;

    /// <exception cref="LifecyclePolicyFormatException">It is none.</exception>
    public static (ImmutableArray<LifecyclePolicyRule> Rules, ImmutableArray<TierMention> Tiers) Parse(string text)
    {
        var parser = new LifecyclePolicyParser(text);
        if (text.Length > TextLengthMax) throw parser.Refusal(0, string.Create(CultureInfo.InvariantCulture, $"A policy has at most {TextLengthMax} characters, and this one {text.Length}."));
        if (text.StartsWith('\uFEFF')) parser._at = 1;
        parser.Advance();
        parser.ParsePolicy();
        return (parser._rules.ToImmutable(), parser._tiers.ToImmutable());
    }

    /// <summary>Whether a value is read as itself without quotation marks.</summary>
    public static bool IsBare(string text) =>
        text.Length > 0 && text.All(static c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.') && !Keywords.Contains(text, StringComparer.OrdinalIgnoreCase);

    // policy = { ";" } rule { separator rule } { ";" }, where a separator is ";" or the end of a line
    private void ParsePolicy()
    {
        while (true)
        {
            while (_token.Is(";")) Advance();
            if (_token.Kind == TokenKind.End) break;
            if (_rules.Count == RulesMax) throw Refusal(_token.Start, $"A policy has at most {RulesMax} rules.");
            _rules.Add(ParseRule());
            if (_token.Kind != TokenKind.End && !_token.IsOnNewLine && !_token.Is(";")) throw Expected("the end of the rule: a new line or ;");
        }
        if (_rules.Count == 0) throw Refusal(_token.Start, "There is no rule: expected one such as age > 30d -> warm.");
    }

    // rule = [ condition ] "->" tier
    private LifecyclePolicyRule ParseRule()
    {
        var condition = _token.Is("->") ? null : ParseAny();
        if (!_token.Is("->")) throw Expected("AND, OR or ->");
        Advance();
        // A tier may be called as a keyword is, or begin with a digit.
        if (_token.Kind is not (TokenKind.Word or TokenKind.Text) || _token.IsOnNewLine) throw Expected("the name of a tier");
        return new(condition, ParseTier(isTarget: true));
    }

    private string ParseTier(bool isTarget)
    {
        var name = _token.Value;
        if (LifecycleAttribute.WhyNoTier(name) is { } why) throw Refusal(_token.Start, why);
        _tiers.Add(new(name, _rules.Count + 1, isTarget, TextPlace.At(_text, _token.Start)));
        Advance();
        return name;
    }

    // any = all { OR all }
    private LifecycleCondition ParseAny()
    {
        var parts = new List<LifecycleCondition> { ParseAll() };
        while (_token.IsKeyword("OR"))
        {
            Advance();
            parts.Add(ParseAll());
        }
        return LifecycleCondition.Any(parts);
    }

    // all = one { AND one }
    private LifecycleCondition ParseAll()
    {
        var parts = new List<LifecycleCondition> { ParseOne() };
        while (_token.IsKeyword("AND"))
        {
            Advance();
            parts.Add(ParseOne());
        }
        return LifecycleCondition.All(parts);
    }

    // one = NOT one | "(" any ")" | comparison
    private LifecycleCondition ParseOne()
    {
        if (!_token.IsKeyword("NOT") && !_token.Is("(")) return ParseComparison();
        if (++_depth > DepthMax) throw Refusal(_token.Start, $"Parentheses and NOTs stand in one another at most {DepthMax} deep.");
        LifecycleCondition condition;
        if (_token.Is("("))
        {
            Advance();
            condition = ParseAny();
            if (!_token.Is(")")) throw Expected("AND, OR or )");
            Advance();
        }
        else
        {
            Advance();
            condition = LifecycleCondition.Not(ParseOne());
        }
        _depth--;
        return condition;
    }

    // comparison = "noncurrent" | attribute relation value | attribute [ NOT ] IN list | attribute [ NOT ] LIKE pattern
    private LifecycleComparison ParseComparison()
    {
        if (++_comparisons > ComparisonsMax) throw Refusal(_token.Start, $"A policy has at most {ComparisonsMax} comparisons.");
        var attribute = ParseAttribute();
        if (attribute.Kind == LifecycleAttributeKind.Noncurrent)
        {
            if (_token.Kind == TokenKind.Symbol && RelationOf(_token.Value) is not null) throw Refusal(_token.Start, "noncurrent holds or does not: write noncurrent, or NOT noncurrent.");
            return new NoncurrentComparison();
        }
        var relation = ParseRelation(attribute);
        if (relation is not (LifecycleRelation.In or LifecycleRelation.NotIn))
            return attribute.IsNumber ? new NumberComparison(attribute, relation, ParseNumber(attribute)) : new TextComparison(attribute, relation, ParseText(attribute, relation));

        if (!_token.Is("(")) throw Expected($"a list in parentheses, of {LifecycleLiterals.Example(attribute)}");
        var (numbers, texts) = (new List<long>(), new List<string>());
        do
        {
            Advance();
            if (numbers.Count + texts.Count == ListMax) throw Refusal(_token.Start, $"A list has at most {ListMax} values.");
            if (attribute.IsNumber) numbers.Add(ParseNumber(attribute));
            else texts.Add(ParseText(attribute, relation));
        }
        while (_token.Is(","));
        if (!_token.Is(")")) throw Expected(", or )");
        Advance();
        return attribute.IsNumber ? new NumberComparison(attribute, relation, [.. numbers]) : new TextComparison(attribute, relation, [.. texts]);
    }

    private LifecycleAttribute ParseAttribute()
    {
        var word = _token;
        if (word.Kind != TokenKind.Word) throw Expected("an attribute such as age");
        if (Keywords.Contains(word.Value, StringComparer.OrdinalIgnoreCase)) throw Expected("an attribute such as age");
        if (word.Value.StartsWith("tag.", StringComparison.OrdinalIgnoreCase))
        {
            var name = word.Value["tag.".Length..];
            var start = word.Start;
            Advance();
            if (name.Length == 0 && _token.Kind == TokenKind.Text && _token.Start == _lastEnd)
            {
                (name, start) = (_token.Value, _token.Start);
                Advance();
            }
            if (LifecycleAttribute.WhyNoTag(name) is { } whyNot) throw Refusal(start, whyNot);
            return new(LifecycleAttributeKind.Tag, Tag: name);
        }
        if (LifecycleAttribute.Find(word.Value, out var why) is not { } attribute) throw Refusal(word.Start, $"There is no attribute {LifecycleLiterals.Shown(word.Value)}: {why}");
        Advance();
        return attribute;
    }

    private LifecycleRelation ParseRelation(LifecycleAttribute attribute)
    {
        var token = _token;
        LifecycleRelation? relation;
        if (token.IsKeyword("NOT"))
        {
            Advance();
            relation = _token.IsKeyword("IN") ? LifecycleRelation.NotIn : _token.IsKeyword("LIKE") ? LifecycleRelation.NotLike : throw Expected("IN or LIKE");
        }
        else relation = token.IsKeyword("IN") ? LifecycleRelation.In : token.IsKeyword("LIKE") ? LifecycleRelation.Like : token.Kind == TokenKind.Symbol ? RelationOf(token.Value) : null;
        var hasPatterns = attribute.Kind is LifecycleAttributeKind.Name or LifecycleAttributeKind.FileExtension or LifecycleAttributeKind.Tag;
        if (relation is null) throw Expected(attribute.IsNumber ? "<, <=, >, >=, ==, != or [NOT] IN" : hasPatterns ? "==, !=, [NOT] IN or [NOT] LIKE" : "==, != or [NOT] IN");
        var isOrder = relation is LifecycleRelation.Less or LifecycleRelation.AtMost or LifecycleRelation.Greater or LifecycleRelation.AtLeast;
        if (isOrder && !attribute.IsNumber) throw Refusal(token.Start, $"{attribute} is a text, and has no {token.Value}: expected ==, !=, [NOT] IN{(hasPatterns ? " or [NOT] LIKE" : "")}.");
        if (relation is LifecycleRelation.Like or LifecycleRelation.NotLike && !hasPatterns) throw Refusal(token.Start, $"{attribute} has no patterns: expected {(attribute.IsNumber ? "<, <=, >, >=, " : "")}==, != or [NOT] IN.");
        Advance();
        return relation.Value;
    }

    private static LifecycleRelation? RelationOf(string symbol) => symbol switch
    {
        "<" => LifecycleRelation.Less,
        "<=" => LifecycleRelation.AtMost,
        ">" => LifecycleRelation.Greater,
        ">=" => LifecycleRelation.AtLeast,
        "==" => LifecycleRelation.Equal,
        "!=" => LifecycleRelation.NotEqual,
        _ => null,
    };

    private long ParseNumber(LifecycleAttribute attribute)
    {
        if (_token.Kind != TokenKind.Word) throw Expected(LifecycleLiterals.Example(attribute));
        var number = LifecycleLiterals.ParseNumber(attribute, _token.Value, out var why) ?? throw Refusal(_token.Start, why);
        Advance();
        return number;
    }

    private string ParseText(LifecycleAttribute attribute, LifecycleRelation relation)
    {
        var isPattern = relation is LifecycleRelation.Like or LifecycleRelation.NotLike;
        var mayBeBare = !isPattern && attribute.Kind is LifecycleAttributeKind.FileExtension or LifecycleAttributeKind.Tier or LifecycleAttributeKind.StorageClass;
        var isBare = _token.Kind == TokenKind.Word && mayBeBare && !Keywords.Contains(_token.Value, StringComparer.OrdinalIgnoreCase);
        if (_token.Kind != TokenKind.Text && !isBare)
        {
            if (_token.Kind == TokenKind.Word && !mayBeBare) throw Refusal(_token.Start, $"Expected a text in quotation marks, found {LifecycleLiterals.Shown(_token.Value)}: write {LifecycleLiterals.Quote(LifecycleLiterals.Shown(_token.Value))}.");
            throw Expected(isPattern ? "a pattern in quotation marks" : LifecycleLiterals.Example(attribute));
        }
        if (attribute.Kind == LifecycleAttributeKind.Tier) return ParseTier(isTarget: false);
        var text = _token.Value;
        if (!isPattern && attribute.WhyNoValue(text) is { } why) throw Refusal(_token.Start, why);
        if (Encoding.UTF8.GetByteCount(text) > LiteralBytesMax) throw Refusal(_token.Start, string.Create(CultureInfo.InvariantCulture, $"A text has at most {LiteralBytesMax} bytes."));
        Advance();
        return text;
    }

    private void Advance()
    {
        _lastEnd = _at;
        var isOnNewLine = false;
        for (; _at < _text.Length; _at++)
        {
            if (_text[_at] == '#') _at = _text.IndexOf('\n', _at) is >= 0 and var end ? end : _text.Length;
            if (_at == _text.Length || !char.IsWhiteSpace(_text[_at])) break;
            isOnNewLine |= _text[_at] == '\n';
        }
        var start = _at;
        if (_at == _text.Length) _token = new(TokenKind.End, "", start, isOnNewLine);
        else if (_text[_at] == '"') _token = new(TokenKind.Text, ReadText(), start, isOnNewLine);
        else if (IsOfWord(_at))
        {
            while (IsOfWord(_at)) _at++;
            _token = new(TokenKind.Word, _text[start.._at], start, isOnNewLine);
        }
        else _token = new(TokenKind.Symbol, ReadSymbol(), start, isOnNewLine);
    }

    private bool IsOfWord(int at) => at < _text.Length
        && (char.IsLetterOrDigit(_text[at]) || _text[at] is '_' or '.' || (_text[at] == '-' && (at + 1 == _text.Length || _text[at + 1] != '>')));

    private string ReadSymbol()
    {
        foreach (var symbol in (ReadOnlySpan<string>)["->", "<=", ">=", "==", "!="])
        {
            if (string.CompareOrdinal(_text, _at, symbol, 0, symbol.Length) != 0) continue;
            _at += 2;
            return symbol;
        }
        foreach (var (found, meant) in OtherSymbols)
        {
            if (string.CompareOrdinal(_text, _at, found, 0, found.Length) == 0) throw Refusal(_at, $"There is no {found} in a policy: did you mean {meant}?");
        }
        if (!"(),;<>".Contains(_text[_at])) throw Refusal(_at, $"There is no {LifecycleLiterals.Shown(Element(_at))} in a policy, but in quotation marks.");
        return _text[_at++].ToString();
    }

    // In quotation marks, on one line; \" \\ and \u{HEX} stand for a quotation mark, a backslash and any character.
    private string ReadText()
    {
        var open = _at++;
        var text = new StringBuilder();
        while (true)
        {
            if (_at == _text.Length || _text[_at] == '\n') throw Refusal(open, "The text that begins here does not end on its line: expected a quotation mark.");
            var c = _text[_at];
            if (c == '"')
            {
                _at++;
                return text.ToString();
            }
            if (c == '\\')
            {
                text.Append(ReadEscape());
                continue;
            }
            if (!Rune.TryGetRuneAt(_text, _at, out var rune)) throw Refusal(_at, "This is half a character, and no text.");
            text.Append(rune.ToString());
            _at += rune.Utf16SequenceLength;
        }
    }

    private string ReadEscape()
    {
        var start = _at;
        var rest = _text.AsSpan(_at + 1);
        if (rest.StartsWith("\"") || rest.StartsWith("\\"))
        {
            _at += 2;
            return rest[..1].ToString();
        }
        if (rest.StartsWith("u{") && rest.IndexOf('}') is > 2 and <= 8 and var end
            && int.TryParse(rest[2..end], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code) && Rune.IsValid(code))
        {
            _at += 1 + end + 1;
            return new Rune(code).ToString();
        }
        throw Refusal(start, "After a backslash comes \", another \\, or u{…} with the hexadecimal number of a character.");
    }

    private LifecyclePolicyFormatException Expected(string what)
    {
        // What is missing at the end of a line is missing there, not where the next one begins.
        if (_token.Kind == TokenKind.End || _token.IsOnNewLine)
            return Refusal(_lastEnd, $"Expected {what}, found the end of the {(_token.IsOnNewLine ? "line" : "text")}.");
        var found = _token.Kind == TokenKind.Text ? LifecycleLiterals.Shown(LifecycleLiterals.Quote(_token.Value)) : LifecycleLiterals.Shown(_token.Value);
        var near = _token.Kind == TokenKind.Word ? LifecycleAttribute.Nearest(_token.Value, Keywords.Where(k => what.Contains(k, StringComparison.Ordinal))) : null;
        return Refusal(_token.Start, $"Expected {what}, found {found}{(near is null ? "." : $": did you mean {near}?")}");
    }

    private LifecyclePolicyFormatException Refusal(int offset, string sentence) => new(_text, TextPlace.At(_text, offset), sentence);

    private string Element(int at) => _text.Substring(at, StringInfo.GetNextTextElementLength(_text.AsSpan(at)));
}
