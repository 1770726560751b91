using System.Text;
using DarkStorage.ClientApi.S3;
using Xunit;

namespace DarkStorage.Unit.S3;

public sealed class S3TargetTests(ITestOutputHelper output)
{
    private static readonly string[] Domains = ["s3.example.com", "localhost"];

    public static TheoryData<int> Seeds => [1, 2, 3, Random.Shared.Next()];

    [Theory]
    [InlineData("/", "s3.example.com", null, null)]
    [InlineData("/bucket", "s3.example.com", "bucket", null)]
    [InlineData("/bucket/", "s3.example.com:9000", "bucket", null)]
    [InlineData("/bucket/key", "127.0.0.1:9000", "bucket", "key")]
    [InlineData("/bucket/a/b", null, "bucket", "a/b")]
    [InlineData("/bucket//a", null, "bucket", "/a")]
    [InlineData("/bucket/a//b/", null, "bucket", "a//b/")]
    [InlineData("/bucket/../other/key", null, "bucket", "../other/key")]
    [InlineData("/bucket/.", null, "bucket", ".")]
    [InlineData("/bucket/a%2Fb%2f", null, "bucket", "a/b/")]
    [InlineData("/bucket/a+b%20c", null, "bucket", "a+b c")]
    [InlineData("/bucket/%00%01", null, "bucket", "\0\u0001")]
    [InlineData("/bucket/%F0%9F%9A%80", null, "bucket", "🚀")]
    [InlineData("/bucket/key?x=/y", null, "bucket", "key")]
    [InlineData("http://s3.example.com/bucket/key?x", "s3.example.com", "bucket", "key")]
    [InlineData("http://s3.example.com", "s3.example.com", null, null)]
    [InlineData("http://s3.example.com?x", "s3.example.com", null, null)]
    [InlineData("/key", "bucket.s3.example.com", "bucket", "key")]
    [InlineData("/", "bucket.S3.Example.com:9000", "bucket", null)]
    [InlineData("/bucket/key", "my.dotted.bucket.s3.example.com", "my.dotted.bucket", "bucket/key")]
    [InlineData("//a", "bucket.localhost:9000", "bucket", "/a")]
    [InlineData("/bucket/key", "[::1]:9000", "bucket", "key")]
    [InlineData("/bucket/key", "other.example.com", "bucket", "key")]
    public void A_target_names_its_bucket_and_key(string target, string? host, string? bucket, string? key)
    {
        var parsed = S3Target.Parse(target, host, Domains);
        Assert.Equal((bucket, key), (parsed.Bucket, parsed.Key));
    }

    [Theory]
    [InlineData("/bucket/%", "InvalidURI")]
    [InlineData("/bucket/%4", "InvalidURI")]
    [InlineData("/bucket/%zz", "InvalidURI")]
    [InlineData("/bucket/%FF", "InvalidURI")]
    [InlineData("/bucket/%C0%80", "InvalidURI")]
    [InlineData("/bucket/%ED%A0%80", "InvalidURI")]
    [InlineData("/bucket/é", "InvalidURI")]
    [InlineData("/bucket/key?a=%FF", "InvalidURI")]
    [InlineData("*", "InvalidURI")]
    [InlineData("", "InvalidURI")]
    [InlineData("bucket/key", "InvalidURI")]
    [InlineData("//key", "InvalidBucketName")]
    [InlineData("/Bucket/key", "InvalidBucketName")]
    public void A_target_that_can_not_be_read_is_refused(string target, string code) =>
        Assert.Equal(code, Assert.Throws<S3Exception>(() => S3Target.Parse(target, "h", Domains)).Error.Code);

    [Fact]
    public void A_key_has_1024_bytes_at_most()
    {
        Assert.Equal(1024, S3Target.Parse("/bucket/" + new string('a', 1024), "h", Domains).Key!.Length);
        Assert.Equal(512, S3Target.Parse("/bucket/" + string.Concat(Enumerable.Repeat("%C3%A9", 512)), "h", Domains).Key!.Length);
        foreach (var key in (string[])[new string('a', 1025), string.Concat(Enumerable.Repeat("%C3%A9", 513)), new string('a', 10_000)])
            Assert.Equal("KeyTooLongError", Assert.Throws<S3Exception>(() => S3Target.Parse("/bucket/" + key, "h", Domains)).Error.Code);
    }

