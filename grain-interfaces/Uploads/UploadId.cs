using DarkStorage.GrainInterfaces.Objects;
using Orleans;

namespace DarkStorage.GrainInterfaces;

/// <summary>A multipart upload. Ordered by the time it began.</summary>
[GenerateSerializer, Immutable, Alias("upload-id")]
public readonly record struct UploadId(ulong High, ulong Low)
{
    public static UploadId New(TimeProvider clock)
    {
        var id = BlobId.New(clock);
        return new(id.High, id.Low);
    }

    public static UploadId Read(ReadOnlySpan<byte> source)
    {
        var id = BlobId.Read(source);
        return new(id.High, id.Low);
    }

    public void Write(Span<byte> destination) => new BlobId(High, Low).Write(destination);

    /// <returns>False unless the text is exactly what <see cref="ToString"/> makes.</returns>
    public static bool TryParse(string text, out UploadId id)
    {
        id = default;
        Span<byte> bytes = stackalloc byte[BlobId.ByteLength];
        if (text.Length != 2 * BlobId.ByteLength || text.AsSpan().ContainsAnyInRange('A', 'Z')) return false;
        if (Convert.FromHexString(text, bytes, out _, out _) != System.Buffers.OperationStatus.Done) return false;
        id = Read(bytes);
        return true;
    }

    /// <summary>32 lower-case hexadecimal digits.</summary>
    public override string ToString() => new BlobId(High, Low).ToString();
}
