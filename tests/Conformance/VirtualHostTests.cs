namespace DarkStorage.Conformance;

/// <summary>The bucket in the host's name, and both styles side by side.</summary>
public sealed class VirtualHostTests(ForeignNodeFixture node)
{
    private const string Domain = "s3.example.test";

    [Fact]
    public async Task The_SDK_works_with_the_bucket_in_the_host()
    {
        using var s3 = node.Node.S3(virtualHost: true);
        var bucket = await s3.NewBucketAsync();
        await s3.PutTextAsync(bucket, "a/b c", "content");
        Assert.Equal("content", await s3.GetTextAsync(bucket, "a/b c"));
        Assert.Equal("a/b c", Assert.Single((await s3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects).Key);
        await s3.PutMultipartAsync(bucket, "multi", [S3Clients.Content(100)]);
        Assert.Equal(S3Clients.Content(100), await s3.GetBytesAsync(bucket, "multi"));
        Assert.Equal("content", await node.Client.GetTextAsync(bucket, "a/b c"));
        await s3.DeleteObjectAsync(bucket, "a/b c");
        await s3.DeleteObjectAsync(bucket, "multi");
        await s3.DeleteBucketAsync(bucket);
    }

    [Fact]
    public async Task The_host_decides_and_the_whole_path_is_the_key()
    {
        var bucket = await node.Client.NewBucketAsync();
        foreach (var host in (string[])[$"{bucket}.{Domain}", $"{bucket}.{Domain}:9000", $"{bucket.ToUpperInvariant()}.{Domain.ToUpperInvariant()}"])
        {
            Assert.Equal(200, (await node.Raw.SendAsync(new RawRequest("PUT", "/x/y").With("Host", host).WithBody(host))).Status);
            Assert.Equal(host, (await node.Raw.GetAsync($"/{bucket}/x/y")).Text);
        }
    }

    [Fact]
    public async Task The_domain_itself_and_any_other_host_are_path_style()
    {
        var bucket = await node.Client.NewBucketAsync();
        await node.Client.PutTextAsync(bucket, "key", "content");
        foreach (var host in (string[])[Domain, $"{Domain}:9000", "127.0.0.1", "elsewhere.test", $"not{Domain}"])
            Assert.Equal("content", (await node.Raw.SendAsync(new RawRequest("GET", $"/{bucket}/key").With("Host", host))).Text);
    }

    [Fact]
    public async Task A_host_whose_label_is_no_bucket_name_is_refused() =>
        Assert.Equal((400, "InvalidBucketName"), (await node.Raw.SendAsync(new RawRequest("GET", "/key").With("Host", $"a_b.{Domain}"))).Error);

    [Fact]
    public async Task A_presigned_URL_names_the_bucket_in_its_host()
    {
        using var s3 = node.Node.S3(virtualHost: true);
        var bucket = await s3.NewBucketAsync();
        await s3.PutTextAsync(bucket, "key", "content");
        var url = new Uri(s3.GetPreSignedURL(new() { BucketName = bucket, Key = "key", Verb = HttpVerb.GET, Expires = DateTime.UtcNow.AddMinutes(5), Protocol = Protocol.HTTP }));
        Assert.StartsWith($"{bucket}.{Domain}", url.Host, StringComparison.Ordinal);
        Assert.Equal("content", (await node.Raw.SendAsync(new RawRequest("GET", url.PathAndQuery) { Sign = false }.With("Host", url.Authority))).Text);
    }
}
