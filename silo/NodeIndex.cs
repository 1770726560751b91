using DarkStorage.Metadata;
using DarkStorage.Metadata.Postgres;
using DarkStorage.Metadata.Sqlite;
using DarkStorage.Silo.Configuration;

namespace DarkStorage.Silo;

/// <summary>Opens the object index that the node was told of, and holds it to the node's data folder.</summary>
/// <remarks>The index says which bytes are needed and the collector frees the others: a folder under an index that is not its own would lose what is in it. So the first start
/// binds the two, durably and on both sides, and any other pair is refused before anything is changed.</remarks>
internal static class NodeIndex
{
    /// <exception cref="InvalidDataException">The folder and the index do not belong together, or the index can't be used.</exception>
    public static async Task<IMetadataIndex> OpenAsync(NodeOptions node, DataDirectory data, Guid store, IConfiguration configuration, ILoggerFactory logs, CancellationToken ct)
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
            await index.JoinAsync(new(store, node.Node, Zone: "", Address: null, Weight: 1), TimeProvider.System.GetUtcNow(), ct);
            data.WriteCluster(index.ClusterId);
            return index;
        }
        catch
        {
            await index.DisposeAsync();
            throw;
        }
    }
}
