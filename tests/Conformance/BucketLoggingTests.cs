using System.Text.RegularExpressions;

namespace DarkStorage.Conformance;

/// <summary>A node that delivers access logs sooner than anybody would want in earnest.</summary>
public sealed class LoggingNodeFixture : NodeFixture
{
    public const string Domain = "web.test";

    public static readonly IReadOnlyDictionary<string, string> Hurry = new Dictionary<string, string>
    {
        ["DARKSTORAGE_AccessLogs__Interval"] = "00:00:01",
        ["DARKSTORAGE_AccessLogs__FlushInterval"] = "00:00:00.050",
        ["DARKSTORAGE_Events__RetryDelayMax"] = "00:00:01",
        ["DARKSTORAGE_Lifecycle__DayLength"] = "00:00:01",
        ["DARKSTORAGE_Lifecycle__Interval"] = "00:00:01",
    };

    protected override NodeSettings Settings => new() { Environment = Hurry, Flags = ["--website-domain", Domain] };
}

/// <summary>Server access logs: the setting, the lines, and how they get into the bucket they go to.</summary>
public sealed partial class BucketLoggingTests(LoggingNodeFixture node) : IClassFixture<LoggingNodeFixture>
{
    [Fact]
    public async Task Each_request_makes_a_line_that_tells_what_it_was()
    {
        await using var logs = await LogReader.StartAsync(node.Node);
        var (s3, bucket) = (node.Client, await LoggedBucketAsync(logs));
        await s3.PutBucketVersioningAsync(new() { BucketName = bucket, VersioningConfig = new() { Status = VersionStatus.Enabled } });
        var version = (await s3.PutTextAsync(bucket, "a key/ü+", "0123456789")).VersionId;
        await s3.GetObjectMetadataAsync(bucket, "a key/ü+");
        using (await s3.GetObjectAsync(new() { BucketName = bucket, Key = "a key/ü+", VersionId = version, ByteRange = new(2, 4) }))
        {
        }
        await s3.CopyObjectAsync(bucket, "a key/ü+", bucket, "copy");
        var upload = (await s3.InitiateMultipartUploadAsync(bucket, "multipart")).UploadId;
        var part = await s3.UploadPartAsync(new() { BucketName = bucket, Key = "multipart", UploadId = upload, PartNumber = 1, InputStream = new MemoryStream(new byte[10]) });
        await s3.CompleteMultipartUploadAsync(new() { BucketName = bucket, Key = "multipart", UploadId = upload, PartETags = [new(1, part.ETag)] });
        await s3.ListObjectsV2Async(new() { BucketName = bucket });
        await s3.GetBucketLoggingAsync(bucket);
        Assert.Equal(204, (await node.Raw.SendAsync(new RawForm().With("key", "form").SignedBy(node.Raw, bucket).ToRequest(bucket))).Status);
        Assert.Equal(200, (await node.Raw.SendAsync(new RawRequest("GET", $"/{bucket}/copy").With("User-Agent", "quoted \" agent").With("Referer", "http://other/?X-Amz-Signature=abcdef"))).Status);
        await s3.DeleteObjectsAsync(new() { BucketName = bucket, Objects = [new() { Key = "multipart" }, new() { Key = "form", VersionId = "nonsense" }], Quiet = true }).ContinueWith(_ => { }, TaskScheduler.Default);
        await s3.DeleteObjectAsync(bucket, "copy");

        // A line is written after its answer was sent, so two of them may change places.
        var lines = await logs.UntilAsync(all => all.Count(l => l.Operation != "REST.PUT.LOGGING_STATUS") >= 17);
        Assert.All(lines, l => Assert.Equal((26, "root", bucket, "127.0.0.1"), (l.Fields.Count, l.Fields[0], l.Fields[1], l.Fields[3])));
        string[] wanted = ["REST.PUT.VERSIONING", "REST.PUT.OBJECT", "REST.HEAD.OBJECT", "REST.GET.OBJECT", "REST.COPY.OBJECT", "REST.COPY.OBJECT_GET", "REST.POST.UPLOADS", "REST.PUT.PART",
            "REST.POST.UPLOAD", "REST.GET.BUCKET", "REST.GET.LOGGING_STATUS", "REST.POST.OBJECT", "REST.GET.OBJECT", "REST.POST.MULTI_OBJECT_DELETE", "BATCH.DELETE.OBJECT", "BATCH.DELETE.OBJECT", "REST.DELETE.OBJECT"];
        Assert.Equal(wanted.Order(StringComparer.Ordinal), lines.Select(l => l.Operation).Where(o => o != "REST.PUT.LOGGING_STATUS").Order(StringComparer.Ordinal));

        var put = lines.Single(l => l.Operation == "REST.PUT.OBJECT");
        Assert.Equal(("a%20key/%C3%BC%2B", "200", "-", "-", "10"), (put.Key, put.Status, put.ErrorCode, put.BytesSent, put.ObjectSize));
        Assert.Equal(("root", "SigV4", "AuthHeader", node.Node.S3Url.Authority), (put.Fields[4], put.Fields[19], put.Fields[21], put.Fields[22]));
        Assert.Contains($"PUT /{bucket}/a%20key/", put.RequestLine, StringComparison.Ordinal);
        Assert.All([put.Fields[13], put.Fields[14]], milliseconds => Assert.Matches("^[0-9]+$", milliseconds));
        var head = lines.Single(l => l.Operation == "REST.HEAD.OBJECT");
        Assert.Equal(("-", "10"), (head.BytesSent, head.ObjectSize));
        var ranged = lines.Single(l => l.Operation == "REST.GET.OBJECT" && l.Status == "206");
        Assert.Equal(("3", "10", version), (ranged.BytesSent, ranged.ObjectSize, ranged.Fields[17]));
        var source = lines.Single(l => l.Operation == "REST.COPY.OBJECT_GET");
        Assert.Equal((put.Key, lines.Single(l => l.Operation == "REST.COPY.OBJECT").RequestId, "-"), (source.Key, source.RequestId, source.RequestLine));
        var raw = lines.Single(l => l.Operation == "REST.GET.OBJECT" && l.Key == "copy");
        Assert.Equal(("\"quoted %22 agent\"", "\"http://other/?X-Amz-Signature=REDACTED\""), (raw.Fields[16], raw.Fields[15]));
        var form = lines.Single(l => l.Operation == "REST.POST.OBJECT");
        Assert.Equal(("form", "root", "204"), (form.Key, form.Fields[4], form.Status));
        Assert.Equal([("form", "NoSuchVersion"), ("multipart", "-")], lines.Where(l => l.Operation == "BATCH.DELETE.OBJECT").Select(l => (l.Key, l.ErrorCode)).Order());
        Assert.Equal("10", lines.Single(l => l.Operation == "REST.POST.UPLOAD").ObjectSize);
    }

