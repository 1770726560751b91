using System.Collections.Immutable;
using System.Runtime.InteropServices;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

// A key's versions. The invariants are those of SqliteIndex.Objects.cs; Migrations/0001_core.sql holds them.
public sealed partial class PostgresIndex
{
    private const string VersionColumnNames = "revision, version, modified, length, etag, flags, storage_class, owner, detail, content";
    private const string OfKey = "bucket = $1 AND key = $2";

    public ValueTask<ObjectVersion?> FindObjectAsync(BucketId bucket, string key, CancellationToken ct) =>
        ReadFirstAsync($"SELECT {VersionColumnNames} FROM objects WHERE {OfKey}", p => p.Long(bucket.Value).Key(key), ReadVersion, ct);

    public ValueTask<ObjectVersion?> FindLatestAsync(BucketId bucket, string key, CancellationToken ct) =>
        ReadFirstAsync($"""
            (SELECT {VersionColumnNames} FROM objects WHERE {OfKey})
            UNION ALL
            (SELECT {VersionColumnNames} FROM versions WHERE {OfKey} ORDER BY revision DESC LIMIT 1)
            ORDER BY revision DESC LIMIT 1
            """, p => p.Long(bucket.Value).Key(key), ReadVersion, ct);

    public ValueTask<ObjectVersion?> FindVersionAsync(BucketId bucket, string key, VersionName version, CancellationToken ct) => version.Id is { } id
        ? ReadFirstAsync($"""
            SELECT {VersionColumnNames} FROM objects WHERE {OfKey} AND version = $3 AND flags & 1 = 0
            UNION ALL
            SELECT {VersionColumnNames} FROM versions WHERE {OfKey} AND version = $3 AND flags & 1 = 0
            """, p => p.Long(bucket.Value).Key(key).Uuid(id.ToGuid()), ReadVersion, ct)
        : ReadFirstAsync($"""
            SELECT {VersionColumnNames} FROM objects WHERE {OfKey} AND flags & 1 <> 0
            UNION ALL
            SELECT {VersionColumnNames} FROM versions WHERE {OfKey} AND flags & 1 <> 0
            """, p => p.Long(bucket.Value).Key(key), ReadVersion, ct);

    private const string Save = "SELECT save_object($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";

    private static readonly string SaveAndWish = $"""
        WITH saved AS MATERIALIZED ({Save} AS outcome),
            wished AS (INSERT INTO moves (bucket, key, version, storage_class, origin, asked, due, attempts) SELECT $3, $5, $9, $14, {(int)MoveOrigin.Writer}, $10, $10, 0 FROM saved WHERE outcome = '')
        SELECT outcome FROM saved
        """;

    public Task SaveObjectAsync(ObjectChange change, CancellationToken ct)
    {
        // Everything that can be computed is computed before a lane has it.
        var (key, detail) = (Parameters.KeyBytes(change.Key), DetailCodec.Encode(change.Next));
        var lockedOn = LockOf(change.Bucket.Value, key);
        var events = new EventColumns(change.Bucket, key, change.Next.Modified, change.Events);
        // A Complete locks its upload too, as the parts of a batch do.
        return DecideAsync(change.Bucket, lockedOn, change.Next.Upload is not null, change.WishesMove ? SaveAndWish : Save, (p, slot) =>
            {
                p.Int(slot).Int(lockedOn).Long(change.Bucket.Value).Long(change.BucketRevision).Bytes(key).Long(change.ExpectedRevision).Uuid(change.Next.Upload?.ToGuid());
                AddVersion(p, change.Next, detail);
                events.Add(p);
            }, ct);
    }

    private const string Update = "SELECT update_version($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";

    private static readonly string UpdateAndWish = $"""
        WITH updated AS MATERIALIZED ({Update} AS outcome),
            wished AS (
                INSERT INTO moves (bucket, key, version, storage_class, origin, asked, due, attempts) SELECT $3, $4, $8, $13, {(int)MoveOrigin.Restore}, $6, $6, 0 FROM updated WHERE outcome = ''
                ON CONFLICT (bucket, key, version) DO {WishPrecedence.Replace})
        SELECT outcome FROM updated
        """;

