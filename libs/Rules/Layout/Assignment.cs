using System.Diagnostics;
using DarkStorage.GrainInterfaces.Cluster;

namespace DarkStorage.Rules.Cluster;

/// <summary>The slots of a layout while it is being changed: a slot is one place in one partition's list of nodes.</summary>
/// <remarks>Invariants, at the end of each <see cref="Balance"/>: every slot of its columns has an active node; no partition names a node twice, nor one zone more often than it may.
/// What is right where it is stays there: a slot changes hands only if its node may not hold it any more, or if some node holds too much or too little.
/// All is a function of what goes in: what looks like chance comes from the seed.</remarks>
internal sealed class Assignment
{
    private const int Empty = -1;

    /// <summary>Draws for one slot before all nodes are looked at.</summary>
    private const int DrawsMax = 8;

    /// <summary>A node of fair share <c>t</c> may hold <c>t / 64</c> slots more or less than it should without anything being moved for it. So halves of partitions that are split
    /// need not move because rounding errors have doubled.</summary>
    private const int SlackDivisor = 64;

    private readonly int _partitions;
    private readonly int _width;
    private readonly int[] _zones;
    private readonly bool[] _active;
    private readonly int[] _slots;
    private readonly int[] _before;
    private ulong _random;

    // Of the columns that are being balanced:
    private int _from;
    private int _to;
    private int _perZone;
    private double[] _fair = [];
    private readonly List<int>[] _held;
    private readonly int[] _placeInHeld;
    private readonly int[] _inColumn;

    /// <param name="slots">For each partition, for each column, the index of its node, or -1. It is changed in place.</param>
    public Assignment(IReadOnlyList<LayoutNode> nodes, int[] slots, int width, ulong seed)
    {
        (_slots, _width, _random) = (slots, width, seed);
        _before = [.. slots];
        _partitions = slots.Length / width;
        var zones = nodes.Select(node => node.Zone).Distinct(StringComparer.Ordinal).ToList();
        _zones = [.. nodes.Select(node => zones.IndexOf(node.Zone))];
        _active = [.. nodes.Select(node => node.State == NodeState.Active)];
        _held = [.. nodes.Select(_ => new List<int>())];
        _placeInHeld = new int[slots.Length];
        _inColumn = new int[nodes.Count * width];
    }

    /// <summary>Gives each node its share of the slots in some columns. The columns before them are given, those behind are not looked at.</summary>
    /// <param name="shares">For each node, in how many partitions it should be with all columns up to <paramref name="to"/>, as a fraction.</param>
    /// <param name="perZone">How often a partition may name a zone in all columns up to <paramref name="to"/>.</param>
    public void Balance(int from, int to, double[] shares, int perZone)
    {
        (_from, _to, _perZone) = (from, to, perZone);
        // A share that ought to be a whole number of slots may have missed it by a rounding error. What a node has too much or too little of in the columns before is made up for in these.
        var given = new int[_held.Length];
        for (var slot = 0; slot < _slots.Length; slot++)
        {
            if (slot % _width < from) given[_slots[slot]]++;
        }
        _fair = [.. shares.Zip(given, (share, count) => Math.Max(0, Math.Round(share * _partitions, 6) - count))];
        foreach (var held in _held) held.Clear();
        Array.Clear(_inColumn);
        for (var partition = 0; partition < _partitions; partition++)
        {
            for (var column = from; column < to; column++)
            {
                var slot = (partition * _width) + column;
                var node = _slots[slot];
                _slots[slot] = Empty;
                if (node != Empty && _active[node] && MayTake(slot, node, columns: column)) Put(slot, node);
            }
        }
        for (var column = from; column < to; column++) Fill(column);
        Level();
    }

    /// <summary>Finds nodes for the empty slots of a column. Those that hold less than they should are drawn as often as they lack slots, so any two nodes meet in about as many
    /// partitions as any other two, and what one node loses, many make again.</summary>
    private void Fill(int column)
    {
        var empty = Enumerable.Range(0, _partitions).Select(partition => (partition * _width) + column).Where(slot => _slots[slot] == Empty).ToList();
        if (empty.Count == 0) return;
        // Each column up to this one should have its part of a node's share, so that buckets with fewer copies are spread as evenly.
        var part = (double)(column - _from + 1) / (_to - _from);
        var urn = new Urn(_held.Length);
        var rounds = 0;
        Refill();
        foreach (var slot in empty)
        {
            if (urn.Total == 0 && rounds < 2) Refill();
            var node = Draw(slot, urn);
            if (urn[node] > 0) urn.Add(node, -1);
            Put(slot, node);
        }

        // First all get what they should have at the least, rounded down; then whoever is below his share, rounded up.
        void Refill()
        {
            rounds++;
            for (var node = 0; node < _held.Length; node++)
            {
                var before = 0;
                for (var c = _from; c <= column; c++) before += _inColumn[(node * _width) + c];
                var most = Ceiling(node) - _held[node].Count;
                var lacking = rounds == 1 ? Math.Min(most, (int)Math.Floor(_fair[node] * part) - before) : most;
                urn.Add(node, Math.Max(0, lacking) - urn[node]);
            }
        }
    }

