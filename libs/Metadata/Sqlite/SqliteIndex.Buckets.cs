using System.Collections.Immutable;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;

namespace DarkStorage.Metadata.Sqlite;

public sealed partial class SqliteIndex
{
    private const string BucketColumns = "id, name, owner, region, created, versioning, revision";

    private readonly BucketCache _buckets = new();

    public ValueTask<BucketRecord?> FindBucketAsync(string name, CancellationToken ct)
    {
        if (_buckets.TryGet(name, out var known)) return new(known);
        var before = _buckets.Changes;
        var found = _readers.Read(name, FindBucket);
        if (found is not null) _buckets.Keep(found, before);
        return new(found);
    }

    public ValueTask<IReadOnlyList<BucketRecord>> ListBucketsAsync(string? owner, string prefix, string after, int max, CancellationToken ct) =>
        ReadAsync((owner, prefix, after, max), static (connection, q) =>
        {
            // Names are ASCII, so the first text that no longer has the prefix is the prefix and the highest ASCII character.
            var query = connection.Prepare($"""
                SELECT {BucketColumns} FROM buckets
                WHERE name > ?1 AND name >= ?2 AND name < ?2 || char(127) AND (?3 IS NULL OR owner = ?3) ORDER BY name LIMIT ?4
                """).BindText(1, q.after).BindText(2, q.prefix).BindText(3, q.owner).Bind(4, q.max);
            var buckets = new List<BucketRecord>();
            while (query.Step()) buckets.Add(ReadBucket(connection, query));
            return (IReadOnlyList<BucketRecord>)buckets;
        }, ct);

    public Task<BucketRecord> CreateBucketAsync(string name, BucketCreation creation, DateTimeOffset created, CancellationToken ct) =>
        _writer.WriteAsync(session =>
        {
            var existing = session.Connection.Prepare("SELECT 1 FROM buckets WHERE name = ?1").BindText(1, name);
            if (existing.Step())
            {
                existing.Reset();
                throw new StorageException(StorageError.BucketAlreadyExists, $"Bucket {name} exists.");
            }
            session.Connection.Prepare("INSERT INTO buckets (name, owner, region, created, versioning) VALUES (?1, ?2, ?3, ?4, ?5)")
                .BindText(1, name).BindText(2, creation.Owner).BindText(3, creation.Region).Bind(4, created.ToUnixTimeMilliseconds()).Bind(5, (long)creation.Versioning).Run();
            var id = new BucketId(session.Connection.LastInsertRowId);
            foreach (var setting in creation.Settings) PutSetting(session.Connection, id, setting.Kind, setting.Id, setting.Document);
            session.NoteBucket(id, 0);
            return new BucketRecord(id, name, creation.Owner, creation.Region, DateTimeOffset.FromUnixTimeMilliseconds(created.ToUnixTimeMilliseconds()), creation.Versioning, 0, creation.Settings);
        }, ct);

    public Task<BucketRecord> UpdateBucketAsync(BucketChange change, CancellationToken ct) =>
        _writer.WriteAsync(session =>
        {
            session.RequireBucket(change.Bucket, change.ExpectedRevision);
            var (connection, bucket) = (session.Connection, change.Bucket);
            if (change.Setting is { Document: not null, Id.Length: > 0 } added) RequireRoom(connection, bucket, added);

            connection.Prepare("UPDATE buckets SET revision = revision + 1, versioning = coalesce(?2, versioning) WHERE id = ?1")
                .Bind(1, bucket.Value).BindOptional(2, (long?)change.Versioning).Run();
            if (change.Setting is { Document: { } document } put) PutSetting(connection, bucket, put.Kind, put.Id, document);
            else if (change.Setting is { } removed)
            {
                connection.Prepare("DELETE FROM bucket_settings WHERE bucket = ?1 AND kind = ?2 AND id = ?3")
                    .Bind(1, bucket.Value).BindText(2, removed.Kind).BindText(3, removed.Id).Run();
            }
            ForgetAtEnd(session, bucket);
            var record = connection.Prepare($"SELECT {BucketColumns} FROM buckets WHERE id = ?1").Bind(1, bucket.Value);
            record.Step();
            var next = ReadBucket(connection, record);
            record.Reset();
            session.NoteBucket(bucket, next.Revision);
            return next;
        }, ct);

