using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;

namespace DarkStorage.Engine.Tests;

/// <summary>A host with one silo, made only of what both engines have.</summary>
internal sealed class Cluster : IAsyncDisposable
{
    /// <summary>For events that come at once: long enough for the slowest machine, and never waited out when all is well.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    /// <summary>
    /// More than one when the tests are run again among several silos: the test then calls from the first, and grains are on all of them.
    /// Set by <c>SeveralSilosTests</c>, with the database that they meet in.
    /// </summary>
    public const string SilosVariable = "DARKSTORAGE_TEST_SILOS";
    public const string DatabaseVariable = "DARKSTORAGE_TEST_DATABASE";

    private readonly IHost[] _hosts;
    private bool _isStopped;

    private Cluster(IHost[] hosts) => _hosts = hosts;

    private IHost First => _hosts[0];

    public IGrainFactory Grains => First.Services.GetRequiredService<IGrainFactory>();

    public IServiceProvider Services => First.Services;

    public static async Task<Cluster> StartAsync(Action<ISiloBuilder>? configure = null)
    {
        var id = Guid.NewGuid().ToString("N");
        var hosts = new IHost[int.Parse(Environment.GetEnvironmentVariable(SilosVariable) ?? "1", CultureInfo.InvariantCulture)];
        for (var i = 0; i < hosts.Length; i++)
        {
            hosts[i] = Build(hosts.Length > 1 ? silo => Join(silo, id) : silo => silo.UseLocalhostClustering(FreePort(), FreePort()), configure);
            await hosts[i].StartAsync();
        }

        return new(hosts);
    }

    private static IHost Build(Action<ISiloBuilder> cluster, Action<ISiloBuilder>? configure)
    {
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.UseOrleans(silo =>
        {
            cluster(silo);
            silo.AddMemoryGrainStorageAsDefault();
            silo.UseInMemoryReminderService();
            configure?.Invoke(silo);
        });
        return builder.Build();
    }

    private static void Join(ISiloBuilder silo, string clusterId)
    {
        silo.UseAdoNetClustering((AdoNetClusteringSiloOptions options) =>
        {
            options.Invariant = "Npgsql";
            options.ConnectionString = Environment.GetEnvironmentVariable(DatabaseVariable)!;
        });
        silo.ConfigureEndpoints(IPAddress.Loopback, FreePort(), FreePort());
        silo.Configure<ClusterOptions>(options => (options.ClusterId, options.ServiceId) = (clusterId, "tests"));
    }

    public T Grain<T>(string? key = null) where T : IGrainWithStringKey => Grains.GetGrain<T>(key ?? Guid.NewGuid().ToString("N"));

    /// <summary>Deactivates all that is idle at this moment.</summary>
    public Task CollectAsync() => Grains.GetGrain<IManagementGrain>(0).ForceActivationCollection(TimeSpan.Zero);

    public async Task StopAsync(CancellationToken ct = default)
    {
        _isStopped = true;
        await Task.WhenAll(_hosts.Select(host => host.StopAsync(ct)));
    }

    public async ValueTask DisposeAsync()
    {
        if (!_isStopped) await StopAsync();
        foreach (var host in _hosts) host.Dispose();
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

/// <summary>One cluster for the tests of a class that need nothing special.</summary>
public sealed class ClusterFixture : IAsyncLifetime
{
    internal Cluster Cluster { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Cluster = await Cluster.StartAsync(silo =>
        silo.Configure<SiloMessagingOptions>(options => options.ResponseTimeout = TimeSpan.FromSeconds(15)));

    public ValueTask DisposeAsync() => Cluster.DisposeAsync();
}
