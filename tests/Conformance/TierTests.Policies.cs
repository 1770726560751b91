using System.Security.Cryptography;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Amazon.S3;
using Amazon.S3.Model;

namespace DarkStorage.Conformance;

/// <remarks>Policies in the lifecycle language: they are saved, refused, tried out, explained, and run.</remarks>
public sealed partial class TierTests
{
    [Fact]
    public async Task Policies_take_each_object_to_where_the_first_rule_that_holds_says()
    {
        var (bucket, cold, warm) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"), await NewTierAsync("warm"));
        var content = RandomNumberGenerator.GetBytes(Large);
        foreach (var key in (string[])["keep/large.log", "a/1.LOG", "a/1.bin", "tagged", "plain"]) await fixture.Client.PutBytesAsync(bucket, key, content);
        await fixture.Client.PutBytesAsync(bucket, "huge", RandomNumberGenerator.GetBytes(2 * Large));
        await fixture.Client.PutObjectTaggingAsync(new() { BucketName = bucket, Key = "tagged", Tagging = new() { TagSet = [new() { Key = "project", Value = "x" }] } });
        // The bucket's own transitions are for what no policy decides on.
        await JsonAsync(Node, HttpMethod.Put, $"/buckets/{bucket}", """{"entries":[{"prefix":"a/","transitions":[{"tier":"warm","days":1}]}]}""", HttpStatusCode.OK);
        await PolicyAsync(bucket, "20-rest", """
            size > 1MB -> cold          # the second
            tag.project == "x" -> warm
            """);
        await PolicyAsync(bucket, "10-logs", """name LIKE "keep/*" -> hot; file_extension IN (.log, .txt) -> cold""");
        var places = new Dictionary<string, string>
        {
            ["keep/large.log"] = "drives", ["a/1.LOG"] = cold, ["a/1.bin"] = warm, ["tagged"] = warm, ["plain"] = "drives", ["huge"] = cold,
        };
        foreach (var (key, place) in places) await Eventually.HoldsAsync($"{key} is at {place}", async () => (string?)(await ShowAsync(bucket, key))["place"] == place);
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "a/1.LOG"));
        await Eventually.HoldsAsync("the runs are told of", async () => (await LifecycleAsync(HttpMethod.Get, bucket, ""))["before"]!.AsArray()
            .Append((await LifecycleAsync(HttpMethod.Get, bucket, ""))["last"]).SelectMany(r => r?["moves"]?.AsArray() ?? []).Any(m => (string?)m!["to"] == "GLACIER_IR" && (long)m["bytes"]! >= 2 * Large));

        // What a policy does not say any more is the bucket's own again; and what it says of nothing stays.
        await LifecycleAsync(HttpMethod.Post, bucket, "/policies/10-logs/disable");
        await Eventually.HoldsAsync("it follows the bucket's own", async () => (string?)(await ShowAsync(bucket, "a/1.LOG"))["place"] == warm);
        await LifecycleAsync(HttpMethod.Delete, bucket, "/policies/20-rest");
        Assert.Equal([("10-logs", false)], (await LifecycleAsync(HttpMethod.Get, bucket, "/policies")).AsArray().Select(p => ((string?)p!["name"], (bool)p["enabled"]!)));
        Assert.Equal(cold, (string?)(await ShowAsync(bucket, "huge"))["place"]);
    }

    [Fact]
    public async Task A_document_that_expires_outranks_a_policy_and_versions_are_decided_on_each()
    {
        var (bucket, cold) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        await fixture.Client.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        var old = (await fixture.Client.PutBytesAsync(bucket, "key", RandomNumberGenerator.GetBytes(Large))).VersionId;
        var top = (await fixture.Client.PutBytesAsync(bucket, "key", RandomNumberGenerator.GetBytes(Large))).VersionId;
        var gone = (await fixture.Client.PutBytesAsync(bucket, "gone", RandomNumberGenerator.GetBytes(Large))).VersionId;
        await fixture.Client.PutLifecycleConfigurationAsync(new()
        {
            BucketName = bucket,
            Configuration = new() { Rules = [new() { Id = "end", Status = LifecycleRuleStatus.Enabled, Filter = new() { LifecycleFilterPredicate = new LifecyclePrefixPredicate { Prefix = "gone" } }, Expiration = new() { Days = 1 } }] },
        });
        await PolicyAsync(bucket, "old", "noncurrent -> cold");
        await Eventually.HoldsAsync("the noncurrent one is cold", async () => (string?)(await ShowAsync(bucket, "key", old))["place"] == cold);
        await Eventually.HoldsAsync("the other is expired", async () => (await fixture.Client.ListVersionsAsync(bucket)).Versions.Any(v => v.Key == "gone" && v.IsDeleteMarker == true));
        // Waited for, or it would go to the place of whichever test comes next.
        await Eventually.HoldsAsync("and cold too, as it is noncurrent now", async () => (string?)(await ShowAsync(bucket, "gone", gone))["place"] == cold);
        Assert.Equal("drives", (string?)(await ShowAsync(bucket, "key", top))["place"]);
    }

    [Fact]
    public async Task What_is_read_often_comes_back_and_accesses_outlive_the_node()
    {
        await using var node = await NodeProcess.StartAsync(TierNodeFixture.Quick with { Environment = TierNodeFixture.Quick.Environment.Append(new("DARKSTORAGE_AccessCounts__FlushInterval", "00:00:00.200")).ToDictionary() });
        using var client = node.S3();
        var (bucket, content) = (await client.NewBucketAsync(), RandomNumberGenerator.GetBytes(Large));
        await NewTierAsync("cold", node: node);
        await client.PutBytesAsync(bucket, "before", content);
        await client.GetBytesAsync(bucket, "before"); // nobody counts yet
        await LifecycleAsync(node, HttpMethod.Put, bucket, "/policies/p", new { text = "access_count >= 3 -> hot\nage > 1s AND access_count < 3 -> cold" });
        Assert.True((bool)(await LifecycleAsync(node, HttpMethod.Get, bucket, "/accesses"))["counted"]!);
        foreach (var key in (string[])["read", "headed"]) await client.PutBytesAsync(bucket, key, content);
        foreach (var key in (string[])["read", "headed"]) await Eventually.HoldsAsync($"{key} goes", async () => (await client.GetObjectMetadataAsync(bucket, key)).StorageClass?.Value == "GLACIER_IR");
        for (var i = 0; i < 3; i++)
        {
            await client.GetObjectMetadataAsync(bucket, "headed");
            if (i == 0) Assert.Equal(content, await client.GetBytesAsync(bucket, "read"));
            else if (i == 1) await client.CopyObjectAsync(bucket, "read", bucket, "copy");
            else using (await client.GetObjectAsync(new() { BucketName = bucket, Key = "read", ByteRange = new(5, 9) })) { }
        }
        await Eventually.HoldsAsync("it comes back", async () => (await client.GetObjectMetadataAsync(bucket, "read")).StorageClass is null);
        Assert.Equal("GLACIER_IR", (await client.GetObjectMetadataAsync(bucket, "headed")).StorageClass.Value);
        // Of what was made before nobody knows: it may have been read often.
        Assert.Null((await client.GetObjectMetadataAsync(bucket, "before")).StorageClass);
        Assert.Contains("  access_count < 3: unknown, it is 0 or more, as accesses are not counted for that long", await ExplainAsync("before"));

        // What was counted a moment before the node is stopped is kept too.
        await client.GetBytesAsync(bucket, "read");
        await node.TerminateAsync();
        await node.RestartAsync();
        var lines = await ExplainAsync("read");
        Assert.Contains(lines, l => l.StartsWith("It was accessed 4 times since 20", StringComparison.Ordinal));
        Assert.Contains("  access_count >= 3: yes, it is 4", lines);

        Assert.StartsWith("The policy p asks for accesses", (string?)(await LifecycleAsync(node, HttpMethod.Put, bucket, "/accesses", new { counted = false }, HttpStatusCode.BadRequest))["error"], StringComparison.Ordinal);
        await LifecycleAsync(node, HttpMethod.Delete, bucket, "/policies/p");
        Assert.False((bool)(await LifecycleAsync(node, HttpMethod.Put, bucket, "/accesses", new { counted = false }))["counted"]!);
        Assert.DoesNotContain(await ExplainAsync("read"), l => l.StartsWith("It was accessed", StringComparison.Ordinal));
        Assert.True((bool)(await LifecycleAsync(node, HttpMethod.Put, bucket, "/accesses", new { counted = true }))["counted"]!);
        Assert.Contains(await ExplainAsync("read"), l => l.StartsWith("It was accessed 0 times since 20", StringComparison.Ordinal));

        async Task<List<string>> ExplainAsync(string key) => [.. (await LifecycleAsync(node, HttpMethod.Get, bucket, $"/explain?key={key}"))["lines"]!.AsArray().Select(l => (string)l!)];
    }

    [Fact]
    public async Task A_crash_takes_at_most_the_accesses_of_the_last_minute()
    {
        // More than a minute is not to be had; this is as it is where nobody has said anything.
        var refused = await NodeProcess.RunAsync(["--data", Path.Combine(_folder, "none"), "--s3-url", "http://127.0.0.1:0", "--management-url", "http://127.0.0.1:0"], new Dictionary<string, string> { ["DARKSTORAGE_AccessCounts__FlushInterval"] = "00:01:01" });
        Assert.NotEqual(0, refused.ExitCode);
        Assert.Contains("FlushInterval", refused.Output + refused.Error, StringComparison.Ordinal);
        await using var node = await NodeProcess.StartAsync();
        using var client = node.S3();
        var bucket = await client.NewBucketAsync();
        await client.PutBytesAsync(bucket, "key", RandomNumberGenerator.GetBytes(Large));
        Assert.True((bool)(await LifecycleAsync(node, HttpMethod.Put, bucket, "/accesses", new { counted = true }))["counted"]!);

        var first = TimeProvider.System.GetTimestamp();
        await ReadAsync(3);
        await Eventually.HoldsAsync("they are in the index", async () => await CountedAsync() == 3);
        Assert.True(TimeProvider.System.GetElapsedTime(first) < TimeSpan.FromMinutes(1));
        await ReadAsync(2);
        // No write has come between: they are what the crash takes.
        Assert.Equal(3, await CountedAsync());
        await node.KillAsync();
        node.Environment = new Dictionary<string, string> { ["DARKSTORAGE_AccessCounts__FlushInterval"] = "00:00:00.100" };
        await node.RestartAsync();
        Assert.Equal(3, await AccessesAsync());

        await ReadAsync(4);
        await Eventually.HoldsAsync("those made afterwards are in the index", async () => await CountedAsync() == 4);
        Assert.Equal(7, await AccessesAsync());
        await node.KillAsync();
        await node.RestartAsync();
        Assert.Equal(7, await AccessesAsync());

        async Task ReadAsync(int times)
        {
            for (var i = 0; i < times; i++) await client.GetBytesAsync(bucket, "key");
        }

        // Of this start of the program alone.
        Task<double> CountedAsync() => node.MetricAsync("darkstorage_accesses_counted_total");

        async Task<int> AccessesAsync()
        {
            var line = (await LifecycleAsync(node, HttpMethod.Get, bucket, "/explain?key=key"))["lines"]!.AsArray().Select(l => (string)l!).Single(l => l.StartsWith("It was accessed ", StringComparison.Ordinal));
            return int.Parse(line.Split(' ')[3], System.Globalization.CultureInfo.InvariantCulture);
        }
    }

    [Fact]
    public async Task A_policy_is_tried_out_and_an_object_explained_without_a_change()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        await NewTierAsync("cold");
        foreach (var key in (string[])["a.log", "b.log", "c"]) await fixture.Client.PutBytesAsync(bucket, key, RandomNumberGenerator.GetBytes(Large));
        const string text = "file_extension == .log -> cold\nage > 9999d -> cold";
        var tried = await LifecycleAsync(HttpMethod.Post, bucket, "/preview", new { text });
        Assert.Equal((3, 2, 2L * Large), ((long)tried["looked"]!, (long)tried["transitioned"]!, (long)Assert.Single(tried["moves"]!.AsArray())!["bytes"]!));
        Assert.Equal(0, (long)(await LifecycleAsync(HttpMethod.Get, bucket, "/preview"))["transitioned"]!);
        Assert.Equal("drives", (string?)(await ShowAsync(bucket, "a.log"))["place"]);

        Assert.Equal(["It is in hot.", "The next run leaves it where it is.", "Left alone, nothing else becomes of it.", "No policy of the bucket is enabled."], await ExplainAsync("c"));
        await PolicyAsync(bucket, "p", text);
        var lines = await ExplainAsync("c");
        Assert.Equal(["It is in hot.", "The next run leaves it where it is."], lines[..2]);
        Assert.Matches("^(A run is under way|The next run begins (soon|at 20.* UTC))\\.$", lines[2]);
        Assert.Matches("^Left alone, it goes to cold from 20.* UTC on, by rule 2 of its policies\\.$", lines[3]);
        Assert.Equal(["It stays in hot: no rule holds.", "Rule 1, file_extension == .log -> cold, does not hold."], lines[4..6]);
        await Eventually.HoldsAsync("it is moved", async () => (string?)(await ShowAsync(bucket, "a.log"))["tier"] == "cold");
        Assert.Contains("It stays in cold: rule 1 decides.", await ExplainAsync("a.log"));
        await LifecycleAsync(HttpMethod.Get, bucket, "/explain?key=none", status: HttpStatusCode.NotFound);

        async Task<List<string>> ExplainAsync(string key) => [.. (await LifecycleAsync(HttpMethod.Get, bucket, $"/explain?key={key}"))["lines"]!.AsArray().Select(l => (string)l!)];
    }

    [Fact]
    public async Task What_becomes_of_an_object_is_told_to_its_end_whoever_says_it()
    {
        var (bucket, other) = (await fixture.Client.NewBucketAsync(), await fixture.Client.NewBucketAsync());
        await NewTierAsync("warm");
        await NewTierAsync("cold");
        await fixture.Client.PutBytesAsync(bucket, "a/key", RandomNumberGenerator.GetBytes(Large));
        await JsonAsync(Node, HttpMethod.Put, $"/buckets/{bucket}", """{"entries":[{"transitions":[{"tier":"warm","days":20000}]}]}""", HttpStatusCode.OK);
        await LifecycleDocumentAsync(bucket, "<Transition><Days>25000</Days><StorageClass>GLACIER_IR</StorageClass></Transition><Expiration><Days>30000</Days></Expiration>");
        Assert.Equal(["warm, by the bucket's own transitions.", "cold, by rule old of the bucket's lifecycle document.", "expires, by rule old of the bucket's lifecycle document."], await LaterAsync(bucket, "a/key"));
        // A policy outranks both from when it decides.
        await PolicyAsync(bucket, "p", "size > 5GB -> cold\nage > 22000s -> hot");
        Assert.Equal(["warm, by the bucket's own transitions.", "hot, by rule 2 of its policies.", "expires, by rule old of the bucket's lifecycle document."], await LaterAsync(bucket, "a/key"));

        await fixture.Client.PutBucketVersioningAsync(new() { BucketName = other, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        var first = (await fixture.Client.PutBytesAsync(other, "k", RandomNumberGenerator.GetBytes(Large))).VersionId;
        await fixture.Client.PutBytesAsync(other, "k", RandomNumberGenerator.GetBytes(Large));
        await LifecycleDocumentAsync(other, "<NoncurrentVersionTransition><NoncurrentDays>20000</NoncurrentDays><StorageClass>GLACIER_IR</StorageClass></NoncurrentVersionTransition><NoncurrentVersionExpiration><NoncurrentDays>30000</NoncurrentDays></NoncurrentVersionExpiration>");
        Assert.Equal(["cold, by rule old of the bucket's lifecycle document.", "removed for good, by rule old of the bucket's lifecycle document."], await LaterAsync(other, $"k&versionId={first}"));
        Assert.Equal(["nothing else becomes of it."], await LaterAsync(other, "k"));
        // One move after another.
        await PolicyAsync(other, "chain", "tier == hot AND age > 20000s -> warm\ntier == warm AND age > 10000s -> cold");
        Assert.Equal(["warm, by rule 1 of its policies.", "cold, by rule 2 of its policies."], await LaterAsync(other, "k"));

        async Task<List<string>> LaterAsync(string bucket, string key) =>
            [.. (await LifecycleAsync(HttpMethod.Get, bucket, $"/explain?key={key}"))["lines"]!.AsArray().Select(l => (string)l!).Where(l => l.StartsWith("Left alone, ", StringComparison.Ordinal))
                .Select(l => Regex.Replace(l, "^Left alone, (it goes to |it is |it )?| from 20.* UTC on", ""))];
    }

    [Fact]
    public async Task A_preview_is_told_page_by_page()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        await NewTierAsync("cold");
        await fixture.Client.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        foreach (var key in (string[])["a", "a", "b", "c", "c", "c"]) await fixture.Client.PutBytesAsync(bucket, key, RandomNumberGenerator.GetBytes(Large));
        const string text = "noncurrent -> cold";
        var all = await LifecycleAsync(HttpMethod.Post, bucket, "/preview", new { text });
        Assert.Equal((6, 3, 3L * Large, null), ((long)all["looked"]!, (long)all["transitioned"]!, (long)all["moves"]![0]!["bytes"]!, all["next"]));
        // Behind b.
        var b = (await fixture.Client.ListVersionsAsync(bucket)).Versions.Single(v => v.Key == "b");
        var rest = await LifecycleAsync(HttpMethod.Post, bucket, "/preview", new { text, after = new { key = "b", versionId = b.VersionId, revision = 0, above = DateTimeOffset.UtcNow, noncurrent = 0 } });
        Assert.Equal((3, 2), ((long)rest["looked"]!, (long)rest["transitioned"]!));
        Assert.StartsWith("after: x is no version's id.", (string?)(await LifecycleAsync(HttpMethod.Get, bucket, $"/preview?after={Uri.EscapeDataString("""{"key":"c","versionId":"x"}""")}", status: HttpStatusCode.BadRequest))["error"], StringComparison.Ordinal);
        Assert.StartsWith("after: what next was", (string?)(await LifecycleAsync(HttpMethod.Get, bucket, "/preview?after={}", status: HttpStatusCode.BadRequest))["error"], StringComparison.Ordinal);
        // Of a bucket without rules all is known: nothing.
        Assert.NotNull((await LifecycleAsync(HttpMethod.Get, bucket, "/preview"))["ended"]);
        Assert.Equal("Of 0 versions 0 move, 0 expire and 0 are removed for good\n", (await Node.CommandLineAsync(["lifecycle", "preview", bucket])).Output);
    }

    [Fact]
    public async Task Rules_of_three_places_that_go_in_a_circle_are_refused_wherever_the_last_is_saved()
    {
        await NewTierAsync("warm");
        const string policy = "tier == warm AND size < 1MB -> hot", entries = """{"entries":[{"transitions":[{"tier":"warm","days":30}]}]}""";
        const string document = "<Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition>", reason = "Of all enabled policies of the bucket and its transitions, one after another: Rule 1 (tier == warm AND size < 1MB -> hot) begins a circle";
        var (first, second, third) = (await fixture.Client.NewBucketAsync(), await fixture.Client.NewBucketAsync(), await fixture.Client.NewBucketAsync());
        await PolicyAsync(first, "p", policy);
        Assert.StartsWith(reason, (string?)(await JsonAsync(Node, HttpMethod.Put, $"/buckets/{first}", entries, HttpStatusCode.BadRequest))["error"], StringComparison.Ordinal);
        Assert.Equal("InvalidRequest", (await Assert.ThrowsAsync<AmazonS3Exception>(() => PutDocumentAsync(first))).ErrorCode);
        Assert.Equal((404, "NoSuchLifecycleConfiguration"), (await fixture.Raw.GetAsync($"/{first}?lifecycle")).Error);
        Assert.Empty((await JsonAsync(Node, HttpMethod.Get, $"/buckets/{first}", null, HttpStatusCode.OK))["entries"]!.AsArray());
        await LifecycleAsync(HttpMethod.Post, first, "/policies/p/disable");
        await PutDocumentAsync(first);

        await JsonAsync(Node, HttpMethod.Put, $"/buckets/{second}", entries, HttpStatusCode.OK);
        Assert.EndsWith("Here rule 1 is of the policy p and rule 2 is one of the bucket's own.", (string?)(await LifecycleAsync(HttpMethod.Put, second, "/policies/p", new { text = policy }, HttpStatusCode.BadRequest))["error"], StringComparison.Ordinal);
        await LifecycleDocumentAsync(third, document);
        Assert.EndsWith("Here rule 1 is of the policy p and rule 2 is one of rule old of its lifecycle document.", (string?)(await LifecycleAsync(HttpMethod.Put, third, "/policies/p", new { text = policy }, HttpStatusCode.BadRequest))["error"], StringComparison.Ordinal);

        // What is there already, as a tier came later, keeps nobody from saying it again, or something else.
        var fourth = await fixture.Client.NewBucketAsync();
        const string attic = "<Transition><Days>30000</Days><StorageClass>ONEZONE_IA</StorageClass></Transition>";
        (await Node.AdminAsync(HttpMethod.Delete, "v1/tiers/attic")).Dispose(); // another test's
        await PolicyAsync(fourth, "p", "storage_class == ONEZONE_IA -> hot");
        await LifecycleDocumentAsync(fourth, attic);
        await NewTierAsync("attic", "ONEZONE_IA");
        await LifecycleDocumentAsync(fourth, attic + "<Expiration><Days>36000</Days></Expiration>");
        await JsonAsync(Node, HttpMethod.Put, $"/buckets/{fourth}", """{"entries":[{"prefix":"raw/","default":"warm"}]}""", HttpStatusCode.OK);
        await PolicyAsync(fourth, "q", "size > 5GB -> warm");
        await JsonAsync(Node, HttpMethod.Delete, "/attic", null, HttpStatusCode.OK);

        Task PutDocumentAsync(string bucket) => fixture.Client.PutLifecycleConfigurationAsync(new()
        {
            BucketName = bucket,
            Configuration = new() { Rules = [new() { Id = "old", Status = LifecycleRuleStatus.Enabled, Filter = new(), Transitions = [new() { Days = 30, StorageClass = S3StorageClass.StandardInfrequentAccess }] }] },
        });
    }

    [Fact]
    public async Task A_circle_that_a_disabled_policy_stood_in_is_warned_of_and_moves_nothing()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("warm"));
        await fixture.Client.PutBytesAsync(bucket, "key", RandomNumberGenerator.GetBytes(Large));
        await PolicyAsync(bucket, "10-keep", "tier == warm AND size > 500kB -> warm");
        await PolicyAsync(bucket, "20-out", "tier == hot AND size > 600kB -> warm");
        await PolicyAsync(bucket, "30-back", "tier == warm -> hot");
        await Eventually.HoldsAsync("it is in warm", async () => (string?)(await ShowAsync(bucket, "key"))["place"] == place);
        const string warning = "Of all enabled policies of the bucket, one after another: Rule 1 (tier == hot AND size > 600KB -> warm) begins a circle";
        var disabled = await Node.CommandLineAsync(["lifecycle", "disable", bucket, "10-keep"]);
        Assert.Equal((0, "10-keep is disabled\n"), (disabled.ExitCode, disabled.Output));
        Assert.StartsWith($"darkstorage: {warning}", disabled.Error, StringComparison.Ordinal);

        var run = (await LifecycleAsync(HttpMethod.Get, bucket, ""))["last"]?["begun"]?.ToString();
        await Eventually.HoldsAsync("another run has looked", async () => (await LifecycleAsync(HttpMethod.Get, bucket, ""))["last"] is { } last && last["begun"]!.ToString() != run && (long)last["looked"]! == 1);
        Assert.Equal((place, null), await ShowAsync(bucket, "key") is var shown ? ((string?)shown["place"], shown["move"]) : default);
        var lines = (await LifecycleAsync(HttpMethod.Get, bucket, "/explain?key=key"))["lines"]!.AsArray().Select(l => (string)l!).ToList();
        Assert.Contains("The next run leaves it where it is.", lines);
        Assert.Contains("Its policies would bring it back from there: they go round in a circle, and it stays until one of them is changed.", lines);
        // It hides no other mistake, and is itself no reason to refuse what has none.
        var refused = await LifecycleAsync(HttpMethod.Put, bucket, "/policies/40-new", new { text = "tier == hot AND size > 2MB -> hot" }, HttpStatusCode.BadRequest);
        Assert.Contains("contradicts rule 1", (string?)refused["error"], StringComparison.Ordinal);
        await PolicyAsync(bucket, "40-new", "size > 5GB -> warm");
        Assert.Null((await LifecycleAsync(HttpMethod.Delete, bucket, "/policies/10-keep"))["warning"]);
        Assert.Null((await LifecycleAsync(HttpMethod.Delete, bucket, "/policies/30-back"))["warning"]);
    }

    [Fact]
    public async Task Of_two_who_save_at_once_what_goes_round_together_one_is_refused()
    {
        await NewTierAsync("warm");
        for (var round = 0; round < 8; round++)
        {
            var bucket = await fixture.Client.NewBucketAsync();
            var saved = await Task.WhenAll(
                TryAsync($"v1/lifecycle/{bucket}/policies/a", new { text = "tier == hot -> warm" }), TryAsync($"v1/lifecycle/{bucket}/policies/b", new { text = "tier == warm -> hot" }),
                TryAsync($"v1/tiers/buckets/{bucket}", new { entries = new[] { new { transitions = new[] { new { tier = "warm", days = 30 } } } } }));
            var (a, b, own) = (saved[0], saved[1], saved[2]);
            Assert.All(saved, s => Assert.True(s is HttpStatusCode.OK or HttpStatusCode.BadRequest, $"{s}"));
            // Each alone can be, and what leads to warm with what leads there too.
            Assert.Equal(1, (b == HttpStatusCode.OK ? 1 : 0) + (a == HttpStatusCode.OK || own == HttpStatusCode.OK ? 1 : 0));
        }

        async Task<HttpStatusCode> TryAsync(string path, object body)
        {
            using var answer = await Node.AdminAsync(HttpMethod.Put, path, body);
            return answer.StatusCode;
        }
    }

    [Fact]
    public async Task A_rule_leads_anew_to_a_place_that_is_disabled_though_another_does_already()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        await JsonAsync(Node, HttpMethod.Put, $"/buckets/{bucket}", """{"entries":[{"prefix":"raw/","default":"cold"}]}""", HttpStatusCode.OK);
        await LifecycleDocumentAsync(bucket, "<NoncurrentVersionTransition><NoncurrentDays>20000</NoncurrentDays><StorageClass>GLACIER_IR</StorageClass></NoncurrentVersionTransition>");
        (await Node.AdminAsync(HttpMethod.Post, $"v1/integrations/{place}/disable")).Dispose();
        foreach (var entry in (string[])["""{"transitions":[{"tier":"cold","days":30000}]}""", """{"prefix":"raw/","default":"cold","transitions":[{"tier":"cold","days":30000}]}"""])
            Assert.Contains("is disabled", (string?)(await JsonAsync(Node, HttpMethod.Put, $"/buckets/{bucket}", $$"""{"entries":[{{entry}}]}""", HttpStatusCode.BadRequest))["error"], StringComparison.Ordinal);
        await JsonAsync(Node, HttpMethod.Put, $"/buckets/{bucket}", """{"entries":[{"prefix":"raw/","default":"cold"},{"prefix":"other/","default":"hot"}]}""", HttpStatusCode.OK);
        var answer = await fixture.Raw.PutAsync($"/{bucket}?lifecycle", DocumentOf("<Transition><Days>20000</Days><StorageClass>GLACIER_IR</StorageClass></Transition>"));
        Assert.Equal((400, "InvalidRequest"), answer.Error);
    }

    [Fact]
    public async Task A_lifecycle_document_says_nothing_new_of_a_place_that_is_disabled()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        await NewTierAsync("warm");
        const string cold = "<Transition><Days>30000</Days><StorageClass>GLACIER_IR</StorageClass></Transition>", warm = "<Transition><Days>20000</Days><StorageClass>STANDARD_IA</StorageClass></Transition>";
        (await Node.AdminAsync(HttpMethod.Post, $"v1/integrations/{place}/disable")).Dispose();
        var (status, refused) = (await fixture.Raw.PutAsync($"/{bucket}?lifecycle", DocumentOf(warm + cold))).Error;
        Assert.Equal((400, "InvalidRequest"), (status, refused));
        await LifecycleDocumentAsync(bucket, warm);
        (await Node.AdminAsync(HttpMethod.Post, $"v1/integrations/{place}/enable")).Dispose();
        await LifecycleDocumentAsync(bucket, warm + cold);
        // What it says already may be said again, so that all else can be changed.
        (await Node.AdminAsync(HttpMethod.Post, $"v1/integrations/{place}/disable")).Dispose();
        await LifecycleDocumentAsync(bucket, cold);
    }

    [Fact]
    public async Task What_lies_outside_stays_readable_where_a_document_calls_it_archived_and_there_is_no_archive()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        var content = RandomNumberGenerator.GetBytes(Large);
        foreach (var key in (string[])["outside", "here"]) await fixture.Client.PutBytesAsync(bucket, key, content);
        await AssignAndWaitAsync(bucket, "outside", "cold");
        await LifecycleDocumentAsync(bucket, "<Transition><Days>1</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition>");
        await Eventually.HoldsAsync("what is on the drives has the class", async () => (string?)(await ShowAsync(bucket, "here"))["storageClass"] == "DEEP_ARCHIVE");
        await Eventually.HoldsAsync("a run has looked at both", async () => (await LifecycleAsync(HttpMethod.Get, bucket, ""))["last"] is { } last && (long)last["looked"]! == 2 && (long)last["transitioned"]! == 0);
        Assert.Equal(("GLACIER_IR", place), ((string?)(await ShowAsync(bucket, "outside"))["storageClass"], (string?)(await ShowAsync(bucket, "outside"))["place"]));
        foreach (var key in (string[])["outside", "here"]) Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, key));
        Assert.Equal(0, (long)(await LifecycleAsync(HttpMethod.Get, bucket, ""))["last"]!["failed"]!);
        await fixture.Client.DeleteLifecycleConfigurationAsync(bucket); // else it would follow the next test's archive
    }

    [Fact]
    public async Task The_buckets_own_transition_to_a_tier_that_is_gone_moves_and_names_nothing()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        await NewTierAsync("attic", "ONEZONE_IA");
        await JsonAsync(Node, HttpMethod.Put, $"/buckets/{bucket}", """{"entries":[{"prefix":"a/","transitions":[{"tier":"attic","days":1}]},{"prefix":"b/","transitions":[{"tier":"attic","days":2}]}]}""", HttpStatusCode.OK);
        await JsonAsync(Node, HttpMethod.Delete, "/attic", null, HttpStatusCode.OK);
        await fixture.Client.PutBytesAsync(bucket, "a/key", RandomNumberGenerator.GetBytes(Large));
        var run = (await LifecycleAsync(HttpMethod.Get, bucket, ""))["last"]?["begun"]?.ToString();
        await Eventually.HoldsAsync("another run has looked", async () => (await LifecycleAsync(HttpMethod.Get, bucket, ""))["last"] is { } last && last["begun"]!.ToString() != run && (long)last["looked"]! == 1 && Due(last));
        Assert.Equal("STANDARD", (string?)(await ShowAsync(bucket, "a/key"))["storageClass"]);
        // The one can be taken away while the other is there, though neither could be said anew.
        Assert.Equal((0, $"darkstorage://{bucket}/b/: nothing is set\n"), await Node.CommandLineAsync(["tiers", "set", $"darkstorage://{bucket}/b/", "--clear"]) is var cleared ? (cleared.ExitCode, cleared.Output) : default);
        Assert.Equal(["a/"], (await JsonAsync(Node, HttpMethod.Get, $"/buckets/{bucket}", null, HttpStatusCode.OK))["entries"]!.AsArray().Select(e => (string?)e!["prefix"]));
        Assert.Equal("There is no tier attic.", (string?)(await JsonAsync(Node, HttpMethod.Put, $"/buckets/{bucket}", """{"entries":[{"transitions":[{"tier":"attic","days":1}]}]}""", HttpStatusCode.NotFound))["error"]);

        static bool Due(JsonNode run) => DateTimeOffset.Parse((string)run["begun"]!, System.Globalization.CultureInfo.InvariantCulture) > DateTimeOffset.UtcNow.AddMinutes(-1);
    }

    [Fact]
    public async Task A_run_counts_what_it_asked_for_apart_from_what_was_asked_for_before()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        foreach (var key in (string[])["a", "b"]) await fixture.Client.PutBytesAsync(bucket, key, RandomNumberGenerator.GetBytes(Large));
        Directory.Move(PathOf(place), PathOf(place) + "-away");
        await PolicyAsync(bucket, "p", "-> cold");
        await Eventually.HoldsAsync("a later run finds them waiting", async () => (await LifecycleAsync(HttpMethod.Get, bucket, ""))["last"] is { } last && ((long)last["transitioned"]!, (long)last["waiting"]!) == (0, 2));
        Assert.Contains((await LifecycleAsync(HttpMethod.Get, bucket, ""))["before"]!.AsArray(), r => ((long)r!["transitioned"]!, (long)r["waiting"]!) == (2, 0));
        Assert.Contains("MOVES ASKED FOR  STILL WAITING", (await Node.CommandLineAsync(["lifecycle", "runs", bucket])).Output, StringComparison.Ordinal);
        Directory.Move(PathOf(place) + "-away", PathOf(place));
        foreach (var key in (string[])["a", "b"]) await Eventually.HoldsAsync($"{key} is cold", async () => (string?)(await ShowAsync(bucket, key))["place"] == place);
    }

    [Fact]
    public async Task What_other_rules_would_have_cost_is_told_of_what_is_there()
    {
        await using var node = await NodeProcess.StartAsync();
        using var client = node.S3();
        var bucket = await client.NewBucketAsync();
        foreach (var (tier, cost) in new[] { ("cold", 4m), ("warm", 10m) })
        {
            await NewTierAsync(tier, node: node);
            await JsonAsync(node, HttpMethod.Put, $"/{tier}", new { cost, writeCost = 1_000m }, HttpStatusCode.OK);
        }
        await JsonAsync(node, HttpMethod.Put, "/hot", new { cost = 20m }, HttpStatusCode.OK);
        await client.PutBytesAsync(bucket, "large", new byte[2_000_000]);
        await client.PutBytesAsync(bucket, "small", new byte[1_000_000]);
        await client.PutObjectTaggingAsync(new() { BucketName = bucket, Key = "small", Tagging = new() { TagSet = [new() { Key = "keep", Value = "hot" }] } });
        await LifecycleAsync(node, HttpMethod.Put, bucket, "/policies/p", new { text = "-> warm" });

        var told = await LifecycleAsync(node, HttpMethod.Post, bucket, "/cost", new { text = "tag.keep == \"hot\" -> hot\n-> cold" });

        Assert.Equal((true, 0), ((bool)told["with"]!["hasAllMoves"]!, (await LifecycleAsync(node, HttpMethod.Post, bucket, "/cost", new { text = "-> cold", from = "2999-01" }))["with"]!["total"]!.GetValue<decimal>()));
        Assert.Equal((true, 2, 1), ((bool)told["isWhole"]!, (long)told["looked"]!, told["asItIs"]!["months"]!.AsArray().Count));
        Assert.Equal([("hot", 0), ("cold", 0)], told["with"]!["months"]!.AsArray().Select(m => ((string)m!["tier"]!, (long)m["moves"]!)));
        var byteMonths = told["with"]!["months"]!.AsArray().ToDictionary(m => (string)m!["tier"]!, m => (decimal)m!["byteMonths"]!);
        Assert.All(byteMonths.Values, b => Assert.True(b > 0));
        var (with, asItIs, unmoved) = ((decimal)told["with"]!["total"]!, (decimal)told["asItIs"]!["total"]!, (decimal)told["unmoved"]!["total"]!);
        Assert.InRange((with * 1e9m) - (byteMonths["hot"] * 20) - (byteMonths["cold"] * 4), -0.1m, 0.1m); // they are rounded
        Assert.True(with < asItIs && asItIs < unmoved && 0 < with, $"{told}");
        Assert.Equal("warm", (string?)told["asItIs"]!["months"]![0]!["tier"]);

        var printed = (await node.CommandLineAsync(["lifecycle", "cost", bucket, "--rule", "-> cold"])).Output;
        Assert.Matches(@"^MONTH +TIER +GB-MONTHS +MOVES THERE +STORAGE +MOVES +TOTAL\n\d{4}-\d\d +cold +0[.0-9]* +0 .*\nOf the 2 versions that are there, since \d{4}-\d\d: 0[.0-9]* with these rules, 0[.0-9]* as the bucket's lifecycle is now, 0[.0-9]* had nothing been moved\.\n$", printed);
        foreach (var wrong in (object[])[new { text = "-> gone" }, new { text = "age >" }, new { from = "2026-01" }, new { text = "-> cold", from = "soon" }])
            await LifecycleAsync(node, HttpMethod.Post, bucket, "/cost", wrong, HttpStatusCode.BadRequest);
    }

    [Fact]
    public async Task A_preview_says_what_its_moves_save_where_the_costs_of_tiers_are_known()
    {
        await using var node = await NodeProcess.StartAsync();
        using var client = node.S3();
        var bucket = await client.NewBucketAsync();
        var (coldPlace, warmPlace) = (await NewTierAsync("cold", node: node), await NewTierAsync("warm", node: node));
        await client.PutBytesAsync(bucket, "large", new byte[2_000_000]);
        await client.PutBytesAsync(bucket, "small", new byte[1_000_000]);
        const string text = "size > 1MB -> cold\n-> warm";
        Assert.Null((await LifecycleAsync(node, HttpMethod.Post, bucket, "/preview", new { text }))["savedPerMonth"]);
        Assert.Equal((null, 25m), (await JsonAsync(node, HttpMethod.Put, "/hot", new { cost = 25m }, HttpStatusCode.OK) is var hot ? (string?)hot["integration"] : "", (decimal)hot["cost"]!));
        await JsonAsync(node, HttpMethod.Put, "/cold", new { cost = 4, latency = "minutes" }, HttpStatusCode.OK);
        // What nobody has said of the other is what is usual for its class.
        Assert.Equal([("GLACIER_IR", "minutes", 0.042m), ("STANDARD_IA", "milliseconds", 0.0115m)], (await LifecycleAsync(node, HttpMethod.Post, bucket, "/preview", new { text }))["moves"]!.AsArray().Select(m => ((string)m!["to"]!, (string?)m["latency"], (decimal?)m["savedPerMonth"])).Order());
        await JsonAsync(node, HttpMethod.Put, "/warm", new { costMultiplier = 1.22m }, HttpStatusCode.OK);
        await node.RestartAsync();
        Assert.Equal(0.0365m, (decimal)(await LifecycleAsync(node, HttpMethod.Post, bucket, "/preview", new { text }))["savedPerMonth"]!);
        var told = await node.CommandLineAsync(["lifecycle", "preview", bucket, "--rule", "size > 1MB -> cold", "--rule", "-> warm"]);
        Assert.EndsWith("That saves 0.0365 a month.\n", told.Output, StringComparison.Ordinal);
        var listed = await node.CommandLineAsync(["tiers", "list"]);
        Assert.Equal(
            [
                ["hot", "STANDARD", "milliseconds", "25", "the cluster's own drives"],
                ["cold", "GLACIER_IR", "minutes", "4", coldPlace],
                ["warm", "STANDARD_IA", "milliseconds", "30.50 (1.22 of hot's)", warmPlace],
                ["archive", "GLACIER", "hours", "0.16 of hot's", "not configured"],
                ["offsite", "DEEP_ARCHIVE", "hours", "0.043 of hot's", "not configured"],
            ],
            Rows(listed.Output));
        // What is said last holds, and the place can change without it.
        var cold = await JsonAsync(node, HttpMethod.Put, "/cold", new { costMultiplier = 0.5m }, HttpStatusCode.OK);
        Assert.Equal((12.5m, 0.5m, "minutes"), ((decimal)cold["cost"]!, (decimal)cold["costMultiplier"]!, (string?)cold["latency"]));
        cold = await JsonAsync(node, HttpMethod.Put, "/cold", new { cost = 5 }, HttpStatusCode.OK);
        Assert.Equal((5m, null), ((decimal)cold["cost"]!, cold["costMultiplier"]));
        await NewTierAsync("cold", node: node);
        // Whoever says how soon a read begins asks nobody, and a place that is said leaves the class.
        await NewTierAsync("attic", "ONEZONE_IA", node);
        var attic = await NewTierAsync("attic", node: node);
        Directory.Delete(PathOf(attic), recursive: true);
        Assert.Equal(("hours", "ONEZONE_IA", attic), await JsonAsync(node, HttpMethod.Put, "/attic", new { latency = "hours" }, HttpStatusCode.OK) is var said ? ((string?)said["latency"], (string?)said["storageClass"], (string?)said["integration"]) : default);
        Assert.Equal((5m, "minutes"), (await JsonAsync(node, HttpMethod.Get, "", null, HttpStatusCode.OK)).AsArray().Single(t => (string?)t!["name"] == "cold") is { } same ? ((decimal)same["cost"]!, (string?)same["latency"]) : default);
        Assert.StartsWith("cost: 0 to", (string?)(await JsonAsync(node, HttpMethod.Put, "/cold", new { cost = -1 }, HttpStatusCode.BadRequest))["error"], StringComparison.Ordinal);
        Assert.Contains("no more than its cost", (string?)(await JsonAsync(node, HttpMethod.Put, "/hot", new { integration = "x", cost = 1 }, HttpStatusCode.BadRequest))["error"], StringComparison.Ordinal);
    }

    public static TheoryData<string, string, string, string, HttpStatusCode> BadPolicies => new()
    {
        { "PUT", "/policies/p", """{"text":"size > 1XB -> cold"}""", "Line 1, column 8: ", HttpStatusCode.BadRequest },
        { "PUT", "/policies/p", """{"text":"size > 1MB -> attic"}""", "Line 1, column 15: There is no tier attic.", HttpStatusCode.BadRequest },
        { "PUT", "/policies/p", """{"text":"tier == attic -> cold"}""", "Line 1, column 9: There is no tier attic.", HttpStatusCode.BadRequest },
        { "PUT", "/policies/p", """{"text":"size > 1MB -> warm"}""", "Line 1, column 15: The tier warm is at the integration", HttpStatusCode.BadRequest },
        { "PUT", "/policies/p", """{"text":"age > 30d AND age < 7d -> cold"}""", "Rule 1 (age > 30d AND age < 1w -> cold) never holds", HttpStatusCode.BadRequest },
        { "PUT", "/policies/p", """{"text":"age > 1d -> cold\nage > 9d -> hot"}""", "Rule 2 (age > 9d -> hot) contradicts rule 1", HttpStatusCode.BadRequest },
        { "PUT", "/policies/p", """{"text":"tier == hot -> cold\ntier == cold -> hot"}""", "Rule 1 (tier == hot -> cold) begins a circle", HttpStatusCode.BadRequest },
        { "PUT", "/policies/p", """{"text":"tier == cold -> hot"}""", "Of all enabled policies of the bucket, one after another: Rule", HttpStatusCode.BadRequest },
        { "POST", "/preview", """{"text":"access > 30d -> cold"}""", "Accesses of ", HttpStatusCode.BadRequest },
        { "PUT", "/accesses", "{}", "counted: true or false is wanted.", HttpStatusCode.BadRequest },
        { "PUT", "/policies/P!", """{"text":"-> cold"}""", "A policy's name has", HttpStatusCode.BadRequest },
        { "PUT", "/policies/p", "{}", "text: a policy is wanted.", HttpStatusCode.BadRequest },
        { "PUT", "/policies/p", """{"text":"-> cold","enable":false}""", "The body is not the JSON that is wanted: The JSON property 'enable' could not be mapped", HttpStatusCode.BadRequest },
        { "PUT", "/policies/p", "[", "The body is not the JSON that is wanted", HttpStatusCode.BadRequest },
        { "POST", "/policies/none/enable", "", "There is no policy none.", HttpStatusCode.NotFound },
        { "DELETE", "/policies/none", "", "There is no policy none.", HttpStatusCode.NotFound },
        { "POST", "/preview", "{}", "text: a policy is wanted.", HttpStatusCode.BadRequest },
        { "POST", "/preview", """{"text":"-> attic"}""", "Line 1, column 4: There is no tier attic.", HttpStatusCode.BadRequest },
        { "GET", "/explain", "", "key is wanted.", HttpStatusCode.BadRequest },
        { "GET", "/explain?key=k&versionId=x", "", "versionId: x is none.", HttpStatusCode.BadRequest },
        { "POST", "/policies", "{}", "There are GET /v1/lifecycle/BUCKET", HttpStatusCode.MethodNotAllowed },
    };

    [Theory, MemberData(nameof(BadPolicies))]
    public async Task A_policy_that_can_not_be_meant_is_refused_with_the_place_and_the_reason(string method, string path, string body, string reason, HttpStatusCode status)
    {
        var bucket = await fixture.Client.NewBucketAsync();
        await NewTierAsync("cold");
        var warm = await NewTierAsync("warm");
        using (var disabled = await Node.AdminAsync(HttpMethod.Post, $"v1/integrations/{warm}/disable", null)) Assert.Equal(HttpStatusCode.OK, disabled.StatusCode);
        await PolicyAsync(bucket, "other", "tier == hot AND size > 5GB -> cold");
        var refused = await LifecycleAsync(new(method), bucket, path, body.Length == 0 ? null : body, status);
        Assert.StartsWith(reason, (string?)refused["error"], StringComparison.Ordinal);
        Assert.Equal(["other"], (await LifecycleAsync(HttpMethod.Get, bucket, "/policies")).AsArray().Select(p => (string?)p!["name"]));
    }

    /// <remarks>A transition on a date is not compared with policies when it is saved, and a label is no tier's.</remarks>
    [Fact]
    public async Task What_a_policy_would_take_back_no_transition_moves()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("warm"));
        await fixture.Client.PutBytesAsync(bucket, "small", RandomNumberGenerator.GetBytes(Large));
        await fixture.Client.PutBytesAsync(bucket, "large", RandomNumberGenerator.GetBytes(2 * Large));
        await PolicyAsync(bucket, "p", "tier == warm AND size < 1MB -> hot");
        await LifecycleDocumentAsync(bucket, "<Transition><Date>2020-01-01T00:00:00Z</Date><StorageClass>STANDARD_IA</StorageClass></Transition>");
        await Eventually.HoldsAsync("the large one goes", async () => (string?)(await ShowAsync(bucket, "large"))["place"] == place);
        Assert.Equal(("drives", null), ((string?)(await ShowAsync(bucket, "small"))["place"], (await ShowAsync(bucket, "small"))["move"]));
        Assert.Contains("The next run leaves it where it is.", (await LifecycleAsync(HttpMethod.Get, bucket, "/explain?key=small"))["lines"]!.AsArray().Select(l => (string)l!));
        // Nor to a class that is no tier's, which a policy would take it from as well.
        await LifecycleAsync(HttpMethod.Put, bucket, "/policies/p", new { text = "storage_class == ONEZONE_IA -> hot" });
        await fixture.Client.PutBytesAsync(bucket, "other", RandomNumberGenerator.GetBytes(Large));
        await LifecycleDocumentAsync(bucket, "<Transition><Date>2020-01-01T00:00:00Z</Date><StorageClass>ONEZONE_IA</StorageClass></Transition>");
        await Eventually.HoldsAsync("a run has looked at all", async () => (await LifecycleAsync(HttpMethod.Get, bucket, ""))["last"] is { } last && (long)last["looked"]! == 3);
        Assert.Equal(("STANDARD", 0), ((string?)(await ShowAsync(bucket, "other"))["storageClass"], (long)(await LifecycleAsync(HttpMethod.Get, bucket, "/preview"))["transitioned"]!));
        await fixture.Client.DeleteLifecycleConfigurationAsync(bucket);
    }

    [Fact]
    public async Task A_policy_that_is_disabled_is_not_asked_whether_its_tiers_are_there_until_it_is_enabled()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        await LifecycleAsync(HttpMethod.Put, bucket, "/policies/later", new { text = "-> nowhere", enabled = false });
        Assert.StartsWith("Line 1, column 4: There is no tier nowhere.", (string?)(await LifecycleAsync(HttpMethod.Post, bucket, "/policies/later/enable", status: HttpStatusCode.BadRequest))["error"], StringComparison.Ordinal);
        await NewTierAsync("nowhere", "ONEZONE_IA");
        await LifecycleAsync(HttpMethod.Post, bucket, "/policies/later/enable");
        // A tier that goes takes nothing: what is decided for it stays.
        await JsonAsync(Node, HttpMethod.Delete, "/nowhere", null, HttpStatusCode.OK);
        await fixture.Client.PutBytesAsync(bucket, "key", RandomNumberGenerator.GetBytes(Large));
        var run = (await LifecycleAsync(HttpMethod.Get, bucket, ""))["last"]?["begun"]?.ToString();
        await Eventually.HoldsAsync("another run has looked", async () => (await LifecycleAsync(HttpMethod.Get, bucket, ""))["last"] is { } last && last["begun"]!.ToString() != run && (long)last["looked"]! == 1);
        Assert.Equal("drives", (string?)(await ShowAsync(bucket, "key"))["place"]);
    }

    [Fact]
    public async Task The_command_line_adds_lists_tries_and_explains_policies()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        await NewTierAsync("cold");
        await fixture.Client.PutBytesAsync(bucket, "a.log", RandomNumberGenerator.GetBytes(Large));
        var file = Path.Combine(_folder, "rules");
        await File.WriteAllTextAsync(file, "# by age\nage > 365d -> cold\n");
        Assert.Equal("Of 1 versions 1 move, 0 expire and 0 are removed for good\nFROM      TO          FIRST BYTE IN  VERSIONS  BYTES      SAVES A MONTH\nSTANDARD  GLACIER_IR  milliseconds   1         683.6 KiB  ?\nWhat that saves is not known: tiers configure NAME --cost COST says what a tier costs.\n",
            await DoneAsync("preview", bucket, "--rule", "file_extension == .log -> cold"));
        Assert.Equal($"{bucket} has the policy old\n", await DoneAsync("add", bucket, "old", "--file", file));
        Assert.Equal($"{bucket} has the policy logs, which is disabled\n", await DoneAsync("add", bucket, "logs", "--disabled", "--rule", "file_extension == .log -> cold", "--rule", "size > 5GB -> cold"));
        Assert.Equal("logs (disabled)\n  file_extension == .log -> cold\n  size > 5GB -> cold\nold\n  # by age\n  age > 365d -> cold\n", await DoneAsync("list", bucket));
        Assert.Matches("^It is in hot\\.\nThe next run leaves it where it is\\.\n.*\\.\nLeft alone, it goes to cold from .* on, by rule 1 of its policies\\.\nIt stays in hot: no rule holds\\.\n", await DoneAsync("explain", $"darkstorage://{bucket}/a.log"));
        Assert.Equal("logs is enabled\n", await DoneAsync("enable", bucket, "logs"));
        await Eventually.HoldsAsync("it is moved", async () => (string?)(await ShowAsync(bucket, "a.log"))["tier"] == "cold");
        Assert.Contains("Rules 1 to 2 are of the policy logs.\nRule 3 is of the policy old.\nIt stays in cold: rule 1 decides.\n", await DoneAsync("explain", $"darkstorage://{bucket}/a.log"), StringComparison.Ordinal);
        Assert.StartsWith("BEGUN", await DoneAsync("runs", bucket), StringComparison.Ordinal);
        Assert.Equal("logs is disabled\n", await DoneAsync("disable", bucket, "logs"));
        // Whoever mends its text has not asked for moves.
        Assert.Equal($"{bucket} has the policy logs, which is disabled\n", await DoneAsync("add", bucket, "logs", "--rule", "file_extension == .log -> cold"));
        Assert.Equal("Removed logs; what it has moved stays where it is\n", await DoneAsync("remove", bucket, "logs"));

        var refused = await Node.CommandLineAsync(["lifecycle", "add", bucket, "bad", "--rule", "size > 1MB -> cold", "--rule", "siez > 1MB -> cold"]);
        Assert.Equal((1, "darkstorage: Line 2, column 1: There is no attribute siez: did you mean size?\nsiez > 1MB -> cold\n^\n"), (refused.ExitCode, refused.Error));
        foreach (var words in (string[][])[["add", bucket, "bad"], ["add", bucket, "bad", "--file", file, "--rule", "-> cold"], ["preview", bucket, "--file", "/none"], ["explain", $"darkstorage://{bucket}"]])
            Assert.Equal(2, (await Node.CommandLineAsync(["lifecycle", .. words])).ExitCode);

        async Task<string> DoneAsync(params string[] words)
        {
            var run = await Node.CommandLineAsync(["lifecycle", .. words]);
            Assert.True(run is { ExitCode: 0, Error: "" }, $"{string.Join(' ', words)}: {run.ExitCode} {run.Output} {run.Error}");
            return run.Output;
        }
    }

    private async Task LifecycleDocumentAsync(string bucket, string actions)
    {
        var answer = await fixture.Raw.PutAsync($"/{bucket}?lifecycle", DocumentOf(actions));
        Assert.True(answer.Status == 200, answer.Text);
    }

    private static string DocumentOf(string actions) => $"<LifecycleConfiguration><Rule><ID>old</ID><Filter/><Status>Enabled</Status>{actions}</Rule></LifecycleConfiguration>";

    private Task PolicyAsync(string bucket, string name, string text) => LifecycleAsync(HttpMethod.Put, bucket, $"/policies/{name}", new { text });

    private Task<JsonNode> LifecycleAsync(HttpMethod method, string bucket, string path, object? body = null, HttpStatusCode status = HttpStatusCode.OK) => LifecycleAsync(Node, method, bucket, path, body, status);

    private static async Task<JsonNode> LifecycleAsync(NodeProcess node, HttpMethod method, string bucket, string path, object? body = null, HttpStatusCode status = HttpStatusCode.OK)
    {
        using var answer = await node.AdminAsync(method, $"v1/lifecycle/{bucket}{path}", body);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.StatusCode == status, $"{method} {path}: {(int)answer.StatusCode} {text}");
        return JsonNode.Parse(text)!;
    }
}
