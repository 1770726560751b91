namespace DarkStorage.ClientApi.S3;

// A form is another way to say what a PutObject says: its fields are the headers, its file is the body.
internal sealed partial class S3Request
{
    /// <summary>The request is a form, and so is its signature.</summary>
    public bool IsForm => upload is not null;

    /// <summary>The upload that a form asks for, authenticated by its policy and within it; what its caller may do is still to be authorized.</summary>
    /// <exception cref="S3Exception">Those of the signature and the policy; <c>InvalidArgument</c>: no key; <c>KeyTooLongError</c>.</exception>
    public async ValueTask<S3Request> OfFormAsync(PostForm posted, CancellationToken ct)
    {
        var (uploader, context) = (Caller.Anonymous, SigningContext.Unsigned);
        if (services.Verifier.ParseForm(posted.Fields) is { } signature)
        {
            (uploader, var secret) = await services.Credentials.FindAsync(signature.AccessKeyId, posted.Find("x-amz-security-token"), mayBeStale: false, ct);
            context = services.Verifier.Verify(signature, secret);
            if (Log is { } signed) signed.Caller = uploader;
            var policy = PostPolicy.Parse(signature.Policy);
            policy.Verify(new Dictionary<string, string>(posted.Fields, StringComparer.OrdinalIgnoreCase) { ["bucket"] = BucketName }, Clock.GetUtcNow());
            posted.File.LengthRange = policy.LengthRange ?? posted.File.LengthRange;
        }
        var key = posted.Find("key") ?? throw S3Exception.InvalidArgument("Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.", "key", "");
        if (Log is { } log) log.Key = key;
        return new(http, target.WithKey(key), services, uploader, context, posted.ToHeaders(http.Request.Headers), RequestContent.OfUnknownLength(posted.File.AsPipeReader()));
    }
}
