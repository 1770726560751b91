using System.Runtime.InteropServices;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;

namespace DarkStorage.Metadata.Sqlite;

/// <summary>The writer's connection and what it knows by heart. Lives on the writer's thread alone.</summary>
internal sealed class WriteSession : IDisposable
{
    private readonly Dictionary<(BucketId Bucket, UsageMonth Month, string StorageClass), (long Objects, long Bytes, Int128 Moment)> _usage = [];
    private readonly Dictionary<BucketId, long> _buckets = [];
    private readonly List<Action> _onEnd = [];
    private readonly List<int> _changing = [];
    private readonly ObjectCache _cache;

    public WriteSession(SqliteConnection connection, ObjectCache cache)
    {
        Connection = connection;
        _cache = cache;
        LoadBuckets();
    }

    public SqliteConnection Connection { get; }

    /// <summary>Runs when the transaction has ended, well or not, and before anybody is told.</summary>
    public void OnEnd(Action action) => _onEnd.Add(action);

    public void Begin() => Connection.Execute("BEGIN IMMEDIATE");

    public void Commit()
    {
        WriteUsage();
        Connection.Execute("COMMIT");
        End();
    }

    public void Rollback()
    {
        _usage.Clear();
        if (Connection.InTransaction) Connection.Execute("ROLLBACK");
        LoadBuckets();
        End();
    }

    /// <summary>Throws unless the bucket is there, at that revision of its record. This process is the only writer, so what it remembers is so.</summary>
    /// <param name="revision">Null for any.</param>
    public void RequireBucket(BucketId bucket, long? revision = null)
    {
        if (!_buckets.TryGetValue(bucket, out var found)) throw new StorageException(StorageError.NoSuchBucket, $"Bucket {bucket} is gone.");
        if (revision is { } expected && expected != found) throw new StorageException(StorageError.Conflict, $"The bucket is at revision {found}, not {expected}.");
    }

    /// <summary>Notes a bucket that was made or changed.</summary>
    public void NoteBucket(BucketId bucket, long revision) => _buckets[bucket] = revision;

    public bool HasBucket(BucketId bucket) => _buckets.ContainsKey(bucket);

    public void RemoveBucket(BucketId bucket) => _buckets.Remove(bucket);

    /// <summary>To be called before an object's row is written: readers are to look at the database until the transaction has ended.</summary>
    public void ChangeObject(BucketId bucket, string key) => _changing.Add(_cache.BeginChange(bucket, key));

    /// <summary>Counts a change; all of a transaction's are written at once.</summary>
    public void CountUsage(BucketId bucket, string storageClass, DateTimeOffset time, int objects, long bytes)
    {
        var month = UsageMonth.Of(time);
        ref var sum = ref CollectionsMarshal.GetValueRefOrAddDefault(_usage, (bucket, month, storageClass), out _);
        sum = (sum.Objects + objects, sum.Bytes + bytes, sum.Moment + ((Int128)bytes * (time.ToUnixTimeMilliseconds() - month.Begin.ToUnixTimeMilliseconds())));
    }

    /// <summary>Writes what was counted until now.</summary>
    public void WriteUsage()
    {
        foreach (var ((bucket, month, storageClass), (objects, bytes, moment)) in _usage)
        {
            if (objects == 0 && bytes == 0 && moment == 0) continue;
            Connection.Prepare(UsageRow.AddChange)
                .Bind(1, bucket.Value).Bind(2, month.Number).BindText(3, storageClass).Bind(4, objects).Bind(5, bytes).Bind(6, UsageRow.HighOf(moment)).Bind(7, UsageRow.LowOf(moment)).Run();
        }
        _usage.Clear();
    }

    public void AddBlob(BlobId blob)
    {
        Span<byte> id = stackalloc byte[BlobId.ByteLength];
        blob.Write(id);
        Connection.Prepare("INSERT INTO blobs (blob) VALUES (?1)").Bind(1, id).Run();
    }

    /// <summary>Makes a blob outside a version's that was entered before it was put there.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.Conflict"/>: it is being deleted, or was.</exception>
    public void ClaimBlob(BlobId blob)
    {
        Span<byte> id = stackalloc byte[BlobId.ByteLength];
        blob.Write(id);
        Connection.Prepare("UPDATE blobs SET freed = NULL WHERE blob = ?1 AND place IS NOT NULL AND freed > 0").Bind(1, id).Run();
        if (Connection.Changes == 0) throw new StorageException(StorageError.Conflict, $"Blob {blob} took too long, and is being deleted.");
    }

    public void FreeBlob(BlobId blob, DateTimeOffset now)
    {
        Span<byte> id = stackalloc byte[BlobId.ByteLength];
        blob.Write(id);
        Connection.Prepare("UPDATE blobs SET freed = ?2 WHERE blob = ?1").Bind(1, id).Bind(2, now.ToUnixTimeMilliseconds()).Run();
    }

    public void Dispose() => Connection.Dispose();

    private void End()
    {
        foreach (var stripe in _changing) _cache.EndChange(stripe);
        _changing.Clear();
        foreach (var action in _onEnd) action();
        _onEnd.Clear();
    }

    private void LoadBuckets()
    {
        _buckets.Clear();
        var all = Connection.Prepare("SELECT id, revision FROM buckets");
        while (all.Step()) _buckets.Add(new(all.Long(0)), all.Long(1));
    }
}
