using System.Collections.Immutable;
using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Lifecycle;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.GrainInterfaces.Uploads;
using DarkStorage.Grains.Tiers;
using DarkStorage.Metadata;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Lifecycle;
using DarkStorage.Rules.Lifecycle.Language;
using DarkStorage.Rules.Logging;
using DarkStorage.Rules.Tiers;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Grains.Lifecycle;

/// <summary>How lifecycles run.</summary>
public sealed record LifecycleOptions
{
    /// <summary>Time from the end of one run of a bucket to the begin of the next. Default 6 hours: rules count in days, so nothing waits noticeably.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "7.00:00:00")]
    public TimeSpan Interval { get; init; } = TimeSpan.FromHours(6);

    /// <summary>How long a day of the rules is. Shorter ones are for trying rules out: objects go that much sooner.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "1.00:00:00")]
    public TimeSpan DayLength { get; init; } = TimeSpan.FromDays(1);
}

/// <summary>Where a run is, and what it and the one before it did.</summary>
[GenerateSerializer, Alias("lifecycle-state")]
public sealed class LifecycleState
{
    /// <summary>The bucket the run is of: one made anew under the same name is another one.</summary>
    [Id(0)]
    public long Bucket { get; set; }

    [Id(1)]
    public LifecycleReport? Running { get; set; }

    [Id(2)]
    public LifecycleReport? Last { get; set; }

    /// <summary>The last entry that was looked at, as <see cref="VersionPlace"/> has it.</summary>
    [Id(3)]
    public string Key { get; set; } = "";

    [Id(4)]
    public string? Version { get; set; }

    [Id(5)]
    public long Revision { get; set; }

    /// <summary>Of that entry's key: when the entry was made, and how many of its noncurrent versions were seen.</summary>
    [Id(6)]
    public DateTimeOffset Above { get; set; }

    [Id(7)]
    public int Noncurrent { get; set; }

    /// <summary>Runs before the last one that found something to do, the newest first.</summary>
    [Id(8)]
    public ImmutableArray<LifecycleReport> Before { get; set; } = [];
}

