using System.Collections.Immutable;
using System.Text.RegularExpressions;
using DarkStorage.Connectors.Google;
using DarkStorage.Connectors.OAuth;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Gcs;

/// <summary>What a bucket of Google Cloud Storage has to be told of, and how one is opened.</summary>
internal static partial class GcsConnector
{
    private const string Bucket = "bucket";
    private const string Prefix = "prefix";
    private const string StorageClass = "storage-class";

    private const string PublicEndpoint = "https://storage.googleapis.com";

    /// <summary>Reading, writing and deleting objects, and nothing about who may.</summary>
    private const string Scope = "https://www.googleapis.com/auth/devstorage.read_write";

    private static readonly ImmutableSortedDictionary<string, string> AtGoogle = ImmutableSortedDictionary.CreateRange(StringComparer.Ordinal, [KeyValuePair.Create(GoogleAccount.Endpoint, PublicEndpoint)]);

    public static readonly Connector Connector = new(
        new ConnectorType("gcs", "Google Cloud Storage", "A bucket of Google Cloud Storage, by its JSON API and a service account, or a user's account.",
        [
            new(GoogleAccount.Endpoint, "Where the service listens: also a regional endpoint (https://storage.REGION.rep.googleapis.com), a private one, or an emulator. https, or http on this machine.", ConnectorFieldKind.Url, Default: PublicEndpoint, IsPlace: true),
            new(Bucket, "The bucket. It has to be there.", IsRequired: true, IsPlace: true),
            new(Prefix, "What every object's name begins with, such as darkstorage/. The bucket can then have other things too.", IsPlace: true),
            new(GoogleAccount.Key, "The JSON file of a key of a service account that may list, read, create and delete objects there, as the role Storage Object User may.", ConnectorFieldKind.Secret),
            new(OAuthService.ClientId, "Instead of a key: the OAuth client by which somebody lets the cluster in with an account of their own (integrations authorize)."),
            new(OAuthService.ClientSecret, "The secret of that client.", ConnectorFieldKind.Secret),
            .. OAuthFields.Addresses,
            new(StorageClass, "The storage class of what is put there. All are read at once. What is deleted earlier is paid for 30 days in NEARLINE, 90 in COLDLINE and 365 in ARCHIVE. The bucket's own where nothing is said.",
                ConnectorFieldKind.Choice, Choices: ["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"]),
        ],
        [
            new("google", "Google Cloud Storage", "Needs bucket and a service account's key.", AtGoogle),
            new("google-user", "Google Cloud Storage with a user's account", "Needs bucket, and client-id and client-secret of an OAuth client of Google's; then integrations authorize.", AtGoogle),
        ])
        { OAuth = [GoogleAccount.ServiceFor(Scope)] },
        (settings, clock) => Open(settings, PlaceOf(settings), null, clock))
    {
        OpenAuthorized = (settings, tokens, clock) => Open(settings, PlaceOf(settings), tokens, clock),
    };

    private static GcsPlace PlaceOf(IReadOnlyDictionary<string, string> settings) => new(settings[Bucket], settings.GetValueOrDefault(Prefix, ""), settings.GetValueOrDefault(StorageClass));

    /// <param name="place">As the settings say it, but for sizes that tests choose.</param>
    internal static GcsBackend Open(IReadOnlyDictionary<string, string> settings, GcsPlace place, TimeProvider clock) => Open(settings, place, null, clock);

    /// <param name="tokens">Null for those of the service account.</param>
    private static GcsBackend Open(IReadOnlyDictionary<string, string> settings, GcsPlace place, IAccessTokens? tokens, TimeProvider clock)
    {
        if (!BucketName().IsMatch(place.Bucket)) throw ConnectorType.Invalid($"{Bucket}: 3 to 222 lower-case letters, digits, '-', '_' and '.', with a letter or digit in front and behind.");
        if (place.Prefix.StartsWith('/')) throw ConnectorType.Invalid($"{Prefix}: without a slash in front.");
        return new(GoogleAccount.Open(settings, "gcs", Scope, GcsFailures.Api, tokens, clock), place, clock);
    }

    [GeneratedRegex(@"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]\z")]
    private static partial Regex BucketName();
}
