using Xunit;

namespace DarkStorage.Unit.Metadata;

/// <remarks>An index is opened, or refused: of another version, in a database that will not do, by a machine whose clock is another.</remarks>
public sealed partial class PostgresIndexTests
{
    [Fact]
    public async Task Ten_nodes_that_start_at_once_make_one_index()
    {
        var url = await _server.NewDatabaseAsync();
        var nodes = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => Task.Run(() => OpenAsync(url, new() { ReadConnectionsMax = 1, WriteConnections = 1 }), Ct)));
        Assert.Single(nodes.Select(n => n.ClusterId).Distinct());
        var bucket = await NewBucketAsync(nodes[0]);
        await Task.WhenAll(nodes.Select((n, i) => n.SaveObjectAsync(new(bucket, $"k{i}", 0, Numbered(1, i)), Ct)));
        Assert.Equal(10, (await nodes[9].GetUsageAsync(bucket, Ct)).Objects);
        foreach (var node in nodes) await node.DisposeAsync();
    }

    [Theory]
    [InlineData("UPDATE darkstorage.format SET version = 99, readable_from = 99", "newer version")]
    [InlineData("DROP SCHEMA darkstorage CASCADE; CREATE SCHEMA darkstorage", "not an index of DarkStorage")]
    public async Task A_newer_index_and_the_schema_of_something_else_are_refused_and_left_as_they_are(string made, string said)
    {
        await _server.ExecuteAsync(Database, made);
        Assert.Contains(said, (await Assert.ThrowsAsync<InvalidDataException>(() => OpenAsync(_url))).Message, StringComparison.Ordinal);
        Assert.Contains(said, (await Assert.ThrowsAsync<InvalidDataException>(() => OpenAsync(_url))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("UPDATE darkstorage.format SET version = 99, readable_from = 99", "newer version")]
    [InlineData("UPDATE darkstorage.cluster SET id = gen_random_uuid()", "is not the index of the cluster")]
    [InlineData("DROP SCHEMA darkstorage CASCADE", "is not the index of the cluster")]
    public async Task An_index_that_was_opened_knows_when_the_database_is_another_one(string made, string said)
    {
        await using var index = await OpenAsync(_url);
        await index.EnsureSameAsync(Ct);
        await _server.ExecuteAsync(Database, made);
        Assert.Contains(said, (await Assert.ThrowsAsync<InvalidDataException>(() => index.EnsureSameAsync(Ct))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_newer_index_that_says_it_is_readable_is_used()
    {
        await _server.ExecuteAsync(Database, "UPDATE darkstorage.format SET version = 99, readable_from = 1");
        await using var index = await OpenAsync(_url);
        await NewBucketAsync(index);
    }

    [Fact]
    public async Task A_database_without_UTF8_is_refused_before_anything_is_made_in_it()
    {
        await _server.ExecuteAsync("postgres", $"CREATE DATABASE {Database}_latin ENCODING 'LATIN1' TEMPLATE template0");
        var refusal = await Assert.ThrowsAsync<InvalidDataException>(() => OpenAsync($"{_url}_latin"));
        Assert.Contains("LATIN1", refusal.Message, StringComparison.Ordinal);
        Assert.False(await HasSchemaAsync($"{Database}_latin"));
    }

    [Theory, InlineData(1, "ahead"), InlineData(-1, "behind")]
    public async Task A_machine_whose_clock_is_an_hour_off_is_refused_before_anything_is_made(int hours, string said)
    {
        var url = await _server.NewDatabaseAsync();
        var refusal = await Assert.ThrowsAsync<InvalidDataException>(() => OpenAsync(url, clock: new OtherClock(TimeSpan.FromHours(hours))));
        Assert.Contains($"3600 s {said}", refusal.Message, StringComparison.Ordinal);
        Assert.False(await HasSchemaAsync(url[(url.LastIndexOf('/') + 1)..]));
    }

    [Theory, InlineData(1, "86400 s ahead of that of"), InlineData(-1, "86400 s behind that of")]
    public async Task A_clock_that_is_set_a_day_off_while_the_index_is_open_is_found_out_until_it_is_set_right(int days, string said)
    {
        var clock = new OtherClock(TimeSpan.Zero);
        await using var index = await OpenAsync(_url, clock: clock);
        Assert.Null(await index.CheckClockAsync(clock.GetUtcNow(), Ct));
        clock.Ahead = TimeSpan.FromSeconds(20 * days);
        Assert.Null(await index.CheckClockAsync(clock.GetUtcNow(), Ct));
        clock.Ahead = TimeSpan.FromDays(days);
        var told = clock.GetUtcNow();
        Assert.Contains(said, await index.CheckClockAsync(told, Ct), StringComparison.Ordinal);
        clock.Ahead = TimeSpan.Zero;
        Assert.Null(await index.CheckClockAsync(clock.GetUtcNow(), Ct));
        // Nothing is due by a time from before, but by one that is yet to come.
        Assert.Equal(days > 0, await index.CheckClockAsync(told, Ct) is not null);
    }

    [Fact]
    public async Task A_database_that_is_not_there_is_one_sentence_without_the_password()
    {
        var refusal = await Assert.ThrowsAsync<IOException>(() => OpenAsync($"postgres://postgres:geheim@127.0.0.1:{_server.Port}/none"));
        Assert.Contains("\"none\" does not exist", refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("geheim", refusal.ToString(), StringComparison.Ordinal);
    }

    private sealed class OtherClock(TimeSpan ahead) : TimeProvider
    {
        public TimeSpan Ahead { get; set; } = ahead;

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.UtcNow + Ahead;
    }
}
