namespace DarkStorage.Silo.Cluster;

/// <summary>Ends the wait of one loop before its time. Waking it twice is waking it once.</summary>
internal sealed class WakeUp : IDisposable
{
    private readonly SemaphoreSlim _woken = new(0, 1);

    /// <summary>From any thread, and also when nobody waits any more.</summary>
    public void Wake()
    {
        try
        {
            _woken.Release();
        }
        catch (Exception e) when (e is SemaphoreFullException or ObjectDisposedException)
        {
            // It is about to look, or will never again.
        }
    }

    public Task WaitAsync(TimeSpan time, CancellationToken ct) => _woken.WaitAsync(time, ct);

    public void Dispose() => _woken.Dispose();
}
