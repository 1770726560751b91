using System.Collections.Immutable;
using DarkStorage.Connectors.Azure;
using DarkStorage.Connectors.Filesystem;
using DarkStorage.Connectors.Gcs;
using DarkStorage.Connectors.Guards;
using DarkStorage.Connectors.Ipfs;
using DarkStorage.Connectors.S3;
using DarkStorage.GrainInterfaces;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors;

/// <summary>All connectors of this program.</summary>
public sealed class ConnectorCatalog(TimeProvider clock) : IConnectors
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

    private static readonly ImmutableArray<Connector> All = [AzureConnector.Connector, FilesystemConnector.Connector, GcsConnector.Connector, IpfsConnector.Connector, S3Connector.Connector];

    public ImmutableArray<ConnectorType> Types { get; } = [.. All.Select(c => c.Type with { Fields = c.Type.Fields.AddRange(CommonFields) }).OrderBy(t => t.Name, StringComparer.Ordinal)];

    public IMeteredBackend Open(string name, string type, IReadOnlyDictionary<string, string> settings)
    {
        var connector = All.FirstOrDefault(c => c.Type.Name == type)
            ?? throw new StorageException(StorageError.InvalidArgument, $"There is no connector {type}; there are: {string.Join(", ", Types.Select(t => t.Name))}.");
        return new GuardedBackend(connector.Open(settings, clock), name, BackendLimits.From(settings), clock);
    }
}

/// <summary>A kind of place, and how to open one.</summary>
/// <param name="Open">Takes settings that are complete.</param>
internal sealed record Connector(ConnectorType Type, Func<IReadOnlyDictionary<string, string>, TimeProvider, IBackend> Open);
