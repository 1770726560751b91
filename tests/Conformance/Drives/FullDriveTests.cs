namespace DarkStorage.Conformance.Drives;

[Collection(nameof(Drives))]
[Trait("index", "sqlite")]
public sealed class FullDriveTests
{
    private const int DriveMebibytes = 256;
    private const long ReserveBytes = 64 << 20;
    private static readonly (int Status, string Code) Full = (507, "InsufficientStorage");

    [Theory, InlineData("tmpfs"), InlineData("ext4")]
    public async Task A_full_drive_refuses_writes_serves_reads_and_takes_writes_again_once_objects_are_deleted(string kind)
    {
        using var drive = SmallDrive.Mount(kind, DriveMebibytes);
        await using var node = await StartAsync(drive, reservedMebibytes: 64);
        using var s3 = node.S3();
        var raw = node.Raw();
        var bucket = await s3.NewBucketAsync();
        var stored = new Dictionary<string, byte[]>();

        var refused = await FillWithObjectsAsync(raw, bucket, stored);
        Assert.Equal(refused.Header("x-amz-request-id"), refused.Element("RequestId"));
        Assert.Equal($"/{bucket}/object-{stored.Count}", refused.Element("Resource"));
        Assert.InRange(stored.Count, 10, 40);
        await AssertAllThereAsync(s3, bucket, stored);

        // A node that starts on the full drive is as good as the one before.
        await node.RestartAsync();
        await AssertAllThereAsync(s3, bucket, stored);
        await FillWithObjectsAsync(raw, bucket, stored);
        Assert.Equal((404, "NoSuchKey"), (await raw.GetAsync($"/{bucket}/object-{stored.Count}")).Error);

        foreach (var key in stored.Keys.Take(stored.Count / 2).ToList())
        {
            Assert.Equal(204, (await raw.DeleteAsync($"/{bucket}/{key}")).Status);
            stored.Remove(key);
        }
        var content = S3Clients.Content(6 << 20, seed: 1000);
        await Eventually.HoldsAsync("writes are taken again", async () => (await raw.PutAsync($"/{bucket}/again", content)).Status == 200);
        stored["again"] = content;
        await AssertAllThereAsync(s3, bucket, stored);
    }

    [Theory, InlineData("tmpfs"), InlineData("ext4")]
    public async Task Where_not_a_byte_is_free_every_change_is_refused_clearly_or_done_and_nothing_is_damaged(string kind)
    {
        using var drive = SmallDrive.Mount(kind, DriveMebibytes);
        await using var node = await StartAsync(drive, reservedMebibytes: 16);
        using var s3 = node.S3();
        var raw = node.Raw();
        var bucket = await s3.NewBucketAsync();
        var stored = new Dictionary<string, byte[]>();
        for (var i = 0; i < 60; i++)
        {
            var content = S3Clients.Content(i % 3 == 0 ? 300_000 : 3_000, seed: i);
            await s3.PutBytesAsync(bucket, $"old-{i}", content);
            stored[$"old-{i}"] = content;
        }
        drive.FillCompletely();

        // Room that the index has already may take some; then it is over.
        var answer = await PutUntilRefusedAsync(raw, bucket, "inline", 4096, stored, max: 20_000);
        Assert.Equal(Full, answer.Error);
        answer = await PutUntilRefusedAsync(raw, bucket, "stored", 300_000, stored, max: 1_000);
        Assert.Equal(Full, answer.Error);
        // A change of fewer pages may still find room where a larger one did not: until there is none for it either.
        await RefusedInTheEndAsync("a bucket", () => raw.PutAsync($"/{S3Clients.NewBucketName()}", ""));
        await RefusedInTheEndAsync("an upload", () => raw.PostAsync($"/{bucket}/upload?uploads", ""));
        await AssertAllThereAsync(s3, bucket, stored);

        await DeleteSomeAsync(raw, bucket, stored, 10);
        await AssertAllThereAsync(s3, bucket, stored);

        // Killed and started again where nothing can be written.
        await node.RestartAsync();
        await AssertAllThereAsync(s3, bucket, stored);
        await DeleteSomeAsync(raw, bucket, stored, 10);
        await AssertAllThereAsync(s3, bucket, stored);

        drive.RemoveForeignFile();
        foreach (var size in (int[])[4096, 300_000, 6 << 20])
        {
            var content = S3Clients.Content(size, seed: 7 * size);
            await Eventually.HoldsAsync($"an object of {size} bytes is taken again", async () => (await raw.PutAsync($"/{bucket}/new-{size}", content)).Status == 200);
            stored[$"new-{size}"] = content;
        }
        foreach (var key in stored.Keys.Where(k => k.StartsWith("old", StringComparison.Ordinal)).Take(10).ToList())
        {
            Assert.Equal(204, (await raw.DeleteAsync($"/{bucket}/{key}")).Status);
            stored.Remove(key);
        }
        await AssertAllThereAsync(s3, bucket, stored);
        Assert.Equal(0, await node.TerminateAsync());
        await node.RestartAsync();
        await AssertAllThereAsync(s3, bucket, stored);
    }

