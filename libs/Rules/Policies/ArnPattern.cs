namespace DarkStorage.Rules.Policies;

/// <summary>A pattern for ARNs: its six parts are compared part by part, so no wildcard reaches over a colon but in the last part.</summary>
internal sealed class ArnPattern
{
    private const int Parts = 6;

    // Most policies name arn:aws:s3::: and go on from there; then the five parts in front are one text.
    private readonly string? _head;
    private readonly Pattern[] _parts;

    private ArnPattern(Pattern[] parts)
    {
        _parts = parts;
        if (parts.Length == Parts && Array.TrueForAll(parts[..^1], p => p.IsFixed)) _head = string.Concat(parts[..^1].Select(p => p.Head + ":"));
    }

    /// <summary>The last part: of an S3 resource the bucket, a slash, and the key.</summary>
    public Pattern Resource => _parts[^1];

    /// <summary>Whether the first parts are these texts, without wildcards.</summary>
    public string? Head => _head;

    public bool IsFixed => Array.TrueForAll(_parts, p => p.IsFixed);

    public IEnumerable<ConditionKey> Variables => _parts.SelectMany(p => p.Variables);

    /// <returns>Null where the text is neither an ARN nor <c>*</c> nor made of a variable.</returns>
    /// <exception cref="PolicyFormatException">A variable that is not closed, or names no condition key.</exception>
    public static ArnPattern? Parse(string text, bool variables, bool otherServices)
    {
        var starts = new List<int> { 0 };
        for (var i = 0; i < text.Length && starts.Count < Parts; i++)
        {
            if (variables && text[i] == '$' && i + 1 < text.Length && text[i + 1] == '{') i += Pattern.VariableLength(text.AsSpan(i)) - 1;
            else if (text[i] == ':') starts.Add(i + 1);
        }
        if (starts.Count == Parts && text.StartsWith("arn:", StringComparison.Ordinal))
        {
            var parts = new Pattern[Parts];
            for (var i = 0; i < Parts; i++)
            {
                var end = i + 1 < Parts ? starts[i + 1] - 1 : text.Length;
                parts[i] = Pattern.Parse(text.AsSpan(starts[i], end - starts[i]), wildcards: true, variables, otherServices: otherServices);
            }
            return new(parts);
        }
        var whole = Pattern.Parse(text, wildcards: true, variables, otherServices: otherServices);
        return text == "*" || whole.HasVariables ? new([whole]) : null;
    }

    /// <returns>Unknown for a text that is no ARN.</returns>
    public Truth Test(ReadOnlySpan<char> text, PolicyRequest request)
    {
        if (_head is not null && text.StartsWith(_head, StringComparison.Ordinal)) return Resource.Test(text[_head.Length..], request);
        if (!text.StartsWith("arn:", StringComparison.Ordinal) || text.Count(':') < Parts - 1) return Truth.Unknown;
        if (_head is not null) return Truth.No;
        if (_parts.Length == 1) return Resource.Test(text, request);
        var result = Truth.Yes;
        for (var i = 0; i < Parts; i++)
        {
            var end = i + 1 < Parts ? text.IndexOf(':') : text.Length;
            result = result.And(_parts[i].Test(text[..end], request));
            if (result == Truth.No) break;
            if (i + 1 < Parts) text = text[(end + 1)..];
        }
        return result;
    }
}
