#if EMBEDDED_ENGINE
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using Orleans.Placement;

namespace DarkStorage.Engine.Tests;

public interface IPlacedGrain : IGrainWithStringKey
{
    /// <summary>The silo that it is on.</summary>
    Task<string> Where();

    Task<int> ProcessId();

    Task<int> Add();

    Task<string> WaitAt(string gate);

    Task<string> WaitAt(string gate, CancellationToken ct);

    /// <summary>Appends a line to a file, a while after it was called.</summary>
    Task Append(string file, string line, TimeSpan after);

    Task<byte[]> Echo(byte[] bytes);

    /// <summary>Calls another grain behind a gate, and puts what came of it into <see cref="PlacedGrain.Outcomes"/>.</summary>
    Task CallAfter(string gate, string other);

    [OneWay]
    Task Note(string key, string entry);
}

public sealed class PlacedGrain : Grain, IPlacedGrain
{
    // Of all silos in this process: how many activations of a grain there are, and whether there ever were two.
    private static readonly ConcurrentDictionary<string, int> Awake = new();

    private int _count;

    public static ConcurrentQueue<string> Doubles { get; } = new();

    public static Channel<string> Outcomes { get; } = Channel.CreateUnbounded<string>();

    private string Key => this.GetPrimaryKeyString();

    public override Task OnActivateAsync(CancellationToken cancellationToken)
    {
        if (Awake.AddOrUpdate(Key, 1, (_, n) => n + 1) > 1) Doubles.Enqueue(Key);
        return Task.CompletedTask;
    }

    public override Task OnDeactivateAsync(DeactivationReason reason, CancellationToken cancellationToken)
    {
        Awake.AddOrUpdate(Key, 0, (_, n) => n - 1);
        return Task.CompletedTask;
    }

    public Task<string> Where() => Task.FromResult(RuntimeIdentity);

    public Task<int> ProcessId() => Task.FromResult(Environment.ProcessId);

    public Task<int> Add() => Task.FromResult(++_count);

    public async Task<string> WaitAt(string gate)
    {
        await Gate.Named(gate).PassAsync();
        return RuntimeIdentity;
    }

    public async Task<string> WaitAt(string gate, CancellationToken ct)
    {
        await Gate.Named(gate).PassAsync(ct);
        return RuntimeIdentity;
    }

    public async Task CallAfter(string gate, string other)
    {
        await Gate.Named(gate).PassAsync();
        try
        {
            Outcomes.Writer.TryWrite($"{await GrainFactory.GetGrain<IPlacedGrain>(other).Add()}");
        }
        catch (Exception error)
        {
            // The test judges it.
            Outcomes.Writer.TryWrite($"{error.GetType().Name}: {error.Message}");
        }
    }

    public async Task Append(string file, string line, TimeSpan after)
    {
        if (after > TimeSpan.Zero) await Task.Delay(after);
        await File.AppendAllTextAsync(file, line + "\n");
    }

    public Task<byte[]> Echo(byte[] bytes) => Task.FromResult(bytes);

    public Task Note(string key, string entry)
    {
        Journal.Add(key, entry);
        return Task.CompletedTask;
    }
}

public interface ILocalGrain : IGrainWithStringKey
{
    Task<string> Where();
}

[PreferLocalPlacement]
public sealed class LocalGrain : Grain, ILocalGrain
{
    public Task<string> Where() => Task.FromResult(RuntimeIdentity);
}

public interface IRandomGrain : IGrainWithStringKey
{
    Task<string> Where();
}

[RandomPlacement]
public sealed class RandomGrain : Grain, IRandomGrain
{
    public Task<string> Where() => Task.FromResult(RuntimeIdentity);
}

/// <summary>One silo of a cluster in this process.</summary>
internal sealed class TestSilo : IAsyncDisposable
{
    private readonly IHost _host;
    private bool _isStopped;

    private TestSilo(IHost host) => _host = host;

    public IServiceProvider Services => _host.Services;

    public IGrainFactory Grains => Services.GetRequiredService<IGrainFactory>();

    public SiloAddress Address => Services.GetRequiredService<ILocalSiloDetails>().SiloAddress;

    public IClusterMembershipService Membership => Services.GetRequiredService<IClusterMembershipService>();

    public CancellationToken Stopping => Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;

    public static Task<TestSilo> StartAsync(string cluster, string name, string database, Action<ISiloBuilder>? configure = null) =>
        StartAsync(cluster, name, database, LogLevel.None, configure);

