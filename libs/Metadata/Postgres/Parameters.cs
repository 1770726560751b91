using System.Runtime.InteropServices;
using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using Npgsql;
using NpgsqlTypes;

namespace DarkStorage.Metadata.Postgres;

/// <summary>Values for <c>$1</c>, <c>$2</c> … in their order, each with the type of its column: a type that is guessed would be another statement to prepare.</summary>
internal static class Parameters
{
    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    public static NpgsqlParameterCollection Long(this NpgsqlParameterCollection parameters, long? value) => parameters.With(value, NpgsqlDbType.Bigint);

    public static NpgsqlParameterCollection Int(this NpgsqlParameterCollection parameters, int? value) => parameters.With(value, NpgsqlDbType.Integer);

    public static NpgsqlParameterCollection Bool(this NpgsqlParameterCollection parameters, bool? value) => parameters.With(value, NpgsqlDbType.Boolean);

    public static NpgsqlParameterCollection Text(this NpgsqlParameterCollection parameters, string? value) => parameters.With(value, NpgsqlDbType.Text);

    public static NpgsqlParameterCollection Time(this NpgsqlParameterCollection parameters, DateTimeOffset value) => parameters.Long(value.ToUnixTimeMilliseconds());

    public static NpgsqlParameterCollection Bytes(this NpgsqlParameterCollection parameters, byte[]? value) => parameters.With(value, NpgsqlDbType.Bytea);

    public static NpgsqlParameterCollection Bytes(this NpgsqlParameterCollection parameters, ReadOnlyMemory<byte> value) => parameters.With(value, NpgsqlDbType.Bytea);

    /// <summary>A key's bytes. At most 1,024 of them: the front end refuses longer ones, and so does this.</summary>
    public static NpgsqlParameterCollection Key(this NpgsqlParameterCollection parameters, string key) => parameters.Bytes(KeyBytes(key));

    public static NpgsqlParameterCollection Uuid(this NpgsqlParameterCollection parameters, Guid? value) => parameters.With(value, NpgsqlDbType.Uuid);

    public static NpgsqlParameterCollection Uuids(this NpgsqlParameterCollection parameters, Guid[] values) => parameters.With(values, NpgsqlDbType.Array | NpgsqlDbType.Uuid);

    public static NpgsqlParameterCollection Longs(this NpgsqlParameterCollection parameters, long[] values) => parameters.With(values, NpgsqlDbType.Array | NpgsqlDbType.Bigint);

    public static NpgsqlParameterCollection Texts(this NpgsqlParameterCollection parameters, string[] values) => parameters.With(values, NpgsqlDbType.Array | NpgsqlDbType.Text);

    public static NpgsqlParameterCollection BytesOfMany(this NpgsqlParameterCollection parameters, byte[][] values) => parameters.With(values, NpgsqlDbType.Array | NpgsqlDbType.Bytea);

    public static byte[] KeyBytes(string key)
    {
        var bytes = StrictUtf8.GetBytes(key);
        return bytes.Length <= KeyScan.KeyBytesMax ? bytes : throw new StorageException(StorageError.InvalidArgument, "The key is longer than 1,024 bytes.");
    }

    // In the order of the bytes, so that a uuid orders as the id does.
    public static Guid ToGuid(this BlobId blob)
    {
        Span<byte> bytes = stackalloc byte[BlobId.ByteLength];
        blob.Write(bytes);
        return new(bytes, bigEndian: true);
    }

    public static Guid ToGuid(this VersionId version) => new BlobId(version.High, version.Low).ToGuid();

    public static Guid ToGuid(this UploadId upload) => new BlobId(upload.High, upload.Low).ToGuid();

    public static BlobId ToBlob(this Guid uuid)
    {
        Span<byte> bytes = stackalloc byte[BlobId.ByteLength];
        uuid.TryWriteBytes(bytes, bigEndian: true, out _);
        return BlobId.Read(bytes);
    }

    public static VersionId ToVersion(this Guid uuid) => VersionId.Of(uuid.ToBlob());

    public static UploadId ToUpload(this Guid uuid)
    {
        var id = uuid.ToBlob();
        return new(id.High, id.Low);
    }

    public static Guid[] BlobsOf(Manifest manifest) => [.. manifest.Blobs.Select(b => b.ToGuid())];

    /// <summary>Null where there is none: the column then takes no room.</summary>
    public static byte[]? ContentOf(Manifest manifest) => manifest.Inline.IsDefaultOrEmpty ? null : ImmutableCollectionsMarshal.AsArray(manifest.Inline);

    private static NpgsqlParameterCollection With<T>(this NpgsqlParameterCollection parameters, T? value, NpgsqlDbType type)
    {
        if (value is null) parameters.Add(new NpgsqlParameter { Value = DBNull.Value, NpgsqlDbType = type });
        else parameters.Add(new NpgsqlParameter<T> { TypedValue = value, NpgsqlDbType = type });
        return parameters;
    }

    private static NpgsqlParameterCollection With<T>(this NpgsqlParameterCollection parameters, T? value, NpgsqlDbType type) where T : struct
    {
        if (value is { } present) parameters.Add(new NpgsqlParameter<T> { TypedValue = present, NpgsqlDbType = type });
        else parameters.Add(new NpgsqlParameter { Value = DBNull.Value, NpgsqlDbType = type });
        return parameters;
    }
}
