namespace DarkStorage.Conformance;

/// <summary>The bound of docs/BENCHMARKS.md, "Memory", with smaller objects.</summary>
[Trait("index", "none")]
public sealed class MemoryTests(ITestOutputHelper output)
{
    private const long ResidentBytesMax = 350L << 20;
    private const int SmallObjects = 20_000;
    private const int SmallConnections = 64;
    private const int Uploads = 64;
    private const int Downloads = 16;
    private const int LargeBytes = 32 << 20;

    [Fact]
    public async Task A_warm_node_stays_small_while_many_connections_put_and_get_large_objects()
    {
        if (!OperatingSystem.IsLinux()) Assert.Skip("Only Linux tells a process's largest resident set.");
        await using var node = await NodeProcess.StartAsync();
        using var s3 = node.S3();
        using var http = new HttpClient();
        var bucket = await s3.NewBucketAsync();
        var raw = node.Raw();

        // Warm: grains awake, caches full, the heap as large as it gets with small objects.
        var small = S3Clients.Content(4096);
        await AllAsync(SmallObjects, SmallConnections, i => PutAsync(http, node, raw, $"/{bucket}/small-{i}", small));
        for (var round = 0; round < 2; round++)
            await AllAsync(SmallObjects, SmallConnections, async i => Assert.Equal(small.Length, await GetAsync(http, node, raw, $"/{bucket}/small-{i}")));
        output.WriteLine($"Warm: {node.ResidentBytesPeak() >> 20} MiB");

        var large = S3Clients.Content(LargeBytes);
        await AllAsync(Uploads, Uploads, i => PutAsync(http, node, raw, $"/{bucket}/large-{i}", large));
        output.WriteLine($"After the uploads: {node.ResidentBytesPeak() >> 20} MiB");
        await AllAsync(Uploads, Downloads, async i => Assert.Equal(large.Length, await GetAsync(http, node, raw, $"/{bucket}/large-{i}")));
        output.WriteLine($"After the downloads: {node.ResidentBytesPeak() >> 20} MiB");
        Assert.InRange(node.ResidentBytesPeak(), 1, ResidentBytesMax);
    }

    private static Task AllAsync(int count, int connections, Func<int, Task> work) =>
        Parallel.ForEachAsync(Enumerable.Range(0, count), new ParallelOptions { MaxDegreeOfParallelism = connections }, async (i, _) => await work(i));

    private static async Task PutAsync(HttpClient http, NodeProcess node, RawS3 raw, string target, byte[] content)
    {
        using var body = new ByteArrayContent(content);
        using var answer = await http.PutAsync(new Uri(node.S3Url, raw.Presign("PUT", target, TimeSpan.FromHours(1))), body);
        Assert.Equal(System.Net.HttpStatusCode.OK, answer.StatusCode);
    }

    /// <returns>Bytes that came; what they are is other tests' matter.</returns>
    private static async Task<long> GetAsync(HttpClient http, NodeProcess node, RawS3 raw, string target)
    {
        using var answer = await http.GetAsync(new Uri(node.S3Url, raw.Presign("GET", target, TimeSpan.FromHours(1))), HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal(System.Net.HttpStatusCode.OK, answer.StatusCode);
        await using var stream = await answer.Content.ReadAsStreamAsync();
        var (length, buffer) = (0L, new byte[64 << 10]);
        while (await stream.ReadAsync(buffer) is var read and > 0) length += read;
        return length;
    }
}
