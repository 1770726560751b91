using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>
/// The silo of one host, through its lives. A silo that has lost its lease is over: what it had awake ends with it. Then another one is
/// made and started in its place, which joins as a new run of the same name, as a process that starts again would, and is tried
/// for as long as it takes. Until it has joined every call is refused at once. What the host hands out (the factory of grains,
/// the membership, where the silo is) goes on from one life to the next.
/// </summary>
internal sealed class SiloHost : IHostedService, ILocalSiloDetails, IClusterMembershipService, IAsyncDisposable
{
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(5);

    private readonly CancellationTokenSource _ending = new();
    private readonly IServiceProvider _services;
    private readonly int _gatewayPort;
    private Task _living = Task.CompletedTask;
    private volatile Silo _current;

    public SiloHost(IServiceProvider services, IOptions<SiloOptions> silo, IOptions<EndpointOptions> endpoint)
    {
        _services = services;
        _gatewayPort = endpoint.Value.GatewayPort;
        Name = silo.Value.SiloName ?? $"Silo_{Guid.NewGuid().ToString("N")[..5]}";
        GrainFactory = new(this);
        _current = new(this, services, earlier: null);
    }

    /// <summary>The life that is, or that is about to begin.</summary>
    public Silo Current => _current;

    public GrainFactory GrainFactory { get; }

    public string Name { get; }

    public string ClusterId => Current.ClusterId;

    public string DnsHostName => Dns.GetHostName();

    public SiloAddress SiloAddress => Current.Address;

    public SiloAddress GatewayAddress => SiloAddress.New(SiloAddress.Endpoint.Address, _gatewayPort, SiloAddress.Generation);

    /// <summary>Between two lives what the earlier one saw last, in which this silo, by its new address, is no member.</summary>
    public ClusterMembershipSnapshot CurrentSnapshot => Current.Membership.CurrentSnapshot;

    public IAsyncEnumerable<ClusterMembershipSnapshot> MembershipUpdates => UpdatesAsync();

    public ValueTask Refresh(MembershipVersion minimumVersion = default, CancellationToken cancellationToken = default) =>
        Current.Membership.Refresh(minimumVersion, cancellationToken);

    /// <summary>A call is of the life that its caller is of; whoever calls from outside of grains calls the one that is.</summary>
    public Silo LifeOf(Activation? caller) => caller is not null && caller.Silo.Host == this ? caller.Silo : _current;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await Current.StartAsync(cancellationToken);
        if (Current.Cluster is not null) _living = LiveAsync();
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _ending.CancelAsync();
        await _living.WaitAsync(cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await Current.StopAsync(cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync();
        await _living;
        await Current.DisposeAsync();
    }

    private async Task LiveAsync()
    {
        try
        {
            while (true)
            {
                await Current.Lost.WaitAsync(_ending.Token);
                await ReplaceAsync();
                for (var pause = FirstPause; !await TryStartAsync(); pause = pause * 2 < LongestPause ? pause * 2 : LongestPause)
                {
                    await Task.Delay(pause * (0.5 + Random.Shared.NextDouble()), _ending.Token);   // not all silos at once
                    await ReplaceAsync();
                }
            }
        }
        catch (OperationCanceledException) when (_ending.IsCancellationRequested)
        {
            // The host stops.
        }
        catch (Exception error)
        {
            // What no later try can mend: whoever runs the program is told by its end.
            Current.Log.CannotJoinAgain(Name, error.Message);
            _services.GetService<IHostApplicationLifetime>()?.StopApplication();
        }
    }

    /// <summary>Puts a new silo, which has not begun, in the place of one that is over, and ends that one.</summary>
    private async Task ReplaceAsync()
    {
        var over = Current;
        _current = new(this, _services, over);
        over.WasReplaced();
        try
        {
            // What its grains are in the middle of may end, for as long as another silo would wait for it.
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(_ending.Token);
            patience.CancelAfter(over.Cluster!.Lease.Length);
            await over.StopAsync(patience.Token);
        }
        catch (Exception error) when (error is not OperationCanceledException || !_ending.IsCancellationRequested)
        {
            // A part of it that fails to stop does not keep the next one from starting.
            over.Log.StopFailed(error, over.Address);
        }

        await over.DisposeAsync();
    }

    private async Task<bool> TryStartAsync()
    {
        try
        {
            await Current.StartAsync(_ending.Token);
            return true;
        }
        catch (Exception error) when (!IsFinal(error) && !_ending.IsCancellationRequested)
        {
            Current.Log.NotJoinedYet(Name, error.Message);
            return false;
        }
    }

    /// <summary>A setting that is wrong stays wrong; a port may be another's for a moment, and everything else is the database's or the network's to mend.</summary>
    private static bool IsFinal(Exception error) => error is OrleansConfigurationException { InnerException: not SocketException };

    private async IAsyncEnumerable<ClusterMembershipSnapshot> UpdatesAsync([EnumeratorCancellation] CancellationToken ct = default)
    {
        while (true)
        {
            var silo = Current;
            var changed = silo.Membership.Changed;
            yield return silo.Membership.CurrentSnapshot;
            await Task.WhenAny(changed, silo.Replaced).WaitAsync(ct);
        }
    }
}
