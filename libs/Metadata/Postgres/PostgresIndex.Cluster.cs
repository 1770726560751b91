using DarkStorage.GrainInterfaces.Objects;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

public sealed partial class PostgresIndex
{
    public event Action<string?>? Changed
    {
        add => _watch.DocumentChanged += value;
        remove => _watch.DocumentChanged -= value;
    }

    public async Task JoinAsync(ClusterNode node, DateTimeOffset now, CancellationToken ct)
    {
        var outcome = await WriteAsync(LockOf("node", ""), "SELECT join_node($1, $2, $3, $4, $5, $6)",
            (p, _) => p.Uuid(node.Store).Text(node.Name).Text(node.Zone).Text(node.Address).Int(node.Weight).Time(now), static row => row.GetString(0), ct);
        if (outcome.Length == 0) return;
        var (why, other) = (outcome[..outcome.IndexOf(' ', StringComparison.Ordinal)], outcome[(outcome.IndexOf(' ', StringComparison.Ordinal) + 1)..]);
        throw new InvalidDataException(why == "name"
            ? $"There is a node {other} in the cluster already, with another data folder: each node needs a name of its own (--node). If {other} lost its drive, start with a new name and an empty folder, then take the old one out with DELETE /v1/cluster/nodes/{other}."
            : $"The database is the index of the node {other}; nodes that share one need a cluster secret, each of them.");
    }

    public async ValueTask<IReadOnlyList<ClusterNode>> ListNodesAsync(CancellationToken ct) =>
        await ReadRowsAsync("SELECT store, name, zone, address, weight, seen, moved FROM nodes ORDER BY name", static _ => { },
            static row => new ClusterNode(row.GetGuid(0), row.GetString(1), row.GetString(2), row.IsDBNull(3) ? null : row.GetString(3), row.GetInt32(4)) { LayoutSeen = row.GetInt64(5), LayoutMoved = row.GetInt64(6) }, ct);

    public Task ReportLayoutAsync(Guid store, long seen, long moved, CancellationToken ct) =>
        WriteCountedAsync("node", "", "UPDATE nodes SET seen = greatest(seen, $2), moved = greatest(moved, $3) WHERE store = $1", p => p.Uuid(store).Long(seen).Long(moved), ct);

    public async Task RemoveNodeAsync(Guid store, CancellationToken ct)
    {
        await WriteCountedAsync("node", "", "DELETE FROM nodes WHERE store = $1", p => p.Uuid(store), ct);
        await WriteCountedAsync("repairs", store.ToString(), "DELETE FROM repairs WHERE store = $1", p => p.Uuid(store), ct);
    }

    public ValueTask<ClusterDocument?> ReadDocumentAsync(string name, CancellationToken ct) =>
        ReadFirstAsync("SELECT content, revision FROM documents WHERE name = $1", p => p.Text(name), static row => new ClusterDocument(row.GetFieldValue<byte[]>(0), row.GetInt64(1)), ct);

    public Task<bool> TryReplaceDocumentAsync(string name, ReadOnlyMemory<byte> content, long revision, CancellationToken ct) =>
        WriteAsync(LockOf("document", name), "SELECT replace_document($1, $2, $3)", (p, _) => p.Text(name).Bytes(content).Long(revision), static row => row.GetBoolean(0), ct);

    public Task<bool> TryTakeTurnAsync(string work, Guid store, TimeSpan time, CancellationToken ct) =>
        WriteAsync(LockOf("turn", work), "SELECT take_turn($1, $2, $3)", (p, _) => p.Text(work).Uuid(store).Long((long)time.TotalMilliseconds), static row => row.GetBoolean(0), ct);

    public Task EnqueueRepairAsync(ReplicaRepairRecord repair, DateTimeOffset now, CancellationToken ct) =>
        WriteCountedAsync("repairs", repair.Store.ToString(), """
            INSERT INTO repairs AS r (store, blob, reason, due) VALUES ($1, $2, $3, $4) ON CONFLICT (store, blob) DO UPDATE SET reason = excluded.reason WHERE excluded.reason > r.reason
            """, p => p.Uuid(repair.Store).Uuid(repair.Blob.ToGuid()).Int(repair.Reason).Time(now), ct);

    public async ValueTask<IReadOnlyList<ReplicaRepairRecord>> ListRepairsAsync(Guid store, DateTimeOffset now, int max, CancellationToken ct) =>
        await ReadRowsAsync("SELECT blob, reason FROM repairs WHERE store = $1 AND due <= $2 ORDER BY due LIMIT $3", p => p.Uuid(store).Time(now).Long(max),
            row => new ReplicaRepairRecord(row.GetGuid(0).ToBlob(), store, row.GetInt32(1)), ct);

    public Task EndRepairsAsync(Guid store, IReadOnlyList<BlobId> blobs, CancellationToken ct) =>
        WriteCountedAsync("repairs", store.ToString(), "DELETE FROM repairs WHERE store = $1 AND blob = ANY ($2)", p => p.Uuid(store).Uuids([.. blobs.Select(b => b.ToGuid())]), ct);

    public Task DelayRepairsAsync(Guid store, IReadOnlyList<BlobId> blobs, DateTimeOffset due, CancellationToken ct) =>
        WriteCountedAsync("repairs", store.ToString(), "UPDATE repairs SET due = $3 WHERE store = $1 AND blob = ANY ($2)", p => p.Uuid(store).Uuids([.. blobs.Select(b => b.ToGuid())]).Time(due), ct);

    public async ValueTask<IReadOnlyList<BlobId>> FindNeededBlobsAsync(IReadOnlyList<BlobId> blobs, CancellationToken ct) =>
        await ReadRowsAsync("SELECT asked.blob FROM unnest($1) WITH ORDINALITY AS asked (blob, place) WHERE EXISTS (SELECT 1 FROM blobs b WHERE b.blob = asked.blob AND b.freed IS NULL) ORDER BY place",
            p => p.Uuids([.. blobs.Select(b => b.ToGuid())]), static row => row.GetGuid(0).ToBlob(), ct);

    public ValueTask<long> CountRepairsAsync(Guid store, CancellationToken ct) =>
        ReadAsync("SELECT count(*) FROM repairs WHERE store = $1", p => p.Uuid(store), static async (rows, ct) =>
        {
            await rows.ReadAsync(ct);
            return rows.GetInt64(0);
        }, ct);
}