    [Fact]
    public async Task A_refused_request_makes_a_line_and_no_line_holds_a_secret()
    {
        await using var logs = await LogReader.StartAsync(node.Node);
        var (s3, bucket) = (node.Client, await LoggedBucketAsync(logs));
        await s3.PutTextAsync(bucket, "key", "content");
        var user = await node.Node.NewUserAsync();
        Assert.Equal(403, (await node.Node.AnonymousAsync("GET", $"/{bucket}/key")).Status);
        Assert.Equal(403, (await node.Node.Raw(user).GetAsync($"/{bucket}/key")).Status);
        Assert.Equal((403, "SignatureDoesNotMatch"), (await node.Raw.As(node.Node.Settings.AccessKey, "another secret").GetAsync($"/{bucket}/key")).Error);
        Assert.Equal(404, (await node.Raw.GetAsync($"/{bucket}/missing")).Status);
        Assert.Equal(501, (await node.Raw.GetAsync($"/{bucket}/key?torrent")).Status);
        var presigned = node.Raw.Presign("GET", $"/{bucket}/key", TimeSpan.FromMinutes(1));
        Assert.Equal(200, (await node.Raw.SendAsync(new("GET", presigned) { Sign = false })).Status);
        await s3.PutObjectAclAsync(new() { BucketName = bucket, Key = "key", ACL = S3CannedACL.PublicRead });
        Assert.Equal(200, (await node.Node.AnonymousAsync("GET", $"/{bucket}/key?last")).Status);

        var lines = await logs.UntilAsync(all => all.Count(l => l.Operation.StartsWith("REST.GET.", StringComparison.Ordinal)) >= 7);
        var gets = lines.Where(l => l.Operation.StartsWith("REST.GET.", StringComparison.Ordinal)).ToList();
        Assert.Equal(((string[])["-:AccessDenied:-:-", $"arn:aws:iam::000000000000:user/{user.Name}:AccessDenied:AuthHeader:-", "-:SignatureDoesNotMatch:AuthHeader:-", "root:NoSuchKey:AuthHeader:-", "root:NotImplemented:AuthHeader:-", "root:-:QueryString:-", "-:-:-:Yes"]).Order(StringComparer.Ordinal),
            gets.Select(l => $"{l.Fields[4]}:{l.ErrorCode}:{l.Fields[21]}:{l.Fields[25]}").Order(StringComparer.Ordinal));
        Assert.Contains("X-Amz-Signature=REDACTED", gets.Single(l => l.Fields[21] == "QueryString").RequestLine, StringComparison.Ordinal);
        var signature = presigned[(presigned.IndexOf("X-Amz-Signature=", StringComparison.Ordinal) + "X-Amz-Signature=".Length)..];
        Assert.All(lines, l => Assert.Equal((false, false), (l.Text.Contains(signature, StringComparison.Ordinal), l.Text.Contains(node.Node.Settings.AccessKey, StringComparison.Ordinal))));
        Assert.Equal("-", lines.Single(l => l.RequestLine.Contains("torrent", StringComparison.Ordinal)).ObjectSize);
    }

