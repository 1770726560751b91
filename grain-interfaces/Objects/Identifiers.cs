using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using DarkStorage.GrainInterfaces.Cluster;
using Orleans;

namespace DarkStorage.GrainInterfaces.Objects;

/// <summary>The bytes of one write: a whole object, or one part of an upload. Chunks are named by it. Ordered by its bits: those of one redundancy by the time they were minted.</summary>
/// <remarks>From the highest bit on: 6 bits of the redundancy's code, 42 of Unix milliseconds (until the year 2109), 16 of the place, 58 random ones, and 6 for the number of a shard.
/// docs/FORMATS.md, "Blob ids".</remarks>
[GenerateSerializer, Immutable, Alias("blob-id")]
public readonly record struct BlobId(ulong High, ulong Low) : IComparable<BlobId>
{
    public const int ByteLength = 16;

    private const int CodeShift = 64 - Cluster.Redundancy.CodeBits;
    private const ulong TimeMask = (1ul << (CodeShift - 16)) - 1;
    private const ulong ShardMask = 63;

    /// <summary>Mints an id of the default redundancy with a random place: what is made later sorts later, and two nodes never meet.</summary>
    public static BlobId New(TimeProvider clock)
    {
        Span<byte> random = stackalloc byte[10];
        RandomNumberGenerator.Fill(random);
        var milliseconds = (ulong)clock.GetUtcNow().ToUnixTimeMilliseconds();
        return new(milliseconds << 16 | BinaryPrimitives.ReadUInt16BigEndian(random), BinaryPrimitives.ReadUInt64BigEndian(random[2..]));
    }

    /// <summary>Mints the id of a blob that is going to be stored in a cluster.</summary>
    public static BlobId New(TimeProvider clock, ushort place, Redundancy redundancy)
    {
        var id = New(clock);
        return new BlobId((ulong)redundancy.Code << CodeShift | id.High & ~(ulong)ushort.MaxValue | place, id.Low).OfShard(0);
    }

    /// <summary>The leading bits of the hash of the key that the blob belongs to, which say its partition: a part of the id, so that who knows nothing but the id (the
    /// garbage collector) knows where its replicas are. Random in ids that were minted without one, and as good as any other there.</summary>
    public ushort Place => (ushort)High;

    /// <summary>How many nodes have what of it.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: a code that this version of the program does not know.</exception>
    public Redundancy Redundancy => Cluster.Redundancy.OfCode((int)(High >> CodeShift))
        ?? throw new StorageException(StorageError.DataDamaged, $"Blob {this} is kept in a way that this version of the program does not know.");

    /// <summary>Its content is cut into shards, each of which is stored under an id of its own.</summary>
    public bool IsStriped => Redundancy.IsStriped;

    /// <summary>Of a striped blob: the shard that is stored under this id, counted from 1; 0 is the blob itself, of which a manifest speaks. Of others always 0.</summary>
    public int Shard => IsStriped ? (int)(Low & ShardMask) : 0;

    /// <summary>The blob that this is a shard of; itself where it is none.</summary>
    public BlobId Whole => OfShard(0);

    /// <summary>The id under which a shard is stored, counted from 1.</summary>
    public BlobId OfShard(int shard) => IsStriped ? this with { Low = Low & ~ShardMask | (uint)shard } : this;

    /// <summary>When the id was minted, to the millisecond.</summary>
    public DateTimeOffset Minted => DateTimeOffset.FromUnixTimeMilliseconds((long)(High >> 16 & TimeMask));

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
