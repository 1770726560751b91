using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;

namespace DarkStorage.Conformance;

/// <summary>Access keys besides root's, made over the management port.</summary>
public sealed class AccessKeyTests(NodeFixture fixture)
{
    private const string Api = "v1/access-keys";
    private static readonly HttpClient Http = new();

    [Fact]
    public async Task A_key_with_made_credentials_signs_requests()
    {
        var node = fixture.Node;
        var key = await CreateAsync(node, new { account = NewName("account") });
        Assert.InRange(key.AccessKey.Length, 16, 128);
        Assert.InRange(key.SecretKey.Length, 30, 128);
        using var s3 = node.S3(accessKey: key.AccessKey, secretKey: key.SecretKey);
        var bucket = await s3.NewBucketAsync();
        await s3.PutTextAsync(bucket, "key", "content");
        Assert.Equal("content", await s3.GetTextAsync(bucket, "key"));
        var other = await CreateAsync(node, new { account = key.Account });
        Assert.NotEqual((key.AccessKey, key.SecretKey), (other.AccessKey, other.SecretKey));
    }

    [Fact]
    public async Task A_key_with_given_credentials_is_taken_as_it_is()
    {
        var node = fixture.Node;
        var (id, secret, account) = (NewName("key"), "given-secret-0123456789+/=", NewName("account"));
        var key = await CreateAsync(node, new { account, accessKey = id, secretKey = secret });
        Assert.Equal((id, secret, account), (key.AccessKey, key.SecretKey, key.Account));
        using var s3 = node.S3(accessKey: id, secretKey: secret);
        await s3.NewBucketAsync();
        using var wrong = node.S3(accessKey: id, secretKey: secret + "x");
        await Refused.WithAsync("SignatureDoesNotMatch", HttpStatusCode.Forbidden, () => wrong.ListBucketsAsync());
    }

    [Fact]
    public async Task Two_accounts_see_their_own_buckets_and_are_denied_the_others_and_root_sees_all()
    {
        var node = fixture.Node;
        var (one, two) = (await CreateAsync(node, new { account = NewName("account") }), await CreateAsync(node, new { account = NewName("account") }));
        using var s3One = node.S3(accessKey: one.AccessKey, secretKey: one.SecretKey);
        using var s3Two = node.S3(accessKey: two.AccessKey, secretKey: two.SecretKey);
        var (bucketOne, bucketTwo) = (await s3One.NewBucketAsync(), await s3Two.NewBucketAsync());
        await s3One.PutTextAsync(bucketOne, "key", "of one");
        await s3Two.PutTextAsync(bucketTwo, "key", "of two");
        Assert.Equal([bucketOne], (await s3One.ListBucketsAsync()).Buckets.Select(b => b.BucketName));
        Assert.Equal([bucketTwo], (await s3Two.ListBucketsAsync()).Buckets.Select(b => b.BucketName));

        var upload = (await s3One.InitiateMultipartUploadAsync(bucketOne, "upload")).UploadId;
        foreach (var call in (Func<Task>[])
        [
            () => s3Two.GetObjectAsync(bucketOne, "key"),
            () => s3Two.GetObjectAsync(bucketOne, "none"), // not a word on what is there and what is not
            () => s3Two.PutTextAsync(bucketOne, "key", "stolen"),
            () => s3Two.DeleteObjectAsync(bucketOne, "key"),
            () => s3Two.ListObjectsV2Async(new() { BucketName = bucketOne }),
            () => s3Two.ListMultipartUploadsAsync(bucketOne),
            () => s3Two.InitiateMultipartUploadAsync(bucketOne, "key"),
            () => s3Two.UploadPartAsync(new() { BucketName = bucketOne, Key = "upload", UploadId = upload, PartNumber = 1, InputStream = new MemoryStream([1]) }),
            () => s3Two.ListPartsAsync(bucketOne, "upload", upload),
            () => s3Two.AbortMultipartUploadAsync(bucketOne, "upload", upload),
            () => s3Two.CompleteMultipartUploadAsync(new() { BucketName = bucketOne, Key = "upload", UploadId = upload, PartETags = [new(1, "\"00000000000000000000000000000000\"")] }),
            () => s3Two.CopyObjectAsync(bucketOne, "key", bucketTwo, "copy"),
            () => s3Two.CopyObjectAsync(bucketTwo, "key", bucketOne, "copy"),
            () => s3Two.GetBucketLocationAsync(bucketOne),
            () => s3Two.DeleteBucketAsync(bucketOne),
        ]) await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, call);
        var many = await Assert.ThrowsAsync<DeleteObjectsException>(() => s3Two.DeleteObjectsAsync(new() { BucketName = bucketOne, Objects = [new() { Key = "key" }] }));
        Assert.Equal([("key", "AccessDenied")], many.Response.DeleteErrors.Select(e => (e.Key, e.Code)));
        Assert.Equal(403, (await node.Raw().As(two.AccessKey, two.SecretKey).HeadAsync($"/{bucketOne}")).Status);
        Assert.Equal(403, (await node.Raw().As(two.AccessKey, two.SecretKey).HeadAsync($"/{bucketOne}/key")).Status);

