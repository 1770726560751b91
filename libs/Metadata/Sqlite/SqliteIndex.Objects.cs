using System.Collections.Immutable;
using System.Runtime.InteropServices;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Metadata.Sqlite;

public sealed partial class SqliteIndex
{
    private const string StandardClass = "STANDARD";
    private const string VersionColumnNames = "revision, version, modified, length, etag, flags, storage_class, detail, content";

    private const long NullVersionFlag = 1;
    private const int ChecksumAlgorithmShift = 8;
    private const int ChecksumTypeShift = 16;

    public ValueTask<ObjectVersion?> FindObjectAsync(BucketId bucket, string key, CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        if (_cache.TryGet(bucket, key, out var known)) return new(known);
        var epoch = _cache.EpochOf(bucket, key);
        var found = _readers.Read((bucket, key), static (connection, q) =>
            ReadVersion(connection.Prepare($"SELECT {VersionColumnNames} FROM objects WHERE bucket = ?1 AND key = ?2").Bind(1, q.bucket.Value).BindKey(2, q.key)));
        if (found is not null) _cache.Keep(bucket, key, found, epoch);
        return new(found);
    }

    public ValueTask<ObjectVersion?> FindNoncurrentAsync(BucketId bucket, string key, VersionId version, CancellationToken ct) =>
        ReadAsync((bucket, key, version), static (connection, q) =>
        {
            Span<byte> id = stackalloc byte[VersionId.ByteLength];
            q.version.Write(id);
            var query = connection.Prepare($"SELECT {VersionColumnNames} FROM versions WHERE bucket = ?1 AND key = ?2 AND version = ?3")
                .Bind(1, q.bucket.Value).BindKey(2, q.key).Bind(3, id);
            return ReadVersion(query);
        }, ct);

    public Task SaveObjectAsync(ObjectChange change, CancellationToken ct)
    {
        // Everything that can be computed is computed before the writer's thread has it.
        var detail = DetailCodec.Encode(change.Next);
        return _writer.WriteAsync(session => Save(session, change, detail), ct);
    }

    public Task DeleteObjectAsync(BucketId bucket, string key, long expectedRevision, DateTimeOffset now, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            session.RequireBucket(bucket);
            var current = ReadCurrent(session.Connection, bucket, key);
            RequireRevision(current, expectedRevision);
            if (current is not { } old) return false;
            session.ChangeObject(bucket, key);
            session.Connection.Prepare("DELETE FROM objects WHERE bucket = ?1 AND key = ?2").Bind(1, bucket.Value).BindKey(2, key).Run();
            foreach (var part in old.Parts) session.FreeBlob(part.Blob, now);
            session.CountUsage(bucket, -1, -old.Length);
            return true;
        }, ct);

    private static bool Save(WriteSession session, ObjectChange change, byte[] detail)
    {
        var (connection, next) = (session.Connection, change.Next);
        session.RequireBucket(change.Bucket);
        var current = ReadCurrent(connection, change.Bucket, change.Key);
        RequireRevision(current, change.ExpectedRevision);
        session.ChangeObject(change.Bucket, change.Key);
        if (next.Upload is { } upload) EndUpload(session, upload, next); // throws before it writes
        else foreach (var part in next.Manifest.Parts) session.AddBlob(part.Blob);

        if (current is { } old)
        {
            if (change.KeepCurrent)
            {
                connection.Prepare($"""
                    INSERT INTO versions (bucket, key, {VersionColumnNames})
                    SELECT bucket, key, {VersionColumnNames} FROM objects WHERE bucket = ?1 AND key = ?2
                    """).Bind(1, change.Bucket.Value).BindKey(2, change.Key).Run();
                session.CountUsage(change.Bucket, 1, next.Manifest.Length);
            }
            else
            {
                foreach (var part in old.Parts) session.FreeBlob(part.Blob, next.Modified);
                session.CountUsage(change.Bucket, 0, next.Manifest.Length - old.Length);
            }
        }
        else session.CountUsage(change.Bucket, 1, next.Manifest.Length);

        Span<byte> version = stackalloc byte[VersionId.ByteLength];
        next.Manifest.Version.Write(version);
        var write = connection.Prepare($"INSERT OR REPLACE INTO objects (bucket, key, {VersionColumnNames}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)")
            .Bind(1, change.Bucket.Value)
            .BindKey(2, change.Key)
            .Bind(3, next.Revision)
            .Bind(4, version)
            .Bind(5, next.Modified.ToUnixTimeMilliseconds())
            .Bind(6, next.Manifest.Length)
            .BindText(7, next.Manifest.ETag)
            .Bind(8, Flags(next))
            .BindText(9, next.StorageClass == StandardClass ? null : next.StorageClass)
            .Bind(10, detail);
        if (next.Manifest.Inline.IsDefaultOrEmpty) write.BindNull(11);
        else write.Bind(11, next.Manifest.Inline.AsSpan());
        write.Run();
        return true;
    }

    private static long Flags(ObjectVersion version) =>
        (version.IsNull ? NullVersionFlag : 0)
        | (long)(version.Manifest.Checksum?.Algorithm ?? ChecksumAlgorithm.None) << ChecksumAlgorithmShift
        | (long)(version.Manifest.Checksum?.Type ?? ChecksumType.FullObject) << ChecksumTypeShift;

    private static void RequireRevision((long Revision, long Length, ImmutableArray<ManifestPart> Parts)? current, long expected)
    {
        var found = current?.Revision ?? 0;
        if (found != expected) throw new StorageException(StorageError.Conflict, $"The key is at revision {Number(found)}, not {Number(expected)}.");
    }

    private static (long Revision, long Length, ImmutableArray<ManifestPart> Parts)? ReadCurrent(SqliteConnection connection, BucketId bucket, string key)
    {
        var query = connection.Prepare("SELECT revision, length, detail FROM objects WHERE bucket = ?1 AND key = ?2").Bind(1, bucket.Value).BindKey(2, key);
        if (!query.Step()) return null;
        var current = (query.Long(0), query.Long(1), DetailCodec.DecodeParts(query.Bytes(2)));
        query.Reset();
        return current;
    }

    private static ObjectVersion? ReadVersion(SqliteStatement query)
    {
        if (!query.Step()) return null;
        var columns = new VersionColumns(
            Version: VersionId.Read(query.Bytes(1)),
            Length: query.Long(3),
            ETag: query.Text(4),
            Modified: DateTimeOffset.FromUnixTimeMilliseconds(query.Long(2)),
            Revision: query.Long(0),
            IsNull: (query.Long(5) & NullVersionFlag) != 0,
            StorageClass: query.IsNull(6) ? StandardClass : query.Text(6),
            // The array is ours alone, so it may be taken for an immutable one without a copy.
            Content: ImmutableCollectionsMarshal.AsImmutableArray(query.Bytes(8).ToArray()));
        var version = DetailCodec.Decode(query.Bytes(7), columns);
        query.Reset();
        return version;
    }
}
