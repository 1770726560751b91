using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3;

/// <summary>A signature of version 2 that is well-formed and in time; whether it is right is still to be seen.</summary>
/// <param name="StringToSign">What it is a signature of,</param>
/// <param name="Alternative">or of this: some SDKs sign a bucket's path with a slash at its end that they do not send. Both name the same bucket. Null where there is no other way.</param>
/// <param name="Signature">As sent, so perhaps not even Base64.</param>
internal sealed record SignatureVersion2(string AccessKeyId, string StringToSign, string? Alternative, string Signature, PayloadHash Payload);

/// <summary>Signature Version 2 (Amazon S3 API reference, "Signing and authenticating REST requests (AWS signature version 2)"). AWS still takes it in its oldest regions, and SDKs still
/// make it: boto3's presigned URLs and forms are of it unless told otherwise.</summary>
/// <remarks>It covers neither the body nor all of the query. A policy can refuse it by <c>s3:signatureversion</c>, and a node by <see cref="S3Options.SignatureVersion2"/>.</remarks>
internal sealed partial class SignatureVerifier
{
    /// <summary>What <c>s3:signatureversion</c> says of it; and the scheme of its Authorization header.</summary>
    public const string Version2 = "AWS";

    /// <summary>The parameter of the query that has it, and in a form the field.</summary>
    public const string SignatureParameter = "Signature";

    private const string KeyIdParameter = "AWSAccessKeyId";
    private const string ExpiresParameter = "Expires";
    private const string AmzPrefix = "x-amz-";

    /// <summary>The parameters of the query that are signed, in their order: AWS's, and whatever else names an operation here. Were one of those left out, whoever holds a link to one
    /// operation could make it one to another.</summary>
    private static readonly string[] SignedParameters =
    [
        .. S3Operations.Parameters.Except(["list-type", "id"]).Union(
        [
            "response-cache-control", "response-content-disposition", "response-content-encoding", "response-content-language", "response-content-type", "response-expires",
            "defaultObjectAcl", "select-type", "storageClass", "torrent", "versionId",
        ]).Order(StringComparer.Ordinal),
    ];

    /// <summary>Reads a signature of version 2 from the Authorization header or the query.</summary>
    /// <returns>Null where there is none of that version.</returns>
    /// <exception cref="S3Exception"><c>InvalidRequest</c>: this node does not take them; <c>InvalidArgument</c>, <c>AccessDenied</c>, <c>RequestTimeTooSkewed</c>.</exception>
    public SignatureVersion2? ParseVersion2(in SignedRequest request)
    {
        var authorization = request.Headers.Authorization.ToString();
        var inHeader = SchemeOf(authorization) is Version2;
        if (!inHeader && !IsVersion2(request.Target.Query)) return null;
        if (!takesVersion2) throw new S3Exception(S3Error.InvalidRequest, OldMechanism);
        if (inHeader && (IsVersion2(request.Target.Query) || IsVersion4(request.Target.Query) || request.Headers.Authorization.Count > 1)) throw S3Exception.InvalidArgument(OnlyOneMechanism, "Authorization", Version2);
        var (keyId, signature, date) = inHeader ? ReadHeader(request, authorization) : ReadQuery(request);
        if (keyId.Length is 0 or > AccessKeyIdLengthMax) throw new S3Exception(S3Error.InvalidAccessKeyId);
        var path = request.Target.ResourcePath;
        var alternative = request.Target is { Bucket: not null, Key: null } && !path.EndsWith('/') ? StringToSign(request, date, path + "/") : null;
        return new(keyId, StringToSign(request, date, path), alternative, signature, SigningContext.Anonymous(request.Headers).Payload);
    }

    /// <summary>Whether the signature is the one that the secret makes of this request.</summary>
    /// <exception cref="S3Exception"><c>SignatureDoesNotMatch</c>.</exception>
    public static SigningContext Verify(SignatureVersion2 signature, string secret)
    {
        if (!IsSha1Of(signature.StringToSign, secret, signature.Signature) && (signature.Alternative is null || !IsSha1Of(signature.Alternative, secret, signature.Signature)))
            throw new S3Exception(S3Error.SignatureDoesNotMatch)
                .With(KeyIdParameter, signature.AccessKeyId)
                .With("StringToSign", Secrets().Replace(signature.StringToSign, "${name}***"))
                .With("SignatureProvided", signature.Signature);
        return SigningContext.OfVersion2(signature.AccessKeyId, signature.Payload);
    }

