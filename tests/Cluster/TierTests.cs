using System.Text.Json.Nodes;

namespace DarkStorage.Cluster;

/// <summary>Content outside, in a cluster: any node takes it there, serves it from there, and brings it back.</summary>
public sealed class TierTests : IDisposable
{
    private const int Objects = 8;

    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-tier-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task What_is_outside_is_served_by_every_node_lacks_on_no_drive_and_comes_back_without_one_of_them()
    {
        await using var cluster = await TestCluster.StartAsync(3, new()
        {
            Environment = new Dictionary<string, string>
            {
                ["DARKSTORAGE_Cluster__ComparePeriod"] = "00:00:01",
                ["DARKSTORAGE_Garbage__GracePeriod"] = "00:00:01",
                ["DARKSTORAGE_Transitions__Interval"] = "00:00:00.050",
                ["DARKSTORAGE_Transitions__Lease"] = "00:00:05",
            },
        });
        var s3 = cluster.Nodes[0].S3();
        var bucket = await s3.NewBucketAsync();
        for (var i = 0; i < Objects; i++) await cluster.Nodes[i % 3].S3().PutBytesAsync(bucket, $"cold/{i}", Content(i));
        await s3.PutMultipartAsync(bucket, "cold/parts", [Content(98)[..Multipart.PartBytesMin], Content(99)]);
        await s3.PutBytesAsync(bucket, "kept", Content(100));
        await cluster.SendAsync(cluster.Nodes[1], HttpMethod.Post, "", $$"""{"name":"nas","type":"filesystem","settings":{"path":"{{_folder}}/nas" } }""", "integrations");
        await cluster.SendAsync(cluster.Nodes[2], HttpMethod.Put, "/cold", """{"integration":"nas"}""", "tiers");

        await AssignAsync(cluster.Nodes[0], "cold");
        Assert.Equal(Objects + 1, Directory.EnumerateFiles(Path.Combine(_folder, "nas", "objects"), "*", SearchOption.AllDirectories).Count());
        foreach (var node in cluster.Nodes) await AssertAllAsync(node);

        // What the index needs is compared with the drives twice: neither of what is outside nor of the rest does one lack anything.
        foreach (var node in cluster.Nodes)
        {
            var before = await node.MetricAsync("darkstorage_replicas_compared_total");
            await TestCluster.UntilAsync(async () => await node.MetricAsync("darkstorage_replicas_compared_total") >= before + 2);
            Assert.Equal((0, 0), (await node.MetricAsync("darkstorage_replicas_lacking_total"), await node.MetricAsync("darkstorage_cluster_repairs_waiting")));
        }

        await cluster.Nodes[2].KillAsync();
        await TestCluster.UntilAsync(async () =>
        {
            await AssertAllAsync(cluster.Nodes[1]);
            return true;
        });
        await AssignAsync(cluster.Nodes[1], "hot");
        await TestCluster.UntilAsync(() => Task.FromResult(!Directory.Exists(Path.Combine(_folder, "nas", "objects"))));
        await AssertAllAsync(cluster.Nodes[0]);
        await cluster.Nodes[2].RestartAsync();
        await cluster.ReadyAsync(cluster.Nodes[2]);
        await cluster.SettledAsync();
        await AssertAllAsync(cluster.Nodes[2]);

        async Task AssertAllAsync(NodeProcess node)
        {
            var client = node.S3();
            for (var i = 0; i < Objects; i++) Assert.True(Content(i).Same(await client.GetBytesAsync(bucket, $"cold/{i}")), $"cold/{i}");
            Assert.True(((byte[])[.. Content(98)[..Multipart.PartBytesMin], .. Content(99)]).Same(await client.GetBytesAsync(bucket, "cold/parts")), "cold/parts");
            Assert.True(Content(100).Same(await client.GetBytesAsync(bucket, "kept")), "kept");
        }

        async Task AssignAsync(NodeProcess node, string tier)
        {
            // Where the grain was on the node that is gone, it answers again when that is known.
            JsonNode? assigned = null, moves = null;
            await TestCluster.UntilAsync(async () => (assigned = await cluster.SendAsync(node, HttpMethod.Post, $"/{tier}/assign", $$"""{"bucket":"{{bucket}}","prefix":"cold/"}""", "tiers"))["wanted"] is not null, () => $"{assigned}");
            Assert.Equal(Objects + 1, (int?)assigned!["wanted"]);
            await TestCluster.UntilAsync(async () => (moves = await cluster.SendAsync(node, HttpMethod.Get, "/moves", null, "tiers")).AsArray().Count == 0, () => $"{moves}");
        }
    }

    private static byte[] Content(int seed) => S3Clients.Content(seed is 98 ? Multipart.PartBytesMin : 200_000 + (seed * 31_337), seed);
}
