using System.IO.Pipelines;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.Storage;

/// <summary>Bytes at rest: written once, read by range, deleted. What they mean is the index's business.</summary>
/// <remarks>Invariants: a write that was acknowledged is on the disk, in a cluster on the disks of a quorum of replicas; no byte is handed out whose block did not match its checksum;
/// a blob that was not finished is never seen. Memory is bounded by <see cref="BlobStoreOptions"/>, however many and however large the blobs are.</remarks>
public interface IBlobStore
{
    /// <summary>Begins one blob. Dispose the write whether or not it was finished: disposing an unfinished one frees what it stored.</summary>
    IBlobWrite BeginWrite(BlobWriteOptions options);

    /// <summary>Opens a range of a version: when it returns, the first stretch of the range (up to <see cref="BlobStoreOptions.ReadAheadBytes"/>) was read and verified.</summary>
    /// <param name="range">Bytes of the content, as the client counts them; may be empty only where the object is.</param>
    /// <param name="key">What the content was sealed under; null where it was not. Disposed after the read, not before.</param>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: a block is missing, does not match its checksum, or does not open under the
    /// key; or there is a key, and the content is not sealed. <see cref="StorageError.EncryptionKeyRequired"/>: the content is sealed, and there is no key.</exception>
    ValueTask<IBlobRead> OpenAsync(Manifest manifest, ByteRange range, DataKey? key, CancellationToken ct);

    /// <summary>Copies a version's content to a place outside, as it is stored, and reads all of it back.</summary>
    /// <param name="manifest">Of content that is not in the index.</param>
    /// <param name="place">With an id that no try before had. Where this fails the blob may be there, or come to be.</param>
    /// <param name="mayBeCold">Whoever reads it knows that it has to be warmed up first.</param>
    /// <returns>What the index is to be told.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.BackendFailed"/>: what the place said, or that it keeps cold what has to be read at once; as for <see cref="OpenAsync"/> where reading fails: <see cref="StorageError.ObjectArchived"/> where it has to be warmed up first.</exception>
    Task<ContentMove> SendAsync(Manifest manifest, ContentPlace place, bool mayBeCold, CancellationToken ct);

    /// <summary>Copies a version's content from a place outside to the drives, as it was stored there before, and reads all of it back. When it returns the copy is durable.</summary>
    /// <param name="owner">As in <see cref="BlobWriteOptions"/>, as is the redundancy.</param>
    /// <returns>To be disposed after the index was told.</returns>
    /// <exception cref="StorageException">As for <see cref="OpenAsync"/> and <see cref="IBlobWrite.CopyFromAsync"/>. <see cref="StorageError.DataDamaged"/> also where other bytes are on the drives than came: then nothing is left of them.</exception>
    Task<IContentFetch> FetchAsync(Manifest manifest, BlobOwner owner, Redundancy redundancy, CancellationToken ct);

    /// <summary>Asks for content at a place outside to be readable for a time, where that keeps it cold.</summary>
    /// <returns>Whether it is; where not, it is asked for, and comes to be.</returns>
    /// <exception cref="StorageException"><see cref="StorageError.BackendFailed"/>: what the place said. <see cref="StorageError.Unavailable"/>: it can't be asked.</exception>
    Task<bool> WarmUpAsync(ContentPlace place, WarmUpSpeed speed, TimeSpan keep, CancellationToken ct);

    /// <summary>Lets content at a place outside, which was asked to be readable, be kept as it was before.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.BackendFailed"/>: what the place said. <see cref="StorageError.Unavailable"/>: it can't be asked.</exception>
    Task CoolDownAsync(ContentPlace place, CancellationToken ct);

    /// <summary>Deletes content from a place outside. Deleting what is not there succeeds.</summary>
    /// <param name="place">As <see cref="IPlaces.OpenForWritingAsync"/> gave it.</param>
    /// <exception cref="StorageException"><see cref="StorageError.BackendFailed"/>: what the place said.</exception>
    Task DeleteAsync(IBackend place, BlobId blob, CancellationToken ct);

    /// <summary>Frees the bytes of a blob, in a cluster on all its replicas that can be reached; the others find them by <see cref="ListBlobs"/>. Freeing one that is not there succeeds.
    /// Not durable by itself: ask again after a crash.</summary>
    ValueTask DeleteAsync(BlobId blob, CancellationToken ct);

    /// <summary>Blobs that have chunks, or a shard, on this node's own drive and were minted before a time, in the order of their ids: what the collector compares with the index.
    /// Writes under way, those that were not disposed, are left out however old they are.</summary>
    /// <param name="after">Only ids greater than this one; default for the first page.</param>
    /// <param name="mintedBefore">Younger blobs are left out: the commit of one that was just written may still be on its way after its caller gave up.</param>
    IReadOnlyList<BlobId> ListBlobs(BlobId after, DateTimeOffset mintedBefore, int max);
}

