using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.ClientApi.S3;

/// <summary>The content of a body that came in AWS's chunks, in any of its four forms: with or without signatures, with or without trailers.</summary>
/// <remarks>
/// Invariants. Memory does not depend on the chunks' size: their bytes are handed on as they come and hashed on the way, and a chunk's signature
/// is checked when its last byte has come. So a reader holds bytes that are not verified yet; that is safe because nothing that was read may be
/// committed before a read has returned 0, and that happens only after every chunk, the last (empty) one, the trailers, the announced length and
/// the end of the body were found right. Otherwise the read throws, and so does each one after it.
/// AWS refuses chunks of less than 8 KiB other than the last; we take them, since other servers' clients send them.
/// Bytes are copied once, from the connection's buffer into the reader's.
/// </remarks>
internal sealed class AwsChunkedStream : Stream
{
    /// <summary>Of a chunk's header: 16 digits, the name of the signature and 64 digits, and some room.</summary>
    private const int HeaderLineMax = 256;
    private const int TrailerLineMax = 1024;
    private const int TrailersMax = 16;

    private static readonly string EmptySha256 = Convert.ToHexStringLower(SHA256.HashData([]));

    private enum State : byte
    {
        Header,
        Data,
        DataEnd,
        Trailers,
        End,
        Done,
    }

    private readonly PipeReader _source;
    private readonly SigningContext? _signing;
    private readonly bool _takesTrailers;
    private readonly string[] _announced;
    private readonly long _length;
    private readonly IncrementalHash? _sha256;
    private readonly List<KeyValuePair<string, string>> _trailers = [];
    private string _previousSignature = "";
    private string _chunkSignature = "";
    private string? _trailerSignature;
    private State _state;
    private long _chunkLeft;
    private long _delivered;
    private bool _emptyLineSkipped;
    private S3Exception? _failure;

    private AwsChunkedStream(PipeReader source, PayloadKind kind, SigningContext? signing, long length, string[] announced)
    {
        _source = source;
        _length = length;
        _announced = announced;
        _takesTrailers = kind is PayloadKind.SignedChunksWithTrailer or PayloadKind.UnsignedChunksWithTrailer;
        if (kind == PayloadKind.UnsignedChunksWithTrailer) return;
        _signing = signing ?? throw new ArgumentNullException(nameof(signing), "Signed chunks go on from a verified signature.");
        _previousSignature = signing.SeedSignature;
        _sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    }

    /// <summary>Begins to decode.</summary>
    /// <param name="body">The body as it came. Not completed by the stream.</param>
    /// <param name="signing">Of the request; may be null only for unsigned chunks.</param>
    /// <exception cref="S3Exception"><c>MissingContentLength</c> without <c>x-amz-decoded-content-length</c>; <c>InvalidArgument</c> where that is
    /// no length; <c>InvalidRequest</c> where <c>x-amz-trailer</c> is malformed.</exception>
    public static AwsChunkedStream Open(PipeReader body, PayloadHash payload, SigningContext? signing, IHeaderDictionary headers)
    {
        if (!payload.IsChunked) throw new ArgumentException($"{payload.Text} is not chunked.", nameof(payload));
        return new(body, payload.Kind, signing, DecodedLengthOf(headers), AnnouncedTrailers(headers));
    }

    /// <summary>Bytes of the content, as announced.</summary>
    public long DecodedLength => _length;

    /// <summary>Names in lower case and values of the trailers, once a read has returned 0.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Trailers =>
        _state == State.Done ? _trailers : throw new InvalidOperationException("The trailers come after the content.");

    /// <summary>This stream for readers of pipes. It reads no further ahead than one buffer.</summary>
    public PipeReader AsPipeReader() => PipeReader.Create(this, new StreamPipeReaderOptions(bufferSize: 64 << 10, minimumReadSize: 4 << 10, leaveOpen: true));

