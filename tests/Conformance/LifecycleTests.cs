using System.Net.Http.Headers;
using System.Text.Json.Nodes;

namespace DarkStorage.Conformance;

/// <summary>A node whose days last a second, so that rules can be seen at work.</summary>
public sealed class FastLifecycleFixture : NodeFixture
{
    protected override NodeSettings Settings => new()
    {
        Environment = new Dictionary<string, string> { ["DARKSTORAGE_Lifecycle__DayLength"] = "00:00:01", ["DARKSTORAGE_Lifecycle__Interval"] = "00:00:01" },
    };
}

/// <summary>Lifecycle configurations, and what the grain that runs them does.</summary>
public sealed class LifecycleTests(NodeFixture node, FastLifecycleFixture fast) : IClassFixture<FastLifecycleFixture>
{
    private const string Full = """
        <LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
          <Rule><ID>one</ID><Filter><And><Prefix>a/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan></And></Filter><Status>Enabled</Status>
            <Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition><Transition><Days>90</Days><StorageClass>GLACIER</StorageClass></Transition><Expiration><Days>365</Days></Expiration></Rule>
          <Rule><ID>two</ID><Prefix>b/</Prefix><Status>Disabled</Status><NoncurrentVersionExpiration><NoncurrentDays>7</NoncurrentDays><NewerNoncurrentVersions>3</NewerNoncurrentVersions></NoncurrentVersionExpiration>
            <AbortIncompleteMultipartUpload><DaysAfterInitiation>2</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
          <Rule><ID>three</ID><Filter/><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>
        </LifecycleConfiguration>
        """;

    [Fact]
    public async Task A_configuration_reads_back_as_it_was_put_and_goes_when_it_is_deleted()
    {
        var bucket = await node.Client.NewBucketAsync();
        Assert.Equal((404, "NoSuchLifecycleConfiguration"), (await node.Raw.GetAsync($"/{bucket}?lifecycle")).Error);
        Assert.Equal(200, (await node.Raw.PutAsync($"/{bucket}?lifecycle", Full)).Status);
        var first = (await node.Raw.GetAsync($"/{bucket}?lifecycle")).Text;
        var rules = (await node.Client.GetLifecycleConfigurationAsync(bucket)).Configuration.Rules;
        Assert.Equal(["one", "two", "three"], rules.Select(r => r.Id));
        Assert.Equal(["STANDARD_IA", "GLACIER"], rules[0].Transitions.Select(t => t.StorageClass.Value));
        Assert.Equal(3, rules[1].NoncurrentVersionExpiration.NewerNoncurrentVersions);
        // What it answers can be put again.
        Assert.Equal(200, (await node.Raw.PutAsync($"/{bucket}?lifecycle", first)).Status);
        Assert.Equal(first, (await node.Raw.GetAsync($"/{bucket}?lifecycle")).Text);
        Assert.Equal(204, (await node.Raw.DeleteAsync($"/{bucket}?lifecycle")).Status);
        Assert.Equal((404, "NoSuchLifecycleConfiguration"), (await node.Raw.GetAsync($"/{bucket}?lifecycle")).Error);
    }

    [Fact]
    public async Task The_AWS_CLI_puts_and_gets_it_and_an_object_says_when_it_will_go()
    {
        var bucket = await node.Client.NewBucketAsync();
        var aws = new AwsCli(node.Node);
        await aws.S3ApiAsync("put-bucket-lifecycle-configuration", "--bucket", bucket, "--lifecycle-configuration",
            """{"Rules":[{"ID":"my rule","Status":"Enabled","Filter":{"Prefix":"old/"},"Expiration":{"Days":1}}]}""");
        Assert.Equal("my rule", (string?)(await aws.S3ApiAsync("get-bucket-lifecycle-configuration", "--bucket", bucket))["Rules"]![0]!["ID"]);
        var put = await node.Raw.PutAsync($"/{bucket}/old/key", "x");
        Assert.Matches("^expiry-date=\"[A-Z][a-z]{2}, .* 00:00:00 GMT\", rule-id=\"my%20rule\"$", put.Header("x-amz-expiration"));
        Assert.Equal(put.Header("x-amz-expiration"), (await node.Raw.HeadAsync($"/{bucket}/old/key")).Header("x-amz-expiration"));
        Assert.Null((await node.Raw.PutAsync($"/{bucket}/new/key", "x")).Header("x-amz-expiration"));
    }

