using System.Security.Cryptography;
using System.Text;
using DarkStorage.ClientApi.S3;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace DarkStorage.Unit.S3;

/// <summary>The first five and their signatures are the examples of AWS's public documentation of Signature V2.</summary>
public sealed class SignatureVersion2Tests(ITestOutputHelper output)
{
    private const string KeyId = "AKIAIOSFODNN7EXAMPLE";
    private const string Secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    private static readonly string[] Domains = ["s3.us-west-1.amazonaws.com"];

    public static TheoryData<int> Seeds => [1, 2, 3, Random.Shared.Next()];

    [Theory]
    [InlineData("GET", "/photos/puppy.jpg", "Tue, 27 Mar 2007 19:36:42 +0000", null, "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=")]
    [InlineData("PUT", "/photos/puppy.jpg", "Tue, 27 Mar 2007 21:15:45 +0000", "image/jpeg", "iqRzw+ileNPu1fhspnRs8nOjjIA=")]
    [InlineData("GET", "/?prefix=photos&max-keys=50&marker=puppy", "Tue, 27 Mar 2007 19:42:41 +0000", null, "m0WP8eCtspQl5Ahe6L1SozdX9YA=")]
    [InlineData("GET", "/?acl", "Tue, 27 Mar 2007 19:44:46 +0000", null, "82ZHiFIjc+WbcwFKGUVEQspPn+0=")]
    // The last with the zone as Go's clients write it, signed by another program.
    [InlineData("GET", "/photos/puppy.jpg", "Tue, 27 Mar 2007 19:36:42 UTC", null, "TqNe+fJ0CjbBQw/ZQU7ITZatccw=")]
    public void The_documented_requests_verify(string method, string target, string date, string? type, string signature)
    {
        var headers = new HeaderDictionary { ["Host"] = "awsexamplebucket1.s3.us-west-1.amazonaws.com", ["Date"] = date, ["Authorization"] = $"AWS {KeyId}:{signature}" };
        if (type is not null) headers["Content-Type"] = type;
        Assert.Equal(KeyId, Verify(method, target, headers, date).AccessKeyId);
        headers["Date"] = date.Replace("2007", "2006", StringComparison.Ordinal);
        Assert.NotNull(Record.Exception(() => Verify(method, target, headers, date)));
    }

    [Fact]
    public void The_documented_query_verifies_until_it_expires()
    {
        const string target = "/photos/puppy.jpg?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620";
        var headers = new HeaderDictionary { ["Host"] = "johnsmith.s3.us-west-1.amazonaws.com" };
        var end = DateTimeOffset.FromUnixTimeSeconds(1175139620);
        Assert.True(Verify("GET", target, headers, end).IsVersion2);
        Assert.Equal("AccessDenied", Assert.Throws<S3Exception>(() => Verify("GET", target, headers, end.AddSeconds(1))).Error.Code);
        Assert.Equal("SignatureDoesNotMatch", Assert.Throws<S3Exception>(() => Verify("PUT", target, headers, end)).Error.Code);
    }

    [Theory]
    [InlineData("retention")]
    [InlineData("acl")]
    [InlineData("publicAccessBlock")]
    [InlineData("attributes")]
    [InlineData("versionId=1")]
    [InlineData("response-content-type=text%2Fhtml")]
    [InlineData("x-amz-acl=public-read")]
    public void What_makes_another_operation_of_a_link_breaks_its_signature(string added)
    {
        var expires = DateTimeOffset.UtcNow.AddMinutes(1).ToUnixTimeSeconds();
        var signature = Uri.EscapeDataString(Sign($"PUT\n\n\n{expires}\n/bucket/key"));
        var target = $"/bucket/key?AWSAccessKeyId={KeyId}&Expires={expires}&Signature={signature}";
        var headers = new HeaderDictionary { ["Host"] = "h" };
        Assert.True(Verify("PUT", target, headers, DateTimeOffset.UtcNow).IsVersion2);
        Assert.Equal("SignatureDoesNotMatch", Assert.Throws<S3Exception>(() => Verify("PUT", $"{target}&{added}", headers, DateTimeOffset.UtcNow)).Error.Code);
    }

    [Fact]
    public void A_header_of_AWS_that_is_added_or_changed_breaks_the_signature()
    {
        var date = DateTimeOffset.UtcNow.ToString("r", System.Globalization.CultureInfo.InvariantCulture);
        var headers = new HeaderDictionary { ["Host"] = "h", ["X-Amz-Date"] = date, ["x-amz-meta-b"] = new(["2 ", "3"]), ["X-Amz-Meta-A"] = "1" };
        headers["Authorization"] = $"AWS {KeyId}:{Sign($"PUT\n\n\n\nx-amz-date:{date}\nx-amz-meta-a:1\nx-amz-meta-b:2,3\n/bucket/a%20b")}";
        Assert.True(Verify("PUT", "/bucket/a%20b", headers, DateTimeOffset.UtcNow).IsVersion2);
        headers["x-amz-acl"] = "public-read";
        Assert.Throws<S3Exception>(() => Verify("PUT", "/bucket/a%20b", headers, DateTimeOffset.UtcNow));
    }

