namespace DarkStorage.Cluster;

/// <summary>A bucket whose objects are cut into shards, on real nodes: what it takes on the drives, which nodes may die, what moves when nodes come and go.</summary>
public sealed class StripeTests
{
    [Fact]
    public async Task A_bucket_with_stripes_of_2_and_2_survives_two_nodes_and_moves_with_the_layout()
    {
        await using var cluster = await TestCluster.StartAsync(4);
        var s3 = cluster.Nodes[0].S3();
        var bucket = await s3.NewBucketAsync();
        var refused = await cluster.SendAsync(cluster.Nodes[0], HttpMethod.Put, $"/buckets/{bucket}", """{"data":2,"parity":2}""");
        Assert.Contains("make the layout wider first", refused["error"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.Null((await cluster.SendAsync(cluster.Nodes[0], HttpMethod.Put, "/replication", """{"width":4}"""))["error"]);
        await cluster.SettledAsync();
        Assert.Equal("2+2", (await cluster.SendAsync(cluster.Nodes[1], HttpMethod.Put, $"/buckets/{bucket}", """{"data":2,"parity":2}"""))["redundancy"]!.GetValue<string>());
        Assert.Contains("There are no stripes of 2+9", (await cluster.SendAsync(cluster.Nodes[1], HttpMethod.Put, $"/buckets/{bucket}", """{"data":2,"parity":9}"""))["error"]!.GetValue<string>(), StringComparison.Ordinal);

        var before = await LiveBytesAsync(cluster);
        var written = 0L;
        for (var i = 0; i < 12; i++)
        {
            await cluster.Nodes[i % 4].S3().PutBytesAsync(bucket, Key(i), S3Clients.Content(Length(i), i));
            written += Length(i);
        }
        var taken = await LiveBytesAsync(cluster) - before;
        Assert.InRange(taken, 2 * written, 2.3 * written); // three copies would be three times as much

        // One away: writes go on. Two: what is there is read, and nothing is taken, because too few could have it.
        await cluster.Nodes[3].KillAsync();
        await TestCluster.UntilAsync(async () =>
        {
            await s3.PutBytesAsync(bucket, Key(12), S3Clients.Content(Length(12), 12));
            return true;
        });
        await cluster.Nodes[2].KillAsync();
        await TestCluster.UntilAsync(async () =>
        {
            await AssertAllAsync(cluster.Nodes[1].S3(), bucket, 13);
            return true;
        });
        var unavailable = await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => cluster.Nodes[1].S3(configure: c => c.MaxErrorRetry = 0).PutBytesAsync(bucket, "late", S3Clients.Content(200_000)));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, unavailable.StatusCode);
        await cluster.Nodes[2].RestartAsync();
        await cluster.Nodes[3].RestartAsync();
        foreach (var node in cluster.Nodes) await cluster.ReadyAsync(node);
        await cluster.SettledAsync();

        // A fifth comes, the first goes: its shards are made or fetched elsewhere, and its drive is empty.
        var fifth = await cluster.AddAsync();
        await cluster.ReadyAsync(fifth);
        await cluster.HasLayoutOfAsync(5);
        await cluster.SettledAsync();
        Assert.Null((await cluster.SendAsync(cluster.Nodes[1], HttpMethod.Post, $"/nodes/{TestCluster.NameOf(cluster.Nodes[0])}/drain"))["error"]);
        await cluster.SettledAsync();
        await TestCluster.UntilAsync(async () => await TestCluster.LiveBytesAsync(cluster.Nodes[0]) == 0);
        await cluster.Nodes[0].KillAsync();
        await cluster.Nodes[1].KillAsync();
        await TestCluster.UntilAsync(async () =>
        {
            await AssertAllAsync(fifth.S3(), bucket, 13);
            return true;
        });
        await TestCluster.UntilAsync(async () => (await fifth.S3().ListObjectsV2Async(new() { BucketName = bucket })).S3Objects.Count == 13);
    }

    private static async Task AssertAllAsync(AmazonS3Client s3, string bucket, int count)
    {
        for (var i = 0; i < count; i++) Assert.True(S3Clients.Content(Length(i), i).Same(await s3.GetBytesAsync(bucket, Key(i))), Key(i));
    }

    private static string Key(int i) => $"k{i:D2}";

    private static int Length(int i) => (i % 3) switch { 0 => 100_000, 1 => 700_001, _ => 9_000_000 };

    private static async Task<double> LiveBytesAsync(TestCluster cluster)
    {
        var bytes = await Task.WhenAll(cluster.Nodes.Select(TestCluster.LiveBytesAsync));
        return bytes.Sum();
    }
}
