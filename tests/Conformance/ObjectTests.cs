namespace DarkStorage.Conformance;

public sealed class ObjectTests(NodeFixture node)
{
    private AmazonS3Client S3 => node.Client;

    /// <summary>Around the sizes where something changes inside: inline objects, chunks, several chunks.</summary>
    public static TheoryData<int> Sizes =>
        [0, 1, 4095, 4096, 4097, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 1 << 20, (4 << 20) - 1, 4 << 20, (4 << 20) + 1, 9 << 20];

    [Theory, MemberData(nameof(Sizes))]
    public async Task An_object_of_any_size_reads_back_byte_for_byte(int size)
    {
        var bucket = await S3.NewBucketAsync();
        var content = S3Clients.Content(size, seed: size);
        var put = await S3.PutBytesAsync(bucket, "key", content);
        Assert.Equal($"\"{Convert.ToHexStringLower(System.Security.Cryptography.MD5.HashData(content))}\"", put.ETag);

        using var got = await S3.GetObjectAsync(bucket, "key");
        Assert.Equal((size, put.ETag), (got.ContentLength, got.ETag));
        Assert.True(content.Same(await got.ReadBytesAsync()));
        var head = await S3.GetObjectMetadataAsync(bucket, "key");
        Assert.Equal((size, put.ETag), (head.ContentLength, head.ETag));
        var listed = Assert.Single((await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects);
        Assert.Equal((size, put.ETag), (listed.Size, listed.ETag));
    }

    [Fact]
    public async Task An_overwrite_replaces_content_and_metadata_whole()
    {
        var bucket = await S3.NewBucketAsync();
        var first = new PutObjectRequest { BucketName = bucket, Key = "key", ContentBody = "a rather long first content", ContentType = "text/x-first" };
        first.Metadata["first"] = "yes";
        await S3.PutObjectAsync(first);
        var second = new PutObjectRequest { BucketName = bucket, Key = "key", ContentBody = "second", ContentType = "text/x-second" };
        second.Metadata["second"] = "yes";
        await S3.PutObjectAsync(second);

        using var got = await S3.GetObjectAsync(bucket, "key");
        Assert.Equal("second", Encoding.UTF8.GetString(await got.ReadBytesAsync()));
        Assert.Equal("text/x-second", got.Headers.ContentType);
        Assert.Equal(["x-amz-meta-second"], got.Metadata.Keys);
        Assert.Single((await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects);
    }

    [Theory]
    [InlineData(100, 9 << 20)]
    [InlineData(9 << 20, 100)]
    [InlineData(9 << 20, 0)]
    public async Task An_overwrite_from_one_way_of_storing_to_another_leaves_nothing_of_the_first(int before, int after)
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutBytesAsync(bucket, "key", S3Clients.Content(before, seed: 1));
        var content = S3Clients.Content(after, seed: 2);
        await S3.PutBytesAsync(bucket, "key", content);
        Assert.True(content.Same(await S3.GetBytesAsync(bucket, "key")));
    }

    [Fact]
    public async Task A_deleted_object_is_gone_and_deleting_again_is_fine()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "value");
        Assert.Equal(HttpStatusCode.NoContent, (await S3.DeleteObjectAsync(bucket, "key")).HttpStatusCode);
        await Refused.WithAsync("NoSuchKey", HttpStatusCode.NotFound, () => S3.GetObjectAsync(bucket, "key"));
        Assert.Equal(404, (await node.Raw.HeadAsync($"/{bucket}/key")).Status);
        Assert.Empty((await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects ?? []);
        Assert.Equal(HttpStatusCode.NoContent, (await S3.DeleteObjectAsync(bucket, "key")).HttpStatusCode);
    }

