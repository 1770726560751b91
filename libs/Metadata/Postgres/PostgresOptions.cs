using System.ComponentModel.DataAnnotations;

namespace DarkStorage.Metadata.Postgres;

/// <summary>What one node takes of the database that it shares with the others.</summary>
public sealed record PostgresOptions
{
    /// <summary>Connections that read, at the most. Default 16: with those that write and listen, and those of the membership, three nodes fit into PostgreSQL's default of 100.</summary>
    [Range(1, 1000)]
    public int ReadConnectionsMax { get; init; } = 16;

    /// <summary>Connections that write. Default 4: while one waits for the disk the others work, and the database flushes once for all who commit together. Few changes go by one of them,
    /// together. There may be twice as many, while some wait for an answer past their time.</summary>
    [Range(1, 64)]
    public int WriteConnections { get; init; } = 4;

    /// <summary>Time for one statement, and for a connection to come about. A request whose statement takes longer is refused; a database that lets nobody connect in that time, or
    /// is silent to a question that asks nothing, counts as away. Default 5 s: no statement of the index takes a tenth of that.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:01:00")]
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How far this machine's clock may be from the database's, at start and whenever something is due by it that nothing brings back. Default 30 s: times of objects, leases and what is garbage are
    /// compared between nodes.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:05:00")]
    public TimeSpan ClockDifferenceMax { get; init; } = TimeSpan.FromSeconds(30);
}
