using System.Globalization;

namespace DarkStorage.Conformance;

/// <summary>Object lock: what is kept stays, whoever asks.</summary>
public sealed class ObjectLockTests(NodeFixture fixture)
{
    private const string Bypass = "x-amz-bypass-governance-retention";

    private NodeProcess Node => fixture.Node;

    private AmazonS3Client S3 => fixture.Client;

    private RawS3 Raw => fixture.Raw;

    [Fact]
    public async Task A_bucket_made_with_object_lock_has_versioning_and_keeps_both()
    {
        var bucket = await NewLockedBucketAsync();
        Assert.Equal("Enabled", (await Raw.GetAsync($"/{bucket}?versioning")).Element("Status"));
        Assert.Equal("Enabled", (await S3.GetObjectLockConfigurationAsync(new() { BucketName = bucket })).ObjectLockConfiguration.ObjectLockEnabled.Value);
        Assert.Equal((409, "InvalidBucketState"), (await Raw.PutAsync($"/{bucket}?versioning", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>")).Error);
        Assert.Equal("Enabled", (await Raw.GetAsync($"/{bucket}?versioning")).Element("Status"));
    }

    [Fact]
    public async Task Object_lock_can_be_turned_on_where_there_is_versioning()
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal((404, "ObjectLockConfigurationNotFoundError"), (await Raw.GetAsync($"/{bucket}?object-lock")).Error);
        const string document = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>";
        Assert.Equal((409, "InvalidBucketState"), (await Raw.PutAsync($"/{bucket}?object-lock", document)).Error);
        await S3.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        Assert.Equal(200, (await Raw.PutAsync($"/{bucket}?object-lock", document)).Status);
        Assert.Equal("Enabled", (await Raw.GetAsync($"/{bucket}?object-lock")).Element("ObjectLockEnabled"));
    }

    [Theory]
    [InlineData("GOVERNANCE", "Days", 3)]
    [InlineData("COMPLIANCE", "Years", 2)]
    public async Task The_default_retention_is_given_to_every_new_version(string mode, string unit, int count)
    {
        var bucket = await NewLockedBucketAsync();
        var unlocked = (await S3.PutTextAsync(bucket, "before", "x")).VersionId;
        Assert.Equal(200, (await Raw.PutAsync($"/{bucket}?object-lock", Default(mode, unit, count))).Status);
        Assert.Equal((mode, $"{count}"), ((await Raw.GetAsync($"/{bucket}?object-lock")).Element("Mode"), (await Raw.GetAsync($"/{bucket}?object-lock")).Element(unit)));
        await S3.PutTextAsync(bucket, "put", "x");
        await S3.CopyObjectAsync(bucket, "put", bucket, "copied");
        var upload = (await S3.InitiateMultipartUploadAsync(bucket, "parts")).UploadId;
        var part = await S3.UploadPartAsync(new() { BucketName = bucket, Key = "parts", UploadId = upload, PartNumber = 1, InputStream = new MemoryStream([1]) });
        await S3.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = "parts", UploadId = upload, PartETags = [new(1, part.ETag)] });
        foreach (var key in (string[])["put", "copied", "parts"])
        {
            var head = await Raw.HeadAsync($"/{bucket}/{key}");
            var (made, until) = (Time(head.Header("Last-Modified")!), Time(head.Header("x-amz-object-lock-retain-until-date")!));
            Assert.Equal(mode, head.Header("x-amz-object-lock-mode"));
            var due = unit == "Days" ? made.AddDays(count) : made.AddYears(count);
            Assert.InRange(until, due, due.AddSeconds(1)); // Last-Modified has no parts of a second
            Assert.Equal((403, "AccessDenied"), (await Raw.DeleteAsync($"/{bucket}/{key}?versionId={head.Header("x-amz-version-id")}")).Error);
        }
        // What was there before keeps what it had: nothing.
        Assert.Equal((404, "NoSuchObjectLockConfiguration"), (await Raw.GetAsync($"/{bucket}/before?retention")).Error);
        Assert.Equal(204, (await Raw.DeleteAsync($"/{bucket}/before?versionId={unlocked}")).Status);
        var own = await PutLockedAsync(bucket, "own", "GOVERNANCE", DateTimeOffset.UtcNow.AddDays(1));
        Assert.Equal("GOVERNANCE", (await Raw.GetAsync($"/{bucket}/own?retention&versionId={own}")).Element("Mode"));
    }

