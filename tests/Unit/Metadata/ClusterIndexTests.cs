using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Metadata;
using DarkStorage.Metadata.Postgres;
using DarkStorage.TestKit;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace DarkStorage.Unit.Metadata;

/// <summary>What nodes agree on in the index they share. Two of them here, each with connections of its own.</summary>
public sealed class ClusterIndexTests(PostgresFixture postgres) : IAsyncLifetime
{
    private static readonly DateTimeOffset Now = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
    private static readonly CancellationToken Ct = TestContext.Current.CancellationToken;
    private static readonly TimeSpan HangsAfter = TimeSpan.FromSeconds(60);

    private PostgresServer _server = null!;
    private string _url = null!;
    private PostgresIndex _here = null!;
    private PostgresIndex _there = null!;

    public async ValueTask InitializeAsync()
    {
        _server = await postgres.ServerAsync();
        _url = await _server.NewDatabaseAsync();
        (_here, _there) = (await OpenAsync(), await OpenAsync());
    }

    public async ValueTask DisposeAsync()
    {
        await _here.DisposeAsync();
        await _there.DisposeAsync();
    }

    [Fact]
    public async Task Nodes_with_an_address_share_an_index_and_one_without_has_it_alone()
    {
        var (first, second) = (Node("a"), Node("b"));
        await _here.JoinAsync(first, Now, Ct);
        await _there.JoinAsync(second, Now, Ct);
        await _there.JoinAsync(second with { Zone = "elsewhere" }, Now, Ct);
        Assert.Equal([first, second with { Zone = "elsewhere" }], await _here.ListNodesAsync(Ct));

        var alone = await Assert.ThrowsAsync<InvalidDataException>(() => _here.JoinAsync(Node("c") with { Address = null }, Now, Ct));
        var twice = await Assert.ThrowsAsync<InvalidDataException>(() => _here.JoinAsync(Node("b"), Now, Ct));

        Assert.Contains("secret", alone.Message, StringComparison.Ordinal);
        Assert.Contains("a node b ", twice.Message, StringComparison.Ordinal);
        Assert.Equal(2, (await _there.ListNodesAsync(Ct)).Count);
        await _here.RemoveNodeAsync(second.Store, Ct);
        await _here.JoinAsync(Node("b"), Now, Ct);
    }

