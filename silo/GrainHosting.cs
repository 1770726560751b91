using DarkStorage.Grains;
using DarkStorage.Grains.Objects;
using DarkStorage.Metadata;
using DarkStorage.Metadata.Grains;
using DarkStorage.Silo.Configuration;
using Orleans;
using Orleans.Hosting;
using Orleans.Runtime.Hosting;

namespace DarkStorage.Silo;

/// <summary>Hosts the grains, on whichever engine the build chose. This is the only place that knows there are two.</summary>
internal static class GrainHosting
{
    private const string ServiceId = "darkstorage";

#if EMBEDDED_ENGINE
    public const string Engine = "Embedded";
#else
    public const string Engine = "Orleans";
#endif

    /// <summary>Adds the silo: clustering with itself alone, grain state and reminders in the index.</summary>
    public static void AddGrains(this IHostApplicationBuilder builder, NodeOptions node) => builder.UseOrleans(silo =>
    {
        silo.Services.AddSingleton<ObjectGrainPopulation>();
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
