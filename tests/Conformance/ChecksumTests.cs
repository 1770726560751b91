namespace DarkStorage.Conformance;

/// <summary>S3's five checksums: stated ahead, in trailers, of parts, of whole multipart objects.</summary>
public sealed class ChecksumTests(NodeFixture node)
{
    private const int Min = Multipart.PartBytesMin;

    private static readonly byte[] Nine = "123456789"u8.ToArray();

    private AmazonS3Client S3 => node.Client;

    /// <summary>The check values that the algorithms' definitions give for "123456789".</summary>
    public static TheoryData<string, string> CheckValues => new()
    {
        { "CRC32", "cbf43926" },
        { "CRC32C", "e3069283" },
        { "CRC64NVME", "ae8b14860a799888" },
        { "SHA1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441" },
        { "SHA256", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225" },
    };

    public static TheoryData<string> Algorithms => [.. Checksums.Algorithms];

    [Theory, MemberData(nameof(CheckValues))]
    public async Task The_published_check_value_is_taken_kept_and_given_back(string algorithm, string hex)
    {
        var bucket = await S3.NewBucketAsync();
        var value = Convert.ToBase64String(Convert.FromHexString(hex));
        var put = await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").With(Checksums.Header(algorithm), value).WithBody(Nine));
        Assert.Equal(200, put.Status);
        Assert.Equal(value, put.Header(Checksums.Header(algorithm)));
        foreach (var method in (string[])["GET", "HEAD"])
        {
            var answer = await node.Raw.SendAsync(new RawRequest(method, $"/{bucket}/key").With("x-amz-checksum-mode", "ENABLED"));
            Assert.Equal(value, answer.Header(Checksums.Header(algorithm)));
            Assert.Equal("FULL_OBJECT", answer.Header("x-amz-checksum-type"));
            Assert.Null((await node.Raw.SendAsync(new(method, $"/{bucket}/key"))).Header(Checksums.Header(algorithm)));
        }
    }

    [Theory, MemberData(nameof(Algorithms))]
    public async Task A_wrong_checksum_in_a_header_stores_nothing(string algorithm)
    {
        var bucket = await S3.NewBucketAsync();
        foreach (var size in (int[])[0, 9, 100_000])
        {
            var content = S3Clients.Content(size);
            var wrong = Checksums.Base64(algorithm, [.. content, 1]);
            Assert.Equal((400, "BadDigest"), (await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").With(Checksums.Header(algorithm), wrong).WithBody(content))).Error);
        }
        Assert.Equal(404, (await node.Raw.HeadAsync($"/{bucket}/key")).Status);
    }

    [Theory, MemberData(nameof(Algorithms))]
    public async Task A_right_checksum_in_a_trailer_is_kept_and_a_wrong_one_stores_nothing(string algorithm)
    {
        var bucket = await S3.NewBucketAsync();
        foreach (var form in (ChunkForm[])[ChunkForm.SignedWithTrailer, ChunkForm.UnsignedWithTrailer])
        {
            foreach (var size in (int[])[0, 9, 200_000])
            {
                var content = S3Clients.Content(size);
                KeyValuePair<string, string> Trailer(byte[] of) => new(Checksums.Header(algorithm), Checksums.Base64(algorithm, of));
                Assert.Equal((400, "BadDigest"), (await node.Raw.SendAsync(node.Raw.PutChunked($"/{bucket}/wrong", content, form, Trailer([.. content, 1])))).Error);
                var right = await node.Raw.SendAsync(node.Raw.PutChunked($"/{bucket}/right", content, form, Trailer(content)));
                Assert.True(right.Status == 200, right.ToString());
                var got = await node.Raw.SendAsync(new RawRequest("GET", $"/{bucket}/right").With("x-amz-checksum-mode", "ENABLED"));
                Assert.Equal(Trailer(content).Value, got.Header(Checksums.Header(algorithm)));
                Assert.Equal(content, got.Body);
            }
        }
        Assert.Equal(404, (await node.Raw.HeadAsync($"/{bucket}/wrong")).Status);
    }

    // The SDK computes the other two only with a native library beside it.
    [Theory, InlineData("CRC32"), InlineData("SHA1"), InlineData("SHA256")]
    public async Task The_SDK_states_and_verifies_each_of_them(string algorithm)
    {
        var bucket = await S3.NewBucketAsync();
        var content = S3Clients.Content(100_000);
        await S3.PutObjectAsync(new() { BucketName = bucket, Key = "key", InputStream = new MemoryStream(content), ChecksumAlgorithm = ChecksumAlgorithm.FindValue(algorithm) });
        using var got = await S3.GetObjectAsync(new() { BucketName = bucket, Key = "key", ChecksumMode = ChecksumMode.ENABLED });
        Assert.True(content.Same(await got.ReadBytesAsync()));
        var stored = algorithm switch { "CRC32" => got.ChecksumCRC32, "SHA1" => got.ChecksumSHA1, _ => got.ChecksumSHA256 };
        Assert.Equal(Checksums.Base64(algorithm, content), stored);
    }

    [Fact]
    public async Task A_wrong_MD5_or_SHA_256_of_the_body_stores_nothing()
    {
        var bucket = await S3.NewBucketAsync();
        var md5 = Convert.ToBase64String(System.Security.Cryptography.MD5.HashData("other"u8));
        Assert.Equal((400, "BadDigest"), (await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").With("Content-MD5", md5).WithBody("content"))).Error);
        Assert.Equal((400, "InvalidDigest"), (await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").With("Content-MD5", "AAAA").WithBody("content"))).Error);
        Assert.Equal((400, "XAmzContentSHA256Mismatch"), (await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key") { PayloadHash = new string('0', 64) }.WithBody("content"))).Error);
        Assert.Equal(404, (await node.Raw.HeadAsync($"/{bucket}/key")).Status);
        md5 = Convert.ToBase64String(System.Security.Cryptography.MD5.HashData("content"u8));
        Assert.Equal(200, (await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").With("Content-MD5", md5).WithBody("content"))).Status);
    }

    [Theory]
    [InlineData("x-amz-checksum-crc32", "not base64")]
    [InlineData("x-amz-checksum-crc32", "AAAAAAAAAAA=")]
    [InlineData("x-amz-checksum-sha256", "AAAAAA==")]
    [InlineData("x-amz-checksum-md2", "AAAAAA==")]
    [InlineData("x-amz-sdk-checksum-algorithm", "CRC32")]
    public async Task A_checksum_that_is_none_is_an_invalid_request(string header, string value)
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal((400, "InvalidRequest"), (await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").With(header, value).WithBody(Nine))).Error);
    }

    [Fact]
    public async Task Two_checksums_are_one_too_many()
    {
        var bucket = await S3.NewBucketAsync();
        var put = new RawRequest("PUT", $"/{bucket}/key").WithBody(Nine);
        foreach (var algorithm in (string[])["CRC32", "SHA1"]) put.With(Checksums.Header(algorithm), Checksums.Base64(algorithm, Nine));
        Assert.Equal((400, "InvalidRequest"), (await node.Raw.SendAsync(put)).Error);
    }

    [Fact]
    public async Task A_range_has_no_checksum_because_the_stored_one_is_of_the_whole()
    {
        var bucket = await S3.NewBucketAsync();
        await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").With("x-amz-checksum-crc32", Checksums.Base64("CRC32", Nine)).WithBody(Nine));
        var answer = await node.Raw.SendAsync(new RawRequest("GET", $"/{bucket}/key").With("x-amz-checksum-mode", "ENABLED").With("Range", "bytes=0-3"));
        Assert.Equal((206, null), (answer.Status, answer.Header("x-amz-checksum-crc32")));
    }

    /// <summary>Algorithm and type, all the pairs that S3 has.</summary>
    public static TheoryData<string, string> MultipartTypes => new()
    {
        { "CRC32", "COMPOSITE" }, { "CRC32C", "COMPOSITE" }, { "SHA1", "COMPOSITE" }, { "SHA256", "COMPOSITE" },
        { "CRC32", "FULL_OBJECT" }, { "CRC32C", "FULL_OBJECT" }, { "CRC64NVME", "FULL_OBJECT" },
    };

    [Theory, MemberData(nameof(MultipartTypes))]
    public async Task A_multipart_objects_checksum_is_made_of_its_parts_as_its_type_says(string algorithm, string type)
    {
        var bucket = await S3.NewBucketAsync();
        byte[][] parts = [S3Clients.Content(Min, seed: 1), S3Clients.Content(54321, seed: 2)];
        var begin = await node.Raw.SendAsync(new RawRequest("POST", $"/{bucket}/key?uploads").With("x-amz-checksum-algorithm", algorithm).With("x-amz-checksum-type", type));
        Assert.Equal((algorithm, type), (begin.Header("x-amz-checksum-algorithm"), begin.Header("x-amz-checksum-type")));
        var upload = begin.Element("UploadId");
        var named = new StringBuilder();
        for (var i = 0; i < 2; i++)
        {
            var value = Checksums.Base64(algorithm, parts[i]);
            var wrong = Checksums.Base64(algorithm, Nine);
            Assert.Equal((400, "BadDigest"), (await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key?partNumber={i + 1}&uploadId={upload}").With(Checksums.Header(algorithm), wrong).WithBody(parts[i]))).Error);
            var part = await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key?partNumber={i + 1}&uploadId={upload}").With(Checksums.Header(algorithm), value).WithBody(parts[i]));
            Assert.Equal((200, value), (part.Status, part.Header(Checksums.Header(algorithm))));
            named.Append($"<Part><PartNumber>{i + 1}</PartNumber><ETag>{part.Header("ETag")}</ETag><Checksum{algorithm}>{value}</Checksum{algorithm}></Part>");
        }
        var listed = await node.Raw.GetAsync($"/{bucket}/key?uploadId={upload}");
        Assert.Equal(parts.Select(p => Checksums.Base64(algorithm, p)), listed.Elements($"Checksum{algorithm}"));

        byte[] whole = [.. parts[0], .. parts[1]];
        var expected = type == "FULL_OBJECT" ? Checksums.Base64(algorithm, whole)
            : Checksums.Base64(algorithm, [.. Checksums.Digest(algorithm, parts[0]), .. Checksums.Digest(algorithm, parts[1])]) + "-2";
        RawRequest Complete(string stated) => new RawRequest("POST", $"/{bucket}/key?uploadId={upload}").With(Checksums.Header(algorithm), stated).With("x-amz-checksum-type", type)
            .WithBody($"<CompleteMultipartUpload>{named}</CompleteMultipartUpload>");
        var other = Checksums.Base64(algorithm, Nine) + (type == "FULL_OBJECT" ? "" : "-2");
        Assert.Equal((400, "BadDigest"), (await node.Raw.SendAsync(Complete(other))).Error);
        var completed = await node.Raw.SendAsync(Complete(expected));
        Assert.Equal((200, expected, type), (completed.Status, completed.Element($"Checksum{algorithm}"), completed.Element("ChecksumType")));
        var head = await node.Raw.SendAsync(new RawRequest("HEAD", $"/{bucket}/key").With("x-amz-checksum-mode", "ENABLED"));
        Assert.Equal((expected, type), (head.Header(Checksums.Header(algorithm)), head.Header("x-amz-checksum-type")));
    }

    [Theory]
    [InlineData("CRC64NVME", "COMPOSITE")]
    [InlineData("SHA1", "FULL_OBJECT")]
    [InlineData("SHA256", "FULL_OBJECT")]
    [InlineData("MD2", null)]
    [InlineData(null, "COMPOSITE")]
    public async Task A_pair_that_S3_does_not_have_begins_no_upload(string? algorithm, string? type)
    {
        var bucket = await S3.NewBucketAsync();
        var begin = new RawRequest("POST", $"/{bucket}/key?uploads");
        if (algorithm is not null) begin.With("x-amz-checksum-algorithm", algorithm);
        if (type is not null) begin.With("x-amz-checksum-type", type);
        Assert.Equal((400, "InvalidRequest"), (await node.Raw.SendAsync(begin)).Error);
    }

    [Fact]
    public async Task A_part_with_another_checksum_than_its_uploads_is_refused()
    {
        var bucket = await S3.NewBucketAsync();
        var upload = (await node.Raw.SendAsync(new RawRequest("POST", $"/{bucket}/key?uploads").With("x-amz-checksum-algorithm", "SHA256"))).Element("UploadId");
        var answer = await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key?partNumber=1&uploadId={upload}").With("x-amz-checksum-crc32", Checksums.Base64("CRC32", Nine)).WithBody(Nine));
        Assert.Equal((400, "InvalidRequest"), answer.Error);
    }

    [Fact]
    public async Task A_copy_keeps_its_sources_checksum_or_has_the_one_that_was_asked_for()
    {
        var bucket = await S3.NewBucketAsync();
        await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").With("x-amz-checksum-sha1", Checksums.Base64("SHA1", Nine)).WithBody(Nine));
        async Task<RawAnswer> HeadAsync(string key) => await node.Raw.SendAsync(new RawRequest("HEAD", $"/{bucket}/{key}").With("x-amz-checksum-mode", "ENABLED"));
        await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/same").With("x-amz-copy-source", $"{bucket}/key"));
        Assert.Equal(Checksums.Base64("SHA1", Nine), (await HeadAsync("same")).Header("x-amz-checksum-sha1"));
        await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/other").With("x-amz-copy-source", $"{bucket}/key").With("x-amz-checksum-algorithm", "CRC32C"));
        Assert.Equal(Checksums.Base64("CRC32C", Nine), (await HeadAsync("other")).Header("x-amz-checksum-crc32c"));
    }
}
