using System.Net;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text;
using DarkStorage.ClientApi;
using DarkStorage.ClientApi.Admin;
using DarkStorage.ClientApi.S3;
using DarkStorage.Connectors;
using DarkStorage.Connectors.Events;
using DarkStorage.Connectors.Identity;
using DarkStorage.Connectors.OAuth;
using DarkStorage.Connectors.Rclone;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.GrainInterfaces.Identity;
using DarkStorage.Grains.Cluster;
using DarkStorage.Grains.Events;
using DarkStorage.Grains.Integrations;
using DarkStorage.Grains.Lifecycle;
using DarkStorage.Grains.Uploads;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Metadata;
using DarkStorage.Metadata.Postgres;
using DarkStorage.Metadata.Sqlite;
using DarkStorage.Rules.Logging;
using DarkStorage.Silo;
using DarkStorage.Silo.Cluster;
using DarkStorage.Silo.Configuration;
using DarkStorage.Silo.Workers;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Peers;
using DarkStorage.Storage.Secrets;
using Microsoft.Extensions.Options;
using Serilog;
using Serilog.Extensions.Logging;

const int EndedByItself = 3;

var exitCode = CommandLine.Parse(args, Console.Out, Console.Error, out var node);
if (node is null) return exitCode;

try
{
    return await RunAsync(node);
}
catch (FormatException e)
{
    await Console.Error.WriteLineAsync($"darkstorage-silo: {e.Message}");
    return CommandLine.UsageExitCode;
}
catch (Exception e) when (e is InvalidDataException or StorageStartupException or StorageException or IOException or UnauthorizedAccessException)
{
    // What an operator can mend is one sentence; a stack trace would hide it.
    await Console.Error.WriteLineAsync($"darkstorage-silo: {e.Message}");
    return 1;
}

