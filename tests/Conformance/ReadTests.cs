namespace DarkStorage.Conformance;

/// <summary>Conditions, overrides and part numbers of GET and HEAD.</summary>
public sealed class ReadTests(NodeFixture node)
{
    private const string Past = "Sat, 01 Jan 2000 00:00:00 GMT";

    /// <summary>Headers (ETAG stands for the object's), and the status they give. RFC 9110, section 13.2.2.</summary>
    public static TheoryData<string, int> Conditions => new()
    {
        { "If-Match: \"ETAG\"", 200 },
        { "If-Match: ETAG", 200 },
        { "If-Match: *", 200 },
        { "If-Match: \"other\", \"ETAG\"", 200 },
        { "If-Match: \"other\"", 412 },
        { "If-None-Match: \"ETAG\"", 304 },
        { "If-None-Match: W/\"ETAG\"", 304 },
        { "If-None-Match: *", 304 },
        { "If-None-Match: \"other\"", 200 },
        { "If-Modified-Since: " + Past, 200 },
        { "If-Modified-Since: NOW", 304 },
        { "If-Unmodified-Since: " + Past, 412 },
        { "If-Unmodified-Since: NOW", 200 },
        { "If-Modified-Since: not a date", 200 },
        { "If-Match: \"ETAG\"\nIf-Unmodified-Since: " + Past, 200 },
        { "If-None-Match: \"other\"\nIf-Modified-Since: NOW", 200 },
        { "If-None-Match: \"ETAG\"\nIf-Modified-Since: " + Past, 304 },
        { "If-Match: \"other\"\nIf-None-Match: \"ETAG\"", 412 },
        { "If-Match: \"ETAG\"\nIf-None-Match: \"ETAG\"", 304 },
    };

    [Theory, MemberData(nameof(Conditions))]
    public async Task A_condition_decides_what_a_read_answers(string headers, int status)
    {
        var bucket = await node.Client.NewBucketAsync();
        var etag = (await node.Client.PutTextAsync(bucket, "key", "content")).ETag.Trim('"');
        var now = DateTime.UtcNow.AddSeconds(2).ToString("r");
        foreach (var method in (string[])["GET", "HEAD"])
        {
            var request = new RawRequest(method, $"/{bucket}/key");
            foreach (var line in headers.Replace("ETAG", etag, StringComparison.Ordinal).Replace("NOW", now, StringComparison.Ordinal).Split('\n'))
                request.With(line[..line.IndexOf(':', StringComparison.Ordinal)], line[(line.IndexOf(':', StringComparison.Ordinal) + 2)..]);
            var answer = await node.Raw.SendAsync(request);
            Assert.Equal(status, answer.Status);
            if (status == 412 && method == "GET") Assert.Equal("PreconditionFailed", answer.Code);
            if (status != 412) Assert.Equal($"\"{etag}\"", answer.Header("ETag"));
            if (status == 200 && method == "GET") Assert.Equal("content", answer.Text);
            if (status == 304) Assert.Empty(answer.Body);
        }
    }

    [Fact]
    public async Task The_response_parameters_override_the_stored_headers()
    {
        var bucket = await node.Client.NewBucketAsync();
        await node.Client.PutTextAsync(bucket, "key", "content");
        var answer = await node.Raw.GetAsync($"/{bucket}/key?response-content-type=text%2Fx-other&response-cache-control=no-store&response-content-disposition=attachment%3B%20filename%3Dx"
            + "&response-content-encoding=identity&response-content-language=tlh&response-expires=Thu%2C%2001%20Dec%202033%2016%3A00%3A00%20GMT");
        Assert.Equal(200, answer.Status);
        Assert.Equal("text/x-other", answer.Header("Content-Type"));
        Assert.Equal("no-store", answer.Header("Cache-Control"));
        Assert.Equal("attachment; filename=x", answer.Header("Content-Disposition"));
        Assert.Equal("identity", answer.Header("Content-Encoding"));
        Assert.Equal("tlh", answer.Header("Content-Language"));
        Assert.Equal("Thu, 01 Dec 2033 16:00:00 GMT", answer.Header("Expires"));
    }

    [Fact]
    public async Task A_line_break_in_an_override_does_not_become_a_header()
    {
        var bucket = await node.Client.NewBucketAsync();
        await node.Client.PutTextAsync(bucket, "key", "content");
        foreach (var parameter in (string[])["response-content-type", "response-cache-control", "response-content-disposition"])
        {
            var answer = await node.Raw.GetAsync($"/{bucket}/key?{parameter}=a%0D%0AX-Injected%3A%20yes");
            Assert.Null(answer.Header("X-Injected"));
            Assert.Equal((400, "InvalidArgument"), answer.Error);
        }
    }

    [Fact]
    public async Task A_part_number_reads_that_part_and_says_how_many_there_are()
    {
        var bucket = await node.Client.NewBucketAsync();
        byte[][] parts = [S3Clients.Content(5 << 20, seed: 1), S3Clients.Content(5 << 20, seed: 2), S3Clients.Content(77, seed: 3)];
        await node.Client.PutMultipartAsync(bucket, "key", parts, numbers: [3, 7, 9]);
        var total = parts.Sum(p => p.Length);
        var first = 0;
        for (var i = 0; i < parts.Length; i++)
        {
            foreach (var method in (string[])["GET", "HEAD"])
            {
                var answer = await node.Raw.SendAsync(new(method, $"/{bucket}/key?partNumber={i + 1}"));
                Assert.Equal(206, answer.Status);
                Assert.Equal("3", answer.Header("x-amz-mp-parts-count"));
                Assert.Equal($"bytes {first}-{first + parts[i].Length - 1}/{total}", answer.Header("Content-Range"));
                Assert.Equal($"{parts[i].Length}", answer.Header("Content-Length"));
                if (method == "GET") Assert.True(parts[i].Same(answer.Body));
            }
            first += parts[i].Length;
        }
        Assert.Equal((416, "InvalidPartNumber"), (await node.Raw.GetAsync($"/{bucket}/key?partNumber=4")).Error);
        Assert.Equal((400, "InvalidRequest"), (await node.Raw.SendAsync(new RawRequest("GET", $"/{bucket}/key?partNumber=1").With("Range", "bytes=0-1"))).Error);
    }

    [Fact]
    public async Task An_object_that_was_put_whole_is_its_own_first_part()
    {
        var bucket = await node.Client.NewBucketAsync();
        await node.Client.PutTextAsync(bucket, "key", "content");
        var answer = await node.Raw.GetAsync($"/{bucket}/key?partNumber=1");
        Assert.Equal((206, "content"), (answer.Status, answer.Text));
        Assert.Equal((416, "InvalidPartNumber"), (await node.Raw.GetAsync($"/{bucket}/key?partNumber=2")).Error);
        Assert.Equal(400, (await node.Raw.GetAsync($"/{bucket}/key?partNumber=0")).Status);
        Assert.Equal(400, (await node.Raw.GetAsync($"/{bucket}/key?partNumber=10001")).Status);
    }
}
