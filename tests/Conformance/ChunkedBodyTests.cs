namespace DarkStorage.Conformance;

/// <summary>Bodies in AWS's chunks, and bodies that do not keep their word.</summary>
[Trait("index", "none")]
public sealed class ChunkedBodyTests(NodeFixture node)
{
    private static readonly byte[] Content = S3Clients.Content(200_000);

    private RawS3 Raw => node.Raw;

    private static KeyValuePair<string, string> Trailer(byte[] content) => new("x-amz-checksum-crc32c", Checksums.Base64("CRC32C", content));

    private static KeyValuePair<string, string>? TrailerFor(ChunkForm form, byte[] content) => form == ChunkForm.Signed ? null : Trailer(content);

    public static TheoryData<ChunkForm, bool> Forms
    {
        get
        {
            var data = new TheoryData<ChunkForm, bool>();
            foreach (var form in Enum.GetValues<ChunkForm>())
                foreach (var transfer in (bool[])[false, true]) data.Add(form, transfer);
            return data;
        }
    }

    public static TheoryData<ChunkForm> EveryForm => [.. Enum.GetValues<ChunkForm>()];

    [Theory, MemberData(nameof(Forms))]
    public async Task A_body_in_chunks_is_stored_without_them(ChunkForm form, bool transferChunked)
    {
        var bucket = await node.Client.NewBucketAsync();
        foreach (var size in (int[])[0, 1, 4096, 65536, 65537, 200_000, (9 << 20) + 3])
        {
            foreach (var chunk in (int[])[1 << 20, 65536, 8192])
            {
                var content = S3Clients.Content(size, seed: size);
                var request = Raw.PutChunked($"/{bucket}/key", content, form, TrailerFor(form, content), chunk);
                request.TransferChunked = transferChunked;
                var answer = await Raw.SendAsync(request);
                Assert.True(answer.Status == 200, $"{size} bytes by {chunk}: {answer}");
                var got = await Raw.GetAsync($"/{bucket}/key");
                Assert.True(content.Same(got.Body), $"{size} bytes by {chunk}");
                Assert.Null(got.Header("Content-Encoding"));
            }
        }
    }

    [Fact]
    public async Task An_encoding_beside_aws_chunked_is_kept()
    {
        var bucket = await node.Client.NewBucketAsync();
        var put = node.Raw.PutChunked($"/{bucket}/key", Content, ChunkForm.Signed);
        put.Headers.RemoveAll(h => h.Key == "Content-Encoding");
        put.With("Content-Encoding", "aws-chunked,gzip");
        Assert.Equal(200, (await Raw.SendAsync(put)).Status);
        Assert.Equal("gzip", (await Raw.HeadAsync($"/{bucket}/key")).Header("Content-Encoding"));
    }

    [Theory, MemberData(nameof(EveryForm))]
    public async Task A_tampered_byte_refuses_the_whole_body_and_stores_nothing(ChunkForm form)
    {
        var bucket = await node.Client.NewBucketAsync();
        foreach (var at in (int[])[0, 70_000, 199_999])
        {
            var broken = await Raw.SendAsync(Raw.PutChunked($"/{bucket}/key", Content, form, TrailerFor(form, Content), breakBody: body =>
            {
                // The content's byte, wherever the chunks' headers have moved it.
                var place = body.AsSpan().IndexOf(Content.AsSpan(at, Math.Min(8, Content.Length - at)));
                body[place] ^= 1;
                return body;
            }));
            Assert.Equal(form == ChunkForm.UnsignedWithTrailer ? (400, "BadDigest") : (403, "SignatureDoesNotMatch"), broken.Error);
        }
        Assert.Equal(404, (await Raw.HeadAsync($"/{bucket}/key")).Status);
    }

