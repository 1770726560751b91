using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Conformance;

/// <remarks>What breaks at a place, or is taken away from it.</remarks>
public sealed partial class TierTests
{
    [Fact]
    public async Task A_place_that_is_gone_leaves_the_object_where_it_was_shows_why_and_is_tried_again()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        var content = RandomNumberGenerator.GetBytes(Large);
        await fixture.Client.PutBytesAsync(bucket, "key", content);
        Directory.Move(PathOf(place), PathOf(place) + "-away");
        Directory.CreateDirectory(PathOf(place));
        await JsonAsync(Node, HttpMethod.Post, "/cold/assign", new { bucket, key = "key" }, HttpStatusCode.Accepted);
        await Eventually.HoldsAsync("it has failed twice", async () => (await ShowAsync(bucket, "key"))["move"] is { } move && move["failure"] is not null && (int)move["attempts"]! > 1);

        var shown = (await JsonAsync(Node, HttpMethod.Get, "/moves", null, HttpStatusCode.OK)).AsArray().Single(m => (string?)m!["bucket"] == bucket)!;
        Assert.Equal(("key", "cold", "operator"), ((string?)shown["key"], (string?)shown["tier"], (string?)shown["wantedBy"]));
        Assert.Contains("Is it mounted?", (string?)shown["failure"], StringComparison.Ordinal);
        Assert.Contains($"{bucket}/key was not moved to the tier cold", Node.Output, StringComparison.Ordinal);
        Assert.Equal(("hot", "drives"), ((string?)(await ShowAsync(bucket, "key"))["tier"], (string?)(await ShowAsync(bucket, "key"))["place"]));
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));

        Directory.Delete(PathOf(place), recursive: true);
        Directory.Move(PathOf(place) + "-away", PathOf(place));
        await WaitAsync(bucket, "key");
        Assert.Equal(place, (string?)(await ShowAsync(bucket, "key"))["place"]);
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_place_that_was_made_ready_in_the_mount_point_of_one_that_is_gone_gets_nothing()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        var content = RandomNumberGenerator.GetBytes(Large);
        await fixture.Client.PutBytesAsync(bucket, "key", content);
        Directory.Move(PathOf(place), PathOf(place) + "-away");
        using (var added = await Node.AdminAsync(HttpMethod.Post, "v1/integrations", new { name = NewName(), type = "filesystem", settings = new { path = PathOf(place) } })) Assert.Equal(HttpStatusCode.Created, added.StatusCode);
        await AssertFailsAsync(bucket, content, "is not the place of this integration");
        Assert.Empty(BlobsOf(place));
        // Who changes it otherwise does not make it the place either, and nobody says what its id is.
        foreach (var (settings, reason) in new[] { (new Dictionary<string, string> { ["calls-max"] = "7" }, "is not the place of this integration"), (new() { ["place-id"] = "x" }, "filesystem has no field place-id") })
        {
            using var changed = await Node.AdminAsync(HttpMethod.Put, $"v1/integrations/{place}", new { settings });
            Assert.False(changed.IsSuccessStatusCode);
            Assert.Contains(reason, await changed.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        }

        Directory.Delete(PathOf(place), recursive: true);
        Directory.Move(PathOf(place) + "-away", PathOf(place));
        await WaitAsync(bucket, "key");
        Assert.Single(BlobsOf(place));
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_place_that_is_gone_refuses_reads_until_it_is_back_and_the_object_stays_there()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        var content = RandomNumberGenerator.GetBytes(Large);
        await fixture.Client.PutBytesAsync(bucket, "key", content);
        await AssignAndWaitAsync(bucket, "key", "cold");
        Directory.Move(PathOf(place), PathOf(place) + "-away");
        await Eventually.HoldsAsync("it can't be read", async () => (await fixture.Raw.GetAsync($"/{bucket}/key")).Status is 503 or 500);
        Assert.Equal(200, (await fixture.Raw.HeadAsync($"/{bucket}/key")).Status);
        await JsonAsync(Node, HttpMethod.Post, "/hot/assign", new { bucket, key = "key" }, HttpStatusCode.Accepted);
        await Eventually.HoldsAsync("it does not come back", async () => (await ShowAsync(bucket, "key"))["move"]?["failure"] is not null);
        Directory.Move(PathOf(place) + "-away", PathOf(place));
        await WaitAsync(bucket, "key");
        Assert.Equal("drives", (string?)(await ShowAsync(bucket, "key"))["place"]);
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_place_that_is_full_gets_nothing_until_there_is_room()
    {
        using var drive = Drives.SmallDrive.Mount("tmpfs", 16);
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), NewName());
        using (var added = await Node.AdminAsync(HttpMethod.Post, "v1/integrations", new { name = place, type = "filesystem", settings = new { path = drive.DataDirectory } })) Assert.Equal(HttpStatusCode.Created, added.StatusCode);
        await JsonAsync(Node, HttpMethod.Put, "/cold", new { integration = place }, HttpStatusCode.OK);
        var content = RandomNumberGenerator.GetBytes(Large);
        await fixture.Client.PutBytesAsync(bucket, "key", content);
        drive.FillCompletely();
        await AssertFailsAsync(bucket, content, "disk was full");
        drive.RemoveForeignFile();
        await WaitAsync(bucket, "key");
        Assert.Equal(place, (string?)(await ShowAsync(bucket, "key"))["place"]);
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));
        await AssignAndWaitAsync(bucket, "key", "hot"); // the drive goes with the test
    }

    [Fact]
    public async Task Credentials_that_are_taken_back_stop_moves_until_there_are_new_ones()
    {
        await using var other = await NodeProcess.StartAsync();
        var (first, second) = (await other.NewUserAsync(null, "readwrite"), await other.NewUserAsync(null, "readwrite"));
        using var theirs = other.S3();
        var (bucket, outside, place) = (await fixture.Client.NewBucketAsync(), await theirs.NewBucketAsync(), NewName());
        var settings = new Dictionary<string, string> { ["endpoint"] = other.S3Url.GetLeftPart(UriPartial.Authority), ["bucket"] = outside, ["access-key"] = first.AccessKey, ["secret-key"] = first.SecretKey };
        using (var added = await Node.AdminAsync(HttpMethod.Post, "v1/integrations", new { name = place, type = "s3", preset = "darkstorage", settings })) Assert.Equal(HttpStatusCode.Created, added.StatusCode);
        await JsonAsync(Node, HttpMethod.Put, "/cold", new { integration = place }, HttpStatusCode.OK);
        var content = RandomNumberGenerator.GetBytes(Large);
        await fixture.Client.PutBytesAsync(bucket, "key", content);
        using (var gone = await other.AdminAsync(HttpMethod.Delete, $"v1/access-keys/{first.AccessKey}")) Assert.True(gone.IsSuccessStatusCode);
        await AssertFailsAsync(bucket, content, "InvalidAccessKeyId");
        using (var changed = await Node.AdminAsync(HttpMethod.Put, $"v1/integrations/{place}", new { settings = new Dictionary<string, string> { ["access-key"] = second.AccessKey, ["secret-key"] = second.SecretKey } })) Assert.Equal(HttpStatusCode.OK, changed.StatusCode);
        await WaitAsync(bucket, "key");
        Assert.Equal(place, (string?)(await ShowAsync(bucket, "key"))["place"]);
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));
        await AssignAndWaitAsync(bucket, "key", "hot"); // the other node goes with the test
    }

    [Theory, InlineData("HEAD", -1), InlineData("HEAD", 1), InlineData("GET", -1), InlineData("GET", 1)]
    public async Task A_place_that_lies_about_lengths_leaves_the_object_where_it_was_and_the_operator_sees_why(string method, int difference)
    {
        await using var other = await NodeProcess.StartAsync();
        await using var proxy = await LyingProxy.StartAsync(IPEndPoint.Parse(other.S3Url.Authority));
        using var theirs = other.S3();
        var (bucket, outside, place) = (await fixture.Client.NewBucketAsync(), await theirs.NewBucketAsync(), NewName());
        var settings = new Dictionary<string, string> { ["endpoint"] = $"http://{proxy.EndPoint}", ["bucket"] = outside, ["access-key"] = other.Settings.AccessKey, ["secret-key"] = other.Settings.SecretKey };
        using (var added = await Node.AdminAsync(HttpMethod.Post, "v1/integrations", new { name = place, type = "s3", preset = "darkstorage", settings })) Assert.Equal(HttpStatusCode.Created, added.StatusCode);
        await JsonAsync(Node, HttpMethod.Put, "/cold", new { integration = place }, HttpStatusCode.OK);
        var content = RandomNumberGenerator.GetBytes(Large);
        await fixture.Client.PutBytesAsync(bucket, "key", content);

        // Of what is put there it says another length than it was given, or gives back another than it has.
        Lie();
        await AssertFailsAsync(bucket, content, "bytes were to come, and there were");
        Assert.Contains($"{bucket}/key was not moved to the tier cold", Node.Output, StringComparison.Ordinal);
        Assert.Contains(Rows((await Node.CommandLineAsync(["tiers", "moves"])).Output), r => r[0] == $"darkstorage://{bucket}/key" && r[^1].Contains("bytes were to come", StringComparison.Ordinal));
        BeHonest();
        await WaitAsync(bucket, "key");
        Assert.Equal(place, (string?)(await ShowAsync(bucket, "key"))["place"]);
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));

        // Whoever reads asks by GET alone.
        if (method == "GET")
        {
            Lie();
            Assert.Equal(500, (await fixture.Raw.GetAsync($"/{bucket}/key")).Status);
            await JsonAsync(Node, HttpMethod.Post, "/hot/assign", new { bucket, key = "key" }, HttpStatusCode.Accepted);
            JsonNode? shown = null;
            await Eventually.HoldsAsync("it does not come back", async () => (shown = await ShowAsync(bucket, "key"))["move"]?["failure"] is not null);
            Assert.Contains("bytes were to come, and there were", (string?)shown!["move"]!["failure"], StringComparison.Ordinal);
            Assert.Equal(("cold", place), ((string?)shown["tier"], (string?)shown["place"]));
            BeHonest();
        }
        await Eventually.HoldsAsync("it can be read again", async () => (await fixture.Raw.GetAsync($"/{bucket}/key")).Status == 200);
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));
        await AssignAndWaitAsync(bucket, "key", "hot"); // the other node goes with the test
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));

        // Of objects alone: nothing of the place's health.
        void Lie()
        {
            if (method == "HEAD") proxy.Alters = http => http.Response.ContentLength += IsLie(http) ? difference : 0;
            else proxy.AltersBody = (http, body) => !IsLie(http) ? body : difference < 0 ? body[..^1] : [.. body, 0];
        }

        void BeHonest() => (proxy.Alters, proxy.AltersBody) = (_ => { }, null);

        bool IsLie(HttpContext http) => http.Request.Method == method && (http.Response.StatusCode is 200 or 206) && http.Request.Path.Value!.Contains("/objects/", StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_place_that_does_not_answer_keeps_nobody_waiting_for_long_and_what_is_to_go_there_goes_when_it_answers()
    {
        await using var other = await NodeProcess.StartAsync();
        using var theirs = other.S3();
        var (bucket, outside, place) = (await fixture.Client.NewBucketAsync(), await theirs.NewBucketAsync(), NewName());
        var settings = new Dictionary<string, string>
        {
            ["endpoint"] = other.S3Url.GetLeftPart(UriPartial.Authority), ["bucket"] = outside, ["access-key"] = other.Settings.AccessKey, ["secret-key"] = other.Settings.SecretKey, ["timeout-seconds"] = "1",
        };
        using (var added = await Node.AdminAsync(HttpMethod.Post, "v1/integrations", new { name = place, type = "s3", preset = "darkstorage", settings })) Assert.Equal(HttpStatusCode.Created, added.StatusCode);
        await JsonAsync(Node, HttpMethod.Put, "/cold", new { integration = place }, HttpStatusCode.OK);
        var content = RandomNumberGenerator.GetBytes(Large);
        foreach (var key in (string[])["there", "going"]) await fixture.Client.PutBytesAsync(bucket, key, content);
        await AssignAndWaitAsync(bucket, "there", "cold");

        other.Freeze();
        await JsonAsync(Node, HttpMethod.Post, "/cold/assign", new { bucket, key = "going" }, HttpStatusCode.Accepted);
        Assert.Equal(503, (await fixture.Raw.GetAsync($"/{bucket}/there")).Status);
        var shown = await ShowAsync(bucket, "going");
        await Eventually.HoldsAsync(async () => (shown = await ShowAsync(bucket, "going"))["move"]?["failure"] is not null, () => $"the move has failed: {shown}\n{Node.Output}");
        Assert.Equal("drives", (string?)(await ShowAsync(bucket, "going"))["place"]);
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "going"));
        await Eventually.HoldsAsync("an operator sees it", async () =>
        {
            using var answer = await Node.AdminAsync(HttpMethod.Post, $"v1/integrations/{place}/test", null);
            return (await answer.Content.ReadAsStringAsync()).Contains("Unavailable", StringComparison.Ordinal);
        });

        other.Thaw();
        await WaitAsync(bucket, "going");
        Assert.Equal(place, (string?)(await ShowAsync(bucket, "going"))["place"]);
        foreach (var key in (string[])["there", "going"])
        {
            await Eventually.HoldsAsync("it can be read again", async () => (await fixture.Raw.GetAsync($"/{bucket}/{key}")).Status == 200);
            Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, key));
            await AssignAndWaitAsync(bucket, key, "hot"); // the other node goes with the test
        }
    }

    [Fact]
    public async Task A_read_goes_on_where_the_bytes_are_now_when_they_are_moved_under_it()
    {
        await using var other = await NodeProcess.StartAsync();
        using var theirs = other.S3();
        var (bucket, outside, place) = (await fixture.Client.NewBucketAsync(), await theirs.NewBucketAsync(), NewName());
        var settings = new Dictionary<string, string> { ["endpoint"] = other.S3Url.GetLeftPart(UriPartial.Authority), ["bucket"] = outside, ["access-key"] = other.Settings.AccessKey, ["secret-key"] = other.Settings.SecretKey };
        using (var added = await Node.AdminAsync(HttpMethod.Post, "v1/integrations", new { name = place, type = "s3", preset = "darkstorage", settings })) Assert.Equal(HttpStatusCode.Created, added.StatusCode);
        await JsonAsync(Node, HttpMethod.Put, "/cold", new { integration = place }, HttpStatusCode.OK);
        // More than is on its way in all buffers together.
        var content = RandomNumberGenerator.GetBytes(96 << 20);
        await fixture.Client.PutBytesAsync(bucket, "key", content);
        await AssignAndWaitAsync(bucket, "key", "cold");

        using var answer = await fixture.Client.GetObjectAsync(bucket, "key");
        var read = new byte[content.Length];
        await answer.ResponseStream.ReadExactlyAsync(read.AsMemory(0, 1 << 20));
        await AssignAndWaitAsync(bucket, "key", "hot");
        await Eventually.HoldsAsync("the bytes outside go", async () => (await theirs.ListObjectsV2Async(new() { BucketName = outside, Prefix = "objects/" })).S3Objects is null or { Count: 0 });
        await other.KillAsync();
        await other.RestartAsync();

        await answer.ResponseStream.ReadExactlyAsync(read.AsMemory(1 << 20));
        Assert.True(content.AsSpan().SequenceEqual(read));
    }

    [Fact]
    public async Task Bytes_that_changed_outside_are_not_served()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        var content = RandomNumberGenerator.GetBytes(Large);
        await fixture.Client.PutBytesAsync(bucket, "key", content);
        await AssignAndWaitAsync(bucket, "key", "cold");
        var blob = Assert.Single(BlobsOf(place));
        var bytes = await File.ReadAllBytesAsync(blob);
        bytes[100] ^= 1;
        await File.WriteAllBytesAsync(blob, bytes);
        Assert.Equal(500, (await fixture.Raw.GetAsync($"/{bucket}/key")).Status);
        using var end = await fixture.Client.GetObjectAsync(new() { BucketName = bucket, Key = "key", ByteRange = new(Large - 1000, Large - 1) });
        Assert.Equal(content[^1000..], await end.ReadBytesAsync());
        // It does not come back damaged either.
        await JsonAsync(Node, HttpMethod.Post, "/hot/assign", new { bucket, key = "key" }, HttpStatusCode.Accepted);
        await Eventually.HoldsAsync("it does not come back", async () => (await ShowAsync(bucket, "key"))["move"]?["failure"] is not null);
        bytes[100] ^= 1;
        await File.WriteAllBytesAsync(blob, bytes);
        await WaitAsync(bucket, "key");
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_place_that_is_used_is_neither_removed_nor_another()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("attic", "EXPRESS_ONEZONE"));
        await fixture.Client.PutBytesAsync(bucket, "key", RandomNumberGenerator.GetBytes(Large));
        Assert.Equal($"The tier attic is at the integration {place}.", await RefusedAsync(HttpMethod.Delete, null));
        await AssignAndWaitAsync(bucket, "key", "attic");
        await JsonAsync(Node, HttpMethod.Delete, "/attic", null, HttpStatusCode.OK);
        Assert.Contains("Content of objects is at the integration", await RefusedAsync(HttpMethod.Delete, null), StringComparison.Ordinal);
        Assert.Contains("Content of objects is at the integration", await RefusedAsync(HttpMethod.Put, new { settings = new { path = PathOf(place) + "-other" } }), StringComparison.Ordinal);
        Assert.False(Directory.Exists(PathOf(place) + "-other"));
        using (var same = await Node.AdminAsync(HttpMethod.Put, $"v1/integrations/{place}", new { settings = new Dictionary<string, string> { ["calls-max"] = "7" } })) Assert.Equal(HttpStatusCode.OK, same.StatusCode);

        // Without its tier it is read as before, and can be taken back.
        Assert.Equal(Large, (await fixture.Client.GetBytesAsync(bucket, "key")).Length);
        Assert.Null((await ShowAsync(bucket, "key"))["tier"]);
        await AssignAndWaitAsync(bucket, "key", "hot");
        await Eventually.HoldsAsync("it is not used any more", async () => (await Node.AdminAsync(HttpMethod.Delete, $"v1/integrations/{place}")).StatusCode == HttpStatusCode.OK);

        async Task<string?> RefusedAsync(HttpMethod method, object? body)
        {
            using var answer = await Node.AdminAsync(method, $"v1/integrations/{place}", body);
            Assert.Equal(HttpStatusCode.Conflict, answer.StatusCode);
            return (string?)JsonNode.Parse(await answer.Content.ReadAsStringAsync())!["error"];
        }
    }

    [Fact]
    public async Task To_a_place_that_is_disabled_nothing_goes_and_what_is_there_is_read()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        foreach (var key in (string[])["there", "here"]) await fixture.Client.PutBytesAsync(bucket, key, RandomNumberGenerator.GetBytes(Large));
        await AssignAndWaitAsync(bucket, "there", "cold");
        (await Node.AdminAsync(HttpMethod.Post, $"v1/integrations/{place}/disable")).Dispose();
        Assert.Equal($"The tier cold is at the integration {place}, which is disabled.", (string?)(await JsonAsync(Node, HttpMethod.Post, "/cold/assign", new { bucket, key = "here" }, HttpStatusCode.BadRequest))["error"]);
        Assert.Equal($"The tier cold is at the integration {place}, which is disabled.", (string?)(await JsonAsync(Node, HttpMethod.Put, "/cold", new { integration = place }, HttpStatusCode.BadRequest))["error"]);
        Assert.Equal(Large, (await fixture.Client.GetBytesAsync(bucket, "there")).Length);
        Assert.Null((await ShowAsync(bucket, "here"))["move"]);
        Assert.Equal($"The tier cold is at the integration {place}, which is disabled.",
            (string?)(await JsonAsync(Node, HttpMethod.Put, $"/buckets/{bucket}", """{"entries":[{"transitions":[{"tier":"cold","days":5}]}]}""", HttpStatusCode.BadRequest))["error"]);
    }

    [Fact]
    public async Task What_is_outside_and_what_is_to_go_there_outlive_the_node()
    {
        await using var node = await NodeProcess.StartAsync(TierNodeFixture.Quick);
        using var s3 = node.S3();
        var (bucket, place) = (await s3.NewBucketAsync(), await NewTierAsync("cold", node: node));
        var content = RandomNumberGenerator.GetBytes(Large);
        foreach (var key in (string[])["moved", "waits"]) await s3.PutBytesAsync(bucket, key, content);
        await JsonAsync(node, HttpMethod.Post, "/cold/assign", new { bucket, key = "moved" }, HttpStatusCode.Accepted);
        await WaitAsync(bucket, "moved", node: node);
        Directory.Move(PathOf(place), PathOf(place) + "-away");
        await JsonAsync(node, HttpMethod.Post, "/cold/assign", new { bucket, key = "waits" }, HttpStatusCode.Accepted);
        await node.KillAsync();
        Directory.Move(PathOf(place) + "-away", PathOf(place));
        await node.RestartAsync();
        await WaitAsync(bucket, "waits", node: node);
        foreach (var key in (string[])["moved", "waits"])
        {
            Assert.Equal(place, (string?)(await ShowAsync(bucket, key, node: node))["place"]);
            Assert.Equal(content, await s3.GetBytesAsync(bucket, key));
        }
        Assert.Equal(2, BlobsOf(place).Count);
    }

    /// <summary>A move to the tier <c>cold</c> fails, says why, and leaves the object as it is.</summary>
    private async Task AssertFailsAsync(string bucket, byte[] content, string reason)
    {
        await JsonAsync(Node, HttpMethod.Post, "/cold/assign", new { bucket, key = "key" }, HttpStatusCode.Accepted);
        JsonNode? shown = null;
        await Eventually.HoldsAsync("it has failed", async () => (shown = await ShowAsync(bucket, "key"))["move"]?["failure"] is not null);
        Assert.Contains(reason, (string?)shown!["move"]!["failure"], StringComparison.Ordinal);
        Assert.Equal(("hot", "drives"), ((string?)shown["tier"], (string?)shown["place"]));
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));
    }
}
