using System.Diagnostics;
using System.Globalization;
using DarkStorage.Cluster.History;

namespace DarkStorage.Cluster;

/// <summary>Which wires of a silo are cut.</summary>
public enum Cut
{
    /// <summary>It and the others do not reach each other; all reach the database.</summary>
    Peers,

    /// <summary>It does not reach the database; all silos reach each other.</summary>
    Database,

    /// <summary>Clients alone reach it.</summary>
    Both,

    /// <summary>What it sends to the others is lost; what they send arrives.</summary>
    ToPeers,
}

/// <summary>Three silos, each on a host of its own in a small network whose wires are cut under load. Clients reach every silo all the time, also one that is cut off.</summary>
public sealed class PartitionTests
{
    private const int Silos = 3;

    /// <summary>What the product promises: for so long requests through live nodes may fail after another is gone.</summary>
    private static readonly TimeSpan OutWithin = TimeSpan.FromSeconds(10);

    [Fact]
    public async Task When_wires_of_one_silo_after_another_are_cut_the_others_go_on_and_nothing_is_lost()
    {
        await using var world = await World.StartAsync(isSlow: false);
        var (cluster, load) = (world.Cluster, world.Load);
        var cuts = new List<(Cut Cut, NodeProcess Node, long From, long To)>();
        foreach (var (i, cut) in Enum.GetValues<Cut>().Index())
        {
            await load.ProgressAsync(200);
            var victim = cluster.Nodes[i % Silos];
            var from = Recorder.Now;
            await world.CutAsync(victim, cut);
            await load.ProgressAsync(200, from: from + (long)(OutWithin.TotalSeconds * Stopwatch.Frequency));
            await world.MendAsync();
            await cluster.ReadyAsync(victim);
            cuts.Add((cut, victim, from, Recorder.Now));
        }
        await load.ProgressAsync(200, from: Recorder.Now);
        await load.StopAsync();
        await cluster.SettledAsync();

        await load.VerifyAsync(cluster.Nodes, world.Explain);
        foreach (var (cut, node, from, to) in cuts)
        {
            var failed = load.FailuresEndWithin(OutWithin, [from], f => f.Node != node && f.End >= from && f.Start <= to, world.Explain);
            TestContext.Current.TestOutputHelper?.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{cut}: requests through the others failed for {failed.TotalSeconds:F1} s."));
        }
        load.FailuresEndWithin(TimeSpan.Zero, [], f => !cuts.Any(c => c.From <= f.End && f.Start <= c.To), world.Explain);
        Assert.All(cluster.Nodes, n => Assert.False(n.HasEnded));    // who was cut off came back by itself
        TestContext.Current.TestOutputHelper?.WriteLine($"{load}");
    }

    [Fact]
    public async Task A_silo_all_of_whose_wires_are_slow_stays_and_every_request_is_served()
    {
        await using var world = await World.StartAsync(isSlow: true);
        var (cluster, load) = (world.Cluster, world.Load);
        await load.ProgressAsync(300);
        world.Latency = TimeSpan.FromMilliseconds(200);
        await load.ProgressAsync(300, from: Recorder.Now);
        world.Latency = TimeSpan.Zero;
        await load.ProgressAsync(300, from: Recorder.Now);
        await load.StopAsync();
        await cluster.SettledAsync();
        await load.VerifyAsync(cluster.Nodes, world.Explain);
        load.FailuresEndWithin(TimeSpan.Zero, [], static _ => true, world.Explain);
        TestContext.Current.TestOutputHelper?.WriteLine($"Slow: {load}");
    }

    /// <summary>The network, the silos on it, and clients.</summary>
    private sealed class World : IAsyncDisposable
    {
        private readonly List<TcpProxy> _proxies = [];
        private readonly List<TcpProxy> _slow = [];
        private readonly Dictionary<TestHost, TcpProxy> _databases = [];
        private readonly TestNetwork _network;
        private TestCluster? _cluster;
        private Load? _load;

        private World(TestNetwork network) => _network = network;

        public TestCluster Cluster => _cluster!;

        public Load Load => _load!;

        /// <summary>Of all wires of the second silo, one way.</summary>
        public TimeSpan Latency
        {
            set
            {
                foreach (var wire in _slow) wire.Latency = value;
            }
        }

