namespace DarkStorage.Conformance;

/// <summary>Tags of buckets, objects and versions.</summary>
public sealed class TaggingTests(NodeFixture fixture)
{
    private NodeProcess Node => fixture.Node;

    private AmazonS3Client S3 => fixture.Client;

    [Fact]
    public async Task Tags_of_a_bucket_are_put_got_and_deleted()
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal((404, "NoSuchTagSet"), (await fixture.Raw.GetAsync($"/{bucket}?tagging")).Error);
        await S3.PutBucketTaggingAsync(bucket, [new() { Key = "a & b", Value = "<1>" }, new() { Key = "empty", Value = "" }]);
        Assert.Equal([("a & b", "<1>"), ("empty", "")], (await S3.GetBucketTaggingAsync(new() { BucketName = bucket })).TagSet.Select(t => (t.Key, t.Value)));
        var aws = new AwsCli(Node);
        Assert.Equal(2, (await aws.S3ApiAsync("get-bucket-tagging", "--bucket", bucket))["TagSet"]!.AsArray().Count);
        await aws.S3ApiAsync("delete-bucket-tagging", "--bucket", bucket);
        Assert.Equal((404, "NoSuchTagSet"), (await fixture.Raw.GetAsync($"/{bucket}?tagging")).Error);
    }

    [Fact]
    public async Task An_object_that_is_tagged_keeps_its_content()
    {
        var bucket = await S3.NewBucketAsync();
        foreach (var length in (int[])[0, 1, 100, 5_000_000])
        {
            var (key, content) = ($"{length}", S3Clients.Content(length));
            var etag = (await S3.PutBytesAsync(bucket, key, content)).ETag;
            await TagAsync(bucket, key, ("color", "blue"));
            var tagged = await S3.GetObjectAsync(bucket, key);
            Assert.True((await tagged.ReadBytesAsync()).Same(content));
            Assert.Equal((etag, 1), (tagged.ETag, tagged.TagCount));
            Assert.Equal(["color=blue"], await TagsAsync(bucket, key));
            await S3.DeleteObjectTaggingAsync(new() { BucketName = bucket, Key = key });
            Assert.Empty(await TagsAsync(bucket, key));
            Assert.True((await S3.GetBytesAsync(bucket, key)).Same(content));
            Assert.Null((await fixture.Raw.HeadAsync($"/{bucket}/{key}")).Header("x-amz-tagging-count"));
        }
    }

    [Fact]
    public async Task A_small_tagged_object_keeps_content_and_tags_through_a_restart()
    {
        await using var node = await NodeProcess.StartAsync();
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        await s3.PutTextAsync(bucket, "before", "small content");
        await s3.PutTextAsync(bucket, "after", "another content");
        await s3.PutObjectTaggingAsync(new() { BucketName = bucket, Key = "before", Tagging = new() { TagSet = [new() { Key = "a", Value = "1" }] } });
        await node.RestartAsync();
        Assert.Equal("small content", await s3.GetTextAsync(bucket, "before"));
        // The grain has just woken: it must not write a row without the content that it does not hold.
        await s3.PutObjectTaggingAsync(new() { BucketName = bucket, Key = "after", Tagging = new() { TagSet = [new() { Key = "b", Value = "2" }] } });
        Assert.Equal("another content", await s3.GetTextAsync(bucket, "after"));
        await node.RestartAsync();
        Assert.Equal(("small content", "another content"), (await s3.GetTextAsync(bucket, "before"), await s3.GetTextAsync(bucket, "after")));
        Assert.Equal("1", Assert.Single((await s3.GetObjectTaggingAsync(new() { BucketName = bucket, Key = "before" })).Tagging).Value);
        Assert.Equal("2", Assert.Single((await s3.GetObjectTaggingAsync(new() { BucketName = bucket, Key = "after" })).Tagging).Value);
    }

    [Fact]
    public async Task Tags_come_with_a_put_and_go_with_the_next()
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal(200, (await PutAsync($"/{bucket}/key", "a=1&b=&c%26%3D=%C3%A9+%20")).Status);
        Assert.Equal(["a=1", "b=", "c&==\u00e9  "], await TagsAsync(bucket, "key"));
        Assert.Equal("3", (await fixture.Raw.HeadAsync($"/{bucket}/key")).Header("x-amz-tagging-count"));
        await S3.PutTextAsync(bucket, "key", "y");
        Assert.Empty(await TagsAsync(bucket, "key"));
    }

    [Fact]
    public async Task Each_version_has_its_own_tags()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        var first = (await S3.PutTextAsync(bucket, "key", "first")).VersionId;
        var second = (await S3.PutTextAsync(bucket, "key", "second")).VersionId;
        await TagAsync(bucket, "key", ("of", "second"));
        var put = await S3.PutObjectTaggingAsync(new() { BucketName = bucket, Key = "key", VersionId = first, Tagging = new() { TagSet = [new() { Key = "of", Value = "first" }] } });
        Assert.Equal(first, put.VersionId);
        Assert.Equal(["of=second"], await TagsAsync(bucket, "key"));
        Assert.Equal("first", Assert.Single((await S3.GetObjectTaggingAsync(new() { BucketName = bucket, Key = "key", VersionId = first })).Tagging).Value);
        Assert.Equal("first", (await fixture.Raw.GetAsync($"/{bucket}/key?versionId={first}")).Text);
        Assert.Equal("second", (await fixture.Raw.GetAsync($"/{bucket}/key?versionId={second}")).Text);
        await S3.DeleteObjectTaggingAsync(new() { BucketName = bucket, Key = "key", VersionId = first });
        Assert.Equal(["of=second"], await TagsAsync(bucket, "key"));
        Assert.Equal("first", (await fixture.Raw.GetAsync($"/{bucket}/key?versionId={first}")).Text);
        var marker = (await S3.DeleteObjectAsync(bucket, "key")).VersionId;
        Assert.Equal((405, "MethodNotAllowed"), (await fixture.Raw.GetAsync($"/{bucket}/key?tagging&versionId={marker}")).Error);
        Assert.Equal((404, "NoSuchKey"), (await fixture.Raw.GetAsync($"/{bucket}/key?tagging")).Error);
        Assert.Equal(2, (await S3.ListVersionsAsync(bucket)).Versions.Count(v => v.IsDeleteMarker != true));
    }

    [Fact]
    public async Task A_copy_takes_the_tags_along_or_brings_others()
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal(200, (await PutAsync($"/{bucket}/source", "a=1")).Status);
        await S3.CopyObjectAsync(bucket, "source", bucket, "same");
        Assert.Equal(["a=1"], await TagsAsync(bucket, "same"));
        Task<RawAnswer> Copy(string key, string directive, string tags) =>
            fixture.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/{key}").With("x-amz-copy-source", $"/{bucket}/source").With("x-amz-tagging-directive", directive).With("x-amz-tagging", tags));
        Assert.Equal(200, (await Copy("other", "REPLACE", "b=2")).Status);
        Assert.Equal(["b=2"], await TagsAsync(bucket, "other"));
        Assert.Equal(200, (await Copy("none", "REPLACE", "")).Status);
        Assert.Empty(await TagsAsync(bucket, "none"));
        Assert.Equal((400, "InvalidArgument"), (await Copy("wrong", "SOME", "b=2")).Error);
        Assert.Equal((404, "NoSuchKey"), (await fixture.Raw.GetAsync($"/{bucket}/wrong")).Error);
    }

    [Fact]
    public async Task An_upload_in_parts_brings_its_tags()
    {
        var bucket = await S3.NewBucketAsync();
        var begun = await fixture.Raw.SendAsync(new RawRequest("POST", $"/{bucket}/key?uploads").With("x-amz-tagging", "a=1&b=2"));
        var upload = begun.Element("UploadId")!;
        var part = await S3.UploadPartAsync(new() { BucketName = bucket, Key = "key", UploadId = upload, PartNumber = 1, InputStream = new MemoryStream([1, 2, 3]) });
        await S3.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = "key", UploadId = upload, PartETags = [new(1, part.ETag)] });
        Assert.Equal(["a=1", "b=2"], await TagsAsync(bucket, "key"));
    }

    [Fact]
    public async Task Limits_hold_for_headers_and_documents_and_nothing_is_changed()
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal(200, (await PutAsync($"/{bucket}/key", "old=1")).Status);
        var eleven = Enumerable.Range(0, 11).Select(i => ($"k{i}", "v")).ToArray();
        foreach (var (tags, code) in new ((string, string)[] Tags, string Code)[]
            {
                (eleven, "BadRequest"),
                ([(new string('k', 129), "v")], "InvalidTag"),
                ([("k", new string('v', 257))], "InvalidTag"),
                ([("aws:mine", "v")], "InvalidTag"),
                ([("k", "1"), ("k", "2")], "InvalidTag"),
                ([("", "v")], "InvalidTag"),
            })
        {
            Assert.Equal((400, code), (await fixture.Raw.PutAsync($"/{bucket}/key?tagging", Document(tags))).Error);
            Assert.Equal((400, code), (await PutAsync($"/{bucket}/new", string.Join('&', tags.Select(t => $"{Uri.EscapeDataString(t.Item1)}={t.Item2}")))).Error);
        }
        Assert.Equal(["old=1"], await TagsAsync(bucket, "key"));
        Assert.Equal((404, "NoSuchKey"), (await fixture.Raw.GetAsync($"/{bucket}/new")).Error);
        Assert.Equal((400, "InvalidArgument"), (await PutAsync($"/{bucket}/new", "a=%zz")).Error);
        // The longest that may be, in letters of four bytes.
        await TagAsync(bucket, "key", (string.Concat(Enumerable.Repeat("\U0001F600", 128)), string.Concat(Enumerable.Repeat("\U0001F600", 256))));
        Assert.Equal(200, (await fixture.Raw.PutAsync($"/{bucket}/key?tagging", Document(eleven[..10]))).Status);
        var many = Enumerable.Range(0, 51).Select(i => ($"k{i}", "v")).ToArray();
        Assert.Equal((400, "BadRequest"), (await fixture.Raw.PutAsync($"/{bucket}?tagging", Document(many))).Error);
        Assert.Equal(204, (await fixture.Raw.PutAsync($"/{bucket}?tagging", Document(many[..50]))).Status);
    }

    [Theory]
    [InlineData("", "MissingRequestBodyError")]
    [InlineData("<Tagging/>", "MalformedXML")]
    [InlineData("<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>", "MalformedXML")]
    [InlineData("<Tagging><TagSet><Tag><Value>a</Value></Tag></TagSet></Tagging>", "MalformedXML")]
    [InlineData("<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value><Extra/></Tag></TagSet></Tagging>", "MalformedXML")]
    [InlineData("<Tagging><TagSet/><TagSet/></Tagging>", "MalformedXML")]
    [InlineData("<Tags/>", "MalformedXML")]
    [InlineData("<!DOCTYPE a [<!ENTITY b \"c\">]><Tagging><TagSet/></Tagging>", "MalformedXML")]
    [InlineData("{}", "MalformedXML")]
    public async Task A_wrong_document_is_refused_and_changes_nothing(string document, string code)
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        await TagAsync(bucket, "key", ("a", "1"));
        Assert.Equal((400, code), (await fixture.Raw.PutAsync($"/{bucket}/key?tagging", document)).Error);
        Assert.Equal((400, code), (await fixture.Raw.PutAsync($"/{bucket}?tagging", document)).Error);
        Assert.Equal(["a=1"], await TagsAsync(bucket, "key"));
        Assert.Equal((404, "NoSuchTagSet"), (await fixture.Raw.GetAsync($"/{bucket}?tagging")).Error);
    }

    [Fact]
    public async Task Tags_of_what_is_not_there_are_404()
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal((404, "NoSuchKey"), (await fixture.Raw.GetAsync($"/{bucket}/none?tagging")).Error);
        Assert.Equal((404, "NoSuchKey"), (await fixture.Raw.PutAsync($"/{bucket}/none?tagging", Document([("a", "b")]))).Error);
        Assert.Equal((404, "NoSuchKey"), (await fixture.Raw.DeleteAsync($"/{bucket}/none?tagging")).Error);
        Assert.Equal((404, "NoSuchBucket"), (await fixture.Raw.GetAsync($"/{S3Clients.NewBucketName()}?tagging")).Error);
    }

    private static string Document((string Key, string Value)[] tags) =>
        $"<Tagging><TagSet>{string.Concat(tags.Select(t => $"<Tag><Key>{t.Key}</Key><Value>{t.Value}</Value></Tag>"))}</TagSet></Tagging>";

    private Task<RawAnswer> PutAsync(string target, string tags) => fixture.Raw.SendAsync(new RawRequest("PUT", target).WithBody("x").With("x-amz-tagging", tags));

    private Task TagAsync(string bucket, string key, params (string Key, string Value)[] tags) =>
        S3.PutObjectTaggingAsync(new() { BucketName = bucket, Key = key, Tagging = new() { TagSet = [.. tags.Select(t => new Tag { Key = t.Key, Value = t.Value })] } });

    private async Task<IEnumerable<string>> TagsAsync(string bucket, string key) =>
        ((await S3.GetObjectTaggingAsync(new() { BucketName = bucket, Key = key })).Tagging ?? []).Select(t => $"{t.Key}={t.Value}");
}
