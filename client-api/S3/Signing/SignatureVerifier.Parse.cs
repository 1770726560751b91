using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace DarkStorage.ClientApi.S3;

/// <summary>Everything about a signature that can be judged without the secret.</summary>
internal sealed partial class SignatureVerifier
{
    private const string Algorithm = "AWS4-HMAC-SHA256";
    private const int AccessKeyIdLengthMax = 128;
    private const int RegionLengthMax = 64;
    private const int SignedHeadersMax = 128;
    private const int AuthorizationLengthMax = 16 << 10;
    private const int ExpirySecondsMax = 604_800;
    private static readonly TimeSpan SkewMax = TimeSpan.FromMinutes(15);

    private const string MalformedCredential = "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".";
    private const string OldMechanism = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
    private const string OnlyOneMechanism = "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified";
    private const string MissingParameters = "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.";

    /// <summary>Reads the signature of a request, from its Authorization header or its query.</summary>
    /// <returns>Null where the request is anonymous.</returns>
    /// <param name="bodySha256">For STS, whose requests need not state it: what the signature covers is the body that came. Null for S3.</param>
    /// <exception cref="S3Exception">With AWS's codes for each way of being malformed, out of time, or for another region or service.</exception>
    public ParsedSignature? Parse(in SignedRequest request, PayloadHash? bodySha256 = null)
    {
        var authorization = request.Headers.Authorization;
        var query = request.Target.Query;
        var inQuery = IsVersion4(query);
        if (StringValues.IsNullOrEmpty(authorization)) return inQuery ? ParseQuery(request, bodySha256) : null;
        if (inQuery || IsVersion2(query) || authorization.Count > 1)
            throw S3Exception.InvalidArgument(OnlyOneMechanism, "Authorization", SchemeOf(authorization.ToString()).ToString());
        return ParseHeader(request, authorization.ToString(), bodySha256);
    }

    private static bool IsVersion4(in S3Query query) => query.Has("X-Amz-Algorithm") || query.Has("X-Amz-Signature") || query.Has("X-Amz-Credential");

    private ParsedSignature ParseHeader(in SignedRequest request, string authorization, PayloadHash? bodySha256)
    {
        if (authorization.Length > AuthorizationLengthMax) throw new S3Exception(S3Error.RequestHeaderSectionTooLarge);
        switch (SchemeOf(authorization))
        {
            case Algorithm: break;
            case "AWS": throw new S3Exception(S3Error.InvalidRequest, OldMechanism);
            case "AWS4-ECDSA-P256-SHA256": throw new S3Exception(S3Error.NotImplemented).With("Header", "Authorization");
            case var scheme: throw S3Exception.InvalidArgument("Unsupported Authorization Type", "Authorization", scheme.ToString());
        }

        var service = bodySha256 is null ? S3 : Sts;
        string? credential = null, signedHeaders = null, given = null;
        foreach (var range in authorization.AsSpan(Algorithm.Length).Split(','))
        {
            var component = authorization.AsSpan(Algorithm.Length)[range].Trim(" \t");
            if (component.IsEmpty) continue;
            var equals = component.IndexOf('=');
            if (equals < 0) throw HeaderMalformed("the authorization header requires three components: Credential, SignedHeaders, and Signature.");
            var value = component[(equals + 1)..].ToString();
            switch (component[..equals])
            {
                case "Credential" when credential is null: credential = value; break;
                case "SignedHeaders" when signedHeaders is null: signedHeaders = value; break;
                case "Signature" when given is null: given = value; break;
                default: throw HeaderMalformed($"unexpected or repeated component \"{Shortened(component[..equals])}\".");
            }
        }
        if (string.IsNullOrEmpty(credential) || string.IsNullOrEmpty(signedHeaders) || string.IsNullOrEmpty(given))
            throw HeaderMalformed("the authorization header requires three components: Credential, SignedHeaders, and Signature.");

        var scope = CredentialScope.Parse(credential) ?? throw HeaderMalformed(MalformedCredential);
        if (scope.Terminal != "aws4_request") throw HeaderMalformed($"incorrect terminal \"{scope.Terminal}\". This endpoint uses \"aws4_request\".");
        if (scope.Service != service) throw HeaderMalformed($"incorrect service \"{scope.Service}\". This endpoint belongs to \"{service}\".");
        if (!IsOurs(scope.Region))
            throw HeaderMalformed($"the region '{scope.Region}' is wrong; expecting '{regions[0]}'").With("Region", regions[0]);
        if (!IsSignedHeaderList(signedHeaders)) throw HeaderMalformed("the SignedHeaders are mal-formed.");

        var time = TimeOf(request.Headers, out var timestamp);
        if (!timestamp.AsSpan(0, 8).SequenceEqual(scope.Date))
            throw HeaderMalformed($"Invalid credential date \"{scope.Date}\". This date is not the same as X-Amz-Date: \"{timestamp.AsSpan(0, 8)}\".");
        ThrowIfSkewed(time, timestamp);
        ThrowUnlessSigned(request.Headers, signedHeaders, isPresigned: false);

        if (bodySha256 is { } body) return new(scope.AccessKeyId, timestamp, scope.Region, signedHeaders, given, body, IsPresigned: false, service);
        var hash = request.Headers[PayloadHash.Header];
        if (hash.Count == 0) throw new S3Exception(S3Error.InvalidRequest, "Missing required header for this request: x-amz-content-sha256");
        return new(scope.AccessKeyId, timestamp, scope.Region, signedHeaders, given, PayloadHash.Parse(hash.ToString().Trim()), IsPresigned: false, service);
    }

