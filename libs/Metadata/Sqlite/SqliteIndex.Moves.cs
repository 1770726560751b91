using System.Text;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.GrainInterfaces.Tiers;

namespace DarkStorage.Metadata.Sqlite;

public sealed partial class SqliteIndex
{
    private const string SelectMoves = """
        SELECT m.bucket, m.key, m.version, m.storage_class, m.origin, b.name, m.asked, m.due, m.attempts, m.failure
        FROM moves m LEFT JOIN buckets b ON b.id = m.bucket
        """;

    private const string OfVersion = "bucket = ?1 AND key = ?2 AND version = ?3";

    public Task EnterPlacedBlobAsync(BlobId blob, string place, DateTimeOffset until, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            Span<byte> id = stackalloc byte[BlobId.ByteLength];
            blob.Write(id);
            session.Connection.Prepare("INSERT INTO blobs (blob, freed, place) VALUES (?1, ?2, ?3)").Bind(1, id).Bind(2, until.ToUnixTimeMilliseconds()).BindText(3, place).Run();
            return true;
        }, ct);

    public Task<bool> RenewPlacedBlobAsync(BlobId blob, DateTimeOffset until, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            Span<byte> id = stackalloc byte[BlobId.ByteLength];
            blob.Write(id);
            session.Connection.Prepare("UPDATE blobs SET freed = ?2 WHERE blob = ?1 AND place IS NOT NULL AND freed > 0").Bind(1, id).Bind(2, until.ToUnixTimeMilliseconds()).Run();
            return session.Connection.Changes > 0;
        }, ct);

    public Task<IReadOnlyList<BlobId>> TakePlacedGarbageAsync(string place, DateTimeOffset freedBefore, DateTimeOffset now, int max, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            var query = session.Connection.Prepare("UPDATE blobs SET freed = -?4 WHERE blob IN (SELECT blob FROM blobs WHERE place = ?1 AND abs(freed) < ?2 ORDER BY abs(freed) LIMIT ?3) RETURNING blob")
                .BindText(1, place).Bind(2, freedBefore.ToUnixTimeMilliseconds()).Bind(3, max).Bind(4, now.ToUnixTimeMilliseconds());
            var garbage = new List<BlobId>();
            while (query.Step()) garbage.Add(BlobId.Read(query.Bytes(0)));
            return (IReadOnlyList<BlobId>)garbage;
        }, ct);

    public ValueTask<bool> IsPlaceInUseAsync(string place, CancellationToken ct) => HasBlobsAsync("freed IS NULL OR freed > 0", place, ct);

    public ValueTask<bool> HasTakenGarbageAsync(string place, CancellationToken ct) => HasBlobsAsync("freed < 0", place, ct);

    private ValueTask<bool> HasBlobsAsync(string condition, string place, CancellationToken ct) =>
        ReadAsync((condition, place), static (connection, of) =>
        {
            var query = connection.Prepare($"SELECT 1 FROM blobs WHERE place = ?1 AND ({of.condition}) LIMIT 1").BindText(1, of.place);
            var has = query.Step();
            query.Reset();
            return has;
        }, ct);

    public Task<long> ForgetPlaceAsync(string place, int max, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            session.Connection.Prepare("DELETE FROM blobs WHERE blob IN (SELECT blob FROM blobs WHERE place = ?1 AND freed < 0 LIMIT ?2)").BindText(1, place).Bind(2, max).Run();
            return (long)session.Connection.Changes;
        }, ct);

    public Task<IReadOnlyList<MoveWish>> WishMovesAsync(IReadOnlyList<MoveWish> wishes, DateTimeOffset now, CancellationToken ct) =>
        _writer.WriteAsync(session => (IReadOnlyList<MoveWish>)[.. wishes.Where(wish =>
        {
            Wish(session.Connection, wish, now);
            return session.Connection.Changes > 0;
        })], ct);

    public Task<IReadOnlyList<Move>> TakeMovesAsync(DateTimeOffset now, DateTimeOffset until, IReadOnlyCollection<string> storageClasses, int max, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            // Class by class: those that are left alone may have very many.
            var moves = storageClasses.SelectMany(storageClass => ReadMoves(session.Connection.Prepare($"{SelectMoves} WHERE m.storage_class = ?3 AND m.due <= ?1 ORDER BY m.due LIMIT ?2")
                .Bind(1, now.ToUnixTimeMilliseconds()).Bind(2, max).BindText(3, storageClass))).OrderBy(m => m.Due).Take(max).ToList();
            foreach (var move in moves) OfWish(session.Connection, $"UPDATE moves SET due = ?4, attempts = attempts + 1 WHERE {OfVersion}", move.Wish).Bind(4, until.ToUnixTimeMilliseconds()).Run();
            return (IReadOnlyList<Move>)moves.ConvertAll(move => move with { Due = until, Attempts = move.Attempts + 1 });
        }, ct);

    public Task<bool> PutOffMoveAsync(Move move, DateTimeOffset due, string? failure, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            OfMove(session.Connection, "UPDATE moves SET due = ?7, failure = nullif(coalesce(?8, failure), '')", move).Bind(7, due.ToUnixTimeMilliseconds()).BindText(8, failure).Run();
            return session.Connection.Changes > 0;
        }, ct);

    public Task EndMoveAsync(Move move, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            OfMove(session.Connection, "DELETE FROM moves", move).Run();
            return true;
        }, ct);

    public Task ReplaceMoveAsync(Move move, MoveWish by, DateTimeOffset now, CancellationToken ct) =>
        _writer.WriteAsync(session =>
        {
            OfMove(session.Connection, "UPDATE moves SET storage_class = ?7, origin = ?8, asked = ?9, due = ?9, attempts = 0, failure = NULL", move)
                .BindText(7, by.StorageClass).Bind(8, (long)by.Origin).Bind(9, now.ToUnixTimeMilliseconds()).Run();
            return true;
        }, ct);

    public Task<long> EndMovesAsync(string storageClass, int max, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            session.Connection.Prepare($"DELETE FROM moves WHERE (bucket, key, version) IN (SELECT bucket, key, version FROM moves WHERE storage_class = ?1 AND origin <> {(int)MoveOrigin.Restore} LIMIT ?2)").BindText(1, storageClass).Bind(2, max).Run();
            return (long)session.Connection.Changes;
        }, ct);

    public ValueTask<Move?> FindMoveAsync(BucketId bucket, string key, VersionId version, CancellationToken ct) =>
        ReadAsync(new MoveWish(bucket, key, version, "", MoveOrigin.Operator), static (connection, wish) =>
            ReadMoves(OfWish(connection, $"{SelectMoves} WHERE m.bucket = ?1 AND m.key = ?2 AND m.version = ?3", wish)).FirstOrDefault(), ct);

    public ValueTask<IReadOnlyList<Move>> ListMovesAsync(int max, CancellationToken ct) =>
        ReadAsync(max, static (connection, max) => (IReadOnlyList<Move>)ReadMoves(connection.Prepare($"{SelectMoves} ORDER BY m.due LIMIT ?1").Bind(1, max)), ct);

    private static void Wish(SqliteConnection connection, MoveWish wish, DateTimeOffset now) =>
        OfWish(connection, $"""
            INSERT INTO moves (bucket, key, version, storage_class, origin, asked, due, attempts) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 0)
            ON CONFLICT (bucket, key, version) DO {WishPrecedence.Replace}
            """, wish).BindText(4, wish.StorageClass).Bind(5, (long)wish.Origin).Bind(6, now.ToUnixTimeMilliseconds()).Run();

    private static void EndMove(SqliteConnection connection, MoveWish wish) => OfWish(connection, $"DELETE FROM moves WHERE {OfVersion} AND storage_class = ?4", wish).BindText(4, wish.StorageClass).Run();

    /// <exception cref="StorageException"><see cref="StorageError.VersionChanged"/>: there is none any more.</exception>
    private static void RequireWish(SqliteConnection connection, MoveWish wish)
    {
        var query = OfWish(connection, $"SELECT 1 FROM moves WHERE {OfVersion} AND storage_class = ?4", wish).BindText(4, wish.StorageClass);
        var isThere = query.Step();
        query.Reset();
        if (!isThere) throw new StorageException(StorageError.VersionChanged, "Nobody wants it there any more.");
    }

    private static SqliteStatement OfMove(SqliteConnection connection, string change, Move move) =>
        OfWish(connection, $"{change} WHERE {OfVersion} AND storage_class = ?4 AND origin = ?5 AND asked = ?6", move.Wish)
            .BindText(4, move.Wish.StorageClass).Bind(5, (long)move.Wish.Origin).Bind(6, move.Asked.ToUnixTimeMilliseconds());

    private static SqliteStatement OfWish(SqliteConnection connection, string sql, MoveWish wish)
    {
        Span<byte> version = stackalloc byte[VersionId.ByteLength];
        wish.Version.Write(version);
        return connection.Prepare(sql).Bind(1, wish.Bucket.Value).BindKey(2, wish.Key).Bind(3, version);
    }

    private static List<Move> ReadMoves(SqliteStatement query)
    {
        var moves = new List<Move>();
        while (query.Step())
        {
            moves.Add(new(
                new(new BucketId(query.Long(0)), Encoding.UTF8.GetString(query.Bytes(1)), VersionId.Read(query.Bytes(2)), query.Text(3), (MoveOrigin)query.Long(4)),
                query.IsNull(5) ? null : query.Text(5), DateTimeOffset.FromUnixTimeMilliseconds(query.Long(6)), DateTimeOffset.FromUnixTimeMilliseconds(query.Long(7)), (int)query.Long(8),
                query.IsNull(9) ? null : query.Text(9)));
        }
        return moves;
    }
}
