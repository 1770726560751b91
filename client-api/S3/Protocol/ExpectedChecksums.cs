using System.Security.Cryptography;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3;

/// <summary>What a client says its content hashes to, in headers before it or in a trailer after it, and what is to be kept of that.</summary>
/// <remarks>A client that states nothing gets a CRC-64/NVME computed and kept, as AWS does it.</remarks>
internal sealed class ExpectedChecksums
{
    private readonly byte[]? _md5;
    private readonly byte[]? _contentSha256;
    private readonly byte[]? _checksum;
    private readonly string? _trailer;

    private ExpectedChecksums(ChecksumAlgorithm algorithm, byte[]? checksum, string? trailer, byte[]? md5, byte[]? contentSha256)
    {
        Algorithm = algorithm;
        _checksum = checksum;
        _trailer = trailer;
        _md5 = md5;
        _contentSha256 = contentSha256;
    }

    /// <summary>The algorithm of the checksum that is kept.</summary>
    public ChecksumAlgorithm Algorithm { get; }

    /// <summary>What has to be computed besides the MD5.</summary>
    public DigestSet Digests => Algorithm.ToDigest() | (_contentSha256 is null ? DigestSet.None : DigestSet.Sha256);

    /// <param name="payload">Of the request's signature; <see cref="PayloadHash.Unsigned"/> for an anonymous request.</param>
    /// <param name="unstated">What to compute and keep where the client states nothing: for a part, what its upload wants.</param>
    /// <exception cref="S3Exception"><c>InvalidDigest</c>: Content-MD5 is none. <c>InvalidRequest</c>: several checksums, one malformed,
    /// or <c>x-amz-sdk-checksum-algorithm</c> without one. <c>BadDigest</c>: it names another algorithm than the checksum's.</exception>
    public static ExpectedChecksums Parse(IHeaderDictionary headers, PayloadHash payload, ChecksumAlgorithm unstated = ChecksumAlgorithm.Crc64Nvme)
    {
        var (algorithm, value) = ChecksumHeaders.Stated(headers);
        var checksum = algorithm == ChecksumAlgorithm.None ? null : ChecksumHeaders.Decode(algorithm, value);
        var trailer = TrailerOf(headers, payload);
        if (trailer is not null)
        {
            if (checksum is not null) throw new S3Exception(S3Error.InvalidRequest, "Expecting a single x-amz-checksum- header");
            algorithm = ChecksumHeaders.AlgorithmOfHeader(trailer);
        }
        ThrowUnlessAnnouncedRight(headers, algorithm);
        return new(algorithm == ChecksumAlgorithm.None ? unstated : algorithm, checksum, trailer, Md5Of(headers), payload.Sha256);
    }

    /// <summary>Compares what came with what was stated.</summary>
    /// <param name="trailers">Of an aws-chunked body; none for any other.</param>
    /// <returns>The checksum to keep; null where none was wanted.</returns>
    /// <exception cref="S3Exception"><c>BadDigest</c>, <c>XAmzContentSHA256Mismatch</c>; <c>MalformedTrailerError</c> where the trailer is missing;
    /// <c>InvalidRequest</c> where it is no checksum.</exception>
    public Checksum? Verify(ContentDigests digests, IReadOnlyList<KeyValuePair<string, string>> trailers)
    {
        if (_contentSha256 is not null && !Same(_contentSha256, digests.Sha256))
            throw new S3Exception(S3Error.ContentSha256Mismatch)
                .With("ClientComputedContentSHA256", Convert.ToHexStringLower(_contentSha256))
                .With("S3ComputedContentSHA256", Convert.ToHexStringLower(digests.Sha256!));
        if (_md5 is not null && !Same(_md5, digests.Md5))
            throw new S3Exception(S3Error.BadDigest)
                .With("ExpectedDigest", Convert.ToBase64String(_md5))
                .With("CalculatedDigest", Convert.ToBase64String(digests.Md5));
        if (Algorithm == ChecksumAlgorithm.None) return null;

        var expected = _trailer is null ? _checksum : ChecksumHeaders.Decode(Algorithm, ValueOf(trailers, _trailer));
        var computed = digests.Of(Algorithm) ?? throw new ArgumentException($"{Algorithm} was not computed.", nameof(digests));
        if (expected is not null && !Same(expected, computed))
            throw new S3Exception(S3Error.BadDigest, $"The {ChecksumHeaders.NameOf(Algorithm)} you specified did not match the calculated checksum.");
        return new(Algorithm, ChecksumType.FullObject, [.. computed]);
    }

    private static byte[]? Md5Of(IHeaderDictionary headers)
    {
        if (headers.ContentMD5 is not { Count: > 0 } header) return null;
        var md5 = new byte[MD5.HashSizeInBytes];
        return ChecksumHeaders.TryDecode(header.ToString(), md5) ? md5
            : throw new S3Exception(S3Error.InvalidDigest).With("Content-MD5", header.ToString());
    }

    /// <summary>The one checksum that <c>x-amz-trailer</c> announces; other trailers S3 does not have.</summary>
    private static string? TrailerOf(IHeaderDictionary headers, PayloadHash payload)
    {
        if (headers["x-amz-trailer"] is not { Count: > 0 } header) return null;
        var name = header.ToString().Trim().ToLowerInvariant();
        var takesTrailers = payload.Kind is PayloadKind.SignedChunksWithTrailer or PayloadKind.UnsignedChunksWithTrailer;
        if (ChecksumHeaders.AlgorithmOfHeader(name) == ChecksumAlgorithm.None || !takesTrailers)
            throw new S3Exception(S3Error.InvalidRequest, "The value specified in the x-amz-trailer header is not supported");
        return name;
    }

    private static void ThrowUnlessAnnouncedRight(IHeaderDictionary headers, ChecksumAlgorithm algorithm)
    {
        if (headers["x-amz-sdk-checksum-algorithm"] is not { Count: > 0 } header) return;
        var announced = ChecksumHeaders.AlgorithmNamed(header.ToString());
        if (announced == ChecksumAlgorithm.None) throw new S3Exception(S3Error.InvalidRequest, "Value for x-amz-sdk-checksum-algorithm header is invalid.");
        if (algorithm == ChecksumAlgorithm.None)
            throw new S3Exception(S3Error.InvalidRequest, "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.");
        if (announced != algorithm)
            throw new S3Exception(S3Error.BadDigest, $"The {ChecksumHeaders.NameOf(announced)} you specified did not match the calculated checksum.");
    }

    private static string ValueOf(IReadOnlyList<KeyValuePair<string, string>> trailers, string name)
    {
        foreach (var trailer in trailers)
            if (trailer.Key == name) return trailer.Value;
        throw new S3Exception(S3Error.MalformedTrailer);
    }

    private static bool Same(byte[] expected, byte[]? computed) => computed.AsSpan().SequenceEqual(expected);
}
