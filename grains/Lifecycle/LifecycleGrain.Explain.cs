using System.Collections.Immutable;
using System.Globalization;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Grains.Tiers;
using DarkStorage.Metadata;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Lifecycle;
using DarkStorage.Rules.Lifecycle.Language;
using DarkStorage.Rules.Tiers;

namespace DarkStorage.Grains.Lifecycle;

// Why a version is where it is, and what becomes of it.
internal sealed partial class LifecycleGrain
{
    /// <summary>Later moves that are told: rules that move a version more often are not read for their dates.</summary>
    private const int LaterMax = 8;

    public async Task<ImmutableArray<string>?> ExplainAsync(string key, VersionName? version, CancellationToken ct)
    {
        if (await index.FindBucketAsync(Bucket, ct) is not { } bucket) return null;
        var work = new Work(bucket, RulesOf(bucket), await PoliciesOfAsync(bucket, ct));
        var (above, noncurrent, place) = (default(DateTimeOffset), 0, new VersionPlace("", null, 0));
        while (true)
        {
            // Of all keys that begin with it, it is the first; its versions are in the order of their age.
            var page = new Batch();
            var end = await index.ListVersionsAsync(new(bucket.Id, key, null, place, BatchMax), page, ct);
            foreach (var entry in page.Entries)
            {
                if (entry.Key != key) return null;
                if (version is null ? entry.IsLatest : entry.Version == version)
                    return entry.IsDeleteMarker ? ["It is a delete marker, which has no content."] : await ExplainAsync(work, entry, entry.IsLatest ? null : above, noncurrent, ct);
                if (!entry.IsLatest) noncurrent++;
                above = entry.Modified;
            }
            if (end.Next is not { } next) return null;
            place = next;
        }
    }

