#if EMBEDDED_ENGINE
using DarkStorage.TestKit;
using Npgsql;
using Orleans.Configuration;

namespace DarkStorage.Engine.Tests;

/// <summary>The membership in a database that is not as it should be.</summary>
[Collection(ClusterTests.Name)]
public sealed class DatabaseTests
{
    [Fact]
    public async Task The_membership_follows_a_promoted_standby_though_the_host_that_is_named_first_answers_too()
    {
        await using var first = await PostgresServer.StartAsync();
        await using var second = await first.StartStandbyAsync();
        var database = $"Host=127.0.0.1:{first.Port},127.0.0.1:{second.Port};Username=postgres;Database=postgres;Target Session Attributes=read-write";
        var cluster = Guid.NewGuid().ToString("N");
        await using var silo = await TestSilo.StartAsync(cluster, "node-0", database);
        await first.CrashAsync();
        await second.PromoteAsync();
        await first.StartAgainAsStandbyOfAsync(second);

        await using var other = await TestSilo.StartAsync(cluster, "node-1", database);
        Assert.Equal(1, await other.Grain(cluster).Add());
    }

    [Fact]
    public async Task A_silo_that_is_lost_amid_a_change_of_the_membership_does_not_keep_others_out()
    {
        await using var silos = await TestSilos.StartAsync(1);
        var server = await Postgres.GetAsync();
        using var proxy = new CutProxy(server.Port);
        await using var lost = new MembershipTable(server.ConnectionTo("postgres", proxy.Port), silos.ClusterId, TimeSpan.FromSeconds(8));
        await using var connection = await lost.OpenAsync(default);
        await using var transaction = await connection.BeginTransactionAsync();
        await lost.LockAsync(connection, default);
        proxy.Cut();

        await using var other = await TestSilo.StartAsync(silos.ClusterId, "other", silos.Database);
        await silos[0].SeesActive(2);
    }

    [Theory]
    [InlineData("UPDATE darkstorage_engine.cluster SET version = version - 2")]
    [InlineData("UPDATE darkstorage_engine.cluster SET version = 0")]
    public async Task Silos_whose_database_is_behind_what_they_have_seen_begin_again_and_find_each_other(string wentBack)
    {
        var database = await (await Postgres.GetAsync()).CreateDatabaseAsync();
        await using var silos = await TestSilos.StartAsync(3, database: database);
        var addresses = Enumerable.Range(0, 3).Select(i => silos[i].Address).ToArray();
        await ExecuteAsync(database, wentBack);     // as in a standby that had not got the last changes, and was promoted

        for (var i = 0; i < 3; i++)
        {
            var (silo, before) = (silos[i], addresses[i]);
            await silo.Sees(view => silo.Address != before && view.Members.Values.Count(member => member.Status == SiloStatus.Active) == 3 && view.GetSiloStatus(silo.Address) == SiloStatus.Active);
        }

        Assert.Single(Enumerable.Range(0, 3).Select(i => silos[i].Membership.CurrentSnapshot.Version).Distinct());
        var key = await silos.KeyAtAsync(silos[2]);
        Assert.Equal(silos[2].Address.ToString(), await silos[0].Grain(key).Where());
    }

    [Fact]
    public async Task A_session_of_the_membership_does_not_acknowledge_what_is_not_on_disk()
    {
        var database = await (await Postgres.GetAsync()).CreateDatabaseAsync();
        await ExecuteAsync(database, $"ALTER DATABASE {new NpgsqlConnectionStringBuilder(database).Database} SET synchronous_commit = off");
        await using var table = new MembershipTable(database, "cluster", TimeSpan.FromSeconds(8));
        await using var connection = await table.OpenAsync(default);
        await using var setting = new NpgsqlCommand("SHOW synchronous_commit", connection);
        Assert.Equal("on", await setting.ExecuteScalarAsync());
    }

    [Fact]
    public async Task A_database_that_refuses_what_is_said_of_others_is_told_it_once_a_period()
    {
        var database = await (await Postgres.GetAsync()).CreateDatabaseAsync();
        var period = TimeSpan.FromMilliseconds(500);
        await using var silos = await TestSilos.StartAsync(1, silo => silo.Configure<ClusterMembershipOptions>(options => options.ProbeTimeout = period), database);
        // What a sequence counts stays counted when the rest is rolled back.
        await ExecuteAsync(database, """
            CREATE SEQUENCE tries;
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('tries'); RAISE EXCEPTION 'not here'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON darkstorage_engine.suspicion FOR EACH ROW EXECUTE FUNCTION refuse();
            """);
        // A silo that nobody reaches.
        await ExecuteAsync(database, $"""
            INSERT INTO darkstorage_engine.member VALUES ('{silos.ClusterId}', '{SiloAddress.New(System.Net.IPAddress.Loopback, 9, 9).ToParsableString()}', '127.0.0.1:9', 9, 'deaf', 3, now() + interval '1 hour', now());
            UPDATE darkstorage_engine.cluster SET version = version + 1;
            """);
        await Eventually.HoldsAsync("it was said", async () => await ReadAsync(database, "SELECT last_value FROM tries WHERE is_called") is not null);

        var (tries, since) = ((long)(await ReadAsync(database, "SELECT last_value FROM tries"))!, System.Diagnostics.Stopwatch.StartNew());
        var lease = await LeaseAsync();
        for (var renewals = 0; renewals < 4; renewals++)
        {
            await Eventually.HoldsAsync("the lease is renewed", async () => (await LeaseAsync()).Equals(lease) is false);
            lease = await LeaseAsync();
        }

        // One for each period, however slowly this ran; hundreds, if nothing were waited for.
        Assert.InRange((long)(await ReadAsync(database, "SELECT last_value FROM tries"))! - tries, 1, (since.Elapsed / period) + 2);

        async Task<object> LeaseAsync() => (await ReadAsync(database, "SELECT lease_end FROM darkstorage_engine.member WHERE name <> 'deaf'"))!;
    }

    [Fact]
    public async Task Who_is_out_of_the_lease_is_buried_once_and_by_one()
    {
        var database = await (await Postgres.GetAsync()).CreateDatabaseAsync();
        await using var table = new MembershipTable(database, "cluster", TimeSpan.FromMinutes(2));
        await table.PrepareAsync(default);
        var joined = await table.JoinAsync("service", "node-0", SiloAddress.New(System.Net.IPAddress.Loopback, 9, 9), TimeSpan.FromDays(1), default);
        table.Bury();
        Assert.Equal((1, SiloStatus.Joining), (table.Read().Version, table.Read().Snapshot.GetSiloStatus(joined.Address!)));

        await ExecuteAsync(database, "UPDATE darkstorage_engine.member SET lease_end = now() - interval '1 second'");
        await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => Task.Run(table.Bury)));
        Assert.Equal((2, SiloStatus.Dead), (table.Read().Version, table.Read().Snapshot.GetSiloStatus(joined.Address!)));
    }

    private static async Task ExecuteAsync(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }

    private static async Task<object?> ReadAsync(string database, string sql)
    {
        await using var connection = new NpgsqlConnection(database);
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync();
    }
}
#endif
