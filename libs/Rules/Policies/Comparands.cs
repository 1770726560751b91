using System.Globalization;

namespace DarkStorage.Rules.Policies;

/// <summary>A value of a condition, compiled for its operator.</summary>
internal abstract class Comparand
{
    /// <summary>Of the operator without its negation, so that a policy's values can be joined by OR.</summary>
    /// <returns>Unknown for a value of the request that is not of the operator's kind, such as a number with letters in it.</returns>
    public abstract Truth Test(string value, PolicyRequest request);

    public virtual IEnumerable<ConditionKey> Variables => [];

    /// <summary>Whether it names one thing: no wildcard, no variable.</summary>
    public virtual bool IsFixed => true;
}

internal enum Relation
{
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

internal sealed class TextComparand(Pattern pattern) : Comparand
{
    public override Truth Test(string value, PolicyRequest request) => pattern.Test(value, request);

    public override IEnumerable<ConditionKey> Variables => pattern.Variables;

    public override bool IsFixed => pattern.IsFixed;
}

internal sealed class ArnComparand(ArnPattern pattern) : Comparand
{
    public override Truth Test(string value, PolicyRequest request) => pattern.Test(value, request);

    public override IEnumerable<ConditionKey> Variables => pattern.Variables;

    public override bool IsFixed => pattern.IsFixed;
}

internal sealed class NumberComparand(Relation relation, decimal wanted) : Comparand
{
    public override Truth Test(string value, PolicyRequest request) =>
        TryParse(value, out var number) ? Comparands.Holds(relation, number, wanted).ToTruth() : Truth.Unknown;

    public static bool TryParse(string text, out decimal number) =>
        decimal.TryParse(text, NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent, CultureInfo.InvariantCulture, out number);
}

internal sealed class DateComparand(Relation relation, DateTimeOffset wanted) : Comparand
{
    // ISO 8601 as W3C's profile of it has it; without a zone it is UTC.
    private static readonly string[] Formats =
        ["yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK", "yyyy-MM-dd'T'HH:mmK", "yyyy-MM-dd", "yyyy-MM"];

    public override Truth Test(string value, PolicyRequest request) =>
        TryParse(value, out var date) ? Comparands.Holds(relation, date, wanted).ToTruth() : Truth.Unknown;

    /// <summary>ISO 8601, or seconds since 1970 where there are only digits.</summary>
    public static bool TryParse(string text, out DateTimeOffset date)
    {
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var seconds))
        {
            date = default;
            if (seconds < DateTimeOffset.MinValue.ToUnixTimeSeconds() || seconds > DateTimeOffset.MaxValue.ToUnixTimeSeconds()) return false;
            date = DateTimeOffset.FromUnixTimeSeconds(seconds);
            return true;
        }
        return DateTimeOffset.TryParseExact(text, Formats, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out date);
    }
}

internal sealed class BoolComparand(bool wanted) : Comparand
{
    public override Truth Test(string value, PolicyRequest request) => bool.TryParse(value, out var given) ? (given == wanted).ToTruth() : Truth.Unknown;
}

internal sealed class BinaryComparand(byte[] wanted) : Comparand
{
    public override Truth Test(string value, PolicyRequest request) => TryParse(value, out var bytes) ? bytes.AsSpan().SequenceEqual(wanted).ToTruth() : Truth.Unknown;

    public static bool TryParse(string text, out byte[] bytes)
    {
        bytes = new byte[text.Length];
        if (!Convert.TryFromBase64String(text, bytes, out var length)) return false;
        bytes = bytes[..length];
        return true;
    }
}

internal sealed class AddressComparand(AddressRange range) : Comparand
{
    public AddressRange Range => range;

    public override Truth Test(string value, PolicyRequest request) => range.Contains(value)?.ToTruth() ?? Truth.Unknown;
}

/// <summary>Whether the key is to be absent. A value that is there answers it; the condition answers for one that isn't.</summary>
internal sealed class NullComparand(bool absent) : Comparand
{
    public bool Absent => absent;

    public override Truth Test(string value, PolicyRequest request) => (!absent).ToTruth();
}

internal static class Comparands
{
    public static bool Holds<T>(Relation relation, T value, T wanted) where T : IComparable<T>
    {
        var order = value.CompareTo(wanted);
        return relation switch
        {
            Relation.Equal => order == 0,
            Relation.Less => order < 0,
            Relation.LessOrEqual => order <= 0,
            Relation.Greater => order > 0,
            _ => order >= 0,
        };
    }
}
