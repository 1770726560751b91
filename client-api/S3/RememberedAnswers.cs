using System.Collections.Concurrent;
using DarkStorage.GrainInterfaces;
using Orleans.Runtime;

namespace DarkStorage.ClientApi.S3;

/// <summary>What grains say of keys and roles, remembered by name for <see cref="Lifetime"/>: requests are many, changes are few. A change that another node made shows that much later,
/// one of this node at once.</summary>
/// <param name="staleMax">For how much longer an answer is good where the grain can't be asked, of whom that may be said: see <see cref="S3Options.StaleReadsMax"/>.</param>
internal sealed class RememberedAnswers<T>(Func<string, CancellationToken, Task<T>> ask, TimeSpan staleMax, TimeProvider clock)
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromSeconds(5);

    /// <summary>Names remembered at the most; unknown ones are among them, so that guessing does not wake grains.</summary>
    private const int Max = 10_000;

    private readonly ConcurrentDictionary<string, (T Answer, long Until)> _known = new(StringComparer.Ordinal);
    private int _changes;

    /// <param name="mayBeStale">The index is away, and the request only reads.</param>
    public ValueTask<T> FindAsync(string name, bool mayBeStale, CancellationToken ct)
    {
        if (!_known.TryGetValue(name, out var known)) return new(AskAsync(name, ct));
        if (known.Until >= clock.GetTimestamp()) return new(known.Answer);
        return new(mayBeStale && clock.GetElapsedTime(known.Until) <= staleMax ? AskOrRecallAsync(name, known.Answer, ct) : AskAsync(name, ct));
    }

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

    private async Task<T> AskOrRecallAsync(string name, T known, CancellationToken ct)
    {
        try
        {
            return await AskAsync(name, ct);
        }
        catch (Exception e) when (e is StorageException { Error: StorageError.IndexAway or StorageError.Unavailable } or OrleansException or TimeoutException)
        {
            return known;
        }
    }

    /// <param name="isSure">Something was changed. Else it may have been: everything is asked for anew, and is what it was where nobody can be asked.</param>
    public void Forget(bool isSure)
    {
        Interlocked.Increment(ref _changes);
        if (isSure)
        {
            _known.Clear();
            return;
        }
        var past = clock.GetTimestamp() - 1;
        foreach (var (name, known) in _known)
        {
            if (known.Until > past) _known.TryUpdate(name, (known.Answer, past), known);
        }
    }
}
