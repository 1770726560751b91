using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Numerics;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Uploads;

namespace DarkStorage.Metadata;

/// <summary>The compact bytes of the index's "detail" columns: what no query asks for. The layout is docs/FORMATS.md, "Index details".</summary>
/// <remarks>Each begins with a format byte and ends with a checksum. A reader refuses a format it does not know, and a row that rotted: it never guesses.
/// A version's detail also holds a checksum of the row's other columns and of its inline content, since SQLite keeps none of its own.</remarks>
internal static class DetailCodec
{
    private const byte Format = 1;

    /// <summary>Of versions and uploads. Format 2 added attributes and the owner, format 3 the encryption.</summary>
    private const byte VersionFormat = 3;

    /// <summary>Of versions alone whose bytes are outside, or have been: all others are written so that programs from before can read them.</summary>
    private const byte PlacedFormat = 4;

    /// <summary>Of archived versions alone that were asked for.</summary>
    private const byte RestoreFormat = 5;

    /// <summary>All of a version but what has a column of its own.</summary>
    public static byte[] Encode(ObjectVersion version)
    {
        var hasPlaces = version.Manifest.Place is not null || version.Manifest.Parts.Any(p => p.SealedAs is not null);
        var format = version.Restore is not null ? RestoreFormat : hasPlaces ? PlacedFormat : VersionFormat;
        using var writer = new DetailWriter(format);
        writer.Write(version.Manifest.Checksum);
        writer.Write(version.Metadata);
        writer.Write(version.Upload);
        writer.WriteCount(version.Manifest.Parts.Length);
        foreach (var part in version.Manifest.Parts) writer.Write(part);
        writer.Write(version.Attributes);
        writer.Write(version.Encryption);
        if (format >= PlacedFormat) writer.WritePlaces(version.Manifest);
        if (version.Restore is { } restore) writer.Write(restore);
        writer.WriteChecksum(ColumnsChecksum(format, new(
            version.Manifest.Version, version.Manifest.Length, version.Manifest.ETag, version.Modified, version.Revision, version.IsNull, version.IsDeleteMarker,
            version.StorageClass, version.Owner, version.Manifest.Inline)));
        return writer.Seal();
    }

    /// <summary>Completes a version whose columns were read.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: the row is not what was written.</exception>
    public static ObjectVersion Decode(ReadOnlySpan<byte> detail, VersionColumns columns)
    {
        var reader = new DetailReader(detail, RestoreFormat);
        var checksum = reader.ReadChecksum();
        var metadata = reader.ReadMetadata();
        var upload = reader.ReadUploadId();
        var parts = reader.ReadParts();
        var attributes = reader.ReadAttributes();
        var encryption = reader.ReadEncryption();
        var place = reader.ReadPlaces(ref parts);
        var restore = reader.ReadRestore();
        if (reader.ReadUInt32() != ColumnsChecksum(reader.Format, columns)) throw DetailReader.Damaged("its columns do not match their checksum");
        reader.End();
        var manifest = new Manifest(columns.Version, columns.Length, columns.ETag, checksum, parts, columns.Content, place);
        return new(manifest, metadata, columns.Modified, columns.Revision, columns.IsNull, columns.StorageClass, upload, columns.Owner, attributes, columns.IsDeleteMarker, encryption, restore);
    }

    /// <summary>What a writer needs of a version that is there: the count of its changes, and the blobs that are freed with it.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: the detail is not what was written.</exception>
    public static (long Change, ImmutableArray<BlobId> Blobs) DecodeHeld(ReadOnlySpan<byte> detail)
    {
        var reader = new DetailReader(detail, RestoreFormat);
        reader.ReadChecksum();
        reader.ReadMetadata();
        reader.ReadUploadId();
        var parts = reader.ReadParts();
        var attributes = reader.ReadAttributes();
        reader.ReadEncryption();
        var place = reader.ReadPlaces(ref parts);
        reader.ReadRestore();
        reader.ReadUInt32();
        reader.End();
        return (attributes.Change, place is not null ? [place.Blob] : [.. parts.Select(p => p.Blob)]);
    }

