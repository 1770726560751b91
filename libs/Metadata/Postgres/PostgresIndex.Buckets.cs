using System.Collections.Immutable;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Buckets;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

public sealed partial class PostgresIndex
{
    private const string BucketColumns = """
        id, name, owner, region, created, versioning, revision,
        ARRAY (SELECT kind FROM bucket_settings s WHERE s.bucket = b.id AND s.id = '' ORDER BY kind), ARRAY (SELECT document FROM bucket_settings s WHERE s.bucket = b.id AND s.id = '' ORDER BY kind)
        """;

    public async ValueTask<BucketRecord?> FindBucketAsync(string name, CancellationToken ct)
    {
        if (name.Contains('\0', StringComparison.Ordinal)) return null; // which no text of PostgreSQL has
        if (_watch.Hears && _buckets.TryGet(name, out var known)) return known;
        var before = _buckets.Changes;
        var found = await ReadFirstAsync($"SELECT {BucketColumns} FROM buckets b WHERE name = $1", p => p.Text(name), ReadBucket, ct);
        if (found is not null && _watch.Hears) _buckets.Keep(found, before);
        return found;
    }

    public async ValueTask<IReadOnlyList<BucketRecord>> ListBucketsAsync(string? owner, string prefix, string after, int max, CancellationToken ct) =>
        // Names are ASCII, so the first text that no longer has the prefix is the prefix and the highest ASCII character.
        await ReadRowsAsync($"""
            SELECT {BucketColumns} FROM buckets b
            WHERE name > $1 AND name >= $2 AND name < $2 || chr(127) AND ($3::text IS NULL OR owner = $3) ORDER BY name LIMIT $4
            """, p => p.Text(after).Text(prefix).Text(owner).Long(max), ReadBucket, ct);

    public async Task<BucketRecord> CreateBucketAsync(string name, BucketCreation creation, DateTimeOffset created, CancellationToken ct)
    {
        var id = await WriteAsync(LockOf("bucket", name), "SELECT create_bucket($1, $2, $3, $4, $5, $6, $7, $8)", (p, _) => p
            .Text(name).Text(creation.Owner).Text(creation.Region).Time(created).Int((int)creation.Versioning)
            .Texts([.. creation.Settings.Select(s => s.Kind)]).Texts([.. creation.Settings.Select(s => s.Id)]).Texts([.. creation.Settings.Select(s => s.Document)]),
            row => row.IsDBNull(0) ? throw new StorageException(StorageError.BucketAlreadyExists, $"Bucket {name} exists.") : row.GetInt64(0), ct);
        return new(new(id), name, creation.Owner, creation.Region, DateTimeOffset.FromUnixTimeMilliseconds(created.ToUnixTimeMilliseconds()), creation.Versioning, 0, creation.Settings);
    }

    public async Task<BucketRecord> UpdateBucketAsync(BucketChange change, CancellationToken ct)
    {
        try
        {
            await WriteAsync(LockOf("settings", change.Bucket.ToString()), isAlone: true, "SELECT update_bucket($1, $2, $3, $4, $5, $6, $7)", (p, _) => p
                .Long(change.Bucket.Value).Long(change.ExpectedRevision).Int((int?)change.Versioning)
                .Text(change.Setting?.Kind).Text(change.Setting?.Id).Text(change.Setting?.Document).Long(BucketSettings.WithIdMax), OutcomeOf, ct);
        }
        finally
        {
            _buckets.Forget(change.Bucket);
        }
        return await ReadFirstAsync($"SELECT {BucketColumns} FROM buckets b WHERE id = $1", p => p.Long(change.Bucket.Value), ReadBucket, ct)
            ?? throw new StorageException(StorageError.NoSuchBucket, $"Bucket {change.Bucket} is gone.");
    }

    public async ValueTask<IReadOnlyList<BucketSetting>> ListSettingsAsync(BucketId bucket, string kind, string afterId, int max, CancellationToken ct) =>
        await ReadRowsAsync("SELECT kind, id, document FROM bucket_settings WHERE bucket = $1 AND kind = $2 AND id > $3 ORDER BY id LIMIT $4",
            p => p.Long(bucket.Value).Text(kind).Text(afterId).Long(max), static row => new BucketSetting(row.GetString(0), row.GetString(1), row.GetString(2)), ct);

    public async Task DeleteBucketAsync(BucketId bucket, DateTimeOffset now, CancellationToken ct)
    {
        try
        {
            await WriteAsync(LockOf("settings", bucket.ToString()), isAlone: true, "SELECT delete_bucket($1, $2)", (p, _) => p.Long(bucket.Value).Time(now), OutcomeOf, ct);
        }
        finally
        {
            _buckets.Forget(bucket);
        }
    }

    private static BucketRecord ReadBucket(NpgsqlDataReader row)
    {
        var (kinds, documents) = (row.GetFieldValue<string[]>(7), row.GetFieldValue<string[]>(8));
        var settings = ImmutableArray.CreateBuilder<BucketSetting>(kinds.Length);
        for (var i = 0; i < kinds.Length; i++) settings.Add(new(kinds[i], "", documents[i]));
        return new(new(row.GetInt64(0)), row.GetString(1), row.GetString(2), row.GetString(3), DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(4)),
            (BucketVersioning)row.GetInt32(5), row.GetInt64(6), settings.MoveToImmutable());
    }
}
