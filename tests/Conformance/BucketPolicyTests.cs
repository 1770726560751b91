namespace DarkStorage.Conformance;

/// <summary>Bucket policies: what they give to others and take from everybody, over the wire.</summary>
public sealed class BucketPolicyTests(NodeFixture fixture)
{
    private NodeProcess Node => fixture.Node;

    private AmazonS3Client S3 => fixture.Client;

    [Fact]
    public async Task A_policy_is_kept_as_it_was_sent_and_is_gone_once_deleted()
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal((404, "NoSuchBucketPolicy"), (await fixture.Raw.GetAsync($"/{bucket}?policy")).Error);
        Assert.Equal((404, "NoSuchBucketPolicy"), (await fixture.Raw.GetAsync($"/{bucket}?policyStatus")).Error);
        var policy = $$"""
            { "Version": "2012-10-17",  "Statement": { "Sid": "in odd form", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::{{bucket}}/*" } }
            """;
        Assert.Equal(204, (await fixture.Raw.PutAsync($"/{bucket}?policy", policy)).Status);
        var got = await fixture.Raw.GetAsync($"/{bucket}?policy");
        Assert.Equal((policy, "application/json"), (got.Text, got.Header("Content-Type")));
        var aws = new AwsCli(Node);
        Assert.Contains("in odd form", (string?)(await aws.S3ApiAsync("get-bucket-policy", "--bucket", bucket))["Policy"], StringComparison.Ordinal);
        Assert.True((bool)(await aws.S3ApiAsync("get-bucket-policy-status", "--bucket", bucket))["PolicyStatus"]!["IsPublic"]!);
        await S3.DeleteBucketPolicyAsync(bucket);
        await S3.DeleteBucketPolicyAsync(bucket);
        Assert.Equal((404, "NoSuchBucketPolicy"), (await fixture.Raw.GetAsync($"/{bucket}?policy")).Error);
    }

    [Fact]
    public async Task A_policy_allows_another_user_what_it_says_and_no_more()
    {
        var (user, stranger) = (await Node.NewUserAsync(), await Node.NewUserAsync());
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "shared/key", "content");
        await S3.PutTextAsync(bucket, "private", "x");
        await PutAsync(bucket, Allow(user, "s3:GetObject", $"{bucket}/shared/*"));
        using var s3 = Node.S3(user);
        Assert.Equal("content", await s3.GetTextAsync(bucket, "shared/key"));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.GetTextAsync(bucket, "private"));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.PutTextAsync(bucket, "shared/key", "x"));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.DeleteObjectAsync(bucket, "shared/key"));
        using var other = Node.S3(stranger);
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => other.GetTextAsync(bucket, "shared/key"));
        Assert.Equal(403, (await Node.AnonymousAsync("GET", $"/{bucket}/shared/key")).Status);
    }

    [Fact]
    public async Task A_version_that_is_denied_is_denied_in_whatever_way_it_is_named()
    {
        var user = await Node.NewUserAsync();
        var bucket = await S3.NewBucketAsync();
        await S3.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        var kept = (await S3.PutObjectAsync(new() { BucketName = bucket, Key = "key", ContentBody = "kept" })).VersionId;
        var free = (await S3.PutObjectAsync(new() { BucketName = bucket, Key = "key", ContentBody = "free" })).VersionId;
        await PutAsync(bucket, Allow(user, "s3:*", $"{bucket}/*"),
            $$"""{"Effect":"Deny","Principal":"*","Action":["s3:DeleteObjectVersion","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::{{bucket}}/*","Condition":{"StringEquals":{"s3:VersionId":"{{kept}}"} } }""");
        using var s3 = Node.S3(user);
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.GetObjectAsync(bucket, "key", kept));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.DeleteObjectAsync(bucket, "key", kept));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden,
            () => s3.CopyObjectAsync(new() { SourceBucket = bucket, SourceKey = "key", SourceVersionId = kept, DestinationBucket = bucket, DestinationKey = "copy" }));
        // A parameter of the request says nothing about the versions in its document.
        var document = $"<Delete><Object><Key>key</Key><VersionId>{kept}</VersionId></Object><Object><Key>key</Key><VersionId>{free}</VersionId></Object></Delete>";
        var answer = await Node.Raw(user).PostAsync($"/{bucket}?delete&versionId={free}", document);
        Assert.Equal(200, answer.Status);
        Assert.Equal(kept, Assert.Single((await S3.ListVersionsAsync(bucket)).Versions).VersionId);
        Assert.Contains($"<VersionId>{kept}</VersionId><Code>AccessDenied</Code>", answer.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Who_may_not_list_is_not_told_that_a_key_is_missing()
    {
        var user = await Node.NewUserAsync();
        var bucket = await S3.NewBucketAsync();
        await PutAsync(bucket, Allow(user, "s3:GetObject", $"{bucket}/*"));
        using var s3 = Node.S3(user);
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.GetTextAsync(bucket, "none"));
        await PutAsync(bucket, Allow(user, "s3:GetObject", $"{bucket}/*"), Allow(user, "s3:ListBucket", bucket));
        await Refused.WithAsync("NoSuchKey", HttpStatusCode.NotFound, () => s3.GetTextAsync(bucket, "none"));
    }

    [Fact]
    public async Task Deny_wins_even_over_the_owner_who_can_still_repair_the_policy_as_root()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "content");
        await PutAsync(bucket, $$"""{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::{{bucket}}","arn:aws:s3:::{{bucket}}/*"]}""",
            $$"""{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::{{bucket}}","arn:aws:s3:::{{bucket}}/*"]}""");
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => S3.GetTextAsync(bucket, "key"));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => S3.DeleteBucketAsync(bucket));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => S3.PutBucketTaggingAsync(bucket, [new() { Key = "a", Value = "b" }]));
        Assert.Contains("Deny", (await S3.GetBucketPolicyAsync(bucket)).Policy, StringComparison.Ordinal);
        await PutAsync(bucket, Deny("s3:DeleteObject", $"{bucket}/*"));
        Assert.Equal("content", await S3.GetTextAsync(bucket, "key"));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => S3.DeleteObjectAsync(bucket, "key"));
        await S3.DeleteBucketPolicyAsync(bucket);
        await S3.DeleteObjectAsync(bucket, "key");
    }

    [Fact]
    public async Task An_owner_who_is_not_root_and_locks_the_door_needs_root()
    {
        using var owner = Node.S3(await Node.NewUserAsync());
        var bucket = await owner.NewBucketAsync();
        await owner.PutBucketPolicyAsync(bucket, Policy(Deny("s3:*", bucket, $"{bucket}/*")));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => owner.DeleteBucketPolicyAsync(bucket));
        await S3.DeleteBucketPolicyAsync(bucket);
        await owner.PutTextAsync(bucket, "key", "x");
    }

    [Fact]
    public async Task A_policy_for_everybody_lets_anonymous_requests_in()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "content");
        Assert.Equal((403, "AccessDenied"), (await Node.AnonymousAsync("GET", $"/{bucket}/key")).Error);
        Assert.Equal((403, "AccessDenied"), (await Node.AnonymousAsync("GET", $"/{bucket}/none")).Error);
        Assert.Equal((403, "AccessDenied"), (await Node.AnonymousAsync("GET", "/")).Error);
        Assert.Equal((403, "AccessDenied"), (await Node.AnonymousAsync("PUT", $"/{S3Clients.NewBucketName()}")).Error);
        await PutAsync(bucket, $$"""{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::{{bucket}}/*"}""");
        Assert.Equal("content", (await Node.AnonymousAsync("GET", $"/{bucket}/key")).Text);
        Assert.Equal(200, (await Node.AnonymousAsync("HEAD", $"/{bucket}/key")).Status);
        Assert.Equal((403, "AccessDenied"), (await Node.AnonymousAsync("GET", $"/{bucket}/none")).Error);
        Assert.Equal((403, "AccessDenied"), (await Node.AnonymousAsync("GET", $"/{bucket}")).Error);
        Assert.Equal((403, "AccessDenied"), (await Node.AnonymousAsync("DELETE", $"/{bucket}/key")).Error);
        Assert.Equal(200, (await Node.AnonymousAsync("PUT", $"/{bucket}/dropped", "by nobody")).Status);
        // What nobody signed for is the bucket owner's.
        Assert.Equal("root", (await S3.GetObjectAclAsync(new() { BucketName = bucket, Key = "dropped" })).Owner.Id);
        // To write is not to say who else may read.
        Assert.Equal((403, "AccessDenied"), (await Node.AnonymousAsync("PUT", $"/{bucket}/dropped", "open", ("x-amz-acl", "public-read"))).Error);
        Assert.Equal("by nobody", await S3.GetTextAsync(bucket, "dropped"));
    }

    [Fact]
    public async Task Conditions_on_prefix_address_and_tags_hold()
    {
        var user = await Node.NewUserAsync();
        var bucket = await S3.NewBucketAsync();
        using var s3 = Node.S3(user);
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "open", ContentBody = "open", TagSet = [new() { Key = "class", Value = "public" }] });
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "closed", ContentBody = "x", TagSet = [new() { Key = "class", Value = "secret" }] });
        await S3.PutTextAsync(bucket, "a/key", "x");

        await PutAsync(bucket, Allow(user, "s3:ListBucket", bucket, """{"StringEquals":{"s3:prefix":["a/","a"]}}"""));
        Assert.Single((await s3.ListObjectsV2Async(new() { BucketName = bucket, Prefix = "a/" })).S3Objects);
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.ListObjectsV2Async(new() { BucketName = bucket, Prefix = "" }));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.ListObjectsV2Async(new() { BucketName = bucket }));

        await PutAsync(bucket, Allow(user, "s3:GetObject", $"{bucket}/*", """{"StringEquals":{"s3:ExistingObjectTag/class":"public"}}"""));
        Assert.Equal("open", await s3.GetTextAsync(bucket, "open"));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.GetTextAsync(bucket, "closed"));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.GetTextAsync(bucket, "a/key"));

        await PutAsync(bucket, Allow(user, "s3:GetObject", $"{bucket}/*", """{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}"""));
        Assert.Equal("open", await s3.GetTextAsync(bucket, "open"));
        await PutAsync(bucket, Allow(user, "s3:GetObject", $"{bucket}/*", """{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}"""));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.GetTextAsync(bucket, "open"));
    }

    [Fact]
    public async Task Conditions_on_what_a_put_brings_hold()
    {
        var user = await Node.NewUserAsync();
        var bucket = await S3.NewBucketAsync();
        var raw = Node.Raw(user);
        Task<RawAnswer> Put(params (string, string)[] headers)
        {
            var request = new RawRequest("PUT", $"/{bucket}/key").WithBody("x");
            foreach (var (name, value) in headers) request.With(name, value);
            return raw.SendAsync(request);
        }

        await PutAsync(bucket, Allow(user, "s3:PutObject", $"{bucket}/*", """{"StringEquals":{"s3:RequestObjectTag/class":"public"}}"""), Allow(user, "s3:PutObjectTagging", $"{bucket}/*"));
        Assert.Equal((403, "AccessDenied"), (await Put()).Error);
        Assert.Equal((403, "AccessDenied"), (await Put(("x-amz-tagging", "class=secret"))).Error);
        Assert.Equal(200, (await Put(("x-amz-tagging", "class=public"))).Status);

        await PutAsync(bucket, Allow(user, "s3:PutObject", $"{bucket}/*", """{"StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}}"""), Allow(user, "s3:PutObjectAcl", $"{bucket}/*"));
        Assert.Equal((403, "AccessDenied"), (await Put()).Error);
        Assert.Equal((403, "AccessDenied"), (await Put(("x-amz-acl", "private"))).Error);
        Assert.Equal(200, (await Put(("x-amz-acl", "bucket-owner-full-control"))).Status);
        Assert.Equal("x", await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task Status_says_whether_a_policy_is_public()
    {
        var user = await Node.NewUserAsync();
        var bucket = await S3.NewBucketAsync();
        foreach (var (statement, isPublic) in ((string, bool)[])
        [
            (Allow(user, "s3:GetObject", $"{bucket}/*"), false),
            ($$"""{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::{{bucket}}/*"}""", true),
            ($$"""{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::{{bucket}}/*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"} } }""", false),
            ($$"""{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::{{bucket}}/*","Condition":{"IpAddress":{"aws:SourceIp":"0.0.0.0/1"} } }""", true),
            (Deny("s3:GetObject", $"{bucket}/*"), false),
        ])
        {
            await PutAsync(bucket, statement);
            Assert.Equal(isPublic, (await S3.GetBucketPolicyStatusAsync(new() { BucketName = bucket })).PolicyStatus.IsPublic);
        }
    }

    [Theory]
    [InlineData("", "MalformedPolicy")]
    [InlineData("{", "MalformedPolicy")]
    [InlineData("[]", "MalformedPolicy")]
    [InlineData("{}", "MalformedPolicy")]
    [InlineData("""{"Version":"2012-10-17","Statement":[]}""", "MalformedPolicy")]
    [InlineData("""{"Version":"2020-01-01","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/*"}]}""", "MalformedPolicy")]
    [InlineData("""{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/*"}]}""", "MalformedPolicy")]
    [InlineData("""{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::another/*"}]}""", "MalformedPolicy")]
    [InlineData("""{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET"}]}""", "MalformedPolicy")]
    [InlineData("""{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:NoSuchThing","Resource":"arn:aws:s3:::BUCKET/*"}]}""", "MalformedPolicy")]
    [InlineData("""{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/*","Condition":{"Perhaps":{"aws:SourceIp":"1.2.3.4"}}}]}""", "MalformedPolicy")]
    [InlineData("""{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::BUCKET/*","Extra":1}]}""", "MalformedPolicy")]
    public async Task A_policy_that_cannot_be_is_refused_and_the_old_one_stays(string policy, string code)
    {
        var bucket = await S3.NewBucketAsync();
        var before = Policy(Deny("s3:DeleteObject", $"{bucket}/*"));
        await S3.PutBucketPolicyAsync(bucket, before);
        Assert.Equal((400, code), (await fixture.Raw.PutAsync($"/{bucket}?policy", policy.Replace("BUCKET", bucket, StringComparison.Ordinal))).Error);
        Assert.Equal(before, (await S3.GetBucketPolicyAsync(bucket)).Policy);
    }

    [Fact]
    public async Task A_policy_that_is_too_long_is_refused()
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal(400, (await fixture.Raw.PutAsync($"/{bucket}?policy", Policy(Deny("s3:DeleteObject", $"{bucket}/*")) + new string(' ', 21 << 10))).Status);
        Assert.Equal((404, "NoSuchBucketPolicy"), (await fixture.Raw.GetAsync($"/{bucket}?policy")).Error);
    }

    [Fact]
    public async Task What_a_bucket_allowed_ends_with_it()
    {
        var bucket = await S3.NewBucketAsync();
        await PutAsync(bucket, $$"""{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::{{bucket}}","arn:aws:s3:::{{bucket}}/*"]}""");
        await S3.PutBucketTaggingAsync(bucket, [new() { Key = "a", Value = "b" }]);
        Assert.Equal(204, (await fixture.Raw.PutAsync($"/{bucket}?metrics&id=a", "<MetricsConfiguration><Id>a</Id></MetricsConfiguration>")).Status);
        Assert.Equal(200, (await Node.AnonymousAsync("GET", $"/{bucket}")).Status);
        await S3.DeleteBucketAsync(bucket);
        await S3.PutBucketAsync(bucket);
        Assert.Equal(403, (await Node.AnonymousAsync("GET", $"/{bucket}")).Status);
        Assert.Equal((404, "NoSuchBucketPolicy"), (await fixture.Raw.GetAsync($"/{bucket}?policy")).Error);
        Assert.Equal((404, "NoSuchTagSet"), (await fixture.Raw.GetAsync($"/{bucket}?tagging")).Error);
        Assert.Empty((await fixture.Raw.GetAsync($"/{bucket}?metrics")).Elements("Id"));
    }

    [Fact]
    public async Task Others_neither_see_nor_change_a_policy()
    {
        var bucket = await S3.NewBucketAsync();
        await PutAsync(bucket, Deny("s3:DeleteObject", $"{bucket}/*"));
        using var s3 = Node.S3(await Node.NewUserAsync());
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.GetBucketPolicyAsync(bucket));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.DeleteBucketPolicyAsync(bucket));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.PutBucketPolicyAsync(bucket, Policy(Deny("s3:GetObject", $"{bucket}/*"))));
        Assert.Equal((403, "AccessDenied"), (await Node.AnonymousAsync("GET", $"/{bucket}?policy")).Error);
    }

    private Task PutAsync(string bucket, params string[] statements) => S3.PutBucketPolicyAsync(bucket, Policy(statements));

    private static string Policy(params string[] statements) => $$"""{"Version":"2012-10-17","Statement":[{{string.Join(',', statements)}}]}""";

    private static string Allow(TestUser user, string action, string resource, string condition = "{}") => string.Concat(
        $$"""{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/{{user.Name}}"},"Action":"{{action}}","Resource":"arn:aws:s3:::{{resource}}" """,
        condition == "{}" ? "}" : $",\"Condition\":{condition}}}");

    private static string Deny(string action, params string[] resources) =>
        $$"""{"Effect":"Deny","Principal":"*","Action":"{{action}}","Resource":[{{string.Join(',', resources.Select(r => $"\"arn:aws:s3:::{r}\""))}}]}""";
}
