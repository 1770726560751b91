using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Filesystem;

/// <summary>What a folder has to be told, and how one is opened.</summary>
internal static class FilesystemConnector
{
    private const string PathField = "path";

    public static readonly Connector Connector = new(
        new ConnectorType("filesystem", "Folder, drive or NAS", "A folder that every node sees at the same path: a mounted share, or, on a node alone, any drive.",
            [new(PathField, "The folder's absolute path. It is made where it is missing.", ConnectorFieldKind.Path, IsRequired: true, IsPlace: true)], []) { HasPlaceId = true },
        static (settings, clock) => new FilesystemBackend(Path.TrimEndingDirectorySeparator(Path.GetFullPath(settings[PathField])), clock, settings.GetValueOrDefault(ConnectorType.PlaceId)));
}
