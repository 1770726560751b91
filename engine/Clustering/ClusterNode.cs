using System.Collections.Concurrent;
using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>In DI when the silo is one of several.</summary>
internal sealed class ClusteringSelected;

/// <summary>
/// This silo as one of several. Invariants: it serves only while its lease is valid, looked at when a call begins and when its answer
/// leaves; a grain is activated here only if its home is here by the newest view, and after every live silo that may still hold it
/// has let it go, or the time for that has passed; what it sends to a silo that it must not reach any more fails.
/// The partial files: calls here, the lease and the view in <c>ClusterNode.Membership.cs</c>, grains that change their home in
/// <c>ClusterNode.Moving.cs</c>, grains that live elsewhere than at their home in <c>ClusterNode.Placing.cs</c>, connections in <c>ClusterNode.Connections.cs</c>,
/// silos that do not reach each other in <c>ClusterNode.Probing.cs</c>.
/// </summary>
internal sealed partial class ClusterNode : IAsyncDisposable
{
    /// <summary>A call that is sent on so often follows a membership that changes faster than calls travel.</summary>
    private const int HopsMax = 8;

    private readonly ConcurrentDictionary<SiloAddress, Peer> _peers = new();
    private readonly ClusterMembershipOptions _options;
    private readonly EndpointOptions _endpoint;
    private readonly SiloTlsOptions _tls;
    private readonly ClusterOptions _cluster;
    private readonly MembershipTable _table;
    private Activation? _control;

    public ClusterNode(Silo silo, IServiceProvider services)
    {
        Silo = silo;
        _options = Option<ClusterMembershipOptions>();
        _endpoint = Option<EndpointOptions>();
        _tls = Option<SiloTlsOptions>();
        _cluster = Option<ClusterOptions>();
        Connections = Option<SiloConnectionOptions>();
        if (_options.ProbeTimeout <= TimeSpan.Zero || _options.NumMissedProbesLimit < 1)
        {
            throw new OrleansConfigurationException(
                $"{nameof(ClusterMembershipOptions)}: a lease needs a period to be renewed in, and at least one renewal to spare");
        }

        Lease = new(_options.ProbeTimeout * (_options.NumMissedProbesLimit + 1));
        var clustering = Option<AdoNetClusteringSiloOptions>();
        if (clustering.Invariant != "Npgsql")
        {
            throw new OrleansConfigurationException(
                $"The embedded engine clusters over PostgreSQL, invariant \"Npgsql\"; \"{clustering.Invariant}\" is not offered");
        }

        if (string.IsNullOrWhiteSpace(clustering.ConnectionString))
            throw new OrleansConfigurationException($"{nameof(AdoNetClusteringSiloOptions)}: the connection string is missing");
        _table = new(clustering.ConnectionString, silo.ClusterId, Lease.Length);

        T Option<T>() where T : class => services.GetRequiredService<IOptions<T>>().Value;
    }

    public Silo Silo { get; }

    public SiloConnectionOptions Connections { get; }

    public Lease Lease { get; }

    public int BodyMax => Silo.Messaging.MaxMessageBodySize;

    public ClusterView View => Silo.Membership.View;

    /// <summary>Cheap: it is asked at the entry of every call, since a timer would not have fired yet in a process that was stopped for a while.</summary>
    public bool MayServe => Lease.IsValid;

    /// <summary>Where a call goes: null for this silo. At the home of a grain that lives elsewhere it goes to <see cref="PlaceAsync"/> first.</summary>
    public Peer? RouteOf(Call call)
    {
        if (call.Target.Destination is { } silo) return silo == Silo.Address ? null : PeerOf(silo);
        var id = call.Target.GrainId;
        // What is awake here is served here, also while its home moves: see ClusterNode.Moving.cs.
        if (Silo.Catalog.Contains(id) || Silo.Types.Find(id.Type) is not { MaxWorkers: 0 } grainClass) return null;
        if (grainClass.IsPlaced)
        {
            if (call.Place == CallPlace.Found && IsActive) return null;
            call.Place = IsHome(id) ? CallPlace.Wanted : CallPlace.None;
        }

        return View.HomeOf(id) is { } home && home != Silo.Address ? PeerOf(home) : null;
    }

    public void Send(Call call, Peer? peer)
    {
        if (peer is null && call.Target.Destination is not null) _control!.TryPost(call);
        else if (peer is null && call.Place == CallPlace.Wanted) _ = PlaceAsync(call);
        else if (peer is null) Silo.Catalog.Post(call);
        else if (call.Hops < HopsMax) SendTo(peer, call);
        else call.Answer(new OrleansMessageRejectionException($"{call} was sent on {HopsMax} times: the membership changes too fast"));
    }

    /// <summary>Looks again before it sends: a silo that is leaving is told that nothing more comes, and then nothing does.</summary>
    private void SendTo(Peer peer, Call call)
    {
        call.Hops++;
        peer.Enter();
        try
        {
            if (call.Target.Destination is not null || View.Snapshot.GetSiloStatus(peer.Silo) == SiloStatus.Active)
            {
                peer.Send(call);
                return;
            }
        }
        finally
        {
            peer.Exit();
        }

        Silo.Send(call);
    }

    /// <summary>A call from another silo, whose view is of <paramref name="version"/>.</summary>
    public void Receive(Call call, long version)
    {
        if (version > View.Version && !Silo.Catalog.Contains(call.Target.GrainId)) _ = ReceiveLaterAsync(call, version);
        else Take(call);
    }

    public SiloUnavailableException Unfit(Call call) => new($"Silo {Silo.Address} has lost its lease and serves no more: {call}");

    public ISiloControl Control(SiloAddress silo)
    {
        var reference = Silo.References.Create(typeof(ISiloControl), SiloControl.Id);
        reference.Destination = silo;
        return (ISiloControl)(object)reference;
    }

    /// <summary>Something came from a silo whose view is of this version.</summary>
    public void Saw(long version)
    {
        if (version > View.Version) RequestRefresh();
    }

    private async Task ReceiveLaterAsync(Call call, long version)
    {
        await RefreshAsync(version);
        Take(call);
    }

    private void Take(Call call)
    {
        try
        {
            Silo.Send(call);
        }
        catch (Exception error)
        {
            // A grain that this program does not have, for one: its caller's affair, not the connection's.
            call.Answer(error);
        }
    }

    private Peer PeerOf(SiloAddress silo)
    {
        if (_peers.TryGetValue(silo, out var known)) return known;
        var peer = _peers.GetOrAdd(silo, new Peer(this, silo));
        if (View.Snapshot.GetSiloStatus(silo) is SiloStatus.Dead) ClosePeer(silo);   // it died between the look at the view and this
        return peer;
    }

    private void ClosePeer(SiloAddress silo)
    {
        if (_peers.TryRemove(silo, out var peer)) peer.Close($"Silo {silo} is dead");
    }
}
