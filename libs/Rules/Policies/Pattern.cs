using System.Buffers;

namespace DarkStorage.Rules.Policies;

/// <summary>A text of a policy, compiled: letters, wildcards (<c>*</c> is any run, also over slashes; <c>?</c> is one character) and variables.</summary>
/// <remarks>The value of a variable stands for itself: an asterisk that a client sends is an asterisk, not a wildcard. A variable without a value might be
/// anything, so what matches only with its help is unknown.</remarks>
internal sealed class Pattern
{
    /// <summary>UTF-16 units of a pattern with its variables filled in. Past it nobody can tell whether it matches: a document may name a long header a
    /// thousand times.</summary>
    private const int ExpandedLengthMax = 16 * 1024;

    private const int Run = -1;
    private const int One = -2;

    private readonly string _literal;
    private readonly int[] _codes;
    private readonly Part[] _parts;
    private readonly bool _ignoreCase;
    private readonly Shape _shape;

    private enum Shape
    {
        Exact,
        Prefix,
        Wildcards,
        Variables,
    }

    /// <param name="Codes">Characters and wildcards in front of the variable.</param>
    /// <param name="Variable">Null in the last part.</param>
    private readonly record struct Part(int[] Codes, ConditionKey? Variable, string? Default);

    private Pattern(List<Part> parts, bool ignoreCase)
    {
        _ignoreCase = ignoreCase;
        _parts = [.. parts];
        _codes = parts[0].Codes;
        _literal = "";
        var wildcard = Array.FindIndex(_codes, code => code < 0);
        if (parts.Count > 1) _shape = Shape.Variables;
        else if (wildcard < 0) (_shape, _literal) = (Shape.Exact, Text(_codes));
        else if (wildcard == _codes.Length - 1 && _codes[wildcard] == Run) (_shape, _literal) = (Shape.Prefix, Text(_codes.AsSpan(0, wildcard)));
        else _shape = Shape.Wildcards;
    }

    /// <summary>Whether it is one text, the same for all requests.</summary>
    public bool IsFixed => _shape == Shape.Exact;

    public bool HasVariables => _shape == Shape.Variables;

    /// <summary>The text it begins with, up to the first wildcard or variable.</summary>
    public string Head => Text(_codes.AsSpan(0, Array.FindIndex(_codes, code => code < 0) is >= 0 and var end ? end : _codes.Length));

    public IEnumerable<ConditionKey> Variables => _parts.Where(p => p.Variable is not null).Select(p => p.Variable!.Value);

    /// <exception cref="PolicyFormatException">A variable that is not closed, or names no condition key.</exception>
    public static Pattern Parse(ReadOnlySpan<char> text, bool wildcards, bool variables, bool ignoreCase = false, bool otherServices = false)
    {
        var parts = new List<Part>();
        var codes = new List<int>(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (variables && text[i] == '$' && i + 1 < text.Length && text[i + 1] == '{')
            {
                var length = VariableLength(text[i..]);
                var inner = text.Slice(i + 2, length - 3);
                if (inner is "*" or "?" or "$") codes.Add(inner[0]);
                else
                {
                    var (key, fallback) = ParseVariable(inner, otherServices);
                    parts.Add(new([.. codes], key, fallback));
                    codes.Clear();
                }
                i += length - 1;
                continue;
            }
            codes.Add(text[i] switch
            {
                '*' when wildcards => Run,
                '?' when wildcards => One,
                var c when ignoreCase => char.ToUpperInvariant(c),
                var c => c,
            });
        }
        parts.Add(new([.. codes], null, null));
        return new(parts, ignoreCase);
    }

    /// <summary>Length of the variable that the text begins with, with its <c>${</c> and <c>}</c>.</summary>
    public static int VariableLength(ReadOnlySpan<char> text)
    {
        var quoted = false;
        for (var i = 2; i < text.Length; i++)
        {
            if (text[i] == '\'') quoted = !quoted;
            else if (text[i] == '}' && !quoted) return i + 1;
        }
        throw new PolicyFormatException("Policy has a variable that is not closed.");
    }

