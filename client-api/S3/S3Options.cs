using System.ComponentModel.DataAnnotations;

namespace DarkStorage.ClientApi.S3;

/// <summary>How the S3 front end behaves.</summary>
public sealed record S3Options
{
    /// <summary>The region that signatures name and GetBucketLocation answers.</summary>
    [Required]
    public string Region { get; init; } = "us-east-1";

    /// <summary>Twelve digits: what the ARNs of users name as their account. All users of a cluster are of one.</summary>
    [RegularExpression("^[0-9]{12}$")]
    public string AccountId { get; init; } = "000000000000";

    /// <summary>Whether Signature Version 2 is taken: by default it is, as SDKs presign URLs and forms with it unless told otherwise. It covers neither bodies nor all of the query.</summary>
    public bool SignatureVersion2 { get; init; } = true;

    /// <summary>Base domains of virtual-host style requests. None by default: path style alone.</summary>
    public IReadOnlyList<string> Domains { get; init; } = [];

    /// <summary>Domains of websites: with <c>web.example.com</c>, the host <c>photos.web.example.com</c> is the site of the bucket photos, and <c>web.example.com</c> that of the bucket so named.
    /// None by default: there are no sites.</summary>
    public IReadOnlyList<string> WebsiteDomains { get; init; } = [];

    /// <summary>For how long GET and HEAD of what this node read before are answered while the database of the index does not answer: with what was true when it was last asked, which others may
    /// have changed since. Default none: a read that may be stale is an error, 503.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "1.00:00:00")]
    public TimeSpan StaleReadsMax { get; init; }

    /// <summary>Objects of at most this many bytes live in the index, so that they cost one durable write. Default 4 KiB: one page.</summary>
    [Range(0, 64 << 10)]
    public int InlineBytesMax { get; init; } = 4 << 10;

    /// <summary>Takes customers' keys (SSE-C) over connections without TLS from other machines too: whoever listens on the way has them then.
    /// Default false, as AWS has it. Connections from this machine may always bring them: a proxy here that ended the TLS is one.</summary>
    public bool AllowCustomerKeysOverHttp { get; init; }

    /// <summary>Buckets of one account. Default 10,000, as AWS has it.</summary>
    [Range(1, 1_000_000)]
    public int BucketsMax { get; init; } = 10_000;

    /// <summary>Queries (SelectObjectContent) at one time. Default 4: each may take 250 MiB for a JSON document of 16 MiB, and as much of a core as it can get.</summary>
    [Range(1, 1_000)]
    public int QueriesMax { get; init; } = 4;

    /// <summary>How long a query waits for its turn before it is answered with <c>Busy</c>. Default 10 s: clients wait longer than that for an answer.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:01:00")]
    public TimeSpan QueryWait { get; init; } = TimeSpan.FromSeconds(10);
}
