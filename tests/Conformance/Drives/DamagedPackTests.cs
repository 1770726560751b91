using System.Globalization;

namespace DarkStorage.Conformance.Drives;

[Collection(nameof(Drives))]
[Trait("index", "none")]
public sealed class DamagedPackTests
{
    private const string DamagedMetric = "darkstorage_storage_damaged_total";
    private const int LargeSize = 13 << 20;

    private static readonly byte[] Small = S3Clients.Content(20_000, seed: 1);
    private static readonly byte[] Other = S3Clients.Content(20_000, seed: 2);
    private static readonly byte[] Large = S3Clients.Content(LargeSize, seed: 3);

    [Theory, InlineData(true), InlineData(false)]
    public async Task A_damaged_object_answers_500_and_every_other_object_reads_on(bool inHeader)
    {
        await using var node = await StartAsync();
        var bucket = await StoreAsync(node);
        var frame = await StopAndFindAsync(node, Small, 1);
        if (inHeader) frame[0].FlipHeader();
        else frame[0].FlipContent(12_345);
        await node.RestartAsync();
        using var s3 = node.S3();
        var raw = node.Raw();
        Assert.Equal(0, await node.MetricAsync(DamagedMetric));

        var answer = await raw.GetAsync($"/{bucket}/small");
        Assert.Equal((500, "InternalError"), answer.Error);
        Assert.Equal(answer.Header("x-amz-request-id"), answer.Element("RequestId"));
        Assert.False(string.IsNullOrEmpty(answer.Element("RequestId")));
        Assert.Equal(1, await node.MetricAsync(DamagedMetric));
        Assert.Equal((500, "InternalError"), (await raw.SendAsync(new RawRequest("GET", $"/{bucket}/small").With("Range", "bytes=12000-13000"))).Error);
        Assert.Equal(200, (await raw.HeadAsync($"/{bucket}/small")).Status);
        Assert.Equal(1, await node.MetricAsync(DamagedMetric)); // one chunk is damaged, however often it is asked for
        await s3.AssertReadsBackAsync(bucket, "other", Other);
        await s3.AssertReadsBackAsync(bucket, "large", Large);
        await AssertLoggedAsync(node, frame[0]);

        // What is damaged can be replaced and is whole then.
        await s3.PutBytesAsync(bucket, "small", Other);
        await s3.AssertReadsBackAsync(bucket, "small", Other);
    }

    [Fact]
    public async Task Damage_amid_a_large_object_breaks_the_answer_and_leaves_the_ranges_beside_it()
    {
        await using var node = await StartAsync();
        var bucket = await StoreAsync(node);
        var frames = await StopAndFindAsync(node, Large, 2);
        // Well into the object: the status is out by the time the reader gets there.
        var at = frames[0].Length + frames[1].Length / 2;
        frames[1].FlipContent(frames[1].Length / 2);
        await node.RestartAsync();
        var raw = node.Raw();

        await Assert.ThrowsAnyAsync<IOException>(() => raw.GetAsync($"/{bucket}/large"));
        Assert.Equal(1, await node.MetricAsync(DamagedMetric));
        Assert.Equal((500, "InternalError"), (await RangeAsync(at, at)).Error);
        Assert.Equal((500, "InternalError"), (await RangeAsync(at - 100_000, at + 100_000)).Error);
        foreach (var (first, last) in ((int, int)[])[(0, at - 65_536), (at + 65_536, LargeSize - 1), (0, 0)])
        {
            var answer = await RangeAsync(first, last);
            Assert.Equal(206, answer.Status);
            Assert.True(Large.AsSpan(first, last - first + 1).SequenceEqual(answer.Body), $"bytes {first}-{last}");
        }
        await AssertLoggedAsync(node, frames[1]);

        Task<RawAnswer> RangeAsync(int first, int last) => raw.SendAsync(new RawRequest("GET", $"/{bucket}/large").With("Range", string.Create(CultureInfo.InvariantCulture, $"bytes={first}-{last}")));
    }

    [Fact]
    public async Task A_pack_that_was_cut_short_loses_what_was_cut_and_nothing_else()
    {
        await using var node = await StartAsync();
        var bucket = await StoreAsync(node);
        var frames = await StopAndFindAsync(node, Large, 2);
        var last = frames[^1];
        using (var file = File.OpenHandle(last.Pack, FileMode.Open, FileAccess.ReadWrite)) RandomAccess.SetLength(file, last.Payload + last.Length / 2);
        await node.RestartAsync();
        using var s3 = node.S3();
        var raw = node.Raw();
        await Assert.ThrowsAnyAsync<IOException>(() => raw.GetAsync($"/{bucket}/large"));
        var start = LargeSize - last.Length;
        Assert.Equal((500, "InternalError"), (await raw.SendAsync(new RawRequest("GET", $"/{bucket}/large").With("Range", $"bytes={start}-"))).Error);
        var before = await raw.SendAsync(new RawRequest("GET", $"/{bucket}/large").With("Range", $"bytes=0-{start - 1}"));
        Assert.True(Large.AsSpan(0, start).SequenceEqual(before.Body));
        await s3.AssertReadsBackAsync(bucket, "small", Small);
        await s3.AssertReadsBackAsync(bucket, "other", Other);
        Assert.Equal(1, await node.MetricAsync(DamagedMetric));
    }

