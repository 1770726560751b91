using System.Diagnostics;

namespace DarkStorage.Conformance;

/// <summary>The tools that people use, as they are installed on this machine, with the settings that their manuals give for an S3 server.</summary>
[Trait("Category", "Clients")]
[Trait("index", "none")]
public sealed class ClientTests(NodeFixture node) : IDisposable
{
    /// <summary>No tool here needs so long: what does, hangs.</summary>
    private static readonly TimeSpan HangsAfter = TimeSpan.FromMinutes(4);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("darkstorage-clients-");

    private string Endpoint => node.Node.S3Url.GetLeftPart(UriPartial.Authority);

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task Aws_makes_copies_syncs_lists_presigns_and_removes()
    {
        Require("aws");
        var bucket = S3Clients.NewBucketName("aws");
        var from = MakeTree("from");
        Task<string> S3(params string[] arguments) => RunAsync("aws", ["--endpoint-url", Endpoint, "s3", .. arguments]);

        await S3("mb", $"s3://{bucket}");
        Assert.Contains(bucket, await S3("ls"), StringComparison.Ordinal);
        // 20 MiB are past the tool's threshold of 8 MiB: three parts.
        await S3("cp", Path.Combine(from, "large"), $"s3://{bucket}/large", "--no-progress");
        await S3("cp", $"s3://{bucket}/large", Path.Combine(_folder.FullName, "large-again"), "--no-progress");
        AssertSame(Path.Combine(from, "large"), Path.Combine(_folder.FullName, "large-again"));
        Assert.EndsWith("-3\"", (await node.Client.GetObjectMetadataAsync(bucket, "large")).ETag, StringComparison.Ordinal);

        await S3("sync", from, $"s3://{bucket}/tree", "--no-progress");
        // Of an object in parts the tool asks for the tags first.
        await S3("cp", $"s3://{bucket}/tree/large", $"s3://{bucket}/large-copy", "--no-progress");
        Assert.Equal(File.ReadAllBytes(Path.Combine(from, "large")), await node.Client.GetBytesAsync(bucket, "large-copy"));
        var to = Path.Combine(_folder.FullName, "to");
        await S3("sync", $"s3://{bucket}/tree", to, "--no-progress");
        AssertSameTree(from, to);
        Assert.Equal("", await S3("sync", $"s3://{bucket}/tree", to, "--no-progress"));

        File.Delete(Path.Combine(from, "small"));
        await S3("sync", from, $"s3://{bucket}/tree", "--no-progress", "--delete");
        var listed = await S3("ls", $"s3://{bucket}/tree/", "--recursive");
        Assert.DoesNotContain("tree/small", listed, StringComparison.Ordinal);
        Assert.Equal(Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories).Count(), listed.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);

        using var http = new HttpClient();
        var url = (await S3("presign", $"s3://{bucket}/large", "--expires-in", "300")).Trim();
        Assert.Equal(File.ReadAllBytes(Path.Combine(from, "large")), await http.GetByteArrayAsync(url));

