using System.Security.Cryptography;
using System.Text;

namespace DarkStorage.ClientApi.S3;

/// <summary>The signature of a form: of the Base64 of its policy, and of nothing else.</summary>
/// <param name="Timestamp">Empty for one of version 2, as is the region.</param>
internal sealed record FormSignature(string AccessKeyId, string Timestamp, string Region, string Policy, string Signature)
{
    public bool IsVersion2 => Timestamp.Length == 0;

    /// <summary><c>20130524/us-east-1/s3/aws4_request</c>.</summary>
    public string Scope => $"{Timestamp.AsSpan(0, 8)}/{Region}/s3/aws4_request";
}

internal sealed partial class SignatureVerifier
{
    /// <summary>Reads the signature of a form from its fields. How long it holds, its policy says.</summary>
    /// <param name="fields">By name in any case.</param>
    /// <returns>Null where the form is anonymous: it has neither policy nor signature.</returns>
    /// <exception cref="S3Exception"><c>InvalidRequest</c>: Signature Version 2; <c>InvalidArgument</c>: a field is missing or malformed, or names another region; <c>NotImplemented</c>.</exception>
    public FormSignature? ParseForm(IReadOnlyDictionary<string, string> fields)
    {
        string[] needed = [PostPolicy.Field, "x-amz-algorithm", "x-amz-credential", "x-amz-date", PostPolicy.SignatureField];
        if (fields.ContainsKey(KeyIdParameter) || fields.ContainsKey(SignatureParameter)) return ParseFormVersion2(fields);
        if (!needed.Any(fields.ContainsKey)) return null;
        if (Array.Find(needed, n => !fields.ContainsKey(n)) is { } missing)
            throw Missing(missing);
        var (algorithm, credential, timestamp) = (fields[needed[1]], fields[needed[2]], fields[needed[3]]);
        if (algorithm == "AWS4-ECDSA-P256-SHA256") throw new S3Exception(S3Error.NotImplemented).With("Header", needed[1]);
        if (algorithm != Algorithm) throw S3Exception.InvalidArgument("x-amz-algorithm only supports \"AWS4-HMAC-SHA256\"", needed[1], algorithm);
        var scope = CredentialScope.Parse(credential) ?? throw S3Exception.InvalidArgument(MalformedCredential, needed[2], credential);
        if (scope.Terminal != "aws4_request") throw S3Exception.InvalidArgument($"incorrect terminal \"{scope.Terminal}\". This endpoint uses \"aws4_request\".", needed[2], credential);
        if (scope.Service != S3) throw S3Exception.InvalidArgument($"incorrect service \"{scope.Service}\". This endpoint belongs to \"s3\".", needed[2], credential);
        if (!IsOurs(scope.Region)) throw S3Exception.InvalidArgument($"the region '{scope.Region}' is wrong; expecting '{regions[0]}'", needed[2], credential).With("Region", regions[0]);
        if (!SignatureTime.TryParse(timestamp, out _)) throw S3Exception.InvalidArgument("x-amz-date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"", needed[3], timestamp);
        if (!timestamp.AsSpan(0, 8).SequenceEqual(scope.Date))
            throw S3Exception.InvalidArgument($"Invalid credential date \"{scope.Date}\". This date is not the same as x-amz-date: \"{timestamp.AsSpan(0, 8)}\".", needed[3], timestamp);
        return new(scope.AccessKeyId, timestamp, scope.Region, fields[needed[0]], fields[needed[4]]);
    }

    private FormSignature ParseFormVersion2(IReadOnlyDictionary<string, string> fields)
    {
        if (!takesVersion2) throw new S3Exception(S3Error.InvalidRequest, OldMechanism);
        if (fields.ContainsKey(PostPolicy.SignatureField)) throw S3Exception.InvalidArgument(OnlyOneMechanism, PostPolicy.SignatureField, "");
        foreach (var name in (string[])[KeyIdParameter, PostPolicy.Field, SignatureParameter])
        {
            if (!fields.ContainsKey(name)) throw Missing(name);
        }
        return new(fields[KeyIdParameter], "", "", fields[PostPolicy.Field], fields[SignatureParameter]);
    }

    private static S3Exception Missing(string field) =>
        S3Exception.InvalidArgument($"Bucket POST must contain a field named '{field}'.  If it is specified, please check the order of the fields.", field, "");

    /// <summary>Whether the signature is the one that the secret makes of the form's policy.</summary>
    /// <param name="secret">Of <see cref="FormSignature.AccessKeyId"/>.</param>
    /// <exception cref="S3Exception"><c>SignatureDoesNotMatch</c>.</exception>
    public SigningContext Verify(FormSignature signature, string secret)
    {
        if (signature.IsVersion2) return Verify(new SignatureVersion2(signature.AccessKeyId, signature.Policy, null, signature.Signature, PayloadHash.Unsigned), secret);
        var key = _keys.Get(signature.AccessKeyId, secret, signature.Timestamp[..8], signature.Region, S3);
        Span<byte> hash = stackalloc byte[32];
        HMACSHA256.HashData(key, Encoding.UTF8.GetBytes(signature.Policy), hash);
        if (!IsHexOf(hash, signature.Signature))
            throw new S3Exception(S3Error.SignatureDoesNotMatch)
                .With("AWSAccessKeyId", signature.AccessKeyId)
                .With("StringToSign", signature.Policy)
                .With("SignatureProvided", signature.Signature);
        return new(signature.AccessKeyId, key, signature.Timestamp, signature.Scope, signature.Signature, PayloadHash.Unsigned);
    }
}
