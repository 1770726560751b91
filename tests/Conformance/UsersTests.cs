using System.Net.Http.Json;
using System.Text.Json;

namespace DarkStorage.Conformance;

/// <summary>Users, made and unmade over the management port.</summary>
public sealed class UsersTests(NodeFixture fixture)
{
    private const string ReadHome = """{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::home/*"}]}""";

    private NodeProcess Node => fixture.Node;

    [Fact]
    public async Task A_user_is_made_with_given_keys_and_told_of_without_the_secret()
    {
        var name = NewName();
        using var made = await Node.AdminAsync(HttpMethod.Post, "v1/users", new { name, accessKey = name + "-key", secretKey = "given-secret-0123", policies = new[] { "readonly" } });
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        var user = await made.Content.ReadFromJsonAsync<JsonElement>();
        Assert.Equal((name, name + "-key", "given-secret-0123"), (user.GetProperty("name").GetString(), user.GetProperty("accessKey").GetString(), user.GetProperty("secretKey").GetString()));

        using var answer = await Node.AdminAsync(HttpMethod.Get, $"v1/users/{name}");
        var text = await answer.Content.ReadAsStringAsync();
        Assert.DoesNotContain("given-secret-0123", text, StringComparison.Ordinal);
        var got = JsonSerializer.Deserialize<JsonElement>(text);
        Assert.Equal([name + "-key"], got.GetProperty("accessKeys").EnumerateArray().Select(k => k.GetString()));
        Assert.Equal(["readonly"], got.GetProperty("policies").EnumerateArray().Select(p => p.GetProperty("name").GetString()));
    }