    /// <summary>CRC-32C of the version, length, time and revision (8 bytes each, the version 16, big-endian), the ETag, the storage class, the owner (from format 2)
    /// and the content.</summary>
    private static uint ColumnsChecksum(byte format, in VersionColumns columns)
    {
        Span<byte> numbers = stackalloc byte[VersionId.ByteLength + (3 * sizeof(long)) + 1];
        columns.Version.Write(numbers);
        BinaryPrimitives.WriteInt64BigEndian(numbers[16..], columns.Length);
        BinaryPrimitives.WriteInt64BigEndian(numbers[24..], columns.Modified.ToUnixTimeMilliseconds());
        BinaryPrimitives.WriteInt64BigEndian(numbers[32..], columns.Revision);
        numbers[40] = (byte)((columns.IsNull ? 1 : 0) | (columns.IsDeleteMarker ? 2 : 0));
        var crc = Crc(uint.MaxValue, numbers);
        crc = Crc(crc, Encoding.UTF8.GetBytes(columns.ETag));
        crc = Crc(crc, Encoding.UTF8.GetBytes(columns.StorageClass));
        if (format >= 2) crc = Crc(crc, Encoding.UTF8.GetBytes(columns.Owner));
        return ~Crc(crc, columns.Content.IsDefault ? default : columns.Content.AsSpan());
    }

    /// <summary>CRC-32C of an event's bucket, time (milliseconds, little-endian both), target, key and document.</summary>
    public static long EventChecksum(string target, long bucket, ReadOnlySpan<byte> key, long occurred, ReadOnlySpan<byte> document)
    {
        Span<byte> numbers = stackalloc byte[2 * sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(numbers, bucket);
        BinaryPrimitives.WriteInt64LittleEndian(numbers[sizeof(long)..], occurred);
        var crc = Crc(uint.MaxValue, numbers);
        crc = Crc(crc, Encoding.UTF8.GetBytes(target));
        crc = Crc(crc, key);
        return ~Crc(crc, document);
    }

    /// <summary>Continues a CRC-32C (Castagnoli).</summary>
    internal static uint Crc(uint crc, ReadOnlySpan<byte> bytes)
    {
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..]) crc = BitOperations.Crc32C(crc, BitConverter.ToUInt64(bytes));
        foreach (var b in bytes) crc = BitOperations.Crc32C(crc, b);
        return crc;
    }

    public static byte[] Encode(UploadRecord upload)
    {
        using var writer = new DetailWriter(VersionFormat);
        writer.Write(upload.BucketName);
        writer.Write(upload.Initiator);
        writer.WriteVarint((ulong)upload.Initiated.ToUnixTimeMilliseconds());
        writer.Write(upload.Metadata);
        writer.Write(upload.StorageClass);
        writer.WriteByte((byte)upload.ChecksumAlgorithm);
        writer.WriteByte((byte)upload.ChecksumType);
        writer.Write(upload.Attributes);
        writer.Write(upload.Owner);
        writer.Write(upload.Encryption);
        return writer.Seal();
    }

    public static UploadRecord DecodeUpload(ReadOnlySpan<byte> detail, UploadId id, BucketId bucket, string key)
    {
        var reader = new DetailReader(detail, VersionFormat);
        var bucketName = reader.ReadString();
        var initiator = reader.ReadString();
        var initiated = DateTimeOffset.FromUnixTimeMilliseconds((long)reader.ReadVarint());
        var metadata = reader.ReadMetadata();
        var storageClass = reader.ReadString();
        var algorithm = (ChecksumAlgorithm)reader.ReadByte();
        var type = (ChecksumType)reader.ReadByte();
        var attributes = reader.ReadAttributes();
        var owner = reader.Format < 2 ? initiator : reader.ReadString();
        var encryption = reader.ReadEncryption();
        reader.End();
        return new(id, bucket, bucketName, key, initiator, owner, initiated, metadata, storageClass, algorithm, type, attributes, encryption);
    }

    public static byte[] Encode(ManifestPart part)
    {
        using var writer = new DetailWriter(Format);
        writer.Write(part);
        return writer.Seal();
    }

    public static ManifestPart DecodePart(ReadOnlySpan<byte> detail)
    {
        var reader = new DetailReader(detail, Format);
        var part = reader.ReadPart();
        reader.End();
        return part;
    }
}

