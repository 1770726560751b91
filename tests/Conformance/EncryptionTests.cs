using System.Security.Cryptography;
using System.Text.RegularExpressions;

namespace DarkStorage.Conformance;

/// <summary>Server-side encryption as clients use it: SSE-S3, SSE-KMS and SSE-C.</summary>
public sealed class EncryptionTests(NodeFixture node)
{
    private const string Header = "x-amz-server-side-encryption";
    private const string Customer = "x-amz-server-side-encryption-customer-";
    private const string None = "none";
    private const string S3Mode = "AES256";
    private const string Kms = "aws:kms";
    private const string SseC = "SSE-C";

    private static readonly string[] Modes = [None, S3Mode, Kms, SseC];

    private static readonly byte[] Key = SHA256.HashData("the customer's key"u8);
    private static readonly byte[] OtherKey = SHA256.HashData("another key"u8);

    private AmazonS3Client S3 => node.Client;

    /// <summary>Empty, inline, one frame, and many frames over several chunks.</summary>
    public static TheoryData<string, int> ModesAndSizes => [.. from mode in Modes.Skip(1) from size in (int[])[0, 5, 70_000, 9 << 20] select (mode, size)];

    public static TheoryData<string, string> Pairs => [.. from @from in Modes from to in Modes select (@from, to)];

    [Theory, MemberData(nameof(ModesAndSizes))]
    public async Task A_sealed_object_reads_back_whole_and_by_range_and_says_how_it_is_sealed(string mode, int size)
    {
        var bucket = await S3.NewBucketAsync();
        var content = S3Clients.Content(size);
        var put = await node.Raw.SendAsync(With(mode, new RawRequest("PUT", $"/{bucket}/key").WithBody(content)));
        Assert.Equal(200, put.Status);
        AssertSays(mode, put);
        var md5 = $"\"{Convert.ToHexStringLower(MD5.HashData(content))}\"";
        Assert.Matches("^\"[0-9a-f]{32}\"$", put.Header("ETag"));
        Assert.Equal(mode == S3Mode, put.Header("ETag") == md5);

        foreach (var method in (string[])["GET", "HEAD"])
        {
            var answer = await node.Raw.SendAsync(ForRead(mode, new(method, $"/{bucket}/key")));
            Assert.Equal((200, put.Header("ETag"), size.ToString(System.Globalization.CultureInfo.InvariantCulture)), (answer.Status, answer.Header("ETag"), answer.Header("Content-Length")));
            AssertSays(mode, answer);
            if (method == "GET") Assert.True(content.Same(answer.Body));
        }
        if (size == 0) return;
        foreach (var (first, last) in ((int, int)[])[(0, 0), (size / 2, size - 1), (1, Math.Min(3, size - 1)), (Math.Min(65_519, size - 1), Math.Min(65_521, size - 1))])
        {
            var answer = await node.Raw.SendAsync(ForRead(mode, new RawRequest("GET", $"/{bucket}/key").With("Range", $"bytes={first}-{last}")));
            Assert.Equal(206, answer.Status);
            Assert.True(content[first..(last + 1)].Same(answer.Body), $"{mode}, bytes {first} to {last}");
        }
    }

