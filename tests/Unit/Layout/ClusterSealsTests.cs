using DarkStorage.Rules.Cluster;
using Xunit;

namespace DarkStorage.Unit.Cluster;

/// <summary>The change of a cluster's secret, as a rule over one document: what sealed once opens everywhere, and the change ends.</summary>
public sealed class ClusterSealsTests
{
    private const ulong Old = 0x01;
    private const ulong New = 0x8000_0000_0000_0002;
    private const ulong Other = 3;

    private static readonly SealingNode A = new(Guid.Parse("aaaaaaaa-0000-0000-0000-000000000000"), "a");
    private static readonly SealingNode B = new(Guid.Parse("bbbbbbbb-0000-0000-0000-000000000000"), "b");
    private static readonly SealingNode C = new(Guid.Parse("cccccccc-0000-0000-0000-000000000000"), "c");
    private static readonly SealingNode[] All = [A, B, C];

    private static ClusterSeals Started(ClusterSeals seals, SealingNode node, params ulong[] keys)
    {
        Assert.Null(seals.RefusalOf(node.Store, keys, All, Old));
        return seals.With(node.Store, keys, All);
    }

    private static ClusterSeals Started(ClusterSeals seals, params ulong[] keys) => All.Aggregate(seals, (s, node) => Started(s, node, keys));

    private static string Refusal(ClusterSeals seals, params ulong[] keys) => seals.RefusalOf(A.Store, keys, All, Old) ?? throw new InvalidOperationException($"{string.Join(' ', keys)} was not refused.");

    [Fact]
    public void A_secret_is_changed_by_three_rounds_of_restarts()
    {
        var seals = Started(ClusterSeals.Begun(Old), Old);
        seals = Started(seals, Old, New);
        Assert.Equal([Old], seals.InUse);
        Assert.True(seals.AllSealUnder(Old, All));

        foreach (var node in All)
        {
            Assert.False(seals.AllSealUnder(New, All));
            seals = Started(seals, node, New, Old);
            Assert.Equal([Old, New], seals.InUse);
        }
        Assert.True(seals.AllSealUnder(New, All));
        Assert.Contains("being changed", Refusal(seals, New), StringComparison.Ordinal);

        seals = seals.SealedAnew(New);
        Assert.Equal([New], seals.InUse);
        seals = Started(seals, New);
        Assert.Contains("had before", Refusal(seals, Old), StringComparison.Ordinal);
        Assert.Contains("is not known there", Refusal(seals, Old, New), StringComparison.Ordinal);
    }

    [Fact]
    public void A_sentence_says_which_secret_is_wrong_and_who_lacks_it()
    {
        var seals = Started(ClusterSeals.Begun(Old), Old);
        Assert.Contains("is not the one that this cluster was begun with", Refusal(seals, Other), StringComparison.Ordinal);
        Assert.Contains("is not the one that this cluster was begun with", Refusal(seals, New), StringComparison.Ordinal);
        // The second round before the first is through.
        seals = Started(seals, B, Old, New);
        var refusal = Refusal(seals, New, Old);
        Assert.Contains(" at c:", refusal, StringComparison.Ordinal);
        // Alone it would open nothing.
        Assert.Contains("is not the one that everything is sealed under yet", Refusal(seals, New), StringComparison.Ordinal);
    }

    [Fact]
    public void A_node_that_says_nothing_of_its_secrets_has_the_one_that_the_cluster_was_begun_with()
    {
        var seals = Started(Started(ClusterSeals.Begun(Old), A, Old, New), B, Old, New);
        Assert.Contains(" at c:", Refusal(seals, New, Old), StringComparison.Ordinal);
        Assert.False(seals.AllSealUnder(Old, All));
        // One that is taken out is not asked any more.
        Assert.Null(seals.RefusalOf(A.Store, [New, Old], [A, B], Old));
        Assert.Equal([A.Store], seals.With(A.Store, [New, Old], [A]).Nodes.Keys);
    }