/// <summary>One blob being written.</summary>
public interface IBlobWrite : IAsyncDisposable
{
    /// <summary>Takes the whole content, hashing it on the way, and returns when all of it is durable: on this drive, or on a quorum of replicas.
    /// Content of up to <see cref="BlobWriteOptions.InlineMax"/> bytes is not stored but returned in the result.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.EntityTooLarge"/>, <see cref="StorageError.InsufficientStorage"/>, <see cref="StorageError.Unavailable"/>.
    /// Whatever reading <paramref name="content"/> throws passes through.</exception>
    Task<BlobContent> CopyFromAsync(PipeReader content, CancellationToken ct);

    /// <summary>The index knows the blob now: disposing no longer frees it.</summary>
    void Keep();
}

/// <summary>How a blob is to be written.</summary>
public sealed record BlobWriteOptions
{
    /// <summary>Content of at most this many bytes is returned inline instead of being stored. 0 stores everything but the empty content.</summary>
    public int InlineMax { get; init; }

    /// <summary>Bytes past which the write fails with <see cref="StorageError.EntityTooLarge"/>. Default 5 TiB, S3's largest object.</summary>
    public long LengthMax { get; init; } = 5L << 40;

    /// <summary>The length where it is known beforehand: a hint that spares memory and copies.</summary>
    public long? ExpectedLength { get; init; }

    /// <summary>Digests to take besides MD5, which is always taken because it is the ETag. They are the content's, sealed or not.</summary>
    public DigestSet Digests { get; init; }

    /// <summary>The key that the content belongs to, or is going to: in a cluster it says which nodes keep it. Null only where nothing is going to be stored.</summary>
    public BlobOwner? Owner { get; init; }

    /// <summary>What the bucket wants. Content that is known to be shorter than <see cref="Replicas.ReplicaOptions.StripedBytesMin"/> is not cut, but kept in copies where these survive as many losses. Of no meaning on a
    /// node that stands alone.</summary>
    public Redundancy Redundancy { get; init; }

    /// <summary>Seals the content, inline or stored. One key may seal many blobs, as the parts of an upload are; it is not asked again after
    /// <see cref="IBlobStore.BeginWrite"/>. Null stores the content as it is.</summary>
    public DataKey? Key { get; init; }
}

/// <summary>Whose content a blob is.</summary>
public readonly record struct BlobOwner(BucketId Bucket, string Key);

/// <summary>What a finished write yields.</summary>
/// <param name="Blob">The blob's id, minted even where the content is inline.</param>
/// <param name="Length">Bytes of the content, sealed or not.</param>
/// <param name="Digests">Of the content, sealed or not.</param>
/// <param name="Chunks">The chunks as they lie in packs, so with tags where the content is sealed. Empty where the content is inline or empty.</param>
/// <param name="Inline">The content itself where it is inline, sealed where the rest would be; otherwise empty.</param>
/// <param name="IsSealed">There was content and a key: it opens with that key only.</param>
public sealed record BlobContent(
    BlobId Blob,
    long Length,
    ContentDigests Digests,
    System.Collections.Immutable.ImmutableArray<ChunkRun> Chunks,
    System.Collections.Immutable.ImmutableArray<byte> Inline,
    bool IsSealed);

/// <summary>Content that was fetched from outside. Disposing it frees what was stored, unless the index knows it by then. What was neither told to the index nor freed is found by <see cref="IBlobStore.ListBlobs"/>.</summary>
public interface IContentFetch : IAsyncDisposable
{
    /// <summary>What the index is to be told.</summary>
    ContentMove Move { get; }

    /// <summary>Whether a search for bytes that the index has never heard of may have freed some of it, or may do so before the index is told. Judged by the clock that such a search goes by and that goes on while a machine is
    /// suspended; where that was set back nobody can tell.</summary>
    /// <param name="orphanAge">What such a search takes. From half of it on the answer is yes: clocks differ from node to node, and telling the index takes its time.</param>
    bool MayCountAsOrphaned(TimeSpan orphanAge);

    /// <summary>The index knows, or may know, the new blobs.</summary>
    void Keep();
}

/// <summary>A range being read.</summary>
public interface IBlobRead : IAsyncDisposable
{
    /// <summary>Bytes of the range.</summary>
    long Length { get; }

    /// <summary>Bytes of it that the destination was given.</summary>
    long Written { get; }

    /// <summary>Writes the whole range, reading ahead while the destination takes what came before.</summary>
    /// <exception cref="StorageException"><see cref="StorageError.DataDamaged"/>: what was written until then was verified, the rest is missing.</exception>
    ValueTask CopyToAsync(PipeWriter destination, CancellationToken ct);
}

/// <summary>Bytes of an object, zero-based, both ends inclusive (RFC 9110, section 14.1.2).</summary>
public readonly record struct ByteRange(long First, long Last)
{
    public static ByteRange All(long length) => new(0, length - 1);
    public long Length => Last - First + 1;
}
