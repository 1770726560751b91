namespace DarkStorage.Cluster.Drives;

/// <summary>Three nodes with three copies, and one drive that is full, rotten, or gone: clients see nothing of it, operators do, and it is mended by itself.</summary>
public sealed class DriveFailureTests
{
    private const int Objects = 40;

    private static readonly ClusterSettings Settings = new()
    {
        Environment = new Dictionary<string, string>
        {
            ["DARKSTORAGE_Blobs__PackBytes"] = "8388608",
            ["DARKSTORAGE_Blobs__ReservedBytes"] = "4194304",
            ["DARKSTORAGE_DriveCare__ScrubPeriod"] = "00:00:01",
            ["DARKSTORAGE_Cluster__ComparePeriod"] = "00:00:01",
            ["DARKSTORAGE_Garbage__GracePeriod"] = "00:00:05",
        },
    };

    [Fact]
    public async Task Writes_go_on_while_one_drive_is_full_and_it_gets_what_it_missed_when_it_has_room_again()
    {
        using var drive = SmallDrive.Mount(200);
        await using var cluster = await TestCluster.StartAsync(3, Settings with { FirstDataDirectory = drive.DataDirectory });
        var full = cluster.Nodes.Single(n => n.DataDirectory == drive.DataDirectory);
        var bucket = await WriteAsync(cluster, 0, Objects);
        drive.Fill();

        // Two of three is the quorum. The node whose drive is full takes requests as any other.
        foreach (var node in cluster.Nodes) await WriteAsync(cluster, node.ProcessId, Objects, bucket, node);
        await AssertWholeAsync(cluster, bucket, 0);
        foreach (var node in cluster.Nodes) await AssertWholeAsync(cluster, bucket, node.ProcessId);
        // What a write missed is entered for repair behind it.
        await TestCluster.UntilAsync(async () => (await cluster.DescribeAsync())["nodes"]!.AsArray().Single(n => n!["name"]!.GetValue<string>() == TestCluster.NameOf(full))!["repairs"]!.GetValue<long>() > 0, () => full.Output);
        await TestCluster.UntilAsync(async () => await full.MetricAsync("darkstorage_storage_free_bytes") == 0, () => full.Output);

        drive.RemoveForeignFile();
        await cluster.SettledAsync(cluster.Nodes.First(n => n != full));
        await OnlyAsync(cluster, full, async () =>
        {
            foreach (var node in cluster.Nodes) await AssertWholeAsync(full, bucket, node.ProcessId);
        });
    }

    [Fact]
    public async Task A_drive_of_which_every_tenth_block_rots_is_found_out_by_scrub_and_mended_from_the_others()
    {
        await using var cluster = await TestCluster.StartAsync(3, Settings);
        var bucket = await WriteAsync(cluster, 0, Objects);
        await cluster.SettledAsync();
        var rotten = cluster.Nodes[1];
        var flipped = Flip(rotten);
        Assert.True(flipped > 5, $"Only {flipped} blocks were flipped.");

        await AssertWholeAsync(cluster, bucket, 0);
        await TestCluster.UntilAsync(async () => await rotten.MetricAsync("darkstorage_storage_damaged_total") > 0 && rotten.Output.Contains(" damaged", StringComparison.Ordinal), () => rotten.Output);
        await TestCluster.UntilAsync(() => Task.FromResult(rotten.Output.Split('\n').Last(l => l.Contains(" Scrubbed ", StringComparison.Ordinal)).EndsWith(": 0 damaged", StringComparison.Ordinal)), () => rotten.Output);
        await cluster.SettledAsync();
        Assert.Contains("Mended blob", rotten.Output, StringComparison.Ordinal);
        await OnlyAsync(cluster, rotten, () => AssertWholeAsync(rotten, bucket, 0));
    }

