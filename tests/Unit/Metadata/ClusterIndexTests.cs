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
        var (store, other) = (Guid.NewGuid(), Guid.NewGuid());
        var (first, second) = (BlobId.New(TimeProvider.System), BlobId.New(TimeProvider.System));
        await _here.EnqueueRepairAsync(new(first, store, 2), Now, Ct);
        await _there.EnqueueRepairAsync(new(first, store, 3), Now.AddHours(1), Ct);
        await _there.EnqueueRepairAsync(new(first, store, 1), Now.AddHours(1), Ct);
        await _there.EnqueueRepairAsync(new(second, store, 1), Now.AddMinutes(1), Ct);
        await _here.EnqueueRepairAsync(new(first, other, 1), Now, Ct);

        Assert.Equal([new(first, store, 3)], await _there.ListRepairsAsync(store, Now, 10, Ct));
        Assert.Equal([new(first, store, 3), new(second, store, 1)], await _there.ListRepairsAsync(store, Now.AddMinutes(1), 10, Ct));
        await _here.DelayRepairsAsync(store, [first], Now.AddDays(1), Ct);
        Assert.Equal([new(second, store, 1)], await _there.ListRepairsAsync(store, Now.AddMinutes(1), 10, Ct));
        await _here.EndRepairsAsync(store, [second], Ct);
        Assert.Equal((1, 1), (await _there.CountRepairsAsync(store, Ct), await _there.CountRepairsAsync(other, Ct)));
        await _here.RemoveNodeAsync(store, Ct);
        Assert.Equal((0, 1), (await _there.CountRepairsAsync(store, Ct), await _there.CountRepairsAsync(other, Ct)));
    }

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
