using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using System.Xml.Linq;
using Amazon.S3;
using DarkStorage.TestKit;
using Xunit;

namespace DarkStorage.Simulation.Lifecycle;

/// <summary>A node whose clock is set from outside (libfaketime), with a tier for each of four folders, and two buckets: one with policies, one with S3's document and transitions of its own.</summary>
internal sealed class AgeingWorld : IAsyncDisposable
{
    /// <summary>As <see cref="Thing"/> has them.</summary>
    private const string Policies = """
        access_count_7d > 2 -> hot
        name LIKE "pin/*" -> hot
        file_extension == .log AND access > 25d -> cold
        name LIKE "data/*" AND tag.project == "x" AND age > 120d -> warm
        size > 4KiB AND age > 365d AND access_count == 0 -> archive
        name LIKE "data/*.CSV" AND access > 300d -> offsite
        file_extension == .jpg AND access > 150d -> warm
        """;

    private const string DocumentsTransitions = """{"entries":[{"prefix":"data/","transitions":[{"tier":"warm","days":45},{"tier":"cold","days":300}]}]}""";
    private const int ParallelMax = 32;

    private static readonly XNamespace S3 = "http://s3.amazonaws.com/doc/2006-03-01/";
    private static readonly Place[] Outside = [Place.Warm, Place.Cold, Place.Archive, Place.Offsite];

    /// <summary>Longer than a run over everything and all moves that it asks for.</summary>
    private static readonly TimeSpan SettlesWithin = TimeSpan.FromMinutes(10);

    private readonly DateTimeOffset _begun = DateTimeOffset.UtcNow;
    private readonly string _folder;
    private readonly OutsideClock _clock;
    private readonly NodeProcess _node;
    private readonly HttpClient _http;
    private readonly Dictionary<string, Place> _places = new(StringComparer.Ordinal) { ["STANDARD"] = Place.Hot };
    private string _policyBucket = "", _documentBucket = "";
    private long _reads;
    private int _day;

    private AgeingWorld(string folder, OutsideClock clock, NodeProcess node) =>
        (_folder, _clock, _node, _http) = (folder, clock, node, new(new SocketsHttpHandler { MaxConnectionsPerServer = ParallelMax, UseProxy = false }) { BaseAddress = node.S3Url });

