using System.Net;
using System.Net.Sockets;
using BenchmarkDotNet.Attributes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans;
using Orleans.Hosting;

namespace DarkStorage.Micro;

public interface IEchoGrain : IGrainWithStringKey
{
    Task<int> EchoAsync(int value);
}

internal sealed class EchoGrain : Grain, IEchoGrain
{
    public Task<int> EchoAsync(int value) => Task.FromResult(value);
}

/// <summary>Calls of grains on the engine that the build chose: Orleans or the embedded one.</summary>
[MemoryDiagnoser]
public class Grains
{
    private const int Together = 64;

    private IHost _host = null!;
    private IGrainFactory _grains = null!;
    private IEchoGrain _grain = null!;
    private IEchoGrain[] _many = [];
    private int _next;

    // Waited for here: in its own process BenchmarkDotNet 0.14 does not wait for a task of a setup.
    [GlobalSetup]
    public void Start() => StartAsync().GetAwaiter().GetResult();

    [GlobalCleanup]
    public void Stop() => StopAsync().GetAwaiter().GetResult();

    private async Task StartAsync()
    {
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.UseOrleans(silo => silo.UseLocalhostClustering(FreePort(), FreePort()));
        _host = builder.Build();
        await _host.StartAsync();
        _grains = _host.Services.GetRequiredService<IGrainFactory>();
        _grain = _grains.GetGrain<IEchoGrain>("one");
        _many = [.. Enumerable.Range(0, Together).Select(i => _grains.GetGrain<IEchoGrain>($"many-{i}"))];
    }

    private async Task StopAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
    }

    [Benchmark]
    public Task<int> Call() => _grain.EchoAsync(1);

    /// <summary>One of 64 calls to 64 grains at once.</summary>
    [Benchmark(OperationsPerInvoke = Together)]
    public Task CallManyTogether()
    {
        var calls = new Task[Together];
        for (var i = 0; i < Together; i++) calls[i] = _many[i].EchoAsync(i);
        return Task.WhenAll(calls);
    }

    /// <summary>The first call of a grain that sleeps. Each stays awake, as in a node until it is collected.</summary>
    [Benchmark]
    public Task<int> CallAndActivation() => _grains.GetGrain<IEchoGrain>($"new-{Interlocked.Increment(ref _next)}").EchoAsync(1);

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
