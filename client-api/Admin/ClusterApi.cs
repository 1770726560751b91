using System.Text.Json;
using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Rules.Buckets;
using Microsoft.AspNetCore.Http;
using Orleans;

namespace DarkStorage.ClientApi.Admin;

/// <summary>The cluster's nodes and where the data is: <c>GET /v1/cluster</c>, <c>POST /v1/cluster/nodes/NAME/drain</c>, <c>POST /v1/cluster/nodes/NAME/activate</c>,
/// <c>PUT /v1/cluster/nodes/NAME</c> with a weight, <c>DELETE /v1/cluster/nodes/NAME</c>; how much is kept of everything: <c>PUT /v1/cluster/replication</c>, and of what a bucket is given from now
/// on: <c>GET</c>, <c>PUT</c> and <c>DELETE /v1/cluster/buckets/NAME</c>. For administrators with Basic authentication.</summary>
internal sealed class ClusterApi(Credentials credentials, NodeStatus node, IIndexReader index, IGrainFactory grains)
{
    public const string Path = "/v1/cluster";

    private sealed record NewWeight(int? Weight);

    private sealed record NewReplication(int? Copies, int? Width, bool? ZonesMayBeShared);

    /// <returns>The status and the body of the answer.</returns>
    public async Task<(int Status, object Body)> HandleAsync(HttpContext http, CancellationToken ct)
    {
        if (!await credentials.IsAdministratorAsync(http, ct)) return AdminRequests.Unauthorized;
        if (!node.IsMember) return (StatusCodes.Status404NotFound, new { error = "This node stands alone: it is of no cluster." });
        var cluster = grains.GetGrain<IClusterGrain>(IClusterGrain.Key);
        var rest = http.Request.Path.Value![Path.Length..].Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (http.Request.Method == "GET" && rest.Length == 0) return (StatusCodes.Status200OK, Shown(await cluster.DescribeAsync(ct)));
        try
        {
            return rest switch
            {
                ["buckets", var bucket] => await OfBucketAsync(http, cluster, bucket, ct),
                ["replication"] when http.Request.Method == "PUT" => await ChangeAsync(cluster, await ReplicationAsync(http, cluster, ct), ct),
                ["nodes", var name, ..] => await OfNodeAsync(http, cluster, name, rest, ct),
                _ => NoSuchRequest,
            };
        }
        catch (JsonException e)
        {
            return AdminRequests.Refused($"The body is not the JSON that is wanted: {e.Message}");
        }
    }

    private async Task<(int, object)> OfNodeAsync(HttpContext http, IClusterGrain cluster, string name, string[] rest, CancellationToken ct)
    {
        var known = (await cluster.DescribeAsync(ct)).Nodes.FirstOrDefault(n => n.Name == name);
        if (known is null) return (StatusCodes.Status404NotFound, new { error = $"There is no node {name}." });
        LayoutChange? change = (http.Request.Method, rest) switch
        {
            ("POST", [_, _, "drain"]) => new DrainNode(known.Id),
            ("POST", [_, _, "activate"]) => new AddNode(known.Id, known.Name, known.Zone, known.Weight),
            ("PUT", [_, _]) => (await AdminRequests.ReadAsync<NewWeight>(http, ct)).Weight is { } weight ? new ReweighNode(known.Id, weight) : throw new JsonException("weight: a whole number."),
            ("DELETE", [_, _]) => new RemoveNode(known.Id),
            _ => null,
        };
        return change is null ? NoSuchRequest : await ChangeAsync(cluster, change, ct);
    }

    /// <summary>What is not said stays as it is.</summary>
    private static async Task<LayoutChange> ReplicationAsync(HttpContext http, IClusterGrain cluster, CancellationToken ct)
    {
        var (copies, width, mayBeShared) = await AdminRequests.ReadAsync<NewReplication>(http, ct);
        var current = (await cluster.DescribeAsync(ct)).Replication;
        var factor = copies ?? current.Factor;
        return new ChangeReplication(new(factor, Math.Max(factor, width ?? current.Width), mayBeShared ?? current.ZonesMayBeShared));
    }

    private static async Task<(int, object)> ChangeAsync(IClusterGrain cluster, LayoutChange change, CancellationToken ct) =>
        await cluster.ChangeAsync(change, ct) is { } refusal
            ? (StatusCodes.Status409Conflict, new { error = refusal })
            : (StatusCodes.Status200OK, Shown(await cluster.DescribeAsync(ct)));

    private async Task<(int, object)> OfBucketAsync(HttpContext http, IClusterGrain cluster, string name, CancellationToken ct)
    {
        if (await index.FindBucketAsync(name, ct) is not { } bucket) return (StatusCodes.Status404NotFound, new { error = $"There is no bucket {name}." });
        switch (http.Request.Method)
        {
            case "GET":
                break;
            case "PUT":
                var wanted = await AdminRequests.ReadAsync<BucketRedundancy>(http, ct);
                var refusal = wanted.Refusal() ?? await cluster.RefusalOfAsync(wanted.Copies, wanted.Data, wanted.Parity, ct);
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
            error = $"There are GET {Path}, POST {Path}/nodes/NAME/drain, POST {Path}/nodes/NAME/activate, PUT and DELETE {Path}/nodes/NAME, PUT {Path}/replication, and GET, PUT and DELETE {Path}/buckets/NAME.",
        });

    private static object Shown(ClusterDescription cluster) => new
    {
        id = cluster.Id,
        layout = new { version = cluster.LayoutVersion, copies = cluster.Replication.Factor, width = cluster.Replication.Width, partitions = cluster.Partitions, moving = cluster.PartitionsMoving },
        nodes = cluster.Nodes.Select(n => new
        {
            id = n.Id.ToString(), name = n.Name, zone = n.Zone, address = n.Address, weight = n.Weight, state = n.State, partitions = n.Partitions,
            layoutSeen = n.LayoutSeen, layoutMoved = n.LayoutMoved, repairs = n.Repairs,
        }),
    };
}