    public static async Task<AgeingWorld> StartAsync(int seed)
    {
        var folder = Directory.CreateTempSubdirectory("darkstorage-years-").FullName;
        var clock = new OutsideClock(folder);
        var node = await NodeProcess.StartAsync(new()
        {
            // The timers run as they do: what they wait for is not part of the two years.
            Environment = new Dictionary<string, string>(clock.Environment)
            {
                ["DARKSTORAGE_AccessCounts__FlushInterval"] = "00:00:00.200",
                ["DARKSTORAGE_Lifecycle__Interval"] = "00:00:01",
                ["DARKSTORAGE_Transitions__Interval"] = "00:00:00.050",
                ["DARKSTORAGE_Transitions__ParallelMax"] = "64",
                ["DARKSTORAGE_Garbage__GracePeriod"] = "00:00:02",
                ["DARKSTORAGE_Garbage__Interval"] = "00:00:00.200",
            },
        });
        var world = new AgeingWorld(folder, clock, node);
        await world.FurnishAsync();
        return world;
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await _node.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task FurnishAsync()
    {
        using var s3 = _node.S3();
        foreach (var place in Outside)
        {
            var name = place.ToString().ToLowerInvariant();
            await AskAsync(HttpMethod.Post, "integrations", new { name, type = "filesystem", settings = new { path = PathOf(place) } });
            _places.Add((string)(await AskAsync(HttpMethod.Put, $"tiers/{name}", new { integration = name }))["storageClass"]!, place);
        }
        foreach (var bucket in (string[])[_policyBucket = await s3.NewBucketAsync("policies"), _documentBucket = await s3.NewBucketAsync("document")])
        {
            // A signature would be of the time that the test has.
            await s3.PutBucketPolicyAsync(bucket, $$"""
                {"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:PutObject","s3:PutObjectTagging","s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::{{bucket}}","arn:aws:s3:::{{bucket}}/*"]}]}
                """);
        }
        await s3.PutLifecycleConfigurationAsync(new()
        {
            BucketName = _documentBucket,
            Configuration = new()
            {
                Rules =
                [
                    new()
                    {
                        Id = "logs", Status = LifecycleRuleStatus.Enabled, Filter = Prefix("logs/"),
                        Transitions = [new() { Days = 30, StorageClass = S3StorageClass.StandardInfrequentAccess }, new() { Days = 90, StorageClass = S3StorageClass.GlacierInstantRetrieval }],
                    },
                    new() { Id = "tmp", Status = LifecycleRuleStatus.Enabled, Filter = Prefix("tmp/"), Expiration = new() { Days = 400 } },
                ],
            },
        });
        await AskAsync(HttpMethod.Put, $"tiers/buckets/{_documentBucket}", DocumentsTransitions);
        await AskAsync(HttpMethod.Put, $"lifecycle/{_policyBucket}/policies/all", new { text = Policies });

        static Amazon.S3.Model.LifecycleFilter Prefix(string prefix) => new() { LifecycleFilterPredicate = new Amazon.S3.Model.LifecyclePrefixPredicate { Prefix = prefix } };
    }

    /// <summary>Sets the node's clock to so many days after the beginning.</summary>
    public async Task GoToAsync(int day)
    {
        if (day == _day) return;
        _day = day;
        await _clock.SetAsync(string.Create(CultureInfo.InvariantCulture, $"+{day}d"));
        await Eventually.HoldsAsync($"it is day {day}", async () =>
        {
            using var answer = await _http.GetAsync(new Uri("/", UriKind.Relative));
            return answer.Headers.Date >= _begun.AddDays(day).AddSeconds(-1);
        });
    }

    public Task PutAsync(IEnumerable<Thing> things) => Parallel.ForEachAsync(things, Parallelism, async (thing, ct) =>
    {
        using var request = new HttpRequestMessage(HttpMethod.Put, UriOf(thing)) { Content = new ByteArrayContent(thing.Content()) };
        if (thing.IsTagged) request.Headers.Add("x-amz-tagging", "project=x");
        using var answer = await _http.SendAsync(request, ct);
        Assert.True(answer.IsSuccessStatusCode, $"{thing.Key}: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync(ct)}");
    });

    /// <summary>Reads so often, and returns when the node has written down that it was.</summary>
    public async Task ReadAsync(IEnumerable<(Thing Thing, int Count)> reads)
    {
        var all = reads.ToList();
        if (all.Count == 0) return;
        await Parallel.ForEachAsync(all, Parallelism, async (read, ct) =>
        {
            for (var i = 0; i < read.Count; i++) Assert.Equal(read.Thing.Content(), await _http.GetByteArrayAsync(UriOf(read.Thing), ct));
        });
        _reads += all.Sum(r => r.Count);
        await Eventually.HoldsAsync($"{_reads} accesses are counted", async () =>
        {
            using var answer = await _node.AdminAsync(HttpMethod.Get, "metrics");
            var line = (await answer.Content.ReadAsStringAsync()).Split('\n').FirstOrDefault(l => l.StartsWith("darkstorage_accesses_counted_total ", StringComparison.Ordinal));
            return line is not null && double.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture) >= _reads;
        });
    }

    /// <summary>Until a run over each bucket, begun on this day, finds nothing to do.</summary>
    /// <returns>Versions decided on in a second, in these runs.</returns>
    public async Task<double> SettleAsync()
    {
        var (looked, seconds) = (0d, 0d);
        foreach (var bucket in (string[])[_policyBucket, _documentBucket])
        {
            JsonNode? status = null;
            await Eventually.HoldsAsync(async () =>
            {
                status = await AskAsync(HttpMethod.Get, $"lifecycle/{bucket}");
                Assert.Null(status["problem"]);
                return status["last"] is { } last && Time(last["begun"]) >= _begun.AddDays(_day) && ((string[])["transitioned", "expired", "removed", "failed", "locked"]).All(c => (long)last[c]! == 0);
            }, () => $"Day {_day} of {bucket} does not settle: {status}", SettlesWithin);
            var settled = status!["last"]!;
            looked += (long)settled["looked"]!;
            seconds += (Time(settled["ended"]) - Time(settled["begun"])).TotalSeconds;
        }
        return looked / seconds;

        static DateTimeOffset Time(JsonNode? time) => DateTimeOffset.Parse((string)time!, CultureInfo.InvariantCulture);
    }