    [Fact]
    public async Task A_drive_that_lost_its_packs_is_found_out_by_comparing_it_with_the_others_and_filled_again_but_not_with_what_was_deleted()
    {
        await using var cluster = await TestCluster.StartAsync(3, Settings);
        var bucket = await WriteAsync(cluster, 0, Objects);
        var lossy = cluster.Nodes[1];
        await lossy.KillAsync();
        foreach (var pack in Directory.EnumerateFiles(lossy.DataDirectory, "*.pack", SearchOption.AllDirectories)) File.Delete(pack);
        // Deleted while it is away; the two others have the bytes until the garbage's grace period ends.
        using var s3 = cluster.Nodes[0].S3();
        await TestCluster.UntilAsync(async () =>
        {
            for (var i = 0; i < Objects / 2; i++) await s3.DeleteObjectAsync(bucket, $"0-{i}");
            return true;
        });
        await lossy.RestartAsync();
        await cluster.ReadyAsync(lossy);
        await TestCluster.UntilAsync(() => Task.FromResult(lossy.Output.Contains("blobs that other replicas have: they are brought to it", StringComparison.Ordinal)), () => lossy.Output);
        await TestCluster.UntilAsync(async () => await lossy.MetricAsync("darkstorage_replicas_lacking_total") >= Objects / 2);
        await TestCluster.UntilAsync(() => Task.FromResult(lossy.Output.LastIndexOf("this node's drive has all of them", StringComparison.Ordinal) > lossy.Output.LastIndexOf("they are brought to it", StringComparison.Ordinal)), () => lossy.Output);
        await cluster.SettledAsync();
        await TestCluster.UntilAsync(async () => await TestCluster.LiveBytesAsync(lossy) == await TestCluster.LiveBytesAsync(cluster.Nodes[0]), () => lossy.Output);
        Assert.Equal(Objects / 2, await lossy.MetricAsync("darkstorage_storage_blobs"));
        await OnlyAsync(cluster, lossy, () => AssertWholeAsync(lossy, bucket, 0, from: Objects / 2));
    }

    [Fact]
    public async Task A_node_whose_drive_fails_while_it_runs_is_served_for_by_the_others()
    {
        using var drive = SmallDrive.Mount(200);
        await using var cluster = await TestCluster.StartAsync(3, Settings with { FirstDataDirectory = drive.DataDirectory });
        var broken = cluster.Nodes.Single(n => n.DataDirectory == drive.DataDirectory);
        var bucket = await WriteAsync(cluster, 0, Objects);
        drive.Break();
        foreach (var node in cluster.Nodes)
        {
            await AssertWholeAsync(node, bucket, 0);
            if (node != broken) await WriteAsync(cluster, node.ProcessId, 10, bucket, node);
        }
        await TestCluster.UntilAsync(() => Task.FromResult(broken.Output.Contains("amaged", StringComparison.Ordinal) || broken.Output.Contains("Input/output error", StringComparison.Ordinal)), () => broken.Output);
    }

