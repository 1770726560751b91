namespace DarkStorage.Conformance;

/// <summary>Versions, delete markers, and what becomes of them when versioning is suspended.</summary>
public sealed class VersioningTests(NodeFixture node)
{
    private AmazonS3Client S3 => node.Client;

    [Fact]
    public async Task Every_version_stays_until_it_is_deleted_by_its_id()
    {
        var bucket = await NewVersionedBucketAsync();
        var first = (await S3.PutTextAsync(bucket, "key", "first")).VersionId;
        var second = (await S3.PutTextAsync(bucket, "key", "second")).VersionId;
        Assert.NotEqual(first, second);
        Assert.Equal("second", await S3.GetTextAsync(bucket, "key"));
        Assert.Equal("first", await TextAsync(bucket, "key", first));
        Assert.Equal(first, (await S3.GetObjectMetadataAsync(new() { BucketName = bucket, Key = "key", VersionId = first })).VersionId);

        var marker = await S3.DeleteObjectAsync(bucket, "key");
        Assert.Equal("true", marker.DeleteMarker);
        var gone = await node.Raw.GetAsync($"/{bucket}/key");
        Assert.Equal((404, "NoSuchKey"), gone.Error);
        Assert.Equal(("true", marker.VersionId), (gone.Header("x-amz-delete-marker"), gone.Header("x-amz-version-id")));
        var named = await node.Raw.GetAsync($"/{bucket}/key?versionId={marker.VersionId}");
        Assert.Equal((405, "MethodNotAllowed"), named.Error);
        Assert.Equal(("true", "DELETE"), (named.Header("x-amz-delete-marker"), named.Header("Allow")));
        Assert.Empty((await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects ?? []);
        Assert.Equal(
            [(marker.VersionId, true, true), (second, false, false), (first, false, false)],
            (await S3.ListVersionsAsync(bucket)).Versions.Select(v => (v.VersionId, v.IsLatest == true, v.IsDeleteMarker == true)));

        var undone = await S3.DeleteObjectAsync(bucket, "key", marker.VersionId);
        Assert.Equal((marker.VersionId, "true"), (undone.VersionId, undone.DeleteMarker));
        Assert.Equal("second", await S3.GetTextAsync(bucket, "key"));
        await S3.DeleteObjectAsync(bucket, "key", second);
        Assert.Equal("first", await S3.GetTextAsync(bucket, "key"));
        await Refused.WithAsync("BucketNotEmpty", HttpStatusCode.Conflict, () => S3.DeleteBucketAsync(bucket));
        await S3.DeleteObjectAsync(bucket, "key", first);
        await S3.DeleteBucketAsync(bucket);
    }

    [Fact]
    public async Task While_versioning_is_suspended_the_null_version_is_replaced_and_the_others_stay()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "before");
        await SetAsync(bucket, VersionStatus.Enabled);
        var kept = (await S3.PutTextAsync(bucket, "key", "kept")).VersionId;
        Assert.Equal("before", await TextAsync(bucket, "key", "null"));

        await SetAsync(bucket, VersionStatus.Suspended);
        Assert.Equal("null", (await S3.PutTextAsync(bucket, "key", "after")).VersionId);
        Assert.Equal(["null", kept], (await S3.ListVersionsAsync(bucket)).Versions.Select(v => v.VersionId));
        Assert.Equal("after", await TextAsync(bucket, "key", "null"));
        Assert.Equal("kept", await TextAsync(bucket, "key", kept));

        var marker = await S3.DeleteObjectAsync(bucket, "key");
        Assert.Equal(("null", "true"), (marker.VersionId, marker.DeleteMarker));
        Assert.Equal([("null", true), (kept, false)], (await S3.ListVersionsAsync(bucket)).Versions.Select(v => (v.VersionId, v.IsDeleteMarker == true)));
        await S3.DeleteObjectAsync(bucket, "key", "null");
        Assert.Equal("kept", await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_bucket_that_never_had_versioning_says_nothing_of_versions()
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Empty((await node.Raw.GetAsync($"/{bucket}?versioning")).Xml.Elements());
        var put = await node.Raw.PutAsync($"/{bucket}/key", "x");
        Assert.Null(put.Header("x-amz-version-id"));
        Assert.Null((await node.Raw.GetAsync($"/{bucket}/key")).Header("x-amz-version-id"));
        var deleted = await node.Raw.DeleteAsync($"/{bucket}/key");
        Assert.Equal((204, null, null), (deleted.Status, deleted.Header("x-amz-version-id"), deleted.Header("x-amz-delete-marker")));
        Assert.Equal("null", (await S3.PutTextAsync(bucket, "key", "x"), Assert.Single((await S3.ListVersionsAsync(bucket)).Versions).VersionId).VersionId);
    }

