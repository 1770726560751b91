using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3;

/// <summary>What a multipart upload says of checksums when it begins and when it is completed.</summary>
internal static class UploadChecksums
{
    /// <summary>Which checksum an upload is to have: <c>x-amz-checksum-algorithm</c> and <c>x-amz-checksum-type</c> of CreateMultipartUpload.</summary>
    /// <remarks>Where neither is stated parts may come with any or none, as SDKs send them by default, and the object still gets one
    /// (<see cref="GrainInterfaces.Uploads.UploadRecord.ObjectChecksum"/>).</remarks>
    /// <exception cref="S3Exception"><c>InvalidRequest</c>: unknown, or a pair that S3 does not have.</exception>
    public static (ChecksumAlgorithm Algorithm, ChecksumType Type) OfNewUpload(IHeaderDictionary headers)
    {
        var type = TypeOf(headers);
        if (headers["x-amz-checksum-algorithm"] is not { Count: > 0 } header)
            return type is null ? (ChecksumAlgorithm.None, ChecksumType.FullObject)
                : throw new S3Exception(S3Error.InvalidRequest, "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.");
        var algorithm = ChecksumHeaders.AlgorithmNamed(header.ToString());
        if (algorithm == ChecksumAlgorithm.None)
            throw new S3Exception(S3Error.InvalidRequest, "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]");
        var chosen = type ?? MultipartChecksums.DefaultType(algorithm);
        if (!MultipartChecksums.IsAllowed(algorithm, chosen))
            throw new S3Exception(S3Error.InvalidRequest,
                $"The {ChecksumHeaders.NameOf(chosen)} checksum type cannot be used with the {ChecksumHeaders.NameOf(algorithm).ToLowerInvariant()} checksum algorithm.");
        return (algorithm, chosen);
    }

    /// <summary>The checksum of the whole object that CompleteMultipartUpload states, to be compared with the one computed from the parts.</summary>
    /// <returns>Null where it states none. A composite one without <c>-N</c> has 0 parts: it is compared by its value.</returns>
    /// <exception cref="S3Exception"><c>InvalidRequest</c>: malformed, or not of the type that the headers name.</exception>
    public static Checksum? OfCompletion(IHeaderDictionary headers)
    {
        var (algorithm, value) = ChecksumHeaders.Stated(headers);
        var type = TypeOf(headers);
        if (algorithm == ChecksumAlgorithm.None) return null;
        var checksum = ChecksumHeaders.DecodeObjectChecksum(algorithm, value);
        // A composite checksum may come without the number of its parts when its type says what it is.
        if (type == ChecksumType.Composite && checksum.Type == ChecksumType.FullObject) checksum = checksum with { Type = ChecksumType.Composite };
        if (!MultipartChecksums.IsAllowed(algorithm, checksum.Type) || (type is not null && type != checksum.Type))
            throw new S3Exception(S3Error.InvalidRequest, $"Value for {ChecksumHeaders.HeaderOf(algorithm)} header is invalid.");
        return checksum;
    }

    /// <returns>Null where the header is not there.</returns>
    public static ChecksumType? TypeOf(IHeaderDictionary headers)
    {
        if (headers["x-amz-checksum-type"] is not { Count: > 0 } header) return null;
        return header.ToString().ToUpperInvariant() switch
        {
            "FULL_OBJECT" => ChecksumType.FullObject,
            "COMPOSITE" => ChecksumType.Composite,
            _ => throw new S3Exception(S3Error.InvalidRequest, "Value for x-amz-checksum-type header is invalid."),
        };
    }
}
