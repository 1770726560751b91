namespace DarkStorage.Conformance;

/// <summary>GetObjectAttributes and RestoreObject.</summary>
public sealed class AttributesAndRestoreTests(NodeFixture fixture)
{
    private AmazonS3Client S3 => fixture.Client;

    private RawS3 Raw => fixture.Raw;

    [Fact]
    public async Task Attributes_are_told_as_far_as_they_were_asked_for()
    {
        var bucket = await S3.NewBucketAsync();
        var put = await S3.PutObjectAsync(new() { BucketName = bucket, Key = "key", ContentBody = "content", ChecksumAlgorithm = ChecksumAlgorithm.SHA256, StorageClass = S3StorageClass.StandardInfrequentAccess });
        var all = await S3.GetObjectAttributesAsync(new()
        {
            BucketName = bucket, Key = "key", ObjectAttributes = [ObjectAttributes.ETag, ObjectAttributes.Checksum, ObjectAttributes.ObjectParts, ObjectAttributes.ObjectSize, ObjectAttributes.StorageClass],
        });
        Assert.Equal((put.ETag.Trim('"'), put.ChecksumSHA256, 7L, "STANDARD_IA"), (all.ETag, all.Checksum.ChecksumSHA256, all.ObjectSize, all.StorageClass.Value));
        Assert.Null(all.ObjectParts);
        var size = await AskAsync($"/{bucket}/key?attributes", "ObjectSize");
        Assert.Equal(["ObjectSize"], size.Xml.Elements().Select(e => e.Name.LocalName));
        var cli = await new AwsCli(fixture.Node).S3ApiAsync("get-object-attributes", "--bucket", bucket, "--key", "key", "--object-attributes", "ObjectSize", "ETag");
        Assert.Equal(7, (int)cli["ObjectSize"]!);
    }

