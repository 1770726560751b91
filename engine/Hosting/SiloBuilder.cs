using System.Net;
using DarkStorage.Engine;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.Runtime.Hosting;
using Orleans.Storage;

namespace Orleans.Hosting
{
    /// <summary>Composes the silo of one host.</summary>
    public interface ISiloBuilder
    {
        IServiceCollection Services { get; }

        IConfiguration Configuration { get; }
    }

    public static class SiloBuilderExtensions
    {
        public static ISiloBuilder ConfigureServices(this ISiloBuilder builder, Action<IServiceCollection> configureDelegate)
        {
            configureDelegate(builder.Services);
            return builder;
        }

        public static ISiloBuilder Configure<TOptions>(this ISiloBuilder builder, Action<TOptions> configureOptions) where TOptions : class
        {
            builder.Services.Configure(configureOptions);
            return builder;
        }

        public static ISiloBuilder Configure<TOptions>(this ISiloBuilder builder, IConfiguration configuration) where TOptions : class
        {
            builder.Services.AddOptions<TOptions>().Bind(configuration);
            return builder;
        }

        public static ISiloBuilder ConfigureLogging(this ISiloBuilder builder, Action<ILoggingBuilder> configureLogging)
        {
            builder.Services.AddLogging(configureLogging);
            return builder;
        }
    }

    public static class CoreHostingExtensions
    {
        /// <summary>One silo on this machine.</summary>
        public static ISiloBuilder UseLocalhostClustering(
            this ISiloBuilder builder, int siloPort = 11111, int gatewayPort = 30000, IPEndPoint? primarySiloEndpoint = null,
            string serviceId = "dev", string clusterId = "dev")
        {
            if (primarySiloEndpoint is not null && primarySiloEndpoint.Port != siloPort)
            {
                throw new OrleansConfigurationException(
                    $"With the embedded engine silos join over a database (UseAdoNetClustering): port {siloPort} cannot join the silo at {primarySiloEndpoint}");
            }

            builder.Services.Configure<EndpointOptions>(options =>
            {
                options.AdvertisedIPAddress = IPAddress.Loopback;
                options.SiloPort = siloPort;
                options.GatewayPort = gatewayPort;
            });
            return builder.Configure<ClusterOptions>(options =>
            {
                if (!string.IsNullOrWhiteSpace(serviceId)) options.ServiceId = serviceId;
                if (!string.IsNullOrWhiteSpace(clusterId)) options.ClusterId = clusterId;
            });
        }
    }

    public static class EndpointOptionsExtensions
    {
        public static ISiloBuilder ConfigureEndpoints(
            this ISiloBuilder builder, IPAddress advertisedIP, int siloPort, int gatewayPort, bool listenOnAnyHostAddress = false) =>
            builder.Configure<EndpointOptions>(options =>
            {
                options.AdvertisedIPAddress = advertisedIP;
                options.SiloPort = siloPort;
                options.GatewayPort = gatewayPort;
                if (listenOnAnyHostAddress) options.SiloListeningEndpoint = new(IPAddress.Any, siloPort);
            });
    }

    public static class AdoNetHostingExtensions
    {
        /// <summary>One of several silos, which find each other in a PostgreSQL database.</summary>
        public static ISiloBuilder UseAdoNetClustering(this ISiloBuilder builder, Action<AdoNetClusteringSiloOptions> configureOptions)
        {
            builder.Services.TryAddSingleton<ClusteringSelected>();
            return builder.Configure(configureOptions);
        }

        /// <summary>As the other one; the options may come from anywhere.</summary>
        public static ISiloBuilder UseAdoNetClustering(
            this ISiloBuilder builder, Action<OptionsBuilder<AdoNetClusteringSiloOptions>> configureOptions)
        {
            builder.Services.TryAddSingleton<ClusteringSelected>();
            configureOptions(builder.Services.AddOptions<AdoNetClusteringSiloOptions>());
            return builder;
        }
    }

    public static class GrainCallFilterSiloBuilderExtensions
    {
        public static ISiloBuilder AddIncomingGrainCallFilter(this ISiloBuilder builder, IIncomingGrainCallFilter filter)
        {
            builder.Services.AddSingleton(filter);
            return builder;
        }