    [Fact]
    public async Task Who_stands_alone_keeps_others_out()
    {
        await _here.JoinAsync(Node("a") with { Address = null }, Now, Ct);
        var refusal = await Assert.ThrowsAsync<InvalidDataException>(() => _there.JoinAsync(Node("b"), Now, Ct));
        Assert.Contains("the node a;", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_takes_a_newer_program_waits_for_all_nodes_and_keeps_older_ones_out_from_then_on()
    {
        var older = Node("older") with { Level = ClusterLevels.First };
        await _here.JoinAsync(Node("newer"), Now, Ct);
        // As programs of level 1 join: they say no level.
        await _server.ExecuteAsync(_url[(_url.LastIndexOf('/') + 1)..], $"SET search_path = darkstorage; SELECT join_node('{older.Store}', 'older', 'zone', 'older:9002', 10, 0)");
        Assert.Equal([ClusterLevels.Newest, ClusterLevels.First], (await _here.ListNodesAsync(Ct)).Select(n => n.Level));
        Assert.Equal("older", await _here.TryUseLevelAsync(ClusterLevels.Redundancy, Ct));

        await _there.JoinAsync(older with { Level = ClusterLevels.Newest }, Now, Ct);
        await _there.JoinAsync(older, Now, Ct); // it goes back: nothing was used
        Assert.Equal("older", await _here.TryUseLevelAsync(ClusterLevels.Redundancy, Ct));
        await _there.JoinAsync(older with { Level = ClusterLevels.Newest }, Now, Ct);
        Assert.Null(await _here.TryUseLevelAsync(ClusterLevels.Redundancy, Ct));

        Assert.Contains("older version", (await Assert.ThrowsAsync<InvalidDataException>(() => _there.JoinAsync(older, Now, Ct))).Message, StringComparison.Ordinal);
        Assert.Equal(ClusterLevels.Newest, (await _here.ListNodesAsync(Ct)).Single(n => n.Name == "older").Level);
        await using var again = await OpenAsync();
        await again.JoinAsync(Node("third"), Now, Ct);
    }

    [Fact]
    public void The_level_of_this_program_is_the_number_of_its_newest_migration() => Assert.Equal(ClusterLevels.Newest, MigrationScripts.Load("Postgres").Count);

    [Fact]
    public async Task A_document_is_replaced_only_on_the_revision_that_was_decided_on_and_the_others_hear_of_it()
    {
        var heard = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _there.Changed += name =>
        {
            if (name == "layout") heard.TrySetResult();
        };
        // Messages are sent only to who listens already.
        await ListensAsync(_there);
        Assert.Null(await _there.ReadDocumentAsync("layout", Ct));
        Assert.True(await _here.TryReplaceDocumentAsync("layout", new byte[] { 1 }, 0, Ct));
        Assert.False(await _there.TryReplaceDocumentAsync("layout", new byte[] { 2 }, 0, Ct));
        Assert.True(await _there.TryReplaceDocumentAsync("layout", new byte[] { 3 }, 1, Ct));
        Assert.False(await _here.TryReplaceDocumentAsync("layout", new byte[] { 4 }, 1, Ct));
        var read = await _here.ReadDocumentAsync("layout", Ct);
        Assert.Equal((3, 2L), (read!.Content.Single(), read.Revision));
        await heard.Task.WaitAsync(HangsAfter, Ct);
    }

    [Fact]
    public async Task A_change_of_the_layout_is_entered_with_it_or_not_at_all()
    {
        Assert.True(await _here.TryReplaceLayoutAsync(new(new byte[] { 1 }, 0, null, null, 1, Now), Ct));
        Assert.True(await _here.TryReplaceLayoutAsync(new(new byte[] { 2 }, 1, Job(2, "a"), null, null, Now), Ct));
        Assert.False(await _there.TryReplaceLayoutAsync(new(new byte[] { 3 }, 1, Job(3, "b"), 2, 2, Now), Ct));
        Assert.Equal([Job(2, "a")], await _there.ListLayoutJobsAsync(Ct));

        Assert.True(await _there.TryReplaceLayoutAsync(new(new byte[] { 3 }, 2, Job(3, "b"), null, null, Now), Ct));
        Assert.True(await _there.TryReplaceLayoutAsync(new(new byte[] { 4 }, 3, Job(4, "b") with { Undo = null }, 3, null, Now.AddMinutes(1)), Ct));
        Assert.True(await _here.TryReplaceLayoutAsync(new(new byte[] { 5 }, 4, null, null, 4, Now.AddMinutes(2)), Ct));
        Assert.Equal(
            [
                Job(4, "b") with { Undo = null, Begun = Now.AddMinutes(1), Ended = Now.AddMinutes(2), Outcome = "done" },
                Job(3, "b") with { Ended = Now.AddMinutes(1), Outcome = "cancelled" },
                Job(2, "a") with { Ended = Now.AddMinutes(2), Outcome = "done" },
            ],
            await _here.ListLayoutJobsAsync(Ct));
        Assert.Equal(5, (await _here.ReadDocumentAsync("layout", Ct))!.Content.Single());
    }

    [Fact]
    public async Task Jobs_that_have_ended_are_forgotten_after_a_while_with_what_was_told_of_them()
    {
        const int Remembered = 64;
        var store = Guid.NewGuid();
        LayoutProgressRecord Progress(long job) => new(job, store, 10, 5, 3, 1000, Now, Now.AddSeconds(job));
        for (var id = 1; id <= Remembered + 3; id++)
        {
            Assert.True(await _here.TryReplaceLayoutAsync(new(new byte[] { 1 }, id - 1, Job(id, null), null, id == 2 ? null : id - 1, Now), Ct));
            await _there.ReportProgressAsync(Progress(id), Ct);
        }
        await _there.ReportProgressAsync(Progress(4) with { Passed = 10 }, Ct);
        await _there.ReportProgressAsync(Progress(2), Ct); // forgotten meanwhile

        var jobs = await _there.ListLayoutJobsAsync(Ct);
        Assert.Equal(Enumerable.Range(3, Remembered + 1).Reverse().Select(id => (long)id), jobs.Select(j => j.Id));
        Assert.Null(jobs[0].Ended);
        Assert.Equal(jobs.Select(j => j.Id == 4 ? Progress(4) with { Passed = 10 } : Progress(j.Id)), await _here.ListProgressAsync(Ct));
    }

    [Fact]
    public async Task A_turn_is_one_nodes_until_it_ends()
    {
        var (a, b) = (Guid.NewGuid(), Guid.NewGuid());
        Assert.True(await _here.TryTakeTurnAsync("work", a, TimeSpan.FromHours(1), Ct));
        Assert.False(await _there.TryTakeTurnAsync("work", b, TimeSpan.FromHours(1), Ct));
        Assert.True(await _there.TryTakeTurnAsync("other work", b, TimeSpan.FromHours(1), Ct));
        Assert.True(await _here.TryTakeTurnAsync("work", a, TimeSpan.FromSeconds(-1), Ct));
        Assert.True(await _there.TryTakeTurnAsync("work", b, TimeSpan.FromHours(1), Ct));
        Assert.False(await _here.TryTakeTurnAsync("work", a, TimeSpan.FromHours(1), Ct));
    }

    [Fact]
    public async Task A_repair_waits_for_its_store_until_it_is_done()
    {
        var (node, otherNode) = (Node("a"), Node("b"));
        var (store, other) = (node.Store, otherNode.Store);
        var (first, second) = (BlobId.New(TimeProvider.System), BlobId.New(TimeProvider.System));
        await _here.JoinAsync(node, Now, Ct);
        await _here.JoinAsync(otherNode, Now, Ct);
        await _here.EnqueueRepairAsync(new(first, store, 2), Now, Ct);
        await _there.EnqueueRepairAsync(new(first, store, 3), Now.AddHours(1), Ct);
        await _there.EnqueueRepairAsync(new(first, store, 1), Now.AddHours(1), Ct);
        await _there.EnqueueRepairAsync(new(second, store, 1), Now.AddMinutes(1), Ct);
        await _here.EnqueueRepairAsync(new(first, other, 1), Now, Ct);

        Assert.Equal([new(first, store, 3)], await _there.ListRepairsAsync(store, Now, 10, Ct));
        Assert.Equal([new(first, store, 3), new(second, store, 1)], await _there.ListRepairsAsync(store, Now.AddMinutes(1), 10, Ct));
        await _here.DelayRepairsAsync(store, [new(first, store, 3)], Now.AddDays(1), Ct);
        Assert.Equal([new(second, store, 1)], await _there.ListRepairsAsync(store, Now.AddMinutes(1), 10, Ct));
        await _here.EndRepairsAsync(store, [new(second, store, 1)], Ct);
        Assert.Equal([(store, 1L), (other, 1L)], (await _there.CountRepairsAsync(null, Ct)).Select(c => (c.Key, c.Value)).OrderBy(c => c.Key == other));
        Assert.Equal([KeyValuePair.Create(other, 1L)], await _there.CountRepairsAsync(other, Ct));
        await _here.RemoveNodeAsync(store, Ct);
        Assert.Equal([KeyValuePair.Create(other, 1L)], await _there.CountRepairsAsync(null, Ct));
        Assert.Empty(await _there.ListRepairsAsync(store, Now.AddDays(2), 10, Ct));
    }

    [Fact]
    public async Task What_was_found_graver_while_a_repair_was_worked_off_waits_on()
    {
        var (store, blob) = (Guid.NewGuid(), BlobId.New(TimeProvider.System));
        await _here.EnqueueRepairAsync(new(blob, store, 1), Now, Ct);
        var due = await _here.ListRepairsAsync(store, Now, 10, Ct);
        await _there.EnqueueRepairAsync(new(blob, store, 2), Now, Ct);
        await _here.DelayRepairsAsync(store, due, Now.AddDays(1), Ct);
        await _here.EndRepairsAsync(store, due, Ct);
        due = await _here.ListRepairsAsync(store, Now, 10, Ct);
        Assert.Equal([new(blob, store, 2)], due);
        await _here.EndRepairsAsync(store, due, Ct);
        Assert.Empty(await _here.ListRepairsAsync(store, Now.AddDays(2), 10, Ct));
    }

    [Fact]
    public async Task Who_is_taken_out_hears_of_it_and_what_it_reports_is_not_taken()
    {
        var node = Node("a");
        await _here.JoinAsync(node, Now, Ct);
        await ListensAsync(_there);
        var heard = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _there.Changed += name =>
        {
            if (name == IClusterIndex.NodesChanged) heard.TrySetResult();
        };
        Assert.True(await _there.ReportLayoutAsync(node.Store, 2, 1, Ct));
        await _here.RemoveNodeAsync(node.Store, Ct);
        await heard.Task.WaitAsync(HangsAfter, Ct);
        Assert.False(await _there.ReportLayoutAsync(node.Store, 3, 2, Ct));
    }

    private static LayoutJobRecord Job(long id, string? node) => new(id, "drain", node, $$"""{"kind":"drain {{id}}"}""", "{}", Now);

    private static ClusterNode Node(string name) => new(Guid.NewGuid(), name, "zone", $"{name}:9002", 10);

    private async Task<PostgresIndex> OpenAsync() =>
        await PostgresIndex.OpenAsync(PostgresUrl.Parse(_url), new() { ReadConnectionsMax = 2, WriteConnections = 1 }, TimeProvider.System, NullLogger<PostgresIndex>.Instance, Ct);

    /// <summary>Waits until a message reaches the index.</summary>
    private async Task ListensAsync(PostgresIndex index)
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        index.Changed += name =>
        {
            if (name == "probe") reached.TrySetResult();
        };
        using var hangs = new CancellationTokenSource(HangsAfter);
        for (var revision = 0; !reached.Task.IsCompleted; revision++)
        {
            hangs.Token.ThrowIfCancellationRequested();
            Assert.True(await _here.TryReplaceDocumentAsync("probe", new byte[1], revision, Ct));
            await Task.Yield();
        }
    }
}
