using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using Amazon.S3;
using DarkStorage.TestKit;
using Xunit;

namespace DarkStorage.Simulation.Crash;

/// <summary>Objects that move to a place outside and back while the node, the place, or both are killed. <c>DARKSTORAGE_TEST_SEED</c> repeats a mix, <c>DARKSTORAGE_TEST_TRANSITIONS</c> sets how many moves there are.</summary>
public sealed class TransitionCrashTests(ITestOutputHelper output)
{
    private const int Waves = 4;
    private const int KillsPerWave = 3;

    private static readonly int Transitions = Seeds.Count("DARKSTORAGE_TEST_TRANSITIONS", 1_000);

    /// <summary>All happens soon, and a crash's leavings are old soon.</summary>
    private static readonly Dictionary<string, string> Eager = new()
    {
        ["DARKSTORAGE_Transitions__Interval"] = "00:00:00.050",
        ["DARKSTORAGE_Transitions__Lease"] = "00:00:02",
        ["DARKSTORAGE_Transitions__RetryDelay"] = "00:00:00.100",
        ["DARKSTORAGE_Transitions__RetryDelayMax"] = "00:00:01",
        ["DARKSTORAGE_Garbage__GracePeriod"] = "00:00:02",
        ["DARKSTORAGE_Garbage__Interval"] = "00:00:00.200",
        ["DARKSTORAGE_Garbage__OrphanAge"] = "00:00:10",
        ["DARKSTORAGE_Garbage__OrphanInterval"] = "00:00:00.500",
    };

