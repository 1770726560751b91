using System.Collections.Immutable;
using System.Runtime.InteropServices;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;

namespace DarkStorage.Metadata.Sqlite;

// A key's versions. Invariants: the current version alone stands in "objects"; all others in "versions". A key without a row in "objects" has a delete
// marker as the newest of its "versions", or none at all. Of the null version there is one at the most, in either table.
public sealed partial class SqliteIndex
{
    private const string VersionColumnNames = "revision, version, modified, length, etag, flags, storage_class, owner, detail, content";
    private const string HeldColumnNames = "revision, length, flags, detail, version, storage_class";
    private const string OfKey = "bucket = ?1 AND key = ?2";

    public ValueTask<ObjectVersion?> FindObjectAsync(BucketId bucket, string key, CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        if (_cache.TryGet(bucket, key, out var known)) return new(known);
        var epoch = _cache.EpochOf(bucket, key);
        var found = _readers.Read((bucket, key), static (connection, q) => ReadVersion(OfCurrent(connection, q.bucket, q.key)));
        if (found is not null) _cache.Keep(bucket, key, found, epoch);
        return new(found);
    }

    public ValueTask<ObjectVersion?> FindLatestAsync(BucketId bucket, string key, CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        if (_cache.TryGet(bucket, key, out var known)) return new(known);
        return ReadAsync((bucket, key), static (connection, q) => InOneState(connection, q, static (connection, q) =>
            ReadVersion(OfCurrent(connection, q.bucket, q.key)) ?? ReadVersion(OfNewest(connection, q.bucket, q.key))), ct);
    }

    public ValueTask<ObjectVersion?> FindVersionAsync(BucketId bucket, string key, VersionName version, CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        if (_cache.TryGet(bucket, key, out var known) && known?.Name == version) return new(known);
        return ReadAsync((bucket, key, version), static (connection, q) => InOneState(connection, q, static (connection, q) =>
            ReadVersion(OfCurrent(connection, q.bucket, q.key)) is { } current && current.Name == q.version
                ? current
                : ReadVersion(OfNoncurrent(connection, q.bucket, q.key, q.version))), ct);
    }

    public Task SaveObjectAsync(ObjectChange change, CancellationToken ct)
    {
        // Everything that can be computed is computed before the writer's thread has it.
        var detail = DetailCodec.Encode(change.Next);
        return _writer.WriteAsync(session => Save(session, change, detail), ct);
    }

    public Task UpdateVersionAsync(BucketId bucket, string key, ObjectVersion next, DateTimeOffset now, ImmutableArray<ObjectEvent> events, WishChange wish, CancellationToken ct)
    {
        var detail = DetailCodec.Encode(next);
        // What goes outside makes room here.
        return next.Manifest.Place is null ? _writer.WriteAsync(Change, ct) : _writer.RemoveAsync(Change, ct);

        bool Change(WriteSession session)
        {
            session.RequireBucket(bucket);
            var (table, held) = FindHeld(session.Connection, bucket, key, next.Name)
                ?? throw new StorageException(StorageError.Conflict, $"Version {next.Name} is gone.");
            RequireUnchanged(held, next.Revision, next.Attributes.Change - 1);
            var wished = new MoveWish(bucket, key, next.Manifest.Version, next.StorageClass, MoveOrigin.Restore);
            // Both throw before anything is written.
            if (wish == WishChange.Fulfils) RequireWish(session.Connection, wished);
            var added = next.Manifest.Blobs.Except(held.Blobs).ToList();
            if (next.Manifest.Place is not null) foreach (var blob in added) session.ClaimBlob(blob);
            else foreach (var blob in added) session.AddBlob(blob);
            if (wish == WishChange.Fulfils) EndMove(session.Connection, wished);
            if (wish == WishChange.Restores) Wish(session.Connection, wished, now);
            session.ChangeObject(bucket, key);
            foreach (var blob in held.Blobs.Except(next.Manifest.Blobs)) session.FreeBlob(blob, now);
            session.CountUsage(bucket, held.StorageClass, now, -1, -held.Length);
            session.CountUsage(bucket, next.StorageClass, now, 1, next.Manifest.Length);
            Write(session.Connection, table, bucket, key, next, detail);
            AddEvents(session.Connection, bucket, key, events, now);
            return true;
        }
    }

