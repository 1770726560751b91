using System.Collections.Immutable;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Chunks;

namespace DarkStorage.Storage.Replicas;

/// <summary>Which nodes keep the chunks of a partition: what the layout says, as the replicas' reader and writer need it.</summary>
/// <remarks>Asked for every blob that is written, read or deleted, so answers come from memory. A store is answered as the same object every time:
/// this node's own drive as its <see cref="Packs.PackStore"/>, each peer as one <see cref="Peers.PeerStore"/>.</remarks>
public interface IChunkPlacement
{
    /// <summary>The place of a key, which becomes part of the ids of its blobs (<see cref="BlobId.Place"/>). It never changes.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.Unavailable"/>: there is no layout yet. The same of the next two.</exception>
    ushort PlaceOf(BucketId bucket, string key);

    /// <summary>Where a new blob goes.</summary>
    /// <param name="replicas">As many as the bucket wants; null for what the cluster has by default.</param>
    WritePlaces ForWrite(ushort place, int? replicas);

    /// <summary>Where blobs of a place may be, this node's own drive first and the nearest of the others next. While a layout changes, places that are being
    /// left are among them.</summary>
    ImmutableArray<ReadPlace> ForRead(ushort place);
}

/// <summary>Where a blob is written to.</summary>
/// <param name="Stores">One for each replica. This node's own drive is there once at most.</param>
/// <param name="Quorum">Replicas that must have the whole blob before the write is acknowledged: 1 to the number of stores.</param>
public sealed record WritePlaces(ImmutableArray<ChunkStore> Stores, int Quorum);

/// <summary>Where a blob may be read.</summary>
/// <param name="ShouldHold">By the present layout the blobs belong here: one that is missing is to be brought. False of places that are being left.</param>
public readonly record struct ReadPlace(ChunkStore Store, bool ShouldHold);
