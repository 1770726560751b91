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

    /// <summary>Where a blob goes, as its id says (<see cref="BlobId.Place"/>, <see cref="BlobId.Redundancy"/>).</summary>
    WritePlaces ForWrite(BlobId blob);

    /// <summary>The same for a write that begins now. As long as the lease is held a place that is being left is not given up: what is being written there is in no listing yet.</summary>
    WriteLease BeginWrite(BlobId blob);

    /// <summary>Where a blob may be, this node's own drive first and the nearest of the others next. While a layout changes, places that are being
    /// left are among them. Of a striped one there is an entry for each shard, or more.</summary>
    ImmutableArray<ReadPlace> ForRead(BlobId blob);
}

/// <summary>A write's hold on the layout that it began by, from before its first byte until its blob is committed, or freed, and to be seen in listings of all replicas that it did not go on
/// without. Dispose it then.</summary>
public class WriteLease(WritePlaces places) : IDisposable
{
    public WritePlaces Places { get; } = places;

    /// <summary>Asked before the write is acknowledged.</summary>
    /// <returns>False where the layout changed since, and could not wait for the write any longer: it must not be acknowledged.</returns>
    public virtual bool TryComplete() => true;

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing) { }
}

/// <summary>Where a blob is written to.</summary>
/// <param name="Places">One for each replica or shard. A node is there once at most.</param>
/// <param name="Quorum">Of those that must have all that goes there before the write is acknowledged: 1 to their number.</param>
public sealed record WritePlaces(ImmutableArray<WritePlace> Places, int Quorum);

/// <param name="Shard">The number of the shard that goes there, counted from 1; 0 where it is the whole blob.</param>
public readonly record struct WritePlace(ChunkStore Store, int Shard);

/// <summary>Where a blob, or a shard of it, may be read.</summary>
/// <param name="Shard">Counted from 1; 0 where it is the whole blob.</param>
/// <param name="ShouldHold">By the present layout it belongs here: if it is missing it is to be brought. False of places that are being left.</param>
public readonly record struct ReadPlace(ChunkStore Store, int Shard, bool ShouldHold);
