using System.Security.Cryptography;

namespace DarkStorage.Conformance;

public sealed class MultipartTests(NodeFixture node)
{
    private const int Min = Multipart.PartBytesMin;

    private AmazonS3Client S3 => node.Client;

    [Fact]
    public async Task Parts_sent_out_of_order_make_the_object_in_the_order_of_their_numbers()
    {
        var bucket = await S3.NewBucketAsync();
        var upload = await BeginAsync(bucket);
        byte[][] parts = [S3Clients.Content(Min, seed: 1), S3Clients.Content(Min + 12345, seed: 2), S3Clients.Content(1, seed: 3)];
        var tags = new PartETag[3];
        foreach (var i in (int[])[2, 0, 1]) tags[i] = await S3.PutPartAsync(bucket, "key", upload, 10 * (i + 1), parts[i]);
        var answer = await CompleteAsync(bucket, upload, tags);

        var expected = Convert.ToHexStringLower(MD5.HashData(parts.SelectMany(MD5.HashData).ToArray()));
        Assert.Equal($"\"{expected}-3\"", answer.ETag);
        using var got = await S3.GetObjectAsync(bucket, "key");
        Assert.Equal(answer.ETag, got.ETag);
        Assert.True(parts.SelectMany(p => p).SequenceEqual(await got.ReadBytesAsync()));
        Assert.Equal((answer.ETag, parts.Sum(p => p.Length)), ((await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects[0] is var o ? o.ETag : "", o.Size));
    }

    [Fact]
    public async Task A_part_sent_again_takes_the_place_of_the_first_and_its_ETag_is_the_one_that_counts()
    {
        var bucket = await S3.NewBucketAsync();
        var upload = await BeginAsync(bucket);
        var first = await S3.PutPartAsync(bucket, "key", upload, 1, "first"u8.ToArray());
        var second = await S3.PutPartAsync(bucket, "key", upload, 1, "second"u8.ToArray());
        await Refused.WithAsync("InvalidPart", HttpStatusCode.BadRequest, () => CompleteAsync(bucket, upload, first));
        await CompleteAsync(bucket, upload, second);
        Assert.Equal("second", await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task An_upload_that_names_no_checksum_takes_parts_with_any_as_SDKs_send_them_by_default()
    {
        var bucket = await S3.NewBucketAsync();
        var upload = (await node.Raw.PostAsync($"/{bucket}/key?uploads", "")).Element("UploadId");
        var target = $"/{bucket}/key?partNumber=1&uploadId={upload}";
        var crc = Checksums.Base64("CRC32", "part"u8);
        Assert.Equal((400, "BadDigest"), (await node.Raw.SendAsync(new RawRequest("PUT", target).WithBody("part").With("x-amz-checksum-crc32", "AAAAAA=="))).Error);
        var part = await node.Raw.SendAsync(new RawRequest("PUT", target).WithBody("part").With("x-amz-checksum-crc32", crc));
        Assert.Equal((200, crc), (part.Status, part.Header("x-amz-checksum-crc32")));
        Assert.Equal(200, (await node.Raw.SendAsync(new RawRequest("PUT", target.Replace("partNumber=1", "partNumber=2", StringComparison.Ordinal)).WithBody("more"))).Status);
        var document = $"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part.Header("ETag")}</ETag><ChecksumCRC32>{crc}</ChecksumCRC32></Part></CompleteMultipartUpload>";
        Assert.Equal(200, (await node.Raw.PostAsync($"/{bucket}/key?uploadId={upload}", document)).Status);
        var read = await node.Raw.SendAsync(new RawRequest("GET", $"/{bucket}/key").With("x-amz-checksum-mode", "ENABLED"));
        Assert.Equal(("part", "FULL_OBJECT"), (read.Text, read.Header("x-amz-checksum-type")));
        Assert.NotNull(read.Header("x-amz-checksum-crc64nvme"));
    }

    [Fact]
    public async Task An_upload_that_names_a_checksum_takes_parts_with_no_other()
    {
        var bucket = await S3.NewBucketAsync();
        foreach (var named in (string[])["CRC64NVME", "SHA256"])
        {
            var upload = (await node.Raw.SendAsync(new RawRequest("POST", $"/{bucket}/key?uploads").With("x-amz-checksum-algorithm", named))).Element("UploadId");
            Assert.Equal((400, "InvalidRequest"), (await node.Raw.SendAsync(
                new RawRequest("PUT", $"/{bucket}/key?partNumber=1&uploadId={upload}").WithBody("part").With("x-amz-checksum-crc32", Checksums.Base64("CRC32", "part"u8)))).Error);
        }
    }

    [Fact]
    public async Task Parts_that_the_completion_does_not_name_are_left_out()
    {
        var bucket = await S3.NewBucketAsync();
        var upload = await BeginAsync(bucket);
        await S3.PutPartAsync(bucket, "key", upload, 1, "one"u8.ToArray());
        var two = await S3.PutPartAsync(bucket, "key", upload, 2, "two"u8.ToArray());
        await S3.PutPartAsync(bucket, "key", upload, 3, "three"u8.ToArray());
        await CompleteAsync(bucket, upload, two);
        Assert.Equal("two", await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_small_part_that_is_not_the_last_refuses_the_completion_and_keeps_the_upload()
    {
        var bucket = await S3.NewBucketAsync();
        var upload = await BeginAsync(bucket);
        var one = await S3.PutPartAsync(bucket, "key", upload, 1, new byte[Min - 1]);
        var two = await S3.PutPartAsync(bucket, "key", upload, 2, "two"u8.ToArray());
        await Refused.WithAsync("EntityTooSmall", HttpStatusCode.BadRequest, () => CompleteAsync(bucket, upload, one, two));
        await CompleteAsync(bucket, upload, one);
    }

    [Theory]
    [InlineData("2,1", "InvalidPartOrder")]
    [InlineData("1,1", "InvalidPartOrder")]
    [InlineData("1,3", "InvalidPart")]
    [InlineData("0", "InvalidArgument")]
    [InlineData("10001", "InvalidArgument")]
    [InlineData("", "MalformedXML")]
    public async Task A_list_of_parts_that_cannot_be_is_refused(string numbers, string code)
    {
        var bucket = await S3.NewBucketAsync();
        var upload = await BeginAsync(bucket);
        var etag = (await S3.PutPartAsync(bucket, "key", upload, 1, new byte[Min])).ETag;
        await S3.PutPartAsync(bucket, "key", upload, 2, new byte[Min]);
        var parts = string.Concat(numbers.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(n => $"<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>"));
        Assert.Equal((400, code), (await node.Raw.PostAsync($"/{bucket}/key?uploadId={upload}", $"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")).Error);
        Assert.Equal(404, (await node.Raw.HeadAsync($"/{bucket}/key")).Status);
    }

    [Theory]
    [InlineData("<CompleteMultipartUpload>")]
    [InlineData("")]
    [InlineData("<CompleteMultipartUpload><Part><PartNumber>one</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>")]
    [InlineData("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>")]
    public async Task A_completion_that_is_no_XML_of_its_kind_is_malformed(string document)
    {
        var bucket = await S3.NewBucketAsync();
        var upload = await BeginAsync(bucket);
        Assert.Equal((400, "MalformedXML"), (await node.Raw.PostAsync($"/{bucket}/key?uploadId={upload}", document)).Error);
    }

    [Fact]
    public async Task Completing_again_answers_the_same()
    {
        var bucket = await S3.NewBucketAsync();
        var upload = await BeginAsync(bucket);
        var part = await S3.PutPartAsync(bucket, "key", upload, 1, "content"u8.ToArray());
        var first = await CompleteAsync(bucket, upload, part);
        Assert.Equal(first.ETag, (await CompleteAsync(bucket, upload, part)).ETag);
        Assert.Equal("content", await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task Completing_again_does_not_bring_back_what_was_overwritten_since()
    {
        var bucket = await S3.NewBucketAsync();
        var upload = await BeginAsync(bucket);
        var part = await S3.PutPartAsync(bucket, "key", upload, 1, "content"u8.ToArray());
        await CompleteAsync(bucket, upload, part);
        await S3.PutTextAsync(bucket, "key", "newer");
        try
        {
            await CompleteAsync(bucket, upload, part);
        }
        catch (AmazonS3Exception e) when (e.ErrorCode == "NoSuchUpload")
        {
            // S3 answers either, depending on how long ago it was.
        }
        Assert.Equal("newer", await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task An_aborted_upload_is_gone_with_its_parts()
    {
        var bucket = await S3.NewBucketAsync();
        var upload = await BeginAsync(bucket);
        var part = await S3.PutPartAsync(bucket, "key", upload, 1, "content"u8.ToArray());
        Assert.Equal(HttpStatusCode.NoContent, (await S3.AbortMultipartUploadAsync(bucket, "key", upload)).HttpStatusCode);
        await Refused.WithAsync("NoSuchUpload", HttpStatusCode.NotFound, () => S3.PutPartAsync(bucket, "key", upload, 2, [1]));
        await Refused.WithAsync("NoSuchUpload", HttpStatusCode.NotFound, () => S3.ListPartsAsync(bucket, "key", upload));
        await Refused.WithAsync("NoSuchUpload", HttpStatusCode.NotFound, () => CompleteAsync(bucket, upload, part));
        Assert.Empty((await S3.ListMultipartUploadsAsync(bucket)).MultipartUploads ?? []);
        Assert.Empty((await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects ?? []);
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("00000000000000000000000000000000")]
    [InlineData("")]
    public async Task An_upload_that_never_was_is_not_found(string upload)
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal((404, "NoSuchUpload"), (await node.Raw.PutAsync($"/{bucket}/key?partNumber=1&uploadId={upload}", "x")).Error);
        Assert.Equal((404, "NoSuchUpload"), (await node.Raw.GetAsync($"/{bucket}/key?uploadId={upload}")).Error);
        Assert.Equal((404, "NoSuchUpload"), (await node.Raw.DeleteAsync($"/{bucket}/key?uploadId={upload}")).Error);
    }

    [Fact]
    public async Task An_upload_belongs_to_its_key()
    {
        var bucket = await S3.NewBucketAsync();
        var upload = await BeginAsync(bucket);
        Assert.Equal((404, "NoSuchUpload"), (await node.Raw.PutAsync($"/{bucket}/other?partNumber=1&uploadId={upload}", "x")).Error);
    }

    [Theory]
    [InlineData("0")]
    [InlineData("10001")]
    [InlineData("-1")]
    [InlineData("one")]
    [InlineData("")]
    public async Task A_part_number_out_of_bounds_is_refused(string number)
    {
        var bucket = await S3.NewBucketAsync();
        var upload = await BeginAsync(bucket);
        Assert.Equal((400, "InvalidArgument"), (await node.Raw.PutAsync($"/{bucket}/key?partNumber={number}&uploadId={upload}", "x")).Error);
    }

    [Fact]
    public async Task Before_its_completion_an_upload_changes_nothing_that_is_seen()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "before");
        var upload = await BeginAsync(bucket);
        var part = await S3.PutPartAsync(bucket, "key", upload, 1, "after"u8.ToArray());
        Assert.Equal("before", await S3.GetTextAsync(bucket, "key"));
        Assert.Equal(6, Assert.Single((await S3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects).Size);
        await CompleteAsync(bucket, upload, part);
        Assert.Equal("after", await S3.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task The_object_has_the_metadata_that_the_upload_began_with()
    {
        var bucket = await S3.NewBucketAsync();
        var begin = new InitiateMultipartUploadRequest { BucketName = bucket, Key = "key", ContentType = "text/x-multi", StorageClass = S3StorageClass.StandardInfrequentAccess };
        begin.Metadata["name"] = "value";
        var upload = (await S3.InitiateMultipartUploadAsync(begin)).UploadId;
        await CompleteAsync(bucket, upload, await S3.PutPartAsync(bucket, "key", upload, 1, "x"u8.ToArray()));
        var head = await S3.GetObjectMetadataAsync(bucket, "key");
        Assert.Equal(("text/x-multi", "value", "STANDARD_IA"), (head.Headers.ContentType, head.Metadata["name"], head.StorageClass?.Value));
    }

    [Fact]
    public async Task Parts_are_listed_in_pages()
    {
        var bucket = await S3.NewBucketAsync();
        var upload = await BeginAsync(bucket);
        int[] numbers = [1, 2, 5, 100, 10_000];
        foreach (var number in numbers.Reverse()) await S3.PutPartAsync(bucket, "key", upload, number, new byte[number % 7]);
        for (var size = 1; size <= numbers.Length + 1; size++)
        {
            var listed = new List<PartDetail>();
            string? marker = null;
            ListPartsResponse page;
            do
            {
                page = await S3.ListPartsAsync(new() { BucketName = bucket, Key = "key", UploadId = upload, MaxParts = size, PartNumberMarker = marker });
                Assert.InRange(page.Parts.Count, 1, size);
                listed.AddRange(page.Parts);
                marker = page.NextPartNumberMarker?.ToString();
            }
            while (page.IsTruncated == true);
            Assert.Equal(numbers, listed.Select(p => p.PartNumber!.Value));
            Assert.Equal(numbers.Select(n => (long?)(n % 7)), listed.Select(p => p.Size));
        }
    }

    [Fact]
    public async Task Uploads_are_listed_by_key_then_age_in_pages_and_by_prefix()
    {
        var bucket = await S3.NewBucketAsync();
        var begun = new List<(string Key, string Id)>();
        foreach (var key in (string[])["b", "a/1", "a/1", "a/2", "c/x/y", "a/1"]) begun.Add((key, (await S3.InitiateMultipartUploadAsync(bucket, key)).UploadId));
        var expected = begun.OrderBy(u => u.Key, StringComparer.Ordinal).ToList();
        for (var size = 1; size <= begun.Count + 1; size++)
        {
            var listed = new List<(string, string)>();
            string? key = null, id = null;
            ListMultipartUploadsResponse page;
            do
            {
                page = await S3.ListMultipartUploadsAsync(new ListMultipartUploadsRequest { BucketName = bucket, MaxUploads = size, KeyMarker = key, UploadIdMarker = id });
                Assert.InRange(page.MultipartUploads.Count, 1, size);
                listed.AddRange(page.MultipartUploads.Select(u => (u.Key, u.UploadId)));
                (key, id) = (page.NextKeyMarker, page.NextUploadIdMarker);
            }
            while (page.IsTruncated == true);
            Assert.Equal(expected, listed);
        }
        var folded = await S3.ListMultipartUploadsAsync(new ListMultipartUploadsRequest { BucketName = bucket, Delimiter = "/" });
        Assert.Equal(["b"], folded.MultipartUploads.Select(u => u.Key));
        Assert.Equal(["a/", "c/"], folded.CommonPrefixes);
        var some = await S3.ListMultipartUploadsAsync(new ListMultipartUploadsRequest { BucketName = bucket, Prefix = "a/1" });
        Assert.Equal(3, some.MultipartUploads.Count);
    }

    [Theory]
    [InlineData(9 << 20)]
    [InlineData(3000)]
    public async Task A_part_can_be_a_range_of_another_object(int size)
    {
        var bucket = await S3.NewBucketAsync();
        var source = S3Clients.Content(size);
        await S3.PutBytesAsync(bucket, "source", source);
        var upload = await BeginAsync(bucket);
        var (first, last) = (size > 8 << 20 ? 1000L : 10L, size > 8 << 20 ? Min + 1500L : 2000L);
        var one = await S3.CopyPartAsync(new() { SourceBucket = bucket, SourceKey = "source", DestinationBucket = bucket, DestinationKey = "key", UploadId = upload, PartNumber = 1, FirstByte = first, LastByte = last });
        var tags = new List<PartETag> { new(1, one.ETag) };
        byte[] expected = source[(int)first..((int)last + 1)];
        if (size > 8 << 20)
        {
            var two = await S3.CopyPartAsync(new() { SourceBucket = bucket, SourceKey = "source", DestinationBucket = bucket, DestinationKey = "key", UploadId = upload, PartNumber = 2 });
            tags.Add(new(2, two.ETag));
            expected = [.. expected, .. source];
        }
        await CompleteAsync(bucket, upload, [.. tags]);
        Assert.True(expected.Same(await S3.GetBytesAsync(bucket, "key")));
    }

    [Theory]
    [InlineData("bytes=0-100")]
    [InlineData("bytes=100-")]
    [InlineData("bytes=-5")]
    [InlineData("bytes=5-4")]
    [InlineData("0-5")]
    public async Task A_range_that_the_source_does_not_have_is_refused_as_a_part(string range)
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutBytesAsync(bucket, "source", new byte[100]);
        var upload = await BeginAsync(bucket);
        var answer = await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key?partNumber=1&uploadId={upload}").With("x-amz-copy-source", $"{bucket}/source").With("x-amz-copy-source-range", range));
        Assert.Equal((400, "InvalidArgument"), answer.Error);
    }

    [Fact]
    public async Task A_stated_size_that_is_not_the_objects_refuses_the_completion()
    {
        var bucket = await S3.NewBucketAsync();
        var upload = await BeginAsync(bucket);
        var etag = (await S3.PutPartAsync(bucket, "key", upload, 1, new byte[10])).ETag;
        RawRequest Complete(int size) => new RawRequest("POST", $"/{bucket}/key?uploadId={upload}").With("x-amz-mp-object-size", $"{size}")
            .WithBody($"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>");
        Assert.Equal(400, (await node.Raw.SendAsync(Complete(11))).Status);
        Assert.Equal(200, (await node.Raw.SendAsync(Complete(10))).Status);
    }

    private async Task<string> BeginAsync(string bucket) => (await S3.InitiateMultipartUploadAsync(bucket, "key")).UploadId;

    private Task<CompleteMultipartUploadResponse> CompleteAsync(string bucket, string upload, params PartETag[] parts) =>
        S3.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = "key", UploadId = upload, PartETags = [.. parts] });

    [Fact]
    public async Task A_completion_sent_again_finds_its_version_under_a_newer_one_also_where_that_is_the_null_version()
    {
        var bucket = await S3.NewBucketAsync();
        var id = (await S3.InitiateMultipartUploadAsync(bucket, "key")).UploadId;
        var part = await S3.PutPartAsync(bucket, "key", id, 1, "first"u8.ToArray());
        Task<CompleteMultipartUploadResponse> Complete() => S3.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = "key", UploadId = id, PartETags = [part] });
        var made = await Complete();
        await S3.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        await S3.PutTextAsync(bucket, "key", "second");
        var again = await Complete();
        Assert.Equal((made.ETag, "null"), (again.ETag, again.VersionId));
        Assert.Equal("second", await S3.GetTextAsync(bucket, "key"));
    }
}
