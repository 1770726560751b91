using DarkStorage.Grains;
using DarkStorage.Grains.Objects;
using DarkStorage.Metadata;
using DarkStorage.Metadata.Grains;
using DarkStorage.Silo.Configuration;
using Orleans;
using Orleans.Hosting;
using Orleans.Runtime.Hosting;
#if !EMBEDDED_ENGINE
using Orleans.Configuration;
#endif

namespace DarkStorage.Silo;

/// <summary>Hosts the grains, on whichever engine the build chose. This is the only place that knows there are two.</summary>
internal static class GrainHosting
{
    private const string ServiceId = "darkstorage";

#if EMBEDDED_ENGINE
    public const string Engine = "Embedded";
#else
    public const string Engine = "Orleans";
    private const string PostgresInvariant = "Npgsql";
#endif

    /// <summary>Adds the silo. On one machine: clustering with itself alone, grain state and reminders in the node's own index.
    /// On PostgreSQL: membership, grain state and reminders in that database.</summary>
    public static void AddGrains(this IHostApplicationBuilder builder, NodeOptions node) => builder.UseOrleans(silo =>
    {
        silo.Services.AddSingleton<ObjectGrainPopulation>();
#if !EMBEDDED_ENGINE
        if (node.Index.StartsWith("postgres", StringComparison.Ordinal))
        {
            silo.Configure<ClusterOptions>(o => (o.ClusterId, o.ServiceId) = (ServiceId, ServiceId));
            silo.Configure<SiloOptions>(o => o.SiloName = node.Node);
            silo.UseAdoNetClustering(o => (o.Invariant, o.ConnectionString) = (PostgresInvariant, node.Index));
            silo.AddAdoNetGrainStorage(StorageNames.Index, (AdoNetGrainStorageOptions o) => (o.Invariant, o.ConnectionString) = (PostgresInvariant, node.Index));
            silo.UseAdoNetReminderService(o => (o.Invariant, o.ConnectionString) = (PostgresInvariant, node.Index));
            return;
        }
#endif
        silo.UseLocalhostClustering(siloPort: FreePorts.Take(), gatewayPort: FreePorts.Take(), serviceId: ServiceId, clusterId: node.Node);
        silo.AddReminders();
        silo.Services.AddSingleton<IReminderTable>(services => new IndexReminderTable(services.GetRequiredService<IMetadataIndex>()));
        silo.Services.AddGrainStorage(StorageNames.Index, (services, _) => new IndexGrainStorage(services.GetRequiredService<IMetadataIndex>()));
    });

    /// <summary>A node alone talks to nobody over these ports, but the real packages open them: several nodes on one machine must not meet.</summary>
    private static class FreePorts
    {
        public static int Take()
        {
            using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
            listener.Start();
            return ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
        }
    }
}
