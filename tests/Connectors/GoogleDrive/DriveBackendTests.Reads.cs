using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>Reads: of one file to their end.</summary>
public sealed partial class DriveBackendTests
{
    private const int Long = 3_000_000;

    [Fact]
    public async Task A_read_whose_connection_breaks_goes_on_and_is_whole()
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync();
        var (name, content) = (BlobName.Parse("broken"), Content(Long));
        await backend.PutAsync(name, BlobSource.Of(content), Ct);
        (_drive.CutsReads, _drive.CutsReadsAfter) = (3, 700_000);
        Assert.Equal(content, await ReadAsync(backend, name, ByteRange.All(Long)));
        _drive.CutsReads = 2;
        Assert.Equal(content[100..^100], await ReadAsync(backend, name, new(100, Long - 101)));
        _drive.CutsReads = 4;
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, ByteRange.All(Long)))).Error);
    }

    [Theory]
    [InlineData(true, BackendError.Damaged)]
    [InlineData(false, BackendError.NotFound)]
    public async Task A_read_of_what_is_replaced_or_deleted_meanwhile_is_an_error_and_no_mix(bool isReplaced, BackendError expected)
    {
        await using var backend = await ReadyHereAsync();
        var name = BlobName.Parse("replaced");
        await backend.PutAsync(name, BlobSource.Of(Content(Long)), Ct);
        (_drive.CutsReads, _drive.CutsReadsAfter) = (1, 700_000);
        await using var stream = await backend.OpenAsync(name, ByteRange.All(Long), Ct);
        await stream.ReadExactlyAsync(new byte[1000], Ct);
        if (isReplaced) await backend.PutAsync(name, BlobSource.Of(Content(Long)), Ct);
        else await backend.DeleteAsync(name, Ct);
        Assert.Equal(expected, (await Assert.ThrowsAsync<BackendException>(() => stream.CopyToAsync(Stream.Null, Ct))).Error);
    }

    [Fact]
    public async Task A_read_of_what_another_node_has_replaced_and_lists_show_still_reads_the_new_one()
    {
        _clock = new HurriedTime();
        await using var one = await ReadyHereAsync();
        await using var two = Open();
        var (name, content) = (BlobName.Parse("replaced"), Content(1000));
        await one.PutAsync(name, BlobSource.Of(Content(1000)), Ct);
        _drive.Lag = (0, int.MaxValue);
        await one.PutAsync(name, BlobSource.Of(content), Ct);
        Assert.Equal(content, await ReadAsync(two, name, ByteRange.All(1000)));
        Assert.Equal(1000, Assert.Single(await ListAsync(two, "")).Length);
    }

    [Fact]
    public async Task Bytes_that_changed_on_their_way_or_there_are_damage()
    {
        await using var backend = await ReadyHereAsync();
        foreach (var length in new[] { 1, 1000, Long })
        {
            var name = BlobName.Parse($"damaged-{length}");
            await backend.PutAsync(name, BlobSource.Of(Content(length)), Ct);
            _drive.CorruptsReads = true;
            Assert.Equal(BackendError.Damaged, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, ByteRange.All(length)))).Error);
            _drive.CorruptsReads = false;
            await ReadAsync(backend, name, ByteRange.All(length));
        }
        // What somebody has changed there is no blob any more, until they change it back.
        var changed = BlobName.Parse("changed");
        var content = Content(500);
        await backend.PutAsync(changed, BlobSource.Of(content), Ct);
        var file = _drive.Files.Single(f => f.Name == "changed");
        _drive.Overwrite(file.Id, Content(500));
        Assert.Equal(BackendError.NotFound, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, changed, ByteRange.All(500)))).Error);
        _drive.Overwrite(file.Id, content);
        Assert.Equal(content, await ReadAsync(backend, changed, ByteRange.All(500)));
    }

    [Theory]
    [InlineData(200, "bytes 10-19/100", 10)]
    [InlineData(206, "bytes 11-20/100", 10)]
    [InlineData(206, "bytes 10-19/101", 10)]
    [InlineData(206, "bytes 10-19/100", 9)]
    [InlineData(206, null, 10)]
    public async Task An_answer_that_is_not_the_range_is_an_error_and_not_read(int status, string? range, int length)
    {
        await using var backend = await ReadyHereAsync();
        await backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(Content(100)), Ct);
        _drive.Answers = async http =>
        {
            if (http.Request.Query["alt"] != "media") return false;
            http.Response.StatusCode = status;
            if (range is not null) http.Response.Headers.ContentRange = range;
            http.Response.ContentLength = length;
            await http.Response.Body.WriteAsync(new byte[length]);
            return true;
        };
        Assert.Equal(BackendError.WrongLength, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, BlobName.Parse("a"), new(10, 19)))).Error);
    }

    [Fact]
    public async Task A_copy_of_what_is_deleted_meanwhile_leaves_nothing()
    {
        await using var backend = await ReadyHereAsync();
        var (from, to) = (BlobName.Parse("from"), BlobName.Parse("to"));
        await backend.PutAsync(from, BlobSource.Of(Content(10)), Ct);
        _drive.Answers = http =>
        {
            if (http.Request.Path.Value!.EndsWith("/copy", StringComparison.Ordinal)) _drive.Remove(_drive.Files[0].Id);
            return Task.FromResult(false);
        };
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.CopyAsync(from, to, Ct))).Error);
        Assert.Null(await backend.StatAsync(to, Ct));
    }
}
