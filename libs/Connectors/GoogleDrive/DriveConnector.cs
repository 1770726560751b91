using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using DarkStorage.Connectors.Google;
using DarkStorage.Connectors.OAuth;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.GoogleDrive;

/// <summary>What has to be told of a place in Google Drive, and how one is opened.</summary>
internal static class DriveConnector
{
    private const string Folder = "folder";
    private const string DriveId = "drive-id";
    private const string VisibleWithin = "visible-within-seconds";

    /// <summary>Bytes. A property has 124, with its name.</summary>
    private const int FolderBytesMax = 100;

    private const string PublicEndpoint = "https://www.googleapis.com";

    /// <summary>All that the account sees: what is in a shared drive is not to be had with less.</summary>
    private const string FullScope = "https://www.googleapis.com/auth/drive";

    /// <summary>What the application has made, and nothing else of the user's.</summary>
    private const string OwnFilesScope = "https://www.googleapis.com/auth/drive.file";

    public static readonly Connector Connector = new(
        new ConnectorType("google-drive", "Google Drive", "A user's own drive at Google, or a shared one. Each blob is a file, all in one folder. Never tried with Google itself.",
        [
            new(GoogleAccount.Endpoint, "Where the service listens, where it is not Google's usual address. https, or http on this machine.", ConnectorFieldKind.Url, Default: PublicEndpoint, IsPlace: true),
            new(Folder, "The folder, which is made where it is missing, and may then be moved or renamed. What is not put there by this program is not looked at.", Default: "DarkStorage", IsPlace: true),
            new(DriveId, "The id of a shared drive, as its address ends (https://drive.google.com/drive/folders/ID). The user's own drive where nothing is said.", IsPlace: true),
            new(OAuthService.ClientId, "The OAuth client by which somebody lets the cluster in (integrations authorize). What one application has made another may not see."),
            new(OAuthService.ClientSecret, "The secret of that client.", ConnectorFieldKind.Secret),
            .. OAuthFields.Addresses,
            new(GoogleAccount.Key, "Instead of a user, for a shared drive: the JSON file of a key of a service account that is a manager of it. Service accounts have no room of their own.", ConnectorFieldKind.Secret),
            new(VisibleWithin, "Seconds after which a put or a delete has failed that Google has taken and its lists do not show. They come on top of timeout-seconds; no call waits for more than ten minutes.", ConnectorFieldKind.Number, Default: "120", Min: 1, Max: 3600),
        ],
        [
            new("google-drive", "Google Drive", "Needs client-id and client-secret of an OAuth client of Google's; then integrations authorize.", Preset()),
            new("google-shared-drive", "A shared drive of Google Workspace", "Needs drive-id, and the key of a service account, or client-id and client-secret and then integrations authorize. Whichever it is has to be a manager of the drive.",
                Preset((OAuthService.ScopeField, FullScope))) { Requires = [DriveId] },
        ])
        { OAuth = [GoogleAccount.ServiceFor(OwnFilesScope)] },
        (settings, clock) => Open(settings, PlaceOf(settings), null, clock))
    {
        OpenAuthorized = (settings, tokens, clock) => Open(settings, PlaceOf(settings), tokens, clock),
    };

    /// <param name="place">As the settings say it, but for sizes that tests choose.</param>
    /// <param name="tokens">A user's; null for those of the service account.</param>
    internal static DriveBackend Open(IReadOnlyDictionary<string, string> settings, DrivePlace place, IAccessTokens? tokens, TimeProvider clock)
    {
        if (string.IsNullOrWhiteSpace(place.Folder) || Encoding.UTF8.GetByteCount(place.Folder) > FolderBytesMax) throw ConnectorType.Invalid($"{Folder}: 1 to {FolderBytesMax} bytes, and not of spaces alone.");
        if (place.DriveId is { } drive && !DriveResource.IsId(drive)) throw ConnectorType.Invalid($"{DriveId}: letters, digits, '-' and '_', as the drive's address ends.");
        if (settings.ContainsKey(GoogleAccount.Key) && place.DriveId is null) throw ConnectorType.Invalid($"{GoogleAccount.Key} needs {DriveId}: a service account has no room of its own.");
        if (tokens is not null && place.DriveId is not null && settings.GetValueOrDefault(OAuthService.ScopeField, OwnFilesScope).Split(' ') is var scopes && scopes.Contains(OwnFilesScope) && !scopes.Contains(FullScope))
            throw ConnectorType.Invalid($"{DriveId} needs {OAuthService.ScopeField} {FullScope}: with {OwnFilesScope}, which is asked for where nothing is said, nothing can be made in a shared drive.");
        return new(new(GoogleAccount.Open(settings, "google-drive", FullScope, DriveFailures.Api, tokens, clock), place, clock), place, clock);
    }

    internal static DrivePlace PlaceOf(IReadOnlyDictionary<string, string> settings) =>
        new(settings[Folder], settings.GetValueOrDefault(DriveId)) { VisibleWithin = TimeSpan.FromSeconds(int.Parse(settings[VisibleWithin], CultureInfo.InvariantCulture)) };

    /// <summary>Google bounds requests of an account by the minute, and each put is some five.</summary>
    private static ImmutableSortedDictionary<string, string> Preset(params (string Name, string Value)[] more) =>
        ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, [KeyValuePair.Create(GoogleAccount.Endpoint, PublicEndpoint), KeyValuePair.Create(ConnectorCatalog.CallsField, "16"), KeyValuePair.Create(ConnectorCatalog.TimeoutField, "60"), .. more.Select(m => KeyValuePair.Create(m.Name, m.Value))]);
}
