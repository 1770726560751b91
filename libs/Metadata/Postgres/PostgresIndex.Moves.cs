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

    private const string OfMove = "bucket = $1 AND key = $2 AND version = $3 AND storage_class = $4 AND origin = $5 AND asked = $6";

    public Task EnterPlacedBlobAsync(BlobId blob, string place, DateTimeOffset until, CancellationToken ct) =>
        ChangeAloneAsync("placed", "INSERT INTO blobs (blob, freed, place) VALUES ($1, $2, $3) RETURNING 1", p => p.Uuid(blob.ToGuid()).Time(until).Text(place), static _ => true, ct);

    public Task<bool> RenewPlacedBlobAsync(BlobId blob, DateTimeOffset until, CancellationToken ct) =>
        ChangeAloneAsync("placed", "WITH renewed AS (UPDATE blobs SET freed = $2 WHERE blob = $1 AND place IS NOT NULL AND freed > 0 RETURNING 1) SELECT count(*) FROM renewed",
            p => p.Uuid(blob.ToGuid()).Time(until), static row => row.GetInt64(0) > 0, ct);

    public async Task<IReadOnlyList<BlobId>> TakePlacedGarbageAsync(string place, DateTimeOffset freedBefore, DateTimeOffset now, int max, CancellationToken ct) =>
        [.. (await ChangeAloneAsync("placed", """
            WITH taken AS (
                UPDATE blobs SET freed = -$4 FROM (SELECT blob FROM blobs WHERE place = $1 AND abs(freed) < $2 ORDER BY abs(freed) LIMIT $3 FOR UPDATE SKIP LOCKED) AS found
                WHERE blobs.blob = found.blob RETURNING blobs.blob)
            SELECT coalesce(array_agg(blob), '{}') FROM taken
            """, p => p.Text(place).Time(freedBefore).Long(max).Time(now), static row => row.GetFieldValue<Guid[]>(0), ct)).Select(static blob => blob.ToBlob())];

    public ValueTask<bool> IsPlaceInUseAsync(string place, CancellationToken ct) => HasBlobsAsync("freed IS NULL OR freed > 0", place, ct);

    public ValueTask<bool> HasTakenGarbageAsync(string place, CancellationToken ct) => HasBlobsAsync("freed < 0", place, ct);

    private async ValueTask<bool> HasBlobsAsync(string condition, string place, CancellationToken ct) =>
        await ReadFirstAsync($"SELECT place FROM blobs WHERE place = $1 AND ({condition}) LIMIT 1", p => p.Text(place), static row => row.GetString(0), ct) is not null;

    public Task<long> ForgetPlaceAsync(string place, int max, CancellationToken ct) =>
        ChangeAloneAsync("placed", """
            WITH forgotten AS (DELETE FROM blobs WHERE blob = ANY (ARRAY (SELECT blob FROM blobs WHERE place = $1 AND freed < 0 LIMIT $2 FOR UPDATE SKIP LOCKED)) RETURNING 1)
            SELECT count(*) FROM forgotten
            """, p => p.Text(place).Long(max), static row => row.GetInt64(0), ct);

    public async Task<IReadOnlyList<MoveWish>> WishMovesAsync(IReadOnlyList<MoveWish> wishes, DateTimeOffset now, CancellationToken ct)
    {
        // Locked in the order in which batches lock them.
        var ordered = wishes.Select(w => (Wish: w, Key: Parameters.KeyBytes(w.Key))).OrderBy(w => LockOf(w.Wish.Bucket.Value, w.Key)).ToArray();
        var noted = await ChangeAloneAsync("moves", $"""
            WITH wished AS (
                INSERT INTO moves (bucket, key, version, storage_class, origin, asked, due, attempts)
                SELECT bucket, key, version, storage_class, origin, $6, $6, 0 FROM unnest($1, $2, $3, $4, $5) AS w (bucket, key, version, storage_class, origin)
                ON CONFLICT (bucket, key, version) DO {WishPrecedence.Replace}
                RETURNING bucket, key, version)
            -- As places in what was given, counted from 1.
            SELECT coalesce(array_agg(w.place), ARRAY[]::bigint[]) FROM unnest($1, $2, $3) WITH ORDINALITY AS w (bucket, key, version, place) JOIN wished USING (bucket, key, version)
            """, p => p.Longs([.. ordered.Select(w => w.Wish.Bucket.Value)]).BytesOfMany([.. ordered.Select(w => w.Key)]).Uuids([.. ordered.Select(w => w.Wish.Version.ToGuid())])
                .Texts([.. ordered.Select(w => w.Wish.StorageClass)]).Longs([.. ordered.Select(w => (long)w.Wish.Origin)]).Time(now), static row => row.GetFieldValue<long[]>(0), ct);
        return [.. noted.Order().Select(place => ordered[place - 1].Wish)];
    }

    public async Task<IReadOnlyList<Move>> TakeMovesAsync(DateTimeOffset now, DateTimeOffset until, IReadOnlyCollection<string> storageClasses, int max, CancellationToken ct)
    {
        var taken = await ChangeAloneAsync("moves", """
            WITH taken AS (
                UPDATE moves m SET due = $2, attempts = m.attempts + 1
                -- Class by class: those that are left alone may have very many.
                FROM (
                    SELECT f.bucket, f.key, f.version FROM unnest($4) AS c (storage_class) CROSS JOIN LATERAL (
                        SELECT w.bucket, w.key, w.version, w.due FROM moves w WHERE w.storage_class = c.storage_class AND w.due <= $1 ORDER BY w.due LIMIT $3 FOR UPDATE SKIP LOCKED) AS f
                    ORDER BY f.due LIMIT $3) AS found
                WHERE m.bucket = found.bucket AND m.key = found.key AND m.version = found.version RETURNING m.bucket, m.key, m.version)
            SELECT coalesce(array_agg(bucket), '{}'), coalesce(array_agg(key), '{}'), coalesce(array_agg(version), '{}') FROM taken
            """, p => p.Time(now).Time(until).Long(max).Texts([.. storageClasses]), static row => (row.GetFieldValue<long[]>(0), row.GetFieldValue<byte[][]>(1), row.GetFieldValue<Guid[]>(2)), ct);
        if (taken.Item1.Length == 0) return [];
        return await ReadRowsAsync($"""
            SELECT {MoveColumns} FROM unnest($1, $2, $3) AS t (bucket, key, version)
            JOIN moves m ON m.bucket = t.bucket AND m.key = t.key AND m.version = t.version LEFT JOIN buckets b ON b.id = m.bucket
            """, p => p.Longs(taken.Item1).BytesOfMany(taken.Item2).Uuids(taken.Item3), ReadMove, ct);
    }

    public async Task<bool> PutOffMoveAsync(Move move, DateTimeOffset due, string? failure, CancellationToken ct) =>
        await ChangeMoveAsync(move, $"UPDATE moves SET due = $7, failure = nullif(coalesce($8, failure), '') WHERE {OfMove}", p => p.Time(due).Text(failure), ct) > 0;

    public Task EndMoveAsync(Move move, CancellationToken ct) => ChangeMoveAsync(move, $"DELETE FROM moves WHERE {OfMove}", static _ => { }, ct);

    public Task ReplaceMoveAsync(Move move, MoveWish by, DateTimeOffset now, CancellationToken ct) =>
        ChangeMoveAsync(move, $"UPDATE moves SET storage_class = $7, origin = $8, asked = $9, due = $9, attempts = 0, failure = NULL WHERE {OfMove}", p => p.Text(by.StorageClass).Int((int)by.Origin).Time(now), ct);

    public Task<long> EndMovesAsync(string storageClass, int max, CancellationToken ct) =>
        ChangeAloneAsync("moves", $"""
            WITH ended AS (
                DELETE FROM moves m USING (SELECT bucket, key, version FROM moves WHERE storage_class = $1 AND origin <> {(int)MoveOrigin.Restore} LIMIT $2 FOR UPDATE SKIP LOCKED) AS found
                WHERE m.bucket = found.bucket AND m.key = found.key AND m.version = found.version RETURNING 1)
            SELECT count(*) FROM ended
            """, p => p.Text(storageClass).Long(max), static row => row.GetInt64(0), ct);

    public ValueTask<Move?> FindMoveAsync(BucketId bucket, string key, VersionId version, CancellationToken ct) =>
        ReadFirstAsync($"{SelectMoves} WHERE m.bucket = $1 AND m.key = $2 AND m.version = $3", p => p.Long(bucket.Value).Key(key).Uuid(version.ToGuid()), ReadMove, ct);

    public async ValueTask<IReadOnlyList<Move>> ListMovesAsync(int max, CancellationToken ct) =>
        await ReadRowsAsync($"{SelectMoves} ORDER BY m.due LIMIT $1", p => p.Long(max), ReadMove, ct);

    /// <summary>Under its key's lock, as the change that fulfils the wish is.</summary>
    private Task<long> ChangeMoveAsync(Move move, string change, Action<NpgsqlParameterCollection> bind, CancellationToken ct)
    {
        var wish = move.Wish;
        var key = Parameters.KeyBytes(wish.Key);
        return WriteAsync(LockOf(wish.Bucket.Value, key), $"WITH changed AS ({change} RETURNING 1) SELECT count(*) FROM changed",
            (p, _) => bind(p.Long(wish.Bucket.Value).Bytes(key).Uuid(wish.Version.ToGuid()).Text(wish.StorageClass).Int((int)wish.Origin).Time(move.Asked)), static row => row.GetInt64(0), ct);
    }

    /// <summary>A change in a transaction of its own, whose one row says what was changed.</summary>
    private Task<T> ChangeAloneAsync<T>(string kind, string change, Action<NpgsqlParameterCollection> bind, Func<NpgsqlDataReader, T> read, CancellationToken ct) =>
        WriteAsync(LockOf(kind, ""), isAlone: true, change, (p, _) => bind(p), read, ct);

    private static Move ReadMove(NpgsqlDataReader row) => new(
        new(new BucketId(row.GetInt64(0)), Encoding.UTF8.GetString(row.GetFieldValue<byte[]>(1)), row.GetGuid(2).ToVersion(), row.GetString(3), (MoveOrigin)row.GetInt32(4)),
        row.IsDBNull(5) ? null : row.GetString(5), DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(6)), DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(7)), row.GetInt32(8),
        row.IsDBNull(9) ? null : row.GetString(9));
}
