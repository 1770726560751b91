using System.Collections.Immutable;
using Amazon.Runtime;
using Amazon.S3;
using DarkStorage.Connectors.Http;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.S3;

/// <summary>What a bucket elsewhere has to be told of, the well-known places that have them, and how one is opened.</summary>
internal static class S3Connector
{
    private const string Endpoint = "endpoint";
    private const string Region = "region";
    private const string Bucket = "bucket";
    private const string Prefix = "prefix";
    private const string AccessKey = "access-key";
    private const string SecretKey = "secret-key";
    private const string StorageClass = "storage-class";
    private const string PathStyle = "path-style";
    private const string Checksums = "checksums";

    /// <summary>Stands in an endpoint for the region.</summary>
    private const string RegionMark = "{region}";

    public static readonly Connector Connector = new(
        new ConnectorType("s3", "S3 or compatible", "A bucket of AWS, or of anything that speaks its API.",
        [
            new(Endpoint, "Where the server listens. AWS's own of the region where nothing is said.", ConnectorFieldKind.Url, IsPlace: true),
            new(Region, "The bucket's region.", Default: "us-east-1", IsPlace: true),
            new(Bucket, "The bucket. It has to be there.", IsRequired: true, IsPlace: true),
            new(Prefix, "What every key begins with, such as darkstorage/. The bucket can then have other things too.", IsPlace: true),
            new(AccessKey, "The id of an access key that may list, read, write and delete there. Where none is given the machine's own role is asked for."),
            new(SecretKey, "That key's secret.", ConnectorFieldKind.Secret),
            new(StorageClass, "The storage class of what is kept there, such as STANDARD_IA or DEEP_ARCHIVE. The bucket's own where nothing is said."),
            new(PathStyle, "The bucket's name is in the path and not in the host's name.", ConnectorFieldKind.Flag, Default: "false"),
            new(Checksums, "The server takes AWS's checksums behind the content. Servers that do not know them would store them.", ConnectorFieldKind.Flag, Default: "true"),
        ],
        [
            Preset("aws", "Amazon S3", "Needs region, bucket, and a key unless the machine has a role.", endpoint: null, isPathStyle: false, hasChecksums: true),
            Preset("backblaze", "Backblaze B2", "Needs region (as in s3.us-west-004.backblazeb2.com), bucket, and an application key: its keyID and applicationKey.", "https://s3.{region}.backblazeb2.com", isPathStyle: false, hasChecksums: false),
            Preset("ceph", "Ceph Object Gateway", "Needs endpoint, bucket and a key of a user.", endpoint: null, isPathStyle: true, hasChecksums: false),
            Preset("cloudflare", "Cloudflare R2", "Needs endpoint (https://ACCOUNT.r2.cloudflarestorage.com), bucket and an API token's key.", endpoint: null, isPathStyle: true, hasChecksums: false, region: "auto"),
            Preset("darkstorage", "Another Orleans.DarkStorage", "Needs endpoint, bucket and a key.", endpoint: null, isPathStyle: true, hasChecksums: true),
            Preset("digitalocean", "DigitalOcean Spaces", "Needs region (as in nyc3.digitaloceanspaces.com), bucket (the Space) and a Spaces key.", "https://{region}.digitaloceanspaces.com", isPathStyle: false, hasChecksums: false),
            Preset("hetzner", "Hetzner Object Storage", "Needs region (fsn1, nbg1, hel1), bucket and a key.", "https://{region}.your-objectstorage.com", isPathStyle: false, hasChecksums: false),
            Preset("minio", "MinIO", "Needs endpoint, bucket and a key.", endpoint: null, isPathStyle: true, hasChecksums: true),
            Preset("sia", "Sia (renterd)", "Needs endpoint (where renterd's S3 API listens), bucket and a key pair of its S3 settings.", endpoint: null, isPathStyle: true, hasChecksums: false),
            Preset("storj", "Storj gateway", "Needs bucket and a key of the hosted gateway.", "https://gateway.storjshare.io", isPathStyle: true, hasChecksums: false),
            Preset("wasabi", "Wasabi", "Needs region (as in s3.eu-central-1.wasabisys.com), bucket and a key.", "https://s3.{region}.wasabisys.com", isPathStyle: false, hasChecksums: false),
        ]),
        Open);

    private static S3Backend Open(IReadOnlyDictionary<string, string> settings, TimeProvider clock)
    {
        var region = settings.GetValueOrDefault(Region, "us-east-1");
        var hasChecksums = settings.GetValueOrDefault(Checksums) != "false";
        var (accessKey, secretKey) = (settings.GetValueOrDefault(AccessKey), settings.GetValueOrDefault(SecretKey));
        if ((accessKey is null) != (secretKey is null)) throw ConnectorType.Invalid($"{AccessKey} and {SecretKey} go together: both, or neither for the machine's own role.");
        var http = new OutboundHttpClients();
        var config = new AmazonS3Config
        {
            // Attempts and the time for them are the caller's to bound.
            MaxErrorRetry = 0,
            Timeout = Timeout.InfiniteTimeSpan,
            ForcePathStyle = settings.GetValueOrDefault(PathStyle) == "true",
            RequestChecksumCalculation = hasChecksums ? RequestChecksumCalculation.WHEN_SUPPORTED : RequestChecksumCalculation.WHEN_REQUIRED,
            ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
            HttpClientFactory = http,
        };
        if (settings.TryGetValue(Endpoint, out var endpoint)) (config.ServiceURL, config.AuthenticationRegion) = (AddressOf(endpoint, region), region);
        else config.RegionEndpoint = Amazon.RegionEndpoint.GetBySystemName(region);
        var s3 = accessKey is null ? new AmazonS3Client(config) : new AmazonS3Client(new BasicAWSCredentials(accessKey, secretKey), config);
        var storageClass = settings.TryGetValue(StorageClass, out var named) ? S3StorageClass.FindValue(named) : null;
        // With neither checksums nor TLS the client signs the content piece by piece.
        var isUnsigned = !hasChecksums && (endpoint is null || endpoint.StartsWith("https:", StringComparison.OrdinalIgnoreCase));
        return new(s3, new(settings[Bucket], settings.GetValueOrDefault(Prefix, ""), storageClass, isUnsigned), clock, http);
    }

    private static string AddressOf(string endpoint, string region)
    {
        var address = endpoint.Replace(RegionMark, region, StringComparison.Ordinal);
        return Uri.TryCreate(address, UriKind.Absolute, out _) ? address : throw ConnectorType.Invalid($"{Region}: with '{region}' the endpoint {endpoint} is no address.");
    }

    private static ConnectorPreset Preset(string name, string title, string help, string? endpoint, bool isPathStyle, bool hasChecksums, string? region = null)
    {
        var values = ImmutableSortedDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        if (endpoint is not null) values[Endpoint] = endpoint;
        if (region is not null) values[Region] = region;
        values[PathStyle] = isPathStyle ? "true" : "false";
        values[Checksums] = hasChecksums ? "true" : "false";
        return new(name, title, help, values.ToImmutable());
    }
}