/// <summary>The columns of a version that queries ask for.</summary>
internal readonly record struct VersionColumns(
    VersionId Version, long Length, string ETag, DateTimeOffset Modified, long Revision, bool IsNull, bool IsDeleteMarker, string StorageClass, string Owner,
    ImmutableArray<byte> Content);

internal sealed class DetailWriter : IDisposable
{
    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(512);
    private int _length;

    public DetailWriter(byte format) => WriteByte(format);

    public void WriteByte(byte value) => Take(1)[0] = value;

    /// <summary>Seven bits a byte, lowest first, the high bit set on all but the last.</summary>
    public void WriteVarint(ulong value)
    {
        while (value >= 0x80)
        {
            WriteByte((byte)(value | 0x80));
            value >>= 7;
        }
        WriteByte((byte)value);
    }

    public void WriteCount(int value) => WriteVarint((ulong)value);

    public void Write(string value)
    {
        var length = Encoding.UTF8.GetByteCount(value);
        WriteCount(length);
        Encoding.UTF8.GetBytes(value, Take(length));
    }

    public void WriteOptional(string? value)
    {
        WriteByte(value is null ? (byte)0 : (byte)1);
        if (value is not null) Write(value);
    }

    public void Write(ReadOnlySpan<byte> value)
    {
        WriteCount(value.Length);
        value.CopyTo(Take(value.Length));
    }

    public void Write(UploadId? value)
    {
        WriteByte(value is null ? (byte)0 : (byte)1);
        value?.Write(Take(BlobId.ByteLength));
    }

    public void Write(Checksum? value)
    {
        WriteByte(value is null ? (byte)0 : (byte)value.Algorithm);
        if (value is null) return;
        WriteByte((byte)value.Type);
        WriteCount(value.Parts);
        Write(value.Value.AsSpan());
    }

    public void Write(ObjectMetadata value)
    {
        Write(value.ContentType);
        WriteOptional(value.CacheControl);
        WriteOptional(value.ContentDisposition);
        WriteOptional(value.ContentEncoding);
        WriteOptional(value.ContentLanguage);
        WriteOptional(value.Expires);
        WriteOptional(value.WebsiteRedirectLocation);
        WriteCount(value.UserMetadata.Length);
        foreach (var (name, text) in value.UserMetadata)
        {
            Write(name);
            Write(text);
        }
    }

    public void Write(ManifestPart value)
    {
        WriteCount(value.Number);
        value.Blob.Write(Take(BlobId.ByteLength));
        WriteVarint((ulong)value.Length);
        Write(value.ETag);
        Write(value.Checksum);
        WriteCount(value.Chunks.Length);
        foreach (var run in value.Chunks)
        {
            WriteCount(run.Count);
            WriteCount(run.Length);
        }
    }

    public void Write(ObjectAttributes value)
    {
        WriteVarint((ulong)value.Change);
        WriteCount(value.Tags.Length);
        foreach (var (name, text) in value.Tags)
        {
            Write(name);
            Write(text);
        }
        WriteOptional(value.Acl);
        WriteByte((byte)(value.Retention?.Mode ?? 0));
        if (value.Retention is { } retention) WriteVarint((ulong)retention.Until.ToUnixTimeMilliseconds());
        WriteByte(value.LegalHold ? (byte)1 : (byte)0);
    }

    public void Write(ContentEncryption? value)
    {
        WriteByte((byte)(value?.Mode ?? 0));
        if (value is null) return;
        WriteOptional(value.KeyId);
        WriteOptional(value.Context);
        Write(value.WrappedKey.AsSpan());
        Write(value.CustomerKeyCheck.AsSpan());
        WriteByte(value.BucketKeyEnabled ? (byte)1 : (byte)0);
    }