        /// <param name="isSlow">Whether all wires of the second silo go over proxies that can be made slow.</param>
        public static async Task<World> StartAsync(bool isSlow)
        {
            var whyNot = await TestNetwork.WhyNotAsync();
            Assert.SkipWhen(whyNot is not null, whyNot ?? "");
            var world = new World(await TestNetwork.CreateAsync(Silos));
            try
            {
                await world.BuildAsync(isSlow);
            }
            catch
            {
                await world.DisposeAsync();
                throw;
            }
            return world;
        }

        public async Task CutAsync(NodeProcess node, Cut cut)
        {
            var host = HostOf(node);
            var others = string.Join(", ", _network.Hosts.Where(h => h != host).Select(h => h.Address));
            var database = _databases[host].EndPoint;
            List<string> incoming = [], leaving = [];
            if (cut is Cut.Peers or Cut.Both) incoming.Add($"ip saddr {{ {others} }}");
            if (cut is not Cut.Database) leaving.Add($"ip daddr {{ {others} }}");
            if (cut is Cut.Database or Cut.Both)
            {
                incoming.Add(string.Create(CultureInfo.InvariantCulture, $"ip saddr {database.Address} tcp sport {database.Port}"));
                leaving.Add(string.Create(CultureInfo.InvariantCulture, $"ip daddr {database.Address} tcp dport {database.Port}"));
            }
            await host.LoseAsync(incoming, leaving);
        }

        public async Task MendAsync()
        {
            foreach (var host in _network.Hosts) await host.LoseAsync([], []);
        }

        /// <summary>What the nodes logged that is worth seeing when a test fails.</summary>
        public string Explain() => string.Join('\n', Cluster.Nodes.Select(n =>
            $"--- {TestCluster.NameOf(n)}\n{string.Join('\n', n.Output.Split('\n').Where(l => l.Contains(" ERR ", StringComparison.Ordinal) || l.Contains(" WRN ", StringComparison.Ordinal) || l.Contains("active silos", StringComparison.Ordinal)).TakeLast(40))}"));

        public async ValueTask DisposeAsync()
        {
            if (_load is not null) await _load.DisposeAsync();
            if (_cluster is not null) await _cluster.DisposeAsync();
            foreach (var proxy in _proxies) await proxy.DisposeAsync();
            await _network.DisposeAsync();
        }

        private async Task BuildAsync(bool isSlow)
        {
            var index = await SharedPostgres.NewDatabaseAsync();
            var database = new IPEndPoint(IPAddress.Loopback, (await SharedPostgres.ServerAsync()).Port);
            foreach (var host in _network.Hosts) _databases[host] = Add(() => database);
            var victim = _network.Hosts[1];
            if (isSlow)
            {
                _slow.Add(_databases[victim]);
                foreach (var host in _network.Hosts)
                {
                    // To the victim from everyone, and from the victim to everyone: one wire for each way and port.
                    var ways = _network.Hosts.Where(to => to != host && (to == victim || host == victim))
                        .SelectMany(to => ((int[])[TestCluster.PeerPort, TestCluster.PeerPort + 1]).Select(port => new IPEndPoint(to.Address, port)))
                        .Select(to => (to, Slow(to).EndPoint)).ToList();
                    await host.RedirectAsync(ways);
                }
            }
            var places = _network.Hosts.Select(h => new NodePlace(h.Address, h.Launcher, IndexAt(index, _databases[h].EndPoint))).ToList();
            _cluster = await TestCluster.StartAsync(Silos, new() { Places = places }, index);
            _cluster.Nodes.Sort((a, b) => string.CompareOrdinal(a.Settings.Address, b.Settings.Address));
            var clients = isSlow ? Slow(new(victim.Address, _cluster.Nodes[1].S3Url.Port)) : null;
            _load = await Load.StartAsync(_cluster.Nodes, at: n => n == _cluster.Nodes[1] && clients is not null ? new($"http://{clients.EndPoint}") : n.S3Url);
        }

        private TcpProxy Add(Func<IPEndPoint> target)
        {
            var proxy = new TcpProxy(target, _network.Here);
            _proxies.Add(proxy);
            return proxy;
        }

        private TcpProxy Slow(IPEndPoint to)
        {
            var proxy = Add(() => to);
            _slow.Add(proxy);
            return proxy;
        }

        private TestHost HostOf(NodeProcess node) => _network.Hosts.First(h => h.Address.ToString() == node.Settings.Address);

        private static string IndexAt(string index, IPEndPoint at) => new UriBuilder(index) { Host = at.Address.ToString(), Port = at.Port }.Uri.ToString();
    }
}