    public Task<bool> RemoveVersionAsync(VersionRemoval removal, DateTimeOffset now, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            var (connection, bucket, key) = (session.Connection, removal.Bucket, removal.Key);
            session.RequireBucket(bucket, removal.BucketRevision);
            if (FindHeld(connection, bucket, key, removal.Version) is not var (table, held)) return false;
            RequireUnchanged(held, removal.ExpectedRevision, removal.ExpectedChange);
            if (removal.ExpectedLatest is { } latest && latest != (FindTop(connection, bucket, key)?.Revision == held.Revision))
                throw new StorageException(StorageError.Conflict, $"A version that {(latest ? "was" : "was not")} on top was decided on.");
            session.ChangeObject(bucket, key);
            Remove(session, table, bucket, key, held, now);
            Promote(connection, bucket, key);
            AddEvents(connection, bucket, key, removal.Events, now);
            return true;
        }, ct);

    private static bool Save(WriteSession session, ObjectChange change, byte[] detail)
    {
        var (connection, bucket, key, next) = (session.Connection, change.Bucket, change.Key, change.Next);
        session.RequireBucket(bucket, change.BucketRevision);
        var current = ReadHeld(OfCurrentHeld(connection, bucket, key));
        RequireRevision(current ?? ReadHeld(OfNewestHeld(connection, bucket, key)), change);
        session.ChangeObject(bucket, key);
        if (next.Upload is { } upload) EndUpload(session, upload, next); // throws before it writes
        else foreach (var blob in next.Manifest.Blobs) session.AddBlob(blob);

        if (next.IsNull && FindHeld(connection, bucket, key, VersionName.Null) is var (table, replaced)) Remove(session, table, bucket, key, replaced, next.Modified);
        if (current is { } old && !(old.IsNull && next.IsNull)) Move(connection, "objects", "versions", bucket, key, old.Revision);
        Write(connection, next.IsDeleteMarker ? "versions" : "objects", bucket, key, next, detail);
        if (!next.IsDeleteMarker) session.CountUsage(bucket, next.StorageClass, next.Modified, 1, next.Manifest.Length);
        AddEvents(connection, bucket, key, change.Events, next.Modified);
        if (change.WishesMove) Wish(connection, new(bucket, key, next.Manifest.Version, next.StorageClass, MoveOrigin.Writer), next.Modified);
        return true;
    }

    private static void Remove(WriteSession session, string table, BucketId bucket, string key, HeldVersion held, DateTimeOffset now)
    {
        foreach (var blob in held.Blobs) session.FreeBlob(blob, now);
        if (!held.IsDeleteMarker) session.CountUsage(bucket, held.StorageClass, now, -1, -held.Length);
        session.Connection.Prepare($"DELETE FROM {table} WHERE {OfKey} AND revision = ?3").Bind(1, bucket.Value).BindKey(2, key).Bind(3, held.Revision).Run();
    }

    /// <summary>Makes the newest version the current one where there is none and it is not a delete marker.</summary>
    private static void Promote(SqliteConnection connection, BucketId bucket, string key)
    {
        if (ReadHeld(OfCurrentHeld(connection, bucket, key)) is not null) return;
        if (ReadHeld(OfNewestHeld(connection, bucket, key)) is { IsDeleteMarker: false } newest) Move(connection, "versions", "objects", bucket, key, newest.Revision);
    }

    private static void Move(SqliteConnection connection, string from, string to, BucketId bucket, string key, long revision)
    {
        connection.Prepare($"INSERT INTO {to} (bucket, key, {VersionColumnNames}) SELECT bucket, key, {VersionColumnNames} FROM {from} WHERE {OfKey} AND revision = ?3")
            .Bind(1, bucket.Value).BindKey(2, key).Bind(3, revision).Run();
        connection.Prepare($"DELETE FROM {from} WHERE {OfKey} AND revision = ?3").Bind(1, bucket.Value).BindKey(2, key).Bind(3, revision).Run();
    }

    private static void Write(SqliteConnection connection, string table, BucketId bucket, string key, ObjectVersion next, byte[] detail)
    {
        Span<byte> version = stackalloc byte[VersionId.ByteLength];
        next.Manifest.Version.Write(version);
        var write = connection.Prepare($"INSERT OR REPLACE INTO {table} (bucket, key, {VersionColumnNames}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")
            .Bind(1, bucket.Value)
            .BindKey(2, key)
            .Bind(3, next.Revision)
            .Bind(4, version)
            .Bind(5, next.Modified.ToUnixTimeMilliseconds())
            .Bind(6, next.Manifest.Length)
            .BindText(7, next.Manifest.ETag)
            .Bind(8, VersionFlags.Of(next))
            .BindText(9, VersionFlags.StoredClass(next.StorageClass))
            .BindText(10, next.Owner)
            .Bind(11, detail);
        if (next.Manifest.Inline.IsDefaultOrEmpty) write.BindNull(12);
        else write.Bind(12, next.Manifest.Inline.AsSpan());
        write.Run();
    }

    private static void RequireRevision(HeldVersion? latest, ObjectChange change)
    {
        var found = latest?.Revision ?? 0;
        if (change.ExpectedRevision is { } expected)
        {
            if (found != expected) throw new StorageException(StorageError.Conflict, $"The key is at revision {Number(found)}, not {Number(expected)}.");
            return;
        }
        if (found >= change.Next.Revision) throw new StorageException(StorageError.Conflict, $"The key is at revision {Number(found)}, not below {Number(change.Next.Revision)}.");
        if (latest?.Version == change.Next.Manifest.Version) throw new StorageException(StorageError.Conflict, $"The version is there, at revision {Number(found)}.");
    }

    private static void RequireUnchanged(HeldVersion held, long revision, long change)
    {
        if (held.Revision != revision || held.Change != change)
            throw new StorageException(StorageError.Conflict, $"The version is at revision {Number(held.Revision)}, change {Number(held.Change)}, not {Number(revision)}, {Number(change)}.");
    }

    /// <summary>What a writer needs to know of a version that is there.</summary>
    private readonly record struct HeldVersion(VersionId Version, long Revision, long Length, long Flags, long Change, string StorageClass, ImmutableArray<BlobId> Blobs)
    {
        public bool IsNull => (Flags & VersionFlags.Null) != 0;
        public bool IsDeleteMarker => (Flags & VersionFlags.DeleteMarker) != 0;
    }

    /// <summary>The version on top, a delete marker or not.</summary>
    private static HeldVersion? FindTop(SqliteConnection connection, BucketId bucket, string key) =>
        ReadHeld(OfCurrentHeld(connection, bucket, key)) ?? ReadHeld(OfNewestHeld(connection, bucket, key));

    private static (string Table, HeldVersion Held)? FindHeld(SqliteConnection connection, BucketId bucket, string key, VersionName version)
    {
        Span<byte> id = stackalloc byte[VersionId.ByteLength];
        version.Id?.Write(id);
        foreach (var table in (ReadOnlySpan<string>)["objects", "versions"])
        {
            var query = version.Id is null
                ? connection.Prepare($"SELECT {HeldColumnNames} FROM {table} WHERE {OfKey} AND flags & {VersionFlags.Null}").Bind(1, bucket.Value).BindKey(2, key)
                // The null version has an id too, but nobody can call it by that.
                : connection.Prepare($"SELECT {HeldColumnNames} FROM {table} WHERE {OfKey} AND version = ?3 AND NOT flags & {VersionFlags.Null}").Bind(1, bucket.Value).BindKey(2, key).Bind(3, id);
            if (ReadHeld(query) is { } held) return (table, held);
        }
        return null;
    }

    private static SqliteStatement OfCurrentHeld(SqliteConnection connection, BucketId bucket, string key) =>
        connection.Prepare($"SELECT {HeldColumnNames} FROM objects WHERE {OfKey}").Bind(1, bucket.Value).BindKey(2, key);

    private static SqliteStatement OfNewestHeld(SqliteConnection connection, BucketId bucket, string key) =>
        connection.Prepare($"SELECT {HeldColumnNames} FROM versions WHERE {OfKey} ORDER BY revision DESC LIMIT 1").Bind(1, bucket.Value).BindKey(2, key);

    private static HeldVersion? ReadHeld(SqliteStatement query)
    {
        if (!query.Step()) return null;
        var (change, blobs) = DetailCodec.DecodeHeld(query.Bytes(3));
        var held = new HeldVersion(VersionId.Read(query.Bytes(4)), query.Long(0), query.Long(1), query.Long(2), change, ReadClass(query, 5), blobs);
        query.Reset();
        return held;
    }

    private static string ReadClass(SqliteStatement query, int column) => query.IsNull(column) ? VersionFlags.StandardClass : query.Text(column);

    private static SqliteStatement OfCurrent(SqliteConnection connection, BucketId bucket, string key) =>
        connection.Prepare($"SELECT {VersionColumnNames} FROM objects WHERE {OfKey}").Bind(1, bucket.Value).BindKey(2, key);

    private static SqliteStatement OfNewest(SqliteConnection connection, BucketId bucket, string key) =>
        connection.Prepare($"SELECT {VersionColumnNames} FROM versions WHERE {OfKey} ORDER BY revision DESC LIMIT 1").Bind(1, bucket.Value).BindKey(2, key);

    private static SqliteStatement OfNoncurrent(SqliteConnection connection, BucketId bucket, string key, VersionName version)
    {
        if (version.Id is not { } wanted)
            return connection.Prepare($"SELECT {VersionColumnNames} FROM versions WHERE {OfKey} AND flags & {VersionFlags.Null}").Bind(1, bucket.Value).BindKey(2, key);
        Span<byte> id = stackalloc byte[VersionId.ByteLength];
        wanted.Write(id);
        return connection.Prepare($"SELECT {VersionColumnNames} FROM versions WHERE {OfKey} AND version = ?3 AND NOT flags & {VersionFlags.Null}")
            .Bind(1, bucket.Value).BindKey(2, key).Bind(3, id);
    }

    private static ObjectVersion? ReadVersion(SqliteStatement query)
    {
        if (!query.Step()) return null;
        var flags = query.Long(5);
        var columns = new VersionColumns(
            Version: VersionId.Read(query.Bytes(1)),
            Length: query.Long(3),
            ETag: query.Text(4),
            Modified: DateTimeOffset.FromUnixTimeMilliseconds(query.Long(2)),
            Revision: query.Long(0),
            IsNull: (flags & VersionFlags.Null) != 0,
            IsDeleteMarker: (flags & VersionFlags.DeleteMarker) != 0,
            StorageClass: ReadClass(query, 6),
            Owner: query.Text(7),
            // The array is ours alone, so it may be taken for an immutable one without a copy.
            Content: ImmutableCollectionsMarshal.AsImmutableArray(query.Bytes(9).ToArray()));
        var version = DetailCodec.Decode(query.Bytes(8), columns);
        query.Reset();
        return version;
    }

    /// <summary>Several statements that see one state of the database.</summary>
    private static T InOneState<T, TArgument>(SqliteConnection connection, TArgument argument, Func<SqliteConnection, TArgument, T> read)
    {
        connection.Execute("BEGIN");
        try
        {
            return read(connection, argument);
        }
        finally
        {
            connection.Execute("COMMIT");
        }
    }
}
