using System.Buffers.Text;
using System.Net;
using System.Security.Cryptography;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Http;

/// <summary>One content at a server, of which a range is read (<see cref="ContentStream"/>): asks for it, and where a connection broke for the rest of it, and looks at the bytes that came.</summary>
/// <param name="name">For messages.</param>
/// <param name="range">All that is read.</param>
internal abstract class RangedContent(BlobName name, ByteRange range) : IDisposable
{
    public BlobName Name => name;

    public ByteRange Range => range;

    /// <summary>It is known that the rest will be of the same content.</summary>
    public virtual bool CanGoOn => true;

    /// <returns>An answer that has exactly these bytes. The caller disposes it.</returns>
    public abstract Task<HttpResponseMessage> RequestAsync(ByteRange rest, CancellationToken ct);

    /// <param name="isLast">These are the last of the range.</param>
    /// <exception cref="BackendException"><see cref="BackendError.Damaged"/>: they are not those of the content.</exception>
    public virtual void Take(ReadOnlySpan<byte> bytes, bool isLast)
    {
    }

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <returns>Whether an answer is of these bytes. One without a part is of the whole.</returns>
    /// <param name="length">Of the whole; null where it is not known.</param>
    public static bool IsRange(HttpResponseMessage answer, ByteRange range, long? length) => answer.StatusCode == HttpStatusCode.OK ? range.First == 0 && range.Length == (length ?? range.Length)
        : answer.Content.Headers.ContentRange is { Unit: "bytes" } there && there.From == range.First && there.To == range.Last && (length is null || (there.Length ?? length) == length);

    protected virtual void Dispose(bool disposing)
    {
    }

    protected BackendException Damaged() => new(BackendError.Damaged, $"{name} does not match its checksum.");

    protected BackendException Replaced() => new(BackendError.Damaged, $"{name} was replaced while it was read.");
}

/// <summary>A content whose SHA-256 is known. Where the range is the whole, its last bytes are handed out when it is the one that was put.</summary>
/// <param name="length">Of the whole.</param>
/// <param name="sha256">Of the whole, in Base64 for URLs.</param>
internal abstract class HashedContent(BlobName name, ByteRange range, long length, string sha256) : RangedContent(name, range)
{
    private readonly IncrementalHash? _hash = range.Length == length ? IncrementalHash.CreateHash(HashAlgorithmName.SHA256) : null;

    public override void Take(ReadOnlySpan<byte> bytes, bool isLast)
    {
        _hash?.AppendData(bytes);
        if (isLast && _hash is not null && Base64Url.EncodeToString(_hash.GetHashAndReset()) != sha256) throw Damaged();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) _hash?.Dispose();
        base.Dispose(disposing);
    }
}
