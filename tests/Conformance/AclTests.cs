namespace DarkStorage.Conformance;

/// <summary>Access control lists of buckets and objects, over the wire.</summary>
public sealed class AclTests(NodeFixture fixture)
{
    private const string AllUsers = "http://acs.amazonaws.com/groups/global/AllUsers";

    private NodeProcess Node => fixture.Node;

    private AmazonS3Client S3 => fixture.Client;

    [Fact]
    public async Task What_is_new_is_its_owners_alone()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        var ofBucket = await S3.GetBucketAclAsync(new() { BucketName = bucket });
        var ofObject = await S3.GetObjectAclAsync(new() { BucketName = bucket, Key = "key" });
        Assert.Equal(("root", "root"), (ofBucket.Owner.Id, ofObject.Owner.Id));
        Assert.Equal([("root", "FULL_CONTROL")], ofBucket.Grants.Select(g => (g.Grantee.CanonicalUser, g.Permission.Value)));
        Assert.Equal([("root", "FULL_CONTROL")], ofObject.Grants.Select(g => (g.Grantee.CanonicalUser, g.Permission.Value)));
    }

    [Theory]
    [InlineData("private", 403, 403, 403)]
    [InlineData("public-read", 200, 403, 403)]
    [InlineData("public-read-write", 200, 200, 403)]
    [InlineData("authenticated-read", 403, 403, 200)]
    public async Task A_canned_list_of_a_bucket_lets_in_whom_it_names(string canned, int list, int put, int listOfOther)
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        Assert.Equal(200, (await PutAclAsync($"/{bucket}?acl", ("x-amz-acl", canned))).Status);
        Assert.Equal(list, (await Node.AnonymousAsync("GET", $"/{bucket}")).Status);
        Assert.Equal(put, (await Node.AnonymousAsync("PUT", $"/{bucket}/new", "by nobody")).Status);
        Assert.Equal(put == 200 ? 204 : 403, (await Node.AnonymousAsync("DELETE", $"/{bucket}/new")).Status);
        // The list of a bucket says nothing of what its objects hold.
        Assert.Equal(403, (await Node.AnonymousAsync("GET", $"/{bucket}/key")).Status);
        Assert.Equal(403, (await Node.AnonymousAsync("GET", $"/{bucket}?acl")).Status);
        Assert.Equal(Math.Min(list, listOfOther), (await Node.Raw(await Node.NewUserAsync()).GetAsync($"/{bucket}")).Status);
    }

    [Theory]
    [InlineData("private", 403, 403)]
    [InlineData("public-read", 200, 200)]
    [InlineData("public-read-write", 200, 200)]
    [InlineData("authenticated-read", 403, 200)]
    [InlineData("bucket-owner-read", 403, 403)]
    [InlineData("bucket-owner-full-control", 403, 403)]
    [InlineData("aws-exec-read", 403, 403)]
    public async Task A_canned_list_of_an_object_lets_in_whom_it_names(string canned, int anonymous, int other)
    {
        var bucket = await S3.NewBucketAsync();
        var user = Node.Raw(await Node.NewUserAsync());
        await S3.PutTextAsync(bucket, "later", "content");
        Assert.Equal(200, (await PutAclAsync($"/{bucket}/later?acl", ("x-amz-acl", canned))).Status);
        Assert.Equal(200, (await fixture.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/at-once").WithBody("content").With("x-amz-acl", canned))).Status);
        foreach (var key in (string[])["later", "at-once"])
        {
            Assert.Equal(anonymous, (await Node.AnonymousAsync("GET", $"/{bucket}/{key}")).Status);
            Assert.Equal(other, (await user.GetAsync($"/{bucket}/{key}")).Status);
            Assert.Equal(403, (await user.PutAsync($"/{bucket}/{key}", "x")).Status);
            Assert.Equal(403, (await user.GetAsync($"/{bucket}/{key}?acl")).Status);
            Assert.Equal("content", await S3.GetTextAsync(bucket, key));
        }
    }

    [Fact]
    public async Task Grants_by_header_hold()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "content");
        var (reader, keeper) = (await Node.NewUserAsync(), await Node.NewUserAsync());
        Assert.Equal(200, (await PutAclAsync($"/{bucket}/key?acl", ("x-amz-grant-read", $"id=\"{reader.Name}\", id=\"{keeper.Name}\""), ("x-amz-grant-write-acp", $"id={keeper.Name}"))).Status);
        Assert.Equal("content", (await Node.Raw(reader).GetAsync($"/{bucket}/key")).Text);
        Assert.Equal((403, "AccessDenied"), (await Node.Raw(reader).GetAsync($"/{bucket}/key?acl")).Error);
        Assert.Equal((403, "AccessDenied"), (await Node.Raw(reader).SendAsync(new RawRequest("PUT", $"/{bucket}/key?acl").With("x-amz-acl", "public-read"))).Error);
        Assert.Equal(200, (await Node.Raw(keeper).SendAsync(new RawRequest("PUT", $"/{bucket}/key?acl").With("x-amz-acl", "public-read"))).Status);
        Assert.Equal("content", (await Node.AnonymousAsync("GET", $"/{bucket}/key")).Text);
        Assert.Equal("root", (await S3.GetObjectAclAsync(new() { BucketName = bucket, Key = "key" })).Owner.Id);
    }

    [Fact]
    public async Task A_document_of_grants_comes_back_as_it_went_and_holds()
    {
        var bucket = await S3.NewBucketAsync();
        var user = await Node.NewUserAsync();
        await S3.PutBucketAclAsync(new()
        {
            BucketName = bucket,
            AccessControlPolicy = new()
            {
                Owner = new() { Id = "root" },
                Grants =
                [
                    new() { Grantee = new() { CanonicalUser = user.Name }, Permission = S3Permission.WRITE },
                    new() { Grantee = new() { CanonicalUser = user.Name }, Permission = S3Permission.READ_ACP },
                    new() { Grantee = new() { URI = AllUsers }, Permission = S3Permission.READ },
                ],
            },
        });
        var acl = await S3.GetBucketAclAsync(new() { BucketName = bucket });
        Assert.Equal([(user.Name, null, "WRITE"), (user.Name, null, "READ_ACP"), ((string?)null, AllUsers, "READ")], acl.Grants.Select(g => ((string?)g.Grantee.CanonicalUser, (string?)g.Grantee.URI, g.Permission.Value)));
        using var s3 = Node.S3(user);
        await s3.PutTextAsync(bucket, "key", "x");
        Assert.Equal(3, (await s3.GetBucketAclAsync(new() { BucketName = bucket })).Grants.Count);
        Assert.Equal(user.Name, (await S3.GetObjectAclAsync(new() { BucketName = bucket, Key = "key" })).Owner.Id);
        Assert.Equal(200, (await Node.AnonymousAsync("GET", $"/{bucket}")).Status);
        var cli = await new AwsCli(Node).S3ApiAsync("get-bucket-acl", "--bucket", bucket);
        Assert.Equal(["CanonicalUser", "CanonicalUser", "Group"], cli["Grants"]!.AsArray().Select(g => (string)g!["Grantee"]!["Type"]!));
    }

    [Fact]
    public async Task A_list_belongs_to_a_version()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        var first = (await S3.PutTextAsync(bucket, "key", "first")).VersionId;
        await S3.PutTextAsync(bucket, "key", "second");
        Assert.Equal(200, (await PutAclAsync($"/{bucket}/key?acl&versionId={first}", ("x-amz-acl", "public-read"))).Status);
        Assert.Equal("first", (await Node.AnonymousAsync("GET", $"/{bucket}/key?versionId={first}")).Text);
        Assert.Equal(403, (await Node.AnonymousAsync("GET", $"/{bucket}/key")).Status);
        await S3.DeleteObjectAsync(bucket, "key");
        Assert.Equal((404, "NoSuchKey"), (await fixture.Raw.GetAsync($"/{bucket}/key?acl")).Error);
    }

    [Theory]
    [InlineData("x-amz-acl", "public", 400, "InvalidArgument")]
    [InlineData("x-amz-acl", "", 400, "InvalidArgument")]
    [InlineData("x-amz-grant-read", "id=nobody-of-that-name", 400, "InvalidArgument")]
    [InlineData("x-amz-grant-read", "id=", 400, "InvalidArgument")]
    [InlineData("x-amz-grant-read", "somebody", 400, "InvalidArgument")]
    [InlineData("x-amz-grant-read", "uri=http://example.test/group", 400, "InvalidArgument")]
    [InlineData("x-amz-grant-read", "emailAddress=somebody@example.test", 400, "UnresolvableGrantByEmailAddress")]
    public async Task Headers_that_name_nobody_are_refused_and_change_nothing(string header, string value, int status, string code)
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        Assert.Equal((status, code), (await PutAclAsync($"/{bucket}?acl", (header, value))).Error);
        Assert.Equal((status, code), (await PutAclAsync($"/{bucket}/key?acl", (header, value))).Error);
        Assert.Equal((status, code), (await fixture.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/new").WithBody("x").With(header, value))).Error);
        Assert.Equal((status, code), (await fixture.Raw.SendAsync(new RawRequest("PUT", $"/{S3Clients.NewBucketName()}").With(header, value))).Error);
        Assert.Single((await S3.GetBucketAclAsync(new() { BucketName = bucket })).Grants);
        Assert.Single((await S3.GetObjectAclAsync(new() { BucketName = bucket, Key = "key" })).Grants);
        Assert.Equal(["key"], (await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects.Select(o => o.Key));
    }

    [Theory]
    [InlineData("<AccessControlPolicy/>", "MalformedACLError")]
    [InlineData("<AccessControlPolicy><AccessControlList><Grant/></AccessControlList></AccessControlPolicy>", "MalformedACLError")]
    [InlineData("<AccessControlPolicy><AccessControlList><Grant><Grantee><ID>root</ID></Grantee><Permission>ALL</Permission></Grant></AccessControlList></AccessControlPolicy>", "MalformedACLError")]
    [InlineData("<AccessControlPolicy><AccessControlList><Grant><Grantee><ID>root</ID></Grantee></Grant></AccessControlList></AccessControlPolicy>", "MalformedACLError")]
    [InlineData("<AccessControlPolicy><AccessControlList><Grant><Grantee><ID>nobody-of-that-name</ID></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>", "InvalidArgument")]
    [InlineData("<AccessControlPolicy><AccessControlList/><Extra/></AccessControlPolicy>", "MalformedACLError")]
    [InlineData("<Acl/>", "MalformedACLError")]
    [InlineData("not xml", "MalformedACLError")]
    [InlineData("", "MissingSecurityHeader")]
    public async Task A_wrong_document_is_refused_and_changes_nothing(string document, string code)
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal(200, (await PutAclAsync($"/{bucket}?acl", ("x-amz-acl", "public-read"))).Status);
        Assert.Equal((400, code), (await fixture.Raw.PutAsync($"/{bucket}?acl", document)).Error);
        Assert.Equal(200, (await Node.AnonymousAsync("GET", $"/{bucket}")).Status);
    }

    [Fact]
    public async Task A_list_by_name_and_by_grants_at_once_is_refused()
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal((400, "InvalidRequest"), (await PutAclAsync($"/{bucket}?acl", ("x-amz-acl", "private"), ("x-amz-grant-read", "id=root"))).Error);
        var both = new RawRequest("PUT", $"/{bucket}?acl").With("x-amz-acl", "private").WithBody("<AccessControlPolicy><AccessControlList/></AccessControlPolicy>");
        Assert.Equal((400, "UnexpectedContent"), (await fixture.Raw.SendAsync(both)).Error);
    }

    [Fact]
    public async Task More_than_a_hundred_grants_are_refused()
    {
        var bucket = await S3.NewBucketAsync();
        string Of(int count) => $"<AccessControlPolicy><AccessControlList>{string.Concat(Enumerable.Repeat("<Grant><Grantee><ID>root</ID></Grantee><Permission>READ</Permission></Grant>", count))}</AccessControlList></AccessControlPolicy>";
        Assert.Equal((400, "MalformedACLError"), (await fixture.Raw.PutAsync($"/{bucket}?acl", Of(101))).Error);
        Assert.Equal(200, (await fixture.Raw.PutAsync($"/{bucket}?acl", Of(100))).Status);
    }

    [Fact]
    public async Task A_list_that_names_another_owner_is_refused()
    {
        var bucket = await S3.NewBucketAsync();
        var user = await Node.NewUserAsync();
        var answer = await fixture.Raw.PutAsync($"/{bucket}?acl", $"<AccessControlPolicy><Owner><ID>{user.Name}</ID></Owner><AccessControlList/></AccessControlPolicy>");
        Assert.Equal((403, "AccessDenied"), answer.Error);
    }

    [Fact]
    public async Task A_new_bucket_can_be_public_from_the_start()
    {
        var bucket = S3Clients.NewBucketName();
        Assert.Equal(200, (await fixture.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}").With("x-amz-acl", "public-read"))).Status);
        Assert.Equal(200, (await Node.AnonymousAsync("GET", $"/{bucket}")).Status);
    }

    [Fact]
    public async Task Lists_outlive_the_node_and_survive_copies_not_at_all()
    {
        await using var node = await NodeProcess.StartAsync();
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        await s3.PutObjectAsync(new() { BucketName = bucket, Key = "key", ContentBody = "x", CannedACL = S3CannedACL.PublicRead });
        await s3.CopyObjectAsync(bucket, "key", bucket, "copy");
        await node.RestartAsync();
        Assert.Equal("x", (await node.AnonymousAsync("GET", $"/{bucket}/key")).Text);
        Assert.Equal(403, (await node.AnonymousAsync("GET", $"/{bucket}/copy")).Status);
    }

    private Task<RawAnswer> PutAclAsync(string target, params (string Header, string Value)[] headers)
    {
        var request = new RawRequest("PUT", target);
        foreach (var (header, value) in headers) request.With(header, value);
        return fixture.Raw.SendAsync(request);
    }
}
