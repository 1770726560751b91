using System.Collections.Concurrent;
using System.Net.Http.Json;
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace DarkStorage.Conformance;

/// <summary>A node whose events are given up and tried again sooner than anybody would want in earnest.</summary>
public sealed class EventNodeFixture : NodeFixture
{
    protected override NodeSettings Settings => new()
    {
        Environment = new Dictionary<string, string> { ["DARKSTORAGE_Events__RetryDelayMax"] = "00:00:01", ["DARKSTORAGE_Lifecycle__DayLength"] = "00:00:01", ["DARKSTORAGE_Lifecycle__Interval"] = "00:00:01" },
    };
}

/// <summary>Bucket notifications: what is told, to whom, in what order, and that nothing is lost on the way.</summary>
public sealed class NotificationTests(EventNodeFixture node) : IClassFixture<EventNodeFixture>
{
    [Fact]
    public async Task Each_kind_of_change_tells_what_it_was()
    {
        await using var receiver = await EventReceiver.StartAsync();
        var (s3, bucket) = (node.Client, await node.Client.NewBucketAsync());
        await SubscribeAsync(receiver, bucket, "s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put");
        Assert.Equal("s3:TestEvent", (string?)(await receiver.NextAsync()).Json["Event"]);

        var etag = (await s3.PutObjectAsync(new() { BucketName = bucket, Key = "a key/ü+", ContentBody = "content" })).ETag;
        var put = (await receiver.NextAsync()).Record!;
        Assert.Equal("ObjectCreated:Put", (string?)put["eventName"]);
        Assert.Equal(("aws:s3", "2.1", "us-east-1"), ((string?)put["eventSource"], (string?)put["eventVersion"], (string?)put["awsRegion"]));
        Assert.Equal(("a+key/%C3%BC%2B", 7L, etag.Trim('"')), ((string?)put["s3"]!["object"]!["key"], (long)put["s3"]!["object"]!["size"]!, (string?)put["s3"]!["object"]!["eTag"]));
        Assert.Equal((bucket, $"arn:aws:s3:::{bucket}", "root"), ((string?)put["s3"]!["bucket"]!["name"], (string?)put["s3"]!["bucket"]!["arn"], (string?)put["s3"]!["bucket"]!["ownerIdentity"]!["principalId"]));
        Assert.Equal("127.0.0.1", (string?)put["requestParameters"]!["sourceIPAddress"]);
        Assert.Equal("the rule", (string?)put["s3"]!["configurationId"]);
        Assert.Null(put["s3"]!["object"]!["versionId"]);

        Assert.Equal(204, (await node.Raw.SendAsync(new RawForm().With("key", "form").SignedBy(node.Raw, bucket).ToRequest(bucket))).Status);
        Assert.Equal(("form", "ObjectCreated:Post"), (await receiver.NextAsync()) is var posted ? (posted.Key, posted.Name) : default);
        await s3.CopyObjectAsync(bucket, "a key/ü+", bucket, "copy");
        var upload = (await s3.InitiateMultipartUploadAsync(bucket, "multipart")).UploadId;
        var part = await s3.UploadPartAsync(new() { BucketName = bucket, Key = "multipart", UploadId = upload, PartNumber = 1, InputStream = new MemoryStream(new byte[10]) });
        await s3.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = "multipart", UploadId = upload, PartETags = [new(1, part.ETag)] });
        await s3.PutObjectTaggingAsync(new() { BucketName = bucket, Key = "copy", Tagging = new() { TagSet = [new() { Key = "a", Value = "b" }] } });
        await s3.DeleteObjectTaggingAsync(new() { BucketName = bucket, Key = "copy" });
        await s3.PutObjectAclAsync(new() { BucketName = bucket, Key = "copy", ACL = S3CannedACL.PublicRead });
        await s3.DeleteObjectAsync(bucket, "copy");
        await s3.DeleteObjectsAsync(new() { BucketName = bucket, Objects = [new() { Key = "multipart" }] });
        await s3.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        var version = (await s3.PutObjectAsync(new() { BucketName = bucket, Key = "versioned", ContentBody = "x" })).VersionId;
        var marker = (await s3.DeleteObjectAsync(bucket, "versioned")).VersionId;
        await s3.DeleteObjectAsync(bucket, "versioned", version);

        var told = await receiver.UntilAsync(all => all.Count == 10);
        Assert.Equal(["ObjectCreated:Copy", "ObjectTagging:Put", "ObjectTagging:Delete", "ObjectAcl:Put", "ObjectRemoved:Delete"], told.Where(e => e.Key == "copy").Select(e => e.Name));
        Assert.Equal(["ObjectCreated:CompleteMultipartUpload", "ObjectRemoved:Delete"], told.Where(e => e.Key == "multipart").Select(e => e.Name));
        Assert.Equal([("ObjectCreated:Put", version), ("ObjectRemoved:DeleteMarkerCreated", marker), ("ObjectRemoved:Delete", version)],
            told.Where(e => e.Key == "versioned").Select(e => (e.Name!, (string)e.Record!["s3"]!["object"]!["versionId"]!)));
        foreach (var key in (string[])["copy", "multipart", "versioned"])
            Assert.Equal(told.Where(e => e.Key == key).Select(e => e.Sequencer).Order(StringComparer.Ordinal), told.Where(e => e.Key == key).Select(e => e.Sequencer));
    }

    [Fact]
    public async Task A_rule_tells_only_of_the_keys_and_events_it_names_and_a_target_of_several_rules_once()
    {
        await using var receiver = await EventReceiver.StartAsync();
        var (s3, bucket, target) = (node.Client, await node.Client.NewBucketAsync(), await NewTargetAsync(receiver));
        await s3.PutBucketNotificationAsync(new()
        {
            BucketName = bucket,
            QueueConfigurations = [new() { Id = "images", Queue = Arn("sqs", target), Events = [EventType.ObjectCreatedPut], Filter = Filter("in/", ".jpg") }],
            TopicConfigurations = [new() { Id = "again", Topic = Arn("sns", target), Events = [EventType.ObjectCreatedAll], Filter = Filter("in/", ".jpg") }],
        });
        Assert.NotNull((await receiver.NextAsync()).Json["Event"]);
        foreach (var key in (string[])["in/1.txt", "out/1.jpg", "in/1.jpg"]) await s3.PutTextAsync(bucket, key, "x");
        await s3.DeleteObjectAsync(bucket, "in/1.jpg");
        await s3.PutTextAsync(bucket, "in/2.jpg", "x");
        Assert.Equal(["in/1.jpg", "in/2.jpg"], (await receiver.UntilAsync(all => all[^1].Key == "in/2.jpg")).Select(e => e.Key));
    }

    [Fact]
    public async Task The_lifecycle_tells_of_what_it_does()
    {
        await using var receiver = await EventReceiver.StartAsync();
        var (s3, bucket) = (node.Client, await node.Client.NewBucketAsync());
        await SubscribeAsync(receiver, bucket, "s3:LifecycleExpiration:*", "s3:LifecycleTransition", "s3:ObjectRemoved:*");
        await s3.PutTextAsync(bucket, "old/key", "x");
        await s3.PutTextAsync(bucket, "cool/key", "x");
        Assert.Equal(200, (await node.Raw.PutAsync($"/{bucket}?lifecycle", """
            <LifecycleConfiguration><Rule><ID>e</ID><Filter><Prefix>old/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>
            <Rule><ID>t</ID><Filter><Prefix>cool/</Prefix></Filter><Status>Enabled</Status><Transition><Days>1</Days><StorageClass>GLACIER_IR</StorageClass></Transition></Rule></LifecycleConfiguration>
            """)).Status);
        var told = await receiver.UntilAsync(all => all.Count == 3);
        Assert.Equal([("cool/key", "LifecycleTransition"), ("old/key", "LifecycleExpiration:Delete")], told.Skip(1).Select(e => (e.Key!, e.Name!)).Order());
    }

    [Fact]
    public async Task Events_that_break_the_target_hold_up_nobody_elses()
    {
        await using var receiver = await EventReceiver.StartAsync();
        var (s3, bucket) = (node.Client, await node.Client.NewBucketAsync());
        await SubscribeAsync(receiver, bucket, "s3:ObjectCreated:*");
        Assert.NotNull((await receiver.NextAsync()).Json["Event"]);
        receiver.Answer = told => told.Key is { } key && key.StartsWith("bad", StringComparison.Ordinal) ? 500 : 200;
        // More than are tried at one time, ahead of the others.
        for (var i = 0; i < 40; i++) await s3.PutTextAsync(bucket, $"bad{i}", "x");
        foreach (var content in (string[])["1", "2", "3"]) await s3.PutTextAsync(bucket, "good", content);
        await receiver.UntilAsync(all => all.Count(e => e is { Key: "good", Status: 200 }) == 3);
        receiver.Answer = _ => 200;
        await receiver.UntilAsync(all => all.Where(e => e.Status == 200 && e.Key != "good").Select(e => e.Key).Distinct().Count() == 40);
    }

    [Theory, InlineData(1), InlineData(2)]
    public async Task A_target_that_fails_gets_each_event_in_its_keys_order_once_it_is_well(int seed)
    {
        await using var receiver = await EventReceiver.StartAsync();
        var (s3, bucket) = (node.Client, await node.Client.NewBucketAsync());
        await SubscribeAsync(receiver, bucket, "s3:ObjectCreated:*");
        Assert.NotNull((await receiver.NextAsync()).Json["Event"]);
        var random = new Random(seed);
        // It fails when it likes: 503 for a third, 400 for a sixth of what comes.
        receiver.Answer = _ => { lock (random) return random.Next(6) switch { 0 or 1 => 503, 2 => 400, _ => 200 }; };
        await Parallel.ForAsync(0, 12, async (i, _) =>
        {
            for (var n = 0; n < 10; n++) await s3.PutTextAsync(bucket, $"k{i}", $"{n}");
        });

        var told = await receiver.UntilAsync(all => all.Where(e => e.Status == 200).DistinctBy(e => e.Sequence).Count() == 120);

        foreach (var ofKey in told.Where(e => e.Status == 200).GroupBy(e => e.Key))
        {
            // What was told twice is allowed; what was told for the first time came in order.
            var firsts = ofKey.DistinctBy(e => e.Sequence).ToList();
            Assert.True(firsts.Select(e => e.Sequencer).SequenceEqual(firsts.Select(e => e.Sequencer).Order(StringComparer.Ordinal)), $"Key {ofKey.Key} out of order.");
            Assert.Equal(10, firsts.Count);
        }
    }

    [Fact]
    public async Task An_event_that_is_refused_holds_back_its_key_alone()
    {
        await using var receiver = await EventReceiver.StartAsync();
        var (s3, bucket) = (node.Client, await node.Client.NewBucketAsync());
        await SubscribeAsync(receiver, bucket, "s3:ObjectCreated:*");
        Assert.NotNull((await receiver.NextAsync()).Json["Event"]);
        receiver.Answer = e => e.Key == "poison" ? 400 : 200;
        await s3.PutTextAsync(bucket, "poison", "1");
        await s3.PutTextAsync(bucket, "poison", "2");
        await s3.PutTextAsync(bucket, "wholesome", "x");
        var told = await receiver.UntilAsync(all => all.Any(e => e.Key == "wholesome") && all.Count(e => e.Key == "poison") >= 3);
        Assert.Single(told.Where(e => e.Key == "poison").DistinctBy(e => e.Sequence));
        receiver.Answer = _ => 200;
        var late = await receiver.UntilAsync(all => all.Where(e => e.Status == 200).DistinctBy(e => e.Sequence).Count() == 2);
        Assert.Equal(["poison", "poison"], late.Where(e => e.Status == 200).DistinctBy(e => e.Sequence).Select(e => e.Key));
    }

    [Fact]
    public async Task No_event_of_an_acknowledged_write_is_lost_when_the_node_is_killed()
    {
        await using var killed = await NodeProcess.StartAsync(new() { Environment = new Dictionary<string, string> { ["DARKSTORAGE_Events__RetryDelayMax"] = "00:00:01" } });
        await using var receiver = await EventReceiver.StartAsync();
        var acknowledged = new ConcurrentBag<string>();
        var target = await NewTargetAsync(receiver, killed);
        using (var s3 = killed.S3())
        {
            var bucket = await s3.NewBucketAsync();
            await SubscribeAsync(killed, bucket, target, "s3:ObjectCreated:*");
            var enough = new TaskCompletionSource();
            receiver.Answer = e =>
            {
                if (e.Key?.EndsWith("50", StringComparison.Ordinal) == true) enough.TrySetResult(); // some were told, most were not: now it dies
                return 200;
            };
            var writers = Enumerable.Range(0, 8).Select(async w =>
            {
                for (var n = 0; ; n++)
                {
                    await s3.PutTextAsync(bucket, $"{w}-{n:D5}", "x");
                    acknowledged.Add($"{w}-{n:D5}");
                }
            }).ToList();
            await enough.Task.WaitAsync(TimeSpan.FromMinutes(1));
            await killed.KillAsync();
            foreach (var writer in writers) await Assert.ThrowsAnyAsync<Exception>(() => writer);
        }
        await killed.RestartAsync();
        var wanted = acknowledged.ToHashSet();
        Assert.NotEmpty(wanted);
        await receiver.UntilAsync(all =>
        {
            if (all[^1].Key is { } key) wanted.Remove(key);
            return wanted.Count == 0;
        });
    }

    [Fact]
    public async Task Events_can_be_sent_again_and_carry_a_signature_that_proves_their_origin()
    {
        await using var receiver = await EventReceiver.StartAsync();
        var (s3, bucket) = (node.Client, await node.Client.NewBucketAsync());
        var target = await NewTargetAsync(receiver, secret: "a secret of the target");
        await SubscribeAsync(node.Node, bucket, target, "s3:ObjectCreated:*");
        Assert.NotNull((await receiver.NextAsync()).Json["Event"]);
        await s3.PutTextAsync(bucket, "key", "x");
        var first = await receiver.NextAsync();
        var (time, given) = (first.Signature!.Split(',')[0]["t=".Length..], first.Signature.Split(',')[1]["v1=".Length..]);
        Assert.Equal(Convert.ToHexStringLower(HMACSHA256.HashData("a secret of the target"u8, [.. Encoding.UTF8.GetBytes($"{time}."), .. first.Body])), given);

        // The receiver knows of it before the node does; what still waits is not sent again, but at last.
        await Eventually.HoldsAsync("the node has heard that the event was taken", async () => (long)(await StatusAsync(target))["events"]!["waiting"]! == 0);
        using var replay = await node.Node.AdminAsync(HttpMethod.Post, $"/v1/event-targets/{target}/replay", new { });
        Assert.Equal(1, (int)(await replay.Content.ReadFromJsonAsync<JsonNode>())!["events"]!);
        var again = await receiver.NextAsync();
        Assert.Equal((first.Sequence, Encoding.UTF8.GetString(first.Body)), (again.Sequence, Encoding.UTF8.GetString(again.Body)));
        var status = await StatusAsync(target);
        Assert.Equal((0L, (bool?)true), ((long)status["events"]!["givenUp"]!, (bool?)status["target"]!["isSigned"]));
        Assert.DoesNotContain("a secret of the target", status.ToJsonString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_event_whose_time_is_over_is_given_up_and_said_so()
    {
        await using var impatient = await NodeProcess.StartAsync(new() { Environment = new Dictionary<string, string> { ["DARKSTORAGE_Events__RetryDelayMax"] = "00:00:01", ["DARKSTORAGE_Events__RetryFor"] = "00:00:01" } });
        await using var receiver = await EventReceiver.StartAsync();
        using var s3 = impatient.S3();
        var bucket = await s3.NewBucketAsync();
        var target = await NewTargetAsync(receiver, impatient);
        await SubscribeAsync(impatient, bucket, target, "s3:ObjectCreated:*");
        receiver.Answer = e => e.Key == "unwanted" ? 400 : 200;
        await s3.PutTextAsync(bucket, "unwanted", "1");
        var first = (await receiver.UntilAsync(all => all[^1].Key == "unwanted"))[^1];
        await s3.PutTextAsync(bucket, "unwanted", "2");
        // The second is sent only after the first was given up.
        await receiver.UntilAsync(all => all[^1].Key == "unwanted" && all[^1].Sequence != first.Sequence);
        Assert.Contains("was given up", impatient.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_AWS_CLI_puts_and_gets_a_configuration_and_an_empty_one_takes_it_away()
    {
        await using var receiver = await EventReceiver.StartAsync();
        var (bucket, target, aws) = (await node.Client.NewBucketAsync(), await NewTargetAsync(receiver), new AwsCli(node.Node));
        var configuration = $$"""{"LambdaFunctionConfigurations":[{"Id":"l","LambdaFunctionArn":"arn:aws:lambda:us-east-1:000000000000:function:{{target}}","Events":["s3:ObjectCreated:*"],"Filter":{"Key":{"FilterRules":[{"Name":"Prefix","Value":"in/"}]} } }],"EventBridgeConfiguration":{} }""";
        await aws.S3ApiAsync("put-bucket-notification-configuration", "--bucket", bucket, "--notification-configuration", configuration);
        var got = await aws.S3ApiAsync("get-bucket-notification-configuration", "--bucket", bucket);
        Assert.Equal(("l", "in/"), ((string?)got["LambdaFunctionConfigurations"]![0]!["Id"], (string?)got["LambdaFunctionConfigurations"]![0]!["Filter"]!["Key"]!["FilterRules"]![0]!["Value"]));
        Assert.NotNull(got["EventBridgeConfiguration"]);
        Assert.Equal(200, (await node.Raw.PutAsync($"/{bucket}?notification", "<NotificationConfiguration/>")).Status);
        Assert.DoesNotContain("CloudFunction", (await node.Raw.GetAsync($"/{bucket}?notification")).Text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "MissingRequestBodyError")]
    [InlineData("<Notification/>", "MalformedXML")]
    [InlineData("<NotificationConfiguration><QueueConfiguration><Queue>ARN</Queue></QueueConfiguration></NotificationConfiguration>", "MalformedXML")]
    [InlineData("<NotificationConfiguration><QueueConfiguration><Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>", "MalformedXML")]
    [InlineData("<NotificationConfiguration><QueueConfiguration><Queue>ARN</Queue><Event>s3:Nothing</Event></QueueConfiguration></NotificationConfiguration>", "InvalidArgument")]
    [InlineData("<NotificationConfiguration><QueueConfiguration><Queue>http://somewhere</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>", "InvalidArgument")]
    [InlineData("<NotificationConfiguration><QueueConfiguration><Queue>arn:aws:sqs:us-east-1:0:nobody</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>", "InvalidArgument")]
    [InlineData("<NotificationConfiguration><QueueConfiguration><Id>a</Id><Queue>ARN</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration><TopicConfiguration><Id>a</Id><Topic>ARN</Topic><Event>s3:ObjectCreated:*</Event></TopicConfiguration></NotificationConfiguration>", "InvalidArgument")]
    [InlineData("<NotificationConfiguration><QueueConfiguration><Queue>ARN</Queue><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>middle</Name><Value>x</Value></FilterRule></S3Key></Filter></QueueConfiguration></NotificationConfiguration>", "InvalidArgument")]
    [InlineData("<NotificationConfiguration><QueueConfiguration><Queue>ARN</Queue><Event>s3:ObjectCreated:*</Event><Filter><S3Key><FilterRule><Name>prefix</Name><Value>x</Value></FilterRule><FilterRule><Name>prefix</Name><Value>y</Value></FilterRule></S3Key></Filter></QueueConfiguration></NotificationConfiguration>", "InvalidArgument")]
    public async Task A_wrong_configuration_is_refused_and_changes_nothing(string document, string code)
    {
        await using var receiver = await EventReceiver.StartAsync();
        var (bucket, target) = (await node.Client.NewBucketAsync(), await NewTargetAsync(receiver));
        await SubscribeAsync(node.Node, bucket, target, "s3:ObjectCreated:*");
        Assert.Equal((400, code), (await node.Raw.PutAsync($"/{bucket}?notification", document.Replace("ARN", Arn("sqs", target), StringComparison.Ordinal))).Error);
        Assert.Equal("the rule", (await node.Client.GetBucketNotificationAsync(bucket)).QueueConfigurations.Single().Id);
    }

    [Fact]
    public async Task A_target_that_does_not_take_the_test_message_is_refused_unless_the_client_skips_the_test()
    {
        await using var receiver = await EventReceiver.StartAsync();
        var (bucket, target) = (await node.Client.NewBucketAsync(), await NewTargetAsync(receiver));
        receiver.Answer = _ => 500;
        var document = Configuration(target, "s3:ObjectCreated:*");
        var refused = await node.Raw.PutAsync($"/{bucket}?notification", document);
        Assert.Equal((400, "InvalidArgument"), refused.Error);
        Assert.Contains("it answered 500", refused.Text, StringComparison.Ordinal);
        Assert.Equal(200, (await node.Raw.SendAsync(new RawRequest("PUT", $"/{bucket}?notification").WithBody(document).With("x-amz-skip-destination-validation", "true"))).Status);
    }

    [Theory]
    [InlineData("""{"name":"x","url":"http://localhost/"}""", 400)]
    [InlineData("""{"name":"good-name","url":"ftp://localhost/"}""", 400)]
    [InlineData("""{"name":"good-name","url":"/local"}""", 400)]
    [InlineData("""{"name":"good-name","url":"http://user:pw@localhost/"}""", 400)]
    [InlineData("""{"name":"good-name","url":"http://localhost/","secret":"short"}""", 400)]
    [InlineData("""{"name":"good-name"}""", 400)]
    [InlineData("[]", 400)]
    public async Task A_wrong_target_is_refused(string body, int status)
    {
        using var answer = await node.Node.AdminAsync(HttpMethod.Post, "/v1/event-targets", body);
        Assert.Equal(status, (int)answer.StatusCode);
        using var found = await node.Node.AdminAsync(HttpMethod.Get, "/v1/event-targets/good-name");
        Assert.Equal(404, (int)found.StatusCode);
    }

    [Fact]
    public async Task The_machines_own_metadata_address_is_never_asked()
    {
        const string name = "link-local";
        using var made = await node.Node.AdminAsync(HttpMethod.Post, "/v1/event-targets", new { name, url = "http://169.254.169.254/latest/meta-data" });
        Assert.Equal(201, (int)made.StatusCode);
        using var test = await node.Node.AdminAsync(HttpMethod.Post, $"/v1/event-targets/{name}/test");
        Assert.Contains("link-local", (string?)(await test.Content.ReadFromJsonAsync<JsonNode>())!["detail"], StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_target_is_listed_changed_and_removed_and_only_by_administrators()
    {
        await using var receiver = await EventReceiver.StartAsync();
        var target = await NewTargetAsync(receiver);
        using (var list = await node.Node.AdminAsync(HttpMethod.Get, "/v1/event-targets")) Assert.Contains(target, (await list.Content.ReadFromJsonAsync<string[]>())!);
        using (var twice = await node.Node.AdminAsync(HttpMethod.Post, "/v1/event-targets", new { name = target, url = receiver.Url })) Assert.Equal(409, (int)twice.StatusCode);
        using (var change = await node.Node.AdminAsync(HttpMethod.Put, $"/v1/event-targets/{target}", new { url = "http://localhost:1/other" })) Assert.Equal(200, (int)change.StatusCode);
        Assert.Equal("http://localhost:1/other", (string?)(await StatusAsync(target))["target"]!["url"]);
        var user = await node.Node.NewUserAsync();
        using (var refused = await node.Node.AdminAsync(HttpMethod.Delete, $"/v1/event-targets/{target}", by: user)) Assert.Equal(401, (int)refused.StatusCode);
        using (var deleted = await node.Node.AdminAsync(HttpMethod.Delete, $"/v1/event-targets/{target}")) Assert.Equal(200, (int)deleted.StatusCode);
        using (var gone = await node.Node.AdminAsync(HttpMethod.Get, $"/v1/event-targets/{target}")) Assert.Equal(404, (int)gone.StatusCode);
        using (var list = await node.Node.AdminAsync(HttpMethod.Get, "/v1/event-targets")) Assert.DoesNotContain(target, (await list.Content.ReadFromJsonAsync<string[]>())!);
    }

    private static string Arn(string service, string target) => $"arn:aws:{service}:us-east-1:000000000000:{target}";

    private static Filter Filter(string prefix, string suffix) =>
        new() { S3KeyFilter = new() { FilterRules = [new() { Name = "prefix", Value = prefix }, new() { Name = "suffix", Value = suffix }] } };

    private static string Configuration(string target, params string[] events) =>
        $"<NotificationConfiguration><QueueConfiguration><Id>the rule</Id><Queue>{Arn("sqs", target)}</Queue>{string.Concat(events.Select(e => $"<Event>{e}</Event>"))}</QueueConfiguration></NotificationConfiguration>";

    private async Task SubscribeAsync(EventReceiver receiver, string bucket, params string[] events) => await SubscribeAsync(node.Node, bucket, await NewTargetAsync(receiver), events);

    private static async Task SubscribeAsync(NodeProcess node, string bucket, string target, params string[] events) =>
        Assert.Equal(200, (await node.Raw().PutAsync($"/{bucket}?notification", Configuration(target, events))).Status);

    private async Task<string> NewTargetAsync(EventReceiver receiver, NodeProcess? at = null, string? secret = null)
    {
        var name = "target-" + Guid.NewGuid().ToString("N")[..12];
        using var made = await (at ?? node.Node).AdminAsync(HttpMethod.Post, "/v1/event-targets", new { name, url = receiver.Url, secret });
        Assert.Equal(201, (int)made.StatusCode);
        return name;
    }

    private async Task<JsonNode> StatusAsync(string target)
    {
        using var answer = await node.Node.AdminAsync(HttpMethod.Get, $"/v1/event-targets/{target}");
        return (await answer.Content.ReadFromJsonAsync<JsonNode>())!;
    }
}