    private async Task<ImmutableArray<string>> ExplainAsync(Work work, Entry entry, DateTimeOffset? noncurrentSince, int newer, CancellationToken ct)
    {
        var (now, tiers, tiering) = (clock.GetUtcNow(), await GrainFactory.ListTiersAsync(ct), BucketRules.Of(work.Bucket).Tiering);
        var tags = (await index.FindVersionAsync(work.Bucket.Id, entry.Key, entry.Version, ct))?.Attributes.Tags ?? [];
        var accesses = new Accesses(index, work.Bucket, [entry]);
        var (decision, _) = await DecideAsync(work, tiers, accesses, entry, noncurrentSince, newer, now, ct);
        var lines = ImmutableArray.CreateBuilder<string>();
        var tier = tiers.FirstOrDefault(t => t.StorageClass == entry.StorageClass);
        lines.Add(tier is null ? $"It is {entry.StorageClass}, which is no tier's class: its bytes are where they were." : $"It is in {tier.Name}.");
        var move = await index.FindMoveAsync(work.Bucket.Id, entry.Key, entry.Id, ct);
        if (move is not null) lines.Add(SayOf(move));
        var access = await accesses.FindAsync(entry, ct);
        if (access is not null) lines.Add(SayOfAccesses(access));
        var version = PolicySubjectOf(entry, entry.StorageClass, tiers, noncurrentSince, tags, access);
        lines.Add(decision.Act switch
        {
            LifecycleAct.Expire => $"The next run expires it, by {ByOf(decision.Rule)}.",
            LifecycleAct.Remove => $"The next run removes it for good, by {ByOf(decision.Rule)}.",
            LifecycleAct.Transition => $"{(move is { Wish.Origin: MoveOrigin.Restore } ? "Then the" : "The")} next run moves it to {NameOf(decision.StorageClass!)}, by {ByWhom(version, now)}.",
            _ => "The next run leaves it where it is.",
        });
        if (await FindAsync(ct) is not null) lines.Add(SayOfRuns(now));
        if (work.Policies.Decide(version, now) is { IsKnown: true, Tier: { } wanted } && tiers.All(t => t.Name != wanted)) lines.Add($"Its policies want it in {wanted}, and there is no such tier: it stays until there is.");
        if (decision.Act == LifecycleAct.Keep && work.Policies.All?.ComesBack(version, now, TierRules.ClassIn(tiers)) == true)
            lines.Add("Its policies would bring it back from there: they go round in a circle, and it stays until one of them is changed.");
        if (work.Problem is { } problem) lines.Add(problem);
        else if (decision.Act is not (LifecycleAct.Expire or LifecycleAct.Remove)) lines.AddRange(SayOfLater());
        lines.AddRange(work.Policies.Explain(version, now));
        return lines.ToImmutable();

        // What comes by time alone, until it is removed.
        IEnumerable<string> SayOfLater()
        {
            var end = noncurrentSince is null
                ? work.Rules.NextExpiration(entry.Key, entry.Length, entry.Modified, tags, options.Value.DayLength)
                : work.Rules.NextRemoval(SubjectOf(version), options.Value.DayLength);
            var history = new LifecycleHistory(work.Rules, tiering, work.Policies.All, tiers, options.Value.DayLength);
            // What the next run does is told.
            var told = decision.StorageClass ?? entry.StorageClass;
            var stays = history.StaysFrom(version, newer, now).TakeWhile(s => !(s.From >= end?.Due)).Take(LaterMax + 1).SkipWhile((s, i) => i == 0 && s.StorageClass == told).ToList();
            foreach (var stay in stays)
            {
                var by = ByWhom(PolicySubjectOf(entry, told, tiers, noncurrentSince, tags, access), stay.From);
                yield return stay.From > now ? $"Left alone, it goes to {NameOf(stay.StorageClass)} from {Of(stay.From)} on, by {by}." : $"The run after that moves it on to {NameOf(stay.StorageClass)}, by {by}.";
                told = stay.StorageClass;
            }
            if (end is var (due, rule)) yield return $"Left alone, it {(noncurrentSince is null ? "expires" : "is removed for good")} from {Of(due)} on, by {ByOf(rule)}.";
            else if (stays.Count == 0) yield return "Left alone, nothing else becomes of it.";
        }

        string ByWhom(LifecyclePolicySubject version, DateTimeOffset at) => work.Policies.Decide(version, at) switch
        {
            { Tier: null } => ByOf(work.Rules.Decide(SubjectOf(version), at, options.Value.DayLength, tiering, tiers).Rule),
            { Rule: { } number } => string.Create(CultureInfo.InvariantCulture, $"rule {number} of its policies"),
            _ => "its policies",
        };

        static string ByOf(LifecycleRule? rule) => rule is null ? "the bucket's own transitions" : $"rule {rule.Id} of the bucket's lifecycle document";

        LifecycleSubject SubjectOf(LifecyclePolicySubject version) => new(entry.Key, entry.Length, entry.Modified, version.StorageClass, tags, IsDeleteMarker: false, noncurrentSince, newer, IsAlone: false);

        string NameOf(string storageClass) => tiers.FirstOrDefault(t => t.StorageClass == storageClass)?.Name ?? storageClass;

        string SayOf(Move move) => move.Wish.Origin == MoveOrigin.Restore
            ? "It is restored, or being restored: until that is over no rule moves it."
            : $"It is on its way to {NameOf(move.Wish.StorageClass)}, wanted by {move.Wish.Origin switch { MoveOrigin.Operator => "an operator", MoveOrigin.Writer => "whoever wrote it", _ => "a rule" }}{(move.Failure is { } failure ? $"; the last attempt failed: {failure}" : "")}.";
    }

    private static string SayOfAccesses(AccessHistory access) => string.Create(CultureInfo.InvariantCulture,
        $"It was accessed {access.Total} time{(access.Total == 1 ? "" : "s")} since {access.Since:yyyy-MM-dd HH:mm:ss} UTC{(access.Last is { } last ? $", last at {Of(last)}" : "")}.");

    private string SayOfRuns(DateTimeOffset now) =>
        state.State.Running is not null ? "A run is under way."
        : state.State.Last?.Ended is { } ended && ended + options.Value.Interval is var next && next > now ? $"The next run begins at {Of(next)}."
        : "The next run begins soon.";

    private static string Of(DateTimeOffset time) => string.Create(CultureInfo.InvariantCulture, $"{time.UtcDateTime:yyyy-MM-dd HH:mm:ss} UTC");
}
