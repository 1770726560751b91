namespace DarkStorage.Conformance;

/// <summary>Signature Version 4 in a header and in a URL.</summary>
[Trait("index", "none")]
public sealed class SignatureTests(NodeFixture node)
{
    private const string Unsigned = "UNSIGNED-PAYLOAD";

    private RawS3 Raw => node.Raw;

    private async Task<string> BucketAsync()
    {
        var bucket = await node.Client.NewBucketAsync();
        await node.Client.PutTextAsync(bucket, "key", "content");
        return bucket;
    }

    [Fact]
    public async Task An_empty_Authorization_header_is_no_signature()
    {
        var bucket = await node.Client.NewBucketAsync();
        Assert.Equal((403, "AccessDenied"), (await node.Raw.SendAsync(new RawRequest("GET", $"/{bucket}") { Sign = false }.With("Authorization", ""))).Error);
    }

    [Fact]
    public async Task What_a_link_says_in_place_of_headers_counts_as_they_do()
    {
        var bucket = await node.Client.NewBucketAsync();
        var link = Raw.Presign("PUT", $"/{bucket}/key?x-amz-acl=public-read&x-amz-meta-name=a%20value&x-amz-server-side-encryption=AES256&x-amz-storage-class=STANDARD_IA&x-amz-tagging=a%3Db&x-amz-checksum-crc32=AAAAAA%3D%3D", TimeSpan.FromMinutes(1));
        Assert.Equal(200, (await Raw.SendAsync(new RawRequest("PUT", link) { Sign = false }.WithBody("content"))).Status);
        var head = await Raw.HeadAsync($"/{bucket}/key");
        Assert.Equal(("a value", "AES256", "STANDARD_IA", "1"), (head.Header("x-amz-meta-name"), head.Header("x-amz-server-side-encryption"), head.Header("x-amz-storage-class"), head.Header("x-amz-tagging-count")));
        Assert.Equal("content", (await node.Node.AnonymousAsync("GET", $"/{bucket}/key")).Text);

        // Without a signature it is nobody's word.
        Assert.Equal(204, (await Raw.PutAsync($"/{bucket}?policy", $$"""{"Statement":{"Effect":"Allow","Principal":"*","Action":["s3:PutObject","s3:PutObjectAcl"],"Resource":"arn:aws:s3:::{{bucket}}/*"} }""")).Status);
        Assert.Equal(200, (await node.Node.AnonymousAsync("PUT", $"/{bucket}/other?x-amz-acl=public-read", "content")).Status);
        Assert.Equal(403, (await node.Node.AnonymousAsync("GET", $"/{bucket}/other")).Status);
        // Nor does a link give what a policy forbids its signer.
        Assert.Equal(204, (await Raw.PutAsync($"/{bucket}?policy",
            $$"""{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:PutObject","Resource":"arn:aws:s3:::{{bucket}}/*","Condition":{"StringEquals":{"s3:x-amz-acl":"public-read"} } } }""")).Status);
        Assert.Equal((403, "AccessDenied"), (await Raw.SendAsync(new RawRequest("PUT", link) { Sign = false }.WithBody("content"))).Error);
    }

    [Fact]
    public async Task A_policy_can_refuse_signatures_of_version_2()
    {
        var bucket = await BucketAsync();
        var target = Raw.PresignVersion2("GET", $"/{bucket}/key", TimeSpan.FromMinutes(1));
        Assert.Equal("content", (await Raw.SendAsync(new RawRequest("GET", target) { Sign = false })).Text);
        Assert.Equal((403, "SignatureDoesNotMatch"), (await Raw.SendAsync(new RawRequest("DELETE", target) { Sign = false })).Error);
        Assert.Equal(204, (await Raw.PutAsync($"/{bucket}?policy",
            $$"""{"Statement":{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::{{bucket}}/*","Condition":{"StringNotEquals":{"s3:signatureversion":"AWS4-HMAC-SHA256"} } } }""")).Status);
        Assert.Equal((403, "AccessDenied"), (await Raw.SendAsync(new RawRequest("GET", target) { Sign = false })).Error);
        Assert.Equal("content", (await Raw.GetAsync($"/{bucket}/key")).Text);
    }

