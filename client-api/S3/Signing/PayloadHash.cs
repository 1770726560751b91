namespace DarkStorage.ClientApi.S3;

/// <summary>How the body is covered by the signature.</summary>
internal enum PayloadKind : byte
{
    /// <summary>Not at all.</summary>
    Unsigned,
    /// <summary>By its SHA-256.</summary>
    Sha256,
    /// <summary>In chunks, each with its own signature.</summary>
    SignedChunks,
    /// <summary>In signed chunks, and signed trailers after them.</summary>
    SignedChunksWithTrailer,
    /// <summary>In chunks without signatures, and trailers after them.</summary>
    UnsignedChunksWithTrailer,
}

/// <summary>What <c>x-amz-content-sha256</c> says.</summary>
/// <param name="Text">As sent: the last line of the canonical request.</param>
/// <param name="Sha256">The digest that the body must have; null for all other kinds.</param>
internal readonly record struct PayloadHash(PayloadKind Kind, string Text, byte[]? Sha256)
{
    public const string Header = "x-amz-content-sha256";
    public const string UnsignedText = "UNSIGNED-PAYLOAD";

    public static readonly PayloadHash Unsigned = new(PayloadKind.Unsigned, UnsignedText, null);

    /// <summary>Of a body that is there whole.</summary>
    public static PayloadHash Of(ReadOnlySpan<byte> body)
    {
        var digest = System.Security.Cryptography.SHA256.HashData(body);
        return new(PayloadKind.Sha256, Convert.ToHexStringLower(digest), digest);
    }

    /// <summary>The body comes in aws-chunked form and must be decoded.</summary>
    public bool IsChunked => Kind is PayloadKind.SignedChunks or PayloadKind.SignedChunksWithTrailer or PayloadKind.UnsignedChunksWithTrailer;

    /// <exception cref="S3Exception"><c>InvalidArgument</c>; <c>NotImplemented</c> for the elliptic-curve signatures of multi-region access points.</exception>
    public static PayloadHash Parse(string text)
    {
        switch (text)
        {
            case UnsignedText: return Unsigned;
            case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": return new(PayloadKind.SignedChunks, text, null);
            case "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": return new(PayloadKind.SignedChunksWithTrailer, text, null);
            case "STREAMING-UNSIGNED-PAYLOAD-TRAILER": return new(PayloadKind.UnsignedChunksWithTrailer, text, null);
            case "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" or "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER":
                throw new S3Exception(S3Error.NotImplemented).With("Header", Header);
        }
        var digest = new byte[32];
        if (text.Length == 64 && Convert.FromHexString(text, digest, out _, out _) == System.Buffers.OperationStatus.Done)
            return new(PayloadKind.Sha256, text, digest);
        throw S3Exception.InvalidArgument(
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
            Header, text.Length <= 128 ? text : text[..128]);
    }
}
