using System.Text.RegularExpressions;
using DarkStorage.Rules.Logging;
using Xunit;

namespace DarkStorage.Unit.Logging;

/// <summary>The lines of access logs, as readers of AWS's take them apart.</summary>
public sealed partial class AccessLogEntryTests
{
    private static readonly AccessLogEntry Bare = new() { BucketOwner = "owner", Bucket = "bucket", Time = new(2026, 2, 6, 0, 0, 38, TimeSpan.Zero), Operation = "REST.GET.OBJECT" };

    [Fact]
    public void A_line_has_all_fields_in_the_order_of_AWS()
    {
        var line = (Bare with
        {
            RemoteAddress = "192.0.2.3", Requester = "arn:aws:iam::000000000000:user/ann", RequestId = "3E57427F3EXAMPLE", Operation = "REST.PUT.OBJECT", Key = "a/b.txt", RequestLine = "PUT /bucket/a/b.txt HTTP/1.1",
            Status = 200, BytesSent = 4406, ObjectSize = 41754, TotalMilliseconds = 28, TurnAroundMilliseconds = 10, Referer = "http://www.example.com/x", UserAgent = "curl/7.15.1", VersionId = "3HL4kqtJvjVBH40N",
            HostId = "s9lzHYrFp76=", SignatureVersion = "SigV4", CipherSuite = "TLS_AES_128_GCM_SHA256", AuthenticationType = "AuthHeader", HostHeader = "s3.example.com", TlsVersion = "TLSv1.3", AclRequired = true,
        }).ToLine();
        Assert.Equal("owner bucket [06/Feb/2026:00:00:38 +0000] 192.0.2.3 arn:aws:iam::000000000000:user/ann 3E57427F3EXAMPLE REST.PUT.OBJECT a/b.txt \"PUT /bucket/a/b.txt HTTP/1.1\" 200 - 4406 41754 28 10 "
            + "\"http://www.example.com/x\" \"curl/7.15.1\" 3HL4kqtJvjVBH40N s9lzHYrFp76= SigV4 TLS_AES_128_GCM_SHA256 AuthHeader s3.example.com TLSv1.3 - Yes\n", line);
        Assert.Equal(26, Fields(line).Count);
    }

    [Fact]
    public void What_is_not_known_is_a_dash_and_a_header_that_did_not_come_a_quoted_one()
    {
        Assert.Equal("owner bucket [06/Feb/2026:00:00:38 +0000] - - - REST.GET.OBJECT - - - - - - - - - - - - - - - - - - -\n", Bare.ToLine());
        var fields = Fields((Bare with { Referer = "", UserAgent = "", RequestLine = "" }).ToLine());
        Assert.Equal(["\"-\"", "\"-\"", "\"-\""], [fields[8], fields[15], fields[16]]);
        Assert.Equal("0", Fields((Bare with { ObjectSize = 0 }).ToLine())[12]);
    }

    [Theory]
    [InlineData("plain-_.~/key", "plain-_.~/key")]
    [InlineData("a b+c", "a%20b%2Bc")]
    [InlineData("100%", "100%25")]
    [InlineData("grüße/日本/😀", "gr%C3%BC%C3%9Fe/%E6%97%A5%E6%9C%AC/%F0%9F%98%80")]
    [InlineData("\"quoted\"\n\t", "%22quoted%22%0A%09")]
    [InlineData("-", "-")]
    public void Keys_are_percent_encoded_but_for_slashes(string key, string written) => Assert.Equal(written, Fields((Bare with { Key = key }).ToLine())[7]);

    [Theory]
    [InlineData("Mozilla/5.0 (X11; \"quoted\") \\", "\"Mozilla/5.0 (X11; %22quoted%22) \\\"")]
    [InlineData("a\tb\r\nowner bucket [", "\"a%09b%0D%0Aowner bucket [\"")]
    [InlineData("müller", "\"m%C3%BCller\"")]
    public void What_a_client_sends_stays_within_its_field(string userAgent, string written)
    {
        var line = (Bare with { UserAgent = userAgent, Referer = userAgent, HostHeader = userAgent, VersionId = userAgent, RequestLine = userAgent }).ToLine();
        Assert.Single(line, c => c == '\n');
        Assert.All(line[..^1], c => Assert.InRange(c, ' ', '~'));
        var fields = Fields(line);
        Assert.Equal(26, fields.Count);
        Assert.Equal([written, written, written], [fields[8], fields[15], fields[16]]);
        Assert.DoesNotContain(' ', fields[22]);
    }

    [Fact]
    public void Long_headers_are_cut() => Assert.Equal(AccessLogEntry.HeaderLengthMax + 2, Fields((Bare with { UserAgent = new('x', 30_000) }).ToLine())[16].Length);

