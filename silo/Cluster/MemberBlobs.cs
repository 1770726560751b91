using System.IO.Pipelines;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Storage;
using DarkStorage.Storage.Encryption;
using Orleans.Runtime;

namespace DarkStorage.Silo.Cluster;

/// <summary>The blob store of a node of a cluster, whose writes end in the run of its silo in which they began.</summary>
/// <remarks>While the silo has no lease the others wait for this node no more: they may have moved a blob that was being written here, by a layout that this node did not know. What began
/// before is refused, as it would be had the program ended.</remarks>
internal sealed class MemberBlobs(IBlobStore blobs, ILocalSiloDetails silo) : IBlobStore
{
    public IBlobWrite BeginWrite(BlobWriteOptions options) => new Write(blobs.BeginWrite(options), silo);

    public ValueTask<IBlobRead> OpenAsync(Manifest manifest, ByteRange range, DataKey? key, CancellationToken ct) => blobs.OpenAsync(manifest, range, key, ct);

    public ValueTask DeleteAsync(BlobId blob, CancellationToken ct) => blobs.DeleteAsync(blob, ct);

    public IReadOnlyList<BlobId> ListBlobs(BlobId after, DateTimeOffset mintedBefore, int max) => blobs.ListBlobs(after, mintedBefore, max);

    private sealed class Write(IBlobWrite write, ILocalSiloDetails silo) : IBlobWrite
    {
        private readonly SiloAddress _run = silo.SiloAddress;

        public async Task<BlobContent> CopyFromAsync(PipeReader content, CancellationToken ct)
        {
            var written = await write.CopyFromAsync(content, ct);
            return silo.SiloAddress.Equals(_run) ? written : throw new StorageException(StorageError.Unavailable, "This node lost its lease while the content was on its way.");
        }

        public void Keep() => write.Keep();

        public ValueTask DisposeAsync() => write.DisposeAsync();
    }
}
