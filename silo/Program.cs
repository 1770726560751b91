using System.Net;
using System.Reflection;
using System.Text;
using DarkStorage.ClientApi;
using DarkStorage.ClientApi.Admin;
using DarkStorage.ClientApi.S3;
using DarkStorage.Connectors.Events;
using DarkStorage.Connectors.Identity;
using DarkStorage.GrainInterfaces;
using DarkStorage.GrainInterfaces.Events;
using DarkStorage.GrainInterfaces.Identity;
using DarkStorage.Grains.Events;
using DarkStorage.Grains.Lifecycle;
using DarkStorage.Grains.Uploads;
using DarkStorage.Metadata;
using DarkStorage.Metadata.Sqlite;
using DarkStorage.Rules.Logging;
using DarkStorage.Silo;
using DarkStorage.Silo.Configuration;
using DarkStorage.Silo.Workers;
using DarkStorage.Storage;
using DarkStorage.Storage.Encryption;
using DarkStorage.Storage.Packs;
using DarkStorage.Storage.Secrets;
using Microsoft.Extensions.Options;
using Serilog;
using Serilog.Extensions.Logging;

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
catch (Exception e) when (e is InvalidDataException or StorageStartupException or IOException or UnauthorizedAccessException)
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
    var s3Options = Read<S3Options>(builder.Configuration, "S3") with { Region = node.Region, Domains = node.Domain.Length == 0 ? [] : [node.Domain] };
    if (node.WebsiteDomain.Length > 0) s3Options = s3Options with { WebsiteDomains = node.WebsiteDomain.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) };
    var blobOptions = Read<BlobStoreOptions>(builder.Configuration, "Blobs");
    var indexOptions = Read<IndexOptions>(builder.Configuration, "IndexDrive");
    builder.Services.AddSingleton(Options.Create(s3Options));
    AddOptions<UploadOptions>(builder, "Uploads");
    AddOptions<LifecycleOptions>(builder, "Lifecycle");
    AddOptions<EventOptions>(builder, "Events");
    AddOptions<AccessLogOptions>(builder, "AccessLogs");
    AddOptions<GarbageOptions>(builder, "Garbage");
    AddOptions<DriveCareOptions>(builder, "DriveCare");
    AddOptions<ScrubOptions>(builder, "Scrub");
    AddOptions<CompactionOptions>(builder, "Compaction");

    // Then the drives: they are locked before anything else of the data folder is touched.
    var data = DataDirectory.Open(node.Data);
    using var logs = new SerilogLoggerFactory(Log.Logger);
    await using var blobs = BlobStore.Open(data.Blobs, blobOptions, TimeProvider.System, logs.CreateLogger<BlobStore>());
    await using var index = SqliteIndex.Open(data.IndexFile, logs.CreateLogger<SqliteIndex>(), indexOptions);
    var box = data.OpenMasterKeyBox();
    using var issuers = OpenIssuers(builder.Configuration);
    using var keys = await NodeKeys.OpenAsync(data, box, builder.Configuration, TimeProvider.System);
    var root = data.ReadRootCredentials(out var rootIsNew);
    var status = new NodeStatus { Name = node.Node, Engine = GrainHosting.Engine, Index = index.Description, Version = Version() };

    builder.Services
        .AddSingleton(TimeProvider.System)
        .AddSingleton(data)
        .AddSingleton(blobs.Drive!)
        .AddSingleton<IBlobStore>(blobs)
        .AddSingleton(index)
        .AddSingleton<IMetadataIndex>(index)
        .AddSingleton<IIndexReader>(index)
        .AddSingleton<ISecretBox>(box)
        .AddSingleton<IEventSender, WebhookSender>()
        .AddSingleton(keys.Ring)
        .AddSingleton<IDataKeys>(keys.Data)
        .AddSingleton<IIdentityProviders>(issuers)
        .AddSingleton(new RootKey(root.AccessKey, root.SecretKey))
        .AddSingleton(status)
        .AddSingleton<AccessLogSpool>()
        .AddSingleton<IAccessLog>(p => p.GetRequiredService<AccessLogSpool>())
        .AddClientApi()
        .AddHostedService<GarbageCollector>()
        .AddHostedService<DriveCare>()
        .AddHostedService<AccessLogDelivery>();
    builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = TimeSpan.FromSeconds(8));
    builder.AddGrains(node);
    builder.AddListeners(node);

    var app = builder.Build();
    app.UseClientApi();
    await app.StartAsync();
    status.Ready = true;
    StartBanner.Write(Console.Out, node, status, app, root, rootIsNew);
    app.Lifetime.ApplicationStopping.Register(() => status.Ready = false);
    await app.WaitForShutdownAsync();
    await app.DisposeAsync();
    await Log.CloseAndFlushAsync();
    return 0;
}

static OpenIdConnectIssuers OpenIssuers(IConfiguration configuration)
{
    try
    {
        return new(Read<OpenIdConnectOptions>(configuration, "OpenIdConnect"), TimeProvider.System);
    }
    catch (Exception e) when (e is System.ComponentModel.DataAnnotations.ValidationException or System.Security.Cryptography.CryptographicException)
    {
        throw new FormatException($"The settings of OpenIdConnect: {e.Message}", e);
    }
}

static void AddOptions<T>(WebApplicationBuilder builder, string section) where T : class, new() =>
    builder.Services.AddSingleton(Options.Create(Read<T>(builder.Configuration, section)));

static T Read<T>(IConfiguration configuration, string section) where T : class, new()
{
    T options;
    try
    {
        options = configuration.GetSection(section).Get<T>() ?? new T();
    }
    catch (InvalidOperationException e)
    {
        throw new FormatException($"The settings of {section}: {e.Message}", e);
    }
    var problems = new List<System.ComponentModel.DataAnnotations.ValidationResult>();
    if (System.ComponentModel.DataAnnotations.Validator.TryValidateObject(options, new(options), problems, validateAllProperties: true)) return options;
    throw new FormatException($"The settings of {section}: {string.Join(' ', problems.Select(p => p.ErrorMessage))}");
}

static string Version() => typeof(NodeOptions).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "unknown";
