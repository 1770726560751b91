using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Metadata.Postgres;

public sealed partial class PostgresIndex
{
    public async ValueTask<IReadOnlyList<BlobId>> ListGarbageAsync(DateTimeOffset freedBefore, int max, CancellationToken ct) =>
        await ReadRowsAsync("SELECT blob FROM blobs WHERE freed IS NOT NULL AND place IS NULL AND freed < $1 ORDER BY freed LIMIT $2", p => p.Time(freedBefore).Long(max), static row => row.GetGuid(0).ToBlob(), ct);

    public Task ForgetGarbageAsync(IReadOnlyList<BlobId> blobs, CancellationToken ct) =>
        WriteCountedAsync("garbage", "", "DELETE FROM blobs WHERE blob = ANY ($1) AND freed IS NOT NULL", p => p.Uuids([.. blobs.Order().Select(b => b.ToGuid())]), ct);

    public async ValueTask<IReadOnlyList<BlobId>> FindUnknownBlobsAsync(IReadOnlyList<BlobId> blobs, CancellationToken ct) =>
        await ReadRowsAsync("SELECT asked.blob FROM unnest($1) WITH ORDINALITY AS asked (blob, place) WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.blob = asked.blob) ORDER BY place",
            p => p.Uuids([.. blobs.Select(b => b.ToGuid())]), static row => row.GetGuid(0).ToBlob(), ct);
}