    [Fact]
    public async Task Parts_come_in_pages()
    {
        var bucket = await S3.NewBucketAsync();
        var upload = (await S3.InitiateMultipartUploadAsync(new() { BucketName = bucket, Key = "key", ChecksumAlgorithm = ChecksumAlgorithm.CRC32, ChecksumType = ChecksumType.COMPOSITE })).UploadId;
        var parts = new List<PartETag>();
        foreach (var (number, length) in (IEnumerable<(int, int)>)[(1, 5 << 20), (2, 5 << 20), (3, 10)])
        {
            var part = await S3.UploadPartAsync(new() { BucketName = bucket, Key = "key", UploadId = upload, PartNumber = number, InputStream = new MemoryStream(S3Clients.Content(length, number)), ChecksumAlgorithm = ChecksumAlgorithm.CRC32 });
            parts.Add(new(part) { ChecksumCRC32 = part.ChecksumCRC32 });
        }
        await S3.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = "key", UploadId = upload, PartETags = parts, ChecksumType = ChecksumType.COMPOSITE });
        var first = await AskAsync($"/{bucket}/key?attributes", "ObjectParts,Checksum", ("x-amz-max-parts", "2"));
        Assert.Equal(["1", "2"], first.Elements("PartNumber"));
        Assert.Equal(("3", "true", "2", "COMPOSITE"), (first.Element("PartsCount"), first.Element("IsTruncated"), first.Element("NextPartNumberMarker"), first.Element("ChecksumType")));
        var rest = await AskAsync($"/{bucket}/key?attributes", "ObjectParts", ("x-amz-part-number-marker", "2"));
        Assert.Equal((["3"], ["10"], "false"), (rest.Elements("PartNumber").ToArray(), rest.Elements("Size").ToArray(), rest.Element("IsTruncated")), Comparer);
        var sdk = await S3.GetObjectAttributesAsync(new() { BucketName = bucket, Key = "key", ObjectAttributes = [ObjectAttributes.ObjectParts] });
        Assert.Equal((3, 3), (sdk.ObjectParts.TotalPartsCount, sdk.ObjectParts.Parts.Count));
        Assert.Equal(parts[0].ChecksumCRC32, sdk.ObjectParts.Parts[0].ChecksumCRC32);
    }

    private static readonly IEqualityComparer<(string[], string[], string?)> Comparer =
        EqualityComparer<(string[], string[], string?)>.Create((a, b) => a.Item1.SequenceEqual(b.Item1) && a.Item2.SequenceEqual(b.Item2) && a.Item3 == b.Item3);

    [Fact]
    public async Task Attributes_of_a_version_are_its_own_and_a_marker_has_none()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        var first = (await S3.PutTextAsync(bucket, "key", "1")).VersionId;
        await S3.PutTextAsync(bucket, "key", "22");
        var answer = await AskAsync($"/{bucket}/key?attributes&versionId={first}", "ObjectSize");
        Assert.Equal(("1", first), (answer.Element("ObjectSize"), answer.Header("x-amz-version-id")));
        Assert.NotNull(answer.Header("Last-Modified"));
        Assert.Equal("2", (await AskAsync($"/{bucket}/key?attributes", "ObjectSize")).Element("ObjectSize"));
        var marker = (await S3.DeleteObjectAsync(bucket, "key")).VersionId;
        var missing = await AskAsync($"/{bucket}/key?attributes", "ObjectSize");
        Assert.Equal((404, "NoSuchKey", "true"), (missing.Status, missing.Code, missing.Header("x-amz-delete-marker")));
        Assert.Equal((405, "MethodNotAllowed"), (await AskAsync($"/{bucket}/key?attributes&versionId={marker}", "ObjectSize")).Error);
    }

    [Theory]
    [InlineData("", null)]
    [InlineData("Size", null)]
    [InlineData("ETag,Size", null)]
    [InlineData("ObjectParts", "many")]
    [InlineData("ObjectParts", "-1")]
    public async Task Attributes_that_are_not_there_are_refused(string attributes, string? maxParts)
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        Assert.Equal((400, "InvalidArgument"), (maxParts is null ? await AskAsync($"/{bucket}/key?attributes", attributes) : await AskAsync($"/{bucket}/key?attributes", attributes, ("x-amz-max-parts", maxParts))).Error);
        Assert.Equal((400, "InvalidArgument"), (await Raw.GetAsync($"/{bucket}/key?attributes")).Error);
    }

    [Theory]
    [InlineData("GLACIER")]
    [InlineData("DEEP_ARCHIVE")]
    public async Task What_is_archived_by_name_is_there_already(string storageClass)
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "key", ContentBody = "content", StorageClass = storageClass });
        await S3.RestoreObjectAsync(new() { BucketName = bucket, Key = "key", Days = 2, RetrievalTier = GlacierJobTier.Bulk });
        Assert.Equal("content", await S3.GetTextAsync(bucket, "key"));
        await new AwsCli(fixture.Node).S3ApiAsync("restore-object", "--bucket", bucket, "--key", "key", "--restore-request", "Days=1");
    }

    [Theory]
    [InlineData("", 400, "MissingRequestBodyError")]
    [InlineData("<RestoreRequest/>", 400, "MalformedXML")]
    [InlineData("<RestoreRequest><Days>0</Days></RestoreRequest>", 400, "MalformedXML")]
    [InlineData("<RestoreRequest><Days>1</Days><Tier>Fast</Tier></RestoreRequest>", 400, "MalformedXML")]
    [InlineData("<RestoreRequest><Days>1</Days><GlacierJobParameters/></RestoreRequest>", 400, "MalformedXML")]
    [InlineData("<RestoreRequest><Type>SELECT</Type></RestoreRequest>", 501, "NotImplemented")]
    [InlineData("<RestoreRequest><Days>1</Days></RestoreRequest>", 403, "InvalidObjectState")]
    public async Task What_cannot_be_restored_is_refused(string document, int status, string code)
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        Assert.Equal((status, code), (await Raw.PostAsync($"/{bucket}/key?restore", document)).Error);
        Assert.Equal((404, "NoSuchKey"), (await Raw.PostAsync($"/{bucket}/none?restore", document)).Error);
    }

    private Task<RawAnswer> AskAsync(string target, string attributes, params (string Header, string Value)[] headers)
    {
        var request = new RawRequest("GET", target).With("x-amz-object-attributes", attributes);
        foreach (var (header, value) in headers) request.With(header, value);
        return Raw.SendAsync(request);
    }
}