    [Theory]
    [InlineData("AWS", "InvalidArgument")]
    [InlineData("AWS key", "InvalidArgument")]
    [InlineData("AWS :sig", "InvalidArgument")]
    [InlineData("AWS key:", "SignatureDoesNotMatch")]
    [InlineData("AWS key:not base64", "SignatureDoesNotMatch")]
    public void A_malformed_header_is_refused(string authorization, string code)
    {
        var headers = new HeaderDictionary { ["Host"] = "h", ["Date"] = DateTimeOffset.UtcNow.ToString("r", System.Globalization.CultureInfo.InvariantCulture), ["Authorization"] = authorization };
        Assert.Equal(code, Assert.Throws<S3Exception>(() => Verify("GET", "/bucket/key", headers, DateTimeOffset.UtcNow)).Error.Code);
    }

    [Theory]
    [InlineData("Signature=x&AWSAccessKeyId=k", "AccessDenied")]
    [InlineData("Signature=x&AWSAccessKeyId=k&Expires=soon", "AccessDenied")]
    [InlineData("Signature=x&AWSAccessKeyId=k&Expires=99999999999999999", "AccessDenied")]
    [InlineData("Signature=x&AWSAccessKeyId=&Expires=9999999999", "InvalidAccessKeyId")]
    [InlineData("Signature=x&AWSAccessKeyId=k&Expires=9999999999", "SignatureDoesNotMatch")]
    public void A_malformed_query_is_refused(string query, string code) =>
        Assert.Equal(code, Assert.Throws<S3Exception>(() => Verify("GET", $"/bucket/key?{query}", new() { ["Host"] = "h" }, DateTimeOffset.UtcNow)).Error.Code);

    [Fact]
    public void A_node_that_does_not_take_it_says_so()
    {
        var verifier = new SignatureVerifier(["us-east-1"], TimeProvider.System, takesVersion2: false);
        var target = S3Target.Parse("/bucket/k?AWSAccessKeyId=a&Signature=b&Expires=9999999999", "h", []);
        Assert.Equal("InvalidRequest", Assert.Throws<S3Exception>(() => verifier.ParseVersion2(new("GET", target, new HeaderDictionary { ["Host"] = "h" }))).Error.Code);
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Nonsense_is_answered_with_an_error_of_S3_and_nothing_else(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        string[] words = ["AWS ", "AWS", ":", "a", "AWSAccessKeyId=", "&", "Signature=", "Expires=", "9999999999", "\0", "é", "==", " ", "acl", "%20", new string('x', 300)];
        for (var i = 0; i < 5_000; i++)
        {
            var (query, header) = (Text(), Text());
            var failure = Record.Exception(() => Verify("GET", "/bucket/key?" + Uri.EscapeDataString(query).Replace("%26", "&", StringComparison.Ordinal).Replace("%3D", "=", StringComparison.Ordinal),
                new() { ["Host"] = "h", ["Date"] = "x", ["Authorization"] = header }, DateTimeOffset.UtcNow));
            Assert.True(failure is null or S3Exception or InvalidOperationException { Message: "anonymous" }, $"{query} {header}: {failure}");
        }

        string Text() => string.Concat(Enumerable.Range(0, random.Next(8)).Select(_ => words[random.Next(words.Length)]));
    }

    private static SigningContext Verify(string method, string target, HeaderDictionary headers, string date) => Verify(method, target, headers, DateTimeOffset.Parse(date.Replace("UTC", "GMT", StringComparison.Ordinal), System.Globalization.CultureInfo.InvariantCulture));

    private static SigningContext Verify(string method, string target, HeaderDictionary headers, DateTimeOffset now)
    {
        var verifier = new SignatureVerifier(["us-east-1"], new FixedClock(now));
        var request = new SignedRequest(method, S3Target.Parse(target, headers["Host"], Domains), headers);
        return SignatureVerifier.Verify(verifier.ParseVersion2(request) ?? throw new InvalidOperationException("anonymous"), Secret);
    }

    private static string Sign(string text) => Convert.ToBase64String(HMACSHA1.HashData(Encoding.UTF8.GetBytes(Secret), Encoding.UTF8.GetBytes(text)));
}
