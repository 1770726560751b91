using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3;

/// <summary>S3's names for checksums in headers, and their values.</summary>
internal static class ChecksumHeaders
{
    public const string Prefix = "x-amz-checksum-";

    private static readonly ChecksumAlgorithm[] Algorithms =
        [ChecksumAlgorithm.Crc32, ChecksumAlgorithm.Crc32C, ChecksumAlgorithm.Crc64Nvme, ChecksumAlgorithm.Sha1, ChecksumAlgorithm.Sha256];

    /// <summary><c>x-amz-checksum-crc32</c> and its like.</summary>
    public static string HeaderOf(ChecksumAlgorithm algorithm) => algorithm switch
    {
        ChecksumAlgorithm.Crc32 => "x-amz-checksum-crc32",
        ChecksumAlgorithm.Crc32C => "x-amz-checksum-crc32c",
        ChecksumAlgorithm.Crc64Nvme => "x-amz-checksum-crc64nvme",
        ChecksumAlgorithm.Sha1 => "x-amz-checksum-sha1",
        ChecksumAlgorithm.Sha256 => "x-amz-checksum-sha256",
        _ => throw new ArgumentOutOfRangeException(nameof(algorithm)),
    };

    /// <summary><c>CRC32</c> and its like: what S3 calls it in XML and in <c>x-amz-checksum-algorithm</c>.</summary>
    public static string NameOf(ChecksumAlgorithm algorithm) => algorithm switch
    {
        ChecksumAlgorithm.Crc32 => "CRC32",
        ChecksumAlgorithm.Crc32C => "CRC32C",
        ChecksumAlgorithm.Crc64Nvme => "CRC64NVME",
        ChecksumAlgorithm.Sha1 => "SHA1",
        ChecksumAlgorithm.Sha256 => "SHA256",
        _ => throw new ArgumentOutOfRangeException(nameof(algorithm)),
    };

    /// <summary>The element of a checksum in XML: <c>ChecksumCRC32</c> and its like.</summary>
    public static ReadOnlySpan<byte> ElementOf(ChecksumAlgorithm algorithm) => algorithm switch
    {
        ChecksumAlgorithm.Crc32 => "ChecksumCRC32"u8,
        ChecksumAlgorithm.Crc32C => "ChecksumCRC32C"u8,
        ChecksumAlgorithm.Crc64Nvme => "ChecksumCRC64NVME"u8,
        ChecksumAlgorithm.Sha1 => "ChecksumSHA1"u8,
        ChecksumAlgorithm.Sha256 => "ChecksumSHA256"u8,
        _ => throw new ArgumentOutOfRangeException(nameof(algorithm)),
    };

    public static string NameOf(ChecksumType type) => type == ChecksumType.Composite ? "COMPOSITE" : "FULL_OBJECT";

    /// <returns><see cref="ChecksumAlgorithm.None"/> for a name that S3 does not have.</returns>
    public static ChecksumAlgorithm AlgorithmNamed(string name)
    {
        foreach (var algorithm in Algorithms)
            if (name.Equals(NameOf(algorithm), StringComparison.OrdinalIgnoreCase)) return algorithm;
        return ChecksumAlgorithm.None;
    }

    /// <returns><see cref="ChecksumAlgorithm.None"/> for a header that states no checksum.</returns>
    public static ChecksumAlgorithm AlgorithmOfHeader(string header)
    {
        foreach (var algorithm in Algorithms)
            if (header.Equals(HeaderOf(algorithm), StringComparison.OrdinalIgnoreCase)) return algorithm;
        return ChecksumAlgorithm.None;
    }

