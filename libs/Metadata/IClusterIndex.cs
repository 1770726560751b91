using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Metadata;

/// <summary>What the nodes of one cluster agree on besides the objects: who they are, documents that all share, whose turn it is, and which replicas lack something.</summary>
/// <remarks>Any method may throw <see cref="StorageError.Unavailable"/> or <see cref="StorageError.IndexAway"/>.</remarks>
public interface IClusterIndex
{
    /// <summary>Made with the index, and kept by every node that joined it.</summary>
    Guid ClusterId { get; }

    /// <summary>Enters a node, or its new name, zone and address.</summary>
    /// <exception cref="InvalidDataException">Another node has the name, or one of the two stands alone.</exception>
    Task JoinAsync(ClusterNode node, DateTimeOffset now, CancellationToken ct);

    /// <summary>All nodes that ever joined and were not taken out, in the order of their names.</summary>
    ValueTask<IReadOnlyList<ClusterNode>> ListNodesAsync(CancellationToken ct);

    /// <summary>Notes how far a node has followed the layout. Numbers only grow.</summary>
    Task ReportLayoutAsync(Guid store, long seen, long moved, CancellationToken ct);

    /// <summary>Takes a node out, with what waited for it.</summary>
    Task RemoveNodeAsync(Guid store, CancellationToken ct);

    /// <returns>Null where there is none yet.</returns>
    ValueTask<ClusterDocument?> ReadDocumentAsync(string name, CancellationToken ct);

    /// <summary>Replaces a document if it still has the revision that was decided on (0: there is none yet).</summary>
    /// <returns>False where it has another one.</returns>
    Task<bool> TryReplaceDocumentAsync(string name, ReadOnlyMemory<byte> content, long revision, CancellationToken ct);

    /// <summary>Raised when a document was replaced, with its name, or a node entered, with <see cref="NodesChanged"/>; and with null when changes may have gone unheard.
    /// Handlers must not wait.</summary>
    event Action<string?>? Changed;

    /// <summary>What <see cref="Changed"/> says of nodes.</summary>
    const string NodesChanged = "nodes";

    /// <summary>Takes or keeps the turn for some work, by the clock of the index: until it ends no other node takes it.</summary>
    Task<bool> TryTakeTurnAsync(string work, Guid store, TimeSpan time, CancellationToken ct);

    /// <summary>Enters a replica that lacks something. What is there already stays as it is, but for a graver reason.</summary>
    Task EnqueueRepairAsync(ReplicaRepairRecord repair, DateTimeOffset now, CancellationToken ct);

    /// <summary>Repairs of a store that are due, the longest due first.</summary>
    ValueTask<IReadOnlyList<ReplicaRepairRecord>> ListRepairsAsync(Guid store, DateTimeOffset now, int max, CancellationToken ct);

    /// <summary>Takes repairs out that are done.</summary>
    Task EndRepairsAsync(Guid store, IReadOnlyList<BlobId> blobs, CancellationToken ct);

    /// <summary>Puts repairs off that could not be done.</summary>
    Task DelayRepairsAsync(Guid store, IReadOnlyList<BlobId> blobs, DateTimeOffset due, CancellationToken ct);

    /// <returns>Those of the given blobs that something needs: that the index knows, and has not freed.</returns>
    ValueTask<IReadOnlyList<BlobId>> FindNeededBlobsAsync(IReadOnlyList<BlobId> blobs, CancellationToken ct);

    ValueTask<long> CountRepairsAsync(Guid store, CancellationToken ct);
}

/// <summary>A node as the others know it.</summary>
/// <param name="Store">Of its data folder: a machine that comes back without that is another node.</param>
/// <param name="Zone">What fails together with it.</param>
/// <param name="Address">Where its peers find it: HOST:PORT. Null where it stands alone.</param>
/// <param name="Weight">Its share of the data; 0 where it has no drive.</param>
public sealed record ClusterNode(Guid Store, string Name, string Zone, string? Address, int Weight)
{
    /// <summary>The newest version of the layout that it works by. Not for <see cref="IClusterIndex.JoinAsync"/> to set, as the next.</summary>
    public long LayoutSeen { get; init; }

    /// <summary>The newest version of the layout of which it has all that it should hold.</summary>
    public long LayoutMoved { get; init; }
}

/// <param name="Revision">Grows by one with each change, from 1.</param>
public sealed record ClusterDocument(byte[] Content, long Revision);

/// <summary>One blob on one store that lacks something of it.</summary>
/// <param name="Reason">As <c>RepairReason</c> of the blob store numbers them.</param>
public sealed record ReplicaRepairRecord(BlobId Blob, Guid Store, int Reason);
