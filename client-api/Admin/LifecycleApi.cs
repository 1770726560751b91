using System.Collections.Immutable;
using System.Text.Json;
using DarkStorage.ClientApi.S3;
using DarkStorage.ClientApi.S3.Settings;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Lifecycle;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Lifecycle;
using DarkStorage.Rules.Lifecycle.Language;
using DarkStorage.Rules.Tiers;
using Microsoft.AspNetCore.Http;
using Orleans;
using Orleans.Serialization;

namespace DarkStorage.ClientApi.Admin;

/// <summary>Lifecycles, for administrators with Basic authentication: what they did (<c>GET /v1/lifecycle/BUCKET</c>), what they would do (<c>GET …/preview</c>; <c>POST …/preview</c> with a policy), why an object is where it is
/// (<c>GET …/explain?key=&amp;versionId=</c>), whether its accesses are counted (<c>GET</c> and <c>PUT …/accesses</c>), and a bucket's policies (<c>GET …/policies</c>; <c>PUT</c> and <c>DELETE …/policies/NAME</c>; <c>POST …/policies/NAME/enable</c> and <c>disable</c>).</summary>
/// <param name="reader">Null on a node that stands alone.</param>
internal sealed class LifecycleApi(Credentials credentials, IIndexReader index, IGrainFactory grains, TimeProvider clock, IClusterReader? reader = null)
{
    public const string Path = "/v1/lifecycle";

    /// <summary>Versions that a preview looks at: some seconds of reading, less than a call may take.</summary>
    private const int PreviewMax = 100_000;

    /// <param name="Enabled">Null leaves it; a new one is.</param>
    private sealed record Wanted(string? Text, bool? Enabled);

    /// <param name="After">Where the answer before ended.</param>
    private sealed record PreviewQuestion(string? Text, Place? After);

    /// <summary>A <see cref="LifecyclePlace"/>.</summary>
    private sealed record Place(string? Key, string? VersionId, long Revision, DateTimeOffset Above, int Noncurrent);

    private sealed record Counting(bool? Counted);

    /// <param name="From">A month, as 2026-01; null for eleven months before this one.</param>
    private sealed record CostQuestion(string? Text, string? From);

    /// <returns>The status and the body of the answer.</returns>
    public async Task<(int Status, object Body)> HandleAsync(HttpContext http, CancellationToken ct)
    {
        if (!await credentials.IsAdministratorAsync(http, ct)) return AdminRequests.Unauthorized;
        var rest = http.Request.Path.Value![Path.Length..].Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (rest.Length == 0) return NotThere;
        if (await index.FindBucketAsync(rest[0], ct) is not { } bucket) return Missing($"There is no bucket {rest[0]}.");
        var (grain, settings) = (grains.GetGrain<ILifecycleGrain>(bucket.Name), grains.GetGrain<IBucketGrain>(bucket.Name));
        try
        {
            return (http.Request.Method, rest[1..]) switch
            {
                ("GET", []) => (StatusCodes.Status200OK, Describe(await grain.GetStatusAsync(ct))),
                ("GET", ["preview"]) => await PreviewAsync(grain, null, http.Request.Query["after"] is [{ } after] ? JsonSerializer.Deserialize<Place>(after, JsonSerializerOptions.Web) : null, ct),
                ("POST", ["preview"]) => await PreviewAsync(bucket, grain, await AdminRequests.ReadAsync<PreviewQuestion>(http, ct), ct),
                ("POST", ["cost"]) => await EstimateAsync(bucket, grain, await AdminRequests.ReadAsync<CostQuestion>(http, ct), ct),
                ("GET", ["explain"]) => await ExplainAsync(grain, bucket.Name, http.Request.Query["key"], http.Request.Query["versionId"], ct),
                ("GET", ["accesses"]) => (StatusCodes.Status200OK, Describe(BucketRules.Of(bucket).AccessCounting)),
                ("PUT", ["accesses"]) when await AdminRequests.ReadAsync<Counting>(http, ct) is var wanted => await settings.DecideAsync(bucket, b => CountAsync(b, wanted, ct), ct),
                ("GET", ["policies"]) => (StatusCodes.Status200OK, (await ListAsync(bucket, ct)).Select(p => Describe(p.Name, p.Setting))),
                ("PUT", ["policies", var name]) when await AdminRequests.ReadAsync<Wanted>(http, ct) is var wanted => await settings.DecideAsync(bucket, b => SaveAsync(b, name, wanted, ct), ct),
                ("POST", ["policies", var name, var word]) when word is "enable" or "disable" => await settings.DecideAsync(bucket, b => SaveAsync(b, name, new(null, word == "enable"), ct), ct),
                ("DELETE", ["policies", var name]) => await settings.DecideAsync(bucket, b => RemoveAsync(b, name, ct), ct),
                _ => NotThere,
            };
        }
        catch (JsonException e)
        {
            return AdminRequests.Refused($"The body is not the JSON that is wanted: {e.Message}");
        }
        catch (LifecyclePolicyFormatException e)
        {
            return (StatusCodes.Status400BadRequest, new { error = e.Message, e.Place.Line, e.Place.Column });
        }
        catch (StorageException e) when (e.Error is StorageError.InvalidArgument or StorageError.TooManySettings)
        {
            return AdminRequests.Refused(e.Message);
        }
        catch (StorageException e) when (e.Error is StorageError.Conflict)
        {
            return (StatusCodes.Status409Conflict, new { error = e.Message });
        }
    }

