using System.Collections.Immutable;
using System.Globalization;
using System.Text.RegularExpressions;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Arweave;

/// <summary>What has to be told of a wallet's place in Arweave, and how one is opened.</summary>
internal static partial class ArweaveConnector
{
    private const string Wallet = "wallet";
    private const string Place = "place";
    private const string UploadEndpoint = "upload-endpoint";
    private const string GatewayField = "gateway";
    private const string Graphql = "graphql";
    private const string ItemMax = "item-mebibytes-max";
    private const string VisibleWithin = "visible-within-seconds";

    private const string PublicGateway = "https://arweave.net";
    private const string TurboEndpoint = "https://upload.ardrive.io/v1/tx";

    public static readonly Connector Connector = new(
        new ConnectorType("arweave", "Arweave", "Arweave's permanent, public storage. WHAT IS PUT THERE IS PUBLIC, AND NOBODY CAN EVER DELETE IT: a delete only takes the name away. Keep there nothing that is not encrypted. Each put is paid for once. Never tried with Arweave itself.",
        [
            new(Wallet, "The JSON file of a wallet (a JWK of RSA with 4,096 bits). Who has it can write in its name, and spend what it owns: have one for this alone, with credit at the bundler and no more.", ConnectorFieldKind.Secret, IsRequired: true, IsPlace: true),
            new(Place, "What the wallet's items of this place are tagged with: letters, digits, '-', '_', '.' and '/'. Everybody can read it.", Default: "darkstorage", IsPlace: true),
            new(UploadEndpoint, "Where a bundler takes signed data items (ANS-104) by POST.", ConnectorFieldKind.Url, IsRequired: true),
            new(GatewayField, "The gateway that has the items' data, below /raw/.", ConnectorFieldKind.Url, Default: PublicGateway),
            new(Graphql, "Where the items' tags are asked for, with GraphQL. The gateway's /graphql where nothing is said. It has to know all of the wallet's items.", ConnectorFieldKind.Url),
            new(ItemMax, "MiB of the largest item that the bundler takes, and so of the largest blob.", ConnectorFieldKind.Number, Default: "2048", Min: 1, Max: 1 << 20),
            new(VisibleWithin, "Seconds after which a put has failed whose item the bundler has taken and the gateway does not show.", ConnectorFieldKind.Number, Default: "300", Min: 1, Max: 3600),
        ],
        [
            new("turbo", "Turbo, and arweave.net", "Needs wallet. Items up to a size that Turbo says are free; for larger ones the wallet has to have Turbo Credits.",
                ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, [KeyValuePair.Create(UploadEndpoint, TurboEndpoint), KeyValuePair.Create(GatewayField, PublicGateway), KeyValuePair.Create(ConnectorCatalog.TimeoutField, "120"), KeyValuePair.Create(ConnectorCatalog.CallsField, "16")])),
        ]),
        Open);

    private static ArweaveBackend Open(IReadOnlyDictionary<string, string> settings, TimeProvider clock) => Open(settings, clock, static place => place);

    /// <param name="change">For sizes that tests choose.</param>
    internal static ArweaveBackend Open(IReadOnlyDictionary<string, string> settings, TimeProvider clock, Func<ArweavePlace, ArweavePlace> change)
    {
        if (!PlaceName().IsMatch(settings[Place])) throw ConnectorType.Invalid($"{Place}: 1 to 64 letters, digits, '-', '_', '.' and '/'.");
        var gateway = new Uri(settings[GatewayField]);
        var graphql = settings.TryGetValue(Graphql, out var address) ? new Uri(address) : new Uri($"{gateway.AbsoluteUri.TrimEnd('/')}/graphql");
        var wallet = ArweaveWallet.Parse(Wallet, settings[Wallet]);
        var place = change(new(settings[Place])
        {
            BlobBytesMax = (long.Parse(settings[ItemMax], CultureInfo.InvariantCulture) << 20) - DataItem.HeadBytesMax,
            VisibleWithin = TimeSpan.FromSeconds(int.Parse(settings[VisibleWithin], CultureInfo.InvariantCulture)),
        });
        // No gateway leads elsewhere from there, or makes of a content what its type says.
        var raw = new Uri($"{gateway.AbsoluteUri.TrimEnd('/')}/raw/");
        var http = OutboundConnections.NewClient();
        return new(wallet, place, new(new(settings[UploadEndpoint]), http), new(graphql, http, wallet, place), new(raw, http), http, clock);
    }

    [GeneratedRegex(@"^[A-Za-z0-9._/-]{1,64}\z")]
    private static partial Regex PlaceName();
}
