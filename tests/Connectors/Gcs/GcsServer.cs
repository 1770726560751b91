using DarkStorage.Connectors.Google;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.Gcs;

/// <summary>Stands in for Google Cloud Storage: what its documentation says of the part of the JSON API that the connector uses.</summary>
/// <remarks>Stricter than what others stand in with: names in paths have to be escaped as one segment, and preconditions hold when an upload ends.</remarks>
public sealed partial class GcsServer : GoogleServer
{
    private static readonly HashSet<string> Fields =
    [
        "kind", "items", "nextPageToken", "prefixes", "done", "objectSize", "rewriteToken", "totalBytesRewritten", "resource",
        "id", "name", "bucket", "generation", "metageneration", "contentType", "storageClass", "size", "md5Hash", "crc32c", "etag", "timeCreated", "updated", "cacheControl",
    ];

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Bucket> _buckets = new(StringComparer.Ordinal);
    private long _generation = 1_700_000_000_000_000;

    protected override string Scope => "https://www.googleapis.com/auth/devstorage.read_write";

    protected override IReadOnlySet<string> KnownFields => Fields;

    public string NewBucket()
    {
        var name = $"test-{Guid.NewGuid():N}";
        lock (_lock) _buckets[name] = new();
        return name;
    }

    public void RemoveBucket(string name)
    {
        lock (_lock) _buckets.Remove(name);
    }

    private protected override Task RouteAsync(HttpContext http, string[] path, Dictionary<string, string> query) => (http.Request.Method, path) switch
    {
        ("GET", ["storage", "v1", "b", var bucket, "o"]) => ListAsync(http, bucket, query),
        ("GET", ["storage", "v1", "b", var bucket, "o", var name]) => query.GetValueOrDefault("alt") == "media" ? ReadAsync(http, bucket, name, query) : StatAsync(http, bucket, name, query),
        ("DELETE", ["storage", "v1", "b", var bucket, "o", var name]) => DeleteAsync(http, bucket, name, query),
        ("POST", ["storage", "v1", "b", var bucket, "o", var name, "rewriteTo", "b", var toBucket, "o", var to]) => RewriteAsync(http, bucket, name, toBucket, to, query),
        ("POST", ["upload", "storage", "v1", "b", var bucket, "o"]) when query.GetValueOrDefault("uploadType") == "multipart" => PutAtOnceAsync(http, query, (metadata, content, request) => StoreUpload(bucket, query, metadata, content, request)),
        ("POST", ["upload", "storage", "v1", "b", var bucket, "o"]) when query.GetValueOrDefault("uploadType") == "resumable" => BeginUploadAsync(http, query, metadata =>
        {
            lock (_lock) BucketOf(bucket);
            NameOf(metadata);
        }, (metadata, content, request) => StoreUpload(bucket, query, metadata, content, request)),
        _ => throw new ApiException(404, "notFound", "Not Found"),
    };

    private Bucket BucketOf(string name) => _buckets.GetValueOrDefault(name) ?? throw new ApiException(404, "notFound", "The specified bucket does not exist.");

    private sealed class Bucket
    {
        public SortedDictionary<string, StoredObject> Objects { get; } = new(Utf8Order.Instance);
    }

    /// <summary>Lists are in the order of the names' bytes.</summary>
    private sealed class Utf8Order : IComparer<string>
    {
        public static readonly Utf8Order Instance = new();

        public int Compare(string? x, string? y) => System.Text.Encoding.UTF8.GetBytes(x!).AsSpan().SequenceCompareTo(System.Text.Encoding.UTF8.GetBytes(y!));
    }
}