    /// <summary>The length of the content, stated beside that of the body because the chunks' headers add to it.</summary>
    public static long DecodedLengthOf(IHeaderDictionary headers)
    {
        const string Name = "x-amz-decoded-content-length";
        var header = headers[Name];
        if (header.Count == 0) throw new S3Exception(S3Error.MissingContentLength);
        var text = header.ToString();
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var length)
            ? length
            : throw S3Exception.InvalidArgument("The decoded content length must be a number of bytes.", Name, text.Length <= 64 ? text : text[..64]);
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_failure is not null) throw _failure;
        if (_state == State.Done || buffer.IsEmpty) return 0;
        try
        {
            while (true)
            {
                var read = await _source.ReadAsync(cancellationToken);
                if (read.IsCanceled) throw new OperationCanceledException();
                var rest = read.Buffer;
                var copied = 0;
                try
                {
                    copied = Decode(ref rest, buffer.Span, read.IsCompleted);
                }
                finally
                {
                    // All but an unfinished line is used up; of that every byte was looked at.
                    _source.AdvanceTo(rest.Start, copied > 0 ? rest.Start : rest.End);
                }
                if (copied > 0 || _state == State.Done) return copied;
                if (read.IsCompleted) throw new S3Exception(S3Error.IncompleteBody);
            }
        }
        catch (S3Exception failure)
        {
            _failure = failure;
            throw;
        }
    }

    /// <summary>Goes on as far as the source or the room lasts.</summary>
    /// <returns>Bytes of content written.</returns>
    private int Decode(ref ReadOnlySequence<byte> source, Span<byte> destination, bool isLast)
    {
        var copied = 0;
        while (true)
        {
            switch (_state)
            {
                case State.Header:
                    if (!TryReadLine(ref source, HeaderLineMax, out var line)) return copied;
                    ReadHeader(line);
                    break;
                case State.Data:
                    var count = (int)Math.Min(Math.Min(source.Length, destination.Length - copied), _chunkLeft);
                    if (count == 0) return copied;
                    var target = destination.Slice(copied, count);
                    source.Slice(0, count).CopyTo(target);
                    _sha256?.AppendData(target);
                    source = source.Slice(count);
                    copied += count;
                    _delivered += count;
                    if ((_chunkLeft -= count) == 0) _state = State.DataEnd;
                    break;
                case State.DataEnd:
                    if (!TryReadCrLf(ref source)) return copied;
                    VerifyChunk();
                    _state = State.Header;
                    break;
                case State.Trailers:
                    if (!TryReadLine(ref source, TrailerLineMax, out var trailer)) return copied;
                    ReadTrailer(trailer);
                    break;
                case State.End:
                    if (!source.IsEmpty) throw new S3Exception(S3Error.InvalidRequest, "The body goes on after its last chunk.");
                    if (isLast) _state = State.Done;
                    return copied;
                default:
                    return copied;
            }
        }
    }

    private void ReadHeader(ReadOnlySpan<byte> line)
    {
        var semicolon = line.IndexOf((byte)';');
        var digits = semicolon < 0 ? line : line[..semicolon];
        if (digits.Length is 0 or > 16 || !TryParseHex(digits, out var size)) throw Malformed("A chunk's header does not begin with its size.");
        if (_signing is not null)
        {
            var signature = semicolon < 0 ? default : line[(semicolon + 1)..];
            if (!signature.StartsWith("chunk-signature="u8) || signature.Length != 16 + 64) throw Malformed("A chunk's header has no signature.");
            _chunkSignature = Encoding.ASCII.GetString(signature[16..]);
        }
        else if (semicolon >= 0) throw Malformed("A chunk of an unsigned body has an extension.");

        if (size > _length - _delivered)
            throw new S3Exception(S3Error.InvalidRequest, "The chunks hold more bytes than x-amz-decoded-content-length says.");
        _chunkLeft = size;
        if (size > 0)
        {
            _state = State.Data;
            return;
        }
        if (_delivered != _length) throw new S3Exception(S3Error.IncompleteBody);
        VerifyChunk();
        _state = State.Trailers;    // of which there may be none: then the empty line that ends them is all
    }

    private void ReadTrailer(ReadOnlySpan<byte> line)
    {
        if (line.IsEmpty)
        {
            // Some clients end the last chunk like any other, with a line break after its no bytes, before the trailers.
            if (_takesTrailers && _announced.Length > 0 && _trailers.Count == 0 && !_emptyLineSkipped) _emptyLineSkipped = true;
            else FinishTrailers();
            return;
        }
        var colon = line.IndexOf((byte)':');
        if (!_takesTrailers || colon <= 0 || !Ascii.IsValid(line) || _trailers.Count >= TrailersMax || _trailerSignature is not null)
            throw new S3Exception(S3Error.MalformedTrailer);
        var name = Encoding.ASCII.GetString(line[..colon]).ToLowerInvariant();
        var value = Encoding.ASCII.GetString(line[(colon + 1)..]).Trim();
        if (name == "x-amz-trailer-signature") _trailerSignature = value;
        else if (Array.IndexOf(_announced, name) < 0 || _trailers.Exists(t => t.Key == name)) throw new S3Exception(S3Error.MalformedTrailer);
        else _trailers.Add(new(name, value));
    }

    private void FinishTrailers()
    {
        if (_trailers.Count != _announced.Length) throw new S3Exception(S3Error.MalformedTrailer);
        if (_signing is not null && (_trailers.Count > 0 || _trailerSignature is not null)) VerifyTrailers();
        _state = State.End;
    }

    private void VerifyChunk()
    {
        if (_signing is null) return;
        Span<byte> hash = stackalloc byte[32];
        _sha256!.GetHashAndReset(hash);
        VerifySignature("AWS4-HMAC-SHA256-PAYLOAD", $"{EmptySha256}\n{Convert.ToHexStringLower(hash)}", _chunkSignature);
        _previousSignature = _chunkSignature;
    }

    private void VerifyTrailers()
    {
        if (_trailerSignature is null) throw new S3Exception(S3Error.MalformedTrailer);
        _trailers.Sort((a, b) => string.CompareOrdinal(a.Key, b.Key));
        var canonical = new StringBuilder();
        foreach (var (name, value) in _trailers) canonical.Append(name).Append(':').Append(value).Append('\n');
        var hash = SHA256.HashData(Encoding.ASCII.GetBytes(canonical.ToString()));
        VerifySignature("AWS4-HMAC-SHA256-TRAILER", Convert.ToHexStringLower(hash), _trailerSignature);
    }

    private void VerifySignature(string algorithm, string hashes, string given)
    {
        var stringToSign = Encoding.ASCII.GetBytes($"{algorithm}\n{_signing!.Timestamp}\n{_signing.Scope}\n{_previousSignature}\n{hashes}");
        var expected = Convert.ToHexStringLower(HMACSHA256.HashData(_signing.SigningKey, stringToSign));
        if (!CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(expected), Encoding.ASCII.GetBytes(given)))
            throw new S3Exception(S3Error.SignatureDoesNotMatch)
                .With("AWSAccessKeyId", _signing.AccessKeyId)
                .With("StringToSign", Encoding.ASCII.GetString(stringToSign))
                .With("SignatureProvided", given);
    }

    /// <summary>Takes a line and the CR LF after it, both of which nothing else may stand for.</summary>
    /// <param name="line">Only good until the next read of the source.</param>
    private static bool TryReadLine(ref ReadOnlySequence<byte> source, int lengthMax, out ReadOnlySpan<byte> line)
    {
        line = default;
        var window = source.Slice(0, Math.Min(source.Length, lengthMax + 2));
        if (window.PositionOf((byte)'\n') is not { } end)
        {
            if (window.Length > lengthMax) throw Malformed("A line between the chunks is too long.");
            return false;
        }
        var whole = source.Slice(0, end);
        line = whole.IsSingleSegment ? whole.FirstSpan : whole.ToArray();
        if (line.IsEmpty || line[^1] != '\r') throw Malformed("A line between the chunks does not end with CR LF.");
        line = line[..^1];
        source = source.Slice(source.GetPosition(1, end));
        return true;
    }

    private static bool TryReadCrLf(ref ReadOnlySequence<byte> source)
    {
        if (source.Length < 2)
        {
            if (source.Length == 1 && source.FirstSpan[0] != '\r') throw Malformed("A chunk does not end with CR LF.");
            return false;
        }
        Span<byte> two = stackalloc byte[2];
        source.Slice(0, 2).CopyTo(two);
        if (!two.SequenceEqual("\r\n"u8)) throw Malformed("A chunk does not end with CR LF.");
        source = source.Slice(2);
        return true;
    }

    private static bool TryParseHex(ReadOnlySpan<byte> digits, out long value)
    {
        value = 0;
        foreach (var digit in digits)
        {
            if (!char.IsAsciiHexDigit((char)digit)) return false;
            value = value << 4 | (uint)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
        }
        return value >= 0;
    }

    private static string[] AnnouncedTrailers(IHeaderDictionary headers)
    {
        var text = headers["x-amz-trailer"].ToString();
        if (text.Length == 0) return [];
        var names = text.ToLowerInvariant().Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (names.Length > TrailersMax || names.Distinct().Count() != names.Length)
            throw new S3Exception(S3Error.InvalidRequest, "The value specified in the x-amz-trailer header is not supported");
        return names;
    }

    private static S3Exception Malformed(string why) => new(S3Error.InvalidRequest, why);

    protected override void Dispose(bool disposing)
    {
        if (disposing) _sha256?.Dispose();
        base.Dispose(disposing);
    }

    public override bool CanRead => true;
    public override bool CanSeek => false;
    public override bool CanWrite => false;
    public override long Length => throw new NotSupportedException();
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("Requests are read asynchronously.");
    public override void Flush() { }
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
    public override void SetLength(long value) => throw new NotSupportedException();
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
