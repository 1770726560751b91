using DarkStorage.Connectors.Google;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>The folder, which shows that the place is there.</summary>
public sealed partial class DriveBackendTests
{
    [Fact]
    public async Task Two_nodes_that_make_the_place_at_one_time_have_one_and_see_what_the_other_puts()
    {
        _clock = new HurriedTime();
        await using var one = Open();
        await using var two = Open();
        // Both look before either has made it, and see their own first.
        _drive.Lag = (2, 0);
        var looked = 0;
        var both = new TaskCompletionSource();
        _drive.Answers = async http =>
        {
            if (http.Request.Method != "POST") return false;
            if (Interlocked.Increment(ref looked) == 2) both.SetResult();
            await both.Task;
            return false;
        };
        await Task.WhenAll(one.PrepareAsync(Ct), two.PrepareAsync(Ct));
        _drive.Lag = (0, 0);
        var folders = _drive.Items.Where(i => i.IsFolder).OrderBy(i => i.Created).ThenBy(i => i.Id, StringComparer.Ordinal).Select(i => i.Id).ToList();
        Assert.Equal(2, folders.Count);
        var (a, b) = (BlobName.Parse("a"), BlobName.Parse("b"));
        await one.PutAsync(a, BlobSource.Of(new byte[1]), Ct);
        await two.PutAsync(b, BlobSource.Of(new byte[2]), Ct);
        foreach (var node in new[] { one, two })
        {
            Assert.Equal((1, 2), ((await node.StatAsync(a, Ct))!.Length, (await node.StatAsync(b, Ct))!.Length));
            Assert.Equal(2, (await ListAsync(node, "")).Count);
        }
        // Whoever looks later puts into the older one, and making it ready again makes no third.
        await using var third = Open();
        await third.PrepareAsync(Ct);
        await third.PutAsync(BlobName.Parse("c"), BlobSource.Of(new byte[3]), Ct);
        Assert.Equal(folders[0], _drive.Files.Single(f => f.Name == "c").Parent);
        Assert.Equal(2, _drive.Items.Count(i => i.IsFolder));
    }