    [Fact]
    public void A_node_that_goes_back_to_the_round_before_is_let_in_and_ends_the_sealing_that_it_might_spoil()
    {
        var seals = Started(Started(ClusterSeals.Begun(Old), Old, New), New, Old);
        var back = Started(seals, B, Old, New);
        Assert.False(back.Has(B.Store, [New, Old]));
        Assert.False(back.AllSealUnder(New, All));
        // After it was through: the old one is in use again, and is sealed anew once more.
        back = Started(seals.SealedAnew(New), B, Old, New);
        Assert.Equal([New, Old], back.InUse);
        Assert.Empty(back.Former);
        Assert.Contains("being changed", Refusal(back, New), StringComparison.Ordinal);
        back = Started(back, B, New, Old);
        Assert.True(back.AllSealUnder(New, All));
        Assert.Equal([New, Old], back.InUse);
    }

    [Fact]
    public void It_is_read_as_it_was_written()
    {
        var seals = Started(Started(ClusterSeals.Begun(Old), Old, New), New, Old).SealedAnew(New);
        var read = ClusterSeals.Decode(seals.Encode());
        Assert.Equal(seals.InUse, read.InUse);
        Assert.Equal(seals.Former, read.Former);
        Assert.Equal(seals.Nodes.Select(n => (n.Key, string.Join(' ', n.Value))), read.Nodes.Select(n => (n.Key, string.Join(' ', n.Value))));
        // As docs/FORMATS.md has it.
        Assert.Equal("""{"Format":1,"InUse":["0000000000000001"],"Former":[],"Nodes":{"aaaaaaaa-0000-0000-0000-000000000000":["0000000000000001"]}}""",
            System.Text.Encoding.UTF8.GetString(ClusterSeals.Begun(Old).With(A.Store, [Old], [A]).Encode()));
    }

    [Theory, InlineData(""), InlineData("{}"), InlineData("null"), InlineData("""{"Format":2,"InUse":["1"],"Former":[],"Nodes":{}}"""), InlineData("""{"Format":1,"InUse":[],"Former":[],"Nodes":{}}"""),
        InlineData("""{"Format":1,"InUse":["x"],"Former":[],"Nodes":{}}"""), InlineData("""{"Format":1,"InUse":["1"],"Former":[],"Nodes":{"aaaaaaaa-0000-0000-0000-000000000000":[]}}""")]
    public void What_is_none_is_said_so(string text) => Assert.Throws<InvalidDataException>(() => ClusterSeals.Decode(System.Text.Encoding.UTF8.GetBytes(text)));

    [Theory, MemberData(nameof(Seeds))]
    public void Whatever_nodes_are_started_with_and_when_all_that_was_sealed_opens_at_all_that_run_and_the_change_can_be_ended(int seed)
    {
        var world = new World(new(seed));
        for (var step = 0; step < 2_000; step++)
        {
            world.Step();
            Assert.True(world.Unopened() is null, $"seed {seed}, step {step}: {world.Unopened()}");
        }
        Assert.True(world.Starts > 50 && world.SealedAnew > 0, $"seed {seed}: only {world.Starts} starts, and {world.SealedAnew} times was all sealed anew.");
        Assert.True(world.Changed(to: 4) is null, $"seed {seed}: {world.Changed(to: 4)}");
    }

    public static TheoryData<int> Seeds() => [.. Enumerable.Range(0, 40)];

    /// <summary>Four nodes that are started and stopped with any of four keys, each of which seals; and one that seals anew, whenever it may, one thing at a time.</summary>
    private sealed class World(Random random)
    {
        private readonly SealingNode[] _nodes = [.. Enumerable.Range(0, 4).Select(i => new SealingNode(new Guid(i + 1, 0, 0, new byte[8]), $"n{i}"))];
        private readonly Dictionary<Guid, ulong[]> _running = [];
        private readonly ulong[] _sealed = [1, 1, 1, 1, 1, 1];
        private ClusterSeals _seals = ClusterSeals.Begun(1);
        private ulong _wanted = 2;
        private long _revision;
        private (Guid Node, ulong[] Keys, ClusterSeals Next, long Revision)? _entering;
        private (Guid Node, ulong Key, int Next, long Revision)? _sealing;

        public int Starts { get; private set; }

        public int SealedAnew { get; private set; }

