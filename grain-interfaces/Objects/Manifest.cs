using System.Collections.Immutable;
using Orleans;

namespace DarkStorage.GrainInterfaces.Objects;

/// <summary>Where the bytes of one version are: all that a reader needs besides the drives.</summary>
/// <param name="Length">Bytes of the object.</param>
/// <param name="ETag">Without quotes: the MD5 in hexadecimal, or for a multipart object the MD5 of the parts' ETags as bytes, a dash, and their number.
/// Of content that is sealed for SSE-KMS or SSE-C it is 16 random bytes instead of the MD5.</param>
/// <param name="Checksum">What <c>x-amz-checksum-*</c> answers, or null where none was kept.</param>
/// <param name="Parts">The content in order: one for a plain PUT, one for each part of an upload, none where the content is inline.</param>
/// <param name="Inline">The content itself where it is small enough to live in the index; otherwise empty.</param>
/// <param name="Place">Where outside its bytes are; null where they lie on the cluster's own drives, or in the index.</param>
[GenerateSerializer, Immutable, Alias("manifest")]
public sealed record Manifest(
    VersionId Version,
    long Length,
    string ETag,
    Checksum? Checksum,
    ImmutableArray<ManifestPart> Parts,
    ImmutableArray<byte> Inline,
    ContentPlace? Place = null)
{
    /// <summary>Made by a multipart upload: its parts can be read by number.</summary>
    public bool IsMultipart => ETag.Contains('-', StringComparison.Ordinal);

    /// <summary>The blobs that hold its bytes now: those of its parts, or the one outside.</summary>
    public ImmutableArray<BlobId> Blobs => Place is { } place ? [place.Blob] : Parts.IsDefaultOrEmpty ? [] : [.. Parts.Select(p => p.Blob)];
}

/// <summary>A place outside that has all of a version's bytes, as they lay on the cluster's drives, in one blob: docs/FORMATS.md, "Content outside".</summary>
/// <param name="Integration">The name of the integration.</param>
/// <param name="Blob">Its id there. Minted for each try to move, so that no name is used for two contents.</param>
[GenerateSerializer, Immutable, Alias("content-place")]
public sealed record ContentPlace(string Integration, BlobId Blob);

/// <summary>One blob of a version.</summary>
/// <param name="Number">The part number of a multipart upload, 1 to 10,000; 1 for a plain PUT.</param>
/// <param name="Length">Bytes.</param>
/// <param name="ETag">MD5 of the part in hexadecimal, or in its place 16 random bytes.</param>
/// <param name="Blob">What its chunks are stored under, or were before they went outside.</param>
/// <param name="Chunks">The chunks in order, equal neighbours folded into one run. Chunk indices count from 0 through all runs.</param>
/// <param name="SealedAs">The blob that it was when its content was sealed, where it has come back from outside as another; null where it is the same.</param>
[GenerateSerializer, Immutable, Alias("manifest-part")]
public sealed record ManifestPart(int Number, BlobId Blob, long Length, string ETag, Checksum? Checksum, ImmutableArray<ChunkRun> Chunks, BlobId? SealedAs = null)
{
    /// <summary>The blob whose key its frames open with.</summary>
    public BlobId SealId => SealedAs ?? Blob;
}

/// <summary><see cref="Count"/> chunks of <see cref="Length"/> bytes each.</summary>
[GenerateSerializer, Immutable, Alias("chunk-run")]
public readonly record struct ChunkRun(int Count, int Length);
