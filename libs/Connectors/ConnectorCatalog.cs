using System.Collections.Immutable;
using DarkStorage.Connectors.Arweave;
using DarkStorage.Connectors.Azure;
using DarkStorage.Connectors.Filecoin;
using DarkStorage.Connectors.Filesystem;
using DarkStorage.Connectors.Gcs;
using DarkStorage.Connectors.GoogleDrive;
using DarkStorage.Connectors.Guards;
using DarkStorage.Connectors.Ipfs;
using DarkStorage.Connectors.Rclone;
using DarkStorage.Connectors.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Backends;
using Microsoft.Extensions.Options;

namespace DarkStorage.Connectors;

/// <summary>All connectors of this program.</summary>
public sealed class ConnectorCatalog : IConnectors, IDisposable
{
    internal const string TimeoutField = "timeout-seconds";
    internal const string CallsField = "calls-max";
    internal const string RateField = "mebibytes-per-second-max";

    /// <summary>What every connector can be told, besides its own.</summary>
    internal static readonly ImmutableArray<ConnectorField> CommonFields =
    [
        new(TimeoutField, "Seconds without an answer, or without a byte, after which a call has failed.", ConnectorFieldKind.Number, Default: "30", Min: 1, Max: 3600),
        new(CallsField, "Calls under way at one time, from each node.", ConnectorFieldKind.Number, Default: "64", Min: 1, Max: 4096),
        new(RateField, "MiB a second to and from the place, of each node. Not bounded where nothing is said.", ConnectorFieldKind.Number, Min: 1, Max: 1 << 20),
    ];

    private readonly TimeProvider _clock;
    private readonly bool _isReadOnly;
    private readonly RcloneProgram _rclone;
    private readonly ImmutableArray<Connector> _all;

    /// <param name="rclone">Null for what is so where nothing is said.</param>
    /// <param name="isReadOnly">Whatever is opened is read, and never changed.</param>
    public ConnectorCatalog(TimeProvider clock, IOptions<RcloneOptions>? rclone = null, bool isReadOnly = false)
    {
        (_clock, _isReadOnly) = (clock, isReadOnly);
        _rclone = new((rclone?.Value ?? new()).Program, clock);
        _all = [ArweaveConnector.Connector, AzureConnector.Connector, FilecoinConnector.Connector, FilesystemConnector.Connector, GcsConnector.Connector, DriveConnector.Connector, IpfsConnector.Connector, RcloneConnector.On(_rclone), S3Connector.Connector];
        Types = [.. _all.Select(c => c.Type with { Fields = c.Type.Fields.AddRange(CommonFields) }).OrderBy(t => t.Name, StringComparer.Ordinal)];
    }

    public ImmutableArray<ConnectorType> Types { get; }

    public IMeteredBackend Open(string name, string type, IReadOnlyDictionary<string, string> settings, IAccessTokens? tokens = null)
    {
        var connector = _all.FirstOrDefault(c => c.Type.Name == type)
            ?? throw new StorageException(StorageError.InvalidArgument, $"There is no connector {type}; there are: {string.Join(", ", Types.Select(t => t.Name))}.");
        var backend = connector.OpenAuthorized is { } open && connector.Type.ApplicationOf(settings) is not null
            ? open(settings, tokens ?? throw new ArgumentNullException(nameof(tokens)), _clock)
            : connector.Open(settings, _clock);
        var guarded = new GuardedBackend(backend, name, BackendLimits.From(settings), _clock);
        return _isReadOnly ? new ReadOnlyBackend(guarded) : guarded;
    }

    /// <summary>Ends the programs that connectors have started.</summary>
    public void Dispose() => _rclone.Dispose();
}

/// <summary>A kind of place, and how to open one.</summary>
/// <param name="Open">Takes settings that are complete.</param>
internal sealed record Connector(ConnectorType Type, Func<IReadOnlyDictionary<string, string>, TimeProvider, IBackend> Open)
{
    /// <summary>Opens one that an application was let into; null for kinds without.</summary>
    public Func<IReadOnlyDictionary<string, string>, IAccessTokens, TimeProvider, IBackend>? OpenAuthorized { get; init; }
}