    [Fact]
    public async Task A_tampered_chunk_signature_or_trailer_refuses_the_body()
    {
        var bucket = await node.Client.NewBucketAsync();
        static Func<byte[], byte[]> Replace(string from, string to) => body =>
        {
            var text = Encoding.Latin1.GetString(body);
            var at = text.LastIndexOf(from, StringComparison.Ordinal);
            return at < 0 ? throw new ArgumentException($"'{from}' is not in the body.") : Encoding.Latin1.GetBytes(text[..at] + to + text[(at + from.Length)..]);
        };
        static Func<byte[], byte[]> Flip(string after) => body =>
        {
            var at = body.AsSpan().LastIndexOf(Encoding.ASCII.GetBytes(after)) + after.Length;
            body[at] = body[at] == '0' ? (byte)'1' : (byte)'0';
            return body;
        };
        RawRequest Put(ChunkForm form, Func<byte[], byte[]> breakBody) => Raw.PutChunked($"/{bucket}/key", Content, form, TrailerFor(form, Content), breakBody: breakBody);
        Assert.Equal((403, "SignatureDoesNotMatch"), (await Raw.SendAsync(Put(ChunkForm.Signed, Flip("chunk-signature=")))).Error);
        Assert.Equal((403, "SignatureDoesNotMatch"), (await Raw.SendAsync(Put(ChunkForm.SignedWithTrailer, Flip("x-amz-trailer-signature:")))).Error);
        Assert.Equal((403, "SignatureDoesNotMatch"), (await Raw.SendAsync(Put(ChunkForm.SignedWithTrailer, Replace(Trailer(Content).Value, Trailer([1]).Value)))).Error);
        Assert.Equal((400, "MalformedTrailerError"), (await Raw.SendAsync(Put(ChunkForm.SignedWithTrailer, Replace("x-amz-trailer-signature", "x-amz-other")))).Error);
        Assert.Equal((400, "MalformedTrailerError"), (await Raw.SendAsync(Put(ChunkForm.UnsignedWithTrailer, Replace("x-amz-checksum-crc32c", "x-amz-checksum-crc32")))).Error);
        Assert.Equal((400, "BadDigest"), (await Raw.SendAsync(Put(ChunkForm.UnsignedWithTrailer, Replace(Trailer(Content).Value, Trailer([1]).Value)))).Error);
        Assert.Equal(404, (await Raw.HeadAsync($"/{bucket}/key")).Status);
    }

    [Theory, MemberData(nameof(EveryForm))]
    public async Task An_announced_length_that_is_a_lie_refuses_the_body(ChunkForm form)
    {
        var bucket = await node.Client.NewBucketAsync();
        var longer = await Raw.SendAsync(Raw.PutChunked($"/{bucket}/key", Content, form, TrailerFor(form, Content), announced: Content.Length + 1));
        Assert.Equal((400, "IncompleteBody"), longer.Error);
        var shorter = await Raw.SendAsync(Raw.PutChunked($"/{bucket}/key", Content, form, TrailerFor(form, Content), announced: Content.Length - 1));
        Assert.Equal(400, shorter.Status);
        Assert.Equal(404, (await Raw.HeadAsync($"/{bucket}/key")).Status);
    }

