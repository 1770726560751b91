using System.ComponentModel.DataAnnotations;

namespace DarkStorage.Storage;

/// <summary>Limits of scrub, which re-reads all chunks to find damage before a client does.</summary>
public sealed record ScrubOptions
{
    /// <summary>Disk reads spent on scrubbing, in MiB per second. Default 32: a fifth of one cheap disk.</summary>
    [Range(1, 4096)]
    public int ReadMiBPerSecondMax { get; init; } = 32;
}

/// <summary>Limits of compaction, which copies what is left of mostly dead packs together.</summary>
public sealed record CompactionOptions
{
    /// <summary>A pack of whose bytes at most this percentage is live is compacted. Default 50: a byte is then copied once for each byte of file that goes.
    /// (The space of dead chunks came back as holes already; compaction bounds how many files and extents there are.)</summary>
    [Range(1, 90)]
    public int LivePercentMax { get; init; } = 50;

    /// <summary>Small packs (less than an eighth of a whole one is live) that may be there before they are put together. Default 8: each restart leaves one or two.</summary>
    [Range(2, 1000)]
    public int SmallPacksMax { get; init; } = 8;

    /// <summary>Disk reads spent on compaction, in MiB per second; as many are written. Default 32: a fifth of one cheap disk.</summary>
    [Range(1, 4096)]
    public int ReadMiBPerSecondMax { get; init; } = 32;
}