    private ParsedSignature ParseQuery(in SignedRequest request, PayloadHash? bodySha256)
    {
        var service = bodySha256 is null ? S3 : Sts;
        var query = request.Target.Query;
        if (!query.TryGet("X-Amz-Algorithm", out var algorithm) || !query.TryGet("X-Amz-Credential", out var credential)
            || !query.TryGet("X-Amz-Signature", out var given) || !query.TryGet("X-Amz-Date", out var timestamp)
            || !query.TryGet("X-Amz-SignedHeaders", out var signedHeaders) || !query.TryGet("X-Amz-Expires", out var expires))
            throw QueryError(MissingParameters);
        if (algorithm == "AWS4-ECDSA-P256-SHA256") throw new S3Exception(S3Error.NotImplemented).With("Header", "X-Amz-Algorithm");
        if (algorithm != Algorithm) throw QueryError("X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");

        const string WhereItIs = "Error parsing the X-Amz-Credential parameter; ";
        var scope = CredentialScope.Parse(credential) ?? throw QueryError(WhereItIs + MalformedCredential);
        if (scope.Terminal != "aws4_request") throw QueryError($"{WhereItIs}incorrect terminal \"{scope.Terminal}\". This endpoint uses \"aws4_request\".");
        if (scope.Service != service) throw QueryError($"{WhereItIs}incorrect service \"{scope.Service}\". This endpoint belongs to \"{service}\".");
        if (!IsOurs(scope.Region))
            throw QueryError($"{WhereItIs}the region '{scope.Region}' is wrong; expecting '{regions[0]}'").With("Region", regions[0]);
        if (!SignatureTime.TryParse(timestamp, out var time))
            throw QueryError("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
        if (!timestamp.AsSpan(0, 8).SequenceEqual(scope.Date))
            throw QueryError($"Invalid credential date \"{scope.Date}\". This date is not the same as X-Amz-Date: \"{timestamp.AsSpan(0, 8)}\".");
        if (!IsSignedHeaderList(signedHeaders)) throw QueryError("The X-Amz-SignedHeaders parameter is mal-formed.");
        ThrowUnlessValid(time, LifeOf(expires), expires);
        ThrowUnlessSigned(request.Headers, signedHeaders, isPresigned: true);

        // The hash may be given in the query or, where it is signed, in the header; most presigned URLs don't know the body.
        var hash = query.Find(PayloadHash.Header) ?? query.Find("X-Amz-Content-Sha256") ?? (string?)request.Headers[PayloadHash.Header];
        return new(scope.AccessKeyId, timestamp, scope.Region, signedHeaders, given,
            bodySha256 ?? (hash is null ? PayloadHash.Unsigned : PayloadHash.Parse(hash.Trim())), IsPresigned: true, service);
    }

    private bool IsOurs(string region)
    {
        for (var i = 0; i < regions.Count; i++)
            if (regions[i] == region) return true;
        return false;
    }

    private static ReadOnlySpan<char> SchemeOf(string authorization)
    {
        var text = authorization.AsSpan();
        var end = text.IndexOfAny(' ', ',');
        return Shortened(end < 0 ? text : text[..end]);
    }

    private static ReadOnlySpan<char> Shortened(ReadOnlySpan<char> text) => text.Length <= 64 ? text : text[..64];

    /// <summary>x-amz-date, or where that is missing, Date.</summary>
    private static DateTimeOffset TimeOf(IHeaderDictionary headers, out string timestamp)
    {
        const string Needed = "AWS authentication requires a valid Date or x-amz-date header";
        DateTimeOffset time;
        if (headers["x-amz-date"] is { Count: > 0 } amz)
        {
            timestamp = amz.ToString();
            if (SignatureTime.TryParse(timestamp, out time)) return time;
            if (!SignatureTime.TryParseDateHeader(timestamp, out time)) throw new S3Exception(S3Error.AccessDenied, Needed);
        }
        else if (headers.Date is not { Count: > 0 } date || !SignatureTime.TryParseDateHeader(date.ToString(), out time))
            throw new S3Exception(S3Error.AccessDenied, Needed);
        timestamp = SignatureTime.Format(time);
        return time;
    }

    private void ThrowIfSkewed(DateTimeOffset time, string timestamp)
    {
        var now = clock.GetUtcNow();
        if ((now - time).Duration() <= SkewMax) return;
        throw new S3Exception(S3Error.RequestTimeTooSkewed)
            .With("RequestTime", timestamp)
            .With("ServerTime", now.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture))
            .With("MaxAllowedSkewMilliseconds", SkewMax.TotalMilliseconds.ToString(CultureInfo.InvariantCulture));
    }

