using System.IO.Pipelines;
using System.Text;
using DarkStorage.ClientApi.S3;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace DarkStorage.Unit.S3;

public sealed class AwsChunkedStreamTests(ITestOutputHelper output)
{
    private const string Timestamp = "20130524T000000Z";
    private static readonly TestSigner Signer = TestSigner.Example;

    public static TheoryData<int> Seeds => [1, 2, 3, Random.Shared.Next()];

    /// <summary>The headers of AWS's documented chunked upload of 65 KiB of "a", without and with a trailer.</summary>
    internal static HeaderDictionary ExampleHeaders(bool trailer)
    {
        var headers = new HeaderDictionary
        {
            ["Host"] = "s3.amazonaws.com",
            ["Content-Encoding"] = "aws-chunked",
            ["x-amz-date"] = Timestamp,
            ["x-amz-storage-class"] = "REDUCED_REDUNDANCY",
            ["x-amz-decoded-content-length"] = "66560",
        };
        if (trailer)
        {
            headers["x-amz-content-sha256"] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
            headers["x-amz-trailer"] = "x-amz-checksum-crc32c";
            headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer,Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
        }
        else
        {
            headers["Content-Length"] = "66824";
            headers["x-amz-content-sha256"] = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
            headers["Authorization"] = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,Signature=4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
        }
        return headers;
    }

