using System.Collections.Concurrent;

namespace DarkStorage.Engine.Tests;

/// <summary>
/// How a test and a grain, in one process, wait for each other. Grains find a gate by its name, which is all that crosses a call.
/// </summary>
internal sealed class Gate
{
    private static readonly ConcurrentDictionary<string, Gate> Gates = new();

    private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string Name { get; } = Guid.NewGuid().ToString("N");

    /// <summary>Somebody stands at the gate.</summary>
    public Task Reached => _reached.Task.WaitAsync(Cluster.Patience);

    public bool IsReached => _reached.Task.IsCompleted;

    public static Gate New()
    {
        var gate = new Gate();
        Gates[gate.Name] = gate;
        return gate;
    }

    public static Gate Named(string name) => Gates[name];

    public void Open() => _opened.TrySetResult();

    public void Reach() => _reached.TrySetResult();

    public Task PassAsync(CancellationToken ct = default)
    {
        _reached.TrySetResult();
        return _opened.Task.WaitAsync(ct);
    }
}

/// <summary>What grains tell tests, by the grain's key.</summary>
internal static class Journal
{
    private static readonly ConcurrentDictionary<string, Entries> All = new();

    public static void Add(string key, string entry) => Of(key).Add(entry);

    public static Entries Of(string key) => All.GetOrAdd(key, _ => new());

    internal sealed class Entries
    {
        private readonly List<string> _entries = [];
        private readonly List<(Func<List<string>, bool> Condition, TaskCompletionSource Met)> _waiting = [];

        public string[] Now
        {
            get
            {
                lock (_entries) return [.. _entries];
            }
        }

        public void Add(string entry)
        {
            lock (_entries)
            {
                _entries.Add(entry);
                foreach (var (condition, met) in _waiting.ToArray())
                    if (condition(_entries)) met.TrySetResult();
            }
        }

        public Task Count(string entry, int count) => Until(entries => entries.Count(e => e == entry) >= count);

        public Task Until(Func<List<string>, bool> condition)
        {
            lock (_entries)
            {
                if (condition(_entries)) return Task.CompletedTask;
                var met = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                _waiting.Add((condition, met));
                return met.Task.WaitAsync(Cluster.Patience);
            }
        }
    }
}
