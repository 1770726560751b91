using System.Globalization;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;

namespace DarkStorage.Cluster;

/// <summary>What a cluster of the tests is started with.</summary>
public sealed record ClusterSettings
{
    public int Copies { get; init; } = 3;

    /// <summary>For how long a node may be away before its share is made anew. An hour: no test that is not about that comes near it.</summary>
    public TimeSpan GracePeriod { get; init; } = TimeSpan.FromHours(1);

    public string Secret { get; init; } = "a secret of the tests, which is long enough";

    /// <summary>Where the nodes run, in the order in which they are started; none for loopback.</summary>
    public IReadOnlyList<NodePlace> Places { get; init; } = [];

    /// <summary>Where the node that is started first keeps its data; null for a new folder, as the others.</summary>
    public string? FirstDataDirectory { get; init; }

    /// <summary>As <see cref="NodeSettings.Program"/>, of every node.</summary>
    public string? Program { get; init; }

    /// <summary>More settings of every node, as environment variables.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>The same of one node, by its name.</summary>
    public Func<string, IReadOnlyDictionary<string, string>> EnvironmentOf { get; init; } = static _ => new Dictionary<string, string>();
}

/// <summary>A host that a node runs on.</summary>
/// <param name="Launcher">As <see cref="NodeSettings.Launcher"/>.</param>
/// <param name="Index">The database's URL, as it is found from there.</param>
public sealed record NodePlace(IPAddress Address, IReadOnlyList<string> Launcher, string Index);

/// <summary>Some nodes, each the real program in a process of its own, over one PostgreSQL.</summary>
public sealed class TestCluster : IAsyncDisposable
{
    /// <summary>Of a node that has a host to itself: chunks there, calls one port on.</summary>
    public const int PeerPort = 9002;

    private readonly ClusterSettings _settings;
    private readonly string _index;
    private readonly HttpClient _http = new();
    private int _started;

    private TestCluster(ClusterSettings settings, string index) => (_settings, _index) = (settings, index);

    public List<NodeProcess> Nodes { get; } = [];

    public string Index => _index;

