namespace DarkStorage.Storage.Chunks;

/// <summary>So many bytes that several may hold together; who comes when they are used up waits, in the order of coming.</summary>
internal sealed class ByteBudget(long all)
{
    private readonly Lock _lock = new();
    private readonly Queue<(long Bytes, TaskCompletionSource Granted)> _waiting = new();
    private readonly long _all = all;
    private long _free = all;

    /// <summary>Bytes that are held now.</summary>
    public long Used
    {
        get
        {
            lock (_lock) return _all - _free;
        }
    }

    /// <summary>Takes some. More than there are in all counts as all.</summary>
    /// <exception cref="OperationCanceledException">It was not waited for any longer: nothing was taken.</exception>
    public Task TakeAsync(long wanted, CancellationToken ct)
    {
        wanted = Math.Min(wanted, _all);
        TaskCompletionSource granted;
        lock (_lock)
        {
            if (_waiting.Count == 0 && _free >= wanted)
            {
                _free -= wanted;
                return Task.CompletedTask;
            }
            granted = new(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting.Enqueue((wanted, granted));
        }
        return WaitAsync(granted, ct);
    }

    /// <summary>Takes some unless they would have to be waited for.</summary>
    public bool TryTake(long wanted)
    {
        lock (_lock)
        {
            if (_waiting.Count > 0 || _free < Math.Min(wanted, _all)) return false;
            _free -= Math.Min(wanted, _all);
            return true;
        }
    }

    /// <param name="taken">As it was wanted.</param>
    public void Return(long taken)
    {
        lock (_lock)
        {
            _free += Math.Min(taken, _all);
            Grant();
        }
    }

    private async Task WaitAsync(TaskCompletionSource granted, CancellationToken ct)
    {
        await using var registration = ct.UnsafeRegister((_, token) =>
        {
            lock (_lock)
            {
                if (granted.TrySetCanceled(token)) Grant();     // those behind may be content with less
            }
        }, null);
        await granted.Task;
    }

    /// <summary>Under the lock. Who went away meanwhile is passed over.</summary>
    private void Grant()
    {
        while (_waiting.TryPeek(out var next) && (next.Granted.Task.IsCompleted || _free >= next.Bytes))
        {
            _waiting.Dequeue();
            if (next.Granted.TrySetResult()) _free -= next.Bytes;
        }
    }
}