    [Fact]
    public async Task Every_write_is_seen_by_the_reads_and_lists_that_follow_it()
    {
        var bucket = await S3.NewBucketAsync();
        for (var i = 0; i < 50; i++)
        {
            await S3.PutTextAsync(bucket, "key", $"{i}");
            Assert.Equal($"{i}", await S3.GetTextAsync(bucket, "key"));
            await S3.PutTextAsync(bucket, $"k{i:00}", "");
            Assert.Equal(i + 2, (await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects.Count);
        }
    }

    [Fact]
    public async Task Of_many_writers_of_one_key_the_last_answer_reads_back_whole_whichever_it_is()
    {
        var bucket = await S3.NewBucketAsync();
        var contents = Enumerable.Range(0, 16).Select(i => S3Clients.Content(100_000, seed: i)).ToList();
        await Task.WhenAll(contents.Select(c => S3.PutBytesAsync(bucket, "key", c)));
        var got = await S3.GetBytesAsync(bucket, "key");
        Assert.Single(contents, c => c.Same(got));
        Assert.Single((await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects);
    }

    [Fact]
    public async Task User_metadata_comes_back_as_it_was_given_in_UTF_8_too()
    {
        var bucket = await S3.NewBucketAsync();
        await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").WithBody("x")
            .With("x-amz-meta-plain", "some words").With("X-Amz-Meta-UPPER", "Case Stays").With("x-amz-meta-utf8", "Grüße, 世界 🌍").With("x-amz-meta-empty", ""));
        foreach (var answer in (RawAnswer[])[await node.Raw.GetAsync($"/{bucket}/key"), await node.Raw.HeadAsync($"/{bucket}/key")])
        {
            Assert.Equal(200, answer.Status);
            Assert.Equal("some words", answer.Header("x-amz-meta-plain"));
            Assert.Equal("Case Stays", answer.Header("x-amz-meta-upper"));
            Assert.Equal("Grüße, 世界 🌍", answer.Header("x-amz-meta-utf8"));
            Assert.Equal("", answer.Header("x-amz-meta-empty"));
        }
    }

    [Fact]
    public async Task Two_KiB_of_user_metadata_are_taken_and_a_byte_more_is_refused()
    {
        var bucket = await S3.NewBucketAsync();
        RawRequest Put(int bytes) => new RawRequest("PUT", $"/{bucket}/key").WithBody("x").With("x-amz-meta-name", new string('v', bytes - "name".Length));
        Assert.Equal(200, (await node.Raw.SendAsync(Put(2048))).Status);
        Assert.Equal((400, "MetadataTooLarge"), (await node.Raw.SendAsync(Put(2049))).Error);
    }

    [Fact]
    public async Task The_system_headers_come_back_as_they_were_given()
    {
        var bucket = await S3.NewBucketAsync();
        Dictionary<string, string> headers = new()
        {
            ["Content-Type"] = "text/plain; charset=utf-16",
            ["Cache-Control"] = "max-age=30, private",
            ["Content-Disposition"] = "attachment; filename=\"a b.txt\"",
            ["Content-Encoding"] = "gzip",
            ["Content-Language"] = "de-CH, fr",
            ["Expires"] = "Thu, 01 Dec 2033 16:00:00 GMT",
            ["x-amz-website-redirect-location"] = "/elsewhere",
        };
        var put = new RawRequest("PUT", $"/{bucket}/key").WithBody("x");
        foreach (var (name, value) in headers) put.With(name, value);
        Assert.Equal(200, (await node.Raw.SendAsync(put)).Status);
        foreach (var answer in (RawAnswer[])[await node.Raw.GetAsync($"/{bucket}/key"), await node.Raw.HeadAsync($"/{bucket}/key")])
            Assert.All(headers, h => Assert.Equal(h.Value, answer.Header(h.Key)));
    }

    [Fact]
    public async Task Without_a_Content_Type_an_object_is_binary()
    {
        var bucket = await S3.NewBucketAsync();
        await node.Raw.PutAsync($"/{bucket}/key", "x");
        Assert.Equal("binary/octet-stream", (await node.Raw.GetAsync($"/{bucket}/key")).Header("Content-Type"));
    }

    [Fact]
    public async Task The_storage_class_is_kept_and_only_the_standard_one_goes_unsaid()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "ia", ContentBody = "x", StorageClass = S3StorageClass.StandardInfrequentAccess });
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "standard", ContentBody = "x" });
        Assert.Equal("STANDARD_IA", (await node.Raw.HeadAsync($"/{bucket}/ia")).Header("x-amz-storage-class"));
        Assert.Null((await node.Raw.HeadAsync($"/{bucket}/standard")).Header("x-amz-storage-class"));
        var listed = (await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects;
        Assert.Equal(["STANDARD_IA", "STANDARD"], listed.Select(o => o.StorageClass.Value));
        Assert.Equal((400, "InvalidStorageClass"),
            (await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/none").With("x-amz-storage-class", "CARDBOARD").WithBody("x"))).Error);
    }

    [Fact]
    public async Task Last_Modified_is_the_time_of_the_write_in_headers_and_lists()
    {
        var bucket = await S3.NewBucketAsync();
        var before = DateTime.UtcNow;
        await S3.PutTextAsync(bucket, "key", "x");
        var after = DateTime.UtcNow;
        var listed = (await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects[0].LastModified!.Value.ToUniversalTime();
        Assert.InRange(listed, before.AddSeconds(-1), after.AddSeconds(1));
        var head = DateTimeOffset.ParseExact((await node.Raw.HeadAsync($"/{bucket}/key")).Header("Last-Modified")!, "r", null);
        Assert.InRange(listed - head.UtcDateTime, TimeSpan.Zero, TimeSpan.FromMilliseconds(999));
    }

    [Fact]
    public async Task The_null_version_is_the_object_and_no_other_version_is_there()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        Assert.Equal("x", (await node.Raw.GetAsync($"/{bucket}/key?versionId=null")).Text);
        Assert.Equal((404, "NoSuchVersion"), (await node.Raw.GetAsync($"/{bucket}/key?versionId={new string('0', 32)}")).Error);
        Assert.Equal((400, "InvalidArgument"), (await node.Raw.GetAsync($"/{bucket}/key?versionId=other")).Error);
    }

    [Theory]
    [InlineData("x-amz-server-side-encryption", "aws:kms:dsse")]
    public async Task A_wish_that_cannot_be_met_is_refused_and_not_forgotten(string header, string value)
    {
        var bucket = await S3.NewBucketAsync();
        var answer = await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").With(header, value).WithBody("x"));
        Assert.Equal((501, "NotImplemented"), answer.Error);
        Assert.Equal(header, answer.Element("Header"));
        Assert.Equal((404, "NoSuchKey"), (await node.Raw.GetAsync($"/{bucket}/key")).Error);
    }

    [Fact]
    public async Task More_than_five_GiB_in_one_piece_are_refused_before_they_are_sent()
    {
        var bucket = await S3.NewBucketAsync();
        var answer = await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key") { StatedLength = (5L << 30) + 1, PayloadHash = "UNSIGNED-PAYLOAD" });
        Assert.Equal((400, "EntityTooLarge"), answer.Error);
    }

    [Fact]
    public async Task An_object_has_no_tags_and_says_so_and_what_is_not_there_says_that()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "value");
        Assert.Empty((await S3.GetObjectTaggingAsync(new() { BucketName = bucket, Key = "key" })).Tagging ?? []);
        Assert.Equal((404, "NoSuchKey"), (await node.Raw.GetAsync($"/{bucket}/other?tagging")).Error);
    }
}
