using System.Diagnostics;
using System.Security.Authentication;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Logging;
using DarkStorage.Rules.Policies;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace DarkStorage.ClientApi.S3;

/// <summary>What the access logs are told of one request. Made only where a bucket that the request is about keeps one: all others pay for one look at a bucket's record.</summary>
internal sealed class RequestLog
{
    private readonly HttpContext _http;
    private readonly S3Services _services;
    private readonly RequestTraffic _body;
    private readonly List<Line> _lines = [];
    private long _takenIn;

    private RequestLog(HttpContext http, S3Services services)
    {
        (_http, _services) = (http, services);
        _body = RequestTraffic.Of(http);
        http.Features.Set(this);
    }

    /// <param name="Operation">Null for the line of the request itself.</param>
    private sealed record Line(BucketRecord Bucket, LogTarget Target, string? Operation, string? Key, string? VersionId, int? Status, string? ErrorCode, long? ObjectSize);

    /// <summary>Null until the request is authenticated.</summary>
    public Caller? Caller { get; set; }

    /// <summary>Bytes of the object that the request is about.</summary>
    public long? ObjectSize { get; set; }

    public string? ErrorCode { get; set; }

    /// <summary>Nothing but an access control list allowed it.</summary>
    public bool AclRequired { get; set; }

    /// <summary>In place of the key in the request's path: a form brings its own.</summary>
    public string? Key { get; set; }

    /// <returns>Null where nothing is written down of the request.</returns>
    public static RequestLog? Of(HttpContext http) => http.Features.Get<RequestLog>();

    /// <summary>The request is about this bucket. Asked before anything can be refused: refusals are written down too.</summary>
    public static async ValueTask BeginAsync(HttpContext http, S3Services services, string? bucketName, string? key, string? versionId)
    {
        if (bucketName is null || await services.Index.FindBucketAsync(bucketName, http.RequestAborted) is not { } bucket || BucketRules.Of(bucket).Logging is not { } target) return;
        new RequestLog(http, services)._lines.Add(new(bucket, target, null, key, versionId, null, null, null));
    }

    /// <summary>The request copies from this bucket, which may keep a log where the request's own does not.</summary>
    public static async ValueTask AddSourceAsync(HttpContext http, S3Services services, Caller caller, string operation, string bucketName, string key, string? versionId)
    {
        if (await services.Index.FindBucketAsync(bucketName, http.RequestAborted) is not { } bucket || BucketRules.Of(bucket).Logging is not { } target) return;
        var log = Of(http) ?? new RequestLog(http, services);
        log.Caller = caller;
        log._lines.Add(new(bucket, target, operation, key, versionId, null, null, null));
    }

    /// <summary>What the request did to one key of the bucket.</summary>
    /// <param name="errorCode">Null where it did it.</param>
    public void Add(string operation, string key, string? versionId, int status, string? errorCode)
    {
        if (_lines.Find(l => l.Operation is null) is { } own) _lines.Add(new(own.Bucket, own.Target, operation, key, versionId, status, errorCode, null));
    }

    /// <summary>The request's body has been read to its end.</summary>
    public void TakenIn() => _takenIn = Stopwatch.GetTimestamp();

    /// <summary>The answer is complete: hands the lines over.</summary>
    /// <param name="operation">As access logs name it.</param>
    /// <param name="start">When the request came in, as <see cref="Stopwatch"/> has it.</param>
    public void End(string operation, long start)
    {
        var elapsed = Stopwatch.GetElapsedTime(start);
        var begun = _services.Clock.GetUtcNow() - elapsed;
        var request = _http.Request;
        var (authentication, tls) = (AuthenticationOf(request), _http.Features.Get<ITlsHandshakeFeature>());
        foreach (var line in _lines)
        {
            var isOwn = line.Operation is null;
            _services.AccessLog.Write(line.Bucket, line.Target, new()
            {
                BucketOwner = line.Bucket.Owner,
                Bucket = line.Bucket.Name,
                Time = begun,
                RemoteAddress = S3Request.AddressOf(_http),
                Requester = Caller switch
                {
                    null or { IsAnonymous: true } => null,
                    { Principal.Kind: PrincipalKind.Root } root => root.Account,
                    var caller => caller.Principal.ToString(),
                },
                RequestId = _http.TraceIdentifier,
                Operation = line.Operation ?? operation,
                Key = isOwn ? Key ?? line.Key : line.Key,
                RequestLine = isOwn ? $"{request.Method} {AccessLogEntry.WithoutSecrets(_http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget)} {request.Protocol}" : null,
                Status = line.Status ?? _http.Response.StatusCode,
                ErrorCode = line.Status is null ? ErrorCode ?? (string?)_http.Response.Headers["x-amz-error-code"] : line.ErrorCode,
                BytesSent = isOwn ? _body.Sent : 0,
                ObjectSize = isOwn ? ObjectSize : line.ObjectSize,
                TotalMilliseconds = (long)elapsed.TotalMilliseconds,
                TurnAroundMilliseconds = isOwn ? TurnAround(start) : null,
                Referer = isOwn ? request.Headers.Referer.ToString() : null,
                UserAgent = isOwn ? request.Headers.UserAgent.ToString() : null,
                VersionId = line.VersionId,
                HostId = (string?)_http.Response.Headers["x-amz-id-2"],
                SignatureVersion = authentication is not null || Caller is { IsAnonymous: false } ? VersionOf(request) : null,
                CipherSuite = tls?.NegotiatedCipherSuite?.ToString(),
                AuthenticationType = authentication,
                HostHeader = (string?)request.Headers.Host,
                TlsVersion = tls?.Protocol switch
                {
                    SslProtocols.Tls12 => "TLSv1.2",
                    SslProtocols.Tls13 => "TLSv1.3",
                    _ => null,
                },
                AclRequired = isOwn && AclRequired,
            });
        }
    }

    /// <returns>Null where it is not known when the request's body ended.</returns>
    private long? TurnAround(long start)
    {
        if (_takenIn == 0 && (_http.Request.ContentLength is > 0 || _http.Request.Headers.TransferEncoding.Count > 0)) return null;
        var answered = _body.Begun == 0 ? Stopwatch.GetTimestamp() : _body.Begun;
        return (long)Stopwatch.GetElapsedTime(_takenIn == 0 ? start : _takenIn, answered).TotalMilliseconds;
    }

    private static string? AuthenticationOf(HttpRequest request)
    {
        if (request.Headers.Authorization.Count > 0) return "AuthHeader";
        return request.Query.ContainsKey("X-Amz-Signature") || request.Query.ContainsKey(SignatureVerifier.SignatureParameter) ? "QueryString" : null;
    }

    private static string VersionOf(HttpRequest request) =>
        request.Headers.Authorization.ToString().StartsWith(SignatureVerifier.Version2 + " ", StringComparison.Ordinal) || request.Query.ContainsKey(SignatureVerifier.SignatureParameter) ? "SigV2" : "SigV4";
}
