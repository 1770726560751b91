using System.Buffers.Binary;
using System.Security.Cryptography;

namespace DarkStorage.Conformance.Drives;

[Collection(nameof(Drives))]
public sealed class RefusedDataDirectoryTests
{
    /// <summary>Where SQLite keeps <c>user_version</c>, big-endian (its file format, section 1.3).</summary>
    private const int UserVersionAt = 60;

    [Fact]
    public async Task A_blob_store_of_a_newer_format_is_refused()
    {
        await using var node = await StoppedNodeAsync();
        var format = Path.Combine(node.DataDirectory, "blobs", "format");
        var words = (await File.ReadAllTextAsync(format)).Split(' ');
        await File.WriteAllTextAsync(format, $"{words[0]} {int.Parse(words[1], null) + 1} {words[2]}");
        await AssertRefusedAsync(node.DataDirectory, "format 2", "newer version");
    }

    [Trait("index", "sqlite")]
    [Fact]
    public async Task An_index_of_a_newer_format_is_refused()
    {
        await using var node = await StoppedNodeAsync();
        using (var file = File.OpenHandle(Path.Combine(node.DataDirectory, "index.db"), FileMode.Open, FileAccess.ReadWrite))
        {
            var version = new byte[4];
            RandomAccess.Read(file, version, UserVersionAt);
            Assert.InRange(BinaryPrimitives.ReadInt32BigEndian(version), 1, 1000);
            BinaryPrimitives.WriteInt32BigEndian(version, 4711);
            RandomAccess.Write(file, version, UserVersionAt);
        }
        await AssertRefusedAsync(node.DataDirectory, "index.db", "4711", "newer version");
    }

    [Trait("index", "sqlite")]
    [Fact]
    public async Task An_index_that_is_no_database_is_refused()
    {
        await using var node = await StoppedNodeAsync();
        await File.WriteAllBytesAsync(Path.Combine(node.DataDirectory, "index.db"), S3Clients.Content(100_000));
        await AssertRefusedAsync(node.DataDirectory, "index.db");
    }

    [Fact]
    public async Task A_data_directory_that_another_process_holds_is_refused_and_the_other_goes_on()
    {
        await using var node = await NodeProcess.StartAsync();
        using var s3 = node.S3();
        var bucket = await s3.NewBucketAsync();
        await s3.PutTextAsync(bucket, "key", "content");
        var refused = await RunAsync(node.DataDirectory);
        AssertOneLine(refused, node.DataDirectory, "in use by another process");
        await s3.PutTextAsync(bucket, "later", "more");
        Assert.Equal("content", await s3.GetTextAsync(bucket, "key"));
        Assert.Equal("more", await s3.GetTextAsync(bucket, "later"));
    }

    [Fact]
    public async Task A_data_directory_that_is_a_file_is_refused()
    {
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, "somebody's");
            AssertOneLine(await RunAsync(file), file);
            Assert.Equal("somebody's", await File.ReadAllTextAsync(file));
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task Packs_without_their_format_file_are_refused()
    {
        await using var node = await StoppedNodeAsync();
        File.Delete(Path.Combine(node.DataDirectory, "blobs", "format"));
        await AssertRefusedAsync(node.DataDirectory, "'format'");
    }

    [Fact]
    public async Task A_drive_that_is_read_only_is_refused()
    {
        using var drive = SmallDrive.Mount("tmpfs", 64);
        await using (var node = await NodeProcess.StartAsync(new() { DataDirectory = drive.DataDirectory, Environment = SmallStore }))
        {
            using var s3 = node.S3();
            await s3.PutTextAsync(await s3.NewBucketAsync(), "key", "content");
            Assert.Equal(0, await node.TerminateAsync());
        }
        drive.MakeReadOnly();
        await AssertRefusedAsync(drive.DataDirectory, drive.DataDirectory, "Read-only");
    }

    [Fact]
    public async Task An_empty_drive_that_is_read_only_is_refused()
    {
        using var drive = SmallDrive.Mount("tmpfs", 64);
        drive.MakeReadOnly();
        AssertOneLine(await RunAsync(drive.DataDirectory), drive.DataDirectory, "Read-only");
    }

    private static readonly Dictionary<string, string> SmallStore =
        DriveNode.QuickGarbage.With(("Blobs__PackBytes", $"{8 << 20}"), ("Blobs__ReservedBytes", "0"));

    private static async Task<NodeProcess> StoppedNodeAsync()
    {
        var node = await NodeProcess.StartAsync();
        using var s3 = node.S3();
        await s3.PutBytesAsync(await s3.NewBucketAsync(), "key", S3Clients.Content(50_000));
        Assert.Equal(0, await node.TerminateAsync());
        return node;
    }

    private static Task<ProgramRun> RunAsync(string data) => NodeProcess.RunAsync(
        ["--data", data, "--s3-url", "http://127.0.0.1:0", "--management-url", "http://127.0.0.1:0"],
        new Dictionary<string, string> { ["DARKSTORAGE_ROOT_ACCESS_KEY"] = "testkit-root", ["DARKSTORAGE_ROOT_SECRET_KEY"] = "testkit-root-secret-0123456789" });

    private static async Task AssertRefusedAsync(string data, params string[] words)
    {
        var before = Snapshot(data);
        AssertOneLine(await RunAsync(data), words);
        Assert.Equal(before, Snapshot(data));
    }

    private static void AssertOneLine(ProgramRun run, params string[] words)
    {
        Assert.Equal(1, run.ExitCode);
        var line = Assert.Single(run.Error.TrimEnd('\n').Split('\n'));
        Assert.StartsWith("darkstorage-silo: ", line, StringComparison.Ordinal);
        foreach (var word in words) Assert.Contains(word, line, StringComparison.Ordinal);
    }

    /// <summary>Every file and what is in it.</summary>
    private static List<string> Snapshot(string folder) => [.. Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
        .Order(StringComparer.Ordinal)
        .Select(path => $"{path} {Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(path)))}")];
}
