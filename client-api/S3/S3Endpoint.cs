using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using DarkStorage.ClientApi.Sts;
using DarkStorage.GrainInterfaces;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using Orleans.Runtime;

namespace DarkStorage.ClientApi.S3;

/// <summary>The S3 front door: names the request, authenticates it, hands it to its operation, and turns what is thrown into S3's XML.</summary>
internal sealed partial class S3Endpoint(S3Services node, StsEndpoint sts, ILogger<S3Endpoint> log)
{
    private const string UnknownOperation = "Unknown";

    private static readonly Meter Meter = new("DarkStorage.S3");
    private static readonly Counter<long> Requests = Meter.CreateCounter<long>("darkstorage.s3.requests", "{request}", "Requests by operation and status.");
    private static readonly Histogram<double> Durations = Meter.CreateHistogram<double>(
        "darkstorage.s3.request.duration", "s", "Time from the request's headers to the end of its answer, by operation.",
        advice: new() { HistogramBucketBoundaries = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] });
    private static readonly Counter<long> BytesIn = Meter.CreateCounter<long>("darkstorage.s3.received", "By", "Bytes of request bodies, by operation.");
    private static readonly Counter<long> BytesOut = Meter.CreateCounter<long>("darkstorage.s3.sent", "By", "Bytes of answer bodies, by operation.");
    private static readonly UpDownCounter<int> Active = Meter.CreateUpDownCounter<int>("darkstorage.s3.active_requests", "{request}", "Requests under way.");

    private static readonly string HostId = Convert.ToBase64String(SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(Environment.MachineName)));

    public async Task HandleAsync(HttpContext http)
    {
        var start = Stopwatch.GetTimestamp();
        var requestId = NewRequestId();
        http.TraceIdentifier = requestId;
        var headers = http.Response.Headers;
        headers["x-amz-request-id"] = requestId;
        headers["x-amz-id-2"] = HostId;
        headers.Server = "DarkStorage";
        // A client that waits to be told to go on, and gets its answer instead, is not to use the connection again: botocore then takes this
        // answer's status line for that of the next one. There is nothing to go on with where the body is empty.
        if (ExpectsContinue(http.Request) && http.Request.ContentLength is 0) headers.Connection = "close";
        Active.Add(1);
        S3Operation? operation = null;
        var services = node.For(http);
        var traffic = RequestTraffic.Begin(http);
        using var scope = log.BeginScope(new RequestScope(requestId));
        try
        {
            var raw = http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
            if (Website.BucketOf(http.Request.Headers.Host, services.Options.WebsiteDomains) is { } site)
            {
                operation = Website.Operation;
                await RequestLog.BeginAsync(http, services, site, null, null);
                await new Website(http, services, site).AnswerAsync(raw, http.RequestAborted);
                return;
            }
            var target = S3Target.Parse(raw, http.Request.Headers.Host, services.Options.Domains);
            if (StsEndpoint.IsFor(http.Request.Method, target))
            {
                operation = StsEndpoint.Unknown;
                operation = await sts.HandleAsync(http, target, requestId);
                return;
            }
            await RequestLog.BeginAsync(http, services, target.Bucket, target.Key, target.Query.Find("versionId"));
            operation = S3Operations.Find(http.Request.Method, target, http.Request.Headers);
            if (HttpMethods.IsOptions(http.Request.Method))
            {
                await Cors.AnswerPreflightAsync(http, target, services.Index, http.RequestAborted);
                return;
            }
            await Cors.WriteAsync(http, target, services.Index, http.RequestAborted);
            var request = await AuthenticateAsync(http, target, services);
            if (request.Log is { } logged) logged.Caller = request.Caller;
            if (operation.Handle is null)
                throw new S3Exception(S3Error.NotImplemented, $"The operation {operation.Name} is not implemented.").With("Operation", operation.Name);
            await operation.Handle(request, http.RequestAborted);
        }
        catch (Exception e)
        {
            await AnswerErrorAsync(http, operation, requestId, e);
        }
        finally
        {
            Active.Add(-1);
            var name = operation?.Name ?? UnknownOperation;
            var elapsed = Stopwatch.GetElapsedTime(start);
            Requests.Add(1, new("operation", name), new("status", http.Response.StatusCode));
            Durations.Record(elapsed.TotalSeconds, new KeyValuePair<string, object?>("operation", name));
            if (http.Request.ContentLength is > 0 and var received) BytesIn.Add(received, new KeyValuePair<string, object?>("operation", name));
            if (traffic.Sent > 0) BytesOut.Add(traffic.Sent, new KeyValuePair<string, object?>("operation", name));
            traffic.End(operation, http, services.Traffic);
            RequestLog.Of(http)?.End(S3Operations.LogNameOf(operation, http.Request.Method), start);
            LogRequest(log, name, http.Request.Method, http.Request.Path, http.Response.StatusCode, elapsed.TotalMilliseconds);
        }
    }

    /// <summary>Signature first, before the first byte of the body. What an anonymous request may do is for policies and lists to say.</summary>
    private static async ValueTask<S3Request> AuthenticateAsync(HttpContext http, S3Target target, S3Services services)
    {
        var signed = new SignedRequest(http.Request.Method, target, http.Request.Headers);
        if (services.Verifier.ParseVersion2(signed) is { } old)
        {
            var (oldCaller, oldSecret) = await services.Credentials.FindAsync(old.AccessKeyId, SessionTokenOf(signed), services.MayBeStale, http.RequestAborted);
            return new(http, target, services, oldCaller, SignatureVerifier.Verify(old, oldSecret), PresignedHeaders.Of(http.Request.Headers, target.Query));
        }
        if (services.Verifier.Parse(signed) is not { } signature) return new(http, target, services, Caller.Anonymous, SigningContext.Anonymous(http.Request.Headers));
        var (caller, secret) = await services.Credentials.FindAsync(signature.AccessKeyId, SessionTokenOf(signed), services.MayBeStale, http.RequestAborted);
        var signing = services.Verifier.Verify(signed, signature, secret);
        return new(http, target, services, caller, signing, signature.IsPresigned ? PresignedHeaders.Of(http.Request.Headers, target.Query) : null);
    }

    /// <summary>Covered by the signature in either place.</summary>
    /// <returns>Null where there is none.</returns>
    /// <exception cref="S3Exception"><c>InvalidToken</c>: there are two.</exception>
    public static string? SessionTokenOf(in SignedRequest request)
    {
        var header = (string?)request.Headers["x-amz-security-token"];
        var query = request.Target.Query.Find("X-Amz-Security-Token") ?? request.Target.Query.Find("x-amz-security-token");
        return header is null || query is null || header == query ? header ?? query : throw new S3Exception(S3Error.InvalidToken);
    }

    private async Task AnswerErrorAsync(HttpContext http, S3Operation? operation, string requestId, Exception exception)
    {
        if (http.RequestAborted.IsCancellationRequested)
        {
            // Nobody is there to be answered. 499 is nginx's word for it, for metrics and logs alone.
            if (!http.Response.HasStarted) http.Response.StatusCode = StatusCodes.Status499ClientClosedRequest;
            return;
        }
        var error = ToS3(exception);
        RequestLog.Of(http)?.ErrorCode = error.Error.Code;
        if (error.Error == S3Error.AccessDenied || (int)error.Error.Status >= StatusCodes.Status500InternalServerError) RequestTraffic.Of(http).Forget();
        // That the index is away, or a silo, they say themselves, once.
        var isKnown = error.Error == S3Error.NotImplemented || exception is StorageException { Error: StorageError.IndexAway } or OrleansMessageRejectionException;
        if ((int)error.Error.Status >= StatusCodes.Status500InternalServerError && !isKnown)
            LogFailed(log, operation?.Name ?? UnknownOperation, http.Request.Path, exception);
        if (http.Response.HasStarted)
        {
            // Part of the answer is out: the only way left to say that the rest is not coming is to break the connection.
            http.Abort();
            return;
        }
        var response = http.Response;
        response.Headers.ContentLength = null;
        if (ExpectsContinue(http.Request)) response.Headers.Connection = "close"; // most likely refused before its body was asked for
        if (error.Error != S3Error.NotModified) RemoveObjectHeaders(response.Headers);
        response.StatusCode = (int)error.Error.Status;
        if (error.Error == S3Error.ServiceUnavailable || error.Error == S3Error.SlowDown) response.Headers.RetryAfter = "1";
        if (HttpMethods.IsHead(http.Request.Method) || error.Error == S3Error.NotModified) return;
        using var body = new PooledBuffer(1024);
        S3ErrorXml.Write(body, error, http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget.Split('?')[0], requestId, HostId);
        response.ContentType = "application/xml";
        response.ContentLength = body.WrittenCount;
        await response.BodyWriter.WriteAsync(body.WrittenMemory, http.RequestAborted);
    }

    /// <summary>Takes out what was said of an object before it showed that the answer is an error.</summary>
    public static void RemoveObjectHeaders(IHeaderDictionary headers)
    {
        foreach (var header in (string[])["ETag", "Content-Range", "Accept-Ranges", "Content-Encoding", "Content-Disposition", "Cache-Control", "Expires", "Content-Language"]) headers.Remove(header);
    }

    public static S3Exception ToS3(Exception exception) => exception switch
    {
        S3Exception e => e,
        StorageException e => e.ToS3(),
        BadHttpRequestException { StatusCode: StatusCodes.Status408RequestTimeout } e => new(S3Error.RequestTimeout, null, e),
        BadHttpRequestException { StatusCode: StatusCodes.Status413PayloadTooLarge } e => new(S3Error.EntityTooLarge, null, e),
        BadHttpRequestException e => new(S3Error.IncompleteBody, null, e),
        TimeoutException e => new(S3Error.ServiceUnavailable, null, e),
        // The grain's silo went, or is too busy: what became of the call is not known, and it may be sent again.
        OrleansMessageRejectionException e => new(S3Error.ServiceUnavailable, null, e),
        GatewayTooBusyException or LimitExceededException => new(S3Error.SlowDown, null, exception),
        _ => new(S3Error.InternalError, null, exception),
    };

    private static bool ExpectsContinue(HttpRequest request) => request.Headers.Expect.Count > 0;

    /// <summary>16 hexadecimal digits, as AWS has them.</summary>
    private static string NewRequestId()
    {
        Span<byte> random = stackalloc byte[8];
        Random.Shared.NextBytes(random);
        return Convert.ToHexString(random);
    }

    /// <summary>Puts the request's id on every line that is logged for it.</summary>
    private sealed class RequestScope(string requestId) : IReadOnlyList<KeyValuePair<string, object?>>
    {
        public KeyValuePair<string, object?> this[int index] => new("RequestId", requestId);
        public int Count => 1;
        public IEnumerator<KeyValuePair<string, object?>> GetEnumerator()
        {
            yield return this[0];
        }

        System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator();
        public override string ToString() => requestId;
    }

    // The path without its query: a presigned query is a credential.
    [LoggerMessage(LogLevel.Debug, "{Operation}: {Method} {Path} answered {Status} in {Milliseconds} ms")]
    private static partial void LogRequest(ILogger log, string operation, string method, PathString path, int status, double milliseconds);

    [LoggerMessage(LogLevel.Error, "{Operation} of {Path} failed")]
    private static partial void LogFailed(ILogger log, string operation, PathString path, Exception exception);
}
