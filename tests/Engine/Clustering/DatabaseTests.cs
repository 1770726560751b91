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
}
#endif