    private static (int, object) NotThere => (StatusCodes.Status405MethodNotAllowed, new
    {
        error = $"There are GET {Path}/BUCKET, GET and POST {Path}/BUCKET/preview, POST {Path}/BUCKET/cost, GET {Path}/BUCKET/explain, GET and PUT {Path}/BUCKET/accesses, GET {Path}/BUCKET/policies, PUT and DELETE {Path}/BUCKET/policies/NAME, POST {Path}/BUCKET/policies/NAME/enable and disable.",
    });

    private static (int, object) Missing(string error) => (StatusCodes.Status404NotFound, new { error });

    private static object Describe(LifecycleStatus status) => new
    {
        running = LifecycleReport.Whole(status.Running), last = LifecycleReport.Whole(status.Last), before = (status.Before.IsDefault ? [] : status.Before).Select(LifecycleReport.Whole), status.Problem,
    };

    /// <summary>With what its moves save in a month; null where the costs of a tier are not known.</summary>
    private async Task<object> DescribeAsync(LifecyclePreview page, CancellationToken ct)
    {
        var preview = page.Report;
        var tiers = (await grains.GetGrain<ITiersGrain>(ITiersGrain.Key).ListAsync(ct)).ToDictionary(t => t.StorageClass, StringComparer.Ordinal);
        var moves = preview.Moves.Select(m => new { m.From, m.To, m.Versions, m.Bytes, latency = TiersApi.LatencyOf(tiers.GetValueOrDefault(m.To)), savedPerMonth = TierRules.Saves(m.Bytes, tiers.GetValueOrDefault(m.From), tiers.GetValueOrDefault(m.To)) }).ToList();
        return new
        {
            preview.Begun, preview.Ended, preview.Looked, preview.Expired, preview.Removed, preview.Transitioned, preview.Bytes, moves,
            savedPerMonth = moves.Exists(m => m.savedPerMonth is null) ? null : moves.Sum(m => m.savedPerMonth),
            next = page.Next is { } next ? new Place(next.Key, next.Version?.ToString(), next.Revision, next.Above, next.Noncurrent) : null,
        };
    }

    private static object Describe(AccessCounting? counting) => new { counted = counting is not null, counting?.Since };

    private static object Describe(string name, BucketPolicySetting policy) => new { name, enabled = policy.IsEnabled, policy.Text };

