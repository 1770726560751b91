using System.Globalization;
using System.Net.Http.Json;
using System.Text.Json;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.SecurityToken;
using Amazon.SecurityToken.Model;

namespace DarkStorage.TestKit;

/// <summary>Roles of a node, and sessions with temporary credentials.</summary>
public static class TestRoles
{
    public const string Account = "000000000000";

    /// <summary>Makes a role.</summary>
    /// <param name="policies">Each a policy document.</param>
    /// <returns>Its name, which no other test has.</returns>
    public static async Task<string> NewRoleAsync(this NodeProcess node, string trust, params string[] policies)
    {
        var name = "role-" + Guid.NewGuid().ToString("N")[..12];
        using var answer = await node.AdminAsync(HttpMethod.Post, "v1/roles", RoleJson(name, trust, policies));
        if (!answer.IsSuccessStatusCode) throw new InvalidOperationException($"The role was refused: {await answer.Content.ReadAsStringAsync()}");
        return name;
    }

    public static string RoleJson(string? name, string trust, IEnumerable<string> policies, int? maxSessionSeconds = null) =>
        string.Create(CultureInfo.InvariantCulture, $$"""{"name":{{JsonSerializer.Serialize(name)}},"trustPolicy":{{trust}},"policies":[{{string.Join(',', policies)}}],"maxSessionSeconds":{{maxSessionSeconds?.ToString(CultureInfo.InvariantCulture) ?? "null"}}}""");

    public static string RoleArn(string name) => $"arn:aws:iam::{Account}:role/{name}";

    /// <summary>A trust policy for users by name.</summary>
    public static string TrustUser(string name) => TrustPrincipal($"arn:aws:iam::{Account}:user/{name}");

    public static string TrustPrincipal(string arn) =>
        $$"""{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"{{arn}}"},"Action":"sts:AssumeRole"}]}""";

    public static string TrustProvider(string provider, string condition) =>
        $$"""{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"{{provider}}"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{{condition}}}]}""";

    public static string Allow(string action, string resource) => $$"""{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"{{action}}","Resource":"{{resource}}"}]}""";

    /// <summary>STS of the AWS SDK, with a user's keys.</summary>
    public static AmazonSecurityTokenServiceClient Sts(this NodeProcess node, TestUser user) => node.Sts(new BasicAWSCredentials(user.AccessKey, user.SecretKey));

    public static AmazonSecurityTokenServiceClient Sts(this NodeProcess node, AWSCredentials credentials) => new(credentials,
        new AmazonSecurityTokenServiceConfig { ServiceURL = node.S3Url.GetLeftPart(UriPartial.Authority), AuthenticationRegion = node.Settings.Region, MaxErrorRetry = 0 });

    public static async Task<Credentials> AssumeAsync(this NodeProcess node, TestUser user, string role, string? policy = null)
    {
        using var sts = node.Sts(user);
        return (await sts.AssumeRoleAsync(new() { RoleArn = RoleArn(role), RoleSessionName = "test", Policy = policy })).Credentials;
    }

    public static AmazonS3Client S3(this NodeProcess node, Credentials session) => new(session, new AmazonS3Config
    {
        ServiceURL = node.S3Url.GetLeftPart(UriPartial.Authority), ForcePathStyle = true, AuthenticationRegion = node.Settings.Region, MaxErrorRetry = 0,
    });

    public static RawS3 Raw(this NodeProcess node, Credentials session) => node.Raw().As(session.AccessKeyId, session.SecretAccessKey, session.SessionToken);

    /// <summary>A request to STS by hand: a form with the action and the version.</summary>
    public static Task<RawAnswer> StsAsync(this RawS3 raw, string action, params (string Name, string Value)[] parameters) =>
        raw.SendAsync(StsRequest(action, parameters));

    public static RawRequest StsRequest(string action, params (string Name, string Value)[] parameters) => new RawRequest("POST", "/") { Service = "sts" }
        .With("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
        .WithBody(string.Join('&', parameters.Prepend(("Version", "2011-06-15")).Prepend(("Action", action)).Select(p => $"{p.Item1}={Uri.EscapeDataString(p.Item2)}")));
}
