using System.Buffers;
using System.Security.Cryptography;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>What has to be known of a content before it is sent: SHA-384 is signed, and SHA-256 is what it is found and read back by.</summary>
internal sealed record ContentDigest(long Length, ReadOnlyMemory<byte> Sha256, ReadOnlyMemory<byte> Sha384)
{
    private const int BufferBytes = 64 << 10;

    /// <summary>Reads it once. What is read so does not count as sent.</summary>
    public static async Task<ContentDigest> OfAsync(BlobName name, BlobSource content, CancellationToken ct)
    {
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var sha384 = IncrementalHash.CreateHash(HashAlgorithmName.SHA384);
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            await using var stream = await content.PeekAsync(0, ct);
            for (var left = content.Length; left > 0;)
            {
                var read = await stream.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, left)), ct);
                if (read == 0) throw BackendException.WrongLength(name, content.Length, content.Length - left);
                sha256.AppendData(buffer, 0, read);
                sha384.AppendData(buffer, 0, read);
                left -= read;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        return new(content.Length, sha256.GetHashAndReset(), sha384.GetHashAndReset());
    }
}