    private async Task<(int, object)> EstimateAsync(BucketRecord bucket, ILifecycleGrain grain, CostQuestion question, CancellationToken ct)
    {
        if (question.Text is null) return AdminRequests.Refused("text: a policy is wanted.");
        var from = new UsageMonth(UsageMonth.Of(clock.GetUtcNow()).Number - 11);
        if (question.From is not null && !UsageMonth.TryParse(question.From, out from)) return AdminRequests.Refused("from: a month, as 2026-11.");
        var tiers = await RequireMeantAsync(LifecyclePolicy.Parse(question.Text), ct);
        if (reader is not null && (await reader.DescribeAsync(ct)).RefusalByOlder(ClusterLevels.Usage) is { } refusal) return (StatusCodes.Status409Conflict, new { error = refusal });
        var estimate = await grain.EstimateAsync(question.Text, from.Number, PreviewMax, ct);
        return (StatusCodes.Status200OK, new { from = from.ToString(), estimate.IsWhole, estimate.Looked, with = Describe(estimate.With), asItIs = Describe(estimate.AsItIs), unmoved = Describe(estimate.Unmoved) });

        object Describe(ImmutableArray<EstimatedUsage> usage)
        {
            var months = UsageReport.InOrder(usage, tiers, static u => (u.Month, u.StorageClass)).Select(static m => (m.Usage, m.Tier, Cost: UsageReport.CostOf(m.Usage, m.Tier))).ToList();
            return new
            {
                // Sums that leave out what is not known can't be compared. Moves are a small part, and mostly nobody has said what they cost: that is said beside it.
                total = months.Exists(static m => m.Usage.ByteMonths > 0 && m.Cost.Storage is null) ? (decimal?)null : months.Sum(static m => m.Cost.Total ?? 0),
                hasAllMoves = !months.Exists(static m => m.Usage.Moves > 0 && m.Cost.Writes is null),
                months = months.Select(static m => new
                {
                    month = new UsageMonth(m.Usage.Month).ToString(), tier = m.Tier?.Name, m.Usage.StorageClass, byteMonths = decimal.Round(m.Usage.ByteMonths, 3), m.Usage.Moves,
                    cost = new { m.Cost.Storage, moves = m.Cost.Writes, m.Cost.Total },
                }),
            };
        }
    }

    private async Task<(int, object)> PreviewAsync(BucketRecord bucket, ILifecycleGrain grain, PreviewQuestion wanted, CancellationToken ct)
    {
        if (wanted.Text is null) return AdminRequests.Refused("text: a policy is wanted.");
        var policy = LifecyclePolicy.Parse(wanted.Text);
        await RequireMeantAsync(policy, ct);
        if (policy.Needs.HasFlag(LifecycleNeeds.Access) && BucketRules.Of(bucket).AccessCounting is null)
            return AdminRequests.Refused($"Accesses of {bucket.Name} are not counted yet, so nobody knows what this would move. They are from the time on that a policy which asks for them is saved, or that PUT {Path}/{bucket.Name}/accesses says so.");
        return await PreviewAsync(grain, wanted.Text, wanted.After, ct);
    }

    /// <summary>One page: <c>next</c> is for the request after it, and null at the end.</summary>
    private async Task<(int, object)> PreviewAsync(ILifecycleGrain grain, string? policy, Place? after, CancellationToken ct)
    {
        LifecyclePlace? place = null;
        if (after is not null)
        {
            VersionName? named = null;
            if (after.VersionId is { } id)
            {
                if (!VersionName.TryParse(id, out var name)) return AdminRequests.Refused($"after: {id} is no version's id.");
                named = name;
            }
            if (after.Key is null || after.Noncurrent < 0) return AdminRequests.Refused("after: what next was, with key, versionId, revision, above and noncurrent.");
            place = new(after.Key, named, after.Revision, after.Above, after.Noncurrent);
        }
        try
        {
            return (StatusCodes.Status200OK, await DescribeAsync(await grain.PreviewPageAsync(policy, place, PreviewMax, ct), ct));
        }
        catch (SerializerException) when (place is null)
        {
            // The silo that has the grain runs a program that knows no pages.
            var report = policy is null ? await grain.PreviewAsync(PreviewMax, ct) : await grain.PreviewPolicyAsync(policy, PreviewMax, ct);
            return (StatusCodes.Status200OK, await DescribeAsync(new(LifecycleReport.Whole(report)!, null), ct));
        }
    }