    [Fact]
    public async Task A_link_of_signature_version_2_is_written_down_as_such_and_without_its_signature()
    {
        await using var logs = await LogReader.StartAsync(node.Node);
        var (s3, bucket) = (node.Client, await LoggedBucketAsync(logs));
        await s3.PutTextAsync(bucket, "key", "content");
        Assert.Equal(200, (await node.Raw.SendAsync(new("GET", node.Raw.PresignVersion2("GET", $"/{bucket}/key", TimeSpan.FromMinutes(1))) { Sign = false })).Status);
        var get = (await logs.UntilAsync(all => all.Any(l => l.Operation == "REST.GET.OBJECT"))).Single(l => l.Operation == "REST.GET.OBJECT");
        Assert.Equal(("SigV2", "QueryString"), (get.Fields[19], get.Fields[21]));
        Assert.Contains("AWSAccessKeyId=REDACTED", get.RequestLine, StringComparison.Ordinal);
        Assert.Contains("Signature=REDACTED", get.RequestLine, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Log_objects_are_the_target_owners_sealed_as_the_bucket_has_it_and_granted_as_the_setting_says()
    {
        await using var logs = await LogReader.StartAsync(node.Node);
        var (s3, bucket) = (node.Client, await node.Client.NewBucketAsync());
        await s3.PutBucketEncryptionAsync(new()
        {
            BucketName = logs.Bucket,
            ServerSideEncryptionConfiguration = new() { ServerSideEncryptionRules = [new() { ServerSideEncryptionByDefault = new() { ServerSideEncryptionAlgorithm = ServerSideEncryptionMethod.AES256 } }] },
        });
        await s3.PutBucketLoggingAsync(new()
        {
            BucketName = bucket,
            LoggingConfig = new()
            {
                TargetBucketName = logs.Bucket,
                TargetPrefix = "all/",
                Grants = [new() { Grantee = new() { URI = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers" }, Permission = S3Permission.READ }],
                TargetObjectKeyFormat = new() { PartitionedPrefix = new() { PartitionDateSource = PartitionDateSource.EventTime } },
            },
        });
        var config = (await s3.GetBucketLoggingAsync(bucket)).BucketLoggingConfig;
        Assert.Equal((logs.Bucket, "all/", "EventTime", "READ"),
            (config.TargetBucketName, config.TargetPrefix, config.TargetObjectKeyFormat.PartitionedPrefix.PartitionDateSource.Value, config.Grants.Single().Permission.Value));
        await logs.UntilAsync(all => all.Any(l => l.Operation == "REST.GET.LOGGING_STATUS"));
        var key = logs.Keys[0];
        Assert.Matches($"^all/000000000000/us-east-1/{bucket}/[0-9]{{4}}/[0-9]{{2}}/[0-9]{{2}}/[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}-00-00-00-[0-9A-F]{{16}}$", key);
        var head = await s3.GetObjectMetadataAsync(logs.Bucket, key);
        Assert.Equal((ServerSideEncryptionMethod.AES256, "text/plain"), (head.ServerSideEncryptionMethod, head.Headers.ContentType));
        var acl = await s3.GetObjectAclAsync(new() { BucketName = logs.Bucket, Key = key });
        Assert.Equal("root", acl.Owner.Id);
        Assert.Equal(["FULL_CONTROL", "READ"], acl.Grants.Select(g => g.Permission.Value));
    }

    [Fact]
    public async Task Copies_websites_and_lifecycles_are_in_the_log_of_the_bucket_they_touch()
    {
        await using var logs = await LogReader.StartAsync(node.Node);
        var (s3, bucket, elsewhere) = (node.Client, await LoggedBucketAsync(logs), await node.Client.NewBucketAsync());
        await s3.PutTextAsync(bucket, "index.html", "home");
        await s3.CopyObjectAsync(bucket, "index.html", elsewhere, "copy");
        await Refused.WithAsync("NoSuchKey", HttpStatusCode.NotFound, () => s3.CopyObjectAsync(bucket, "missing", elsewhere, "copy"));
        await s3.PutBucketWebsiteAsync(bucket, new() { IndexDocumentSuffix = "index.html" });
        await s3.PutBucketPolicyAsync(bucket, $$"""{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::{{bucket}}/*","arn:aws:s3:::{{bucket}}"]}]}""");
        foreach (var path in (string[])["/", "/nowhere"])
            await node.Raw.SendAsync(new RawRequest("GET", path) { Sign = false }.With("Host", $"{bucket}.{LoggingNodeFixture.Domain}"));
        await s3.PutLifecycleConfigurationAsync(new()
        {
            BucketName = bucket,
            Configuration = new() { Rules = [new() { Id = "r", Status = LifecycleRuleStatus.Enabled, Filter = new() { LifecycleFilterPredicate = new LifecyclePrefixPredicate { Prefix = "" } }, Expiration = new() { Days = 1 } }] },
        });
        var lines = await logs.UntilAsync(all => all.Any(l => l.Operation == "S3.EXPIRE.OBJECT"));
        Assert.Equal([("index.html", "200", "-"), ("missing", "404", "NoSuchKey")], lines.Where(l => l.Operation == "REST.COPY.OBJECT_GET").Select(l => (l.Key, l.Status, l.ErrorCode)).Order());
        Assert.Equal([("index.html", "200", "-", "4"), ("nowhere", "404", "NoSuchKey", "-")], lines.Where(l => l.Operation == "WEBSITE.GET.OBJECT").Select(l => (l.Key, l.Status, l.ErrorCode, l.ObjectSize)).Order());
        var expired = lines.Single(l => l.Operation == "S3.EXPIRE.OBJECT");
        Assert.Equal(("index.html", "AmazonS3", "4"), (expired.Key, expired.Fields[4], expired.ObjectSize));
        Assert.DoesNotContain(lines, l => l.Operation == "REST.COPY.OBJECT");
    }

    [Fact]
    public async Task A_bucket_may_be_its_own_log_and_grows_by_what_clients_do_alone()
    {
        await using var logs = await LogReader.StartAsync(node.Node);
        await EnableAsync(logs.Bucket, logs.Bucket);
        await node.Raw.GetAsync($"/{logs.Bucket}?first");
        // The reader gets each log object it is told of, which makes a line in the next: after three of them, any line of a delivery would have been there.
        await logs.UntilAsync(_ => logs.Keys.Count >= 3);
        Assert.DoesNotContain(logs.Lines, l => l.Operation == "REST.PUT.OBJECT" || l.Fields[4] != "root");
        Assert.Contains(logs.Lines, l => l.Operation == "REST.GET.OBJECT" && l.Key == logs.Keys[0]);
    }

    [Fact]
    public async Task Lines_that_were_written_outlive_a_kill_and_are_delivered_once()
    {
        var environment = new Dictionary<string, string>(LoggingNodeFixture.Hurry) { ["DARKSTORAGE_AccessLogs__Interval"] = "1.00:00:00" };
        await using var killed = await NodeProcess.StartAsync(new() { Environment = environment });
        await using var logs = await LogReader.StartAsync(killed);
        using var s3 = killed.S3();
        var bucket = await s3.NewBucketAsync();
        await s3.PutBucketLoggingAsync(new() { BucketName = bucket, LoggingConfig = new() { TargetBucketName = logs.Bucket, TargetPrefix = "" } });
        for (var i = 0; i < 20; i++) await s3.PutTextAsync(bucket, $"key-{i}", "x");
        await SpooledAsync(killed, text => text.Contains(" key-19 ", StringComparison.Ordinal));
        await killed.KillAsync();
        // A line that the crash tore: what is whole before it is delivered.
        var file = Directory.GetFiles(Path.Combine(killed.DataDirectory, "access-logs")).Single();
        var content = await File.ReadAllBytesAsync(file);
        await File.AppendAllTextAsync(file, "root torn");
        await killed.RestartAsync();
        var lines = await logs.UntilAsync(all => all.Any(l => l.Key == "key-19"));
        Assert.All(lines, l => Assert.Equal(26, l.Fields.Count));
        Assert.Equal(Enumerable.Range(0, 20).Select(i => $"key-{i}").Order(StringComparer.Ordinal), lines.Where(l => l.Operation == "REST.PUT.OBJECT").Select(l => l.Key).Order(StringComparer.Ordinal));
        Assert.Single(logs.Keys);
        Assert.DoesNotContain(lines, l => l.Text.Contains("torn", StringComparison.Ordinal));

        // As a crash leaves it that came between the delivery and the removal of the file: nothing is delivered twice.
        await killed.KillAsync();
        using var watcher = new FileSystemWatcher(Path.GetDirectoryName(file)!, "*.log");
        var removed = new TaskCompletionSource();
        watcher.Deleted += (_, _) => removed.TrySetResult();
        watcher.EnableRaisingEvents = true;
        var name = logs.Keys[0].Split('-');
        await File.WriteAllBytesAsync(Path.Combine(Path.GetDirectoryName(file)!, $"{string.Concat(name[..6])}-{name[6]}.log"), content);
        await killed.RestartAsync();
        await removed.Task.WaitAsync(TimeSpan.FromMinutes(1));
        Assert.Single((await s3.ListObjectsV2Async(new() { BucketName = logs.Bucket })).S3Objects);
    }

    [Fact]
    public async Task While_the_target_is_gone_the_oldest_lines_are_kept_and_those_without_room_are_dropped_and_counted()
    {
        var environment = new Dictionary<string, string>(LoggingNodeFixture.Hurry) { ["DARKSTORAGE_AccessLogs__SpoolBytesMax"] = "65536" };
        await using var small = await NodeProcess.StartAsync(new() { Environment = environment });
        using var s3 = small.S3();
        var (bucket, target) = (await s3.NewBucketAsync(), await s3.NewBucketAsync());
        await s3.PutBucketLoggingAsync(new() { BucketName = bucket, LoggingConfig = new() { TargetBucketName = target, TargetPrefix = "" } });
        await s3.DeleteBucketAsync(target);
        for (var i = 0; i < 64; i++) await small.Raw().SendAsync(new RawRequest("GET", $"/{bucket}/key-{i}").With("User-Agent", new('x', 2_000)));
        Assert.True(await small.MetricAsync("darkstorage_access_log_lines_dropped_total") >= 30);
        await using var logs = await LogReader.StartAsync(small, target);
        var lines = await logs.UntilAsync(all => all.Any(l => l.Key == "key-20"));
        Assert.Contains(lines, l => l.Key == "key-0");
        Assert.DoesNotContain(lines, l => l.Key == "key-63");
    }

    [Fact]
    public async Task Lines_that_nobody_takes_are_given_up_in_time()
    {
        var environment = new Dictionary<string, string>(LoggingNodeFixture.Hurry) { ["DARKSTORAGE_AccessLogs__KeepFor"] = "00:00:01" };
        await using var impatient = await NodeProcess.StartAsync(new() { Environment = environment });
        using var s3 = impatient.S3();
        var (bucket, target) = (await s3.NewBucketAsync(), await s3.NewBucketAsync());
        await s3.PutBucketLoggingAsync(new() { BucketName = bucket, LoggingConfig = new() { TargetBucketName = target, TargetPrefix = "" } });
        await s3.DeleteBucketAsync(target);
        using var watcher = new FileSystemWatcher(Path.Combine(impatient.DataDirectory, "access-logs"));
        var gone = new TaskCompletionSource();
        watcher.Deleted += (_, _) => gone.TrySetResult();
        watcher.EnableRaisingEvents = true;
        await impatient.Raw().GetAsync($"/{bucket}/lost");
        await gone.Task.WaitAsync(TimeSpan.FromMinutes(1));
        await using var logs = await LogReader.StartAsync(impatient, target);
        await impatient.Raw().GetAsync($"/{bucket}/kept");
        Assert.DoesNotContain(await logs.UntilAsync(all => all.Any(l => l.Key == "kept")), l => l.Key == "lost");
        Assert.Contains("were given up", impatient.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_AWS_CLI_puts_and_gets_the_setting_and_an_empty_one_ends_it()
    {
        var (bucket, target, aws) = (await node.Client.NewBucketAsync(), await node.Client.NewBucketAsync(), new AwsCli(node.Node));
        Assert.Equal("{}", (await aws.S3ApiAsync("get-bucket-logging", "--bucket", bucket)).ToJsonString());
        await aws.S3ApiAsync("put-bucket-logging", "--bucket", bucket, "--bucket-logging-status", $$"""{"LoggingEnabled":{"TargetBucket":"{{target}}","TargetPrefix":"logs/"} }""");
        var got = (await aws.S3ApiAsync("get-bucket-logging", "--bucket", bucket))["LoggingEnabled"]!;
        Assert.Equal((target, "logs/"), ((string?)got["TargetBucket"], (string?)got["TargetPrefix"]));
        await aws.S3ApiAsync("put-bucket-logging", "--bucket", bucket, "--bucket-logging-status", "{}");
        Assert.Equal("{}", (await aws.S3ApiAsync("get-bucket-logging", "--bucket", bucket)).ToJsonString());
    }

    [Theory]
    [InlineData("", "MissingRequestBodyError")]
    [InlineData("<BucketLogging/>", "MalformedXML")]
    [InlineData("<BucketLoggingStatus><LoggingEnabled/></BucketLoggingStatus>", "MalformedXML")]
    [InlineData("<BucketLoggingStatus><LoggingEnabled><TargetBucket>TARGET</TargetBucket></LoggingEnabled></BucketLoggingStatus>", "MalformedXML")]
    [InlineData("<BucketLoggingStatus><LoggingEnabled><TargetPrefix>p</TargetPrefix></LoggingEnabled></BucketLoggingStatus>", "MalformedXML")]
    [InlineData("<BucketLoggingStatus><LoggingEnabled><TargetBucket>TARGET</TargetBucket><TargetPrefix>p</TargetPrefix><Other/></LoggingEnabled></BucketLoggingStatus>", "MalformedXML")]
    [InlineData("<BucketLoggingStatus><LoggingEnabled><TargetBucket>TARGET</TargetBucket><TargetPrefix>p</TargetPrefix><TargetObjectKeyFormat/></LoggingEnabled></BucketLoggingStatus>", "MalformedXML")]
    [InlineData("<BucketLoggingStatus><LoggingEnabled><TargetBucket>TARGET</TargetBucket><TargetPrefix>p</TargetPrefix><TargetObjectKeyFormat><SimplePrefix/><PartitionedPrefix/></TargetObjectKeyFormat></LoggingEnabled></BucketLoggingStatus>", "MalformedXML")]
    [InlineData("<BucketLoggingStatus><LoggingEnabled><TargetBucket>TARGET</TargetBucket><TargetPrefix>p</TargetPrefix><TargetObjectKeyFormat><PartitionedPrefix><PartitionDateSource>Never</PartitionDateSource></PartitionedPrefix></TargetObjectKeyFormat></LoggingEnabled></BucketLoggingStatus>", "MalformedXML")]
    [InlineData("<BucketLoggingStatus><LoggingEnabled><TargetBucket>TARGET</TargetBucket><TargetPrefix>p</TargetPrefix><TargetGrants><Grant><Grantee><ID>root</ID></Grantee><Permission>READ_ACP</Permission></Grant></TargetGrants></LoggingEnabled></BucketLoggingStatus>", "MalformedXML")]
    [InlineData("<BucketLoggingStatus><LoggingEnabled><TargetBucket>TARGET</TargetBucket><TargetPrefix>p</TargetPrefix><TargetGrants><Grant><Grantee><ID>nobody-of-this-name</ID></Grantee><Permission>READ</Permission></Grant></TargetGrants></LoggingEnabled></BucketLoggingStatus>", "InvalidArgument")]
    [InlineData("<BucketLoggingStatus><LoggingEnabled><TargetBucket>TARGET</TargetBucket><TargetPrefix>LONG</TargetPrefix></LoggingEnabled></BucketLoggingStatus>", "InvalidArgument")]
    [InlineData("<BucketLoggingStatus><LoggingEnabled><TargetBucket>no-bucket-of-this-name</TargetBucket><TargetPrefix/></LoggingEnabled></BucketLoggingStatus>", "InvalidTargetBucketForLogging")]
    public async Task A_wrong_setting_is_refused_and_changes_nothing(string document, string code)
    {
        var (bucket, target) = (await node.Client.NewBucketAsync(), await node.Client.NewBucketAsync());
        await EnableAsync(bucket, target);
        var body = document.Replace("TARGET", target, StringComparison.Ordinal).Replace("LONG", new('x', 1_000), StringComparison.Ordinal);
        Assert.Equal((400, code), (await node.Raw.PutAsync($"/{bucket}?logging", body)).Error);
        Assert.Equal(target, (await node.Client.GetBucketLoggingAsync(bucket)).BucketLoggingConfig.TargetBucketName);
    }

    [Fact]
    public async Task A_target_that_can_not_take_logs_is_refused()
    {
        var (s3, bucket) = (node.Client, await node.Client.NewBucketAsync());
        var user = await node.Node.NewUserAsync();
        using var theirs = node.Node.S3(user);
        await RefusedAsync(await theirs.NewBucketAsync());
        var locked = S3Clients.NewBucketName();
        await s3.PutBucketAsync(new PutBucketRequest { BucketName = locked, ObjectLockEnabledForBucket = true });
        await EnableAsync(bucket, locked); // a lock alone does no harm
        await s3.PutObjectLockConfigurationAsync(new() { BucketName = locked, ObjectLockConfiguration = new() { ObjectLockEnabled = ObjectLockEnabled.Enabled, Rule = new() { DefaultRetention = new() { Mode = ObjectLockRetentionMode.Governance, Days = 1 } } } });
        await RefusedAsync(locked);
        var paid = await s3.NewBucketAsync();
        await s3.PutBucketRequestPaymentAsync(new() { BucketName = paid, RequestPaymentConfiguration = new() { Payer = "Requester" } });
        await RefusedAsync(paid);
        var enforced = await s3.NewBucketAsync();
        await s3.PutBucketOwnershipControlsAsync(new() { BucketName = enforced, OwnershipControls = new() { Rules = [new() { ObjectOwnership = ObjectOwnership.BucketOwnerEnforced }] } });
        const string grants = "<TargetGrants><Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>root</ID></Grantee><Permission>READ</Permission></Grant></TargetGrants>";
        Assert.Equal((400, "AccessControlListNotSupported"), (await node.Raw.PutAsync($"/{bucket}?logging", Document(enforced, grants))).Error);
        Assert.Equal(200, (await node.Raw.PutAsync($"/{bucket}?logging", Document(enforced))).Status);

        async Task RefusedAsync(string target) => Assert.Equal((400, "InvalidTargetBucketForLogging"), (await node.Raw.PutAsync($"/{bucket}?logging", Document(target))).Error);
    }

    [Fact]
    public async Task Who_may_set_the_log_needs_a_right_to_write_where_it_goes_or_the_targets_grant_to_the_log_delivery_group()
    {
        var (bucket, target) = (await node.Client.NewBucketAsync(), await node.Client.NewBucketAsync());
        var setter = await node.Node.NewUserAsync(null, """{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutBucketLogging","s3:GetBucketLogging"],"Resource":"*"}]}""");
        var writer = await node.Node.NewUserAsync(null, $$"""{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:PutBucketLogging","Resource":"*"},{"Effect":"Allow","Action":"s3:PutObject","Resource":"arn:aws:s3:::{{target}}/p*"}]}""");
        Assert.Equal((400, "InvalidTargetBucketForLogging"), (await node.Node.Raw(setter).PutAsync($"/{bucket}?logging", Document(target))).Error);
        Assert.Equal(200, (await node.Node.Raw(writer).PutAsync($"/{bucket}?logging", Document(target))).Status);
        await node.Client.PutBucketAclAsync(new PutBucketAclRequest { BucketName = target, ACL = S3CannedACL.LogDeliveryWrite });
        Assert.Equal(200, (await node.Node.Raw(setter).PutAsync($"/{bucket}?logging", Document(target))).Status);
        Assert.Equal((403, "AccessDenied"), (await node.Node.Raw(writer).GetAsync($"/{bucket}?logging")).Error);
        Assert.Equal((403, "AccessDenied"), (await node.Node.Raw(await node.Node.NewUserAsync()).PutAsync($"/{bucket}?logging", "<BucketLoggingStatus/>")).Error);
    }

    private static string Document(string target, string grants = "") =>
        $"<BucketLoggingStatus xmlns=\"http://doc.s3.amazonaws.com/2006-03-01\"><LoggingEnabled><TargetBucket>{target}</TargetBucket><TargetPrefix>p/</TargetPrefix>{grants}</LoggingEnabled></BucketLoggingStatus>";

    private async Task EnableAsync(string bucket, string target) =>
        Assert.Equal(200, (await node.Raw.PutAsync($"/{bucket}?logging", Document(target))).Status);

    private async Task<string> LoggedBucketAsync(LogReader logs)
    {
        var bucket = await node.Client.NewBucketAsync();
        await EnableAsync(bucket, logs.Bucket);
        return bucket;
    }

    /// <summary>Waits until the node has written to its spool what is wanted.</summary>
    private static async Task SpooledAsync(NodeProcess node, Func<string, bool> enough)
    {
        var folder = Path.Combine(node.DataDirectory, "access-logs");
        using var changed = new SemaphoreSlim(0);
        using var watcher = new FileSystemWatcher(folder);
        watcher.Changed += (_, _) => changed.Release();
        watcher.EnableRaisingEvents = true;
        while (!Directory.GetFiles(folder).Any(f => enough(File.ReadAllText(f)))) Assert.True(await changed.WaitAsync(TimeSpan.FromMinutes(1)), "The node wrote nothing more.");
    }

    /// <summary>A line of an access log, in its fields.</summary>
    private sealed partial record LogLine(string Text)
    {
        public List<string> Fields { get; } = [.. Field().Matches(Text).Select(m => m.Value)];
        public string RequestId => Fields[5];
        public string Operation => Fields[6];
        public string Key => Fields[7];
        public string RequestLine => Fields[8];
        public string Status => Fields[9];
        public string ErrorCode => Fields[10];
        public string BytesSent => Fields[11];
        public string ObjectSize => Fields[12];

        [GeneratedRegex("\"[^\"]*\"|\\[[^\\]]*\\]|[^ ]+")]
        private static partial Regex Field();
    }

    /// <summary>A bucket that logs go to, read as its objects are made: the bucket's notifications say when.</summary>
    private sealed class LogReader(EventReceiver receiver, AmazonS3Client s3, string bucket) : IAsyncDisposable
    {
        public string Bucket => bucket;
        public List<string> Keys { get; } = [];
        public List<LogLine> Lines { get; } = [];

        /// <param name="bucket">Made anew; null for a name that no other test has.</param>
        public static async Task<LogReader> StartAsync(NodeProcess node, string? bucket = null)
        {
            bucket ??= S3Clients.NewBucketName("logs");
            var (receiver, s3, name) = (await EventReceiver.StartAsync(), node.S3(), "target-" + Guid.NewGuid().ToString("N")[..12]);
            using var made = await node.AdminAsync(HttpMethod.Post, "/v1/event-targets", new { name, url = receiver.Url });
            Assert.Equal(201, (int)made.StatusCode);
            await s3.PutBucketAsync(bucket);
            await s3.PutBucketNotificationAsync(new() { BucketName = bucket, QueueConfigurations = [new() { Id = "logs", Queue = $"arn:aws:sqs:us-east-1:000000000000:{name}", Events = [EventType.ObjectCreatedAll] }] });
            Assert.NotNull((await receiver.NextAsync()).Json["Event"]);
            var reader = new LogReader(receiver, s3, bucket);
            // Nobody is told of what was delivered before notifications were wanted.
            foreach (var there in (await s3.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects ?? []) await reader.ReadAsync(there.Key);
            return reader;
        }

        /// <summary>Reads log objects until their lines are enough.</summary>
        public async Task<List<LogLine>> UntilAsync(Func<List<LogLine>, bool> enough)
        {
            while (!enough(Lines)) await ReadAsync(WebUtility.UrlDecode((await receiver.NextAsync()).Key!));
            return Lines;
        }

        private async Task ReadAsync(string key)
        {
            if (Keys.Contains(key)) return;
            Keys.Add(key);
            Lines.AddRange((await s3.GetTextAsync(bucket, key)).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => new LogLine(l)));
        }

        public async ValueTask DisposeAsync()
        {
            s3.Dispose();
            await receiver.DisposeAsync();
        }
    }
}
