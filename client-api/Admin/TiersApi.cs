using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using DarkStorage.ClientApi.S3;
using DarkStorage.ClientApi.S3.Settings;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Lifecycle;
using DarkStorage.Rules.Tiers;
using Microsoft.AspNetCore.Http;
using Orleans;
using Orleans.Serialization;

namespace DarkStorage.ClientApi.Admin;

/// <summary>Tiers, and what is in which: <c>GET /v1/tiers?all=</c>; <c>PUT</c> and <c>DELETE /v1/tiers/NAME</c>; <c>POST /v1/tiers/NAME/assign</c>, of a version or of a prefix; <c>GET /v1/tiers/object?bucket=&amp;key=&amp;versionId=</c>; <c>GET /v1/tiers/files?bucket=&amp;prefix=&amp;tier=&amp;allVersions=&amp;after=</c>; <c>GET /v1/tiers/moves</c>; <c>GET</c>, <c>PUT</c> and <c>DELETE /v1/tiers/buckets/BUCKET</c>.
/// For administrators with Basic authentication.</summary>
/// <param name="reader">Null on a node that stands alone.</param>
internal sealed class TiersApi(Credentials credentials, IIndexReader index, IGrainFactory grains, IClusterReader? reader = null)
{
    public const string Path = "/v1/tiers";

    private static readonly Dictionary<string, TierLatency> Latencies = Enum.GetValues<TierLatency>().Where(static l => l != TierLatency.Unknown).ToDictionary(AdminRequests.WordOf, StringComparer.Ordinal);

    private sealed record Configuration(string? StorageClass, string? Integration, string? Latency, decimal? Cost, decimal? CostMultiplier, decimal? ReadCost, decimal? WriteCost, decimal? EgressCost)
    {
        // A property would be a field of the body, which says nothing.
        public TierCosts ToCosts() => new(Cost, ReadCost, WriteCost, EgressCost, CostMultiplier);
    }

    /// <param name="Key">Of one version; else there is a prefix.</param>
    /// <param name="VersionId">Null for the current one.</param>
    /// <param name="AllVersions">Of a prefix, those too that are not current.</param>
    /// <param name="After">Of a prefix, where the answer before ended.</param>
    private sealed record Assignment(string? Bucket, string? Key, string? VersionId, string? Prefix, bool AllVersions, Place? After);

    private sealed record Place(string? Key, string? VersionId, long Revision);

    /// <summary>What a bucket does with what is written to it, by the tiers' names.</summary>
    /// <param name="Revision">Of the answer that was gone by; null where what it said does not matter.</param>
    private sealed record Tiering(ImmutableArray<TieringOfPrefix> Entries, long? Revision);

    /// <param name="Default">Null for the tier <c>hot</c>.</param>
    private sealed record TieringOfPrefix(string? Prefix, string? Default, ImmutableArray<TransitionTo> Transitions);

    private sealed record TransitionTo(string Tier, int Days);

    private ITiersGrain Grain => grains.GetGrain<ITiersGrain>(ITiersGrain.Key);

    /// <returns>The status and the body of the answer.</returns>
    public async Task<(int Status, object Body)> HandleAsync(HttpContext http, CancellationToken ct)
    {
        if (!await credentials.IsAdministratorAsync(http, ct)) return AdminRequests.Unauthorized;
        if (reader is not null && (await reader.DescribeAsync(ct)).RefusalByOlder(ClusterLevels.Places) is { } refusal) return (StatusCodes.Status409Conflict, new { error = refusal });
        var rest = http.Request.Path.Value![Path.Length..].Split('/', StringSplitOptions.RemoveEmptyEntries);
        try
        {
            return (http.Request.Method, rest) switch
            {
                ("GET", []) => (StatusCodes.Status200OK, await ListAsync(http.Request.Query["all"] == "true", ct)),
                ("GET", ["object"]) => await DescribeAsync(http.Request.Query["bucket"], http.Request.Query["key"], http.Request.Query["versionId"], ct),
                ("GET", ["files"]) => await ListFilesAsync(http.Request.Query, ct),
                ("GET", ["moves"]) => (StatusCodes.Status200OK, await ListMovesAsync(ct)),
                (var method, ["buckets", var bucket]) => await TieringAsync(method, bucket, http, ct),
                ("PUT", [var name]) => await ConfigureAsync(name, await AdminRequests.ReadAsync<Configuration>(http, ct), ct),
                ("DELETE", [var name]) => await Grain.RemoveAsync(name, ct) ? (StatusCodes.Status200OK, new { name, deleted = true }) : Missing($"There is no tier {name} that could be removed."),
                ("POST", [var name, "assign"]) => await AssignAsync(name, await AdminRequests.ReadAsync<Assignment>(http, ct), ct),
                _ => (StatusCodes.Status405MethodNotAllowed, new { error = $"There are GET {Path}, PUT and DELETE {Path}/NAME, POST {Path}/NAME/assign, GET, PUT and DELETE {Path}/buckets/BUCKET, GET {Path}/files, GET {Path}/object and GET {Path}/moves." }),
            };
        }
        catch (JsonException e)
        {
            return AdminRequests.Refused($"The body is not the JSON that is wanted: {e.Message}");
        }
        catch (StorageException e) when (e.Error is StorageError.InvalidArgument)
        {
            return AdminRequests.Refused(e.Message);
        }
        catch (StorageException e) when (e.Error is StorageError.NoSuchTier or StorageError.NoSuchIntegration)
        {
            return Missing(e.Message);
        }
        // Damaged are credentials of an integration that no key opens: it says what to do.
        catch (StorageException e) when (e.Error is StorageError.Conflict or StorageError.DataDamaged)
        {
            return (StatusCodes.Status409Conflict, new { error = e.Message });
        }
    }

