using System.ComponentModel.DataAnnotations;

namespace DarkStorage.Storage.Replicas;

/// <summary>Limits of writing to and reading from replicas.</summary>
public sealed record ReplicaOptions
{
    /// <summary>Bytes that all writes together hold in memory for replicas that are slower than the quorum. Default 12 MiB, a quarter of what writes have. One write may
    /// have a quarter of that, or one chunk.</summary>
    [Range(64 << 10, int.MaxValue)]
    public int LagBytesMax { get; init; } = 12 << 20;

    /// <summary>For how long one write waits for replicas that have used up what they may lag behind, before it goes on without them: this, and a fifth of the time
    /// that the write has taken. Default 250 ms: a disk's slow moment passes, and a repair costs more than the wait.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:01:00")]
    public TimeSpan LagPatience { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>For how long this node's own drive may be busy with a chunk of a write that goes to others too, before the write goes on without it. Default 10 s, as a peer has for each step: a healthy
    /// disk's slowest sync is a second.</summary>
    [Range(typeof(TimeSpan), "00:00:00.010", "00:10:00")]
    public TimeSpan DriveTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A second replica is asked when the first has not answered for this long, or for as long as 95 of its last 100 answers took, whichever is more.
    /// Default 20 ms: one seek and a round trip, twice over.</summary>
    [Range(typeof(TimeSpan), "00:00:00.001", "00:01:00")]
    public TimeSpan HedgeFloor { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>Content that is known to be shorter is not cut into shards, even where its bucket wants stripes, but kept in copies that survive as many losses: each shard takes a page and an append of its
    /// own. Stripes that survive more than any number of copies, as 16+8, cut it all the same. Default 64 KiB: there 4+2 takes six frames of 20 KiB, and three copies take three of 68.</summary>
    [Range(0, int.MaxValue)]
    public int StripedBytesMin { get; init; } = 64 << 10;
}
