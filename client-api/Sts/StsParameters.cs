using System.Globalization;
using System.Text;
using DarkStorage.ClientApi.S3;

namespace DarkStorage.ClientApi.Sts;

/// <summary>The parameters of an STS request. What an action does not know is refused: a policy or a condition that is not looked at would give more than was asked for.</summary>
internal sealed class StsParameters
{
    public const int BodyBytesMax = 64 << 10;

    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);

    /// <param name="query">Of the URL, or of the body of a POST.</param>
    /// <exception cref="StsException"><c>ValidationError</c>: one is there twice.</exception>
    public StsParameters(S3Query query)
    {
        foreach (var (name, value) in query.Parameters)
        {
            if (name.StartsWith("X-Amz-", StringComparison.Ordinal)) continue;     // the signature of a presigned request
            if (!_values.TryAdd(name, value)) throw StsException.Invalid($"The parameter {Shown(name)} is there twice.");
        }
    }

    public string? Find(string name) => _values.GetValueOrDefault(name);

    /// <exception cref="StsException"><c>ValidationError</c>: another parameter is there.</exception>
    public void Allow(params ReadOnlySpan<string> names)
    {
        foreach (var name in _values.Keys)
        {
            if (name is not ("Action" or "Version") && !names.Contains(name)) throw StsException.Invalid($"The parameter {Shown(name)} is not supported.");
        }
    }

    /// <summary>A parameter that must be there.</summary>
    public string Require(string name, int lengthMin, int lengthMax)
    {
        var text = Find(name);
        if (string.IsNullOrEmpty(text)) throw Failed(name, "Member must not be null");
        if (text.Length < lengthMin) throw Failed(name, $"Member must have length greater than or equal to {lengthMin}");
        return text.Length <= lengthMax ? text : throw Failed(name, $"Member must have length less than or equal to {lengthMax}");
    }

    /// <summary>Letters, digits and <c>_=,.@-</c>, as AWS has it for the names of sessions; others where they are allowed.</summary>
    public string RequireName(string name, int lengthMin, int lengthMax, string others = "")
    {
        var text = Require(name, lengthMin, lengthMax);
        foreach (var c in text)
        {
            if (!char.IsAsciiLetterOrDigit(c) && !"_+=,.@-".Contains(c, StringComparison.Ordinal) && !others.Contains(c, StringComparison.Ordinal))
                throw Failed(name, "Member must satisfy regular expression pattern: [\\w+=,.@" + others + "-]*");
        }
        return text;
    }

    /// <summary>Seconds.</summary>
    public int Duration(int otherwise, int max)
    {
        const string Name = "DurationSeconds";
        const int Min = 900;
        if (Find(Name) is not { } text) return otherwise;
        if (!int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds)) throw Failed(Name, "Member must be a whole number");
        if (seconds < Min) throw Failed(Name, $"Member must have value greater than or equal to {Min}");
        return seconds <= max ? seconds : throw Failed(Name, $"Member must have value less than or equal to {max}");
    }

    /// <summary>In AWS's words, and without the value: it may be a token.</summary>
    private static StsException Failed(string name, string why) =>
        StsException.Invalid($"1 validation error detected: Value at '{char.ToLowerInvariant(name[0])}{name[1..]}' failed to satisfy constraint: {why}");

    private static string Shown(string name)
    {
        const int LengthMax = 64;
        var shown = new StringBuilder();
        foreach (var c in name.AsSpan(0, Math.Min(name.Length, LengthMax))) shown.Append(char.IsControl(c) ? '?' : c);
        return shown.ToString();
    }
}
