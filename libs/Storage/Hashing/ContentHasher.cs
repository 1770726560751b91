using System.Buffers.Binary;
using System.Security.Cryptography;

namespace DarkStorage.Storage;

/// <summary>Takes all wanted digests of one content in one pass. Not for use by two threads at once.</summary>
public sealed class ContentHasher : IDisposable
{
    private readonly DigestSet _wanted;
    private readonly IncrementalHash _md5 = IncrementalHash.CreateHash(HashAlgorithmName.MD5);
    private readonly IncrementalHash? _sha1;
    private readonly IncrementalHash? _sha256;
    private uint _crc32;
    private uint _crc32C;
    private ulong _crc64;

    public ContentHasher(DigestSet wanted)
    {
        _wanted = wanted;
        if (wanted.HasFlag(DigestSet.Sha1)) _sha1 = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        if (wanted.HasFlag(DigestSet.Sha256)) _sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    }

    public void Append(ReadOnlySpan<byte> bytes)
    {
        _md5.AppendData(bytes);
        _sha1?.AppendData(bytes);
        _sha256?.AppendData(bytes);
        if (_wanted.HasFlag(DigestSet.Crc32)) _crc32 = Crc32.Append(_crc32, bytes);
        if (_wanted.HasFlag(DigestSet.Crc32C)) _crc32C = Crc32C.Append(_crc32C, bytes);
        if (_wanted.HasFlag(DigestSet.Crc64Nvme)) _crc64 = Crc64Nvme.Append(_crc64, bytes);
    }

    /// <summary>The digests of all that was appended. The hasher starts anew.</summary>
    public ContentDigests Finish()
    {
        var crc32 = new byte[4];
        var crc32C = new byte[4];
        var crc64 = new byte[8];
        BinaryPrimitives.WriteUInt32BigEndian(crc32, _crc32);
        BinaryPrimitives.WriteUInt32BigEndian(crc32C, _crc32C);
        BinaryPrimitives.WriteUInt64BigEndian(crc64, _crc64);
        (_crc32, _crc32C, _crc64) = (0, 0, 0);
        return new(
            _md5.GetHashAndReset(),
            _wanted.HasFlag(DigestSet.Crc32) ? crc32 : null,
            _wanted.HasFlag(DigestSet.Crc32C) ? crc32C : null,
            _wanted.HasFlag(DigestSet.Crc64Nvme) ? crc64 : null,
            _sha1?.GetHashAndReset(),
            _sha256?.GetHashAndReset());
    }

    public void Dispose()
    {
        _md5.Dispose();
        _sha1?.Dispose();
        _sha256?.Dispose();
    }
}