    [Fact]
    public async Task A_pack_that_is_gone_takes_its_objects_and_no_others_and_the_node_writes_on()
    {
        await using var node = await StartAsync();
        var bucket = await StoreAsync(node);
        var lost = (await StopAndFindAsync(node, Small, 1))[0];
        var kept = PackFrame.Of(node, Large);
        Assert.DoesNotContain(kept, f => f.Pack == lost.Pack);
        File.Delete(lost.Pack);
        await node.RestartAsync();
        using var s3 = node.S3();
        var raw = node.Raw();
        foreach (var key in (string[])["small", "other"]) Assert.Equal((500, "InternalError"), (await raw.GetAsync($"/{bucket}/{key}")).Error);
        Assert.Equal(2, await node.MetricAsync(DamagedMetric));
        await s3.AssertReadsBackAsync(bucket, "large", Large);
        await s3.PutBytesAsync(bucket, "small", Other);
        await s3.AssertReadsBackAsync(bucket, "small", Other);
        await s3.DeleteObjectAsync(bucket, "other");
        Assert.Equal((404, "NoSuchKey"), (await raw.GetAsync($"/{bucket}/other")).Error);
    }

    [Fact]
    public async Task A_pack_whose_header_is_gone_is_counted_logged_and_left_as_it_is()
    {
        await using var node = await StartAsync();
        var bucket = await StoreAsync(node);
        var pack = (await StopAndFindAsync(node, Small, 1))[0].Pack;
        using (var file = File.OpenHandle(pack, FileMode.Open, FileAccess.ReadWrite)) RandomAccess.Write(file, new byte[2 * 4096], 0);
        var before = await File.ReadAllBytesAsync(pack);
        await node.RestartAsync();
        using var s3 = node.S3();
        Assert.Equal((500, "InternalError"), (await node.Raw().GetAsync($"/{bucket}/small")).Error);
        await s3.AssertReadsBackAsync(bucket, "large", Large);
        Assert.Equal(1, await node.MetricAsync("darkstorage_storage_damaged_packs"));
        Assert.Contains("has no readable header", node.Output, StringComparison.Ordinal);
        await node.KillAsync();
        var after = await File.ReadAllBytesAsync(pack);
        Assert.True(before.AsSpan().SequenceEqual(after), "The pack was changed.");
    }

    [Fact]
    public async Task A_scrub_finds_damage_that_no_client_has_met()
    {
        await using var node = await StartAsync(("DriveCare__ScrubPeriod", "00:00:01"));
        var bucket = await StoreAsync(node);
        await Eventually.HoldsAsync("a scrub came by", async () => await node.MetricAsync("darkstorage_storage_scrubbed_bytes_total") > 0);
        Assert.Equal(0, await node.MetricAsync(DamagedMetric));
        var frames = await StopAndFindAsync(node, Large, 2);
        frames[1].FlipContent(77);
        await node.RestartAsync();
        await Eventually.HoldsAsync("the scrub counts the damage", async () => await node.MetricAsync(DamagedMetric) == 1);
        await AssertLoggedAsync(node, frames[1]);
        await node.S3().AssertReadsBackAsync(bucket, "small", Small);
    }

    [Fact]
    public async Task A_scrub_begins_anew_and_finds_damage_where_its_place_can_neither_be_read_nor_written()
    {
        await using var node = await StartAsync(("DriveCare__ScrubPeriod", "00:00:01"));
        await StoreAsync(node);
        var frames = await StopAndFindAsync(node, Large, 2);
        frames[1].FlipContent(77);
        var place = Path.Combine(node.DataDirectory, "scrub.json");
        File.Delete(place);
        Directory.CreateDirectory(place);
        await node.RestartAsync();
        await Eventually.HoldsAsync("the scrub counts the damage", async () => await node.MetricAsync(DamagedMetric) == 1);
        await Eventually.HoldsAsync("an operator is told", () => node.Output.Contains("it begins anew", StringComparison.Ordinal));
    }

    private static Task<NodeProcess> StartAsync(params (string, string)[] more) => NodeProcess.StartAsync(new() { Environment = DriveNode.QuickGarbage.With(more) });

    /// <summary>Two small objects, which share a pack, and a large one, which is in another.</summary>
    private static async Task<string> StoreAsync(NodeProcess node)
    {
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        await s3.PutBytesAsync(bucket, "small", Small);
        await s3.PutBytesAsync(bucket, "other", Other);
        await s3.PutBytesAsync(bucket, "large", Large);
        return bucket;
    }

    private static async Task<List<PackFrame>> StopAndFindAsync(NodeProcess node, byte[] content, int atLeast)
    {
        Assert.Equal(0, await node.TerminateAsync());
        var frames = PackFrame.Of(node, content);
        Assert.InRange(frames.Count, atLeast, int.MaxValue);
        Assert.Equal(content.Length, frames.Sum(f => f.Length));
        return frames;
    }

    /// <summary>The log says which chunk, and where, and nothing that anybody could sign or decrypt with.</summary>
    private static async Task AssertLoggedAsync(NodeProcess node, PackFrame frame)
    {
        var number = long.Parse(Path.GetFileNameWithoutExtension(frame.Pack), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        var place = string.Create(CultureInfo.InvariantCulture, $"in pack {number:x} at {frame.Offset} ");
        // The log goes through a pipe: the line may come a moment after the answer.
        await Eventually.HoldsAsync($"the log has a line with '{place}'", () => node.Output.Contains(place, StringComparison.Ordinal));
        var line = node.Output.Split('\n').First(l => l.Contains(place, StringComparison.Ordinal));
        Assert.Contains($"Chunk {frame.Index} of blob ", line, StringComparison.Ordinal);
        Assert.DoesNotContain(node.Settings.SecretKey, node.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("Signature=", node.Output, StringComparison.Ordinal);
    }
}
