using DarkStorage.GrainInterfaces;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Cors;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3;

/// <summary>The CORS protocol: what browsers ask before a page of one origin may use a bucket of another, and what answers tell them.</summary>
internal static class Cors
{
    /// <summary>Answers a preflight, which carries no credentials: the bucket's rules alone decide.</summary>
    /// <exception cref="S3Exception"><c>BadRequest</c>: it asks for nothing; <c>AccessForbidden</c>: no rule allows it.</exception>
    public static async Task AnswerPreflightAsync(HttpContext http, S3Target target, IIndexReader index, CancellationToken ct)
    {
        var request = http.Request.Headers;
        if ((string?)request.Origin is not { Length: > 0 } origin) throw new S3Exception(S3Error.BadRequest, "Insufficient information. Origin request header needed.");
        if ((string?)request.AccessControlRequestMethod is not { Length: > 0 } method) throw new S3Exception(S3Error.BadRequest, "Invalid Access-Control-Request-Method: null");
        var wanted = request.AccessControlRequestHeaders.ToString().Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        var bucket = target.Bucket is { } name ? await index.FindBucketAsync(name, ct) : null;
        if (bucket is null || BucketRules.Of(bucket).Cors is not { } cors) throw new S3Exception(S3Error.AccessForbidden, "CORSResponse: CORS is not enabled for this bucket.").With("Method", method).With("ResourceType", "BUCKET");
        if (cors.Find(origin, method, wanted) is not { } rule)
            throw new S3Exception(S3Error.AccessForbidden, "CORSResponse: This CORS request is not allowed. This is usually because the evaluation of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.")
                .With("Method", method).With("ResourceType", "OBJECT");
        Write(http.Response.Headers, rule, origin);
        if (wanted.Length > 0) http.Response.Headers.AccessControlAllowHeaders = string.Join(", ", wanted.Select(h => h.ToLowerInvariant()));
        if (rule.MaxAgeSeconds is { } seconds) http.Response.Headers.AccessControlMaxAge = seconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>Tells the browser whether its page may look at the answer: errors too, so it is done before anything can fail.</summary>
    public static async ValueTask WriteAsync(HttpContext http, S3Target target, IIndexReader index, CancellationToken ct)
    {
        if ((string?)http.Request.Headers.Origin is not { Length: > 0 } origin || target.Bucket is not { } name) return;
        if (await index.FindBucketAsync(name, ct) is not { } bucket || BucketRules.Of(bucket).Cors is not { } cors) return;
        if (cors.Find(origin, http.Request.Method, []) is { } rule) Write(http.Response.Headers, rule, origin);
    }

    private static void Write(IHeaderDictionary headers, CorsRule rule, string origin)
    {
        headers.AccessControlAllowOrigin = rule.AllowsEveryOrigin ? "*" : origin;
        headers.AccessControlAllowMethods = string.Join(", ", rule.AllowedMethods);
        if (!rule.ExposeHeaders.IsEmpty) headers.AccessControlExposeHeaders = string.Join(", ", rule.ExposeHeaders);
        if (!rule.AllowsEveryOrigin) headers.AccessControlAllowCredentials = "true";
        // The answer differs by what was asked: a cache must know.
        headers.Vary = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";
    }
}
