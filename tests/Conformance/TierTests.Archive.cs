using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Amazon.S3;
using Amazon.S3.Model;

namespace DarkStorage.Conformance;

/// <remarks>What is archived: it is not read until it was restored, and then for some days, which last a second here.</remarks>
public sealed partial class TierTests
{
    /// <summary>Longer than any test: a restore that is to hold.</summary>
    private const int Long = 3_000;

    [Theory, InlineData("GLACIER"), InlineData("DEEP_ARCHIVE")]
    public async Task What_is_archived_is_not_read_until_it_is_restored_and_then_for_as_long_as_that_lasts(string storageClass)
    {
        var place = await NewTierAsync("archive", storageClass);
        var (bucket, content) = (await fixture.Client.NewBucketAsync(), RandomNumberGenerator.GetBytes(Large));
        await fixture.Client.PutBytesAsync(bucket, "key", content);
        await AssignAndWaitAsync(bucket, "key", "archive");
        await AssertArchivedAsync(bucket, "key");
        Assert.Null((await HeadOfAsync(bucket, "key")).RestoreInProgress);

        Assert.Equal(202, (await RestoreAsync(bucket, "key", days: 3)).Status);
        await Eventually.HoldsAsync("it can be read", async () => await HeadOfAsync(bucket, "key") is { RestoreInProgress: false });
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));
        Assert.Equal((storageClass, place), ((await HeadOfAsync(bucket, "key")).StorageClass.Value, (string?)(await ShowAsync(bucket, "key"))["place"]));

        await Eventually.HoldsAsync("it is over", async () => (await ShowAsync(bucket, "key"))["restore"] is null);
        Assert.Null((await HeadOfAsync(bucket, "key")).RestoreExpiration);
        await AssertArchivedAsync(bucket, "key");
        Assert.Single(BlobsOf(place));
        await Eventually.HoldsAsync("nobody is at it any more", async () => !(await MovesAsync()).Contains((bucket, "key")));
    }

    [Fact]
    public async Task A_restore_that_holds_can_be_prolonged_and_other_changes_leave_it()
    {
        await NewTierAsync("archive", "GLACIER");
        var (bucket, content) = (await fixture.Client.NewBucketAsync(), RandomNumberGenerator.GetBytes(Large));
        await fixture.Client.PutBytesAsync(bucket, "key", content);
        await AssignAndWaitAsync(bucket, "key", "archive");
        await RestoreAsync(bucket, "key", Long);
        await ReadableAsync(bucket, "key");
        var first = (await HeadOfAsync(bucket, "key")).RestoreExpiration;
        Assert.Equal(200, (await RestoreAsync(bucket, "key", 2 * Long)).Status);
        Assert.True((await HeadOfAsync(bucket, "key")).RestoreExpiration > first);
        await fixture.Client.PutObjectTaggingAsync(new() { BucketName = bucket, Key = "key", Tagging = new() { TagSet = [new() { Key = "a", Value = "b" }] } });
        Assert.NotNull((await HeadOfAsync(bucket, "key")).RestoreExpiration);
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));
        // A copy of it is an object as any other.
        await fixture.Client.CopyObjectAsync(bucket, "key", bucket, "copy");
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "copy"));
        // A rule does not take away what was asked for.
        await fixture.Client.PutLifecycleConfigurationAsync(new()
        {
            BucketName = bucket,
            Configuration = new() { Rules = [new() { Id = "deeper", Status = LifecycleRuleStatus.Enabled, Filter = new() { LifecycleFilterPredicate = new LifecyclePrefixPredicate { Prefix = "" } }, Transitions = [new() { Days = 1, StorageClass = S3StorageClass.StandardInfrequentAccess }] }] },
        });
        await NewTierAsync("warm");
        await Eventually.HoldsAsync("the rule has moved the other one", async () => (string?)(await ShowAsync(bucket, "copy"))["tier"] == "warm");
        Assert.Equal("archive", (string?)(await ShowAsync(bucket, "key"))["tier"]);
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));
        // An operator's word does, and what was restored begins anew with the place.
        await AssignAndWaitAsync(bucket, "key", "hot");
        Assert.Null((await HeadOfAsync(bucket, "key")).RestoreExpiration);
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));
    }

    [Fact]
    public async Task What_an_archive_keeps_cold_is_asked_for_and_comes_back_when_it_is_readable()
    {
        // Another node of this project is the archive: what is settled there it keeps in an archive of its own.
        await using var far = await NodeProcess.StartAsync(TierNodeFixture.Quick);
        var inner = await NewTierAsync("archive", "GLACIER", far);
        await far.S3().PutBucketAsync("attic");
        var name = NewName();
        var settings = new Dictionary<string, string>
        {
            ["endpoint"] = far.S3Url.ToString(), ["bucket"] = "attic", ["access-key"] = far.Settings.AccessKey, ["secret-key"] = far.Settings.SecretKey, ["storage-class"] = "GLACIER", ["path-style"] = "true",
        };
        using (var added = await Node.AdminAsync(HttpMethod.Post, "v1/integrations", new { name, type = "s3", settings })) Assert.Equal(HttpStatusCode.Created, added.StatusCode);
        await JsonAsync(Node, HttpMethod.Put, "/archive", new { integration = name, storageClass = "GLACIER" }, HttpStatusCode.OK);
        var (bucket, content) = (await fixture.Client.NewBucketAsync(), RandomNumberGenerator.GetBytes(Large));
        foreach (var key in (string[])["asked", "brought back"])
        {
            await fixture.Client.PutBytesAsync(bucket, key, content);
            await AssignAndWaitAsync(bucket, key, "archive");
        }
        await Eventually.HoldsAsync("it is in the far archive", () => BlobsOf(inner).Count == 2);
        foreach (var blob in (await far.S3().ListObjectsV2Async(new() { BucketName = "attic", Prefix = "objects/" })).S3Objects)
        {
            await Eventually.HoldsAsync("it is committed there", async () => (string?)(await ShowAsync("attic", blob.Key, node: far))["place"] != "drives");
            Assert.Equal("InvalidObjectState", (await Assert.ThrowsAnyAsync<AmazonS3Exception>(() => far.S3().GetBytesAsync("attic", blob.Key))).ErrorCode);
        }

        Assert.Equal(202, (await RestoreAsync(bucket, "asked", Long, "Expedited")).Status);
        await ReadableAsync(bucket, "asked");
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "asked"));
        Assert.Equal(content[10..20], await RangeAsync(bucket, "asked", 10, 19));

        // A tier that is read at once can't be at a place that keeps it cold: the object stays where it is.
        await JsonAsync(Node, HttpMethod.Put, "/warm", new { integration = name, storageClass = "STANDARD_IA" }, HttpStatusCode.OK);
        await fixture.Client.PutBytesAsync(bucket, "not cold", content);
        await JsonAsync(Node, HttpMethod.Post, "/warm/assign", new { bucket, key = "not cold" }, HttpStatusCode.Accepted);
        await Eventually.HoldsAsync("it is refused", async () => (string?)(await ShowAsync(bucket, "not cold"))["move"]?["failure"] is { } why && why.Contains("keeps cold what it gets", StringComparison.Ordinal));
        Assert.Equal("drives", (string?)(await ShowAsync(bucket, "not cold"))["place"]);

        // Nobody asked for this one: the move does.
        await AssignAndWaitAsync(bucket, "brought back", "hot");
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "brought back"));
    }

    [Fact]
    public async Task A_place_that_is_away_keeps_the_restore_waiting_and_says_why()
    {
        var place = await NewTierAsync("archive", "GLACIER");
        var (bucket, content) = (await fixture.Client.NewBucketAsync(), RandomNumberGenerator.GetBytes(Large));
        await fixture.Client.PutBytesAsync(bucket, "key", content);
        await AssignAndWaitAsync(bucket, "key", "archive");
        Directory.Move(PathOf(place), PathOf(place) + "-away");
        await RestoreAsync(bucket, "key", Long);
        await Eventually.HoldsAsync("the failure is seen", async () => (await ShowAsync(bucket, "key"))["restore"]!["failure"] is not null);
        Assert.True((await HeadOfAsync(bucket, "key")).RestoreInProgress);
        await AssertArchivedAsync(bucket, "key");
        Assert.Equal((409, "RestoreAlreadyInProgress"), (await RestoreAsync(bucket, "key", Long)).Error);
        // It can be wanted sooner, as in S3.
        Assert.Equal(202, (await RestoreAsync(bucket, "key", Long, "Expedited")).Status);
        Assert.Equal((409, "RestoreAlreadyInProgress"), (await RestoreAsync(bucket, "key", Long, "Expedited")).Error);
        // The tier that goes takes nothing of this with it.
        await JsonAsync(Node, HttpMethod.Delete, "/archive", null, HttpStatusCode.OK);
        Directory.Move(PathOf(place) + "-away", PathOf(place));
        await ReadableAsync(bucket, "key");
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));
        await Eventually.HoldsAsync("nothing is wrong any more", async () => (await ShowAsync(bucket, "key"))["restore"]!["failure"] is null);
    }

    [Fact]
    public async Task Lists_tell_of_restores_where_they_are_asked_to()
    {
        var place = await NewTierAsync("archive", "GLACIER");
        await NewTierAsync("warm");
        var bucket = await fixture.Client.NewBucketAsync();
        await fixture.Client.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        var older = (await fixture.Client.PutObjectAsync(new() { BucketName = bucket, Key = "restored", InputStream = new MemoryStream(RandomNumberGenerator.GetBytes(Large)) })).VersionId;
        foreach (var key in (string[])["archived", "hot", "progressing", "restored", "warm"]) await fixture.Client.PutBytesAsync(bucket, key, RandomNumberGenerator.GetBytes(Large));
        foreach (var key in (string[])["archived", "progressing", "restored"]) await AssignAndWaitAsync(bucket, key, "archive");
        await AssignAndWaitAsync(bucket, "restored", "archive", older);
        await AssignAndWaitAsync(bucket, "warm", "warm");
        await RestoreAsync(bucket, "restored", Long);
        await ReadableAsync(bucket, "restored");
        Directory.Move(PathOf(place), PathOf(place) + "-away");
        Assert.Equal(202, (await RestoreAsync(bucket, "progressing", Long)).Status);
        Assert.True((await HeadOfAsync(bucket, "progressing")).RestoreInProgress);
        var until = (await HeadOfAsync(bucket, "restored")).RestoreExpiration;

        static (string, bool?, DateTime?) Told(string key, RestoreStatus? status) => (key, status?.IsRestoreInProgress, status?.RestoreExpiryDate is { } at ? at.ToUniversalTime().AddMilliseconds(-at.Millisecond) : null); // headers tell seconds
        (string, bool?, DateTime?)[] expected = [("archived", null, null), ("hot", null, null), ("progressing", true, null), ("restored", false, until), ("warm", null, null)];
        var objects = (await fixture.Client.ListObjectsV2Async(new() { BucketName = bucket, FetchOwner = true, OptionalObjectAttributes = ["RestoreStatus"] })).S3Objects;
        Assert.Equal(expected, objects.Select(o => Told(o.Key, o.RestoreStatus)));
        Assert.All(objects, o => Assert.Equal((Large, true), (o.Size, o.Owner is not null)));
        Assert.Equal(expected, (await fixture.Client.ListObjectsAsync(new ListObjectsRequest { BucketName = bucket, OptionalObjectAttributes = ["RestoreStatus"] })).S3Objects.Select(o => Told(o.Key, o.RestoreStatus)));
        var versions = (await fixture.Client.ListVersionsAsync(new ListVersionsRequest { BucketName = bucket, OptionalObjectAttributes = ["RestoreStatus"] })).Versions;
        Assert.Equal([.. expected[..4], ("restored", null, null), expected[4]], versions.Select(v => Told(v.Key, v.RestoreStatus)));
        Assert.All((await fixture.Client.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects, o => Assert.Null(o.RestoreStatus));
        Assert.Equal((400, "InvalidArgument"), (await fixture.Raw.SendAsync(new RawRequest("GET", $"/{bucket}?list-type=2").With("x-amz-optional-object-attributes", "RestoreStatus,Colour"))).Error);
        Directory.Move(PathOf(place) + "-away", PathOf(place));
    }

    [Fact]
    public async Task A_restore_that_was_asked_for_before_the_bytes_went_lets_them_go_when_it_is_over()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        var content = RandomNumberGenerator.GetBytes(Large);
        // Disabled, so that what is written with its class stays on the drives until it is enabled.
        var place = await NewTierAsync("archive", "GLACIER");
        using (var disabled = await Node.AdminAsync(HttpMethod.Post, $"v1/integrations/{place}/disable", null)) Assert.Equal(HttpStatusCode.OK, disabled.StatusCode);
        await fixture.Client.PutObjectAsync(new() { BucketName = bucket, Key = "key", InputStream = new MemoryStream(content), StorageClass = S3StorageClass.Glacier });
        Assert.Equal(202, (await RestoreAsync(bucket, "key", days: 2)).Status);
        Assert.Equal(false, (await HeadOfAsync(bucket, "key")).RestoreInProgress);
        using (var enabled = await Node.AdminAsync(HttpMethod.Post, $"v1/integrations/{place}/enable", null)) Assert.Equal(HttpStatusCode.OK, enabled.StatusCode);
        await Eventually.HoldsAsync("it goes to its tier", async () => (string?)(await ShowAsync(bucket, "key"))["place"] == place);
        await AssertArchivedAsync(bucket, "key");
    }

    [Fact]
    public async Task A_restore_that_ends_at_a_place_that_is_disabled_waits_and_keeps_nothing_from_going_to_another()
    {
        // What fails is left alone for longer than any test.
        await using var node = await NodeProcess.StartAsync(TierNodeFixture.Quick with { Environment = new Dictionary<string, string>(TierNodeFixture.Quick.Environment)
        {
            ["DARKSTORAGE_Transitions__RetryDelay"] = "01:00:00", ["DARKSTORAGE_Transitions__RetryDelayMax"] = "01:00:00",
        } });
        using var s3 = node.S3();
        var (bucket, off) = (await s3.NewBucketAsync(), await NewTierAsync("archive", "GLACIER", node));
        await s3.PutBytesAsync(bucket, "restored", RandomNumberGenerator.GetBytes(Large));
        await JsonAsync(node, HttpMethod.Post, "/archive/assign", new { bucket, key = "restored" }, HttpStatusCode.Accepted);
        await WaitAsync(bucket, "restored", node: node);
        using (var disabled = await node.AdminAsync(HttpMethod.Post, $"v1/integrations/{off}/disable")) Assert.Equal(HttpStatusCode.OK, disabled.StatusCode);
        await s3.RestoreObjectAsync(new() { BucketName = bucket, Key = "restored", Days = 1 });
        JsonNode? left = null;
        await Eventually.HoldsAsync("the end of the restore waits", async () => (left = (await JsonAsync(node, HttpMethod.Get, "/moves", null, HttpStatusCode.OK)).AsArray().SingleOrDefault(m => (string?)m!["key"] == "restored"))?["failure"] is not null);
        Assert.Equal($"The restore is over. What was restored is let go at {off} when that integration is enabled again.", (string?)left!["failure"]);

        var on = await NewTierAsync("archive", "GLACIER", node);
        await s3.PutBytesAsync(bucket, "other", RandomNumberGenerator.GetBytes(Large));
        await JsonAsync(node, HttpMethod.Post, "/archive/assign", new { bucket, key = "other" }, HttpStatusCode.Accepted);
        await Eventually.HoldsAsync("the other goes", () => BlobsOf(on).Count == 1);
    }

    [Fact]
    public async Task The_command_line_restores_one_or_all_below_an_address()
    {
        var place = await NewTierAsync("archive", "GLACIER");
        var bucket = await fixture.Client.NewBucketAsync();
        foreach (var key in (string[])["a/1", "a/2", "a/hot", "b"])
        {
            await fixture.Client.PutBytesAsync(bucket, key, RandomNumberGenerator.GetBytes(Large));
            if (key != "a/hot") await AssignAndWaitAsync(bucket, key, "archive");
        }
        var one = await Node.CommandLineAsync(["tiers", "restore", $"darkstorage://{bucket}/b", "--days", $"{Long}", "--speed", "bulk", "--wait"]);
        Assert.Equal((0, ""), (one.ExitCode, one.Error));
        Assert.StartsWith($"darkstorage://{bucket}/b can be read until 20", one.Output, StringComparison.Ordinal);
        var all = await Node.CommandLineAsync(["tiers", "restore", "-r", $"darkstorage://{bucket}/a/", "--days", $"{Long}"]);
        Assert.Equal((0, "", "2 are being restored\n"), (all.ExitCode, all.Error, all.Output));
        foreach (var key in (string[])["a/1", "a/2", "b"]) await ReadableAsync(bucket, key);

        foreach (var (words, exit, error) in new[]
        {
            (new[] { $"darkstorage://{bucket}/a/hot" }, 1, "Restore is not allowed for the object's current storage class"),
            ([$"darkstorage://{bucket}/b", "--speed", "warp"], 2, "'warp' is no speed: standard, expedited or bulk."),
            ([$"darkstorage://{bucket}/b", "--days", "0"], 2, "--days is 1 or more."),
            ([$"darkstorage://{bucket}"], 2, $"'darkstorage://{bucket}/' is no object; -r is for all of a bucket."),
        })
        {
            var refused = await Node.CommandLineAsync(["tiers", "restore", .. words]);
            Assert.Equal((exit, ""), (refused.ExitCode, refused.Output));
            Assert.Contains(error, refused.Error, StringComparison.Ordinal);
        }
        Directory.Move(PathOf(place), PathOf(place) + "-away");
        await fixture.Client.PutObjectAsync(new() { BucketName = bucket, Key = "c", InputStream = new MemoryStream(new byte[10]), StorageClass = S3StorageClass.Glacier });
        // What is in the index was never away.
        var small = await Node.CommandLineAsync(["tiers", "restore", $"darkstorage://{bucket}/c", "--days", $"{Long}", "--wait"]);
        Assert.Equal("", small.Error);
        Assert.StartsWith($"darkstorage://{bucket}/c can be read until 20", small.Output, StringComparison.Ordinal);
    }

    /// <summary>By no way of reading.</summary>
    private async Task AssertArchivedAsync(string bucket, string key)
    {
        var get = await fixture.Raw.GetAsync($"/{bucket}/{key}");
        Assert.Equal((403, "InvalidObjectState"), get.Error);
        Assert.Equal((await HeadOfAsync(bucket, key)).StorageClass.Value, get.Element("StorageClass"));
        foreach (var read in (Func<Task>[])
        [
            () => RangeAsync(bucket, key, 5, 6),
            () => fixture.Client.CopyObjectAsync(bucket, key, bucket, "never"),
            () => fixture.Client.CopyObjectAsync(new() { SourceBucket = bucket, SourceKey = key, DestinationBucket = bucket, DestinationKey = key, StorageClass = S3StorageClass.Standard }),
            () => fixture.Client.SelectObjectContentAsync(new()
            {
                BucketName = bucket, Key = key, Expression = "SELECT * FROM S3Object", ExpressionType = ExpressionType.SQL,
                InputSerialization = new() { CSV = new() }, OutputSerialization = new() { CSV = new() },
            }),
        ])
        {
            Assert.Equal("InvalidObjectState", (await Assert.ThrowsAnyAsync<AmazonS3Exception>(read)).ErrorCode);
        }
    }

    private Task ReadableAsync(string bucket, string key) =>
        Eventually.HoldsAsync($"{key} can be read", async () => await HeadOfAsync(bucket, key) is { RestoreInProgress: false, RestoreExpiration: not null });

    private Task<GetObjectMetadataResponse> HeadOfAsync(string bucket, string key) => fixture.Client.GetObjectMetadataAsync(bucket, key);

    private async Task<byte[]> RangeAsync(string bucket, string key, long first, long last)
    {
        using var answer = await fixture.Client.GetObjectAsync(new() { BucketName = bucket, Key = key, ByteRange = new(first, last) });
        return await answer.ReadBytesAsync();
    }

    private Task<RawAnswer> RestoreAsync(string bucket, string key, int days, string tier = "Standard") =>
        fixture.Raw.PostAsync($"/{bucket}/{key}?restore", $"<RestoreRequest><Days>{days}</Days><GlacierJobParameters><Tier>{tier}</Tier></GlacierJobParameters></RestoreRequest>");

    private async Task<IEnumerable<(string?, string?)>> MovesAsync() =>
        (await JsonAsync(Node, HttpMethod.Get, "/moves", null, HttpStatusCode.OK)).AsArray().Select(m => ((string?)m!["bucket"], (string?)m["key"]));
}
