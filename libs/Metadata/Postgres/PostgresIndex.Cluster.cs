using DarkStorage.GrainInterfaces.Objects;
using Npgsql;

namespace DarkStorage.Metadata.Postgres;

public sealed partial class PostgresIndex
{
    /// <summary>Changes of the layout that are remembered when they have ended.</summary>
    private const int EndedJobsMax = 64;

    private const int RemovedAtOnceMax = 10_000;

    public event Action<string?>? Changed
    {
        add => _watch.DocumentChanged += value;
        remove => _watch.DocumentChanged -= value;
    }

    public async Task JoinAsync(ClusterNode node, DateTimeOffset now, CancellationToken ct)
    {
        var outcome = await WriteAsync(LockOf("node", ""), "SELECT join_node($1, $2, $3, $4, $5, $6, $7)",
            (p, _) => p.Uuid(node.Store).Text(node.Name).Text(node.Zone).Text(node.Address).Int(node.Weight).Time(now).Int(node.Level), static row => row.GetString(0), ct);
        if (outcome.Length == 0) return;
        var (why, other) = (outcome[..outcome.IndexOf(' ', StringComparison.Ordinal)], outcome[(outcome.IndexOf(' ', StringComparison.Ordinal) + 1)..]);
        if (why == "level") throw new InvalidDataException($"The cluster keeps what takes a program of level {other}, and this one is of level {node.Level}: an older version of DarkStorage can't join it any more.");
        throw new InvalidDataException(why == "name"
            ? $"There is a node {other} in the cluster already, with another data folder: each node needs a name of its own (--node). If {other} lost its drive, say so with POST /v1/cluster/nodes/{other}/replace, and start it again: what it held is made anew from the other copies."
            : $"The database is the index of the node {other}; nodes that share one need a cluster secret, each of them.");
    }

    public async ValueTask<IReadOnlyList<ClusterNode>> ListNodesAsync(CancellationToken ct) =>
        await ReadRowsAsync("SELECT store, name, zone, address, weight, seen, moved, level FROM nodes ORDER BY name", static _ => { },
            static row => new ClusterNode(row.GetGuid(0), row.GetString(1), row.GetString(2), TextOf(row, 3), row.GetInt32(4)) { LayoutSeen = row.GetInt64(5), LayoutMoved = row.GetInt64(6), Level = row.GetInt32(7) }, ct);

    public async Task<bool> ReportLayoutAsync(Guid store, long seen, long moved, CancellationToken ct) =>
        await WriteCountedAsync("node", "", "UPDATE nodes SET seen = greatest(seen, $2), moved = greatest(moved, $3) WHERE store = $1", p => p.Uuid(store).Long(seen).Long(moved), ct) > 0;

    public async Task<string?> TryUseLevelAsync(int level, CancellationToken ct) =>
        await WriteAsync(LockOf("node", ""), "SELECT use_level($1)", (p, _) => p.Int(level), static row => row.GetString(0), ct) is { Length: > 0 } older ? older : null;

    public async Task RemoveNodeAsync(Guid store, CancellationToken ct)
    {
        await WriteAsync(LockOf("node", ""), "SELECT remove_node($1)", (p, _) => p.Uuid(store), static row => row.GetBoolean(0), ct);
        // A drive that is lost lacks everything, and no statement may take long.
        while (await WriteCountedAsync("repairs", store.ToString(), "DELETE FROM repairs WHERE store = $1 AND blob IN (SELECT blob FROM repairs WHERE store = $1 LIMIT $2)", p => p.Uuid(store).Long(RemovedAtOnceMax), ct) == RemovedAtOnceMax)
        {
        }
    }

    public ValueTask<ClusterDocument?> ReadDocumentAsync(string name, CancellationToken ct) =>
        ReadFirstAsync("SELECT content, revision FROM documents WHERE name = $1", p => p.Text(name), static row => new ClusterDocument(row.GetFieldValue<byte[]>(0), row.GetInt64(1)), ct);

    public Task<bool> TryReplaceDocumentAsync(string name, ReadOnlyMemory<byte> content, long revision, CancellationToken ct) =>
        WriteAsync(LockOf("document", name), "SELECT replace_document($1, $2, $3)", (p, _) => p.Text(name).Bytes(content).Long(revision), static row => row.GetBoolean(0), ct);

    public Task<bool> TryReplaceLayoutAsync(LayoutReplacement replacement, CancellationToken ct)
    {
        var (content, revision, job, cancels, settled, now) = replacement;
        return WriteAsync(LockOf("document", "layout"), "SELECT replace_layout($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            (p, _) => p.Bytes(content).Long(revision).Time(now).Long(job?.Id).Text(job?.Kind).Text(job?.Node).Text(job?.Change).Text(job?.Undo).Long(cancels).Long(settled).Long(EndedJobsMax),
            static row => row.GetBoolean(0), ct);
    }

    public async ValueTask<IReadOnlyList<LayoutJobRecord>> ListLayoutJobsAsync(CancellationToken ct) =>
        await ReadRowsAsync("SELECT id, kind, node, change, undo, begun, ended, outcome FROM layout_jobs ORDER BY id DESC", static _ => { },
            static row => new LayoutJobRecord(row.GetInt64(0), row.GetString(1), TextOf(row, 2), row.GetString(3), TextOf(row, 4), TimeOf(row, 5))
            {
                Ended = row.IsDBNull(6) ? null : TimeOf(row, 6), Outcome = TextOf(row, 7),
            }, ct);