    [Fact]
    public async Task Policies_that_are_replaced_bind_the_user()
    {
        var user = await Node.NewUserAsync(null, "readonly");
        using var changed = await Node.AdminAsync(HttpMethod.Put, $"v1/users/{user.Name}/policies", $$"""{"policies":["readwrite",{"name":"of-home","document":{{ReadHome}}}]}""");
        Assert.Equal(HttpStatusCode.OK, changed.StatusCode);
        using var s3 = Node.S3(user);
        var bucket = await s3.NewBucketAsync();
        await s3.PutTextAsync(bucket, "key", "x");
        using var got = await Node.AdminAsync(HttpMethod.Get, $"v1/users/{user.Name}");
        Assert.Equal(["readwrite", "of-home"], (await got.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("policies").EnumerateArray().Select(p => p.GetProperty("name").GetString()));
    }

    [Fact]
    public async Task A_user_that_is_deleted_is_gone_with_all_keys()
    {
        var user = await Node.NewUserAsync();
        using var deleted = await Node.AdminAsync(HttpMethod.Delete, $"v1/users/{user.Name}");
        Assert.Equal(HttpStatusCode.OK, deleted.StatusCode);
        Assert.Equal((403, "InvalidAccessKeyId"), (await Node.Raw(user).GetAsync("/")).Error);
        foreach (var (method, path, body) in ((HttpMethod, string, object?)[])
            [(HttpMethod.Get, "", null), (HttpMethod.Put, "/policies", new { policies = new[] { "readonly" } }), (HttpMethod.Delete, "", null)])
        {
            using var answer = await Node.AdminAsync(method, $"v1/users/{user.Name}{path}", body);
            Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        }
    }

    [Fact]
    public async Task A_key_made_for_a_user_has_the_users_policies_and_goes_with_the_user()
    {
        var user = await Node.NewUserAsync(null, "readonly");
        using var made = await Node.AdminAsync(HttpMethod.Post, "v1/access-keys", new { account = user.Name });
        var key = await made.Content.ReadFromJsonAsync<JsonElement>();
        var second = new TestUser(user.Name, key.GetProperty("accessKey").GetString()!, key.GetProperty("secretKey").GetString()!);
        Assert.Equal((403, "AccessDenied"), (await Node.Raw(second).PutAsync($"/{S3Clients.NewBucketName()}", "")).Error);
        using var third = await Node.AdminAsync(HttpMethod.Post, "v1/access-keys", new { account = user.Name });
        var unused = await third.Content.ReadFromJsonAsync<JsonElement>();
        using var deleted = await Node.AdminAsync(HttpMethod.Delete, $"v1/users/{user.Name}");
        Assert.Equal(HttpStatusCode.OK, deleted.StatusCode);
        // Were it to outlive the user, it would act without the policies that bound it.
        Assert.Equal((403, "InvalidAccessKeyId"), (await Node.Raw().As(unused.GetProperty("accessKey").GetString()!, unused.GetProperty("secretKey").GetString()!).GetAsync("/")).Error);
    }

    [Fact]
    public async Task An_administrator_makes_users_and_nobody_else_does()
    {
        var administrator = await Node.NewUserAsync(null, "administrator");
        using var made = await Node.AdminAsync(HttpMethod.Post, "v1/users", new { name = NewName() }, administrator);
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        foreach (var user in (TestUser[])
            [await Node.NewUserAsync(), await Node.NewUserAsync(null, "readwrite"), administrator with { SecretKey = administrator.SecretKey + "x" }])
        {
            foreach (var (method, path) in ((HttpMethod, string)[])
                [(HttpMethod.Post, ""), (HttpMethod.Get, "/" + user.Name), (HttpMethod.Put, $"/{user.Name}/policies"), (HttpMethod.Delete, "/" + administrator.Name)])
            {
                using var answer = await Node.AdminAsync(method, "v1/users" + path, new { name = NewName(), policies = new[] { "administrator" } }, user);
                Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
            }
        }
        // The name of the policy is the right: nobody may take it for a document of their own.
        using var forged = await Node.AdminAsync(HttpMethod.Post, "v1/users", $$"""{"name":"{{NewName()}}","policies":[{"name":"administrator","document":{{ReadHome}}}]}""");
        Assert.Equal(HttpStatusCode.BadRequest, forged.StatusCode);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("""{"name":"ab"}""")]
    [InlineData("""{"name":"a/b/c"}""")]
    [InlineData("""{"name":"root"}""")]
    [InlineData("""{"name":"NAME","accessKey":"a b c"}""")]
    [InlineData("""{"name":"NAME","secretKey":"short"}""")]
    [InlineData("""{"name":"NAME","policies":"readonly"}""")]
    [InlineData("""{"name":"NAME","policies":[1]}""")]
    [InlineData("""{"name":"NAME","policies":["unknown"]}""")]
    [InlineData("""{"name":"NAME","policies":["readonly","readonly"]}""")]
    [InlineData("""{"name":"NAME","policies":[{}]}""")]
    [InlineData("""{"name":"NAME","policies":[{"name":"some","document":{"Statement":[{"Effect":"Perhaps","Action":"s3:GetObject","Resource":"*"}]}}]}""")]
    [InlineData("""{"name":"NAME","policies":[{"name":"some","document":"not json"}]}""")]
    public async Task What_is_not_a_user_is_400_with_a_reason_and_makes_none(string body)
    {
        var name = NewName();
        using var answer = await Node.AdminAsync(HttpMethod.Post, "v1/users", body.Replace("NAME", name, StringComparison.Ordinal));
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.False(string.IsNullOrEmpty((await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("error").GetString()));
        using var got = await Node.AdminAsync(HttpMethod.Get, $"v1/users/{name}");
        Assert.Equal(HttpStatusCode.NotFound, got.StatusCode);
    }

    [Fact]
    public async Task A_name_or_key_that_is_taken_is_409_and_changes_nothing()
    {
        var (user, other) = (await Node.NewUserAsync(), NewName());
        foreach (var body in (object[])
            [new { name = user.Name }, new { name = other, accessKey = user.AccessKey }, new { name = other, accessKey = Node.Settings.AccessKey }])
        {
            using var answer = await Node.AdminAsync(HttpMethod.Post, "v1/users", body);
            Assert.Equal(HttpStatusCode.Conflict, answer.StatusCode);
        }
        Assert.Equal(200, (await Node.Raw(user).GetAsync("/")).Status);
        using var got = await Node.AdminAsync(HttpMethod.Get, $"v1/users/{other}");
        Assert.Equal(HttpStatusCode.NotFound, got.StatusCode);
    }

    [Fact]
    public async Task Users_and_their_policies_outlive_the_node()
    {
        await using var node = await NodeProcess.StartAsync();
        var (reader, owner) = (await node.NewUserAsync(null, "readonly"), await node.NewUserAsync());
        string bucket;
        using (var s3 = node.S3(owner))
        {
            bucket = await s3.NewBucketAsync();
            await s3.PutTextAsync(bucket, "key", "x");
        }
        await node.RestartAsync();
        Assert.Equal("x", (await node.Raw(reader).GetAsync($"/{bucket}/key")).Text);
        Assert.Equal((403, "AccessDenied"), (await node.Raw(reader).PutAsync($"/{bucket}/key", "y")).Error);
        Assert.Equal(200, (await node.Raw(owner).PutAsync($"/{bucket}/key", "y")).Status);
    }

    private static string NewName() => "user-" + Guid.NewGuid().ToString("N")[..12];
}