    /// <summary>The one checksum that a request states in a header.</summary>
    /// <returns><see cref="ChecksumAlgorithm.None"/> where it states none.</returns>
    /// <exception cref="S3Exception"><c>InvalidRequest</c>: two of them, or one by an algorithm that S3 does not have.</exception>
    public static (ChecksumAlgorithm Algorithm, string Value) Stated(IHeaderDictionary headers)
    {
        var found = (Algorithm: ChecksumAlgorithm.None, Value: "");
        foreach (var header in headers)
        {
            if (!header.Key.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase) || IsAboutChecksums(header.Key)) continue;
            var algorithm = AlgorithmOfHeader(header.Key);
            if (algorithm == ChecksumAlgorithm.None) throw new S3Exception(S3Error.InvalidRequest, "The algorithm type you specified in x-amz-checksum- header is invalid.");
            if (found.Algorithm != ChecksumAlgorithm.None || header.Value.Count != 1)
                throw new S3Exception(S3Error.InvalidRequest, "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.");
            found = (algorithm, header.Value.ToString());
        }
        return found;
    }

    /// <summary>A raw digest from its Base64.</summary>
    /// <exception cref="S3Exception"><c>InvalidRequest</c>: not Base64, or not as long as the algorithm's digests are.</exception>
    public static byte[] Decode(ChecksumAlgorithm algorithm, string text)
    {
        var digest = new byte[MultipartChecksums.ByteLength(algorithm)];
        return TryDecode(text, digest) ? digest
            : throw new S3Exception(S3Error.InvalidRequest, $"Value for {HeaderOf(algorithm)} header is invalid.");
    }

    /// <summary>Whether a text is the Base64 of exactly as many bytes as there is room for.</summary>
    public static bool TryDecode(string text, Span<byte> digest) =>
        text.Length == (digest.Length + 2) / 3 * 4 && Convert.TryFromBase64String(text, digest, out var written) && written == digest.Length;

    /// <summary>The checksum of a whole multipart object: a plain one covers all its bytes, one with <c>-N</c> the checksums of its N parts.</summary>
    /// <exception cref="S3Exception"><c>InvalidRequest</c>.</exception>
    public static Checksum DecodeObjectChecksum(ChecksumAlgorithm algorithm, string text)
    {
        var dash = text.LastIndexOf('-');
        if (dash < 0) return new(algorithm, ChecksumType.FullObject, [.. Decode(algorithm, text)]);
        var isCount = int.TryParse(text.AsSpan(dash + 1), System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var parts);
        if (!isCount || parts is < 1 or > MultipartChecksums.PartsMax) throw new S3Exception(S3Error.InvalidRequest, $"Value for {HeaderOf(algorithm)} header is invalid.");
        return new(algorithm, ChecksumType.Composite, [.. Decode(algorithm, text[..dash])], parts);
    }

    /// <summary>The answer's headers about a stored checksum.</summary>
    public static void Write(IHeaderDictionary response, Checksum? checksum)
    {
        if (checksum is null || checksum.Algorithm == ChecksumAlgorithm.None) return;
        response[HeaderOf(checksum.Algorithm)] = checksum.ToString();
        response["x-amz-checksum-type"] = NameOf(checksum.Type);
    }

    /// <summary>Whether a GET or HEAD wants the headers above: <c>x-amz-checksum-mode: ENABLED</c>.</summary>
    /// <exception cref="S3Exception"><c>InvalidArgument</c>.</exception>
    public static bool IsWanted(IHeaderDictionary headers)
    {
        const string Mode = "x-amz-checksum-mode";
        if (headers[Mode] is not { Count: > 0 } mode) return false;
        if (string.Equals(mode, "ENABLED", StringComparison.OrdinalIgnoreCase)) return true;
        throw S3Exception.InvalidArgument("Value for x-amz-checksum-mode header is invalid.", Mode, mode.ToString());
    }

    private static bool IsAboutChecksums(string header) =>
        header.Equals("x-amz-checksum-algorithm", StringComparison.OrdinalIgnoreCase)
        || header.Equals("x-amz-checksum-type", StringComparison.OrdinalIgnoreCase)
        || header.Equals("x-amz-checksum-mode", StringComparison.OrdinalIgnoreCase);
}
