using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

public sealed partial class PostgresIndex
{
    private const string MoveColumns = "m.bucket, m.key, m.version, m.storage_class, m.origin, b.name, m.asked, m.due, m.attempts, m.failure";

    private const string SelectMoves = $"SELECT {MoveColumns} FROM moves m LEFT JOIN buckets b ON b.id = m.bucket";

    private const string OfVersion = "bucket = $1 AND key = $2 AND version = $3";

    public async Task<bool> EnterPlacedBlobAsync(BlobId blob, string place, DateTimeOffset until, CancellationToken ct) =>
        await WriteCountedAsync("placed", blob.ToString(), """
            INSERT INTO blobs AS b (blob, freed, place) VALUES ($1, $2, $3)
            ON CONFLICT (blob) DO UPDATE SET freed = excluded.freed WHERE b.freed > 0 AND b.place = excluded.place
            """, p => p.Uuid(blob.ToGuid()).Time(until).Text(place), ct) > 0;

    public async Task<IReadOnlyList<BlobId>> TakePlacedGarbageAsync(string place, DateTimeOffset freedBefore, int max, CancellationToken ct) =>
        [.. (await ChangeRowsAsync("placed-garbage", """
            WITH taken AS (
                UPDATE blobs SET freed = 0 FROM (SELECT blob FROM blobs WHERE place = $1 AND freed < $2 LIMIT $3 FOR UPDATE SKIP LOCKED) AS found
                WHERE blobs.blob = found.blob RETURNING blobs.blob)
            SELECT coalesce(array_agg(blob), '{}') FROM taken
            """, p => p.Text(place).Time(freedBefore).Long(max), static row => row.GetFieldValue<Guid[]>(0), ct)).Select(static blob => blob.ToBlob())];

    public async ValueTask<bool> IsPlaceInUseAsync(string place, CancellationToken ct) =>
        await ReadFirstAsync("SELECT place FROM blobs WHERE place = $1 LIMIT 1", p => p.Text(place), static row => row.GetString(0), ct) is not null;

    public Task WishMovesAsync(IReadOnlyList<MoveWish> wishes, DateTimeOffset now, CancellationToken ct)
    {
        // In one order for all, so that two that wish for the same do not wait for each other.
        var ordered = wishes.DistinctBy(w => (w.Bucket, w.Key, w.Version)).OrderBy(w => w.Bucket.Value).ThenBy(w => w.Key, StringComparer.Ordinal).ThenBy(w => w.Version.ToGuid()).ToArray();
        return WriteCountedAsync("moves", "", $"""
            INSERT INTO moves AS m (bucket, key, version, storage_class, origin, asked, due, attempts)
            SELECT bucket, key, version, storage_class, origin, $6, $6, 0 FROM unnest($1, $2, $3, $4, $5) AS w (bucket, key, version, storage_class, origin)
            ON CONFLICT (bucket, key, version) DO UPDATE
            SET storage_class = excluded.storage_class, origin = excluded.origin, asked = excluded.asked, due = excluded.due, attempts = 0, failure = NULL
            WHERE m.storage_class <> excluded.storage_class OR (excluded.origin = {(int)MoveOrigin.Operator} AND m.failure IS NOT NULL)
            """, p => p.Longs([.. ordered.Select(w => w.Bucket.Value)]).BytesOfMany([.. ordered.Select(w => Parameters.KeyBytes(w.Key))]).Uuids([.. ordered.Select(w => w.Version.ToGuid())])
                .Texts([.. ordered.Select(w => w.StorageClass)]).Longs([.. ordered.Select(w => (long)w.Origin)]).Time(now), ct);
    }

    public async Task<IReadOnlyList<Move>> TakeMovesAsync(DateTimeOffset now, DateTimeOffset until, int max, CancellationToken ct)
    {
        var taken = await ChangeRowsAsync("moves", """
            WITH taken AS (
                UPDATE moves m SET due = $2, attempts = m.attempts + 1
                FROM (SELECT bucket, key, version FROM moves WHERE due <= $1 ORDER BY due LIMIT $3 FOR UPDATE SKIP LOCKED) AS found
                WHERE m.bucket = found.bucket AND m.key = found.key AND m.version = found.version RETURNING m.bucket, m.key, m.version)
            SELECT coalesce(array_agg(bucket), '{}'), coalesce(array_agg(key), '{}'), coalesce(array_agg(version), '{}') FROM taken
            """, p => p.Time(now).Time(until).Long(max), static row => (row.GetFieldValue<long[]>(0), row.GetFieldValue<byte[][]>(1), row.GetFieldValue<Guid[]>(2)), ct);
        if (taken.Item1.Length == 0) return [];
        return await ReadRowsAsync($"""
            SELECT {MoveColumns} FROM unnest($1, $2, $3) AS t (bucket, key, version)
            JOIN moves m ON m.bucket = t.bucket AND m.key = t.key AND m.version = t.version LEFT JOIN buckets b ON b.id = m.bucket
            """, p => p.Longs(taken.Item1).BytesOfMany(taken.Item2).Uuids(taken.Item3), ReadMove, ct);
    }

    public Task PutOffMoveAsync(MoveWish wish, DateTimeOffset due, string? failure, CancellationToken ct) =>
        ChangeMoveAsync(wish, $"UPDATE moves SET due = $5, failure = coalesce($6, failure) WHERE {OfVersion} AND storage_class = $4", p => p.Text(wish.StorageClass).Time(due).Text(failure), ct);

    public Task EndMoveAsync(MoveWish wish, CancellationToken ct) =>
        ChangeMoveAsync(wish, $"DELETE FROM moves WHERE {OfVersion} AND storage_class = $4", p => p.Text(wish.StorageClass), ct);

    public ValueTask<Move?> FindMoveAsync(BucketId bucket, string key, VersionId version, CancellationToken ct) =>
        ReadFirstAsync($"{SelectMoves} WHERE m.bucket = $1 AND m.key = $2 AND m.version = $3", p => p.Long(bucket.Value).Key(key).Uuid(version.ToGuid()), ReadMove, ct);

    public async ValueTask<IReadOnlyList<Move>> ListMovesAsync(int max, CancellationToken ct) =>
        await ReadRowsAsync($"{SelectMoves} ORDER BY m.due LIMIT $1", p => p.Long(max), ReadMove, ct);

    private Task<long> ChangeMoveAsync(MoveWish wish, string change, Action<NpgsqlParameterCollection> bind, CancellationToken ct) =>
        WriteCountedAsync("move", wish.Version.ToString(), change, p => bind(p.Long(wish.Bucket.Value).Key(wish.Key).Uuid(wish.Version.ToGuid())), ct);

    /// <summary>Runs a change whose one row says what was changed.</summary>
    private Task<T> ChangeRowsAsync<T>(string kind, string change, Action<NpgsqlParameterCollection> bind, Func<NpgsqlDataReader, T> read, CancellationToken ct) =>
        WriteAsync(LockOf(kind, ""), isAlone: true, change, (p, _) => bind(p), read, ct);

    private static Move ReadMove(NpgsqlDataReader row) => new(
        new(new BucketId(row.GetInt64(0)), Encoding.UTF8.GetString(row.GetFieldValue<byte[]>(1)), row.GetGuid(2).ToVersion(), row.GetString(3), (MoveOrigin)row.GetInt32(4)),
        row.IsDBNull(5) ? null : row.GetString(5), DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(6)), DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(7)), row.GetInt32(8),
        row.IsDBNull(9) ? null : row.GetString(9));
}
