using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;

namespace DarkStorage.TestKit;

/// <summary>Some hosts on one machine, each a network namespace of its own, on one bridge in another namespace; the tests are on that bridge too. Packets between them can be lost.</summary>
/// <remarks>Its names begin with a prefix and the number of the process that made them. What a process left behind that was killed is removed by the next that makes a network.</remarks>
public sealed class TestNetwork : IAsyncDisposable
{
    private const string Prefix = "dstest";
    private static readonly TimeSpan HangsAfter = TimeSpan.FromSeconds(30);
    private static int s_count;

    private readonly string _name;

    private TestNetwork(string name, IPAddress here, IReadOnlyList<TestHost> hosts)
    {
        (_name, Here, Hosts) = (name, here, hosts);
        AppDomain.CurrentDomain.ProcessExit += RemoveAtExit;
    }

    /// <summary>The tests' own address on the bridge.</summary>
    public IPAddress Here { get; }

    public IReadOnlyList<TestHost> Hosts { get; }

    /// <summary>Why there can be no such network on this machine, in a sentence; null where there can.</summary>
    public static async Task<string?> WhyNotAsync()
    {
        if (!Environment.IsPrivilegedProcess) return "Network namespaces are made by root alone.";
        var name = $"{Prefix}-{Environment.ProcessId}-try";
        try
        {
            await RunAsync("ip", "netns", "add", name);
            await RunAsync("ip", "netns", "exec", name, "nft", "add", "table", "inet", "try");
            return null;
        }
        catch (Exception e) when (e is InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            return $"This machine makes no network namespaces with filters: {e.Message}";
        }
        finally
        {
            await RemoveAsync(name);
        }
    }

    public static async Task<TestNetwork> CreateAsync(int hosts)
    {
        await RemoveStaleAsync();
        var name = string.Create(CultureInfo.InvariantCulture, $"{Prefix}-{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}");
        var subnet = FreeSubnet();
        // Made first, so that it is removed whatever fails below.
        var network = new TestNetwork(name, At(subnet, 1), [.. Enumerable.Range(0, hosts).Select(i => new TestHost($"{name}-h{i}", At(subnet, 10 + i)))]);
        try
        {
            await RunAsync("ip", "netns", "add", name);
            await InAsync(name, "ip", "link", "add", "bridge", "type", "bridge", "forward_delay", "0");
            await InAsync(name, "ip", "link", "set", "bridge", "up");
            // The end of a pair is deleted with its namespace, and the other end with it.
            await InAsync(name, "ip", "link", "add", "tests", "type", "veth", "peer", "name", network.Wire);
            await InAsync(name, "ip", "link", "set", network.Wire, "netns", Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            await RunAsync("ip", "address", "add", $"{network.Here}/24", "dev", network.Wire);
            await RunAsync("ip", "link", "set", network.Wire, "up");
            await PlugAsync(name, "tests");
            foreach (var (i, host) in network.Hosts.Index())
            {
                await RunAsync("ip", "netns", "add", host.Name);
                await InAsync(name, "ip", "link", "add", $"host{i}", "type", "veth", "peer", "name", "eth0", "netns", host.Name);
                await InAsync(host.Name, "ip", "link", "set", "lo", "up");
                await InAsync(host.Name, "ip", "address", "add", $"{host.Address}/24", "dev", "eth0");
                await InAsync(host.Name, "ip", "link", "set", "eth0", "up");
                await PlugAsync(name, $"host{i}");
            }
        }
        catch
        {
            await network.DisposeAsync();
            throw;
        }
        return network;
    }

    public async ValueTask DisposeAsync()
    {
        AppDomain.CurrentDomain.ProcessExit -= RemoveAtExit;
        foreach (var host in Hosts) await RemoveAsync(host.Name);
        await RemoveAsync(_name);
    }

    internal static Task InAsync(string name, params string[] command) => RunAsync("ip", ["netns", "exec", name, .. command]);

    internal static Task FeedAsync(string name, string input, params string[] command) => RunAsync("ip", ["netns", "exec", name, .. command], input);

    /// <summary>A name of an interface has 15 characters at most.</summary>
    private string Wire => _name.Replace(Prefix + "-", "dst", StringComparison.Ordinal).Replace('-', 'n');

    private void RemoveAtExit(object? sender, EventArgs e) => DisposeAsync().AsTask().GetAwaiter().GetResult();

    private static async Task PlugAsync(string bridge, string wire)
    {
        await InAsync(bridge, "ip", "link", "set", wire, "master", "bridge");
        await InAsync(bridge, "ip", "link", "set", wire, "up");
    }

    private static async Task RemoveStaleAsync()
    {
        foreach (var line in (await OutputAsync("ip", "netns", "list")).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            var name = line.Split(' ')[0];
            if (name.Split('-') is not [Prefix, var process, ..] || Directory.Exists($"/proc/{process}")) continue;
            await RemoveAsync(name);
        }
    }

    /// <summary>Ends what runs there, and removes it. Nothing where there is no such namespace.</summary>
    private static async Task RemoveAsync(string name)
    {
        if (!File.Exists($"/run/netns/{name}") && !File.Exists($"/var/run/netns/{name}")) return;
        foreach (var process in (await OutputAsync("ip", "netns", "pids", name)).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            try
            {
                Process.GetProcessById(int.Parse(process, CultureInfo.InvariantCulture)).Kill();
            }
            catch (Exception e) when (e is ArgumentException or InvalidOperationException)
            {
                // It has ended by itself.
            }
        }
        await RunAsync("ip", "netns", "delete", name);
    }

    /// <summary>One of those that are kept for measuring networks (RFC 2544), which no machine is on for anything else.</summary>
    private static int FreeSubnet()
    {
        var taken = NetworkInterface.GetAllNetworkInterfaces().SelectMany(i => i.GetIPProperties().UnicastAddresses).Select(a => a.Address.ToString()).ToHashSet(StringComparer.Ordinal);
        for (var i = 0; i < 256; i++)
        {
            var subnet = (Environment.ProcessId + i) % 256;
            if (!taken.Contains(At(subnet, 1).ToString())) return subnet;
        }
        throw new InvalidOperationException("All subnets of 198.18.0.0/16 are in use on this machine.");
    }

    private static IPAddress At(int subnet, int host) => new([198, 18, (byte)subnet, (byte)host]);

    private static Task<string> OutputAsync(string program, params string[] arguments) => RunAsync(program, arguments, null);

    private static Task<string> RunAsync(string program, params string[] arguments) => RunAsync(program, arguments, null);

    private static async Task<string> RunAsync(string program, string[] arguments, string? input)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true })!;
        using var hangs = new CancellationTokenSource(HangsAfter);
        var (output, error) = (process.StandardOutput.ReadToEndAsync(hangs.Token), process.StandardError.ReadToEndAsync(hangs.Token));
        if (input is not null) await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        await process.WaitForExitAsync(hangs.Token);
        return process.ExitCode == 0 ? await output : throw new InvalidOperationException($"{program} {string.Join(' ', arguments)} ended with exit code {process.ExitCode}: {(await error).Trim()}");
    }
}

