using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Logging;

namespace DarkStorage.Connectors.Gcs;

/// <summary>Stands in for Google Cloud Storage: what its documentation says of the part of the JSON API that the connector uses, and the token endpoint of service accounts. It shares nothing with the product. What it does wrong, it is told to.</summary>
/// <remarks>Stricter than what others stand in with: names in paths have to be escaped as one segment, <c>fields</c> may name nothing that there is not, chunks have to be multiples of 256 KiB, tokens and assertions are verified, and preconditions hold when an upload ends.</remarks>
public sealed partial class GcsServer : IAsyncLifetime
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Bucket> _buckets = new(StringComparer.Ordinal);
    private WebApplication _app = null!;
    private long _generation = 1_700_000_000_000_000;

    public string Url { get; private set; } = "";

    public IPEndPoint EndPoint => new(IPAddress.Loopback, new Uri(Url).Port);

    /// <summary>Method, path and query of each request so far, as it was sent.</summary>
    public ConcurrentQueue<string> Requests { get; } = new();

    /// <summary>Asked for each request first. True where it has answered.</summary>
    public Func<HttpContext, Task<bool>> Answers { get; set; } = _ => Task.FromResult(false);

    public ValueTask InitializeAsync() => StartAsync();

    public ValueTask DisposeAsync() => _app.DisposeAsync();

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

    /// <summary>An error as Google says it.</summary>
    public static async Task<bool> FailAsync(HttpContext http, int status, string reason, string message = "It went wrong.")
    {
        http.Response.StatusCode = status;
        http.Response.ContentType = "application/json; charset=UTF-8";
        await http.Response.WriteAsync(new JsonObject
        {
            ["error"] = new JsonObject { ["code"] = status, ["message"] = message, ["errors"] = new JsonArray(new JsonObject { ["message"] = message, ["domain"] = "global", ["reason"] = reason }) },
        }.ToJsonString());
        return true;
    }

    /// <summary>As <see cref="FailAsync"/>, and reads what was sent before: a server that ends a connection with unread content in it resets it.</summary>
    public static async Task<bool> FailAfterReadingAsync(HttpContext http, int status, string reason)
    {
        await http.Request.Body.CopyToAsync(Stream.Null);
        return await FailAsync(http, status, reason);
    }

    private async ValueTask StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(k =>
        {
            k.Listen(IPAddress.Loopback, 0);
            k.Limits.MaxRequestBodySize = null;
        });
        _app = builder.Build();
        _app.Run(AnswerAsync);
        await _app.StartAsync();
        Url = _app.Urls.Single();
    }

    private async Task AnswerAsync(HttpContext http)
    {
        var target = http.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        Requests.Enqueue($"{http.Request.Method} {target}");
        if (await Answers(http)) return;
        try
        {
            if (target == "/token") await GiveTokenAsync(http);
            else await RouteAsync(http, target);
        }
        catch (ApiException e)
        {
            await FailAsync(http, e.Status, e.Reason, e.Message);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // The client has gone.
            http.Abort();
        }
    }

    private async Task RouteAsync(HttpContext http, string target)
    {
        var (path, query) = target.Split('?', 2) is [var p, var q] ? (p, QueryHelpers.ParseQuery(q).ToDictionary(v => v.Key, v => v.Value.ToString())) : (target, []);
        var method = http.Request.Method;
        // A session's address shows by itself who may.
        if (!query.ContainsKey("upload_id") || http.Request.Headers.Authorization.Count > 0) await AuthorizeAsync(http);
        var segments = path.Split('/')[1..].Select(Uri.UnescapeDataString).ToArray();
        await ((method, segments) switch
        {
            ("GET", ["storage", "v1", "b", var bucket, "o"]) => ListAsync(http, bucket, query),
            ("GET", ["storage", "v1", "b", var bucket, "o", var name]) => query.GetValueOrDefault("alt") == "media" ? ReadAsync(http, bucket, name, query) : StatAsync(http, bucket, name, query),
            ("DELETE", ["storage", "v1", "b", var bucket, "o", var name]) => DeleteAsync(http, bucket, name, query),
            ("POST", ["storage", "v1", "b", var bucket, "o", var name, "rewriteTo", "b", var toBucket, "o", var to]) => RewriteAsync(http, bucket, name, toBucket, to, query),
            ("POST", ["upload", "storage", "v1", "b", var bucket, "o"]) when query.GetValueOrDefault("uploadType") == "multipart" => PutAtOnceAsync(http, bucket, query),
            ("POST", ["upload", "storage", "v1", "b", var bucket, "o"]) when query.GetValueOrDefault("uploadType") == "resumable" => BeginUploadAsync(http, bucket, query),
            ("PUT", ["upload", "storage", "v1", "b", var bucket, "o"]) when query.TryGetValue("upload_id", out var id) => PutChunkAsync(http, id),
            ("DELETE", ["upload", "storage", "v1", "b", var bucket, "o"]) when query.TryGetValue("upload_id", out var id) => CancelUploadAsync(http, id),
            _ => throw new ApiException(404, "notFound", "Not Found"),
        });
    }

    private Bucket BucketOf(string name) => _buckets.GetValueOrDefault(name) ?? throw new ApiException(404, "notFound", "The specified bucket does not exist.");

    private static Task JsonAsync(HttpContext http, JsonObject body, Dictionary<string, string> query)
    {
        http.Response.ContentType = "application/json; charset=UTF-8";
        return http.Response.WriteAsync(Select(body, query.GetValueOrDefault("fields")).ToJsonString());
    }

    /// <summary>Partial responses: <c>a,b,c(d,e)</c>.</summary>
    private static JsonObject Select(JsonObject whole, string? fields)
    {
        if (fields is null) return whole;
        var at = 0;
        var part = SelectHere(whole, fields, ref at);
        if (at != fields.Length) throw InvalidFields(fields);
        return part;
    }

    private static JsonObject SelectHere(JsonObject? whole, string fields, ref int at)
    {
        var part = new JsonObject();
        while (true)
        {
            var begin = at;
            while (at < fields.Length && char.IsAsciiLetterOrDigit(fields[at])) at++;
            var name = fields[begin..at];
            if (!KnownFields.Contains(name)) throw InvalidFields(fields);
            var value = whole?[name];
            if (at < fields.Length && fields[at] == '(')
            {
                var inside = ++at;
                if (value is JsonArray items)
                {
                    part[name] = new JsonArray([.. items.Select(i => SelectAt(i!.AsObject(), inside))]);
                    value = null;
                }
                var one = SelectHere(value as JsonObject, fields, ref at);
                if (value is not null) part[name] = one;
                if (at >= fields.Length || fields[at++] != ')') throw InvalidFields(fields);
            }
            else if (value is not null)
            {
                part[name] = value.DeepClone();
            }
            if (at == fields.Length || fields[at] != ',') return part;
            at++;
        }

        JsonNode SelectAt(JsonObject item, int inside) => SelectHere(item, fields, ref inside);
    }

    private static readonly HashSet<string> KnownFields =
    [
        "kind", "items", "nextPageToken", "prefixes", "done", "objectSize", "rewriteToken", "totalBytesRewritten", "resource",
        "id", "name", "bucket", "generation", "metageneration", "contentType", "storageClass", "size", "md5Hash", "crc32c", "etag", "timeCreated", "updated", "cacheControl",
    ];

    private static ApiException InvalidFields(string fields) => new(400, "invalidParameter", $"Invalid field selection {fields}");

    private static long? Number(Dictionary<string, string> query, string name) => query.TryGetValue(name, out var text) ? long.Parse(text, CultureInfo.InvariantCulture) : null;

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

    private sealed class ApiException(int status, string reason, string message) : Exception(message)
    {
        public int Status => status;

        public string Reason => reason;
    }
}