    private static async Task<(int, object)> ExplainAsync(ILifecycleGrain grain, string bucket, string? key, string? versionId, CancellationToken ct)
    {
        if (string.IsNullOrEmpty(key)) return AdminRequests.Refused("key is wanted.");
        VersionName? named = null;
        if (!string.IsNullOrEmpty(versionId))
        {
            if (!VersionName.TryParse(versionId, out var name)) return AdminRequests.Refused($"versionId: {versionId} is none.");
            named = name;
        }
        return await grain.ExplainAsync(key, named, ct) is { } lines
            ? (StatusCodes.Status200OK, new { bucket, key, lines })
            : Missing($"There is no {key} in {bucket}{(named is null ? "" : " of that version")}.");
    }

    private async Task<(int, object)> CountAsync(BucketRecord bucket, Counting wanted, CancellationToken ct)
    {
        if (wanted.Counted is not { } isWanted) return AdminRequests.Refused("counted: true or false is wanted.");
        if (!isWanted && (await ListAsync(bucket, ct)).FirstOrDefault(p => p.Setting.IsEnabled && LifecyclePolicy.Parse(p.Setting.Text).Needs.HasFlag(LifecycleNeeds.Access)).Name is { } policy)
            return AdminRequests.Refused($"The policy {policy} asks for accesses: disable it first.");
        return (StatusCodes.Status200OK, Describe(BucketRules.Of(await CountAsync(bucket, isWanted, ct)).AccessCounting));
    }

    /// <returns>As it is now.</returns>
    private async Task<BucketRecord> CountAsync(BucketRecord bucket, bool isWanted, CancellationToken ct)
    {
        if (BucketRules.Of(bucket).AccessCounting is not null == isWanted) return bucket;
        if (isWanted && reader is not null && (await reader.DescribeAsync(ct)).RefusalByOlder(ClusterLevels.Accesses) is { } refusal) throw new StorageException(StorageError.Conflict, refusal);
        return await grains.GetGrain<IBucketGrain>(bucket.Name).SetAsync(bucket.Id, new(BucketSettings.AccessCounting, "", isWanted ? SettingJson.Write(new AccessCounting(clock.GetUtcNow())) : null, bucket.Revision), ct);
    }

    private async Task<(int, object)> SaveAsync(BucketRecord bucket, string name, Wanted wanted, CancellationToken ct)
    {
        if (!BucketPolicySetting.IsName(name)) return AdminRequests.Refused("A policy's name has 1 to 64 lower-case letters, digits, dashes, underscores and dots.");
        var all = await ListAsync(bucket, ct);
        var before = all.Find(p => p.Name == name).Setting;
        if ((wanted.Text ?? before?.Text) is not { } text) return before is null && wanted.Enabled is not null ? Missing($"There is no policy {name}.") : AdminRequests.Refused("text: a policy is wanted.");
        if (before is null && all.Count >= BucketSettings.WithIdMax) return AdminRequests.Refused($"A bucket has at most {BucketSettings.WithIdMax} policies.");
        var next = new BucketPolicySetting(text, wanted.Enabled ?? before?.IsEnabled ?? true);
        string? warning = null;
        if (next.IsEnabled)
        {
            var policy = LifecyclePolicy.Parse(text);
            var tiers = await RequireMeantAsync(policy, ct);
            if (FindNewMistake(bucket, all, Join([.. all.Where(p => p.Name != name), (name, next)]), tiers) is { } mistake) return AdminRequests.Refused(mistake);
            if (policy.Needs.HasFlag(LifecycleNeeds.Access)) bucket = await CountAsync(bucket, isWanted: true, ct);
        }
        else
        {
            // One that was kept already may be a newer program's, which this one can't read.
            if (wanted.Text is not null) LifecyclePolicy.Parse(text);
            warning = await WarnOfWithoutAsync(bucket, all, name, ct);
        }
        await grains.GetGrain<IBucketGrain>(bucket.Name).SetAsync(bucket.Id, new(BucketSettings.TierPolicies, name, SettingJson.Write(next), bucket.Revision), ct);
        return (StatusCodes.Status200OK, new { name, enabled = next.IsEnabled, next.Text, warning });
    }

