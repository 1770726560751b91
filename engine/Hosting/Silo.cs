using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Configuration;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>One life of a silo: what runs the grains of one host, from its start to its drained end, or to the loss of its lease.</summary>
internal sealed class Silo : IAsyncDisposable
{
    private readonly SiloLifecycle _lifecycle = new();
    private readonly TaskCompletionSource _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _replaced = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ITimer? _collector;
    private volatile Phase _phase;

    /// <param name="earlier">The life before this one, or null.</param>
    public Silo(SiloHost host, IServiceProvider services, Silo? earlier)
    {
        Host = host;
        Services = services;
        Clock = services.GetRequiredService<TimeProvider>();
        Log = new(services.GetRequiredService<ILogger<Silo>>());
        Types = services.GetRequiredService<GrainTypes>();
        Messaging = Option<SiloMessagingOptions>();
        Collection = Option<GrainCollectionOptions>();
        ClusterId = Option<ClusterOptions>().ClusterId;
        var endpoint = Option<EndpointOptions>();
        var generation = Math.Max(SiloAddress.AllocateNewGeneration(), (earlier?.Address.Generation ?? 0) + 1);
        Address = SiloAddress.New(endpoint.AdvertisedIPAddress ?? IPAddress.Loopback, endpoint.SiloPort, generation);
        if (services.GetService<ClusteringSelected>() is not null) Cluster = new(this, services);
        Membership = new(this, earlier?.Membership);
        Timeouts = new(Clock);
        Catalog = new(this);
        References = new(this);
        Reminders = new(this);

        T Option<T>() where T : class => services.GetRequiredService<IOptions<T>>().Value;
    }

    private enum Phase
    {
        Created,

        /// <summary>Among several: it has a lease and talks to the others, and grains have no home here yet.</summary>
        Joining,
        Running,
        Draining,
        Stopped,
    }

    public SiloHost Host { get; }

    public IServiceProvider Services { get; }

    public TimeProvider Clock { get; }

    public SiloLog Log { get; }

    public GrainTypes Types { get; }

    public SiloMessagingOptions Messaging { get; }

    public GrainCollectionOptions Collection { get; }

    public CallTimeouts Timeouts { get; }

    public Catalog Catalog { get; }

    public References References { get; }

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

    public string Name => Host.Name;

    public string ClusterId { get; }

    /// <summary>Completes when the lease is lost, and with it the silo.</summary>
    public Task Lost => _lost.Task;

    /// <summary>Completes when another life is in this one's place.</summary>
    public Task Replaced => _replaced.Task;

    public SiloStatus Status => _phase switch
    {
        Phase.Created => SiloStatus.Created,
        Phase.Joining => SiloStatus.Joining,
        Phase.Running => SiloStatus.Active,
        Phase.Draining => SiloStatus.ShuttingDown,
        _ => SiloStatus.Dead,
    };

    public void WasLost() => _lost.TrySetResult();

    public void WasReplaced() => _replaced.TrySetResult();

    /// <summary>Calls from outside begin when grains may have their home here, and end when draining begins; what already runs may still call others.</summary>
    public bool Accepts(Call call) => !IsFenced && _phase switch
    {
        Phase.Running => true,
        Phase.Joining when Cluster!.IsActive => true,
        Phase.Joining or Phase.Draining => call.SourceId is not null || call.Origin is not null || call.Target.Destination is not null,
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
            var why = _phase is Phase.Created or Phase.Joining ? "has not joined yet" : _phase == Phase.Running && IsFenced ? "has no lease" : "is stopping";
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
        _phase = Cluster is null ? Phase.Running : Phase.Joining;   // alone, a participant of an early stage may call grains, as in Orleans
        try
        {
            await _lifecycle.StartAsync(cancellationToken);
        }
        catch when (Cluster is not null)
        {
            // What had begun ends, and its name would else stay taken until the lease has ended.
            using var patience = new CancellationTokenSource(Cluster.Lease.Length);
            await _lifecycle.StopAsync(patience.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
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

    private async Task StartGrains(CancellationToken ct)
    {
        var quantum = Collection.CollectionQuantum;
        _collector = Clock.CreateTimer(static silo => ((Silo)silo!).CollectIdle(), this, quantum, quantum);
        if (Cluster is null) return;
        await Cluster.BecomeActiveAsync(ct);
        _phase = Phase.Running;
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