    public Task ReportProgressAsync(LayoutProgressRecord progress, CancellationToken ct) =>
        WriteAsync(LockOf("node", ""), "SELECT report_progress($1, $2, $3, $4, $5, $6, $7, $8)",
            (p, _) => p.Long(progress.Job).Uuid(progress.Store).Long(progress.Blobs).Long(progress.Passed).Long(progress.Copied).Long(progress.Bytes).Time(progress.Begun).Time(progress.Told),
            static row => row.GetBoolean(0), ct);

    public async ValueTask<IReadOnlyList<LayoutProgressRecord>> ListProgressAsync(CancellationToken ct) =>
        await ReadRowsAsync("SELECT job, store, blobs, passed, copied, bytes, begun, told FROM layout_progress ORDER BY job DESC, store", static _ => { },
            static row => new LayoutProgressRecord(row.GetInt64(0), row.GetGuid(1), row.GetInt64(2), row.GetInt64(3), row.GetInt64(4), row.GetInt64(5), TimeOf(row, 6), TimeOf(row, 7)), ct);

    public Task<bool> TryTakeTurnAsync(string work, Guid store, TimeSpan time, CancellationToken ct) =>
        WriteAsync(LockOf("turn", work), "SELECT take_turn($1, $2, $3)", (p, _) => p.Text(work).Uuid(store).Long((long)time.TotalMilliseconds), static row => row.GetBoolean(0), ct);

    public Task EnqueueRepairAsync(ReplicaRepairRecord repair, DateTimeOffset now, CancellationToken ct) =>
        WriteCountedAsync("repairs", repair.Store.ToString(), """
            INSERT INTO repairs AS r (store, blob, reason, due) VALUES ($1, $2, $3, $4) ON CONFLICT (store, blob) DO UPDATE SET reason = excluded.reason WHERE excluded.reason > r.reason
            """, p => p.Uuid(repair.Store).Uuid(repair.Blob.ToGuid()).Int(repair.Reason).Time(now), ct);

    public async ValueTask<IReadOnlyList<ReplicaRepairRecord>> ListRepairsAsync(Guid store, DateTimeOffset now, int max, CancellationToken ct) =>
        await ReadRowsAsync("SELECT blob, reason FROM repairs WHERE store = $1 AND due <= $2 ORDER BY due LIMIT $3", p => p.Uuid(store).Time(now).Long(max),
            row => new ReplicaRepairRecord(row.GetGuid(0).ToBlob(), store, row.GetInt32(1)), ct);

    public Task EndRepairsAsync(Guid store, IReadOnlyList<ReplicaRepairRecord> repairs, CancellationToken ct) =>
        WriteCountedAsync("repairs", store.ToString(), "DELETE FROM repairs r USING unnest($2, $3) AS done (blob, reason) WHERE r.store = $1 AND r.blob = done.blob AND r.reason <= done.reason",
            p => AddAll(p.Uuid(store), repairs), ct);

    public Task DelayRepairsAsync(Guid store, IReadOnlyList<ReplicaRepairRecord> repairs, DateTimeOffset due, CancellationToken ct) =>
        WriteCountedAsync("repairs", store.ToString(), "UPDATE repairs r SET due = $4 FROM unnest($2, $3) AS late (blob, reason) WHERE r.store = $1 AND r.blob = late.blob AND r.reason <= late.reason",
            p => AddAll(p.Uuid(store), repairs).Time(due), ct);

    private static NpgsqlParameterCollection AddAll(NpgsqlParameterCollection parameters, IReadOnlyList<ReplicaRepairRecord> repairs) =>
        parameters.Uuids([.. repairs.Select(r => r.Blob.ToGuid())]).Longs([.. repairs.Select(r => (long)r.Reason)]);

    public async ValueTask<IReadOnlyList<BlobId>> FindNeededBlobsAsync(IReadOnlyList<BlobId> blobs, CancellationToken ct) =>
        await ReadRowsAsync("SELECT asked.blob FROM unnest($1) WITH ORDINALITY AS asked (blob, place) WHERE EXISTS (SELECT 1 FROM blobs b WHERE b.blob = asked.blob AND b.freed IS NULL AND b.place IS NULL) ORDER BY place",
            p => p.Uuids([.. blobs.Select(b => b.ToGuid())]), static row => row.GetGuid(0).ToBlob(), ct);

    public async ValueTask<IReadOnlyList<BlobId>> ListNeededBlobsAsync(BlobId after, int max, CancellationToken ct) =>
        await ReadRowsAsync("SELECT blob FROM blobs WHERE blob > $1 AND freed IS NULL AND place IS NULL ORDER BY blob LIMIT $2", p => p.Uuid(after.ToGuid()).Long(max), static row => row.GetGuid(0).ToBlob(), ct);

    public async ValueTask<IReadOnlyDictionary<Guid, long>> CountRepairsAsync(Guid? store, CancellationToken ct) =>
        (await ReadRowsAsync("""
            SELECT n.store, (SELECT count(*) FROM (SELECT 1 FROM repairs r WHERE r.store = n.store LIMIT 1000000) AS waiting) FROM nodes n WHERE $1 IS NULL OR n.store = $1
            """, p => p.Uuid(store), static row => (Store: row.GetGuid(0), Count: row.GetInt64(1)), ct)).ToDictionary(r => r.Store, r => r.Count);

    private static string? TextOf(NpgsqlDataReader row, int column) => row.IsDBNull(column) ? null : row.GetString(column);

    private static DateTimeOffset TimeOf(NpgsqlDataReader row, int column) => DateTimeOffset.FromUnixTimeMilliseconds(row.GetInt64(column));
}
