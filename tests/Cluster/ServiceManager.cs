namespace DarkStorage.Cluster;

/// <summary>Starts a node again whenever its program ends, as the service managers of operating systems do.</summary>
internal sealed class ServiceManager : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _keeping;

    public ServiceManager(NodeProcess node) => _keeping = KeepAsync(node);

    public int Starts { get; private set; }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _keeping.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    private async Task KeepAsync(NodeProcess node)
    {
        while (true)
        {
            await node.EndedAsync(_stop.Token);
            try
            {
                Starts++;
                await node.RestartAsync();
            }
            catch (InvalidOperationException)
            {
                // It ended at its start, as a node does that finds no database: once more.
            }
        }
    }
}
