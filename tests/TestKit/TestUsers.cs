using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Amazon.S3;

namespace DarkStorage.TestKit;

/// <summary>A user of a node, and one key pair of theirs.</summary>
public sealed record TestUser(string Name, string AccessKey, string SecretKey);

/// <summary>Makes users over a node's management port.</summary>
public static class TestUsers
{
    private static readonly HttpClient Http = new();

    /// <param name="name">Null for one that no other test has.</param>
    /// <param name="policies">Each the name of a canned policy, or a policy document. None makes a user who is master of their own buckets.</param>
    public static async Task<TestUser> NewUserAsync(this NodeProcess node, string? name = null, params string[] policies)
    {
        name ??= "user-" + Guid.NewGuid().ToString("N")[..12];
        using var answer = await node.AdminAsync(HttpMethod.Post, "v1/users", new { name, policies = policies.Select(Policy) });
        if (!answer.IsSuccessStatusCode) throw new InvalidOperationException($"The user was refused: {await answer.Content.ReadAsStringAsync()}");
        var made = await answer.Content.ReadFromJsonAsync<JsonElement>();
        return new(name, made.GetProperty("accessKey").GetString()!, made.GetProperty("secretKey").GetString()!);
    }

    /// <summary>A request to the management API, with root's keys or those of another.</summary>
    /// <param name="body">Sent as JSON; a string as it is. Null for none.</param>
    public static async Task<HttpResponseMessage> AdminAsync(this NodeProcess node, HttpMethod method, string path, object? body = null, TestUser? by = null)
    {
        using var request = new HttpRequestMessage(method, new Uri(node.ManagementUrl, path));
        var json = body as string ?? (body is null ? null : JsonSerializer.Serialize(body));
        if (json is not null) request.Content = new StringContent(json, Encoding.UTF8, "application/json");
        var pair = by is null ? $"{node.Settings.AccessKey}:{node.Settings.SecretKey}" : $"{by.AccessKey}:{by.SecretKey}";
        request.Headers.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(pair)));
        return await Http.SendAsync(request);
    }

    public static AmazonS3Client S3(this NodeProcess node, TestUser user) => node.S3(accessKey: user.AccessKey, secretKey: user.SecretKey);

    public static RawS3 Raw(this NodeProcess node, TestUser user) => node.Raw().As(user.AccessKey, user.SecretKey);

    /// <summary>A request without a signature.</summary>
    public static Task<RawAnswer> AnonymousAsync(this NodeProcess node, string method, string target, string body = "", params (string Header, string Value)[] headers)
    {
        var request = new RawRequest(method, target) { Sign = false }.WithBody(body);
        foreach (var (header, value) in headers) request.With(header, value);
        return node.Raw().SendAsync(request);
    }

    private static JsonElement Policy(string policy) => JsonSerializer.Deserialize<JsonElement>(policy.StartsWith('{') ? policy : $"\"{policy}\"");
}
