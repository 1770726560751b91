using System.ComponentModel.DataAnnotations;
using DarkStorage.GrainInterfaces.Cluster;

namespace DarkStorage.Grains.Cluster;

/// <summary>What an operator decides of a cluster.</summary>
public sealed record ClusterOptions
{
    /// <summary>Copies of everything, in different zones, when the first layout is made: 1, 2, 3 or 5. Default 3: any node may be lost while another is being mended.</summary>
    [AllowedValues(1, 2, 3, 5)]
    public int Copies { get; init; } = 3;

    /// <summary>For how long a node may be away before what it held is made anew elsewhere. Default 30 minutes: a restart, a new kernel, a tripped breaker.</summary>
    [Range(typeof(TimeSpan), "00:00:05", "7.00:00:00")]
    public TimeSpan GracePeriod { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>What a node spends on repairs and movements, in MiB per second of what it writes. Default 64: half of a cheap disk.</summary>
    [Range(IClusterGrain.HealMiBPerSecondLeast, IClusterGrain.HealMiBPerSecondMost)]
    public int HealMiBPerSecondMax { get; init; } = 64;

    /// <summary>Time between two looks at what is to be mended, moved and freed. Default 2 s.</summary>
    [Range(typeof(TimeSpan), "00:00:00.050", "00:10:00")]
    public TimeSpan Interval { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Time from the end of one comparison of this drive with the other replicas to the begin of the next; the first is at the start. Default 1 day: a second loss of
    /// the same blob within one is far rarer than what the copies are there for.</summary>
    [Range(typeof(TimeSpan), "00:00:00.100", "90.00:00:00")]
    public TimeSpan ComparePeriod { get; init; } = TimeSpan.FromDays(1);

    /// <summary>Blobs that a comparison asks about in a second. Default 500: one question to a peer each, and ten million are done in six hours.</summary>
    [Range(1, 1_000_000)]
    public int CompareBlobsPerSecondMax { get; init; } = 500;
}