        await Refused.WithAsync("BucketAlreadyExists", HttpStatusCode.Conflict, () => s3Two.PutBucketAsync(bucketOne));
        Assert.Equal("of one", await s3One.GetTextAsync(bucketOne, "key"));
        Assert.Equal(["key"], (await s3One.ListObjectsV2Async(new() { BucketName = bucketOne })).S3Objects.Select(o => o.Key));

        Assert.Equal("of one", await fixture.Client.GetTextAsync(bucketOne, "key"));
        var all = (await fixture.Client.ListBucketsAsync()).Buckets.Select(b => b.BucketName).ToList();
        Assert.Contains(bucketOne, all);
        Assert.Contains(bucketTwo, all);
    }

    [Fact]
    public async Task Two_keys_of_an_account_share_its_buckets()
    {
        var node = fixture.Node;
        var account = NewName("account");
        var (one, two) = (await CreateAsync(node, new { account }), await CreateAsync(node, new { account }));
        using var s3One = node.S3(accessKey: one.AccessKey, secretKey: one.SecretKey);
        using var s3Two = node.S3(accessKey: two.AccessKey, secretKey: two.SecretKey);
        var bucket = await s3One.NewBucketAsync();
        await s3Two.PutTextAsync(bucket, "key", "shared");
        Assert.Equal("shared", await s3One.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_key_that_is_disabled_stops_working_and_works_again_once_it_is_enabled()
    {
        var node = fixture.Node;
        var key = await CreateAsync(node, new { account = NewName("account") });
        var raw = node.Raw().As(key.AccessKey, key.SecretKey);
        Assert.Equal(200, (await raw.GetAsync("/")).Status);
        await SendAsync(node, HttpMethod.Put, $"{Api}/{key.AccessKey}", new { enabled = false }, HttpStatusCode.OK);
        Assert.Equal((403, "InvalidAccessKeyId"), (await raw.GetAsync("/")).Error);
        await SendAsync(node, HttpMethod.Put, $"{Api}/{key.AccessKey}", new { enabled = true }, HttpStatusCode.OK);
        Assert.Equal((200, ""), (await raw.GetAsync("/")).Error);
    }

    [Fact]
    public async Task A_key_that_is_deleted_stops_working_and_its_name_can_be_given_anew()
    {
        var node = fixture.Node;
        var key = await CreateAsync(node, new { account = NewName("account") });
        var raw = node.Raw().As(key.AccessKey, key.SecretKey);
        Assert.Equal(200, (await raw.GetAsync("/")).Status);
        await SendAsync(node, HttpMethod.Delete, $"{Api}/{key.AccessKey}", null, HttpStatusCode.OK);
        Assert.Equal((403, "InvalidAccessKeyId"), (await raw.GetAsync("/")).Error);
        await SendAsync(node, HttpMethod.Put, $"{Api}/{key.AccessKey}", new { enabled = true }, HttpStatusCode.NotFound);

        var again = await CreateAsync(node, new { account = NewName("account"), accessKey = key.AccessKey });
        Assert.Equal((200, ""), (await node.Raw().As(again.AccessKey, again.SecretKey).GetAsync("/")).Error);
        Assert.Equal((403, "SignatureDoesNotMatch"), (await raw.GetAsync("/")).Error);
    }

    [Fact]
    public async Task Wrong_credentials_are_401_whatever_is_asked()
    {
        var node = fixture.Node;
        var (id, secret) = (node.Settings.AccessKey, node.Settings.SecretKey);
        foreach (var credentials in (string?[])[null, $"{id}:", $"{id}:{secret}x", $"{id}x:{secret}", $":{secret}", "", $"{id}:{secret[..^1]}"])
        {
            foreach (var method in (HttpMethod[])[HttpMethod.Post, HttpMethod.Put, HttpMethod.Delete, HttpMethod.Get])
            {
                using var answer = await SendAsync(node, method, $"{Api}/some", new { account = "somebody" }, credentials);
                Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
            }
        }
        using var garbled = new HttpRequestMessage(HttpMethod.Post, new Uri(node.ManagementUrl, Api)) { Content = JsonContent.Create(new { account = "somebody" }) };
        garbled.Headers.TryAddWithoutValidation("Authorization", "Basic !!!not-base64!!!");
        Assert.Equal(HttpStatusCode.Unauthorized, (await Http.SendAsync(garbled)).StatusCode);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("\"account\"")]
    [InlineData("{}")]
    [InlineData("{\"account\":1}")]
    [InlineData("{\"account\":\"\"}")]
    [InlineData("{\"account\":\"a/b\"}")]
    [InlineData("{\"account\":\"abc\",\"accessKey\":\"ab\"}")]
    [InlineData("{\"account\":\"abc\",\"accessKey\":\"with space\"}")]
    [InlineData("{\"account\":\"abc\",\"secretKey\":\"short\"}")]
    public async Task What_is_not_the_wanted_JSON_is_400_with_a_reason(string body)
    {
        using var content = new StringContent(body, Encoding.UTF8, "application/json");
        using var answer = await SendContentAsync(fixture.Node, HttpMethod.Post, Api, content, Root(fixture.Node));
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.False(string.IsNullOrEmpty((await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("error").GetString()));
    }

    [Fact]
    public async Task A_body_without_end_is_not_read()
    {
        using var content = new StringContent($"{{\"account\":\"{new string('a', 1 << 20)}\"}}", Encoding.UTF8, "application/json");
        using var answer = await SendContentAsync(fixture.Node, HttpMethod.Post, Api, content, Root(fixture.Node));
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
    }

    [Fact]
    public async Task A_name_that_is_taken_is_409_and_the_key_stays_as_it_was()
    {
        var node = fixture.Node;
        var key = await CreateAsync(node, new { account = NewName("account") });
        await SendAsync(node, HttpMethod.Post, Api, new { account = "thief", accessKey = key.AccessKey, secretKey = "another-secret" }, HttpStatusCode.Conflict);
        await SendAsync(node, HttpMethod.Post, Api, new { account = "thief", accessKey = node.Settings.AccessKey, secretKey = "another-secret" }, HttpStatusCode.Conflict);
        Assert.Equal(200, (await node.Raw().As(key.AccessKey, key.SecretKey).GetAsync("/")).Status);
        Assert.Equal(200, (await node.Raw().GetAsync("/")).Status);
    }

    [Fact]
    public async Task A_further_key_of_roots_account_owns_what_root_made_and_is_not_root()
    {
        var node = fixture.Node;
        var (root, other) = (await CreateAsync(node, new { account = "root" }), await CreateAsync(node, new { account = NewName("account") }));
        using var s3Other = node.S3(accessKey: other.AccessKey, secretKey: other.SecretKey);
        var (ofRoot, ofOther) = (await fixture.Client.NewBucketAsync(), await s3Other.NewBucketAsync());
        var raw = node.Raw().As(root.AccessKey, root.SecretKey);
        Assert.Equal(200, (await raw.GetAsync($"/{ofRoot}")).Status);
        Assert.Equal((403, "AccessDenied"), (await raw.GetAsync($"/{ofOther}")).Error);
        using var answer = await SendAsync(node, HttpMethod.Post, Api, new { account = NewName("account") }, $"{root.AccessKey}:{root.SecretKey}");
        Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
    }

    [Trait("index", "sqlite")]
    [Fact]
    public async Task Keys_survive_a_restart_and_a_kill_and_their_secrets_are_nowhere_in_clear()
    {
        await using var node = await NodeProcess.StartAsync(new() { Flags = ["--log-level", "Trace"] });
        var (made, given) = (await CreateAsync(node, new { account = "made" }), await CreateAsync(node, new { account = "given", accessKey = "given-key", secretKey = "given-secret-to-look-for-0123" }));
        var disabled = await CreateAsync(node, new { account = "disabled" });
        await SendAsync(node, HttpMethod.Put, $"{Api}/{disabled.AccessKey}", new { enabled = false }, HttpStatusCode.OK);
        using (var s3 = node.S3(accessKey: given.AccessKey, secretKey: given.SecretKey))
        {
            var bucket = await s3.NewBucketAsync();
            await s3.PutTextAsync(bucket, "key", "content");
            await Http.GetAsync(s3.GetPreSignedURL(new() { BucketName = bucket, Key = "key", Expires = DateTime.UtcNow.AddMinutes(1), Protocol = Protocol.HTTP }));
        }
        // Looked at while it runs, so that the index's log is among the files, and after a clean end.
        AssertNowhere(node, made, given, disabled);
        await node.KillAsync();
        await node.RestartAsync();
        await AssertWorkAsync();
        Assert.Equal(0, await node.TerminateAsync());
        AssertNowhere(node, made, given, disabled);
        await node.RestartAsync();
        await AssertWorkAsync();

        async Task AssertWorkAsync()
        {
            foreach (var key in (Key[])[made, given]) Assert.Equal(200, (await node.Raw().As(key.AccessKey, key.SecretKey).GetAsync("/")).Status);
            Assert.Equal((403, "InvalidAccessKeyId"), (await node.Raw().As(disabled.AccessKey, disabled.SecretKey).GetAsync("/")).Error);
        }
    }

    /// <summary>In no form that a reader of the disk or of the logs would recognise.</summary>
    private static void AssertNowhere(NodeProcess node, params Key[] keys)
    {
        var secrets = keys.Select(k => k.SecretKey).Append(node.Settings.SecretKey).ToArray();
        var found = 0;
        foreach (var path in Directory.EnumerateFiles(node.DataDirectory, "*", SearchOption.AllDirectories))
        {
            if (Path.GetFileName(path) is "lock" or "keyring.lock") continue; // empty, and held by the node
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            if (file.Length > 64 << 20) continue; // a preallocated pack: nothing that small goes there
            var bytes = new byte[file.Length];
            file.ReadExactly(bytes);
            foreach (var secret in secrets)
            {
                foreach (var form in (byte[][])[Encoding.UTF8.GetBytes(secret), Encoding.Unicode.GetBytes(secret), Encoding.UTF8.GetBytes(Convert.ToBase64String(Encoding.UTF8.GetBytes(secret)))])
                    Assert.True(bytes.AsSpan().IndexOf(form) < 0, $"A secret is in {path}.");
            }
            if (keys.Any(k => bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(k.AccessKey)) >= 0)) found++;
        }
        Assert.True(found > 0, "The keys' ids are in no file: the search looks in the wrong place.");
        Assert.NotEmpty(node.Output);
        foreach (var secret in secrets)
        {
            Assert.DoesNotContain(secret, node.Output, StringComparison.Ordinal);
            Assert.DoesNotContain(Convert.ToBase64String(Encoding.UTF8.GetBytes(secret)), node.Output, StringComparison.Ordinal);
        }
        Assert.DoesNotContain("X-Amz-Signature=", node.Output, StringComparison.OrdinalIgnoreCase);
    }
    private static string NewName(string prefix) => $"{prefix}-{Guid.NewGuid().ToString("N")[..10]}";

    private static string Root(NodeProcess node) => $"{node.Settings.AccessKey}:{node.Settings.SecretKey}";

    private static async Task<Key> CreateAsync(NodeProcess node, object wanted)
    {
        using var answer = await SendAsync(node, HttpMethod.Post, Api, wanted, Root(node));
        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
        return (await answer.Content.ReadFromJsonAsync<Key>())!;
    }

    private static async Task SendAsync(NodeProcess node, HttpMethod method, string path, object? body, HttpStatusCode wanted)
    {
        using var answer = await SendAsync(node, method, path, body, Root(node));
        Assert.True(wanted == answer.StatusCode, $"{method} {path}: {answer.StatusCode} {await answer.Content.ReadAsStringAsync()}");
    }

    private static Task<HttpResponseMessage> SendAsync(NodeProcess node, HttpMethod method, string path, object? body, string? credentials) =>
        // Serialized beforehand: what goes out in HTTP's chunks has no length, which the API wants to see.
        SendContentAsync(node, method, path, body is null ? null : new StringContent(JsonSerializer.Serialize(body), Encoding.UTF8, "application/json"), credentials);

    private static async Task<HttpResponseMessage> SendContentAsync(NodeProcess node, HttpMethod method, string path, HttpContent? content, string? credentials)
    {
        using var request = new HttpRequestMessage(method, new Uri(node.ManagementUrl, path)) { Content = content };
        if (credentials is not null) request.Headers.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(credentials)));
        return await Http.SendAsync(request);
    }

    private sealed record Key(string AccessKey, string SecretKey, string Account);
}
