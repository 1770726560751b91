using System.Globalization;
using DarkStorage.Cluster;

namespace DarkStorage.Deploy;

/// <summary>The image's health check: a script without tools, against nodes.</summary>
public sealed class HealthCheckTests
{
    [Fact]
    public async Task A_node_that_waits_for_others_is_live_and_not_ready_and_one_that_is_gone_is_neither()
    {
        await using var cluster = await TestCluster.StartAsync(0);
        var node = await cluster.AddAsync(); // three copies are wanted
        Assert.Equal((0, 1), (await CheckAsync("live", node), await CheckAsync("ready", node)));
        Assert.Equal(0, await node.TerminateAsync());
        Assert.Equal((1, 1), (await CheckAsync("live", node), await CheckAsync("ready", node)));
    }

    [Fact]
    public async Task A_check_that_is_not_known_is_refused()
    {
        Assert.Equal(2, (await Tool.RunAsync(Tool.PathOf("deploy/healthcheck.sh"), ["everything"])).ExitCode);
        Assert.Equal(2, (await Tool.RunAsync(Tool.PathOf("deploy/healthcheck.sh"), ["ready", "no-port"])).ExitCode);
    }

    private static async Task<int> CheckAsync(string what, NodeProcess node) =>
        (await Tool.RunAsync(Tool.PathOf("deploy/healthcheck.sh"), [what, node.ManagementUrl.Port.ToString(CultureInfo.InvariantCulture)])).ExitCode;
}
