using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Lifecycle.Language;
using DarkStorage.Rules.Tiers;

namespace DarkStorage.Rules.Lifecycle;

/// <summary>A time that a version would have been of one storage class.</summary>
public readonly record struct LifecycleStay(DateTimeOffset From, DateTimeOffset To, string StorageClass);

/// <summary>Where versions would have been since they were made, had a lifecycle decided on them all the time and everything been moved at once.</summary>
/// <param name="document">S3's; of it the transitions alone.</param>
/// <param name="tiering">The bucket's own.</param>
/// <param name="policy">What it says outranks both; null for none.</param>
/// <param name="day">How long a day of the document and of the bucket's own transitions is.</param>
public sealed class LifecycleHistory(LifecycleConfiguration document, BucketTiering? tiering, LifecyclePolicy? policy, IReadOnlyList<Tier> tiers, TimeSpan day)
{
    /// <summary>Times at which a policy may decide otherwise that are looked at between two other turns: more is no policy that anybody means.</summary>
    private const int ChangesMax = 1_000;

    /// <summary>Moves at one time, each because of the one before.</summary>
    private const int HopsMax = 8;

    /// <summary>Newer noncurrent versions of a key beyond which nothing turns on their number (Amazon S3 API, NewerNoncurrentVersions).</summary>
    public const int NewerMax = 100;

    /// <param name="version">With its tags and accesses where a policy may turn on them, as it is now.</param>
    /// <param name="newer">When each noncurrent version of the key that is newer became so: all, or the <see cref="NewerMax"/> next to this one.</param>
    /// <param name="begun">The class that it was written with; null for the bucket's default.</param>
    /// <returns>In their order, each from when the one before ends: from when it was made until now.</returns>
    public IEnumerable<LifecycleStay> StaysOf(LifecyclePolicySubject version, IReadOnlyCollection<DateTimeOffset> newer, DateTimeOffset now, string? begun = null) => StaysOf(
        begun ?? tiering?.EntryOf(version.Key)?.DefaultClass ?? Tier.Hot.StorageClass, version.Modified, now, TurnsOf(version, newer), at => (AsOf(version, at), newer.Count(n => n <= at)), tellsHops: false);

    /// <summary>Where a version goes from now on, if it is left alone: neither accessed nor changed, and no rule either.</summary>
    /// <param name="newer">How many noncurrent versions of the key are newer.</param>
    /// <returns>In their order, the first from now on; the last never ends, and ends at <see cref="DateTimeOffset.MaxValue"/>. Where a move follows another at once, what is between is a stay of no length.</returns>
    public IEnumerable<LifecycleStay> StaysFrom(LifecyclePolicySubject version, int newer, DateTimeOffset now) =>
        StaysOf(version.StorageClass, now, DateTimeOffset.MaxValue, TurnsOf(version, []), _ => (version, newer), tellsHops: true);

    /// <param name="asOf">What it was, or will be, at a time, and how many newer noncurrent versions there were.</param>
    private IEnumerable<LifecycleStay> StaysOf(string current, DateTimeOffset from, DateTimeOffset to, IEnumerable<DateTimeOffset> allTurns, Func<DateTimeOffset, (LifecyclePolicySubject Version, int Newer)> asOf, bool tellsHops)
    {
        var (turns, since) = (allTurns.Where(t => t > from && t < to).Order().Distinct().ToList(), from);
        for (var turn = -1; turn < turns.Count; turn++)
        {
            var (at, end) = (turn < 0 ? from : turns[turn], turn + 1 < turns.Count ? turns[turn + 1] : to);
            var (then, newer) = asOf(at);
            for (var change = 0; change < ChangesMax && at < end; change++)
            {
                var hops = new List<string>();
                for (var settled = current; hops.Count < HopsMax && ClassOf(In(then, settled), newer, at) is { } next && next != settled; settled = next) hops.Add(next);
                if (hops.Count > 0 && hops[^1] is var last && last != current)
                {
                    if (at > since) yield return new(since, at, current);
                    for (var hop = 0; tellsHops && hop < hops.Count - 1; hop++) yield return new(at, at, hops[hop]);
                    (since, current) = (at, last);
                }
                if (policy?.NextTurn(In(then, current), at) is not { } later) break;
                at = later;
            }
        }
        if (to > since) yield return new(since, to, current);
    }