    // NAME or NAME, 'DEFAULT'
    private static (ConditionKey Key, string? Default) ParseVariable(ReadOnlySpan<char> text, bool otherServices)
    {
        string? fallback = null;
        var name = text;
        var comma = text.IndexOf(',');
        if (comma >= 0)
        {
            name = text[..comma];
            var rest = text[(comma + 1)..].Trim(' ');
            if (rest.Length < 2 || rest[0] != '\'' || rest[^1] != '\'' || rest[1..^1].Contains('\''))
                throw new PolicyFormatException("The default value of a policy variable must stand in single quotation marks.");
            fallback = rest[1..^1].ToString();
        }
        if (!ConditionKeys.TryParse(name, otherServices, out var key))
            throw new PolicyFormatException($"Policy has an invalid variable: {(name.Length <= 100 ? name : name[..100])}");
        return (key, fallback);
    }

    public Truth Test(ReadOnlySpan<char> text, PolicyRequest request) => _shape switch
    {
        Shape.Exact => text.Equals(_literal, Comparison).ToTruth(),
        Shape.Prefix => text.StartsWith(_literal, Comparison).ToTruth(),
        Shape.Wildcards => Matches(_codes, text, _ignoreCase).ToTruth(),
        _ => TestVariables(text, request),
    };

    /// <summary>The same for a pattern without variables.</summary>
    public bool Matches(ReadOnlySpan<char> text) => _shape switch
    {
        Shape.Exact => text.Equals(_literal, Comparison),
        Shape.Prefix => text.StartsWith(_literal, Comparison),
        _ => Matches(_codes, text, _ignoreCase),
    };

    private StringComparison Comparison => _ignoreCase ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal;

    private Truth TestVariables(ReadOnlySpan<char> text, PolicyRequest request)
    {
        var codes = ArrayPool<int>.Shared.Rent(ExpandedLengthMax);
        try
        {
            var length = 0;
            var certain = true;
            foreach (var part in _parts)
            {
                if (part.Codes.Length > ExpandedLengthMax - length) return Truth.Unknown;
                part.Codes.CopyTo(codes.AsSpan(length));
                length += part.Codes.Length;
                if (part.Variable is not { } variable) continue;
                var values = request.Find(variable);
                var value = values.Count == 1 ? values[0] : values.Count == 0 ? part.Default : null;
                if (value is null)
                {
                    if (length == ExpandedLengthMax) return Truth.Unknown;
                    certain = false;
                    codes[length++] = Run;
                    continue;
                }
                if (value.Length > ExpandedLengthMax - length) return Truth.Unknown;
                foreach (var c in value) codes[length++] = _ignoreCase ? char.ToUpperInvariant(c) : c;
            }
            if (!Matches(codes.AsSpan(0, length), text, _ignoreCase)) return Truth.No;
            return certain ? Truth.Yes : Truth.Unknown;
        }
        finally
        {
            ArrayPool<int>.Shared.Return(codes);
        }
    }

    // After a mismatch only the last run need grow: time is at most the product of both lengths, whatever the pattern.
    private static bool Matches(ReadOnlySpan<int> codes, ReadOnlySpan<char> text, bool ignoreCase)
    {
        int at = 0, run = -1, resume = 0, code = 0;
        while (at < text.Length)
        {
            if (code < codes.Length)
            {
                if (codes[code] == Run)
                {
                    run = code++;
                    resume = at;
                    continue;
                }
                if (codes[code] == One)
                {
                    at += CharacterLength(text, at);
                    code++;
                    continue;
                }
                if (codes[code] == (ignoreCase ? char.ToUpperInvariant(text[at]) : text[at]))
                {
                    at++;
                    code++;
                    continue;
                }
            }
            if (run < 0) return false;
            resume += CharacterLength(text, resume);
            at = resume;
            code = run + 1;
        }
        while (code < codes.Length && codes[code] == Run) code++;
        return code == codes.Length;
    }

    /// <summary>Two UTF-16 units are one character where they are a surrogate pair.</summary>
    private static int CharacterLength(ReadOnlySpan<char> text, int at) =>
        char.IsHighSurrogate(text[at]) && at + 1 < text.Length && char.IsLowSurrogate(text[at + 1]) ? 2 : 1;

    private static string Text(ReadOnlySpan<int> codes) => string.Create(codes.Length, codes, static (text, codes) =>
    {
        for (var i = 0; i < text.Length; i++) text[i] = (char)codes[i];
    });
}
