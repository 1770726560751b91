namespace DarkStorage.Storage.Replicas;

/// <summary>How long the last answers of one store took.</summary>
internal sealed class AnswerTimes
{
    private const int Kept = 100;
    private const int Rank = 95;

    private readonly Lock _lock = new();
    private readonly TimeSpan[] _times = new TimeSpan[Kept];
    private int _count;
    private int _next;
    private TimeSpan _percentile;

    /// <summary>What 95 of the last 100 did not exceed; zero while there were too few to say.</summary>
    public TimeSpan Percentile
    {
        get
        {
            lock (_lock) return _percentile;
        }
    }

    public void Add(TimeSpan time)
    {
        lock (_lock)
        {
            _times[_next] = time;
            _next = (_next + 1) % Kept;
            _count = Math.Min(_count + 1, Kept);
            // Sorting a hundred numbers costs more than one answer should: every tenth is enough.
            if (_count < 10 || _next % 10 != 0) return;
            Span<TimeSpan> sorted = stackalloc TimeSpan[_count];
            _times.AsSpan(0, _count).CopyTo(sorted);
            sorted.Sort();
            _percentile = sorted[Math.Min(_count - 1, _count * Rank / 100)];
        }
    }
}