    private static bool IsVersion2(in S3Query query) => query.Has(KeyIdParameter) && query.Has(SignatureParameter);

    /// <summary><c>AWS AKID:signature</c>. The date is signed as the header has it, or not at all where <c>x-amz-date</c> says when.</summary>
    private (string KeyId, string Signature, string Date) ReadHeader(in SignedRequest request, string authorization)
    {
        var credential = authorization.Length > AuthorizationLengthMax ? "" : authorization[Version2.Length..].Trim();
        var colon = credential.LastIndexOf(':');
        if (colon <= 0) throw S3Exception.InvalidArgument("AWS authorization header is invalid.  Expected AwsAccessKeyId:signature", "Authorization", Shortened(authorization).ToString());
        ThrowIfSkewed(TimeOf(request.Headers, out var timestamp), timestamp);
        return (credential[..colon], credential[(colon + 1)..], request.Headers.ContainsKey("x-amz-date") ? "" : request.Headers.Date.ToString());
    }

    /// <summary>The second in which it expires is signed in place of the date.</summary>
    private (string KeyId, string Signature, string Date) ReadQuery(in SignedRequest request)
    {
        var query = request.Target.Query;
        if (!query.TryGet(ExpiresParameter, out var expires))
            throw new S3Exception(S3Error.AccessDenied, "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters");
        if (!long.TryParse(expires, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) || seconds > DateTimeOffset.MaxValue.ToUnixTimeSeconds())
            throw new S3Exception(S3Error.AccessDenied, $"Invalid date (should be seconds since epoch): {Shortened(expires)}");
        var (now, end) = (clock.GetUtcNow(), DateTimeOffset.FromUnixTimeSeconds(seconds));
        if (now > end)
            throw new S3Exception(S3Error.AccessDenied, "Request has expired")
                .With(ExpiresParameter, end.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture))
                .With("ServerTime", now.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));
        return (query.Find(KeyIdParameter)!, query.Find(SignatureParameter)!, expires);
    }

    private static string StringToSign(in SignedRequest request, string date, string path)
    {
        var query = request.Target.Query;
        var text = new StringBuilder()
            .Append(request.Method).Append('\n')
            .Append(HeaderOrParameter(request, "Content-MD5")).Append('\n')
            .Append(HeaderOrParameter(request, "Content-Type")).Append('\n')
            .Append(date).Append('\n');
        foreach (var (name, value) in AmzHeaders(request)) text.Append(name).Append(':').Append(value).Append('\n');
        text.Append(path);
        var mark = '?';
        foreach (var name in SignedParameters)
        {
            if (!query.TryGet(name, out var value)) continue;
            text.Append(mark).Append(name);
            if (value.Length > 0) text.Append('=').Append(value);
            mark = '&';
        }
        return text.ToString();
    }

    /// <summary>A presigned query may hold what would be a header.</summary>
    private static string HeaderOrParameter(in SignedRequest request, string name) =>
        (string?)request.Headers[name] ?? (IsVersion2(request.Target.Query) ? request.Target.Query.Find(name.ToLowerInvariant()) : null) ?? "";

    private static SortedDictionary<string, string> AmzHeaders(in SignedRequest request)
    {
        var headers = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, values) in request.Headers)
        {
            if (name.StartsWith(AmzPrefix, StringComparison.OrdinalIgnoreCase)) headers[name.ToLowerInvariant()] = string.Join(',', values.Select(v => v?.Trim()));
        }
        if (!IsVersion2(request.Target.Query)) return headers;
        foreach (var (name, value) in request.Target.Query.Parameters)
        {
            if (name.StartsWith(AmzPrefix, StringComparison.OrdinalIgnoreCase)) headers.TryAdd(name.ToLowerInvariant(), value);
        }
        return headers;
    }

    private static bool IsSha1Of(string text, string secret, string signature)
    {
        Span<byte> expected = stackalloc byte[HMACSHA1.HashSizeInBytes];
        Span<byte> given = stackalloc byte[HMACSHA1.HashSizeInBytes];
#pragma warning disable CA5350 // version 2 is HMAC-SHA1, which the weakness of SHA-1 does not break
        HMACSHA1.HashData(Encoding.UTF8.GetBytes(secret), Encoding.UTF8.GetBytes(text), expected);
#pragma warning restore CA5350
        // 28 characters are 20 bytes; more would not fit, and are not it.
        return signature.Length <= 28 && Convert.TryFromBase64String(signature, given, out var length) && length == given.Length && CryptographicOperations.FixedTimeEquals(expected, given);
    }
}