    private async Task<(int, object)> RemoveAsync(BucketRecord bucket, string name, CancellationToken ct)
    {
        var all = await ListAsync(bucket, ct);
        if (!all.Exists(p => p.Name == name)) return Missing($"There is no policy {name}.");
        var warning = await WarnOfWithoutAsync(bucket, all, name, ct);
        await grains.GetGrain<IBucketGrain>(bucket.Name).SetAsync(bucket.Id, new(BucketSettings.TierPolicies, name, null, bucket.Revision), ct);
        return (StatusCodes.Status200OK, new { name, deleted = true, warning });
    }

    /// <summary>What does not go together any more where a policy decided that decides no more. That is no reason to refuse: who wants one to end has it ended, and runs go round in no circle.</summary>
    private async Task<string?> WarnOfWithoutAsync(BucketRecord bucket, List<(string Name, BucketPolicySetting Setting)> all, string name, CancellationToken ct) =>
        FindNewMistake(bucket, all, JoinOrNone(all.Where(p => p.Name != name)), await grains.GetGrain<ITiersGrain>(ITiersGrain.Key).ListAsync(ct));

    private static string? FindNewMistake(BucketRecord bucket, IEnumerable<(string, BucketPolicySetting)> before, BucketPolicies after, ImmutableArray<Tier> tiers) =>
        BucketLifecycle.Of(bucket, after).FindNewMistake(BucketLifecycle.Of(bucket, JoinOrNone(before)), tiers);

    /// <summary>Those that are enabled, as one; none where they can't be read.</summary>
    private static BucketPolicies JoinOrNone(IEnumerable<(string, BucketPolicySetting)> policies)
    {
        try
        {
            return Join(policies);
        }
        catch (StorageException)
        {
            return BucketPolicies.None;
        }
    }

    /// <summary>Those that are enabled, as one.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: they can't be read, or together are too much.</exception>
    private static BucketPolicies Join(IEnumerable<(string Name, BucketPolicySetting Setting)> policies)
    {
        try
        {
            return new(policies.Where(static p => p.Setting.IsEnabled).OrderBy(static p => p.Name, StringComparer.Ordinal).Select(static p => (p.Name, LifecyclePolicy.Parse(p.Setting.Text))));
        }
        catch (LifecyclePolicyFormatException e)
        {
            throw new StorageException(StorageError.InvalidArgument, $"All enabled policies of the bucket together: {e.Sentence}", e);
        }
    }

    private async Task<List<(string Name, BucketPolicySetting Setting)>> ListAsync(BucketRecord bucket, CancellationToken ct) =>
        [.. (await index.ListSettingsAsync(bucket.Id, BucketSettings.TierPolicies, "", BucketSettings.WithIdMax, ct)).Select(s => (s.Id, SettingJson.Read<BucketPolicySetting>(s.Document)))];

    /// <summary>Refuses what can't be: tiers that are not there or take nothing, and rules that can't be meant.</summary>
    /// <returns>The tiers there are.</returns>
    /// <exception cref="LifecyclePolicyFormatException">Of a tier.</exception>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: of a rule.</exception>
    private async Task<ImmutableArray<Tier>> RequireMeantAsync(LifecyclePolicy policy, CancellationToken ct)
    {
        var grain = grains.GetGrain<ITiersGrain>(ITiersGrain.Key);
        var tiers = await grain.ListAsync(ct);
        foreach (var mention in policy.Tiers)
        {
            if (tiers.All(t => t.Name != mention.Tier)) throw policy.Refusal(mention, TierRules.MissingOf(mention.Tier));
            if (!mention.IsTarget) continue;
            try
            {
                await grain.FindUsableAsync([mention.Tier], ct);
            }
            catch (StorageException e) when (e.Error is StorageError.InvalidArgument or StorageError.NoSuchTier or StorageError.NoSuchIntegration)
            {
                throw policy.Refusal(mention, e.Message);
            }
        }
        var mistakes = policy.FindMistakes(TierRules.ClassIn(tiers));
        return mistakes.IsEmpty ? tiers : throw new StorageException(StorageError.InvalidArgument, string.Join('\n', mistakes.Select(m => m.Sentence)));
    }
}
