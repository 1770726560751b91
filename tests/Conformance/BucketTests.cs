namespace DarkStorage.Conformance;

public sealed class BucketTests(NodeFixture node, ForeignNodeFixture foreign)
{
    private AmazonS3Client S3 => node.Client;

    [Fact]
    public async Task A_new_bucket_is_there_is_empty_and_is_listed_with_its_time()
    {
        var before = DateTime.UtcNow.AddSeconds(-1);
        var bucket = await S3.NewBucketAsync();
        await S3.HeadBucketAsync(new() { BucketName = bucket });
        Assert.Empty((await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects ?? []);
        var listed = Assert.Single((await S3.ListBucketsAsync(new ListBucketsRequest { Prefix = bucket })).Buckets);
        Assert.Equal(bucket, listed.BucketName);
        Assert.InRange(listed.CreationDate!.Value.ToUniversalTime(), before, DateTime.UtcNow.AddSeconds(1));
    }

    [Fact]
    public async Task Creating_ones_own_bucket_again_is_fine_in_the_unnamed_region_and_keeps_what_is_in_it()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "kept", "here");
        await S3.PutBucketAsync(bucket);
        Assert.Equal("here", await S3.GetTextAsync(bucket, "kept"));
    }

    [Fact]
    public async Task Creating_ones_own_bucket_again_is_refused_in_any_other_region()
    {
        var bucket = await foreign.Client.NewBucketAsync();
        await Refused.WithAsync("BucketAlreadyOwnedByYou", HttpStatusCode.Conflict, () => foreign.Client.PutBucketAsync(bucket));
    }

    [Fact]
    public async Task Of_many_who_create_a_bucket_at_once_one_succeeds_where_creating_again_is_refused()
    {
        var name = S3Clients.NewBucketName();
        var codes = await Task.WhenAll(Enumerable.Range(0, 16).Select(async _ => (await foreign.Raw.PutAsync($"/{name}", "")).Error));
        Assert.Single(codes, c => c == (200, ""));
        Assert.All(codes.Where(c => c.Status != 200), c => Assert.Equal((409, "BucketAlreadyOwnedByYou"), c));
    }

    [Theory]
    [InlineData("ab")]
    [InlineData("UpperCase")]
    [InlineData("under_score")]
    [InlineData("-begins-with-hyphen")]
    [InlineData("ends-with-hyphen-")]
    [InlineData("two..dots")]
    [InlineData("192.168.5.4")]
    [InlineData("xn--reserved")]
    [InlineData("sthree-reserved")]
    [InlineData("reserved-s3alias")]
    [InlineData("reserved--ol-s3")]
    [InlineData("a-name-of-sixty-four-characters-is-one-character-more-than-allow")]
    [InlineData("with%20space")]
    [InlineData("b%C3%BCcket")]
    public async Task A_name_that_breaks_the_rules_is_refused(string name) =>
        Assert.Equal((400, "InvalidBucketName"), (await node.Raw.PutAsync($"/{name}", "")).Error);

    [Theory]
    [InlineData("3")]
    [InlineData("63")]
    [InlineData("dots")]
    public async Task A_name_at_the_edge_of_the_rules_is_taken(string kind)
    {
        var unique = Guid.NewGuid().ToString("N");
        var name = kind switch { "3" => unique[..3], "63" => (unique + unique)[..63], _ => $"a.{unique[..8]}.1-b" };
        await S3.PutBucketAsync(name);
        await S3.PutTextAsync(name, "key", "value");
        Assert.Equal("value", await S3.GetTextAsync(name, "key"));
    }

    [Fact]
    public async Task A_bucket_with_an_object_in_it_is_not_deleted()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "value");
        await Refused.WithAsync("BucketNotEmpty", HttpStatusCode.Conflict, () => S3.DeleteBucketAsync(bucket));
        await S3.DeleteObjectAsync(bucket, "key");
        await S3.DeleteBucketAsync(bucket);
        await Refused.WithAsync("NoSuchBucket", HttpStatusCode.NotFound, () => S3.ListObjectsV2Async(new() { BucketName = bucket }));
    }

    [Fact]
    public async Task A_name_can_be_had_again_after_its_bucket_was_deleted_and_brings_nothing_back()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "old", "value");
        await S3.DeleteObjectAsync(bucket, "old");
        await S3.DeleteBucketAsync(bucket);
        Assert.Equal(404, (await node.Raw.HeadAsync($"/{bucket}")).Status);
        await S3.PutBucketAsync(bucket);
        Assert.Empty((await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects ?? []);
        Assert.Equal((404, "NoSuchKey"), (await node.Raw.GetAsync($"/{bucket}/old")).Error);
    }

    [Fact]
    public async Task A_bucket_with_nothing_but_an_upload_under_way_is_deleted_and_the_upload_with_it()
    {
        var bucket = await S3.NewBucketAsync();
        var upload = (await S3.InitiateMultipartUploadAsync(bucket, "key")).UploadId;
        Assert.Equal(200, (await node.Raw.PutAsync($"/{bucket}/key?partNumber=1&uploadId={upload}", "x")).Status);
        await S3.DeleteBucketAsync(bucket);
        await S3.PutBucketAsync(bucket);
        Assert.Empty((await S3.ListMultipartUploadsAsync(bucket)).MultipartUploads ?? []);
        Assert.Equal((404, "NoSuchUpload"), (await node.Raw.PutAsync($"/{bucket}/key?partNumber=1&uploadId={upload}", "x")).Error);
    }

    [Fact]
    public async Task To_delete_many_objects_of_a_bucket_that_is_not_there_fails_as_a_whole() =>
        Assert.Equal((404, "NoSuchBucket"), (await node.Raw.PostAsync($"/{S3Clients.NewBucketName()}?delete", "<Delete><Object><Key>a</Key></Object></Delete>")).Error);

    [Theory]
    [InlineData("GET", "")]
    [InlineData("GET", "?location")]
    [InlineData("GET", "?uploads")]
    [InlineData("GET", "?list-type=2")]
    [InlineData("GET", "/key")]
    [InlineData("PUT", "/key")]
    [InlineData("DELETE", "/key")]
    [InlineData("DELETE", "")]
    [InlineData("POST", "/key?uploads")]
    public async Task What_is_asked_of_a_bucket_that_is_not_there_says_so(string method, string rest) =>
        Assert.Equal((404, "NoSuchBucket"), (await node.Raw.SendAsync(new(method, $"/{S3Clients.NewBucketName()}{rest}"))).Error);

    [Fact]
    public async Task Buckets_are_listed_in_order_and_in_pages()
    {
        var prefix = $"page-{Guid.NewGuid().ToString("N")[..8]}";
        var names = new[] { "a", "a-b", "a.b", "a0", "b", "zz" }.Select(n => $"{prefix}-{n}").ToList();
        foreach (var name in names.AsEnumerable().Reverse()) await S3.PutBucketAsync(name);
        names.Sort(string.CompareOrdinal);

        for (var size = 1; size <= names.Count + 1; size++)
        {
            var listed = new List<string>();
            string? token = null;
            do
            {
                var page = await S3.ListBucketsAsync(new ListBucketsRequest { Prefix = prefix, MaxBuckets = size, ContinuationToken = token });
                Assert.InRange(page.Buckets.Count, 1, size);
                listed.AddRange(page.Buckets.Select(b => b.BucketName));
                token = page.ContinuationToken;
            }
            while (token is not null);
            Assert.Equal(names, listed);
        }
    }

    [Fact]
    public async Task The_location_is_unnamed_in_us_east_1_and_named_elsewhere()
    {
        var here = await node.Raw.GetAsync($"/{await S3.NewBucketAsync()}?location");
        Assert.Equal(("LocationConstraint", ""), (here.Xml.Name.LocalName, here.Xml.Value));
        var there = await foreign.Raw.GetAsync($"/{await foreign.Client.NewBucketAsync()}?location");
        Assert.Equal(("LocationConstraint", ForeignNodeFixture.Region), (there.Xml.Name.LocalName, there.Xml.Value));
    }

    [Fact]
    public async Task HEAD_of_a_bucket_names_its_region() =>
        Assert.Equal(ForeignNodeFixture.Region, (await foreign.Raw.HeadAsync($"/{await foreign.Client.NewBucketAsync()}")).Header("x-amz-bucket-region"));

    [Fact]
    public async Task A_location_is_taken_where_it_is_the_nodes_and_refused_where_it_is_not()
    {
        static string Configuration(string region) =>
            $"<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>";
        Assert.Equal(200, (await foreign.Raw.PutAsync($"/{S3Clients.NewBucketName()}", Configuration(ForeignNodeFixture.Region))).Status);
        Assert.Equal((400, "InvalidLocationConstraint"), (await foreign.Raw.PutAsync($"/{S3Clients.NewBucketName()}", Configuration("mars-north-1"))).Error);
        Assert.Equal((400, "MalformedXML"), (await foreign.Raw.PutAsync($"/{S3Clients.NewBucketName()}", "<CreateBucketConfiguration>")).Error);
    }
}