    private static TimeSpan LifeOf(string expires)
    {
        if (expires.Length > 12 || !long.TryParse(expires, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var seconds))
            throw QueryError("X-Amz-Expires should be a number");
        if (seconds < 0) throw QueryError("X-Amz-Expires must be non-negative");
        if (seconds == 0) throw QueryError("X-Amz-Expires must be at least 1");
        if (seconds > ExpirySecondsMax)
            throw QueryError("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds");
        return TimeSpan.FromSeconds(seconds);
    }

    private void ThrowUnlessValid(DateTimeOffset signed, TimeSpan life, string expires)
    {
        var now = clock.GetUtcNow();
        if (signed - SkewMax > now) throw new S3Exception(S3Error.AccessDenied, "Request is not yet valid");
        if (now - signed <= life) return;
        throw new S3Exception(S3Error.AccessDenied, "Request has expired")
            .With("X-Amz-Expires", expires)
            .With("Expires", (signed + life).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture))
            .With("ServerTime", now.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture));
    }

    /// <summary>Names in lower case with semicolons between, none twice.</summary>
    private static bool IsSignedHeaderList(ReadOnlySpan<char> list)
    {
        var count = 0;
        var ascending = true;
        ReadOnlySpan<char> previous = default;
        foreach (var range in list.Split(';'))
        {
            var name = list[range];
            if (++count > SignedHeadersMax || name.IsEmpty || name.ContainsAnyExcept(HeaderNameCharacters)) return false;
            ascending &= previous.SequenceCompareTo(name) < 0;
            previous = name;
        }
        if (ascending) return true;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var range in list.Split(';'))
            if (!seen.Add(list[range].ToString())) return false;
        return true;
    }

    private static readonly System.Buffers.SearchValues<char> HeaderNameCharacters =
        System.Buffers.SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~");

    /// <summary>The host and each <c>x-amz-</c> header must be covered: an intermediary could change what an unsigned one asks for.</summary>
    /// <remarks>AWS's manual wants Content-Type signed too, its servers don't; neither do we, or clients would break.</remarks>
    private static void ThrowUnlessSigned(IHeaderDictionary headers, string signedHeaders, bool isPresigned)
    {
        var missing = Contains(signedHeaders, "host") ? null : "host";
        foreach (var header in headers)
        {
            if (!header.Key.StartsWith("x-amz-", StringComparison.OrdinalIgnoreCase) || Contains(signedHeaders, header.Key)) continue;
            // A presigned URL says of the body what this header says.
            if (isPresigned && header.Key.Equals(PayloadHash.Header, StringComparison.OrdinalIgnoreCase) && header.Value == PayloadHash.UnsignedText) continue;
            missing = missing is null ? header.Key.ToLowerInvariant() : $"{missing}, {header.Key.ToLowerInvariant()}";
        }
        if (missing is null) return;
        throw new S3Exception(S3Error.AccessDenied, "There were headers present in the request which were not signed").With("HeadersNotSigned", missing);
    }

    private static bool Contains(ReadOnlySpan<char> list, ReadOnlySpan<char> name)
    {
        foreach (var range in list.Split(';'))
            if (list[range].Equals(name, StringComparison.OrdinalIgnoreCase)) return true;
        return false;
    }

    private static S3Exception HeaderMalformed(string why) => new(S3Error.AuthorizationHeaderMalformed, "The authorization header is malformed; " + why);

    private static S3Exception QueryError(string why) => new(S3Error.AuthorizationQueryParametersError, why);

    /// <summary><c>AKID/20130524/us-east-1/s3/aws4_request</c>.</summary>
    private sealed record CredentialScope(string AccessKeyId, string Date, string Region, string Service, string Terminal)
    {
        /// <summary>Read from the end, because a key's id may hold a slash.</summary>
        /// <returns>Null where it is malformed.</returns>
        public static CredentialScope? Parse(string text)
        {
            Span<int> slashes = stackalloc int[4];
            var end = text.Length;
            for (var i = 3; i >= 0; i--)
            {
                if (end <= 0 || (end = text.LastIndexOf('/', end - 1)) < 0) return null;
                slashes[i] = end;
            }
            var scope = new CredentialScope(
                text[..slashes[0]], text[(slashes[0] + 1)..slashes[1]], text[(slashes[1] + 1)..slashes[2]], text[(slashes[2] + 1)..slashes[3]], text[(slashes[3] + 1)..]);
            if (scope.AccessKeyId.Length is 0 or > AccessKeyIdLengthMax || scope.Region.Length is 0 or > RegionLengthMax) return null;
            if (scope.Service.Length is 0 or > 32 || scope.Terminal.Length is 0 or > 32) return null;
            return scope.Date.Length == 8 && !scope.Date.AsSpan().ContainsAnyExceptInRange('0', '9') ? scope : null;
        }
    }
}
