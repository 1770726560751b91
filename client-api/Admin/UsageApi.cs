using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Tiers;
using DarkStorage.Rules.Tiers;
using Microsoft.AspNetCore.Http;
using Orleans;

namespace DarkStorage.ClientApi.Admin;

/// <summary>What was there and what it costs, by tier and month: <c>GET /v1/usage?bucket=&amp;from=&amp;to=</c>; by bucket: <c>GET /v1/usage/buckets?month=&amp;after=</c>. For administrators with Basic authentication.</summary>
internal sealed class UsageApi(Credentials credentials, IIndexReader index, IGrainFactory grains, TimeProvider clock)
{
    public const string Path = "/v1/usage";

    /// <summary>Of the answer where nothing is said.</summary>
    private const int MonthsUsual = 12;

    private const int MonthsMax = 1200;

    /// <summary>In one answer.</summary>
    private const int BucketsMax = 100;

    /// <returns>The status and the body of the answer.</returns>
    public async Task<(int Status, object Body)> HandleAsync(HttpContext http, CancellationToken ct)
    {
        if (!await credentials.IsAdministratorAsync(http, ct)) return AdminRequests.Unauthorized;
        return (http.Request.Method, http.Request.Path.Value![Path.Length..].Trim('/')) switch
        {
            ("GET", "") => await DescribeAsync(http.Request.Query, ct),
            ("GET", "buckets") => await ListBucketsAsync(http.Request.Query, ct),
            _ => (StatusCodes.Status405MethodNotAllowed, new { error = $"There are GET {Path} and GET {Path}/buckets." }),
        };
    }

    private async Task<(int, object)> DescribeAsync(IQueryCollection query, CancellationToken ct)
    {
        var now = clock.GetUtcNow();
        string? name = query["bucket"];
        if (!TryReadMonth(query, "to", UsageMonth.Of(now), out var to, out var refusal)) return refusal;
        if (!TryReadMonth(query, "from", new(Math.Max(UsageMonth.First.Number, to.Number - MonthsUsual + 1)), out var from, out refusal)) return refusal;
        if (from.Number > to.Number) return AdminRequests.Refused($"from: {from} is after {to}.");
        if (to.Number - from.Number >= MonthsMax) return AdminRequests.Refused($"At most {MonthsMax} months are told at one time.");
        BucketId? id = null;
        if (!string.IsNullOrEmpty(name))
        {
            if (await index.FindBucketAsync(name, ct) is not { } bucket) return (StatusCodes.Status404NotFound, new { error = $"There is no bucket {name}." });
            id = bucket.Id;
        }
        var tiers = await ListTiersAsync(ct);
        var months = UsageReport.Months(await index.ListUsageAsync(id, ct), from, to, now);
        return (StatusCodes.Status200OK, new { bucket = id is null ? null : name, from = from.ToString(), to = to.ToString(), entries = Describe(months, tiers) });
    }

    /// <summary>One page: <c>next</c> is the <c>after</c> of the next request, and null at the end.</summary>
    private async Task<(int, object)> ListBucketsAsync(IQueryCollection query, CancellationToken ct)
    {
        var now = clock.GetUtcNow();
        if (!TryReadMonth(query, "month", UsageMonth.Of(now), out var month, out var refusal)) return refusal;
        var tiers = await ListTiersAsync(ct);
        var buckets = await index.ListBucketsAsync(null, "", query["after"].ToString(), BucketsMax, ct);
        var entries = new List<object>();
        foreach (var bucket in buckets)
        {
            var usage = UsageReport.Months(await index.ListUsageAsync(bucket.Id, ct), month, month, now);
            entries.AddRange(Describe(usage, tiers).Select(u => new { bucket = bucket.Name, usage = u }));
        }
        return (StatusCodes.Status200OK, new { month = month.ToString(), entries, next = buckets.Count == BucketsMax ? buckets[^1].Name : null });
    }

    private async Task<IReadOnlyList<Tier>> ListTiersAsync(CancellationToken ct) => await grains.GetGrain<ITiersGrain>(ITiersGrain.Key).ListAsync(ct);

    private static bool TryReadMonth(IQueryCollection query, string name, UsageMonth otherwise, out UsageMonth month, out (int, object) refusal)
    {
        (month, refusal) = (otherwise, default);
        string? text = query[name];
        if (string.IsNullOrEmpty(text) || UsageMonth.TryParse(text, out month)) return true;
        refusal = AdminRequests.Refused($"{name}: a month, as 2026-11.");
        return false;
    }

    private static IEnumerable<object> Describe(IEnumerable<ClassUsage> usage, IReadOnlyList<Tier> tiers) => UsageReport.InOrder(usage, tiers, static u => (u.Month.Number, u.StorageClass)).Select(static u => Describe(u.Usage, u.Tier));

    private static object Describe(ClassUsage usage, Tier? tier)
    {
        var cost = UsageReport.CostOf(usage, tier);
        return new
        {
            month = usage.Month.ToString(),
            tier = tier?.Name,
            storageClass = usage.StorageClass.Length == 0 ? null : usage.StorageClass,
            usage.Objects,
            usage.Bytes,
            byteMonths = decimal.Round(usage.ByteMonths, 3),
            usage.Traffic.Reads,
            usage.Traffic.Writes,
            usage.Traffic.Deletes,
            usage.Traffic.Received,
            usage.Traffic.Sent,
            cost = new { cost.Storage, cost.Reads, cost.Writes, cost.Egress, cost.Total },
        };
    }
}
