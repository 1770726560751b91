using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Storage;

/// <summary>Which digests of a content are wanted.</summary>
[Flags]
public enum DigestSet : byte
{
    None = 0,
    Crc32 = 1,
    Crc32C = 2,
    Crc64Nvme = 4,
    Sha1 = 8,
    Sha256 = 16,
}

/// <summary>The digests of one content. A digest that was not asked for is null.</summary>
/// <param name="Md5">16 bytes, always there.</param>
/// <param name="Crc32">4 bytes, big-endian (ISO-HDLC).</param>
/// <param name="Crc32C">4 bytes, big-endian (Castagnoli).</param>
/// <param name="Crc64Nvme">8 bytes, big-endian.</param>
/// <param name="Sha1">20 bytes.</param>
/// <param name="Sha256">32 bytes.</param>
public sealed record ContentDigests(byte[] Md5, byte[]? Crc32, byte[]? Crc32C, byte[]? Crc64Nvme, byte[]? Sha1, byte[]? Sha256)
{
    /// <summary>The MD5 in lower-case hexadecimal: the ETag of a content written in one piece.</summary>
    public string ETag => Convert.ToHexStringLower(Md5);

    /// <returns>Null where that digest was not taken.</returns>
    public byte[]? Of(ChecksumAlgorithm algorithm) => algorithm switch
    {
        ChecksumAlgorithm.Crc32 => Crc32,
        ChecksumAlgorithm.Crc32C => Crc32C,
        ChecksumAlgorithm.Crc64Nvme => Crc64Nvme,
        ChecksumAlgorithm.Sha1 => Sha1,
        ChecksumAlgorithm.Sha256 => Sha256,
        _ => null,
    };
}
