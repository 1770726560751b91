using System.Collections.Immutable;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Ipfs;

/// <summary>What a node has to be told of, and how one is opened.</summary>
internal static class IpfsConnector
{
    private const string Endpoint = "endpoint";
    private const string Path = "path";
    private const string Authorization = "authorization";

    private const string DefaultEndpoint = "http://127.0.0.1:5001";

    /// <summary>Bytes of UTF-8. What is below has to fit into an address too.</summary>
    private const int PathBytesMax = 256;

    public static readonly Connector Connector = new(
        new ConnectorType("ipfs", "IPFS", "A node of IPFS with Kubo's RPC. What is kept there is in the node's files (MFS) and pinned, and whoever knows its CID can have it from a node that is online.",
        [
            new(Endpoint, "Where the node's RPC listens. Who may call it may do everything with the node: it has to be on the same machine, in a network of one's own, or behind https and an authorization.", ConnectorFieldKind.Url, Default: DefaultEndpoint, IsPlace: true),
            new(Path, "The folder in the node's files, with a slash in front. It is made where it is missing.", Default: "/darkstorage", IsPlace: true),
            new(Authorization, "As the node's API.Authorizations has it: bearer:TOKEN or basic:USER:PASSWORD.", ConnectorFieldKind.Secret),
        ],
        [
            new("kubo", "Kubo on this machine", "Needs nothing: the RPC of a Kubo that is set up as it comes. Each node of a cluster would call its own.", ImmutableSortedDictionary<string, string>.Empty.Add(Endpoint, DefaultEndpoint)),
        ]),
        Open);

    private static IpfsBackend Open(IReadOnlyDictionary<string, string> settings, TimeProvider clock)
    {
        var (endpoint, path) = (new Uri(settings[Endpoint]), settings[Path]);
        // As it stands in Kubo's documents it may have this already.
        var address = endpoint.AbsoluteUri.TrimEnd('/');
        if (address.EndsWith("/api/v0", StringComparison.Ordinal)) address = address[..^"/api/v0".Length];
        if (path.Length < 2 || path[0] != '/' || BlobName.Find(path[1..]) is null || Encoding.UTF8.GetByteCount(path) > PathBytesMax)
            throw ConnectorType.Invalid($"{Path}: a slash, and names with single slashes between them, none of which is '.' or '..'; {PathBytesMax} bytes at most.");
        if (path.Split('/')[1] is "ipfs" or "ipns") throw ConnectorType.Invalid($"{Path}: what begins with /ipfs or /ipns is the whole world's content, and no node's own files.");
        var authorization = AuthorizationOf(settings.GetValueOrDefault(Authorization)?.Trim());
        if (authorization is not null && endpoint.Scheme == "http" && !IsThisMachine(endpoint)) throw ConnectorType.Invalid($"{Authorization}: only over https, or to this machine: on its way it could be read.");
        return new(new(address, authorization), new(path), clock);
    }

    private static bool IsThisMachine(Uri endpoint) => endpoint.IsLoopback || (IPAddress.TryParse(endpoint.IdnHost, out var address) && IPAddress.IsLoopback(address));

    private static AuthenticationHeaderValue? AuthorizationOf(string? text) => text?.Split(':', 2) switch
    {
        null => null,
        ["bearer", { Length: > 0 } token] when token.All(c => c is > ' ' and < '\x7F') => new("Bearer", token),
        ["basic", var user] when user.Contains(':', StringComparison.Ordinal) => new("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(user))),
        _ => throw ConnectorType.Invalid($"{Authorization}: bearer:TOKEN or basic:USER:PASSWORD."),
    };
}
