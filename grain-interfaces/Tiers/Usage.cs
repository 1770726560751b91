using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Orleans;

namespace DarkStorage.GrainInterfaces.Tiers;

/// <summary>A month of UTC.</summary>
/// <param name="Number">The year times 12, plus 0 for January to 11 for December.</param>
public readonly record struct UsageMonth(int Number)
{
    private const string Format = "yyyy-MM";

    public static readonly UsageMonth First = new(12);

    public DateTimeOffset Begin => new(Number / 12, (Number % 12) + 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>Of the next one.</summary>
    public DateTimeOffset End => new UsageMonth(Number + 1).Begin;

    /// <summary>Milliseconds.</summary>
    public long Length => End.ToUnixTimeMilliseconds() - Begin.ToUnixTimeMilliseconds();

    public static UsageMonth Of(DateTimeOffset time) => new((time.UtcDateTime.Year * 12) + time.UtcDateTime.Month - 1);

    /// <summary>Reads <c>2026-11</c>.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out UsageMonth month)
    {
        // The last month of all has no end.
        var isOne = DateTimeOffset.TryParseExact(text, Format, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var begin) && begin < new DateTimeOffset(9999, 12, 1, 0, 0, 0, TimeSpan.Zero);
        month = isOne ? Of(begin) : default;
        return isOne;
    }

    public override string ToString() => Begin.ToString(Format, CultureInfo.InvariantCulture);
}

/// <summary>Requests that were answered, and bytes of their bodies.</summary>
/// <param name="Reads">Those that read an object, or what is said of it or of the bucket.</param>
/// <param name="Writes">Those that write, and those that list: what providers charge for alike.</param>
/// <param name="Deletes">Those that delete.</param>
/// <param name="Received">Bytes that clients sent.</param>
/// <param name="Sent">Bytes that went to clients.</param>
public readonly record struct Traffic(long Reads, long Writes, long Deletes, long Received, long Sent)
{
    public static Traffic operator +(Traffic one, Traffic other) =>
        new(one.Reads + other.Reads, one.Writes + other.Writes, one.Deletes + other.Deletes, one.Received + other.Received, one.Sent + other.Sent);
}

/// <summary>What a month changed in what is there of a storage class, and what was asked of it. What is there is the sum of all months until then.</summary>
/// <param name="StorageClass">Empty for what was there before it was counted by class, and has not been sorted yet.</param>
/// <param name="Objects">Versions; delete markers and parts of unfinished uploads are not counted.</param>
/// <param name="Moment">The sum of each change of bytes times the milliseconds since the month's begin at which it was. What these bytes and the time that they were there came to until a time is bytes × time − moment.</param>
public readonly record struct UsageChange(UsageMonth Month, string StorageClass, long Objects, long Bytes, decimal Moment, Traffic Traffic);

/// <summary>What would have been stored in a month.</summary>
/// <param name="Month">As <see cref="UsageMonth.Number"/>.</param>
/// <param name="ByteMonths">Bytes times the part of the month for which they would have been there.</param>
/// <param name="Moves">Versions that would have been moved there, each a write.</param>
[GenerateSerializer, Immutable, Alias("estimated-usage")]
public sealed record EstimatedUsage(int Month, string StorageClass, decimal ByteMonths, long Moves);
