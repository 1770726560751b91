namespace DarkStorage.Storage;

/// <summary>Spends bytes, or whatever is counted, at a bounded rate: whoever spent ahead of it waits.</summary>
/// <param name="perSecond">To begin with. A second's worth may be spent at once.</param>
public sealed class Pace(long perSecond, TimeProvider clock)
{
    /// <summary>Shorter waits add up to one.</summary>
    private static readonly TimeSpan WaitMin = TimeSpan.FromMilliseconds(20);

    private readonly Lock _lock = new();
    private long _rate = perSecond;
    private long _since = clock.GetTimestamp();
    private double _spent;

    /// <summary>For what is spent from now on.</summary>
    public long PerSecond
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

    public async ValueTask SpendAsync(long amount, CancellationToken ct)
    {
        TimeSpan wait;
        lock (_lock)
        {
            var now = clock.GetTimestamp();
            _spent = Math.Max(0, _spent - (clock.GetElapsedTime(_since, now).TotalSeconds * _rate)) + amount;
            _since = now;
            wait = TimeSpan.FromSeconds(Math.Max(0, (_spent / _rate) - 1));
        }
        if (wait >= WaitMin) await Task.Delay(wait, clock, ct);
    }
}