    [Fact]
    public async Task Compliance_holds_against_everybody()
    {
        var bucket = await NewLockedBucketAsync();
        var until = DateTimeOffset.UtcNow.AddDays(10);
        var version = await PutLockedAsync(bucket, "key", "COMPLIANCE", until);
        foreach (var bypass in (bool[])[false, true])
        {
            Assert.Equal((403, "AccessDenied"), (await DeleteAsync(bucket, "key", version, bypass)).Error);
            Assert.Equal((403, "AccessDenied"), (await RetainAsync(bucket, "key", version, "COMPLIANCE", until.AddDays(-1), bypass)).Error);
            Assert.Equal((403, "AccessDenied"), (await RetainAsync(bucket, "key", version, "GOVERNANCE", until.AddDays(1), bypass)).Error);
            Assert.Equal((403, "AccessDenied"), (await RetainAsync(bucket, "key", version, null, null, bypass)).Error);
        }
        Assert.Equal(200, (await RetainAsync(bucket, "key", version, "COMPLIANCE", until.AddDays(1))).Status);
        Assert.Equal((403, "AccessDenied"), (await RetainAsync(bucket, "key", version, "COMPLIANCE", until)).Error);
        var deleted = await S3.DeleteObjectAsync(bucket, "key");
        Assert.Equal("true", deleted.DeleteMarker);
        Assert.Equal("content", (await Raw.GetAsync($"/{bucket}/key?versionId={version}")).Text);
        Assert.Equal((409, "BucketNotEmpty"), (await Raw.DeleteAsync($"/{bucket}")).Error);
    }

    [Fact]
    public async Task Governance_holds_unless_who_may_says_to_bypass_it()
    {
        var bucket = await NewLockedBucketAsync();
        var until = DateTimeOffset.UtcNow.AddDays(10);
        var version = await PutLockedAsync(bucket, "key", "GOVERNANCE", until);
        Assert.Equal((403, "AccessDenied"), (await DeleteAsync(bucket, "key", version)).Error);
        Assert.Equal((403, "AccessDenied"), (await RetainAsync(bucket, "key", version, "GOVERNANCE", until.AddDays(-1))).Error);
        Assert.Equal(200, (await RetainAsync(bucket, "key", version, "GOVERNANCE", until.AddDays(1))).Status);

        var user = await Node.NewUserAsync(null, """
            {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"},{"Effect":"Deny","Action":"s3:BypassGovernanceRetention","Resource":"*"}]}
            """);
        var request = new RawRequest("DELETE", $"/{bucket}/key?versionId={version}").With(Bypass, "true");
        Assert.Equal((403, "AccessDenied"), (await Node.Raw(user).SendAsync(request)).Error);
        Assert.Equal("content", (await Raw.GetAsync($"/{bucket}/key?versionId={version}")).Text);

        Assert.Equal(200, (await RetainAsync(bucket, "key", version, "GOVERNANCE", until.AddDays(-1), bypass: true)).Status);
        Assert.Equal(204, (await DeleteAsync(bucket, "key", version, bypass: true)).Status);
        Assert.Equal((404, "NoSuchVersion"), (await Raw.GetAsync($"/{bucket}/key?versionId={version}")).Error);

        var other = await PutLockedAsync(bucket, "other", "GOVERNANCE", until);
        Assert.Equal(200, (await RetainAsync(bucket, "other", other, null, null, bypass: true)).Status);
        Assert.Equal((404, "NoSuchObjectLockConfiguration"), (await Raw.GetAsync($"/{bucket}/other?retention")).Error);
        Assert.Equal(204, (await DeleteAsync(bucket, "other", other)).Status);
    }

