using System.Net;
using System.Net.Sockets;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Cluster;
using DarkStorage.Grains.Cluster;
using DarkStorage.Metadata;
using DarkStorage.Silo.Configuration;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Peers;
using DarkStorage.Storage.Replicas;

namespace DarkStorage.Silo.Cluster;

/// <summary>What a node of a cluster has beside a node that stands alone: its port for peers, the layout, and the blob store over the replicas that the layout names.</summary>
internal sealed class ClusterMember : IAsyncDisposable
{
    private readonly ClusterSecret _secret;
    private readonly PackStore? _drive;
    private readonly ReplicaRepair _repair;
    private readonly PeerServer? _server;
    private readonly Guid _store;

    private ClusterMember(ClusterSecret secret, ClusterIdentity identity, ClusterLayout layouts, BlobStore blobs, ReplicaRepair repair, PeerServer? server, PackStore? drive, Guid store, IPEndPoint siloEndPoint) =>
        (_secret, Identity, Layouts, Blobs, _repair, _server, _drive, _store, SiloEndPoint) = (secret, identity, layouts, blobs, repair, server, drive, store, siloEndPoint);

    public ClusterIdentity Identity { get; }

    public ClusterLayout Layouts { get; }

    public BlobStore Blobs { get; }

    /// <summary>Where silos call this one: the address of its peers, one port on.</summary>
    public IPEndPoint SiloEndPoint { get; }

    /// <param name="drive">Null for a front end alone.</param>
    /// <param name="store">Of the drive, or of the data folder.</param>
    /// <exception cref="StorageStartupException">The port is in use, or the address is none of this machine.</exception>
    public static async Task<ClusterMember> OpenAsync(
        NodeOptions node, ClusterSecret secret, IClusterIndex index, PackStore? drive, Guid store, BlobStoreOptions blobOptions, IPlaces places, IConfiguration configuration, ILoggerFactory logs, TimeProvider clock, CancellationToken ct)
    {
        var peers = Settings.Read<PeerOptions>(configuration, "Peers");
        var address = await ResolveAsync(node.PeerUrl.Host, ct);
        var identity = secret.OpenIdentity(Settings.Read<PeerIdentityOptions>(configuration, "Peers"), clock, logs.CreateLogger<ClusterIdentity>());
        PeerServer? server = null;
        ClusterLayout? layouts = null;
        try
        {
            if (drive is not null) server = PeerServer.Start(new(address, node.PeerUrl.Port), drive, index.ClusterId, identity, peers, clock, logs.CreateLogger<PeerServer>());
            layouts = new(index, identity, peers, drive, node.Zone, clock, logs.CreateLogger<ClusterLayout>());
            await layouts.RefreshAsync(ct);
            var blobs = BlobStore.OverReplicas(drive, layouts, new IndexRepairQueue(index, clock), Settings.Read<ReplicaOptions>(configuration, "Replicas"), blobOptions, clock, logs.CreateLogger<BlobStore>(), places);
            return new(secret, identity, layouts, blobs, new(layouts, drive, blobOptions), server, drive, store, new(address, node.PeerUrl.Port + 1));
        }
        catch
        {
            if (layouts is not null) await layouts.DisposeAsync();
            if (server is not null) await server.DisposeAsync();
            identity.Dispose();
            throw;
        }
    }

    public void AddTo(IServiceCollection services, IClusterIndex index)
    {
        services.AddSingleton(index).AddSingleton<IClusterReader, ClusterReader>().AddSingleton(Layouts).AddSingleton(new NodeIdentity(_store)).AddHostedService<NodeWatch>().AddHostedService<LayoutReports>().AddHostedService<ClusterGauges>().AddHostedService<SuspectPeers>().AddSingleton(_secret).AddHostedService<SealingAnew>();
        if (_drive is not null) services.AddSingleton(_repair).AddSingleton<HealPace>().AddHostedService<ReplicaCare>().AddHostedService<ReplicaComparison>();
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null) await _server.DisposeAsync();
        await Blobs.DisposeAsync();
        _repair.Dispose();
        await Layouts.DisposeAsync();
        Identity.Dispose();
    }

    private static async Task<IPAddress> ResolveAsync(string host, CancellationToken ct)
    {
        try
        {
            if (IPAddress.TryParse(host.Trim('[', ']'), out var exact)) return exact;
            return (await Dns.GetHostAddressesAsync(host, ct)).OrderBy(a => a.AddressFamily == AddressFamily.InterNetwork ? 0 : 1).FirstOrDefault()
                ?? throw new StorageStartupException($"--peer-url names {host}, which has no address.");
        }
        catch (SocketException e)
        {
            throw new StorageStartupException($"--peer-url names {host}, which is not to be found: {e.Message}", e);
        }
    }
}
