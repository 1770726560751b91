using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;

namespace DarkStorage.Metadata;

/// <summary>What the nodes of one cluster agree on besides the objects: who they are, documents that all share, whose turn it is, and which replicas lack something.</summary>
/// <remarks>Any method may throw <see cref="StorageError.Unavailable"/> or <see cref="StorageError.IndexAway"/>.</remarks>
public interface IClusterIndex
{
    /// <summary>Made with the index, and kept by every node that joined it.</summary>
    Guid ClusterId { get; }

    /// <summary>Enters a node, or its new name, zone and address.</summary>
    /// <exception cref="InvalidDataException">Another node has the name, or one of the two stands alone, or the cluster keeps what takes a program of a newer level.</exception>
    Task JoinAsync(ClusterNode node, DateTimeOffset now, CancellationToken ct);

    /// <summary>All nodes that ever joined and were not taken out, in the order of their names.</summary>
    ValueTask<IReadOnlyList<ClusterNode>> ListNodesAsync(CancellationToken ct);

    /// <summary>Notes how far a node has followed the layout. Numbers only grow.</summary>
    /// <returns>False where there is no such node: it was taken out.</returns>
    Task<bool> ReportLayoutAsync(Guid store, long seen, long moved, CancellationToken ct);

    /// <summary>To be called before something is stored that takes a program of a level: from then on no older program can join.</summary>
    /// <returns>Null where all nodes are of that level; else the names of those that are not, for a sentence, and nothing is changed.</returns>
    Task<string?> TryUseLevelAsync(int level, CancellationToken ct);

    /// <summary>Takes a node out, with what waited for it. All nodes hear of it, so that one that was taken out and is back enters itself again.</summary>
    Task RemoveNodeAsync(Guid store, CancellationToken ct);

    /// <returns>Null where there is none yet.</returns>
    ValueTask<ClusterDocument?> ReadDocumentAsync(string name, CancellationToken ct);

    /// <summary>Replaces a document if it still has the revision that was decided on (0: there is none yet).</summary>
    /// <returns>False where it has another one.</returns>
    Task<bool> TryReplaceDocumentAsync(string name, ReadOnlyMemory<byte> content, long revision, CancellationToken ct);

    /// <summary>Replaces the layout if it still has the revision that was decided on (0: there is none yet), and keeps account of its changes in the same transaction.</summary>
    /// <returns>False where it has another one: then nothing is changed.</returns>
    Task<bool> TryReplaceLayoutAsync(LayoutReplacement replacement, CancellationToken ct);

    /// <summary>Changes of the layout: all that have not ended, and the last that have, the newest first.</summary>
    ValueTask<IReadOnlyList<LayoutJobRecord>> ListLayoutJobsAsync(CancellationToken ct);

    /// <summary>Notes how far a node is with what a change of the layout has it fetch. What is told of a change that is not known is let go.</summary>
    Task ReportProgressAsync(LayoutProgressRecord progress, CancellationToken ct);

    /// <summary>What nodes told of the changes that are listed.</summary>
    ValueTask<IReadOnlyList<LayoutProgressRecord>> ListProgressAsync(CancellationToken ct);

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

    /// <summary>Takes repairs of one store out that are done. One that was entered meanwhile for a graver reason stays.</summary>
    Task EndRepairsAsync(Guid store, IReadOnlyList<ReplicaRepairRecord> repairs, CancellationToken ct);

    /// <summary>Puts repairs of one store off that could not be done. One that was entered meanwhile for a graver reason stays as it is.</summary>
    Task DelayRepairsAsync(Guid store, IReadOnlyList<ReplicaRepairRecord> repairs, DateTimeOffset due, CancellationToken ct);

    /// <returns>Those of the given blobs that something needs: that the index knows, and has not freed.</returns>
    ValueTask<IReadOnlyList<BlobId>> FindNeededBlobsAsync(IReadOnlyList<BlobId> blobs, CancellationToken ct);

    /// <summary>All blobs that something needs, in the order of their ids.</summary>
    /// <param name="after">Only ids greater than this one; default for the first page.</param>
    ValueTask<IReadOnlyList<BlobId>> ListNeededBlobsAsync(BlobId after, int max, CancellationToken ct);

    /// <summary>How many repairs wait for each node, up to a million.</summary>
    /// <param name="store">Only this one's; null for all.</param>
    ValueTask<IReadOnlyDictionary<Guid, long>> CountRepairsAsync(Guid? store, CancellationToken ct);
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

    /// <summary>What its program knows of: by default what this one does.</summary>
    public int Level { get; init; } = ClusterLevels.Newest;
}

/// <param name="Revision">Grows by one with each change, from 1.</param>
public sealed record ClusterDocument(byte[] Content, long Revision);

/// <summary>A next version of the layout.</summary>
/// <param name="Revision">That was decided on.</param>
/// <param name="Job">What it was made for; null where it just forgets what has been moved.</param>
/// <param name="Cancels">The job that it takes back.</param>
/// <param name="Settled">All jobs up to this one are done.</param>
public sealed record LayoutReplacement(ReadOnlyMemory<byte> Content, long Revision, LayoutJobRecord? Job, long? Cancels, long? Settled, DateTimeOffset Now);

/// <summary>A change of the layout, as the long work that it is.</summary>
/// <param name="Id">The version of the layout that it made.</param>
/// <param name="Kind">As <c>LayoutChanges</c> of the rules names it.</param>
/// <param name="Node">The name of the node that it is about; null where it is about all.</param>
/// <param name="Change">A document: what was asked for.</param>
/// <param name="Undo">A document: what takes it back; null where nothing does.</param>
public sealed record LayoutJobRecord(long Id, string Kind, string? Node, string Change, string? Undo, DateTimeOffset Begun)
{
    public DateTimeOffset? Ended { get; init; }

    /// <summary><c>done</c> or <c>cancelled</c>; null until it has ended.</summary>
    public string? Outcome { get; init; }
}

/// <param name="Blobs">That the node has to look at.</param>
/// <param name="Passed">That it has looked at.</param>
/// <param name="Copied">Of which something was to be copied.</param>
/// <param name="Bytes">That were copied.</param>
/// <param name="Begun">By the node's clock, as <paramref name="Told"/>.</param>
public sealed record LayoutProgressRecord(long Job, Guid Store, long Blobs, long Passed, long Copied, long Bytes, DateTimeOffset Begun, DateTimeOffset Told);

/// <summary>One blob on one store that lacks something of it.</summary>
/// <param name="Reason">As <c>RepairReason</c> of the blob store numbers them.</param>
public sealed record ReplicaRepairRecord(BlobId Blob, Guid Store, int Reason);
