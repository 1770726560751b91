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
        try
        {
            await ReadAsync(name, content, 0, content.Length, bytes =>
            {
                foreach (var hash in hashes) hash.AppendData(bytes.Span);
            }, ct);
            return [.. hashes.Select(h => h.GetHashAndReset())];
        }
        finally
        {
            foreach (var hash in hashes) hash.Dispose();
        }
    }

    /// <summary>Reads a stretch of a content. What is read so does not count as sent.</summary>
    /// <param name="take">Gets all bytes from <paramref name="from"/> to before <paramref name="end"/>, one piece after the other.</param>
    public static async Task ReadAsync(BlobName name, BlobSource content, long from, long end, Action<ReadOnlyMemory<byte>> take, CancellationToken ct)
    {
        if (from >= end) return;
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            await using var stream = await content.PeekAsync(from, ct);
            for (var at = from; at < end;)
            {
                var read = await stream.ReadAsync(buffer.AsMemory(0, (int)Math.Min(BufferBytes, end - at)), ct);
                if (read == 0) throw BackendException.WrongLength(name, content.Length, at);
                take(buffer.AsMemory(0, read));
                at += read;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