    public async Task AssertPlacesAsync(IReadOnlyCollection<Thing> things)
    {
        var wrong = new List<string>();
        foreach (var (bucket, hasDocument) in ((string, bool)[])[(_policyBucket, false), (_documentBucket, true)])
        {
            var listed = await ListAsync(bucket);
            foreach (var thing in things.Where(t => t.HasDocument == hasDocument))
            {
                var place = listed.Remove(thing.Key, out var found) ? found : Place.Gone;
                if (place != thing.Place) wrong.Add($"{bucket}/{thing.Key} ({thing.Length} bytes, of day {thing.MadeOn}, read {string.Join(", ", thing.Reads)}{(thing.IsTagged ? ", tagged" : "")}) is {place} and not {thing.Place}");
            }
            Assert.Empty(listed);
        }
        Assert.True(wrong.Count == 0, $"Day {_day}: {wrong.Count} are elsewhere.\n{string.Join('\n', wrong.Take(20))}");
    }

    /// <summary>In each folder are the bytes of those that are to be there, and no others.</summary>
    public async Task AssertBytesOutsideAsync(IReadOnlyCollection<Thing> things)
    {
        foreach (var place in Outside)
        {
            var there = things.Where(t => t.Place == place && t.Length > 4_096).ToList();
            await Eventually.HoldsAsync(() => Task.FromResult(FilesOf(place) == there.Count), () => $"{FilesOf(place)} blobs are in {place}, and {there.Count} should be");
        }
    }

    /// <summary>Has what is archived be in the tier <c>hot</c>, where it can be read.</summary>
    public async Task BringBackAsync(IReadOnlyCollection<Thing> things)
    {
        await AskAsync(HttpMethod.Post, $"lifecycle/{_policyBucket}/policies/all/disable");
        await Parallel.ForEachAsync(things, Parallelism, async (thing, ct) => await AskAsync(HttpMethod.Post, "tiers/hot/assign", new { bucket = BucketOf(thing), key = thing.Key }));
        await Eventually.HoldsAsync("nothing is on its way", async () => (await AskAsync(HttpMethod.Get, "tiers/moves")).AsArray().Count == 0);
        foreach (var place in (Place[])[Place.Archive, Place.Offsite]) await Eventually.HoldsAsync($"the bytes in {place} go", () => FilesOf(place) == 0);
    }

    public async Task AssertContentAsync(IReadOnlyCollection<Thing> things)
    {
        var wrong = new ConcurrentBag<string>();
        await Parallel.ForEachAsync(things, Parallelism, async (thing, ct) =>
        {
            using var answer = await _http.GetAsync(UriOf(thing), ct);
            var content = await answer.Content.ReadAsByteArrayAsync(ct);
            if (answer.StatusCode != HttpStatusCode.OK || !content.AsSpan().SequenceEqual(thing.Content())) wrong.Add($"{thing.Key}, {thing.Place}: {(int)answer.StatusCode}, {content.Length} bytes");
        });
        Assert.True(wrong.IsEmpty, $"{wrong.Count} have not the bytes that were put.\n{string.Join('\n', wrong.Take(20))}");
    }

    private static ParallelOptions Parallelism => new() { MaxDegreeOfParallelism = ParallelMax };

    private string BucketOf(Thing thing) => thing.HasDocument ? _documentBucket : _policyBucket;

    private Uri UriOf(Thing thing) => new($"/{BucketOf(thing)}/{thing.Key}", UriKind.Relative);

    private string PathOf(Place place) => Path.Combine(_folder, place.ToString());

    /// <summary>Blobs there, without what the connector keeps for itself.</summary>
    private int FilesOf(Place place)
    {
        try
        {
            return Directory.EnumerateFiles(PathOf(place), "*", SearchOption.AllDirectories).Count(f => !f.Contains("/.darkstorage", StringComparison.Ordinal));
        }
        catch (DirectoryNotFoundException)
        {
            return -1; // the connector removes folders that have become empty, while they are walked
        }
    }

    private async Task<Dictionary<string, Place>> ListAsync(string bucket)
    {
        var all = new Dictionary<string, Place>(StringComparer.Ordinal);
        for (var after = ""; ;)
        {
            var page = XDocument.Parse(await _http.GetStringAsync(new Uri($"/{bucket}?list-type=2&start-after={Uri.EscapeDataString(after)}", UriKind.Relative))).Root!;
            foreach (var entry in page.Elements(S3 + "Contents")) all.Add(after = (string)entry.Element(S3 + "Key")!, _places[(string?)entry.Element(S3 + "StorageClass") ?? "STANDARD"]);
            if (!(bool)page.Element(S3 + "IsTruncated")!) return all;
        }
    }

    private async Task<JsonNode> AskAsync(HttpMethod method, string path, object? body = null)
    {
        using var answer = await _node.AdminAsync(method, $"v1/{path}", body);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.IsSuccessStatusCode, $"{method} {path}: {(int)answer.StatusCode} {text}");
        return JsonNode.Parse(text)!;
    }
}
