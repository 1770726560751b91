using System.Text.Json.Nodes;
using DarkStorage.Cluster.History;

namespace DarkStorage.Cluster;

/// <summary>The database goes, and what is in it is not as it should be.</summary>
public sealed partial class FailureTests
{
    [Fact]
    public async Task A_cluster_whose_database_goes_away_for_longer_than_a_lease_goes_on_by_itself_when_it_is_back()
    {
        await using var server = await PostgresServer.StartAsync();
        await using var cluster = await TestCluster.StartAsync(3, index: await server.NewDatabaseAsync());
        await using var load = await Load.StartAsync(cluster.Nodes);
        using var http = new HttpClient();
        var bucket = await cluster.Nodes[0].S3().NewBucketAsync();
        for (var round = 0; round < Math.Max(Rounds, 1); round++)
        {
            await load.ProgressAsync(500);
            var lost = cluster.Nodes.Select(n => n.NextLineAsync("has lost its lease")).ToList();
            await server.CrashAsync();
            await Task.WhenAll(lost);

            // Nobody hangs and nobody ends: each says that it is not to be had, and why.
            foreach (var node in cluster.Nodes)
            {
                var s3 = node.S3(configure: c => (c.MaxErrorRetry, c.Timeout) = (0, TimeSpan.FromSeconds(15)));
                Assert.Equal(HttpStatusCode.ServiceUnavailable, (await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => s3.PutBytesAsync(bucket, "away", new byte[10]))).StatusCode);
                Assert.Equal(HttpStatusCode.ServiceUnavailable, (await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => s3.PutBytesAsync(bucket, "away", new byte[20_000]))).StatusCode);
                Assert.Equal(HttpStatusCode.OK, (await http.GetAsync(new Uri(node.ManagementUrl, "/health/live"))).StatusCode);
                Assert.Contains("away", (await Assert.ThrowsAsync<HttpRequestException>(() => cluster.DescribeAsync(node))).Message, StringComparison.Ordinal);
                using var ready = await http.GetAsync(new Uri(node.ManagementUrl, "/health/ready"));
                Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
                Assert.Contains("the database", JsonNode.Parse(await ready.Content.ReadAsStringAsync())!["waitsFor"]!.GetValue<string>(), StringComparison.Ordinal);
            }