    public Task UpdateVersionAsync(BucketId bucket, string key, ObjectVersion next, DateTimeOffset now, ImmutableArray<ObjectEvent> events, WishChange wish, CancellationToken ct)
    {
        var (keyBytes, detail) = (Parameters.KeyBytes(key), DetailCodec.Encode(next));
        var lockedOn = LockOf(bucket.Value, keyBytes);
        var columns = new EventColumns(bucket, keyBytes, now, events);
        return DecideAsync(bucket, lockedOn, false,
            wish == WishChange.Restores ? UpdateAndWish : Update, (p, slot) =>
            {
                p.Int(slot).Int(lockedOn).Long(bucket.Value).Bytes(keyBytes).Uuid(next.Name.Id?.ToGuid()).Time(now);
                AddVersion(p, next, detail);
                columns.Add(p);
                p.Bool(wish == WishChange.Fulfils);
            }, ct);
    }

    public async Task<bool> RemoveVersionAsync(VersionRemoval removal, DateTimeOffset now, CancellationToken ct)
    {
        var key = Parameters.KeyBytes(removal.Key);
        var lockedOn = LockOf(removal.Bucket.Value, key);
        var events = new EventColumns(removal.Bucket, key, now, removal.Events);
        return await DecideAsync(removal.Bucket, lockedOn, false, "SELECT remove_version($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)", (p, slot) =>
        {
            p.Int(slot).Int(lockedOn).Long(removal.Bucket.Value).Long(removal.BucketRevision).Bytes(key).Uuid(removal.Version.Id?.ToGuid())
                .Long(removal.ExpectedRevision).Long(removal.ExpectedChange).Bool(removal.ExpectedLatest).Time(now);
            events.Add(p);
        }, ct) == "";
    }

    /// <summary>Makes a change that was decided on a bucket's record. Where that was not as remembered, it is remembered no longer.</summary>
    private async Task<string> DecideAsync(BucketId bucket, int lockedOn, bool isAlone, string sql, Action<NpgsqlParameterCollection, int> bind, CancellationToken ct)
    {
        try
        {
            return await WriteAsync(lockedOn, isAlone, sql, bind, OutcomeOf, ct);
        }
        catch (StorageException e) when (e.Error is StorageError.Conflict or StorageError.NoSuchBucket)
        {
            _buckets.Forget(bucket);
            throw;
        }
    }

    private static void AddVersion(NpgsqlParameterCollection parameters, ObjectVersion version, byte[] detail) => parameters
        .Long(version.Revision)
        .Uuid(version.Manifest.Version.ToGuid())
        .Time(version.Modified)
        .Long(version.Manifest.Length)
        .Text(version.Manifest.ETag)
        .Int((int)VersionFlags.Of(version))
        .Text(VersionFlags.StoredClass(version.StorageClass))
        .Text(version.Owner)
        .Long(version.Attributes.Change)
        .Uuids(Parameters.BlobsOf(version.Manifest))
        .Bytes(detail)
        .Bytes(Parameters.ContentOf(version.Manifest));

    private static ObjectVersion ReadVersion(NpgsqlDataReader row)
    {
        var flags = row.GetInt32(5);
        var columns = new VersionColumns(
            Version: row.GetGuid(1).ToVersion(),
            Length: row.GetInt64(3),
            ETag: row.GetString(4),
            Modified: DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(2)),
            Revision: row.GetInt64(0),
            IsNull: (flags & VersionFlags.Null) != 0,
            IsDeleteMarker: (flags & VersionFlags.DeleteMarker) != 0,
            StorageClass: row.IsDBNull(6) ? VersionFlags.StandardClass : row.GetString(6),
            Owner: row.GetString(7),
            // The array is ours alone, so it may be taken for an immutable one without a copy.
            Content: row.IsDBNull(9) ? [] : ImmutableCollectionsMarshal.AsImmutableArray(row.GetFieldValue<byte[]>(9)));
        return DetailCodec.Decode(row.GetFieldValue<byte[]>(8), columns);
    }
}