static async Task<int> RunAsync(NodeOptions node)
{
    var builder = WebApplication.CreateEmptyBuilder(new());
    builder.Configuration.SetBasePath(AppContext.BaseDirectory).AddJsonFile("appsettings.json", optional: true).AddEnvironmentVariables("DARKSTORAGE_");
    builder.AddLogging(node);

    // Settings first: a wrong one is said before anything is made or locked.
    var s3Options = Settings.Read<S3Options>(builder.Configuration, "S3") with { Region = node.Region, Domains = node.Domain.Length == 0 ? [] : [node.Domain] };
    if (node.WebsiteDomain.Length > 0) s3Options = s3Options with { WebsiteDomains = node.WebsiteDomain.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) };
    var blobOptions = Settings.Read<BlobStoreOptions>(builder.Configuration, "Blobs");
    Settings.Read<IndexOptions>(builder.Configuration, "IndexDrive");
    Settings.Read<PostgresOptions>(builder.Configuration, "Postgres");
    Settings.Read<PeerIdentityOptions>(builder.Configuration, "Peers");
    builder.Services.AddSingleton(Options.Create(s3Options));
    Settings.Add<ClusterOptions>(builder, "Cluster");
    Settings.Add<UploadOptions>(builder, "Uploads");
    Settings.Add<LifecycleOptions>(builder, "Lifecycle");
    Settings.Add<EventOptions>(builder, "Events");
    Settings.Add<IntegrationOptions>(builder, "Integrations");
    Settings.Add<RcloneOptions>(builder, "Rclone");
    Settings.Add<TransitionOptions>(builder, "Transitions");
    Settings.Add<AccessCountOptions>(builder, "AccessCounts");
    Settings.Add<UsageCountOptions>(builder, "UsageCounts");
    Settings.Add<AccessLogOptions>(builder, "AccessLogs");
    Settings.Add<GarbageOptions>(builder, "Garbage");
    Settings.Add<DriveCareOptions>(builder, "DriveCare");
    Settings.Add<ScrubOptions>(builder, "Scrub");
    Settings.Add<CompactionOptions>(builder, "Compaction");

    // Then the drives: they are locked before anything else of the data folder is touched.
    var secret = PostgresUrl.IsOne(node.Index) ? ClusterSecret.Read() : null;
    if (secret is null && !node.HasDrive) throw new FormatException("--roles gateway is for nodes of a cluster: with --index postgres://… and DARKSTORAGE_CLUSTER_SECRET.");
    using var data = DataDirectory.Open(node.Data);
    using var logs = new SerilogLoggerFactory(Log.Logger);
    await using var drive = node.HasDrive ? PackStore.Open(data.Blobs, blobOptions, TimeProvider.System, logs.CreateLogger<PackStore>()) : null;
    var store = drive?.Id ?? data.HoldWithoutDrive();
    await using var index = await NodeIndex.OpenAsync(node, data, store, secret, builder.Configuration, logs, CancellationToken.None);
    var cluster = secret is null ? null : (IClusterIndex)index;
    IServiceProvider? running = null;
    await using var places = new NodePlaces(() => running, TimeProvider.System);
    await using var member = cluster is null ? null : await ClusterMember.OpenAsync(node, secret!, cluster, drive, store, blobOptions, places, builder.Configuration, logs, TimeProvider.System, CancellationToken.None);
    await NodeIndex.JoinAsync(index, node, data, store, secret, CancellationToken.None);
    var blobs = member?.Blobs ?? BlobStore.Over(drive!, blobOptions, TimeProvider.System, places);
    ISecretBox box = secret is null ? data.OpenMasterKeyBox() : secret.Box;
    using var issuers = OpenIssuers(builder.Configuration);
    var sharedRing = cluster is null ? null : new IndexKeyRing(cluster);
    using var keys = sharedRing is null ? await NodeKeys.OpenAsync(data, box, builder.Configuration, TimeProvider.System) : await NodeKeys.OpenAsync(sharedRing, box, builder.Configuration, TimeProvider.System);
    await using var following = sharedRing; // ends before the ring does
    sharedRing?.Keep(keys.Ring, logs.CreateLogger<KeyRing>());
    bool rootIsNew;
    RootCredentials root;
    if (cluster is null) root = data.ReadRootCredentials(out rootIsNew);
    else (root, rootIsNew) = await SharedRootCredentials.ReadAsync(cluster, box, CancellationToken.None);
    var status = new NodeStatus { Name = node.Node, Engine = GrainHosting.Engine, Index = index.Description, Version = Version(), IsMember = member is not null, WaitsFor = WaitsFor, ServesReads = () => s3Options.StaleReadsMax > TimeSpan.Zero && member?.Layouts.Current is not null };
    NodeGauges.Add(node, status);

    builder.Services
        .AddSingleton(TimeProvider.System)
        .AddSingleton(data)
        .AddSingleton<IBlobStore>(blobs)
        .AddSingleton<IMetadataIndex>(index)
        .AddSingleton<IIndexReader>(index)
        .AddSingleton<ISecretBox>(box)
        .AddSingleton<IEventSender, WebhookSender>()
        .AddSingleton<IConnectors>(static p => new ConnectorCatalog(p.GetRequiredService<TimeProvider>(), p.GetRequiredService<IOptions<RcloneOptions>>(), p.GetRequiredService<IOptions<IntegrationOptions>>().Value.ReadOnly))
        .AddSingleton<IOAuthClient, OAuthClient>()
        .AddSingleton(places)
        .AddSingleton(keys.Ring)
        .AddSingleton<IDataKeys>(keys.Data)
        .AddSingleton<IIdentityProviders>(issuers)
        .AddSingleton(new RootKey(root.AccessKey, root.SecretKey))
        .AddSingleton(status)
        .AddSingleton<AccessLogSpool>()
        .AddSingleton<IAccessLog>(p => p.GetRequiredService<AccessLogSpool>())
        .AddSingleton<AccessCounts>()
        .AddSingleton<IAccessCounter>(p => p.GetRequiredService<AccessCounts>())
        .AddSingleton<UsageCounts>()
        .AddSingleton<ITrafficCounter>(p => p.GetRequiredService<UsageCounts>())
        .AddClientApi()
        .AddHostedService(p => p.GetRequiredService<AccessCounts>())
        .AddHostedService(p => p.GetRequiredService<UsageCounts>())
        .AddHostedService<UsageCare>()
        .AddHostedService<GarbageCollector>()
        .AddHostedService<AccessLogDelivery>();
    if (drive is not null) builder.Services.AddSingleton(drive).AddHostedService<DriveCare>();
    builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = TimeSpan.FromSeconds(8));
    builder.AddGrains(node, member, index);
    // Behind the silo: they call grains from their first moment.
    builder.Services.AddHostedService<Transitions>();
    member?.AddTo(builder.Services, cluster!);
    builder.AddListeners(node);

    // Whatever else ends the node is a failure, and a service manager is to start it again.
    var isAskedToStop = false;
    using var onTerminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => isAskedToStop = true);
    using var onInterrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, _ => isAskedToStop = true);
    using var onQuit = PosixSignalRegistration.Create(PosixSignal.SIGQUIT, _ => isAskedToStop = true);

    var app = builder.Build();
    running = app.Services;
    app.UseClientApi();
    await app.StartAsync();
    status.Ready = true;
    StartBanner.Write(Console.Out, node, status, app, root, rootIsNew);
    app.Lifetime.ApplicationStopping.Register(() => status.Ready = false);
    await app.WaitForShutdownAsync();
    await app.DisposeAsync();
    await Log.CloseAndFlushAsync();
    if (isAskedToStop) return 0;
    await Console.Error.WriteLineAsync("darkstorage-silo: the node ended by itself; its log says why.");
    return EndedByItself;

    string? WaitsFor()
    {
        if (index is PostgresIndex { IsAway: true }) return "the database of the index: it does not answer";
        if (member is null) return null;
        if (member.Layouts.Current is null) return "a layout of the cluster";
        return running is null || IsInCluster(running) ? null : "its place in the cluster: it has lost its lease, and joins again by itself when the database answers";
    }
}

static OpenIdConnectIssuers OpenIssuers(IConfiguration configuration)
{
    try
    {
        return new(Settings.Read<OpenIdConnectOptions>(configuration, "OpenIdConnect"), TimeProvider.System);
    }
    catch (Exception e) when (e is System.ComponentModel.DataAnnotations.ValidationException or System.Security.Cryptography.CryptographicException)
    {
        throw new FormatException($"The settings of OpenIdConnect: {e.Message}", e);
    }
}

static bool IsInCluster(IServiceProvider services) =>
    services.GetRequiredService<Orleans.Runtime.IClusterMembershipService>().CurrentSnapshot.GetSiloStatus(services.GetRequiredService<Orleans.Runtime.ILocalSiloDetails>().SiloAddress) == Orleans.Runtime.SiloStatus.Active;

static string Version() => typeof(NodeOptions).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "unknown";
