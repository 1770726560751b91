using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Lifecycle;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Grains.Tiers;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Lifecycle;
using DarkStorage.Rules.Lifecycle.Language;
using DarkStorage.Rules.Tiers;

namespace DarkStorage.Grains.Lifecycle;

// What a bucket's versions would have cost under other rules.
internal sealed partial class LifecycleGrain
{
    public async Task<LifecycleEstimate> EstimateAsync(string policy, int from, int versionsMax, CancellationToken ct)
    {
        if (await index.FindBucketAsync(Bucket, ct) is not { } bucket) return new(true, 0, [], [], []);
        var (tiers, policies, tiering, document) = (await GrainFactory.ListTiersAsync(ct), await PoliciesOfAsync(bucket, ct), BucketRules.Of(bucket).Tiering, RulesOf(bucket));
        var other = Parse(policy);
        var with = new LifecycleHistory(document, tiering, other, tiers, options.Value.DayLength);
        var asItIs = new LifecycleHistory(document, tiering, policies.All, tiers, options.Value.DayLength);
        var unmoved = new LifecycleHistory(LifecycleConfiguration.None, tiering is null ? null : new([.. tiering.Entries.Select(static e => e with { Transitions = [] })]), null, tiers, options.Value.DayLength);
        var sums = new { With = new UsageEstimate(new(from)), AsItIs = new UsageEstimate(new(from)), Unmoved = new UsageEstimate(new(from)) };
        var needs = other.Needs | policies.Needs | (document.Rules.Any(static r => r.Filter.Tags.Length > 0) ? LifecycleNeeds.Tags : LifecycleNeeds.None);
        var (begun, now, looked) = (clock.GetTimestamp(), clock.GetUtcNow(), 0L);
        var (place, above, newer) = (new VersionPlace("", null, 0), default(DateTimeOffset), new Queue<DateTimeOffset>());
        while (true)
        {
            var page = new Batch();
            var end = await index.ListVersionsAsync(new(bucket.Id, "", null, place, BatchMax), page, ct);
            var accesses = new Accesses(index, bucket, page.Entries);
            foreach (var entry in page.Entries)
            {
                // Of each it may be a lot to decide on: a page of them would be no bound.
                if (looked >= versionsMax || clock.GetElapsedTime(begun) >= PreviewTimeMax) return Told(isWhole: false);
                ct.ThrowIfCancellationRequested();
                looked++;
                if (entry.IsLatest) newer.Clear();
                if (!entry.IsDeleteMarker)
                {
                    var tags = needs.HasFlag(LifecycleNeeds.Tags) ? (await index.FindVersionAsync(bucket.Id, entry.Key, entry.Version, ct))?.Attributes.Tags ?? [] : [];
                    var access = needs.HasFlag(LifecycleNeeds.Access) ? await accesses.FindAsync(entry, ct) ?? new(0, null, [], now) : null;
                    Add(entry, PolicySubjectOf(entry, entry.StorageClass, tiers, entry.IsLatest ? null : above, tags, access));
                }
                if (!entry.IsLatest) newer.Enqueue(above);
                if (newer.Count > LifecycleHistory.NewerMax) newer.Dequeue();
                above = entry.Modified;
            }
            if (end.Next is null) return Told(isWhole: true);
            place = end.Next.Value;
        }

        void Add(Entry entry, LifecyclePolicySubject version)
        {
            var stays = asItIs.StaysOf(version, newer, now).ToList();
            // Nothing would have moved it to where it is: so it was written there, or an operator has put it there.
            var written = stays is [var only] && only.StorageClass != entry.StorageClass ? entry.StorageClass : null;
            sums.AsItIs.Add(written is null ? stays : asItIs.StaysOf(version, newer, now, written), entry.Length);
            sums.With.Add(with.StaysOf(version, newer, now, written), entry.Length);
            sums.Unmoved.Add(unmoved.StaysOf(version, newer, now, written), entry.Length);
        }

        LifecycleEstimate Told(bool isWhole) => new(isWhole, looked, [.. sums.With.Months()], [.. sums.AsItIs.Months()], [.. sums.Unmoved.Months()]);
    }
}