/// <summary>The lifecycle of one bucket: walks its versions in batches, keeps its place after each, and goes on from there whatever happens in between.
/// What is done twice after a crash is done to what is there then, so it does no harm.</summary>
internal sealed partial class LifecycleGrain(
    IMetadataIndex index, TimeProvider clock, IOptions<LifecycleOptions> options, [PersistentState("lifecycle", StorageNames.Index)] IPersistentState<LifecycleState> state,
    IAccessLog accessLog, ILocalSiloDetails silo, ILogger<LifecycleGrain> log) : Grain, ILifecycleGrain, IRemindable
{
    private const string RunReminder = "run";
    private const string StandardClass = "STANDARD";

    /// <summary>Reports that are kept: of a week and more.</summary>
    private const int ReportsMax = 50;

    /// <summary>A preview ends after this: who asks waits for it, and the grain does nothing else meanwhile.</summary>
    private static readonly TimeSpan PreviewTimeMax = TimeSpan.FromSeconds(10);

    /// <summary>Time before the next batch where one has failed: what is wrong is mostly the index, which then has enough to do.</summary>
    private static readonly TimeSpan AgainAfter = TimeSpan.FromSeconds(5);

    /// <summary>Entries in a batch: some milliseconds of reading, and one write of the place.</summary>
    private const int BatchMax = 1_000;

    /// <summary>Changes under way at one time: enough to fill a group commit.</summary>
    private const int ParallelMax = 32;

    /// <summary>Time between two batches: the run leaves room for requests.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

    /// <summary>What was counted of a key that a batch ended in holds for this long: the time between two batches, and some more.</summary>
    private static readonly TimeSpan CountsHold = TimeSpan.FromSeconds(1);

    private IGrainTimer? _batches;

    /// <summary>When this activation ended a batch last, by the clock's timestamps; null where it has none yet.</summary>
    private long? _batchEnded;

    /// <summary>It was said that the run stands still.</summary>
    private bool _standsStill;

    private string Bucket => this.GetPrimaryKeyString();

    public async Task WakeAsync(CancellationToken ct)
    {
        var first = options.Value.Interval < TimeSpan.FromMinutes(1) ? options.Value.Interval : TimeSpan.FromMinutes(1);
        await this.RegisterOrUpdateReminder(RunReminder, first, TimeSpan.FromMinutes(1));
        Continue(first);
    }

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        (state.State.Running, state.State.Last) = (LifecycleReport.Whole(state.State.Running), LifecycleReport.Whole(state.State.Last));
        return Task.CompletedTask;
    }

    public async Task<LifecycleStatus> GetStatusAsync(CancellationToken ct) =>
        new(state.State.Running, state.State.Last, state.State.Before, await FindAsync(ct) is { } work ? await FindStandstillAsync(clock.GetUtcNow(), ct) ?? work.Problem : null);

    public async Task<LifecycleReport> PreviewAsync(int versionsMax, CancellationToken ct) => (await PreviewPageAsync(null, null, versionsMax, ct)).Report;

    public async Task<LifecycleReport> PreviewPolicyAsync(string policy, int versionsMax, CancellationToken ct) => (await PreviewPageAsync(policy, null, versionsMax, ct)).Report;

    public async Task<LifecyclePreview> PreviewPageAsync(string? policy, LifecyclePlace? after, int versionsMax, CancellationToken ct)
    {
        var now = clock.GetUtcNow();
        var work = policy is null ? await FindAsync(ct) : await index.FindBucketAsync(Bucket, ct) is { } bucket ? new Work(bucket, RulesOf(bucket), new([("preview", Parse(policy))])) : null;
        if (work is null) return new(LifecycleReport.At(now) with { Ended = now }, null);
        var run = new Run(LifecycleReport.At(now), after is null ? default : new(after.Key, after.Version, after.Revision), after?.Above ?? default, after?.Noncurrent ?? 0);
        var begun = clock.GetTimestamp();
        do
        {
            (run, var ended) = await BatchAsync(work, run, clock.GetUtcNow(), act: false, ct);
            if (ended) return new(run.Report with { Ended = clock.GetUtcNow() }, null);
        }
        while (run.Report.Looked < versionsMax && clock.GetElapsedTime(begun) < PreviewTimeMax);
        return new(run.Report, new(run.Place.Key, run.Place.Version, run.Place.Revision, run.Above, run.Noncurrent));
    }

    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: it is no policy.</exception>
    private static LifecyclePolicy Parse(string policy)
    {
        try
        {
            return LifecyclePolicy.Parse(policy);
        }
        catch (LifecyclePolicyFormatException e)
        {
            throw new StorageException(StorageError.InvalidArgument, e.Message, e);
        }
    }

    /// <summary>The reminder outlives crashes; the timer it starts does the work.</summary>
    public async Task ReceiveReminder(string reminderName, TickStatus status)
    {
        if (await FindAsync(CancellationToken.None) is null)
        {
            if (await this.GetReminder(RunReminder) is { } reminder) await this.UnregisterReminder(reminder);
            return;
        }
        if (IsDue) Continue(TimeSpan.Zero);
    }

    private bool IsDue => state.State.Running is not null || state.State.Last?.Ended is not { } ended || clock.GetUtcNow() - ended >= options.Value.Interval;

    private void Continue(TimeSpan after)
    {
        _batches?.Dispose();
        _batches = this.RegisterGrainTimer(NextBatchAsync, new GrainTimerCreationOptions(after, Pause) { KeepAlive = true });
    }

    private async Task NextBatchAsync(CancellationToken ct)
    {
        try
        {
            await BatchOfRunAsync(ct);
        }
        catch
        {
            _batches?.Change(AgainAfter, Pause);
            throw;
        }
    }

    private async Task BatchOfRunAsync(CancellationToken ct)
    {
        if (await FindAsync(ct) is not { } work)
        {
            _batches?.Dispose();
            return;
        }
        if (!IsDue)
        {
            // Intervals shorter than a reminder's period are kept by this timer alone.
            _batches?.Change(options.Value.Interval, options.Value.Interval < TimeSpan.FromMinutes(1) ? Pause : Timeout.InfiniteTimeSpan);
            return;
        }
        var now = clock.GetUtcNow();
        if (await FindStandstillAsync(now, ct) is { } standstill)
        {
            if (!_standsStill) LogProblem(log, Bucket, standstill);
            _standsStill = true;
            _batches?.Change(AgainAfter, Pause);
            return;
        }
        _standsStill = false;
        var (current, bucket) = (state.State, work.Bucket);
        if (current.Running is null || current.Bucket != bucket.Id.Value)
        {
            (current.Bucket, current.Running, current.Key, current.Version, current.Revision) = (bucket.Id.Value, LifecycleReport.At(now), "", null, 0);
            current.Running = current.Running with { UploadsAborted = await AbortUploadsAsync(bucket, work.Rules, now, ct) };
        }
        VersionName? last = current.Version is { } text && VersionName.TryParse(text, out var name) ? name : null;
        var place = new VersionPlace(current.Key, last, current.Revision);
        // Its newest versions may have been removed since: then fewer are newer, and rules keep more.
        if (last is not null && !(_batchEnded is { } ended && clock.GetElapsedTime(ended) < CountsHold)) (current.Above, current.Noncurrent) = await RecountAsync(bucket.Id, place, ct);
        var (run, isOver) = await BatchAsync(work, new(current.Running!, place, current.Above, current.Noncurrent), now, act: true, ct);
        (current.Key, current.Version, current.Revision, current.Above, current.Noncurrent) = (run.Place.Key, run.Place.Version?.ToString(), run.Place.Revision, run.Above, run.Noncurrent);
        current.Running = isOver ? null : run.Report;
        if (isOver)
        {
            if (work.Problem is { } problem) LogProblem(log, Bucket, problem);
            if (current.Last is { } before && HasDone(before)) current.Before = [before, .. current.Before.Take(ReportsMax - 1)];
            current.Last = run.Report with { Ended = clock.GetUtcNow() };
            LogRun(log, Bucket, current.Last.Looked, current.Last.Expired, current.Last.Removed, current.Last.Transitioned, current.Last.UploadsAborted, current.Last.Waiting, current.Last.Locked, current.Last.Failed);
        }
        await state.WriteStateAsync(ct);
        _batchEnded = clock.GetTimestamp();
        LogBatch(log, Bucket, run.Report.Looked);
    }

    /// <summary>Counts what is above a place in its key, as it is now.</summary>
    private async Task<(DateTimeOffset Above, int Noncurrent)> RecountAsync(BucketId bucket, VersionPlace place, CancellationToken ct)
    {
        var (above, noncurrent, after) = (default(DateTimeOffset), 0, new VersionPlace("", null, 0));
        while (true)
        {
            // Of all keys that begin with it, it is the first; its versions are in the order of their age.
            var page = new Batch();
            var end = await index.ListVersionsAsync(new(bucket, place.Key, null, after, BatchMax), page, ct);
            foreach (var entry in page.Entries)
            {
                if (entry.Key != place.Key || entry.Revision < place.Revision) return (above, noncurrent);
                if (!entry.IsLatest) noncurrent++;
                above = entry.Modified;
            }
            if (end.Next is not { } next) return (above, noncurrent);
            after = next;
        }
    }

    /// <returns>What keeps a run from doing anything, as a sentence; null where nothing does. What goes too early, by a clock that is wrong, nothing brings back.</returns>
    private async ValueTask<string?> FindStandstillAsync(DateTimeOffset now, CancellationToken ct) =>
        await index.CheckClockAsync(now, ct) is { } wrong ? $"Runs stand still at the node {silo.Name}. {wrong}" : null;

    /// <summary>What a run goes by.</summary>
    private sealed record Work(BucketRecord Bucket, LifecycleConfiguration Rules, BucketPolicies Policies)
    {
        /// <summary>What keeps versions from being moved, as a sentence; null where nothing does.</summary>
        public string? Problem => Policies.Problem
            ?? (Policies.Needs.HasFlag(LifecycleNeeds.Access) && BucketRules.Of(Bucket).AccessCounting is null ? "Policies ask for accesses, and nobody counts them: save one of them again, or have them counted." : null);
    }

    private static bool HasDone(LifecycleReport report) => report.Expired + report.Removed + report.Transitioned + report.UploadsAborted + report.Locked + report.Failed + report.Waiting > 0;

    /// <param name="Above">When the version above the next one, of the same key, was made.</param>
    /// <param name="Noncurrent">Noncurrent versions of that key seen so far.</param>
    private readonly record struct Run(LifecycleReport Report, VersionPlace Place, DateTimeOffset Above, int Noncurrent);

    /// <summary>Looks at one batch and does what the rules say, or only counts it.</summary>
    private async Task<(Run Run, bool Ended)> BatchAsync(Work lifecycle, Run run, DateTimeOffset now, bool act, CancellationToken ct)
    {
        var bucket = lifecycle.Bucket;
        // Every batch asks anew: a tier may come and go while a run goes on.
        var tiers = await GrainFactory.ListTiersAsync(ct);
        var page = new Batch();
        var end = await index.ListVersionsAsync(new(bucket.Id, "", null, run.Place.Key is null ? new("", null, 0) : run.Place, BatchMax), page, ct);
        var accesses = new Accesses(index, bucket, page.Entries);
        var work = new List<(Entry Entry, VersionState State, LifecycleDecision Decision)>();
        var (above, noncurrent) = (run.Above, run.Noncurrent);
        foreach (var entry in page.Entries)
        {
            if (entry.IsLatest) noncurrent = 0;
            var (decision, state) = await DecideAsync(lifecycle, tiers, accesses, entry, entry.IsLatest ? null : above, noncurrent, now, ct);
            if (!entry.IsLatest) noncurrent++;
            above = entry.Modified;
            if (decision.Act != LifecycleAct.Keep) work.Add((entry, state, decision));
        }
        var report = run.Report with { Looked = run.Report.Looked + page.Entries.Count };
        // Bytes that are to go to a tier go first, and the version has the class when they are there: a worker's to do.
        var moves = !act ? [] : work.FindAll(w => w.Decision.Act == LifecycleAct.Transition && tiers.Any(t => t.StorageClass == w.Decision.StorageClass));
        if (moves.Count > 0)
        {
            var noted = await WishAsync([.. moves.Select(w => new MoveWish(bucket.Id, w.Entry.Key, w.Entry.Id, w.Decision.StorageClass!, MoveOrigin.Lifecycle))], ct);
            foreach (var (entry, _, decision) in moves)
                report = Count(report, entry, decision, noted is null ? Outcome.Failed : noted.Contains((entry.Key, entry.Id)) ? Outcome.Done : Outcome.Waiting);
            work = work.FindAll(w => w.Decision.Act != LifecycleAct.Transition || tiers.All(t => t.StorageClass != w.Decision.StorageClass));
        }
        foreach (var group in work.Chunk(ParallelMax))
        {
            var outcomes = act ? await Task.WhenAll(group.Select(w => ActAsync(bucket, w.Entry, w.State, w.Decision, ct))) : new Outcome[group.Length];
            for (var i = 0; i < group.Length; i++) report = Count(report, group[i].Entry, group[i].Decision, outcomes[i]);
        }
        var place = end.Next ?? default;
        return (new(report, place, above, noncurrent), end.Next is null);
    }

    /// <returns>With what it was decided on: nothing else may be acted on.</returns>
    private async ValueTask<(LifecycleDecision Decision, VersionState State)> DecideAsync(
        Work work, ImmutableArray<Tier> tiers, Accesses accesses, Entry entry, DateTimeOffset? noncurrentSince, int newer, DateTimeOffset now, CancellationToken ct)
    {
        var (bucket, rules) = (work.Bucket, work.Rules);
        // Tags are in the version, not in the listing: fetched only where a rule could turn on them.
        var (tags, isOutside) = ((IReadOnlyList<KeyValuePair<string, string>>?)null, false);
        var state = new VersionState(entry.Revision, entry.IsLatest);
        if (!entry.IsDeleteMarker && rules.Rules.Any(r => r.Filter.Tags.Length > 0 && r.Filter.MatchesKey(entry.Key)) && !await FetchAsync()) return (default, state);
        var alone = entry is { IsDeleteMarker: true, IsLatest: true } && await IsAloneAsync(bucket, entry.Key, ct);
        var subject = new LifecycleSubject(entry.Key, entry.Length, entry.Modified, entry.StorageClass, tags ?? [], entry.IsDeleteMarker, noncurrentSince, newer, alone);
        var decision = rules.Decide(subject, now, options.Value.DayLength, BucketRules.Of(bucket).Tiering, tiers);
        // What lies outside can't be read as soon as it is called archived, and nobody would have moved it: the key's grain refuses that, and the reverse.
        if (decision is { Act: LifecycleAct.Transition, StorageClass: { } label } && TierOf(label) is null && ArchiveRules.IsArchive(label) != ArchiveRules.IsArchive(entry.StorageClass) && (!await FetchAsync() || isOutside))
            decision = default;
        if (entry.IsDeleteMarker || work.Policies.IsEmpty || decision.Act is LifecycleAct.Expire or LifecycleAct.Remove) return (decision, state);
        if (work.Policies.Problem is not null) return (default, state); // nobody can tell what should stay

        // What a policy says of a version's place outranks the transitions of the document and of the bucket.
        if (await BelongsAsync(entry.StorageClass) is not { IsKnown: true } belongs) return (default, state);
        if (belongs.Tier is null)
        {
            // Not to where a policy would take it away from again: it would go to and fro for ever.
            if (decision is not { Act: LifecycleAct.Transition, StorageClass: { } there }) return (decision, state);
            return (await BelongsAsync(there) is { IsKnown: true } then && (then.Tier is null || then.Tier == TierOf(there)?.Name) ? decision : default, state);
        }
        // A tier that is gone takes nothing, and what is decided for it stays.
        var tier = tiers.FirstOrDefault(t => t.Name == belongs.Tier);
        return (tier is null || tier.StorageClass == entry.StorageClass || await ComesBackAsync() ? default : new(LifecycleAct.Transition, null, tier.StorageClass), state);

        Tier? TierOf(string storageClass) => tiers.FirstOrDefault(t => t.StorageClass == storageClass);

        // Where the policies want it, if it has a storage class; null where it is another version by now.
        async ValueTask<LifecyclePolicyDecision?> BelongsAsync(string storageClass)
        {
            var decided = Decide(null);
            if (decided.Missing.HasFlag(LifecycleNeeds.Tags))
            {
                if (!await FetchAsync()) return null;
                decided = Decide(null);
            }
            return decided.Missing.HasFlag(LifecycleNeeds.Access) ? Decide(await accesses.FindAsync(entry, ct)) : decided;

            LifecyclePolicyDecision Decide(AccessHistory? access) => work.Policies.Decide(PolicySubjectOf(entry, storageClass, tiers, noncurrentSince, tags, access), now);
        }

        // Round in a circle, as policies make it that nobody saved together: one that was disabled stood between them. Also where it is another version by now.
        async ValueTask<bool> ComesBackAsync()
        {
            var all = work.Policies.All!;
            if (!all.AsksForPlace) return false;
            if (all.Needs.HasFlag(LifecycleNeeds.Tags) && tags is null && !await FetchAsync()) return true;
            var access = all.Needs.HasFlag(LifecycleNeeds.Access) ? await accesses.FindAsync(entry, ct) : null;
            return all.ComesBack(PolicySubjectOf(entry, entry.StorageClass, tiers, noncurrentSince, tags, access), now, TierRules.ClassIn(tiers));
        }

        // False where it is another version by now.
        async ValueTask<bool> FetchAsync()
        {
            if (await index.FindVersionAsync(bucket.Id, entry.Key, entry.Version, ct) is not { } version || version.Revision != entry.Revision) return false;
            (tags, isOutside) = (version.Attributes.Tags, version.Manifest.Place is not null);
            state = state with { Change = version.Attributes.Change };
            return true;
        }
    }

    private static LifecyclePolicySubject PolicySubjectOf(
        Entry entry, string storageClass, ImmutableArray<Tier> tiers, DateTimeOffset? noncurrentSince, IReadOnlyList<KeyValuePair<string, string>>? tags, AccessHistory? access) => new(
        entry.Key, entry.Length, entry.Modified, tiers.FirstOrDefault(t => t.StorageClass == storageClass)?.Name ?? "", storageClass, noncurrentSince, tags, access);

    private async ValueTask<bool> IsAloneAsync(BucketRecord bucket, string key, CancellationToken ct)
    {
        var page = new Batch();
        await index.ListVersionsAsync(new(bucket.Id, key, null, new("", null, 0), 2), page, ct);
        return page.Entries.Count(e => e.Key == key) == 1;
    }

    private enum Outcome
    {
        Done,
        /// <summary>It was wanted already.</summary>
        Waiting,
        Locked,
        Failed,
    }

    /// <returns>The versions that nobody wanted there yet; null where it failed.</returns>
    private async Task<HashSet<(string Key, VersionId Version)>?> WishAsync(IReadOnlyList<MoveWish> wishes, CancellationToken ct)
    {
        try
        {
            return [.. (await index.WishMovesAsync(wishes, clock.GetUtcNow(), ct)).Select(static w => (w.Key, w.Version))];
        }
        catch (StorageException e)
        {
            LogFailed(log, Bucket, e.Error);
            return null;
        }
    }

    /// <summary>Through the key's grain, as any other writer: it decides on what is there then, and refuses where that is not what was looked at.</summary>
    private async Task<Outcome> ActAsync(BucketRecord bucket, Entry entry, VersionState state, LifecycleDecision decision, CancellationToken ct)
    {
        var grain = GrainFactory.GetGrain<IObjectGrain>(new ObjectId(bucket.Name, entry.Key).ToString());
        try
        {
            switch (decision.Act)
            {
                case LifecycleAct.Expire:
                    var expired = await grain.DeleteAsync(new(bucket.Id, null, VersionId.Of(BlobId.New(clock)), bucket.Owner, WriteCondition.None, BypassGovernance: false, ChangeOrigin.Lifecycle, state), ct);
                    WriteDown(bucket, entry, expired.MarkerMade ? AccessLogOperations.ExpireByMarker : AccessLogOperations.Expire);
                    break;
                case LifecycleAct.Remove:
                    await grain.DeleteAsync(new(bucket.Id, entry.Version, default, bucket.Owner, WriteCondition.None, BypassGovernance: false, ChangeOrigin.Lifecycle, state), ct);
                    WriteDown(bucket, entry, AccessLogOperations.Expire);
                    break;
                default:
                    await grain.UpdateAsync(new(bucket.Id, entry.Version, state, ChangeOrigin.Lifecycle, StorageClass: decision.StorageClass), ct);
                    break;
            }
            return Outcome.Done;
        }
        catch (StorageException e) when (e.Error is StorageError.ObjectLocked)
        {
            return Outcome.Locked;
        }
        catch (StorageException e)
        {
            // Changed since it was looked at, or the index is busy: the next run sees what is there then.
            LogFailed(log, Bucket, e.Error);
            return Outcome.Failed;
        }
    }

    /// <summary>In the bucket's access log, where it keeps one.</summary>
    private void WriteDown(BucketRecord bucket, Entry entry, string operation)
    {
        if (BucketRules.Of(bucket).Logging is not { } target) return;
        accessLog.Write(bucket, target, new()
        {
            BucketOwner = bucket.Owner, Bucket = bucket.Name, Time = clock.GetUtcNow(), Requester = "AmazonS3", Operation = operation, Key = entry.Key,
            ObjectSize = entry.IsDeleteMarker ? null : entry.Length, VersionId = bucket.Versioning == BucketVersioning.Off ? null : entry.Version.ToString(),
        });
    }

    private static LifecycleReport Count(LifecycleReport report, Entry entry, LifecycleDecision decision, Outcome outcome) => (outcome, decision.Act) switch
    {
        (Outcome.Locked, _) => report with { Locked = report.Locked + 1 },
        (Outcome.Failed, _) => report with { Failed = report.Failed + 1 },
        (Outcome.Waiting, _) => report with { Waiting = report.Waiting + 1 },
        (_, LifecycleAct.Expire) => report with { Expired = report.Expired + 1, Bytes = report.Bytes + entry.Length },
        (_, LifecycleAct.Remove) => report with { Removed = report.Removed + 1, Bytes = report.Bytes + entry.Length },
        _ => report with { Transitioned = report.Transitioned + 1, Moves = Add(report.Moves.IsDefault ? [] : report.Moves, entry, decision.StorageClass!) },
    };

    private static ImmutableArray<LifecycleMoves> Add(ImmutableArray<LifecycleMoves> moves, Entry entry, string storageClass)
    {
        var known = moves.FirstOrDefault(m => m.From == entry.StorageClass && m.To == storageClass);
        return known is null
            ? moves.Add(new(entry.StorageClass, storageClass, 1, entry.Length))
            : moves.Replace(known, known with { Versions = known.Versions + 1, Bytes = known.Bytes + entry.Length });
    }

    private async Task<long> AbortUploadsAsync(BucketRecord bucket, LifecycleConfiguration rules, DateTimeOffset now, CancellationToken ct)
    {
        var aborting = rules.Rules.Where(r => r.IsEnabled && r.AbortUploadsAfterDays is not null).ToList();
        if (aborting.Count == 0) return 0;
        var (key, upload, aborted) = ("", (UploadId?)null, 0L);
        while (true)
        {
            var page = await index.ListUploadsAsync(bucket.Id, "", null, key, upload, BatchMax, ct);
            foreach (var old in page.Uploads.Where(u => aborting.Any(r => r.Filter.MatchesKey(u.Key)
                && LifecycleRules.Due(u.Initiated, r.AbortUploadsAfterDays, null, options.Value.DayLength) <= now)))
            {
                try
                {
                    await GrainFactory.GetGrain<IUploadGrain>(old.Id.ToString()).AbortAsync(bucket.Id, old.Key, ct);
                    aborted++;
                }
                catch (StorageException e) when (e.Error is StorageError.NoSuchUpload)
                {
                    // Finished or aborted in between.
                }
            }
            if (page.NextKey is null) return aborted;
            (key, upload) = (page.NextKey, page.NextUpload);
        }
    }

    /// <returns>Null where the bucket has nothing to go by.</returns>
    private async ValueTask<Work?> FindAsync(CancellationToken ct)
    {
        if (await index.FindBucketAsync(Bucket, ct) is not { } bucket) return null;
        var (rules, policies) = (BucketRules.Of(bucket), await PoliciesOfAsync(bucket, ct));
        return rules.Lifecycle is null && rules.Tiering is null && rules.AccessCounting is null && policies.IsEmpty ? null : new(bucket, RulesOf(bucket), policies);
    }

    private static LifecycleConfiguration RulesOf(BucketRecord bucket) => BucketRules.Of(bucket).Lifecycle ?? LifecycleConfiguration.None;

    private async ValueTask<BucketPolicies> PoliciesOfAsync(BucketRecord bucket, CancellationToken ct)
    {
        var settings = await index.ListSettingsAsync(bucket.Id, BucketSettings.TierPolicies, "", BucketSettings.WithIdMax, ct);
        return settings.Count == 0 ? BucketPolicies.None : BucketPolicies.Of(settings);
    }

    /// <summary>The accesses of the versions of a batch. They are fetched when a decision first turns on them.</summary>
    private sealed class Accesses(IMetadataIndex index, BucketRecord bucket, IReadOnlyList<Entry> entries)
    {
        private readonly DateTimeOffset? _since = BucketRules.Of(bucket).AccessCounting?.Since;
        private Dictionary<(string Key, VersionId Version), VersionAccesses>? _known;

        /// <returns>Null where nobody counts.</returns>
        public async ValueTask<AccessHistory?> FindAsync(Entry entry, CancellationToken ct)
        {
            if (_since is not { } since) return null;
            _known ??= (await index.ListAccessesAsync(bucket.Id, [.. entries.Where(e => !e.IsDeleteMarker).Select(e => new VersionAddress(e.Key, e.Id))], ct)).ToDictionary(a => (a.Key, a.Version));
            // Of an earlier time, when they were counted too, there may be some that are not forgotten yet.
            return _known.GetValueOrDefault((entry.Key, entry.Id)) is { } found && found.Last >= since ? new(found.Total, found.Last, found.Days, since) : new(0, null, [], since);
        }
    }

    private sealed record Entry(string Key, VersionName Version, VersionId Id, long Revision, long Length, DateTimeOffset Modified, string StorageClass, bool IsLatest, bool IsDeleteMarker);

    private sealed class Batch : IVersionListingSink
    {
        public List<Entry> Entries { get; } = [];

        public void Version(in ListedObject entry) => Entries.Add(new(Encoding.UTF8.GetString(entry.Key), entry.Version, entry.Id, entry.Revision, entry.Length, entry.Modified,
            entry.StorageClass.SequenceEqual("STANDARD"u8) ? StandardClass : Encoding.UTF8.GetString(entry.StorageClass), entry.IsLatest, entry.IsDeleteMarker));

        public void CommonPrefix(ReadOnlySpan<byte> prefix) => throw new System.Diagnostics.UnreachableException("A listing without a delimiter folds nothing.");
    }

    [LoggerMessage(LogLevel.Information, "Lifecycle of {Bucket}: looked at {Looked}, expired {Expired}, removed {Removed}, asked for {Transitioned} moves, ended {Uploads} uploads; {Waiting} were to move before, {Locked} locked, {Failed} failed")]
    private static partial void LogRun(ILogger log, string bucket, long looked, long expired, long removed, long transitioned, long uploads, long waiting, long locked, long failed);

    [LoggerMessage(LogLevel.Warning, "Lifecycle of {Bucket}: {Problem}")]
    private static partial void LogProblem(ILogger log, string bucket, string problem);

    [LoggerMessage(LogLevel.Debug, "Lifecycle of {Bucket}: a batch is done; looked at {Looked} so far")]
    private static partial void LogBatch(ILogger log, string bucket, long looked);

    [LoggerMessage(LogLevel.Debug, "Lifecycle of {Bucket}: one object was left for the next run ({Error})")]
    private static partial void LogFailed(ILogger log, string bucket, StorageError error);
}