    [Theory]
    [InlineData("", "MissingRequestBodyError")]
    [InlineData("<LifecycleConfiguration/>", "MalformedXML")]
    [InlineData("<LifecycleConfiguration><Rule><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>", "MalformedXML")]
    [InlineData("<LifecycleConfiguration><Rule><Filter/><Status>enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>", "MalformedXML")]
    [InlineData("<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status></Rule></LifecycleConfiguration>", "InvalidRequest")]
    [InlineData("<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status><Expiration><Days>0</Days></Expiration></Rule></LifecycleConfiguration>", "InvalidArgument")]
    [InlineData("<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status><Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration></Rule></LifecycleConfiguration>", "InvalidArgument")]
    [InlineData("<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status><Expiration><Days>1</Days><Date>2030-01-01T00:00:00Z</Date></Expiration></Rule></LifecycleConfiguration>", "MalformedXML")]
    [InlineData("<LifecycleConfiguration><Rule><Filter><Prefix>a</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>", "MalformedXML")]
    [InlineData("<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status><Transition><Days>1</Days><StorageClass>FROZEN</StorageClass></Transition></Rule></LifecycleConfiguration>", "MalformedXML")]
    [InlineData("<LifecycleConfiguration><Rule><ID>a</ID><Filter/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule><Rule><ID>a</ID><Filter/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>", "InvalidArgument")]
    public async Task A_wrong_configuration_is_refused_and_changes_nothing(string document, string code)
    {
        var bucket = await node.Client.NewBucketAsync();
        await node.Raw.PutAsync($"/{bucket}?lifecycle", Full);
        Assert.Equal((400, code), (await node.Raw.PutAsync($"/{bucket}?lifecycle", document)).Error);
        Assert.Equal(3, (await node.Client.GetLifecycleConfigurationAsync(bucket)).Configuration.Rules.Count);
    }

    [Fact]
    public async Task Objects_expire_and_move_by_their_rules_and_all_others_stay()
    {
        var s3 = fast.Client;
        var bucket = await s3.NewBucketAsync();
        foreach (var key in (string[])["expire/1", "expire/2", "keep/1", "move/1"]) await s3.PutTextAsync(bucket, key, "content");
        await s3.PutObjectAsync(new() { BucketName = bucket, Key = "tagged/yes", ContentBody = "x", TagSet = [new() { Key = "go", Value = "1" }] });
        await s3.PutObjectAsync(new() { BucketName = bucket, Key = "tagged/no", ContentBody = "x", TagSet = [new() { Key = "go", Value = "2" }] });
        var upload = (await s3.InitiateMultipartUploadAsync(bucket, "upload")).UploadId;
        await PutAsync(bucket, """
            <Rule><ID>e</ID><Filter><Prefix>expire/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>
            <Rule><ID>t</ID><Filter><Tag><Key>go</Key><Value>1</Value></Tag></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>
            <Rule><ID>m</ID><Filter><Prefix>move/</Prefix></Filter><Status>Enabled</Status><Transition><Days>1</Days><StorageClass>STANDARD_IA</StorageClass></Transition><Transition><Days>2</Days><StorageClass>GLACIER_IR</StorageClass></Transition></Rule>
            <Rule><ID>u</ID><Filter/><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
            """);

        await UntilAsync(fast.Node, bucket, async () => (await KeysAsync(bucket)).SequenceEqual(["keep/1", "move/1", "tagged/no"])
            && (await s3.GetObjectMetadataAsync(bucket, "move/1")).StorageClass?.Value == "GLACIER_IR"
            && (await s3.ListMultipartUploadsAsync(bucket)).MultipartUploads is null or []);

        Assert.Equal("content", await s3.GetTextAsync(bucket, "move/1"));
        Assert.Equal((404, "NoSuchUpload"), (await fast.Raw.GetAsync($"/{bucket}/upload?uploadId={upload}")).Error);
        // More runs find nothing more to do, and say so.
        await UntilAsync(fast.Node, bucket, async () => await ReportAsync(bucket) is { } report && (long)report["looked"]! == 3 && (long)report["expired"]! == 0 && (long)report["transitioned"]! == 0);
    }