    [Fact]
    public async Task Versions_are_listed_in_pages_that_hold_their_place_while_what_they_showed_is_deleted()
    {
        var bucket = await NewVersionedBucketAsync();
        var made = new List<string>();
        foreach (var key in (string[])["a", "b", "c/1", "c/2"])
        {
            for (var i = 0; i < 5; i++) made.Add((await S3.PutTextAsync(bucket, key, $"{i}")).VersionId);
        }
        var (seen, request) = (new List<string>(), new ListVersionsRequest { BucketName = bucket, MaxKeys = 3 });
        while (true)
        {
            var page = await S3.ListVersionsAsync(request);
            seen.AddRange(page.Versions.Select(v => v.VersionId));
            // As who empties a bucket does it: the version that the next page goes on behind is gone by then.
            await S3.DeleteObjectsAsync(new() { BucketName = bucket, Objects = [.. page.Versions.Select(v => new KeyVersion { Key = v.Key, VersionId = v.VersionId })] });
            if (page.IsTruncated != true) break;
            (request.KeyMarker, request.VersionIdMarker) = (page.NextKeyMarker, page.NextVersionIdMarker);
        }
        Assert.Equal(made.Order(), seen.Order());
        await S3.DeleteBucketAsync(bucket);
    }

    [Fact]
    public async Task A_delimiter_folds_versions_as_it_folds_objects()
    {
        var bucket = await NewVersionedBucketAsync();
        foreach (var key in (string[])["a/1", "a/2", "b"])
        {
            await S3.PutTextAsync(bucket, key, "x");
            await S3.DeleteObjectAsync(bucket, key);
        }
        var listed = await S3.ListVersionsAsync(new ListVersionsRequest { BucketName = bucket, Delimiter = "/" });
        Assert.Equal(["a/"], listed.CommonPrefixes);
        Assert.Equal(["b", "b"], listed.Versions.Select(v => v.Key));
        Assert.Equal(["a/2", "a/2"], (await S3.ListVersionsAsync(bucket, "a/2")).Versions.Select(v => v.Key));
    }

    [Fact]
    public async Task Many_are_deleted_at_once_each_by_its_version_or_with_a_marker()
    {
        var bucket = await NewVersionedBucketAsync();
        var version = (await S3.PutTextAsync(bucket, "one", "1")).VersionId;
        await S3.PutTextAsync(bucket, "two", "2");
        var deleted = (await S3.DeleteObjectsAsync(new() { BucketName = bucket, Objects = [new() { Key = "one", VersionId = version }, new() { Key = "two" }] })).DeletedObjects;
        var (one, two) = (deleted.Single(d => d.Key == "one"), deleted.Single(d => d.Key == "two"));
        Assert.Equal((version, false), (one.VersionId, one.DeleteMarker == true));
        Assert.Equal((null, true), (two.VersionId, two.DeleteMarker == true));
        var marker = Assert.Single((await S3.ListVersionsAsync(bucket)).Versions, v => v.IsDeleteMarker == true);
        Assert.Equal(("two", marker.VersionId), (marker.Key, two.DeleteMarkerVersionId));
    }