    /// <param name="index">The database that all nodes share; null for a new one.</param>
    public static async Task<TestCluster> StartAsync(int nodes, ClusterSettings? settings = null, string? index = null)
    {
        var cluster = new TestCluster(settings ?? new(), index ?? await SharedPostgres.NewDatabaseAsync());
        try
        {
            await Task.WhenAll(Enumerable.Range(0, nodes).Select(_ => cluster.AddAsync()));
            await Task.WhenAll(cluster.Nodes.Select(cluster.ReadyAsync));
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
        return cluster;
    }

    /// <summary>Starts one more node.</summary>
    public async Task<NodeProcess> AddAsync(bool gateway = false, string? name = null)
    {
        var node = await NodeProcess.StartAsync(SettingsOf(name ?? $"n-{Guid.NewGuid().ToString("N")[..8]}", gateway));
        lock (Nodes) Nodes.Add(node);
        return node;
    }

    public NodeSettings SettingsOf(string name, bool gateway = false, string? secret = null)
    {
        var started = Interlocked.Increment(ref _started);
        var place = _settings.Places.ElementAtOrDefault(started - 1);
        var address = (place?.Address ?? IPAddress.Loopback).ToString();
        List<string> flags = ["--index", place?.Index ?? _index, "--node", name, "--peer-url", $"https://{address}:{(place is null ? FreePorts.TakeTwo() : PeerPort)}"];
        if (gateway) flags.AddRange(["--roles", "gateway"]);
        return new()
        {
            DataDirectory = started == 1 ? _settings.FirstDataDirectory : null,
            Address = address,
            Launcher = place?.Launcher ?? [],
            Flags = flags,
            WaitsForOthers = true,
            Program = _settings.Program,
            Environment = new Dictionary<string, string>
            {
                ["DARKSTORAGE_CLUSTER_SECRET"] = secret ?? _settings.Secret,
                ["DARKSTORAGE_Cluster__Copies"] = _settings.Copies.ToString(CultureInfo.InvariantCulture),
                ["DARKSTORAGE_Cluster__GracePeriod"] = _settings.GracePeriod.ToString(),
                ["DARKSTORAGE_Cluster__Interval"] = "00:00:00.200",
                // A reader that found a version may still be on its way to the bytes.
                ["DARKSTORAGE_Garbage__GracePeriod"] = "00:00:20",
                ["DARKSTORAGE_Garbage__Interval"] = "00:00:00.200",
            }.Concat(_settings.Environment).Concat(_settings.EnvironmentOf(name)).GroupBy(v => v.Key, StringComparer.Ordinal).ToDictionary(v => v.Key, v => v.Last().Value, StringComparer.Ordinal),
        };
    }

    /// <summary>The name that the node was started with.</summary>
    public static string NameOf(NodeProcess node) => node.Settings.Flags[node.Settings.Flags.ToList().IndexOf("--node") + 1];

    public async Task ReadyAsync(NodeProcess node) =>
        await UntilAsync(async () => (await _http.GetAsync(new Uri(node.ManagementUrl, "/health/ready"))).StatusCode == HttpStatusCode.OK, () => $"{NameOf(node)} is not ready:\n{node.Output}");

    /// <summary>What the cluster says of itself, asked at one node.</summary>
    public async Task<JsonNode> DescribeAsync(NodeProcess? at = null) => await SendAsync(at ?? Nodes[0], HttpMethod.Get, "");

    public async Task<JsonNode> SendAsync(NodeProcess at, HttpMethod method, string path, string? body = null, string api = "cluster")
    {
        using var request = new HttpRequestMessage(method, new Uri(at.ManagementUrl, $"/v1/{api}{path}"));
        request.Headers.Authorization = new("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{at.Settings.AccessKey}:{at.Settings.SecretKey}")));
        if (body is not null) request.Content = new StringContent(body, new MediaTypeHeaderValue("application/json"));
        using var answer = await _http.SendAsync(request);
        var content = JsonNode.Parse(await answer.Content.ReadAsStringAsync())!;
        // Who asks how things are wants no other answer.
        if (method == HttpMethod.Get && answer.StatusCode == HttpStatusCode.ServiceUnavailable) throw new HttpRequestException(content["error"]!.GetValue<string>());
        return content;
    }

    /// <summary>Waits until every live node follows the newest layout, nothing moves, and nothing waits for repair.</summary>
    public async Task SettledAsync(NodeProcess? at = null)
    {
        JsonNode? seen = null;
        await UntilAsync(async () =>
        {
            seen = await DescribeAsync(at);
            return seen["layout"]?["moving"]?.GetValue<int>() == 0
                && seen["nodes"]!.AsArray().All(n => n!["state"]!.GetValue<string>() is not "waiting" && n["repairs"]!.GetValue<long>() == 0);
        }, () => $"{seen}");
    }

    /// <summary>Waits until the layout has so many nodes.</summary>
    public Task HasLayoutOfAsync(int nodes) =>
        UntilAsync(async () => (await DescribeAsync())["nodes"]!.AsArray().Count(n => n!["state"]!.GetValue<string>() == "active") == nodes);

    /// <summary>Bytes of chunks on a node's drive.</summary>
    public static async Task<double> LiveBytesAsync(NodeProcess node) => await node.MetricAsync("darkstorage_storage_live_bytes");

    /// <summary>Asks again and again; a node that is starting or gone answers with nothing, or with an error.</summary>
    public static async Task UntilAsync(Func<Task<bool>> holds, Func<string>? seen = null)
    {
        Exception? last = null;
        await Eventually.HoldsAsync(
            async () =>
            {
                try
                {
                    return await holds();
                }
                catch (Exception e) when (e is HttpRequestException or System.Text.Json.JsonException or AmazonS3Exception)
                {
                    last = e;
                    return false;
                }
            },
            () => $"{seen?.Invoke() ?? "what the test waits for"} {last?.Message}");
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        foreach (var node in Nodes) await node.DisposeAsync();
    }
}
