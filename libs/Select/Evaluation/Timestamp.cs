using System.Globalization;
using System.Text;

namespace DarkStorage.Select.Evaluation;

internal enum TimestampPrecision : byte
{
    Year,
    Month,
    Day,
    Minute,
    Second,
    Fraction,
}

/// <summary>An instant, the offset it is written with, and how much of it is written (Amazon Ion's timestamps, to 100 ns).</summary>
internal readonly record struct Timestamp(DateTime Utc, int OffsetMinutes, TimestampPrecision Precision)
{
    private static readonly (string Format, TimestampPrecision Precision)[] Formats =
    [
        ("yyyy'T'", TimestampPrecision.Year),
        ("yyyy-MM'T'", TimestampPrecision.Month),
        ("yyyy-MM-dd", TimestampPrecision.Day),
        ("yyyy-MM-dd'T'", TimestampPrecision.Day),
        ("yyyy-MM-dd'T'HH:mmK", TimestampPrecision.Minute),
        ("yyyy-MM-dd'T'HH:mm:ssK", TimestampPrecision.Second),
        ("yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK", TimestampPrecision.Fraction),
    ];

    /// <summary>The date and time of day where the offset holds.</summary>
    public DateTime Local => DateTime.SpecifyKind(Utc.AddMinutes(OffsetMinutes), DateTimeKind.Unspecified);

    public static bool TryParse(string text, out Timestamp value)
    {
        value = default;
        text = text.Trim();
        if (text.Length is < 5 or > 40) return false;
        foreach (var (format, precision) in Formats)
        {
            // A time without an offset would be of an unknown place; it is taken as UTC.
            if (!DateTimeOffset.TryParseExact(text, format, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)) continue;
            value = new(time.UtcDateTime, (int)time.Offset.TotalMinutes, precision);
            return true;
        }
        return false;
    }

    /// <summary>With a local time of the same offset.</summary>
    public Timestamp WithLocal(DateTime local) => this with { Utc = DateTime.SpecifyKind(local.AddMinutes(-OffsetMinutes), DateTimeKind.Utc) };

    public override string ToString() => Local.ToString(
        Precision switch
        {
            TimestampPrecision.Year => "yyyy'T'",
            TimestampPrecision.Month => "yyyy-MM'T'",
            TimestampPrecision.Day => "yyyy-MM-dd'T'",
            TimestampPrecision.Minute => "yyyy-MM-dd'T'HH:mm",
            TimestampPrecision.Second => "yyyy-MM-dd'T'HH:mm:ss",
            _ => "yyyy-MM-dd'T'HH:mm:ss.FFFFFFF",
        }, CultureInfo.InvariantCulture) + (Precision < TimestampPrecision.Minute ? "" : OffsetMinutes == 0 ? "Z" : Offset(":"));

    /// <summary>As TO_STRING's pattern says.</summary>
    /// <returns>Null where the pattern has a letter that S3 Select does not know.</returns>
    public string? ToString(string pattern)
    {
        var (text, local) = (new StringBuilder(), Local);
        for (var i = 0; i < pattern.Length;)
        {
            if (pattern[i] == '\'')
            {
                var end = pattern.IndexOf('\'', i + 1);
                if (end < 0) return null;
                text.Append(end == i + 1 ? "'" : pattern[(i + 1)..end]);
                i = end + 1;
                continue;
            }
            if (!char.IsAsciiLetter(pattern[i]))
            {
                text.Append(pattern[i++]);
                continue;
            }
            var start = i;
            while (i < pattern.Length && pattern[i] == pattern[start]) i++;
            if (Field(pattern[start], i - start, local) is not { } field) return null;
            text.Append(field);
        }
        return text.ToString();
    }

    private string? Field(char letter, int count, DateTime local)
    {
        return (letter, count) switch
        {
            ('y', 2) => Padded(local.Year % 100, 2),
            ('y', 1) => Padded(local.Year, 1),
            ('y', <= 4) => Padded(local.Year, 4),
            ('M', <= 2) => Padded(local.Month, count),
            ('M', 3) => CultureInfo.InvariantCulture.DateTimeFormat.GetAbbreviatedMonthName(local.Month),
            ('M', 4) => CultureInfo.InvariantCulture.DateTimeFormat.GetMonthName(local.Month),
            ('M', 5) => CultureInfo.InvariantCulture.DateTimeFormat.GetMonthName(local.Month)[..1],
            ('d', <= 2) => Padded(local.Day, count),
            ('a', 1) => local.Hour < 12 ? "AM" : "PM",
            ('h', <= 2) => Padded((local.Hour + 11) % 12 + 1, count),
            ('H', <= 2) => Padded(local.Hour, count),
            ('m', <= 2) => Padded(local.Minute, count),
            ('s', <= 2) => Padded(local.Second, count),
            // A fraction is cut, not rounded; past 100 ns there are zeros.
            ('S', <= 9) => ((local.Ticks % TimeSpan.TicksPerSecond).ToString("D7", CultureInfo.InvariantCulture) + "00")[..count],
            ('n', 1) => Padded((int)(local.Ticks % TimeSpan.TicksPerSecond) * 100, 1),
            ('X', <= 5) when OffsetMinutes == 0 => "Z",
            ('X' or 'x', 1) => Offset("")[..3],
            ('X' or 'x', 2 or 4) => Offset(""),
            ('X' or 'x', 3 or 5) => Offset(":"),
            _ => null,
        };

        static string Padded(int value, int digits) => value.ToString("D" + digits.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
    }

    private string Offset(string between)
    {
        var minutes = Math.Abs(OffsetMinutes);
        return string.Create(CultureInfo.InvariantCulture, $"{(OffsetMinutes < 0 ? '-' : '+')}{minutes / 60:D2}{between}{minutes % 60:D2}");
    }
}
