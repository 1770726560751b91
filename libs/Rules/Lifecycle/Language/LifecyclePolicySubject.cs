using System.Collections.Immutable;

namespace DarkStorage.Rules.Lifecycle.Language;

/// <summary>The version that a policy is asked about. What is dear to get may be left out, and the answer says whether it turned on that.</summary>
/// <param name="Size">Bytes.</param>
/// <param name="Modified">When the version was made.</param>
/// <param name="Tier">Where it is: the tier its storage class is that of.</param>
/// <param name="NoncurrentSince">When a newer version took its place; null for the one on top.</param>
/// <param name="Tags">Null where they were not fetched.</param>
/// <param name="Access">Null where it was not fetched.</param>
public readonly record struct LifecyclePolicySubject(
    string Key, long Size, DateTimeOffset Modified, string Tier, string StorageClass, DateTimeOffset? NoncurrentSince = null,
    IReadOnlyList<KeyValuePair<string, string>>? Tags = null, AccessHistory? Access = null)
{
    internal long AgeTicks(long now) => Math.Max(0, now - Modified.UtcTicks);

    /// <summary>Never before the version was made, whatever another node's clock said.</summary>
    internal long? NoncurrentTicks => NoncurrentSince is { } since ? Math.Max(since.UtcTicks, Modified.UtcTicks) : null;

    /// <summary>When it was last accessed, or made. Of the time before accesses were counted nobody knows: it may have been up to then.</summary>
    internal long? AccessTicks => Access is null ? null : Math.Max(Math.Max(Access.Last?.UtcTicks ?? 0, Access.Since?.UtcTicks ?? 0), Modified.UtcTicks);

    /// <summary>The first day of which all accesses are known; 0 for every one.</summary>
    internal int FirstDayCounted => Access?.Since is { } since && since > Modified ? (int)((since.UtcTicks + TimeSpan.TicksPerDay - 1) / TimeSpan.TicksPerDay) : 0;

    /// <summary>Of the last part of the key, with its dot. What has its only dot in front (<c>.profile</c>) or a dot at its end has none.</summary>
    internal ReadOnlySpan<char> FileExtension
    {
        get
        {
            var last = Key.AsSpan(Key.LastIndexOf('/') + 1);
            var dot = last.LastIndexOf('.');
            return dot <= 0 || dot == last.Length - 1 ? default : last[dot..];
        }
    }

    internal string? FindTag(string name)
    {
        for (var i = 0; i < Tags!.Count; i++)
        {
            if (Tags[i].Key == name) return Tags[i].Value;
        }
        return null;
    }
}

/// <summary>Facts that are dear to get.</summary>
[Flags]
public enum LifecycleNeeds
{
    None = 0,
    Tags = 1,
    /// <summary>When and how often it was accessed.</summary>
    Access = 2,
}

/// <summary>The accesses of a version: how many there were ever, when the last one was, and how many there were on each of the last days.</summary>
public sealed class AccessHistory
{
    /// <summary>As far back as days are told apart.</summary>
    public const int DaysMax = 90;

    public static readonly AccessHistory None = new(0, null, []);

    /// <param name="total">At least what the days have together, else that is taken.</param>
    /// <param name="days">In any order; a day in UTC.</param>
    /// <param name="since">From when on they were counted; null for always.</param>
    public AccessHistory(long total, DateTimeOffset? last, IEnumerable<KeyValuePair<DateOnly, long>> days, DateTimeOffset? since = null)
    {
        Days = [.. days.Where(d => d.Value > 0).OrderByDescending(d => d.Key)];
        (Total, Last, Since) = (Math.Max(total, Days.Aggregate(0L, (sum, d) => Add(sum, d.Value))), last, since);
    }

    /// <summary>All that were counted.</summary>
    public long Total { get; }

    public DateTimeOffset? Since { get; }

    public DateTimeOffset? Last { get; }

    /// <summary>Those that had accesses, the newest first.</summary>
    public ImmutableArray<KeyValuePair<DateOnly, long>> Days { get; }

    /// <summary>Accesses of a day, and of as many before it that there are so many in all. Days to come count too: another node's clock is ahead.</summary>
    internal long CountOf(int days, int today)
    {
        var count = 0L;
        foreach (var (day, accesses) in Days)
        {
            if (day.DayNumber <= today - days) break;
            count = Add(count, accesses);
        }
        return count;
    }

    private static long Add(long a, long b) => a > long.MaxValue - b ? long.MaxValue : a + b;
}
