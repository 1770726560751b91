using System.Globalization;
using System.Text;
using DarkStorage.TestKit;

namespace DarkStorage.Simulation.Fuzz;

/// <summary>Makes requests that are wrong in one way or in many, each from a seed of its own.</summary>
/// <remarks>Most begin as requests that the node would take, since what is plain noise is refused at the door.</remarks>
internal sealed class RequestFuzzer(RawS3 s3, string bucket, int seed)
{
    private static readonly string[] Methods = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "get", "TRACE", "CONNECT", "MKCOL", "PRI", ""];

    private static readonly string[] Parameters =
    [
        "uploads", "uploadId=x", "uploadId=00000000000000000000000000000000", "partNumber=1", "partNumber=-1", "partNumber=99999999999", "list-type=2", "list-type=3", "delete", "location", "acl", "policy",
        "max-keys=-1", "max-keys=99999999999", "max-keys=x", "prefix=%FF", "prefix=%C3%28", "delimiter=%00", "marker=%F0%9F%98%80", "start-after=%ED%A0%80", "continuation-token=", "continuation-token=AQ",
        "continuation-token=Af8", "encoding-type=url", "encoding-type=xyz", "versionId=null", "versionId=1", "response-content-type=a%0d%0ab", "response-expires=%E2%82%AC", "key-marker=a", "upload-id-marker=z", "%", "=", "a=%zz", "tagging",
        "response-content-disposition=%F0%9F%98%80", "max-uploads=0", "max-parts=0", "part-number-marker=2147483647", "part-number-marker=2147483648", "max-buckets=0", "versioning", "attributes", "select&select-type=2", "restore",
    ];

    private static readonly string[] HeaderNames =
    [
        "Content-MD5", "Content-Type", "Content-Encoding", "Content-Disposition", "Cache-Control", "Expires", "Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "Expect", "x-amz-date", "Date",
        "x-amz-copy-source", "x-amz-copy-source-range", "x-amz-copy-source-if-match", "x-amz-metadata-directive", "x-amz-meta-a", "x-amz-meta-", "x-amz-storage-class", "x-amz-acl", "x-amz-tagging", "x-amz-trailer",
        "x-amz-decoded-content-length", "x-amz-checksum-crc32", "x-amz-checksum-sha256", "x-amz-checksum-type", "x-amz-checksum-algorithm", "x-amz-sdk-checksum-algorithm", "x-amz-checksum-mode", "x-amz-mp-object-size",
        "x-amz-expected-bucket-owner", "x-amz-website-redirect-location", "x-amz-security-token", "x-amz-object-lock-mode", "x-amz-server-side-encryption", "x-amz-content-sha256", "Authorization", "Host", "Transfer-Encoding", "Content-Length",
        "Connection", "Upgrade", "Origin",
    ];

    private static readonly string[] Values =
    [
        "", " ", "x", "*", "\"", "\"\"", "W/\"x\"", "null", "-1", "0", "1", "99999999999999999999", "bytes=0-", "bytes=-1", "bytes=1-0", "bytes=0-9223372036854775807", "100-continue", "chunked", "gzip", "aws-chunked", "aws-chunked,gzip",
        "COPY", "REPLACE", "STANDARD", "GLACIER", "/a/b", "a", "a/%FF", "%2F%2F", "//", "?versionId=", "a/b?versionId=x", "AAAA", "AAAA==", "1B2M2Y8AsgTpgAmY7PhCfg==", "CRC32", "SHA256", "FULL_OBJECT", "COMPOSITE",
        "x-amz-checksum-crc32", "x-amz-checksum-crc32,x-amz-checksum-sha1", "UNSIGNED-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        "20200101T000000Z", "99999999T999999Z", "00010101T000000Z", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "AWS a:b", "AWS4-HMAC-SHA256", "Bearer x", "größe", "\u0001", "\u007f", "😀", "a\tb", "ENABLED", "true", "root",
    ];

    /// <summary>Bytes that end something, somewhere.</summary>
    private static readonly byte[] Troublesome = [.. "\r\n\0 %:;,/<>&=\"'+\u007f"u8];

    private readonly Random _random = Seeds.Fork(seed);

    /// <summary>Whether the request being made tells its own end, so that it must be answered.</summary>
    private bool _framed;

    /// <summary>The bytes of one request, all of them.</summary>
    public (byte[] Bytes, bool MustAnswer) Next()
    {
        _framed = true;
        var bytes = Make();
        return (bytes, _framed);
    }

    private byte[] Make() => _random.Next(12) switch
    {
        0 => Noise(),
        1 => Presigned(),
        2 or 3 => AwsChunked(),
        4 or 5 => XmlBody(),
        _ => Ordinary(),
    };

    /// <summary>A request that would be taken, with things put into it before it is signed, and perhaps some bytes changed afterwards.</summary>
    private byte[] Ordinary()
    {
        var request = Any();
        for (var i = _random.Next(4); i > 0; i--) Disturb(request);
        return Finish(request);
    }

    private RawRequest Any()
    {
        var key = $"/{bucket}/{Model.NastyKeys.Escape(Model.NastyKeys.Next(_random))}";
        return _random.Next(12) switch
        {
            0 => new("GET", "/"),
            1 => new("GET", $"/{bucket}?list-type=2"),
            2 => new("GET", $"/{bucket}"),
            3 => new("POST", $"{key}?uploads"),
            4 or 5 => new("GET", $"/{bucket}/there"),
            6 => new RawRequest("PUT", key).With("x-amz-copy-source", $"/{bucket}/there"),
            7 => new("DELETE", key),
            8 => new("HEAD", $"/{bucket}/there"),
            _ => new RawRequest("PUT", key).WithBody(S3Clients.Content(_random.Next(9_000), _random.Next())),
        };
    }

    private void Disturb(RawRequest request)
    {
        switch (_random.Next(7))
        {
            case 0: request.Method = Pick(Methods); break;
            case 1 or 2: request.Target += (request.Target.Contains('?', StringComparison.Ordinal) ? "&" : "?") + Pick(Parameters); break;
            case 3: request.Target = Change(request.Target); break;
            default: request.With(Pick(HeaderNames), _random.Next(30) == 0 ? new string('v', _random.Next(20_000)) : Pick(Values)); break;
        }
    }

    private byte[] Presigned()
    {
        var request = Any();
        if (_random.Next(2) == 0) Disturb(request);
        var life = TimeSpan.FromSeconds(_random.Next(4) switch { 0 => -1, 1 => 604_801, 2 => 0, _ => 60 });
        request.Target = s3.Presign(request.Method, request.Target, life, _random.Next(5) == 0 ? DateTimeOffset.UnixEpoch : null, _random.Next(8) == 0 ? "" : null);
        request.Sign = false;
        if (_random.Next(2) == 0) request.Target = Change(request.Target);
        return Finish(request);
    }

    private byte[] AwsChunked()
    {
        var form = (ChunkForm)_random.Next(3);
        KeyValuePair<string, string>? trailer = form == ChunkForm.Signed ? null : new("x-amz-checksum-crc32", _random.Next(2) == 0 ? "AAAAAA==" : Pick(Values));
        var content = S3Clients.Content(_random.Next(20_000), _random.Next());
        var request = s3.PutChunked($"/{bucket}/chunked", content, form, trailer, _random.Next(1, 9_000), _random.Next(6) == 0 ? _random.Next(30_000) : null, body => _random.Next(5) == 0 ? body : Change(body, _random.Next(1, 4)));
        if (_random.Next(4) == 0) Disturb(request);
        return Finish(request);
    }

    private byte[] XmlBody()
    {
        var (method, target, xml) = _random.Next(4) switch
        {
            0 => ("POST", $"/{bucket}?delete", "<Delete><Quiet>true</Quiet><Object><Key>a</Key><VersionId>null</VersionId><ETag>\"x\"</ETag></Object><Object><Key>&#1;</Key></Object></Delete>"),
            1 => ("POST", $"/{bucket}/up?uploadId=00000000000000000000000000000000", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>\"x\"</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32></Part></CompleteMultipartUpload>"),
            2 => ("PUT", "/fuzzed-bucket", "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"),
            _ => ("POST", $"/{bucket}?delete", Bomb()),
        };
        var body = Encoding.UTF8.GetBytes(xml);
        return Finish(new RawRequest(method, target).WithBody(_random.Next(4) == 0 ? body : Change(body, _random.Next(1, 6))));
    }

    private string Bomb() => _random.Next(5) switch
    {
        0 => "<!DOCTYPE d [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">]><Delete><Object><Key>&b;</Key></Object></Delete>",
        1 => "<!DOCTYPE d [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><Delete><Object><Key>&a;</Key></Object></Delete>",
        2 => string.Concat(Enumerable.Repeat("<Delete>", 20_000)),
        3 => $"<Delete>{string.Concat(Enumerable.Repeat("<Object><Key>k</Key></Object>", 1_001))}</Delete>",
        _ => $"<Delete><Object><Key>{new string('k', 100_000)}</Key></Object></Delete>",
    };

    private byte[] Noise()
    {
        _framed = false;
        var bytes = new byte[_random.Next(1, 3_000)];
        _random.NextBytes(bytes);
        if (_random.Next(2) == 0) bytes = [.. Encoding.ASCII.GetBytes($"{Pick(Methods)} {(_random.Next(2) == 0 ? "/" : "")}"), .. bytes];
        return [.. bytes, .. "\r\n\r\n"u8];
    }

    /// <summary>Signs, writes it down, and now and then changes some bytes of what was written.</summary>
    private byte[] Finish(RawRequest request)
    {
        if (request.Headers.Exists(h => h.Key is "Content-Length" or "Transfer-Encoding")) _framed = false;
        if (_random.Next(15) == 0)
        {
            _framed = false;
            request.StatedLength = _random.Next(3) switch { 0 => request.Body.Length + 5, 1 => Math.Max(0, request.Body.Length - 5), _ => long.MaxValue };
        }
        if (_random.Next(15) == 0) request.TransferChunked = true;
        var bytes = s3.ToBytes(request);
        if (_random.Next(4) > 0) return bytes;
        _framed = false;
        return Change(bytes, _random.Next(1, 4));
    }

    private string Change(string text) => Encoding.Latin1.GetString(Change(Encoding.Latin1.GetBytes(text), 1)).Replace('\r', '?').Replace('\n', '?').Replace(' ', '+');

    /// <summary>Bytes changed, doubled, cut out, or cut off.</summary>
    private byte[] Change(byte[] bytes, int times)
    {
        var changed = new List<byte>(bytes);
        for (; times > 0 && changed.Count > 0; times--)
        {
            var at = _random.Next(changed.Count);
            var count = Math.Min(changed.Count - at, _random.Next(1, 20));
            switch (_random.Next(6))
            {
                case 0 or 1: changed[at] = (byte)_random.Next(256); break;
                case 2: changed.Insert(at, Troublesome[_random.Next(Troublesome.Length)]); break;
                case 3: changed.InsertRange(at, changed.GetRange(at, count)); break;
                case 4: changed.RemoveRange(at, count); break;
                default:
                    if (_random.Next(3) == 0) changed.RemoveRange(at, changed.Count - at);
                    else changed[at] ^= (byte)(1 << _random.Next(8));
                    break;
            }
        }
        return [.. changed];
    }

    private string Pick(string[] among) => among[_random.Next(among.Length)];
}
