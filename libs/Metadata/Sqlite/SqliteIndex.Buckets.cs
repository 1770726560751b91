using System.Collections.Concurrent;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;

namespace DarkStorage.Metadata.Sqlite;

public sealed partial class SqliteIndex
{
    private const string BucketColumns = "id, name, owner, region, created, versioning";

    /// <summary>Buckets that were asked for lately, since every request asks. This process alone writes the database, so what stands here is so.</summary>
    private readonly ConcurrentDictionary<string, BucketRecord> _bucketCache = new(StringComparer.Ordinal);
    private long _bucketChanges;

    /// <summary>Buckets kept in memory at the most.</summary>
    private const int BucketCacheMax = 10_000;

    public ValueTask<BucketRecord?> FindBucketAsync(string name, CancellationToken ct)
    {
        if (_bucketCache.TryGetValue(name, out var known)) return new(known);
        var before = Interlocked.Read(ref _bucketChanges);
        var found = _readers.Read(name, ReadBucket);
        if (found is not null && _bucketCache.Count < BucketCacheMax)
        {
            _bucketCache[name] = found;
            // A bucket that went between the read and the line above must not stay.
            if (Interlocked.Read(ref _bucketChanges) != before) _bucketCache.TryRemove(name, out _);
        }
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
            while (query.Step()) buckets.Add(ReadBucket(query));
            return (IReadOnlyList<BucketRecord>)buckets;
        }, ct);

    public Task<BucketRecord> CreateBucketAsync(string name, string owner, string region, DateTimeOffset created, CancellationToken ct) =>
        _writer.WriteAsync(session =>
        {
            var existing = session.Connection.Prepare("SELECT 1 FROM buckets WHERE name = ?1").BindText(1, name);
            if (existing.Step())
            {
                existing.Reset();
                throw new StorageException(StorageError.BucketAlreadyExists, $"Bucket {name} exists.");
            }
            session.Connection.Prepare("INSERT INTO buckets (name, owner, region, created, versioning) VALUES (?1, ?2, ?3, ?4, 0)")
                .BindText(1, name).BindText(2, owner).BindText(3, region).Bind(4, created.ToUnixTimeMilliseconds()).Run();
            var id = new BucketId(session.Connection.LastInsertRowId);
            session.AddBucket(id);
            return new BucketRecord(id, name, owner, region, DateTimeOffset.FromUnixTimeMilliseconds(created.ToUnixTimeMilliseconds()), BucketVersioning.Off);
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
            session.Connection.Prepare("DELETE FROM buckets WHERE id = ?1").Bind(1, bucket.Value).Run();
            session.RemoveBucket(bucket);
            // Whether or not the commit succeeds: a cache may forget too much, never too little.
            session.OnEnd(ForgetBuckets);
            return true;
        }, ct);

    public ValueTask<BucketUsage> GetUsageAsync(BucketId bucket, CancellationToken ct) =>
        ReadAsync(bucket, static (connection, bucket) =>
        {
            var query = connection.Prepare("SELECT objects, bytes FROM buckets WHERE id = ?1").Bind(1, bucket.Value);
            if (!query.Step()) return default;
            var usage = new BucketUsage(query.Long(0), query.Long(1));
            query.Reset();
            return usage;
        }, ct);

    private static List<UploadId> ListUploads(SqliteConnection connection, BucketId bucket)
    {
        var query = connection.Prepare("SELECT upload FROM uploads WHERE bucket = ?1").Bind(1, bucket.Value);
        var uploads = new List<UploadId>();
        while (query.Step()) uploads.Add(UploadId.Read(query.Bytes(0)));
        return uploads;
    }

    private void ForgetBuckets()
    {
        Interlocked.Increment(ref _bucketChanges);
        _bucketCache.Clear();
    }

    private static BucketRecord? ReadBucket(SqliteConnection connection, string name)
    {
        var query = connection.Prepare($"SELECT {BucketColumns} FROM buckets WHERE name = ?1").BindText(1, name);
        if (!query.Step()) return null;
        var bucket = ReadBucket(query);
        query.Reset();
        return bucket;
    }

    private static BucketRecord ReadBucket(SqliteStatement row) => new(
        new(row.Long(0)), row.Text(1), row.Text(2), row.Text(3), DateTimeOffset.FromUnixTimeMilliseconds(row.Long(4)), (BucketVersioning)row.Long(5));
}
