using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace DarkStorage.Conformance;

/// <summary>A node that moves, collects and runs lifecycles at once, and whose days last a second.</summary>
public sealed class TierNodeFixture : NodeFixture
{
    public static readonly NodeSettings Quick = new()
    {
        Environment = new Dictionary<string, string>
        {
            ["DARKSTORAGE_Transitions__Interval"] = "00:00:00.050",
            ["DARKSTORAGE_Transitions__Lease"] = "00:00:15", // a node that is killed may have just taken a move
            ["DARKSTORAGE_Transitions__RetryDelay"] = "00:00:00.100",
            ["DARKSTORAGE_Transitions__RetryDelayMax"] = "00:00:01",
            ["DARKSTORAGE_Garbage__GracePeriod"] = "00:00:00.100",
            ["DARKSTORAGE_Garbage__Interval"] = "00:00:00.200",
            ["DARKSTORAGE_Lifecycle__DayLength"] = "00:00:01",
            ["DARKSTORAGE_Lifecycle__Interval"] = "00:00:01",
        },
    };

    protected override NodeSettings Settings => Quick;
}

/// <summary>Tiers over places outside: bytes go there and come back, and whatever breaks, every object stays readable.</summary>
public sealed partial class TierTests(TierNodeFixture fixture) : IClassFixture<TierNodeFixture>, IDisposable
{
    private const int Large = 700_001;
    private static readonly byte[] Key = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];

    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-tier-").FullName;

    private NodeProcess Node => fixture.Node;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task The_hot_tier_is_always_there_and_others_are_configured_and_removed()
    {
        await using var node = await NodeProcess.StartAsync();
        Assert.Equal([("hot", "STANDARD", null)], await TiersAsync());
        await NewPlaceAsync(node, "nas");
        await JsonAsync(node, HttpMethod.Put, "/cold", new { integration = "nas" }, HttpStatusCode.OK);
        await JsonAsync(node, HttpMethod.Put, "/attic", new { integration = "nas", storageClass = "ONEZONE_IA" }, HttpStatusCode.OK);
        await JsonAsync(node, HttpMethod.Put, "/cold", new { integration = "nas", storageClass = "GLACIER" }, HttpStatusCode.OK);
        Assert.Equal([("hot", "STANDARD", null), ("attic", "ONEZONE_IA", "nas"), ("cold", "GLACIER", "nas")], await TiersAsync());
        await node.RestartAsync();
        await JsonAsync(node, HttpMethod.Delete, "/attic", null, HttpStatusCode.OK);
        Assert.Equal([("hot", "STANDARD", null), ("cold", "GLACIER", "nas")], await TiersAsync());

        async Task<IEnumerable<(string?, string?, string?)>> TiersAsync() =>
            (await JsonAsync(node, HttpMethod.Get, "", null, HttpStatusCode.OK)).AsArray().Select(t => ((string?)t!["name"], (string?)t["storageClass"], (string?)t["integration"]));
    }

    [Theory, InlineData("plain"), InlineData("multipart"), InlineData("SSE-S3"), InlineData("SSE-C"), InlineData("SSE-C multipart")]
    public async Task Bytes_go_outside_are_read_there_and_come_back(string kind)
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        var content = RandomNumberGenerator.GetBytes(kind.Contains("multipart", StringComparison.Ordinal) ? Multipart.PartBytesMin + Large : Large);
        await PutAsync(bucket, "a folder/köy", content, kind);
        var before = await HeadAsync(bucket, "a folder/köy", kind);

        await AssignAndWaitAsync(bucket, "a folder/köy", "cold");
        var after = await HeadAsync(bucket, "a folder/köy", kind);
        Assert.Equal((before.ETag, before.LastModified, before.ContentLength, "GLACIER_IR"), (after.ETag, after.LastModified, after.ContentLength, after.StorageClass.Value));
        Assert.Equal(place, (string?)(await ShowAsync(bucket, "a folder/köy"))["place"]);
        var blob = Assert.Single(BlobsOf(place));
        Assert.True(new FileInfo(blob).Length >= content.Length);
        Assert.Equal(kind.StartsWith("SSE", StringComparison.Ordinal), (await File.ReadAllBytesAsync(blob)).AsSpan().IndexOf(content.AsSpan(0, 1000)) < 0);
        await AssertReadsAsync(bucket, "a folder/köy", content, kind);

        await AssignAndWaitAsync(bucket, "a folder/köy", "hot");
        Assert.Equal("drives", (string?)(await ShowAsync(bucket, "a folder/köy"))["place"]);
        await AssertReadsAsync(bucket, "a folder/köy", content, kind);
        await Eventually.HoldsAsync("the bytes outside go", () => BlobsOf(place).Count == 0);
        await AssertReadsAsync(bucket, "a folder/köy", content, kind);
    }

    [Fact]
    public async Task What_is_in_the_index_changes_its_class_alone()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        await fixture.Client.PutTextAsync(bucket, "small", "small");
        await AssignAndWaitAsync(bucket, "small", "cold");
        var shown = await ShowAsync(bucket, "small");
        Assert.Equal(("cold", "GLACIER_IR", "index"), ((string?)shown["tier"], (string?)shown["storageClass"], (string?)shown["place"]));
        Assert.Equal("small", await fixture.Client.GetTextAsync(bucket, "small"));
        Assert.Empty(BlobsOf(place));
    }

    [Fact]
    public async Task Content_moves_from_one_place_outside_to_another()
    {
        var (cold, warm) = (await NewTierAsync("cold"), await NewTierAsync("warm"));
        var (bucket, content) = (await fixture.Client.NewBucketAsync(), RandomNumberGenerator.GetBytes(Large));
        await fixture.Client.PutBytesAsync(bucket, "key", content);
        await AssignAndWaitAsync(bucket, "key", "cold");
        await AssignAndWaitAsync(bucket, "key", "warm");
        Assert.Single(BlobsOf(warm));
        await Eventually.HoldsAsync("the bytes at the first go", () => BlobsOf(cold).Count == 0);
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "key"));
    }

    [Fact]
    public async Task A_copy_of_what_is_outside_is_a_new_object_of_its_own()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        var content = RandomNumberGenerator.GetBytes(Large);
        await fixture.Client.PutBytesAsync(bucket, "key", content);
        await AssignAndWaitAsync(bucket, "key", "cold");
        await fixture.Client.CopyObjectAsync(bucket, "key", bucket, "copy");
        Assert.Equal(("hot", "drives"), ((string?)(await ShowAsync(bucket, "copy"))["tier"], (string?)(await ShowAsync(bucket, "copy"))["place"]));
        // Onto itself, with another class than it has.
        await fixture.Client.CopyObjectAsync(new() { SourceBucket = bucket, SourceKey = "key", DestinationBucket = bucket, DestinationKey = "key", StorageClass = Amazon.S3.S3StorageClass.Standard });
        await Eventually.HoldsAsync("the bytes outside go", () => BlobsOf(place).Count == 0);
        foreach (var key in new[] { "copy", "key" }) Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, key));
    }

    [Fact]
    public async Task Versions_move_each_for_itself()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        await fixture.Client.PutBytesAsync(bucket, "key", RandomNumberGenerator.GetBytes(Large));
        await fixture.Client.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = Amazon.S3.VersionStatus.Enabled } });
        var contents = new Dictionary<string, byte[]>();
        for (var i = 0; i < 3; i++)
        {
            var content = RandomNumberGenerator.GetBytes(Large + i);
            contents.Add((await fixture.Client.PutBytesAsync(bucket, "key", content)).VersionId, content);
        }
        var middle = contents.Keys.ElementAt(1);
        await AssignAndWaitAsync(bucket, "key", "cold", middle);
        await AssignAndWaitAsync(bucket, "key", "cold", "null");
        Assert.Equal(2, BlobsOf(place).Count);
        Assert.Equal(["STANDARD", "GLACIER_IR", "STANDARD", "GLACIER_IR"], (await fixture.Client.ListVersionsAsync(bucket)).Versions.Select(v => v.StorageClass.Value));
        foreach (var (version, content) in contents)
        {
            using var answer = await fixture.Client.GetObjectAsync(bucket, "key", version);
            Assert.Equal(content, await answer.ReadBytesAsync());
        }
        await fixture.Client.DeleteObjectAsync(bucket, "key", middle);
        await fixture.Client.DeleteObjectAsync(bucket, "key", "null");
        await Eventually.HoldsAsync("the bytes outside go", () => BlobsOf(place).Count == 0);
        Assert.Equal(2, (await fixture.Client.ListVersionsAsync(bucket)).Versions.Count);
    }

    [Fact]
    public async Task A_prefix_moves_page_by_page()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        var content = RandomNumberGenerator.GetBytes(Large);
        foreach (var key in (string[])["logs/1", "logs/2", "logs/3", "kept"]) await fixture.Client.PutBytesAsync(bucket, key, content);
        var page = await JsonAsync(Node, HttpMethod.Post, "/cold/assign", new { bucket, prefix = "logs/" }, HttpStatusCode.Accepted);
        Assert.Equal((3, null), ((int)page["wanted"]!, page["next"]));
        foreach (var key in (string[])["logs/1", "logs/2", "logs/3"]) await WaitAsync(bucket, key);
        Assert.Equal(3, BlobsOf(place).Count);
        Assert.Equal("hot", (string?)(await ShowAsync(bucket, "kept"))["tier"]);
        var rest = await JsonAsync(Node, HttpMethod.Post, "/hot/assign", new { bucket, prefix = "logs/", after = new { key = "logs/2", revision = 0 } }, HttpStatusCode.Accepted);
        Assert.Equal(1, (int)rest["wanted"]!);
    }

    [Fact]
    public async Task What_is_in_a_tier_is_listed_by_prefix_and_page_by_page()
    {
        var bucket = await fixture.Client.NewBucketAsync();
        await NewTierAsync("cold");
        await fixture.Client.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = Amazon.S3.VersionStatus.Enabled } });
        foreach (var key in (string[])["a/1", "a/2", "a/2", "b"]) await fixture.Client.PutBytesAsync(bucket, key, new byte[Large]);
        await fixture.Client.DeleteObjectAsync(bucket, "b");
        foreach (var key in (string[])["a/1", "a/2"]) await AssignAndWaitAsync(bucket, key, "cold");

        Assert.Equal(["a/1 cold", "a/2 cold"], await FilesAsync(""));
        Assert.Equal(["a/1 cold", "a/2 cold", "a/2 hot", "b hot"], await FilesAsync("&allVersions=true"));
        Assert.Equal(["a/2 cold"], await FilesAsync("&tier=cold&prefix=a%2F2"));
        Assert.Equal(["b hot"], await FilesAsync($$"""&tier=hot&allVersions=true&after={"key":"a/2","revision":0}"""));
        foreach (var (query, reason) in ((string, string)[])[("&after={}", "after: what next was"), ("&after=x", "The body is not the JSON"), ("&after={\"key\":\"k\",\"versionId\":\"x\"}", "after: x is no")])
            Assert.StartsWith(reason, (string?)(await JsonAsync(Node, HttpMethod.Get, $"/files?bucket={bucket}{query}", null, HttpStatusCode.BadRequest))["error"], StringComparison.Ordinal);
        await JsonAsync(Node, HttpMethod.Get, $"/files?bucket={bucket}&tier=attic", null, HttpStatusCode.NotFound);

        var told = await Node.CommandLineAsync(["tiers", "files", $"darkstorage://{bucket}/a/", "--tier", "cold"]);
        Assert.Equal((0, "2 versions, 1.3 MiB"), (told.ExitCode, told.Output.TrimEnd().Split('\n')[^1]));
        Assert.Contains("683.6 KiB  cold      a/2\n", told.Output, StringComparison.Ordinal);

        async Task<IEnumerable<string>> FilesAsync(string query) => (await JsonAsync(Node, HttpMethod.Get, $"/files?bucket={bucket}{query}", null, HttpStatusCode.OK))["files"]!.AsArray().Select(f => $"{f!["key"]} {f["tier"]}");
    }

    [Fact]
    public async Task A_lifecycle_moves_what_is_old_enough()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        var content = RandomNumberGenerator.GetBytes(Large);
        foreach (var key in (string[])["logs/1", "kept"]) await fixture.Client.PutBytesAsync(bucket, key, content);
        await fixture.Raw.PutAsync($"/{bucket}?lifecycle",
            "<LifecycleConfiguration><Rule><Filter><Prefix>logs/</Prefix></Filter><Status>Enabled</Status><Transition><Days>1</Days><StorageClass>GLACIER_IR</StorageClass></Transition></Rule></LifecycleConfiguration>");
        await Eventually.HoldsAsync("it is cold", async () => (string?)(await ShowAsync(bucket, "logs/1"))["place"] == place);
        Assert.Single(BlobsOf(place));
        Assert.Equal("hot", (string?)(await ShowAsync(bucket, "kept"))["tier"]);
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "logs/1"));
    }

    [Fact]
    public async Task What_is_written_with_the_class_of_a_tier_goes_there()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        var cold = new Amazon.S3.S3StorageClass("GLACIER_IR");
        byte[][] parts = [RandomNumberGenerator.GetBytes(Multipart.PartBytesMin), RandomNumberGenerator.GetBytes(Large)];
        await fixture.Client.PutObjectAsync(new() { BucketName = bucket, Key = "put", InputStream = new MemoryStream(parts[1]), StorageClass = cold });
        await fixture.Client.CopyObjectAsync(new() { SourceBucket = bucket, SourceKey = "put", DestinationBucket = bucket, DestinationKey = "copy", StorageClass = cold });
        var upload = (await fixture.Client.InitiateMultipartUploadAsync(new() { BucketName = bucket, Key = "parts", StorageClass = cold })).UploadId;
        var tags = new List<Amazon.S3.Model.PartETag> { await fixture.Client.PutPartAsync(bucket, "parts", upload, 1, parts[0]), await fixture.Client.PutPartAsync(bucket, "parts", upload, 2, parts[1]) };
        await fixture.Client.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = "parts", UploadId = upload, PartETags = tags });
        // One whose class is no tier's.
        await fixture.Client.PutObjectAsync(new() { BucketName = bucket, Key = "label", InputStream = new MemoryStream(parts[1]), StorageClass = Amazon.S3.S3StorageClass.ReducedRedundancy });

        foreach (var (key, content) in new[] { ("put", parts[1]), ("copy", parts[1]), ("parts", [.. parts[0], .. parts[1]]) })
        {
            await WaitAsync(bucket, key);
            Assert.Equal(("cold", place), ((string?)(await ShowAsync(bucket, key))["tier"], (string?)(await ShowAsync(bucket, key))["place"]));
            Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, key));
        }
        Assert.Equal((null, "drives"), ((string?)(await ShowAsync(bucket, "label"))["tier"], (string?)(await ShowAsync(bucket, "label"))["place"]));
        Assert.Equal(3, BlobsOf(place).Count);
    }

    [Fact]
    public async Task A_bucket_has_its_own_default_and_transitions_by_prefix()
    {
        var (bucket, cold, warm) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"), await NewTierAsync("warm"));
        await fixture.Client.PutBytesAsync(bucket, "early", RandomNumberGenerator.GetBytes(Large));
        var put = await JsonAsync(Node, HttpMethod.Put, $"/buckets/{bucket}",
            """{"entries":[{"transitions":[{"tier":"warm","days":1},{"tier":"cold","days":30000}]}]}""", HttpStatusCode.OK);
        Assert.Equal(("", "hot", "warm", 1), ((string?)put["entries"]![0]!["prefix"], (string?)put["entries"]![0]!["default"], (string?)put["entries"]![0]!["transitions"]![0]!["tier"], (int)put["entries"]![0]!["transitions"]![0]!["days"]!));
        // What is there already follows. No lifecycle of S3's shows.
        await Eventually.HoldsAsync("it is warm", async () => (string?)(await ShowAsync(bucket, "early"))["place"] == warm);
        Assert.Equal((404, "NoSuchLifecycleConfiguration"), (await fixture.Raw.GetAsync($"/{bucket}?lifecycle")).Error);

        await JsonAsync(Node, HttpMethod.Put, $"/buckets/{bucket}", new { entries = new object[] { new { prefix = "archive/", @default = "cold" }, new { prefix = "archive/hot/", @default = "hot" } } }, HttpStatusCode.OK);
        foreach (var key in (string[])["archive/1", "archive/hot/1", "other"]) await fixture.Client.PutBytesAsync(bucket, key, RandomNumberGenerator.GetBytes(Large));
        await fixture.Client.PutObjectAsync(new() { BucketName = bucket, Key = "archive/explicit", InputStream = new MemoryStream(new byte[Large]), StorageClass = Amazon.S3.S3StorageClass.Standard });
        await WaitAsync(bucket, "archive/1");
        foreach (var (key, place) in new[] { ("archive/1", cold), ("archive/hot/1", "drives"), ("archive/explicit", "drives"), ("other", "drives") }) Assert.Equal(place, (string?)(await ShowAsync(bucket, key))["place"]);

        Assert.Empty((await JsonAsync(Node, HttpMethod.Delete, $"/buckets/{bucket}", null, HttpStatusCode.OK))["entries"]!.AsArray());
        await fixture.Client.PutBytesAsync(bucket, "archive/2", RandomNumberGenerator.GetBytes(Large));
        Assert.Equal("hot", (string?)(await ShowAsync(bucket, "archive/2"))["tier"]);
    }

    [Fact]
    public async Task An_object_that_is_overwritten_or_deleted_leaves_nothing_outside_and_its_bucket_can_go()
    {
        var (bucket, place) = (await fixture.Client.NewBucketAsync(), await NewTierAsync("cold"));
        foreach (var key in (string[])["overwritten", "deleted"])
        {
            await fixture.Client.PutBytesAsync(bucket, key, RandomNumberGenerator.GetBytes(Large));
            await AssignAndWaitAsync(bucket, key, "cold");
        }
        Assert.Equal(2, BlobsOf(place).Count);
        await fixture.Client.PutBytesAsync(bucket, "overwritten", RandomNumberGenerator.GetBytes(Large));
        Assert.Equal("hot", (string?)(await ShowAsync(bucket, "overwritten"))["tier"]);
        await fixture.Client.DeleteObjectAsync(bucket, "deleted");
        await Eventually.HoldsAsync("the bytes outside go", () => BlobsOf(place).Count == 0);
        await fixture.Client.DeleteObjectAsync(bucket, "overwritten");
        await fixture.Client.DeleteBucketAsync(bucket);
    }

    public static TheoryData<string, string, string, HttpStatusCode, string> BadInput => new()
    {
        { "PUT", "/hot", """{"integration":"nas"}""", HttpStatusCode.BadRequest, "The tier hot is the cluster's own drives, and always there: no more than its cost can be said." },
        { "PUT", "/Cold", """{"integration":"nas","storageClass":"GLACIER"}""", HttpStatusCode.BadRequest, "A tier's name has 1 to 32 lower-case letters, digits and dashes." },
        { "PUT", "/attic", """{"integration":"nas"}""", HttpStatusCode.BadRequest, "storageClass: one of REDUCED_REDUNDANCY" },
        { "PUT", "/attic", """{"integration":"nas","storageClass":"FROZEN"}""", HttpStatusCode.BadRequest, "storageClass: one of REDUCED_REDUNDANCY" },
        { "PUT", "/attic", """{"integration":"nas","storageClass":"STANDARD"}""", HttpStatusCode.BadRequest, "The storage class STANDARD is that of the tier hot." },
        { "PUT", "/attic", """{"integration":"nas","storageClass":"GLACIER_IR"}""", HttpStatusCode.BadRequest, "The storage class GLACIER_IR is that of the tier cold" },
        { "PUT", "/archive", """{"integration":"none"}""", HttpStatusCode.NotFound, "There is no integration none." },
        { "PUT", "/archive", """{"integration":""}""", HttpStatusCode.BadRequest, "The tier archive wants an integration" },
        { "PUT", "/offsite", """{"latency":"hours"}""", HttpStatusCode.NotFound, "There is no tier offsite yet: it has to be configured" },
        { "PUT", "/cold", """{"latency":"soon"}""", HttpStatusCode.BadRequest, "latency: one of milliseconds, seconds, minutes, hours." },
        { "PUT", "/cold", """{"latency":"1"}""", HttpStatusCode.BadRequest, "latency: one of milliseconds, seconds, minutes, hours." },
        { "PUT", "/hot", """{"latency":"hours"}""", HttpStatusCode.BadRequest, "The tier hot is the cluster's own drives" },
        { "PUT", "/hot", """{"costMultiplier":2}""", HttpStatusCode.BadRequest, "The tier hot is what the costs of others are multiples of" },
        { "PUT", "/cold", """{"costMultiplier":-0.1}""", HttpStatusCode.BadRequest, "costMultiplier: 0 to 1,000." },
        { "PUT", "/cold", """{"costs":{"storage":1}}""", HttpStatusCode.BadRequest, "The body is not the JSON that is wanted: The JSON property 'costs' could not be mapped" },
        { "PUT", "/cold", """{"costMultiplier":1,"cost":1}""", HttpStatusCode.BadRequest, "cost and costMultiplier: one or the other." },
        { "POST", "/offsite/assign", """{"bucket":"BUCKET","key":"key"}""", HttpStatusCode.NotFound, "There is no tier offsite yet: it has to be configured" },
        { "PUT", "/archive", "[", HttpStatusCode.BadRequest, "The body is not the JSON that is wanted" },
        { "DELETE", "/none", "", HttpStatusCode.NotFound, "There is no tier none that could be removed." },
        { "DELETE", "/hot", "", HttpStatusCode.NotFound, "There is no tier hot that could be removed." },
        { "POST", "/none/assign", """{"bucket":"BUCKET","key":"key"}""", HttpStatusCode.NotFound, "There is no tier none." },
        { "POST", "/cold/assign", """{"bucket":"BUCKET","key":"none"}""", HttpStatusCode.NotFound, "There is no none in BUCKET." },
        { "POST", "/cold/assign", """{"bucket":"no-such-bucket","key":"key"}""", HttpStatusCode.NotFound, "There is no bucket no-such-bucket." },
        { "POST", "/cold/assign", """{"bucket":"no-such-bucket","prefix":"key"}""", HttpStatusCode.NotFound, "There is no bucket no-such-bucket." },
        { "POST", "/cold/assign", """{"bucket":"BUCKET"}""", HttpStatusCode.BadRequest, "bucket and key are wanted." },
        { "POST", "/cold/assign", """{"bucket":"BUCKET","key":"key","prefix":"k"}""", HttpStatusCode.BadRequest, "There is a key and a prefix: one of them is wanted." },
        { "POST", "/cold/assign", """{"bucket":"BUCKET","key":"key","versionId":"x"}""", HttpStatusCode.BadRequest, "versionId: x is none." },
        { "POST", "/cold/assign", """{"bucket":"BUCKET","prefix":"","after":{"key":"k","versionId":"x"}}""", HttpStatusCode.BadRequest, "after: x is no version's id." },
        { "POST", "/cold/assign", """{"bucket":"BUCKET","prefix":"","after":{}}""", HttpStatusCode.BadRequest, "after: what next was, with key, versionId and revision." },
        { "PUT", "/buckets/BUCKET", """{"entries":[{"default":"none"}]}""", HttpStatusCode.NotFound, "There is no tier none." },
        { "PUT", "/buckets/BUCKET", """{"entries":[{"prefix":"a/","transitions":[{"tier":"cold","days":5},{"tier":"hot","days":9}]}]}""", HttpStatusCode.BadRequest, "The prefix a/: the transition to hot goes back to where the object was before." },
        { "PUT", "/buckets/BUCKET", """{"entries":[{"prefx":"raw/","default":"cold"}]}""", HttpStatusCode.BadRequest, "The body is not the JSON that is wanted: The JSON property 'prefx' could not be mapped" },
        { "PUT", "/buckets/BUCKET", """{"entries":[{"default":"cold"}],"entries":[]}""", HttpStatusCode.BadRequest, "The body is not the JSON that is wanted: Duplicate property 'entries'" },
        { "PUT", "/buckets/BUCKET", """{"entries":[{"default":"cold"}],"revision":77}""", HttpStatusCode.Conflict, "Settings of BUCKET were changed since that revision" },
        { "PUT", "/buckets", """{"integration":"nas","storageClass":"GLACIER"}""", HttpStatusCode.BadRequest, "A tier can't be called buckets." },
        { "POST", "/cold/assign", """{"bucket":"a\u0000","prefix":""}""", HttpStatusCode.NotFound, "There is no bucket a" },
        { "PUT", "/buckets/BUCKET", "{}", HttpStatusCode.BadRequest, "entries, and of each transition tier and days, are wanted." },
        { "PUT", "/buckets/BUCKET", """{"entries":[{"transitions":[null]}]}""", HttpStatusCode.BadRequest, "entries, and of each transition tier and days, are wanted." },
        { "PUT", "/buckets/no-such-bucket", """{"entries":[{"default":"cold"}]}""", HttpStatusCode.NotFound, "There is no bucket no-such-bucket." },
        { "POST", "/buckets/BUCKET", "{}", HttpStatusCode.MethodNotAllowed, "There are GET, PUT and DELETE /v1/tiers/buckets/" },
        { "GET", "/object?bucket=BUCKET", "", HttpStatusCode.BadRequest, "bucket and key are wanted." },
        { "POST", "", "{}", HttpStatusCode.MethodNotAllowed, "There are GET /v1/tiers" },
    };

    [Theory, MemberData(nameof(BadInput))]
    public async Task What_can_not_be_right_is_refused_with_the_reason_and_nothing_is_wanted(string method, string path, string body, HttpStatusCode status, string reason)
    {
        var bucket = await fixture.Client.NewBucketAsync();
        await NewTierAsync("cold");
        await fixture.Client.PutBytesAsync(bucket, "key", new byte[Large]);
        var tiers = (await JsonAsync(Node, HttpMethod.Get, "", null, HttpStatusCode.OK)).ToJsonString();
        var refused = await JsonAsync(Node, new(method), path.Replace("BUCKET", bucket, StringComparison.Ordinal), body.Length == 0 ? null : body.Replace("BUCKET", bucket, StringComparison.Ordinal), status);
        Assert.StartsWith(reason.Replace("BUCKET", bucket, StringComparison.Ordinal), (string?)refused["error"], StringComparison.Ordinal);
        Assert.Equal(tiers, (await JsonAsync(Node, HttpMethod.Get, "", null, HttpStatusCode.OK)).ToJsonString());
        Assert.Null((await ShowAsync(bucket, "key"))["move"]);
        Assert.Empty((await JsonAsync(Node, HttpMethod.Get, $"/buckets/{bucket}", null, HttpStatusCode.OK))["entries"]!.AsArray());
    }

    [Fact]
    public async Task Only_administrators_may()
    {
        var user = await Node.NewUserAsync(null, "readwrite");
        foreach (var (method, path) in new[] { (HttpMethod.Get, ""), (HttpMethod.Get, "/moves"), (HttpMethod.Put, "/cold"), (HttpMethod.Delete, "/cold"), (HttpMethod.Post, "/cold/assign"), (HttpMethod.Put, "/buckets/any") })
        {
            using var answer = await Node.AdminAsync(method, "v1/tiers" + path, "{}", user);
            Assert.Equal(HttpStatusCode.Unauthorized, answer.StatusCode);
        }
    }

    [Fact]
    public async Task The_command_line_moves_waits_and_says_what_failed()
    {
        var (bucket, name) = (await fixture.Client.NewBucketAsync(), NewName());
        var content = RandomNumberGenerator.GetBytes(Large);
        foreach (var key in (string[])["logs/1", "logs/2"]) await fixture.Client.PutBytesAsync(bucket, key, content);
        await DoneAsync("integrations", "add", "filesystem", "--name", name, "--path", PathOf(name));
        Assert.Equal($"cold is at {name}, and S3 calls it GLACIER_IR; reads begin in milliseconds; a gigabyte costs 0.17 of hot's a month\n", await DoneAsync("tiers", "configure", "cold", "--backend", name));
        Assert.Contains(["cold", "GLACIER_IR", "milliseconds", "0.17 of hot's", name], Rows(await DoneAsync("tiers", "list")));
        Assert.Equal($"cold is at {name}, and S3 calls it GLACIER_IR; reads begin in seconds; a gigabyte costs 0.3 of hot's a month\n", await DoneAsync("tiers", "configure", "cold", "--latency", "seconds", "--cost-multiplier", "0.3"));
        Assert.Equal($"darkstorage://{bucket}/logs/1 is in cold\n", await DoneAsync("tiers", "assign", $"darkstorage://{bucket}/logs/1", "--tier", "cold", "--wait"));
        Assert.Equal(["cold", "GLACIER_IR", name, "683.6 KiB"], Rows(await DoneAsync("tiers", "show", $"darkstorage://{bucket}/logs/1")).Single());
        Assert.Equal("2 go to cold\n", await DoneAsync("tiers", "assign", "-r", $"darkstorage://{bucket}/logs/", "--tier", "cold"));
        await WaitAsync(bucket, "logs/2");

        Assert.Equal($"darkstorage://{bucket}/: hot, cold after 30d\n", await DoneAsync("tiers", "set", bucket, "--transition", "cold", "30d"));
        Assert.Equal($"darkstorage://{bucket}/a/: cold\n", await DoneAsync("tiers", "set", $"darkstorage://{bucket}/a/", "--default", "cold"));
        Assert.Equal([[$"darkstorage://{bucket}/", "hot", "cold 30d"], [$"darkstorage://{bucket}/a/", "cold"]], Rows(await DoneAsync("tiers", "get", bucket)));
        await DoneAsync("tiers", "configure", "warm", "--backend", name);
        Assert.Equal($"darkstorage://{bucket}/: hot, warm after 30d\n", await DoneAsync("tiers", "set", bucket, "--default", "hot", "--transition", "warm", "30d"));
        Assert.Equal([[$"darkstorage://{bucket}/", "hot", "warm 30d"], [$"darkstorage://{bucket}/a/", "cold"]], Rows(await DoneAsync("tiers", "get", bucket)).OrderBy(r => r[0], StringComparer.Ordinal));
        // Both hold: what is written goes where the default says, and elsewhere when it is as old as that (a day lasts a second here).
        Assert.Equal($"darkstorage://{bucket}/b/: warm, cold after 9999d\n", await DoneAsync("tiers", "set", $"{bucket}/b/", "--default", "warm", "--transition", "cold", "9999d"));
        await fixture.Client.PutBytesAsync(bucket, "b/1", content);
        await WaitAsync(bucket, "b/1");
        Assert.Equal("warm", (string?)(await ShowAsync(bucket, "b/1"))["tier"]);
        Assert.Equal($"darkstorage://{bucket}/b/: warm, cold after 1d\n", await DoneAsync("tiers", "set", $"{bucket}/b/", "--default", "warm", "--transition", "cold", "1d"));
        await Eventually.HoldsAsync("it is old enough for cold", async () => (await ShowAsync(bucket, "b/1")) is var shown && shown["move"] is null && (string?)shown["tier"] == "cold");
        Assert.Equal($"darkstorage://{bucket}/b/: nothing is set\n", await DoneAsync("tiers", "set", $"{bucket}/b/", "--clear"));
        Assert.Equal($"darkstorage://{bucket}/: nothing is set\n", await DoneAsync("tiers", "set", bucket, "--clear"));
        Assert.Equal([[$"darkstorage://{bucket}/a/", "cold"]], Rows(await DoneAsync("tiers", "get", bucket)));
        // Two at one time, of two prefixes: neither takes away what the other says.
        await Task.WhenAll(Enumerable.Range(0, 4).Select(i => DoneAsync("tiers", "set", $"darkstorage://{bucket}/at-once-{i}/", "--default", "cold")));
        Assert.Equal(5, Rows(await DoneAsync("tiers", "get", bucket)).Count());
        await DoneAsync("tiers", "configure", "cold", "--cost", "0.02");
        foreach (var (words, reason) in new[] { (new[] { "configure", "cold", "--cost", "0,02" }, "'0,02' is no cost: 0.02."), (["remove", ""], "'' is no name."), (["configure", "..", "--cost", "1"], "'..' is no name.") })
            Assert.Equal((2, $"darkstorage: {reason}\n"), await Node.CommandLineAsync(["tiers", .. words]) is var wrong ? (wrong.ExitCode, wrong.Error) : default);
        foreach (var (words, reason) in new[] { (new[] { "--transition", "cold", "soon" }, "'soon' is no age in days: 30d."), (["--clear", "--default", "hot"], "Either --default and --transition say what is wanted, or --clear takes it away.") })
            Assert.Equal((2, $"darkstorage: {reason}\n"), await Node.CommandLineAsync(["tiers", "set", bucket, .. words]) is var wrong ? (wrong.ExitCode, wrong.Error) : default);

        Directory.Move(PathOf(name), PathOf(name) + "-away");
        var failed = await Node.CommandLineAsync(["tiers", "assign", $"darkstorage://{bucket}/logs/1", "--tier", "hot", "--wait"]);
        Assert.Equal((1, ""), (failed.ExitCode, failed.Output));
        Assert.StartsWith($"darkstorage: darkstorage://{bucket}/logs/1 is not in hot yet, and it will be tried again: ", failed.Error, StringComparison.Ordinal);
        Assert.Contains(Rows(await DoneAsync("tiers", "moves")), r => r[0] == $"darkstorage://{bucket}/logs/1" && r[1] == "hot");
        Directory.Move(PathOf(name) + "-away", PathOf(name));
        await DoneAsync("tiers", "assign", $"darkstorage://{bucket}/logs/1", "--tier", "hot", "--wait");
        Assert.Equal("Removed cold; what lies there stays there, and can be read\n", await DoneAsync("tiers", "remove", "cold"));
        Assert.Equal(content, await fixture.Client.GetBytesAsync(bucket, "logs/2"));

        var usage = await Node.CommandLineAsync(["tiers", "assign", $"darkstorage://{bucket}", "--tier", "hot"]);
        Assert.Equal((2, $"darkstorage: 'darkstorage://{bucket}/' is no object; -r is for all of a bucket.\n"), (usage.ExitCode, usage.Error));
        var none = await Node.CommandLineAsync(["tiers", "assign", $"darkstorage://{bucket}/logs/1", "--tier", "none"]);
        Assert.Equal((1, "darkstorage: There is no tier none.\n"), (none.ExitCode, none.Error));

        async Task<string> DoneAsync(params string[] arguments)
        {
            var run = await Node.CommandLineAsync(arguments);
            Assert.True(run is { ExitCode: 0, Error: "" }, $"{string.Join(' ', arguments)}: {run.ExitCode} {run.Output} {run.Error}");
            return run.Output;
        }
    }

    /// <summary>What a table of the command line has below its heads.</summary>
    private static IEnumerable<string[]> Rows(string table) => table.Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(1).Select(l => l.Split("  ", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));

    private static string NewName() => "place-" + Guid.NewGuid().ToString("N")[..12];

    private string PathOf(string place) => Path.Combine(_folder, place);

    /// <summary>Files of content at a place.</summary>
    private List<string> BlobsOf(string place)
    {
        try
        {
            return [.. Directory.EnumerateFiles(Path.Combine(PathOf(place), "objects"), "*", SearchOption.AllDirectories)];
        }
        catch (DirectoryNotFoundException)
        {
            return []; // the connector removes folders that have become empty
        }
    }

    private async Task NewPlaceAsync(NodeProcess node, string name)
    {
        using var answer = await node.AdminAsync(HttpMethod.Post, "v1/integrations", new { name, type = "filesystem", settings = new { path = PathOf(name) } });
        Assert.Equal(HttpStatusCode.Created, answer.StatusCode);
    }

    /// <summary>Makes a tier, or one that is there already, be a new folder.</summary>
    /// <returns>The name of its integration.</returns>
    private async Task<string> NewTierAsync(string tier, string? storageClass = null, NodeProcess? node = null)
    {
        var place = NewName();
        await NewPlaceAsync(node ?? Node, place);
        await JsonAsync(node ?? Node, HttpMethod.Put, $"/{tier}", new { integration = place, storageClass }, HttpStatusCode.OK);
        return place;
    }

    private async Task AssignAndWaitAsync(string bucket, string key, string tier, string? versionId = null)
    {
        await JsonAsync(Node, HttpMethod.Post, $"/{tier}/assign", new { bucket, key, versionId }, HttpStatusCode.Accepted);
        await WaitAsync(bucket, key, versionId);
        Assert.Equal(tier, (string?)(await ShowAsync(bucket, key, versionId))["tier"]);
    }

    private Task WaitAsync(string bucket, string key, string? versionId = null, NodeProcess? node = null) =>
        Eventually.HoldsAsync($"the move of {key} is done", async () => (await ShowAsync(bucket, key, versionId, node))["move"] is null);

    private Task<JsonNode> ShowAsync(string bucket, string key, string? versionId = null, NodeProcess? node = null) =>
        JsonAsync(node ?? Node, HttpMethod.Get, $"/object?bucket={bucket}&key={Uri.EscapeDataString(key)}&versionId={versionId}", null, HttpStatusCode.OK);

    private async Task PutAsync(string bucket, string key, byte[] content, string kind)
    {
        if (kind == "multipart")
        {
            await fixture.Client.PutMultipartAsync(bucket, key, [content[..Multipart.PartBytesMin], content[Multipart.PartBytesMin..]]);
        }
        else if (kind == "SSE-C multipart")
        {
            var (method, key64) = (Amazon.S3.ServerSideEncryptionCustomerMethod.AES256, Convert.ToBase64String(Key));
            var upload = (await fixture.Client.InitiateMultipartUploadAsync(new() { BucketName = bucket, Key = key, ServerSideEncryptionCustomerMethod = method, ServerSideEncryptionCustomerProvidedKey = key64 })).UploadId;
            var tags = new List<Amazon.S3.Model.PartETag>();
            foreach (var (number, part) in new[] { (1, content[..Multipart.PartBytesMin]), (2, content[Multipart.PartBytesMin..]) })
            {
                var answer = await fixture.Client.UploadPartAsync(new()
                {
                    BucketName = bucket, Key = key, UploadId = upload, PartNumber = number, InputStream = new MemoryStream(part), PartSize = part.Length, ServerSideEncryptionCustomerMethod = method, ServerSideEncryptionCustomerProvidedKey = key64,
                });
                tags.Add(new(number, answer.ETag));
            }
            await fixture.Client.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = key, UploadId = upload, PartETags = tags });
        }
        else
        {
            var put = new Amazon.S3.Model.PutObjectRequest { BucketName = bucket, Key = key, InputStream = new MemoryStream(content) };
            if (kind == "SSE-S3") put.ServerSideEncryptionMethod = Amazon.S3.ServerSideEncryptionMethod.AES256;
            if (kind == "SSE-C") (put.ServerSideEncryptionCustomerMethod, put.ServerSideEncryptionCustomerProvidedKey) = (Amazon.S3.ServerSideEncryptionCustomerMethod.AES256, Convert.ToBase64String(Key));
            await fixture.Client.PutObjectAsync(put);
        }
    }

    private Task<Amazon.S3.Model.GetObjectMetadataResponse> HeadAsync(string bucket, string key, string kind)
    {
        var head = new Amazon.S3.Model.GetObjectMetadataRequest { BucketName = bucket, Key = key };
        if (kind.StartsWith("SSE-C", StringComparison.Ordinal)) (head.ServerSideEncryptionCustomerMethod, head.ServerSideEncryptionCustomerProvidedKey) = (Amazon.S3.ServerSideEncryptionCustomerMethod.AES256, Convert.ToBase64String(Key));
        return fixture.Client.GetObjectMetadataAsync(head);
    }

    /// <summary>The whole, some ranges, and of a multipart object its second part.</summary>
    private async Task AssertReadsAsync(string bucket, string key, byte[] content, string kind)
    {
        foreach (var (first, last) in new[] { (0, content.Length - 1), (0, 0), (65_535, 65_536), (123_456, 623_456), (content.Length - 1, content.Length - 1) }) Assert.Equal(content[first..(last + 1)], await GetAsync(g => g.ByteRange = new(first, last)));
        if (kind.Contains("multipart", StringComparison.Ordinal)) Assert.Equal(content[Multipart.PartBytesMin..], await GetAsync(g => g.PartNumber = 2));

        async Task<byte[]> GetAsync(Action<Amazon.S3.Model.GetObjectRequest> what)
        {
            var get = new Amazon.S3.Model.GetObjectRequest { BucketName = bucket, Key = key };
            if (kind.StartsWith("SSE-C", StringComparison.Ordinal)) (get.ServerSideEncryptionCustomerMethod, get.ServerSideEncryptionCustomerProvidedKey) = (Amazon.S3.ServerSideEncryptionCustomerMethod.AES256, Convert.ToBase64String(Key));
            what(get);
            using var answer = await fixture.Client.GetObjectAsync(get);
            return await answer.ReadBytesAsync();
        }
    }

    private static async Task<JsonNode> JsonAsync(NodeProcess node, HttpMethod method, string path, object? body, HttpStatusCode status)
    {
        using var answer = await node.AdminAsync(method, "v1/tiers" + path, body);
        var text = await answer.Content.ReadAsStringAsync();
        Assert.True(answer.StatusCode == status, $"{method} {path}: {(int)answer.StatusCode} {text}");
        return JsonNode.Parse(text)!;
    }
}
