using DarkStorage.Conformance.Drives;
using DarkStorage.Connectors.Filesystem;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Filesystem;

/// <summary>Folders, a full drive, a read-only mount, and what others put there.</summary>
public sealed class FilesystemBackendTests(ITestOutputHelper output) : BackendConformance(output), IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-backend-").FullName;
    private int _places;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string NewFolder() => Path.Combine(_folder, $"place-{Interlocked.Increment(ref _places)}");

    private protected override Task<IBackend> NewAsync() => Task.FromResult<IBackend>(new FilesystemBackend(NewFolder(), TimeProvider.System));

    [Theory, InlineData("tmpfs"), InlineData("ext4")]
    public async Task A_full_drive_refuses_the_put_and_keeps_what_it_has(string kind)
    {
        using var drive = SmallDrive.Mount(kind, 32);
        await using var backend = new FilesystemBackend(drive.DataDirectory, TimeProvider.System);
        await backend.PrepareAsync(Ct);
        var (first, second) = (BlobName.Parse("first"), BlobName.Parse("second"));
        var content = Content(1 << 20);
        await backend.PutAsync(first, BlobSource.Of(content), Ct);
        drive.FillCompletely();

        foreach (var name in new[] { first, second })
            Assert.Equal(BackendError.Full, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(Content(1 << 20)), Ct))).Error);
        Assert.Equal(content, await ReadAsync(backend, first, ByteRange.All(content.Length)));
        Assert.Null(await backend.StatAsync(second, Ct));
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(drive.DataDirectory, ".darkstorage", "partial")));

        drive.RemoveForeignFile();
        await backend.PutAsync(second, BlobSource.Of(content), Ct);
        Assert.Equal(content, await ReadAsync(backend, second, ByteRange.All(content.Length)));
    }

    [Fact]
    public async Task A_read_only_mount_serves_reads_and_says_why_it_takes_nothing()
    {
        using var drive = SmallDrive.Mount("tmpfs", 8);
        await using var backend = new FilesystemBackend(drive.DataDirectory, TimeProvider.System);
        await backend.PrepareAsync(Ct);
        var name = BlobName.Parse("there");
        await backend.PutAsync(name, BlobSource.Of(new byte[10]), Ct);
        drive.MakeReadOnly();

        foreach (var change in new Func<Task>[] { () => backend.PutAsync(BlobName.Parse("new"), BlobSource.Of(new byte[1]), Ct), () => backend.DeleteAsync(name, Ct) })
        {
            var error = await Assert.ThrowsAsync<BackendException>(change);
            Assert.Equal(BackendError.AccessDenied, error.Error);
            Assert.Contains("read-only", error.Message, StringComparison.OrdinalIgnoreCase);
        }
        Assert.Equal(new byte[10], await ReadAsync(backend, name, new(0, 9)));
    }

    [Fact]
    public async Task A_mount_that_is_gone_is_not_an_empty_place()
    {
        var folder = NewFolder();
        await using var backend = new FilesystemBackend(folder, TimeProvider.System);
        await backend.PrepareAsync(Ct);
        var name = BlobName.Parse("blob");
        await backend.PutAsync(name, BlobSource.Of(new byte[10]), Ct);
        // What an unmounted share leaves: the mount point.
        Directory.Move(folder, folder + "-away");
        Directory.CreateDirectory(folder);

        foreach (var call in new Func<Task>[]
        {
            () => backend.PutAsync(name, BlobSource.Of(new byte[1]), Ct), () => backend.StatAsync(name, Ct), () => ReadAsync(backend, name, new(0, 9)), () => backend.DeleteAsync(name, Ct),
            () => ListAsync(backend, ""), () => backend.CleanAsync(Ct), () => backend.CopyAsync(name, name, Ct),
        })
        {
            Assert.Equal(BackendError.PlaceMissing, (await Assert.ThrowsAsync<BackendException>(call)).Error);
        }
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder));

        Directory.Delete(folder);
        Directory.Move(folder + "-away", folder);
        Assert.Equal(10, (await backend.StatAsync(name, Ct))!.Length);
    }

    [Fact]
    public async Task A_place_keeps_its_id_and_one_that_was_made_ready_before_gets_one()
    {
        var folder = NewFolder();
        await using var before = new FilesystemBackend(folder, TimeProvider.System);
        await before.PrepareAsync(Ct);
        var name = BlobName.Parse("there");
        await before.PutAsync(name, BlobSource.Of(new byte[10]), Ct);
        var id = await before.IdentifyAsync(Ct);
        Assert.True(Guid.TryParseExact(id, "N", out _));
        await before.PrepareAsync(Ct);
        Assert.Equal(id, await before.IdentifyAsync(Ct));
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(folder, ".darkstorage", "partial")));

        await using var now = new FilesystemBackend(folder, TimeProvider.System, id);
        Assert.Equal(10, (await now.StatAsync(name, Ct))!.Length);
        Assert.Null(await now.StatAsync(BlobName.Parse("none"), Ct));
        await now.PutAsync(BlobName.Parse("new"), BlobSource.Of(new byte[5]), Ct);
        await now.DeleteAsync(name, Ct);
    }

    [Fact]
    public async Task Many_that_ask_a_new_place_for_its_id_are_told_one()
    {
        for (var round = 0; round < 50; round++)
        {
            var folder = NewFolder();
            await using var backend = new FilesystemBackend(folder, TimeProvider.System);
            await backend.PrepareAsync(Ct);
            var ids = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => backend.IdentifyAsync(Ct)));
            Assert.Equal([await backend.IdentifyAsync(Ct)], ids.Distinct());
            Assert.Empty(Directory.EnumerateFiles(Path.Combine(folder, ".darkstorage", "partial")));
        }
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task A_place_that_was_made_ready_where_another_should_be_is_not_that(bool hasId)
    {
        var (folder, name) = (NewFolder(), BlobName.Parse("name"));
        await using var mounted = new FilesystemBackend(folder, TimeProvider.System);
        await mounted.PrepareAsync(Ct);
        var id = await mounted.IdentifyAsync(Ct);
        Directory.Move(folder, folder + "-away");
        await using var made = new FilesystemBackend(folder, TimeProvider.System);
        await made.PrepareAsync(Ct);
        if (hasId) Assert.NotEqual(id, await made.IdentifyAsync(Ct));
        await made.PutAsync(name, BlobSource.Of(new byte[1]), Ct);

        await using var backend = new FilesystemBackend(folder, TimeProvider.System, id);
        foreach (var call in new Func<Task>[]
        {
            () => backend.PutAsync(name, BlobSource.Of(new byte[1]), Ct), () => backend.DeleteAsync(name, Ct), () => backend.CopyAsync(name, BlobName.Parse("copy"), Ct), () => backend.CleanAsync(Ct),
            () => backend.StatAsync(BlobName.Parse("none"), Ct), async () => await backend.ListAsync("", Ct).AnyAsync(Ct), () => backend.OpenAsync(BlobName.Parse("none"), new(0, 0), Ct), () => backend.IdentifyAsync(Ct),
        })
        {
            var error = await Assert.ThrowsAsync<BackendException>(call);
            Assert.Equal(BackendError.PlaceMissing, error.Error);
            Assert.Contains($"it should say {id}", error.Message, StringComparison.Ordinal);
        }
        Assert.True(File.Exists(Path.Combine(folder, "name")));
    }

    [Fact]
    public async Task Links_that_others_put_there_lead_nowhere()
    {
        var folder = NewFolder();
        await using var backend = new FilesystemBackend(folder, TimeProvider.System);
        await backend.PrepareAsync(Ct);
        var outside = Directory.CreateDirectory(Path.Combine(_folder, "outside")).FullName;
        var secret = Path.Combine(outside, "secret");
        await File.WriteAllTextAsync(secret, "secret", Ct);
        File.CreateSymbolicLink(Path.Combine(folder, "file"), secret);
        Directory.CreateSymbolicLink(Path.Combine(folder, "folder"), outside);

        foreach (var text in new[] { "file", "folder/secret", "folder/new" })
        {
            var name = BlobName.Parse(text);
            foreach (var call in new Func<Task>[]
            {
                () => backend.StatAsync(name, Ct), () => ReadAsync(backend, name, new(0, 0)), () => backend.PutAsync(name, BlobSource.Of(new byte[1]), Ct), () => backend.DeleteAsync(name, Ct),
                () => backend.CopyAsync(name, BlobName.Parse("copy"), Ct),
            })
            {
                Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(call)).Error);
            }
        }
        Assert.Empty(await ListAsync(backend, ""));
        Assert.Equal("secret", await File.ReadAllTextAsync(secret, Ct));
        Assert.Equal([secret], Directory.EnumerateFileSystemEntries(outside));
    }

    [Fact]
    public async Task A_blob_and_a_folder_of_one_name_are_refused_and_nothing_is_lost()
    {
        await using var backend = await ReadyAsync();
        var (blob, below) = (BlobName.Parse("a/b"), BlobName.Parse("a/b/c"));
        await backend.PutAsync(blob, BlobSource.Of(new byte[10]), Ct);
        Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(below, BlobSource.Of(new byte[1]), Ct))).Error);
        Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[1]), Ct))).Error);
        Assert.Null(await backend.StatAsync(below, Ct));
        Assert.Null(await backend.StatAsync(BlobName.Parse("a"), Ct));
        Assert.Equal(10, (await backend.StatAsync(blob, Ct))!.Length);
    }

    [Theory, InlineData(".darkstorage"), InlineData(".darkstorage/partial/x")]
    public async Task The_stores_own_folder_has_no_blobs(string text)
    {
        await using var backend = await ReadyAsync();
        Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse(text), BlobSource.Of(new byte[1]), Ct))).Error);
        Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(BlobName.Parse(text), Ct))).Error);
    }

    [Fact]
    public async Task What_a_crash_cut_off_long_ago_is_cleaned_and_what_is_under_way_is_not()
    {
        var folder = NewFolder();
        await using var backend = new FilesystemBackend(folder, TimeProvider.System);
        await backend.PrepareAsync(Ct);
        var (old, young) = (Path.Combine(folder, ".darkstorage/partial/0123456789abcdef0123456789abcdef"), Path.Combine(folder, ".darkstorage/partial/f123456789abcdef0123456789abcdef"));
        var foreign = Path.Combine(folder, ".darkstorage/partial/foreign");
        await File.WriteAllTextAsync(old, "left", Ct);
        await File.WriteAllTextAsync(young, "under way", Ct);
        await File.WriteAllTextAsync(foreign, "not ours", Ct);
        foreach (var file in new[] { old, foreign }) File.SetLastWriteTimeUtc(file, DateTime.UtcNow.AddDays(-8));
        await backend.CleanAsync(Ct);
        Assert.Equal(new[] { young, foreign }.Order(), Directory.EnumerateFiles(Path.GetDirectoryName(young)!).Order());
    }

    [Fact]
    public async Task A_file_that_shrinks_while_it_is_read_is_an_error()
    {
        var folder = NewFolder();
        await using var backend = new FilesystemBackend(folder, TimeProvider.System);
        await backend.PrepareAsync(Ct);
        var name = BlobName.Parse("shrinks");
        await backend.PutAsync(name, BlobSource.Of(Content(1 << 20)), Ct);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(1 << 20), Ct);
        await stream.ReadExactlyAsync(new byte[1000], Ct);
        await using (var file = new FileStream(Path.Combine(folder, "shrinks"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) file.SetLength(2000);
        Assert.Equal(BackendError.WrongLength, (await Assert.ThrowsAsync<BackendException>(() => stream.CopyToAsync(Stream.Null, Ct))).Error);
    }

    [Fact]
    public async Task A_put_that_is_cancelled_behind_its_last_byte_does_not_take_its_name()
    {
        await using var backend = await ReadyAsync();
        using var leaving = new CancellationTokenSource();
        var name = BlobName.Parse("late");
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => backend.PutAsync(name, new LeavingSource(100_000, leaving), leaving.Token));
        Assert.Null(await backend.StatAsync(name, Ct));
    }

    [Theory, InlineData(""), InlineData("partial")]
    public async Task The_stores_own_folder_is_no_link(string below)
    {
        var folder = NewFolder();
        await using var backend = new FilesystemBackend(folder, TimeProvider.System);
        await backend.PrepareAsync(Ct);
        var theirs = Directory.CreateDirectory(Path.Combine(_folder, "theirs")).FullName;
        var file = Path.Combine(theirs, "0123456789abcdef0123456789abcdef");
        await File.WriteAllTextAsync(file, "theirs", Ct);
        File.SetLastWriteTimeUtc(file, DateTime.UtcNow.AddDays(-8));
        var own = Path.Combine(folder, ".darkstorage", below).TrimEnd('/');
        Directory.Delete(own, recursive: true);
        Directory.CreateSymbolicLink(own, theirs);
        foreach (var call in new Func<Task>[] { () => backend.CleanAsync(Ct), () => backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[1]), Ct), () => backend.PrepareAsync(Ct) })
            Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(call)).Error);
        Assert.Equal([file], Directory.EnumerateFileSystemEntries(theirs));
    }

    [Fact]
    public async Task A_drive_that_is_mounted_below_the_folder_is_refused_and_not_copied_to()
    {
        using var drive = SmallDrive.Mount("tmpfs", 8);
        var mountpoint = Path.GetDirectoryName(drive.DataDirectory)!;
        await using var backend = new FilesystemBackend(Path.GetDirectoryName(mountpoint)!, TimeProvider.System);
        await backend.PrepareAsync(Ct);
        var name = BlobName.Parse($"{Path.GetFileName(mountpoint)}/blob");
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(new byte[100]), Ct));
        Assert.Equal(BackendError.Refused, error.Error);
        Assert.Contains("cross-device", error.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(mountpoint));
        Assert.Empty(await ListAsync(backend, ""));
    }

    [Fact]
    public async Task A_place_that_does_not_tell_upper_from_lower_case_takes_no_names_that_it_would_confuse()
    {
        var folder = NewFolder();
        await using var backend = new FilesystemBackend(folder, TimeProvider.System);
        await backend.PrepareAsync(Ct);
        // What such a place answers when it is asked for its own folder in other letters.
        Directory.CreateDirectory(Path.Combine(folder, ".DARKSTORAGE"));
        await backend.PutAsync(BlobName.Parse("lower"), BlobSource.Of(new byte[1]), Ct);
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("Lower"), BlobSource.Of(new byte[2]), Ct));
        Assert.Equal(BackendError.Refused, error.Error);
        Assert.Equal(1, (await backend.StatAsync(BlobName.Parse("lower"), Ct))!.Length);
    }

    /// <summary>Content whose reader is gone when it comes to its end.</summary>
    private sealed class LeavingSource(int length, CancellationTokenSource leaving) : BlobSource
    {
        public override long Length => length;

        public override ValueTask<Stream> OpenAsync(long offset, CancellationToken ct) => new(new Leaving(length, leaving));

        private sealed class Leaving(int length, CancellationTokenSource leaving) : ReadOnlyStream
        {
            private int _left = length;

            public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
            {
                var read = Math.Min(buffer.Length, _left);
                _left -= read;
                if (read == 0) leaving.Cancel();
                return new(read);
            }
        }
    }
}
