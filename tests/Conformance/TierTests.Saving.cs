using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Amazon.S3;
using Amazon.S3.Model;

namespace DarkStorage.Conformance;

/// <remarks>Rules of a bucket as they are saved: policies, its own transitions and S3's document, of which none may say what can't be meant beside the others.</remarks>
public sealed partial class TierTests
{
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
        Assert.StartsWith($"darkstorage: warning: {warning}", disabled.Error, StringComparison.Ordinal);

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
}