    private int Draw(int slot, Urn urn)
    {
        for (var i = 0; i < DrawsMax && urn.Total > 0; i++)
        {
            var drawn = urn.At((int)(Next() % (ulong)urn.Total));
            if (MayTake(slot, drawn) && (i >= DrawsMax / 2 || !Upsets(slot, drawn))) return drawn;
        }
        var best = Empty;
        for (var node = 0; node < _held.Length; node++)
        {
            if (MayTake(slot, node) && (best == Empty || Surplus(node) < Surplus(best))) best = node;
        }
        return best != Empty ? best : throw new UnreachableException("There are nodes enough, and none may take a slot.");
    }

    /// <summary>Moves slots from nodes that hold too many to nodes that hold too few.</summary>
    private void Level()
    {
        var all = Enumerable.Range(0, _held.Length).Where(node => _active[node]).ToList();
        foreach (var node in all) Raise(node, all, HasTooMuch, (givers, takers) => Shift(givers, takers, onlyMoved: true));
        foreach (var node in all) Lower(node, all, HasTooLittle, (givers, takers) => Shift(givers, takers, onlyMoved: true));
        // What has not been moved yet is moved for those alone who are further off than they may be; for the last few slots, within what is allowed, no third node is troubled.
        foreach (var node in Lacking())
            Raise(node, all, HasTooMuch, (givers, takers) => ShiftDirectly(givers, takers, onlyMoved: false) || (IsLacking(node) && ShiftOverOthers(givers, takers, onlyMoved: false)));
        foreach (var node in Overfull())
            Lower(node, all, HasTooLittle, (givers, takers) => ShiftDirectly(givers, takers, onlyMoved: false) || (IsOverfull(node) && ShiftOverOthers(givers, takers, onlyMoved: false)));
        // The columns before these, which are given, may leave no way to be fair: what is too much or too little then is not for one node alone.
        foreach (var node in Lacking())
            Raise(node, all, giver => Part(giver, -1) > Part(node, 0), (givers, takers) => IsLacking(node) && Shift(givers, takers, onlyMoved: false));
        foreach (var node in Overfull())
            Lower(node, all, taker => Part(taker, 1) < Part(node, 0), (givers, takers) => IsOverfull(node) && Shift(givers, takers, onlyMoved: false));

        List<int> Lacking() => [.. all.Where(IsLacking).OrderBy(Surplus)];
        List<int> Overfull() => [.. all.Where(IsOverfull).OrderByDescending(Surplus)];
    }

    private void Raise(int node, List<int> all, Func<int, bool> mayGive, Func<List<int>, List<int>, bool> shift)
    {
        while (_held[node].Count < Floor(node) && shift([.. all.Where(mayGive).OrderByDescending(Surplus)], [node]))
        {
        }
    }

    private void Lower(int node, List<int> all, Func<int, bool> mayTake, Func<List<int>, List<int>, bool> shift)
    {
        while (_held[node].Count > Ceiling(node) && shift([node], [.. all.Where(mayTake).OrderBy(Surplus)]))
        {
        }
    }

    /// <summary>Moves one slot from one of the givers to one of the takers; where no taker may have one of theirs, over as few others in between as can be.</summary>
    /// <param name="onlyMoved">Whether no slots are moved but those that have changed hands already, which costs nothing more.</param>
    private bool Shift(List<int> givers, List<int> takers, bool onlyMoved) => ShiftDirectly(givers, takers, onlyMoved) || ShiftOverOthers(givers, takers, onlyMoved);

    private bool ShiftDirectly(List<int> givers, List<int> takers, bool onlyMoved)
    {
        foreach (var giver in givers)
        {
            foreach (var taker in takers)
            {
                if (BestSlot(giver, taker, onlyMoved) is not { } slot) continue;
                Put(slot, taker);
                return true;
            }
        }
        return false;
    }

    /// <summary>The slot that the taker may have from the giver: one that upsets nothing else, in a column where the giver has many and the taker few.</summary>
    private int? BestSlot(int giver, int taker, bool onlyMoved)
    {
        int? best = null;
        var bestRank = (int.MaxValue, ulong.MaxValue);
        foreach (var slot in _held[giver])
        {
            if ((onlyMoved && !IsMoved(slot)) || !MayTake(slot, taker)) continue;
            var column = slot % _width;
            var need = _inColumn[(taker * _width) + column] - _inColumn[(giver * _width) + column];
            var rank = (need + (Upsets(slot, taker) ? _slots.Length : 0), Mix(_random ^ (ulong)slot));
            if (rank.CompareTo(bestRank) < 0) (best, bestRank) = (slot, rank);
        }
        return best;
    }

