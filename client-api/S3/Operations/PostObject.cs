using System.Text;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3.Operations;

/// <summary>An upload from a browser's form. <see cref="PutObject"/> does it, once the form is read up to its file and has been authenticated.</summary>
internal static class PostObject
{
    public static async Task HandleAsync(S3Request s3, CancellationToken ct)
    {
        var form = await PostForm.ReadAsync(s3.Http.Request, ct);
        // A signature elsewhere is of a body that was not seen, or of none: who signs a form signs its policy.
        if (!s3.Caller.IsAnonymous) throw new S3Exception(S3Error.InvalidRequest, "A form is authenticated by its fields alone; it takes no Authorization header and no presigned query.");
        var upload = await s3.OfFormAsync(form, ct);
        await PutObject.HandleAsync(upload, ct);
        await AnswerAsync(upload, form, ct);
    }

    private static async Task AnswerAsync(S3Request s3, PostForm form, CancellationToken ct)
    {
        var etag = s3.Response.Headers.ETag.ToString();
        var location = LocationOf(s3);
        if (RedirectOf(form) is { } redirect)
        {
            s3.Response.Headers.Location = WithResult(redirect, s3, etag);
            s3.Response.StatusCode = StatusCodes.Status303SeeOther;
            return;
        }
        s3.Response.Headers.Location = location;
        switch (form.Find("success_action_status"))
        {
            case "200": break;
            case "201":
                await s3.WriteXmlAsync(StatusCodes.Status201Created, xml =>
                {
                    xml.StartBareDocument("PostResponse"u8);
                    xml.Element("Location"u8, location);
                    xml.Element("Bucket"u8, s3.BucketName);
                    xml.Element("Key"u8, s3.Key);
                    xml.Element("ETag"u8, etag);
                    xml.End("PostResponse"u8);
                }, ct);
                break;
            default: s3.Response.StatusCode = StatusCodes.Status204NoContent; break;
        }
    }

    /// <summary>Where the object is, in the style of the request.</summary>
    private static string LocationOf(S3Request s3)
    {
        var (host, path) = (s3.Http.Request.Host, $"{s3.RawPath.TrimEnd('/')}/{S3UrlEncoding.Encode(s3.Key)}");
        return host.HasValue ? $"{s3.Http.Request.Scheme}://{host.Value}{path}" : path;
    }

    /// <returns>Null where the form names none, or none that a browser should follow: S3 then goes by the status that is wanted.</returns>
    private static Uri? RedirectOf(PostForm form) =>
        (form.Find("success_action_redirect") ?? form.Find("redirect")) is { } text && Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme is "http" or "https" && Ascii.IsValid(url.IdnHost) ? url : null;

    private static string WithResult(Uri redirect, S3Request s3, string etag)
    {
        var result = $"bucket={Uri.EscapeDataString(s3.BucketName)}&key={Uri.EscapeDataString(s3.Key)}&etag={Uri.EscapeDataString(etag)}";
        var url = new UriBuilder(redirect) { Host = redirect.IdnHost };
        url.Query = url.Query.Length > 1 ? $"{url.Query}&{result}" : result;
        return url.Uri.AbsoluteUri;
    }
}