/// <summary>One host of a <see cref="TestNetwork"/>.</summary>
public sealed class TestHost(string name, IPAddress address)
{
    public string Name => name;

    public IPAddress Address => address;

    /// <summary>For <see cref="NodeSettings.Launcher"/>.</summary>
    public IReadOnlyList<string> Launcher => ["ip", "netns", "exec", name];

    /// <summary>From now on packets are lost that come here and match one of the first, or leave here and match one of the second; none where both are empty.</summary>
    /// <param name="incoming">Matches of <c>nft</c>, such as <c>ip saddr 198.18.0.1</c>.</param>
    public Task LoseAsync(IEnumerable<string> incoming, IEnumerable<string> leaving) => TestNetwork.FeedAsync(name, $$"""
        table inet wires
        delete table inet wires
        table inet wires {
            chain incoming {
                type filter hook input priority 0;
                {{string.Join('\n', incoming.Select(m => m + " drop"))}}
            }
            chain leaving {
                type filter hook output priority 0;
                {{string.Join('\n', leaving.Select(m => m + " drop"))}}
            }
        }

        """, "nft", "-f", "-");

    /// <summary>Connections that are made from here to some addresses go to others instead, for good: to a <see cref="TcpProxy"/> between.</summary>
    public Task RedirectAsync(IEnumerable<(IPEndPoint From, IPEndPoint To)> ways) => TestNetwork.FeedAsync(name, $$"""
        table ip ways {
            chain leaving {
                type nat hook output priority -100;
                {{string.Join('\n', ways.Select(w => string.Create(CultureInfo.InvariantCulture, $"ip daddr {w.From.Address} tcp dport {w.From.Port} dnat to {w.To}")))}}
            }
        }

        """, "nft", "-f", "-");
}
