namespace DarkStorage.Conformance;

public sealed class RangeTests(NodeFixture node)
{
    private const int Size = (9 << 20) + 17;

    /// <summary>Range, and the first and last byte that it stands for in an object of 1,000 bytes; nothing where the whole object is the answer.</summary>
    public static TheoryData<string, int?, int?> Forms => new()
    {
        { "bytes=0-0", 0, 0 },
        { "bytes=0-499", 0, 499 },
        { "bytes=500-999", 500, 999 },
        { "bytes=500-", 500, 999 },
        { "bytes=999-", 999, 999 },
        { "bytes=-1", 999, 999 },
        { "bytes=-1000", 0, 999 },
        { "bytes=-5000", 0, 999 },
        { "bytes=900-5000", 900, 999 },
        { "bytes=900-99999999999999999999999999", 900, 999 },
        { "bytes=0-0,5-9", null, null },
        { "bytes=5-4", null, null },
        { "bytes=a-b", null, null },
        { "bytes=-", null, null },
        { "bytes=", null, null },
        { "lines=1-2", null, null },
        { "0-5", null, null },
    };

    [Theory, MemberData(nameof(Forms))]
    public async Task A_range_is_answered_as_S3_does(string range, int? first, int? last)
    {
        var bucket = await node.Client.NewBucketAsync();
        var content = S3Clients.Content(1000);
        await node.Client.PutBytesAsync(bucket, "key", content);
        foreach (var method in (string[])["GET", "HEAD"])
        {
            var answer = await node.Raw.SendAsync(new RawRequest(method, $"/{bucket}/key").With("Range", range));
            var expected = first is null ? content : content[first.Value..(last!.Value + 1)];
            Assert.Equal(first is null ? 200 : 206, answer.Status);
            Assert.Equal(first is null ? null : $"bytes {first}-{last}/1000", answer.Header("Content-Range"));
            Assert.Equal($"{expected.Length}", answer.Header("Content-Length"));
            Assert.Equal("bytes", answer.Header("Accept-Ranges"));
            if (method == "GET") Assert.Equal(expected, answer.Body);
        }
    }

    [Theory]
    [InlineData("bytes=1000-", 1000)]
    [InlineData("bytes=1000-1001", 1000)]
    [InlineData("bytes=-0", 1000)]
    [InlineData("bytes=99999999999999999999999-", 1000)]
    [InlineData("bytes=0-", 0)]
    [InlineData("bytes=-1", 0)]
    public async Task A_range_beyond_the_object_is_416(string range, int size)
    {
        var bucket = await node.Client.NewBucketAsync();
        await node.Client.PutBytesAsync(bucket, "key", S3Clients.Content(size));
        var answer = await node.Raw.SendAsync(new RawRequest("GET", $"/{bucket}/key").With("Range", range));
        Assert.Equal((416, "InvalidRange"), answer.Error);
        Assert.Equal($"{size}", answer.Element("ActualObjectSize"));
        Assert.Equal(range, answer.Element("RangeRequested"));
        Assert.Equal(416, (await node.Raw.SendAsync(new RawRequest("HEAD", $"/{bucket}/key").With("Range", range))).Status);
    }

    [Fact]
    public async Task Any_range_of_an_object_of_several_chunks_is_exactly_its_bytes()
    {
        var bucket = await node.Client.NewBucketAsync();
        var content = S3Clients.Content(Size);
        await node.Client.PutBytesAsync(bucket, "key", content);
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        List<(int, int)> ranges = [(0, 0), (Size - 1, Size - 1), ((4 << 20) - 1, 4 << 20), (4 << 20, (8 << 20) - 1), (0, Size - 1), ((4 << 20) - 1, (8 << 20) + 1)];
        for (var i = 0; i < 40; i++)
        {
            var first = random.Next(Size);
            ranges.Add((first, random.Next(first, i % 2 == 0 ? Size : Math.Min(Size, first + 3000))));
        }
        foreach (var (first, last) in ranges)
        {
            using var got = await node.Client.GetObjectAsync(new() { BucketName = bucket, Key = "key", ByteRange = new(first, last) });
            Assert.True(content[first..(last + 1)].Same(await got.ReadBytesAsync()), $"bytes {first}-{last}, seed {seed}");
        }
    }
}