    [Fact]
    public async Task A_legal_hold_keeps_a_version_until_it_is_lifted()
    {
        var bucket = await NewLockedBucketAsync();
        var version = (await S3.PutTextAsync(bucket, "key", "content")).VersionId;
        Assert.Equal("OFF", (await Raw.GetAsync($"/{bucket}/key?legal-hold")).Element("Status"));
        await S3.PutObjectLegalHoldAsync(new() { BucketName = bucket, Key = "key", LegalHold = new() { Status = ObjectLockLegalHoldStatus.On } });
        Assert.Equal("ON", (await Raw.GetAsync($"/{bucket}/key?legal-hold&versionId={version}")).Element("Status"));
        Assert.Equal("ON", (await Raw.HeadAsync($"/{bucket}/key")).Header("x-amz-object-lock-legal-hold"));
        Assert.Equal((403, "AccessDenied"), (await DeleteAsync(bucket, "key", version)).Error);
        Assert.Equal((403, "AccessDenied"), (await DeleteAsync(bucket, "key", version, bypass: true)).Error);
        Assert.Equal("content", await S3.GetTextAsync(bucket, "key"));
        Assert.Equal(200, (await Raw.PutAsync($"/{bucket}/key?legal-hold", "<LegalHold><Status>OFF</Status></LegalHold>")).Status);
        Assert.Equal(204, (await DeleteAsync(bucket, "key", version)).Status);
        Assert.Equal(200, (await Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/held").WithBody("x").With("x-amz-object-lock-legal-hold", "ON"))).Status);
        Assert.Equal("ON", (await Raw.GetAsync($"/{bucket}/held?legal-hold")).Element("Status"));
        var cli = await new AwsCli(Node).S3ApiAsync("get-object-legal-hold", "--bucket", bucket, "--key", "held");
        Assert.Equal("ON", (string?)cli["LegalHold"]!["Status"]);
    }

    [Fact]
    public async Task Overwriting_makes_a_new_version_and_many_deletes_answer_for_each_key()
    {
        var bucket = await NewLockedBucketAsync();
        var locked = await PutLockedAsync(bucket, "locked", "COMPLIANCE", DateTimeOffset.UtcNow.AddDays(1));
        var second = (await S3.PutTextAsync(bucket, "locked", "second")).VersionId;
        Assert.Equal("second", await S3.GetTextAsync(bucket, "locked"));
        Assert.Equal("content", (await Raw.GetAsync($"/{bucket}/locked?versionId={locked}")).Text);
        var free = (await S3.PutTextAsync(bucket, "free", "x")).VersionId;
        var many = await Assert.ThrowsAsync<DeleteObjectsException>(() => S3.DeleteObjectsAsync(new()
        {
            BucketName = bucket,
            BypassGovernanceRetention = true,
            Objects = [new() { Key = "locked", VersionId = locked }, new() { Key = "locked", VersionId = second }, new() { Key = "free", VersionId = free }],
        }));
        Assert.Equal([("locked", locked, "AccessDenied")], many.Response.DeleteErrors.Select(e => (e.Key, e.VersionId, e.Code)));
        Assert.Equal(new[] { free, second }.Order(), many.Response.DeletedObjects.Select(d => d.VersionId).Order());
        Assert.Equal("content", await S3.GetTextAsync(bucket, "locked"));
    }

    [Fact]
    public async Task Locks_outlive_the_node()
    {
        await using var node = await NodeProcess.StartAsync();
        using var s3 = node.S3();
        var bucket = S3Clients.NewBucketName();
        await s3.PutBucketAsync(new PutBucketRequest { BucketName = bucket, ObjectLockEnabledForBucket = true });
        var version = (await s3.PutObjectAsync(new()
        {
            BucketName = bucket, Key = "key", ContentBody = "x", ObjectLockMode = ObjectLockMode.Compliance, ObjectLockRetainUntilDate = DateTime.UtcNow.AddDays(1),
        })).VersionId;
        await node.RestartAsync();
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.DeleteObjectAsync(bucket, "key", version));
        Assert.Equal("x", await s3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task Without_object_lock_nothing_can_be_locked()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        var until = Iso(DateTimeOffset.UtcNow.AddDays(1));
        foreach (var request in (RawRequest[])
        [
            new RawRequest("PUT", $"/{bucket}/new").WithBody("x").With("x-amz-object-lock-mode", "GOVERNANCE").With("x-amz-object-lock-retain-until-date", until),
            new RawRequest("PUT", $"/{bucket}/new").WithBody("x").With("x-amz-object-lock-legal-hold", "ON"),
            new RawRequest("POST", $"/{bucket}/new?uploads").With("x-amz-object-lock-legal-hold", "ON"),
            new RawRequest("PUT", $"/{bucket}/key?retention").WithBody(Retention("GOVERNANCE", until)),
            new RawRequest("GET", $"/{bucket}/key?retention"),
            new RawRequest("PUT", $"/{bucket}/key?legal-hold").WithBody("<LegalHold><Status>ON</Status></LegalHold>"),
            new RawRequest("GET", $"/{bucket}/key?legal-hold"),
        ]) Assert.Equal((400, "InvalidRequest"), (await Raw.SendAsync(request)).Error);
        Assert.Equal(["key"], (await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects.Select(o => o.Key));
    }

    [Theory]
    [InlineData("GOVERNANCE", "2001-01-01T00:00:00Z")]
    [InlineData("GOVERNANCE", "tomorrow")]
    [InlineData("GOVERNANCE", null)]
    [InlineData(null, "2100-01-01T00:00:00Z")]
    [InlineData("governance", "2100-01-01T00:00:00Z")]
    public async Task Headers_that_say_half_or_nonsense_are_refused(string? mode, string? until)
    {
        var bucket = await NewLockedBucketAsync();
        var put = new RawRequest("PUT", $"/{bucket}/key").WithBody("x");
        if (mode is not null) put.With("x-amz-object-lock-mode", mode);
        if (until is not null) put.With("x-amz-object-lock-retain-until-date", until);
        Assert.Equal((400, "InvalidArgument"), (await Raw.SendAsync(put)).Error);
        Assert.Equal((400, "InvalidArgument"), (await Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").WithBody("x").With("x-amz-object-lock-legal-hold", "maybe"))).Error);
        Assert.Equal((404, "NoSuchKey"), (await Raw.GetAsync($"/{bucket}/key")).Error);
    }

    [Theory]
    [InlineData("retention", "<Retention><Mode>GOVERNANCE</Mode></Retention>", "MalformedXML")]
    [InlineData("retention", "<Retention><RetainUntilDate>2100-01-01T00:00:00Z</RetainUntilDate></Retention>", "MalformedXML")]
    [InlineData("retention", "<Retention><Mode>NONE</Mode><RetainUntilDate>2100-01-01T00:00:00Z</RetainUntilDate></Retention>", "MalformedXML")]
    [InlineData("retention", "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>soon</RetainUntilDate></Retention>", "MalformedXML")]
    [InlineData("retention", "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2001-01-01T00:00:00Z</RetainUntilDate></Retention>", "InvalidArgument")]
    [InlineData("retention", "", "MissingRequestBodyError")]
    [InlineData("legal-hold", "<LegalHold><Status>PERHAPS</Status></LegalHold>", "MalformedXML")]
    [InlineData("legal-hold", "<LegalHold/>", "MalformedXML")]
    public async Task A_wrong_document_of_an_object_is_refused_and_locks_nothing(string what, string document, string code)
    {
        var bucket = await NewLockedBucketAsync();
        var version = (await S3.PutTextAsync(bucket, "key", "x")).VersionId;
        Assert.Equal((400, code), (await Raw.PutAsync($"/{bucket}/key?{what}", document)).Error);
        Assert.Equal(204, (await DeleteAsync(bucket, "key", version)).Status);
    }

    [Theory]
    [InlineData("<ObjectLockConfiguration><ObjectLockEnabled>Disabled</ObjectLockEnabled></ObjectLockConfiguration>", "MalformedXML")]
    [InlineData("<ObjectLockConfiguration><Rule/></ObjectLockConfiguration>", "MalformedXML")]
    [InlineData("<ObjectLockConfiguration><Rule><DefaultRetention><Mode>GOVERNANCE</Mode></DefaultRetention></Rule></ObjectLockConfiguration>", "MalformedXML")]
    [InlineData("<ObjectLockConfiguration><Rule><DefaultRetention><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>", "MalformedXML")]
    [InlineData("<ObjectLockConfiguration><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years></DefaultRetention></Rule></ObjectLockConfiguration>", "MalformedXML")]
    [InlineData("<ObjectLockConfiguration><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>0</Days></DefaultRetention></Rule></ObjectLockConfiguration>", "InvalidArgument")]
    [InlineData("<ObjectLockConfiguration><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Years>101</Years></DefaultRetention></Rule></ObjectLockConfiguration>", "InvalidArgument")]
    [InlineData("", "MissingRequestBodyError")]
    public async Task A_wrong_configuration_is_refused_and_changes_nothing(string document, string code)
    {
        var bucket = await NewLockedBucketAsync();
        Assert.Equal(200, (await Raw.PutAsync($"/{bucket}?object-lock", Default("GOVERNANCE", "Days", 7))).Status);
        Assert.Equal((400, code), (await Raw.PutAsync($"/{bucket}?object-lock", document)).Error);
        Assert.Equal("7", (await Raw.GetAsync($"/{bucket}?object-lock")).Element("Days"));
    }

    private async Task<string> NewLockedBucketAsync()
    {
        var bucket = S3Clients.NewBucketName();
        await S3.PutBucketAsync(new PutBucketRequest { BucketName = bucket, ObjectLockEnabledForBucket = true });
        return bucket;
    }

    /// <returns>The version.</returns>
    private async Task<string> PutLockedAsync(string bucket, string key, string mode, DateTimeOffset until)
    {
        var put = await Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/{key}").WithBody("content").With("x-amz-object-lock-mode", mode).With("x-amz-object-lock-retain-until-date", Iso(until)));
        Assert.Equal(200, put.Status);
        return put.Header("x-amz-version-id")!;
    }

    private Task<RawAnswer> DeleteAsync(string bucket, string key, string version, bool bypass = false)
    {
        var request = new RawRequest("DELETE", $"/{bucket}/{key}?versionId={version}");
        return Raw.SendAsync(bypass ? request.With(Bypass, "true") : request);
    }

    private Task<RawAnswer> RetainAsync(string bucket, string key, string version, string? mode, DateTimeOffset? until, bool bypass = false)
    {
        var request = new RawRequest("PUT", $"/{bucket}/{key}?retention&versionId={version}").WithBody(mode is null ? "<Retention/>" : Retention(mode, Iso(until!.Value)));
        return Raw.SendAsync(bypass ? request.With(Bypass, "true") : request);
    }

    private static string Retention(string mode, string until) => $"<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>";

    private static string Default(string mode, string unit, int count) =>
        $"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>{mode}</Mode><{unit}>{count}</{unit}></DefaultRetention></Rule></ObjectLockConfiguration>";

    private static string Iso(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture);

    private static DateTimeOffset Time(string text) => DateTimeOffset.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal);
}