    [Fact]
    public async Task A_request_without_a_signature_is_denied_whatever_it_asks_for()
    {
        var bucket = await BucketAsync();
        foreach (var (method, target) in ((string, string)[])[("GET", "/"), ("GET", $"/{bucket}"), ("GET", $"/{bucket}/key"), ("PUT", $"/{bucket}/key"), ("DELETE", $"/{bucket}/key"), ("PUT", "/another-bucket")])
            Assert.Equal((403, "AccessDenied"), (await Raw.SendAsync(new(method, target) { Sign = false })).Error);
        Assert.Equal((404, "NoSuchBucket"), (await Raw.SendAsync(new("GET", "/no-such-bucket-here") { Sign = false })).Error);
        Assert.Equal("content", await node.Client.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_body_may_go_unsigned_where_the_header_says_so()
    {
        var bucket = await BucketAsync();
        Assert.Equal(200, (await Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/new") { PayloadHash = Unsigned }.WithBody("body"))).Status);
        Assert.Equal("body", await node.Client.GetTextAsync(bucket, "new"));
    }

    [Fact]
    public async Task A_wrong_secret_does_not_match_and_the_answer_shows_what_was_signed()
    {
        var answer = await Raw.As(node.Node.Settings.AccessKey, "another-secret").GetAsync($"/{await BucketAsync()}/key");
        Assert.Equal((403, "SignatureDoesNotMatch"), answer.Error);
        Assert.StartsWith("AWS4-HMAC-SHA256\n", answer.Element("StringToSign"), StringComparison.Ordinal);
        Assert.StartsWith("GET\n/", answer.Element("CanonicalRequest"), StringComparison.Ordinal);
        Assert.DoesNotContain(node.Node.Settings.SecretKey, answer.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_access_key_is_named_as_that() =>
        Assert.Equal((403, "InvalidAccessKeyId"), (await Raw.As("nobody", "another-secret").GetAsync($"/{await BucketAsync()}/key")).Error);

    [Fact]
    public async Task Another_region_is_refused_with_the_right_one_named()
    {
        var answer = await Raw.SendAsync(new("GET", $"/{await BucketAsync()}/key") { Region = "eu-west-3" });
        Assert.Equal((400, "AuthorizationHeaderMalformed"), answer.Error);
        Assert.Equal("us-east-1", answer.Element("Region"));
    }

    [Theory]
    [InlineData(-16)]
    [InlineData(16)]
    [InlineData(-60 * 24 * 365)]
    public async Task A_clock_more_than_15_minutes_off_is_too_skewed(int minutes) =>
        Assert.Equal((403, "RequestTimeTooSkewed"), (await Raw.SendAsync(new("GET", $"/{await BucketAsync()}/key") { Time = DateTimeOffset.UtcNow.AddMinutes(minutes) })).Error);

    [Theory]
    [InlineData(-14)]
    [InlineData(14)]
    public async Task A_clock_less_than_15_minutes_off_is_fine(int minutes) =>
        Assert.Equal(200, (await Raw.SendAsync(new("GET", $"/{await BucketAsync()}/key") { Time = DateTimeOffset.UtcNow.AddMinutes(minutes) })).Status);

    public static TheoryData<string, string, string, int, string> Broken => new()
    {
        { "the path", "/key ", "/kez ", 403, "SignatureDoesNotMatch" },
        { "the method", "GET /", "DELETE /", 403, "SignatureDoesNotMatch" },
        { "a query", "/key ", "/key?versionId=null ", 403, "SignatureDoesNotMatch" },
        { "a signed header", "x-amz-meta-a: 1", "x-amz-meta-a: 2", 403, "SignatureDoesNotMatch" },
        { "the signature", "Signature=", "Signature=0", 403, "SignatureDoesNotMatch" },
        { "an added header of S3's", "x-amz-meta-a: 1", "x-amz-meta-a: 1\r\nx-amz-acl: private", 403, "AccessDenied" },
        { "the service", "/s3/aws4_request", "/ec2/aws4_request", 400, "AuthorizationHeaderMalformed" },
        { "the terminal", "/s3/aws4_request", "/s3/aws5_request", 400, "AuthorizationHeaderMalformed" },
        { "the credential", "/us-east-1/s3/", "/s3/", 400, "AuthorizationHeaderMalformed" },
        { "no signature", "Signature=", "Signatur=", 400, "AuthorizationHeaderMalformed" },
        { "the scheme", "AWS4-HMAC-SHA256 Cred", "Bearer Cred", 400, "InvalidArgument" },
        { "the old scheme", "AWS4-HMAC-SHA256 Cred", "AWS Cred", 400, "InvalidArgument" },
    };

    [Theory, MemberData(nameof(Broken))]
    public async Task A_tampered_request_is_refused_and_does_nothing(string what, string from, string to, int status, string code)
    {
        var bucket = await BucketAsync();
        var request = new RawRequest("GET", $"/{bucket}/key") { BreakHead = head => head.Contains(from, StringComparison.Ordinal) ? head.Replace(from, to, StringComparison.Ordinal) : throw new ArgumentException($"'{from}' of {what} is not in {head}") }.With("x-amz-meta-a", "1");
        Assert.Equal((status, code), (await Raw.SendAsync(request)).Error);
        Assert.Equal("content", await node.Client.GetTextAsync(bucket, "key"));
    }

    [Fact]
    public async Task An_unsigned_header_of_HTTPs_own_may_be_added_on_the_way() =>
        Assert.Equal(200, (await Raw.SendAsync(new RawRequest("GET", $"/{await BucketAsync()}/key").With("X-Forwarded-For", "10.0.0.1").With("User-Agent", "proxied"))).Status);

    [Theory]
    [InlineData("/key?b=2&a=1&b=1&a&c=%20%2B+")]
    [InlineData("/key?X-Odd=%7Etilde&x-odd=%C3%BC&=empty")]
    [InlineData("/a(b)!'*~%20c")]
    [InlineData("/a//b/../c/./")]
    public async Task Odd_targets_verify_as_the_specification_says(string rest)
    {
        var bucket = await BucketAsync();
        var answer = await Raw.GetAsync($"/{bucket}{rest.Replace("+", "%2B", StringComparison.Ordinal)}");
        Assert.NotEqual("SignatureDoesNotMatch", answer.Code);
        Assert.Contains(answer.Status, (int[])[200, 404]);
    }

    [Fact]
    public async Task Presigned_URLs_of_the_SDK_put_get_head_and_delete()
    {
        var bucket = await BucketAsync();
        using var http = new HttpClient();
        string Url(HttpVerb verb) => node.Client.GetPreSignedURL(new() { BucketName = bucket, Key = "a b/ü", Verb = verb, Expires = DateTime.UtcNow.AddMinutes(5), Protocol = Protocol.HTTP });
        using var put = await http.PutAsync(Url(HttpVerb.PUT), new ByteArrayContent("presigned"u8.ToArray()));
        Assert.Equal(HttpStatusCode.OK, put.StatusCode);
        Assert.Equal("presigned", await http.GetStringAsync(Url(HttpVerb.GET)));
        using var head = await http.SendAsync(new(HttpMethod.Head, Url(HttpVerb.HEAD)));
        Assert.Equal((HttpStatusCode.OK, 9), (head.StatusCode, head.Content.Headers.ContentLength));
        using var deleted = await http.DeleteAsync(Url(HttpVerb.DELETE));
        Assert.Equal(HttpStatusCode.NoContent, deleted.StatusCode);
        using var gone = await http.GetAsync(Url(HttpVerb.GET));
        Assert.Equal(HttpStatusCode.NotFound, gone.StatusCode);
    }

    [Fact]
    public async Task A_presigned_URL_is_good_for_its_method_alone()
    {
        var bucket = await BucketAsync();
        var url = Raw.Presign("GET", $"/{bucket}/key", TimeSpan.FromMinutes(5));
        Assert.Equal("content", (await Raw.SendAsync(new("GET", url) { Sign = false })).Text);
        Assert.Equal((403, "SignatureDoesNotMatch"), (await Raw.SendAsync(new("DELETE", url) { Sign = false })).Error);
        Assert.Equal((403, "SignatureDoesNotMatch"), (await Raw.SendAsync(new("GET", url.Replace("/key", "/kez", StringComparison.Ordinal)) { Sign = false })).Error);
        Assert.Equal((403, "SignatureDoesNotMatch"), (await Raw.SendAsync(new("GET", url + "&response-content-type=a") { Sign = false })).Error);
    }

    [Fact]
    public async Task A_presigned_URL_ends_when_it_says_and_begins_when_it_was_made()
    {
        var bucket = await BucketAsync();
        var now = DateTimeOffset.UtcNow;
        async Task<RawAnswer> GetAsync(TimeSpan life, DateTimeOffset time) => await Raw.SendAsync(new("GET", Raw.Presign("GET", $"/{bucket}/key", life, time)) { Sign = false });
        var expired = await GetAsync(TimeSpan.FromMinutes(5), now.AddMinutes(-6));
        Assert.Equal((403, "AccessDenied"), expired.Error);
        Assert.Equal("Request has expired", expired.Element("Message"));
        Assert.Equal(200, (await GetAsync(TimeSpan.FromDays(7), now.AddDays(-6))).Status);
        Assert.Equal((403, "AccessDenied"), (await GetAsync(TimeSpan.FromMinutes(5), now.AddMinutes(20))).Error);
        Assert.Equal((400, "AuthorizationQueryParametersError"), (await GetAsync(TimeSpan.FromDays(7) + TimeSpan.FromSeconds(1), now)).Error);
        Assert.Equal((400, "AuthorizationQueryParametersError"), (await GetAsync(TimeSpan.FromSeconds(-1), now)).Error);
    }

    [Fact]
    public async Task A_presigned_URL_for_another_region_or_with_a_piece_missing_is_refused()
    {
        var bucket = await BucketAsync();
        var url = Raw.Presign("GET", $"/{bucket}/key", TimeSpan.FromMinutes(5), inRegion: "eu-west-3");
        Assert.Equal((400, "AuthorizationQueryParametersError"), (await Raw.SendAsync(new("GET", url) { Sign = false })).Error);
        url = Raw.Presign("GET", $"/{bucket}/key", TimeSpan.FromMinutes(5));
        foreach (var parameter in (string[])["X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"])
            Assert.Equal((400, "AuthorizationQueryParametersError"), (await Raw.SendAsync(new("GET", url.Replace(parameter, "X-Other", StringComparison.Ordinal)) { Sign = false })).Error);
    }

    [Fact]
    public async Task A_header_that_a_presigned_URL_signs_must_come_as_it_was_signed()
    {
        var bucket = await BucketAsync();
        var url = Raw.Presign("PUT", $"/{bucket}/new", TimeSpan.FromMinutes(5), null, null, new KeyValuePair<string, string>("x-amz-meta-a", "1"));
        RawRequest Put(string value) => new RawRequest("PUT", url) { Sign = false }.With("x-amz-meta-a", value).WithBody("body");
        Assert.Equal((403, "SignatureDoesNotMatch"), (await Raw.SendAsync(Put("2"))).Error);
        Assert.Equal((403, "AccessDenied"), (await Raw.SendAsync(Put("1").With("x-amz-meta-b", "1"))).Error);
        Assert.Equal(200, (await Raw.SendAsync(Put("1"))).Status);
    }

    [Fact]
    public async Task A_request_signed_twice_is_refused()
    {
        var bucket = await BucketAsync();
        var url = Raw.Presign("GET", $"/{bucket}/key", TimeSpan.FromMinutes(5));
        Assert.Equal((400, "InvalidArgument"), (await Raw.SendAsync(new("GET", url))).Error);
    }
}
