using System.Diagnostics;
using System.Text;
using DarkStorage.Conformance.Drives;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;
using Microsoft.Extensions.Options;

namespace DarkStorage.Connectors.Rclone;

/// <summary>What breaks: rclone, the servers, the way to them, and what they are asked with.</summary>
public sealed class RcloneBackendTests(SftpServer sftp, FtpServer ftp, WebDavServer webDav) : IClassFixture<SftpServer>, IClassFixture<FtpServer>, IClassFixture<WebDavServer>
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    /// <summary>Names of the servers, for theories.</summary>
    public static TheoryData<string> Servers => ["sftp", "ftp", "webdav"];

    private LocalServer Server(string name) => name switch
    {
        "sftp" => sftp,
        "ftp" => ftp,
        _ => webDav,
    };

    /// <summary>Without the guard, which would try again.</summary>
    private static RcloneBackend Open(RcloneProgram program, Dictionary<string, string> settings, Func<RcloneRemote, RcloneRemote>? change = null)
    {
        var complete = RcloneConnector.On(program).Type.Complete(null, settings);
        var remote = RcloneConnector.RemoteOf(complete);
        return new(program, change?.Invoke(remote) ?? remote, TimeProvider.System);
    }

    private static RcloneProgram NewProgram(TimeProvider? clock = null, string program = "rclone") => new(program, clock ?? TimeProvider.System);

    [Theory]
    [InlineData("sftp", "key", null, BackendError.AccessDenied)]
    [InlineData("sftp", "host-keys", null, BackendError.AccessDenied)]
    [InlineData("sftp", "path", "/proc/no/such", BackendError.PlaceMissing)]
    [InlineData("sftp", "port", "1", BackendError.Unavailable)]
    [InlineData("ftp", "password", "wrong-password", BackendError.AccessDenied)]
    [InlineData("ftp", "port", "1", BackendError.Unavailable)]
    [InlineData("ftp", "host", "169.254.169.254", BackendError.Unavailable)]
    [InlineData("webdav", "password", "wrong-password", BackendError.AccessDenied)]
    [InlineData("webdav", "url", "http://127.0.0.1:1/", BackendError.Unavailable)]
    [InlineData("webdav", "url", "http://169.254.169.254/", BackendError.Unavailable)]
    [InlineData("webdav", "url", "https://169.254.169.254/", BackendError.Unavailable)]
    [InlineData("webdav", "remote-type", "storj", BackendError.PlaceMissing)]
    public async Task A_place_that_is_wrong_says_of_what_kind_it_is(string server, string field, string? value, BackendError expected)
    {
        using var program = NewProgram();
        var settings = Server(server).NewPlace(out _);
        if (field == "remote-type") settings = new() { ["path"] = "bucket", ["options"] = "access_grant=a-secret-grant" };
        settings[field] = value ?? (field == "key" ? sftp.OtherKey() : sftp.HostKeys.Split(' ')[0] + " " + sftp.OtherHostKey());
        await using var backend = Open(program, settings);
        var name = BlobName.Parse("a");
        foreach (var call in new Func<Task>[]
        {
            () => backend.PrepareAsync(Ct), () => backend.PutAsync(name, BlobSource.Of(new byte[1]), Ct), () => ReadAsync(backend, name, new(0, 0)), () => backend.StatAsync(name, Ct), () => backend.DeleteAsync(name, Ct),
            () => ListAsync(backend, ""), () => backend.CopyAsync(name, name, Ct), () => backend.CleanAsync(Ct),
        })
        {
            var error = await Assert.ThrowsAsync<BackendException>(call);
            Assert.True(error.Error == expected, error.ToString());
            if (value?.Contains("169.254", StringComparison.Ordinal) == true) Assert.Contains("link-local", error.Message, StringComparison.Ordinal);
            foreach (var secret in new[] { Server(server).Secret.Value.Split('\n').MaxBy(l => l.Length)!, "wrong-password", "a-secret-grant" }) Assert.DoesNotContain(secret, error.ToString(), StringComparison.Ordinal);
        }
    }

    [Theory, MemberData(nameof(Servers))]
    public async Task Where_the_mark_of_the_place_is_gone_nothing_is_written_and_nothing_said_to_be_missing(string server)
    {
        using var program = NewProgram();
        await using var backend = Open(program, Server(server).NewPlace(out var folder));
        await backend.PrepareAsync(Ct);
        var name = BlobName.Parse("a");
        await backend.PutAsync(name, BlobSource.Of(new byte[10]), Ct);
        // As where a drive of the server is not mounted.
        Directory.Move(folder, folder + "-away");
        Directory.CreateDirectory(folder);
        foreach (var call in new Func<Task>[]
        {
            () => backend.PutAsync(name, BlobSource.Of(new byte[1]), Ct), () => ReadAsync(backend, name, new(0, 0)), () => backend.StatAsync(name, Ct), () => backend.DeleteAsync(name, Ct), () => ListAsync(backend, ""),
            () => backend.CopyAsync(name, BlobName.Parse("b"), Ct), () => backend.CleanAsync(Ct),
        })
        {
            Assert.Equal(BackendError.PlaceMissing, (await Assert.ThrowsAsync<BackendException>(call)).Error);
        }
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder));
        Directory.Delete(folder);
        Directory.Move(folder + "-away", folder);
        Assert.Equal(10, (await backend.StatAsync(name, Ct))!.Length);
    }

    [Theory, MemberData(nameof(Servers))]
    public async Task A_blob_and_a_folder_of_one_name_can_not_both_be_and_neither_is_lost(string server)
    {
        using var program = NewProgram();
        await using var backend = Open(program, Server(server).NewPlace(out var folder));
        await backend.PrepareAsync(Ct);
        foreach (var (first, second) in new[] { ("a", "a/b"), ("c/d/e", "c/d"), ("f", "f/g/h") })
        {
            await backend.PutAsync(BlobName.Parse(first), BlobSource.Of(Encoding.UTF8.GetBytes(first)), Ct);
            Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse(second), BlobSource.Of(new byte[5]), Ct))).Error);
            Assert.Equal(first, Encoding.UTF8.GetString(await ReadAsync(backend, BlobName.Parse(first), ByteRange.All(first.Length))));
            Assert.Null(await backend.StatAsync(BlobName.Parse("c/d"), Ct));
        }
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(folder, RcloneBackend.Partials)));
        await backend.DeleteAsync(BlobName.Parse("c/d"), Ct);
        Assert.Equal(["a", "c/d/e", "f"], (await ListAsync(backend, "")).Order(StringComparer.Ordinal));
    }

    [Theory, MemberData(nameof(Servers))]
    public async Task A_put_in_which_rclone_is_killed_leaves_nothing_and_the_next_one_is_whole(string server)
    {
        using var program = NewProgram();
        await using var backend = Open(program, Server(server).NewPlace(out _));
        await backend.PrepareAsync(Ct);
        var name = BlobName.Parse("folder/long");
        var killed = await program.RunningAsync(Ct);
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, new NoticedSource(40 << 20, 20 << 20, () => Kill(killed.Id)), Ct));
        Assert.Equal(BackendError.Unavailable, error.Error);
        Assert.Null(await backend.StatAsync(name, Ct));
        Assert.Empty(await ListAsync(backend, ""));
        var whole = new PatternSource(3_000_000);
        await backend.PutAsync(name, whole, Ct);
        Assert.NotEqual(killed.Id, (await program.RunningAsync(Ct)).Id);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(whole.Length), Ct);
        await whole.AssertSameAsync(stream, Ct);
    }

    [Fact]
    public async Task A_read_in_which_rclone_is_killed_is_an_error_and_goes_on_behind_the_guard()
    {
        using var program = NewProgram();
        var settings = sftp.NewPlace(out _);
        await using var backend = Open(program, settings);
        await backend.PrepareAsync(Ct);
        var (name, source) = (BlobName.Parse("long"), new PatternSource(60L << 20));
        await backend.PutAsync(name, source, Ct);
        await using (var stream = await backend.OpenAsync(name, ByteRange.All(source.Length), Ct))
        {
            await stream.ReadExactlyAsync(new byte[1 << 20], Ct);
            Kill((await program.RunningAsync(Ct)).Id);
            Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => stream.CopyToAsync(Stream.Null, Ct))).Error);
        }
        await using var guarded = new Guards.GuardedBackend(Open(program, settings), "guarded", new(), TimeProvider.System);
        await using var again = await guarded.OpenAsync(name, ByteRange.All(source.Length), Ct);
        await using var breaking = new NoticedStream(again, 1 << 20, () => Kill(program.RunningAsync(Ct).GetAwaiter().GetResult().Id));
        await source.AssertSameAsync(breaking, Ct);
    }

    [Theory, MemberData(nameof(Servers))]
    public async Task A_put_in_which_the_server_is_killed_leaves_no_blob(string server)
    {
        var killed = Server(server);
        using var program = NewProgram();
        await using var backend = Open(program, killed.NewPlace(out var folder));
        await backend.PrepareAsync(Ct);
        var name = BlobName.Parse("long");
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, new NoticedSource(60 << 20, 20 << 20, () => killed.KillAsync().GetAwaiter().GetResult()), Ct));
        Assert.Equal(BackendError.Unavailable, error.Error);
        Assert.False(File.Exists(Path.Combine(folder, "long")));
        await killed.StartAsync();
        await Eventually.HoldsAsync("it is asked again", async () =>
        {
            try
            {
                return await backend.StatAsync(name, Ct) is null;
            }
            // A connection of before, of which rclone does not know yet.
            catch (BackendException e) when (e.IsTransient)
            {
                return false;
            }
        });
        Assert.Empty(await ListAsync(backend, ""));
        await backend.PutAsync(name, BlobSource.Of(new byte[100]), Ct);
        Assert.Equal(["long"], await ListAsync(backend, ""));
    }

    [Theory, InlineData("sftp"), InlineData("ftp")]
    public async Task A_place_that_is_full_says_so(string server)
    {
        using var drive = SmallDrive.Mount("tmpfs", 1);
        Directory.CreateDirectory(drive.DataDirectory);
        using var program = NewProgram();
        var settings = Server(server).NewPlace(out _);
        settings["path"] = drive.DataDirectory;
        await using var backend = Open(program, settings);
        await backend.PrepareAsync(Ct);
        await backend.PutAsync(BlobName.Parse("little"), BlobSource.Of(new byte[1000]), Ct);
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("much"), new PatternSource(8 << 20), Ct));
        Assert.True(error.Error == BackendError.Full, error.ToString());
        Assert.Equal(["little"], await ListAsync(backend, ""));
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(drive.DataDirectory, RcloneBackend.Partials)));
        program.Dispose();
        // The server's own processes end a moment after the connection.
        await Eventually.HoldsAsync("nobody has the drive open", () => !Directory.EnumerateDirectories("/proc").Any(p => int.TryParse(Path.GetFileName(p), out _) && Uses(p, drive.DataDirectory)));
    }

    private static bool Uses(string process, string folder)
    {
        try
        {
            return Directory.EnumerateFiles(Path.Combine(process, "fd")).Append(Path.Combine(process, "cwd")).Any(l => new FileInfo(l).LinkTarget?.StartsWith(folder, StringComparison.Ordinal) == true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It has ended.
            return false;
        }
    }

    [Fact]
    public async Task What_the_place_has_is_compared_by_its_checksum()
    {
        using var program = NewProgram();
        // rclone asks the server's shell, which is told to answer with that of nothing.
        await using var backend = Open(program, sftp.NewPlace(out _), r => r with { Parameters = r.Parameters.SetItem("sha1sum_command", "echo da39a3ee5e6b4b0d3255bfef95601890afd80709 ").SetItem("md5sum_command", "md5sum") });
        var name = BlobName.Parse("a");
        await backend.PrepareAsync(Ct);
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(new byte[1000]), Ct));
        Assert.Contains("is not what was sent", error.Message, StringComparison.Ordinal);
        Assert.Null(await backend.StatAsync(name, Ct));
    }

    [Fact]
    public async Task Files_of_puts_that_were_cut_off_go_when_they_are_old_and_empty_folders_at_once()
    {
        using var program = NewProgram();
        await using var backend = Open(program, sftp.NewPlace(out var folder));
        await backend.PrepareAsync(Ct);
        await backend.PutAsync(BlobName.Parse("deep/er/blob"), BlobSource.Of(new byte[1]), Ct);
        var partials = Path.Combine(folder, RcloneBackend.Partials);
        var (old, young, foreign) = (Path.Combine(partials, $"{Guid.NewGuid():N}"), Path.Combine(partials, $"{Guid.NewGuid():N}"), Path.Combine(partials, "theirs"));
        foreach (var file in new[] { old, young, foreign }) await File.WriteAllTextAsync(file, "x", Ct);
        foreach (var file in new[] { old, foreign }) File.SetLastWriteTimeUtc(file, DateTime.UtcNow.AddDays(-8));
        await backend.CleanAsync(Ct);
        Assert.Equal(new[] { young, foreign }.Order(StringComparer.Ordinal), Directory.EnumerateFiles(partials).Order(StringComparer.Ordinal));
        await backend.DeleteAsync(BlobName.Parse("deep/er/blob"), Ct);
        Assert.Equal([".darkstorage"], Directory.EnumerateFileSystemEntries(folder).Select(Path.GetFileName));
    }

    [Fact]
    public async Task Links_at_the_place_are_no_blobs()
    {
        using var program = NewProgram();
        await using var backend = Open(program, sftp.NewPlace(out var folder));
        await backend.PrepareAsync(Ct);
        await backend.PutAsync(BlobName.Parse("blob"), BlobSource.Of(new byte[1]), Ct);
        File.CreateSymbolicLink(Path.Combine(folder, "passwd"), "/etc/passwd");
        Directory.CreateSymbolicLink(Path.Combine(folder, "round"), folder);
        Assert.Equal(["blob"], await ListAsync(backend, ""));
    }

    [Fact]
    public async Task No_secret_is_on_the_command_line_in_a_file_or_known_by_whom_it_is_not_for()
    {
        using var program = NewProgram();
        var settings = sftp.NewPlace(out _);
        settings.Remove("key");
        settings["password"] = "a secret ' of, one=\"two\": [three]";
        await using var backend = Open(program, settings);
        await Assert.ThrowsAsync<BackendException>(() => backend.PrepareAsync(Ct));
        var process = await program.RunningAsync(Ct);
        var commandLine = await File.ReadAllTextAsync($"/proc/{process.Id}/cmdline", Ct);
        Assert.Contains("rcd", commandLine, StringComparison.Ordinal);
        Assert.DoesNotContain("secret", commandLine, StringComparison.OrdinalIgnoreCase);
        var environment = (await File.ReadAllTextAsync($"/proc/{process.Id}/environ", Ct)).Split('\0', StringSplitOptions.RemoveEmptyEntries).Select(v => v.Split('=')[0]);
        Assert.Equal(["GOMEMLIMIT", "HOME", "HTTPS_PROXY", "HTTP_PROXY", "PATH", "RCLONE_RC_PASS", "RCLONE_RC_USER"], environment.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_machine_without_rclone_is_told_what_to_install_and_has_its_other_connectors()
    {
        using var catalog = new ConnectorCatalog(TimeProvider.System, Options.Create(new RcloneOptions { Program = "no-such-rclone" }));
        await using var backend = catalog.Open("none", "rclone", catalog.Types.Single(t => t.Name == "rclone").Complete(null, sftp.NewPlace(out _)));
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PrepareAsync(Ct));
        Assert.Equal(BackendError.PlaceMissing, error.Error);
        Assert.StartsWith("There is no no-such-rclone on this node. Install rclone", error.Message, StringComparison.Ordinal);
        Assert.Contains("filesystem", catalog.Types.Select(t => t.Name));
    }

    [Fact]
    public async Task A_program_that_dies_again_and_again_is_started_later_and_later()
    {
        var clock = new ManualTime();
        using var program = NewProgram(clock, "/bin/false");
        program.Join();
        Assert.Contains("ended as it was started", (await Assert.ThrowsAsync<BackendException>(() => program.RunningAsync(Ct))).Message, StringComparison.Ordinal);
        Assert.Contains("ended as it was started", (await Assert.ThrowsAsync<BackendException>(() => program.RunningAsync(Ct))).Message, StringComparison.Ordinal);
        foreach (var seconds in new[] { 1, 2, 4 })
        {
            var left = await Assert.ThrowsAsync<BackendException>(() => program.RunningAsync(Ct));
            Assert.Equal((BackendError.Unavailable, TimeSpan.FromSeconds(seconds)), (left.Error, left.RetryAfter));
            clock.Advance(TimeSpan.FromSeconds(seconds));
            Assert.Contains("ended as it was started", (await Assert.ThrowsAsync<BackendException>(() => program.RunningAsync(Ct))).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task One_rclone_serves_all_and_ends_with_the_last()
    {
        using var program = NewProgram();
        var (one, two) = (Open(program, sftp.NewPlace(out _)), Open(program, ftp.NewPlace(out _)));
        await one.PrepareAsync(Ct);
        await two.PrepareAsync(Ct);
        var process = await program.RunningAsync(Ct);
        await one.DisposeAsync();
        Assert.Null(await two.StatAsync(BlobName.Parse("a"), Ct));
        Assert.False(process.HasExited);
        await two.DisposeAsync();
        await process.Exited.WaitAsync(Eventually.HangsAfter, Ct);
    }

    [Fact]
    public async Task A_node_that_is_killed_takes_its_rclone_with_it()
    {
        await using var node = await NodeProcess.StartAsync();
        using var added = await node.AdminAsync(HttpMethod.Post, "v1/integrations", new { name = "remote", type = "rclone", settings = sftp.NewPlace(out _) });
        Assert.True(added.IsSuccessStatusCode, await added.Content.ReadAsStringAsync(Ct));
        using var tested = await node.AdminAsync(HttpMethod.Post, "v1/integrations/remote/test", null);
        Assert.Contains("\"passed\":true", (await tested.Content.ReadAsStringAsync(Ct)).Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);
        var child = Assert.Single(Directory.EnumerateDirectories($"/proc/{node.ProcessId}/task").SelectMany(t => File.ReadAllText(Path.Combine(t, "children")).Split(' ', StringSplitOptions.RemoveEmptyEntries)));
        Assert.StartsWith("rclone", await File.ReadAllTextAsync($"/proc/{child}/comm", Ct), StringComparison.Ordinal);
        await node.KillAsync();
        await Eventually.HoldsAsync("rclone has ended", () => !Directory.Exists($"/proc/{child}") || File.ReadAllText($"/proc/{child}/stat").Contains(") Z ", StringComparison.Ordinal));
    }

    private static void Kill(int id)
    {
        using var process = Process.GetProcessById(id);
        process.Kill();
        process.WaitForExit();
    }

    private static async Task<byte[]> ReadAsync(IBackend backend, BlobName name, ByteRange range)
    {
        await using var stream = await backend.OpenAsync(name, range, Ct);
        using var content = new MemoryStream();
        await stream.CopyToAsync(content, Ct);
        return content.ToArray();
    }

    private static async Task<List<string>> ListAsync(IBackend backend, string prefix)
    {
        var names = new List<string>();
        await foreach (var blob in backend.ListAsync(prefix, Ct)) names.Add(blob.Name.Value);
        return names;
    }

    /// <summary>Content on which something happens, once, when it was read to a place.</summary>
    private sealed class NoticedSource(long length, long at, Action happens) : BlobSource
    {
        public override long Length => length;

        public override async ValueTask<Stream> OpenAsync(long offset, CancellationToken ct) => new NoticedStream(await new PatternSource(length).OpenAsync(offset, ct), at, happens);
    }

    private sealed class NoticedStream(Stream inner, long at, Action happens) : ReadOnlyStream
    {
        private long _position;
        private bool _happened;

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (_position >= at && !_happened)
            {
                _happened = true;
                await Task.Run(happens, cancellationToken);
            }
            var read = await inner.ReadAsync(buffer, cancellationToken);
            _position += read;
            return read;
        }
    }
}