    [Fact]
    public async Task A_key_of_the_ring_is_made_rotated_disabled_and_enabled_by_an_administrator()
    {
        const string keys = "/v1/encryption-keys";
        var (bucket, key) = (await S3.NewBucketAsync(), $"team/{Guid.NewGuid():n}");
        Assert.Equal((400, "KMS.NotFoundException"), (await PutAsync("early")).Error);
        using (var made = await node.Node.AdminAsync(HttpMethod.Post, keys, new { name = key })) Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        using (var twice = await node.Node.AdminAsync(HttpMethod.Post, keys, new { name = key })) Assert.Equal(HttpStatusCode.BadRequest, twice.StatusCode);
        using (var stranger = await node.Node.AdminAsync(HttpMethod.Post, keys, new { name = "theirs" }, by: await node.Node.NewUserAsync())) Assert.Equal(HttpStatusCode.Unauthorized, stranger.StatusCode);
        Assert.Equal(200, (await PutAsync("before")).Status);
        using (var rotated = await node.Node.AdminAsync(HttpMethod.Post, $"{keys}/{key}/rotate")) Assert.Contains("\"versions\":2", await rotated.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(200, (await PutAsync("after")).Status);
        foreach (var name in (string[])["before", "after"]) Assert.Equal(name, await S3.GetTextAsync(bucket, name));

        using (var disabled = await node.Node.AdminAsync(HttpMethod.Put, $"{keys}/{key}", new { enabled = false })) Assert.Equal(HttpStatusCode.OK, disabled.StatusCode);
        Assert.Equal((400, "KMS.DisabledException"), (await PutAsync("meanwhile")).Error);
        Assert.Equal((400, "KMS.DisabledException"), (await node.Raw.GetAsync($"/{bucket}/before")).Error);
        using (var enabled = await node.Node.AdminAsync(HttpMethod.Put, $"{keys}/{key}", new { enabled = true })) Assert.Equal(HttpStatusCode.OK, enabled.StatusCode);
        Assert.Equal("before", await S3.GetTextAsync(bucket, "before"));
        using var missing = await node.Node.AdminAsync(HttpMethod.Post, $"{keys}/none/rotate");
        Assert.Equal(HttpStatusCode.NotFound, missing.StatusCode);

        Task<RawAnswer> PutAsync(string name) => node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/{name}").WithBody(name).With(Header, Kms).With($"{Header}-aws-kms-key-id", key));
    }

    [Theory, InlineData(None), InlineData(S3Mode), InlineData(Kms), InlineData(SseC)]
    public async Task The_parts_of_an_upload_are_sealed_as_it_was_begun(string mode)
    {
        var bucket = await S3.NewBucketAsync();
        byte[][] parts = [S3Clients.Content(6 << 20, seed: 1), S3Clients.Content(Multipart.PartBytesMin, seed: 2), S3Clients.Content(7, seed: 3)];
        var begun = new InitiateMultipartUploadRequest { BucketName = bucket, Key = "key" };
        if (mode == SseC) (begun.ServerSideEncryptionCustomerMethod, begun.ServerSideEncryptionCustomerProvidedKey) = (ServerSideEncryptionCustomerMethod.AES256, Convert.ToBase64String(Key));
        else if (mode != None) begun.ServerSideEncryptionMethod = ServerSideEncryptionMethod.FindValue(mode);
        var upload = await S3.InitiateMultipartUploadAsync(begun);
        var tags = new List<PartETag>();
        for (var i = 0; i < parts.Length; i++)
        {
            var part = new UploadPartRequest { BucketName = bucket, Key = "key", UploadId = upload.UploadId, PartNumber = i + 1, InputStream = new MemoryStream(parts[i]) };
            if (mode == SseC) (part.ServerSideEncryptionCustomerMethod, part.ServerSideEncryptionCustomerProvidedKey) = (ServerSideEncryptionCustomerMethod.AES256, Convert.ToBase64String(Key));
            var answer = await S3.UploadPartAsync(part);
            Assert.Equal(mode is None or S3Mode, answer.ETag == $"\"{Convert.ToHexStringLower(MD5.HashData(parts[i]))}\"");
            tags.Add(new(i + 1, answer.ETag));
        }
        var done = await S3.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = "key", UploadId = upload.UploadId, PartETags = tags });
        Assert.Matches("^\"[0-9a-f]{32}-3\"$", done.ETag);
        byte[] whole = [.. parts[0], .. parts[1], .. parts[2]];
        var got = await node.Raw.SendAsync(ForRead(mode, new("GET", $"/{bucket}/key")));
        Assert.True(whole.Same(got.Body));
        AssertSays(mode, got);
        var second = await node.Raw.SendAsync(ForRead(mode, new("GET", $"/{bucket}/key?partNumber=2")));
        Assert.True(parts[1].Same(second.Body));
        var across = await node.Raw.SendAsync(ForRead(mode, new RawRequest("GET", $"/{bucket}/key").With("Range", $"bytes={(6 << 20) - 10}-{(6 << 20) + 10}")));
        Assert.True(whole[((6 << 20) - 10)..((6 << 20) + 11)].Same(across.Body));
    }

    [Theory, MemberData(nameof(Pairs))]
    public async Task A_copy_goes_from_any_encryption_to_any_other(string from, string to)
    {
        var bucket = await S3.NewBucketAsync();
        foreach (var size in (int[])[0, 5, (1 << 20) + 1])
        {
            var content = S3Clients.Content(size);
            await node.Raw.SendAsync(With(from, new RawRequest("PUT", $"/{bucket}/from").WithBody(content)));
            var copy = new RawRequest("PUT", $"/{bucket}/to").With("x-amz-copy-source", $"/{bucket}/from");
            if (from == SseC) WithKey(copy, "x-amz-copy-source-server-side-encryption-customer-", Key);
            var copied = await node.Raw.SendAsync(to == SseC ? WithKey(copy, Customer, OtherKey) : With(to, copy));
            Assert.Equal(200, copied.Status);
            AssertSays(to, copied, OtherKey);
            var read = new RawRequest("GET", $"/{bucket}/to");
            var got = await node.Raw.SendAsync(to == SseC ? WithKey(read, Customer, OtherKey) : read);
            AssertSays(to, got, OtherKey);
            Assert.True(content.Same(got.Body), $"{size} bytes");
        }
    }

    [Theory, MemberData(nameof(Pairs))]
    public async Task A_part_is_copied_from_any_encryption_to_any_other(string from, string to)
    {
        var bucket = await S3.NewBucketAsync();
        var content = S3Clients.Content(200_000);
        await node.Raw.SendAsync(With(from, new RawRequest("PUT", $"/{bucket}/from").WithBody(content)));
        var upload = (await node.Raw.SendAsync(With(to, new("POST", $"/{bucket}/to?uploads")))).Element("UploadId");
        var copy = new RawRequest("PUT", $"/{bucket}/to?uploadId={upload}&partNumber=1").With("x-amz-copy-source", $"/{bucket}/from").With("x-amz-copy-source-range", "bytes=100-150000");
        if (from == SseC) WithKey(copy, "x-amz-copy-source-server-side-encryption-customer-", Key);
        var part = await node.Raw.SendAsync(ForRead(to, copy));
        Assert.Equal(200, part.Status);
        var etag = Regex.Match(part.Text, "[0-9a-f]{32}").Value;
        var done = await node.Raw.PostAsync($"/{bucket}/to?uploadId={upload}", $"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>");
        Assert.Equal(200, done.Status);
        Assert.True(content[100..150_001].Same((await node.Raw.SendAsync(ForRead(to, new("GET", $"/{bucket}/to")))).Body));
    }

    [Fact]
    public async Task An_object_can_be_sealed_by_a_copy_onto_itself()
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "content");
        var sealing = await node.Raw.SendAsync(With(S3Mode, new RawRequest("PUT", $"/{bucket}/key").With("x-amz-copy-source", $"/{bucket}/key")));
        Assert.Equal(200, sealing.Status);
        var got = await S3.GetObjectAsync(bucket, "key");
        Assert.Equal((ServerSideEncryptionMethod.AES256, "content"), (got.ServerSideEncryptionMethod, Encoding.UTF8.GetString(await got.ReadBytesAsync())));
    }

    [Fact]
    public async Task What_the_client_says_of_its_KMS_key_comes_back()
    {
        var bucket = await S3.NewBucketAsync();
        var put = await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key").WithBody("x").With(Header, Kms).With(Header + "-aws-kms-key-id", "arn:aws:kms:us-east-1:000000000000:key/aws/s3")
            .With(Header + "-context", Convert.ToBase64String("""{"of":"the tést"}"""u8)).With(Header + "-bucket-key-enabled", "true"));
        Assert.Equal(200, put.Status);
        foreach (var answer in (RawAnswer[])[put, await node.Raw.HeadAsync($"/{bucket}/key"), await node.Raw.GetAsync($"/{bucket}/key")])
        {
            Assert.Equal((Kms, "arn:aws:kms:us-east-1:000000000000:key/aws/s3", "true"),
                (answer.Header(Header), answer.Header(Header + "-aws-kms-key-id"), answer.Header(Header + "-bucket-key-enabled")));
        }
        var other = await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/other").WithBody("x").With(Header, Kms).With(Header + "-aws-kms-key-id", "no-such-key"));
        Assert.Equal((400, "KMS.NotFoundException"), other.Error);
    }

    /// <summary>Headers, the code and the status that they are answered with on PUT.</summary>
    public static TheoryData<string, string, int> WrongWrites
    {
        get
        {
            var (key, md5) = (Convert.ToBase64String(Key), Convert.ToBase64String(MD5.HashData(Key)));
            return new()
            {
                { $"{Header}: rot13", "InvalidArgument", 400 },
                { $"{Header}: aws:kms:dsse", "NotImplemented", 501 },
                { $"{Header}-aws-kms-key-id: aws/s3", "InvalidArgument", 400 },
                { $"{Header}: AES256\n{Header}-aws-kms-key-id: aws/s3", "InvalidArgument", 400 },
                { $"{Header}: aws:kms\n{Header}-context: %%%", "InvalidArgument", 400 },
                { $"{Header}: aws:kms\n{Header}-context: {Convert.ToBase64String("[1]"u8)}", "InvalidArgument", 400 },
                { $"{Header}: aws:kms\n{Header}-context: {Convert.ToBase64String([0xFF, 0xFE])}", "InvalidArgument", 400 },
                { $"{Header}: aws:kms\n{Header}-bucket-key-enabled: perhaps", "InvalidArgument", 400 },
                { $"{Header}: AES256\n{Customer}algorithm: AES256\n{Customer}key: {key}\n{Customer}key-MD5: {md5}", "InvalidArgument", 400 },
                { $"{Customer}algorithm: AES128\n{Customer}key: {key}\n{Customer}key-MD5: {md5}", "InvalidEncryptionAlgorithmError", 400 },
                { $"{Customer}key: {key}\n{Customer}key-MD5: {md5}", "InvalidArgument", 400 },
                { $"{Customer}algorithm: AES256\n{Customer}key-MD5: {md5}", "InvalidArgument", 400 },
                { $"{Customer}algorithm: AES256\n{Customer}key: {key}", "InvalidArgument", 400 },
                { $"{Customer}algorithm: AES256\n{Customer}key: {key[4..]}\n{Customer}key-MD5: {md5}", "InvalidArgument", 400 },
                { $"{Customer}algorithm: AES256\n{Customer}key: {new string('%', 44)}\n{Customer}key-MD5: {md5}", "InvalidArgument", 400 },
                { $"{Customer}algorithm: AES256\n{Customer}key: {key}\n{Customer}key-MD5: {Convert.ToBase64String(new byte[16])}", "InvalidArgument", 400 },
                { $"{Customer}algorithm: AES256\n{Customer}key: {key}\n{Customer}key-MD5: short", "InvalidArgument", 400 },
            };
        }
    }

    [Theory, MemberData(nameof(WrongWrites))]
    public async Task A_write_that_asks_for_what_cannot_be_is_refused_and_its_key_is_not_repeated(string headers, string code, int status)
    {
        var bucket = await S3.NewBucketAsync();
        foreach (var request in (RawRequest[])[new RawRequest("PUT", $"/{bucket}/key").WithBody("x"), new("POST", $"/{bucket}/key?uploads")])
        {
            foreach (var line in headers.Split('\n')) request.With(line.Split(": ")[0], line.Split(": ")[1]);
            var answer = await node.Raw.SendAsync(request);
            Assert.Equal((status, code), answer.Error);
            Assert.DoesNotContain(Convert.ToBase64String(Key), answer.Text, StringComparison.Ordinal);
        }
        Assert.Equal(404, (await node.Raw.GetAsync($"/{bucket}/key")).Status);
    }

    [Fact]
    public async Task A_customers_object_opens_to_its_key_alone()
    {
        var bucket = await S3.NewBucketAsync();
        foreach (var (key, size) in ((string, int)[])[("empty", 0), ("inline", 5), ("stored", 100_000)])
        {
            await node.Raw.SendAsync(With(SseC, new RawRequest("PUT", $"/{bucket}/{key}").WithBody(S3Clients.Content(size))));
            foreach (var method in (string[])["GET", "HEAD"])
            {
                var (without, wrong) = (await node.Raw.SendAsync(new(method, $"/{bucket}/{key}")), await node.Raw.SendAsync(WithKey(new(method, $"/{bucket}/{key}"), Customer, OtherKey)));
                Assert.Equal((400, 403), (without.Status, wrong.Status));
                if (method == "GET") Assert.Equal(("InvalidRequest", "AccessDenied"), (without.Code, wrong.Code));
            }
            // Not even whether a tag matches is told.
            var tag = (await node.Raw.SendAsync(With(SseC, new("HEAD", $"/{bucket}/{key}")))).Header("ETag")!;
            Assert.Equal(400, (await node.Raw.SendAsync(new RawRequest("GET", $"/{bucket}/{key}").With("If-None-Match", tag))).Status);
            Assert.Equal(400, (await node.Raw.SendAsync(new RawRequest("GET", $"/{bucket}/{key}?attributes").With("x-amz-object-attributes", "ETag"))).Status);
            Assert.Equal((400, "InvalidRequest"), (await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/copy").With("x-amz-copy-source", $"/{bucket}/{key}"))).Error);
            Assert.Equal((403, "AccessDenied"),
                (await node.Raw.SendAsync(WithKey(new RawRequest("PUT", $"/{bucket}/copy").With("x-amz-copy-source", $"/{bucket}/{key}"), "x-amz-copy-source-server-side-encryption-customer-", OtherKey))).Error);
        }
    }

    [Theory, InlineData(None), InlineData(S3Mode), InlineData(Kms)]
    public async Task A_key_for_what_is_not_a_customers_object_is_refused(string mode)
    {
        var bucket = await S3.NewBucketAsync();
        await node.Raw.SendAsync(With(mode, new RawRequest("PUT", $"/{bucket}/key").WithBody("x")));
        Assert.Equal((400, "InvalidRequest"), (await node.Raw.SendAsync(WithKey(new("GET", $"/{bucket}/key"), Customer, Key))).Error);
        Assert.Equal(400, (await node.Raw.SendAsync(WithKey(new("HEAD", $"/{bucket}/key"), Customer, Key))).Status);
    }

    [Theory, InlineData(Header, "AES256"), InlineData(Header + "-aws-kms-key-id", "aws/s3")]
    public async Task A_read_does_not_name_an_encryption(string header, string value)
    {
        var bucket = await S3.NewBucketAsync();
        await S3.PutTextAsync(bucket, "key", "x");
        Assert.Equal((400, "InvalidArgument"), (await node.Raw.SendAsync(new RawRequest("GET", $"/{bucket}/key").With(header, value))).Error);
        Assert.Equal(400, (await node.Raw.SendAsync(new RawRequest("HEAD", $"/{bucket}/key").With(header, value))).Status);
    }

    [Fact]
    public async Task A_part_brings_the_key_of_its_upload()
    {
        var bucket = await S3.NewBucketAsync();
        async Task<string> BeginAsync(string mode) => (await node.Raw.SendAsync(With(mode, new("POST", $"/{bucket}/key?uploads")))).Element("UploadId")!;
        RawRequest Part(string upload) => new RawRequest("PUT", $"/{bucket}/key?partNumber=1&uploadId={upload}").WithBody("x");
        var (sealedUpload, open) = (await BeginAsync(SseC), await BeginAsync(None));
        Assert.Equal((400, "InvalidRequest"), (await node.Raw.SendAsync(Part(sealedUpload))).Error);
        Assert.Equal((403, "AccessDenied"), (await node.Raw.SendAsync(WithKey(Part(sealedUpload), Customer, OtherKey))).Error);
        Assert.Equal((400, "InvalidRequest"), (await node.Raw.SendAsync(WithKey(Part(open), Customer, Key))).Error);
        Assert.Equal(200, (await node.Raw.SendAsync(WithKey(Part(sealedUpload), Customer, Key))).Status);
    }

    [Fact]
    public async Task An_answer_to_a_wrong_signature_does_not_repeat_the_customers_key()
    {
        var bucket = await S3.NewBucketAsync();
        var answer = await node.Raw.As(node.Node.Settings.AccessKey, "not-the-secret").SendAsync(With(SseC, new RawRequest("PUT", $"/{bucket}/key").WithBody("x")));
        Assert.Equal((403, "SignatureDoesNotMatch"), answer.Error);
        Assert.Contains(Customer + "key:", answer.Text, StringComparison.Ordinal);
        Assert.DoesNotContain(Convert.ToBase64String(Key), answer.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_bucket_seals_by_its_default_what_its_writers_do_not_name()
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal((404, "ServerSideEncryptionConfigurationNotFoundError"), (await node.Raw.GetAsync($"/{bucket}?encryption")).Error);
        await S3.PutBucketEncryptionAsync(new()
        {
            BucketName = bucket,
            ServerSideEncryptionConfiguration = new()
            {
                ServerSideEncryptionRules = [new() { BucketKeyEnabled = true, ServerSideEncryptionByDefault = new() { ServerSideEncryptionAlgorithm = ServerSideEncryptionMethod.AWSKMS, ServerSideEncryptionKeyManagementServiceKeyId = "aws/s3" } }],
            },
        });
        var rule = Assert.Single((await S3.GetBucketEncryptionAsync(new() { BucketName = bucket })).ServerSideEncryptionConfiguration.ServerSideEncryptionRules);
        Assert.Equal((ServerSideEncryptionMethod.AWSKMS, "aws/s3", true),
            (rule.ServerSideEncryptionByDefault.ServerSideEncryptionAlgorithm, rule.ServerSideEncryptionByDefault.ServerSideEncryptionKeyManagementServiceKeyId, rule.BucketKeyEnabled));

        var put = await S3.PutTextAsync(bucket, "default", "x");
        Assert.Equal((ServerSideEncryptionMethod.AWSKMS, "aws/s3", true), (put.ServerSideEncryptionMethod, put.ServerSideEncryptionKeyManagementServiceKeyId, put.BucketKeyEnabled));
        var named = await S3.PutObjectAsync(new() { BucketName = bucket, Key = "named", ContentBody = "x", ServerSideEncryptionMethod = ServerSideEncryptionMethod.AES256 });
        Assert.Equal(ServerSideEncryptionMethod.AES256, named.ServerSideEncryptionMethod);
        AssertSays(SseC, await node.Raw.SendAsync(With(SseC, new RawRequest("PUT", $"/{bucket}/customer").WithBody("x"))));
        Assert.Equal(ServerSideEncryptionMethod.AWSKMS, (await S3.CopyObjectAsync(bucket, "named", bucket, "copy")).ServerSideEncryptionMethod);
        Assert.Equal(ServerSideEncryptionMethod.AWSKMS, (await S3.InitiateMultipartUploadAsync(bucket, "upload")).ServerSideEncryptionMethod);

        await S3.DeleteBucketEncryptionAsync(new() { BucketName = bucket });
        AssertSays(None, await node.Raw.PutAsync($"/{bucket}/open", "x"));
        Assert.Equal("x", await S3.GetTextAsync(bucket, "default"));
    }

    [Theory]
    [InlineData("<Rule/>", "MalformedXML")]
    [InlineData("<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>rot13</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>", "MalformedXML")]
    [InlineData("<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule>", "InvalidArgument")]
    [InlineData("<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms:dsse</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>", "NotImplemented")]
    [InlineData("<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>a b</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule>", "MalformedXML")]
    public async Task A_default_that_cannot_be_is_refused(string rule, string code)
    {
        var bucket = await S3.NewBucketAsync();
        var answer = await node.Raw.PutAsync($"/{bucket}?encryption", $"<ServerSideEncryptionConfiguration>{rule}</ServerSideEncryptionConfiguration>");
        Assert.Equal(code, answer.Code);
        Assert.Equal(404, (await node.Raw.GetAsync($"/{bucket}?encryption")).Status);
    }

    [Fact]
    public async Task The_AWS_CLI_seals_and_opens_with_each_mode_and_sets_a_default()
    {
        var bucket = await S3.NewBucketAsync();
        var aws = new AwsCli(node.Node);
        var folder = Directory.CreateTempSubdirectory("darkstorage-cli-").FullName;
        try
        {
            var (from, to, key) = (Path.Combine(folder, "from"), Path.Combine(folder, "to"), Path.Combine(folder, "key"));
            await File.WriteAllBytesAsync(from, S3Clients.Content(100_000));
            await File.WriteAllBytesAsync(key, Key);
            await aws.S3ApiAsync("put-bucket-encryption", "--bucket", bucket, "--server-side-encryption-configuration",
                """{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}""");
            Assert.Equal("AES256", (string?)(await aws.S3ApiAsync("put-object", "--bucket", bucket, "--key", "default", "--body", from))["ServerSideEncryption"]);
            Assert.Equal("aws:kms", (string?)(await aws.S3ApiAsync("put-object", "--bucket", bucket, "--key", "kms", "--body", from, "--server-side-encryption", "aws:kms"))["ServerSideEncryption"]);
            string[] customer = ["--sse-customer-algorithm", "AES256", "--sse-customer-key", $"fileb://{key}"];
            Assert.Equal("AES256", (string?)(await aws.S3ApiAsync(["put-object", "--bucket", bucket, "--key", "customer", "--body", from, .. customer]))["SSECustomerAlgorithm"]);
            foreach (var name in (string[])["default", "kms", "customer"])
            {
                await aws.S3ApiAsync(["get-object", "--bucket", bucket, "--key", name, .. name == "customer" ? customer : [], to]);
                Assert.True(S3Clients.Content(100_000).Same(await File.ReadAllBytesAsync(to)), name);
            }
            await Assert.ThrowsAsync<AwsCliException>(() => aws.S3ApiAsync("get-object", "--bucket", bucket, "--key", "customer", to));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Trait("index", "sqlite")]
    [Fact]
    public async Task Sealed_content_and_customers_keys_are_nowhere_on_the_drive_or_in_the_log_and_survive_restarts_and_a_new_master_key()
    {
        await using var own = await NodeProcess.StartAsync(new() { Flags = ["--log-level", "Debug"] });
        using var s3 = own.S3();
        var bucket = await s3.NewBucketAsync();
        var marker = "PLAINTEXT-MARKER-" + new string('m', 200);
        var small = Encoding.ASCII.GetBytes(marker);
        var large = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat(marker, 50_000)));
        var raw = own.Raw();
        foreach (var mode in Modes.Skip(1))
        {
            Assert.Equal(200, (await raw.SendAsync(With(mode, new RawRequest("PUT", $"/{bucket}/small-{mode}").WithBody(small)))).Status);
            Assert.Equal(200, (await raw.SendAsync(With(mode, new RawRequest("PUT", $"/{bucket}/large-{mode}").WithBody(large)))).Status);
        }
        var upload = (await raw.SendAsync(With(SseC, new("POST", $"/{bucket}/upload?uploads")))).Element("UploadId");
        await AssertReadsAsync();

        Assert.Equal(0, await own.TerminateAsync());
        AssertNowhere(own.DataDirectory, small.AsSpan(0, 40).ToArray());
        foreach (var secret in (byte[][])[Key, Encoding.ASCII.GetBytes(Convert.ToBase64String(Key)), MD5.HashData(Key), Encoding.ASCII.GetBytes(Convert.ToBase64String(MD5.HashData(Key)))])
            AssertNowhere(own.DataDirectory, secret);
        Assert.DoesNotContain(Convert.ToBase64String(Key), own.Output, StringComparison.Ordinal);

        var rotated = await NodeProcess.RunAsync(["rotate-master-key", "--data", own.DataDirectory]);
        Assert.Equal(0, rotated.ExitCode);
        await own.RestartAsync();
        await AssertReadsAsync();
        Assert.Equal(200, (await raw.SendAsync(With(SseC, new RawRequest("PUT", $"/{bucket}/upload?partNumber=1&uploadId={upload}").WithBody(small)))).Status);
        await own.RestartAsync(); // this time by kill -9
        await AssertReadsAsync();

        // That the search can find something: the same content, not sealed.
        await raw.PutAsync($"/{bucket}/open", small);
        await own.TerminateAsync();
        Assert.ThrowsAny<Xunit.Sdk.XunitException>(() => AssertNowhere(own.DataDirectory, small.AsSpan(0, 40).ToArray()));

        async Task AssertReadsAsync()
        {
            foreach (var mode in Modes.Skip(1))
            {
                Assert.True(small.Same((await raw.SendAsync(ForRead(mode, new("GET", $"/{bucket}/small-{mode}")))).Body), mode);
                Assert.True(large.Same((await raw.SendAsync(ForRead(mode, new("GET", $"/{bucket}/large-{mode}")))).Body), mode);
            }
        }
    }

    private static void AssertNowhere(string folder, byte[] bytes)
    {
        var files = Directory.GetFiles(folder, "*", SearchOption.AllDirectories);
        Assert.Contains(files, f => f.EndsWith(".pack", StringComparison.Ordinal));
        Assert.Contains(files, f => Path.GetFileName(f) == "index.db");
        foreach (var file in files)
        {
            using var stream = File.OpenRead(file);
            var buffer = new byte[4 << 20];
            var kept = 0;
            while (stream.Read(buffer, kept, buffer.Length - kept) is > 0 and var read)
            {
                Assert.True(buffer.AsSpan(0, kept + read).IndexOf(bytes) < 0, $"{Path.GetFileName(file)} holds it.");
                var filled = kept + read;
                kept = Math.Min(bytes.Length, filled);
                buffer.AsSpan(filled - kept, kept).CopyTo(buffer);
            }
        }
    }

    private static RawRequest With(string mode, RawRequest request) => mode switch
    {
        None => request,
        SseC => WithKey(request, Customer, Key),
        _ => request.With(Header, mode),
    };

    /// <summary>For reads and parts: only a customer's key has to come again.</summary>
    private static RawRequest ForRead(string mode, RawRequest request) => mode == SseC ? WithKey(request, Customer, Key) : request;

    private static RawRequest WithKey(RawRequest request, string prefix, byte[] key) => request
        .With(prefix + "algorithm", "AES256")
        .With(prefix + "key", Convert.ToBase64String(key))
        .With(prefix + "key-MD5", Convert.ToBase64String(MD5.HashData(key)));

    private static void AssertSays(string mode, RawAnswer answer, byte[]? key = null)
    {
        Assert.Equal(mode is S3Mode or Kms ? mode : null, answer.Header(Header));
        Assert.Equal(mode == Kms ? "aws/s3" : null, answer.Header(Header + "-aws-kms-key-id"));
        Assert.Equal(mode == SseC ? ("AES256", Convert.ToBase64String(MD5.HashData(key ?? Key))) : (null, null), (answer.Header(Customer + "algorithm"), answer.Header(Customer + "key-MD5")));
        Assert.Null(answer.Header(Customer + "key"));
    }
}
