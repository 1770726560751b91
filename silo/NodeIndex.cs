using System.Globalization;
using DarkStorage.Metadata;
using DarkStorage.Metadata.Postgres;
using DarkStorage.Metadata.Sqlite;
using DarkStorage.Silo.Cluster;
using DarkStorage.Silo.Configuration;

namespace DarkStorage.Silo;

/// <summary>Opens the object index that the node was told of, and holds it to the node's data folder.</summary>
/// <remarks>The index says which bytes are needed and the collector frees the others: a folder under an index that is not its own would lose what is in it. So the first start
/// binds the two, durably and on both sides, and any other pair is refused before anything is changed.</remarks>
internal static class NodeIndex
{
    /// <exception cref="InvalidDataException">The folder and the index do not belong together, or the index can't be used.</exception>
    /// <param name="store">As for <see cref="JoinAsync"/>.</param>
    /// <param name="secret">Of the cluster; null for a node that has the index alone.</param>
    public static async Task<IMetadataIndex> OpenAsync(NodeOptions node, DataDirectory data, Guid store, ClusterSecret? secret, IConfiguration configuration, ILoggerFactory logs, CancellationToken ct)
    {
        if (!PostgresUrl.IsOne(node.Index))
        {
            if (data.ReadCluster() is { } joined) throw new InvalidDataException($"{node.Data} belongs to the cluster {joined}: its index is in PostgreSQL, and --index has to name it.");
            return SqliteIndex.Open(data.IndexFile, logs.CreateLogger<SqliteIndex>(), Settings.Read<IndexOptions>(configuration, "IndexDrive"));
        }
        if (File.Exists(data.IndexFile)) throw new InvalidDataException($"{node.Data} has an index of its own, {Path.GetFileName(data.IndexFile)}: with another one its objects would be lost. Start with an empty folder.");
        var index = await PostgresIndex.OpenAsync(PostgresUrl.Parse(node.Index), Settings.Read<PostgresOptions>(configuration, "Postgres"), TimeProvider.System, logs.CreateLogger<PostgresIndex>(), ct);
        try
        {
            if (data.ReadCluster() is { } joined && joined != index.ClusterId)
                throw new InvalidDataException($"{node.Data} belongs to the cluster {joined}, and the database is that of the cluster {index.ClusterId}.");
            if (secret is not null) await secret.ProveAsync(index, store, ct);
            return index;
        }
        catch
        {
            await index.DisposeAsync();
            throw;
        }
    }

    /// <summary>Enters the node among those of the index, and binds its folder to it: once all else that could keep it from starting is there.</summary>
    /// <param name="store">Of the node's drive, or of its data folder where it has none.</param>
    /// <exception cref="InvalidDataException">The index has no place for it.</exception>
    public static async Task JoinAsync(IMetadataIndex index, NodeOptions node, DataDirectory data, Guid store, ClusterSecret? secret, CancellationToken ct)
    {
        if (index is not PostgresIndex shared) return;
        // The port too where https has it by default: an address without one is none.
        var address = secret is null ? null : string.Create(CultureInfo.InvariantCulture, $"{node.PeerUrl.Host}:{node.PeerUrl.Port}");
        await shared.JoinAsync(new(store, node.Node, node.Zone, address, node.HasDrive ? WeightOf(data) : 0), TimeProvider.System.GetUtcNow(), ct);
        if (secret is not null) await secret.EnterAsync(shared, store, ct);
        data.WriteCluster(shared.ClusterId);
    }

    /// <summary>The drive's size in GiB: its share of the data against the others'.</summary>
    private static int WeightOf(DataDirectory data) => (int)Math.Clamp(new DriveInfo(data.Blobs).TotalSize >> 30, 1, 1_000_000);
}
