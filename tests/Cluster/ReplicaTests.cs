using System.Text.Json.Nodes;

namespace DarkStorage.Cluster;

/// <summary>Three nodes and more as clients and operators meet them: any node serves what any took, nodes die and come back, come and go.</summary>
public sealed class ReplicaTests
{
    [Fact]
    public async Task Any_node_serves_what_another_took()
    {
        await using var cluster = await TestCluster.StartAsync(3);
        var clients = cluster.Nodes.Select(n => n.S3()).ToList();
        var bucket = await clients[0].NewBucketAsync();
        for (var i = 0; i < 12; i++) await clients[i % 3].PutBytesAsync(bucket, $"k{i:D2}", S3Clients.Content(Length(i), i));

        foreach (var client in clients)
        {
            for (var i = 0; i < 12; i++) Assert.True(S3Clients.Content(Length(i), i).Same(await client.GetBytesAsync(bucket, $"k{i:D2}")), $"k{i:D2}");
            Assert.Equal(Enumerable.Range(0, 12).Select(i => $"k{i:D2}"), (await client.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects.Select(o => o.Key));
        }
        // A multipart upload, a node for each of its steps.
        var upload = await clients[0].InitiateMultipartUploadAsync(bucket, "parts");
        var first = await PartAsync(clients[1], upload, 1, S3Clients.Content(5 << 20, 1));
        var second = await PartAsync(clients[2], upload, 2, S3Clients.Content(1 << 20, 2));
        await clients[0].CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = "parts", UploadId = upload.UploadId, PartETags = [new(1, first), new(2, second)] });
        Assert.True(((byte[])[.. S3Clients.Content(5 << 20, 1), .. S3Clients.Content(1 << 20, 2)]).Same(await clients[2].GetBytesAsync(bucket, "parts")));
        await clients[1].DeleteObjectAsync(bucket, "k00");
        Assert.Equal(HttpStatusCode.NotFound, (await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => clients[2].GetBytesAsync(bucket, "k00"))).StatusCode);
    }

    [Fact]
    public async Task What_a_node_missed_while_it_was_away_is_on_its_drive_when_it_is_back()
    {
        await using var cluster = await TestCluster.StartAsync(3);
        var (s3, away) = (cluster.Nodes[0].S3(), cluster.Nodes[2]);
        var bucket = await s3.NewBucketAsync();
        await away.KillAsync();
        await TestCluster.UntilAsync(async () =>
        {
            for (var i = 0; i < 10; i++) await s3.PutBytesAsync(bucket, $"k{i}", S3Clients.Content(200_000, i));
            return true;
        });
        await away.RestartAsync();
        await cluster.ReadyAsync(away);
        await cluster.SettledAsync();
        await TestCluster.UntilAsync(async () => await TestCluster.LiveBytesAsync(away) > 10 * 200_000);

        // The others go: what is read now is read from its own drive.
        await cluster.Nodes[1].KillAsync();
        for (var i = 0; i < 10; i++) Assert.True(S3Clients.Content(200_000, i).Same(await away.S3().GetBytesAsync(bucket, $"k{i}")));
    }

    [Fact]
    public async Task A_node_that_stays_away_is_taken_out_and_what_it_held_is_made_anew()
    {
        await using var cluster = await TestCluster.StartAsync(3, new() { Copies = 2, GracePeriod = TimeSpan.FromSeconds(5) });
        var s3 = cluster.Nodes[0].S3();
        var bucket = await s3.NewBucketAsync();
        for (var i = 0; i < 40; i++) await s3.PutBytesAsync(bucket, $"k{i}", S3Clients.Content(100_000, i));
        var gateway = await cluster.AddAsync(gateway: true);
        await cluster.ReadyAsync(gateway);
        await gateway.KillAsync();
        await cluster.Nodes[2].KillAsync();
        await TestCluster.UntilAsync(async () => (await cluster.DescribeAsync())["nodes"]!.AsArray().Count == 2);
        await cluster.SettledAsync();
        // Two copies again: either of the two that are left has everything.
        await TestCluster.UntilAsync(async () => await TestCluster.LiveBytesAsync(cluster.Nodes[0]) >= 4_000_000 && await TestCluster.LiveBytesAsync(cluster.Nodes[1]) >= 4_000_000);
        for (var i = 0; i < 40; i++) Assert.True(S3Clients.Content(100_000, i).Same(await s3.GetBytesAsync(bucket, $"k{i}")));
    }

    [Fact]
    public async Task An_upload_that_spans_a_change_of_the_layout_is_where_the_new_layout_looks_for_it()
    {
        await using var cluster = await TestCluster.StartAsync(1, new() { Copies = 1 });
        var s3 = cluster.Nodes[0].S3();
        var bucket = await s3.NewBucketAsync();
        var contents = Enumerable.Range(0, 4).Select(i => new SlowContent(S3Clients.Content(10_000_000, i))).ToList();
        using var http = new HttpClient();
        var uploads = contents.Select((content, i) =>
            http.PutAsync(new Uri(s3.GetPreSignedURL(new() { BucketName = bucket, Key = $"k{i}", Verb = HttpVerb.PUT, Expires = DateTime.UtcNow.AddHours(1), Protocol = Protocol.HTTP })), content)).ToList();
        await Task.WhenAll(contents.Select(c => c.IsHalfway));
        await TestCluster.UntilAsync(async () => await TestCluster.LiveBytesAsync(cluster.Nodes[0]) >= 4 * (3 << 20)); // of each a chunk is on the drive
        var second = await cluster.AddAsync();
        await cluster.ReadyAsync(second);
        await cluster.HasLayoutOfAsync(2);
        // All nodes have heard of the new layout, and one still writes by the old one: so nobody has moved to it.
        await TestCluster.UntilAsync(async () => (await cluster.DescribeAsync())["nodes"]!.AsArray().Any(n => n!["layoutSeen"]!.GetValue<long>() == 2));
        Assert.All((await cluster.DescribeAsync())["nodes"]!.AsArray(), n => Assert.True(n!["layoutMoved"]!.GetValue<long>() < 2));
        foreach (var content in contents) content.GoOn();
        foreach (var upload in uploads) Assert.Equal(HttpStatusCode.OK, (await upload).StatusCode);
        await cluster.SettledAsync();
        foreach (var node in cluster.Nodes)
        {
            for (var i = 0; i < 4; i++) Assert.True(S3Clients.Content(10_000_000, i).Same(await node.S3().GetBytesAsync(bucket, $"k{i}")), $"k{i} at {TestCluster.NameOf(node)}");
        }
        await TestCluster.UntilAsync(async () => await TestCluster.LiveBytesAsync(cluster.Nodes[0]) + await TestCluster.LiveBytesAsync(second) < 1.1 * 4 * 10_000_000); // and nowhere twice
    }

    [Fact]
    public async Task A_node_that_was_taken_out_with_the_only_copies_brings_them_back()
    {
        await using var cluster = await TestCluster.StartAsync(2, new() { Copies = 1 });
        var s3 = cluster.Nodes[0].S3();
        var bucket = await s3.NewBucketAsync();
        for (var i = 0; i < 24; i++) await s3.PutBytesAsync(bucket, $"k{i}", S3Clients.Content(100_000, i));
        var (left, name) = (cluster.Nodes[1], TestCluster.NameOf(cluster.Nodes[1]));
        Assert.True(await TestCluster.LiveBytesAsync(left) > 0);
        Assert.Contains("is running", (await cluster.SendAsync(cluster.Nodes[0], HttpMethod.Delete, $"/nodes/{name}"))["error"]!.GetValue<string>(), StringComparison.Ordinal);
        await left.KillAsync();
        await TestCluster.UntilAsync(async () => (await cluster.SendAsync(cluster.Nodes[0], HttpMethod.Delete, $"/nodes/{name}"))["error"] is null);
        await TestCluster.UntilAsync(async () => (await cluster.DescribeAsync())["nodes"]!.AsArray().Count == 1);
        await cluster.SettledAsync();

        await left.RestartAsync();
        await cluster.ReadyAsync(left);
        await cluster.HasLayoutOfAsync(2);
        await cluster.SettledAsync();
        await TestCluster.UntilAsync(async () =>
        {
            for (var i = 0; i < 24; i++)
            {
                if (!S3Clients.Content(100_000, i).Same(await s3.GetBytesAsync(bucket, $"k{i}"))) return false;
            }
            return true;
        });
    }

    [Fact]
    public async Task What_nobody_has_any_more_is_called_lost_and_keeps_nothing_else_from_being_mended()
    {
        await using var cluster = await TestCluster.StartAsync(1, new() { Copies = 1, Environment = new Dictionary<string, string> { ["DARKSTORAGE_Cluster__ComparePeriod"] = "00:00:01" } });
        var (node, s3) = (cluster.Nodes[0], cluster.Nodes[0].S3());
        var bucket = await s3.NewBucketAsync();
        await s3.PutBytesAsync(bucket, "lost", S3Clients.Content(100_000, 1));
        await node.KillAsync();
        foreach (var pack in Directory.EnumerateFiles(node.DataDirectory, "*.pack", SearchOption.AllDirectories)) File.Delete(pack);
        await node.RestartAsync();
        await cluster.ReadyAsync(node);
        await TestCluster.UntilAsync(async () => await node.MetricAsync("darkstorage_cluster_repairs_total{outcome=\"lost\"}") >= 1, () => node.Output);
        Assert.Contains("is lost unless a node that is away brings it back", node.Output, StringComparison.Ordinal);
        // The layout goes on.
        await s3.PutBytesAsync(bucket, "kept", S3Clients.Content(100_000, 2));
        var second = await cluster.AddAsync();
        await cluster.ReadyAsync(second);
        await cluster.HasLayoutOfAsync(2);
        await TestCluster.UntilAsync(async () => (await cluster.DescribeAsync())["layout"]!["moving"]!.GetValue<int>() == 0);
        Assert.True(S3Clients.Content(100_000, 2).Same(await second.S3().GetBytesAsync(bucket, "kept")));
    }

    [Fact]
    public async Task A_gateway_serves_everything_and_keeps_nothing()
    {
        await using var cluster = await TestCluster.StartAsync(1, new() { Copies = 1 });
        var gateway = await cluster.AddAsync(gateway: true);
        await cluster.ReadyAsync(gateway);
        var s3 = gateway.S3();
        var bucket = await s3.NewBucketAsync();
        await s3.PutBytesAsync(bucket, "k", S3Clients.Content(3_000_000));
        Assert.True(S3Clients.Content(3_000_000).Same(await s3.GetBytesAsync(bucket, "k")));
        Assert.True(S3Clients.Content(3_000_000).Same(await cluster.Nodes[0].S3().GetBytesAsync(bucket, "k")));
        Assert.Empty(Directory.EnumerateFiles(gateway.DataDirectory, "*.pack", SearchOption.AllDirectories));
        // It is taken off the list once it does not run any more.
        Assert.Contains("is running", (await cluster.SendAsync(cluster.Nodes[0], HttpMethod.Delete, $"/nodes/{TestCluster.NameOf(gateway)}"))["error"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.Equal(0, await gateway.TerminateAsync());
        JsonNode left = new JsonObject();
        await TestCluster.UntilAsync(async () => (left = await cluster.SendAsync(cluster.Nodes[0], HttpMethod.Delete, $"/nodes/{TestCluster.NameOf(gateway)}"))["error"] is null, () => $"{left}");
        Assert.Equal(cluster.Nodes.Where(n => n != gateway).Select(TestCluster.NameOf).Order(), left["nodes"]!.AsArray().Select(n => n!["name"]!.GetValue<string>()));
    }

    /// <summary>A body that stops halfway until it may go on.</summary>
    private sealed class SlowContent(byte[] bytes) : HttpContent
    {
        private readonly TaskCompletionSource _isHalfway = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _goesOn = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task IsHalfway => _isHalfway.Task;

        public void GoOn() => _goesOn.TrySetResult();

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.WriteAsync(bytes.AsMemory(0, bytes.Length / 2));
            await stream.FlushAsync();
            _isHalfway.TrySetResult();
            await _goesOn.Task;
            await stream.WriteAsync(bytes.AsMemory(bytes.Length / 2));
        }

        protected override bool TryComputeLength(out long length)
        {
            length = bytes.Length;
            return true;
        }
    }

    private static int Length(int i) => (i % 4) switch { 0 => 10, 1 => 5_000, 2 => 300_000, _ => 6_000_000 };

    private static async Task<string> PartAsync(AmazonS3Client s3, InitiateMultipartUploadResponse upload, int number, byte[] content) => (await s3.UploadPartAsync(new()
    {
        BucketName = upload.BucketName, Key = upload.Key, UploadId = upload.UploadId, PartNumber = number, InputStream = new MemoryStream(content),
    })).ETag;
}
