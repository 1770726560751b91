using System.ComponentModel.DataAnnotations;

namespace DarkStorage.Metadata.Sqlite;

/// <summary>Limits of the index on one node.</summary>
public sealed record IndexOptions
{
    /// <summary>Bytes of the file that keeps room for the index on a drive that others fill. 0 for none. Default 64 MiB: the write-ahead log of a node that does
    /// nothing but delete (16 MiB between two checkpoints), what the checkpoint adds to the database, and the same again for a slow reader in between.</summary>
    [Range(0L, 16L << 30)]
    public long ReserveBytes { get; init; } = 64L << 20;
}
