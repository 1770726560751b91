using System.Globalization;
using System.Text;

namespace DarkStorage.TestKit;

/// <summary>How a body in AWS's chunks is covered.</summary>
public enum ChunkForm
{
    Signed,
    SignedWithTrailer,
    UnsignedWithTrailer,
}

/// <summary>Puts a body into AWS's chunks.</summary>
public static class AwsChunks
{
    /// <summary>A PUT of a content in chunks, ready to be sent.</summary>
    /// <param name="trailer">Name and value of the trailer, for the forms that have one.</param>
    /// <param name="chunkSize">Bytes of each chunk but the last.</param>
    /// <param name="announced">The length that is announced, where it is to be a lie.</param>
    /// <param name="breakBody">Changes the body after it was signed.</param>
    public static RawRequest PutChunked(this RawS3 s3, string target, byte[] content, ChunkForm form, KeyValuePair<string, string>? trailer = null,
        int chunkSize = 64 << 10, long? announced = null, Func<byte[], byte[]>? breakBody = null)
    {
        var request = new RawRequest("PUT", target)
        {
            PayloadHash = form switch
            {
                ChunkForm.Signed => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                ChunkForm.SignedWithTrailer => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
                _ => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            },
        };
        request.With("Content-Encoding", "aws-chunked").With("x-amz-decoded-content-length", (announced ?? content.Length).ToString(CultureInfo.InvariantCulture));
        if (trailer is { } named) request.With("x-amz-trailer", named.Key);
        var (signer, previous) = s3.Prepare(request);

        using var body = new MemoryStream();
        for (var i = 0; i <= content.Length; i += chunkSize)
        {
            var chunk = content.AsSpan(i, Math.Min(chunkSize, content.Length - i));
            if (chunk.Length > 0) Chunk(chunk);
        }
        Chunk([]);
        if (trailer is { } sent)
        {
            Text($"{sent.Key}:{sent.Value}\r\n");
            if (form == ChunkForm.SignedWithTrailer) Text($"x-amz-trailer-signature:{signer.SignTrailer(previous, $"{sent.Key}:{sent.Value}\n")}\r\n");
        }
        Text("\r\n");
        var bytes = body.ToArray();
        request.Body = breakBody?.Invoke(bytes) ?? bytes;
        return request;

        void Chunk(ReadOnlySpan<byte> chunk)
        {
            var size = chunk.Length.ToString("x", CultureInfo.InvariantCulture);
            if (form == ChunkForm.UnsignedWithTrailer) Text($"{size}\r\n");
            else Text($"{size};chunk-signature={previous = signer.SignChunk(previous, chunk)}\r\n");
            body.Write(chunk);
            if (chunk.Length > 0) Text("\r\n");
        }

        void Text(string text) => body.Write(Encoding.ASCII.GetBytes(text));
    }
}
