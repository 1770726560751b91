namespace DarkStorage.Conformance;

public sealed class CopyTests(NodeFixture node)
{
    private AmazonS3Client S3 => node.Client;

    [Theory]
    [InlineData(0)]
    [InlineData(100)]
    [InlineData(4097)]
    [InlineData((9 << 20) + 1)]
    public async Task A_copy_has_its_sources_content_and_metadata_and_a_life_of_its_own(int size)
    {
        var (from, to) = (await S3.NewBucketAsync(), await S3.NewBucketAsync());
        var content = S3Clients.Content(size);
        var put = new PutObjectRequest { BucketName = from, Key = "source", InputStream = new MemoryStream(content), ContentType = "text/x-source" };
        put.Metadata["name"] = "value";
        var etag = (await S3.PutObjectAsync(put)).ETag;
        var copied = await S3.CopyObjectAsync(from, "source", to, "copy");
        Assert.Equal(etag, copied.ETag);
        await S3.DeleteObjectAsync(from, "source");

        using var got = await S3.GetObjectAsync(to, "copy");
        Assert.Equal((etag, "text/x-source", "value"), (got.ETag, got.Headers.ContentType, got.Metadata["name"]));
        Assert.True(content.Same(await got.ReadBytesAsync()));
    }

    [Fact]
    public async Task A_copy_of_a_multipart_object_is_in_one_piece_and_its_ETag_is_its_MD5()
    {
        var bucket = await S3.NewBucketAsync();
        byte[][] parts = [S3Clients.Content(5 << 20, seed: 1), S3Clients.Content(100, seed: 2)];
        await S3.PutMultipartAsync(bucket, "source", parts);
        var copied = await S3.CopyObjectAsync(bucket, "source", bucket, "copy");
        byte[] whole = [.. parts[0], .. parts[1]];
        Assert.Equal($"\"{Convert.ToHexStringLower(System.Security.Cryptography.MD5.HashData(whole))}\"", copied.ETag);
        Assert.True(whole.Same(await S3.GetBytesAsync(bucket, "copy")));
    }

    [Fact]
    public async Task With_REPLACE_the_copy_has_the_requests_metadata_and_none_of_the_sources()
    {
        var bucket = await S3.NewBucketAsync();
        var put = new PutObjectRequest { BucketName = bucket, Key = "source", ContentBody = "x", ContentType = "text/x-source" };
        put.Metadata["old"] = "value";
        await S3.PutObjectAsync(put);
        var copy = new CopyObjectRequest { SourceBucket = bucket, SourceKey = "source", DestinationBucket = bucket, DestinationKey = "copy", MetadataDirective = S3MetadataDirective.REPLACE, ContentType = "text/x-copy" };
        copy.Metadata["new"] = "value";
        await S3.CopyObjectAsync(copy);
        var head = await S3.GetObjectMetadataAsync(bucket, "copy");
        Assert.Equal("text/x-copy", head.Headers.ContentType);
        Assert.Equal(["x-amz-meta-new"], head.Metadata.Keys);
    }

    [Fact]
    public async Task With_COPY_the_requests_metadata_is_not_looked_at()
    {
        var bucket = await S3.NewBucketAsync();
        var put = new PutObjectRequest { BucketName = bucket, Key = "source", ContentBody = "x" };
        put.Metadata["old"] = "value";
        await S3.PutObjectAsync(put);
        await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/copy").With("x-amz-copy-source", $"{bucket}/source").With("x-amz-metadata-directive", "COPY").With("x-amz-meta-new", "value"));
        Assert.Equal(["x-amz-meta-old"], (await S3.GetObjectMetadataAsync(bucket, "copy")).Metadata.Keys);
    }