    private static (int, object) Missing(string error) => (StatusCodes.Status404NotFound, new { error });

    /// <param name="isAll">Those that could be configured are listed behind the others.</param>
    private async Task<object> ListAsync(bool isAll, CancellationToken ct)
    {
        var tiers = await Grain.ListAsync(ct);
        return tiers.Select(static t => Describe(t)).Concat(isAll ? TierRules.Unconfigured(tiers).Select(static t => Describe(t, isConfigured: false)) : []);
    }

    private static object Describe(Tier tier, bool isConfigured = true) => new
    {
        tier.Name, tier.StorageClass, isConfigured, tier.Integration, latency = LatencyOf(tier), tier.Cost, tier.CostMultiplier, tier.ReadCost, tier.WriteCost, tier.EgressCost,
    };

    /// <returns>Null where it is not known, and for no tier.</returns>
    public static string? LatencyOf(Tier? tier) => tier is null or { Latency: TierLatency.Unknown } ? null : AdminRequests.WordOf(tier.Latency);

    private async Task<(int, object)> ConfigureAsync(string name, Configuration wanted, CancellationToken ct)
    {
        if (wanted.Latency is not null && !Latencies.ContainsKey(wanted.Latency)) return AdminRequests.Refused($"latency: one of {string.Join(", ", Latencies.Keys)}.");
        var saysCosts = wanted.ToCosts() != TierCosts.None;
        var level = wanted is { Latency: null, CostMultiplier: null } ? saysCosts ? ClusterLevels.Usage : ClusterLevels.Places : ClusterLevels.TierTraits;
        if (reader is not null && (await reader.DescribeAsync(ct)).RefusalByOlder(level) is { } refusal) return (StatusCodes.Status409Conflict, new { error = refusal });
        if (saysCosts && TierRules.WhyNotCosts(name, wanted.ToCosts()) is { } reason) return AdminRequests.Refused(reason);
        var latency = wanted.Latency is { } word ? Latencies[word] : TierLatency.Unknown;
        // One that is there keeps its class where nobody says another: versions are in a tier by its class.
        var before = (await Grain.ListAsync(ct)).FirstOrDefault(t => t.Name == name);
        var tier = new Tier(name, wanted.StorageClass ?? before?.StorageClass ?? TierRules.UsualClassOf(name) ?? "", wanted.Integration) { Latency = latency };
        if (wanted is not { Integration: null, StorageClass: null } || (wanted.Latency is null && !saysCosts)) tier = await Grain.ConfigureAsync(tier, ct);
        else if (wanted.Latency is not null) tier = await SetLatencyAsync(name, latency, before, ct);
        return (StatusCodes.Status200OK, Describe(saysCosts ? await Grain.SetCostsAsync(name, wanted.ToCosts(), ct) : tier));
    }

    private async Task<Tier> SetLatencyAsync(string name, TierLatency latency, Tier? before, CancellationToken ct)
    {
        try
        {
            return await Grain.SetLatencyAsync(name, latency, ct);
        }
        catch (SerializerException) when (before is not null)
        {
            // The silo that has the grain runs a program that asks the place for it.
            return await Grain.ConfigureAsync(before with { Latency = latency }, ct);
        }
    }

