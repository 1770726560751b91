namespace DarkStorage.Conformance.Drives;

/// <summary>Who began to read a version gets that version, whatever becomes of its key meanwhile.</summary>
[Collection(nameof(Drives))]
public sealed class ReplacedWhileReadTests
{
    private const int Size = 64 << 20;
    private const string FreedMetric = "darkstorage_garbage_blobs_freed_total";

    [Theory, InlineData("PUT"), InlineData("DELETE")]
    public async Task A_reader_gets_the_whole_content_that_it_began_to_read(string change)
    {
        await using var node = await NodeProcess.StartAsync(new() { Environment = DriveNode.QuickGarbage.With(("Blobs__PackBytes", $"{32 << 20}")) });
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        var old = S3Clients.Content(Size, seed: 1);
        await s3.PutBytesAsync(bucket, "key", old);
        var freed = await node.MetricAsync(FreedMetric);

        using var reader = await UnfinishedRequest.BeginAsync(node, "GET", $"/{bucket}/key");
        Assert.Equal(200, await reader.ReadStatusAsync());
        var read = new byte[Size];
        (await reader.ReadAsync(1000)).CopyTo(read, 0);

        if (change == "DELETE") await s3.DeleteObjectAsync(bucket, "key");
        else await s3.PutBytesAsync(bucket, "key", S3Clients.Content(Size, seed: 2));
        await Eventually.HoldsAsync("the collector took the old content for garbage", async () => await node.MetricAsync(FreedMetric) > freed);
        // New content comes where the old one's room was, if that was given away.
        await s3.PutBytesAsync(bucket, "another", S3Clients.Content(16 << 20, seed: 3));

        (await reader.ReadAsync(Size - 1000)).CopyTo(read, 1000);
        Assert.True(old.AsSpan().SequenceEqual(read), "The reader got bytes that are not the old content's.");

        var left = (change == "DELETE" ? 0L : Size) + (16 << 20);
        await Eventually.HoldsAsync("the old content's bytes leave the drive once nobody reads them", () => Shell.BytesOnDrive(node.Packs()) <= left + (3 * 32 << 20) / 2);
    }

    [Fact]
    public async Task Many_readers_of_a_key_that_changes_all_the_time_each_get_one_whole_content()
    {
        const int Contents = 12;
        await using var node = await NodeProcess.StartAsync(new() { Environment = DriveNode.QuickGarbage.With(("Blobs__PackBytes", $"{32 << 20}")) });
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        var contents = Enumerable.Range(0, Contents).Select(i => S3Clients.Content((3 << 20) + i, i)).ToArray();
        await s3.PutBytesAsync(bucket, "key", contents[0]);
        using var done = new CancellationTokenSource();
        var readers = Enumerable.Range(0, 3).Select(_ => Task.Run(async () =>
        {
            var reads = 0;
            for (; !done.IsCancellationRequested || reads == 0; reads++)
            {
                var read = await s3.GetBytesAsync(bucket, "key");
                Assert.InRange(read.Length - (3 << 20), 0, Contents - 1);
                Assert.True(contents[read.Length - (3 << 20)].AsSpan().SequenceEqual(read), "A mix of contents was read.");
            }
            return reads;
        })).ToArray();
        for (var i = 1; i < 4 * Contents; i++) await s3.PutBytesAsync(bucket, "key", contents[i % Contents]);
        await done.CancelAsync();
        Assert.All(await Task.WhenAll(readers), reads => Assert.InRange(reads, 1, int.MaxValue));
    }
}
