namespace DarkStorage.Conformance;

/// <summary>If-Match and If-None-Match on what writes.</summary>
public sealed class WriteConditionTests(NodeFixture node)
{
    private const int Writers = 32;

    private AmazonS3Client S3 => node.Client;

    [Fact]
    public async Task If_None_Match_star_writes_only_where_nothing_is()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "key", ContentBody = "first", IfNoneMatch = "*" });
        await Refused.WithAsync("PreconditionFailed", HttpStatusCode.PreconditionFailed,
            () => S3.PutObjectAsync(new() { BucketName = bucket, Key = "key", ContentBody = "second", IfNoneMatch = "*" }));
        Assert.Equal("first", await S3.GetTextAsync(bucket, "key"));
        await S3.DeleteObjectAsync(bucket, "key");
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "key", ContentBody = "third", IfNoneMatch = "*" });
        Assert.Equal("third", await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task If_Match_writes_only_over_the_content_it_names()
    {
        var bucket = await S3.NewBucketAsync();
        var first = (await S3.PutTextAsync(bucket, "key", "first")).ETag;
        var second = (await S3.PutObjectAsync(new() { BucketName = bucket, Key = "key", ContentBody = "second", IfMatch = first })).ETag;
        await Refused.WithAsync("PreconditionFailed", HttpStatusCode.PreconditionFailed,
            () => S3.PutObjectAsync(new() { BucketName = bucket, Key = "key", ContentBody = "third", IfMatch = first }));
        Assert.Equal("second", await S3.GetTextAsync(bucket, "key"));
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "key", ContentBody = "fourth", IfMatch = second.Trim('"') });
        Assert.Equal("fourth", await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task If_Match_where_nothing_is_says_that_nothing_is()
    {
        var bucket = await S3.NewBucketAsync();
        var answer = await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").With("If-Match", "\"abc\"").WithBody("x"));
        Assert.Equal((404, "NoSuchKey"), answer.Error);
    }

    [Fact]
    public async Task If_None_Match_with_anything_but_a_star_is_not_implemented_for_writes()
    {
        var bucket = await S3.NewBucketAsync();
        var answer = await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").With("If-None-Match", "\"abc\"").WithBody("x"));
        Assert.Equal((501, "NotImplemented"), answer.Error);
    }

    [Theory]
    [InlineData(10)]
    [InlineData(100_000)]
    public async Task Of_32_who_write_if_nothing_is_there_exactly_one_wins(int size)
    {
        var bucket = await S3.NewBucketAsync();
        var contents = Enumerable.Range(0, Writers).Select(i => S3Clients.Content(size, seed: i)).ToList();
        var answers = await Task.WhenAll(contents.Select(c => node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").With("If-None-Match", "*").WithBody(c))));
        var winner = Assert.Single(Enumerable.Range(0, Writers), i => answers[i].Status == 200);
        Assert.All(answers.Where(a => a.Status != 200), a => Assert.True(a.Error is (412, "PreconditionFailed") or (409, "ConditionalRequestConflict"), a.ToString()));
        Assert.Equal(contents[winner], await S3.GetBytesAsync(bucket, "key"));
    }

    [Fact]
    public async Task Of_32_who_replace_the_same_content_exactly_one_wins()
    {
        var bucket = await S3.NewBucketAsync();
        var etag = (await S3.PutTextAsync(bucket, "key", "first")).ETag;
        var answers = await Task.WhenAll(Enumerable.Range(0, Writers)
            .Select(i => node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").With("If-Match", etag).WithBody($"writer {i}"))));
        var winner = Assert.Single(Enumerable.Range(0, Writers), i => answers[i].Status == 200);
        Assert.Equal($"writer {winner}", await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task Of_many_completions_if_nothing_is_there_exactly_one_wins()
    {
        var bucket = await S3.NewBucketAsync();
        var uploads = new List<(string Id, PartETag Part, string Content)>();
        for (var i = 0; i < 8; i++)
        {
            var id = (await S3.InitiateMultipartUploadAsync(bucket, "key")).UploadId;
            uploads.Add((id, await S3.PutPartAsync(bucket, "key", id, 1, Encoding.UTF8.GetBytes($"upload {i}")), $"upload {i}"));
        }
        var outcomes = await Task.WhenAll(uploads.Select(async u =>
        {
            try
            {
                await S3.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = "key", UploadId = u.Id, PartETags = [u.Part], IfNoneMatch = "*" });
                return u.Content;
            }
            catch (AmazonS3Exception e) when (e.ErrorCode is "PreconditionFailed" or "ConditionalRequestConflict")
            {
                return null;
            }
        }));
        Assert.Equal(Assert.Single(outcomes, o => o is not null), await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_completion_over_the_wrong_content_is_refused_and_the_upload_stays()
    {
        var bucket = await S3.NewBucketAsync();
        var etag = (await S3.PutTextAsync(bucket, "key", "first")).ETag;
        var id = (await S3.InitiateMultipartUploadAsync(bucket, "key")).UploadId;
        var part = await S3.PutPartAsync(bucket, "key", id, 1, "second"u8.ToArray());
        Task Complete(string match) => S3.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = "key", UploadId = id, PartETags = [part], IfMatch = match });
        await Refused.WithAsync("PreconditionFailed", HttpStatusCode.PreconditionFailed, () => Complete("\"other\""));
        Assert.Equal("first", await S3.GetTextAsync(bucket, "key"));
        await Complete(etag);
        Assert.Equal("second", await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_delete_can_be_tied_to_the_content_it_means()
    {
        var bucket = await S3.NewBucketAsync();
        var etag = (await S3.PutTextAsync(bucket, "key", "first")).ETag;
        Assert.Equal((412, "PreconditionFailed"), (await node.Raw.SendAsync(new RawRequest("DELETE", $"/{bucket}/key").With("If-Match", "\"other\""))).Error);
        Assert.Equal("first", await S3.GetTextAsync(bucket, "key"));
        Assert.Equal(204, (await node.Raw.SendAsync(new RawRequest("DELETE", $"/{bucket}/key").With("If-Match", etag))).Status);
    }

    [Fact]
    public async Task Where_nothing_is_a_delete_tied_to_a_size_or_a_time_has_nothing_to_do()
    {
        var bucket = await S3.NewBucketAsync();
        foreach (var (header, value) in new[] { ("x-amz-if-match-size", "5"), ("x-amz-if-match-last-modified-time", "Sat, 29 Oct 1994 19:43:31 GMT") })
        {
            Assert.Equal(204, (await node.Raw.SendAsync(new RawRequest("DELETE", $"/{bucket}/key").With(header, value))).Status);
            await S3.PutTextAsync(bucket, "key", "first!");
            Assert.Equal((412, "PreconditionFailed"), (await node.Raw.SendAsync(new RawRequest("DELETE", $"/{bucket}/key").With(header, value))).Error);
            await S3.DeleteObjectAsync(bucket, "key");
        }
    }
}
