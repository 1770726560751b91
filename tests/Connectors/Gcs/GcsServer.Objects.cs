using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Globalization;
using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;

namespace DarkStorage.Connectors.Gcs;

/// <summary>Objects: told of, listed, read, deleted and rewritten.</summary>
public sealed partial class GcsServer
{
    private readonly ConcurrentDictionary<string, (string From, long Generation, string To, long Done)> _rewrites = new();

    /// <summary>Bytes that one answer to a rewrite copies.</summary>
    public long RewriteBytesMax { get; set; } = long.MaxValue;

    /// <summary>Objects on one page at most, whatever is asked for.</summary>
    public int PageObjectsMax { get; set; } = 1000;

    /// <summary>Takes what does not match the checksums that came with it.</summary>
    public bool IgnoresChecksums { get; set; }

    /// <summary>How many bytes more than there are it says of each object.</summary>
    public long LiesAboutLength { get; set; }

    /// <summary>Flips a bit of what is kept, when it is there.</summary>
    public void Corrupt(string bucket, string name)
    {
        lock (_lock) _buckets[bucket].Objects[name].Content[0] ^= 1;
    }

    /// <summary>Holds an object, as somebody else can: it can't be deleted or replaced.</summary>
    /// <param name="reason">Null to let it go.</param>
    public void Hold(string bucket, string name, string? reason)
    {
        lock (_lock) _buckets[bucket].Objects[name].HeldFor = reason;
    }

    /// <summary>Storage class, content type and what caches may do, of an object.</summary>
    public (string Class, string Type, string? Cache, long Generation) Describe(string bucket, string name)
    {
        lock (_lock) return _buckets[bucket].Objects[name] is var o ? (o.StorageClass, o.ContentType, o.CacheControl, o.Generation) : default;
    }

    /// <summary>Puts an object as somebody else would.</summary>
    public void Put(string bucket, string name, byte[] content)
    {
        lock (_lock) Store(bucket, name, content, null, new() { ["name"] = name });
    }

    private static uint Crc32C(ReadOnlySpan<byte> bytes)
    {
        var crc = ~0u;
        foreach (var b in bytes) crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }

    /// <summary>As an upload's last step: conditions, holds and checksums, and then the object is there at once.</summary>
    /// <param name="declared">What the client says that it is.</param>
    private StoredObject Store(string bucket, string name, byte[] content, long? ifGeneration, JsonObject metadata, (string? Crc, string? Md5) declared = default)
    {
        var made = new StoredObject(bucket, name, content, metadata, Clock.GetUtcNow());
        if (!IgnoresChecksums && (declared.Md5 ?? made.Md5) != made.Md5) throw new ApiException(400, "invalid", $"Provided MD5 hash \"{declared.Md5}\" doesn't match calculated MD5 hash \"{made.Md5}\".");
        if (!IgnoresChecksums && (declared.Crc ?? made.Crc) != made.Crc) throw new ApiException(400, "invalid", $"Provided CRC32C \"{declared.Crc}\" doesn't match calculated CRC32C \"{made.Crc}\".");
        var objects = BucketOf(bucket).Objects;
        var there = objects.GetValueOrDefault(name);
        if (ifGeneration is { } wanted && (there?.Generation ?? 0) != wanted) throw new ApiException(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.");
        ThrowIfHeld(there);
        made.Generation = ++_generation;
        return objects[name] = made;
    }

    /// <summary>What an upload makes.</summary>
    private JsonObject StoreUpload(string bucket, Dictionary<string, string> query, JsonObject metadata, byte[] content, HttpRequest request)
    {
        var hashes = request.Headers["X-Goog-Hash"].ToString().Split(',');
        var declared = (HashOf("crc32c=") ?? (string?)metadata["crc32c"], HashOf("md5=") ?? (string?)metadata["md5Hash"]);
        lock (_lock) return ResourceOf(Store(bucket, NameOf(metadata), content, Number(query, "ifGenerationMatch"), metadata, declared));

        string? HashOf(string name) => hashes.FirstOrDefault(h => h.StartsWith(name, StringComparison.Ordinal))?[name.Length..];
    }

    private static string NameOf(JsonObject metadata)
    {
        var name = (string?)metadata["name"];
        if (string.IsNullOrEmpty(name) || System.Text.Encoding.UTF8.GetByteCount(name) > 1024 || name is "." or ".." || name.Contains('\r') || name.Contains('\n') || name.StartsWith(".well-known/acme-challenge/", StringComparison.Ordinal))
            throw new ApiException(400, "invalid", "Invalid object name.");
        return name;
    }

    private static void ThrowIfHeld(StoredObject? there)
    {
        if (there?.HeldFor is { } reason) throw new ApiException(403, reason, $"Object '{there.Name}' is subject to bucket's retention policy or object retention and cannot be deleted or overwritten until 2099-01-01T00:00:00Z");
    }

    private StoredObject ObjectOf(string bucket, string name, long? generation) =>
        BucketOf(bucket).Objects.GetValueOrDefault(name) is { } found && (generation ?? found.Generation) == found.Generation ? found : throw new ApiException(404, "notFound", $"No such object: {bucket}/{name}");

    private Task StatAsync(HttpContext http, string bucket, string name, Dictionary<string, string> query)
    {
        JsonObject resource;
        lock (_lock) resource = ResourceOf(ObjectOf(bucket, name, Number(query, "generation")));
        return JsonAsync(http, resource, query);
    }

    private JsonObject ResourceOf(StoredObject o)
    {
        var resource = o.Resource();
        resource["size"] = (o.Content.Length + LiesAboutLength).ToString(CultureInfo.InvariantCulture);
        return resource;
    }

    private async Task ReadAsync(HttpContext http, string bucket, string name, Dictionary<string, string> query)
    {
        StoredObject found;
        try
        {
            lock (_lock) found = ObjectOf(bucket, name, Number(query, "generation"));
        }
        catch (ApiException e)
        {
            // Of a content that is asked for it is said in plain text.
            http.Response.StatusCode = e.Status;
            http.Response.ContentType = "text/html; charset=UTF-8";
            await http.Response.WriteAsync(e.Message);
            return;
        }
        http.Response.ContentType = found.ContentType;
        http.Response.Headers["x-goog-generation"] = found.Generation.ToString(CultureInfo.InvariantCulture);
        http.Response.Headers["x-goog-hash"] = new[] { $"crc32c={found.Crc}", $"md5={found.Md5}" };
        http.Response.Headers["x-goog-stored-content-length"] = found.Content.Length.ToString(CultureInfo.InvariantCulture);
        await SendContentAsync(http, found.Content, found.Content.Length + LiesAboutLength);
    }

    private Task DeleteAsync(HttpContext http, string bucket, string name, Dictionary<string, string> query)
    {
        lock (_lock)
        {
            var found = ObjectOf(bucket, name, Number(query, "generation"));
            ThrowIfHeld(found);
            BucketOf(bucket).Objects.Remove(name);
        }
        http.Response.StatusCode = 204;
        return Task.CompletedTask;
    }

    private Task ListAsync(HttpContext http, string bucket, Dictionary<string, string> query)
    {
        var page = new JsonObject { ["kind"] = "storage#objects" };
        lock (_lock)
        {
            var after = query.TryGetValue("pageToken", out var token) ? Encoding.UTF8.GetString(Convert.FromBase64String(token)) : null;
            var size = (int)Math.Min(PageObjectsMax, Number(query, "maxResults") ?? 1000);
            var prefix = query.GetValueOrDefault("prefix", "");
            var rest = BucketOf(bucket).Objects.Values.Where(o => o.Name.StartsWith(prefix, StringComparison.Ordinal) && (after is null || Utf8Order.Instance.Compare(o.Name, after) > 0)).Take(size + 1).ToList();
            // Where there are none the field is missing.
            if (rest.Count > 0) page["items"] = new JsonArray([.. rest.Take(size).Select(ResourceOf)]);
            if (rest.Count > size) page["nextPageToken"] = Convert.ToBase64String(Encoding.UTF8.GetBytes(rest[size - 1].Name));
        }
        return JsonAsync(http, page, query);
    }

    private async Task RewriteAsync(HttpContext http, string bucket, string name, string toBucket, string to, Dictionary<string, string> query)
    {
        var metadata = http.Request.ContentLength > 0 ? await JsonSerializer.DeserializeAsync<JsonObject>(http.Request.Body) : null;
        var answer = new JsonObject { ["kind"] = "storage#rewriteResponse" };
        lock (_lock)
        {
            var from = ObjectOf(bucket, name, Number(query, "sourceGeneration"));
            BucketOf(toBucket);
            var done = 0L;
            if (query.TryGetValue("rewriteToken", out var token))
            {
                if (!_rewrites.TryRemove(token, out var under) || under.From != name || under.To != to || under.Generation != from.Generation) throw new ApiException(410, "gone", "The rewrite token is not valid any more.");
                done = under.Done;
            }
            done = Math.Min(from.Content.Length, RewriteBytesMax == long.MaxValue ? from.Content.Length : done + RewriteBytesMax);
            answer["objectSize"] = from.Content.Length.ToString(CultureInfo.InvariantCulture);
            answer["totalBytesRewritten"] = done.ToString(CultureInfo.InvariantCulture);
            answer["done"] = done == from.Content.Length;
            if (done == from.Content.Length)
            {
                // Metadata that is given takes the place of the source's.
                answer["resource"] = ResourceOf(Store(toBucket, to, [.. from.Content], Number(query, "ifGenerationMatch"), metadata ?? from.Metadata));
            }
            else
            {
                token = Guid.NewGuid().ToString("N");
                _rewrites[token] = (name, from.Generation, to, done);
                answer["rewriteToken"] = token;
            }
        }
        await JsonAsync(http, answer, query);
    }

    private sealed class StoredObject(string bucket, string name, byte[] content, JsonObject metadata, DateTimeOffset created)
    {
        public string Name => name;

        public byte[] Content => content;

        public JsonObject Metadata => metadata;

        public string StorageClass => (string?)metadata["storageClass"] ?? "STANDARD";

        public string ContentType => (string?)metadata["contentType"] ?? "application/octet-stream";

        public string? CacheControl => (string?)metadata["cacheControl"];

        public string Crc { get; } = CrcOf(content);

        public string Md5 { get; } = Convert.ToBase64String(MD5.HashData(content));

        public long Generation { get; set; }

        public string? HeldFor { get; set; }

        public JsonObject Resource() => new()
        {
            ["kind"] = "storage#object", ["id"] = $"{bucket}/{name}/{Generation}", ["name"] = name, ["bucket"] = bucket, ["generation"] = Generation.ToString(CultureInfo.InvariantCulture), ["metageneration"] = "1",
            ["contentType"] = ContentType, ["storageClass"] = StorageClass, ["size"] = content.Length.ToString(CultureInfo.InvariantCulture), ["md5Hash"] = Md5, ["crc32c"] = Crc, ["etag"] = "CAE=",
            ["timeCreated"] = created.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture), ["updated"] = created.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture),
        };

        private static string CrcOf(byte[] content)
        {
            var bytes = new byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(bytes, Crc32C(content));
            return Convert.ToBase64String(bytes);
        }
    }
}
