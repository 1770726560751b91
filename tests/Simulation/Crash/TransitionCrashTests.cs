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

    /// <summary>Objects that are read after each kill, while others move.</summary>
    private const int SampleCount = 8;

    private static readonly Kill[] Kills = Enum.GetValues<Kill>();

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

    private enum Kill
    {
        Silo,
        Backend,
        Both,
    }

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
            // Each kind in each wave, and so in both directions.
            var kills = Kills.ToArray();
            random.Shuffle(kills);
            for (var done = 0; done < kills.Length; done++)
            {
                // Not before some have moved, and while enough others have not that they still move when the sample is read.
                var (least, most) = (world.Count * (kills.Length - done - 1) / kills.Length, world.Count * (kills.Length - done) / kills.Length);
                await world.WaitUntilUnderWayAsync(random.Next((least + most) / 2, most));
                NodeProcess[] victims = kills[done] switch { Kill.Silo => [node], Kill.Backend => [outside], _ => [node, outside] };
                var failed = kills[done] == Kill.Backend ? node.NextLineAsync("was not moved to the tier") : null;
                await Task.WhenAll(victims.Select(v => v.KillAsync()));
                // A node that is up works on without its place for a while, and what was under way fails.
                if (failed is not null) await failed;
                foreach (var victim in victims) await victim.RestartAsync();
                await world.VerifySampleAsync(random);
                output.WriteLine($"wave {wave}, to {tier}: {kills[done]}");
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
                // Slow enough that moves are under way for longer than a node takes to start.
                ["mebibytes-per-second-max"] = "16",
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

        /// <summary>Until no more than so many have not ended, and while they are under way: some ended since the last look, and others have not.</summary>
        public async Task WaitUntilUnderWayAsync(int left)
        {
            var (waiting, ended) = ((await MovesAsync()).Count, 0);
            await Eventually.HoldsAsync(async () =>
            {
                var before = waiting;
                waiting = (await MovesAsync()).Count;
                ended = before - waiting;
                Assert.True(waiting > 0, $"All moves ended at once: {before} were waiting a moment ago");
                return waiting <= left && ended > 0;
            }, () => $"{waiting} moves are waiting, and not {left}; {ended} ended since the last look");
        }

        /// <summary>Some objects are there, byte for byte, while others move.</summary>
        public async Task VerifySampleAsync(Random random)
        {
            var sample = _contents.OrderBy(c => c.Key, StringComparer.Ordinal).ToArray();
            random.Shuffle(sample);
            Assert.NotEmpty(await MovesAsync());
            foreach (var (key, content) in sample[..Math.Min(SampleCount, sample.Length)]) Assert.Equal(content, await ReadAsync(key));
            // Each was read before the last move ended.
            Assert.NotEmpty(await MovesAsync());
        }

        /// <summary>A place that has just been away is left alone for a while, and what is there is refused until then; it is never other bytes.</summary>
        private async Task<Content> ReadAsync(string key)
        {
            var content = Content.None;
            await Eventually.HoldsAsync($"{key} can be read", async () =>
            {
                try
                {
                    content = Content.Of(await _s3.GetBytesAsync(_bucket, key));
                    return true;
                }
                catch (AmazonS3Exception e) when (e.StatusCode == HttpStatusCode.ServiceUnavailable)
                {
                    return false;
                }
            });
            return content;
        }

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
