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
    public Task TakeAsync(long wanted)
    {
        wanted = Math.Min(wanted, _all);
        lock (_lock)
        {
            if (_waiting.Count == 0 && _free >= wanted)
            {
                _free -= wanted;
                return Task.CompletedTask;
            }
            var granted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiting.Enqueue((wanted, granted));
            return granted.Task;
        }
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
            while (_waiting.TryPeek(out var next) && _free >= next.Bytes)
            {
                _free -= next.Bytes;
                _waiting.Dequeue().Granted.SetResult();
            }
        }
    }
}
