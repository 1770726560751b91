using System.Security.Cryptography;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Amazon.S3;

namespace DarkStorage.Conformance;

/// <remarks>Policies in the lifecycle language: they are tried out, explained, and run.</remarks>
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
