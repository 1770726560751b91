using System.Buffers;
using System.Globalization;
using System.Security.Cryptography;

namespace DarkStorage.Connectors;

/// <summary>When a record of a name was made, by the clock of who made it, and a little chance: in the order of their text they are in the order in which they were made. For places that keep several under one name and can't tell which is the last.</summary>
internal static class RecordVersion
{
    private const string TimeFormat = "yyyyMMdd'T'HHmmssfff'Z'";
    private const int TimeLength = 19;

    private static readonly SearchValues<char> HexDigits = SearchValues.Create("0123456789abcdef");

    /// <summary>As in 20261122T143037123Z-0123456789abcdef.</summary>
    /// <param name="last">The last that is known of the name; the new one is later, whatever the clocks say. Null for none.</param>
    public static string Next(DateTimeOffset now, string? last)
    {
        var time = new DateTimeOffset(now.UtcTicks - (now.UtcTicks % TimeSpan.TicksPerMillisecond), TimeSpan.Zero);
        if (last is not null && TimeOf(last) is { } before && before >= time) time = before.AddMilliseconds(1);
        return $"{time.ToString(TimeFormat, CultureInfo.InvariantCulture)}-{RandomNumberGenerator.GetHexString(16, lowercase: true)}";
    }

    /// <returns>Null where it is none.</returns>
    public static DateTimeOffset? TimeOf(string version) =>
        version.Length > TimeLength && DateTimeOffset.TryParseExact(version[..TimeLength], TimeFormat, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time) && time.Year < 9999 ? time : null;

    /// <returns>The same as a number, which takes a fifth of the text's memory: in the order of the texts. Null where it is none that <see cref="Next"/> made.</returns>
    public static UInt128? NumberOf(string version) =>
        version.Length == TimeLength + 17 && version[TimeLength] == '-' && TimeOf(version) is { } time && !version.AsSpan(TimeLength + 1).ContainsAnyExcept(HexDigits)
            ? new UInt128((ulong)time.UtcTicks, ulong.Parse(version.AsSpan(TimeLength + 1), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)) : null;
}
