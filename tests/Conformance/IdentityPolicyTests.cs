namespace DarkStorage.Conformance;

/// <summary>What users may do by their own policies, and by owning.</summary>
public sealed class IdentityPolicyTests(NodeFixture fixture)
{
    private NodeProcess Node => fixture.Node;

    private AmazonS3Client S3 => fixture.Client;

    [Fact]
    public async Task A_reader_reads_everything_and_writes_nothing()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "content");
        var user = await Node.NewUserAsync(null, "readonly");
        using var s3 = Node.S3(user);
        Assert.Equal("content", await s3.GetTextAsync(bucket, "key"));
        Assert.Equal(["key"], (await s3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects.Select(o => o.Key));
        await Refused.WithAsync("NoSuchKey", HttpStatusCode.NotFound, () => s3.GetTextAsync(bucket, "none"));
        foreach (var call in (Func<Task>[])
        [
            () => s3.PutTextAsync(bucket, "key", "x"),
            () => s3.DeleteObjectAsync(bucket, "key"),
            () => s3.DeleteObjectAsync(bucket, "none"),
            () => s3.PutBucketAsync(S3Clients.NewBucketName()),
            () => s3.DeleteBucketAsync(bucket),
            () => s3.InitiateMultipartUploadAsync(bucket, "key"),
            () => s3.CopyObjectAsync(bucket, "key", bucket, "copy"),
            () => s3.PutBucketPolicyAsync(bucket, "{}"),
            () => s3.PutObjectTaggingAsync(new() { BucketName = bucket, Key = "key", Tagging = new() { TagSet = [] } }),
        ]) await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, call);
        Assert.Equal("content", await S3.GetTextAsync(bucket, "key"));
        var error = await Assert.ThrowsAsync<AwsCliException>(() => new AwsCli(Node, user.AccessKey, user.SecretKey).S3ApiAsync("delete-object", "--bucket", bucket, "--key", "key"));
        Assert.Contains("AccessDenied", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_writer_writes_and_sees_nothing()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "there", "x");
        using var s3 = Node.S3(await Node.NewUserAsync(null, "writeonly"));
        await s3.PutTextAsync(bucket, "key", "written");
        Assert.Equal("written", await S3.GetTextAsync(bucket, "key"));
        foreach (var call in (Func<Task>[])
        [
            () => s3.GetTextAsync(bucket, "key"),
            () => s3.GetTextAsync(bucket, "none"), // no word on what is there and what is not
            () => s3.ListObjectsV2Async(new() { BucketName = bucket }),
            () => s3.DeleteObjectAsync(bucket, "there"),
            () => s3.CopyObjectAsync(bucket, "there", bucket, "copy"),
            () => s3.ListBucketsAsync(),
        ]) await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, call);
        var upload = (await s3.InitiateMultipartUploadAsync(bucket, "parts")).UploadId;
        var part = await s3.UploadPartAsync(new() { BucketName = bucket, Key = "parts", UploadId = upload, PartNumber = 1, InputStream = new MemoryStream([1]) });
        await s3.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = "parts", UploadId = upload, PartETags = [new(1, part.ETag)] });
    }

    [Fact]
    public async Task A_policy_on_a_prefix_holds_within_it()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "elsewhere", "x");
        var user = await Node.NewUserAsync(null, $$"""
            {"Version":"2012-10-17","Statement":[
              {"Effect":"Allow","Action":["s3:GetObject","s3:PutObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::{{bucket}}/home/${aws:username}/*"},
              {"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::{{bucket}}","Condition":{"StringLike":{"s3:prefix":"home/${aws:username}/*"} } }]}
            """);
        using var s3 = Node.S3(user);
        await s3.PutTextAsync(bucket, $"home/{user.Name}/key", "mine");
        Assert.Equal("mine", await s3.GetTextAsync(bucket, $"home/{user.Name}/key"));
        Assert.Single((await s3.ListObjectsV2Async(new() { BucketName = bucket, Prefix = $"home/{user.Name}/" })).S3Objects);
        foreach (var call in (Func<Task>[])
        [
            () => s3.GetTextAsync(bucket, "elsewhere"),
            () => s3.PutTextAsync(bucket, "home/another/key", "x"),
            () => s3.PutTextAsync(bucket, $"home/{user.Name}", "x"),
            () => s3.ListObjectsV2Async(new() { BucketName = bucket }),
            () => s3.ListObjectsV2Async(new() { BucketName = bucket, Prefix = "home/" }),
            () => s3.CopyObjectAsync(bucket, "elsewhere", bucket, $"home/{user.Name}/copy"),
        ]) await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, call);
        var many = await Assert.ThrowsAsync<DeleteObjectsException>(() => s3.DeleteObjectsAsync(new() { BucketName = bucket, Objects = [new() { Key = $"home/{user.Name}/key" }, new() { Key = "elsewhere" }] }));
        Assert.Equal([("elsewhere", "AccessDenied")], many.Response.DeleteErrors.Select(e => (e.Key, e.Code)));
        Assert.Equal([$"home/{user.Name}/key"], many.Response.DeletedObjects.Select(d => d.Key));
    }

    [Fact]
    public async Task A_policy_that_denies_wins_over_one_that_allows()
    {
        var bucket = await S3.NewBucketAsync();
        using var s3 = Node.S3(await Node.NewUserAsync(null, "readwrite", """{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:DeleteObject","Resource":"*"}]}"""));
        await s3.PutTextAsync(bucket, "key", "x");
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.DeleteObjectAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_user_without_policies_is_master_of_own_buckets_and_nobody_in_others()
    {
        var ofRoot = await S3.NewBucketAsync();
        await S3.PutTextAsync(ofRoot, "key", "x");
        using var s3 = Node.S3(await Node.NewUserAsync());
        var own = await s3.NewBucketAsync();
        await s3.PutTextAsync(own, "key", "x");
        await s3.PutBucketTaggingAsync(own, [new() { Key = "a", Value = "b" }]);
        await s3.DeleteObjectAsync(own, "key");
        Assert.Equal([own], (await s3.ListBucketsAsync()).Buckets.Select(b => b.BucketName));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.GetTextAsync(ofRoot, "key"));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.PutTextAsync(ofRoot, "key", "y"));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.GetBucketPolicyAsync(ofRoot));
        await s3.DeleteBucketAsync(own);
    }

    [Fact]
    public async Task Tags_of_a_source_are_copied_by_who_may_read_them()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "tagged", ContentBody = "x", TagSet = [new() { Key = "a", Value = "b" }] });
        await S3.PutTextAsync(bucket, "plain", "x");
        using var s3 = Node.S3(await Node.NewUserAsync(null, """{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"*"}]}"""));
        await s3.CopyObjectAsync(bucket, "plain", bucket, "copy");
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.CopyObjectAsync(bucket, "tagged", bucket, "copy"));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.PutObjectAsync(new() { BucketName = bucket, Key = "new", ContentBody = "x", TagSet = [new() { Key = "a", Value = "b" }] }));
    }
}
