using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Rules.Buckets;
using Microsoft.AspNetCore.Http;
using Orleans;

namespace DarkStorage.ClientApi.Admin;

/// <summary>The cluster's nodes and where the data is: <c>GET /v1/cluster</c>, <c>POST /v1/cluster/nodes/NAME/drain</c>, <c>POST /v1/cluster/nodes/NAME/activate</c>, <c>POST /v1/cluster/nodes/NAME/replace</c>,
/// <c>PUT /v1/cluster/nodes/NAME</c> with a weight, <c>DELETE /v1/cluster/nodes/NAME</c>; what became of such changes: <c>GET /v1/cluster/jobs</c>, <c>GET</c> and <c>DELETE /v1/cluster/jobs/ID</c>;
/// what nodes spend on them: <c>GET</c>, <c>PUT</c> and <c>DELETE /v1/cluster/rate</c>; how much is kept of everything: <c>PUT /v1/cluster/replication</c>, and of what a bucket is given from now
/// on: <c>GET</c>, <c>PUT</c> and <c>DELETE /v1/cluster/buckets/NAME</c>. For administrators with Basic authentication.</summary>
/// <param name="reader">Null on a node that stands alone.</param>
internal sealed class ClusterApi(Credentials credentials, NodeStatus node, IIndexReader index, IGrainFactory grains, IClusterReader? reader = null)
{
    public const string Path = "/v1/cluster";

    private sealed record NewWeight(int? Weight);

    private sealed record NewReplication(int? Copies, int? Width, bool? ZonesMayBeShared);

    private sealed record NewRate(int? MibPerSecond);

    /// <returns>The status and the body of the answer.</returns>
    public async Task<(int Status, object Body)> HandleAsync(HttpContext http, CancellationToken ct)
    {
        if (!await credentials.IsAdministratorAsync(http, ct)) return AdminRequests.Unauthorized;
        if (!node.IsMember || reader is null) return (StatusCodes.Status404NotFound, new { error = "This node stands alone: it is of no cluster." });
        var cluster = grains.GetGrain<IClusterGrain>(IClusterGrain.Key);
        var rest = http.Request.Path.Value![Path.Length..].Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (http.Request.Method == "GET" && rest.Length == 0) return (StatusCodes.Status200OK, Shown(await reader.DescribeAsync(ct)));
        try
        {
            return rest switch
            {
                ["buckets", var bucket] => await OfBucketAsync(http, cluster, reader, bucket, ct),
                ["replication"] when http.Request.Method == "PUT" => await ChangeReplicationAsync(http, cluster, reader, ct),
                ["jobs"] when http.Request.Method == "GET" => (StatusCodes.Status200OK, new { jobs = (await reader.ListJobsAsync(ct)).Select(Shown) }),
                ["jobs", var id] => await OfJobAsync(http, cluster, reader, id, ct),
                ["rate"] => await OfRateAsync(http, cluster, reader, ct),
                ["nodes", var name, ..] => await OfNodeAsync(http, cluster, reader, name, rest, ct),
                _ => NoSuchRequest,
            };
        }
        catch (JsonException e)
        {
            return AdminRequests.Refused($"The body is not the JSON that is wanted: {e.Message}");
        }
    }

    private static async Task<(int, object)> OfNodeAsync(HttpContext http, IClusterGrain cluster, IClusterReader reader, string name, string[] rest, CancellationToken ct)
    {
        var known = (await reader.DescribeAsync(ct)).Nodes.FirstOrDefault(n => n.Name == name);
        if (known is null) return (StatusCodes.Status404NotFound, new { error = $"There is no node {name}." });
        if ((http.Request.Method, rest) is ("POST", [_, _, "replace"]))
        {
            var refusal = (await reader.DescribeAsync(ct)).RefusalByOlder(ClusterLevels.Jobs) ?? await cluster.ReplaceAsync(known.Id, ct);
            return refusal is null ? (StatusCodes.Status200OK, Shown(await reader.DescribeAsync(ct))) : (StatusCodes.Status409Conflict, new { error = refusal });
        }
        LayoutChange? change = (http.Request.Method, rest) switch
        {
            ("POST", [_, _, "drain"]) => new DrainNode(known.Id),
            ("POST", [_, _, "activate"]) => new AddNode(known.Id, known.Name, known.Zone, known.Weight),
            ("PUT", [_, _]) => (await AdminRequests.ReadAsync<NewWeight>(http, ct)).Weight is { } weight ? new ReweighNode(known.Id, weight) : throw new JsonException("weight: a whole number."),
            ("DELETE", [_, _]) => new RemoveNode(known.Id),
            _ => null,
        };
        return change is null ? NoSuchRequest : await ChangeAsync(cluster, reader, change, ct);
    }

