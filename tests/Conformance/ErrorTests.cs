namespace DarkStorage.Conformance;

/// <summary>What goes wrong is said in S3's XML, and no request brings the node down.</summary>
public sealed class ErrorTests(NodeFixture node)
{
    private RawS3 Raw => node.Raw;

    [Fact]
    public async Task An_error_names_its_code_its_resource_and_the_request()
    {
        var bucket = await node.Client.NewBucketAsync();
        var answer = await Raw.GetAsync($"/{bucket}/no%20such/key?partNumber=1");
        Assert.Equal((404, "NoSuchKey"), answer.Error);
        Assert.Equal("application/xml", answer.Header("Content-Type"));
        Assert.StartsWith("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", answer.Text, StringComparison.Ordinal);
        Assert.Equal("Error", answer.Xml.Name.ToString());
        Assert.Equal("The specified key does not exist.", answer.Element("Message"));
        Assert.Equal($"/{bucket}/no%20such/key", answer.Element("Resource"));
        Assert.Equal("no such/key", answer.Element("Key"));
        Assert.Matches("^[0-9A-F]{16}$", answer.Element("RequestId"));
        Assert.Equal(answer.Header("x-amz-request-id"), answer.Element("RequestId"));
        Assert.Equal(answer.Header("x-amz-id-2"), answer.Element("HostId"));
    }

    [Fact]
    public async Task Every_answer_has_a_request_id_of_its_own_and_the_SDK_finds_it()
    {
        var bucket = await node.Client.NewBucketAsync();
        var ids = new HashSet<string?>();
        for (var i = 0; i < 20; i++) Assert.True(ids.Add((await Raw.GetAsync($"/{bucket}")).Header("x-amz-request-id")));
        var refused = await Refused.WithAsync("NoSuchKey", HttpStatusCode.NotFound, () => node.Client.GetObjectAsync(bucket, "none"));
        Assert.Matches("^[0-9A-F]{16}$", refused.RequestId);
    }

    [Fact]
    public async Task An_error_of_HEAD_has_no_body()
    {
        var bucket = await node.Client.NewBucketAsync();
        var answer = await Raw.HeadAsync($"/{bucket}/none");
        Assert.Equal(404, answer.Status);
        Assert.NotNull(answer.Header("x-amz-request-id"));
    }

    [Fact]
    public async Task A_key_with_characters_that_XML_cannot_hold_still_gets_well_formed_XML()
    {
        var bucket = await node.Client.NewBucketAsync();
        foreach (var key in (string[])["%01%02%03", "%3Ca%3E%26%22", "%EF%BF%BF", "%0D%0A"])
            Assert.Equal((404, "NoSuchKey"), (await Raw.GetAsync($"/{bucket}/{key}")).Error);
    }

    [Theory]
    [InlineData("PATCH", "")]
    [InlineData("PATCH", "/key")]
    [InlineData("POST", "/key")]
    [InlineData("FROBNICATE", "/key")]
    public async Task A_method_that_S3_does_not_have_is_not_allowed(string method, string rest) =>
        Assert.Equal((405, "MethodNotAllowed"), (await Raw.SendAsync(new(method, $"/{await node.Client.NewBucketAsync()}{rest}"))).Error);

    [Theory]
    [InlineData("PUT")]
    [InlineData("PATCH")]
    [InlineData("DELETE")]
    public async Task The_service_itself_can_only_be_asked_for_its_buckets(string method) =>
        Assert.Equal((405, "MethodNotAllowed"), (await Raw.SendAsync(new(method, "/"))).Error);

    [Theory]
    [InlineData("GARBAGE\r\n\r\n")]
    [InlineData("GET\r\n\r\n")]
    [InlineData("GET / HTTP/9.9\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")]
    [InlineData("GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n")]
    [InlineData("PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n")]
    [InlineData("PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n")]
    [InlineData("PUT /b/k HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")]
    [InlineData("GET b/k HTTP/1.1\r\nHost: a\r\n\r\n")]
    public async Task A_request_that_is_no_HTTP_is_refused_and_the_node_goes_on(string request)
    {
        var status = 400;
        try
        {
            status = (await Raw.SendBytesAsync(Encoding.ASCII.GetBytes(request))).Status;
        }
        catch (IOException)
        {
            // Closed without an answer: as good.
        }
        Assert.InRange(status, 400, 505);
        await node.Client.ListBucketsAsync(new ListBucketsRequest { MaxBuckets = 1 });
    }

    [Fact]
    public async Task A_request_line_or_header_of_any_size_is_answered()
    {
        var bucket = await node.Client.NewBucketAsync();
        Assert.InRange((await Raw.GetAsync($"/{bucket}/{new string('k', 15 << 10)}")).Status, 400, 431);
        Assert.InRange((await Raw.GetAsync($"/{bucket}/{new string('k', 64 << 10)}")).Status, 400, 431);
        Assert.InRange((await Raw.GetAsync($"/{bucket}?{string.Join('&', Enumerable.Range(0, 500).Select(i => $"p{i}"))}")).Status, 400, 431);
        Assert.InRange((await Raw.SendAsync(new RawRequest("GET", $"/{bucket}").With("x-amz-meta-big", new string('v', 64 << 10)))).Status, 400, 431);
    }

    [Fact]
    public async Task An_XML_document_without_end_is_too_long()
    {
        var bucket = await node.Client.NewBucketAsync();
        var document = "<Delete>" + new string(' ', 9 << 20);
        Assert.Equal((400, "MaxMessageLengthExceeded"), (await Raw.PostAsync($"/{bucket}?delete", document)).Error);
    }

    [Fact]
    public async Task Deeply_nested_XML_is_malformed_and_nothing_worse()
    {
        var bucket = await node.Client.NewBucketAsync();
        Assert.Equal((400, "MalformedXML"), (await Raw.PostAsync($"/{bucket}?delete", string.Concat(Enumerable.Repeat("<Delete>", 100_000)))).Error);
    }

    [Fact]
    public async Task The_expected_owner_is_checked()
    {
        var bucket = await node.Client.NewBucketAsync();
        Assert.Equal((403, "AccessDenied"), (await Raw.SendAsync(new RawRequest("GET", $"/{bucket}").With("x-amz-expected-bucket-owner", "somebody"))).Error);
    }
}
