using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Metadata.Sqlite;

public sealed partial class SqliteIndex
{
    public ValueTask<IReadOnlyList<BlobId>> ListGarbageAsync(DateTimeOffset freedBefore, int max, CancellationToken ct) =>
        ReadAsync((freedBefore, max), static (connection, q) =>
        {
            var query = connection.Prepare("SELECT blob FROM blobs WHERE freed IS NOT NULL AND place IS NULL AND freed < ?1 ORDER BY freed LIMIT ?2")
                .Bind(1, q.freedBefore.ToUnixTimeMilliseconds()).Bind(2, q.max);
            var blobs = new List<BlobId>();
            while (query.Step()) blobs.Add(BlobId.Read(query.Bytes(0)));
            return (IReadOnlyList<BlobId>)blobs;
        }, ct);

    public Task ForgetGarbageAsync(IReadOnlyList<BlobId> blobs, CancellationToken ct) =>
        _writer.RemoveAsync(session =>
        {
            Span<byte> id = stackalloc byte[BlobId.ByteLength];
            foreach (var blob in blobs)
            {
                blob.Write(id);
                session.Connection.Prepare("DELETE FROM blobs WHERE blob = ?1 AND freed IS NOT NULL").Bind(1, id).Run();
            }
            return true;
        }, ct);

    public ValueTask<IReadOnlyList<BlobId>> FindUnknownBlobsAsync(IReadOnlyList<BlobId> blobs, CancellationToken ct) =>
        ReadAsync(blobs, static (connection, blobs) =>
        {
            Span<byte> id = stackalloc byte[BlobId.ByteLength];
            var unknown = new List<BlobId>();
            var query = connection.Prepare("SELECT 1 FROM blobs WHERE blob = ?1");
            foreach (var blob in blobs)
            {
                blob.Write(id);
                if (query.Bind(1, id).Step()) query.Reset();
                else unknown.Add(blob);
            }
            return (IReadOnlyList<BlobId>)unknown;
        }, ct);
}
