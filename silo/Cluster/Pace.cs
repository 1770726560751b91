namespace DarkStorage.Silo.Cluster;

/// <summary>Spends bytes at a bounded rate: whoever spent ahead of it waits.</summary>
/// <param name="bytesPerSecond">To begin with. A second's worth may be spent at once.</param>
internal sealed class Pace(long bytesPerSecond, TimeProvider clock)
{
    private readonly Lock _lock = new();
    private long _rate = bytesPerSecond;
    private long _since = clock.GetTimestamp();
    private double _spent;

    /// <summary>For what is spent from now on.</summary>
    public long BytesPerSecond
    {
        get
        {
            lock (_lock) return _rate;
        }
        set
        {
            lock (_lock) _rate = value;
        }
    }

    public async ValueTask SpendAsync(long bytes, CancellationToken ct)
    {
        TimeSpan wait;
        lock (_lock)
        {
            var now = clock.GetTimestamp();
            _spent = Math.Max(0, _spent - (clock.GetElapsedTime(_since, now).TotalSeconds * _rate)) + bytes;
            _since = now;
            wait = TimeSpan.FromSeconds(Math.Max(0, (_spent / _rate) - 1));
        }
        if (wait > TimeSpan.Zero) await Task.Delay(wait, clock, ct);
    }
}