    [Fact]
    public async Task Versions_go_from_the_oldest_markers_at_last_and_locked_ones_not_at_all()
    {
        var s3 = fast.Client;
        var bucket = S3Clients.NewBucketName();
        await s3.PutBucketAsync(new PutBucketRequest { BucketName = bucket, ObjectLockEnabledForBucket = true });
        for (var i = 0; i < 5; i++) await s3.PutTextAsync(bucket, "versions", $"{i}");
        await s3.PutTextAsync(bucket, "deleted", "x");
        await s3.DeleteObjectAsync(bucket, "deleted");
        var locked = (await s3.PutObjectAsync(new() { BucketName = bucket, Key = "locked", ContentBody = "held", ObjectLockLegalHoldStatus = ObjectLockLegalHoldStatus.On })).VersionId;
        await s3.PutTextAsync(bucket, "locked", "newer");
        await PutAsync(bucket, """
            <Rule><ID>n</ID><Filter/><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration></Rule>
            <Rule><ID>m</ID><Filter/><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>
            """);

        await UntilAsync(fast.Node, bucket, async () => (await s3.ListVersionsAsync(bucket)).Versions.Select(v => v.Key).SequenceEqual(["locked", "locked", "versions"]));

        Assert.Equal("4", await s3.GetTextAsync(bucket, "versions"));
        using var held = await s3.GetObjectAsync(bucket, "locked", locked);
        Assert.Equal("held", Encoding.UTF8.GetString(await held.ReadBytesAsync()));
        await UntilAsync(fast.Node, bucket, async () => await ReportAsync(bucket) is { } report && (long)report["locked"]! == 1);
    }

    [Fact]
    public async Task With_versioning_an_expired_object_gets_a_delete_marker_and_a_preview_changes_nothing()
    {
        var s3 = node.Client;
        var bucket = await s3.NewBucketAsync();
        await s3.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        await s3.PutTextAsync(bucket, "key", "content");
        // A date in the past: due at once, and the node's own run comes in a minute at the earliest.
        Assert.Equal(200, (await node.Raw.PutAsync($"/{bucket}?lifecycle",
            "<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status><Expiration><Date>2020-01-01T00:00:00Z</Date></Expiration></Rule></LifecycleConfiguration>")).Status);
        var preview = await AdminAsync(node.Node, $"/v1/lifecycle/{bucket}/preview");
        Assert.Equal((1, 1, 7), ((long)preview["looked"]!, (long)preview["expired"]!, (long)preview["bytes"]!));
        Assert.Equal("content", await s3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_run_goes_on_after_the_node_was_killed()
    {
        await using var killed = await NodeProcess.StartAsync(new() { Flags = ["--log-level", "Debug"], Environment = new Dictionary<string, string> { ["DARKSTORAGE_Lifecycle__DayLength"] = "00:00:01", ["DARKSTORAGE_Lifecycle__Interval"] = "00:00:01" } });
        using var s3 = killed.S3();
        var bucket = await s3.NewBucketAsync();
        await Task.WhenAll(Enumerable.Range(0, 3_000).Chunk(100).Select(async keys =>
        {
            foreach (var key in keys) await s3.PutTextAsync(bucket, $"{key:D5}", "x");
        }));
        var batch = killed.NextLineAsync($"Lifecycle of {bucket}: a batch");
        await killed.Raw().PutAsync($"/{bucket}?lifecycle", "<LifecycleConfiguration><Rule><Filter/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>");
        await batch;
        await killed.KillAsync();
        await killed.RestartAsync();
        using var again = killed.S3();
        Assert.NotEqual(0, (await again.ListObjectsV2Async(new() { BucketName = bucket })).KeyCount); // it died amid the run
        await UntilAsync(killed, bucket, async () => (await again.ListObjectsV2Async(new() { BucketName = bucket })).KeyCount == 0);
    }

    private async Task PutAsync(string bucket, string rules) =>
        Assert.Equal(200, (await fast.Raw.PutAsync($"/{bucket}?lifecycle", $"<LifecycleConfiguration>{rules}</LifecycleConfiguration>")).Status);

    private async Task<List<string>> KeysAsync(string bucket) => [.. ((await fast.Client.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects ?? []).Select(o => o.Key)];

    private async Task<JsonNode?> ReportAsync(string bucket) => (await AdminAsync(fast.Node, $"/v1/lifecycle/{bucket}"))["last"];

    private static async Task<JsonNode> AdminAsync(NodeProcess node, string path)
    {
        using var http = new HttpClient { BaseAddress = node.ManagementUrl };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{node.Settings.AccessKey}:{node.Settings.SecretKey}")));
        return JsonNode.Parse(await http.GetStringAsync(path))!;
    }

    /// <summary>Looks after each run, which the node's log tells of, until what must come has come.</summary>
    private static async Task UntilAsync(NodeProcess node, string bucket, Func<Task<bool>> holds)
    {
        for (var run = node.NextLineAsync($"Lifecycle of {bucket}: looked"); !await holds(); run = node.NextLineAsync($"Lifecycle of {bucket}: looked")) await run;
    }
}
