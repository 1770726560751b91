using System.Text.Json;
using DarkStorage.Conformance.Drives;
using DarkStorage.Connectors.Guards;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>A node that dies and comes back, and one that has no room: one for each test.</summary>
public sealed class IpfsRestartTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_read_goes_on_when_the_node_was_killed_in_its_middle_and_is_back()
    {
        await using var ipfs = new IpfsServer();
        await ipfs.StartAsync();
        await using var inner = await ReadyAsync(ipfs);
        // Nobody knows how long a start takes.
        await using var backend = new GuardedBackend(inner, "ipfs", new() { AttemptsMax = 100, RetryDelayMax = TimeSpan.FromMilliseconds(500), RestAfterAttempts = 1_000 }, TimeProvider.System);
        var (name, source) = (BlobName.Parse("long"), new PatternSource(20L << 20));
        await backend.PutAsync(name, source, Ct);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(source.Length), Ct);
        var beginning = new byte[1 << 20];
        await stream.ReadExactlyAsync(beginning, Ct);
        await ipfs.KillAsync();
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => inner.StatAsync(name, Ct))).Error);
        await using var reading = new MemoryStream();
        await reading.WriteAsync(beginning, Ct);
        var rest = stream.CopyToAsync(reading, Ct);
        await ipfs.StartAsync();
        await rest;
        reading.Position = 0;
        await source.AssertSameAsync(reading, Ct);
    }

    [Fact]
    public async Task A_node_that_is_killed_while_it_takes_a_blob_has_none_of_it_when_it_is_back()
    {
        await using var ipfs = new IpfsServer();
        await ipfs.StartAsync();
        await using var backend = await ReadyAsync(ipfs);
        var (old, name, source) = (BlobName.Parse("old"), BlobName.Parse("new"), new PatternSource(20L << 20));
        var before = await backend.PutAsync(old, BlobSource.Of(new byte[1000]), Ct);
        var error = await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, new NoticedSource(new byte[20 << 20], () => ipfs.KillAsync().Wait(Ct)), Ct));
        Assert.Equal(BackendError.Unavailable, error.Error);
        await ipfs.StartAsync();
        Assert.Null(await backend.StatAsync(name, Ct));
        Assert.Equal(before, await backend.StatAsync(old, Ct));
        await backend.PutAsync(name, source, Ct);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(source.Length), Ct);
        await source.AssertSameAsync(stream, Ct);
    }

    [Fact]
    public async Task A_node_that_has_no_room_refuses_the_put_and_keeps_what_it_has()
    {
        using var drive = SmallDrive.Mount("tmpfs", 64);
        await using var ipfs = new IpfsServer { Folder = drive.DataDirectory };
        await ipfs.StartAsync();
        await using var backend = await ReadyAsync(ipfs);
        var (old, name) = (BlobName.Parse("old"), BlobName.Parse("new"));
        var content = Content(1 << 20);
        await backend.PutAsync(old, BlobSource.Of(content), Ct);
        drive.FillCompletely();
        Assert.Equal(BackendError.Full, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, new PatternSource(8 << 20), Ct))).Error);
        drive.RemoveForeignFile();
        Assert.Null(await backend.StatAsync(name, Ct));
        await AssertHasAsync(backend, old, content);
        await backend.PutAsync(name, new PatternSource(8 << 20), Ct);
    }

    [Fact]
    public async Task What_is_a_blob_stays_when_the_node_collects_garbage_and_what_is_deleted_goes()
    {
        // Of its own: what is cut off on its way to js-ipfs keeps it from collecting for ever.
        await using var ipfs = new IpfsServer();
        await ipfs.StartAsync();
        await using var backend = await ReadyAsync(ipfs);
        var (kept, deleted, copied) = (BlobName.Parse("kept"), BlobName.Parse("deleted"), BlobName.Parse("copied"));
        var (content, other) = (Content(3_000_000), Content(3_000_000));
        await backend.PutAsync(kept, BlobSource.Of(content), Ct);
        var gone = (await backend.PutAsync(deleted, BlobSource.Of(other), Ct)).ContentId!;
        await backend.CopyAsync(kept, copied, Ct);
        await backend.DeleteAsync(deleted, Ct);
        await backend.DeleteAsync(kept, Ct); // whose pin goes, and whose content the copy has
        await ipfs.CollectGarbageAsync(Ct);
        await AssertHasAsync(backend, copied, content);
        var there = (await backend.StatAsync(copied, Ct))!.ContentId!;
        Assert.Equal([there], await LocalAsync(ipfs, [gone, there]));
    }

    private static async Task<IpfsBackend> ReadyAsync(IpfsServer ipfs)
    {
        var backend = new IpfsBackend(new(ipfs.Url, null), new(IpfsServer.NewPath()), TimeProvider.System);
        await backend.PrepareAsync(Ct);
        return backend;
    }

    private static byte[] Content(int length)
    {
        var content = new byte[length];
        Random.Shared.NextBytes(content);
        return content;
    }

    private static async Task AssertHasAsync(IpfsBackend backend, BlobName name, byte[] content)
    {
        await using var stream = await backend.OpenAsync(name, ByteRange.All(content.Length), Ct);
        var read = new byte[content.Length];
        await stream.ReadExactlyAsync(read, Ct);
        Assert.Equal(content, read);
    }

    /// <summary>Those of which the node has the block itself.</summary>
    private static async Task<List<string>> LocalAsync(IpfsServer ipfs, string[] cids)
    {
        // It names them by their hashes alone, as raw blocks.
        var local = (await ipfs.CallAsync("refs/local", Ct)).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => Cid.Find(JsonDocument.Parse(l).RootElement.GetProperty("Ref").GetString())).OfType<Cid>().Select(c => (c.High, c.Low)).ToHashSet();
        return [.. cids.Where(c => Cid.Find(c) is { } cid && local.Contains((cid.High, cid.Low)))];
    }
}
