namespace DarkStorage.Conformance;

/// <summary>Block public access: what may not be put, and what no longer counts.</summary>
public sealed class PublicAccessBlockTests(NodeFixture fixture)
{
    private NodeProcess Node => fixture.Node;

    private AmazonS3Client S3 => fixture.Client;

    [Fact]
    public async Task The_setting_is_put_got_and_deleted()
    {
        var bucket = await S3.NewBucketAsync();
        await Refused.WithAsync("NoSuchPublicAccessBlockConfiguration", HttpStatusCode.NotFound, () => S3.GetPublicAccessBlockAsync(new() { BucketName = bucket }));
        await S3.PutPublicAccessBlockAsync(new() { BucketName = bucket, PublicAccessBlockConfiguration = new() { BlockPublicAcls = true, RestrictPublicBuckets = true } });
        var got = (await S3.GetPublicAccessBlockAsync(new() { BucketName = bucket })).PublicAccessBlockConfiguration;
        Assert.Equal((true, false, false, true), (got.BlockPublicAcls, got.IgnorePublicAcls, got.BlockPublicPolicy, got.RestrictPublicBuckets));
        var cli = await new AwsCli(Node).S3ApiAsync("get-public-access-block", "--bucket", bucket);
        Assert.True((bool)cli["PublicAccessBlockConfiguration"]!["RestrictPublicBuckets"]!);
        await S3.DeletePublicAccessBlockAsync(new() { BucketName = bucket });
        Assert.Equal((404, "NoSuchPublicAccessBlockConfiguration"), (await fixture.Raw.GetAsync($"/{bucket}?publicAccessBlock")).Error);
    }

    [Fact]
    public async Task BlockPublicAcls_refuses_public_lists_and_leaves_those_there_are()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "before", ContentBody = "x", CannedACL = S3CannedACL.PublicRead });
        await SetAsync(bucket, "BlockPublicAcls");
        foreach (var (target, canned) in (IEnumerable<(string, string)>)[($"/{bucket}?acl", "public-read"), ($"/{bucket}/before?acl", "public-read"), ($"/{bucket}/new", "public-read"), ($"/{bucket}/new", "authenticated-read")])
            Assert.Equal((403, "AccessDenied"), (await fixture.Raw.SendAsync(new RawRequest("PUT", target).With("x-amz-acl", canned))).Error);
        Assert.Equal((403, "AccessDenied"), (await fixture.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/copy").With("x-amz-copy-source", $"/{bucket}/before").With("x-amz-acl", "public-read"))).Error);
        Assert.Equal((403, "AccessDenied"), (await fixture.Raw.SendAsync(new RawRequest("POST", $"/{bucket}/upload?uploads").With("x-amz-acl", "public-read"))).Error);
        Assert.Equal(200, (await fixture.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/new").WithBody("x").With("x-amz-acl", "bucket-owner-read"))).Status);
        Assert.Equal(200, (await Node.AnonymousAsync("GET", $"/{bucket}/before")).Status);
    }

    [Fact]
    public async Task IgnorePublicAcls_takes_their_effect_and_gives_it_back()
    {
        var bucket = await S3.NewBucketAsync();
        var user = await Node.NewUserAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        Assert.Equal(200, (await fixture.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key?acl")
            .With("x-amz-grant-read", $"uri=http://acs.amazonaws.com/groups/global/AllUsers, id={user.Name}"))).Status);
        Assert.Equal(200, (await Node.AnonymousAsync("GET", $"/{bucket}/key")).Status);
        await SetAsync(bucket, "IgnorePublicAcls");
        Assert.Equal((403, "AccessDenied"), (await Node.AnonymousAsync("GET", $"/{bucket}/key")).Error);
        Assert.Equal(200, (await Node.Raw(user).GetAsync($"/{bucket}/key")).Status);
        Assert.Equal(403, (await Node.Raw(await Node.NewUserAsync()).GetAsync($"/{bucket}/key")).Status);
        await S3.DeletePublicAccessBlockAsync(new() { BucketName = bucket });
        Assert.Equal(200, (await Node.AnonymousAsync("GET", $"/{bucket}/key")).Status);
    }

    [Fact]
    public async Task BlockPublicPolicy_refuses_public_policies_only()
    {
        var bucket = await S3.NewBucketAsync();
        var user = await Node.NewUserAsync();
        await SetAsync(bucket, "BlockPublicPolicy");
        Assert.Equal((403, "AccessDenied"), (await fixture.Raw.PutAsync($"/{bucket}?policy", Policy(bucket, "\"*\""))).Error);
        Assert.Equal((404, "NoSuchBucketPolicy"), (await fixture.Raw.GetAsync($"/{bucket}?policy")).Error);
        Assert.Equal(204, (await fixture.Raw.PutAsync($"/{bucket}?policy", Policy(bucket, $$"""{"AWS":"arn:aws:iam::000000000000:user/{{user.Name}}"}"""))).Status);
    }

    [Fact]
    public async Task RestrictPublicBuckets_lets_no_anonymous_request_in()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        Assert.Equal(204, (await fixture.Raw.PutAsync($"/{bucket}?policy", Policy(bucket, "\"*\""))).Status);
        Assert.Equal(200, (await Node.AnonymousAsync("GET", $"/{bucket}/key")).Status);
        Assert.Equal("true", (await fixture.Raw.GetAsync($"/{bucket}?policyStatus")).Element("IsPublic"));
        await SetAsync(bucket, "RestrictPublicBuckets");
        Assert.Equal((403, "AccessDenied"), (await Node.AnonymousAsync("GET", $"/{bucket}/key")).Error);
        Assert.Equal(200, (await Node.Raw(await Node.NewUserAsync()).GetAsync($"/{bucket}/key")).Status);
    }

    [Theory]
    [InlineData("", "MissingRequestBodyError")]
    [InlineData("<PublicAccessBlockConfiguration><BlockPublicAcls>maybe</BlockPublicAcls></PublicAccessBlockConfiguration>", "MalformedXML")]
    [InlineData("<PublicAccessBlockConfiguration><BlockEverything>true</BlockEverything></PublicAccessBlockConfiguration>", "MalformedXML")]
    [InlineData("<PublicAccessBlockConfiguration>true</PublicAccessBlockConfiguration>", "MalformedXML")]
    [InlineData("<Other/>", "MalformedXML")]
    public async Task A_wrong_document_is_refused_and_changes_nothing(string document, string code)
    {
        var bucket = await S3.NewBucketAsync();
        await SetAsync(bucket, "BlockPublicPolicy");
        Assert.Equal((400, code), (await fixture.Raw.PutAsync($"/{bucket}?publicAccessBlock", document)).Error);
        Assert.Equal("true", (await fixture.Raw.GetAsync($"/{bucket}?publicAccessBlock")).Element("BlockPublicPolicy"));
    }

    private async Task SetAsync(string bucket, string what) =>
        Assert.Equal(200, (await fixture.Raw.PutAsync($"/{bucket}?publicAccessBlock", $"<PublicAccessBlockConfiguration><{what}>true</{what}></PublicAccessBlockConfiguration>")).Status);

    private static string Policy(string bucket, string principal) =>
        $$"""{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{{principal}},"Action":"s3:GetObject","Resource":"arn:aws:s3:::{{bucket}}/*"}]}""";
}
