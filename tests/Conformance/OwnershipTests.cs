namespace DarkStorage.Conformance;

/// <summary>Ownership controls: whose an uploaded object is, and whether lists count.</summary>
public sealed class OwnershipTests(NodeFixture fixture)
{
    private NodeProcess Node => fixture.Node;

    private AmazonS3Client S3 => fixture.Client;

    [Fact]
    public async Task The_setting_is_put_got_and_deleted()
    {
        var bucket = await S3.NewBucketAsync();
        await Refused.WithAsync("OwnershipControlsNotFoundError", HttpStatusCode.NotFound, () => S3.GetBucketOwnershipControlsAsync(new() { BucketName = bucket }));
        foreach (var ownership in (ObjectOwnership[])[ObjectOwnership.ObjectWriter, ObjectOwnership.BucketOwnerPreferred, ObjectOwnership.BucketOwnerEnforced])
        {
            await SetAsync(bucket, ownership);
            Assert.Equal(ownership, Assert.Single((await S3.GetBucketOwnershipControlsAsync(new() { BucketName = bucket })).OwnershipControls.Rules).ObjectOwnership);
        }
        var cli = await new AwsCli(Node).S3ApiAsync("get-bucket-ownership-controls", "--bucket", bucket);
        Assert.Equal("BucketOwnerEnforced", (string?)cli["OwnershipControls"]!["Rules"]![0]!["ObjectOwnership"]);
        await S3.DeleteBucketOwnershipControlsAsync(new DeleteBucketOwnershipControlsRequest { BucketName = bucket });
        await Refused.WithAsync("OwnershipControlsNotFoundError", HttpStatusCode.NotFound, () => S3.GetBucketOwnershipControlsAsync(new() { BucketName = bucket }));
    }

    [Fact]
    public async Task BucketOwnerEnforced_refuses_lists_and_ignores_those_there_are()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "public", ContentBody = "x", CannedACL = S3CannedACL.PublicRead });
        Assert.Equal(200, (await Node.AnonymousAsync("GET", $"/{bucket}/public")).Status);
        await SetAsync(bucket, ObjectOwnership.BucketOwnerEnforced);
        Assert.Equal(403, (await Node.AnonymousAsync("GET", $"/{bucket}/public")).Status);
        Assert.Equal(["root"], (await fixture.Raw.GetAsync($"/{bucket}/public?acl")).Elements("Grantee").Select(g => g[..4]));
        foreach (var target in (string[])[$"/{bucket}?acl", $"/{bucket}/public?acl", $"/{bucket}/new"])
            Assert.Equal((400, "AccessControlListNotSupported"), (await fixture.Raw.SendAsync(new RawRequest("PUT", target).With("x-amz-acl", "public-read"))).Error);
        // What says no more than what is so anyway is let through, as many clients send it with everything.
        Assert.Equal(200, (await fixture.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/new").WithBody("x").With("x-amz-acl", "bucket-owner-full-control"))).Status);
        // It is the setting that hides them: without it they count again.
        await SetAsync(bucket, ObjectOwnership.ObjectWriter);
        Assert.Equal(200, (await Node.AnonymousAsync("GET", $"/{bucket}/public")).Status);
    }

    [Fact]
    public async Task A_bucket_with_grants_to_others_cannot_become_enforced()
    {
        var bucket = S3Clients.NewBucketName();
        Assert.Equal((400, "InvalidBucketAclWithObjectOwnership"),
            (await fixture.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}").With("x-amz-acl", "public-read").With("x-amz-object-ownership", "BucketOwnerEnforced"))).Error);
        Assert.Equal(200, (await fixture.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}").With("x-amz-acl", "public-read").With("x-amz-object-ownership", "ObjectWriter"))).Status);
        await Refused.WithAsync("InvalidBucketAclWithObjectOwnership", HttpStatusCode.BadRequest, () => SetAsync(bucket, ObjectOwnership.BucketOwnerEnforced));
        Assert.Equal(200, (await Node.AnonymousAsync("GET", $"/{bucket}")).Status);
    }

    [Theory]
    [InlineData("ObjectWriter", null, false)]
    [InlineData("ObjectWriter", "bucket-owner-full-control", false)]
    [InlineData("BucketOwnerPreferred", null, false)]
    [InlineData("BucketOwnerPreferred", "bucket-owner-full-control", true)]
    [InlineData("BucketOwnerEnforced", null, true)]
    [InlineData("BucketOwnerEnforced", "bucket-owner-full-control", true)]
    public async Task An_object_is_the_writers_or_the_bucket_owners(string ownership, string? canned, bool ofBucketOwner)
    {
        var (owner, writer) = (await Node.NewUserAsync(), await Node.NewUserAsync());
        using var s3 = Node.S3(owner);
        var bucket = await s3.NewBucketAsync();
        await s3.PutBucketOwnershipControlsAsync(new() { BucketName = bucket, OwnershipControls = new() { Rules = [new() { ObjectOwnership = ownership }] } });
        await s3.PutBucketPolicyAsync(bucket, $$"""
            {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/{{writer.Name}}"},"Action":["s3:PutObject","s3:PutObjectAcl"],"Resource":"arn:aws:s3:::{{bucket}}/*"}]}
            """);
        var put = new RawRequest("PUT", $"/{bucket}/key").WithBody("content");
        if (canned is not null) put.With("x-amz-acl", canned);
        Assert.Equal(200, (await Node.Raw(writer).SendAsync(put)).Status);
        var acl = await fixture.Raw.GetAsync($"/{bucket}/key?acl");
        Assert.Equal(ofBucketOwner ? owner.Name : writer.Name, acl.Element("ID"));
        // The owner of a bucket reads what is theirs, or what they were granted.
        Assert.Equal(ofBucketOwner || canned is not null ? 200 : 403, (await Node.Raw(owner).GetAsync($"/{bucket}/key")).Status);
        Assert.Equal(ofBucketOwner ? 403 : 200, (await Node.Raw(writer).GetAsync($"/{bucket}/key")).Status);
        Assert.Equal(204, (await Node.Raw(owner).DeleteAsync($"/{bucket}/key")).Status);
    }

    [Theory]
    [InlineData("", "MissingRequestBodyError")]
    [InlineData("<OwnershipControls/>", "MalformedXML")]
    [InlineData("<OwnershipControls><Rule><ObjectOwnership>Nobody</ObjectOwnership></Rule></OwnershipControls>", "MalformedXML")]
    [InlineData("<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>", "MalformedXML")]
    public async Task A_wrong_document_is_refused_and_changes_nothing(string document, string code)
    {
        var bucket = await S3.NewBucketAsync();
        await SetAsync(bucket, ObjectOwnership.BucketOwnerPreferred);
        Assert.Equal((400, code), (await fixture.Raw.PutAsync($"/{bucket}?ownershipControls", document)).Error);
        Assert.Equal("BucketOwnerPreferred", (await fixture.Raw.GetAsync($"/{bucket}?ownershipControls")).Element("ObjectOwnership"));
        Assert.Equal((400, "InvalidArgument"), (await fixture.Raw.SendAsync(new RawRequest("PUT", $"/{S3Clients.NewBucketName()}").With("x-amz-object-ownership", "Nobody"))).Error);
    }

    private Task SetAsync(string bucket, ObjectOwnership ownership) =>
        S3.PutBucketOwnershipControlsAsync(new() { BucketName = bucket, OwnershipControls = new() { Rules = [new() { ObjectOwnership = ownership }] } });
}
