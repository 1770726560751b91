using System.Collections.Immutable;
using System.Globalization;
using System.Text.RegularExpressions;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Filecoin;

/// <summary>What has to be told of a place in an account of Lighthouse, and how one is opened.</summary>
internal static partial class FilecoinConnector
{
    private const string Key = "api-key";
    private const string Place = "place";
    private const string UploadEndpoint = "upload-endpoint";
    private const string ApiEndpoint = "api-endpoint";
    private const string Gateway = "gateway";
    private const string VisibleWithin = "visible-within-seconds";

    private const string LighthouseUpload = "https://upload.lighthouse.storage";
    private const string LighthouseApi = "https://api.lighthouse.storage";
    private const string LighthouseGateway = "https://gateway.lighthouse.storage";

    public static readonly Connector Connector = new(
        new ConnectorType("filecoin", "Filecoin (Lighthouse)", "An account of Lighthouse, which keeps files on IPFS and has them stored on Filecoin. What is put there is public, and others may keep it when it was deleted: keep there nothing that is not encrypted. For few and large blobs: each call reads the list of all. Never tried with Lighthouse itself.",
        [
            new(Key, "The account's API key.", ConnectorFieldKind.Secret, IsRequired: true),
            new(Place, "What the names of this place's files begin with: letters, digits, '-', '_' and '.'.", Default: "darkstorage", IsPlace: true),
            new(UploadEndpoint, "Where files are taken. https, or http on this machine.", ConnectorFieldKind.Url, Default: LighthouseUpload),
            new(ApiEndpoint, "Where the account's files are listed and deleted. https, or http on this machine.", ConnectorFieldKind.Url, Default: LighthouseApi, IsPlace: true),
            new(Gateway, "The gateway that has the files, below /ipfs/: the account's own, which Lighthouse's files dapp shows.", ConnectorFieldKind.Url, Default: LighthouseGateway),
            new(VisibleWithin, "Seconds after which a put or a delete has failed that the service has taken and does not show.", ConnectorFieldKind.Number, Default: "300", Min: 1, Max: 3600),
        ],
        [
            new("lighthouse", "Lighthouse", "Needs api-key, and gateway unless the account may use the public one.",
                ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, [KeyValuePair.Create(ApiEndpoint, LighthouseApi), KeyValuePair.Create(ConnectorCatalog.TimeoutField, "120"), KeyValuePair.Create(ConnectorCatalog.CallsField, "4")])),
        ]),
        Open);

    private static FilecoinBackend Open(IReadOnlyDictionary<string, string> settings, TimeProvider clock)
    {
        if (!PlaceName().IsMatch(settings[Place])) throw ConnectorType.Invalid($"{Place}: 1 to 64 letters, digits, '-', '_' and '.'.");
        var key = settings[Key].Trim();
        if (key.Length == 0 || key.Any(c => c is <= ' ' or > '~')) throw ConnectorType.Invalid($"{Key}: visible letters, and no spaces.");
        var place = new FilecoinPlace(settings[Place]) { VisibleWithin = TimeSpan.FromSeconds(int.Parse(settings[VisibleWithin], CultureInfo.InvariantCulture)) };
        var http = OutboundConnections.NewClient();
        return new(new(SafeOf(UploadEndpoint, settings), SafeOf(ApiEndpoint, settings), key, http, clock), new(new Uri(FolderOf(settings[Gateway]), "ipfs/"), http), place, http, clock);
    }

    /// <summary>The key goes there.</summary>
    private static Uri SafeOf(string field, IReadOnlyDictionary<string, string> settings)
    {
        var address = FolderOf(settings[field]);
        return SafeAddress.Is(address) ? address : throw ConnectorType.Invalid($"{field}: https, or http on this machine: who sees the key can do all that the account may.");
    }

    private static Uri FolderOf(string address) => new(address.TrimEnd('/') + "/");

    [GeneratedRegex(@"^[A-Za-z0-9._-]{1,64}\z")]
    private static partial Regex PlaceName();
}
