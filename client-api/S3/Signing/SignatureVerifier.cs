using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace DarkStorage.ClientApi.S3;

/// <summary>Signature Version 4, the receiving side. Parse, look the secret up, verify.</summary>
/// <param name="regions">The regions that a signature may be for; the first is the one we name ourselves.</param>
/// <param name="takesVersion2">Signatures of version 2 are taken too.</param>
internal sealed partial class SignatureVerifier(IReadOnlyList<string> regions, TimeProvider clock, bool takesVersion2 = true)
{
    public const string DefaultRegion = "us-east-1";

    /// <summary>What a signature for STS names as its service.</summary>
    public const string Sts = "sts";

    private const string S3 = "s3";

    private readonly SigningKeyCache _keys = new();

    /// <summary>Whether the signature is the one that the secret makes of this request.</summary>
    /// <remarks>
    /// The path is taken as sent. Where that does not match, it is tried decoded and encoded anew, because some clients send a character
    /// such as <c>(</c> plain and sign it escaped: AWS takes both, and both name the same key, so nothing is given away.
    /// </remarks>
    /// <param name="secret">Of <see cref="ParsedSignature.AccessKeyId"/>.</param>
    /// <exception cref="S3Exception"><c>SignatureDoesNotMatch</c>, with the string to sign and the canonical request as AWS sends them: made of
    /// what the client sent, they hold no secret of ours, and of a customer's encryption key or a session token they hold only that it came.</exception>
    public SigningContext Verify(in SignedRequest request, ParsedSignature signature, string secret)
    {
        var key = _keys.Get(signature.AccessKeyId, secret, signature.Date, signature.Region, signature.Service);
        if (!Matches(request, signature, key, reencodePath: false) && !Matches(request, signature, key, reencodePath: true))
            throw Mismatch(request, signature);
        return new(signature.AccessKeyId, key, signature.Timestamp, signature.Scope, signature.Signature, signature.Payload);
    }

    private static bool Matches(in SignedRequest request, ParsedSignature signature, byte[] key, bool reencodePath)
    {
        var text = new PooledBytes(2048);
        try
        {
            CanonicalRequest.Write(ref text, request, signature, reencodePath);
            Span<byte> stringToSign = stackalloc byte[StringToSignLengthMax];
            var length = WriteStringToSign(stringToSign, signature, text.Span);
            Span<byte> hash = stackalloc byte[32];
            HMACSHA256.HashData(key, stringToSign[..length], hash);

            return IsHexOf(hash, signature.Signature);
        }
        finally
        {
            text.Dispose();
        }
    }

    /// <summary>Whether a signature as it was sent is this one, in a time that tells nothing of where they differ.</summary>
    private static bool IsHexOf(ReadOnlySpan<byte> hash, string signature)
    {
        Span<byte> expected = stackalloc byte[64];
        Span<byte> given = stackalloc byte[64];
        Convert.TryToHexStringLower(hash, expected, out _);
        var wellFormed = signature.Length == 64 && Encoding.UTF8.TryGetBytes(signature, given, out var written) && written == 64;
        return wellFormed && CryptographicOperations.FixedTimeEquals(expected, given);
    }

    private const int StringToSignLengthMax = 17 + 17 + ScopeLengthMax + 1 + 64;
    private const int ScopeLengthMax = 8 + 1 + RegionLengthMax + 1 + 3 + 1 + 12;

    private static int WriteStringToSign(Span<byte> to, ParsedSignature signature, ReadOnlySpan<byte> canonicalRequest)
    {
        var length = Encoding.ASCII.GetBytes("AWS4-HMAC-SHA256\n", to);
        length += Encoding.ASCII.GetBytes(signature.Timestamp, to[length..]);
        to[length++] = (byte)'\n';
        length += Encoding.ASCII.GetBytes(signature.Scope, to[length..]);
        to[length++] = (byte)'\n';
        Span<byte> hash = stackalloc byte[32];
        SHA256.HashData(canonicalRequest, hash);
        Convert.TryToHexStringLower(hash, to[length..], out var written);
        return length + written;
    }

    /// <summary>A client's key or session token does not go back in an answer, which may be logged on its way.</summary>
    [GeneratedRegex("^(?<name>x-amz-([a-z-]*-customer-key|security-token):).*$|(?<name>X-Amz-Security-Token=)[^&\n]*",
        RegexOptions.Multiline | RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture)]
    private static partial Regex Secrets();

    private static S3Exception Mismatch(in SignedRequest request, ParsedSignature signature)
    {
        var text = new PooledBytes(2048);
        try
        {
            CanonicalRequest.Write(ref text, request, signature, reencodePath: false);
            Span<byte> stringToSign = stackalloc byte[StringToSignLengthMax];
            var length = WriteStringToSign(stringToSign, signature, text.Span);
            return new S3Exception(S3Error.SignatureDoesNotMatch)
                .With("AWSAccessKeyId", signature.AccessKeyId)
                .With("StringToSign", Encoding.ASCII.GetString(stringToSign[..length]))
                .With("SignatureProvided", signature.Signature)
                .With("CanonicalRequest", Secrets().Replace(Encoding.UTF8.GetString(text.Span), "${name}***"));
        }
        finally
        {
            text.Dispose();
        }
    }
}
