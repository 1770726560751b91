using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Amazon.Runtime;

namespace DarkStorage.Conformance;

/// <summary>A node that takes tokens of an issuer, and one of an issuer that nobody answers for.</summary>
public sealed class WebIdentityFixture : IAsyncLifetime
{
    public const string Client = "the-client";

    public OidcIssuer Issuer { get; private set; } = null!;

    public NodeProcess Node { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Issuer = await OidcIssuer.StartAsync();
        Issuer.AddRsa("rsa");
        Issuer.AddEc("p256", ECCurve.NamedCurves.nistP256);
        Node = await NodeProcess.StartAsync(new()
        {
            Environment = new Dictionary<string, string>
            {
                ["DARKSTORAGE_OpenIdConnect__Issuers__0__Url"] = Issuer.Url,
                ["DARKSTORAGE_OpenIdConnect__Issuers__0__ClientIds__0"] = Client,
                ["DARKSTORAGE_OpenIdConnect__Issuers__1__Url"] = "http://127.0.0.1:1",
                ["DARKSTORAGE_OpenIdConnect__Issuers__1__ClientIds__0"] = Client,
                ["DARKSTORAGE_OpenIdConnect__FetchPause"] = "00:00:00",
            },
        });
    }

    public async ValueTask DisposeAsync()
    {
        await Node.DisposeAsync();
        await Issuer.DisposeAsync();
    }
}

/// <summary>AssumeRoleWithWebIdentity: tokens of an issuer that the test runs.</summary>
[Trait("index", "none")]
public sealed class WebIdentityTests(WebIdentityFixture fixture) : IClassFixture<WebIdentityFixture>
{
    private NodeProcess Node => fixture.Node;

    private OidcIssuer Issuer => fixture.Issuer;