    public void Write(BlobId value) => value.Write(Take(BlobId.ByteLength));

    /// <summary>Where a version's bytes are, and what its parts were sealed as.</summary>
    public void WritePlaces(Manifest value)
    {
        WriteOptional(value.Place?.Integration);
        if (value.Place is { } place) Write(place.Blob);
        foreach (var part in value.Parts)
        {
            WriteByte(part.SealedAs is null ? (byte)0 : (byte)1);
            if (part.SealedAs is { } sealedAs) Write(sealedAs);
        }
    }

    public void Write(ArchiveRestore value)
    {
        WriteCount(value.Days);
        WriteByte((byte)value.Speed);
        WriteVarint((ulong)(value.Until?.ToUnixTimeMilliseconds() ?? 0));
    }

    public void WriteChecksum(uint value) => BinaryPrimitives.WriteUInt32BigEndian(Take(sizeof(uint)), value);

    /// <summary>Ends with the checksum of all that was written.</summary>
    public byte[] Seal()
    {
        WriteChecksum(~DetailCodec.Crc(uint.MaxValue, _buffer.AsSpan(0, _length)));
        return _buffer.AsSpan(0, _length).ToArray();
    }

    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = [];
    }

    private Span<byte> Take(int count)
    {
        if (_length + count > _buffer.Length)
        {
            var larger = ArrayPool<byte>.Shared.Rent(Math.Max(2 * _buffer.Length, _length + count));
            _buffer.AsSpan(0, _length).CopyTo(larger);
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = larger;
        }
        _length += count;
        return _buffer.AsSpan(_length - count, count);
    }
}

