using System.Buffers.Binary;
using System.Security.Cryptography;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>The CRC32C and MD5 of a content, from its beginning to wherever it was read so far: what Cloud Storage says of each object too.</summary>
internal sealed class ContentDigest : IDisposable
{
    private readonly IncrementalHash _md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
    private uint _crc;

    /// <summary>Bytes that were read.</summary>
    public long Length { get; private set; }

    public string Crc32C => Base64Of(_crc);

    public string Md5 => Convert.ToBase64String(_md5.GetCurrentHash());

    /// <summary>As Cloud Storage writes one: big endian, in Base64.</summary>
    public static string Base64Of(uint crc)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(bytes, crc);
        return Convert.ToBase64String(bytes);
    }

    /// <summary>Reads on. What is read so does not count as sent.</summary>
    public Task ReadToAsync(BlobName name, BlobSource content, long end, CancellationToken ct) => SourceDigest.ReadAsync(name, content, Length, end, bytes =>
    {
        _crc = Storage.Crc32C.Append(_crc, bytes.Span);
        _md5.AppendData(bytes.Span);
        Length += bytes.Length;
    }, ct);

    /// <summary>Whether an object has this content. Each has a CRC32C, and those that were put together of others no MD5.</summary>
    public bool Matches(GcsObject found) => found.Size == Length && found.Crc32C == Crc32C && (found.Md5Hash is null || found.Md5Hash == Md5);

    public void Dispose() => _md5.Dispose();
}
