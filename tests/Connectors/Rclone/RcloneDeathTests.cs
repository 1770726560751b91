using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.TestKit;
using Microsoft.Extensions.Options;

namespace DarkStorage.Connectors.Rclone;

/// <summary>What dies: rclone, the servers, the node.</summary>
public sealed class RcloneDeathTests(SftpServer sftp, FtpServer ftp, WebDavServer webDav) : RcloneTests(sftp, ftp, webDav)
{
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
        var settings = Sftp.NewPlace(out _);
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
            Assert.Equal((BackendError.Unavailable, TimeSpan.FromSeconds(seconds) + RcloneProgram.TimerSlack), (left.Error, left.RetryAfter));
            clock.Advance(TimeSpan.FromSeconds(seconds));
            Assert.Contains("ended as it was started", (await Assert.ThrowsAsync<BackendException>(() => program.RunningAsync(Ct))).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task One_rclone_serves_all_and_ends_with_the_last()
    {
        using var program = NewProgram();
        var (one, two) = (Open(program, Sftp.NewPlace(out _)), Open(program, Server("ftp").NewPlace(out _)));
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
        using var added = await node.AdminAsync(HttpMethod.Post, "v1/integrations", new { name = "remote", type = "rclone", settings = Sftp.NewPlace(out _) });
        Assert.True(added.IsSuccessStatusCode, await added.Content.ReadAsStringAsync(Ct));
        using var tested = await node.AdminAsync(HttpMethod.Post, "v1/integrations/remote/test", null);
        Assert.Contains("\"passed\":true", (await tested.Content.ReadAsStringAsync(Ct)).Replace(" ", "", StringComparison.Ordinal), StringComparison.Ordinal);
        var child = Assert.Single(Directory.GetDirectories($"/proc/{node.ProcessId}/task").SelectMany(t => TextOf(Path.Combine(t, "children")).Split(' ', StringSplitOptions.RemoveEmptyEntries)));
        Assert.StartsWith("rclone", await File.ReadAllTextAsync($"/proc/{child}/comm", Ct), StringComparison.Ordinal);
        await node.KillAsync();
        await Eventually.HoldsAsync("rclone has ended", () => TextOf($"/proc/{child}/stat") is { } stat && (stat.Length == 0 || stat.Contains(") Z ", StringComparison.Ordinal)));

        // A thread or a process may end while it is looked at.
        static string TextOf(string path)
        {
            try
            {
                return File.ReadAllText(path);
            }
            catch (IOException)
            {
                return "";
            }
        }
    }

    [Fact]
    public async Task A_machine_without_rclone_is_told_what_to_install_and_has_its_other_connectors()
    {
        using var catalog = new ConnectorCatalog(TimeProvider.System, Options.Create(new RcloneOptions { Program = "no-such-rclone" }));
        await using var backend = catalog.Open("none", "rclone", catalog.Types.Single(t => t.Name == "rclone").Complete(null, Sftp.NewPlace(out _)));
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PrepareAsync(Ct));
        Assert.Equal(BackendError.PlaceMissing, error.Error);
        Assert.StartsWith("There is no no-such-rclone on this node. Install rclone", error.Message, StringComparison.Ordinal);
        Assert.Contains("filesystem", catalog.Types.Select(t => t.Name));
    }
}