    private static async Task<(int, object)> OfJobAsync(HttpContext http, IClusterGrain cluster, IClusterReader reader, string text, CancellationToken ct)
    {
        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var id) || await FindAsync() is not { } job) return (StatusCodes.Status404NotFound, new { error = $"There is no job {text}." });
        switch (http.Request.Method)
        {
            case "GET":
                return (StatusCodes.Status200OK, Shown(job));
            case "DELETE":
                if (((await reader.DescribeAsync(ct)).RefusalByOlder(ClusterLevels.Jobs) ?? await cluster.CancelAsync(id, ct)) is { } refusal) return (StatusCodes.Status409Conflict, new { error = refusal });
                return (StatusCodes.Status200OK, Shown(await FindAsync() ?? job));
            default:
                return NoSuchRequest;
        }

        async Task<ClusterJob?> FindAsync() => (await reader.ListJobsAsync(ct)).FirstOrDefault(j => j.Id == id);
    }

    private static async Task<(int, object)> OfRateAsync(HttpContext http, IClusterGrain cluster, IClusterReader reader, CancellationToken ct)
    {
        int? rate;
        switch (http.Request.Method)
        {
            case "GET":
                return (StatusCodes.Status200OK, new { mibPerSecond = await reader.ReadHealRateAsync(ct) });
            case "PUT":
                rate = (await AdminRequests.ReadAsync<NewRate>(http, ct)).MibPerSecond;
                if (rate is null or < IClusterGrain.HealMiBPerSecondLeast or > IClusterGrain.HealMiBPerSecondMost)
                    throw new JsonException($"mibPerSecond: a whole number from {IClusterGrain.HealMiBPerSecondLeast} to {IClusterGrain.HealMiBPerSecondMost}.");
                break;
            case "DELETE":
                rate = null;
                break;
            default:
                return NoSuchRequest;
        }
        if ((await reader.DescribeAsync(ct)).RefusalByOlder(ClusterLevels.Jobs) is { } refusal) return (StatusCodes.Status409Conflict, new { error = refusal });
        await cluster.SetHealRateAsync(rate, ct);
        return (StatusCodes.Status200OK, new { mibPerSecond = rate });
    }

    /// <summary>What is not said stays as it is.</summary>
    private static async Task<(int, object)> ChangeReplicationAsync(HttpContext http, IClusterGrain cluster, IClusterReader reader, CancellationToken ct)
    {
        var (copies, width, mayBeShared) = await AdminRequests.ReadAsync<NewReplication>(http, ct);
        var known = await reader.DescribeAsync(ct);
        if (known.RefusalByOlder(ClusterLevels.Redundancy) is { } refusal) return (StatusCodes.Status409Conflict, new { error = refusal });
        var current = known.Replication;
        var factor = copies ?? current.Factor;
        return await ChangeAsync(cluster, reader, new ChangeReplication(new(factor, Math.Max(factor, width ?? current.Width), mayBeShared ?? current.ZonesMayBeShared)), ct);
    }

    private static async Task<(int, object)> ChangeAsync(IClusterGrain cluster, IClusterReader reader, LayoutChange change, CancellationToken ct) =>
        await cluster.ChangeAsync(change, ct) is { } refusal
            ? (StatusCodes.Status409Conflict, new { error = refusal })
            : (StatusCodes.Status200OK, Shown(await reader.DescribeAsync(ct)));

    private async Task<(int, object)> OfBucketAsync(HttpContext http, IClusterGrain cluster, IClusterReader reader, string name, CancellationToken ct)
    {
        if (await index.FindBucketAsync(name, ct) is not { } bucket) return (StatusCodes.Status404NotFound, new { error = $"There is no bucket {name}." });
        switch (http.Request.Method)
        {
            case "GET":
                break;
            case "PUT":
                var wanted = await AdminRequests.ReadAsync<BucketRedundancy>(http, ct);
                var refusal = wanted.Refusal() ?? (await reader.DescribeAsync(ct)).RefusalByOlder(ClusterLevels.Redundancy) ?? await cluster.AllowAsync(wanted.Copies, wanted.Data, wanted.Parity, ct);
                if (refusal is not null) return (StatusCodes.Status409Conflict, new { error = refusal });
                bucket = await grains.GetGrain<IBucketGrain>(name).SetAsync(bucket.Id, new(BucketSettings.Redundancy, "", SettingJson.Write(wanted)), ct);
                break;
            case "DELETE":
                bucket = await grains.GetGrain<IBucketGrain>(name).SetAsync(bucket.Id, new(BucketSettings.Redundancy, "", null), ct);
                break;
            default:
                return NoSuchRequest;
        }
        return (StatusCodes.Status200OK, new { bucket = bucket.Name, redundancy = BucketRules.Of(bucket).Redundancy.ToString() });
    }

    private static (int, object) NoSuchRequest =>
        (StatusCodes.Status405MethodNotAllowed, new
        {
            error = $"There are GET {Path}, POST {Path}/nodes/NAME/drain, POST {Path}/nodes/NAME/activate, POST {Path}/nodes/NAME/replace, PUT and DELETE {Path}/nodes/NAME, GET {Path}/jobs, GET and DELETE {Path}/jobs/ID, GET, PUT and DELETE {Path}/rate, PUT {Path}/replication, and GET, PUT and DELETE {Path}/buckets/NAME.",
        });

    private static object Shown(ClusterJob job) => new
    {
        id = job.Id, kind = job.Kind, node = job.Node, asked = JsonNode.Parse(job.Change), state = job.State, canBeCancelled = job.CanBeCancelled, begun = job.Begun, ended = job.Ended, waitsFor = job.WaitsFor,
        blobs = job.Nodes.Sum(n => n.Blobs), passed = job.Nodes.Sum(n => n.Passed), copied = job.Nodes.Sum(n => n.Copied), bytes = job.Nodes.Sum(n => n.Bytes),
        nodes = job.Nodes.Select(n => new
        {
            name = n.Name, done = n.IsDone, blobs = n.Blobs, passed = n.Passed, copied = n.Copied, bytes = n.Bytes, seconds = Math.Round(n.Time.TotalSeconds, 1),
            bytesPerSecond = n.Time > TimeSpan.Zero ? (long)(n.Bytes / n.Time.TotalSeconds) : 0,
            // Where what is left takes as long as what was done, blob by blob.
            secondsLeft = n is { IsDone: false, Passed: > 0 } ? Math.Round(n.Time.TotalSeconds * (n.Blobs - n.Passed) / n.Passed, 1) : (double?)null,
        }),
    };

    private static object Shown(ClusterDescription cluster) => new
    {
        id = cluster.Id,
        layout = new { version = cluster.LayoutVersion, copies = cluster.Replication.Factor, width = cluster.Replication.Width, partitions = cluster.Partitions, moving = cluster.PartitionsMoving },
        nodes = cluster.Nodes.Select(n => new
        {
            id = n.Id.ToString(), name = n.Name, zone = n.Zone, address = n.Address, weight = n.Weight, state = n.State, partitions = n.Partitions,
            layoutSeen = n.LayoutSeen, layoutMoved = n.LayoutMoved, repairs = n.Repairs, level = n.Level,
        }),
    };
}
