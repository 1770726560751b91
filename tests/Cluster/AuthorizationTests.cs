using System.Text.Json.Nodes;
using DarkStorage.Connectors.Gcs;
using DarkStorage.Connectors.OAuth;

namespace DarkStorage.Cluster;

/// <summary>A place that was authorized by OAuth, in a cluster: every node uses it, and one renews its access, with refresh tokens that are taken once.</summary>
public sealed class AuthorizationTests : IAsyncLifetime
{
    private const int Objects = 6;

    private readonly OidcProvider _provider = new();
    private readonly GcsServer _gcs = new();

    public async ValueTask InitializeAsync()
    {
        await _provider.InitializeAsync();
        await _provider.ControlAsync("accessSeconds=4");
        _gcs.TakesOfUsers = async token => await _provider.TakesAsync(token);
        await _gcs.InitializeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _gcs.DisposeAsync();
        await _provider.DisposeAsync();
    }

    [Fact]
    public async Task All_nodes_go_on_with_access_that_is_renewed_again_and_again_and_without_the_node_that_did()
    {
        await using var cluster = await TestCluster.StartAsync(3, new() { Environment = new Dictionary<string, string> { ["DARKSTORAGE_Transitions__Interval"] = "00:00:00.050" } });
        var settings = new Dictionary<string, string>(_provider.Settings) { ["endpoint"] = _gcs.Url, ["bucket"] = _gcs.NewBucket() };
        await cluster.SendAsync(cluster.Nodes[0], HttpMethod.Post, "", new JsonObject { ["name"] = "bucket", ["type"] = "gcs", ["settings"] = JsonNode.Parse(System.Text.Json.JsonSerializer.Serialize(settings)) }.ToJsonString(), "integrations");

        // Begun at one, ended at another.
        var start = await cluster.SendAsync(cluster.Nodes[1], HttpMethod.Post, "/bucket/authorize", """{"flow":"code"}""", "integrations");
        var callback = await OidcProvider.GiveAccessAsync(new((string)start["url"]!));
        using (var browser = new HttpClient())
        using (var answer = await browser.GetAsync(new Uri(cluster.Nodes[2].ManagementUrl, callback.PathAndQuery)))
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);

        var s3 = cluster.Nodes[0].S3();
        var bucket = await s3.NewBucketAsync();
        for (var i = 0; i < Objects; i++) await s3.PutBytesAsync(bucket, $"cold/{i}", Content(i));
        JsonNode? tier = null;
        await TestCluster.UntilAsync(async () => (tier = await cluster.SendAsync(cluster.Nodes[0], HttpMethod.Put, "/warm", """{"integration":"bucket"}""", "tiers"))["name"] is not null, () => $"{tier}");
        var assigned = await cluster.SendAsync(cluster.Nodes[0], HttpMethod.Post, "/warm/assign", $$"""{"bucket":"{{bucket}}","prefix":"cold/"}""", "tiers");
        Assert.True(Objects == (int?)assigned["wanted"], $"{assigned}");
        await TestCluster.UntilAsync(async () => (await cluster.SendAsync(cluster.Nodes[0], HttpMethod.Get, "/moves", null, "tiers")).AsArray().Count == 0);

        await RenewedAsync(3, cluster.Nodes);
        await cluster.Nodes[0].KillAsync();
        await RenewedAsync(3, cluster.Nodes[1..]);
        await cluster.Nodes[1].KillAsync();
        await cluster.Nodes[0].RestartAsync();
        await cluster.ReadyAsync(cluster.Nodes[0]);
        await RenewedAsync(3, [cluster.Nodes[0], cluster.Nodes[2]]);
        // None was used twice, whoever renewed.
        Assert.Equal(0, (int)(await _provider.ControlAsync(""))["failed"]!);

        // Reads at every node meanwhile: each needs a token that is good then. It is waited for what is written down, lest a node is killed between that and the answer.
        async Task RenewedAsync(int times, List<NodeProcess> nodes)
        {
            for (var time = 0; time < times; time++)
            {
                DateTimeOffset? before = null;
                await TestCluster.UntilAsync(async () =>
                {
                    foreach (var node in nodes)
                    {
                        for (var i = 0; i < Objects; i++) Assert.True(Content(i).Same(await node.S3().GetBytesAsync(bucket, $"cold/{i}")), $"{i}");
                    }
                    // Where the grain was on the node that is gone, it answers again when that is known.
                    if ((await cluster.SendAsync(nodes[^1], HttpMethod.Get, "/bucket", null, "integrations"))["authorization"] is not { } access) return false;
                    Assert.True((bool)access["authorized"]!, $"{access}");
                    var renewed = (DateTimeOffset)access["renewed"]!;
                    return renewed > (before ??= renewed);
                });
            }
        }
    }

    private static byte[] Content(int seed) => S3Clients.Content(100_000 + (seed * 31_337), seed);
}