    [Fact]
    public async Task Every_object_stays_readable_and_in_one_place_whoever_is_killed_while_it_moves()
    {
        var seed = Seeds.Next();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"DARKSTORAGE_TEST_SEED={seed} DARKSTORAGE_TEST_TRANSITIONS={Transitions}"));
        await using var outside = await NodeProcess.StartAsync();
        await using var node = await NodeProcess.StartAsync(new() { Environment = Eager });
        using var world = await TransitionWorld.CreateAsync(node, outside, seed, Transitions / Waves);
        var random = Seeds.Fork(seed);
        for (var wave = 0; wave < Waves; wave++)
        {
            var tier = wave % 2 == 0 ? "cold" : "hot";
            await world.AssignAllAsync(tier);
            for (var kill = 1; kill <= KillsPerWave; kill++)
            {
                // Not before some have moved, and while others have not.
                var left = random.Next(world.Count * (KillsPerWave - kill) / KillsPerWave, world.Count * (KillsPerWave - kill + 1) / KillsPerWave);
                await world.WaitAsync(left);
                NodeProcess[] victims = random.Next(3) switch { 0 => [node], 1 => [outside], _ => [node, outside] };
                await Task.WhenAll(victims.Select(v => v.KillAsync()));
                // A node that is up works on without its place for a while.
                if (victims is [var one] && one == outside) await world.WaitForFailureAsync();
                foreach (var victim in victims) await victim.RestartAsync();
            }
            await world.WaitAsync(0);
            await world.VerifyAsync(tier);
        }
    }

    /// <summary>A bucket of objects, and the tier <c>cold</c> in a bucket of another node.</summary>
    private sealed class TransitionWorld : IDisposable
    {
        private readonly NodeProcess _node;
        private readonly string _bucket;
        private readonly string _outsideBucket;
        private readonly AmazonS3Client _s3;
        private readonly AmazonS3Client _outsideS3;
        private readonly Dictionary<string, Content> _contents = [];

        private TransitionWorld(NodeProcess node, string bucket, AmazonS3Client s3, string outsideBucket, AmazonS3Client outsideS3) =>
            (_node, _bucket, _s3, _outsideBucket, _outsideS3) = (node, bucket, s3, outsideBucket, outsideS3);

        public int Count => _contents.Count;

        public static async Task<TransitionWorld> CreateAsync(NodeProcess node, NodeProcess outside, int seed, int objects)
        {
            var (s3, outsideS3) = (node.S3(), outside.S3());
            var world = new TransitionWorld(node, await s3.NewBucketAsync(), s3, await outsideS3.NewBucketAsync(), outsideS3);
            var settings = new Dictionary<string, string>
            {
                ["endpoint"] = outside.S3Url.GetLeftPart(UriPartial.Authority), ["bucket"] = world._outsideBucket, ["access-key"] = outside.Settings.AccessKey, ["secret-key"] = outside.Settings.SecretKey,
            };
            await world.AskAsync(HttpMethod.Post, "integrations", new { name = "other", type = "s3", preset = "darkstorage", settings });
            await world.AskAsync(HttpMethod.Put, "tiers/cold", new { integration = "other" });
            var random = Seeds.Fork(seed, 1);
            for (var i = 0; i < objects; i++)
            {
                // Never so small that it would be in the index.
                var content = Content.Bytes(seed, i, random.Next(150_000, 600_000));
                var key = string.Create(CultureInfo.InvariantCulture, $"folder/{i}");
                await s3.PutBytesAsync(world._bucket, key, content);
                world._contents.Add(key, Content.Of(content));
            }
            return world;
        }

        public void Dispose()
        {
            _s3.Dispose();
            _outsideS3.Dispose();
        }

        public Task AssignAllAsync(string tier) => AskAsync(HttpMethod.Post, $"tiers/{tier}/assign", new { bucket = _bucket, prefix = "" });

        public Task WaitAsync(int left)
        {
            var waiting = 0;
            return Eventually.HoldsAsync(async () => (waiting = (await MovesAsync()).Count) <= left, () => $"{waiting} moves are waiting, and not {left}");
        }

        public Task WaitForFailureAsync() => Eventually.HoldsAsync("a move has failed", async () => (await MovesAsync()) is var moves && (moves.Count == 0 || moves.Any(m => m!["failure"] is not null)));

        /// <summary>Every object is there, byte for byte, and where it should be; and after the sweep nowhere else.</summary>
        public async Task VerifyAsync(string tier)
        {
            foreach (var (key, content) in _contents)
            {
                var shown = await AskAsync(HttpMethod.Get, $"tiers/object?bucket={_bucket}&key={key}");
                Assert.Equal((tier, tier == "hot" ? "drives" : "other"), ((string?)shown["tier"], (string?)shown["place"]));
                Assert.Equal(content, Content.Of(await _s3.GetBytesAsync(_bucket, key)));
            }
            var (there, here) = (-1, -1.0);
            await Eventually.HoldsAsync(async () =>
            {
                there = await CountOutsideAsync();
                here = await _node.MetricAsync("darkstorage_storage_blobs");
                return (there, here) == (tier == "hot" ? (0, Count) : (Count, 0));
            }, () => $"{Count} objects are {tier}, with {here} blobs on the drive and {there} outside");
            foreach (var (key, content) in _contents) Assert.Equal(content, Content.Of(await _s3.GetBytesAsync(_bucket, key)));
        }

        private async Task<JsonArray> MovesAsync() => (await AskAsync(HttpMethod.Get, "tiers/moves")).AsArray();

        private async Task<int> CountOutsideAsync()
        {
            var request = new Amazon.S3.Model.ListObjectsV2Request { BucketName = _outsideBucket, Prefix = "objects/" };
            return (await _outsideS3.ListObjectsV2Async(request)).S3Objects?.Count ?? 0;
        }

        private async Task<JsonNode> AskAsync(HttpMethod method, string path, object? body = null)
        {
            using var answer = await _node.AdminAsync(method, $"v1/{path}", body);
            Assert.True(answer.IsSuccessStatusCode, $"{method} {path}: {(int)answer.StatusCode} {await answer.Content.ReadAsStringAsync()}");
            return (await answer.Content.ReadFromJsonAsync<JsonNode>())!;
        }
    }
}
