using System.Buffers;
using System.Text;

namespace DarkStorage.Storage.Backends;

/// <summary>What a blob is called in its backend: segments with slashes between them, as in <c>objects/3f/3fa9</c>.</summary>
/// <remarks>1 to 1,024 bytes of UTF-8. No segment is empty, <c>.</c> or <c>..</c>, and there are no control characters, backslashes or unpaired surrogates: a name can't lead out of its place, whatever it is made a path of.</remarks>
public readonly record struct BlobName
{
    /// <summary>Bytes of UTF-8, which is S3's limit too.</summary>
    public const int BytesMax = 1024;

    private readonly string? _value;

    private BlobName(string value) => _value = value;

    public string Value => _value ?? throw new InvalidOperationException("A blob without a name.");

    public ReadOnlySpan<char> Parent => Value.LastIndexOf('/') is >= 0 and var slash ? Value.AsSpan(0, slash) : default;

    /// <exception cref="BackendException"><see cref="BackendError.Refused"/>.</exception>
    public static BlobName Parse(string text) => Find(text) is { } name ? name
        : throw new BackendException(BackendError.Refused, $"A blob's name has 1 to {BytesMax} bytes, with single slashes between its segments, none of which is '.' or '..', and no control characters or backslashes.");

    /// <returns>Null where it is no name.</returns>
    public static BlobName? Find(string text)
    {
        if (text.Length is 0 or > BytesMax || Encoding.UTF8.GetByteCount(text) > BytesMax) return null;
        foreach (var segment in text.AsSpan().Split('/'))
        {
            if (text.AsSpan(segment) is "" or "." or "..") return null;
        }
        for (var rest = text.AsSpan(); !rest.IsEmpty;)
        {
            if (Rune.DecodeFromUtf16(rest, out var rune, out var used) != OperationStatus.Done || rune.Value == '\\' || Rune.IsControl(rune)) return null;
            rest = rest[used..];
        }
        return new(text);
    }

    public override string ToString() => Value;
}
