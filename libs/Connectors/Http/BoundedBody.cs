using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Http;

/// <summary>An answer that is read as a whole, and so has a limit.</summary>
internal static class BoundedBody
{
    private const int FirstBytes = 4 << 10;

    /// <exception cref="BackendException"><see cref="BackendError.Unavailable"/>: it has more.</exception>
    public static async Task<ReadOnlyMemory<byte>> ReadAsync(HttpResponseMessage answer, int bytesMax, CancellationToken ct)
    {
        await using var stream = await answer.Content.ReadAsStreamAsync(ct);
        var body = new byte[(int)Math.Min(bytesMax, answer.Content.Headers.ContentLength ?? FirstBytes) + 1];
        for (var length = 0; ;)
        {
            var read = await stream.ReadAsync(body.AsMemory(length), ct);
            if (read == 0) return body.AsMemory(0, length);
            length += read;
            if (length > bytesMax) throw new BackendException(BackendError.Unavailable, $"{answer.RequestMessage?.RequestUri?.Authority} answered with more than {bytesMax} bytes.");
            if (length == body.Length) Array.Resize(ref body, Math.Min(body.Length * 2, bytesMax + 1));
        }
    }
}
