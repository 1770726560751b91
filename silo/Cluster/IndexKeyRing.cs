using DarkStorage.Grains.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.Silo.Cluster;

/// <summary>The key ring that all nodes share: a document of the index, sealed under the cluster's master key.</summary>
internal sealed partial class IndexKeyRing(IClusterIndex index) : IKeyRingStorage, IAsyncDisposable
{
    /// <summary>Without a message, in case one was lost: for so long at most a key is used that another node disabled.</summary>
    private static readonly TimeSpan ReadEvery = TimeSpan.FromSeconds(15);

    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(1);

    private readonly WakeUp _wake = new();
    private readonly CancellationTokenSource _closing = new();
    private Task _following = Task.CompletedTask;

    /// <summary>Makes a ring follow what other nodes make of it, such as a key that was disabled.</summary>
    public void Keep(KeyRing ring, ILogger log)
    {
        index.Changed += Wake;
        _following = Task.Run(() => FollowAsync(ring, log));
    }

    public bool IsShared => true;

    public async ValueTask<StoredKeyRing?> ReadAsync(CancellationToken ct) =>
        await index.ReadDocumentAsync(ClusterDocuments.KeyRing, ct) is { } document ? new(document.Content, document.Revision) : null;

    public async ValueTask<bool> TryReplaceAsync(ReadOnlyMemory<byte> sealedRing, long revision, CancellationToken ct) =>
        await index.TryReplaceDocumentAsync(ClusterDocuments.KeyRing, sealedRing, revision, ct);

    public async ValueTask DisposeAsync()
    {
        index.Changed -= Wake;
        await _closing.CancelAsync();
        await _following;
        _closing.Dispose();
        _wake.Dispose();
    }

    private void Wake(string? document)
    {
        if (document is null or ClusterDocuments.KeyRing) _wake.Wake();
    }

    private async Task FollowAsync(KeyRing ring, ILogger log)
    {
        var isRead = true;
        while (true)
        {
            try
            {
                await _wake.WaitAsync(isRead ? ReadEvery : RetryAfter, _closing.Token);
                await ring.RefreshAsync(_closing.Token);
                isRead = true;
            }
            catch (OperationCanceledException) when (_closing.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)     // the index is away, or what is there does not open: nobody waits here who could be told
            {
                if (isRead) LogNotRead(log, e.Message);
                isRead = false;
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "The key ring could not be read; keys that other nodes changed are as they were until it is: {Why}")]
    private static partial void LogNotRead(ILogger log, string why);
}
