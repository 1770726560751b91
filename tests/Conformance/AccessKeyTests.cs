using System.Net.Http.Headers;
using System.Text.Json;

namespace DarkStorage.Conformance;

/// <summary>More people than root: keys that root hands out, and what they may.</summary>
public sealed class AccessKeyTests(NodeFixture node) : IDisposable
{
    private readonly HttpClient _management = new()
    {
        BaseAddress = node.Node.ManagementUrl,
        DefaultRequestHeaders = { Authorization = Basic(node.Node.Settings.AccessKey, node.Node.Settings.SecretKey) },
    };

    public void Dispose() => _management.Dispose();

    [Fact]
    public async Task A_key_sees_the_buckets_of_its_account_and_no_others_and_root_sees_all()
    {
        using var alice = await NewUserAsync();
        using var bob = await NewUserAsync();
        var ofAlice = await alice.NewBucketAsync();
        await alice.PutTextAsync(ofAlice, "key", "alice's");
        var ofBob = await bob.NewBucketAsync();

        Assert.Equal([ofAlice], (await alice.ListBucketsAsync()).Buckets.Select(b => b.BucketName));
        Assert.Equal("alice's", await node.Client.GetTextAsync(ofAlice, "key"));
        foreach (var call in (Func<Task>[])
        [
            () => bob.GetObjectAsync(ofAlice, "key"), () => bob.PutTextAsync(ofAlice, "key", "bob's"), () => bob.DeleteObjectAsync(ofAlice, "key"),
            () => bob.ListObjectsV2Async(new() { BucketName = ofAlice }), () => bob.DeleteBucketAsync(ofAlice), () => bob.CopyObjectAsync(ofAlice, "key", ofBob, "stolen"),
            () => bob.InitiateMultipartUploadAsync(ofAlice, "key"), () => bob.ListMultipartUploadsAsync(ofAlice), () => alice.CopyObjectAsync(ofAlice, "key", ofBob, "planted"),
            () => bob.DeleteObjectsAsync(new() { BucketName = ofAlice, Objects = [new() { Key = "key" }] }),
        ])
            await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, call);
        await Refused.WithAsync("BucketAlreadyExists", HttpStatusCode.Conflict, () => bob.PutBucketAsync(ofAlice));
        Assert.Equal("alice's", await alice.GetTextAsync(ofAlice, "key"));
        Assert.Empty((await bob.ListObjectsV2Async(new() { BucketName = ofBob })).S3Objects ?? []);
    }

    [Fact]
    public async Task Two_keys_of_one_account_see_the_same()
    {
        var account = $"account-{Guid.NewGuid():N}";
        using var first = await NewUserAsync(account);
        using var second = await NewUserAsync(account);
        var bucket = await first.NewBucketAsync();
        await first.PutTextAsync(bucket, "key", "content");
        Assert.Equal("content", await second.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_key_that_never_was_used_is_refused_once_it_is_deleted()
    {
        var (id, secret) = await NewKeyAsync($"account-{Guid.NewGuid():N}");
        using var deleted = await _management.DeleteAsync($"/v1/access-keys/{id}");
        Assert.Equal(HttpStatusCode.OK, deleted.StatusCode);
        Assert.Equal((403, "InvalidAccessKeyId"), (await node.Raw.As(id, secret).GetAsync("/")).Error);
    }

    [Fact]
    public async Task Nobody_but_root_makes_keys()
    {
        var (id, secret) = await NewKeyAsync($"account-{Guid.NewGuid():N}");
        foreach (var authorization in (AuthenticationHeaderValue?[])[null, Basic(id, secret), Basic(node.Node.Settings.AccessKey, "wrong-secret"), new("Basic", "not base64"), new("Bearer", "x")])
        {
            using var http = new HttpClient { BaseAddress = node.Node.ManagementUrl };
            http.DefaultRequestHeaders.Authorization = authorization;
            using var answer = await http.PostAsync("/v1/access-keys", Json("""{"account": "mallory"}"""));
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        }
    }

    [Theory]
    [InlineData("""{}""", 400)]
    [InlineData("""{"account": ""}""", 400)]
    [InlineData("""{"account": "no spaces"}""", 400)]
    [InlineData("""{"account": "alice", "secretKey": "short"}""", 400)]
    [InlineData("""{"account": "alice", "accessKey": "../x"}""", 400)]
    [InlineData("""{"account": 1}""", 400)]
    [InlineData("""not json""", 400)]
    [InlineData("""{"account": "alice", "accessKey": "testkit-root"}""", 409)]
    public async Task A_key_that_cannot_be_is_refused(string body, int status)
    {
        using var answer = await _management.PostAsync("/v1/access-keys", Json(body));
        Assert.Equal(status, (int)answer.StatusCode);
        Assert.NotEmpty(JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement.GetProperty("error").GetString()!);
    }

    private async Task<AmazonS3Client> NewUserAsync(string? account = null)
    {
        var (id, secret) = await NewKeyAsync(account ?? $"account-{Guid.NewGuid():N}");
        return node.Node.S3(accessKey: id, secretKey: secret);
    }

    private async Task<(string Id, string Secret)> NewKeyAsync(string account)
    {
        using var answer = await _management.PostAsync("/v1/access-keys", Json(JsonSerializer.Serialize(new { account })));
        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
        var key = JsonDocument.Parse(await answer.Content.ReadAsStringAsync()).RootElement;
        Assert.Equal(account, key.GetProperty("account").GetString());
        return (key.GetProperty("accessKey").GetString()!, key.GetProperty("secretKey").GetString()!);
    }

    private static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

    private static AuthenticationHeaderValue Basic(string user, string password) => new("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{user}:{password}")));
}
