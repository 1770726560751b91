namespace DarkStorage.Silo.Configuration;

/// <summary>What an operator says about this node. Each is a flag, a setting in appsettings.json and an environment variable.</summary>
internal sealed record NodeOptions
{
    /// <summary>Folder of everything the node keeps.</summary>
    public string Data { get; init; } = "./data";

    /// <summary>Where S3 clients come in.</summary>
    public Uri S3Url { get; init; } = new("http://127.0.0.1:9000");

    /// <summary>Where operators come in: health, metrics, the admin API.</summary>
    public Uri ManagementUrl { get; init; } = new("http://127.0.0.1:9001");

    /// <summary>The object index: empty for SQLite in the data folder.</summary>
    public string Index { get; init; } = "";

    /// <summary>Where peers of the cluster find this node: its chunks there, its silo one port on. Used only where there is a cluster secret.</summary>
    public Uri PeerUrl { get; init; } = new("https://127.0.0.1:9002");

    /// <summary>What fails together with this node: a rack, a room, a site. Copies are in different zones. By default each node is a zone of its own.</summary>
    public string Zone { get; init; } = "";

    /// <summary>Whether the node keeps data; otherwise it is a front end alone.</summary>
    public bool HasDrive { get; init; } = true;

    /// <summary>The node's name in logs and metrics, and in the cluster. The machine's by default.</summary>
    public string Node { get; init; } = Environment.MachineName;

    /// <summary>The region that signatures name and GetBucketLocation answers.</summary>
    public string Region { get; init; } = "us-east-1";

    /// <summary>Base domain of virtual-host style requests: with <c>s3.example.com</c>, the host <c>photos.s3.example.com</c> names the bucket photos. Empty: path style alone.</summary>
    public string Domain { get; init; } = "";

    /// <summary>Domains of websites, with commas between: with <c>web.example.com</c>, the host <c>photos.web.example.com</c> is the site of the bucket photos, and <c>web.example.com</c> that of the
    /// bucket so named. Empty: those of <c>S3:WebsiteDomains</c>.</summary>
    public string WebsiteDomain { get; init; } = "";

    public LogFormat LogFormat { get; init; } = LogFormat.Text;

    public Microsoft.Extensions.Logging.LogLevel LogLevel { get; init; } = Microsoft.Extensions.Logging.LogLevel.Information;
}

internal enum LogFormat
{
    /// <summary>For a terminal.</summary>
    Text,
    /// <summary>One compact JSON object a line.</summary>
    Json,
}