    [Theory]
    [InlineData("bucket/key", "bucket", "key", null)]
    [InlineData("/bucket/a%2Fb%20c", "bucket", "a/b c", null)]
    [InlineData("bucket%2Fa%2Fb", "bucket", "a/b", null)]
    [InlineData("/bucket/a+b", "bucket", "a+b", null)]
    [InlineData("/bucket/é%C3%A9", "bucket", "éé", null)]
    [InlineData("bucket/a?b?versionId=null", "bucket", "a?b", "null")]
    public void A_copy_source_names_a_key_and_perhaps_a_version(string header, string bucket, string key, string? version)
    {
        var source = S3Target.ParseCopySource(header);
        Assert.Equal((bucket, key, version), (source.Bucket, source.Key, source.Query.Find("versionId")));
    }

    [Theory]
    [InlineData(""), InlineData("/"), InlineData("bucket"), InlineData("bucket/"), InlineData("/bucket/")]
    public void A_copy_source_without_a_key_is_refused(string header) =>
        Assert.Equal("InvalidArgument", Assert.Throws<S3Exception>(() => S3Target.ParseCopySource(header)).Error.Code);

    [Fact]
    public void A_query_keeps_its_order_its_duplicates_and_its_empty_values()
    {
        var query = S3Query.Parse("b=1&a=x%26y+z&&acl&b=2&e=&=v");
        Assert.Equal(["b=1", "a=x&y z", "acl=", "b=2", "e=", "=v"], query.Parameters.ToArray().Select(p => $"{p.Key}={p.Value}"));
        Assert.Equal("1", query.Find("b"));
        Assert.True(query.Has("acl"));
        Assert.False(query.Has("ACL"));
        Assert.Null(query.Find("c"));
        Assert.Throws<S3Exception>(() => S3Query.Parse(string.Join('&', Enumerable.Repeat("a", 129))));
    }

    [Theory]
    [InlineData("abc", true), InlineData("a-b.c1", true), InlineData("123", true), InlineData("1.2.3", true), InlineData("1.2.3.4", false), InlineData("192.168.5.4", false)]
    [InlineData("192.168.5.400", true), InlineData("ab", false), InlineData("", false), InlineData("Abc", false), InlineData("a_b", false), InlineData("a b", false)]
    [InlineData("-ab", false), InlineData("ab-", false), InlineData(".ab", false), InlineData("ab.", false), InlineData("a..b", false), InlineData("a.-b", true)]
    [InlineData("xn--abc", false), InlineData("sthree-abc", false), InlineData("amzn-s3-demo-bucket", false), InlineData("abc-s3alias", false), InlineData("abc--ol-s3", false)]
    [InlineData("abc.mrap", false), InlineData("abc--x-s3", false), InlineData("abc--table-s3", false), InlineData("bücket", false)]
    public void A_bucket_name_follows_the_rules_of_AWS(string name, bool valid) => Assert.Equal(valid, BucketName.IsValid(name));

    [Fact]
    public void A_bucket_name_has_63_characters_at_most()
    {
        Assert.True(BucketName.IsValid(new string('a', 63)));
        Assert.False(BucketName.IsValid(new string('a', 64)));
    }

    [Theory, MemberData(nameof(Seeds))]
    public void Nonsense_is_answered_with_an_error_of_S3_and_nothing_else(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        string[] words = ["/", "bucket", "%", "%2F", "%FF", "%F0%9F%9A%80", "..", "?", "&", "=", "+", "http://", "é", "\0", "s3.example.com", ".", ":", "a", new string('a', 700)];
        for (var i = 0; i < 20_000; i++)
        {
            var (first, second) = (Arbitrary(), Arbitrary());
            foreach (var failure in (Exception?[])[Record.Exception(() => S3Target.Parse(first, second, Domains)), Record.Exception(() => S3Target.ParseCopySource(first))])
                Assert.True(failure is null or S3Exception, $"{first}, {second}: {failure}");
        }

        string Arbitrary()
        {
            var text = new StringBuilder(random.Next(2) == 0 ? "/bucket/" : "");
            for (var n = random.Next(10); n > 0; n--) text.Append(words[random.Next(words.Length)]);
            return text.ToString();
        }
    }
}