        public static ISiloBuilder AddIncomingGrainCallFilter<TImplementation>(this ISiloBuilder builder)
            where TImplementation : class, IIncomingGrainCallFilter
        {
            builder.Services.AddSingleton<IIncomingGrainCallFilter, TImplementation>();
            return builder;
        }

        public static ISiloBuilder AddIncomingGrainCallFilter(this ISiloBuilder builder, IncomingGrainCallFilterDelegate filter) =>
            builder.AddIncomingGrainCallFilter(new Incoming(filter));

        public static ISiloBuilder AddOutgoingGrainCallFilter(this ISiloBuilder builder, IOutgoingGrainCallFilter filter)
        {
            builder.Services.AddSingleton(filter);
            return builder;
        }

        public static ISiloBuilder AddOutgoingGrainCallFilter<TImplementation>(this ISiloBuilder builder)
            where TImplementation : class, IOutgoingGrainCallFilter
        {
            builder.Services.AddSingleton<IOutgoingGrainCallFilter, TImplementation>();
            return builder;
        }

        public static ISiloBuilder AddOutgoingGrainCallFilter(this ISiloBuilder builder, OutgoingGrainCallFilterDelegate filter) =>
            builder.AddOutgoingGrainCallFilter(new Outgoing(filter));

        private sealed class Incoming(IncomingGrainCallFilterDelegate filter) : IIncomingGrainCallFilter
        {
            public Task Invoke(IIncomingGrainCallContext context) => filter(context);
        }

        private sealed class Outgoing(OutgoingGrainCallFilterDelegate filter) : IOutgoingGrainCallFilter
        {
            public Task Invoke(IOutgoingGrainCallContext context) => filter(context);
        }
    }

    public static class SiloBuilderStartupExtensions
    {
        public static ISiloBuilder AddStartupTask<TStartup>(this ISiloBuilder builder, int stage = ServiceLifecycleStage.Active)
            where TStartup : class, IStartupTask =>
            builder.AddStartupTask((services, ct) => ActivatorUtilities.GetServiceOrCreateInstance<TStartup>(services).Execute(ct), stage);

        public static ISiloBuilder AddStartupTask(
            this ISiloBuilder builder, IStartupTask startupTask, int stage = ServiceLifecycleStage.Active) =>
            builder.AddStartupTask((_, ct) => startupTask.Execute(ct), stage);

        public static ISiloBuilder AddStartupTask(
            this ISiloBuilder builder, Func<IServiceProvider, CancellationToken, Task> startupTask, int stage = ServiceLifecycleStage.Active)
        {
            builder.Services.AddSingleton<ILifecycleParticipant<ISiloLifecycle>>(services => new Participant(services, startupTask, stage));
            return builder;
        }

        private sealed class Participant(IServiceProvider services, Func<IServiceProvider, CancellationToken, Task> task, int stage)
            : ILifecycleParticipant<ISiloLifecycle>
        {
            public void Participate(ISiloLifecycle lifecycle) => lifecycle.Subscribe("startup task", stage, ct => task(services, ct));
        }
    }

    public static class MemoryGrainStorageSiloBuilderExtensions
    {
        public static ISiloBuilder AddMemoryGrainStorageAsDefault(
            this ISiloBuilder builder, Action<OptionsBuilder<MemoryGrainStorageOptions>>? configureOptions = null) =>
            builder.AddMemoryGrainStorage(PersistentState.DefaultStorage, configureOptions);

        public static ISiloBuilder AddMemoryGrainStorage(
            this ISiloBuilder builder, string name, Action<OptionsBuilder<MemoryGrainStorageOptions>>? configureOptions = null)
        {
            configureOptions?.Invoke(builder.Services.AddOptions<MemoryGrainStorageOptions>(name));
            builder.Services.AddGrainStorage(name, static (_, _) => new MemoryGrainStorage());
            return builder;
        }
    }

    public static class SiloBuilderReminderExtensions
    {
        public static ISiloBuilder AddReminders(this ISiloBuilder builder)
        {
            builder.Services.AddReminders();
            return builder;
        }

