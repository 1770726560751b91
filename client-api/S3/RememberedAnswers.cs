using System.Collections.Concurrent;

namespace DarkStorage.ClientApi.S3;

/// <summary>What grains say of keys and roles, remembered by name for <see cref="Lifetime"/>: requests are many, changes are few. A change that another node made shows that much later,
/// one of this node at once.</summary>
internal sealed class RememberedAnswers<T>(Func<string, CancellationToken, Task<T>> ask, TimeProvider clock)
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(5);

    /// <summary>Names remembered at the most; unknown ones are among them, so that guessing does not wake grains.</summary>
    private const int Max = 10_000;

    private readonly ConcurrentDictionary<string, (T Answer, long Until)> _known = new(StringComparer.Ordinal);
    private int _changes;

    public ValueTask<T> FindAsync(string name, CancellationToken ct) =>
        _known.TryGetValue(name, out var known) && known.Until >= clock.GetTimestamp() ? new(known.Answer) : new(AskAsync(name, ct));

    /// <summary>The same, of this moment.</summary>
    public async Task<T> AskAsync(string name, CancellationToken ct)
    {
        var changes = Volatile.Read(ref _changes);
        var answer = await ask(name, ct);
        // Asked before a change, it may be of the time before: good for a request that overlapped the change, and for no other.
        if (changes != Volatile.Read(ref _changes)) return answer;
        if (_known.Count >= Max) _known.Clear();
        _known[name] = (answer, clock.GetTimestamp() + (long)(Lifetime.TotalSeconds * clock.TimestampFrequency));
        return answer;
    }

    public void Forget()
    {
        Interlocked.Increment(ref _changes);
        _known.Clear();
    }
}
