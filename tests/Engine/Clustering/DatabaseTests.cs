#if EMBEDDED_ENGINE
using DarkStorage.TestKit;

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
}
#endif
