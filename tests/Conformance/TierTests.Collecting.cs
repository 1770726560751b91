using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace DarkStorage.Conformance;

/// <remarks>What objects do not need any more at places outside: when it is deleted there, and when nothing is.</remarks>
public sealed partial class TierTests
{
    [Fact]
    public async Task A_place_that_does_not_answer_keeps_nothing_from_being_deleted_at_others()
    {
        await using var other = await NodeProcess.StartAsync();
        using var theirs = other.S3();
        // Before the others by its name, and with all patience.
        var (bucket, outside, slow, quick) = (await fixture.Client.NewBucketAsync(), await theirs.NewBucketAsync(), "a-" + NewName(), await NewTierAsync("warm"));
        var settings = new Dictionary<string, string>
        {
            ["endpoint"] = other.S3Url.GetLeftPart(UriPartial.Authority), ["bucket"] = outside, ["access-key"] = other.Settings.AccessKey, ["secret-key"] = other.Settings.SecretKey, ["timeout-seconds"] = "3600",
        };
        using (var added = await Node.AdminAsync(HttpMethod.Post, "v1/integrations", new { name = slow, type = "s3", preset = "darkstorage", settings })) Assert.Equal(HttpStatusCode.Created, added.StatusCode);
        await JsonAsync(Node, HttpMethod.Put, "/cold", new { integration = slow }, HttpStatusCode.OK);
        foreach (var (key, tier) in new[] { ("slow", "cold"), ("quick", "warm") })
        {
            await fixture.Client.PutBytesAsync(bucket, key, RandomNumberGenerator.GetBytes(Large));
            await AssignAndWaitAsync(bucket, key, tier);
        }
        other.Freeze();
        await fixture.Client.DeleteObjectAsync(bucket, "slow");
        await fixture.Client.DeleteObjectAsync(bucket, "quick");
        await Eventually.HoldsAsync("the bytes at the one that answers go", () => BlobsOf(quick).Count == 0);
        other.Thaw();
        await Eventually.HoldsAsync("the bytes at the other go when it answers", async () => (await theirs.ListObjectsV2Async(new() { BucketName = outside, Prefix = "objects/" })).S3Objects is null or { Count: 0 });
    }

