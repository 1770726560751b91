using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using Orleans;

namespace DarkStorage.GrainInterfaces.Objects;

/// <summary>The bytes of one write: a whole object, or one part of an upload. Chunks are named by it. Ordered by the time it was minted.</summary>
[GenerateSerializer, Immutable, Alias("blob-id")]
public readonly record struct BlobId(ulong High, ulong Low) : IComparable<BlobId>
{
    public const int ByteLength = 16;

    /// <summary>Mints an id: 48 bits of Unix milliseconds, then 80 random bits, so ids made later sort later and two nodes never meet.</summary>
    public static BlobId New(TimeProvider clock)
    {
        Span<byte> random = stackalloc byte[10];
        RandomNumberGenerator.Fill(random);
        var milliseconds = (ulong)clock.GetUtcNow().ToUnixTimeMilliseconds();
        return new(milliseconds << 16 | BinaryPrimitives.ReadUInt16BigEndian(random), BinaryPrimitives.ReadUInt64BigEndian(random[2..]));
    }

    /// <summary>Mints an id whose <see cref="Place"/> is given: 48 bits of Unix milliseconds, the place, 64 random bits.</summary>
    public static BlobId New(TimeProvider clock, ushort place)
    {
        var id = New(clock);
        return id with { High = id.High & ~(ulong)ushort.MaxValue | place };
    }

    /// <summary>The leading bits of the hash of the key that the blob belongs to, which say its partition: a part of the id, so that who knows nothing but the id (the
    /// garbage collector) knows where its replicas are. Random in ids that were minted without one, and as good as any other there.</summary>
    public ushort Place => (ushort)High;

    /// <summary>When the id was minted, to the millisecond.</summary>
    public DateTimeOffset Minted => DateTimeOffset.FromUnixTimeMilliseconds((long)(High >> 16));

    public static BlobId Read(ReadOnlySpan<byte> source) =>
        new(BinaryPrimitives.ReadUInt64BigEndian(source), BinaryPrimitives.ReadUInt64BigEndian(source[8..]));

    public void Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, High);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], Low);
    }

    public int CompareTo(BlobId other) => High != other.High ? High.CompareTo(other.High) : Low.CompareTo(other.Low);
    public static bool operator <(BlobId left, BlobId right) => left.CompareTo(right) < 0;
    public static bool operator >(BlobId left, BlobId right) => left.CompareTo(right) > 0;
    public static bool operator <=(BlobId left, BlobId right) => left.CompareTo(right) <= 0;
    public static bool operator >=(BlobId left, BlobId right) => left.CompareTo(right) >= 0;

    /// <summary>32 lower-case hexadecimal digits.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{High:x16}{Low:x16}");
}

/// <summary>One immutable content of an object. Minted by the write, so that a retried commit is recognised.</summary>
[GenerateSerializer, Immutable, Alias("version-id")]
public readonly record struct VersionId(ulong High, ulong Low)
{
    public const int ByteLength = BlobId.ByteLength;

    public static VersionId Of(BlobId blob) => new(blob.High, blob.Low);

    public static VersionId Read(ReadOnlySpan<byte> source) => Of(BlobId.Read(source));

    public void Write(Span<byte> destination) => new BlobId(High, Low).Write(destination);

    /// <summary>32 lower-case hexadecimal digits.</summary>
    public override string ToString() => new BlobId(High, Low).ToString();
}

/// <summary>How S3 names a version of a key: by its id, or as the null version, whichever that is.</summary>
/// <param name="Id">Null for the null version.</param>
[GenerateSerializer, Immutable, Alias("version-name")]
public readonly record struct VersionName(VersionId? Id)
{
    private const string NullText = "null";

    /// <summary>The version that was written while the bucket's versioning was off or suspended.</summary>
    public static readonly VersionName Null = new(null);

    /// <summary>Reads what clients send as <c>versionId</c>.</summary>
    public static bool TryParse(string text, out VersionName name)
    {
        name = Null;
        if (text == NullText) return true;
        Span<byte> bytes = stackalloc byte[VersionId.ByteLength];
        if (text.Length != 2 * VersionId.ByteLength
            || Convert.FromHexString(text, bytes, out _, out var written) != System.Buffers.OperationStatus.Done || written != VersionId.ByteLength) return false;
        name = new(VersionId.Read(bytes));
        return true;
    }

    public override string ToString() => Id?.ToString() ?? NullText;
}

/// <summary>An object's name: its bucket and its key. Two keys are the same only if their UTF-8 bytes are.</summary>
[GenerateSerializer, Immutable, Alias("object-id")]
public readonly record struct ObjectId(string Bucket, string Key)
{
    /// <summary>A bucket's name has no slash, so the first one ends it.</summary>
    public static ObjectId Parse(string grainKey)
    {
        var slash = grainKey.IndexOf('/', StringComparison.Ordinal);
        if (slash <= 0) throw new ArgumentException($"'{grainKey}' is not bucket/key.", nameof(grainKey));
        return new(grainKey[..slash], grainKey[(slash + 1)..]);
    }

    public override string ToString() => $"{Bucket}/{Key}";
}