    [Fact]
    public async Task An_older_version_is_copied_to_the_top_and_a_condition_names_the_current_one()
    {
        var bucket = await NewVersionedBucketAsync();
        var first = await S3.PutTextAsync(bucket, "key", "first");
        await S3.PutTextAsync(bucket, "key", "second");
        var copied = await S3.CopyObjectAsync(new() { SourceBucket = bucket, SourceKey = "key", SourceVersionId = first.VersionId, DestinationBucket = bucket, DestinationKey = "key" });
        Assert.Equal(first.VersionId, copied.SourceVersionId);
        Assert.Equal("first", await S3.GetTextAsync(bucket, "key"));
        Assert.Equal(3, (await S3.ListVersionsAsync(bucket)).Versions.Count);
        await S3.DeleteObjectAsync(bucket, "key");
        // Nothing is current: a put that wants nothing there happens, one that wants the old content does not.
        await Refused.WithAsync("NoSuchKey", HttpStatusCode.NotFound, () => S3.PutObjectAsync(new() { BucketName = bucket, Key = "key", ContentBody = "x", IfMatch = first.ETag }));
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "key", ContentBody = "new", IfNoneMatch = "*" });
        Assert.Equal("new", await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task An_upload_in_parts_makes_a_version_and_completing_it_again_names_the_same()
    {
        var bucket = await NewVersionedBucketAsync();
        var upload = (await S3.InitiateMultipartUploadAsync(bucket, "key")).UploadId;
        var part = await S3.UploadPartAsync(new() { BucketName = bucket, Key = "key", UploadId = upload, PartNumber = 1, InputStream = new MemoryStream([1, 2, 3]) });
        var complete = new CompleteMultipartUploadRequest { BucketName = bucket, Key = "key", UploadId = upload, PartETags = [new(1, part.ETag)] };
        var made = (await S3.CompleteMultipartUploadAsync(complete)).VersionId;
        await S3.PutTextAsync(bucket, "key", "on top of it");
        Assert.Equal(made, (await S3.CompleteMultipartUploadAsync(complete)).VersionId);
        Assert.Equal(2, (await S3.ListVersionsAsync(bucket)).Versions.Count);
    }

    [Theory]
    [InlineData("<VersioningConfiguration/>", 400, "IllegalVersioningConfigurationException")]
    [InlineData("<VersioningConfiguration><Status>Off</Status></VersioningConfiguration>", 400, "IllegalVersioningConfigurationException")]
    [InlineData("<VersioningConfiguration><Status>enabled</Status></VersioningConfiguration>", 400, "MalformedXML")]
    [InlineData("<VersioningConfiguration><Status>Enabled</Status><Extra/></VersioningConfiguration>", 400, "MalformedXML")]
    [InlineData("<Versioning><Status>Enabled</Status></Versioning>", 400, "MalformedXML")]
    [InlineData("<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>", 501, "NotImplemented")]
    [InlineData("", 400, "MissingRequestBodyError")]
    public async Task A_wrong_configuration_is_refused_and_changes_nothing(string document, int status, string code)
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal((status, code), (await node.Raw.PutAsync($"/{bucket}?versioning", document)).Error);
        Assert.Empty((await node.Raw.GetAsync($"/{bucket}?versioning")).Xml.Elements());
    }

    [Theory]
    [InlineData("key?versionId=", "InvalidArgument")]
    [InlineData("key?versionId=zz", "InvalidArgument")]
    public async Task A_version_that_cannot_be_one_is_refused(string rest, string code)
    {
        var bucket = await NewVersionedBucketAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        Assert.Equal((400, code), (await node.Raw.GetAsync($"/{bucket}/{rest}")).Error);
        Assert.Equal((400, code), (await node.Raw.DeleteAsync($"/{bucket}/{rest}")).Error);
        Assert.Single((await S3.ListVersionsAsync(bucket)).Versions);
    }

    [Fact]
    public async Task The_AWS_CLI_lists_and_restores_versions()
    {
        var bucket = await S3.NewBucketAsync();
        var aws = new AwsCli(node.Node);
        await aws.S3ApiAsync("put-bucket-versioning", "--bucket", bucket, "--versioning-configuration", "Status=Enabled");
        Assert.Equal("Enabled", (string?)(await aws.S3ApiAsync("get-bucket-versioning", "--bucket", bucket))["Status"]);
        await S3.PutTextAsync(bucket, "key", "x");
        var marker = (string)(await aws.S3ApiAsync("delete-object", "--bucket", bucket, "--key", "key"))["VersionId"]!;
        var listed = await aws.S3ApiAsync("list-object-versions", "--bucket", bucket);
        Assert.Equal((1, marker), (listed["Versions"]!.AsArray().Count, (string?)listed["DeleteMarkers"]![0]!["VersionId"]));
        await aws.S3ApiAsync("delete-object", "--bucket", bucket, "--key", "key", "--version-id", marker);
        Assert.Equal("x", await S3.GetTextAsync(bucket, "key"));
    }

    private async Task<string> NewVersionedBucketAsync()
    {
        var bucket = await S3.NewBucketAsync();
        await SetAsync(bucket, VersionStatus.Enabled);
        return bucket;
    }

    private Task SetAsync(string bucket, VersionStatus status) => S3.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = status } });

    private async Task<string> TextAsync(string bucket, string key, string version)
    {
        using var response = await S3.GetObjectAsync(bucket, key, version);
        return System.Text.Encoding.UTF8.GetString(await response.ReadBytesAsync());
    }
}