    private async Task<(int, object)> TieringAsync(string method, string name, HttpContext http, CancellationToken ct)
    {
        if (await index.FindBucketAsync(name, ct) is not { } bucket) return Missing($"There is no bucket {name}.");
        var grain = grains.GetGrain<IBucketGrain>(name);
        switch (method)
        {
            case "GET":
                break;
            case "PUT":
                var wanted = await AdminRequests.ReadAsync<Tiering>(http, ct);
                bucket = await grain.DecideAsync(bucket, async current =>
                {
                    if (wanted.Revision is { } seen && seen != current.Revision) throw new StorageException(StorageError.Conflict, $"Settings of {name} were changed since that revision: read again what it says.");
                    var tiering = await ResolveAsync(current, wanted, ct);
                    return await grain.SetAsync(current.Id, new(BucketSettings.Tiering, "", tiering is null ? null : SettingJson.Write(tiering), current.Revision), ct);
                }, ct);
                break;
            case "DELETE":
                bucket = await grain.SetAsync(bucket.Id, new(BucketSettings.Tiering, "", null), ct);
                break;
            default:
                return (StatusCodes.Status405MethodNotAllowed, new { error = $"There are GET, PUT and DELETE {Path}/buckets/BUCKET." });
        }
        return (StatusCodes.Status200OK, await DescribeAsync(bucket, ct));
    }

    /// <summary>What the bucket says already stays as it is, with tiers that are gone, which go by their storage classes, or take nothing at this time: only what is new is asked whether it can be.</summary>
    /// <returns>The setting; null for none.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>, <see cref="StorageError.NoSuchTier"/>: why it can't be.</exception>
    private async Task<BucketTiering?> ResolveAsync(BucketRecord bucket, Tiering wanted, CancellationToken ct)
    {
        if (wanted.Entries.IsDefault || wanted.Entries.Any(e => e is null || (!e.Transitions.IsDefault && e.Transitions.Any(t => t?.Tier is null))))
            throw new StorageException(StorageError.InvalidArgument, "entries, and of each transition tier and days, are wanted.");
        if (wanted.Entries.IsEmpty) return null;
        var before = BucketLifecycle.Of(bucket, BucketPolicies.Of(await index.ListSettingsAsync(bucket.Id, BucketSettings.TierPolicies, "", BucketSettings.WithIdMax, ct)));
        var said = (before.Tiering?.Entries ?? []).SelectMany(static e => e.Transitions.Select(t => (e.Prefix, IsDefault: false, t.StorageClass)).Append((e.Prefix, true, e.DefaultClass ?? ""))).ToHashSet();
        var (tiers, usable) = (await Grain.ListAsync(ct), new Dictionary<string, string>(StringComparer.Ordinal));
        var entries = ImmutableArray.CreateBuilder<TieringEntry>();
        foreach (var entry in wanted.Entries)
        {
            var prefix = entry.Prefix ?? "";
            var steps = ImmutableArray.CreateBuilder<TieringStep>();
            foreach (var step in entry.Transitions.IsDefault ? [] : entry.Transitions) steps.Add(new(await ClassAsync(prefix, isDefault: false, step.Tier), step.Days));
            entries.Add(new(prefix, entry.Default is null ? null : await ClassAsync(prefix, isDefault: true, entry.Default), steps.ToImmutable()));
        }
        var tiering = new BucketTiering(entries.ToImmutable());
        if ((tiering.WhyNot(NameOf) ?? (before with { Tiering = tiering }).FindNewMistake(before, tiers)) is { } refusal) throw new StorageException(StorageError.InvalidArgument, refusal);
        return tiering;

        async ValueTask<string> ClassAsync(string prefix, bool isDefault, string name)
        {
            var storageClass = tiers.FirstOrDefault(t => t.Name == name)?.StorageClass ?? name;
            if (said.Contains((prefix, isDefault, storageClass))) return storageClass;
            if (!usable.TryGetValue(name, out var found)) usable[name] = found = (await Grain.FindUsableAsync([name], ct))[0].StorageClass;
            return found;
        }

        string NameOf(string storageClass) => tiers.FirstOrDefault(t => t.StorageClass == storageClass)?.Name ?? storageClass;
    }