    [Fact]
    public async Task A_copy_onto_itself_must_change_something()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "content");
        RawRequest Copy() => new RawRequest("PUT", $"/{bucket}/key").With("x-amz-copy-source", $"/{bucket}/key");
        Assert.Equal((400, "InvalidRequest"), (await node.Raw.SendAsync(Copy())).Error);
        Assert.Equal(200, (await node.Raw.SendAsync(Copy().With("x-amz-metadata-directive", "REPLACE").With("x-amz-meta-new", "value"))).Status);
        var after = await node.Raw.GetAsync($"/{bucket}/key");
        Assert.Equal(("content", "value"), (after.Text, after.Header("x-amz-meta-new")));
        Assert.Equal(200, (await node.Raw.SendAsync(Copy().With("x-amz-storage-class", "STANDARD_IA"))).Status);
        Assert.Equal("STANDARD_IA", (await node.Raw.HeadAsync($"/{bucket}/key")).Header("x-amz-storage-class"));
    }

    [Theory]
    [InlineData("x-amz-copy-source-if-match", "\"ETAG\"", 200)]
    [InlineData("x-amz-copy-source-if-match", "\"other\"", 412)]
    [InlineData("x-amz-copy-source-if-none-match", "\"ETAG\"", 412)]
    [InlineData("x-amz-copy-source-if-none-match", "\"other\"", 200)]
    [InlineData("x-amz-copy-source-if-modified-since", "Sat, 01 Jan 2000 00:00:00 GMT", 200)]
    [InlineData("x-amz-copy-source-if-unmodified-since", "Sat, 01 Jan 2000 00:00:00 GMT", 412)]
    public async Task A_condition_on_the_source_decides_whether_it_is_copied(string header, string value, int status)
    {
        var bucket = await S3.NewBucketAsync();
        var etag = (await S3.PutTextAsync(bucket, "source", "x")).ETag.Trim('"');
        var answer = await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/copy").With("x-amz-copy-source", $"{bucket}/source").With(header, value.Replace("ETAG", etag, StringComparison.Ordinal)));
        Assert.Equal(status, answer.Status);
        Assert.Equal(status, (await node.Raw.HeadAsync($"/{bucket}/copy")).Status == 200 ? 200 : 412);
    }

    [Fact]
    public async Task A_copy_may_be_tied_to_nothing_being_there()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "source", "x");
        RawRequest Copy() => new RawRequest("PUT", $"/{bucket}/copy").With("x-amz-copy-source", $"{bucket}/source").With("If-None-Match", "*");
        Assert.Equal(200, (await node.Raw.SendAsync(Copy())).Status);
        Assert.Equal((412, "PreconditionFailed"), (await node.Raw.SendAsync(Copy())).Error);
    }

    [Theory]
    [InlineData("BUCKET/none", 404, "NoSuchKey")]
    [InlineData("no-such-bucket-at-all/key", 404, "NoSuchBucket")]
    [InlineData("BUCKET", 400, "InvalidArgument")]
    [InlineData("BUCKET/", 400, "InvalidArgument")]
    public async Task A_source_that_is_not_there_is_an_error_and_writes_nothing(string source, int status, string code)
    {
        var bucket = await S3.NewBucketAsync();
        var answer = await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/copy").With("x-amz-copy-source", source.Replace("BUCKET", bucket, StringComparison.Ordinal)));
        Assert.Equal((status, code), answer.Error);
        Assert.Equal(404, (await node.Raw.HeadAsync($"/{bucket}/copy")).Status);
    }

    [Fact]
    public async Task A_source_whose_name_needs_escapes_is_found()
    {
        var bucket = await S3.NewBucketAsync();
        foreach (var key in (string[])["a b+c%2F/ü🌍?x=1&y", "?versionId=null", "plus+plus"])
        {
            await S3.PutTextAsync(bucket, key, key);
            Assert.Equal(200, (await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/copy").With("x-amz-copy-source", $"/{bucket}/{Uri.EscapeDataString(key)}"))).Status);
            Assert.Equal(key, await S3.GetTextAsync(bucket, "copy"));
        }
    }
}