    public ValueTask<IReadOnlyList<BucketSetting>> ListSettingsAsync(BucketId bucket, string kind, string afterId, int max, CancellationToken ct) =>
        ReadAsync((bucket, kind, afterId, max), static (connection, q) =>
        {
            var query = connection.Prepare("SELECT kind, id, document FROM bucket_settings WHERE bucket = ?1 AND kind = ?2 AND id > ?3 ORDER BY id LIMIT ?4")
                .Bind(1, q.bucket.Value).BindText(2, q.kind).BindText(3, q.afterId).Bind(4, q.max);
            var settings = new List<BucketSetting>();
            while (query.Step()) settings.Add(new(query.Text(0), query.Text(1), query.Text(2)));
            return (IReadOnlyList<BucketSetting>)settings;
        }, ct);

    public Task DeleteBucketAsync(BucketId bucket, DateTimeOffset now, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            session.RequireBucket(bucket);
            foreach (var table in (string[])["objects", "versions"])
            {
                var any = session.Connection.Prepare($"SELECT 1 FROM {table} WHERE bucket = ?1 LIMIT 1").Bind(1, bucket.Value);
                if (!any.Step()) continue;
                any.Reset();
                throw new StorageException(StorageError.BucketNotEmpty, $"Bucket {bucket} still has rows in {table}.");
            }
            foreach (var upload in ListUploads(session.Connection, bucket)) RemoveUpload(session, upload, keep: [], now);
            ForgetAtEnd(session, bucket);
            session.Connection.Prepare("DELETE FROM bucket_settings WHERE bucket = ?1").Bind(1, bucket.Value).Run();
            LeaveUsage(session, bucket);
            session.Connection.Prepare("DELETE FROM buckets WHERE id = ?1").Bind(1, bucket.Value).Run();
            session.RemoveBucket(bucket);
            return true;
        }, ct);

    private static List<UploadId> ListUploads(SqliteConnection connection, BucketId bucket)
    {
        var query = connection.Prepare("SELECT upload FROM uploads WHERE bucket = ?1").Bind(1, bucket.Value);
        var uploads = new List<UploadId>();
        while (query.Step()) uploads.Add(UploadId.Read(query.Bytes(0)));
        return uploads;
    }

    /// <summary>Whether or not the commit succeeds: a cache may forget too much, never too little.</summary>
    private void ForgetAtEnd(WriteSession session, BucketId bucket)
    {
        var query = session.Connection.Prepare("SELECT name FROM buckets WHERE id = ?1").Bind(1, bucket.Value);
        query.Step();
        var name = query.Text(0);
        query.Reset();
        session.OnEnd(() => _buckets.Forget(name));
    }

    private static BucketRecord? FindBucket(SqliteConnection connection, string name)
    {
        var query = connection.Prepare($"SELECT {BucketColumns} FROM buckets WHERE name = ?1").BindText(1, name);
        if (!query.Step()) return null;
        var bucket = ReadBucket(connection, query);
        query.Reset();
        return bucket;
    }

    private static BucketRecord ReadBucket(SqliteConnection connection, SqliteStatement row)
    {
        var id = new BucketId(row.Long(0));
        var query = connection.Prepare("SELECT kind, document FROM bucket_settings WHERE bucket = ?1 AND id = ''").Bind(1, id.Value);
        var settings = ImmutableArray.CreateBuilder<BucketSetting>();
        while (query.Step()) settings.Add(new(query.Text(0), "", query.Text(1)));
        return new(id, row.Text(1), row.Text(2), row.Text(3), DateTimeOffset.FromUnixTimeMilliseconds(row.Long(4)), (BucketVersioning)row.Long(5), row.Long(6), settings.ToImmutable());
    }

    private static void PutSetting(SqliteConnection connection, BucketId bucket, string kind, string id, string document) =>
        connection.Prepare("INSERT OR REPLACE INTO bucket_settings (bucket, kind, id, document) VALUES (?1, ?2, ?3, ?4)")
            .Bind(1, bucket.Value).BindText(2, kind).BindText(3, id).BindText(4, document).Run();

    private static void RequireRoom(SqliteConnection connection, BucketId bucket, BucketSettingChange added)
    {
        var others = connection.Prepare("SELECT count(*) FROM bucket_settings WHERE bucket = ?1 AND kind = ?2 AND id <> ?3")
            .Bind(1, bucket.Value).BindText(2, added.Kind).BindText(3, added.Id);
        others.Step();
        var count = others.Long(0);
        others.Reset();
        if (count >= BucketSettings.WithIdMax) throw new StorageException(StorageError.TooManySettings, $"A bucket has at most {BucketSettings.WithIdMax} settings of this kind.");
    }
}
