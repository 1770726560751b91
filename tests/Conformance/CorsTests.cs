namespace DarkStorage.Conformance;

/// <summary>CORS: what browsers are told.</summary>
public sealed class CorsTests(NodeFixture fixture)
{
    private const string Origin = "https://app.example.test";

    private NodeProcess Node => fixture.Node;

    private AmazonS3Client S3 => fixture.Client;

    [Fact]
    public async Task The_configuration_is_put_got_and_deleted()
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal((404, "NoSuchCORSConfiguration"), (await fixture.Raw.GetAsync($"/{bucket}?cors")).Error);
        await S3.PutCORSConfigurationAsync(new()
        {
            BucketName = bucket,
            Configuration = new() { Rules = [new() { Id = "one", AllowedOrigins = [Origin, "http://*.example.test"], AllowedMethods = ["GET", "PUT"], AllowedHeaders = ["*"], ExposeHeaders = ["ETag"], MaxAgeSeconds = 60 }] },
        });
        var rule = Assert.Single((await S3.GetCORSConfigurationAsync(bucket)).Configuration.Rules);
        Assert.Equal(("one", 60), (rule.Id, rule.MaxAgeSeconds));
        Assert.Equal([Origin, "http://*.example.test"], rule.AllowedOrigins);
        Assert.Equal(["GET", "PUT"], rule.AllowedMethods);
        var aws = new AwsCli(Node);
        Assert.Equal("ETag", (string?)(await aws.S3ApiAsync("get-bucket-cors", "--bucket", bucket))["CORSRules"]![0]!["ExposeHeaders"]![0]);
        await aws.S3ApiAsync("delete-bucket-cors", "--bucket", bucket);
        Assert.Equal((404, "NoSuchCORSConfiguration"), (await fixture.Raw.GetAsync($"/{bucket}?cors")).Error);
    }

    [Fact]
    public async Task A_preflight_that_a_rule_allows_is_told_what_is_allowed()
    {
        var bucket = await NewBucketAsync($"<CORSRule><AllowedOrigin>{Origin}</AllowedOrigin><AllowedMethod>PUT</AllowedMethod><AllowedMethod>GET</AllowedMethod><AllowedHeader>content-*</AllowedHeader>"
            + "<AllowedHeader>X-Amz-Date</AllowedHeader><ExposeHeader>ETag</ExposeHeader><ExposeHeader>x-amz-version-id</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule>");
        foreach (var target in (string[])[$"/{bucket}/key", $"/{bucket}"])
        {
            var answer = await PreflightAsync(target, Origin, "PUT", "Content-Type, x-amz-date");
            Assert.Equal(200, answer.Status);
            Assert.Equal((Origin, "PUT, GET", "content-type, x-amz-date", "3000"), (answer.Header("Access-Control-Allow-Origin"), answer.Header("Access-Control-Allow-Methods"),
                answer.Header("Access-Control-Allow-Headers"), answer.Header("Access-Control-Max-Age")));
            Assert.Equal(("ETag, x-amz-version-id", "true"), (answer.Header("Access-Control-Expose-Headers"), answer.Header("Access-Control-Allow-Credentials")));
            Assert.Contains("Origin", answer.Header("Vary"), StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("https://other.example.test", "PUT", "content-type")]
    [InlineData("http://app.example.test", "PUT", "content-type")]
    [InlineData("https://APP.example.test", "PUT", "content-type")]
    [InlineData(Origin, "DELETE", "content-type")]
    [InlineData(Origin, "put", "content-type")]
    [InlineData(Origin, "PUT", "content-type, x-other")]
    public async Task A_preflight_that_no_rule_allows_is_refused_and_told_nothing(string origin, string method, string headers)
    {
        var bucket = await NewBucketAsync($"<CORSRule><AllowedOrigin>{Origin}</AllowedOrigin><AllowedMethod>PUT</AllowedMethod><AllowedHeader>content-*</AllowedHeader></CORSRule>");
        var answer = await PreflightAsync($"/{bucket}/key", origin, method, headers);
        Assert.Equal((403, "AccessForbidden"), answer.Error);
        Assert.DoesNotContain(answer.Headers, h => h.Key.StartsWith("Access-Control-", StringComparison.OrdinalIgnoreCase));
    }

    [Theory]
    [InlineData("*", "https://anything.test", true)]
    [InlineData("https://*.example.test", "https://a.b.example.test", true)]
    [InlineData("https://*.example.test", "https://example.test", false)]
    [InlineData("https://*.example.test", "https://a.example.test.evil.test", false)]
    [InlineData("http*://app.example.test", Origin, true)]
    public async Task Wildcards_stand_for_anything_in_their_place(string pattern, string origin, bool allowed)
    {
        var bucket = await NewBucketAsync($"<CORSRule><AllowedOrigin>{pattern}</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>");
        var answer = await PreflightAsync($"/{bucket}/key", origin, "GET");
        Assert.Equal(allowed ? 200 : 403, answer.Status);
        Assert.Equal(!allowed ? null : pattern == "*" ? "*" : origin, answer.Header("Access-Control-Allow-Origin"));
        // With the asterisk a browser must not send its cookies along.
        Assert.Equal(allowed && pattern != "*" ? "true" : null, answer.Header("Access-Control-Allow-Credentials"));
        Assert.Null(answer.Header("Access-Control-Max-Age"));
    }

    [Fact]
    public async Task Answers_and_errors_say_who_may_look_at_them()
    {
        var bucket = await NewBucketAsync($"<CORSRule><AllowedOrigin>{Origin}</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>ETag</ExposeHeader></CORSRule>");
        await S3.PutTextAsync(bucket, "key", "content");
        var got = await fixture.Raw.SendAsync(new RawRequest("GET", $"/{bucket}/key").With("Origin", Origin));
        Assert.Equal(("content", Origin, "ETag"), (got.Text, got.Header("Access-Control-Allow-Origin"), got.Header("Access-Control-Expose-Headers")));
        var missing = await fixture.Raw.SendAsync(new RawRequest("GET", $"/{bucket}/none").With("Origin", Origin));
        Assert.Equal((404, Origin), (missing.Status, missing.Header("Access-Control-Allow-Origin")));
        var denied = await Node.AnonymousAsync("GET", $"/{bucket}/key", "", ("Origin", Origin));
        Assert.Equal((403, Origin), (denied.Status, denied.Header("Access-Control-Allow-Origin")));
        foreach (var request in (RawRequest[])
        [
            new RawRequest("GET", $"/{bucket}/key"),
            new RawRequest("GET", $"/{bucket}/key").With("Origin", "https://other.example.test"),
            new RawRequest("PUT", $"/{bucket}/key").WithBody("content").With("Origin", Origin), // a method that no rule names
        ])
        {
            var answer = await fixture.Raw.SendAsync(request);
            Assert.Equal(200, answer.Status); // it is the browser that keeps its page from the answer
            Assert.Null(answer.Header("Access-Control-Allow-Origin"));
        }
    }

    [Fact]
    public async Task The_first_rule_that_fits_answers()
    {
        var bucket = await NewBucketAsync($"<CORSRule><AllowedOrigin>{Origin}</AllowedOrigin><AllowedMethod>GET</AllowedMethod><MaxAgeSeconds>1</MaxAgeSeconds></CORSRule>"
            + "<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><MaxAgeSeconds>2</MaxAgeSeconds></CORSRule>");
        Assert.Equal("1", (await PreflightAsync($"/{bucket}", Origin, "GET")).Header("Access-Control-Max-Age"));
        Assert.Equal("2", (await PreflightAsync($"/{bucket}", Origin, "PUT")).Header("Access-Control-Max-Age"));
    }

    [Fact]
    public async Task Without_a_configuration_or_a_question_a_preflight_is_refused()
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal((403, "AccessForbidden"), (await PreflightAsync($"/{bucket}/key", Origin, "GET")).Error);
        Assert.Equal((403, "AccessForbidden"), (await PreflightAsync($"/{S3Clients.NewBucketName()}/key", Origin, "GET")).Error);
        Assert.Equal((400, "BadRequest"), (await Node.AnonymousAsync("OPTIONS", $"/{bucket}/key", "", ("Access-Control-Request-Method", "GET"))).Error);
        Assert.Equal((400, "BadRequest"), (await Node.AnonymousAsync("OPTIONS", $"/{bucket}/key", "", ("Origin", Origin))).Error);
    }

    [Theory]
    [InlineData("", "MalformedXML")]
    [InlineData("<CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule>", "MalformedXML")]
    [InlineData("<CORSRule><AllowedOrigin>*</AllowedOrigin></CORSRule>", "MalformedXML")]
    [InlineData("<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>PATCH</AllowedMethod></CORSRule>", "InvalidRequest")]
    [InlineData("<CORSRule><AllowedOrigin>http://*.a.*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>", "InvalidRequest")]
    [InlineData("<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedHeader>x-*-*</AllowedHeader></CORSRule>", "InvalidRequest")]
    [InlineData("<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>x-*</ExposeHeader></CORSRule>", "InvalidRequest")]
    [InlineData("<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><MaxAgeSeconds>-1</MaxAgeSeconds></CORSRule>", "MalformedXML")]
    [InlineData("<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>a&#10;Set-Cookie:b</ExposeHeader></CORSRule>", "MalformedXML")]
    [InlineData("<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod><Extra/></CORSRule>", "MalformedXML")]
    public async Task A_wrong_configuration_is_refused_and_changes_nothing(string rules, string code)
    {
        var bucket = await NewBucketAsync("<CORSRule><ID>old</ID><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>");
        Assert.Equal((400, code), (await fixture.Raw.PutAsync($"/{bucket}?cors", $"<CORSConfiguration>{rules}</CORSConfiguration>")).Error);
        Assert.Equal("old", (await fixture.Raw.GetAsync($"/{bucket}?cors")).Element("ID"));
    }

    [Fact]
    public async Task A_hundred_rules_are_taken_and_no_more()
    {
        var bucket = await S3.NewBucketAsync();
        string Of(int count) => $"<CORSConfiguration>{string.Concat(Enumerable.Repeat("<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule>", count))}</CORSConfiguration>";
        Assert.Equal((400, "MalformedXML"), (await fixture.Raw.PutAsync($"/{bucket}?cors", Of(101))).Error);
        Assert.Equal(200, (await fixture.Raw.PutAsync($"/{bucket}?cors", Of(100))).Status);
    }

    private async Task<string> NewBucketAsync(string rules)
    {
        var bucket = await S3.NewBucketAsync();
        Assert.Equal(200, (await fixture.Raw.PutAsync($"/{bucket}?cors", $"<CORSConfiguration>{rules}</CORSConfiguration>")).Status);
        return bucket;
    }

    private Task<RawAnswer> PreflightAsync(string target, string origin, string method, string? headers = null) => headers is null
        ? Node.AnonymousAsync("OPTIONS", target, "", ("Origin", origin), ("Access-Control-Request-Method", method))
        : Node.AnonymousAsync("OPTIONS", target, "", ("Origin", origin), ("Access-Control-Request-Method", method), ("Access-Control-Request-Headers", headers));
}
