using System.Globalization;

namespace DarkStorage.Conformance.Drives;

/// <summary>Bytes that no object needs leave the drive.</summary>
[Collection(nameof(Drives))]
public sealed class SpaceTests
{
    private const int PackBytes = 16 << 20;

    /// <summary>What a node without objects may hold: its two open packs, preallocated, and what is on its way.</summary>
    private const long EmptyBytesMax = 2 * PackBytes + (1 << 20);

    [Fact]
    public async Task Bytes_of_overwritten_and_deleted_objects_leave_the_drive()
    {
        await using var node = await StartAsync();
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        for (var i = 0; i < 8; i++) await s3.PutBytesAsync(bucket, $"key-{i}", S3Clients.Content(10 << 20, i));
        AssertAtLeast(node, 80L << 20);
        for (var i = 0; i < 4; i++) await s3.PutTextAsync(bucket, $"key-{i}", "short");
        await SpaceIsAtMostAsync(node, (40L << 20) + EmptyBytesMax);
        for (var i = 4; i < 7; i++) await s3.DeleteObjectAsync(bucket, $"key-{i}");
        await SpaceIsAtMostAsync(node, (10L << 20) + EmptyBytesMax);
        await s3.AssertReadsBackAsync(bucket, "key-7", S3Clients.Content(10 << 20, 7));
        Assert.Equal("short", await s3.GetTextAsync(bucket, "key-0"));
    }

    [Fact]
    public async Task Bytes_of_an_aborted_upload_and_of_replaced_parts_leave_the_drive()
    {
        await using var node = await StartAsync();
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        var upload = (await s3.InitiateMultipartUploadAsync(bucket, "key")).UploadId;
        for (var part = 1; part <= 6; part++) await s3.PutPartAsync(bucket, "key", upload, part, S3Clients.Content(10 << 20, part));
        AssertAtLeast(node, 60L << 20);
        for (var part = 1; part <= 3; part++) await s3.PutPartAsync(bucket, "key", upload, part, S3Clients.Content(1000, part));
        await SpaceIsAtMostAsync(node, (30L << 20) + EmptyBytesMax);
        await s3.AbortMultipartUploadAsync(bucket, "key", upload);
        await SpaceIsAtMostAsync(node, EmptyBytesMax);
    }

    [Fact]
    public async Task Bytes_of_a_write_that_a_kill_cut_off_leave_the_drive()
    {
        await using var node = await StartAsync(("Garbage__OrphanAge", "00:00:00"), ("Garbage__OrphanInterval", "00:00:00.100"));
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        var content = S3Clients.Content(10 << 20);
        await s3.PutBytesAsync(bucket, "whole", content);
        var written = await node.MetricAsync("darkstorage_storage_written_bytes_total");
        using (await BeginPutAsync(node, bucket, "cut-off", 64 << 20, S3Clients.Content(48 << 20, seed: 2)))
        {
            await Eventually.HoldsAsync("40 MiB of the unfinished write are in packs", async () => await node.MetricAsync("darkstorage_storage_written_bytes_total") - written > 40 << 20);
            await node.KillAsync();
        }
        AssertAtLeast(node, 50L << 20);
        await node.RestartAsync();
        await SpaceIsAtMostAsync(node, (10L << 20) + EmptyBytesMax);
        await s3.AssertReadsBackAsync(bucket, "whole", content);
        Assert.Equal((404, "NoSuchKey"), (await node.Raw().GetAsync($"/{bucket}/cut-off")).Error);
    }

    [Fact]
    public async Task A_slow_write_is_not_taken_for_what_a_crash_left()
    {
        await using var node = await StartAsync(("Garbage__OrphanAge", "00:00:00"), ("Garbage__OrphanInterval", "00:00:00.100"));
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        var content = S3Clients.Content(24 << 20);
        var before = await node.MetricAsync("darkstorage_storage_written_bytes_total");
        using var put = await BeginPutAsync(node, bucket, "slow", content.Length, content[..(20 << 20)]);
        await Eventually.HoldsAsync("much of the write is in packs", async () => await node.MetricAsync("darkstorage_storage_written_bytes_total") - before > 12 << 20);
        var searches = await node.MetricAsync("darkstorage_garbage_orphan_searches_total");
        await Eventually.HoldsAsync("orphans were searched for twice", async () => await node.MetricAsync("darkstorage_garbage_orphan_searches_total") >= searches + 2);
        await put.SendAsync(content.AsMemory(20 << 20));
        Assert.Equal(200, await put.ReadStatusAsync());
        await s3.AssertReadsBackAsync(bucket, "slow", content);
    }

    [Fact]
    public async Task Mostly_dead_packs_are_compacted_and_what_was_left_in_them_reads_on()
    {
        await using var node = await StartAsync(("DriveCare__CompactionInterval", "00:00:01"));
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        for (var i = 0; i < 96; i++) await s3.PutBytesAsync(bucket, $"key-{i}", S3Clients.Content(1 << 20, i));
        var packs = PackCount(node);
        Assert.InRange(packs, 6, 20);
        for (var i = 0; i < 96; i++)
        {
            if (i % 8 != 0) await s3.DeleteObjectAsync(bucket, $"key-{i}");
        }
        await Eventually.HoldsAsync("four packs at the most are left", () => PackCount(node) <= 4);
        Assert.True(await node.MetricAsync("darkstorage_storage_compacted_bytes_total") > 0);
        for (var i = 0; i < 96; i += 8) await s3.AssertReadsBackAsync(bucket, $"key-{i}", S3Clients.Content(1 << 20, i));
        await node.RestartAsync();
        for (var i = 0; i < 96; i += 8) await s3.AssertReadsBackAsync(bucket, $"key-{i}", S3Clients.Content(1 << 20, i));
    }

    private static int PackCount(NodeProcess node) => Directory.EnumerateFiles(node.Packs(), "*.pack").Count();

    private static Task<NodeProcess> StartAsync(params (string, string)[] more) =>
        NodeProcess.StartAsync(new() { Environment = DriveNode.QuickGarbage.With([("Blobs__PackBytes", $"{PackBytes}"), .. more]) });

    private static void AssertAtLeast(NodeProcess node, long bytes) => Assert.InRange(Shell.BytesOnDrive(node.Packs()), bytes, long.MaxValue);

    private static Task SpaceIsAtMostAsync(NodeProcess node, long bytes) =>
        Eventually.HoldsAsync(string.Create(CultureInfo.InvariantCulture, $"the packs take at most {bytes:N0} bytes"), () => Shell.BytesOnDrive(node.Packs()) <= bytes);

    private static async Task<UnfinishedRequest> BeginPutAsync(NodeProcess node, string bucket, string key, int announced, byte[] sent)
    {
        var put = await UnfinishedRequest.BeginAsync(node, "PUT", $"/{bucket}/{key}", announced);
        await put.SendAsync(sent);
        return put;
    }
}