        await S3("rm", $"s3://{bucket}/tree", "--recursive");
        await S3("rb", $"s3://{bucket}", "--force");
        Assert.DoesNotContain(bucket, await S3("ls"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Aws_s3api_speaks_the_operations_themselves()
    {
        Require("aws");
        var bucket = S3Clients.NewBucketName("awsapi");
        var file = Path.Combine(_folder.FullName, "file");
        await File.WriteAllTextAsync(file, "content");
        Task<string> Api(params string[] arguments) => RunAsync("aws", ["--endpoint-url", Endpoint, "--output", "text", "s3api", .. arguments]);

        await Api("create-bucket", "--bucket", bucket);
        await Api("put-object", "--bucket", bucket, "--key", "key", "--body", file, "--checksum-algorithm", "SHA256", "--metadata", "name=value", "--content-type", "text/x-own");
        Assert.Equal("text/x-own\tvalue", (await Api("head-object", "--bucket", bucket, "--key", "key", "--query", "[ContentType,Metadata.name]")).Trim());
        Assert.Equal(Checksums.Base64("SHA256", "content"u8), (await Api("head-object", "--bucket", bucket, "--key", "key", "--checksum-mode", "ENABLED", "--query", "ChecksumSHA256")).Trim());
        await Api("get-object", "--bucket", bucket, "--key", "key", "--range", "bytes=0-2", file);
        Assert.Equal("con", await File.ReadAllTextAsync(file));
        await Api("delete-objects", "--bucket", bucket, "--delete", "Objects=[{Key=key}]");
        await Api("delete-bucket", "--bucket", bucket);
    }

    [Fact]
    public async Task Botocore_presigns_forms_that_another_posts()
    {
        // Debian's tool brings a botocore of its own.
        const string Script = """
            import importlib, sys, urllib3
            try: from awscli.botocore.session import get_session
            except ImportError: from botocore.session import get_session
            config = importlib.import_module(get_session.__module__.replace("session", "config")).Config
            endpoint, bucket = sys.argv[1:]
            s3 = get_session().create_client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config(signature_version="s3v4", s3={"addressing_style": "path"}))
            http = urllib3.PoolManager()
            def post(key, content, content_type, **more):
                form = s3.generate_presigned_post(bucket, "in/${filename}", Fields={"Content-Type": content_type, "success_action_status": "201"}, ExpiresIn=60,
                    Conditions=[["starts-with", "$Content-Type", "image/"], ["content-length-range", 1, 100000], {"success_action_status": "201"}])
                answer = http.request("POST", form["url"], fields={**form["fields"], **more, "file": (key, content)})
                return f"{answer.status} {'PostResponse' if b'<PostResponse>' in answer.data else answer.data.decode().split('<Code>')[1].split('</Code>')[0]}"
            print(post("a b.png", b"x" * 100000, "image/png"))
            print(post("c.png", b"x" * 100001, "image/png"))
            print(post("d.png", b"x", "text/html"))
            print(post("e.png", b"x", "image/png", acl="public-read"))
            """;
        Require("aws");
        Require("python3");
        var bucket = await node.Client.NewBucketAsync();
        var printed = await RunAsync("python3", ["-c", Script, Endpoint, bucket]);
        Assert.Equal(["201 PostResponse", "400 EntityTooLarge", "403 AccessDenied", "403 AccessDenied"], printed.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal(100_000, (await node.Client.GetBytesAsync(bucket, "in/a b.png")).Length);
        Assert.Single((await node.Client.ListObjectsV2Async(new() { BucketName = bucket })).S3Objects);
    }

    [Theory, InlineData(4), InlineData(2)]
    public async Task Rclone_copies_syncs_and_checks(int signatureVersion)
    {
        Require("rclone");
        var bucket = S3Clients.NewBucketName("rclone");
        var from = MakeTree("from");
        Task<string> Rclone(params string[] arguments) => RunAsync("rclone",
        [
            "--config", Path.Combine(_folder.FullName, "none.conf"), "--s3-provider", "Other", "--s3-endpoint", Endpoint, "--s3-access-key-id", node.Node.Settings.AccessKey, "--s3-secret-access-key", node.Node.Settings.SecretKey, "--s3-region", "us-east-1",
            "--s3-force-path-style", signatureVersion == 2 ? "--s3-v2-auth" : "--s3-v2-auth=false", "--s3-chunk-size", "5M", "--s3-upload-cutoff", "6M", "--retries", "1", "--low-level-retries", "1", .. arguments,
        ]);

        await Rclone("mkdir", $":s3:{bucket}");
        await Rclone("copy", from, $":s3:{bucket}/tree");
        Assert.EndsWith("-4\"", (await node.Client.GetObjectMetadataAsync(bucket, "tree/large")).ETag, StringComparison.Ordinal);
        await Rclone("check", from, $":s3:{bucket}/tree");
        await Rclone("check", "--download", from, $":s3:{bucket}/tree");

        await File.WriteAllTextAsync(Path.Combine(from, "small"), "changed since");
        File.Delete(Path.Combine(from, "a folder", "empty"));
        await Assert.ThrowsAsync<InvalidOperationException>(() => Rclone("check", from, $":s3:{bucket}/tree"));
        await Rclone("sync", from, $":s3:{bucket}/tree");
        await Rclone("check", "--download", from, $":s3:{bucket}/tree");
        await Rclone("copy", $":s3:{bucket}/tree", $":s3:{bucket}/again");
        var to = Path.Combine(_folder.FullName, "to");
        await Rclone("copy", $":s3:{bucket}/again", to);
        AssertSameTree(from, to);
        await Rclone("purge", $":s3:{bucket}");
        await Refused.WithAsync("NoSuchBucket", HttpStatusCode.NotFound, () => node.Client.ListObjectsV2Async(new() { BucketName = bucket }));
    }

    [Theory, InlineData(4), InlineData(2)]
    public async Task S3cmd_puts_gets_syncs_and_lists(int signatureVersion)
    {
        Require("s3cmd");
        var bucket = S3Clients.NewBucketName("s3cmd");
        var from = MakeTree("from");
        var config = Path.Combine(_folder.FullName, "s3cfg");
        await File.WriteAllTextAsync(config, $"""
            [default]
            access_key = {node.Node.Settings.AccessKey}
            secret_key = {node.Node.Settings.SecretKey}
            host_base = {node.Node.S3Url.Authority}
            host_bucket = {node.Node.S3Url.Authority}
            use_https = False
            signature_v2 = {signatureVersion == 2}
            bucket_location = us-east-1
            multipart_chunk_size_mb = 5
            """);
        Task<string> S3cmd(params string[] arguments) => RunAsync("s3cmd", ["--config", config, "--no-progress", .. arguments]);

        await S3cmd("mb", $"s3://{bucket}");
        await S3cmd("put", Path.Combine(from, "large"), $"s3://{bucket}/large");
        Assert.EndsWith("-4\"", (await node.Client.GetObjectMetadataAsync(bucket, "large")).ETag, StringComparison.Ordinal);
        await S3cmd("get", $"s3://{bucket}/large", Path.Combine(_folder.FullName, "large-again"));
        AssertSame(Path.Combine(from, "large"), Path.Combine(_folder.FullName, "large-again"));
        await S3cmd("sync", from + "/", $"s3://{bucket}/tree/");
        var to = Path.Combine(_folder.FullName, "to") + "/";
        Directory.CreateDirectory(to);
        await S3cmd("sync", $"s3://{bucket}/tree/", to);
        AssertSameTree(from, to);
        Assert.Contains($"s3://{bucket}/tree/small", await S3cmd("ls", "--recursive", $"s3://{bucket}"), StringComparison.Ordinal);
        await S3cmd("cp", $"s3://{bucket}/tree/small", $"s3://{bucket}/copied");
        Assert.Equal(await File.ReadAllBytesAsync(Path.Combine(from, "small")), await node.Client.GetBytesAsync(bucket, "copied"));
        await S3cmd("del", "--recursive", "--force", $"s3://{bucket}");
        await S3cmd("rb", $"s3://{bucket}");
    }

    [Fact]
    public async Task Restic_backs_up_checks_and_restores_what_it_was_given()
    {
        Require("restic");
        var bucket = S3Clients.NewBucketName("restic");
        var from = MakeTree("from");
        Task<string> Restic(params string[] arguments) =>
            RunAsync("restic", ["--no-cache", "--repo", $"s3:{Endpoint}/{bucket}/repository", .. arguments], ("RESTIC_PASSWORD", "a password of this test"));

        await Restic("init");
        await Restic("backup", from);
        await File.WriteAllTextAsync(Path.Combine(from, "small"), "changed since");
        await Restic("backup", from);
        await Restic("check", "--read-data");
        var to = Path.Combine(_folder.FullName, "to");
        await Restic("restore", "latest", "--target", to, "--verify");
        AssertSameTree(from, to + from);
        await Restic("forget", "--keep-last", "1", "--prune");
        await Restic("check", "--read-data");
    }

    [Fact]
    public async Task The_AWS_SDK_for_JavaScript_works_with_its_defaults()
    {
        Require("npm");
        Require("node");
        foreach (var file in Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "js"))) File.Copy(file, Path.Combine(_folder.FullName, Path.GetFileName(file)));
        await RunAsync("npm", ["ci", "--no-audit", "--no-fund", "--ignore-scripts"], ("npm_config_update_notifier", "false"));
        var output = await RunAsync("node", ["client.mjs"], ("ENDPOINT", Endpoint), ("BUCKET", S3Clients.NewBucketName("js")));
        Assert.Contains("all is well", output, StringComparison.Ordinal);
    }

    /// <summary>Files of the sizes and names that tools stumble over.</summary>
    private string MakeTree(string name)
    {
        var root = _folder.CreateSubdirectory(name);
        var random = new Random(1);
        foreach (var (file, size) in ((string, int)[])[("small", 20), ("a folder/empty", 0), ("a folder/ümläut & +.txt", 5_000), ("a folder/deeper/100% #1", 70_000), ("large", 20 << 20)])
        {
            var path = Path.Combine(root.FullName, file);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            var content = new byte[size];
            random.NextBytes(content);
            File.WriteAllBytes(path, content);
        }
        return root.FullName;
    }

    private static void AssertSame(string expected, string actual) =>
        Assert.True(File.ReadAllBytes(expected).Same(File.ReadAllBytes(actual)), $"{actual} differs from {expected}");

    private static void AssertSameTree(string expected, string actual)
    {
        static List<string> Names(string root) => [.. Directory.EnumerateFiles(root, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(root, f)).Order(StringComparer.Ordinal)];
        Assert.Equal(Names(expected), Names(actual));
        foreach (var name in Names(expected)) AssertSame(Path.Combine(expected, name), Path.Combine(actual, name));
    }

    /// <summary>Skips where a tool is not installed, except where eng/test.sh has seen to it that all are.</summary>
    private static void Require(string tool)
    {
        if (Find(tool) is not null) return;
        if (Environment.GetEnvironmentVariable("DARKSTORAGE_TEST_CLIENTS") == "required") Assert.Fail($"{tool} is not installed.");
        Assert.Skip($"{tool} is not installed.");
    }

    /// <summary>The distribution's own first: a version manager may have put another thing of that name before it.</summary>
    private static string? Find(string tool) =>
        ((string[])["/usr/bin", .. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')]).Select(p => Path.Combine(p, tool)).FirstOrDefault(File.Exists);

    /// <exception cref="InvalidOperationException">It failed; with what it said.</exception>
    private async Task<string> RunAsync(string tool, string[] arguments, params (string Name, string Value)[] environment)
    {
        var info = new ProcessStartInfo(Find(tool)!, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true, WorkingDirectory = _folder.FullName };
        foreach (var (name, value) in ((string, string)[])
        [
            ("AWS_ACCESS_KEY_ID", node.Node.Settings.AccessKey), ("AWS_SECRET_ACCESS_KEY", node.Node.Settings.SecretKey), ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_CONFIG_FILE", "/dev/null"), ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
            ("AWS_MAX_ATTEMPTS", "1"), ("LC_ALL", "C.UTF-8"), .. environment,
        ])
            info.Environment[name] = value;
        // What belongs to this machine's own clouds and certificates is none of the node's.
        foreach (var name in (string[])["AWS_CA_BUNDLE", "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"]) info.Environment.Remove(name);
        using var process = Process.Start(info)!;
        process.StandardInput.Close();
        var (output, error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        try
        {
            await process.WaitForExitAsync().WaitAsync(HangsAfter);
        }
        finally
        {
            if (!process.HasExited) process.Kill(entireProcessTree: true);
        }
        if (process.ExitCode == 0) return await output;
        throw new InvalidOperationException($"{tool} {string.Join(' ', arguments)} ended with {process.ExitCode}:\n{await output}\n{await error}");
    }
}
