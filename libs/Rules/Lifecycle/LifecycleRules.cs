using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Tiers;

namespace DarkStorage.Rules.Lifecycle;

/// <summary>What a decision depends on.</summary>
/// <param name="NoncurrentSince">When a newer version took its place; null for the one on top.</param>
/// <param name="NewerNoncurrent">How many noncurrent versions of the key are newer.</param>
/// <param name="IsAlone">No other version of the key is there. Asked of delete markers only.</param>
public readonly record struct LifecycleSubject(
    string Key, long Length, DateTimeOffset Modified, string StorageClass, IReadOnlyList<KeyValuePair<string, string>> Tags,
    bool IsDeleteMarker, DateTimeOffset? NoncurrentSince, int NewerNoncurrent, bool IsAlone);

public enum LifecycleAct
{
    Keep,
    /// <summary>The object is deleted as a client would: with versioning, a delete marker is put on top.</summary>
    Expire,
    /// <summary>This version goes for good: a noncurrent one, or a delete marker with nothing under it.</summary>
    Remove,
    Transition,
}

/// <param name="Rule">That decided; null where all stays, and for the bucket's own transitions.</param>
/// <param name="StorageClass">Of a transition.</param>
public readonly record struct LifecycleDecision(LifecycleAct Act, LifecycleRule? Rule, string? StorageClass);

/// <summary>Decides on one version at one time. Removal outranks a transition, and of transitions the one that is due latest counts, so that an object that
/// is long overdue goes straight to its last class.</summary>
public static class LifecycleRules
{
    /// <param name="day">How long a day of the rules is: 24 hours, but in tests.</param>
    /// <param name="tiering">The bucket's own transitions, of all versions; they count beside those of the rules.</param>
    /// <param name="tiers">Those that there are: the bucket's own transitions are to tiers, and one to a tier that is gone leaves the version where it is. A rule's are to storage classes, which S3 has without tiers. Null for any.</param>
    public static LifecycleDecision Decide(
        this LifecycleConfiguration rules, in LifecycleSubject subject, DateTimeOffset now, TimeSpan day, BucketTiering? tiering = null, IReadOnlyList<Tier>? tiers = null)
    {
        (DateTimeOffset Due, LifecycleRule? Rule, string StorageClass)? transition = null;
        foreach (var rule in rules.Rules)
        {
            if (!rule.IsEnabled || !rule.Filter.MatchesKey(subject.Key)) continue;
            if (subject.IsDeleteMarker && subject.NoncurrentSince is null)
            {
                if (subject.IsAlone && rule.Expiration?.ExpiredDeleteMarker == true) return new(LifecycleAct.Remove, rule, null);
                continue;
            }
            if (!subject.IsDeleteMarker && (!rule.Filter.MatchesSize(subject.Length) || !rule.Filter.MatchesTags(subject.Tags))) continue;
            if (subject.NoncurrentSince is { } since)
            {
                if (rule.NoncurrentExpiration is { } end && subject.NewerNoncurrent >= (end.Newer ?? 0) && Due(since, end.Days, null, day) <= now) return new(LifecycleAct.Remove, rule, null);
                if (subject.IsDeleteMarker) continue;
                foreach (var step in rule.NoncurrentTransitions)
                {
                    if (subject.NewerNoncurrent >= (step.Newer ?? 0)) Consider(Due(since, step.Days, null, day), rule, step.StorageClass);
                }
                continue;
            }
            if (rule.Expiration is { ExpiredDeleteMarker: null } expiration && Due(subject.Modified, expiration.Days, expiration.Date, day) <= now) return new(LifecycleAct.Expire, rule, null);
            foreach (var step in rule.Transitions) Consider(Due(subject.Modified, step.Days, step.Date, day), rule, step.StorageClass);
        }
        if (!subject.IsDeleteMarker && tiering?.EntryOf(subject.Key) is { } entry)
        {
            foreach (var step in entry.Transitions) Consider(Due(subject.Modified, step.Days, null, day), null, step.StorageClass);
        }
        return transition is { } found && found.StorageClass != subject.StorageClass && (found.Rule is not null || tiers is null || tiers.Any(t => t.StorageClass == found.StorageClass))
            ? new(LifecycleAct.Transition, found.Rule, found.StorageClass)
            : default;

        void Consider(DateTimeOffset due, LifecycleRule? rule, string storageClass)
        {
            if (due <= now && (transition is null || due > transition.Value.Due)) transition = (due, rule, storageClass);
        }
    }

    /// <summary>When the current version will expire, and by which rule: what <c>x-amz-expiration</c> tells.</summary>
    public static (DateTimeOffset Due, LifecycleRule Rule)? NextExpiration(
        this LifecycleConfiguration rules, string key, long length, DateTimeOffset modified, IReadOnlyList<KeyValuePair<string, string>> tags, TimeSpan day)
    {
        (DateTimeOffset Due, LifecycleRule Rule)? next = null;
        foreach (var rule in rules.Rules)
        {
            if (!rule.IsEnabled || rule.Expiration is not { ExpiredDeleteMarker: null } expiration) continue;
            if (!rule.Filter.MatchesKey(key) || !rule.Filter.MatchesSize(length) || !rule.Filter.MatchesTags(tags)) continue;
            var due = Due(modified, expiration.Days, expiration.Date, day);
            if (next is null || due < next.Value.Due) next = (due, rule);
        }
        return next;
    }

    /// <summary>When a noncurrent version will be removed for good if no other takes its place, and by which rule.</summary>
    public static (DateTimeOffset Due, LifecycleRule Rule)? NextRemoval(this LifecycleConfiguration rules, in LifecycleSubject subject, TimeSpan day)
    {
        (DateTimeOffset Due, LifecycleRule Rule)? next = null;
        foreach (var rule in rules.Rules)
        {
            if (!rule.IsEnabled || rule.NoncurrentExpiration is not { } end || subject.NoncurrentSince is not { } since || subject.NewerNoncurrent < (end.Newer ?? 0)) continue;
            if (!rule.Filter.MatchesKey(subject.Key) || !rule.Filter.MatchesSize(subject.Length) || !rule.Filter.MatchesTags(subject.Tags)) continue;
            var due = Due(since, end.Days, null, day);
            if (next is null || due < next.Value.Due) next = (due, rule);
        }
        return next;
    }

    /// <summary>Days are counted as S3 does: from the time of the version, rounded up to the next midnight, UTC. A day of another length is not rounded.</summary>
    public static DateTimeOffset Due(DateTimeOffset from, int? days, DateTimeOffset? date, TimeSpan day)
    {
        if (date is { } fixedDate) return fixedDate;
        var due = from + day * (days ?? 0);
        if (day != TimeSpan.FromDays(1) || due.TimeOfDay == TimeSpan.Zero) return due;
        return new DateTimeOffset(due.UtcDateTime.Date, TimeSpan.Zero).AddDays(1);
    }
}
