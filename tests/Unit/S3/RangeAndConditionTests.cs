using System.Text;
using DarkStorage.ClientApi.S3;
using DarkStorage.Storage;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace DarkStorage.Unit.S3;

public sealed class RangeAndConditionTests(ITestOutputHelper output)
{
    private static readonly DateTimeOffset Modified = new(2013, 5, 24, 0, 0, 0, 500, TimeSpan.Zero);
    private const string Before = "Thu, 23 May 2013 23:59:59 GMT";
    private const string Same = "Fri, 24 May 2013 00:00:00 GMT";

    public static TheoryData<int> Seeds => [1, 2, Random.Shared.Next()];

    [Theory]
    [InlineData("bytes=0-9", 0, 9), InlineData("bytes=0-0", 0, 0), InlineData("bytes=90-", 90, 99), InlineData("bytes=90-1000", 90, 99), InlineData("bytes=-10", 90, 99)]
    [InlineData("bytes=-1000", 0, 99), InlineData("BYTES=5-6", 5, 6), InlineData("bytes= 5 - 6 ", 5, 6), InlineData("bytes=0-99999999999999999999", 0, 99)]
    [InlineData("bytes=-99999999999999999999", 0, 99)]
    public void A_range_is_cut_to_the_object(string header, long first, long last) => Assert.Equal(new ByteRange(first, last), RangeHeader.Parse(header, 100));

    [Theory]
    [InlineData(null), InlineData(""), InlineData("bytes"), InlineData("bytes="), InlineData("bytes=-"), InlineData("bytes=5"), InlineData("bytes=9-5"), InlineData("bytes=a-b")]
    [InlineData("bytes=0-1,3-4"), InlineData("items=0-9"), InlineData("bytes=--5"), InlineData("bytes=1-2-3"), InlineData("bytes=+1-2"), InlineData("bytes=1-,")]
    public void A_range_that_S3_does_not_take_is_ignored(string? header) => Assert.Null(RangeHeader.Parse(header, 100));

    [Theory]
    [InlineData("bytes=100-", 100), InlineData("bytes=100-200", 100), InlineData("bytes=-0", 100), InlineData("bytes=0-", 0), InlineData("bytes=-5", 0), InlineData("bytes=0-0", 0)]
    public void A_range_past_the_object_is_not_satisfiable(string header, long length)
    {
        var error = Assert.Throws<S3Exception>(() => RangeHeader.Parse(header, length));
        Assert.Equal("InvalidRange", error.Error.Code);
        Assert.Equal([new("RangeRequested", header), new("ActualObjectSize", $"{length}")], error.Fields);
    }

    [Fact]
    public void A_copy_takes_only_a_plain_range_within_its_source()
    {
        Assert.Equal(new ByteRange(1, 99), RangeHeader.ParseCopySource("bytes=1-99", 100));
        foreach (var bad in (string[])["bytes=1-100", "bytes=1-", "bytes=-5", "1-5", "bytes=5-1", ""])
            Assert.Equal("InvalidArgument", Assert.Throws<S3Exception>(() => RangeHeader.ParseCopySource(bad, 100)).Error.Code);
    }

    [Theory, MemberData(nameof(Seeds))]
    public void A_range_is_always_within_the_object(int seed)
    {
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        for (var i = 0; i < 20_000; i++)
        {
            var text = new StringBuilder(random.Next(4) > 0 ? "bytes=" : "");
            for (var n = random.Next(6); n > 0; n--) text.Append("0123456789-, =a"[random.Next(15)]);
            var length = random.Next(1000);
            ByteRange? parsed = null;
            var failure = Record.Exception(() => parsed = RangeHeader.Parse(text.ToString(), length));
            Assert.True(failure is null or S3Exception, $"{text}: {failure}");
            if (parsed is { } range) Assert.True(range.First >= 0 && range.First <= range.Last && range.Last < length, text.ToString());
            EntityTag.Matches(text.ToString() + "\"W/\",", "a", weakly: true);
        }
    }

    [Theory]
    [InlineData(null, null, null, null, 200)]
    [InlineData("\"etag\"", null, null, null, 200)]
    [InlineData("etag", null, null, null, 200)]
    [InlineData("*", null, null, null, 200)]
    [InlineData("\"a\", \"etag\"", null, null, null, 200)]
    [InlineData("\"other\"", null, null, null, 412)]
    [InlineData("W/\"etag\"", null, null, null, 412)]
    [InlineData(null, "\"etag\"", null, null, 304)]
    [InlineData(null, "W/\"etag\"", null, null, 304)]
    [InlineData(null, "a,etag", null, null, 304)]
    [InlineData(null, "*", null, null, 304)]
    [InlineData(null, "\"other\"", null, null, 200)]
    [InlineData(null, "\"etag,more\"", null, null, 200)]
    [InlineData(null, null, Same, null, 304)]
    [InlineData(null, null, Before, null, 200)]
    [InlineData(null, null, null, Same, 200)]
    [InlineData(null, null, null, Before, 412)]
    [InlineData("\"etag\"", null, null, Before, 200)]           // If-Match outranks If-Unmodified-Since
    [InlineData("\"other\"", null, null, Same, 412)]
    [InlineData(null, "\"other\"", Same, null, 200)]            // If-None-Match outranks If-Modified-Since
    [InlineData(null, "\"etag\"", Before, null, 304)]
    [InlineData("\"etag\"", "\"etag\"", null, null, 304)]
    [InlineData("\"other\"", "\"etag\"", null, null, 412)]
    [InlineData(null, null, "yesterday", "tomorrow", 200)]
    public void Conditions_come_to_what_the_RFC_says(string? ifMatch, string? ifNoneMatch, string? modifiedSince, string? unmodifiedSince, int status)
    {
        var headers = new HeaderDictionary { ["If-Match"] = ifMatch, ["If-None-Match"] = ifNoneMatch, ["If-Modified-Since"] = modifiedSince, ["If-Unmodified-Since"] = unmodifiedSince };
        var outcome = RequestConditions.OfRead(headers).Evaluate("etag", Modified);
        Assert.Equal(status, outcome switch { ConditionOutcome.Ok => 200, ConditionOutcome.NotModified => 304, _ => 412 });

        var copy = new HeaderDictionary();
        foreach (var (name, value) in headers) copy["x-amz-copy-source-" + name] = value;
        Assert.Equal(status == 200 ? ConditionOutcome.Ok : ConditionOutcome.PreconditionFailed, RequestConditions.OfCopySource(copy).EvaluateForCopy("etag", Modified));
    }

    [Fact]
    public void A_write_may_want_a_content_or_none()
    {
        Assert.Equal(new("etag", null), RequestConditions.OfWrite(new HeaderDictionary { ["If-Match"] = "\"etag\"" }));
        Assert.Equal(new(null, "*"), RequestConditions.OfWrite(new HeaderDictionary { ["If-None-Match"] = "*" }));
        Assert.Equal(new(null, null), RequestConditions.OfWrite(new HeaderDictionary()));
        Assert.Equal("NotImplemented", Assert.Throws<S3Exception>(() => RequestConditions.OfWrite(new HeaderDictionary { ["If-None-Match"] = "\"etag\"" })).Error.Code);
    }
}
