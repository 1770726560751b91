using System.Text.Json;
using DarkStorage.ClientApi.S3;
using DarkStorage.GrainInterfaces.Cluster;
using Microsoft.AspNetCore.Http;
using Orleans;

namespace DarkStorage.ClientApi.Admin;

/// <summary>The cluster's nodes and where the data is: <c>GET /v1/cluster</c>, <c>POST /v1/cluster/nodes/NAME/drain</c>, <c>POST /v1/cluster/nodes/NAME/activate</c>,
/// <c>PUT /v1/cluster/nodes/NAME</c> with a weight, <c>DELETE /v1/cluster/nodes/NAME</c>. For administrators with Basic authentication.</summary>
internal sealed class ClusterApi(Credentials credentials, NodeStatus node, IGrainFactory grains)
{
    public const string Path = "/v1/cluster";

    private sealed record NewWeight(int? Weight);

    /// <returns>The status and the body of the answer.</returns>
    public async Task<(int Status, object Body)> HandleAsync(HttpContext http, CancellationToken ct)
    {
        if (!await credentials.IsAdministratorAsync(http, ct)) return AdminRequests.Unauthorized;
        if (!node.IsMember) return (StatusCodes.Status404NotFound, new { error = "This node stands alone: it is of no cluster." });
        var cluster = grains.GetGrain<IClusterGrain>(IClusterGrain.Key);
        var rest = http.Request.Path.Value![Path.Length..].Split('/', StringSplitOptions.RemoveEmptyEntries);
        if (http.Request.Method == "GET" && rest.Length == 0) return (StatusCodes.Status200OK, Shown(await cluster.DescribeAsync(ct)));
        if (rest is not ["nodes", var name, ..]) return NoSuchRequest;
        var known = (await cluster.DescribeAsync(ct)).Nodes.FirstOrDefault(n => n.Name == name);
        if (known is null) return (StatusCodes.Status404NotFound, new { error = $"There is no node {name}." });
        try
        {
            LayoutChange? change = (http.Request.Method, rest) switch
            {
                ("POST", [_, _, "drain"]) => new DrainNode(known.Id),
                ("POST", [_, _, "activate"]) => new AddNode(known.Id, known.Name, known.Zone, known.Weight),
                ("PUT", [_, _]) => (await AdminRequests.ReadAsync<NewWeight>(http, ct)).Weight is { } weight ? new ReweighNode(known.Id, weight) : throw new JsonException("weight: a whole number."),
                ("DELETE", [_, _]) => new RemoveNode(known.Id),
                _ => null,
            };
            if (change is null) return NoSuchRequest;
            return await cluster.ChangeAsync(change, ct) is { } refusal
                ? (StatusCodes.Status409Conflict, new { error = refusal })
                : (StatusCodes.Status200OK, Shown(await cluster.DescribeAsync(ct)));
        }
        catch (JsonException e)
        {
            return AdminRequests.Refused($"The body is not the JSON that is wanted: {e.Message}");
        }
    }

    private static (int, object) NoSuchRequest =>
        (StatusCodes.Status405MethodNotAllowed, new { error = $"There are GET {Path}, POST {Path}/nodes/NAME/drain, POST {Path}/nodes/NAME/activate, PUT and DELETE {Path}/nodes/NAME." });

    private static object Shown(ClusterDescription cluster) => new
    {
        id = cluster.Id,
        layout = new { version = cluster.LayoutVersion, copies = cluster.Copies, partitions = cluster.Partitions, moving = cluster.PartitionsMoving },
        nodes = cluster.Nodes.Select(n => new
        {
            id = n.Id.ToString(), name = n.Name, zone = n.Zone, address = n.Address, weight = n.Weight, state = n.State, partitions = n.Partitions,
            layoutSeen = n.LayoutSeen, layoutMoved = n.LayoutMoved, repairs = n.Repairs,
        }),
    };
}
