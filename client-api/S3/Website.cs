using System.Globalization;
using System.Net;
using System.Text;
using DarkStorage.ClientApi.S3.Operations;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Buckets;
using DarkStorage.Rules.Website;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3;

/// <summary>A bucket as a website: for browsers, which sign nothing, and get pages where an SDK would get XML.</summary>
internal sealed class Website(HttpContext http, S3Services services, string bucketName)
{
    public static readonly S3Operation Operation = new("Website");

    private const string RedirectHeader = "x-amz-website-redirect-location";

    private S3Target _target = S3Target.OfBucket(bucketName);
    private WebsiteConfiguration? _site;

    /// <summary>The bucket whose site a host is: a label before one of the configured domains, or such a domain itself, which is then the bucket's name. No other host is a site, or
    /// who makes a bucket named as the S3 endpoint would take the endpoint over.</summary>
    /// <returns>Null where the host is no site.</returns>
    public static string? BucketOf(string? host, IReadOnlyList<string> domains)
    {
        if (string.IsNullOrEmpty(host) || domains.Count == 0) return null;
        var name = S3Target.WithoutPort(host);
        foreach (var domain in domains)
        {
            if (name.Equals(domain, StringComparison.OrdinalIgnoreCase)) return domain.ToLowerInvariant();
        }
        return S3Target.BucketOfHost(host, domains);
    }

    /// <summary>Answers with the object, a redirect, or a page that tells what is wrong. A failure of ours passes through.</summary>
    public async Task AnswerAsync(string rawTarget, CancellationToken ct)
    {
        try
        {
            await ServeAsync(rawTarget, ct);
        }
        catch (Exception e) when (!http.Response.HasStarted && !ct.IsCancellationRequested && S3Endpoint.ToS3(e) is var error && (int)error.Error.Status < StatusCodes.Status500InternalServerError)
        {
            await AnswerErrorAsync(error, ct);
            if (error.Error == S3Error.AccessDenied) RequestTraffic.Of(http).Forget();
        }
    }

    private string Key => _target.Key ?? "";

    private async Task ServeAsync(string rawTarget, CancellationToken ct)
    {
        BucketName.ThrowIfInvalid(bucketName);
        _target = S3Target.ParseWebsite(rawTarget, bucketName);
        await Cors.WriteAsync(http, _target, services.Index, ct);
        var bucket = await services.Index.FindBucketAsync(bucketName, ct) ?? throw new S3Exception(S3Error.NoSuchBucket).With("BucketName", bucketName);
        _site = BucketRules.Of(bucket).Website ?? throw new S3Exception(S3Error.NoSuchWebsiteConfiguration).With("BucketName", bucketName);
        if (!HttpMethods.IsGet(http.Request.Method) && !HttpMethods.IsHead(http.Request.Method))
        {
            http.Response.Headers.Allow = "GET, HEAD";
            throw new S3Exception(S3Error.MethodNotAllowed).With("Method", http.Request.Method).With("ResourceType", "OBJECT");
        }
        if (_site.Before(Key) is { } redirect)
        {
            Redirect(redirect);
            return;
        }
        var s3 = Ask(_site.KeyOf(Key), http.Request.Headers);
        s3.Log?.Key = s3.Key;
        var (found, version) = await s3.AuthorizeObjectAsync(S3Action.GetObject, ct);
        if (version.Metadata.WebsiteRedirectLocation is { } location && RequestMetadata.IsRedirectLocation(location))
        {
            http.Response.Headers.Location = ObjectHeaders.Sendable(RedirectHeader, location);
            http.Response.StatusCode = StatusCodes.Status301MovedPermanently;
            return;
        }
        await SendAsync(s3, found, version, ct);
    }

    /// <summary>An error as the site has it: its folder, its rule, its own document, else a plain page.</summary>
    private async Task AnswerErrorAsync(S3Exception error, CancellationToken ct)
    {
        S3Endpoint.RemoveObjectHeaders(http.Response.Headers);
        var status = (int)error.Error.Status;
        if (_site is not null && status is not StatusCodes.Status405MethodNotAllowed)
        {
            if (error.Error == S3Error.NoSuchKey || error.Error == S3Error.AccessDenied)
            {
                if (_site.FolderIndexOf(Key) is { } index && await FindAsync(index, ct) is not null)
                {
                    Redirect(WebsiteRules.ToFolder(Key));
                    return;
                }
            }
            if (_site.After(Key, status) is { } redirect)
            {
                Redirect(redirect);
                return;
            }
        }
        http.Response.Headers["x-amz-error-code"] = error.Error.Code;
        if (_site?.ErrorKeyOf(status) is { } document && await FindAsync(document, ct) is var (s3, bucket, version))
        {
            http.Response.StatusCode = status;
            await SendAsync(s3, bucket, version, ct);
            return;
        }
        await WritePageAsync(error, ct);
    }

    /// <summary>An object that the site itself asks for, whatever the request says of ranges and of what its cache has.</summary>
    /// <returns>Null where it is not there, or not for everyone.</returns>
    private async Task<(S3Request, BucketRecord, ObjectVersion)?> FindAsync(string key, CancellationToken ct)
    {
        try
        {
            var headers = new HeaderDictionary();
            foreach (var name in (string[])["User-Agent", "Referer"])
            {
                if (http.Request.Headers.TryGetValue(name, out var value)) headers[name] = value;
            }
            var s3 = Ask(key, headers);
            var (bucket, version) = await s3.AuthorizeObjectAsync(S3Action.GetObject, ct);
            return version.Encryption?.Mode == EncryptionMode.SseC ? null : (s3, bucket, version);
        }
        catch (S3Exception)
        {
            return null;
        }
    }

    private S3Request Ask(string key, IHeaderDictionary headers) => new(http, _target.WithKey(key), services, Caller.Anonymous, SigningContext.Unsigned, headers);

    private Task SendAsync(S3Request s3, BucketRecord bucket, ObjectVersion version, CancellationToken ct)
    {
        if (!HttpMethods.IsHead(http.Request.Method)) return GetObject.AnswerAsync(s3, bucket, version, ct);
        HeadObject.Answer(s3, bucket, version);
        return Task.CompletedTask;
    }

    private void Redirect(WebsiteRedirect redirect)
    {
        http.Response.StatusCode = redirect.Status;
        http.Response.Headers.Location = redirect.Location(http.Request.Scheme, http.Request.Host.Value ?? bucketName);
    }

    private async Task WritePageAsync(S3Exception error, CancellationToken ct)
    {
        var response = http.Response;
        response.StatusCode = (int)error.Error.Status;
        var title = string.Create(CultureInfo.InvariantCulture, $"{response.StatusCode} {Microsoft.AspNetCore.WebUtilities.ReasonPhrases.GetReasonPhrase(response.StatusCode)}");
        var page = new StringBuilder($"<!DOCTYPE html>\n<html>\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n<ul>\n");
        KeyValuePair<string, string>[] lines = [new("Code", error.Error.Code), new("Message", error.Message), .. error.Fields, new("RequestId", http.TraceIdentifier)];
        foreach (var (name, value) in lines) page.Append(CultureInfo.InvariantCulture, $"<li>{WebUtility.HtmlEncode(name)}: {WebUtility.HtmlEncode(value)}</li>\n");
        var body = Encoding.UTF8.GetBytes(page.Append("</ul>\n</body>\n</html>\n").ToString());
        response.ContentType = "text/html; charset=utf-8";
        response.ContentLength = body.Length;
        if (!HttpMethods.IsHead(http.Request.Method)) await response.BodyWriter.WriteAsync(body, ct);
    }
}
