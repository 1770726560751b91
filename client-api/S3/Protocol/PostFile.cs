using System.Globalization;
using System.IO.Pipelines;
using Microsoft.AspNetCore.WebUtilities;

namespace DarkStorage.ClientApi.S3;

/// <summary>The file of a form, as it comes in.</summary>
/// <remarks>Invariant: nothing that was read may be committed before a read has returned 0, and that happens only when the file is as long as it may be, no second one
/// followed, and the form came to its end. So a form that was cut off stores nothing, however much of its file is there.</remarks>
internal sealed class PostFile(MultipartReader form, Stream content) : Stream
{
    private long _length;
    private bool _ended;

    /// <summary>Bytes that the file must have, and may have. Set it before the first read.</summary>
    public (long Min, long Max) LengthRange { get; set; } = (0, long.MaxValue);

    public PipeReader AsPipeReader() => PipeReader.Create(this, new StreamPipeReaderOptions(bufferSize: 64 << 10, minimumReadSize: 4 << 10, leaveOpen: true));

    /// <exception cref="S3Exception"><c>EntityTooLarge</c>, <c>EntityTooSmall</c>, <c>MalformedPOSTRequest</c>; <c>InvalidArgument</c>: a second file.</exception>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_ended) return 0;
        try
        {
            var read = await content.ReadAsync(buffer, cancellationToken);
            _length += read;
            if (_length > LengthRange.Max) throw OutOfRange(S3Error.EntityTooLarge, "MaxSizeAllowed", LengthRange.Max);
            if (read > 0) return read;
            if (_length < LengthRange.Min) throw OutOfRange(S3Error.EntityTooSmall, "MinSizeAllowed", LengthRange.Min);
            while (await form.ReadNextSectionAsync(cancellationToken) is { } part)
            {
                if (PostForm.IsFile(PostForm.DispositionOf(part).Name)) throw PostForm.FileCount(2);
            }
        }
        catch (Exception e) when (PostForm.IsBroken(e))
        {
            throw new S3Exception(S3Error.MalformedPostRequest, null, e);
        }
        _ended = true;
        return 0;
    }

    private S3Exception OutOfRange(S3Error error, string bound, long bytes) => new S3Exception(error)
        .With("ProposedSize", _length.ToString(CultureInfo.InvariantCulture))
        .With(bound, bytes.ToString(CultureInfo.InvariantCulture));

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("Requests are read asynchronously.");
    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