    [Theory]
    [InlineData("rsa", "RS256")]
    [InlineData("rsa", "PS512")]
    [InlineData("p256", "ES256")]
    public async Task A_token_becomes_a_session_of_a_role_that_trusts_its_subject(string key, string algorithm)
    {
        var bucket = await NewBucketAsync();
        var role = await Node.NewRoleAsync(Trust("StringLike", "sub", "repo:*"), TestRoles.Allow("s3:*", $"arn:aws:s3:::{bucket}/${{{Issuer.Provider}:sub}}/*"));
        using var sts = Node.Sts(new AnonymousAWSCredentials());
        var answer = await sts.AssumeRoleWithWebIdentityAsync(new()
        {
            RoleArn = TestRoles.RoleArn(role), RoleSessionName = "ci", DurationSeconds = 900, WebIdentityToken = Issuer.Sign(key, algorithm, Issuer.Claims("repo:one", WebIdentityFixture.Client)),
        });
        Assert.Equal(("repo:one", WebIdentityFixture.Client, Issuer.Url), (answer.SubjectFromWebIdentityToken, answer.Audience, answer.Provider));
        Assert.Equal($"arn:aws:sts::{TestRoles.Account}:assumed-role/{role}/ci", answer.AssumedRoleUser.Arn);
        // The role's policy asks who the token was about.
        using var s3 = Node.S3(answer.Credentials);
        await s3.PutTextAsync(bucket, "repo:one/key", "x");
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.PutTextAsync(bucket, "repo:two/key", "x"));
    }

    [Fact]
    public async Task The_AWS_CLI_trades_a_token()
    {
        var role = await Node.NewRoleAsync(Trust("StringEquals", "aud", WebIdentityFixture.Client));
        var answer = JsonNode.Parse(await new AwsCli(Node).RunAsync("sts", "assume-role-with-web-identity", "--role-arn", TestRoles.RoleArn(role), "--role-session-name", "cli",
            "--web-identity-token", Issuer.Sign("rsa", "RS256", Issuer.Claims("somebody", WebIdentityFixture.Client))))!;
        Assert.Equal("somebody", answer["SubjectFromWebIdentityToken"]!.GetValue<string>());
    }

    [Fact]
    public async Task A_subject_that_the_role_does_not_trust_is_denied()
    {
        var role = await Node.NewRoleAsync(Trust("StringEquals", "sub", "repo:one"));
        Assert.Equal(200, (await TradeAsync(role, Issuer.Sign("rsa", "RS256", Issuer.Claims("repo:one", WebIdentityFixture.Client)))).Status);
        var other = Issuer.Sign("rsa", "RS256", Issuer.Claims("repo:two", WebIdentityFixture.Client));
        Assert.Equal((403, "AccessDenied"), StsTests.Sts(await TradeAsync(role, other)));
        Assert.Equal((403, "AccessDenied"), StsTests.Sts(await TradeAsync("unknown", other)));
        // Everybody's role is for those who sign: a provider must be named.
        var everybody = await Node.NewRoleAsync("""{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:*"}]}""");
        Assert.Equal((403, "AccessDenied"), StsTests.Sts(await TradeAsync(everybody, other)));
        var closed = await Node.NewRoleAsync($$"""{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"{{Issuer.Url}}"},"Action":"sts:*"},{"Effect":"Deny","Principal":"*","Action":"sts:*"}]}""");
        Assert.Equal((403, "AccessDenied"), StsTests.Sts(await TradeAsync(closed, other)));
        var another = await Node.NewRoleAsync(TestRoles.TrustProvider("issuer.example", """{"StringEquals":{"issuer.example:sub":"repo:two"}}"""));
        Assert.Equal((403, "AccessDenied"), StsTests.Sts(await TradeAsync(another, other)));
    }

    [Fact]
    public async Task A_key_that_is_new_is_fetched_and_one_that_is_made_up_is_not_believed()
    {
        var role = await Node.NewRoleAsync(Trust("StringLike", "sub", "*"));
        Assert.Equal(200, (await TradeAsync(role, Issuer.Sign("rsa", "RS256", Issuer.Claims("s", WebIdentityFixture.Client)))).Status);
        Issuer.AddEc("rotated", ECCurve.NamedCurves.nistP384);
        Assert.Equal(200, (await TradeAsync(role, Issuer.Sign("rotated", "ES384", Issuer.Claims("s", WebIdentityFixture.Client)))).Status);
        using var stranger = RSA.Create(2048);
        foreach (var id in (string[])["made-up", "rsa"])
        {
            var forged = OidcIssuer.Sign(stranger, "RS256", new() { ["alg"] = "RS256", ["kid"] = id }, Issuer.Claims("s", WebIdentityFixture.Client));
            Assert.Equal((400, "InvalidIdentityToken"), StsTests.Sts(await TradeAsync(role, forged)));
        }
    }

    [Theory]
    [InlineData("InvalidIdentityToken", 400, "iss", "\"http://issuer.example\"")]
    [InlineData("InvalidIdentityToken", 400, "iss", "1")]
    [InlineData("IDPCommunicationError", 400, "iss", "\"http://127.0.0.1:1\"")]
    [InlineData("InvalidIdentityToken", 400, "aud", "\"another-client\"")]
    [InlineData("ExpiredTokenException", 400, "exp", "1000000000")]
    [InlineData("IDPRejectedClaim", 403, "exp", "null")]
    [InlineData("IDPRejectedClaim", 403, "nbf", "4000000000")]
    [InlineData("IDPRejectedClaim", 403, "iat", "4000000000")]
    [InlineData("IDPRejectedClaim", 403, "azp", "\"another-client\"")]
    [InlineData("IDPRejectedClaim", 403, "sub", "\"\"")]
    public async Task A_token_with_a_wrong_claim_is_refused_with_its_code(string code, int status, string claim, string json)
    {
        var role = await Node.NewRoleAsync(Trust("StringLike", "sub", "*"));
        var claims = Issuer.Claims("s", WebIdentityFixture.Client);
        claims[claim] = JsonNode.Parse(json);
        var answer = await TradeAsync(role, Issuer.Sign("rsa", "RS256", claims));
        Assert.Equal((status, code), StsTests.Sts(answer));
        Assert.Null(answer.Element("SessionToken"));
    }

    [Theory]
    [InlineData("ValidationError", "")]
    [InlineData("ValidationError", "abc")]
    [InlineData("ValidationError", "TOO LONG")]
    [InlineData("InvalidIdentityToken", "no token at all")]
    [InlineData("InvalidIdentityToken", "e30.e30.e30")]
    public async Task What_is_no_token_is_refused(string code, string token)
    {
        var role = await Node.NewRoleAsync(Trust("StringLike", "sub", "*"));
        Assert.Equal((400, code), StsTests.Sts(await TradeAsync(role, token == "TOO LONG" ? new string('a', 20_001) : token)));
    }

    [Fact]
    public async Task An_issuer_that_is_not_safe_is_refused_at_the_start()
    {
        foreach (var url in (string[])["http://issuer.example", "ftp://issuer.example", "https://issuer.example/?x=1", "issuer.example"])
        {
            var data = Directory.CreateTempSubdirectory("darkstorage-oidc-").FullName;
            var run = await NodeProcess.RunAsync(["--data", data, "--s3-url", "http://127.0.0.1:0", "--management-url", "http://127.0.0.1:0"], new Dictionary<string, string>
            {
                ["DARKSTORAGE_OpenIdConnect__Issuers__0__Url"] = url, ["DARKSTORAGE_OpenIdConnect__Issuers__0__ClientIds__0"] = "client",
            });
            Directory.Delete(data, recursive: true);
            Assert.Equal(2, run.ExitCode);
            Assert.Contains(url, run.Error, StringComparison.Ordinal);
        }
    }

    private string Trust(string @operator, string claim, string value) => TestRoles.TrustProvider($"arn:aws:iam::{TestRoles.Account}:oidc-provider/{Issuer.Provider}",
        $$$"""{"{{{@operator}}}":{"{{{Issuer.Provider}}}:{{{claim}}}":"{{{value}}}"}}""");

    private Task<RawAnswer> TradeAsync(string role, string token)
    {
        var request = TestRoles.StsRequest("AssumeRoleWithWebIdentity", ("RoleArn", TestRoles.RoleArn(role)), ("RoleSessionName", "test"), ("WebIdentityToken", token));
        request.Sign = false;
        return Node.Raw().SendAsync(request);
    }

    private async Task<string> NewBucketAsync()
    {
        using var s3 = Node.S3();
        return await s3.NewBucketAsync();
    }
}
