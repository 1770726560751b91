using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Storage.Replicas;

/// <summary>Replicas that lack something, kept until they were put right.</summary>
public interface IRepairQueue
{
    /// <summary>Enters a replica; when it returns the entry survives a crash. An entry that is there already stays as it is, but that <see cref="RepairReason.Damaged"/>
    /// takes the place of another reason.</summary>
    ValueTask EnqueueAsync(RepairEntry entry, CancellationToken ct);
}

/// <summary>One blob on one store. The key of an entry is both.</summary>
/// <param name="Store">The store that is to be put right (<see cref="Chunks.ChunkStore.Id"/>).</param>
public sealed record RepairEntry(BlobId Blob, Guid Store, RepairReason Reason);

/// <summary>What is wrong with a replica. Numbers stay, for they are kept.</summary>
public enum RepairReason
{
    /// <summary>The write was acknowledged without it.</summary>
    Missed = 1,

    /// <summary>A reader looked for the blob there and did not find it, though by the layout and the blob's id it belongs there.</summary>
    Missing = 2,

    /// <summary>A chunk does not match its checksum: all that the store has of the blob is to be verified.</summary>
    Damaged = 3,
}
