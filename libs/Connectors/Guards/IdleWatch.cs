namespace DarkStorage.Connectors.Guards;

/// <summary>Cancels what makes no progress for a time.</summary>
internal sealed class IdleWatch : IDisposable
{
    private readonly TimeSpan _timeout;
    private readonly CancellationTokenSource _timer;
    private readonly CancellationTokenSource _either;

    public IdleWatch(TimeSpan timeout, TimeProvider clock, CancellationToken ct)
    {
        _timeout = timeout;
        _timer = new(timeout, clock);
        _either = CancellationTokenSource.CreateLinkedTokenSource(_timer.Token, ct);
    }

    /// <summary>For what is watched.</summary>
    public CancellationToken Token => _either.Token;

    public bool HasExpired => _timer.IsCancellationRequested;

    /// <summary>There was progress.</summary>
    public void Touch() => _timer.CancelAfter(_timeout);

    /// <summary>What happens until the next <see cref="Touch"/> is not the watched one's doing.</summary>
    public void Pause() => _timer.CancelAfter(Timeout.InfiniteTimeSpan);

    public void Dispose()
    {
        _either.Dispose();
        _timer.Dispose();
    }
}
