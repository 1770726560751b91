using System.Net;
using System.Text;
using DarkStorage.ClientApi.S3;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace DarkStorage.Unit.S3;

/// <summary>The first four, the presigned one and their signatures are the examples of AWS's public documentation of Signature V4.</summary>
public sealed class SignatureVerifierTests(ITestOutputHelper output)
{
    private const string Scope = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request";
    private const string EmptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    private static readonly DateTimeOffset Now = FixedClock.ExampleTime;

    public static TheoryData<int> Seeds => [1, 2, 3, Random.Shared.Next()];

    [Fact]
    public void The_documented_GET_of_a_range_verifies() => Verify("GET", "/test.txt", new()
    {
        ["Host"] = "examplebucket.s3.amazonaws.com",
        ["Range"] = "bytes=0-9",
        ["x-amz-content-sha256"] = EmptyHash,
        ["x-amz-date"] = "20130524T000000Z",
        ["Authorization"] = $"AWS4-HMAC-SHA256 Credential={Scope},SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    });

    [Fact]
    public void The_documented_PUT_verifies() => Verify("PUT", "/test%24file.text", new()
    {
        ["Host"] = "examplebucket.s3.amazonaws.com",
        ["Date"] = "Fri, 24 May 2013 00:00:00 GMT",
        ["x-amz-content-sha256"] = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        ["x-amz-date"] = "20130524T000000Z",
        ["x-amz-storage-class"] = "REDUCED_REDUNDANCY",
        ["Authorization"] = $"AWS4-HMAC-SHA256 Credential={Scope},SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    });

    [Fact]
    public void A_character_sent_plain_but_signed_escaped_verifies() => Verify("PUT", "/test$file.text", new()
    {
        ["Host"] = "examplebucket.s3.amazonaws.com",
        ["Date"] = "Fri, 24 May 2013 00:00:00 GMT",
        ["x-amz-content-sha256"] = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        ["x-amz-date"] = "20130524T000000Z",
        ["x-amz-storage-class"] = "REDUCED_REDUNDANCY",
        ["Authorization"] = $"AWS4-HMAC-SHA256 Credential={Scope},SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    });

    [Theory]
    [InlineData("/?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")]
    [InlineData("/?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")]
    [InlineData("/?prefix=J&max-keys=2", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")]
    public void The_documented_GETs_of_a_bucket_verify(string target, string signature) => Verify("GET", target, new()
    {
        ["Host"] = "examplebucket.s3.amazonaws.com",
        ["x-amz-content-sha256"] = EmptyHash,
        ["x-amz-date"] = "20130524T000000Z",
        ["Authorization"] = $"AWS4-HMAC-SHA256 Credential={Scope}, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}",
    });

    private const string PresignedExample = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        + "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";

    [Fact]
    public void The_documented_presigned_URL_verifies_until_it_expires()
    {
        HeaderDictionary headers = new() { ["Host"] = "examplebucket.s3.amazonaws.com" };
        Verify("GET", PresignedExample, headers);
        Verify("GET", PresignedExample, headers, Now.AddSeconds(86400));
        var expired = Fails("GET", PresignedExample, headers, Now.AddSeconds(86401));
        Assert.Equal(("AccessDenied", "Request has expired"), (expired.Error.Code, expired.Message));
        Assert.Equal("Request is not yet valid", Fails("GET", PresignedExample, headers, Now.AddMinutes(-16)).Message);
    }

    [Fact]
    public void The_documented_chunked_upload_has_its_seed_signature()
    {
        var context = Verify("PUT", "/examplebucket/chunkObject.txt", AwsChunkedStreamTests.ExampleHeaders(trailer: false));
        Assert.Equal("4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", context.SeedSignature);
        Assert.Equal(PayloadKind.SignedChunks, context.Payload.Kind);
    }

    [Fact]
    public void The_documented_upload_with_a_trailer_has_its_seed_signature()
    {
        var context = Verify("PUT", "/examplebucket/chunkObject.txt", AwsChunkedStreamTests.ExampleHeaders(trailer: true));
        Assert.Equal("106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", context.SeedSignature);
        Assert.Equal(PayloadKind.SignedChunksWithTrailer, context.Payload.Kind);
    }

    public static TheoryData<string> NastyKeys =>
    [
        "plain", "a b", "a+b", "a%b", "100%25", "ä/ö/ü", "日本語", "🚀", "a//b", "//", "../x", "a/../b", "a/./b", "trailing/", "q?x=y", "#frag", "semi;colon", "and&amp", "(parens)!*'",
        "\u0001control\u007f", "new\nline", "a\\b", "\"quotes\"", "[brackets]{braces}", "~tilde", ":colon@at", "=", " ", "+", "%", "<xml>",
    ];

    [Theory, MemberData(nameof(NastyKeys))]
    public void Any_key_can_be_signed_in_the_header_and_in_the_query(string key)
    {
        (string, string)[] query = [("uploadId", "a+b/c=="), ("partNumber", "7"), ("empty", ""), ("prefix", key), ("dup", "2"), ("dup", "1")];
        var headers = new HeaderDictionary
        {
            ["Host"] = "localhost:9000",
            ["X-Amz-Meta-Text"] = "grün  and\t \twide ",
            ["Content-Type"] = "text/plain",
        };
        TestSigner.Example.SignHeaders("PUT", "/bucket/" + key, query, headers, Now);
        var target = "/bucket/" + TestSigner.EncodePath(key) + "?" + string.Join('&', query.Select(p => $"{TestSigner.Encode(p.Item1)}={TestSigner.Encode(p.Item2)}"));
        Verify("PUT", target, headers);
        Assert.Equal(key, S3Target.Parse(target, "localhost", []).Key);
        Fails("GET", target, headers);

        headers = new HeaderDictionary { ["Host"] = "localhost:9000" };
        target = "/bucket/" + TestSigner.EncodePath(key) + "?" + TestSigner.Example.Presign("PUT", "/bucket/" + key, query, headers, Now, 60);
        Assert.True(Verify("PUT", target, headers).Payload.Kind == PayloadKind.Unsigned);
    }

    [Theory, MemberData(nameof(Seeds))]
    public void A_changed_byte_anywhere_fails(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (var i = 0; i < 300; i++)
        {
            var headers = new HeaderDictionary { ["Host"] = "localhost:9000", ["x-amz-meta-a"] = "value", ["Range"] = "bytes=0-9" };
            TestSigner.Example.SignHeaders("GET", "/bucket/some-key", [("versionId", "abcdef")], headers, Now);
            var target = "/bucket/some-key?versionId=abcdef";
            Verify("GET", target, headers);
            switch (random.Next(3))
            {
                case 0:
                    target = Tampered(target, random, from: 1);
                    break;
                case 1:
                    var name = headers.Keys.ElementAt(random.Next(headers.Count));
                    headers[name] = Tampered(headers[name]!, random, from: 0);
                    if (headers[name].ToString().Trim() == "") headers.Remove(name);
                    break;
                default:
                    headers["x-amz-" + (char)random.Next('a', 'z')] = "new";
                    break;
            }
            Fails("GET", target, headers);

            var presigned = "/bucket/some-key?" + TestSigner.Example.Presign("GET", "/bucket/some-key", [], new() { ["Host"] = "h" }, Now, 60);
            var broken = Tampered(presigned, random, from: 1);
            if (Uri.UnescapeDataString(broken) == Uri.UnescapeDataString(presigned)) continue;   // %2f for %2F is the same request
            if (broken.Contains("X-Amz-", StringComparison.Ordinal)) Assert.Null(TryVerify("GET", broken, new() { ["Host"] = "h" }));
        }
    }

    private static string Tampered(string text, Random random, int from)
    {
        var at = random.Next(from, text.Length);
        char other;
        do other = (char)random.Next(0x21, 0x7F);
        while (other == text[at] || other is '+' or '%' || (text[at] == '&' && other == '#'));
        return text[..at] + other + text[(at + 1)..];
    }

    [Fact]
    public void A_changed_secret_is_noticed_though_its_key_was_cached()
    {
        var headers = new HeaderDictionary { ["Host"] = "h" };
        TestSigner.Example.SignHeaders("GET", "/bucket", [], headers, Now);
        var verifier = new SignatureVerifier(["us-east-1"], new FixedClock(Now));
        var request = new SignedRequest("GET", S3Target.Parse("/bucket", "h", []), headers);
        var parsed = verifier.Parse(request)!;
        verifier.Verify(request, parsed, TestSigner.Example.Secret);
        Assert.Equal("SignatureDoesNotMatch", Assert.Throws<S3Exception>(() => verifier.Verify(request, parsed, "another")).Error.Code);
        verifier.Verify(request, parsed, TestSigner.Example.Secret);
    }

    [Fact]
    public void A_mismatch_says_what_was_to_be_signed_and_holds_no_secret()
    {
        var headers = new HeaderDictionary { ["Host"] = "h" };
        (TestSigner.Example with { Secret = "wrong" }).SignHeaders("GET", "/bucket", [], headers, Now);
        var error = Fails("GET", "/bucket", headers);
        Assert.Equal(HttpStatusCode.Forbidden, error.Error.Status);
        var fields = error.Fields.ToDictionary();
        Assert.StartsWith("AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n", fields["StringToSign"], StringComparison.Ordinal);
        Assert.StartsWith("GET\n/bucket\n\nhost:h\n", fields["CanonicalRequest"], StringComparison.Ordinal);
        Assert.DoesNotContain(fields.Values, v => v.Contains(TestSigner.Example.Secret, StringComparison.Ordinal));
    }

    [Fact]
    public void A_region_of_the_list_is_taken_and_another_is_told_the_right_one()
    {
        var headers = new HeaderDictionary { ["Host"] = "h" };
        (TestSigner.Example with { Region = "eu-west-1" }).SignHeaders("GET", "/bucket", [], headers, Now);
        var verifier = new SignatureVerifier(["us-east-1", "eu-west-1"], new FixedClock(Now));
        var request = new SignedRequest("GET", S3Target.Parse("/bucket", "h", []), headers);
        verifier.Verify(request, verifier.Parse(request)!, TestSigner.Example.Secret);

        var error = Fails("GET", "/bucket", headers);
        Assert.Equal("AuthorizationHeaderMalformed", error.Error.Code);
        Assert.Equal("us-east-1", error.Fields.ToDictionary()["Region"]);
        Assert.Contains("the region 'eu-west-1' is wrong; expecting 'us-east-1'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_clock_15_minutes_off_is_taken_and_one_further_off_is_not()
    {
        var headers = new HeaderDictionary { ["Host"] = "h" };
        TestSigner.Example.SignHeaders("GET", "/bucket", [], headers, Now);
        Verify("GET", "/bucket", headers, Now.AddMinutes(15));
        Verify("GET", "/bucket", headers, Now.AddMinutes(-15));
        foreach (var seconds in (int[])[901, -901])
            Assert.Equal("RequestTimeTooSkewed", Fails("GET", "/bucket", headers, Now.AddSeconds(seconds)).Error.Code);
    }

    [Fact]
    public void A_request_without_a_signature_is_anonymous() =>
        Assert.Null(new SignatureVerifier(["us-east-1"], TimeProvider.System).Parse(new("GET", S3Target.Parse("/bucket/key?acl", "h", []), new HeaderDictionary { ["Host"] = "h" })));

    [Theory]
    [InlineData("AWS AKID:sig", "InvalidRequest")]
    [InlineData("Basic dXNlcjpwYXNz", "InvalidArgument")]
    [InlineData("AWS4-ECDSA-P256-SHA256 Credential=a", "NotImplemented")]
    [InlineData("AWS4-HMAC-SHA256", "AuthorizationHeaderMalformed")]
    [InlineData("AWS4-HMAC-SHA256 nonsense", "AuthorizationHeaderMalformed")]
    [InlineData("AWS4-HMAC-SHA256 Credential=a/b/c,SignedHeaders=host,Signature=0", "AuthorizationHeaderMalformed")]
    [InlineData("AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/ec2/aws4_request,SignedHeaders=host,Signature=0", "AuthorizationHeaderMalformed")]
    [InlineData("AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws5_request,SignedHeaders=host,Signature=0", "AuthorizationHeaderMalformed")]
    [InlineData("AWS4-HMAC-SHA256 Credential=a/20130523/us-east-1/s3/aws4_request,SignedHeaders=host,Signature=0", "AuthorizationHeaderMalformed")]
    [InlineData("AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;host,Signature=0", "AuthorizationHeaderMalformed")]
    [InlineData("AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request,SignedHeaders=;,Signature=0", "AuthorizationHeaderMalformed")]
    [InlineData("AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request,SignedHeaders=x-amz-date,Signature=0", "AccessDenied")]
    [InlineData("AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request,SignedHeaders=host,Signature=0", "AccessDenied")]
    [InlineData("AWS4-HMAC-SHA256 Credential=a/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-date,Signature=0", "InvalidRequest")]
    public void A_malformed_header_has_the_code_that_AWS_gives_it(string authorization, string code)
    {
        var headers = new HeaderDictionary { ["Host"] = "h", ["x-amz-date"] = "20130524T000000Z", ["Authorization"] = authorization };
        Assert.Equal(code, Fails("GET", "/bucket", headers).Error.Code);
    }

    [Theory]
    [InlineData("X-Amz-Algorithm=AWS4-HMAC-SHA256", "", "AuthorizationQueryParametersError")]
    [InlineData("X-Amz-Expires=86400", "X-Amz-Expires=604801", "AuthorizationQueryParametersError")]
    [InlineData("X-Amz-Expires=86400", "X-Amz-Expires=0", "AuthorizationQueryParametersError")]
    [InlineData("X-Amz-Expires=86400", "X-Amz-Expires=-1", "AuthorizationQueryParametersError")]
    [InlineData("X-Amz-Expires=86400", "X-Amz-Expires=1e3", "AuthorizationQueryParametersError")]
    [InlineData("X-Amz-Expires=86400", "X-Amz-Expires=604800", "SignatureDoesNotMatch")]
    [InlineData("20130524T000000Z", "2013-05-24", "AuthorizationQueryParametersError")]
    [InlineData("20130524%2F", "20130523%2F", "AuthorizationQueryParametersError")]
    [InlineData("us-east-1", "us-west-1", "AuthorizationQueryParametersError")]
    [InlineData("SignedHeaders=host", "SignedHeaders=date", "AccessDenied")]
    [InlineData("AWS4-HMAC-SHA256&", "AWS4-HMAC-SHA1&", "AuthorizationQueryParametersError")]
    public void A_malformed_presigned_URL_has_the_code_that_AWS_gives_it(string part, string replacement, string code) =>
        Assert.Equal(code, Fails("GET", PresignedExample.Replace(part, replacement, StringComparison.Ordinal), new() { ["Host"] = "examplebucket.s3.amazonaws.com" }).Error.Code);

    [Fact]
    public void Two_signatures_are_one_too_many()
    {
        var error = Fails("GET", PresignedExample, new() { ["Host"] = "h", ["Authorization"] = "AWS4-HMAC-SHA256 Credential=a" });
        Assert.Equal("InvalidArgument", error.Error.Code);
        Assert.Equal("InvalidArgument", Fails("GET", "/bkt?AWSAccessKeyId=a&Signature=b&Expires=1", new() { ["Host"] = "h", ["Authorization"] = "AWS4-HMAC-SHA256 Credential=a" }).Error.Code);
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Nonsense_is_answered_with_an_error_of_S3_and_nothing_else(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        string[] words = ["AWS4-HMAC-SHA256", " ", ",", "Credential=", "SignedHeaders=", "Signature=", "host", ";", "/", "20130524", "us-east-1", "s3", "aws4_request", "=", "é", "\0", "x-amz-date", new string('a', 300)];
        for (var i = 0; i < 3000; i++)
        {
            var text = new StringBuilder();
            for (var n = random.Next(20); n > 0; n--) text.Append(words[random.Next(words.Length)]);
            TryVerify("GET", "/bucket/key", new() { ["Host"] = "h", ["x-amz-date"] = "20130524T000000Z", ["Authorization"] = text.ToString() });
            var query = new StringBuilder("/bucket?X-Amz-Algorithm=AWS4-HMAC-SHA256");
            foreach (var name in (string[])["Credential", "Date", "Expires", "SignedHeaders", "Signature"])
                query.Append("&X-Amz-").Append(name).Append('=').Append(TestSigner.Encode(words[random.Next(words.Length)] + words[random.Next(words.Length)]));
            TryVerify("GET", query.ToString(), new() { ["Host"] = "h" });
        }
    }

    private static SigningContext Verify(string method, string target, HeaderDictionary headers, DateTimeOffset? now = null)
    {
        var verifier = new SignatureVerifier(["us-east-1"], new FixedClock(now ?? Now));
        var request = new SignedRequest(method, S3Target.Parse(target, headers["Host"], ["s3.amazonaws.com"]), headers);
        var parsed = verifier.Parse(request);
        Assert.NotNull(parsed);
        Assert.Equal("AKIAIOSFODNN7EXAMPLE", parsed.AccessKeyId);
        return verifier.Verify(request, parsed, TestSigner.Example.Secret);
    }

    private static S3Exception Fails(string method, string target, HeaderDictionary headers, DateTimeOffset? now = null) =>
        Assert.Throws<S3Exception>(() =>
        {
            var verifier = new SignatureVerifier(["us-east-1"], new FixedClock(now ?? Now));
            var request = new SignedRequest(method, S3Target.Parse(target, headers["Host"], ["s3.amazonaws.com"]), headers);
            if (verifier.Parse(request) is not { } parsed) throw new S3Exception(S3Error.AccessDenied);
            if (parsed.AccessKeyId != TestSigner.Example.AccessKeyId) throw new S3Exception(S3Error.InvalidAccessKeyId);
            verifier.Verify(request, parsed, TestSigner.Example.Secret);
        });

    private static SigningContext? TryVerify(string method, string target, HeaderDictionary headers)
    {
        try
        {
            var verifier = new SignatureVerifier(["us-east-1"], new FixedClock(Now));
            var request = new SignedRequest(method, S3Target.Parse(target, headers["Host"], []), headers);
            return verifier.Parse(request) is { } parsed && parsed.AccessKeyId == TestSigner.Example.AccessKeyId
                ? verifier.Verify(request, parsed, TestSigner.Example.Secret)
                : null;
        }
        catch (S3Exception)
        {
            return null;
        }
    }
}
