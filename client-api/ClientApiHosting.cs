using DarkStorage.ClientApi.Admin;
using DarkStorage.ClientApi.S3;
using DarkStorage.ClientApi.Sts;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Identity;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Logging;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Secrets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans;

namespace DarkStorage.ClientApi;

/// <summary>Which API a connection came in for.</summary>
public enum ApiEndpoint
{
    S3,
    Management,
}

/// <summary>Puts the front end into a host: the S3 API and the management API, each on listeners of its own.</summary>
public static class ClientApiHosting
{
    /// <summary>Adds what the front end needs besides <see cref="IIndexReader"/>, <see cref="IBlobStore"/>, <see cref="IDataKeys"/>, <see cref="IGrainFactory"/>,
    /// <see cref="ISecretBox"/>, <see cref="IConnectors"/>, <see cref="IIdentityProviders"/>, <see cref="IAccessLog"/>, <see cref="IAccessCounter"/>, <see cref="ITrafficCounter"/> and <see cref="RootKey"/>.</summary>
    public static IServiceCollection AddClientApi(this IServiceCollection services) => services
        .AddSingleton(p => new Sessions(p.GetRequiredService<ISecretBox>(), p.GetRequiredService<Roles>(), p.GetRequiredService<IOptions<S3Options>>().Value, p.GetRequiredService<TimeProvider>()))
        .AddSingleton(p => new Credentials(p.GetRequiredService<RootKey>(), p.GetRequiredService<Sessions>(), p.GetRequiredService<IGrainFactory>(),
            p.GetRequiredService<IOptions<S3Options>>().Value, p.GetRequiredService<TimeProvider>()))
        .AddSingleton(p => new Roles(p.GetRequiredService<IGrainFactory>(), p.GetRequiredService<IOptions<S3Options>>().Value, p.GetRequiredService<TimeProvider>()))
        .AddSingleton(p => new StsEndpoint(p.GetRequiredService<S3Services>(), p.GetRequiredService<Roles>(), p.GetRequiredService<Sessions>(),
            p.GetRequiredService<WebIdentities>(), p.GetRequiredService<ILogger<StsEndpoint>>()))
        .AddSingleton<WebIdentities>()
        .AddSingleton(p =>
        {
            var options = p.GetRequiredService<IOptions<S3Options>>().Value;
            var clock = p.GetRequiredService<TimeProvider>();
            return new S3Services(p.GetRequiredService<IIndexReader>(), p.GetRequiredService<IBlobStore>(), p.GetRequiredService<IDataKeys>(), p.GetRequiredService<IGrainFactory>(),
                new SignatureVerifier([options.Region], clock, options.SignatureVersion2), p.GetRequiredService<Credentials>(), options, clock, p.GetRequiredService<IAccessLog>(), p.GetRequiredService<IAccessCounter>(), p.GetRequiredService<ITrafficCounter>(), p.GetRequiredService<IndexMemory>());
        })
        .AddSingleton(p => new IndexMemory(p.GetRequiredService<IIndexReader>(), p.GetRequiredService<IOptions<S3Options>>().Value.StaleReadsMax, p.GetRequiredService<TimeProvider>()))
        .AddSingleton<S3Endpoint>()
        .AddSingleton(p => new NodeObjects(p.GetRequiredService<S3Services>()))
        .AddSingleton<PrometheusMetrics>()
        .AddSingleton<AccessKeysApi>()
        .AddSingleton<UsersApi>()
        .AddSingleton(p => new RolesApi(p.GetRequiredService<Credentials>(), p.GetRequiredService<IGrainFactory>(), p.GetRequiredService<IOptions<S3Options>>().Value, p.GetRequiredService<TimeProvider>()))
        .AddSingleton<LifecycleApi>()
        .AddSingleton<EventTargetsApi>()
        .AddSingleton<IntegrationsApi>()
        .AddSingleton<AuthorizationCallback>()
        .AddSingleton<TiersApi>()
        .AddSingleton<UsageApi>()
        .AddSingleton<EncryptionKeysApi>()
        .AddSingleton<ClusterApi>()
        .AddSingleton<ManagementEndpoint>();

    /// <summary>Says which API a listener serves.</summary>
    public static void Serves(this ListenOptions listener, ApiEndpoint endpoint) => listener.Use(next => connection =>
    {
        connection.Features.Set(new EndpointFeature(endpoint));
        return next(connection);
    });

    /// <summary>Answers every request. There is no routing besides: S3's operations are named by method, level and query.</summary>
    public static void UseClientApi(this IApplicationBuilder app)
    {
        var s3 = app.ApplicationServices.GetRequiredService<S3Endpoint>();
        var management = app.ApplicationServices.GetRequiredService<ManagementEndpoint>();
        app.Run(http => http.Features.Get<EndpointFeature>()?.Endpoint == ApiEndpoint.Management ? management.HandleAsync(http) : s3.HandleAsync(http));
    }

    private sealed record EndpointFeature(ApiEndpoint Endpoint);
}
