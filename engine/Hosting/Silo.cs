using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Configuration;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>One silo: what runs the grains of one host, from its start to its drained end.</summary>
internal sealed class Silo : IHostedService, ILocalSiloDetails, IAsyncDisposable
{
    private readonly SiloLifecycle _lifecycle = new();
    private ITimer? _collector;
    private readonly int _gatewayPort;
    private volatile Phase _phase;

    public Silo(
        IServiceProvider services, TimeProvider clock, ILogger<Silo> log, GrainTypes types,
        IOptions<SiloMessagingOptions> messaging, IOptions<GrainCollectionOptions> collection,
        IOptions<ClusterOptions> cluster, IOptions<SiloOptions> silo, IOptions<EndpointOptions> endpoint)
    {
        Services = services;
        Clock = clock;
        Log = new(log);
        Types = types;
        Messaging = messaging.Value;
        Collection = collection.Value;
        ClusterId = cluster.Value.ClusterId;
        Name = silo.Value.SiloName ?? $"Silo_{Guid.NewGuid().ToString("N")[..5]}";
        var ip = endpoint.Value.AdvertisedIPAddress ?? IPAddress.Loopback;
        var generation = SiloAddress.AllocateNewGeneration();
        Address = SiloAddress.New(ip, endpoint.Value.SiloPort, generation);
        if (services.GetService<ClusteringSelected>() is not null) Cluster = new(this, services);
        Membership = new(this);
        _gatewayPort = endpoint.Value.GatewayPort;
        Timeouts = new(clock);
        Catalog = new(this);
        References = new(this);
        GrainFactory = new(this);
        Reminders = new(this);
    }

    private enum Phase
    {
        Created,
        Running,
        Draining,
        Stopped,
    }

    public IServiceProvider Services { get; }

    public TimeProvider Clock { get; }

    public SiloLog Log { get; }

    public GrainTypes Types { get; }

    public SiloMessagingOptions Messaging { get; }

    public GrainCollectionOptions Collection { get; }

    public CallTimeouts Timeouts { get; }

    public Catalog Catalog { get; }

    public References References { get; }

    public GrainFactory GrainFactory { get; }

    public ReminderService Reminders { get; }

    public IIncomingGrainCallFilter[] IncomingFilters { get; private set; } = [];

    public IOutgoingGrainCallFilter[] OutgoingFilters { get; private set; } = [];

    /// <summary>The port may be chosen, and the generation raised, when the silo joins its cluster; not after that.</summary>
    public SiloAddress Address { get; set; }

    /// <summary>Null for a silo that is alone.</summary>
    public ClusterNode? Cluster { get; }

    public MembershipService Membership { get; }

    /// <summary>It has lost its lease: nothing runs and nothing is answered any more.</summary>
    public bool IsFenced => Cluster is { MayServe: false };

    public string Name { get; }

    public string ClusterId { get; }

    public string DnsHostName => Dns.GetHostName();

    public SiloAddress SiloAddress => Address;

    public SiloAddress GatewayAddress => SiloAddress.New(Address.Endpoint.Address, _gatewayPort, Address.Generation);

    public SiloStatus Status => _phase switch
    {
        Phase.Created => SiloStatus.Created,
        Phase.Running => SiloStatus.Active,
        Phase.Draining => SiloStatus.ShuttingDown,
        _ => SiloStatus.Dead,
    };

    /// <summary>Calls from outside end when draining begins; what already runs may still call others.</summary>
    public bool Accepts(Call call) => !IsFenced && _phase switch
    {
        Phase.Running => true,
        Phase.Draining => call.SourceId is not null || call.Origin is not null || call.Target.Destination is not null,
        _ => false,
    };

    public bool MayStay(GrainClass grainClass, GrainId id) => Cluster is null || Cluster.MayStay(grainClass, id);

    public void Send(Call call) => Send(call, Cluster?.RouteOf(call));

