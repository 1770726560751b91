using System.Globalization;

namespace DarkStorage.Simulation.Crash;

internal enum Outcome
{
    /// <summary>Under way, or without an answer for ever: it may have happened, and at any time since it began.</summary>
    Unknown,
    Acknowledged,
    Refused,
}

/// <summary>A change of one key that was asked for.</summary>
internal sealed class Change(string what, long begun, Func<long, IReadOnlyCollection<Content>> results)
{
    private Content? _exact;

    public long Begun => begun;

    /// <summary>When its answer came.</summary>
    public long Ended { get; private set; } = long.MaxValue;

    public Outcome Outcome { get; private set; }

    /// <summary>What the key may hold after it.</summary>
    public IReadOnlyCollection<Content> Results => _exact is { } exact ? [exact] : results(Ended);

    /// <param name="result">What it made, where that is known only now.</param>
    public void Acknowledge(long now, Content? result = null) => (Ended, Outcome, _exact) = (now, Outcome.Acknowledged, result ?? _exact);

    public void Refuse() => Outcome = Outcome.Refused;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{what} [{begun}..{(Ended == long.MaxValue ? "" : Ended)}] {Outcome}: {string.Join(" or ", Results)}");
}

/// <summary>What was done to one key, and so what a look at it may find.</summary>
/// <remarks>The rule: a look finds what some change left that began before the look ended, unless another change was acknowledged that began after
/// that one had ended, and ended before the look began. A change without an answer never ends. Not thread-safe: its owner locks.</remarks>
internal sealed class KeyHistory
{
    private readonly List<Change> _changes = [];

    public KeyHistory() => Settle(0, Content.None);

    /// <summary>A change begins whose result is known beforehand.</summary>
    public Change Begin(string what, long now, Content result) => Begin(what, now, _ => [result]);

    /// <param name="results">What it may leave, when it has ended at a time.</param>
    public Change Begin(string what, long now, Func<long, IReadOnlyCollection<Content>> results)
    {
        var change = new Change(what, now, results);
        _changes.Add(change);
        return change;
    }

    /// <summary>All that a look may find which began and ended at these times.</summary>
    public HashSet<Content> Visible(long from, long to) =>
        [.. _changes.Where(x => x.Outcome != Outcome.Refused && x.Begun < to && !_changes.Exists(y => Hides(y, x, from))).SelectMany(x => x.Results)];

    /// <summary>After a crash: the key has been looked at, and this is what it holds.</summary>
    public void Settle(long now, Content found)
    {
        _changes.Clear();
        _changes.Add(new("found", now, _ => [found]));
        _changes[0].Acknowledge(now);
    }

    /// <summary>What is wrong with a look, or null.</summary>
    public string? Explain(Content found, long from, long to) =>
        Visible(from, to) is var possible && possible.Contains(found) ? null : $"holds {found}, and may hold {string.Join(" or ", possible)}; done to it:\n  {string.Join("\n  ", _changes)}";

    private static bool Hides(Change later, Change earlier, long from) =>
        later.Outcome == Outcome.Acknowledged && later.Begun > earlier.Ended && later.Ended < from;
}
