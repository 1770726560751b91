using System.Buffers;
using System.Security.Cryptography;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors;

/// <summary>Hashes of a content that have to be known before it is sent.</summary>
internal static class SourceDigest
{
    private const int BufferBytes = 64 << 10;

    /// <summary>Reads it once. What is read so does not count as sent.</summary>
    /// <returns>A hash for each algorithm.</returns>
    public static async Task<IReadOnlyList<byte[]>> OfAsync(BlobName name, BlobSource content, CancellationToken ct, params HashAlgorithmName[] algorithms)
    {
        var hashes = algorithms.Select(IncrementalHash.CreateHash).ToList();
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            await using var stream = await content.PeekAsync(0, ct);
            for (var left = content.Length; left > 0;)
            {
                var read = await stream.ReadAsync(buffer.AsMemory(0, (int)Math.Min(BufferBytes, left)), ct);
                if (read == 0) throw BackendException.WrongLength(name, content.Length, content.Length - left);
                foreach (var hash in hashes) hash.AppendData(buffer, 0, read);
                left -= read;
            }
            return [.. hashes.Select(h => h.GetHashAndReset())];
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
            foreach (var hash in hashes) hash.Dispose();
        }
    }
}