    /// <summary>The way of every call, to the silo that it was found to be for.</summary>
    public void Send(Call call, Peer? peer)
    {
        if (Accepts(call))
        {
            if (Cluster is { } cluster) cluster.Send(call, peer);
            else Catalog.Post(call);
        }
        else
        {
            var why = _phase == Phase.Created ? "has not started" : _phase == Phase.Running && IsFenced ? "has no lease" : "is stopping";
            call.Answer(new SiloUnavailableException($"Silo {Address} {why}: {call} was not sent"));
        }
    }

    public long AddTo(long timestamp, TimeSpan time) => timestamp + (long)(time.TotalSeconds * Clock.TimestampFrequency);

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        IncomingFilters = [.. Services.GetServices<IIncomingGrainCallFilter>()];
        OutgoingFilters = [.. Services.GetServices<IOutgoingGrainCallFilter>()];
        if (Cluster is { } cluster) _lifecycle.Subscribe("membership", ServiceLifecycleStage.RuntimeInitialize, cluster.StartAsync, cluster.LeaveAsync);
        _lifecycle.Subscribe("grains", ServiceLifecycleStage.BecomeActive, StartGrains, DrainAsync);
        _lifecycle.Subscribe("reminders", ServiceLifecycleStage.Active, Reminders.StartAsync, Reminders.StopAsync);
        foreach (var participant in Services.GetServices<ILifecycleParticipant<ISiloLifecycle>>()) participant.Participate(_lifecycle);
        _phase = Phase.Running;   // a participant of an early stage may call grains, as in Orleans
        try
        {
            await _lifecycle.StartAsync(cancellationToken);
        }
        catch when (Cluster is not null)
        {
            // Or its name would stay taken until the lease has ended.
            _phase = Phase.Stopped;
            await Cluster.LeaveAsync(CancellationToken.None);
            throw;
        }

        Log.Started(Name, Address, ClusterId);
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (_phase is Phase.Created or Phase.Stopped) return;
        try
        {
            await _lifecycle.StopAsync(cancellationToken);
        }
        finally
        {
            _phase = Phase.Stopped;
            Timeouts.AnswerAll(call => new SiloUnavailableException($"Silo {Address} stopped before {call} was answered"));
            Log.Stopped(Name, Address);
        }
    }

    /// <summary>Begins the deactivation of every activation idle for its time; for all idle for <paramref name="age"/> if given.</summary>
    public List<Activation> CollectIdle(TimeSpan? age = null) => [.. Catalog.Activations.Where(activation => activation.CollectIfIdle(age))];

    public async ValueTask DisposeAsync()
    {
        _phase = Phase.Stopped;
        if (_collector is not null) await _collector.DisposeAsync();
        Timeouts.Dispose();
        Reminders.Dispose();
        if (Cluster is not null) await Cluster.DisposeAsync();
    }

    private Task StartGrains(CancellationToken ct)
    {
        var quantum = Collection.CollectionQuantum;
        _collector = Clock.CreateTimer(static silo => ((Silo)silo!).CollectIdle(), this, quantum, quantum);
        return Cluster?.BecomeActiveAsync(ct) ?? Task.CompletedTask;
    }

    /// <summary>Ends every activation. What runs finishes first, and may wake others until it has: those are ended in the next round.</summary>
    private async Task DrainAsync(CancellationToken ct)
    {
        if (Cluster is not null) await Cluster.BeginShutdownAsync(ct);   // first: what is ended here then begins elsewhere
        _phase = Phase.Draining;
        if (_collector is not null) await _collector.DisposeAsync();
        try
        {
            while (Catalog.Activations.ToArray() is { Length: > 0 } activations)
            {
                foreach (var activation in activations)
                    activation.Deactivate(new(DeactivationReasonCode.ShuttingDown, $"Silo {Address} is stopping."), ct);
                await Task.WhenAll(activations.Select(a => a.Deactivated)).WaitAsync(ct);
            }

            if (Cluster is not null) await Cluster.QuiesceAsync(ct);
        }
        catch (OperationCanceledException)
        {
            Log.DrainCutShort(Catalog.Activations.Count(), Address);
        }
    }
}
