using System.Globalization;
using System.Net.Http.Headers;

namespace DarkStorage.Conformance;

/// <summary>Uploads from browsers' forms.</summary>
public sealed class PostObjectTests(NodeFixture node)
{
    private const string AnyKey = """["starts-with", "$key", ""]""";
    private static readonly HttpClient Http = new();

    private async Task<RawAnswer> SendAsync(RawForm form, string bucket) => await node.Raw.SendAsync(form.ToRequest(bucket));

    private async Task RequireNothingStoredAsync(string bucket)
    {
        Assert.Empty((await node.Raw.GetAsync($"/{bucket}")).Elements("Contents"));
        Assert.Empty((await node.Raw.GetAsync($"/{bucket}?versions")).Elements("Version"));
    }

    [Fact]
    public async Task A_form_of_signature_version_2_is_taken_and_held_to_its_policy()
    {
        var bucket = await node.Client.NewBucketAsync();
        var policy = Convert.ToBase64String(Encoding.UTF8.GetBytes(
            $$"""{"expiration":"{{DateTime.UtcNow.AddMinutes(5):yyyy-MM-ddTHH:mm:ssZ}}","conditions":[{"bucket":"{{bucket}}"},["starts-with","$key","in/"],{"acl":"private"}]}"""));
        var signature = Convert.ToBase64String(System.Security.Cryptography.HMACSHA1.HashData(Encoding.UTF8.GetBytes(node.Node.Settings.SecretKey), Encoding.UTF8.GetBytes(policy)));
        RawForm Form(string key) => new RawForm().With("key", key).With("acl", "private").With("AWSAccessKeyId", node.Node.Settings.AccessKey).With("policy", policy);
        Assert.Equal(204, (await SendAsync(Form("in/key").With("signature", signature), bucket)).Status);
        Assert.Equal("content", await node.Client.GetTextAsync(bucket, "in/key"));
        Assert.Equal((403, "AccessDenied"), (await SendAsync(Form("out/key").With("signature", signature), bucket)).Error);
        Assert.Equal((403, "SignatureDoesNotMatch"), (await SendAsync(Form("in/other").With("signature", Convert.ToBase64String(new byte[20])), bucket)).Error);
        Assert.Equal((400, "InvalidArgument"), (await SendAsync(Form("in/other"), bucket)).Error);
        Assert.Single((await node.Client.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects);
    }

    [Fact]
    public async Task A_form_that_is_signed_stores_its_file()
    {
        var bucket = await node.Client.NewBucketAsync();
        var answer = await SendAsync(new RawForm().With("key", "a/b c").SignedBy(node.Raw, bucket), bucket);
        Assert.Equal((204, ""), (answer.Status, answer.Text));
        Assert.Equal("content", await node.Client.GetTextAsync(bucket, "a/b c"));
        Assert.Equal($"\"{Convert.ToHexStringLower(System.Security.Cryptography.MD5.HashData("content"u8))}\"", answer.Header("ETag"));
        Assert.Equal($"http://{node.Raw.Host}/{bucket}/a/b%20c", answer.Header("Location"));
        Assert.Equal("binary/octet-stream", (await node.Client.GetObjectMetadataAsync(bucket, "a/b c")).Headers.ContentType);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4_096)]
    [InlineData(65_535)]
    [InlineData(20 << 20)]
    public async Task A_file_of_any_size_comes_whole(int length)
    {
        var bucket = await node.Client.NewBucketAsync();
        var content = S3Clients.Content(length);
        Assert.Equal(204, (await SendAsync(new RawForm().With("key", "key").WithFile(content).SignedBy(node.Raw, bucket), bucket)).Status);
        Assert.True(content.Same(await node.Client.GetBytesAsync(bucket, "key")));
    }

