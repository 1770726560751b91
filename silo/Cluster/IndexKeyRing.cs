using DarkStorage.Grains.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.Silo.Cluster;

/// <summary>The key ring that all nodes share: a document of the index, sealed under the cluster's master key.</summary>
internal sealed partial class IndexKeyRing(IClusterIndex index) : IKeyRingStorage
{
    /// <summary>Makes a ring follow what other nodes make of it, such as a key that was disabled.</summary>
    public void Keep(KeyRing ring, ILogger log) => index.Changed += document =>
    {
        if (document is null or ClusterDocuments.KeyRing) _ = RefreshAsync(ring, log);
    };

    private static async Task RefreshAsync(KeyRing ring, ILogger log)
    {
        try
        {
            await ring.RefreshAsync(CancellationToken.None);
        }
        catch (Exception e)     // nobody waits here who could be told
        {
            LogNotRead(log, e);
        }
    }

    [LoggerMessage(LogLevel.Warning, "The key ring was changed by another node and could not be read")]
    private static partial void LogNotRead(ILogger log, Exception exception);

    public async ValueTask<StoredKeyRing?> ReadAsync(CancellationToken ct) =>
        await index.ReadDocumentAsync(ClusterDocuments.KeyRing, ct) is { } document ? new(document.Content, document.Revision) : null;

    public async ValueTask<bool> TryReplaceAsync(ReadOnlyMemory<byte> sealedRing, long revision, CancellationToken ct) =>
        await index.TryReplaceDocumentAsync(ClusterDocuments.KeyRing, sealedRing, revision, ct);
}
