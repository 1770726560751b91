using System.IO.Pipelines;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3;

/// <summary>The content of a request, whichever way it was transferred.</summary>
internal sealed class RequestContent
{
    private readonly AwsChunkedStream? _chunked;

    private RequestContent(PipeReader reader, long length, AwsChunkedStream? chunked)
    {
        Reader = reader;
        Length = length;
        _chunked = chunked;
    }

    public PipeReader Reader { get; }

    /// <summary>Bytes of content as announced; -1 where nothing was announced.</summary>
    public long Length { get; }

    /// <summary>What came behind the content. Complete once all of it was read.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Trailers => _chunked?.Trailers ?? [];

    /// <summary>A content whose length shows at its end, and that is free already of what its transfer added.</summary>
    public static RequestContent OfUnknownLength(PipeReader reader) => new(reader, -1, null);

    /// <exception cref="S3Exception"><c>MissingContentLength</c> and what <see cref="AwsChunkedStream.Open"/> throws.</exception>
    public static RequestContent Open(HttpContext http, SigningContext signing, bool lengthRequired = true)
    {
        var request = http.Request;
        if (signing.Payload.IsChunked)
        {
            var chunked = AwsChunkedStream.Open(request.BodyReader, signing.Payload, signing, request.Headers);
            RequestTraffic.Of(http).Brings(chunked.DecodedLength);
            return new(chunked.AsPipeReader(), chunked.DecodedLength, chunked);
        }
        if (request.ContentLength is null && lengthRequired) throw new S3Exception(S3Error.MissingContentLength);
        return new(request.BodyReader, request.ContentLength ?? -1, null);
    }
}