    /// <summary>By the tiers' names, or the storage class where there is no such tier any more.</summary>
    private async Task<object> DescribeAsync(BucketRecord bucket, CancellationToken ct)
    {
        var tiers = await Grain.ListAsync(ct);
        string NameOf(string storageClass) => tiers.FirstOrDefault(t => t.StorageClass == storageClass)?.Name ?? storageClass;
        return new
        {
            bucket = bucket.Name, bucket.Revision,
            entries = (BucketRules.Of(bucket).Tiering?.Entries ?? []).Select(e => new { e.Prefix, Default = NameOf(e.DefaultClass ?? Tier.Hot.StorageClass), transitions = e.Transitions.Select(t => new { tier = NameOf(t.StorageClass), t.Days }) }),
        };
    }

    private async Task<(int, object)> AssignAsync(string tier, Assignment wanted, CancellationToken ct)
    {
        if (wanted is { Key: not null, Prefix: not null }) return AdminRequests.Refused("There is a key and a prefix: one of them is wanted.");
        if (wanted.Prefix is { } prefix) return await AssignPrefixAsync(tier, wanted, prefix, ct);
        var (found, refusal) = await FindAsync(wanted.Bucket, wanted.Key, wanted.VersionId, ct);
        if (found is not var (bucket, version)) return refusal;
        await Grain.AssignAsync(bucket, [new(wanted.Key!, version.Manifest.Version)], tier, ct);
        return (StatusCodes.Status202Accepted, await DescribeAsync(bucket, wanted.Bucket!, wanted.Key!, version, ct));
    }

    /// <summary>One page: <c>next</c> is for the request after it, and null at the end.</summary>
    private async Task<(int, object)> AssignPrefixAsync(string tier, Assignment wanted, string prefix, CancellationToken ct)
    {
        if (wanted.VersionId is not null) return AdminRequests.Refused("A prefix has no versionId.");
        if (await index.FindBucketAsync(wanted.Bucket ?? "", ct) is not { } bucket) return Missing($"There is no bucket {wanted.Bucket}.");
        var page = new Page(wanted.AllVersions);
        var end = await index.ListVersionsAsync(new(bucket.Id, prefix, null, PlaceAfter(wanted.After), ITiersGrain.MovesMax), page, ct);
        await Grain.AssignAsync(bucket.Id, [.. page.Versions.Select(static v => new VersionAddress(v.Key, v.Id))], tier, ct);
        return (StatusCodes.Status202Accepted, new { wanted = page.Versions.Count, next = NextOf(end) });
    }

    /// <summary>One page of the versions that are in a tier, or in any: where none of a page is, there may still be a <c>next</c>.</summary>
    private async Task<(int, object)> ListFilesAsync(IQueryCollection query, CancellationToken ct)
    {
        string? name = query["bucket"], tier = query["tier"], after = query["after"];
        if (await index.FindBucketAsync(name ?? "", ct) is not { } bucket) return Missing($"There is no bucket {name}.");
        var tiers = await Grain.ListAsync(ct);
        var storageClass = tiers.FirstOrDefault(t => t.Name == tier)?.StorageClass;
        if (tier is not null && storageClass is null) return Missing($"There is no tier {tier}.");
        var page = new Page(string.Equals(query["allVersions"], "true", StringComparison.OrdinalIgnoreCase));
        var end = await index.ListVersionsAsync(new(bucket.Id, query["prefix"].ToString(), null, PlaceAfter(after is null ? null : JsonSerializer.Deserialize<Place>(after, JsonSerializerOptions.Web)), ITiersGrain.MovesMax), page, ct);
        return (StatusCodes.Status200OK, new
        {
            files = page.Versions.Where(v => storageClass is null || v.StorageClass == storageClass).Select(v => new
            {
                v.Key, versionId = v.Name.ToString(), v.IsLatest, v.Length, v.Modified, v.StorageClass, tier = tiers.FirstOrDefault(t => t.StorageClass == v.StorageClass)?.Name,
            }),
            next = NextOf(end),
        });
    }

    private static Place? NextOf(VersionListingEnd end) => end.Next is { } more ? new(more.Key, more.Version?.ToString(), more.Revision) : null;

    /// <exception cref="StorageException"><see cref="StorageError.InvalidArgument"/>: it is none.</exception>
    private static VersionPlace PlaceAfter(Place? after)
    {
        if (after is null) return new("", null, 0);
        if (after.Key is null) throw new StorageException(StorageError.InvalidArgument, "after: what next was, with key, versionId and revision.");
        if (after.VersionId is null) return new(after.Key, null, after.Revision);
        return VersionName.TryParse(after.VersionId, out var name)
            ? new(after.Key, name, after.Revision)
            : throw new StorageException(StorageError.InvalidArgument, $"after: {after.VersionId} is no version's id.");
    }