    [Fact]
    public async Task The_documented_chunks_decode()
    {
        var a = new string('a', 65536);
        var body = $"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n{a}\r\n"
            + $"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n{a[..1024]}\r\n"
            + "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n";
        Assert.Equal(66824, body.Length);
        var stream = Open(body, PayloadKind.SignedChunks, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", ExampleHeaders(trailer: false));
        Assert.Equal(a + a[..1024], Encoding.ASCII.GetString(await ReadAll(stream)));
        Assert.Empty(stream.Trailers);
    }

    [Theory]
    [InlineData("")]
    [InlineData("\r\n")]
    public async Task The_documented_chunks_with_a_trailer_decode(string afterLastChunk)
    {
        var a = new string('a', 65536);
        var body = $"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n{a}\r\n"
            + $"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n{a[..1024]}\r\n"
            + "0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n" + afterLastChunk
            + "x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n";
        var stream = Open(body, PayloadKind.SignedChunksWithTrailer, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", ExampleHeaders(trailer: true));
        Assert.Equal(a + a[..1024], Encoding.ASCII.GetString(await ReadAll(stream)));
        Assert.Equal([new("x-amz-checksum-crc32c", "sOO8/Q==")], stream.Trailers);
    }

    [Theory, MemberData(nameof(Seeds))]
    public async Task Any_content_in_any_chunks_over_any_reads_comes_back_whole(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (var i = 0; i < 60; i++)
        {
            var (kind, content, body, headers, seedSignature) = Arbitrary(random);
            var pipe = new Pipe(new PipeOptions(pauseWriterThreshold: 64 << 10, resumeWriterThreshold: 32 << 10, minimumSegmentSize: random.Next(16, 5000)));
            var stream = AwsChunkedStream.Open(pipe.Reader, Payload(kind), Context(seedSignature), headers);
            var writing = Task.Run(async () =>
            {
                var inner = new Random(seed);
                for (var at = 0; at < body.Length;)
                {
                    var length = Math.Min(body.Length - at, inner.Next(1, inner.Next(2) == 0 ? 7 : 40_000));
                    await pipe.Writer.WriteAsync(body.AsMemory(at, length));
                    at += length;
                }
                await pipe.Writer.CompleteAsync();
            });
            Assert.Equal(content, await ReadAll(stream));
            await writing;
            Assert.Equal(headers.ContainsKey("x-amz-trailer") ? 1 : 0, stream.Trailers.Count);
        }
    }

    [Theory, MemberData(nameof(Seeds))]
    public async Task A_signed_body_with_one_byte_changed_lost_or_added_is_never_read_to_its_end(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (var i = 0; i < 200; i++)
        {
            var (kind, _, body, headers, seedSignature) = Arbitrary(random, lengthMax: 2000);
            if (kind == PayloadKind.UnsignedChunksWithTrailer) continue;
            var at = random.Next(body.Length);
            byte[] broken;
            switch (random.Next(3))
            {
                case 0:
                    broken = [.. body];
                    broken[at] ^= (byte)(1 << random.Next(8));
                    // Hexadecimal sizes and trailers' names have no case, and neither is what was signed.
                    if (char.IsAsciiLetter((char)body[at]) && (body[at] ^ broken[at]) == 0x20) continue;
                    break;
                case 1:
                    broken = body[..at];
                    break;
                default:
                    broken = [.. body[..at], (byte)random.Next(256), .. body[at..]];
                    // White space around a trailer's value and leading zeros of a size are not signed.
                    if (Encoding.Latin1.GetString(broken).Contains("\r\n0", StringComparison.Ordinal) || broken[at] is (byte)' ' or (byte)'\t' or (byte)'0') continue;
                    break;
            }
            var stream = AwsChunkedStream.Open(Reader(broken), Payload(kind), Context(seedSignature), headers);
            try
            {
                await ReadAll(stream);
                Assert.Fail($"seed {seed}, case {i}: read {kind} with byte {at} wrong");
            }
            catch (S3Exception first)
            {
                Assert.Same(first, await Assert.ThrowsAsync<S3Exception>(() => ReadAll(stream)));
            }
        }
    }

    [Theory, MemberData(nameof(Seeds))]
    public async Task Nonsense_is_answered_with_an_error_of_S3_and_nothing_else(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        string[] words = ["\r\n", "\n", "\r", "0", "5", "hello", ";", "chunk-signature=", new string('0', 64), "ffffffffffffffff", "x-amz-checksum-crc32:", "AAAAAA==", ":", "-1", "\0", new string('x', 2000)];
        for (var i = 0; i < 2000; i++)
        {
            var text = new StringBuilder();
            for (var n = random.Next(15); n > 0; n--) text.Append(words[random.Next(words.Length)]);
            var kind = (PayloadKind)random.Next((int)PayloadKind.SignedChunks, 1 + (int)PayloadKind.UnsignedChunksWithTrailer);
            var headers = new HeaderDictionary { ["x-amz-decoded-content-length"] = "5", ["x-amz-trailer"] = "x-amz-checksum-crc32" };
            var stream = AwsChunkedStream.Open(Reader(Encoding.Latin1.GetBytes(text.ToString())), Payload(kind), Context(new string('0', 64)), headers);
            var failure = await Record.ExceptionAsync(() => ReadAll(stream));
            Assert.True(failure is null or S3Exception, $"{failure}");
        }
    }

    [Theory]
    [InlineData("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", null)]
    [InlineData("5\r\nhello\r\n0\r\n\r\n", "IncompleteBody")]                                         // one empty line is forgiven, so the trailer is missing
    [InlineData("5\r\nhello\r\n0\r\n\r\n\r\n", "MalformedTrailerError")]
    [InlineData("5\r\nhello\r\n0\r\nx-amz-checksum-sha1:NhCmhg==\r\n\r\n", "MalformedTrailerError")]
    [InlineData("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:a\r\nx-amz-checksum-crc32:a\r\n\r\n", "MalformedTrailerError")]
    [InlineData("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n", "IncompleteBody")]
    [InlineData("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\nx", "InvalidRequest")]
    [InlineData("4\r\nhell\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "IncompleteBody")]
    [InlineData("6\r\nhello!\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "InvalidRequest")]
    [InlineData("5\r\nhello\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "InvalidRequest")]
    [InlineData("5\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "InvalidRequest")]
    [InlineData("5;x=y\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", "InvalidRequest")]
    [InlineData("\r\n", "InvalidRequest")]
    [InlineData("00000000000000005\r\nhello\r\n", "InvalidRequest")]
    [InlineData("ffffffffffffffff\r\nhello\r\n", "InvalidRequest")]
    [InlineData("5\r\nhel", "IncompleteBody")]
    [InlineData("", "IncompleteBody")]
    public async Task An_unsigned_body_is_exact_or_refused(string body, string? code)
    {
        var headers = new HeaderDictionary { ["x-amz-decoded-content-length"] = "5", ["x-amz-trailer"] = "X-Amz-Checksum-Crc32" };
        var stream = AwsChunkedStream.Open(Reader(Encoding.ASCII.GetBytes(body)), Payload(PayloadKind.UnsignedChunksWithTrailer), null, headers);
        if (code is null) Assert.Equal("hello"u8.ToArray(), await ReadAll(stream));
        else Assert.Equal(code, (await Assert.ThrowsAsync<S3Exception>(() => ReadAll(stream))).Error.Code);
    }

    [Fact]
    public void The_decoded_length_must_be_stated()
    {
        PayloadHash payload = Payload(PayloadKind.UnsignedChunksWithTrailer);
        Assert.Equal("MissingContentLength", Assert.Throws<S3Exception>(() => AwsChunkedStream.Open(Reader([]), payload, null, new HeaderDictionary())).Error.Code);
        foreach (var bad in (string[])["-1", "x", "1.5", "99999999999999999999", " 5"])
            Assert.Equal("InvalidArgument", Assert.Throws<S3Exception>(() =>
                AwsChunkedStream.Open(Reader([]), payload, null, new HeaderDictionary { ["x-amz-decoded-content-length"] = bad })).Error.Code);
    }

    [Fact]
    public async Task As_a_pipe_it_throws_where_the_stream_does()
    {
        var headers = new HeaderDictionary { ["x-amz-decoded-content-length"] = "5" };
        var reader = AwsChunkedStream.Open(Reader("5\r\nhello\r\n0\r\nbad"u8.ToArray()), Payload(PayloadKind.UnsignedChunksWithTrailer), null, headers).AsPipeReader();
        var first = await reader.ReadAsync();
        Assert.Equal(5, first.Buffer.Length);
        reader.AdvanceTo(first.Buffer.End);
        await Assert.ThrowsAsync<S3Exception>(async () => await reader.ReadAsync());
    }

    private static (PayloadKind Kind, byte[] Content, byte[] Body, HeaderDictionary Headers, string Seed) Arbitrary(Random random, int lengthMax = 200_000)
    {
        var kind = (PayloadKind)random.Next((int)PayloadKind.SignedChunks, 1 + (int)PayloadKind.UnsignedChunksWithTrailer);
        var content = new byte[random.Next(4) == 0 ? random.Next(10) : random.Next(lengthMax)];
        random.NextBytes(content);
        var seed = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(BitConverter.GetBytes(random.Next())));
        var headers = new HeaderDictionary { ["x-amz-decoded-content-length"] = content.Length.ToString(System.Globalization.CultureInfo.InvariantCulture) };
        var signed = kind != PayloadKind.UnsignedChunksWithTrailer;
        var body = new MemoryStream();
        var previous = seed;
        for (var at = 0; ;)
        {
            var length = Math.Min(content.Length - at, random.Next(1, lengthMax / 2));
            var chunk = content[at..(at + length)];
            at += length;
            previous = Signer.ChunkSignature(Timestamp, previous, chunk);
            body.Write(Encoding.ASCII.GetBytes(signed ? $"{length:x};chunk-signature={previous}\r\n" : $"{length:X}\r\n"));
            if (length == 0) break;
            body.Write(chunk);
            body.Write("\r\n"u8);
        }
        if (kind != PayloadKind.SignedChunks && random.Next(4) > 0)
        {
            headers["x-amz-trailer"] = "x-amz-checksum-crc32";
            body.Write("x-amz-checksum-crc32:AAAAAA==\r\n"u8);
            if (signed) body.Write(Encoding.ASCII.GetBytes($"x-amz-trailer-signature:{Signer.TrailerSignature(Timestamp, previous, "x-amz-checksum-crc32:AAAAAA==\n")}\r\n"));
        }
        body.Write("\r\n"u8);
        return (kind, content, body.ToArray(), headers, seed);
    }

    private static AwsChunkedStream Open(string body, PayloadKind kind, string seed, HeaderDictionary headers) =>
        AwsChunkedStream.Open(Reader(Encoding.ASCII.GetBytes(body)), Payload(kind), Context(seed), headers);

    private static PayloadHash Payload(PayloadKind kind) => new(kind, kind.ToString(), null);

    private static SigningContext Context(string seed) =>
        new(Signer.AccessKeyId, Signer.Key(Timestamp), Timestamp, Signer.Scope(Timestamp), seed, Payload(PayloadKind.SignedChunks));

    private static PipeReader Reader(byte[] bytes) => PipeReader.Create(new System.Buffers.ReadOnlySequence<byte>(bytes));

    private static async Task<byte[]> ReadAll(AwsChunkedStream stream)
    {
        var all = new MemoryStream();
        await stream.CopyToAsync(all);
        return all.ToArray();
    }
}
