using System.Globalization;
using System.Text;

namespace DarkStorage.Rules.Lifecycle.Language;

/// <summary>How durations, sizes, counts and texts are written.</summary>
internal static class LifecycleLiterals
{
    /// <summary>100 years.</summary>
    private const long DurationMax = 36_500 * TimeSpan.TicksPerDay;

    /// <summary>Of sizes and counts.</summary>
    private const long NumberMax = 1_000_000_000_000_000;

    // Of each the largest unit first, so that the first which divides a value is the one to write it in.
    private static readonly (string Name, long Ticks)[] DurationUnits =
    [
        ("w", 7 * TimeSpan.TicksPerDay), ("d", TimeSpan.TicksPerDay), ("h", TimeSpan.TicksPerHour), ("min", TimeSpan.TicksPerMinute), ("s", TimeSpan.TicksPerSecond),
    ];

    private static readonly (string Name, long Bytes)[] SizeUnits =
    [
        ("TiB", 1L << 40), ("TB", 1_000_000_000_000), ("GiB", 1L << 30), ("GB", 1_000_000_000), ("MiB", 1L << 20), ("MB", 1_000_000), ("KiB", 1L << 10), ("KB", 1_000), ("B", 1),
    ];

    /// <returns>What a value of the attribute looks like, for messages.</returns>
    public static string Example(LifecycleAttribute attribute) => attribute switch
    {
        { IsDuration: true } => "a duration such as 30d",
        { Kind: LifecycleAttributeKind.Size } => "a size such as 1GB",
        { IsNumber: true } => "a number such as 10",
        { Kind: LifecycleAttributeKind.FileExtension } => "an extension such as .log",
        { Kind: LifecycleAttributeKind.Tier } => "the name of a tier",
        { Kind: LifecycleAttributeKind.StorageClass } => "a storage class such as STANDARD_IA",
        _ => "a text in quotation marks",
    };

    /// <param name="why">A sentence, where it is null.</param>
    public static long? ParseNumber(LifecycleAttribute attribute, string word, out string why)
    {
        var digits = word.AsSpan().IndexOfAnyExceptInRange('0', '9') is >= 0 and var end ? end : word.Length;
        var (number, unit) = (word[..digits], word[digits..]);
        word = Shown(word);
        why = $"Expected {Example(attribute)}, found {word}.";
        if (digits == 0)
        {
            if (word[0] == '-' && word.Length > 1 && char.IsAsciiDigit(word[1])) why = $"Nothing is less than 0: expected {Example(attribute)}, found {word}.";
            return null;
        }
        if (unit.StartsWith('.'))
        {
            why = $"Numbers are whole: write {word} in a smaller unit.";
            return null;
        }
        var scale = 1L;
        if (attribute.IsDuration)
        {
            if (DurationUnits.FirstOrDefault(u => u.Name.Equals(unit, StringComparison.OrdinalIgnoreCase)) is not { Ticks: > 0 } found)
            {
                why = unit.ToLowerInvariant() switch
                {
                    "" => $"{word} of what? Write {word}d for days; there are s, min, h, d and w too.",
                    "m" => $"{word} could be minutes or months: write {Shown(number)}min, or the months in days.",
                    "mo" or "month" or "months" => $"Months are not all as long: write {word} in days.",
                    "y" or "year" or "years" => $"Years are not all as long: write {word} in days.",
                    _ => $"There is no unit {Shown(unit)} of time: there are s, min, h, d and w.",
                };
                return null;
            }
            scale = found.Ticks;
        }
        else if (attribute.Kind == LifecycleAttributeKind.Size)
        {
            if (unit.Length > 0 && SizeUnits.FirstOrDefault(u => u.Name.Equals(unit, StringComparison.OrdinalIgnoreCase)) is not { Bytes: > 0 })
            {
                why = $"There is no unit {Shown(unit)} of size: there are B, KB, MB, GB and TB (1KB is 1000B), and KiB, MiB, GiB and TiB (1KiB is 1024B).";
                return null;
            }
            if (unit.Length > 0) scale = SizeUnits.First(u => u.Name.Equals(unit, StringComparison.OrdinalIgnoreCase)).Bytes;
        }
        else if (unit.Length > 0)
        {
            why = $"{attribute} is a plain number: expected {Shown(number)}, found {word}.";
            return null;
        }
        var max = attribute.IsDuration ? DurationMax : NumberMax;
        if (!long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var value) || value > max / scale)
        {
            why = $"{word} is too much: the most is {Print(attribute, max)}.";
            return null;
        }
        return value * scale;
    }

    /// <summary>In the largest unit that leaves nothing over.</summary>
    public static string Print(LifecycleAttribute attribute, long value)
    {
        if (attribute.IsDuration)
        {
            var (name, ticks) = value == 0 ? DurationUnits[^1] : DurationUnits.First(u => value % u.Ticks == 0);
            return string.Create(CultureInfo.InvariantCulture, $"{value / ticks}{name}");
        }
        if (attribute.Kind == LifecycleAttributeKind.Size)
        {
            var (name, bytes) = value == 0 ? SizeUnits[^1] : SizeUnits.First(u => value % u.Bytes == 0);
            return string.Create(CultureInfo.InvariantCulture, $"{value / bytes}{name}");
        }
        return value.ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>As a reader wants it: two units of time, or three digits of a size.</summary>
    public static string Approximate(LifecycleAttribute attribute, long value)
    {
        if (attribute.IsDuration)
        {
            var first = Array.FindIndex(DurationUnits, 1, u => value >= u.Ticks);
            if (first < 0) return "less than 1s";
            var (unit, rest) = (DurationUnits[first], value % DurationUnits[first].Ticks);
            var text = string.Create(CultureInfo.InvariantCulture, $"{value / unit.Ticks}{unit.Name}");
            if (first + 1 < DurationUnits.Length && rest / DurationUnits[first + 1].Ticks is > 0 and var more) return string.Create(CultureInfo.InvariantCulture, $"{text} {more}{DurationUnits[first + 1].Name}");
            return rest == 0 ? text : $"just over {text}";
        }
        if (attribute.Kind != LifecycleAttributeKind.Size || value < 1_000) return Print(attribute, value);
        var (name, bytes) = SizeUnits.First(u => !u.Name.Contains('i') && value >= u.Bytes);
        return string.Create(CultureInfo.InvariantCulture, $"{(decimal)value / bytes:0.##}{name} ({value}B)");
    }

    public static string Quote(string text)
    {
        var quoted = new StringBuilder("\"", text.Length + 2);
        foreach (var c in text)
        {
            if (c is '"' or '\\') quoted.Append('\\').Append(c);
            else if (char.IsControl(c) || c is '\u2028' or '\u2029') quoted.Append(CultureInfo.InvariantCulture, $"\\u{{{(int)c:X}}}");
            else quoted.Append(c);
        }
        return quoted.Append('"').ToString();
    }

    /// <summary>Of what was found, so much that a reader recognises it, and nothing that could confuse a terminal.</summary>
    public static string Shown(string found)
    {
        if (found.Length == 1 && (char.IsControl(found[0]) || char.IsSurrogate(found[0]) || char.IsWhiteSpace(found[0]))) return $"U+{(int)found[0]:X4}";
        return found.Length <= 40 ? found : found[..(char.IsHighSurrogate(found[39]) ? 39 : 40)] + "…";
    }
}
