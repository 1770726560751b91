using System.Text.Json.Nodes;
using Amazon.S3;
using Amazon.S3.Model;

namespace DarkStorage.Conformance;

/// <remarks>What is in each tier, what is asked of it, and what that costs.</remarks>
public sealed partial class TierTests
{
    private static readonly NodeSettings Counting = TierNodeFixture.Quick with { Environment = TierNodeFixture.Quick.Environment.Append(new("DARKSTORAGE_UsageCounts__FlushInterval", "00:00:00.200")).ToDictionary() };

    [Fact]
    public async Task What_is_there_and_what_is_asked_of_it_is_told_by_tier_and_outlives_the_node_and_the_bucket()
    {
        await using var node = await NodeProcess.StartAsync(Counting);
        using var client = node.S3();
        var bucket = await client.NewBucketAsync();
        await NewTierAsync("cold", node: node);
        await JsonAsync(node, HttpMethod.Put, "/hot", new { cost = 20m, readCost = 3m, writeCost = 5m, egressCost = 90m }, HttpStatusCode.OK);
        await JsonAsync(node, HttpMethod.Put, "/cold", new { readCost = 10m }, HttpStatusCode.OK);
        await client.PutBytesAsync(bucket, "hot", new byte[1_000]);
        await client.PutObjectAsync(new() { BucketName = bucket, Key = "cold", InputStream = new MemoryStream(new byte[Large]), StorageClass = S3StorageClass.GlacierInstantRetrieval });
        var upload = await client.InitiateMultipartUploadAsync(new() { BucketName = bucket, Key = "parts", StorageClass = S3StorageClass.GlacierInstantRetrieval });
        var part = await client.CopyPartAsync(new() { SourceBucket = bucket, SourceKey = "hot", DestinationBucket = bucket, DestinationKey = "parts", UploadId = upload.UploadId, PartNumber = 1 });
        await client.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = "parts", UploadId = upload.UploadId, PartETags = [new(1, part.ETag)] });
        // Of the upload's class too where the source has its key.
        var same = await client.InitiateMultipartUploadAsync(new() { BucketName = bucket, Key = "hot", StorageClass = S3StorageClass.GlacierInstantRetrieval });
        await client.CopyPartAsync(new() { SourceBucket = bucket, SourceKey = "hot", DestinationBucket = bucket, DestinationKey = "hot", UploadId = same.UploadId, PartNumber = 1 });
        await client.GetBytesAsync(bucket, "hot");
        using (await client.GetObjectAsync(new() { BucketName = bucket, Key = "hot", ByteRange = new(10, 19) })) { }
        await client.GetBytesAsync(bucket, "cold");
        await client.ListObjectsV2Async(new() { BucketName = bucket, MaxKeys = 1 });
        await client.PutTextAsync(bucket, "text", "12345");
        await client.CopyObjectAsync(bucket, "cold", bucket, "text");
        await client.DeleteObjectAsync(bucket, "text");
        await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => client.GetObjectAsync(bucket, "none"));
        // What is not allowed, and what is not there to be counted in.
        using (var writer = node.S3(await node.NewUserAsync(null, """{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutObject","Resource":"*"}]}""")))
            await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => writer.PutObjectAsync(new() { BucketName = bucket, Key = "hot", ContentBody = "x", TagSet = [new() { Key = "a", Value = "b" }] }));
        using (var anyone = new HttpClient()) Assert.Equal(HttpStatusCode.Forbidden, (await anyone.GetAsync(new Uri(node.S3Url, $"/{bucket}/hot"))).StatusCode);
        await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => client.GetObjectAsync(S3Clients.NewBucketName(), "hot"));

        JsonNode hot = null!;
        await Eventually.HoldsAsync(async () => (long)(hot = await UsedAsync("STANDARD"))["reads"]! == 3, () => $"{hot}");
        Assert.Equal((1, 1_000, "hot", 4, 1), ((long)hot["objects"]!, (long)hot["bytes"]!, (string?)hot["tier"], (long)hot["writes"]!, (long)hot["deletes"]!));
        Assert.InRange((long)hot["sent"]!, 1_010, 4_000); // and what the list, the copy and the error said
        Assert.Equal(1_005, (long)hot["received"]!);
        Assert.Equal((0.009m, 0.02m, (long)hot["sent"]! * 90 / 1e9m), ((decimal)hot["cost"]!["reads"]!, (decimal)hot["cost"]!["writes"]!, (decimal)hot["cost"]!["egress"]!));
        var cold = await UsedAsync("GLACIER_IR");
        Assert.Equal((2, Large + 1_000, "cold", 1, 6, 0), ((long)cold["objects"]!, (long)cold["bytes"]!, (string?)cold["tier"], (long)cold["reads"]!, (long)cold["writes"]!, (long)cold["deletes"]!));
        Assert.InRange((long)cold["sent"]!, Large, Large + 3_000); // and what the upload said
        Assert.True((decimal)cold["byteMonths"]! > 0 && (long)cold["received"]! >= Large);
        var stored = (decimal)cold["cost"]!["storage"]!;
        Assert.InRange((stored * 1e9m) - ((decimal)cold["byteMonths"]! * 20 * 0.17m), -0.01m, 0.01m); // what is usual for the class, of bytes that are rounded
        Assert.Equal((0.01m, null, stored + 0.01m), ((decimal?)cold["cost"]!["reads"], (decimal?)cold["cost"]!["writes"], (decimal?)cold["cost"]!["total"]));

        // What was counted a moment before the node is stopped is kept too.
        await client.GetBytesAsync(bucket, "cold");
        await node.TerminateAsync();
        await node.RestartAsync();
        Assert.Equal(2, (long)(await UsedAsync("GLACIER_IR"))["reads"]!);

        var stats = await node.CommandLineAsync(["tiers", "stats", bucket]);
        Assert.Matches(@"^MONTH +TIER +VERSIONS +SIZE +GB-MONTHS +READS +WRITES +DELETES +RECEIVED +SENT\n\d{4}-\d\d +hot +1 +1000 B .*\n\d{4}-\d\d +cold +2 +684.6 KiB +0[.0-9]* +2 +6 +0 +68[0-9.]+ KiB +1.3 MiB\n$", stats.Output);
        var cost = await node.CommandLineAsync(["tiers", "cost", $"darkstorage://{bucket}"]);
        Assert.Matches(@"^MONTH +TIER +GB-MONTHS +STORAGE +READS +WRITES +EGRESS +TOTAL\n.* hot .*\n.* cold +0[.0-9]* +0[.0-9]* +0.02 +\? +\? +0.02\nall +0[.0-9]+\n$", cost.Output);
        Assert.Contains($"\n{bucket}  ", (await node.CommandLineAsync(["tiers", "stats", "--by-bucket"])).Output, StringComparison.Ordinal);
        Assert.Equal((1, "darkstorage: from: a month, as 2026-11.\n"), await node.CommandLineAsync(["tiers", "cost", "--from", "2026-13"]) is var wrong ? (wrong.ExitCode, wrong.Error) : default);

        foreach (var key in (string[])["hot", "cold", "parts"]) await client.DeleteObjectAsync(bucket, key);
        await client.DeleteBucketAsync(bucket);
        var gone = (await UsageAsync(""))["entries"]!.AsArray().Single(u => (string?)u!["storageClass"] == "GLACIER_IR")!;
        Assert.Equal((0, 0, 2), ((long)gone["objects"]!, (long)gone["bytes"]!, (long)gone["reads"]!));
        await UsageAsync($"?bucket={bucket}", HttpStatusCode.NotFound);
        await UsageAsync("?from=2026-13", HttpStatusCode.BadRequest);
        await UsageAsync("?from=2999-01", HttpStatusCode.BadRequest);

        async Task<JsonNode> UsedAsync(string storageClass)
        {
            await Eventually.HoldsAsync("it is told", async () => (await UsageAsync($"?bucket={bucket}"))["entries"]!.AsArray().Any(u => (string?)u!["storageClass"] == storageClass));
            return (await UsageAsync($"?bucket={bucket}"))["entries"]!.AsArray().Single(u => (string?)u!["storageClass"] == storageClass)!;
        }

        async Task<JsonNode> UsageAsync(string query, HttpStatusCode status = HttpStatusCode.OK)
        {
            using var answer = await node.AdminAsync(HttpMethod.Get, $"v1/usage{query}", null);
            var text = await answer.Content.ReadAsStringAsync();
            Assert.True(answer.StatusCode == status, $"{query}: {(int)answer.StatusCode} {text}");
            return JsonNode.Parse(text)!;
        }
    }
}
