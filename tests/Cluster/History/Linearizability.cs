using System.Text;

namespace DarkStorage.Cluster.History;

/// <summary>Whether a history of one key could have come from one register that does one thing at a time, each between its start and its end (Herlihy and Wing, 1990).</summary>
/// <remarks>The search is Wing and Gong's (1993) with a memory of states seen: the operations that may come next are those that began before the first of the others ended. Every write has a value of
/// its own. What was never answered takes effect late or never, so it is put in only where the next operation needs what it did: had something else been written in between, nobody would have
/// seen it, and it may as well not have happened.</remarks>
public static class Linearizability
{
    /// <summary>States looked at before the search is given up: some seconds.</summary>
    private const int StatesMax = 500_000;

    /// <returns>Null where it is linearizable; otherwise the operations around the point that no order gets past.</returns>
    public static string? FindViolation(IEnumerable<Operation> history)
    {
        var all = history.ToList();
        var search = new Search(
            [.. all.Where(o => o.Outcome != Outcome.Unknown).OrderBy(o => o.Start)],
            [.. all.Where(o => o.Outcome == Outcome.Unknown && o.Kind != OperationKind.Get).OrderBy(o => o.Start)]);
        var found = search.Run();
        if (found == true) return null;
        return (found is null ? "It could not be decided.\n" : "") + search.Explain();
    }

    private sealed class Search(Operation[] answered, Operation[] unanswered)
    {
        private readonly HashSet<string> _seen = [];
        private readonly bool[] _done = new bool[answered.Length];
        private readonly bool[] _used = new bool[unanswered.Length];
        private int _furthest;
        private string? _furthestValue;

        /// <returns>Null where it would take too long to say.</returns>
        public bool? Run()
        {
            // By hand, not by recursion: a history is thousands long.
            var stack = new Stack<(Step? Taken, IEnumerator<Step> Next)>();
            stack.Push((null, Steps(null).GetEnumerator()));
            while (stack.TryPeek(out var top))
            {
                if (FirstOpen() == answered.Length) return true;
                if (_seen.Count > StatesMax) return null;
                if (top.Next.MoveNext())
                {
                    var step = top.Next.Current;
                    Mark(step, true);
                    if (!_seen.Add(StateOf(step.After)))
                    {
                        Mark(step, false);
                        continue;
                    }
                    if (FirstOpen() > _furthest) (_furthest, _furthestValue) = (FirstOpen(), step.After);
                    stack.Push((step, Steps(step.After).GetEnumerator()));
                    continue;
                }
                stack.Pop();
                if (top.Taken is { } taken) Mark(taken, false);
            }
            return false;
        }

        public string Explain()
        {
            if (_furthest >= answered.Length) return "";
            var stuck = answered[_furthest];
            var near = answered.Skip(Math.Max(0, _furthest - 10)).Take(24).Concat(unanswered.Where(u => u.Start <= stuck.End).TakeLast(20)).OrderBy(o => o.Start);
            return $"{_furthest} of {answered.Length} are explained, and {_furthestValue ?? "nothing"} is there. No order gets past {stuck}\n{string.Join('\n', near)}";
        }

        /// <param name="Unanswered">What had to happen before it, in order.</param>
        private sealed record Step(int Operation, int[] Unanswered, string? After);

        private void Mark(Step step, bool done)
        {
            _done[step.Operation] = done;
            foreach (var unanswered in step.Unanswered) _used[unanswered] = done;
        }

        private int FirstOpen()
        {
            var first = Array.IndexOf(_done, false);
            return first < 0 ? answered.Length : first;
        }

        private IEnumerable<Step> Steps(string? value)
        {
            var from = FirstOpen();
            var earliestEnd = long.MaxValue;
            for (var i = from; i < answered.Length && answered[i].Start <= earliestEnd; i++)
            {
                if (!_done[i]) earliestEnd = Math.Min(earliestEnd, answered[i].End);
            }
            // Those that need nothing unanswered first.
            for (var i = from; i < answered.Length && answered[i].Start <= earliestEnd; i++)
            {
                if (!_done[i] && Applies(answered[i], value, out var after)) yield return new(i, [], after);
            }
            for (var i = from; i < answered.Length && answered[i].Start <= earliestEnd; i++)
            {
                if (_done[i] || Applies(answered[i], value, out _)) continue;
                foreach (var (path, before) in PathsTo(answered[i], value, answered[i].End))
                {
                    if (Applies(answered[i], before, out var after)) yield return new(i, path, after);
                }
            }
        }

        /// <summary>What unanswered operations could have made of the value so that an operation applies.</summary>
        private IEnumerable<(int[], string?)> PathsTo(Operation operation, string? value, long until)
        {
            if (operation is { Kind: OperationKind.Swap, Outcome: Outcome.Refused })
            {
                // Any other value will do.
                for (var u = 0; u < unanswered.Length && unanswered[u].Start <= until; u++)
                {
                    if (!_used[u] && Applies(unanswered[u], value, out var after) && after != operation.Expected) yield return ([u], after);
                }
                yield break;
            }
            var wanted = operation.Kind == OperationKind.Get ? operation.Value : operation.Expected;
            if (PathTo(wanted, value, until, [], 8) is { } path) yield return (path, wanted);
        }

        /// <summary>Values are written once, so from the back there is one way, but for deletions, which are all alike.</summary>
        private int[]? PathTo(string? wanted, string? value, long until, int[] behind, int depth)
        {
            if (wanted == value && behind.Length > 0) return behind;
            if (depth == 0) return null;
            for (var u = 0; u < unanswered.Length && unanswered[u].Start <= until; u++)
            {
                var candidate = unanswered[u];
                if (_used[u] || behind.Contains(u) || (candidate.Kind == OperationKind.Delete ? null : candidate.Value) != wanted) continue;
                if (candidate.Kind != OperationKind.Swap) return [u, .. behind];
                return candidate.Expected == value ? [u, .. behind] : PathTo(candidate.Expected, value, until, [u, .. behind], depth - 1);
            }
            return null;
        }

        private static bool Applies(Operation operation, string? value, out string? after)
        {
            after = value;
            switch (operation.Kind)
            {
                case OperationKind.Get:
                    return operation.Value == value;
                case OperationKind.Put:
                    after = operation.Value;
                    return true;
                case OperationKind.Delete:
                    after = null;
                    return true;
                default:
                    if (operation.Outcome == Outcome.Refused) return operation.Expected != value;
                    if (operation.Expected != value) return false;
                    after = operation.Value;
                    return true;
            }
        }

        /// <summary>Which are placed: all before the first open one, those behind it by number, and the unanswered ones that were used.</summary>
        private string StateOf(string? value)
        {
            var first = FirstOpen();
            var state = new StringBuilder().Append(value).Append('|').Append(first);
            for (var i = first; i < answered.Length; i++)
            {
                if (_done[i]) state.Append(',').Append(i);
            }
            state.Append('|');
            for (var u = 0; u < unanswered.Length; u++)
            {
                if (_used[u]) state.Append(u).Append(',');
            }
            return state.ToString();
        }
    }
}