internal ref struct DetailReader
{
    private ReadOnlySpan<byte> _rest;

    /// <param name="newest">The newest format that is known; older ones are read too.</param>
    public DetailReader(ReadOnlySpan<byte> source, byte newest)
    {
        if (source.Length <= sizeof(uint)) throw Damaged("its detail ends too early");
        _rest = source[..^sizeof(uint)];
        if (BinaryPrimitives.ReadUInt32BigEndian(source[^sizeof(uint)..]) != ~DetailCodec.Crc(uint.MaxValue, _rest)) throw Damaged("its detail does not match its checksum");
        Format = ReadByte();
        if (Format == 0 || Format > newest) throw Damaged($"its detail has format {Format}, and this program knows formats up to {newest}");
    }

    public byte Format { get; }

    public byte ReadByte() => Take(1)[0];

    public ulong ReadVarint()
    {
        ulong value = 0;
        for (var shift = 0; shift < 64; shift += 7)
        {
            var b = ReadByte();
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80) return value;
        }
        throw Damaged("a number in it has more than 64 bits");
    }

    public int ReadCount() => checked((int)ReadVarint());

    public string ReadString() => Encoding.UTF8.GetString(Take(ReadCount()));

    public string? ReadOptional() => ReadByte() == 0 ? null : ReadString();

    public UploadId? ReadUploadId() => ReadByte() == 0 ? null : UploadId.Read(Take(BlobId.ByteLength));

    public Checksum? ReadChecksum()
    {
        var algorithm = (ChecksumAlgorithm)ReadByte();
        if (algorithm == ChecksumAlgorithm.None) return null;
        var type = (ChecksumType)ReadByte();
        var parts = ReadCount();
        return new(algorithm, type, [.. Take(ReadCount())], parts);
    }

    public ObjectMetadata ReadMetadata()
    {
        var contentType = ReadString();
        var (cacheControl, disposition, encoding, language, expires, redirect) =
            (ReadOptional(), ReadOptional(), ReadOptional(), ReadOptional(), ReadOptional(), ReadOptional());
        var count = ReadCount();
        if (count == 0) return new(contentType, cacheControl, disposition, encoding, language, expires, redirect, []);
        var user = ImmutableArray.CreateBuilder<KeyValuePair<string, string>>(count);
        for (var i = 0; i < count; i++) user.Add(new(ReadString(), ReadString()));
        return new(contentType, cacheControl, disposition, encoding, language, expires, redirect, user.MoveToImmutable());
    }

    /// <summary>A row of format 1 has none.</summary>
    public ObjectAttributes ReadAttributes()
    {
        if (Format < 2) return ObjectAttributes.None;
        var change = (long)ReadVarint();
        var tags = ImmutableArray.CreateBuilder<KeyValuePair<string, string>>(ReadCount());
        for (var i = 0; i < tags.Capacity; i++) tags.Add(new(ReadString(), ReadString()));
        var acl = ReadOptional();
        var mode = (RetentionMode)ReadByte();
        var retention = mode == 0 ? null : new ObjectRetention(mode, DateTimeOffset.FromUnixTimeMilliseconds((long)ReadVarint()));
        var hold = ReadByte() != 0;
        return change == 0 && tags.Capacity == 0 && acl is null && retention is null && !hold ? ObjectAttributes.None : new(change, tags.MoveToImmutable(), acl, retention, hold);
    }

    /// <summary>A row of format 1 or 2 has none: nothing was sealed then.</summary>
    public ContentEncryption? ReadEncryption()
    {
        if (Format < 3) return null;
        var mode = (EncryptionMode)ReadByte();
        if (mode == 0) return null;
        var (keyId, context) = (ReadOptional(), ReadOptional());
        ImmutableArray<byte> wrapped = [.. Take(ReadCount())];
        ImmutableArray<byte> check = [.. Take(ReadCount())];
        return new(mode, keyId, context, wrapped, check, ReadByte() != 0);
    }

    /// <summary>A row of a format before 4 has none, and its parts are what they were sealed as.</summary>
    public ContentPlace? ReadPlaces(ref ImmutableArray<ManifestPart> parts)
    {
        if (Format < 4) return null;
        var place = ReadOptional() is { } integration ? new ContentPlace(integration, BlobId.Read(Take(BlobId.ByteLength))) : null;
        var sealedParts = parts.ToBuilder();
        for (var i = 0; i < sealedParts.Count; i++)
        {
            if (ReadByte() != 0) sealedParts[i] = sealedParts[i] with { SealedAs = BlobId.Read(Take(BlobId.ByteLength)) };
        }
        parts = sealedParts.DrainToImmutable();
        return place;
    }

    /// <summary>A row of a format before 5 has none.</summary>
    public ArchiveRestore? ReadRestore()
    {
        if (Format < 5) return null;
        var (days, speed, until) = (ReadCount(), (WarmUpSpeed)ReadByte(), (long)ReadVarint());
        return new(days, speed, until == 0 ? null : DateTimeOffset.FromUnixTimeMilliseconds(until));
    }

    public uint ReadUInt32() => BinaryPrimitives.ReadUInt32BigEndian(Take(sizeof(uint)));

    public ImmutableArray<ManifestPart> ReadParts()
    {
        var parts = ImmutableArray.CreateBuilder<ManifestPart>(ReadCount());
        for (var i = 0; i < parts.Capacity; i++) parts.Add(ReadPart());
        return parts.MoveToImmutable();
    }

    public ManifestPart ReadPart()
    {
        var number = ReadCount();
        var blob = BlobId.Read(Take(BlobId.ByteLength));
        var length = (long)ReadVarint();
        var etag = ReadString();
        var checksum = ReadChecksum();
        var runs = ImmutableArray.CreateBuilder<ChunkRun>(ReadCount());
        for (var i = 0; i < runs.Capacity; i++) runs.Add(new(ReadCount(), ReadCount()));
        return new(number, blob, length, etag, checksum, runs.MoveToImmutable());
    }

    /// <summary>Nothing may follow: what does was written by something else.</summary>
    public readonly void End()
    {
        if (!_rest.IsEmpty) throw Damaged($"its detail has {_rest.Length} bytes too many");
    }

    public static StorageException Damaged(string how) => new(StorageError.DataDamaged, $"A row of the index is damaged: {how}.");

    private ReadOnlySpan<byte> Take(int count)
    {
        if ((uint)count > (uint)_rest.Length) throw Damaged("its detail ends too early");
        var taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