    /// <summary>Breadth first: one gives a slot to the next, who gives another one on.</summary>
    private bool ShiftOverOthers(List<int> givers, List<int> takers, bool onlyMoved)
    {
        var cameFrom = new (int Giver, int Slot)?[_held.Length];
        var unseen = Enumerable.Range(0, _held.Length).Where(node => _active[node]).Except(givers).ToList();
        var queue = new Queue<int>(givers);
        while (queue.TryDequeue(out var giver))
        {
            foreach (var slot in _held[giver])
            {
                if (onlyMoved && !IsMoved(slot)) continue;
                if (IsOnPath(giver, slot / _width)) continue;   // two steps in one partition might each be right only without the other
                for (var i = unseen.Count - 1; i >= 0; i--)
                {
                    var node = unseen[i];
                    if (!MayTake(slot, node)) continue;
                    cameFrom[node] = (giver, slot);
                    unseen.RemoveAt(i);
                    queue.Enqueue(node);
                    if (!takers.Contains(node)) continue;
                    for (var taker = node; cameFrom[taker] is { } step; taker = step.Giver) Put(step.Slot, taker);
                    return true;
                }
            }
        }
        return false;

        bool IsOnPath(int node, int partition)
        {
            for (var at = node; cameFrom[at] is { } step; at = step.Giver)
            {
                if (step.Slot / _width == partition) return true;
            }
            return false;
        }
    }

    private bool IsMoved(int slot) => _slots[slot] != _before[slot];

    /// <summary>Whether the node would have to leave one of the columns behind, which are balanced later.</summary>
    private bool Upsets(int slot, int node)
    {
        var first = slot - (slot % _width);
        return _slots.AsSpan(first + _to, _width - _to).Contains(node);
    }

    private bool MayTake(int slot, int node) => MayTake(slot, node, _to);

    /// <summary>Whether the first columns of a partition allow that the node has this slot, whoever has it now.</summary>
    private bool MayTake(int slot, int node, int columns)
    {
        if (!_active[node]) return false;
        var column = slot % _width;
        var first = slot - column;
        var sameZone = 0;
        for (var other = 0; other < columns; other++)
        {
            var holder = _slots[first + other];
            if (other == column || holder == Empty) continue;
            if (holder == node) return false;
            if (_zones[holder] == _zones[node] && ++sameZone >= _perZone) return false;
        }
        return true;
    }

    private void Put(int slot, int node)
    {
        var column = slot % _width;
        if (_slots[slot] is var before && before != Empty)
        {
            var list = _held[before];
            list[_placeInHeld[slot]] = list[^1];
            _placeInHeld[list[^1]] = _placeInHeld[slot];
            list.RemoveAt(list.Count - 1);
            _inColumn[(before * _width) + column]--;
        }
        _slots[slot] = node;
        _placeInHeld[slot] = _held[node].Count;
        _held[node].Add(slot);
        _inColumn[(node * _width) + column]++;
    }

    private double Surplus(int node) => _held[node].Count - _fair[node];

    /// <summary>What a node would hold with some slots more, as a part of what it should.</summary>
    private double Part(int node, int more) => _fair[node] > 0 ? (_held[node].Count + more) / _fair[node] : double.PositiveInfinity;

    private bool HasTooMuch(int node) => _held[node].Count > Floor(node);

    private bool HasTooLittle(int node) => _held[node].Count < Ceiling(node);

    private bool IsLacking(int node) => _held[node].Count < Floor(node) - Slack(node);

    private bool IsOverfull(int node) => _held[node].Count > Ceiling(node) + Slack(node);

    private int Floor(int node) => (int)Math.Floor(_fair[node]);

    private int Ceiling(int node) => (int)Math.Ceiling(_fair[node]);

    private int Slack(int node) => (int)(_fair[node] / SlackDivisor);

    private ulong Next() => Mix(++_random);

    /// <summary>SplitMix64's last step: near inputs have far outputs.</summary>
    private static ulong Mix(ulong value)
    {
        value *= 0x9E3779B97F4A7C15;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }

    /// <summary>Tickets of each node, drawn from and counted in logarithmic time: a Fenwick tree.</summary>
    private sealed class Urn(int nodes)
    {
        private readonly int[] _tickets = new int[nodes];
        private readonly int[] _tree = new int[nodes + 1];

        public int Total { get; private set; }

        public int this[int node] => _tickets[node];

        public void Add(int node, int tickets)
        {
            _tickets[node] += tickets;
            Total += tickets;
            for (var i = node + 1; i < _tree.Length; i += i & -i) _tree[i] += tickets;
        }

        /// <summary>Whose the ticket is that has so many before it.</summary>
        public int At(int before)
        {
            var node = 0;
            for (var step = 1 << int.Log2(nodes); step > 0; step >>= 1)
            {
                if (node + step > nodes || _tree[node + step] > before) continue;
                node += step;
                before -= _tree[node];
            }
            return node;
        }
    }
}