            await server.StartAgainAsync();
            foreach (var node in cluster.Nodes) await cluster.ReadyAsync(node);
        }
        await load.ProgressAsync(300, from: Recorder.Now);
        await load.StopAsync();

        Assert.All(cluster.Nodes, n => Assert.False(n.HasEnded));
        await load.VerifyAsync(cluster.Nodes, () => Errors(cluster));
    }

    [Fact]
    public async Task Where_stale_reads_are_wanted_what_was_read_before_is_served_and_marked_while_the_database_is_away()
    {
        await using var server = await PostgresServer.StartAsync();
        await using var cluster = await TestCluster.StartAsync(1, new() { Copies = 1, Environment = new Dictionary<string, string> { ["DARKSTORAGE_S3__StaleReadsMax"] = "01:00:00" } }, await server.NewDatabaseAsync());
        var node = cluster.Nodes[0];
        await cluster.SendAsync(node, HttpMethod.Post, "", """{"name": "reader", "accessKey": "reader-key", "secretKey": "reader-secret", "policies": ["readonly"]}""", "users");
        var root = node.S3(configure: c => c.MaxErrorRetry = 0);
        var bucket = await root.NewBucketAsync();
        foreach (var length in (int[])[100, 300_000]) await root.PutBytesAsync(bucket, $"read-{length}", S3Clients.Content(length));
        await root.PutBytesAsync(bucket, "unread", S3Clients.Content(100));
        using var http = new HttpClient();
        var reader = node.S3(accessKey: "reader-key", secretKey: "reader-secret");
        Uri Url(string name, HttpVerb verb = HttpVerb.GET) => new(reader.GetPreSignedURL(new() { BucketName = bucket, Key = name, Verb = verb, Expires = DateTime.UtcNow.AddHours(1), Protocol = Protocol.HTTP }));
        foreach (var length in (int[])[100, 300_000])
        {
            using var fresh = await http.GetAsync(Url($"read-{length}"));
            Assert.False(fresh.Headers.Contains("Warning") || fresh.Headers.Contains("Age"));
        }

        var lost = node.NextLineAsync("has lost its lease");
        await server.CrashAsync();
        await lost;
        foreach (var length in (int[])[100, 300_000])
        {
            using var stale = await http.GetAsync(Url($"read-{length}"));
            Assert.Equal(HttpStatusCode.OK, stale.StatusCode);
            Assert.True(S3Clients.Content(length).Same(await stale.Content.ReadAsByteArrayAsync()));
            Assert.Equal("110", stale.Headers.GetValues("Warning").Single()[..3]);
            Assert.NotNull(stale.Headers.Age);
            using var head = await http.SendAsync(new(HttpMethod.Head, Url($"read-{length}", HttpVerb.HEAD)));
            Assert.Equal((HttpStatusCode.OK, (long?)length), (head.StatusCode, head.Content.Headers.ContentLength));
        }
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await http.GetAsync(Url("unread"))).StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => root.PutBytesAsync(bucket, "read-100", new byte[10]))).StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => root.CopyObjectAsync(bucket, "read-100", bucket, "copy"))).StatusCode);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => root.ListObjectsV2Async(new() { BucketName = bucket }))).StatusCode);
        using var ready = await http.GetAsync(new Uri(node.ManagementUrl, "/health/ready"));
        Assert.Equal(HttpStatusCode.OK, ready.StatusCode);
        Assert.Contains("the database", await ready.Content.ReadAsStringAsync(), StringComparison.Ordinal);

        await server.StartAgainAsync();
        await TestCluster.UntilAsync(async () => (await root.PutBytesAsync(bucket, "read-100", new byte[10])).HttpStatusCode == HttpStatusCode.OK);
        using var again = await http.GetAsync(Url("read-100"));
        Assert.Equal(new byte[10], await again.Content.ReadAsByteArrayAsync());
        Assert.False(again.Headers.Contains("Warning"));
    }

    [Fact]
    public async Task A_node_that_is_cut_from_the_database_alone_comes_back_when_it_reaches_it_again()
    {
        await using var server = await PostgresServer.StartAsync();
        await using var proxy = new TcpProxy(() => new(IPAddress.Loopback, server.Port));
        var index = await server.NewDatabaseAsync();
        await using var cluster = await TestCluster.StartAsync(3, index: index);
        var settings = cluster.SettingsOf("behind");
        var flags = settings.Flags.ToList();
        flags[flags.IndexOf("--index") + 1] = index.Replace($":{server.Port}/", $":{proxy.EndPoint.Port}/", StringComparison.Ordinal);
        var behind = await NodeProcess.StartAsync(settings with { Flags = flags });
        cluster.Nodes.Add(behind);
        await cluster.ReadyAsync(behind);
        await using var load = await Load.StartAsync(cluster.Nodes);
        await load.ProgressAsync(500);

        var lost = behind.NextLineAsync("has lost its lease");
        proxy.IsHeld = true;    // without a word, as a network does
        await lost;
        await MembersAsync(cluster, 3, 3);
        await load.ProgressAsync(200, from: Recorder.Now);
        proxy.IsHeld = false;
        await cluster.ReadyAsync(behind);
        await load.ProgressAsync(200, from: Recorder.Now);
        await load.StopAsync();
        await load.VerifyAsync(cluster.Nodes, () => Errors(cluster));
    }

    [Fact]
    public async Task A_node_that_can_not_join_again_ends_with_a_sentence_and_an_exit_code()
    {
        var server = await SharedPostgres.ServerAsync();
        await using var cluster = await TestCluster.StartAsync(1, new() { Copies = 1 });
        var database = cluster.Index[(cluster.Index.LastIndexOf('/') + 1)..];
        // As if the database were replaced by that of another cluster.
        await server.ExecuteAsync(database, "UPDATE darkstorage.cluster SET id = gen_random_uuid()");
        await server.ExecuteAsync(database, "UPDATE darkstorage_engine.member SET status = 6");
        Assert.Equal(3, await cluster.Nodes[0].EndedAsync());
        Assert.Contains("is not the index of the cluster", cluster.Nodes[0].Output, StringComparison.Ordinal);
        Assert.Contains("darkstorage-silo: the node ended by itself", cluster.Nodes[0].Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_address_that_is_none_keeps_nobody_from_following_the_layout()
    {
        var server = await SharedPostgres.ServerAsync();
        await using var cluster = await TestCluster.StartAsync(3);
        var s3 = cluster.Nodes[0].S3();
        var bucket = await s3.NewBucketAsync();
        var (database, victim) = (cluster.Index[(cluster.Index.LastIndexOf('/') + 1)..], TestCluster.NameOf(cluster.Nodes[2]));
        await server.ExecuteAsync(database, $"CREATE TABLE kept AS SELECT * FROM darkstorage.nodes; UPDATE darkstorage.nodes SET address = 'nowhere' WHERE name = '{victim}'");
        // What is written to the one that is not to be found goes to the queue of its repairs, so the others have read it.
        var entered = 0;
        await TestCluster.UntilAsync(async () =>
        {
            await s3.PutBytesAsync(bucket, $"k{entered++}", S3Clients.Content(20_000, entered));
            return (await cluster.DescribeAsync())["nodes"]!.AsArray().Any(n => n!["name"]!.GetValue<string>() == victim && n["repairs"]!.GetValue<long>() > 0);
        });
        await server.ExecuteAsync(database, "UPDATE darkstorage.nodes n SET address = k.address FROM kept k WHERE k.store = n.store");
        await cluster.SettledAsync();
        Assert.All(cluster.Nodes, n => Assert.DoesNotContain("can't be taken over", n.Output, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_key_ring_whose_change_went_unheard_is_read_all_the_same()
    {
        var server = await SharedPostgres.ServerAsync();
        await using var cluster = await TestCluster.StartAsync(2, new() { Copies = 1 });
        var (here, there) = (cluster.Nodes[0], cluster.Nodes[1]);
        var database = cluster.Index[(cluster.Index.LastIndexOf('/') + 1)..];
        await cluster.SendAsync(here, HttpMethod.Post, "", "{\"name\":\"k\"}", "encryption-keys");
        await SeesAsync(true);
        await server.ExecuteAsync(database, "CREATE TABLE kept AS SELECT * FROM darkstorage.documents WHERE name = 'key-ring'");
        await cluster.SendAsync(here, HttpMethod.Put, "/k", "{\"enabled\":false}", "encryption-keys");
        await SeesAsync(false);
        // Past the functions that tell the others.
        await server.ExecuteAsync(database, "UPDATE darkstorage.documents d SET content = k.content, revision = d.revision + 1 FROM kept k WHERE d.name = k.name");
        await SeesAsync(true);

        Task SeesAsync(bool enabled) => TestCluster.UntilAsync(async () =>
            (await cluster.SendAsync(there, HttpMethod.Get, "", null, "encryption-keys")).AsArray().Any(k => k!["name"]!.GetValue<string>() == "k" && k["enabled"]!.GetValue<bool>() == enabled));
    }
}
