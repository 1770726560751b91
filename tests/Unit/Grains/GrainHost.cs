using System.Net;
using System.Net.Sockets;
using System.Reflection;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Grains;
using DarkStorage.Grains.Integrations;
using DarkStorage.Grains.Lifecycle;
using DarkStorage.Grains.Objects;
using DarkStorage.Metadata;
using DarkStorage.Metadata.Grains;
using DarkStorage.Metadata.Sqlite;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.Rules.Logging;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Hosting;
using Orleans.Runtime.Hosting;

namespace DarkStorage.Unit.Grains;

/// <summary>The grains on an index of their own, and a hook in the gap that a race needs: between a listing and what is done about it.</summary>
internal sealed class GrainHost : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("darkstorage-grains-").FullName;
    private readonly IMetadataIndex _index;
    private readonly bool _isOwner;
    private readonly IHost _host;

    private GrainHost(Action<IServiceCollection>? configure, IMetadataIndex? index, GrainHost? other)
    {
        _isOwner = other is null;
        _index = other?._index ?? index ?? SqliteIndex.Open(Path.Combine(_folder, "index.db"), NullLogger<SqliteIndex>.Instance);
        var builder = Host.CreateApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.Services
            .AddSingleton(TimeProvider.System)
            .AddSingleton(HookedIndex.Over(this))
            .AddSingleton<ObjectGrainPopulation>()
            .AddSingleton<IntegrationGauges>()
            .AddSingleton<IAccessLog, NoAccessLog>()
            .AddSingleton(Options.Create(new LifecycleOptions { DayLength = TimeSpan.FromSeconds(1), Interval = TimeSpan.FromSeconds(1) }));
        configure?.Invoke(builder.Services);
        builder.UseOrleans(silo =>
        {
            silo.UseLocalhostClustering(FreePort(), FreePort());
            silo.AddReminders();
            silo.Services.AddSingleton<IReminderTable>(new IndexReminderTable(_index));
            silo.Services.AddGrainStorage(StorageNames.Index, (services, _) => new IndexGrainStorage(services.GetRequiredService<IMetadataIndex>()));
        });
        _host = builder.Build();
    }

    public IMetadataIndex Index => _index;

    public IGrainFactory Grains => _host.Services.GetRequiredService<IGrainFactory>();

    /// <summary>Awaited after a question to the index was answered, named by its method, before a grain hears of it.</summary>
    public Func<string, Task>? After { get; set; }

    /// <summary>The next change of this name, a method of the index, is made, and its answer lost.</summary>
    public string? LosesAnswerTo { get; set; }

    /// <summary>Grain states can be read, and not written.</summary>
    public bool RefusesWrites { get; set; }

    /// <summary>Called when one was refused.</summary>
    public Action? WriteRefused { get; set; }

    /// <param name="configure">Adds what only some grains need.</param>
    /// <param name="index">Ends with the host; null for one in SQLite.</param>
    /// <param name="other">Whose index it has, and who does not know of it: each has an activation of a grain that both are asked for. It ends after this one.</param>
    public static async Task<GrainHost> StartAsync(Action<IServiceCollection>? configure = null, IMetadataIndex? index = null, GrainHost? other = null)
    {
        var host = new GrainHost(configure, index, other);
        await host._host.StartAsync();
        return host;
    }

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync();
        _host.Dispose();
        if (_isOwner) await _index.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private sealed class NoAccessLog : IAccessLog
    {
        public void Write(BucketRecord bucket, LogTarget target, AccessLogEntry entry)
        {
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

#pragma warning disable CA1852, CA2012 // a DispatchProxy is derived from, at run time; the value tasks come boxed and are awaited once
    /// <summary>The index as it is, but for the hook.</summary>
    public class HookedIndex : DispatchProxy
    {
        private GrainHost _host = null!;

        public static IMetadataIndex Over(object host)
        {
            var proxy = Create<IMetadataIndex, HookedIndex>();
            ((HookedIndex)(object)proxy)._host = (GrainHost)host;
            return proxy;
        }

        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
        {
            if (_host.RefusesWrites && targetMethod!.Name == nameof(IMetadataIndex.WriteGrainStateAsync))
            {
                _host.WriteRefused?.Invoke();
                return Task.FromException<string?>(new StorageException(StorageError.Unavailable, "The index does not answer."));
            }
            var answer = targetMethod!.Invoke(_host._index, BindingFlags.DoNotWrapExceptions, null, args, null);
            if (_host.LosesAnswerTo == targetMethod.Name)
            {
                _host.LosesAnswerTo = null;
                return answer switch { Task<bool> said => LoseAsync(said), Task<string?> said => LoseAsync(said), _ => LoseAsync((Task)answer!) };
            }
            if (_host.After is not { } hook) return answer;
            return targetMethod.Name switch
            {
                nameof(IMetadataIndex.ListVersionsAsync) => HookAsync((ValueTask<VersionListingEnd>)answer!, hook, targetMethod.Name),
                nameof(IMetadataIndex.ListEventsAsync) => HookAsync((ValueTask<IReadOnlyList<WaitingEvent>>)answer!, hook, targetMethod.Name),
                nameof(IMetadataIndex.IsPlaceInUseAsync) => HookAsync((ValueTask<bool>)answer!, hook, targetMethod.Name),
                nameof(IMetadataIndex.CheckClockAsync) => HookAsync((ValueTask<string?>)answer!, hook, targetMethod.Name),
                nameof(IMetadataIndex.FindVersionAsync) => HookAsync((ValueTask<ObjectVersion?>)answer!, hook, targetMethod.Name),
                _ => answer,
            };
        }

        private static async Task LoseAsync(Task answering)
        {
            await answering;
            throw new StorageException(StorageError.Unavailable, "The index did not answer.");
        }

        private static async Task<T> LoseAsync<T>(Task<T> answering)
        {
            await LoseAsync((Task)answering);
            return await answering;
        }

        private static async ValueTask<T> HookAsync<T>(ValueTask<T> answering, Func<string, Task> hook, string method)
        {
            var answer = await answering;
            await hook(method);
            return answer;
        }
    }
}
