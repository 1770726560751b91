using System.Globalization;

namespace DarkStorage.ClientApi.S3;

/// <summary>Times as Signature V4 writes them: <c>20130524T000000Z</c>.</summary>
internal static class SignatureTime
{
    public const int Length = 16;

    public static bool TryParse(ReadOnlySpan<char> text, out DateTimeOffset time)
    {
        time = default;
        if (text.Length != Length || text[8] != 'T' || text[15] != 'Z') return false;
        if (!Number(text[..4], out var year) || !Number(text[4..6], out var month) || !Number(text[6..8], out var day)) return false;
        if (!Number(text[9..11], out var hour) || !Number(text[11..13], out var minute) || !Number(text[13..15], out var second)) return false;
        if (year < 1 || month is < 1 or > 12 || day < 1 || day > DateTime.DaysInMonth(year, month) || hour > 23 || minute > 59 || second > 59) return false;
        time = new(year, month, day, hour, minute, second, TimeSpan.Zero);
        return true;
    }

    /// <summary>The forms of the Date header: RFC 9110's; with the zone as a number, as AWS's examples of version 2 have it; and as Go's clients name it.</summary>
    private static readonly string[] DateForms = ["r", "ddd, dd MMM yyyy HH:mm:ss zzz", "ddd, dd MMM yyyy HH:mm:ss 'UTC'"];

    /// <summary>The Date header, or a time in the form above, which some signers put there.</summary>
    public static bool TryParseDateHeader(string text, out DateTimeOffset time) =>
        TryParse(text, out time)
        || DateTimeOffset.TryParseExact(text, DateForms, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out time);

    public static string Format(DateTimeOffset time) => time.ToString("yyyyMMdd'T'HHmmss'Z'", CultureInfo.InvariantCulture);

    private static bool Number(ReadOnlySpan<char> digits, out int value)
    {
        value = 0;
        foreach (var c in digits)
        {
            if (!char.IsAsciiDigit(c)) return false;
            value = 10 * value + (c - '0');
        }
        return true;
    }
}