    public static async Task<TestSilo> StartAsync(string cluster, string name, string database, LogLevel level, Action<ISiloBuilder>? configure)
    {
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.SetMinimumLevel(level).AddSimpleConsole();
        builder.UseOrleans(silo =>
        {
            silo.UseAdoNetClustering((AdoNetClusteringSiloOptions options) => (options.Invariant, options.ConnectionString) = ("Npgsql", database));
            silo.ConfigureEndpoints(IPAddress.Loopback, 0, 0);
            silo.Configure<ClusterOptions>(options => (options.ClusterId, options.ServiceId) = (cluster, "tests"));
            silo.Configure<SiloOptions>(options => options.SiloName = name);
            silo.Configure<SiloMessagingOptions>(options => options.ResponseTimeout = TimeSpan.FromSeconds(15));
            silo.AddMemoryGrainStorageAsDefault();
            configure?.Invoke(silo);
        });
        var host = builder.Build();
        try
        {
            await host.StartAsync();
        }
        catch
        {
            host.Dispose();
            throw;
        }

        return new(host);
    }

    public IPlacedGrain Grain(string key) => Grains.GetGrain<IPlacedGrain>(key);

    public SiloStatus StatusOf(SiloAddress silo) => Membership.CurrentSnapshot.GetSiloStatus(silo);

    public async Task Sees(Func<ClusterMembershipSnapshot, bool> condition)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        await foreach (var snapshot in Membership.MembershipUpdates.WithCancellation(patience.Token))
            if (condition(snapshot)) return;
    }

    public Task SeesActive(int count) => Sees(snapshot => snapshot.Members.Values.Count(member => member.Status == SiloStatus.Active) == count);

    public async Task StopAsync()
    {
        _isStopped = true;
        await _host.StopAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_isStopped) await StopAsync();
        _host.Dispose();
    }
}

/// <summary>Several silos in this process, in a cluster of their own.</summary>
internal sealed class TestSilos : IAsyncDisposable
{
    private readonly List<TestSilo> _silos = [];
    private readonly Action<ISiloBuilder>? _configure;

    private TestSilos(string database, Action<ISiloBuilder>? configure)
    {
        Database = database;
        _configure = configure;
    }

    public string Database { get; }

    public string ClusterId { get; } = Guid.NewGuid().ToString("N");

    public TestSilo this[int index] => _silos[index];

    public int Count => _silos.Count;

    public static async Task<TestSilos> StartAsync(int count, Action<ISiloBuilder>? configure = null, string? database = null)
    {
        var silos = new TestSilos(database ?? (await Postgres.GetAsync()).ConnectionString, configure);
        for (var i = 0; i < count; i++) await silos.AddAsync();
        foreach (var silo in silos._silos) await silo.SeesActive(count);
        return silos;
    }

    public async Task<TestSilo> AddAsync(string? database = null, Action<ISiloBuilder>? configure = null)
    {
        var silo = await TestSilo.StartAsync(ClusterId, $"node-{Count}", database ?? Database, builder =>
        {
            _configure?.Invoke(builder);
            configure?.Invoke(builder);
        });
        _silos.Add(silo);
        return silo;
    }

    /// <summary>A key of a grain whose home, by now, is that silo.</summary>
    public async Task<string> KeyAtAsync(TestSilo home)
    {
        for (var i = 0; ; i++)
        {
            var key = $"{ClusterId} {i}";
            if (await home.Grain(key).Where() == home.Address.ToString()) return key;
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var silo in _silos) await silo.DisposeAsync();
    }
}

/// <summary>Stands before a server and can cut it off: without a word, as a network does.</summary>
internal sealed class CutProxy : IDisposable
{
    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _ending = new();
    private readonly int _target;
    private volatile bool _isCut;

    public CutProxy(int target)
    {
        _target = target;
        _listener.Start();
        _ = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndpoint).Port;

    public void Cut() => _isCut = true;

    /// <summary>For connections that are made from now on; what was sent over the others is lost.</summary>
    public void Mend() => _isCut = false;

    public void Dispose()
    {
        _ending.Cancel();
        _listener.Dispose();
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true) _ = ForwardAsync(await _listener.AcceptTcpClientAsync(_ending.Token));
        }
        catch (OperationCanceledException)
        {
            // The end of the test.
        }
    }

    private async Task ForwardAsync(TcpClient client)
    {
        using var near = client;
        using var far = new TcpClient();
        try
        {
            await far.ConnectAsync(IPAddress.Loopback, _target, _ending.Token);
            await Task.WhenAny(PumpAsync(near.GetStream(), far.GetStream()), PumpAsync(far.GetStream(), near.GetStream()));
            // A wire that is cut does not tell the server that the other side has gone.
            if (_isCut) await Task.Delay(Timeout.Infinite, _ending.Token);
        }
        catch (Exception error) when (error is IOException or SocketException or OperationCanceledException)
        {
            // One side has gone.
        }
    }

    private async Task PumpAsync(NetworkStream from, NetworkStream to)
    {
        var buffer = new byte[16_384];
        try
        {
            while (await from.ReadAsync(buffer, _ending.Token) is var read and > 0)
                if (!_isCut) await to.WriteAsync(buffer.AsMemory(0, read), _ending.Token);
        }
        catch (Exception error) when (error is IOException or OperationCanceledException or ObjectDisposedException)
        {
            // As above.
        }
    }
}
#endif
