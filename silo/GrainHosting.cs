using DarkStorage.Grains;
using DarkStorage.Grains.Integrations;
using DarkStorage.Grains.Objects;
using DarkStorage.Metadata;
using DarkStorage.Metadata.Grains;
using DarkStorage.Metadata.Postgres;
using DarkStorage.Silo.Cluster;
using DarkStorage.Silo.Configuration;
using Orleans;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime.Hosting;
#if EMBEDDED_ENGINE
using DarkStorage.Engine;
#else
using Orleans.Connections.Security;
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
#endif

    /// <summary>Adds the silo: clustering with itself alone, grain state and reminders in the index.</summary>
    /// <param name="member">Null for a node that stands alone.</param>
    public static void AddGrains(this IHostApplicationBuilder builder, NodeOptions node, ClusterMember? member, IMetadataIndex index) => builder.UseOrleans(silo =>
    {
        silo.Services.AddSingleton<ObjectGrainPopulation>().AddSingleton<IntegrationGauges>();
        if (member is null) silo.UseLocalhostClustering(siloPort: FreePorts.Take(), gatewayPort: FreePorts.Take(), serviceId: ServiceId, clusterId: node.Node);
        else Join(silo, node, member, (PostgresIndex)index);
        silo.AddReminders();
        silo.Services.AddSingleton<IReminderTable>(services => new IndexReminderTable(services.GetRequiredService<IMetadataIndex>()));
        silo.Services.AddGrainStorage(StorageNames.Index, (services, _) => new IndexGrainStorage(services.GetRequiredService<IMetadataIndex>()));
    });

    /// <summary>One silo of several, which find each other in the index's database and know each other by the cluster's certificate.</summary>
    private static void Join(ISiloBuilder silo, NodeOptions node, ClusterMember member, PostgresIndex index)
    {
        silo.Configure<ClusterOptions>(o => (o.ClusterId, o.ServiceId) = (index.ClusterId.ToString("N"), ServiceId));
        silo.Configure<SiloOptions>(o => o.SiloName = node.Node);
        silo.ConfigureEndpoints(member.SiloEndPoint.Address, member.SiloEndPoint.Port, gatewayPort: 0);
        silo.UseAdoNetClustering((AdoNetClusteringSiloOptions o) => (o.Invariant, o.ConnectionString) = ("Npgsql", PostgresUrl.Parse(node.Index).ConnectionString));
        silo.Services.AddSingleton<ILifecycleParticipant<Orleans.Runtime.ISiloLifecycle>>(new JoiningSilo(index, member.Layouts));
        // A silo that is gone is out after about 6 s, which leaves room in the 10 s for which requests to its grains may fail.
        silo.Configure<ClusterMembershipOptions>(o => (o.ProbeTimeout, o.NumMissedProbesLimit) = (TimeSpan.FromSeconds(1.5), 3));
#if EMBEDDED_ENGINE
        silo.UseSiloTls(o => (o.CertificateSelector, o.Validate) = (() => member.Identity.Certificate, member.Identity.Accepts));
#else
        // Two, lest a silo that is cut off declares the others dead. Orleans asks for one where there are only two silos.
        silo.Configure<ClusterMembershipOptions>(o => o.NumVotesForDeathDeclaration = 2);
        silo.UseTls(o =>
        {
            // The selectors go before it; that there is one is looked at when the silo starts.
            o.LocalCertificate = member.Identity.Certificate;
            o.LocalServerCertificateSelector = (_, _) => member.Identity.Certificate;
            o.LocalClientCertificateSelector = (_, _, _, _, _) => member.Identity.Certificate;
            o.RemoteCertificateMode = RemoteCertificateMode.RequireCertificate;
            o.ClientCertificateMode = RemoteCertificateMode.RequireCertificate;
            o.SslProtocols = System.Security.Authentication.SslProtocols.Tls13;
            o.RemoteCertificateValidation = (certificate, chain, errors) => member.Identity.Accepts(o, certificate, chain, errors);
        });
#endif
    }

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
