using System.Net.Http.Headers;
using System.Text;
using DarkStorage.Cluster;

namespace DarkStorage.Deploy;

/// <summary>Three nodes that have been asked for a bit of everything, so that their metrics say all that metrics say.</summary>
public sealed class RunningCluster : IAsyncLifetime
{
    /// <summary>The integration that there is.</summary>
    public const string Place = "nas";

    private readonly HttpClient _http = new();
    private readonly string _outside = Directory.CreateTempSubdirectory("darkstorage-outside-").FullName;

    public TestCluster Cluster { get; private set; } = null!;

    /// <summary>What a node exports, by name: what queries may use. Of a histogram the three names that its samples have.</summary>
    public IReadOnlySet<string> Metrics { get; private set; } = null!;

    public async ValueTask InitializeAsync()
    {
        Cluster = await TestCluster.StartAsync(3);
        var node = Cluster.Nodes[0];
        var bucket = await node.S3().NewBucketAsync();
        await node.S3().PutBytesAsync(bucket, "large", S3Clients.Content(300_000));
        await node.S3().GetBytesAsync(bucket, "large");
        await FailingTargetAsync(node, bucket);
        await OutsideAsync(node, bucket);
        Metrics = (await Task.WhenAll(Cluster.Nodes.Select(TextAsync))).SelectMany(NamesOf).ToHashSet(StringComparer.Ordinal);
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await Cluster.DisposeAsync();
        Directory.Delete(_outside, recursive: true);
    }

    /// <summary>The text of <c>/metrics</c>.</summary>
    public Task<string> TextAsync(NodeProcess node) => _http.GetStringAsync(new Uri(node.ManagementUrl, "/metrics"));

    /// <summary>An event that nobody takes: nobody listens on that port.</summary>
    private async Task FailingTargetAsync(NodeProcess node, string bucket)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(node.ManagementUrl, "/v1/event-targets"));
        request.Headers.Authorization = new("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{node.Settings.AccessKey}:{node.Settings.SecretKey}")));
        request.Content = new StringContent("""{"name": "nobody", "url": "http://127.0.0.1:1/"}""", new MediaTypeHeaderValue("application/json"));
        using var answer = await _http.SendAsync(request);
        Assert.True(answer.IsSuccessStatusCode, await answer.Content.ReadAsStringAsync());
        await node.S3().PutBucketNotificationAsync(new PutBucketNotificationRequest
        {
            BucketName = bucket,
            SkipDestinationValidation = true,
            QueueConfigurations = [new() { Queue = "arn:aws:sqs:us-east-1:000000000000:nobody", Events = [EventType.ObjectCreatedAll] }],
        });
        await node.S3().PutTextAsync(bucket, "told", "to nobody");
        await Eventually.HoldsAsync("a round of deliveries failed", async () =>
            (await Task.WhenAll(Cluster.Nodes.Select(n => n.MetricAsync("darkstorage_events_failed_rounds_total")))).Sum() > 0);
    }

    /// <summary>An object that is outside, and read there.</summary>
    private async Task OutsideAsync(NodeProcess node, string bucket)
    {
        await Cluster.SendAsync(node, HttpMethod.Post, "", $$"""{"name": "{{Place}}", "type": "filesystem", "settings": {"path": "{{_outside}}"} }""", "integrations");
        await Cluster.SendAsync(node, HttpMethod.Put, "/cold", $$"""{"integration": "{{Place}}"}""", "tiers");
        await Cluster.SendAsync(node, HttpMethod.Post, "/cold/assign", $$"""{"bucket": "{{bucket}}", "key": "large"}""", "tiers");
        await Eventually.HoldsAsync("it is outside", async () => (string?)(await Cluster.SendAsync(node, HttpMethod.Get, $"/object?bucket={bucket}&key=large", null, "tiers"))["place"] == Place);
        await node.S3().GetBytesAsync(bucket, "large");
    }

    private static IEnumerable<string> NamesOf(string text)
    {
        foreach (var line in text.Split('\n'))
        {
            if (line.Split(' ') is not ["#", "TYPE", var name, var type]) continue;
            if (type != "histogram") yield return name;
            else foreach (var suffix in (string[])["_bucket", "_sum", "_count"]) yield return name + suffix;
        }
    }
}