    [Theory, InlineData("tmpfs"), InlineData("ext4")]
    public async Task A_node_that_was_stopped_cleanly_starts_on_a_drive_that_others_filled_meanwhile_serves_reads_and_takes_deletes(string kind)
    {
        using var drive = SmallDrive.Mount(kind, DriveMebibytes);
        await using var node = await StartAsync(drive, reservedMebibytes: 16);
        using var s3 = node.S3();
        var raw = node.Raw();
        var bucket = await s3.NewBucketAsync();
        var stored = new Dictionary<string, byte[]>();
        for (var i = 0; i < 400; i++)
        {
            stored[$"old-{i}"] = S3Clients.Content(i % 40 == 0 ? 300_000 : 3_000, seed: i);
            await s3.PutBytesAsync(bucket, $"old-{i}", stored[$"old-{i}"]);
        }
        var reserve = Path.Combine(drive.DataDirectory, "index.reserve");
        Assert.InRange(Shell.BytesOnDrive(reserve), ReserveBytes, ReserveBytes + (1 << 20));
        Assert.Equal(0, await node.TerminateAsync());
        drive.FillCompletely();

        await node.RestartAsync();
        Assert.Equal(0, new FileInfo(reserve).Length);
        Assert.Equal(1, await node.MetricAsync("darkstorage_index_reserve_releases_total"));
        Assert.Contains("its reserve of 67108864 bytes was given up", node.Output, StringComparison.Ordinal);
        await AssertAllThereAsync(s3, bucket, stored);

        // Small writes find the room that was given up, and must not have it: it is for deletes.
        for (var i = 0; i < 10; i++) Assert.Equal(Full, (await raw.PutAsync($"/{bucket}/new-{i}", "new")).Error);
        await DeleteSomeAsync(raw, bucket, stored, 300);
        Assert.Equal(Full, (await raw.PutAsync($"/{bucket}/new", "new")).Error);
        await AssertAllThereAsync(s3, bucket, stored);
        await node.RestartAsync();
        await AssertAllThereAsync(s3, bucket, stored);
        Assert.Equal(Full, (await raw.PutAsync($"/{bucket}/new", "new")).Error);
        await DeleteSomeAsync(raw, bucket, stored, 50);

        // With room again the reserve is made without anybody writing.
        drive.RemoveForeignFile();
        await Eventually.HoldsAsync("the reserve is made again", () => new FileInfo(reserve).Length > 0);
        Assert.InRange(Shell.BytesOnDrive(reserve), ReserveBytes, ReserveBytes + (1 << 20));
        await s3.PutBytesAsync(bucket, "new", stored["new"] = S3Clients.Content(3_000, seed: 1000));
        await AssertAllThereAsync(s3, bucket, stored);
        Assert.Equal(0, await node.TerminateAsync());
        await node.RestartAsync();
        await AssertAllThereAsync(s3, bucket, stored);
    }