        public void Step()
        {
            if (random.Next(100) == 0) _wanted = (ulong)random.Next(1, 5);
            var node = _nodes[random.Next(_nodes.Length)].Store;
            switch (random.Next(16))
            {
                case 0:
                    _running.Remove(node);
                    break;
                case < 4 when !_running.ContainsKey(node) && _entering is null:
                    Begin(node, Keys());
                    break;
                case < 6 when _entering is { } entering:
                    _entering = null;
                    if (Replace(entering.Next, entering.Revision)) _running[entering.Node] = entering.Keys;
                    break;
                case < 9:
                    if (_running.TryGetValue(node, out var has)) _sealed[random.Next(_sealed.Length)] = has[0];
                    break;
                default:
                    SealAnew(node);
                    break;
            }
        }

        /// <summary>Mostly as an operator would who changes to the one that is wanted now, and sometimes anything.</summary>
        private ulong[] Keys()
        {
            ulong[] keys = [1, 2, 3, 4];
            random.Shuffle(keys);
            return random.Next(6) switch
            {
                0 => keys[..random.Next(1, 5)],
                < 3 => [.. _seals.InUse.Append(_wanted).Distinct()],
                _ => [.. _seals.InUse.Prepend(_wanted).Distinct()],
            };
        }

        /// <summary>What a node that runs can't open, or what is not in the document.</summary>
        public string? Unopened() => _running.SelectMany(n => _sealed.Select(key => (n.Key, n.Value, Sealed: key))).Where(x => !x.Value.Contains(x.Sealed)).Select(x => $"{x.Key} does not open {x.Sealed}").FirstOrDefault()
            ?? _sealed.Where(key => !_seals.InUse.Contains(key)).Select(key => $"{key} is not in use").FirstOrDefault();

        /// <summary>From wherever things are: the procedure of docs/OPERATIONS.md.</summary>
        public string? Changed(ulong to)
        {
            (_entering, _sealing) = (null, null);
            ulong[] all = [1, 2, 3, 4];
            ulong[][] rounds = [[_seals.InUse[0], .. all.Where(k => k != _seals.InUse[0])], [to, .. all.Where(k => k != to)], [to]];
            foreach (var keys in rounds)
            {
                foreach (var node in _nodes)
                {
                    _running.Remove(node.Store);
                    if (_seals.RefusalOf(node.Store, keys, _nodes, 1) is { } refusal) return refusal;
                    Begin(node.Store, keys);
                    if (_entering is { } entering && !Replace(entering.Next, entering.Revision)) return "nobody else wrote, and it was lost";
                    _entering = null;
                    _running[node.Store] = keys;
                }
                if (!_seals.AllSealUnder(keys[0], _nodes)) return "not all seal under one";
                _sealing = null;
                for (var i = 0; i <= _sealed.Length + 1; i++) SealAnew(_nodes[0].Store);
                if (Unopened() is { } unopened) return unopened;
                if (_seals.InUse is not [var one] || one != keys[0]) return $"after {string.Join(' ', keys)} there are {string.Join(' ', _seals.InUse)}";
            }
            return null;
        }

        private void Begin(Guid node, ulong[] keys)
        {
            if (_seals.RefusalOf(node, keys, _nodes, 1) is not null) return;
            Starts++;
            if (_seals.Has(node, keys)) _running[node] = keys;
            else _entering = (node, keys, _seals.With(node, keys, _nodes), _revision);
        }

        private void SealAnew(Guid node)
        {
            if (_sealing is not { } sealing)
            {
                if (_running.TryGetValue(node, out var keys) && _seals.InUse.Length > 1 && _seals.AllSealUnder(keys[0], _nodes)) _sealing = (node, keys[0], 0, _revision);
                return;
            }
            if (!_running.ContainsKey(sealing.Node))
            {
                _sealing = null;    // it crashed amid it
                return;
            }
            if (sealing.Next < _sealed.Length)
            {
                // By whichever node has the grain.
                var at = _running.Keys.ElementAt(random.Next(_running.Count));
                _sealed[sealing.Next] = _running[at][0];
                _sealing = sealing with { Next = sealing.Next + 1 };
                return;
            }
            _sealing = null;
            if (Replace(_seals.SealedAnew(sealing.Key), sealing.Revision)) SealedAnew++;
        }

        private bool Replace(ClusterSeals next, long revision)
        {
            if (_revision != revision) return false;
            (_seals, _revision) = (ClusterSeals.Decode(next.Encode()), revision + 1);
            return true;
        }
    }
}
