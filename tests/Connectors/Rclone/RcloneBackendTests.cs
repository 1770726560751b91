using System.Text;
using DarkStorage.Conformance.Drives;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;

namespace DarkStorage.Connectors.Rclone;

/// <summary>Places that are wrong, full, gone, or have other things in them than blobs.</summary>
public sealed class RcloneBackendTests(SftpServer sftp, FtpServer ftp, WebDavServer webDav) : RcloneTests(sftp, ftp, webDav)
{
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
        settings[field] = value ?? (field == "key" ? Sftp.OtherKey() : Sftp.HostKeys.Split(' ')[0] + " " + Sftp.OtherHostKey());
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

    [Theory, MemberData(nameof(Servers))]
    public async Task What_replaces_a_blob_of_the_same_length_and_second_is_there(string server)
    {
        using var program = NewProgram();
        await using var backend = Open(program, Server(server).NewPlace(out _));
        await backend.PrepareAsync(Ct);
        var name = BlobName.Parse("a");
        foreach (var value in new byte[] { 1, 2, 3 })
        {
            var content = Enumerable.Repeat(value, 1000).ToArray();
            await backend.PutAsync(name, BlobSource.Of(content), Ct);
            Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(1000)));
        }
    }

    [Fact]
    public async Task What_the_place_has_is_compared_by_its_checksum()
    {
        using var program = NewProgram();
        // rclone asks the server's shell, which is told to answer with that of nothing.
        await using var backend = Open(program, Sftp.NewPlace(out _), r => r with { Parameters = r.Parameters.SetItem("sha1sum_command", "echo da39a3ee5e6b4b0d3255bfef95601890afd80709 ").SetItem("md5sum_command", "md5sum") });
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
        await using var backend = Open(program, Sftp.NewPlace(out var folder));
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
        await using var backend = Open(program, Sftp.NewPlace(out var folder));
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
        var settings = Sftp.NewPlace(out _);
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
}