    [Fact]
    public async Task Access_logs_leave_no_file_behind_on_a_full_drive_and_no_part_of_a_line()
    {
        using var drive = SmallDrive.Mount("tmpfs", DriveMebibytes);
        await using var node = await NodeProcess.StartAsync(new()
        {
            DataDirectory = drive.DataDirectory,
            Environment = DriveNode.QuickGarbage.With(
                ("AccessLogs__Interval", "1.00:00:00"), ("AccessLogs__FlushInterval", "00:00:00.010"), ("Blobs__PackBytes", $"{32 << 20}"), ("Blobs__ReservedBytes", $"{16 << 20}")),
        });
        using var s3 = node.S3();
        var (earlier, later, target) = (await s3.NewBucketAsync(), await s3.NewBucketAsync(), await s3.NewBucketAsync());
        foreach (var bucket in (string[])[earlier, later]) await s3.PutBucketLoggingAsync(new() { BucketName = bucket, LoggingConfig = new() { TargetBucketName = target, TargetPrefix = "" } });
        var folder = Path.Combine(node.DataDirectory, "access-logs");
        await node.RestartAsync();      // whatever files there are are ended: only the earlier bucket gets one before the drive is full
        var raw = node.Raw();
        await GetAsync(earlier, "first");
        await Eventually.HoldsAsync("the first line is in a file", () => Text().Contains(" first ", StringComparison.Ordinal));
        drive.FillCompletely();
        for (var i = 0; await node.MetricAsync("darkstorage_access_log_lines_dropped_total") < 40; i++)
        {
            Assert.InRange(i, 0, 1000);
            foreach (var bucket in (string[])[earlier, later]) await GetAsync(bucket, "lost");
        }
        Assert.Single(Directory.GetFiles(folder, "*.open"));

        drive.RemoveForeignFile();
        foreach (var bucket in (string[])[earlier, later]) await GetAsync(bucket, "last");
        await Eventually.HoldsAsync("the last lines are in files", () => Text().Split(" last ").Length == 3);
        var lines = Text().Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(static line => line[0] != '{').ToList();
        Assert.All(lines, line => Assert.True(line.Split([$" {earlier} [", $" {later} ["], StringSplitOptions.None).Length == 2, line));

        Task<RawAnswer> GetAsync(string bucket, string key) => raw.SendAsync(new RawRequest("GET", $"/{bucket}/{key}").With("User-Agent", new('x', 1_500)));
        string Text() => string.Concat(Directory.GetFiles(folder).Select(File.ReadAllText));
    }

    private static Task<NodeProcess> StartAsync(SmallDrive drive, int reservedMebibytes) => NodeProcess.StartAsync(new()
    {
        DataDirectory = drive.DataDirectory,
        Environment = DriveNode.QuickGarbage.With(
            ("DriveCare__ReserveInterval", "00:00:00.100"),
            ("Blobs__PackBytes", $"{32 << 20}"), ("Blobs__ReservedBytes", $"{reservedMebibytes << 20}")),
    });

    /// <summary>Puts objects of 6 MiB until one is refused, and answers that.</summary>
    private static async Task<RawAnswer> FillWithObjectsAsync(RawS3 raw, string bucket, Dictionary<string, byte[]> stored)
    {
        var refused = await PutUntilRefusedAsync(raw, bucket, "object", 6 << 20, stored, max: 100);
        Assert.Equal(Full, refused.Error);
        return refused;
    }

    private static async Task<RawAnswer> PutUntilRefusedAsync(RawS3 raw, string bucket, string prefix, int size, Dictionary<string, byte[]> stored, int max)
    {
        for (var i = 0; i < max; i++)
        {
            var key = $"{prefix}-{stored.Count}";
            var content = S3Clients.Content(size, stored.Count);
            var answer = await raw.PutAsync($"/{bucket}/{key}", content);
            if (answer.Status != 200) return answer;
            stored[key] = content;
        }
        throw new InvalidOperationException($"{max} objects of {size} bytes found room.");
    }

    private static async Task RefusedInTheEndAsync(string what, Func<Task<RawAnswer>> send)
    {
        for (var i = 0; i < 20_000; i++)
        {
            var answer = await send();
            if (answer.Status == 200) continue;
            Assert.Equal(Full, answer.Error);
            return;
        }
        Assert.Fail($"There is room for {what} and one more, without end.");
    }

    private static async Task DeleteSomeAsync(RawS3 raw, string bucket, Dictionary<string, byte[]> stored, int count)
    {
        foreach (var key in stored.Keys.Take(count).ToList())
        {
            Assert.Equal(204, (await raw.DeleteAsync($"/{bucket}/{key}")).Status);
            stored.Remove(key);
        }
    }

    /// <summary>GET, HEAD and LIST tell exactly what was acknowledged.</summary>
    private static async Task AssertAllThereAsync(IAmazonS3 s3, string bucket, Dictionary<string, byte[]> stored)
    {
        foreach (var (key, content) in stored)
        {
            await s3.AssertReadsBackAsync(bucket, key, content);
            Assert.Equal(content.Length, (await s3.GetObjectMetadataAsync(bucket, key)).ContentLength);
        }
        var listed = new List<string>();
        await foreach (var entry in s3.Paginators.ListObjectsV2(new() { BucketName = bucket }).S3Objects) listed.Add(entry.Key);
        Assert.Equal(stored.Keys.Order(StringComparer.Ordinal), listed);
    }
}