    private LifecyclePolicySubject In(LifecyclePolicySubject version, string storageClass) => version with { StorageClass = storageClass, Tier = TierOf(storageClass)?.Name ?? "" };

    private Tier? TierOf(string storageClass) => tiers.FirstOrDefault(t => t.StorageClass == storageClass);

    /// <returns>Null for where it is.</returns>
    private string? ClassOf(in LifecyclePolicySubject version, int newer, DateTimeOffset at)
    {
        var decided = policy?.Decide(version, at) ?? default;
        // What turns on accesses that nobody counted then is not moved, and a tier that is gone takes nothing.
        if (!decided.IsKnown) return null;
        if (decided.Tier is { } tier) return policy!.ComesBack(version, at, TierRules.ClassIn(tiers)) ? null : TierRules.ClassIn(tiers)(tier);
        var subject = new LifecycleSubject(version.Key, version.Size, version.Modified, version.StorageClass, version.Tags ?? [], IsDeleteMarker: false, version.NoncurrentSince, newer, IsAlone: false);
        if (document.Decide(subject, at, day, tiering, tiers) is not { Act: LifecycleAct.Transition, StorageClass: { } wanted }) return null;
        // Nor is what lies outside called archived, or not, where no tier's move makes it so.
        if (TierOf(wanted) is null && ArchiveRules.IsArchive(wanted) != ArchiveRules.IsArchive(version.StorageClass) && TierOf(version.StorageClass)?.Integration is not null) return null;
        // Not to where a policy would take it away from again, as no run does.
        var there = In(version, wanted);
        return policy?.Decide(there, at) is not { } then || (then.IsKnown && !then.Moves(there)) ? wanted : null;
    }

    /// <summary>When decisions may change that no policy foresees.</summary>
    private IEnumerable<DateTimeOffset> TurnsOf(LifecyclePolicySubject version, IReadOnlyCollection<DateTimeOffset> newer)
    {
        if (version.NoncurrentSince is { } noncurrent) yield return noncurrent;
        if (policy?.Needs.HasFlag(LifecycleNeeds.Access) == true)
        {
            foreach (var (accessed, _) in version.Access?.Days ?? []) yield return After(accessed);
            // Day by day it is known of more days how often it was accessed on them.
            if (version.Access?.Since is { } counted && counted > version.Modified)
            {
                for (var known = 0; known <= AccessHistory.DaysMax; known++) yield return After(DateOnly.FromDateTime(counted.UtcDateTime).AddDays(known));
            }
        }
        foreach (var step in tiering?.EntryOf(version.Key)?.Transitions ?? []) yield return LifecycleRules.Due(version.Modified, step.Days, null, day);
        foreach (var rule in document.Rules.Where(r => r.IsEnabled && r.Filter.MatchesKey(version.Key) && r.Filter.MatchesSize(version.Size)))
        {
            foreach (var step in rule.Transitions) yield return LifecycleRules.Due(version.Modified, step.Days, step.Date, day);
            if (version.NoncurrentSince is not { } since) continue;
            foreach (var step in rule.NoncurrentTransitions) yield return LifecycleRules.Due(since, step.Days, null, day);
            if (!rule.NoncurrentTransitions.Any(static s => s.Newer is not null)) continue;
            foreach (var replaced in newer) yield return replaced;
        }
    }

    /// <summary>What was known of it at a time: an access from the end of its day on.</summary>
    private static LifecyclePolicySubject AsOf(LifecyclePolicySubject version, DateTimeOffset at)
    {
        var access = version.Access;
        if (access is not null)
        {
            var (known, later) = (access.Days.RemoveAll(d => After(d.Key) > at), access.Days.RemoveAll(d => After(d.Key) <= at));
            var last = later.IsEmpty ? access.Last : known.IsEmpty ? null : After(known[0].Key);
            access = new(access.Total - later.Sum(static d => d.Value), last, known, access.Since);
        }
        return version with { NoncurrentSince = version.NoncurrentSince <= at ? version.NoncurrentSince : null, Access = access };
    }

    private static DateTimeOffset After(DateOnly day) => new(day.AddDays(1).ToDateTime(TimeOnly.MinValue), TimeSpan.Zero);
}
