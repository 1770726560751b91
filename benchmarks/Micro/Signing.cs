using BenchmarkDotNet.Attributes;
using DarkStorage.ClientApi.S3;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Micro;

/// <summary>What a request costs before anything is done for it: its name and its signature. The examples are AWS's public ones.</summary>
[MemoryDiagnoser]
public class Signing
{
    private const string Secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    private const string Host = "examplebucket.s3.amazonaws.com";
    private const string PresignedTarget = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        + "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";

    private static readonly string[] Domains = ["s3.amazonaws.com"];

    private readonly HeaderDictionary _headers = new()
    {
        ["Host"] = Host,
        ["Range"] = "bytes=0-9",
        ["x-amz-content-sha256"] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ["x-amz-date"] = "20130524T000000Z",
        ["Authorization"] = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
            + "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    };

    private readonly HeaderDictionary _hostAlone = new() { ["Host"] = Host };
    private readonly SignatureVerifier _verifier = new(["us-east-1"], new ExampleClock());
    private S3Target _target = null!;
    private S3Target _presigned = null!;

    [GlobalSetup]
    public void Prepare()
    {
        _target = S3Target.Parse("/test.txt", Host, Domains);
        _presigned = S3Target.Parse(PresignedTarget, Host, Domains);
    }

    [Benchmark]
    public int ParseAndVerify() => Verify(new("GET", _target, _headers));

    [Benchmark]
    public int ParseAndVerifyPresigned() => Verify(new("GET", _presigned, _hostAlone));

    [Benchmark]
    public string RouteAGet() => Route("GET", "/bucket/photos/2026/01/some%20picture.jpg");

    [Benchmark]
    public string RouteAPart() => Route("PUT", "/bucket/photos/2026/01/film.mp4?partNumber=17&uploadId=0123456789abcdef0123456789abcdef");

    [Benchmark]
    public string RouteAListing() => Route("GET", "/bucket?list-type=2&prefix=photos%2F&delimiter=%2F&max-keys=1000");

    private string Route(string method, string raw) => S3Operations.Find(method, S3Target.Parse(raw, "127.0.0.1:9000", Domains), _hostAlone).Name;

    /// <summary>A signature that is wrong throws, so what is measured is one that is right.</summary>
    private int Verify(in SignedRequest request) => _verifier.Verify(request, _verifier.Parse(request)!, Secret).Scope.Length;

    private sealed class ExampleClock : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => new(2013, 5, 24, 0, 0, 0, TimeSpan.Zero);
    }
}
