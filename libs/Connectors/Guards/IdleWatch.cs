namespace DarkStorage.Connectors.Guards;

/// <summary>Cancels what makes no progress for a time. Several may pause it at one time, as parts of one put do; it runs while none does.</summary>
internal sealed class IdleWatch : IDisposable
{
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _timer;
    private readonly CancellationTokenSource _either;
    private TimeSpan _timeout;
    private int _paused;

    public IdleWatch(TimeSpan timeout, TimeProvider clock, CancellationToken ct)
    {
        _timeout = timeout;
        _timer = new(timeout, clock);
        _either = CancellationTokenSource.CreateLinkedTokenSource(_timer.Token, ct);
        Token = _either.Token;
    }

    /// <summary>For what is watched.</summary>
    public CancellationToken Token { get; }

    /// <summary>Without progress.</summary>
    public TimeSpan Limit
    {
        get
        {
            lock (_lock) return _timeout;
        }
    }

    public bool HasExpired => _timer.IsCancellationRequested;

    /// <summary>What happens until <see cref="Resume"/> is not the watched one's doing.</summary>
    public void Pause()
    {
        lock (_lock)
        {
            if (_paused++ == 0) _timer.CancelAfter(Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>There was progress.</summary>
    public void Resume()
    {
        lock (_lock)
        {
            if (--_paused == 0) _timer.CancelAfter(_timeout);
        }
    }

    /// <summary>Allows more time, or less, from the next <see cref="Resume"/> on.</summary>
    public void Allow(TimeSpan timeout)
    {
        lock (_lock) _timeout = timeout;
    }

    /// <summary>Not before what is watched has ended.</summary>
    public void Dispose()
    {
        _either.Dispose();
        _timer.Dispose();
    }
}
