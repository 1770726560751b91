using System.Security.Cryptography;
using BenchmarkDotNet.Attributes;
using DarkStorage.Storage;

namespace DarkStorage.Micro;

/// <summary>Checksums of one mebibyte: divide it by the mean for the rate.</summary>
[MemoryDiagnoser]
public class Digests
{
    private readonly byte[] _content = RandomNumberGenerator.GetBytes(1 << 20);

    [Benchmark]
    public uint Crc32OfMebibyte() => Crc32.Append(0, _content);

    [Benchmark]
    public uint Crc32COfMebibyte() => Crc32C.Append(0, _content);

    [Benchmark]
    public ulong Crc64NvmeOfMebibyte() => Crc64Nvme.Append(0, _content);

    /// <summary>What every PUT takes: the ETag.</summary>
    [Benchmark]
    public int Md5OfMebibyte() => Hash(default);

    /// <summary>What a PUT takes whose signature covers its body.</summary>
    [Benchmark]
    public int Md5AndSha256OfMebibyte() => Hash(DigestSet.Sha256);

    private int Hash(DigestSet digests)
    {
        using var hasher = new ContentHasher(digests);
        hasher.Append(_content);
        return hasher.Finish().Md5.Length;
    }
}
