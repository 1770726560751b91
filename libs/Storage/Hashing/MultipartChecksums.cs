using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Storage;

/// <summary>What a multipart object's checksum and ETag are made of: those of its parts, never its bytes.</summary>
public static class MultipartChecksums
{
    /// <summary>S3's parts at most.</summary>
    public const int PartsMax = 10_000;

    /// <summary>Which pairs S3 has: CRC-64/NVME covers the object, the SHAs cannot be combined and so cover the parts, the 32-bit CRCs may do either.</summary>
    public static bool IsAllowed(ChecksumAlgorithm algorithm, ChecksumType type) => algorithm switch
    {
        ChecksumAlgorithm.Crc32 or ChecksumAlgorithm.Crc32C => true,
        ChecksumAlgorithm.Crc64Nvme => type == ChecksumType.FullObject,
        ChecksumAlgorithm.Sha1 or ChecksumAlgorithm.Sha256 => type == ChecksumType.Composite,
        _ => false,
    };

    /// <summary>What an upload gets that names an algorithm and no type.</summary>
    public static ChecksumType DefaultType(ChecksumAlgorithm algorithm) =>
        algorithm is ChecksumAlgorithm.None or ChecksumAlgorithm.Crc64Nvme ? ChecksumType.FullObject : ChecksumType.Composite;

    /// <summary>The checksum of the object that the parts make, in their order.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.InvalidPart"/>: a part has no checksum of that algorithm;
    /// <see cref="StorageError.InvalidArgument"/>: S3 has no such pair, or no parts, or more than <see cref="PartsMax"/>.</exception>
    public static Checksum Combine(ChecksumAlgorithm algorithm, ChecksumType type, IEnumerable<(Checksum Part, long Length)> parts)
    {
        if (!IsAllowed(algorithm, type)) throw new StorageException(StorageError.InvalidArgument, $"There is no {type} checksum by {algorithm}.");
        return type == ChecksumType.FullObject ? CombineCrc(algorithm, parts) : HashDigests(algorithm, parts);
    }

    /// <summary>The ETag of a multipart object without quotes: the MD5 of the parts' MD5s, and how many there are.</summary>
    /// <param name="partMd5s">16 bytes each, in the order of the parts.</param>
    public static string ETag(IEnumerable<ReadOnlyMemory<byte>> partMd5s)
    {
        using var md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
        var count = 0;
        foreach (var part in partMd5s)
        {
            if (part.Length != MD5.HashSizeInBytes) throw new ArgumentException($"An MD5 has 16 bytes, not {part.Length}.", nameof(partMd5s));
            md5.AppendData(part.Span);
            count++;
        }
        return string.Create(CultureInfo.InvariantCulture, $"{Convert.ToHexStringLower(md5.GetHashAndReset())}-{count}");
    }

    private static Checksum CombineCrc(ChecksumAlgorithm algorithm, IEnumerable<(Checksum Part, long Length)> parts)
    {
        var combined = 0ul;                    // the CRC of nothing
        var count = 0;
        foreach (var (part, length) in parts)
        {
            ThrowUnlessUsable(part, algorithm, ++count);
            var value = part.Value.AsSpan();
            combined = algorithm switch
            {
                ChecksumAlgorithm.Crc32 => Crc32.Combine((uint)combined, BinaryPrimitives.ReadUInt32BigEndian(value), length),
                ChecksumAlgorithm.Crc32C => Crc32C.Combine((uint)combined, BinaryPrimitives.ReadUInt32BigEndian(value), length),
                _ => Crc64Nvme.Combine(combined, BinaryPrimitives.ReadUInt64BigEndian(value), length),
            };
        }
        ThrowIfNone(count);
        var bytes = new byte[ByteLength(algorithm)];
        if (bytes.Length == 8) BinaryPrimitives.WriteUInt64BigEndian(bytes, combined);
        else BinaryPrimitives.WriteUInt32BigEndian(bytes, (uint)combined);
        return new Checksum(algorithm, ChecksumType.FullObject, [.. bytes]);
    }

    private static Checksum HashDigests(ChecksumAlgorithm algorithm, IEnumerable<(Checksum Part, long Length)> parts)
    {
        var wanted = algorithm.ToDigest();
        using var hasher = new ContentHasher(wanted);
        var count = 0;
        foreach (var (part, _) in parts)
        {
            ThrowUnlessUsable(part, algorithm, ++count);
            hasher.Append(part.Value.AsSpan());
        }
        ThrowIfNone(count);
        return new Checksum(algorithm, ChecksumType.Composite, [.. hasher.Finish().Of(algorithm)!], count);
    }

    /// <summary>Bytes of a raw digest.</summary>
    public static int ByteLength(ChecksumAlgorithm algorithm) => algorithm switch
    {
        ChecksumAlgorithm.Crc32 or ChecksumAlgorithm.Crc32C => 4,
        ChecksumAlgorithm.Crc64Nvme => 8,
        ChecksumAlgorithm.Sha1 => SHA1.HashSizeInBytes,
        ChecksumAlgorithm.Sha256 => SHA256.HashSizeInBytes,
        _ => 0,
    };

    /// <summary>The digest that a hasher must take for an algorithm.</summary>
    public static DigestSet ToDigest(this ChecksumAlgorithm algorithm) => algorithm switch
    {
        ChecksumAlgorithm.Crc32 => DigestSet.Crc32,
        ChecksumAlgorithm.Crc32C => DigestSet.Crc32C,
        ChecksumAlgorithm.Crc64Nvme => DigestSet.Crc64Nvme,
        ChecksumAlgorithm.Sha1 => DigestSet.Sha1,
        ChecksumAlgorithm.Sha256 => DigestSet.Sha256,
        _ => DigestSet.None,
    };

    private static void ThrowUnlessUsable(Checksum part, ChecksumAlgorithm algorithm, int number)
    {
        if (number > PartsMax) throw new StorageException(StorageError.InvalidArgument, $"More than {PartsMax} parts.");
        if (part.Algorithm != algorithm || part.Value.Length != ByteLength(algorithm))
            throw new StorageException(StorageError.InvalidPart, $"Part {number} has a checksum by {part.Algorithm}, the upload wants {algorithm}.");
    }

    private static void ThrowIfNone(int count)
    {
        if (count == 0) throw new StorageException(StorageError.InvalidArgument, "An object has at least one part.");
    }
}