    [Fact]
    public async Task A_file_may_hold_what_looks_like_boundaries()
    {
        var bucket = await node.Client.NewBucketAsync();
        var form = new RawForm().With("key", "key");
        var content = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat($"\r\n--{form.Boundary[..^1]}\r\n--\r\n-\r\n", 9_000)));
        Assert.Equal(204, (await SendAsync(form.WithFile(content).SignedBy(node.Raw, bucket), bucket)).Status);
        Assert.True(content.Same(await node.Client.GetBytesAsync(bucket, "key")));
    }

    [Fact]
    public async Task The_fields_are_the_objects_headers()
    {
        var bucket = await node.Client.NewBucketAsync();
        var form = new RawForm().With("KEY", "key").With("acl", "public-read").With("content-type", "text/x-own").With("Cache-Control", "no-store").With("Content-Disposition", "attachment")
            .With("Content-Encoding", "gzip").With("Expires", "Thu, 01 Dec 2033 16:00:00 GMT").With("x-amz-meta-name", "wärt").With("X-Amz-Storage-Class", "STANDARD_IA")
            .With("tagging", "<Tagging><TagSet><Tag><Key>a &amp; b</Key><Value>c=d</Value></Tag></TagSet></Tagging>").With("x-amz-website-redirect-location", "/there")
            .With("x-amz-server-side-encryption", "AES256").With("x-amz-checksum-sha256", Checksums.Base64("SHA256", "content"u8)).With("x-ignore-me", "1").With("success_action_status", "200");
        var answer = await SendAsync(form.SignedBy(node.Raw, bucket), bucket);
        Assert.Equal((200, ""), (answer.Status, answer.Text));
        Assert.Equal("AES256", answer.Header("x-amz-server-side-encryption"));
        Assert.Equal(Checksums.Base64("SHA256", "content"u8), answer.Header("x-amz-checksum-sha256"));
        var head = await node.Raw.HeadAsync($"/{bucket}/key");
        foreach (var (name, value) in ((string, string)[])
        [
            ("Content-Type", "text/x-own"), ("Cache-Control", "no-store"), ("Content-Disposition", "attachment"), ("Content-Encoding", "gzip"), ("Expires", "Thu, 01 Dec 2033 16:00:00 GMT"), ("x-amz-meta-name", "wärt"),
            ("x-amz-storage-class", "STANDARD_IA"), ("x-amz-tagging-count", "1"), ("x-amz-website-redirect-location", "/there"), ("x-amz-server-side-encryption", "AES256"),
        ])
            Assert.Equal(value, head.Header(name));
        var tag = Assert.Single((await node.Client.GetObjectTaggingAsync(new() { BucketName = bucket, Key = "key" })).Tagging);
        Assert.Equal(("a & b", "c=d"), (tag.Key, tag.Value));
        Assert.Equal("content", (await node.Node.AnonymousAsync("GET", $"/{bucket}/key")).Text);
    }

    [Fact]
    public async Task Headers_of_the_request_change_nothing_that_the_policy_covers()
    {
        var bucket = await node.Client.NewBucketAsync();
        var request = new RawForm().With("key", "key").SignedBy(node.Raw, bucket).ToRequest(bucket);
        request.With("x-amz-acl", "public-read").With("x-amz-meta-name", "value").With("x-amz-storage-class", "GLACIER").With("Content-Encoding", "gzip");
        Assert.Equal(204, (await node.Raw.SendAsync(request)).Status);
        var head = await node.Raw.HeadAsync($"/{bucket}/key");
        Assert.Equal((null, null, null), (head.Header("x-amz-meta-name"), head.Header("x-amz-storage-class"), head.Header("Content-Encoding")));
        Assert.Equal(403, (await node.Node.AnonymousAsync("GET", $"/{bucket}/key")).Status);
    }

    [Fact]
    public async Task Object_lock_and_a_customers_key_go_with_a_form_too()
    {
        var bucket = S3Clients.NewBucketName();
        await node.Client.PutBucketAsync(new PutBucketRequest { BucketName = bucket, ObjectLockEnabledForBucket = true });
        var key = S3Clients.Content(32);
        var md5 = Convert.ToBase64String(System.Security.Cryptography.MD5.HashData(key));
        var form = new RawForm().With("key", "key").With("x-amz-object-lock-legal-hold", "ON").With("x-amz-server-side-encryption-customer-algorithm", "AES256")
            .With("x-amz-server-side-encryption-customer-key", Convert.ToBase64String(key)).With("x-amz-server-side-encryption-customer-key-MD5", md5);
        var answer = await SendAsync(form.SignedBy(node.Raw, bucket), bucket);
        Assert.Equal((204, md5), (answer.Status, answer.Header("x-amz-server-side-encryption-customer-key-MD5")));
        Assert.NotNull(answer.Header("x-amz-version-id"));
        Assert.Equal("ON", (await node.Client.GetObjectLegalHoldAsync(new() { BucketName = bucket, Key = "key" })).LegalHold.Status.Value);
        Assert.Equal((400, "InvalidRequest"), (await node.Raw.GetAsync($"/{bucket}/key")).Error);
    }

    [Theory]
    [InlineData("", 204)]
    [InlineData("200", 200)]
    [InlineData("204", 204)]
    [InlineData("404", 204)]
    [InlineData("500", 204)]
    public async Task The_form_chooses_among_the_statuses_of_success(string wanted, int status)
    {
        var bucket = await node.Client.NewBucketAsync();
        var answer = await SendAsync(new RawForm().With("key", "key").With("success_action_status", wanted).SignedBy(node.Raw, bucket), bucket);
        Assert.Equal((status, ""), (answer.Status, answer.Text));
    }

    [Fact]
    public async Task Created_says_what_was_made()
    {
        var bucket = await node.Client.NewBucketAsync();
        var answer = await SendAsync(new RawForm().With("key", "a/ü&").With("success_action_status", "201").SignedBy(node.Raw, bucket), bucket);
        Assert.Equal((201, "PostResponse"), (answer.Status, answer.Xml.Name.LocalName));
        Assert.Equal((bucket, "a/ü&"), (answer.Element("Bucket"), answer.Element("Key")));
        Assert.Equal((answer.Header("Location"), answer.Header("ETag")), (answer.Element("Location"), answer.Element("ETag")));
        Assert.Equal("content", (await node.Raw.GetAsync(new Uri(answer.Element("Location")!).PathAndQuery)).Text);
    }

    [Theory]
    [InlineData("https://example.test/done", "https://example.test/done?bucket={0}&key=a%2Fb%20c&etag=%22{1}%22")]
    [InlineData("http://example.test/done?x=1#top", "http://example.test/done?x=1&bucket={0}&key=a%2Fb%20c&etag=%22{1}%22#top")]
    [InlineData("http://exämple.test/ü", "http://xn--exmple-cua.test/%C3%BC?bucket={0}&key=a%2Fb%20c&etag=%22{1}%22")]
    [InlineData("javascript:alert(1)", null)]
    [InlineData("//example.test/", null)]
    [InlineData("ftp://example.test/", null)]
    [InlineData("file:///etc/passwd", null)]
    [InlineData("http://", null)]
    public async Task The_browser_is_sent_on_to_a_page_of_the_web_and_nowhere_else(string redirect, string? location)
    {
        foreach (var field in (string[])["success_action_redirect", "redirect"])
        {
            var bucket = await node.Client.NewBucketAsync();
            var answer = await SendAsync(new RawForm().With("key", "a/b c").With(field, redirect).SignedBy(node.Raw, bucket), bucket);
            if (location is null) Assert.Equal((204, $"http://{node.Raw.Host}/{bucket}/a/b%20c"), (answer.Status, answer.Header("Location")));
            else Assert.Equal((303, string.Format(CultureInfo.InvariantCulture, location, bucket, answer.Header("ETag")!.Trim('"'))), (answer.Status, answer.Header("Location")));
            Assert.Equal("content", await node.Client.GetTextAsync(bucket, "a/b c"));
        }
    }

    [Theory]
    [InlineData("photo.jpg", "photo.jpg")]
    [InlineData("C:\\My Pictures\\photo.jpg", "photo.jpg")]
    [InlineData("/home/me/../photo.jpg", "photo.jpg")]
    [InlineData("grüße 你好.txt", "grüße 你好.txt")]
    public async Task The_files_name_goes_into_the_key(string fileName, string inKey)
    {
        var bucket = await node.Client.NewBucketAsync();
        var form = new RawForm { FileName = fileName }.With("key", "of/${filename}/x").SignedFor(node.Raw, bucket, """["starts-with", "$key", "of/"]""");
        Assert.Equal(204, (await SendAsync(form, bucket)).Status);
        Assert.Equal("content", await node.Client.GetTextAsync(bucket, $"of/{inKey}/x"));
    }

    [Fact]
    public async Task A_policy_is_about_the_key_with_the_files_name_in_it()
    {
        var bucket = await node.Client.NewBucketAsync();
        var form = new RawForm { FileName = "wrong" }.With("key", "${filename}").SignedFor(node.Raw, bucket, """["starts-with", "$key", "right"]""");
        Assert.Equal((403, "AccessDenied"), (await SendAsync(form, bucket)).Error);
        await RequireNothingStoredAsync(bucket);
    }

    [Theory]
    [InlineData("""{"acl": "private"}""", "acl", "private", 204)]
    [InlineData("""{"aCl": "private"}""", "ACL", "private", 204)]
    [InlineData("""["eq", "$acl", "private"]""", "acl", "private", 204)]
    [InlineData("""["EQ", "$aCL", "private"]""", "acl", "private", 204)]
    [InlineData("""["eq", "$acl", "private"]""", "acl", "public-read", 403)]
    [InlineData("""["starts-with", "$Content-Type", "image/"]""", "Content-Type", "image/png", 204)]
    [InlineData("""["starts-with", "$Content-Type", "image/"]""", "Content-Type", "image/png,image/gif", 204)]
    [InlineData("""["starts-with", "$Content-Type", "image/"]""", "Content-Type", "image/png, text/html", 403)]
    [InlineData("""["starts-with", "$Content-Type", "image/"]""", "Content-Type", "text/html", 403)]
    [InlineData("""["starts-with", "$x-amz-meta-a", ""]""", "x-amz-meta-a", "anything", 204)]
    [InlineData("""["starts-with", "$x-amz-meta-a", ""]""", "x-amz-meta-b", "anything", 403)]
    [InlineData("""["starts-with", "$x-amz-meta-a", "\$\u0061"]""", "x-amz-meta-a", "$a", 204)]
    [InlineData("""["starts-with", "$x-amz-meta-a", "\\$a"]""", "x-amz-meta-a", "\\$a", 204)]
    public async Task A_field_is_taken_where_a_condition_of_the_policy_covers_it(string condition, string field, string value, int status)
    {
        var bucket = await node.Client.NewBucketAsync();
        var answer = await SendAsync(new RawForm().With("key", "key").With(field, value).SignedFor(node.Raw, bucket, condition, AnyKey), bucket);
        Assert.Equal(status, answer.Status);
        if (status == 403) await RequireNothingStoredAsync(bucket);
    }

    [Fact]
    public async Task A_policy_says_in_AWSs_words_what_it_refuses()
    {
        var bucket = await node.Client.NewBucketAsync();
        async Task<string> MessageAsync(RawForm form)
        {
            var answer = await SendAsync(form, bucket);
            Assert.Equal((403, "AccessDenied"), answer.Error);
            return answer.Element("Message")!;
        }
        Assert.Equal("Invalid according to Policy: Extra input fields: x-amz-meta-a", await MessageAsync(new RawForm().With("key", "a").With("x-amz-meta-a", "b").SignedFor(node.Raw, bucket, AnyKey)));
        Assert.Equal("Invalid according to Policy: Extra input fields: Submit", await MessageAsync(new RawForm().With("key", "a").With("Submit", "Send").SignedFor(node.Raw, bucket, AnyKey)));
        Assert.Equal("""Invalid according to Policy: Policy Condition failed: ["eq", "$key", "a"]""", await MessageAsync(new RawForm().With("key", "b").SignedFor(node.Raw, bucket, """{"key": "a"}""")));
        Assert.Equal("""Invalid according to Policy: Policy Condition failed: ["starts-with", "$key", "a"]""", await MessageAsync(new RawForm().With("key", "b").SignedFor(node.Raw, bucket, """["starts-with", "$key", "a"]""")));
        var other = await node.Client.NewBucketAsync();
        Assert.Equal($"""Invalid according to Policy: Policy Condition failed: ["eq", "$bucket", "{other}"]""", await MessageAsync(new RawForm().With("key", "b").SignedFor(node.Raw, other, AnyKey)));
        Assert.Equal("Invalid according to Policy: Policy expired.", await MessageAsync(Signed("""{"expiration": "2020-01-01T00:00:00Z", "conditions": []}""")));
        Assert.StartsWith("Invalid according to Policy: Extra input fields: bucket, key", await MessageAsync(Signed("""{"expiration": "2120-01-01T00:00:00.000Z", "conditions": []}""")), StringComparison.Ordinal);
        await RequireNothingStoredAsync(bucket);
    }

    [Theory]
    [InlineData("")]
    [InlineData("no JSON")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("""{"conditions": []}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z"}""")]
    [InlineData("""{"EXPIRATION": "2120-01-01T00:00:00Z", "conditions": []}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "CONDITIONS": []}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [], "more": 1}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [], "conditions": []}""")]
    [InlineData("""{"expiration": "Thu, 01 Dec 2120 16:00:00 GMT", "conditions": []}""")]
    [InlineData("""{"expiration": 4, "conditions": []}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": {}}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [{}]}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [{"a": "b", "c": "d"}]}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [{"a": 1}]}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [[]]}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [["eq", "key", "a"]]}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [["ends-with", "$key", "a"]]}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [["eq", "$key", "a", "b"]]}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [["eq", "$key", "\ud800"]]}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [["content-length-range", 1]]}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [["content-length-range", -1, 5]]}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [["content-length-range", 1, "x"]]}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [["content-length-range", 1, 99999999999999999999]]}""")]
    [InlineData("""{"expiration": "2120-01-01T00:00:00Z", "conditions": [[[[[[[["eq"]]]]]]]]}""")]
    public async Task A_policy_that_is_none_is_refused(string document)
    {
        var bucket = await node.Client.NewBucketAsync();
        Assert.Equal((400, "InvalidPolicyDocument"), (await SendAsync(Signed(document), bucket)).Error);
        await RequireNothingStoredAsync(bucket);
    }

    private RawForm Signed(string document)
    {
        var form = new RawForm().With("key", "key");
        node.Raw.SignPolicy(form, document);
        return form;
    }

    [Theory]
    [InlineData(4, 204, "")]
    [InlineData(8, 204, "")]
    [InlineData(3, 400, "EntityTooSmall")]
    [InlineData(0, 400, "EntityTooSmall")]
    [InlineData(9, 400, "EntityTooLarge")]
    [InlineData(5 << 20, 400, "EntityTooLarge")]
    public async Task The_policy_bounds_the_length_of_the_file(int length, int status, string code)
    {
        foreach (var range in (string[])["""["content-length-range", 4, 8]""", """["Content-Length-Range", "4", "8"]"""])
        {
            var bucket = await node.Client.NewBucketAsync();
            var answer = await SendAsync(new RawForm().With("key", "key").WithFile(S3Clients.Content(length)).SignedBy(node.Raw, bucket, range), bucket);
            Assert.Equal((status, code), answer.Error);
            if (status == 204) continue;
            Assert.Equal(code == "EntityTooSmall" ? "4" : "8", answer.Element(code == "EntityTooSmall" ? "MinSizeAllowed" : "MaxSizeAllowed"));
            await RequireNothingStoredAsync(bucket);
        }
    }

    [Fact]
    public async Task Who_did_not_sign_it_so_is_refused()
    {
        var bucket = await node.Client.NewBucketAsync();
        var user = await node.Node.NewUserAsync();
        async Task RefusedAsync(int status, string code, Action<RawForm> change, RawS3? by = null)
        {
            var form = new RawForm().With("key", "key").SignedBy(by ?? node.Raw, bucket);
            change(form);
            Assert.Equal((status, code), (await SendAsync(form, bucket)).Error);
        }
        static void Set(RawForm form, string field, Func<string, string> to)
        {
            var i = form.Fields.FindIndex(f => f.Key == field);
            form.Fields[i] = new(field, to(form.Fields[i].Value));
        }
        await RefusedAsync(403, "AccessDenied", _ => { }, node.Node.Raw(user));
        await RefusedAsync(403, "SignatureDoesNotMatch", f => Set(f, "x-amz-signature", s => s[..^1] + (s[^1] == '0' ? '1' : '0')));
        await RefusedAsync(403, "SignatureDoesNotMatch", f => Set(f, "x-amz-signature", _ => ""));
        await RefusedAsync(403, "SignatureDoesNotMatch", f => Set(f, "x-amz-signature", s => s.ToUpperInvariant()));
        await RefusedAsync(403, "SignatureDoesNotMatch", f => Set(f, "policy", p => p + "\n"));
        await RefusedAsync(403, "SignatureDoesNotMatch", _ => { }, node.Raw.As(node.Node.Settings.AccessKey, "wrong"));
        await RefusedAsync(403, "InvalidAccessKeyId", _ => { }, node.Raw.As("nobody", "wrong"));
        await RefusedAsync(400, "InvalidArgument", f => f.Without("x-amz-signature"));
        await RefusedAsync(400, "InvalidArgument", f => f.Without("policy"));
        await RefusedAsync(400, "InvalidArgument", f => f.Without("x-amz-credential"));
        await RefusedAsync(400, "InvalidArgument", f => f.Without("x-amz-algorithm"));
        await RefusedAsync(400, "InvalidArgument", f => f.Without("x-amz-date"));
        await RefusedAsync(400, "InvalidArgument", f => Set(f, "x-amz-algorithm", _ => "AWS4-HMAC-SHA1"));
        await RefusedAsync(400, "InvalidArgument", f => Set(f, "x-amz-date", _ => "today"));
        await RefusedAsync(400, "InvalidArgument", f => Set(f, "x-amz-date", _ => "20200101T000000Z"));
        await RefusedAsync(400, "InvalidArgument", f => Set(f, "x-amz-credential", _ => "a/b/c"));
        await RefusedAsync(400, "InvalidArgument", f => Set(f, "x-amz-credential", c => c.Replace("us-east-1", "eu-central-1", StringComparison.Ordinal)));
        await RefusedAsync(400, "InvalidArgument", f => Set(f, "x-amz-credential", c => c.Replace("/s3/", "/sts/", StringComparison.Ordinal)));
        await RefusedAsync(400, "InvalidArgument", f => f.With("AWSAccessKeyId", "key").With("signature", "x"));
        await RequireNothingStoredAsync(bucket);
    }

    [Fact]
    public async Task A_user_uploads_with_a_form_what_their_policies_allow()
    {
        var user = await node.Node.NewUserAsync();
        using var theirs = node.Node.S3(user);
        var bucket = await theirs.NewBucketAsync();
        Assert.Equal(204, (await SendAsync(new RawForm().With("key", "key").SignedBy(node.Node.Raw(user), bucket), bucket)).Status);
        await node.Client.PutBucketPolicyAsync(bucket, $$"""
            {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::{{bucket}}/*",
              "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"} } }, {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::{{bucket}}/header",
              "Condition": {"StringEquals": {"s3:authType": "POST"} } }]}
            """);
        Assert.Equal((403, "AccessDenied"), (await SendAsync(new RawForm().With("key", "plain").SignedBy(node.Node.Raw(user), bucket), bucket)).Error);
        Assert.Equal(204, (await SendAsync(new RawForm().With("key", "sealed").With("x-amz-server-side-encryption", "AES256").SignedBy(node.Node.Raw(user), bucket), bucket)).Status);
        Assert.Equal((403, "AccessDenied"), (await SendAsync(new RawForm().With("key", "header").With("x-amz-server-side-encryption", "AES256").SignedBy(node.Node.Raw(user), bucket), bucket)).Error);
        Assert.Equal(["key", "sealed"], (await node.Raw.GetAsync($"/{bucket}")).Elements("Key"));
    }

    [Fact]
    public async Task An_anonymous_form_is_decided_as_an_anonymous_PutObject()
    {
        var bucket = await node.Client.NewBucketAsync();
        Assert.Equal((403, "AccessDenied"), (await SendAsync(new RawForm().With("key", "in/key"), bucket)).Error);
        await node.Client.PutBucketPolicyAsync(bucket, $$"""{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::{{bucket}}/in/*"}]}""");
        Assert.Equal(204, (await SendAsync(new RawForm().With("key", "in/key").With("Submit", "Send"), bucket)).Status);
        Assert.Equal((403, "AccessDenied"), (await SendAsync(new RawForm().With("key", "out/key"), bucket)).Error);
        Assert.Equal((403, "AccessDenied"), (await SendAsync(new RawForm().With("key", "in/public").With("acl", "public-read"), bucket)).Error);
        Assert.Equal(["in/key"], (await node.Raw.GetAsync($"/{bucket}")).Elements("Key"));
        Assert.Equal((404, "NoSuchBucket"), (await SendAsync(new RawForm().With("key", "in/key"), S3Clients.NewBucketName())).Error);
    }

    [Fact]
    public async Task A_form_takes_no_other_signature_than_its_own()
    {
        var bucket = await node.Client.NewBucketAsync();
        var request = new RawForm().With("key", "key").ToRequest(bucket);
        request.Sign = true;
        Assert.Equal((400, "InvalidRequest"), (await node.Raw.SendAsync(request)).Error);
        await RequireNothingStoredAsync(bucket);
    }

    [Fact]
    public async Task A_page_of_another_origin_may_look_at_the_answer_where_the_bucket_says_so()
    {
        var bucket = await node.Client.NewBucketAsync();
        await node.Client.PutCORSConfigurationAsync(bucket, new() { Rules = [new() { AllowedOrigins = ["http://page.test"], AllowedMethods = ["POST"], ExposeHeaders = ["ETag"] }] });
        var good = await node.Raw.SendAsync(new RawForm().With("key", "key").SignedBy(node.Raw, bucket).ToRequest(bucket).With("Origin", "http://page.test"));
        var bad = await node.Raw.SendAsync(new RawForm().With("key", "key").ToRequest(bucket).With("Origin", "http://page.test"));
        foreach (var answer in (RawAnswer[])[good, bad]) Assert.Equal(("http://page.test", "ETag"), (answer.Header("Access-Control-Allow-Origin"), answer.Header("Access-Control-Expose-Headers")));
        Assert.Equal((204, 403), (good.Status, bad.Status));
    }

    [Fact]
    public async Task Conditions_on_the_request_hold()
    {
        var bucket = await node.Client.NewBucketAsync();
        RawRequest Form() => new RawForm().With("key", "key").SignedBy(node.Raw, bucket).ToRequest(bucket).With("If-None-Match", "*");
        Assert.Equal(204, (await node.Raw.SendAsync(Form())).Status);
        Assert.Equal((412, "PreconditionFailed"), (await node.Raw.SendAsync(Form())).Error);
        Assert.Equal((403, "AccessDenied"), (await node.Raw.SendAsync(new RawForm().With("key", "key").SignedBy(node.Raw, bucket).ToRequest(bucket).With("x-amz-expected-bucket-owner", "somebody"))).Error);
    }

    [Fact]
    public async Task A_bucket_policy_may_ask_how_old_a_forms_signature_is_and_the_forms_query_does_not_tell()
    {
        var bucket = await node.Client.NewBucketAsync();
        await node.Client.PutBucketPolicyAsync(bucket, $$$$"""
            {"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::{{{{bucket}}}}/*","Condition":{"NumericGreaterThan":{"s3:signatureAge":"600000"}}}]}
            """);
        RawForm Form() => new RawForm().With("key", "key");
        var now = DateTimeOffset.UtcNow;
        Assert.Equal(204, (await node.Raw.SendAsync(Form().SignedAt(now, node.Raw, bucket).ToRequest(bucket))).Status);
        var old = Form().SignedAt(now.AddHours(-1), node.Raw, bucket);
        Assert.Equal((403, "AccessDenied"), (await node.Raw.SendAsync(old.ToRequest(bucket))).Error);
        Assert.Equal((403, "AccessDenied"), (await node.Raw.SendAsync(old.ToRequest($"{bucket}?X-Amz-Date={now:yyyyMMdd'T'HHmmss'Z'}"))).Error);
    }

    /// <summary>Forms that are none, by what is wrong with them.</summary>
    public static TheoryData<string, int, string> Malformed => new()
    {
        { "no file", 400, "InvalidArgument" },
        { "two files", 400, "InvalidArgument" },
        { "no key", 400, "InvalidArgument" },
        { "empty key", 400, "InvalidArgument" },
        { "a key with NUL", 400, "InvalidArgument" },
        { "key after the file", 400, "InvalidArgument" },
        { "long key", 400, "KeyTooLongError" },
        { "a field twice", 400, "InvalidArgument" },
        { "an ACL by both its names", 400, "InvalidArgument" },
        { "a field that is no header", 400, "InvalidArgument" },
        { "a value that is no header", 400, "InvalidArgument" },
        { "large fields", 400, "MaxPostPreDataLengthExceededError" },
        { "many fields", 400, "MaxPostPreDataLengthExceededError" },
        { "a name that grows", 400, "MaxPostPreDataLengthExceededError" },
        { "a long head", 400, "MalformedPOSTRequest" },
        { "no UTF-8", 400, "MalformedPOSTRequest" },
        { "no disposition", 400, "MalformedPOSTRequest" },
        { "no name", 400, "MalformedPOSTRequest" },
        { "another disposition", 400, "MalformedPOSTRequest" },
        { "no end", 400, "MalformedPOSTRequest" },
        { "an end in the file", 400, "MalformedPOSTRequest" },
        { "an end in a field", 400, "MalformedPOSTRequest" },
        { "another boundary", 400, "MalformedPOSTRequest" },
        { "no boundary", 400, "MalformedPOSTRequest" },
        { "a long boundary", 400, "MalformedPOSTRequest" },
        { "no type", 412, "PreconditionFailed" },
        { "another type", 412, "PreconditionFailed" },
        { "no length", 411, "MissingContentLength" },
        { "an empty body", 400, "MalformedPOSTRequest" },
        { "a wrong MD5", 400, "BadDigest" },
        { "a wrong checksum", 400, "BadDigest" },
        { "bad tags", 400, "MalformedXML" },
        { "an unknown ACL", 400, "InvalidArgument" },
        { "an unknown storage class", 400, "InvalidStorageClass" },
    };

    [Theory, MemberData(nameof(Malformed))]
    public async Task A_form_that_is_wrong_stores_nothing(string wrong, int status, string code)
    {
        var bucket = await node.Client.NewBucketAsync();
        await node.Client.PutBucketAclAsync(new() { BucketName = bucket, ACL = S3CannedACL.PublicReadWrite });
        Assert.Equal((status, code), (await node.Raw.SendAsync(Broken(wrong, bucket))).Error);
        await RequireNothingStoredAsync(bucket);
    }

    private static RawRequest Broken(string wrong, string bucket)
    {
        const string Head = "Content-Disposition: form-data; name=";
        var form = new RawForm().WithFile(S3Clients.Content(200_000)).With("key", "key");
        switch (wrong)
        {
            case "no file": form.File = null; break;
            case "two files": form.After.Add($"{Head}\"file\"; filename=\"b\"\r\n\r\nmore"); break;
            case "no key": form.Without("key"); break;
            case "empty key": form.Without("key").With("key", ""); break;
            case "a key with NUL": form.Without("key").With("key", "a\0b"); break;
            case "key after the file": form.Without("key").After.Add($"{Head}\"key\"\r\n\r\nkey"); break;
            case "long key": form.Without("key").With("key", new string('k', 1025)); break;
            case "a field twice": form.With("KEY", "other"); break;
            case "an ACL by both its names": form.With("acl", "private").With("x-amz-acl", "private"); break;
            case "a field that is no header": form.With("x-amz-meta-a:b", "c"); break;
            case "a value that is no header": form.With("x-amz-meta-a", "b\r\nSet-Cookie: c"); break;
            case "large fields": form.With("x-ignore-a", new string('a', 20 << 10)); break;
            case "many fields": for (var i = 0; i < 200; i++) form.With($"x-ignore-{i}", ""); break;
            case "a name that grows":
                form.FileName = new string('n', 1000);
                form.With("x-ignore-a", string.Concat(Enumerable.Repeat("${filename}", 100)));
                break;
            case "a long head": form.FileName = new string('n', 10_000); break;
            case "bad tags": form.With("tagging", "<Tagging/>"); break;
            case "an unknown ACL": form.With("acl", "everybody"); break;
            case "an unknown storage class": form.With("x-amz-storage-class", "COLD"); break;
            case "a wrong MD5": form.With("Content-MD5", Convert.ToBase64String(System.Security.Cryptography.MD5.HashData("other"u8))); break;
            case "a wrong checksum": form.With("x-amz-checksum-sha256", Checksums.Base64("SHA256", "other"u8)); break;
        }
        var request = form.ToRequest(bucket);
        var text = Encoding.Latin1.GetString(request.Body);
        RawRequest Replaced(string what, string by) => request.WithBody(Encoding.Latin1.GetBytes(text.Replace(what, by, StringComparison.Ordinal)));
        RawRequest Typed(string? type)
        {
            request.Headers.RemoveAll(h => h.Key == "Content-Type");
            return type is null ? request : request.With("Content-Type", type);
        }
        switch (wrong)
        {
            case "no UTF-8": return Replaced("\r\n\r\nkey\r\n", "\r\n\r\n\xff\xfe\r\n");
            case "no disposition": return Replaced($"{Head}\"key\"", "X: y");
            case "no name": return Replaced($"{Head}\"key\"", "Content-Disposition: form-data");
            case "another disposition": return Replaced($"{Head}\"key\"", "Content-Disposition: attachment; name=\"key\"");
            case "no end": return request.WithBody(request.Body[..^4]);
            case "an end in the file": return request.WithBody(request.Body[..150_000]);
            case "an end in a field": return request.WithBody(request.Body[..90]);
            case "another boundary": return Typed("multipart/form-data; boundary=other");
            case "no boundary": return Typed("multipart/form-data");
            case "a long boundary": return Typed($"multipart/form-data; boundary={new string('b', 1000)}");
            case "no type": return Typed(null);
            case "another type": return Typed("application/x-www-form-urlencoded");
            case "no length": request.TransferChunked = true; return request;
            case "an empty body": return request.WithBody(Array.Empty<byte>());
            default: return request;
        }
    }

    [Theory]
    [InlineData(100)]
    [InlineData(5_000)]
    [InlineData(5 << 20)]
    [InlineData(-40)]
    [InlineData(-5)]
    [InlineData(-3)]
    [InlineData(-1)]
    public async Task A_form_that_is_cut_off_with_its_connection_stores_nothing(int after)
    {
        var bucket = await node.Client.NewBucketAsync();
        RawRequest Form() => new RawForm().With("key", "key").WithFile(S3Clients.Content(6 << 20)).SignedBy(node.Raw, bucket).ToRequest(bucket);
        var request = Form();
        request.CutAfter = after > 0 ? after : request.Body.Length + after;
        try
        {
            Assert.Equal((400, "IncompleteBody"), (await node.Raw.SendAsync(request)).Error);
        }
        catch (IOException)
        {
            // To the node a client that has ended its half is gone; what it had begun is over when the connection ends.
        }
        await RequireNothingStoredAsync(bucket);
        Assert.Equal(204, (await node.Raw.SendAsync(Form())).Status);
        Assert.Equal(["key"], (await node.Raw.GetAsync($"/{bucket}")).Elements("Key"));
    }

    [Fact]
    public async Task What_follows_the_file_is_not_looked_at()
    {
        var bucket = await node.Client.NewBucketAsync();
        var form = new RawForm().With("key", "key").SignedBy(node.Raw, bucket);
        form.After.Add("Content-Disposition: form-data; name=\"acl\"\r\n\r\npublic-read");
        form.After.Add("Content-Disposition: form-data; name=\"Submit\"\r\n\r\n" + new string('s', 100_000));
        Assert.Equal(204, (await SendAsync(form, bucket)).Status);
        Assert.Equal(403, (await node.Node.AnonymousAsync("GET", $"/{bucket}/key")).Status);
    }

    [Fact]
    public async Task A_preamble_and_an_epilogue_are_skipped_and_the_boundary_may_be_in_quotes()
    {
        var bucket = await node.Client.NewBucketAsync();
        var form = new RawForm { Boundary = "a'b (c)+d,e=f?g" }.With("key", "key").SignedBy(node.Raw, bucket);
        var request = new RawRequest("POST", $"/{bucket}") { Sign = false }.With("Content-Type", $"Multipart/Form-Data; charset=utf-8; boundary=\"{form.Boundary}\"");
        request.WithBody([.. "This is a form.\r\n"u8, .. form.ToBytes(), .. "And that was it."u8]);
        Assert.Equal(204, (await node.Raw.SendAsync(request)).Status);
        Assert.Equal("content", await node.Client.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task DotNets_HttpClient_posts_what_the_SDK_presigned()
    {
        var bucket = await node.Client.NewBucketAsync();
        var post = await node.Client.CreatePresignedPostAsync(new()
        {
            BucketName = bucket,
            Key = "of/${filename}",
            Expires = DateTime.UtcNow.AddMinutes(5),
            Conditions = [S3PostCondition.StartsWith("key", "of/"), S3PostCondition.ContentLengthRange(1, 1 << 20), S3PostCondition.StartsWith("Content-Type", "text/")],
            Fields = new() { ["Content-Type"] = "text/x-own" },
        });
        using var good = Multipart(post.Fields, "content");
        using var answer = await Http.PostAsync(new Uri(post.Url), good);
        Assert.True(answer.StatusCode == HttpStatusCode.NoContent, await answer.Content.ReadAsStringAsync());
        Assert.Equal("content", await node.Client.GetTextAsync(bucket, "of/file.txt"));
        Assert.Equal("text/x-own", (await node.Client.GetObjectMetadataAsync(bucket, "of/file.txt")).Headers.ContentType);
        using var large = Multipart(post.Fields, new string('x', (1 << 20) + 1));
        using var refused = await Http.PostAsync(new Uri(post.Url), large);
        Assert.Equal(HttpStatusCode.BadRequest, refused.StatusCode);
        Assert.Contains("EntityTooLarge", await refused.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    private static MultipartFormDataContent Multipart(Dictionary<string, string> fields, string file)
    {
        var form = new MultipartFormDataContent();
        foreach (var (name, value) in fields) form.Add(new StringContent(value), name);
        var content = new ByteArrayContent(Encoding.UTF8.GetBytes(file));
        content.Headers.ContentType = new MediaTypeHeaderValue("text/plain");
        form.Add(content, "file", "file.txt");
        return form;
    }

    [Fact]
    public async Task Forms_that_are_broken_at_random_are_answered_and_never_by_a_failure()
    {
        const int Count = 400;
        var seed = Environment.GetEnvironmentVariable("DARKSTORAGE_TEST_SEED") is { } asked ? int.Parse(asked, CultureInfo.InvariantCulture) : Random.Shared.Next();
        var random = new Random(seed);
        var bucket = await node.Client.NewBucketAsync();
        await node.Client.PutBucketAclAsync(new() { BucketName = bucket, ACL = S3CannedACL.PublicReadWrite });
        for (var i = 0; i < Count; i++)
        {
            var form = new RawForm().With("key", $"{i}").WithFile(S3Clients.Content(random.Next(0, 3_000), i));
            foreach (var field in (string[])["acl", "success_action_redirect", "x-amz-meta-a", "tagging", "success_action_status", "x-amz-server-side-encryption", "Content-Type", "Expires"])
            {
                if (random.Next(3) == 0) form.With(random.Next(8) == 0 ? Junk() : field, random.Next(3) switch { 0 => "private", 1 => "http://example.test/?a#b", _ => Junk() });
            }
            if (random.Next(2) == 0) form.SignedBy(node.Raw, bucket);
            var body = form.ToBytes();
            for (var change = random.Next(6); change > 0 && body.Length > 0; change--) body = Change(body);
            var request = new RawRequest("POST", $"/{bucket}") { Sign = false }.With("Content-Type", $"multipart/form-data; boundary={form.Boundary}").WithBody(body);
            var answer = await node.Raw.SendAsync(request);
            Assert.True(answer.Status is >= 200 and < 500, $"DARKSTORAGE_TEST_SEED={seed}, form {i}: {answer}\nwas the answer to\n{Encoding.UTF8.GetString(body)}");
        }
        // What was taken can be given.
        foreach (var key in (await node.Raw.GetAsync($"/{bucket}?encoding-type=url")).Elements("Key"))
        {
            var answer = await node.Raw.GetAsync($"/{bucket}/{key}");
            Assert.True(answer.Status == 200, $"DARKSTORAGE_TEST_SEED={seed}: {key} was taken, and a GET answers {answer}");
        }

        string Junk() => string.Concat(Enumerable.Range(0, random.Next(12)).Select(_ => "a-$%{}\\\r\n\t\"\0:;=<&é你\u007f"[random.Next(20)]));
        byte[] Change(byte[] body)
        {
            var at = random.Next(body.Length);
            switch (random.Next(5))
            {
                case 0: body[at] = (byte)random.Next(256); return body;
                case 1: return body[..at];
                case 2: return [.. body[..at], .. body[Math.Min(body.Length, at + random.Next(40))..]];
                case 3: return [.. body[..at], .. "\r\n----TestKitBoundary7MA4YWxk"u8, .. body[at..]];
                default: return [.. body[..at], .. body[random.Next(body.Length)..]];
            }
        }
    }
}