    [Fact]
    public async Task An_integration_does_not_become_another_place_before_all_is_deleted_at_the_one_it_is_and_can_be_removed()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("attic", "EXPRESS_ONEZONE"));
        foreach (var key in (string[])["first", "second"])
        {
            await fixture.Client.PutBytesAsync(bucket, key, RandomNumberGenerator.GetBytes(Large));
            await AssignAndWaitAsync(bucket, key, "attic");
        }
        await JsonAsync(Node, HttpMethod.Delete, "/attic", null, HttpStatusCode.OK);
        Directory.Move(PathOf(place), PathOf(place) + "-away");
        foreach (var key in (string[])["first", "second"]) await fixture.Client.DeleteObjectAsync(bucket, key);
        string? refusal = null;
        await Eventually.HoldsAsync(async () =>
        {
            using var answer = await ChangeAsync();
            refusal = (string?)JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["error"];
            return answer.StatusCode == HttpStatusCode.OK || refusal?.StartsWith("What objects do not need any more is still at the place", StringComparison.Ordinal) == true;
        }, () => $"it was taken to be deleted: {refusal}");
        Assert.Contains("that forgets what is left", refusal, StringComparison.Ordinal);
        Assert.False(Directory.Exists(PathOf(place) + "-other"));

        Directory.Move(PathOf(place) + "-away", PathOf(place));
        await Eventually.HoldsAsync("it may be another when all is deleted", async () =>
        {
            using var answer = await ChangeAsync();
            return answer.StatusCode == HttpStatusCode.OK;
        });
        Assert.Empty(BlobsOf(place));
        Assert.True(Directory.Exists(PathOf(place) + "-other"));

        Task<HttpResponseMessage> ChangeAsync() => Node.AdminAsync(HttpMethod.Put, $"v1/integrations/{place}", new { settings = new { path = PathOf(place) + "-other" } });
    }

    [Fact]
    public async Task At_a_place_that_is_disabled_nothing_is_deleted_until_it_is_enabled_and_it_can_be_removed()
    {
        var (bucket, off, on) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("attic", "EXPRESS_ONEZONE"), await NewTierAsync("warm"));
        foreach (var (key, tier) in new[] { ("off", "attic"), ("later", "attic"), ("on", "warm"), ("on again", "warm") })
        {
            await fixture.Client.PutBytesAsync(bucket, key, RandomNumberGenerator.GetBytes(Large));
            await AssignAndWaitAsync(bucket, key, tier);
        }
        await SwitchAsync("disable");
        await fixture.Client.DeleteObjectAsync(bucket, "off");
        // The second look at the other place comes after a whole one at this.
        foreach (var (key, left) in new[] { ("on", 1), ("on again", 0) })
        {
            await fixture.Client.DeleteObjectAsync(bucket, key);
            await Eventually.HoldsAsync("the bytes at the other place go", () => BlobsOf(on).Count == left);
        }
        Assert.Equal(2, BlobsOf(off).Count);
        await SwitchAsync("enable");
        await Eventually.HoldsAsync("the bytes go", () => BlobsOf(off).Count == 1);

        await SwitchAsync("disable");
        await fixture.Client.DeleteObjectAsync(bucket, "later");
        await JsonAsync(Node, HttpMethod.Delete, "/attic", null, HttpStatusCode.OK);
        await Eventually.HoldsAsync("it can be removed", async () =>
        {
            using var answer = await Node.AdminAsync(HttpMethod.Delete, $"v1/integrations/{off}");
            return answer.StatusCode == HttpStatusCode.OK;
        });
        Assert.Single(BlobsOf(off));

        async Task SwitchAsync(string to)
        {
            using var answer = await Node.AdminAsync(HttpMethod.Post, $"v1/integrations/{off}/{to}");
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        }
    }

    [Fact]
    public async Task A_node_that_is_told_so_changes_nothing_outside_says_so_once_and_reads_what_is_there()
    {
        await using var node = await NodeProcess.StartAsync(TierNodeFixture.Quick);
        using var s3 = node.S3();
        var (bucket, place) = (await s3.NewBucketAsync(), await NewTierAsync("cold", node: node));
        var content = RandomNumberGenerator.GetBytes(Large);
        foreach (var key in (string[])["freed", "back", "there", "here"]) await s3.PutBytesAsync(bucket, key, content);
        foreach (var key in (string[])["freed", "back", "there"])
        {
            await JsonAsync(node, HttpMethod.Post, "/cold/assign", new { bucket, key }, HttpStatusCode.Accepted);
            await WaitAsync(bucket, key, node: node);
        }
        var blobs = BlobsOf(place).Order().ToList();
        await node.TerminateAsync();
        node.Environment = new Dictionary<string, string> { ["DARKSTORAGE_Integrations__ReadOnly"] = "true" };
        await node.RestartAsync();

        await s3.DeleteObjectAsync(bucket, "freed");
        await JsonAsync(node, HttpMethod.Post, "/hot/assign", new { bucket, key = "back" }, HttpStatusCode.Accepted);
        await JsonAsync(node, HttpMethod.Post, "/cold/assign", new { bucket, key = "here" }, HttpStatusCode.Accepted);
        foreach (var key in (string[])["there", "back"]) Assert.Equal(content, await s3.GetBytesAsync(bucket, key));
        using (var added = await node.AdminAsync(HttpMethod.Post, "v1/integrations", new { name = "new", type = "filesystem", settings = new { path = PathOf("new") } }))
        {
            Assert.Equal(HttpStatusCode.BadGateway, added.StatusCode);
            Assert.Contains("Integrations:ReadOnly is set", await added.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }
        Assert.False(Directory.Exists(PathOf("new")));
        using (var tested = await node.AdminAsync(HttpMethod.Post, $"v1/integrations/{place}/test", null))
        {
            var step = Assert.Single(JsonNode.Parse(await tested.Content.ReadAsStringAsync())!["steps"]!.AsArray())!;
            Assert.Equal("write", (string?)step["name"]);
            Assert.Contains("Integrations:ReadOnly is set", (string?)step["failure"], StringComparison.Ordinal);
        }
        // What is freed on its own drive shows that its workers look.
        for (var round = 1; round <= 2; round++)
        {
            await s3.PutBytesAsync(bucket, "own", content);
            await s3.DeleteObjectAsync(bucket, "own");
            await Eventually.HoldsAsync("the bytes on the drive go", async () => await node.MetricAsync("darkstorage_garbage_blobs_freed_total") >= round);
        }
        Assert.Equal(blobs, BlobsOf(place).Order());
        Assert.Equal(("drives", 0), ((string?)(await ShowAsync(bucket, "here", node: node))["place"], (int)(await ShowAsync(bucket, "here", node: node))["move"]!["attempts"]!));
        Assert.Equal(place, (string?)(await ShowAsync(bucket, "back", node: node))["place"]);
        foreach (var line in (string[])["nothing is moved between tiers", "is not deleted at places outside"]) Assert.Equal(2, node.Output.Split($"{line}").Length);

        await node.TerminateAsync();
        node.Environment = new Dictionary<string, string>();
        await node.RestartAsync();
        foreach (var key in (string[])["back", "here"]) await WaitAsync(bucket, key, node: node);
        Assert.Equal(place, (string?)(await ShowAsync(bucket, "here", node: node))["place"]);
        await Eventually.HoldsAsync("the bytes outside go", () => BlobsOf(place).Count == 2);
        foreach (var key in (string[])["there", "back", "here"]) Assert.Equal(content, await s3.GetBytesAsync(bucket, key));
    }
}