    [Theory]
    [InlineData("zzz\r\n")]
    [InlineData("-1\r\n")]
    [InlineData("fffffffffffffffff\r\n")]
    [InlineData("7fffffffffffffff\r\n")]
    [InlineData("5;chunk-signature=short\r\nhello\r\n")]
    [InlineData("5\r\nhello\n0\r\n\r\n")]
    [InlineData("5\nhello\r\n0\r\n\r\n")]
    [InlineData("5\r\nhello!!0\r\n\r\n")]
    public async Task A_chunk_that_is_none_is_an_invalid_request(string body)
    {
        var bucket = await node.Client.NewBucketAsync();
        foreach (var form in Enum.GetValues<ChunkForm>())
        {
            var request = Raw.PutChunked($"/{bucket}/key", "hello"u8.ToArray(), form, TrailerFor(form, "hello"u8.ToArray()), breakBody: _ => Encoding.ASCII.GetBytes(body));
            Assert.Equal(400, (await Raw.SendAsync(request)).Status);
        }
        Assert.Equal(404, (await Raw.HeadAsync($"/{bucket}/key")).Status);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(100_000)]
    [InlineData(199_999)]
    public async Task A_body_that_breaks_off_stores_nothing(int after)
    {
        var bucket = await node.Client.NewBucketAsync();
        await node.Client.PutTextAsync(bucket, "kept", "before");
        foreach (var key in (string[])["key", "kept"])
        {
            await SendCutAsync(new RawRequest("PUT", $"/{bucket}/{key}") { CutAfter = after }.WithBody(Content));
            await SendCutAsync(new RawRequest("PUT", $"/{bucket}/{key}") { CutAfter = after, PayloadHash = "UNSIGNED-PAYLOAD" }.WithBody(Content));
            foreach (var form in Enum.GetValues<ChunkForm>())
            {
                var request = Raw.PutChunked($"/{bucket}/{key}", Content, form, TrailerFor(form, Content));
                request.CutAfter = after;
                await SendCutAsync(request);
            }
        }
        Assert.Equal(404, (await Raw.HeadAsync($"/{bucket}/key")).Status);
        Assert.Equal("before", await node.Client.GetTextAsync(bucket, "kept"));
        Assert.Equal(["kept"], (await node.Client.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects.Select(o => o.Key));
    }

    [Fact]
    public async Task A_chunked_body_that_lacks_only_its_end_stores_nothing()
    {
        var bucket = await node.Client.NewBucketAsync();
        foreach (var form in Enum.GetValues<ChunkForm>())
        {
            foreach (var missing in (int[])[1, 2, 3, 5, 30])
            {
                // The transfer is complete as HTTP counts it: only the chunks know that something is missing.
                var answer = await Raw.SendAsync(Raw.PutChunked($"/{bucket}/key", Content, form, TrailerFor(form, Content), breakBody: b => b[..^missing]));
                Assert.Equal(400, answer.Status);
            }
        }
        Assert.Equal(404, (await Raw.HeadAsync($"/{bucket}/key")).Status);
    }

    [Fact]
    public async Task A_part_that_breaks_off_is_no_part()
    {
        var bucket = await node.Client.NewBucketAsync();
        var upload = (await node.Client.InitiateMultipartUploadAsync(bucket, "key")).UploadId;
        await SendCutAsync(new RawRequest("PUT", $"/{bucket}/key?partNumber=1&uploadId={upload}") { CutAfter = 1000 }.WithBody(Content));
        Assert.Empty((await node.Client.ListPartsAsync(bucket, "key", upload)).Parts ?? []);
    }

    [Fact]
    public async Task A_chunked_body_needs_its_length_announced_and_a_plain_one_needs_a_length()
    {
        var bucket = await node.Client.NewBucketAsync();
        var request = Raw.PutChunked($"/{bucket}/key", Content, ChunkForm.Signed);
        request.BreakHead = head => string.Join("\r\n", head.Split("\r\n").Where(l => !l.StartsWith("x-amz-decoded-content-length", StringComparison.Ordinal)));
        // The header is signed, so its absence is found there first.
        Assert.Equal(403, (await Raw.SendAsync(request)).Status);
        var unsigned = new RawRequest("PUT", $"/{bucket}/key") { PayloadHash = "STREAMING-UNSIGNED-PAYLOAD-TRAILER" }.WithBody("0\r\n\r\n");
        Assert.Equal((411, "MissingContentLength"), (await Raw.SendAsync(unsigned)).Error);
        Assert.Equal((411, "MissingContentLength"), (await Raw.SendAsync(new RawRequest("PUT", $"/{bucket}/key") { TransferChunked = true }.WithBody("content"))).Error);
        Assert.Equal(404, (await Raw.HeadAsync($"/{bucket}/key")).Status);
    }

    /// <summary>An answer may come or not, when the client has half left; success may not.</summary>
    private async Task SendCutAsync(RawRequest request)
    {
        try
        {
            Assert.NotEqual(200, (await Raw.SendAsync(request)).Status);
        }
        catch (IOException)
        {
            // Closed without an answer.
        }
    }
}
