using System.ComponentModel.DataAnnotations;

namespace DarkStorage.Storage;

/// <summary>Limits of the blob store on one node.</summary>
public sealed record BlobStoreOptions
{
    /// <summary>Largest chunk, the unit of bytes on disk and wire. Default 4 MiB: large enough that a disk's seek costs little, small enough to hold in memory.</summary>
    [Range(64 << 10, 64 << 20)]
    public int ChunkBytesMax { get; init; } = 4 << 20;

    /// <summary>Bytes of content that all writes together may hold in memory. Default 48 MiB: more made no upload quicker that was measured (docs/BENCHMARKS.md, "Memory"). Where many write at once their chunks get smaller, so nobody waits for a buffer.</summary>
    [Range(8 << 20, int.MaxValue)]
    public int WriteMemoryBytesMax { get; init; } = 48 << 20;

    /// <summary>Bytes that one read holds ahead of its client. Default 1 MiB.</summary>
    [Range(64 << 10, 64 << 20)]
    public int ReadAheadBytes { get; init; } = 1 << 20;

    /// <summary>Size of a pack file. Default 1 GiB: few enough files for a large drive, small enough to compact.</summary>
    [Range(8L << 20, 64L << 30)]
    public long PackBytes { get; init; } = 1L << 30;

    /// <summary>Room on the drive below which writes are refused, so that the index can still commit deletes. Default 256 MiB.</summary>
    [Range(0L, long.MaxValue)]
    public long ReservedBytes { get; init; } = 256L << 20;

    /// <summary>Packs that large content is appended to at once, beside the one for small content. Default 1: on the one disk that was
    /// measured two were no quicker (docs/adr/0002-packs.md).</summary>
    [Range(1, 16)]
    public int LargeLanes { get; init; } = 1;
}
