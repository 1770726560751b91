using System.Net.Http.Json;
using System.Text.Json;
using System.Text.Json.Nodes;
using Amazon.Runtime;
using Amazon.SecurityToken;

namespace DarkStorage.Conformance;

/// <summary>Roles and temporary credentials, with the AWS SDK, the AWS CLI and requests by hand.</summary>
[Trait("index", "none")]
public sealed class StsTests(NodeFixture fixture)
{
    private const string Everything = """{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}""";

    private NodeProcess Node => fixture.Node;

    [Fact]
    public async Task A_session_may_do_what_its_role_may_and_nothing_that_its_user_may()
    {
        var user = await Node.NewUserAsync();
        using var owner = Node.S3(user);
        var (theirs, shared) = (await owner.NewBucketAsync(), await fixture.Client.NewBucketAsync());
        await fixture.Client.PutTextAsync(shared, "key", "shared");
        var role = await Node.NewRoleAsync(TestRoles.TrustUser(user.Name), TestRoles.Allow("s3:GetObject", $"arn:aws:s3:::{shared}/*"));

        using var sts = Node.Sts(user);
        var assumed = await sts.AssumeRoleAsync(new() { RoleArn = TestRoles.RoleArn(role), RoleSessionName = "my.session@home" });
        Assert.StartsWith("ASIA", assumed.Credentials.AccessKeyId, StringComparison.Ordinal);
        Assert.Equal($"arn:aws:sts::{TestRoles.Account}:assumed-role/{role}/my.session@home", assumed.AssumedRoleUser.Arn);
        Assert.InRange(assumed.Credentials.Expiration!.Value.ToUniversalTime(), DateTime.UtcNow.AddMinutes(50), DateTime.UtcNow.AddMinutes(61));

        using var s3 = Node.S3(assumed.Credentials);
        Assert.Equal("shared", await s3.GetTextAsync(shared, "key"));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.PutTextAsync(shared, "key", "other"));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.ListObjectsV2Async(new() { BucketName = theirs }));
        Assert.Equal("shared", await fixture.Client.GetTextAsync(shared, "key"));
    }

    [Fact]
    public async Task A_session_policy_narrows_and_never_widens()
    {
        var user = await Node.NewUserAsync();
        var bucket = await fixture.Client.NewBucketAsync();
        await fixture.Client.PutTextAsync(bucket, "a/key", "a");
        await fixture.Client.PutTextAsync(bucket, "b/key", "b");
        var role = await Node.NewRoleAsync(TestRoles.TrustUser(user.Name), TestRoles.Allow("s3:GetObject", $"arn:aws:s3:::{bucket}/*"));
        using var narrow = Node.S3(await Node.AssumeAsync(user, role, TestRoles.Allow("s3:*", $"arn:aws:s3:::{bucket}/a/*")));
        Assert.Equal("a", await narrow.GetTextAsync(bucket, "a/key"));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => narrow.GetTextAsync(bucket, "b/key"));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => narrow.PutTextAsync(bucket, "a/key", "c"));
    }

    [Fact]
    public async Task What_a_session_makes_is_the_roles()
    {
        var user = await Node.NewUserAsync();
        var role = await Node.NewRoleAsync(TestRoles.TrustUser(user.Name), Everything);
        using var s3 = Node.S3(await Node.AssumeAsync(user, role));
        var bucket = await s3.NewBucketAsync();
        await s3.PutTextAsync(bucket, "key", "x");
        Assert.Equal([bucket], (await s3.ListBucketsAsync()).Buckets.Select(b => b.BucketName));
        Assert.Equal($"role/{role}", (await s3.GetObjectAclAsync(new() { BucketName = bucket, Key = "key" })).Owner.Id);
        using var own = Node.S3(user);
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => own.GetTextAsync(bucket, "key"));
        // A list may name the role.
        var theirs = await own.NewBucketAsync();
        Assert.Equal(200, (await Node.Raw(user).SendAsync(new RawRequest("PUT", $"/{theirs}/granted").With("x-amz-grant-read", $"id=\"role/{role}\"").WithBody("x"))).Status);
        Assert.Equal((400, "InvalidArgument"), (await Node.Raw(user).SendAsync(new RawRequest("PUT", $"/{theirs}/granted").With("x-amz-grant-read", "id=\"role/unknown\"").WithBody("x"))).Error);
    }

    [Fact]
    public async Task A_bucket_policy_may_name_a_role_a_session_and_when_it_began()
    {
        var user = await Node.NewUserAsync();
        var bucket = await fixture.Client.NewBucketAsync();
        await fixture.Client.PutTextAsync(bucket, "key", "x");
        var role = await Node.NewRoleAsync(TestRoles.TrustUser(user.Name));
        using var s3 = Node.S3(await Node.AssumeAsync(user, role));
        await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.GetTextAsync(bucket, "key"));
        foreach (var principal in (string[])[TestRoles.RoleArn(role), $"arn:aws:sts::{TestRoles.Account}:assumed-role/{role}/test"])
        {
            await PutPolicyAsync("GetObject", $$"""{"AWS":"{{principal}}"}""", "DateGreaterThan", "2020-01-01T00:00:00Z");
            Assert.Equal("x", await s3.GetTextAsync(bucket, "key"));
            await PutPolicyAsync("GetObject", $$"""{"AWS":"{{principal}}"}""", "DateGreaterThan", "2120-01-01T00:00:00Z");
            await Refused.WithAsync("AccessDenied", HttpStatusCode.Forbidden, () => s3.GetTextAsync(bucket, "key"));
        }

        Task PutPolicyAsync(string action, string principal, string @operator, string time) => fixture.Client.PutBucketPolicyAsync(bucket,
            $$$"""{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{{{principal}}},"Action":"s3:{{{action}}}","Resource":"arn:aws:s3:::{{{bucket}}}/*","Condition":{"{{{@operator}}}":{"aws:TokenIssueTime":"{{{time}}}" } } }]}""");
    }

    [Fact]
    public async Task The_AWS_CLI_assumes_a_role_and_works_with_its_token()
    {
        var user = await Node.NewUserAsync();
        var bucket = await fixture.Client.NewBucketAsync();
        await fixture.Client.PutTextAsync(bucket, "key", "x");
        var role = await Node.NewRoleAsync(TestRoles.TrustUser(user.Name), Everything);
        var answer = JsonNode.Parse(await new AwsCli(Node, user.AccessKey, user.SecretKey).RunAsync("sts", "assume-role", "--role-arn", TestRoles.RoleArn(role), "--role-session-name", "cli",
            "--policy", TestRoles.Allow("s3:ListBucket", "*")))!;
        var credentials = answer["Credentials"]!;
        var cli = new AwsCli(Node, credentials["AccessKeyId"]!.GetValue<string>(), credentials["SecretAccessKey"]!.GetValue<string>(), credentials["SessionToken"]!.GetValue<string>());
        Assert.Equal("key", (await cli.S3ApiAsync("list-objects-v2", "--bucket", bucket))["Contents"]![0]!["Key"]!.GetValue<string>());
        Assert.Contains("AccessDenied", (await Assert.ThrowsAsync<AwsCliException>(() => cli.S3ApiAsync("delete-object", "--bucket", bucket, "--key", "key"))).Message, StringComparison.Ordinal);
        Assert.Equal($"arn:aws:sts::{TestRoles.Account}:assumed-role/{role}/cli", JsonNode.Parse(await cli.RunAsync("sts", "get-caller-identity"))!["Arn"]!.GetValue<string>());
        Assert.Equal("x", await fixture.Client.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task GetCallerIdentity_names_users_root_and_sessions()
    {
        var user = await Node.NewUserAsync();
        using var sts = Node.Sts(user);
        var identity = await sts.GetCallerIdentityAsync(new());
        Assert.Equal((TestRoles.Account, $"arn:aws:iam::{TestRoles.Account}:user/{user.Name}", user.Name), (identity.Account, identity.Arn, identity.UserId));
        // As a GET, and without stating the hash of a body that is not there.
        var get = await fixture.Raw.SendAsync(new("GET", "/?Action=GetCallerIdentity&Version=2011-06-15") { Service = "sts" });
        Assert.Equal((200, $"arn:aws:iam::{TestRoles.Account}:root"), (get.Status, get.Element("Arn")));
        Assert.Equal("https://sts.amazonaws.com/doc/2011-06-15/", get.Xml.Name.NamespaceName);
        Assert.Equal("GetCallerIdentityResponse", get.Xml.Name.LocalName);
    }

    [Fact]
    public async Task A_session_of_a_user_may_what_the_user_may_until_its_key_goes()
    {
        var user = await Node.NewUserAsync();
        using var own = Node.S3(user);
        var bucket = await own.NewBucketAsync();
        using var sts = Node.Sts(user);
        var session = (await sts.GetSessionTokenAsync()).Credentials;
        using (var s3 = Node.S3(session)) await s3.PutTextAsync(bucket, "key", "x");
        using var asSession = Node.Sts(session);
        Assert.Equal("AccessDenied", (await Assert.ThrowsAnyAsync<AmazonSecurityTokenServiceException>(() => asSession.GetSessionTokenAsync())).ErrorCode);
        using var disabled = await Node.AdminAsync(HttpMethod.Put, $"v1/access-keys/{user.AccessKey}", new { enabled = false });
        Assert.Equal(HttpStatusCode.OK, disabled.StatusCode);
        await Eventually.HoldsAsync("keys and roles are remembered for some seconds", async () => (await Node.Raw(session).GetAsync($"/{bucket}/key")).Error == (403, "InvalidAccessKeyId"));
    }

    [Fact]
    public async Task A_session_of_a_user_does_not_outlive_its_key_in_another_of_the_same_id()
    {
        var (user, other) = (await Node.NewUserAsync(), await Node.NewUserAsync());
        using var theirs = Node.S3(other);
        var bucket = await theirs.NewBucketAsync();
        using var sts = Node.Sts(user);
        var session = (await sts.GetSessionTokenAsync()).Credentials;
        // The same key for somebody else, then for its own user with a secret that did not get about.
        foreach (var (account, secret) in ((string, string)[])[(other.Name, user.SecretKey), (user.Name, "another secret")])
        {
            using var deleted = await Node.AdminAsync(HttpMethod.Delete, $"v1/access-keys/{user.AccessKey}");
            Assert.Equal(HttpStatusCode.OK, deleted.StatusCode);
            using var again = await Node.AdminAsync(HttpMethod.Post, "v1/access-keys", new { account, accessKey = user.AccessKey, secretKey = secret });
            Assert.Equal(HttpStatusCode.Created, again.StatusCode);
            var remade = Node.Raw(user with { SecretKey = secret });
            await Eventually.HoldsAsync("keys and roles are remembered for some seconds", async () => (await remade.GetAsync($"/{bucket}")).Status == (account == other.Name ? 200 : 403));
            Assert.Equal((403, "InvalidAccessKeyId"), (await Node.Raw(session).GetAsync($"/{bucket}")).Error);
        }
    }

    [Fact]
    public async Task Presigned_URLs_carry_the_token_and_fail_without_it()
    {
        var user = await Node.NewUserAsync();
        var bucket = await fixture.Client.NewBucketAsync();
        await fixture.Client.PutTextAsync(bucket, "key", "x");
        var role = await Node.NewRoleAsync(TestRoles.TrustUser(user.Name), Everything);
        var session = await Node.AssumeAsync(user, role);
        using var s3 = Node.S3(session);
        var url = new Uri(await s3.GetPreSignedURLAsync(new() { BucketName = bucket, Key = "key", Expires = DateTime.UtcNow.AddMinutes(5), Protocol = Protocol.HTTP })).PathAndQuery;
        Assert.Equal("x", (await fixture.Raw.SendAsync(new("GET", url) { Sign = false })).Text);
        var without = string.Join('&', url.Split('&').Where(p => !p.Contains("X-Amz-Security-Token", StringComparison.Ordinal)));
        if (!without.Contains('?', StringComparison.Ordinal)) without = without.Replace("/key&", "/key?", StringComparison.Ordinal);
        Assert.Equal((403, "InvalidAccessKeyId"), (await fixture.Raw.SendAsync(new("GET", without) { Sign = false })).Error);
        // The signature covers the token: one put there afterwards is not the one that was signed.
        var presigned = Node.Raw(session).Presign("GET", $"/{bucket}/key", TimeSpan.FromMinutes(5));
        Assert.Equal((403, "SignatureDoesNotMatch"), (await fixture.Raw.SendAsync(new("GET", $"{presigned}&X-Amz-Security-Token={session.SessionToken}") { Sign = false })).Error);
        Assert.Equal((403, "AccessDenied"), (await fixture.Raw.SendAsync(new RawRequest("GET", presigned) { Sign = false }.With("x-amz-security-token", session.SessionToken))).Error);
    }

    [Fact]
    public async Task Wrong_foreign_and_tampered_tokens_are_invalid()
    {
        var user = await Node.NewUserAsync();
        var role = await Node.NewRoleAsync(TestRoles.TrustUser(user.Name), Everything);
        var (session, other) = (await Node.AssumeAsync(user, role), await Node.AssumeAsync(user, role));
        var raw = fixture.Raw;
        Assert.Equal(200, (await Node.Raw(session).GetAsync("/")).Status);
        Assert.Equal((403, "InvalidAccessKeyId"), (await raw.As(session.AccessKeyId, session.SecretAccessKey).GetAsync("/")).Error);
        Assert.Equal((403, "SignatureDoesNotMatch"), (await raw.As(session.AccessKeyId, other.SecretAccessKey, session.SessionToken).GetAsync("/")).Error);
        Assert.Equal((400, "InvalidToken"), (await raw.As(session.AccessKeyId, session.SecretAccessKey, other.SessionToken).GetAsync("/")).Error);
        Assert.Equal((400, "InvalidToken"), (await raw.As(user.AccessKey, user.SecretKey, session.SessionToken).GetAsync("/")).Error);
        await using var foreign = await NodeProcess.StartAsync();
        Assert.Equal((400, "InvalidToken"), (await foreign.Raw(session).GetAsync("/")).Error);
        var token = session.SessionToken;
        foreach (var bad in (string[])["a", token[..^1], token + "AAAA", token[..20] + (token[20] == 'A' ? 'B' : 'A') + token[21..], "not base64!", new string('A', 9000)])
            Assert.Equal((400, "InvalidToken"), (await raw.As(session.AccessKeyId, session.SecretAccessKey, bad).GetAsync("/")).Error);
    }

    [Fact]
    public async Task Signatures_for_S3_and_for_STS_are_good_for_that_service_alone()
    {
        Assert.Equal((400, "AuthorizationHeaderMalformed"), (await fixture.Raw.SendAsync(new("GET", "/") { Service = "sts" })).Error);
        var request = TestRoles.StsRequest("GetCallerIdentity");
        request.Service = "s3";
        Assert.Equal((400, "IncompleteSignature"), Sts(await fixture.Raw.SendAsync(request)));
    }

    [Fact]
    public async Task A_role_that_is_changed_or_deleted_ends_what_its_sessions_may()
    {
        var user = await Node.NewUserAsync();
        var bucket = await fixture.Client.NewBucketAsync();
        await fixture.Client.PutTextAsync(bucket, "key", "x");
        var trust = TestRoles.TrustUser(user.Name);
        var role = await Node.NewRoleAsync(trust, Everything);
        var raw = Node.Raw(await Node.AssumeAsync(user, role));
        Assert.Equal(200, (await raw.GetAsync($"/{bucket}/key")).Status);
        using var changed = await Node.AdminAsync(HttpMethod.Put, $"v1/roles/{role}", TestRoles.RoleJson(null, trust, []));
        Assert.Equal(HttpStatusCode.OK, changed.StatusCode);
        await Eventually.HoldsAsync("keys and roles are remembered for some seconds", async () => (await raw.GetAsync($"/{bucket}/key")).Error == (403, "AccessDenied"));
        // Another role of the same name is another role.
        using var deleted = await Node.AdminAsync(HttpMethod.Delete, $"v1/roles/{role}");
        Assert.Equal(HttpStatusCode.OK, deleted.StatusCode);
        using var again = await Node.AdminAsync(HttpMethod.Post, "v1/roles", TestRoles.RoleJson(role, trust, [Everything]));
        Assert.Equal(HttpStatusCode.Created, again.StatusCode);
        await Eventually.HoldsAsync("keys and roles are remembered for some seconds", async () => (await raw.GetAsync($"/{bucket}/key")).Error == (403, "InvalidAccessKeyId"));
        Assert.Equal(200, (await Node.Raw(await Node.AssumeAsync(user, role)).GetAsync($"/{bucket}/key")).Status);
    }

    [Fact]
    public async Task Who_is_not_trusted_assumes_nothing_and_learns_nothing()
    {
        var (user, other, limited) = (await Node.NewUserAsync(), await Node.NewUserAsync(), await Node.NewUserAsync(null, "readonly"));
        var role = await Node.NewRoleAsync(TestRoles.TrustUser(user.Name));
        Assert.Equal((403, "AccessDenied"), Sts(await AssumeAsync(Node.Raw(other), role)));
        Assert.Equal((403, "AccessDenied"), Sts(await AssumeAsync(Node.Raw(other), "unknown-role")));
        Assert.Equal((403, "AccessDenied"), Sts(await AssumeAsync(fixture.Raw, role)));

        // The account is trusted: then the caller's own policies decide, and who has none has nobody's leave.
        var open = await Node.NewRoleAsync(TestRoles.TrustPrincipal($"arn:aws:iam::{TestRoles.Account}:root"));
        foreach (var caller in (TestUser[])[user, limited]) Assert.Equal((403, "AccessDenied"), Sts(await AssumeAsync(Node.Raw(caller), open)));
        var allowed = await Node.NewUserAsync(null, TestRoles.Allow("sts:AssumeRole", TestRoles.RoleArn(open)));
        Assert.Equal(200, (await AssumeAsync(Node.Raw(allowed), open)).Status);
        Assert.Equal((403, "AccessDenied"), Sts(await AssumeAsync(fixture.Raw, open)));

        // Named, and denied by a policy of their own.
        var denied = await Node.NewUserAsync(null, """{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"sts:*","Resource":"*"}]}""");
        Assert.Equal((403, "AccessDenied"), Sts(await AssumeAsync(Node.Raw(denied), await Node.NewRoleAsync(TestRoles.TrustUser(denied.Name)))));
    }

    [Fact]
    public async Task A_trust_policy_asks_for_an_external_id_and_a_denial_beats_it()
    {
        var user = await Node.NewUserAsync();
        var arn = $"arn:aws:iam::{TestRoles.Account}:user/{user.Name}";
        var role = await Node.NewRoleAsync(Trust("Allow", """{"StringEquals":{"sts:ExternalId":"the:id/1"}}"""));
        Assert.Equal((403, "AccessDenied"), Sts(await AssumeAsync(Node.Raw(user), role)));
        Assert.Equal((403, "AccessDenied"), Sts(await AssumeAsync(Node.Raw(user), role, ("ExternalId", "another"))));
        Assert.Equal(200, (await AssumeAsync(Node.Raw(user), role, ("ExternalId", "the:id/1"))).Status);
        var denied = await Node.NewRoleAsync(Trust("Allow", "{}", Statement("Deny", """{"StringEquals":{"sts:RoleSessionName":"test"}}""")));
        Assert.Equal((403, "AccessDenied"), Sts(await AssumeAsync(Node.Raw(user), denied)));

        string Trust(string effect, string condition, string more = "") =>
            $$"""{"Version":"2012-10-17","Statement":[{{Statement(effect, condition)}}{{(more.Length > 0 ? "," + more : "")}}]}""";

        string Statement(string effect, string condition) =>
            $$"""{"Effect":"{{effect}}","Principal":{"AWS":"{{arn}}"},"Action":"sts:AssumeRole","Condition":{{condition}} }""";
    }

    [Fact]
    public async Task A_session_assumes_another_role_for_an_hour_at_most_and_only_if_its_policy_lets_it()
    {
        var user = await Node.NewUserAsync();
        var first = await Node.NewRoleAsync(TestRoles.TrustUser(user.Name));
        var second = "role-" + Guid.NewGuid().ToString("N")[..12];
        using var made = await Node.AdminAsync(HttpMethod.Post, "v1/roles", TestRoles.RoleJson(second, TestRoles.TrustPrincipal(TestRoles.RoleArn(first)), [Everything], 43_200));
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        var session = Node.Raw(await Node.AssumeAsync(user, first));
        Assert.Equal(200, (await AssumeAsync(session, second)).Status);
        Assert.Equal((400, "ValidationError"), Sts(await AssumeAsync(session, second, ("DurationSeconds", "3601"))));
        var narrow = Node.Raw(await Node.AssumeAsync(user, first, TestRoles.Allow("s3:*", "*")));
        Assert.Equal((403, "AccessDenied"), Sts(await AssumeAsync(narrow, second)));
    }

    [Theory]
    [InlineData("ValidationError", "RoleArn", "")]
    [InlineData("ValidationError", "RoleArn", "arn:aws:iam::000000000000:user/somebody")]
    [InlineData("ValidationError", "RoleSessionName", "")]
    [InlineData("ValidationError", "RoleSessionName", "a")]
    [InlineData("ValidationError", "RoleSessionName", "a b")]
    [InlineData("ValidationError", "RoleSessionName", "a/b")]
    [InlineData("ValidationError", "DurationSeconds", "899")]
    [InlineData("ValidationError", "DurationSeconds", "3601")]
    [InlineData("ValidationError", "DurationSeconds", "43201")]
    [InlineData("ValidationError", "DurationSeconds", "-1")]
    [InlineData("ValidationError", "DurationSeconds", "1e3")]
    [InlineData("MalformedPolicyDocument", "Policy", "{}")]
    [InlineData("MalformedPolicyDocument", "Policy", "")]
    [InlineData("MalformedPolicyDocument", "Policy", """{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}]}""")]
    [InlineData("PackedPolicyTooLarge", "Policy", "TOO LONG")]
    [InlineData("ValidationError", "PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/ReadOnlyAccess")]
    [InlineData("ValidationError", "Tags.member.1.Key", "team")]
    [InlineData("ValidationError", "SerialNumber", "mfa-device")]
    [InlineData("ValidationError", "ExternalId", "x")]
    [InlineData("InvalidAction", "Version", "2010-05-08")]
    public async Task What_is_not_a_request_for_a_role_is_refused_with_its_code(string code, string parameter, string value)
    {
        var user = await Node.NewUserAsync();
        var role = await Node.NewRoleAsync(TestRoles.TrustUser(user.Name));
        if (value == "TOO LONG") value = TestRoles.Allow("s3:*", new string('a', 2048));
        var parameters = new Dictionary<string, string> { ["Action"] = "AssumeRole", ["Version"] = "2011-06-15", ["RoleArn"] = TestRoles.RoleArn(role), ["RoleSessionName"] = "test", [parameter] = value };
        var body = string.Join('&', parameters.Select(p => $"{p.Key}={Uri.EscapeDataString(p.Value)}"));
        var answer = await Node.Raw(user).SendAsync(new RawRequest("POST", "/") { Service = "sts" }.With("Content-Type", "application/x-www-form-urlencoded").WithBody(body));
        Assert.Equal((400, code), Sts(answer));
        Assert.Null(answer.Element("SessionToken"));
        Assert.Equal("ErrorResponse", answer.Xml.Name.LocalName);
        Assert.Equal("https://sts.amazonaws.com/doc/2011-06-15/", answer.Xml.Name.NamespaceName);
        Assert.Equal("Sender", answer.Element("Type"));
    }

    [Fact]
    public async Task What_is_no_request_to_STS_at_all_says_why()
    {
        var raw = fixture.Raw;
        Assert.Equal((400, "MissingAction"), Sts(await raw.SendAsync(new RawRequest("POST", "/") { Service = "sts" })));
        Assert.Equal((400, "InvalidAction"), Sts(await raw.StsAsync("GetFederationToken")));
        Assert.Equal((400, "ValidationError"), Sts(await raw.StsAsync("GetCallerIdentity", ("Action", "AssumeRole"))));
        Assert.Equal((400, "MalformedQueryString"), Sts(await raw.SendAsync(new RawRequest("POST", "/") { Service = "sts" }.WithBody("Action=%zz"))));
        Assert.Equal((413, "RequestEntityTooLarge"), Sts(await raw.StsAsync("GetCallerIdentity", ("x", new string('x', 70_000)))));
        Assert.Equal((403, "MissingAuthenticationToken"), Sts(await raw.SendAsync(new("GET", "/?Action=GetCallerIdentity") { Sign = false })));
        Assert.Equal((403, "InvalidClientTokenId"), Sts(await raw.As("unknown-key", "whatever-secret").StsAsync("GetCallerIdentity")));
        Assert.Equal((403, "InvalidClientTokenId"), Sts(await raw.As("ASIAUNKNOWN", "whatever-secret", "whatever-token").StsAsync("GetCallerIdentity")));
        Assert.Equal((403, "SignatureDoesNotMatch"), Sts(await raw.As(Node.Settings.AccessKey, "whatever-secret").StsAsync("GetCallerIdentity")));
        var changed = TestRoles.StsRequest("GetCallerIdentity");
        changed.PayloadHash = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData("Action=AssumeRole"u8));
        Assert.Equal((403, "SignatureDoesNotMatch"), Sts(await raw.SendAsync(changed)));
        var late = TestRoles.StsRequest("GetCallerIdentity");
        late.Time = DateTimeOffset.UtcNow.AddHours(-1);
        Assert.Equal((403, "SignatureDoesNotMatch"), Sts(await raw.SendAsync(late)));
    }

    [Theory]
    [InlineData("""{"name":"ab","trustPolicy":TRUST}""")]
    [InlineData("""{"name":"NAME"}""")]
    [InlineData("""{"name":"NAME","trustPolicy":{}}""")]
    [InlineData("""{"name":"NAME","trustPolicy":"no json"}""")]
    [InlineData("""{"name":"NAME","trustPolicy":{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole"}]}}""")]
    [InlineData("""{"name":"NAME","trustPolicy":{"Statement":[{"Effect":"Allow","NotPrincipal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}}""")]
    [InlineData("""{"name":"NAME","trustPolicy":{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject"}]}}""")]
    [InlineData("""{"name":"NAME","trustPolicy":{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*"}]}}""")]
    [InlineData("""{"name":"NAME","trustPolicy":{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Resource":"*"}]}}""")]
    [InlineData("""{"name":"NAME","trustPolicy":{"Statement":[{"Effect":"Allow","Principal":{"Federated":"issuer.example"},"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"isuer.example:sub":"x"}}}]}}""")]
    [InlineData("""{"name":"NAME","trustPolicy":TRUST,"policies":["unknown"]}""")]
    [InlineData("""{"name":"NAME","trustPolicy":TRUST,"maxSessionSeconds":3599}""")]
    [InlineData("""{"name":"NAME","trustPolicy":TRUST,"maxSessionSeconds":43201}""")]
    public async Task What_is_not_a_role_is_400_with_a_reason_and_makes_none(string body)
    {
        var name = "role-" + Guid.NewGuid().ToString("N")[..12];
        body = body.Replace("NAME", name, StringComparison.Ordinal).Replace("TRUST", TestRoles.TrustUser("somebody"), StringComparison.Ordinal);
        using var answer = await Node.AdminAsync(HttpMethod.Post, "v1/roles", body);
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.False(string.IsNullOrEmpty((await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("error").GetString()));
        using var got = await Node.AdminAsync(HttpMethod.Get, $"v1/roles/{name}");
        Assert.Equal(HttpStatusCode.NotFound, got.StatusCode);
    }

    [Fact]
    public async Task Roles_are_for_administrators_and_their_names_are_taken_once()
    {
        var user = await Node.NewUserAsync();
        var trust = TestRoles.TrustUser(user.Name);
        var role = await Node.NewRoleAsync(trust, Everything);
        using var again = await Node.AdminAsync(HttpMethod.Post, "v1/roles", TestRoles.RoleJson(role, trust, []));
        Assert.Equal(HttpStatusCode.Conflict, again.StatusCode);
        using var unknown = await Node.AdminAsync(HttpMethod.Put, "v1/roles/unknown", TestRoles.RoleJson(null, trust, []));
        Assert.Equal(HttpStatusCode.NotFound, unknown.StatusCode);
        using var stranger = await Node.AdminAsync(HttpMethod.Get, $"v1/roles/{role}", by: user);
        Assert.Equal(HttpStatusCode.Unauthorized, stranger.StatusCode);
        // A session's key and secret are no key pair, whatever its role may.
        var session = await Node.AssumeAsync(user, await Node.NewRoleAsync(trust, "\"administrator\""));
        using var asSession = await Node.AdminAsync(HttpMethod.Get, $"v1/roles/{role}", by: new("session", session.AccessKeyId, session.SecretAccessKey));
        Assert.Equal(HttpStatusCode.Unauthorized, asSession.StatusCode);
        using var got = await Node.AdminAsync(HttpMethod.Get, $"v1/roles/{role}");
        var json = await got.Content.ReadFromJsonAsync<JsonElement>();
        Assert.Equal((TestRoles.RoleArn(role), 3600), (json.GetProperty("arn").GetString(), json.GetProperty("maxSessionSeconds").GetInt32()));
    }

    [Fact]
    public async Task Roles_and_sessions_outlive_the_node_and_a_new_master_key_and_their_secrets_are_nowhere()
    {
        await using var node = await NodeProcess.StartAsync(new() { Flags = ["--log-level", "Debug"] });
        var user = await node.NewUserAsync();
        var role = await node.NewRoleAsync(TestRoles.TrustUser(user.Name), Everything);
        var session = await node.AssumeAsync(user, role);
        var raw = node.Raw(session);
        Assert.Equal(200, (await raw.GetAsync("/")).Status);
        var mismatch = await raw.As(session.AccessKeyId, "not-the-secret", session.SessionToken).GetAsync("/");
        Assert.Equal((403, "SignatureDoesNotMatch"), mismatch.Error);
        Assert.DoesNotContain(session.SessionToken, mismatch.Text, StringComparison.Ordinal);
        Assert.Equal(0, await node.TerminateAsync());
        Assert.Equal(0, (await NodeProcess.RunAsync(["rotate-master-key", "--data", node.DataDirectory])).ExitCode);
        await node.RestartAsync();
        Assert.Equal(200, (await raw.GetAsync("/")).Status);
        Assert.Equal(0, await node.TerminateAsync());
        Assert.Contains("assumed", node.Output, StringComparison.Ordinal);
        foreach (var secret in (string[])[session.SessionToken, session.SecretAccessKey]) Assert.DoesNotContain(secret, node.Output, StringComparison.Ordinal);
        foreach (var file in Directory.EnumerateFiles(node.DataDirectory, "*", SearchOption.AllDirectories))
            Assert.True((await File.ReadAllBytesAsync(file)).AsSpan().IndexOf(Encoding.UTF8.GetBytes(session.SecretAccessKey)) < 0, $"{file} holds a session's secret.");
    }

    /// <summary>Status and code of an error of STS.</summary>
    internal static (int Status, string? Code) Sts(RawAnswer answer) => (answer.Status, answer.Body.Length == 0 ? null : answer.Element("Code"));

    private static Task<RawAnswer> AssumeAsync(RawS3 raw, string role, params (string, string)[] more) =>
        raw.StsAsync("AssumeRole", [("RoleArn", TestRoles.RoleArn(role)), ("RoleSessionName", "test"), .. more]);
}