    [Theory, InlineData(false), InlineData(true)]
    public async Task A_node_that_took_the_younger_folder_takes_the_older_some_minutes_later_or_when_it_is_tested(bool isTested)
    {
        var clock = new HurriedTime();
        _clock = clock;
        var properties = new Dictionary<string, string> { ["darkstorage-place"] = "DarkStorage" };
        var younger = _drive.Add("DarkStorage", null, properties);
        await using var backend = await ReadyHereAsync();
        var older = _drive.Add("DarkStorage", null, properties, created: DateTimeOffset.UtcNow.AddDays(-1));
        await backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[1]), Ct);
        Assert.Equal(younger, _drive.Files.Single().Parent);
        if (isTested) Assert.True((await BackendProbe.RunAsync(backend, clock, Ct)).Steps.All(s => s.Failure is null));
        else clock.Pass(TimeSpan.FromMinutes(6));
        await backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[2]), Ct);
        Assert.Equal(older, _drive.Files.Single().Parent);
        // It stays with that, though lists should show the other alone.
        clock.Pass(TimeSpan.FromMinutes(6));
        _drive.Answers = async http =>
        {
            if (!http.Request.Query["q"].ToString().StartsWith("mimeType =", StringComparison.Ordinal)) return false;
            await http.Response.WriteAsync($$$"""{"files":[{"id":"{{{younger}}}","name":"DarkStorage","mimeType":"application/vnd.google-apps.folder","createdTime":"2999-01-01T00:00:00Z","properties":{"darkstorage-place":"DarkStorage"}}]}""");
            return true;
        };
        await backend.PutAsync(BlobName.Parse("b"), BlobSource.Of(new byte[2]), Ct);
        Assert.Equal(older, _drive.Files.Single(f => f.Name == "b").Parent);
    }

    [Fact]
    public async Task Of_two_folders_of_one_instant_the_one_with_the_lesser_id_counts()
    {
        var properties = new Dictionary<string, string> { ["darkstorage-place"] = "DarkStorage" };
        var at = DateTimeOffset.UtcNow;
        var ids = Enumerable.Range(0, 5).Select(_ => _drive.Add("DarkStorage", null, properties, created: at)).ToList();
        _drive.Add("DarkStorage", null, properties, owner: "them", created: at.AddDays(-1));
        await using var backend = await ReadyHereAsync();
        await backend.PutAsync(BlobName.Parse("a"), BlobSource.Of(new byte[1]), Ct);
        Assert.Equal(ids.Min(StringComparer.Ordinal), _drive.Files.Single().Parent);
        Assert.Equal(6, _drive.Items.Count(i => i.IsFolder));
    }

    [Fact]
    public async Task A_place_that_was_not_made_or_is_in_the_trash_or_gone_is_missing_and_not_empty()
    {
        await using var backend = Open();
        await AssertAllFailAsync(backend, BackendError.PlaceMissing, prepares: false);
        await backend.PrepareAsync(Ct);
        Assert.Null(await backend.StatAsync(BlobName.Parse("a"), Ct));
        var name = BlobName.Parse("kept");
        await backend.PutAsync(name, BlobSource.Of(Content(100)), Ct);
        var folder = _drive.Items.Single(i => i.IsFolder).Id;
        _drive.Trash(folder);
        await AssertAllFailAsync(backend, BackendError.PlaceMissing, prepares: false);
        Assert.Equal(BackendError.PlaceMissing, (await Assert.ThrowsAsync<BackendException>(() => backend.StatAsync(name, Ct))).Error);
        _drive.Trash(folder, isIn: false);
        Assert.Equal(100, (await backend.StatAsync(name, Ct))!.Length);
        _drive.Remove(folder);
        await AssertAllFailAsync(backend, BackendError.PlaceMissing, prepares: false);
        // Lists that show still what went with it.
        _drive.Lag = (0, int.MaxValue);
        await backend.PrepareAsync(Ct);
        await backend.PutAsync(name, BlobSource.Of(Content(100)), Ct);
        _drive.Remove(_drive.Items.Single(i => i.IsFolder).Id);
        Assert.Equal(BackendError.PlaceMissing, (await Assert.ThrowsAsync<BackendException>(() => ReadAsync(backend, name, new(0, 0)))).Error);
        Assert.Equal(BackendError.PlaceMissing, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(Content(101)), Ct))).Error);
    }

    [Fact]
    public async Task A_folder_that_is_put_into_the_trash_while_a_blob_is_replaced_is_missing()
    {
        await using var backend = await ReadyHereAsync();
        var name = BlobName.Parse("a");
        await backend.PutAsync(name, BlobSource.Of(new byte[1]), Ct);
        _drive.Answers = http =>
        {
            if (HttpMethods.IsPost(http.Request.Method)) _drive.Trash(_drive.Items.Single(i => i.IsFolder).Id);
            return Task.FromResult(false);
        };
        Assert.Equal(BackendError.PlaceMissing, (await Assert.ThrowsAsync<BackendException>(() => backend.PutAsync(name, BlobSource.Of(new byte[2]), Ct))).Error);
    }

    [Fact]
    public async Task A_shared_drive_takes_a_service_account_that_manages_it_and_is_asked_for_alone()
    {
        var (id, key) = (_drive.NewDrive(), _drive.NewKey(out var account));
        var given = new Dictionary<string, string> { ["endpoint"] = _drive.Url, ["drive-id"] = id, ["service-account-key"] = key };
        await using var shared = DriveConnector.Connector.Open(Type.Complete("google-shared-drive", given), TimeProvider.System);
        await shared.PrepareAsync(Ct);
        await using var own = await ReadyHereAsync();
        await AssertApartAsync(shared, own);
        await shared.PutAsync(BlobName.Parse("blob"), BlobSource.Of(new byte[4]), Ct);
        Assert.All(_drive.Requests.Where(r => r.Contains("/drive/v3/files?q=", StringComparison.Ordinal) && r.Contains("corpora=drive", StringComparison.Ordinal)), r => Assert.Contains($"driveId={id}", r, StringComparison.Ordinal));
        _drive.IsManager = false;
        var error = await Assert.ThrowsAsync<BackendException>(() => shared.DeleteAsync(BlobName.Parse("blob"), Ct));
        Assert.Equal(BackendError.AccessDenied, error.Error);
        Assert.Contains("it has to be a manager there", error.Message, StringComparison.Ordinal);
        Assert.Equal(4, (await shared.StatAsync(BlobName.Parse("blob"), Ct))!.Length);
        _drive.Denied[account] = true;
        await AssertAllFailAsync(shared, BackendError.AccessDenied);
        given["drive-id"] = "0AnotherDriveUk9PVA";
        _drive.Denied.Clear();
        await using var elsewhere = DriveConnector.Connector.Open(Type.Complete("google-shared-drive", given), TimeProvider.System);
        await AssertAllFailAsync(elsewhere, BackendError.PlaceMissing);
    }
}
