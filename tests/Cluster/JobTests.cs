using System.Text.Json.Nodes;

namespace DarkStorage.Cluster;

/// <summary>Changes of the layout as operators follow them: how far they are, how fast they may go, and what takes them back.</summary>
public sealed class JobTests
{
    private const int Objects = 40;

    [Fact]
    public async Task A_drain_shows_how_far_it_is_goes_on_at_another_rate_and_is_taken_back()
    {
        await using var cluster = await TestCluster.StartAsync(2, new() { Copies = 1 });
        var bucket = await FillAsync(cluster);
        var (drained, other) = (cluster.Nodes[0], cluster.Nodes[1]);
        await cluster.SettledAsync();
        // About 20 MiB have to move: long at this rate, and at once at the other one.
        Assert.Equal(1, (await cluster.SendAsync(other, HttpMethod.Put, "/rate", """{"mibPerSecond": 1}"""))["mibPerSecond"]!.GetValue<int>());
        var version = (await cluster.SendAsync(other, HttpMethod.Post, $"/nodes/{TestCluster.NameOf(drained)}/drain"))["layout"]!["version"]!.GetValue<long>();
        JsonNode? job = null;
        await TestCluster.UntilAsync(async () =>
        {
            job = await JobAsync(cluster, version);
            return job["state"]!.GetValue<string>() == "moving" && job["copied"]!.GetValue<long>() > 0;
        }, () => $"{job}");
        Assert.Equal(("drain", TestCluster.NameOf(drained)), (job!["kind"]!.GetValue<string>(), job["node"]!.GetValue<string>()));
        Assert.True(job["passed"]!.GetValue<long>() < job["blobs"]!.GetValue<long>(), $"{job}");
        Assert.Equal([TestCluster.NameOf(other)], job["nodes"]!.AsArray().Select(n => n!["name"]!.GetValue<string>()));
        Assert.False(job["nodes"]![0]!["done"]!.GetValue<bool>());

        Assert.Equal("cancelled", (await cluster.SendAsync(drained, HttpMethod.Delete, $"/jobs/{version}"))["state"]!.GetValue<string>());
        Assert.Equal("active", (await cluster.DescribeAsync())["nodes"]!.AsArray().Single(n => n!["name"]!.GetValue<string>() == TestCluster.NameOf(drained))!["state"]!.GetValue<string>());
        Assert.Contains("has ended", (await cluster.SendAsync(other, HttpMethod.Delete, $"/jobs/{version}"))["error"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.Null((await cluster.SendAsync(other, HttpMethod.Delete, "/rate"))["mibPerSecond"]);
        await cluster.SettledAsync();
        await TestCluster.UntilAsync(async () => (await cluster.SendAsync(other, HttpMethod.Get, "/jobs"))["jobs"]![0]!["state"]!.GetValue<string>() == "done");

        foreach (var node in cluster.Nodes) await VerifyAsync(node, bucket);
    }

    [Fact]
    public async Task Jobs_end_with_what_they_did_and_the_last_of_the_same_is_the_one_that_can_be_taken_back()
    {
        await using var cluster = await TestCluster.StartAsync(1, new() { Copies = 1 });
        var bucket = await FillAsync(cluster);
        var first = cluster.Nodes[0];
        var second = await cluster.AddAsync();
        await cluster.ReadyAsync(second);
        await cluster.HasLayoutOfAsync(2);
        await cluster.SettledAsync();
        var added = (await cluster.SendAsync(second, HttpMethod.Get, "/jobs"))["jobs"]!.AsArray().Single()!;
        Assert.Equal(("add", TestCluster.NameOf(second), "done"), (added["kind"]!.GetValue<string>(), added["node"]!.GetValue<string>(), added["state"]!.GetValue<string>()));
        Assert.InRange(added["copied"]!.GetValue<long>(), 1, Objects);
        Assert.Equal(added["blobs"]!.GetValue<long>(), added["passed"]!.GetValue<long>());
        Assert.NotNull(added["ended"]);

        // Two changes of the same node before anything has moved: the first can't be taken back past the second.
        await cluster.SendAsync(first, HttpMethod.Put, "/rate", """{"mibPerSecond": 1}""");
        var weighed = (await cluster.SendAsync(first, HttpMethod.Put, $"/nodes/{TestCluster.NameOf(second)}", """{"weight": 1}"""))["layout"]!["version"]!.GetValue<long>();
        var again = (await cluster.SendAsync(first, HttpMethod.Put, $"/nodes/{TestCluster.NameOf(second)}", """{"weight": 2}"""))["layout"]!["version"]!.GetValue<long>();
        Assert.Contains($"Job {again} ", (await cluster.SendAsync(first, HttpMethod.Delete, $"/jobs/{weighed}"))["error"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.Equal("cancelled", (await cluster.SendAsync(second, HttpMethod.Delete, $"/jobs/{again}"))["state"]!.GetValue<string>());
        Assert.Equal(1, (await JobAsync(cluster, again + 1))["asked"]!["weight"]!.GetValue<int>());
        await cluster.SendAsync(first, HttpMethod.Put, "/rate", """{"mibPerSecond": 1000}""");
        await cluster.SettledAsync();

        Assert.Contains("no job", (await cluster.SendAsync(first, HttpMethod.Get, "/jobs/999"))["error"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.Contains("1 to 16384", (await cluster.SendAsync(first, HttpMethod.Put, "/rate", """{"mibPerSecond": 0}"""))["error"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.Equal(1000, (await cluster.SendAsync(second, HttpMethod.Get, "/rate"))["mibPerSecond"]!.GetValue<int>());
        foreach (var node in cluster.Nodes) await VerifyAsync(node, bucket);
    }

    private static Task<JsonNode> JobAsync(TestCluster cluster, long id) => cluster.SendAsync(cluster.Nodes[0], HttpMethod.Get, $"/jobs/{id}");

    /// <returns>The name of a bucket with a MiB in each of its objects.</returns>
    private static async Task<string> FillAsync(TestCluster cluster)
    {
        var s3 = cluster.Nodes[0].S3();
        var bucket = await s3.NewBucketAsync();
        for (var i = 0; i < Objects; i++) await s3.PutBytesAsync(bucket, $"k{i}", S3Clients.Content(1 << 20, i));
        return bucket;
    }

    private static async Task VerifyAsync(NodeProcess node, string bucket)
    {
        for (var i = 0; i < Objects; i++) Assert.True(S3Clients.Content(1 << 20, i).Same(await node.S3().GetBytesAsync(bucket, $"k{i}")), $"k{i} at {TestCluster.NameOf(node)}");
    }
}
