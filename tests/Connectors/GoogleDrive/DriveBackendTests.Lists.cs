using DarkStorage.Connectors.Google;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>Lists of all there is, and cleaning, which goes through one.</summary>
public sealed partial class DriveBackendTests
{
    public static TheoryData<DriveOrder> Orders => [.. Enum.GetValues<DriveOrder>()];

    [Theory, MemberData(nameof(Orders))]
    public async Task Of_several_files_of_a_name_a_list_has_the_last_in_whatever_order_they_come(DriveOrder order)
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync();
        for (var version = 1; version <= 3; version++)
        {
            foreach (var name in new[] { "n/a", "n/b", "n/c", "other" }) await LeaveAsync(backend, BlobName.Parse(name), 100 * version);
        }
        // A later one that is renamed is the blob, and in no list.
        await LeaveAsync(backend, BlobName.Parse("n/renamed"), 10);
        await LeaveAsync(backend, BlobName.Parse("n/renamed"), 20);
        _drive.Rename(_drive.Files[^1].Id, "holiday");
        Assert.Equal(14, _drive.Files.Count);
        (_drive.Order, _drive.PageFilesMax) = (order, 4);
        await using var other = Open();
        foreach (var node in new[] { backend, other })
        {
            Assert.Equal([("n/a", 300L), ("n/b", 300L), ("n/c", 300L)], (await ListAsync(node, "n/")).Select(b => (b.Name.Value, b.Length)).Order());
            Assert.Equal(("n/b", 300), Assert.Single((await ListAsync(node, "n/b")).Select(b => (b.Name.Value, (int)b.Length))));
            Assert.Equal(4, (await ListAsync(node, "")).Count);
            Assert.Equal(300, (await node.StatAsync(BlobName.Parse("n/a"), Ct))!.Length);
        }
        Assert.DoesNotContain(_drive.Requests, r => r.Contains("orderBy", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Whoever_asks_for_a_whole_name_does_not_wait_for_all_there_is()
    {
        await using var backend = await ReadyHereAsync();
        for (var i = 0; i < 9; i++) await backend.PutAsync(BlobName.Parse($"n/{i}"), BlobSource.Of(new byte[1 + i]), Ct);
        await using var other = Open();
        _drive.PageFilesMax = 1;
        var asked = Count("GET", "files?q=");
        await foreach (var blob in other.ListAsync("n/7", Ct))
        {
            Assert.Equal(("n/7", 8), (blob.Name.Value, blob.Length));
            break;
        }
        Assert.Equal(1, Count("GET", "files?q=") - asked);
        Assert.Equal("n/7", Assert.Single(await ListAsync(other, "n/7")).Name.Value);
    }

    [Fact]
    public async Task What_this_node_has_put_later_than_lists_show_is_in_its_list()
    {
        _clock = new HurriedTime();
        await using var backend = await ReadyHereAsync(("visible-within-seconds", "5"));
        await backend.PutAsync(BlobName.Parse("a/b"), BlobSource.Of(Content(10)), Ct);
        _drive.Lag = (int.MaxValue, 0);
        await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(BlobName.Parse("a/b"), BlobSource.Of(Content(20)), Ct));
        Assert.Equal(20, Assert.Single(await ListAsync(backend, "a/")).Length);
        await using var other = Open();
        Assert.Equal(10, Assert.Single(await ListAsync(other, "a/")).Length);
    }

    [Fact]
    public async Task A_cleaning_deletes_as_it_goes_and_one_that_is_cut_off_goes_on_where_it_was()
    {
        var clock = new HurriedTime();
        _clock = clock;
        await using var backend = await ReadyHereAsync();
        var (early, late) = (BlobName.Parse("early"), BlobName.Parse("late"));
        await LeaveAsync(backend, late, 1);
        await LeaveAsync(backend, early, 1);
        await LeaveAsync(backend, early, 2);
        for (var i = 0; i < 6; i++) await backend.PutAsync(BlobName.Parse($"n/{i}"), BlobSource.Of(new byte[1]), Ct);
        await LeaveAsync(backend, late, 2);
        clock.Pass(TimeSpan.FromDays(2));
        (_drive.Order, _drive.PageFilesMax) = (DriveOrder.OldestFirst, 3);
        _drive.Answers = http => IsLaterPage(http) ? GoogleServer.FailAsync(http, 503, "backendError") : Task.FromResult(false);
        Assert.Equal(BackendError.Unavailable, (await Assert.ThrowsAsync<BackendException>(() => backend.CleanAsync(Ct))).Error);
        Assert.Equal([2], _drive.Files.Where(f => f.Name == "early").Select(f => f.Content.Length));
        Assert.Equal(2, _drive.Files.Count(f => f.Name == "late"));
        _drive.Answers = _ => Task.FromResult(false);
        var before = Begun();
        await backend.CleanAsync(Ct);
        Assert.Equal(before, Begun());
        Assert.Equal([2], _drive.Files.Where(f => f.Name == "late").Select(f => f.Content.Length));
        Assert.Equal(8, _drive.Files.Count);
        // The next one is another, from the beginning.
        await backend.CleanAsync(Ct);
        Assert.Equal(before + 1, Begun());

        int Begun() => _drive.Requests.Count(r => IsOfAll(r) && !r.Contains("pageToken", StringComparison.Ordinal));
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task A_cleaning_whose_place_in_the_list_is_refused_or_old_begins_anew(bool isRefused)
    {
        var clock = new HurriedTime();
        _clock = clock;
        await using var backend = await ReadyHereAsync();
        for (var i = 0; i < 6; i++) await backend.PutAsync(BlobName.Parse($"n/{i}"), BlobSource.Of(new byte[1]), Ct);
        (_drive.Order, _drive.PageFilesMax) = (DriveOrder.OldestFirst, 2);
        _drive.Answers = http => IsLaterPage(http) ? GoogleServer.FailAsync(http, 503, "backendError") : Task.FromResult(false);
        await Assert.ThrowsAsync<BackendException>(() => backend.CleanAsync(Ct));
        _drive.Answers = http => IsLaterPage(http) ? GoogleServer.FailAsync(http, 400, "invalid") : Task.FromResult(false);
        if (isRefused) Assert.Equal(BackendError.Refused, (await Assert.ThrowsAsync<BackendException>(() => backend.CleanAsync(Ct))).Error);
        else clock.Pass(TimeSpan.FromHours(2));
        _drive.Answers = _ => Task.FromResult(false);
        var before = _drive.Requests.Count(IsOfAll);
        await backend.CleanAsync(Ct);
        Assert.Equal(3, _drive.Requests.Count(IsOfAll) - before);
    }

    private static bool IsLaterPage(HttpContext http) => http.Request.Query.ContainsKey("pageToken");

    /// <summary>Of files, and of no one name.</summary>
    private static bool IsOfAll(string request) => request.Contains("files?q=mimeType%20%21%3D", StringComparison.Ordinal) && !request.Contains("darkstorage-blob", StringComparison.Ordinal);

    /// <summary>Puts a content, and leaves what it replaces.</summary>
    private async Task LeaveAsync(DriveBackend backend, BlobName name, int length)
    {
        _drive.Answers = http => HttpMethods.IsDelete(http.Request.Method) ? GoogleServer.FailAsync(http, 503, "backendError") : Task.FromResult(false);
        await Record.ExceptionAsync(() => backend.PutAsync(name, BlobSource.Of(Content(length)), Ct));
        _drive.Answers = _ => Task.FromResult(false);
    }
}