    [Theory]
    [InlineData("/b/k", "/b/k")]
    [InlineData("/b/k?versionId=1&acl", "/b/k?versionId=1&acl")]
    [InlineData("/b/k?X-Amz-Algorithm=A&X-Amz-Credential=AK%2F2026&X-Amz-Signature=abc&X-Amz-Security-Token=tok", "/b/k?X-Amz-Algorithm=A&X-Amz-Credential=REDACTED&X-Amz-Signature=REDACTED&X-Amz-Security-Token=REDACTED")]
    [InlineData("/b/k?x-amz-signature=abc", "/b/k?x-amz-signature=REDACTED")]
    [InlineData("/b/k?X-Amz-Sign%61ture=abc", "/b/k?X-Amz-Sign%61ture=REDACTED")]
    [InlineData("/b/k?AWSAccessKeyId=a&Signature=b=c&Expires=1", "/b/k?AWSAccessKeyId=REDACTED&Signature=REDACTED&Expires=1")]
    [InlineData("/b/k?&&X-Amz-Signature&=1", "/b/k?&&X-Amz-Signature&=1")]
    [InlineData("https://h/b/k?X-Amz-Server-Side-Encryption-Customer-Key=a2V5", "https://h/b/k?X-Amz-Server-Side-Encryption-Customer-Key=REDACTED")]
    public void Credentials_in_a_url_are_not_written_down(string url, string clean)
    {
        Assert.Equal(clean, AccessLogEntry.WithoutSecrets(url));
        Assert.Equal($"\"{clean}\"", Fields((Bare with { Referer = url }).ToLine())[15]);
    }

    [Fact]
    public void A_referer_that_is_cut_does_not_uncover_a_credential()
    {
        var referer = "http://h/?" + new string('x', AccessLogEntry.HeaderLengthMax - 40) + "&X-Amz-Signature=0123456789abcdef0123456789abcdef";
        Assert.DoesNotContain("0123", (Bare with { Referer = referer }).ToLine(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(LogKeyFormat.Simple, "logs/2026-02-06-13-14-15-0123456789ABCDEF")]
    [InlineData(LogKeyFormat.PartitionedByDeliveryTime, "logs/000000000000/us-east-1/photos/2026/02/06/2026-02-06-13-14-15-0123456789ABCDEF")]
    [InlineData(LogKeyFormat.PartitionedByEventTime, "logs/000000000000/us-east-1/photos/2026/02/06/2026-02-06-00-00-00-0123456789ABCDEF")]
    public void Objects_are_named_as_AWS_names_them(LogKeyFormat format, string key) =>
        Assert.Equal(key, LogTarget.KeyOf(format, "logs/", "000000000000", "us-east-1", "photos", new(2026, 2, 6, 15, 14, 15, TimeSpan.FromHours(2)), "0123456789ABCDEF"));

    [Fact]
    public void Every_operation_has_a_name()
    {
        Assert.All(ClientApi.S3.S3Operations.All, o => Assert.Matches("^(REST)\\.(GET|HEAD|PUT|POST|DELETE|COPY|OPTIONS|SELECT)\\.[A-Z_]+$", ClientApi.S3.S3Operations.LogNameOf(o, "-")));
        string Name(string operation) => ClientApi.S3.S3Operations.LogNameOf(ClientApi.S3.S3Operations.All.First(o => o.Name == operation), "-");
        Assert.Equal(["REST.GET.BUCKETPOLICY", "REST.GET.LOGGING_STATUS", "REST.PUT.OBJECT_TAGGING", "REST.GET.TAGGING", "REST.POST.UPLOAD", "REST.DELETE.UPLOAD", "REST.GET.VERSIONING", "REST.PUT.ACL", "REST.DELETE.BUCKET"],
            [Name("GetBucketPolicy"), Name("GetBucketLogging"), Name("PutObjectTagging"), Name("GetBucketTagging"), Name("CompleteMultipartUpload"), Name("AbortMultipartUpload"), Name("GetBucketVersioning"), Name("PutObjectAcl"), Name("DeleteBucket")]);
        Assert.Equal("WEBSITE.GET.OBJECT", ClientApi.S3.S3Operations.LogNameOf(new("Website"), "GET"));
    }

    private static List<string> Fields(string line) => [.. Field().Matches(line.TrimEnd('\n')).Select(m => m.Value)];

    /// <summary>As AWS's own example of a table for Athena has it.</summary>
    [GeneratedRegex("\"[^\"]*\"|\\[[^\\]]*\\]|[^ ]+")]
    private static partial Regex Field();
}
