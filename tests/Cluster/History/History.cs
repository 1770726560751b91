using System.Collections.Concurrent;
using System.Diagnostics;

namespace DarkStorage.Cluster.History;

public enum OperationKind
{
    /// <summary>Writes <see cref="Operation.Value"/>.</summary>
    Put,

    /// <summary>Writes <see cref="Operation.Value"/> if <see cref="Operation.Expected"/> is there.</summary>
    Swap,

    /// <summary>Takes away what is there.</summary>
    Delete,

    /// <summary>Found <see cref="Operation.Value"/>; null is nothing.</summary>
    Get,
}

public enum Outcome
{
    /// <summary>Answered: it took effect at one moment between its start and its end.</summary>
    Done,

    /// <summary>Answered that the condition did not hold: at one moment between its start and its end.</summary>
    Refused,

    /// <summary>No answer, or one that says that nobody knows: it takes effect at one moment after its start, or never.</summary>
    Unknown,
}

/// <summary>One operation on one key, as its client saw it.</summary>
/// <param name="Start">Ticks of a clock that all clients share, before it was sent.</param>
/// <param name="End">After the answer was read; of an unknown one it means nothing.</param>
public sealed record Operation(OperationKind Kind, string? Value, string? Expected, Outcome Outcome, long Start, long End)
{
    public override string ToString() => $"[{Start}..{(Outcome == Outcome.Unknown ? "?" : End)}] {Kind} {(Kind == OperationKind.Swap ? $"{Expected ?? "-"} to " : "")}{Value ?? "-"} {Outcome}";
}

/// <summary>What all clients of a run did, by key.</summary>
public sealed class Recorder
{
    private readonly ConcurrentDictionary<string, ConcurrentQueue<Operation>> _operations = new(StringComparer.Ordinal);

    public static long Now => Stopwatch.GetTimestamp();

    public IReadOnlyDictionary<string, ConcurrentQueue<Operation>> Operations => _operations;

    public void Add(string key, Operation operation) => _operations.GetOrAdd(key, static _ => new()).Enqueue(operation);
}