    [Fact]
    public async Task A_node_that_comes_back_without_its_drive_is_told_how_to_come_back_and_does()
    {
        await using var cluster = await TestCluster.StartAsync(3, Settings);
        var bucket = await WriteAsync(cluster, 0, Objects);
        var (lost, name) = (cluster.Nodes[2], TestCluster.NameOf(cluster.Nodes[2]));
        await lost.KillAsync();
        var empty = Directory.CreateTempSubdirectory("darkstorage-empty-").FullName;
        try
        {
            var refused = await NodeProcess.RunAsync([.. lost.Settings.Flags, "--data", empty, "--s3-url", "http://127.0.0.1:0", "--management-url", "http://127.0.0.1:0"], lost.Settings.Environment);
            Assert.Equal(1, refused.ExitCode);
            Assert.Contains($"POST /v1/cluster/nodes/{name}/replace", Assert.Single(refused.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(empty, recursive: true);
        }
        // The grain that decides may have been on the one that was killed.
        await TestCluster.UntilAsync(async () => (await cluster.SendAsync(cluster.Nodes[0], HttpMethod.Post, $"/nodes/{TestCluster.NameOf(cluster.Nodes[1])}/replace"))["error"]!.GetValue<string>().Contains("is running", StringComparison.Ordinal));
        // As it was told. Of three nodes with three copies none can be taken out: one takes the place of the other.
        await TestCluster.UntilAsync(async () => (await cluster.SendAsync(cluster.Nodes[0], HttpMethod.Post, $"/nodes/{name}/replace"))["error"] is null);
        var anew = await cluster.AddAsync(name: name);
        await cluster.ReadyAsync(anew);
        await TestCluster.UntilAsync(async () => (await cluster.SendAsync(cluster.Nodes[0], HttpMethod.Get, "/jobs"))["jobs"]!.AsArray().Any(j => j!["kind"]!.GetValue<string>() == "replace" && j["state"]!.GetValue<string>() == "done"));
        await cluster.SettledAsync();
        Assert.Equal(3, (await cluster.DescribeAsync())["nodes"]!.AsArray().Count(n => n!["state"]!.GetValue<string>() == "active"));
        cluster.Nodes.Remove(lost);
        await lost.DisposeAsync();
        await OnlyAsync(cluster, anew, () => AssertWholeAsync(anew, bucket, 0));
    }

    /// <summary>The others go: what is read now is read from its own drive.</summary>
    private static async Task OnlyAsync(TestCluster cluster, NodeProcess node, Func<Task> read)
    {
        foreach (var other in cluster.Nodes.Where(n => n != node)) await other.KillAsync();
        await read();
    }

    private static async Task<string> WriteAsync(TestCluster cluster, int series, int objects, string? bucket = null, NodeProcess? at = null)
    {
        using var s3 = (at ?? cluster.Nodes[0]).S3();
        bucket ??= await s3.NewBucketAsync();
        await Parallel.ForAsync(0, objects, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (i, _) => await s3.PutBytesAsync(bucket, $"{series}-{i}", ContentOf(series, i)));
        return bucket;
    }

    private static async Task AssertWholeAsync(TestCluster cluster, string bucket, int series)
    {
        foreach (var node in cluster.Nodes) await AssertWholeAsync(node, bucket, series);
    }

    private static async Task AssertWholeAsync(NodeProcess node, string bucket, int series, int from = 0)
    {
        using var s3 = node.S3();
        for (var i = from; i < Objects; i++)
        {
            try
            {
                Assert.True(ContentOf(series, i).Same(await s3.GetBytesAsync(bucket, $"{series}-{i}")), $"{series}-{i} at {TestCluster.NameOf(node)}\n{node.Output}");
            }
            catch (AmazonS3Exception e)
            {
                throw new InvalidOperationException($"{series}-{i} at {TestCluster.NameOf(node)}: {e.StatusCode} {e.Message}\n{node.Output}", e);
            }
        }
    }

    private static byte[] ContentOf(int series, int i) => S3Clients.Content(100_000 + (i * 7_000), (series * 1_000) + i);

    /// <summary>Changes one bit in every tenth 64 KiB of each pack, wherever something was written, while the node has the files open.</summary>
    private static int Flip(NodeProcess node)
    {
        const int block = 64 << 10;
        var flipped = 0;
        foreach (var pack in Directory.EnumerateFiles(node.DataDirectory, "*.pack", SearchOption.AllDirectories))
        {
            using var file = File.OpenHandle(pack, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            var content = new byte[block];
            for (var at = (long)block; at < RandomAccess.GetLength(file); at += 10 * block)
            {
                var read = RandomAccess.Read(file, content, at);
                if (!content.AsSpan(0, read).ContainsAnyExcept((byte)0)) continue;
                content[read / 2] ^= 0x10;
                RandomAccess.Write(file, content.AsSpan(read / 2, 1), at + (read / 2));
                flipped++;
            }
        }
        return flipped;
    }
}
