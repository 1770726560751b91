using System.Net;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using DarkStorage.TestKit;
using Xunit;

namespace DarkStorage.Simulation.Lifecycle;

/// <summary>A node whose machine was suspended, as its clock tells: time of day is another, and its timers know nothing of it.</summary>
public sealed class SuspendedNodeTests
{
    private const int Length = 12 << 20;

    [Fact]
    public async Task What_was_fetched_before_is_not_committed_and_is_fetched_anew()
    {
        var folder = Directory.CreateTempSubdirectory("darkstorage-suspended-").FullName;
        try
        {
            var clock = new OutsideClock(folder);
            await using var node = await NodeProcess.StartAsync(new()
            {
                Environment = new Dictionary<string, string>(clock.Environment)
                {
                    ["DARKSTORAGE_Transitions__Interval"] = "00:00:00.050", ["DARKSTORAGE_Transitions__RetryDelay"] = "00:00:00.100", ["DARKSTORAGE_Garbage__OrphanAge"] = "1.00:00:00",
                },
            });
            using var s3 = node.S3();
            var (bucket, content) = (await s3.NewBucketAsync(), RandomNumberGenerator.GetBytes(Length));
            // A signature would be of the time that the test has.
            await s3.PutBucketPolicyAsync(bucket, $$"""{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::{{bucket}}/*"}]}""");
            await s3.PutBytesAsync(bucket, "key", content);
            await AskAsync(HttpMethod.Post, "integrations", new { name = "nas", type = "filesystem", settings = new Dictionary<string, string> { ["path"] = Path.Combine(folder, "nas"), ["mebibytes-per-second-max"] = "2" } });
            await AskAsync(HttpMethod.Put, "tiers/cold", new { integration = "nas" });
            await AskAsync(HttpMethod.Post, "tiers/cold/assign", new { bucket, key = "key" });
            await MovedAsync("nas");

            var before = await node.MetricAsync("darkstorage_storage_blobs");
            var refused = node.NextLineAsync("half of Garbage:OrphanAge");
            await AskAsync(HttpMethod.Post, "tiers/hot/assign", new { bucket, key = "key" });
            await Eventually.HoldsAsync("its first chunk is there, and seconds before the last", async () => await node.MetricAsync("darkstorage_storage_blobs") > before);
            await clock.SetAsync("+13h");
            Assert.Contains("key was not moved to the tier hot, and stays where it is", await refused, StringComparison.Ordinal);

            await MovedAsync("drives");
            using var http = new HttpClient();
            Assert.Equal(content, await http.GetByteArrayAsync(new Uri(node.S3Url, $"/{bucket}/key")));

            Task MovedAsync(string place) => Eventually.HoldsAsync($"it is at {place}", async () => await AskAsync(HttpMethod.Get, $"tiers/object?bucket={bucket}&key=key") is { } shown && shown["move"] is null && (string?)shown["place"] == place);

            async Task<JsonNode> AskAsync(HttpMethod method, string path, object? body = null)
            {
                using var answer = await node.AdminAsync(method, $"v1/{path}", body);
                var text = await answer.Content.ReadAsStringAsync();
                Assert.True(answer.IsSuccessStatusCode, $"{method} {path}: {(int)answer.StatusCode} {text}");
                return JsonNode.Parse(text)!;
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
