namespace DarkStorage.Conformance;

/// <summary>A node with domains for websites.</summary>
public sealed class WebsiteNodeFixture : NodeFixture
{
    protected override NodeSettings Settings => new() { Domain = "s3.example.test", Flags = ["--website-domain", "web.example.test, www.custom.test"] };
}

/// <summary>Buckets as websites, to browsers.</summary>
public sealed class WebsiteTests(WebsiteNodeFixture node) : IClassFixture<WebsiteNodeFixture>
{
    private const string Domain = "web.example.test";
    private const string Plain = """<IndexDocument><Suffix>index.html</Suffix></IndexDocument><ErrorDocument><Key>error.html</Key></ErrorDocument>""";

    /// <summary>A bucket that anybody may read, with a site, and these objects, each with its own name as content.</summary>
    /// <param name="listable">Anybody may list it too, and so be told what is not there.</param>
    private async Task<string> NewSiteAsync(string configuration, bool listable = true, string? name = null, params string[] keys)
    {
        var bucket = name ?? S3Clients.NewBucketName("site");
        await node.Client.PutBucketAsync(bucket);
        var list = listable ? $$""", {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::{{bucket}}"}""" : "";
        await node.Client.PutBucketPolicyAsync(bucket, $$"""{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::{{bucket}}/*"}{{list}}]}""");
        if (configuration.Length > 0) Assert.Equal(200, (await node.Raw.PutAsync($"/{bucket}?website", $"<WebsiteConfiguration>{configuration}</WebsiteConfiguration>")).Status);
        // By hand, because the SDK has ideas of its own about dots and slashes.
        foreach (var key in keys)
            Assert.Equal(200, (await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/{Uri.EscapeDataString(key)}").With("Content-Type", "text/x-own").WithBody(key))).Status);
        return bucket;
    }

    private Task<RawAnswer> GetAsync(string bucket, string path, params (string Name, string Value)[] headers) => SendAsync("GET", $"{bucket}.{Domain}", path, headers);

    private Task<RawAnswer> SendAsync(string method, string host, string path, params (string Name, string Value)[] headers)
    {
        var request = new RawRequest(method, path) { Sign = false }.With("Host", host);
        foreach (var (name, value) in headers) request.With(name, value);
        return node.Raw.SendAsync(request);
    }

    [Theory]
    [InlineData("/", "index.html")]
    [InlineData("/folder/", "folder/index.html")]
    [InlineData("/folder/page.html?version=3&versionId=x", "folder/page.html")]
    [InlineData("/a%20b%2Fc", "a b/c")]
    [InlineData("//", "/index.html")]
    [InlineData("/../x", "../x")]
    public async Task A_path_is_answered_with_its_object(string path, string key)
    {
        var bucket = await NewSiteAsync(Plain, keys: ["index.html", "folder/index.html", "folder/page.html", "a b/c", "/index.html", "../x"]);
        var answer = await GetAsync(bucket, path);
        Assert.Equal((200, key, "text/x-own"), (answer.Status, answer.Text, answer.Header("Content-Type")));
        var head = await SendAsync("HEAD", $"{bucket}.{Domain}:9000", path);
        Assert.Equal((200, answer.Header("ETag"), answer.Header("Content-Length")), (head.Status, head.Header("ETag"), head.Header("Content-Length")));
        Assert.Empty(head.Body);
    }

    [Fact]
    public async Task A_folder_without_its_slash_is_redirected_to_where_its_links_work()
    {
        foreach (var listable in (bool[])[true, false])
        {
            var bucket = await NewSiteAsync(Plain, listable, keys: ["folder/index.html", "//evil.test/index.html"]);
            var answer = await GetAsync(bucket, "/folder?x=1");
            Assert.Equal((302, "/folder/", ""), (answer.Status, answer.Header("Location"), answer.Text));
            Assert.Equal("folder/index.html", (await GetAsync(bucket, "/folder/")).Text);
            // A path that a browser would take for a host stays a path.
            Assert.Equal((302, "/%2F/evil.test/"), (await GetAsync(bucket, "///evil.test") is var other ? (other.Status, other.Header("Location")) : default));
            Assert.Equal("//evil.test/index.html", (await GetAsync(bucket, "/%2F/evil.test/")).Text);
        }
    }

    [Fact]
    public async Task Ranges_and_conditions_are_as_of_any_object()
    {
        var bucket = await NewSiteAsync(Plain, keys: ["index.html", "error.html"]);
        var answer = await GetAsync(bucket, "/", ("Range", "bytes=0-4"));
        Assert.Equal((206, "index", "bytes 0-4/10"), (answer.Status, answer.Text, answer.Header("Content-Range")));
        Assert.Equal(304, (await GetAsync(bucket, "/", ("If-None-Match", answer.Header("ETag")!))).Status);
        // What is wrong with the request is not wrong with the page that says so.
        foreach (var (status, header) in ((int, (string, string))[])[(412, ("If-Match", "\"other\"")), (416, ("Range", "bytes=100-"))])
        {
            var refused = await GetAsync(bucket, "/", header);
            Assert.Equal((status, "error.html", null), (refused.Status, refused.Text, refused.Header("Content-Range")));
        }
    }

    [Fact]
    public async Task What_is_not_there_is_answered_with_the_error_document_and_its_own_status()
    {
        var bucket = await NewSiteAsync(Plain, keys: ["error.html"]);
        var answer = await GetAsync(bucket, "/missing", ("Range", "bytes=0-1"), ("If-None-Match", "*"));
        Assert.Equal((404, "error.html", "text/x-own", "NoSuchKey"), (answer.Status, answer.Text, answer.Header("Content-Type"), answer.Header("x-amz-error-code")));
        var head = await SendAsync("HEAD", $"{bucket}.{Domain}", "/missing");
        Assert.Equal((404, "10"), (head.Status, head.Header("Content-Length")));
        // Who may not list is not told what is missing.
        var hidden = await NewSiteAsync(Plain, listable: false, keys: ["error.html"]);
        Assert.Equal((403, "error.html"), (await GetAsync(hidden, "/missing") is var denied ? (denied.Status, denied.Text) : default));
    }

    [Fact]
    public async Task Without_an_error_document_a_page_says_what_is_wrong()
    {
        var bucket = await NewSiteAsync(Plain);
        var answer = await GetAsync(bucket, "/%3Cscript%3Ealert(1)%3C/script%3E");
        Assert.Equal((404, "text/html; charset=utf-8"), (answer.Status, answer.Header("Content-Type")));
        Assert.Contains("<li>Code: NoSuchKey</li>", answer.Text, StringComparison.Ordinal);
        Assert.Contains("<li>Key: &lt;script&gt;alert(1)&lt;/script&gt;</li>", answer.Text, StringComparison.Ordinal);
        Assert.Empty((await SendAsync("HEAD", $"{bucket}.{Domain}", "/missing")).Body);
        Assert.Contains("InvalidURI", (await GetAsync(bucket, "/%zz")).Text, StringComparison.Ordinal);
        Assert.Contains("KeyTooLongError", (await GetAsync(bucket, "/" + new string('k', 1025))).Text, StringComparison.Ordinal);
        Assert.Equal(404, (await GetAsync(bucket, "/" + new string('k', 1020))).Status);
    }

    [Fact]
    public async Task A_bucket_that_is_no_site_or_not_there_says_so()
    {
        var bucket = await NewSiteAsync("", keys: ["index.html"]);
        Assert.Contains("<li>Code: NoSuchWebsiteConfiguration</li>", (await GetAsync(bucket, "/index.html")).Text, StringComparison.Ordinal);
        Assert.Contains("<li>Code: NoSuchBucket</li>", (await GetAsync(S3Clients.NewBucketName(), "/")).Text, StringComparison.Ordinal);
        Assert.Contains("<li>Code: InvalidBucketName</li>", (await GetAsync("a_b", "/")).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_site_is_read_by_nobody_but_everybody()
    {
        var bucket = await node.Client.NewBucketAsync();
        await node.Raw.PutAsync($"/{bucket}?website", $"<WebsiteConfiguration>{Plain}</WebsiteConfiguration>");
        await node.Client.PutTextAsync(bucket, "index.html", "secret");
        await node.Client.PutTextAsync(bucket, "error.html", "secret too");
        var signed = await node.Raw.SendAsync(new RawRequest("GET", "/").With("Host", $"{bucket}.{Domain}"));
        foreach (var answer in (RawAnswer[])[await GetAsync(bucket, "/"), signed])
        {
            Assert.Equal((403, "AccessDenied"), (answer.Status, answer.Header("x-amz-error-code")));
            Assert.DoesNotContain("secret", answer.Text, StringComparison.Ordinal);
        }
        await node.Client.PutObjectAclAsync(new() { BucketName = bucket, Key = "index.html", ACL = S3CannedACL.PublicRead });
        Assert.Equal("secret", (await GetAsync(bucket, "/")).Text);
        await node.Client.PutPublicAccessBlockAsync(new() { BucketName = bucket, PublicAccessBlockConfiguration = new() { IgnorePublicAcls = true } });
        Assert.Equal(403, (await GetAsync(bucket, "/")).Status);
    }

    [Theory]
    [InlineData("PUT")]
    [InlineData("POST")]
    [InlineData("DELETE")]
    [InlineData("OPTIONS")]
    public async Task A_site_is_read_and_nothing_else(string method)
    {
        var bucket = await NewSiteAsync(Plain, keys: ["index.html", "error.html"]);
        await node.Client.PutBucketAclAsync(new() { BucketName = bucket, ACL = S3CannedACL.PublicReadWrite });
        var answer = await SendAsync(method, $"{bucket}.{Domain}", "/index.html");
        Assert.Equal((405, "GET, HEAD", "MethodNotAllowed"), (answer.Status, answer.Header("Allow"), answer.Header("x-amz-error-code")));
        Assert.Equal("index.html", (await GetAsync(bucket, "/")).Text);
    }

    [Fact]
    public async Task Everything_can_be_redirected()
    {
        var bucket = await NewSiteAsync("<RedirectAllRequestsTo><HostName>other.test</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>", keys: ["index.html"]);
        var answer = await GetAsync(bucket, "/a%20b?c");
        Assert.Equal((301, "https://other.test/a%20b"), (answer.Status, answer.Header("Location")));
    }

    [Fact]
    public async Task Rules_redirect_by_prefix_and_by_error()
    {
        var bucket = await NewSiteAsync(Plain + """
            <RoutingRules>
              <RoutingRule><Condition><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith><HttpRedirectCode>307</HttpRedirectCode></Redirect></RoutingRule>
              <RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect><HostName>other.test</HostName><ReplaceKeyWith>gone</ReplaceKeyWith></Redirect></RoutingRule>
            </RoutingRules>
            """, keys: ["docs/a", "old/there", "old/folder/index.html", "error.html"]);
        async Task<string> AskAsync(string path) => await GetAsync(bucket, path) is var answer && answer.Header("Location") is { } to ? $"{answer.Status} {to}" : $"{answer.Status} {answer.Text}";
        Assert.Equal("307 /documents/a", await AskAsync("/docs/a"));
        Assert.Equal("200 old/there", await AskAsync("/old/there"));
        Assert.Equal("301 http://other.test/gone", await AskAsync("/old/missing"));
        Assert.Equal("302 /old/folder/", await AskAsync("/old/folder"));
        Assert.Equal("404 error.html", await AskAsync("/missing"));
    }

    [Fact]
    public async Task An_object_may_be_a_redirect()
    {
        var bucket = await NewSiteAsync(Plain);
        foreach (var (key, location) in ((string, string)[])[("page", "/other page"), ("away", "https://other.test/x?y#z")])
        {
            Assert.Equal(200, (await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/{key}").With("x-amz-website-redirect-location", location).WithBody("body"))).Status);
            var answer = await GetAsync(bucket, "/" + key);
            Assert.Equal((301, location, ""), (answer.Status, answer.Header("Location"), answer.Text));
            // To S3's own clients it is an object as any other.
            Assert.Equal(("body", location), (await node.Raw.GetAsync($"/{bucket}/{key}") is var plain ? (plain.Text, plain.Header("x-amz-website-redirect-location")) : default));
        }
        foreach (var location in (string[])["javascript:alert(1)", "other", "ftp://other.test/", "/" + new string('a', 2048)])
            Assert.Equal((400, "InvalidRedirectLocation"), (await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/bad").With("x-amz-website-redirect-location", location))).Error);
    }

    [Fact]
    public async Task A_domain_that_is_configured_is_the_site_of_the_bucket_of_its_name()
    {
        await NewSiteAsync(Plain, name: "www.custom.test", keys: ["index.html"]);
        foreach (var host in (string[])["www.custom.test", "WWW.custom.test:8080"]) Assert.Equal("index.html", (await SendAsync("GET", host, "/")).Text);
        // Any other host is S3's, whatever buckets there are.
        await NewSiteAsync(Plain, name: "other.custom.test", keys: ["index.html"]);
        Assert.Equal((403, "AccessDenied"), (await SendAsync("GET", "other.custom.test", "/")).Error);
        Assert.Equal("index.html", (await SendAsync("GET", "other.custom.test", "/other.custom.test/index.html")).Text);
        Assert.Equal("index.html", (await SendAsync("GET", "www.custom.test.s3.example.test", "/index.html")).Text);
    }

    [Fact]
    public async Task A_page_of_another_origin_may_read_where_the_bucket_says_so()
    {
        var bucket = await NewSiteAsync(Plain, keys: ["index.html"]);
        await node.Client.PutCORSConfigurationAsync(bucket, new() { Rules = [new() { AllowedOrigins = ["*"], AllowedMethods = ["GET"] }] });
        foreach (var path in (string[])["/", "/missing"]) Assert.Equal("*", (await GetAsync(bucket, path, ("Origin", "http://page.test"))).Header("Access-Control-Allow-Origin"));
    }

    [Fact]
    public async Task The_command_line_client_makes_a_site()
    {
        var bucket = await NewSiteAsync("", keys: ["start.html", "oops.html"]);
        await new AwsCli(node.Node).RunAsync("s3", "website", $"s3://{bucket}", "--index-document", "start.html", "--error-document", "oops.html");
        Assert.Equal("start.html", (await GetAsync(bucket, "/")).Text);
        Assert.Equal((404, "oops.html"), (await GetAsync(bucket, "/missing") is var answer ? (answer.Status, answer.Text) : default));
        await new AwsCli(node.Node).S3ApiAsync("delete-bucket-website", "--bucket", bucket);
        Assert.Equal("NoSuchWebsiteConfiguration", (await GetAsync(bucket, "/")).Header("x-amz-error-code"));
    }
}