    private async Task<(int, object)> DescribeAsync(string? bucket, string? key, string? versionId, CancellationToken ct)
    {
        var (found, refusal) = await FindAsync(bucket, key, versionId, ct);
        return found is var (id, version) ? (StatusCodes.Status200OK, await DescribeAsync(id, bucket!, key!, version, ct)) : refusal;
    }

    private async Task<((BucketId, ObjectVersion)?, (int, object) Refusal)> FindAsync(string? bucket, string? key, string? versionId, CancellationToken ct)
    {
        if (string.IsNullOrEmpty(bucket) || string.IsNullOrEmpty(key)) return (null, AdminRequests.Refused("bucket and key are wanted."));
        VersionName? named = null;
        if (!string.IsNullOrEmpty(versionId))
        {
            if (!VersionName.TryParse(versionId, out var name)) return (null, AdminRequests.Refused($"versionId: {versionId} is none."));
            named = name;
        }
        if (await index.FindBucketAsync(bucket, ct) is not { } record) return (null, Missing($"There is no bucket {bucket}."));
        var version = named is { } wanted ? await index.FindVersionAsync(record.Id, key, wanted, ct) : await index.FindObjectAsync(record.Id, key, ct);
        return version is null or { IsDeleteMarker: true } ? (null, Missing($"There is no {key} in {bucket}{(named is null ? "" : $" of that version")}.")) : ((record.Id, version), default);
    }

    private async Task<object> DescribeAsync(BucketId id, string bucket, string key, ObjectVersion version, CancellationToken ct)
    {
        var tiers = await Grain.ListAsync(ct);
        var move = await Grain.FindMoveAsync(id, key, version.Manifest.Version, ct);
        // Read after the wish: a commit takes that away and changes the version at once, so one that was done in between is not shown as undone.
        if (await index.FindVersionAsync(id, key, version.Name, ct) is { } now && now.Manifest.Version == version.Manifest.Version) version = now;
        return new
        {
            bucket,
            key,
            versionId = version.Name.ToString(),
            version.Manifest.Length,
            version.StorageClass,
            tier = tiers.FirstOrDefault(t => t.StorageClass == version.StorageClass)?.Name,
            place = PlaceOf(version.Manifest),
            restore = version.Restore is { } restore ? new { restore.Days, speed = AdminRequests.WordOf(restore.Speed), restore.Until, move?.Failure } : null,
            move = move is null or { Wish.Origin: MoveOrigin.Restore } ? null : Describe(move, tiers),
        };
    }

    private async Task<object> ListMovesAsync(CancellationToken ct)
    {
        var tiers = await Grain.ListAsync(ct);
        return (await Grain.ListMovesAsync(ITiersGrain.MovesMax, ct)).Select(m => Describe(m, tiers));
    }

    private static object Describe(Move move, IEnumerable<Tier> tiers) => new
    {
        bucket = move.BucketName,
        move.Wish.Key,
        version = move.Wish.Version.ToString(),
        tier = tiers.FirstOrDefault(t => t.StorageClass == move.Wish.StorageClass)?.Name,
        move.Wish.StorageClass,
        wantedBy = AdminRequests.WordOf(move.Wish.Origin),
        move.Asked,
        move.Due,
        move.Attempts,
        move.Failure,
    };

    /// <summary>Where the bytes are: an integration; the drives; or the index, where small content is and stays.</summary>
    private static string PlaceOf(Manifest manifest) => manifest.Place?.Integration ?? (manifest.Parts.IsDefaultOrEmpty ? "index" : "drives");

    private sealed class Page(bool allVersions) : IVersionListingSink
    {
        public List<(string Key, VersionName Name, VersionId Id, bool IsLatest, long Length, DateTimeOffset Modified, string StorageClass)> Versions { get; } = [];

        public void Version(in ListedObject entry)
        {
            if (!entry.IsDeleteMarker && (allVersions || entry.IsLatest)) Versions.Add((Encoding.UTF8.GetString(entry.Key), entry.Version, entry.Id, entry.IsLatest, entry.Length, entry.Modified, Encoding.UTF8.GetString(entry.StorageClass)));
        }

        public void CommonPrefix(ReadOnlySpan<byte> prefix) => throw new System.Diagnostics.UnreachableException("A listing without a delimiter folds nothing.");
    }
}