        /// <summary>Reminders need a table too: register an <see cref="IReminderTable"/>.</summary>
        public static void AddReminders(this IServiceCollection services) => services.AddOptions<ReminderOptions>();
    }

    public static class SiloBuilderReminderMemoryExtensions
    {
        /// <summary>Reminders that end with the process.</summary>
        public static ISiloBuilder UseInMemoryReminderService(this ISiloBuilder builder)
        {
            builder.Services.AddSingleton<IReminderTable, InMemoryReminderTable>();
            return builder.AddReminders();
        }
    }
}

namespace Orleans.Runtime.Hosting
{
    public static class StorageProviderExtensions
    {
        /// <summary>Adds a storage that <see cref="PersistentStateAttribute"/> can name.</summary>
        public static IServiceCollection AddGrainStorage<T>(
            this IServiceCollection collection, string name, Func<IServiceProvider, string, T> implementationFactory)
            where T : IGrainStorage
        {
            collection.AddKeyedSingleton<IGrainStorage>(name, (services, _) => implementationFactory(services, name));
            if (typeof(ILifecycleParticipant<ISiloLifecycle>).IsAssignableFrom(typeof(T)))
            {
                collection.AddSingleton(services =>
                    (ILifecycleParticipant<ISiloLifecycle>)services.GetRequiredKeyedService<IGrainStorage>(name));
            }

            return collection;
        }
    }
}

namespace Microsoft.Extensions.Hosting
{
    /// <summary>Adds a silo to a host: it starts and stops with it.</summary>
    public static class OrleansSiloGenericHostExtensions
    {
        public static IHostApplicationBuilder UseOrleans(this IHostApplicationBuilder hostAppBuilder, Action<ISiloBuilder> configureDelegate)
        {
            hostAppBuilder.Services.AddSilo(hostAppBuilder.Configuration, configureDelegate);
            return hostAppBuilder;
        }

        public static HostApplicationBuilder UseOrleans(this HostApplicationBuilder hostAppBuilder, Action<ISiloBuilder> configureDelegate)
        {
            hostAppBuilder.Services.AddSilo(hostAppBuilder.Configuration, configureDelegate);
            return hostAppBuilder;
        }

        public static IHostBuilder UseOrleans(this IHostBuilder hostBuilder, Action<ISiloBuilder> configureDelegate) =>
            hostBuilder.UseOrleans((_, silo) => configureDelegate(silo));

        public static IHostBuilder UseOrleans(this IHostBuilder hostBuilder, Action<HostBuilderContext, ISiloBuilder> configureDelegate) =>
            hostBuilder.ConfigureServices((context, services) =>
                services.AddSilo(context.Configuration, silo => configureDelegate(context, silo)));

        private static void AddSilo(this IServiceCollection services, IConfiguration configuration, Action<ISiloBuilder> configure)
        {
            if (services.All(service => service.ServiceType != typeof(Silo)))
            {
                services.AddLogging();
                services.AddOptions();
                services.TryAddSingleton(TimeProvider.System);
                services.AddSingleton<GrainTypes>();
                services.AddSingleton<SiloHost>();
                services.AddSingleton<ILocalSiloDetails>(provider => provider.GetRequiredService<SiloHost>());
                services.AddSingleton<IClusterClient>(provider => provider.GetRequiredService<SiloHost>().GrainFactory);
                services.AddSingleton<IGrainFactory>(provider => provider.GetRequiredService<SiloHost>().GrainFactory);
                services.AddSingleton<IClusterMembershipService>(provider => provider.GetRequiredService<SiloHost>());
                services.AddSingleton<IGrainContextAccessor, CurrentContext>();
                services.AddHostedService(provider => provider.GetRequiredService<SiloHost>());
            }

            configure(new Builder(services, configuration));
        }

        private sealed record Builder(IServiceCollection Services, IConfiguration Configuration) : ISiloBuilder;

        private sealed class CurrentContext : IGrainContextAccessor
        {
            public IGrainContext? GrainContext => Activation.Current;
        }
    }
}
